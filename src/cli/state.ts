/**
 * Nested state (a model's and an optimizer's `state_dict`, generators, numbers) taken apart into named tensors and a JSON
 * skeleton, and put together again: a safetensors file holds only flat tensors and strings.
 *
 * A tensor's name is its path (`model.blocks.0.norm.weight`). Maps, bigints and the numbers that JSON does not know keep their kind.
 * What a tensor is, the caller says, so this file needs none.
 */
type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

export interface PackedState<T> {
  readonly skeleton: string;
  readonly tensors: Map<string, T>;
}

export function packState<T>(state: unknown, isTensor: (value: unknown) => value is T): PackedState<T> {
  const tensors = new Map<string, T>();
  const walk = (value: unknown, path: string): Json => {
    if (isTensor(value)) {
      if (tensors.has(path)) throw new Error(`internal: two tensors named '${path}'`);
      tensors.set(path, value);
      return { $tensor: path };
    }
    const under = (key: unknown): string => (path === '' ? String(key) : `${path}.${String(key)}`);
    if (value === undefined) return { $undefined: true };
    if (value === null || typeof value === 'boolean' || typeof value === 'string') return value;
    if (typeof value === 'bigint') return { $bigint: String(value) };
    if (typeof value === 'number')
      return Number.isFinite(value) && !Object.is(value, -0) ? value : { $number: Object.is(value, -0) ? '-0' : String(value) };
    if (Array.isArray(value)) return value.map((item, index) => walk(item, under(index)));
    if (value instanceof Map) return { $map: [...value].map(([key, item]) => [walk(key, under('key')), walk(item, under(key))]) };
    if (typeof value === 'object') return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, walk(item, under(key))]));
    throw new Error(`internal: a ${typeof value} at '${path}' cannot be saved`);
  };
  return { skeleton: JSON.stringify(walk(state, '')), tensors };
}

export function unpackState<T>(skeleton: string, tensors: ReadonlyMap<string, T>): unknown {
  const walk = (value: Json): unknown => {
    if (value === null || typeof value !== 'object') return value;
    if (Array.isArray(value)) return value.map(walk);
    const { $tensor: name, $bigint: big, $number: number, $map: map } = value;
    if (typeof name === 'string') {
      const tensor = tensors.get(name);
      if (tensor === undefined) throw new Error(`the checkpoint has no tensor '${name}'`);
      return tensor;
    }
    if (value['$undefined'] === true) return undefined;
    if (typeof big === 'string') return BigInt(big);
    if (typeof number === 'string') return Number(number);
    if (Array.isArray(map)) return new Map((map as [Json, Json][]).map(([key, item]) => [walk(key), walk(item)]));
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, walk(item)]));
  };
  return walk(JSON.parse(skeleton) as Json);
}

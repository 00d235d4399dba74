/**
 * Encoded values to what a call takes, and the call itself.
 *
 * A Python float that is a whole number is the difficult case: JavaScript writes 2.0 and 2 the same. Where the parameter is a Scalar the
 * number is boxed (`torch.scalar(2, float32)`: a float scalar whatever its value), where it is a plain float it is not. The parameter's type
 * comes from the callable's own `schemas` or, where it has none, from the aten schemas of `torch-api.json`.
 */
import { type AnyTensor, type Callable, core, dtypeNamed, lookup } from './api.ts';
import type { Encoded, EncodedOptions, TensorReference } from './data.ts';
import type { HostTensor } from './host.ts';

/** A Python float. */
export class PythonFloat {
  readonly value: number;
  constructor(value: number) {
    this.value = value;
  }
}
export const parseFloatText = (text: string): number =>
  text === 'inf' ? Number.POSITIVE_INFINITY : text === '-inf' ? Number.NEGATIVE_INFINITY : text === 'nan' ? Number.NaN : Number(text);

/** A tensor on a device with a host tensor's elements. */
export function upload(host: HostTensor, device: string): AnyTensor {
  return core.frombuffer(host.bytes, { dtype: dtypeNamed(host.dtype), device }).reshape([...host.shape]);
}

export interface DecodeOptions {
  readonly device: string;
  readonly tensor: (index: number) => HostTensor;
  /** What a tensor argument becomes: the default uploads it as it is. */
  readonly upload?: (host: HostTensor, device: string) => AnyTensor;
  /** Dtype names that are replaced (the low-precision rule). */
  readonly dtype?: (name: string) => string;
  /** Do inputs require grad as recorded? Default yes. */
  readonly gradients?: boolean;
  /** What stands in the place of the nth input that requires grad. */
  readonly leaf?: (made: AnyTensor, n: number) => AnyTensor;
}

/** Decodes the arguments of one call; remembers the inputs that require grad, in order of appearance. */
export class Decoder {
  readonly options: DecodeOptions;
  readonly leaves: AnyTensor[] = [];
  constructor(options: DecodeOptions) {
    this.options = options;
  }

  tensor(reference: TensorReference): AnyTensor {
    const { device, tensor, gradients = true } = this.options;
    let made = (this.options.upload ?? upload)(tensor(reference.t), device);
    if (reference.rg && this.options.leaf) {
      made = this.options.leaf(made, this.leaves.length);
      this.leaves.push(made);
    } else if (reference.rg && gradients) {
      made.requires_grad_();
      this.leaves.push(made);
    }
    return made;
  }

  value(x: Encoded): unknown {
    if (typeof x !== 'object' || x === null) return x;
    if (Array.isArray(x)) return x.map((y) => this.value(y as Encoded));
    if ('t' in x) return this.tensor(x);
    if ('f' in x) return new PythonFloat(parseFloatText(x.f));
    if ('c' in x) return { re: parseFloatText(x.c[0]), im: parseFloatText(x.c[1]) };
    if ('big' in x) return BigInt(x.big);
    if ('dtype' in x) return dtypeNamed(this.options.dtype?.(x.dtype) ?? x.dtype);
    if ('device' in x) return this.options.device;
    if ('const' in x) return lookup(x.const) ?? x.const;
    if ('slice' in x) return sliceText((x as { slice: readonly (number | null)[] }).slice);
    if ('ellipsis' in x) return '...';
    if ('tuple' in x) return x.tuple.map((y) => this.value(y));
    if ('dict' in x) return this.keywords(x.dict);
    throw new Error(`internal: not an encoded value: ${JSON.stringify(x)}`);
  }

  list(values: readonly Encoded[]): unknown[] {
    return values.map((v) => this.value(v));
  }
  keywords(values: EncodedOptions): Record<string, unknown> {
    return Object.fromEntries(Object.entries(values).map(([k, v]) => [k, k === 'device' ? this.options.device : this.value(v)]));
  }

  /** Parts of an index as `at` and `set` take them; a list of integers or booleans is a tensor of them, as in PyTorch. */
  indexParts(x: Encoded): unknown[] {
    if (typeof x === 'object' && x !== null && 'tuple' in x) return x.tuple.map((part) => this.#indexPart(part));
    return [this.#indexPart(x)];
  }
  #indexPart(x: Encoded): unknown {
    if (!Array.isArray(x)) return this.value(x);
    const flat = (x as unknown[]).flat(Number.POSITIVE_INFINITY) as (number | boolean)[];
    const data = x.map(function exact(y: unknown): unknown {
      return Array.isArray(y) ? y.map(exact) : typeof y === 'number' ? BigInt(y) : y;
    });
    const dtype = dtypeNamed(typeof flat[0] === 'boolean' ? 'bool' : 'int64');
    return (lookup('tensor') as Callable)(data, { dtype, device: this.options.device });
  }
}

const sliceText = ([start, stop, step]: readonly (number | null)[]): string =>
  `${start ?? ''}:${stop ?? ''}${step === null || step === undefined ? '' : `:${step}`}`;

// ---- which parameters are Scalars

interface ParameterType {
  readonly name: string;
  readonly type: string;
}
interface SchemaLike {
  readonly params: readonly ParameterType[];
}

/** Schemas of aten functions by base name, parsed when first asked for. */
export class AtenSchemas {
  readonly #texts = new Map<string, string[]>();
  readonly #parsed = new Map<string, SchemaLike[]>();
  constructor(texts: readonly string[]) {
    for (const text of texts) {
      const name = /^aten::([\w]+)/.exec(text)?.[1];
      if (name === undefined) continue;
      const list = this.#texts.get(name);
      if (list === undefined) this.#texts.set(name, [text]);
      else list.push(text);
    }
  }
  /** Is there an overload with an `out` (or several outputs written into)? */
  hasOut(name: string): boolean {
    return (this.#texts.get(name) ?? []).some((t) => /^aten::\w+\.\w*out\w*\(/.test(t) || /\(a!\) out[,)]/.test(t));
  }
  of(name: string): readonly SchemaLike[] {
    let list = this.#parsed.get(name);
    if (list === undefined) {
      list = (this.#texts.get(name) ?? []).map((text) => {
        const inside = text.slice(text.indexOf('(') + 1, text.lastIndexOf(') ->'));
        const params = inside
          .split(', ')
          .filter((p) => p !== '' && p !== '*')
          .map((p): ParameterType => {
            const [type, rest = ''] = p.split(/ (?=[^ ]*$)/);
            return { type, name: rest.replace(/=.*/, '') };
          });
        return { params };
      });
      this.#parsed.set(name, list);
    }
    return list;
  }
}

const bareType = (type: string): string => type.replace(/\?$/, '');

/** True where some overload has a Scalar there and none a plain float. */
function isScalarParameter(schemas: readonly SchemaLike[], at: number | string): boolean {
  const types = schemas
    .map((s) => (typeof at === 'number' ? s.params[at] : s.params.find((p) => p.name === at)))
    .filter((p) => p !== undefined)
    .map((p) => bareType(p.type));
  return types.includes('Scalar') && !types.includes('float');
}

/** A bare number of anything that a PythonFloat is inside of. */
export function plain(x: unknown): unknown {
  if (x instanceof PythonFloat) return x.value;
  if (Array.isArray(x)) return x.map(plain);
  if (typeof x === 'object' && x !== null && Object.getPrototypeOf(x) === Object.prototype)
    return Object.fromEntries(Object.entries(x).map(([k, v]) => [k, plain(v)]));
  return x;
}

export interface Call {
  readonly f: Callable;
  /** The name that schemas are found under. */
  readonly name: string;
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
  /** The receiver of a method call. */
  readonly self?: unknown;
}

/** Calls with PythonFloats resolved and the keywords in one trailing object. */
export function invoke(call: Call, schemas: AtenSchemas): unknown {
  const own = (call.f as { schemas?: readonly SchemaLike[] }).schemas;
  const known = Array.isArray(own) && own.every((s) => typeof s === 'object') ? (own as readonly SchemaLike[]) : schemas.of(call.name);
  const shift = call.self === undefined ? 0 : 1;
  const resolve = (x: unknown, at: number | string): unknown => {
    if (x instanceof PythonFloat && Number.isSafeInteger(x.value) && isScalarParameter(known, at))
      return core.scalar(x.value, core.float32);
    return plain(x);
  };
  const args = call.args.map((x, i) => resolve(x, i + shift));
  const kwargs = Object.fromEntries(Object.entries(call.kwargs).map(([k, v]) => [k, resolve(v, k)]));
  const last = args.at(-1);
  // A complex number at the end must not be taken for the options.
  if (Object.keys(kwargs).length > 0 || (typeof last === 'object' && last !== null && Object.getPrototypeOf(last) === Object.prototype))
    args.push(kwargs);
  return call.self === undefined ? call.f(...args) : call.f.call(call.self, ...args);
}

// ---- results

/** Tensors and scalars of a result, in order: named tuples and plain objects by their values. */
export function leavesOf(x: unknown): unknown[] {
  if (Array.isArray(x)) return x.flatMap(leavesOf);
  if (typeof x === 'object' && x !== null && Object.getPrototypeOf(x) === Object.prototype && !('re' in x))
    return Object.values(x).flatMap(leavesOf);
  return [x];
}

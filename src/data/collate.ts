/**
 * default_collate: a list of samples becomes a batch. Tensors are stacked, numbers become a tensor, arrays, Maps and objects are collated by
 * element. https://docs.pytorch.org/docs/stable/data.html#torch.utils.data.default_collate
 */
import { bool, float64, int64 } from '../dtype/dtype.ts';
import { tensor } from '../ops/creation.ts';
import { Tensor, torchFunctions } from '../ops/methods.ts';

/** A batch of `T`s: tensors and numbers become tensors, strings stay a list. */
export type Collated<T> = T extends Tensor
  ? Tensor
  : T extends number | bigint | boolean
    ? Tensor
    : T extends string
      ? string[]
      : T extends ArrayBufferView
        ? Tensor
        : T extends readonly (infer U)[]
          ? Collated<U>[]
          : T extends object
            ? { [K in keyof T]: Collated<T[K]> }
            : T[];

export function default_collate<T>(batch: readonly T[]): Collated<T> {
  return collate(batch) as Collated<T>;
}

function collate(batch: readonly unknown[]): unknown {
  const [first] = batch;
  if (first instanceof Tensor) return torchFunctions.stack(batch as readonly Tensor[], 0);
  switch (typeof first) {
    // Python's numbers: a float makes float64, an int int64. A JS number is an int only where all of them are whole.
    case 'number':
      return tensor(batch as readonly number[], { dtype: batch.every(Number.isSafeInteger) ? int64 : float64 });
    case 'bigint':
      return tensor(batch as readonly bigint[], { dtype: int64 });
    case 'boolean':
      return tensor(batch as readonly boolean[], { dtype: bool });
    case 'string':
      return [...batch];
    case 'object':
      break;
    default:
      throw wrongType(first);
  }
  if (first === null) throw wrongType(first);
  if (ArrayBuffer.isView(first))
    return torchFunctions.stack(
      batch.map((b) => tensor(b as ArrayBufferView) as Tensor),
      0,
    );
  if (Array.isArray(first)) {
    if (batch.some((b) => !Array.isArray(b) || b.length !== first.length))
      throw new Error('each element in list of batch should be of equal size');
    return first.map((_, i) => collate(batch.map((b) => (b as unknown[])[i])));
  }
  if (first instanceof Map)
    return new Map([...first.keys()].map((k) => [k, collate(batch.map((b) => (b as Map<unknown, unknown>).get(k)))]));
  if (Object.getPrototypeOf(first) === Object.prototype)
    return Object.fromEntries(Object.keys(first).map((k) => [k, collate(batch.map((b) => (b as Record<string, unknown>)[k]))]));
  throw wrongType(first);
}

const wrongType = (x: unknown): TypeError =>
  new TypeError(
    `default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found ${x === null || typeof x !== 'object' ? typeof x : x.constructor.name}`,
  );

/** Arguments of windowed operators: sizes that are one number or a list, batches that may be missing, and how PyTorch writes them in errors. */
import type { Tensor } from '../tensor/tensor.ts';
import { squeezeOf, unsqueezeOf } from './shape.ts';

/** An `int[n]` argument as it reaches a call: a list, or the schema's default as a number. */
export type Sizes = number | readonly number[];

/** `n` numbers: one is repeated, several must be n. */
export function spread(value: Sizes, n: number, error: (value: readonly number[]) => Error): number[] {
  if (typeof value === 'number') return Array<number>(n).fill(value);
  if (value.length === 1) return Array<number>(n).fill(value[0]);
  if (value.length !== n) throw error(value);
  return [...value];
}

/** (3, 5), as PyTorch writes tuples in errors. */
export const tuple = (values: readonly number[]): string => `(${values.join(', ')})`;
/** 3 x 5 */
export const times = (values: readonly number[], by = ' x '): string => values.join(by);

/** Calls `f` with a leading batch dim of one, which is taken off its results again. */
export function unbatched<R extends Tensor | readonly Tensor[]>(x: Tensor, f: (batched: Tensor) => R): R {
  const out = f(unsqueezeOf(x, 0));
  return (Array.isArray(out) ? out.map((t: Tensor) => squeezeOf(t, [0])) : squeezeOf(out as Tensor, [0])) as R;
}

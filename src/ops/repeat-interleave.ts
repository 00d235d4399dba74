/**
 * `repeat_interleave`: each element several times in a row. One number of repeats is a view and a copy; a tensor of repeats is read at the call
 * (the result's size depends on it) and becomes an index.
 */
import { viewBytes } from '../dtype/codec.ts';
import { int64 } from '../dtype/dtype.ts';
import { scalarTypeName } from '../dtype/promotion.ts';
import { toTypedArray } from '../tensor/read.ts';
import { Tensor } from '../tensor/tensor.ts';
import { detached, viewOf } from '../tensor/view-tensor.ts';
import { fromBytes } from './creation.ts';
import { wrapDim } from './dims.ts';
import { indexSelectOf } from './indexing-gather.ts';
import { copyOf, expandTo, reshapeTo, unsqueezeOf } from './shape-base.ts';

/** [2, 0, 1] -> [0, 0, 2]. */
export function repeatsToIndex(repeats: Tensor, outputSize: number | null): Tensor {
  if (repeats.ndim !== 1) throw new Error('repeat_interleave only accept 1D vector as repeat');
  if (repeats.dtype.name !== 'int64' && repeats.dtype.name !== 'int32')
    throw new Error(`"repeat_interleave_cpu" not implemented for '${scalarTypeName(repeats.dtype)}'`);
  const counts = Array.from(toTypedArray(detached(repeats)) as ArrayLike<number | bigint>, Number);
  if (counts.some((n) => n < 0)) throw new Error('repeats can not be negative');
  const total = counts.reduce((a, b) => a + b, 0);
  if (outputSize !== null && outputSize !== total) throw new Error('allocated size does not match required size');
  const index = new BigInt64Array(total);
  let at = 0;
  counts.forEach((n, i) => {
    index.fill(BigInt(i), at, at + n);
    at += n;
  });
  return fromBytes(viewBytes(index), [total], int64, repeats.device);
}

export function repeatInterleave(x: Tensor, repeats: number | Tensor, dim: number | null, outputSize: number | null): Tensor {
  const input = dim === null ? reshapeTo(x, [-1]) : x.ndim === 0 ? viewOf(x, [1], [1]) : x;
  const axis = dim === null ? 0 : wrapDim(dim, input.ndim);
  const extent = input.view_.shape[axis];
  if (repeats instanceof Tensor) {
    if (repeats.ndim > 1) throw new Error('repeats must be 0-dim or 1-dim tensor');
    const flat = reshapeTo(repeats, [-1]);
    const counts = flat.view_.numel === 1 ? expandTo(flat, [extent]) : flat;
    if (counts.view_.numel !== extent)
      throw new Error(
        `repeats must have the same size as input along dim, but got repeats.size(0) = ${counts.view_.numel} and input.size(${axis}) = ${extent}`,
      );
    return indexSelectOf(input, axis, repeatsToIndex(counts, outputSize));
  }
  if (repeats < 0) throw new Error('Repeats must be non-negative');
  const { shape } = input.view_;
  const wide = expandTo(unsqueezeOf(input, axis + 1), [...shape.slice(0, axis + 1), repeats, ...shape.slice(axis + 1)]);
  return reshapeTo(
    copyOf(wide),
    shape.map((d, i) => (i === axis ? d * repeats : d)),
  );
}

/** Positions along one dim, in bodies: what to order by, and looking elements up by the positions that a library function chose. */
import { bool, type DType, float32, float64, int32, int64 } from '../dtype/dtype.ts';
import { iota, type Prim } from '../graph/prim.ts';
import type { Dim } from '../shape/dim.ts';

/** The dtype in which elements of `dtype` are ordered: exact for all but complex numbers, and one of four. */
export const orderableDtype = (dtype: DType): DType =>
  dtype === float64 || dtype === int64 ? dtype : dtype.is_floating_point ? float32 : int32;
export const orderable = (x: Prim): Prim => x.cast(orderableDtype(x.dtype));

/** bool has no order in kernels: it is compared as an integer. */
export const comparableDtype = (dtype: DType): DType => (dtype === bool ? int32 : dtype);

/** A 0-d tensor as a row of one. */
export const atLeastRow = (x: Prim): Prim => (x.ndim === 0 ? x.reshape([1]) : x);

/** x at index[i] along `axis`, at i along the others. */
export const takeAlong = (x: Prim, index: Prim, axis: number): Prim =>
  x.lookup(index.shape.map((_, i) => (i === axis ? index : iota(index.shape, i))));

/** `shape` with `size` along `axis`. */
export const withDim = (shape: readonly Dim[], axis: number, size: Dim): Dim[] => shape.map((d, i) => (i === axis ? size : d));

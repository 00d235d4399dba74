/** Matrices as primitives: triangles, diagonals, adjoints; what bodies and gradients of torch.linalg are written with. */
import type { DType } from '../dtype/dtype.ts';
import { broadcast, iota, type Prim, rowMajor } from '../graph/prim.ts';
import type { Dim } from '../shape/dim.ts';
import * as dims from '../shape/dim.ts';

/** The conjugate transpose. */
export const adjoint = (p: Prim): Prim => p.mT.conj();
export const batchOf = (p: Prim): readonly Dim[] => p.shape.slice(0, -2);
export const rowsOf = (p: Prim): Dim => p.shape[p.ndim - 2];
export const colsOf = (p: Prim): Dim => p.shape[p.ndim - 1];

/** An extent that decides how much is computed, so it is not a symbol. */
export const extent = (d: Dim): number => dims.toNumber(d, 'the size of a matrix');

/** j - i <= offset etc.: comparisons of column and row number. */
const columnMinusRow = (p: Prim): Prim => iota(p.shape, p.ndim - 1).sub(iota(p.shape, p.ndim - 2));
export const tril = (p: Prim, offset = 0): Prim => columnMinusRow(p).le(offset).where(p, 0);
export const triu = (p: Prim, offset = 0): Prim => columnMinusRow(p).ge(offset).where(p, 0);

/** Bool, true on the diagonal of matrices of this shape. */
export function onDiagonal(shape: readonly Dim[]): Prim {
  const n = shape.length;
  return iota(shape, n - 1).eq(iota(shape, n - 2));
}
export const eye = (shape: readonly Dim[], dtype: DType): Prim => onDiagonal(shape).cast(dtype);

/** [..., m, n] -> [..., min(m, n)] */
export function diagonal(p: Prim): Prim {
  const k = Math.min(extent(rowsOf(p)), extent(colsOf(p)));
  const strides = rowMajor(p.shape);
  const n = p.ndim;
  return p.view([...batchOf(p), k], [...strides.slice(0, n - 2), dims.add(strides[n - 2], strides[n - 1])], 0);
}
/** [..., n] -> [..., n, n] with it on the diagonal. */
export function embed(v: Prim): Prim {
  const n = v.shape[v.ndim - 1];
  return onDiagonal([...v.shape, n]).where(v.unsqueeze(v.ndim), 0);
}
/** A row of numbers that multiplies columns: [..., n] -> [..., 1, n]. */
export const asRow = (v: Prim): Prim => v.unsqueeze(v.ndim - 1);
/** A column of numbers that multiplies rows: [..., n] -> [..., n, 1]. */
export const asColumn = (v: Prim): Prim => v.unsqueeze(v.ndim);

/** The part of a matrix from (row, column) on. */
export const block = (p: Prim, row: number, rows: number, column: number, columns: number): Prim => {
  const n = p.ndim;
  return p.slice(n - 2, row, rows).slice(n - 1, column, columns);
};

/** Rows of `p` by number: out[..., i, :] = p[..., at[..., i], :]. */
export function takeRows(p: Prim, at: Prim): Prim {
  const n = p.ndim;
  const shape = [...batchOf(p), at.shape[at.ndim - 1], colsOf(p)];
  const coords = shape.map((_, axis) => (axis === n - 2 ? at.unsqueeze(n - 1).expand(shape) : iota(shape, axis)));
  return p.lookup(coords);
}

/** A and B with common batch dims. */
export function withCommonBatch(a: Prim, b: Prim): [Prim, Prim] {
  const batch = broadcast([batchOf(a), batchOf(b)]);
  return [a.expand([...batch, rowsOf(a), colsOf(a)]), b.expand([...batch, rowsOf(b), colsOf(b)])];
}

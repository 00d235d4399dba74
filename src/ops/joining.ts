/** Joining, and what arranges several tensors: https://docs.pytorch.org/docs/stable/torch.html#indexing-slicing-joining-mutating-ops */
import { viewBytes } from '../dtype/codec.ts';
import { type DType, getDefaultDtype, int64 } from '../dtype/dtype.ts';
import { promoteTypes } from '../dtype/promotion.ts';
import type { Operator } from '../graph/operator.ts';
import { cat as catPrim } from '../graph/prim.ts';
import { describe } from '../tensor/read.ts';
import { constantsOf, record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { castTo } from './conversion.ts';
import { fromBytes, fullOf } from './creation.ts';
import { declare, overload } from './declare.ts';
import { shapeList, wrapDim } from './dims.ts';
import { takeOf } from './indexing-gather.ts';
import { expandTo, legacyTypeName, reshapeTo, unsqueezeOf } from './shape-base.ts';

const catOperator: Operator<{ axis: number; dtype: DType }> = {
  name: 'cat',
  body: (parts, { constants: { axis, dtype } }) => [
    catPrim(
      parts.map((p) => p.cast(dtype)),
      axis,
    ),
  ],
};

export function catOf(tensors: readonly Tensor[], dim: number): Tensor {
  if (tensors.length === 0) throw new Error('torch.cat(): expected a non-empty list of Tensors');
  tensors.forEach((t, i) => {
    if (t.ndim === 0) throw new Error(`zero-dimensional tensor (at position ${i}) cannot be concatenated`);
  });
  const dtype = tensors.map((t) => t.dtype).reduce(promoteTypes);
  // PyTorch lets empty one-dimensional tensors pass anywhere: here as nothing along the dim.
  const isNothing = (t: Tensor): boolean => t.ndim === 1 && t.view_.shape[0] === 0;
  const first = tensors.find((t) => !isNothing(t)) ?? tensors[0];
  const axis = wrapDim(dim, first.ndim);
  const nothing = first.view_.shape.map((d, i) => (i === axis ? 0 : d));
  const parts = tensors.map((t) => (isNothing(t) && first.ndim > 1 ? reshapeTo(t, nothing) : t));
  parts.forEach((t, i) => {
    if (t.ndim !== first.ndim) throw new Error(`Tensors must have same number of dimensions: got ${first.ndim} and ${t.ndim}`);
    for (let d = 0; d < first.ndim; d++)
      if (d !== axis && t.view_.shape[d] !== first.view_.shape[d])
        throw new Error(
          `Sizes of tensors must match except in dimension ${axis}. Expected size ${first.view_.shape[d]} but got size ${t.view_.shape[d]} for tensor number ${i} in the list.`,
        );
  });
  return record(catOperator as never, parts, { constants: constantsOf(`cat:${axis}:${dtype.name}`, () => ({ axis, dtype })) })[0];
}

export function stackOf(tensors: readonly Tensor[], dim: number): Tensor {
  if (tensors.length === 0) throw new Error('stack expects a non-empty TensorList');
  tensors.forEach((t, i) => {
    if (t.view_.shape.join() !== tensors[0].view_.shape.join())
      throw new Error(
        `stack expects each tensor to be equal size, but got ${shapeList(tensors[0].view_.shape)} at entry 0 and ${shapeList(t.view_.shape)} at entry ${i}`,
      );
  });
  const d = wrapDim(dim, tensors[0].ndim + 1);
  return catOf(
    tensors.map((t) => unsqueezeOf(t, d)),
    d,
  );
}

function atLeast(x: Tensor, dims: 1 | 2 | 3): Tensor {
  const { shape } = x.view_;
  if (shape.length >= dims) return x;
  if (dims === 1) return reshapeTo(x, [1]);
  if (dims === 2) return shape.length === 0 ? reshapeTo(x, [1, 1]) : unsqueezeOf(x, 0);
  if (shape.length === 0) return reshapeTo(x, [1, 1, 1]);
  return shape.length === 1 ? unsqueezeOf(unsqueezeOf(x, 0), 2) : unsqueezeOf(x, 2);
}

function stacked(name: string, tensors: readonly Tensor[], dims: 1 | 2 | 3): Tensor {
  if (tensors.length === 0) throw new Error(`${name} expects a non-empty TensorList`);
  const all = tensors.map((t) => atLeast(t, dims));
  return catOf(all, dims === 1 ? (all[0].ndim === 1 ? 0 : 1) : dims === 2 ? 0 : 2);
}

function columnStack(tensors: readonly Tensor[]): Tensor {
  if (tensors.length === 0) throw new Error('column_stack expects a non-empty TensorList');
  return catOf(
    tensors.map((t) => (t.ndim <= 1 ? reshapeTo(t, [t.view_.numel, 1]) : t)),
    1,
  );
}

function blockDiag(tensors: readonly Tensor[]): Tensor {
  if (tensors.length === 0) return fullOf([1, 0], 0, getDefaultDtype());
  tensors.forEach((t, i) => {
    if (t.ndim > 2) throw new Error(`torch.block_diag: Input tensors must have 2 or fewer dimensions. Input ${i} has ${t.ndim} dimensions`);
  });
  const dtype = tensors.map((t) => t.dtype).reduce(promoteTypes);
  const blocks = tensors.map((t) => castTo(atLeast(t, 2), dtype));
  const width = blocks.reduce((n, b) => n + b.view_.shape[1], 0);
  let left = 0;
  const rows = blocks.map((b) => {
    const [height, own] = b.view_.shape;
    const zeros = (columns: number): Tensor => fullOf([height, columns], 0, dtype, b.device);
    const parts = [zeros(left), b, zeros(width - left - own)].filter((p, i) => i === 1 || p.view_.shape[1] > 0);
    left += own;
    return parts.length === 1 ? parts[0] : catOf(parts, 1);
  });
  return catOf(rows, 0);
}

function meshgridOf(tensors: readonly Tensor[], indexing: string): Tensor[] {
  if (tensors.length === 0) throw new Error('meshgrid expects a non-empty TensorList');
  for (const t of tensors) {
    if (t.ndim > 1)
      throw new Error(
        `torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got: ${describe(t)} [ ${legacyTypeName(t)}{${t.view_.shape.join(',')}} ]`,
      );
    if (t.dtype !== tensors[0].dtype) throw new Error('meshgrid expects all tensors to have the same dtype');
  }
  if (indexing !== 'ij' && indexing !== 'xy')
    throw new Error(`torch.meshgrid: indexing must be one of "xy" or "ij", but received: ${indexing}`);
  const swap = indexing === 'xy' && tensors.length >= 2;
  const order = [...tensors.keys()];
  if (swap) [order[0], order[1]] = [1, 0];
  const shape = order.map((i) => tensors[i].view_.numel);
  return tensors.map((t, i) => {
    const at = order.indexOf(i);
    return expandTo(
      reshapeTo(
        t,
        shape.map((_, d) => (d === at ? -1 : 1)),
      ),
      shape,
    );
  });
}

const isVector = (x: Tensor): void => {
  if (x.ndim !== 1) throw new Error(`Expect a 1D vector, but got shape ${shapeList(x.view_.shape)}`);
};

function cartesianProduct(tensors: readonly Tensor[]): Tensor {
  tensors.forEach(isVector);
  if (tensors.length === 1) return tensors[0];
  return stackOf(
    meshgridOf(tensors, 'ij').map((g) => reshapeTo(g, [-1])),
    1,
  );
}

/** Rows of r indices, ascending; strictly without replacement. */
function combinationRows(n: number, r: number, withReplacement: boolean): number[][] {
  let rows: number[][] = [[]];
  for (let k = 0; k < r; k++)
    rows = rows.flatMap((row) => {
      const from = k === 0 ? 0 : row[k - 1] + (withReplacement ? 0 : 1);
      return [...Array(Math.max(0, n - from)).keys()].map((i) => [...row, from + i]);
    });
  return rows;
}

function combinationsOf(x: Tensor, r: number, withReplacement: boolean): Tensor {
  isVector(x);
  if (r < 0) throw new Error(`Expect a non-negative number, but got ${r}`);
  if (r === 0) return fullOf([0], 0, x.dtype, x.device);
  const rows = combinationRows(x.view_.numel, r, withReplacement);
  const flat = BigInt64Array.from(rows.flat(), BigInt);
  return takeOf(x, fromBytes(viewBytes(flat), [rows.length, r], int64, x.device));
}

/** Each tensor padded to a multiple of the chunks along `dim`, cut into them, and all joined per chunk. */
function chunkCat(tensors: readonly Tensor[], dim: number, chunks: number): Tensor {
  if (tensors.length === 0) throw new Error('_chunk_cat expects a non-empty input tensor list');
  if (chunks < 1) throw new Error('_chunk_cat expects positive num_chunks');
  const axis = wrapDim(dim, tensors[0].ndim);
  const dtype = tensors.map((t) => t.dtype).reduce(promoteTypes);
  return catOf(
    tensors.map((given) => {
      const t = castTo(given, dtype);
      const { shape } = t.view_;
      const extra = (chunks - (shape[axis] % chunks)) % chunks;
      const zeros = shape.map((d, i) => (i === axis ? extra : d));
      const padded = extra === 0 ? t : catOf([t, fullOf(zeros, 0, dtype, t.device)], axis);
      return reshapeTo(padded, [...shape.slice(0, axis), chunks, -1]);
    }),
    axis + 1,
  );
}

const page = (name: string): string => `https://docs.pytorch.org/docs/stable/generated/torch.${name}.html`;
const joined = (name: string): { readonly doc: string; readonly as: 'function' } => ({
  doc: `Tensors joined along a dim. ${page(name)}`,
  as: 'function',
});
const stackedDoc = (name: string, how: string): { readonly doc: string; readonly as: 'function' } => ({
  doc: `Tensors joined ${how}. ${page(name)}`,
  as: 'function',
});

export const joining = {
  cat: declare(
    joined('cat'),
    overload('cat(Tensor[] tensors, int dim=0) -> Tensor', (tensors, dim) => catOf(tensors, dim)),
  ),
  concat: declare(
    joined('concat'),
    overload('concat(Tensor[] tensors, int dim=0) -> Tensor', (tensors, dim) => catOf(tensors, dim)),
  ),
  concatenate: declare(
    joined('concatenate'),
    overload('concatenate(Tensor[] tensors, int dim=0) -> Tensor', (tensors, dim) => catOf(tensors, dim)),
  ),
  stack: declare(
    { doc: `Tensors joined along a new dim. ${page('stack')}`, as: 'function' },
    overload('stack(Tensor[] tensors, int dim=0) -> Tensor', (tensors, dim) => stackOf(tensors, dim)),
  ),
  hstack: declare(
    stackedDoc('hstack', 'column-wise'),
    overload('hstack(Tensor[] tensors) -> Tensor', (tensors) => stacked('hstack', tensors, 1)),
  ),
  vstack: declare(
    stackedDoc('vstack', 'row-wise'),
    overload('vstack(Tensor[] tensors) -> Tensor', (tensors) => stacked('vstack', tensors, 2)),
  ),
  row_stack: declare(
    stackedDoc('row_stack', 'row-wise'),
    overload('row_stack(Tensor[] tensors) -> Tensor', (tensors) => stacked('vstack', tensors, 2)),
  ),
  dstack: declare(
    stackedDoc('dstack', 'depth-wise'),
    overload('dstack(Tensor[] tensors) -> Tensor', (tensors) => stacked('dstack', tensors, 3)),
  ),
  column_stack: declare(
    stackedDoc('column_stack', 'as columns'),
    overload('column_stack(Tensor[] tensors) -> Tensor', (tensors) => columnStack(tensors)),
  ),
  block_diag: declare(
    { doc: `Matrices on a diagonal. ${page('block_diag')}`, as: 'function' },
    overload('block_diag(Tensor[] tensors) -> Tensor', (tensors) => blockDiag(tensors)),
  ),
  cartesian_prod: declare(
    { doc: `All tuples of elements, one from each vector. ${page('cartesian_prod')}`, as: 'function' },
    overload('cartesian_prod(Tensor[] tensors) -> Tensor', (tensors) => cartesianProduct(tensors)),
  ),
  combinations: declare(
    { doc: `All combinations of r elements of a vector. ${page('combinations')}`, as: 'function' },
    overload('combinations(Tensor self, int r=2, bool with_replacement=False) -> Tensor', (x, r, again) => combinationsOf(x, r, again)),
  ),
  meshgrid: declare(
    { doc: `Coordinate grids of vectors. ${page('meshgrid')}`, as: 'function' },
    overload('meshgrid.indexing(Tensor[] tensors, *, str indexing="ij") -> Tensor[]', (tensors, indexing) => meshgridOf(tensors, indexing)),
  ),
  atleast_1d: declare(
    { doc: `A view with at least one dim. ${page('atleast_1d')}`, as: 'function' },
    overload('atleast_1d(Tensor self) -> Tensor', (x) => atLeast(x, 1)),
    overload('atleast_1d.Sequence(Tensor[] tensors) -> Tensor[]', (tensors) => tensors.map((t) => atLeast(t, 1))),
  ),
  atleast_2d: declare(
    { doc: `A view with at least two dims. ${page('atleast_2d')}`, as: 'function' },
    overload('atleast_2d(Tensor self) -> Tensor', (x) => atLeast(x, 2)),
    overload('atleast_2d.Sequence(Tensor[] tensors) -> Tensor[]', (tensors) => tensors.map((t) => atLeast(t, 2))),
  ),
  atleast_3d: declare(
    { doc: `A view with at least three dims. ${page('atleast_3d')}`, as: 'function' },
    overload('atleast_3d(Tensor self) -> Tensor', (x) => atLeast(x, 3)),
    overload('atleast_3d.Sequence(Tensor[] tensors) -> Tensor[]', (tensors) => tensors.map((t) => atLeast(t, 3))),
  ),
  _chunk_cat: declare(
    { doc: 'Tensors cut into chunks along a dim, joined per chunk, missing elements zeros.', as: 'function' },
    overload('_chunk_cat(Tensor[] tensors, int dim, int num_chunks) -> Tensor', (tensors, dim, chunks) => chunkCat(tensors, dim, chunks)),
  ),
};

/** Views: https://docs.pytorch.org/docs/stable/tensor_view.html. Pieces are in `split.ts`, copies in `shape-copies.ts`, moved elements in `rearrange.ts`. */

import { modes } from '../autograd/modes.ts';
import { Tape } from '../autograd/tape.ts';
import { broadcastShapes, numelOf } from '../shape/view.ts';
import { item } from '../tensor/read.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { detached, viewOf } from '../tensor/view-tensor.ts';
import { declare, overload } from './declare.ts';
import { shapeList, wrapDim } from './dims.ts';
import { sizeMismatch } from './elementwise.ts';
import { rearranging } from './rearrange.ts';
import {
  asStridedOf,
  checkedPermute,
  cloneOf,
  contiguousOf,
  copyInFormat,
  diagonalOf,
  expandTo,
  inFormat,
  inferSize,
  matrixTransposeOf,
  narrowOf,
  permuteOf,
  reshapeTo,
  selectOf,
  sliceOf,
  squeezeOf,
  transposeOf,
  unfoldOf,
  unsqueezeOf,
  viewDtype,
  viewTo,
} from './shape-base.ts';
import { viewCopies } from './shape-copies.ts';
import { splitting } from './split.ts';

export { cloneOf, contiguousOf, expandTo, permuteOf, reshapeTo, selectOf, sliceOf, squeezeOf, transposeOf, unsqueezeOf, viewTo };

/** `torch.broadcast_shapes`: shapes and bare sizes. https://docs.pytorch.org/docs/stable/generated/torch.broadcast_shapes.html */
export function broadcast_shapes(...shapes: readonly (readonly number[] | number)[]): number[] {
  let out: readonly number[] = [];
  shapes.forEach((given, at) => {
    const shape = typeof given === 'number' ? [given] : given;
    if (shape.some((d) => d < 0)) throw new RangeError('Attempting to broadcast a dimension with negative length!');
    const common = broadcastShapes(out, shape);
    if (common === null) {
      for (let i = 1; i <= shape.length; i++) {
        const d = shape[shape.length - i];
        const o = out[out.length - i] ?? 1;
        if (d !== 1 && o !== 1 && d !== o)
          throw new Error(
            `Attempting to broadcast a dimension of length ${d} at -${i}! Mismatching argument at index ${at} had (${shape.join(', ')}${shape.length === 1 ? ',' : ''}); but expected shape should be broadcastable to ${shapeList(out)}`,
          );
      }
    }
    out = common!;
  });
  return [...out];
}

/** All expanded to their common shape. */
export function broadcastAll(tensors: readonly Tensor[]): Tensor[] {
  let shape: readonly number[] = [];
  for (const t of tensors) {
    const common = broadcastShapes(shape, t.view_.shape);
    if (common === null) throw sizeMismatch(shape, t.view_.shape);
    shape = common;
  }
  return tensors.map((t) => expandTo(t, shape));
}

function moveDims(x: Tensor, source: readonly number[], destination: readonly number[]): Tensor {
  if (source.length !== destination.length)
    throw new Error(
      `movedim: Invalid source or destination dims: source (${shapeList(source)} dims) should contain the same number of dims as destination (${shapeList(destination)} dims)`,
    );
  const from = source.map((d) => wrapDim(d, x.ndim));
  const to = destination.map((d) => wrapDim(d, x.ndim));
  if (new Set(from).size !== from.length) throw new Error(`movedim: repeated dim in \`source\` (${shapeList(source)})`);
  if (new Set(to).size !== to.length) throw new Error(`movedim: repeated dim in \`destination\` (${shapeList(destination)})`);
  if (x.ndim === 0) return viewOf(x, [], []);
  const order = new Array<number>(x.ndim).fill(-1);
  to.forEach((d, i) => {
    order[d] = from[i];
  });
  const rest = [...Array(x.ndim).keys()].filter((d) => !from.includes(d));
  return permuteOf(
    x,
    order.map((d) => (d >= 0 ? d : rest.shift()!)),
  );
}

function unflattenOf(x: Tensor, dim: number, sizes: readonly number[]): Tensor {
  const d = wrapDim(dim, x.ndim);
  if (sizes.length === 0) throw new Error('unflatten: sizes must be non-empty');
  const { shape } = x.view_;
  const known = numelOf(sizes.filter((s) => s !== -1));
  const fits = sizes.includes(-1) ? (known === 0 ? shape[d] === 0 : shape[d] % known === 0) : known === shape[d];
  if (sizes.filter((s) => s === -1).length > 1) throw new Error('only one dimension can be inferred');
  if (!fits)
    throw new Error(
      `unflatten: Provided sizes ${shapeList(sizes)} don't multiply up to the size of dim ${d} (${shape[d]}) in the input tensor`,
    );
  return viewTo(x, [...shape.slice(0, d), ...inferSize(sizes, shape[d]), ...shape.slice(d + 1)]);
}

function flattenOf(x: Tensor, start: number, end: number): Tensor {
  if (x.ndim === 0) return reshapeTo(x, [1]);
  const a = wrapDim(start, x.ndim);
  const b = wrapDim(end, x.ndim);
  if (a > b) throw new Error('flatten() has invalid args: start_dim cannot come after end_dim');
  const s = x.view_.shape;
  return a === b ? x : reshapeTo(x, [...s.slice(0, a), numelOf(s.slice(a, b + 1)), ...s.slice(b + 1)]);
}

/** The tensor becomes a view of itself: `t_`, `squeeze_`, ... */
function become(x: Tensor, view: (x: Tensor) => Tensor): Tensor {
  if (modes.grad && x.requires_grad && x.is_leaf)
    throw new Error('a leaf Variable that requires grad is being used in an in-place operation.');
  const made = view(x);
  x.view_ = made.view_;
  x.offset = made.offset;
  x.version.count++;
  return x;
}

const page = (name: string): string => `https://docs.pytorch.org/docs/stable/generated/torch.${name}.html`;
const swap = (name: string): string => `Two dims swapped. ${page(name)}`;

export const shape = {
  view: declare(
    { doc: `The same elements with another shape, without a copy. ${page('Tensor.view')}`, as: 'method' },
    overload('view(Tensor self, SymInt[] size) -> Tensor', (x, size) => viewTo(x, size)),
    overload('view.dtype(Tensor self, ScalarType dtype) -> Tensor', (x, dtype) => viewDtype(x, dtype)),
  ),
  view_as: declare(
    { doc: `The shape of another tensor, without a copy. ${page('Tensor.view_as')}`, as: 'method' },
    overload('view_as(Tensor self, Tensor other) -> Tensor', (x, other) => viewTo(x, other.view_.shape)),
  ),
  reshape: declare(
    { doc: `Another shape; a view where possible. ${page('reshape')}` },
    overload('reshape(Tensor self, SymInt[] shape) -> Tensor', (x, size) => reshapeTo(x, size)),
  ),
  reshape_as: declare(
    { doc: `The shape of another tensor; a view where possible. ${page('Tensor.reshape_as')}`, as: 'method' },
    overload('reshape_as(Tensor self, Tensor other) -> Tensor', (x, other) => reshapeTo(x, other.view_.shape)),
  ),
  flatten: declare(
    { doc: `Several dims made one. ${page('flatten')}` },
    overload('flatten.using_ints(Tensor self, int start_dim=0, int end_dim=-1) -> Tensor', (x, start, end) => flattenOf(x, start, end)),
  ),
  unflatten: declare(
    { doc: `One dim made several; one size may be -1. ${page('unflatten')}` },
    overload('unflatten.int(Tensor self, int dim, SymInt[] sizes) -> Tensor', (x, dim, sizes) => unflattenOf(x, dim, sizes)),
  ),
  ravel: declare(
    { doc: `All elements in one dim. ${page('ravel')}` },
    overload('ravel(Tensor self) -> Tensor', (x) => viewTo(contiguousOf(x), [-1])),
  ),
  permute: declare(
    { doc: `Dims in another order. ${page('permute')}` },
    overload('permute(Tensor self, int[] dims) -> Tensor', (x, dims) => checkedPermute(x, dims)),
  ),
  transpose: declare(
    { doc: swap('transpose') },
    overload('transpose.int(Tensor self, int dim0, int dim1) -> Tensor', (x, a, b) => transposeOf(x, a, b)),
  ),
  transpose_: declare(
    { doc: swap('Tensor.transpose_'), as: 'method' },
    overload('transpose_(Tensor self, int dim0, int dim1) -> Tensor', (x, a, b) => become(x, (y) => transposeOf(y, a, b))),
  ),
  swapaxes: declare(
    { doc: swap('swapaxes') },
    overload('swapaxes(Tensor self, int axis0, int axis1) -> Tensor', (x, a, b) => transposeOf(x, a, b)),
  ),
  swapaxes_: declare(
    { doc: swap('swapaxes'), as: 'method' },
    overload('swapaxes_(Tensor self, int axis0, int axis1) -> Tensor', (x, a, b) => become(x, (y) => transposeOf(y, a, b))),
  ),
  swapdims: declare(
    { doc: swap('swapdims') },
    overload('swapdims(Tensor self, int dim0, int dim1) -> Tensor', (x, a, b) => transposeOf(x, a, b)),
  ),
  swapdims_: declare(
    { doc: swap('swapdims'), as: 'method' },
    overload('swapdims_(Tensor self, int dim0, int dim1) -> Tensor', (x, a, b) => become(x, (y) => transposeOf(y, a, b))),
  ),
  movedim: declare(
    { doc: `Dims moved to other positions. ${page('movedim')}` },
    overload('movedim.int(Tensor self, int source, int destination) -> Tensor', (x, from, to) => moveDims(x, [from], [to])),
    overload('movedim.intlist(Tensor self, int[] source, int[] destination) -> Tensor', (x, from, to) => moveDims(x, from, to)),
  ),
  moveaxis: declare(
    { doc: `Dims moved to other positions. ${page('moveaxis')}` },
    overload('moveaxis.int(Tensor self, int source, int destination) -> Tensor', (x, from, to) => moveDims(x, [from], [to])),
    overload('moveaxis.intlist(Tensor self, int[] source, int[] destination) -> Tensor', (x, from, to) => moveDims(x, from, to)),
  ),
  t: declare(
    { doc: `A matrix transposed. ${page('t')}` },
    overload('t(Tensor self) -> Tensor', (x) => matrixTransposeOf(x)),
  ),
  t_: declare(
    { doc: `A matrix transposed. ${page('Tensor.t_')}`, as: 'method' },
    overload('t_(Tensor self) -> Tensor', (x) => become(x, matrixTransposeOf)),
  ),
  expand: declare(
    { doc: `Dims of size 1 repeated, without a copy. ${page('Tensor.expand')}`, as: 'method' },
    overload('expand(Tensor self, SymInt[] size, *, bool implicit=False) -> Tensor', (x, size) => expandTo(x, size)),
  ),
  expand_as: declare(
    { doc: `Expanded to the shape of another tensor. ${page('Tensor.expand_as')}`, as: 'method' },
    overload('expand_as(Tensor self, Tensor other) -> Tensor', (x, other) => expandTo(x, other.view_.shape)),
  ),
  broadcast_to: declare(
    { doc: `Expanded to a shape. ${page('broadcast_to')}` },
    overload('broadcast_to(Tensor self, SymInt[] size) -> Tensor', (x, size) => expandTo(x, size)),
  ),
  broadcast_tensors: declare(
    { doc: `All expanded to their common shape. ${page('broadcast_tensors')}`, as: 'function' },
    overload('broadcast_tensors(Tensor[] tensors) -> Tensor[]', (tensors) => broadcastAll(tensors)),
  ),
  unsqueeze: declare(
    { doc: `A new dim of size 1. ${page('unsqueeze')}` },
    overload('unsqueeze(Tensor self, int dim) -> Tensor', (x, dim) => unsqueezeOf(x, dim)),
  ),
  unsqueeze_: declare(
    { doc: `A new dim of size 1. ${page('Tensor.unsqueeze_')}`, as: 'method' },
    overload('unsqueeze_(Tensor self, int dim) -> Tensor', (x, dim) => become(x, (y) => unsqueezeOf(y, dim))),
  ),
  squeeze: declare(
    { doc: `Without dims of size 1. ${page('squeeze')}` },
    overload('squeeze(Tensor self) -> Tensor', (x) => squeezeOf(x, null)),
    overload('squeeze.dim(Tensor self, int dim) -> Tensor', (x, dim) => squeezeOf(x, [dim])),
    overload('squeeze.dims(Tensor self, int[] dim) -> Tensor', (x, dim) => squeezeOf(x, dim)),
  ),
  squeeze_: declare(
    { doc: `Without dims of size 1. ${page('Tensor.squeeze_')}`, as: 'method' },
    overload('squeeze_(Tensor self) -> Tensor', (x) => become(x, (y) => squeezeOf(y, null))),
    overload('squeeze_.dim(Tensor self, int dim) -> Tensor', (x, dim) => become(x, (y) => squeezeOf(y, [dim]))),
    overload('squeeze_.dims(Tensor self, int[] dim) -> Tensor', (x, dim) => become(x, (y) => squeezeOf(y, dim))),
  ),
  select: declare(
    { doc: `One index of a dim, which goes away. ${page('select')}` },
    overload('select.int(Tensor self, int dim, SymInt index) -> Tensor', (x, dim, index) => selectOf(x, dim, index)),
  ),
  narrow: declare(
    { doc: `\`length\` elements of a dim from \`start\`. ${page('narrow')}` },
    overload('narrow(Tensor self, int dim, SymInt start, SymInt length) -> Tensor', (x, dim, start, length) =>
      narrowOf(x, dim, start, length),
    ),
    overload('narrow.Tensor(Tensor self, int dim, Tensor start, SymInt length) -> Tensor', (x, dim, start, length) => {
      if (start.ndim !== 0 || start.dtype.kind !== 'int') throw new Error('start must be an 0-dim integral Tensor.');
      return narrowOf(x, dim, Number(item(detached(start))), length);
    }),
  ),
  diagonal: declare(
    { doc: `Elements where two dims have equal indices, as a view. ${page('diagonal')}` },
    overload('diagonal(Tensor self, int offset=0, int dim1=0, int dim2=1) -> Tensor', (x, offset, a, b) => diagonalOf(x, offset, a, b)),
  ),
  as_strided: declare(
    { doc: `Any window of the storage. ${page('as_strided')}` },
    overload('as_strided(Tensor self, SymInt[] size, SymInt[] stride, SymInt? storage_offset=None) -> Tensor', (x, size, stride, offset) =>
      asStridedOf(x, size, stride, offset),
    ),
  ),
  as_strided_: declare(
    { doc: `Any window of the storage. ${page('as_strided')}` },
    overload('as_strided_(Tensor self, SymInt[] size, SymInt[] stride, SymInt? storage_offset=None) -> Tensor', (x, size, stride, offset) =>
      become(x, (y) => asStridedOf(y, size, stride, offset)),
    ),
  ),
  unfold: declare(
    { doc: `Windows along a dim, as a view with their elements as a last dim. ${page('Tensor.unfold')}`, as: 'method' },
    overload('unfold(Tensor self, int dimension, int size, int step) -> Tensor', (x, dim, size, step) => unfoldOf(x, dim, size, step)),
  ),
  alias: declare(
    { doc: 'A view of all elements.', as: 'method' },
    overload('alias(Tensor self) -> Tensor', (x) => viewOf(x, x.view_.shape, x.view_.strides)),
  ),
  clone: declare(
    { doc: `A copy. ${page('clone')}` },
    overload('clone(Tensor self, *, MemoryFormat? memory_format=None) -> Tensor', (x, format) => copyInFormat(x, format)),
  ),
  contiguous: declare(
    { doc: `In a memory format (row-major): itself or a copy. ${page('Tensor.contiguous')}`, as: 'method' },
    overload('contiguous(Tensor self, *, MemoryFormat memory_format=contiguous_format) -> Tensor', (x, format) => inFormat(x, format)),
  ),
  detach: declare(
    { doc: `The same memory off the tape. ${page('Tensor.detach')}` },
    overload('detach(Tensor self) -> Tensor', (x) => detached(x)),
  ),
  detach_: declare(
    { doc: `Taken off the tape. ${page('Tensor.detach_')}` },
    overload('detach_(Tensor self) -> Tensor', (x) => {
      x.tape = new Tape(null, 0, null);
      return x;
    }),
  ),
  ...splitting,
  ...viewCopies,
  ...rearranging,
};

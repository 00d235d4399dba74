/** Pieces along a dim, as views: https://docs.pytorch.org/docs/stable/generated/torch.split.html */
import { scalarTypeName } from '../dtype/promotion.ts';
import { markMultiView } from '../tensor/multi-view.ts';
import { tolist } from '../tensor/read.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { detached } from '../tensor/view-tensor.ts';
import { declare, overload } from './declare.ts';
import { shapeList, wrapDim } from './dims.ts';
import { selectOf, sliceOf } from './shape-base.ts';

/** Consecutive pieces of these sizes. */
function piecesOf(x: Tensor, sizes: readonly number[], dim: number): Tensor[] {
  let at = 0;
  return sizes.map((n) => {
    const piece = sliceOf(x, dim, at, at + n);
    at += n;
    return piece;
  });
}

export function splitEvery(x: Tensor, size: number, dim: number): Tensor[] {
  if (x.ndim === 0) throw new Error('split expects at least a 1-dimensional tensor');
  if (size < 0) throw new Error(`split expects split_size be non-negative, but got split_size=${size}`);
  const d = wrapDim(dim, x.ndim);
  const extent = x.view_.shape[d];
  if (size === 0 && extent !== 0) throw new Error(`split_size can only be 0 if dimension size is 0, but got dimension size of ${extent}`);
  const sizes: number[] = [];
  for (let at = 0; at < extent; at += size) sizes.push(Math.min(size, extent - at));
  return piecesOf(x, sizes.length === 0 ? [0] : sizes, d);
}

export function splitSizes(x: Tensor, sizes: readonly number[], dim: number): Tensor[] {
  if (x.ndim === 0) throw new Error('split expects at least a 1-dimensional tensor');
  const d = wrapDim(dim, x.ndim);
  const extent = x.view_.shape[d];
  if (sizes.some((s) => s < 0))
    throw new Error(`split_with_sizes expects split_sizes have only non-negative entries, but got split_sizes=${shapeList(sizes)}`);
  if (sizes.reduce((a, b) => a + b, 0) !== extent)
    throw new Error(
      `split_with_sizes expects split_sizes to sum exactly to ${extent} (input tensor's size at dimension ${d}), but got split_sizes=${shapeList(sizes)}`,
    );
  return piecesOf(x, sizes, d);
}

function chunksOf(x: Tensor, chunks: number, dim: number): Tensor[] {
  if (x.ndim === 0) throw new Error('chunk expects at least a 1-dimensional tensor');
  if (chunks <= 0) throw new Error(`chunk expects \`chunks\` to be greater than 0, got: ${chunks}`);
  const d = wrapDim(dim, x.ndim);
  const extent = x.view_.shape[d];
  if (extent === 0) return piecesOf(x, new Array<number>(chunks).fill(0), d);
  return splitEvery(x, Math.ceil(extent / chunks), d);
}

/** `sections` nearly equal pieces, the longer ones first. */
function sectionsOf(x: Tensor, sections: number, dim: number): Tensor[] {
  checkTensorSplit(x);
  const d = wrapDim(dim, x.ndim);
  if (sections <= 0) throw new Error(`number of sections must be larger than 0, got ${sections}`);
  const extent = x.view_.shape[d];
  const small = Math.floor(extent / sections);
  const sizes = [...Array(sections).keys()].map((i) => small + (i < extent % sections ? 1 : 0));
  return piecesOf(x, sizes, d);
}

/** Pieces between these positions, as Python's slices read them. */
function atPositions(x: Tensor, positions: readonly number[], dim: number): Tensor[] {
  checkTensorSplit(x);
  const d = wrapDim(dim, x.ndim);
  return [...positions, null].map((end, i) => sliceOf(x, d, i === 0 ? 0 : positions[i - 1], end));
}

function checkTensorSplit(x: Tensor): void {
  if (x.ndim === 0) throw new Error('tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims');
}

function splitByTensor(x: Tensor, at: Tensor, dim: number): Tensor[] {
  if (at.dtype.name !== 'int64')
    throw new Error(`tensor_split expected tensor_indices_or_sections to have dtype of long, but got ${scalarTypeName(at.dtype)}`);
  if (at.ndim > 1)
    throw new Error(
      `tensor_split expected tensor_indices_or_sections to be a zero-dimensional or one-dimensional tensor, but got a tensor with ${at.ndim} dims`,
    );
  const values = tolist(detached(at)) as number | number[];
  return typeof values === 'number' ? sectionsOf(x, values, dim) : atPositions(x, values, dim);
}

/** hsplit, vsplit, dsplit: `tensor_split` along a fixed dim, where a number of sections must divide it. */
function fixedSplit(name: 'hsplit' | 'vsplit' | 'dsplit', x: Tensor, at: number | readonly number[]): Tensor[] {
  const least = { hsplit: 1, vsplit: 2, dsplit: 3 }[name];
  if (x.ndim < least)
    throw new Error(`torch.${name} requires a tensor with at least ${least} dimension, but got a tensor with ${x.ndim} dimensions!`);
  const dim = name === 'hsplit' ? (x.ndim === 1 ? 0 : 1) : name === 'vsplit' ? 0 : 2;
  if (typeof at !== 'number') return atPositions(x, at, dim);
  const extent = x.view_.shape[dim];
  if (at === 0 || extent % at !== 0)
    throw new Error(
      `torch.${name} attempted to split along dimension ${dim}, but the size of the dimension ${extent} is not divisible by the split_size ${at}!`,
    );
  return sectionsOf(x, at, dim);
}

export function unbindOf(x: Tensor, dim: number): Tensor[] {
  if (x.ndim === 0) throw new RangeError(`Dimension specified as ${dim} but tensor has no dimensions`);
  const d = wrapDim(dim, x.ndim);
  const out = new Array<Tensor>(x.view_.shape[d]);
  for (let i = 0; i < out.length; i++) out[i] = selectOf(x, d, i);
  return out;
}

const page = (name: string): string => `https://docs.pytorch.org/docs/stable/generated/torch.${name}.html`;

export const splitting = {
  split: declare(
    { doc: `Pieces along a dim, as views. ${page('split')}` },
    overload('split.Tensor(Tensor self, SymInt split_size, int dim=0) -> Tensor[]', (x, size, dim) =>
      markMultiView(splitEvery(x, size, dim), 'SplitBackward0'),
    ),
    overload('split.sizes(Tensor self, SymInt[] split_size, int dim=0) -> Tensor[]', (x, sizes, dim) =>
      markMultiView(splitSizes(x, sizes, dim), 'SplitWithSizesBackward0'),
    ),
  ),
  split_with_sizes: declare(
    { doc: `Pieces of given sizes, as views. ${page('split')}` },
    overload('split_with_sizes(Tensor self, SymInt[] split_sizes, int dim=0) -> Tensor[]', (x, sizes, dim) =>
      markMultiView(splitSizes(x, sizes, dim), 'SplitWithSizesBackward0'),
    ),
  ),
  unsafe_split: declare(
    { doc: `As \`split\`. ${page('unsafe_split')}` },
    overload('unsafe_split.Tensor(Tensor self, SymInt split_size, int dim=0) -> Tensor[]', (x, size, dim) => splitEvery(x, size, dim)),
  ),
  unsafe_split_with_sizes: declare(
    { doc: `As \`split_with_sizes\`. ${page('unsafe_split')}` },
    overload('unsafe_split_with_sizes(Tensor self, SymInt[] split_sizes, int dim=0) -> Tensor[]', (x, sizes, dim) =>
      splitSizes(x, sizes, dim),
    ),
  ),
  chunk: declare(
    { doc: `At most \`chunks\` pieces along a dim. ${page('chunk')}` },
    overload('chunk(Tensor self, int chunks, int dim=0) -> Tensor[]', (x, chunks, dim) =>
      markMultiView(chunksOf(x, chunks, dim), 'SplitBackward0'),
    ),
  ),
  unsafe_chunk: declare(
    { doc: `As \`chunk\`. ${page('unsafe_chunk')}` },
    overload('unsafe_chunk(Tensor self, int chunks, int dim=0) -> Tensor[]', (x, chunks, dim) => chunksOf(x, chunks, dim)),
  ),
  tensor_split: declare(
    { doc: `Nearly equal pieces, or pieces between positions. ${page('tensor_split')}` },
    overload('tensor_split.sections(Tensor self, SymInt sections, int dim=0) -> Tensor[]', (x, sections, dim) =>
      sectionsOf(x, sections, dim),
    ),
    overload('tensor_split.indices(Tensor self, SymInt[] indices, int dim=0) -> Tensor[]', (x, indices, dim) =>
      atPositions(x, indices, dim),
    ),
    overload(
      'tensor_split.tensor_indices_or_sections(Tensor self, Tensor tensor_indices_or_sections, int dim=0) -> Tensor[]',
      (x, at, dim) => splitByTensor(x, at, dim),
    ),
  ),
  hsplit: declare(
    { doc: `\`tensor_split\` along columns. ${page('hsplit')}` },
    overload('hsplit.int(Tensor self, int sections) -> Tensor[]', (x, sections) => fixedSplit('hsplit', x, sections)),
    overload('hsplit.array(Tensor self, int[] indices) -> Tensor[]', (x, indices) => fixedSplit('hsplit', x, indices)),
  ),
  vsplit: declare(
    { doc: `\`tensor_split\` along rows. ${page('vsplit')}` },
    overload('vsplit.int(Tensor self, int sections) -> Tensor[]', (x, sections) => fixedSplit('vsplit', x, sections)),
    overload('vsplit.array(Tensor self, int[] indices) -> Tensor[]', (x, indices) => fixedSplit('vsplit', x, indices)),
  ),
  dsplit: declare(
    { doc: `\`tensor_split\` along the third dim. ${page('dsplit')}` },
    overload('dsplit.int(Tensor self, int sections) -> Tensor[]', (x, sections) => fixedSplit('dsplit', x, sections)),
    overload('dsplit.array(Tensor self, int[] indices) -> Tensor[]', (x, indices) => fixedSplit('dsplit', x, indices)),
  ),
  unbind: declare(
    { doc: `All indices of a dim, as views. ${page('unbind')}` },
    overload('unbind.int(Tensor self, int dim=0) -> Tensor[]', (x, dim) => markMultiView(unbindOf(x, dim), 'UnbindBackward0')),
  ),
};

/** Names of torch.ops.aten only. */
export const atenSplitting = {
  slice: declare(
    { doc: 'x[..., start:end:step, ...] along a dim, as a view.', as: 'function' },
    overload(
      'slice.Tensor(Tensor self, int dim=0, SymInt? start=None, SymInt? end=None, SymInt step=1) -> Tensor',
      (x, dim, start, end, step) => sliceOf(x, dim, start, end, step),
    ),
  ),
};

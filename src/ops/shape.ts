/** Views and other operators that only move elements: https://docs.pytorch.org/docs/stable/torch.html#indexing-slicing-joining-mutating-ops */

import type { DType } from '../dtype/dtype.ts';
import { promoteTypes } from '../dtype/promotion.ts';
import type { Operator } from '../graph/operator.ts';
import { cat as catPrim } from '../graph/prim.ts';
import { contiguousStrides, makeView, numelOf, reshapeStrides } from '../shape/view.ts';
import { constantsOf, record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { detached, viewAs, viewOf } from '../tensor/view-tensor.ts';
import { declare, overload } from './declare.ts';
import { shapeList, wrapDim } from './dims.ts';

/** The target of view/reshape with its one -1 filled in. */
export function inferSize(shape: readonly number[], numel: number): number[] {
  const at = shape.indexOf(-1);
  const known = shape.reduce((n, d) => (d === -1 ? n : n * d), 1);
  if (shape.filter((d) => d === -1).length > 1) throw new Error('only one dimension can be inferred');
  for (const d of shape) if (d < -1) throw new Error(`invalid shape dimension ${d}`);
  if (at < 0) {
    if (known !== numel) throw new Error(`shape '${shapeList(shape)}' is invalid for input of size ${numel}`);
    return [...shape];
  }
  if (known === 0) {
    if (numel === 0)
      throw new Error(
        `cannot reshape tensor of 0 elements into shape ${shapeList(shape)} because the unspecified dimension size -1 can be any value and is ambiguous`,
      );
    throw new Error(`shape '${shapeList(shape)}' is invalid for input of size ${numel}`);
  }
  if (numel % known !== 0) throw new Error(`shape '${shapeList(shape)}' is invalid for input of size ${numel}`);
  return shape.map((d, i) => (i === at ? numel / known : d));
}

const copyOperator: Operator = { name: 'clone', body: ([x]) => [x] };
const copyKeepingLayout: Operator = { name: 'clone', layout: 'elementwise', body: ([x]) => [x] };

/** A copy in row-major order, or the tensor itself if it is that already. */
export function contiguousOf(x: Tensor): Tensor {
  return x.view_.contiguous ? x : record(copyOperator, [x])[0];
}
export const cloneOf = (x: Tensor): Tensor => record(copyKeepingLayout, [x])[0];

export function permuteOf(x: Tensor, order: readonly number[]): Tensor {
  return viewOf(
    x,
    order.map((d) => x.view_.shape[d]),
    order.map((d) => x.view_.strides[d]),
  );
}

export function viewTo(x: Tensor, shape: readonly number[]): Tensor {
  const target = inferSize(shape, x.view_.numel);
  const strides = reshapeStrides(x.view_.shape, x.view_.strides, target);
  if (strides === null)
    throw new Error(
      "view size is not compatible with input tensor's size and stride (at least one dimension spans across two contiguous subspaces). Use .reshape(...) instead.",
    );
  return viewOf(x, target, strides);
}

/** The same bytes as another dtype; where the sizes differ the last dim grows or shrinks. */
export function viewDtype(x: Tensor, dtype: DType): Tensor {
  const from = x.dtype.itemsize;
  const to = dtype.itemsize;
  const { shape, strides } = x.view_;
  if (from === to) return viewAs(x, makeView(dtype, x.device, shape, strides), x.offset);
  if (x.ndim === 0) throw new Error(`self.dim() cannot be 0 to view ${x.dtype} as ${dtype} (different element sizes)`);
  if (strides[x.ndim - 1] !== 1)
    throw new Error(`self.stride(-1) must be 1 to view ${x.dtype} as ${dtype} (different element sizes), but got ${strides[x.ndim - 1]}`);
  const scaled = (n: number): number => (n * from) / to;
  const last = x.ndim - 1;
  if (
    !Number.isInteger(scaled(shape[last])) ||
    !Number.isInteger(scaled(x.offset)) ||
    strides.some((s, i) => i !== last && !Number.isInteger(scaled(s)))
  )
    throw new Error(
      `self.size(-1) must be divisible by ${to / from} to view ${x.dtype} as ${dtype} (different element sizes), but got ${shape[last]}`,
    );
  const view = makeView(
    dtype,
    x.device,
    shape.map((d, i) => (i === last ? scaled(d) : d)),
    strides.map((d, i) => (i === last ? 1 : scaled(d))),
  );
  return viewAs(x, view, scaled(x.offset));
}

export function reshapeTo(x: Tensor, shape: readonly number[]): Tensor {
  const target = inferSize(shape, x.view_.numel);
  const strides = reshapeStrides(x.view_.shape, x.view_.strides, target);
  return strides === null ? viewOf(contiguousOf(x), target, contiguousStrides(target)) : viewOf(x, target, strides);
}

export function expandTo(x: Tensor, size: readonly number[]): Tensor {
  const { shape, strides } = x.view_;
  const lead = size.length - shape.length;
  if (lead < 0)
    throw new Error(
      `expand(${x.dtype}{${shapeList(shape)}}, size=${shapeList(size)}): the number of sizes provided (${size.length}) must be greater or equal to the number of dimensions in the tensor (${shape.length})`,
    );
  const outShape: number[] = [];
  const outStrides: number[] = [];
  size.forEach((d, i) => {
    const at = i - lead;
    if (at < 0) {
      if (d < 0) throw new Error(`The expanded size of the tensor (${d}) isn't allowed in a leading, non-existing dimension ${i}`);
      outShape.push(d);
      outStrides.push(0);
    } else if (d === -1 || d === shape[at]) {
      outShape.push(shape[at]);
      outStrides.push(strides[at]);
    } else if (shape[at] === 1) {
      outShape.push(d);
      outStrides.push(0);
    } else
      throw new Error(
        `The expanded size of the tensor (${d}) must match the existing size (${shape[at]}) at non-singleton dimension ${i}.  Target sizes: ${shapeList(size)}.  Tensor sizes: ${shapeList(shape)}`,
      );
  });
  return viewOf(x, outShape, outStrides);
}

/** x[..., start:end:step, ...] along `dim`; bounds as Python clips them. */
export function sliceOf(x: Tensor, dim: number, start: number | null, end: number | null, step = 1): Tensor {
  const d = wrapDim(dim, x.ndim);
  if (x.ndim === 0) throw new Error('slice() cannot be applied to a 0-dim tensor.');
  if (step <= 0) throw new Error('slice step must be positive');
  const size = x.view_.shape[d];
  const clip = (v: number): number => Math.min(Math.max(v < 0 ? v + size : v, 0), size);
  const from = clip(start ?? 0);
  const to = Math.max(from, clip(end ?? size));
  const { shape, strides } = x.view_;
  return viewOf(
    x,
    shape.map((n, i) => (i === d ? Math.ceil((to - from) / step) : n)),
    strides.map((s, i) => (i === d ? s * step : s)),
    from * strides[d],
  );
}

export function selectOf(x: Tensor, dim: number, index: number): Tensor {
  if (x.ndim === 0) throw new Error('select() cannot be applied to a 0-dim tensor.');
  const d = wrapDim(dim, x.ndim);
  const size = x.view_.shape[d];
  if (index < -size || index >= size)
    throw new RangeError(`select(): index ${index} out of range for tensor of size ${shapeList(x.view_.shape)} at dimension ${d}`);
  const at = index < 0 ? index + size : index;
  const { shape, strides } = x.view_;
  return viewOf(
    x,
    shape.filter((_, i) => i !== d),
    strides.filter((_, i) => i !== d),
    at * strides[d],
  );
}

export function unsqueezeOf(x: Tensor, dim: number): Tensor {
  const n = x.ndim + 1;
  const d = wrapDim(dim, n);
  const { shape, strides } = x.view_;
  const stride = d < x.ndim ? shape[d] * strides[d] : 1;
  return viewOf(x, [...shape.slice(0, d), 1, ...shape.slice(d)], [...strides.slice(0, d), stride, ...strides.slice(d)]);
}

export function squeezeOf(x: Tensor, dims: readonly number[] | null): Tensor {
  const drop = dims === null ? null : dims.map((d) => wrapDim(d, x.ndim));
  const keep = [...x.view_.shape.keys()].filter((i) => x.view_.shape[i] !== 1 || (drop !== null && !drop.includes(i)));
  return viewOf(
    x,
    keep.map((i) => x.view_.shape[i]),
    keep.map((i) => x.view_.strides[i]),
  );
}

export function transposeOf(x: Tensor, dim0: number, dim1: number): Tensor {
  const a = wrapDim(dim0, x.ndim);
  const b = wrapDim(dim1, x.ndim);
  const order = [...Array(x.ndim).keys()];
  if (x.ndim > 0) [order[a], order[b]] = [order[b], order[a]];
  return permuteOf(x, order);
}

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
  // PyTorch lets empty one-dimensional tensors pass anywhere.
  const parts = tensors.filter((t) => !(t.ndim === 1 && t.view_.shape[0] === 0));
  if (parts.length === 0) return tensors[0];
  const first = parts[0];
  tensors.forEach((t, i) => {
    if (t.ndim === 0) throw new Error(`zero-dimensional tensor (at position ${i}) cannot be concatenated`);
  });
  const axis = wrapDim(dim, first.ndim);
  parts.forEach((t, i) => {
    if (t.ndim !== first.ndim) throw new Error(`Tensors must have same number of dimensions: got ${first.ndim} and ${t.ndim}`);
    for (let d = 0; d < first.ndim; d++)
      if (d !== axis && t.view_.shape[d] !== first.view_.shape[d])
        throw new Error(
          `Sizes of tensors must match except in dimension ${axis}. Expected size ${first.view_.shape[d]} but got size ${t.view_.shape[d]} for tensor number ${i} in the list.`,
        );
  });
  const dtype = parts.map((t) => t.dtype).reduce(promoteTypes);
  return record(catOperator as never, parts, { constants: constantsOf(`cat:${axis}:${dtype.name}`, () => ({ axis, dtype })) })[0];
}

export const splitSizes = (size: number, chunk: number): number[] => {
  const out: number[] = [];
  for (let at = 0; at < size; at += chunk) out.push(Math.min(chunk, size - at));
  return out.length === 0 ? [0] : out;
};
export function splitOf(x: Tensor, sizes: readonly number[], dim: number): Tensor[] {
  const d = wrapDim(dim, x.ndim);
  let at = 0;
  return sizes.map((n) => {
    const piece = sliceOf(x, d, at, at + n);
    at += n;
    return piece;
  });
}

export const shape = {
  view: declare(
    {
      doc: 'The same elements with another shape, without a copy. https://docs.pytorch.org/docs/stable/generated/torch.Tensor.view.html',
      as: 'method',
    },
    overload('view(Tensor self, SymInt[] size) -> Tensor', (x, size) => viewTo(x, size)),
    overload('view.dtype(Tensor self, ScalarType dtype) -> Tensor', (x, dtype) => viewDtype(x, dtype)),
  ),
  reshape: declare(
    { doc: 'Another shape; a view where possible. https://docs.pytorch.org/docs/stable/generated/torch.reshape.html' },
    overload('reshape(Tensor self, SymInt[] shape) -> Tensor', (x, size) => reshapeTo(x, size)),
  ),
  permute: declare(
    { doc: 'Dims in another order. https://docs.pytorch.org/docs/stable/generated/torch.permute.html' },
    overload('permute(Tensor self, int[] dims) -> Tensor', (x, dims) => {
      if (dims.length !== x.ndim)
        throw new Error(
          `permute(sparse_coo): number of dimensions in the tensor input does not match the length of the desired ordering of dimensions i.e. input.dim() = ${x.ndim} is not equal to len(dims) = ${dims.length}`,
        );
      const order = dims.map((d) => wrapDim(d, x.ndim));
      if (new Set(order).size !== order.length) throw new Error('permute(): duplicate dims are not allowed.');
      return permuteOf(x, order);
    }),
  ),
  transpose: declare(
    { doc: 'Two dims swapped. https://docs.pytorch.org/docs/stable/generated/torch.transpose.html' },
    overload('transpose.int(Tensor self, int dim0, int dim1) -> Tensor', (x, a, b) => transposeOf(x, a, b)),
  ),
  t: declare(
    { doc: 'A matrix transposed. https://docs.pytorch.org/docs/stable/generated/torch.t.html' },
    overload('t(Tensor self) -> Tensor', (x) => {
      if (x.ndim > 2) throw new Error(`t() expects a tensor with <= 2 dimensions, but self is ${x.ndim}D`);
      return x.ndim < 2 ? x : transposeOf(x, 0, 1);
    }),
  ),
  expand: declare(
    {
      doc: 'Dims of size 1 repeated, without a copy. https://docs.pytorch.org/docs/stable/generated/torch.Tensor.expand.html',
      as: 'method',
    },
    overload('expand(Tensor self, SymInt[] size, *, bool implicit=False) -> Tensor', (x, size) => expandTo(x, size)),
  ),
  unsqueeze: declare(
    { doc: 'A new dim of size 1. https://docs.pytorch.org/docs/stable/generated/torch.unsqueeze.html' },
    overload('unsqueeze(Tensor self, int dim) -> Tensor', (x, dim) => unsqueezeOf(x, dim)),
  ),
  squeeze: declare(
    { doc: 'Without dims of size 1. https://docs.pytorch.org/docs/stable/generated/torch.squeeze.html' },
    overload('squeeze.dim(Tensor self, int dim) -> Tensor', (x, dim) => squeezeOf(x, [dim])),
    overload('squeeze.dims(Tensor self, int[] dim) -> Tensor', (x, dim) => squeezeOf(x, dim)),
    overload('squeeze(Tensor self) -> Tensor', (x) => squeezeOf(x, null)),
  ),
  select: declare(
    { doc: 'One index of a dim, which goes away. https://docs.pytorch.org/docs/stable/generated/torch.select.html' },
    overload('select.int(Tensor self, int dim, SymInt index) -> Tensor', (x, dim, index) => selectOf(x, dim, index)),
  ),
  narrow: declare(
    { doc: '`length` elements of a dim from `start`. https://docs.pytorch.org/docs/stable/generated/torch.narrow.html' },
    overload('narrow(Tensor self, int dim, SymInt start, SymInt length) -> Tensor', (x, dim, start, length) => {
      const d = wrapDim(dim, x.ndim);
      const size = x.view_.shape[d];
      const from = start < 0 ? start + size : start;
      if (length < 0) throw new Error('narrow(): length must be non-negative.');
      if (start < -size || start > size)
        throw new RangeError(`start out of range (expected to be in range of [${-size}, ${size}], but got ${start})`);
      if (from + length > size) throw new Error(`start (${from}) + length (${length}) exceeds dimension size (${size}).`);
      return sliceOf(x, d, from, from + length);
    }),
  ),
  split: declare(
    { doc: 'Pieces along a dim, as views. https://docs.pytorch.org/docs/stable/generated/torch.split.html' },
    overload('split.Tensor(Tensor self, SymInt split_size, int dim=0) -> Tensor[]', (x, size, dim) => {
      if (size < 0) throw new Error(`split expects split_size be non-negative, but got split_size=${size}`);
      return splitOf(x, splitSizes(x.view_.shape[wrapDim(dim, x.ndim)], size), dim);
    }),
    overload('split.sizes(Tensor self, SymInt[] split_size, int dim=0) -> Tensor[]', (x, sizes, dim) => {
      const total = sizes.reduce((a, b) => a + b, 0);
      const size = x.view_.shape[wrapDim(dim, x.ndim)];
      if (total !== size)
        throw new Error(
          `split_with_sizes expects split_sizes to sum exactly to ${size} (input tensor's size at dimension ${wrapDim(dim, x.ndim)}), but got split_sizes=${shapeList(sizes)}`,
        );
      return splitOf(x, sizes, dim);
    }),
  ),
  chunk: declare(
    { doc: 'At most `chunks` pieces along a dim. https://docs.pytorch.org/docs/stable/generated/torch.chunk.html' },
    overload('chunk(Tensor self, int chunks, int dim=0) -> Tensor[]', (x, chunks, dim) => {
      if (chunks <= 0) throw new Error(`chunk expects \`chunks\` to be greater than 0, got: ${chunks}`);
      const size = x.view_.shape[wrapDim(dim, x.ndim)];
      return splitOf(x, splitSizes(size, Math.max(1, Math.ceil(size / chunks))), dim);
    }),
  ),
  unbind: declare(
    { doc: 'All indices of a dim, as views. https://docs.pytorch.org/docs/stable/generated/torch.unbind.html' },
    overload('unbind.int(Tensor self, int dim=0) -> Tensor[]', (x, dim) => {
      if (x.ndim === 0) throw new Error('Dimension specified as 0 but tensor has no dimensions');
      const d = wrapDim(dim, x.ndim);
      return [...Array(x.view_.shape[d]).keys()].map((i) => selectOf(x, d, i));
    }),
  ),
  flatten: declare(
    { doc: 'Several dims made one. https://docs.pytorch.org/docs/stable/generated/torch.flatten.html' },
    overload('flatten.using_ints(Tensor self, int start_dim=0, int end_dim=-1) -> Tensor', (x, start, end) => {
      if (x.ndim === 0) return reshapeTo(x, [1]);
      const a = wrapDim(start, x.ndim);
      const b = wrapDim(end, x.ndim);
      if (a > b) throw new Error('flatten() has invalid args: start_dim cannot come after end_dim');
      const s = x.view_.shape;
      return a === b ? x : reshapeTo(x, [...s.slice(0, a), numelOf(s.slice(a, b + 1)), ...s.slice(b + 1)]);
    }),
  ),
  cat: declare(
    { doc: 'Tensors joined along a dim. https://docs.pytorch.org/docs/stable/generated/torch.cat.html', as: 'function' },
    overload('cat(Tensor[] tensors, int dim=0) -> Tensor', (tensors, dim) => catOf(tensors, dim)),
  ),
  stack: declare(
    { doc: 'Tensors joined along a new dim. https://docs.pytorch.org/docs/stable/generated/torch.stack.html', as: 'function' },
    overload('stack(Tensor[] tensors, int dim=0) -> Tensor', (tensors, dim) => {
      if (tensors.length === 0) throw new Error('stack expects a non-empty TensorList');
      tensors.forEach((t, i) => {
        if (t.shape.join() !== tensors[0].shape.join())
          throw new Error(
            `stack expects each tensor to be equal size, but got ${shapeList(tensors[0].view_.shape)} at entry 0 and ${shapeList(t.view_.shape)} at entry ${i}`,
          );
      });
      const d = wrapDim(dim, tensors[0].ndim + 1);
      return catOf(
        tensors.map((t) => unsqueezeOf(t, d)),
        d,
      );
    }),
  ),
  clone: declare(
    { doc: 'A copy. https://docs.pytorch.org/docs/stable/generated/torch.clone.html' },
    overload('clone(Tensor self, *, MemoryFormat? memory_format=None) -> Tensor', (x, format) =>
      format === 'contiguous_format' ? record(copyOperator, [x])[0] : cloneOf(x),
    ),
  ),
  contiguous: declare(
    {
      doc: 'Row-major in memory: itself or a copy. https://docs.pytorch.org/docs/stable/generated/torch.Tensor.contiguous.html',
      as: 'method',
    },
    overload('contiguous(Tensor self, *, MemoryFormat memory_format=contiguous_format) -> Tensor', (x, _format) => contiguousOf(x)),
  ),
  detach: declare(
    { doc: 'The same memory off the tape. https://docs.pytorch.org/docs/stable/generated/torch.Tensor.detach.html' },
    overload('detach(Tensor self) -> Tensor', (x) => detached(x)),
  ),
};

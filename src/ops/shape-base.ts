/**
 * What the sections of views and copies share: each view as a function from a tensor to a tensor, with PyTorch's errors, and the two kinds of copies.
 *
 * A view records no node (`tensor/view-tensor.ts`); a copy records one `clone`. The declarations are in the sections (`shape.ts`, `split.ts`, ...).
 */

import type { DType } from '../dtype/dtype.ts';
import { scalarTypeName } from '../dtype/promotion.ts';
import type { Operator } from '../graph/operator.ts';
import { contiguousStrides, makeView, reshapeStrides, type View } from '../shape/view.ts';
import { record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { viewAs, viewOf } from '../tensor/view-tensor.ts';
import { spoilLesson } from '../util/lesson.ts';
import { shapeList, wrapDim } from './dims.ts';

/** The target of view/reshape with its one -1 filled in. */
export function inferSize(shape: readonly number[], numel: number): number[] {
  const at = shape.indexOf(-1);
  const known = shape.reduce((n, d) => (d === -1 ? n : n * d), 1);
  if (shape.filter((d) => d === -1).length > 1) throw new Error('only one dimension can be inferred');
  shape.forEach((d, i) => {
    if (d < -1) throw new Error(`invalid shape dimension ${d} at index ${i} of shape ${shapeList(shape)}`);
  });
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

/** A copy in row-major order. */
export const copyOf = (x: Tensor): Tensor => record(copyOperator, [x])[0];

const channelOrders: Readonly<Record<string, readonly number[]>> = { channels_last: [0, 2, 3, 1], channels_last_3d: [0, 2, 3, 4, 1] };

/** Dims from the slowest to the fastest in this memory format; null for those that keep the order of the dims. */
export function formatOrder(format: string | null, ndim: number): readonly number[] | null {
  const order = channelOrders[format ?? ''];
  if (order === undefined) return null;
  if (order.length !== ndim) throw new Error(`required rank ${order.length} tensor to use ${format} format`);
  return order;
}

/** True when the view's memory is dense in this format. */
export function isContiguousIn(view: View, format: string | null): boolean {
  const order = channelOrders[format ?? ''];
  if (order === undefined) return view.contiguous;
  if (order.length !== view.shape.length) return false;
  let expected = 1;
  for (let i = order.length - 1; i >= 0; i--) {
    const d = order[i];
    if (view.shape[d] !== 1 && view.strides[d] !== expected) return false;
    expected *= Math.max(view.shape[d], 1);
  }
  return true;
}

/** The inverse of a permutation. */
export function inverseOrder(order: readonly number[]): number[] {
  const out = new Array<number>(order.length);
  order.forEach((d, i) => {
    out[d] = i;
  });
  return out;
}

/** A copy in a memory format; null and `preserve_format` keep the layout. */
export function copyInFormat(x: Tensor, format: string | null): Tensor {
  const order = formatOrder(format, x.ndim);
  if (order !== null) return permuteOf(copyOf(permuteOf(x, order)), inverseOrder(order));
  return format === 'contiguous_format' ? copyOf(x) : cloneOf(x);
}

/** Itself where its memory is in the format already, else a copy. */
export function inFormat(x: Tensor, format: string): Tensor {
  formatOrder(format, x.ndim);
  return isContiguousIn(x.view_, format) ? x : copyInFormat(x, format);
}

const legacyNames: Readonly<Record<string, string>> = {
  float32: 'Float',
  float64: 'Double',
  float16: 'Half',
  bfloat16: 'BFloat16',
  int64: 'Long',
  int32: 'Int',
  int16: 'Short',
  int8: 'Char',
  uint8: 'Byte',
  bool: 'Bool',
  complex64: 'ComplexFloat',
  complex128: 'ComplexDouble',
};
const cppNames: Readonly<Record<string, string>> = {
  float32: 'float',
  float64: 'double',
  float16: 'c10::Half',
  bfloat16: 'c10::BFloat16',
  int64: 'long int',
  int32: 'int',
  int16: 'short int',
  int8: 'signed char',
  uint8: 'unsigned char',
  complex64: 'c10::complex<float>',
  complex128: 'c10::complex<double>',
};
/** The C++ type, which some errors name. */
export const cppTypeName = (dtype: DType): string => cppNames[dtype.name] ?? dtype.name;

/** `torch.FloatTensor`, as some errors name a tensor's type. */
export const legacyTypeName = (x: Tensor): string => `torch.${legacyNames[x.dtype.name] ?? x.dtype.name}Tensor`;

/** A copy in row-major order, or the tensor itself if it is that already. */
export function contiguousOf(x: Tensor): Tensor {
  return x.view_.contiguous ? x : record(copyOperator, [x])[0];
}
export const cloneOf = (x: Tensor): Tensor => record(copyKeepingLayout, [x])[0];

export function permuteOf(x: Tensor, order: readonly number[]): Tensor {
  const n = order.length;
  const shape = new Array<number>(n);
  const strides = new Array<number>(n);
  for (let i = 0; i < n; i++) {
    shape[i] = x.view_.shape[order[i]];
    strides[i] = x.view_.strides[order[i]];
  }
  return viewOf(x, shape, strides);
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
  if (x.ndim === 0)
    throw new Error(`self.dim() cannot be 0 to view ${scalarTypeName(x.dtype)} as ${scalarTypeName(dtype)} (different element sizes)`);
  if (strides[x.ndim - 1] !== 1)
    throw new Error(
      `self.stride(-1) must be 1 to view ${scalarTypeName(x.dtype)} as ${scalarTypeName(dtype)} (different element sizes), but got ${strides[x.ndim - 1]}`,
    );
  const scaled = (n: number): number => (n * from) / to;
  const last = x.ndim - 1;
  if (
    !Number.isInteger(scaled(shape[last])) ||
    !Number.isInteger(scaled(x.offset)) ||
    strides.some((s, i) => i !== last && !Number.isInteger(scaled(s)))
  )
    throw new Error(
      `self.size(-1) must be divisible by ${to / from} to view ${scalarTypeName(x.dtype)} as ${scalarTypeName(dtype)} (different element sizes), but got ${shape[last]}`,
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
      `expand(${legacyTypeName(x)}{${shapeList(shape)}}, size=${shapeList(size)}): the number of sizes provided (${size.length}) must be greater or equal to the number of dimensions in the tensor (${shape.length})`,
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
  const n = shape.length - 1;
  const keptShape = new Array<number>(n);
  const keptStrides = new Array<number>(n);
  for (let i = 0; i < n; i++) {
    const from = i < d ? i : i + 1;
    keptShape[i] = shape[from];
    keptStrides[i] = strides[from];
  }
  return viewOf(x, keptShape, keptStrides, at * strides[d]);
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
  drop?.forEach((d, i) => {
    if (drop.indexOf(d) !== i) throw new Error(`dim ${d} appears multiple times in the list of dims`);
  });
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

/** Elements where two dims have equal indices (shifted by `offset`), as a last dim. */
export function diagonalOf(x: Tensor, offset: number, dim1: number, dim2: number): Tensor {
  const a = wrapDim(dim1, x.ndim);
  const b = wrapDim(dim2, x.ndim);
  if (a === b) throw new Error(`diagonal dimensions cannot be identical ${dim1}, ${dim2}`);
  const { shape, strides } = x.view_;
  const size = Math.max(offset >= 0 ? Math.min(shape[a], shape[b] - offset) : Math.min(shape[a] + offset, shape[b]), 0);
  const start = size === 0 ? 0 : offset >= 0 ? offset * strides[b] : -offset * strides[a];
  const keep = [...shape.keys()].filter((i) => i !== a && i !== b);
  return viewOf(x, [...keep.map((i) => shape[i]), size], [...keep.map((i) => strides[i]), strides[a] + strides[b]], start);
}

/** Any window of the storage. */
export function asStridedOf(x: Tensor, size: readonly number[], stride: readonly number[], storageOffset: number | null): Tensor {
  if (size.length !== stride.length) throw new Error('mismatch in length of strides and shape');
  if (stride.some((s) => s < 0))
    throw new Error(`as_strided: Negative strides are not supported at the moment, got strides: ${shapeList(stride)}`);
  if (size.some((d) => d < 0))
    throw new Error(`Storage size calculation overflowed with sizes=${shapeList(size)} and strides=${shapeList(stride)}`);
  // Whether it fits follows from the memory, not from the tensor.
  spoilLesson();
  const offset = storageOffset ?? x.offset;
  if (offset < 0) throw new Error(`Tensor: invalid storage offset ${offset}`);
  const reach = size.some((d) => d === 0) ? 0 : size.reduce((n, d, i) => n + (d - 1) * stride[i], 1 + offset);
  const { itemsize } = x.dtype;
  if (reach * itemsize > x.storage.nbytes())
    throw new Error(
      `setStorage: sizes ${shapeList(size)}, strides ${shapeList(stride)}, storage offset ${offset}, and itemsize ${itemsize} requiring a storage size of ${reach * itemsize} are out of bounds for storage of size ${x.storage.nbytes()}`,
    );
  return viewOf(x, size, stride, offset - x.offset);
}

/** Windows of `size` elements, `step` apart, along a dim: their elements are a new last dim. */
export function unfoldOf(x: Tensor, dim: number, size: number, step: number): Tensor {
  const d = wrapDim(dim, x.ndim);
  const extent = x.ndim === 0 ? 1 : x.view_.shape[d];
  if (size < 0) throw new Error(`size is ${size} but must be >= 0`);
  if (size > extent) throw new Error(`maximum size for tensor at dimension ${d} is ${extent} but size is ${size}`);
  if (step <= 0) throw new Error(`step is ${step} but must be > 0`);
  const { shape, strides } = x.view_;
  const last = x.ndim === 0 ? 1 : strides[d];
  return viewOf(
    x,
    [...shape.map((n, i) => (i === d ? Math.floor((n - size) / step) + 1 : n)), size],
    [...strides.map((s, i) => (i === d ? s * step : s)), last],
  );
}

export function narrowOf(x: Tensor, dim: number, start: number, length: number): Tensor {
  if (x.ndim === 0) throw new Error('narrow() cannot be applied to a 0-dim tensor.');
  const d = wrapDim(dim, x.ndim);
  const size = x.view_.shape[d];
  if (length < 0) throw new Error('narrow(): length must be non-negative.');
  if (start < -size || start > size)
    throw new RangeError(`start out of range (expected to be in range of [${-size}, ${size}], but got ${start})`);
  const from = start < 0 ? start + size : start;
  if (from + length > size) throw new Error(`start (${from}) + length (${length}) exceeds dimension size (${size}).`);
  return sliceOf(x, d, from, from + length);
}

export function checkedPermute(x: Tensor, dims: readonly number[]): Tensor {
  if (dims.length !== x.ndim)
    throw new Error(
      `permute(sparse_coo): number of dimensions in the tensor input does not match the length of the desired ordering of dimensions i.e. input.dim() = ${x.ndim} is not equal to len(dims) = ${dims.length}`,
    );
  const order = dims.map((d) => wrapDim(d, x.ndim));
  if (new Set(order).size !== order.length) throw new Error('permute(): duplicate dims are not allowed.');
  return permuteOf(x, order);
}

export function matrixTransposeOf(x: Tensor): Tensor {
  if (x.ndim > 2) throw new Error(`t() expects a tensor with <= 2 dimensions, but self is ${x.ndim}D`);
  return x.ndim < 2 ? viewOf(x, x.view_.shape, x.view_.strides) : transposeOf(x, 0, 1);
}

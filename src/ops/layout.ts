/** Memory layouts of new tensors: which strides `*_like` and draws give a result, and in which order its elements lie. */
import { elementwiseStrides, isDense } from '../shape/view.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { formatOrder, inverseOrder, permuteOf } from './shape-base.ts';

/** Dims from the slowest to the fastest of a new tensor like x; null for row-major. */
export function orderLike(x: Tensor, format: string | null = null): readonly number[] | null {
  if (format !== null && format !== 'preserve_format') return formatOrder(format, x.ndim);
  const { shape, strides, contiguous } = x.view_;
  if (contiguous || (!isDense(shape, strides) && strides.some((s, i) => s === 0 && shape[i] > 1))) return null;
  const own = elementwiseStrides(shape, [x.view_]);
  const order = [...shape.keys()].sort((a, b) => own[b] - own[a] || shape[b] - shape[a] || a - b);
  return order.every((d, i) => d === i) ? null : order;
}

/** Makes a tensor of this shape whose memory is in the order: `make` gets the shape as it lies in memory. */
export function inOrder(shape: readonly number[], order: readonly number[] | null, make: (shape: readonly number[]) => Tensor): Tensor {
  if (order === null) return make(shape);
  return permuteOf(make(order.map((d) => shape[d])), inverseOrder(order));
}

/** Only strided tensors exist here. */
export function checkLayout(layout: string | null): void {
  if (layout !== null && layout !== 'strided') throw new Error(`layout ${layout} is not supported: tensors are strided`);
}

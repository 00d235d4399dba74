/** A copy with a window overwritten: `select_scatter`, `slice_scatter`, `diagonal_scatter`, `as_strided_scatter`. */
import type { Operator } from '../graph/operator.ts';
import { full } from '../graph/prim.ts';
import { makeView } from '../shape/view.ts';
import { record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { viewOf } from '../tensor/view-tensor.ts';
import { declare, overload } from './declare.ts';
import { shapeList } from './dims.ts';
import { asStridedOf, contiguousOf, diagonalOf, selectOf, sliceOf } from './shape-base.ts';

/** dims: strides and offset of the window over x's row-major elements. */
const storeOperator: Operator<null> = {
  name: 'slice_scatter',
  body: ([x, value], { dims }) => [x.store(value.cast(x.dtype), dims.slice(0, -1), dims[dims.length - 1])],
};

/**
 * The same with PyTorch's gradient of x, which keeps the window and drops the rest.
 * https://github.com/pytorch/pytorch/blob/main/torch/csrc/autograd/FunctionsManual.cpp (as_strided_scatter_backward)
 */
const stridedOperator: Operator<null> = {
  ...storeOperator,
  name: 'as_strided_scatter',
  gradient: ([g], [x, value], _, { dims }) => {
    if (g === null) return [null, null];
    const strides = dims.slice(0, -1);
    const window = g.view(value.shape, strides, dims[dims.length - 1]);
    return [full(x.shape, 0, g.dtype).store(window, strides, dims[dims.length - 1]), window.cast(value.dtype)];
  },
};

/** `window` is the view to overwrite; only its place is used, as seen from a row-major tensor of x's shape. */
function overwritten(x: Tensor, source: Tensor, window: (x: Tensor) => Tensor, operator = storeOperator): Tensor {
  const placed = window(viewOf(x, x.view_.shape, makeView(x.dtype, x.device, x.view_.shape).strides));
  if (source.view_.shape.join() !== placed.view_.shape.join())
    throw new Error(
      `expected src to have a size equal to the slice of self. src size = ${shapeList(source.view_.shape)}, slice size = ${shapeList(placed.view_.shape)}`,
    );
  return record(operator as never, [x, source], { dims: [...placed.view_.strides, placed.offset - x.offset] })[0];
}

const page = (name: string): string => `https://docs.pytorch.org/docs/stable/generated/torch.${name}.html`;

export const windowing = {
  select_scatter: declare(
    { doc: `A copy with one index of a dim replaced. ${page('select_scatter')}` },
    overload('select_scatter(Tensor self, Tensor src, int dim, SymInt index) -> Tensor', (x, src, dim, index) =>
      overwritten(x, src, (y) => selectOf(y, dim, index)),
    ),
  ),
  slice_scatter: declare(
    { doc: `A copy with a slice of a dim replaced. ${page('slice_scatter')}` },
    overload(
      'slice_scatter(Tensor self, Tensor src, int dim=0, SymInt? start=None, SymInt? end=None, SymInt step=1) -> Tensor',
      (x, src, dim, start, end, step) => overwritten(x, src, (y) => sliceOf(y, dim, start, end, step)),
    ),
  ),
  diagonal_scatter: declare(
    { doc: `A copy with a diagonal replaced. ${page('diagonal_scatter')}` },
    overload('diagonal_scatter(Tensor self, Tensor src, int offset=0, int dim1=0, int dim2=1) -> Tensor', (x, src, offset, a, b) =>
      overwritten(x, src, (y) => diagonalOf(y, offset, a, b)),
    ),
  ),
  as_strided_scatter: declare(
    { doc: `A copy with a window of the storage replaced. ${page('as_strided_scatter')}` },
    overload(
      'as_strided_scatter(Tensor self, Tensor src, SymInt[] size, SymInt[] stride, SymInt? storage_offset=None) -> Tensor',
      (x, src, size, stride, offset) => overwritten(contiguousOf(x), src, (y) => asStridedOf(y, size, stride, offset), stridedOperator),
    ),
  ),
};

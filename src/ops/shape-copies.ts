/** The `_copy` twins of the views: the same shape rule and errors, the result a row-major tensor of its own. */
import type { Tensor } from '../tensor/tensor.ts';
import { detached } from '../tensor/view-tensor.ts';
import { declare, overload } from './declare.ts';
import {
  asStridedOf,
  checkedPermute,
  copyOf,
  diagonalOf,
  expandTo,
  matrixTransposeOf,
  narrowOf,
  selectOf,
  sliceOf,
  squeezeOf,
  transposeOf,
  unfoldOf,
  unsqueezeOf,
  viewDtype,
  viewTo,
} from './shape-base.ts';
import { splitEvery, splitSizes, unbindOf } from './split.ts';
import { use } from './use.ts';

const twin = (name: string): { readonly doc: string; readonly as: 'function' } => ({
  doc: `A copy of what \`${name}\` gives. https://docs.pytorch.org/docs/stable/tensor_view.html`,
  as: 'function',
});
const copies = (views: readonly Tensor[]): Tensor[] => views.map(copyOf);

export const viewCopies = {
  alias_copy: declare(
    twin('alias'),
    overload('alias_copy(Tensor self) -> Tensor', (x) => copyOf(x)),
  ),
  detach_copy: declare(
    twin('detach'),
    overload('detach_copy(Tensor self) -> Tensor', (x) => copyOf(detached(x))),
  ),
  as_strided_copy: declare(
    twin('as_strided'),
    overload(
      'as_strided_copy(Tensor self, SymInt[] size, SymInt[] stride, SymInt? storage_offset=None) -> Tensor',
      (x, size, stride, offset) => copyOf(asStridedOf(x, size, stride, offset)),
    ),
  ),
  diagonal_copy: declare(
    twin('diagonal'),
    overload('diagonal_copy(Tensor self, int offset=0, int dim1=0, int dim2=1) -> Tensor', (x, offset, a, b) =>
      copyOf(diagonalOf(x, offset, a, b)),
    ),
  ),
  expand_copy: declare(
    twin('expand'),
    overload('expand_copy(Tensor self, SymInt[] size, *, bool implicit=False) -> Tensor', (x, size) => copyOf(expandTo(x, size))),
  ),
  narrow_copy: declare(
    { doc: 'A copy of what `narrow` gives. https://docs.pytorch.org/docs/stable/generated/torch.narrow_copy.html' },
    overload('narrow_copy(Tensor self, int dim, SymInt start, SymInt length) -> Tensor', (x, dim, start, length) =>
      copyOf(narrowOf(x, dim, start, length)),
    ),
  ),
  permute_copy: declare(
    twin('permute'),
    overload('permute_copy(Tensor self, int[] dims) -> Tensor', (x, dims) => copyOf(checkedPermute(x, dims))),
  ),
  select_copy: declare(
    twin('select'),
    overload('select_copy.int(Tensor self, int dim, SymInt index) -> Tensor', (x, dim, index) => copyOf(selectOf(x, dim, index))),
  ),
  slice_copy: declare(
    twin('slice'),
    overload(
      'slice_copy.Tensor(Tensor self, int dim=0, SymInt? start=None, SymInt? end=None, SymInt step=1) -> Tensor',
      (x, dim, start, end, step) => copyOf(sliceOf(x, dim, start, end, step)),
    ),
  ),
  split_copy: declare(
    twin('split'),
    overload('split_copy.Tensor(Tensor self, SymInt split_size, int dim=0) -> Tensor[]', (x, size, dim) =>
      copies(splitEvery(x, size, dim)),
    ),
  ),
  split_with_sizes_copy: declare(
    twin('split_with_sizes'),
    overload('split_with_sizes_copy(Tensor self, SymInt[] split_sizes, int dim=0) -> Tensor[]', (x, sizes, dim) =>
      copies(splitSizes(x, sizes, dim)),
    ),
  ),
  squeeze_copy: declare(
    twin('squeeze'),
    overload('squeeze_copy(Tensor self) -> Tensor', (x) => copyOf(squeezeOf(x, null))),
    overload('squeeze_copy.dim(Tensor self, int dim) -> Tensor', (x, dim) => copyOf(squeezeOf(x, [dim]))),
    overload('squeeze_copy.dims(Tensor self, int[] dim) -> Tensor', (x, dim) => copyOf(squeezeOf(x, dim))),
  ),
  t_copy: declare(
    twin('t'),
    overload('t_copy(Tensor self) -> Tensor', (x) => copyOf(matrixTransposeOf(x))),
  ),
  transpose_copy: declare(
    twin('transpose'),
    overload('transpose_copy.int(Tensor self, int dim0, int dim1) -> Tensor', (x, a, b) => copyOf(transposeOf(x, a, b))),
  ),
  unbind_copy: declare(
    twin('unbind'),
    overload('unbind_copy.int(Tensor self, int dim=0) -> Tensor[]', (x, dim) => copies(unbindOf(x, dim))),
  ),
  unfold_copy: declare(
    twin('unfold'),
    overload('unfold_copy(Tensor self, int dimension, int size, int step) -> Tensor', (x, dim, size, step) =>
      copyOf(unfoldOf(x, dim, size, step)),
    ),
  ),
  unsqueeze_copy: declare(
    twin('unsqueeze'),
    overload('unsqueeze_copy(Tensor self, int dim) -> Tensor', (x, dim) => copyOf(unsqueezeOf(x, dim))),
  ),
  view_as_real_copy: declare(
    twin('view_as_real'),
    overload('view_as_real_copy(Tensor self) -> Tensor', (x) => copyOf(use('view_as_real', x))),
  ),
  view_as_complex_copy: declare(
    twin('view_as_complex'),
    overload('view_as_complex_copy(Tensor self) -> Tensor', (x) => copyOf(use('view_as_complex', x))),
  ),
  view_copy: declare(
    twin('view'),
    overload('view_copy(Tensor self, SymInt[] size) -> Tensor', (x, size) => copyOf(viewTo(x, size))),
    overload('view_copy.dtype(Tensor self, ScalarType dtype) -> Tensor', (x, dtype) => copyOf(viewDtype(x, dtype))),
  ),
};

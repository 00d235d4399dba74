/** Tensors of a shape filled with a value: https://docs.pytorch.org/docs/stable/torch.html#creation-ops */
import { type DType, getDefaultDtype } from '../dtype/dtype.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { fullOf, scalarDefault, withGrad } from './creation.ts';
import { declare, overload } from './declare.ts';
import { shapeList } from './dims.ts';
import { checkLayout, inOrder, orderLike } from './layout.ts';
import { ranges } from './ranges.ts';
import type { ScalarArgument } from './scalar-argument.ts';
import { asStridedOf } from './shape-base.ts';

interface Options {
  readonly dtype: DType | null;
  readonly layout: string | null;
  readonly device: string | null;
  readonly grad: boolean;
}
const options = (dtype: DType | null, layout: string | null, device: string | null, grad: boolean): Options => ({
  dtype,
  layout,
  device,
  grad,
});

function filled(size: readonly number[], value: ScalarArgument, o: Options, dtype: DType = getDefaultDtype()): Tensor {
  checkLayout(o.layout);
  return withGrad(fullOf(size, value, o.dtype ?? dtype, o.device), o.grad);
}

function filledLike(x: Tensor, value: ScalarArgument, o: Options, format: string | null): Tensor {
  checkLayout(o.layout);
  const made = inOrder(x.view_.shape, orderLike(x, format), (shape) => fullOf(shape, value, o.dtype ?? x.dtype, o.device ?? x.device));
  return withGrad(made, o.grad);
}

function filledNew(x: Tensor, size: readonly number[], value: ScalarArgument, o: Options): Tensor {
  checkLayout(o.layout);
  return withGrad(fullOf(size, value, o.dtype ?? x.dtype, o.device ?? x.device), o.grad);
}

function emptyStrided(
  size: readonly number[],
  stride: readonly number[],
  o: Options,
  dtype: DType = getDefaultDtype(),
  device = o.device,
): Tensor {
  checkLayout(o.layout);
  if (size.length !== stride.length)
    throw new Error(`dimensionality of sizes (${size.length}) must match dimensionality of strides (${stride.length})`);
  if (size.some((d) => d < 0) || stride.some((s) => s < 0))
    throw new Error(`Storage size calculation overflowed with sizes=${shapeList(size)} and strides=${shapeList(stride)}`);
  const extent = size.some((d) => d === 0) ? 0 : size.reduce((n, d, i) => n + (d - 1) * stride[i], 1);
  return withGrad(asStridedOf(fullOf([extent], 0, o.dtype ?? dtype, device), size, stride, 0), o.grad);
}

function emptyPermuted(size: readonly number[], layout: readonly number[], o: Options): Tensor {
  if (size.length !== layout.length)
    throw new Error(
      `Number of dimensions in size does not match the length of the physical_layout; i.e. len(size) = ${size.length} is not equal to len(physical_layout) = ${layout.length}`,
    );
  layout.forEach((d, i) => {
    if (d < 0 || d >= size.length)
      throw new RangeError(
        `Dimension out of range (expected to be between 0 and ${size.length - 1}, but got ${d} at index ${i}).  NB: negative dims not currently supported; file an issue if you want it.`,
      );
    if (layout.indexOf(d) !== i) throw new Error('Duplicate dim not allowed');
  });
  return withGrad(
    inOrder(size, layout, (shape) => filled(shape, 0, { ...o, grad: false })),
    o.grad,
  );
}

const page = (name: string): string => `https://docs.pytorch.org/docs/stable/generated/torch.${name}.html`;

export const creation = {
  ...ranges,
  zeros: declare(
    { doc: `Zeros. ${page('zeros')}`, as: 'function' },
    overload(
      'zeros(SymInt[] size, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor',
      (size, dtype, layout, device, _pin, grad) => {
        if (size.some((d) => d < 0)) throw new Error('zeros: Dimension size must be non-negative.');
        return filled(size, 0, options(dtype, layout, device, grad));
      },
    ),
  ),
  zeros_like: declare(
    { doc: `Zeros. Shape, dtype and layout of a tensor. ${page('zeros_like')}`, as: 'function' },
    overload(
      'zeros_like(Tensor self, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, MemoryFormat? memory_format=None, bool requires_grad=False) -> Tensor',
      (x, dtype, layout, device, _pin, format, grad) => filledLike(x, 0, options(dtype, layout, device, grad), format),
    ),
  ),
  new_zeros: declare(
    { doc: `Zeros. Dtype and device of the tensor. ${page('Tensor.new_zeros')}`, as: 'method' },
    overload(
      'new_zeros(Tensor self, SymInt[] size, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor',
      (x, size, dtype, layout, device, _pin, grad) => filledNew(x, size, 0, options(dtype, layout, device, grad)),
    ),
  ),
  ones: declare(
    { doc: `Ones. ${page('ones')}`, as: 'function' },
    overload(
      'ones(SymInt[] size, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor',
      (size, dtype, layout, device, _pin, grad) => filled(size, 1, options(dtype, layout, device, grad)),
    ),
  ),
  ones_like: declare(
    { doc: `Ones. Shape, dtype and layout of a tensor. ${page('ones_like')}`, as: 'function' },
    overload(
      'ones_like(Tensor self, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, MemoryFormat? memory_format=None, bool requires_grad=False) -> Tensor',
      (x, dtype, layout, device, _pin, format, grad) => filledLike(x, 1, options(dtype, layout, device, grad), format),
    ),
  ),
  new_ones: declare(
    { doc: `Ones. Dtype and device of the tensor. ${page('Tensor.new_ones')}`, as: 'method' },
    overload(
      'new_ones(Tensor self, SymInt[] size, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor',
      (x, size, dtype, layout, device, _pin, grad) => filledNew(x, size, 1, options(dtype, layout, device, grad)),
    ),
  ),
  empty: declare(
    { doc: `Memory of which nothing is promised (zeros here). ${page('empty')}`, as: 'function' },
    overload(
      'empty(SymInt[] size, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, MemoryFormat? memory_format=None, bool requires_grad=False) -> Tensor',
      (size, dtype, layout, device, _pin, _format, grad) => filled(size, 0, options(dtype, layout, device, grad)),
    ),
  ),
  empty_like: declare(
    { doc: `Memory of which nothing is promised (zeros here). Shape, dtype and layout of a tensor. ${page('empty_like')}`, as: 'function' },
    overload(
      'empty_like(Tensor self, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, MemoryFormat? memory_format=None, bool requires_grad=False) -> Tensor',
      (x, dtype, layout, device, _pin, format, grad) => filledLike(x, 0, options(dtype, layout, device, grad), format),
    ),
  ),
  new_empty: declare(
    { doc: `Memory of which nothing is promised (zeros here). Dtype and device of the tensor. ${page('Tensor.new_empty')}`, as: 'method' },
    overload(
      'new_empty(Tensor self, SymInt[] size, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor',
      (x, size, dtype, layout, device, _pin, grad) => filledNew(x, size, 0, options(dtype, layout, device, grad)),
    ),
  ),
  full: declare(
    { doc: `A value everywhere. ${page('full')}`, as: 'function' },
    overload(
      'full(SymInt[] size, Scalar fill_value, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor',
      (size, value, dtype, layout, device, _pin, grad) => filled(size, value, options(dtype ?? scalarDefault(value), layout, device, grad)),
    ),
  ),
  full_like: declare(
    { doc: `A value everywhere. Shape, dtype and layout of a tensor. ${page('full_like')}`, as: 'function' },
    overload(
      'full_like(Tensor self, Scalar fill_value, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, MemoryFormat? memory_format=None, bool requires_grad=False) -> Tensor',
      (x, value, dtype, layout, device, _pin, format, grad) => filledLike(x, value, options(dtype, layout, device, grad), format),
    ),
  ),
  new_full: declare(
    { doc: `A value everywhere. Dtype and device of the tensor. ${page('Tensor.new_full')}`, as: 'method' },
    overload(
      'new_full(Tensor self, SymInt[] size, Scalar fill_value, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor',
      (x, size, value, dtype, layout, device, _pin, grad) => filledNew(x, size, value, options(dtype, layout, device, grad)),
    ),
  ),
  empty_strided: declare(
    { doc: `Memory with these strides. ${page('empty_strided')}`, as: 'function' },
    overload(
      'empty_strided(SymInt[] size, SymInt[] stride, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor',
      (size, stride, dtype, layout, device, _pin, grad) => emptyStrided(size, stride, options(dtype, layout, device, grad)),
    ),
  ),
  new_empty_strided: declare(
    { doc: 'Memory with these strides. Dtype and device of the tensor.', as: 'method' },
    overload(
      'new_empty_strided(Tensor self, SymInt[] size, SymInt[] stride, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor',
      (x, size, stride, dtype, layout, device, _pin, grad) =>
        emptyStrided(size, stride, options(dtype, layout, device, grad), x.dtype, device ?? x.device),
    ),
  ),
  empty_permuted: declare(
    { doc: `Memory where the dims lie in this order, the slowest first. ${page('empty_permuted')}`, as: 'function' },
    overload(
      'empty_permuted(SymInt[] size, int[] physical_layout, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor',
      (size, order, dtype, layout, device, _pin, grad) => emptyPermuted(size, order, options(dtype, layout, device, grad)),
    ),
  ),
  scalar_tensor: declare(
    { doc: 'A number as a 0-d tensor, of the default dtype unless another is given.', as: 'function' },
    overload(
      'scalar_tensor(Scalar s, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor',
      (value, dtype, layout, device, _pin, grad) => filled([], value, options(dtype, layout, device, grad)),
    ),
  ),
};

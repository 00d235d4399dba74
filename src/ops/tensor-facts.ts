/** What tensors say about themselves, and the few methods that change what a handle refers to. https://docs.pytorch.org/docs/stable/tensors.html */

import { truthy } from '../dtype/codec.ts';
import type { DType } from '../dtype/dtype.ts';
import { canCast, resultType, scalarTypeName } from '../dtype/promotion.ts';
import { makeView, sameView } from '../shape/view.ts';
import { item } from '../tensor/read.ts';
import { Tensor } from '../tensor/tensor.ts';
import { detached } from '../tensor/view-tensor.ts';
import { assign, writeInto } from '../tensor/write.ts';
import { castTo } from './conversion.ts';
import { fullOf } from './creation.ts';
import { declare, overload } from './declare.ts';
import { type ScalarArgument, scalarKind } from './scalar-argument.ts';
import { asStridedOf, transposeOf } from './shape-base.ts';
import { use } from './use.ts';

/** `torch.result_type`: the dtype of an arithmetic result of these operands. https://docs.pytorch.org/docs/stable/generated/torch.result_type.html */
export function result_type(a: Tensor | ScalarArgument, b: Tensor | ScalarArgument): DType {
  return resultType([a, b].map((x) => (x instanceof Tensor ? { dtype: x.dtype, ndim: x.ndim } : scalarKind(x))));
}
/** `torch.can_cast`: may a result of this dtype be written into that one? https://docs.pytorch.org/docs/stable/generated/torch.can_cast.html */
export const can_cast = (from_: DType, to: DType): boolean => canCast(from_, to);

const overlapping = (a: Tensor, b: Tensor): boolean => a.storage === b.storage && sameView(a.view_, b.view_) && a.offset === b.offset;

/** The diagonal of all dims, filled; `wrap` goes on below in a tall matrix. */
function fillDiagonal(x: Tensor, value: ScalarArgument, wrap: boolean): Tensor {
  if (x.ndim < 2) throw new Error('dimensions must larger than 1');
  const { shape, strides } = x.view_;
  if (x.ndim > 2 && shape.some((d) => d !== shape[0])) throw new Error('all dimensions of input must be of equal length');
  const fill = (window: Tensor): void => assign(window, fullOf([], value, x.dtype, x.device));
  const least = Math.min(...shape);
  const step = strides.reduce((a, b) => a + b, 0);
  fill(asStridedOf(x, [least], [step], x.offset));
  if (wrap && x.ndim === 2 && shape[0] > shape[1] + 1) {
    const rest = Math.ceil(x.view_.numel / (shape[1] + 1)) - least;
    fill(asStridedOf(x, [rest], [step], x.offset + strides[0] * (shape[1] + 1)));
  }
  return x;
}

export const tensorFacts = {
  numel: declare(
    { doc: 'Number of elements. https://docs.pytorch.org/docs/stable/generated/torch.numel.html', as: 'function' },
    overload('numel(Tensor self) -> int', (x) => x.view_.numel),
  ),
  is_floating_point: declare(
    { doc: 'Is the dtype a float? https://docs.pytorch.org/docs/stable/generated/torch.is_floating_point.html', as: 'function' },
    overload('is_floating_point(Tensor self) -> bool', (x) => x.dtype.is_floating_point),
  ),
  is_complex: declare(
    { doc: 'Is the dtype complex? https://docs.pytorch.org/docs/stable/generated/torch.is_complex.html', as: 'function' },
    overload('is_complex(Tensor self) -> bool', (x) => x.dtype.is_complex),
  ),
  is_signed: declare(
    { doc: 'Can the dtype hold negative numbers? https://docs.pytorch.org/docs/stable/generated/torch.Tensor.is_signed.html' },
    overload('is_signed(Tensor self) -> bool', (x) => x.dtype.name !== 'uint8' && x.dtype.kind !== 'bool'),
  ),
  is_same_size: declare(
    { doc: 'Have the tensors the same shape?' },
    overload('is_same_size(Tensor self, Tensor other) -> bool', (x, other) => x.view_.shape.join() === other.view_.shape.join()),
  ),
  is_inference: declare(
    { doc: 'Made under inference_mode? https://docs.pytorch.org/docs/stable/generated/torch.Tensor.is_inference.html' },
    overload('is_inference(Tensor self) -> bool', (x) => x.inference),
  ),
  is_nonzero: declare(
    { doc: 'Is the one element not zero? https://docs.pytorch.org/docs/stable/generated/torch.is_nonzero.html' },
    overload('is_nonzero(Tensor self) -> bool', (x) => {
      if (x.view_.numel === 0) throw new Error('Boolean value of Tensor with no values is ambiguous');
      if (x.view_.numel > 1) throw new Error('Boolean value of Tensor with more than one value is ambiguous');
      return truthy(item(detached(x)));
    }),
  ),
  is_set_to: declare(
    { doc: 'The same window of the same memory? https://docs.pytorch.org/docs/stable/generated/torch.Tensor.is_set_to.html', as: 'method' },
    overload('is_set_to(Tensor self, Tensor tensor) -> bool', (x, other) => overlapping(x, other)),
  ),
  get_device: declare(
    { doc: 'The index of the device, -1 for the CPU. https://docs.pytorch.org/docs/stable/generated/torch.Tensor.get_device.html' },
    overload('get_device(Tensor self) -> int', (x) => (x.device === 'cpu' ? -1 : Number(x.device.split(':')[1] ?? 0))),
  ),
  adjoint: declare(
    { doc: 'The last two dims swapped, conjugated. https://docs.pytorch.org/docs/stable/generated/torch.adjoint.html' },
    overload('adjoint(Tensor self) -> Tensor', (x) => {
      if (x.ndim === 1) throw new Error('tensor.adjoint() is only supported on matrices or batches of matrices. Got 1-D tensor.');
      return use('conj', x.ndim === 0 ? x : transposeOf(x, -2, -1));
    }),
  ),
  type_as: declare(
    { doc: 'In the dtype of another tensor. https://docs.pytorch.org/docs/stable/generated/torch.Tensor.type_as.html', as: 'method' },
    overload('type_as(Tensor self, Tensor other) -> Tensor', (x, other) => castTo(x, other.dtype)),
  ),
  zero_: declare(
    { doc: 'Overwritten with zeros. https://docs.pytorch.org/docs/stable/generated/torch.Tensor.zero_.html' },
    overload('zero_(Tensor self) -> Tensor', (x) => writeInto(x, () => fullOf(x.view_.shape, 0, x.dtype, x.device))),
  ),
  fill_diagonal_: declare(
    { doc: 'The diagonal filled. https://docs.pytorch.org/docs/stable/generated/torch.Tensor.fill_diagonal_.html', as: 'method' },
    overload('fill_diagonal_(Tensor self, Scalar fill_value, bool wrap=False) -> Tensor', (x, value, wrap) => fillDiagonal(x, value, wrap)),
  ),
  set_: declare(
    {
      doc: 'The handle refers to the memory of another tensor. https://docs.pytorch.org/docs/stable/generated/torch.Tensor.set_.html',
      as: 'method',
    },
    overload('set_.source_Tensor(Tensor self, Tensor source) -> Tensor', (x, source) => {
      if (x.dtype !== source.dtype)
        throw new Error(`Could not set tensor of type ${scalarTypeName(source.dtype)} to a tensor of type ${scalarTypeName(x.dtype)}`);
      x.storage = source.storage;
      x.view_ = makeView(source.dtype, source.device, source.view_.shape, source.view_.strides);
      x.offset = source.offset;
      x.version = source.version;
      return x;
    }),
  ),
};

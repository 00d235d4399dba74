/** Softmax and its logarithm: https://docs.pytorch.org/docs/stable/generated/torch.softmax.html */
import type { DType } from '../dtype/dtype.ts';
import { computationDtype } from '../dtype/promotion.ts';
import type { Operator } from '../graph/operator.ts';
import { constantsOf, record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { declare, overload } from './declare.ts';
import { wrapDim } from './dims.ts';
import { squeezeOf, unsqueezeOf } from './shape.ts';

interface SoftmaxConstants {
  readonly axis: number;
  readonly from: DType;
  readonly compute: DType;
  readonly result: DType;
}
const softmaxOperator: Operator<SoftmaxConstants> = {
  name: 'softmax',
  body: ([x], { constants: c }) => {
    const v = x.cast(c.from).cast(c.compute);
    const e = v.sub(v.amax([c.axis], true)).exp();
    return [e.div(e.sum([c.axis], true)).cast(c.result)];
  },
  gradient: ([g], [x], [y], { constants: c }) => {
    if (g === null) return [null];
    const [gc, yc] = [g.cast(c.compute), y.cast(c.compute)];
    const gy = gc.mul(yc);
    return [gy.sub(yc.mul(gy.sum([c.axis], true))).cast(x.dtype)];
  },
};
const logSoftmaxOperator: Operator<SoftmaxConstants> = {
  name: 'log_softmax',
  body: ([x], { constants: c }) => {
    const v = x.cast(c.from).cast(c.compute);
    const shifted = v.sub(v.amax([c.axis], true));
    return [shifted.sub(shifted.exp().sum([c.axis], true).log()).cast(c.result)];
  },
  gradient: ([g], [x], [y], { constants: c }) => {
    if (g === null) return [null];
    const [gc, yc] = [g.cast(c.compute), y.cast(c.compute)];
    return [gc.sub(yc.exp().mul(gc.sum([c.axis], true))).cast(x.dtype)];
  },
};

function softmaxCall(operator: Operator<SoftmaxConstants>, x: Tensor, dim: number, dtype: DType | null): Tensor {
  const from = dtype ?? x.dtype;
  if (!from.is_floating_point)
    throw new Error(`"${operator.name}_lastdim_kernel_impl" not implemented for '${from.kind === 'bool' ? 'Bool' : 'Long'}'`);
  const axis = wrapDim(dim, x.ndim);
  const constants = constantsOf(`${operator.name}:${axis}:${from.name}:${x.ndim === 0}`, () => ({
    axis,
    from,
    compute: computationDtype(from),
    result: from,
  }));
  if (x.ndim === 0) return squeezeOf(record(operator as never, [unsqueezeOf(x, 0)], { constants })[0], [0]);
  return record(operator as never, [x], { constants })[0];
}

export const softmaxes = {
  softmax: declare(
    {
      doc: 'exp(x) / sum exp(x) along a dim. https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.softmax.html',
      functional: true,
    },
    overload('softmax.int(Tensor self, int dim, ScalarType? dtype=None) -> Tensor', (x, dim, dtype) =>
      softmaxCall(softmaxOperator, x, dim, dtype),
    ),
  ),
  log_softmax: declare(
    { doc: 'log of softmax. https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.log_softmax.html', functional: true },
    overload('log_softmax.int(Tensor self, int dim, ScalarType? dtype=None) -> Tensor', (x, dim, dtype) =>
      softmaxCall(logSoftmaxOperator, x, dim, dtype),
    ),
  ),
};

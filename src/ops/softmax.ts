/** Softmax and its logarithm: https://docs.pytorch.org/docs/stable/generated/torch.softmax.html */
import { type DType, float32 } from '../dtype/dtype.ts';
import { computationDtype, scalarTypeName } from '../dtype/promotion.ts';
import type { Operator } from '../graph/operator.ts';
import { constantsOf, record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { fullOf } from './creation.ts';
import { declare, overload } from './declare.ts';
import { wrapDim } from './dims.ts';
import { squeezeOf, unsqueezeOf } from './shape.ts';
import { use } from './use.ts';

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

/** Rows that are -inf throughout give zeros instead of NaN. */
const safeSoftmaxOperator: Operator<SoftmaxConstants> = {
  name: 'safe_softmax',
  body: ([x], { constants: c }) => {
    const v = x.cast(c.from).cast(c.compute);
    const most = v.amax([c.axis], true);
    const masked = most.eq(-Infinity);
    const e = v.sub(masked.where(0, most)).exp();
    return [
      masked
        .expand(x.shape)
        .where(0, e.div(masked.where(1, e.sum([c.axis], true))))
        .cast(c.result),
    ];
  },
  gradient: softmaxOperator.gradient,
};

interface BackwardConstants {
  readonly axis: number;
  readonly log: boolean;
  readonly result: DType;
}
/** The gradients as operators of their own. */
const softmaxBackwardOperator: Operator<BackwardConstants> = {
  name: 'softmax_backward_data',
  body: ([g, y], { constants: { axis, log, result } }) => {
    const compute = computationDtype(g.dtype);
    const [gc, yc] = [g.cast(compute), y.cast(compute)];
    if (log) return [gc.sub(yc.exp().mul(gc.sum([axis], true))).cast(result)];
    const gy = gc.mul(yc);
    return [gy.sub(yc.mul(gy.sum([axis], true))).cast(result)];
  },
};
function softmaxBackward(g: Tensor, y: Tensor, dim: number, result: DType, log: boolean): Tensor {
  const axis = wrapDim(dim, g.ndim);
  const constants = constantsOf(`softmax_backward:${axis}:${log}:${result.name}`, (): BackwardConstants => ({ axis, log, result }));
  const [a, b] = g.ndim === 0 ? [unsqueezeOf(g, 0), unsqueezeOf(y, 0)] : [g, y];
  const made = record(softmaxBackwardOperator as never, [a, b], { constants })[0];
  return g.ndim === 0 ? squeezeOf(made, [0]) : made;
}

function softmaxCall(operator: Operator<SoftmaxConstants>, x: Tensor, dim: number, dtype: DType | null): Tensor {
  const axis = wrapDim(dim, x.ndim);
  const from = dtype ?? x.dtype;
  if (!from.is_floating_point && x.view_.numel === 0) return fullOf(x.view_.shape, 0, from, x.device);
  if (!from.is_floating_point) {
    const kernel = operator === logSoftmaxOperator ? 'log_softmax' : 'softmax';
    throw new Error(`"${kernel}_lastdim_kernel_impl" not implemented for '${scalarTypeName(from)}'`);
  }
  const constants = constantsOf(`${operator.name}:${axis}:${from.name}:${x.ndim === 0}`, () => ({
    axis,
    from,
    compute: computationDtype(from),
    result: from,
  }));
  if (x.ndim === 0) return squeezeOf(record(operator as never, [unsqueezeOf(x, 0)], { constants })[0], [0]);
  return record(operator as never, [x], { constants })[0];
}

const safeSoftmax = declare(
  { doc: 'Softmax that is 0 for rows of -inf. https://docs.pytorch.org/docs/stable/torch.compiler_ir.html', as: 'function' },
  overload('_safe_softmax(Tensor self, int dim, ScalarType? dtype=None) -> Tensor', (x, dim, dtype) =>
    softmaxCall(safeSoftmaxOperator, x, dim, dtype),
  ),
);

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
  softmin: declare(
    {
      doc: 'Softmax of -x. https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.softmin.html',
      as: 'function',
      functional: true,
    },
    overload('softmin.int(Tensor self, int dim, ScalarType? dtype=None) -> Tensor', (x, dim, dtype) =>
      softmaxCall(softmaxOperator, x.dtype.kind === 'bool' ? x : use('neg', x), dim, dtype),
    ),
  ),
  _safe_softmax: safeSoftmax,
  _softmax: declare(
    { doc: 'Softmax as autograd knows it. https://docs.pytorch.org/docs/stable/torch.compiler_ir.html', as: 'function' },
    overload('_softmax(Tensor self, int dim, bool half_to_float) -> Tensor', (x, dim, toFloat) =>
      softmaxCall(softmaxOperator, x, dim, toFloat ? float32 : null),
    ),
  ),
  _log_softmax: declare(
    { doc: 'Log of softmax as autograd knows it. https://docs.pytorch.org/docs/stable/torch.compiler_ir.html', as: 'function' },
    overload('_log_softmax(Tensor self, int dim, bool half_to_float) -> Tensor', (x, dim, toFloat) =>
      softmaxCall(logSoftmaxOperator, x, dim, toFloat ? float32 : null),
    ),
  ),
  _softmax_backward_data: declare(
    { doc: 'Gradient of softmax. https://docs.pytorch.org/docs/stable/torch.compiler_ir.html', as: 'function' },
    overload('_softmax_backward_data(Tensor grad_output, Tensor output, int dim, ScalarType input_dtype) -> Tensor', (g, y, dim, dtype) =>
      softmaxBackward(g, y, dim, dtype, false),
    ),
  ),
  _log_softmax_backward_data: declare(
    { doc: 'Gradient of log_softmax. https://docs.pytorch.org/docs/stable/torch.compiler_ir.html', as: 'function' },
    overload(
      '_log_softmax_backward_data(Tensor grad_output, Tensor output, int dim, ScalarType input_dtype) -> Tensor',
      (g, y, dim, dtype) => softmaxBackward(g, y, dim, dtype, true),
    ),
  ),
};

/** Those of `torch.ops.aten`. */
export const atenSoftmaxes = {
  _safe_softmax: safeSoftmax,
  _softmax: softmaxes._softmax,
  _log_softmax: softmaxes._log_softmax,
  _softmax_backward_data: softmaxes._softmax_backward_data,
  _log_softmax_backward_data: softmaxes._log_softmax_backward_data,
};

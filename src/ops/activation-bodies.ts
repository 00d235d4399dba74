/**
 * Element-wise activations over primitives: one call each, with PyTorch's formulas and its gradients at the corners.
 *
 * Parameters (slopes, limits) are operands, so that a program does not depend on their values. Signatures are in `activation.ts`.
 */
import type { DType } from '../dtype/dtype.ts';
import { scalarTypeName } from '../dtype/promotion.ts';
import { constant, type Prim } from '../graph/prim.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { type ElementwiseCall, elementwise } from './elementwise.ts';
import type { ScalarArgument } from './scalar-argument.ts';
import { scalarValue } from './scalar-argument.ts';

/** PyTorch's refusal of dtypes that a kernel is not compiled for. */
export const notImplemented = (kernel: string, dtype: DType): Error =>
  new Error(`"${kernel}" not implemented for '${scalarTypeName(dtype)}'`);

export function requireFloating(kernel: string, dtype: DType): void {
  if (!dtype.is_floating_point) throw notImplemented(kernel, dtype);
}
const floating =
  (kernel: string) =>
  (compute: DType): void =>
    requireFloating(kernel, compute);

type Formula = (operands: readonly Prim[]) => Prim;
type Rule = (g: Prim, operands: readonly Prim[], result: Prim) => readonly (Prim | null)[];

const activation = (name: string, kernel: string, body: Formula, gradient: Rule): ElementwiseCall<null> =>
  elementwise({ name, kind: 'DEFAULT', body, gradient, check: floating(kernel) });

const inverseSqrt2 = Math.SQRT1_2;
const betaTanh = Math.SQRT2 * (2 / Math.sqrt(Math.PI)) * 0.5;
const geluErf = (x: Prim): Prim => x.mul(0.5).mul(x.mul(inverseSqrt2).scalar('erf').add(1));
const geluTanh = (x: Prim): Prim => x.mul(0.5).mul(x.add(x.mul(x).mul(x).mul(0.044715)).mul(betaTanh).scalar('tanh').add(1));
export const geluCall = elementwise<'none' | 'tanh'>({
  name: 'gelu',
  kind: 'DEFAULT',
  body: ([x], approximate) => (approximate === 'tanh' ? geluTanh(x) : geluErf(x)),
  gradient: (g, [x], _, approximate) => {
    if (approximate === 'tanh') {
      const cube = x.mul(x).mul(x);
      const inner = x.add(cube.mul(0.044715)).mul(betaTanh);
      const t = inner.scalar('tanh');
      const left = t.add(1).mul(0.5);
      const slope = x
        .mul(x)
        .mul(3 * 0.044715)
        .add(1)
        .mul(betaTanh);
      const right = x.mul(0.5).mul(t.mul(t).neg().add(1)).mul(slope);
      return [g.mul(left.add(right))];
    }
    const cdf = x.mul(inverseSqrt2).scalar('erf').add(1).mul(0.5);
    const pdf = x
      .mul(x)
      .mul(-0.5)
      .exp()
      .mul(1 / Math.sqrt(2 * Math.PI));
    return [g.mul(cdf.add(x.mul(pdf)))];
  },
  check: floating('GeluKernelImpl'),
});

/** x, or below zero `alpha * scale * (exp(x * inputScale) - 1)`: elu, selu and celu. Operands: x, alpha * scale, scale, inputScale. */
export const eluCall = activation(
  'elu',
  'elu_cpu',
  ([x, low, high, rate]) => x.le(0).where(x.mul(rate).scalar('expm1').mul(low), x.mul(high)),
  (g, [x, low, high, rate]) => [x.le(0).where(g.mul(rate).mul(low).mul(x.mul(rate).exp()), g.mul(high)), null, null, null],
);

export const leakyReluCall = activation(
  'leaky_relu',
  'leaky_relu_cpu',
  ([x, slope]) => x.gt(0).where(x, x.mul(slope)),
  (g, [x, slope]) => [x.gt(0).where(g, g.mul(slope)), null],
);

export const hardsigmoidCall = activation(
  'hardsigmoid',
  'hardsigmoid_cpu',
  ([x]) => x.add(3).maximum(0).minimum(6).div(6),
  (g, [x]) => [
    x
      .gt(-3)
      .and(x.lt(3))
      .where(g.mul(1 / 6), 0),
  ],
);

export const hardswishCall = activation(
  'hardswish',
  'hardswish_cpu',
  ([x]) => x.mul(x.add(3).maximum(0).minimum(6)).div(6),
  (g, [x]) => [x.le(-3).where(0, x.lt(3).where(g.mul(x.div(3).add(0.5)), g))],
);

export const logSigmoidCall = activation(
  'log_sigmoid',
  'log_sigmoid_cpu',
  ([x]) => x.minimum(0).sub(x.scalar('abs').neg().exp().scalar('log1p')),
  (g, [x]) => {
    const z = x.scalar('abs').neg().exp();
    const share = z.div(z.add(1));
    return [g.mul(x.lt(0).where(share.neg().add(1), share))];
  },
);

export const hardshrinkCall = activation(
  'hardshrink',
  'hardshrink_cpu',
  ([x, lambda]) => insideOf(x, lambda).where(0, x),
  (g, [x, lambda]) => [insideOf(x, lambda).where(0, g), null],
);
const insideOf = (x: Prim, lambda: Prim): Prim => x.ge(lambda.neg()).and(x.le(lambda));

export const softshrinkCall = activation(
  'softshrink',
  'softshrink_check',
  // NaN * 0 keeps a NaN.
  ([x, lambda]) => x.gt(lambda).where(x.sub(lambda), x.lt(lambda.neg()).where(x.add(lambda), x.mul(0))),
  (g, [x, lambda]) => [insideOf(x, lambda).where(0, g), null],
);

export const softplusCall = activation(
  'softplus',
  'softplus_cpu',
  ([x, beta, threshold]) => x.mul(beta).gt(threshold).where(x, x.mul(beta).exp().scalar('log1p').div(beta)),
  (g, [x, beta, threshold]) => {
    const z = x.mul(beta).exp();
    return [
      x
        .mul(beta)
        .gt(threshold)
        .where(g, g.mul(z).div(z.add(1))),
      null,
      null,
    ];
  },
);

const sigmoidOf = (x: Prim): Prim => constant(1, x.dtype).expand(x.shape).div(x.neg().exp().add(1));

export const mishCall = activation(
  'mish',
  'mish_cpu',
  ([x]) => x.mul(x.exp().scalar('log1p').scalar('tanh')),
  (g, [x]) => {
    const t = x.exp().scalar('log1p').scalar('tanh');
    return [g.mul(t.add(x.mul(sigmoidOf(x)).mul(t.mul(t).neg().add(1))))];
  },
);

export const siluCall = elementwise({
  name: 'silu',
  kind: 'DEFAULT',
  body: ([x]) => x.div(x.neg().exp().add(1)),
  gradient: (g, [x]) => {
    const s = sigmoidOf(x);
    return [g.mul(s.mul(x.mul(s.neg().add(1)).add(1)).conj())];
  },
  check: (compute) => {
    if (!compute.is_complex) requireFloating('silu_cpu', compute);
  },
});

/** Operands: x, and a slope of x's shape or broadcast to it. */
export const preluCall = activation(
  'prelu',
  'prelu_cpu',
  ([x, weight]) => x.gt(0).where(x, x.mul(weight)),
  (g, [x, weight]) => [x.gt(0).where(g, g.mul(weight)), x.gt(0).where(0, g.mul(x))],
);

/** a * sigmoid(b). */
export const gluCall = activation(
  'glu',
  'glu_cpu',
  ([a, b]) => a.div(b.neg().exp().add(1)),
  (g, [a, b]) => {
    const s = sigmoidOf(b);
    return [g.mul(s), g.mul(a).mul(s).mul(s.neg().add(1))];
  },
);

const clampCall = elementwise({
  name: 'hardtanh',
  kind: 'DEFAULT',
  body: ([x, low, high]) => x.maximum(low).minimum(high),
  gradient: (g, [x, low, high]) => [x.le(low).or(x.ge(high)).where(0, g), null, null],
});
export function hardtanhOf(x: Tensor, low: ScalarArgument, high: ScalarArgument): Tensor {
  if (x.dtype.kind === 'bool') throw new Error('Bool inputs not supported for hardtanh');
  if (x.dtype.is_complex) throw new Error('clamp is not supported for complex types');
  return clampCall([x, castScalar(low, x.dtype), castScalar(high, x.dtype)]);
}

const thresholdCall = elementwise({
  name: 'threshold',
  kind: 'DEFAULT',
  body: ([x, threshold, value]) => x.le(threshold).where(value.expand(x.shape), x),
  gradient: (g, [x, threshold]) => [x.le(threshold).where(0, g), null, null],
});
export function thresholdOf(x: Tensor, threshold: ScalarArgument, value: ScalarArgument): Tensor {
  if (x.dtype.kind === 'bool' || x.dtype.is_complex) throw notImplemented('threshold_cpu', x.dtype);
  return thresholdCall([x, castScalar(threshold, x.dtype), castScalar(value, x.dtype)]);
}

/** A number as the tensor's own dtype: it takes no part in promotion. */
function castScalar(value: ScalarArgument, dtype: DType): ScalarArgument {
  const number = scalarValue(value);
  return dtype.kind === 'int' && typeof number === 'number' ? Math.trunc(number) : number;
}

const reluPlain = elementwise({
  name: 'relu',
  kind: 'DEFAULT',
  body: ([x]) => x.maximum(0),
  gradient: (g, _, y) => [y.le(0).where(0, g)],
});
export function reluOf(x: Tensor): Tensor {
  if (x.dtype.kind === 'bool') throw new Error('Boolean inputs not supported for relu');
  if (x.dtype.is_complex) throw new Error('clamp is not supported for complex types');
  return reluPlain([x]);
}

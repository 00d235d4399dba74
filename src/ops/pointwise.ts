/** Pointwise operators: https://docs.pytorch.org/docs/stable/torch.html#pointwise-ops */

import { type PromotionKind, scalarTypeName } from '../dtype/promotion.ts';
import { bool } from '../dtype/dtype.ts';
import { constant, type Prim } from '../graph/prim.ts';
import type { ScalarOp } from '../kernel/scalar.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { declareInplace, overload } from './declare.ts';
import { elementwise, type Operand } from './elementwise.ts';
import type { Scalar } from './schema.ts';

/** A unary operator that is one scalar operation. */
const unary = <const N extends string>(name: N, fn: ScalarOp, kind: PromotionKind, doc: string) => {
  const call = elementwise({ name, kind, body: ([x]) => x.scalar(fn) });
  return declareInplace({ doc }, overload(`${name}(Tensor self) -> Tensor` as const, ((self: Tensor) => call([self])) as never));
};
const unaryOf = <const N extends string>(
  name: N,
  kind: PromotionKind,
  doc: string,
  body: (x: Prim) => Prim,
  gradient?: (g: Prim, x: Prim, y: Prim) => Prim,
) => {
  const call = elementwise({
    name,
    kind,
    body: ([x]) => body(x),
    ...(gradient && { gradient: (g: Prim, [x]: readonly Prim[], y: Prim) => [gradient(g, x, y)] }),
  });
  return declareInplace({ doc }, overload(`${name}(Tensor self) -> Tensor` as const, ((self: Tensor) => call([self])) as never));
};

const addCall = elementwise({ name: 'add', kind: 'DEFAULT', body: ([a, b]) => (a.dtype.kind === 'bool' ? a.or(b) : a.add(b)) });
const addScaled = elementwise({ name: 'add', kind: 'DEFAULT', body: ([a, b, alpha]) => a.add(b.mul(alpha)) });
const subCall = elementwise({
  name: 'sub',
  kind: 'DEFAULT',
  body: ([a, b]) => a.sub(b),
  check: (compute) => {
    if (compute.kind === 'bool')
      throw new Error(
        'Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or `logical_xor()` operator instead.',
      );
  },
});
const subScaled = elementwise({ name: 'sub', kind: 'DEFAULT', body: ([a, b, alpha]) => a.sub(b.mul(alpha)) });
const mulCall = elementwise({ name: 'mul', kind: 'DEFAULT', body: ([a, b]) => (a.dtype.kind === 'bool' ? a.and(b) : a.mul(b)) });
const divCall = elementwise({ name: 'div', kind: 'INT_TO_FLOAT', body: ([a, b]) => a.div(b) });
const compare = <const N extends string>(name: N, body: (a: Prim, b: Prim) => Prim, doc: string) => {
  const call = elementwise({
    name,
    kind: 'ALWAYS_BOOL',
    body: ([a, b]) => body(a, b),
    check: (compute) => {
      if (compute.is_complex && name !== 'eq' && name !== 'ne')
        throw new Error(`"${name}_cpu" not implemented for '${scalarTypeName(compute)}'`);
    },
  });
  return declareInplace(
    { doc },
    overload(`${name}.Tensor(Tensor self, Tensor other) -> Tensor` as const, ((a: Operand, b: Operand) => call([a, b])) as never),
    overload(`${name}.Scalar(Tensor self, Scalar other) -> Tensor` as const, ((a: Operand, b: Operand) => call([a, b])) as never),
  );
};
const powCall = elementwise({
  name: 'pow',
  kind: 'DEFAULT',
  constantOperands: [1],
  body: ([a, b]) => (b.body.op === 'const' ? powConstant(a, Number(b.body.value)) : a.scalar('pow', b)),
});
/** Small constant powers as products, like PyTorch. */
function powConstant(a: Prim, exponent: number): Prim {
  if (a.dtype.is_complex && (exponent < 2 || exponent > 3)) return complexPower(a, exponent);
  switch (exponent) {
    case 2:
      return a.mul(a);
    case 1:
      return a.scalar('pow', 1);
    case 3:
      return a.mul(a).mul(a);
    case 0.5:
      return a.dtype.is_floating_point ? a.sqrt() : a.scalar('pow', exponent);
    default:
      return a.scalar('pow', exponent);
  }
}

/** PyTorch takes these shortcuts for complex numbers too, and exp(b log a) for the rest. */
function complexPower(a: Prim, exponent: number): Prim {
  switch (exponent) {
    case 0:
      return constant(true, bool).where(constant(1, a.dtype), a);
    case 0.5:
      return a.sqrt();
    case 1:
      return a;
    case -0.5:
      return constantOver(1, a.sqrt());
    case -1:
      return constantOver(1, a);
    case -2:
      return constantOver(1, a.mul(a));
    default:
      return a.scalar('pow', exponent);
  }
}

const isOne = (alpha: Scalar): boolean => alpha === 1 || alpha === 1n;

export const pointwise = {
  add: declareInplace(
    { doc: 'self + alpha * other, broadcast. https://docs.pytorch.org/docs/stable/generated/torch.add.html' },
    overload('add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor', (a, b, alpha) =>
      isOne(alpha) ? addCall([a, b]) : addScaled([a, b, alpha]),
    ),
    overload('add.Scalar(Tensor self, Scalar other, *, Scalar alpha=1) -> Tensor', (a, b, alpha) =>
      isOne(alpha) ? addCall([a, b]) : addScaled([a, b, alpha]),
    ),
  ),
  sub: declareInplace(
    { doc: 'self - alpha * other, broadcast. https://docs.pytorch.org/docs/stable/generated/torch.sub.html' },
    overload('sub.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor', (a, b, alpha) =>
      isOne(alpha) ? subCall([a, b]) : subScaled([a, b, alpha]),
    ),
    overload('sub.Scalar(Tensor self, Scalar other, *, Scalar alpha=1) -> Tensor', (a, b, alpha) =>
      isOne(alpha) ? subCall([a, b]) : subScaled([a, b, alpha]),
    ),
  ),
  mul: declareInplace(
    { doc: 'self * other, broadcast. https://docs.pytorch.org/docs/stable/generated/torch.mul.html' },
    overload('mul.Tensor(Tensor self, Tensor other) -> Tensor', (a, b) => mulCall([a, b])),
    overload('mul.Scalar(Tensor self, Scalar other) -> Tensor', (a, b) => mulCall([a, b])),
  ),
  div: declareInplace(
    { doc: 'self / other, broadcast; integers give floats. https://docs.pytorch.org/docs/stable/generated/torch.div.html' },
    overload('div.Tensor(Tensor self, Tensor other) -> Tensor', (a, b) => divCall([a, b])),
    overload('div.Scalar(Tensor self, Scalar other) -> Tensor', (a, b) => divCall([a, b])),
  ),
  pow: declareInplace(
    { doc: 'self to the power exponent. https://docs.pytorch.org/docs/stable/generated/torch.pow.html' },
    overload('pow.Tensor_Tensor(Tensor self, Tensor exponent) -> Tensor', (a, b) => powCall([a, b])),
    overload('pow.Tensor_Scalar(Tensor self, Scalar exponent) -> Tensor', (a, b) => powCall([a, b])),
  ),
  neg: unary('neg', 'neg', 'DEFAULT', '-self'),
  abs: unary('abs', 'abs', 'COMPLEX_TO_FLOAT', '|self|'),
  exp: unary('exp', 'exp', 'INT_TO_FLOAT', 'e to the power self'),
  log: unary('log', 'log', 'INT_TO_FLOAT', 'natural logarithm'),
  sqrt: unary('sqrt', 'sqrt', 'INT_TO_FLOAT', 'square root'),
  sin: unary('sin', 'sin', 'INT_TO_FLOAT', 'sine (radians)'),
  cos: unary('cos', 'cos', 'INT_TO_FLOAT', 'cosine (radians)'),
  tanh: { ...unary('tanh', 'tanh', 'INT_TO_FLOAT', 'hyperbolic tangent'), functional: true as const },
  erf: unary('erf', 'erf', 'INT_TO_FLOAT', 'error function'),
  sigmoid: {
    ...unaryOf(
      'sigmoid',
      'INT_TO_FLOAT',
      '1 / (1 + exp(-self))',
      (x) => constantOver(1, x.neg().exp().add(1)),
      (g, _, y) => g.mul(y.neg().add(1).mul(y).conj()),
    ),
    functional: true as const,
  },

  rsqrt: unaryOf(
    'rsqrt',
    'INT_TO_FLOAT',
    '1 / sqrt(self)',
    (x) => constantOver(1, x.sqrt()),
    (g, _, y) => g.mul(-0.5).mul(y.mul(y).mul(y).conj()),
  ),
  reciprocal: unaryOf(
    'reciprocal',
    'INT_TO_FLOAT',
    '1 / self',
    (x) => constantOver(1, x),
    (g, _, y) => g.neg().mul(y.mul(y).conj()),
  ),
  square: unaryOf('square', 'DEFAULT', 'self * self', (x) => x.mul(x)),
  relu: {
    ...unaryOf(
      'relu',
      'DEFAULT',
      'max(self, 0)',
      (x) => x.maximum(0),
      (g, _, y) => y.le(0).where(0, g),
    ),
    functional: true as const,
  },

  eq: compare('eq', (a, b) => a.eq(b), 'self == other'),
  ne: compare('ne', (a, b) => a.ne(b), 'self != other'),
  lt: compare('lt', (a, b) => a.lt(b), 'self < other'),
  le: compare('le', (a, b) => a.le(b), 'self <= other'),
  gt: compare('gt', (a, b) => b.lt(a), 'self > other'),
  ge: compare('ge', (a, b) => b.le(a), 'self >= other'),
};

function constantOver(value: number, p: Prim): Prim {
  return constant(value, p.dtype).div(p);
}

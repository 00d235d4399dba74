/**
 * Powers, roots, and logarithms of sums.
 *
 * A number as exponent is a constant of the program: small ones are products, as in PyTorch. The gradients are PyTorch's at zero bases and exponents.
 */
import { bool, complex64, complex128, type DType, float64, int32 } from '../dtype/dtype.ts';
import { scalarTypeName } from '../dtype/promotion.ts';
import type { Operator } from '../graph/operator.ts';
import { constant, type Prim } from '../graph/prim.ts';
import { record } from '../tensor/record.ts';
import { Tensor } from '../tensor/tensor.ts';
import { writeInto } from '../tensor/write.ts';
import { castTo } from './conversion.ts';
import { declare, declareInplace, overload } from './declare.ts';
import { elementwise, type Operand } from './elementwise.ts';
import {
  docOf,
  like,
  notImplemented,
  only,
  over,
  promotedOf,
  tensorOverload,
  tensorScalar,
  tensorTensor,
  unary,
} from './pointwise-support.ts';
import { splitFloat } from './pointwise-unary.ts';
import { ScalarBox, scalarKind, scalarValue } from './scalar-argument.ts';

/** a^b; of complex64 in double precision, for exp(b log a) would lose as many digits as b log a has before the point. */
function power(a: Prim, b: Prim | number): Prim {
  if (a.dtype !== complex64) return a.scalar('pow', b);
  return a
    .cast(complex128)
    .scalar('pow', typeof b === 'number' ? b : b.cast(complex128))
    .cast(complex64);
}
/** PyTorch's shortcuts; the rest is pow, or exp(b log a) of complex numbers. */
function powerOf(a: Prim, exponent: number): Prim {
  if (a.dtype === bool) return exponent === 0 ? constant(true, bool).expand(a.shape) : a;
  const float = a.dtype.is_floating_point || a.dtype.is_complex;
  switch (exponent) {
    case 0:
      return a.dtype.is_complex ? constant(true, bool).where(like(a, 1), a) : a.scalar('pow', exponent);
    case 1:
      return a.dtype.is_complex ? a : a.scalar('pow', 1);
    case 2:
      return a.mul(a);
    case 3:
      return a.mul(a).mul(a);
    case 0.5:
      return float ? a.sqrt() : a.scalar('pow', exponent);
    case -0.5:
      return float ? over(1, a.sqrt()) : a.scalar('pow', exponent);
    case -1:
      return float ? over(1, a) : a.scalar('pow', exponent);
    case -2:
      return float ? over(1, a.mul(a)) : a.scalar('pow', exponent);
    default:
      return power(a, exponent);
  }
}
const constantOf = (p: Prim): number | null => (p.body.op === 'const' ? Number(p.body.value) : null);

const powCall = elementwise({
  name: 'pow',
  kind: 'DEFAULT',
  constantOperands: [1],
  body: ([a, b]) => {
    const exponent = constantOf(b);
    return exponent === null ? power(a, b) : powerOf(a, exponent);
  },
  gradient: (g, [a, b], y) => {
    const exponent = constantOf(b);
    if (exponent !== null)
      return [
        exponent === 0
          ? g.mul(0)
          : g.mul(
              powerOf(a, exponent - 1)
                .mul(exponent)
                .conj(),
            ),
        null,
      ];
    const slope = g.mul(b.mul(power(a, b.sub(1))).conj());
    const turn = g.mul(y.mul(a.log()).conj());
    return [b.eq(0).where(0, slope), a.eq(0).and(b.real.ge(0)).where(0, turn)];
  },
  check: (_, operands, promoted) => {
    const [base, exponent] = operands;
    // A bool as exponent is 0 or 1, for which nothing is computed.
    if (promoted === bool && exponent instanceof Tensor) throw notImplemented('pow', promoted);
    if (promoted.kind !== 'int' || exponent instanceof Tensor || !(base instanceof Tensor)) return;
    if (scalarValue(exponent) < 0) throw new Error('Integers to negative integer powers are not allowed.');
  },
});
/** With a number as base. */
const powScalarBase = elementwise({
  name: 'pow',
  kind: 'DEFAULT',
  body: ([a, b]) => power(a, b),
  gradient: (g, [a, b], y) => [
    null,
    a
      .eq(0)
      .and(b.real.ge(0))
      .where(0, g.mul(y.mul(a.log()).conj())),
  ],
  check: only('pow', 'int', 'float', 'complex'),
});
export const powOf = (a: Operand, b: Operand): Tensor => (a instanceof Tensor ? powCall([a, b]) : powScalarBase([a, b]));

function floatPower(base: Operand, exponent: Operand): Tensor {
  const complex = [base, exponent].some((o) => (o instanceof Tensor ? o.dtype.is_complex : scalarKind(o) === 'complex'));
  const dtype = complex ? complex128 : float64;
  const as = (o: Operand): Operand => {
    if (o instanceof Tensor) return castTo(o, dtype);
    return scalarKind(o) === 'complex' ? o : new ScalarBox(Number(scalarValue(o)), float64);
  };
  return powOf(as(base), as(exponent));
}
/** In place only where the tensor already has the dtype of the result. */
function floatPowerInto(x: Tensor, exponent: Operand): Tensor {
  const result = promotedOf([x, exponent]).is_complex ? complex128 : float64;
  if (x.dtype !== result)
    throw new Error(
      `the base given to float_power_ has dtype ${scalarTypeName(x.dtype)} but the operation's result requires dtype ${scalarTypeName(result)}`,
    );
  return writeInto(x, () => floatPower(x, exponent));
}

const addExpCall = elementwise({
  name: 'logaddexp',
  kind: 'DEFAULT',
  body: ([a, b]) => {
    if (!a.dtype.is_complex) {
      const largest = a.maximum(b);
      const same = a.eq(b).and(a.scalar('abs').eq(Number.POSITIVE_INFINITY));
      return same.where(a, largest.add(a.sub(b).scalar('abs').neg().exp().scalar('log1p')));
    }
    const first = b.real.le(a.real);
    const [high, low] = [first.where(a, b), first.where(b, a)];
    const same = high.real.eq(low.real).and(low.real.scalar('abs').eq(Number.POSITIVE_INFINITY));
    const sum = high.add(low.sub(high).exp().scalar('log1p'));
    return same.where(low.real.lt(0).where(low, low.exp().add(high.exp()).log()), sum);
  },
  gradient: (g, [a, b]) => [g.div(b.sub(a).exp().add(1).conj()), g.div(a.sub(b).exp().add(1).conj())],
  check: only('logaddexp_cpu', 'float', 'complex'),
});
const addExp2Call = elementwise({
  name: 'logaddexp2',
  kind: 'DEFAULT',
  body: ([a, b]) => {
    const same = a.eq(b).and(a.scalar('abs').eq(Number.POSITIVE_INFINITY));
    const rest = a.sub(b).scalar('abs').neg().scalar('exp2').scalar('log1p').mul(Math.LOG2E);
    return same.where(a, a.maximum(b).add(rest));
  },
  gradient: (g, [a, b]) => [g.div(b.sub(a).scalar('exp2').add(1)), g.div(a.sub(b).scalar('exp2').add(1))],
  check: only('logaddexp2_cpu', 'float'),
});

/** sqrt(a^2 + b^2) without overflow: by the larger of the two. */
const hypotCall = elementwise({
  name: 'hypot',
  kind: 'DEFAULT',
  body: ([a, b]) => {
    const [x, y] = [a.scalar('abs'), b.scalar('abs')];
    if (a.dtype !== float64) {
      const [u, v] = [x.cast(float64), y.cast(float64)];
      return orInfinite(x, y, u.mul(u).add(v.mul(v)).sqrt().cast(a.dtype));
    }
    const high = x.maximum(y);
    const ratio = x.minimum(y).div(high);
    return orInfinite(x, y, high.eq(0).where(0, high.mul(ratio.mul(ratio).add(1).sqrt())));
  },
  gradient: (g, [a, b], y) => [g.mul(a.div(y)), g.mul(b.div(y))],
  check: only('hypot_cpu', 'float'),
});
const orInfinite = (x: Prim, y: Prim, length: Prim): Prim => {
  const infinity = Number.POSITIVE_INFINITY;
  return x.eq(infinity).or(y.eq(infinity)).where(infinity, length);
};

const atan2Call = elementwise({
  name: 'atan2',
  kind: 'INT_TO_FLOAT',
  body: ([a, b]) => a.scalar('atan2', b),
  gradient: (g, [a, b]) => {
    const scaled = g.div(a.mul(a).add(b.mul(b)));
    const origin = a.eq(0).and(b.eq(0));
    return [origin.where(0, scaled.mul(b)), origin.where(0, scaled.mul(a.neg()))];
  },
  check: only('atan2_cpu', 'float', 'int', 'bool'),
});
const atan2 = declareInplace(docOf('atan2', 'Angle of the point (other, self)'), tensorOverload('atan2', atan2Call));

const ldexpCall = elementwise({
  name: 'ldexp',
  kind: 'INT_TO_FLOAT',
  body: ([x, e]) => x.mul(twoTo(e)),
  gradient: (g, [, e], y) => [g.mul(twoTo(e).conj()), g.mul(y.conj()).mul(Math.LN2)],
});
const twoTo = (e: Prim): Prim => (e.dtype.is_complex ? like(e, 2).scalar('pow', e) : e.scalar('exp2'));

const frexpOperator: Operator<DType> = {
  name: 'frexp',
  layout: 'elementwise',
  body: ([x]) => {
    const wide = x.dtype.itemsize === 2 ? x.cast(float64) : x;
    const { mantissa, exponent } = splitFloat(wide);
    return [mantissa.cast(x.dtype), exponent.cast(int32)];
  },
  // A power of two is exact: the mantissa's slope is 2^-exponent.
  gradient: ([g], [x], [, exponent]) => [g === null ? null : g.mul(exponent.cast(x.dtype).neg().scalar('exp2'))],
};

const pow = declareInplace(
  docOf('pow', 'self to the power exponent'),
  overload('pow.Tensor_Tensor(Tensor self, Tensor exponent) -> Tensor', (a, b) => powOf(a, b)),
  overload('pow.Tensor_Scalar(Tensor self, Scalar exponent) -> Tensor', (a, b) => powOf(a, b)),
  overload('pow.Scalar(Scalar self, Tensor exponent) -> Tensor', (a, b) => powOf(a, b)),
);
const pythonPower = (name: string): { readonly doc: string; readonly as: 'method' } => ({ doc: `Python's operator ${name}`, as: 'method' });

export const powers = {
  pow,
  __pow__: declare(
    pythonPower('__pow__'),
    tensorTensor('__pow__', ([a, b]) => powOf(a, b)),
    tensorScalar('__pow__', ([a, b]) => powOf(a, b)),
  ),
  __rpow__: declare(
    pythonPower('__rpow__'),
    tensorTensor('__rpow__', ([a, b]) => powOf(b, a)),
    tensorScalar('__rpow__', ([a, b]) => powOf(b, a)),
  ),
  float_power: declare(
    docOf('float_power', 'self to the power exponent, in double precision'),
    overload('float_power.Tensor_Tensor(Tensor self, Tensor exponent) -> Tensor', (a, b) => floatPower(a, b)),
    overload('float_power.Tensor_Scalar(Tensor self, Scalar exponent) -> Tensor', (a, b) => floatPower(a, b)),
    overload('float_power.Scalar(Scalar self, Tensor exponent) -> Tensor', (a, b) => floatPower(a, b)),
  ),
  float_power_: declare(
    { ...docOf('float_power', 'float_power in place, for tensors that are float64 already'), as: 'method' },
    overload('float_power_.Tensor(Tensor self, Tensor exponent) -> Tensor', (a, b) => floatPowerInto(a, b)),
    overload('float_power_.Scalar(Tensor self, Scalar exponent) -> Tensor', (a, b) => floatPowerInto(a, b)),
  ),
  sqrt: unary('sqrt', 'Square root', (x) => x.sqrt()),
  rsqrt: unary('rsqrt', '1 / sqrt(self)', (x) => over(1, x.sqrt()), { gradient: (g, _, y) => g.mul(-0.5).mul(y.mul(y).mul(y).conj()) }),
  square: unary('square', 'self * self', (x) => x.mul(x), { kind: 'BOOL_TO_LONG', gradient: (g, x) => g.mul(x.mul(2).conj()) }),
  logaddexp: declare(docOf('logaddexp', 'log(exp(self) + exp(other))'), tensorOverload('logaddexp', addExpCall)),
  logaddexp2: declare(docOf('logaddexp2', 'log2(2^self + 2^other)'), tensorOverload('logaddexp2', addExp2Call)),
  atan2,
  arctan2: atan2,
  hypot: declareInplace(docOf('hypot', 'sqrt(self^2 + other^2)'), tensorOverload('hypot', hypotCall)),
  ldexp: declareInplace(docOf('ldexp', 'self * 2^other'), tensorTensor('ldexp', ldexpCall)),
  frexp: declare(
    docOf('frexp', 'Mantissa (at least 1/2, below 1) and exponent of two'),
    overload('frexp.Tensor(Tensor self) -> (Tensor mantissa, Tensor exponent)', (x) => {
      if (!x.dtype.is_floating_point) throw new Error('torch.frexp() only supports floating-point dtypes');
      return record(frexpOperator as never, [x]) as [Tensor, Tensor];
    }),
  ),
};

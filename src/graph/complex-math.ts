/**
 * Complex arithmetic and functions as formulas over pairs of real primitives.
 *
 * The formulas are those that keep their accuracy over the whole plane: Smith's division, W. Kahan's inverse functions ("Branch cuts for
 * complex elementary functions", 1987), a logarithm that does not cancel near the unit circle, a tanh that does not overflow. Signed zeros
 * choose the side of a branch cut, so negation is never written as a subtraction from zero. Infinities follow C99 where that costs a
 * selection; the largest half binade of `exp`, where its real factor overflows and the result would not, is not rescued.
 */
import type { ScalarOp } from '../kernel/scalar.ts';
import { constant, type Prim } from './prim.ts';

export interface Pair {
  readonly re: Prim;
  readonly im: Prim;
}

const number = (value: number, like: Prim): Prim => constant(value, like.dtype);
const over = (value: number, p: Prim): Prim => number(value, p).div(p);
const isInfinite = (p: Prim): Prim => p.scalar('abs').eq(Infinity);
const isNegative = (p: Prim): Prim => p.lt(0).or(p.eq(0).and(over(1, p).lt(0)));
/** |magnitude| with the sign of `sign`, zeros included. */
const withSign = (magnitude: Prim, sign: Prim): Prim => {
  const size = magnitude.scalar('abs');
  return isNegative(sign).where(size.neg(), size);
};
/** a * b where a zero `a` wins over an infinite b. */
const keepZero = (a: Prim, b: Prim): Prim => a.eq(0).and(isInfinite(b)).where(a, a.mul(b));

export const negate = ({ re, im }: Pair): Pair => ({ re: re.neg(), im: im.neg() });
export const conjugate = ({ re, im }: Pair): Pair => ({ re, im: im.neg() });
const timesI = ({ re, im }: Pair): Pair => ({ re: im.neg(), im: re });
const timesMinusI = ({ re, im }: Pair): Pair => ({ re: im, im: re.neg() });
const scale = ({ re, im }: Pair, by: number): Pair => ({ re: re.mul(by), im: im.mul(by) });
const add = (a: Pair, b: Pair): Pair => ({ re: a.re.add(b.re), im: a.im.add(b.im) });

export function multiply(a: Pair, b: Pair): Pair {
  return { re: a.re.mul(b.re).sub(a.im.mul(b.im)), im: a.re.mul(b.im).add(a.im.mul(b.re)) };
}

/** Smith: the smaller part of the divisor over the larger one, so that no square overflows. A zero divisor divides part by part. */
export function divide(a: Pair, b: Pair): Pair {
  const wide = b.im.scalar('abs').le(b.re.scalar('abs'));
  const large = wide.where(b.re, b.im);
  const small = wide.where(b.im, b.re);
  const ratio = small.div(large);
  const reciprocal = over(1, large.add(small.mul(ratio)));
  const x = wide.where(a.re, a.im);
  const y = wide.where(a.im, a.re);
  const cross = y.sub(x.mul(ratio));
  const zero = large.eq(0);
  return {
    re: zero.where(a.re.div(b.re.scalar('abs')), x.add(y.mul(ratio)).mul(reciprocal)),
    im: zero.where(a.im.div(b.im.scalar('abs')), wide.where(cross, cross.neg()).mul(reciprocal)),
  };
}

/** |z| without overflow: infinite where a part is, even beside a NaN. */
export function modulus({ re, im }: Pair): Prim {
  const x = re.scalar('abs');
  const y = im.scalar('abs');
  const large = x.maximum(y);
  const ratio = x.minimum(y).div(large);
  const length = large.mul(ratio.mul(ratio).add(1).sqrt());
  return x.eq(Infinity).or(y.eq(Infinity)).where(Infinity, large.eq(0).where(large, length));
}

export const argument = ({ re, im }: Pair): Prim => im.scalar('atan2', re);

export function exp({ re, im }: Pair): Pair {
  const size = re.exp();
  const none = re.eq(-Infinity);
  return {
    re: none.where(0, size.mul(im.scalar('cos'))),
    im: none.where(0, im.eq(0).where(im, size.mul(im.scalar('sin')))),
  };
}

export function log(z: Pair): Pair {
  const x = z.re.scalar('abs');
  const y = z.im.scalar('abs');
  const large = x.maximum(y);
  const small = x.minimum(y);
  // log|z| = log1p(|z|^2 - 1) / 2 near the unit circle, where |z| itself has lost the distance to 1.
  const near = large.sub(1).mul(large.add(1)).add(small.mul(small)).scalar('log1p').mul(0.5);
  const length = modulus(z);
  return { re: length.gt(0.5).and(length.lt(2)).where(near, length.log()), im: argument(z) };
}

/** log(1 + z). */
export function log1p({ re, im }: Pair): Pair {
  const shifted = { re: re.add(1), im };
  const near = re.mul(re.add(2)).add(im.mul(im)).scalar('log1p').mul(0.5);
  const length = modulus(shifted);
  return { re: length.gt(0.5).and(length.lt(2)).where(near, length.log()), im: argument(shifted) };
}

export function expm1({ re, im }: Pair): Pair {
  const half = im.mul(0.5).scalar('sin');
  return {
    re: re.scalar('expm1').mul(im.scalar('cos')).sub(half.mul(half).mul(2)),
    im: im.eq(0).where(im, re.exp().mul(im.scalar('sin'))),
  };
}

export function sqrt(z: Pair): Pair {
  const x = z.re.scalar('abs');
  const root = x.mul(0.5).add(modulus(z).mul(0.5)).sqrt();
  const other = z.im.div(root.mul(2));
  const right = z.re.ge(0);
  const zero = root.eq(0);
  const infinite = isInfinite(z.im);
  return {
    re: infinite.where(Infinity, zero.where(0, right.where(root, other.scalar('abs')))),
    im: infinite.or(zero).where(z.im, right.where(other, withSign(root, z.im))),
  };
}

export const sin = ({ re, im }: Pair): Pair => ({
  re: keepZero(re.scalar('sin'), im.scalar('cosh')),
  im: keepZero(im.scalar('sinh'), re.scalar('cos')),
});
export const cos = ({ re, im }: Pair): Pair => ({
  re: re.scalar('cos').mul(im.scalar('cosh')),
  im: keepZero(re.scalar('sin').neg(), im.scalar('sinh')),
});
export const sinh = (z: Pair): Pair => timesMinusI(sin(timesI(z)));
export const cosh = (z: Pair): Pair => cos(timesI(z));

/** Kahan: with t = tan(y), s = sinh(x), everything over 1 + (1 + t^2) s^2; the limit where s^2 would overflow. */
export function tanh({ re, im }: Pair): Pair {
  const far = re.scalar('abs').gt(re.dtype.itemsize === 8 ? 22 : 11);
  const x = far.where(0, re);
  const t = im.scalar('tan');
  const s = x.scalar('sinh');
  const beta = t.mul(t).add(1);
  const denominator = beta.mul(s).mul(s).add(1);
  const cosine = s.mul(s).add(1).sqrt();
  const tail = im.scalar('sin').mul(im.scalar('cos')).mul(re.scalar('abs').mul(-2).exp()).mul(4);
  return {
    re: far.where(withSign(number(1, re), re), beta.mul(cosine).mul(s).div(denominator)),
    im: far.where(isInfinite(re).where(withSign(number(0, re), im), tail), t.div(denominator)),
  };
}
export const tan = (z: Pair): Pair => timesMinusI(tanh(timesI(z)));

/** Square roots of 1 - z and 1 + z. */
const roots = ({ re, im }: Pair): readonly [Pair, Pair] => [sqrt({ re: re.neg().add(1), im: im.neg() }), sqrt({ re: re.add(1), im })];
/** Imaginary part of conj(a) b. */
const cross = (a: Pair, b: Pair): Prim => a.re.mul(b.im).sub(a.im.mul(b.re));

export function asin(z: Pair): Pair {
  const [minus, plus] = roots(z);
  return {
    re: z.re.scalar('atan2', minus.re.mul(plus.re).sub(minus.im.mul(plus.im))),
    im: cross(minus, plus).scalar('asinh'),
  };
}
export function acos(z: Pair): Pair {
  const [minus, plus] = roots(z);
  return { re: minus.re.scalar('atan2', plus.re).mul(2), im: cross(plus, minus).scalar('asinh') };
}
export function acosh({ re, im }: Pair): Pair {
  const minus = sqrt({ re: re.sub(1), im });
  const plus = sqrt({ re: re.add(1), im });
  return {
    re: minus.re.mul(plus.re).add(minus.im.mul(plus.im)).scalar('asinh'),
    im: minus.im.scalar('atan2', plus.re).mul(2),
  };
}
export const asinh = (z: Pair): Pair => timesMinusI(asin(timesI(z)));

export function atanh({ re, im }: Pair): Pair {
  const x = re.scalar('abs');
  const distance = x.neg().add(1);
  const squared = distance.mul(distance).add(im.mul(im));
  const size = isInfinite(re).or(isInfinite(im)).where(0, x.mul(4).div(squared).scalar('log1p').mul(0.25));
  const angle = im.mul(2).scalar('atan2', distance.mul(x.add(1)).sub(im.mul(im)));
  return { re: withSign(size, re), im: angle.mul(0.5) };
}
export const atan = (z: Pair): Pair => timesMinusI(atanh(timesI(z)));

export const power = (base: Pair, exponent: Pair): Pair => exp(multiply(exponent, log(base)));

type Formula = (...operands: Pair[]) => Pair;

/** Scalar operations whose result is complex; `eq`, `ne` and `abs` are real, `select` has a real condition. */
export const complexFormulas: { readonly [K in ScalarOp]?: Formula } = {
  add,
  sub: (a, b) => ({ re: a.re.sub(b.re), im: a.im.sub(b.im) }),
  mul: multiply,
  div: divide,
  neg: negate,
  fma: (a, b, c) => add(multiply(a, b), c),
  sqrt,
  exp,
  exp2: (z) => exp(scale(z, Math.LN2)),
  expm1,
  log,
  log2: (z) => scale(log(z), Math.LOG2E),
  log10: (z) => scale(log(z), Math.LOG10E),
  log1p,
  sin,
  cos,
  tan,
  asin,
  acos,
  atan,
  sinh,
  cosh,
  tanh,
  asinh,
  acosh,
  atanh,
  pow: power,
};

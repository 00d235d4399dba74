/**
 * exp, exp2, expm1, sinh, cosh, tanh.
 *
 * e^x = 2^n e^r with n = rint(x / ln 2), |r| <= ln2 / 2 (Cody and Waite). n is rounded by adding 1.5 * 2^mantissa, so that the low
 * bits of the sum are n and shifting them makes 2^n without a conversion. Where the result may be infinite or subnormal the scale
 * is applied in two halves. About 20 operations for exp, 17 where the range is known (tanh, erf).
 */
import { type FloatMath, throughDouble } from './algebra.ts';
import { exp2Coefficients, expCoefficients, expm1Coefficients, tanhCoefficients } from './coefficients.ts';

/** fdlibm's split of ln 2: n * hi is exact for |n| < 2^11 (f64), 2^9 (f32). */
export const ln2 = {
  f32: { high: 0.693145751953125, low: 1.4286068203094173e-6 },
  f64: { high: 0.6931471803691238, low: 1.9082149292705877e-10 },
} as const;

interface Reduced<T> {
  /** 1.5 * 2^mantissa + n. */
  readonly shifted: T;
  readonly rest: T;
}
export function reduceExp<T>(m: FloatMath<T>, x: T): Reduced<T> {
  const magic = m.c(m.magic);
  const shifted = m.fma(x, m.c(Math.LOG2E), magic);
  const n = m.sub(shifted, magic);
  const parts = ln2[m.type];
  return { shifted, rest: m.fma(n, m.c(-parts.low), m.fma(n, m.c(-parts.high), x)) };
}

/** p * 2^(n + extra) with one rounding, for |n| up to about twice the exponent range. A NaN in p stays. */
export function scaleInHalves<T>(m: FloatMath<T>, p: T, shifted: T, extra = 0): T {
  const bits = m.bits(shifted);
  const whole = m.shl(bits, m.mantissa);
  const half = m.and(m.shl(bits, m.mantissa - 1), m.i(m.single ? 0xff800000 : 0xfff0000000000000n));
  const first = m.float(m.add(half, m.i(m.powerBits(0))));
  const second = m.float(m.add(m.sub(whole, half), m.i(m.powerBits(extra))));
  return m.mul(m.mul(p, first), second);
}
/** 2^(n + extra), where that is a normal number. */
function powerOfTwo<T>(m: FloatMath<T>, shifted: T, extra = 0): T {
  return m.float(m.add(m.shl(m.bits(shifted), m.mantissa), m.i(m.powerBits(extra))));
}
const clamp = <T>(m: FloatMath<T>, low: number, high: number, x: T): T => m.max(m.c(low), m.min(m.c(high), x));

export function exp<T>(m: FloatMath<T>, x: T): T {
  const { shifted, rest } = reduceExp(m, m.single ? clamp(m, -104, 88.8, x) : clamp(m, -746, 709.9, x));
  return scaleInHalves(m, m.poly(rest, expCoefficients), shifted);
}
/** e^x / 2, which is finite a little further. */
function halfExp<T>(m: FloatMath<T>, x: T): T {
  const { shifted, rest } = reduceExp(m, m.single ? clamp(m, -104, 89.6, x) : clamp(m, -746, 710.6, x));
  return scaleInHalves(m, m.poly(rest, expCoefficients), shifted, -1);
}
/** e^x for an x known to give a normal number: no clamps, one scale. Also returned in parts, for a fused e^x + c. */
export function expInRange<T>(m: FloatMath<T>, x: T): { readonly power: T; readonly factor: T } {
  const { shifted, rest } = reduceExp(m, x);
  return { power: powerOfTwo(m, shifted), factor: m.poly(rest, expCoefficients) };
}

export function exp2<T>(m: FloatMath<T>, x: T): T {
  const clamped = m.single ? clamp(m, -151, 128, x) : clamp(m, -1076, 1024, x);
  const shifted = m.add(clamped, m.c(m.magic));
  const rest = m.sub(clamped, m.sub(shifted, m.c(m.magic)));
  return scaleInHalves(m, m.poly(rest, exp2Coefficients), shifted);
}

/** 2 (2^(n-1) (e^r - 1) + (2^(n-1) - 1/2)): the halves keep 2^n finite for the largest n. */
export function expm1<T>(m: FloatMath<T>, x: T): T {
  const { shifted, rest } = reduceExp(m, m.single ? clamp(m, -18, 88.8, x) : clamp(m, -39, 709.9, x));
  const inner = m.fma(m.mul(rest, rest), m.poly(rest, expm1Coefficients), rest);
  const power = powerOfTwo(m, shifted, -1);
  const half = m.fma(power, inner, m.sub(power, m.c(0.5)));
  return m.select(m.lt(m.abs(x), m.c(2 ** -(m.mantissa + 3))), x, m.add(half, half));
}

/** A polynomial up to 0.6, beyond it 1 - 2 / (e^(2x) + 1). */
export function tanh<T>(m: FloatMath<T>, x: T): T {
  const a = m.abs(x);
  const z = m.mul(a, a);
  const small = m.fma(m.mul(a, z), m.poly(z, tanhCoefficients), a);
  const { power, factor } = expInRange(m, m.min(m.c(m.single ? 20 : 44), m.add(a, a)));
  const large = m.sub(m.c(1), m.div(m.c(2), m.fma(power, factor, m.c(1))));
  return m.withSign(m.select(m.lt(a, m.c(0.6)), small, large), x);
}

function sinhDouble<T>(m: FloatMath<T>, x: T): T {
  const a = m.abs(x);
  const t = expm1(m, m.min(m.c(22), a));
  const small = m.mul(m.c(0.5), m.add(t, m.div(t, m.add(t, m.c(1)))));
  // Halving a subnormal would round: so small an argument is the answer.
  const magnitude = m.select(m.lt(a, m.c(22)), m.select(m.lt(a, m.c(2 ** -28)), a, small), halfExp(m, a));
  return m.withSign(magnitude, x);
}
export const sinh = <T>(m: FloatMath<T>, x: T): T => throughDouble<T>(sinhDouble)(m, x);

function coshDouble<T>(m: FloatMath<T>, x: T): T {
  const half = halfExp(m, m.abs(x));
  return m.add(half, m.div(m.c(0.25), half));
}
export const cosh = <T>(m: FloatMath<T>, x: T): T => throughDouble<T>(coshDouble)(m, x);

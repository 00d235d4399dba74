/**
 * log, log2, log10, log1p, and the inverse hyperbolic functions that are logarithms.
 *
 * x = 2^k (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)), by integer arithmetic on the bits. In f32 a polynomial in f (the form of
 * Cephes' logf, no division); in f64 fdlibm's series in s = f / (2 + f).
 */
import { type FloatMath, throughDouble } from './algebra.ts';
import { log2Coefficients, log10Coefficients, logCoefficients, logSeriesCoefficients } from './coefficients.ts';
import { ln2 } from './exponential.ts';

export interface LogReduction<T> {
  /** k as a float. */
  readonly k: T;
  readonly f: T;
  /** The bits of k << mantissa. */
  readonly shiftedK: T;
}

/** For x > 0 and finite; anything else gives a number without meaning. `normal`: x is known not to be subnormal. */
export function reduceLog<T>(m: FloatMath<T>, x: T, normal = false): LogReduction<T> {
  const up = m.mantissa + 2;
  const tiny = m.lt(x, m.pick(2 ** -126, 2 ** -1022));
  const scaled = normal ? x : m.select(tiny, m.mul(x, m.c(2 ** up)), x);
  const root = m.i(m.single ? 0x3f3504f3 : 0x3fe6a09e667f3bcdn);
  const offset = m.sub(m.bits(scaled), root);
  const field = m.i(m.single ? 0x7fffff : 0xfffffffffffffn);
  const f = m.sub(m.float(m.add(m.and(offset, field), root)), m.c(1));
  let k: T;
  if (m.single) k = m.algebra.cast('f32', m.shr(offset, 23));
  else {
    // Few targets convert or shift int64 lanes: 2^52 + (k + 1024) is assembled from bits instead.
    const biased = m.ushr(m.add(offset, m.i(1n << 62n)), 52);
    k = m.sub(m.float(m.or(biased, m.bits(m.c(2 ** 52)))), m.c(2 ** 52 + 1024));
  }
  if (!normal) k = m.select(tiny, m.sub(k, m.c(up)), k);
  return { k, f, shiftedK: m.sub(offset, m.and(offset, field)) };
}

/** log(1 + f) + k ln 2. */
function logOf<T>(m: FloatMath<T>, k: T, f: T): T {
  const parts = ln2[m.type];
  if (m.single) {
    const z = m.mul(f, f);
    let y = m.mul(m.mul(f, z), m.horner(f, logCoefficients.f32));
    y = m.fma(k, m.c(parts.low), y);
    y = m.fma(m.c(-0.5), z, y);
    return m.fma(k, m.c(parts.high), m.add(f, y));
  }
  const { s, r, half } = seriesLog(m, f);
  const rest = m.fma(s, m.add(half, r), m.mul(k, m.c(parts.low)));
  return m.fma(k, m.c(parts.high), m.sub(f, m.sub(half, rest)));
}
function seriesLog<T>(m: FloatMath<T>, f: T): { readonly s: T; readonly r: T; readonly half: T } {
  const s = m.div(f, m.add(m.c(2), f));
  const z = m.mul(s, s);
  return { s, r: m.mul(z, m.poly(z, logSeriesCoefficients)), half: m.mul(m.mul(m.c(0.5), f), f) };
}

/** Puts the values at 0, infinity, NaN and negative numbers into y. */
function special<T>(m: FloatMath<T>, x: T, y: T): T {
  const zero = m.c(0);
  const upper = m.select(m.lt(x, m.c(Infinity)), y, x);
  return m.select(m.lt(zero, x), upper, m.select(m.eq(x, zero), m.c(-Infinity), m.c(Number.NaN)));
}

export function log<T>(m: FloatMath<T>, x: T): T {
  const { k, f } = reduceLog(m, x);
  return special(m, x, logOf(m, k, f));
}

export function log2<T>(m: FloatMath<T>, x: T): T {
  const { k, f } = reduceLog(m, x);
  if (m.single) return special(m, x, m.fma(f, m.horner(f, log2Coefficients.f32), k));
  return special(m, x, m.fma(logOf(m, m.c(0), f), m.c(Math.LOG2E), k));
}

export function log10<T>(m: FloatMath<T>, x: T): T {
  const { k, f } = reduceLog(m, x);
  const y = m.single ? m.mul(f, m.horner(f, log10Coefficients.f32)) : m.mul(logOf(m, m.c(0), f), m.c(Math.LOG10E));
  const high = m.pick(0.301025390625, 0.30102999566361177);
  const low = m.pick(4.605038981195214e-6, 3.694239077158931e-13);
  return special(m, x, m.fma(k, high, m.fma(k, low, y)));
}

/** log(u) with u = 1 + x rounded; the rounding error, scaled, is added to f. */
export function log1p<T>(m: FloatMath<T>, x: T): T {
  const one = m.c(1);
  const u = m.add(one, x);
  const part = m.sub(u, one);
  const error = m.add(m.sub(one, m.sub(u, part)), m.sub(x, part));
  const { k, f, shiftedK } = reduceLog(m, u, true);
  const scale = m.float(m.sub(m.i(m.powerBits(0)), shiftedK));
  const correction = m.select(m.lt(x, m.c(2 ** (m.mantissa + 10))), m.mul(error, scale), m.c(0));
  const y = special(m, u, logOf(m, k, m.add(f, correction)));
  return m.select(m.lt(m.abs(x), m.c(2 ** -(m.mantissa + 3))), x, y);
}

// From here on the 1 in log1p is lost, and a^2 is still finite.
const isHuge = <T>(m: FloatMath<T>, a: T): T => m.lt(m.c(2 ** 60), a);

function asinhDouble<T>(m: FloatMath<T>, x: T): T {
  const a = m.abs(x);
  const z = m.mul(a, a);
  const one = m.c(1);
  const huge = isHuge(m, a);
  const argument = m.add(a, m.div(z, m.add(one, m.sqrt(m.add(one, z)))));
  const y = m.add(log1p(m, m.select(huge, a, argument)), m.select(huge, m.c(Math.LN2), m.c(0)));
  return m.withSign(y, x);
}
export const asinh = <T>(m: FloatMath<T>, x: T): T => throughDouble<T>(asinhDouble)(m, x);

function acoshDouble<T>(m: FloatMath<T>, x: T): T {
  const t = m.sub(x, m.c(1));
  const huge = isHuge(m, x);
  const argument = m.add(t, m.sqrt(m.fma(t, t, m.add(t, t))));
  const y = m.add(log1p(m, m.select(huge, x, argument)), m.select(huge, m.c(Math.LN2), m.c(0)));
  return m.select(m.lt(x, m.c(1)), m.c(Number.NaN), y);
}
export const acosh = <T>(m: FloatMath<T>, x: T): T => throughDouble<T>(acoshDouble)(m, x);

function atanhDouble<T>(m: FloatMath<T>, x: T): T {
  const a = m.abs(x);
  return m.withSign(m.mul(m.c(0.5), log1p(m, m.div(m.add(a, a), m.sub(m.c(1), a)))), x);
}
export const atanh = <T>(m: FloatMath<T>, x: T): T => throughDouble<T>(atanhDouble)(m, x);

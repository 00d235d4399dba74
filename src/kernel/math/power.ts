/**
 * pow for floats and ints, and fmod.
 *
 * f64: log(x) in two parts (relative error about 2^-64), times y in two parts, exponential. f32: the f64 logarithm and exponential.
 * Special cases as in IEEE 754 and C, set by selects at the end. Integer pow squares and multiplies, wrapping.
 * fmod subtracts truncated quotients: each step is exact and takes 53 bits off the quotient, so three steps are right for
 * |a / b| < 2^156 (f32 too); a quotient that is still not used up gives NaN, never a wrong remainder.
 */
import { FloatMath } from './algebra.ts';
import { expCoefficients, powLogCoefficients } from './coefficients.ts';
import { ln2, reduceExp, scaleInHalves } from './exponential.ts';
import { log, reduceLog } from './logarithm.ts';

interface Pair<T> {
  readonly high: T;
  readonly low: T;
}

/** log(a) for a > 0 and finite, in two parts. */
function logInTwoParts<T>(m: FloatMath<T>, a: T): Pair<T> {
  const { k, f } = reduceLog(m, a);
  // s = f / (2 + f); the divisor in two parts.
  const d = m.add(m.c(2), f);
  const dLow = m.sub(f, m.sub(d, m.c(2)));
  const s = m.div(f, d);
  const sLow = m.div(m.fma(m.neg(s), dLow, m.fma(m.neg(s), d, f)), d);
  const z = m.mul(s, s);
  const zLow = m.fma(m.add(s, s), sLow, m.fma(s, s, m.neg(z)));
  // c = 2/3 + z T(z)
  const w = m.mul(z, m.poly(z, powLogCoefficients));
  const twoThirds = m.c(2 / 3);
  const c = m.add(twoThirds, w);
  const cLow = m.add(m.add(m.sub(twoThirds, c), w), m.c(3.700743415417188e-17));
  // u = 2 + z c
  const p = m.mul(z, c);
  const pLow = m.fma(zLow, c, m.fma(z, cLow, m.fma(z, c, m.neg(p))));
  const u = m.add(m.c(2), p);
  const uLow = m.add(m.add(m.sub(m.c(2), u), p), pLow);
  // s u + k ln 2
  const l = m.mul(s, u);
  const lLow = m.fma(sLow, u, m.fma(s, uLow, m.fma(s, u, m.neg(l))));
  const shift = m.mul(k, m.c(ln2.f64.high));
  const high = m.add(shift, l);
  const low = m.add(m.add(m.sub(shift, high), l), m.fma(k, m.c(ln2.f64.low), lLow));
  // A sum that fits one number again, so that the product below loses nothing.
  const top = m.add(high, low);
  return { high: top, low: m.add(m.sub(high, top), low) };
}

const clamp = <T>(m: FloatMath<T>, bound: number, x: T): T => m.max(m.c(-bound), m.min(m.c(bound), x));

/** |x|^y for finite x != 0, and any y but NaN. */
function magnitude<T>(m: FloatMath<T>, a: T, y: T, single: boolean): T {
  if (single) {
    const exponent = clamp(m, 800, m.mul(clamp(m, 2 ** 70, y), log(m, a)));
    const { shifted, rest } = reduceExp(m, exponent);
    return scaleInHalves(m, m.poly(rest, expCoefficients), shifted);
  }
  const bounded = clamp(m, 2 ** 70, y);
  const logarithm = logInTwoParts(m, a);
  const product = m.mul(bounded, logarithm.high);
  const productLow = m.fma(bounded, logarithm.low, m.fma(bounded, logarithm.high, m.neg(product)));
  const { shifted, rest } = reduceExp(m, clamp(m, 800, product));
  return scaleInHalves(m, m.poly(m.add(rest, clamp(m, 1, productLow)), expCoefficients), shifted);
}

function powDouble<T>(m: FloatMath<T>, x: T, y: T, single: boolean): T {
  const zero = m.c(0);
  const one = m.c(1);
  const infinity = m.c(Infinity);
  const a = m.abs(x);
  const integer = m.eq(m.trunc(y), y);
  const half = m.mul(m.c(0.5), y);
  const odd = m.and(integer, m.ne(m.trunc(half), half));
  const falling = m.lt(y, zero);
  let r = magnitude(m, a, y, single);
  r = m.select(m.eq(a, zero), m.select(falling, infinity, zero), r);
  r = m.select(m.eq(a, infinity), m.select(falling, zero, infinity), r);
  r = m.select(m.and(m.signed(x), odd), m.neg(r), r);
  const outside = m.and(m.and(m.lt(x, zero), m.lt(a, infinity)), m.not(integer));
  const unordered = m.or(m.ne(x, x), m.ne(y, y));
  r = m.select(m.or(unordered, outside), m.c(Number.NaN), r);
  return m.select(m.or(m.eq(x, one), m.eq(y, zero)), one, r);
}
export function pow<T>(m: FloatMath<T>, x: T, y: T): T {
  if (!m.single) return powDouble(m, x, y, false);
  const wide = new FloatMath(m.algebra, 'f64');
  return m.algebra.cast('f32', powDouble(wide, m.algebra.cast('f64', x), m.algebra.cast('f64', y), true));
}

/** x^n for a small whole n known in advance: correctly rounded for n <= 2, else within n / 2 ulp. */
export function powConstant<T>(m: FloatMath<T>, x: T, n: number): T | null {
  if (n === 1) return x;
  if (n === 2) return m.mul(x, x);
  if (n === 3) return m.mul(m.mul(x, x), x);
  if (n === -1) return m.div(m.c(1), x);
  return null;
}

/** Integer power of the float's width: `m` is only its integer operations. */
export function powInteger<T>(m: FloatMath<T>, base: T, exponent: T, known: bigint | null = null): T {
  const one = m.i(1);
  const width = m.single ? 32 : 64;
  if (known !== null && known >= 0n) {
    let result: T | null = null;
    let square = base;
    for (let rest = known; rest > 0n; rest >>= 1n) {
      if (rest & 1n) result = result === null ? square : m.mul(result, square);
      if (rest > 1n) square = m.mul(square, square);
    }
    return result ?? one;
  }
  let result = one;
  let square = base;
  for (let bit = 0; bit < width - 1; bit++) {
    const set = m.ne(m.and(exponent, m.i(1n << BigInt(bit))), m.i(0));
    result = m.mul(result, m.select(set, square, one));
    if (bit < width - 2) square = m.mul(square, square);
  }
  const minusOne = m.i(-1);
  const odd = m.ne(m.and(exponent, one), m.i(0));
  const sign = m.select(odd, minusOne, one);
  const inverse = m.select(m.eq(base, one), one, m.select(m.eq(base, minusOne), sign, m.i(0)));
  return m.select(m.lt(exponent, m.i(0)), inverse, result);
}

function fmodDouble<T>(m: FloatMath<T>, x: T, y: T): T {
  const a = m.abs(x);
  const b = m.abs(y);
  let r = a;
  for (let step = 0; step < 3; step++) r = m.fma(m.neg(m.trunc(m.div(r, b))), b, r);
  // A quotient just below a whole number may have been rounded up to it.
  r = m.select(m.lt(r, m.c(0)), m.add(r, b), r);
  const size = m.abs(r);
  const reduced = m.select(m.lt(size, b), size, m.c(Number.NaN));
  const finite = m.select(m.lt(a, b), a, reduced);
  return m.withSign(finite, x);
}
export function fmod<T>(m: FloatMath<T>, x: T, y: T): T {
  if (!m.single) return fmodDouble(m, x, y);
  const wide = new FloatMath(m.algebra, 'f64');
  return m.algebra.cast('f32', fmodDouble(wide, m.algebra.cast('f64', x), m.algebra.cast('f64', y)));
}

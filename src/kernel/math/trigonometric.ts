/**
 * sin, cos, tan and their inverses.
 *
 * x = n pi/2 + r by three fused steps on pi/2 in three parts. The reduction is in f64 for both types: the first step is exact, so
 * it holds to |x| < 2^50 (the f32 polynomials stay in f32). Beyond that the result is only bounded: a table of the digits of 2/pi
 * (Payne and Hanek) would need a gather. Inverse functions: one division, then a polynomial on |t| <= tan(pi/8).
 */
import { FloatMath, throughDouble } from './algebra.ts';
import { asinCoefficients, atanCoefficients, cosCoefficients, sinCoefficients } from './coefficients.ts';

interface Angle<T> {
  /** |rest| <= pi / 4, in the type of the function. */
  readonly rest: T;
  /** n modulo 4, as an integer of any sign: its two low bits are the quadrant. */
  readonly quadrant: T;
}
function reduceAngle<T>(m: FloatMath<T>, x: T): Angle<T> {
  const w = m.single ? new FloatMath(m.algebra, 'f64') : m;
  const wide = m.algebra.cast('f64', x);
  const n = w.rint(w.mul(wide, w.c(0.6366197723675814)));
  let r = w.fma(n, w.c(-1.5707963267948966), wide);
  r = w.fma(n, w.c(-6.123233995736766e-17), r);
  if (!m.single) r = w.fma(n, w.c(1.4973849048591833e-33), r);
  const modulo = w.fma(w.rint(w.mul(n, w.c(0.25))), w.c(-4), n);
  const rest = m.algebra.cast(m.type, r);
  const quadrant = m.single ? m.algebra.cast('i32', modulo) : m.bits(m.add(modulo, m.c(m.magic)));
  return { rest: m.max(m.c(-0.8), m.min(m.c(0.8), rest)), quadrant };
}

export function sinOnPrimary<T>(m: FloatMath<T>, r: T, z: T): T {
  return m.fma(m.mul(r, z), m.poly(z, sinCoefficients), r);
}
export function cosOnPrimary<T>(m: FloatMath<T>, z: T): T {
  return m.fma(m.mul(z, z), m.poly(z, cosCoefficients), m.fma(m.c(-0.5), z, m.c(1)));
}

function sinOrCos<T>(m: FloatMath<T>, x: T, quarterTurns: 0 | 1): T {
  const { rest, quadrant } = reduceAngle(m, x);
  const turns = quarterTurns === 0 ? quadrant : m.add(quadrant, m.i(quarterTurns));
  const z = m.mul(rest, rest);
  const even = m.eq(m.and(turns, m.i(1)), m.i(0));
  const y = m.select(even, sinOnPrimary(m, rest, z), cosOnPrimary(m, z));
  const sign = m.shl(m.and(turns, m.i(2)), m.single ? 30 : 62);
  return m.float(m.xor(m.bits(y), sign));
}
const tiny = <T>(m: FloatMath<T>, x: T): T => m.lt(m.abs(x), m.pick(2 ** -13, 2 ** -27));
export function sin<T>(m: FloatMath<T>, x: T): T {
  return m.select(tiny(m, x), x, sinOrCos(m, x, 0));
}
export function cos<T>(m: FloatMath<T>, x: T): T {
  return sinOrCos(m, x, 1);
}

function tanDouble<T>(m: FloatMath<T>, x: T): T {
  const { rest, quadrant } = reduceAngle(m, x);
  const z = m.mul(rest, rest);
  const s = sinOnPrimary(m, rest, z);
  const c = cosOnPrimary(m, z);
  const even = m.eq(m.and(quadrant, m.i(1)), m.i(0));
  const y = m.div(m.select(even, s, m.neg(c)), m.select(even, c, s));
  return m.select(tiny(m, x), x, y);
}
export const tan = <T>(m: FloatMath<T>, x: T): T => throughDouble<T>(tanDouble)(m, x);

/** sin(pi r) and cos(pi r) for 0 <= r <= 1/2. */
export function sinCosPi<T>(m: FloatMath<T>, r: T): { readonly sin: T; readonly cos: T } {
  const upper = m.lt(m.c(0.25), r);
  const u = m.mul(m.c(Math.PI), m.select(upper, m.sub(m.c(0.5), r), r));
  const z = m.mul(u, u);
  const s = sinOnPrimary(m, u, z);
  const c = cosOnPrimary(m, z);
  return { sin: m.select(upper, c, s), cos: m.select(upper, s, c) };
}

/** pi/2 and pi/4 in two parts, each rounded to the type. */
const halfPi = { f32: [1.5707963705062866, -4.371138828673793e-8], f64: [1.5707963267948966, 6.123233995736766e-17] } as const;

/** atan(a / b) for a, b >= 0, not both zero or infinite. */
function atanOfRatio<T>(m: FloatMath<T>, a: T, b: T): T {
  const steep = m.lt(m.mul(b, m.c(2.414213562373095)), a);
  const middle = m.lt(m.mul(b, m.c(0.41421356237309503)), a);
  const numerator = m.select(steep, m.neg(b), m.select(middle, m.sub(a, b), a));
  const denominator = m.select(steep, a, m.select(middle, m.add(a, b), b));
  const t = m.div(numerator, denominator);
  const z = m.mul(t, t);
  const [high, low] = halfPi[m.type];
  const choose = (whole: number): T => m.select(steep, m.c(whole), m.select(middle, m.c(whole / 2), m.c(0)));
  const y = m.fma(m.mul(t, z), m.poly(z, atanCoefficients), t);
  return m.add(choose(high), m.add(y, choose(low)));
}
export function atan<T>(m: FloatMath<T>, x: T): T {
  return m.withSign(atanOfRatio(m, m.abs(x), m.c(1)), x);
}

function atan2Double<T>(m: FloatMath<T>, y: T, x: T): T {
  const a = m.abs(y);
  const b = m.abs(x);
  const larger = m.algebra.scalar('max', a, b);
  const bothInfinite = m.eq(m.algebra.scalar('min', a, b), m.c(Infinity));
  const scale = m.select(m.lt(m.c(2 ** 1000), larger), m.c(2 ** -64), m.select(m.lt(larger, m.c(2 ** -900)), m.c(2 ** 100), m.c(1)));
  const one = m.c(1);
  const rise = m.select(bothInfinite, one, m.mul(a, scale));
  const run = m.select(bothInfinite, one, m.select(m.eq(larger, m.c(0)), one, m.mul(b, scale)));
  const right = atanOfRatio(m, rise, run);
  const left = m.sub(m.c(Math.PI), m.sub(right, m.c(1.2246467991473532e-16)));
  return m.withSign(m.select(m.signed(x), left, right), y);
}
export const atan2 = <T>(m: FloatMath<T>, y: T, x: T): T => throughDouble<T>(atan2Double)(m, y, x);

/** asin(s) = s + s z P(z), for |x| > 1/2 through asin(sqrt((1 - |x|) / 2)). */
function arc<T>(m: FloatMath<T>, x: T): { readonly small: T; readonly s: T; readonly tail: T } {
  const a = m.abs(x);
  const small = m.lt(a, m.c(0.5));
  const z = m.select(small, m.mul(a, a), m.fma(m.c(-0.5), a, m.c(0.5)));
  const s = m.select(small, a, m.sqrt(z));
  return { small, s, tail: m.mul(m.mul(s, z), m.poly(z, asinCoefficients)) };
}
export function asin<T>(m: FloatMath<T>, x: T): T {
  const { small, s, tail } = arc(m, x);
  const [high, low] = halfPi[m.type];
  const angle = m.add(s, tail);
  const complement = m.sub(m.fma(m.c(-2), s, m.c(high)), m.fma(m.c(2), tail, m.c(-low)));
  return m.withSign(m.select(small, angle, complement), x);
}
export function acos<T>(m: FloatMath<T>, x: T): T {
  const { small, s, tail } = arc(m, x);
  const [high, low] = halfPi[m.type];
  const angle = m.add(s, tail);
  const negative = m.lt(x, m.c(0));
  const twice = m.add(angle, angle);
  const outer = m.select(negative, m.sub(m.c(2 * high), m.sub(twice, m.c(2 * low))), twice);
  const signed = m.withSign(angle, x);
  return m.select(small, m.sub(m.c(high), m.sub(signed, m.c(low))), outer);
}

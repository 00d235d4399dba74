/**
 * lgamma and digamma, in f64 (f32 goes through f64).
 *
 * lgamma: a polynomial around 2, the recurrence to get there (with one logarithm of the product), Stirling's series from 8 on.
 * Relative accuracy holds for positive x, around the zeros 1 and 2 too. For negative x the reflection formula: around the zeros
 * there the error is absolute (about 1e-15), as in the libraries that PyTorch calls.
 * digamma: ten steps of the recurrence, collected in one fraction, then the asymptotic series; absolute near its zeros, as PyTorch's.
 */
import { type FloatMath, throughDouble } from './algebra.ts';
import { digammaCoefficients, lgammaCoefficients, stirlingCoefficients } from './coefficients.ts';
import { log } from './logarithm.ts';
import { sinCosPi } from './trigonometric.ts';

function lgammaPositive<T>(m: FloatMath<T>, a: T): T {
  const one = m.c(1);
  const low = m.lt(a, m.c(0.5));
  const belowThreeHalves = m.lt(a, m.c(1.5));
  const stirling = m.le(m.c(8), a);
  let y = a;
  let product = one;
  for (let step = 0; step < 6; step++) {
    const over = m.lt(m.c(2.5), y);
    const less = m.sub(y, one);
    product = m.select(over, m.mul(product, less), product);
    y = m.select(over, less, y);
  }
  const s = m.select(low, a, m.select(belowThreeHalves, m.sub(a, one), m.sub(y, m.c(2))));
  const upward = m.select(low, m.mul(a, m.add(a, one)), a);
  const logarithm = log(m, m.select(stirling, a, m.select(belowThreeHalves, upward, product)));
  const near = m.fma(s, m.poly(s, lgammaCoefficients), m.select(belowThreeHalves, m.neg(logarithm), logarithm));
  const inverse = m.div(one, a);
  const series = m.mul(inverse, m.poly(m.mul(inverse, inverse), stirlingCoefficients));
  const constant = m.c(0.4189385332046727); // (log(2 pi) - 1) / 2
  const far = m.fma(m.sub(a, m.c(0.5)), m.sub(logarithm, one), m.add(constant, series));
  return m.select(stirling, far, near);
}
function lgammaDouble<T>(m: FloatMath<T>, x: T): T {
  const a = m.abs(x);
  const positive = lgammaPositive(m, a);
  const r = m.abs(m.sub(a, m.rint(a)));
  const sine = m.sub(log(m, m.div(m.c(Math.PI), m.mul(a, sinCosPi(m, r).sin))), positive);
  const reflected = m.select(m.eq(r, m.c(0)), m.c(Infinity), sine);
  const direct = m.or(m.lt(m.c(0), x), m.lt(a, m.c(2 ** -60)));
  return m.select(m.eq(a, m.c(Infinity)), a, m.select(direct, positive, reflected));
}
export const lgamma = <T>(m: FloatMath<T>, x: T): T => throughDouble<T>(lgammaDouble)(m, x);

function digammaDouble<T>(m: FloatMath<T>, x: T): T {
  const zero = m.c(0);
  const negative = m.lt(x, zero);
  const p = m.select(negative, m.sub(m.c(1), x), x);
  // 1 / p + 1 / (p + 1) + ... + 1 / (p + 9) as one fraction.
  let numerator = m.c(1);
  let denominator = p;
  for (let k = 1; k < 10; k++) {
    const term = m.add(p, m.c(k));
    numerator = m.fma(numerator, term, denominator);
    denominator = m.mul(denominator, term);
  }
  const near = m.lt(p, m.c(10));
  const y = m.select(near, m.add(p, m.c(10)), p);
  const inverse = m.div(m.c(1), y);
  const z = m.mul(inverse, inverse);
  const series = m.fma(z, m.poly(z, digammaCoefficients), m.mul(m.c(0.5), inverse));
  const asymptotic = m.sub(log(m, y), series);
  const value = m.select(near, m.sub(asymptotic, m.div(numerator, denominator)), asymptotic);
  const r = m.sub(x, m.rint(x));
  const turn = sinCosPi(m, m.abs(r));
  const cotangent = m.div(m.mul(m.c(Math.PI), turn.cos), turn.sin);
  const reflected = m.sub(value, m.withSign(cotangent, r));
  const pole = m.select(m.eq(x, zero), m.neg(m.withSign(m.c(Infinity), x)), value);
  const integer = m.eq(r, zero);
  return m.select(negative, m.select(integer, m.c(Number.NaN), reflected), pole);
}
export const digamma = <T>(m: FloatMath<T>, x: T): T => throughDouble<T>(digammaDouble)(m, x);

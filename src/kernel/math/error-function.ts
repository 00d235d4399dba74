/**
 * erf, erfc, erfinv.
 *
 * erf in f32 is hot (exact GELU): two polynomials and one short exponential, no division (the form and the f32 coefficients are
 * N. Juffa's published erff). In f64: a polynomial below 1, else 1 - erfc. erfc(x) = e^(-x^2) G(t) / (1 + 2x) with
 * t = (x - 4) / (x + 4), after Shepherd and Laframboise (1981), x^2 kept in two parts. erfinv: a fit in w = -log(1 - y^2) as Giles
 * (2010), then in f64 one step of Halley's method, on erfc near 1 so that the tail stays accurate.
 */
import { FloatMath, throughDouble } from './algebra.ts';
import { erfCoefficients, erfcxCoefficients, erfinvCentre, erfinvTail } from './coefficients.ts';
import { exp, expInRange } from './exponential.ts';
import { log } from './logarithm.ts';

const juffaTail = [-1.28717512e-1, -6.34846687e-1, -1.06777877e-1, 2.42546219e-2, -3.88396438e-3, 3.83197126e-4, -1.7285347e-5];
const juffaCentre = [1.28379166e-1, -3.76125336e-1, 1.12819925e-1, -2.67681349e-2, 4.99119423e-3, -5.96761703e-4];

function erfSingle<T>(m: FloatMath<T>, x: T): T {
  const a = m.abs(x);
  const z = m.mul(a, a);
  const centre = m.fma(m.horner(z, juffaCentre), a, a);
  const t = m.min(m.c(4), a);
  const exponent = m.fma(m.horner(t, juffaTail), t, m.neg(t));
  const { power, factor } = expInRange(m, exponent);
  const tail = m.fma(m.neg(power), factor, m.c(1));
  return m.withSign(m.select(m.lt(a, m.c(0.927734375)), centre, tail), x);
}

/** erf(a) for 0 <= a <= 1. */
const erfCentre = <T>(m: FloatMath<T>, a: T): T => m.mul(a, m.poly(m.mul(a, a), erfCoefficients));

/** erfc(a) for a >= 1/2. */
function erfcTail<T>(m: FloatMath<T>, a: T): T {
  const x = m.min(m.c(28), a);
  const t = m.div(m.sub(x, m.c(4)), m.add(x, m.c(4)));
  const square = m.mul(x, x);
  const low = m.fma(x, x, m.neg(square));
  const gauss = exp(m, m.neg(square));
  return m.mul(m.fma(m.neg(low), gauss, gauss), m.div(m.poly(t, erfcxCoefficients), m.fma(m.c(2), x, m.c(1))));
}

function erfDouble<T>(m: FloatMath<T>, x: T): T {
  const a = m.abs(x);
  return m.withSign(m.select(m.lt(a, m.c(1)), erfCentre(m, a), m.sub(m.c(1), erfcTail(m, a))), x);
}
export function erf<T>(m: FloatMath<T>, x: T): T {
  return m.single ? erfSingle(m, x) : erfDouble(m, x);
}

function erfcDouble<T>(m: FloatMath<T>, x: T): T {
  const a = m.abs(x);
  const centre = m.sub(m.c(1), m.withSign(erfCentre(m, a), x));
  const tail = erfcTail(m, a);
  const outer = m.select(m.lt(x, m.c(0)), m.sub(m.c(2), tail), tail);
  return m.select(m.lt(a, m.c(0.5)), centre, outer);
}
export const erfc = <T>(m: FloatMath<T>, x: T): T => throughDouble<T>(erfcDouble)(m, x);

function erfinvDouble<T>(m: FloatMath<T>, y: T, refine: boolean): T {
  const a = m.abs(y);
  const one = m.c(1);
  const complement = m.sub(one, a);
  const w = m.neg(log(m, m.mul(complement, m.add(one, a))));
  const centre = m.poly(m.sub(w, m.c(3)), erfinvCentre);
  const tail = m.poly(m.sub(m.sqrt(w), m.c(4.25)), erfinvTail);
  let x = m.mul(a, m.select(m.lt(w, m.c(6.25)), centre, tail));
  if (refine) {
    const error = m.select(m.lt(a, m.c(0.55)), m.sub(erfCentre(m, x), a), m.sub(complement, erfcTail(m, x)));
    const step = m.mul(m.mul(error, m.c(Math.sqrt(Math.PI) / 2)), exp(m, m.mul(x, x)));
    x = m.sub(x, m.div(step, m.fma(x, step, one)));
  }
  return m.withSign(m.select(m.eq(a, one), m.c(Infinity), x), y);
}
export function erfinv<T>(m: FloatMath<T>, y: T): T {
  if (!m.single) return erfinvDouble(m, y, true);
  const wide = new FloatMath(m.algebra, 'f64');
  return m.algebra.cast('f32', erfinvDouble(wide, m.algebra.cast('f64', y), false));
}

/** Hurwitz' zeta function, sum over k of (k + q)^-x, by Euler and Maclaurin (Cephes, S. Moshier): in double precision, rounded once. */

/** (2k)! / B_2k. */
const expansion = [
  12,
  -720,
  30240,
  -1209600,
  47900160,
  -1.307674368e12 / 691,
  7.47242496e10,
  -1.067062284288e16 / 3617,
  5.109094217170944e18 / 43867,
  -8.028576626982912e20 / 174611,
  1.5511210043330986e23 / 854513,
  -1.6938241367317437e27 / 236364091,
];
const epsilon = 1.1102230246251565e-16;

/** C's pow: 1 to any power is 1. */
const power = (base: number, exponent: number): number => (base === 1 ? 1 : base ** exponent);

export function zeta(x: number, q: number): number {
  if (x === 1) return Number.POSITIVE_INFINITY;
  if (x < 1) return Number.NaN;
  if (q <= 0) {
    if (q === Math.floor(q)) return Number.POSITIVE_INFINITY;
    if (x !== Math.floor(x)) return Number.NaN;
  }
  if (Number.isNaN(x) || Number.isNaN(q)) return Number.NaN;
  let sum = power(q, -x);
  let a = q;
  let term = 0;
  for (let i = 0; i < 9 || a <= 9; i++) {
    a += 1;
    term = power(a, -x);
    sum += term;
    if (-epsilon * sum < term && term < epsilon * sum) return sum;
  }
  const w = a;
  sum += (term * w) / (x - 1) - 0.5 * term;
  let rising = 1;
  let k = 0;
  for (const divisor of expansion) {
    rising *= x + k++;
    term /= w;
    const t = (rising * term) / divisor;
    sum += t;
    if (Math.abs(t / sum) < epsilon) return sum;
    rising *= x + k++;
    term /= w;
  }
  return sum;
}

/** Hurwitz' zeta function, sum over k of (k + q)^-x, by Euler and Maclaurin (Cephes, S. Moshier): in double precision, rounded once. */

/** Bernoulli's numbers B_2, B_4, ... */
const bernoulli = [
  1 / 6,
  -1 / 30,
  1 / 42,
  -1 / 30,
  5 / 66,
  -691 / 2730,
  7 / 6,
  -3617 / 510,
  43867 / 798,
  -174611 / 330,
  854513 / 138,
  -236364091 / 2730,
];
let factorial = 1;
/** (2k)! / B_2k. */
const expansion = bernoulli.map((b, k) => {
  factorial *= (2 * k + 1) * (2 * k + 2);
  return factorial / b;
});
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

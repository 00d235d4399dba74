/**
 * Orthogonal polynomials of a degree that is data: three-term recurrences, and the trigonometric forms inside (-1, 1) for higher degrees.
 *
 * float32 runs in float32, step by step and with PyTorch's fused product and difference: high degrees are ill-conditioned, and a more exact
 * answer would be another one. (A product of two float32 numbers is exact in a double, so rounding the difference is the fused operation.)
 */
type Rounding = (x: number) => number;
/** (x, degree) -> value. */
export type PolynomialFunction = (x: number, n: number) => number;

const exact: Rounding = (x) => x;
const roundingOf = (single: boolean): Rounding => (single ? Math.fround : exact);
const isEven = (n: number): boolean => n % 2 === 0;

/** A degree as C++ converts it: towards zero; NaN and what int64 cannot hold are negative. */
export const degreeOf = (n: number): number => (n < 2 ** 63 ? Math.trunc(n) : -1);

/** q_1 = first, q_k = 2 y q_(k-1) - q_(k-2). */
function recur(y: number, n: number, first: number, f: Rounding): number {
  const twice = f(y + y);
  let p = 1;
  let q = first;
  for (let k = 2; k <= n && !Number.isNaN(q); k++) [p, q] = [q, f(twice * q - p)];
  return q;
}

interface Family {
  /** Value at 1 and at -1. */
  readonly atOne: (n: number) => number;
  readonly atMinusOne: (n: number) => number;
  /** For an angle: acos y. */
  readonly trigonometric: (n: number, angle: number, f: Rounding) => number;
  readonly first: (y: number, f: Rounding) => number;
  /** The trigonometric form is for degrees above: plain, shifted. */
  readonly above: readonly [number, number];
}
const chebyshevFamilies = {
  t: {
    atOne: () => 1,
    atMinusOne: (n) => (isEven(n) ? 1 : -1),
    trigonometric: (n, angle, f) => Math.cos(f(n * angle)),
    first: (y) => y,
    above: [6, 6],
  },
  u: {
    atOne: (n) => n + 1,
    atMinusOne: (n) => (isEven(n) ? n + 1 : -(n + 1)),
    trigonometric: (n, angle, f) => f(Math.sin(f((n + 1) * angle))) / f(Math.sin(angle)),
    first: (y, f) => f(y + y),
    above: [8, 6],
  },
  v: {
    atOne: () => 1,
    atMinusOne: (n) => (isEven(n) ? n + n + 1 : -(n + n + 1)),
    trigonometric: (n, angle, f) => f(Math.cos(f((n + 0.5) * angle))) / f(Math.cos(f(angle / 2))),
    first: (y, f) => f(f(y + y) - 1),
    above: [8, 6],
  },
  w: {
    atOne: (n) => n + n + 1,
    atMinusOne: (n) => (isEven(n) ? 1 : -1),
    trigonometric: (n, angle, f) => f(Math.sin(f((n + 0.5) * angle))) / f(Math.sin(f(angle / 2))),
    first: (y, f) => f(f(y + y) + 1),
    above: [8, 4],
  },
} as const satisfies Record<string, Family>;
export type ChebyshevKind = keyof typeof chebyshevFamilies;

/** Chebyshev polynomials of the four kinds; shifted ones have 2x - 1 in place of x. */
export function chebyshev(kind: ChebyshevKind, shifted: boolean, single: boolean): PolynomialFunction {
  const family: Family = chebyshevFamilies[kind];
  const f = roundingOf(single);
  return (x, degree) => {
    const n = degreeOf(degree);
    if (!(n >= 0)) return 0;
    const y = shifted ? f(f(x + x) - 1) : x;
    if (y === 1) return f(family.atOne(n));
    if (y === -1) return f(family.atMinusOne(n));
    if (n > family.above[shifted ? 1 : 0] && Math.abs(y) < 1) return f(family.trigonometric(n, f(Math.acos(y)), f));
    return n === 0 ? 1 : recur(y, n, family.first(y, f), f);
  };
}

/** Physicists' (h) and probabilists' (he) Hermite polynomials. Beyond a largest degree PyTorch answers NaN. */
export function hermite(kind: 'h' | 'he', single: boolean): PolynomialFunction {
  const f = roundingOf(single);
  const limit = single ? 128 : 512;
  return (x, degree) => {
    const n = Number.isFinite(degree) ? degreeOf(degree) : -1;
    if (n < 0) return 0;
    if (n > limit) return Number.NaN;
    const scaled = kind === 'h' ? f(x + x) : x;
    const step = kind === 'h' ? 2 : 1;
    if (n === 0) return 1;
    let p = 1;
    let q = scaled;
    for (let k = 1; k < n; k++) [p, q] = [q, f(scaled * q - f(step * k * p))];
    return q;
  };
}

export function laguerre(single: boolean): PolynomialFunction {
  const f = roundingOf(single);
  return (x, degree) => {
    const n = degreeOf(degree);
    if (!(n >= 0)) return 0;
    if (n === 0 || x === 0) return 1;
    const rest = f(1 - x);
    let p = 1;
    let q = rest;
    for (let k = 1; k < n && !Number.isNaN(q); k++) [p, q] = [q, f(f(f(k + k + rest) * q - f(k * p)) / (k + 1))];
    return q;
  };
}

export function legendre(single: boolean): PolynomialFunction {
  const f = roundingOf(single);
  return (x, degree) => {
    const n = degreeOf(degree);
    if (!(n >= 0)) return 0;
    if (Math.abs(x) === 1) return x > 0 || isEven(n) ? 1 : -1;
    if (n === 0) return 1;
    let p = 1;
    let q = x;
    for (let k = 1; k < n && !Number.isNaN(q); k++) [p, q] = [q, f(f(f((k + k + 1) * x) * q - f(k * p)) / (k + 1))];
    return q;
  };
}

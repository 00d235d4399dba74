/** The matrix exponential: scaled until its norm is small, a Padé quotient of order 13, squared back (Higham 2005). */
import { factorLu, solveLu } from './lu.ts';
import { addScaled, copy, identity, type Matrix, modulus, multiply, scale, zeros } from './matrix.ts';

const pade = [
  64764752532480000, 32382376266240000, 7771770303897600, 1187353796428800, 129060195264000, 10559470521600, 670442572800, 33522128640,
  1323241920, 40840800, 960960, 16380, 182, 1,
] as const;
/** Largest norm for which the quotient is exact to float64. */
const theta = 5.371920351148152;

export function exponential(a: Matrix): Matrix {
  const n = a.rows;
  const complex = a.im !== null;
  let norm = 0;
  for (let j = 0; j < n; j++) {
    let sum = 0;
    for (let i = 0; i < n; i++) sum += modulus(a.re[i * n + j], complex ? a.im![i * n + j] : 0);
    if (!(sum <= norm)) norm = sum;
  }
  if (!Number.isFinite(norm)) {
    const out = zeros(n, n, complex);
    out.re.fill(Number.NaN);
    out.im?.fill(Number.NaN);
    return out;
  }
  const squarings = norm > theta ? Math.ceil(Math.log2(norm / theta)) : 0;
  const x = copy(a);
  scale(x, 0, n * n, 2 ** -squarings, 0);
  const one = identity(n, n, complex);
  const x2 = multiply(x, x);
  const x4 = multiply(x2, x2);
  const x6 = multiply(x4, x2);
  const sum = (c6: number, c4: number, c2: number, c0: number): Matrix => {
    const out = zeros(n, n, complex);
    for (const [m, c] of [
      [x6, c6],
      [x4, c4],
      [x2, c2],
      [one, c0],
    ] as const)
      addScaled(out, 0, m, 0, n * n, c, 0);
    return out;
  };
  const plus = (p: Matrix, q: Matrix, factor: number): Matrix => {
    const out = copy(p);
    addScaled(out, 0, q, 0, n * n, factor, 0);
    return out;
  };
  const odd = multiply(x, plus(multiply(x6, sum(pade[13], pade[11], pade[9], 0)), sum(pade[7], pade[5], pade[3], pade[1]), 1));
  const even = plus(multiply(x6, sum(pade[12], pade[10], pade[8], 0)), sum(pade[6], pade[4], pade[2], pade[0]), 1);
  const denominator = plus(even, odd, -1);
  let out = plus(even, odd, 1);
  solveLu(denominator, factorLu(denominator), out);
  for (let i = 0; i < squarings; i++) out = multiply(out, out);
  return out;
}

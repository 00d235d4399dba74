/** The host's factorizations by their properties: random, rank-deficient, defective and badly scaled matrices, real and complex. */
import { describe, expect, test } from 'vitest';
import { factorCholesky } from './cholesky.ts';
import { cofactors, determinant } from './determinant.ts';
import { eigen } from './eigen.ts';
import { exponential } from './exponential.ts';
import { eigenHermitian, mirror } from './hermitian-eigen.ts';
import { factorLdl, solveLdl } from './ldl.ts';
import { leastSquares } from './least-squares.ts';
import { factorLu, inverseOfLu } from './lu.ts';
import { adjoint, copy, identity, type Matrix, multiply, scale, transpose, zeros } from './matrix.ts';
import { factorQr, formQ } from './qr.ts';
import { svd } from './svd.ts';

let state = 12345;
function random(): number {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return (state / 2 ** 32) * 2 - 1;
}
function matrix(rows: number, cols: number, complex: boolean): Matrix {
  const m = zeros(rows, cols, complex);
  for (let i = 0; i < rows * cols; i++) {
    m.re[i] = random();
    if (m.im !== null) m.im[i] = random();
  }
  return m;
}
function distance(a: Matrix, b: Matrix): number {
  let most = 0;
  for (let i = 0; i < a.re.length; i++) most = Math.max(most, Math.abs(a.re[i] - b.re[i]), Math.abs((a.im?.[i] ?? 0) - (b.im?.[i] ?? 0)));
  return a.rows === b.rows && a.cols === b.cols && !Number.isNaN(a.re[0] ?? 0) ? most : Infinity;
}
const close = (a: Matrix, b: Matrix, size = 1): void => expect(distance(a, b)).toBeLessThan(1e-12 * size);
const isOrthonormal = (q: Matrix): void => close(multiply(adjoint(q), q), identity(q.cols, q.cols, q.im !== null));
const fail = (code: number): Error => new Error(`not converged: ${code}`);
const withColumnsScaled = (m: Matrix, s: ArrayLike<number>): Matrix => {
  const out = copy(m);
  for (let i = 0; i < m.rows; i++)
    for (let j = 0; j < m.cols; j++) {
      out.re[i * m.cols + j] *= s[j] ?? 0;
      if (out.im !== null) out.im[i * m.cols + j] *= s[j] ?? 0;
    }
  return out;
};
const firstColumns = (m: Matrix, k: number): Matrix => multiply(m, identity(m.cols, k, m.im !== null));
const firstRows = (m: Matrix, k: number): Matrix => multiply(identity(k, m.rows, m.im !== null), m);

function checkSvd(a: Matrix, full: boolean, size = 1): void {
  const { u, s, vh } = svd(a, full);
  const k = Math.min(a.rows, a.cols);
  isOrthonormal(u);
  isOrthonormal(adjoint(vh));
  close(multiply(withColumnsScaled(firstColumns(u, k), s), firstRows(vh, k)), a, size);
  for (let i = 1; i < k; i++) expect(s[i]).toBeLessThanOrEqual(s[i - 1]);
}

describe.each([false, true])('complex: %s', (complex) => {
  test.each([
    [1, 1],
    [2, 2],
    [5, 3],
    [3, 5],
    [7, 7],
    [24, 17],
  ])('QR, SVD and LU of %i x %i matrices give the matrix back', (m, n) => {
    const a = matrix(m, n, complex);
    const packed = copy(a);
    const tau = factorQr(packed);
    const q = formQ(packed, tau, m);
    isOrthonormal(q);
    for (let i = 0; i < m; i++)
      for (let j = 0; j < Math.min(i, n); j++) {
        packed.re[i * n + j] = 0;
        if (packed.im !== null) packed.im[i * n + j] = 0;
      }
    close(multiply(q, packed), a);
    checkSvd(a, false);
    checkSvd(a, true);
    if (m !== n) return;
    const lu = copy(a);
    close(multiply(inverseOfLu(lu, factorLu(lu)), a), identity(n, n, complex), 100);
  });

  test('singular values of matrices that are zero, of rank one, or have columns of very different size', () => {
    checkSvd(zeros(4, 3, complex), true);
    checkSvd(multiply(matrix(5, 1, complex), matrix(1, 4, complex)), true);
    checkSvd(multiply(matrix(4, 1, complex), matrix(1, 6, complex)), false);
    const graded = withColumnsScaled(matrix(5, 5, complex), [1, 1e-8, 1e-16, 1e8, 0]);
    checkSvd(graded, true, 1e9);
    const tiny = matrix(3, 3, complex);
    scale(tiny, 0, 9, 1e-200, 0);
    expect(svd(tiny, false).s[0]).toBeGreaterThan(1e-201);
  });

  test.each([1, 2, 3, 8, 25])('eigenvalues of Hermitian matrices of order %i', (n) => {
    const a = matrix(n, n, complex);
    mirror(a, true);
    const { values, rows } = eigenHermitian(copy(a), true, fail);
    const v = transpose(rows);
    isOrthonormal(v);
    close(multiply(a, v), withColumnsScaled(v, values), 10);
    for (let i = 1; i < n; i++) expect(values[i]).toBeGreaterThanOrEqual(values[i - 1]);
  });

  test.each([1, 2, 3, 4, 9, 25])('eigenvalues of general matrices of order %i', (n) => {
    const a = matrix(n, n, complex);
    const { values, vectors } = eigen(copy(a), true, fail);
    const wide: Matrix = complex ? a : { ...a, im: new Float64Array(n * n) };
    const lambda = zeros(n, n, true);
    for (let i = 0; i < n; i++) [lambda.re[i * n + i], lambda.im![i * n + i]] = [values.re[i], values.im![i]];
    close(multiply(wide, vectors!), multiply(vectors!, lambda), 100);
    expect(() => eigen(identity(n, n, complex), true, fail)).not.toThrow();
    expect(() => eigen(zeros(n, n, complex), true, fail)).not.toThrow();
  });

  test('a cyclic permutation has the roots of one as eigenvalues', () => {
    const n = 6;
    const p = zeros(n, n, complex);
    for (let i = 0; i < n; i++) p.re[i * n + ((i + 1) % n)] = 1;
    const { values } = eigen(p, true, fail);
    for (let i = 0; i < n; i++) expect(Math.hypot(values.re[i], values.im![i])).toBeCloseTo(1, 10);
    expect(values.re.reduce((x, y) => x + y, 0)).toBeCloseTo(0, 10);
  });

  test('Cholesky, L D L^H, least squares, exponential, cofactors', () => {
    const n = 6;
    const a = matrix(n, n, complex);
    const positive = multiply(a, adjoint(a));
    const l = copy(positive);
    expect(factorCholesky(l)).toBe(0);
    close(multiply(l, adjoint(l)), positive, 10);
    const indefinite = identity(3, 3, complex);
    indefinite.re[4] = -1;
    expect(factorCholesky(indefinite)).toBe(2);

    for (const hermitian of [false, true]) {
      const symmetric = copy(a);
      if (hermitian) mirror(symmetric, true);
      else
        for (let i = 0; i < n; i++)
          for (let j = 0; j < i; j++) for (const part of [symmetric.re, symmetric.im]) if (part) part[j * n + i] = part[i * n + j];
      symmetric.re[0] = 0;
      if (symmetric.im !== null) symmetric.im[0] = 0;
      const b = matrix(n, 2, complex);
      const x = copy(b);
      const factors = copy(symmetric);
      const { pivots } = factorLdl(factors, hermitian);
      expect(pivots.some((p) => p < 0)).toBe(true);
      solveLdl(factors, pivots, x, hermitian);
      close(multiply(symmetric, x), b, 1000);
    }

    const tall = matrix(7, 3, complex);
    const rhs = matrix(7, 2, complex);
    const { x, rank } = leastSquares(tall, rhs, 1e-12);
    const residual = multiply(tall, x);
    for (let i = 0; i < residual.re.length; i++) {
      residual.re[i] -= rhs.re[i];
      if (residual.im !== null) residual.im[i] -= rhs.im![i];
    }
    close(multiply(adjoint(tall), residual), zeros(3, 2, complex), 10);
    expect(rank).toBe(3);

    const negative = copy(a);
    scale(negative, 0, n * n, -3, 0);
    const threefold = copy(a);
    scale(threefold, 0, n * n, 3, 0);
    close(multiply(exponential(threefold), exponential(negative)), identity(n, n, complex), 1e6);

    const singular = multiply(matrix(3, 2, complex), matrix(2, 3, complex));
    const c = cofactors(singular);
    const moved = copy(singular);
    moved.re[4] += 1;
    const d = determinant(moved);
    const before = determinant(singular);
    expect(d.re - before.re).toBeCloseTo(c.re[4], 10);
    expect(d.im - before.im).toBeCloseTo(c.im === null ? 0 : -c.im[4], 10);
  });
});

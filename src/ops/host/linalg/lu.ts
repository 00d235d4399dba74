/** LU with row exchanges, and triangular systems: LAPACK's getrf, trtrs and what follows from them. */
import { addScaled, divide, dotted, identity, type Matrix, swapRows } from './matrix.ts';

export interface LuPivots {
  /** Row exchanged with row i, counted from 1. */
  readonly pivots: Int32Array;
  /** 0, or the first diagonal element of U that is zero, counted from 1. */
  readonly info: number;
}

/** A = P L U, in place: U above, L (unit diagonal) below. */
export function factorLu(a: Matrix): LuPivots {
  const { rows, cols, re, im } = a;
  const k = Math.min(rows, cols);
  const pivots = new Int32Array(k);
  let info = 0;
  for (let j = 0; j < k; j++) {
    let best = j;
    let size = -1;
    for (let i = j; i < rows; i++) {
      // LAPACK's measure of a complex number: |re| + |im|.
      const at = i * cols + j;
      const x = Math.abs(re[at]) + (im === null ? 0 : Math.abs(im[at]));
      if (x > size) [best, size] = [i, x];
    }
    pivots[j] = best + 1;
    swapRows(a, j, best);
    const d = j * cols + j;
    if (re[d] === 0 && (im === null || im[d] === 0)) {
      if (info === 0) info = j + 1;
      continue;
    }
    for (let i = j + 1; i < rows; i++) {
      const at = i * cols + j;
      if (im === null) {
        re[at] /= re[d];
        addScaled(a, at + 1, a, d + 1, cols - j - 1, -re[at], 0);
      } else {
        divide(re[at], im[at], re[d], im[d]);
        [re[at], im[at]] = dotted;
        addScaled(a, at + 1, a, d + 1, cols - j - 1, -re[at], -im[at]);
      }
    }
  }
  return { pivots, info };
}

/** The permutation of LAPACK's exchanges: row i of P^T A is row `perm[i]` of A. */
export function permutationOf(pivots: ArrayLike<number>, rows: number): Int32Array {
  const perm = Int32Array.from({ length: rows }, (_, i) => i);
  for (let i = 0; i < pivots.length; i++) {
    const j = Number(pivots[i]) - 1;
    [perm[i], perm[j]] = [perm[j], perm[i]];
  }
  return perm;
}

/** X of T X = B, in place of B; only one triangle of T is read. */
export function solveTriangular(t: Matrix, b: Matrix, upper: boolean, unit: boolean): void {
  const n = t.rows;
  const m = b.cols;
  for (let step = 0; step < n; step++) {
    const i = upper ? n - 1 - step : step;
    for (let k = upper ? i + 1 : 0; k < (upper ? n : i); k++) {
      const at = i * t.cols + k;
      addScaled(b, i * m, b, k * m, m, -t.re[at], t.im === null ? 0 : -t.im[at]);
    }
    if (unit) continue;
    const d = i * t.cols + i;
    for (let j = i * m; j < (i + 1) * m; j++) {
      if (b.im === null || t.im === null) b.re[j] /= t.re[d];
      else {
        divide(b.re[j], b.im[j], t.re[d], t.im[d]);
        [b.re[j], b.im[j]] = dotted;
      }
    }
  }
}

/** X of A X = B, in place of B, from the factors of A. */
export function solveLu(lu: Matrix, { pivots }: LuPivots, b: Matrix): void {
  for (let i = 0; i < pivots.length; i++) swapRows(b, i, pivots[i] - 1);
  solveTriangular(lu, b, false, true);
  solveTriangular(lu, b, true, false);
}

export function inverseOfLu(lu: Matrix, pivots: LuPivots): Matrix {
  const out = identity(lu.rows, lu.rows, lu.im !== null);
  solveLu(lu, pivots, out);
  return out;
}

/** Number of rows that really changed place is odd. */
export const oddPivots = (pivots: Int32Array): boolean => pivots.reduce((odd, p, i) => (p === i + 1 ? odd : !odd), false);

/** L D L^T (symmetric) and L D L^H (Hermitian) with Bunch-Kaufman exchanges: LAPACK's sytf2/hetf2 and sytrs/hetrs, lower triangle. */
import type { Complex } from '../../../dtype/codec.ts';
import { divide as divideParts, dotted, type Matrix, swapRows } from './matrix.ts';

const alpha = (1 + Math.sqrt(17)) / 8;

const get = (m: Matrix, i: number, j: number): Complex => ({ re: m.re[i * m.cols + j], im: m.im === null ? 0 : m.im[i * m.cols + j] });
const set = (m: Matrix, i: number, j: number, x: Complex): void => {
  m.re[i * m.cols + j] = x.re;
  if (m.im !== null) m.im[i * m.cols + j] = x.im;
};
const times = (a: Complex, b: Complex): Complex => ({ re: a.re * b.re - a.im * b.im, im: a.re * b.im + a.im * b.re });
const minus = (a: Complex, b: Complex): Complex => ({ re: a.re - b.re, im: a.im - b.im });
const over = (a: Complex, b: Complex): Complex => {
  divideParts(a.re, a.im, b.re, b.im);
  return { re: dotted[0], im: dotted[1] };
};
const conjugate = (a: Complex): Complex => ({ re: a.re, im: -a.im });
const sizeOf = (a: Complex): number => Math.abs(a.re) + Math.abs(a.im);

/** Exchanges rows and columns p < q of the part of a symmetric matrix that lies right of and below p. */
function exchange(a: Matrix, p: number, q: number, flip: (x: Complex) => Complex): void {
  const n = a.rows;
  for (let i = q + 1; i < n; i++) {
    const x = get(a, i, p);
    set(a, i, p, get(a, i, q));
    set(a, i, q, x);
  }
  for (let j = p + 1; j < q; j++) {
    const x = get(a, j, p);
    set(a, j, p, flip(get(a, q, j)));
    set(a, q, j, flip(x));
  }
  set(a, q, p, flip(get(a, q, p)));
  const x = get(a, p, p);
  set(a, p, p, get(a, q, q));
  set(a, q, q, x);
}

/** In place in the lower triangle. */
export function factorLdl(a: Matrix, hermitian: boolean): { pivots: Int32Array; info: number } {
  const n = a.rows;
  const flip = hermitian ? conjugate : (x: Complex): Complex => x;
  const pivots = new Int32Array(n);
  let info = 0;
  if (hermitian && a.im !== null) for (let i = 0; i < n; i++) a.im[i * n + i] = 0;
  for (let k = 0; k < n; ) {
    let step = 1;
    let pivot = k;
    const own = sizeOf(get(a, k, k));
    let largest = 0;
    let row = k;
    for (let i = k + 1; i < n; i++) {
      const x = sizeOf(get(a, i, k));
      if (x > largest) [row, largest] = [i, x];
    }
    if (Math.max(own, largest) === 0) {
      if (info === 0) info = k + 1;
      pivots[k] = ++k;
      continue;
    }
    if (own < alpha * largest) {
      let inRow = 0;
      for (let j = k; j < row; j++) inRow = Math.max(inRow, sizeOf(get(a, row, j)));
      for (let i = row + 1; i < n; i++) inRow = Math.max(inRow, sizeOf(get(a, i, row)));
      if (own < alpha * largest * (largest / inRow)) {
        pivot = row;
        if (sizeOf(get(a, row, row)) < alpha * inRow) step = 2;
      }
    }
    const at = k + step - 1;
    if (pivot !== at) {
      exchange(a, at, pivot, flip);
      if (step === 2) {
        const x = get(a, k + 1, k);
        set(a, k + 1, k, get(a, pivot, k));
        set(a, pivot, k, x);
      }
    }
    eliminate(a, k, step, flip);
    pivots[k] = step === 1 ? pivot + 1 : -(pivot + 1);
    if (step === 2) pivots[k + 1] = -(pivot + 1);
    k += step;
  }
  return { pivots, info };
}

/** Subtracts a block's part from what is below and right of it, and stores its columns of L. */
function eliminate(a: Matrix, k: number, step: number, flip: (x: Complex) => Complex): void {
  const n = a.rows;
  for (let j = k + step; j < n; j++) {
    // Row j of L: what solves w D = A[j, block].
    const w = solveBlockRight(a, k, step, flip, [get(a, j, k), step === 2 ? get(a, j, k + 1) : { re: 0, im: 0 }]);
    for (let i = j; i < n; i++) {
      let x = minus(get(a, i, j), times(get(a, i, k), flip(w[0])));
      if (step === 2) x = minus(x, times(get(a, i, k + 1), flip(w[1])));
      set(a, i, j, x);
    }
    for (let c = 0; c < step; c++) set(a, j, k + c, w[c]);
  }
}

/** D = [[d, flip(e)], [e, f]], or [d]: w of w D = b. */
function solveBlockRight(a: Matrix, k: number, step: number, flip: (x: Complex) => Complex, b: readonly Complex[]): Complex[] {
  const d = get(a, k, k);
  if (step === 1) return [over(b[0], d)];
  const e = get(a, k + 1, k);
  const f = get(a, k + 1, k + 1);
  // Divided by e first, so that products neither overflow nor vanish.
  const [de, fe] = [over(d, flip(e)), over(f, e)];
  const determinant = minus(times(de, fe), { re: 1, im: 0 });
  const [b0, b1] = [over(b[0], e), over(b[1], flip(e))];
  return [over(minus(times(b0, over(f, flip(e))), b1), determinant), over(minus(times(b1, over(d, e)), b0), determinant)];
}

/** X of A X = B, in place of B, from the factors of A. */
export function solveLdl(a: Matrix, pivots: ArrayLike<number>, b: Matrix, hermitian: boolean): void {
  const n = a.rows;
  const flip = hermitian ? conjugate : (x: Complex): Complex => x;
  const addRow = (to: number, from: number, factor: Complex): void => {
    for (let c = 0; c < b.cols; c++) set(b, to, c, minus(get(b, to, c), times(factor, get(b, from, c))));
  };
  for (let k = 0; k < n; ) {
    const step = pivots[k] > 0 ? 1 : 2;
    swapRows(b, k + step - 1, Math.abs(pivots[k]) - 1);
    for (let i = k + step; i < n; i++) for (let c = 0; c < step; c++) addRow(i, k + c, get(a, i, k + c));
    for (let c = 0; c < b.cols; c++) {
      // D y = b is y^T D^T = b^T: the same solution from the right, with the off-diagonal elements exchanged.
      const rhs = [get(b, k, c), step === 2 ? get(b, k + 1, c) : { re: 0, im: 0 }];
      const y = step === 1 ? [over(rhs[0], get(a, k, k))] : solveBlockRight(a, k, 2, flip, rhs.map(flip)).map(flip);
      for (let s = 0; s < step; s++) set(b, k + s, c, y[s]);
    }
    k += step;
  }
  for (let k = n - 1; k >= 0; ) {
    const step = pivots[k] > 0 ? 1 : 2;
    for (let s = 0; s < step; s++) for (let i = k + 1; i < n; i++) addRow(k - s, i, flip(get(a, i, k - s)));
    swapRows(b, k, Math.abs(pivots[k]) - 1);
    k -= step;
  }
}

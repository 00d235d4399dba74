/** QR by Householder reflections H = I - tau v v^H, as LAPACK's geqrf makes them: A = H_1 ... H_k R, v below the diagonal with v_1 = 1. */
import { addScaled, divide, dotted, identity, type Matrix, modulus, zeros } from './matrix.ts';

/**
 * The reflection that takes x (element `at`, then every `step`-th, `count` of them) to (beta, 0, ..., 0): x becomes beta and v's tail.
 * tau is stored at `tauAt`.
 */
export function reflector(x: Matrix, at: number, step: number, count: number, tau: Matrix, tauAt: number): void {
  const { re, im } = x;
  let largest = 0;
  for (let i = 1; i < count; i++) {
    const k = at + i * step;
    largest = Math.max(largest, Math.abs(re[k]), im === null ? 0 : Math.abs(im[k]));
    if (re[k] !== re[k]) largest = Number.NaN;
  }
  const alpha = re[at];
  const alphaIm = im === null ? 0 : im[at];
  if (largest === 0 && alphaIm === 0) {
    tau.re[tauAt] = 0;
    if (tau.im !== null) tau.im[tauAt] = 0;
    return;
  }
  let tail = 0;
  if (largest > 0)
    for (let i = 1; i < count; i++) {
      const k = at + i * step;
      const a = re[k] / largest;
      const b = im === null ? 0 : im[k] / largest;
      tail += a * a + b * b;
    }
  else if (largest !== largest) tail = Number.NaN;
  const beta = -Math.sign(alpha || 1) * modulus(modulus(alpha, alphaIm), largest * Math.sqrt(tail));
  tau.re[tauAt] = (beta - alpha) / beta;
  if (tau.im !== null) tau.im[tauAt] = -alphaIm / beta;
  for (let i = 1; i < count; i++) {
    const k = at + i * step;
    divide(re[k], im === null ? 0 : im[k], alpha - beta, alphaIm);
    re[k] = dotted[0];
    if (im !== null) im[k] = dotted[1];
  }
  re[at] = beta;
  if (im !== null) im[at] = 0;
}

/**
 * target[from.., left..] := (I - t v v^H) target, where v is 1 and then a column of `vectors` below (row `from`, column `column`).
 * t is tau, or its conjugate (`conjugate`).
 */
export function reflectRows(
  target: Matrix,
  left: number,
  vectors: Matrix,
  from: number,
  column: number,
  tauRe: number,
  tauIm: number,
  conjugate: boolean,
): void {
  const width = target.cols - left;
  if (width <= 0 || (tauRe === 0 && tauIm === 0)) return;
  const w = zeros(1, width, target.im !== null);
  const at = (i: number): number => i * vectors.cols + column;
  addScaled(w, 0, target, from * target.cols + left, width, 1, 0);
  for (let i = from + 1; i < target.rows; i++)
    addScaled(w, 0, target, i * target.cols + left, width, vectors.re[at(i)], vectors.im === null ? 0 : -vectors.im[at(i)]);
  const tr = tauRe;
  const ti = conjugate ? -tauIm : tauIm;
  addScaled(target, from * target.cols + left, w, 0, width, -tr, -ti);
  for (let i = from + 1; i < target.rows; i++) {
    const vr = vectors.re[at(i)];
    const vi = vectors.im === null ? 0 : vectors.im[at(i)];
    addScaled(target, i * target.cols + left, w, 0, width, -(tr * vr - ti * vi), -(tr * vi + ti * vr));
  }
}

/** A becomes R and the vectors; returns tau, one row. */
export function factorQr(a: Matrix): Matrix {
  const k = Math.min(a.rows, a.cols);
  const tau = zeros(1, k, a.im !== null);
  for (let j = 0; j < k; j++) {
    reflector(a, j * a.cols + j, a.cols, a.rows - j, tau, j);
    reflectRows(a, j + 1, a, j, j, tau.re[j], tau.im === null ? 0 : tau.im[j], true);
  }
  return tau;
}

/** The first `cols` columns of H_1 ... H_k. */
export function formQ(vectors: Matrix, tau: Matrix, cols: number): Matrix {
  const q = identity(vectors.rows, cols, vectors.im !== null);
  for (let j = tau.cols - 1; j >= 0; j--) reflectRows(q, 0, vectors, j, j, tau.re[j], tau.im === null ? 0 : tau.im[j], false);
  return q;
}

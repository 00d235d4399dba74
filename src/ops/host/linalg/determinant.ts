/** Determinants from LU factors, and their gradient, which exists for singular matrices too. */
import { factorLu, inverseOfLu, oddPivots } from './lu.ts';
import { adjoint, copy, type Matrix, modulus, multiply, scale } from './matrix.ts';
import { svd } from './svd.ts';

/** sign (of modulus 1, or 0) and log of the modulus. */
export interface LogDeterminant {
  readonly re: number;
  readonly im: number;
  readonly log: number;
}

export function logDeterminant(a: Matrix): LogDeterminant {
  const lu = copy(a);
  const { pivots } = factorLu(lu);
  let [re, im, log] = [oddPivots(pivots) ? -1 : 1, 0, 0];
  for (let i = 0; i < a.rows; i++) {
    const at = i * a.cols + i;
    const x = lu.re[at];
    const y = lu.im === null ? 0 : lu.im[at];
    const size = modulus(x, y);
    log += Math.log(size);
    if (size === 0) [re, im] = [0, 0];
    else [re, im] = [(re * x - im * y) / size, (re * y + im * x) / size];
  }
  return { re, im, log };
}

export function determinant(a: Matrix): { re: number; im: number } {
  const lu = copy(a);
  const { pivots } = factorLu(lu);
  let [re, im] = [oddPivots(pivots) ? -1 : 1, 0];
  for (let i = 0; i < a.rows; i++) {
    const x = lu.re[i * a.cols + i];
    const y = lu.im === null ? 0 : lu.im[i * a.cols + i];
    [re, im] = [re * x - im * y, re * y + im * x];
  }
  return { re, im };
}

/** conj(det A) A^{-H}, the conjugated cofactors: where A is (nearly) singular, from singular values, products of all but one. */
export function cofactors(a: Matrix): Matrix {
  const n = a.rows;
  const lu = copy(a);
  const pivots = factorLu(lu);
  const sizes = Float64Array.from({ length: n }, (_, i) => modulus(lu.re[i * n + i], lu.im === null ? 0 : lu.im[i * n + i]));
  const largest = sizes.reduce((x, y) => Math.max(x, y), 0);
  if (sizes.every((x) => x > 1e-12 * largest)) {
    const { re, im } = determinant(a);
    const out = adjoint(inverseOfLu(lu, pivots));
    scale(out, 0, n * n, re, -im);
    return out;
  }
  const { u, s, vh } = svd(a, true);
  const left = determinant(u);
  const right = determinant(vh);
  for (let k = 0; k < n; k++) {
    let product = 1;
    for (let i = 0; i < n; i++) if (i !== k) product *= s[i];
    scale(vh, k * n, n, product, 0);
  }
  const out = multiply(u, vh);
  scale(out, 0, n * n, left.re * right.re - left.im * right.im, -(left.re * right.im + left.im * right.re));
  return out;
}

/** Eigenvalues and right eigenvectors of general matrices, from Schur forms; vectors of norm 1 whose largest element is real, as LAPACK's geev has them. */
import { divide, dotted, type Matrix, modulus, multiply, zeros } from './matrix.ts';
import { complexForm, complexSchur, realSchur } from './schur.ts';

export interface Eigen {
  /** One row. */
  readonly values: Matrix;
  /** Columns; null where they were not asked for. */
  readonly vectors: Matrix | null;
}

/** Columns x with T x = T[k, k] x, for an upper triangular T. */
function triangularVectors(t: Matrix): Matrix {
  const n = t.rows;
  const re = t.re;
  const im = t.im!;
  const out = zeros(n, n, true);
  let norm = 0;
  for (let i = 0; i < n * n; i++) norm = Math.max(norm, Math.abs(re[i]), Math.abs(im[i]));
  const least = Math.max(norm * Number.EPSILON, Number.MIN_VALUE * 1e16);
  for (let k = 0; k < n; k++) {
    out.re[k * n + k] = 1;
    for (let i = k - 1; i >= 0; i--) {
      let a = 0;
      let b = 0;
      for (let j = i + 1; j <= k; j++) {
        const x = i * n + j;
        const y = j * n + k;
        a -= re[x] * out.re[y] - im[x] * out.im![y];
        b -= re[x] * out.im![y] + im[x] * out.re[y];
      }
      let dr = re[i * n + i] - re[k * n + k];
      let di = im[i * n + i] - im[k * n + k];
      if (Math.abs(dr) + Math.abs(di) < least) [dr, di] = [least, 0];
      divide(a, b, dr, di);
      [out.re[i * n + k], out.im![i * n + k]] = dotted;
      const size = Math.abs(dotted[0]) + Math.abs(dotted[1]);
      if (size > 1e100)
        for (let j = i; j <= k; j++) {
          out.re[j * n + k] /= size;
          out.im![j * n + k] /= size;
        }
    }
  }
  return out;
}

function normalize(v: Matrix, k: number, real: boolean): void {
  const n = v.rows;
  let best = 0;
  let largest = -1;
  let sum = 0;
  for (let i = 0; i < n; i++) {
    const size = modulus(v.re[i * n + k], v.im![i * n + k]);
    sum += size * size;
    if (size > largest) [best, largest] = [i, size];
  }
  const norm = Math.sqrt(sum);
  const [pr, pi] = [v.re[best * n + k] / largest, v.im![best * n + k] / largest];
  for (let i = 0; i < n; i++) {
    const x = i * n + k;
    const [a, b] = [v.re[x] / norm, v.im![x] / norm];
    v.re[x] = a * pr + b * pi;
    v.im![x] = real || i === best ? 0 : b * pr - a * pi;
  }
}

/** A is overwritten. */
export function eigen(a: Matrix, withVectors: boolean, notConverged: (code: number) => Error): Eigen {
  const n = a.rows;
  const values = zeros(1, n, true);
  let form: { t: Matrix; q: Matrix };
  const real = a.im === null;
  if (real) {
    const { q, re, im } = realSchur(a, notConverged);
    values.re.set(re);
    values.im!.set(im);
    if (!withVectors) return { values, vectors: null };
    form = complexForm(a, q, re, im);
  } else {
    const q = complexSchur(a, notConverged);
    for (let i = 0; i < n; i++) [values.re[i], values.im![i]] = [a.re[i * n + i], a.im![i * n + i]];
    if (!withVectors) return { values, vectors: null };
    form = { t: a, q };
  }
  const vectors = multiply(form.q, triangularVectors(form.t));
  for (let k = 0; k < n; k++) {
    normalize(vectors, k, real && values.im![k] === 0);
    if (!real || values.im![k] === 0) continue;
    // The other one of a pair is the conjugate.
    for (let i = 0; i < n; i++) {
      vectors.re[i * n + k + 1] = vectors.re[i * n + k];
      vectors.im![i * n + k + 1] = -vectors.im![i * n + k];
    }
    k++;
  }
  return { values, vectors };
}

/**
 * Eigenvalues and eigenvectors of Hermitian matrices: Householder reflections to a real tridiagonal matrix, then implicit QL.
 *
 * The vectors are kept as rows, so that the rotations of QL run over contiguous memory.
 */
import { addScaled, dotted, identity, innerProduct, type Matrix, modulus, zeros } from './matrix.ts';
import { reflector } from './qr.ts';

export interface HermitianEigen {
  /** Ascending. */
  readonly values: Float64Array;
  /** Row k is eigenvector k. */
  readonly rows: Matrix;
}

/** The whole matrix from one triangle; imaginary parts of the diagonal are ignored. */
export function mirror(a: Matrix, lower: boolean): void {
  const n = a.rows;
  for (let i = 0; i < n; i++) {
    if (a.im !== null) a.im[i * n + i] = 0;
    for (let j = 0; j < i; j++) {
      const [from, to] = lower ? [i * n + j, j * n + i] : [j * n + i, i * n + j];
      a.re[to] = a.re[from];
      if (a.im !== null) a.im[to] = -a.im[from];
    }
  }
}

/** A = Q T Q^H with T real and tridiagonal (d, e); A is overwritten, Q^T is returned. */
function tridiagonalize(a: Matrix, d: Float64Array, e: Float64Array): Matrix {
  const { rows: n, re, im } = a;
  const complex = im !== null;
  const tau = zeros(1, Math.max(n - 1, 0), complex);
  const v = zeros(1, n, complex);
  const w = zeros(1, n, complex);
  const conjugated = (m: Matrix, from: number): void => {
    if (m.im !== null) for (let i = from; i < n; i++) m.im[i] = -m.im[i];
  };
  for (let k = 0; k < n - 1; k++) {
    reflector(a, (k + 1) * n + k, n, n - 1 - k, tau, k);
    d[k] = re[k * n + k];
    e[k] = re[(k + 1) * n + k];
    const tr = tau.re[k];
    const ti = tau.im === null ? 0 : tau.im[k];
    if (tr === 0 && ti === 0) continue;
    const first = k + 1;
    const count = n - first;
    for (let i = first; i < n; i++) {
      v.re[i] = i === first ? 1 : re[i * n + k];
      if (im !== null) v.im![i] = i === first ? 0 : im[i * n + k];
    }
    // w = tau A v, then w - (tau w^H v / 2) v; rows of the trailing matrix are contiguous.
    conjugated(v, first);
    for (let i = first; i < n; i++) {
      // v is conjugated: the inner product conjugates it back.
      innerProduct(v, first, a, i * n + first, count);
      w.re[i] = tr * dotted[0] - ti * dotted[1];
      if (w.im !== null) w.im[i] = tr * dotted[1] + ti * dotted[0];
    }
    conjugated(v, first);
    innerProduct(w, first, v, first, count);
    const alphaRe = -0.5 * (tr * dotted[0] - ti * dotted[1]);
    const alphaIm = -0.5 * (tr * dotted[1] + ti * dotted[0]);
    addScaled(w, first, v, first, count, alphaRe, alphaIm);
    const scales = (m: Matrix, i: number): [number, number] => [-m.re[i], m.im === null ? 0 : -m.im[i]];
    const vScales = Array.from({ length: count }, (_, i) => scales(v, first + i));
    const wScales = Array.from({ length: count }, (_, i) => scales(w, first + i));
    conjugated(v, first);
    conjugated(w, first);
    for (let i = 0; i < count; i++) {
      addScaled(a, (first + i) * n + first, w, first, count, vScales[i][0], vScales[i][1]);
      addScaled(a, (first + i) * n + first, v, first, count, wScales[i][0], wScales[i][1]);
    }
  }
  if (n > 0) d[n - 1] = re[n * n - 1];
  // Q = H_0 H_1 ..., built from the last; as Q^T its columns are rows, and (I - tau v v^H) Q is Q^T (I - tau conj(v) v^T).
  const qt = identity(n, n, complex);
  for (let k = n - 2; k >= 0; k--) {
    const tr = tau.re[k];
    const ti = tau.im === null ? 0 : tau.im[k];
    if (tr === 0 && ti === 0) continue;
    const first = k + 1;
    const count = n - first;
    for (let i = first; i < n; i++) {
      v.re[i] = i === first ? 1 : re[i * n + k];
      if (im !== null) v.im![i] = i === first ? 0 : im[i * n + k];
    }
    for (let row = first; row < n; row++) {
      innerProduct(v, first, qt, row * n + first, count);
      const [sr, si] = dotted;
      addScaled(qt, row * n + first, v, first, count, -(tr * sr - ti * si), -(tr * si + ti * sr));
    }
  }
  return qt;
}

function rotateRows(part: Float64Array, upper: number, lower: number, n: number, c: number, s: number): void {
  for (let k = 0; k < n; k++) {
    const f = part[lower + k];
    const g = part[upper + k];
    part[lower + k] = s * g + c * f;
    part[upper + k] = c * g - s * f;
  }
}

/** A is overwritten. Throws `notConverged()` where QL does not converge (numbers that are not finite). */
export function eigenHermitian(a: Matrix, vectors: boolean, notConverged: (code: number) => Error): HermitianEigen {
  const n = a.rows;
  const d = new Float64Array(n);
  const e = new Float64Array(n);
  const z = tridiagonalize(a, d, e);
  const parts = !vectors ? [] : z.im === null ? [z.re] : [z.re, z.im];
  for (let l = 0; l < n; l++) {
    for (let iteration = 0; ; iteration++) {
      let m = l;
      for (; m < n - 1; m++) if (Math.abs(e[m]) <= Number.EPSILON * (Math.abs(d[m]) + Math.abs(d[m + 1]))) break;
      if (m === l) break;
      if (iteration === 80) throw notConverged(l + 1);
      let g = (d[l + 1] - d[l]) / (2 * e[l]);
      let r = modulus(g, 1);
      g = d[m] - d[l] + e[l] / (g + (g >= 0 ? r : -r));
      let [s, c, p] = [1, 1, 0];
      let i = m - 1;
      for (; i >= l; i--) {
        const f = s * e[i];
        const b = c * e[i];
        r = modulus(f, g);
        e[i + 1] = r;
        if (r === 0) {
          d[i + 1] -= p;
          e[m] = 0;
          break;
        }
        s = f / r;
        c = g / r;
        g = d[i + 1] - p;
        r = (d[i] - g) * s + 2 * c * b;
        p = s * r;
        d[i + 1] = g + p;
        g = c * r - b;
        for (const part of parts) rotateRows(part, i * n, (i + 1) * n, n, c, s);
      }
      if (r === 0 && i >= l) continue;
      d[l] -= p;
      e[l] = g;
      e[m] = 0;
    }
  }
  const order = [...d.keys()].sort((i, j) => d[i] - d[j]);
  const rows = zeros(n, n, z.im !== null);
  order.forEach((from, to) => {
    rows.re.set(z.re.subarray(from * n, (from + 1) * n), to * n);
    if (z.im !== null) rows.im!.set(z.im.subarray(from * n, (from + 1) * n), to * n);
  });
  return { values: Float64Array.from(order, (i) => d[i]), rows };
}

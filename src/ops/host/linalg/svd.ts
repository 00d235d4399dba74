/**
 * Singular values and vectors: QR of a tall matrix, then one-sided Jacobi rotations, which give small singular values to full relative accuracy.
 *
 * Columns are kept as rows (contiguous). Where a singular value is zero, or full bases are asked for, the missing vectors are those that
 * Householder reflections add to an orthonormal set.
 */
import { adjoint, copy, dotted, identity, innerProduct, type Matrix, multiply, rowsOf, scale, transpose, zeros } from './matrix.ts';
import { factorQr, formQ } from './qr.ts';

export interface Svd {
  readonly u: Matrix;
  /** Descending. */
  readonly s: Float64Array;
  readonly vh: Matrix;
}

function rotate(m: Matrix, p: number, q: number, c: number, s: number): void {
  const n = m.cols;
  for (const part of m.im === null ? [m.re] : [m.re, m.im])
    for (let k = 0; k < n; k++) {
      const a = part[p * n + k];
      const b = part[q * n + k];
      part[p * n + k] = c * a - s * b;
      part[q * n + k] = s * a + c * b;
    }
}

/** Makes the rows of w (the columns of a matrix W) orthogonal: W := W V; the rows of v are the columns of V. */
function orthogonalize(w: Matrix, v: Matrix): void {
  const n = w.rows;
  const norm2 = (i: number): number => {
    innerProduct(w, i * w.cols, w, i * w.cols, w.cols);
    return dotted[0];
  };
  const tolerance = Number.EPSILON * Math.max(8, w.cols);
  for (let sweep = 0; sweep < 60; sweep++) {
    let rotated = false;
    // Squared norms are kept through a sweep, and computed anew at its start.
    const norms = Float64Array.from({ length: n }, (_, i) => norm2(i));
    for (let p = 0; p < n - 1; p++)
      for (let q = p + 1; q < n; q++) {
        const alpha = norms[p];
        const beta = norms[q];
        innerProduct(w, p * w.cols, w, q * w.cols, w.cols);
        const [re, im] = dotted;
        const size = im === 0 ? Math.abs(re) : Math.hypot(re, im);
        if (size === 0 || !(size > tolerance * Math.sqrt(alpha * beta))) continue;
        rotated = true;
        // The phase of column q first, then a real rotation.
        for (const m of [w, v]) if (im !== 0 || re < 0) scale(m, q * m.cols, m.cols, re / size, -im / size);
        const zeta = (beta - alpha) / (2 * size);
        const t = (zeta >= 0 ? 1 : -1) / (Math.abs(zeta) + Math.sqrt(1 + zeta * zeta));
        const c = 1 / Math.sqrt(1 + t * t);
        for (const m of [w, v]) rotate(m, p, q, c, c * t);
        norms[p] = alpha - t * size;
        norms[q] = beta + t * size;
      }
    if (!rotated) return;
  }
}

/** The first `count` rows are orthonormal; the rest become so too. */
function completeRows(u: Matrix, count: number): Matrix {
  if (count === u.rows) return u;
  const columns = transpose(rowsOf(u, 0, count));
  const q = transpose(formQ(columns, factorQr(columns), u.rows));
  const out = copy(u);
  out.re.set(q.re.subarray(count * u.cols, u.rows * u.cols), count * u.cols);
  if (q.im !== null) out.im!.set(q.im.subarray(count * u.cols, u.rows * u.cols), count * u.cols);
  return out;
}

/** For rows >= cols: columns of U as rows (`total` of them), columns of V as rows. */
function tallSvd(a: Matrix, total: number): { ut: Matrix; s: Float64Array; vt: Matrix } {
  const n = a.cols;
  const complex = a.im !== null;
  let q: Matrix | null = null;
  let w: Matrix;
  if (a.rows > n && n > 0) {
    const r = copy(a);
    const tau = factorQr(r);
    q = formQ(r, tau, n);
    const top = rowsOf(r, 0, n);
    for (let i = 0; i < n; i++) {
      top.re.fill(0, i * n, i * n + i);
      top.im?.fill(0, i * n, i * n + i);
    }
    w = transpose(top);
  } else w = transpose(a);
  // Scaled by a power of two, so that squares neither overflow nor vanish.
  let largest = 0;
  for (const part of w.im === null ? [w.re] : [w.re, w.im]) for (const x of part) largest = Math.max(largest, Math.abs(x));
  const unit = largest > 0 && Number.isFinite(largest) ? 2 ** Math.floor(Math.log2(largest)) : 1;
  scale(w, 0, w.re.length, 1 / unit, 0);
  const v = identity(n, n, complex);
  orthogonalize(w, v);
  const sizes = Float64Array.from({ length: n }, (_, i) => {
    innerProduct(w, i * w.cols, w, i * w.cols, w.cols);
    return Math.sqrt(dotted[0]);
  });
  const order = [...sizes.keys()].sort((i, j) => sizes[j] - sizes[i]);
  const vt = zeros(n, n, complex);
  const small = zeros(n, w.cols, complex);
  let positive = 0;
  order.forEach((from, to) => {
    for (const part of complex ? (['re', 'im'] as const) : (['re'] as const)) {
      vt[part]!.set(v[part]!.subarray(from * n, (from + 1) * n), to * n);
      small[part]!.set(w[part]!.subarray(from * w.cols, (from + 1) * w.cols), to * w.cols);
    }
    if (sizes[from] > 0) {
      positive++;
      scale(small, to * w.cols, w.cols, 1 / sizes[from], 0);
    }
  });
  const ut = zeros(total, a.rows, complex);
  const made = q === null ? small : multiply(small, transpose(q));
  ut.re.set(made.re.subarray(0, positive * a.rows));
  if (complex) ut.im!.set(made.im!.subarray(0, positive * a.rows));
  const basis = total === 0 || positive === total ? ut : completeTo(ut, positive, total);
  return { ut: basis, s: Float64Array.from(order, (i) => sizes[i] * unit), vt };
}

/** Rows beyond `count` from the full basis that reflections give. */
function completeTo(ut: Matrix, count: number, total: number): Matrix {
  const square = zeros(ut.cols, ut.cols, ut.im !== null);
  square.re.set(ut.re.subarray(0, count * ut.cols));
  if (ut.im !== null) square.im!.set(ut.im.subarray(0, count * ut.cols));
  return rowsOf(completeRows(square, count), 0, total);
}

/** A = U diag(S) Vh; `full` bases are square. */
export function svd(a: Matrix, full: boolean): Svd {
  const k = Math.min(a.rows, a.cols);
  if (a.rows >= a.cols) {
    const { ut, s, vt } = tallSvd(a, full ? a.rows : k);
    return { u: transpose(ut), s, vh: conjugate(vt) };
  }
  const { ut, s, vt } = tallSvd(adjoint(a), full ? a.cols : k);
  return { u: transpose(vt), s, vh: conjugate(ut) };
}

function conjugate(m: Matrix): Matrix {
  return m.im === null ? m : { ...m, im: m.im.map((x) => -x) };
}

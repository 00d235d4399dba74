/**
 * Schur forms A = Q T Q^H: Hessenberg by reflections, then QR steps: Francis double shifts for real matrices (T is quasi-triangular and complex
 * pairs are exact conjugates), single shifts for complex ones. Matrices are not balanced first.
 */
import { dotted, identity, innerProduct, type Matrix, modulus, zeros } from './matrix.ts';
import { reflector, reflectRows } from './qr.ts';

/** A becomes upper Hessenberg H; Q of A = Q H Q^H is returned. */
function hessenberg(a: Matrix): Matrix {
  const n = a.rows;
  const complex = a.im !== null;
  const q = identity(n, n, complex);
  const tau = zeros(1, 1, complex);
  const v = zeros(1, n, complex);
  const fromRight = (m: Matrix, first: number, tr: number, ti: number): void => {
    // m (I - tau v v^H); v is held conjugated.
    for (let i = 0; i < n; i++) {
      innerProduct(v, first, m, i * n + first, n - first);
      const re = -(tr * dotted[0] - ti * dotted[1]);
      const im = -(tr * dotted[1] + ti * dotted[0]);
      for (let j = first; j < n; j++) {
        m.re[i * n + j] += re * v.re[j] - (v.im === null ? 0 : im * v.im[j]);
        if (m.im !== null) m.im[i * n + j] += re * v.im![j] + im * v.re[j];
      }
    }
  };
  for (let k = 0; k < n - 2; k++) {
    const first = k + 1;
    reflector(a, first * n + k, n, n - first, tau, 0);
    const tr = tau.re[0];
    const ti = tau.im === null ? 0 : tau.im[0];
    if (tr === 0 && ti === 0) continue;
    reflectRows(a, k + 1, a, first, k, tr, ti, true);
    for (let i = first; i < n; i++) {
      v.re[i] = i === first ? 1 : a.re[i * n + k];
      if (v.im !== null) v.im[i] = i === first ? 0 : -a.im![i * n + k];
      if (i === first) continue;
      a.re[i * n + k] = 0;
      if (a.im !== null) a.im[i * n + k] = 0;
    }
    fromRight(a, first, tr, ti);
    fromRight(q, first, tr, ti);
  }
  return q;
}

/** Real matrices: A becomes T; returns Q and the eigenvalues (pairs have the positive imaginary part first). */
export function realSchur(a: Matrix, notConverged: (code: number) => Error): { q: Matrix; re: Float64Array; im: Float64Array } {
  const q = hessenberg(a);
  const size = a.rows;
  const h = a.re;
  const v = q.re;
  const re = new Float64Array(size);
  const im = new Float64Array(size);
  const at = (i: number, j: number): number => h[i * size + j];
  let norm = 0;
  for (let i = 0; i < size; i++) for (let j = Math.max(i - 1, 0); j < size; j++) norm += Math.abs(at(i, j));
  let shifted = 0;
  let iteration = 0;
  let n = size - 1;
  while (n >= 0) {
    let l = n;
    for (; l > 0; l--) {
      const s = Math.abs(at(l - 1, l - 1)) + Math.abs(at(l, l)) || norm;
      if (Math.abs(at(l, l - 1)) < Number.EPSILON * s || s === 0) {
        h[l * size + l - 1] = 0;
        break;
      }
    }
    if (l === n) {
      h[n * size + n] += shifted;
      re[n] = at(n, n);
      n--;
      iteration = 0;
      continue;
    }
    let x = at(n, n);
    let y = at(n - 1, n - 1);
    let w = at(n, n - 1) * at(n - 1, n);
    if (l === n - 1) {
      const p = (y - x) / 2;
      const discriminant = p * p + w;
      const root = Math.sqrt(Math.abs(discriminant));
      h[n * size + n] += shifted;
      h[(n - 1) * size + n - 1] += shifted;
      x = at(n, n);
      if (discriminant >= 0) {
        const z = p >= 0 ? p + root : p - root;
        re[n - 1] = x + z;
        re[n] = z === 0 ? x + z : x - w / z;
        splitBlock(h, v, size, n, z);
      } else {
        re[n - 1] = re[n] = x + p;
        im[n - 1] = root;
        im[n] = -root;
      }
      n -= 2;
      iteration = 0;
      continue;
    }
    if (iteration === 10) {
      shifted += x;
      for (let i = 0; i <= n; i++) h[i * size + i] -= x;
      const s = Math.abs(at(n, n - 1)) + Math.abs(at(n - 1, n - 2));
      x = y = 0.75 * s;
      w = -0.4375 * s * s;
    } else if (iteration === 30) {
      let s = (y - x) / 2;
      s = s * s + w;
      if (s > 0) {
        s = y < x ? -Math.sqrt(s) : Math.sqrt(s);
        s = x - w / ((y - x) / 2 + s);
        for (let i = 0; i <= n; i++) h[i * size + i] -= s;
        shifted += s;
        x = y = w = 0.964;
      }
    } else if (iteration === 300) throw notConverged(n + 1);
    iteration++;
    francisStep(h, v, size, l, n, x, y, w);
  }
  return { q, re, im };
}

/** A 2 x 2 block with real eigenvalues becomes triangular. */
function splitBlock(h: Float64Array, v: Float64Array, size: number, n: number, z: number): void {
  const below = h[n * size + n - 1];
  const s = Math.abs(below) + Math.abs(z);
  const r = Math.hypot(below / s, z / s);
  const p = below / s / r;
  const q = z / s / r;
  for (let j = n - 1; j < size; j++) {
    const a = h[(n - 1) * size + j];
    const b = h[n * size + j];
    h[(n - 1) * size + j] = q * a + p * b;
    h[n * size + j] = q * b - p * a;
  }
  for (const [m, rows] of [
    [h, n + 1],
    [v, size],
  ] as const)
    for (let i = 0; i < rows; i++) {
      const a = m[i * size + n - 1];
      const b = m[i * size + n];
      m[i * size + n - 1] = q * a + p * b;
      m[i * size + n] = q * b - p * a;
    }
  h[n * size + n - 1] = 0;
}

/** One double-shift step on rows l..n; x, y, w are the shifts' sum and product as EISPACK's hqr has them. */
function francisStep(h: Float64Array, v: Float64Array, size: number, l: number, n: number, x: number, y: number, w: number): void {
  const at = (i: number, j: number): number => h[i * size + j];
  let [p, q, r] = [0, 0, 0];
  let m = n - 2;
  for (; ; m--) {
    const z = at(m, m);
    const rr = x - z;
    const ss = y - z;
    p = (rr * ss - w) / at(m + 1, m) + at(m, m + 1);
    q = at(m + 1, m + 1) - z - rr - ss;
    r = at(m + 2, m + 1);
    const s = Math.abs(p) + Math.abs(q) + Math.abs(r);
    p /= s;
    q /= s;
    r /= s;
    if (m === l) break;
    const near = Math.abs(p) * (Math.abs(at(m - 1, m - 1)) + Math.abs(z) + Math.abs(at(m + 1, m + 1)));
    if (Math.abs(at(m, m - 1)) * (Math.abs(q) + Math.abs(r)) < Number.EPSILON * near) break;
  }
  for (let i = m + 2; i <= n; i++) {
    h[i * size + i - 2] = 0;
    if (i > m + 2) h[i * size + i - 3] = 0;
  }
  for (let k = m; k < n; k++) {
    const three = k !== n - 1;
    let length = 0;
    if (k !== m) {
      p = at(k, k - 1);
      q = at(k + 1, k - 1);
      r = three ? at(k + 2, k - 1) : 0;
      length = Math.abs(p) + Math.abs(q) + Math.abs(r);
      if (length === 0) continue;
      p /= length;
      q /= length;
      r /= length;
    }
    const norm = Math.sqrt(p * p + q * q + r * r);
    const s = p < 0 ? -norm : norm;
    if (s === 0) continue;
    if (k !== m) h[k * size + k - 1] = -s * length;
    else if (l !== m) h[k * size + k - 1] = -h[k * size + k - 1];
    p += s;
    const [a, b, c] = [p / s, q / s, r / s];
    q /= p;
    r /= p;
    for (let j = k; j < size; j++) {
      const sum = at(k, j) + q * at(k + 1, j) + (three ? r * at(k + 2, j) : 0);
      h[k * size + j] -= sum * a;
      h[(k + 1) * size + j] -= sum * b;
      if (three) h[(k + 2) * size + j] -= sum * c;
    }
    for (const [matrix, rows] of [
      [h, Math.min(n, k + 3) + 1],
      [v, size],
    ] as const)
      for (let i = 0; i < rows; i++) {
        const o = i * size + k;
        const sum = a * matrix[o] + b * matrix[o + 1] + (three ? c * matrix[o + 2] : 0);
        matrix[o] -= sum;
        matrix[o + 1] -= sum * q;
        if (three) matrix[o + 2] -= sum * r;
      }
  }
}

/** T := G^H T G and Q := Q G for the rotation G = [[c, -conj(s)], [s, conj(c)]] of rows and columns k, k + 1, or only rows, or only columns. */
interface Rotation {
  readonly cr: number;
  readonly ci: number;
  readonly sr: number;
  readonly si: number;
}
function rotateRows(m: Matrix, k: number, from: number, g: Rotation): void {
  const re = m.re;
  const im = m.im!;
  for (let j = from; j < m.cols; j++) {
    const x = k * m.cols + j;
    const y = x + m.cols;
    const [a, b, c, d] = [re[x], im[x], re[y], im[y]];
    re[x] = g.cr * a + g.ci * b + g.sr * c + g.si * d;
    im[x] = g.cr * b - g.ci * a + g.sr * d - g.si * c;
    re[y] = -(g.sr * a - g.si * b) + g.cr * c - g.ci * d;
    im[y] = -(g.sr * b + g.si * a) + g.cr * d + g.ci * c;
  }
}
function rotateColumns(m: Matrix, k: number, to: number, g: Rotation): void {
  const re = m.re;
  const im = m.im!;
  for (let i = 0; i < to; i++) {
    const x = i * m.cols + k;
    const y = x + 1;
    const [a, b, c, d] = [re[x], im[x], re[y], im[y]];
    re[x] = g.cr * a - g.ci * b + g.sr * c - g.si * d;
    im[x] = g.cr * b + g.ci * a + g.sr * d + g.si * c;
    re[y] = -(g.sr * a + g.si * b) + g.cr * c + g.ci * d;
    im[y] = -(g.sr * b - g.si * a) + g.cr * d - g.ci * c;
  }
}
function rotationOf(ar: number, ai: number, br: number, bi: number): Rotation | null {
  const r = Math.hypot(ar, ai, br, bi);
  return r === 0 ? null : { cr: ar / r, ci: ai / r, sr: br / r, si: bi / r };
}

/** The quasi-triangular T of `realSchur` as a complex triangular one. */
export function complexForm(t: Matrix, q: Matrix, re: Float64Array, im: Float64Array): { t: Matrix; q: Matrix } {
  const n = t.rows;
  const tc: Matrix = { ...t, im: new Float64Array(n * n) };
  const qc: Matrix = { ...q, im: new Float64Array(n * n) };
  for (let i = 0; i < n - 1; i++) {
    if (im[i] === 0) continue;
    const d = (i + 1) * n + i + 1;
    const g = rotationOf(re[i] - tc.re[d], im[i] - tc.im![d], tc.re[d - 1], tc.im![d - 1]);
    if (g !== null) {
      rotateRows(tc, i, i, g);
      rotateColumns(tc, i, i + 2, g);
      rotateColumns(qc, i, n, g);
    }
    i++;
  }
  for (let i = 0; i < n; i++) {
    tc.re[i * n + i] = re[i];
    tc.im![i * n + i] = im[i];
    if (i > 0) tc.re[i * n + i - 1] = tc.im![i * n + i - 1] = 0;
  }
  return { t: tc, q: qc };
}

/** Complex matrices: A becomes the triangular T; Q is returned. */
export function complexSchur(a: Matrix, notConverged: (code: number) => Error): Matrix {
  const q = hessenberg(a);
  const n = a.rows;
  const re = a.re;
  const im = a.im!;
  const size = (i: number, j: number): number => Math.abs(re[i * n + j]) + Math.abs(im[i * n + j]);
  let norm = 0;
  for (let i = 0; i < n; i++) for (let j = Math.max(i - 1, 0); j < n; j++) norm += size(i, j);
  let hi = n - 1;
  for (let iteration = 0; hi > 0; ) {
    let l = hi;
    for (; l > 0; l--)
      if (size(l, l - 1) <= Number.EPSILON * (size(l - 1, l - 1) + size(l, l) || norm)) {
        re[l * n + l - 1] = im[l * n + l - 1] = 0;
        break;
      }
    if (l === hi) {
      hi--;
      iteration = 0;
      continue;
    }
    if (++iteration > 300) throw notConverged(hi + 1);
    const [sr, si] = iteration % 10 === 0 ? [size(hi, hi - 1) + re[hi * n + hi], im[hi * n + hi]] : wilkinsonShift(re, im, n, hi);
    for (let i = l; i <= hi; i++) {
      re[i * n + i] -= sr;
      im[i * n + i] -= si;
    }
    const rotations: (Rotation | null)[] = [];
    for (let k = l; k < hi; k++) {
      const x = k * n + k;
      const g = rotationOf(re[x], im[x], re[x + n], im[x + n]);
      rotations.push(g);
      if (g !== null) rotateRows(a, k, k, g);
    }
    rotations.forEach((g, i) => {
      if (g === null) return;
      rotateColumns(a, l + i, Math.min(l + i + 2, hi + 1), g);
      rotateColumns(q, l + i, n, g);
    });
    for (let i = l; i <= hi; i++) {
      re[i * n + i] += sr;
      im[i * n + i] += si;
    }
  }
  return q;
}

/** The eigenvalue of the last 2 x 2 block that is nearer to its last element. */
function wilkinsonShift(re: Float64Array, im: Float64Array, n: number, hi: number): [number, number] {
  const d = hi * n + hi;
  const a = d - n - 1;
  // t = (a - d) / 2, the root of t^2 + b c, and d - b c / (t + root) with the larger sum.
  const [tr, ti] = [(re[a] - re[d]) / 2, (im[a] - im[d]) / 2];
  const [b, c] = [d - n, d - 1];
  const br = re[b] * re[c] - im[b] * im[c];
  const bi = re[b] * im[c] + im[b] * re[c];
  const xr = tr * tr - ti * ti + br;
  const xi = 2 * tr * ti + bi;
  const m = modulus(xr, xi);
  let rr = Math.sqrt(Math.max(0, (m + xr) / 2));
  let ri = Math.sqrt(Math.max(0, (m - xr) / 2)) * (xi < 0 ? -1 : 1);
  if (tr * rr + ti * ri < 0) [rr, ri] = [-rr, -ri];
  const [sr, si] = [tr + rr, ti + ri];
  const s2 = sr * sr + si * si;
  if (s2 === 0) return [re[d], im[d]];
  return [re[d] - (br * sr + bi * si) / s2, im[d] - (bi * sr - br * si) / s2];
}

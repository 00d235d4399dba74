/**
 * Dense matrices on the host, and the few loops that the factorizations here are made of.
 *
 * A matrix is row-major in float64; `im` is null for real ones, so that one algorithm serves real and complex numbers: what depends on it are
 * these loops, over contiguous parts of rows. Results are rounded once, when they are stored.
 */
import type { StorageArray } from '../../../dtype/codec.ts';
import type { HostArray } from '../../../graph/library.ts';

export interface Matrix {
  readonly rows: number;
  readonly cols: number;
  readonly re: Float64Array;
  readonly im: Float64Array | null;
}

export const zeros = (rows: number, cols: number, complex: boolean): Matrix => ({
  rows,
  cols,
  re: new Float64Array(rows * cols),
  im: complex ? new Float64Array(rows * cols) : null,
});

/** Ones on the diagonal. */
export function identity(rows: number, cols: number, complex: boolean): Matrix {
  const m = zeros(rows, cols, complex);
  for (let i = 0; i < Math.min(rows, cols); i++) m.re[i * cols + i] = 1;
  return m;
}

export const copy = (m: Matrix): Matrix => ({ ...m, re: m.re.slice(), im: m.im === null ? null : m.im.slice() });

export function transpose(m: Matrix, conjugate = false): Matrix {
  const out = zeros(m.cols, m.rows, m.im !== null);
  for (let i = 0; i < m.rows; i++)
    for (let j = 0; j < m.cols; j++) {
      out.re[j * m.rows + i] = m.re[i * m.cols + j];
      if (m.im !== null) out.im![j * m.rows + i] = conjugate ? -m.im[i * m.cols + j] : m.im[i * m.cols + j];
    }
  return out;
}
export const adjoint = (m: Matrix): Matrix => transpose(m, true);

/** Rows [from, to) as a matrix of their own. */
export const rowsOf = (m: Matrix, from: number, to: number): Matrix => ({
  rows: to - from,
  cols: m.cols,
  re: m.re.slice(from * m.cols, to * m.cols),
  im: m.im === null ? null : m.im.slice(from * m.cols, to * m.cols),
});

/** y[yAt + i] += (re + i im) x[xAt + i] */
export function addScaled(y: Matrix, yAt: number, x: Matrix, xAt: number, count: number, re: number, im: number): void {
  const yr = y.re;
  const xr = x.re;
  if (y.im === null || x.im === null) {
    for (let i = 0; i < count; i++) yr[yAt + i] += re * xr[xAt + i];
    return;
  }
  const yi = y.im;
  const xi = x.im;
  for (let i = 0; i < count; i++) {
    const a = xr[xAt + i];
    const b = xi[xAt + i];
    yr[yAt + i] += re * a - im * b;
    yi[yAt + i] += re * b + im * a;
  }
}

/** x[at + i] *= re + i im */
export function scale(x: Matrix, at: number, count: number, re: number, im: number): void {
  for (let i = at; i < at + count; i++) {
    if (x.im === null) x.re[i] *= re;
    else {
      const a = x.re[i];
      const b = x.im[i];
      x.re[i] = re * a - im * b;
      x.im[i] = re * b + im * a;
    }
  }
}

/** Real part, then imaginary part, of the last inner product. */
export const dotted = new Float64Array(2);
/** sum conj(x[xAt + i]) y[yAt + i], in `dotted`. */
export function innerProduct(x: Matrix, xAt: number, y: Matrix, yAt: number, count: number): void {
  let re = 0;
  let im = 0;
  if (x.im === null || y.im === null) for (let i = 0; i < count; i++) re += x.re[xAt + i] * y.re[yAt + i];
  else
    for (let i = 0; i < count; i++) {
      const a = x.re[xAt + i];
      const b = x.im[xAt + i];
      const c = y.re[yAt + i];
      const d = y.im[yAt + i];
      re += a * c + b * d;
      im += a * d - b * c;
    }
  dotted[0] = re;
  dotted[1] = im;
}

export function swapRows(m: Matrix, i: number, j: number): void {
  if (i === j) return;
  for (const part of m.im === null ? [m.re] : [m.re, m.im]) {
    const row = part.slice(i * m.cols, (i + 1) * m.cols);
    part.copyWithin(i * m.cols, j * m.cols, (j + 1) * m.cols);
    part.set(row, j * m.cols);
  }
}

export function multiply(a: Matrix, b: Matrix): Matrix {
  const out = zeros(a.rows, b.cols, a.im !== null);
  for (let i = 0; i < a.rows; i++)
    for (let k = 0; k < a.cols; k++) {
      const at = i * a.cols + k;
      addScaled(out, i * b.cols, b, k * b.cols, b.cols, a.re[at], a.im === null ? 0 : a.im[at]);
    }
  return out;
}

/** (a + i b) / (c + i d), without overflow on the way: real and imaginary part in `dotted`. */
export function divide(a: number, b: number, c: number, d: number): void {
  if (d === 0) {
    dotted[0] = a / c;
    dotted[1] = b / c;
  } else if (Math.abs(c) >= Math.abs(d)) {
    const r = d / c;
    const s = c + d * r;
    dotted[0] = (a + b * r) / s;
    dotted[1] = (b - a * r) / s;
  } else {
    const r = c / d;
    const s = c * r + d;
    dotted[0] = (a * r + b) / s;
    dotted[1] = (b * r - a) / s;
  }
}

export const modulus = (re: number, im: number): number => {
  const a = Math.abs(re);
  const b = Math.abs(im);
  if (b === 0) return a;
  const large = Math.max(a, b);
  const small = Math.min(a, b);
  return large === 0 || large === Infinity ? large : large * Math.sqrt(1 + (small / large) * (small / large));
};

// ---- in and out of arrays

/** Number of matrices; `dims` of each. */
export function batchSize(array: HostArray, dims = 2): number {
  return array.shape.slice(0, array.shape.length - dims).reduce((a, b) => a * b, 1);
}

type Floats = Float64Array | Float32Array;

/** Matrix `b` of an array of floats; a vector (dims = 1) is a matrix of one row. */
export function load(array: HostArray, b: number, dims = 2): Matrix {
  const { shape } = array;
  const cols = shape[shape.length - 1];
  const rows = dims === 1 ? 1 : shape[shape.length - 2];
  const m = zeros(rows, cols, array.dtype.is_complex);
  const data = array.data as Floats;
  const n = rows * cols;
  if (m.im === null) for (let i = 0; i < n; i++) m.re[i] = data[b * n + i];
  else
    for (let i = 0; i < n; i++) {
      m.re[i] = data[2 * (b * n + i)];
      m.im[i] = data[2 * (b * n + i) + 1];
    }
  return m;
}

/** Stores as number `b` of its kind; imaginary parts of a real target are dropped. */
export function store(array: HostArray, b: number, m: Matrix): void {
  const n = m.rows * m.cols;
  const data = array.data as Floats;
  if (!array.dtype.is_complex) data.set(m.re, b * n);
  else
    for (let i = 0; i < n; i++) {
      data[2 * (b * n + i)] = m.re[i];
      data[2 * (b * n + i) + 1] = m.im === null ? 0 : m.im[i];
    }
}

/** Stores integers as number `b` of their kind. */
export function storeIntegers(array: HostArray, b: number, values: ArrayLike<number>): void {
  const data: StorageArray = array.data;
  for (let i = 0; i < values.length; i++)
    if (data instanceof BigInt64Array) data[b * values.length + i] = BigInt(values[i]);
    else data[b * values.length + i] = values[i];
}

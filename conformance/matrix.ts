/** Batches of complex matrices in float64 on the host: just enough to check what factorizations promise. */
import { formatOf, type HostTensor, numbers } from './host.ts';

export interface Matrices {
  readonly batch: number;
  readonly rows: number;
  readonly cols: number;
  readonly re: Float64Array;
  readonly im: Float64Array;
}

export const zeros = (batch: number, rows: number, cols: number): Matrices => ({
  batch,
  rows,
  cols,
  re: new Float64Array(batch * rows * cols),
  im: new Float64Array(batch * rows * cols),
});

/** The last two dims are the matrix; all before them the batch. */
export function matricesOf(t: HostTensor): Matrices {
  const [rows, cols] = t.shape.slice(-2);
  const batch = t.shape.slice(0, -2).reduce((a, b) => a * b, 1);
  return fill(zeros(batch, rows, cols), t);
}
/** The last dim is a vector: a column. */
export function columnsOf(t: HostTensor): Matrices {
  const rows = t.shape.at(-1)!;
  const batch = t.shape.slice(0, -1).reduce((a, b) => a * b, 1);
  return fill(zeros(batch, rows, 1), t);
}
function fill(m: Matrices, t: HostTensor): Matrices {
  const values = numbers(t);
  const step = formatOf(t.dtype).kind === 'complex' ? 2 : 1;
  for (let i = 0; i < m.re.length; i++) {
    m.re[i] = values[i * step];
    if (step === 2) m.im[i] = values[i * step + 1];
  }
  return m;
}

export function map(
  m: Matrices,
  f: (i: number, j: number, b: number) => readonly [number, number],
  rows = m.rows,
  cols = m.cols,
): Matrices {
  const out = zeros(m.batch, rows, cols);
  for (let b = 0; b < m.batch; b++)
    for (let i = 0; i < rows; i++)
      for (let j = 0; j < cols; j++) {
        const at = (b * rows + i) * cols + j;
        [out.re[at], out.im[at]] = f(i, j, b);
      }
  return out;
}
export const get = (m: Matrices, b: number, i: number, j: number): readonly [number, number] => {
  const at = (b * m.rows + i) * m.cols + j;
  return [m.re[at], m.im[at]];
};

export const adjoint = (m: Matrices): Matrices =>
  map(
    m,
    (i, j, b) => {
      const [re, im] = get(m, b, j, i);
      return [re, -im];
    },
    m.cols,
    m.rows,
  );
export const transposed = (m: Matrices): Matrices => map(m, (i, j, b) => get(m, b, j, i), m.cols, m.rows);

export function product(x: Matrices, y: Matrices): Matrices {
  return map(
    x,
    (i, j, b) => {
      let re = 0;
      let im = 0;
      for (let k = 0; k < x.cols; k++) {
        const [a, c] = get(x, b, i, k);
        const [d, e] = get(y, b, k, j);
        re += a * d - c * e;
        im += a * e + c * d;
      }
      return [re, im];
    },
    x.rows,
    y.cols,
  );
}

/** Column j times entry j of a vector (given as columns). */
export const scaleColumns = (m: Matrices, v: Matrices): Matrices =>
  map(m, (i, j, b) => {
    const [re, im] = get(m, b, i, j);
    const [c, d] = get(v, b, j, 0);
    return [re * c - im * d, re * d + im * c];
  });

export const firstColumns = (m: Matrices, n: number): Matrices => map(m, (i, j, b) => get(m, b, i, j), m.rows, n);
export const firstRows = (m: Matrices, n: number): Matrices => map(m, (i, j, b) => get(m, b, i, j), n, m.cols);
export const identity = (batch: number, n: number): Matrices => map(zeros(batch, n, n), (i, j) => [i === j ? 1 : 0, 0]);
export const upper = (m: Matrices): Matrices => map(m, (i, j, b) => (j >= i ? get(m, b, i, j) : [0, 0]));
export const unitLower = (m: Matrices, cols: number): Matrices =>
  map(m, (i, j, b) => (i === j ? [1, 0] : j < i ? get(m, b, i, j) : [0, 0]), m.rows, cols);

export function largest(m: Matrices): number {
  let out = 0;
  for (let i = 0; i < m.re.length; i++) out = Math.max(out, Math.hypot(m.re[i], m.im[i]));
  return out;
}
/** The largest difference, NaN where anything is not a number. */
export function distance(x: Matrices, y: Matrices): number {
  if (x.re.length !== y.re.length) return Number.NaN;
  let out = 0;
  for (let i = 0; i < x.re.length; i++) {
    const d = Math.hypot(x.re[i] - y.re[i], x.im[i] - y.im[i]);
    if (Number.isNaN(d)) return d;
    out = Math.max(out, d);
  }
  return out;
}

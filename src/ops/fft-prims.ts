/**
 * Fourier transforms as primitives: three library functions along the last dim (complex to complex, real to half a spectrum, half a spectrum to
 * real), each the other's gradient, and what is made of them: other dims, lengths, normalization.
 */
import type { StorageArray } from '../dtype/codec.ts';
import type { HostArray, LibraryFunction } from '../graph/library.ts';
import { callLibrary, complexOf, constant, dimPrim, iota, type Prim } from '../graph/prim.ts';
import type { Dim } from '../shape/dim.ts';
import * as dims from '../shape/dim.ts';
import { type ComplexRow, inverseTransform, transform } from './host/fft.ts';

interface Direction {
  readonly inverse: boolean;
}

/** Calls `work` with each row of the last dim. */
function rows(x: HostArray, y: HostArray, work: (from: number, to: number) => void): void {
  const n = x.shape[x.shape.length - 1];
  const m = y.shape[y.shape.length - 1];
  const count = x.shape.slice(0, -1).reduce((p, d) => p * d, 1);
  for (let i = 0; i < count; i++) work(i * n, i * m);
}
const numbers = (data: StorageArray): Float32Array | Float64Array => data as Float32Array | Float64Array;

/** sum of x[j] e^(-+2 pi i j k / n). */
const complexTransform: LibraryFunction<Direction> = {
  name: 'fft_c2c',
  vjp: ([g], [x], _, { inverse }) => [g == null ? null : alongLast(complexTransform, g, x.shape, x.dtype, { inverse: !inverse })],
  run: ([x], [y], { inverse }) => {
    const n = x.shape[x.shape.length - 1];
    const row: ComplexRow = { re: new Float64Array(n), im: new Float64Array(n) };
    const [from, to] = [numbers(x.data), numbers(y.data)];
    rows(x, y, (at, out) => {
      for (let j = 0; j < n; j++) {
        row.re[j] = from[2 * (at + j)];
        row.im[j] = from[2 * (at + j) + 1];
      }
      if (inverse) inverseTransform(row);
      else transform(row);
      for (let k = 0; k < n; k++) {
        to[2 * (out + k)] = row.re[k];
        to[2 * (out + k) + 1] = row.im[k];
      }
    });
  },
};

/** The first n/2 + 1 frequencies of a real row. */
const realTransform: LibraryFunction<null> = {
  name: 'fft_r2c',
  vjp: ([g], [x]) => {
    if (g == null) return [null];
    const full = resizeDim(g, g.ndim - 1, x.shape[x.ndim - 1]);
    return [alongLast(complexTransform, full, full.shape, full.dtype, { inverse: true }).real];
  },
  run: ([x], [y]) => {
    const n = x.shape[x.shape.length - 1];
    const m = y.shape[y.shape.length - 1];
    const row: ComplexRow = { re: new Float64Array(n), im: new Float64Array(n) };
    const [from, to] = [numbers(x.data), numbers(y.data)];
    rows(x, y, (at, out) => {
      for (let j = 0; j < n; j++) {
        row.re[j] = from[at + j];
        row.im[j] = 0;
      }
      transform(row);
      for (let k = 0; k < m; k++) {
        to[2 * (out + k)] = row.re[k];
        to[2 * (out + k) + 1] = row.im[k];
      }
    });
  },
};

/** A real row from half of its (Hermitian) spectrum: e^(+2 pi i j k / n). Imaginary parts that would not be real are ignored. */
const halfTransform: LibraryFunction<null> = {
  name: 'fft_c2r',
  vjp: ([g], [x]) => {
    if (g == null) return [null];
    const n = g.shape[g.ndim - 1];
    const spectrum = realSpectrum(g, x.shape[x.ndim - 1]);
    // Every frequency but the first (and, of an even length, the middle one) stands for its mirror image too.
    const at = iota(spectrum.shape, g.ndim - 1);
    const twice = at.mul(2).eq(dimPrim(n, at.dtype)).or(at.eq(0)).not();
    return [complexOf(twice.where(spectrum.real.mul(2), spectrum.real), twice.where(spectrum.imag.mul(2), spectrum.imag))];
  },
  run: ([x], [y]) => {
    const n = y.shape[y.shape.length - 1];
    const m = x.shape[x.shape.length - 1];
    const row: ComplexRow = { re: new Float64Array(n), im: new Float64Array(n) };
    const [from, to] = [numbers(x.data), numbers(y.data)];
    rows(x, y, (at, out) => {
      for (let k = 0; k < m; k++) {
        const real = k === 0 || 2 * k === n;
        row.re[k] = from[2 * (at + k)];
        row.im[k] = real ? 0 : from[2 * (at + k) + 1];
        if (k > 0 && !real) {
          row.re[n - k] = row.re[k];
          row.im[n - k] = -row.im[k];
        }
      }
      inverseTransform(row);
      for (let j = 0; j < n; j++) to[out + j] = row.re[j];
    });
  },
};

function alongLast<C>(fn: LibraryFunction<C>, x: Prim, shape: readonly Dim[], dtype: Prim['dtype'], constants: C): Prim {
  return callLibrary(fn, [x], [{ shape, dtype }], constants)[0];
}
const realSpectrum = (x: Prim, m: Dim): Prim => alongLast(realTransform, x, [...x.shape.slice(0, -1), m], x.dtype.complex, null);

/** Cut, or filled up with zeros, to length n. */
export function resizeDim(x: Prim, axis: number, n: Dim): Prim {
  if (dims.equal(x.shape[axis], n)) return x;
  const shape = x.shape.map((d, i) => (i === axis ? n : d));
  // Which of the two it is must be known: a program with symbols here is compiled for its numbers.
  const length = dims.toNumber(n, 'the length of a transform');
  if (length <= dims.toNumber(x.shape[axis], 'the length of a transform')) return x.slice(axis, 0, length);
  return x.pad(
    shape,
    x.shape.map(() => 0),
  );
}

/** Applies `f` with `axis` moved to the end. */
function withLast(x: Prim, axis: number, f: (y: Prim) => Prim): Prim {
  const last = x.ndim - 1;
  if (axis === last) return f(x);
  const order = [...Array(x.ndim).keys()].filter((i) => i !== axis).concat(axis);
  const back = order.map((_, i) => order.indexOf(i));
  return f(x.permute(order)).permute(back);
}

export type Norm = 'backward' | 'ortho' | 'forward';

/** Multiplies by what the normalization asks for: nothing, 1/n, or 1/sqrt(n), n being the number of points. */
function normalize(x: Prim, points: Dim, norm: Norm, inverse: boolean): Prim {
  if (norm !== 'ortho' && (norm === 'forward') === inverse) return x;
  const type = x.dtype.real;
  const n = dimPrim(points, type);
  const scale = constant(1, type).div(norm === 'ortho' ? n.sqrt() : n);
  return x.dtype.is_complex ? complexOf(x.real.mul(scale), x.imag.mul(scale)) : x.mul(scale);
}
const pointsOf = (shape: readonly Dim[], axes: readonly number[]): Dim => axes.reduce<Dim>((p, a) => dims.mul(p, shape[a]), 1);

/** Complex to complex over axes. */
export function c2c(x: Prim, axes: readonly number[], norm: Norm, inverse: boolean): Prim {
  const complex = x.cast(x.dtype.complex);
  const out = axes.reduce((y, axis) => withLast(y, axis, (z) => alongLast(complexTransform, z, z.shape, z.dtype, { inverse })), complex);
  return normalize(out, pointsOf(x.shape, axes), norm, inverse);
}
/** Real to half a spectrum along the last axis, complex along the others. With `inverse`: ihfft, the conjugate direction. */
export function r2c(x: Prim, axes: readonly number[], norm: Norm, inverse: boolean): Prim {
  const last = axes[axes.length - 1];
  const points = pointsOf(x.shape, axes);
  let out = withLast(x, last, (y) => {
    const spectrum = realSpectrum(y, halfOf(y.shape[y.ndim - 1]));
    return inverse ? spectrum.conj() : spectrum;
  });
  for (const axis of axes.slice(0, -1)) out = withLast(out, axis, (z) => alongLast(complexTransform, z, z.shape, z.dtype, { inverse }));
  return normalize(out, points, norm, inverse);
}
/** Half a spectrum to `n` real points along the last axis. Without `inverse`: hfft. */
export function c2r(x: Prim, axes: readonly number[], n: Dim, norm: Norm, inverse: boolean): Prim {
  let y = x.cast(x.dtype.complex);
  for (const axis of axes.slice(0, -1)) y = withLast(y, axis, (z) => alongLast(complexTransform, z, z.shape, z.dtype, { inverse }));
  const last = axes[axes.length - 1];
  const out = withLast(inverse ? y : y.conj(), last, (z) => alongLast(halfTransform, z, [...z.shape.slice(0, -1), n], z.dtype.real, null));
  return normalize(out, pointsOf(out.shape, axes), norm, inverse);
}
export const halfOf = (n: Dim): Dim => {
  const length = dims.toNumber(n, 'the length of a real transform');
  return Math.floor(length / 2) + 1;
};

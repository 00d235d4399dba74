/** torch.fft: https://docs.pytorch.org/docs/stable/fft.html */
import { type DType, float32, float64, getDefaultDtype } from '../dtype/dtype.ts';
import { scalarTypeName } from '../dtype/promotion.ts';
import type { Operator } from '../graph/operator.ts';
import type { Prim } from '../graph/prim.ts';
import { constantsOf, record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { castTo } from './conversion.ts';
import { tensor } from './creation.ts';
import { declare, overload } from './declare.ts';
import { shapeList, wrapDim } from './dims.ts';
import { c2c, c2r, type Norm, r2c, resizeDim } from './fft-prims.ts';
import { use } from './use.ts';

interface TransformConstants {
  readonly kind: 'c2c' | 'r2c' | 'c2r';
  readonly axes: readonly number[];
  readonly norm: Norm;
  readonly inverse: boolean;
}
/** dims: the length of each axis, as the input is cut or padded to, then for c2r the length of the result. */
const transformOperator: Operator<TransformConstants> = {
  name: 'fft',
  body: ([x], { constants: { kind, axes, norm, inverse }, dims }) => {
    const sized = axes.reduce<Prim>((y, axis, i) => resizeDim(y, axis, dims[i]), x);
    if (kind === 'c2c') return [c2c(sized, axes, norm, inverse)];
    return [kind === 'r2c' ? r2c(sized, axes, norm, inverse) : c2r(sized, axes, dims[axes.length], norm, inverse)];
  },
};

/** Float16 and bfloat16 are refused as on PyTorch's CPU; integers become the default dtype. */
function prepared(x: Tensor, realOnly: boolean, name: string): Tensor {
  if (x.dtype.is_complex) {
    if (realOnly) throw new Error(`${name} expects a real input tensor, but got ${scalarTypeName(x.dtype)}`);
    return x;
  }
  if (x.dtype === float32 || x.dtype === float64) return x;
  if (x.dtype.is_floating_point) throw new Error(`Unsupported dtype ${scalarTypeName(x.dtype)}`);
  return castTo(x, getDefaultDtype());
}

function normOf(norm: string | null): Norm {
  if (norm === null) return 'backward';
  if (norm !== 'forward' && norm !== 'backward' && norm !== 'ortho') throw new Error(`Invalid normalization mode: "${norm}"`);
  return norm;
}

interface Axes {
  readonly axes: readonly number[];
  /** Points along each axis of the full transform. */
  readonly lengths: readonly number[];
}

/** Axes and lengths of an n-dimensional transform; `half`: a missing last length is that of a real signal with this half spectrum. */
function axesOf(x: Tensor, s: readonly number[] | null, dim: readonly number[] | null, half: boolean): Axes {
  const { shape } = x.view_;
  let axes: number[];
  if (dim !== null) {
    axes = dim.map((d) => wrapDim(d, x.ndim));
    if (new Set(axes).size !== axes.length) throw new Error('FFT dims must be unique');
    if (s !== null && s.length !== axes.length) throw new Error('When given, dim and shape arguments must have the same length');
  } else {
    const count = s === null ? x.ndim : s.length;
    if (count > x.ndim) throw new Error(`Got shape with ${count} values but input tensor only has ${x.ndim} dimensions.`);
    axes = Array.from({ length: count }, (_, i) => x.ndim - count + i);
  }
  const lengths = axes.map((a, i) => {
    const given = s === null || s[i] === -1 ? null : s[i];
    return given ?? (half && i === axes.length - 1 ? 2 * (shape[a] - 1) : shape[a]);
  });
  for (const n of lengths) if (n < 1) throw new Error(`Invalid number of data points (${n}) specified`);
  return { axes, lengths };
}

function transformOf(x: Tensor, kind: TransformConstants['kind'], { axes, lengths }: Axes, norm: string | null, inverse: boolean): Tensor {
  const mode = normOf(norm);
  if (axes.length === 0) return kind === 'c2c' ? castTo(x, x.dtype.complex) : x;
  const constants = constantsOf(`fft:${kind}:${axes}:${mode}:${inverse}`, (): TransformConstants => ({ kind, axes, norm: mode, inverse }));
  // Of half a spectrum, that many frequencies are read.
  const sizes =
    kind === 'c2r' ? [...lengths.slice(0, -1), Math.floor(lengths[lengths.length - 1] / 2) + 1, lengths[lengths.length - 1]] : lengths;
  return record(transformOperator as never, [x], { constants, dims: [...sizes] })[0];
}

interface Family {
  readonly kind: TransformConstants['kind'];
  readonly inverse: boolean;
}
/** The transforms along one dim, along two, and along any. */
function family<const N extends string>(name: N, { kind, inverse }: Family) {
  const realOnly = kind === 'r2c';
  const half = kind === 'c2r';
  const url = (n: string): string => `https://docs.pytorch.org/docs/stable/generated/torch.fft.${n}.html`;
  const many = (fn: string, self: Tensor, s: readonly number[] | null, dim: readonly number[] | null, norm: string | null): Tensor => {
    const x = prepared(self, realOnly, fn);
    return transformOf(x, kind, axesOf(x, s, dim, half), norm, inverse);
  };
  return {
    one: declare(
      { doc: `Transform along one dim. ${url(name)}`, as: 'function' },
      overload(
        `fft_${name}(Tensor self, SymInt? n=None, int dim=-1, str? norm=None) -> Tensor` as const,
        ((self: Tensor, n: number | null, dim: number, norm: string | null) =>
          many(name, self, n === null ? null : [n], [dim], norm)) as never,
      ),
    ),
    two: declare(
      { doc: `Transform along two dims. ${url(`${name}2`)}`, as: 'function' },
      overload(
        `fft_${name}2(Tensor self, SymInt[1]? s=None, int[1] dim=[-2,-1], str? norm=None) -> Tensor` as const,
        ((self: Tensor, s: readonly number[] | null, dim: readonly number[], norm: string | null) =>
          many(`${name}2`, self, s, dim, norm)) as never,
      ),
    ),
    any: declare(
      { doc: `Transform along any dims. ${url(`${name}n`)}`, as: 'function' },
      overload(
        `fft_${name}n(Tensor self, SymInt[1]? s=None, int[1]? dim=None, str? norm=None) -> Tensor` as const,
        ((self: Tensor, s: readonly number[] | null, dim: readonly number[] | null, norm: string | null) =>
          many(`${name}n`, self, s, dim, norm)) as never,
      ),
    ),
  };
}

const fftFamily = family('fft', { kind: 'c2c', inverse: false });
const ifftFamily = family('ifft', { kind: 'c2c', inverse: true });
const rfftFamily = family('rfft', { kind: 'r2c', inverse: false });
const irfftFamily = family('irfft', { kind: 'c2r', inverse: true });
const hfftFamily = family('hfft', { kind: 'c2r', inverse: false });
const ihfftFamily = family('ihfft', { kind: 'r2c', inverse: true });

function shiftOf(x: Tensor, dim: readonly number[] | null, by: (n: number) => number): Tensor {
  const axes = dim === null ? [...Array(x.ndim).keys()] : dim.map((d) => wrapDim(d, x.ndim));
  if (axes.length === 0) return x;
  return use(
    'roll',
    x,
    axes.map((a) => by(x.view_.shape[a])),
    axes,
  );
}

/** k / (n d), the frequencies of a transform's bins. */
function frequencies(count: number, n: number, d: number, bin: (i: number) => number, dtype: DType | null, device: string | null): Tensor {
  if (!Number.isInteger(n) || n < 0) throw new Error(`n must be a non-negative integer, got ${shapeList([n])}`);
  const type = dtype ?? getDefaultDtype();
  const numbers = Array.from({ length: count }, (_, i) => bin(i));
  return use('mul', tensor(numbers, { dtype: type, device }), 1 / (n * d));
}

export const fftOps = {
  fft: fftFamily.one,
  fft2: fftFamily.two,
  fftn: fftFamily.any,
  ifft: ifftFamily.one,
  ifft2: ifftFamily.two,
  ifftn: ifftFamily.any,
  rfft: rfftFamily.one,
  rfft2: rfftFamily.two,
  rfftn: rfftFamily.any,
  irfft: irfftFamily.one,
  irfft2: irfftFamily.two,
  irfftn: irfftFamily.any,
  hfft: hfftFamily.one,
  hfft2: hfftFamily.two,
  hfftn: hfftFamily.any,
  ihfft: ihfftFamily.one,
  ihfft2: ihfftFamily.two,
  ihfftn: ihfftFamily.any,
  fftshift: declare(
    { doc: 'The zero frequency in the middle. https://docs.pytorch.org/docs/stable/generated/torch.fft.fftshift.html', as: 'function' },
    overload('fft_fftshift(Tensor self, int[1]? dim=None) -> Tensor', (x, dim) => shiftOf(x, dim, (n) => Math.floor(n / 2))),
  ),
  ifftshift: declare(
    { doc: 'Undoes fftshift. https://docs.pytorch.org/docs/stable/generated/torch.fft.ifftshift.html', as: 'function' },
    overload('fft_ifftshift(Tensor self, int[1]? dim=None) -> Tensor', (x, dim) => shiftOf(x, dim, (n) => Math.floor((n + 1) / 2))),
  ),
  fftfreq: declare(
    { doc: 'Frequencies of the bins. https://docs.pytorch.org/docs/stable/generated/torch.fft.fftfreq.html', as: 'function' },
    overload(
      'fft_fftfreq(int n, float d=1.0, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool requires_grad=False) -> Tensor',
      (n, d, dtype, _layout, device, requires_grad) => {
        const out = frequencies(n, n, d, (i) => (i < Math.floor((n + 1) / 2) ? i : i - n), dtype, device);
        return requires_grad ? out.requires_grad_() : out;
      },
    ),
  ),
  rfftfreq: declare(
    {
      doc: 'Frequencies of the bins of half a spectrum. https://docs.pytorch.org/docs/stable/generated/torch.fft.rfftfreq.html',
      as: 'function',
    },
    overload(
      'fft_rfftfreq(int n, float d=1.0, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool requires_grad=False) -> Tensor',
      (n, d, dtype, _layout, device, requires_grad) => {
        const out = frequencies(Math.floor(n / 2) + 1, n, d, (i) => i, dtype, device);
        return requires_grad ? out.requires_grad_() : out;
      },
    ),
  ),
};

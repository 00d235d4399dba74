/** torch.signal.windows (https://docs.pytorch.org/docs/stable/signal.html) and torch's older window functions. Computed in float64, rounded once. */
import { type DType, getDefaultDtype } from '../dtype/dtype.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { tensor } from './creation.ts';
import { declare, overload } from './declare.ts';
import { besselI0 } from './host/bessel-i0.ts';

interface WindowOptions {
  readonly dtype: DType | null;
  readonly device: string | null;
  readonly requires_grad: boolean;
}

/** `count` numbers of `at(n)`, n running to count - 1, or to count where the window is periodic. */
function windowOf(
  name: string,
  count: number,
  sym: boolean,
  { dtype, device, requires_grad }: WindowOptions,
  at: (n: number, last: number) => number,
): Tensor {
  if (count < 0) throw new Error(`${name} requires non-negative window length, got M=${count}`);
  const type = dtype ?? getDefaultDtype();
  if (!type.is_floating_point) throw new Error(`${name} expects float32 or float64 dtypes, got: ${type}`);
  const last = sym ? count - 1 : count;
  const numbers = Array.from({ length: count }, (_, n) => (count === 1 ? 1 : at(n, last)));
  const out = tensor(numbers, { dtype: type, device });
  return requires_grad ? out.requires_grad_() : out;
}

/** sum of (-1)^i a_i cos(2 pi i n / last). */
const cosines =
  (a: readonly number[]) =>
  (n: number, last: number): number =>
    a.reduce((sum, w, i) => sum + (i % 2 === 0 ? w : -w) * Math.cos((2 * Math.PI * i * n) / last), 0);
const triangle = (n: number, last: number): number => 1 - Math.abs(-1 + (2 * n) / last);
const kaiser =
  (beta: number) =>
  (n: number, last: number): number =>
    besselI0(beta * Math.sqrt(Math.max(0, 1 - (-1 + (2 * n) / last) ** 2))) / besselI0(beta);

const hann = [0.5, 0.5];
const hamming = [0.54, 0.46];
const blackman = [0.42, 0.5, 0.08];
const nuttall = [0.3635819, 0.4891775, 0.1365995, 0.0106411];

const url = (name: string): string => `https://docs.pytorch.org/docs/stable/generated/torch.signal.windows.${name}.html`;
const tail = 'bool sym=True, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool requires_grad=False';

/** A window without parameters of its own. */
const plain = <const N extends string>(name: N, at: (n: number, last: number) => number) =>
  declare(
    { doc: `The ${name} window. ${url(name)}`, as: 'function' },
    overload(
      `${name}(int M, *, ${tail}) -> Tensor` as const,
      ((M: number, sym: boolean, dtype: DType | null, _layout: unknown, device: string | null, requires_grad: boolean) =>
        windowOf(name, M, sym, { dtype, device, requires_grad }, at)) as never,
    ),
  );

export const signalWindows = {
  bartlett: plain('bartlett', triangle),
  blackman: plain('blackman', cosines(blackman)),
  cosine: plain('cosine', (n, last) => Math.sin((Math.PI * (n + 0.5)) / (last + 1))),
  hamming: plain('hamming', cosines(hamming)),
  hann: plain('hann', cosines(hann)),
  nuttall: plain('nuttall', cosines(nuttall)),
  exponential: declare(
    { doc: `exp(-|n - center| / tau). ${url('exponential')}`, as: 'function' },
    overload(
      `exponential(int M, *, float? center=None, float tau=1.0, ${tail}) -> Tensor`,
      (M, center, tau, sym, dtype, _layout, device, requires_grad) => {
        if (tau <= 0) throw new Error(`Tau must be positive, got: ${tau} instead.`);
        if (sym && center !== null) throw new Error('Center must be None for symmetric windows');
        return windowOf('exponential', M, sym, { dtype, device, requires_grad }, (n, last) =>
          Math.exp(-Math.abs(n - (center ?? last / 2)) / tau),
        );
      },
    ),
  ),
  gaussian: declare(
    { doc: `exp(-((n - middle) / std)^2 / 2). ${url('gaussian')}`, as: 'function' },
    overload(`gaussian(int M, *, float std=1.0, ${tail}) -> Tensor`, (M, std, sym, dtype, _layout, device, requires_grad) => {
      if (std <= 0) throw new Error(`Standard deviation must be positive, got: ${std} instead.`);
      return windowOf('gaussian', M, sym, { dtype, device, requires_grad }, (n, last) => Math.exp(-0.5 * ((n - last / 2) / std) ** 2));
    }),
  ),
  general_cosine: declare(
    { doc: `A sum of cosines. ${url('general_cosine')}`, as: 'function' },
    overload(`general_cosine(int M, *, float[] a, ${tail}) -> Tensor`, (M, a, sym, dtype, _layout, device, requires_grad) => {
      if (a.length === 0) throw new Error('Coefficients cannot be empty');
      return windowOf('general_cosine', M, sym, { dtype, device, requires_grad }, cosines(a));
    }),
  ),
  general_hamming: declare(
    { doc: `alpha - (1 - alpha) cos(2 pi n / last). ${url('general_hamming')}`, as: 'function' },
    overload(`general_hamming(int M, *, float alpha=0.54, ${tail}) -> Tensor`, (M, alpha, sym, dtype, _layout, device, requires_grad) =>
      windowOf('general_hamming', M, sym, { dtype, device, requires_grad }, cosines([alpha, 1 - alpha])),
    ),
  ),
  kaiser: declare(
    { doc: `The Kaiser window. ${url('kaiser')}`, as: 'function' },
    overload(`kaiser(int M, *, float beta=12.0, ${tail}) -> Tensor`, (M, beta, sym, dtype, _layout, device, requires_grad) => {
      if (beta < 0) throw new Error(`beta must be non-negative, got: ${beta} instead.`);
      return windowOf('kaiser', M, sym, { dtype, device, requires_grad }, kaiser(beta));
    }),
  ),
};

// ---- torch.hann_window and its kin: the length, and whether the window is periodic

const older = 'ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool requires_grad=False';
const torchUrl = (name: string): string => `https://docs.pytorch.org/docs/stable/generated/torch.${name}.html`;
const olderPlain = <const N extends string>(name: N, at: (n: number, last: number) => number) =>
  declare(
    { doc: `A window. ${torchUrl(name)}`, as: 'function' },
    overload(
      `${name}(int window_length, bool periodic=True, *, ${older}) -> Tensor` as const,
      ((M: number, periodic: boolean, dtype: DType | null, _layout: unknown, device: string | null, requires_grad: boolean) =>
        windowOf(name, M, !periodic, { dtype, device, requires_grad }, at)) as never,
    ),
  );

export const torchWindows = {
  bartlett_window: olderPlain('bartlett_window', triangle),
  blackman_window: olderPlain('blackman_window', cosines(blackman)),
  hann_window: olderPlain('hann_window', cosines(hann)),
  hamming_window: declare(
    { doc: `alpha - beta cos(2 pi n / last). ${torchUrl('hamming_window')}`, as: 'function' },
    overload(
      `hamming_window(int window_length, bool periodic=True, float alpha=0.54, float beta=0.46, *, ${older}) -> Tensor`,
      (M, periodic, alpha, beta, dtype, _layout, device, requires_grad) =>
        windowOf('hamming_window', M, !periodic, { dtype, device, requires_grad }, cosines([alpha, beta])),
    ),
  ),
  kaiser_window: declare(
    { doc: `The Kaiser window. ${torchUrl('kaiser_window')}`, as: 'function' },
    overload(
      `kaiser_window(int window_length, bool periodic=True, float beta=12.0, *, ${older}) -> Tensor`,
      (M, periodic, beta, dtype, _layout, device, requires_grad) =>
        windowOf('kaiser_window', M, !periodic, { dtype, device, requires_grad }, kaiser(beta)),
    ),
  ),
};

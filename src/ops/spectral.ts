/** Short-time Fourier transforms and windows: https://docs.pytorch.org/docs/stable/torch.html#spectral-ops */
import type { Operator } from '../graph/operator.ts';
import { full, iota } from '../graph/prim.ts';
import { item } from '../tensor/read.ts';
import { record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { detached, viewOf } from '../tensor/view-tensor.ts';
import { declare, overload } from './declare.ts';
import { shapeList } from './dims.ts';
import { torchWindows } from './signal.ts';
import { use } from './use.ts';

/** A window of `n` points around the given one, or ones. */
function fullWindow(name: string, window: Tensor | null, n: number, length: number, like: Tensor): Tensor {
  if (window !== null && (window.ndim !== 1 || window.view_.shape[0] !== length))
    throw new Error(
      `${name}(...): expected a 1D window tensor of size equal to win_length=${length}, but got window with size ${shapeList(window.view_.shape)}`,
    );
  const given: Tensor = window ?? use('ones', [length], { dtype: like.dtype.real, device: like.device });
  if (length === n) return given;
  const left = Math.floor((n - length) / 2);
  return use('constant_pad_nd', given, [left, n - length - left]);
}

function stftOf(
  self: Tensor,
  n: number,
  hop: number | null,
  length: number | null,
  window: Tensor | null,
  center: boolean,
  mode: string,
  normalized: boolean,
  onesided: boolean | null,
  returnComplex: boolean | null,
  align: boolean | null,
): Tensor {
  const step = hop ?? Math.floor(n / 4);
  const width = length ?? n;
  const complex = self.dtype.is_complex || (window?.dtype.is_complex ?? false);
  if (returnComplex === null && !complex)
    throw new Error(
      'stft requires the return_complex parameter be given for real inputs, and will further require that return_complex=True in a future PyTorch release.',
    );
  if (align && center) throw new Error('stft align_to_window should only be set when center = false');
  let x = self.ndim === 1 ? use('unsqueeze', self, 0) : self;
  if (x.ndim > 2) throw new Error(`stft(torch.${self.dtype.name}${shapeList(self.view_.shape)}, n_fft=${n}): expected a 1D or 2D tensor`);
  if (center) {
    const pad = Math.floor(n / 2);
    x = use('squeeze', use('nn.functional.pad', use('unsqueeze', x, 1), [pad, pad], { mode }), 1);
  }
  const size = x.view_.shape[1];
  if (n <= 0 || n > size) throw new Error(`stft: expected 0 < n_fft < ${size}, but got n_fft=${n}`);
  if (step <= 0) throw new Error(`stft: expected hop_length > 0, but got hop_length=${step}`);
  if (width <= 0 || width > n) throw new Error(`stft: expected 0 < win_length <= n_fft, but got win_length=${width}`);
  const frames = 1 + Math.floor((size - n) / step);
  const [row, stride] = x.view_.strides;
  let cut = viewOf(x, [x.view_.shape[0], frames, n], [row, step * stride, stride]);
  if (window !== null || width !== n) cut = use('mul', cut, fullWindow('stft', window, n, width, x));
  const half = onesided ?? !complex;
  if (half && complex) throw new Error('Cannot have onesided output if window or input is complex');
  const norm = normalized ? 'ortho' : null;
  const spectrum = use('transpose', use(half ? 'fft.rfft' : 'fft.fft', cut, { norm }), 1, 2);
  const out = self.ndim === 1 ? use('squeeze', spectrum, 0) : spectrum;
  return (returnComplex ?? complex) ? out : use('view_as_real', use('contiguous', out));
}

/** Frames `[batch, frames, n]` added up where they overlap. dims: hop, length of the result. */
const overlapAdd: Operator<null> = {
  name: 'overlap_add',
  body: ([frames], { dims: [hop, size] }) => {
    const [batch] = frames.shape;
    const at = iota(frames.shape, 1).mul(Number(hop)).add(iota(frames.shape, 2));
    return [full([batch, size], 0, frames.dtype).scatter(frames, [iota(frames.shape, 0), at], 'add')];
  },
};

function istftOf(
  self: Tensor,
  n: number,
  hop: number | null,
  length: number | null,
  window: Tensor | null,
  center: boolean,
  normalized: boolean,
  onesided: boolean | null,
  wanted: number | null,
  returnComplex: boolean,
): Tensor {
  const step = hop ?? Math.floor(n / 4);
  const width = length ?? n;
  if (!self.dtype.is_complex)
    throw new Error('istft requires a complex-valued input tensor matching the output from stft with return_complex=True.');
  if (self.ndim !== 2 && self.ndim !== 3) throw new Error(`istft(...): expected a tensor with 2 or 3 dimensions, but got ${self.ndim}`);
  let x = self.ndim === 2 ? use('unsqueeze', self, 0) : self;
  const bins = x.view_.shape[1];
  const half = onesided ?? bins !== n;
  if (half && bins !== Math.floor(n / 2) + 1)
    throw new Error(
      `istft(...): expected the frequency dimension (3rd to the last) of the input tensor to match n_fft / 2 + 1 when onesided=True, but got ${bins}`,
    );
  if (!half && bins !== n)
    throw new Error(
      `istft(...): expected the frequency dimension (3rd to the last) of the input tensor to match n_fft when onesided=False, but got ${bins}`,
    );
  if (step <= 0 || step > width) throw new Error(`istft(...): expected 0 < hop_length <= win_length`);
  if (width <= 0 || width > n) throw new Error(`istft(...): expected 0 < win_length <= n_fft`);
  if (returnComplex && half) throw new Error('cannot have onesided output if window or input is complex');
  const frames = x.view_.shape[2];
  const points = fullWindow('istft', window, n, width, x);
  x = use('transpose', x, 1, 2);
  const norm = normalized ? 'ortho' : null;
  let signal: Tensor;
  if (half) signal = use('fft.irfft', x, { n, norm });
  else if (returnComplex) signal = use('fft.ifft', x, { norm });
  else signal = use('fft.irfft', use('narrow', x, -1, 0, Math.floor(n / 2) + 1), { n, norm });
  const size = n + step * (frames - 1);
  const add = (t: Tensor): Tensor => record(overlapAdd as never, [t], { dims: [step, size] })[0];
  const sum = add(use('mul', signal, points));
  const weights = add(use('expand', use('mul', points, points), [1, frames, n]));
  const start = center ? Math.floor(n / 2) : 0;
  const end = wanted !== null ? start + wanted : center ? size - Math.floor(n / 2) : size;
  const cut = (t: Tensor): Tensor => use('narrow', t, 1, start, Math.min(end, size) - start);
  const least = cut(weights);
  if ((item(detached(use('amin', use('abs', least)))) as number) < 1e-11) throw new Error(`istft(...): window overlap add min: 1`);
  let out = use('div', cut(sum), least);
  if (end > size) out = use('constant_pad_nd', out, [0, end - size]);
  return self.ndim === 2 ? use('squeeze', out, 0) : out;
}

export const spectral = {
  ...torchWindows,
  stft: declare(
    { doc: 'Short-time Fourier transform. https://docs.pytorch.org/docs/stable/generated/torch.stft.html' },
    overload(
      'stft.center(Tensor self, int n_fft, int? hop_length=None, int? win_length=None, Tensor? window=None, bool center=True, str pad_mode="reflect", bool normalized=False, bool? onesided=None, bool? return_complex=None, bool? align_to_window=None) -> Tensor',
      stftOf,
    ),
  ),
  istft: declare(
    { doc: 'Inverse of stft. https://docs.pytorch.org/docs/stable/generated/torch.istft.html' },
    overload(
      'istft(Tensor self, int n_fft, int? hop_length=None, int? win_length=None, Tensor? window=None, bool center=True, bool normalized=False, bool? onesided=None, int? length=None, bool return_complex=False) -> Tensor',
      istftOf,
    ),
  ),
};

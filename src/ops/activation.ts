/** Activations: https://docs.pytorch.org/docs/stable/nn.functional.html#non-linear-activation-functions */
import { decode, encodeInto, makeArray, type StorageArray, viewBytes } from '../dtype/codec.ts';
import { type DType, finfo } from '../dtype/dtype.ts';
import { scalarTypeName } from '../dtype/promotion.ts';
import { exponential, uniform53 } from '../random/cpu-streams.ts';
import { defaultGenerator, type Generator } from '../random/generator.ts';
import { toTypedArray } from '../tensor/read.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { detached } from '../tensor/view-tensor.ts';
import { writeInto } from '../tensor/write.ts';
import {
  eluCall,
  geluCall,
  gluCall,
  hardshrinkCall,
  hardsigmoidCall,
  hardswishCall,
  hardtanhOf,
  leakyReluCall,
  logSigmoidCall,
  mishCall,
  preluCall,
  reluOf,
  requireFloating,
  siluCall,
  softplusCall,
  softshrinkCall,
  thresholdOf,
} from './activation-bodies.ts';
import { fromBytes } from './creation.ts';
import { declare, overload } from './declare.ts';
import { wrapDim } from './dims.ts';
import { maybeInplace } from './inplace.ts';
import { type ScalarArgument, scalarValue } from './scalar-argument.ts';
import { reshapeTo } from './shape.ts';
import { use } from './use.ts';

const page = (name: string): string => `https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.${name}.html`;

const seluAlpha = 1.6732632423543772;
const seluScale = 1.0507009873554805;
const selu = (x: Tensor): Tensor => eluCall([x, seluAlpha * seluScale, seluScale, 1]);
const elu = (x: Tensor, alpha: ScalarArgument): Tensor => eluCall([x, alpha, 1, 1]);
function celu(x: Tensor, alpha: ScalarArgument): Tensor {
  const a = Number(scalarValue(alpha));
  if (a === 0) throw new Error('ZeroDivisionError: alpha cannot be 0 for CELU');
  return eluCall([x, a, 1, 1 / a]);
}

function softshrink(x: Tensor, lambda: ScalarArgument): Tensor {
  requireFloating('softshrink_check', x.dtype);
  const value = Number(scalarValue(lambda));
  const { max } = finfo(x.dtype);
  if (!(value >= 0 && value <= max))
    throw new Error(
      `lambda must be in range [0, ${Number(max.toPrecision(6))}] for input dtype ${scalarTypeName(x.dtype)}, but found ${value}`,
    );
  return softshrinkCall([x, value]);
}

export function preluOf(x: Tensor, weight: Tensor): Tensor {
  if (x.dtype !== weight.dtype)
    throw new Error(`prelu: Type promoting not supported. Got ${scalarTypeName(x.dtype)} and ${scalarTypeName(weight.dtype)}`);
  const count = weight.view_.numel;
  if (count !== 1) {
    if (x.ndim === 0) throw new Error('Not allow zero-dim input tensor.');
    const channels = x.ndim > 1 ? x.view_.shape[1] : 1;
    if (channels !== count)
      throw new Error(
        `Mismatch of parameter numbers and input channel size. Found parameter numbers = ${count} and channel size = ${channels}.`,
      );
  }
  if (weight.ndim > 1) throw new Error(`prelu: Expected \`weight\` to be a scalar or 1D tensor, but got: ndim = ${weight.ndim}`);
  const shape = x.view_.shape.map((_, i) => (i === 1 ? count : 1));
  return preluCall([x, x.ndim === 1 ? weight : reshapeTo(weight, count === 1 ? x.view_.shape.map(() => 1) : shape)]);
}

/**
 * Training: each element that is not positive is scaled by its own uniform in [lower, upper). How many are drawn depends on the data, so
 * the input is read at the call.
 */
function rreluOf(x: Tensor, lower: ScalarArgument, upper: ScalarArgument, training: boolean, generator: Generator | null): Tensor {
  const low = Number(scalarValue(lower));
  const high = Number(scalarValue(upper));
  requireFloating(training ? 'rrelu_with_noise_out_cpu' : 'leaky_relu_cpu', x.dtype);
  if (low > high) throw new Error('Lower bound should be less than or equal to the upper bound');
  if (!training) return leakyReluCall([x, (low + high) / 2]);
  const gen = generator ?? defaultGenerator;
  const data = toTypedArray(detached(x));
  const noise = makeArray(x.dtype, x.view_.numel);
  for (let i = 0; i < x.view_.numel; i++) {
    const draws = (decode(x.dtype, data, i) as number) <= 0;
    encodeInto(x.dtype, noise, i, draws ? uniform53(gen) * (high - low) + low : 1);
  }
  return preluCall([x, fromBytes(viewBytes(noise), x.view_.shape, x.dtype, x.device)]);
}

export function gluOf(x: Tensor, dim: number): Tensor {
  if (x.ndim === 0) throw new Error('glu does not support scalars because halving size must be even');
  const axis = wrapDim(dim, x.ndim);
  const size = x.view_.shape[axis];
  if (size % 2 !== 0) throw new Error(`Halving dimension must be even, but dimension ${axis} is size ${size}`);
  const [a, b] = [0, size / 2].map((start) => use('narrow', x, axis, start, size / 2));
  return gluCall([a, b]);
}

/** Where `softmax` and its relatives of `nn.functional` are given no dim: PyTorch's old choice. */
export const implicitDim = (ndim: number): number => (ndim === 0 || ndim === 1 || ndim === 3 ? 0 : 1);

function exponentialLike(x: Tensor): Tensor {
  const dtype: DType = x.dtype;
  const array: StorageArray = makeArray(dtype, x.view_.numel);
  exponential(defaultGenerator, dtype, array);
  return fromBytes(viewBytes(array), x.view_.shape, dtype, x.device);
}

/** Samples of softmax((logits + g) / tau) with g from Gumbel(0, 1); with `hard`, one-hot in the forward pass only. */
function gumbelSoftmax(logits: Tensor, tau: number, hard: boolean, dim: number): Tensor {
  requireFloating('exponential_', logits.dtype);
  const noise = use('neg', use('log', exponentialLike(logits)));
  const soft = use('softmax', use('div', use('add', logits, noise), tau), dim);
  if (!hard) return soft;
  const axis = wrapDim(dim, soft.ndim);
  const index = use('argmax', detached(soft), axis, true);
  const hot = use('scatter', use('zeros_like', detached(logits)), axis, index, 1);
  return use('add', use('sub', hot, detached(soft)), soft);
}

/** Of `torch`; `nn.functional` has its own signatures for those that take `inplace` there. */
export const torchActivations = {
  celu: declare(
    { doc: `max(0, x) + min(0, alpha (exp(x / alpha) - 1)). ${page('celu')}`, as: 'function' },
    overload('celu(Tensor self, Scalar alpha=1.) -> Tensor', (x, alpha) => celu(x, alpha)),
  ),
  celu_: declare(
    { doc: 'celu in place.', as: 'function' },
    overload('celu_(Tensor self, Scalar alpha=1.) -> Tensor', (x, alpha) => writeInto(x, () => celu(x, alpha))),
  ),
  selu: declare(
    { doc: `Scaled exponential linear unit. ${page('selu')}`, as: 'function' },
    overload('selu(Tensor self) -> Tensor', (x) => selu(x)),
  ),
  selu_: declare(
    { doc: 'selu in place.', as: 'function' },
    overload('selu_(Tensor self) -> Tensor', (x) => writeInto(x, () => selu(x))),
  ),
  relu_: declare(
    { doc: 'relu in place.', as: 'function' },
    overload('relu_(Tensor self) -> Tensor', (x) => writeInto(x, () => reluOf(x))),
  ),
  prelu: declare(
    { doc: `max(0, x) + weight min(0, x), one weight a channel. ${page('prelu')}`, functional: true },
    overload('prelu(Tensor self, Tensor weight) -> Tensor', (x, weight) => preluOf(x, weight)),
  ),
  rrelu: declare(
    { doc: `Leaky relu with a random slope. ${page('rrelu')}`, as: 'function' },
    overload(
      'rrelu(Tensor self, Scalar lower=0.125, Scalar upper=0.3333333333333333, bool training=False, Generator? generator=None) -> Tensor',
      (x, lower, upper, training, generator) => rreluOf(x, lower, upper, training, generator),
    ),
  ),
  rrelu_: declare(
    { doc: 'rrelu in place.', as: 'function' },
    overload(
      'rrelu_(Tensor self, Scalar lower=0.125, Scalar upper=0.3333333333333333, bool training=False, Generator? generator=None) -> Tensor',
      (x, lower, upper, training, generator) => writeInto(x, () => rreluOf(x, lower, upper, training, generator)),
    ),
  ),
  hardshrink: declare(
    { doc: `x, or 0 where |x| <= lambd. ${page('hardshrink')}`, functional: true },
    overload('hardshrink(Tensor self, Scalar lambd=0.5) -> Tensor', (x, lambda) => hardshrinkCall([x, lambda])),
  ),
  threshold: declare(
    { doc: `x where it is above the threshold, else value. ${page('threshold')}`, as: 'function' },
    overload('threshold(Tensor self, Scalar threshold, Scalar value) -> Tensor', (x, threshold, value) => thresholdOf(x, threshold, value)),
  ),
  threshold_: declare(
    { doc: 'threshold in place.', as: 'function' },
    overload('threshold_(Tensor self, Scalar threshold, Scalar value) -> Tensor', (x, threshold, value) =>
      writeInto(x, () => thresholdOf(x, threshold, value)),
    ),
  ),
};

/** Of `nn.functional`. */
export const activations = {
  gelu: declare(
    { doc: `Gaussian error linear unit, exact or with the tanh approximation. ${page('gelu')}`, as: 'function' },
    overload('gelu(Tensor input, *, str approximate="none") -> Tensor', (x, approximate) => {
      if (approximate !== 'none' && approximate !== 'tanh') throw new Error('approximate argument must be either none or tanh.');
      return geluCall([x], approximate, approximate);
    }),
  ),
  threshold: declare(
    { doc: `x where it is above the threshold, else value. ${page('threshold')}`, as: 'function' },
    overload('threshold(Tensor input, Scalar threshold, Scalar value, bool inplace=False) -> Tensor', (x, threshold, value, inplace) =>
      maybeInplace(x, inplace, () => thresholdOf(x, threshold, value)),
    ),
  ),
  threshold_: declare(
    { doc: 'threshold in place.', as: 'function' },
    overload('threshold_(Tensor input, Scalar threshold, Scalar value) -> Tensor', (x, threshold, value) =>
      writeInto(x, () => thresholdOf(x, threshold, value)),
    ),
  ),
  relu: declare(
    { doc: `max(0, x). ${page('relu')}`, as: 'function' },
    overload('relu(Tensor input, bool inplace=False) -> Tensor', (x, inplace) => maybeInplace(x, inplace, () => reluOf(x))),
  ),
  relu_: declare(
    { doc: 'relu in place.', as: 'function' },
    overload('relu_(Tensor input) -> Tensor', (x) => writeInto(x, () => reluOf(x))),
  ),
  relu6: declare(
    { doc: `min(max(0, x), 6). ${page('relu6')}`, as: 'function' },
    overload('relu6(Tensor input, bool inplace=False) -> Tensor', (x, inplace) => maybeInplace(x, inplace, () => hardtanhOf(x, 0, 6))),
  ),
  elu: declare(
    { doc: `max(0, x) + min(0, alpha (exp(x) - 1)). ${page('elu')}`, as: 'function' },
    overload('elu(Tensor input, Scalar alpha=1.0, bool inplace=False) -> Tensor', (x, alpha, inplace) =>
      maybeInplace(x, inplace, () => elu(x, alpha)),
    ),
  ),
  elu_: declare(
    { doc: 'elu in place.', as: 'function' },
    overload('elu_(Tensor input, Scalar alpha=1.0) -> Tensor', (x, alpha) => writeInto(x, () => elu(x, alpha))),
  ),
  celu: declare(
    { doc: `max(0, x) + min(0, alpha (exp(x / alpha) - 1)). ${page('celu')}`, as: 'function' },
    overload('celu(Tensor input, Scalar alpha=1.0, bool inplace=False) -> Tensor', (x, alpha, inplace) =>
      maybeInplace(x, inplace, () => celu(x, alpha)),
    ),
  ),
  celu_: declare(
    { doc: 'celu in place.', as: 'function' },
    overload('celu_(Tensor input, Scalar alpha=1.0) -> Tensor', (x, alpha) => writeInto(x, () => celu(x, alpha))),
  ),
  selu: declare(
    { doc: `Scaled exponential linear unit. ${page('selu')}`, as: 'function' },
    overload('selu(Tensor input, bool inplace=False) -> Tensor', (x, inplace) => maybeInplace(x, inplace, () => selu(x))),
  ),
  selu_: declare(
    { doc: 'selu in place.', as: 'function' },
    overload('selu_(Tensor input) -> Tensor', (x) => writeInto(x, () => selu(x))),
  ),
  leaky_relu: declare(
    { doc: `max(0, x) + negative_slope min(0, x). ${page('leaky_relu')}`, as: 'function' },
    overload('leaky_relu(Tensor input, Scalar negative_slope=0.01, bool inplace=False) -> Tensor', (x, slope, inplace) =>
      maybeInplace(x, inplace, () => leakyReluCall([x, slope])),
    ),
  ),
  leaky_relu_: declare(
    { doc: 'leaky_relu in place.', as: 'function' },
    overload('leaky_relu_(Tensor input, Scalar negative_slope=0.01) -> Tensor', (x, slope) =>
      writeInto(x, () => leakyReluCall([x, slope])),
    ),
  ),
  rrelu: declare(
    { doc: `Leaky relu with a random slope. ${page('rrelu')}`, as: 'function' },
    overload(
      'rrelu(Tensor input, Scalar lower=0.125, Scalar upper=0.3333333333333333, bool training=False, bool inplace=False) -> Tensor',
      (x, lower, upper, training, inplace) => maybeInplace(x, inplace, () => rreluOf(x, lower, upper, training, null)),
    ),
  ),
  rrelu_: declare(
    { doc: 'rrelu in place.', as: 'function' },
    overload(
      'rrelu_(Tensor input, Scalar lower=0.125, Scalar upper=0.3333333333333333, bool training=False) -> Tensor',
      (x, lower, upper, training) => writeInto(x, () => rreluOf(x, lower, upper, training, null)),
    ),
  ),
  glu: declare(
    { doc: `a sigmoid(b) of the halves a and b of the input. ${page('glu')}`, as: 'function' },
    overload('glu(Tensor input, int dim=-1) -> Tensor', (x, dim) => gluOf(x, dim)),
  ),
  logsigmoid: declare(
    { doc: `log(1 / (1 + exp(-x))). ${page('logsigmoid')}`, as: 'function' },
    overload('logsigmoid(Tensor input) -> Tensor', (x) => logSigmoidCall([x])),
  ),
  hardsigmoid: declare(
    { doc: `min(max(x + 3, 0), 6) / 6. ${page('hardsigmoid')}`, as: 'function' },
    overload('hardsigmoid(Tensor input, bool inplace=False) -> Tensor', (x, inplace) =>
      maybeInplace(x, inplace, () => hardsigmoidCall([x])),
    ),
  ),
  hardswish: declare(
    { doc: `x hardsigmoid(x). ${page('hardswish')}`, as: 'function' },
    overload('hardswish(Tensor input, bool inplace=False) -> Tensor', (x, inplace) => maybeInplace(x, inplace, () => hardswishCall([x]))),
  ),
  hardtanh: declare(
    { doc: `x clamped to [min_val, max_val]. ${page('hardtanh')}`, as: 'function' },
    overload('hardtanh(Tensor input, Scalar min_val=-1.0, Scalar max_val=1.0, bool inplace=False) -> Tensor', (x, low, high, inplace) => {
      if (scalarValue(low) > scalarValue(high)) throw new Error('min_val cannot be greater than max_val');
      return maybeInplace(x, inplace, () => hardtanhOf(x, low, high));
    }),
  ),
  hardtanh_: declare(
    { doc: 'hardtanh in place.', as: 'function' },
    overload('hardtanh_(Tensor input, Scalar min_val=-1.0, Scalar max_val=1.0) -> Tensor', (x, low, high) =>
      writeInto(x, () => hardtanhOf(x, low, high)),
    ),
  ),
  mish: declare(
    { doc: `x tanh(softplus(x)). ${page('mish')}`, as: 'function' },
    overload('mish(Tensor input, bool inplace=False) -> Tensor', (x, inplace) => maybeInplace(x, inplace, () => mishCall([x]))),
  ),
  silu: declare(
    { doc: `x sigmoid(x). ${page('silu')}`, as: 'function' },
    overload('silu(Tensor input, bool inplace=False) -> Tensor', (x, inplace) => maybeInplace(x, inplace, () => siluCall([x]))),
  ),
  softplus: declare(
    { doc: `log(1 + exp(beta x)) / beta, and x itself beyond the threshold. ${page('softplus')}`, as: 'function' },
    overload('softplus(Tensor input, Scalar beta=1, Scalar threshold=20) -> Tensor', (x, beta, threshold) =>
      softplusCall([x, beta, threshold]),
    ),
  ),
  softshrink: declare(
    { doc: `x moved towards zero by lambd. ${page('softshrink')}`, as: 'function' },
    overload('softshrink(Tensor input, Scalar lambd=0.5) -> Tensor', (x, lambda) => softshrink(x, lambda)),
  ),
  softsign: declare(
    { doc: `x / (1 + |x|). ${page('softsign')}`, as: 'function' },
    overload('softsign(Tensor input) -> Tensor', (x) => use('div', x, use('add', use('abs', x), 1))),
  ),
  tanhshrink: declare(
    { doc: `x - tanh(x). ${page('tanhshrink')}`, as: 'function' },
    overload('tanhshrink(Tensor input) -> Tensor', (x) => use('sub', x, use('tanh', x))),
  ),
  softmin: declare(
    { doc: `softmax(-x). ${page('softmin')}`, as: 'function' },
    overload('softmin(Tensor input, int? dim=None, int _stacklevel=3, *, ScalarType? dtype=None) -> Tensor', (x, dim, _stacklevel, dtype) =>
      use('softmax', use('neg', x), dim ?? implicitDim(x.ndim), dtype),
    ),
  ),
  gumbel_softmax: declare(
    { doc: `Samples of a relaxed categorical distribution. ${page('gumbel_softmax')}`, as: 'function' },
    overload(
      'gumbel_softmax(Tensor logits, float tau=1, bool hard=False, float eps=1e-10, int dim=-1) -> Tensor',
      (logits, tau, hard, _eps, dim) => gumbelSoftmax(logits, tau, hard, dim),
    ),
  ),
};

/** torch.nn.init: fills in place, with PyTorch's CPU streams, drawn on the host whatever the device. https://docs.pytorch.org/docs/stable/nn.init.html */
import { no_grad } from '../autograd/modes.ts';
import { makeArray, type StorageArray, viewBytes } from '../dtype/codec.ts';
import { type DType, float64, int64 } from '../dtype/dtype.ts';
import { tensor as coreTensor, fromBytes } from '../ops/creation.ts';
import { linalg, type Tensor, torchFunctions } from '../ops/methods.ts';
import * as streams from '../random/cpu-streams.ts';
import { defaultGenerator, type Generator } from '../random/generator.ts';

const tensor = (...args: Parameters<typeof coreTensor>): Tensor => coreTensor(...args) as Tensor;

function fillHost(t: Tensor, fill: (dtype: DType, out: StorageArray) => void): Tensor {
  const array = makeArray(t.dtype, t.numel());
  fill(t.dtype, array);
  const drawn = fromBytes(viewBytes(array), t.shape, t.dtype, t.device) as Tensor;
  return no_grad(() => t.copy_(drawn));
}

export const normal_ = (t: Tensor, mean = 0, std = 1, generator: Generator = defaultGenerator): Tensor =>
  fillHost(t, (dtype, out) => streams.normal(generator, dtype, out, mean, std, t.is_contiguous()));
export const uniform_ = (t: Tensor, a = 0, b = 1, generator: Generator = defaultGenerator): Tensor =>
  fillHost(t, (dtype, out) => streams.uniform(generator, dtype, out, a, b));
export const constant_ = (t: Tensor, value: number): Tensor => no_grad(() => t.fill_(value));
export const zeros_ = (t: Tensor): Tensor => constant_(t, 0);
export const ones_ = (t: Tensor): Tensor => constant_(t, 1);

export type Nonlinearity = 'linear' | 'sigmoid' | 'tanh' | 'relu' | 'leaky_relu' | 'selu';

export function calculate_gain(nonlinearity: Nonlinearity, param = 0.01): number {
  switch (nonlinearity) {
    case 'linear':
    case 'sigmoid':
      return 1;
    case 'tanh':
      return 5 / 3;
    case 'relu':
      return Math.SQRT2;
    case 'leaky_relu':
      return Math.sqrt(2 / (1 + param ** 2));
    case 'selu':
      return 3 / 4;
    default:
      throw new Error(`Unsupported nonlinearity ${String(nonlinearity satisfies never)}`);
  }
}

export interface KaimingOptions {
  readonly a?: number;
  readonly mode?: 'fan_in' | 'fan_out';
  readonly nonlinearity?: Nonlinearity;
  readonly generator?: Generator;
}

/** gain / sqrt(fan): the deviation that keeps the size of activations, or of gradients. */
function kaimingStd(t: Tensor, { a = 0, mode = 'fan_in', nonlinearity = 'leaky_relu' }: KaimingOptions): number {
  if (mode !== 'fan_in' && mode !== 'fan_out')
    throw new Error(`Mode ${String(mode)} not supported, please use one of ['fan_in', 'fan_out']`);
  const [fanIn, fanOut] = fansOf(t);
  return calculate_gain(nonlinearity, a) / Math.sqrt(mode === 'fan_in' ? fanIn : fanOut);
}
/** https://docs.pytorch.org/docs/stable/nn.init.html#torch.nn.init.kaiming_uniform_ */
export function kaiming_uniform_(t: Tensor, options: KaimingOptions = {}): Tensor {
  const bound = Math.sqrt(3) * kaimingStd(t, options);
  return uniform_(t, -bound, bound, options.generator);
}
/** https://docs.pytorch.org/docs/stable/nn.init.html#torch.nn.init.kaiming_normal_ */
export function kaiming_normal_(t: Tensor, options: KaimingOptions = {}): Tensor {
  return normal_(t, 0, kaimingStd(t, options), options.generator);
}

/** Inputs and outputs of one element of the other dim: what the spread of initial weights is made of. */
function fansOf(t: Tensor): readonly [fanIn: number, fanOut: number] {
  const { shape } = t;
  if (shape.length < 2) throw new Error('Fan in and fan out can not be computed for tensor with fewer than 2 dimensions');
  const field = shape.slice(2).reduce((n, d) => n * d, 1);
  return [shape[1] * field, shape[0] * field];
}
/** https://docs.pytorch.org/docs/stable/nn.init.html#torch.nn.init.xavier_uniform_ */
export function xavier_uniform_(t: Tensor, gain = 1, generator: Generator = defaultGenerator): Tensor {
  const [fanIn, fanOut] = fansOf(t);
  const bound = Math.sqrt(3) * gain * Math.sqrt(2 / (fanIn + fanOut));
  return uniform_(t, -bound, bound, generator);
}
/** https://docs.pytorch.org/docs/stable/nn.init.html#torch.nn.init.xavier_normal_ */
export function xavier_normal_(t: Tensor, gain = 1, generator: Generator = defaultGenerator): Tensor {
  const [fanIn, fanOut] = fansOf(t);
  return normal_(t, 0, gain * Math.sqrt(2 / (fanIn + fanOut)), generator);
}

/** A normal distribution cut off at a and b, drawn by inverting its distribution function. https://docs.pytorch.org/docs/stable/nn.init.html#torch.nn.init.trunc_normal_ */
export function trunc_normal_(t: Tensor, mean = 0, std = 1, a = -2, b = 2, generator: Generator = defaultGenerator): Tensor {
  const share = (x: number): number => (1 + erf(x / Math.SQRT2)) / 2;
  const low = share((a - mean) / std);
  const high = share((b - mean) / std);
  return no_grad(() => {
    uniform_(t, 2 * low - 1, 2 * high - 1, generator);
    t.erfinv_();
    t.mul_(std * Math.SQRT2);
    t.add_(mean);
    return t.clamp_({ min: a, max: b }) as Tensor;
  });
}
const erf = (x: number): number => Number(torchFunctions.erf(torchFunctions.full([], x, { dtype: float64 })).item());

/** Ones on the diagonal of a matrix. */
export function eye_(t: Tensor): Tensor {
  if (t.dim() !== 2) throw new Error('Only tensors with 2 dimensions are supported');
  return no_grad(() => t.copy_(torchFunctions.eye(t.size(0), t.size(1), { dtype: t.dtype, device: t.device })));
}

/** A convolution kernel that hands its input channels on, in each group. https://docs.pytorch.org/docs/stable/nn.init.html#torch.nn.init.dirac_ */
export function dirac_(t: Tensor, groups = 1): Tensor {
  const { shape } = t;
  if (shape.length < 3 || shape.length > 5) throw new Error('Only tensors with 3, 4, or 5 dimensions are supported');
  if (shape[0] % groups !== 0) throw new Error('dim 0 must be divisible by groups');
  const perGroup = shape[0] / groups;
  const array = new Float64Array(t.numel());
  const field = shape.slice(2);
  const middle = field.reduce((at, d) => at * d + Math.floor(d / 2), 0);
  const cells = field.reduce((n, d) => n * d, 1);
  for (let g = 0; g < groups; g++)
    for (let d = 0; d < Math.min(perGroup, shape[1]); d++) array[((g * perGroup + d) * shape[1] + d) * cells + middle] = 1;
  return no_grad(() => t.copy_(tensor(array).reshape(shape) as Tensor));
}

/** A matrix (over all dims but the first) with orthonormal rows or columns, times gain. https://docs.pytorch.org/docs/stable/nn.init.html#torch.nn.init.orthogonal_ */
export function orthogonal_(t: Tensor, gain = 1, generator: Generator = defaultGenerator): Tensor {
  if (t.dim() < 2) throw new Error('Only tensors with 2 or more dimensions are supported');
  if (t.numel() === 0) return t;
  const rows = t.size(0);
  const columns = t.numel() / rows;
  return no_grad(() => {
    const flat = normal_(torchFunctions.empty([rows, columns], { dtype: t.dtype, device: t.device }), 0, 1, generator);
    const [q, r] = linalg.qr((rows < columns ? flat.t() : flat) as Tensor) as readonly Tensor[];
    const signed = q.mul(torchFunctions.diag(r).sign()) as Tensor;
    t.copy_((rows < columns ? signed.t() : signed).reshape(t.shape) as Tensor);
    return t.mul_(gain) as Tensor;
  });
}

/** Columns with a share of zeros, the rest normal. https://docs.pytorch.org/docs/stable/nn.init.html#torch.nn.init.sparse_ */
export function sparse_(t: Tensor, sparsity: number, std = 0.01, generator: Generator = defaultGenerator): Tensor {
  if (t.dim() !== 2) throw new Error('Only tensors with 2 dimensions are supported');
  const [rows, columns] = t.shape;
  const zeros = Math.ceil(sparsity * rows);
  normal_(t, 0, std, generator);
  const mask = new Float64Array(rows * columns).fill(1);
  for (let column = 0; column < columns; column++) {
    const order = new BigInt64Array(rows);
    // PyTorch draws these from the global generator.
    streams.randperm(defaultGenerator, int64, order);
    for (const row of order.subarray(0, zeros)) mask[Number(row) * columns + column] = 0;
  }
  return no_grad(() => t.mul_(tensor(mask, { dtype: t.dtype, device: t.device }).view(rows, columns) as Tensor) as Tensor);
}

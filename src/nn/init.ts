/** torch.nn.init: fills in place, with PyTorch's CPU streams, drawn on the host whatever the device. https://docs.pytorch.org/docs/stable/nn.init.html */
import { no_grad } from '../autograd/modes.ts';
import { makeArray, type StorageArray, viewBytes } from '../dtype/codec.ts';
import type { DType } from '../dtype/dtype.ts';
import { fromBytes } from '../ops/creation.ts';
import type { Tensor } from '../ops/methods.ts';
import * as streams from '../random/cpu-streams.ts';
import { defaultGenerator, type Generator } from '../random/generator.ts';

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

export function kaiming_uniform_(t: Tensor, options: KaimingOptions = {}): Tensor {
  const { a = 0, mode = 'fan_in', nonlinearity = 'leaky_relu', generator = defaultGenerator } = options;
  const shape = t.shape;
  if (shape.length < 2) throw new Error('Fan in and fan out can not be computed for tensor with fewer than 2 dimensions');
  const field = shape.slice(2).reduce((n, d) => n * d, 1);
  const fan = (mode === 'fan_in' ? shape[1] : shape[0]) * field;
  const std = calculate_gain(nonlinearity, a) / Math.sqrt(fan);
  const bound = Math.sqrt(3) * std;
  return uniform_(t, -bound, bound, generator);
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

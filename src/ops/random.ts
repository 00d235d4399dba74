/** Random operators on the CPU generator. A draw happens at the call: its numbers are PyTorch's, in the order of the calls. */
import { viewBytes } from '../dtype/codec.ts';
import { int64 } from '../dtype/dtype.ts';
import { defaultGenerator, type Generator } from '../random/generator.ts';
import { multinomial } from '../random/multinomial.ts';
import { toTypedArray } from '../tensor/read.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { detached } from '../tensor/view-tensor.ts';
import { fromBytes } from './creation.ts';

/**
 * Indices drawn from rows of weights (float32 or float64, shape [n] or [rows, n]); result int64, [samples] or [rows, samples].
 * https://docs.pytorch.org/docs/stable/generated/torch.multinomial.html
 */
export function drawMultinomial(input: Tensor, num_samples: number, replacement = false, options: { generator?: Generator } = {}): Tensor {
  if (input.ndim !== 1 && input.ndim !== 2) throw new Error('prob_dist must be 1 or 2 dim');
  if (!input.dtype.is_floating_point)
    throw new Error(`multinomial only supports floating-point dtypes for input, got: ${input.dtype.kind === 'bool' ? 'Bool' : 'Long'}`);
  if (num_samples <= 0) throw new Error('cannot sample n_sample <= 0 samples');
  const categories = input.view_.shape[input.ndim - 1];
  if (!replacement && num_samples > categories) throw new Error('cannot sample n_sample > prob_dist.size(-1) samples without replacement');
  const weights = toTypedArray(detached(input));
  const drawn = multinomial(options.generator ?? defaultGenerator, input.dtype, weights, categories, num_samples, replacement);
  return fromBytes(viewBytes(drawn), input.ndim === 1 ? [num_samples] : [input.view_.shape[0], num_samples], int64, input.device);
}

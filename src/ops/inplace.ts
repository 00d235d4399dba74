/** In-place forms that are functions: `relu_(x)`, and the `inplace` option of `nn.functional`. */
import type { Tensor } from '../tensor/tensor.ts';
import { writeInto } from '../tensor/write.ts';

/** The result, or with `inplace` the input that now holds it. */
export function maybeInplace(x: Tensor, inplace: boolean, compute: () => Tensor): Tensor {
  return inplace ? writeInto(x, compute) : compute();
}

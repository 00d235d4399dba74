/** `torch.autograd.gradcheck` and `gradgradcheck`, with the operators they need. */
import { makeGradcheck } from '../autograd/gradcheck.ts';
import { viewBytes } from '../dtype/codec.ts';
import { complex128, type DType, float64 } from '../dtype/dtype.ts';
import { normal } from '../random/cpu-streams.ts';
import { defaultGenerator } from '../random/generator.ts';
import { toTypedArray } from '../tensor/read.ts';
import { Tensor } from '../tensor/tensor.ts';
import { detached } from '../tensor/view-tensor.ts';
import { castTo } from './conversion.ts';
import { fromBytes } from './creation.ts';

const inDouble = (t: Tensor): DType => (t.dtype.is_complex ? complex128 : float64);
const made = (values: Float64Array, shape: readonly number[], like: Tensor): Tensor =>
  castTo(fromBytes(viewBytes(values), shape, inDouble(like), like.device), like.dtype);

export const { gradcheck, gradgradcheck } = makeGradcheck({
  make: (values, like, requires_grad) => {
    const out = made(values, like.view_.shape, like);
    return requires_grad ? out.requires_grad_() : out;
  },
  read: (t) => Float64Array.from(toTypedArray(castTo(detached(t), inDouble(t))) as Float64Array),
  randn: (shape, like) => {
    const n = shape.reduce((p, d) => p * d, 1) * (like.dtype.is_complex ? 2 : 1);
    const values = new Float64Array(n);
    normal(defaultGenerator, float64, values);
    return made(values, shape, like).requires_grad_();
  },
  isTensor: (x): x is Tensor => x instanceof Tensor,
});

/** `torch.autograd.gradcheck` and `gradgradcheck`, with the operators they need. */
import { makeGradcheck } from '../autograd/gradcheck.ts';
import { viewBytes } from '../dtype/codec.ts';
import { float64 } from '../dtype/dtype.ts';
import { normal } from '../random/cpu-streams.ts';
import { defaultGenerator } from '../random/generator.ts';
import { toTypedArray } from '../tensor/read.ts';
import { Tensor } from '../tensor/tensor.ts';
import { detached } from '../tensor/view-tensor.ts';
import { fromBytes } from './creation.ts';

export const { gradcheck, gradgradcheck } = makeGradcheck({
  make: (values, like, requires_grad) => {
    const out = fromBytes(viewBytes(values), like.view_.shape, like.dtype, like.device);
    return requires_grad ? out.requires_grad_() : out;
  },
  read: (t) => Float64Array.from(toTypedArray(detached(t)) as Float64Array),
  randn: (shape, like) => {
    const n = shape.reduce((p, d) => p * d, 1) * (like.dtype.is_complex ? 2 : 1);
    const values = new Float64Array(n);
    normal(defaultGenerator, float64, values);
    return fromBytes(viewBytes(values), shape, like.dtype, like.device).requires_grad_();
  },
  isTensor: (x): x is Tensor => x instanceof Tensor,
});

/** Gamma numbers and their gradient in the concentration, which is what makes Gamma, Beta, Dirichlet and StudentT reparameterizable. */
import { decode, encodeInto } from '../dtype/codec.ts';
import { computationDtype, scalarTypeName } from '../dtype/promotion.ts';
import type { LibraryFunction } from '../graph/library.ts';
import type { Operator } from '../graph/operator.ts';
import { callLibrary, type Prim } from '../graph/prim.ts';
import { standardGamma } from '../random/data-dependent.ts';
import type { Generator } from '../random/generator.ts';
import { toTypedArray } from '../tensor/read.ts';
import { record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { detached } from '../tensor/view-tensor.ts';
import { standardGammaGradient } from './host/standard-gamma-gradient.ts';
import { draw } from './random-draw.ts';

/** srcs: concentrations, numbers. */
const slope: LibraryFunction<null> = {
  name: 'standard_gamma_grad',
  run: ([alpha, x], [out]) => {
    for (let i = 0; i < out.data.length; i++) {
      const at = (a: typeof alpha): number => decode(a.dtype, a.data, i) as number;
      encodeInto(out.dtype, out.data, i, standardGammaGradient(at(alpha), at(x)));
    }
  },
};
const slopeOf = (alpha: Prim, x: Prim): Prim => callLibrary(slope as never, [alpha, x], [{ shape: x.shape, dtype: x.dtype }], null)[0];

/** The number as a function of its concentration. */
const gammaOperator: Operator<null> = {
  name: 'standard_gamma',
  body: ([, drawn]) => [drawn],
  gradient: ([g], [alpha, drawn]) => {
    if (g === null) return [null, null];
    const compute = computationDtype(alpha.dtype);
    return [
      g
        .cast(compute)
        .mul(slopeOf(alpha.cast(compute), drawn.cast(compute)))
        .cast(alpha.dtype),
      null,
    ];
  },
};
const slopeOperator: Operator<null> = { name: 'standard_gamma_grad', body: ([alpha, x]) => [slopeOf(alpha, x)] };

export function standardGammaOf(alpha: Tensor, generator: Generator): Tensor {
  const { dtype } = alpha;
  if (!dtype.is_floating_point) throw new Error(`"gamma_cpu" not implemented for '${scalarTypeName(dtype)}'`);
  const concentrations = toTypedArray(detached(alpha));
  const drawn = draw(alpha.view_.shape, dtype, alpha.device, (out) => standardGamma(generator, dtype, out, concentrations));
  return alpha.requires_grad ? record(gammaOperator as never, [alpha, drawn])[0] : drawn;
}

/** `torch._standard_gamma_grad`: the slope at numbers drawn before. */
export const standardGammaGradOf = (alpha: Tensor, drawn: Tensor): Tensor => record(slopeOperator as never, [alpha, drawn])[0];

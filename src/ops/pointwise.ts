/**
 * Pointwise operators: https://docs.pytorch.org/docs/stable/torch.html#pointwise-ops
 *
 * The section is the sum of its files: arithmetic, unary functions, powers, choices, the gamma family.
 */
import { arithmetic } from './pointwise-arithmetic.ts';
import { choices } from './pointwise-choice.ts';
import { gammas } from './pointwise-gamma.ts';
import { powers } from './pointwise-power.ts';
import { unary } from './pointwise-support.ts';
import { unaryOps } from './pointwise-unary.ts';
import { i0 } from './special-bessel.ts';
import { xlogy } from './special-normal.ts';

export const pointwise = {
  ...arithmetic,
  ...unaryOps,
  ...powers,
  ...choices,
  ...gammas,
  i0,
  xlogy,
  relu: unary('relu', 'max(self, 0)', (x) => x.maximum(0), {
    kind: 'DEFAULT',
    gradient: (g, _, y) => y.le(0).where(0, g),
    check: (compute) => {
      if (compute.kind === 'bool') throw new Error('Boolean inputs not supported for relu');
      if (compute.is_complex) throw new Error('clamp is not supported for complex types');
    },
  }),
};

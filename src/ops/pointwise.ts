/**
 * Pointwise operators: https://docs.pytorch.org/docs/stable/torch.html#pointwise-ops
 *
 * The section is the sum of its files: arithmetic, unary functions, powers, choices, the gamma family.
 */
import { arithmetic } from './pointwise-arithmetic.ts';
import { choices } from './pointwise-choice.ts';
import { gammas } from './pointwise-gamma.ts';
import { powers } from './pointwise-power.ts';
import { inplaceFunctions, unary } from './pointwise-support.ts';
import { unaryOps } from './pointwise-unary.ts';
import { i0 } from './special-bessel.ts';
import { xlogy } from './special-normal.ts';

const inplaceNames = {
  arithmetic: ['abs', 'neg', 'negative', 'reciprocal'],
  unary: [
    ...(['acos', 'acosh', 'asin', 'asinh', 'atan', 'atanh', 'arccos', 'arccosh', 'arcsin', 'arcsinh', 'arctan', 'arctanh'] as const),
    ...(['ceil', 'cos', 'cosh', 'deg2rad', 'exp', 'exp2', 'expm1', 'fix', 'floor', 'frac', 'log', 'log10', 'log1p', 'log2'] as const),
    ...(['logit', 'nan_to_num', 'rad2deg', 'round', 'sigmoid', 'sin', 'sinc', 'sinh', 'tan', 'tanh', 'trunc'] as const),
  ],
  powers: ['ldexp', 'rsqrt', 'sqrt', 'square'],
  gammas: ['erf', 'erfc'],
} as const;

export const pointwise = {
  ...arithmetic,
  ...unaryOps,
  ...powers,
  ...choices,
  ...gammas,
  i0,
  xlogy,
  ...inplaceFunctions(arithmetic, inplaceNames.arithmetic),
  ...inplaceFunctions(unaryOps, inplaceNames.unary),
  ...inplaceFunctions(powers, inplaceNames.powers),
  ...inplaceFunctions(gammas, inplaceNames.gammas),
  ...inplaceFunctions({ i0, xlogy }, ['i0', 'xlogy']),
  relu: unary('relu', 'max(self, 0)', (x) => x.maximum(0), {
    kind: 'DEFAULT',
    gradient: (g, _, y) => y.le(0).where(0, g),
    check: (compute) => {
      if (compute.kind === 'bool') throw new Error('Boolean inputs not supported for relu');
      if (compute.is_complex) throw new Error('clamp is not supported for complex types');
    },
  }),
};

/**
 * Operators whose samples gradcheck cannot judge, each with the reason: differences say nothing there, or PyTorch defines a gradient that is
 * not the derivative.
 */
interface NoDerivative {
  readonly op: string;
  /** `second`: only the gradient of the gradient. */
  readonly order: 'both' | 'second';
  readonly reason: string;
}

const rounding = 'its result is in lower precision: differences are lost in rounding';
const gauge = 'singular vectors are defined up to signs and, beyond the smaller dim, up to rotations: differences see the choice';
const duplicates = 'samples name a place twice: one value is kept, both get the gradient, as in PyTorch';
const zero = "PyTorch's gradient of a draw with respect to the distribution's parameters is zero";

export const noDerivative: readonly NoDerivative[] = [
  ...['bfloat16', 'half', 'float', 'cfloat'].map((op) => ({ op, order: 'both', reason: rounding }) as const),
  ...['svd', 'linalg.svd'].map((op) => ({ op, order: 'both', reason: gauge }) as const),
  ...['max_unpool1d', 'max_unpool2d', 'max_unpool3d'].map(
    (name) => ({ op: `nn.functional.${name}`, order: 'both', reason: duplicates }) as const,
  ),
  { op: 'normal', order: 'both', reason: zero },
  {
    op: 'as_strided_scatter',
    order: 'both',
    reason: "samples write a 0-d window, where PyTorch's own gradient of the overwritten tensor is one, not zero",
  },
  { op: 'masked.logaddexp', order: 'second', reason: 'both masked is -inf twice, where the gradient is NaN, as in PyTorch' },
  { op: 'linalg.norm.subgradients_at_zero', order: 'both', reason: 'samples sit at the kink' },
];

export const reasonNoDerivative = (op: string, order: 'first' | 'second'): string | null =>
  noDerivative.find((n) => n.op === op && (n.order === 'both' || n.order === order))?.reason ?? null;

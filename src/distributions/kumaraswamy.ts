/** https://docs.pytorch.org/docs/stable/distributions.html#kumaraswamy */
import { bindConstructor, type ConstructorArguments } from '../nn/arguments.ts';
import { type Tensor, torchFunctions as torch } from '../ops/methods.ts';
import type { BetaArguments } from './beta.ts';
import * as constraints from './constraints.ts';
import { TransformedDistribution } from './transformed-distribution.ts';
import { AffineTransform, PowerTransform } from './transforms.ts';
import { Uniform } from './uniform.ts';
import { broadcast_all, euler_constant, oneMinus } from './utils.ts';

export class Kumaraswamy extends TransformedDistribution {
  static override readonly arg_constraints = { concentration1: constraints.positive, concentration0: constraints.positive };
  static override readonly support: constraints.Constraint = constraints.unit_interval;
  readonly concentration1: Tensor;
  readonly concentration0: Tensor;

  constructor(...args: ConstructorArguments<BetaArguments, ['concentration1', 'concentration0', 'validate_args']>) {
    const order = ['concentration1', 'concentration0', 'validate_args'] as const;
    const a = bindConstructor<BetaArguments>('Kumaraswamy', order, { validate_args: null }, args);
    const { validate_args } = a;
    const [c1, c0] = broadcast_all(a.concentration1, a.concentration0);
    const base = new Uniform(torch.zeros_like(c0), torch.ones_like(c0), { validate_args });
    const transforms = [new PowerTransform(c0.reciprocal()), new AffineTransform(1, -1), new PowerTransform(c1.reciprocal())];
    super(base, transforms, { validate_args });
    this.concentration1 = c1;
    this.concentration0 = c0;
    this.validateArguments();
  }
  private moment(n: number): Tensor {
    const { concentration1: a, concentration0: b } = this;
    const first = a.reciprocal().mul(n).add(1);
    return b.mul(first.lgamma().add(b.lgamma()).sub(first.add(b).lgamma()).exp());
  }
  override get mean(): Tensor {
    return this.moment(1);
  }
  override get mode(): Tensor {
    const { concentration1: a, concentration0: b } = this;
    const log = b.reciprocal().mul(b.neg().log1p()).sub(b.neg().mul(a).log1p());
    return log.masked_fill(b.lt(1).logical_or(a.lt(1)), Number.NaN).exp();
  }
  override get variance(): Tensor {
    return this.moment(2).sub(this.mean.pow(2));
  }
  override entropy(): Tensor {
    const { concentration1: a, concentration0: b } = this;
    const harmonic = b.add(1).digamma().add(euler_constant);
    return oneMinus(b.reciprocal()).add(oneMinus(a.reciprocal()).mul(harmonic)).sub(a.log()).sub(b.log());
  }
}

/** https://docs.pytorch.org/docs/stable/distributions.html#pareto */
import { bindConstructor, type ConstructorArguments } from '../nn/arguments.ts';
import type { Tensor } from '../ops/methods.ts';
import * as constraints from './constraints.ts';
import type { DistributionOptions } from './distribution.ts';
import { Exponential } from './exponential.ts';
import { TransformedDistribution } from './transformed-distribution.ts';
import { AffineTransform, ExpTransform } from './transforms.ts';
import { broadcast_all, type Parameter } from './utils.ts';

interface ParetoArguments extends DistributionOptions {
  readonly scale: Parameter;
  readonly alpha: Parameter;
}
export class Pareto extends TransformedDistribution<Exponential> {
  static override readonly arg_constraints = { alpha: constraints.positive, scale: constraints.positive };
  readonly scale: Tensor;
  readonly alpha: Tensor;

  constructor(...args: ConstructorArguments<ParetoArguments, ['scale', 'alpha', 'validate_args']>) {
    const a = bindConstructor<ParetoArguments>('Pareto', ['scale', 'alpha', 'validate_args'], { validate_args: null }, args);
    const { validate_args } = a;
    const [scale, alpha] = broadcast_all(a.scale, a.alpha);
    super(new Exponential(alpha, { validate_args }), [new ExpTransform(), new AffineTransform(0, scale)], { validate_args });
    this.scale = scale;
    this.alpha = alpha;
    this.validateArguments();
  }
  override get support(): constraints.GreaterThanEq {
    return constraints.greater_than_eq(this.scale);
  }
  override get mean(): Tensor {
    const a = this.alpha.clamp(1);
    return a.mul(this.scale).div(a.sub(1));
  }
  override get mode(): Tensor {
    return this.scale;
  }
  override get variance(): Tensor {
    const a = this.alpha.clamp(2);
    return this.scale
      .pow(2)
      .mul(a)
      .div(a.sub(1).pow(2).mul(a.sub(2)));
  }
  override entropy(): Tensor {
    return this.scale.div(this.alpha).log().add(this.alpha.reciprocal().add(1));
  }
}

/** https://docs.pytorch.org/docs/stable/distributions.html#halfcauchy */
import { type Tensor, torchFunctions as torch } from '../ops/methods.ts';
import { Cauchy } from './cauchy.ts';
import * as constraints from './constraints.ts';
import { bindScale, type ScaleConstructor } from './half-normal.ts';
import { TransformedDistribution } from './transformed-distribution.ts';
import { AbsTransform } from './transforms.ts';
import { filled } from './utils.ts';

export class HalfCauchy extends TransformedDistribution<Cauchy> {
  static override readonly arg_constraints = { scale: constraints.positive };
  static override readonly support: constraints.Constraint = constraints.nonnegative;

  constructor(...args: ScaleConstructor) {
    const { scale, validate_args } = bindScale('HalfCauchy', args);
    super(new Cauchy(0, scale, { validate_args: false }), new AbsTransform(), { validate_args });
    this.validateArguments();
  }
  get scale(): Tensor {
    return this.base_dist.scale;
  }
  override get mean(): Tensor {
    return filled(this.extendedShape(), Number.POSITIVE_INFINITY, this.scale);
  }
  override get mode(): Tensor {
    return torch.zeros_like(this.scale);
  }
  override get variance(): Tensor {
    return this.base_dist.variance;
  }
  override log_prob(value: Tensor): Tensor {
    this.validateSample(value);
    return torch.where(value.ge(0), this.base_dist.log_prob(value).add(Math.LN2), Number.NEGATIVE_INFINITY);
  }
  override cdf(value: Tensor): Tensor {
    this.validateSample(value);
    return this.base_dist.cdf(value).mul(2).sub(1);
  }
  override icdf(value: Tensor): Tensor {
    return this.base_dist.icdf(value.add(1).div(2));
  }
  override entropy(): Tensor {
    return this.base_dist.entropy().sub(Math.LN2);
  }
}

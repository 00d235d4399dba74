/** https://docs.pytorch.org/docs/stable/distributions.html#halfnormal */
import { bindConstructor, type ConstructorArguments } from '../nn/arguments.ts';
import { type Tensor, torchFunctions as torch } from '../ops/methods.ts';
import * as constraints from './constraints.ts';
import type { DistributionOptions } from './distribution.ts';
import { Normal } from './normal.ts';
import { TransformedDistribution } from './transformed-distribution.ts';
import { AbsTransform } from './transforms.ts';
import type { Parameter } from './utils.ts';

export interface ScaleArguments extends DistributionOptions {
  readonly scale: Parameter;
}
export type ScaleConstructor = ConstructorArguments<ScaleArguments, ['scale', 'validate_args']>;
export const bindScale = (name: string, args: readonly unknown[]): { readonly scale: Parameter; readonly validate_args: boolean | null } =>
  bindConstructor<ScaleArguments>(name, ['scale', 'validate_args'], { validate_args: null }, args);

export class HalfNormal extends TransformedDistribution<Normal> {
  static override readonly arg_constraints = { scale: constraints.positive };
  static override readonly support: constraints.Constraint = constraints.nonnegative;

  constructor(...args: ScaleConstructor) {
    const { scale, validate_args } = bindScale('HalfNormal', args);
    super(new Normal(0, scale, { validate_args: false }), new AbsTransform(), { validate_args });
    this.validateArguments();
  }
  get scale(): Tensor {
    return this.base_dist.scale;
  }
  override get mean(): Tensor {
    return this.scale.mul(Math.sqrt(2 / Math.PI));
  }
  override get mode(): Tensor {
    return torch.zeros_like(this.scale);
  }
  override get variance(): Tensor {
    return this.scale.pow(2).mul(1 - 2 / Math.PI);
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

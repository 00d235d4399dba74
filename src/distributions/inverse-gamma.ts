/** https://docs.pytorch.org/docs/stable/distributions.html#inversegamma */
import { bindConstructor, type ConstructorArguments } from '../nn/arguments.ts';
import { type Tensor, torchFunctions as torch } from '../ops/methods.ts';
import * as constraints from './constraints.ts';
import type { DistributionOptions } from './distribution.ts';
import { Gamma } from './gamma.ts';
import { TransformedDistribution } from './transformed-distribution.ts';
import { PowerTransform } from './transforms.ts';
import { filled, type Parameter } from './utils.ts';

interface InverseGammaArguments extends DistributionOptions {
  readonly concentration: Parameter;
  readonly rate: Parameter;
}
export class InverseGamma extends TransformedDistribution<Gamma> {
  static override readonly arg_constraints = { concentration: constraints.positive, rate: constraints.positive };
  static override readonly support: constraints.Constraint = constraints.positive;

  constructor(...args: ConstructorArguments<InverseGammaArguments, ['concentration', 'rate', 'validate_args']>) {
    const order = ['concentration', 'rate', 'validate_args'] as const;
    const { concentration, rate, validate_args } = bindConstructor<InverseGammaArguments>(
      'InverseGamma',
      order,
      { validate_args: null },
      args,
    );
    const base = new Gamma(concentration, rate, { validate_args });
    super(base, new PowerTransform(filled([], -1, base.rate)), { validate_args });
    this.validateArguments();
  }
  get concentration(): Tensor {
    return this.base_dist.concentration;
  }
  get rate(): Tensor {
    return this.base_dist.rate;
  }
  override get mean(): Tensor {
    const { concentration } = this;
    return torch.where(concentration.gt(1), this.rate.div(concentration.sub(1)), Number.POSITIVE_INFINITY);
  }
  override get mode(): Tensor {
    return this.rate.div(this.concentration.add(1));
  }
  override get variance(): Tensor {
    const { concentration } = this;
    const result = this.rate.square().div(concentration.sub(1).square().mul(concentration.sub(2)));
    return torch.where(concentration.gt(2), result, Number.POSITIVE_INFINITY);
  }
  override entropy(): Tensor {
    const { concentration } = this;
    return concentration.add(this.rate.log()).add(concentration.lgamma()).sub(concentration.add(1).mul(concentration.digamma()));
  }
}

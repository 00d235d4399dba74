/** https://docs.pytorch.org/docs/stable/distributions.html#lognormal */
import type { ConstructorArguments } from '../nn/arguments.ts';
import type { Tensor } from '../ops/methods.ts';
import * as constraints from './constraints.ts';
import { bindLocScale, type LocScaleArguments, type LocScaleOrder, Normal } from './normal.ts';
import { TransformedDistribution } from './transformed-distribution.ts';
import { ExpTransform } from './transforms.ts';

export class LogNormal extends TransformedDistribution<Normal> {
  static override readonly arg_constraints = { loc: constraints.real, scale: constraints.positive };
  static override readonly support: constraints.Constraint = constraints.positive;

  constructor(...args: ConstructorArguments<LocScaleArguments, LocScaleOrder>) {
    const { loc, scale, validate_args } = bindLocScale('LogNormal', args);
    super(new Normal(loc, scale, { validate_args }), new ExpTransform(), { validate_args });
    this.validateArguments();
  }
  get loc(): Tensor {
    return this.base_dist.loc;
  }
  get scale(): Tensor {
    return this.base_dist.scale;
  }
  override get mean(): Tensor {
    return this.loc.add(this.scale.pow(2).div(2)).exp();
  }
  override get mode(): Tensor {
    return this.loc.sub(this.scale.square()).exp();
  }
  override get variance(): Tensor {
    const square = this.scale.pow(2);
    return square.expm1().mul(this.loc.mul(2).add(square).exp());
  }
  override entropy(): Tensor {
    return this.base_dist.entropy().add(this.loc);
  }
}

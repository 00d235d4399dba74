/** https://docs.pytorch.org/docs/stable/distributions.html#logisticnormal: normal numbers, broken into parts of 1. */
import type { ConstructorArguments } from '../nn/arguments.ts';
import type { Tensor } from '../ops/methods.ts';
import * as constraints from './constraints.ts';
import type { Independent } from './independent.ts';
import { bindLocScale, type LocScaleArguments, type LocScaleOrder, Normal } from './normal.ts';
import { TransformedDistribution } from './transformed-distribution.ts';
import { StickBreakingTransform } from './transforms.ts';

export class LogisticNormal extends TransformedDistribution<Independent<Normal>> {
  static override readonly arg_constraints = { loc: constraints.real, scale: constraints.positive };
  static override readonly support: constraints.Constraint = constraints.simplex;

  constructor(...args: ConstructorArguments<LocScaleArguments, LocScaleOrder>) {
    const { loc, scale, validate_args } = bindLocScale('LogisticNormal', args);
    const base = new Normal(loc, scale, { validate_args });
    super(base.batch_shape.length === 0 ? base.expand([1]) : base, new StickBreakingTransform(), { validate_args });
    this.validateArguments();
  }
  get loc(): Tensor {
    return this.base_dist.base_dist.loc;
  }
  get scale(): Tensor {
    return this.base_dist.base_dist.scale;
  }
}

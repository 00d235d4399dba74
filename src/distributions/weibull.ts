/** https://docs.pytorch.org/docs/stable/distributions.html#weibull */
import { bindConstructor, type ConstructorArguments } from '../nn/arguments.ts';
import { type Tensor, torchFunctions as torch } from '../ops/methods.ts';
import * as constraints from './constraints.ts';
import type { DistributionOptions } from './distribution.ts';
import { Exponential } from './exponential.ts';
import type { Transform } from './transform.ts';
import { TransformedDistribution } from './transformed-distribution.ts';
import { AffineTransform, PowerTransform } from './transforms.ts';
import { broadcast_all, euler_constant, oneMinus, type Parameter, type Size } from './utils.ts';

interface WeibullArguments extends DistributionOptions {
  readonly scale: Parameter;
  readonly concentration: Parameter;
}
const maps = (scale: Tensor, reciprocal: Tensor): Transform[] => [new PowerTransform(reciprocal), new AffineTransform(0, scale)];

export class Weibull extends TransformedDistribution<Exponential> {
  static override readonly arg_constraints = { scale: constraints.positive, concentration: constraints.positive };
  static override readonly support: constraints.Constraint = constraints.positive;
  readonly scale: Tensor;
  readonly concentration: Tensor;
  readonly concentration_reciprocal: Tensor;

  constructor(...args: ConstructorArguments<WeibullArguments, ['scale', 'concentration', 'validate_args']>) {
    const a = bindConstructor<WeibullArguments>('Weibull', ['scale', 'concentration', 'validate_args'], { validate_args: null }, args);
    const { validate_args } = a;
    const [scale, concentration] = broadcast_all(a.scale, a.concentration);
    const reciprocal = concentration.reciprocal();
    super(new Exponential(torch.ones_like(scale), { validate_args }), maps(scale, reciprocal), { validate_args });
    this.scale = scale;
    this.concentration = concentration;
    this.concentration_reciprocal = reciprocal;
    this.validateArguments();
  }
  protected override expanded(batch_shape: Size): object {
    const scale = this.scale.expand([...batch_shape]);
    const concentration = this.concentration.expand([...batch_shape]);
    const concentration_reciprocal = concentration.reciprocal();
    const transforms = maps(scale, concentration_reciprocal);
    return { scale, concentration, concentration_reciprocal, transforms, base_dist: this.base_dist.expand(batch_shape) };
  }
  override get mean(): Tensor {
    return this.scale.mul(this.concentration_reciprocal.add(1).lgamma().exp());
  }
  override get mode(): Tensor {
    const { concentration } = this;
    return this.scale.mul(concentration.sub(1).div(concentration).pow(concentration.reciprocal()));
  }
  override get variance(): Tensor {
    const second = this.concentration_reciprocal.mul(2).add(1).lgamma().exp();
    const first = this.concentration_reciprocal.add(1).lgamma().mul(2).exp();
    return this.scale.pow(2).mul(second.sub(first));
  }
  override entropy(): Tensor {
    const reciprocal = this.concentration_reciprocal;
    return oneMinus(reciprocal).mul(euler_constant).add(this.scale.mul(reciprocal).log()).add(1);
  }
}

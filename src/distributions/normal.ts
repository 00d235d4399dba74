/** https://docs.pytorch.org/docs/stable/distributions.html#normal */
import { no_grad } from '../autograd/modes.ts';
import { bindConstructor, type ConstructorArguments } from '../nn/arguments.ts';
import { type Tensor, torchFunctions as torch } from '../ops/methods.ts';
import * as constraints from './constraints.ts';
import type { DistributionOptions } from './distribution.ts';
import { ExponentialFamily } from './exponential-family.ts';
import { broadcast_all, type Parameter, type Size, standardNormal } from './utils.ts';

export interface LocScaleArguments extends DistributionOptions {
  readonly loc: Parameter;
  readonly scale: Parameter;
}
export type LocScaleOrder = ['loc', 'scale', 'validate_args'];
/** Arguments of every family with a location and a scale. */
export const bindLocScale = (name: string, args: readonly unknown[]): Required<LocScaleArguments> =>
  bindConstructor<LocScaleArguments>(name, ['loc', 'scale', 'validate_args'], { validate_args: null }, args) as Required<LocScaleArguments>;

export class Normal extends ExponentialFamily {
  static override readonly arg_constraints = { loc: constraints.real, scale: constraints.positive };
  static override readonly support = constraints.real;
  static override readonly has_rsample: boolean = true;
  readonly loc: Tensor;
  readonly scale: Tensor;

  constructor(...args: ConstructorArguments<LocScaleArguments, LocScaleOrder>) {
    const a = bindLocScale('Normal', args);
    const [loc, scale] = broadcast_all(a.loc, a.scale);
    super(loc.shape, [], a);
    this.loc = loc;
    this.scale = scale;
    this.validateArguments();
  }
  override get mean(): Tensor {
    return this.loc;
  }
  override get mode(): Tensor {
    return this.loc;
  }
  override get stddev(): Tensor {
    return this.scale;
  }
  override get variance(): Tensor {
    return this.scale.pow(2);
  }
  override sample(sample_shape: Size = []): Tensor {
    const shape = this.extendedShape(sample_shape);
    return no_grad(() => torch.normal(this.loc.expand(shape), this.scale.expand(shape)));
  }
  override rsample(sample_shape: Size = []): Tensor {
    return this.loc.add(standardNormal(this.extendedShape(sample_shape), this.loc).mul(this.scale));
  }
  override log_prob(value: Tensor): Tensor {
    this.validateSample(value);
    return value
      .sub(this.loc)
      .pow(2)
      .neg()
      .div(this.scale.pow(2).mul(2))
      .sub(this.scale.log())
      .sub(Math.log(Math.sqrt(2 * Math.PI)));
  }
  override cdf(value: Tensor): Tensor {
    this.validateSample(value);
    return value.sub(this.loc).mul(this.scale.reciprocal()).div(Math.SQRT2).erf().add(1).mul(0.5);
  }
  override icdf(value: Tensor): Tensor {
    return this.loc.add(this.scale.mul(value.mul(2).sub(1).erfinv()).mul(Math.SQRT2));
  }
  override entropy(): Tensor {
    return this.scale.log().add(0.5 + 0.5 * Math.log(2 * Math.PI));
  }
  override get _natural_params(): readonly Tensor[] {
    return [this.loc.div(this.scale.pow(2)), this.scale.pow(2).reciprocal().mul(-0.5)];
  }
  override _log_normalizer(x: Tensor, y: Tensor): Tensor {
    return x.pow(2).mul(-0.25).div(y).add(y.reciprocal().mul(-Math.PI).log().mul(0.5));
  }
  override get _mean_carrier_measure(): number {
    return 0;
  }
}

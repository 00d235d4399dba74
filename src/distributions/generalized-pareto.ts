/** https://docs.pytorch.org/docs/stable/distributions.html#generalizedpareto */
import { bindConstructor, type ConstructorArguments } from '../nn/arguments.ts';
import { type Tensor, torchFunctions as torch } from '../ops/methods.ts';
import * as constraints from './constraints.ts';
import { Distribution, type DistributionOptions } from './distribution.ts';
import { broadcast_all, oneMinus, type Parameter, type Size, uniform } from './utils.ts';

interface GeneralizedParetoArguments extends DistributionOptions {
  readonly loc: Parameter;
  readonly scale: Parameter;
  readonly concentration: Parameter;
}
export class GeneralizedPareto extends Distribution {
  static override readonly arg_constraints = { loc: constraints.real, scale: constraints.positive, concentration: constraints.real };
  static override readonly has_rsample: boolean = true;
  readonly loc: Tensor;
  readonly scale: Tensor;
  readonly concentration: Tensor;

  constructor(...args: ConstructorArguments<GeneralizedParetoArguments, ['loc', 'scale', 'concentration', 'validate_args']>) {
    const order = ['loc', 'scale', 'concentration', 'validate_args'] as const;
    const a = bindConstructor<GeneralizedParetoArguments>('GeneralizedPareto', order, { validate_args: null }, args);
    const [loc, scale, concentration] = broadcast_all(a.loc, a.scale, a.concentration);
    super(loc.shape, [], a);
    this.loc = loc;
    this.scale = scale;
    this.concentration = concentration;
    this.validateArguments();
  }
  override get support(): constraints.Interval {
    const { loc, scale, concentration } = this;
    const upper = torch.where(concentration.lt(0), loc.sub(scale.div(concentration)), Number.POSITIVE_INFINITY);
    return constraints.interval(loc, upper);
  }
  override rsample(sample_shape: Size = []): Tensor {
    return this.icdf(uniform(this.extendedShape(sample_shape), this.loc));
  }
  /** Where the concentration is zero (an exponential distribution), and a concentration that may be divided by. */
  private safe(): { readonly zero: Tensor; readonly concentration: Tensor } {
    const zero = torch.isclose(this.concentration, torch.zeros_like(this.concentration));
    return { zero, concentration: this.concentration.masked_fill(zero, 1) };
  }
  private standardized(value: Tensor): Tensor {
    return value.sub(this.loc).div(this.scale);
  }
  override log_prob(value: Tensor): Tensor {
    this.validateSample(value);
    const z = this.standardized(value);
    const { zero, concentration } = this.safe();
    const y = concentration.reciprocal().add(torch.ones_like(z));
    const nonzero = torch.where(y.eq(0), y, y.mul(concentration.mul(z).log1p()));
    return this.scale
      .log()
      .neg()
      .sub(torch.where(zero, z, nonzero));
  }
  log_survival_function(value: Tensor): Tensor {
    this.validateSample(value);
    const z = this.standardized(value);
    const { zero, concentration } = this.safe();
    return torch.where(zero, z.neg(), concentration.mul(z).log1p().neg().div(concentration));
  }
  log_cdf(value: Tensor): Tensor {
    return this.log_survival_function(value).exp().neg().log1p();
  }
  override cdf(value: Tensor): Tensor {
    return this.log_cdf(value).exp();
  }
  override icdf(value: Tensor): Tensor {
    const { zero, concentration } = this.safe();
    const logu = value.neg().log1p();
    const nonzero = this.loc.add(this.scale.div(concentration).mul(concentration.neg().mul(logu).expm1()));
    return torch.where(zero, this.loc.sub(this.scale.mul(logu)), nonzero);
  }
  override get mean(): Tensor {
    const valid = this.concentration.lt(1);
    const safe = torch.where(valid, this.concentration, 0.5);
    return torch.where(valid, this.loc.add(this.scale.div(oneMinus(safe))), Number.NaN);
  }
  override get variance(): Tensor {
    const valid = this.concentration.lt(0.5);
    const safe = torch.where(valid, this.concentration, 0.25);
    const result = this.scale.pow(2).div(
      oneMinus(safe)
        .pow(2)
        .mul(oneMinus(safe.mul(2))),
    );
    return torch.where(valid, result, Number.NaN);
  }
  override entropy(): Tensor {
    return this.scale.log().add(this.concentration).add(1).expand(this.batch_shape);
  }
  override get mode(): Tensor {
    return this.loc;
  }
}

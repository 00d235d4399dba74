/** https://docs.pytorch.org/docs/stable/distributions.html#exponential */
import { bindConstructor, type ConstructorArguments } from '../nn/arguments.ts';
import { type Tensor, torchFunctions as torch } from '../ops/methods.ts';
import * as constraints from './constraints.ts';
import type { DistributionOptions } from './distribution.ts';
import { ExponentialFamily } from './exponential-family.ts';
import { broadcast_all, like, oneMinus, type Parameter, type Size } from './utils.ts';

interface ExponentialArguments extends DistributionOptions {
  readonly rate: Parameter;
}
export class Exponential extends ExponentialFamily {
  static override readonly arg_constraints = { rate: constraints.positive };
  static override readonly support = constraints.nonnegative;
  static override readonly has_rsample: boolean = true;
  readonly rate: Tensor;

  constructor(...args: ConstructorArguments<ExponentialArguments, ['rate', 'validate_args']>) {
    const a = bindConstructor<ExponentialArguments>('Exponential', ['rate', 'validate_args'], { validate_args: null }, args);
    const [rate] = broadcast_all(a.rate);
    super(rate.shape, [], a);
    this.rate = rate;
    this.validateArguments();
  }
  override get mean(): Tensor {
    return this.rate.reciprocal();
  }
  override get mode(): Tensor {
    return torch.zeros_like(this.rate);
  }
  override get stddev(): Tensor {
    return this.rate.reciprocal();
  }
  override get variance(): Tensor {
    return this.rate.pow(-2);
  }
  override rsample(sample_shape: Size = []): Tensor {
    return torch.empty(this.extendedShape(sample_shape), like(this.rate)).exponential_().div(this.rate);
  }
  override log_prob(value: Tensor): Tensor {
    this.validateSample(value);
    return this.rate.log().sub(this.rate.mul(value));
  }
  override cdf(value: Tensor): Tensor {
    this.validateSample(value);
    return oneMinus(this.rate.neg().mul(value).exp());
  }
  override icdf(value: Tensor): Tensor {
    return value.neg().log1p().neg().div(this.rate);
  }
  override entropy(): Tensor {
    return oneMinus(this.rate.log());
  }
  override get _natural_params(): readonly Tensor[] {
    return [this.rate.neg()];
  }
  override _log_normalizer(x: Tensor): Tensor {
    return x.neg().log().neg();
  }
  override get _mean_carrier_measure(): number {
    return 0;
  }
}

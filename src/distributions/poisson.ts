/** https://docs.pytorch.org/docs/stable/distributions.html#poisson */
import { no_grad } from '../autograd/modes.ts';
import { bindConstructor, type ConstructorArguments } from '../nn/arguments.ts';
import { type Tensor, torchFunctions as torch } from '../ops/methods.ts';
import * as constraints from './constraints.ts';
import type { DistributionOptions } from './distribution.ts';
import { ExponentialFamily } from './exponential-family.ts';
import { broadcast_all, type Parameter, type Size } from './utils.ts';

interface PoissonArguments extends DistributionOptions {
  readonly rate: Parameter;
}
export class Poisson extends ExponentialFamily {
  static override readonly arg_constraints = { rate: constraints.nonnegative };
  static override readonly support = constraints.nonnegative_integer;
  readonly rate: Tensor;

  constructor(...args: ConstructorArguments<PoissonArguments, ['rate', 'validate_args']>) {
    const a = bindConstructor<PoissonArguments>('Poisson', ['rate', 'validate_args'], { validate_args: null }, args);
    const [rate] = broadcast_all(a.rate);
    super(rate.shape, [], a);
    this.rate = rate;
    this.validateArguments();
  }
  override get mean(): Tensor {
    return this.rate;
  }
  override get mode(): Tensor {
    return this.rate.floor();
  }
  override get variance(): Tensor {
    return this.rate;
  }
  override sample(sample_shape: Size = []): Tensor {
    return no_grad(() => torch.poisson(this.rate.expand(this.extendedShape(sample_shape))));
  }
  override log_prob(given: Tensor): Tensor {
    this.validateSample(given);
    const [rate, value] = broadcast_all(this.rate, given);
    return torch.xlogy(value, rate).sub(rate).sub(value.add(1).lgamma());
  }
  override get _natural_params(): readonly Tensor[] {
    return [this.rate.log()];
  }
  override _log_normalizer(x: Tensor): Tensor {
    return x.exp();
  }
}

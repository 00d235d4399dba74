/** https://docs.pytorch.org/docs/stable/distributions.html#gamma */
import { finfo } from '../dtype/dtype.ts';
import { bindConstructor, type ConstructorArguments } from '../nn/arguments.ts';
import { special, type Tensor, torchFunctions as torch } from '../ops/methods.ts';
import * as constraints from './constraints.ts';
import type { ConstraintTable, DistributionOptions } from './distribution.ts';
import { ExponentialFamily } from './exponential-family.ts';
import { broadcast_all, oneMinus, type Parameter, type Size } from './utils.ts';

interface GammaArguments extends DistributionOptions {
  readonly concentration: Parameter;
  readonly rate: Parameter;
}
export class Gamma extends ExponentialFamily {
  static override readonly arg_constraints: ConstraintTable = { concentration: constraints.positive, rate: constraints.positive };
  static override readonly support = constraints.nonnegative;
  static override readonly has_rsample: boolean = true;
  readonly concentration: Tensor;
  readonly rate: Tensor;

  constructor(...args: ConstructorArguments<GammaArguments, ['concentration', 'rate', 'validate_args']>) {
    const a = bindConstructor<GammaArguments>('Gamma', ['concentration', 'rate', 'validate_args'], { validate_args: null }, args);
    const [concentration, rate] = broadcast_all(a.concentration, a.rate);
    super(concentration.shape, [], a);
    this.concentration = concentration;
    this.rate = rate;
    this.validateArguments();
  }
  override get mean(): Tensor {
    return this.concentration.div(this.rate);
  }
  override get mode(): Tensor {
    return this.concentration.sub(1).div(this.rate).clamp(0);
  }
  override get variance(): Tensor {
    return this.concentration.div(this.rate.pow(2));
  }
  protected override expanded(batch_shape: Size): object {
    return { concentration: this.concentration.expand([...batch_shape]), rate: this.rate.expand([...batch_shape]) };
  }
  override rsample(sample_shape: Size = []): Tensor {
    const shape = this.extendedShape(sample_shape);
    const value = torch._standard_gamma(this.concentration.expand(shape)).div(this.rate.expand(shape));
    const clamped = value.clamp(finfo(value.dtype).tiny);
    // A value that was lifted off zero keeps its gradient, as in PyTorch, which clamps the detached value in place.
    return value.requires_grad ? value.add(clamped.sub(value).detach()) : clamped;
  }
  override log_prob(value: Tensor): Tensor {
    this.validateSample(value);
    const { concentration, rate } = this;
    return torch
      .xlogy(concentration, rate)
      .add(torch.xlogy(concentration.sub(1), value))
      .sub(rate.mul(value))
      .sub(concentration.lgamma());
  }
  override cdf(value: Tensor): Tensor {
    this.validateSample(value);
    return special.gammainc(this.concentration, this.rate.mul(value));
  }
  override entropy(): Tensor {
    const { concentration, rate } = this;
    return concentration.sub(rate.log()).add(concentration.lgamma()).add(oneMinus(concentration).mul(concentration.digamma()));
  }
  override get _natural_params(): readonly Tensor[] {
    return [this.concentration.sub(1), this.rate.neg()];
  }
  override _log_normalizer(x: Tensor, y: Tensor): Tensor {
    return x.add(1).lgamma().add(x.add(1).mul(y.reciprocal().neg().log()));
  }
  override get _mean_carrier_measure(): number {
    return 0;
  }
}

/** https://docs.pytorch.org/docs/stable/distributions.html#uniform */
import { bindConstructor, type ConstructorArguments } from '../nn/arguments.ts';
import type { Tensor } from '../ops/methods.ts';
import * as constraints from './constraints.ts';
import { type ConstraintTable, Distribution, type DistributionOptions } from './distribution.ts';
import { broadcast_all, type Parameter, type Size, uniform } from './utils.ts';

interface UniformArguments extends DistributionOptions {
  readonly low: Parameter;
  readonly high: Parameter;
}
export class Uniform extends Distribution {
  static override readonly has_rsample: boolean = true;
  readonly low: Tensor;
  readonly high: Tensor;

  constructor(...args: ConstructorArguments<UniformArguments, ['low', 'high', 'validate_args']>) {
    const a = bindConstructor<UniformArguments>('Uniform', ['low', 'high', 'validate_args'], { validate_args: null }, args);
    const [low, high] = broadcast_all(a.low, a.high);
    super(low.shape, [], a);
    this.low = low;
    this.high = high;
    this.validateArguments();
  }
  override get arg_constraints(): ConstraintTable {
    return { low: constraints.less_than(this.high), high: constraints.greater_than(this.low) };
  }
  override get support(): constraints.Interval {
    return constraints.interval(this.low, this.high);
  }
  override get mean(): Tensor {
    return this.high.add(this.low).div(2);
  }
  override get mode(): Tensor {
    return this.high.mul(Number.NaN);
  }
  override get stddev(): Tensor {
    return this.high.sub(this.low).div(Math.sqrt(12));
  }
  override get variance(): Tensor {
    return this.high.sub(this.low).pow(2).div(12);
  }
  override rsample(sample_shape: Size = []): Tensor {
    return this.low.add(uniform(this.extendedShape(sample_shape), this.low).mul(this.high.sub(this.low)));
  }
  override log_prob(value: Tensor): Tensor {
    this.validateSample(value);
    const inside = this.low.le(value).type_as(this.low).mul(this.high.gt(value).type_as(this.low));
    return inside.log().sub(this.high.sub(this.low).log());
  }
  override cdf(value: Tensor): Tensor {
    this.validateSample(value);
    return value.sub(this.low).div(this.high.sub(this.low)).clamp(0, 1);
  }
  override icdf(value: Tensor): Tensor {
    return value.mul(this.high.sub(this.low)).add(this.low);
  }
  override entropy(): Tensor {
    return this.high.sub(this.low).log();
  }
}

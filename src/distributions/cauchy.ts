/** https://docs.pytorch.org/docs/stable/distributions.html#cauchy */
import type { ConstructorArguments } from '../nn/arguments.ts';
import { type Tensor, torchFunctions as torch } from '../ops/methods.ts';
import * as constraints from './constraints.ts';
import { Distribution } from './distribution.ts';
import { bindLocScale, type LocScaleArguments, type LocScaleOrder } from './normal.ts';
import { broadcast_all, filled, like, type Size } from './utils.ts';

export class Cauchy extends Distribution {
  static override readonly arg_constraints = { loc: constraints.real, scale: constraints.positive };
  static override readonly support = constraints.real;
  static override readonly has_rsample: boolean = true;
  readonly loc: Tensor;
  readonly scale: Tensor;

  constructor(...args: ConstructorArguments<LocScaleArguments, LocScaleOrder>) {
    const a = bindLocScale('Cauchy', args);
    const [loc, scale] = broadcast_all(a.loc, a.scale);
    super(loc.shape, [], a);
    this.loc = loc;
    this.scale = scale;
    this.validateArguments();
  }
  override get mean(): Tensor {
    return filled(this.extendedShape(), Number.NaN, this.loc);
  }
  override get mode(): Tensor {
    return this.loc;
  }
  override get variance(): Tensor {
    return filled(this.extendedShape(), Number.POSITIVE_INFINITY, this.loc);
  }
  override rsample(sample_shape: Size = []): Tensor {
    const drawn = torch.empty(this.extendedShape(sample_shape), like(this.loc)).cauchy_();
    return this.loc.add(drawn.mul(this.scale));
  }
  override log_prob(value: Tensor): Tensor {
    this.validateSample(value);
    const z = value.sub(this.loc).div(this.scale);
    return torch.rsub(this.scale.log(), -Math.log(Math.PI)).sub(z.pow(2).log1p());
  }
  override cdf(value: Tensor): Tensor {
    this.validateSample(value);
    return value.sub(this.loc).div(this.scale).atan().div(Math.PI).add(0.5);
  }
  override icdf(value: Tensor): Tensor {
    return value.sub(0.5).mul(Math.PI).tan().mul(this.scale).add(this.loc);
  }
  override entropy(): Tensor {
    return this.scale.log().add(Math.log(4 * Math.PI));
  }
}

/** https://docs.pytorch.org/docs/stable/distributions.html#laplace */
import { finfo } from '../dtype/dtype.ts';
import type { ConstructorArguments } from '../nn/arguments.ts';
import { type Tensor, torchFunctions as torch } from '../ops/methods.ts';
import * as constraints from './constraints.ts';
import { Distribution } from './distribution.ts';
import { bindLocScale, type LocScaleArguments, type LocScaleOrder } from './normal.ts';
import { broadcast_all, like, type Size } from './utils.ts';

export class Laplace extends Distribution {
  static override readonly arg_constraints = { loc: constraints.real, scale: constraints.positive };
  static override readonly support = constraints.real;
  static override readonly has_rsample: boolean = true;
  readonly loc: Tensor;
  readonly scale: Tensor;

  constructor(...args: ConstructorArguments<LocScaleArguments, LocScaleOrder>) {
    const a = bindLocScale('Laplace', args);
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
  override get variance(): Tensor {
    return this.scale.pow(2).mul(2);
  }
  override get stddev(): Tensor {
    return this.scale.mul(Math.SQRT2);
  }
  override rsample(sample_shape: Size = []): Tensor {
    const u = torch.empty(this.extendedShape(sample_shape), like(this.loc)).uniform_(finfo(this.loc.dtype).eps - 1, 1);
    return this.loc.sub(this.scale.mul(u.sign()).mul(u.abs().neg().log1p()));
  }
  override log_prob(value: Tensor): Tensor {
    this.validateSample(value);
    return this.scale.mul(2).log().neg().sub(value.sub(this.loc).abs().div(this.scale));
  }
  override cdf(value: Tensor): Tensor {
    this.validateSample(value);
    const difference = value.sub(this.loc);
    return torch.rsub(difference.sign().mul(0.5).mul(difference.abs().neg().div(this.scale).expm1()), 0.5);
  }
  override icdf(value: Tensor): Tensor {
    const term = value.sub(0.5);
    return this.loc.sub(this.scale.mul(term.sign()).mul(term.abs().mul(-2).log1p()));
  }
  override entropy(): Tensor {
    return this.scale.mul(2).log().add(1);
  }
}

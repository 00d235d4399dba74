/** https://docs.pytorch.org/docs/stable/distributions.html#gumbel */
import { finfo } from '../dtype/dtype.ts';
import type { ConstructorArguments } from '../nn/arguments.ts';
import { type Tensor, torchFunctions as torch } from '../ops/methods.ts';
import * as constraints from './constraints.ts';
import { bindLocScale, type LocScaleArguments, type LocScaleOrder } from './normal.ts';
import { TransformedDistribution } from './transformed-distribution.ts';
import { AffineTransform, ExpTransform } from './transforms.ts';
import { Uniform } from './uniform.ts';
import { broadcast_all, euler_constant } from './utils.ts';

export class Gumbel extends TransformedDistribution<Uniform> {
  static override readonly arg_constraints = { loc: constraints.real, scale: constraints.positive };
  static override readonly support = constraints.real;
  readonly loc: Tensor;
  readonly scale: Tensor;

  constructor(...args: ConstructorArguments<LocScaleArguments, LocScaleOrder>) {
    const a = bindLocScale('Gumbel', args);
    const { validate_args } = a;
    const [loc, scale] = broadcast_all(a.loc, a.scale);
    const { tiny, eps } = finfo(loc.dtype);
    const base = new Uniform(torch.full_like(loc, tiny), torch.full_like(loc, 1 - eps), { validate_args });
    // loc - scale log(-log(u))
    const transforms = [
      new ExpTransform().inv,
      new AffineTransform(0, torch.ones_like(scale).neg()),
      new ExpTransform().inv,
      new AffineTransform(loc, scale.neg()),
    ];
    super(base, transforms, { validate_args });
    this.loc = loc;
    this.scale = scale;
    this.validateArguments();
  }
  override log_prob(value: Tensor): Tensor {
    this.validateSample(value);
    const y = this.loc.sub(value).div(this.scale);
    return y.sub(y.exp()).sub(this.scale.log());
  }
  override get mean(): Tensor {
    return this.loc.add(this.scale.mul(euler_constant));
  }
  override get mode(): Tensor {
    return this.loc;
  }
  override get stddev(): Tensor {
    return this.scale.mul(Math.PI / Math.sqrt(6));
  }
  override get variance(): Tensor {
    return this.stddev.pow(2);
  }
  override entropy(): Tensor {
    return this.scale.log().add(1 + euler_constant);
  }
}

/** https://docs.pytorch.org/docs/stable/distributions.html#dirichlet */
import { Function as CustomFunction, type FunctionContext } from '../autograd/function.ts';
import { bindConstructor, type ConstructorArguments } from '../nn/arguments.ts';
import { functional, type Tensor, torchFunctions as torch } from '../ops/methods.ts';
import * as constraints from './constraints.ts';
import { dirichletGradient } from './dirichlet-gradient.ts';
import type { DistributionOptions } from './distribution.ts';
import { ExponentialFamily } from './exponential-family.ts';
import { like, type Size, tensor } from './utils.ts';

/** A draw that is differentiable in the concentration. */
class DirichletSample extends CustomFunction {
  static override forward(ctx: FunctionContext, concentration: Tensor): Tensor {
    const x = torch._sample_dirichlet(concentration);
    ctx.save_for_backward(x, concentration);
    return x;
  }
  static override backward(ctx: FunctionContext, gradient: Tensor): Tensor {
    const [x, concentration] = ctx.saved_tensors as Tensor[];
    const total = concentration.sum(-1, true).expand(concentration.shape);
    const slope = slopes(x, concentration, total);
    return slope.mul(gradient.sub(x.mul(gradient).sum(-1, true)));
  }
}
/** Elementwise `dirichletGradient`, computed on the host. */
function slopes(x: Tensor, alpha: Tensor, total: Tensor): Tensor {
  const [xs, alphas, totals] = [x, alpha, total].map((t) => t.detach().double().numpy() as Float64Array);
  const out = Float64Array.from(xs, (value, i) => dirichletGradient(value, alphas[i], totals[i]));
  return tensor(out, like(x)).reshape(x.shape);
}

interface DirichletArguments extends DistributionOptions {
  readonly concentration: Tensor;
}
export class Dirichlet extends ExponentialFamily {
  static override readonly arg_constraints = { concentration: constraints.independent(constraints.positive, 1) };
  static override readonly support = constraints.simplex;
  static override readonly has_rsample: boolean = true;
  readonly concentration: Tensor;

  constructor(...args: ConstructorArguments<DirichletArguments, ['concentration', 'validate_args']>) {
    const a = bindConstructor<DirichletArguments>('Dirichlet', ['concentration', 'validate_args'], { validate_args: null }, args);
    const { concentration } = a;
    if (concentration.ndim < 1) throw new Error('`concentration` parameter must be at least one-dimensional.');
    super(concentration.shape.slice(0, -1), concentration.shape.slice(-1), a);
    this.concentration = concentration;
    this.validateArguments();
  }
  override rsample(sample_shape: Size = []): Tensor {
    return DirichletSample.apply(this.concentration.expand(this.extendedShape(sample_shape))) as Tensor;
  }
  override log_prob(value: Tensor): Tensor {
    this.validateSample(value);
    const { concentration } = this;
    return torch.xlogy(concentration.sub(1), value).sum(-1).add(concentration.sum(-1).lgamma()).sub(concentration.lgamma().sum(-1));
  }
  override get mean(): Tensor {
    return this.concentration.div(this.concentration.sum(-1, true));
  }
  override get mode(): Tensor {
    const above = this.concentration.sub(1).clamp(0);
    const mode = above.div(above.sum(-1, true));
    // Where all are below 1 the density is largest in a corner.
    const corner = functional.one_hot(mode.argmax(-1), above.shape[above.ndim - 1]).to(mode.dtype);
    return torch.where(this.concentration.lt(1).all(-1, true), corner, mode);
  }
  override get variance(): Tensor {
    const total = this.concentration.sum(-1, true);
    return this.concentration.mul(total.sub(this.concentration)).div(total.pow(2).mul(total.add(1)));
  }
  override entropy(): Tensor {
    const { concentration } = this;
    const k = concentration.shape[concentration.ndim - 1];
    const total = concentration.sum(-1);
    return concentration
      .lgamma()
      .sum(-1)
      .sub(total.lgamma())
      .sub(torch.rsub(total, k).mul(total.digamma()))
      .sub(concentration.sub(1).mul(concentration.digamma()).sum(-1));
  }
  override get _natural_params(): readonly Tensor[] {
    return [this.concentration];
  }
  override _log_normalizer(x: Tensor): Tensor {
    return x.lgamma().sum(-1).sub(x.sum(-1).lgamma());
  }
}

/** https://docs.pytorch.org/docs/stable/distributions.html#beta: a Dirichlet distribution of two parts. */
import { bindConstructor, type ConstructorArguments } from '../nn/arguments.ts';
import { type Tensor, torchFunctions as torch } from '../ops/methods.ts';
import * as constraints from './constraints.ts';
import { Dirichlet } from './dirichlet.ts';
import type { DistributionOptions } from './distribution.ts';
import { ExponentialFamily } from './exponential-family.ts';
import { broadcast_all, oneMinus, type Parameter, type Size } from './utils.ts';

export interface BetaArguments extends DistributionOptions {
  readonly concentration1: Parameter;
  readonly concentration0: Parameter;
}
export class Beta extends ExponentialFamily {
  static override readonly arg_constraints = { concentration1: constraints.positive, concentration0: constraints.positive };
  static override readonly support = constraints.unit_interval;
  static override readonly has_rsample: boolean = true;
  protected readonly dirichlet: Dirichlet;

  constructor(...args: ConstructorArguments<BetaArguments, ['concentration1', 'concentration0', 'validate_args']>) {
    const order = ['concentration1', 'concentration0', 'validate_args'] as const;
    const a = bindConstructor<BetaArguments>('Beta', order, { validate_args: null }, args);
    const both = torch.stack(broadcast_all(a.concentration1, a.concentration0), -1);
    const dirichlet = new Dirichlet(both, { validate_args: a.validate_args });
    super(dirichlet.batch_shape, [], a);
    this.dirichlet = dirichlet;
    this.validateArguments();
  }
  protected override expanded(batch_shape: Size): object {
    return { dirichlet: this.dirichlet.expand(batch_shape) };
  }
  get concentration1(): Tensor {
    return this.dirichlet.concentration.select(-1, 0);
  }
  get concentration0(): Tensor {
    return this.dirichlet.concentration.select(-1, 1);
  }
  override get mean(): Tensor {
    return this.concentration1.div(this.concentration1.add(this.concentration0));
  }
  override get mode(): Tensor {
    return this.dirichlet.mode.select(-1, 0);
  }
  override get variance(): Tensor {
    const total = this.concentration1.add(this.concentration0);
    return this.concentration1.mul(this.concentration0).div(total.pow(2).mul(total.add(1)));
  }
  override rsample(sample_shape: Size = []): Tensor {
    return this.dirichlet.rsample(sample_shape).select(-1, 0);
  }
  override log_prob(value: Tensor): Tensor {
    this.validateSample(value);
    return this.dirichlet.log_prob(torch.stack([value, oneMinus(value)], -1));
  }
  override entropy(): Tensor {
    return this.dirichlet.entropy();
  }
  override get _natural_params(): readonly Tensor[] {
    return [this.concentration1, this.concentration0];
  }
  override _log_normalizer(x: Tensor, y: Tensor): Tensor {
    return x.lgamma().add(y.lgamma()).sub(x.add(y).lgamma());
  }
}

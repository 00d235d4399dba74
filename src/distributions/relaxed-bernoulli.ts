/** https://docs.pytorch.org/docs/stable/distributions.html#relaxedbernoulli */
import { bindConstructor, type ConstructorArguments } from '../nn/arguments.ts';
import type { Tensor } from '../ops/methods.ts';
import * as constraints from './constraints.ts';
import { givenOf, type ProbsLogits, SuccessDistribution } from './probs-or-logits.ts';
import { TransformedDistribution } from './transformed-distribution.ts';
import { SigmoidTransform } from './transforms.ts';
import { broadcast_all, clamp_probs, type Parameter, type Size, uniform } from './utils.ts';

interface RelaxedBernoulliArguments extends ProbsLogits {
  readonly temperature: Parameter;
}
type RelaxedBernoulliConstructor = ConstructorArguments<RelaxedBernoulliArguments, ['temperature', 'probs', 'logits', 'validate_args']>;
const bind = (
  name: string,
  args: readonly unknown[],
): { readonly [K in keyof RelaxedBernoulliArguments]-?: Exclude<RelaxedBernoulliArguments[K], undefined> } =>
  bindConstructor<RelaxedBernoulliArguments>(
    name,
    ['temperature', 'probs', 'logits', 'validate_args'],
    { probs: null, logits: null, validate_args: null },
    args,
  );

/** The logit of a relaxed Bernoulli number. */
export class LogitRelaxedBernoulli extends SuccessDistribution {
  static override readonly arg_constraints = { probs: constraints.unit_interval, logits: constraints.real };
  static override readonly support = constraints.real;
  readonly temperature: Tensor;

  constructor(...args: RelaxedBernoulliConstructor) {
    const a = bind('LogitRelaxedBernoulli', args);
    super(givenOf(a.probs, a.logits), a);
    this.temperature = broadcast_all(a.temperature)[0];
    this.validateArguments();
  }
  override rsample(sample_shape: Size = []): Tensor {
    const shape = this.extendedShape(sample_shape);
    const probs = clamp_probs(this.probs.expand(shape));
    const u = clamp_probs(uniform(shape, probs));
    return u.log().sub(u.neg().log1p()).add(probs.log()).sub(probs.neg().log1p()).div(this.temperature);
  }
  override log_prob(given: Tensor): Tensor {
    this.validateSample(given);
    const [logits, value] = broadcast_all(this.logits, given);
    const difference = logits.sub(value.mul(this.temperature));
    return this.temperature.log().add(difference).sub(difference.exp().log1p().mul(2));
  }
}

export class RelaxedBernoulli extends TransformedDistribution<LogitRelaxedBernoulli> {
  static override readonly arg_constraints = { probs: constraints.unit_interval, logits: constraints.real };
  static override readonly support: constraints.Constraint = constraints.unit_interval;

  constructor(...args: RelaxedBernoulliConstructor) {
    const { temperature, probs, logits, validate_args } = bind('RelaxedBernoulli', args);
    super(new LogitRelaxedBernoulli(temperature, probs, logits, { validate_args }), new SigmoidTransform(), { validate_args });
    this.validateArguments();
  }
  override get has_rsample(): boolean {
    return true;
  }
  get temperature(): Tensor {
    return this.base_dist.temperature;
  }
  get logits(): Tensor {
    return this.base_dist.logits;
  }
  get probs(): Tensor {
    return this.base_dist.probs;
  }
}

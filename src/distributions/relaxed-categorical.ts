/** https://docs.pytorch.org/docs/stable/distributions.html#relaxedonehotcategorical */
import { bindConstructor, type ConstructorArguments } from '../nn/arguments.ts';
import { type Tensor, torchFunctions as torch } from '../ops/methods.ts';
import { Categorical } from './categorical.ts';
import * as constraints from './constraints.ts';
import { Distribution } from './distribution.ts';
import type { RowProbsLogits } from './probs-or-logits.ts';
import { TransformedDistribution } from './transformed-distribution.ts';
import { ExpTransform } from './transforms.ts';
import { broadcast_all, clamp_probs, type Parameter, type Size, uniform } from './utils.ts';

interface RelaxedCategoricalArguments extends RowProbsLogits {
  readonly temperature: Parameter;
}
type RelaxedCategoricalConstructor = ConstructorArguments<RelaxedCategoricalArguments, ['temperature', 'probs', 'logits', 'validate_args']>;
const bind = (
  name: string,
  args: readonly unknown[],
): { readonly [K in keyof RelaxedCategoricalArguments]-?: Exclude<RelaxedCategoricalArguments[K], undefined> } =>
  bindConstructor<RelaxedCategoricalArguments>(
    name,
    ['temperature', 'probs', 'logits', 'validate_args'],
    { probs: null, logits: null, validate_args: null },
    args,
  );

/** The log of a relaxed one-hot vector. */
export class ExpRelaxedCategorical extends Distribution {
  static override readonly arg_constraints = { probs: constraints.simplex, logits: constraints.real_vector };
  static override readonly support = constraints.real_vector;
  static override readonly has_rsample: boolean = true;
  readonly temperature: Tensor;
  protected readonly categorical: Categorical;

  constructor(...args: RelaxedCategoricalConstructor) {
    const a = bind('ExpRelaxedCategorical', args);
    const categorical = new Categorical(a.probs, a.logits, { validate_args: a.validate_args });
    super(categorical.batch_shape, categorical.param_shape.slice(-1), a);
    this.categorical = categorical;
    this.temperature = broadcast_all(a.temperature)[0];
    this.validateArguments();
  }
  protected override expanded(batch_shape: Size): object {
    return { categorical: this.categorical.expand(batch_shape) };
  }
  get param_shape(): number[] {
    return this.categorical.param_shape;
  }
  get logits(): Tensor {
    return this.categorical.logits;
  }
  get probs(): Tensor {
    return this.categorical.probs;
  }
  override rsample(sample_shape: Size = []): Tensor {
    const u = clamp_probs(uniform(this.extendedShape(sample_shape), this.logits));
    const gumbels = u.log().neg().log().neg();
    const scores = this.logits.add(gumbels).div(this.temperature);
    return scores.sub(scores.logsumexp([-1], true));
  }
  override log_prob(given: Tensor): Tensor {
    this.validateSample(given);
    const k = this.categorical.num_events;
    const [logits, value] = broadcast_all(this.logits, given);
    const logScale = torch
      .full_like(this.temperature, k)
      .lgamma()
      .sub(this.temperature.log().mul(-(k - 1)));
    const score = logits.sub(value.mul(this.temperature));
    return score
      .sub(score.logsumexp([-1], true))
      .sum(-1)
      .add(logScale);
  }
}

export class RelaxedOneHotCategorical extends TransformedDistribution<ExpRelaxedCategorical> {
  static override readonly arg_constraints = { probs: constraints.simplex, logits: constraints.real_vector };
  static override readonly support: constraints.Constraint = constraints.simplex;

  constructor(...args: RelaxedCategoricalConstructor) {
    const { temperature, probs, logits, validate_args } = bind('RelaxedOneHotCategorical', args);
    super(new ExpRelaxedCategorical(temperature, probs, logits, { validate_args }), new ExpTransform(), { validate_args });
    this.validateArguments();
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

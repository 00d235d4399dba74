/** Constructors that take probabilities or logits, one of the two. The other is computed on first use and remembered. */
import { bindConstructor, type ConstructorArguments } from '../nn/arguments.ts';
import type { Tensor } from '../ops/methods.ts';
import { checkOneGiven, Distribution, type DistributionOptions } from './distribution.ts';
import { broadcast_all, logits_to_probs, type Parameter, probs_to_logits } from './utils.ts';

export interface ProbsLogits extends DistributionOptions {
  readonly probs?: Parameter | null;
  readonly logits?: Parameter | null;
}
export type ProbsLogitsArguments = ConstructorArguments<ProbsLogits, ['probs', 'logits', 'validate_args']>;
/** Rows of probabilities: tensors only. */
export interface RowProbsLogits extends DistributionOptions {
  readonly probs?: Tensor | null;
  readonly logits?: Tensor | null;
}
export type RowProbsLogitsArguments = ConstructorArguments<RowProbsLogits, ['probs', 'logits', 'validate_args']>;

export const bindProbsLogits = <P extends ProbsLogits | RowProbsLogits>(
  name: string,
  args: readonly unknown[],
): { readonly [K in keyof P]-?: Exclude<P[K], undefined> } =>
  bindConstructor<P>(
    name,
    ['probs', 'logits', 'validate_args'] as never,
    { probs: null, logits: null, validate_args: null } as { readonly [K in keyof P]?: P[K] | null },
    args,
  );

export interface Given {
  readonly name: 'probs' | 'logits';
  readonly value: Tensor;
}
/** Which of the two was given, as a tensor. */
export function givenOf(probs: Parameter | null, logits: Parameter | null): Given {
  checkOneGiven(probs, logits);
  return probs !== null
    ? { name: 'probs', value: broadcast_all(probs)[0] }
    : { name: 'logits', value: broadcast_all(logits as Parameter)[0] };
}
/** The same, with a count that takes its shape and dtype. */
export function givenWithCount(count: Parameter, probs: Parameter | null, logits: Parameter | null): Given & { readonly count: Tensor } {
  checkOneGiven(probs, logits);
  const [total, value] = broadcast_all(count, (probs ?? logits) as Parameter);
  return { name: probs !== null ? 'probs' : 'logits', value, count: total.type_as(value) };
}

/** A distribution of numbers that is given by the probability of a success or its logit. A constructor ends with `validateArguments()`. */
export abstract class SuccessDistribution extends Distribution {
  protected static override readonly lazyParameters = ['probs', 'logits'];
  protected readonly given: 'probs' | 'logits';

  constructor({ name, value }: Given, options: DistributionOptions) {
    super(value.shape, [], options);
    this.given = name;
    this.own(name, value);
  }
  get probs(): Tensor {
    return this.remember('probs', () => logits_to_probs(this.logits, true));
  }
  get logits(): Tensor {
    return this.remember('logits', () => probs_to_logits(this.probs, true));
  }
  get param_shape(): number[] {
    return this.param.shape;
  }
  /** What was given. */
  protected get param(): Tensor {
    return this[this.given];
  }
}

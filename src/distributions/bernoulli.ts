/** https://docs.pytorch.org/docs/stable/distributions.html#bernoulli */
import { no_grad } from '../autograd/modes.ts';
import type { DType } from '../dtype/dtype.ts';
import { functional, type Tensor, torchFunctions as torch } from '../ops/methods.ts';
import * as constraints from './constraints.ts';
import { ExponentialFamily } from './exponential-family.ts';
import { bindProbsLogits, givenOf, type ProbsLogits, type ProbsLogitsArguments } from './probs-or-logits.ts';
import { broadcast_all, like, logits_to_probs, oneMinus, probs_to_logits, type Size } from './utils.ts';

/** -log p of a value under logits. */
export const binaryCrossEntropy = (logits: Tensor, value: Tensor): Tensor =>
  functional.binary_cross_entropy_with_logits(logits, value, { reduction: 'none' });

export class Bernoulli extends ExponentialFamily {
  static override readonly arg_constraints = { probs: constraints.unit_interval, logits: constraints.real };
  static override readonly support = constraints.boolean;
  static override readonly has_enumerate_support: boolean = true;
  protected static override readonly lazyParameters = ['probs', 'logits'];
  protected readonly given: 'probs' | 'logits';

  constructor(...args: ProbsLogitsArguments) {
    const a = bindProbsLogits<ProbsLogits>('Bernoulli', args);
    const { name, value } = givenOf(a.probs, a.logits);
    super(value.shape, [], a);
    this.given = name;
    this.own(name, value);
    this.validateArguments();
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
  override get mean(): Tensor {
    return this.probs;
  }
  override get mode(): Tensor {
    return this.probs.ge(0.5).to(this.probs.dtype).masked_fill(this.probs.eq(0.5), Number.NaN);
  }
  override get variance(): Tensor {
    return this.probs.mul(oneMinus(this.probs));
  }
  override sample(sample_shape: Size = []): Tensor {
    return no_grad(() => torch.bernoulli(this.probs.expand(this.extendedShape(sample_shape))));
  }
  override log_prob(value: Tensor): Tensor {
    this.validateSample(value);
    const [logits, target] = broadcast_all(this.logits, value);
    return binaryCrossEntropy(logits, target).neg();
  }
  override entropy(): Tensor {
    return binaryCrossEntropy(this.logits, this.probs);
  }
  override enumerate_support(expand = true): Tensor {
    return countTo(2, this.param, this.batch_shape, expand);
  }
  override get _natural_params(): readonly Tensor[] {
    return [this.probs.logit()];
  }
  override _log_normalizer(x: Tensor): Tensor {
    return x.exp().log1p();
  }
  override get _mean_carrier_measure(): number {
    return 0;
  }
}

/** 0, 1, ..., n - 1 along a first dim, over a batch. */
export function countTo(
  n: number,
  x: Tensor,
  batch_shape: Size,
  expand: boolean,
  options: { readonly dtype: DType; readonly device: string } = like(x),
): Tensor {
  const values = torch.arange(0, n, options).view([-1, ...batch_shape.map(() => 1)]);
  return expand ? values.expand([-1, ...batch_shape]) : values;
}

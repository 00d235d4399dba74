/** https://docs.pytorch.org/docs/stable/distributions.html#geometric: failures before the first success. */
import { no_grad } from '../autograd/modes.ts';
import { finfo } from '../dtype/dtype.ts';
import { pythonTuple } from '../nn/repr.ts';
import { type Tensor, torchFunctions as torch } from '../ops/methods.ts';
import { binaryCrossEntropy } from './bernoulli.ts';
import * as constraints from './constraints.ts';
import { Distribution } from './distribution.ts';
import { bindProbsLogits, givenOf, type ProbsLogits, type ProbsLogitsArguments } from './probs-or-logits.ts';
import { broadcast_all, isAllTrue, like, logits_to_probs, probs_to_logits, type Size, valueText } from './utils.ts';

export class Geometric extends Distribution {
  static override readonly arg_constraints = { probs: constraints.unit_interval, logits: constraints.real };
  static override readonly support = constraints.nonnegative_integer;
  protected static override readonly lazyParameters = ['probs', 'logits'];
  protected readonly given: 'probs' | 'logits';

  constructor(...args: ProbsLogitsArguments) {
    const a = bindProbsLogits<ProbsLogits>('Geometric', args);
    const { name, value } = givenOf(a.probs, a.logits);
    super(value.shape, [], a);
    this.given = name;
    this.own(name, value);
    this.validateArguments();
    if (this.validate_args && name === 'probs') {
      const valid = value.gt(0);
      if (!isAllTrue(valid))
        throw new Error(
          `Expected parameter probs (${value.constructor.name} of shape ${pythonTuple(value.shape)}) of distribution ${this} ` +
            `to be positive but found invalid values:\n${valueText(value.detach().at(valid.logical_not()))}`,
        );
    }
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
    return this.probs.reciprocal().sub(1);
  }
  override get mode(): Tensor {
    return torch.zeros_like(this.probs);
  }
  override get variance(): Tensor {
    return this.probs.reciprocal().sub(1).div(this.probs);
  }
  override sample(sample_shape: Size = []): Tensor {
    return no_grad(() => {
      const { probs } = this;
      const u = torch.empty(this.extendedShape(sample_shape), like(probs)).uniform_(finfo(probs.dtype).tiny, 1);
      return u.log().div(probs.neg().log1p()).floor();
    });
  }
  override log_prob(given: Tensor): Tensor {
    this.validateSample(given);
    const [value, all] = broadcast_all(given, this.probs);
    const probs = all.masked_fill(all.eq(1).logical_and(value.eq(0)), 0);
    return value.mul(probs.neg().log1p()).add(this.probs.log());
  }
  override entropy(): Tensor {
    return binaryCrossEntropy(this.logits, this.probs).div(this.probs);
  }
}

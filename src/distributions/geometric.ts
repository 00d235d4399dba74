/** https://docs.pytorch.org/docs/stable/distributions.html#geometric: failures before the first success. */
import { no_grad } from '../autograd/modes.ts';
import { finfo } from '../dtype/dtype.ts';
import { pythonTuple } from '../nn/repr.ts';
import { type Tensor, torchFunctions as torch } from '../ops/methods.ts';
import { binaryCrossEntropy } from './bernoulli.ts';
import * as constraints from './constraints.ts';
import { bindProbsLogits, givenOf, type ProbsLogits, type ProbsLogitsArguments, SuccessDistribution } from './probs-or-logits.ts';
import { broadcast_all, isAllTrue, like, type Size, valueText } from './utils.ts';

export class Geometric extends SuccessDistribution {
  static override readonly arg_constraints = { probs: constraints.unit_interval, logits: constraints.real };
  static override readonly support = constraints.nonnegative_integer;

  constructor(...args: ProbsLogitsArguments) {
    const a = bindProbsLogits<ProbsLogits>('Geometric', args);
    const given = givenOf(a.probs, a.logits);
    const { name, value } = given;
    super(given, a);
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

/** https://docs.pytorch.org/docs/stable/distributions.html#binomial */
import { no_grad } from '../autograd/modes.ts';
import { bindConstructor, type ConstructorArguments } from '../nn/arguments.ts';
import { type Tensor, torchFunctions as torch } from '../ops/methods.ts';
import { countTo } from './bernoulli.ts';
import * as constraints from './constraints.ts';
import { givenWithCount, type ProbsLogits, SuccessDistribution } from './probs-or-logits.ts';
import { NotImplementedError, oneMinus, type Parameter, type Size } from './utils.ts';

interface BinomialArguments extends ProbsLogits {
  readonly total_count?: Parameter;
}
/** max(x, 0), with half the gradient at zero. */
const clampByZero = (x: Tensor): Tensor => x.clamp(0).add(x).sub(x.clamp(null, 0)).div(2);

export class Binomial extends SuccessDistribution {
  static override readonly arg_constraints = {
    total_count: constraints.nonnegative_integer,
    probs: constraints.unit_interval,
    logits: constraints.real,
  };
  static override readonly has_enumerate_support: boolean = true;
  readonly total_count: Tensor;

  constructor(...args: ConstructorArguments<BinomialArguments, ['total_count', 'probs', 'logits', 'validate_args']>) {
    const order = ['total_count', 'probs', 'logits', 'validate_args'] as const;
    const a = bindConstructor<BinomialArguments>(
      'Binomial',
      order,
      { total_count: 1, probs: null, logits: null, validate_args: null },
      args,
    );
    const given = givenWithCount(a.total_count, a.probs, a.logits);
    super(given, a);
    this.total_count = given.count;
    this.validateArguments();
  }
  override get support(): constraints.IntegerInterval {
    return constraints.integer_interval(0, this.total_count);
  }
  override get mean(): Tensor {
    return this.total_count.mul(this.probs);
  }
  override get mode(): Tensor {
    return torch.minimum(this.total_count.add(1).mul(this.probs).floor(), this.total_count);
  }
  override get variance(): Tensor {
    return this.total_count.mul(this.probs).mul(oneMinus(this.probs));
  }
  override sample(sample_shape: Size = []): Tensor {
    const shape = this.extendedShape(sample_shape);
    return no_grad(() => torch.binomial(this.total_count.expand(shape), this.probs.expand(shape)));
  }
  override log_prob(value: Tensor): Tensor {
    this.validateSample(value);
    const { total_count: n, logits } = this;
    const normalizer = n.mul(clampByZero(logits)).add(n.mul(logits.abs().neg().exp().log1p())).sub(n.add(1).lgamma());
    return value.mul(logits).sub(value.add(1).lgamma()).sub(n.sub(value).add(1).lgamma()).sub(normalizer);
  }
  /** The count, which must be the same in the whole batch. */
  private count(what: string): number {
    const most = this.total_count.max().item();
    if (this.total_count.min().item() !== most) throw new NotImplementedError(`Inhomogeneous total count not supported by \`${what}\`.`);
    return most;
  }
  override entropy(): Tensor {
    this.count('entropy');
    const values = this.enumerate_support(false);
    const log_prob = this.log_prob(values);
    return log_prob.exp().mul(log_prob).sum(0).neg();
  }
  override enumerate_support(expand = true): Tensor {
    return countTo(1 + this.count('enumerate_support'), this.param, this.batch_shape, expand);
  }
}

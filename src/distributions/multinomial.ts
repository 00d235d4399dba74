/** https://docs.pytorch.org/docs/stable/distributions.html#multinomial */
import { bindConstructor, type ConstructorArguments } from '../nn/arguments.ts';
import { type Tensor, torchFunctions as torch } from '../ops/methods.ts';
import { Binomial } from './binomial.ts';
import { Categorical } from './categorical.ts';
import * as constraints from './constraints.ts';
import { Distribution } from './distribution.ts';
import type { RowProbsLogits } from './probs-or-logits.ts';
import { broadcast_all, NotImplementedError, oneMinus, type Size, tensor } from './utils.ts';

interface MultinomialArguments extends RowProbsLogits {
  readonly total_count?: number;
}
export class Multinomial extends Distribution {
  static override readonly arg_constraints = { probs: constraints.simplex, logits: constraints.real_vector };
  readonly total_count: number;
  protected readonly categorical: Categorical;

  constructor(...args: ConstructorArguments<MultinomialArguments, ['total_count', 'probs', 'logits', 'validate_args']>) {
    const order = ['total_count', 'probs', 'logits', 'validate_args'] as const;
    const defaults = { total_count: 1, probs: null, logits: null, validate_args: null };
    const a = bindConstructor<MultinomialArguments>('Multinomial', order, defaults, args);
    if (!Number.isInteger(a.total_count)) throw new NotImplementedError('inhomogeneous total_count is not supported');
    const categorical = new Categorical(a.probs, a.logits, { validate_args: a.validate_args });
    super(categorical.batch_shape, categorical.param_shape.slice(-1), a);
    this.total_count = a.total_count;
    this.categorical = categorical;
    this.validateArguments();
  }
  protected override expanded(batch_shape: Size): object {
    return { categorical: this.categorical.expand(batch_shape) };
  }
  override get support(): constraints.MultinomialConstraint {
    return constraints.multinomial(this.total_count);
  }
  get probs(): Tensor {
    return this.categorical.probs;
  }
  get logits(): Tensor {
    return this.categorical.logits;
  }
  get param_shape(): number[] {
    return this.categorical.param_shape;
  }
  override get mean(): Tensor {
    return this.probs.mul(this.total_count);
  }
  override get variance(): Tensor {
    return this.probs.mul(this.total_count).mul(oneMinus(this.probs));
  }
  override sample(sample_shape: Size = []): Tensor {
    const samples = this.categorical.sample([this.total_count, ...sample_shape]);
    const index = samples.permute([...Array(samples.ndim - 1).keys()].map((i) => i + 1).concat(0));
    const counts = torch.zeros(this.extendedShape(sample_shape), { dtype: index.dtype, device: index.device });
    return counts.scatter_add(-1, index, torch.ones_like(index)).type_as(this.probs);
  }
  override entropy(): Tensor {
    const n = this.total_count;
    const logFactorial = tensor(n + 1, { dtype: this.probs.dtype, device: this.probs.device }).lgamma();
    const first = this.categorical.entropy().mul(n).sub(logFactorial);
    const binomial = new Binomial(n, this.probs, { validate_args: false });
    const support = binomial.enumerate_support(false).narrow(0, 1, n);
    const second = binomial.log_prob(support).exp().mul(support.add(1).lgamma()).sum([0, -1]);
    return first.add(second);
  }
  override log_prob(given: Tensor): Tensor {
    this.validateSample(given);
    const [all, value] = broadcast_all(this.logits, given);
    const logits = all.masked_fill(value.eq(0).logical_and(all.eq(Number.NEGATIVE_INFINITY)), 0);
    const logFactorials = value.add(1).lgamma().sum(-1);
    return value.sum(-1).add(1).lgamma().sub(logFactorials).add(logits.mul(value).sum(-1));
  }
}

/** https://docs.pytorch.org/docs/stable/distributions.html#categorical */
import { finfo, int64 } from '../dtype/dtype.ts';
import { type Tensor, torchFunctions as torch } from '../ops/methods.ts';
import { countTo } from './bernoulli.ts';
import * as constraints from './constraints.ts';
import { checkOneGiven, Distribution } from './distribution.ts';
import { bindProbsLogits, type RowProbsLogits, type RowProbsLogitsArguments } from './probs-or-logits.ts';
import { filled, logits_to_probs, probs_to_logits, type Size } from './utils.ts';

export class Categorical extends Distribution {
  static override readonly arg_constraints = { probs: constraints.simplex, logits: constraints.real_vector };
  static override readonly has_enumerate_support: boolean = true;
  protected static override readonly lazyParameters = ['probs', 'logits'];
  protected readonly given: 'probs' | 'logits';
  /** How many values there are. */
  readonly num_events: number;

  constructor(...args: RowProbsLogitsArguments) {
    const a = bindProbsLogits<RowProbsLogits>('Categorical', args);
    checkOneGiven(a.probs, a.logits);
    const name = a.probs !== null ? 'probs' : 'logits';
    const value = a[name] as Tensor;
    if (value.ndim < 1) throw new Error(`\`${name}\` parameter must be at least one-dimensional.`);
    super(value.shape.slice(0, -1), [], a);
    this.given = name;
    this.num_events = value.shape[value.ndim - 1];
    this.own(name, name === 'probs' ? value.div(value.sum(-1, true)) : value.sub(value.logsumexp([-1], true)));
    this.validateArguments();
  }
  get probs(): Tensor {
    return this.remember('probs', () => logits_to_probs(this.logits));
  }
  get logits(): Tensor {
    return this.remember('logits', () => probs_to_logits(this.probs));
  }
  get param_shape(): number[] {
    return this.param.shape;
  }
  /** What was given, normalized. */
  get param(): Tensor {
    return this[this.given];
  }
  override get support(): constraints.IntegerInterval {
    return constraints.integer_interval(0, this.num_events - 1);
  }
  override get mean(): Tensor {
    return filled(this.extendedShape(), Number.NaN, this.probs);
  }
  override get mode(): Tensor {
    return this.probs.argmax(-1);
  }
  override get variance(): Tensor {
    return filled(this.extendedShape(), Number.NaN, this.probs);
  }
  override sample(sample_shape: Size = []): Tensor {
    const rows = this.probs.reshape([-1, this.num_events]);
    const count = sample_shape.reduce((a, b) => a * b, 1);
    return torch.multinomial(rows.detach(), count, true).T.reshape(this.extendedShape(sample_shape));
  }
  override log_prob(value: Tensor): Tensor {
    this.validateSample(value);
    const [index, logits] = torch.broadcast_tensors([value.long().unsqueeze(-1), this.logits]) as Tensor[];
    return logits.gather(-1, index.narrow(-1, 0, 1)).squeeze(-1);
  }
  override entropy(): Tensor {
    const logits = this.logits.clamp(finfo(this.logits.dtype).min);
    return logits.mul(this.probs).sum(-1).neg();
  }
  override enumerate_support(expand = true): Tensor {
    return countTo(this.num_events, this.param, this.batch_shape, expand, { dtype: int64, device: this.param.device });
  }
}

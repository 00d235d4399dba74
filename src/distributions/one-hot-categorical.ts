/** https://docs.pytorch.org/docs/stable/distributions.html#onehotcategorical */
import { functional, type Tensor, torchFunctions as torch } from '../ops/methods.ts';
import { Categorical } from './categorical.ts';
import * as constraints from './constraints.ts';
import { Distribution } from './distribution.ts';
import { bindProbsLogits, type RowProbsLogits, type RowProbsLogitsArguments } from './probs-or-logits.ts';
import { like, oneMinus, type Size } from './utils.ts';

export class OneHotCategorical extends Distribution {
  static override readonly arg_constraints = { probs: constraints.simplex, logits: constraints.real_vector };
  static override readonly support = constraints.one_hot;
  static override readonly has_enumerate_support: boolean = true;
  /** The distribution of the index. */
  readonly categorical: Categorical;

  constructor(...args: RowProbsLogitsArguments) {
    const a = bindProbsLogits<RowProbsLogits>('OneHotCategorical', args);
    const categorical = new Categorical(a.probs, a.logits, { validate_args: a.validate_args });
    super(categorical.batch_shape, categorical.param_shape.slice(-1), a);
    this.categorical = categorical;
    this.validateArguments();
  }
  protected override expanded(batch_shape: Size): object {
    return { categorical: this.categorical.expand(batch_shape) };
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
    return this.probs;
  }
  override get mode(): Tensor {
    return functional.one_hot(this.probs.argmax(-1), this.categorical.num_events).to(this.probs.dtype);
  }
  override get variance(): Tensor {
    return this.probs.mul(oneMinus(this.probs));
  }
  override sample(sample_shape: Size = []): Tensor {
    return functional.one_hot(this.categorical.sample(sample_shape), this.categorical.num_events).to(this.probs.dtype);
  }
  override log_prob(value: Tensor): Tensor {
    this.validateSample(value);
    return this.categorical.log_prob(value.max(-1)[1]);
  }
  override entropy(): Tensor {
    return this.categorical.entropy();
  }
  override enumerate_support(expand = true): Tensor {
    const n = this.event_shape[0];
    const values = torch.eye(n, like(this.categorical.param)).view([n, ...this.batch_shape.map(() => 1), n]);
    return expand ? values.expand([n, ...this.batch_shape, n]) : values;
  }
}

/** https://docs.pytorch.org/docs/stable/distributions.html#onehotcategoricalstraightthrough: samples pass their gradient to the probabilities. */
export class OneHotCategoricalStraightThrough extends OneHotCategorical {
  static override readonly has_rsample: boolean = true;
  override rsample(sample_shape: Size = []): Tensor {
    return this.sample(sample_shape).add(this.probs.sub(this.probs.detach()));
  }
}

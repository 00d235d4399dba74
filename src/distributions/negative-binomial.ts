/** https://docs.pytorch.org/docs/stable/distributions.html#negativebinomial */
import { no_grad } from '../autograd/modes.ts';
import { bindConstructor, type ConstructorArguments } from '../nn/arguments.ts';
import { functional, type Tensor, torchFunctions as torch } from '../ops/methods.ts';
import * as constraints from './constraints.ts';
import { Gamma } from './gamma.ts';
import { givenWithCount, type ProbsLogits, SuccessDistribution } from './probs-or-logits.ts';
import type { Parameter, Size } from './utils.ts';

interface NegativeBinomialArguments extends ProbsLogits {
  readonly total_count: Parameter;
}
export class NegativeBinomial extends SuccessDistribution {
  static override readonly arg_constraints = {
    total_count: constraints.greater_than_eq(0),
    probs: constraints.half_open_interval(0, 1),
    logits: constraints.real,
  };
  static override readonly support = constraints.nonnegative_integer;
  readonly total_count: Tensor;

  constructor(...args: ConstructorArguments<NegativeBinomialArguments, ['total_count', 'probs', 'logits', 'validate_args']>) {
    const order = ['total_count', 'probs', 'logits', 'validate_args'] as const;
    const a = bindConstructor<NegativeBinomialArguments>(
      'NegativeBinomial',
      order,
      { probs: null, logits: null, validate_args: null },
      args,
    );
    const given = givenWithCount(a.total_count, a.probs, a.logits);
    super(given, a);
    this.total_count = given.count;
    this.validateArguments();
  }
  override get mean(): Tensor {
    return this.total_count.mul(this.logits.exp());
  }
  override get mode(): Tensor {
    return this.total_count.sub(1).mul(this.logits.exp()).floor().clamp(0);
  }
  override get variance(): Tensor {
    return this.mean.div(torch.sigmoid(this.logits.neg()));
  }
  override sample(sample_shape: Size = []): Tensor {
    return no_grad(() => {
      const gamma = new Gamma(this.total_count, this.logits.neg().exp(), { validate_args: false });
      return torch.poisson(gamma.sample(sample_shape));
    });
  }
  override log_prob(value: Tensor): Tensor {
    this.validateSample(value);
    const { total_count: n, logits } = this;
    const unnormalized = n.mul(functional.logsigmoid(logits.neg())).add(value.mul(functional.logsigmoid(logits)));
    const normalizer = n.add(value).lgamma().neg().add(value.add(1).lgamma()).add(n.lgamma());
    return unnormalized.sub(normalizer.masked_fill(n.add(value).eq(0), 0));
  }
}

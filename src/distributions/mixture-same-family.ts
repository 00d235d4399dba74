/** https://docs.pytorch.org/docs/stable/distributions.html#mixturesamefamily: a categorical over the last batch dim of the components. */
import { no_grad } from '../autograd/modes.ts';
import { bindConstructor, type ConstructorArguments } from '../nn/arguments.ts';
import { functional, type Tensor, torchFunctions as torch } from '../ops/methods.ts';
import { Categorical } from './categorical.ts';
import * as constraints from './constraints.ts';
import { Distribution, type DistributionOptions } from './distribution.ts';
import { type Size, sizeText } from './utils.ts';

interface MixtureArguments extends DistributionOptions {
  readonly mixture_distribution: Categorical;
  readonly component_distribution: Distribution;
}
export class MixtureSameFamily extends Distribution {
  readonly mixture_distribution: Categorical;
  readonly component_distribution: Distribution;

  constructor(...args: ConstructorArguments<MixtureArguments, ['mixture_distribution', 'component_distribution', 'validate_args']>) {
    const order = ['mixture_distribution', 'component_distribution', 'validate_args'] as const;
    const a = bindConstructor<MixtureArguments>('MixtureSameFamily', order, { validate_args: null }, args);
    const { mixture_distribution: mixture, component_distribution: component } = a;
    if (!(mixture instanceof Categorical))
      throw new Error(' The Mixture distribution needs to be an  instance of torch.distributions.Categorical');
    if (!(component instanceof Distribution))
      throw new Error('The Component distribution need to be an instance of torch.distributions.Distribution');
    const batch = component.batch_shape.slice(0, -1);
    for (let k = 1; k <= Math.min(mixture.batch_shape.length, batch.length); k++) {
      const m = mixture.batch_shape[mixture.batch_shape.length - k];
      const c = batch[batch.length - k];
      if (m !== 1 && c !== 1 && m !== c)
        throw new Error(
          `\`mixture_distribution.batch_shape\` (${sizeText(mixture.batch_shape)}) is not compatible with \`component_distribution.batch_shape\`(${sizeText(batch)})`,
        );
    }
    const km = mixture.logits.shape[mixture.logits.ndim - 1];
    const kc = component.batch_shape[component.batch_shape.length - 1];
    if (km !== kc)
      throw new Error(`\`mixture_distribution component\` (${km}) does not equal \`component_distribution.batch_shape[-1]\` (${kc})`);
    super(batch, component.event_shape, a);
    this.mixture_distribution = mixture;
    this.component_distribution = component;
  }
  protected override expanded(batch_shape: Size): object {
    return {
      component_distribution: this.component_distribution.expand([...batch_shape, this.mixture_distribution.num_events]),
      mixture_distribution: this.mixture_distribution.expand(batch_shape),
    };
  }
  override get support(): constraints.Constraint {
    return new constraints.MixtureSameFamilyConstraint(this.component_distribution.support);
  }
  /** The dim of the components in samples that have it. */
  private get dim(): number {
    return -1 - this.event_shape.length;
  }
  private weights(): Tensor {
    const { probs, batch_shape } = this.mixture_distribution;
    const missing = batch_shape.length === 1 ? 0 : this.batch_shape.length - batch_shape.length;
    const ones = (n: number): number[] => Array<number>(n).fill(1);
    return probs.reshape([...batch_shape, ...ones(missing), probs.shape[probs.ndim - 1], ...ones(this.event_shape.length)]);
  }
  override get mean(): Tensor {
    return this.weights().mul(this.component_distribution.mean).sum(this.dim);
  }
  override get variance(): Tensor {
    const weights = this.weights();
    const { mean, variance } = this.component_distribution;
    const within = weights.mul(variance).sum(this.dim);
    const between = weights.mul(mean.sub(this.mean.unsqueeze(this.dim)).pow(2)).sum(this.dim);
    return within.add(between);
  }
  override cdf(x: Tensor): Tensor {
    return this.component_distribution.cdf(x.unsqueeze(this.dim)).mul(this.mixture_distribution.probs).sum(-1);
  }
  override log_prob(x: Tensor): Tensor {
    this.validateSample(x);
    const logs = this.component_distribution.log_prob(x.unsqueeze(this.dim));
    return logs.add(functional.log_softmax(this.mixture_distribution.logits, -1)).logsumexp([-1]);
  }
  override sample(sample_shape: Size = []): Tensor {
    return no_grad(() => {
      const at = sample_shape.length + this.batch_shape.length;
      const picked = this.mixture_distribution.sample(sample_shape);
      const samples = this.component_distribution.sample(sample_shape);
      const index = picked
        .reshape([...picked.shape, 1, ...this.event_shape.map(() => 1)])
        .expand([...picked.shape, 1, ...this.event_shape]);
      return torch.gather(samples, at, index).squeeze(at);
    });
  }
  override toString(): string {
    return `MixtureSameFamily(\n  ${this.mixture_distribution},\n  ${this.component_distribution})`;
  }
}

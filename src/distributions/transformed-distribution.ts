/** https://docs.pytorch.org/docs/stable/distributions.html#transformeddistribution: samples of a base distribution, mapped. */
import { no_grad } from '../autograd/modes.ts';
import { bindConstructor, type ConstructorArguments } from '../nn/arguments.ts';
import type { Tensor } from '../ops/methods.ts';
import * as constraints from './constraints.ts';
import { Distribution, type DistributionOptions, sameShape } from './distribution.ts';
import { Independent } from './independent.ts';
import { ComposeTransform, productOfSigns, Transform } from './transform.ts';
import { type Size, sizeText, sumRightmost } from './utils.ts';

interface TransformedArguments extends DistributionOptions {
  readonly base_distribution: Distribution;
  readonly transforms: Transform | readonly Transform[];
}
export class TransformedDistribution<D extends Distribution = Distribution> extends Distribution {
  readonly base_dist: D;
  readonly transforms: readonly Transform[];

  constructor(...args: ConstructorArguments<TransformedArguments, ['base_distribution', 'transforms', 'validate_args']>) {
    const order = ['base_distribution', 'transforms', 'validate_args'] as const;
    const a = bindConstructor<TransformedArguments>('TransformedDistribution', order, { validate_args: null }, args);
    const transforms = listOf(a.transforms);
    const { base, batch_shape, event_shape } = composed(a.base_distribution, new ComposeTransform(transforms));
    super(batch_shape, event_shape, a);
    this.base_dist = base as D;
    this.transforms = transforms;
  }
  protected override expanded(batch_shape: Size): object {
    const shape = this.transforms.reduceRight((s, t) => t.inverse_shape(s), [...batch_shape, ...this.event_shape] as Size);
    const base = this.base_dist.expand(shape.slice(0, shape.length - this.base_dist.event_shape.length));
    return { ...super.expanded(batch_shape), base_dist: base };
  }
  /** A subclass may say it; otherwise the last transform does. */
  override get support(): constraints.Constraint {
    const own = super.support;
    if (own !== constraints.dependent) return own;
    if (this.transforms.length === 0) return this.base_dist.support;
    const { codomain } = this.transforms[this.transforms.length - 1];
    const more = this.event_shape.length - codomain.event_dim;
    return more > 0 ? constraints.independent(codomain, more) : codomain;
  }
  override get has_rsample(): boolean {
    return this.base_dist.has_rsample;
  }
  private mapped(x: Tensor): Tensor {
    return this.transforms.reduce((value, t) => t(value), x);
  }
  override sample(sample_shape: Size = []): Tensor {
    return no_grad(() => this.mapped(this.base_dist.sample(sample_shape)));
  }
  override rsample(sample_shape: Size = []): Tensor {
    return this.mapped(this.base_dist.rsample(sample_shape));
  }
  override log_prob(value: Tensor): Tensor {
    this.validateSample(value);
    let dims = this.event_shape.length;
    let y = value;
    let log: Tensor | null = null;
    for (const t of [...this.transforms].reverse()) {
      const x = t.inv(y);
      dims += t.domain.event_dim - t.codomain.event_dim;
      const term = sumRightmost(t.log_abs_det_jacobian(x, y), dims - t.domain.event_dim);
      log = log === null ? term.neg() : log.sub(term);
      y = x;
    }
    const base = sumRightmost(this.base_dist.log_prob(y), dims - this.base_dist.event_shape.length);
    return log === null ? base : log.add(base);
  }
  /** A decreasing map turns probabilities around. */
  private monotonize(value: Tensor): Tensor {
    const sign = productOfSigns(this.transforms);
    return sign === 1
      ? value
      : value
          .sub(0.5)
          .mul(sign as number)
          .add(0.5);
  }
  override cdf(value: Tensor): Tensor {
    const x = this.transforms.reduceRight((y, t) => t.inv(y), value);
    if (this.validate_args) this.base_dist.validateSample(x);
    return this.monotonize(this.base_dist.cdf(x));
  }
  override icdf(value: Tensor): Tensor {
    return this.mapped(this.base_dist.icdf(this.monotonize(value)));
  }
}

function listOf(transforms: TransformedArguments['transforms']): readonly Transform[] {
  if (transforms instanceof Transform) return [transforms];
  if (!Array.isArray(transforms)) throw new Error(`transforms must be a Transform or list, but was ${transforms}`);
  if (!transforms.every((t) => t instanceof Transform)) throw new Error('transforms must be a Transform or a list of Transforms');
  return [...transforms];
}

/** The base distribution with the batch and event dims that the transform needs, and the shapes of the result. */
function composed(given: Distribution, transform: ComposeTransform): { base: Distribution; batch_shape: Size; event_shape: Size } {
  let base = given;
  const { domain, codomain } = transform;
  const baseShape = [...base.batch_shape, ...base.event_shape];
  const baseDims = base.event_shape.length;
  if (baseShape.length < domain.event_dim)
    throw new Error(`base_distribution needs to have shape with size at least ${domain.event_dim}, but got ${sizeText(baseShape)}.`);
  const forward = transform.forward_shape(baseShape);
  const expanded = transform.inverse_shape(forward);
  if (!sameShape(baseShape, expanded)) base = base.expand(expanded.slice(0, expanded.length - baseDims));
  const reinterpreted = domain.event_dim - baseDims;
  if (reinterpreted > 0) base = new Independent(base, reinterpreted);
  const dims = Math.max(codomain.event_dim, baseDims + codomain.event_dim - domain.event_dim);
  const cut = forward.length - dims;
  return { base, batch_shape: forward.slice(0, cut), event_shape: forward.slice(cut) };
}

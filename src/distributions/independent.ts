/** https://docs.pytorch.org/docs/stable/distributions.html#independent: the last batch dims of a distribution become event dims. */
import { bindConstructor, type ConstructorArguments } from '../nn/arguments.ts';
import type { Tensor } from '../ops/methods.ts';
import * as constraints from './constraints.ts';
import { Distribution, type DistributionOptions } from './distribution.ts';
import { NotImplementedError, type Size, sumRightmost } from './utils.ts';

interface IndependentArguments<D extends Distribution> extends DistributionOptions {
  readonly base_distribution: D;
  readonly reinterpreted_batch_ndims: number;
}
export class Independent<D extends Distribution = Distribution> extends Distribution {
  readonly base_dist: D;
  readonly reinterpreted_batch_ndims: number;

  constructor(...args: ConstructorArguments<IndependentArguments<D>, ['base_distribution', 'reinterpreted_batch_ndims', 'validate_args']>) {
    const order = ['base_distribution', 'reinterpreted_batch_ndims', 'validate_args'] as const;
    const a = bindConstructor<IndependentArguments<D>>('Independent', order, { validate_args: null } as never, args);
    const base: Distribution = a.base_distribution;
    const dims = a.reinterpreted_batch_ndims;
    if (dims > base.batch_shape.length)
      throw new Error(
        `Expected reinterpreted_batch_ndims <= len(base_distribution.batch_shape), actual ${dims} vs ${base.batch_shape.length}`,
      );
    const shape = [...base.batch_shape, ...base.event_shape];
    const cut = base.batch_shape.length - dims;
    super(shape.slice(0, cut), shape.slice(cut), { validate_args: a.validate_args });
    this.base_dist = a.base_distribution;
    this.reinterpreted_batch_ndims = dims;
  }
  protected override expanded(batch_shape: Size): object {
    return { base_dist: this.base_dist.expand([...batch_shape, ...this.event_shape.slice(0, this.reinterpreted_batch_ndims)]) };
  }
  override get has_rsample(): boolean {
    return this.base_dist.has_rsample;
  }
  override get has_enumerate_support(): boolean {
    return this.reinterpreted_batch_ndims === 0 && this.base_dist.has_enumerate_support;
  }
  override get support(): constraints.Constraint {
    const { support } = this.base_dist;
    return this.reinterpreted_batch_ndims === 0 ? support : constraints.independent(support, this.reinterpreted_batch_ndims);
  }
  override get mean(): Tensor {
    return this.base_dist.mean;
  }
  override get mode(): Tensor {
    return this.base_dist.mode;
  }
  override get variance(): Tensor {
    return this.base_dist.variance;
  }
  override sample(sample_shape: Size = []): Tensor {
    return this.base_dist.sample(sample_shape);
  }
  override rsample(sample_shape: Size = []): Tensor {
    return this.base_dist.rsample(sample_shape);
  }
  override log_prob(value: Tensor): Tensor {
    return sumRightmost(this.base_dist.log_prob(value), this.reinterpreted_batch_ndims);
  }
  override entropy(): Tensor {
    return sumRightmost(this.base_dist.entropy(), this.reinterpreted_batch_ndims);
  }
  override enumerate_support(expand = true): Tensor {
    if (this.reinterpreted_batch_ndims > 0) throw new NotImplementedError('Enumeration over cartesian product is not implemented');
    return this.base_dist.enumerate_support(expand);
  }
  override toString(): string {
    return `${this.constructor.name}(${this.base_dist}, ${this.reinterpreted_batch_ndims})`;
  }
}

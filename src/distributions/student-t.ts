/** https://docs.pytorch.org/docs/stable/distributions.html#studentt */
import { bindConstructor, type ConstructorArguments } from '../nn/arguments.ts';
import type { Tensor } from '../ops/methods.ts';
import { Chi2 } from './chi2.ts';
import * as constraints from './constraints.ts';
import { Distribution, type DistributionOptions } from './distribution.ts';
import { broadcast_all, type Parameter, type Size, standardNormal } from './utils.ts';

interface StudentTArguments extends DistributionOptions {
  readonly df: Parameter;
  readonly loc?: Parameter;
  readonly scale?: Parameter;
}
const logGammaHalf = 0.5723649429247001;

export class StudentT extends Distribution {
  static override readonly arg_constraints = { df: constraints.positive, loc: constraints.real, scale: constraints.positive };
  static override readonly support = constraints.real;
  static override readonly has_rsample: boolean = true;
  readonly df: Tensor;
  readonly loc: Tensor;
  readonly scale: Tensor;
  protected readonly chi2: Chi2;

  constructor(...args: ConstructorArguments<StudentTArguments, ['df', 'loc', 'scale', 'validate_args']>) {
    const order = ['df', 'loc', 'scale', 'validate_args'] as const;
    const a = bindConstructor<StudentTArguments>('StudentT', order, { loc: 0, scale: 1, validate_args: null }, args);
    const [df, loc, scale] = broadcast_all(a.df, a.loc, a.scale);
    super(df.shape, [], a);
    this.df = df;
    this.loc = loc;
    this.scale = scale;
    this.chi2 = new Chi2(df, { validate_args: a.validate_args });
    this.validateArguments();
  }
  protected override expanded(batch_shape: Size): object {
    return { ...super.expanded(batch_shape), chi2: this.chi2.expand(batch_shape) };
  }
  override get mean(): Tensor {
    return this.loc.masked_fill(this.df.le(1), Number.NaN);
  }
  override get mode(): Tensor {
    return this.loc;
  }
  override get variance(): Tensor {
    const { df, scale } = this;
    const finite = df.gt(2);
    // Where it is infinite the formula gets a df that leaves its gradient finite.
    const safe = df.masked_fill(finite.logical_not(), 3);
    return scale
      .pow(2)
      .mul(safe)
      .div(safe.sub(2))
      .masked_fill(finite.logical_not(), Number.POSITIVE_INFINITY)
      .masked_fill(df.le(1), Number.NaN);
  }
  override rsample(sample_shape: Size = []): Tensor {
    const x = standardNormal(this.extendedShape(sample_shape), this.df);
    const z = this.chi2.rsample(sample_shape);
    return this.loc.add(this.scale.mul(x.mul(z.div(this.df).rsqrt())));
  }
  override log_prob(value: Tensor): Tensor {
    this.validateSample(value);
    const { df, scale } = this;
    const y = value.sub(this.loc).div(scale);
    const z = scale
      .log()
      .add(df.log().mul(0.5))
      .add(0.5 * Math.log(Math.PI))
      .add(df.mul(0.5).lgamma())
      .sub(df.add(1).mul(0.5).lgamma());
    return df.add(1).mul(-0.5).mul(y.pow(2).div(df).log1p()).sub(z);
  }
  override entropy(): Tensor {
    const { df, scale } = this;
    const upper = df.add(1).mul(0.5);
    const lower = df.mul(0.5);
    const logBeta = lower.lgamma().add(logGammaHalf).sub(upper.lgamma());
    return scale
      .log()
      .add(upper.mul(upper.digamma().sub(lower.digamma())))
      .add(df.log().mul(0.5))
      .add(logBeta);
  }
}

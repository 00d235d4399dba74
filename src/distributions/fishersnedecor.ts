/** https://docs.pytorch.org/docs/stable/distributions.html#fishersnedecor */
import { finfo } from '../dtype/dtype.ts';
import { bindConstructor, type ConstructorArguments } from '../nn/arguments.ts';
import type { Tensor } from '../ops/methods.ts';
import * as constraints from './constraints.ts';
import { Distribution, type DistributionOptions } from './distribution.ts';
import { Gamma } from './gamma.ts';
import { broadcast_all, type Parameter, type Size } from './utils.ts';

interface FisherSnedecorArguments extends DistributionOptions {
  readonly df1: Parameter;
  readonly df2: Parameter;
}
export class FisherSnedecor extends Distribution {
  static override readonly arg_constraints = { df1: constraints.positive, df2: constraints.positive };
  static override readonly support = constraints.positive;
  static override readonly has_rsample: boolean = true;
  readonly df1: Tensor;
  readonly df2: Tensor;
  protected readonly gamma1: Gamma;
  protected readonly gamma2: Gamma;

  constructor(...args: ConstructorArguments<FisherSnedecorArguments, ['df1', 'df2', 'validate_args']>) {
    const a = bindConstructor<FisherSnedecorArguments>('FisherSnedecor', ['df1', 'df2', 'validate_args'], { validate_args: null }, args);
    const [df1, df2] = broadcast_all(a.df1, a.df2);
    super(df1.shape, [], a);
    this.df1 = df1;
    this.df2 = df2;
    this.gamma1 = new Gamma(df1.mul(0.5), df1, { validate_args: a.validate_args });
    this.gamma2 = new Gamma(df2.mul(0.5), df2, { validate_args: a.validate_args });
    this.validateArguments();
  }
  protected override expanded(batch_shape: Size): object {
    return { ...super.expanded(batch_shape), gamma1: this.gamma1.expand(batch_shape), gamma2: this.gamma2.expand(batch_shape) };
  }
  override get mean(): Tensor {
    const df2 = this.df2.masked_fill(this.df2.le(2), Number.NaN);
    return df2.div(df2.sub(2));
  }
  override get mode(): Tensor {
    const { df1, df2 } = this;
    return df1.sub(2).div(df1).mul(df2).div(df2.add(2)).masked_fill(df1.le(2), Number.NaN);
  }
  override get variance(): Tensor {
    const { df1 } = this;
    const df2 = this.df2.masked_fill(this.df2.le(4), Number.NaN);
    const numerator = df2.pow(2).mul(2).mul(df1.add(df2).sub(2));
    return numerator.div(df1.mul(df2.sub(2).pow(2)).mul(df2.sub(4)));
  }
  override rsample(sample_shape: Size = []): Tensor {
    const x1 = this.gamma1.rsample(sample_shape);
    const x2 = this.gamma2.rsample(sample_shape);
    const { tiny } = finfo(x2.dtype);
    return x1.div(x2.clamp(tiny)).clamp(tiny);
  }
  override log_prob(value: Tensor): Tensor {
    this.validateSample(value);
    const ct1 = this.df1.mul(0.5);
    const ct2 = this.df2.mul(0.5);
    const ct3 = this.df1.div(this.df2);
    const t1 = ct1.add(ct2).lgamma().sub(ct1.lgamma()).sub(ct2.lgamma());
    const t2 = ct1.mul(ct3.log()).add(ct1.sub(1).mul(value.log()));
    const t3 = ct1.add(ct2).mul(ct3.mul(value).log1p());
    return t1.add(t2).sub(t3);
  }
}

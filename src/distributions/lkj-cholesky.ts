/** https://docs.pytorch.org/docs/stable/distributions.html#lkjcholesky: Cholesky factors of correlation matrices, by the onion method. */
import { finfo, int64 } from '../dtype/dtype.ts';
import { bindConstructor, type ConstructorArguments } from '../nn/arguments.ts';
import { type Tensor, torchFunctions as torch } from '../ops/methods.ts';
import { Beta } from './beta.ts';
import * as constraints from './constraints.ts';
import { Distribution, type DistributionOptions } from './distribution.ts';
import { broadcast_all, like, oneMinus, type Parameter, type Size } from './utils.ts';

interface LKJCholeskyArguments extends DistributionOptions {
  readonly dim: number;
  readonly concentration?: Parameter;
}
export class LKJCholesky extends Distribution {
  static override readonly arg_constraints = { concentration: constraints.positive };
  static override readonly support = constraints.corr_cholesky;
  readonly dim: number;
  readonly concentration: Tensor;
  protected readonly beta: Beta;

  constructor(...args: ConstructorArguments<LKJCholeskyArguments, ['dim', 'concentration', 'validate_args']>) {
    const order = ['dim', 'concentration', 'validate_args'] as const;
    const a = bindConstructor<LKJCholeskyArguments>('LKJCholesky', order, { concentration: 1, validate_args: null }, args);
    const { dim } = a;
    if (dim < 2) throw new Error(`Expected dim to be an integer greater than or equal to 2. Found dim=${dim}.`);
    const [concentration] = broadcast_all(a.concentration);
    super(concentration.shape, [dim, dim], a);
    this.dim = dim;
    this.concentration = concentration;
    // Row i: how much of its length lies below the diagonal.
    const offset = torch.arange(-1, dim - 1, like(concentration)).clamp(0);
    const marginal = concentration.add(0.5 * (dim - 2)).unsqueeze(-1);
    this.beta = new Beta(offset.add(0.5), marginal.sub(offset.mul(0.5)), { validate_args: a.validate_args });
    this.validateArguments();
  }
  protected override expanded(batch_shape: Size): object {
    return { ...super.expanded(batch_shape), beta: this.beta.expand([...batch_shape, this.dim]) };
  }
  override sample(sample_shape: Size = []): Tensor {
    const y = this.beta.sample(sample_shape).unsqueeze(-1);
    const normal = torch.randn(this.extendedShape(sample_shape), like(y)).tril(-1);
    // The first row has no direction: 0 / 0.
    const first = torch.arange(0, this.dim, { dtype: int64, device: y.device }).eq(0).unsqueeze(-1);
    const direction = normal.div(normal.norm(2, [-1], true)).masked_fill(first, 0);
    const w = y.sqrt().mul(direction);
    const diagonal = oneMinus(w.pow(2).sum(-1)).clamp(finfo(w.dtype).tiny).sqrt();
    return w.add(diagonal.diag_embed());
  }
  override log_prob(value: Tensor): Tensor {
    this.validateSample(value);
    const { dim, concentration } = this;
    const diagonal = value.diagonal(0, -2, -1).narrow(-1, 1, dim - 1);
    const exponent = concentration
      .sub(1)
      .unsqueeze(-1)
      .mul(2)
      .add(dim)
      .sub(torch.arange(2, dim + 1, { device: concentration.device }));
    const unnormalized = exponent.mul(diagonal.log()).sum(-1);
    // Lewandowski, Kurowicka and Joe, 2009, theorem 5.
    const alpha = concentration.add(0.5 * (dim - 1));
    const normalizer = alpha
      .sub(0.5)
      .mvlgamma(dim - 1)
      .add(0.5 * (dim - 1) * Math.log(Math.PI))
      .sub(alpha.lgamma().mul(dim - 1));
    return unnormalized.sub(normalizer);
  }
}

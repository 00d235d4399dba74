/** https://docs.pytorch.org/docs/stable/distributions.html#wishart: positive definite matrices, sampled by Bartlett's decomposition. */
import { finfo } from '../dtype/dtype.ts';
import { bindConstructor, type ConstructorArguments } from '../nn/arguments.ts';
import { linalg, type Tensor, torchFunctions as torch } from '../ops/methods.ts';
import { broadcast_shapes } from '../ops/shape.ts';
import { Chi2 } from './chi2.ts';
import * as constraints from './constraints.ts';
import type { ConstraintTable, DistributionOptions } from './distribution.ts';
import { ExponentialFamily } from './exponential-family.ts';
import { factorOf, logDiagonal, spreads } from './multivariate-normal.ts';
import { isAllTrue, like, type Parameter, type Size, tensor } from './utils.ts';

interface WishartArguments extends DistributionOptions {
  readonly df: Parameter;
  readonly covariance_matrix?: Tensor | null;
  readonly precision_matrix?: Tensor | null;
  readonly scale_tril?: Tensor | null;
}
type Order = ['df', 'covariance_matrix', 'precision_matrix', 'scale_tril', 'validate_args'];
/** Samples that are not positive definite are drawn again, at most so many times. */
const mostCorrections = 10;

export class Wishart extends ExponentialFamily {
  static override readonly support = constraints.positive_definite;
  static override readonly has_rsample: boolean = true;
  protected static override readonly lazyParameters = [...spreads];
  readonly df: Tensor;
  readonly _unbroadcasted_scale_tril: Tensor;
  protected readonly chi2: Chi2;

  constructor(...args: ConstructorArguments<WishartArguments, Order>) {
    const order = ['df', 'covariance_matrix', 'precision_matrix', 'scale_tril', 'validate_args'] as const;
    const defaults = { covariance_matrix: null, precision_matrix: null, scale_tril: null, validate_args: null };
    const a = bindConstructor<WishartArguments>('Wishart', order, defaults, args);
    const given = spreads.filter((name) => a[name] !== null);
    if (given.length !== 1) throw new Error('Exactly one of covariance_matrix or precision_matrix or scale_tril may be specified.');
    const [name] = given;
    const matrix = a[name] as Tensor;
    if (matrix.ndim < 2) throw new Error('scale_tril must be at least two-dimensional, with optional leading batch dimensions');
    const outer = matrix.shape.slice(0, -2);
    const batch = typeof a.df === 'number' ? outer : broadcast_shapes(outer, a.df.shape);
    const df = typeof a.df === 'number' ? tensor(a.df, like(matrix)) : a.df.expand(batch);
    const event = matrix.shape.slice(-2);
    const p = event[1];
    if (!isAllTrue(df.gt(p - 1))) throw new Error(`Value of df=${a.df} expected to be greater than ndim - 1 = ${p - 1}.`);
    if (!isAllTrue(df.ge(p))) console.warn('Low df values detected. Singular samples are highly likely to occur for ndim - 1 < df < ndim.');
    super(batch, event, a);
    this.df = df;
    this.own(name, matrix.expand([...batch, -1, -1]));
    this.validateArguments();
    this._unbroadcasted_scale_tril = factorOf(name, matrix);
    this.chi2 = diagonalChi2(df, matrix, batch);
  }
  override get arg_constraints(): ConstraintTable {
    return {
      covariance_matrix: constraints.positive_definite,
      precision_matrix: constraints.positive_definite,
      scale_tril: constraints.lower_cholesky,
      df: constraints.greater_than(this.event_shape[1] - 1),
    };
  }
  protected override expanded(batch_shape: Size): object {
    const factor = this._unbroadcasted_scale_tril.expand([...batch_shape, ...this.event_shape]);
    const df = this.df.expand([...batch_shape]);
    return { ...super.expanded(batch_shape), df, _unbroadcasted_scale_tril: factor, chi2: diagonalChi2(df, factor, batch_shape) };
  }
  private overBatch(x: Tensor): Tensor {
    return x.expand([...this.batch_shape, ...this.event_shape]);
  }
  get scale_tril(): Tensor {
    return this.remember('scale_tril', () => this.overBatch(this._unbroadcasted_scale_tril));
  }
  get covariance_matrix(): Tensor {
    const l = this._unbroadcasted_scale_tril;
    return this.remember('covariance_matrix', () => this.overBatch(l.matmul(l.mT)));
  }
  get precision_matrix(): Tensor {
    const l = this._unbroadcasted_scale_tril;
    return this.remember('precision_matrix', () => this.overBatch(torch.cholesky_solve(torch.eye(this.size, like(l)), l)));
  }
  private get size(): number {
    return this.event_shape[1];
  }
  /** One number for each matrix of the batch, to be multiplied with matrices. */
  private perMatrix(x: Tensor): Tensor {
    return x.expand(this.batch_shape).unsqueeze(-1).unsqueeze(-1);
  }
  override get mean(): Tensor {
    return this.perMatrix(this.df).mul(this.covariance_matrix);
  }
  override get mode(): Tensor {
    const factor = this.df.sub(this.size + 1);
    return this.perMatrix(factor.masked_fill(factor.le(0), Number.NaN)).mul(this.covariance_matrix);
  }
  override get variance(): Tensor {
    const v = this.covariance_matrix;
    const diagonal = v.diagonal(0, -2, -1);
    return this.perMatrix(this.df).mul(v.pow(2).add(diagonal.unsqueeze(-1).mul(diagonal.unsqueeze(-2))));
  }
  private bartlett(sample_shape: Size): Tensor {
    const p = this.size;
    const roots = this.chi2.rsample(sample_shape).sqrt();
    const diagonal = roots.clamp(finfo(roots.dtype).eps).diag_embed();
    const [rows, columns] = torch.tril_indices(p, p, -1, { device: roots.device }).unbind();
    const below = torch.randn([...sample_shape, ...this.batch_shape, (p * (p - 1)) / 2], like(roots));
    const factor = this._unbroadcasted_scale_tril.matmul(diagonal.add(torch.zeros_like(diagonal).set(['...', rows, columns], below)));
    return factor.matmul(factor.mT);
  }
  /** True for samples with a matrix in their batch for which `flags` is true. */
  private anyOfBatch(flags: Tensor): Tensor {
    return flags.reshape([flags.shape[0], -1]).any(-1);
  }
  override rsample(sample_shape: Size = []): Tensor {
    const count = sample_shape.reduce((a, b) => a * b, 1);
    let sample = this.bartlett([count]);
    // NOTE: PyTorch takes the check's result for its opposite here, so that it draws good samples a second time. Its numbers are the second ones.
    let again = this.anyOfBatch(constraints.positive_definite.check(sample));
    for (let i = 0; i < mostCorrections && again.any().item(); i++) {
      const fresh = this.bartlett([again.sum().item()]);
      const bad = this.anyOfBatch(constraints.positive_definite.check(fresh).logical_not());
      sample = sample.clone().set([again], fresh);
      again = again.clone().set([again], bad);
    }
    return sample.reshape(this.extendedShape(sample_shape));
  }
  override log_prob(value: Tensor): Tensor {
    this.validateSample(value);
    const { df: nu, size: p } = this;
    const l = this._unbroadcasted_scale_tril;
    return nu
      .neg()
      .mul(logDiagonal(l).add((p * Math.LN2) / 2))
      .sub(nu.div(2).mvlgamma(p))
      .add(
        nu
          .sub(p + 1)
          .div(2)
          .mul(linalg.slogdet(value)[1]),
      )
      .sub(torch.cholesky_solve(value, l).diagonal(0, -2, -1).sum(-1).div(2));
  }
  override entropy(): Tensor {
    const { df: nu, size: p } = this;
    const half = nu.div(2);
    return logDiagonal(this._unbroadcasted_scale_tril)
      .add((p * Math.LN2) / 2)
      .mul(p + 1)
      .add(half.mvlgamma(p))
      .sub(
        nu
          .sub(p + 1)
          .div(2)
          .mul(multivariateDigamma(half, p)),
      )
      .add(nu.mul(p / 2));
  }
  override get _natural_params(): readonly Tensor[] {
    return [this.precision_matrix.neg().div(2), this.df.sub(this.size + 1).div(2)];
  }
  override _log_normalizer(x: Tensor, y: Tensor): Tensor {
    const p = this.size;
    const half = y.add((p + 1) / 2);
    return half.mul(torch.rsub(linalg.slogdet(x.mul(-2))[1], Math.LN2 * p)).add(half.mvlgamma(p));
  }
  override get _mean_carrier_measure(): number {
    return 0;
  }
}

/** Squares of the diagonal: df, df - 1, ... degrees of freedom. */
function diagonalChi2(df: Tensor, matrix: Tensor, batch_shape: Size): Chi2 {
  const p = matrix.shape[matrix.ndim - 1];
  const less = torch.arange(0, p, like(matrix)).expand([...batch_shape, -1]);
  return new Chi2(df.unsqueeze(-1).sub(less), { validate_args: false });
}
const multivariateDigamma = (x: Tensor, p: number): Tensor =>
  x
    .unsqueeze(-1)
    .sub(torch.arange(0, p, like(x)).div(2))
    .digamma()
    .sum(-1);

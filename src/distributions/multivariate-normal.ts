/** https://docs.pytorch.org/docs/stable/distributions.html#multivariatenormal */
import { bindConstructor, type ConstructorArguments } from '../nn/arguments.ts';
import { linalg, type Tensor, torchFunctions as torch } from '../ops/methods.ts';
import { broadcast_shapes } from '../ops/shape.ts';
import * as constraints from './constraints.ts';
import { Distribution, type DistributionOptions } from './distribution.ts';
import { like, type Size, standardNormal } from './utils.ts';

/** Matrices by vectors. */
export const batchMv = (matrix: Tensor, vector: Tensor): Tensor => matrix.matmul(vector.unsqueeze(-1)).squeeze(-1);

/** x^T M^-1 x with M = L L^T; the batch of L is shorter than x's, or broadcasts with it. */
export function batchMahalanobis(l: Tensor, x: Tensor): Tensor {
  const n = x.shape[x.ndim - 1];
  const lBatch = l.shape.slice(0, -2);
  const xBatch = x.shape.slice(0, -1);
  const outer = xBatch.length - lBatch.length;
  // Dims of x that L has too are split in those over which L repeats and L's own.
  const split = lBatch.flatMap((size, i) => [xBatch[outer + i] / size, size]);
  const kept = [...Array(outer).keys()];
  const pairs = [...lBatch.keys()].map((i) => outer + 2 * i);
  const end = outer + 2 * lBatch.length;
  const order = [...kept, ...pairs, ...pairs.map((i) => i + 1), end];
  const arranged = x.reshape([...xBatch.slice(0, outer), ...split, n]).permute(order);
  const flatL = l.reshape([-1, n, n]);
  const rows = arranged.reshape([-1, flatL.shape[0], n]).permute([1, 2, 0]);
  const squares = linalg.solve_triangular(flatL, rows, { upper: false }).pow(2).sum(-2).t();
  const back = [...kept, ...lBatch.flatMap((_, i) => [outer + i, outer + lBatch.length + i])];
  return squares.reshape(arranged.shape.slice(0, -1)).permute(back).reshape(xBatch);
}

export function precisionToScaleTril(precision: Tensor): Tensor {
  const flipped = linalg.cholesky(precision.flip([-2, -1])).flip([-2, -1]);
  return linalg.solve_triangular(flipped.transpose(-2, -1), torch.eye(precision.shape[precision.ndim - 1], like(precision)), {
    upper: false,
  });
}

export const logDiagonal = (l: Tensor): Tensor => l.diagonal(0, -2, -1).log().sum(-1);

/** What says the spread of a multivariate distribution: one of three. */
export const spreads = ['covariance_matrix', 'precision_matrix', 'scale_tril'] as const;
export type Spread = (typeof spreads)[number];
export const factorOf = (name: Spread, matrix: Tensor): Tensor =>
  name === 'scale_tril' ? matrix : name === 'covariance_matrix' ? linalg.cholesky(matrix) : precisionToScaleTril(matrix);

interface MultivariateNormalArguments extends DistributionOptions {
  readonly loc: Tensor;
  readonly covariance_matrix?: Tensor | null;
  readonly precision_matrix?: Tensor | null;
  readonly scale_tril?: Tensor | null;
}
type Order = ['loc', 'covariance_matrix', 'precision_matrix', 'scale_tril', 'validate_args'];

export class MultivariateNormal extends Distribution {
  static override readonly arg_constraints = {
    loc: constraints.real_vector,
    covariance_matrix: constraints.positive_definite,
    precision_matrix: constraints.positive_definite,
    scale_tril: constraints.lower_cholesky,
  };
  static override readonly support = constraints.real_vector;
  static override readonly has_rsample: boolean = true;
  protected static override readonly lazyParameters = [...spreads];
  readonly loc: Tensor;
  /** The factor, not expanded to the batch. */
  readonly _unbroadcasted_scale_tril: Tensor;

  constructor(...args: ConstructorArguments<MultivariateNormalArguments, Order>) {
    const order = ['loc', 'covariance_matrix', 'precision_matrix', 'scale_tril', 'validate_args'] as const;
    const defaults = { covariance_matrix: null, precision_matrix: null, scale_tril: null, validate_args: null };
    const a = bindConstructor<MultivariateNormalArguments>('MultivariateNormal', order, defaults, args);
    if (a.loc.ndim < 1) throw new Error('loc must be at least one-dimensional.');
    const given = spreads.filter((name) => a[name] !== null);
    if (given.length !== 1) throw new Error('Exactly one of covariance_matrix or precision_matrix or scale_tril may be specified.');
    const [name] = given;
    const matrix = a[name] as Tensor;
    if (matrix.ndim < 2)
      throw new Error(
        `${name}${name === 'scale_tril' ? ' matrix' : ''} must be at least two-dimensional, with optional leading batch dimensions`,
      );
    const batch = broadcast_shapes(matrix.shape.slice(0, -2), a.loc.shape.slice(0, -1));
    const loc = a.loc.expand([...batch, -1]);
    super(batch, loc.shape.slice(-1), a);
    this.loc = loc;
    this.own(name, matrix.expand([...batch, -1, -1]));
    this.validateArguments();
    this._unbroadcasted_scale_tril = factorOf(name, matrix);
  }
  private overBatch(x: Tensor): Tensor {
    return x.expand([...this.batch_shape, ...this.event_shape, ...this.event_shape]);
  }
  get scale_tril(): Tensor {
    return this.remember('scale_tril', () => this.overBatch(this._unbroadcasted_scale_tril));
  }
  get covariance_matrix(): Tensor {
    const l = this._unbroadcasted_scale_tril;
    return this.remember('covariance_matrix', () => this.overBatch(l.matmul(l.mT)));
  }
  get precision_matrix(): Tensor {
    return this.remember('precision_matrix', () => this.overBatch(torch.cholesky_inverse(this._unbroadcasted_scale_tril)));
  }
  override get mean(): Tensor {
    return this.loc;
  }
  override get mode(): Tensor {
    return this.loc;
  }
  override get variance(): Tensor {
    return this._unbroadcasted_scale_tril
      .pow(2)
      .sum(-1)
      .expand([...this.batch_shape, ...this.event_shape]);
  }
  override rsample(sample_shape: Size = []): Tensor {
    return this.loc.add(batchMv(this._unbroadcasted_scale_tril, standardNormal(this.extendedShape(sample_shape), this.loc)));
  }
  override log_prob(value: Tensor): Tensor {
    this.validateSample(value);
    const m = batchMahalanobis(this._unbroadcasted_scale_tril, value.sub(this.loc));
    return m
      .add(this.event_shape[0] * Math.log(2 * Math.PI))
      .mul(-0.5)
      .sub(logDiagonal(this._unbroadcasted_scale_tril));
  }
  override entropy(): Tensor {
    const h = logDiagonal(this._unbroadcasted_scale_tril).add(0.5 * this.event_shape[0] * (1 + Math.log(2 * Math.PI)));
    return this.batch_shape.length === 0 ? h : h.expand(this.batch_shape);
  }
}

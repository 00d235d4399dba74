/** https://docs.pytorch.org/docs/stable/distributions.html#lowrankmultivariatenormal: covariance W W^T + diag(D). */
import { bindConstructor, type ConstructorArguments } from '../nn/arguments.ts';
import { linalg, type Tensor, torchFunctions as torch } from '../ops/methods.ts';
import * as constraints from './constraints.ts';
import { Distribution, type DistributionOptions, sameShape } from './distribution.ts';
import { batchMahalanobis, batchMv, logDiagonal } from './multivariate-normal.ts';
import { like, type Size, sizeText, standardNormal } from './utils.ts';

const plusIdentity = (k: Tensor): Tensor => k.add(torch.eye(k.shape[k.ndim - 1], like(k)));

/** The Cholesky factor of I + W^T D^-1 W, the small matrix that Woodbury's identities need. */
const capacitanceOf = (w: Tensor, d: Tensor): Tensor => linalg.cholesky(plusIdentity(w.mT.div(d.unsqueeze(-2)).matmul(w)));

export const lowRankLogDeterminant = (d: LowRankMultivariateNormal): Tensor =>
  logDiagonal(d._capacitance_tril).mul(2).add(d._unbroadcasted_cov_diag.log().sum(-1));

export function lowRankMahalanobis(d: LowRankMultivariateNormal, x: Tensor): Tensor {
  const scaled = d._unbroadcasted_cov_factor.mT.div(d._unbroadcasted_cov_diag.unsqueeze(-2));
  const first = x.pow(2).div(d._unbroadcasted_cov_diag).sum(-1);
  return first.sub(batchMahalanobis(d._capacitance_tril, batchMv(scaled, x)));
}

interface LowRankArguments extends DistributionOptions {
  readonly loc: Tensor;
  readonly cov_factor: Tensor;
  readonly cov_diag: Tensor;
}
export class LowRankMultivariateNormal extends Distribution {
  static override readonly arg_constraints = {
    loc: constraints.real_vector,
    cov_factor: constraints.independent(constraints.real, 2),
    cov_diag: constraints.independent(constraints.positive, 1),
  };
  static override readonly support = constraints.real_vector;
  static override readonly has_rsample: boolean = true;
  readonly loc: Tensor;
  readonly cov_factor: Tensor;
  readonly cov_diag: Tensor;
  readonly _unbroadcasted_cov_factor: Tensor;
  readonly _unbroadcasted_cov_diag: Tensor;
  readonly _capacitance_tril: Tensor;

  constructor(...args: ConstructorArguments<LowRankArguments, ['loc', 'cov_factor', 'cov_diag', 'validate_args']>) {
    const order = ['loc', 'cov_factor', 'cov_diag', 'validate_args'] as const;
    const a = bindConstructor<LowRankArguments>('LowRankMultivariateNormal', order, { validate_args: null }, args);
    const { loc, cov_factor, cov_diag } = a;
    if (loc.ndim < 1) throw new Error('loc must be at least one-dimensional.');
    const event = loc.shape.slice(-1);
    if (cov_factor.ndim < 2) throw new Error('cov_factor must be at least two-dimensional, with optional leading batch dimensions');
    if (!sameShape(cov_factor.shape.slice(-2, -1), event))
      throw new Error(`cov_factor must be a batch of matrices with shape ${event[0]} x m`);
    if (!sameShape(cov_diag.shape.slice(-1), event)) throw new Error(`cov_diag must be a batch of vectors with shape ${sizeText(event)}`);
    const [locs, factor, diagonal] = broadcast(loc, cov_factor, cov_diag);
    super(locs.shape.slice(0, -1), event, a);
    this.loc = locs;
    this.cov_factor = factor;
    this.cov_diag = diagonal;
    this._unbroadcasted_cov_factor = cov_factor;
    this._unbroadcasted_cov_diag = cov_diag;
    this._capacitance_tril = capacitanceOf(cov_factor, cov_diag);
    this.validateArguments();
  }
  private overBatch(x: Tensor): Tensor {
    return x.expand([...this.batch_shape, ...this.event_shape, ...this.event_shape]);
  }
  override get mean(): Tensor {
    return this.loc;
  }
  override get mode(): Tensor {
    return this.loc;
  }
  override get variance(): Tensor {
    const sum = this._unbroadcasted_cov_factor.pow(2).sum(-1).add(this._unbroadcasted_cov_diag);
    return this.remember('variance', () => sum.expand([...this.batch_shape, ...this.event_shape]));
  }
  get scale_tril(): Tensor {
    return this.remember('scale_tril', () => {
      const root = this._unbroadcasted_cov_diag.sqrt().unsqueeze(-1);
      const scaled = this._unbroadcasted_cov_factor.div(root);
      return this.overBatch(root.mul(linalg.cholesky(plusIdentity(scaled.matmul(scaled.mT)))));
    });
  }
  get covariance_matrix(): Tensor {
    const w = this._unbroadcasted_cov_factor;
    return this.remember('covariance_matrix', () => this.overBatch(w.matmul(w.mT).add(this._unbroadcasted_cov_diag.diag_embed())));
  }
  get precision_matrix(): Tensor {
    return this.remember('precision_matrix', () => {
      const d = this._unbroadcasted_cov_diag;
      const scaled = this._unbroadcasted_cov_factor.mT.div(d.unsqueeze(-2));
      const a = linalg.solve_triangular(this._capacitance_tril, scaled, { upper: false });
      return this.overBatch(d.reciprocal().diag_embed().sub(a.mT.matmul(a)));
    });
  }
  override rsample(sample_shape: Size = []): Tensor {
    const shape = this.extendedShape(sample_shape);
    const rank = this.cov_factor.shape[this.cov_factor.ndim - 1];
    const inFactor = standardNormal([...shape.slice(0, -1), rank], this.loc);
    const inDiagonal = standardNormal(shape, this.loc);
    return this.loc.add(batchMv(this._unbroadcasted_cov_factor, inFactor)).add(this._unbroadcasted_cov_diag.sqrt().mul(inDiagonal));
  }
  override log_prob(value: Tensor): Tensor {
    this.validateSample(value);
    const m = lowRankMahalanobis(this, value.sub(this.loc));
    return lowRankLogDeterminant(this)
      .add(this.event_shape[0] * Math.log(2 * Math.PI))
      .add(m)
      .mul(-0.5);
  }
  override entropy(): Tensor {
    const h = lowRankLogDeterminant(this)
      .add(this.event_shape[0] * (1 + Math.log(2 * Math.PI)))
      .mul(0.5);
    return this.batch_shape.length === 0 ? h : h.expand(this.batch_shape);
  }
}

function broadcast(loc: Tensor, factor: Tensor, diagonal: Tensor): [Tensor, Tensor, Tensor] {
  try {
    const [l, f, d] = torch.broadcast_tensors([loc.unsqueeze(-1), factor, diagonal.unsqueeze(-1)]) as Tensor[];
    return [l.select(-1, 0), f, d.select(-1, 0)];
  } catch (cause) {
    const [l, f, d] = [loc, factor, diagonal].map((t) => sizeText(t.shape));
    throw new Error(`Incompatible batch shapes: loc ${l}, cov_factor ${f}, cov_diag ${d}`, { cause });
  }
}

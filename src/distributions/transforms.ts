/** The maps themselves: exp, sigmoid, affine, ... https://docs.pytorch.org/docs/stable/distributions.html#module-torch.distributions.transforms */
import { finfo } from '../dtype/dtype.ts';
import { functional, linalg, type Tensor, torchFunctions as torch } from '../ops/methods.ts';
import { broadcast_shapes } from '../ops/shape.ts';
import type { Constraint } from './constraints.ts';
import * as constraints from './constraints.ts';
import type { Distribution } from './distribution.ts';
import { Transform } from './transform.ts';
import { broadcast_all, isAllTrue, like, oneMinus, type Parameter, type Size, tril_matrix_to_vec, vec_to_tril_matrix } from './utils.ts';

export {
  CatTransform,
  ComposeTransform,
  IndependentTransform,
  identity_transform,
  ReshapeTransform,
  StackTransform,
  Transform,
} from './transform.ts';

export interface TransformOptions {
  readonly cache_size?: number;
}

/** A map without parameters: its copy with a cache is made by its own class. */
abstract class PlainTransform extends Transform {
  constructor({ cache_size = 0 }: TransformOptions = {}) {
    super(cache_size);
  }
  override with_cache(cache_size = 1): Transform {
    if (this.cache_size === cache_size) return this;
    return new (this.constructor as new (options: TransformOptions) => Transform)({ cache_size });
  }
  override equals(other: Transform): boolean {
    return this.constructor === other.constructor;
  }
}
/** Increasing, one to one, from the real numbers. */
abstract class IncreasingTransform extends PlainTransform {
  override get bijective(): boolean {
    return true;
  }
  override get sign(): number {
    return 1;
  }
  override get domain(): Constraint {
    return constraints.real;
  }
}

const { softplus, logsigmoid } = functional;
const last = (x: Tensor): number => x.shape[x.ndim - 1];
const allButLast = (x: Tensor): Tensor => x.narrow(-1, 0, last(x) - 1);
function needDims(shape: Size, least: number): void {
  if (shape.length < least) throw new Error('Too few dimensions on input');
}

/** y = exp(x) */
export class ExpTransform extends IncreasingTransform {
  override get codomain(): Constraint {
    return constraints.positive;
  }
  protected override _call(x: Tensor): Tensor {
    return x.exp();
  }
  protected override _inverse(y: Tensor): Tensor {
    return y.log();
  }
  override log_abs_det_jacobian(x: Tensor, _y: Tensor): Tensor {
    return x;
  }
}

/** y = x ^ exponent */
export class PowerTransform extends Transform {
  readonly exponent: Tensor;
  constructor(exponent: Parameter, { cache_size = 0 }: TransformOptions = {}) {
    super(cache_size);
    this.exponent = broadcast_all(exponent)[0];
  }
  override get bijective(): boolean {
    return true;
  }
  override get domain(): Constraint {
    return constraints.positive;
  }
  override get codomain(): Constraint {
    return constraints.positive;
  }
  override get sign(): Tensor {
    return this.exponent.sign();
  }
  override with_cache(cache_size = 1): Transform {
    return this.cache_size === cache_size ? this : new PowerTransform(this.exponent, { cache_size });
  }
  override equals(other: Transform): boolean {
    return other instanceof PowerTransform && isAllTrue(this.exponent.eq(other.exponent));
  }
  protected override _call(x: Tensor): Tensor {
    return x.pow(this.exponent);
  }
  protected override _inverse(y: Tensor): Tensor {
    return y.pow(this.exponent.reciprocal());
  }
  override log_abs_det_jacobian(x: Tensor, y: Tensor): Tensor {
    return this.exponent.mul(y).div(x).abs().log();
  }
  override forward_shape(shape: Size): Size {
    return broadcast_shapes(shape, this.exponent.shape);
  }
  override inverse_shape(shape: Size): Size {
    return broadcast_shapes(shape, this.exponent.shape);
  }
}

function clippedSigmoid(x: Tensor): Tensor {
  const { tiny, eps } = finfo(x.dtype);
  return torch.sigmoid(x).clamp(tiny, 1 - eps);
}

/** y = 1 / (1 + exp(-x)) */
export class SigmoidTransform extends IncreasingTransform {
  override get codomain(): Constraint {
    return constraints.unit_interval;
  }
  protected override _call(x: Tensor): Tensor {
    return clippedSigmoid(x);
  }
  protected override _inverse(y: Tensor): Tensor {
    const { tiny, eps } = finfo(y.dtype);
    const inside = y.clamp(tiny, 1 - eps);
    return inside.log().sub(inside.neg().log1p());
  }
  override log_abs_det_jacobian(x: Tensor, _y: Tensor): Tensor {
    return softplus(x.neg()).neg().sub(softplus(x));
  }
}

/** y = log(1 + exp(x)) */
export class SoftplusTransform extends IncreasingTransform {
  override get codomain(): Constraint {
    return constraints.positive;
  }
  protected override _call(x: Tensor): Tensor {
    return softplus(x);
  }
  protected override _inverse(y: Tensor): Tensor {
    return y.neg().expm1().neg().log().add(y);
  }
  override log_abs_det_jacobian(x: Tensor, _y: Tensor): Tensor {
    return softplus(x.neg()).neg();
  }
}

/** y = tanh(x) */
export class TanhTransform extends IncreasingTransform {
  override get codomain(): Constraint {
    return constraints.interval(-1, 1);
  }
  protected override _call(x: Tensor): Tensor {
    return x.tanh();
  }
  protected override _inverse(y: Tensor): Tensor {
    return y.atanh();
  }
  override log_abs_det_jacobian(x: Tensor, _y: Tensor): Tensor {
    return torch
      .rsub(x, Math.LN2)
      .sub(softplus(x.mul(-2)))
      .mul(2);
  }
}

/** y = |x|; its inverse is one of two. */
export class AbsTransform extends PlainTransform {
  override get domain(): Constraint {
    return constraints.real;
  }
  override get codomain(): Constraint {
    return constraints.positive;
  }
  protected override _call(x: Tensor): Tensor {
    return x.abs();
  }
  protected override _inverse(y: Tensor): Tensor {
    return y;
  }
}

const sameParameter = (a: Parameter, b: Parameter): boolean => {
  if (typeof a === 'number' && typeof b === 'number') return a === b;
  return typeof a === 'number' ? isAllTrue((b as Tensor).eq(a)) : isAllTrue(a.eq(b as Tensor));
};
const shapeOf = (x: Parameter): Size => (typeof x === 'number' ? [] : x.shape);

/** y = loc + scale * x */
export class AffineTransform extends Transform {
  readonly loc: Parameter;
  readonly scale: Parameter;
  readonly #eventDim: number;
  constructor(loc: Parameter, scale: Parameter, event_dim = 0, { cache_size = 0 }: TransformOptions = {}) {
    super(cache_size);
    this.loc = loc;
    this.scale = scale;
    this.#eventDim = event_dim;
  }
  override get bijective(): boolean {
    return true;
  }
  override get event_dim(): number {
    return this.#eventDim;
  }
  override get domain(): Constraint {
    return this.#eventDim === 0 ? constraints.real : constraints.independent(constraints.real, this.#eventDim);
  }
  override get codomain(): Constraint {
    return this.domain;
  }
  override get sign(): number | Tensor {
    return typeof this.scale === 'number' ? Math.sign(this.scale) : this.scale.sign();
  }
  override with_cache(cache_size = 1): Transform {
    return this.cache_size === cache_size ? this : new AffineTransform(this.loc, this.scale, this.#eventDim, { cache_size });
  }
  override equals(other: Transform): boolean {
    return other instanceof AffineTransform && sameParameter(this.loc, other.loc) && sameParameter(this.scale, other.scale);
  }
  protected override _call(x: Tensor): Tensor {
    return x.mul(this.scale as number).add(this.loc as number);
  }
  protected override _inverse(y: Tensor): Tensor {
    return y.sub(this.loc as number).div(this.scale as number);
  }
  override log_abs_det_jacobian(x: Tensor, _y: Tensor): Tensor {
    const { scale } = this;
    const dims = this.#eventDim;
    const log = typeof scale === 'number' ? torch.full_like(x, Math.log(Math.abs(scale))) : scale.abs().log();
    if (dims === 0) return log.expand(x.shape);
    return log
      .reshape([...log.shape.slice(0, log.ndim - dims), -1])
      .sum(-1)
      .expand(x.shape.slice(0, x.ndim - dims));
  }
  override forward_shape(shape: Size): Size {
    return broadcast_shapes(shape, shapeOf(this.loc), shapeOf(this.scale));
  }
  override inverse_shape(shape: Size): Size {
    return this.forward_shape(shape);
  }
}

/** Vectors of D (D - 1) / 2 numbers to Cholesky factors of D x D correlation matrices. */
export class CorrCholeskyTransform extends PlainTransform {
  override get bijective(): boolean {
    return true;
  }
  override get domain(): Constraint {
    return constraints.real_vector;
  }
  override get codomain(): Constraint {
    return constraints.corr_cholesky;
  }
  override equals(other: Transform): boolean {
    return this === other;
  }
  protected override _call(x: Tensor): Tensor {
    const { eps } = finfo(x.dtype);
    const r = vec_to_tril_matrix(x.tanh().clamp(-1 + eps, 1 - eps), -1);
    // What earlier columns of a row leave of its length.
    const left = oneMinus(r.pow(2)).sqrt().cumprod(-1);
    return r.add(torch.eye(last(r), like(r))).mul(functional.pad(allButLast(left), [1, 0], 'constant', 1));
  }
  protected override _inverse(y: Tensor): Tensor {
    const left = functional.pad(allButLast(oneMinus(y.mul(y).cumsum(-1))), [1, 0], 'constant', 1);
    const t = tril_matrix_to_vec(y, -1).div(tril_matrix_to_vec(left, -1).sqrt());
    return t.log1p().sub(t.neg().log1p()).div(2);
  }
  override log_abs_det_jacobian(x: Tensor, y: Tensor): Tensor {
    const left = tril_matrix_to_vec(oneMinus(y.mul(y).cumsum(-1)), -2);
    const tanh = x
      .add(softplus(x.mul(-2)))
      .sub(Math.LN2)
      .sum(-1)
      .mul(-2);
    return left.log().sum(-1).mul(0.5).add(tanh);
  }
  override forward_shape(shape: Size): Size {
    needDims(shape, 1);
    const n = shape[shape.length - 1];
    const d = Math.round(Math.sqrt(0.25 + 2 * n) + 0.5);
    if ((d * (d - 1)) / 2 !== n) throw new Error('Input is not a flattened lower-diagonal number');
    return [...shape.slice(0, -1), d, d];
  }
  override inverse_shape(shape: Size): Size {
    needDims(shape, 2);
    const [rows, d] = shape.slice(-2);
    if (rows !== d) throw new Error('Input is not square');
    return [...shape.slice(0, -2), (d * (d - 1)) / 2];
  }
}

/** y = softmax(x), not one to one: the inverse is log. */
export class SoftmaxTransform extends PlainTransform {
  override get domain(): Constraint {
    return constraints.real_vector;
  }
  override get codomain(): Constraint {
    return constraints.simplex;
  }
  protected override _call(x: Tensor): Tensor {
    const probs = x.sub(x.max(-1, true)[0]).exp();
    return probs.div(probs.sum(-1, true));
  }
  protected override _inverse(y: Tensor): Tensor {
    return y.log();
  }
  override forward_shape(shape: Size): Size {
    needDims(shape, 1);
    return shape;
  }
  override inverse_shape(shape: Size): Size {
    needDims(shape, 1);
    return shape;
  }
}

/** K numbers to K + 1 parts of 1: each breaks its share off what is left. */
export class StickBreakingTransform extends PlainTransform {
  override get bijective(): boolean {
    return true;
  }
  override get domain(): Constraint {
    return constraints.real_vector;
  }
  override get codomain(): Constraint {
    return constraints.simplex;
  }
  protected override _call(x: Tensor): Tensor {
    const z = clippedSigmoid(x.sub(offsets(last(x), x).log()));
    const left = oneMinus(z).cumprod(-1);
    return functional.pad(z, [0, 1], 'constant', 1).mul(functional.pad(left, [1, 0], 'constant', 1));
  }
  protected override _inverse(y: Tensor): Tensor {
    const cropped = allButLast(y);
    const left = oneMinus(cropped.cumsum(-1)).clamp(finfo(y.dtype).tiny);
    return cropped
      .log()
      .sub(left.log())
      .add(offsets(last(cropped), y).log());
  }
  override log_abs_det_jacobian(x: Tensor, y: Tensor): Tensor {
    const shifted = x.sub(offsets(last(x), x).log());
    return shifted.neg().add(logsigmoid(shifted)).add(allButLast(y).log()).sum(-1);
  }
  override forward_shape(shape: Size): Size {
    needDims(shape, 1);
    return [...shape.slice(0, -1), shape[shape.length - 1] + 1];
  }
  override inverse_shape(shape: Size): Size {
    needDims(shape, 1);
    return [...shape.slice(0, -1), shape[shape.length - 1] - 1];
  }
}
/** n, n - 1, ..., 1 */
const offsets = (n: number, x: Tensor): Tensor => torch.arange(n, 0, -1, like(x));

/** Matrices to lower triangular ones with a positive diagonal. */
export class LowerCholeskyTransform extends PlainTransform {
  override get domain(): Constraint {
    return constraints.independent(constraints.real, 2);
  }
  override get codomain(): Constraint {
    return constraints.lower_cholesky;
  }
  protected override _call(x: Tensor): Tensor {
    return x.tril(-1).add(x.diagonal(0, -2, -1).exp().diag_embed());
  }
  protected override _inverse(y: Tensor): Tensor {
    return y.tril(-1).add(y.diagonal(0, -2, -1).log().diag_embed());
  }
}

/** Matrices to positive definite ones. */
export class PositiveDefiniteTransform extends PlainTransform {
  override get domain(): Constraint {
    return constraints.independent(constraints.real, 2);
  }
  override get codomain(): Constraint {
    return constraints.positive_definite;
  }
  protected override _call(x: Tensor): Tensor {
    const factor = new LowerCholeskyTransform()(x);
    return factor.matmul(factor.mT);
  }
  protected override _inverse(y: Tensor): Tensor {
    return new LowerCholeskyTransform().inv(linalg.cholesky(y));
  }
}

/** y = cdf(x) of a distribution. */
export class CumulativeDistributionTransform extends Transform {
  readonly distribution: Distribution;
  constructor(distribution: Distribution, { cache_size = 0 }: TransformOptions = {}) {
    super(cache_size);
    this.distribution = distribution;
  }
  override get bijective(): boolean {
    return true;
  }
  override get sign(): number {
    return 1;
  }
  override get domain(): Constraint {
    return this.distribution.support;
  }
  override get codomain(): Constraint {
    return constraints.unit_interval;
  }
  override with_cache(cache_size = 1): Transform {
    return this.cache_size === cache_size ? this : new CumulativeDistributionTransform(this.distribution, { cache_size });
  }
  protected override _call(x: Tensor): Tensor {
    return this.distribution.cdf(x);
  }
  protected override _inverse(y: Tensor): Tensor {
    return this.distribution.icdf(y);
  }
  override log_abs_det_jacobian(x: Tensor, _y: Tensor): Tensor {
    return this.distribution.log_prob(x);
  }
}

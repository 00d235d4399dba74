/** Divergences of two distributions of one family, and of those made of others (independent, transformed, exponential families). */
import { functional, linalg, type Tensor } from '../ops/methods.ts';
import { broadcast_shapes } from '../ops/shape.ts';
import { Bernoulli } from './bernoulli.ts';
import { Beta } from './beta.ts';
import { Binomial } from './binomial.ts';
import { Categorical } from './categorical.ts';
import { Cauchy } from './cauchy.ts';
import { ContinuousBernoulli } from './continuous-bernoulli.ts';
import { Dirichlet } from './dirichlet.ts';
import { type Distribution, sameShape } from './distribution.ts';
import { Exponential } from './exponential.ts';
import { ExponentialFamily, normalizerSlopes } from './exponential-family.ts';
import { Gamma } from './gamma.ts';
import { Geometric } from './geometric.ts';
import { Gumbel } from './gumbel.ts';
import { HalfNormal } from './half-normal.ts';
import { Independent } from './independent.ts';
import { type DistributionClass, kl_divergence, register_kl } from './kl-registry.ts';
import { Laplace } from './laplace.ts';
import { LowRankMultivariateNormal, lowRankLogDeterminant, lowRankMahalanobis } from './lowrank-multivariate-normal.ts';
import { batchMahalanobis, logDiagonal, MultivariateNormal } from './multivariate-normal.ts';
import { Normal } from './normal.ts';
import { OneHotCategorical } from './one-hot-categorical.ts';
import { Pareto } from './pareto.ts';
import { Poisson } from './poisson.ts';
import { sameTransforms } from './transform.ts';
import { TransformedDistribution } from './transformed-distribution.ts';
import { Uniform } from './uniform.ts';
import { euler_constant, isAllTrue, NotImplementedError, oneMinus, sumRightmost } from './utils.ts';

const { softplus } = functional;
const infinity = Number.POSITIVE_INFINITY;
/** Two of one family. */
const same = <D extends Distribution>(type: DistributionClass<D>, divergence: (p: D, q: D) => Tensor): void =>
  register_kl(type, type, divergence);

/** Registers the divergences of this file. */
export function registerSameFamilies(): void {
  same(Bernoulli, (p, q) => {
    const t1 = p.probs
      .mul(softplus(q.logits.neg()).sub(softplus(p.logits.neg())))
      .masked_fill(q.probs.eq(0), infinity)
      .masked_fill(p.probs.eq(0), 0);
    const t2 = oneMinus(p.probs)
      .mul(softplus(q.logits).sub(softplus(p.logits)))
      .masked_fill(q.probs.eq(1), infinity)
      .masked_fill(p.probs.eq(1), 0);
    return t1.add(t2);
  });

  same(Beta, (p, q) => {
    const totalP = p.concentration1.add(p.concentration0);
    const totalQ = q.concentration1.add(q.concentration0);
    const t1 = q.concentration1.lgamma().add(q.concentration0.lgamma()).add(totalP.lgamma());
    const t2 = p.concentration1.lgamma().add(p.concentration0.lgamma()).add(totalQ.lgamma());
    const t3 = p.concentration1.sub(q.concentration1).mul(p.concentration1.digamma());
    const t4 = p.concentration0.sub(q.concentration0).mul(p.concentration0.digamma());
    const t5 = totalQ.sub(totalP).mul(totalP.digamma());
    return t1.sub(t2).add(t3).add(t4).add(t5);
  });

  same(Binomial, (p, q) => {
    if (!isAllTrue(p.total_count.ge(q.total_count)))
      throw new NotImplementedError('KL between Binomials where q.total_count > p.total_count is not implemented');
    const each = p.probs.mul(p.logits.sub(q.logits)).add(p.probs.neg().log1p()).sub(q.probs.neg().log1p());
    return p.total_count.mul(each).masked_fill(p.total_count.gt(q.total_count), infinity);
  });

  const categorical = (p: Categorical, q: Categorical): Tensor =>
    p.probs.mul(p.logits.sub(q.logits)).masked_fill(q.probs.eq(0), infinity).masked_fill(p.probs.eq(0), 0).sum(-1);
  same(Categorical, categorical);
  same(OneHotCategorical, (p, q) => categorical(p.categorical, q.categorical));

  same(ContinuousBernoulli, (p, q) => {
    const t1 = p.mean.mul(p.logits.sub(q.logits));
    const t2 = p._cont_bern_log_norm().add(p.probs.neg().log1p());
    const t3 = q._cont_bern_log_norm().neg().sub(q.probs.neg().log1p());
    return t1.add(t2).add(t3);
  });

  same(Dirichlet, (p, q) => {
    const totalP = p.concentration.sum(-1);
    const totalQ = q.concentration.sum(-1);
    const t1 = totalP.lgamma().sub(totalQ.lgamma());
    const t2 = p.concentration.lgamma().sub(q.concentration.lgamma()).sum(-1);
    const t3 = p.concentration.sub(q.concentration);
    const t4 = p.concentration.digamma().sub(totalP.digamma().unsqueeze(-1));
    return t1.sub(t2).add(t3.mul(t4).sum(-1));
  });

  same(Exponential, (p, q) => {
    const ratio = q.rate.div(p.rate);
    return ratio.log().neg().add(ratio).sub(1);
  });

  same(ExponentialFamily, (p, q) => {
    if (p.constructor !== q.constructor)
      throw new NotImplementedError(
        `The cross KL-divergence between different exponential families cannot ${' '.repeat(28)}be computed using Bregman divergences`,
      );
    const { natural, normalizer, slopes } = normalizerSlopes(p);
    const others = q._natural_params;
    return others.reduce(
      (sum, other, i) => sum.sub(sumRightmost(other.sub(natural[i]).mul(slopes[i]), q.event_shape.length)),
      q._log_normalizer(...others).sub(normalizer),
    );
  });

  same(Gamma, (p, q) => {
    const t1 = q.concentration.mul(p.rate.div(q.rate).log());
    const t2 = q.concentration.lgamma().sub(p.concentration.lgamma());
    const t3 = p.concentration.sub(q.concentration).mul(p.concentration.digamma());
    const t4 = q.rate.sub(p.rate).mul(p.concentration.div(p.rate));
    return t1.add(t2).add(t3).add(t4);
  });

  same(Gumbel, (p, q) => {
    const ct1 = p.scale.div(q.scale);
    const ct2 = q.loc.div(q.scale);
    const ct3 = p.loc.div(q.scale);
    const t1 = ct1.log().neg().sub(ct2).add(ct3);
    const t3 = ct2.add(ct1.add(1).lgamma()).sub(ct3).exp();
    return t1
      .add(ct1.mul(euler_constant))
      .add(t3)
      .sub(1 + euler_constant);
  });

  same(Geometric, (p, q) => p.entropy().neg().sub(q.probs.neg().log1p().div(p.probs)).sub(q.logits));

  const normal = (p: Normal, q: Normal): Tensor => {
    const ratio = p.scale.div(q.scale).pow(2);
    const t1 = p.loc.sub(q.loc).div(q.scale).pow(2);
    return ratio.add(t1).sub(1).sub(ratio.log()).mul(0.5);
  };
  same(Normal, normal);
  same(HalfNormal, (p, q) => normal(p.base_dist, q.base_dist));

  same(Laplace, (p, q) => {
    const ratio = p.scale.div(q.scale);
    const distance = p.loc.sub(q.loc).abs();
    return ratio
      .log()
      .neg()
      .add(distance.div(q.scale))
      .add(ratio.mul(distance.neg().div(p.scale).exp()))
      .sub(1);
  });

  /** trace(X X^T) */
  const traceOfSquare = (x: Tensor): Tensor =>
    x
      .reshape([...x.shape.slice(0, -2), -1])
      .pow(2)
      .sum(-1);
  const solveLower = (l: Tensor, x: Tensor): Tensor => linalg.solve_triangular(l, x, { upper: false });

  function checkEvents(p: Distribution, q: Distribution, kind: string): void {
    if (!sameShape(p.event_shape, q.event_shape))
      throw new Error(`KL-divergence between two ${kind} with ${' '.repeat(25)}different event shapes cannot be computed`);
  }
  /** L^-1 (W^T D^-1) of Woodbury's identity. */
  const whitened = (q: LowRankMultivariateNormal): Tensor =>
    solveLower(q._capacitance_tril, q._unbroadcasted_cov_factor.mT.div(q._unbroadcasted_cov_diag.unsqueeze(-2)));

  same(LowRankMultivariateNormal, (p, q) => {
    checkEvents(p, q, 'Low Rank Multivariate Normals');
    const term1 = lowRankLogDeterminant(q).sub(lowRankLogDeterminant(p));
    const term3 = lowRankMahalanobis(q, q.loc.sub(p.loc));
    const a = whitened(q);
    const [w, d] = [p._unbroadcasted_cov_factor, p._unbroadcasted_cov_diag];
    const term2 = d
      .div(q._unbroadcasted_cov_diag)
      .sum(-1)
      .add(traceOfSquare(w.mul(q._unbroadcasted_cov_diag.rsqrt().unsqueeze(-1))))
      .sub(traceOfSquare(a.mul(d.sqrt().unsqueeze(-2))))
      .sub(traceOfSquare(a.matmul(w)));
    return term1.add(term2).add(term3).sub(p.event_shape[0]).mul(0.5);
  });

  register_kl(MultivariateNormal, LowRankMultivariateNormal, (p, q) => {
    checkEvents(p, q, '(Low Rank) Multivariate Normals');
    const l = p._unbroadcasted_scale_tril;
    const term1 = lowRankLogDeterminant(q).sub(logDiagonal(l).mul(2));
    const term3 = lowRankMahalanobis(q, q.loc.sub(p.loc));
    const term2 = traceOfSquare(l.mul(q._unbroadcasted_cov_diag.rsqrt().unsqueeze(-1))).sub(traceOfSquare(whitened(q).matmul(l)));
    return term1.add(term2).add(term3).sub(p.event_shape[0]).mul(0.5);
  });

  register_kl(LowRankMultivariateNormal, MultivariateNormal, (p, q) => {
    checkEvents(p, q, '(Low Rank) Multivariate Normals');
    const l = q._unbroadcasted_scale_tril;
    const [w, d] = [p._unbroadcasted_cov_factor, p._unbroadcasted_cov_diag];
    const term1 = logDiagonal(l).mul(2).sub(lowRankLogDeterminant(p));
    const term3 = batchMahalanobis(l, q.loc.sub(p.loc));
    const batch = broadcast_shapes(l.shape.slice(0, -2), w.shape.slice(0, -2));
    const over = (x: Tensor): Tensor => x.expand([...batch, ...x.shape.slice(-2)]);
    const term2 = traceOfSquare(solveLower(over(l), over(w))).add(traceOfSquare(solveLower(over(l), over(d.sqrt().diag_embed()))));
    return term1.add(term2).add(term3).sub(p.event_shape[0]).mul(0.5);
  });

  same(MultivariateNormal, (p, q) => {
    checkEvents(p, q, 'Multivariate Normals');
    const [lp, lq] = [p._unbroadcasted_scale_tril, q._unbroadcasted_scale_tril];
    const batch = broadcast_shapes(lq.shape.slice(0, -2), lp.shape.slice(0, -2));
    const over = (x: Tensor): Tensor => x.expand([...batch, ...x.shape.slice(-2)]);
    const term2 = traceOfSquare(solveLower(over(lq), over(lp)));
    const term3 = batchMahalanobis(lq, q.loc.sub(p.loc));
    return logDiagonal(lq).sub(logDiagonal(lp)).add(term2.add(term3).sub(p.event_shape[0]).mul(0.5));
  });

  same(Pareto, (p, q) => {
    const ratio = q.alpha.div(p.alpha);
    return q.alpha.mul(p.scale.div(q.scale).log()).sub(ratio.log()).add(ratio).sub(1).masked_fill(p.scale.lt(q.scale), infinity);
  });

  same(Poisson, (p, q) => p.rate.mul(p.rate.log().sub(q.rate.log())).sub(p.rate.sub(q.rate)));

  same(TransformedDistribution, (p, q) => {
    if (!sameTransforms(p.transforms, q.transforms) || !sameShape(p.event_shape, q.event_shape)) throw new NotImplementedError();
    return kl_divergence(p.base_dist, q.base_dist);
  });

  same(Uniform, (p, q) => {
    const outside = q.low.gt(p.low).logical_or(q.high.lt(p.high));
    return q.high.sub(q.low).div(p.high.sub(p.low)).log().masked_fill(outside, infinity);
  });

  same(Independent, (p, q) => {
    if (p.reinterpreted_batch_ndims !== q.reinterpreted_batch_ndims) throw new NotImplementedError();
    return sumRightmost(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims);
  });

  same(Cauchy, (p, q) => {
    const t1 = p.scale.add(q.scale).pow(2).add(p.loc.sub(q.loc).pow(2)).log();
    return t1.sub(p.scale.mul(4).mul(q.scale).log());
  });
}

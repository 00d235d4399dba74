/** Divergences of distributions of different families. Where q gives no density to values that p has, the divergence is infinite. */
import { special, type Tensor, torchFunctions as torch } from '../ops/methods.ts';
import { Bernoulli } from './bernoulli.ts';
import { Beta } from './beta.ts';
import { Binomial } from './binomial.ts';
import { ContinuousBernoulli } from './continuous-bernoulli.ts';
import type { Distribution } from './distribution.ts';
import { Exponential } from './exponential.ts';
import { Gamma } from './gamma.ts';
import { Gumbel } from './gumbel.ts';
import { type DistributionClass, register_kl } from './kl-registry.ts';
import { Laplace } from './laplace.ts';
import { Normal } from './normal.ts';
import { Pareto } from './pareto.ts';
import { Poisson } from './poisson.ts';
import { Uniform } from './uniform.ts';
import { euler_constant, oneMinus } from './utils.ts';

const infinity = Number.POSITIVE_INFINITY;
/** Pairs whose divergence is infinite, in the shape of p's parameter. */
function infinite<P extends Distribution>(p: DistributionClass<P>, parameter: (p: P) => Tensor, ...qs: readonly DistributionClass[]): void {
  for (const q of qs) register_kl(p, q, (d) => torch.full_like(parameter(d), infinity));
}
/** Registers the divergences of this file. */
export function registerMixedFamilies(): void {
  infinite(Beta, (p) => p.concentration1, Pareto);
  infinite(ContinuousBernoulli, (p) => p.probs, Pareto);
  infinite(Exponential, (p) => p.rate, Beta, ContinuousBernoulli, Pareto, Uniform);
  infinite(Gamma, (p) => p.concentration, Beta, ContinuousBernoulli, Pareto, Uniform);
  infinite(Gumbel, (p) => p.loc, Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform);
  infinite(Laplace, (p) => p.loc, Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform);
  infinite(Normal, (p) => p.loc, Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform);
  infinite(Pareto, (p) => p.scale, Beta, ContinuousBernoulli, Uniform);
  infinite(Poisson, (p) => p.rate, Bernoulli, Binomial);

  const xLogX = (x: Tensor): Tensor => special.xlogy(x, x);
  /** -log of a gamma density's normalizer. */
  const gammaNormalizer = (q: Gamma): Tensor => q.concentration.lgamma().sub(q.concentration.mul(q.rate.log()));

  register_kl(Bernoulli, Poisson, (p, q) => p.entropy().neg().sub(p.probs.mul(q.rate.log()).sub(q.rate)));

  // ---- p is a beta distribution

  register_kl(Beta, ContinuousBernoulli, (p, q) =>
    p.entropy().neg().sub(p.mean.mul(q.logits)).sub(q.probs.neg().log1p()).sub(q._cont_bern_log_norm()),
  );
  register_kl(Beta, Exponential, (p, q) => p.entropy().neg().sub(q.rate.log()).add(q.rate.mul(p.mean)));
  register_kl(Beta, Gamma, (p, q) => {
    const total = p.concentration1.add(p.concentration0);
    const t3 = q.concentration.sub(1).mul(p.concentration1.digamma().sub(total.digamma()));
    return p.entropy().neg().add(gammaNormalizer(q)).sub(t3).add(q.rate.mul(p.concentration1).div(total));
  });
  register_kl(Beta, Normal, (p, q) => {
    const { mean } = p;
    const variance = q.scale.pow(2);
    const t2 = variance
      .mul(2 * Math.PI)
      .log()
      .mul(0.5);
    const t3 = mean.mul(oneMinus(mean)).div(p.concentration1.add(p.concentration0).add(1)).add(mean.pow(2)).mul(0.5);
    return p
      .entropy()
      .neg()
      .add(t2)
      .add(t3.sub(q.loc.mul(mean)).add(q.loc.pow(2).mul(0.5)).div(variance));
  });
  register_kl(Beta, Uniform, (p, q) =>
    p
      .entropy()
      .neg()
      .add(q.high.sub(q.low).log())
      .masked_fill(q.low.gt(0).logical_or(q.high.lt(1)), infinity),
  );

  // ---- p is a continuous Bernoulli distribution

  register_kl(ContinuousBernoulli, Exponential, (p, q) => p.entropy().neg().sub(q.rate.log()).add(q.rate.mul(p.mean)));
  register_kl(ContinuousBernoulli, Normal, (p, q) => {
    const t2 = q.loc
      .div(q.scale)
      .square()
      .add(Math.log(2 * Math.PI))
      .mul(0.5)
      .add(q.scale.log());
    const t3 = p.variance.add(p.mean.square()).sub(q.loc.mul(2).mul(p.mean)).div(q.scale.square().mul(2));
    return p.entropy().neg().add(t2).add(t3);
  });
  // The test for "outside" below and at (Uniform, ContinuousBernoulli) is PyTorch's own.
  register_kl(ContinuousBernoulli, Uniform, (p, q) =>
    p
      .entropy()
      .neg()
      .add(q.high.sub(q.low).log())
      .masked_fill(q.low.ge(0).logical_or(q.high.le(1)), infinity),
  );

  // ---- p is an exponential or gamma distribution

  register_kl(Exponential, Gamma, (p, q) => {
    const ratio = q.rate.div(p.rate);
    return q.concentration
      .neg()
      .mul(ratio.log())
      .add(ratio)
      .add(q.concentration.lgamma())
      .add(q.concentration.mul(euler_constant))
      .sub(1 + euler_constant);
  });
  register_kl(Exponential, Gumbel, (p, q) => {
    const product = p.rate.mul(q.scale);
    const ratio = q.loc.div(q.scale);
    const t2 = ratio.exp().mul(product).div(product.add(1));
    return product.log().sub(1).sub(ratio).add(t2).add(product.reciprocal());
  });
  register_kl(Exponential, Normal, (p, q) => {
    const variance = q.scale.pow(2);
    const square = p.rate.pow(2);
    const t1 = square
      .mul(variance)
      .mul(2 * Math.PI)
      .log()
      .mul(0.5);
    const t4 = q.loc.pow(2).mul(0.5);
    return t1.sub(1).add(square.reciprocal().sub(q.loc.div(p.rate)).add(t4).div(variance));
  });
  register_kl(Gamma, Exponential, (p, q) => p.entropy().neg().sub(q.rate.log()).add(q.rate.mul(p.concentration).div(p.rate)));
  register_kl(Gamma, Gumbel, (p, q) => {
    const product = p.rate.mul(q.scale);
    const ratio = q.loc.div(q.scale);
    const t1 = p.concentration.sub(1).mul(p.concentration.digamma()).sub(p.concentration.lgamma()).sub(p.concentration);
    const t2 = product.log().add(p.concentration.div(product));
    const t3 = ratio.exp().mul(product.reciprocal().add(1).pow(p.concentration.neg())).sub(ratio);
    return t1.add(t2).add(t3);
  });
  register_kl(Gamma, Normal, (p, q) => {
    const variance = q.scale.pow(2);
    const square = p.rate.pow(2);
    const t1 = square
      .mul(variance)
      .mul(2 * Math.PI)
      .log()
      .mul(0.5)
      .sub(p.concentration)
      .sub(p.concentration.lgamma());
    const t2 = p.concentration.pow(2).add(p.concentration).mul(0.5).div(square);
    const t3 = q.loc.mul(p.concentration).div(p.rate);
    const t4 = q.loc.pow(2).mul(0.5);
    return t1.add(p.concentration.sub(1).mul(p.concentration.digamma())).add(t2.sub(t3).add(t4).div(variance));
  });

  // ---- p has a location

  register_kl(Gumbel, Normal, (p, q) => {
    const ratio = p.scale.div(q.scale);
    const t1 = ratio.div(Math.sqrt(2 * Math.PI)).log();
    const t2 = ratio
      .mul(Math.PI * 0.5)
      .pow(2)
      .div(3);
    const t3 = p.loc.add(p.scale.mul(euler_constant)).sub(q.loc).div(q.scale).pow(2).mul(0.5);
    return t1
      .neg()
      .add(t2)
      .add(t3)
      .sub(euler_constant + 1);
  });
  register_kl(Laplace, Normal, (p, q) => {
    const variance = q.scale.pow(2);
    const ratio = p.scale.pow(2).div(variance);
    const t1 = ratio.mul(2).div(Math.PI).log().mul(0.5);
    const t2 = p.loc.pow(2).mul(0.5);
    const t4 = q.loc.pow(2).mul(0.5);
    return t1
      .neg()
      .add(ratio)
      .add(t2.sub(p.loc.mul(q.loc)).add(t4).div(variance))
      .sub(1);
  });
  register_kl(Normal, Gumbel, (p, q) => {
    const mean = p.loc.div(q.scale);
    const ratio = p.scale.div(q.scale).pow(2);
    const loc = q.loc.div(q.scale);
    const t3 = mean.neg().add(ratio.mul(0.5)).add(loc).exp();
    return ratio
      .log()
      .mul(0.5)
      .neg()
      .add(mean.sub(loc))
      .add(t3)
      .sub(0.5 * (1 + Math.log(2 * Math.PI)));
  });
  register_kl(Normal, Laplace, (p, q) => {
    const difference = p.loc.sub(q.loc);
    const scaled = difference.div(p.scale);
    const t1 = p.scale.div(q.scale).log();
    const t2 = p.scale.mul(Math.sqrt(2 / Math.PI)).mul(scaled.pow(2).mul(-0.5).exp());
    const t3 = difference.mul(scaled.mul(Math.sqrt(0.5)).erf());
    return t1
      .neg()
      .add(t2.add(t3).div(q.scale))
      .sub(0.5 * (1 + Math.log(0.5 * Math.PI)));
  });

  // ---- p is a Pareto distribution

  register_kl(Pareto, Exponential, (p, q) => {
    const product = p.scale.mul(q.rate);
    const t3 = p.alpha.mul(product).div(p.alpha.sub(1));
    return p.alpha.div(product).log().sub(p.alpha.reciprocal()).add(t3).sub(1).masked_fill(p.alpha.le(1), infinity);
  });
  register_kl(Pareto, Gamma, (p, q) => {
    const common = p.scale.log().add(p.alpha.reciprocal());
    const t1 = p.alpha.log().sub(common);
    const t3 = oneMinus(q.concentration).mul(common);
    const t4 = q.rate.mul(p.alpha).mul(p.scale).div(p.alpha.sub(1));
    return t1.add(gammaNormalizer(q)).add(t3).add(t4).sub(1).masked_fill(p.alpha.le(1), infinity);
  });
  register_kl(Pareto, Normal, (p, q) => {
    const variance = q.scale.pow(2).mul(2);
    const common = p.scale.div(p.alpha.sub(1));
    const t1 = q.scale
      .mul(Math.sqrt(2 * Math.PI))
      .mul(p.alpha)
      .div(p.scale)
      .log();
    const t3 = p.alpha.mul(common.pow(2)).div(p.alpha.sub(2));
    const t4 = p.alpha.mul(common).sub(q.loc).pow(2);
    return t1.sub(p.alpha.reciprocal()).add(t3.add(t4).div(variance)).sub(1).masked_fill(p.alpha.le(2), infinity);
  });

  // ---- p is a uniform distribution

  /** The mean of log x, up to the part that cancels. */
  const meanLog = (high: Tensor, low: Tensor, width: Tensor): Tensor => xLogX(high).sub(xLogX(low)).sub(width).div(width);

  register_kl(Uniform, Beta, (p, q) => {
    const width = p.high.sub(p.low);
    const t2 = q.concentration1.sub(1).mul(meanLog(p.high, p.low, width));
    const t3 = q.concentration0.sub(1).mul(
      xLogX(oneMinus(p.high))
        .sub(xLogX(oneMinus(p.low)))
        .add(width)
        .div(width),
    );
    const t4 = q.concentration1.lgamma().add(q.concentration0.lgamma()).sub(q.concentration1.add(q.concentration0).lgamma());
    return t3
      .add(t4)
      .sub(width.log())
      .sub(t2)
      .masked_fill(p.high.gt(1).logical_or(p.low.lt(0)), infinity);
  });
  register_kl(Uniform, ContinuousBernoulli, (p, q) =>
    p
      .entropy()
      .neg()
      .sub(p.mean.mul(q.logits))
      .sub(q.probs.neg().log1p())
      .sub(q._cont_bern_log_norm())
      .masked_fill(p.high.ge(1).logical_or(p.low.le(0)), infinity),
  );
  register_kl(Uniform, Exponential, (p, q) =>
    q.rate.mul(p.high.add(p.low)).div(2).sub(p.high.sub(p.low).mul(q.rate).log()).masked_fill(p.low.lt(0), infinity),
  );
  register_kl(Uniform, Gamma, (p, q) => {
    const width = p.high.sub(p.low);
    const t3 = oneMinus(q.concentration).mul(meanLog(p.high, p.low, width));
    const t4 = q.rate.mul(p.high.add(p.low)).div(2);
    return width.log().neg().add(gammaNormalizer(q)).add(t3).add(t4).masked_fill(p.low.lt(0), infinity);
  });
  register_kl(Uniform, Gumbel, (p, q) => {
    const ratio = q.scale.div(p.high.sub(p.low));
    const high = p.high.sub(q.loc).div(q.scale);
    const low = p.low.sub(q.loc).div(q.scale);
    const t1 = ratio.log().add(high.add(low).mul(0.5));
    return t1.sub(ratio.mul(high.neg().exp().sub(low.neg().exp())));
  });
  register_kl(Uniform, Normal, (p, q) => {
    const width = p.high.sub(p.low);
    const t1 = q.scale
      .mul(Math.sqrt(Math.PI * 2))
      .div(width)
      .log();
    const t3 = p.high.add(p.low).sub(q.loc.mul(2)).div(2).pow(2);
    return t1.add(width.pow(2).div(12).add(t3).mul(0.5).div(q.scale.pow(2)));
  });
  register_kl(Uniform, Pareto, (p, q) => {
    const width = p.high.sub(p.low);
    const t1 = q.alpha.mul(q.scale.pow(q.alpha)).mul(width).log();
    return meanLog(p.high, p.low, width).mul(q.alpha.add(1)).sub(t1).masked_fill(p.low.lt(q.scale), infinity);
  });
}

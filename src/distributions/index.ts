/** `torch.distributions`. https://docs.pytorch.org/docs/stable/distributions.html */

export { Bernoulli } from './bernoulli.ts';
export { Beta } from './beta.ts';
export { Binomial } from './binomial.ts';
export { Categorical } from './categorical.ts';
export { Cauchy } from './cauchy.ts';
export { Chi2 } from './chi2.ts';
export { biject_to, transform_to } from './constraint-registry.ts';
export * as constraints from './constraints.ts';
export { ContinuousBernoulli } from './continuous-bernoulli.ts';
export { Dirichlet } from './dirichlet.ts';
export { Distribution } from './distribution.ts';
export { Exponential } from './exponential.ts';
export { ExponentialFamily } from './exponential-family.ts';
export { FisherSnedecor } from './fishersnedecor.ts';
export { Gamma } from './gamma.ts';
export { GeneralizedPareto } from './generalized-pareto.ts';
export { Geometric } from './geometric.ts';
export { Gumbel } from './gumbel.ts';
export { HalfCauchy } from './half-cauchy.ts';
export { HalfNormal } from './half-normal.ts';
export { Independent } from './independent.ts';
export { InverseGamma } from './inverse-gamma.ts';
export { kl_divergence, register_kl } from './kl.ts';
export { Kumaraswamy } from './kumaraswamy.ts';
export { Laplace } from './laplace.ts';
export { LKJCholesky } from './lkj-cholesky.ts';
export { LogNormal } from './log-normal.ts';
export { LogisticNormal } from './logistic-normal.ts';
export { LowRankMultivariateNormal } from './lowrank-multivariate-normal.ts';
export { MixtureSameFamily } from './mixture-same-family.ts';
export { Multinomial } from './multinomial.ts';
export { MultivariateNormal } from './multivariate-normal.ts';
export { NegativeBinomial } from './negative-binomial.ts';
export { Normal } from './normal.ts';
export { OneHotCategorical, OneHotCategoricalStraightThrough } from './one-hot-categorical.ts';
export { Pareto } from './pareto.ts';
export { Poisson } from './poisson.ts';
export { LogitRelaxedBernoulli, RelaxedBernoulli } from './relaxed-bernoulli.ts';
export { ExpRelaxedCategorical, RelaxedOneHotCategorical } from './relaxed-categorical.ts';
export { StudentT } from './student-t.ts';
export { TransformedDistribution } from './transformed-distribution.ts';
export * as transforms from './transforms.ts';
export {
  AbsTransform,
  AffineTransform,
  CatTransform,
  ComposeTransform,
  CorrCholeskyTransform,
  CumulativeDistributionTransform,
  ExpTransform,
  IndependentTransform,
  identity_transform,
  LowerCholeskyTransform,
  PositiveDefiniteTransform,
  PowerTransform,
  ReshapeTransform,
  SigmoidTransform,
  SoftmaxTransform,
  SoftplusTransform,
  StackTransform,
  StickBreakingTransform,
  TanhTransform,
  Transform,
} from './transforms.ts';
export { Uniform } from './uniform.ts';
export { VonMises } from './von-mises.ts';
export { Weibull } from './weibull.ts';
export { Wishart } from './wishart.ts';

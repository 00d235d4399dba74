/**
 * torch.special: https://docs.pytorch.org/docs/stable/special.html
 *
 * Functions that exist only here, and those of `torch` under the names that SciPy has for them.
 */
import { declare, overload } from './declare.ts';
import { gammas } from './pointwise-gamma.ts';
import { specialDoc } from './pointwise-support.ts';
import { logit, round, unaryOps } from './pointwise-unary.ts';
import { bessels } from './special-bessel.ts';
import { normals } from './special-normal.ts';
import { polynomials } from './special-polynomials.ts';
import { use } from './use.ts';

export const specialOps = {
  ...bessels,
  ...normals,
  ...polynomials,
  erf: gammas.erf,
  erfc: gammas.erfc,
  erfinv: gammas.erfinv,
  gammaln: gammas.lgamma,
  digamma: gammas.digamma,
  psi: gammas.digamma,
  polygamma: gammas.polygamma,
  multigammaln: gammas.mvlgamma,
  gammainc: gammas.igamma,
  gammaincc: gammas.igammac,
  exp2: unaryOps.exp2,
  expm1: unaryOps.expm1,
  log1p: unaryOps.log1p,
  expit: unaryOps.sigmoid,
  sinc: unaryOps.sinc,
  logit,
  round,
  logsumexp: declare(
    specialDoc('logsumexp', 'Logarithm of the sum of exponentials over dims'),
    overload('special_logsumexp(Tensor self, int[1] dim, bool keepdim=False) -> Tensor', (x, dim, keepdim) =>
      use('logsumexp', x, dim, keepdim),
    ),
  ),
  softmax: declare(
    specialDoc('softmax', 'exp(x) / sum exp(x) along a dim'),
    overload('special_softmax(Tensor self, int dim, ScalarType? dtype=None) -> Tensor', (x, dim, dtype) =>
      use('softmax', x, dim, { dtype }),
    ),
  ),
  log_softmax: declare(
    specialDoc('log_softmax', 'Logarithm of softmax'),
    overload('special_log_softmax(Tensor self, int dim, *, ScalarType? dtype=None) -> Tensor', (x, dim, dtype) =>
      use('log_softmax', x, dim, { dtype }),
    ),
  ),
};

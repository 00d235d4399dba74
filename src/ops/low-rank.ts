/**
 * Low-rank approximations from random products: https://docs.pytorch.org/docs/stable/generated/torch.svd_lowrank.html
 *
 * The steps, and the order in which random numbers are drawn, are PyTorch's (`torch/_lowrank.py`).
 */
import type { Tensor } from '../tensor/tensor.ts';
import { declare, overload } from './declare.ts';
import { last, lastButOne } from './linalg-checks.ts';
import { qrOf } from './linalg-decompositions.ts';
import { adjointOf, svdOf } from './linalg-spectral.ts';
import { matmulOf } from './matmul.ts';
import { expandTo } from './shape-base.ts';
import { use } from './use.ts';

type Factors = [Tensor, Tensor, Tensor];
const orthonormal = (x: Tensor): Tensor => qrOf(x, 'reduced')[0];
const times = (a: Tensor, less: Tensor | null, x: Tensor): Tensor => {
  const product = matmulOf(a, x);
  return less === null ? product : use('sub', product, matmulOf(less, x));
};

/** An orthonormal basis that nearly spans the columns of a (minus m). */
function basis(a: Tensor, q: number, iterations: number, m: Tensor | null): Tensor {
  const drawn = use('randn', [last(a), q], { dtype: a.dtype, device: a.device });
  let out = orthonormal(times(a, m, drawn));
  const h = adjointOf(a);
  const mh = m === null ? null : adjointOf(m);
  for (let i = 0; i < iterations; i++) {
    out = orthonormal(times(h, mh, out));
    out = orthonormal(times(a, m, out));
  }
  return out;
}

function lowRank(a: Tensor, q: number | null, iterations: number, mean: Tensor | null): Factors {
  const rank = q ?? 6;
  const m = mean === null ? null : expandTo(mean, a.view_.shape);
  if (lastButOne(a) < last(a)) {
    const flipped = adjointOf(a);
    const [u, s, v] = factor(flipped, rank, iterations, m === null ? null : adjointOf(m));
    return [v, s, u];
  }
  return factor(a, rank, iterations, m);
}
function factor(a: Tensor, rank: number, iterations: number, m: Tensor | null): Factors {
  const q = basis(a, rank, iterations, m);
  const b = times2(adjointOf(q), a, m);
  const [u, s, vh] = svdOf(b, false, false);
  return [matmulOf(q, u), s, adjointOf(vh)];
}
const times2 = (left: Tensor, a: Tensor, m: Tensor | null): Tensor => {
  const product = matmulOf(left, a);
  return m === null ? product : use('sub', product, matmulOf(left, m));
};

function principal(a: Tensor, q: number | null, center: boolean, iterations: number): Factors {
  const [m, n] = [lastButOne(a), last(a)];
  const rank = q ?? Math.min(6, m, n);
  if (!(rank >= 0 && rank <= Math.min(m, n)))
    throw new RangeError(`q(=${rank}) must be non-negative integer and not greater than min(m, n)=${Math.min(m, n)}`);
  if (!(iterations >= 0)) throw new RangeError(`niter(=${iterations}) must be non-negative integer`);
  if (!center) return lowRank(a, rank, iterations, null);
  return lowRank(use('sub', a, use('mean', a, [-2], true)), rank, iterations, null);
}

export const lowRanks = {
  svd_lowrank: declare(
    {
      doc: 'U, S, V of a low-rank approximation, by random products. https://docs.pytorch.org/docs/stable/generated/torch.svd_lowrank.html',
      as: 'function',
    },
    overload('svd_lowrank(Tensor A, int? q=6, int? niter=2, Tensor? M=None) -> (Tensor U, Tensor S, Tensor V)', (a, q, niter, m) =>
      lowRank(a, q, niter ?? 2, m),
    ),
  ),
  pca_lowrank: declare(
    {
      doc: 'U, S, V of centred columns, by random products. https://docs.pytorch.org/docs/stable/generated/torch.pca_lowrank.html',
      as: 'function',
    },
    overload('pca_lowrank(Tensor A, int? q=None, bool center=True, int niter=2) -> (Tensor U, Tensor S, Tensor V)', (a, q, center, niter) =>
      principal(a, q, center, niter),
    ),
  ),
};

/**
 * `torch.lobpcg`: a few eigenpairs of a symmetric (generalized) problem: https://docs.pytorch.org/docs/stable/generated/torch.lobpcg.html
 *
 * The matrix is dense here, so the eigenpairs are computed directly, to full accuracy, instead of iterated to: what only steers the iteration (X, iK,
 * niter, tol, method) is accepted and changes nothing.
 */
import type { Tensor } from '../tensor/tensor.ts';
import { declare, overload } from './declare.ts';
import { last, requireSquare } from './linalg-checks.ts';
import { adjointOf } from './linalg-spectral.ts';
import { narrowOf } from './shape-base.ts';
import { use } from './use.ts';

function eigenpairs(a: Tensor, k: number | null, b: Tensor | null, x: Tensor | null, n: number | null, largest: boolean): [Tensor, Tensor] {
  requireSquare(a, 'lobpcg');
  const size = last(a);
  const count = k ?? (x === null ? 1 : last(x));
  const block = n ?? (x === null ? count : last(x));
  if (size < 3 * block)
    throw new RangeError(
      `LPBPCG algorithm is not applicable when the number of A rows (=${size}) is smaller than 3 x the number of requested eigenpairs (=${block})`,
    );
  // A x = B x e with B = L L^H is C y = y e for C = L^{-1} A L^{-H}, y = L^H x.
  const l = b === null ? null : use('linalg.cholesky', b);
  const solve = (lower: Tensor, rhs: Tensor, upper = false): Tensor => use('linalg.solve_triangular', lower, rhs, { upper });
  const c = l === null ? a : solve(l, adjointOf(solve(l, a)));
  const [values, vectors] = use<[Tensor, Tensor]>('linalg.eigh', c);
  const first = largest ? size - count : 0;
  const pick = (t: Tensor): Tensor => {
    const part = narrowOf(t, -1, first, count);
    return largest ? use('flip', part, [-1]) : part;
  };
  const y = pick(vectors);
  return [pick(values), l === null ? y : solve(adjointOf(l), y, true)];
}

export const lobpcgs = {
  lobpcg: declare(
    {
      doc: 'The k largest (or smallest) eigenvalues and their vectors of a symmetric matrix. https://docs.pytorch.org/docs/stable/generated/torch.lobpcg.html',
      as: 'function',
    },
    overload(
      'lobpcg(Tensor A, int? k=None, Tensor? B=None, Tensor? X=None, int? n=None, Tensor? iK=None, int? niter=None, float? tol=None, bool? largest=None, str? method=None) -> (Tensor, Tensor)',
      (a, k, b, x, n, _iK, _niter, _tol, largest, _method) => eigenpairs(a, k, b, x, n, largest ?? true),
    ),
  ),
};

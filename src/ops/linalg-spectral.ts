/**
 * Eigenvalues, singular values, and what is made of them: pseudo-inverse, rank; torch.linalg and the older names in torch.
 *
 * Low-rank approximations are in `low-rank.ts`, norms in `linalg-norms.ts`.
 */
import { int64 } from '../dtype/dtype.ts';
import { scalarTypeName } from '../dtype/promotion.ts';
import type { Operator } from '../graph/operator.ts';
import { constant, type Prim } from '../graph/prim.ts';
import { constantsOf, record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { detached } from '../tensor/view-tensor.ts';
import { lowered } from './autocast.ts';
import { fullOf } from './creation.ts';
import { declare, overload } from './declare.ts';
import { batchShape, last, lastButOne, requireFloating, requireKernel, requireMatrix, requireSquare, sized } from './linalg-checks.ts';
import { defaultTolerance, eighPrim, eigPrim, pinvPrim, svdPrim } from './linalg-eigen-functions.ts';
import { adjoint, batchOf } from './linalg-prims.ts';
import { use } from './use.ts';

// ---- eigenvalues

interface HermitianConstants {
  readonly lower: boolean;
}
const eighOperator: Operator<HermitianConstants> = {
  name: 'linalg_eigh',
  body: ([a], { constants: { lower } }) => eighPrim(a, lower, 'linalg.eigh'),
};
const eigvalshOperator: Operator<HermitianConstants> = {
  name: 'linalg_eigvalsh',
  body: ([a], { constants: { lower } }) => eighPrim(a, lower, 'linalg.eigh').slice(0, 1),
};
function hermitian(operator: Operator<HermitianConstants>, a: Tensor, uplo: string): Tensor[] {
  requireSquare(a, 'linalg.eigh');
  const side = uplo.toUpperCase();
  if (side !== 'L' && side !== 'U') throw new Error(`Expected UPLO argument to be 'L' or 'U', but got ${uplo}`);
  requireKernel(a, 'linalg_eigh_cpu');
  const lower = side === 'L';
  return record(operator as never, [a], { constants: constantsOf(`lower:${lower}`, (): HermitianConstants => ({ lower })) });
}

const eigOperator: Operator<null> = { name: 'linalg_eig', body: ([a]) => eigPrim(a, 'linalg.eig') };
const eigvalsOperator: Operator<null> = { name: 'linalg_eigvals', body: ([a]) => eigPrim(a, 'linalg.eigvals').slice(0, 1) };
function general(operator: Operator<null>, a: Tensor, name: string): Tensor[] {
  requireSquare(a, name);
  if (!a.dtype.is_floating_point && !a.dtype.is_complex) throw new Error(`Unknown Complex ScalarType for ${scalarTypeName(a.dtype)}`);
  requireKernel(a, 'linalg_eig_out_cpu');
  return record(operator as never, [a]);
}

// ---- singular values

interface SvdConstants {
  readonly full: boolean;
  /** The third result is V instead of its adjoint. */
  readonly v: boolean;
}
const svdOperator: Operator<SvdConstants> = {
  name: 'linalg_svd',
  body: ([a], { constants: { full, v } }) => {
    const [u, s, vh] = svdPrim(a, full, 'linalg.svd');
    return [u, s, v ? adjoint(vh) : vh];
  },
};
const svdvalsOperator: Operator<null> = {
  name: 'linalg_svdvals',
  body: ([a]) => [svdPrim(a, false, 'linalg.svd')[1]],
};
function requireSvd(a: Tensor, driver: string | null): void {
  requireMatrix(a, 'linalg.svd');
  requireFloating(a, 'linalg.svd', 'linalg_svd_cpu');
  if (driver !== null)
    throw new Error('torch.linalg.svd: keyword argument `driver=` is only supported on CUDA inputs with cuSOLVER backend.');
}
export function svdOf(a: Tensor, full: boolean, v: boolean, driver: string | null = null): [Tensor, Tensor, Tensor] {
  requireSvd(a, driver);
  return record(svdOperator as never, [a], {
    constants: sized(`svd:${full}:${v}`, a, (): SvdConstants => ({ full, v })),
  }) as [Tensor, Tensor, Tensor];
}
export function svdvalsOf(a: Tensor, driver: string | null = null): Tensor {
  requireSvd(a, driver);
  return record(svdvalsOperator as never, [a], { constants: sized('svdvals', a, () => null) })[0];
}
function oldSvd(a: Tensor, some: boolean, vectors: boolean): [Tensor, Tensor, Tensor] {
  if (a.ndim < 2) throw new Error(`linalg.svd: input should have at least 2 dimensions, but has ${a.ndim} dimensions instead`);
  if (vectors) return svdOf(a, !some, true);
  const zeros = (n: number): Tensor => fullOf([...batchShape(a), n, n], 0, a.dtype, a.device);
  return [zeros(lastButOne(a)), svdvalsOf(a), zeros(last(a))];
}

// ---- what counts as zero

/** A tolerance: a number, or one a matrix. */
type Tolerance = number | Tensor | null;
/** Inputs beside the matrix, and numbers where there is no tensor. */
interface Tolerances {
  readonly atol: number | 'tensor';
  readonly rtol: number | 'tensor';
  /** The default relative one counts only where the absolute one is 0. */
  readonly rtolUnlessAtol: boolean;
}
function tolerancesOf(a: Tensor, atol: Tolerance, rtol: Tolerance): { inputs: Tensor[]; tolerances: Tolerances; key: string } {
  const inputs: Tensor[] = [];
  const one = (t: number | Tensor): number | 'tensor' => {
    if (typeof t === 'number') return t;
    inputs.push(detached(t));
    return 'tensor';
  };
  const fallback = a.ndim < 2 ? 0 : defaultTolerance(a.dtype, lastButOne(a), last(a));
  const own = one(atol ?? 0);
  const relative = rtol === null ? (typeof own === 'number' && own > 0 ? 0 : fallback) : one(rtol);
  const tolerances = { atol: own, rtol: relative, rtolUnlessAtol: rtol === null && own === 'tensor' };
  return { inputs, tolerances, key: `${tolerances.atol}:${tolerances.rtol}:${tolerances.rtolUnlessAtol}` };
}
function tolerancePrims(t: Tolerances, inputs: readonly Prim[], like: Prim): [Prim, Prim] {
  const real = like.dtype.real;
  let at = 0;
  const one = (x: number | 'tensor'): Prim => (x === 'tensor' ? inputs[at++].cast(real) : constant(x, real)).expand(batchOf(like));
  const atol = one(t.atol);
  const rtol = one(t.rtol);
  return [atol, t.rtolUnlessAtol ? atol.gt(0).where(0, rtol) : rtol];
}

interface PinvConstants {
  readonly tolerances: Tolerances;
  readonly hermitian: boolean;
}
const pinvOperator: Operator<PinvConstants> = {
  name: 'linalg_pinv',
  body: ([a, ...rest], { constants: { tolerances, hermitian: symmetric } }) => [
    pinvPrim(a, ...tolerancePrims(tolerances, rest, a), symmetric),
  ],
};
function pinvOf(a: Tensor, atol: Tolerance, rtol: Tolerance, symmetric: boolean): Tensor {
  if (a.ndim < 2 || (!a.dtype.is_complex && (!a.dtype.is_floating_point || a.dtype.itemsize < 4)))
    throw new Error(
      `linalg.pinv(${scalarTypeName(a.dtype)}{[${a.view_.shape.join(', ')}]}): expected a tensor with 2 or more dimensions of float, double, cfloat or cdouble types`,
    );
  if (symmetric) requireSquare(a, 'linalg.pinv');
  const { inputs, tolerances, key } = tolerancesOf(a, atol, rtol);
  const inverse = record(pinvOperator as never, [a, ...inputs], {
    constants: sized(`pinv:${symmetric}:${key}`, a, (): PinvConstants => ({ tolerances, hermitian: symmetric })),
  })[0];
  // PyTorch's last step is a product.
  return lowered(inverse);
}

const rankOperator: Operator<PinvConstants> = {
  name: 'linalg_matrix_rank',
  body: ([a, ...rest], { constants: { tolerances, hermitian: symmetric } }) => {
    const values = symmetric ? eighPrim(a, true, 'linalg.eigh')[0].scalar('abs') : svdPrim(a, false, 'linalg.svd')[1];
    const [atol, rtol] = tolerancePrims(tolerances, rest, a);
    const n = values.ndim - 1;
    const largest = values.shape[n] === 0 ? rtol.mul(0) : values.amax([n]);
    const least = atol.maximum(rtol.mul(largest));
    return [values.gt(least.unsqueeze(n)).cast(int64).sum([n])];
  },
};
function rankOf(a: Tensor, atol: Tolerance, rtol: Tolerance, symmetric: boolean): Tensor {
  const name = 'torch.linalg.matrix_rank';
  requireMatrix(a, name, 'input');
  if (!a.dtype.is_complex && (!a.dtype.is_floating_point || a.dtype.itemsize < 4))
    throw new Error("This function doesn't handle types other than float and double");
  for (const [t, which] of [
    [atol, 'atol'],
    [rtol, 'rtol'],
  ] as const)
    if (t !== null && typeof t === 'object' && t.dtype.is_complex)
      throw new Error(`${name}: ${which} tensor of complex type is not supported.`);
  if (symmetric) requireSquare(a, 'linalg.matrix_rank');
  const { inputs, tolerances, key } = tolerancesOf(a, atol, rtol);
  return record(rankOperator as never, [detached(a), ...inputs], {
    constants: sized(`rank:${symmetric}:${key}`, a, (): PinvConstants => ({ tolerances, hermitian: symmetric })),
  })[0];
}

const page = (name: string): string => `https://docs.pytorch.org/docs/stable/generated/torch.${name}.html`;

export const linalgSpectral = {
  eigh: declare(
    { doc: `Eigenvalues (ascending) and eigenvectors of Hermitian matrices; one triangle is read. ${page('linalg.eigh')}` },
    overload(
      'linalg_eigh(Tensor self, str UPLO="L") -> (Tensor eigenvalues, Tensor eigenvectors)',
      (a, uplo) => hermitian(eighOperator, a, uplo) as [Tensor, Tensor],
    ),
  ),
  eigvalsh: declare(
    { doc: `Eigenvalues (ascending) of Hermitian matrices. ${page('linalg.eigvalsh')}` },
    overload('linalg_eigvalsh(Tensor self, str UPLO="L") -> Tensor', (a, uplo) => hermitian(eigvalshOperator, a, uplo)[0]),
  ),
  eig: declare(
    { doc: `Eigenvalues and eigenvectors, complex. ${page('linalg.eig')}` },
    overload(
      'linalg_eig(Tensor self) -> (Tensor eigenvalues, Tensor eigenvectors)',
      (a) => general(eigOperator, a, 'linalg.eig') as [Tensor, Tensor],
    ),
  ),
  eigvals: declare(
    { doc: `Eigenvalues, complex. ${page('linalg.eigvals')}` },
    overload('linalg_eigvals(Tensor self) -> Tensor', (a) => general(eigvalsOperator, a, 'linalg.eigvals')[0]),
  ),
  svd: declare(
    { doc: `U, S, Vh of A = U diag(S) Vh. ${page('linalg.svd')}` },
    overload('linalg_svd(Tensor A, bool full_matrices=True, *, str? driver=None) -> (Tensor U, Tensor S, Tensor Vh)', (a, full, driver) =>
      svdOf(a, full, false, driver),
    ),
  ),
  svdvals: declare(
    { doc: `Singular values, descending. ${page('linalg.svdvals')}` },
    overload('linalg_svdvals(Tensor A, *, str? driver=None) -> Tensor', (a, driver) => svdvalsOf(a, driver)),
  ),
  pinv: declare(
    { doc: `The pseudo-inverse; singular values up to max(atol, rtol * the largest) count as 0. ${page('linalg.pinv')}` },
    overload(
      'linalg_pinv.atol_rtol_float(Tensor self, *, float? atol=None, float? rtol=None, bool hermitian=False) -> Tensor',
      (a, atol, rtol, h) => pinvOf(a, atol, rtol, h),
    ),
    overload(
      'linalg_pinv.atol_rtol_tensor(Tensor self, *, Tensor? atol=None, Tensor? rtol=None, bool hermitian=False) -> Tensor',
      (a, atol, rtol, h) => pinvOf(a, atol, rtol, h),
    ),
    overload('linalg_pinv(Tensor self, float rcond, bool hermitian=False) -> Tensor', (a, rcond, h) => pinvOf(a, 0, rcond, h)),
    overload('linalg_pinv.rcond_tensor(Tensor self, Tensor rcond, bool hermitian=False) -> Tensor', (a, rcond, h) =>
      pinvOf(a, 0, rcond, h),
    ),
  ),
  matrix_rank: declare(
    { doc: `How many singular values are larger than max(atol, rtol * the largest). ${page('linalg.matrix_rank')}` },
    overload(
      'linalg_matrix_rank.atol_rtol_float(Tensor self, *, float? atol=None, float? rtol=None, bool hermitian=False) -> Tensor',
      (a, atol, rtol, h) => rankOf(a, atol, rtol, h),
    ),
    overload(
      'linalg_matrix_rank.atol_rtol_tensor(Tensor input, *, Tensor? atol=None, Tensor? rtol=None, bool hermitian=False) -> Tensor',
      (a, atol, rtol, h) => rankOf(a, atol, rtol, h),
    ),
    overload('linalg_matrix_rank(Tensor self, float tol, bool hermitian=False) -> Tensor', (a, tol, h) => rankOf(a, tol, 0, h)),
    overload('linalg_matrix_rank.tol_tensor(Tensor input, Tensor tol, bool hermitian=False) -> Tensor', (a, tol, h) =>
      rankOf(a, tol, 0, h),
    ),
  ),
};

/** The older names. */
export const torchSpectral = {
  svd: declare(
    { doc: `U, S, V of A = U diag(S) V^H. ${page('svd')}` },
    overload('svd(Tensor self, bool some=True, bool compute_uv=True) -> (Tensor U, Tensor S, Tensor V)', (a, some, vectors) =>
      oldSvd(a, some, vectors),
    ),
  ),
  pinverse: declare(
    { doc: `The pseudo-inverse. ${page('pinverse')}` },
    overload('pinverse(Tensor self, float rcond=1e-15) -> Tensor', (a, rcond) => pinvOf(a, 0, rcond, false)),
  ),
};

/** The adjoint, as a tensor. */
export const adjointOf = (a: Tensor): Tensor => use('conj', use('transpose', a, -2, -1));

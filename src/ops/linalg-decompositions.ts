/**
 * Factorizations without eigenvalues: Cholesky, LU, QR, Householder products, L D L^T; torch.linalg and the older names in torch.
 *
 * The forms without `_ex` read `info` at the call and throw for matrices that have no such factorization.
 */
import { int32 } from '../dtype/dtype.ts';
import type { Operator } from '../graph/operator.ts';
import { full, iota, type Prim } from '../graph/prim.ts';
import { constantsOf, record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { detached } from '../tensor/view-tensor.ts';
import { declare, overload } from './declare.ts';
import { requireInside } from './host-index.ts';
import { last, lastButOne, requireFloating, requireKernel, requireMatrix, requireSquare, sized, throwFor } from './linalg-checks.ts';
import { choleskyPrim, geqrfPrim, householderFactors, ldlPrim, luPrim, permutationPrims, qrPrim } from './linalg-factor-functions.ts';
import { refused } from './linalg-functions.ts';
import { adjoint, batchOf, block, colsOf, extent, eye, rowsOf, tril, triu } from './linalg-prims.ts';

/** A flag as the constants of a call. */
const flag = <K extends string>(key: K, value: boolean): ReturnType<typeof constantsOf> =>
  constantsOf(`${key}:${value}`, () => ({ [key]: value }));

// ---- Cholesky

const choleskyOperator: Operator<{ readonly upper: boolean }> = {
  name: 'linalg_cholesky_ex',
  body: ([a], { constants: { upper } }) => choleskyPrim(a, upper),
};
function choleskyEx(a: Tensor, upper: boolean, name: string): [Tensor, Tensor] {
  requireSquare(a, name);
  requireKernelAfter(a, name, 'cholesky_cpu');
  return record(choleskyOperator as never, [a], { constants: flag('upper', upper) }) as [Tensor, Tensor];
}
/** `cholesky` leaves integers to the kernel, the functions of torch.linalg refuse them. */
function requireKernelAfter(a: Tensor, name: string, kernel: string): void {
  if (name.startsWith('linalg')) requireFloating(a, name, kernel);
  else requireKernel(a, kernel);
}
export function choleskyOf(a: Tensor, upper: boolean, name = 'linalg.cholesky'): Tensor {
  const [l, info] = choleskyEx(a, upper, name);
  throwFor(info, name);
  return l;
}

// ---- LU

const luFactorOperator: Operator<null> = {
  name: 'linalg_lu_factor_ex',
  body: ([a]) => luPrim(a).slice(0, 3),
};
const luOperator: Operator<null> = {
  name: 'linalg_lu',
  body: ([a]) => {
    const [lu, , , perm] = luPrim(a);
    return [permutationMatrix(perm, a), ...triangles(lu)];
  },
};
/** Column i of P holds its 1 in row perm[i]. */
function permutationMatrix(perm: Prim, like: Prim): Prim {
  const m = rowsOf(like);
  const shape = [...batchOf(like), m, m];
  return perm
    .unsqueeze(perm.ndim - 1)
    .expand(shape)
    .eq(iota(shape, shape.length - 2))
    .cast(like.dtype);
}
/** L with its unit diagonal, and U. */
function triangles(lu: Prim): Prim[] {
  const m = extent(rowsOf(lu));
  const n = extent(colsOf(lu));
  const k = Math.min(m, n);
  const left = block(lu, 0, m, 0, k);
  return [tril(left, -1).add(eye(left.shape, left.dtype)), triu(block(lu, 0, k, 0, n))];
}
function requireLu(a: Tensor, pivot: boolean, name: string): void {
  if (a.ndim < 2) throw new Error(`${name}: Expected tensor with 2 or more dimensions. Got size: [${a.view_.shape.join(', ')}] instead`);
  requireKernel(a, 'lu_cpu');
  if (!pivot) throw new Error('linalg.lu_factor: LU without pivoting is not implemented on the CPU');
}
export function luFactorEx(a: Tensor, pivot: boolean, check: boolean): [Tensor, Tensor, Tensor] {
  requireLu(a, pivot, 'torch.lu_factor');
  const out = record(luFactorOperator as never, [a], { constants: sized('lu', a, () => null) }) as [Tensor, Tensor, Tensor];
  if (check) throwFor(out[2], 'torch.linalg.lu_factor_ex');
  return out;
}
function luFactor(a: Tensor, pivot: boolean): [Tensor, Tensor] {
  const [lu, pivots, info] = luFactorEx(a, pivot, false);
  throwFor(info, 'torch.linalg.lu_factor');
  return [lu, pivots];
}

interface UnpackConstants {
  readonly data: boolean;
  readonly pivots: boolean;
}
const unpackOperator: Operator<UnpackConstants> = {
  name: 'lu_unpack',
  body: ([lu, pivots], { constants }) => {
    const none = full([0], 0, lu.dtype);
    const p = constants.pivots ? permutationMatrix(permutationPrims(pivots, rowsOf(lu))[0], lu) : none;
    return constants.data ? [p, ...triangles(lu)] : [p, none, none];
  },
};
function luUnpack(lu: Tensor, pivots: Tensor, data: boolean, permutation: boolean): [Tensor, Tensor, Tensor] {
  if (lu.ndim < 2)
    throw new Error(`torch.lu_unpack: Expected tensor with 2 or more dimensions. Got size: [${lu.view_.shape.join(', ')}] instead`);
  if (permutation) {
    if (pivots.dtype !== int32) throw new Error('torch.lu_unpack: LU_pivots is expected to be a contiguous tensor of torch.int32 dtype.');
    requireInside(
      pivots,
      1,
      lastButOne(lu) + 1,
      () =>
        new Error('pivots passed to lu_unpack must be between 1 and LU.size(-2) inclusive.Did you properly pass the result of lu_factor?'),
    );
  }
  const [p, l, u] = record(unpackOperator as never, [lu, pivots], {
    constants: sized(`unpack:${data}:${permutation}`, lu, (): UnpackConstants => ({ data, pivots: permutation })),
  });
  return [detached(p), l, u];
}

// ---- QR

const qrOperator: Operator<{ readonly complete: boolean }> = {
  name: 'linalg_qr',
  body: ([a], { constants: { complete } }) => qrPrim(a, complete),
};
const rOnlyOperator: Operator<null> = {
  name: 'linalg_qr',
  body: ([a]) => [full([0], 0, a.dtype), qrPrim(a, false)[1]],
  gradient: ([, g], [a]) =>
    refused(
      [g],
      a,
      "The derivative of linalg.qr depends on Q, which is not computed when mode='r'. Please use linalg.qr(A, mode='reduced') if you are going to differentiate through linalg.qr.",
    ),
};
export function qrOf(a: Tensor, mode: string): [Tensor, Tensor] {
  requireMatrix(a, 'linalg.qr');
  requireFloating(a, 'linalg.qr', 'geqrf_cpu');
  if (mode === 'r') return record(rOnlyOperator as never, [a], { constants: sized('r', a, () => null) }) as [Tensor, Tensor];
  if (mode !== 'reduced' && mode !== 'complete')
    throw new Error(`qr received unrecognized mode '${mode}' but expected one of 'reduced' (default), 'r', or 'complete'`);
  return record(qrOperator as never, [a], { constants: sized(`qr:${mode}`, a, () => ({ complete: mode === 'complete' })) }) as [
    Tensor,
    Tensor,
  ];
}

const geqrfOperator: Operator<null> = { name: 'geqrf', body: ([a]) => geqrfPrim(a) };
function geqrfOf(a: Tensor): [Tensor, Tensor] {
  if (a.ndim < 2) throw new Error('torch.geqrf: input must have at least 2 dimensions.');
  requireKernel(a, 'geqrf_cpu');
  return record(geqrfOperator as never, [a], { constants: sized('geqrf', a, () => null) }) as [Tensor, Tensor];
}

// ---- products of Householder reflections

const householderOperator: Operator<null> = {
  name: 'linalg_householder_product',
  body: ([a, tau]) => {
    const { v, t } = householderFactors(a, tau);
    const top = block(v, 0, extent(colsOf(a)), 0, extent(colsOf(v)));
    return [eye(a.shape, a.dtype).sub(v.dot(t.dot(adjoint(top))))];
  },
};
function requireReflections(a: Tensor, tau: Tensor, name: string): void {
  if (a.ndim < 2) throw new Error(`${name}: input must have at least 2 dimensions.`);
  if (a.ndim - tau.ndim !== 1)
    throw new Error(
      `${name}: Expected tau to have one dimension less than input, but got tau.ndim equal to ${tau.ndim} and input.ndim is equal to ${a.ndim}`,
    );
  if (tau.dtype !== a.dtype) throw new Error(`${name}: tau dtype ${tau.dtype.name} does not match input dtype ${a.dtype.name}`);
}
function householderProduct(a: Tensor, tau: Tensor): Tensor {
  const name = 'torch.linalg.householder_product';
  if (a.ndim < 2) throw new Error(`${name}: input must have at least 2 dimensions.`);
  if (lastButOne(a) < last(a)) throw new Error(`${name}: input.shape[-2] must be greater than or equal to input.shape[-1]`);
  if (tau.ndim > 0 && last(a) < last(tau)) throw new Error(`${name}: input.shape[-1] must be greater than or equal to tau.shape[-1]`);
  requireReflections(a, tau, name);
  requireKernel(a, 'orgqr_cpu');
  return record(householderOperator as never, [a, tau], { constants: sized(`householder:${last(tau)}`, a, () => null) })[0];
}

interface OrmqrConstants {
  readonly left: boolean;
  readonly transpose: boolean;
}
const ormqrOperator: Operator<OrmqrConstants> = {
  name: 'ormqr',
  body: ([a, tau, c], { constants: { left, transpose } }) => {
    const { v, t } = householderFactors(a, tau);
    const core = transpose ? adjoint(t) : t;
    return [left ? c.sub(v.dot(core.dot(adjoint(v).dot(c)))) : c.sub(c.dot(v).dot(core).dot(adjoint(v)))];
  },
};
function ormqrOf(a: Tensor, tau: Tensor, c: Tensor, left: boolean, transpose: boolean): Tensor {
  const name = 'torch.ormqr';
  if (a.ndim < 2) throw new Error(`${name}: input must have at least 2 dimensions.`);
  if (c.ndim < 2) throw new Error(`${name}: other must have at least 2 dimensions.`);
  const side = left ? '-2' : '-1';
  const size = left ? lastButOne(c) : last(c);
  if (size < last(tau)) throw new Error(`${name}: other.shape[${side}] must be greater than or equal to tau.shape[-1]`);
  if (size !== lastButOne(a)) throw new Error(`${name}: other.shape[${side}] must be equal to input.shape[-2]`);
  if (last(tau) > Math.min(size, last(a)))
    throw new Error(`${name}: tau.shape[-1] must be equal to min(other.shape[${side}], input.shape[-1])`);
  requireReflections(a, tau, name);
  if (c.dtype !== a.dtype)
    throw new Error(
      `${name}: Expected input and other to have the same dtype, but input has dtype ${a.dtype.name} and other has dtype ${c.dtype.name}`,
    );
  requireKernel(a, 'orgqr_cpu');
  return record(ormqrOperator as never, [a, tau, c], {
    constants: sized(`ormqr:${left}:${transpose}:${last(tau)}`, a, (): OrmqrConstants => ({ left, transpose })),
  })[0];
}

// ---- L D L^T

const ldlOperator: Operator<{ readonly hermitian: boolean }> = {
  name: 'linalg_ldl_factor_ex',
  body: ([a], { constants: { hermitian } }) => {
    const [ld, pivots, info] = ldlPrim(a, hermitian);
    return [tril(ld), pivots, info];
  },
};
function ldlFactorEx(a: Tensor, hermitian: boolean): [Tensor, Tensor, Tensor] {
  const name = 'torch.linalg.ldl_factor_ex';
  requireSquare(a, name);
  requireFloating(a, name, 'ldl_factor_kernel_cpu');
  return record(ldlOperator as never, [a], { constants: flag('hermitian', hermitian) }) as [Tensor, Tensor, Tensor];
}
function ldlFactor(a: Tensor, hermitian: boolean): [Tensor, Tensor] {
  const [ld, pivots, info] = ldlFactorEx(a, hermitian);
  throwFor(info, 'torch.linalg.ldl_factor');
  return [ld, pivots];
}

const page = (name: string): string => `https://docs.pytorch.org/docs/stable/generated/torch.${name}.html`;

export const linalgDecompositions = {
  cholesky: declare(
    { doc: `L of A = L L^H. ${page('linalg.cholesky')}` },
    overload('linalg_cholesky(Tensor self, *, bool upper=False) -> Tensor', (a, upper) => choleskyOf(a, upper)),
  ),
  cholesky_ex: declare(
    { doc: `The same with info instead of an error. ${page('linalg.cholesky_ex')}` },
    overload(
      'linalg_cholesky_ex(Tensor self, *, bool upper=False, bool check_errors=False) -> (Tensor L, Tensor info)',
      (a, upper, check) => {
        const out = choleskyEx(a, upper, 'linalg.cholesky');
        if (check) throwFor(out[1], 'linalg.cholesky_ex');
        return out;
      },
    ),
  ),
  lu: declare(
    { doc: `P, L, U of A = P L U. ${page('linalg.lu')}` },
    overload('linalg_lu(Tensor A, *, bool pivot=True) -> (Tensor P, Tensor L, Tensor U)', (a, pivot) => {
      requireLu(a, pivot, 'linalg.lu');
      const [p, l, u] = record(luOperator as never, [a], { constants: sized('lu', a, () => null) });
      return [detached(p), l, u];
    }),
  ),
  lu_factor: declare(
    { doc: `LU in one matrix, and pivots. ${page('linalg.lu_factor')}` },
    overload('linalg_lu_factor(Tensor A, *, bool pivot=True) -> (Tensor LU, Tensor pivots)', (a, pivot) => luFactor(a, pivot)),
  ),
  lu_factor_ex: declare(
    { doc: `The same with info instead of an error. ${page('linalg.lu_factor_ex')}` },
    overload(
      'linalg_lu_factor_ex(Tensor A, *, bool pivot=True, bool check_errors=False) -> (Tensor LU, Tensor pivots, Tensor info)',
      (a, pivot, check) => luFactorEx(a, pivot, check),
    ),
  ),
  qr: declare(
    { doc: `Q, R of A = Q R; mode reduced, complete or r. ${page('linalg.qr')}` },
    overload('linalg_qr(Tensor A, str mode="reduced") -> (Tensor Q, Tensor R)', (a, mode) => qrOf(a, mode)),
  ),
  householder_product: declare(
    { doc: `The first columns of a product of Householder reflections. ${page('linalg.householder_product')}` },
    overload('linalg_householder_product(Tensor input, Tensor tau) -> Tensor', (a, tau) => householderProduct(a, tau)),
  ),
  ldl_factor: declare(
    { doc: `L D L^T (or L D L^H) in one matrix, and pivots. ${page('linalg.ldl_factor')}` },
    overload('linalg_ldl_factor(Tensor self, *, bool hermitian=False) -> (Tensor LD, Tensor pivots)', (a, hermitian) =>
      ldlFactor(a, hermitian),
    ),
  ),
  ldl_factor_ex: declare(
    { doc: `The same with info instead of an error. ${page('linalg.ldl_factor_ex')}` },
    overload(
      'linalg_ldl_factor_ex(Tensor self, *, bool hermitian=False, bool check_errors=False) -> (Tensor LD, Tensor pivots, Tensor info)',
      (a, hermitian, check) => {
        const out = ldlFactorEx(a, hermitian);
        if (check) throwFor(out[2], 'torch.linalg.ldl_factor_ex');
        return out;
      },
    ),
  ),
};

/** The older names. */
export const torchDecompositions = {
  cholesky: declare(
    { doc: `L of A = L L^H. ${page('cholesky')}` },
    overload('cholesky(Tensor self, bool upper=False) -> Tensor', (a, upper) => choleskyOf(a, upper, 'cholesky')),
  ),
  lu: declare(
    { doc: `LU in one matrix, pivots, and info if asked for. ${page('lu')}` },
    overload('lu(Tensor self, bool pivot=True, bool get_infos=False) -> Tensor[]', (a, pivot, infos) =>
      luFactorEx(a, pivot, false).slice(0, infos ? 3 : 2),
    ),
  ),
  lu_unpack: declare(
    { doc: `P, L, U of what lu_factor gave. ${page('lu_unpack')}`, as: 'function' },
    overload(
      'lu_unpack(Tensor LU_data, Tensor LU_pivots, bool unpack_data=True, bool unpack_pivots=True) -> (Tensor P, Tensor L, Tensor U)',
      (lu, pivots, data, permutation) => luUnpack(lu, pivots, data, permutation),
    ),
  ),
  qr: declare(
    { doc: `Q, R of A = Q R; some=False for a square Q. ${page('qr')}` },
    overload('qr(Tensor self, bool some=True) -> (Tensor Q, Tensor R)', (a, some) => qrOf(a, some ? 'reduced' : 'complete')),
  ),
  geqrf: declare(
    { doc: `R with the Householder vectors below it, and tau. ${page('geqrf')}` },
    overload('geqrf(Tensor self) -> (Tensor a, Tensor tau)', (a) => geqrfOf(a)),
  ),
  orgqr: declare(
    { doc: `The same as linalg.householder_product. ${page('orgqr')}` },
    overload('orgqr(Tensor self, Tensor input2) -> Tensor', (a, tau) => householderProduct(a, tau)),
  ),
  ormqr: declare(
    { doc: `A matrix times the square Q of a QR factorization. ${page('ormqr')}` },
    overload(
      'ormqr(Tensor self, Tensor input2, Tensor input3, bool left=True, bool transpose=False) -> Tensor',
      (a, tau, c, left, transpose) => ormqrOf(a, tau, c, left, transpose),
    ),
  ),
};

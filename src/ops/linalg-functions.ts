/**
 * Library functions of linear algebra that give one matrix back (solutions, inverses, determinants, exponentials), as functions of primitives.
 *
 * Every gradient is written over primitives and these functions, so gradients of gradients follow. Nothing here throws for singular matrices:
 * `info` says where an elimination met a zero, as LAPACK does, and operators decide.
 */
import { int32, int64 } from '../dtype/dtype.ts';
import type { LibraryFunction } from '../graph/library.ts';
import { callLibrary, cat, complexOf, full, type Prim, type PrimType } from '../graph/prim.ts';
import { factorCholesky } from './host/linalg/cholesky.ts';
import { cofactors, determinant, logDeterminant } from './host/linalg/determinant.ts';
import { exponential } from './host/linalg/exponential.ts';
import { solveLdl } from './host/linalg/ldl.ts';
import { factorLu, identityPermutation, inverseOfLu, permutationOf, solveLu, solveTriangular } from './host/linalg/lu.ts';
import { adjoint as hostAdjoint, batchSize, load, type Matrix, store, storeIntegers, zeros } from './host/linalg/matrix.ts';
import { adjoint, asColumn, batchOf, block, colsOf, eye, extent, rowsOf, tril, triu } from './linalg-prims.ts';

const typeOf = (p: Prim): PrimType => ({ shape: p.shape, dtype: p.dtype });
const infoType = (p: Prim): PrimType => ({ shape: batchOf(p), dtype: int32 });
const vectorOf = (re: number, im: number, complex: boolean): Matrix => {
  const m = zeros(1, 1, complex);
  m.re[0] = re;
  if (m.im !== null) m.im[0] = im;
  return m;
};

// ---- triangular systems

interface TriangularConstants {
  readonly upper: boolean;
  readonly unit: boolean;
}
const triangularFunction: LibraryFunction<TriangularConstants> = {
  name: 'linalg_solve_triangular',
  vjp: ([g], [a], [x], { upper, unit }) => {
    if (g === null || g === undefined) return [null, null];
    const gb = solveTriangularPrim(adjoint(a), g, !upper, unit);
    const ga = gb.dot(adjoint(x)).neg();
    const inside = unit ? 1 : 0;
    return [upper ? triu(ga, inside) : tril(ga, -inside), gb];
  },
  run: ([a, b], [out], { upper, unit }) => {
    for (let i = 0; i < batchSize(b); i++) {
      const x = load(b, i);
      solveTriangular(load(a, i), x, upper, unit);
      store(out, i, x);
    }
  },
};
/** X of A X = B; only one triangle of A is read. Batch dims are equal. */
export const solveTriangularPrim = (a: Prim, b: Prim, upper: boolean, unit = false): Prim =>
  callLibrary(triangularFunction, [a, b], [typeOf(b)], { upper, unit })[0];
/** X of X A = B. */
export const solveTriangularRight = (a: Prim, b: Prim, upper: boolean, unit = false): Prim =>
  solveTriangularPrim(a.mT, b.mT, !upper, unit).mT;

// ---- general systems

const solveFunction: LibraryFunction<null> = {
  name: 'linalg_solve',
  vjp: ([g], [a], [x]) => {
    if (g === null || g === undefined) return [null, null];
    const gb = solvePrim(adjoint(a), g)[0];
    return [gb.dot(adjoint(x)).neg(), gb];
  },
  run: ([a, b], [out, info]) => {
    for (let i = 0; i < batchSize(a); i++) {
      const lu = load(a, i);
      const pivots = factorLu(lu);
      const x = load(b, i);
      solveLu(lu, pivots, x);
      store(out, i, x);
      storeIntegers(info, i, [pivots.info]);
    }
  },
};
/** X of A X = B, and info. Batch dims are equal. */
export const solvePrim = (a: Prim, b: Prim): Prim[] => callLibrary(solveFunction, [a, b], [typeOf(b), infoType(a)], null);

const inverseFunction: LibraryFunction<null> = {
  name: 'linalg_inv',
  vjp: ([g], _, [inverse]) => {
    if (g === null || g === undefined) return [null];
    const h = adjoint(inverse);
    return [h.dot(g).dot(h).neg()];
  },
  run: ([a], [out, info]) => {
    for (let i = 0; i < batchSize(a); i++) {
      const lu = load(a, i);
      const pivots = factorLu(lu);
      store(out, i, inverseOfLu(lu, pivots));
      storeIntegers(info, i, [pivots.info]);
    }
  },
};
/** The inverse, and info. */
export const inversePrim = (a: Prim): Prim[] => callLibrary(inverseFunction, [a], [typeOf(a), infoType(a)], null);

// ---- determinants

const cofactorFunction: LibraryFunction<null> = {
  name: 'linalg_cofactors',
  // Through det(A) A^{-1}: a second gradient exists where A is not singular.
  vjp: ([g], [a]) => {
    if (g === null || g === undefined) return [null];
    const inverse = inversePrim(a)[0];
    const h = adjoint(inverse);
    const cofactor = asColumn(asColumn(determinantPrim(a))).conj().mul(h);
    const trace = g.conj().mul(cofactor).sum([a.ndim - 2, a.ndim - 1], true);
    return [trace.conj().conj().mul(h).conj().conj().sub(h.dot(adjoint(g)).dot(h).mul(asColumn(asColumn(determinantPrim(a))).conj()))];
  },
  run: ([a], [out]) => {
    for (let i = 0; i < batchSize(a); i++) store(out, i, cofactors(load(a, i)));
  },
};
/** conj(det A) A^{-H}, for singular matrices too. */
const cofactorPrim = (a: Prim): Prim => callLibrary(cofactorFunction, [a], [typeOf(a)], null)[0];

const determinantFunction: LibraryFunction<null> = {
  name: 'linalg_det',
  vjp: ([g], [a]) => [g === null || g === undefined ? null : asColumn(asColumn(g)).mul(cofactorPrim(a))],
  run: ([a], [out]) => {
    for (let i = 0; i < batchSize(a); i++) {
      const { re, im } = determinant(load(a, i));
      store(out, i, vectorOf(re, im, a.dtype.is_complex));
    }
  },
};
export const determinantPrim = (a: Prim): Prim =>
  callLibrary(determinantFunction, [a], [{ shape: batchOf(a), dtype: a.dtype }], null)[0];

const logDeterminantFunction: LibraryFunction<null> = {
  name: 'linalg_slogdet',
  // d log det = tr(A^{-1} dA): its real part moves the logarithm, its imaginary part turns the sign.
  vjp: ([gSign, gLog], [a], [sign]) => {
    const turned = !sign.dtype.is_complex || !gSign ? null : gSign.conj().mul(sign).imag.neg();
    if (turned === null && !gLog) return [null];
    const zero = (like: Prim): Prim => full(like.shape, 0, like.dtype);
    const g = turned === null ? gLog! : complexOf(gLog ?? zero(turned), turned);
    return [asColumn(asColumn(g)).mul(adjoint(inversePrim(a)[0]))];
  },
  run: ([a], [sign, log]) => {
    for (let i = 0; i < batchSize(a); i++) {
      const found = logDeterminant(load(a, i));
      store(sign, i, vectorOf(found.re, found.im, a.dtype.is_complex));
      store(log, i, vectorOf(found.log, 0, false));
    }
  },
};
/** sign and log |det|. */
export const logDeterminantPrim = (a: Prim): Prim[] =>
  callLibrary(
    logDeterminantFunction,
    [a],
    [
      { shape: batchOf(a), dtype: a.dtype },
      { shape: batchOf(a), dtype: a.dtype.real },
    ],
    null,
  );

// ---- Cholesky

const choleskyFunction: LibraryFunction<null> = {
  name: 'linalg_cholesky',
  vjp: ([g], _, [l]) => {
    if (g === null || g === undefined) return [null];
    const h = adjoint(l);
    const inner = tril(h.dot(g));
    const symmetric = inner.add(adjoint(tril(inner, -1))).mul(0.5);
    return [solveTriangularRight(l, solveTriangularPrim(h, symmetric, true), false)];
  },
  run: ([a], [out, info]) => {
    for (let i = 0; i < batchSize(a); i++) {
      const l = load(a, i);
      storeIntegers(info, i, [factorCholesky(l)]);
      store(out, i, l);
    }
  },
};
/** L of A = L L^H (or its adjoint), read from that triangle of A, and info. */
export function choleskyPrim(a: Prim, upper: boolean): Prim[] {
  const [l, info] = callLibrary(choleskyFunction, [upper ? adjoint(a) : a], [typeOf(a), infoType(a)], null);
  return [upper ? adjoint(l) : l, info];
}

// ---- LU

const luFunction: LibraryFunction<null> = {
  name: 'linalg_lu_factor',
  vjp: ([g], [a], [lu, , , , where]) => {
    if (g === null || g === undefined) return [null];
    const m = extent(rowsOf(a));
    const n = extent(colsOf(a));
    const k = Math.min(m, n);
    const l1 = block(lu, 0, k, 0, k);
    const u1 = block(lu, 0, k, 0, k);
    const unitLower = tril(l1, -1).add(eye(l1.shape, l1.dtype));
    const upper = triu(u1);
    const g1 = block(g, 0, k, 0, k);
    let below = adjoint(unitLower).dot(tril(g1, -1));
    let above = triu(g1).dot(adjoint(upper));
    const gRight = n > m ? block(g, 0, k, k, n - k) : null;
    const gBottom = m > n ? block(g, k, m - k, 0, k) : null;
    if (gRight !== null) below = below.sub(gRight.dot(adjoint(block(lu, 0, k, k, n - k))));
    if (gBottom !== null) above = above.sub(adjoint(block(lu, k, m - k, 0, k)).dot(gBottom));
    const core = tril(below, -1).add(triu(above));
    const unitL = adjoint(unitLower);
    const upperH = adjoint(upper);
    let out = solveTriangularPrim(unitL, solveTriangularRight(upperH, core, false), true, true);
    if (gRight !== null) out = cat([out, solveTriangularPrim(unitL, gRight, true, true)], a.ndim - 1);
    if (gBottom !== null) out = cat([out, solveTriangularRight(upperH, gBottom, false)], a.ndim - 2);
    return [takeRowsOf(out, where)];
  },
  run: ([a], [out, pivots, info, perm, where]) => {
    const rows = a.shape[a.shape.length - 2];
    for (let i = 0; i < batchSize(a); i++) {
      const lu = load(a, i);
      const made = factorLu(lu);
      store(out, i, lu);
      storeIntegers(pivots, i, made.pivots);
      storeIntegers(info, i, [made.info]);
      storePermutation(perm, where, i, made.pivots, rows);
    }
  },
};
const takeRowsOf = (p: Prim, at: Prim): Prim => takeRows(p, at);

/** LU packed, pivots, info, `perm` and `where`: row i of P^T A is row perm[i] of A; row r of P X is row where[r] of X. */
export function luPrim(a: Prim): Prim[] {
  const batch = batchOf(a);
  const k = Math.min(extent(rowsOf(a)), extent(colsOf(a)));
  return callLibrary(
    luFunction,
    [a],
    [
      typeOf(a),
      { shape: [...batch, k], dtype: int32 },
      infoType(a),
      { shape: [...batch, rowsOf(a)], dtype: int64 },
      { shape: [...batch, rowsOf(a)], dtype: int64 },
    ],
    null,
  );
}

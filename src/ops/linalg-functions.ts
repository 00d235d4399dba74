/**
 * Library functions of linear algebra that give one matrix back (solutions, inverses, determinants, exponentials), as functions of primitives.
 *
 * Every gradient is written over primitives and these functions, so gradients of gradients follow. Nothing here throws for singular matrices:
 * `info` says where an elimination met a zero, as LAPACK does, and operators decide.
 */
import { int32 } from '../dtype/dtype.ts';
import type { LibraryFunction } from '../graph/library.ts';
import { callLibrary, cat, complexOf, full, type Prim, type PrimType } from '../graph/prim.ts';
import { vjp } from '../graph/vjp.ts';
import { cofactors, determinant, logDeterminant } from './host/linalg/determinant.ts';
import { exponential } from './host/linalg/exponential.ts';
import { solveLdl } from './host/linalg/ldl.ts';
import { factorLu, inverseOfLu, solveLu, solveTriangular } from './host/linalg/lu.ts';
import { batchSize, load, type Matrix, store, storeIntegers, zeros } from './host/linalg/matrix.ts';
import { adjoint, asColumn, batchOf, block, extent, rowsOf, tril, triu } from './linalg-prims.ts';

export const typeOf = (p: Prim): PrimType => ({ shape: p.shape, dtype: p.dtype });
export const infoType = (p: Prim): PrimType => ({ shape: batchOf(p), dtype: int32 });
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
    const product = asColumn(asColumn(determinantPrim(a).conj())).mul(adjoint(inversePrim(a)[0]));
    return vjp([[product, g]], [a]);
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
export const determinantPrim = (a: Prim): Prim => callLibrary(determinantFunction, [a], [{ shape: batchOf(a), dtype: a.dtype }], null)[0];

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

// ---- exponential, and solutions from L D L^T

const exponentialFunction: LibraryFunction<null> = {
  name: 'linalg_matrix_exp',
  // The exponential of [[A^H, G], [0, A^H]] holds the gradient in its upper right block.
  vjp: ([g], [a]) => {
    if (g === null || g === undefined) return [null];
    const n = extent(rowsOf(a));
    const h = adjoint(a);
    const rows = a.ndim - 2;
    const top = cat([h, g], rows + 1);
    const bottom = cat([full(h.shape, 0, h.dtype), h], rows + 1);
    return [block(exponentialPrim(cat([top, bottom], rows)), 0, n, n, n)];
  },
  run: ([a], [out]) => {
    for (let i = 0; i < batchSize(a); i++) store(out, i, exponential(load(a, i)));
  },
};
export const exponentialPrim = (a: Prim): Prim => callLibrary(exponentialFunction, [a], [typeOf(a)], null)[0];

const ldlSolveFunction: LibraryFunction<{ readonly hermitian: boolean }> = {
  name: 'linalg_ldl_solve',
  vjp: (gs, [ld, , b]) => {
    const text = 'derivative for aten::linalg_ldl_solve is not implemented';
    return [...refused(gs, ld, text), null, ...refused(gs, b, text)];
  },
  run: ([ld, pivots, b], [out], { hermitian }) => {
    const n = pivots.shape[pivots.shape.length - 1];
    for (let i = 0; i < batchSize(b); i++) {
      const x = load(b, i);
      solveLdl(
        load(ld, i),
        Array.from({ length: n }, (_, k) => Number(pivots.data[i * n + k])),
        x,
        hermitian,
      );
      store(out, i, x);
    }
  },
};
export const ldlSolvePrim = (ld: Prim, pivots: Prim, b: Prim, hermitian: boolean): Prim =>
  callLibrary(ldlSolveFunction, [ld, pivots, b], [typeOf(b)], { hermitian })[0];

const refusal: LibraryFunction<string> = {
  name: 'not_differentiable',
  vjp: () => [null],
  run: (_inputs, _outputs, text) => {
    throw new Error(text);
  },
};
/** A gradient like `a` that is an error once it is computed. */
export function refused(gs: readonly (Prim | null | undefined)[], a: Prim, text: string): (Prim | null)[] {
  const g = gs.find((x): x is Prim => x !== null && x !== undefined);
  return [g === undefined ? null : callLibrary(refusal, [g], [typeOf(a)], text)[0]];
}

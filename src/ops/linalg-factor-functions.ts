/**
 * Library functions that factor a matrix without eigenvalues: Cholesky, LU, QR, L D L^T.
 *
 * The results are packed as LAPACK packs them; gradients are PyTorch's, over primitives. Nothing here throws for the data: `info` says what is wrong.
 */
import { int32, int64 } from '../dtype/dtype.ts';
import type { HostArray, LibraryFunction } from '../graph/library.ts';
import { callLibrary, cat, full, type Prim } from '../graph/prim.ts';
import { factorCholesky } from './host/linalg/cholesky.ts';
import { factorLdl } from './host/linalg/ldl.ts';
import { factorLu, permutationOf } from './host/linalg/lu.ts';
import { batchSize, rowsOf as hostRows, load, store, storeIntegers } from './host/linalg/matrix.ts';
import { factorQr, formQ } from './host/linalg/qr.ts';
import { infoType, refused, solveTriangularPrim, solveTriangularRight, typeOf } from './linalg-functions.ts';
import { adjoint, batchOf, block, colsOf, extent, eye, onDiagonal, rowsOf, takeRows, tril, triu } from './linalg-prims.ts';

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
    return [takeRows(out, where)];
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

function storePermutation(perm: HostArray, where: HostArray, i: number, pivots: ArrayLike<number>, rows: number): void {
  const order = permutationOf(pivots, rows);
  const back = new Int32Array(rows);
  order.forEach((from, to) => {
    back[from] = to;
  });
  storeIntegers(perm, i, order);
  storeIntegers(where, i, back);
}
const permutationFunction: LibraryFunction<null> = {
  name: 'lu_permutation',
  run: ([pivots], [perm, where]) => {
    const k = pivots.shape[pivots.shape.length - 1];
    const rows = perm.shape[perm.shape.length - 1];
    for (let i = 0; i < batchSize(pivots, 1); i++)
      storePermutation(
        perm,
        where,
        i,
        Array.from({ length: k }, (_, j) => Number(pivots.data[i * k + j])),
        rows,
      );
  },
};
/** `perm` and `where` of pivots of matrices with this many rows. */
export function permutationPrims(pivots: Prim, rows: Prim['shape'][number]): Prim[] {
  const type = { shape: [...pivots.shape.slice(0, -1), rows], dtype: int64 };
  return callLibrary(permutationFunction, [pivots], [type, type], null);
}

// ---- QR

interface QrConstants {
  readonly complete: boolean;
}
const qrFunction: LibraryFunction<QrConstants> = {
  name: 'linalg_qr',
  vjp: ([gq, gr], [a], [q, r], { complete }) => {
    if (!gq && !gr) return [null];
    const m = extent(rowsOf(a));
    const n = extent(colsOf(a));
    if (complete && m > n)
      return refused([gq, gr], a, "The QR decomposition is not differentiable when mode='complete' and nrows > ncols.");
    if (m >= n) return [qrGradient(gq ?? null, gr ?? null, q, r)];
    // A = [X Y], R = [U V]: X = Q U is square, and V = Q^H Y.
    const gv = gr ? block(gr, 0, m, m, n - m) : null;
    let inner = gq ?? null;
    if (gv !== null) {
      const through = block(a, 0, m, m, n - m).dot(adjoint(gv));
      inner = inner === null ? through : inner.add(through);
    }
    const gx = qrGradient(inner, gr ? block(gr, 0, m, 0, m) : null, q, block(r, 0, m, 0, m));
    const gy = gv === null ? full([...batchOf(a), m, n - m], 0, a.dtype) : q.dot(gv);
    return [cat([gx, gy], a.ndim - 1)];
  },
  run: ([a], [q, r], { complete }) => {
    const rows = r.shape[r.shape.length - 2];
    const columns = q.shape[q.shape.length - 1];
    for (let i = 0; i < batchSize(a); i++) {
      const packed = load(a, i);
      const tau = factorQr(packed);
      store(q, i, formQ(packed, tau, columns));
      const top = hostRows(packed, 0, Math.min(rows, packed.rows));
      for (let row = 0; row < top.rows; row++) {
        top.re.fill(0, row * top.cols, row * top.cols + Math.min(row, top.cols));
        top.im?.fill(0, row * top.cols, row * top.cols + Math.min(row, top.cols));
      }
      if (complete && rows !== top.rows) throw new Error('internal: rows of R');
      store(r, i, top);
    }
  },
};

/** For m >= n: [gQ + Q syminv(triu(gR R^H - Q^H gQ))] R^{-H}. */
function qrGradient(gq: Prim | null, gr: Prim | null, q: Prim, r: Prim): Prim {
  let inner: Prim | null = gr === null ? null : gr.dot(adjoint(r));
  if (gq !== null) {
    const through = adjoint(q).dot(gq);
    inner = inner === null ? through.neg() : inner.sub(through);
  }
  const upper = triu(inner!);
  const doubled = upper.add(adjoint(upper));
  const symmetric = onDiagonal(doubled.shape).where(doubled.mul(0.5), doubled);
  const turned = q.dot(symmetric);
  return solveTriangularRight(adjoint(r), gq === null ? turned : turned.add(gq), false);
}

/** Q and R. */
export function qrPrim(a: Prim, complete: boolean): Prim[] {
  const m = extent(rowsOf(a));
  const n = extent(colsOf(a));
  const k = complete ? m : Math.min(m, n);
  return callLibrary(
    qrFunction,
    [a],
    [
      { shape: [...batchOf(a), m, k], dtype: a.dtype },
      { shape: [...batchOf(a), k, n], dtype: a.dtype },
    ],
    { complete },
  );
}

const geqrfFunction: LibraryFunction<null> = {
  name: 'geqrf',
  vjp: (gs, [a]) => refused(gs, a, "the derivative for 'geqrf' is not implemented."),
  run: ([a], [packed, tau]) => {
    for (let i = 0; i < batchSize(a); i++) {
      const m = load(a, i);
      store(tau, i, factorQr(m));
      store(packed, i, m);
    }
  },
};
/** R with the Householder vectors below it, and tau. */
export function geqrfPrim(a: Prim): Prim[] {
  const k = Math.min(extent(rowsOf(a)), extent(colsOf(a)));
  return callLibrary(geqrfFunction, [a], [typeOf(a), { shape: [...batchOf(a), k], dtype: a.dtype }], null);
}

/**
 * Householder vectors (below the diagonal of `a`) and the T of H_1 ... H_k = I - V T V^H. T = (I + D S)^{-1} D, S the strict upper triangle of V^H V and
 * D = diag(tau): no division by tau, and the gradient is that of a triangular system.
 */
export function householderFactors(a: Prim, tau: Prim): { v: Prim; t: Prim } {
  const k = extent(tau.shape[tau.ndim - 1]);
  const columns = block(a, 0, extent(rowsOf(a)), 0, k);
  const v = tril(columns, -1).add(eye(columns.shape, columns.dtype));
  const s = triu(adjoint(v).dot(v), 1);
  const d = tau.unsqueeze(tau.ndim);
  const system = d.mul(s).add(eye(s.shape, s.dtype));
  return { v, t: solveTriangularPrim(system, eye(s.shape, s.dtype).mul(d), true, true) };
}

// ---- L D L^T

const ldlFunction: LibraryFunction<{ readonly hermitian: boolean }> = {
  name: 'linalg_ldl_factor_ex',
  vjp: (gs, [a]) => refused(gs, a, 'derivative for aten::linalg_ldl_factor_ex is not implemented'),
  run: ([a], [ld, pivots, info], { hermitian }) => {
    for (let i = 0; i < batchSize(a); i++) {
      const m = load(a, i);
      const made = factorLdl(m, hermitian);
      store(ld, i, m);
      storeIntegers(pivots, i, made.pivots);
      storeIntegers(info, i, [made.info]);
    }
  },
};
/** The packed factors of the lower triangle, pivots, info. */
export const ldlPrim = (a: Prim, hermitian: boolean): Prim[] =>
  callLibrary(ldlFunction, [a], [typeOf(a), { shape: a.shape.slice(0, -1), dtype: int32 }, infoType(a)], { hermitian });

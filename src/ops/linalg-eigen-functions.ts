/**
 * Library functions with eigenvalues or singular values, as functions of primitives.
 *
 * Gradients are PyTorch's. Eigenvectors are unique only up to a phase: where a loss depends on it, the gradient is an error in the data, which
 * `requireZero` throws when it is computed.
 */
import { int32 } from '../dtype/dtype.ts';
import type { LibraryFunction } from '../graph/library.ts';
import { callLibrary, constant, type Prim } from '../graph/prim.ts';
import { eigen } from './host/linalg/eigen.ts';
import { eigenHermitian, mirror } from './host/linalg/hermitian-eigen.ts';
import { leastSquares } from './host/linalg/least-squares.ts';
import { batchSize, load, type Matrix, store, storeIntegers, transpose } from './host/linalg/matrix.ts';
import { svd } from './host/linalg/svd.ts';
import { solvePrim, typeOf } from './linalg-functions.ts';
import { adjoint, asColumn, asRow, batchOf, block, colsOf, diagonal, embed, extent, onDiagonal, rowsOf } from './linalg-prims.ts';

const row = (values: Float64Array): Matrix => ({ rows: 1, cols: values.length, re: values, im: null });
const single = (shape: readonly number[], dims: number): boolean => shape.length === dims;

/** `linalg.eigh: (Batch element 2): The algorithm failed ...` */
const failure = (name: string, shape: readonly number[], i: number, code: number): Error =>
  new Error(
    `${name}: ${single(shape, 2) ? '' : `(Batch element ${i}): `}The algorithm failed to converge because the input matrix is ill-conditioned or has too many repeated eigenvalues (error code: ${code}).`,
  );

const isFinite = (m: Matrix): boolean => m.re.every(Number.isFinite) && (m.im === null || m.im.every(Number.isFinite));

// ---- a condition on the data of a gradient

const conditionFunction: LibraryFunction<string> = {
  name: 'linalg_gauge_condition',
  vjp: ([g]) => [g ?? null, null],
  run: ([x, zero], [out], text) => {
    const data = zero.data as Float64Array | Float32Array;
    for (let i = 0; i < data.length; i++) if (Math.abs(data[i]) > 1e-2) throw new Error(text);
    (out.data as Float64Array).set(x.data as Float64Array);
  },
};
/** x; an error with this text where `zero` is not (about) zero. */
const requireZero = (x: Prim, zero: Prim, text: string): Prim => callLibrary(conditionFunction, [x, zero], [typeOf(x)], text)[0];

const gauge = (name: string, vectors: string): string =>
  `${name}: The ${vectors} in the complex case are specified up to multiplication by e^{i phi}. The specified loss function depends on this quantity, so it is ill-defined.`;

/** x_k - x_j at [j, k], 1 on the diagonal. */
function differences(x: Prim): Prim {
  const e = asRow(x).sub(asColumn(x));
  return onDiagonal(e.shape).where(1, e);
}

// ---- Hermitian

interface HermitianConstants {
  readonly lower: boolean;
  readonly name: string;
}
const eighFunction: LibraryFunction<HermitianConstants> = {
  name: 'linalg_eigh',
  vjp: ([gl, gv], _, [l, v]) => {
    if (!gl && !gv) return [null];
    const h = adjoint(v);
    if (!gv) return [v.mul(asRow(gl!).cast(v.dtype)).dot(h)];
    let inner = h.dot(gv);
    if (v.dtype.is_complex) inner = requireZero(inner, diagonal(inner).imag, gauge('linalg_eigh_backward', 'eigenvectors'));
    inner = inner.div(differences(l).cast(v.dtype));
    const onIt = gl ? embed(gl).cast(v.dtype) : constant(0, v.dtype.real).cast(v.dtype);
    return [v.dot(onDiagonal(inner.shape).where(onIt, inner)).dot(h)];
  },
  run: ([a], [l, v], { lower, name }) => {
    for (let i = 0; i < batchSize(a); i++) {
      const m = load(a, i);
      mirror(m, lower);
      const { values, rows } = eigenHermitian(m, true, (code) => failure(name, a.shape, i, code));
      store(l, i, row(values));
      store(v, i, transpose(rows));
    }
  },
};
/** Eigenvalues, ascending, and eigenvectors; one triangle is read. */
export const eighPrim = (a: Prim, lower: boolean, name: string): Prim[] =>
  callLibrary(eighFunction, [a], [{ shape: a.shape.slice(0, -1), dtype: a.dtype.real }, typeOf(a)], { lower, name });

// ---- general

const eigFunction: LibraryFunction<{ readonly name: string }> = {
  name: 'linalg_eig',
  vjp: ([gl, gv], [a], [l, v]) => {
    if (!gl && !gv) return [null];
    const h = adjoint(v);
    const real = (g: Prim): Prim => (a.dtype.is_complex ? g : g.real);
    if (!gv) return [real(solvePrim(h, asColumn(gl!).mul(h))[0])];
    const raw = h.dot(gv);
    const checked = requireZero(raw, diagonal(raw).imag, gauge('linalg_eig_backward', 'eigenvectors'));
    // Onto the tangent space of columns of norm 1.
    const projected = checked.sub(h.dot(v.mul(asRow(diagonal(checked).real).cast(v.dtype))));
    let inner = projected.div(differences(l.conj()));
    inner = onDiagonal(inner.shape).where(gl ? embed(gl) : constant(0, v.dtype.real).cast(v.dtype), inner);
    return [real(solvePrim(h, inner.dot(h))[0])];
  },
  run: ([a], [l, v], { name }) => {
    for (let i = 0; i < batchSize(a); i++) {
      const m = load(a, i);
      if (!isFinite(m)) throw new Error(`${name.replace('linalg.', 'torch.linalg.')}: input tensor should not contain infs or NaNs.`);
      const { values, vectors } = eigen(m, true, (code) => failure(name, a.shape, i, code));
      store(l, i, values);
      store(v, i, vectors!);
    }
  },
};
/** Eigenvalues and eigenvectors, complex. */
export function eigPrim(a: Prim, name: string): Prim[] {
  const dtype = a.dtype.complex;
  return callLibrary(
    eigFunction,
    [a],
    [
      { shape: a.shape.slice(0, -1), dtype },
      { shape: a.shape, dtype },
    ],
    { name },
  );
}

// ---- singular values

interface SvdConstants {
  readonly full: boolean;
  readonly name: string;
}
const svdFunction: LibraryFunction<SvdConstants> = {
  name: 'linalg_svd',
  vjp: ([gu, gs, gvh], _, [u, s, vh]) => {
    const k = extent(s.shape[s.ndim - 1]);
    const firstColumns = (p: Prim | null | undefined): Prim | null => (p ? block(p, 0, extent(rowsOf(p)), 0, k) : null);
    const firstRows = (p: Prim | null | undefined): Prim | null => (p ? block(p, 0, k, 0, extent(colsOf(p))) : null);
    return [svdGradient(firstColumns(gu), gs ?? null, firstRows(gvh), firstColumns(u)!, s, firstRows(vh)!)];
  },
  run: ([a], [u, s, vh], { full, name }) => {
    for (let i = 0; i < batchSize(a); i++) {
      const m = load(a, i);
      if (!isFinite(m))
        throw new Error(
          `${name}: ${single(a.shape, 2) ? '' : `(Batch element ${i}): `}The algorithm failed to converge because the input matrix contained non-finite values.`,
        );
      const made = svd(m, full);
      store(u, i, made.u);
      store(s, i, row(made.s));
      store(vh, i, made.vh);
    }
  },
};

const skew = (p: Prim): Prim => p.sub(adjoint(p));

function svdGradient(gu: Prim | null, gs: Prim | null, gvh: Prim | null, u: Prim, s: Prim, vh: Prim): Prim | null {
  const m = extent(rowsOf(u));
  const n = extent(colsOf(vh));
  const k = extent(colsOf(u));
  const complex = u.dtype.is_complex;
  const wide = (p: Prim): Prim => p.cast(u.dtype);
  if (gu === null && gvh === null) return gs === null ? null : u.mul(wide(asRow(gs))).dot(vh);
  const uh = adjoint(u);
  const v = adjoint(vh);
  let fromU = gu === null ? null : uh.dot(gu);
  const fromV = gvh === null ? null : vh.dot(adjoint(gvh));
  if (complex && fromU !== null) {
    const phase = fromV === null ? diagonal(fromU).imag : diagonal(fromU.add(fromV)).imag;
    if (fromV !== null) fromU = requireZero(fromU, phase, gauge('svd_backward', 'singular vectors'));
  }
  const e = differences(s.mul(s));
  const sRow = wide(asRow(s));
  const sColumn = wide(asColumn(s));
  const skewU = fromU === null ? null : skew(fromU);
  const left = skewU === null ? null : skewU.mul(sRow);
  const right = fromV === null ? null : sColumn.mul(skew(fromV));
  let inner = (left === null ? right! : right === null ? left : left.add(right)).div(wide(e));
  if (gs !== null) inner = inner.add(wide(embed(gs)));
  if (complex && skewU !== null && gvh !== null) inner = inner.add(embed(diagonal(skewU).div(wide(s).mul(2))));
  let core: Prim;
  if (m > k && gu !== null) {
    const scaled = gu.div(sRow);
    core = u.dot(inner).add(scaled).sub(u.dot(uh.dot(scaled)));
  } else core = u.dot(inner);
  let out = core.dot(vh);
  if (n > k && gvh !== null) {
    const scaled = gvh.div(sColumn);
    out = out.add(u.dot(scaled.sub(scaled.dot(v).dot(vh))));
  }
  return out;
}

/** U, S (descending), Vh. */
export function svdPrim(a: Prim, full: boolean, name: string): Prim[] {
  const m = extent(rowsOf(a));
  const n = extent(colsOf(a));
  const k = Math.min(m, n);
  const batch = batchOf(a);
  return callLibrary(
    svdFunction,
    [a],
    [
      { shape: [...batch, m, full ? m : k], dtype: a.dtype },
      { shape: [...batch, k], dtype: a.dtype.real },
      { shape: [...batch, full ? n : k, n], dtype: a.dtype },
    ],
    { full, name },
  );
}

// ---- least squares

const leastSquaresFunction: LibraryFunction<{ readonly cutoff: number }> = {
  name: 'linalg_lstsq',
  run: ([a, b], [x, rank, s], { cutoff }) => {
    for (let i = 0; i < batchSize(a); i++) {
      const made = leastSquares(load(a, i), load(b, i), cutoff);
      store(x, i, made.x);
      storeIntegers(rank, i, [made.rank]);
      store(s, i, row(made.s));
    }
  },
};
/** The solution of smallest norm, rank (int32) and singular values. The gradient is the operator's. */
export function leastSquaresPrim(a: Prim, b: Prim, cutoff: number): Prim[] {
  const k = Math.min(extent(rowsOf(a)), extent(colsOf(a)));
  return callLibrary(
    leastSquaresFunction,
    [a, b],
    [
      { shape: [...batchOf(a), colsOf(a), colsOf(b)], dtype: a.dtype },
      { shape: batchOf(a), dtype: int32 },
      { shape: [...batchOf(a), k], dtype: a.dtype.real },
    ],
    { cutoff },
  );
}

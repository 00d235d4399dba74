/**
 * Library functions with eigenvalues or singular values, as functions of primitives.
 *
 * Gradients are PyTorch's. Eigenvectors are unique only up to a phase: where a loss depends on it, the gradient is an error in the data, which
 * `requireZero` throws when it is computed.
 */
import { type DType, float64, int32 } from '../dtype/dtype.ts';
import type { LibraryFunction } from '../graph/library.ts';
import { callLibrary, constant, full, type Prim } from '../graph/prim.ts';
import { eigen } from './host/linalg/eigen.ts';
import { eigenHermitian, mirror } from './host/linalg/hermitian-eigen.ts';
import { leastSquares } from './host/linalg/least-squares.ts';
import {
  batchSize,
  adjoint as hostAdjoint,
  load,
  type Matrix,
  multiply,
  scale,
  store,
  storeIntegers,
  transpose,
} from './host/linalg/matrix.ts';
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

const allFinite = (m: Matrix): boolean => m.re.every(Number.isFinite) && (m.im === null || m.im.every(Number.isFinite));

function requireFinite(m: Matrix, name: string, shape: readonly number[], i: number): void {
  if (!allFinite(m))
    throw new Error(
      `${name}: ${single(shape, 2) ? '' : `(Batch element ${i}): `}The algorithm failed to converge because the input matrix contained non-finite values.`,
    );
}

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

const gauge = (name: string, vectors: string, end: string): string =>
  `${name}: The ${vectors} in the complex case are specified up to multiplication by e^{i phi}. The specified loss function depends on this ${end}`;
const gaugeOfEigenvectors = (name: string): string => gauge(name, 'eigenvectors', 'quantity, so it is ill-defined.');

const skew = (p: Prim): Prim => p.sub(adjoint(p));
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
    if (v.dtype.is_complex) inner = requireZero(inner, diagonal(inner).imag, gaugeOfEigenvectors('linalg_eigh_backward'));
    // Onto the tangent space of the unitary matrices.
    inner = skew(inner).mul(0.5).div(differences(l).cast(v.dtype));
    const onIt = gl ? embed(gl).cast(v.dtype) : constant(0, v.dtype.real).cast(v.dtype);
    return [v.dot(onDiagonal(inner.shape).where(onIt, inner)).dot(h)];
  },
  run: ([a], [l, v], { lower, name }) => {
    for (let i = 0; i < batchSize(a); i++) {
      const m = load(a, i);
      mirror(m, lower);
      if (!allFinite(m)) {
        for (const part of [m.re, ...(m.im === null ? [] : [m.im])]) part.fill(Number.NaN);
        store(l, i, row(new Float64Array(m.rows).fill(Number.NaN)));
        store(v, i, m);
        continue;
      }
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
    const checked = requireZero(raw, diagonal(raw).imag, gaugeOfEigenvectors('linalg_eig_backward'));
    // Onto the tangent space of columns of norm 1.
    const projected = checked.sub(h.dot(v.mul(asRow(diagonal(checked).real).cast(v.dtype))));
    let inner = projected.div(differences(l.conj()));
    inner = onDiagonal(inner.shape).where(gl ? embed(gl) : constant(0, v.dtype.real).cast(v.dtype), inner);
    return [real(solvePrim(h, inner.dot(h))[0])];
  },
  run: ([a], [l, v], { name }) => {
    for (let i = 0; i < batchSize(a); i++) {
      const m = load(a, i);
      if (!allFinite(m)) throw new Error(`${name.replace('linalg.', 'torch.linalg.')}: input tensor should not contain infs or NaNs.`);
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
  run: ([a], [u, s, vh], { full: whole, name }) => {
    for (let i = 0; i < batchSize(a); i++) {
      const m = load(a, i);
      requireFinite(m, name, a.shape, i);
      const made = svd(m, whole);
      store(u, i, made.u);
      store(s, i, row(made.s));
      store(vh, i, made.vh);
    }
  },
};

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
    if (fromV !== null) fromU = requireZero(fromU, phase, gauge('svd_backward', 'singular vectors', 'phase term, making it ill-defined.'));
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
    core = u
      .dot(inner)
      .add(scaled)
      .sub(u.dot(uh.dot(scaled)));
  } else core = u.dot(inner);
  let out = core.dot(vh);
  if (n > k && gvh !== null) {
    const scaled = gvh.div(sColumn);
    out = out.add(u.dot(scaled.sub(scaled.dot(v).dot(vh))));
  }
  return out;
}

/** U, S (descending), Vh. */
export function svdPrim(a: Prim, whole: boolean, name: string): Prim[] {
  const m = extent(rowsOf(a));
  const n = extent(colsOf(a));
  const k = Math.min(m, n);
  const batch = batchOf(a);
  return callLibrary(
    svdFunction,
    [a],
    [
      { shape: [...batch, m, whole ? m : k], dtype: a.dtype },
      { shape: [...batch, k], dtype: a.dtype.real },
      { shape: [...batch, whole ? n : k, n], dtype: a.dtype },
    ],
    { full: whole, name },
  );
}

// ---- pseudo-inverse

const pinvFunction: LibraryFunction<{ readonly hermitian: boolean; readonly name: string }> = {
  name: 'linalg_pinv',
  vjp: ([g], [a], [p]) => [g === null || g === undefined ? null : pinvGradient(g, p, a), null, null],
  run: ([a, atol, rtol], [out], { hermitian, name }) => {
    for (let i = 0; i < batchSize(a); i++) {
      const m = load(a, i);
      let [left, s, right]: [Matrix, Float64Array, Matrix] = [m, new Float64Array(0), m];
      if (hermitian) {
        mirror(m, true);
        const { values, rows } = eigenHermitian(m, true, (code) => failure('linalg.eigh', a.shape, i, code));
        [left, s, right] = [transpose(rows), values, hostAdjoint(transpose(rows))];
      } else {
        requireFinite(m, name, a.shape, i);
        const made = svd(m, false);
        [left, s, right] = [hostAdjoint(made.vh), made.s, hostAdjoint(made.u)];
      }
      const largest = s.reduce((x, y) => Math.max(x, Math.abs(y)), 0);
      const least = Math.max(Number(atol.data[i]), Number(rtol.data[i]) * largest);
      s.forEach((x, k) => {
        scale(right, k * right.cols, right.cols, Math.abs(x) > least ? 1 / x : 0, 0);
      });
      store(out, i, multiply(left, right));
    }
  },
};
/** Of Golub and Pereyra, as PyTorch writes it. */
function pinvGradient(g: Prim, p: Prim, a: Prim): Prim {
  const ph = adjoint(p);
  const gh = adjoint(g);
  if (extent(rowsOf(a)) <= extent(colsOf(a))) {
    const k = gh.dot(p);
    const kph = k.dot(ph);
    return kph
      .sub(adjoint(p.dot(k)))
      .sub(a.dot(p).dot(kph))
      .add(ph.dot(p).dot(gh.sub(k.dot(a))));
  }
  const k = p.dot(gh);
  const phk = ph.dot(k);
  return gh
    .sub(a.dot(k))
    .dot(p)
    .dot(ph)
    .sub(adjoint(k.dot(p)))
    .add(phk)
    .sub(phk.dot(p).dot(a));
}
/** The pseudo-inverse: singular values (or eigenvalues) up to max(atol, rtol * the largest) count as 0. */
export const pinvPrim = (a: Prim, atol: Prim, rtol: Prim, hermitian: boolean): Prim =>
  callLibrary(pinvFunction, [a, atol, rtol], [{ shape: [...batchOf(a), colsOf(a), rowsOf(a)], dtype: a.dtype }], {
    hermitian,
    name: 'linalg.svd',
  })[0];

/** PyTorch's default relative tolerance. */
export const defaultTolerance = (dtype: DType, rows: number, cols: number): number =>
  Math.max(rows, cols) * (dtype.real === float64 ? 2 ** -52 : 2 ** -23);

// ---- least squares

const leastSquaresFunction: LibraryFunction<{ readonly cutoff: number }> = {
  name: 'linalg_lstsq',
  vjp: ([g], [a, b]) => {
    if (g === null || g === undefined) return [null, null];
    const real = a.dtype.real;
    const batch = batchOf(a);
    const rtol = defaultTolerance(a.dtype, extent(rowsOf(a)), extent(colsOf(a)));
    const p = pinvPrim(a, full(batch, 0, real), full(batch, rtol, real), false);
    return [pinvGradient(g.dot(adjoint(b)), p, a), adjoint(p).dot(g)];
  },
  run: ([a, b], [x, rank, s], { cutoff }) => {
    for (let i = 0; i < batchSize(a); i++) {
      const made = leastSquares(load(a, i), load(b, i), cutoff);
      store(x, i, made.x);
      storeIntegers(rank, i, [made.rank]);
      store(s, i, row(made.s));
    }
  },
};
/** The solution of smallest norm, rank (int32) and singular values. */
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

/**
 * Factorizations that are unique only up to sign, phase or order, and what each is judged by instead of its bare values.
 *
 * Every judge takes the results apart on the host in float64. What is unique (singular values, eigenvalues, |R|) is still compared with
 * PyTorch's numbers. Gradients are compared too: where our vectors are PyTorch's times phases D, the recorded output gradient is
 * multiplied by the same D, which makes it the gradient of the same function (`align`).
 */
import { type AnyTensor, isTensor } from './api.ts';
import type { Encoded, OperatorRecord } from './data.ts';
import { formatOf, type HostTensor } from './host.ts';
import { compare, compareClose } from './judge.ts';
import type { Matrices } from './matrix.ts';
import * as mx from './matrix.ts';
import { toleranceOf } from './tolerances.ts';

export interface JudgeArguments {
  readonly actual: readonly HostTensor[];
  readonly expected: readonly HostTensor[];
  /** Recorded tensors of input, args, kwargs in order. */
  readonly inputs: readonly HostTensor[];
  readonly record: OperatorRecord;
}
interface Property {
  /** What is checked, for the reader of this table. */
  readonly promise: string;
  readonly judge: (a: JudgeArguments) => string | null;
  /** Output gradients for our results instead of PyTorch's. */
  readonly align?: (actual: readonly HostTensor[], expected: readonly HostTensor[], gradients: readonly HostTensor[]) => HostTensor[];
  readonly anyShape?: readonly number[];
}

const single = new Set(['float32', 'complex64']);
const epsilonOf = (t: HostTensor): number => (single.has(t.dtype) ? 2 ** -23 : 2 ** -52);

/** Null where |x - y| is rounding of matrices of this size and scale. */
function near(what: string, x: Matrices, y: Matrices, like: HostTensor, scale = Math.max(1, mx.largest(y))): string | null {
  const limit = 60 * epsilonOf(like) * Math.max(4, x.rows, x.cols) * scale;
  const d = mx.distance(x, y);
  return d <= limit ? null : `${what}: off by ${d.toExponential(2)}, allowed ${limit.toExponential(2)}`;
}
const orthonormal = (what: string, q: Matrices, like: HostTensor): string | null =>
  near(`${what}^H ${what} = I`, mx.product(mx.adjoint(q), q), mx.identity(q.batch, q.cols), like);

function same(what: string, actual: HostTensor, expected: HostTensor, record: OperatorRecord): string | null {
  const mismatch = compare(actual, expected, toleranceOf(record.op.replace(/^torch\./, '')));
  return mismatch === null ? null : `${what}: ${mismatch}`;
}

// ---- the phases between two sets of vectors

/** For each column k, the phase d with ours = theirs * d (1 where they are not parallel). */
function phases(ours: Matrices, theirs: Matrices): Matrices {
  return mx.map(
    ours,
    (k, _, b) => {
      let re = 0;
      let im = 0;
      for (let i = 0; i < ours.rows; i++) {
        const [a, c] = mx.get(theirs, b, i, k);
        const [d, e] = mx.get(ours, b, i, k);
        re += a * d + c * e;
        im += a * e - c * d;
      }
      const size = Math.hypot(re, im);
      return size > 0 ? [re / size, im / size] : [1, 0];
    },
    ours.cols,
    1,
  );
}

/** A host tensor with new values; imaginary parts are dropped where the dtype is real. */
function withValues(t: HostTensor, m: Matrices): HostTensor {
  const complex = formatOf(t.dtype).kind === 'complex';
  const values = new Float64Array(m.re.length * (complex ? 2 : 1));
  for (let i = 0; i < m.re.length; i++) {
    values[complex ? 2 * i : i] = m.re[i];
    if (complex) values[2 * i + 1] = m.im[i];
  }
  const array = single.has(t.dtype) ? Float32Array.from(values) : values;
  return { dtype: t.dtype, shape: t.shape, bytes: new Uint8Array(array.buffer) };
}
const timesColumns = (t: HostTensor, d: Matrices): HostTensor => withValues(t, mx.scaleColumns(mx.matricesOf(t), d));
const timesRows = (t: HostTensor, d: Matrices): HostTensor =>
  withValues(t, mx.transposed(mx.scaleColumns(mx.transposed(mx.matricesOf(t)), d)));
/** Phases for n columns; the extra ones of a full basis keep their gradients. */
const padded = (d: Matrices, n: number): Matrices => mx.map(d, (i, _, b) => (i < d.rows ? mx.get(d, b, i, 0) : [1, 0]), n, 1);

// ---- judges

const option = (record: OperatorRecord, name: string, at: number): Encoded | undefined => record.kwargs[name] ?? record.args[at];

function judgeSvd(
  u: HostTensor,
  s: HostTensor,
  v: Matrices,
  a: Matrices,
  expectedS: HostTensor,
  record: OperatorRecord,
  loose = 1,
): string | null {
  const values = mx.columnsOf(s);
  const k = values.rows;
  const us = mx.scaleColumns(mx.firstColumns(mx.matricesOf(u), k), values);
  const scale = Math.max(1, mx.largest(a)) * loose;
  return (
    same('S', s, expectedS, record) ??
    near('U S V^H = A', mx.product(us, mx.adjoint(mx.firstColumns(v, k))), a, u, scale) ??
    orthonormal('U', mx.matricesOf(u), u) ??
    orthonormal('V', v, u)
  );
}

/** The matrix that PyTorch reads: one triangle, mirrored. */
function hermitian(m: Matrices, lower: boolean): Matrices {
  return mx.map(m, (i, j, b) => {
    if (i === j) return [mx.get(m, b, i, i)[0], 0];
    if (lower ? i > j : i < j) return mx.get(m, b, i, j);
    const [re, im] = mx.get(m, b, j, i);
    return [re, -im];
  });
}

/** For each of our eigenvalues the nearest of PyTorch's that is still free. */
function matching(ours: Matrices, theirs: Matrices): number[][] {
  return Array.from({ length: ours.batch }, (_, b) => {
    const free = new Set(Array.from({ length: theirs.rows }, (_, i) => i));
    return Array.from({ length: ours.rows }, (_, k) => {
      const [re, im] = mx.get(ours, b, k, 0);
      let best = -1;
      let size = Number.POSITIVE_INFINITY;
      for (const i of free) {
        const [c, d] = mx.get(theirs, b, i, 0);
        const distance = Math.hypot(re - c, im - d);
        if (distance < size || best < 0) [best, size] = [i, distance];
      }
      free.delete(best);
      return best;
    });
  });
}
const permuteRows = (m: Matrices, order: readonly number[][]): Matrices => mx.map(m, (i, j, b) => mx.get(m, b, order[b][i], j));
const permuteColumns = (m: Matrices, order: readonly number[][]): Matrices => mx.map(m, (i, j, b) => mx.get(m, b, i, order[b][j]));

function sameEigenvalues(actual: HostTensor, expected: HostTensor, factor: number): string | null {
  const ours = mx.columnsOf(actual);
  const theirs = mx.columnsOf(expected);
  const ordered = permuteRows(theirs, matching(ours, theirs));
  const pairs = (m: Matrices): Float64Array =>
    Float64Array.from({ length: 2 * m.re.length }, (_, i) => (i % 2 ? m.im[i >> 1] : m.re[i >> 1]));
  const [rtol, atol] = single.has(expected.dtype) ? [1.3e-6, 1e-5] : [1e-7, 1e-7];
  const mismatch = compareClose(pairs(ours), pairs(ordered), rtol * factor, atol * factor, true);
  return mismatch === null ? null : `eigenvalues as a set: ${mismatch}`;
}

function judgeQr({ actual, expected, inputs }: JudgeArguments): string | null {
  const [q, r] = actual;
  const rm = mx.matricesOf(r);
  const er = mx.matricesOf(expected[1]);
  const magnitudes = (m: Matrices): Matrices => mx.map(m, (i, j, b) => [Math.hypot(...mx.get(m, b, i, j)), 0]);
  const triangular = near('R upper', rm, mx.upper(rm), r);
  // Mode r has no Q; then |R| is what is left, unique for full column rank.
  if (q.bytes.length === 0) return triangular ?? near('|R|', magnitudes(rm), magnitudes(er), r);
  const a = mx.matricesOf(inputs[0]);
  return triangular ?? near('Q R = A', mx.product(mx.matricesOf(q), rm), a, q) ?? orthonormal('Q', mx.matricesOf(q), q);
}

/** Q of Householder vectors below the diagonal: H_1 ... H_k, H_i = I - tau_i v_i v_i^H. */
function householderQ(a: Matrices, tau: Matrices): Matrices {
  let q = mx.identity(a.batch, a.rows);
  for (let k = 0; k < tau.rows; k++) {
    const v = mx.map(a, (i, _, b) => (i < k ? [0, 0] : i === k ? [1, 0] : mx.get(a, b, i, k)), a.rows, 1);
    const outer = mx.product(v, mx.adjoint(v));
    const h = mx.map(outer, (i, j, b) => {
      const [re, im] = mx.get(outer, b, i, j);
      const [c, d] = mx.get(tau, b, k, 0);
      return [(i === j ? 1 : 0) - (re * c - im * d), -(re * d + im * c)];
    });
    q = mx.product(q, h);
  }
  return q;
}

/** L U with rows exchanged back by LAPACK's pivots, last exchange first. */
function unpivoted(lu: HostTensor, pivots: HostTensor): Matrices {
  const m = mx.matricesOf(lu);
  const k = Math.min(m.rows, m.cols);
  const product = mx.product(mx.unitLower(m, k), mx.firstRows(mx.upper(m), k));
  const p = mx.columnsOf(pivots);
  for (let b = 0; b < m.batch; b++) for (let i = p.rows - 1; i >= 0; i--) exchangeRows(product, b, i, mx.get(p, b, i, 0)[0] - 1);
  return product;
}
function exchangeRows(m: Matrices, b: number, i: number, j: number): void {
  if (i === j) return;
  for (let c = 0; c < m.cols; c++) {
    const [x, y] = [(b * m.rows + i) * m.cols + c, (b * m.rows + j) * m.cols + c];
    [m.re[x], m.re[y]] = [m.re[y], m.re[x]];
    [m.im[x], m.im[y]] = [m.im[y], m.im[x]];
  }
}
const judgeLuFactor = ({ actual, expected, inputs, record }: JudgeArguments): string | null =>
  allSame(actual, expected, record) === null
    ? null
    : (near('P L U = A', unpivoted(actual[0], actual[1]), mx.matricesOf(inputs[0]), actual[0]) ??
      (actual.length > 2 ? same('info', actual[2], expected[2], record) : null));

function allSame(actual: readonly HostTensor[], expected: readonly HostTensor[], record: OperatorRecord): string | null {
  for (let i = 0; i < actual.length; i++) {
    const mismatch = same(`result ${i}`, actual[i], expected[i], record);
    if (mismatch !== null) return mismatch;
  }
  return null;
}

/** L D L^T (or L D L^H) from LAPACK's packed form with Bunch-Kaufman pivots, lower triangle. */
function undoLdl(packed: HostTensor, pivots: HostTensor, isHermitian: boolean): Matrices {
  const ld = mx.matricesOf(packed);
  const p = mx.columnsOf(pivots);
  const n = ld.rows;
  const flip = isHermitian ? mx.adjoint : mx.transposed;
  const pieces = Array.from({ length: ld.batch }, (_, b): Matrices => {
    const one: Matrices = {
      ...mx.zeros(1, n, n),
      re: ld.re.slice(b * n * n, (b + 1) * n * n),
      im: ld.im.slice(b * n * n, (b + 1) * n * n),
    };
    const pivot = (k: number): number => mx.get(p, b, k, 0)[0];
    const blocks: { k: number; size: number }[] = [];
    for (let k = 0; k < n; k += blocks.at(-1)!.size) blocks.push({ k, size: pivot(k) < 0 ? 2 : 1 });
    let m = mx.zeros(1, n, n);
    for (const { k, size } of blocks)
      for (let i = k; i < k + size; i++)
        for (let j = k; j < k + size; j++) {
          const [re, im] = i >= j ? mx.get(one, 0, i, j) : mx.get(one, 0, j, i);
          m.re[i * n + j] = re;
          m.im[i * n + j] = isHermitian && i < j ? -im : im;
        }
    for (const { k, size } of blocks.reverse()) {
      const l = mx.map(one, (i, j) => (i === j ? [1, 0] : j >= k && j < k + size && i >= k + size ? mx.get(one, 0, i, j) : [0, 0]));
      m = mx.product(mx.product(l, m), flip(l));
      const at = k + size - 1;
      const other = Math.abs(pivot(k)) - 1;
      exchangeRows(m, 0, at, other);
      m = mx.transposed(m);
      exchangeRows(m, 0, at, other);
      m = mx.transposed(m);
    }
    return m;
  });
  return mx.map(ld, (i, j, b) => mx.get(pieces[b], 0, i, j));
}
const judgeLdl = ({ actual, expected, inputs, record }: JudgeArguments): string | null => {
  if (allSame(actual, expected, record) === null) return null;
  const isHermitian = option(record, 'hermitian', 0) === true && formatOf(inputs[0].dtype).kind === 'complex';
  const a = mx.matricesOf(inputs[0]);
  const full = isHermitian ? hermitian(a, true) : mx.map(a, (i, j, b) => (i >= j ? mx.get(a, b, i, j) : mx.get(a, b, j, i)));
  return near('L D L^T = A', undoLdl(actual[0], actual[1], isHermitian), full, actual[0]);
};

/** The matrix that a low-rank record factors: input times the transposed second operand, columns centred for PCA. */
function lowRankInput({ inputs, record }: JudgeArguments, center: boolean): Matrices {
  const second = mx.matricesOf(inputs[1]);
  const a = mx.product(mx.matricesOf(inputs[0]), mx.transposed(second));
  const less = record.kwargs['M'];
  if (less !== null && less !== undefined && inputs.length > 2) {
    const m = mx.matricesOf(inputs[2]);
    return mx.map(a, (i, j, b) => [mx.get(a, b, i, j)[0] - mx.get(m, b % m.batch, i, j)[0], mx.get(a, b, i, j)[1]]);
  }
  if (!center) return a;
  return mx.map(a, (i, j, b) => {
    let [re, im] = [0, 0];
    for (let k = 0; k < a.rows; k++) {
      re += mx.get(a, b, k, j)[0] / a.rows;
      im += mx.get(a, b, k, j)[1] / a.rows;
    }
    const [x, y] = mx.get(a, b, i, j);
    return [x - re, y - im];
  });
}

/** Operators' names without variant, and their properties. */
export const properties: Readonly<Record<string, Property>> = {
  svd: {
    promise: 'U diag(S) V^H = A, U and V orthonormal, the same S',
    judge: ({ actual: [u, s, v], expected, inputs, record }) =>
      option(record, 'compute_uv', 1) === false
        ? (same('U', u, expected[0], record) ?? same('S', s, expected[1], record) ?? same('V', v, expected[2], record))
        : judgeSvd(u, s, mx.matricesOf(v), mx.matricesOf(inputs[0]), expected[1], record),
    align: (a, e, [u, s, v]) => {
      const d = phases(mx.firstColumns(mx.matricesOf(a[0]), a[1].shape.at(-1)!), mx.firstColumns(mx.matricesOf(e[0]), a[1].shape.at(-1)!));
      return [timesColumns(u, padded(d, u.shape.at(-1)!)), s, timesColumns(v, padded(d, v.shape.at(-1)!))];
    },
  },
  'linalg.svd': {
    promise: 'U diag(S) Vh = A, U and V orthonormal, the same S',
    judge: ({ actual: [u, s, vh], expected, inputs, record }) =>
      judgeSvd(u, s, mx.adjoint(mx.matricesOf(vh)), mx.matricesOf(inputs[0]), expected[1], record),
    align: (a, e, [u, s, vh]) => {
      const d = phases(mx.firstColumns(mx.matricesOf(a[0]), a[1].shape.at(-1)!), mx.firstColumns(mx.matricesOf(e[0]), a[1].shape.at(-1)!));
      return [timesColumns(u, padded(d, u.shape.at(-1)!)), s, timesRows(vh, padded(d, vh.shape.at(-2)!))];
    },
  },
  svd_lowrank: {
    promise: 'U diag(S) V^H = A where its rank is at most q, else as near to A as PyTorch comes; U and V orthonormal, the same S',
    judge: (a) => {
      const [u, s, v] = a.actual;
      const matrix = lowRankInput(a, false);
      if (a.inputs.length < 3) return judgeSvd(u, s, mx.matricesOf(v), matrix, a.expected[1], a.record, 20);
      const residual = (parts: readonly HostTensor[]): number => {
        const us = mx.scaleColumns(mx.matricesOf(parts[0]), mx.columnsOf(parts[1]));
        return mx.distance(mx.product(us, mx.adjoint(mx.matricesOf(parts[2]))), matrix);
      };
      const [ours, theirs] = [residual(a.actual), residual(a.expected)];
      if (!(ours <= 1.01 * theirs)) return `U S V^H = A - M: off by ${ours.toExponential(2)}, PyTorch by ${theirs.toExponential(2)}`;
      return same('S', s, a.expected[1], a.record) ?? orthonormal('U', mx.matricesOf(u), u) ?? orthonormal('V', mx.matricesOf(v), v);
    },
    align: (a, e, [u, s, v]) => {
      const d = phases(mx.matricesOf(a[0]), mx.matricesOf(e[0]));
      return [timesColumns(u, d), s, timesColumns(v, d)];
    },
  },
  pca_lowrank: {
    promise: 'U diag(S) V^H = A - mean(A), U and V orthonormal, the same S',
    judge: (a) =>
      judgeSvd(
        a.actual[0],
        a.actual[1],
        mx.matricesOf(a.actual[2]),
        lowRankInput(a, a.record.kwargs['center'] !== false),
        a.expected[1],
        a.record,
        20,
      ),
    align: (a, e, [u, s, v]) => {
      const d = phases(mx.matricesOf(a[0]), mx.matricesOf(e[0]));
      return [timesColumns(u, d), s, timesColumns(v, d)];
    },
  },
  'linalg.eigh': {
    promise: 'A V = V diag(L), V orthonormal, the same L',
    judge: ({ actual: [l, v], expected, inputs, record }) => {
      const a = hermitian(mx.matricesOf(inputs[0]), option(record, 'UPLO', 0) !== 'U');
      const vm = mx.matricesOf(v);
      return (
        same('L', l, expected[0], record) ??
        near('A V = V L', mx.product(a, vm), mx.scaleColumns(vm, mx.columnsOf(l)), v, Math.max(1, mx.largest(a))) ??
        orthonormal('V', vm, v)
      );
    },
    align: (a, e, [l, v]) => [l, timesColumns(v, phases(mx.matricesOf(a[1]), mx.matricesOf(e[1])))],
  },
  'linalg.eig': {
    promise: 'A V = V diag(L), columns of norm 1, the same L as a set',
    judge: ({ actual: [l, v], expected, inputs, record }) => {
      const a = mx.matricesOf(inputs[0]);
      const vm = mx.matricesOf(v);
      const norms = mx.map(
        vm,
        (j, _, b) => {
          let sum = 0;
          for (let i = 0; i < vm.rows; i++) sum += mx.get(vm, b, i, j)[0] ** 2 + mx.get(vm, b, i, j)[1] ** 2;
          return [Math.sqrt(sum), 0];
        },
        vm.cols,
        1,
      );
      return (
        sameEigenvalues(l, expected[0], toleranceOf(record.op)) ??
        near('A V = V L', mx.product(a, vm), mx.scaleColumns(vm, mx.columnsOf(l)), v, Math.max(1, mx.largest(a))) ??
        near(
          '|V_k| = 1',
          norms,
          mx.map(norms, () => [1, 0]),
          v,
        )
      );
    },
    align: (a, e, [l, v]) => {
      const order = matching(mx.columnsOf(a[0]), mx.columnsOf(e[0]));
      const theirs = permuteColumns(mx.matricesOf(e[1]), order);
      const gradient = permuteColumns(mx.matricesOf(v), order);
      const d = phases(mx.matricesOf(a[1]), theirs);
      return [withValues(l, permuteRows(mx.columnsOf(l), order)), withValues(v, mx.scaleColumns(gradient, d))];
    },
  },
  'linalg.eigvals': {
    promise: 'the same eigenvalues as a set',
    judge: ({ actual, expected, record }) => sameEigenvalues(actual[0], expected[0], toleranceOf(record.op)),
    align: (a, e, [l]) => [withValues(l, permuteRows(mx.columnsOf(l), matching(mx.columnsOf(a[0]), mx.columnsOf(e[0]))))],
  },
  qr: {
    promise: 'Q R = A, Q orthonormal, R upper triangular',
    judge: judgeQr,
    align: (a, e, [q, r]) => alignQr(a, e, q, r),
  },
  'linalg.qr': {
    promise: 'Q R = A, Q orthonormal, R upper triangular; in mode r the same |R|',
    judge: judgeQr,
    align: (a, e, gradients) => (gradients.length === 2 ? alignQr(a, e, gradients[0], gradients[1]) : [...gradients]),
  },
  geqrf: {
    promise: 'the Householder product of (a, tau) times triu(a) = A',
    judge: ({ actual: [a, tau], inputs }) => {
      const packed = mx.matricesOf(a);
      if (packed.re.length === 0) return null;
      return near('Q R = A', mx.product(householderQ(packed, mx.columnsOf(tau)), mx.upper(packed)), mx.matricesOf(inputs[0]), a);
    },
  },
  lu: { promise: "PyTorch's values, or P L U = A", judge: judgeLuFactor },
  'linalg.lu_factor': { promise: "PyTorch's values, or P L U = A", judge: judgeLuFactor },
  'linalg.lu_factor_ex': { promise: "PyTorch's values, or P L U = A", judge: judgeLuFactor },
  'linalg.lu': {
    promise: "PyTorch's values, or P L U = A",
    judge: ({ actual, expected, inputs, record }) => {
      if (allSame(actual, expected, record) === null) return null;
      const [p, l, u] = actual.map(mx.matricesOf);
      const lu = mx.product(l, u);
      return near('P L U = A', p.re.length === 0 ? lu : mx.product(p, lu), mx.matricesOf(inputs[0]), actual[1]);
    },
  },
  'linalg.ldl_factor': { promise: "PyTorch's values, or L D L^T = A with the exchanges undone", judge: judgeLdl },
  'linalg.ldl_factor_ex': { promise: "PyTorch's values, or L D L^T = A with the exchanges undone", judge: judgeLdl },
};

/** Q gets D on its columns, R on its rows. */
function alignQr(a: readonly HostTensor[], e: readonly HostTensor[], q: HostTensor, r: HostTensor): HostTensor[] {
  const d = phases(mx.matricesOf(a[0]), mx.matricesOf(e[0]));
  return [timesColumns(q, d), timesRows(r, padded(d, r.shape.at(-2)!))];
}

export const propertyOf = (path: string): Property | undefined => properties[path];

/** The output gradients to use: the recorded ones, or those turned to our vectors. */
export function alignGradients(
  path: string,
  leaves: readonly unknown[],
  expected: readonly HostTensor[],
  gradients: readonly HostTensor[],
  read: (t: AnyTensor) => Promise<HostTensor>,
): readonly HostTensor[] | Promise<readonly HostTensor[]> {
  const align = properties[path]?.align;
  if (align === undefined) return gradients;
  return (async () => {
    const actual = await Promise.all(leaves.filter(isTensor).map(read));
    // Where only some outputs are differentiable (mode r), or shapes differ, the recorded gradients stand.
    if (gradients.length !== expected.length || actual.some((t, i) => t.shape.join() !== expected[i]?.shape.join())) return gradients;
    return align(actual, expected, gradients);
  })();
}

/** Norms of vectors and matrices, and condition numbers: https://docs.pytorch.org/docs/stable/linalg.html#matrix-properties */
import type { DType } from '../dtype/dtype.ts';
import { scalarTypeName } from '../dtype/promotion.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { castTo } from './conversion.ts';
import { fullOf } from './creation.ts';
import { declare, overload } from './declare.ts';
import { wrapDim } from './dims.ts';
import { batchShape, requireSquare } from './linalg-checks.ts';
import { inverseEx } from './linalg-solve.ts';
import { svdvalsOf } from './linalg-spectral.ts';
import { vectorNorm } from './norms.ts';
import { scalarValue } from './scalar-argument.ts';
import type { Scalar } from './schema.ts';
import { permuteOf, reshapeTo } from './shape-base.ts';
import { use } from './use.ts';

const name = 'linalg.matrix_norm';

/** The largest (or smallest) along a dim; 0 where there is none. */
function extreme(x: Tensor, dim: number, keepdim: boolean, largest: boolean): Tensor {
  const { shape } = x.view_;
  if (shape[dim] !== 0) return use(largest ? 'amax' : 'amin', x, [dim], keepdim);
  if (!largest) throw new Error(`amin(): Expected reduction dim ${dim} to have non-zero size.`);
  return use('sum', x, [dim], keepdim);
}

function requireMatrixNorm(x: Tensor, dims: readonly number[], dtype: DType | null): [number, number] {
  if (x.ndim < 2) throw new Error(`${name}: The input tensor A must have at least 2 dimensions.`);
  if (!x.dtype.is_floating_point && !x.dtype.is_complex)
    throw new Error(`${name}: Expected a floating point or complex tensor as input. Got ${scalarTypeName(x.dtype)}`);
  if (dims.length !== 2) throw new Error(`${name}: dim must be a 2-tuple. Got ${dims.join(', ')}`);
  const [a, b] = dims.map((d) => wrapDim(d, x.ndim));
  if (a === b) throw new Error(`${name}: dims must be different. Got (${dims.join(', ')})`);
  if (dtype !== null && !dtype.is_floating_point && !dtype.is_complex)
    throw new Error(`${name}: dtype should be floating point or complex, but got ${scalarTypeName(dtype)}`);
  return [a, b];
}

/** Singular values over two dims, as the last dim of what remains. */
function singularValues(x: Tensor, a: number, b: number, dtype: DType | null): Tensor {
  const rest = [...Array(x.ndim).keys()].filter((d) => d !== a && d !== b);
  return svdvalsOf(permuteOf(dtype === null ? x : castTo(x, dtype), [...rest, a, b]));
}
function kept(result: Tensor, x: Tensor, a: number, b: number, keepdim: boolean): Tensor {
  if (!keepdim) return result;
  return reshapeTo(
    result,
    x.view_.shape.map((d, i) => (i === a || i === b ? 1 : d)),
  );
}

export function matrixNorm(x: Tensor, order: number | string, dims: readonly number[], keepdim: boolean, dtype: DType | null): Tensor {
  const [a, b] = requireMatrixNorm(x, dims, dtype);
  if (order === 'fro') return vectorNorm(x, 2, [a, b], keepdim, dtype);
  if (order === 'nuc') return kept(use('sum', singularValues(x, a, b, dtype), [-1]), x, a, b, keepdim);
  const size = typeof order === 'string' ? Number.NaN : Math.abs(order);
  if (size !== 1 && size !== 2 && size !== Infinity) throw new Error(`${name}: Order ${order} not supported.`);
  const largest = (order as number) > 0;
  if (size === 2) {
    const s = singularValues(x, a, b, dtype);
    return kept(extreme(s, s.ndim - 1, false, largest), x, a, b, keepdim);
  }
  const [over, along] = size === 1 ? [a, b] : [b, a];
  const sums = vectorNorm(x, 1, [over], keepdim, dtype);
  return extreme(sums, !keepdim && along > over ? along - 1 : along, keepdim, largest);
}

/** `torch.linalg.norm`: a matrix norm where an order meets two dims, else a vector norm. */
function normOf(x: Tensor, order: number | string | null, dims: readonly number[] | null, keepdim: boolean, dtype: DType | null): Tensor {
  if (dims !== null && order !== null && dims.length !== 1 && dims.length !== 2)
    throw new Error(`linalg.norm: If dim is specified, it must be of length 1 or 2. Got [${dims.join(', ')}]`);
  if (dims === null && order !== null && typeof order === 'number' && x.ndim !== 1 && x.ndim !== 2)
    throw new Error(`linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got ${x.ndim}D.`);
  if (typeof order === 'string') {
    if (dims === null && x.ndim > 2)
      throw new Error(`linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got ${x.ndim}D.`);
    return matrixNorm(x, order, dims ?? [0, 1], keepdim, dtype);
  }
  if (order !== null && (dims === null ? x.ndim === 2 : dims.length === 2)) return matrixNorm(x, order, dims ?? [0, 1], keepdim, dtype);
  return vectorNorm(x, order ?? 2, dims, keepdim, dtype);
}

function condOf(x: Tensor, order: number | string | null): Tensor {
  if (x.ndim < 2) throw new Error('linalg.cond: The input tensor must have at least 2 dimensions.');
  if (order === null || order === 2 || order === -2) {
    const s = svdvalsOf(x);
    const n = s.view_.shape[s.ndim - 1];
    if (n === 0) return fullOf(batchShape(x), 0, s.dtype, s.device);
    const first = use('select', s, -1, 0);
    const final = use('select', s, -1, n - 1);
    return order === -2 ? use('div', final, first) : use('div', first, final);
  }
  if (order !== 'fro' && order !== 'nuc' && ![1, -1, Infinity, -Infinity].includes(order as number))
    throw new Error(`linalg.cond got an invalid norm type: ${order}`);
  requireSquare(x, `linalg.cond(ord=${order})`);
  if (x.view_.numel === 0) return fullOf(batchShape(x), 0, x.dtype.real, x.device);
  if (order === 'nuc') {
    const s = svdvalsOf(x);
    return use('mul', use('sum', s, [-1]), use('sum', use('reciprocal', s), [-1]));
  }
  const [inverse, info] = inverseEx(x);
  const singular = use('unsqueeze', use('unsqueeze', use('gt', info, 0), -1), -1);
  const filled = use('masked_fill', inverse, singular, Infinity);
  return use('mul', matrixNorm(x, order, [-2, -1], false, null), matrixNorm(filled, order, [-2, -1], false, null));
}

const page = (of: string): string => `https://docs.pytorch.org/docs/stable/generated/torch.linalg.${of}.html`;
const number = (s: Scalar | null): number | null => (s === null ? null : Number(scalarValue(s)));

export const linalgNorms = {
  vector_norm: declare(
    { doc: `Norm of the elements as a vector. ${page('vector_norm')}` },
    overload(
      'linalg_vector_norm(Tensor self, Scalar ord=2, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor',
      (x, ord, dim, keepdim, dtype) => vectorNorm(x, number(ord)!, dim, keepdim, dtype),
    ),
  ),
  matrix_norm: declare(
    { doc: `Norm of matrices: 'fro', 'nuc', 1, -1, 2, -2, inf, -inf. ${page('matrix_norm')}` },
    overload(
      'linalg_matrix_norm.str_ord(Tensor self, str ord="fro", int[] dim=[-2,-1], bool keepdim=False, *, ScalarType? dtype=None) -> Tensor',
      (x, ord, dim, keepdim, dtype) => matrixNorm(x, ord, dim, keepdim, dtype),
    ),
    overload(
      'linalg_matrix_norm(Tensor self, Scalar ord, int[] dim=[-2,-1], bool keepdim=False, *, ScalarType? dtype=None) -> Tensor',
      (x, ord, dim, keepdim, dtype) => matrixNorm(x, number(ord)!, dim, keepdim, dtype),
    ),
  ),
  norm: declare(
    { doc: `Vector or matrix norm, as order and dims say. ${page('norm')}` },
    overload(
      'linalg_norm(Tensor self, Scalar? ord=None, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor',
      (x, ord, dim, keepdim, dtype) => normOf(x, number(ord), dim, keepdim, dtype),
    ),
    overload(
      'linalg_norm.ord_str(Tensor self, str ord, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor',
      (x, ord, dim, keepdim, dtype) => normOf(x, ord, dim, keepdim, dtype),
    ),
  ),
  cond: declare(
    { doc: `Condition number of a matrix norm. ${page('cond')}` },
    overload('linalg_cond(Tensor self, Scalar? p=None) -> Tensor', (x, p) => condOf(x, number(p))),
    overload('linalg_cond.p_str(Tensor self, str p) -> Tensor', (x, p) => condOf(x, p)),
  ),
};

/**
 * Vector norms over dims, and what is made of them: https://docs.pytorch.org/docs/stable/generated/torch.norm.html
 *
 * One operator for every order; its gradient is PyTorch's, which is 0 where the norm is 0.
 */
import { type DType, float32 } from '../dtype/dtype.ts';
import { computationDtype, scalarTypeName } from '../dtype/promotion.ts';
import type { Operator } from '../graph/operator.ts';
import { constant, type Prim } from '../graph/prim.ts';
import { constantsOf, record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { castTo } from './conversion.ts';
import { declare, declareInplace, overload } from './declare.ts';
import { wrapDim, wrapDims } from './dims.ts';
import { scalarValue } from './scalar-argument.ts';
import type { Scalar } from './schema.ts';
import { use } from './use.ts';

interface NormConstants {
  readonly order: number;
  readonly axes: readonly number[];
  readonly keepdim: boolean;
  readonly from: DType;
  readonly compute: DType;
  readonly result: DType;
}

const magnitude = (x: Prim): Prim => x.scalar('abs').real;

function forward(x: Prim, { order, axes, keepdim }: NormConstants): Prim {
  const real = x.dtype.real;
  if (order === 0) return x.ne(0).cast(real).sum(axes, keepdim);
  if (order === 1) return magnitude(x).sum(axes, keepdim);
  if (order === 2) {
    if (axes.length === 0) return magnitude(x);
    const squares = x.dtype.is_complex ? x.real.mul(x.real).add(x.imag.mul(x.imag)) : x.mul(x);
    return squares.sum(axes, keepdim).sqrt();
  }
  if (order === Infinity) return magnitude(x).amax(axes, keepdim);
  if (order === -Infinity) return magnitude(x).amin(axes, keepdim);
  return magnitude(x)
    .scalar('pow', constant(order, real))
    .sum(axes, keepdim)
    .scalar('pow', constant(1 / order, real));
}

/** x / |x|, 0 at 0. */
function sgn(x: Prim): Prim {
  const size = x.scalar('abs');
  return x.ne(0).where(x.div(size), 0);
}

function backward(g: Prim, x: Prim, norm: Prim, { order, axes }: NormConstants): Prim {
  const real = x.dtype.real;
  const zero = norm.eq(0);
  const power = (p: Prim, exponent: number): Prim => p.scalar('pow', constant(exponent, real));
  if (order === 0) return x.mul(0);
  if (order === 1) return sgn(x).mul(g);
  if (order === 2) return zero.where(0, x.div(norm)).mul(g);
  if (order === Infinity || order === -Infinity) {
    const size = magnitude(x);
    const hit = size.eq(norm).or(size.ne(size)).cast(real);
    return sgn(x).mul(g.div(hit.sum(axes, true)).mul(hit));
  }
  if (order < 1)
    return x
      .eq(0)
      .where(0, sgn(x).mul(power(magnitude(x), order - 1)))
      .mul(g.mul(power(norm, 1 - order)));
  const scale = zero.where(0, g.div(power(norm, order - 1)));
  return order < 2
    ? sgn(x)
        .mul(power(magnitude(x), order - 1))
        .mul(scale)
    : x.mul(power(magnitude(x), order - 2)).mul(scale);
}

const normOperator: Operator<NormConstants> = {
  name: 'linalg_vector_norm',
  body: ([x], { constants: c }) => [forward(x.cast(c.from).cast(c.compute), c).cast(c.result)],
  gradient: ([g], [x], [y], { constants: c }) => {
    if (g === null) return [null];
    const keep = (p: Prim): Prim => p.reshape(x.shape.map((d, i) => (c.axes.includes(i) ? 1 : d))).cast(c.compute.real);
    return [backward(keep(g), x.cast(c.from).cast(c.compute), keep(y), c).expand(x.shape).cast(x.dtype)];
  },
};

/** `torch.linalg.vector_norm`; no dims means all. */
export function vectorNorm(x: Tensor, order: number, dims: readonly number[] | null, keepdim: boolean, dtype: DType | null): Tensor {
  const from = dtype ?? x.dtype;
  if (!x.dtype.is_floating_point && !x.dtype.is_complex)
    throw new Error(`linalg.vector_norm: Expected a floating point or complex tensor as input. Got ${scalarTypeName(x.dtype)}`);
  if (dtype !== null && !dtype.is_floating_point && !dtype.is_complex)
    throw new Error(`linalg.vector_norm: dtype should be floating point or complex, but got ${scalarTypeName(dtype)}`);
  if (dtype !== null && dtype.is_complex !== x.dtype.is_complex) {
    const kind = x.dtype.is_complex ? 'complex' : 'real';
    throw new Error(`linalg.vector_norm: dtype should be ${kind} for ${kind} inputs, but got ${scalarTypeName(dtype)}`);
  }
  if ((order < 0 || order === Infinity) && x.view_.numel === 0) {
    const text = order === Infinity ? 'inf' : order === -Infinity ? '-inf' : String(order);
    const what = `linalg.vector_norm cannot compute the ${text} norm on`;
    if (dims === null || dims.length === 0) throw new Error(`${what} an empty tensor because the operation does not have an identity`);
    for (const d of dims)
      if (x.view_.shape[wrapDim(d, x.ndim)] === 0)
        throw new Error(`${what} the dimension ${d}because this dimension is empty and the operation does not have an identity`);
  }
  const axes = wrapDims(dims, x.ndim);
  const result = dtype === null ? x.dtype.real : dtype.real;
  const compute = computationDtype(from);
  const key = `norm:${order}:${axes}:${keepdim}:${from.name}:${result.name}`;
  return record(normOperator as never, [x], {
    constants: constantsOf(key, (): NormConstants => ({ order, axes, keepdim, from, compute, result })),
  })[0];
}

/** Sum of singular values over two dims. */
function nuclearNorm(x: Tensor, dims: readonly number[] | null, keepdim: boolean, dtype: DType | null): Tensor {
  const source = dtype === null ? x : castTo(x, dtype);
  const pair = dims ?? [...Array(x.ndim).keys()];
  if (pair.length !== 2) throw new Error(`linalg.matrix_norm: dim must be a 2-tuple. Got ${pair.join(', ')}`);
  const [a, b] = pair.map((d) => wrapDim(d, x.ndim));
  if (a === b) throw new Error(`linalg.matrix_norm: dims must be different. Got (${pair.join(', ')})`);
  const rest = [...Array(x.ndim).keys()].filter((d) => d !== a && d !== b);
  const sum = use('sum', use('linalg.svdvals', use('permute', source, [...rest, a, b])), [-1]);
  if (!keepdim) return sum;
  return use(
    'reshape',
    sum,
    x.view_.shape.map((d, i) => (i === a || i === b ? 1 : d)),
  );
}

function normOf(x: Tensor, p: Scalar | string | null, dims: readonly number[] | null, keepdim: boolean, dtype: DType | null): Tensor {
  if (typeof p !== 'string') return vectorNorm(x, p === null ? 2 : Number(scalarValue(p)), dims, keepdim, dtype);
  if (p === 'fro' && (dims === null || dims.length <= 2)) return vectorNorm(x, 2, dims, keepdim, dtype);
  if (p === 'nuc') return nuclearNorm(x, dims, keepdim, dtype);
  if (p === 'fro') throw new Error(`linalg.matrix_norm: dim must be a 2-tuple. Got ${dims?.join(', ')}`);
  throw new Error(`linalg.matrix_norm: Order ${p} not supported.`);
}

function renormOf(x: Tensor, p: Scalar, dim: number, maxnorm: Scalar): Tensor {
  const order = Number(scalarValue(p));
  const most = Number(scalarValue(maxnorm));
  if (!(order > 0)) throw new Error('renorm: non-positive-norm not supported');
  if (!(most >= 0)) throw new Error(`renorm: expected maxnorm to be >= 0 but got ${most}`);
  if (x.ndim < 2) throw new Error(`renorm: input needs at least 2 dimensions, got ${x.ndim} dimensions`);
  const axis = wrapDim(dim, x.ndim);
  const others = [...Array(x.ndim).keys()].filter((d) => d !== axis);
  const half = computationDtype(x.dtype) !== x.dtype;
  const norm = vectorNorm(x, order, others, true, half ? float32 : null);
  const scaled = use('mul', x, use('mul', use('reciprocal', use('add', norm, 1e-7)), most));
  const kept = use('where', use('gt', norm, most), scaled, x);
  return half ? castTo(kept, x.dtype) : kept;
}

export const norms = {
  norm: declare(
    {
      doc: 'Norm of a tensor as a vector, or of matrices (nuc). https://docs.pytorch.org/docs/stable/generated/torch.norm.html',
    },
    overload(
      'norm.Scalar(Tensor self, Scalar? p=2, int[1]? dim=None, bool keepdim=False, ScalarType? dtype=None) -> Tensor',
      (x, p, dim, keepdim, dtype) => normOf(x, p, dim, keepdim, dtype),
    ),
    overload(
      'norm.str(Tensor self, str? p="fro", int[1]? dim=None, bool keepdim=False, ScalarType? dtype=None) -> Tensor',
      (x, p, dim, keepdim, dtype) => normOf(x, p, dim, keepdim, dtype),
    ),
  ),
  dist: declare(
    { doc: 'Norm of a difference. https://docs.pytorch.org/docs/stable/generated/torch.dist.html' },
    overload('dist(Tensor self, Tensor other, Scalar p=2) -> Tensor', (x, other, p) =>
      vectorNorm(use('sub', x, other), Number(scalarValue(p)), null, false, null),
    ),
  ),
  renorm: declareInplace(
    { doc: 'Slices of `dim` scaled down to a largest norm. https://docs.pytorch.org/docs/stable/generated/torch.renorm.html' },
    overload('renorm(Tensor self, Scalar p, int dim, Scalar maxnorm) -> Tensor', (x, p, dim, maxnorm) => renormOf(x, p, dim, maxnorm)),
  ),
  norm_except_dim: declare(
    {
      doc: 'Norm over all dims but one, which stays; -1: over all. https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.weight_norm.html',
      as: 'function',
    },
    overload('norm_except_dim(Tensor v, int pow=2, int dim=0) -> Tensor', (v, power, dim) =>
      vectorNorm(v, power, dim === -1 ? null : [...v.view_.shape.keys()].filter((d) => d !== dim), dim !== -1, null),
    ),
  ),
  nuclear_norm: declare(
    { doc: 'Sum of singular values. https://docs.pytorch.org/docs/stable/generated/torch.norm.html', as: 'function' },
    overload('nuclear_norm.dim(Tensor self, int[2] dim, bool keepdim=False) -> Tensor', (x, dim, keepdim) =>
      nuclearNorm(x, dim, keepdim, null),
    ),
    overload('nuclear_norm(Tensor self, bool keepdim=False) -> Tensor', (x, keepdim) => nuclearNorm(x, null, keepdim, null)),
  ),
  frobenius_norm: declare(
    { doc: 'Root of the sum of squares. https://docs.pytorch.org/docs/stable/generated/torch.norm.html', as: 'function' },
    overload('frobenius_norm.dim(Tensor self, int[1] dim, bool keepdim=False) -> Tensor', (x, dim, keepdim) =>
      vectorNorm(x, 2, dim, keepdim, null),
    ),
  ),
};

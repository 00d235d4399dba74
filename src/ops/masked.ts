/**
 * `torch.masked`: operators over the elements that a mask (true: counts) leaves. https://docs.pytorch.org/docs/stable/masked.html
 *
 * As in `torch/masked/_ops.py`: what is masked out is replaced by the identity of the operation, then the plain operator runs.
 */
import { bool, type DType, float32, iinfo, int64 } from '../dtype/dtype.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { castTo } from './conversion.ts';
import { fullOf } from './creation.ts';
import { declare, overload } from './declare.ts';
import { wrapDim, wrapDims } from './dims.ts';
import { vectorNorm } from './norms.ts';
import { scalar, scalarValue } from './scalar-argument.ts';
import type { Scalar } from './schema.ts';
import { use } from './use.ts';

type Identity = 'zero' | 'one' | 'least' | 'most' | 'nan';

function identityOf(kind: Identity, dtype: DType, name: string): number | bigint {
  if (kind === 'zero') return 0;
  if (kind === 'one') return 1;
  if (kind === 'nan') return NaN;
  if (dtype.is_floating_point || (dtype.is_complex && name === 'logsumexp')) return kind === 'least' ? -Infinity : Infinity;
  if (dtype.kind !== 'int') throw new Error(`identity of ${name} on ${dtype} input`);
  const { min, max } = iinfo(dtype);
  return kind === 'least' ? min : max;
}

/** The mask in the input's shape, as bool. */
function inputMask(x: Tensor, mask: Tensor): Tensor {
  let m = mask;
  if (m.view_.shape.join() !== x.view_.shape.join()) {
    if (m.ndim > x.ndim) throw new RangeError('_input_mask expected broadcastable mask (got mask dimensionality higher than of the input)');
    m = use('broadcast_to', m, [...x.view_.shape]);
  }
  return m.dtype === bool ? m : castTo(m, bool);
}

function fill(x: Tensor, mask: Tensor | null, kind: Identity, name: string): Tensor {
  if (mask === null) return x;
  const value = identityOf(kind, x.dtype, name);
  const like = use('full_like', x, value);
  return use('where', inputMask(x, mask), x, like);
}

const widened = (dtype: DType): DType => (dtype.kind === 'bool' || dtype.kind === 'int' ? int64 : dtype);
const as = (x: Tensor, dtype: DType): Tensor => (x.dtype === dtype ? x : castTo(x, dtype));
type Dims = readonly number[] | null;

function canonical(dims: Dims, x: Tensor): number[] {
  if (dims !== null && new Set(dims).size !== dims.length) {
    const twice = dims.find((d, i) => dims.indexOf(d) !== i);
    throw new Error(`dim=${twice} appears multiple times in the list of dims`);
  }
  return wrapDims(dims, x.ndim);
}

function sum(x: Tensor, dims: Dims, keepdim: boolean, dtype: DType | null, mask: Tensor | null): Tensor {
  return use('sum', fill(x, mask, 'zero', 'sum'), canonical(dims, x), keepdim, { dtype: dtype ?? widened(x.dtype) });
}
function prod(x: Tensor, dims: Dims, keepdim: boolean, dtype: DType | null, mask: Tensor | null): Tensor {
  const axes = canonical(dims, x);
  let result = as(fill(x, mask, 'one', 'prod'), dtype ?? widened(x.dtype));
  for (const d of axes.reverse()) result = use('prod', result, d, keepdim);
  return result;
}
function extreme(name: 'amax' | 'amin', x: Tensor, dims: Dims, keepdim: boolean, dtype: DType | null, mask: Tensor | null): Tensor {
  const filled = fill(x, mask, name === 'amax' ? 'least' : 'most', name);
  return as(use(name, filled, canonical(dims, x), keepdim), dtype ?? x.dtype);
}
function position(
  name: 'argmax' | 'argmin',
  x: Tensor,
  dim: number | null,
  keepdim: boolean,
  dtype: DType | null,
  mask: Tensor | null,
): Tensor {
  const filled = fill(x, mask, name === 'argmax' ? 'least' : 'most', name);
  return as(use(name, filled, dim, keepdim), dtype ?? x.dtype);
}
/** How many elements count. */
const count = (x: Tensor, dims: Dims, keepdim: boolean, mask: Tensor | null): Tensor =>
  mask === null
    ? sum(use('ones', [...x.view_.shape], { dtype: int64, device: x.device }), dims, keepdim, null, null)
    : use('sum', inputMask(x, mask), canonical(dims, x), keepdim);

function mean(x: Tensor, dims: Dims, keepdim: boolean, dtype: DType | null, mask: Tensor | null): Tensor {
  const type = dtype ?? x.dtype;
  if (!type.is_floating_point && !type.is_complex)
    throw new TypeError(
      `mean(): Could not infer output dtype. ${dtype === null ? 'Input' : 'Optional'} dtype must be either a floating point or complex dtype. Got: ${type}`,
    );
  return use('div', sum(x, dims, keepdim, type, mask), count(x, dims, keepdim, mask));
}
function median(x: Tensor, dim: number, keepdim: boolean, dtype: DType | null, mask: Tensor | null): Tensor {
  const axis = wrapDim(dim, x.ndim);
  const isFloat = x.dtype.is_floating_point;
  const filled = fill(isFloat ? x : castTo(x, float32), mask, 'nan', 'median');
  const values = use<Tensor[]>('nanmedian', filled, axis, keepdim)[0];
  if (isFloat) return values;
  if (use<{ item(): number | boolean }>('any', use('isnan', values)).item())
    throw new TypeError('masked median expects no fully masked out rows if dtype is not floating point');
  return as(values, dtype ?? x.dtype);
}
function norm(x: Tensor, ord: number, dims: Dims, keepdim: boolean, dtype: DType | null, mask: Tensor | null): Tensor {
  if (mask !== null && ord === -Infinity && !x.dtype.is_floating_point) throw new Error(`input must be floating point, got ${x.dtype}`);
  return vectorNorm(fill(x, mask, ord === -Infinity ? 'most' : 'zero', 'norm'), ord, canonical(dims, x), keepdim, dtype ?? x.dtype);
}

interface MomentCall {
  readonly dims: Dims;
  readonly unbiased: boolean | null;
  readonly correction: Scalar | null;
  readonly keepdim: boolean;
  readonly dtype: DType | null;
  readonly mask: Tensor | null;
}
function variance(x: Tensor, { dims, unbiased, correction, keepdim, dtype, mask }: MomentCall): Tensor {
  if (unbiased !== null && correction !== null) throw new Error('Only one of unbiased and correction may be given');
  const lost = correction !== null ? Number(scalarValue(correction)) : unbiased === false ? 0 : 1;
  const result = dtype ?? (x.dtype.is_floating_point || x.dtype.is_complex ? x.dtype : float32);
  const compute = result.is_floating_point || result.is_complex ? result : float32;
  const inside = mask === null ? null : inputMask(x, mask);
  let n = count(x, dims, true, inside);
  const middle = use('div', sum(x, dims, true, result, inside), n);
  const deviation = use('sub', x, middle);
  const total = sum(use('mul', deviation, use('conj', deviation)), dims, keepdim, compute, inside);
  if (!keepdim) n = use('reshape', n, [...total.view_.shape]);
  if (lost !== 0) n = use('clamp_min', use('sub', castTo(n, compute.real), scalar(lost, float32)), 0);
  return as(use('div', total, n), result);
}

const softmaxLike = (
  name: 'softmax' | 'log_softmax' | 'softmin',
  x: Tensor,
  dim: number,
  dtype: DType | null,
  mask: Tensor | null,
): Tensor => {
  const axis = wrapDim(dim, x.ndim);
  const path = name === 'softmin' ? 'nn.functional.softmin' : name;
  return use(path, fill(x, mask, name === 'softmin' ? 'most' : 'least', name === 'softmin' ? 'amin' : 'amax'), axis, {
    dtype: dtype ?? x.dtype,
  });
};
function normalize(x: Tensor, ord: number, dim: number, eps: number, dtype: DType | null, mask: Tensor | null): Tensor {
  const size = norm(x, ord, [dim], true, dtype ?? x.dtype, mask);
  return use('div', fill(x, mask, 'zero', 'sum'), use('maximum', size, fullOf([], eps, size.dtype, size.device)));
}
const cumulative = (name: 'cumsum' | 'cumprod', x: Tensor, dim: number, dtype: DType | null, mask: Tensor | null): Tensor => {
  const type = dtype ?? x.dtype;
  return as(use(name, fill(x, mask, name === 'cumsum' ? 'zero' : 'one', name), wrapDim(dim, x.ndim), { dtype: type }), type);
};

const doc = (what: string, name: string): string =>
  `${what} of the elements that the mask leaves. https://docs.pytorch.org/docs/stable/generated/torch.masked.${name}.html`;
const as_ = 'function' as const;
const reduceSchema = <const N extends string>(name: N) =>
  `${name}(Tensor input, int[1]? dim=None, *, bool? keepdim=False, ScalarType? dtype=None, Tensor? mask=None) -> Tensor` as const;

export const maskedOps = {
  sum: declare(
    { doc: doc('Sum', 'sum'), as: as_ },
    overload(reduceSchema('sum'), (x, dim, keepdim, dtype, mask) => sum(x, dim, keepdim ?? false, dtype, mask)),
  ),
  prod: declare(
    { doc: doc('Product', 'prod'), as: as_ },
    overload(reduceSchema('prod'), (x, dim, keepdim, dtype, mask) => prod(x, dim, keepdim ?? false, dtype, mask)),
  ),
  amax: declare(
    { doc: doc('Largest', 'amax'), as: as_ },
    overload(reduceSchema('amax'), (x, dim, keepdim, dtype, mask) => extreme('amax', x, dim, keepdim ?? false, dtype, mask)),
  ),
  amin: declare(
    { doc: doc('Smallest', 'amin'), as: as_ },
    overload(reduceSchema('amin'), (x, dim, keepdim, dtype, mask) => extreme('amin', x, dim, keepdim ?? false, dtype, mask)),
  ),
  mean: declare(
    { doc: doc('Mean', 'mean'), as: as_ },
    overload(reduceSchema('mean'), (x, dim, keepdim, dtype, mask) => mean(x, dim, keepdim ?? false, dtype, mask)),
  ),
  logsumexp: declare(
    { doc: doc('Log-sum-exp', 'logsumexp'), as: as_ },
    overload(reduceSchema('logsumexp'), (x, dim, keepdim, dtype, mask) =>
      as(use('logsumexp', fill(x, mask, 'least', 'logsumexp'), canonical(dim, x), keepdim ?? false), dtype ?? x.dtype),
    ),
  ),
  argmax: declare(
    { doc: doc('Position of the largest', 'argmax'), as: as_ },
    overload(
      'argmax(Tensor input, int? dim=None, *, bool? keepdim=False, ScalarType? dtype=None, Tensor? mask=None) -> Tensor',
      (x, dim, keepdim, dtype, mask) => position('argmax', x, dim, keepdim ?? false, dtype, mask),
    ),
  ),
  argmin: declare(
    { doc: doc('Position of the smallest', 'argmin'), as: as_ },
    overload(
      'argmin(Tensor input, int? dim=None, *, bool? keepdim=False, ScalarType? dtype=None, Tensor? mask=None) -> Tensor',
      (x, dim, keepdim, dtype, mask) => position('argmin', x, dim, keepdim ?? false, dtype, mask),
    ),
  ),
  median: declare(
    { doc: doc('Median', 'median'), as: as_ },
    overload(
      'median(Tensor input, int dim=-1, *, bool keepdim=False, ScalarType? dtype=None, Tensor? mask=None) -> Tensor',
      (x, dim, keepdim, dtype, mask) => median(x, dim, keepdim, dtype, mask),
    ),
  ),
  norm: declare(
    { doc: doc('Vector norm', 'norm'), as: as_ },
    overload(
      'norm(Tensor input, float? ord=2.0, int[1]? dim=None, *, bool? keepdim=False, ScalarType? dtype=None, Tensor? mask=None) -> Tensor',
      (x, ord, dim, keepdim, dtype, mask) => norm(x, ord ?? 2, dim, keepdim ?? false, dtype, mask),
    ),
  ),
  var: declare(
    { doc: doc('Variance', 'var'), as: as_ },
    overload(
      'var(Tensor input, int[1]? dim=None, bool? unbiased=None, *, Scalar? correction=None, bool? keepdim=False, ScalarType? dtype=None, Tensor? mask=None) -> Tensor',
      (x, dims, unbiased, correction, keepdim, dtype, mask) =>
        variance(x, { dims, unbiased, correction, keepdim: keepdim ?? false, dtype, mask }),
    ),
  ),
  std: declare(
    { doc: doc('Standard deviation', 'std'), as: as_ },
    overload(
      'std(Tensor input, int[1]? dim=None, bool? unbiased=None, *, Scalar? correction=None, bool? keepdim=False, ScalarType? dtype=None, Tensor? mask=None) -> Tensor',
      (x, dims, unbiased, correction, keepdim, dtype, mask) =>
        use('sqrt', variance(x, { dims, unbiased, correction, keepdim: keepdim ?? false, dtype, mask })),
    ),
  ),
  softmax: declare(
    { doc: doc('Softmax', 'softmax'), as: as_ },
    overload('softmax(Tensor input, int dim, *, ScalarType? dtype=None, Tensor? mask=None) -> Tensor', (x, dim, dtype, mask) =>
      softmaxLike('softmax', x, dim, dtype, mask),
    ),
  ),
  log_softmax: declare(
    { doc: doc('Log of softmax', 'log_softmax'), as: as_ },
    overload('log_softmax(Tensor input, int dim, *, ScalarType? dtype=None, Tensor? mask=None) -> Tensor', (x, dim, dtype, mask) =>
      softmaxLike('log_softmax', x, dim, dtype, mask),
    ),
  ),
  softmin: declare(
    { doc: doc('Softmin', 'softmin'), as: as_ },
    overload('softmin(Tensor input, int dim, *, ScalarType? dtype=None, Tensor? mask=None) -> Tensor', (x, dim, dtype, mask) =>
      softmaxLike('softmin', x, dim, dtype, mask),
    ),
  ),
  normalize: declare(
    { doc: doc('Division by the norm', 'normalize'), as: as_ },
    overload(
      'normalize(Tensor input, float ord, int dim, *, float eps=1e-12, ScalarType? dtype=None, Tensor? mask=None) -> Tensor',
      (x, ord, dim, eps, dtype, mask) => normalize(x, ord, dim, eps, dtype, mask),
    ),
  ),
  cumsum: declare(
    { doc: doc('Running sum', 'cumsum'), as: as_ },
    overload('cumsum(Tensor input, int dim, *, ScalarType? dtype=None, Tensor? mask=None) -> Tensor', (x, dim, dtype, mask) =>
      cumulative('cumsum', x, dim, dtype, mask),
    ),
  ),
  cumprod: declare(
    { doc: doc('Running product', 'cumprod'), as: as_ },
    overload('cumprod(Tensor input, int dim, *, ScalarType? dtype=None, Tensor? mask=None) -> Tensor', (x, dim, dtype, mask) =>
      cumulative('cumprod', x, dim, dtype, mask),
    ),
  ),
  logaddexp: declare(
    { doc: doc('log(exp(a) + exp(b))', 'logaddexp'), as: as_ },
    overload(
      'logaddexp(Tensor input, Tensor other, *, ScalarType? dtype=None, Tensor? input_mask=None, Tensor? other_mask=None) -> Tensor',
      (x, other, dtype, xMask, otherMask) =>
        as(use('logaddexp', fill(x, xMask, 'least', 'logaddexp'), fill(other, otherMask, 'least', 'logaddexp')), dtype ?? x.dtype),
    ),
  ),
};

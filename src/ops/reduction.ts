/**
 * Sums, products and tests over dims: https://docs.pytorch.org/docs/stable/torch.html#reduction-ops
 *
 * Computed in opmath and rounded once. Extremes are in `extremes.ts`, norms in `norms.ts`, moments in `statistics.ts`.
 */
import { bool, type DType, getDefaultDtype, int64, uint8 } from '../dtype/dtype.ts';
import { computationDtype, scalarTypeName } from '../dtype/promotion.ts';
import type { Operator } from '../graph/operator.ts';
import type { Prim } from '../graph/prim.ts';
import { dimPrim } from '../graph/prim.ts';
import { sumToShape } from '../graph/vjp.ts';
import * as dimsOf from '../shape/dim.ts';
import { broadcastShapes } from '../shape/view.ts';
import { constantsOf, record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { viewOf } from '../tensor/view-tensor.ts';
import { declare, overload } from './declare.ts';
import { shapeList, wrapDim, wrapDims } from './dims.ts';
import { extremes } from './extremes.ts';
import { norms } from './norms.ts';
import { use } from './use.ts';

export interface ReductionConstants {
  readonly axes: readonly number[];
  readonly keepdim: boolean;
  /** The operand is rounded to this first. */
  readonly from: DType;
  readonly compute: DType;
  readonly result: DType;
}

export interface ReductionSpec {
  readonly body: (x: Prim, axes: readonly number[], keepdim: boolean, c: ReductionConstants) => Prim;
  /** Gradient in opmath: `g` and `y` have their reduced dims kept. */
  readonly gradient?: (g: Prim, x: Prim, y: Prim, axes: readonly number[]) => Prim;
}

/** `p` with the dims `axes` of `like` put back as 1. */
export const keepDims = (p: Prim, like: Prim, axes: readonly number[]): Prim =>
  p.reshape(like.shape.map((d, i) => (axes.includes(i) ? 1 : d)));

/** The number of elements that are reduced to one. */
export const countOf = (x: Prim, axes: readonly number[]): dimsOf.Dim => axes.reduce<dimsOf.Dim>((n, a) => dimsOf.mul(n, x.shape[a]), 1);

export type ReductionCall = (x: Tensor, axes: readonly number[], keepdim: boolean, dtype: DType, result?: DType, compute?: DType) => Tensor;

/** A reduction over dims: the operand is read as `dtype`, computed in its opmath (or `compute`), and rounded once to `result`. */
export function reduction(name: string, spec: ReductionSpec): ReductionCall {
  const read = (x: Prim, c: ReductionConstants): Prim => x.cast(c.from).cast(c.compute);
  const operator: Operator<ReductionConstants> = {
    name,
    body: ([x], { constants: c }) => [spec.body(read(x, c), c.axes, c.keepdim, c).cast(c.result)],
    gradient:
      spec.gradient &&
      (([g], [x], [y], { constants: c }) => {
        if (g === null) return [null];
        const keep = (p: Prim): Prim =>
          keepDims(p.cast(p.dtype.is_complex || !c.compute.is_complex ? c.compute : c.compute.real), x, c.axes);
        return [spec.gradient!(keep(g), read(x, c), keep(y), c.axes).expand(x.shape).cast(x.dtype)];
      }),
  };
  return (x, axes, keepdim, dtype, result = dtype, compute = computationDtype(dtype)) => {
    const key = `${name}:${axes}:${keepdim}:${dtype.name}:${compute.name}:${result.name}`;
    return record(operator as never, [x], {
      constants: constantsOf(key, (): ReductionConstants => ({ axes, keepdim, from: dtype, compute, result })),
    })[0];
  };
}

const isNan = (x: Prim): Prim => x.ne(x);

// As bool, a sum is `any` and a product `all`.
const sumCall = reduction('sum', { body: (x, axes, keepdim) => x.reduce(x.dtype === bool ? 'any' : 'sum', axes, keepdim) });
const prodCall = reduction('prod', { body: (x, axes, keepdim) => x.reduce(x.dtype === bool ? 'all' : 'prod', axes, keepdim) });
const nansumCall = reduction('nansum', { body: (x, axes, keepdim) => isNan(x).where(0, x).sum(axes, keepdim) });
const meanCall = reduction('mean', {
  body: (x, axes, keepdim) => x.sum(axes, keepdim).div(dimPrim(countOf(x, axes), x.dtype)),
});
const nanmeanCall = reduction('nanmean', {
  body: (x, axes, keepdim) => isNan(x).where(0, x).sum(axes, keepdim).div(isNan(x).not().cast(x.dtype).sum(axes, keepdim)),
});
const anyCall = reduction('any', { body: (x, axes, keepdim) => x.ne(0).reduce('any', axes, keepdim) });
const allCall = reduction('all', { body: (x, axes, keepdim) => x.ne(0).reduce('all', axes, keepdim) });
const countCall = reduction('count_nonzero', { body: (x, axes, keepdim) => x.ne(0).cast(int64).sum(axes, keepdim) });
// Infinite maxima are not subtracted: inf - inf is NaN.
const logsumexpCall = reduction('logsumexp', {
  body: (x, axes, keepdim) => {
    const empty = axes.some((a) => x.shape[a] === 0);
    if (empty) return x.exp().sum(axes, keepdim).log();
    const most = x.real.amax(axes, true);
    const shift = most.scalar('abs').eq(Infinity).where(0, most).cast(x.dtype);
    const sum = x.sub(shift).exp().sum(axes, true).log().add(shift);
    return keepdim ? sum : sum.reshape(x.shape.filter((_, i) => !axes.includes(i)));
  },
  gradient: (g, x, y) => g.mul(x.sub(y).exp().conj()),
});

const isIntegral = (d: DType): boolean => d.kind === 'int' || d.kind === 'bool';
/** Sums and products of integers and bools are int64. */
export const sumDtype = (x: Tensor, dtype: DType | null): DType => dtype ?? (isIntegral(x.dtype) ? int64 : x.dtype);
const floatDtype = (x: Tensor): DType => (isIntegral(x.dtype) ? getDefaultDtype() : x.dtype);

function meanOf(x: Tensor, dims: readonly number[] | null, keepdim: boolean, dtype: DType | null): Tensor {
  const type = dtype ?? x.dtype;
  if (isIntegral(type))
    throw new Error(
      `mean(): could not infer output dtype. ${dtype === null ? 'Input' : 'Optional'} dtype must be either a floating point or complex dtype. Got: ${scalarTypeName(type)}`,
    );
  return meanCall(x, wrapDims(dims, x.ndim), keepdim, type);
}

function nansumOf(x: Tensor, dims: readonly number[] | null, keepdim: boolean, dtype: DType | null): Tensor {
  const axes = wrapDims(dims, x.ndim);
  if (x.dtype.is_complex) throw new Error('nansum on CPU does not support complex inputs');
  if (isIntegral(x.dtype)) return sumCall(x, axes, keepdim, sumDtype(x, dtype));
  if (x.view_.numel === 0 && dtype !== null && isIntegral(dtype)) return sumCall(x, axes, keepdim, dtype);
  if (dtype !== null && !dtype.is_floating_point) throw new Error(`"nansum_cpu" not implemented for '${scalarTypeName(dtype)}'`);
  return nansumCall(x, axes, keepdim, dtype ?? x.dtype);
}

function nanmeanOf(x: Tensor, dims: readonly number[] | null, keepdim: boolean, dtype: DType | null): Tensor {
  if (isIntegral(x.dtype))
    throw new Error(`nanmean(): expected input to have floating point or complex dtype but got ${scalarTypeName(x.dtype)}`);
  const axes = wrapDims(dims, x.ndim);
  if (x.dtype.is_complex) throw new Error('nansum on CPU does not support complex inputs');
  return nanmeanCall(x, axes, keepdim, dtype ?? x.dtype);
}

/** any and all of uint8 are uint8 (0 or 1); of everything else bool. */
const truthOf = (call: ReductionCall, x: Tensor, dims: readonly number[] | null, keepdim: boolean): Tensor =>
  call(x, wrapDims(dims, x.ndim), keepdim, x.dtype, x.dtype === uint8 ? uint8 : bool);
/** Of these two, an empty list of dims reduces nothing. */
const truthOverList = (call: ReductionCall, x: Tensor, dims: readonly number[] | null, keepdim: boolean): Tensor =>
  dims !== null && dims.length === 0 ? call(x, [], keepdim, x.dtype, x.dtype === uint8 ? uint8 : bool) : truthOf(call, x, dims, keepdim);

const sumToSizeOperator: Operator<{ dtype: DType }> = {
  name: 'sum_to_size',
  body: ([x], { dims, constants: { dtype } }) => [sumToShape(x.cast(computationDtype(dtype)), dims).cast(dtype)],
};

function sumToSize(x: Tensor, size: readonly number[]): Tensor {
  const shape = x.view_.shape;
  const common = broadcastShapes(size, shape);
  if (common === null || common.join() !== shape.join())
    throw new Error(`size {${shapeList(size)}} is not expandable to size {${shapeList(shape)}}.`);
  if (size.join() === shape.join()) return viewOf(x, x.view_.shape, x.view_.strides);
  const dtype = sumDtype(x, null);
  return record(sumToSizeOperator as never, [x], {
    constants: constantsOf(`sum_to_size:${dtype.name}`, () => ({ dtype })),
    dims: [...size],
  })[0];
}

function traceOf(x: Tensor): Tensor {
  if (x.ndim !== 2) throw new Error(`trace: expected a matrix, but got tensor with dim ${x.ndim}`);
  return use('sum', use('diagonal', x));
}

export const reductions = {
  sum: declare(
    { doc: 'Sum over dims (all by default). https://docs.pytorch.org/docs/stable/generated/torch.sum.html' },
    overload(
      'sum.dim_IntList(Tensor self, int[1]? dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor',
      (x, dim, keepdim, dtype) => sumCall(x, wrapDims(dim, x.ndim), keepdim, sumDtype(x, dtype)),
    ),
    overload('sum(Tensor self, *, ScalarType? dtype=None) -> Tensor', (x, dtype) =>
      sumCall(x, wrapDims(null, x.ndim), false, sumDtype(x, dtype)),
    ),
  ),
  nansum: declare(
    { doc: 'Sum over dims, NaN counting as 0. https://docs.pytorch.org/docs/stable/generated/torch.nansum.html' },
    overload('nansum(Tensor self, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor', (x, dim, keepdim, dtype) =>
      nansumOf(x, dim, keepdim, dtype),
    ),
  ),
  mean: declare(
    { doc: 'Mean over dims (all by default). https://docs.pytorch.org/docs/stable/generated/torch.mean.html' },
    overload('mean.dim(Tensor self, int[1]? dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor', (x, dim, keepdim, dtype) =>
      meanOf(x, dim, keepdim, dtype),
    ),
    overload('mean(Tensor self, *, ScalarType? dtype=None) -> Tensor', (x, dtype) => meanOf(x, null, false, dtype)),
  ),
  nanmean: declare(
    { doc: 'Mean of the elements that are not NaN. https://docs.pytorch.org/docs/stable/generated/torch.nanmean.html' },
    overload('nanmean(Tensor self, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor', (x, dim, keepdim, dtype) =>
      nanmeanOf(x, dim, keepdim, dtype),
    ),
  ),
  prod: declare(
    { doc: 'Product over a dim or all. https://docs.pytorch.org/docs/stable/generated/torch.prod.html' },
    overload('prod.dim_int(Tensor self, int dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor', (x, dim, keepdim, dtype) =>
      prodCall(x, wrapDims([dim], x.ndim), keepdim, sumDtype(x, dtype)),
    ),
    overload('prod(Tensor self, *, ScalarType? dtype=None) -> Tensor', (x, dtype) =>
      prodCall(x, wrapDims(null, x.ndim), false, sumDtype(x, dtype)),
    ),
  ),
  any: declare(
    { doc: 'Whether any element is true. https://docs.pytorch.org/docs/stable/generated/torch.any.html' },
    overload('any.dim(Tensor self, int dim, bool keepdim=False) -> Tensor', (x, dim, keepdim) =>
      truthOf(anyCall, x, [wrapDim(dim, x.ndim)], keepdim),
    ),
    overload('any.dims(Tensor self, int[]? dim=None, bool keepdim=False) -> Tensor', (x, dim, keepdim) =>
      truthOverList(anyCall, x, dim, keepdim),
    ),
  ),
  all: declare(
    { doc: 'Whether all elements are true. https://docs.pytorch.org/docs/stable/generated/torch.all.html' },
    overload('all.dim(Tensor self, int dim, bool keepdim=False) -> Tensor', (x, dim, keepdim) =>
      truthOf(allCall, x, [wrapDim(dim, x.ndim)], keepdim),
    ),
    overload('all.dims(Tensor self, int[]? dim=None, bool keepdim=False) -> Tensor', (x, dim, keepdim) =>
      truthOverList(allCall, x, dim, keepdim),
    ),
  ),
  count_nonzero: declare(
    { doc: 'How many elements are not zero. https://docs.pytorch.org/docs/stable/generated/torch.count_nonzero.html' },
    overload('count_nonzero.dim_IntList(Tensor self, int[] dim) -> Tensor', (x, dim) =>
      countCall(x, wrapDims(dim, x.ndim), false, x.dtype, int64),
    ),
    overload('count_nonzero(Tensor self, int? dim=None) -> Tensor', (x, dim) =>
      countCall(x, wrapDims(dim === null ? null : [dim], x.ndim), false, x.dtype, int64),
    ),
  ),
  logsumexp: declare(
    { doc: 'log of the sum of exponentials over dims. https://docs.pytorch.org/docs/stable/generated/torch.logsumexp.html' },
    overload('logsumexp(Tensor self, int[1] dim, bool keepdim=False) -> Tensor', (x, dim, keepdim) =>
      logsumexpCall(x, wrapDims(dim, x.ndim), keepdim, floatDtype(x)),
    ),
  ),
  sum_to_size: declare(
    {
      doc: 'Sums over the dims in which `size` has 1, or none. https://docs.pytorch.org/docs/stable/generated/torch.Tensor.sum_to_size.html',
      as: 'method',
    },
    overload('sum_to_size(Tensor self, SymInt[] size) -> Tensor', (x, size) => sumToSize(x, size)),
  ),
  trace: declare(
    { doc: 'Sum of the diagonal of a matrix. https://docs.pytorch.org/docs/stable/generated/torch.trace.html' },
    overload('trace(Tensor self) -> Tensor', (x) => traceOf(x)),
  ),
  ...extremes,
  ...norms,
};

/** Reductions: https://docs.pytorch.org/docs/stable/torch.html#reduction-ops */
import { bool, type DType, int64 } from '../dtype/dtype.ts';
import { computationDtype } from '../dtype/promotion.ts';
import type { Operator } from '../graph/operator.ts';
import type { Prim } from '../graph/prim.ts';
import { dimPrim } from '../graph/prim.ts';
import * as dimsOf from '../shape/dim.ts';
import { constantsOf, record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { declare, overload } from './declare.ts';
import { wrapDim, wrapDims } from './dims.ts';

interface ReductionConstants {
  readonly axes: readonly number[];
  readonly keepdim: boolean;
  readonly compute: DType;
  readonly result: DType;
}

/** A reduction over dims: computed in opmath, rounded once. */
export function reduction(name: string, body: (x: Prim, axes: readonly number[], keepdim: boolean) => Prim) {
  const operator: Operator<ReductionConstants> = {
    name,
    body: ([x], { constants: c }) => [body(x.cast(c.compute), c.axes, c.keepdim).cast(c.result)],
  };
  return (x: Tensor, axes: readonly number[], keepdim: boolean, dtype: DType, result: DType = dtype): Tensor => {
    const compute = computationDtype(dtype);
    const key = `${name}:${axes}:${keepdim}:${compute.name}:${result.name}`;
    return record(operator as never, [x], {
      constants: constantsOf(key, (): ReductionConstants => ({ axes, keepdim, compute, result })),
    })[0];
  };
}

const sumCall = reduction('sum', (x, axes, keepdim) => x.sum(axes, keepdim));
const meanCall = reduction('mean', (x, axes, keepdim) => {
  const count = axes.reduce<dimsOf.Dim>((n, a) => dimsOf.mul(n, x.shape[a]), 1);
  return x.sum(axes, keepdim).div(dimPrim(count, x.dtype));
});
const amaxCall = reduction('amax', (x, axes, keepdim) => x.amax(axes, keepdim));
const aminCall = reduction('amin', (x, axes, keepdim) => x.amin(axes, keepdim));
const argmaxCall = reduction('argmax', (x, axes, keepdim) => x.reduce('argmax', axes, keepdim));
const argminCall = reduction('argmin', (x, axes, keepdim) => x.reduce('argmin', axes, keepdim));
const anyCall = reduction('any', (x, axes, keepdim) => x.reduce('any', axes, keepdim));
const allCall = reduction('all', (x, axes, keepdim) => x.reduce('all', axes, keepdim));

/** Sums of integers and bools are int64. */
const sumDtype = (x: Tensor, dtype: DType | null): DType => dtype ?? (x.dtype.kind === 'int' || x.dtype.kind === 'bool' ? int64 : x.dtype);

function meanOf(x: Tensor, dims: readonly number[] | null, keepdim: boolean, dtype: DType | null): Tensor {
  const type = dtype ?? x.dtype;
  if (!type.is_floating_point && !type.is_complex)
    throw new Error(
      `mean(): could not infer output dtype. Input dtype must be either a floating point or complex dtype. Got: ${x.dtype.kind === 'bool' ? 'Bool' : 'Long'}`,
    );
  return meanCall(x, wrapDims(dims, x.ndim), keepdim, type);
}

function checkNonEmpty(name: string, x: Tensor, axes: readonly number[]): void {
  for (const a of axes) if (x.view_.shape[a] === 0) throw new RangeError(`${name}(): Expected reduction dim ${a} to have non-zero size.`);
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
  mean: declare(
    { doc: 'Mean over dims (all by default). https://docs.pytorch.org/docs/stable/generated/torch.mean.html' },
    overload('mean.dim(Tensor self, int[1]? dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor', (x, dim, keepdim, dtype) =>
      meanOf(x, dim, keepdim, dtype),
    ),
    overload('mean(Tensor self, *, ScalarType? dtype=None) -> Tensor', (x, dtype) => meanOf(x, null, false, dtype)),
  ),
  amax: declare(
    {
      doc: 'Largest over dims; the gradient is shared among equal elements. https://docs.pytorch.org/docs/stable/generated/torch.amax.html',
    },
    overload('amax(Tensor self, int[1] dim=[], bool keepdim=False) -> Tensor', (x, dim, keepdim) => {
      const axes = wrapDims(dim, x.ndim);
      checkNonEmpty('amax', x, axes);
      return amaxCall(x, axes, keepdim, x.dtype);
    }),
  ),
  amin: declare(
    { doc: 'Smallest over dims. https://docs.pytorch.org/docs/stable/generated/torch.amin.html' },
    overload('amin(Tensor self, int[1] dim=[], bool keepdim=False) -> Tensor', (x, dim, keepdim) => {
      const axes = wrapDims(dim, x.ndim);
      checkNonEmpty('amin', x, axes);
      return aminCall(x, axes, keepdim, x.dtype);
    }),
  ),
  argmax: declare(
    { doc: 'Index of the largest element (the first of equals). https://docs.pytorch.org/docs/stable/generated/torch.argmax.html' },
    overload('argmax(Tensor self, int? dim=None, bool keepdim=False) -> Tensor', (x, dim, keepdim) =>
      argOf('argmax', argmaxCall, x, dim, keepdim),
    ),
  ),
  argmin: declare(
    { doc: 'Index of the smallest element. https://docs.pytorch.org/docs/stable/generated/torch.argmin.html' },
    overload('argmin(Tensor self, int? dim=None, bool keepdim=False) -> Tensor', (x, dim, keepdim) =>
      argOf('argmin', argminCall, x, dim, keepdim),
    ),
  ),
  any: declare(
    { doc: 'Whether any element is true. https://docs.pytorch.org/docs/stable/generated/torch.any.html' },
    overload('any.dims(Tensor self, int[1]? dim=None, bool keepdim=False) -> Tensor', (x, dim, keepdim) =>
      anyCall(x, wrapDims(dim, x.ndim), keepdim, bool),
    ),
  ),
  all: declare(
    { doc: 'Whether all elements are true. https://docs.pytorch.org/docs/stable/generated/torch.all.html' },
    overload('all.dims(Tensor self, int[1]? dim=None, bool keepdim=False) -> Tensor', (x, dim, keepdim) =>
      allCall(x, wrapDims(dim, x.ndim), keepdim, bool),
    ),
  ),
};

function argOf(name: string, call: ReturnType<typeof reduction>, x: Tensor, dim: number | null, keepdim: boolean): Tensor {
  if (x.view_.numel === 0 && dim === null)
    throw new RangeError(
      `${name}(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim with the 'dim' argument.`,
    );
  const axes = dim === null ? wrapDims(null, x.ndim) : [wrapDim(dim, x.ndim)].filter((d) => d < x.ndim);
  checkNonEmpty(name, x, axes);
  return call(x, axes, keepdim, x.dtype, int64);
}

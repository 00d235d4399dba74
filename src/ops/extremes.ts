/**
 * Largest and smallest elements. A NaN is larger than everything and smaller than everything, and the first one is what positions name.
 *
 * Gradients are PyTorch's: amax, amin and aminmax share them among equal elements; so do max() and min() without a dim; with a dim
 * the element that was named gets all.
 */
import { bool, type DType, int64 } from '../dtype/dtype.ts';
import { computationDtype, scalarTypeName } from '../dtype/promotion.ts';
import type { Operator } from '../graph/operator.ts';
import { iota, type Prim } from '../graph/prim.ts';
import { constantsOf, record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { comparableDtype } from './along.ts';
import { declare, overload } from './declare.ts';
import { wrapDim, wrapDims } from './dims.ts';
import { use } from './use.ts';

type Which = 'max' | 'min';

interface ExtremeConstants {
  readonly axes: readonly number[];
  readonly keepdim: boolean;
}

const keep = (p: Prim, like: Prim, axes: readonly number[]): Prim => p.reshape(like.shape.map((d, i) => (axes.includes(i) ? 1 : d)));
/** Floats that are rounded are compared as they are stored: the casts are exact. */
const ordered = (x: Prim): Prim => x.cast(comparableDtype(computationDtype(x.dtype)));

/** g shared evenly among the elements equal to the result; among the NaNs where that is NaN and `nans`. */
export function shareAmongEqual(g: Prim, x: Prim, y: Prim, axes: readonly number[], nans: boolean): Prim {
  const compute = computationDtype(x.dtype);
  const [xc, yc, gc] = [x.cast(compute), keep(y, x, axes).cast(compute), keep(g, x, axes).cast(compute)];
  const equal = nans ? xc.eq(yc).or(yc.ne(yc).and(xc.ne(xc))) : xc.eq(yc);
  const hit = equal.cast(compute);
  return hit.mul(gc.div(hit.sum(axes, true))).cast(x.dtype);
}

function extremeOperator(name: string, which: Which, nans: boolean): Operator<ExtremeConstants> {
  return {
    name,
    body: ([x], { constants: { axes, keepdim } }) => [ordered(x).reduce(which, axes, keepdim).cast(x.dtype)],
    gradient: ([g], [x], [y], { constants: { axes } }) => [g === null ? null : shareAmongEqual(g, x, y, axes, nans)],
  };
}
const operators = {
  amax: extremeOperator('amax', 'max', false),
  amin: extremeOperator('amin', 'min', false),
  max: extremeOperator('max', 'max', true),
  min: extremeOperator('min', 'min', true),
} as const;

const extremeConstants = (axes: readonly number[], keepdim: boolean) =>
  constantsOf(`extreme:${axes}:${keepdim}`, (): ExtremeConstants => ({ axes, keepdim }));

const extremeCall = (name: keyof typeof operators, x: Tensor, axes: readonly number[], keepdim: boolean): Tensor =>
  record(operators[name] as never, [x], { constants: extremeConstants(axes, keepdim) })[0];

/** max and min along one dim: values and the positions of the first of them. */
const withPositions = (which: Which): Operator<ExtremeConstants> => ({
  name: which,
  body: ([x], { constants: { axes, keepdim } }) => {
    const v = ordered(x);
    if (axes.length === 0) return [x, iota([1], 0).reshape([])];
    return [v.reduce(which, axes, keepdim).cast(x.dtype), v.reduce(which === 'max' ? 'argmax' : 'argmin', axes, keepdim)];
  },
  gradient: ([g], [x], [, index], { constants: { axes } }) => {
    if (g === null) return [null];
    if (axes.length === 0) return [g];
    const here = iota(x.shape, axes[0]).eq(keep(index, x, axes));
    return [here.where(keep(g, x, axes), 0)];
  },
});
const maxOverDim = withPositions('max');
const minOverDim = withPositions('min');

const argOperators = {
  argmax: argOperator('argmax'),
  argmin: argOperator('argmin'),
} as const;
function argOperator(name: 'argmax' | 'argmin'): Operator<ExtremeConstants> {
  return {
    name,
    body: ([x], { constants: { axes, keepdim } }) => [
      axes.length === 0 ? iota([1], 0).reshape([]) : ordered(x).reduce(name, axes, keepdim).cast(int64),
    ],
  };
}

function checkNonEmpty(name: string, x: Tensor, axes: readonly number[]): void {
  for (const a of axes) if (x.view_.shape[a] === 0) throw new RangeError(`${name}(): Expected reduction dim ${a} to have non-zero size.`);
}
const needsDim = (name: string, x: Tensor): void => {
  if (x.view_.numel === 0)
    throw new Error(
      `${name}(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim with the 'dim' argument.`,
    );
};
function refuseComplex(kernel: string, dtype: DType): void {
  if (dtype.is_complex) throw new Error(`"${kernel}" not implemented for '${scalarTypeName(dtype)}'`);
}

function overDims(name: 'amax' | 'amin', x: Tensor, dim: readonly number[], keepdim: boolean): Tensor {
  if (dim.length === 0) needsDim(name, x);
  if (x.view_.numel === 0)
    for (const d of dim)
      if (x.view_.shape[wrapDim(d, x.ndim)] === 0) throw new RangeError(`${name}(): Expected reduction dim ${d} to have non-zero size.`);
  const axes = wrapDims(dim, x.ndim);
  refuseComplex(name === 'amax' ? 'max_values_cpu' : 'min_values_cpu', x.dtype);
  return extremeCall(name, x, axes, keepdim);
}

function overAll(which: Which, x: Tensor): Tensor {
  needsDim(which, x);
  refuseComplex(`${which}_all`, x.dtype);
  return extremeCall(which, x, wrapDims(null, x.ndim), false);
}

function overDim(which: Which, x: Tensor, dim: number, keepdim: boolean): [Tensor, Tensor] {
  const axes = wrapDims([dim], x.ndim);
  if (x.dtype.is_complex) throw new Error(`${which}(): does not support complex input`);
  checkNonEmpty(which, x, axes);
  return record((which === 'max' ? maxOverDim : minOverDim) as never, [x], { constants: extremeConstants(axes, keepdim) }) as [
    Tensor,
    Tensor,
  ];
}

function argOf(name: 'argmax' | 'argmin', x: Tensor, dim: number | null, keepdim: boolean): Tensor {
  if (x.dtype.is_complex) throw new Error(`${name}(): does not support complex input`);
  if (x.dtype === bool) throw new Error(`${name}(): does not support bool input`);
  if (dim === null && x.view_.numel === 0)
    throw new RangeError(`${name}(): Expected reduction dim to be specified for input.numel() == 0.`);
  const axes = wrapDims(dim === null ? null : [dim], x.ndim);
  checkNonEmpty(name, x, axes);
  return record(argOperators[name] as never, [x], { constants: extremeConstants(axes, keepdim) })[0];
}

function bothOf(x: Tensor, dim: number | null, keepdim: boolean): [Tensor, Tensor] {
  if (dim === null && x.view_.numel === 0)
    throw new Error('aminmax(): cannot compute aminmax over an empty dimension as the operation has no identity.');
  refuseComplex('aminmax_cpu', x.dtype);
  const axes = wrapDims(dim === null ? null : [wrapDim(dim, x.ndim)], x.ndim);
  for (const a of axes) if (x.view_.shape[a] === 0) throw new RangeError(`aminmax: Expected reduction dim ${a} to have non-zero size.`);
  return [extremeCall('amin', x, axes, keepdim), extremeCall('amax', x, axes, keepdim)];
}

export const extremes = {
  amax: declare(
    {
      doc: 'Largest over dims; the gradient is shared among equal elements. https://docs.pytorch.org/docs/stable/generated/torch.amax.html',
    },
    overload('amax(Tensor self, int[1] dim=[], bool keepdim=False) -> Tensor', (x, dim, keepdim) => overDims('amax', x, dim, keepdim)),
  ),
  amin: declare(
    { doc: 'Smallest over dims. https://docs.pytorch.org/docs/stable/generated/torch.amin.html' },
    overload('amin(Tensor self, int[1] dim=[], bool keepdim=False) -> Tensor', (x, dim, keepdim) => overDims('amin', x, dim, keepdim)),
  ),
  aminmax: declare(
    { doc: 'Smallest and largest at once. https://docs.pytorch.org/docs/stable/generated/torch.aminmax.html' },
    overload('aminmax(Tensor self, *, int? dim=None, bool keepdim=False) -> (Tensor min, Tensor max)', (x, dim, keepdim) =>
      bothOf(x, dim, keepdim),
    ),
  ),
  max: declare(
    {
      doc: 'Largest of all; values and indices along a dim; or the larger of two tensors. https://docs.pytorch.org/docs/stable/generated/torch.max.html',
    },
    overload('max.dim(Tensor self, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)', (x, dim, keepdim) =>
      overDim('max', x, dim, keepdim),
    ),
    overload('max.other(Tensor self, Tensor other) -> Tensor', (x, other) => use('maximum', x, other)),
    overload('max(Tensor self) -> Tensor', (x) => overAll('max', x)),
  ),
  min: declare(
    {
      doc: 'Smallest of all; values and indices along a dim; or the smaller of two tensors. https://docs.pytorch.org/docs/stable/generated/torch.min.html',
    },
    overload('min.dim(Tensor self, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)', (x, dim, keepdim) =>
      overDim('min', x, dim, keepdim),
    ),
    overload('min.other(Tensor self, Tensor other) -> Tensor', (x, other) => use('minimum', x, other)),
    overload('min(Tensor self) -> Tensor', (x) => overAll('min', x)),
  ),
  argmax: declare(
    { doc: 'Index of the largest element (the first of equals). https://docs.pytorch.org/docs/stable/generated/torch.argmax.html' },
    overload('argmax(Tensor self, int? dim=None, bool keepdim=False) -> Tensor', (x, dim, keepdim) => argOf('argmax', x, dim, keepdim)),
  ),
  argmin: declare(
    { doc: 'Index of the smallest element. https://docs.pytorch.org/docs/stable/generated/torch.argmin.html' },
    overload('argmin(Tensor self, int? dim=None, bool keepdim=False) -> Tensor', (x, dim, keepdim) => argOf('argmin', x, dim, keepdim)),
  ),
};

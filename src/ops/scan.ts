/**
 * Running sums, products and extremes: https://docs.pytorch.org/docs/stable/torch.html#other-operations
 *
 * Library functions of the host (`host/scan.ts`); their gradients are scans in the other direction.
 */
import { type DType, float32, int64 } from '../dtype/dtype.ts';
import { computationDtype, scalarTypeName } from '../dtype/promotion.ts';
import type { LibraryFunction } from '../graph/library.ts';
import type { Operator } from '../graph/operator.ts';
import { callLibrary, iota } from '../graph/prim.ts';
import { constantsOf, record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { writeInto } from '../tensor/write.ts';
import { atLeastRow, orderable, takeAlong } from './along.ts';
import { castTo } from './conversion.ts';
import { declare, overload } from './declare.ts';
import { wrapDim } from './dims.ts';
import { cummaxFunction, cumminFunction, cumprodFunction, cumsumFunction, logcumsumexpFunction, type ScanConstants } from './host/scan.ts';
import { use } from './use.ts';

interface Constants extends ScanConstants {
  readonly from: DType;
  readonly compute: DType;
}

const accumulating = (fn: LibraryFunction<ScanConstants>): Operator<Constants> => ({
  name: fn.name,
  body: ([x], { constants: c }) => {
    const v = atLeastRow(x.cast(c.from).cast(c.compute));
    return [callLibrary(fn, [v], [v], { axis: c.axis, reverse: c.reverse })[0].reshape(x.shape).cast(c.from)];
  },
});
const cumsumOperator = accumulating(cumsumFunction);
const cumprodOperator = accumulating(cumprodFunction);
const logcumsumexpOperator = accumulating(logcumsumexpFunction);

/** Values and positions: the values are looked up, so their gradients add up at the positions. */
const extreme = (fn: LibraryFunction<ScanConstants>): Operator<Constants> => ({
  name: fn.name,
  body: ([x], { constants: c }) => {
    if (x.ndim === 0) return [x, iota([1], 0).reshape([])];
    const positions = callLibrary(fn, [orderable(x)], [{ shape: x.shape, dtype: int64 }], { axis: c.axis, reverse: c.reverse })[0];
    return [takeAlong(x, positions, c.axis), positions];
  },
});
const cummaxOperator = extreme(cummaxFunction);
const cumminOperator = extreme(cumminFunction);

function scan(operator: Operator<Constants>, x: Tensor, dim: number, from: DType): Tensor[] {
  const axis = wrapDim(dim, x.ndim);
  // Small integers never reach a scan of their own width: callers widen them, and int32 wraps where it is written.
  const compute = from.is_floating_point && from.itemsize < 4 ? float32 : computationDtype(from);
  return record(operator as never, [x], {
    constants: constantsOf(
      `${operator.name}:${axis}:${from.name}:${compute.name}`,
      (): Constants => ({ axis, reverse: false, from, compute }),
    ),
  });
}

/** Integers and bools accumulate in int64. */
const accumulatorDtype = (x: Tensor, dtype: DType | null): DType =>
  dtype ?? (x.dtype.kind === 'int' || x.dtype.kind === 'bool' ? int64 : x.dtype);

function accumulated(name: 'cumsum' | 'cumprod', x: Tensor, dim: number, dtype: DType): Tensor {
  if (dtype.kind === 'bool') {
    if (x.ndim === 0 || x.view_.numel === 0) return use('clone', castTo(x, dtype));
    throw new Error(`"${name}_out_cpu" not implemented for 'Bool'`);
  }
  const operator = name === 'cumsum' ? cumsumOperator : cumprodOperator;
  if (dtype.kind === 'int' && dtype !== int64) {
    // Modulo the width, sums in int64 are the sums in the narrow type.
    return castTo(scan(operator, castTo(x, dtype), dim, int64)[0], dtype);
  }
  return scan(operator, x, dim, dtype)[0];
}

function logcumsumexp(x: Tensor, dim: number): Tensor {
  wrapDim(dim, x.ndim);
  if (x.dtype.kind === 'int' || x.dtype.kind === 'bool')
    throw new Error(`"logcumsumexp_out_cpu" not implemented for '${scalarTypeName(x.dtype)}'`);
  return scan(logcumsumexpOperator, x, dim, x.dtype)[0];
}

function runningExtreme(name: 'cummax' | 'cummin', x: Tensor, dim: number): [Tensor, Tensor] {
  wrapDim(dim, x.ndim);
  if (x.dtype.is_complex) throw new Error(`"${name}_cpu" not implemented for '${scalarTypeName(x.dtype)}'`);
  return scan(name === 'cummax' ? cummaxOperator : cumminOperator, x, dim, x.dtype) as [Tensor, Tensor];
}

export const scans = {
  cumsum: declare(
    { doc: 'Running sum along a dim. https://docs.pytorch.org/docs/stable/generated/torch.cumsum.html' },
    overload('cumsum(Tensor self, int dim, *, ScalarType? dtype=None) -> Tensor', (x, dim, dtype) =>
      accumulated('cumsum', x, dim, accumulatorDtype(x, dtype)),
    ),
  ),
  cumsum_: declare(
    { doc: 'In place. https://docs.pytorch.org/docs/stable/generated/torch.Tensor.cumsum_.html', as: 'method' },
    overload('cumsum_(Tensor self, int dim, *, ScalarType? dtype=None) -> Tensor', (x, dim, dtype) =>
      writeInto(x, () => accumulated('cumsum', x, dim, dtype ?? x.dtype)),
    ),
  ),
  cumprod: declare(
    { doc: 'Running product along a dim. https://docs.pytorch.org/docs/stable/generated/torch.cumprod.html' },
    overload('cumprod(Tensor self, int dim, *, ScalarType? dtype=None) -> Tensor', (x, dim, dtype) =>
      accumulated('cumprod', x, dim, accumulatorDtype(x, dtype)),
    ),
  ),
  cumprod_: declare(
    { doc: 'In place. https://docs.pytorch.org/docs/stable/generated/torch.Tensor.cumprod_.html', as: 'method' },
    overload('cumprod_(Tensor self, int dim, *, ScalarType? dtype=None) -> Tensor', (x, dim, dtype) =>
      writeInto(x, () => accumulated('cumprod', x, dim, dtype ?? x.dtype)),
    ),
  ),
  cummax: declare(
    { doc: 'Running largest element and where it is. https://docs.pytorch.org/docs/stable/generated/torch.cummax.html' },
    overload('cummax(Tensor self, int dim) -> (Tensor values, Tensor indices)', (x, dim) => runningExtreme('cummax', x, dim)),
  ),
  cummin: declare(
    { doc: 'Running smallest element and where it is. https://docs.pytorch.org/docs/stable/generated/torch.cummin.html' },
    overload('cummin(Tensor self, int dim) -> (Tensor values, Tensor indices)', (x, dim) => runningExtreme('cummin', x, dim)),
  ),
  logcumsumexp: declare(
    { doc: 'Running log-sum-exp along a dim. https://docs.pytorch.org/docs/stable/generated/torch.logcumsumexp.html' },
    overload('logcumsumexp(Tensor self, int dim) -> Tensor', (x, dim) => logcumsumexp(x, dim)),
  ),
};

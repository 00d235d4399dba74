/**
 * Medians, modes and quantiles: https://docs.pytorch.org/docs/stable/torch.html#reduction-ops
 *
 * A library function names the positions, values are looked up. Where elements are equal the position is the one that PyTorch's CPU kernels
 * name. Gradients go to the position; median() without a dim shares them among equal elements.
 */
import { bool, type DType, float32, float64, int64 } from '../dtype/dtype.ts';
import { scalarTypeName } from '../dtype/promotion.ts';
import type { LibraryFunction } from '../graph/library.ts';
import type { Operator } from '../graph/operator.ts';
import { callLibrary, constant, dimPrim, iota, type Prim, param } from '../graph/prim.ts';
import * as dimsOf from '../shape/dim.ts';
import { readWindow } from '../tensor/read.ts';
import { constantsOf, record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { spoilLesson } from '../util/lesson.ts';
import { orderable, takeAlong, withDim } from './along.ts';
import { fullOf } from './creation.ts';
import { declare, overload } from './declare.ts';
import { wrapDim } from './dims.ts';
import { shareAmongEqual } from './extremes.ts';
import { positionsOf, type RowConstants, rowFunction } from './host/rows.ts';
import { nthElement, sort } from './host/selection.ts';
import { sortFunction } from './sort.ts';

interface Along extends RowConstants {
  readonly keepdim: boolean;
}

const medianFunction = (name: 'median' | 'nanmedian'): LibraryFunction<RowConstants> =>
  rowFunction(name, (row, chosen) => {
    const n = row.length;
    let nans = 0;
    let firstNan = -1;
    for (let i = 0; i < n; i++)
      if (row[i] !== row[i]) {
        if (nans++ === 0) firstNan = i;
      }
    if (name === 'median' && nans > 0) {
      chosen[0] = firstNan;
      return;
    }
    const items = positionsOf(n);
    const middle = Math.max(0, (n - nans - 1) >> 1);
    // Of equal elements the one that a stable sort would put in the middle.
    nthElement(items, 0, middle, n, (i, j) =>
      row[i] < row[j] ? true : row[i] > row[j] ? false : row[i] === row[j] ? i < j : row[i] === row[i] || (row[j] !== row[j] && i < j),
    );
    chosen[0] = items[middle];
  });

/** The most frequent element, the smallest of equally frequent ones. */
const modeFunction = rowFunction('mode', (row, chosen) => {
  const items = positionsOf(row.length);
  sort(items, 0, items.length, (i, j) => row[i] < row[j]);
  let most = 0;
  let run = 0;
  for (let i = 0; i < items.length; i++) {
    run++;
    if (i < items.length - 1 && row[items[i]] === row[items[i + 1]]) continue;
    if (run > most) {
      most = run;
      chosen[0] = items[i];
    }
    run = 0;
  }
});

function chooseOne(fn: LibraryFunction<RowConstants>): Operator<Along> {
  return {
    name: fn.name,
    body: ([x], { constants: { axis, keepdim } }) => {
      if (x.ndim === 0) return [x, iota([1], 0).reshape([])];
      const positions = callLibrary(fn, [orderable(x)], [{ shape: withDim(x.shape, axis, 1), dtype: int64 }], { axis })[0];
      const values = takeAlong(x, positions, axis);
      return keepdim ? [values, positions] : [values.squeeze(axis), positions.squeeze(axis)];
    },
  };
}
/** Over all elements. */
function chooseOfAll(fn: LibraryFunction<RowConstants>): Operator<null> {
  return {
    name: fn.name,
    body: ([x]) => {
      const row = x.reshape([dimsOf.productOf(x.shape)]);
      const position = callLibrary(fn, [orderable(row)], [{ shape: [1], dtype: int64 }], { axis: 0 })[0];
      return [takeAlong(row, position, 0).reshape([])];
    },
    gradient: ([g], [x], [y]) => [g === null ? null : shareAmongEqual(g, x, y, [...x.shape.keys()], true)],
  };
}

const functions = { median: medianFunction('median'), nanmedian: medianFunction('nanmedian'), mode: modeFunction } as const;
const alongDim = {
  median: chooseOne(functions.median),
  nanmedian: chooseOne(functions.nanmedian),
  mode: chooseOne(functions.mode),
} as const;
const ofAll = { median: chooseOfAll(functions.median), nanmedian: chooseOfAll(functions.nanmedian) } as const;

function choose(name: keyof typeof alongDim, x: Tensor, dim: number, keepdim: boolean): [Tensor, Tensor] {
  const axis = wrapDim(dim, x.ndim);
  if (x.ndim > 0 && x.view_.shape[axis] === 0)
    throw new RangeError(`${name === 'mode' ? 'mode' : 'median'}(): Expected reduction dim ${axis} to have non-zero size.`);
  refuse(name === 'mode' ? 'mode_cpu' : 'median_out', x.dtype);
  return record(alongDim[name] as never, [x], {
    constants: constantsOf(`along:${axis}:${keepdim}`, (): Along => ({ axis, keepdim })),
  }) as [Tensor, Tensor];
}
function chooseAll(name: keyof typeof ofAll, x: Tensor): Tensor {
  refuse('median_cpu', x.dtype);
  if (x.view_.numel === 0) return fullOf([], x.dtype.is_floating_point ? NaN : x.dtype === int64 ? -(2n ** 63n) : 0, x.dtype, x.device);
  return record(ofAll[name] as never, [x])[0];
}
function refuse(kernel: string, dtype: DType): void {
  if (dtype.is_complex || (dtype === bool && kernel !== 'mode_cpu'))
    throw new Error(`"${kernel}" not implemented for '${scalarTypeName(dtype)}'`);
}

// ---- quantiles

type Interpolation = 'linear' | 'lower' | 'higher' | 'midpoint' | 'nearest';
const interpolations: readonly string[] = ['linear', 'lower', 'higher', 'midpoint', 'nearest'] satisfies readonly Interpolation[];

interface QuantileConstants {
  readonly axis: number | null;
  readonly keepdim: boolean;
  readonly mode: Interpolation;
  readonly ignoreNan: boolean;
  /** q is a parameter; otherwise an input. */
  readonly number: DType | null;
}

const quantileOperator: Operator<QuantileConstants> = {
  name: 'quantile',
  paramTypes: (c) => (c.number === null ? [] : [c.number]),
  body: ([x, given], { constants: { axis, keepdim, mode, ignoreNan, number }, params }) => {
    const q = number === null ? given : (params[0] ?? param(0, number));
    // Rows in the last dim; one rank for each row and quantile.
    const order = axis === null ? [] : [...[...x.shape.keys()].filter((i) => i !== axis), axis];
    const rows = axis === null ? x.reshape([dimsOf.productOf(x.shape)]) : x.permute(order);
    const last = rows.ndim - 1;
    const positions = callLibrary(sortFunction, [rows], [{ shape: rows.shape, dtype: int64 }], { axis: last, descending: false })[0];
    const sorted = takeAlong(rows, positions, last);
    const n = rows.shape[last];
    const outer = rows.shape.slice(0, -1);
    const quantiles = q.ndim === 0 ? q.reshape([1]) : q;
    const shape = [...outer, quantiles.shape[0]];
    const nan = rows.ne(rows);
    let rank: Prim;
    if (ignoreNan) {
      const usable = nan.not().cast(x.dtype).sum([last], true).sub(1);
      const raw = quantiles.mul(usable);
      rank = raw.lt(0).where(0, raw).expand(shape);
    } else {
      const end = dimPrim(dimsOf.sub(n, 1), x.dtype);
      const raw = quantiles.mul(end).expand(shape);
      rank = nan.reduce('any', [last], true).expand(shape).where(end.expand(shape), raw);
    }
    if (mode === 'lower') rank = rank.scalar('floor');
    if (mode === 'higher') rank = rank.scalar('ceil');
    if (mode === 'nearest') rank = rank.scalar('rint');
    const below = rank.cast(int64);
    let value = takeAlong(sorted, below, last);
    if (mode === 'linear' || mode === 'midpoint') {
      const weight = mode === 'midpoint' ? constant(0.5, x.dtype).expand(shape) : rank.sub(below.cast(x.dtype));
      const above = takeAlong(sorted, rank.scalar('ceil').cast(int64), last);
      // PyTorch's lerp: from the nearer end.
      const gap = above.sub(value);
      value = weight.lt(0.5).where(value.add(weight.mul(gap)), above.sub(gap.mul(constant(1, x.dtype).sub(weight))));
    }
    // [outer..., q] -> [q, outer...], with the reduced dims as 1 where they are kept.
    const front = value.permute([last, ...Array(last).keys()]);
    const reduced = keepdim ? x.shape.map((d, i) => (axis === null || i === axis ? 1 : d)) : outer;
    return [front.reshape(q.ndim === 0 ? reduced : [quantiles.shape[0], ...reduced])];
  },
};

function quantile(
  name: 'quantile' | 'nanquantile',
  x: Tensor,
  q: Tensor | number,
  dim: number | null,
  keepdim: boolean,
  interpolation: string,
): Tensor {
  const wrapped = dim === null ? null : wrapDim(dim, x.ndim);
  const axis = x.ndim === 0 ? null : wrapped;
  if (typeof q === 'number' && !(q >= 0 && q <= 1)) throw new Error(`quantile() q must be in the range [0, 1] but got ${q}`);
  if (x.view_.numel === 0) throw new Error('quantile() input tensor must be non-empty');
  if (x.dtype !== float32 && x.dtype !== float64) throw new Error('quantile() input tensor must be either float or double dtype');
  if (typeof q !== 'number') {
    if (q.ndim > 1) throw new Error('quantile() q must be a scalar or 1D tensor');
    if (q.dtype !== x.dtype) throw new Error('quantile() q tensor must be same dtype as the input tensor');
    checkRange(q);
  }
  if (!interpolations.includes(interpolation))
    throw new Error(`quantile() interpolation must be one of linear, lower, higher, midpoint or nearest, but got ${interpolation}`);
  const number = typeof q === 'number' ? x.dtype : null;
  const key = `quantile:${axis}:${keepdim}:${interpolation}:${name}:${number?.name}`;
  return record(quantileOperator as never, typeof q === 'number' ? [x] : [x, q], {
    constants: constantsOf(
      key,
      (): QuantileConstants => ({ axis, keepdim, mode: interpolation as Interpolation, ignoreNan: name === 'nanquantile', number }),
    ),
    params: typeof q === 'number' ? [q] : [],
  })[0];
}

/** Where the quantiles are in memory. */
function checkRange(q: Tensor): void {
  spoilLesson();
  if (q.storage.value.buffer === null || !q.view_.contiguous) return;
  const { array, base } = readWindow(q);
  for (let i = base; i < base + q.view_.numel; i++) {
    const v = Number(array[i]);
    if (!(v >= 0 && v <= 1)) throw new Error('quantile() q values must be in the range [0, 1]');
  }
}

export const orderStatistics = {
  median: declare(
    { doc: 'The lower median, over all or along a dim. https://docs.pytorch.org/docs/stable/generated/torch.median.html' },
    overload('median.dim(Tensor self, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)', (x, dim, keepdim) =>
      choose('median', x, dim, keepdim),
    ),
    overload('median(Tensor self) -> Tensor', (x) => chooseAll('median', x)),
  ),
  nanmedian: declare(
    { doc: 'The median of what is not NaN. https://docs.pytorch.org/docs/stable/generated/torch.nanmedian.html' },
    overload('nanmedian.dim(Tensor self, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)', (x, dim, keepdim) =>
      choose('nanmedian', x, dim, keepdim),
    ),
    overload('nanmedian(Tensor self) -> Tensor', (x) => chooseAll('nanmedian', x)),
  ),
  mode: declare(
    { doc: 'The most frequent element along a dim. https://docs.pytorch.org/docs/stable/generated/torch.mode.html' },
    overload('mode(Tensor self, int dim=-1, bool keepdim=False) -> (Tensor values, Tensor indices)', (x, dim, keepdim) =>
      choose('mode', x, dim, keepdim),
    ),
  ),
  quantile: declare(
    { doc: 'Quantiles, interpolated between elements. https://docs.pytorch.org/docs/stable/generated/torch.quantile.html' },
    overload(
      'quantile(Tensor self, Tensor q, int? dim=None, bool keepdim=False, *, str interpolation="linear") -> Tensor',
      (x, q, dim, keepdim, interpolation) => quantile('quantile', x, q, dim, keepdim, interpolation),
    ),
    overload(
      'quantile.scalar(Tensor self, float q, int? dim=None, bool keepdim=False, *, str interpolation="linear") -> Tensor',
      (x, q, dim, keepdim, interpolation) => quantile('quantile', x, q, dim, keepdim, interpolation),
    ),
  ),
  nanquantile: declare(
    { doc: 'Quantiles of what is not NaN. https://docs.pytorch.org/docs/stable/generated/torch.nanquantile.html' },
    overload(
      'nanquantile(Tensor self, Tensor q, int? dim=None, bool keepdim=False, *, str interpolation="linear") -> Tensor',
      (x, q, dim, keepdim, interpolation) => quantile('nanquantile', x, q, dim, keepdim, interpolation),
    ),
    overload(
      'nanquantile.scalar(Tensor self, float q, int? dim=None, bool keepdim=False, *, str interpolation="linear") -> Tensor',
      (x, q, dim, keepdim, interpolation) => quantile('nanquantile', x, q, dim, keepdim, interpolation),
    ),
  ),
};

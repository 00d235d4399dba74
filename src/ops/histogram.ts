/** Histograms and counts: `histc`, `histogram`, `histogramdd`, `bincount`. https://docs.pytorch.org/docs/stable/torch.html#reduction-ops */

import { viewBytes } from '../dtype/codec.ts';
import { float32, float64, int64 } from '../dtype/dtype.ts';
import { computationDtype, scalarTypeName } from '../dtype/promotion.ts';
import type { Operator } from '../graph/operator.ts';
import { callLibrary } from '../graph/prim.ts';
import { toTypedArray } from '../tensor/read.ts';
import { constantsOf, record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { detached } from '../tensor/view-tensor.ts';
import { castTo } from './conversion.ts';
import { fromBytes } from './creation.ts';
import { declare, overload } from './declare.ts';
import { shapeList } from './dims.ts';
import { type HistogramConstants, histogramFunction } from './host/histogram.ts';
import { scalarValue } from './scalar-argument.ts';
import { use } from './use.ts';

const histogramOperator: Operator<HistogramConstants> = {
  name: 'histogram',
  body: (inputs, { constants: c }) => {
    const compute = computationDtype(inputs[0].dtype);
    const edges = c.bins ?? inputs.slice(1, c.weighted ? -1 : undefined).map((e) => (e.shape[0] as number) - 1);
    const made = c.bins === null ? [] : c.bins.map((n) => ({ shape: [n + 1], dtype: compute }));
    return callLibrary(
      histogramFunction,
      inputs.map((p) => p.cast(compute)),
      [{ shape: edges, dtype: compute }, ...made],
      c,
    ).map((p) => p.cast(inputs[0].dtype));
  },
};

function checkBins(bins: readonly number[]): void {
  bins.forEach((n, d) => {
    if (n <= 0) throw new Error(`torch.histogram(): bins must be > 0, but got ${n} for dimension ${d}`);
  });
}

interface HistogramCall {
  readonly bins: readonly number[] | readonly Tensor[];
  readonly range: readonly number[] | null;
  readonly weight: Tensor | null;
  readonly density: boolean;
}

/** `points` is [..., dims]. */
function histogramOf(points: Tensor, { bins, range, weight, density }: HistogramCall): [Tensor, Tensor[]] {
  const shape = points.view_.shape;
  if (shape.length < 2) throw new Error('torch.histogramdd: input tensor should have at least 2 dimensions');
  const dims = shape[shape.length - 1];
  if (bins.length !== dims) throw new Error('histogramdd: The size of bins must be equal to the innermost dimension of the input.');
  const given = typeof bins[0] === 'number' ? null : (bins as readonly Tensor[]);
  if (given === null) checkBins(bins as readonly number[]);
  given?.forEach((b, d) => {
    if (b.ndim !== 1)
      throw new Error(
        `torch.histogramdd: bins tensor should have one dimension, but got ${b.ndim} dimensions in the bins tensor for dimension ${d}`,
      );
    if (b.dtype !== points.dtype)
      throw new Error(
        `torch.histogramdd: input tensor and bins tensors should have the same dtype, but got input with dtype ${cppName(points)} and bins for dimension ${d} with dtype ${cppName(b)}`,
      );
  });
  if (range !== null && range.length !== 2 * dims)
    throw new Error(
      `torch.histogramdd: for a ${dims}-dimensional histogram range should have ${2 * dims} elements, but got ${range.length}`,
    );
  if (weight !== null && weight.view_.shape.join() !== shape.slice(0, -1).join())
    throw new Error(
      `torch.histogramdd: if weight tensor is provided it should have the same shape as the input tensor excluding its innermost dimension, but got input with shape ${shapeList(shape)} and weight with shape ${shapeList(weight.view_.shape)}`,
    );
  const halfWithRange = points.dtype.is_floating_point && given === null && range !== null;
  if (points.dtype !== float32 && points.dtype !== float64 && !halfWithRange)
    throw new Error(`"histogramdd" not implemented for '${scalarTypeName(points.dtype)}'`);
  const count = shape.slice(0, -1).reduce((a, b) => a * b, 1);
  const flat = use('reshape', points, [count, dims]);
  const weights = weight === null ? [] : [castTo(use('reshape', weight, [count]), points.dtype)];
  const counts = given === null ? (bins as readonly number[]) : null;
  const constants: HistogramConstants = { bins: counts, range, weighted: weight !== null, density, search: true, name: 'histogramdd' };
  const [hist, ...edges] = record(histogramOperator as never, [flat, ...(given ?? []), ...weights].map(detachedFrom), {
    constants: constantsOf(`histogram:${counts}:${range}:${weight !== null}:${density}:${dims}`, () => constants),
  });
  return [hist, given === null ? edges : given.map((b) => use('clone', b))];
}
const cppName = (t: Tensor): string => scalarTypeName(t.dtype).toLowerCase();
/** A histogram has no gradient. */
const detachedFrom = (t: Tensor): Tensor => detached(t);

function histogramOne(x: Tensor, call: HistogramCall): [Tensor, Tensor] {
  const weight = call.weight === null ? null : use('reshape', call.weight, [-1]);
  const [hist, edges] = histogramOf(use('reshape', x, [x.view_.numel, 1]), { ...call, weight });
  return [hist, edges[0]];
}

function histc(x: Tensor, bins: number, low: number, high: number): Tensor {
  if (!x.dtype.is_floating_point) throw new Error(`"histogram_cpu" not implemented for '${scalarTypeName(x.dtype)}'`);
  checkBins([bins]);
  if (low > high) throw new Error('torch.histc: max must be larger than min');
  const range = low === high ? null : [low, high];
  const constants: HistogramConstants = { bins: [bins], range, weighted: false, density: false, search: false, name: 'histc' };
  return record(histogramOperator as never, [detached(use('reshape', x, [x.view_.numel, 1]))], {
    constants: constantsOf(`histc:${bins}:${range}`, () => constants),
  })[0];
}

/** How often each number occurs. The result's size depends on the data: read at the call. */
function bincount(x: Tensor, weights: Tensor | null, minlength: number): Tensor {
  if (x.dtype.kind !== 'int') throw new Error(`"bincount_cpu" not implemented for '${scalarTypeName(x.dtype)}'`);
  if (minlength < 0) throw new Error('minlength should be >= 0');
  if (x.ndim === 1 && x.view_.numel === 0) return use('zeros', [minlength], { dtype: int64, device: x.device });
  const bad = new Error('bincount only supports 1-d non-negative integral inputs.');
  if (x.ndim !== 1) throw bad;
  if (weights !== null && (weights.ndim !== 1 || weights.view_.numel !== x.view_.numel))
    throw new Error('weights should be 1-d and have the same length as input');
  const numbers = Array.from(toTypedArray(detached(x)) as ArrayLike<number | bigint>, Number);
  let size = minlength;
  for (const n of numbers) {
    if (n < 0) throw bad;
    size = Math.max(size, n + 1);
  }
  if (weights === null) {
    const counts = new BigInt64Array(size);
    for (const n of numbers) counts[n]++;
    return fromBytes(viewBytes(counts), [size], int64, x.device);
  }
  const dtype = weights.dtype === float32 ? float32 : float64;
  const amounts = toTypedArray(detached(castTo(weights, dtype))) as Float32Array | Float64Array;
  const sums = dtype === float32 ? new Float32Array(size) : new Float64Array(size);
  numbers.forEach((n, i) => {
    sums[n] += amounts[i];
  });
  return fromBytes(viewBytes(sums), [size], dtype, x.device);
}

export const histograms = {
  histc: declare(
    { doc: 'Counts of elements in equal intervals. https://docs.pytorch.org/docs/stable/generated/torch.histc.html' },
    overload('histc(Tensor self, int bins=100, Scalar min=0, Scalar max=0) -> Tensor', (x, bins, min, max) =>
      histc(x, bins, Number(scalarValue(min)), Number(scalarValue(max))),
    ),
  ),
  histogram: declare(
    { doc: 'Counts of elements between edges. https://docs.pytorch.org/docs/stable/generated/torch.histogram.html' },
    overload(
      'histogram.bins_tensor(Tensor self, Tensor bins, *, Tensor? weight=None, bool density=False) -> (Tensor hist, Tensor bin_edges)',
      (x, bins, weight, density) => histogramOne(x, { bins: [bins], range: null, weight, density }),
    ),
    overload(
      'histogram.bin_ct(Tensor self, int bins=100, *, float[]? range=None, Tensor? weight=None, bool density=False) -> (Tensor hist, Tensor bin_edges)',
      (x, bins, range, weight, density) => histogramOne(x, { bins: [bins], range, weight, density }),
    ),
  ),
  histogramdd: declare(
    {
      doc: 'Counts of points in the cells of a grid. https://docs.pytorch.org/docs/stable/generated/torch.histogramdd.html',
      as: 'function',
    },
    overload(
      'histogramdd(Tensor self, int[] bins, float[]? range=None, Tensor? weight=None, bool density=False) -> (Tensor hist, Tensor[] bin_edges)',
      (x, bins, range, weight, density) => histogramOf(x, { bins, range, weight, density }),
    ),
    overload(
      'histogramdd.int_bins(Tensor self, int bins, float[]? range=None, Tensor? weight=None, bool density=False) -> (Tensor hist, Tensor[] bin_edges)',
      (x, bins, range, weight, density) =>
        histogramOf(x, { bins: Array(x.view_.shape[x.ndim - 1] ?? 0).fill(bins), range, weight, density }),
    ),
    overload(
      'histogramdd.TensorList_bins(Tensor self, Tensor[] bins, float[]? range=None, Tensor? weight=None, bool density=False) -> (Tensor hist, Tensor[] bin_edges)',
      (x, bins, range, weight, density) => histogramOf(x, { bins, range, weight, density }),
    ),
  ),
  bincount: declare(
    { doc: 'How often each number occurs. https://docs.pytorch.org/docs/stable/generated/torch.bincount.html', dynamic: true },
    overload('bincount(Tensor self, Tensor? weights=None, SymInt minlength=0) -> Tensor', (x, weights, minlength) =>
      bincount(x, weights, minlength),
    ),
  ),
};

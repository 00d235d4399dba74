/**
 * Histograms of one or several dimensions, on the host, with the arithmetic of PyTorch's CPU kernel: positions are computed in the operand's
 * precision, edges that are evenly spaced are `linspace`, and the last bin includes its right edge.
 */
import type { HostArray, LibraryFunction } from '../../graph/library.ts';
import { rowData, sizeOf } from './rows.ts';

export interface HistogramConstants {
  /** Numbers of bins; null: the edges are inputs after the points. */
  readonly bins: readonly number[] | null;
  /** [low, high] of each dimension; null: the extremes of the points. */
  readonly range: readonly number[] | null;
  readonly weighted: boolean;
  readonly density: boolean;
  /** `histc` trusts the computed position; `histogram` corrects it against the edges. */
  readonly search: boolean;
  /** The name in errors. */
  readonly name: string;
}

type Numbers = Float32Array | Float64Array;

/** Evenly spaced edges of `count` bins. */
function evenEdges(edges: Numbers, low: number, high: number, round: (v: number) => number): void {
  const count = edges.length - 1;
  const step = round(round(high - low) / count);
  for (let i = 0; i <= count; i++) edges[i] = i < (count + 1) / 2 ? low + step * i : high - step * (count - i);
}

/** The points' extremes, or PyTorch's stand-ins: [0, 1] without points, half a unit around where they are all equal. */
function outerEdges(points: Numbers, dims: number, dim: number, range: readonly number[] | null, name: string): [number, number] {
  let [low, high] = [0, 1];
  const show = (v: number): string => (Number.isNaN(v) ? 'nan' : v === Infinity ? 'inf' : v === -Infinity ? '-inf' : String(v));
  const where = name === 'histc' ? 'torch.histc: range of' : `torch.histogramdd: dimension ${dim}'s range`;
  if (range !== null) [low, high] = [range[2 * dim], range[2 * dim + 1]];
  else if (points.length > 0) {
    [low, high] = [Infinity, -Infinity];
    for (let i = dim; i < points.length; i += dims) {
      const v = points[i];
      if (v !== v) [low, high] = [NaN, NaN];
      if (v < low) low = v;
      if (v > high) high = v;
    }
  }
  if (!Number.isFinite(low) || !Number.isFinite(high)) throw new Error(`${where} [${show(low)}, ${show(high)}] is not finite`);
  if (low > high) throw new Error(`torch.histogramdd: min should not exceed max, but got min ${low} max ${high} for dimension ${dim}`);
  return low === high ? [low - 0.5, high + 0.5] : [low, high];
}

/** The first of edges[from, to) that is greater than v. */
function upperBound(edges: Numbers, from: number, to: number, v: number): number {
  let [low, high] = [from, to];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (v < edges[middle]) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** inputs: points [n, dims], the edges of each dimension unless counted, weights [n] if weighted. outputs: the histogram, then edges if counted. */
export const histogramFunction: LibraryFunction<HistogramConstants> = {
  name: 'histogram',
  run: (inputs, outputs, { bins, range, weighted, density, search, name }) => {
    const points = rowData(inputs[0]) as Numbers;
    const [count, dims] = inputs[0].shape;
    const round = points instanceof Float32Array ? Math.fround : (v: number): number => v;
    const edges = Array.from({ length: dims }, (_, d) => {
      if (bins === null) return rowData(inputs[1 + d]) as Numbers;
      const made = rowData(outputs[1 + d]) as Numbers;
      const [low, high] = outerEdges(points, dims, d, range, name);
      evenEdges(made, round(low), round(high), round);
      return made;
    });
    const weights = weighted ? rowData(inputs[inputs.length - 1]) : null;
    const sizes = edges.map((e) => e.length - 1);
    const sums = new Float64Array(sizeOf(sizes));
    for (let i = 0; i < count; i++) {
      let at = 0;
      for (let d = 0; d < dims; d++) {
        const v = points[i * dims + d];
        const e = edges[d];
        const n = sizes[d];
        if (!(v >= e[0] && v <= e[n])) {
          at = -1;
          break;
        }
        let bin: number;
        if (bins === null) bin = upperBound(e, 0, n + 1, v) - 1;
        else {
          bin = Math.trunc(round(round(round(v - e[0]) * n) / round(e[n] - e[0])));
          if (search) bin = upperBound(e, Math.max(0, bin - 1), Math.min(bin + 2, n + 1), v) - 1;
        }
        at = at * n + Math.min(bin, n - 1);
      }
      if (at >= 0) sums[at] += weights === null ? 1 : weights[i];
    }
    if (density) normalize(sums, sizes, edges);
    fill(outputs[0], sums);
  },
};

/** Divided by the total and by the volume of each bin. */
function normalize(sums: Float64Array, sizes: readonly number[], edges: readonly Numbers[]): void {
  const total = sums.reduce((a, b) => a + b, 0);
  for (let at = 0; at < sums.length; at++) {
    let rest = at;
    let volume = 1;
    for (let d = sizes.length - 1; d >= 0; d--) {
      const bin = rest % sizes[d];
      rest = Math.floor(rest / sizes[d]);
      volume *= edges[d][bin + 1] - edges[d][bin];
    }
    sums[at] = sums[at] / total / volume;
  }
}

function fill(out: HostArray, values: Float64Array): void {
  (out.data as Float64Array).set(values);
}

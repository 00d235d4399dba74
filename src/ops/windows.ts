/**
 * Sliding windows: the two movements that convolutions, pooling, unfold and fold are made of, each the gradient of the other.
 *
 * `takeWindows` reads [N, C, *spatial] as [N, C, *kernel, *out] through one strided view of the padded input (im2col); `addWindows` sums
 * [N, C, *kernel, *out] back onto [N, C, *spatial] (col2im), as a look-up at positions that are plain index arithmetic, reduced over the
 * kernel dims. The kernel dims stand before the output dims, so that a reduction over them keeps the innermost dim for vectors.
 */
import { type DType, int32 } from '../dtype/dtype.ts';
import { dimPrim, full, iota, type Prim, rowMajor } from '../graph/prim.ts';
import type { Dim } from '../shape/dim.ts';
import * as dimsOf from '../shape/dim.ts';

/** Geometry of windows over the trailing dims; `left` and `right` are what is padded at each end (right may exceed what is asked: ceil_mode). */
export interface Windows {
  readonly kernel: readonly number[];
  readonly stride: readonly number[];
  readonly dilation: readonly number[];
  readonly left: readonly number[];
  readonly right: readonly number[];
}

export const windowKey = (w: Windows): string => `${w.kernel}/${w.stride}/${w.dilation}/${w.left}/${w.right}`;

/** Windows that fit into the padded input, by dim. */
export function windowCounts(spatial: readonly Dim[], w: Windows): Dim[] {
  return spatial.map((size, i) => {
    const room = dimsOf.add(size, w.left[i] + w.right[i] - w.dilation[i] * (w.kernel[i] - 1) - 1);
    return dimsOf.add(dimsOf.quotient(room, w.stride[i]), 1);
  });
}

const isPlain = (w: Windows): boolean => w.left.every((p) => p === 0) && w.right.every((p) => p === 0);

/** x [N, C, *spatial] in zeros (or in `outside`) of the padded shape. */
export function padSpatial(x: Prim, w: Windows, outside?: Prim): Prim {
  if (isPlain(w)) return x;
  const shape = x.shape.map((d, i) => (i < 2 ? d : dimsOf.add(d, w.left[i - 2] + w.right[i - 2])));
  const starts = [0, 0, ...w.left];
  const padded = x.pad(shape, starts);
  return outside === undefined ? padded : insideOf(x, w).where(padded, outside.expand(padded.shape));
}

/** Where a padded input has elements of its own. */
function insideOf(x: Prim, w: Windows): Prim {
  const shape = x.shape.map((d, i) => (i < 2 ? d : dimsOf.add(d, w.left[i - 2] + w.right[i - 2])));
  return shape.slice(2).reduce<Prim | null>((all, _, i) => {
    const at = iota(shape, i + 2);
    const size = x.shape[i + 2];
    const low = w.left[i] === 0 ? null : at.ge(w.left[i]);
    const high = w.right[i] === 0 ? null : at.sub(w.left[i]).lt(dimPrim(size, at.dtype));
    return [low, high].reduce<Prim | null>((a, b) => (a === null ? b : b === null ? a : a.and(b)), all);
  }, null)!;
}


/** [N, C, *spatial] -> [N, C, *kernel, *counts]. */
export function takeWindows(x: Prim, w: Windows, counts: readonly Dim[], outside?: Prim): Prim {
  const padded = padSpatial(x, w, outside);
  const strides = rowMajor(padded.shape);
  const spatial = strides.slice(2);
  return padded.view(
    [...x.shape.slice(0, 2), ...w.kernel, ...counts],
    [
      strides[0],
      strides[1],
      ...spatial.map((s, i) => dimsOf.mul(s, w.dilation[i])),
      ...spatial.map((s, i) => dimsOf.mul(s, w.stride[i])),
    ],
    0,
  );
}

/**
 * Going back from windows to elements. A window of k elements at a stride of s > 1 is m = ceil(k / s) runs of s elements, and the runs of all windows
 * together lie side by side: seen so, an element belongs to m windows at a stride of 1 and a dilation of s, and no position has to be tested for
 * divisibility. (Dilated windows at a stride keep it.)
 */
const inRuns = (w: Windows, i: number): boolean => w.stride[i] > 1 && (w.dilation[i] === 1 || w.kernel[i] === 1);

function runsOf(w: Windows): Windows {
  const pick = (run: (i: number) => number, other: readonly number[]): number[] => other.map((v, i) => (inRuns(w, i) ? run(i) : v));
  return {
    ...w,
    kernel: pick((i) => Math.ceil(w.kernel[i] / w.stride[i]), w.kernel),
    stride: pick(() => 1, w.stride),
    dilation: pick((i) => w.stride[i], w.dilation),
  };
}

/** p [..., *counts], spread by the stride, looked up at the windows of every element: own + [*kernel, *spatial]. */
function lookBack(p: Prim, own: readonly number[], w: Windows, spatial: readonly Dim[]): Prim {
  const n = spatial.length;
  const lead = p.shape.slice(0, 2);
  // Window o starts at o * stride in the padded input. An element at i is element k of the window that starts at i + left - k * dilation.
  const shift = w.kernel.map((k, i) => Math.max(0, (k - 1) * w.dilation[i] - w.left[i]));
  const room = spatial.map((d, i) => dimsOf.add(d, w.left[i] + w.right[i] + shift[i] + Math.max(w.stride[i], w.dilation[i])));
  const before = p.shape.slice(0, p.ndim - n);
  const spreadOut = p.pad([...before, ...room], [...before.map(() => 0), ...shift], [...before.map(() => 1), ...w.stride]);
  const shape = [...lead, ...w.kernel, ...spatial];
  const coords = spatial.map((_, i) => {
    const start = iota(shape, 2 + n + i).add(w.left[i] + shift[i]);
    return w.kernel[i] === 1 ? start : start.sub(iota(shape, 2 + i).mul(w.dilation[i]));
  });
  return spreadOut.lookup([...own.map((axis) => iota(shape, axis)), ...coords]);
}

const sumOver = (x: Prim, w: Windows): Prim => {
  const n = w.kernel.length;
  if (w.kernel.some((k) => k !== 1)) return x.sum(axesFrom(2, n));
  return x.reshape([...x.shape.slice(0, 2), ...x.shape.slice(2 + n)]);
};

/** [N, C, *kernel, *counts] -> [N, C, *spatial]: every element added where `takeWindows` reads it. */
export function addWindows(cols: Prim, w: Windows, spatial: readonly Dim[]): Prim {
  const n = spatial.length;
  const lead = cols.shape.slice(0, 2);
  const counts = cols.shape.slice(2 + n);
  const same = (a: readonly Dim[]): boolean => a.every((d, i) => dimsOf.equal(d, spatial[i]));
  if (w.kernel.every((k) => k === 1) && w.left.every((p) => p === 0) && w.stride.every((s) => s === 1) && same(counts))
    return cols.reshape([...lead, ...spatial]);
  const runs = runsOf(w);
  // [*kernel, *counts] -> [*runs, *run, *counts] -> [*runs, *(counts * run)]
  const length = w.stride.map((s, i) => (inRuns(w, i) ? s : 1));
  const full = cols.pad([...lead, ...runs.kernel.map((m, i) => m * length[i]), ...counts], Array<number>(2 + 2 * n).fill(0));
  const sideBySide = full
    .reshape([...lead, ...runs.kernel.flatMap((m, i) => [m, length[i]]), ...counts])
    .permute([0, 1, ...axesFrom(0, n).map((i) => 2 + 2 * i), ...axesFrom(0, n).flatMap((i) => [2 + 2 * n + i, 3 + 2 * i])])
    .reshape([...lead, ...runs.kernel, ...counts.map((c, i) => dimsOf.mul(c, length[i]))]);
  return sumOver(lookBack(sideBySide, axesFrom(0, 2 + n), runs, spatial), runs);
}

/**
 * [N, C, *counts] -> [N, C, *windows, *spatial]: for each element the results of the windows that it may be in (0 where there is none). An element
 * in the last run of a window need not be in the window itself: callers know which is theirs.
 */
export function windowsOfElements(p: Prim, w: Windows, spatial: readonly Dim[]): Prim {
  const lead = p.shape.slice(0, 2);
  const counts = p.shape.slice(2);
  const length = w.stride.map((s, i) => (inRuns(w, i) ? s : 1));
  const repeated = p
    .reshape([...lead, ...counts.flatMap((c) => [c, 1])])
    .expand([...lead, ...counts.flatMap((c, i) => [c, length[i]])])
    .reshape([...lead, ...counts.map((c, i) => dimsOf.mul(c, length[i]))]);
  return lookBack(repeated, [0, 1], runsOf(w), spatial);
}

/** Windows that an element can be in. */
export const windowsAnElement = (w: Windows): number => runsOf(w).kernel.reduce((n, k) => n * k, 1);

/** The lowest value of a dtype: what padding counts for in a maximum. */
export function lowest(dtype: DType): number | bigint {
  if (dtype.is_floating_point) return -Infinity;
  switch (dtype.name) {
    case 'int64':
      return -(2n ** 63n);
    case 'int32':
      return -(2 ** 31);
    case 'int16':
      return -32768;
    case 'int8':
      return -128;
    default:
      return 0;
  }
}

/** `count` axes from `first`. */
export const axesFrom = (first: number, count: number): number[] => Array.from({ length: count }, (_, i) => first + i);

/** Where in the input the elements of [N, C, *kernel, *counts] come from (negative or too large: padding), one index a spatial dim. */
export function positionsOf(shape: readonly Dim[], w: Windows): Prim[] {
  const n = w.kernel.length;
  return w.kernel.map((_, i) =>
    iota(shape, 2 + n + i)
      .mul(w.stride[i])
      .add(iota(shape, 2 + i).mul(w.dilation[i]))
      .sub(w.left[i]),
  );
}

/** The row-major index of a spatial position. */
export function flatPosition(positions: readonly Prim[], spatial: readonly Dim[]): Prim {
  const strides = rowMajor(spatial);
  return positions.map((p, i) => (strides[i] === 1 ? p : p.mul(dimPrim(strides[i], p.dtype)))).reduce((a, b) => a.add(b));
}

/** `flatPosition` of `positionsOf` in 32 bits, as a part of the window's and a part of the element's, so that loops over elements keep the first. */
export function flatPositions32(shape: readonly Dim[], w: Windows, spatial: readonly Dim[]): Prim {
  const n = w.kernel.length;
  const strides = rowMajor(spatial);
  const part = (first: number, steps: readonly number[]): Prim =>
    steps
      .map((step, i) =>
        iota(shape, first + i)
          .cast(int32)
          .mul(dimPrim(dimsOf.mul(strides[i], step), int32)),
      )
      .reduce((a, b) => a.add(b));
  const start = dimsOf.mul(
    strides.reduce<Dim>((sum, s, i) => dimsOf.add(sum, dimsOf.mul(s, w.left[i])), 0),
    -1,
  );
  return part(2 + n, w.stride).add(dimPrim(start, int32)).add(part(2, w.dilation));
}

/** Zeros of `shape` [N, C, *spatial] with g [N, C, ...] added at flat spatial indices. */
export function addAtFlat(g: Prim, flat: Prim, shape: readonly Dim[]): Prim {
  const lead = shape.slice(0, 2);
  const zeros = full([...lead, dimsOf.productOf(shape.slice(2))], 0, g.dtype);
  return zeros.scatter(g, [iota(g.shape, 0), iota(g.shape, 1), flat], 'add').reshape(shape);
}

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
    [strides[0], strides[1], ...spatial.map((s, i) => dimsOf.mul(s, w.dilation[i])), ...spatial.map((s, i) => dimsOf.mul(s, w.stride[i]))],
    0,
  );
}

/**
 * Going back from windows to elements, along one dim. Window o starts at o * stride in the padded input, so the element at i is element k of the
 * window at (i + left - k * dilation) / stride. Of windows at a stride s > 1 without dilation only m = ceil(k / s) can have an element: with
 * q, r the quotient and remainder of i + left by s, those at q - j, in which it is element j s + r, for j = 0 ... m - 1.
 */
interface Back {
  /** Candidates for each element. */
  readonly count: number;
  /** Room before, between and after the windows' results, so that every candidate has a place. */
  readonly shift: number;
  readonly step: number;
  readonly room: Dim;
  /** The window's place and the element's number in it, of candidate `j` for the element at `i`. */
  readonly window: (i: Prim, j: Prim) => Prim;
  readonly element: (i: Prim, j: Prim) => Prim;
}

function backAlong(w: Windows, dim: number, size: Dim): Back {
  const [k, s, d, left] = [w.kernel[dim], w.stride[dim], w.dilation[dim], w.left[dim]];
  const length = dimsOf.add(size, left + w.right[dim]);
  if (s > 1 && (d === 1 || k === 1)) {
    const count = Math.ceil(k / s);
    return {
      count,
      shift: count - 1,
      step: 1,
      room: dimsOf.add(dimsOf.quotient(length, s), count + 1),
      window: (i, j) => sub(i.add(left + (count - 1) * s).scalar('idiv', s), j, count),
      element: (i, j) => add(j.mul(s), i.add(left).scalar('irem', s), count),
    };
  }
  const shift = Math.max(0, (k - 1) * d - left);
  return {
    count: k,
    shift,
    step: s,
    room: dimsOf.add(length, shift + s),
    window: (i, j) => sub(i.add(left + shift), j.mul(d), k),
    element: (_, j) => j,
  };
}
/** With one candidate only, j is 0. */
const sub = (a: Prim, b: Prim, count: number): Prim => (count === 1 ? a : a.sub(b));
const add = (a: Prim, b: Prim, count: number): Prim => (count === 1 ? b : a.add(b));

/** The candidates of each element, [N, C, *candidates, *spatial], of p [N, C, *kernel, *counts] or, with `byWindow`, [N, C, *counts]. */
function candidates(p: Prim, w: Windows, spatial: readonly Dim[], byWindow: boolean): Prim {
  const n = spatial.length;
  const lead = p.shape.slice(0, 2);
  const backs = spatial.map((size, i) => backAlong(w, i, size));
  const shape = [...lead, ...backs.map((b) => b.count), ...spatial];
  const elements = byWindow ? [] : backs.map((b, i) => (w.stride[i] > 1 && b.step === 1 ? b.count * w.stride[i] : w.kernel[i]));
  const placed = p.pad(
    [...lead, ...elements, ...backs.map((b) => b.room)],
    [0, 0, ...elements.map(() => 0), ...backs.map((b) => b.shift)],
    [1, 1, ...elements.map(() => 1), ...backs.map((b) => b.step)],
  );
  const at = (i: number): Prim => iota(shape, 2 + n + i);
  const candidate = (i: number): Prim => iota(shape, 2 + i);
  return placed.lookup([
    iota(shape, 0),
    iota(shape, 1),
    ...(byWindow ? [] : backs.map((b, i) => b.element(at(i), candidate(i)))),
    ...backs.map((b, i) => b.window(at(i), candidate(i))),
  ]);
}

/** [N, C, *kernel, *counts] -> [N, C, *spatial]: every element added where `takeWindows` reads it. */
export function addWindows(cols: Prim, w: Windows, spatial: readonly Dim[]): Prim {
  const n = spatial.length;
  const counts = cols.shape.slice(2 + n);
  const pointwise = w.kernel.every((k) => k === 1) && w.stride.every((s) => s === 1) && isPlain(w);
  if (pointwise) return cols.reshape([...cols.shape.slice(0, 2), ...counts]);
  const each = candidates(cols, w, spatial, false);
  if (windowsAnElement(w) === 1) return each.reshape([...each.shape.slice(0, 2), ...spatial]);
  return each.sum(axesFrom(2, n));
}

/**
 * [N, C, *counts] -> [N, C, *candidates, *spatial]: for each element the results of the windows that it may be in (0 where there is none). An element
 * behind a window's end, before the next one's start, still has it among its candidates: callers know which are theirs.
 */
export const windowsOfElements = (p: Prim, w: Windows, spatial: readonly Dim[]): Prim => candidates(p, w, spatial, true);

/** Windows that an element can be in. */
export const windowsAnElement = (w: Windows): number => w.kernel.reduce((n, _, i) => n * backAlong(w, i, 0).count, 1);

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
  return part(2 + n, w.stride)
    .add(dimPrim(start, int32))
    .add(part(2, w.dilation));
}

/** Zeros of `shape` [N, C, *spatial] with g [N, C, ...] added at flat spatial indices. */
export function addAtFlat(g: Prim, flat: Prim, shape: readonly Dim[]): Prim {
  const lead = shape.slice(0, 2);
  const zeros = full([...lead, dimsOf.productOf(shape.slice(2))], 0, g.dtype);
  return zeros.scatter(g, [iota(g.shape, 0), iota(g.shape, 1), flat], 'add').reshape(shape);
}

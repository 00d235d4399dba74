/**
 * Sliding windows: the two movements that convolutions, pooling, unfold and fold are made of, each the gradient of the other.
 *
 * `takeWindows` reads [N, C, *spatial] as [N, C, *kernel, *out] through one strided view of the padded input (im2col); `addWindows` sums
 * [N, C, *kernel, *out] back onto [N, C, *spatial] (col2im), as a look-up at positions that are plain index arithmetic, reduced over the
 * kernel dims. The kernel dims stand before the output dims, so that a reduction over them keeps the innermost dim for vectors.
 */
import type { DType } from '../dtype/dtype.ts';
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

/** [N, C, *kernel, *counts] -> [N, C, *spatial]: every element added where `takeWindows` reads it. */
export function addWindows(cols: Prim, w: Windows, spatial: readonly Dim[]): Prim {
  const n = spatial.length;
  const counts = cols.shape.slice(2 + n);
  const pointwise = w.kernel.every((k) => k === 1) && w.stride.every((s) => s === 1) && isPlain(w);
  if (pointwise) return cols.reshape([...cols.shape.slice(0, 2), ...counts]);
  // Window o starts at o * stride in the padded input. An element at i is element k of the window that starts at i + left - k * dilation.
  const shift = w.kernel.map((k, i) => Math.max(0, (k - 1) * w.dilation[i] - w.left[i]));
  const spread = cols.pad(
    [...cols.shape.slice(0, 2 + n), ...spatial.map((d, i) => dimsOf.add(d, w.left[i] + w.right[i] + shift[i] + 1))],
    [...Array<number>(2 + n).fill(0), ...shift],
    [...Array<number>(2 + n).fill(1), ...w.stride],
  );
  const shape = [...cols.shape.slice(0, 2 + n), ...spatial];
  const at = (axis: number): Prim => iota(shape, axis);
  const coords = [
    at(0),
    at(1),
    ...w.kernel.map((_, i) => at(2 + i)),
    ...spatial.map((_, i) => {
      const start = at(2 + n + i).add(w.left[i] + shift[i]);
      return w.kernel[i] === 1 ? start : start.sub(at(2 + i).mul(w.dilation[i]));
    }),
  ];
  return spread.lookup(coords).sum(w.kernel.map((_, i) => 2 + i));
}

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
export const lowestFull = (dtype: DType): Prim => full([1], lowest(dtype), dtype);

/**
 * Library functions that work on rows: the lines of a tensor along one axis.
 *
 * `rowFunction` makes one from what it does with a single row: given the row's elements it chooses some of their positions, in order. Values are then
 * looked up by whoever calls it, so gradients follow from the look-up. Rows hold float32, float64, int32 or int64 (`orderable` in ops/along.ts
 * casts the rest, exactly); int64 elements are bigints, which JavaScript compares like numbers: the code below is typed for numbers.
 */
import type { HostArray, LibraryFunction } from '../../graph/library.ts';

export type Row = Float64Array | Float32Array | Int32Array;

export interface RowConstants {
  readonly axis: number;
}

export const sizeOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** Calls `visit` with the first position of each row along `axis`, and its number; elements of a row are `stride` apart. */
export function forEachRow(shape: readonly number[], axis: number, visit: (first: number, row: number) => void): { stride: number } {
  const length = shape[axis];
  const stride = sizeOf(shape.slice(axis + 1));
  const outer = sizeOf(shape.slice(0, axis));
  let row = 0;
  for (let o = 0; o < outer; o++) for (let i = 0; i < stride; i++) visit(o * length * stride + i, row++);
  return { stride };
}

/** int64 memory as pairs of 32-bit words, low first: writing positions costs no bigint. */
export const words = (data: HostArray['data']): Int32Array => new Int32Array(data.buffer, data.byteOffset, data.byteLength >> 2);

/** The elements of a row's memory as numbers to compare. */
export const rowData = (array: HostArray): Row => array.data as unknown as Row;

/** 0, 1, ..., n - 1. */
export function positionsOf(n: number): Int32Array {
  const positions = new Int32Array(n);
  for (let i = 0; i < n; i++) positions[i] = i;
  return positions;
}

export function rowFunction<C extends RowConstants>(
  name: string,
  choose: (row: Row, chosen: Int32Array, constants: C) => void,
): LibraryFunction<C> {
  return {
    name,
    run: ([x], [out], constants) => {
      const { axis } = constants;
      const length = x.shape[axis];
      const count = out.shape[axis];
      const source = rowData(x);
      const target = words(out.data);
      const stride = sizeOf(x.shape.slice(axis + 1));
      const row: Row | null = stride === 1 ? null : source.slice(0, length);
      const chosen = new Int32Array(count);
      forEachRow(x.shape, axis, (first, number) => {
        let elements: Row | null = row;
        if (elements === null) elements = source.subarray(first, first + length) as Row;
        else for (let i = 0; i < length; i++) elements[i] = source[first + i * stride];
        choose(elements, chosen, constants);
        const outFirst = Math.floor(number / stride) * count * stride + (number % stride);
        for (let i = 0; i < count; i++) {
          const at = 2 * (outFirst + i * stride);
          target[at] = chosen[i];
          target[at + 1] = 0;
        }
      });
    },
  };
}

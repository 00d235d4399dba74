/** Binary search in sorted rows, and membership in a set, on the host. Operands are in one orderable dtype. */
import type { LibraryFunction } from '../../graph/library.ts';
import { rowData, sizeOf, words } from './rows.ts';

export interface SearchConstants {
  readonly right: boolean;
}

/** inputs: boundaries (one row, or a row for each row of values), values, and possibly the order that sorts the boundaries. */
export const searchsortedFunction: LibraryFunction<SearchConstants> = {
  name: 'searchsorted',
  run: ([boundaries, values, sorter], [out], { right }) => {
    const rows = rowData(boundaries);
    const wanted = rowData(values);
    const order = sorter === undefined ? null : words(sorter.data);
    const n = boundaries.shape[boundaries.shape.length - 1];
    const single = boundaries.shape.length === 1;
    const perRow = single ? sizeOf(values.shape) : values.shape[values.shape.length - 1];
    const target = out.dtype.itemsize === 8 ? words(out.data) : (out.data as Int32Array);
    const step = out.dtype.itemsize === 8 ? 2 : 1;
    const count = sizeOf(values.shape);
    for (let i = 0; i < count; i++) {
      const base = single ? 0 : Math.floor(i / perRow) * n;
      const v = wanted[i];
      let [low, high] = [0, n];
      while (low < high) {
        const middle = (low + high) >> 1;
        const m = rows[base + (order === null ? middle : order[2 * (base + middle)])];
        if (right ? m > v : m >= v) high = middle;
        else low = middle + 1;
      }
      target[step * i] = low;
      if (step === 2) target[2 * i + 1] = 0;
    }
  },
};

/** NaN is in no set; -0 and 0 are one element. */
export const isinFunction: LibraryFunction<{ readonly invert: boolean }> = {
  name: 'isin',
  run: ([elements, tests], [out], { invert }) => {
    const set = new Set<number>(rowData(tests));
    const x = rowData(elements);
    const target = out.data as Uint8Array;
    for (let i = 0; i < x.length; i++) target[i] = (x[i] === x[i] && set.has(x[i])) !== invert ? 1 : 0;
  },
};

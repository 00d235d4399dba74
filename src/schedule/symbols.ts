/**
 * From numbers to symbols: how one program serves many sizes.
 *
 * A captured graph is a structural key plus a list of numbers (sizes, strides, offsets, dims). When the same key comes with other numbers,
 * the positions that differ become dims: a fresh symbol, a product of a size and a stride that fits both sightings, or an affine function
 * of an earlier symbol. Every such guess is checked against the numbers at each run (`bind`); a guess that fails is not used again.
 * 0 and 1 are never symbols: sizes of 0 and 1 change what a graph means (broadcasting, emptiness).
 */

import type { Dim } from '../shape/dim.ts';
import * as dims from '../shape/dim.ts';

/** What a number is: `size` of the dim whose stride stands `span` positions later, `stride`, or `free` (offsets, dims of the call). */
export interface NumberLayout {
  readonly kind: 'size' | 'stride' | 'free';
  /** For strides: positions of the sizes and strides of the same view. */
  readonly sizes: number;
  readonly strides: number;
  readonly rank: number;
}

export interface Pattern {
  readonly dims: readonly Dim[];
  readonly symbols: number;
  /** Position at which each symbol's value is read. */
  readonly readAt: readonly number[];
  /** Positions whose dim is neither constant nor a bare symbol read there: checked at each run. */
  readonly checked: readonly number[];
  /** Those of them that depend on symbols. */
  readonly derived: readonly number[];
  /** All numbers, where none varies. */
  readonly constant?: Int32Array;
}

const noSymbols = new Int32Array(0);

/** Values of the symbols, or null if the numbers do not have this pattern. */
export function bind(pattern: Pattern, numbers: ArrayLike<number>): Int32Array | null {
  if (pattern.constant !== undefined) {
    const { constant } = pattern;
    for (let i = 0; i < constant.length; i++) if (constant[i] !== numbers[i]) return null;
    return noSymbols;
  }
  const values = new Int32Array(pattern.symbols);
  for (let i = 0; i < pattern.symbols; i++) {
    values[i] = numbers[pattern.readAt[i]];
    if (values[i] < 2) return null;
  }
  for (const at of pattern.checked) {
    const d = pattern.dims[at];
    if ((typeof d === 'number' ? d : dims.evaluate(d, values)) !== numbers[at]) return null;
  }
  return values;
}

/** The same for numbers that fitted before, of which those at `changed` have become others. */
export function bindChanged(pattern: Pattern, numbers: ArrayLike<number>, changed: readonly number[]): Int32Array | null {
  if (pattern.constant !== undefined) return null;
  for (let i = 0; i < changed.length; i++) if (typeof pattern.dims[changed[i]] === 'number') return null;
  const values = new Int32Array(pattern.symbols);
  for (let i = 0; i < pattern.symbols; i++) {
    values[i] = numbers[pattern.readAt[i]];
    if (values[i] < 2) return null;
  }
  for (const at of pattern.derived) if (dims.evaluate(pattern.dims[at], values) !== numbers[at]) return null;
  return values;
}

/** The pattern in which nothing varies. */
export function constantPattern(numbers: ArrayLike<number>): Pattern {
  const all = Array.from(numbers);
  return { dims: all, symbols: 0, readAt: [], checked: all.map((_, i) => i), derived: [], constant: Int32Array.from(all) };
}

/** A pattern that fits two sightings, or null where a 0 or 1 differs. `affine: false` makes every differing free number a symbol of its own. */
export function generalize(a: ArrayLike<number>, b: ArrayLike<number>, layout: readonly NumberLayout[], affine: boolean): Pattern | null {
  const out: Dim[] = new Array(a.length);
  const readAt: number[] = [];
  const pairs: { x: number; y: number; dim: Dim }[] = [];
  const fresh = (i: number): Dim => {
    const known = pairs.find((p) => p.x === a[i] && p.y === b[i]);
    if (known !== undefined) return known.dim;
    if (affine)
      for (const p of pairs) {
        const slope = (b[i] - a[i]) / (p.y - p.x);
        if (!Number.isInteger(slope) || slope <= 0) continue;
        return dims.add(dims.mul(p.dim, slope), a[i] - slope * p.x);
      }
    const dim = dims.symbol(readAt.length);
    readAt.push(i);
    pairs.push({ x: a[i], y: b[i], dim });
    return dim;
  };
  const settle = (kind: NumberLayout['kind']): boolean => {
    for (let i = 0; i < a.length; i++) {
      if (layout[i].kind !== kind || out[i] !== undefined) continue;
      if (a[i] === b[i]) {
        out[i] = a[i];
        continue;
      }
      if (kind !== 'stride' && (a[i] < 2 || b[i] < 2)) return false;
      out[i] = fresh(i);
    }
    return true;
  };
  if (!settle('size')) return null;
  // Strides: a product of a size and a stride of the same view, from the smallest up.
  const order = [...layout.keys()].filter((i) => layout[i].kind === 'stride').sort((i, j) => a[i] - a[j]);
  for (const i of order) {
    if (a[i] === b[i]) {
      out[i] = a[i];
      continue;
    }
    const { sizes, strides, rank } = layout[i];
    for (let j = 0; j < rank && out[i] === undefined; j++) {
      const size = sizes + j;
      const stride = strides + j;
      if (out[stride] === undefined || stride === i) continue;
      if (a[size] * a[stride] === a[i] && b[size] * b[stride] === b[i]) out[i] = dims.mul(out[size], out[stride]);
    }
    if (out[i] === undefined) {
      if (a[i] < 2 || b[i] < 2) return null;
      out[i] = fresh(i);
    }
  }
  if (!settle('free')) return null;
  const plain = new Set(readAt);
  const checked = [...out.keys()].filter((i) => !plain.has(i));
  return { dims: out, symbols: readAt.length, readAt, checked, derived: checked.filter((i) => typeof out[i] !== 'number') };
}

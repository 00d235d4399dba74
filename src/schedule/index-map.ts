/**
 * Index algebra: where an element lies, as a function of loop axes.
 *
 * An `Index` is a sum of atoms times coefficients (dims) plus an offset. Atoms are loop axes, quotients and remainders that did not simplify,
 * loaded numbers, and indices that a condition keeps within bounds. All movement (permute, slice, reshape, broadcast, ...) is arithmetic on these, so two accesses are the same access
 * exactly when their keys are equal, and an access is strided in an axis exactly when the axis appears only with a coefficient.
 */
import type { Axis, Expr } from '../kernel/ir.ts';
import type { Dim } from '../shape/dim.ts';
import * as dims from '../shape/dim.ts';

export interface LoopAxis {
  readonly id: number;
  readonly extent: Dim;
  readonly axis: Axis;
}

export type IndexAtom =
  | { readonly kind: 'axis'; readonly key: string; readonly axis: LoopAxis }
  | { readonly kind: 'quotient' | 'remainder'; readonly key: string; readonly of: Index; readonly by: Dim; readonly bound: Dim | null }
  | { readonly kind: 'data'; readonly key: string; readonly expr: Expr }
  /** What is read at it is used only where `of` is in [0, by). */
  | { readonly kind: 'within'; readonly key: string; readonly of: Index; readonly by: Dim };

export class Index {
  readonly terms: readonly { readonly atom: IndexAtom; readonly factor: Dim }[];
  readonly offset: Dim;
  readonly key: string;
  constructor(terms: Index['terms'], offset: Dim) {
    this.terms = terms;
    this.offset = offset;
    this.key = `${terms.map((t) => `${t.atom.key}*${dims.keyOf(t.factor)}`).join('+')}+${dims.keyOf(offset)}`;
  }
}

function make(terms: Iterable<{ atom: IndexAtom; factor: Dim }>, offset: Dim): Index {
  const byKey = new Map<string, { atom: IndexAtom; factor: Dim }>();
  const put = (t: { atom: IndexAtom; factor: Dim }): void => {
    const seen = byKey.get(t.atom.key);
    byKey.set(t.atom.key, seen === undefined ? t : { atom: t.atom, factor: dims.add(seen.factor, t.factor) });
  };
  for (const t of terms) put(t);
  // by * (x / by) + x % by is x; what comes out may meet its other half in turn.
  let sum = offset;
  const join = (): boolean => {
    for (const t of byKey.values()) {
      if (t.atom.kind !== 'remainder') continue;
      const { of, by } = t.atom;
      const pair = byKey.get(`(${of.key})/${dims.keyOf(by)}`);
      if (pair === undefined || !dims.equal(pair.factor, dims.mul(t.factor, by))) continue;
      byKey.delete(t.atom.key);
      byKey.delete(pair.atom.key);
      for (const inner of of.terms) put({ atom: inner.atom, factor: dims.mul(inner.factor, t.factor) });
      sum = dims.add(sum, dims.mul(of.offset, t.factor));
      return true;
    }
    return false;
  };
  while (join());
  const kept = [...byKey.values()].filter((t) => t.factor !== 0).sort((a, b) => (a.atom.key < b.atom.key ? -1 : 1));
  return new Index(kept, sum);
}

export const constantIndex = (value: Dim): Index => new Index([], value);
export function axisIndex(axis: LoopAxis): Index {
  if (axis.extent === 1) return constantIndex(0);
  return new Index([{ atom: { kind: 'axis', key: `a${axis.id}`, axis }, factor: 1 }], 0);
}
export const dataIndex = (expr: Expr): Index => new Index([{ atom: { kind: 'data', key: `e${expr.id}`, expr }, factor: 1 }], 0);
export const addIndex = (a: Index, b: Index): Index =>
  a.terms.length === 0 && a.offset === 0
    ? b
    : b.terms.length === 0 && b.offset === 0
      ? a
      : make([...a.terms, ...b.terms], dims.add(a.offset, b.offset));
export const scaleIndex = (a: Index, factor: Dim): Index =>
  factor === 1
    ? a
    : make(
        a.terms.map((t) => ({ atom: t.atom, factor: dims.mul(t.factor, factor) })),
        dims.mul(a.offset, factor),
      );
export const linear = (indices: readonly Index[], strides: readonly Dim[], offset: Dim = 0): Index =>
  indices.reduce((sum, index, i) => addIndex(sum, scaleIndex(index, strides[i])), constantIndex(offset));

const lastOf = (atom: IndexAtom): Dim | null => {
  switch (atom.kind) {
    case 'axis':
      return dims.sub(atom.axis.extent, 1);
    case 'quotient':
      return atom.bound;
    case 'remainder':
    case 'within':
      return dims.sub(atom.by, 1);
    case 'data':
      return null;
    default:
      return atom satisfies never;
  }
};

/** Smallest and largest value, where they can be told (sizes are at least 1 wherever an index is evaluated). */
export function rangeOf(index: Index): { low: Dim; high: Dim } | null {
  let low = index.offset;
  let high = index.offset;
  for (const t of index.terms) {
    const last = lastOf(t.atom);
    if (last === null) return null;
    const reach = dims.mul(t.factor, last);
    if (dims.provablyAtMost(0, t.factor)) high = dims.add(high, reach);
    else if (dims.provablyAtMost(t.factor, 0)) low = dims.add(low, reach);
    else return null;
  }
  return { low, high };
}

/** `index` where a condition keeps it in [0, by): quotients and remainders of it simplify by that. */
export function within(index: Index, by: Dim): Index {
  const range = rangeOf(index);
  if (range !== null && dims.provablyAtMost(0, range.low) && dims.provablyAtMost(range.high, dims.sub(by, 1))) return index;
  return make([{ atom: { kind: 'within', key: `(${index.key})<${dims.keyOf(by)}`, of: index, by }, factor: 1 }], 0);
}

/** The same index without the knowledge of conditions: what is read. */
export function withoutConditions(index: Index): Index {
  if (!index.terms.some((t) => hasCondition(t.atom))) return index;
  const parts = index.terms.map(({ atom, factor }): Index => {
    if (!hasCondition(atom)) return make([{ atom, factor }], 0);
    const of = withoutConditions((atom as { of: Index }).of);
    if (atom.kind === 'within') return scaleIndex(of, factor);
    const { by } = atom as { by: Dim };
    const sign = atom.kind === 'quotient' ? '/' : '%';
    return make([{ atom: { ...atom, key: `(${of.key})${sign}${dims.keyOf(by)}`, of } as IndexAtom, factor }], 0);
  });
  return parts.reduce(addIndex, constantIndex(index.offset));
}
const hasCondition = (atom: IndexAtom): boolean =>
  atom.kind === 'within' || ((atom.kind === 'quotient' || atom.kind === 'remainder') && atom.of.terms.some((t) => hasCondition(t.atom)));

/** The least n for which low + n by is not negative, as far as can be told. */
function multiplesBelow(low: Dim, by: Dim): number {
  if (typeof low === 'number' && typeof by === 'number') return low < 0 ? Math.ceil(-low / by) : 0;
  return !dims.provablyAtMost(0, low) && dims.provablyAtMost(0, dims.add(low, by)) ? 1 : 0;
}

const isConstant = (index: Index, by: Dim): boolean =>
  typeof by === 'number' && typeof index.offset === 'number' && index.terms.every((t) => typeof t.factor === 'number');

/** Can it be told that the index is never negative? */
function isNonnegative(index: Index): boolean {
  let low = index.offset;
  for (const t of index.terms) {
    if (dims.provablyAtMost(0, t.factor)) continue;
    const last = lastOf(t.atom);
    if (last === null || !dims.provablyAtMost(t.factor, 0)) return false;
    low = dims.add(low, dims.mul(t.factor, last));
  }
  return dims.provablyAtMost(0, low);
}

/**
 * Quotient and remainder by a positive dim; both simplify where the ranges allow. Kernels truncate, so a dividend must not be negative: where a
 * symbol leaves that open this throws, and the program is compiled for its sizes.
 */
export function divide(index: Index, by: Dim): { quotient: Index; remainder: Index } {
  if (by === 1) return { quotient: index, remainder: constantIndex(0) };
  // A dim without elements: nothing will be read at this index.
  if (by === 0) return { quotient: constantIndex(0), remainder: constantIndex(0) };
  const whole: { atom: IndexAtom; factor: Dim }[] = [];
  const rest: { atom: IndexAtom; factor: Dim }[] = [];
  for (const t of index.terms) {
    const exact = dims.exactQuotient(t.factor, by);
    if (exact !== null) whole.push({ atom: t.atom, factor: exact });
    else rest.push(t);
  }
  let wholeOffset: Dim = 0;
  let restOffset = index.offset;
  if (typeof restOffset === 'number' && typeof by === 'number') {
    wholeOffset = Math.floor(restOffset / by);
    restOffset -= wholeOffset * by;
  } else {
    const parts = dims.divideTerms(restOffset, by);
    wholeOffset = parts.whole;
    restOffset = parts.rest;
  }
  let remaining = make(rest, restOffset);
  let range = rangeOf(remaining);
  // What is left may be negative although the whole is not (a reversed dim): quotients of kernels truncate, so it is raised by a multiple of `by`.
  const raise = range === null ? 0 : multiplesBelow(range.low, by);
  if (raise > 0) {
    remaining = make(remaining.terms, dims.add(remaining.offset, dims.mul(by, raise)));
    wholeOffset = dims.sub(wholeOffset, raise);
    range = rangeOf(remaining);
  }
  if (!isConstant(remaining, by) && !isNonnegative(remaining))
    throw new Error('a size that varies: an index that is divided may be negative');
  if (range !== null && dims.provablyAtMost(0, range.low) && dims.provablyAtMost(range.high, dims.sub(by, 1)))
    return { quotient: make(whole, wholeOffset), remainder: remaining };
  // g x + r with 0 <= r < g and g dividing `by`: the quotient is that of x, whatever r is.
  for (const candidate of remaining.terms) {
    const g = candidate.factor;
    const inner = g === 1 ? null : dims.exactQuotient(by, g);
    if (inner === null || inner === 1 || !dims.provablyAtMost(2, g)) continue;
    const multiples: { atom: IndexAtom; factor: Dim }[] = [];
    const others: { atom: IndexAtom; factor: Dim }[] = [];
    for (const t of remaining.terms) {
      const exact = dims.exactQuotient(t.factor, g);
      if (exact === null) others.push(t);
      else multiples.push({ atom: t.atom, factor: exact });
    }
    const exactOffset = dims.exactQuotient(remaining.offset, g);
    const other = make(others, exactOffset === null ? remaining.offset : 0);
    const reach = rangeOf(other);
    if (reach === null || !dims.provablyAtMost(0, reach.low) || !dims.provablyAtMost(reach.high, dims.sub(g, 1))) continue;
    const part = divide(make(multiples, exactOffset ?? 0), inner);
    return { quotient: addIndex(make(whole, wholeOffset), part.quotient), remainder: addIndex(scaleIndex(part.remainder, g), other) };
  }
  const bound = range === null || typeof range.high !== 'number' || typeof by !== 'number' ? null : Math.floor(range.high / by);
  const quotient: IndexAtom = { kind: 'quotient', key: `(${remaining.key})/${dims.keyOf(by)}`, of: remaining, by, bound };
  const remainder: IndexAtom = { kind: 'remainder', key: `(${remaining.key})%${dims.keyOf(by)}`, of: remaining, by, bound: null };
  return { quotient: make([...whole, { atom: quotient, factor: 1 }], wholeOffset), remainder: make([{ atom: remainder, factor: 1 }], 0) };
}

/** The indices in `shape` of the row-major position `flat`. */
export function delinearize(flat: Index, shape: readonly Dim[]): Index[] {
  const out: Index[] = [];
  let rest = flat;
  let stride = dims.productOf(shape);
  // Nothing is ever read of an empty array, and its strides say nothing.
  if (stride === 0) return shape.map(() => constantIndex(0));
  for (const size of shape) {
    if (size === 1) {
      out.push(constantIndex(0));
      continue;
    }
    stride = size === 0 ? 1 : (dims.exactQuotient(stride, size) ?? dims.quotient(stride, size));
    const { quotient, remainder } = divide(rest, stride);
    out.push(quotient);
    rest = remainder;
  }
  return out;
}

/** The factor of every axis where the index is affine in axes alone, else null. */
export function stridesIn(index: Index, axes: readonly LoopAxis[]): { strides: Dim[]; offset: Dim } | null {
  const strides: Dim[] = axes.map(() => 0);
  for (const t of index.terms) {
    if (t.atom.kind !== 'axis') return null;
    const at = axes.findIndex((a) => t.atom.kind === 'axis' && a.id === t.atom.axis.id);
    if (at < 0) return null;
    strides[at] = t.factor;
  }
  return { strides, offset: index.offset };
}

/** True when the axis occurs inside a quotient, remainder or loaded number. */
export function entangles(index: Index, axis: LoopAxis): boolean {
  return index.terms.some((t) => {
    if (t.atom.kind === 'axis') return false;
    if (t.atom.kind === 'data') return true;
    const inner = t.atom.of;
    return inner.terms.some((u) => u.atom.kind === 'axis' && u.atom.axis.id === axis.id) || entangles(inner, axis);
  });
}

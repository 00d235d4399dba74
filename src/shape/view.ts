/**
 * View: how a tensor's elements lie in its storage. Dtype, device, shape and strides (in elements); the offset is kept apart, because it is
 * a parameter of programs and not part of a signature. Views are interned: equal views are mostly the same object, so `id` can stand in cache keys.
 */
import type { DType } from '../dtype/dtype.ts';

export class View {
  readonly id: number;
  readonly dtype: DType;
  readonly device: string;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  readonly numel: number;
  /** Row-major without gaps (dims of size 1 may have any stride). */
  readonly contiguous: boolean;
  constructor(id: number, dtype: DType, device: string, shape: readonly number[], strides: readonly number[]) {
    this.id = id;
    this.dtype = dtype;
    this.device = device;
    this.shape = shape;
    this.strides = strides;
    this.numel = numelOf(shape);
    this.contiguous = isContiguous(shape, strides);
  }
  get ndim(): number {
    return this.shape.length;
  }
  #injective: boolean | null = null;
  /** No two indices address the same element, as far as sorted strides can tell. */
  get injective(): boolean {
    this.#injective ??= isNonOverlapping(this.shape, this.strides);
    return this.#injective;
  }
}

/** Views by dtype, device, rank, sizes and strides, one level a number. */
class Level {
  readonly next: Map<number, Level> = new Map();
  view: View | null = null;
  at(number: number): Level {
    let level = this.next.get(number);
    if (level === undefined) {
      level = new Level();
      this.next.set(number, level);
    }
    return level;
  }
}
const interned = new Map<string, Level>();
let nextId = 1;
/**
 * How many views are kept interned. A decoded token has views of its own, which nobody asks for again: beyond this many all are forgotten, and
 * those that are in use are made once more. Equal views of different times are then two objects, which costs look-ups and nothing else.
 */
const mostInterned = 1 << 15;
let internedCount = 0;

/** The one View with these fields. Strides default to row-major. */
export function makeView(dtype: DType, device: string, shape: readonly number[], strides?: readonly number[]): View {
  const laid = strides ?? contiguousStrides(shape);
  let level = interned.get(device);
  if (level === undefined) {
    level = new Level();
    interned.set(device, level);
  }
  level = level.at(dtype.id).at(shape.length);
  for (let i = 0; i < shape.length; i++) level = level.at(shape[i]).at(laid[i]);
  if (level.view !== null) return level.view;
  const view = new View(nextId++, dtype, device, Object.freeze([...shape]), Object.freeze([...laid]));
  level.view = view;
  if (++internedCount > mostInterned) {
    interned.clear();
    internedCount = 0;
  }
  return view;
}

export function numelOf(shape: readonly number[]): number {
  let n = 1;
  for (const d of shape) n *= d;
  return n;
}

export function contiguousStrides(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length);
  let step = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    strides[i] = step;
    step *= Math.max(shape[i], 1);
  }
  return strides;
}

export function isContiguous(shape: readonly number[], strides: readonly number[]): boolean {
  let expected = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    if (shape[i] === 0) return true;
    if (shape[i] !== 1 && strides[i] !== expected) return false;
    expected *= shape[i];
  }
  return true;
}

/** Elements from the first to the last that a view of these strides can touch (0 for an empty one). */
export function extentOf(shape: readonly number[], strides: readonly number[]): number {
  let last = 0;
  for (let i = 0; i < shape.length; i++) {
    if (shape[i] === 0) return 0;
    last += (shape[i] - 1) * strides[i];
  }
  return last + 1;
}

/** True when the view addresses every element of a block exactly once (any permutation of a contiguous tensor). */
export function isDense(shape: readonly number[], strides: readonly number[]): boolean {
  const order = shape.map((_, i) => i).filter((i) => shape[i] !== 1);
  if (shape.some((d) => d === 0)) return true;
  order.sort((a, b) => strides[a] - strides[b]);
  let expected = 1;
  for (const i of order) {
    if (strides[i] !== expected) return false;
    expected *= shape[i];
  }
  return true;
}

/** True when no two indices address the same element, as far as sorted strides can tell. */
export function isNonOverlapping(shape: readonly number[], strides: readonly number[]): boolean {
  if (shape.some((d) => d === 0)) return true;
  const order = shape.map((_, i) => i).filter((i) => shape[i] !== 1);
  order.sort((a, b) => Math.abs(strides[a]) - Math.abs(strides[b]));
  let reach = 0;
  for (const i of order) {
    if (Math.abs(strides[i]) <= reach) return false;
    reach += (shape[i] - 1) * Math.abs(strides[i]);
  }
  return true;
}

/** Broadcast shape of two shapes, or null; callers word the error. */
export function broadcastShapes(a: readonly number[], b: readonly number[]): number[] | null {
  const n = Math.max(a.length, b.length);
  const out = new Array<number>(n);
  for (let i = 0; i < n; i++) {
    const x = i < n - a.length ? 1 : a[i - (n - a.length)];
    const y = i < n - b.length ? 1 : b[i - (n - b.length)];
    if (x !== y && x !== 1 && y !== 1) return null;
    out[i] = x === 1 ? y : x;
  }
  return out;
}

/** Strides of a view of `shape`/`strides` with the shape `target` of equal size, or null where a copy is needed (PyTorch's rule). */
export function reshapeStrides(shape: readonly number[], strides: readonly number[], target: readonly number[]): number[] | null {
  if (numelOf(shape) === 0) return numelOf(target) === 0 ? contiguousStrides(target) : null;
  const out = new Array<number>(target.length);
  let t = target.length - 1;
  let chunkNumel = 1;
  let viewNumel = 1;
  let baseStride = strides.length > 0 ? strides[strides.length - 1] : 1;
  for (let d = shape.length - 1; d >= 0; d--) {
    chunkNumel *= shape[d];
    const ends = d === 0 || (shape[d - 1] !== 1 && strides[d - 1] !== chunkNumel * baseStride);
    if (!ends) continue;
    while (t >= 0 && (viewNumel < chunkNumel || target[t] === 1)) {
      out[t] = viewNumel * baseStride;
      viewNumel *= target[t];
      t--;
    }
    if (viewNumel !== chunkNumel) return null;
    if (d > 0) {
      baseStride = strides[d - 1];
      chunkNumel = 1;
      viewNumel = 1;
    }
  }
  if (shape.length === 0) while (t >= 0) out[t--] = 1;
  return t === -1 ? out : null;
}

/** Strides that PyTorch's TensorIterator gives an element-wise result: the operands' common dim order where they agree, else row-major. */
export function elementwiseStrides(
  shape: readonly number[],
  operands: readonly { shape: readonly number[]; strides: readonly number[] }[],
): number[] {
  const n = shape.length;
  const full = operands.filter((o) => o.shape.length > 0);
  if (n < 2 || full.every((o) => isContiguous(o.shape, o.strides))) return contiguousStrides(shape);
  const stride = (o: { shape: readonly number[]; strides: readonly number[] }, dim: number): number => {
    const at = dim - (n - o.shape.length);
    return at < 0 || (o.shape[at] === 1 && shape[dim] !== 1) ? 0 : o.strides[at];
  };
  // order[0] is the fastest dim; insertion sort with PyTorch's ambiguous comparisons (a stride of 0 says nothing).
  const order = shape.map((_, i) => n - 1 - i);
  const compare = (a: number, b: number): number => {
    for (const o of full) {
      const x = stride(o, a);
      const y = stride(o, b);
      if (x === 0 || y === 0) continue;
      if (x < y) return -1;
      if (x > y) return 1;
      if (shape[a] > shape[b]) return 1;
    }
    return 0;
  };
  for (let i = 1; i < n; i++) {
    let at = i;
    for (let j = i - 1; j >= 0; j--) {
      const c = compare(order[j], order[at]);
      if (c > 0) {
        [order[j], order[at]] = [order[at], order[j]];
        at = j;
      } else if (c < 0) break;
    }
  }
  const out = new Array<number>(n);
  let step = 1;
  for (const dim of order) {
    out[dim] = step;
    step *= Math.max(shape[dim], 1);
  }
  return out;
}

export function sameShape(a: readonly number[], b: readonly number[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** The same layout of the same dtype on the same device. */
export const sameView = (a: View, b: View): boolean =>
  a === b || (a.dtype === b.dtype && a.device === b.device && sameShape(a.shape, b.shape) && sameShape(a.strides, b.strides));

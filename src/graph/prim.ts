/**
 * Primitives: the closed set of operations that operator bodies and gradients are traced into.
 *
 * A `Prim` is an immutable array expression with a logical shape (dims are integers or symbols) and a dtype. Bodies are written with the
 * methods below, which broadcast like PyTorch; element-wise ones take numbers. There is one movement primitive, `view`: a strided window
 * over the row-major order of its source. Permuting, expanding, slicing, flipping and reshaping are all views, and how they compose is
 * settled once, in the index algebra of `schedule/index-map.ts`.
 *
 * Gradients are in `vjp.ts`, one rule for each kind here. What a primitive becomes in a kernel is in `schedule/emit.ts`.
 */
import type { Complex } from '../dtype/codec.ts';
import { bool, type DType, int64 } from '../dtype/dtype.ts';
import { scalarTypeName } from '../dtype/promotion.ts';
import type { ReduceKind } from '../kernel/ir.ts';
import { type ScalarOp, scalarOps } from '../kernel/scalar.ts';
import type { Dim } from '../shape/dim.ts';
import * as dims from '../shape/dim.ts';
import type { BlockOperand } from './ggml.ts';
import type { LibraryFunction } from './library.ts';

export type PrimBody =
  | { readonly op: 'input'; readonly slot: number }
  | { readonly op: 'const'; readonly value: number | bigint | boolean }
  /** A number argument of the call: word `slot` of the node's parameters. */
  | { readonly op: 'param'; readonly slot: number }
  /** A dim as a 0-d number. */
  | { readonly op: 'dim'; readonly dim: Dim }
  /** The index along `axis`, at every position of the shape. */
  | { readonly op: 'iota'; readonly axis: number }
  | { readonly op: 'scalar'; readonly fn: ScalarOp; readonly srcs: readonly Prim[] }
  | { readonly op: 'cast'; readonly srcs: readonly [Prim] }
  | { readonly op: 'bitcast'; readonly srcs: readonly [Prim] }
  /** out[i] = src.flat[offset + sum i_k * strides_k], src.flat being row-major. */
  | { readonly op: 'view'; readonly srcs: readonly [Prim]; readonly strides: readonly Dim[]; readonly offset: Dim }
  /** out[i] = src[(i - starts) / steps] where that is an index of src, else 0. Steps may be negative. */
  | { readonly op: 'pad'; readonly srcs: readonly [Prim]; readonly starts: readonly Dim[]; readonly steps: readonly number[] }
  /** Over `axes` (ascending), which are removed from the shape. */
  | { readonly op: 'reduce'; readonly kind: ReduceKind; readonly srcs: readonly [Prim]; readonly axes: readonly number[] }
  /** [..., m, k] x [..., k, n] with equal batch dims. With `blocks` [m, k] x the bytes of ggml blocks (graph/ggml.ts), decoded on the way. */
  | { readonly op: 'dot'; readonly srcs: readonly [Prim, Prim]; readonly blocks?: BlockOperand }
  /** out[i] = src[coords_0[i], coords_1[i], ...]: one integer coordinate per dim of src, each of the result's shape. */
  | { readonly op: 'lookup'; readonly srcs: readonly Prim[] }
  /** A copy of base with value[i] stored (or combined in order of i) at [coords_0[i], ...]. srcs = base, value, ...coords. */
  | { readonly op: 'scatter'; readonly srcs: readonly Prim[]; readonly combine: 'add' | 'max' | 'min' | null }
  /** A copy of base whose window (as in `view`) is overwritten. srcs = base, value. */
  | { readonly op: 'store'; readonly srcs: readonly [Prim, Prim]; readonly strides: readonly Dim[]; readonly offset: Dim }
  /** Parts joined along `axis`. */
  | { readonly op: 'cat'; readonly srcs: readonly Prim[]; readonly axis: number }
  /** All results of a library function at once; seen only through `result`. `ins` and `outs` are the types as the function knows them. */
  | {
      readonly op: 'library';
      readonly fn: LibraryFunction;
      readonly constants: unknown;
      readonly srcs: readonly Prim[];
      readonly ins: readonly PrimType[];
      readonly outs: readonly PrimType[];
    }
  /** Result `index` of a library call. */
  | { readonly op: 'result'; readonly srcs: readonly [Prim]; readonly index: number }
  /** A complex number of two reals, and back. `schedule/complex.ts` replaces all complex prims by pairs before fusion. */
  | { readonly op: 'complex'; readonly srcs: readonly [Prim, Prim] }
  | { readonly op: 'part'; readonly part: 'real' | 'imag'; readonly srcs: readonly [Prim] }
  /** The first source, but what reads it is computed only when the second is in memory: independent parts of a large result one after the other. */
  | { readonly op: 'after'; readonly srcs: readonly [Prim, Prim] };

export interface PrimType {
  readonly shape: readonly Dim[];
  readonly dtype: DType;
}

export type PrimOp = PrimBody['op'];
export type Operand = Prim | number | bigint | boolean;

const noSources: readonly Prim[] = [];
let nextId = 0;

export class Prim {
  readonly id: number = nextId++;
  readonly body: PrimBody;
  readonly shape: readonly Dim[];
  readonly dtype: DType;
  constructor(body: PrimBody, shape: readonly Dim[], dtype: DType) {
    this.body = body;
    this.shape = shape;
    this.dtype = dtype;
  }
  get srcs(): readonly Prim[] {
    return 'srcs' in this.body ? this.body.srcs : noSources;
  }
  get ndim(): number {
    return this.shape.length;
  }

  // ---- element-wise
  scalar(fn: ScalarOp, ...others: Operand[]): Prim {
    return scalarPrim(fn, [this, ...others]);
  }
  add(other: Operand): Prim {
    return this.scalar('add', other);
  }
  sub(other: Operand): Prim {
    return this.scalar('sub', other);
  }
  mul(other: Operand): Prim {
    return this.scalar('mul', other);
  }
  div(other: Operand): Prim {
    return this.scalar('div', other);
  }
  neg(): Prim {
    return this.scalar('neg');
  }
  exp(): Prim {
    return this.scalar('exp');
  }
  log(): Prim {
    return this.scalar('log');
  }
  sqrt(): Prim {
    return this.scalar('sqrt');
  }
  minimum(other: Operand): Prim {
    return this.scalar('min', other);
  }
  maximum(other: Operand): Prim {
    return this.scalar('max', other);
  }
  lt(other: Operand): Prim {
    return this.scalar('lt', other);
  }
  le(other: Operand): Prim {
    return this.scalar('le', other);
  }
  gt(other: Operand): Prim {
    return toPrim(other, this).scalar('lt', this);
  }
  ge(other: Operand): Prim {
    return toPrim(other, this).scalar('le', this);
  }
  eq(other: Operand): Prim {
    return this.scalar('eq', other);
  }
  ne(other: Operand): Prim {
    return this.scalar('ne', other);
  }
  and(other: Operand): Prim {
    return this.scalar('and', other);
  }
  or(other: Operand): Prim {
    return this.scalar('or', other);
  }
  not(): Prim {
    return this.scalar('not');
  }
  /** This (bool) ? yes : no. */
  where(yes: Operand, no: Operand): Prim {
    const like = yes instanceof Prim ? yes : no instanceof Prim ? no : this;
    return scalarPrim('select', [this, toPrim(yes, like), toPrim(no, like)]);
  }
  /** This, for whoever should wait until `other` has been computed (its memory is then free for more). */
  after(other: Prim): Prim {
    return new Prim({ op: 'after', srcs: [this, other] }, this.shape, this.dtype);
  }
  cast(dtype: DType): Prim {
    if (dtype === this.dtype) return this;
    return new Prim({ op: 'cast', srcs: [this] }, this.shape, dtype);
  }
  bitcast(dtype: DType): Prim {
    return new Prim({ op: 'bitcast', srcs: [this] }, this.shape, dtype);
  }

  // ---- complex numbers
  /** Real part; of a real number, itself. */
  get real(): Prim {
    return this.#part('real');
  }
  /** Imaginary part; of a real number, zero. */
  get imag(): Prim {
    return this.dtype.is_complex ? this.#part('imag') : constant(0, this.dtype).expand(this.shape);
  }
  #part(part: 'real' | 'imag'): Prim {
    if (!this.dtype.is_complex) return this;
    if (this.body.op === 'complex') return this.body.srcs[part === 'real' ? 0 : 1];
    return new Prim({ op: 'part', part, srcs: [this] }, this.shape, this.dtype.real);
  }
  /** The conjugate; of a real number, itself: gradient rules may say `conj()` everywhere. */
  conj(): Prim {
    return this.dtype.is_complex ? complexOf(this.real, this.imag.neg()) : this;
  }

  // ---- movement
  view(shape: readonly Dim[], strides: readonly Dim[], offset: Dim): Prim {
    return new Prim({ op: 'view', srcs: [this], strides, offset }, shape, this.dtype);
  }
  /** Same elements in row-major order, another shape of equal size. */
  reshape(shape: readonly Dim[]): Prim {
    if (sameShape(shape, this.shape)) return this;
    return this.view(shape, rowMajor(shape), 0);
  }
  permute(order: readonly number[]): Prim {
    if (order.every((d, i) => d === i)) return this;
    const strides = rowMajor(this.shape);
    return this.view(
      order.map((d) => this.shape[d]),
      order.map((d) => strides[d]),
      0,
    );
  }
  /** The last two dims swapped. */
  get mT(): Prim {
    const n = this.ndim;
    return this.permute([...Array(n - 2).keys(), n - 1, n - 2]);
  }
  /** Broadcast to `shape`: new leading dims, and dims of size 1 repeated. */
  expand(shape: readonly Dim[]): Prim {
    if (sameShape(shape, this.shape)) return this;
    const lead = shape.length - this.ndim;
    const strides = rowMajor(this.shape);
    return this.view(
      shape,
      shape.map((_, i) => (i < lead || (this.shape[i - lead] === 1 && shape[i] !== 1) ? 0 : strides[i - lead])),
      0,
    );
  }
  unsqueeze(axis: number): Prim {
    return this.reshape([...this.shape.slice(0, axis), 1, ...this.shape.slice(axis)]);
  }
  squeeze(axis: number): Prim {
    return this.reshape(this.shape.filter((_, i) => i !== axis));
  }
  /** `length` elements along `axis` from `start`, every `step`-th. */
  slice(axis: number, start: Dim, length: Dim, step = 1): Prim {
    const strides = rowMajor(this.shape);
    return this.view(
      this.shape.map((d, i) => (i === axis ? length : d)),
      strides.map((s, i) => (i === axis ? dims.mul(s, step) : s)),
      dims.mul(start, strides[axis]),
    );
  }
  /** Zeros of `shape` with this at `starts`, `steps` apart. */
  pad(shape: readonly Dim[], starts: readonly Dim[], steps: readonly number[] = starts.map(() => 1)): Prim {
    return new Prim({ op: 'pad', srcs: [this], starts, steps }, shape, this.dtype);
  }

  // ---- reductions
  reduce(kind: ReduceKind, axes: readonly number[] = [...this.shape.keys()], keepdim = false): Prim {
    const sorted = [...axes].sort((a, b) => a - b);
    const dtype = kind === 'argmax' || kind === 'argmin' ? int64 : this.dtype;
    const kept = this.shape.filter((_, i) => !sorted.includes(i));
    if (this.dtype.is_complex && kind !== 'sum' && kind !== 'prod')
      throw new Error(
        kind === 'argmax' || kind === 'argmin'
          ? `${kind}(): does not support complex input`
          : `"${kind}_values_cpu" not implemented for '${scalarTypeName(this.dtype)}'`,
      );
    const out =
      sorted.length === 0 && dtype === this.dtype ? this : new Prim({ op: 'reduce', kind, srcs: [this], axes: sorted }, kept, dtype);
    return keepdim ? out.reshape(this.shape.map((d, i) => (sorted.includes(i) ? 1 : d))) : out;
  }
  sum(axes?: readonly number[], keepdim = false): Prim {
    return this.reduce('sum', axes, keepdim);
  }
  amax(axes?: readonly number[], keepdim = false): Prim {
    return this.reduce('max', axes, keepdim);
  }
  amin(axes?: readonly number[], keepdim = false): Prim {
    return this.reduce('min', axes, keepdim);
  }

  // ---- products, look-up, assembly
  dot(other: Prim): Prim {
    const n = this.ndim;
    return new Prim({ op: 'dot', srcs: [this, other] }, [...this.shape.slice(0, n - 1), other.shape[n - 1]], this.dtype);
  }
  lookup(coords: readonly Prim[]): Prim {
    return new Prim({ op: 'lookup', srcs: [this, ...coords] }, coords[0].shape, this.dtype);
  }
  scatter(value: Prim, coords: readonly Prim[], combine: 'add' | 'max' | 'min' | null): Prim {
    return new Prim({ op: 'scatter', srcs: [this, value, ...coords], combine }, this.shape, this.dtype);
  }
  store(value: Prim, strides: readonly Dim[], offset: Dim): Prim {
    return new Prim({ op: 'store', srcs: [this, value], strides, offset }, this.shape, this.dtype);
  }
}

export const sameShape = (a: readonly Dim[], b: readonly Dim[]): boolean => a.length === b.length && a.every((d, i) => dims.equal(d, b[i]));

export function rowMajor(shape: readonly Dim[]): Dim[] {
  const strides = new Array<Dim>(shape.length);
  let step: Dim = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    strides[i] = step;
    step = dims.mul(step, shape[i] === 0 ? 1 : shape[i]);
  }
  return strides;
}

const savedPrims = new WeakSet<Prim>();
/** Marks a prim of a body: a gradient reads it from memory rather than computing it again. */
export function saveForBackward(p: Prim): Prim {
  savedPrims.add(p);
  return p;
}
export const isSavedForBackward = (p: Prim): boolean => savedPrims.has(p);

export const input = (slot: number, shape: readonly Dim[], dtype: DType): Prim => new Prim({ op: 'input', slot }, shape, dtype);
export const param = (slot: number, dtype: DType): Prim => new Prim({ op: 'param', slot }, [], dtype);
export const dimPrim = (dim: Dim, dtype: DType): Prim =>
  typeof dim === 'number' ? constant(dim, dtype) : new Prim({ op: 'dim', dim }, [], dtype);
export const iota = (shape: readonly Dim[], axis: number): Prim => new Prim({ op: 'iota', axis }, shape, int64);

/** A 0-d constant, in the representation of its dtype's compute type. */
export function constant(value: number | bigint | boolean, dtype: DType): Prim {
  const compute = dtype.compute;
  const held = compute === 'i64' ? BigInt(value) : compute === 'bool' ? Boolean(value) : Number(value);
  return new Prim({ op: 'const', value: held }, [], dtype);
}
export const full = (shape: readonly Dim[], value: number | bigint | boolean, dtype: DType): Prim => constant(value, dtype).expand(shape);

/** re + im i. Both float32 or both float64, broadcast. */
export function complexOf(re: Prim, im: Prim): Prim {
  const shape = broadcast([re.shape, im.shape]);
  return new Prim({ op: 'complex', srcs: [re.expand(shape), im.expand(shape)] }, shape, re.dtype.complex);
}

/** A 0-d complex constant. */
export const complexConstant = (value: Complex, dtype: DType): Prim =>
  complexOf(constant(value.re, dtype.real), constant(value.im, dtype.real));

/** Calls a library function: one prim a result. */
export function callLibrary<C>(fn: LibraryFunction<C>, srcs: readonly Prim[], outs: readonly PrimType[], constants: C): Prim[] {
  const ins = srcs.map(({ shape, dtype }) => ({ shape, dtype }));
  const call = new Prim({ op: 'library', fn: fn as LibraryFunction, constants, srcs, ins, outs }, outs[0].shape, outs[0].dtype);
  return resultsOf(call);
}
const libraryResults = new WeakMap<Prim, Prim[]>();
/** The results of a library call, always the same prims. */
export function resultsOf(call: Prim): Prim[] {
  if (call.body.op !== 'library') throw new Error('internal: not a library call');
  let results = libraryResults.get(call);
  if (results === undefined) {
    results = call.body.outs.map((t, index) => new Prim({ op: 'result', srcs: [call], index }, t.shape, t.dtype));
    libraryResults.set(call, results);
  }
  return results;
}

export function cat(parts: readonly Prim[], axis: number): Prim {
  if (parts.length === 1) return parts[0];
  const total = parts.reduce<Dim>((sum, p) => dims.add(sum, p.shape[axis]), 0);
  return new Prim(
    { op: 'cat', srcs: parts, axis },
    parts[0].shape.map((d, i) => (i === axis ? total : d)),
    parts[0].dtype,
  );
}

const toPrim = (value: Operand, like: Prim): Prim => (value instanceof Prim ? value : constant(value, like.dtype));

/** Broadcast of shapes that are known to be compatible (callers have checked, with PyTorch's error text). */
export function broadcast(shapes: readonly (readonly Dim[])[]): readonly Dim[] {
  const n = Math.max(...shapes.map((s) => s.length));
  const out: Dim[] = [];
  for (let i = 0; i < n; i++) {
    let dim: Dim = 1;
    for (const s of shapes) {
      const at = i - (n - s.length);
      if (at < 0 || s[at] === 1) continue;
      if (dim !== 1 && !dims.equal(dim, s[at]))
        throw new Error(`internal: shapes do not broadcast: ${shapes.map((x) => `[${x.map(dims.keyOf)}]`).join(' ')}`);
      dim = s[at];
    }
    out.push(dim);
  }
  return out;
}

function scalarPrim(fn: ScalarOp, operands: readonly Operand[]): Prim {
  const like = operands.find((o): o is Prim => o instanceof Prim && !(fn === 'select' && o === operands[0])) ?? (operands[0] as Prim);
  const given = operands.map((o) => toPrim(o, like));
  const complex = given.find((p) => p.dtype.is_complex);
  if (complex !== undefined && !complexScalarOps.has(fn)) throw new Error(refusal(fn, complex.dtype));
  // Real operands beside complex ones are complex numbers without imaginary part.
  const prims = complex === undefined ? given : given.map((p, i) => (fn === 'select' && i === 0 ? p : p.cast(complex.dtype)));
  const shape = broadcast(prims.map((p) => p.shape));
  const last = prims[prims.length - 1].dtype;
  const dtype = scalarOps[fn].result === 'bool' ? bool : fn === 'abs' ? last.real : last;
  return new Prim({ op: 'scalar', fn, srcs: prims.map((p) => p.expand(shape)) }, shape, dtype);
}

/** Scalar operations that are defined for complex numbers (`complex-math.ts`). */
const complexScalarOps: ReadonlySet<ScalarOp> = new Set<ScalarOp>([
  ...(['add', 'sub', 'mul', 'div', 'neg', 'abs', 'sqrt', 'fma', 'eq', 'ne', 'select', 'pow'] as const),
  ...(['exp', 'exp2', 'expm1', 'log', 'log2', 'log10', 'log1p', 'sin', 'cos', 'tan', 'asin', 'acos', 'atan'] as const),
  ...(['sinh', 'cosh', 'tanh', 'asinh', 'acosh', 'atanh'] as const),
]);

/** PyTorch's text for what is not; operators with another text check before. */
function refusal(fn: ScalarOp, dtype: DType): string {
  switch (fn) {
    case 'floor':
    case 'ceil':
    case 'trunc':
      return `${fn} is not supported for complex inputs`;
    case 'min':
    case 'max':
      return `${fn}imum not implemented for complex tensors.`;
    case 'rint':
      return `"round_vml_cpu" not implemented for '${scalarTypeName(dtype)}'`;
    case 'erf':
    case 'erfc':
    case 'erfinv':
      return `"${fn}_vml_cpu" not implemented for '${scalarTypeName(dtype)}'`;
    default:
      return `"${fn}_cpu" not implemented for '${scalarTypeName(dtype)}'`;
  }
}

/**
 * Emission: primitives at an index become kernel-IR expressions.
 *
 * `Emitter.at(prim, indices)` is the whole of it: movement changes the indices, element-wise primitives become scalar operations, a primitive
 * that lives in memory becomes a load, a reduction becomes a reduce expression over axes of its own. The same walk, with loads only noted
 * down, tells the fuser at which positions a kernel reads what (`fuse.ts`), so what is checked is what is emitted.
 */
import type { DType } from '../dtype/dtype.ts';
import type { Prim } from '../graph/prim.ts';
import { rowMajor } from '../graph/prim.ts';
import { type Axis, type AxisKind, type Expr, KernelBuilder } from '../kernel/ir.ts';
import type { ComputeType } from '../kernel/scalar.ts';
import type { Dim } from '../shape/dim.ts';
import * as dims from '../shape/dim.ts';
import {
  addIndex,
  axisIndex,
  constantIndex,
  dataIndex,
  delinearize,
  divide,
  type Index,
  type IndexAtom,
  type LoopAxis,
  linear,
  rangeOf,
  scaleIndex,
  within,
  withoutConditions,
} from './index-map.ts';

/** Memory that a kernel reads or writes: buffer `id` of the program, with its element order given by strides over the prim's dims. */
export interface Placement {
  readonly buffer: number;
  readonly strides: readonly Dim[];
  /** Position of an element where that is not linear in the strides, or null where it cannot be had from here: then it is computed anew. */
  readonly position?: (indices: readonly Index[]) => Index | null;
  /** Of a local: the number of the row. */
  readonly anchor?: Index;
}

/** A number argument of a kernel: one of the program's symbols, or one of its scalars. */
export type ParamSource = { readonly kind: 'symbol' | 'scalar'; readonly slot: number; readonly type: ComputeType };

export interface EmitterOptions {
  /** Where a prim lies in memory as this kernel sees it, or null when it is computed here. */
  readonly placed: (prim: Prim) => Placement | null;
  /** Axes of a reduction; kernels that share a row axis among reductions hand out the same. */
  readonly reduceAxes: (prim: Prim) => readonly LoopAxis[];
  /** Called with each load's flat index, if given. */
  readonly onLoad?: (prim: Prim, index: Index) => void;
  /** First slot of local buffers: the number of the others. */
  readonly localBase?: number;
}

const narrow = new Set(['float16', 'bfloat16', 'float8_e4m3fn', 'float8_e5m2', 'int16', 'int8', 'uint8']);
const wraps = new Set(['add', 'sub', 'mul', 'neg', 'abs', 'shl', 'pow', 'not', 'idiv']);
const isNarrow = (dtype: DType): boolean => narrow.has(dtype.name);

export class Emitter {
  readonly builder: KernelBuilder;
  readonly buffers: number[] = [];
  readonly bufferTypes: DType[] = [];
  readonly params: ParamSource[] = [];
  /** Slots that are read. */
  readonly loaded: Set<number> = new Set();
  /** Scalar operations emitted: the size that the fuser bounds. */
  operations = 0;
  readonly #options: EmitterOptions;
  readonly #memo = new Map<string, Expr>();
  #nextAxis = 0;
  #scope = '';

  constructor(options: EmitterOptions, builder = new KernelBuilder()) {
    this.#options = options;
    this.builder = builder;
  }

  axis(name: string, extent: Dim, kind: AxisKind, id?: number): LoopAxis {
    const axis: Axis = this.builder.axis(name, this.dim(extent), kind);
    return { id: id ?? 1000 + this.#nextAxis++, extent, axis };
  }

  /** Slot of a program buffer among the kernel's buffers; local `-2 - i` is slot `localBase + i`. */
  buffer(id: number, dtype: DType): number {
    if (id <= -2) return this.#options.localBase! - 2 - id;
    const at = this.buffers.findIndex((b, i) => b === id && this.bufferTypes[i] === dtype);
    if (at >= 0) return at;
    this.bufferTypes.push(dtype);
    return this.buffers.push(id) - 1;
  }

  /** Forgets what has been emitted where: a prim has got a place in memory. */
  forget(): void {
    this.#memo.clear();
  }

  #param(source: ParamSource): Expr {
    let at = this.params.findIndex((p) => p.kind === source.kind && p.slot === source.slot && p.type === source.type);
    if (at < 0) at = this.params.push(source) - 1;
    return this.builder.param(source.type, at);
  }

  dim(d: Dim): Expr {
    const b = this.builder;
    if (typeof d === 'number') return b.index(d);
    let sum = b.index(0);
    for (const t of d.terms) {
      let product = b.index(t.factor);
      for (const atom of t.atoms) {
        const factor: Expr =
          atom.kind === 'symbol'
            ? this.#param({ kind: 'symbol', slot: atom.slot, type: 'index' })
            : b.scalar(atom.kind === 'quotient' ? 'idiv' : 'irem', this.dim(atom.left), this.dim(atom.right));
        product = b.scalar('mul', factor, product);
      }
      sum = b.scalar('add', sum, product);
    }
    return sum;
  }

  index(index: Index): Expr {
    const b = this.builder;
    let sum = b.index(0);
    for (const t of index.terms) sum = b.scalar('add', sum, b.scalar('mul', this.#atom(t.atom), this.dim(t.factor)));
    return b.scalar('add', sum, this.dim(index.offset));
  }

  #atom(atom: IndexAtom): Expr {
    switch (atom.kind) {
      case 'axis':
        return this.builder.use(atom.axis.axis);
      case 'quotient':
        return this.builder.scalar('idiv', this.index(atom.of), this.dim(atom.by));
      case 'remainder':
        return this.builder.scalar('irem', this.index(atom.of), this.dim(atom.by));
      case 'data':
        return atom.expr;
      case 'within':
        return this.index(atom.of);
      default:
        return atom satisfies never;
    }
  }

  /** The value of `prim` at `indices`, where `mask` (if any) says whether it will be used. */
  at(prim: Prim, indices: readonly Index[], mask: Expr | null = null): Expr {
    const key = `${this.#scope}${prim.id}:${mask?.id ?? ''}:${indices.map((i) => i.key).join(';')}`;
    let expr = this.#memo.get(key);
    if (expr === undefined) {
      expr = this.#emit(prim, indices, mask);
      this.#memo.set(key, expr);
    }
    return expr;
  }

  #load(prim: Prim, place: Placement, flat: Index, mask: Expr | null): Expr {
    this.#options.onLoad?.(prim, flat);
    const slot = this.buffer(place.buffer, prim.dtype);
    this.loaded.add(slot);
    return this.builder.load(slot, prim.dtype.compute, this.index(flat), mask, place.anchor ? this.index(place.anchor) : null);
  }

  #emit(prim: Prim, indices: readonly Index[], mask: Expr | null): Expr {
    const b = this.builder;
    const place = this.#options.placed(prim);
    const flat = place === null ? null : place.position === undefined ? linear(indices, place.strides) : place.position(indices);
    if (place !== null && flat !== null) return this.#load(prim, place, withoutConditions(flat), mask);
    const type = prim.dtype.compute;
    const body = prim.body;
    switch (body.op) {
      case 'const':
        // As kernels hold it: the reference interpreter multiplies by pi as float32 too.
        return b.const(type, type === 'f32' ? Math.fround(Number(body.value)) : body.value);
      case 'param':
        return this.#param({ kind: 'scalar', slot: body.slot, type });
      case 'dim':
        return this.#convert(this.dim(body.dim), 'index', prim.dtype);
      case 'iota':
        return b.cast('i64', this.index(indices[body.axis]));
      case 'scalar': {
        this.operations++;
        // A comparison of positions (a causal mask) needs no 64-bit lanes: it is index arithmetic, like a pad's bounds.
        if (body.fn === 'lt' || body.fn === 'le' || body.fn === 'eq' || body.fn === 'ne') {
          const [left, right] = body.srcs.map((src) => (src.dtype.kind === 'int' ? this.#symbolic(src, indices) : null));
          if (left && right) return b.scalar(body.fn, this.index(left), this.index(right));
        }
        const out = b.scalar(body.fn, ...body.srcs.map((s) => this.at(s, indices, mask)));
        const rounds = isNarrow(prim.dtype) && (prim.dtype.is_floating_point ? body.fn !== 'select' : wraps.has(body.fn));
        return rounds ? b.round(prim.dtype, out) : out;
      }
      case 'cast': {
        const src = body.srcs[0];
        return this.#convert(this.at(src, indices, mask), src.dtype.compute, prim.dtype, src.dtype);
      }
      case 'bitcast':
        return b.bitcast(type, this.at(body.srcs[0], indices, mask));
      case 'view': {
        const src = body.srcs[0];
        return this.at(src, delinearize(linear(indices, body.strides, body.offset), src.shape), mask);
      }
      case 'pad': {
        const src = body.srcs[0];
        let inside: Expr | null = null;
        const both = (c: Expr): void => {
          inside = inside === null ? c : b.scalar('and', inside, c);
        };
        const inner = indices.map((index, k) => {
          const step = body.steps[k];
          const size = src.shape[k];
          if (step === 1 && body.starts[k] === 0 && dims.equal(size, prim.shape[k])) return index;
          const shifted = addIndex(index, constantIndex(dims.mul(body.starts[k], -1)));
          const forward = step > 0 ? shifted : scaleIndex(shifted, -1);
          const range = rangeOf(forward);
          const reach = dims.mul(size, Math.abs(step));
          const at = this.index(forward);
          if (range === null || !dims.provablyAtMost(0, range.low)) both(b.scalar('le', b.index(0), at));
          if (range === null || !dims.provablyAtMost(range.high, dims.sub(reach, 1))) both(b.scalar('lt', at, this.dim(reach)));
          if (Math.abs(step) === 1) return within(forward, size);
          const { quotient, remainder } = divide(forward, Math.abs(step));
          if (remainder.terms.length > 0 || remainder.offset !== 0) both(b.scalar('eq', this.index(remainder), b.index(0)));
          return within(quotient, size);
        });
        if (inside === null) return this.at(src, inner, mask);
        const masked: Expr = mask === null ? inside : b.scalar('and', mask, inside);
        const zero = b.const(type, type === 'i64' ? 0n : type === 'bool' ? false : 0);
        return b.scalar('select', inside, this.at(src, inner, masked), zero);
      }
      case 'reduce': {
        const src = body.srcs[0];
        const axes = this.#options.reduceAxes(prim);
        // Several loop axes may walk one reduced dim list: the position along it is one number, split over the reduced dims.
        const sizes = body.axes.map((a) => src.shape[a]);
        const extents = axes.map((a) => a.extent);
        const flat = linear(axes.map(axisIndex), rowMajor(extents));
        const along =
          axes.length === sizes.length && sizes.every((s, i) => dims.equal(s, extents[i])) ? axes.map(axisIndex) : delinearize(flat, sizes);
        let kept = 0;
        let reduced = 0;
        const inner = src.shape.map((_, k) => (body.axes.includes(k) ? along[reduced++] : indices[kept++]));
        const scope = this.#scope;
        this.#scope = `${scope}${axes.map((a) => a.axis.id).join(',')}|`;
        const value = this.at(src, inner, null);
        this.#scope = scope;
        this.operations++;
        const walked = axes.filter((a) => a.extent !== 1).map((a) => a.axis);
        // One element is its own reduction, whatever the kind.
        if (walked.length === 0) return body.kind === 'argmax' || body.kind === 'argmin' ? b.const('i64', 0n) : value;
        const out = b.reduce(body.kind, walked, value);
        const result = out.type === 'index' ? b.cast('i64', out) : out;
        return isNarrow(prim.dtype) ? b.round(prim.dtype, result) : result;
      }
      case 'lookup': {
        const [src, ...coords] = body.srcs;
        return this.at(
          src,
          coords.map((c, k) => this.coordinate(c, indices, mask, src.shape[k])),
          mask,
        );
      }
      case 'after':
        return this.at(body.srcs[0], indices, mask);
      case 'input':
      case 'dot':
      case 'scatter':
      case 'store':
      case 'cat':
      case 'library':
      case 'result':
        throw new Error(`internal: ${body.op} has no place in memory`);
      case 'complex':
      case 'part':
        throw new Error(`internal: ${body.op} was not lowered to pairs`);
      default:
        return body satisfies never;
    }
  }

  /** An integer prim as an index: arithmetic on positions stays symbolic; loaded numbers are clamped to the dim, so memory is safe whatever the data. */
  coordinate(prim: Prim, indices: readonly Index[], mask: Expr | null, size: Dim): Index {
    const symbolic = this.#symbolic(prim, indices);
    if (symbolic !== null) return symbolic;
    const b = this.builder;
    const raw = b.cast('index', this.at(prim, indices, mask));
    return dataIndex(b.scalar('max', b.index(0), b.scalar('min', raw, b.scalar('add', this.dim(size), b.index(-1)))));
  }

  #symbolic(prim: Prim, indices: readonly Index[]): Index | null {
    if (this.#options.placed(prim) !== null) return null;
    const body = prim.body;
    switch (body.op) {
      case 'after':
        return this.#symbolic(body.srcs[0], indices);
      case 'iota':
        return indices[body.axis];
      case 'const':
        return constantIndex(Number(body.value));
      case 'dim':
        return constantIndex(body.dim);
      case 'view': {
        const src = body.srcs[0];
        return this.#symbolic(src, delinearize(linear(indices, body.strides, body.offset), src.shape));
      }
      case 'scalar': {
        const [left, right] = body.srcs;
        if (body.fn !== 'add' && body.fn !== 'mul' && body.fn !== 'sub' && body.fn !== 'idiv' && body.fn !== 'irem') return null;
        const a = this.#symbolic(left, indices);
        const c = a === null ? null : this.#symbolic(right, indices);
        if (a === null || c === null) return null;
        if (body.fn === 'idiv' || body.fn === 'irem') {
          // Positions are divided as if never negative, by a number.
          const range = rangeOf(a);
          if (range === null || !dims.provablyAtMost(0, range.low) || c.terms.length > 0 || !dims.provablyAtMost(1, c.offset)) return null;
          const { quotient, remainder } = divide(a, c.offset);
          return body.fn === 'idiv' ? quotient : remainder;
        }
        if (body.fn === 'add') return addIndex(a, c);
        if (body.fn === 'sub') return addIndex(a, scaleIndex(c, -1));
        if (c.terms.length === 0) return scaleIndex(a, c.offset);
        return a.terms.length === 0 ? scaleIndex(c, a.offset) : null;
      }
      default:
        return null;
    }
  }

  #convert(expr: Expr, from: ComputeType, to: DType, source?: DType): Expr {
    const b = this.builder;
    if (from === to.compute && !isNarrow(to)) return expr;
    let out = expr;
    if (from !== to.compute) {
      // Narrow integers are cut out of int64 by way of int32, as C's conversions do.
      out = from === 'index' && to.compute !== 'i64' ? b.cast(to.compute, b.cast('i64', expr)) : b.cast(to.compute, expr);
    }
    const exact = source !== undefined && (source === to || source.kind === 'bool');
    return isNarrow(to) && !exact ? b.round(to, out) : out;
  }
}

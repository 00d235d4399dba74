/**
 * Kernel IR: what a kernel computes, as scalar expressions over loop axes.
 *
 * A kernel is a parallel grid over a body of loops and stores. A stored value is an expression: loads at index expressions, scalar
 * operations, and reductions, which are expressions with axes of their own. A reduction is evaluated in the shallowest loop that binds
 * its free axes, so softmax is one store whose value contains two nested reductions, and lowering finds the three passes over the row.
 *
 * Expressions are immutable and hash-consed by a `KernelBuilder`: the same expression is the same object within one kernel.
 * Nothing here knows lanes, registers or threads; `schedule.ts` sets the axis kinds, the back ends lower.
 *
 * **The order of a reduction is part of the meaning** (results must not depend on fusion, threads or the instruction set). For axes
 * [a0, ..., ak], with the last axis of extent K: the outer axes run in order; within them, the last axis runs in blocks of 1024;
 * within a block, element i is combined into lane i % 16 in increasing order of i, starting from the identity; after each block,
 * the 16 lanes are combined into 16 running totals (for extents up to 1024 and no outer axes that is the only block, and the totals
 * are the lanes); at the end the totals are combined as a tree: l with l + 8, then l + 4, l + 2, l + 1 (total = combine(lower, upper)).
 */
import type { DType } from '../dtype/dtype.ts';
import type { ComputeType, ScalarOp } from './scalar.ts';

/** `grid`: parallel, in the kernel's grid. `vector`: independent iterations, across lanes. `serial`: in order. `reduce`: belongs to a reduction. */
export type AxisKind = 'grid' | 'vector' | 'serial' | 'reduce';

export interface Axis {
  readonly id: number;
  readonly name: string;
  /** Number of iterations: an index expression over constants and parameters only. May be zero at run time. */
  readonly extent: Expr;
  kind: AxisKind;
}

export type ReduceKind = 'sum' | 'prod' | 'max' | 'min' | 'any' | 'all' | 'argmax' | 'argmin';

export type Expr = ConstExpr | ParamExpr | AxisExpr | LoadExpr | ScalarExpr | CastExpr | BitcastExpr | RoundExpr | ReduceExpr;

interface ExprBase {
  readonly id: number;
  readonly type: ComputeType;
}
/** i64 constants are bigint, bool are boolean, all others number. */
export interface ConstExpr extends ExprBase {
  readonly op: 'const';
  readonly value: number | bigint | boolean;
}
/** A number that may change from run to run: slot `slot` of the argument block's parameters. */
export interface ParamExpr extends ExprBase {
  readonly op: 'param';
  readonly slot: number;
}
export interface AxisExpr extends ExprBase {
  readonly op: 'axis';
  readonly axis: Axis;
}
/** Element `index` (in elements, from the start of the buffer) converted to the compute type; where `mask` is false nothing is read and the value is 0. */
export interface LoadExpr extends ExprBase {
  readonly op: 'load';
  readonly buffer: number;
  readonly index: Expr;
  readonly mask: Expr | null;
  /** Of a load from a local buffer: the number of the grid item that it belongs to. It is never computed; it ties the load to the item's axes. */
  readonly anchor: Expr | null;
}
export interface ScalarExpr extends ExprBase {
  readonly op: 'scalar';
  readonly fn: ScalarOp;
  readonly args: readonly Expr[];
}
/** Value conversion between compute types: float to int truncates (out of range: as cvttss2si, INT_MIN; index from float is not allowed), to bool is != 0, int64 to int32 wraps. */
export interface CastExpr extends ExprBase {
  readonly op: 'cast';
  readonly arg: Expr;
}
/** Same bits: f32 <-> i32, f64 <-> i64. */
export interface BitcastExpr extends ExprBase {
  readonly op: 'bitcast';
  readonly arg: Expr;
}
/** The value that remains after storing as `dtype` and loading again: f32 rounded to bfloat16/float16/fp8, i32 wrapped to int16/int8/uint8. */
export interface RoundExpr extends ExprBase {
  readonly op: 'round';
  readonly dtype: DType;
  readonly arg: Expr;
}
/** Combines `value` over `axes` (see the order above). Identity: 0, 1, -inf / lowest, +inf / highest, false, true. max/min propagate NaN.
 * argmax/argmin: the index (row-major over the axes, type index) of the best value; the first among equals; a NaN is the best. */
export interface ReduceExpr extends ExprBase {
  readonly op: 'reduce';
  readonly kind: ReduceKind;
  readonly axes: readonly Axis[];
  readonly value: Expr;
}

export type Statement = LoopStatement | StoreStatement;
export interface LoopStatement {
  readonly kind: 'loop';
  readonly axis: Axis;
  readonly body: readonly Statement[];
}
/** Writes `value`, already rounded to the buffer's dtype. With `combine` it reads, combines and writes: only in a serial loop, or where no two iterations meet. */
export interface StoreStatement {
  readonly kind: 'store';
  readonly buffer: number;
  readonly index: Expr;
  readonly value: Expr;
  readonly mask: Expr | null;
  readonly combine: 'add' | 'max' | 'min' | null;
}

/** `local`: private to a grid item, `elements` long, in the scratch memory of the thread; what a row computes once and reads in several passes. */
export interface BufferDeclaration {
  readonly dtype: DType;
  readonly access: 'read' | 'write' | 'readwrite' | 'local';
  readonly elements?: number;
}

type Buffers = readonly BufferDeclaration[];
/** Buffers that have an address in the argument block: locals come after them. */
export const argumentCount = (buffers: Buffers): number => buffers.filter((b) => b.access !== 'local').length;
/** Bytes of scratch memory before local `slot` (before all, for the length: the memory that a kernel needs). */
export function localOffset(buffers: Buffers, slot = buffers.length): number {
  return buffers
    .slice(0, slot)
    .reduce((sum, b) => (b.access === 'local' ? sum + Math.ceil((b.elements! * b.dtype.itemsize) / 64) * 64 : sum), 0);
}

/**
 * Argument block, 8-byte words: one address per buffer that is not local, then one word per parameter (index and i64: int64; i32: low 32 bits; f32: low 32
 * bits as float; f64: double; bool: 0 or 1). `void kernel(u64* args, i64 begin, i64 end, u64 scratch)` runs grid indices [begin, end):
 * the grid axes are the digits of a grid index, the last axis the fastest. A grid of exactly one axis may be of kind `vector`
 * (flat element-wise kernels): then begin is a multiple of 16.
 */
export interface Kernel {
  readonly name: string;
  readonly buffers: readonly BufferDeclaration[];
  readonly params: readonly ComputeType[];
  readonly grid: readonly Axis[];
  readonly body: readonly Statement[];
}

const constant = (e: Expr): number | null => (e.op === 'const' && typeof e.value === 'number' ? e.value : null);

/** Makes hash-consed expressions, folding index arithmetic as it goes (data arithmetic is never changed: x + 0 is not x for -0). */
export class KernelBuilder {
  readonly #interned = new Map<string, Expr>();
  #axes = 0;

  #make(key: string, build: (id: number) => Expr): Expr {
    let found = this.#interned.get(key);
    if (found === undefined) {
      found = build(this.#interned.size);
      this.#interned.set(key, found);
    }
    return found;
  }

  axis(name: string, extent: Expr | number, kind: AxisKind): Axis {
    return { id: this.#axes++, name, extent: typeof extent === 'number' ? this.index(extent) : extent, kind };
  }
  index(value: number): Expr {
    return this.const('index', value);
  }
  const(type: ComputeType, value: number | bigint | boolean): Expr {
    const text = Object.is(value, -0) ? '-0' : String(value);
    return this.#make(`c${type}:${text}`, (id) => ({ op: 'const', id, type, value }));
  }
  param(type: ComputeType, slot: number): Expr {
    return this.#make(`p${slot}`, (id) => ({ op: 'param', id, type, slot }));
  }
  use(axis: Axis): Expr {
    if (constant(axis.extent) === 1) return this.index(0);
    return this.#make(`a${axis.id}`, (id) => ({ op: 'axis', id, type: 'index', axis }));
  }
  load(buffer: number, type: ComputeType, index: Expr, mask: Expr | null = null, anchor: Expr | null = null): Expr {
    const key = `l${buffer}:${type}:${index.id}:${mask?.id ?? ''}:${anchor?.id ?? ''}`;
    return this.#make(key, (id) => ({ op: 'load', id, type, buffer, index, mask, anchor }));
  }
  cast(type: ComputeType, arg: Expr): Expr {
    if (arg.type === type) return arg;
    return this.#make(`t${type}:${arg.id}`, (id) => ({ op: 'cast', id, type, arg }));
  }
  bitcast(type: ComputeType, arg: Expr): Expr {
    return this.#make(`b${type}:${arg.id}`, (id) => ({ op: 'bitcast', id, type, arg }));
  }
  round(dtype: DType, arg: Expr): Expr {
    return this.#make(`r${dtype.name}:${arg.id}`, (id) => ({ op: 'round', id, type: arg.type, dtype, arg }));
  }
  reduce(kind: ReduceKind, axes: readonly Axis[], value: Expr): Expr {
    const type: ComputeType = kind === 'argmax' || kind === 'argmin' ? 'index' : value.type;
    return this.#make(`R${kind}:${axes.map((a) => a.id).join(',')}:${value.id}`, (id) => ({ op: 'reduce', id, type, kind, axes, value }));
  }
  scalar(fn: ScalarOp, ...args: Expr[]): Expr {
    if (args[args.length - 1].type === 'index') {
      const folded = this.#foldIndex(fn, args);
      if (folded !== null) return folded;
    }
    const compare = fn === 'lt' || fn === 'le' || fn === 'eq' || fn === 'ne';
    const type: ComputeType = compare ? 'bool' : args[args.length - 1].type;
    return this.#make(`s${fn}:${args.map((a) => a.id).join(',')}`, (id) => ({ op: 'scalar', id, type, fn, args }));
  }

  // Index arithmetic is exact on non-negative safe integers, so these rewrites are always right.
  #foldIndex(fn: ScalarOp, args: readonly Expr[]): Expr | null {
    const [a, b] = args;
    const x = constant(a);
    const y = b === undefined ? null : constant(b);
    switch (fn) {
      case 'add':
        if (x !== null && y !== null) return this.index(x + y);
        if (x === 0) return b;
        if (y === 0) return a;
        if (x !== null) return this.scalar('add', b, a);
        if (y !== null && a.op === 'scalar' && a.fn === 'add' && constant(a.args[1]) !== null)
          return this.scalar('add', a.args[0], this.index(constant(a.args[1])! + y));
        return null;
      case 'sub':
        if (x !== null && y !== null) return this.index(x - y);
        if (y === 0) return a;
        if (a === b) return this.index(0);
        if (y !== null) return this.scalar('add', a, this.index(-y));
        return null;
      case 'mul':
        if (x !== null && y !== null) return this.index(x * y);
        if (x === 0 || y === 0) return this.index(0);
        if (x === 1) return b;
        if (y === 1) return a;
        if (x !== null) return this.scalar('mul', b, a);
        if (y !== null && a.op === 'scalar' && a.fn === 'mul' && constant(a.args[1]) !== null)
          return this.scalar('mul', a.args[0], this.index(constant(a.args[1])! * y));
        return null;
      case 'idiv':
        if (x !== null && y !== null && y !== 0) return this.index(Math.trunc(x / y));
        if (y === 1) return a;
        if (x === 0) return a;
        return null;
      case 'irem':
        if (x !== null && y !== null && y !== 0) return this.index(x % y);
        if (y === 1) return this.index(0);
        if (x === 0) return a;
        return null;
      case 'lt':
        if (x !== null && y !== null) return this.const('bool', x < y);
        return null;
      case 'le':
        if (x !== null && y !== null) return this.const('bool', x <= y);
        return null;
      case 'min':
      case 'max':
        if (x !== null && y !== null) return this.index(fn === 'min' ? Math.min(x, y) : Math.max(x, y));
        return a === b ? a : null;
      default:
        return null;
    }
  }
}

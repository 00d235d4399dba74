/**
 * Lowering of reductions, in the order that ir.ts states.
 *
 * Two forms give the same bits. Where the result does not depend on the lane axis, the last reduce axis runs across lanes: 16/P
 * accumulators, a masked tail, a tree over registers and then over lanes. Inside a vector loop (column sums) each lane has a reduction of
 * its own: 16 accumulators for i % 16, the loop unrolled by 16. Reductions over the same axes in one scope share one loop.
 */
import { freeAxes, isReduce, reachable } from './expression.ts';
import type { Axis, Expr, ReduceExpr } from './ir.ts';
import type { ExpressionLowering } from './lower-expression.ts';
import { Scope } from './lower-scope.ts';
import { noIndex, reduceIdentity } from './reduce-identity.ts';
import type { IndexOperand, Register, RegisterType, VectorStatement } from './vector-ir.ts';
import { registerType } from './vector-ir.ts';

const virtualLanes = 16;
const blockLength = 1024;
const combineOps = { sum: 'add', prod: 'mul', max: 'max', min: 'min', any: 'or', all: 'and' } as const;

/** One accumulator; `index` only for argmax and argmin. */
interface Cell {
  readonly value: Register;
  readonly index: Register | null;
}
type Best = ReduceExpr & { kind: 'argmax' | 'argmin' };
const isBest = (e: ReduceExpr): e is Best => e.kind === 'argmax' || e.kind === 'argmin';

/** Emits the reduction `e`, and others that may share its loop, into `home`. */
export function lowerReduce(low: ExpressionLowering, e: ReduceExpr, home: Scope): void {
  const group = groupOf(low, e, home);
  const laneForm = !home.varies(e);
  for (const r of group) low.inProgress.add(r);
  new ReduceLoop(low, group, home, laneForm).emit();
  for (const r of group) low.inProgress.delete(r);
}

/** Reductions over the same axes that belong into the same scope and do not need one another. */
function groupOf(low: ExpressionLowering, e: ReduceExpr, home: Scope): ReduceExpr[] {
  const group = [e];
  const sameAxes = (r: ReduceExpr): boolean => r.axes.length === e.axes.length && r.axes.every((a, i) => a === e.axes[i]);
  const candidates = [...reachable(home.roots)].filter(isReduce);
  for (const r of candidates) {
    if (r === e || !sameAxes(r) || done(r, home) || low.inProgress.has(r)) continue;
    if (!boundBelow(r, home) || home.varies(r) !== home.varies(e)) continue;
    // what is in a local may not be there yet
    if (readsLocal(low, r)) continue;
    const below = reachable([r.value]);
    if (group.some((g) => below.has(g) || reachable([g.value]).has(r))) continue;
    // what r needs must not wait for a member of the group: everything between is checked by `below`
    group.push(r);
  }
  return group;
}
const readsLocal = (low: ExpressionLowering, r: ReduceExpr): boolean =>
  [...reachable([r.value])].some((e) => e.op === 'load' && low.buffers[e.buffer].access === 'local');
function done(r: ReduceExpr, home: Scope): boolean {
  return home.values.has(r) || home.indices.has(r) || home.laneIndices.has(r);
}
/** Is `home` exactly where `r` is evaluated: every free axis bound on the way, the deepest one by `home`? */
function boundBelow(r: ReduceExpr, home: Scope): boolean {
  for (const axis of freeAxes(r)) {
    let s: Scope | null = home;
    while (s !== null && !s.bindings.has(axis)) s = s.parent;
    if (s === null) return false;
  }
  return home.home(r) === home;
}

class ReduceLoop {
  readonly #low: ExpressionLowering;
  readonly #group: readonly ReduceExpr[];
  readonly #home: Scope;
  readonly #laneForm: boolean;
  readonly #cells: number;
  readonly #roots: Expr[];

  constructor(low: ExpressionLowering, group: readonly ReduceExpr[], home: Scope, laneForm: boolean) {
    this.#low = low;
    this.#group = group;
    this.#home = home;
    this.#laneForm = laneForm;
    this.#cells = laneForm ? virtualLanes / low.lanes : virtualLanes;
    this.#roots = group.map((r) => r.value);
  }

  emit(): void {
    const low = this.#low;
    const home = this.#home;
    const axes = this.#group[0].axes;
    const last = axes[axes.length - 1];
    const extent = low.index(last.extent, home);
    const outer = axes.slice(0, -1);
    const blocks = outer.length > 0 || typeof extent !== 'number' || extent > blockLength;
    // operands that belong further out come first: emitting them inside would be as right, but would lengthen the accumulators' lives
    const totals = this.#newCells(home);
    if (!blocks) this.#block(home, last, 0, extent, totals, 0);
    else this.#outerLoops(home, outer, 0, null, last, extent, totals);
    this.#group.forEach((r, i) => {
      this.#finish(r, totals[i]);
    });
  }

  #newCells(scope: Scope): Cell[][] {
    const low = this.#low;
    return this.#group.map((r) => {
      const type = cellType(r);
      return Array.from({ length: this.#cells }, () => ({
        value: low.constant(scope, type, identityOf(r)),
        index: isBest(r) ? low.constant(scope, 'i32', noIndex) : null,
      }));
    });
  }

  /** Loops over the outer axes; `row` counts them row-major for argmax. */
  #outerLoops(
    scope: Scope,
    axes: readonly Axis[],
    at: number,
    row: IndexOperand | null,
    last: Axis,
    extent: IndexOperand,
    totals: Cell[][],
  ): void {
    const low = this.#low;
    if (at < axes.length) {
      const axis = axes[at];
      const inner = new Scope(scope, this.#roots);
      const counter = low.register('index');
      inner.bindings.set(axis, { counter, offset: 0, lanes: false, home: inner });
      const to = low.index(axis.extent, scope);
      const needRow = this.#group.some(isBest);
      const next = !needRow
        ? null
        : row === null
          ? counter
          : low.indexOp(inner, 'add', low.indexOp(inner, 'mul', row, low.index(axis.extent, inner)), counter);
      this.#outerLoops(inner, axes, at + 1, next, last, extent, totals);
      scope.code.push({ kind: 'loop', counter, from: 0, to, step: 1, body: inner.code });
      return;
    }
    const rowStart = row === null ? 0 : low.indexOp(scope, 'mul', row, extent);
    if (typeof extent === 'number' && extent <= blockLength) {
      this.#blockInto(scope, last, 0, extent, totals, rowStart);
      return;
    }
    const inner = new Scope(scope, this.#roots);
    const start = low.register('index');
    const end = low.indexOp(inner, 'min', low.indexOp(inner, 'add', start, blockLength), extent);
    this.#blockInto(inner, last, start, end, totals, rowStart);
    scope.code.push({ kind: 'loop', counter: start, from: 0, to: extent, step: blockLength, body: inner.code });
  }

  #blockInto(scope: Scope, last: Axis, from: IndexOperand, to: IndexOperand, totals: Cell[][], rowStart: IndexOperand): void {
    const cells = this.#newCells(scope);
    this.#block(scope, last, from, to, cells, rowStart);
    this.#group.forEach((r, g) => {
      totals[g].forEach((total, c) => {
        this.#merge(r, scope, total, cells[g][c]);
      });
    });
  }

  /** Elements [from, to) of the last axis into cells; from is a multiple of 16. */
  #block(scope: Scope, last: Axis, from: IndexOperand, to: IndexOperand, cells: Cell[][], rowStart: IndexOperand): void {
    const low = this.#low;
    if (this.#group.some((r) => [...reachable([r.value])].some((v) => isReduce(v) && freeAxes(v).has(last)))) {
      // loops inside: one guarded copy of the body, not a main loop and a tail
      const body = new Scope(scope, this.#roots);
      const counter = low.register('index');
      this.#copies(body, body, last, counter, low.indexOp(body, 'sub', to, counter), cells, rowStart);
      scope.code.push({ kind: 'loop', counter, from, to, step: virtualLanes, body: body.code });
      return;
    }
    const rest =
      typeof from === 'number' && typeof to === 'number' ? (to - from) % virtualLanes : low.indexOp(scope, 'and', to, virtualLanes - 1);
    const mainEnd = low.indexOp(scope, 'sub', to, rest);
    const trips = typeof from === 'number' && typeof mainEnd === 'number' ? (mainEnd - from) / virtualLanes : null;
    if (trips === 1) this.#copies(scope, scope, last, from, null, cells, rowStart);
    else if (trips !== 0) {
      const body = new Scope(scope, this.#roots);
      const counter = low.register('index');
      this.#copies(body, body, last, counter, null, cells, rowStart);
      scope.code.push({ kind: 'loop', counter, from, to: mainEnd, step: virtualLanes, body: body.code });
    }
    if (rest === 0) return;
    if (typeof rest === 'number') {
      this.#copies(scope, scope, last, mainEnd, rest, cells, rowStart);
      return;
    }
    const body = new Scope(scope, this.#roots);
    this.#copies(body, body, last, mainEnd, rest, cells, rowStart);
    scope.code.push({ kind: 'if', op: 'lt', a: mainEnd, b: to, then: body.code, else: [] });
  }

  /** The 16 virtual lanes at `counter`; `rest`: only so many elements are left. */
  #copies(
    scope: Scope,
    home: Scope,
    last: Axis,
    counter: IndexOperand,
    rest: IndexOperand | null,
    cells: Cell[][],
    rowStart: IndexOperand,
  ): void {
    const low = this.#low;
    if (this.#laneForm) {
      for (let p = 0; p < this.#cells; p++) {
        const offset = p * low.lanes;
        const left = rest === null ? null : low.indexOp(scope, 'sub', rest, offset);
        if (typeof left === 'number' && left <= 0) break;
        const copy = new Scope(scope, this.#roots);
        copy.laneAxis = last;
        copy.count = typeof left === 'number' && left >= low.lanes ? null : left;
        copy.bindings.set(last, { counter, offset, lanes: true, home });
        this.#accumulate(copy, cells, p, rowStart, counter, offset);
        if (typeof left === 'number' || left === null || p === 0) scope.code.push(...copy.code);
        else scope.code.push({ kind: 'if', op: 'lt', a: 0, b: left, then: copy.code, else: [] });
      }
      return;
    }
    let into: VectorStatement[] = scope.code;
    for (let t = 0; t < virtualLanes; t++) {
      if (typeof rest === 'number' && t >= rest) break;
      const copy = new Scope(scope, this.#roots);
      copy.bindings.set(last, { counter, offset: t, lanes: false, home });
      this.#accumulate(copy, cells, t, rowStart, counter, t);
      if (rest === null || typeof rest === 'number') scope.code.push(...copy.code);
      else {
        // elements that are left are the first ones: one test inside the other
        const then: VectorStatement[] = copy.code;
        into.push({ kind: 'if', op: 'lt', a: t, b: rest, then, else: [] });
        into = then;
      }
    }
  }

  #accumulate(copy: Scope, cells: Cell[][], c: number, rowStart: IndexOperand, counter: IndexOperand, offset: number): void {
    const low = this.#low;
    this.#group.forEach((r, g) => {
      let value = low.value(r.value, copy);
      if (value.type !== cellType(r)) {
        const src = value;
        value = low.register(cellType(r));
        copy.code.push({ kind: 'cast', dst: value, src });
      }
      const cell = cells[g][c];
      if (this.#laneForm && copy.count !== null) {
        const active = low.activeMask(copy, null);
        const identity = low.sharedConstant(copy, value.type, identityOf(r));
        if (active !== null) value = low.vector(copy, 'select', value.type, active, value, identity);
      }
      if (!isBest(r)) {
        const op = combineOps[r.kind as keyof typeof combineOps];
        low.assign(copy, cell.value, low.vector(copy, op, value.type, cell.value, value));
        return;
      }
      const at = low.indexOp(copy, 'add', low.indexOp(copy, 'add', rowStart, counter), offset);
      const index = low.register('i32');
      if (this.#laneForm) copy.code.push({ kind: 'iota', dst: index, src: at });
      else copy.code.push({ kind: 'splat', dst: index, src: low.toRegister(copy, at) });
      // indices only grow here, so an equal value never replaces
      let take = strictlyBetter(low, copy, r, value, cell.value);
      if (isFloat(value)) {
        const isNaNNow = low.vector(copy, 'ne', 'mask', value, value);
        const wasNumber = low.vector(copy, 'eq', 'mask', cell.value, cell.value);
        take = low.vector(copy, 'or', 'mask', take, low.vector(copy, 'and', 'mask', isNaNNow, wasNumber));
      }
      low.assign(copy, cell.value, low.vector(copy, 'select', value.type, take, value, cell.value));
      if (cell.index !== null) low.assign(copy, cell.index, low.vector(copy, 'select', 'i32', take, index, cell.index));
    });
  }

  /** into = into combined with other. */
  #merge(r: ReduceExpr, scope: Scope, into: Cell, other: Cell): void {
    const merged = this.#combine(r, scope, into, other);
    this.#low.assign(scope, into.value, merged.value);
    if (into.index !== null && merged.index !== null) this.#low.assign(scope, into.index, merged.index);
  }

  #combine(r: ReduceExpr, scope: Scope, a: Cell, b: Cell): Cell {
    const low = this.#low;
    const type = a.value.type;
    if (!isBest(r) || a.index === null || b.index === null)
      return { value: low.vector(scope, combineOps[r.kind as keyof typeof combineOps], type, a.value, b.value), index: null };
    // take b if it is better, or as good and earlier; a NaN is better than every number and as good as another NaN
    let better = strictlyBetter(low, scope, r, b.value, a.value);
    let equal = low.vector(scope, 'eq', 'mask', a.value, b.value);
    if (isFloat(a.value)) {
      const nanA = low.vector(scope, 'ne', 'mask', a.value, a.value);
      const nanB = low.vector(scope, 'ne', 'mask', b.value, b.value);
      const numberA = low.vector(scope, 'not', 'mask', nanA);
      better = low.vector(scope, 'or', 'mask', better, low.vector(scope, 'and', 'mask', nanB, numberA));
      equal = low.vector(scope, 'or', 'mask', equal, low.vector(scope, 'and', 'mask', nanA, nanB));
    }
    const earlier = low.vector(scope, 'lt', 'mask', b.index, a.index);
    const take = low.vector(scope, 'or', 'mask', better, low.vector(scope, 'and', 'mask', equal, earlier));
    return {
      value: low.vector(scope, 'select', type, take, b.value, a.value),
      index: low.vector(scope, 'select', 'i32', take, b.index, a.index),
    };
  }

  /** The tree, and the result where `home` finds it. */
  #finish(r: ReduceExpr, cells: readonly Cell[]): void {
    const low = this.#low;
    const home = this.#home;
    let row = [...cells];
    while (row.length > 1) {
      const half = row.length / 2;
      row = row.slice(0, half).map((cell, l) => this.#combine(r, home, cell, row[l + half]));
    }
    let [result] = row;
    const type = result.value.type;
    if (this.#laneForm && type === 'mask' && !isBest(r)) {
      const bit = low.register('index');
      home.code.push({ kind: 'mask-test', test: r.kind === 'any' ? 'any' : 'all', dst: bit, src: result.value });
      const dst = low.register('mask');
      home.code.push({ kind: 'splat', dst, src: bit });
      home.values.set(r, dst);
      return;
    }
    if (this.#laneForm) {
      const swap = (src: Register, distance: number): Register => {
        const dst = low.register(src.type);
        home.code.push({ kind: 'swap', dst, src, distance });
        return dst;
      };
      for (let distance = low.lanes / 2; distance >= 1; distance /= 2) {
        const other: Cell = { value: swap(result.value, distance), index: result.index === null ? null : swap(result.index, distance) };
        result = this.#combine(r, home, result, other);
      }
    }
    if (!isBest(r) || result.index === null) {
      if (!this.#laneForm) home.values.set(r, result.value);
      else {
        const dst = low.register(type);
        home.code.push({ kind: 'splat-lane', dst, src: result.value });
        home.values.set(r, dst);
      }
      return;
    }
    // a lane that never saw anything better than the identity kept noIndex; if all did, the first element is as good as any
    const none = low.vector(home, 'eq', 'mask', result.index, low.sharedConstant(home, 'i32', noIndex));
    const index = low.vector(home, 'select', 'i32', none, low.sharedConstant(home, 'i32', 0), result.index);
    if (this.#laneForm) {
      const dst = low.register('index');
      home.code.push({ kind: 'extract', dst, src: index });
      home.indices.set(r, dst);
    } else home.laneIndices.set(r, index);
  }
}

/** argmax of bools compares them as integers: masks do not swap lanes. */
const cellType = (r: ReduceExpr): RegisterType => (isBest(r) && r.value.type === 'bool' ? 'i32' : registerType(r.value.type));
const identityOf = (r: ReduceExpr): number | bigint | boolean =>
  reduceIdentity(r.kind, isBest(r) && r.value.type === 'bool' ? 'i32' : r.value.type);
const isFloat = (r: Register): boolean => r.type === 'f32' || r.type === 'f64';

/** Is `v` strictly better than `w`? False when either is NaN. */
function strictlyBetter(low: ExpressionLowering, scope: Scope, r: Best, v: Register, w: Register): Register {
  return r.kind === 'argmax' ? low.vector(scope, 'lt', 'mask', w, v) : low.vector(scope, 'lt', 'mask', v, w);
}

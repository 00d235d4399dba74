/**
 * Kernel IR to vector IR: loops, stores, the grid. Expressions are lowered by lower-expression.ts, reductions by lower-reduce.ts.
 *
 * The kernel must be scheduled (axis kinds set) and decomposed (basic ops only, or what the target claims). Element-wise loops step by
 * P lanes and are unrolled while the body is small, their addresses differing in displacements only; the rest of a row runs one
 * register at a time and then once with a lane count. Nothing here knows an instruction set beyond the number P.
 */
import { freeAxes, reachable, rootsOf } from './expression.ts';
import type { Axis, Expr, Kernel, Statement, StoreStatement } from './ir.ts';
import { computeOf, ExpressionLowering } from './lower-expression.ts';
import { lowerReduce } from './lower-reduce.ts';
import { Scope } from './lower-scope.ts';
import type { IndexOperand, Lanes, Register, VectorKernel } from './vector-ir.ts';
import { elementTypes } from './vector-ir.ts';

export interface LowerOptions {
  /** Lanes a register: see `touchesWide` for the choice between a target's two numbers. */
  readonly lanes: Lanes;
  /** Type of per-lane element indices; i32 while every buffer has fewer than 2^31 elements. Default i32. */
  readonly laneIndexType?: 'i32' | 'i64';
}

/** Does a kernel need 64-bit lanes? int64 that is only read to become an index does not count. */
export function touchesWide(kernel: Kernel): boolean {
  const all = reachable([...rootsOf(kernel.body), ...kernel.grid.map((a) => a.extent)]);
  const indexLoads = new Set<Expr>();
  const dataUses = new Set<Expr>();
  const stored = new Set<Expr>();
  const visit = (body: readonly Statement[]): void => {
    for (const s of body) {
      if (s.kind === 'loop') visit(s.body);
      else stored.add(s.value);
    }
  };
  visit(kernel.body);
  for (const e of all) {
    if (e.op === 'cast' && e.type === 'index') indexLoads.add(e.arg);
    else if (e.op === 'cast' || e.op === 'bitcast' || e.op === 'round') dataUses.add(e.arg);
    else if (e.op === 'scalar') for (const a of e.args) dataUses.add(a);
    else if (e.op === 'reduce') dataUses.add(e.value);
  }
  for (const s of stored) dataUses.add(s);
  for (const e of all) {
    if (e.op === 'load' && e.type === 'index') continue;
    if (e.type !== 'f64' && e.type !== 'i64') {
      if (e.op === 'load' && ['f64', 'i64'].includes(elementTypes[kernel.buffers[e.buffer].dtype.real.name as 'float64'])) return true;
      continue;
    }
    if (e.op === 'load' && indexLoads.has(e) && !dataUses.has(e)) continue;
    return true;
  }
  return storesWide(kernel, kernel.body);
}
function storesWide(kernel: Kernel, body: readonly Statement[]): boolean {
  return body.some((s) => (s.kind === 'loop' ? storesWide(kernel, s.body) : ['f64', 'i64'].includes(computeOf(kernel.buffers[s.buffer]))));
}

/** Lowers a scheduled kernel for registers of `lanes` lanes. */
export function lowerKernel(kernel: Kernel, options: LowerOptions): VectorKernel {
  return new KernelLowering(kernel, options).lower();
}

class KernelLowering {
  readonly #kernel: Kernel;
  readonly #low: ExpressionLowering;

  constructor(kernel: Kernel, options: LowerOptions) {
    this.#kernel = kernel;
    this.#low = new ExpressionLowering(kernel.buffers, options.lanes, options.laneIndexType ?? 'i32', (e, home) => {
      lowerReduce(this.#low, e, home);
    });
  }

  lower(): VectorKernel {
    const kernel = this.#kernel;
    const low = this.#low;
    const begin = low.register('index');
    const end = low.register('index');
    const roots = rootsOf(kernel.body);
    const root = new Scope(null, roots);
    const [first] = kernel.grid;
    if (kernel.grid.length === 1 && first.kind === 'vector') this.#vectorLoop(first, begin, end, kernel.body, root);
    else this.#grid(kernel.grid, begin, end, root);
    const { name, buffers, params } = kernel;
    return { name, lanes: low.lanes, buffers, params, begin, end, body: root.code, registerCount: low.registerCount };
  }

  /** The grid as one loop; digits are divided out once and then counted up. */
  #grid(axes: readonly Axis[], begin: Register, end: Register, root: Scope): void {
    const low = this.#low;
    const scope = new Scope(root, root.roots);
    const counter = low.register('index');
    if (axes.length === 1) scope.bindings.set(axes[0], { counter, offset: 0, lanes: false, home: scope });
    if (axes.length < 2) {
      this.#body(this.#kernel.body, scope);
      root.code.push({ kind: 'loop', counter, from: begin, to: end, step: 1, body: scope.code });
      return;
    }
    const extents = axes.map((a) => low.index(a.extent, root));
    const digits: Register[] = [];
    let rest: IndexOperand = begin;
    for (let k = axes.length - 1; k >= 0; k--) {
      const value: IndexOperand = k === 0 ? rest : low.indexOp(root, 'irem', rest, extents[k]);
      if (k > 0) rest = low.indexOp(root, 'idiv', rest, extents[k]);
      // a register of its own: it will be assigned
      const digit = low.register('index');
      root.code.push({ kind: 'index', op: 'add', dst: digit, args: [value, 0] });
      digits[k] = digit;
      scope.bindings.set(axes[k], { counter: digit, offset: 0, lanes: false, home: scope });
    }
    this.#body(this.#kernel.body, scope);
    let code = scope.code;
    for (let k = axes.length - 1; k >= 0; k--) {
      const next = low.register('index');
      code.push({ kind: 'index', op: 'add', dst: next, args: [digits[k], 1] }, { kind: 'assign', dst: digits[k], src: next });
      if (k === 0) break;
      const zero = low.register('index');
      const carry: typeof code = [
        { kind: 'index-const', dst: zero, value: 0 },
        { kind: 'assign', dst: digits[k], src: zero },
      ];
      code.push({ kind: 'if', op: 'eq', a: digits[k], b: extents[k], then: carry, else: [] });
      code = carry;
    }
    root.code.push({ kind: 'loop', counter, from: begin, to: end, step: 1, body: scope.code });
  }

  #body(body: readonly Statement[], scope: Scope): void {
    for (const s of body) {
      if (s.kind === 'store') this.#store(s, scope);
      else if (s.axis.kind === 'vector' && scope.laneAxis === null)
        this.#vectorLoop(s.axis, 0, this.#low.index(s.axis.extent, scope), s.body, scope);
      else this.#serialLoop(s.axis, s.body, scope);
    }
  }

  #serialLoop(axis: Axis, body: readonly Statement[], scope: Scope): void {
    const low = this.#low;
    const to = low.index(axis.extent, scope);
    const counter = low.register('index');
    const inner = new Scope(scope, rootsOf(body));
    inner.bindings.set(axis, { counter, offset: 0, lanes: false, home: inner });
    this.#body(body, inner);
    scope.code.push({ kind: 'loop', counter, from: 0, to, step: 1, body: inner.code });
  }

  #vectorLoop(axis: Axis, from: IndexOperand, to: IndexOperand, body: readonly Statement[], scope: Scope): void {
    const low = this.#low;
    const roots = rootsOf(body);
    const lanes = low.lanes;
    const unroll = this.#unroll(axis, body, roots, from, to);

    const passes = (into: Scope, counter: IndexOperand, copies: number, count: IndexOperand | null): void => {
      for (let p = 0; p < copies; p++) {
        const pass = new Scope(into, roots);
        pass.laneAxis = axis;
        pass.count = count;
        pass.bindings.set(axis, { counter, offset: p * lanes, lanes: true, home: into });
        this.#body(body, pass);
        into.code.push(...pass.code);
      }
    };
    // [start, stop) in steps of `copies` registers; stop - start is a multiple
    const loop = (start: IndexOperand, stop: IndexOperand, copies: number): void => {
      const step = copies * lanes;
      const trips = typeof start === 'number' && typeof stop === 'number' ? (stop - start) / step : null;
      if (trips === 0) return;
      // one trip needs no loop; nor do the few registers that are left behind an unrolled one
      if (trips === 1 || (trips !== null && copies === 1 && trips < unroll)) {
        passes(scope, start, copies * trips, null);
        return;
      }
      const inner = new Scope(scope, roots);
      const counter = low.register('index');
      passes(inner, counter, copies, null);
      scope.code.push({ kind: 'loop', counter, from: start, to: stop, step, body: inner.code });
    };
    const aligned = (start: IndexOperand, step: number): IndexOperand => {
      const length = low.indexOp(scope, 'sub', to, start);
      const rest = low.indexOp(scope, 'and', length, step - 1);
      return low.indexOp(scope, 'sub', to, rest);
    };
    let start = from;
    if (unroll > 1) {
      const stop = aligned(start, unroll * lanes);
      loop(start, stop, unroll);
      start = stop;
    }
    const stop = aligned(start, lanes);
    loop(start, stop, 1);
    const rest = low.indexOp(scope, 'sub', to, stop);
    if (rest === 0) return;
    const tail = new Scope(scope, roots);
    passes(tail, stop, 1, rest);
    if (typeof rest === 'number') scope.code.push(...tail.code);
    else scope.code.push({ kind: 'if', op: 'lt', a: stop, b: to, then: tail.code, else: [] });
  }

  /** Copies of an element-wise body: a power of two, fewer the longer the body, one where it holds loops. */
  #unroll(axis: Axis, body: readonly Statement[], roots: readonly Expr[], from: IndexOperand, to: IndexOperand): number {
    const varying = [...reachable(roots)].filter((e) => freeAxes(e).has(axis));
    if (body.some((s) => s.kind === 'loop') || varying.some((e) => e.op === 'reduce')) return 1;
    const operations = varying.filter((e) => e.type !== 'index').length;
    let unroll = operations <= 12 ? 4 : operations <= 40 ? 2 : 1;
    if (typeof from === 'number' && typeof to === 'number') while (unroll > 1 && (to - from) / (this.#low.lanes * unroll) < 1) unroll /= 2;
    return unroll;
  }

  #store(s: StoreStatement, scope: Scope): void {
    const low = this.#low;
    const dtype = low.element(s.buffer);
    const type = elementTypes[dtype];
    const varies = scope.varies(s.index);
    if (!varies && scope.varies(s.value)) throw new Error(`internal: ${this.#kernel.name} stores many lanes to one element`);
    if (!varies && s.mask !== null) {
      const condition = low.index(s.mask, scope);
      const inner = new Scope(scope, scope.roots);
      // what the store needs is computed outside, where later statements can share it
      this.#one(s, inner, this.#value(s, type, scope));
      scope.code.push({ kind: 'if', op: 'ne', a: condition, b: 0, then: inner.code, else: [] });
      return;
    }
    if (!varies) {
      this.#one(s, scope, this.#value(s, type, scope));
      return;
    }
    let src = this.#value(s, type, scope);
    const mask = s.mask === null ? null : low.value(s.mask, scope);
    const place = low.place(s.buffer, s.index, scope);
    if (place.kind === 'one') throw new Error('internal: a varying store without lanes');
    const active = place.kind === 'row' && mask === null ? null : low.activeMask(scope, mask);
    const count = place.kind === 'row' && mask === null ? scope.count : null;
    if (s.combine !== null) {
      const old = low.register(type);
      if (place.kind === 'row') scope.code.push({ kind: 'load', dst: old, dtype, address: place.address, count, mask: active });
      else
        scope.code.push({
          kind: 'gather',
          dst: old,
          dtype,
          base: place.base,
          displacement: place.displacement,
          indices: place.indices,
          mask: active,
        });
      src = low.vector(scope, s.combine, type, old, src);
    }
    if (place.kind === 'row') scope.code.push({ kind: 'store', src, dtype, address: place.address, count, mask: active });
    else
      scope.code.push({
        kind: 'scatter',
        src,
        dtype,
        base: place.base,
        displacement: place.displacement,
        indices: place.indices,
        mask: active,
      });
  }

  #value(s: StoreStatement, type: Register['type'], scope: Scope): Register {
    const low = this.#low;
    if (s.value.type === 'index') throw new Error('internal: an index is cast before it is stored');
    const src = low.value(s.value, scope);
    if (src.type === type) return src;
    const dst = low.register(type);
    scope.code.push({ kind: 'cast', dst, src });
    return dst;
  }

  #one(s: StoreStatement, scope: Scope, value: Register): void {
    const low = this.#low;
    const dtype = low.element(s.buffer);
    const place = low.place(s.buffer, s.index, scope);
    if (place.kind !== 'one') throw new Error('internal: a uniform store with lanes');
    let src = value;
    if (s.combine !== null) {
      const old = low.register(value.type);
      scope.code.push({ kind: 'broadcast', dst: old, dtype, address: place.address });
      src = low.vector(scope, s.combine, value.type, old, src);
    }
    scope.code.push({ kind: 'store', src, dtype, address: place.address, count: 1, mask: null });
  }
}

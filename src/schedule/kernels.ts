/**
 * Groups become steps: each group of roots one kernel over its domain, products a library step, scatters, stores and cats the few kernels
 * that write their pieces. The domain's axes are merged where every access allows it, so a chain over contiguous tensors is one flat loop.
 */
import { type DType, float32, float64 } from '../dtype/dtype.ts';
import { type Prim, type PrimType, rowMajor } from '../graph/prim.ts';
import { topological } from '../graph/vjp.ts';
import type { Axis, BufferDeclaration, Kernel, Statement } from '../kernel/ir.ts';
import { scalarOps } from '../kernel/scalar.ts';
import { scheduleKernel } from '../kernel/schedule.ts';
import type { Dim } from '../shape/dim.ts';
import * as dims from '../shape/dim.ts';
import { Emitter, type Placement } from './emit.ts';
import { type Domain, type Group, isRowLevel, operandWindow, positionIn, reduceAxesOf } from './fuse.ts';
import { addIndex, axisIndex, entangles, type Index, type LoopAxis, linear, scaleIndex } from './index-map.ts';
import type { HostOperand, HostStep, KernelStep, MatmulStep, Step } from './plan.ts';

/** Where each root lies, and whether anybody reads it from there. */
export interface Placements {
  readonly of: (p: Prim) => Placement | null;
  readonly stored: (p: Prim) => boolean;
  readonly place: (p: Prim) => string;
  /** True where the root's memory already holds `base` (it took over base's memory). */
  readonly inPlace: (p: Prim, base: Prim) => boolean;
}

interface PendingStore {
  readonly prim: Prim;
  readonly placement: Placement;
  readonly dtype: DType;
  /** Flat memory position, from the prim's indices; default: the placement's strides. */
  readonly position?: (indices: readonly Index[], emitter: Emitter) => Index;
}

export function groupSteps(group: Group, placements: Placements): Step[] {
  if (group.kind !== 'single') {
    const stores = group.roots.filter(placements.stored).map((p) => ({ prim: p, placement: placements.of(p)!, dtype: p.dtype }));
    return stores.length === 0 ? [] : [pointStep(group.roots, group, stores, placements, placements.place(group.roots[0]))];
  }
  const p = group.roots[0];
  switch (p.body.op) {
    case 'dot':
      return [matmulStep(p, placements)];
    case 'scatter':
      return scatterSteps(p, placements);
    case 'store':
      return storeSteps(p, placements);
    case 'cat':
      return catSteps(p, placements);
    case 'result':
      return [hostStep(group.roots, placements)];
    default:
      throw new Error(`internal: ${p.body.op} is no single`);
  }
}

// ---- fused kernels

function newEmitter(
  own: ReadonlySet<Prim>,
  placements: Placements,
  axes: (p: Prim) => readonly LoopAxis[],
  onLoad?: (p: Prim, i: Index) => void,
): Emitter {
  return new Emitter({ placed: (p) => (own.has(p) ? null : placements.of(p)), reduceAxes: axes, ...(onLoad && { onLoad }) });
}

function pointStep(
  roots: readonly Prim[],
  domain: Domain,
  stores: readonly PendingStore[],
  placements: Placements,
  place: string,
): KernelStep {
  const own = new Set(roots);
  const merged = mergeAxes(own, domain, stores, placements);
  const plain = emitPoint(own, merged, stores, placements, place, [], 0);
  const locals = rowLocals(roots, merged, placements);
  // A kernel whose lanes run across rows has no row of its own to keep.
  if (locals.length === 0 || hasSerialLoop(plain.kernel.body)) return plain;
  const kept = emitPoint(own, merged, stores, placements, place, locals, plain.buffers.length);
  return kept.buffers.length === plain.buffers.length ? kept : plain;
}

const hasSerialLoop = (body: readonly Statement[]): boolean =>
  body.some((s) => s.kind === 'loop' && (s.axis.kind === 'serial' || hasSerialLoop(s.body)));

const localBytes = 128 << 10;

/**
 * Roots of a row kernel that are worth being computed once a row and kept in scratch memory: those with a composite function in them that
 * nobody stores (they are roots because several others read them: the exponentials of a softmax).
 */
function rowLocals(roots: readonly Prim[], domain: Domain, placements: Placements): Prim[] {
  const width = dims.productOf(domain.cols);
  if (domain.cols.length === 0 || typeof width !== 'number' || width < 16) return [];
  // In a kernel of a single row nothing ties a load from scratch memory to the row, so a reduction of it would be moved before the loop that fills it.
  if (domain.rows.every((d) => d === 1)) return [];
  const own = new Set(roots);
  const found = topological(roots).filter(
    (p) =>
      own.has(p) &&
      !placements.stored(p) &&
      p.body.op !== 'reduce' &&
      !isRowLevel(p, domain) &&
      (p.dtype === float32 || p.dtype === float64) &&
      isComposite(p, own, placements),
  );
  return found.reduce((sum, p) => sum + width * p.dtype.itemsize, 0) <= localBytes ? found : [];
}

/** Whether computing a root from what is in memory or is a root itself takes a composite function. */
const isComposite = (root: Prim, own: ReadonlySet<Prim>, placements: Placements): boolean =>
  topological([root], (p) => p !== root && (own.has(p) || placements.of(p) !== null || p.body.op === 'reduce')).some(
    (p) => p.body.op === 'scalar' && scalarOps[p.body.fn].level === 'composite',
  );

function emitPoint(
  own: ReadonlySet<Prim>,
  merged: Domain,
  stores: readonly PendingStore[],
  placements: Placements,
  place: string,
  locals: readonly Prim[],
  localBase: number,
): KernelStep {
  const free = new Map<string, LoopAxis[]>();
  let reduceCols: LoopAxis[] = [];
  const placedLocals = new Map<Prim, Placement>();
  const emitter: Emitter = new Emitter({
    placed: (p) => placedLocals.get(p) ?? (own.has(p) ? null : placements.of(p)),
    reduceAxes: (p) => reduceAxesOf(p, merged, reduceCols, emitter, free),
    localBase,
  });
  const flat = merged.cols.length === 0 && merged.rows.length === 1;
  const rows = merged.rows.map((d, i) => emitter.axis(`i${i}`, d, flat ? 'vector' : 'grid'));
  const cols = merged.cols.map((d, i) => emitter.axis(`j${i}`, d, i === merged.cols.length - 1 ? 'vector' : 'serial'));
  reduceCols = merged.cols.map((d, i) => emitter.axis(`k${i}`, d, 'reduce'));
  const rowStores: Statement[] = [];
  const colStores: Statement[] = [];
  const written = new Set<number>();
  const localLoops: Statement[] = [];
  for (const p of locals) {
    // The position in the row: the flat one without the row's own part.
    const width = dims.productOf(merged.cols);
    const rowStart = linear(
      rows.map(axisIndex),
      rowMajor(merged.rows).map((s) => dims.mul(s, width)),
    );
    const along = new Set([...cols, ...reduceCols].map((a) => a.id));
    const position = (indices: readonly Index[]): Index | null => {
      const flat = addIndex(linear(indices, rowMajor(p.shape)), scaleIndex(rowStart, -1));
      const inRow = flat.offset === 0 && flat.terms.every((t) => t.atom.kind === 'axis' && along.has(t.atom.axis.id));
      return inRow ? flat : null;
    };
    const indices = positionIn(p.shape, [...rows, ...cols]);
    const index = position(indices);
    if (index === null) continue;
    const value = emitter.at(p, indices);
    const id = -2 - placedLocals.size;
    localLoops.push(
      ...nest(cols, [
        { kind: 'store', buffer: emitter.buffer(id, p.dtype), index: emitter.index(index), value, mask: null, combine: null },
      ]),
    );
    placedLocals.set(p, { buffer: id, strides: [], position, anchor: linear(rows.map(axisIndex), rowMajor(merged.rows)) });
    emitter.forget();
  }
  for (const store of stores) {
    const rowLevel = isRowLevel(store.prim, merged);
    const indices = positionIn(store.prim.shape, rowLevel ? rows : [...rows, ...cols]);
    const value = emitter.at(store.prim, indices);
    const position = store.position ? store.position(indices, emitter) : linear(indices, store.placement.strides);
    const buffer = emitter.buffer(store.placement.buffer, store.dtype);
    written.add(buffer);
    (rowLevel ? rowStores : colStores).push({ kind: 'store', buffer, index: emitter.index(position), value, mask: null, combine: null });
  }
  const gridAxes = merged.cols.length > 0 || flat ? rows : rows.slice(0, -1);
  const inner = merged.cols.length > 0 || flat ? cols : rows.slice(-1);
  if (merged.cols.length === 0 && !flat && inner.length > 0) inner[0].axis.kind = 'vector';
  const body =
    merged.cols.length > 0
      ? [...localLoops, ...rowStores, ...(colStores.length > 0 ? nest(inner, colStores) : [])]
      : flat || inner.length === 0
        ? rowStores
        : nest(inner, rowStores);
  const localBuffers = [...placedLocals.keys()].map(
    (p): BufferDeclaration => ({ dtype: p.dtype, access: 'local', elements: dims.toNumber(dims.productOf(merged.cols), 'a row') }),
  );
  return finish(emitter, gridAxes, body, written, `${stores[0].prim.body.op}_${stores[0].prim.id}`, place, false, localBuffers);
}

const nest = (axes: readonly LoopAxis[], body: readonly Statement[]): Statement[] =>
  axes.reduceRight<Statement[]>((inner, a) => (a.extent === 1 ? inner : [{ kind: 'loop', axis: a.axis, body: inner }]), [...body]);

function finish(
  emitter: Emitter,
  grid: readonly LoopAxis[],
  body: readonly Statement[],
  written: ReadonlySet<number>,
  name: string,
  place: string,
  combined = false,
  locals: readonly BufferDeclaration[] = [],
): KernelStep {
  const axes: Axis[] = grid.filter((a) => a.extent !== 1).map((a) => a.axis);
  const buffers: BufferDeclaration[] = emitter.buffers.map((_, i) => ({
    dtype: emitter.bufferTypes[i],
    access: written.has(i) ? (combined || emitter.loaded.has(i) ? 'readwrite' : 'write') : 'read',
  }));
  const kernel: Kernel = { name, buffers: [...buffers, ...locals], params: emitter.params.map((p) => p.type), grid: axes, body };
  return { kind: 'kernel', kernel: scheduleKernel(kernel), buffers: emitter.buffers, params: emitter.params, place };
}

/** Joins neighbouring axes of rows and of columns that every access walks together. */
function mergeAxes(own: ReadonlySet<Prim>, domain: Domain, stores: readonly PendingStore[], placements: Placements): Domain {
  let current: Domain = domain;
  if (stores.some((s) => s.prim.body.op !== 'reduce')) {
    // A coarser common domain may exist when only part of the roots is stored; the given one is already the finest needed.
    current = { rows: current.rows.filter((d) => d !== 1), cols: current.cols.filter((d) => d !== 1) };
  }
  const accesses: Index[] = [];
  const free = new Map<string, LoopAxis[]>();
  const emitter: Emitter = newEmitter(
    own,
    placements,
    (p) => reduceAxesOf(p, current, cols, emitter, free),
    (_, index) => accesses.push(index),
  );
  const rows = current.rows.map((d, i) => emitter.axis('i', d, 'grid', i));
  const cols = current.cols.map((d, i) => emitter.axis('j', d, 'vector', 100 + i));
  for (const store of stores) {
    const indices = positionIn(store.prim.shape, isRowLevel(store.prim, current) ? rows : [...rows, ...cols]);
    emitter.at(store.prim, indices);
    accesses.push(store.position ? store.position(indices, emitter) : linear(indices, store.placement.strides));
  }
  if (usesPositions(stores)) return current;
  const factor = (index: Index, axis: LoopAxis): Dim =>
    index.terms.find((t) => t.atom.kind === 'axis' && t.atom.axis.id === axis.id)?.factor ?? 0;
  const join = (axes: readonly LoopAxis[]): Dim[] => {
    const out: Dim[] = [];
    axes.forEach((axis, i) => {
      const before = axes[i - 1];
      const together =
        before !== undefined &&
        accesses.every(
          (index) =>
            !entangles(index, axis) &&
            !entangles(index, before) &&
            dims.equal(factor(index, before), dims.mul(factor(index, axis), axis.extent)),
        );
      if (together) out[out.length - 1] = dims.mul(out[out.length - 1], axis.extent);
      else out.push(axis.extent);
    });
    return out;
  };
  return { rows: join(rows), cols: join(cols) };
}

/** Positions as data (iota) or masks (pad) look at single axes, which must stay apart. */
const usesPositions = (stores: readonly PendingStore[]): boolean =>
  topological(
    stores.map((s) => s.prim),
    (p) => p.body.op === 'input',
  ).some((p) => p.body.op === 'iota' || p.body.op === 'pad');

// ---- products and library functions

/** Where the operand of a product or library function lies. */
function operandInMemory(o: Prim, placements: Placements): { buffer: number; strides: readonly Dim[]; offset: Dim } {
  const own = placements.of(o);
  const window = own
    ? { base: o, strides: own.strides, offset: 0 as Dim }
    : operandWindow(
        o,
        (p) => placements.of(p) !== null,
        (base) => placements.of(base)?.strides ?? rowMajor(base.shape),
      );
  const at = window && placements.of(window.base);
  if (!window || !at) throw new Error('internal: an operand is not in memory');
  return { buffer: at.buffer, strides: window.strides, offset: window.offset };
}

function hostStep(results: readonly Prim[], placements: Placements): HostStep {
  const call = results[0].srcs[0];
  if (call.body.op !== 'library') throw new Error('internal: not a library call');
  const { fn, constants, ins, outs } = call.body;
  // A complex array is a pair more in its last dim here, and the same bytes as its function knows them.
  const operand = (type: PrimType, strides: readonly Dim[], buffer: number, offset: Dim): HostOperand => ({
    buffer,
    dtype: type.dtype,
    shape: type.shape,
    strides: type.dtype.is_complex ? strides.slice(0, -1).map((s) => dims.exactQuotient(s, 2)!) : strides,
    offset: type.dtype.is_complex ? dims.exactQuotient(offset, 2)! : offset,
  });
  return {
    kind: 'host',
    fn,
    constants,
    inputs: call.srcs.map((src, i) => {
      const { buffer, strides, offset } = operandInMemory(src, placements);
      return operand(ins[i], strides, buffer, offset);
    }),
    outputs: outs.map((type, index) => {
      const result = results.find((p) => p.body.op === 'result' && p.body.index === index);
      const at = result === undefined ? null : placements.of(result)!;
      return at === null
        ? { buffer: -1, dtype: type.dtype, shape: type.shape, strides: rowMajor(type.shape), offset: 0 }
        : operand(type, at.strides, at.buffer, 0);
    }),
    place: placements.place(results[0]),
  };
}

function matmulStep(p: Prim, placements: Placements): MatmulStep {
  if (p.body.op !== 'dot') throw new Error('internal: not a product');
  const operand = (o: Prim): MatmulStep['a'] => {
    const { buffer, strides, offset } = operandInMemory(o, placements);
    const n = o.ndim;
    return { buffer, dtype: o.dtype, batch: strides.slice(0, n - 2), row: strides[n - 2], column: strides[n - 1], offset };
  };
  const at = placements.of(p)!;
  const n = p.ndim;
  const [a, b] = p.body.srcs;
  return {
    kind: 'matmul',
    batch: p.shape.slice(0, n - 2),
    m: p.shape[n - 2],
    n: p.shape[n - 1],
    k: a.shape[n - 1],
    a: operand(a),
    b: operand(b),
    c: {
      buffer: at.buffer,
      dtype: p.dtype,
      batch: at.strides.slice(0, n - 2),
      row: at.strides[n - 2],
      column: at.strides[n - 1],
      offset: 0,
    },
    ...(p.body.blocks && { blocks: p.body.blocks }),
    place: placements.place(p),
  };
}

// ---- pieces written into one buffer

/** Copies `base` into the buffer of `p`, unless it is already there (a donated buffer). */
function copyBase(p: Prim, base: Prim, placements: Placements): KernelStep[] {
  const target = placements.of(p)!;
  if (placements.inPlace(p, base)) return [];
  return [
    pointStep([], { rows: base.shape, cols: [] }, [{ prim: base, placement: target, dtype: p.dtype }], placements, placements.place(p)),
  ];
}

function storeSteps(p: Prim, placements: Placements): KernelStep[] {
  if (p.body.op !== 'store') throw new Error('internal: not a store');
  const [base, value] = p.body.srcs;
  const { strides, offset } = p.body;
  const placement = placements.of(p)!;
  const write: PendingStore = { prim: value, placement, dtype: p.dtype, position: (indices) => linear(indices, strides, offset) };
  return [...copyBase(p, base, placements), pointStep([], { rows: value.shape, cols: [] }, [write], placements, placements.place(p))];
}

function catSteps(p: Prim, placements: Placements): KernelStep[] {
  if (p.body.op !== 'cat') throw new Error('internal: not a cat');
  const { axis, srcs } = p.body;
  const placement = placements.of(p)!;
  let start: Dim = 0;
  return srcs.map((part) => {
    const offset = dims.mul(start, placement.strides[axis]);
    start = dims.add(start, part.shape[axis]);
    const write: PendingStore = {
      prim: part,
      placement,
      dtype: p.dtype,
      position: (indices) => linear(indices, placement.strides, offset),
    };
    return pointStep([], { rows: part.shape, cols: [] }, [write], placements, placements.place(p));
  });
}

function scatterSteps(p: Prim, placements: Placements): KernelStep[] {
  if (p.body.op !== 'scatter') throw new Error('internal: not a scatter');
  const [base, value, ...coords] = p.body.srcs;
  const combine = p.body.combine;
  const placement = placements.of(p)!;
  const emitter: Emitter = newEmitter(new Set(), placements, (q) => reduceAxesOf(q, { rows: [], cols: [] }, [], emitter, new Map()));
  const axes = value.shape.map((d, i) => emitter.axis(`i${i}`, d, 'serial'));
  const indices = axes.map(axisIndex);
  const at = coords.map((c, k) => emitter.coordinate(c, indices, null, p.shape[k]));
  // An axis that is itself a coordinate, and occurs in no other, never meets itself: its iterations are independent.
  const independent = axes.map((a) => {
    const users = at.filter((index) => index.terms.some((t) => t.atom.kind === 'axis' && t.atom.axis.id === a.id));
    const plain = users.length === 1 && users[0].terms.length === 1 && users[0].terms[0].factor === 1;
    return plain && !at.some((index) => index.terms.some((t) => t.atom.kind === 'data') && dependsOn(index, a));
  });
  const target = emitter.buffer(placement.buffer, p.dtype);
  const store: Statement = {
    kind: 'store',
    buffer: target,
    index: emitter.index(linear(at, placement.strides)),
    value: emitter.at(value, indices),
    mask: null,
    combine,
  };
  const free = axes.filter((_, i) => independent[i]);
  const serial = axes.filter((_, i) => !independent[i]);
  const lanes = free.at(-1);
  const grid = free.slice(0, -1);
  // One independent axis: a flat grid across lanes, so threads share it; more: the last one is the lanes of a loop inside.
  const flat = lanes !== undefined && grid.length === 0;
  for (const a of grid) a.axis.kind = 'grid';
  if (lanes !== undefined) lanes.axis.kind = 'vector';
  const body = nest(serial, lanes !== undefined && !flat ? nest([lanes], [store]) : [store]);
  const written = new Set([target]);
  const step = finish(emitter, flat ? [lanes] : grid, body, written, `scatter_${p.id}`, placements.place(p), true);
  return [...copyBase(p, base, placements), step];
}

/** True if a loaded number in the index varies with the axis. */
function dependsOn(index: Index, axis: LoopAxis): boolean {
  const uses = (e: unknown): boolean => {
    if (typeof e !== 'object' || e === null) return false;
    const x = e as { op?: string; axis?: Axis; args?: unknown[]; arg?: unknown; index?: unknown; mask?: unknown; value?: unknown };
    if (x.op === 'axis') return x.axis === axis.axis;
    return [...(x.args ?? []), x.arg, x.index, x.mask, x.value].some(uses);
  };
  return index.terms.some((t) => t.atom.kind === 'data' && uses(t.atom.expr));
}

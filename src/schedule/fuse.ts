/**
 * Fusion: which primitives live in memory, and which are computed together.
 *
 * 1. `chooseRoots`: results of products, reductions, scatters, and what a program returns are roots; so is an element-wise value that several
 *    roots use and that is not cheaper to compute again. Everything else is computed where it is used.
 * 2. `groupRoots`: each root starts as a group of its own with a domain: rows (one result each), and for reductions over trailing dims also
 *    columns. A producer joins its consumer when both walk the same domain and the consumer reads the producer's elements only at the position
 *    at which it stands; the index algebra decides. So softmax, layer norm and their gradients become one row kernel each, whatever the body's
 *    spelling, and a value that all its readers share a kernel with never reaches memory.
 *
 * Grouping changes no number: the order of a reduction and the rounding of every operator are fixed before it.
 */
import type { Prim } from '../graph/prim.ts';
import { rowMajor } from '../graph/prim.ts';
import { topological } from '../graph/vjp.ts';
import { scalarOps } from '../kernel/scalar.ts';
import type { Dim } from '../shape/dim.ts';
import * as dims from '../shape/dim.ts';
import { Emitter } from './emit.ts';
import { GroupOrder } from './group-order.ts';
import { axisIndex, delinearize, type Index, type LoopAxis, linear, stridesIn } from './index-map.ts';

export type GroupKind = 'point' | 'row' | 'column' | 'single';

/** Roots computed by one kernel. `single`: a product, scatter, store, cat or the results of a library call, which are never merged. */
export interface Group {
  readonly kind: GroupKind;
  readonly rows: readonly Dim[];
  readonly cols: readonly Dim[];
  readonly roots: readonly Prim[];
}

const maxInlineOperations = 60;
const maxGroupOperations = 400;
const cheapOperations = 4;

export const isSingle = (p: Prim): boolean =>
  p.body.op === 'dot' || p.body.op === 'scatter' || p.body.op === 'store' || p.body.op === 'cat' || p.body.op === 'result';

/**
 * Where a product's operand lies: strides over its dims in the memory of a root or input, or null if it must be written out first.
 * `inMemory`: what is a root. `laid`: the strides with which the base lies there, if not row-major.
 */
export function operandWindow(
  operand: Prim,
  inMemory: (p: Prim) => boolean,
  laid: (base: Prim) => readonly Dim[] = (p) => rowMajor(p.shape),
): { base: Prim; strides: readonly Dim[]; offset: Dim } | null {
  let base = operand;
  while ((base.body.op === 'view' || base.body.op === 'after') && !inMemory(base)) base = base.body.srcs[0];
  let found: Index | null = null;
  const emitter = new Emitter({
    placed: (p) => (p === base ? { buffer: 0, strides: laid(p) } : null),
    reduceAxes: () => [],
    onLoad: (_, index) => {
      found = index;
    },
  });
  const axes = operand.shape.map((d, i) => emitter.axis(`i${i}`, d, 'grid', i));
  emitter.at(operand, axes.map(axisIndex));
  const window = found === null ? null : stridesIn(found, axes);
  return window === null ? null : { base, ...window };
}

/** What `p` is a row-major reading of from its first element on: the memory itself, seen past views that change nothing. */
export function wholeOf(p: Prim, inMemory: (p: Prim) => boolean, laid?: (p: Prim) => readonly Dim[]): Prim {
  if (p.body.op !== 'view' || inMemory(p)) return p;
  const window = operandWindow(p, inMemory, laid);
  if (window === null || dims.keyOf(window.offset) !== '0') return p;
  const strides = rowMajor(p.shape);
  if (!window.strides.every((s, i) => p.shape[i] === 1 || dims.equal(s, strides[i]))) return p;
  const { base } = window;
  return base.body.op === 'input' || dims.equal(dims.productOf(base.shape), dims.productOf(p.shape)) ? base : p;
}

/**
 * What is written out for an operand that is no window of memory: the prim that its outermost views only reshape or permute, so that the copy's loops
 * run along the dims of what it copies (windows of an image) and not along their joined ones, whose positions would have to be divided.
 */
function writtenOperand(operand: Prim, laid: (p: Prim) => readonly Dim[]): Prim {
  let written = operand;
  while (written.body.op === 'view') {
    const src: Prim = written.body.srcs[0];
    const last = src.shape[src.ndim - 1];
    if (src.body.op !== 'view' || typeof last !== 'number' || last < shortestRow) break;
    if (!dims.equal(dims.productOf(src.shape), dims.productOf(operand.shape)) || operandWindow(operand, (q) => q === src, laid) === null)
      break;
    written = src;
  }
  return written;
}
/** Rows shorter than this are copied faster joined than one by one. */
const shortestRow = 16;

/** `laid`: the strides of what does not lie in memory row by row (results keep the layout of what they were computed from). */
export function chooseRoots(outputs: readonly Prim[], laid: (p: Prim) => readonly Dim[] = (p) => rowMajor(p.shape)): Set<Prim> {
  const order = topological(outputs);
  const roots = new Set<Prim>(outputs.filter((o) => o.body.op !== 'input'));
  const isRoot = (p: Prim): boolean => roots.has(p);
  for (const p of order) {
    if (p.body.op === 'reduce' || isSingle(p)) roots.add(p);
    if (p.body.op === 'dot' || p.body.op === 'library') {
      for (const operand of p.body.srcs) {
        const window = operandWindow(operand, isRoot, laid);
        const base = window === null ? writtenOperand(operand, laid) : window.base;
        if (base.body.op !== 'input') roots.add(base);
      }
    }
    if (p.body.op === 'after') {
      const base = belowViews(p.body.srcs[1]);
      if (base.body.op !== 'input' && !isFill(base)) roots.add(base);
    }
    if (p.body.op === 'store' || p.body.op === 'scatter') {
      const base = wholeOf(p.srcs[0], isRoot, laid);
      if (base.body.op !== 'input' && !isFill(base)) roots.add(base);
    }
  }
  // Consumers before producers: who computes what, and which shared values are worth their memory.
  const owners = new Map<Prim, Set<Prim>>();
  const cost = inlineCosts(order);
  for (let i = order.length - 1; i >= 0; i--) {
    const p = order[i];
    const mine = owners.get(p);
    const element =
      p.body.op === 'scalar' || p.body.op === 'cast' || p.body.op === 'lookup' || p.body.op === 'pad' || p.body.op === 'bitcast';
    if (element && !roots.has(p)) {
      const shared = (mine?.size ?? 0) > 1 && !cost(p, roots).cheap;
      if (shared || cost(p, roots).operations > maxInlineOperations) roots.add(p);
    }
    const owner = roots.has(p) ? new Set([p]) : mine;
    for (const src of p.srcs) {
      const set = owners.get(src);
      if (set === undefined) owners.set(src, new Set(owner));
      else for (const o of owner ?? []) set.add(o);
    }
  }
  return roots;
}

function belowViews(p: Prim): Prim {
  let base = p;
  while (base.body.op === 'view' || base.body.op === 'after') base = base.body.srcs[0];
  return base;
}

/** A constant spread over a shape: never worth memory of its own. */
export function isFill(p: Prim): boolean {
  const base = belowViews(p);
  return base.body.op === 'const' || base.body.op === 'param' || base.body.op === 'dim';
}

interface InlineCost {
  readonly operations: number;
  readonly leaves: number;
  readonly cheap: boolean;
}

/** Operations and memory operands of computing a prim anew from what is in memory. */
function inlineCosts(order: readonly Prim[]): (p: Prim, roots: ReadonlySet<Prim>) => InlineCost {
  // Of each memory operand, the most elements that may be read.
  const known = new Map<Prim, { operations: number; leaves: Map<Prim, Dim>; composite: boolean; heavy: boolean }>();
  for (const p of order) {
    let operations = p.body.op === 'scalar' || p.body.op === 'cast' ? 1 : 0;
    let composite = p.body.op === 'scalar' && scalarOps[p.body.fn].level === 'composite';
    let heavy = composite && p.body.op === 'scalar' && !light.has(p.body.fn);
    const leaves = new Map<Prim, Dim>();
    const touch = (leaf: Prim, size: Dim): void => {
      const before = leaves.get(leaf);
      if (before === undefined || provablyLess(before, size)) leaves.set(leaf, size);
    };
    // A window of a larger memory, or a row read again and again.
    const { body } = p;
    const window = body.op === 'view' ? dims.productOf(p.shape.filter((_, i) => dims.keyOf(body.strides[i]) !== '0')) : null;
    const within = (size: Dim): Dim => (window !== null && provablyLess(window, size) ? window : size);
    for (const src of body.op === 'after' ? [body.srcs[0]] : p.srcs) {
      const inner = known.get(src)!;
      if (src.body.op === 'reduce' || isSingle(src) || src.body.op === 'input') {
        touch(src, within(dims.productOf(src.shape)));
        continue;
      }
      operations += inner.operations;
      composite ||= inner.composite;
      heavy ||= inner.heavy;
      for (const [leaf, size] of inner.leaves) touch(leaf, within(size));
    }
    known.set(p, { operations: Math.min(operations, 1e6), leaves, composite, heavy });
  }
  return (p, roots) => {
    const c = known.get(p)!;
    const size = dims.productOf(p.shape);
    const large = [...c.leaves].filter(([, reads]) => !provablyHalf(reads, size));
    const reduced = [...c.leaves].some(([l]) => l.body.op === 'reduce' && roots.has(l));
    return {
      operations: c.operations,
      leaves: large.length,
      cheap: !c.heavy && !(c.composite && reduced) && c.operations <= cheapOperations && large.length <= 1,
    };
  };
}

/** Composite functions that take about as long as writing an element out and reading it back. */
const light: ReadonlySet<string> = new Set(['exp', 'exp2', 'log', 'log2', 'tanh', 'erf']);

const provablyLess = (a: Dim, b: Dim): boolean => !dims.equal(a, b) && dims.provablyAtMost(a, b);
const provablyHalf = (reads: Dim, of: Dim): boolean => !dims.equal(reads, of) && dims.provablyAtMost(dims.mul(reads, 2), of);

// ---- domains

/** Finest dims that both lists are groupings of, or null. */
export function refine(a: readonly Dim[], b: readonly Dim[]): Dim[] | null {
  const left = a.filter((d) => d !== 1);
  const right = b.filter((d) => d !== 1);
  const out: Dim[] = [];
  let i = 0;
  let j = 0;
  let x: Dim | undefined = left[0];
  let y: Dim | undefined = right[0];
  while (x !== undefined && y !== undefined) {
    if (dims.equal(x, y)) {
      out.push(x);
      x = left[++i];
      y = right[++j];
      continue;
    }
    const split: Dim | null = y === 0 ? null : dims.exactQuotient(x, y);
    if (split !== null) {
      out.push(y);
      x = split;
      y = right[++j];
      continue;
    }
    const other: Dim | null = x === 0 ? null : dims.exactQuotient(y, x);
    if (other === null) return null;
    out.push(x);
    y = other;
    x = left[++i];
  }
  return x === undefined && y === undefined ? out : null;
}

/** Splits refined dims where their product reaches `rows`. */
function splitAt(all: readonly Dim[], rows: Dim): { rows: Dim[]; cols: Dim[] } | null {
  let product: Dim = 1;
  for (let i = 0; i <= all.length; i++) {
    if (dims.equal(product, rows)) return { rows: all.slice(0, i), cols: all.slice(i) };
    if (i < all.length) product = dims.mul(product, all[i]);
  }
  return null;
}

const sizeOf = (p: Prim): Dim => dims.productOf(p.shape);

function startGroup(p: Prim): Group {
  if (isSingle(p)) return { kind: 'single', rows: p.shape, cols: [], roots: [p] };
  if (p.body.op === 'reduce') {
    const src = p.body.srcs[0].shape;
    const axes = p.body.axes.filter((a) => src[a] !== 1);
    const kept = [...src.keys()].filter((i) => src[i] !== 1 && !axes.includes(i));
    const trailing = kept.every((k) => axes.every((a) => k < a));
    const rows = kept.map((k) => src[k]);
    if (trailing) return { kind: 'row', rows, cols: axes.map((a) => src[a]), roots: [p] };
    return { kind: 'column', rows, cols: [], roots: [p] };
  }
  return { kind: 'point', rows: p.shape.filter((d) => d !== 1), cols: [], roots: [p] };
}

/** The domain in which both groups can be computed by one kernel, if there is one. */
function commonDomain(a: Group, b: Group): { kind: GroupKind; rows: readonly Dim[]; cols: readonly Dim[] } | null {
  if (a.kind === 'single' || b.kind === 'single') return null;
  if (a.kind === 'point' && b.kind === 'row') return commonDomain(b, a);
  if (a.kind === 'point' && b.kind === 'column') return commonDomain(b, a);
  const rows = refine(a.rows, b.rows);
  if (a.kind === 'row' && b.kind === 'row') {
    const cols = refine(a.cols, b.cols);
    return rows && cols ? { kind: 'row', rows, cols } : null;
  }
  if (a.kind === 'row' && b.kind === 'point') {
    if (rows !== null) return { kind: 'row', rows, cols: a.cols };
    const all = refine([...a.rows, ...a.cols], b.rows);
    const split = all && splitAt(all, dims.productOf(a.rows));
    return split && { kind: 'row', ...split };
  }
  if (a.kind === 'row' || b.kind === 'row') return null;
  if (rows === null) return null;
  return { kind: a.kind === 'column' || b.kind === 'column' ? 'column' : 'point', rows, cols: [] };
}

export interface Domain {
  readonly rows: readonly Dim[];
  readonly cols: readonly Dim[];
}

/** Indices of `shape` at a position of the domain axes. */
export function positionIn(shape: readonly Dim[], axes: readonly LoopAxis[]): Index[] {
  return delinearize(linear(axes.map(axisIndex), rowMajor(axes.map((a) => a.extent))), shape);
}

/** True where a root has one element a row (else one for each row and column). */
export const isRowLevel = (p: Prim, domain: Domain): boolean =>
  domain.cols.length === 0 || dims.equal(sizeOf(p), dims.productOf(domain.rows));

/** Flat positions at which computing `roots` over `domain` reads other prims in memory. */
export function readsOf(
  roots: readonly Prim[],
  domain: Domain,
  inMemory: (p: Prim) => boolean,
): { reads: Map<Prim, Set<string>>; operations: number } {
  const reads = new Map<Prim, Set<string>>();
  const own = new Set(roots);
  const free = new Map<string, LoopAxis[]>();
  const emitter: Emitter = new Emitter({
    placed: (p) => (p.body.op === 'input' || (inMemory(p) && !own.has(p)) ? { buffer: p.id, strides: rowMajor(p.shape) } : null),
    reduceAxes: (p) => reduceAxesOf(p, domain, cols, emitter, free),
    onLoad: (p, index) => {
      const set = reads.get(p);
      if (set === undefined) reads.set(p, new Set([index.key]));
      else set.add(index.key);
    },
  });
  const rows = domain.rows.map((d, i) => emitter.axis(`r${i}`, d, 'grid', i));
  const cols = domain.cols.map((d, i) => emitter.axis(`c${i}`, d, 'vector', 100 + i));
  for (const p of roots) emitter.at(p, positionIn(p.shape, isRowLevel(p, domain) ? rows : [...rows, ...cols]));
  return { reads, operations: emitter.operations };
}

/** A row kernel's reductions all run along its columns; others get axes of their own, shared by reductions of the same extents. */
export function reduceAxesOf(
  p: Prim,
  domain: Domain,
  cols: readonly LoopAxis[],
  emitter: Emitter,
  free: Map<string, LoopAxis[]>,
): readonly LoopAxis[] {
  if (p.body.op !== 'reduce') throw new Error('internal: reduceAxes of something else');
  const src = p.body.srcs[0].shape;
  const extents = p.body.axes.map((a) => src[a]);
  if (domain.cols.length > 0 && dims.equal(dims.productOf(extents), dims.productOf(domain.cols)) && isRowLevel(p, domain)) return cols;
  const key = extents.map(dims.keyOf).join(',');
  let axes = free.get(key);
  if (axes === undefined) {
    axes = extents.map((d, i) => emitter.axis(`k${i}`, d, 'reduce'));
    free.set(key, axes);
  }
  return axes;
}

/** Flat key of a root's own position in the domain. */
export function ownPosition(p: Prim, domain: Domain): string {
  const emitter = new Emitter({ placed: () => null, reduceAxes: () => [] });
  const rows = domain.rows.map((d, i) => emitter.axis('r', d, 'grid', i));
  const cols = domain.cols.map((d, i) => emitter.axis('c', d, 'vector', 100 + i));
  return linear(positionIn(p.shape, isRowLevel(p, domain) ? rows : [...rows, ...cols]), rowMajor(p.shape)).key;
}

// ---- merging

/** Groups and the order between them: `sources` are the roots and inputs that a root reads directly. */
export interface Grouping {
  readonly order: readonly Prim[];
  readonly groupOf: ReadonlyMap<Prim, Group>;
  readonly sources: ReadonlyMap<Prim, ReadonlySet<Prim>>;
}

export function groupRoots(outputs: readonly Prim[], roots: ReadonlySet<Prim>): Grouping {
  const order = topological(outputs).filter((p) => roots.has(p));
  const groups = new Map<Prim, Group>(order.map((p) => [p, startGroup(p)]));
  // The results of one library call are computed together.
  const calls = new Map<Prim, Prim[]>();
  for (const p of order) if (p.body.op === 'result') (calls.get(p.srcs[0]) ?? calls.set(p.srcs[0], []).get(p.srcs[0])!).push(p);
  for (const results of calls.values()) {
    const together: Group = { kind: 'single', rows: [], cols: [], roots: results };
    for (const p of results) groups.set(p, together);
  }
  // What a root reads directly: other roots and inputs.
  const sources = new Map<Prim, Set<Prim>>(order.map((p) => [p, directSources(p, roots)]));
  const readers = new Map<Prim, Set<Prim>>();
  for (const [p, srcs] of sources) for (const s of srcs) (readers.get(s) ?? readers.set(s, new Set()).get(s)!).add(p);

  const between = new GroupOrder(order, groups, sources);
  const inMemory = (p: Prim): boolean => roots.has(p);

  const tryMerge = (a: Group, b: Group): boolean => {
    const domain = commonDomain(a, b);
    if (domain === null) return false;
    const merged: Group = { ...domain, roots: [...a.roots, ...b.roots] };
    if (!merged.roots.every((p) => fits(p, merged))) return false;
    if (between.reaches(a, b, true) || between.reaches(b, a, true)) return false;
    const own = new Set(merged.roots);
    const { reads, operations } = readsOf(b.roots, domain, (p) => inMemory(p) && !(b.roots as Prim[]).includes(p));
    for (const p of a.roots) {
      const at = reads.get(p);
      if (at === undefined) continue;
      const position = ownPosition(p, domain);
      if ([...at].some((key) => key !== position)) return false;
    }
    if (operations > maxGroupOperations) return false;
    if (own.size > 24) return false;
    for (const p of merged.roots) groups.set(p, merged);
    between.merge(a, b, merged);
    return true;
  };

  for (const p of order) {
    // Consumers in order, nearest first.
    for (const reader of readers.get(p) ?? []) {
      const a = groups.get(p)!;
      const b = groups.get(reader)!;
      if (a !== b) tryMerge(a, b);
    }
  }
  // Siblings: same domain, common operands, no order between them.
  const bySource = new Map<Prim, Prim[]>();
  for (const p of order) for (const s of sources.get(p)!) (bySource.get(s) ?? bySource.set(s, []).get(s)!).push(p);
  for (const list of bySource.values()) {
    for (let i = 0; i < list.length; i++)
      for (let j = i + 1; j < Math.min(list.length, i + 1 + mostSiblings); j++) {
        const a = groups.get(list[i])!;
        const b = groups.get(list[j])!;
        if (a === b || a.kind !== b.kind || a.kind === 'single') continue;
        if (!dims.equal(dims.productOf(a.rows), dims.productOf(b.rows)) || !dims.equal(dims.productOf(a.cols), dims.productOf(b.cols)))
          continue;
        if (a.kind === 'column' && !sameReduction(a, b)) continue;
        if (between.reaches(a, b, false) || between.reaches(b, a, false)) continue;
        tryMerge(a, b);
      }
  }
  return { order, groupOf: groups, sources };
}

/** How many of the readers of one value each of them is compared with. */
const mostSiblings = 32;

const sameReduction = (a: Group, b: Group): boolean => {
  const extents = (g: Group): string =>
    g.roots.flatMap((p) => (p.body.op === 'reduce' ? [p.body.axes.map((x) => dims.keyOf(p.srcs[0].shape[x])).join(',')] : [])).join(';');
  return extents(a).split(';')[0] === extents(b).split(';')[0];
};

/** Every root of a group has one element a row, or one a row and column; reductions of a row group run along its columns. */
function fits(p: Prim, domain: Domain & { kind: GroupKind }): boolean {
  const size = sizeOf(p);
  const rows = dims.productOf(domain.rows);
  const all = dims.mul(rows, dims.productOf(domain.cols));
  if (p.body.op === 'reduce' && domain.kind === 'row') {
    const src = p.body.srcs[0];
    return dims.equal(size, rows) && dims.equal(sizeOf(src), all);
  }
  return dims.equal(size, rows) || dims.equal(size, all);
}

/** Roots and inputs that must be in memory before `p` is computed, though it does not read them. */
export function waitsOf(p: Prim, roots: ReadonlySet<Prim>): Set<Prim> {
  const out = new Set<Prim>();
  for (const q of topological(p.srcs, (x) => roots.has(x)))
    if (q.body.op === 'after' && !roots.has(q))
      for (const r of topological([q.body.srcs[1]], (x) => roots.has(x))) if (roots.has(r)) out.add(r);
  return out;
}

function directSources(p: Prim, roots: ReadonlySet<Prim>): Set<Prim> {
  const out = new Set<Prim>();
  topological(p.srcs, (q) => roots.has(q)).forEach((q) => {
    if (roots.has(q) || q.body.op === 'input') out.add(q);
  });
  return out;
}

/** Groups that must run before `g`, besides those in `extra`. */
export function predecessorsOf(g: Group, grouping: Grouping, extra?: ReadonlyMap<Group, ReadonlySet<Group>>): Set<Group> {
  const out = new Set<Group>(extra?.get(g));
  for (const p of g.roots)
    for (const s of grouping.sources.get(p)!) {
      const other = grouping.groupOf.get(s);
      if (other !== undefined && other !== g) out.add(other);
    }
  return out;
}

/** True if `to` must wait for `from`. */
export function reaches(from: Group, to: Group, grouping: Grouping, extra: ReadonlyMap<Group, ReadonlySet<Group>>): boolean {
  const seen = new Set<Group>();
  const stack = [to];
  while (stack.length > 0) {
    const g = stack.pop()!;
    if (g === from) return true;
    if (seen.has(g)) continue;
    seen.add(g);
    stack.push(...predecessorsOf(g, grouping, extra));
  }
  return false;
}

/** All groups, each after its predecessors. */
export function orderGroups(grouping: Grouping, extra: ReadonlyMap<Group, ReadonlySet<Group>>): Group[] {
  const done = new Set<Group>();
  const out: Group[] = [];
  for (const p of grouping.order) {
    const stack = [grouping.groupOf.get(p)!];
    while (stack.length > 0) {
      const g = stack[stack.length - 1];
      const waiting = done.has(g) ? [] : [...predecessorsOf(g, grouping, extra)].filter((x) => !done.has(x));
      if (waiting.length > 0) stack.push(...waiting);
      else {
        stack.pop();
        if (!done.has(g)) {
          done.add(g);
          out.push(g);
        }
      }
    }
  }
  return out;
}

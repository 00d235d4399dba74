/**
 * Scheduling: the one pass that chooses the loop structure of a kernel. It never changes what is computed, nor the order of a reduction.
 *
 * The graph layer gives grid axes, then loops. Here: (1) neighbouring loops over equal extents become one where no store of the first is
 * read by the second; (2) a grid without any vector loop gives its last axes to one, preferring the axis on which stores, then loads,
 * have stride one; (3) adjacent axes that every index uses only as a * extent(b) + b are collapsed; (4) reductions of equal extents
 * share axes, so that lowering can let them share loops; (5) kinds are set. A kernel that is all element-wise becomes one flat axis.
 */
import { freeAxes, isReduce, linearize, makeRewriter, reachable, rewriteStatements, rootsOf, writtenBuffers } from './expression.ts';
import type { Axis, Expr, Kernel, LoopStatement, ReduceExpr, Statement } from './ir.ts';
import { KernelBuilder } from './ir.ts';

/** Grid items shorter than this are not worth a grid of their own: their loop overhead shows. */
const shortVector = 64;
/** A vector axis shorter than this wastes more lanes than a gather costs. */
const fewLanes = 6;
/** A grid with fewer items than this leaves threads idle: long vector loops are cut in pieces of at most `longestPiece`. */
const fewItems = 32;
const longestPiece = 4096;

/** The kernel with its loop structure and axis kinds settled. The input and its axes stay as they are. */
export function scheduleKernel(kernel: Kernel): Kernel {
  freshAxes = firstFreshAxis;
  let result = shareReduceAxes(dropUnitAxes(copyAxes(kernel)));
  result = { ...result, body: mergeLoops(result.body) };
  result = chooseVectorAxis(result);
  for (;;) {
    const collapsed = collapseGrid(result) ?? collapseLoops(result);
    if (collapsed === null) break;
    result = collapsed;
  }
  // one builder for all, so that what became equal is one object again
  return setKinds(rebuild(tileTransposes(splitLongLoop(flatten(result))), {}));
}

/** Axes of its own, as kinds are set in place. */
function copyAxes(kernel: Kernel): Kernel {
  const copies = new Map<Axis, Axis>();
  const axis = (a: Axis): Axis => {
    let copy = copies.get(a);
    if (copy === undefined) {
      copy = { ...a };
      copies.set(a, copy);
    }
    return copy;
  };
  return rebuild(kernel, { axis }, kernel.grid.map(axis));
}

/** Axes of one iteration: their uses are already the constant 0. */
function dropUnitAxes(kernel: Kernel): Kernel {
  const inline = (body: readonly Statement[]): Statement[] =>
    body.flatMap((s): Statement[] => {
      if (s.kind !== 'loop') return [s];
      return constantOf(s.axis.extent) === 1 ? inline(s.body) : [{ ...s, body: inline(s.body) }];
    });
  return rebuild(
    kernel,
    {},
    kernel.grid.filter((a) => constantOf(a.extent) !== 1),
    inline(kernel.body),
  );
}

const constantOf = (e: Expr): number | null => (e.op === 'const' && typeof e.value === 'number' ? e.value : null);

/** Rebuilds a kernel in a builder of its own (axes keep their identity unless renamed). */
function rebuild(
  kernel: Kernel,
  options: { readonly replace?: (e: Expr) => Expr | null; readonly axis?: (a: Axis) => Axis },
  grid: readonly Axis[] = kernel.grid,
  body: readonly Statement[] = kernel.body,
  builder = new KernelBuilder(),
): Kernel {
  const rewrite = makeRewriter(builder, options);
  return { ...kernel, grid, body: rewriteStatements(body, rewrite, options.axis) };
}

/** Ids of new axes only have to differ within a kernel; starting over keeps scheduling deterministic. */
const firstFreshAxis = 1000;
let freshAxes = firstFreshAxis;
function freshAxis(name: string, extent: Expr, kind: Axis['kind']): Axis {
  return { id: freshAxes++, name, extent, kind };
}

// ---------------------------------------------------------------------------------------------------- reductions

/**
 * Reductions with equal extents get the same axes. Two axes may become one only if no expression depends on both and no reduction binds
 * both; a reduction that depends on the axes of an enclosing one never shares them (`nesting` tells them apart).
 */
function shareReduceAxes(kernel: Kernel): Kernel {
  const all = reachable(rootsOf(kernel.body));
  const together = (a: Axis, b: Axis): boolean =>
    [...all].some((e) => (freeAxes(e).has(a) && freeAxes(e).has(b)) || (isReduce(e) && e.axes.includes(a) && e.axes.includes(b)));
  const classes = new Map<string, (readonly Axis[])[]>();
  const renamed = new Map<Axis, Axis>();
  const claimed = new Set<Axis>();
  for (const r of all) {
    if (!isReduce(r) || r.axes.some((a) => claimed.has(a))) continue;
    for (const a of r.axes) claimed.add(a);
    const key = `${nesting(r)}:${r.axes.map((a) => printKey(a.extent)).join(',')}`;
    const members = classes.get(key) ?? [];
    if (members.some((m) => m.some((a) => r.axes.some((b) => together(a, b))))) continue;
    classes.set(key, [...members, r.axes]);
    if (members.length > 0)
      r.axes.forEach((a, i) => {
        renamed.set(a, members[0][i]);
      });
  }
  if (renamed.size === 0) return kernel;
  return rebuild(kernel, { axis: (a) => renamed.get(a) ?? a });
}

/** How many reductions inside the value still depend on this one's axes: those are loops within its loop. */
function nesting(r: ReduceExpr): number {
  let depth = 0;
  for (const e of reachable([r.value])) if (isReduce(e) && r.axes.some((a) => freeAxes(e).has(a))) depth = Math.max(depth, nesting(e) + 1);
  return depth;
}

// --------------------------------------------------------------------------------------------------------- loops

function loadsOf(body: readonly Statement[]): { buffer: number; index: Expr }[] {
  const loads: { buffer: number; index: Expr }[] = [];
  for (const e of reachable(rootsOf(body))) if (e.op === 'load') loads.push(e);
  for (const s of body) collectCombines(s, loads);
  return loads;
}
function collectCombines(s: Statement, loads: { buffer: number; index: Expr }[]): void {
  if (s.kind === 'loop') for (const t of s.body) collectCombines(t, loads);
  else if (s.combine !== null) loads.push(s);
}
function storesOf(body: readonly Statement[]): { buffer: number; index: Expr }[] {
  return body.flatMap((s) => (s.kind === 'loop' ? storesOf(s.body) : [s]));
}

/** Consecutive loops over equal extents become one where that keeps every read before or after the writes it was before or after. */
function mergeLoops(body: readonly Statement[]): Statement[] {
  const merged: Statement[] = [];
  for (const s of body) {
    const before = merged[merged.length - 1];
    if (s.kind === 'loop' && before !== undefined && before.kind === 'loop' && printKey(before.axis.extent) === printKey(s.axis.extent)) {
      const second = renameAxis(s, before.axis);
      if (mayMerge(before, second)) {
        merged[merged.length - 1] = { kind: 'loop', axis: before.axis, body: [...before.body, ...second.body] };
        continue;
      }
    }
    merged.push(s);
  }
  return merged.map((s) => (s.kind === 'loop' ? { ...s, body: mergeLoops(s.body) } : s));
}

function renameAxis(loop: LoopStatement, axis: Axis): LoopStatement {
  if (loop.axis === axis) return loop;
  const from = loop.axis;
  // a shared builder keeps equal expressions of both loops one object
  const rewrite = makeRewriter(sharedBuilder, { axis: (a) => (a === from ? axis : a) });
  return { kind: 'loop', axis, body: rewriteStatements(loop.body, rewrite) };
}
let sharedBuilder = new KernelBuilder();

function mayMerge(first: LoopStatement, second: LoopStatement): boolean {
  if (first.axis.kind === 'serial' || second.axis.kind === 'serial') return false;
  const written = writtenBuffers(first.body);
  // reads, or writes again, what the first wrote: the first must be complete
  if (loadsOf(second.body).some((l) => written.has(l.buffer))) return false;
  if ([...writtenBuffers(second.body)].some((b) => written.has(b))) return false;
  // overwrites what the first reads: only at the very element
  const stores = storesOf(second.body);
  const text = (e: Expr): string => printKey(e);
  return loadsOf(first.body).every((l) => stores.every((s) => s.buffer !== l.buffer || text(s.index) === text(l.index)));
}

let unequal = 0;
/** A structural key that does not depend on the builder. */
function printKey(e: Expr): string {
  const linear = linearize(e);
  const terms = [...linear.terms].map(([atom, c]) => `${c}*${atomKey(atom)}`).sort();
  return terms.length === 0 ? `${linear.constant}` : `${linear.constant}+${terms.join('+')}`;
}
function atomKey(e: Expr): string {
  switch (e.op) {
    case 'axis':
      return `a${e.axis.id}`;
    case 'param':
      return `p${e.slot}`;
    case 'scalar': {
      const args = e.args.map((a) => (a.type === 'index' ? printKey(a) : atomKey(a)));
      return `${e.fn}(${(e.fn === 'mul' ? args.sort() : args).join(',')})`;
    }
    default:
      return `other${unequal++}`; // never equal: ids of different builders must not be compared
  }
}

// --------------------------------------------------------------------------------------------------- vector axis

const hasLoop = (body: readonly Statement[], kind: Axis['kind']): boolean =>
  body.some((s) => s.kind === 'loop' && (s.axis.kind === kind || hasLoop(s.body, kind)));

/** How well an axis suits the lanes: stores of stride one count most, then loads; anything with another stride counts against it. */
function fitness(axis: Axis, body: readonly Statement[]): number {
  const stride = (index: Expr): number | null => {
    let sum = 0;
    for (const [atom, c] of linearize(index).terms) {
      if (atom.op === 'axis' && atom.axis === axis) sum += c;
      else if (freeAxes(atom).has(axis)) return null;
    }
    return sum;
  };
  let score = 0;
  for (const s of storesOf(body)) score += stride(s.index) === 1 ? 8 : -16;
  for (const e of reachable(rootsOf(body))) {
    if (e.op !== 'load') continue;
    const step = stride(e.index);
    if (step !== 0) score += step === 1 ? 2 : -1;
  }
  const extent = constantOf(axis.extent);
  return extent !== null && extent < fewLanes ? score - 24 : score;
}

/** The vector axis: a proposed loop, or the grid axis that suits the lanes better. */
function chooseVectorAxis(proposed: Kernel): Kernel {
  if (hasLoop(proposed.body, 'serial')) return proposed;
  let kernel = hasReduce(proposed) ? proposed : pullLoops(proposed);
  // first, so that lengths and strides are those of the axes that remain
  if (!kernel.body.some((s) => s.kind === 'loop'))
    for (let next = collapseGrid(kernel); next !== null; next = collapseGrid(kernel)) kernel = next;
  if (kernel.grid.length === 0) return kernel;
  if (kernel.body.some((s) => s.kind === 'loop')) return kernel.buffers.some((b) => b.access === 'local') ? kernel : transpose(kernel);
  const stored = storesOf(kernel.body);
  const candidates = kernel.grid.filter((a) => stored.every((s) => freeAxes(s.index).has(a)));
  if (candidates.length === 0) return kernel;
  const best = fittest(candidates, kernel.body);
  if (kernel.grid.length === 1 && best.kind === 'vector') return kernel;
  // row reductions: lanes run along the reduced row when its elements are contiguous
  for (const r of reachable(rootsOf(kernel.body)))
    if (isReduce(r) && freeAxes(r).has(best) && reduceFitness(r) >= fitness(best, storesOnlyLoads(r))) return kernel;
  return loopInside(kernel, best, kernel.body);
}

const hasReduce = (kernel: Kernel): boolean => [...reachable(rootsOf(kernel.body))].some(isReduce);

function fittest(axes: readonly Axis[], body: readonly Statement[]): Axis {
  let best = axes[axes.length - 1];
  for (const a of axes) if (fitness(a, body) > fitness(best, body)) best = a;
  return best;
}

/** An element-wise nest as a grid: the last axes of the proposal are candidates like all others. */
function pullLoops(kernel: Kernel): Kernel {
  let { grid, body } = kernel;
  for (;;) {
    const [only] = body;
    if (body.length !== 1 || only.kind !== 'loop') return { ...kernel, grid, body };
    grid = [...grid, only.axis];
    body = only.body;
  }
}

/**
 * Row kernels whose rows are not contiguous while neighbouring rows are (softmax over the first dim): lanes run across rows, and the
 * loops over a row become serial.
 */
function transpose(kernel: Kernel): Kernel {
  const stored = storesOf(kernel.body);
  const candidates = kernel.grid.filter((a) => stored.every((s) => freeAxes(s.index).has(a)));
  if (candidates.length === 0) return kernel;
  const best = fittest(candidates, kernel.body);
  // Compared by what happens once an element; what there is once a row hardly counts.
  let along = 0;
  let across = 0;
  for (const s of kernel.body) {
    if (s.kind !== 'loop') continue;
    along += fitness(s.axis, s.body);
    across += fitness(best, s.body);
  }
  for (const r of reachable(rootsOf(kernel.body))) {
    if (!isReduce(r)) continue;
    along += reduceFitness(r);
    across += fitness(best, storesOnlyLoads(r));
  }
  if (across <= along) return kernel;
  const serial = (body: readonly Statement[]): void => {
    for (const s of body)
      if (s.kind === 'loop') {
        s.axis.kind = 'serial';
        serial(s.body);
      }
  };
  serial(kernel.body);
  if (kernel.grid.length > 1) return loopInside(kernel, best, kernel.body);
  best.kind = 'vector';
  return kernel;
}
function storesOnlyLoads(r: ReduceExpr): Statement[] {
  return [
    { kind: 'loop', axis: r.axes[0], body: [{ kind: 'store', buffer: -1, index: zeroIndex, value: r.value, mask: null, combine: null }] },
  ];
}
const zeroIndex: Expr = new KernelBuilder().index(0);
function reduceFitness(r: ReduceExpr): number {
  return fitness(r.axes[r.axes.length - 1], storesOnlyLoads(r));
}

/** `axis` leaves the grid and becomes a vector loop around the body. */
function loopInside(kernel: Kernel, axis: Axis, body: readonly Statement[]): Kernel {
  axis.kind = 'vector';
  return { ...kernel, grid: kernel.grid.filter((a) => a !== axis), body: [{ kind: 'loop', axis, body }] };
}

// ------------------------------------------------------------------------------------------------------ collapse

/** How an index depends on a and b: coefficient of b, and whether a's part is that coefficient times extent(b). */
function pairing(e: Expr, a: Axis, b: Axis): { readonly coefficient: number; readonly together: boolean } {
  const extent = constantOf(b.extent);
  let ca = 0;
  let cb = 0;
  for (const [atom, c] of linearize(e).terms) {
    if (atom.op === 'axis' && atom.axis === a) ca += extent === null ? Number.NaN : c / extent;
    else if (atom.op === 'axis' && atom.axis === b) cb += c;
    else if (isSymbolicRow(atom, a, b)) ca += c;
  }
  return { coefficient: cb, together: ca === cb };
}
/** a * extent(b), with a symbolic extent. */
function isSymbolicRow(atom: Expr, a: Axis, b: Axis): boolean {
  if (atom.op !== 'scalar' || atom.fn !== 'mul' || constantOf(b.extent) !== null) return false;
  const [x, y] = atom.args;
  const other = x.op === 'axis' && x.axis === a ? y : y.op === 'axis' && y.axis === a ? x : null;
  return other !== null && printKey(other) === printKey(b.extent);
}

/** May a and b become one axis: is every index a multiple of a * extent(b) + b plus what depends on neither? */
function collapsible(kernel: Kernel, a: Axis, b: Axis): boolean {
  const all = reachable(rootsOf(kernel.body));
  const touches = (e: Expr): boolean => freeAxes(e).has(a) || freeAxes(e).has(b);
  // maximal index expressions: what a load, a store, a comparison or a cast sees
  const sums: Expr[] = storesOf(kernel.body).map((s) => s.index);
  for (const e of all) {
    if (isReduce(e) && (e.axes.includes(a) || e.axes.includes(b))) return false;
    if (e.op === 'load') sums.push(e.index);
    else if (e.op === 'cast' && e.arg.type === 'index') sums.push(e.arg);
    else if (e.op === 'scalar' && e.args[e.args.length - 1].type === 'index') {
      const linear = e.fn === 'add' || e.fn === 'sub' || (e.fn === 'mul' && !linearize(e).terms.has(e));
      if (!linear && !isSymbolicRow(e, a, b)) sums.push(...e.args);
    }
  }
  return sums.every((e) => !touches(e) || pairing(e, a, b).together);
}

function substituteCollapsed(kernel: Kernel, a: Axis, b: Axis, fused: Axis, grid: readonly Axis[], body: readonly Statement[]): Kernel {
  const builder = new KernelBuilder();
  const rewrite = makeRewriter(builder, { replace });
  // both terms of a sum are replaced at once: c * (a * extent + b) = c * fused
  function replace(e: Expr): Expr | null {
    if (e.type !== 'index' || (!freeAxes(e).has(a) && !freeAxes(e).has(b))) return null;
    if (e.op !== 'axis' && (e.op !== 'scalar' || linearize(e).terms.has(e))) return null;
    const { constant, terms } = linearize(e);
    let sum = builder.scalar('mul', builder.use(fused), builder.index(pairing(e, a, b).coefficient));
    for (const [atom, c] of terms) {
      if ((atom.op === 'axis' && (atom.axis === a || atom.axis === b)) || isSymbolicRow(atom, a, b)) continue;
      sum = builder.scalar('add', sum, builder.scalar('mul', rewrite(atom), builder.index(c)));
    }
    return builder.scalar('add', sum, builder.index(constant));
  }
  return { ...kernel, grid, body: rewriteStatements(body, rewrite) };
}

function product(a: Axis, b: Axis): Expr {
  return sharedBuilder.scalar('mul', makeRewriter(sharedBuilder, {})(a.extent), makeRewriter(sharedBuilder, {})(b.extent));
}

function collapseGrid(kernel: Kernel): Kernel | null {
  for (let k = kernel.grid.length - 1; k > 0; k--) {
    const [a, b] = [kernel.grid[k - 1], kernel.grid[k]];
    if (!collapsible(kernel, a, b)) continue;
    const fused = freshAxis(`${a.name}${b.name}`, product(a, b), 'grid');
    return substituteCollapsed(kernel, a, b, fused, [...kernel.grid.slice(0, k - 1), fused, ...kernel.grid.slice(k + 1)], kernel.body);
  }
  return null;
}

/** A loop that is all of the body of a loop, both of vector or both of serial kind. */
function collapseLoops(kernel: Kernel): Kernel | null {
  const visit = (body: readonly Statement[]): { a: LoopStatement; b: LoopStatement } | null => {
    for (const s of body) {
      if (s.kind !== 'loop') continue;
      const [only] = s.body;
      if (s.body.length === 1 && only.kind === 'loop' && s.axis.kind === only.axis.kind && collapsible(kernel, s.axis, only.axis))
        return { a: s, b: only };
      const found = visit(s.body);
      if (found !== null) return found;
    }
    return null;
  };
  const found = visit(kernel.body);
  if (found === null) return null;
  const { a, b } = found;
  const fused = freshAxis(`${a.axis.name}${b.axis.name}`, product(a.axis, b.axis), a.axis.kind);
  const replaceLoop = (body: readonly Statement[]): Statement[] =>
    body.map((s) =>
      s === a
        ? { kind: 'loop' as const, axis: fused, body: b.body }
        : s.kind === 'loop'
          ? { kind: 'loop' as const, axis: s.axis, body: replaceLoop(s.body) }
          : s,
    );
  return substituteCollapsed(kernel, a.axis, b.axis, fused, kernel.grid, replaceLoop(kernel.body));
}

/**
 * A grid over one vector loop of stores. If the loop swallows every grid axis it becomes one flat vector grid; if only some, it does so
 * while it is short, as grid items must stay many.
 */
function flatten(kernel: Kernel): Kernel {
  let result = kernel;
  let swallowed = kernel;
  for (;;) {
    const [only] = swallowed.body;
    if (swallowed.body.length !== 1 || only.kind !== 'loop' || only.axis.kind !== 'vector' || only.body.some((s) => s.kind === 'loop'))
      return result;
    if (swallowed.grid.length === 0) return { ...swallowed, grid: [only.axis], body: only.body };
    const last = swallowed.grid[swallowed.grid.length - 1];
    if (!collapsible(swallowed, last, only.axis)) return result;
    const extent = constantOf(only.axis.extent);
    const short = extent !== null && extent < shortVector;
    const fused = freshAxis(`${last.name}${only.axis.name}`, product(last, only.axis), 'vector');
    const body: Statement[] = [{ kind: 'loop', axis: fused, body: only.body }];
    const before = swallowed;
    swallowed = substituteCollapsed(before, last, only.axis, fused, before.grid.slice(0, -1), body);
    if (short && result === before) result = swallowed;
  }
}

/**
 * An element-wise nest that reads columns: a load walks memory along a grid axis while the lanes jump from row to row, so each cache line would be fetched
 * once an element. Both axes are cut: in a grid item the lanes stay on `tileLanes` rows while a short loop uses up the lines that they touch.
 */
function tileTransposes(kernel: Kernel): Kernel {
  const [only] = kernel.body;
  if (kernel.body.length !== 1 || only.kind !== 'loop' || only.axis.kind !== 'vector' || only.body.some((s) => s.kind === 'loop'))
    return kernel;
  if (hasReduce(kernel) || kernel.buffers.some((b) => b.access === 'local')) return kernel;
  const lanes = only.axis;
  const loads = loadsOf(only.body);
  const along = (index: Expr, axis: Axis): number => {
    let sum = 0;
    for (const [atom, c] of linearize(index).terms) {
      if (atom.op === 'axis' && atom.axis === axis) sum += c;
      else if (freeAxes(atom).has(axis)) return Number.NaN;
    }
    return sum;
  };
  const row = kernel.grid.find((a) => loads.some((l) => along(l.index, a) === 1 && Math.abs(along(l.index, lanes)) >= tileLanes));
  const [rows, columns] = [row === undefined ? null : constantOf(row.extent), constantOf(lanes.extent)];
  if (row === undefined || rows === null || columns === null || rows < 2 * tileLanes || columns < 2 * tileLanes) return kernel;
  const height = [16, 8, 4].find((n) => rows % n === 0);
  const width = [64, 32, 16].find((n) => columns % n === 0);
  if (height === undefined || width === undefined) return kernel;
  const builder = new KernelBuilder();
  const axis = (name: string, extent: number, kind: Axis['kind']): Axis => freshAxis(name, builder.index(extent), kind);
  const strip = axis(row.name, rows / height, 'grid');
  const within = axis(row.name, height, 'serial');
  const piece = axis(lanes.name, columns / width, 'grid');
  const part = axis(lanes.name, width / tileLanes, 'serial');
  const inner = axis(lanes.name, tileLanes, 'vector');
  const sum = (outer: Expr, size: number, rest: Expr): Expr =>
    builder.scalar('add', builder.scalar('mul', outer, builder.index(size)), rest);
  const replace = (e: Expr): Expr | null => {
    if (e.op !== 'axis') return null;
    if (e.axis === row) return sum(builder.use(strip), height, builder.use(within));
    if (e.axis === lanes) return sum(sum(builder.use(piece), width / tileLanes, builder.use(part)), tileLanes, builder.use(inner));
    return null;
  };
  const stores = rewriteStatements(only.body, makeRewriter(builder, { replace }));
  const loop = (a: Axis, body: readonly Statement[]): LoopStatement => ({ kind: 'loop', axis: a, body });
  const grid = [...kernel.grid.map((a) => (a === row ? strip : a)), piece];
  return { ...kernel, grid, body: [loop(part, [loop(within, [loop(inner, stores)])])] };
}
/** Lanes of the widest vector: a cache line of float32. */
const tileLanes = 16;

/** A small grid over one long element-wise loop: the loop's outer part joins the grid. */
function splitLongLoop(kernel: Kernel): Kernel {
  const [only] = kernel.body;
  if (kernel.body.length !== 1 || only.kind !== 'loop' || only.axis.kind !== 'vector' || kernel.grid.length === 0 || hasReduce(kernel))
    return kernel;
  const extents = kernel.grid.map((a) => constantOf(a.extent) ?? fewItems);
  const extent = constantOf(only.axis.extent);
  if (extent === null || extents.reduce((p, q) => p * q, 1) >= fewItems) return kernel;
  let piece = longestPiece;
  while (extent % piece !== 0) piece /= 2;
  if (piece < 4 * shortVector || extent === piece) return kernel;
  const builder = new KernelBuilder();
  const outer = freshAxis(only.axis.name, builder.index(extent / piece), 'grid');
  const inner = freshAxis(only.axis.name, builder.index(piece), 'vector');
  const replace = (e: Expr): Expr | null =>
    e.op === 'axis' && e.axis === only.axis
      ? builder.scalar('add', builder.scalar('mul', builder.use(outer), builder.index(piece)), builder.use(inner))
      : null;
  const body: Statement[] = [{ kind: 'loop', axis: inner, body: rewriteStatements(only.body, makeRewriter(builder, { replace })) }];
  return { ...kernel, grid: [...kernel.grid, outer], body };
}

// --------------------------------------------------------------------------------------------------------- kinds

/** Grid axes are `grid` (a single one may be `vector`), loops keep vector or serial, the axes of reductions are `reduce`. */
function setKinds(kernel: Kernel): Kernel {
  sharedBuilder = new KernelBuilder();
  const loops = new Set<Axis>();
  const visit = (body: readonly Statement[]): void => {
    for (const s of body)
      if (s.kind === 'loop') {
        loops.add(s.axis);
        if (s.axis.kind === 'grid' || s.axis.kind === 'reduce') s.axis.kind = 'vector';
        visit(s.body);
      }
  };
  visit(kernel.body);
  for (const e of reachable(rootsOf(kernel.body))) if (isReduce(e)) for (const a of e.axes) if (!loops.has(a)) a.kind = 'reduce';
  if (kernel.grid.length !== 1 || kernel.grid[0].kind !== 'vector') for (const a of kernel.grid) a.kind = 'grid';
  return kernel;
}

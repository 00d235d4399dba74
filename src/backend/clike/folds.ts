/**
 * Which parts of a kernel's item several teams can share, found in its vector IR.
 *
 * A long reduction is lowered as loops around a *fold point*: cells (the 16 lanes of one block of 1024) that depend on nothing before them,
 * then a merge of the cells into running totals. The cells of all blocks can be computed at once, in any order, by anyone; only the merges
 * must be in order, and they are few. So `C; M` in a nest of loops becomes: cells of block `it` into slot `it`, a barrier, and one loop over
 * the slots that does `M`. The numbers stay the same to the last bit. Loops that only store (element-wise passes over a row) are shared by
 * giving each team its own iterations. All else is computed by every team alike.
 */
import {
  definedRegister,
  nestedBodies,
  type Register,
  type StatementOf,
  usedRegisters,
  type VectorKernel,
  type VectorStatement,
} from '../../kernel/vector-ir.ts';

type Loop = StatementOf<'loop'>;

export interface FoldLevel {
  readonly loop: Loop;
  readonly trips: number;
  readonly from: number;
  /** What stands before the inner loop; of the innermost level, what computes the cells. */
  readonly before: readonly VectorStatement[];
}

export interface Fold {
  readonly levels: readonly FoldLevel[];
  readonly merge: readonly VectorStatement[];
  /** What the merge needs of an iteration. */
  readonly cells: readonly Register[];
  /** What the merge changes. */
  readonly totals: readonly Register[];
  readonly iterations: number;
  /** Depends on no other reduction and on no stored value: it can be computed ahead by a kernel of its own. */
  free: boolean;
}

export interface SharedItem {
  /** What an item goes into: the loop over the grid; of a flat grid also what stands for its rest. */
  readonly containers: ReadonlySet<VectorStatement>;
  readonly flat: boolean;
  readonly folds: ReadonlyMap<VectorStatement, Fold>;
  readonly distributed: ReadonlySet<VectorStatement>;
  /** Statements of the item that a kernel of free folds leaves out. */
  readonly tainted: ReadonlySet<VectorStatement>;
  /** Steps of sixteen elements in the longest part that is shared. */
  readonly longest: number;
}

/** The most registers of an iteration that are kept: two iterations fit the window through which they are merged. */
export const mostCells = 64;

/** Every statement, nested ones included. */
function* statements(body: readonly VectorStatement[]): Generator<VectorStatement> {
  for (const s of body) {
    yield s;
    for (const inner of nestedBodies(s)) yield* statements(inner);
  }
}
const everything = (s: VectorStatement): Generator<VectorStatement> => statements([s]);

const isStore = (s: VectorStatement): boolean => s.kind === 'store' || s.kind === 'scatter';
export const hasStore = (s: VectorStatement): boolean => [...everything(s)].some(isStore);

/** Registers that are defined (not assigned) somewhere inside. */
function definedIn(body: readonly VectorStatement[]): Set<number> {
  const out = new Set<number>();
  for (const s of statements(body)) {
    const r = definedRegister(s);
    if (r !== null && s.kind !== 'assign') out.add(r.id);
  }
  return out;
}
/** Registers that are assigned inside and live outside. */
function assignedOutside(body: readonly VectorStatement[]): Set<number> {
  const own = definedIn(body);
  const out = new Set<number>();
  for (const s of statements(body)) if (s.kind === 'assign' && !own.has(s.dst.id)) out.add(s.dst.id);
  return out;
}

function tripsOf(loop: Loop): { readonly trips: number; readonly from: number } | null {
  const { from, to, step } = loop;
  if (typeof from !== 'number' || typeof to !== 'number') return null;
  return { from, trips: Math.max(0, Math.ceil((to - from) / step)) };
}

function foldOf(loop: Loop): Fold | null {
  const levels: FoldLevel[] = [];
  let at = loop;
  for (;;) {
    const trips = tripsOf(at);
    if (trips === null || [...everything(at)].some((s) => isStore(s))) return null;
    const point = foldPoint(at);
    if (point !== null) {
      levels.push({ loop: at, ...trips, before: point.cellsBody });
      // Of the loops around it a merge may not know where it is.
      const around = definedIn(levels.slice(0, -1).flatMap((l) => l.before));
      for (const l of levels) around.add(l.loop.counter.id);
      if (point.merge.some((s) => usedRegisters(s).some((r) => around.has(r.id)))) return null;
      const iterations = levels.reduce((n, l) => n * l.trips, 1);
      return { levels, merge: point.merge, cells: point.cells, totals: point.totals, iterations, free: false };
    }
    // Pure statements around one inner loop.
    const inner = at.body.filter((s) => s.kind === 'loop');
    const last = at.body[at.body.length - 1];
    if (inner.length !== 1 || last !== inner[0]) return null;
    const before = at.body.slice(0, -1);
    if (assignedOutside(before).size > 0) return null;
    levels.push({ loop: at, ...trips, before });
    at = inner[0] as Loop;
  }
}

function foldPoint({ body, counter }: Loop): {
  readonly cellsBody: readonly VectorStatement[];
  readonly merge: readonly VectorStatement[];
  readonly cells: readonly Register[];
  readonly totals: readonly Register[];
} | null {
  let start = body.length;
  while (start > 0 && ['vector', 'assign', 'cast'].includes(body[start - 1].kind)) start--;
  const merge = body.slice(start);
  const cellsBody = body.slice(0, start);
  const totals = assignedOutside(merge);
  if (totals.size === 0 || cellsBody.length === 0 || assignedOutside(cellsBody).size > 0) return null;
  const made = definedIn(cellsBody);
  made.add(counter.id);
  for (const s of statements(cellsBody)) if (usedRegisters(s).some((r) => totals.has(r.id))) return null;
  const top = new Set(cellsBody.map(definedRegister).map((r) => r?.id));
  const cells = new Map<number, Register>();
  for (const s of merge)
    for (const r of usedRegisters(s)) {
      if (!made.has(r.id)) continue;
      if (!top.has(r.id) || r.type === 'index') return null;
      cells.set(r.id, r);
    }
  const changed = new Map<number, Register>();
  for (const s of merge) if (s.kind === 'assign' && totals.has(s.dst.id)) changed.set(s.dst.id, s.dst);
  return cells.size === 0 ? null : { cellsBody, merge, cells: [...cells.values()], totals: [...changed.values()] };
}

/**
 * How an item of the kernel can be shared, or null where it cannot. An item is one index of the grid, or sixteen of a flat grid. What does
 * not depend on the grid stands before the loop over it; a flat grid has a loop over whole sixteens and an `if` for the rest: of both
 * an item enters one.
 */
export function findSharedItem(kernel: VectorKernel): SharedItem | null {
  const folds = new Map<VectorStatement, Fold>();
  const distributed = new Set<VectorStatement>();
  const tainted = new Set<VectorStatement>();
  const containers = new Set<VectorStatement>();
  const taintedRegisters = new Set<number>();
  let longest = 0;
  let flat = false;
  const isGridLoop = (s: VectorStatement): s is Loop => s.kind === 'loop' && s.from === kernel.begin && (s.step === 1 || s.step === 16);

  const scan = (body: readonly VectorStatement[], outermost: boolean): boolean => {
    for (const s of body) {
      if (outermost && isGridLoop(s)) {
        containers.add(s);
        if (s.step === 16) flat = true;
        if (!scan(s.body, false)) return false;
        continue;
      }
      // The rest of a flat grid.
      if (outermost && s.kind === 'if' && s.b === kernel.end && s.else.length === 0) {
        containers.add(s);
        if (!scan(s.then, false)) return false;
        continue;
      }
      if (!statement(s, outermost)) return false;
    }
    return true;
  };
  const statement = (s: VectorStatement, outermost: boolean): boolean => {
    const outside = assignedOutside([s]);
    const stores = hasStore(s);
    if (stores) {
      if (outermost || outside.size > 0 || [...everything(s)].some((x) => x.kind === 'scatter')) return false;
      if (s.kind === 'loop' && s.step >= 16) {
        distributed.add(s);
        const trips = tripsOf(s);
        longest = Math.max(longest, trips === null ? 0 : (trips.trips * s.step) / 16);
      }
    } else if (s.kind === 'loop') {
      const fold = foldOf(s);
      if (fold !== null && fold.iterations > 1 && fold.cells.length <= mostCells) {
        folds.set(s, fold);
        longest = Math.max(longest, fold.iterations * 16);
      }
    }
    // Addresses of what the kernel writes taint what is read there; so do the results of reductions.
    const used = [...everything(s)].flatMap(usedRegisters);
    const fold = folds.get(s);
    const reads = used.some((r) => taintedRegisters.has(r.id)) || (s.kind === 'buffer' && kernel.buffers[s.slot].access !== 'read');
    if (fold !== undefined) fold.free = !reads;
    if (reads || fold !== undefined || stores) {
      if (fold === undefined || reads) tainted.add(s);
      for (const id of [...definedIn([s]), ...outside]) taintedRegisters.add(id);
    }
    return true;
  };
  if (!scan(kernel.body, true) || containers.size === 0 || longest === 0) return null;
  return { containers, flat, folds, distributed, tainted, longest };
}

/**
 * Assembly: a traced program becomes a plan.
 *
 * Chooses roots, groups them, gives every stored root its memory, lets in-place writes take over the memory of what they overwrite where no
 * later reader is in the way, and cuts the ordered steps into stages: a step's stage is one past the last step whose memory it touches.
 */
import type { Value } from '../graph/node.ts';
import { type Prim, rowMajor } from '../graph/prim.ts';
import type { Dim } from '../shape/dim.ts';
import * as dims from '../shape/dim.ts';
import { trace } from '../util/trace.ts';
import type { Captured } from './capture.ts';
import type { Placement } from './emit.ts';
import {
  chooseRoots,
  type Group,
  groupRoots,
  isFill,
  isRowLevel,
  isSingle,
  operandWindow,
  orderGroups,
  ownPosition,
  reaches,
  readsOf,
  waitsOf,
  wholeOf,
} from './fuse.ts';
import { groupSteps } from './kernels.ts';
import { accessOf, type BufferPlan, type ProgramPlan, type Step } from './plan.ts';
import type { TracedProgram, TracedValue } from './program.ts';

export interface Assembled {
  readonly plan: ProgramPlan;
  readonly donated: readonly boolean[];
  /** Elements of each output. */
  readonly sizes: readonly Dim[];
}

export function assemble(traced: TracedProgram, captured: Captured): Assembled {
  const outputs = outputPrims(traced, captured.outputs);
  const prims = outputs.map((o) => o.prim);
  const layouts = new Map(outputs.map(({ prim, strides }) => [prim, strides]));
  const laid = (p: Prim): readonly Dim[] => layouts.get(p) ?? rowMajor(p.shape);
  const roots = chooseRoots(prims, laid);
  const isRoot = (p: Prim): boolean => roots.has(p);
  const grouping = groupRoots(prims, roots);

  // ---- memory
  const buffers: BufferPlan[] = [];
  const bufferOf = new Map<Prim, Placement>();
  const externalBuffer: number[] = captured.externals.map((v, slot) => {
    const id = buffers.push({ kind: 'external', slot, dtype: traced.externals.get(v)!.dtype, size: 0 }) - 1;
    bufferOf.set(traced.externals.get(v)!, { buffer: id, strides: [1] });
    return id;
  });
  const outputBuffer = outputs.map(({ prim, strides }, slot) => {
    const id = buffers.push({ kind: 'output', slot, dtype: prim.dtype, size: dims.productOf(prim.shape) }) - 1;
    bufferOf.set(prim, { buffer: id, strides });
    return id;
  });

  // ---- taking over memory
  const extra = new Map<Group, Set<Group>>();
  /** Buffers that are the same memory: written id -> the id it takes over. */
  const takesOver = new Map<number, number>();
  const readersOf = (p: Prim): Group[] => [
    ...new Set(grouping.order.filter((r) => grouping.sources.get(r)!.has(p)).map((r) => grouping.groupOf.get(r)!)),
  ];
  /** Lets `p` be written over `old` if everybody else who reads `old` can be done before; then orders them so. */
  const overwrite = (p: Prim, old: Prim): boolean => {
    const writer = grouping.groupOf.get(p)!;
    if (!harmlessReads(p, old, writer)) return false;
    const others = readersOf(old).filter((g) => g !== writer);
    if (others.some((g) => reaches(writer, g, grouping, extra))) return false;
    if (!orderedWithin(p, old, writer)) return false;
    const before = extra.get(writer) ?? new Set<Group>();
    for (const g of others) before.add(g);
    extra.set(writer, before);
    return true;
  };
  /** Results of one kernel that must be stored before another of them, which overwrites what they read. */
  const storedAfter = new Map<Prim, Set<Prim>>();
  const mustFollow = (p: Prim, q: Prim): boolean => p === q || [...(storedAfter.get(p) ?? [])].some((x) => mustFollow(x, q));
  /** Orders the stores of the writer's other results before `p` where they read `old`; false where that is impossible (two that swap). */
  const orderedWithin = (p: Prim, old: Prim, writer: Group): boolean => {
    const fellows = writer.roots.filter(
      (q) => q !== p && readsOf([q], writer, (x) => roots.has(x) && !writer.roots.includes(x)).reads.has(old),
    );
    // What there is once a row is stored before what there is once a column.
    if (isRowLevel(p, writer) && fellows.some((q) => !isRowLevel(q, writer))) return false;
    if (fellows.some((q) => mustFollow(q, p))) return false;
    storedAfter.set(p, new Set([...(storedAfter.get(p) ?? []), ...fellows]));
    return true;
  };
  const inStoreOrder = (g: Group): Group => {
    const sorted: Prim[] = [];
    const put = (p: Prim): void => {
      if (sorted.includes(p)) return;
      for (const before of storedAfter.get(p) ?? []) put(before);
      sorted.push(p);
    };
    g.roots.forEach(put);
    return { ...g, roots: sorted };
  };
  const harmlessReads = (p: Prim, old: Prim, writer: Group): boolean => {
    if (writer.kind === 'single') return singleMayOverwrite(p, old, bufferOf);
    const placement = bufferOf.get(p)!;
    if (!contiguousPlacement(placement, p)) return false;
    const { reads } = readsOf(writer.roots, writer, (q) => roots.has(q) && !writer.roots.includes(q));
    const at = reads.get(old);
    return at === undefined || [...at].every((key) => key === ownPosition(p, writer));
  };
  const donated = outputs.map(({ prim }, i) => {
    const slot = captured.donors[i];
    if (slot < 0) return false;
    if (!overwrite(prim, traced.externals.get(captured.externals[slot])!)) return false;
    takesOver.set(outputBuffer[i], externalBuffer[slot]);
    return true;
  });
  for (const p of grouping.order) {
    if (bufferOf.has(p)) continue;
    bufferOf.set(p, {
      buffer: buffers.push({ kind: 'temporary', slot: -1, dtype: p.dtype, size: dims.productOf(p.shape) }) - 1,
      strides: rowMajor(p.shape),
    });
  }
  for (const p of grouping.order) {
    // A store or scatter over a temporary writes into it.
    if (p.body.op !== 'store' && p.body.op !== 'scatter') continue;
    const base = wholeOf(p.srcs[0], isRoot, laid);
    const from = bufferOf.get(base);
    const to = bufferOf.get(p)!;
    if (from === undefined || !roots.has(base) || takesOver.has(to.buffer) || buffers[from.buffer].kind !== 'temporary') continue;
    if (!contiguousPlacement(to, p) || !overwrite(p, base)) continue;
    if (buffers[to.buffer].kind === 'temporary') takesOver.set(to.buffer, from.buffer);
    else takesOver.set(from.buffer, to.buffer);
  }
  const memory = (buffer: number): number => {
    let at = buffer;
    while (takesOver.has(at)) at = takesOver.get(at)!;
    return at;
  };

  // ---- kernels
  const groups = orderGroups(grouping, extra);
  const stored = new Set<Prim>(prims);
  for (const g of groups) {
    for (const p of g.roots) {
      if (isSingle(p)) stored.add(p);
      for (const s of grouping.sources.get(p)!) if (grouping.groupOf.get(s) !== g) stored.add(s);
    }
  }
  // One id for each piece of memory, so that a kernel that writes over what it reads says so.
  const placed = (p: Prim): Placement | null => {
    const at = bufferOf.get(p);
    return at === undefined ? null : { ...at, buffer: memory(at.buffer) };
  };
  const steps: Step[] = [];
  const stepGroup: Group[] = [];
  for (const g of groups) {
    const made = groupSteps(inStoreOrder(g), {
      of: placed,
      stored: (p) => stored.has(p),
      place: (p) => traced.places.get(p) ?? '',
      inPlace: (p, base) => {
        const window = operandWindow(base, isRoot, laid);
        const at = window && bufferOf.get(window.base);
        if (!window || !at || memory(at.buffer) !== memory(bufferOf.get(p)!.buffer)) return false;
        return (
          dims.keyOf(window.offset) === '0' && window.strides.every((s, i) => base.shape[i] === 1 || dims.equal(s, rowMajor(base.shape)[i]))
        );
      },
    });
    for (const step of made) {
      steps.push(step);
      stepGroup.push(g);
    }
  }
  trace('fusion', () => describe(groups, stored));

  // ---- stages
  const waiting = new Map<Group, number[]>();
  /** Memory that must have been written before a group runs, beside what it reads. */
  const waits = (g: Group): number[] => {
    let found = waiting.get(g);
    if (found === undefined) {
      found = g.roots.flatMap((p) => [...waitsOf(p, roots)].map((r) => placed(r)!.buffer));
      waiting.set(g, found);
    }
    return found;
  };
  const stages: number[] = [];
  const lastWrite = new Map<number, { stage: number; group: Group }>();
  const lastRead = new Map<number, number>();
  steps.forEach((step, i) => {
    const access = accessOf(step);
    const { reads, writes } = access;
    let stage = 0;
    for (const m of waits(stepGroup[i])) stage = Math.max(stage, (lastWrite.get(m)?.stage ?? -1) + 1);
    for (const m of reads) stage = Math.max(stage, (lastWrite.get(m)?.stage ?? -1) + 1);
    for (const m of writes) {
      const before = lastWrite.get(m);
      // The pieces of one `cat` do not overlap.
      const apart = before !== undefined && before.group === stepGroup[i] && stepGroup[i].roots[0].body.op === 'cat';
      if (before !== undefined) stage = Math.max(stage, apart ? before.stage : before.stage + 1);
      stage = Math.max(stage, (lastRead.get(m) ?? -1) + 1);
    }
    stages.push(stage);
    for (const m of reads) lastRead.set(m, Math.max(lastRead.get(m) ?? -1, stage));
    for (const m of writes) lastWrite.set(m, { stage, group: stepGroup[i] });
  });
  // In the order of their stages, so that a device that runs them one by one keeps to the lifetimes that the arena is planned by.
  const byStage = [...steps.keys()].sort((i, j) => stages[i] - stages[j] || i - j);
  return {
    plan: { buffers, steps: byStage.map((i) => steps[i]), stages: byStage.map((i) => stages[i]), symbols: 0 },
    donated,
    sizes: outputs.map((o) => dims.productOf(o.prim.shape)),
  };
}

const contiguousPlacement = (at: Placement, p: Prim): boolean =>
  at.strides.every((s, i) => p.shape[i] === 1 || dims.equal(s, rowMajor(p.shape)[i]));

/** A store may write over its base if the stored value does not read it; products read and write different memory always. */
function singleMayOverwrite(p: Prim, old: Prim, placed: ReadonlyMap<Prim, Placement>): boolean {
  if (p.body.op !== 'store' && p.body.op !== 'scatter') return false;
  const [base, ...rest] = p.srcs;
  const window = operandWindow(base, (q) => q !== p && placed.has(q));
  if (window === null || window.base !== old) return false;
  const seen = new Set<Prim>();
  const stack = [...rest];
  while (stack.length > 0) {
    const q = stack.pop()!;
    if (q === old) return false;
    if (seen.has(q) || (placed.has(q) && q.body.op !== 'input')) continue;
    seen.add(q);
    stack.push(...q.srcs);
  }
  return true;
}

/** Output prims, one object for each output: a second output with the same prim is a copy of it. */
function outputPrims(traced: TracedProgram, outputs: readonly Value[]): { prim: Prim; strides: readonly Dim[] }[] {
  const taken = new Set<Prim>();
  return outputs.map((v) => {
    const made = traced.values.get(v)!;
    const product = productBehind(made, taken);
    if (product !== null) {
      taken.add(product);
      return { prim: product, strides: rowMajor(product.shape) };
    }
    let prim = made.prim;
    if (taken.has(prim) || prim.body.op === 'input' || (isFill(prim) && prim.body.op !== 'view'))
      prim = prim.view(prim.shape, rowMajor(prim.shape), 0);
    if (prim === made.prim && prim.body.op === 'reduce' && prim.dtype !== v.dtype) throw new Error('internal: dtype of an output');
    taken.add(prim);
    return { prim, strides: made.strides };
  });
}

/** The product of which a value is another shape only (rows of a batch): it is stored in the value's memory, rather than copied there. */
function productBehind({ prim, shape, strides }: TracedValue, taken: ReadonlySet<Prim>): Prim | null {
  if (prim.body.op !== 'view' || !rowMajor(shape).every((s, i) => shape[i] === 1 || dims.equal(s, strides[i]))) return null;
  const product = wholeOf(prim, (p) => taken.has(p));
  const same = product.body.op === 'dot' && dims.equal(dims.productOf(product.shape), dims.productOf(shape));
  return same && !taken.has(product) ? product : null;
}

const describe = (groups: readonly Group[], stored: ReadonlySet<Prim>): string =>
  groups
    .map((g, i) => {
      const roots = g.roots
        .map((p) => `${stored.has(p) ? '' : '('}${p.body.op === 'scalar' ? p.body.fn : p.body.op}#${p.id}${stored.has(p) ? '' : ')'}`)
        .join(' ');
      return `${i}: ${g.kind} [${g.rows.map(dims.keyOf)}${g.cols.length > 0 ? ` | ${g.cols.map(dims.keyOf)}` : ''}] ${roots}`;
    })
    .join('\n');

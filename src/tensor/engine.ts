/**
 * The engine of a device: what is pending, when it is computed, and what must be in memory afterwards.
 *
 * A flush computes every pending result that a handle may still see, everything that the tape has saved, and what was asked for; values that
 * only an operator's inside, a backward, or a module's forward has seen stay temporaries. It never asks the collector what is alive: the same
 * loop gives the same programs. A presumed-dead value that is read after all is computed again from its sources, if they are still there.
 */
import { OutOfMemoryError } from '../backend/cpu/memory.ts';
import type { Backend } from '../backend/interface.ts';
import { type Node, positionText, type Value } from '../graph/node.ts';
import { type Captured, capture } from '../schedule/capture.ts';
import type { ProgramCache } from '../schedule/program.ts';
import { flags } from '../util/flags.ts';
import { spoilLesson } from '../util/lesson.ts';
import { atCall, type DataCheck, decodeFault, failureOf, markFailed, nameOf, WriteLog } from './recovery.ts';
import { forgetCandidates, isHolding, keepPlace, keepTheLiving } from './scope.ts';
import { sink } from './tracing.ts';

/** Small deterministic generator for the flag `flush=random:SEED`. */
function randomFlush(): () => boolean {
  let state = 0;
  let source = '';
  return () => {
    if (source !== flags.flush) {
      source = flags.flush;
      state = Number(source.slice('random:'.length)) | 0;
    }
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return state >>> 28 === 0 || (state >>> 24) % 7 === 0;
  };
}
const flushNow = randomFlush();

/** Number of the last look through pending calls. */
let walks = 0;

/** The operator of a condition on indices (`ops/host-index.ts`). */
export const indexCheckName = 'index_check';

export class Engine {
  readonly programs: ProgramCache;
  #pending: Node[] = [];
  #pendingBytes = 0;
  #armed = false;

  constructor(programs: ProgramCache) {
    this.programs = programs;
  }
  get backend(): Backend {
    return this.programs.backend;
  }
  get pendingNodes(): number {
    return this.#pending.length;
  }

  /** In-place writes, in case that what they wrote cannot be computed. */
  readonly writes: WriteLog = new WriteLog();
  #checks: DataCheck[] = [];
  /** Checks asked for by a call that is not recorded yet. */
  #unnamed = false;

  /** A condition that is looked at before anything that is pending now, or comes later, is stored. The next call is the one that it is about. */
  addCheck(value: Value, error: (at: number) => Error): void {
    spoilLesson();
    if (sink !== null) sink.condition(value, error);
    this.#checks.push({ value, error, call: null });
    this.#unnamed = true;
  }

  /** Adds a call. May flush: in the debug modes, or when four times too much is pending. */
  submit(node: Node): void {
    if (this.#unnamed) this.#nameChecks(node);
    this.#pending.push(node);
    this.#pendingBytes += node.signature.bytes;
    if (sink !== null) {
      sink.submitted(node);
      if (sink.holds) return;
    }
    if (flags.flush !== 'lazy' && (flags.flush === 'eager' || flushNow())) {
      this.#flushMidCall();
      return;
    }
    if (this.#pendingBytes >= flags.pendingBytes || this.#pending.length >= flags.pendingNodes) {
      this.#armed = true;
      // After a sequence comes an anchor, at which less has to be stored than in the middle of a call.
      const much = this.#pendingBytes >= 4 * flags.pendingBytes || this.#pending.length >= 4 * flags.pendingNodes;
      if (much && node.signature.sequence === null) this.#flushMidCall();
    }
  }

  #midCall = false;
  #flushMidCall(): void {
    this.#midCall = true;
    try {
      this.flush();
    } finally {
      this.#midCall = false;
    }
  }

  /** A point at which programs repeat: the end of backward, the return of the outermost module, a write to a leaf. */
  anchor(): void {
    if (this.#armed) this.flush();
  }

  #nameChecks(node: Node): void {
    if (node.signature.operator.name === indexCheckName) return;
    for (const check of this.#checks) check.call ??= node;
    this.#unnamed = false;
  }

  /** What is pending will not be computed here: it has been (`compile/replay.ts`). What a handle may ask for keeps its sources. */
  retract(): void {
    const pending = this.#pending;
    this.#pending = [];
    this.#pendingBytes = 0;
    this.#armed = false;
    for (const node of pending) settle(node);
    this.#checks = [];
    this.#unnamed = false;
    this.writes.clear();
    forgetCandidates();
  }
  /** What is pending counts as never made: storages hold again what they held. */
  undo(error: Error): void {
    this.#abandon(0, error);
    this.#checks = [];
    this.#unnamed = false;
    this.#pendingBytes = 0;
    this.#armed = false;
    forgetCandidates();
  }

  /** Computes what is pending, and `asked` in any case. */
  flush(asked: Value | null = null): void {
    if (sink?.holds && asked === null) {
      sink.flush();
      return;
    }
    if (this.#checks.length > 0) this.#runChecks();
    try {
      this.#flushAll(asked);
    } catch (error) {
      if (this.#pending.length > 0) this.#recover(error as Error);
      throw error;
    }
    this.writes.clear();
  }

  /** Computes the conditions and what they need, before any memory is written over; throws for the first that does not hold. */
  #runChecks(): void {
    const checks = this.#checks;
    const open = checks.filter((c) => c.value.buffer === null);
    this.#runPart(
      open.map((c) => c.value.node!),
      new Set(open.map((c) => c.value)),
    );
    this.#checks = [];
    for (const { value, error, call } of checks) {
      const bytes = this.backend.read(value.buffer!, 0, 8);
      const code = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigInt64(0, true));
      if (code === 0) continue;
      const found = atCall(error(decodeFault(code)), call);
      this.#abandon(value.node!.sequence, found);
      throw found;
    }
  }

  /** Computes `roots` alone: what others will want of it is stored, nothing is written over. */
  #runPart(roots: readonly Node[], extra: ReadonlySet<Value>): void {
    const nodes = this.#collect(roots, null);
    if (nodes.length === 0) return;
    const inside = new Set(nodes);
    const needed = new Set(extra);
    for (const node of this.#pending)
      if (!inside.has(node)) for (const src of node.srcs ?? []) if (src.node !== null && inside.has(src.node)) needed.add(src);
    this.programs.run(
      capture(
        nodes,
        (v) => v.buffer === null && (needed.has(v) || this.#wanted(v, null)),
        () => false,
      ),
    );
    this.#pending = this.#pending.filter((node) => !inside.has(node));
    for (const node of nodes) settle(node);
  }

  /** A flush failed. Without memory for all at once, calls are computed one by one up to the one that fails; then the engine is as it was before that call. */
  #recover(error: Error): void {
    if (!(error instanceof OutOfMemoryError)) {
      this.#abandon(0, error);
      return;
    }
    for (const node of [...this.#pending]) {
      if (!node.pending) continue;
      try {
        this.#runPart([node], new Set(node.outs));
      } catch (failure) {
        this.#abandon(node.sequence, failure as Error);
        throw failure instanceof OutOfMemoryError ? atCall(failure, node) : failure;
      }
    }
    this.#pendingBytes = 0;
  }

  /** Calls from `sequence` on count as never made. */
  #abandon(sequence: number, error: Error): void {
    this.#pending = this.#pending.filter((node) => {
      if (node.sequence < sequence) return true;
      markFailed(node, error);
      node.pending = false;
      node.srcs = null;
      return false;
    });
    this.#checks = this.#checks.filter((c) => c.value.node!.sequence < sequence);
    this.writes.undo(sequence);
  }

  #flushAll(asked: Value | null): void {
    let nodes = this.#nodesFor(asked);
    if (nodes.length > 0) {
      // Is what a young module's program would not store really dead?
      if (keepTheLiving()) nodes = this.#nodesFor(asked);
      this.programs.run(this.#capture(nodes, asked));
    }
    forgetCandidates();
    const pending = this.#pending;
    this.#pending = [];
    this.#pendingBytes = 0;
    this.#armed = false;
    for (const node of pending) settle(node);
    // What was computed again had not been pending.
    for (const node of nodes) if (node.srcs !== null) settle(node);
  }

  #wanted(v: Value, asked: Value | null): boolean {
    if (v === asked || v.savedBy > 0) return true;
    // In the middle of a call (a backward, an in-place write) results that no handle shows are still needed.
    return v.presumedDead === null && (v.visible || isHolding() || this.#midCall);
  }
  #anyWanted(outs: readonly Value[], asked: Value | null): boolean {
    for (let i = 0; i < outs.length; i++) if (this.#wanted(outs[i], asked)) return true;
    return false;
  }
  /** Nodes to run, in the order of the calls. */
  #nodesFor(asked: Value | null): Node[] {
    return this.#pendingFor(asked) ?? this.#allFor(asked);
  }
  /**
   * The same if only pending calls are needed, else null. Those stand in their order, sources before what reads them: one look from the newest
   * back finds which are needed.
   */
  #pendingFor(asked: Value | null): Node[] | null {
    if (asked !== null && asked.buffer === null && asked.node !== null && !asked.node.pending) return null;
    const pending = this.#pending;
    const walk = ++walks;
    let count = 0;
    for (let i = pending.length - 1; i >= 0; i--) {
      const node = pending[i];
      if (node.walk !== walk && !this.#anyWanted(node.outs, asked)) continue;
      node.walk = walk;
      count++;
      const { srcs } = node;
      if (srcs === null) return null;
      for (let k = 0; k < srcs.length; k++) {
        if (srcs[k].buffer !== null) continue;
        const from = srcs[k].node;
        if (from === null || !from.pending) return null;
        from.walk = walk;
      }
    }
    return count === pending.length ? pending : pending.filter((node) => node.walk === walk);
  }
  #allFor(asked: Value | null): Node[] {
    const roots: Node[] = [];
    for (const node of this.#pending) if (this.#anyWanted(node.outs, asked)) roots.push(node);
    if (asked !== null && asked.buffer === null && asked.node !== null && !asked.node.pending) roots.push(asked.node);
    return this.#collect(roots, asked);
  }
  #capture(nodes: readonly Node[], asked: Value | null): Captured {
    const wanted = (v: Value): boolean => v.buffer === null && this.#wanted(v, asked);
    const donatable = (v: Value): boolean => !v.visible && v.savedBy === 0;
    return this.programs.frames.follow(nodes, wanted, donatable) ?? capture(nodes, wanted, donatable);
  }

  /** The value in memory: flushes if it must be computed. */
  materialize(value: Value): NonNullable<Value['buffer']> {
    spoilLesson();
    if (sink !== null) sink.read();
    if (value.buffer === null) {
      if (value.presumedDead !== null) keepPlace(positionText(value.presumedDead));
      this.flush(value);
    }
    if (value.buffer === null) throw new Error('internal: a flush did not compute what was asked for');
    return value.buffer;
  }

  /** Nodes to run for `roots`, sources first, in the order of the calls. */
  #collect(roots: readonly Node[], asked: Value | null): Node[] {
    const seen = new Set<Node>(roots);
    const stack = [...roots];
    /** The presumed-dead value, nearest to what was asked for, by way of which a node is needed. */
    const needed = new Map<Node, Value>();
    if (asked !== null && asked.presumedDead !== null) needed.set(asked.node!, asked);
    while (stack.length > 0) {
      const node = stack.pop()!;
      if (isLost(node)) {
        this.#dropLost();
        throw lostError(failureOf(node) !== undefined ? node.outs[0] : (needed.get(node) ?? asked ?? node.outs[0]));
      }
      for (const src of node.srcs!) {
        if (src.buffer !== null || seen.has(src.node!)) continue;
        const by = needed.get(node) ?? (src.presumedDead !== null ? src : undefined);
        if (by !== undefined) needed.set(src.node!, by);
        seen.add(src.node!);
        stack.push(src.node!);
      }
    }
    return [...seen].sort((a, b) => a.sequence - b.sequence);
  }

  /** Forgets pending calls that can never be computed: each says so when it is read, and no other call has to. */
  #dropLost(): void {
    const lost = new Set<Node>();
    const dependsOnLost = (node: Node): boolean =>
      isLost(node) ||
      node.srcs!.some((src) => src.buffer === null && (lost.has(src.node!) || (!src.node!.pending && reachesLost(src.node!))));
    this.#pending = this.#pending.filter((node) => {
      if (!dependsOnLost(node)) return true;
      lost.add(node);
      node.pending = false;
      node.srcs = null;
      return false;
    });
  }
}

/** True if a source is gone: its memory was overwritten, or what it was computed from was released. */
const isLost = (node: Node): boolean => node.srcs === null || node.srcs.some((src) => src.buffer === null && src.node === null);

function reachesLost(node: Node): boolean {
  const seen = new Set<Node>([node]);
  const stack = [node];
  while (stack.length > 0) {
    const n = stack.pop()!;
    if (isLost(n)) return true;
    for (const src of n.srcs!)
      if (src.buffer === null && !seen.has(src.node!)) {
        seen.add(src.node!);
        stack.push(src.node!);
      }
  }
  return false;
}

/** After a flush: results in memory need no sources; what nobody can ask for again lets go of them too. */
function settle(node: Node): void {
  node.pending = false;
  // What was replaced must not be held by what replaced it: a parameter would hold its whole history.
  node.donors = null;
  const { outs } = node;
  for (let i = 0; i < outs.length; i++) if (outs[i].buffer === null && outs[i].visible) return;
  node.srcs = null;
}

function lostError(value: Value): Error {
  const failure = failureOf(value.node!);
  if (failure !== undefined)
    return new Error(`The result of ${nameOf(value.node!)} was never computed, because of an error before: ${failure}`);
  const { signature, place } = value.node!;
  const position = value.presumedDead === null ? place : positionText(value.presumedDead);
  keepPlace(position);
  return new Error(
    `The result of ${signature.operator.name} (shape [${signature.outs[value.index].shape.join(', ')}], made in ${position}) was presumed unused after the module's call returned, and what it was computed from has since been overwritten.\n` +
      'From now on this position is kept. To keep it from the first step, wrap it in torch.keep(x) inside forward, or return it.',
  );
}

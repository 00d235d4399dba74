/**
 * The engine of a device: what is pending, when it is computed, and what must be in memory afterwards.
 *
 * A flush computes every pending result that a handle may still see, everything that the tape has saved, and what was asked for; values that
 * only an operator's inside, a backward, or a module's forward has seen stay temporaries. It never asks the collector what is alive: the same
 * loop gives the same programs. A presumed-dead value that is read after all is computed again from its sources, if they are still there.
 */
import type { Backend } from '../backend/interface.ts';
import type { Node, Value } from '../graph/node.ts';
import { capture } from '../schedule/capture.ts';
import type { ProgramCache } from '../schedule/program.ts';
import { flags } from '../util/flags.ts';
import { isHolding, keepPlace } from './scope.ts';

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

  /** Adds a call. May flush: in the debug modes, or when four times too much is pending. */
  submit(node: Node): void {
    this.#pending.push(node);
    for (const out of node.outs) this.#pendingBytes += out.size * out.dtype.itemsize;
    if (flags.flush !== 'lazy' && (flags.flush === 'eager' || flushNow())) {
      this.#flushMidCall();
      return;
    }
    if (this.#pendingBytes >= flags.pendingBytes || this.#pending.length >= flags.pendingNodes) {
      this.#armed = true;
      if (this.#pendingBytes >= 4 * flags.pendingBytes || this.#pending.length >= 4 * flags.pendingNodes) this.#flushMidCall();
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

  /** Computes what is pending, and `asked` in any case. */
  flush(asked: Value | null = null): void {
    // In the middle of a call (a backward, an in-place write) results that no handle shows are still needed.
    const keepAll = isHolding() || this.#midCall;
    const wanted = (v: Value): boolean =>
      v === asked || v.savedBy > 0 || (v.visible && v.presumedDead === null) || (keepAll && v.presumedDead === null);
    const roots: Node[] = [];
    for (const node of this.#pending) if (node.outs.some(wanted)) roots.push(node);
    if (asked !== null && asked.buffer === null && asked.node !== null && !asked.node.pending) roots.push(asked.node);
    const nodes = this.#collect(roots);
    if (nodes.length > 0) {
      const captured = capture(
        nodes,
        (v) => v.buffer === null && wanted(v),
        (v) => !v.visible && v.savedBy === 0,
      );
      this.programs.run(captured);
    }
    const pending = this.#pending;
    this.#pending = [];
    this.#pendingBytes = 0;
    this.#armed = false;
    for (const node of pending) settle(node);
    for (const node of nodes) settle(node);
  }

  /** The value in memory: flushes if it must be computed. */
  materialize(value: Value): NonNullable<Value['buffer']> {
    if (value.buffer === null) {
      if (value.presumedDead !== null) keepPlace(value.presumedDead);
      this.flush(value);
    }
    if (value.buffer === null) throw new Error('internal: a flush did not compute what was asked for');
    return value.buffer;
  }

  /** Nodes to run for `roots`, sources first, in the order of the calls. */
  #collect(roots: readonly Node[]): Node[] {
    const seen = new Set<Node>(roots);
    const stack = [...roots];
    while (stack.length > 0) {
      const node = stack.pop()!;
      if (node.srcs === null) throw lost(node);
      for (const src of node.srcs) {
        if (src.buffer !== null) continue;
        if (src.node === null) throw lost(node);
        if (!seen.has(src.node)) {
          seen.add(src.node);
          stack.push(src.node);
        }
      }
    }
    return [...seen].sort((a, b) => a.sequence - b.sequence);
  }
}

/** After a flush: results in memory need no sources; what nobody can ask for again lets go of them too. */
function settle(node: Node): void {
  node.pending = false;
  if (node.outs.every((v) => v.buffer !== null || !v.visible)) node.srcs = null;
}

function lost(node: Node): Error {
  const shape = `[${node.signature.outs[0].shape.join(', ')}]`;
  const position = node.outs.find((v) => v.presumedDead !== null)?.presumedDead ?? node.place;
  keepPlace(position);
  return new Error(
    `The result of ${node.signature.operator.name} (shape ${shape}, made in ${position}) was presumed unused after the module's call returned, and what it was computed from has since been overwritten.\n` +
      'From now on this position is kept. To keep it from the first step, wrap it in torch.keep(x) inside forward, or return it.',
  );
}

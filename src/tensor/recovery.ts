/**
 * When computing fails: which calls count as never made, and what in-place writes had put aside.
 *
 * An error in data (an index out of range) or a lack of memory is found at a flush, when later calls have already been recorded. As in an
 * engine that computes at once, the calls before the failing one stand, and it and all after it have not happened: storages that they wrote
 * hold again what they held, and their results say what went wrong when they are read.
 */
import type { Node, Value } from '../graph/node.ts';
import type { Storage } from './tensor.ts';

/** A condition on numbers that are still to be computed. */
export interface DataCheck {
  /** An int64: 0 while all is well, else the number at fault (`decodeFault`). */
  readonly value: Value;
  /** The error, given the number at fault. */
  readonly error: (at: number) => Error;
  /** The call that asked for it: known once it is recorded. */
  call: Node | null;
}

/** A number at fault as a positive code, and back. */
export const decodeFault = (code: number): number => (code % 2 === 1 ? (code - 1) / 2 : -(code / 2));

/** What calls that count as never made would say. */
const failures = new WeakMap<Node, string>();
export const failureOf = (node: Node): string | undefined => failures.get(node);
export function markFailed(node: Node, error: Error): void {
  failures.set(node, error.message.split('\n')[0]);
}

/** In-place writes since the last flush that went through. An optimizer's step is hundreds: they lie in lists that are used again. */
export class WriteLog {
  readonly #storages: (Storage | null)[] = [];
  readonly #before: (Value | null)[] = [];
  readonly #sequences: number[] = [];
  #count = 0;
  note(storage: Storage, before: Value, made: Value): void {
    const at = this.#count++;
    this.#storages[at] = storage;
    this.#before[at] = before;
    this.#sequences[at] = made.node?.sequence ?? 0;
  }
  clear(): void {
    // What was overwritten must not be held.
    for (let i = 0; i < this.#count; i++) {
      this.#storages[i] = null;
      this.#before[i] = null;
    }
    this.#count = 0;
  }
  /** Undoes the writes of calls from `sequence` on. */
  undo(sequence: number): void {
    const kept: number[] = [];
    for (let i = this.#count - 1; i >= 0; i--) {
      if (this.#sequences[i] < sequence) {
        kept.unshift(i);
        continue;
      }
      const storage = this.#storages[i]!;
      const before = this.#before[i]!;
      storage.value.visible = false;
      storage.value = before;
      before.visible = true;
    }
    kept.forEach((from, to) => {
      this.#storages[to] = this.#storages[from];
      this.#before[to] = this.#before[from];
      this.#sequences[to] = this.#sequences[from];
    });
    const count = this.#count;
    this.#count = kept.length;
    for (let i = kept.length; i < count; i++) {
      this.#storages[i] = null;
      this.#before[i] = null;
    }
  }
}

/** The call as an error names it: operator and module path. */
export const nameOf = (node: Node): string => `${node.signature.operator.name}${node.place === '' ? '' : ` in ${node.place}`}`;

/** Adds the name of the call to an error's text, after PyTorch's own. */
export function atCall(error: Error, node: Node | null): Error {
  if (node !== null) error.message += `\n(raised by ${nameOf(node)})`;
  return error;
}

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

interface Write {
  readonly storage: Storage;
  readonly before: Value;
  readonly sequence: number;
}

/** In-place writes since the last flush that went through. */
export class WriteLog {
  #writes: Write[] = [];
  note(storage: Storage, before: Value, made: Value): void {
    this.#writes.push({ storage, before, sequence: made.node?.sequence ?? 0 });
  }
  clear(): void {
    if (this.#writes.length > 0) this.#writes = [];
  }
  /** Undoes the writes of calls from `sequence` on. */
  undo(sequence: number): void {
    const kept: Write[] = [];
    for (let i = this.#writes.length - 1; i >= 0; i--) {
      const write = this.#writes[i];
      if (write.sequence < sequence) kept.unshift(write);
      else {
        write.storage.value.visible = false;
        write.storage.value = write.before;
        write.before.visible = true;
      }
    }
    this.#writes = kept;
  }
}

/** The call as an error names it: operator and module path. */
export const nameOf = (node: Node): string => `${node.signature.operator.name}${node.place === '' ? '' : ` in ${node.place}`}`;

/** Adds the name of the call to an error's text, after PyTorch's own. */
export function atCall(error: Error, node: Node | null): Error {
  if (node !== null) error.message += `\n(raised by ${nameOf(node)})`;
  return error;
}

/**
 * Work that somebody else's file decides about, with a limit to the time that it may take: a regular expression of a tokenizer or of an adapter's
 * config that backtracks without end (`(a+)+$`), a chat template of nested loops.
 *
 * V8 ends the execution itself, also within a regular expression. It costs some 60 us a call, and is meant for files, not for code: what has been
 * changed before the end stays changed.
 */
import { createContext, Script } from 'node:vm';

const holder: { run: (() => unknown) | null } = { run: null };
let prepared: { readonly script: Script; readonly context: object } | null = null;

/** What `work` returns; the error of `late` where it takes longer. */
export function withTimeLimit<T>(work: () => T, milliseconds: number, late: () => Error): T {
  prepared ??= { script: new Script('run()'), context: createContext(holder) };
  const before = holder.run;
  holder.run = work;
  try {
    return prepared.script.runInContext(prepared.context, { timeout: Math.ceil(milliseconds) }) as T;
  } catch (error) {
    if ((error as { code?: unknown } | null)?.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw late();
    throw error;
  } finally {
    holder.run = before;
  }
}

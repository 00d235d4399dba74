/**
 * Lessons: what one public call did, noted so that the same call can be done again without asking how (`ops/recall.ts`).
 *
 * A lesson is spoiled by everything that is not recording calls and views of what the call was given: a look at data, a write, a draw from a
 * generator, memory handed in. Such places say so by `spoilLesson`. What a call may depend on besides its arguments (the default dtype, settings
 * that choose an algorithm) says by `callStateChanged` that it has changed.
 */

/** Part of the key of everything that was learned. Equal numbers, equal settings. */
export const callState: { id: number } = { id: 0 };
const states = new Map<string, number>();
const parts = new Map<string, string | number>();

/** Says that `setting`, which calls look at, is now `value`. */
export function callStateChanged(setting: string, value: string | number): void {
  parts.set(setting, value);
  const key = JSON.stringify([...parts].sort(([a], [b]) => (a < b ? -1 : 1)));
  let id = states.get(key);
  if (id === undefined) {
    id = states.size + 1;
    states.set(key, id);
  }
  callState.id = id;
}

/** What is being learned now; `steps` belongs to `tensor/learn.ts`. */
export interface Lesson<Step = unknown> {
  readonly steps: Step[];
  spoiled: boolean;
}
export const lesson: { open: Lesson | null } = { open: null };

/** The call at hand does something that has to be done, or looked at, each time anew. */
export function spoilLesson(): void {
  if (lesson.open !== null) lesson.open.spoiled = true;
}

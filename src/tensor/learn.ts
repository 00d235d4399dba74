/**
 * What a lesson (`util/lesson.ts`) consists of: the calls recorded and the views made between its beginning and its end.
 *
 * Tensors are named by slots: first those that the call was given, then every step's results in order. Whatever was made of a tensor that has no
 * slot cannot be done again, so it spoils the lesson.
 */
import type { Tape } from '../autograd/tape.ts';
import type { Signature } from '../graph/node.ts';
import type { View } from '../shape/view.ts';
import { type Lesson, lesson } from '../util/lesson.ts';
import type { Tensor } from './tensor.ts';

export type Step =
  | {
      readonly kind: 'call';
      readonly signature: Signature;
      readonly srcs: readonly number[];
      readonly params: readonly (number | bigint)[];
      readonly hidden: boolean;
    }
  | { readonly kind: 'view'; readonly of: number; readonly view: View; readonly offset: number };

export interface CallLesson extends Lesson<Step> {
  /** Tensor of each slot. */
  readonly slots: Tensor[];
  /** The tape that each of those made during the call had when it was made. */
  readonly tapes: Tape[];
}

export const openLesson = (given: readonly Tensor[]): CallLesson => {
  const made: CallLesson = { steps: [], spoiled: false, slots: [...given], tapes: [] };
  lesson.open = made;
  return made;
};
export function closeLesson(): void {
  lesson.open = null;
}

export function noteCall(
  signature: Signature,
  inputs: readonly Tensor[],
  params: readonly (number | bigint)[],
  outputs: readonly Tensor[],
  plain: boolean,
  hidden: boolean,
): void {
  const { slots, steps, tapes } = lesson.open as CallLesson;
  const srcs = inputs.map((t) => slots.indexOf(t));
  if (!plain || srcs.includes(-1)) lesson.open!.spoiled = true;
  steps.push({ kind: 'call', signature, srcs, params, hidden });
  for (const out of outputs) {
    slots.push(out);
    tapes.push(out.tape);
  }
}

export function noteView(of: Tensor, out: Tensor): void {
  const { slots, steps, tapes } = lesson.open as CallLesson;
  const from = slots.indexOf(of);
  if (from < 0) lesson.open!.spoiled = true;
  steps.push({ kind: 'view', of: from, view: out.view_, offset: out.offset - of.offset });
  slots.push(out);
  tapes.push(out.tape);
}

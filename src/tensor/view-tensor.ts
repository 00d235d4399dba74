/** Views: another handle on the same storage. They cost no node; the gradient goes to the shared tape. */
import { modes } from '../autograd/modes.ts';
import { Tape } from '../autograd/tape.ts';
import { makeView, type View } from '../shape/view.ts';
import { lesson, spoilLesson } from '../util/lesson.ts';
import { noteView } from './learn.ts';
import { currentScope, noteViewMade } from './scope.ts';
import { Tensor } from './tensor.ts';

/** A view with this shape and these strides, from the tensor's own first element on by `offset` elements. */
export function viewOf(self: Tensor, shape: readonly number[], strides: readonly number[], offset = 0): Tensor {
  return viewAs(self, makeView(self.dtype, self.device, shape, strides), self.offset + offset);
}

export function viewAs(self: Tensor, view: View, offset: number): Tensor {
  const tape = modes.grad || self.tape.edge === null ? self.tape : new Tape(null, 0, null);
  const out = new Tensor(self.storage, view, offset, tape, self.version);
  if (currentScope() !== null) noteViewMade(out);
  if (lesson.open !== null) noteView(self, out);
  return out;
}

/** The same memory off the tape: shares version and storage. */
export function detached(self: Tensor): Tensor {
  spoilLesson();
  return new Tensor(self.storage, self.view_, self.offset, new Tape(null, 0, null), self.version);
}

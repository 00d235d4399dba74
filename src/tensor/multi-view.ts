/** Outputs of `split`, `chunk` and `unbind` on the tape: views that PyTorch does not let be written in place, since they share one edge. */
import type { Tensor } from './tensor.ts';

/** Marks the outputs of an operator that returns several views; `edge` is its name on PyTorch's tape. */
export function markMultiView(views: readonly Tensor[], edge: string): Tensor[] {
  for (let index = 0; index < views.length; index++) if (views[index].tape.edge !== null) views[index].sibling = { index, edge };
  return [...views];
}

/** Throws for a marked view that is about to be written in place. */
export function refuseMultiView(t: Tensor): void {
  const place = t.sibling;
  if (place !== null && t.requires_grad)
    throw new Error(
      `Output ${place.index} of ${place.edge} is a view and is being modified inplace. This view is the output of a function that returns multiple views. Such functions do not allow the output views to be modified inplace. You should replace the inplace operation by an out-of-place one.`,
    );
}

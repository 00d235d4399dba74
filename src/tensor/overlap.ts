/** Memory that an element-wise call would read and write in different places: PyTorch refuses it, where it can tell by the memory's extent. */
import { sameView } from '../shape/view.ts';
import { writeTarget } from './scope.ts';
import type { Tensor } from './tensor.ts';

/** Without gaps between elements, in some order of the dims. */
function isDense(t: Tensor): boolean {
  const { shape, strides, contiguous, injective, numel } = t.view_;
  if (contiguous) return true;
  return injective && shape.reduce((reach, d, i) => reach + (d - 1) * Math.abs(strides[i]), 1) === numel;
}

/** True if the two share some memory but are not the same window of it; windows with gaps are taken for apart, as in PyTorch. */
export function overlapPartly(a: Tensor, b: Tensor): boolean {
  if (a === b || a.storage !== b.storage || (sameView(a.view_, b.view_) && a.offset === b.offset)) return false;
  if (a.view_.numel === 0 || b.view_.numel === 0 || !isDense(a) || !isDense(b)) return false;
  const [from, other] = [a.offset * a.dtype.itemsize, b.offset * b.dtype.itemsize];
  const [to, otherTo] = [from + a.view_.numel * a.dtype.itemsize, other + b.view_.numel * b.dtype.itemsize];
  if (from === other && to === otherTo) {
    const moved = (t: Tensor): string => t.view_.strides.filter((_, i) => t.view_.shape[i] !== 1).join();
    return moved(a) !== moved(b);
  }
  return from < otherTo && other < to;
}

let outs: readonly Tensor[] = [];
/** Runs a call whose results go into these tensors afterwards. */
export function writingOut<T>(targets: readonly Tensor[], compute: () => T): T {
  const before = outs;
  outs = targets;
  try {
    return compute();
  } finally {
    outs = before;
  }
}

/** Throws if an element-wise call's input overlaps partly with what will be written. */
export function refuseOverlap(inputs: readonly Tensor[]): void {
  const target = writeTarget();
  if (target !== null) refuseOverlapWith(target, inputs);
  for (const out of outs) refuseOverlapWith(out, inputs);
}
export function refuseOverlapWith(target: Tensor, inputs: readonly Tensor[]): void {
  for (const input of inputs)
    if (overlapPartly(target, input))
      throw new Error(
        'unsupported operation: some elements of the input tensor and the written-to tensor refer to a single memory location. Please clone() the tensor before performing the operation.',
      );
}

/** `torch.utils.checkpoint.checkpoint_sequential`: a chain in segments, of which only the last keeps what its backward needs. */
import { type CheckpointOptions, checkpoint } from '../autograd/checkpoint.ts';
import type { Tensor } from '../ops/methods.ts';
import { Module } from './module.ts';

type Step = (x: Tensor) => Tensor;

/** https://docs.pytorch.org/docs/stable/checkpoint.html#torch.utils.checkpoint.checkpoint_sequential */
export function checkpoint_sequential(
  functions: Module | readonly Step[],
  segments: number,
  input: Tensor,
  options: CheckpointOptions = {},
): Tensor {
  const steps = functions instanceof Module ? (functions.named_children().map(([, m]) => m) as unknown as Step[]) : functions;
  const size = Math.floor(steps.length / segments);
  const run =
    (start: number, end: number): Step =>
    (x) =>
      steps.slice(start, end).reduce((y, step) => step(y), x);
  let x = input;
  let at = 0;
  // The last segment takes the rest.
  for (let i = 0; i < segments - 1 && size > 0; i++) {
    x = checkpoint(run(at, at + size), x, options);
    at += size;
  }
  return run(at, steps.length)(x);
}

/**
 * Checkpointing: a part of the forward that keeps nothing for backward and is computed again there.
 * https://docs.pytorch.org/docs/stable/checkpoint.html
 *
 * The first run is recorded to learn where its gradients will flow (the edges outside of it), and its edges are thrown away. Backward runs the
 * function again, recorded, and asks for the gradients at exactly those edges, so parameters used inside get theirs whatever the inputs need.
 */
import { defaultGenerator } from '../random/generator.ts';
import { closeScope, currentScope, newWalk, openScope, presumeDead } from '../tensor/scope.ts';
import { Tensor } from '../tensor/tensor.ts';
import { autocastHere } from './autocast-mode.ts';
import { runBackward } from './backward.ts';
import { enable_grad, modes } from './modes.ts';
import { Edge, type EdgeTarget, Tape } from './tape.ts';

export interface CheckpointOptions {
  /** Accepted for PyTorch's sake: both ways do the same here. */
  readonly use_reentrant?: boolean;
  /** Draws inside repeat in the second run (default true). */
  readonly preserve_rng_state?: boolean;
}

type Result = Tensor | readonly unknown[];

const isOptions = (x: unknown): x is CheckpointOptions =>
  typeof x === 'object' &&
  x !== null &&
  Object.getPrototypeOf(x) === Object.prototype &&
  Object.keys(x).every((k) => k === 'use_reentrant' || k === 'preserve_rng_state');

/** Runs `fn(...args)`; backward runs it again instead of keeping what it made. */
export function checkpoint<A extends readonly unknown[], R extends Result>(
  fn: (...args: A) => R,
  ...given: [...A] | [...A, CheckpointOptions]
): R {
  const last = given.at(-1);
  const options: CheckpointOptions = isOptions(last) ? last : {};
  const args = (isOptions(last) ? given.slice(0, -1) : given) as unknown as A;
  if (!modes.grad || modes.inference) return fn(...args);
  const preserve = options.preserve_rng_state ?? true;
  const state = preserve ? defaultGenerator.get_state() : null;
  const begin = Edge.of({ name: 'CheckpointStart', outputs: [] }).sequence;
  const underAutocast = autocastHere();
  const scope = currentScope() === null ? openScope() : null;
  let result: R;
  try {
    result = underAutocast(() => fn(...args));
  } finally {
    if (scope !== null) closeScope();
  }
  const outputs = tensorsOf(result);
  if (scope !== null) {
    const walk = newWalk();
    for (const t of outputs) t.storage.reached = walk;
    presumeDead(scope, walk);
  }
  const recorded = outputs.filter((t) => t.tape.edge !== null && t.tape.edge.sequence > begin);
  if (recorded.length === 0) return result;
  const targets = outerTargets(
    recorded.map((t) => t.tape.edge!),
    begin,
  );
  const edge = Edge.of({
    name: 'CheckpointFunctionBackward',
    targets,
    outputs: recorded.map((t) => t.view_),
    custom: (grads) => {
      const now = preserve ? defaultGenerator.get_state() : null;
      if (state !== null) defaultGenerator.set_state(state);
      let again: Tensor[];
      try {
        again = tensorsOf(underAutocast(() => enable_grad(() => fn(...args))));
      } finally {
        if (now !== null) defaultGenerator.set_state(now);
      }
      const roots = again.filter((t) => t.tape.edge !== null && t.tape.edge.sequence > begin);
      if (roots.length !== recorded.length)
        throw new Error(
          'torch.utils.checkpoint: A different number of tensors was saved during the original forward and recomputation.\n' +
            `Number of tensors saved during forward: ${recorded.length}\nNumber of tensors saved during recomputation: ${roots.length}.`,
        );
      const given = roots.flatMap((root, k) => (grads[k] === null ? [] : [{ root, grad: grads[k] }]));
      return runBackward(
        given.map((g) => g.root),
        given.map((g) => g.grad),
        { create_graph: modes.grad },
        targets,
        true,
      );
    },
  });
  const taped = new Map(recorded.map((t, k) => [t, new Tensor(t.storage, t.view_, t.offset, new Tape(edge, k, t.view_), t.version)]));
  for (const t of recorded) releaseInner(t.tape.edge!, begin);
  return replaceTensors(result, taped) as R;
}

const tensorsOf = (x: unknown): Tensor[] => (x instanceof Tensor ? [x] : Array.isArray(x) ? x.flatMap(tensorsOf) : []);
const replaceTensors = (x: unknown, by: ReadonlyMap<Tensor, Tensor>): unknown =>
  x instanceof Tensor ? (by.get(x) ?? x) : Array.isArray(x) ? x.map((y) => replaceTensors(y, by)) : x;

/** Where gradients leave the part that was recorded after `begin`: leaves and older edges, each once. */
function outerTargets(roots: readonly Edge[], begin: number): EdgeTarget[] {
  const seen = new Set<Edge>(roots);
  const stack = [...roots];
  const found = new Map<Edge, Map<number, EdgeTarget>>();
  while (stack.length > 0) {
    for (const t of stack.pop()!.targets) {
      if (t === null) continue;
      if (t.edge.leaf !== null || t.edge.sequence < begin) {
        const outputs = found.get(t.edge) ?? new Map<number, EdgeTarget>();
        outputs.set(t.output, { ...t, view: t.base, offset: 0 });
        found.set(t.edge, outputs);
      } else if (!seen.has(t.edge)) {
        seen.add(t.edge);
        stack.push(t.edge);
      }
    }
  }
  return [...found.values()].flatMap((outputs) => [...outputs.values()]);
}

function releaseInner(root: Edge, begin: number): void {
  const stack = [root];
  while (stack.length > 0) {
    const edge = stack.pop()!;
    if (edge.leaf !== null || edge.sequence < begin || edge.saved === null) continue;
    edge.release();
    if (edge.saved !== null) edge.saved = null;
    for (const t of edge.targets) if (t !== null) stack.push(t.edge);
  }
}

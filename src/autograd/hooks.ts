/** Hooks on tensors: called with the gradient when backward has it, and may replace it. */
import type { Tensor } from '../tensor/tensor.ts';
import { Edge, type GradientHook, Tape } from './tape.ts';

/** A view gets an edge of its own, so that a hook sees only what flows through this handle. */
function ownEdge(t: Tensor): Edge {
  const { edge, output, base } = t.tape;
  if (edge === null) throw new Error("cannot register a hook on a tensor that doesn't require gradient");
  if (t.view_ === base && t.offset === 0) return edge;
  const alias = Edge.of({
    name: 'AliasBackward0',
    targets: [{ edge, output, base: base!, view: t.view_, offset: t.offset }],
    outputs: [t.view_],
    custom: (grads) => grads,
  });
  t.tape = new Tape(alias, 0, t.view_);
  return alias;
}

export function registerHook(t: Tensor, hook: GradientHook): { remove(): void } {
  const edge = ownEdge(t);
  const at = t.tape.output;
  edge.hooks ??= new Map();
  const list = edge.hooks.get(at) ?? [];
  list.push(hook);
  edge.hooks.set(at, list);
  return {
    remove: () => {
      const i = list.indexOf(hook);
      if (i >= 0) list.splice(i, 1);
    },
  };
}

/** Keeps the gradient of a tensor that is not a leaf in its `.grad`. */
export function retainGrad(t: Tensor): void {
  if (!t.requires_grad) throw new Error("can't retain_grad on Tensor that has requires_grad=False");
  if (t.is_leaf) return;
  const edge = ownEdge(t);
  edge.retained ??= [];
  if (!edge.retained.some((r) => r.tensor === t)) edge.retained.push({ output: t.tape.output, tensor: t });
}
export const retainsGrad = (t: Tensor): boolean => t.tape.edge?.retained?.some((r) => r.tensor === t) ?? false;

/**
 * Hooks of modules: before and after forward, in backward, after loading a state dict.
 * https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html#torch.nn.Module.register_forward_hook
 *
 * Backward hooks see the gradients of a module's inputs and outputs: both are given an identity edge whose gradient passes by the hooks.
 */
import { Edge, Tape } from '../autograd/tape.ts';
import { Tensor } from '../ops/methods.ts';
import { targetOf } from '../tensor/record.ts';
import type { Tensor as CoreTensor } from '../tensor/tensor.ts';
import type { Module } from './module.ts';
import { moduleState } from './module-state.ts';

export interface HookHandle {
  remove(): void;
}
type Gradients = readonly (Tensor | null)[];
export type ForwardPreHook = (module: Module, args: readonly unknown[]) => unknown;
export type ForwardHook = (module: Module, args: readonly unknown[], output: unknown) => unknown;
export type BackwardPreHook = (module: Module, grad_output: Gradients) => Gradients | undefined;
export type BackwardHook = (module: Module, grad_input: Gradients, grad_output: Gradients) => Gradients | undefined;
export type LoadHook = (module: Module, incompatible_keys: { missing_keys: string[]; unexpected_keys: string[] }) => void;

export interface Hooks {
  readonly forwardPre: ForwardPreHook[];
  readonly forward: ForwardHook[];
  readonly backwardPre: BackwardPreHook[];
  readonly backward: BackwardHook[];
  readonly load: LoadHook[];
}

let edits = 0;
/** Grows whenever a hook comes or goes. */
export const hookEdits = (): number => edits;

export function addHook<K extends keyof Hooks>(module: Module, kind: K, hook: Hooks[K][number]): HookHandle {
  const state = moduleState(module);
  state.hooks ??= { forwardPre: [], forward: [], backwardPre: [], backward: [], load: [] };
  const { hooks } = state;
  const list = hooks[kind] as Hooks[K][number][];
  list.push(hook);
  edits++;
  return {
    remove: () => {
      edits++;
      const at = list.indexOf(hook);
      if (at >= 0) list.splice(at, 1);
    },
  };
}

/** A copy of a module has the same hooks. */
export function copyHooks(from: Module, to: Module): void {
  const { hooks } = moduleState(from);
  if (hooks === null) return;
  moduleState(to).hooks = {
    forwardPre: [...hooks.forwardPre],
    forward: [...hooks.forward],
    backwardPre: [...hooks.backwardPre],
    backward: [...hooks.backward],
    load: [...hooks.load],
  };
}

export function runLoadHooks(module: Module, keys: { missing_keys: string[]; unexpected_keys: string[] }): void {
  for (const hook of moduleState(module).hooks?.load ?? []) hook(module, keys);
}

/** Runs forward between its hooks; `show` is told what hooks were given. */
export function forwardWithHooks(module: Module, hooks: Hooks, given: readonly unknown[], shown: unknown[]): unknown {
  const forward = module.forward as (...args: unknown[]) => unknown;
  let args = given;
  for (const hook of hooks.forwardPre) {
    shown.push(args);
    const answer = hook(module, args);
    if (answer !== undefined && answer !== null) args = Array.isArray(answer) ? answer : [answer];
  }
  const backward = hooks.backward.length + hooks.backwardPre.length > 0 ? new BackwardPass(module, hooks) : null;
  if (backward !== null) args = backward.inputs(args);
  let output = forward.apply(module, args as unknown[]);
  for (const hook of hooks.forward) {
    shown.push([args, output]);
    const answer = hook(module, args, output);
    if (answer !== undefined) output = answer;
  }
  return backward === null ? output : backward.outputs(output);
}

/** One call's way back: gradients of the outputs are noted, those of the inputs are shown to the hooks. */
class BackwardPass {
  readonly #module: Module;
  readonly #hooks: Hooks;
  #gradOutput: Gradients = [];
  #anyInput = false;
  constructor(module: Module, hooks: Hooks) {
    this.#module = module;
    this.#hooks = hooks;
  }

  inputs(args: readonly unknown[]): readonly unknown[] {
    const tensors = args.filter((a): a is Tensor => a instanceof Tensor);
    this.#anyInput = tensors.some((t) => t.requires_grad);
    if (!this.#anyInput) return args;
    const wrapped = throughEdge(tensors, (grads) => {
      let now = grads;
      for (const hook of this.#hooks.backward) now = hook(this.#module, visible(now), this.#gradOutput) ?? now;
      return now;
    });
    return args.map((a) => (a instanceof Tensor ? (wrapped.get(a) ?? a) : a));
  }

  outputs(output: unknown): unknown {
    const several = Array.isArray(output);
    const list: unknown[] = several ? output : [output];
    const wrapped = throughEdge(
      list.filter((t): t is Tensor => t instanceof Tensor && t.requires_grad),
      (grads) => {
        let now = grads;
        for (const hook of this.#hooks.backwardPre) now = hook(this.#module, visible(now)) ?? now;
        this.#gradOutput = visible(now);
        // Without an input that needs a gradient the hooks run here, as in PyTorch.
        if (!this.#anyInput) for (const hook of this.#hooks.backward) hook(this.#module, [], this.#gradOutput);
        return now;
      },
    );
    const out = list.map((t) => (t instanceof Tensor ? (wrapped.get(t) ?? t) : t));
    return several ? out : out[0];
  }
}

function visible(grads: Gradients): Gradients {
  for (const g of grads) if (g !== null) g.storage.value.visible = true;
  return grads;
}

/** The same tensors on one new edge, whose gradient goes through `pass`. */
function throughEdge(tensors: readonly Tensor[], pass: (grads: Gradients) => Gradients): Map<Tensor, Tensor> {
  const out = new Map<Tensor, Tensor>();
  const taped = tensors.filter((t) => t.requires_grad);
  if (taped.length === 0) return out;
  const edge = Edge.of({
    name: 'BackwardHookFunctionBackward',
    targets: taped.map((t) => targetOf(t)),
    outputs: taped.map((t) => t.view_),
    custom: (grads) => pass(grads as Gradients) as readonly (CoreTensor | null)[],
  });
  taped.forEach((t, i) => {
    const Handle = t.constructor as new (...fields: unknown[]) => Tensor;
    out.set(t, new Handle(t.storage, t.view_, t.offset, new Tape(edge, i, t.view_), t.version));
  });
  return out;
}

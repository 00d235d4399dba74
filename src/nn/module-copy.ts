/** Deep copies of modules: every reachable tensor, module and container is copied once, everything else is shared. */
import { no_grad } from '../autograd/modes.ts';
import { Tensor } from '../ops/methods.ts';
import type { Module } from './module.ts';
import { copyHooks } from './module-hooks.ts';
import { moduleState } from './module-state.ts';
import { isParameter, Parameter } from './parameter.ts';

interface Parts {
  readonly isModule: (x: unknown) => x is Module;
  readonly bare: (prototype: object) => Module;
}

export function copyModule(root: Module, parts: Parts): Module {
  const memo = new Map<unknown, unknown>();
  const copy = (x: unknown): unknown => {
    if (x === null || (typeof x !== 'object' && typeof x !== 'function')) return x;
    const known = memo.get(x);
    if (known !== undefined) return known;
    if (x instanceof Tensor) {
      const made = copyTensor(x);
      memo.set(x, made);
      return made;
    }
    if (parts.isModule(x)) {
      const made = parts.bare(Object.getPrototypeOf(x));
      memo.set(x, made);
      for (const [name, persistent] of moduleState(x).buffers) moduleState(made).buffers.set(name, persistent);
      copyHooks(x, made);
      for (const [name, value] of Object.entries(x)) (made as unknown as Record<string, unknown>)[name] = copy(value);
      return made;
    }
    if (Array.isArray(x)) {
      const made: unknown[] = [];
      memo.set(x, made);
      for (const y of x) made.push(copy(y));
      return made;
    }
    if (x instanceof Map) {
      const made = new Map<unknown, unknown>();
      memo.set(x, made);
      for (const [k, v] of x) made.set(copy(k), copy(v));
      return made;
    }
    if (x instanceof Set) {
      const made = new Set<unknown>();
      memo.set(x, made);
      for (const y of x) made.add(copy(y));
      return made;
    }
    if (typeof x === 'object' && Object.getPrototypeOf(x) === Object.prototype) {
      const made: Record<string, unknown> = {};
      memo.set(x, made);
      for (const [k, v] of Object.entries(x)) made[k] = copy(v);
      return made;
    }
    return x;
  };
  return copy(root) as Module;
}

function copyTensor(t: Tensor): Tensor {
  if (!t.is_leaf)
    throw new Error(
      'Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the moment.  If you were attempting to deepcopy a module, this may be because of a torch.nn.utils.weight_norm usage, see https://github.com/pytorch/pytorch/pull/103001',
    );
  const data = no_grad(() => (t.detach() as Tensor).clone() as Tensor);
  const parameter: boolean = isParameter(t);
  const made = parameter ? new Parameter(data, t.requires_grad) : data;
  if (!parameter && t.requires_grad) made.requires_grad_();
  if (t.grad_ !== null) made.grad_ = copyTensor(t.grad_ as Tensor);
  return made;
}

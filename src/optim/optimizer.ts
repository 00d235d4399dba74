/**
 * Optimizer: parameter groups, state by parameter, and the frame of a step (no recording, then everything pending is computed, so that every
 * step is one program). `foreach`, `fused` and the like are accepted nowhere: there is one implementation, and it is fused.
 */
import { enable_grad, no_grad } from '../autograd/modes.ts';
import { scalarTypeName } from '../dtype/promotion.ts';
import { clearGrad } from '../nn/module.ts';
import type { Tensor } from '../ops/methods.ts';
import { engineOf } from '../tensor/devices.ts';
import { sink } from '../tensor/tracing.ts';

export type ParamGroup<O extends object> = { params: Tensor[] } & O;
export type GroupInput<O extends object> = { readonly params: Iterable<Tensor> } & Partial<O>;
export type ParameterState = Record<string, Tensor | number>;
export interface OptimizerState<O extends object> {
  readonly state: Readonly<Record<string, ParameterState>>;
  readonly param_groups: readonly ({ readonly params: readonly number[] } & O)[];
}

/** A parameter in a step. */
export interface Slot {
  readonly p: Tensor;
  readonly grad: Tensor;
  readonly state: ParameterState;
}

/** Slots that one call can update: alike in `key`, if there is one, and on one device. */
export function alike(slots: readonly Slot[], key?: (slot: Slot) => number | string): readonly (readonly Slot[])[] {
  // As a rule all are.
  if (allAlike(slots, key)) return slots.length === 0 ? [] : [slots];
  const parts = new Map<string, Slot[]>();
  for (const slot of slots) {
    const k = `${key?.(slot)}:${slot.p.device}`;
    const part = parts.get(k);
    if (part === undefined) parts.set(k, [slot]);
    else part.push(slot);
  }
  return [...parts.values()];
}
function allAlike(slots: readonly Slot[], key?: (slot: Slot) => number | string): boolean {
  if (slots.length === 0) return true;
  const { device } = slots[0].p;
  const first = key?.(slots[0]);
  for (let i = 1; i < slots.length; i++) if (slots[i].p.device !== device || (key !== undefined && key(slots[i]) !== first)) return false;
  return true;
}

function pythonText(value: unknown): string {
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (value === null || value === undefined) return 'None';
  if (Array.isArray(value)) return `(${value.map(pythonText).join(', ')})`;
  return String(value).replace(/e-(\d)$/, 'e-0$1');
}

const isTensor = (x: object): x is Tensor => 'storage' in x;

export abstract class Optimizer<O extends object> {
  readonly param_groups: ParamGroup<O>[] = [];
  readonly state: Map<Tensor, ParameterState> = new Map();
  readonly defaults: O;

  constructor(params: Iterable<Tensor | GroupInput<O>>, defaults: O) {
    this.defaults = defaults;
    if (isTensor(params))
      throw new TypeError(
        `params argument given to the optimizer should be an iterable of Tensors or dicts, but got torch.${scalarTypeName(params.dtype)}Tensor`,
      );
    const list = [...params];
    if (list.length === 0) throw new Error('optimizer got an empty parameter list');
    const loose = list.filter(isTensor);
    if (loose.length > 0) this.add_param_group({ params: loose } as unknown as GroupInput<O>);
    for (const group of list) if (!isTensor(group)) this.add_param_group(group);
  }
  /** As Python prints it: the groups without their tensors. */
  toString(): string {
    const groups = this.param_groups.map(({ params: _, ...options }, i) => {
      const lines = Object.entries(options).sort(([a], [b]) => (a < b ? -1 : 1));
      return `Parameter Group ${i}\n${lines.map(([name, value]) => `    ${name}: ${pythonText(value)}\n`).join('')}`;
    });
    return `${this.constructor.name} (\n${groups.join('\n')})`;
  }
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString();
  }
  add_param_group(group: GroupInput<O>): void {
    const params = [...group.params];
    for (const p of params) {
      if (!p.is_leaf) throw new Error("can't optimize a non-leaf Tensor");
      if (this.param_groups.some((g) => g.params.includes(p))) throw new Error('some parameters appear in more than one parameter group');
    }
    this.param_groups.push({ ...this.defaults, ...group, params } as ParamGroup<O>);
  }
  zero_grad(set_to_none = true): void {
    for (const { params } of this.param_groups) for (const p of params) clearGrad(p, set_to_none);
  }
  /** One step. A closure, if given, computes the loss (and the gradients) again first; its result is returned. */
  step(): void;
  step<T>(closure: () => T): T;
  step<T>(closure?: () => T): T | undefined {
    const loss = closure === undefined ? undefined : enable_grad(closure);
    this.#apply();
    return loss;
  }
  #apply(): void {
    if (sink !== null) sink.optimizer(this);
    const devices: string[] = [];
    const stepped: Tensor[] = [];
    const before: (ParameterState | null)[] = [];
    no_grad(() => {
      for (const group of this.param_groups) {
        const slots: Slot[] = [];
        for (const p of group.params) {
          if (p.grad_ === null) continue;
          const { device } = p;
          if (device !== devices[devices.length - 1] && !devices.includes(device)) devices.push(device);
          const known = this.state.get(p);
          stepped.push(p);
          before.push(known === undefined ? null : { ...known });
          const state = known ?? {};
          if (known === undefined) this.state.set(p, state);
          slots.push({ p, grad: p.grad_ as Tensor, state });
        }
        this.update(slots, group);
      }
    });
    if (sink !== null) sink.optimizer(null);
    try {
      for (const device of devices) engineOf(device).flush();
    } catch (error) {
      // The step has not been: the engine has put the tensors back.
      stepped.forEach((p, i) => {
        const state = before[i];
        if (state === null) this.state.delete(p);
        else this.state.set(p, state);
      });
      throw error;
    }
  }
  /**
   * A step without its calls, for those who make them themselves (`torch.compile`): counts on in `states`, which then are the parameters' states.
   * `counting` collects what the rules would be called with.
   */
  count(stepped: readonly (readonly Tensor[])[], states: ReadonlyMap<Tensor, ParameterState>): void {
    this.param_groups.forEach((group, i) => {
      this.update(
        stepped[i].map((p): Slot => ({ p, grad: p, state: states.get(p)! })),
        group,
      );
    });
  }
  /** One step of all parameters of a group that have a gradient. */
  protected abstract update(slots: readonly Slot[], group: O): void;

  state_dict(): OptimizerState<O> {
    const index = new Map(this.#all().map((p, i) => [p, i] as const));
    const state: Record<string, ParameterState> = {};
    for (const [p, s] of this.state) state[String(index.get(p)!)] = { ...s };
    return { state, param_groups: this.param_groups.map((g) => ({ ...g, params: g.params.map((p) => index.get(p)!) })) };
  }
  load_state_dict(saved: OptimizerState<O>): void {
    if (saved.param_groups.length !== this.param_groups.length)
      throw new Error('loaded state dict has a different number of parameter groups');
    if (saved.param_groups.some((g, i) => g.params.length !== this.param_groups[i].params.length))
      throw new Error("loaded state dict contains a parameter group that doesn't match the size of optimizer's group");
    this.state.clear();
    saved.param_groups.forEach((g, i) => {
      const { params } = this.param_groups[i];
      Object.assign(this.param_groups[i], g, { params });
      g.params.forEach((number, k) => {
        const from = saved.state[String(number)];
        if (from !== undefined) this.state.set(params[k], loaded(from, params[k]));
      });
    });
  }
  #all(): Tensor[] {
    return this.param_groups.flatMap((g) => g.params);
  }
}

/** A copy of a parameter's state on its device; PyTorch's `step` is a tensor, ours a number. */
function loaded(from: ParameterState, p: Tensor): ParameterState {
  const out: ParameterState = {};
  for (const [name, x] of Object.entries(from))
    out[name] =
      typeof x === 'number' ? x : name === 'step' ? Number(x.item()) : (x.to({ device: p.device, dtype: p.dtype, copy: true }) as Tensor);
  return out;
}

export const zerosLike = (p: Tensor): Tensor => fullLike(p, 0);
export const fullLike = (p: Tensor, value: number): Tensor => no_grad(() => p.to({ copy: true }).detach().fill_(value) as Tensor);

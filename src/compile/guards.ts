/**
 * What has to be as it was beside the arguments: modes and settings, the fields of modules that took part, gradients, optimizer states, tapes.
 */
import { autocastText } from '../autograd/autocast-mode.ts';
import { anomaly, modes } from '../autograd/modes.ts';
import type { Tape } from '../autograd/tape.ts';
import { getDefaultDtype } from '../dtype/dtype.ts';
import { hookEdits } from '../nn/module-hooks.ts';
import { getDefaultDevice } from '../ops/creation.ts';
import type { ParameterState } from '../optim/optimizer.ts';
import type { View } from '../shape/view.ts';
import type { Storage } from '../tensor/tensor.ts';
import { Tensor } from '../tensor/tensor.ts';
import { flags } from '../util/flags.ts';
import type { Plan } from './plan.ts';

/** What other parts of the library depend on, by identity. */
const environments: (() => unknown)[] = [
  getDefaultDtype,
  getDefaultDevice,
  hookEdits,
  () => flags.attentionBytes,
  () => anomaly.enabled,
  autocastText,
];
/** Adds something that compiled functions look at before each call: a mode of calls. */
export function watchEnvironment(read: () => unknown): void {
  environments.push(read);
}

interface WatchedTensor {
  readonly tensor: Tensor;
  readonly storage: Storage;
  readonly view: View;
  readonly offset: number;
  readonly tape: Tape;
  readonly edge: unknown;
}

export class Guards {
  readonly #grad = modes.grad;
  readonly #inference = modes.inference;
  readonly #environment: readonly unknown[];
  readonly #objects: object[] = [];
  readonly #names: string[] = [];
  readonly #values: unknown[] = [];
  readonly #tensors: WatchedTensor[] = [];
  readonly #states: { readonly states: ReadonlyMap<Tensor, ParameterState>; readonly p: Tensor; readonly state: ParameterState }[] = [];
  readonly #stateTensors: { readonly state: ParameterState; readonly name: string; readonly tensor: unknown }[] = [];
  readonly #plan: Plan;

  constructor(plan: Plan) {
    this.#plan = plan;
    this.#environment = environments.map((read) => read());
    const seen = new Set<Tensor>();
    const watch = (t: Tensor): void => {
      if (seen.has(t)) return;
      seen.add(t);
      this.#tensors.push({ tensor: t, storage: t.storage, view: t.view_, offset: t.offset, tape: t.tape, edge: t.tape.edge });
    };
    const field = (object: object, name: string, value: unknown): void => {
      this.#objects.push(object);
      this.#names.push(name);
      this.#values.push(value);
      if (value instanceof Tensor) watch(value);
    };
    for (const [module, fields] of plan.modules) {
      field(module, 'forward', (module as Record<string, unknown>)['forward']);
      for (const [name, value] of fields) if (name !== 'forward') field(module, name, value);
    }
    for (const event of plan.events) {
      if (event.kind !== 'step') continue;
      const { optimizer } = event;
      optimizer.param_groups.forEach((group, i) => {
        field(optimizer.param_groups, String(i), group);
        field(group, 'params', group.params);
        field(group.params, 'length', group.params.length);
      });
      for (const p of event.stepped.flat()) {
        const state = optimizer.state.get(p);
        watch(p);
        if (state === undefined) continue;
        this.#states.push({ states: optimizer.state, p, state });
        for (const [name, tensor] of Object.entries(state))
          if (typeof tensor === 'object') this.#stateTensors.push({ state, name, tensor });
      }
    }
  }

  /** Whether all is as it was; `given`: the arguments' tensors, whose storages carry the mark `walk`. */
  hold(given: readonly Tensor[], walk: number): boolean {
    if (modes.grad !== this.#grad || modes.inference !== this.#inference) return false;
    for (let i = 0; i < environments.length; i++) if (environments[i]() !== this.#environment[i]) return false;
    const objects = this.#objects as Record<string, unknown>[];
    const names = this.#names;
    const values = this.#values;
    for (let i = 0; i < objects.length; i++) if (objects[i][names[i]] !== values[i]) return false;
    const tensors = this.#tensors;
    for (let i = 0; i < tensors.length; i++) {
      const w = tensors[i];
      const t = w.tensor;
      if (t.storage !== w.storage || t.tape !== w.tape || t.view_ !== w.view || t.offset !== w.offset || t.tape.edge !== w.edge)
        return false;
    }
    for (let i = 0; i < this.#states.length; i++) {
      const { states, p, state } = this.#states[i];
      if (states.get(p) !== state) return false;
    }
    for (let i = 0; i < this.#stateTensors.length; i++) {
      const { state, name, tensor } = this.#stateTensors[i];
      if (state[name] !== tensor) return false;
    }
    const { gradientsBefore, heldTapes, exclusive, required } = this.#plan;
    for (let i = 0; i < gradientsBefore.length; i++) {
      const { leaf, view, offset } = gradientsBefore[i];
      const grad = (typeof leaf === 'number' ? given[leaf] : leaf).grad_;
      if (grad === null ? view !== null : grad.view_ !== view || grad.offset !== offset) return false;
    }
    for (let i = 0; i < heldTapes.length; i++) {
      const { tape, onTape, output, base } = heldTapes[i];
      if ((tape.edge !== null) !== onTape || (onTape && (tape.output !== output || tape.base !== base))) return false;
    }
    for (let i = 0; i < required.length; i++) if (given[required[i].at].storage !== required[i].storage) return false;
    for (let i = 0; i < exclusive.length; i++) if (exclusive[i].reached === walk && !isRequired(required, exclusive[i])) return false;
    return true;
  }
}

const isRequired = (required: Plan['required'], storage: Storage): boolean => required.some((r) => r.storage === storage);

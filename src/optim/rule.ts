/**
 * A first-order update rule, said once for one parameter, as one recorded call for all parameters of a group.
 *
 * `makeRule({ name, states, numbers, update })`: `update(p, g, states, numbers, constants)` gives the new parameter and states as prims. The call
 * writes them in place. Numbers (rates, bias corrections) are parameters of the program, in float64 and cast to the parameter's dtype;
 * constants change the program.
 */
import { float64 } from '../dtype/dtype.ts';
import type { Operator } from '../graph/operator.ts';
import type { Prim } from '../graph/prim.ts';
import type { Tensor } from '../ops/methods.ts';
import { constantsOf, type Constants as Interned } from '../tensor/record.ts';
import { sink } from '../tensor/tracing.ts';
import { writeCall } from '../tensor/write.ts';
import { alike, type Slot } from './optimizer.ts';

export interface RuleSpec<C extends object> {
  readonly name: string;
  /** Tensors of the parameter's state that the rule reads and writes. */
  readonly states: (constants: C) => readonly string[];
  readonly numbers: number;
  /** The new parameter, then the new states. */
  readonly update: (p: Prim, g: Prim, states: readonly Prim[], numbers: readonly Prim[], constants: C) => readonly Prim[];
}
export interface RuleConstants {
  /** Gradients are ascended. */
  readonly maximize: boolean;
}

export type Rule<C extends object> = (slots: readonly Slot[], constants: C & RuleConstants, numbers: readonly number[]) => void;

/** What rules would be called with, while an optimizer's step is only counted (`Optimizer.count`); null: they are called. */
export interface CountedRule {
  readonly call: object;
  readonly numbers: readonly number[];
}
let counted: CountedRule[] | null = null;
/** Runs `work`, whose rules are not called. */
export function countRules(work: () => void): readonly CountedRule[] {
  const before = counted;
  const calls: CountedRule[] = [];
  counted = calls;
  try {
    work();
  } finally {
    counted = before;
  }
  return calls;
}

export function makeRule<C extends object>(spec: RuleSpec<C>): Rule<C> {
  type Constants = { readonly own: C & RuleConstants; readonly width: number };
  const operator: Operator<Constants> = {
    name: spec.name,
    paramTypes: () => new Array(spec.numbers).fill(float64),
    body: (inputs, { constants: { own, width }, params }) => {
      const out: Prim[] = [];
      for (let i = 0; i < inputs.length; i += width) {
        const [p, g, ...states] = inputs.slice(i, i + width);
        const numbers = params.map((x) => x.cast(p.dtype));
        out.push(...spec.update(p, own.maximize ? g.neg() : g, states, numbers, own));
      }
      return out;
    },
  };
  // Seldom more than one set of constants is in use, which is seen without making a text of it.
  let last: { readonly own: C & RuleConstants; readonly call: Interned; readonly states: readonly string[] } | null = null;
  const interned = (constants: C & RuleConstants): { readonly call: Interned; readonly states: readonly string[] } => {
    if (last !== null && sameFields(last.own, constants)) return last;
    const states = spec.states(constants);
    const key = `${spec.name}:${JSON.stringify(constants)}`;
    last = { own: constants, call: constantsOf(key, (): Constants => ({ own: constants, width: 2 + states.length })), states };
    return last;
  };
  return (slots, constants, numbers) => {
    const { call, states } = interned(constants);
    for (const part of alike(slots)) {
      if (counted !== null) {
        counted.push({ call, numbers });
        continue;
      }
      if (sink !== null) sink.rule(call, numbers);
      const inputs = new Array<Tensor>(part.length * (2 + states.length));
      const written = new Array<Tensor>(part.length * (1 + states.length));
      let read = 0;
      let write = 0;
      for (let i = 0; i < part.length; i++) {
        const { p, grad, state } = part[i];
        inputs[read++] = p;
        inputs[read++] = grad;
        written[write++] = p;
        for (let k = 0; k < states.length; k++) {
          const held = state[states[k]] as Tensor;
          inputs[read++] = held;
          written[write++] = held;
        }
      }
      writeCall(operator as never, inputs, { constants: call, params: [...numbers], donors: written });
    }
  };
}

function sameFields(a: object, b: object): boolean {
  for (const name in a) if ((a as Record<string, unknown>)[name] !== (b as Record<string, unknown>)[name]) return false;
  return true;
}

// ---- pieces of rules, with PyTorch's arithmetic

/** `start.lerp(end, weight)` for a weight known to be below 0.5, or not (then it counts back from the end). */
export const lerp = (start: Prim, end: Prim, weight: Prim, high: boolean): Prim =>
  high ? end.sub(end.sub(start).mul(weight.neg().add(1))) : start.add(end.sub(start).mul(weight));
/** `self.addcmul(a, b, value)`. */
export const addcmul = (self: Prim, a: Prim, b: Prim, value: Prim | null): Prim => self.add((value === null ? a : a.mul(value)).mul(b));
/** `self.addcdiv(a, b, value)`. */
export const addcdiv = (self: Prim, a: Prim, b: Prim, value: Prim | null): Prim => self.add((value === null ? a : a.mul(value)).div(b));

// ---- checks that all optimizers share

export function checkRate(lr: number): void {
  if (!(lr >= 0)) throw new Error(`Invalid learning rate: ${lr}`);
}
export function checkAtLeastZero(what: string, x: number): void {
  if (!(x >= 0)) throw new Error(`Invalid ${what}: ${x}`);
}
export function checkBetas(betas: readonly number[]): void {
  betas.forEach((beta, i) => {
    if (!(beta >= 0 && beta < 1)) throw new Error(`Invalid beta parameter at index ${i}: ${beta}`);
  });
}
/** Counts a step of each slot; those with equal counts go together. */
export function byStep(slots: readonly Slot[]): { readonly step: number; readonly slots: readonly Slot[] }[] {
  for (const { state } of slots) state['step'] = Number(state['step'] ?? 0) + 1;
  return alike(slots, ({ state }) => state['step'] as number).map((part) => ({ step: part[0].state['step'] as number, slots: part }));
}

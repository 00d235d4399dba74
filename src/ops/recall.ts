/**
 * Recall: a public call that was made before with arguments of the same kind is recorded without asking again how.
 *
 * What `x.add(y)` records follows from its arguments' views, the numbers among them, and a few settings: binding, promotion, broadcasting and
 * the look-up of the signature would come to the same answer. So the first such call is a lesson (`util/lesson.ts`): if all that it did was to
 * record calls and make views of what it was given, those are done again for the next one. A training step repeats a few dozen kinds of calls.
 *
 * Whatever looks at data, writes, draws or brings in other memory is never recalled. `MAGPIE_RECALL=check` makes both ways and compares.
 */
import { modes } from '../autograd/modes.ts';
import { DType } from '../dtype/dtype.ts';
import type { Signature } from '../graph/node.ts';
import type { View } from '../shape/view.ts';
import { type CallLesson, closeLesson, openLesson, type Step } from '../tensor/learn.ts';
import { refuseOverlap } from '../tensor/overlap.ts';
import { submitCall } from '../tensor/record.ts';
import { Tensor } from '../tensor/tensor.ts';
import { viewAs } from '../tensor/view-tensor.ts';
import { flags } from '../util/flags.ts';
import { callState, lesson } from '../util/lesson.ts';

type PlainValue = string | number | bigint | boolean | null | undefined | DType;
const [aTensor, aPlainValue, aList, options] = [0, 1, 2, 3] as const;

/** What an argument has to be: a tensor like it, an equal plain value, a list or an object of such. One class for all, so that looking is quick. */
class Expected {
  readonly kind: typeof aTensor | typeof aPlainValue | typeof aList | typeof options;
  readonly view: View | null;
  readonly offset: number;
  readonly requires: boolean;
  readonly value: PlainValue;
  readonly items: readonly Expected[];
  readonly names: readonly string[];
  constructor(
    kind: Expected['kind'],
    tensor: Tensor | null,
    value: PlainValue,
    items: readonly Expected[] = [],
    names: readonly string[] = [],
  ) {
    this.kind = kind;
    this.view = tensor === null ? null : tensor.view_;
    this.offset = tensor === null ? 0 : tensor.offset;
    this.requires = tensor !== null && tensor.tape.edge !== null;
    this.value = value;
    this.items = items;
    this.names = names;
  }
}

/** A kind of call, and what it does. */
interface Known {
  readonly args: readonly Expected[];
  readonly state: number;
  readonly grad: boolean;
  readonly attentionBytes: number;
  readonly steps: readonly Step[];
  /** Slots of the results; of one that is no list, its slot. */
  readonly result: number | readonly number[];
  readonly siblings: readonly Tensor['sibling'][];
  /** A call of one step with one result: for each of its inputs the argument that it is. */
  readonly single: {
    readonly signature: Signature;
    readonly srcs: readonly number[];
    readonly params: readonly (number | bigint)[];
  } | null;
  /** A call that makes one view: of which argument. */
  readonly view: { readonly of: number; readonly view: View; readonly offset: number } | null;
  /** What came after it last time: the likeliest next one. */
  next: Known | null;
}

const mostKnown = 12;
const mostSteps = 8;
const mostCredit = 8;

/** The kinds of calls of one operator. */
export class Memory {
  readonly #name: string;
  #known: Known[] = [];
  #last: Known | null = null;
  /** How many lessons may be taken: one costs as much as a call, and is paid for by those that were of use. */
  #credit = mostCredit;
  #misses = 0;
  constructor(name: string) {
    this.#name = name;
  }

  /** Does the call: as it was done before, or by `dispatch`. */
  call(args: readonly unknown[], dispatch: (args: readonly unknown[]) => unknown): unknown {
    if (modes.inference || flags.recall === 'off') return dispatch(args);
    const found = this.#find(args);
    if (found !== null) {
      if (this.#credit < mostCredit) this.#credit++;
      return flags.recall === 'check' ? this.#compare(found, args, dispatch) : redo(found, args);
    }
    if (lesson.open !== null || (this.#credit === 0 && ++this.#misses % 64 !== 0)) return dispatch(args);
    if (this.#credit > 0) this.#credit--;
    return this.#learn(args, dispatch);
  }

  #find(args: readonly unknown[]): Known | null {
    const guess = this.#last === null ? null : this.#last.next;
    if (guess !== null && fits(guess, args)) {
      this.#last = guess;
      return guess;
    }
    const known = this.#known;
    for (let i = 0; i < known.length; i++) {
      if (!fits(known[i], args)) continue;
      if (this.#last !== null) this.#last.next = known[i];
      this.#last = known[i];
      return known[i];
    }
    return null;
  }

  #learn(args: readonly unknown[], dispatch: (args: readonly unknown[]) => unknown): unknown {
    const given: Tensor[] = [];
    const kinds = kindsOf(args, given);
    // The same tensor twice: which of the two a step takes would not be known.
    if (kinds === null || given.length === 0 || new Set(given).size < given.length) return dispatch(args);
    const noted = openLesson(given);
    let result: unknown;
    try {
      result = dispatch(args);
    } finally {
      closeLesson();
    }
    const slots = resultSlots(result, noted, given.length);
    if (slots === null) return result;
    const made = Array.isArray(result) ? (result as Tensor[]) : [result as Tensor];
    this.#known.unshift({
      single: singleCall(kinds, noted.steps, slots),
      view: singleView(kinds, noted.steps, slots),
      args: kinds,
      state: callState.id,
      grad: modes.grad,
      attentionBytes: flags.attentionBytes,
      steps: noted.steps,
      result: slots,
      siblings: made.map((t) => t.sibling),
      next: null,
    });
    if (this.#known.length > mostKnown) this.#known.pop();
    return result;
  }

  #compare(known: Known, args: readonly unknown[], dispatch: (args: readonly unknown[]) => unknown): unknown {
    if (lesson.open !== null) return dispatch(args);
    const given: Tensor[] = [];
    kindsOf(args, given);
    const noted = openLesson(given);
    let result: unknown;
    try {
      result = dispatch(args);
    } finally {
      closeLesson();
    }
    const distinct = new Set(given).size === given.length;
    const same = JSON.stringify(known.steps.map(stepText)) === JSON.stringify(noted.steps.map(stepText));
    if (distinct && (noted.spoiled || !same || String(resultSlots(result, noted, given.length)) !== String(known.result)))
      throw new Error(
        `internal: ${this.#name} was recalled as ${JSON.stringify(known.steps.map(stepText))}, but is ${JSON.stringify(noted.steps.map(stepText))}`,
      );
    return result;
  }
}

const stepText = (s: Step): unknown =>
  s.kind === 'view' ? [s.of, s.view.id, s.offset] : [s.signature.id, s.srcs, s.params.map(String), s.hidden];

/** Kinds of the arguments; the tensors among them are appended to `given`. Null: something that cannot be compared. */
function kindsOf(values: readonly unknown[], given: Tensor[]): Expected[] | null {
  const out: Expected[] = [];
  for (const value of values) {
    if (value instanceof Tensor) {
      if (value.inference) return null;
      given.push(value);
      out.push(new Expected(aTensor, value, null));
    } else if (Array.isArray(value)) {
      const items = kindsOf(value, given);
      if (items === null) return null;
      out.push(new Expected(aList, null, null, items));
    } else if (typeof value === 'object' && value !== null && !(value instanceof DType)) {
      const prototype = Object.getPrototypeOf(value);
      if (prototype !== Object.prototype && prototype !== null) return null;
      const items = kindsOf(Object.values(value), given);
      if (items === null) return null;
      out.push(new Expected(options, null, null, items, Object.keys(value)));
    } else if (typeof value === 'function' || typeof value === 'symbol') return null;
    else out.push(new Expected(aPlainValue, null, value as PlainValue));
  }
  return out;
}

function fits(known: Known, args: readonly unknown[]): boolean {
  if (known.state !== callState.id || known.grad !== modes.grad || known.attentionBytes !== flags.attentionBytes) return false;
  return fitAll(known.args, args);
}
function fitAll(expected: readonly Expected[], values: readonly unknown[]): boolean {
  if (expected.length !== values.length) return false;
  for (let i = 0; i < expected.length; i++) {
    const e = expected[i];
    const value = values[i];
    if (e.kind === aTensor) {
      if (typeof value !== 'object' || value === null) return false;
      const t = value as Tensor;
      if (t.view_ !== e.view || t.offset !== e.offset || (t.tape.edge !== null) !== e.requires || t.inference) return false;
    } else if (e.kind === aPlainValue) {
      if (value !== e.value || (value === 0 && !Object.is(value, e.value))) return false;
    } else if (e.kind === aList) {
      if (!Array.isArray(value) || !fitAll(e.items, value)) return false;
    } else if (!fitsOptions(e, value)) return false;
  }
  return true;
}
function fitsOptions({ names, items }: Expected, value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const given: unknown[] = [];
  for (const name in value) {
    if (names[given.length] !== name) return false;
    given.push((value as Record<string, unknown>)[name]);
  }
  return given.length === names.length && fitAll(items, given);
}

/** Most calls record one call of some of their arguments. */
function singleCall(args: readonly Expected[], steps: readonly Step[], result: number | readonly number[]): Known['single'] {
  const [step] = steps;
  if (steps.length > 1 || step.kind !== 'call' || step.hidden || typeof result !== 'number' || step.signature.visible !== 1) return null;
  const places = args.flatMap((e, i) => (e.kind === aTensor ? [i] : []));
  if (args.some((e) => e.items.length > 0) || result !== places.length) return null;
  return { signature: step.signature, srcs: step.srcs.map((slot) => places[slot]), params: step.params };
}

/** The others make one view of an argument. */
function singleView(args: readonly Expected[], steps: readonly Step[], result: number | readonly number[]): Known['view'] {
  const [step] = steps;
  if (
    steps.length > 1 ||
    step.kind !== 'view' ||
    typeof result !== 'number' ||
    args.some((e) => e.items.some((item) => item.kind === aTensor))
  )
    return null;
  const places = args.flatMap((e, i) => (e.kind === aTensor ? [i] : []));
  return result === places.length ? { of: places[step.of], view: step.view, offset: step.offset } : null;
}

function gather(values: readonly unknown[], expected: readonly Expected[], into: Tensor[]): void {
  for (let i = 0; i < expected.length; i++) {
    const e = expected[i];
    if (e.kind === aTensor) into.push(values[i] as Tensor);
    else if (e.kind === aList) gather(values[i] as unknown[], e.items, into);
    else if (e.kind === options) gather(Object.values(values[i] as object), e.items, into);
  }
}

function redo(known: Known, args: readonly unknown[]): unknown {
  const { single, view } = known;
  if (view !== null) {
    const of = args[view.of] as Tensor;
    return viewAs(of, view.view, of.offset + view.offset);
  }
  if (single === null) return redoSteps(known, args);
  const { signature, srcs, params } = single;
  const inputs = new Array<Tensor>(srcs.length);
  for (let i = 0; i < srcs.length; i++) inputs[i] = args[srcs[i]] as Tensor;
  return call(signature, inputs, params, false)[0];
}
function call(signature: Signature, inputs: readonly Tensor[], params: readonly (number | bigint)[], hidden: boolean): Tensor[] {
  if (signature.operator.layout === 'elementwise') refuseOverlap(inputs);
  // A list of its own: calls that share one count as having the same numbers by necessity (`schedule/capture.ts`).
  return submitCall(signature, inputs, params.length === 0 ? params : params.slice(), null, hidden);
}
function redoSteps({ args: expected, steps, result, siblings }: Known, args: readonly unknown[]): unknown {
  const slots: Tensor[] = [];
  gather(args, expected, slots);
  for (let i = 0; i < steps.length; i++) {
    const step = steps[i];
    if (step.kind === 'view') {
      const of = slots[step.of];
      slots.push(viewAs(of, step.view, of.offset + step.offset));
      continue;
    }
    const { signature, srcs, params, hidden } = step;
    const inputs = new Array<Tensor>(srcs.length);
    for (let k = 0; k < srcs.length; k++) inputs[k] = slots[srcs[k]];
    const outs = call(signature, inputs, params, hidden);
    for (let k = 0; k < outs.length; k++) slots.push(outs[k]);
  }
  if (typeof result === 'number') return slots[result];
  const out = new Array<Tensor>(result.length);
  for (let i = 0; i < out.length; i++) {
    out[i] = slots[result[i]];
    if (siblings[i] !== null) out[i].sibling = siblings[i];
  }
  return out;
}

/** The slots of what a call returned; null if the call cannot be done again from its steps alone. */
function resultSlots(result: unknown, { steps, slots, tapes, spoiled }: CallLesson, given: number): number | number[] | null {
  if (spoiled || steps.length === 0 || steps.length > mostSteps) return null;
  const slotOf = (x: unknown): number => {
    const at = x instanceof Tensor ? slots.indexOf(x, given) : -1;
    // Something was done to it after it had been made.
    return at >= 0 && slots[at].tape === tapes[at - given] ? at : -1;
  };
  if (result instanceof Tensor) {
    const at = slotOf(result);
    return at < 0 ? null : at;
  }
  if (!Array.isArray(result) || result.length === 0 || Object.keys(result).length !== result.length) return null;
  const all = result.map(slotOf);
  return all.includes(-1) ? null : all;
}

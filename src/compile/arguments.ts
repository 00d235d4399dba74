/**
 * What a function is called with, taken apart: tensors and numbers by place, and everything else as a form that another call has or has not.
 *
 * A tensor's layout, its place on the tape, and which arguments share memory belong to the form; where it begins in its memory is a number. Arrays,
 * plain objects, maps, and instances that hold tensors are looked into; anything else is the same only if it is the same.
 */
import type { View } from '../shape/view.ts';
import { newWalk } from '../tensor/scope.ts';
import { Tensor } from '../tensor/tensor.ts';

export type Form =
  | { readonly kind: 'tensor'; readonly at: number }
  | { readonly kind: 'number'; readonly at: number }
  | { readonly kind: 'same'; readonly value: unknown }
  | { readonly kind: 'array'; readonly items: readonly Form[] }
  | { readonly kind: 'object'; readonly prototype: object | null; readonly keys: readonly string[]; readonly items: readonly Form[] }
  | { readonly kind: 'map'; readonly keys: readonly unknown[]; readonly items: readonly Form[] };

/** A tensor among the arguments, as it has to be met again. */
interface TensorForm {
  readonly view: View;
  readonly inference: boolean;
  readonly onTape: boolean;
  readonly output: number;
  readonly base: View | null;
  readonly leaf: boolean;
  /** The first argument with the same memory, the same tape, the same version; itself where there is none before it. */
  readonly storage: number;
  readonly tape: number;
  readonly version: number;
}

export interface ArgumentForm {
  readonly form: Form;
  readonly tensors: readonly TensorForm[];
  /** How many numbers are arguments themselves; the offsets of the tensors come after them. */
  readonly numbers: number;
}

/** The tensors and numbers of a call, in the order of its form. */
export interface Arguments {
  readonly tensors: Tensor[];
  readonly numbers: number[];
}

/** Containers inside containers are looked into to this depth. */
const deepest = 6;

const isPlain = (x: object): boolean => {
  const prototype = Object.getPrototypeOf(x);
  return prototype === Object.prototype || prototype === null;
};

function holdsTensors(x: unknown, depth: number): boolean {
  if (typeof x !== 'object' || x === null || depth < 0) return false;
  if (x instanceof Tensor) return true;
  if (ArrayBuffer.isView(x)) return false;
  if (x instanceof Map) return [...x.values()].some((y) => holdsTensors(y, depth - 1));
  if (Array.isArray(x)) return x.some((y) => holdsTensors(y, depth - 1));
  return Object.values(x).some((y) => holdsTensors(y, depth - 1));
}

export interface Described extends Arguments {
  readonly form: ArgumentForm;
  /** Objects among the arguments, and how they are reached. */
  readonly objects: ReadonlyMap<object, readonly (string | number)[]>;
}

/** Takes a call's arguments apart; a text says why they cannot be. */
export function describeArguments(args: readonly unknown[]): Described | string {
  const tensors: Tensor[] = [];
  const numbers: number[] = [];
  const objects = new Map<object, readonly (string | number)[]>();
  const open = new Set<object>();
  let refusal: string | null = null;
  const visit = (x: unknown, path: readonly (string | number)[], depth: number): Form => {
    if (typeof x === 'number') return { kind: 'number', at: numbers.push(x) - 1 };
    if (typeof x !== 'object' || x === null) return { kind: 'same', value: x };
    if (x instanceof Tensor) return { kind: 'tensor', at: tensors.push(x) - 1 };
    if (ArrayBuffer.isView(x)) {
      refusal ??= 'an argument is a typed array, whose contents cannot be watched: make a tensor of it outside';
      return { kind: 'same', value: x };
    }
    if (!objects.has(x)) objects.set(x, path);
    const walked = (Array.isArray(x) && !open.has(x)) || isPlain(x) || x instanceof Map || holdsTensors(x, deepest - depth);
    if (!walked || depth > deepest || open.has(x)) return { kind: 'same', value: x };
    open.add(x);
    let form: Form;
    if (Array.isArray(x)) form = { kind: 'array', items: x.map((y, i) => visit(y, [...path, i], depth + 1)) };
    else if (x instanceof Map) {
      const entries = [...x];
      form = { kind: 'map', keys: entries.map(([k]) => k), items: entries.map(([, y]) => visit(y, [], depth + 1)) };
    } else {
      const keys = Object.keys(x);
      const items = keys.map((k) => visit((x as Record<string, unknown>)[k], [...path, k], depth + 1));
      form = { kind: 'object', prototype: Object.getPrototypeOf(x) as object | null, keys, items };
    }
    open.delete(x);
    return form;
  };
  const form = visit(args, [], 0);
  if (refusal !== null) return refusal;
  const first = <T>(of: (t: Tensor) => T, i: number): number => tensors.findIndex((t) => of(t) === of(tensors[i]));
  const tensorForms = tensors.map(
    (t, i): TensorForm => ({
      view: t.view_,
      inference: t.inference,
      onTape: t.tape.edge !== null,
      output: t.tape.output,
      base: t.tape.base,
      leaf: t.tape.edge !== null && t.tape.edge.leaf !== null,
      storage: first((x) => x.storage, i),
      tape: first((x) => x.tape, i),
      version: first((x) => x.version, i),
    }),
  );
  const count = numbers.length;
  for (const t of tensors) numbers.push(t.offset);
  return { tensors, numbers, objects, form: { form, tensors: tensorForms, numbers: count } };
}

/** Room for the arguments of a call, filled anew by each look. */
export class ArgumentReader {
  readonly form: ArgumentForm;
  readonly tensors: Tensor[];
  readonly numbers: number[];
  constructor(form: ArgumentForm) {
    this.form = form;
    this.tensors = new Array<Tensor>(form.tensors.length);
    this.numbers = new Array<number>(form.numbers + form.tensors.length);
  }

  /** Whether these arguments have the form; if so they are in `tensors` and `numbers`. */
  read(args: readonly unknown[]): boolean {
    return this.#match(this.form.form, args) && this.#check();
  }

  #match(form: Form, x: unknown): boolean {
    switch (form.kind) {
      case 'tensor':
        if (!(typeof x === 'object' && x instanceof Tensor)) return false;
        this.tensors[form.at] = x;
        return true;
      case 'number':
        if (typeof x !== 'number') return false;
        this.numbers[form.at] = x;
        return true;
      case 'same':
        return Object.is(form.value, x);
      case 'array': {
        const { items } = form;
        if (!Array.isArray(x) || x.length !== items.length) return false;
        for (let i = 0; i < items.length; i++) if (!this.#match(items[i], x[i])) return false;
        return true;
      }
      case 'object': {
        const { keys, items, prototype } = form;
        if (typeof x !== 'object' || x === null || Object.getPrototypeOf(x) !== prototype) return false;
        let count = 0;
        for (const _ in x) count++;
        if (count !== keys.length) return false;
        for (let i = 0; i < keys.length; i++) if (!this.#match(items[i], (x as Record<string, unknown>)[keys[i]])) return false;
        return true;
      }
      case 'map': {
        const { keys, items } = form;
        if (!(x instanceof Map) || x.size !== keys.length) return false;
        let i = 0;
        for (const [key, value] of x) {
          if (!Object.is(key, keys[i]) || !this.#match(items[i], value)) return false;
          i++;
        }
        return true;
      }
      default:
        return form satisfies never;
    }
  }

  #check(): boolean {
    const { tensors: forms, numbers: count } = this.form;
    const { tensors, numbers } = this;
    const walk = newWalk();
    for (let i = 0; i < forms.length; i++) {
      const t = tensors[i];
      const { storage, tape, view_ } = t;
      const f = forms[i];
      if (view_ !== f.view || t.inference !== f.inference) return false;
      const { edge } = tape;
      if ((edge !== null) !== f.onTape) return false;
      if (edge !== null && (tape.output !== f.output || tape.base !== f.base || (edge.leaf !== null) !== f.leaf)) return false;
      if (f.storage === i) {
        if (storage.reached === walk) return false;
        storage.reached = walk;
      } else if (storage !== tensors[f.storage].storage) return false;
      if (f.tape !== i && tape !== tensors[f.tape].tape) return false;
      if (f.version !== i && t.version !== tensors[f.version].version) return false;
      numbers[count + i] = t.offset;
    }
    this.walk = walk;
    return true;
  }
  /** Storages of the arguments carry this number after a look. */
  walk = 0;
}

/**
 * What a Python value is in JavaScript, for `torch.load` and `torch.save`.
 *
 *   None, bool, str           null, boolean, string
 *   int, float                number; an int that a number cannot hold exactly is a bigint
 *   list, tuple, torch.Size   array; a tuple is a frozen array
 *   dict                      a plain object where that keeps all keys and their order, otherwise a Map
 *   OrderedDict, Counter      Map
 *   set, bytes, complex       Set, Uint8Array, { re, im }
 *   torch.device, layout      string, as everywhere in this library
 *
 * What JavaScript cannot tell apart but Python does (a Map that was a dict, a torch.Size) is remembered beside the value and written again.
 * A whole number is written as an int and a key of a plain object that looks like an index too: `torch.scalar(1, torch.float32)` and a Map say
 * otherwise.
 */
import { Tensor } from '../../ops/methods.ts';

/** A dict while a file is read: others may hold it before its keys are known. */
export class Dict {
  readonly kind: 'dict' | 'OrderedDict' | 'Counter';
  readonly map: Map<unknown, unknown> = new Map();
  /** The `__dict__` of an OrderedDict: a state dict has `_metadata` there. */
  attributes: unknown = null;
  constructor(kind: Dict['kind']) {
    this.kind = kind;
  }
}

/** A name of a file that stands for itself: a dtype that this library lacks, a class that nothing was made of. */
export class PythonName {
  readonly path: string;
  constructor(path: string) {
    this.path = path;
  }
  toString(): string {
    return this.path;
  }
}

/**
 * An object of a class that is not on the allow-list, read with `weights_only: false`: its class, what it would be made from, and its state.
 * It is data. Nothing of the class runs.
 */
export class PythonObject {
  readonly type: string;
  args: unknown;
  state: unknown = null;
  /** Items of a class that is a list or a dict. */
  items: unknown = null;
  /** Made by `type.__new__(type, *args)`, as most objects are, and not by a call of `type`. */
  isNew = false;
  constructor(type: string, args: unknown) {
    this.type = type;
    this.args = args;
  }

  /** Of a whole `nn.Module`: its parameters and buffers by dotted name. */
  state_dict(prefix = ''): Map<string, Tensor> {
    const out = new Map<string, Tensor>();
    const seen = new Set<PythonObject>();
    const visit = (module: PythonObject, path: string): void => {
      if (seen.has(module)) return;
      seen.add(module);
      const transient = fieldOf(module.state, '_non_persistent_buffers_set');
      for (const group of ['_parameters', '_buffers'])
        for (const [name, value] of entriesOf(fieldOf(module.state, group)))
          if (value instanceof Tensor && !(group === '_buffers' && transient instanceof Set && transient.has(name)))
            out.set(`${path}${String(name)}`, value.detach() as Tensor);
      for (const [name, child] of entriesOf(fieldOf(module.state, '_modules')))
        if (child instanceof PythonObject) visit(child, `${path}${String(name)}.`);
    };
    visit(this, prefix);
    return out;
  }
}

function entriesOf(dict: unknown): [unknown, unknown][] {
  if (dict instanceof Map) return [...dict];
  return typeof dict === 'object' && dict !== null ? Object.entries(dict) : [];
}
const fieldOf = (dict: unknown, name: string): unknown => entriesOf(dict).find(([key]) => key === name)?.[1];

/** A tensor of `torch.sparse_coo` layout, which this library can carry from file to file and make dense. */
export class SparseTensor {
  readonly layout = 'sparse_coo';
  readonly indices: Tensor;
  readonly values: Tensor;
  readonly shape: readonly number[];
  readonly is_coalesced: boolean;
  constructor(indices: Tensor, values: Tensor, shape: readonly number[], is_coalesced: boolean) {
    this.indices = indices;
    this.values = values;
    this.shape = shape;
    this.is_coalesced = is_coalesced;
  }

  /** The same as an ordinary tensor; values of equal indices are summed. */
  to_dense(): Tensor {
    const [sparse, count] = this.indices.shape;
    const rows = this.shape.slice(0, sparse).reduce((n, d) => n * d, 1);
    const dense = this.shape.slice(sparse);
    let at = this.values.new_zeros([count], { dtype: this.indices.dtype }) as Tensor;
    for (let i = 0; i < sparse; i++) at = at.mul(this.shape[i]).add(this.indices.select(0, i)) as Tensor;
    return (this.values.new_zeros([rows, ...dense]) as Tensor).index_add_(0, at, this.values).reshape([...this.shape]) as Tensor;
  }
}

// ---- what is remembered beside a value

const dicts = new WeakSet<object>();
const sizes = new WeakSet<object>();
const attributes = new WeakMap<object, unknown>();

export const isSize = (x: object): boolean => sizes.has(x);
export const isTuple = (x: readonly unknown[]): boolean => Object.isFrozen(x);
/** A Map that is to be written as a dict, not as an OrderedDict. */
export const isDictMap = (x: object): boolean => dicts.has(x);
export const attributesOf = (x: object): unknown => attributes.get(x) ?? null;

export function asSize(items: readonly unknown[]): readonly unknown[] {
  const out = [...items];
  sizes.add(out);
  return out;
}

/** Largest index of an array: an object puts keys up to here first, in order. */
const largestIndex = 2 ** 32 - 2;
export const isIndex = (key: string): boolean => /^(0|[1-9]\d{0,9})$/.test(key) && Number(key) <= largestIndex;

/** An object holds these keys in this order: ints from 0 on, ascending, then strings that do not look like them. */
function fitsObject(map: ReadonlyMap<unknown, unknown>): boolean {
  let last = -1;
  for (const key of map.keys()) {
    if (typeof key === 'string') {
      if (key === '__proto__' || isIndex(key)) return false;
      last = Number.POSITIVE_INFINITY;
    } else {
      if (typeof key !== 'number' || !Number.isInteger(key) || Object.is(key, -0) || key <= last || key > largestIndex) return false;
      last = key;
    }
  }
  return true;
}

/** A container that a file has made, in the order of making. */
export type Made = Dict | unknown[] | Set<unknown> | PythonObject;

/**
 * Turns the dicts of a file that has been read into what they are for the user, everywhere, and freezes tuples. One flat pass over all
 * containers: no depth, no cycle and no sharing can make it longer. `consumed` are argument lists of calls, which nobody sees.
 */
export function finish(
  root: unknown,
  made: readonly Made[],
  tuples: ReadonlySet<unknown[]>,
  consumed: ReadonlySet<unknown>,
  leaf: (x: unknown) => unknown,
): unknown {
  const become = new Map<Dict, Map<unknown, unknown> | Record<string, unknown>>();
  for (const x of made) if (x instanceof Dict) become.set(x, x.kind === 'dict' && fitsObject(x.map) ? {} : new Map());
  const final = (x: unknown): unknown => (x instanceof Dict ? become.get(x) : leaf(x));
  for (const x of made) {
    if (x instanceof Dict) {
      const out = become.get(x)!;
      if (out instanceof Map) {
        for (const [key, value] of x.map) out.set(final(key), final(value));
        if (x.kind === 'dict') dicts.add(out);
      } else for (const [key, value] of x.map) out[key as string] = final(value);
      if (x.attributes !== null) attributes.set(out, final(x.attributes));
    } else if (x instanceof Set) {
      const items = [...x].map(final);
      x.clear();
      for (const item of items) x.add(item);
    } else if (x instanceof PythonObject) {
      x.args = final(x.args);
      x.state = final(x.state);
      x.items = final(x.items);
    } else {
      if (consumed.has(x)) continue;
      for (let i = 0; i < x.length; i++) x[i] = final(x[i]);
      if (tuples.has(x) || sizes.has(x)) Object.freeze(x);
    }
  }
  return final(root);
}

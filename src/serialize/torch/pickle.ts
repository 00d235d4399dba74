/**
 * The pickler: protocol 2, which `torch.save` writes and every version of PyTorch reads.
 *
 * It writes plain data itself; of any other object it asks for a `Form`: a dict, a tuple, the call of a name, a reference to a storage.
 * Containers, strings and names that were written before are referred to, so that sharing and cycles survive.
 *
 * Source: https://github.com/python/cpython/blob/main/Lib/pickle.py (class _Pickler)
 */
import { PicklingError } from './errors.ts';
import { encodeInteger, encodeText } from './scalars.ts';

/** As deep as Python's own recursion goes. */
const deepest = 1000;
/** Items that one opcode adds. */
const batch = 1000;

type Entries = readonly (readonly [unknown, unknown])[];

/** How an object is written. A form can also stand where a value does, in the arguments of another one. */
export class Form {
  readonly write: (pickler: Pickler, key: object) => void;
  constructor(write: Form['write']) {
    this.write = write;
  }

  static dict(entries: Entries): Form {
    return new Form((p, key) => {
      p.op(0x7d);
      p.remember(key);
      p.setItems(entries);
    });
  }
  static tuple(items: readonly unknown[]): Form {
    return new Form((p, key) => p.tuple(items, key));
  }
  /** A class, function or dtype. */
  static name(module: string, name: string): Form {
    return new Form((p) => p.name(module, name));
  }
  /** What `module.name(*args)` returns, then filled with items and a state. */
  static call(module: string, name: string, args: readonly unknown[], filled: { items?: Entries; state?: unknown } = {}): Form {
    return new Form((p, key) => {
      p.name(module, name);
      p.tuple(args);
      p.op(0x52);
      p.remember(key);
      if (filled.items !== undefined) p.setItems(filled.items);
      if (filled.state !== undefined && filled.state !== null) {
        p.save(filled.state);
        p.op(0x62);
      }
    });
  }
  /** What the reader of the file knows under this id. */
  static persistent(id: readonly unknown[]): Form {
    return new Form((p) => {
      p.tuple(id);
      p.op(0x51);
    });
  }
  /** A float, whole or not. */
  static float(x: number): Form {
    return new Form((p) => p.float(x));
  }
  /** An int, whatever kind of number. */
  static int(x: number): Form {
    return new Form((p) => p.integer(BigInt(x)));
  }
}

export class Pickler {
  readonly #formOf: (x: object) => Form;
  readonly #memo: Map<unknown, number> = new Map();
  #bytes: Uint8Array = new Uint8Array(1 << 12);
  #length = 0;
  #depth = 0;

  /** `formOf` is asked for objects that are no lists; it throws for what cannot be written. */
  constructor(formOf: (x: object) => Form) {
    this.#formOf = formOf;
  }

  /** The pickle of a value. */
  dump(x: unknown): Uint8Array {
    this.op(0x80, 2);
    this.save(x);
    this.op(0x2e);
    return this.#bytes.slice(0, this.#length);
  }

  save(x: unknown): void {
    if (x === null || x === undefined) this.op(0x4e);
    else if (typeof x === 'boolean') this.op(x ? 0x88 : 0x89);
    else if (typeof x === 'number') {
      if (Number.isSafeInteger(x) && !Object.is(x, -0)) this.integer(BigInt(x));
      else this.float(x);
    } else if (typeof x === 'bigint') this.integer(x);
    else if (typeof x === 'string') this.text(x);
    else if (typeof x === 'symbol') throw new PicklingError("cannot pickle 'symbol' object");
    else this.#object(x);
  }

  // ---- scalars

  integer(x: bigint): void {
    const small = x >= -(2n ** 31n) && x < 2n ** 31n ? Number(x) : null;
    if (small !== null && small >= 0 && small < 0x100) this.op(0x4b, small);
    else if (small !== null && small >= 0 && small < 0x10000) this.op(0x4d, small & 255, small >> 8);
    else if (small !== null) this.#wideOp(0x4a, small);
    else {
      const bytes = encodeInteger(x);
      if (bytes.byteLength < 256) this.op(0x8a, bytes.byteLength);
      else this.#wideOp(0x8b, bytes.byteLength);
      this.#put(bytes);
    }
  }
  float(x: number): void {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setFloat64(0, x);
    this.op(0x47);
    this.#put(bytes);
  }
  text(x: string): void {
    if (this.#refer(x)) return;
    const bytes = encodeText(x);
    this.#wideOp(0x58, bytes.byteLength);
    this.#put(bytes);
    this.remember(x);
  }
  name(module: string, name: string): void {
    const key = `c${module}\n${name}\n`;
    if (this.#refer(key)) return;
    this.#put(Buffer.from(key, 'utf8'));
    this.remember(key);
  }

  // ---- containers

  #object(x: object): void {
    if (this.#refer(x)) return;
    if (++this.#depth > deepest) throw new PicklingError('maximum recursion depth exceeded while pickling an object');
    if (x instanceof Form) x.write(this, x);
    else if (Array.isArray(x) && !Object.isFrozen(x)) this.#list(x);
    else this.#formOf(x).write(this, x);
    this.#depth--;
  }
  #list(list: readonly unknown[]): void {
    this.op(0x5d);
    this.remember(list);
    this.appendItems(list);
  }
  appendItems(list: readonly unknown[]): void {
    for (let from = 0; from < list.length; from += batch) {
      const part = list.slice(from, from + batch);
      if (part.length > 1) this.op(0x28);
      for (const item of part) this.save(item);
      this.op(part.length > 1 ? 0x65 : 0x61);
    }
  }
  setItems(entries: Entries): void {
    for (let from = 0; from < entries.length; from += batch) {
      const part = entries.slice(from, from + batch);
      if (part.length > 1) this.op(0x28);
      for (const [key, value] of part) {
        this.save(key);
        this.save(value);
      }
      this.op(part.length > 1 ? 0x75 : 0x73);
    }
  }
  tuple(items: readonly unknown[], key: object | null = null): void {
    if (items.length === 0) {
      this.op(0x29);
      return;
    }
    if (items.length > 3) this.op(0x28);
    for (const item of items) this.save(item);
    if (key !== null && this.#memo.has(key)) {
      // It is inside itself, by way of a list, and has been written there.
      if (items.length > 3) this.op(0x31);
      else for (const _ of items) this.op(0x30);
      this.#refer(key);
      return;
    }
    this.op(items.length > 3 ? 0x74 : 0x84 + items.length);
    if (key !== null) this.remember(key);
  }

  // ---- memo and bytes

  /** What was written last can be referred to by this key. */
  remember(key: unknown): void {
    const at = this.#memo.size;
    this.#memo.set(key, at);
    if (at < 256) this.op(0x71, at);
    else this.#wideOp(0x72, at);
  }
  #refer(key: unknown): boolean {
    const at = this.#memo.get(key);
    if (at === undefined) return false;
    if (at < 256) this.op(0x68, at);
    else this.#wideOp(0x6a, at);
    return true;
  }
  op(...bytes: number[]): void {
    this.#put(bytes);
  }
  #wideOp(op: number, argument: number): void {
    this.#put([op, argument & 255, (argument >> 8) & 255, (argument >> 16) & 255, (argument >>> 24) & 255]);
  }
  #put(bytes: ArrayLike<number>): void {
    const needed = this.#length + bytes.length;
    if (needed > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(needed, 2 * this.#bytes.length));
      larger.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = larger;
    }
    this.#bytes.set(bytes, this.#length);
    this.#length = needed;
  }
}

/**
 * The pickler: protocol 2, which `torch.save` writes and every version of PyTorch reads.
 *
 * It writes plain data; what it does not know it asks a function for, which writes it as a call of a name (`reduce`) or as a reference to a
 * storage (`persistent`). Containers and strings that were written before are referred to, so that sharing and cycles survive.
 *
 * Source: https://github.com/python/cpython/blob/main/Lib/pickle.py (class _Pickler)
 */
import { PicklingError } from './errors.ts';
import { encodeInteger, encodeText } from './scalars.ts';

/** As deep as Python's own recursion goes. */
const deepest = 1000;
/** Items that one opcode adds. */
const batch = 1000;

/** How a value that pickle has no opcode for is written. */
export type Writing = (pickler: Pickler) => void;

export class Pickler {
  readonly #how: (x: object) => Writing;
  readonly #memo: Map<unknown, number> = new Map();
  #bytes: Uint8Array = new Uint8Array(1 << 12);
  #length = 0;
  #depth = 0;

  /** `how` says how to write an object that is no array; it throws for what cannot be written. */
  constructor(how: (x: object) => Writing) {
    this.#how = how;
  }

  /** The pickle of a value. */
  dump(x: unknown): Uint8Array {
    this.#op(0x80, 2);
    this.save(x);
    this.#op(0x2e);
    return this.#bytes.slice(0, this.#length);
  }

  save(x: unknown): void {
    if (x === null || x === undefined) this.#op(0x4e);
    else if (typeof x === 'boolean') this.#op(x ? 0x88 : 0x89);
    else if (typeof x === 'number') this.#number(x);
    else if (typeof x === 'bigint') this.integer(x);
    else if (typeof x === 'string') this.text(x);
    else if (typeof x === 'symbol') throw new PicklingError("cannot pickle 'symbol' object");
    else this.#object(x);
  }

  /** Writes by `write`, unless the same was written before; then a reference. */
  once(key: unknown, write: () => void): void {
    const at = this.#memo.get(key);
    if (at !== undefined) {
      if (at < 256) this.#op(0x68, at);
      else this.#long(0x6a, at);
      return;
    }
    write();
    this.remember(key);
  }
  /** What was written last can be referred to from now on. */
  remember(key: unknown): void {
    const at = this.#memo.size;
    this.#memo.set(key, at);
    if (at < 256) this.#op(0x71, at);
    else this.#long(0x72, at);
  }

  // ---- scalars

  #number(x: number): void {
    if (Number.isSafeInteger(x) && !Object.is(x, -0)) this.integer(BigInt(x));
    else this.float(x);
  }
  integer(x: bigint): void {
    if (x >= 0n && x < 256n) this.#op(0x4b, Number(x));
    else if (x >= 0n && x < 65536n) this.#op(0x4d, Number(x) & 255, Number(x) >> 8);
    else if (x >= -(2n ** 31n) && x < 2n ** 31n) this.#long(0x4a, Number(x));
    else {
      const bytes = encodeInteger(x);
      if (bytes.byteLength < 256) this.#op(0x8a, bytes.byteLength);
      else this.#long(0x8b, bytes.byteLength);
      this.#put(bytes);
    }
  }
  float(x: number): void {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setFloat64(0, x);
    this.#op(0x47);
    this.#put(bytes);
  }
  text(x: string): void {
    this.once(x, () => {
      const bytes = encodeText(x);
      if (bytes.byteLength > 0xffffffff) throw new PicklingError('cannot serialize a string larger than 4 GiB with protocol 2');
      this.#long(0x58, bytes.byteLength);
      this.#put(bytes);
    });
  }

  // ---- containers

  #object(x: object): void {
    if (++this.#depth > deepest) throw new PicklingError('maximum recursion depth exceeded while pickling an object');
    if (Array.isArray(x) && !Object.isFrozen(x)) this.list(x, x);
    else this.#how(x)(this);
    this.#depth--;
  }
  list(items: readonly unknown[], key?: object): void {
    this.once(key ?? {}, () => {
      this.#op(0x5d);
      if (items.length === 0) return;
      this.remember({});
      this.#memo.set(key, this.#memo.size - 1);
      this.#append(items);
    });
  }
  #append(items: readonly unknown[]): void {
    for (let from = 0; from < items.length; from += batch) {
      const part = items.slice(from, from + batch);
      if (part.length > 1) this.#op(0x28);
      for (const item of part) this.save(item);
      this.#op(part.length > 1 ? 0x65 : 0x61);
    }
  }
}

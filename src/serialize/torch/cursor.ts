/**
 * Reading bytes one after the other, from a file or from memory, through a small window. A length that a file claims is compared with what is
 * left before anything is allocated for it.
 */
import type { ByteSource } from '../safetensors-format.ts';
import { UnpicklingError } from './errors.ts';

const windowBytes = 1 << 16;

export class Cursor {
  readonly #source: ByteSource;
  readonly #end: number;
  #window: Uint8Array = new Uint8Array(0);
  #windowStart = 0;
  position: number;

  constructor(source: ByteSource, start = 0, length: number = source.size - start) {
    this.#source = source;
    this.position = start;
    this.#end = start + length;
  }
  get left(): number {
    return this.#end - this.position;
  }

  /** The next bytes. They may be a view that later reads do not change. */
  read(count: number): Uint8Array {
    if (count > this.left) throw this.left === 0 && count === 1 ? new UnpicklingError('Ran out of input') : truncated();
    let from = this.position - this.#windowStart;
    if (from < 0 || from + count > this.#window.byteLength) {
      this.#window = this.#source.read(this.position, Math.min(this.left, Math.max(count, windowBytes)));
      this.#windowStart = this.position;
      from = 0;
    }
    this.position += count;
    return this.#window.subarray(from, from + count);
  }
  byte(): number {
    return this.read(1)[0];
  }
  uint16(): number {
    const b = this.read(2);
    return b[0] | (b[1] << 8);
  }
  int32(): number {
    const b = this.read(4);
    return b[0] | (b[1] << 8) | (b[2] << 16) | (b[3] << 24);
  }
  uint32(): number {
    return this.int32() >>> 0;
  }
  /** A length of eight bytes; one that no file can have is an error. */
  uint64(): number {
    const low = this.uint32();
    const high = this.uint32();
    if (high >= 1 << 21) throw truncated();
    return high * 2 ** 32 + low;
  }
  /** Up to a newline, which is dropped. */
  line(): string {
    const bytes: number[] = [];
    for (let b = this.byte(); b !== 10; b = this.byte()) bytes.push(b);
    return Buffer.from(bytes).toString('utf8').replace(/\r$/, '');
  }
}

const truncated = (): UnpicklingError => new UnpicklingError('pickle data was truncated');

/**
 * Where the readers of files have their bytes from: an open file or bytes in memory, by ranges. A range is either handed out (`read`) or put into
 * memory that is there already (`readInto`), so that a large tensor need not be in memory on its way to where it belongs.
 */
import { readSync } from 'node:fs';

/** Something of known size from which ranges can be read: a file need not be in memory. */
export interface ByteSource {
  readonly size: number;
  /** Exactly `length` bytes from `offset`; the parsers never ask for what lies beyond `size`. */
  read(offset: number, length: number): Uint8Array;
  /** Fills the target with the bytes from `offset` on. Without it, `fill` copies what `read` gives. */
  readInto?(target: Uint8Array, offset: number): void;
}

/** The bytes are not copied by `read`. */
export const bytesSource = (bytes: Uint8Array): ByteSource => ({
  size: bytes.byteLength,
  read: (offset, length) => bytes.subarray(offset, offset + length),
});

/** An open file. `ended` makes the error for a file that became shorter than `size`, of the byte where it ends. */
export function fileSource(descriptor: number, size: number, ended: (offset: number, missing: number) => Error): ByteSource {
  const readInto = (target: Uint8Array, offset: number): void => {
    let done = 0;
    while (done < target.byteLength) {
      const count = readSync(descriptor, target, done, Math.min(target.byteLength - done, 1 << 30), offset + done);
      if (count === 0) throw ended(offset + done, target.byteLength - done);
      done += count;
    }
  };
  const read = (offset: number, length: number): Uint8Array => {
    const bytes = new Uint8Array(length);
    readInto(bytes, offset);
    return bytes;
  };
  return { size, read, readInto };
}

export function fill(source: ByteSource, target: Uint8Array, offset: number): void {
  if (source.readInto !== undefined) source.readInto(target, offset);
  else target.set(source.read(offset, target.byteLength));
}

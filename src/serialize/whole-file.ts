/** Writing a file of one's own: one of that name is replaced only when all is written, so a failure leaves what was there. */
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';

/** `write` is given what takes the next bytes. Throws what it throws, and what the file system does. */
export function writeWholeFile(file: string, write: (put: (bytes: Uint8Array) => void) => void): void {
  const partial = `${file}.${process.pid}.part`;
  const descriptor = openSync(partial, 'w');
  try {
    try {
      write((bytes) => writeAll(descriptor, bytes));
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(partial, file);
  } catch (error) {
    rmSync(partial, { force: true });
    throw error;
  }
}

function writeAll(descriptor: number, bytes: Uint8Array): void {
  let done = 0;
  while (done < bytes.byteLength) done += writeSync(descriptor, bytes, done, Math.min(bytes.byteLength - done, 1 << 30));
}

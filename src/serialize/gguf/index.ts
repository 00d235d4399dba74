/**
 * `torch-magpie/gguf`: GGUF files, read tensor by tensor and written.
 *
 * Opening reads and checks the header only. A file that is written appears whole or not at all. What is inside a quantized block is not looked at
 * here: `read` gives its bytes.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import type { ByteSource } from '../safetensors-format.ts';
import { writeWholeFile } from '../whole-file.ts';
import { parseGguf } from './format.ts';
import { GgufError, type GgufHeader } from './values.ts';
import { type GgufContents, ggufChunks } from './write.ts';

export { type GgmlType, type GgmlTypeName, ggmlTypes } from '../../quant/ggml-types.ts';
export { GgufError, type GgufHeader, type GgufScalarType, type GgufTensorInfo, type GgufValue, type GgufValueType } from './values.ts';
export type { GgufContents, GgufTensorData } from './write.ts';

/** An open file. Close it, or declare it with `using`. */
export interface GgufFile extends GgufHeader, Disposable {
  /** Its name. */
  readonly file: string;
  /** A tensor's bytes, as they are in the file. */
  read(name: string): Uint8Array;
  close(): void;
}

/** Throws {@link GgufError} for whatever does not follow the format. */
export function openGguf(file: string): GgufFile {
  const descriptor = openSync(file, 'r');
  let open = true;
  const close = (): void => {
    if (open) closeSync(descriptor);
    open = false;
  };
  try {
    return opened({ size: fstatSync(descriptor).size, read: (offset, length) => readAll(descriptor, offset, length, file) }, file, close);
  } catch (error) {
    close();
    throw error;
  }
}

/** The same of bytes in memory, which are not copied. `file` is only for error messages. */
export const readGguf = (bytes: Uint8Array, file = 'GGUF data'): GgufFile =>
  opened({ size: bytes.byteLength, read: (offset, length) => bytes.subarray(offset, offset + length) }, file, () => {});

function opened(source: ByteSource, file: string, close: () => void): GgufFile {
  const header = parseGguf(source, file);
  return {
    ...header,
    file,
    read: (name) => {
      const info = header.tensors.get(name);
      if (info === undefined) throw new GgufError('there is no such tensor', file, { tensor: name });
      return source.read(info.offset, info.bytes);
    },
    close,
    [Symbol.dispose]: close,
  };
}

/** Writes a file; one of that name is replaced only when all is written. */
export function writeGguf(file: string, contents: GgufContents): void {
  const chunks = ggufChunks(contents);
  writeWholeFile(file, (put) => {
    for (const chunk of chunks) put(chunk);
  });
}

/** The bytes that `writeGguf` would write: for small files and tests. */
export function serializeGguf(contents: GgufContents): Uint8Array {
  const chunks = ggufChunks(contents);
  const result = new Uint8Array(chunks.reduce((total, chunk) => total + chunk.byteLength, 0));
  let offset = 0;
  for (const chunk of chunks) {
    result.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return result;
}

function readAll(descriptor: number, offset: number, length: number, file: string): Uint8Array {
  const bytes = new Uint8Array(length);
  let done = 0;
  while (done < length) {
    const count = readSync(descriptor, bytes, done, Math.min(length - done, 1 << 30), offset + done);
    if (count === 0) throw new GgufError('the file became shorter while it was read', file, { offset: offset + done });
    done += count;
  }
  return bytes;
}

/**
 * `torch-magpie/gguf`: GGUF files, read tensor by tensor and written.
 *
 * Opening reads and checks the header only. A file that is written appears whole or not at all. What is inside a quantized block is not looked at
 * here: `read` gives its bytes.
 */
import { closeSync, fstatSync, openSync } from 'node:fs';
import { type ByteSource, bytesSource, fileSource, fill } from '../byte-source.ts';
import { writeWholeFile } from '../whole-file.ts';
import { parseGguf } from './format.ts';
import { GgufError, type GgufHeader, type GgufTensorInfo } from './values.ts';
import { type GgufContents, ggufChunks } from './write.ts';

export { type GgmlType, type GgmlTypeName, ggmlTypes } from '../../quant/ggml-types.ts';
export { GgufArray } from './array.ts';
export {
  GgufError,
  type GgufHeader,
  type GgufInput,
  type GgufScalar,
  type GgufScalarType,
  type GgufTensorInfo,
  type GgufValue,
  type GgufValueType,
} from './values.ts';
export type { GgufContents, GgufTensorData } from './write.ts';

/** An open file. Close it, or declare it with `using`. */
export interface GgufFile extends GgufHeader, Disposable {
  /** Its name. */
  readonly file: string;
  /** A tensor's bytes, as they are in the file. */
  read(name: string): Uint8Array;
  /** Fills the target with a tensor's bytes from `offset` (counted from the tensor's first) on: for tensors that should not be in memory twice. */
  readInto(name: string, target: Uint8Array, offset: number): void;
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
    const ended = (offset: number): GgufError => new GgufError('the file became shorter while it was read', file, { offset });
    return opened(fileSource(descriptor, fstatSync(descriptor).size, ended), file, close);
  } catch (error) {
    close();
    throw error;
  }
}

/** The same of bytes in memory, which are not copied. `file` is only for error messages. */
export const readGguf = (bytes: Uint8Array, file = 'GGUF data'): GgufFile => opened(bytesSource(bytes), file, () => {});

function opened(source: ByteSource, file: string, close: () => void): GgufFile {
  const header = parseGguf(source, file);
  const infoOf = (name: string): GgufTensorInfo => {
    const info = header.tensors.get(name);
    if (info === undefined) throw new GgufError('there is no such tensor', file, { tensor: name });
    return info;
  };
  return {
    ...header,
    file,
    read: (name) => {
      const { offset, bytes } = infoOf(name);
      return source.read(offset, bytes);
    },
    readInto: (name, target, offset) => {
      const info = infoOf(name);
      if (offset < 0 || offset + target.byteLength > info.bytes)
        throw new GgufError(`bytes ${offset} to ${offset + target.byteLength} of a tensor of ${info.bytes}`, file, {
          tensor: name,
          offset: info.offset,
        });
      fill(source, target, info.offset + offset);
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

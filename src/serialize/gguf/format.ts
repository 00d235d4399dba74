/**
 * Reads the header of a GGUF file, versions 2 and 3, from bytes or from a source of bytes: metadata and the table of tensors.
 *
 * Layout: magic, version, two counts, the metadata (key, type, value), the table (name, dims with the innermost first, type, offset), then the data
 * from the next multiple of `general.alignment`. The header does not say how long it is, so it is read in windows. Nothing in it is believed: a
 * count is compared with the bytes that are left before anything is made of it, and whatever does not fit is a {@link GgufError} that names file,
 * tensor or key, and byte. Data that no tensor claims are allowed (ggml pads), data that two claim are not. Big-endian files are refused.
 */
import { isUtf8 } from 'node:buffer';
import { ggmlTypeById } from '../../quant/ggml-types.ts';
import { type ByteSource, bytesSource } from '../byte-source.ts';
import { GgufArray, readScalar } from './array.ts';
import {
  alignUp,
  defaultAlignment,
  GgufError,
  type GgufHeader,
  type GgufScalar,
  type GgufScalarType,
  type GgufTensorInfo,
  type GgufValue,
  type GgufValueType,
  ggufMagic,
  limits,
  scalarBytes,
  tensorBytes,
  valueTypeNames,
} from './values.ts';

/** The smallest that an entry can be: an empty key, a type and a byte; an empty name, a count of dims, a type, an offset. */
const leastBytes = { entry: 13, tensor: 24 } as const;
const windowBytes = 1 << 18;

/** `file` is only for error messages. */
export function parseGguf(source: Uint8Array | ByteSource, file = 'GGUF data'): GgufHeader {
  const cursor = new Cursor(source instanceof Uint8Array ? bytesSource(source) : source, file);
  const { size } = cursor;
  if (size < 24) throw new GgufError(`too small for a GGUF file (${size} bytes)`, file, { offset: 0 });
  const magic = cursor.uint32();
  if (magic !== ggufMagic)
    throw new GgufError(`wrong magic: expected "GGUF", found 0x${magic.toString(16).padStart(8, '0')}`, file, { offset: 0 });
  const version = cursor.uint32();
  if (version !== 2 && version !== 3) {
    const swapped = version > 0 && (version & 0xffffff) === 0;
    throw new GgufError(
      swapped ? 'a big-endian GGUF file: only little-endian ones are supported' : `version ${version} is not supported, only 2 and 3`,
      file,
      {
        offset: 4,
      },
    );
  }
  const tensorCount = cursor.count('tensors', leastBytes.tensor, limits.tensors);
  const entryCount = cursor.count('metadata entries', leastBytes.entry, limits.entries);
  const metadata = new Map<string, GgufValue>();
  const types = new Map<string, GgufValueType>();
  for (let i = 0; i < entryCount; i++) readEntry(cursor, metadata, types);
  const alignment = alignmentOf(metadata, types, file);
  const table: Unplaced[] = [];
  const names = new Set<string>();
  for (let i = 0; i < tensorCount; i++) {
    const at = cursor.at;
    const info = readInfo(cursor, alignment);
    if (names.has(info.name)) throw new GgufError('a second tensor of this name', file, { tensor: info.name, offset: at });
    names.add(info.name);
    table.push(info);
  }
  const dataStart = alignUp(cursor.at, alignment);
  const tensors = new Map(table.map((info) => [info.name, placed(info, dataStart, size, file)]));
  checkOverlaps([...tensors.values()], file);
  return { version, alignment, metadata, types, tensors, dataStart };
}

function readEntry(cursor: Cursor, metadata: Map<string, GgufValue>, types: Map<string, GgufValueType>): void {
  const at = cursor.at;
  const key = cursor.text('key', limits.keyBytes);
  cursor.place({ key });
  if (metadata.has(key)) cursor.fail('a second entry of this key', at);
  const type = cursor.valueType();
  if (type === 'array') {
    const values = readArray(cursor);
    metadata.set(key, values);
    types.set(key, `${values.type}[]`);
  } else {
    metadata.set(key, readValue(cursor, type));
    types.set(key, type);
  }
  cursor.place({});
}

/** Its bytes are walked through and checked, then kept as they are. */
function readArray(cursor: Cursor): GgufArray {
  const [type, count] = readArrayHead(cursor);
  const begin = cursor.at;
  skipElements(cursor, type, count, 1);
  return new GgufArray(type, count, cursor.between(begin, cursor.at));
}

function readArrayHead(cursor: Cursor): [GgufScalarType | 'array', number] {
  const type = cursor.valueType();
  // A string begins with its length, an array with a type and a length.
  return [type, cursor.count('elements', type === 'string' ? 8 : type === 'array' ? 12 : scalarBytes[type])];
}

function skipElements(cursor: Cursor, type: GgufScalarType | 'array', count: number, depth: number): void {
  if (depth > limits.depth) cursor.fail(`arrays nested deeper than ${limits.depth}`, cursor.at);
  if (type === 'string') for (let i = 0; i < count; i++) cursor.skipText();
  else if (type === 'array') for (let i = 0; i < count; i++) skipElements(cursor, ...readArrayHead(cursor), depth + 1);
  else if (type === 'bool') for (let i = 0; i < count; i++) readBool(cursor);
  else cursor.skip(count * scalarBytes[type]);
}

function readValue(cursor: Cursor, type: GgufScalarType): GgufScalar {
  if (type === 'string') return cursor.text('string', limits.textBytes);
  if (type === 'bool') return readBool(cursor);
  const view = cursor.view(scalarBytes[type]);
  return readScalar(view, cursor.within(scalarBytes[type]), type);
}

function readBool(cursor: Cursor): boolean {
  const byte = cursor.view(1).getUint8(cursor.within(1));
  return byte > 1 ? cursor.fail(`a bool should be 0 or 1, got ${byte}`, cursor.at - 1) : byte === 1;
}

function alignmentOf(metadata: ReadonlyMap<string, GgufValue>, types: ReadonlyMap<string, GgufValueType>, file: string): number {
  const value = metadata.get('general.alignment');
  if (value === undefined) return defaultAlignment;
  const good = typeof value === 'number' && types.get('general.alignment') === 'uint32' && value > 0 && value <= limits.alignment;
  if (!good || (value & (value - 1)) !== 0)
    throw new GgufError(`the alignment should be a power of two (uint32) of at most ${limits.alignment}, got ${String(value)}`, file, {
      key: 'general.alignment',
    });
  return value;
}

/** A tensor whose offset counts from the beginning of the data, which is not known yet. */
interface Unplaced extends GgufTensorInfo {
  /** Where its entry of the table is. */
  readonly entry: number;
}

function readInfo(cursor: Cursor, alignment: number): Unplaced {
  const entry = cursor.at;
  const name = cursor.text('tensor name', limits.nameBytes);
  cursor.place({ tensor: name });
  const dims = cursor.uint32();
  if (dims > limits.dims) cursor.fail(`${dims} dims, at most ${limits.dims} are possible`, cursor.at - 4);
  const shape: bigint[] = [];
  for (let i = 0; i < dims; i++) shape.unshift(cursor.uint64());
  const id = cursor.uint32();
  const type = ggmlTypeById(id) ?? cursor.fail(`unknown type ${id}`, cursor.at - 4);
  const bytes = tensorBytes(shape, type.blockSize, type.blockBytes);
  if (typeof bytes === 'string') return cursor.fail(`${type.name}: ${bytes}`, entry);
  const offset = cursor.uint64();
  if (offset % BigInt(alignment) !== 0n) cursor.fail(`offset ${offset} is no multiple of the alignment ${alignment}`, cursor.at - 8);
  if (offset > BigInt(cursor.size)) cursor.fail(`offset ${offset} is beyond the end of a file of ${cursor.size} bytes`, cursor.at - 8);
  cursor.place({});
  return { name, type: type.name, shape: shape.map(Number), offset: Number(offset), bytes, entry };
}

function placed({ name, type, shape, offset, bytes, entry }: Unplaced, dataStart: number, size: number, file: string): GgufTensorInfo {
  const begin = dataStart + offset;
  // A file that ends with its header may lack the padding before its (empty) data.
  if (bytes > 0 && begin + bytes > size)
    throw new GgufError(
      `the file is cut off: its ${bytes} bytes from byte ${begin} on end at byte ${begin + bytes}, the file at ${size} (its entry is at byte ${entry})`,
      file,
      { tensor: name, offset: begin },
    );
  return { name, type, shape, offset: begin, bytes };
}

function checkOverlaps(tensors: readonly GgufTensorInfo[], file: string): void {
  const sorted = tensors.filter((t) => t.bytes > 0).sort((a, b) => a.offset - b.offset);
  sorted.forEach((info, i) => {
    const before = sorted[i - 1];
    if (before !== undefined && before.offset + before.bytes > info.offset)
      throw new GgufError(`overlaps tensor ${JSON.stringify(before.name)}, which ends at byte ${before.offset + before.bytes}`, file, {
        tensor: info.name,
        offset: info.offset,
      });
  });
}

/** A place in the source, with a window of it in memory. Every read checks that the file goes on. */
class Cursor {
  readonly #source: ByteSource;
  readonly #file: string;
  readonly #decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  #bytes: Uint8Array = new Uint8Array(0);
  #room: Uint8Array = new Uint8Array(0);
  #view: DataView = new DataView(new ArrayBuffer(0));
  /** Where the window begins. */
  #start = 0;
  #subject: { readonly tensor?: string; readonly key?: string } = {};
  /** Bytes of texts so far: all of them are held as strings, of up to two bytes a byte. */
  #texts = 0;
  at = 0;

  constructor(source: ByteSource, file: string) {
    this.#source = source;
    this.#file = file;
  }

  get size(): number {
    return this.#source.size;
  }

  /** What is being read, for errors. */
  place(subject: { readonly tensor?: string; readonly key?: string }): void {
    this.#subject = subject;
  }
  fail(problem: string, offset: number): never {
    throw new GgufError(problem, this.#file, { ...this.#subject, offset });
  }
  skip(length: number): void {
    this.#checkEnd(length);
    this.at += length;
  }
  /** Bytes of the source, for keeping. */
  between(begin: number, end: number): Uint8Array {
    return this.#source.read(begin, end - begin);
  }

  /** The window, which now holds so many bytes from here, and steps over them; `within` says where they begin. */
  view(length: number): DataView {
    this.#checkEnd(length);
    const end = this.at + length;
    if (end > this.#start + this.#bytes.byteLength) {
      this.#bytes = this.#window(Math.min(this.size - this.at, Math.max(length, windowBytes)));
      this.#view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.byteLength);
      this.#start = this.at;
    }
    this.at = end;
    return this.#view;
  }
  /** The next bytes of the source. A file's windows take turns in the same memory: there may be hundreds of them. */
  #window(length: number): Uint8Array {
    if (this.#source.readInto === undefined) return this.#source.read(this.at, length);
    if (this.#room.byteLength < length) this.#room = new Uint8Array(Math.max(length, Math.min(windowBytes, this.size)));
    const window = this.#room.subarray(0, length);
    this.#source.readInto(window, this.at);
    return window;
  }
  /** Where in the window the last so many bytes begin. */
  within(length: number): number {
    return this.at - length - this.#start;
  }

  uint32(): number {
    return this.view(4).getUint32(this.within(4), true);
  }
  uint64(): bigint {
    return this.view(8).getBigUint64(this.within(8), true);
  }
  /** A number of things of at least so many bytes each, for which there is room. */
  count(what: string, least: number, most = Infinity): number {
    const count = this.uint64();
    if (count * BigInt(least) > BigInt(this.size - this.at))
      this.fail(`${count} ${what} cannot be in the ${this.size - this.at} bytes that are left of the file`, this.at - 8);
    if (count > most) this.fail(`${count} ${what}, at most ${most} are read`, this.at - 8);
    return Number(count);
  }
  valueType(): keyof typeof scalarBytes {
    const id = this.uint32();
    return valueTypeNames[id] ?? this.fail(`unknown type of value ${id}`, this.at - 4);
  }
  text(what: string, most: number): string {
    const length = this.uint64();
    const possible = Math.min(most, limits.textBytes - this.#texts);
    const count = Number(length);
    if (length <= BigInt(limits.headerBytes)) this.#checkEnd(count);
    if (count > possible) this.fail(`a ${what} of ${length} bytes, at most ${possible} are possible`, this.at - 8);
    this.#texts += count;
    this.view(count);
    const begin = this.within(count);
    try {
      return this.#decoder.decode(this.#bytes.subarray(begin, begin + count));
    } catch {
      return this.fail(`a ${what} that is not UTF-8`, this.at - count);
    }
  }
  /** Steps over a text that is to be decoded later, and checks that it can be. */
  skipText(): void {
    const view = this.view(8);
    const at = this.within(8);
    const count = view.getUint32(at, true);
    if (view.getUint32(at + 4, true) !== 0 || count > limits.textBytes)
      this.fail(`a string of ${view.getBigUint64(at, true)} bytes, at most ${limits.textBytes} are possible`, this.at - 8);
    this.view(count);
    const begin = this.within(count);
    if (!isUtf8(this.#bytes.subarray(begin, begin + count))) this.fail('a string that is not UTF-8', this.at - count);
  }
  #checkEnd(length: number): void {
    const end = this.at + length;
    if (end > this.size) this.fail(`the file is cut off: it ends at byte ${this.size}, ${length} bytes are expected here`, this.at);
    if (end > limits.headerBytes) this.fail(`the header is larger than ${limits.headerBytes} bytes`, this.at);
  }
}

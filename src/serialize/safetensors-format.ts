/**
 * The safetensors file format, read and written over bytes: no tensors, no files, no dtypes but the format's own names.
 *
 * A file is: 8 bytes little-endian header length, a JSON header `{ name: { dtype, shape, data_offsets: [begin, end] } }` with
 * an optional `__metadata__` of strings, then the data, without holes. The reader trusts nothing: a file from the internet must
 * give an error that names file, tensor and offset, never a wrong tensor, a crash or an allocation of what it claims.
 * It is as strict as the Rust reader, and stricter in one point: a name that occurs twice is an error, not the last one.
 * The writer gives byte for byte what Python's `safetensors` writes for the same tensors. Sub-byte dtypes (F4, F6) are refused.
 *
 * Format: https://huggingface.co/docs/safetensors/index#format
 */

import { type ByteSource, bytesSource } from './byte-source.ts';

export type { ByteSource };

/** Bytes of an element, in the order in which the Rust writer sorts dtypes (the largest first makes every tensor aligned). */
const dtypeSizes = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E5M2: 1,
  F8_E4M3: 1,
  F8_E8M0: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  C64: 8,
  F64: 8,
  I64: 8,
  U64: 8,
} as const;

export type SafetensorsDType = keyof typeof dtypeSizes;

const dtypeOrder = Object.keys(dtypeSizes) as readonly SafetensorsDType[];
const headerLimit = 100_000_000;
/** Lists, objects and what is in them: of a hundred times the tensors that any model has. What is made of them is larger than their text. */
const mostValues = 1 << 20;
const metadataKey = '__metadata__';

export interface SafetensorsEntry {
  readonly dtype: SafetensorsDType;
  readonly shape: readonly number[];
  /** Where the tensor's bytes begin and end, counted from the beginning of the file. */
  readonly begin: number;
  readonly end: number;
}

export interface SafetensorsFile {
  readonly metadata: ReadonlyMap<string, string>;
  /** In the order of their data. */
  readonly tensors: ReadonlyMap<string, SafetensorsEntry>;
}

export interface SafetensorsData {
  readonly name: string;
  readonly dtype: SafetensorsDType;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

export class SafetensorsError extends Error {
  override readonly name = 'SafetensorError';
  /** The file's name as given to the reader. */
  readonly file: string;
  /** The tensor at fault, where there is one. */
  readonly tensor: string | undefined;
  /** The byte of the file at which the trouble is. */
  readonly offset: number | undefined;

  constructor(problem: string, file: string, tensor?: string, offset?: number) {
    const where = [
      file,
      tensor === undefined ? '' : `tensor ${JSON.stringify(shorten(tensor))}`,
      offset === undefined ? '' : `byte ${offset}`,
    ];
    super(`Error while deserializing header: ${problem}\n  in ${where.filter((part) => part !== '').join(', ')}`);
    this.file = file;
    this.tensor = tensor;
    this.offset = offset;
  }
}

export function isSafetensorsDType(name: string): name is SafetensorsDType {
  return Object.hasOwn(dtypeSizes, name);
}

export function safetensorsItemSize(dtype: SafetensorsDType): number {
  return dtypeSizes[dtype];
}

/**
 * Reads and checks the header. The data itself is not read. `file` is only for error messages.
 *
 * Throws {@link SafetensorsError} for anything that does not follow the format to the letter.
 */
export function parseSafetensors(source: Uint8Array | ByteSource, file = 'safetensors data'): SafetensorsFile {
  const bytes = source instanceof Uint8Array ? bytesSource(source) : source;
  if (bytes.size < 8) throw new SafetensorsError(`header too small (${bytes.size} bytes of 8)`, file, undefined, 0);
  const prefix = bytes.read(0, 8);
  const declared = new DataView(prefix.buffer, prefix.byteOffset, 8).getBigUint64(0, true);
  if (declared > BigInt(headerLimit))
    throw new SafetensorsError(`header too large (${declared} bytes, at most ${headerLimit})`, file, undefined, 0);
  const length = Number(declared);
  if (8 + length > bytes.size) {
    throw new SafetensorsError(`invalid header length (${length} bytes in a file of ${bytes.size})`, file, undefined, 0);
  }
  const raw = bytes.read(8, length);
  checkSize(raw, file);
  const text = decodeHeader(raw, file);
  const header = parseHeaderText(text, file);
  const metadata = new Map<string, string>();
  const found: [string, SafetensorsEntry][] = [];
  for (const [name, value] of Object.entries(header)) {
    if (name === metadataKey) readMetadata(value, metadata, file);
    else found.push([name, readEntry(name, value, 8 + length, bytes.size, file)]);
  }
  found.sort(([, left], [, right]) => left.begin - right.begin || left.end - right.end);
  checkWithoutHoles(found, 8 + length, bytes.size, file);
  return { metadata, tensors: new Map(found) };
}

/** Before anything is made of it: brackets and commas outside strings. */
function checkSize(header: Uint8Array, file: string): void {
  let values = 0;
  let inString = false;
  for (let at = 0; at < header.length; at++) {
    const byte = header[at];
    if (inString) {
      if (byte === 0x5c) at++;
      else if (byte === 0x22) inString = false;
    } else if (byte === 0x22) inString = true;
    else if ((byte === 0x2c || byte === 0x5b || byte === 0x7b) && ++values > mostValues)
      throw new SafetensorsError(`more than ${mostValues} values in header`, file, undefined, 8 + at);
  }
}

function decodeHeader(bytes: Uint8Array, file: string): string {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new SafetensorsError('invalid UTF-8 in header', file, undefined, 8);
  }
  if (!text.startsWith('{')) throw new SafetensorsError('invalid start character in header, must start with `{`', file, undefined, 8);
  return text;
}

function parseHeaderText(text: string, file: string): Record<string, unknown> {
  let header: unknown;
  try {
    header = JSON.parse(text);
  } catch (error) {
    throw new SafetensorsError(`invalid JSON in header: ${shorten((error as Error).message)}`, file, undefined, 8);
  }
  const twice = duplicateKey(text);
  if (twice !== undefined) {
    const offset = 8 + new TextEncoder().encode(text.slice(0, twice.at)).byteLength;
    throw new SafetensorsError('duplicate key in header', file, twice.key, offset);
  }
  return header as Record<string, unknown>;
}

/** The first key that occurs twice in one object. `text` is known to be valid JSON, so a string before a colon is a key. */
function duplicateKey(text: string): { key: string; at: number } | undefined {
  const open: Set<string>[] = [];
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === '{') open.push(new Set());
    else if (character === '}') open.pop();
    else if (character === '"') {
      let end = at + 1;
      while (text[end] !== '"') end += text[end] === '\\' ? 2 : 1;
      let next = end + 1;
      while (next < text.length && ' \t\n\r'.includes(text[next]!)) next++;
      if (text[next] === ':') {
        // Compared after decoding: "a" and "\u0061" are one key.
        const key = JSON.parse(text.slice(at, end + 1)) as string;
        const keys = open[open.length - 1]!;
        if (keys.has(key)) return { key, at };
        keys.add(key);
      }
      at = end;
    }
  }
  return undefined;
}

function readMetadata(value: unknown, metadata: Map<string, string>, file: string): void {
  if (!isRecord(value)) throw new SafetensorsError(`${metadataKey} must be an object of strings`, file);
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== 'string') throw new SafetensorsError(`${metadataKey}.${shorten(key)} must be a string`, file);
    metadata.set(key, text);
  }
}

function readEntry(name: string, value: unknown, dataStart: number, size: number, file: string): SafetensorsEntry {
  const fail = (problem: string, offset?: number): never => {
    throw new SafetensorsError(problem, file, name, offset);
  };
  if (!isRecord(value)) return fail('tensor info must be an object');
  for (const key of Object.keys(value)) {
    if (key !== 'dtype' && key !== 'shape' && key !== 'data_offsets') fail(`unknown field ${JSON.stringify(shorten(key))} in tensor info`);
  }
  const { dtype, shape, data_offsets: offsets } = value;
  if (typeof dtype !== 'string' || !isSafetensorsDType(dtype))
    return fail(`unknown dtype ${shorten(JSON.stringify(dtype) ?? 'undefined')}`);
  if (!isSizes(shape)) return fail('shape must be a list of non-negative integers');
  if (!isSizes(offsets) || offsets.length !== 2) return fail('data_offsets must be two non-negative integers');
  const [begin, end] = [dataStart + offsets[0]!, dataStart + offsets[1]!];
  if (end < begin) fail(`invalid offsets: end ${offsets[1]} is before begin ${offsets[0]}`, begin);
  if (end > size) fail(`invalid offsets: data ends at byte ${end} of a file of ${size} bytes`, begin);
  const expected = byteLength(dtype, shape);
  if (expected === undefined) return fail(`overflow: ${dtype} of shape [${shorten(shape.join(', '))}] is too large`, begin);
  if (end - begin !== expected) {
    fail(`invalid tensor info: ${dtype} of shape [${shorten(shape.join(', '))}] has ${expected} bytes, not ${end - begin}`, begin);
  }
  return { dtype, shape, begin, end };
}

/** As the format demands: every byte of the data belongs to exactly one tensor. */
function checkWithoutHoles(entries: readonly [string, SafetensorsEntry][], dataStart: number, size: number, file: string): void {
  let expected = dataStart;
  for (const [name, { begin, end }] of entries) {
    if (begin !== expected) {
      throw new SafetensorsError(
        `invalid offsets: ${begin < expected ? 'overlaps the tensor before it' : 'a hole before this tensor'}`,
        file,
        name,
        begin,
      );
    }
    expected = end;
  }
  if (expected !== size)
    throw new SafetensorsError(`metadata incomplete: ${size - expected} bytes belong to no tensor`, file, undefined, expected);
}

/** `undefined` when the product is no safe integer. Zero anywhere makes zero, but not of an absurd product. */
function byteLength(dtype: SafetensorsDType, shape: readonly number[]): number | undefined {
  let length: number = dtypeSizes[dtype];
  for (const size of shape) {
    length *= size;
    if (!Number.isSafeInteger(length)) return undefined;
  }
  return length;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0 && !Object.is(size, -0));
}

function shorten(text: string): string {
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

/**
 * The file in pieces, header first: what a caller writes one after the other, so that a large checkpoint is never in memory twice.
 *
 * Throws a `SafetensorsError` when a name occurs twice or is reserved, or data do not have the length of dtype and shape.
 */
export function safetensorsChunks(entries: Iterable<SafetensorsData>, metadata: ReadonlyMap<string, string> = new Map()): Uint8Array[] {
  const sorted = [...entries].sort(
    (left, right) => dtypeOrder.indexOf(right.dtype) - dtypeOrder.indexOf(left.dtype) || compareNames(left.name, right.name),
  );
  const header: string[] = [];
  if (metadata.size > 0) header.push(`${JSON.stringify(metadataKey)}:${JSON.stringify(Object.fromEntries(metadata))}`);
  const names = new Set<string>([metadataKey]);
  let offset = 0;
  for (const { name, dtype, shape, data } of sorted) {
    if (names.has(name)) throw new SafetensorsError(name === metadataKey ? 'reserved name' : 'duplicate name', 'the tensors to save', name);
    names.add(name);
    if (!isSizes(shape) || byteLength(dtype, shape) !== data.byteLength) {
      throw new SafetensorsError(
        `${data.byteLength} bytes do not fit ${dtype} of shape [${shape.join(', ')}]`,
        'the tensors to save',
        name,
      );
    }
    const info = { dtype, shape, data_offsets: [offset, offset + data.byteLength] };
    header.push(`${JSON.stringify(name)}:${JSON.stringify(info)}`);
    offset += data.byteLength;
  }
  return [encodeHeader(`{${header.join(',')}}`), ...sorted.map(({ data }) => data)];
}

/** The whole file as one array: for small files and tests. */
export function serializeSafetensors(entries: Iterable<SafetensorsData>, metadata?: ReadonlyMap<string, string>): Uint8Array {
  const chunks = safetensorsChunks(entries, metadata);
  const result = new Uint8Array(chunks.reduce((total, chunk) => total + chunk.byteLength, 0));
  let offset = 0;
  for (const chunk of chunks) {
    result.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return result;
}

/** Length, JSON, and spaces up to a multiple of 8, so that data are aligned. */
function encodeHeader(json: string): Uint8Array {
  const text = new TextEncoder().encode(json);
  const length = Math.ceil(text.byteLength / 8) * 8;
  if (length > headerLimit) throw new SafetensorsError(`header too large (${length} bytes)`, 'the tensors to save');
  const bytes = new Uint8Array(8 + length).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true);
  bytes.set(text, 8);
  return bytes;
}

/** By UTF-8 bytes, as Rust compares strings; that is by code points, which UTF-16 comparison is not. */
function compareNames(left: string, right: string): number {
  const [a, b] = [[...left], [...right]];
  for (let at = 0; at < a.length && at < b.length; at++) {
    const difference = a[at]!.codePointAt(0)! - b[at]!.codePointAt(0)!;
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

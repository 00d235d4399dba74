/**
 * Reading a zip archive record by record: only the directory is read ahead, so a checkpoint need not be in memory.
 *
 * It reads what PyTorch and ordinary zip tools write (stored or deflated, zip64, one disk) and checks every offset against the file. Checksums are
 * not compared, as in PyTorch. No library: those without dependencies (fflate) take the whole archive in memory and cannot align records when
 * writing (see `zip-write.ts`).
 *
 * Source: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
 */
import { inflateRawSync } from 'node:zlib';
import { type ByteSource, fill } from '../byte-source.ts';
import { archiveError } from './errors.ts';

export interface ZipRecord {
  readonly name: string;
  readonly size: number;
  readonly packed: number;
  readonly deflated: boolean;
  readonly header: number;
}

/** A file that PyTorch takes for an archive: it begins with a record. */
export function isZip(source: ByteSource): boolean {
  return source.size >= 4 && view(source.read(0, 4)).getUint32(0, true) === 0x04034b50;
}

/** torch.save does not compress; other tools do, of weights to some nine tenths. A file that unpacks to a thousand times its size is an attack. */
const mostUnpacked = 8;
const leastUnpacked = 1 << 24;

export class ZipReader {
  readonly #source: ByteSource;
  readonly #records: Map<string, ZipRecord>;
  /** The folder that all records of a file of torch.save are in. */
  readonly folder: string;
  readonly #deflated: boolean;
  #budget: number;

  constructor(source: ByteSource) {
    this.#source = source;
    this.#records = readDirectory(source);
    const first = this.#records.keys().next();
    if (first.done === true) throw archiveError('reading zip archive: archive does not contain any files');
    const slash = first.value.indexOf('/');
    if (slash < 0) throw archiveError(`reading zip archive: file in archive is not in a subdirectory: ${first.value}`);
    this.folder = first.value.slice(0, slash);
    // Records may overlap in a hostile file; together they are never more than the file.
    this.#deflated = [...this.#records.values()].some((r) => r.deflated);
    this.#budget = this.#deflated ? Math.max(leastUnpacked, mostUnpacked * source.size) : source.size;
  }

  /** Names below the folder, in the order of the directory. */
  names(): string[] {
    return [...this.#records.keys()].filter((name) => name.startsWith(`${this.folder}/`)).map((name) => name.slice(this.folder.length + 1));
  }
  has(name: string): boolean {
    return this.#records.has(`${this.folder}/${name}`);
  }
  sizeOf(name: string): number {
    return this.#find(name).size;
  }
  text(name: string): string | null {
    return this.has(name) ? Buffer.from(this.read(name)).toString('utf8') : null;
  }

  /** All bytes of a record. */
  read(name: string): Uint8Array {
    const record = this.#find(name);
    this.#spend(record.size, name);
    const at = this.#dataOf(record, name);
    return record.deflated ? this.#inflated(record, at, name) : this.#source.read(at, record.packed);
  }

  /**
   * What fills memory with a record's bytes from an offset on; all of them count as read. Only a deflated record is in memory until the last is fetched.
   */
  reader(name: string): (target: Uint8Array, offset: number) => void {
    const record = this.#find(name);
    this.#spend(record.size, name);
    const at = this.#dataOf(record, name);
    if (!record.deflated) return (target, offset) => fill(this.#source, target, at + offset);
    let bytes: Uint8Array | null = null;
    return (target, offset) => {
      bytes ??= this.#inflated(record, at, name);
      target.set(bytes.subarray(offset, offset + target.byteLength));
    };
  }

  #spend(size: number, name: string): void {
    this.#budget -= size;
    if (this.#budget >= 0) return;
    throw archiveError(
      this.#deflated
        ? `reading file ${name}: records unpack to more than ${mostUnpacked} times the archive's ${this.#source.size} bytes`
        : `reading file ${name}: records of the archive overlap`,
    );
  }
  #inflated(record: ZipRecord, at: number, name: string): Uint8Array {
    const packed = this.#source.read(at, record.packed);
    let bytes: Uint8Array;
    try {
      bytes = inflateRawSync(packed, { maxOutputLength: Math.max(record.size, 1) });
    } catch (error) {
      throw archiveError(`reading file ${name}: decompression failed (${(error as Error).message})`);
    }
    if (bytes.byteLength !== record.size) throw archiveError(`reading file ${name}: decompression failed`);
    return bytes;
  }

  #find(name: string): ZipRecord {
    const record = this.#records.get(`${this.folder}/${name}`);
    if (record === undefined) throw archiveError(`locating file ${name}: file not found`);
    return record;
  }
  /** Where the bytes of a record begin: behind its own header, whose lengths may differ from the directory's. */
  #dataOf(record: ZipRecord, name: string): number {
    const { size } = this.#source;
    if (record.header + 30 > size) throw archiveError(`reading file ${name}: invalid header or archive is corrupted`);
    const header = view(this.#source.read(record.header, 30));
    if (header.getUint32(0, true) !== 0x04034b50) throw archiveError(`reading file ${name}: invalid header or archive is corrupted`);
    const at = record.header + 30 + header.getUint16(26, true) + header.getUint16(28, true);
    if (at + record.packed > size) throw archiveError(`reading file ${name}: file read failed`);
    return at;
  }
}

const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const noDirectory = (): Error => archiveError('reading zip archive: failed finding central directory');
const badDirectory = (): Error => archiveError('reading zip archive: invalid header or archive is corrupted');

function readDirectory(source: ByteSource): Map<string, ZipRecord> {
  const { count, size, offset } = findDirectory(source);
  if (offset + size > source.size || count * 46 > size) throw badDirectory();
  const bytes = source.read(offset, size);
  const directory = view(bytes);
  const records = new Map<string, ZipRecord>();
  let at = 0;
  for (let i = 0; i < count; i++) {
    if (at + 46 > size || directory.getUint32(at, true) !== 0x02014b50) throw badDirectory();
    const nameLength = directory.getUint16(at + 28, true);
    const extraLength = directory.getUint16(at + 30, true);
    const next = at + 46 + nameLength + extraLength + directory.getUint16(at + 32, true);
    if (next > size) throw badDirectory();
    const name = Buffer.from(bytes.subarray(at + 46, at + 46 + nameLength)).toString('utf8');
    const method = directory.getUint16(at + 10, true);
    if ((directory.getUint16(at + 8, true) & 1) !== 0) throw archiveError(`reading file ${name}: encrypted file`);
    if (method !== 0 && method !== 8) throw archiveError(`reading file ${name}: unsupported method`);
    const sizes = wideSizes(directory, at, at + 46 + nameLength, extraLength);
    const deflated = method === 8;
    if (sizes.header > source.size || sizes.packed > source.size || (!deflated && sizes.packed !== sizes.size)) throw badDirectory();
    records.set(name, { name, deflated, ...sizes });
    at = next;
  }
  return records;
}

/** Sizes and place of a record: in its zip64 field where 32 bits are all ones. */
function wideSizes(directory: DataView, at: number, extra: number, extraLength: number): { size: number; packed: number; header: number } {
  let packed = directory.getUint32(at + 20, true);
  let size = directory.getUint32(at + 24, true);
  let header = directory.getUint32(at + 42, true);
  for (let field = extra; field + 4 <= extra + extraLength; field += 4 + directory.getUint16(field + 2, true)) {
    if (directory.getUint16(field, true) !== 1) continue;
    let from = field + 4;
    const end = Math.min(from + directory.getUint16(field + 2, true), extra + extraLength);
    const take = (narrow: number): number => {
      if (narrow !== 0xffffffff) return narrow;
      if (from + 8 > end) throw badDirectory();
      from += 8;
      return wide(directory, from - 8);
    };
    size = take(size);
    packed = take(packed);
    header = take(header);
  }
  return { size, packed, header };
}

function wide(from: DataView, at: number): number {
  const value = from.getBigUint64(at, true);
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw badDirectory();
  return Number(value);
}

function findDirectory(source: ByteSource): { count: number; size: number; offset: number } {
  const length = Math.min(source.size, 22 + 0xffff + 20);
  const start = source.size - length;
  const tail = view(source.read(start, length));
  for (let at = length - 22; at >= 0; at--) {
    if (tail.getUint32(at, true) !== 0x06054b50) continue;
    const narrow = { count: tail.getUint16(at + 10, true), size: tail.getUint32(at + 12, true), offset: tail.getUint32(at + 16, true) };
    const isWide = at >= 20 && tail.getUint32(at - 20, true) === 0x07064b50;
    if (!isWide) return narrow;
    const end = wide(tail, at - 20 + 8);
    if (end + 56 > source.size) throw badDirectory();
    const record = view(source.read(end, 56));
    if (record.getUint32(0, true) !== 0x06064b50) throw badDirectory();
    return { count: wide(record, 32), size: wide(record, 40), offset: wide(record, 48) };
  }
  throw noDirectory();
}

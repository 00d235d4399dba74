/**
 * Writing the archive that PyTorch writes, byte for byte: stored records whose data begin at multiples of 64, so that PyTorch can map a file
 * into memory. The gap is an extra field `FB` in the record's header, filled with Z; sizes follow the data (miniz does not know them before).
 *
 * Written here because no kept library can: the gap depends on where the record comes to lie, and files may exceed four gigabytes (zip64).
 *
 * Source: https://github.com/pytorch/pytorch/blob/main/caffe2/serialize/inline_container.cc (getPadding),
 * https://github.com/richgel999/miniz/blob/master/miniz_zip.c (mz_zip_writer_add_mem_ex_v2)
 */
import * as zlib from 'node:zlib';

export const alignment = 64;
const flagText = 0x0800;
const flagSizesFollow = 0x0008;

interface Entry {
  readonly name: Uint8Array;
  readonly crc: number;
  readonly size: number;
  readonly header: number;
}

export class ZipWriter {
  readonly #write: (bytes: Uint8Array) => void;
  readonly #entries: Entry[] = [];
  readonly #wideFrom: number;
  #at = 0;

  /** `wideFrom`: sizes and offsets from here on are 64 bits wide. A test makes it small. */
  constructor(write: (bytes: Uint8Array) => void, wideFrom = 0xffffffff) {
    this.#write = write;
    this.#wideFrom = wideFrom;
  }

  /** Appends a record and returns its checksum. */
  add(name: string, data: Uint8Array): number {
    const header = this.#at;
    const path = Buffer.from(name, 'utf8');
    const size = data.byteLength;
    const crc = crc32(data);
    const extra = this.#wideField(size, size, header);
    const start = header + 30 + path.byteLength + extra.byteLength + 4;
    const gap = (alignment - (start % alignment)) % alignment;
    const padding = Buffer.alloc(4 + gap, 'Z');
    padding.write('FB', 0, 'latin1');
    padding.writeUInt16LE(gap, 2);

    const local = Buffer.alloc(30);
    local.writeUInt32LE(0x04034b50, 0);
    local.writeUInt16LE(flagText | (size > 0 ? flagSizesFollow : 0), 6);
    local.writeUInt16LE(path.byteLength, 26);
    local.writeUInt16LE(extra.byteLength + padding.byteLength, 28);
    for (const part of [local, path, extra, padding, data]) this.#put(part);
    if (size > 0) this.#put(this.#sizes(crc, size, header));
    this.#entries.push({ name: path, crc, size, header });
    return crc;
  }

  /** Writes the directory. Nothing may be added after. */
  finish(): void {
    const start = this.#at;
    for (const { name, crc, size, header } of this.#entries) {
      const extra = this.#wideField(size, size, header);
      const record = Buffer.alloc(46);
      record.writeUInt32LE(0x02014b50, 0);
      record.writeUInt16LE(flagText | (size > 0 ? flagSizesFollow : 0), 8);
      record.writeUInt32LE(crc, 16);
      record.writeUInt32LE(this.#narrow(size), 20);
      record.writeUInt32LE(this.#narrow(size), 24);
      record.writeUInt16LE(name.byteLength, 28);
      record.writeUInt16LE(extra.byteLength, 30);
      record.writeUInt32LE(this.#narrow(header), 42);
      for (const part of [record, name, extra]) this.#put(part);
    }
    this.#put(directoryEnd(this.#entries.length, start, this.#at));
  }

  #put(bytes: Uint8Array): void {
    if (bytes.byteLength === 0) return;
    this.#write(bytes);
    this.#at += bytes.byteLength;
  }
  #narrow(n: number): number {
    return n >= this.#wideFrom ? 0xffffffff : n;
  }
  /** The zip64 field: what does not fit, in this order. */
  #wideField(size: number, packed: number, header: number): Uint8Array {
    const wide = [size, packed, header].filter((n) => n >= this.#wideFrom);
    if (wide.length === 0) return new Uint8Array(0);
    const field = Buffer.alloc(4 + 8 * wide.length);
    field.writeUInt16LE(1, 0);
    field.writeUInt16LE(8 * wide.length, 2);
    wide.forEach((n, i) => {
      field.writeBigUInt64LE(BigInt(n), 4 + 8 * i);
    });
    return field;
  }
  #sizes(crc: number, size: number, header: number): Uint8Array {
    const isWide = size >= this.#wideFrom || header >= this.#wideFrom;
    const out = Buffer.alloc(isWide ? 24 : 16);
    out.writeUInt32LE(0x08074b50, 0);
    out.writeUInt32LE(crc, 4);
    if (isWide) {
      out.writeBigUInt64LE(BigInt(size), 8);
      out.writeBigUInt64LE(BigInt(size), 16);
    } else {
      out.writeUInt32LE(size, 8);
      out.writeUInt32LE(size, 12);
    }
    return out;
  }
}

/** End of the directory: the wide record and its locator always, as miniz writes for PyTorch, then the narrow one. */
function directoryEnd(count: number, start: number, end: number): Uint8Array {
  const out = Buffer.alloc(56 + 20 + 22);
  out.writeUInt32LE(0x06064b50, 0);
  out.writeBigUInt64LE(44n, 4);
  out.writeUInt16LE(0x031e, 12);
  out.writeUInt16LE(0x002d, 14);
  out.writeBigUInt64LE(BigInt(count), 24);
  out.writeBigUInt64LE(BigInt(count), 32);
  out.writeBigUInt64LE(BigInt(end - start), 40);
  out.writeBigUInt64LE(BigInt(start), 48);
  out.writeUInt32LE(0x07064b50, 56);
  out.writeBigUInt64LE(BigInt(end), 64);
  out.writeUInt32LE(1, 72);
  out.writeUInt32LE(0x06054b50, 76);
  out.writeUInt16LE(Math.min(count, 0xffff), 84);
  out.writeUInt16LE(Math.min(count, 0xffff), 86);
  out.writeUInt32LE(Math.min(end - start, 0xffffffff), 88);
  out.writeUInt32LE(Math.min(start, 0xffffffff), 92);
  return out;
}

let table: Uint32Array | null = null;
function makeTable(): Uint32Array {
  return Uint32Array.from({ length: 256 }, (_, n) => {
    let c = n;
    for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
    return c;
  });
}

/** Node has the function since 20.15. */
export function crc32(bytes: Uint8Array): number {
  if (typeof zlib.crc32 === 'function') return zlib.crc32(bytes);
  table ??= makeTable();
  let crc = 0xffffffff;
  for (const b of bytes) crc = table[(crc ^ b) & 0xff] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

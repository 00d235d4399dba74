/** The archive is PyTorch's byte for byte, and whatever a zip tool writes can be read. */

import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { deflateRawSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import type { ByteSource } from '../safetensors-format.ts';
import { isZip, ZipReader } from './zip.ts';
import { ZipWriter } from './zip-write.ts';

const sourceOf = (bytes: Uint8Array): ByteSource => ({ size: bytes.length, read: (at, n) => bytes.subarray(at, at + n) });
function archive(records: Readonly<Record<string, string>>, wideFrom?: number): Buffer {
  const chunks: Uint8Array[] = [];
  const zip = new ZipWriter((bytes) => chunks.push(bytes), wideFrom);
  for (const [name, text] of Object.entries(records)) zip.add(name, Buffer.from(text));
  zip.finish();
  return Buffer.concat(chunks);
}

describe('the archive', () => {
  test.for(['mixed', 'state_dict', 'checkpoint', 'whole_module'])(
    '%s.pt is written as PyTorch wrote it, byte for byte',
    (name, context) => {
      const file = fileURLToPath(new URL(`../../../../shared/conformance/models/pt/${name}.pt`, import.meta.url));
      if (!existsSync(file)) {
        console.warn(`not run, ../shared/conformance is absent: ${name}.pt is written as PyTorch wrote it`);
        context.skip('shared/conformance is absent');
      }
      const bytes = readFileSync(file);
      const zip = new ZipReader(sourceOf(bytes));
      const chunks: Uint8Array[] = [];
      const again = new ZipWriter((part) => chunks.push(part));
      for (const record of zip.names()) again.add(`${name}/${record}`, zip.read(record));
      again.finish();
      expect(Buffer.concat(chunks).equals(bytes)).toBe(true);
    },
  );

  test('sizes of 64 bits are read as written', () => {
    const records = { 'a/x': 'hello', 'a/empty': '', 'a/y': 'z'.repeat(200) };
    const bytes = archive(records, 4);
    expect(isZip(sourceOf(bytes))).toBe(true);
    const zip = new ZipReader(sourceOf(bytes));
    expect(zip.names().map((name) => zip.text(name))).toEqual(Object.values(records));
    expect(bytes.indexOf('hello') % 64).toBe(0);
    expect(bytes.indexOf('zzz') % 64).toBe(0);
  });

  test('a deflated record is unpacked, and one that lies about its size is not', () => {
    const text = 'abc'.repeat(1000);
    const packed = deflateRawSync(text);
    const zip = (size: number): Buffer => {
      const made = archiveOfBytes('a/x', packed);
      const directory = made.indexOf(Buffer.from('PK\x01\x02', 'latin1'));
      made.writeUInt16LE(8, directory + 10);
      made.writeUInt32LE(size, directory + 24);
      return made;
    };
    expect(new ZipReader(sourceOf(zip(3000))).text('x')).toBe(text);
    for (const size of [2999, 3001]) expect(() => new ZipReader(sourceOf(zip(size))).text('x')).toThrow('failed reading file x');
  });

  test('records that overlap cannot be read for more than the file holds', () => {
    const bytes = archive({ 'a/x': 'q'.repeat(500) });
    const zip = new ZipReader(sourceOf(bytes));
    zip.read('x');
    expect(() => zip.read('x')).toThrow('records of the archive overlap');
  });

  test('records that unpack to many times the archive are refused before they are', () => {
    const packed = deflateRawSync(Buffer.alloc(2 ** 25));
    const made = archiveOfBytes('a/x', packed);
    const directory = made.indexOf(Buffer.from('PK\x01\x02', 'latin1'));
    made.writeUInt16LE(8, directory + 10);
    made.writeUInt32LE(2 ** 25, directory + 24);
    expect(() => new ZipReader(sourceOf(made)).read('x')).toThrow(/records unpack to more than 8 times the archive's \d+ bytes/);
    expect(() => new ZipReader(sourceOf(made)).reader('x')).toThrow(/records unpack to more than 8 times/);
  });

  test('a record outside a folder is refused', () => {
    expect(() => new ZipReader(sourceOf(archive({ x: '1' })))).toThrow('file in archive is not in a subdirectory: x');
  });
});

function archiveOfBytes(name: string, data: Uint8Array): Buffer {
  const chunks: Uint8Array[] = [];
  const zip = new ZipWriter((bytes) => chunks.push(bytes));
  zip.add(name, data);
  zip.finish();
  return Buffer.concat(chunks);
}

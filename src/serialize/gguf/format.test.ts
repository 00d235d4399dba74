/** GGUF on bytes: what is written comes back, in both versions; what is not what it says is refused by name and place; no mutation of a file does more. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { fuzzGguf } from '../../../test/fuzz-gguf.ts';
import { ggmlTypes } from '../../quant/ggml-types.ts';
import { parseGguf } from './format.ts';
import { GgufArray, GgufError, type GgufInput, type GgufTensorData, openGguf, readGguf, serializeGguf, writeGguf } from './index.ts';

const metadata: Readonly<Record<string, GgufInput>> = {
  'general.architecture': 'test',
  'general.name': 'Ünïcödé ✓ 日本語',
  'a.bool': true,
  'a.small': 7,
  'a.negative': -7,
  'a.large': 2 ** 40,
  'a.largest': 2n ** 63n + 1n,
  'a.float': 0.5,
  'llama.rope.freq_base': 10000,
  'tokenizer.ggml.tokens': ['<unk>', '', 'ab'],
  'tokenizer.ggml.scores': [0, -1, -2],
  'tokenizer.ggml.token_type': [2, -1, 1],
  'a.flags': [true, false],
  'a.empty': [],
  'a.nested': [[1, 2], ['x'], [[0.5]]],
};
const filled = (count: number): Uint8Array => Uint8Array.from({ length: count }, (_, i) => (i * 37 + 11) & 255);
const tensors: readonly GgufTensorData[] = [
  { name: 'f32', type: 'F32', shape: [2, 3], data: filled(24) },
  { name: 'scalar', type: 'F16', shape: [], data: filled(2) },
  { name: 'empty', type: 'F32', shape: [0, 5], data: filled(0) },
  ...Object.values(ggmlTypes).map(
    ({ name, blockSize, blockBytes }): GgufTensorData => ({
      name: `blk.0.${name}`,
      type: name,
      shape: [3, 2 * blockSize],
      data: filled(6 * blockBytes),
    }),
  ),
];

/** Arrays of a file are views; here as arrays. */
const plain = (value: GgufInput): unknown => (value instanceof GgufArray ? value.toArray().map(plain) : value);

const scratch = mkdtempSync(join(tmpdir(), 'magpie-gguf-'));
afterAll(() => rmSync(scratch, { recursive: true }));

describe.each([2, 3] as const)('version %i', (version) => {
  test('metadata and tensors of every type come back as they were written', () => {
    const file = join(scratch, `v${version}.gguf`);
    writeGguf(file, { metadata, tensors, version });
    expect(readdirSync(scratch).filter((name) => name.endsWith('.part'))).toEqual([]);
    using gguf = openGguf(file);
    expect(gguf.version).toBe(version);
    expect(gguf.alignment).toBe(32);
    expect(Object.fromEntries([...gguf.metadata].map(([key, value]) => [key, plain(value)]))).toEqual(metadata);
    expect([...gguf.tensors.values()].map(({ name, type, shape, bytes }) => ({ name, type, shape, bytes }))).toEqual(
      tensors.map(({ name, type, shape, data }) => ({ name, type, shape, bytes: data.byteLength })),
    );
    for (const { name, data } of tensors) {
      expect(gguf.tensors.get(name)!.offset % 32).toBe(0);
      expect(gguf.read(name)).toEqual(data);
    }
  });

  test('a file that was read is written again byte for byte, types of values included', () => {
    const types = new Map<string, 'uint8' | 'int16' | 'uint64' | 'float64' | 'int64[]'>([
      ['a.small', 'uint8'],
      ['a.negative', 'int16'],
      ['a.large', 'uint64'],
      ['a.float', 'float64'],
      ['tokenizer.ggml.token_type', 'int64[]'],
    ]);
    const bytes = serializeGguf({ metadata: { ...metadata, 'general.alignment': 64 }, types, tensors, version });
    const gguf = readGguf(bytes);
    expect(gguf.alignment).toBe(64);
    expect(gguf.types.get('a.small')).toBe('uint8');
    expect(gguf.types.get('a.nested')).toBe('array[]');
    expect(gguf.types.get('llama.rope.freq_base')).toBe('float32');
    const again = [...gguf.tensors.values()].map((info) => ({ ...info, data: gguf.read(info.name) }));
    expect(serializeGguf({ metadata: gguf.metadata, types: gguf.types, tensors: again, version })).toEqual(bytes);
  });
});

const shared = fileURLToPath(new URL('../../../../shared/models/stories260k/stories260K.gguf', import.meta.url));
test.skipIf(!existsSync(shared))("a file of llama.cpp's is written again byte for byte (skipped where ../shared/models is absent)", () => {
  using gguf = openGguf(shared);
  const again = [...gguf.tensors.values()].map((info) => ({ ...info, data: gguf.read(info.name) }));
  expect(Buffer.from(serializeGguf({ metadata: gguf.metadata, types: gguf.types, tensors: again })).equals(readFileSync(shared))).toBe(
    true,
  );
});

test('a header longer than a window is read across its edges', () => {
  const tokens = Array.from({ length: 60_000 }, (_, i) => `token ${i}`);
  const file = join(scratch, 'long.gguf');
  writeGguf(file, { metadata: { tokens, long: 'x'.repeat(500_000), last: 1 }, tensors: [tensors[0]] });
  using gguf = openGguf(file);
  expect(plain(gguf.metadata.get('tokens')!)).toEqual(tokens);
  expect(gguf.metadata.get('last')).toBe(1);
  expect(gguf.read('f32')).toEqual(tensors[0].data);
});

test('elements of an array are found by their index, in any order', () => {
  const tokens = Array.from({ length: 1000 }, (_, i) => 'é'.repeat(i % 7) + i);
  const nested = tokens.slice(0, 200).map((token, i) => (i % 2 === 0 ? [token, `${token}!`] : [i, i + 1]));
  const gguf = readGguf(serializeGguf({ metadata: { tokens, nested, scores: tokens.map((_, i) => i / 2) } }));
  const [strings, arrays, scores] = ['tokens', 'nested', 'scores'].map((key) => gguf.metadata.get(key) as GgufArray);
  expect([strings.type, arrays.type, scores.type]).toEqual(['string', 'array', 'float32']);
  for (const i of [999, 0, 63, 64, 65, 500, 128, -1]) expect(strings.at(i)).toBe(tokens.at(i));
  for (const i of [199, 0, 64, 63, 3]) expect(plain(arrays.at(i)!)).toEqual(nested[i]);
  for (const i of [999, 0, 1.9, -1000]) expect(scores.at(i)).toBe(Math.abs(Math.trunc(i)) === 1000 ? 0 : Math.trunc(i) / 2);
  expect([strings.at(1000), strings.at(-1001), strings.at(Number.NaN)]).toEqual([undefined, undefined, undefined]);
  expect(JSON.stringify(readGguf(serializeGguf({ metadata: { nested } })).metadata.get('nested'))).toBe(JSON.stringify(nested));
  const again = { metadata: gguf.metadata, types: gguf.types };
  expect(plain(readGguf(serializeGguf(again)).metadata.get('nested')!)).toEqual(nested);
});

test('what cannot be written is refused', () => {
  const refused = (contents: Parameters<typeof serializeGguf>[0], message: RegExp): void =>
    expect(() => serializeGguf(contents)).toThrow(message);
  const one = tensors[0];
  refused({ tensors: [one, one] }, /a second tensor of this name\n {2}in the GGUF file to write, tensor "f32"/);
  refused({ tensors: [{ ...one, shape: [2, 2] }] }, /F32 of shape \[2, 2\] has 16 bytes, not 24/);
  refused({ tensors: [{ ...one, type: 'Q4_0' }] }, /rows of 3 weights are no whole number of blocks of 32/);
  refused({ metadata: { 'general.alignment': 24 } }, /power of two/);
  refused({ metadata: { a: 300 }, types: new Map([['a', 'uint8']]) }, /uint8 is expected, got number 300\n.*key "a"/);
  refused({ metadata: { a: ['x', 1] } }, /an array of string has an element number 1/);
  expect(() => writeGguf(join(scratch, 'never.gguf'), { tensors: [one, one] })).toThrow(GgufError);
  expect(existsSync(join(scratch, 'never.gguf'))).toBe(false);
});

/** Little-endian parts of a file. */
const u32 = (x: number): Uint8Array => new Uint8Array(Uint32Array.of(x).buffer);
const u64 = (x: bigint | number): Uint8Array => new Uint8Array(BigUint64Array.of(BigInt(x)).buffer);
const text = (s: string): Uint8Array => Buffer.concat([u64(Buffer.byteLength(s)), Buffer.from(s)]);
const file = (counts: readonly [bigint | number, bigint | number], ...parts: Uint8Array[]): Uint8Array =>
  Uint8Array.from(Buffer.concat([Buffer.from('GGUF'), u32(3), u64(counts[0]), u64(counts[1]), ...parts]));
const info = (name: string, dims: readonly (bigint | number)[], type: number, offset: bigint | number): Uint8Array =>
  Buffer.concat([text(name), u32(dims.length), ...dims.map(u64), u32(type), u64(offset)]);
const room = (bytes: number): Uint8Array => new Uint8Array(bytes);
/** An array of one array of one array ... */
const nested = (depth: number): Uint8Array =>
  Buffer.concat([text('a'), u32(9), ...Array.from({ length: depth }, () => [u32(9), u64(1)]).flat(), u32(4), u64(0)]);

describe('a file that is not what it says is refused, with the place', () => {
  test.each<[string, Uint8Array, RegExp]>([
    ['an empty one', room(0), /too small for a GGUF file \(0 bytes\)\n {2}in f\.gguf, byte 0/],
    ['another magic', file([0, 0]).map((x, i) => (i === 0 ? 0x67 : x)), /wrong magic: expected "GGUF", found 0x46554767\n.*byte 0/],
    ['version 1', file([0, 0]).map((x, i) => (i === 4 ? 1 : x)), /version 1 is not supported, only 2 and 3\n.*byte 4/],
    ['big-endian bytes', file([0, 0]).map((x, i) => (i === 4 ? 0 : i === 7 ? 3 : x)), /big-endian/],
    [
      'tensors without room',
      file([2n ** 63n, 0]),
      /9223372036854775808 tensors cannot be in the 8 bytes that are left of the file\n.*byte 8/,
    ],
    ['metadata without room', file([0, 1000], room(50)), /1000 metadata entries cannot be in the 50 bytes that are left/],
    ['a million metadata entries', file([0, 1e6], room(13e6)), /1000000 metadata entries, at most 8192 are read\n.*byte 16/],
    ['a million tensors', file([1e6, 0], room(24e6)), /1000000 tensors, at most 65536 are read\n.*byte 8/],
    ['a header of 200 MB', file([0, 1], text('k'), u32(8), u64(2e8), room(2e8)), /a string of 200000000 bytes, at most 8388607/],
    ['a key longer than the file', file([0, 1], u64(60_000), room(20)), /60000 bytes are expected here\n.*byte 32/],
    ['a key longer than a key may be', file([0, 1], u64(2n ** 64n - 1n), room(20)), /a key of 18446744073709551615 bytes, at most 65535/],
    [
      'a string longer than the file',
      file([0, 1], text('k'), u32(8), u64(2 ** 26), room(20)),
      /the file is cut off: it ends at byte 65, 67108864 bytes are expected here\n {2}in f\.gguf, key "k", byte 45/,
    ],
    [
      'a string that is not UTF-8',
      file([0, 1], text('k'), u32(8), u64(1), Uint8Array.of(255)),
      /a string that is not UTF-8\n.*key "k", byte 45/,
    ],
    ['an unknown type of value', file([0, 1], text('k'), u32(13), room(8)), /unknown type of value 13\n.*key "k", byte 33/],
    ['a bool of 2', file([0, 1], text('k'), u32(7), Uint8Array.of(2)), /a bool should be 0 or 1, got 2/],
    ['a key twice', file([0, 2], text('k'), u32(7), room(1), text('k'), u32(7), room(1)), /a second entry of this key\n.*key "k", byte 38/],
    [
      'an array without room',
      file([0, 1], text('k'), u32(9), u32(0), u64(2n ** 62n), room(9)),
      /4611686018427387904 elements cannot be in the 9 bytes/,
    ],
    [
      'texts of 16 MB together',
      file([0, 4], ...['a', 'b', 'c', 'd'].flatMap((k) => [text(k), u32(8), u64(4e6), room(4e6)])),
      /a string of 4000000 bytes, at most 388605 are possible\n.*key "c"/,
    ],
    [
      'a header of 120 MB of numbers',
      file([0, 1], text('k'), u32(9), u32(0), u64(1.2e8), room(1.2e8)),
      /the header is larger than 100000000 bytes\n.*key "k"/,
    ],
    [
      'an array with a text of 9 MB',
      file([0, 1], text('k'), u32(9), u32(8), u64(1), u64(9e6), room(9e6)),
      /a string of 9000000 bytes, at most 8388608/,
    ],
    [
      'an array whose last text is not UTF-8',
      file([0, 1], text('k'), u32(9), u32(8), u64(2), text('é'), u64(1), Uint8Array.of(0xc3)),
      /a string that is not UTF-8\n.*key "k", byte 67/,
    ],
    ['an array of bools with a 2', file([0, 1], text('k'), u32(9), u32(7), u64(2), Uint8Array.of(1, 2)), /0 or 1, got 2\n.*byte 50/],
    ['arrays in arrays in arrays', file([0, 1], nested(2000)), /arrays nested deeper than 4\n.*key "a"/],
    [
      'a wide array of arrays',
      file([0, 1], text('k'), u32(9), u32(9), u64(100), u32(9), u64(100), room(100)),
      /100 elements cannot be in the \d+ bytes/,
    ],
    ['an alignment of 0', file([0, 1], text('general.alignment'), u32(4), u32(0)), /power of two.*got 0\n.*key "general\.alignment"/],
    ['an alignment of 48', file([0, 1], text('general.alignment'), u32(4), u32(48)), /power of two.*got 48/],
    ['an alignment of 2^31', file([0, 1], text('general.alignment'), u32(4), u32(2 ** 31)), /power of two.*got 2147483648/],
    ['an alignment that is text', file([0, 1], text('general.alignment'), u32(8), text('32')), /power of two.*got 32/],
    ['five dims', file([1, 0], info('t', [1, 1, 1, 1, 1], 0, 0), room(64)), /5 dims, at most 4 are possible\n.*tensor "t", byte 33/],
    ['2^32 - 1 dims', file([1, 0], text('t'), u32(2 ** 32 - 1), room(64)), /4294967295 dims/],
    [
      'a shape that overflows',
      file([1, 0], info('t', [2n ** 32n, 2n ** 32n], 0, 0), room(64)),
      /overflow: shape \[4294967296, 4294967296\] is too large\n.*tensor "t", byte 24/,
    ],
    ['a shape that overflows to zero', file([1, 0], info('t', [2n ** 63n, 2n ** 63n, 4, 0], 0, 0), room(64)), /overflow: .* is too large/],
    ['a shape whose bytes overflow', file([1, 0], info('t', [2n ** 52n], 0, 0), room(64)), /overflow/],
    [
      'a row of half a block',
      file([1, 0], info('t', [48, 2], 2, 0), room(64)),
      /Q4_0: rows of 48 weights are no whole number of blocks of 32\n.*tensor "t"/,
    ],
    ['a type that was taken back', file([1, 0], info('t', [32], 4, 0), room(64)), /unknown type 4\n.*tensor "t"/],
    [
      'a tensor beyond the end',
      file([1, 0], info('t', [32], 0, 0), room(64)),
      /the file is cut off: its 128 bytes from byte 64 on end at byte 192, the file at 121 .*\n {2}in f\.gguf, tensor "t", byte 64/,
    ],
    [
      'an offset beyond the end',
      file([1, 0], info('t', [1], 0, 2n ** 64n - 32n), room(64)),
      /offset 18446744073709551584 is beyond the end of a file of 121 bytes/,
    ],
    ['an offset that is not aligned', file([1, 0], info('t', [1], 0, 4), room(64)), /offset 4 is no multiple of the alignment 32/],
    [
      'tensors that overlap',
      file([2, 0], info('t', [16], 0, 0), info('u', [4], 0, 32), room(128)),
      /overlaps tensor "t", which ends at byte \d+\n.*tensor "u", byte/,
    ],
    [
      'two tensors of a name',
      file([2, 0], info('t', [1], 0, 0), info('t', [1], 0, 32), room(128)),
      /a second tensor of this name\n.*tensor "t"/,
    ],
    ['a name of 2000 bytes', file([1, 0], info('t'.repeat(2000), [1], 0, 0), room(128)), /a tensor name of 2000 bytes, at most 1024/],
    ['a name that is not UTF-8', file([1, 0], u64(1), Uint8Array.of(0x80), room(64)), /a tensor name that is not UTF-8/],
  ])('%s', (_, bytes, message) => {
    const run = () => readGguf(bytes, 'f.gguf');
    expect(run).toThrow(message);
    expect(run).toThrow(GgufError);
    expect(run).toThrow('f.gguf');
  });

  test('an error has file, subject and byte as fields', () => {
    try {
      readGguf(file([1, 0], info('t', [1], 0, 4), room(64)), 'f.gguf');
      expect.unreachable();
    } catch (error) {
      expect(error).toMatchObject({ name: 'GgufError', file: 'f.gguf', subject: 't', offset: 49 });
    }
  });

  test('every shorter beginning of a file is an error, and nothing more is read than it has', () => {
    const good = serializeGguf({ metadata, tensors: tensors.slice(0, 2) });
    const end = good.byteLength - 30; // padding after the last tensor is not needed
    for (let length = 0; length < end; length++) expect(() => readGguf(good.subarray(0, length))).toThrow(GgufError);
    expect(readGguf(good.subarray(0, end)).tensors.size).toBe(2);
  });

  test('a file on disk is named, and closed after an error', () => {
    const path = join(scratch, 'broken.gguf');
    writeFileSync(path, 'GGUF, or so it says, but there is nothing');
    expect(() => openGguf(path)).toThrow(`in ${path}, byte 4`);
  });

  test('a tensor that is not there is named', () => {
    expect(() => readGguf(serializeGguf({}), 'f.gguf').read('x')).toThrow('there is no such tensor\n  in f.gguf, tensor "x"');
  });
});

test('what the header claims is not allocated: nothing is asked of the source but what it has', () => {
  const claims = file([1, 1], text('k'), u32(9), u32(8), u64(3), text('a'), u64(2 ** 40), room(100));
  const asked: number[] = [];
  const source = {
    size: claims.byteLength,
    read: (offset: number, length: number) => {
      asked.push(offset + length);
      return claims.subarray(offset, offset + length);
    },
  };
  expect(() => parseGguf(source, 'f.gguf')).toThrow(/a string of 1099511627776 bytes/);
  expect(Math.max(...asked)).toBeLessThanOrEqual(claims.byteLength);
});

test('10,000 mutated files are read or refused, and nothing else (100,000 in test/long)', () => {
  const { read, refused } = fuzzGguf(10_000, 1);
  expect(read).toBeGreaterThan(500);
  expect(refused).toBeGreaterThan(5000);
});

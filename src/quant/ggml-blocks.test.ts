/** Blocks against ggml's own answers (`ggml-blocks.fixture.py` records them): sizes, decoded weights by their bits, encoded bytes. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { decodableTypes, decodeBlocks } from './ggml-blocks.ts';
import { encodableTypes, encodeBlocks } from './ggml-encode.ts';
import { type GgmlTypeName, ggmlRowBytes, ggmlTypeById, ggmlTypes } from './ggml-types.ts';

interface Fixture {
  readonly decode: Readonly<Record<string, { readonly blocks: string; readonly values: string }>>;
  /** Float32 weights: blocks of all kinds of distributions. */
  readonly weights: string;
  readonly encode: Readonly<Record<string, string>>;
  /** id, weights and bytes of a block, for each type that ggml knows. */
  readonly sizes: Readonly<Record<string, readonly [number, number, number]>>;
}
const fixture = JSON.parse(readFileSync(new URL('ggml-blocks.fixture.json', import.meta.url), 'utf8')) as Fixture;
const bytesOf = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'base64'));
/** NaN, which infinite scales make of zeros, has many bit patterns, and which one is nobody's promise. */
const bitsOf = (floats: Float32Array): Uint32Array => {
  const canonical = floats.map((x) => (Number.isNaN(x) ? Number.NaN : x));
  return new Uint32Array(canonical.buffer);
};

test('ids and sizes of all types are those of ggml', () => {
  const upper = (name: string): string => name.toUpperCase();
  const ours = Object.values(ggmlTypes).map(({ name, id, blockSize, blockBytes }) => [upper(name), [id, blockSize, blockBytes]]);
  expect(Object.fromEntries(ours)).toEqual(fixture.sizes);
  for (const type of Object.values(ggmlTypes)) expect(ggmlTypeById(type.id)).toBe(type);
  expect(ggmlTypeById(4)).toBeUndefined();
});

describe('decoded weights are those of ggml, bit for bit', () => {
  test.each(Object.keys(fixture.decode))('%s', (type) => {
    const { blocks, values } = fixture.decode[type];
    const expected = new Float32Array(bytesOf(values).buffer);
    const out = new Float32Array(expected.length);
    decodeBlocks(type as GgmlTypeName, bytesOf(blocks), out);
    expect(bitsOf(out)).toEqual(bitsOf(expected));
    expect(expected.some((x) => Number.isFinite(x) && x !== 0)).toBe(true);
  });
});

test('every type that can be decoded is recorded, but F32, which is what it is', () => {
  expect(decodableTypes.filter((type) => !Object.hasOwn(fixture.decode, type))).toEqual(['F32']);
  const out = new Float32Array(3);
  decodeBlocks('F32', new Uint8Array(Float32Array.of(1.5, -0, 1e-42).buffer), out);
  expect([...out]).toEqual([1.5, -0, Math.fround(1e-42)]);
});

describe('encoded blocks are those of ggml, byte for byte', () => {
  const weights = new Float32Array(bytesOf(fixture.weights).buffer);
  test.each(Object.keys(fixture.encode))('%s', (type) => {
    expect(encodeBlocks(type as GgmlTypeName, weights)).toEqual(bytesOf(fixture.encode[type]));
  });
  test('the plain types come back as they were, or rounded', () => {
    for (const type of ['F32', 'F16', 'BF16'] as const) {
      const out = new Float32Array(4);
      decodeBlocks(type, encodeBlocks(type, Float32Array.of(1, -0.5, 3.0078125, 1e30)), out);
      expect([...out]).toEqual([1, -0.5, type === 'BF16' ? 3 : 3.0078125, type === 'F16' ? Infinity : expect.closeTo(1e30, -28)]);
    }
    expect(encodableTypes).toEqual(['F32', 'F16', 'BF16', ...Object.keys(fixture.encode)]);
  });
});

test('what is no whole number of blocks, or of a type that is not known inside, is refused', () => {
  expect(() => decodeBlocks('Q4_0', new Uint8Array(17), new Float32Array(32))).toThrow('17 bytes are no whole number of Q4_0 blocks of 18');
  expect(() => decodeBlocks('Q4_0', new Uint8Array(36), new Float32Array(32))).toThrow(
    '2 blocks of Q4_0 are 64 weights, there is room for 32',
  );
  expect(() => decodeBlocks('IQ1_S', new Uint8Array(50), new Float32Array(256))).toThrow('blocks of type IQ1_S cannot be decoded');
  expect(() => encodeBlocks('Q4_0', new Float32Array(33))).toThrow('33 weights are no whole number of Q4_0 blocks of 32');
  expect(() => encodeBlocks('Q3_K', new Float32Array(256))).toThrow('blocks of type Q3_K cannot be encoded');
  expect(ggmlRowBytes('Q6_K', 512)).toBe(420);
  expect(() => ggmlRowBytes('Q6_K', 300)).toThrow('a row of 300 weights is no whole number of Q6_K blocks of 256');
});

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  castValue,
  convertArray,
  decode,
  decodeBfloat16,
  decodeFloat8E4m3fn,
  decodeFloat8E5m2,
  decodeFloat16,
  encodeArray,
  encodeBfloat16,
  encodeFloat8E4m3fn,
  encodeFloat8E5m2,
  encodeFloat16,
  makeArray,
  viewArray,
  viewBytes,
} from './codec.ts';
import { bool, complex64, complex128, dtypeByName, dtypes, float16, float32, float64, int32, int64, uint8 } from './dtype.ts';

interface Fixture {
  hashes: Record<string, { decode: string; encode: string }>;
  floats: string[];
  fromFloat: Record<string, string[]>;
  ints: string[];
  fromInt: Record<string, string[]>;
}
const fixture = JSON.parse(readFileSync(new URL('./codec.fixture.json', import.meta.url), 'utf8')) as Fixture;
const codecs = {
  float16: [encodeFloat16, decodeFloat16, 65536],
  bfloat16: [encodeBfloat16, decodeBfloat16, 65536],
  float8_e4m3fn: [encodeFloat8E4m3fn, decodeFloat8E4m3fn, 256],
  float8_e5m2: [encodeFloat8E5m2, decodeFloat8E5m2, 256],
} as const;
const sha = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** The float32 patterns whose encodings the fixture has hashed: an even sweep, and the ties and near-ties of every narrow format. */
function sweep(): Float32Array {
  const patterns: number[] = [];
  for (let i = 0; i < 1 << 20; i++) patterns.push((i * 4099) % 2 ** 32);
  for (let i = 0; i < 65536; i++) patterns.push((i << 16) >>> 0);
  for (let i = 0; i < 65536; i++) patterns.push(((i << 16) | 0x8000) >>> 0);
  for (let i = 0; i < 1 << 19; i++) patterns.push(((i << 13) | 0x1000) >>> 0);
  for (let i = 0; i < 1 << 19; i++) patterns.push(((i << 13) | 0x1001) >>> 0);
  for (let i = 0; i < 1 << 12; i++) patterns.push(((i << 20) | 0x80000) >>> 0);
  return new Float32Array(Uint32Array.from(patterns).buffer).filter((x) => !Number.isNaN(x));
}

describe('the narrow float codecs', () => {
  const inputs = sweep();
  for (const [name, [encode, decodeBits, count]] of Object.entries(codecs)) {
    test(`every ${name} pattern decodes to what PyTorch says`, () => {
      const values = new Float32Array(count).map((_, bits) => decodeBits(bits));
      const words = new Uint32Array(values.buffer).map((w, i) => (Number.isNaN(values[i]) ? 0x7fc00000 : w));
      expect(sha(new Uint8Array(words.buffer))).toBe(fixture.hashes[name]!.decode);
    });
    test(`${name} encodes two million float32 values as PyTorch does`, () => {
      const encoded = count === 256 ? new Uint8Array(inputs.length) : new Uint16Array(inputs.length);
      for (let i = 0; i < inputs.length; i++) encoded[i] = encode(inputs[i]!);
      expect(sha(new Uint8Array(encoded.buffer))).toBe(fixture.hashes[name]!.encode);
    });
    test(`every ${name} value survives a round trip`, () => {
      for (let bits = 0; bits < count; bits++) {
        const value = decodeBits(bits);
        if (!Number.isNaN(value)) expect(encode(value)).toBe(bits);
      }
      expect(decodeBits(encode(Number.NaN))).toBeNaN();
    });
  }
  test('a float64 is rounded twice, through float32, as in PyTorch', () => {
    expect(castValue(float16, 1 + 2 ** -11 + 2 ** -40)).toBe(1); // rounded once it would be 1 + 2^-10
  });
});

describe('conversion between dtypes', () => {
  test('floats become integers and bools as in PyTorch, out of range too', () => {
    for (const [name, expected] of Object.entries(fixture.fromFloat)) {
      const got = fixture.floats.map((text) => {
        const value = castValue(dtypeByName(name)!, text === 'inf' ? Infinity : text === '-inf' ? -Infinity : Number(text));
        return String(typeof value === 'boolean' ? Number(value) : value);
      });
      expect(got, name).toEqual(expected);
    }
  });
  test('int64 wraps into the narrower integers', () => {
    for (const [name, expected] of Object.entries(fixture.fromInt)) {
      const got = fixture.ints.map((text) => {
        const value = castValue(dtypeByName(name)!, BigInt(text));
        return String(typeof value === 'boolean' ? Number(value) : value);
      });
      expect(got, name).toEqual(expected);
    }
  });
  test('complex to real keeps the real part, complex to bool looks at both parts', () => {
    const source = encodeArray(complex64, [
      { re: 1.5, im: -2 },
      { re: 0, im: 1 },
    ]);
    expect([...convertArray(complex64, source, float32)]).toEqual([1.5, 0]);
    expect([...convertArray(complex64, source, bool)]).toEqual([1, 1]);
    expect(decode(complex128, convertArray(complex64, source, complex128), 0)).toEqual({ re: 1.5, im: -2 });
    expect(castValue(complex64, true)).toEqual({ re: 1, im: 0 });
  });
});

describe('storage', () => {
  test('every dtype has its item size in bytes and decodes zero', () => {
    for (const dtype of dtypes) {
      const array = makeArray(dtype, 3);
      expect(array.byteLength, dtype.name).toBe(3 * dtype.itemsize);
      expect(Number.isNaN(decode(dtype, array, 2)), dtype.name).toBe(false);
    }
    expect(decode(int64, makeArray(int64, 1), 0)).toBe(0n);
    expect(decode(bool, makeArray(bool, 1), 0)).toBe(false);
  });
  test('viewArray copies only where the bytes are not aligned', () => {
    const bytes = new Uint8Array(17);
    bytes.set(viewBytes(encodeArray(int32, [1, -2])), 1);
    expect([...viewArray(int32, bytes.subarray(1, 9))]).toEqual([1, -2]);
    const aligned = encodeArray(float64, [0.5]);
    expect(viewArray(float64, viewBytes(aligned)).buffer).toBe(aligned.buffer);
    expect([...viewBytes(encodeArray(uint8, [-1, 256]))]).toEqual([255, 0]);
  });
});

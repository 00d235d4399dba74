/** The safetensors reader against good, broken and hostile files; the writer against bytes written by Python's safetensors. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type ByteSource,
  parseSafetensors,
  type SafetensorsData,
  type SafetensorsDType,
  SafetensorsError,
  safetensorsItemSize,
  serializeSafetensors,
} from './safetensors-format.ts';

const encoder = new TextEncoder();

/** A file from a header text and a number of data bytes; `length` overrides the header length that the file declares. */
function fileOf(header: string | Uint8Array, dataBytes = 0, length?: bigint): Uint8Array {
  const text = typeof header === 'string' ? encoder.encode(header) : header;
  const bytes = new Uint8Array(8 + text.byteLength + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, length ?? BigInt(text.byteLength), true);
  bytes.set(text, 8);
  return bytes;
}

function errorOf(bytes: Uint8Array | ByteSource): SafetensorsError {
  try {
    parseSafetensors(bytes, 'model.safetensors');
  } catch (error) {
    expect(error).toBeInstanceOf(SafetensorsError);
    return error as SafetensorsError;
  }
  throw new Error('parsed without an error');
}

const info = (dtype: string, shape: unknown, offsets: unknown): string => JSON.stringify({ dtype, shape, data_offsets: offsets });

describe('a good file', () => {
  test('gives tensors in the order of their data, with offsets counted from the beginning of the file', () => {
    const header = `{"b":${info('F32', [2], [4, 12])},"__metadata__":{"format":"pt"},"a":${info('I32', [], [0, 4])}}`;
    const file = parseSafetensors(fileOf(header, 12));
    expect([...file.tensors.keys()]).toEqual(['a', 'b']);
    const start = 8 + header.length;
    expect(file.tensors.get('b')).toEqual({ dtype: 'F32', shape: [2], begin: start + 4, end: start + 12 });
    expect([...file.metadata]).toEqual([['format', 'pt']]);
  });

  test('may have no tensors, empty tensors, and a header padded with spaces', () => {
    expect(parseSafetensors(fileOf('{}')).tensors.size).toBe(0);
    const file = parseSafetensors(fileOf(`{"a":${info('F64', [0, 7], [0, 0])},"b":${info('U8', [1], [0, 1])}}    `, 1));
    expect(file.tensors.get('a')?.shape).toEqual([0, 7]);
  });

  test('is read from a source without reading its data', () => {
    const header = `{"a":${info('U8', [1_000_000_000], [0, 1_000_000_000])}}`;
    const bytes = fileOf(header);
    const read = (offset: number, length: number): Uint8Array => {
      expect(offset + length).toBeLessThanOrEqual(bytes.byteLength);
      return bytes.slice(offset, offset + length);
    };
    expect(parseSafetensors({ size: bytes.byteLength + 1_000_000_000, read }).tensors.get('a')?.end).toBe(bytes.byteLength + 1_000_000_000);
  });

  test('may name a tensor __proto__ or constructor', () => {
    const file = parseSafetensors(fileOf(`{"__proto__":${info('U8', [1], [0, 1])},"constructor":${info('U8', [1], [1, 2])}}`, 2));
    expect([...file.tensors.keys()]).toEqual(['__proto__', 'constructor']);
  });
});

describe('a broken file', () => {
  const one = info('F32', [1], [0, 4]);
  const cases: readonly [string, Uint8Array, RegExp][] = [
    ['shorter than the length field', new Uint8Array(7), /header too small/],
    ['declaring a header beyond the end', fileOf('{}', 0, 3n), /invalid header length/],
    ['declaring a header of more than 100 MB', fileOf('{}', 0, 100_000_001n), /header too large/],
    ['declaring a header of 2^64 - 1 bytes', fileOf('{}', 0, 2n ** 64n - 1n), /header too large/],
    ['with an empty header', fileOf(''), /must start with `{`/],
    ['whose header is a list', fileOf('[]'), /must start with `{`/],
    ['whose header begins with a byte order mark', fileOf('\ufeff{}'), /must start with `{`/],
    ['whose header is not UTF-8', fileOf(new Uint8Array([0x7b, 0xff, 0x7d])), /invalid UTF-8/],
    ['whose header is cut off', fileOf('{"a":'), /invalid JSON/],
    ['with text after the header object', fileOf('{}x'), /invalid JSON/],
    ['with a name twice', fileOf(`{"a":${one},"a":${one}}`, 4), /duplicate key/],
    ['with a name twice, once escaped', fileOf(`{"a":${one},"\\u0061":${one}}`, 4), /duplicate key/],
    ['with a field twice', fileOf('{"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}', 1), /duplicate key/],
    [
      'with a field that the format does not have',
      fileOf('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":1}}', 1),
      /unknown field "x"/,
    ],
    ['with a tensor that is no object', fileOf('{"a":[]}'), /must be an object/],
    ['with a dtype that does not exist', fileOf(`{"a":${info('F31', [1], [0, 4])}}`, 4), /unknown dtype "F31"/],
    ['with a dtype named like a method', fileOf(`{"a":${info('toString', [1], [0, 4])}}`, 4), /unknown dtype/],
    ['with a negative size', fileOf(`{"a":${info('F32', [-1], [0, 4])}}`, 4), /non-negative integers/],
    ['with a fractional size', fileOf(`{"a":${info('F32', [0.5], [0, 2])}}`, 2), /non-negative integers/],
    ['with a size as a string', fileOf(`{"a":${info('F32', ['1'], [0, 4])}}`, 4), /non-negative integers/],
    ['with one offset', fileOf(`{"a":${info('F32', [1], [0])}}`, 4), /two non-negative integers/],
    ['with a negative offset', fileOf(`{"a":${info('F32', [1], [-4, 0])}}`, 4), /two non-negative integers/],
    ['whose offsets run backwards', fileOf(`{"a":${info('F32', [1], [4, 0])}}`, 4), /before begin/],
    ['whose data are cut off', fileOf(`{"a":${info('F32', [2], [0, 8])}}`, 7), /of a file of/],
    [
      'with an offset that no number holds',
      fileOf('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,99999999999999999999]}}'),
      /two non-negative/,
    ],
    ['with a shape whose size overflows', fileOf(`{"a":${info('F32', [2 ** 40, 2 ** 40], [0, 4])}}`, 4), /overflow/],
    ['with a shape that does not fit the bytes', fileOf(`{"a":${info('F32', [2], [0, 4])}}`, 4), /has 8 bytes, not 4/],
    ['with overlapping tensors', fileOf(`{"a":${info('F32', [2], [0, 8])},"b":${info('F32', [1], [4, 8])}}`, 8), /overlaps/],
    ['with one range for two tensors', fileOf(`{"a":${one},"b":${one}}`, 4), /overlaps/],
    ['with a hole', fileOf(`{"a":${one},"b":${info('F32', [1], [8, 12])}}`, 12), /hole/],
    ['with bytes that belong to nobody', fileOf(`{"a":${one}}`, 5), /1 bytes belong to no tensor/],
    ['with metadata that are no strings', fileOf('{"__metadata__":{"step":1}}'), /must be a string/],
    ['with metadata that are no object', fileOf('{"__metadata__":"x"}'), /object of strings/],
  ];
  test.each(cases)('%s is refused', (_, bytes, message) => {
    const error = errorOf(bytes);
    expect(error.message).toMatch(message);
    expect(error.message).toContain('in model.safetensors');
  });

  test('is reported with file, tensor and offset', () => {
    const header = `{"layer.weight":${info('F32', [2], [0, 4])}}`;
    const error = errorOf(fileOf(header, 4));
    expect([error.file, error.tensor, error.offset]).toEqual(['model.safetensors', 'layer.weight', 8 + header.length]);
    expect(error.message).toContain(`in model.safetensors, tensor "layer.weight", byte ${8 + header.length}`);
  });

  test('nested 100,000 levels deep, or with a name of a megabyte, gives a short error', () => {
    const deep = errorOf(fileOf(`{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`));
    const long = errorOf(fileOf(`{"${'x'.repeat(1 << 20)}":1}`));
    expect(deep.message.length).toBeLessThan(300);
    expect(long.message.length).toBeLessThan(300);
  });
});

describe('the writer', () => {
  // safetensors 0.8.0 (Python): serialize({"w": F32 [1, 2], "s": I64 [], "b": U8 [3], "aé": F32 [0]}, {"format": "pt"}).
  const entries: readonly SafetensorsData[] = [
    { name: 'b', dtype: 'U8', shape: [3], data: new Uint8Array([1, 2, 3]) },
    { name: 'w', dtype: 'F32', shape: [1, 2], data: new Uint8Array(new Float32Array([1, -2]).buffer) },
    { name: 'aé', dtype: 'F32', shape: [0], data: new Uint8Array(0) },
    { name: 's', dtype: 'I64', shape: [], data: new Uint8Array(new BigInt64Array([7n]).buffer) },
  ];

  test("writes byte for byte what Python's safetensors writes", () => {
    const written = serializeSafetensors(entries, new Map([['format', 'pt']]));
    expect(Buffer.from(written).toString('base64')).toBe(PYTHON);
  });

  test('refuses a duplicate name, the reserved name, and data that do not fit', () => {
    const first = entries[0]!;
    expect(() => serializeSafetensors([first, first])).toThrow(/duplicate name/);
    expect(() => serializeSafetensors([{ ...first, name: '__metadata__' }])).toThrow(/reserved name/);
    expect(() => serializeSafetensors([{ ...first, shape: [4] }])).toThrow(/3 bytes do not fit U8 of shape \[4\]/);
    expect(() => serializeSafetensors([{ ...first, shape: [-3] }])).toThrow(/do not fit/);
  });

  test('writes what the reader reads, for random tensors, names and metadata', () => {
    fc.assert(
      fc.property(fc.uniqueArray(anyTensor, { selector: (tensor) => tensor.name, maxLength: 6 }), anyMetadata, (tensors, metadata) => {
        const bytes = serializeSafetensors(tensors, metadata);
        const file = parseSafetensors(bytes);
        expect([...file.metadata]).toEqual([...metadata]);
        expect(file.tensors.size).toBe(tensors.length);
        for (const { name, dtype, shape, data } of tensors) {
          const entry = file.tensors.get(name)!;
          expect([entry.dtype, entry.shape]).toEqual([dtype, shape]);
          expect(entry.begin % safetensorsItemSize(dtype)).toBe(0);
          expect(bytes.subarray(entry.begin, entry.end)).toEqual(data);
        }
      }),
      { numRuns: 100 },
    );
  });
});

describe('mutated files', () => {
  test('either parse to ranges inside the file without overlap or throw SafetensorsError, whatever bytes change', () => {
    const mutation = fc.record({ kind: fc.constantFrom('set', 'set', 'set', 'cut', 'insert', 'remove'), at: fc.nat(), value: fc.nat(255) });
    let refused = 0;
    let accepted = 0;
    fc.assert(
      fc.property(
        fc.uniqueArray(anyTensor, { selector: (tensor) => tensor.name, minLength: 1, maxLength: 4 }),
        fc.array(mutation, { minLength: 1, maxLength: 2 }),
        (tensors, mutations) => {
          const bytes = mutations.reduce(mutate, serializeSafetensors(tensors, new Map([['a', 'b']])));
          try {
            checkSound(bytes);
            accepted++;
          } catch (error) {
            if (!(error instanceof SafetensorsError)) throw error;
            refused++;
          }
        },
      ),
      { numRuns: 2000 },
    );
    // Both outcomes must occur, or the mutations test nothing.
    expect(refused).toBeGreaterThan(500);
    expect(accepted).toBeGreaterThan(20);
  });

  test('with swapped tokens of the header are sound or refused', () => {
    const token = fc.constantFrom(
      '0',
      '-1',
      '1e400',
      '4',
      '[',
      ']',
      '{',
      '}',
      ',',
      ':',
      '""',
      '"a"',
      'null',
      '"F32"',
      '"I64"',
      '18446744073709551615',
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(), token), { minLength: 1, maxLength: 3 }), (changes) => {
        const header = `{"a":${info('F32', [2, 3], [0, 24])},"b":${info('I64', [1], [24, 32])}}`;
        const tokens = header.match(/"[^"]*"|[0-9]+|[[\]{},:]/g)!;
        for (const [at, replacement] of changes) tokens[at % tokens.length] = replacement;
        try {
          checkSound(fileOf(tokens.join(''), 32));
        } catch (error) {
          if (!(error instanceof SafetensorsError)) throw error;
        }
      }),
      { numRuns: 2000 },
    );
  });
});

const anyDType = fc.constantFrom<SafetensorsDType>('BOOL', 'U8', 'F8_E4M3', 'BF16', 'F16', 'I32', 'F32', 'C64', 'F64', 'I64');
const anyTensor: fc.Arbitrary<SafetensorsData> = fc
  .record({
    name: fc.string({ unit: 'grapheme', maxLength: 12 }),
    dtype: anyDType,
    shape: fc.array(fc.nat(6), { maxLength: 3 }),
    fill: fc.nat(255),
  })
  .filter(({ name }) => name !== '__metadata__')
  .map(({ name, dtype, shape, fill }) => {
    const length = shape.reduce((product, size) => product * size, safetensorsItemSize(dtype));
    return { name, dtype, shape, data: new Uint8Array(length).fill(fill) };
  });
const anyMetadata = fc
  .dictionary(fc.string({ maxLength: 8 }), fc.string(), { maxKeys: 3, noNullPrototype: true })
  .map((record) => new Map(Object.entries(record).filter(([key]) => key !== '__proto__')));

function mutate(bytes: Uint8Array, { kind, at, value }: { kind: string; at: number; value: number }): Uint8Array {
  // Half of the mutations hit the length field and the first bytes of the header, where most of the meaning is.
  const place = at % 2 === 0 ? at % Math.max(1, bytes.length) : at % Math.max(1, Math.min(100, bytes.length));
  if (kind === 'cut') return bytes.slice(0, place);
  if (kind === 'insert') return new Uint8Array([...bytes.subarray(0, place), value, ...bytes.subarray(place)]);
  if (kind === 'remove') return new Uint8Array([...bytes.subarray(0, place), ...bytes.subarray(place + 1)]);
  const changed = bytes.slice();
  if (place < changed.length) changed[place] = value;
  return changed;
}

function checkSound(bytes: Uint8Array): void {
  let end = -1;
  for (const entry of parseSafetensors(bytes).tensors.values()) {
    expect(entry.begin).toBeGreaterThanOrEqual(end === -1 ? 8 : end);
    expect(entry.end).toBeLessThanOrEqual(bytes.byteLength);
    expect(entry.end - entry.begin).toBe(entry.shape.reduce((product, size) => product * size, safetensorsItemSize(entry.dtype)));
    end = entry.end;
  }
}

const PYTHON =
  'AAEAAAAAAAB7Il9fbWV0YWRhdGFfXyI6eyJmb3JtYXQiOiJwdCJ9LCJzIjp7ImR0eXBlIjoiSTY0Iiwic2hhcGUiOltdLCJkYXRhX29mZnNldHMiOlswLDhdfSwiYcOpIjp7ImR0eXBlIjoiRjMyIiwic2hhcGUiOlswXSwiZGF0YV9vZmZzZXRzIjpbOCw4XX0sInciOnsiZHR5cGUiOiJGMzIiLCJzaGFwZSI6WzEsMl0sImRhdGFfb2Zmc2V0cyI6WzgsMTZdfSwiYiI6eyJkdHlwZSI6IlU4Iiwic2hhcGUiOlszXSwiZGF0YV9vZmZzZXRzIjpbMTYsMTldfX0gICAgICAgBwAAAAAAAAAAAIA/AAAAwAECAw==';

test('a header of more values than any model has is refused before anything is made of it', () => {
  const header = Buffer.from(`{"a":[${'[],'.repeat(600_000)}[]]}`);
  const file = Buffer.concat([Buffer.from(BigUint64Array.of(BigInt(header.length)).buffer), header]);
  expect(() => parseSafetensors(file, 'f.safetensors')).toThrow(/more than 1048576 values in header\n {2}in f\.safetensors, byte \d+/);
  const quoted = Buffer.from(JSON.stringify({ __metadata__: { text: `${'[,{'.repeat(600_000)}\\"` } }));
  const fine = Buffer.concat([Buffer.from(BigUint64Array.of(BigInt(quoted.length)).buffer), quoted]);
  expect(parseSafetensors(fine).metadata.get('text')).toHaveLength(1_800_002);
});

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { castValue, decode, encodeArray, makeArray, type StorageArray, viewArray, viewBytes } from '../dtype/codec.ts';
import { type DType, dtypeByName, float32, float64, int32, int64 } from '../dtype/dtype.ts';
import {
  bernoulli,
  bernoulliTensor,
  cauchy,
  exponential,
  geometric,
  logNormal,
  normal,
  randint,
  random,
  randomFull64,
  randperm,
  uniform,
} from './cpu-streams.ts';
import { binomial, dirichlet, poisson, standardGamma } from './data-dependent.ts';
import { Generator } from './generator.ts';
import { Mt19937 } from './mt19937.ts';
import { multinomial } from './multinomial.ts';

/** Each stream twice in a row after seed 1234 (-3 for `neg_seed`): a hash of the bytes where we are bit-equal, the bytes for float64. */
type Fixture = Record<string, { sha?: string; data?: string; next?: number[]; seed?: string }>;
const fixture = JSON.parse(readFileSync(new URL('./streams.fixture.json', import.meta.url), 'utf8')) as Fixture;

type Draw = (gen: Generator, dtype: DType) => StorageArray;
type Fill = (gen: Generator, dtype: DType, out: StorageArray) => void;
const filled =
  (count: number | ((dtype: DType) => number), fill: Fill): Draw =>
  (gen, dtype) => {
    const out = makeArray(dtype, typeof count === 'number' ? count : count(dtype));
    fill(gen, dtype, out);
    return out;
  };
const table = (dtype: DType, count: number, entry: (i: number) => number): StorageArray =>
  encodeArray(
    dtype,
    Array.from({ length: count }, (_, i) => entry(i)),
  );
const long = (dtype: DType): number => (dtype === float64 ? 101 : 1001);

const draws: Record<string, Draw> = {
  normal: filled((d) => (d === float64 ? 203 : 20003), normal),
  normal_ms: filled(long, (g, d, o) => normal(g, d, o, 0.3, 1.7)),
  normal_9: filled(9, (g, d, o) => normal(g, d, o, 0.3, 1.7)),
  uniform: filled(long, (g, d, o) => uniform(g, d, o, -0.3, 1.5)),
  expo: filled(long, (g, d, o) => exponential(g, d, o, 1.3)),
  cauchy: filled(long, (g, d, o) => cauchy(g, d, o, 0.5, 1.5)),
  lognormal: filled(long, (g, d, o) => logNormal(g, d, o, 0.2, 0.7)),
  geometric: filled(long, (g, d, o) => geometric(g, d, o, 0.3)),
  bernoulli: filled(long, (g, d, o) => bernoulli(g, d, o, 0.3)),
  random: filled((d) => (d.kind === 'float' ? long(d) : 101), random),
  randint: filled(long, (g, d, o) => randint(g, d, o, -5, 100)),
  multi: (g, d) =>
    multinomial(
      g,
      d,
      table(d, 20, (i) => i + 1),
      20,
      50,
      true,
    ),
  multi1: (g, d) =>
    multinomial(
      g,
      d,
      table(d, 60, (i) => i + 1),
      20,
      1,
      true,
    ),
  multin: (g, d) =>
    multinomial(
      g,
      d,
      table(d, 60, (i) => i + 1),
      20,
      20,
      false,
    ),
  poisson: filled(200, (g, d, o) =>
    poisson(
      g,
      d,
      o,
      table(d, 200, (i) => i / 4),
    ),
  ),
  gamma: filled(200, (g, d, o) =>
    standardGamma(
      g,
      d,
      o,
      table(d, 200, (i) => (i + 1) / 40),
    ),
  ),
  binom: filled(300, (g, d, o) =>
    binomial(
      g,
      d,
      o,
      table(d, 300, (i) => i + 1),
      table(d, 300, (i) => (i % 11) / 10),
    ),
  ),
  dirichlet: filled(60, (g, d, o) =>
    dirichlet(
      g,
      d,
      o,
      table(d, 60, (i) => (i + 1) / 10),
      20,
    ),
  ),
  berntensor: filled(200, (g, d, o) =>
    bernoulliTensor(
      g,
      d,
      o,
      d,
      table(d, 200, (i) => i / 200),
    ),
  ),
};
const singles: Record<string, [DType, Draw]> = {
  randint_2_28: [int64, filled(101, (g, d, o) => randint(g, d, o, 0, 2 ** 28))],
  randint_2_28m: [int64, filled(101, (g, d, o) => randint(g, d, o, 0, 2 ** 28 - 1))],
  randint_big: [int64, filled(101, (g, d, o) => randint(g, d, o, -(2n ** 62n), 2n ** 62n))],
  randint_i32: [int32, filled(101, (g, d, o) => randint(g, d, o, -7, 2 ** 30))],
  full64: [int64, filled(101, randomFull64)],
  randperm: [int64, filled(1001, randperm)],
  randperm32: [int32, filled(101, randperm)],
  geometric_i64: [int64, filled(101, (g, d, o) => geometric(g, d, o, 0.2))],
  f32_neg_seed: [float32, filled(10, uniform)],
};
const suffixes: Record<string, string> = {
  f32: 'float32',
  f64: 'float64',
  f16: 'float16',
  bf16: 'bfloat16',
  i64: 'int64',
  i32: 'int32',
  i16: 'int16',
  i8: 'int8',
  u8: 'uint8',
  b: 'bool',
};

function bytesOf(name: string): { bytes: Uint8Array; dtype: DType } {
  const cut = name.lastIndexOf('_');
  const [dtype, draw] = singles[name] ?? [dtypeByName(suffixes[name.slice(cut + 1)]!)!, draws[name.slice(0, cut)]!];
  const gen = new Generator().manual_seed(name.includes('neg_seed') ? -3 : 1234);
  const both = [draw(gen, dtype), draw(gen, dtype)];
  return { bytes: Buffer.concat(both.map(viewBytes)), dtype: both[0] instanceof BigInt64Array ? int64 : dtype };
}

describe('the CPU streams', () => {
  const names = Object.keys(fixture).filter((name) => name !== 'state' && name !== 'neg');
  test('the fixture covers every stream', () => {
    expect(names.length).toBe(76);
  });
  for (const name of names) {
    const { sha, data } = fixture[name]!;
    if (sha !== undefined) {
      test(`${name} equals PyTorch's bit for bit`, () => {
        expect(createHash('sha256').update(bytesOf(name).bytes).digest('hex')).toBe(sha);
      });
    } else {
      test(`${name} equals PyTorch's but for the last bits`, () => {
        const { bytes, dtype } = bytesOf(name);
        const got = viewArray(dtype, bytes);
        const expected = viewArray(dtype, Buffer.from(data!, 'base64'));
        expect(got.length).toBe(expected.length);
        let different = 0;
        for (let i = 0; i < got.length; i++) {
          const a = Number(decode(dtype, got, i));
          const b = Number(decode(dtype, expected, i));
          if (a !== b) different++;
          expect(Math.abs(a - b)).toBeLessThanOrEqual(Math.abs(b) * 1e-15);
        }
        // A sum in another order (Dirichlet) moves many last bits; the rest only near-ties of the C library.
        expect(different / got.length).toBeLessThanOrEqual(name.startsWith('dirichlet') ? 0.5 : 0.03);
      });
    }
  }
});

describe('Generator', () => {
  test('get_state has the bytes of torch.get_rng_state', () => {
    const gen = new Generator().manual_seed(77);
    uniform(gen, float32, makeArray(float32, 1000));
    normal(gen, float32, makeArray(float32, 3));
    expect(Buffer.from(gen.get_state()).toString('base64')).toBe(fixture['state']!.data);
  });
  test('set_state continues where the state was taken, the waiting normal included', () => {
    const gen = new Generator().set_state(Buffer.from(fixture['state']!.data!, 'base64'));
    const normals = makeArray(float32, 5);
    const uniforms = makeArray(float32, 3);
    normal(gen, float32, normals);
    uniform(gen, float32, uniforms);
    expect([...normals, ...uniforms]).toEqual(fixture['state']!.next!.map((v) => castValue(float32, v)));
    expect(gen.initial_seed()).toBe(77);
    expect(() => gen.set_state(new Uint8Array(16))).toThrow('but found the input RNG state size to be 16');
  });
  test('seeds are 64 bits, negative ones wrap, and seed() differs from call to call', () => {
    expect(String(new Generator().manual_seed(-3).initial_seed())).toBe(fixture['neg']!.seed);
    expect(new Generator().initial_seed()).toBe(67280421310721);
    const gen = new Generator();
    expect(gen.seed()).not.toBe(gen.seed());
    expect(() => gen.manual_seed(2n ** 64n)).toThrow('Overflow when unpacking long long');
  });
  test('a clone goes its own way', () => {
    const gen = new Generator().manual_seed(5);
    const clone = gen.clone_state();
    expect(gen.engine.next32()).toBe(clone.engine.next32());
    gen.engine.next32();
    expect(gen.engine.next32()).not.toBe(clone.engine.next32());
  });
  test('skip(n) lands where n draws land', () => {
    for (const n of [0, 1, 623, 624, 625, 1248, 5000]) {
      for (const before of [0, 1, 100, 624]) {
        const drawn = new Mt19937(9);
        const skipped = new Mt19937(9);
        for (let i = 0; i < before; i++) skipped.next32();
        skipped.skip(n);
        for (let i = 0; i < before + n; i++) drawn.next32();
        expect(skipped.next32(), `${before} then ${n}`).toBe(drawn.next32());
      }
    }
  });
});

import { existsSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { convertArray, decode, encodeArray, makeArray, type StorageArray, viewArray } from '../dtype/codec.ts';
import { bfloat16, type DType, dtypeByName, float16, float32, float64, int64 } from '../dtype/dtype.ts';
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
  randperm,
  uniform,
} from './cpu-streams.ts';
import { poisson, standardGamma } from './data-dependent.ts';
import { Generator } from './generator.ts';
import { multinomial } from './multinomial.ts';

// The records of shared/conformance that PyTorch made after a seed; its README says which call each name stands for.
const folder = new URL('../../../shared/conformance/', import.meta.url);
const present = existsSync(new URL('nn.json.gz', folder));

interface RngRecord {
  rng: string;
  seed: number;
  first: { t: number };
  second: { t: number };
}

const full = (n: number, value: number): StorageArray => encodeArray(float32, new Array<number>(n).fill(value));
const filled = (dtype: DType, n: number, fill: (out: StorageArray) => void): StorageArray => {
  const out = makeArray(dtype, n);
  fill(out);
  return out;
};
const probabilities = encodeArray(float32, [0.1, 0.2, 0.3, 0.4]);

const calls: Record<string, (g: Generator) => StorageArray> = {
  rand: (g) => filled(float32, 20, (o) => uniform(g, float32, o)),
  rand_f64: (g) => filled(float64, 20, (o) => uniform(g, float64, o)),
  rand_bf16: (g) => filled(bfloat16, 20, (o) => uniform(g, bfloat16, o)),
  randn_small: (g) => filled(float32, 7, (o) => normal(g, float32, o)),
  randn_big: (g) => filled(float32, 40, (o) => normal(g, float32, o)),
  randn_f64: (g) => filled(float64, 20, (o) => normal(g, float64, o)),
  randn_f16: (g) => filled(float16, 20, (o) => normal(g, float16, o)),
  randint: (g) => filled(int64, 20, (o) => randint(g, int64, o, 0, 1000)),
  randint_big: (g) => filled(int64, 10, (o) => randint(g, int64, o, -(2 ** 40), 2 ** 40)),
  randperm: (g) => filled(int64, 30, (o) => randperm(g, int64, o)),
  random_: (g) => filled(int64, 10, (o) => random(g, int64, o)),
  bernoulli: (g) => filled(float32, 20, (o) => bernoulliTensor(g, float32, o, float32, full(20, 0.3))),
  // normal(mean, std) of tensors is a standard normal, then mul_ and add_.
  normal: (g) =>
    encodeArray(
      float32,
      [...(calls['randn20']!(g) as Float32Array)].map((v) => v * 2),
    ),
  randn20: (g) => filled(float32, 20, (o) => normal(g, float32, o)),
  exponential: (g) => filled(float32, 20, (o) => exponential(g, float32, o, 2)),
  uniform: (g) => filled(float32, 20, (o) => uniform(g, float32, o, -1, 3)),
  multinomial: (g) => multinomial(g, float32, probabilities, 4, 12, true),
  multinomial_norep: (g) => multinomial(g, float32, probabilities, 4, 4, false),
  cauchy: (g) => filled(float32, 10, (o) => cauchy(g, float32, o)),
  log_normal: (g) => filled(float32, 10, (o) => logNormal(g, float32, o)),
  geometric: (g) => filled(float32, 10, (o) => geometric(g, float32, o, 0.3)),
  poisson: (g) => filled(float32, 10, (o) => poisson(g, float32, o, full(10, 3))),
  gamma: (g) => filled(float32, 10, (o) => standardGamma(g, float32, o, full(10, 2))),
  dropout: (g) => {
    const mask = filled(float32, 30, (o) => bernoulli(g, float32, o, 1 - 0.4));
    return encodeArray(
      float32,
      [...(mask as Float32Array)].map((m) => m / (1 - 0.4)),
    );
  },
  linear_init: (g) => {
    // kaiming_uniform_(a = sqrt(5)) for fan_in 3, then the bias, which the record leaves out.
    const bound = Math.sqrt(3) * (Math.sqrt(2 / (1 + Math.sqrt(5) ** 2)) / Math.sqrt(3));
    const weight = filled(float32, 12, (o) => uniform(g, float32, o, -bound, bound));
    filled(float32, 4, (o) => uniform(g, float32, o, -1 / Math.sqrt(3), 1 / Math.sqrt(3)));
    return weight;
  },
  emb_init: (g) => filled(float32, 12, (o) => normal(g, float32, o)),
};

describe('the rng records of the conformance data', () => {
  if (!present) {
    test('are not on this machine', (context) => {
      console.log(`skipped: ${folder.pathname}nn.json.gz is absent`);
      context.skip('shared/conformance is absent');
    });
    return;
  }
  const { tensors, samples } = JSON.parse(gunzipSync(readFileSync(new URL('nn.json.gz', folder))).toString()) as {
    tensors: [string, number[], number][];
    samples: RngRecord[];
  };
  const blob = gunzipSync(readFileSync(new URL('nn.bin.gz', folder)));
  const records = samples.filter((s) => s.rng !== undefined);
  test('are 59', () => {
    expect(records.length).toBe(59);
  });
  const read = (t: number): { dtype: DType; array: StorageArray } => {
    const [name, shape, offset] = tensors[t]!;
    const dtype = dtypeByName(name)!;
    const bytes = shape.reduce((a, b) => a * b, 1) * dtype.itemsize;
    return { dtype, array: viewArray(dtype, Uint8Array.from(blob.subarray(offset, offset + bytes))) };
  };
  for (const record of records) {
    test(`${record.rng} after seed ${record.seed} is reproduced exactly, twice`, () => {
      const gen = new Generator().manual_seed(record.seed);
      for (const which of ['first', 'second'] as const) {
        const { dtype, array } = read(record[which].t);
        const got = calls[record.rng]!(gen);
        expect(got.constructor, `${dtype}`).toBe(array.constructor);
        expect([...convertArray(dtype, got, float64)], which).toEqual([...convertArray(dtype, array, float64)]);
        if (dtype === int64) expect(decode(dtype, got, 0)).toBe(decode(dtype, array, 0));
      }
    });
  }
});

/**
 * Random programs of views, in-place writes, reductions and products: lazily, flushed after every operator, and flushed at random calls they
 * give the same bits on each device, and agree with a naive strided model.
 */
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { CpuBackend } from '../src/backend/cpu/device.ts';
import { selectIsa } from '../src/backend/cpu/features.ts';
import type { Tensor } from '../src/index.ts';
import torch from '../src/index.ts';
import { sliceOf } from '../src/ops/shape.ts';
import { isNonOverlapping } from '../src/shape/view.ts';
import { registerDevice } from '../src/tensor/devices.ts';
import { flags } from '../src/util/flags.ts';
import { hasView, isInjective, NaiveTensor } from './naive-model.ts';
import { execute, type Machine, type Program, randomProgram } from './random-program.ts';

const seed = Number(process.env['MAGPIE_TEST_SEED'] ?? 20261124);
const runs = Number(process.env['MAGPIE_TEST_RUNS'] ?? 200);
const modes = ['lazy', 'eager', 'random:1', 'random:5'] as const;

for (const isa of ['avx512', 'avx2'] as const) registerDevice(`cpu-${isa}`, () => new CpuBackend({ isa }));
const best = process.env['MAGPIE_ISA'] === 'wasm' ? 'none' : selectIsa();
const devices = ['reference', 'wasm', ...(best === 'avx512' ? ['cpu-avx512'] : []), ...(best === 'none' ? [] : ['cpu-avx2'])];

afterEach(() => {
  flags.flush = 'lazy';
});

const reshapeNaive = (x: NaiveTensor, shape: readonly number[]): NaiveTensor => x.reshape(shape, hasView(x, shape));
const naive: Machine<NaiveTensor> = {
  make: (shape, values) => new NaiveTensor(Float32Array.from(values), shape),
  shape: (t) => t.shape,
  writable: isInjective,
  values: (t) => t.values(),
  unary: (name, x) => x[name](),
  scale: (x, by) => x.scale(by),
  shift: (x, by) => x.shift(by),
  binary: (name, x, y) => x[name](y),
  reduce: (name, x, dim, keepdim) => x[name](dim, keepdim),
  softmax: (x, dim) => x.softmax(dim),
  matmul: (x, y) => x.matmul(y),
  cat: (x, y, dim) => x.cat(y, dim),
  permute: (x, order) => x.permute(order),
  slice: (x, dim, start, end, step) => x.slice(dim, start, end, step),
  select: (x, dim, index) => x.select(dim, index),
  unsqueeze: (x, dim) => x.unsqueeze(dim),
  expandFront: (x, count) => x.expandFront(count),
  reshape: reshapeNaive,
  unbind: (x, dim) => Array.from({ length: x.shape[dim] }, (_, i) => x.select(dim, i)),
  write: (name, x, y) => void x[name](y),
  fill: (x, value) => void x.fill_(value),
};

const engine = (device: string): Machine<Tensor> => ({
  make: (shape, values) => torch.tensor(values, { device }).reshape([...shape]),
  shape: (t) => t.view_.shape,
  writable: (t) => isNonOverlapping(t.view_.shape, t.view_.strides),
  values: (t) => t.detach().flatten().tolist() as number[],
  unary: (name, x) => x[name](),
  scale: (x, by) => x.mul(by),
  shift: (x, by) => x.add(by),
  binary: (name, x, y) => x[name](y),
  reduce: (name, x, dim, keepdim) => x[name](dim, keepdim),
  softmax: (x, dim) => x.softmax(dim),
  matmul: (x, y) => x.matmul(y),
  cat: (x, y, dim) => torch.cat([x, y], dim),
  permute: (x, order) => x.permute([...order]),
  slice: (x, dim, start, end, step) => sliceOf(x, dim, start, end, step) as Tensor,
  select: (x, dim, index) => x.select(dim, index),
  unsqueeze: (x, dim) => x.unsqueeze(dim),
  expandFront: (x, count) => x.expand([count, ...x.view_.shape]),
  reshape: (x, shape) => x.reshape([...shape]),
  unbind: (x, dim) => x.unbind(dim),
  write: (name, x, y) => void x[name](y),
  fill: (x, value) => void x.fill_(value),
});

/** Numbers as text: all NaNs are one, and the signs of zeros count. */
const bits = (rows: readonly (readonly number[])[]): string[] => rows.map((r) => r.map((x) => (Object.is(x, -0) ? '-0' : `${x}`)).join(' '));

function inMode<T>(mode: string, work: () => T): T {
  flags.flush = mode;
  try {
    return work();
  } finally {
    flags.flush = 'lazy';
  }
}

let compared = 0;
/** Agreement to a tolerance, where the numbers stay small enough for one to mean something. */
function expectClose(got: readonly (readonly number[])[], model: readonly (readonly number[])[]): void {
  expect(got.map((r) => r.length)).toEqual(model.map((r) => r.length));
  const peak = Math.max(1, ...model.flat().map(Math.abs));
  if (!(peak < 1e4)) return;
  compared++;
  model.forEach((row, r) => {
    row.forEach((x, i) => {
      if (!(Math.abs(got[r][i] - x) <= 2e-5 * peak * peak)) throw new Error(`result ${r}, element ${i}: ${got[r][i]}, the model has ${x}`);
    });
  });
}

const named = (device: string, what: string, check: () => void): void => {
  try {
    check();
  } catch (error) {
    throw new Error(`${device}, ${what}: ${(error as Error).stack}`);
  }
};

describe('random programs', () => {
  test(`${runs} programs on ${devices.join(', ')}: the same bits in each flush mode, and the numbers of the naive model`, { timeout: 120_000 }, () => {
    fc.assert(
      fc.property(randomProgram, (program: Program) => {
        const model = execute(program, naive);
        const native: string[][] = [];
        for (const device of devices) {
          const machine = engine(device);
          let first: string[] = [];
          for (const mode of modes) {
            named(device, mode, () => {
              const got = inMode(mode, () => execute(program, machine));
              if (mode === 'lazy') {
                first = bits(got);
                expectClose(got, model);
                if (device.startsWith('cpu-')) native.push(first);
              } else expect(bits(got)).toEqual(first);
            });
          }
        }
        if (native.length > 1) named('cpu', 'avx512 and avx2', () => expect(native[1]).toEqual(native[0]));
      }),
      { numRuns: runs, seed, endOnFailure: process.env['MAGPIE_TEST_SHRINK'] !== '1' },
    );
    expect(compared).toBeGreaterThan(runs * devices.length * 0.8);
  });
});

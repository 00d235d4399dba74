/**
 * Random programs of views, in-place writes, reductions and products: lazily, flushed after every operator, and flushed at random calls they
 * give the same bits on each device, and agree with a naive strided model.
 */
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { CpuBackend } from '../src/backend/cpu/device.ts';
import { selectIsa } from '../src/backend/cpu/features.ts';
import { registerDevice } from '../src/tensor/devices.ts';
import { flags } from '../src/util/flags.ts';
import { engine, naive } from './machines.ts';
import { execute, type Program, randomProgram } from './random-program.ts';

const seed = Number(process.env['MAGPIE_TEST_SEED'] ?? 20261124);
const runs = Number(process.env['MAGPIE_TEST_RUNS'] ?? 200);
const modes = ['lazy', 'eager', 'random:1', 'random:5'] as const;

for (const isa of ['avx512', 'avx2'] as const) registerDevice(`cpu-${isa}`, () => new CpuBackend({ isa }));
const best = process.env['MAGPIE_ISA'] === 'wasm' ? 'none' : selectIsa();
const devices = ['reference', 'wasm', ...(best === 'avx512' ? ['cpu-avx512'] : []), ...(best === 'none' ? [] : ['cpu-avx2'])];

afterEach(() => {
  flags.flush = 'lazy';
});

/** Numbers as text: all NaNs are one, and the signs of zeros count. */
const bits = (rows: readonly (readonly number[])[]): string[] =>
  rows.map((r) => r.map((x) => (Object.is(x, -0) ? '-0' : `${x}`)).join(' '));

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
  test(`${runs} programs on ${devices.join(', ')}: the same bits in each flush mode, and the numbers of the naive model`, {
    timeout: 120_000,
  }, () => {
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

import { describe, expect, test } from 'vitest';
import { fma32, fma64 } from '../../kernel/special-reference.ts';
import { hasFusedMultiplyAdd } from './engine.ts';
import type { MatmulShape, MatmulStrides, MatmulType } from './matmul.ts';
import { matmulArguments, matmulBlock, matmulSource, matmulWordCount, planMatmul } from './matmul.ts';
import { WasmRuntime } from './runtime.ts';

const runtime = new WasmRuntime({ limit: 256 * 2 ** 20 });
const fused = hasFusedMultiplyAdd();
const [f32, f64] = runtime.compile([matmulSource('f32', { fused }), matmulSource('f64', { fused })]);

let state = 7;
const noise = (): number => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state / 2 ** 31 - 1;
};
const extent = (sizes: readonly number[], strides: readonly number[]): number =>
  sizes.some((s) => s === 0) ? 0 : 1 + sizes.reduce((sum, s, i) => sum + (s - 1) * strides[i], 0);

interface Case {
  readonly type: MatmulType;
  readonly shape: MatmulShape;
  readonly strides: MatmulStrides;
  readonly threads?: number;
}

/** Runs on the device and in two naive ways; returns the number of wrong bits' elements and the largest error relative to sum |a||b|. */
function compare({ type, shape, strides, threads = 1 }: Case): { unequal: number; error: number; outside: number } {
  const { batch, m, n, k } = shape;
  const size = type === 'f32' ? 4 : 8;
  const round = type === 'f32' ? Math.fround : (x: number): number => x;
  const fma = (type === 'f32' ? fma32 : fma64) as (a: number, b: number, c: number) => number;
  const lengths = [extent([batch, m, k], strides.a), extent([batch, k, n], strides.b), extent([batch, m, n], [...strides.c, 1])];
  const [a, b, c] = lengths.map((length) => runtime.alloc(length * size + 64));
  const args = runtime.alloc(matmulWordCount * 8);
  const view = (address: number, length: number): Float32Array | Float64Array =>
    type === 'f32' ? new Float32Array(runtime.memory.buffer, address, length) : new Float64Array(runtime.memory.buffer, address, length);
  const [x, y] = [view(a, lengths[0]), view(b, lengths[1])];
  for (const values of [x, y]) for (let i = 0; i < values.length; i++) values[i] = noise();
  const plan = planMatmul(shape, type, threads);
  view(c, lengths[2] + 16 / size).fill(123);
  runtime.writeArguments(args, matmulArguments({ a, b, c }, shape, strides, plan));
  runtime.run({
    stages: [[{ fn: type === 'f32' ? f32 : f64, args, count: plan.count, grain: plan.grain }]],
    scratchBytes: plan.scratchBytes,
  });
  const z = view(c, lengths[2] + 16 / size);
  const [xs, ys] = [view(a, lengths[0]), view(b, lengths[1])];
  const expected = new Float64Array(z.length).fill(123);
  let error = 0;
  for (let g = 0; g < batch; g++) {
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        let total = 0;
        let exact = 0;
        let magnitude = 1e-30;
        for (let from = 0; from < Math.max(k, 1); from += matmulBlock) {
          let sum = 0;
          for (let p = from; p < Math.min(k, from + matmulBlock); p++) {
            const u = xs[g * strides.a[0] + i * strides.a[1] + p * strides.a[2]];
            const v = ys[g * strides.b[0] + p * strides.b[1] + j * strides.b[2]];
            exact += u * v;
            magnitude += Math.abs(u * v);
            sum = fused ? fma(u, v, sum) : round(sum + round(u * v));
          }
          total = from === 0 ? sum : round(total + sum);
        }
        const at = g * strides.c[0] + i * strides.c[1] + j;
        expected[at] = total;
        error = Math.max(error, Math.abs(z[at] - exact) / magnitude);
      }
    }
  }
  let unequal = 0;
  let outside = 0;
  for (let i = 0; i < z.length; i++) if (!Object.is(z[i], expected[i])) expected[i] === 123 ? outside++ : unequal++;
  for (const address of [a, b, c, args]) runtime.free(address);
  return { unequal, error, outside };
}
function expectRight(c: Case): void {
  const { error, ...counts } = compare(c);
  const name = JSON.stringify(c);
  expect(counts, name).toEqual({ unequal: 0, outside: 0 });
  expect(error, name).toBeLessThan(c.type === 'f32' ? 2e-5 : 4e-14);
}
const contiguous = ({ m, n, k }: MatmulShape): MatmulStrides => ({ a: [m * k, k, 1], b: [k * n, n, 1], c: [m * n, n] });
const transposedB = ({ m, n, k }: MatmulShape): MatmulStrides => ({ a: [m * k, k, 1], b: [k * n, 1, k], c: [m * n, n] });
const transposedA = ({ m, n, k }: MatmulShape): MatmulStrides => ({ a: [m * k, 1, m], b: [k * n, n, 1], c: [m * n, n] });
/** Everything spread out: no stride is 1 but C's last, and C's rows have gaps. */
const spread = ({ m, n, k }: MatmulShape): MatmulStrides => ({
  a: [m * k * 6 + 5, k * 6, 2],
  b: [k * n * 6 + 1, n * 3, 3],
  c: [m * (n + 3) + 2, n + 3],
});
const layouts = { contiguous, transposedB, transposedA, spread };

describe('matrix multiplication adds in the stated order, to the bit', () => {
  test.each(Object.keys(layouts) as (keyof typeof layouts)[])('all small sizes around the tiles, %s', (layout) => {
    for (const type of ['f32', 'f64'] as const)
      for (const m of [1, 2, 4, 5, 6, 7, 13])
        for (const n of [1, 2, 4, 7, 8, 9, 17])
          for (const k of [1, 2, 3, 5, 11]) {
            const shape = { batch: 1, m, n, k };
            expectRight({ type, shape, strides: layouts[layout](shape) });
          }
  });

  test.each(Object.keys(layouts) as (keyof typeof layouts)[])(
    'several blocks of k, several packs and tiles, %s',
    { timeout: 60_000 },
    (layout) => {
      const shapes = [
        { batch: 2, m: 7, n: 33, k: 900 },
        { batch: 1, m: 3, n: 2100, k: 385 },
        { batch: 1, m: 1, n: 70, k: 1200 },
        { batch: 1, m: 200, n: 9, k: 390 },
        { batch: 1, m: 9, n: 1100, k: 20 },
        { batch: 3, m: 4, n: 5, k: 768 },
      ];
      for (const type of ['f32', 'f64'] as const) for (const shape of shapes) expectRight({ type, shape, strides: layouts[layout](shape) });
    },
  );

  test('empty sizes: k = 0 stores zeros, no rows or columns touch nothing', () => {
    for (const type of ['f32', 'f64'] as const)
      for (const [m, n, k] of [
        [5, 9, 0],
        [1, 9, 0],
        [0, 5, 3],
        [5, 0, 3],
        [0, 0, 0],
      ] as const)
        for (const layout of Object.values(layouts)) {
          const shape = { batch: 2, m, n, k };
          expectRight({ type, shape, strides: layout(shape) });
        }
  });

  test('strides of zero (an expanded batch, row or column)', () => {
    const shape = { batch: 3, m: 8, n: 10, k: 12 };
    expectRight({ type: 'f32', shape, strides: { a: [0, 12, 1], b: [120, 10, 1], c: [80, 10] } });
    expectRight({ type: 'f32', shape, strides: { a: [96, 0, 1], b: [0, 0, 1], c: [80, 10] } });
    expectRight({ type: 'f64', shape, strides: { a: [96, 12, 0], b: [12, 1, 0], c: [80, 10] } });
  });

  test('the tiling for threads does not change a bit', () => {
    const shape = { batch: 1, m: 130, n: 260, k: 400 };
    expect(planMatmul(shape, 'f32', 8).count).toBeGreaterThan(planMatmul(shape, 'f32', 1).count);
    for (const threads of [2, 8]) expectRight({ type: 'f32', shape, strides: contiguous(shape), threads });
  });

  test('padding never turns an infinity at the edge into NaN elsewhere, and NaN stays in its row', () => {
    const [a, b, c] = [runtime.alloc(5 * 3 * 4), runtime.alloc(3 * 5 * 4), runtime.alloc(5 * 5 * 4)];
    const args = runtime.alloc(matmulWordCount * 8);
    const shape = { batch: 1, m: 5, n: 5, k: 3 };
    const { views } = runtime;
    views.f32.fill(1, a / 4, a / 4 + 15);
    views.f32.fill(1, b / 4, b / 4 + 15);
    views.f32[a / 4 + 14] = Infinity;
    views.f32[a / 4] = NaN;
    const plan = planMatmul(shape, 'f32');
    runtime.writeArguments(args, matmulArguments({ a, b, c }, shape, contiguous(shape), plan));
    runtime.run({ stages: [[{ fn: f32, args, count: plan.count, grain: plan.grain }]], scratchBytes: plan.scratchBytes });
    const rows = [0, 1, 2, 3, 4].map((r) => runtime.views.f32[c / 4 + r * 5 + 4]);
    expect(rows).toEqual([NaN, 3, 3, 3, Infinity]);
  });
});

/** The devices against each other: the same plan and bytes give the same bytes on the reference, native and WebAssembly devices. Then memory. */
import { readdirSync } from 'node:fs';
import { afterAll, describe, expect, test } from 'vitest';
import { decode, viewArray } from '../dtype/codec.ts';
import { bfloat16, type DType, float16, float32, float64, int8, int32, int64 } from '../dtype/dtype.ts';
import type { ProgramPlan } from '../schedule/plan.ts';
import * as dims from '../shape/dim.ts';
import { symbol } from '../shape/dim.ts';
import { flags } from '../util/flags.ts';
import { CpuBackend, openCpuBackend } from './cpu/device.ts';
import { OutOfMemoryError } from './cpu/memory.ts';
import { getNumThreads, setNumThreads, stopPool } from './cpu/pool.ts';
import { runnableIsas } from './cpu/x64/test-support.ts';
import type { Backend } from './interface.ts';
import { ReferenceBackend } from './reference/device.ts';
import { dense, PlanBuilder, randomBytes, randomGenerator, runPlan, type TestRun } from './test-support.ts';
import { TrackedMemory } from './tracked-memory.ts';
import { WasmBackend } from './wasm/device.ts';
import { hasFusedMultiplyAdd } from './wasm/engine.ts';

const threads = getNumThreads();
afterAll(() => {
  setNumThreads(threads);
  stopPool();
});

const devices: readonly [string, Backend][] = [
  ...runnableIsas.map((isa): [string, Backend] => [isa, new CpuBackend({ isa })]),
  ['wasm', new WasmBackend({ limit: 512 * 2 ** 20 })],
];

/**
 * `fused`: the plan has fused multiply-adds, which WebAssembly rounds twice where the engine has none, and the reference does in float64.
 * Then those are compared approximately; the native instruction sets always agree with each other.
 */
function check(plan: ProgramPlan, runs: readonly TestRun[], dtypes: readonly DType[], fused = false): void {
  const reference = runPlan(new ReferenceBackend(), plan, runs);
  let native: Uint8Array[][] | null = null;
  for (const [name, backend] of devices) {
    const got = runPlan(backend, plan, runs);
    got.forEach((outputs, run) => {
      outputs.forEach((bytes, i) => {
        const what = `${name}, run ${run}, output ${i}`;
        const rough = fused && (dtypes[i] === float64 || (name === 'wasm' && !hasFusedMultiplyAdd()));
        const wrong = rough ? farElements(dtypes[i], bytes, reference[run][i]) : differences(bytes, reference[run][i]);
        expect(`${what}: ${wrong}`).toBe(`${what}: none`);
        if (name !== 'wasm' && native !== null) expect(`${what}: ${differences(bytes, native[run][i])}`).toBe(`${what}: none`);
      });
    });
    native ??= got;
  }
}

function differences(a: Uint8Array, b: Uint8Array): string {
  if (a.length !== b.length) return `${a.length} and ${b.length} bytes`;
  const first = a.findIndex((byte, i) => byte !== b[i]);
  return first < 0 ? 'none' : `first at byte ${first} of ${a.length}`;
}

function farElements(dtype: DType, a: Uint8Array, b: Uint8Array): string {
  const [x, y] = [viewArray(dtype, a), viewArray(dtype, b)];
  const tolerance = dtype === float64 ? 1e-12 : dtype === float32 ? 1e-4 : 0.02;
  let far = x.length === y.length ? 0 : Infinity;
  for (let i = 0; i < x.length; i++) {
    const [u, v] = [Number(decode(dtype, x, i)), Number(decode(dtype, y, i))];
    if (!(Math.abs(u - v) <= tolerance * (1 + Math.abs(v)))) far++;
  }
  return far === 0 ? 'none' : `${far} elements`;
}

const random = randomGenerator(11);
const data = (dtype: DType, count: number): Uint8Array => randomBytes(dtype, count, random);

/** out = (x * y + x) * scalar, flat. */
function pointPlan(dtype: DType, n: dims.Dim): ProgramPlan {
  const p = new PlanBuilder();
  const [x, y] = [p.buffer('external', dtype, 0), p.buffer('external', dtype, 0)];
  const middle = p.buffer('temporary', dtype, n);
  const out = p.buffer('output', dtype, n);
  const flat = (buffer: number) => ({ buffer, strides: [1] });
  p.kernel({
    name: 'mix',
    shape: [n],
    sources: [flat(x), flat(y)],
    target: flat(middle),
    value: (b, [u, v]) => b.scalar('add', b.scalar('mul', u, v), u),
  });
  p.kernel({
    name: 'scale',
    shape: [n],
    sources: [flat(middle), flat(y)],
    target: flat(out),
    params: [{ kind: 'scalar', slot: 0, type: dtype.compute }],
    value: (b, [u, v], { params }) => b.scalar('sub', b.scalar('mul', u, params[0]), v),
  });
  return p.plan();
}

describe('the same bytes on every device', () => {
  test('point kernels of several dtypes, with scalars that change from run to run', () => {
    for (const dtype of [float32, float64, bfloat16, float16, int32, int64]) {
      for (const n of [1, 37, 5000]) {
        const inputs = [data(dtype, n), data(dtype, n)];
        const run = (value: number | bigint): TestRun => ({ externals: inputs, outputs: [n * dtype.itemsize], scalars: [value] });
        const scalars = dtype === int64 ? [3n, -(2n ** 40n), 3n] : dtype === int32 ? [3, -7, 3] : [0.5, -0, 0, 1e-3];
        check(pointPlan(dtype, n), scalars.map(run), [dtype]);
      }
    }
  });

  test('row reductions whose kernels are spread over threads', () => {
    setNumThreads(2);
    const [rows, columns] = [96, 1500];
    const p = new PlanBuilder();
    const x = p.buffer('external', float32, 0);
    const [sum, most] = [p.buffer('output', float32, rows), p.buffer('output', float32, rows)];
    const centered = p.buffer('output', float32, rows * columns);
    for (const [target, kind] of [
      [sum, 'sum'],
      [most, 'max'],
    ] as const)
      p.kernel({
        name: kind,
        shape: [rows],
        reduce: [columns],
        sources: [{ buffer: x, strides: [columns, 1] }],
        target: { buffer: target, strides: [1] },
        value: (_, [v], { reduce }) => reduce(kind, v),
      });
    p.kernel({
      name: 'center',
      shape: [rows, columns],
      sources: [
        { buffer: x, strides: [columns, 1] },
        { buffer: most, strides: [1, 0] },
      ],
      target: { buffer: centered, strides: [columns, 1] },
      value: (b, [v, m]) => b.scalar('sub', v, m),
    });
    const run: TestRun = { externals: [data(float32, rows * columns)], outputs: [rows * 4, rows * 4, rows * columns * 4] };
    check(p.plan(), [run, run], [float32, float32, float32]);
  });

  test('products, dense and transposed, batched, with an offset, and of several dtypes', () => {
    for (const dtype of [float32, float64, bfloat16, float16, int32, int64]) {
      for (const [m, n, k] of [
        [1, 70, 400],
        [33, 1, 50],
        [45, 61, 400],
        [3, 5, 0],
        [130, 96, 64],
      ] as const) {
        const p = new PlanBuilder();
        const [a, b] = [p.buffer('external', dtype, 0), p.buffer('external', dtype, 0)];
        const plain = p.buffer('output', dtype, m * n);
        const twice = p.buffer('output', dtype, m * n);
        const product = p.buffer('temporary', dtype, m * n);
        p.matmul({ m, n, k, a: p.operand(a, [], k, 1), b: p.operand(b, [], n, 1), c: p.operand(plain, [], n, 1) });
        // The other factor is the transposed of what lies in memory, three elements in.
        p.matmul({ m, n, k, a: p.operand(a, [], 1, m), b: p.operand(b, [], 1, k, 3), c: p.operand(product, [], n, 1) });
        const flat = (buffer: number) => ({ buffer, strides: [1] });
        p.kernel({
          name: 'twice',
          shape: [m * n],
          sources: [flat(product)],
          target: flat(twice),
          value: (b, [v]) => b.scalar('add', v, v),
        });
        const run: TestRun = {
          externals: [data(dtype, m * k + 1), data(dtype, k * n + 3)],
          outputs: [m * n * dtype.itemsize, m * n * dtype.itemsize],
        };
        check(p.plan(), [run, run], [dtype, dtype], true);
      }
    }
  });

  test('products over batches that no single stride walks, with a shared factor, into columns that are not contiguous', () => {
    const [t, h, s, d] = [2, 3, 17, 8];
    const p = new PlanBuilder();
    // q: [t, s, h, d] seen as [t, h, s, d]; k: [s, d] shared by all.
    const [q, k] = [p.buffer('external', float32, 0), p.buffer('external', float32, 0)];
    const [scores, flipped] = [p.buffer('output', float32, t * h * s * s), p.buffer('output', float32, t * h * s * s)];
    const a = p.operand(q, [s * h * d, d], h * d, 1);
    const b = p.operand(k, [0, 0], 1, d);
    p.matmul({ batch: [t, h], m: s, n: s, k: d, a, b, c: p.operand(scores, [h * s * s, s * s], s, 1) });
    p.matmul({ batch: [t, h], m: s, n: s, k: d, a, b, c: p.operand(flipped, [h * s * s, s * s], 1, s) });
    const run: TestRun = {
      externals: [data(float32, t * s * h * d), data(float32, s * d)],
      outputs: [t * h * s * s * 4, t * h * s * s * 4],
    };
    check(p.plan(), [run], [float32, float32], true);
  });

  test('two pieces of one cat in one stage, and a scatter that adds where indices repeat', () => {
    const p = new PlanBuilder();
    const [x, y, index] = [p.buffer('external', float32, 0), p.buffer('external', float32, 0), p.buffer('external', int64, 0)];
    const cat = p.buffer('output', float32, 500);
    const sums = p.buffer('output', float32, 9);
    const first = p.kernel({
      name: 'left',
      shape: [5, 40],
      sources: [{ buffer: x, strides: [40, 1] }],
      target: { buffer: cat, strides: [100, 1] },
      value: (_, [v]) => v,
    });
    p.kernel({
      name: 'right',
      shape: [5, 60],
      sources: [{ buffer: y, strides: [60, 1] }],
      target: { buffer: cat, strides: [100, 1], offset: 40 },
      value: (_, [v]) => v,
      beside: first,
    });
    p.kernel({ name: 'zero', shape: [9], sources: [], target: { buffer: sums, strides: [1] }, value: (b) => b.const('f32', 0) });
    p.scatterAdd(index, cat, sums, 300);
    const plan = p.plan();
    expect(plan.stages).toEqual([0, 0, 0, 1]);
    check(plan, [{ externals: [data(float32, 200), data(float32, 300), data(int64, 300)], outputs: [2000, 36] }], [float32, float32]);
  });

  test('one program for several values of its symbols, there and back again', () => {
    const [rows, columns] = [symbol(0), symbol(1)];
    const p = new PlanBuilder();
    const [x, w] = [p.buffer('external', float32, 0), p.buffer('external', float32, 0)];
    const total = p.buffer('temporary', float32, rows);
    const product = p.buffer('temporary', float32, dims.mul(rows, 24));
    const out = p.buffer('output', float32, dims.mul(rows, 24));
    p.kernel({
      name: 'total',
      shape: [rows],
      reduce: [columns],
      sources: [{ buffer: x, strides: [columns, 1] }],
      target: { buffer: total, strides: [1] },
      value: (_, [v], { reduce }) => reduce('sum', v),
    });
    p.matmul({ m: rows, n: 24, k: columns, a: p.operand(x, [], columns, 1), b: p.operand(w, [], 24, 1), c: p.operand(product, [], 24, 1) });
    p.kernel({
      name: 'join',
      shape: [rows, 24],
      sources: [
        { buffer: product, strides: [24, 1] },
        { buffer: total, strides: [1, 0] },
      ],
      target: { buffer: out, strides: [24, 1] },
      params: [{ kind: 'symbol', slot: 1, type: 'i64' }],
      value: (b, [u, v], { params }) => b.scalar('add', b.scalar('add', u, v), b.cast('f32', params[0])),
    });
    const run = (m: number, k: number): TestRun => ({
      externals: [data(float32, m * k), data(float32, k * 24)],
      outputs: [m * 24 * 4],
      symbols: [m, k],
    });
    const runs = [
      [3, 20],
      [4, 20],
      [200, 700],
      [5, 401],
      [3, 20],
      [0, 7],
      [150, 64],
    ].map(([m, k]) => run(m, k));
    check(p.plan(1), runs, [float32], true);
  });

  test('an output in the memory of an external', () => {
    for (const renamed of [true, false]) {
      const p = new PlanBuilder();
      const [x, g] = [p.buffer('external', float32, 0), p.buffer('external', float32, 0)];
      const out = p.buffer('output', float32, 3000);
      const flat = (buffer: number) => ({ buffer, strides: [1] });
      p.kernel({
        name: 'step',
        shape: [3000],
        sources: [flat(x), flat(g)],
        target: flat(renamed ? x : out),
        value: (b, [u, v]) => b.scalar('sub', u, v),
      });
      check(p.plan(), [{ externals: [data(float32, 3000), data(float32, 3000)], outputs: [{ donor: 0 }] }], [float32]);
    }
  });

  test('random programs over temporaries in one arena', () => {
    const choose = randomGenerator(5);
    const pick = (n: number): number => Math.floor(choose() * n);
    for (let trial = 0; trial < 25; trial++) {
      const p = new PlanBuilder();
      // Matrices [size, size], as element-wise results, row statistics spread out, products and transposed copies.
      const size = 4 + pick(60);
      const shape = [size, size];
      const values = [p.buffer('external', float32, 0), p.buffer('external', float32, 0)];
      const count = 4 + pick(12);
      let outputs = 0;
      for (let i = 0; i < count; i++) {
        const kind = i >= count - 2 ? 'output' : 'temporary';
        if (kind === 'output') outputs++;
        const target = p.buffer(kind, float32, size * size);
        const [u, v] = [values[pick(values.length)], values[pick(values.length)]];
        const at = (buffer: number) => ({ buffer, strides: dense(shape) });
        switch (pick(4)) {
          case 0:
            p.kernel({
              name: 'mix',
              shape,
              sources: [at(u), at(v)],
              target: at(target),
              value: (b, [x, y]) => b.scalar('min', b.scalar('max', b.scalar('mul', x, y), b.const('f32', -2)), b.const('f32', 2)),
            });
            break;
          case 1:
            p.kernel({
              name: 'turn',
              shape,
              sources: [{ buffer: u, strides: [1, size] }, at(v)],
              target: at(target),
              value: (b, [x, y]) => b.scalar('sub', x, y),
            });
            break;
          case 2: {
            const row = p.buffer('temporary', float32, size);
            p.kernel({
              name: 'most',
              shape: [size],
              reduce: [size],
              sources: [at(u)],
              target: { buffer: row, strides: [1] },
              value: (_, [x], { reduce }) => reduce('max', x),
            });
            p.kernel({
              name: 'spread',
              shape,
              sources: [at(v), { buffer: row, strides: [1, 0] }],
              target: at(target),
              value: (b, [x, y]) => b.scalar('add', x, b.scalar('mul', y, b.const('f32', 0.125))),
            });
            break;
          }
          default: {
            const product = p.buffer('temporary', float32, size * size);
            p.matmul({
              m: size,
              n: size,
              k: size,
              a: p.operand(u, [], size, 1),
              b: p.operand(v, [], 1, size),
              c: p.operand(product, [], size, 1),
            });
            p.kernel({
              name: 'shrink',
              shape,
              sources: [at(product)],
              target: at(target),
              value: (b, [x]) => b.scalar('div', x, b.scalar('add', b.scalar('abs', x), b.const('f32', 1))),
            });
          }
        }
        values.push(target);
      }
      const run: TestRun = {
        externals: [data(float32, size * size), data(float32, size * size)],
        outputs: new Array<number>(outputs).fill(size * size * 4),
      };
      check(p.plan(), [run, run], [float32, float32], true);
    }
  });

  test('results so large that they bypass the caches', () => {
    const n = 9_000_001;
    const p = new PlanBuilder();
    const x = p.buffer('external', float32, 0);
    const out = p.buffer('output', float32, n);
    const flat = (buffer: number) => ({ buffer, strides: [1] });
    p.kernel({ name: 'negate', shape: [n], sources: [flat(x)], target: flat(out), value: (b, [v]) => b.scalar('neg', v) });
    const plan = p.plan();
    const input = new Float32Array(n).map((_, i) => i);
    for (const [name, backend] of devices) {
      if (name !== 'wasm') {
        const listed = backend.compile(plan);
        expect(listed.listing()).toContain('vmovntps');
        listed.dispose();
      }
      const [[bytes]] = runPlan(backend, plan, [{ externals: [new Uint8Array(input.buffer)], outputs: [n * 4] }]);
      const result = new Float32Array(bytes.buffer);
      let wrong = 0;
      for (let i = 0; i < n; i++) if (result[i] !== -i) wrong++;
      expect(`${name}: ${wrong}`).toBe(`${name}: 0`);
    }
  });
});

describe.runIf(runnableIsas.length > 0)('the native device', () => {
  test('elements beyond 2^31 are reached through 64-bit indices', () => {
    const backend = new CpuBackend();
    const far = 2 ** 31 + 77;
    if (backend.available() < far + 2 ** 30) return;
    const p = new PlanBuilder();
    const [x, index] = [p.buffer('external', int8, 0), p.buffer('external', int64, 0)];
    const out = p.buffer('output', int8, 20);
    p.gather(x, index, out, 20);
    const executable = backend.compile(p.plan());
    const small = backend.allocate(64);
    backend.write(
      small,
      new Uint8Array(64).map((_, i) => i),
    );
    const places = backend.allocate(160);
    const result = backend.allocate(20);
    backend.write(places, new Uint8Array(BigInt64Array.from({ length: 20 }, (_, i) => BigInt(i * 2)).buffer));
    executable.run({ externals: [small, places], outputs: [result], symbols: [], scalars: [] });
    expect([...backend.read(result, 0, 20)]).toEqual(Array.from({ length: 20 }, (_, i) => i * 2));
    const huge = backend.allocate(far + 64);
    backend.write(
      huge,
      new Uint8Array(64).map((_, i) => 100 - i),
      far,
    );
    backend.write(places, new Uint8Array(BigInt64Array.from({ length: 20 }, (_, i) => BigInt(far + i)).buffer));
    executable.run({ externals: [huge, places], outputs: [result], symbols: [], scalars: [] });
    expect([...backend.read(result, 0, 20)]).toEqual(Array.from({ length: 20 }, (_, i) => 100 - i));
    for (const b of [small, places, result, huge]) backend.free(b);
  });

  test('a small program wakes no thread, a large one does', () => {
    const count = (): number => readdirSync('/proc/self/task').length;
    setNumThreads(2);
    stopPool();
    const backend = new CpuBackend();
    const alone = count();
    runPlan(backend, pointPlan(float32, 2000), [{ externals: [data(float32, 2000), data(float32, 2000)], outputs: [8000], scalars: [1] }]);
    // One of Node's own may have ended meanwhile.
    expect(count()).toBeLessThanOrEqual(alone);
    const n = 200_000;
    runPlan(backend, pointPlan(float32, n), [{ externals: [data(float32, n), data(float32, n)], outputs: [n * 4], scalars: [1] }]);
    expect(count()).toBe(alone + 1);
  });

  test('kernels that differ only in their buffers share their code, and the listing shows them', () => {
    const executable = new CpuBackend().compile(pointPlan(float32, 100));
    expect(executable.listing()).toContain('kernel mix');
    expect(executable.listing()).toContain('vmulps');
    executable.dispose();
  });

  test('a profiled program gives the same numbers and prints each step', () => {
    const lines: string[] = [];
    const error = console.error;
    console.error = (line: string) => void lines.push(line);
    flags.trace = 'profile';
    try {
      check(
        pointPlan(float32, 5000),
        [{ externals: [data(float32, 5000), data(float32, 5000)], outputs: [20000], scalars: [2] }],
        [float32],
      );
    } finally {
      console.error = error;
      flags.trace = '';
    }
    expect(lines.filter((l) => /us +0\.060 MB .*GB\/s +\d+ % {2}(mix|scale)/.test(l))).toHaveLength(2 * runnableIsas.length);
  });

  test('MAGPIE_ISA chooses the instruction set, or WebAssembly under the same name', () => {
    const before = flags.isa;
    try {
      flags.isa = 'avx2';
      expect((openCpuBackend() as CpuBackend).isa).toBe('avx2');
      flags.isa = 'wasm';
      const backend = openCpuBackend();
      expect(backend).toBeInstanceOf(WasmBackend);
      expect([backend.name, backend.allocate(4).device]).toEqual(['cpu', 'cpu']);
    } finally {
      flags.isa = before;
    }
  });
});

describe('memory', () => {
  const options = [
    ...(runnableIsas.length > 0 ? [['cpu', (limit: number): Backend => new CpuBackend({ limit })] as const] : []),
    ['wasm', (limit: number): Backend => new WasmBackend({ limit })] as const,
  ];
  const mega = 2 ** 20;

  test.each(options)('5,000 results of 8 MB dropped in a synchronous loop keep memory flat on %s', (_, open) => {
    const backend = open(2048 * mega);
    const page = new Uint8Array(1).fill(1);
    let highest = 0;
    const before = process.memoryUsage.rss();
    for (let i = 0; i < 5000; i++) {
      const buffer = backend.allocate(8 * mega);
      for (let at = 0; at < 8 * mega; at += mega) backend.write(buffer, page, at);
      if (i % 50 === 0) highest = Math.max(highest, process.memoryUsage.rss() - before);
    }
    expect(highest).toBeLessThan(400 * mega);
    expect(backend.stats().liveBytes).toBeLessThanOrEqual(300 * mega);
  });

  test('what is still held survives a sweep, what is freed by hand is not freed again', () => {
    const released: number[] = [];
    const memory = new TrackedMemory<{ address: number }>({
      release: (b) => void released.push(b.address),
      available: () => 0,
      giveBack: () => {},
    });
    const kept = memory.allocate(100, 'test', () => ({ address: 1 }));
    const freed = memory.allocate(10, 'test', () => ({ address: 2 }));
    const drop = (address: number): void => void memory.allocate(1000, 'test', () => ({ address }));
    for (let i = 10; i < 15; i++) drop(i);
    memory.free(freed);
    memory.free(freed);
    expect(memory.statistics.liveBuffers).toBe(6);
    expect(memory.sweep()).toBe(5000);
    expect(released.sort((a, b) => a - b)).toEqual([2, 10, 11, 12, 13, 14]);
    expect(memory.statistics).toMatchObject({ liveBytes: 100, liveBuffers: 1, sweeps: 1, sweptBytes: 5000, peakBytes: 5110 });
    expect(kept.address).toBe(1);
    expect(freed.address).toBe(0);
  });

  test.each(options)('out of memory says what was asked for and what takes the room, and ends nothing, on %s', (_, open) => {
    const backend = open(64 * mega);
    const held = [backend.allocate(30 * mega), backend.allocate(10 * mega)];
    let error: unknown;
    try {
      backend.allocate(40 * mega);
    } catch (e) {
      error = e;
    }
    expect(error).toBeInstanceOf(OutOfMemoryError);
    const [first, second, third] = (error as Error).message.split('\n');
    expect(first).toBe(
      "DefaultCPUAllocator: can't allocate memory: you tried to allocate 41943040 bytes. Error code 12 (Cannot allocate memory)",
    );
    expect(second).toMatch(/asked for 40\.0 MiB for a tensor; 2\d\.\d MiB are available/);
    expect(third).toContain('40.0 MiB are in 2 live buffers, the largest: 30.0 MiB, 10.0 MiB');
    const more = backend.allocate(8 * mega);
    backend.write(more, new Uint8Array([5, 6]));
    expect([...backend.read(more, 0, 2)]).toEqual([5, 6]);
    backend.free(held[0]);
    backend.free(backend.allocate(30 * mega));
  });

  test.each(options)('garbage is found before an allocation fails, on %s', (_, open) => {
    const backend = open(64 * mega);
    for (let i = 0; i < 20; i++) backend.allocate(20 * mega);
    expect(backend.stats().liveBytes).toBeLessThanOrEqual(60 * mega);
  });

  test.each(options)('a program without room for its temporaries runs no step, and runs once there is room, on %s', (_, open) => {
    const backend = open(64 * mega);
    const n = 6 * mega;
    const p = new PlanBuilder();
    const x = p.buffer('external', float32, 0);
    const early = p.buffer('output', float32, 64);
    const [middle, late] = [p.buffer('temporary', float32, n), p.buffer('output', float32, 64)];
    const flat = (buffer: number) => ({ buffer, strides: [1] });
    p.kernel({ name: 'early', shape: [64], sources: [flat(x)], target: flat(early), value: (_, [v]) => v });
    p.kernel({ name: 'fill', shape: [n], sources: [{ buffer: x, strides: [0] }], target: flat(middle), value: (_, [v]) => v });
    p.kernel({
      name: 'late',
      shape: [64],
      sources: [{ buffer: middle, strides: [1], offset: n - 64 }],
      target: flat(late),
      value: (_, [v]) => v,
    });
    const executable = backend.compile(p.plan());
    const [input, a, b] = [0, 1, 2].map(() => backend.allocate(256));
    backend.write(input, new Uint8Array(new Float32Array(64).fill(3).buffer));
    for (const o of [a, b]) backend.write(o, new Uint8Array(256));
    const hog = backend.allocate(45 * mega);
    const bindings = { externals: [input], outputs: [a, b], symbols: [], scalars: [] };
    expect(() => executable.run(bindings)).toThrow(OutOfMemoryError);
    expect(() => executable.run(bindings)).toThrow(/temporaries of a program/);
    expect(backend.read(a, 0, 256).every((byte) => byte === 0)).toBe(true);
    backend.free(hog);
    executable.run(bindings);
    for (const o of [a, b]) expect(new Float32Array(backend.read(o, 0, 256).buffer).every((v) => v === 3)).toBe(true);
  });
});

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { run } from '../backend/reference/interpreter.ts';
import { viewArray } from '../dtype/codec.ts';
import { float32 } from '../dtype/dtype.ts';
import { interpretVectorKernel } from './interpret-vector.ts';
import type { Axis, Expr, Kernel, Statement } from './ir.ts';
import { KernelBuilder } from './ir.ts';
import { lowerKernel } from './lower.ts';
import { printKernel } from './print.ts';
import { scheduleKernel } from './schedule.ts';
import { verifyKernel } from './verify.ts';
import { verifyVectorKernel } from './verify-vector.ts';

function floats(length: number): Uint8Array {
  const bytes = new Uint8Array(length * 4);
  const array = viewArray(float32, bytes);
  for (let i = 0; i < length; i++) array[i] = Math.sin(i * 12.9898) * 10;
  return bytes;
}
const store = (buffer: number, index: Expr, value: Expr): Statement => ({ kind: 'store', buffer, index, value, mask: null, combine: null });
const evaluate = (e: Expr): number =>
  e.op === 'const' ? Number(e.value) : e.op === 'scalar' && e.fn === 'mul' ? evaluate(e.args[0]) * evaluate(e.args[1]) : Number.NaN;
const gridSize = (k: Kernel): number => k.grid.reduce((n, a) => n * evaluate(a.extent), 1);

function sameResult(kernel: Kernel, scheduled: Kernel, sizes: readonly number[]): void {
  verifyKernel(kernel);
  verifyKernel(scheduled);
  const buffers = sizes.map(floats);
  const expected = buffers.map((b) => b.slice());
  run(kernel, expected, [], 0, gridSize(kernel));
  const actual = buffers.map((b) => b.slice());
  run(scheduled, actual, [], 0, gridSize(scheduled));
  for (const lanes of [16, 4] as const) {
    const lowered = buffers.map((b) => b.slice());
    const vector = lowerKernel(scheduled, { lanes });
    verifyVectorKernel(vector);
    interpretVectorKernel(vector, lowered, [], 0, gridSize(scheduled));
    lowered.forEach((b, i) => {
      expect(Buffer.compare(b, expected[i]), `lanes ${lanes}, buffer ${i}\n${printKernel(kernel)}${printKernel(scheduled)}`).toBe(0);
    });
  }
  actual.forEach((b, i) => {
    expect(Buffer.compare(b, expected[i]), `${printKernel(kernel)}${printKernel(scheduled)}`).toBe(0);
  });
}

/** Row-major index over axes with explicit strides. */
function at(b: KernelBuilder, axes: readonly Axis[], strides: readonly number[]): Expr {
  return axes.reduce((sum, a, i) => b.scalar('add', sum, b.scalar('mul', b.use(a), b.index(strides[i]))), b.index(0));
}
function contiguous(extents: readonly number[]): number[] {
  return extents.map((_, i) => extents.slice(i + 1).reduce((p, q) => p * q, 1));
}

describe('scheduleKernel', () => {
  test('a contiguous element-wise grid of three axes becomes one flat vector axis', () => {
    const b = new KernelBuilder();
    const grid = [3, 5, 7].map((n, i) => b.axis('ijk'[i], n, 'grid'));
    const index = at(b, grid, contiguous([3, 5, 7]));
    const x = b.load(0, 'f32', index);
    const kernel: Kernel = {
      name: 'flat',
      buffers: [
        { dtype: float32, access: 'read' },
        { dtype: float32, access: 'write' },
      ],
      params: [],
      grid,
      body: [store(1, index, b.scalar('mul', x, x))],
    };
    const scheduled = scheduleKernel(kernel);
    expect(scheduled.grid.map((a) => [evaluate(a.extent), a.kind])).toEqual([[105, 'vector']]);
    sameResult(kernel, scheduled, [105, 105]);
  });

  test('a row broadcast keeps rows and columns apart, lanes along the columns', () => {
    const b = new KernelBuilder();
    const grid = [4, 6, 100].map((n, i) => b.axis('ijk'[i], n, 'grid'));
    const index = at(b, grid, contiguous([4, 6, 100]));
    const value = b.scalar('add', b.load(0, 'f32', index), b.load(2, 'f32', b.use(grid[2])));
    const kernel: Kernel = {
      name: 'bias',
      buffers: [
        { dtype: float32, access: 'read' },
        { dtype: float32, access: 'write' },
        { dtype: float32, access: 'read' },
      ],
      params: [],
      grid,
      body: [store(1, index, value)],
    };
    const scheduled = scheduleKernel(kernel);
    expect(scheduled.grid.map((a) => evaluate(a.extent))).toEqual([24]);
    expect(scheduled.body).toMatchObject([{ kind: 'loop', axis: { kind: 'vector' } }]);
    sameResult(kernel, scheduled, [2400, 2400, 100]);
  });

  test('an element-wise nest that reads columns is cut into tiles of sixteen lanes, where both extents allow', () => {
    for (const [rows, columns, tiled] of [
      [96, 64, true],
      [40, 1024, true],
      [90, 64, false],
      [96, 100, false],
      [16, 64, false],
    ] as const) {
      const b = new KernelBuilder();
      const [n, i, j] = [b.axis('n', 2, 'grid'), b.axis('i', rows, 'grid'), b.axis('j', columns, 'grid')];
      const all = rows * columns;
      const kernel: Kernel = {
        name: 'across',
        buffers: [
          { dtype: float32, access: 'read' },
          { dtype: float32, access: 'read' },
          { dtype: float32, access: 'write' },
        ],
        params: [],
        grid: [n, i, j],
        body: [
          store(
            2,
            at(b, [n, i, j], [all, columns, 1]),
            b.scalar('add', b.load(0, 'f32', at(b, [n, i, j], [all, 1, rows])), b.load(1, 'f32', at(b, [n, i, j], [all, columns, 1]))),
          ),
        ],
      };
      const scheduled = scheduleKernel(kernel);
      expect(printKernel(scheduled).includes('serial'), `${rows} x ${columns}`).toBe(tiled);
      sameResult(kernel, scheduled, [2 * all, 2 * all, 2 * all]);
    }
  });

  test('random strides, broadcasts and permutations keep their results', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(1, 2, 3, 8, 17), { minLength: 1, maxLength: 4 }),
        fc.array(fc.array(fc.nat(5), { minLength: 4, maxLength: 4 }), { minLength: 1, maxLength: 3 }),
        fc.nat(23),
        (extents, loads, order) => {
          const b = new KernelBuilder();
          const grid = extents.map((n, i) => b.axis('ijkl'[i], n, 'grid'));
          const dense = contiguous(extents);
          const total = extents.reduce((p: number, q) => p * q, 1);
          // the output is dense in some order of the axes
          const permuted = extents.map((_, i) => (i + order) % extents.length);
          const outer = contiguous(permuted.map((p) => extents[p]));
          const outStrides = extents.map((_, i) => outer[permuted.indexOf(i)]);
          const value = loads
            .map((picks) =>
              b.load(
                0,
                'f32',
                at(
                  b,
                  grid,
                  extents.map((_, i) => (picks[i] === 0 ? 0 : picks[i] < 4 ? dense[i] : picks[i] - 3)),
                ),
              ),
            )
            .reduce((p, q) => b.scalar('sub', p, q));
          const kernel: Kernel = {
            name: 'random',
            buffers: [
              { dtype: float32, access: 'read' },
              { dtype: float32, access: 'write' },
            ],
            params: [],
            grid,
            body: [store(1, at(b, grid, outStrides), value)],
          };
          const scheduled = scheduleKernel(kernel);
          sameResult(kernel, scheduled, [3 * total + 200, total]);
        },
      ),
      { numRuns: 60 },
    );
  });

  test('loops over one row merge when they may, and not when the second reads what the first wrote', () => {
    const b = new KernelBuilder();
    const i = b.axis('i', 4, 'grid');
    const loopOf = (target: number, source: number, flip: boolean): Statement => {
      const j = b.axis('j', 40, 'vector');
      const index = (e: Expr): Expr => b.scalar('add', b.scalar('mul', b.use(i), b.index(40)), e);
      const from = flip ? b.scalar('sub', b.index(39), b.use(j)) : b.use(j);
      const x = b.load(source, 'f32', index(from));
      return { kind: 'loop', axis: j, body: [store(target, index(b.use(j)), b.scalar('mul', x, x))] };
    };
    const kernel = (body: Statement[]): Kernel => ({
      name: 'two loops',
      buffers: [0, 1, 2].map(() => ({ dtype: float32, access: 'readwrite' as const })),
      params: [],
      grid: [i],
      body,
    });
    const independent = kernel([loopOf(1, 0, false), loopOf(2, 0, true)]);
    const dependent = kernel([loopOf(1, 0, false), loopOf(2, 1, true)]);
    const overwriting = kernel([loopOf(1, 0, true), loopOf(0, 2, false)]);
    expect(scheduleKernel(independent).body).toHaveLength(1);
    expect(scheduleKernel(dependent).body).toHaveLength(2);
    expect(scheduleKernel(overwriting).body).toHaveLength(2);
    for (const k of [independent, dependent, overwriting]) sameResult(k, scheduleKernel(k), [160, 160, 160]);
  });

  test('row sums run lanes along the row, column sums across the columns', () => {
    for (const byColumn of [false, true]) {
      const b = new KernelBuilder();
      const i = b.axis('i', 50, 'grid');
      const k = b.axis('k', 37, 'reduce');
      const index = byColumn ? at(b, [k, i], [50, 1]) : at(b, [i, k], [37, 1]);
      const kernel: Kernel = {
        name: 'sums',
        buffers: [
          { dtype: float32, access: 'read' },
          { dtype: float32, access: 'write' },
        ],
        params: [],
        grid: [i],
        body: [store(1, b.use(i), b.reduce('sum', [k], b.load(0, 'f32', index)))],
      };
      const scheduled = scheduleKernel(kernel);
      expect(scheduled.grid[0].kind).toBe(byColumn ? 'vector' : 'grid');
      sameResult(kernel, scheduled, [37 * 50, 50]);
    }
  });

  test('results that there is one of a row do not turn a row kernel around', () => {
    const b = new KernelBuilder();
    const i = b.axis('i', 50, 'grid');
    const k = b.axis('k', 37, 'reduce');
    const j = b.axis('j', 37, 'vector');
    const value = b.load(0, 'f32', at(b, [i, k], [37, 1]));
    const kernel: Kernel = {
      name: 'statistics',
      buffers: ['read', 'write', 'write', 'write', 'write'].map((access) => ({ dtype: float32, access: access as 'read' | 'write' })),
      params: [],
      grid: [i],
      body: [
        ...(['sum', 'max', 'min'] as const).map((kind, n) => store(n + 1, b.use(i), b.reduce(kind, [k], value))),
        { kind: 'loop', axis: j, body: [store(4, at(b, [i, j], [37, 1]), b.load(0, 'f32', at(b, [i, j], [37, 1])))] },
      ],
    };
    const scheduled = scheduleKernel(kernel);
    expect(scheduled.grid[0].kind).toBe('grid');
    sameResult(kernel, scheduled, [37 * 50, 50, 50, 50, 37 * 50]);
  });

  test('a long row under a small grid is cut into grid items', () => {
    const b = new KernelBuilder();
    const grid = [b.axis('i', 2, 'grid'), b.axis('j', 3072, 'grid')];
    const index = at(b, grid, [3072, 1]);
    const kernel: Kernel = {
      name: 'scale rows',
      buffers: [
        { dtype: float32, access: 'read' },
        { dtype: float32, access: 'write' },
        { dtype: float32, access: 'read' },
      ],
      params: [],
      grid,
      body: [store(1, index, b.scalar('mul', b.load(0, 'f32', index), b.load(2, 'f32', b.use(grid[0]))))],
    };
    const scheduled = scheduleKernel(kernel);
    expect(scheduled.grid.map((a) => evaluate(a.extent))).toEqual([2, 3]);
    sameResult(kernel, scheduled, [6144, 6144, 2]);
  });

  test('a short last dim does not get the lanes: channels first to channels last', () => {
    const b = new KernelBuilder();
    const grid = [b.axis('h', 20, 'grid'), b.axis('w', 30, 'grid'), b.axis('c', 3, 'grid')];
    const kernel: Kernel = {
      name: 'channels last',
      buffers: [
        { dtype: float32, access: 'read' },
        { dtype: float32, access: 'write' },
      ],
      params: [],
      grid,
      body: [store(1, at(b, grid, [90, 3, 1]), b.load(0, 'f32', at(b, grid, [30, 1, 600])))],
    };
    const scheduled = scheduleKernel(kernel);
    expect(scheduled.body).toMatchObject([{ kind: 'loop', axis: { kind: 'vector', name: 'hw' } }]);
    sameResult(kernel, scheduled, [1800, 1800]);
  });

  test('symbolic extents collapse too, and unit axes vanish', () => {
    const b = new KernelBuilder();
    const n = b.param('index', 0);
    const m = b.param('index', 1);
    const grid = [b.axis('u', 1, 'grid'), b.axis('i', 2, 'grid'), b.axis('j', n, 'grid'), b.axis('k', m, 'vector')];
    const row = (a: Axis, e: Expr, size: Expr): Expr => b.scalar('add', b.scalar('mul', b.use(a), size), e);
    const index = row(grid[1], row(grid[2], b.use(grid[3]), m), b.scalar('mul', n, m));
    const kernel: Kernel = {
      name: 'symbols',
      buffers: [
        { dtype: float32, access: 'read' },
        { dtype: float32, access: 'write' },
      ],
      params: ['index', 'index'],
      grid: grid.slice(0, 3),
      body: [
        { kind: 'loop', axis: grid[3], body: [store(1, index, b.scalar('neg', b.load(0, 'f32', b.scalar('add', index, b.index(3)))))] },
      ],
    };
    const scheduled = scheduleKernel(kernel);
    expect(scheduled.grid.map((a) => a.kind)).toEqual(['vector']);
    const buffers = [floats(2 * 5 * 7 + 3), floats(2 * 5 * 7)];
    const expected = buffers.map((x) => x.slice());
    run(kernel, expected, [5, 7], 0, 10);
    interpretVectorKernel(lowerKernel(scheduled, { lanes: 8 }), buffers, [5, 7], 0, 70);
    expect(Buffer.compare(buffers[1], expected[1])).toBe(0);
  });

  test('softmax over the first dim runs lanes across columns and keeps its reductions out of the loop', () => {
    for (const batch of [1, 3]) {
      const b = new KernelBuilder();
      const n = b.axis('n', batch, 'grid');
      const i = b.axis('i', 70, 'grid');
      const j = b.axis('j', 20, 'vector');
      const k = b.axis('k', 20, 'reduce');
      const where = (a: Axis): Expr => at(b, [n, a, i], [1400, 70, 1]);
      const x = (a: Axis): Expr => b.load(0, 'f32', where(a));
      const max = b.reduce('max', [k], x(k));
      const shifted = (a: Axis): Expr => b.scalar('mul', b.scalar('sub', x(a), max), b.scalar('sub', x(a), max));
      const value = b.scalar('div', shifted(j), b.reduce('sum', [k], shifted(k)));
      const kernel: Kernel = {
        name: 'softmax dim 0',
        buffers: [
          { dtype: float32, access: 'read' },
          { dtype: float32, access: 'write' },
        ],
        params: [],
        grid: [n, i],
        body: [{ kind: 'loop', axis: j, body: [store(1, where(j), value)] }],
      };
      const scheduled = scheduleKernel(kernel);
      const [only] = scheduled.body;
      if (only.kind !== 'loop') throw new Error('no loop');
      // one batch: the columns are the grid; several: each batch has a vector loop over its columns
      const serial = batch === 1 ? only : only.body[0];
      expect(batch === 1 ? scheduled.grid : [only.axis]).toMatchObject([{ name: 'i', kind: 'vector' }]);
      expect(serial).toMatchObject({ kind: 'loop', axis: { name: 'j', kind: 'serial' } });
      expect([i.kind, j.kind]).toEqual(['grid', 'vector']);
      sameResult({ ...kernel }, scheduled, [batch * 1400, batch * 1400]);
    }
  });

  test('column sums of each matrix of a batch, and sums that share an axis, keep their results', () => {
    for (const batchStride of [37 * 50, 1]) {
      const b = new KernelBuilder();
      const n = b.axis('n', 3, 'grid');
      const i = b.axis('i', 50, 'grid');
      const [k, l] = [b.axis('k', 37, 'reduce'), b.axis('l', 37, 'reduce')];
      const x = (a: Axis): Expr => b.load(0, 'f32', at(b, [n, a, i], [batchStride, 50, 1]));
      const mean = b.reduce('sum', [k], x(k));
      const spread = b.reduce('sum', [l], b.scalar('mul', x(l), x(l)));
      const kernel: Kernel = {
        name: 'batched column sums',
        buffers: [
          { dtype: float32, access: 'read' },
          { dtype: float32, access: 'write' },
        ],
        params: [],
        grid: [n, i],
        body: [store(1, at(b, [n, i], [50, 1]), b.scalar('div', mean, spread))],
      };
      sameResult(kernel, scheduleKernel(kernel), [4 * 37 * 50, 150]);
    }
  });
});

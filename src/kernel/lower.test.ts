import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { run } from '../backend/reference/interpreter.ts';
import { encodeInto, viewArray } from '../dtype/codec.ts';
import type { DType } from '../dtype/dtype.ts';
import * as D from '../dtype/dtype.ts';
import { interpretVectorKernel } from './interpret-vector.ts';
import type { BufferDeclaration, Expr, Kernel } from './ir.ts';
import { KernelBuilder } from './ir.ts';
import { lowerKernel, touchesWide } from './lower.ts';
import { printVectorKernel } from './print-vector.ts';
import { scheduleKernel } from './schedule.ts';
import type { Lanes } from './vector-ir.ts';
import { verifyKernel } from './verify.ts';
import { verifyVectorKernel } from './verify-vector.ts';

const read = (dtype: DType): BufferDeclaration => ({ dtype, access: 'read' });
const write = (dtype: DType): BufferDeclaration => ({ dtype, access: 'write' });

let seed = 1;
function random(): number {
  seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
  return seed / 0x7fffffff;
}
function data(dtype: DType, length: number, limit = 0): Uint8Array {
  const bytes = new Uint8Array(Math.max(length, 1) * dtype.itemsize);
  const array = viewArray(dtype, bytes);
  for (let i = 0; i < length; i++) {
    const r = random();
    if (limit > 0) encodeInto(dtype, array, i, dtype === D.int64 ? BigInt(Math.floor(r * limit)) : Math.floor(r * limit));
    else if (dtype.kind === 'float') encodeInto(dtype, array, i, r < 0.01 ? Number.NaN : (r - 0.5) * 8);
    else if (dtype === D.bool) encodeInto(dtype, array, i, r < 0.3);
    else encodeInto(dtype, array, i, dtype === D.int64 ? BigInt(Math.floor((r - 0.5) * 200)) : Math.floor((r - 0.5) * 200));
  }
  return bytes;
}

/** Lowers for every lane count and compares bytes with the reference. */
function check(
  kernel: Kernel,
  buffers: Uint8Array[],
  params: (number | bigint | boolean)[],
  count: number,
  lanes: Lanes[] = [16, 8, 4, 2],
): void {
  verifyKernel(kernel);
  const expected = buffers.map((b) => b.slice());
  run(kernel, expected, params, 0, count);
  for (const p of lanes) {
    const vector = lowerKernel(kernel, { lanes: p });
    verifyVectorKernel(vector);
    const actual = buffers.map((b) => b.slice());
    // two ranges, as two threads would run them
    const cut = Math.min(count, Math.floor(count / 2 / 16) * 16 || (kernel.grid[0]?.kind === 'vector' ? 0 : 1));
    interpretVectorKernel(vector, actual, params, 0, cut);
    interpretVectorKernel(vector, actual, params, cut, count);
    actual.forEach((bytes, i) => {
      if (Buffer.compare(bytes, expected[i]) === 0) return;
      const got = viewArray(kernel.buffers[i].dtype, bytes);
      const want = viewArray(kernel.buffers[i].dtype, expected[i]);
      const at = got.findIndex((v, k) => !Object.is(v, want[k]));
      expect(`${kernel.name}, ${p} lanes, buffer ${i}, element ${at}: ${got[at]}`, printVectorKernel(vector)).toBe(`${want[at]}`);
    });
  }
}

/** The same before and after scheduling; the grids may differ. */
function checkScheduled(kernel: Kernel, buffers: Uint8Array[], params: (number | bigint | boolean)[] = []): void {
  const size = (k: Kernel): number => k.grid.reduce((n, a) => n * extentOf(a.extent, params), 1);
  const expected = buffers.map((b) => b.slice());
  run(kernel, expected, params, 0, size(kernel));
  const scheduled = scheduleKernel(kernel);
  const actual = buffers.map((b) => b.slice());
  run(scheduled, actual, params, 0, size(scheduled));
  expect(actual).toEqual(expected);
  check(scheduled, buffers, params, size(scheduled));
}
function extentOf(e: Expr, params: readonly (number | bigint | boolean)[]): number {
  if (e.op === 'const') return e.value as number;
  if (e.op === 'param') return Number(params[e.slot]);
  if (e.op === 'scalar' && e.fn === 'mul') return extentOf(e.args[0], params) * extentOf(e.args[1], params);
  throw new Error('extent');
}

const extents = [0, 1, 2, 15, 16, 17, 33, 100];
const longExtents = [0, 1, 15, 17, 1024, 1025, 2049];

describe('element-wise kernels', () => {
  test('a flat kernel of every dtype gives the reference bits', () => {
    for (const dtype of [D.float32, D.float64, D.float16, D.bfloat16, D.int8, D.int16, D.uint8, D.int32, D.int64]) {
      for (const n of extents) {
        const b = new KernelBuilder();
        const i = b.axis('i', n, 'vector');
        const type = dtype.compute;
        const x = b.load(0, type, b.use(i));
        const y = b.load(1, type, b.use(i));
        const sum = b.scalar('add', b.scalar('mul', x, y), b.param(type, 0));
        const value = b.round(dtype, sum);
        const kernel: Kernel = {
          name: `flat ${dtype.name} ${n}`,
          buffers: [read(dtype), read(dtype), write(dtype), write(D.bool)],
          params: [type],
          grid: [i],
          body: [
            { kind: 'store', buffer: 2, index: b.use(i), value, mask: null, combine: null },
            { kind: 'store', buffer: 3, index: b.use(i), value: b.scalar('lt', x, y), mask: null, combine: null },
          ],
        };
        check(kernel, [data(dtype, n), data(dtype, n), data(dtype, n), data(D.bool, n)], [dtype === D.int64 ? 3n : 3], n);
      }
    }
  });

  test('broadcasts, transposes, flips and slices give the reference bits', () => {
    fc.assert(
      fc.property(fc.constantFrom(1, 2, 17, 33), fc.constantFrom(...extents), fc.boolean(), (rows, columns, schedule) => {
        const b = new KernelBuilder();
        const i = b.axis('i', rows, 'grid');
        const j = b.axis('j', columns, 'vector');
        const at = (ci: number, cj: number, c = 0): Expr =>
          b.scalar('add', b.scalar('add', b.scalar('mul', b.use(i), b.index(ci)), b.scalar('mul', b.use(j), b.index(cj))), b.index(c));
        const reversed = b.scalar('sub', b.index(rows * columns), b.scalar('add', at(columns, 1), b.index(1)));
        const value = [
          at(columns, 1),
          at(1, rows),
          at(1, 0),
          at(0, 1),
          at(2 * columns, 2, 1),
          columns > 1 && rows > 1 ? reversed : at(0, 0),
        ]
          .map((index) => b.load(0, 'f32', index))
          .reduce((p, q) => b.scalar('add', p, q));
        const kernel: Kernel = {
          name: 'strides',
          buffers: [read(D.float32), write(D.bfloat16), write(D.float32)],
          params: [],
          grid: [i],
          body: [
            {
              kind: 'loop',
              axis: j,
              body: [
                { kind: 'store', buffer: 1, index: at(columns, 1), value: b.round(D.bfloat16, value), mask: null, combine: null },
                { kind: 'store', buffer: 2, index: at(1, rows), value, mask: b.scalar('lt', b.use(j), b.use(i)), combine: null },
              ],
            },
          ],
        };
        const buffers = [data(D.float32, 2 * rows * columns + 2 + rows), data(D.bfloat16, rows * columns), data(D.float32, rows * columns)];
        if (schedule) checkScheduled(kernel, buffers);
        else check(kernel, buffers, [], rows);
      }),
      { numRuns: 30 },
    );
  });

  test('div and mod indices, loaded indices and masks give the reference bits', () => {
    for (const n of extents) {
      const b = new KernelBuilder();
      const i = b.axis('i', n, 'vector');
      const inner = b.scalar('irem', b.use(i), b.index(7));
      const outer = b.scalar('idiv', b.use(i), b.index(7));
      const loaded = b.cast('index', b.load(2, 'i64', b.use(i)));
      const inside = b.scalar('lt', inner, b.index(5));
      const small = b.load(3, 'index', b.use(i));
      const x = b.load(0, 'f32', b.scalar('add', b.scalar('mul', inner, b.index(20)), outer), inside);
      const y = b.load(0, 'f32', loaded);
      const z = b.load(0, 'f32', small, b.load(4, 'bool', b.use(i)));
      const u = b.load(0, 'f32', b.cast('index', b.load(2, 'i64', b.index(0))), b.scalar('lt', b.index(3), b.param('index', 0)));
      const position = b.cast('f32', b.scalar('add', b.use(i), b.param('index', 0)));
      const value = [x, y, z, u, position].reduce((p, q) => b.scalar('add', p, q));
      const kernel: Kernel = {
        name: `gathers ${n}`,
        buffers: [read(D.float32), write(D.float32), read(D.int64), read(D.uint8), read(D.bool), write(D.int64)],
        params: ['index'],
        grid: [i],
        body: [
          {
            kind: 'store',
            buffer: 1,
            index: b.scalar('sub', b.index(n), b.scalar('add', b.use(i), b.index(1))),
            value,
            mask: inside,
            combine: null,
          },
        ],
      };
      expect(touchesWide(kernel)).toBe(false);
      const buffers = [
        data(D.float32, 200),
        data(D.float32, n),
        data(D.int64, n, 100),
        data(D.uint8, n, 100),
        data(D.bool, n),
        data(D.int64, n),
      ];
      buffers[2] = data(D.int64, Math.max(n, 1), 100);
      for (const p of [0, 9]) check(kernel, buffers, [p], n);
    }
  });

  test('a loop over uniform scalars accumulates serially', () => {
    const b = new KernelBuilder();
    const i = b.axis('i', 37, 'serial');
    const j = b.axis('j', 19, 'vector');
    const row = b.cast('index', b.load(1, 'i64', b.use(i)));
    const at = (r: Expr): Expr => b.scalar('add', b.scalar('mul', r, b.index(19)), b.use(j));
    const kernel: Kernel = {
      name: 'scatter add',
      buffers: [read(D.float32), read(D.int64), { dtype: D.float32, access: 'readwrite' }, { dtype: D.int32, access: 'readwrite' }],
      params: [],
      grid: [],
      body: [
        {
          kind: 'loop',
          axis: i,
          body: [
            {
              kind: 'loop',
              axis: j,
              body: [{ kind: 'store', buffer: 2, index: at(row), value: b.load(0, 'f32', at(b.use(i))), mask: null, combine: 'add' }],
            },
            { kind: 'store', buffer: 3, index: row, value: b.const('i32', 1), mask: b.scalar('lt', b.use(i), b.index(30)), combine: 'add' },
          ],
        },
      ],
    };
    check(kernel, [data(D.float32, 37 * 19), data(D.int64, 37, 5), data(D.float32, 5 * 19), data(D.int32, 5)], [], 1);
  });
});

describe('reductions', () => {
  for (const columns of longExtents) {
    test(`softmax and layer norm over rows of ${columns}`, () => {
      const b = new KernelBuilder();
      const i = b.axis('i', 3, 'grid');
      const k = b.axis('k', columns, 'reduce');
      const j = b.axis('j', columns, 'vector');
      const x = (a: Expr): Expr => b.load(0, 'f32', b.scalar('add', b.scalar('mul', b.use(i), b.index(columns)), a));
      const max = b.reduce('max', [k], x(b.use(k)));
      const shifted = (a: Expr): Expr => b.scalar('sub', x(a), max);
      const square = (a: Expr): Expr => b.scalar('mul', shifted(a), shifted(a));
      const total = b.reduce('sum', [k], square(b.use(k)));
      const mean = b.scalar('div', b.reduce('sum', [k], x(b.use(k))), b.const('f32', columns));
      const at = b.scalar('add', b.scalar('mul', b.use(i), b.index(columns)), b.use(j));
      const kernel: Kernel = {
        name: `softmax ${columns}`,
        buffers: [read(D.float32), write(D.float32), write(D.float16), write(D.int64)],
        params: [],
        grid: [i],
        body: [
          {
            kind: 'loop',
            axis: j,
            body: [{ kind: 'store', buffer: 1, index: at, value: b.scalar('div', square(b.use(j)), total), mask: null, combine: null }],
          },
          { kind: 'store', buffer: 2, index: b.use(i), value: b.round(D.float16, mean), mask: null, combine: null },
          {
            kind: 'store',
            buffer: 3,
            index: b.use(i),
            value: b.cast('i64', b.reduce('argmax', [k], x(b.use(k)))),
            mask: null,
            combine: null,
          },
        ],
      };
      const buffers = [data(D.float32, 3 * columns), data(D.float32, 3 * columns), data(D.float16, 3), data(D.int64, 3)];
      checkScheduled(kernel, buffers);
      check(kernel, buffers, [], 3);
    });
  }

  test('every kind over every extent, rows and columns, gives the reference bits', () => {
    const kinds = ['sum', 'prod', 'max', 'min', 'argmax', 'argmin'] as const;
    fc.assert(
      fc.property(
        fc.constantFrom(...longExtents, 2, 16, 33),
        fc.constantFrom(1, 3, 17),
        fc.constantFrom(D.float32, D.bfloat16, D.int8, D.int64, D.float64, D.bool),
        fc.boolean(),
        fc.boolean(),
        (length, others, dtype, byColumn, dynamic) => {
          const b = new KernelBuilder();
          const i = b.axis('i', others, byColumn ? 'vector' : 'grid');
          const k = b.axis('k', dynamic ? b.param('index', 0) : length, 'reduce');
          const n = dynamic ? b.param('index', 0) : b.index(length);
          const at = byColumn
            ? b.scalar('add', b.scalar('mul', b.use(k), b.index(others)), b.use(i))
            : b.scalar('add', b.scalar('mul', b.use(i), n), b.use(k));
          const x = b.load(0, dtype.compute, at);
          const results = dtype === D.bool ? (['any', 'all', 'argmax'] as const) : kinds;
          const kernel: Kernel = {
            name: `reduce ${dtype.name} ${length} ${others} ${byColumn} ${dynamic}`,
            buffers: [read(dtype), ...results.map((r) => write(r.startsWith('arg') ? D.int32 : dtype))],
            params: ['index'],
            grid: [i],
            body: results.map((r, position) => {
              const value = b.reduce(r, [k], x);
              return {
                kind: 'store' as const,
                buffer: position + 1,
                index: b.use(i),
                value: value.type === 'index' ? b.cast('i32', value) : b.round(dtype, value),
                mask: null,
                combine: null,
              };
            }),
          };
          const buffers = [data(dtype, length * others), ...results.map((r) => data(r.startsWith('arg') ? D.int32 : dtype, others))];
          check(kernel, buffers, [length], others);
        },
      ),
      { numRuns: 60 },
    );
  });

  test('several axes, a reduction inside a reduction, and a mask', () => {
    for (const [outer, inner] of [
      [3, 5],
      [2, 1025],
      [20, 16],
      [0, 4],
      [4, 0],
    ]) {
      for (const kind of ['grid', 'vector'] as const) {
        const b = new KernelBuilder();
        const i = b.axis('i', 5, kind);
        const j = b.axis('j', outer, 'reduce');
        const k = b.axis('k', inner, 'reduce');
        const l = b.axis('l', 19, 'reduce');
        const at = (q: Expr): Expr =>
          b.scalar('add', b.scalar('add', b.scalar('mul', b.use(j), b.index(inner)), b.scalar('mul', b.use(i), b.index(outer * inner))), q);
        const x = b.load(0, 'f32', at(b.use(k)), b.scalar('ne', b.use(k), b.index(3)));
        const nested = b.reduce('sum', [l], b.scalar('mul', x, b.load(1, 'f32', b.use(l))));
        const results = [b.reduce('sum', [j, k], x), b.reduce('sum', [j, k], nested)];
        const best = b.reduce('argmin', [j, k], x);
        const kernel: Kernel = {
          name: `nested ${outer} ${inner} ${kind}`,
          buffers: [read(D.float32), read(D.float32), write(D.float32), write(D.float32), write(D.int32)],
          params: [],
          grid: [i],
          body: [
            ...results.map((value, n) => ({ kind: 'store' as const, buffer: 2 + n, index: b.use(i), value, mask: null, combine: null })),
            { kind: 'store', buffer: 4, index: b.use(i), value: b.cast('i32', best), mask: null, combine: null },
          ],
        };
        check(
          kernel,
          [data(D.float32, 5 * outer * inner), data(D.float32, 19), data(D.float32, 5), data(D.float32, 5), data(D.int32, 5)],
          [],
          5,
          [16, 2],
        );
      }
    }
  });

  test('rows of bool and float16, one grid of two axes', () => {
    const b = new KernelBuilder();
    const i = b.axis('i', 3, 'grid');
    const j = b.axis('j', 5, 'grid');
    const k = b.axis('k', 33, 'reduce');
    const row = b.scalar('add', b.scalar('mul', b.use(i), b.index(5)), b.use(j));
    const x = b.load(0, 'f32', b.scalar('add', b.scalar('mul', row, b.index(33)), b.use(k)));
    const kernel: Kernel = {
      name: 'grid of two',
      buffers: [read(D.float16), write(D.float16)],
      params: [],
      grid: [i, j],
      body: [
        {
          kind: 'store',
          buffer: 1,
          index: b.scalar('add', b.scalar('mul', b.use(j), b.index(3)), b.use(i)),
          value: b.round(D.float16, b.reduce('sum', [k], x)),
          mask: null,
          combine: null,
        },
      ],
    };
    check(kernel, [data(D.float16, 15 * 33), data(D.float16, 15)], [], 15);
    checkScheduled(kernel, [data(D.float16, 15 * 33), data(D.float16, 15)]);
  });
});

test('the inner loop of gelu(x * a + b) is loads, arithmetic and stores at displacements of one counter', () => {
  const b = new KernelBuilder();
  const i = b.axis('i', b.param('index', 2), 'vector');
  const x = b.scalar('add', b.scalar('mul', b.load(0, 'f32', b.use(i)), b.param('f32', 0)), b.param('f32', 1));
  const value = b.scalar('mul', x, b.scalar('max', x, b.const('f32', 0)));
  const kernel: Kernel = {
    name: 'lean',
    buffers: [read(D.float32), write(D.float32)],
    params: ['f32', 'f32', 'index'],
    grid: [i],
    body: [{ kind: 'store', buffer: 1, index: b.use(i), value, mask: null, combine: null }],
  };
  const loop = lowerKernel(kernel, { lanes: 16 }).body.find((s) => s.kind === 'loop');
  const kinds = new Set(loop?.kind === 'loop' ? loop.body.map((s) => s.kind) : []);
  expect([...kinds].sort()).toEqual(['load', 'store', 'vector']);
});

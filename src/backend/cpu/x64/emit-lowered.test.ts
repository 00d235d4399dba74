/** Kernel IR through decomposition, scheduling and lowering to machine code: against the interpreter, and AVX2 against AVX-512 bit for bit. */
import { describe, expect, test } from 'vitest';
import { dtypeByName } from '../../../dtype/dtype.ts';
import { decomposeKernel } from '../../../kernel/decompose.ts';
import { interpretVectorKernel } from '../../../kernel/interpret-vector.ts';
import type { BufferDeclaration, Expr, Kernel, ReduceKind } from '../../../kernel/ir.ts';
import { KernelBuilder } from '../../../kernel/ir.ts';
import { lowerKernel, touchesWide } from '../../../kernel/lower.ts';
import { type ComputeType, type ScalarOp, scalarOps } from '../../../kernel/scalar.ts';
import { scheduleKernel } from '../../../kernel/schedule.ts';
import type { ElementName } from '../../../kernel/vector-ir.ts';
import { verifyVectorKernel } from '../../../kernel/verify-vector.ts';
import { difference, elements, generator, runNative, runnableIsas } from './test-support.ts';

const buffer = (name: ElementName, access: BufferDeclaration['access'] = 'read'): BufferDeclaration => ({
  dtype: dtypeByName(name)!,
  access,
});

function gridSize(kernel: Kernel): number {
  return kernel.grid.reduce((n, a) => n * sizeOf(a.extent), 1);
}
function sizeOf(e: Expr): number {
  if (e.op === 'const') return Number(e.value);
  if (e.op === 'scalar' && e.fn === 'mul') return sizeOf(e.args[0]!) * sizeOf(e.args[1]!);
  throw new Error('the extents of these kernels are constants');
}

/** Runs on every instruction set in two ranges; each must give the interpreter's elements, and all the same bytes. */
function check(source: Kernel, buffers: readonly Uint8Array[]): void {
  const kernel = scheduleKernel(decomposeKernel(source));
  const size = gridSize(kernel);
  const cut = kernel.grid[0]?.kind === 'vector' ? Math.floor(size / 32) * 16 : size >> 1;
  const wide = touchesWide(kernel);
  let first: readonly Uint8Array[] | null = null;
  for (const isa of runnableIsas) {
    const most = isa === 'avx512' ? 16 : 8;
    const vector = lowerKernel(kernel, { lanes: (wide ? most / 2 : most) as 4 | 8 | 16 });
    verifyVectorKernel(vector);
    const wanted = buffers.map((b) => b.slice());
    interpretVectorKernel(vector, wanted, [], 0, size);
    const got = buffers.map((b) => b.slice());
    runNative(vector, isa, got, [], 0, cut);
    runNative(vector, isa, got, [], cut, size, 'start');
    got.forEach((bytes, i) => {
      expect(`${isa} ${source.name}: ${difference(kernel.buffers[i]!.dtype.name as ElementName, bytes, wanted[i]!)}`).toBe(
        `${isa} ${source.name}: null`,
      );
    });
    first ??= got;
    expect(got).toEqual(first);
  }
}

function map(
  name: string,
  inputs: readonly ElementName[],
  output: ElementName,
  count: number,
  value: (b: KernelBuilder, loads: Expr[]) => Expr,
): Kernel {
  const b = new KernelBuilder();
  const i = b.axis('i', count, 'grid');
  const loads = inputs.map((dtype, n) => b.load(n, dtypeByName(dtype)!.compute, b.use(i)));
  return {
    name,
    buffers: [...inputs.map((dtype) => buffer(dtype)), buffer(output, 'write')],
    params: [],
    grid: [i],
    body: [{ kind: 'store', buffer: inputs.length, index: b.use(i), value: value(b, loads), mask: null, combine: null }],
  };
}

describe('element-wise kernels', () => {
  for (const op of Object.keys(scalarOps) as ScalarOp[]) {
    const { level, arity } = scalarOps[op];
    if (level !== 'composite') continue;
    test(op, () => {
      for (const dtype of ['float32', 'float64'] as const) {
        const random = generator(op.length * 31);
        const data = Array.from({ length: arity }, () => elements(dtype, 163, random));
        check(
          map(`${op} ${dtype}`, new Array<ElementName>(arity).fill(dtype), dtype, 163, (b, loads) => b.scalar(op, ...loads)),
          [...data, elements(dtype, 163, random)],
        );
      }
    });
  }
  test('pairs of dtypes, converted, combined and rounded', () => {
    const dtypes: ElementName[] = [
      'float32',
      'float64',
      'float16',
      'bfloat16',
      'float8_e4m3fn',
      'float8_e5m2',
      'int64',
      'int32',
      'int16',
      'int8',
      'uint8',
      'bool',
    ];
    const random = generator(77);
    for (const from of dtypes)
      for (const to of dtypes) {
        const type = dtypeByName(to)!.compute;
        const kernel = map(`${from} to ${to}`, [from, to], to, 70, (b, [x, y]) => {
          // int64 to float32 is rounded once by the machine and twice by the interpreter, so large values are kept out.
          const source = from === 'int64' && type === 'f32' ? b.scalar('shr', x!, b.const('i64', 40n)) : x!;
          const value = b.cast(type, source);
          return b.round(dtypeByName(to)!, type === 'bool' ? b.scalar('xor', value, y!) : b.scalar('add', value, y!));
        });
        check(kernel, [elements(from, 70, random), elements(to, 70, random), elements(to, 70, random)]);
      }
  });
});

function rows(
  dtype: ElementName,
  output: ElementName,
  rowCount: number,
  columns: number,
  value: (b: KernelBuilder, load: (axisIndex: Expr) => Expr, c: Expr, reduce: (kind: ReduceKind, f: (x: Expr) => Expr) => Expr) => Expr,
): Kernel {
  const b = new KernelBuilder();
  const r = b.axis('r', rowCount, 'grid');
  const c = b.axis('c', columns, 'vector');
  const type: ComputeType = dtypeByName(dtype)!.compute;
  const start = b.scalar('mul', b.use(r), b.index(columns));
  const load = (index: Expr): Expr => b.load(0, type, b.scalar('add', start, index));
  const reduce = (kind: ReduceKind, f: (x: Expr) => Expr): Expr => {
    const k = b.axis('k', columns, 'reduce');
    return b.reduce(kind, [k], f(load(b.use(k))));
  };
  const place = b.scalar('add', start, b.use(c));
  return {
    name: `rows ${dtype} ${rowCount}x${columns}`,
    buffers: [buffer(dtype), buffer(output, 'write')],
    params: [],
    grid: [r],
    body: [
      {
        kind: 'loop',
        axis: c,
        body: [{ kind: 'store', buffer: 1, index: place, value: value(b, load, b.use(c), reduce), mask: null, combine: null }],
      },
    ],
  };
}

describe('rows', () => {
  for (const columns of [1, 15, 16, 33, 96, 1030])
    test(`softmax and layer norm of ${columns} columns`, () => {
      const random = generator(columns);
      for (const dtype of ['float32', 'float64', 'float16', 'bfloat16'] as const) {
        const data = elements(dtype, 5 * columns, random);
        if (dtype === 'float32') {
          const view = new Float32Array(data.buffer);
          for (let i = 0; i < view.length; i++) view[i] = (random() - 0.5) * 8;
        }
        const softmax = rows(dtype, dtype, 5, columns, (b, load, c, reduce) => {
          const most = reduce('max', (x) => x);
          const total = reduce('sum', (x) => b.scalar('exp', b.scalar('sub', x, most)));
          return b.round(dtypeByName(dtype)!, b.scalar('div', b.scalar('exp', b.scalar('sub', load(c), most)), total));
        });
        check(softmax, [data, elements(dtype, 5 * columns, random)]);
        const norm = rows(dtype, dtype, 5, columns, (b, load, c, reduce) => {
          const type = dtypeByName(dtype)!.compute;
          const n = b.const(type, columns);
          const mean = b.scalar(
            'div',
            reduce('sum', (x) => x),
            n,
          );
          const spread = b.scalar(
            'div',
            reduce('sum', (x) => b.scalar('mul', b.scalar('sub', x, mean), b.scalar('sub', x, mean))),
            n,
          );
          const scale = b.scalar('sqrt', b.scalar('add', spread, b.const(type, 1e-5)));
          return b.round(dtypeByName(dtype)!, b.scalar('div', b.scalar('sub', load(c), mean), scale));
        });
        check(norm, [data, elements(dtype, 5 * columns, random)]);
      }
    });
  for (const kind of ['sum', 'prod', 'max', 'min', 'argmax', 'argmin'] as const)
    test(`${kind} of every dtype`, () => {
      const random = generator(kind.length);
      for (const dtype of ['float32', 'float64', 'float16', 'int64', 'int32', 'uint8'] as const)
        for (const columns of [1, 37, 130]) {
          const b = new KernelBuilder();
          const r = b.axis('r', 6, 'grid');
          const k = b.axis('k', columns, 'reduce');
          const type = dtypeByName(dtype)!.compute;
          const value = b.reduce(kind, [k], b.load(0, type, b.scalar('add', b.scalar('mul', b.use(r), b.index(columns)), b.use(k))));
          const index = kind.startsWith('arg');
          const output: ElementName = index ? 'int64' : dtype;
          const kernel: Kernel = {
            name: `${kind} ${dtype} ${columns}`,
            buffers: [buffer(dtype), buffer(output, 'write')],
            params: [],
            grid: [r],
            body: [
              {
                kind: 'store',
                buffer: 1,
                index: b.use(r),
                value: index ? b.cast('i64', value) : b.round(dtypeByName(dtype)!, value),
                mask: null,
                combine: null,
              },
            ],
          };
          check(kernel, [elements(dtype, 6 * columns, random), elements(output, 6, random)]);
        }
    });
});

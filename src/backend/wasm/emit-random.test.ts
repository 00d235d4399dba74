import fc from 'fast-check';
import { expect, test } from 'vitest';
import { encodeInto, viewArray } from '../../dtype/codec.ts';
import type { DType } from '../../dtype/dtype.ts';
import * as D from '../../dtype/dtype.ts';
import { decomposeKernel } from '../../kernel/decompose.ts';
import type { Axis, BufferDeclaration, Expr, Kernel, Statement } from '../../kernel/ir.ts';
import { KernelBuilder } from '../../kernel/ir.ts';
import { lowerKernel, touchesWide } from '../../kernel/lower.ts';
import { printVectorKernel } from '../../kernel/print-vector.ts';
import type { ComputeType, ScalarOp } from '../../kernel/scalar.ts';
import { scheduleKernel } from '../../kernel/schedule.ts';
import { wasmLanes, wasmNativeRound } from './emit.ts';
import { differences } from './test-support.ts';

type DataType = Exclude<ComputeType, 'index'>;
const floatOps = [
  'add',
  'sub',
  'mul',
  'div',
  'min',
  'max',
  'neg',
  'abs',
  'sqrt',
  'floor',
  'rint',
  'fma',
  'exp',
  'tanh',
  'log',
  'erf',
  'sin',
] as const;
const intOps = ['add', 'sub', 'mul', 'idiv', 'irem', 'min', 'max', 'neg', 'abs', 'and', 'or', 'xor', 'not', 'shl', 'shr', 'ushr'] as const;
const arity = (op: ScalarOp): number =>
  op === 'fma' ? 3 : ['neg', 'abs', 'sqrt', 'floor', 'rint', 'not', 'exp', 'tanh', 'log', 'erf', 'sin'].includes(op) ? 1 : 2;
const narrow: DType[] = [D.float32, D.float16, D.bfloat16, D.float8_e4m3fn, D.float8_e5m2, D.int32, D.int16, D.int8, D.uint8, D.bool];
const wide: DType[] = [...narrow, D.float64, D.int64];

interface Sample {
  readonly kernel: Kernel;
  readonly bytes: Uint8Array[];
  readonly params: (number | bigint | boolean)[];
}

/** A kernel over rows x columns with two stores of random expressions; everything follows from the seed. */
function sample(seed: number, rows: number, columns: number): Sample {
  let state = seed | 1;
  const below = (n: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
  const pick = <T>(items: readonly T[]): T => items[below(items.length)];
  const dtypes = below(2) === 0 ? narrow : wide;
  const types: DataType[] = dtypes === wide ? ['f32', 'f64', 'i32', 'i64', 'bool'] : ['f32', 'i32', 'bool'];
  const b = new KernelBuilder();
  const i = b.axis('i', rows, 'grid');
  const j = b.axis('j', below(3) === 0 ? b.param('index', 0) : columns, 'vector');
  const buffers: BufferDeclaration[] = Array.from({ length: 4 }, () => ({ dtype: pick(dtypes), access: 'read' }));
  const add = (p: Expr, q: Expr): Expr => b.scalar('add', p, q);
  const times = (p: Expr, n: number): Expr => b.scalar('mul', p, b.index(n));
  const place = (column: Expr): Expr =>
    pick([
      (): Expr => add(times(b.use(i), columns), column),
      (): Expr => add(times(b.use(i), columns), column),
      (): Expr => add(times(column, rows), b.use(i)),
      (): Expr => column,
      (): Expr => b.use(i),
      (): Expr => b.scalar('irem', add(times(b.use(i), columns), column), b.index(Math.max(1, rows * columns - 3))),
    ])();
  const convert = (type: DataType, e: Expr): Expr =>
    // the oracle rounds int64 to float32 twice
    type === 'f32' && e.type === 'i64' ? b.cast('f32', b.cast('f64', e)) : b.cast(type, e);
  const leaf = (type: DataType, column: Expr): Expr => {
    if (below(6) === 0) {
      const value = {
        f32: Math.fround(below(100) / 7 - 6),
        f64: below(100) / 7 - 6,
        i32: below(40) - 20,
        i64: BigInt(below(40) - 20),
        bool: below(2) === 0,
      };
      return b.const(type, value[type]);
    }
    const buffer = below(buffers.length);
    const mask = below(4) === 0 ? b.scalar('lt', column, b.index(below(columns + 1))) : null;
    return convert(type, b.load(buffer, buffers[buffer].dtype.compute, place(column), mask));
  };
  const expression = (type: DataType, depth: number, column: Expr, reduceToo: boolean): Expr => {
    if (depth === 0) return leaf(type, column);
    const inner = (t: DataType = type): Expr => expression(t, depth - 1, column, reduceToo);
    const choice = below(10);
    if (choice === 0) return convert(type, inner(pick(types)));
    if (choice === 1) return b.scalar('select', inner('bool'), inner(), inner());
    if (choice === 2 && reduceToo) {
      const k = b.axis('k', columns, 'reduce');
      const value = expression(type === 'bool' ? 'i32' : type, 1, b.use(k), false);
      const kind = pick(['sum', 'max', 'min', 'argmax'] as const);
      const reduced = b.reduce(kind, [k], value);
      return convert(type, reduced.type === 'index' ? b.cast('i32', reduced) : reduced);
    }
    if (type === 'bool') {
      const operand = pick(types);
      if (operand === 'bool') return b.scalar(pick(['and', 'or', 'xor', 'eq', 'ne'] as const), inner(), inner());
      return b.scalar(pick(['lt', 'le', 'eq', 'ne'] as const), inner(operand), inner(operand));
    }
    const op = type === 'f32' || type === 'f64' ? pick(floatOps) : pick(intOps);
    return b.scalar(op, ...Array.from({ length: arity(op) }, () => inner()));
  };
  const store = (buffer: number, mask: Expr | null): Statement => {
    const { dtype } = buffers[buffer];
    const value = b.round(dtype, expression(dtype.compute, 1 + below(3), b.use(j), true));
    const index = pick([add(times(b.use(i), columns), b.use(j)), add(times(b.use(j), rows), b.use(i))]);
    return { kind: 'store', buffer, index, value, mask, combine: null };
  };
  for (let n = 0; n < 2; n++) buffers.push({ dtype: pick(dtypes), access: 'write' });
  const loop = (axis: Axis, ...body: Statement[]): Statement => ({ kind: 'loop', axis, body });
  const body = [loop(j, store(4, null), store(5, below(2) === 0 ? expression('bool', 1, b.use(j), false) : null))];
  const bytes = buffers.map(({ dtype }) => {
    const length = rows * columns + rows + columns;
    const array = viewArray(dtype, new Uint8Array(length * dtype.itemsize));
    for (let n = 0; n < length; n++) {
      const special = below(12) === 0;
      const float = special ? pick([0, -0, Infinity, -Infinity, Number.NaN, 1e30, 1e-39]) : (below(4000) - 2000) / 256;
      const int = special ? pick([0, -1, 2 ** 31 - 1, -(2 ** 31), 100000]) : below(200) - 100;
      encodeInto(
        dtype,
        array,
        n,
        dtype.kind === 'float' ? float : dtype === D.bool ? below(2) === 0 : dtype === D.int64 ? BigInt(int) : int,
      );
    }
    return new Uint8Array(array.buffer);
  });
  const kernel: Kernel = { name: `random ${seed}`, buffers, params: ['index'], grid: [i], body };
  return { kernel, bytes, params: [columns] };
}

const extentOf = (e: Expr, columns: number): number => {
  if (e.op === 'const') return e.value as number;
  if (e.op === 'param') return columns;
  if (e.op === 'scalar' && e.fn === 'mul') return extentOf(e.args[0], columns) * extentOf(e.args[1], columns);
  throw new Error(`internal: an extent of kind ${e.op}`);
};

test('random scheduled kernels give the interpreter bits, over one range and over two', { timeout: 60_000 }, () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 2 ** 30 }),
      fc.constantFrom(1, 2, 3, 17),
      fc.constantFrom(0, 1, 2, 5, 16, 19, 70),
      (seed, rows, columns) => {
        const { kernel, bytes, params } = sample(seed, rows, columns);
        const scheduled = scheduleKernel(decomposeKernel(kernel, new Set(), { nativeRound: seed % 3 === 0 ? new Set() : wasmNativeRound }));
        const vector = lowerKernel(scheduled, { lanes: wasmLanes(touchesWide(scheduled)) });
        const count = scheduled.grid.reduce((n, a) => n * extentOf(a.extent, columns), 1);
        const dtypes = kernel.buffers.map((buffer) => buffer.dtype);
        const cut = Math.floor(count / 2 / 16) * 16;
        for (const [begin, end] of [
          [0, count],
          [cut, count],
        ]) {
          const found = differences(vector, dtypes, bytes, params, begin, end);
          if (found.length > 0) expect(found, printVectorKernel(vector)).toEqual([]);
        }
      },
    ),
    { numRuns: 200 },
  );
});

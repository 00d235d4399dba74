/** Random kernels, scheduled and lowered, against the reference interpreter: bit for bit. */

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { run } from '../backend/reference/interpreter.ts';
import { encodeInto, viewArray } from '../dtype/codec.ts';
import type { DType } from '../dtype/dtype.ts';
import { bfloat16, bool, float16, float32, float64, int8, int32, int64 } from '../dtype/dtype.ts';
import { interpretVectorKernel } from './interpret-vector.ts';
import type { Axis, Expr, Kernel, ReduceKind, Statement } from './ir.ts';
import { KernelBuilder } from './ir.ts';
import { lowerKernel, touchesWide } from './lower.ts';
import { printKernel } from './print.ts';
import { printVectorKernel } from './print-vector.ts';
import { scheduleKernel } from './schedule.ts';
import { verifyKernel } from './verify.ts';
import { verifyVectorKernel } from './verify-vector.ts';

const dtypes: readonly DType[] = [float32, bfloat16, float16, int8, bool, int64, int32, float64];

interface Recipe {
  readonly extents: readonly number[];
  readonly reduceExtents: readonly number[];
  readonly steps: readonly (readonly number[])[];
  readonly reverse: boolean;
  readonly loop: boolean;
}

/** Builds a kernel from numbers: loads of strided, broadcast, masked and gathered elements, arithmetic, reductions. */
function build(recipe: Recipe): { kernel: Kernel; sizes: number[]; total: number } {
  const b = new KernelBuilder();
  const { extents } = recipe;
  const axes = extents.map((n, i) => b.axis('ijk'[i], n, 'grid'));
  const reduces = recipe.reduceExtents.map((n, i) => b.axis('rs'[i], n, 'reduce'));
  const strides = (list: readonly number[]): number[] => list.map((_, i) => list.slice(i + 1).reduce((p, q) => p * q, 1));
  const everything = [...axes, ...reduces];
  const dense = strides([...extents, ...recipe.reduceExtents]);
  const total = extents.reduce((p, q) => p * q, 1);
  const size =
    total *
      Math.max(
        1,
        recipe.reduceExtents.reduce((p, q) => p * q, 1),
      ) +
    600;
  const sum = (list: readonly Axis[], factor: (i: number) => number): Expr =>
    list.reduce((e, a, i) => b.scalar('add', e, b.scalar('mul', b.use(a), b.index(factor(i)))), b.index(0));

  const values: Expr[] = [];
  const pick = (n: number): Expr => values[n % values.length];
  const asFloat = (e: Expr): Expr => b.cast('f32', e);
  const load = (slot: number, usesReduce: boolean, n: number): Expr => {
    const list = usesReduce ? everything : axes;
    const index = sum(list, (i) =>
      (n >> i) & 1 ? 0 : (n >> 6) & 1 ? (i % 3) + (size > 4000 ? 1 : 0) : usesReduce ? dense[i] : strides(extents)[i],
    );
    const last = list[list.length - 1];
    const mask = (n >> 7) & 1 && last !== undefined ? b.scalar('lt', b.use(last), b.index(9)) : null;
    const type = dtypes[slot].compute;
    return asFloat(b.load(slot, type, index, mask));
  };
  const reducing: Expr[] = [];
  for (const [op, x, y, z] of recipe.steps) {
    switch (op % 8) {
      case 0:
        values.push(load(x % dtypes.length, false, y));
        break;
      case 1:
        reducing.push(load(x % dtypes.length, true, y));
        break;
      case 2:
        if (values.length > 0) values.push(b.scalar((['add', 'mul', 'sub', 'max'] as const)[z % 4], pick(x), pick(y)));
        break;
      case 3:
        if (values.length > 0 && reducing.length > 0) reducing.push(b.scalar('mul', pick(x), reducing[y % reducing.length]));
        break;
      case 4:
      case 5:
        if (reducing.length > 0 && reduces.length > 0) {
          const kind = (['sum', 'max', 'min', 'argmax', 'sum', 'argmin'] as const satisfies readonly ReduceKind[])[z % 6];
          const over = y % 2 === 0 ? reduces : reduces.slice(-1);
          // axes that are left over are reduced by an outer sum
          let value = b.reduce(kind, over, reducing[x % reducing.length]);
          if (value.type === 'index') value = b.cast('f32', value);
          if (over.length < reduces.length) value = b.reduce('sum', reduces.slice(0, -1), value);
          values.push(value);
        }
        break;
      case 6:
        if (values.length > 0)
          values.push(
            b.round(bfloat16, b.scalar('select', b.scalar('lt', pick(x), pick(y)), pick(y), b.scalar('fma', pick(x), pick(z), pick(y)))),
          );
        break;
      default:
        if (axes.length > 0) {
          const flat = sum(axes, (i) => strides(extents)[i]);
          const index = b.scalar((['irem', 'idiv'] as const)[x % 2], flat, b.index(1 + (y % 9)));
          values.push(asFloat(b.load(0, 'f32', index)), b.cast('f32', index));
        }
    }
  }
  values.push(load(0, false, 0));
  const permuted = recipe.reverse ? axes.map((_, i) => extents.slice(0, i).reduce((p, q) => p * q, 1)) : strides(extents);
  const out = sum(axes, (i) => permuted[i]);
  const store = (buffer: number, value: Expr): Statement => ({ kind: 'store', buffer, index: out, value, mask: null, combine: null });
  const body = [
    store(dtypes.length, pick(values.length - 2 + values.length)),
    store(
      dtypes.length + 1,
      b.round(
        float16,
        values.reduce((p, q) => b.scalar('add', p, q)),
      ),
    ),
  ];
  const last = axes[axes.length - 1];
  const looped = recipe.loop && axes.length > 1;
  if (looped) last.kind = 'vector';
  const kernel: Kernel = {
    name: 'random',
    buffers: [
      ...dtypes.map((dtype) => ({ dtype, access: 'read' as const })),
      { dtype: float32, access: 'write' },
      { dtype: float16, access: 'write' },
    ],
    params: [],
    grid: looped ? axes.slice(0, -1) : axes,
    body: looped ? [{ kind: 'loop', axis: last, body }] : body,
  };
  return { kernel, sizes: [...dtypes.map(() => size), Math.max(total, 1), Math.max(total, 1)], total };
}

const product = (list: readonly number[]): number => list.reduce((p, q) => p * q, 1);
const evaluate = (e: Expr): number =>
  e.op === 'const' ? Number(e.value) : e.op === 'scalar' ? e.args.map(evaluate).reduce((p, q) => p * q, 1) : Number.NaN;

test('random kernels give the same bits before scheduling, after it, and lowered for 16, 8, 4 and 2 lanes', () => {
  const extent = fc.constantFrom(1, 2, 3, 15, 16, 17, 33);
  fc.assert(
    fc.property(
      fc.record({
        extents: fc.array(extent, { minLength: 1, maxLength: 3 }).filter((list) => product(list) <= 600),
        reduceExtents: fc
          .array(fc.constantFrom(0, 1, 2, 16, 17, 33), { minLength: 1, maxLength: 2 })
          .filter((list) => product(list) <= 120),
        steps: fc.array(fc.array(fc.nat(255), { minLength: 4, maxLength: 4 }), { minLength: 2, maxLength: 10 }),
        reverse: fc.boolean(),
        loop: fc.boolean(),
      }),
      (recipe) => {
        const { kernel, sizes } = build(recipe);
        verifyKernel(kernel);
        const gridOf = (k: Kernel): number => k.grid.reduce((n, a) => n * evaluate(a.extent), 1);
        const buffers = kernel.buffers.map(({ dtype }, slot) => {
          const bytes = new Uint8Array(sizes[slot] * dtype.itemsize);
          const array = viewArray(dtype, bytes);
          for (let i = 0; i < sizes[slot]; i++)
            encodeInto(dtype, array, i, Math.round(Math.sin(i * 12.9898 + slot) * 1000) / (dtype.kind === 'float' ? 64 : 16));
          return bytes;
        });
        const expected = buffers.map((x) => x.slice());
        run(kernel, expected, [], 0, gridOf(kernel));
        const scheduled = scheduleKernel(kernel);
        verifyKernel(scheduled);
        const again = buffers.map((x) => x.slice());
        run(scheduled, again, [], 0, gridOf(scheduled));
        const text = `${printKernel(kernel)}${printKernel(scheduled)}`;
        again.forEach((bytes, i) => {
          expect(Buffer.compare(bytes, expected[i]), `scheduling, buffer ${i}\n${text}`).toBe(0);
        });
        for (const lanes of [16, 8, 4, 2] as const) {
          const vector = lowerKernel(scheduled, { lanes });
          verifyVectorKernel(vector);
          if (lanes === 16 && !touchesWide(scheduled)) expect(printVectorKernel(vector)).not.toMatch(/ [dq]\d+ = /);
          const actual = buffers.map((x) => x.slice());
          interpretVectorKernel(vector, actual, [], 0, gridOf(scheduled));
          actual.forEach((bytes, i) => {
            if (Buffer.compare(bytes, expected[i]) !== 0)
              expect.fail(`${lanes} lanes, buffer ${i}\n${text}${lanes === 16 ? printVectorKernel(vector) : ''}`);
          });
        }
      },
    ),
    { numRuns: Number(process.env['RANDOM_KERNELS'] ?? 40) },
  );
}, 60_000);

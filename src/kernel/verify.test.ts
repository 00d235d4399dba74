import { describe, expect, test } from 'vitest';
import { float32, int64 } from '../dtype/dtype.ts';
import type { Expr, Kernel, Statement } from './ir.ts';
import { KernelBuilder } from './ir.ts';
import { printKernel } from './print.ts';
import type { Register, VectorKernel, VectorStatement } from './vector-ir.ts';
import { verifyKernel } from './verify.ts';
import { verifyVectorKernel } from './verify-vector.ts';

const b = new KernelBuilder();
const i = b.axis('i', 8, 'grid');
const j = b.axis('j', 8, 'vector');
function kernel(value: Expr, index: Expr = b.use(i), change: Partial<Statement & { kind: 'store' }> = {}): Kernel {
  return {
    name: 'k',
    buffers: [
      { dtype: float32, access: 'read' },
      { dtype: float32, access: 'write' },
      { dtype: int64, access: 'read' },
    ],
    params: ['f32'],
    grid: [i],
    body: [{ kind: 'store', buffer: 1, index, value, mask: null, combine: null, ...change }],
  };
}
const x = b.load(0, 'f32', b.use(i));

describe('verifyKernel', () => {
  test('accepts a sound kernel', () => {
    expect(() => verifyKernel(kernel(b.scalar('add', x, b.param('f32', 0))))).not.toThrow();
  });
  test.each<[string, Kernel, RegExp]>([
    ['a value of another type', kernel(b.scalar('add', x, b.load(2, 'i64', b.use(i)))), /operand types differ/],
    ['an unbound axis', kernel(x, b.use(j)), /axis j1 is not bound/],
    ['a parameter of another type', kernel(b.param('f64', 1)), /parameter 1 is undefined/],
    ['a write to a buffer that is read', kernel(x, b.use(i), { buffer: 0 }), /buffer 0 is read/],
    ['a combining store to a buffer that is only written', kernel(x, b.use(i), { combine: 'add' }), /buffer 1 is write/],
    ['a stored index', kernel(b.use(i)), /cast before it is stored/],
    ['a bitwise operation on floats', kernel(b.scalar('and', x, x)), /and on f32/],
    ['an index from a float', kernel(x, b.cast('index', x)), /index from a float/],
  ])('refuses %s', (_, wrong, message) => {
    expect(() => verifyKernel(wrong)).toThrow(message);
  });
  test('a kernel prints one line per store and shared value', () => {
    expect(printKernel(kernel(b.scalar('mul', x, x)))).toContain('buffer1[i0] = (v');
  });
});

describe('verifyVectorKernel', () => {
  const [begin, end, r, s, q]: Register[] = (['index', 'index', 'index', 'f32', 'i64'] as const).map((type, id) => ({ id, type }));
  const vector = (...body: VectorStatement[]): VectorKernel => ({
    name: 'v',
    lanes: 4,
    buffers: [],
    params: [],
    begin,
    end,
    body,
    registerCount: 5,
  });
  const constant: VectorStatement = { kind: 'splat-const', dst: s, value: 1 };
  test.each<[string, VectorKernel, RegExp]>([
    ['use before definition', vector({ kind: 'assign', dst: s, src: s }), /used before/],
    ['two definitions', vector(constant, constant), /defined twice/],
    [
      'assigning another type',
      vector(constant, { kind: 'splat-const', dst: q, value: 1n }, { kind: 'assign', dst: q, src: s }),
      /assign types/,
    ],
    [
      'a register used outside its block',
      vector({ kind: 'loop', counter: r, from: 0, to: end, step: 1, body: [constant] }, { kind: 'assign', dst: s, src: s }),
      /used before/,
    ],
    [
      'changing a counter',
      vector({ kind: 'loop', counter: r, from: 0, to: end, step: 1, body: [{ kind: 'assign', dst: r, src: begin }] }),
      /counter/,
    ],
    ['a swap wider than the register', vector(constant, { kind: 'swap', dst: { id: 2, type: 'f32' }, src: s, distance: 4 }), /distance/],
  ])('refuses %s', (_, wrong, message) => {
    expect(() => verifyVectorKernel(wrong)).toThrow(message);
  });
});

/**
 * Random kernels: dozens of operations of all types on values that stay live, accumulators changed in loops and branches, everything
 * stored at the end. What single-statement tests cannot see: allocation, spilling, coalescing, the order of memory accesses.
 */
import { describe, expect, test } from 'vitest';
import { type ScalarOp, scalarOps } from '../../../kernel/scalar.ts';
import {
  type ElementName,
  elementSizes,
  type Lanes,
  type Register,
  type VectorKernel,
  type VectorType,
} from '../../../kernel/vector-ir.ts';
import type { Isa } from './assembler.ts';
import { at, compare, elements, generator, KernelWriter, runnableIsas } from './test-support.ts';

const elementOf: Readonly<Record<VectorType, ElementName>> = { f32: 'float32', f64: 'float64', i32: 'int32', i64: 'int64', mask: 'bool' };
const basicOps = (Object.keys(scalarOps) as ScalarOp[]).filter((op) => scalarOps[op].level === 'basic');

function allows(op: ScalarOp, type: VectorType): boolean {
  const isFloat = type === 'f32' || type === 'f64';
  if (op === 'idiv' || op === 'irem') return type === 'i32' || type === 'i64';
  const { operands } = scalarOps[op];
  if (operands === 'any') return true;
  if (operands === 'bits') return !isFloat;
  if (operands === 'int') return type === 'i32' || type === 'i64';
  return operands === 'float' ? isFloat : type !== 'mask';
}

function randomKernel(seed: number, wide: boolean, isa: Isa): { kernel: VectorKernel; buffers: Uint8Array[] } {
  const random = generator(seed);
  const below = (n: number): number => Math.floor(random() * n);
  const lanes = ((isa === 'avx512' ? 16 : 8) / (wide ? 2 : 1)) as Lanes;
  const types: VectorType[] = wide ? ['f32', 'f64', 'i32', 'i64', 'mask'] : ['f32', 'i32', 'mask'];
  const k = new KernelWriter();
  const sources = new Map(types.map((type) => [type, k.buffer(elementOf[type], 'read')]));
  const outs = new Map(types.map((type) => [type, k.buffer(elementOf[type])]));
  const indices: Register[] = [k.begin, k.index('add', k.begin, 3)];
  // Loads and stores cover 16 elements whatever P is, so that both instruction sets see the same data.
  const pools = new Map<VectorType, Register[]>(types.map((type) => [type, []]));
  const accumulators = new Map<VectorType, Register[]>(types.map((type) => [type, []]));
  const pick = (type: VectorType): Register => {
    const pool = pools.get(type)!;
    return random() < 0.2 ? accumulators.get(type)![below(accumulators.get(type)!.length)]! : pool[below(pool.length)]!;
  };
  const load = (type: VectorType, index: Register | null): Register =>
    k.load(
      elementOf[type],
      at(sources.get(type)!, index, elementOf[type], below(4) * elementSizes[elementOf[type]]),
      random() < 0.2 ? below(lanes + 2) : null,
    );
  for (const type of types) {
    for (let n = 0; n < 4 + below(5); n++) pools.get(type)!.push(load(type, null));
    const constant = type === 'mask' ? true : type === 'i64' ? BigInt(below(100)) : type === 'i32' ? below(40) : below(8) / 2;
    pools.get(type)!.push(k.constant(type, constant));
    for (let n = 0; n < 2; n++) {
      const a = k.register(type);
      k.add(
        n === 0
          ? { kind: 'splat-const', dst: a, value: constant }
          : { kind: 'vector', op: 'select', dst: a, args: [pools.get('mask')?.[0] ?? k.constant('mask', true), pick0(type), pick0(type)] },
      );
      accumulators.get(type)!.push(a);
    }
  }
  function pick0(type: VectorType): Register {
    return pools.get(type)![0]!;
  }
  const step = (loopIndex: Register | null): void => {
    const type = types[below(types.length)]!;
    const what = below(12);
    if (what === 0) pools.get(type)!.push(load(type, loopIndex));
    else if (what === 1) k.assign(accumulators.get(type)![below(2)]!, pick(type));
    else if (what === 2 && type !== 'mask') {
      const dst = k.register(type);
      k.add({ kind: 'swap', dst, src: pick(type), distance: 2 ** below(Math.log2(lanes)) });
      pools.get(type)!.push(dst);
    } else if (what === 3) {
      const from = types[below(types.length)]!;
      if (from === 'i64' && type === 'f32') return; // rounded twice by the interpreter
      const dst = k.register(type);
      k.add({ kind: 'cast', dst, src: pick(from) });
      pools.get(type)!.push(dst);
    } else if (what === 4) {
      const dst = k.register('index');
      k.add({ kind: 'mask-test', test: random() < 0.5 ? 'any' : 'all', dst, src: pick('mask') });
      indices.push(k.index('add', dst, indices[below(indices.length)]!));
    } else {
      const op = basicOps[below(basicOps.length)]!;
      if (!allows(op, type)) return;
      const { arity, result } = scalarOps[op];
      const settle = (r: Register): Register =>
        (op === 'min' || op === 'max') && type[0] === 'f' ? k.vector('add', type, r, k.constant(type, 0)) : r;
      const args = Array.from({ length: arity }, () => settle(pick(type)));
      if (op === 'select') args[0] = pick('mask');
      const resultType = result === 'bool' ? 'mask' : type;
      const value = k.vector(op, resultType, ...args);
      if (random() < 0.3) k.assign(accumulators.get(resultType)![below(2)]!, value);
      else pools.get(resultType)!.push(value);
    }
  };
  // What a nested body defines is visible there only.
  const scoped = (build: () => void): void => {
    const saved = types.map((type) => pools.get(type)!.slice());
    const savedIndices = indices.slice();
    build();
    types.forEach((type, i) => {
      pools.set(type, saved[i]!);
    });
    indices.length = 0;
    indices.push(...savedIndices);
  };
  const steps = (n: number, depth: number, loopIndex: Register | null): void => {
    for (let i = 0; i < n; i++) {
      const what = depth > 2 ? 1 : random();
      if (what < 0.06) k.loop(0, 1 + below(4), 1, (c) => scoped(() => steps(8, depth + 1, c)));
      else if (what < 0.12) {
        const a = indices[below(indices.length)]!;
        const then = k.nested(() => scoped(() => steps(4, depth + 1, loopIndex)));
        const other = random() < 0.5 ? k.nested(() => scoped(() => steps(4, depth + 1, loopIndex))) : [];
        k.add({ kind: 'if', op: (['lt', 'le', 'eq', 'ne'] as const)[below(4)]!, a, b: below(5), then, else: other });
      } else step(loopIndex);
    }
  };
  steps(30 + below(60), 0, null);
  const counts = new Map<VectorType, number>();
  for (const type of types) {
    const dtype = elementOf[type];
    let place = 0;
    for (const r of [...pools.get(type)!, ...accumulators.get(type)!])
      k.store(r, dtype, at(outs.get(type)!, null, dtype, place++ * lanes * elementSizes[dtype]));
    counts.set(type, place * lanes);
  }
  const buffers = [
    ...types.map((type) => elements(elementOf[type], 32, random)),
    ...types.map((type) => elements(elementOf[type], counts.get(type)!, random)),
  ];
  return { kernel: k.kernel(lanes, `random ${seed}`), buffers };
}

describe('random kernels equal the interpreter', () => {
  for (const isa of runnableIsas)
    for (const wide of [false, true])
      test(`${isa}, ${wide ? 'all types' : 'types of 32 bits'}`, () => {
        const runs = Number(process.env['MAGPIE_RANDOM_KERNELS'] ?? 40);
        for (let seed = 1; seed <= runs; seed++) {
          const { kernel, buffers } = randomKernel(seed * 7 + (wide ? 1 : 0), wide, isa);
          expect(compare(kernel, isa, buffers, [], 1, 5)).toBeNull();
        }
      });
});

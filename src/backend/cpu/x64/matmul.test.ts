/**
 * The matrix product against a model in JavaScript that follows the stated order with exact fused multiply-adds: bitwise, on every
 * instruction set of this machine, with operands that end at a guard page.
 */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeBfloat16, decodeFloat16, encodeBfloat16, encodeFloat16 } from '../../../dtype/codec.ts';
import { bestIsa, cpuFeatures } from '../features.ts';
import { codeHeap, nativeHeap } from '../memory.ts';
import { type NativeFunction, requireOs } from '../os.ts';
import { SCRATCH_BYTES } from '../pool.ts';
import { Assembler, type Isa, mem, rax, rcx, rdi, rdx, rsi } from './assembler.ts';
import {
  depthBlock,
  type MatmulAddresses,
  type MatmulDtype,
  type MatmulPlan,
  type MatmulRequest,
  type MatmulTypes,
  matmulKernels,
  packedBytes,
  planMatmul,
  writeMatmulArgs,
} from './matmul.ts';
import { dtypeBytes, word } from './matmul-layout.ts';

const os = requireOs();
const heap = nativeHeap();
const best = bestIsa(cpuFeatures());
const isas: readonly Isa[] = best === 'avx512' ? ['avx512', 'avx2'] : ['avx2'];
const f32: MatmulTypes = { a: 'float32', b: 'float32', c: 'float32' };
const f64: MatmulTypes = { a: 'float64', b: 'float64', c: 'float64' };

const installed = new Map<string, { packB: NativeFunction; compute: NativeFunction }>();
function kernels(isa: Isa, types: MatmulTypes): { packB: NativeFunction; compute: NativeFunction } {
  const key = JSON.stringify([isa, types]);
  let found = installed.get(key);
  if (!found) {
    const code = matmulKernels(isa, types);
    const [packB, compute] = codeHeap()
      .install([code.packB, code.compute])
      .map((address) => os.callable(address));
    found = { packB, compute };
    installed.set(key, found);
  }
  return found;
}

const scratch = heap.alloc(SCRATCH_BYTES);

function runPlan(plan: MatmulPlan, isa: Isa, types: MatmulTypes, addresses: MatmulAddresses, piece = Infinity): void {
  const block = heap.alloc(word.count * 8);
  const bytes = heap.bytesAt(block.address, word.count * 8);
  writeMatmulArgs(plan, new BigInt64Array(bytes.buffer, bytes.byteOffset, word.count), addresses);
  const code = kernels(isa, plan.swapped ? { ...types, a: types.b, b: types.a } : types);
  for (const { kernel, count } of plan.phases) {
    if (kernel === 'rows') throw new Error('a product of blocks');
    for (let begin = 0; begin < count; begin += piece) code[kernel](block.address, begin, Math.min(count, begin + piece), scratch.address);
  }
  heap.free(block);
}

const codecs = {
  float32: { array: Float32Array, read: (x: number) => x, write: Math.fround },
  float64: { array: Float64Array, read: (x: number) => x, write: (x: number) => x },
  bfloat16: { array: Uint16Array, read: decodeBfloat16, write: encodeBfloat16 },
  float16: { array: Uint16Array, read: decodeFloat16, write: encodeFloat16 },
} as const;

/** float32 fma: the product of two floats is exact in float64; the sum is rounded to odd, so that the last rounding is right. */
function fma32(a: number, b: number, c: number): number {
  const product = a * b;
  const sum = product + c;
  const bb = sum - product;
  const error = product - (sum - bb) + (c - bb);
  if (error === 0 || !Number.isFinite(sum)) return Math.fround(sum);
  pun[0] = sum;
  if ((bits[0] & 1n) === 0n) bits[0] += error > 0 === sum > 0 ? 1n : -1n;
  return Math.fround(pun[0]);
}
const pun = new Float64Array(1);
const bits = new BigInt64Array(pun.buffer);

/** float64 fma for numbers that are small multiples of 2^-40: exact integers, rounded by BigInt to the nearest even double. */
function fma64(a: number, b: number, c: number): number {
  const scaled = (x: number, power: number): bigint => {
    let value = x;
    let shift = power;
    while (!Number.isInteger(value)) {
      value *= 2;
      shift--;
    }
    return BigInt(value) << BigInt(shift);
  };
  // Number(BigInt) rounds to nearest, ties to even.
  return Number(scaled(a, 200) * scaled(b, 200) + scaled(c, 400)) / 2 ** 400;
}

type Case = Omit<MatmulRequest, 'isa' | 'threads' | 'types'> & { readonly types: MatmulTypes };

function offsetsOf(batch: readonly number[], strides: readonly number[]): number[] {
  let offsets = [0];
  batch.forEach((size, i) => {
    offsets = offsets.flatMap((offset) => Array.from({ length: size }, (_, index) => offset + index * strides[i]));
  });
  return offsets;
}

const extent = (sizes: readonly number[], strides: readonly number[]): number =>
  sizes.includes(0) ? 0 : sizes.reduce((sum, size, i) => sum + (size - 1) * strides[i], 1);

function fill(dtype: MatmulDtype, count: number, seed: number): InstanceType<(typeof codecs)[MatmulDtype]['array']> {
  const { array, write } = codecs[dtype];
  const data = new array(count);
  let state = seed * 2654435761 + 12345;
  for (let i = 0; i < count; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    data[i] = write((state >>> 8) / 2 ** 23 - 1);
  }
  return data;
}

/** Results in storage form, [batch][m][n] dense. */
function model(problem: Case, a: ArrayLike<number>, b: ArrayLike<number>): ArrayLike<number> {
  const { batch, m, n, k, types, aStrides, bStrides } = problem;
  const rank = batch.length;
  const isDouble = types.c === 'float64';
  const fma = isDouble ? fma64 : fma32;
  const aAt = offsetsOf(batch, aStrides);
  const bAt = offsetsOf(batch, bStrides);
  const [readA, readB] = [codecs[types.a].read, codecs[types.b].read];
  const result = new codecs[types.c].array(aAt.length * m * n);
  let at = 0;
  aAt.forEach((aOffset, index) => {
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        let total = 0;
        for (let start = 0; start < k; start += depthBlock) {
          let sum = 0;
          for (let p = start; p < Math.min(k, start + depthBlock); p++) {
            const left = readA(a[aOffset + i * aStrides[rank] + p * aStrides[rank + 1]]);
            sum = fma(left, readB(b[bAt[index] + p * bStrides[rank] + j * bStrides[rank + 1]]), sum);
          }
          total = start === 0 ? sum : isDouble ? total + sum : Math.fround(total + sum);
        }
        result[at++] = codecs[types.c].write(total);
      }
    }
  });
  return result;
}

/** Runs on guarded operands; everything of C outside the result must keep its mark. */
function compute(problem: Case, isa: Isa, threads: number, a: ArrayLike<number>, b: ArrayLike<number>, piece?: number): number[] {
  const { batch, m, n, types, cStrides } = problem;
  const plan = planMatmul({ ...problem, isa, threads });
  const place = (dtype: MatmulDtype, length: number, from?: ArrayLike<number>) => {
    const block = heap.guarded(length * dtypeBytes[dtype]);
    const bytes = new Uint8Array(os.view(block.address, Math.max(1, block.bytes)), 0, block.bytes);
    const data = new codecs[dtype].array(length);
    if (from) data.set(from);
    else new Uint8Array(data.buffer).fill(0x5a);
    bytes.set(new Uint8Array(data.buffer));
    return { ...block, bytes };
  };
  const blocks = [place(types.a, a.length, a), place(types.b, b.length, b), place(types.c, extent([...batch, m, n], cStrides))];
  const workspace = heap.guarded(Math.ceil(plan.workspaceBytes / 64) * 64);
  try {
    runPlan(plan, isa, types, { a: blocks[0].address, b: blocks[1].address, c: blocks[2].address, workspace: workspace.address }, piece);
    const stored = new codecs[types.c].array(blocks[2].bytes.slice().buffer);
    const result: number[] = [];
    const touched = new Set<number>();
    for (const offset of offsetsOf(batch, cStrides)) {
      for (let i = 0; i < m; i++) {
        for (let j = 0; j < n; j++) {
          const at = offset + i * cStrides[batch.length] + j;
          touched.add(at);
          result.push(stored[at]);
        }
      }
    }
    const untouched = new codecs[types.c].array(new Uint8Array(dtypeBytes[types.c]).fill(0x5a).buffer)[0];
    stored.forEach((value, at) => {
      if (!touched.has(at) && value !== untouched) throw new Error(`wrote outside of C at ${at}`);
    });
    return result;
  } finally {
    for (const block of [...blocks, workspace]) block.release();
  }
}

function check(problem: Case, seed = 1): void {
  const { batch, m, n, k, types, aStrides, bStrides } = problem;
  const a = fill(types.a, extent([...batch, m, k], aStrides), seed);
  const b = fill(types.b, extent([...batch, k, n], bStrides), seed + 1);
  const expected = Array.from(model(problem, a, b));
  for (const isa of isas) {
    for (const threads of [1, 16])
      expect(compute(problem, isa, threads, a, b, threads === 1 ? undefined : 3), `${isa} ${threads}`).toEqual(expected);
  }
}

const dense = (types: MatmulTypes, m: number, n: number, k: number, layout = 'nn', batch: number[] = []): Case => {
  const outer = (inner: number): number[] => batch.map((_, i) => batch.slice(i + 1).reduce((x, y) => x * y, inner));
  return {
    batch,
    m,
    n,
    k,
    types,
    aStrides: [...outer(m * k), ...(layout[0] === 'n' ? [k, 1] : [1, m])],
    bStrides: [...outer(k * n), ...(layout[1] === 'n' ? [n, 1] : [1, k])],
    cStrides: [...outer(m * n), n, 1],
  };
};

const mixtures: readonly MatmulTypes[] = [
  f32,
  f64,
  { a: 'bfloat16', b: 'bfloat16', c: 'bfloat16' },
  { a: 'float16', b: 'float16', c: 'float16' },
  { a: 'float32', b: 'bfloat16', c: 'float32' },
  { a: 'float16', b: 'float32', c: 'bfloat16' },
];

describe('matrix product', () => {
  for (const types of mixtures) {
    for (const layout of ['nn', 'nt', 'tn', 'tt']) {
      test(`every height and tail is the stated sum: ${types.a} x ${types.b} into ${types.c}, ${layout}`, () => {
        for (const m of [1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 25]) check(dense(types, m, 37, 19, layout), m);
        for (const n of [1, 7, 8, 15, 16, 17, 32, 33, 64]) check(dense(types, 5, n, 33, layout), n);
        check(dense(types, 2, 33, 800, layout));
        check(dense(types, 30, 35, 400, layout));
      });
    }
  }

  test('long row segments of few rows reach every width', () => {
    for (const types of [f32, f64, mixtures[2]]) {
      for (let m = 1; m <= 4; m++) for (const n of [384, 391, 520, 130]) check(dense(types, m, n, 9), n);
    }
  });

  test('few rows against weights with contiguous k are transposed in registers, whatever the tails', () => {
    for (const types of mixtures) {
      for (let m = 1; m <= 4; m++) for (const k of [8, 20, 72, 392]) check(dense(types, m, 70 + m, k, m === 3 ? 'tt' : 'nt'), k);
      check(dense(types, 2, 300, 16, 'nt', [2]));
      check({ ...dense(types, 2, 130, 800, 'nt'), bStrides: [1, 803] });
    }
  });

  test('an empty depth stores zeros, and empty results store nothing', () => {
    for (const types of mixtures) {
      check(dense(types, 14, 40, 0));
      check(dense(types, 2, 40, 0));
      check(dense(types, 14, 40, 0, 'nt'));
      check(dense(types, 0, 40, 5));
      check(dense(types, 7, 0, 5));
      check(dense(types, 7, 3, 5, 'nn', [0, 2]));
    }
  });

  test('batches with broadcast operands, and rows that merge through the batch', () => {
    check(dense(f32, 5, 20, 12, 'nn', [2, 3, 4]));
    check({ ...dense(f32, 5, 20, 12, 'nn', [2, 3]), bStrides: [0, 0, 20, 1] });
    check({ ...dense(f32, 5, 20, 12, 'nn', [2, 3]), bStrides: [240, 0, 1, 12] });
    check({ ...dense(f32, 30, 40, 12, 'nt', [2, 3]), bStrides: [0, 480, 1, 12] });
    check({ ...dense(f32, 1, 20, 12, 'nn', [6]), bStrides: [0, 20, 1] });
    check({ ...dense(f32, 200, 33, 12, 'nt', [3]), aStrides: [0, 12, 1] });
    check({ ...dense(f32, 150, 33, 12, 'nt', [2, 3]), bStrides: [0, 400, 1, 12] });
  });

  test('random shapes, strides and dtypes', () => {
    const size = (most: number) => fc.oneof(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: most }));
    const arbitrary = fc.record({
      types: fc.constantFrom(...mixtures),
      m: size(60),
      n: size(90),
      k: fc.oneof({ weight: 4, arbitrary: size(40) }, { weight: 1, arbitrary: fc.integer({ min: 383, max: 420 }) }),
      batch: fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 3 }),
      gaps: fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 15, maxLength: 15 }),
      orders: fc.tuple(fc.nat(), fc.nat()),
      repeats: fc.array(fc.boolean(), { minLength: 10, maxLength: 10 }),
    });
    /** Strides for dims in a random nesting order, with gaps; a repeated dim has stride 0. */
    const strides = (sizes: number[], order: number, gaps: number[], repeat: boolean[]): number[] => {
      const dims = sizes.map((_, i) => i);
      if (order & 1) dims.reverse();
      if (order & 2 && dims.length > 2) dims.push(dims.shift()!);
      const result = sizes.map(() => 0);
      let stride = 1 + (gaps[0] === 3 ? 1 : 0);
      for (const i of dims.reverse()) {
        if (repeat[i] && gaps[i] === 1) continue;
        result[i] = stride;
        stride = stride * sizes[i] + gaps[i];
      }
      return result;
    };
    fc.assert(
      fc.property(arbitrary, ({ types, m, n, k, batch, gaps, orders, repeats }) => {
        const cStrides = [...batch, m].map(() => 0);
        let stride = n + gaps[10];
        for (let i = batch.length; i >= 0; i--) {
          cStrides[i] = stride;
          stride = stride * (i === batch.length ? m : batch[i]) + gaps[11];
        }
        check({
          batch,
          m,
          n,
          k,
          types,
          aStrides: strides([...batch, m, k], orders[0], gaps, repeats),
          bStrides: strides([...batch, k, n], orders[1], gaps.slice(5), repeats.slice(5)),
          cStrides: [...cStrides, 1],
        });
      }),
      { numRuns: 60, seed: 7 },
    );
  });

  test('infinities and NaN go through, and bfloat16 keeps subnormals and quiet NaN', () => {
    const types = mixtures[2];
    const problem = dense(types, 1, 3, 1);
    const values = [Number.NaN, 1e-40, Number.POSITIVE_INFINITY].map(encodeBfloat16);
    for (const isa of isas) {
      expect(compute(problem, isa, 1, [encodeBfloat16(1)], values)).toEqual([0x7fc0, encodeBfloat16(1e-40), 0x7f80]);
    }
  });

  test('a constant B is packed once', () => {
    for (const isa of isas) {
      const problem = dense(f32, 70, 50, 400, 'nt');
      const a = fill('float32', 70 * 400, 1);
      const b = fill('float32', 50 * 400, 2);
      const whole = compute(problem, isa, 2, a, b);
      const packed = heap.alloc(packedBytes({ isa, types: f32, k: 400, n: 50 }));
      const operands = [a, b, new Float32Array(70 * 50)].map((data) => {
        const block = heap.alloc(data.byteLength);
        heap.bytesAt(block.address, data.byteLength).set(new Uint8Array(data.buffer));
        return block.address;
      });
      const addresses = { a: operands[0], b: operands[1], c: operands[2], packedB: packed.address };
      const first = planMatmul({ ...problem, m: 200, aStrides: [0, 1], isa, threads: 2 });
      expect(first.packedBytes).toBe(packed.bytes);
      const large = heap.alloc(200 * 50 * 4);
      runPlan(first, isa, f32, { ...addresses, c: large.address });
      const again = planMatmul({ ...problem, isa, threads: 2, packedB: 'cached' });
      expect(again.phases.map((phase) => phase.kernel)).toEqual(['compute']);
      heap.bytesAt(operands[1], 50 * 400 * 4).fill(0);
      runPlan(again, isa, f32, addresses);
      expect(Array.from(new Float32Array(heap.bytesAt(operands[2], 70 * 50 * 4).slice().buffer))).toEqual(whole);
    }
  });

  test('a row epilogue sees every row once, after its last depth block', () => {
    // Adds 1 to the count of each row, then checks in JS that the rows were complete by doubling the first element of each.
    const epilogue = new Assembler('avx2');
    const loop = epilogue.newLabel();
    const done = epilogue.newLabel();
    epilogue.bind(loop);
    epilogue.cmp(rsi, rdx);
    epilogue.jcc('ge', done);
    epilogue.mov(rax, mem(rdi)); // C
    epilogue.mov(rcx, mem(rdi, 8)); // bytes of a row
    epilogue.imul(rcx, rsi);
    epilogue.vmovss(0, mem(rax, 0, rcx));
    epilogue.vaddss(0, 0, 0);
    epilogue.vmovss(mem(rax, 0, rcx), 0);
    epilogue.inc(rsi);
    epilogue.jmp(loop);
    epilogue.bind(done);
    epilogue.ret();
    const [epilogueFn] = codeHeap().install([epilogue.finish()]);
    for (const isa of isas) {
      for (const layout of ['nn', 'nt']) {
        for (const m of [3, 100]) {
          const problem = dense(f32, m, 40, 500, layout, [3]);
          const a = fill('float32', 3 * m * 500, 1);
          const b = fill('float32', 3 * 500 * 40, 2);
          const expected = Array.from(model(problem, a, b)).map((value, i) => (i % 40 === 0 ? 2 * value : value));
          const plan = planMatmul({ ...problem, isa, threads: 2, preferFullRows: true });
          expect(plan.fullRows).toBe(true);
          const blocks = [a, b, new Float32Array(3 * m * 40)].map((data) => {
            const block = heap.alloc(data.byteLength);
            heap.bytesAt(block.address, data.byteLength).set(new Uint8Array(data.buffer));
            return block;
          });
          const epilogueArgs = heap.alloc(16);
          const words = heap.bytesAt(epilogueArgs.address, 16);
          new BigInt64Array(words.buffer, words.byteOffset, 2).set([BigInt(blocks[2].address), 160n]);
          const workspace = heap.alloc(plan.workspaceBytes);
          runPlan(plan, isa, f32, {
            a: blocks[0].address,
            b: blocks[1].address,
            c: blocks[2].address,
            workspace: workspace.address,
            epilogueFn,
            epilogueArgs: epilogueArgs.address,
          });
          expect(Array.from(new Float32Array(heap.bytesAt(blocks[2].address, 3 * m * 160).slice().buffer))).toEqual(expected);
        }
      }
    }
  });
});

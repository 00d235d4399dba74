/**
 * Products with ggml's blocks against a model in JavaScript that follows the stated order with exact fused multiply-adds: bitwise, on every
 * instruction set of this machine, with operands that end at a guard page. The weights of the model are decoded here, as ggml does it.
 */
import { describe, expect, test } from 'vitest';
import { type BlockFormatName, blockFormats } from '../../../graph/ggml.ts';
import { decodeBlocksForTest, randomBlocks } from '../../../quant/test-support.ts';
import { bestIsa, cpuFeatures } from '../features.ts';
import { halfTable } from '../half-table.ts';
import { codeHeap, nativeHeap } from '../memory.ts';
import { type NativeFunction, requireOs } from '../os.ts';
import { SCRATCH_BYTES } from '../pool.ts';
import type { Isa } from './assembler.ts';
import { blockKernel, planBlocks } from './matmul-ggml.ts';
import { fewRows } from './matmul-ggml-rows.ts';
import { depthBlock, word } from './matmul-layout.ts';

const os = requireOs();
const heap = nativeHeap();
const isas: readonly Isa[] = bestIsa(cpuFeatures()) === 'avx512' ? ['avx512', 'avx2'] : ['avx2'];
const scratch = heap.alloc(SCRATCH_BYTES);
const formats = Object.keys(blockFormats) as BlockFormatName[];

const pun = new Float64Array(1);
const bits = new BigInt64Array(pun.buffer);
/** The product of two floats is exact in float64; the sum is rounded to odd, so that the last rounding is right. */
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

const installed = new Map<string, NativeFunction>();
function kernel(isa: Isa, name: 'rows' | 'compute', format: BlockFormatName, transposed: boolean): NativeFunction {
  const key = `${isa} ${name} ${format} ${transposed}`;
  let found = installed.get(key);
  if (found === undefined) {
    found = os.callable(codeHeap().install([blockKernel(isa, name, { format, transposed })])[0]);
    installed.set(key, found);
  }
  return found;
}

interface Case {
  readonly format: BlockFormatName;
  readonly transposed: boolean;
  readonly m: number;
  readonly rows: number;
  readonly columns: number;
}

function compute({ format, transposed, m, rows, columns }: Case, isa: Isa, x: Float32Array, w: Uint8Array, piece: number): number[] {
  const [n, k] = transposed ? [columns, rows] : [rows, columns];
  const guarded = (bytes: Uint8Array) => {
    const block = heap.guarded(bytes.length);
    const view = new Uint8Array(os.view(block.address, Math.max(1, block.bytes)), 0, block.bytes);
    view.set(bytes);
    return { ...block, view };
  };
  const blocks = [guarded(new Uint8Array(x.buffer)), guarded(w), guarded(new Uint8Array(m * n * 4).fill(0x5a))];
  const block = heap.alloc(word.count * 8);
  try {
    const plan = planBlocks({
      m,
      n,
      k,
      aRow: k,
      cRow: n,
      rowBytes: w.length / rows,
      blocks: { format, transposed },
      isa,
      threads: 2,
      halves: halfTable(),
    });
    const words = heap.bytesAt(block.address, word.count * 8);
    const args = new BigInt64Array(words.buffer, words.byteOffset, word.count);
    plan.words.forEach((value, i) => {
      args[i] = BigInt(value);
    });
    [word.a, word.b, word.c].forEach((at, i) => {
      args[at] = BigInt(blocks[i].address);
    });
    args[word.partial] = args[word.c];
    for (const { kernel: name, count } of plan.phases) {
      if (name === 'packB') throw new Error('packs weights');
      const run = kernel(isa, name, format, transposed);
      for (let begin = 0; begin < count; begin += piece) run(block.address, begin, Math.min(count, begin + piece), scratch.address);
    }
    return Array.from(new Float32Array(blocks[2].view.slice().buffer));
  } finally {
    heap.free(block);
    for (const b of blocks) b.release();
  }
}

/** Weights of a block in the order in which the decoder hands out each sixteen. */
function order(format: BlockFormatName): number[] {
  const sixteens: number[] = [];
  if (format === 'Q4_K' || format === 'Q5_K')
    for (let pair = 0; pair < 256; pair += 64) sixteens.push(pair, pair + 32, pair + 16, pair + 48);
  else if (format === 'Q6_K')
    for (let half = 0; half < 256; half += 128) for (let i = 0; i < 64; i += 16) sixteens.push(half + i, half + i + 64);
  else sixteens.push(0, 16);
  return sixteens.flatMap((first) => Array.from({ length: 16 }, (_, i) => first + i));
}

function model({ format, transposed, m, rows, columns }: Case, x: Float32Array, weights: Float32Array): number[] {
  const [n, k] = transposed ? [columns, rows] : [rows, columns];
  const out: number[] = [];
  const unit = blockFormats[format].weights;
  const places = order(format);
  for (let i = 0; i < m; i++)
    for (let j = 0; j < n; j++) {
      if (m <= fewRows && !transposed) {
        const lanes = new Array<number>(16).fill(0);
        for (let block = 0; block < k; block += unit)
          for (const at of places) lanes[at % 16] = fma32(weights[j * k + block + at], x[i * k + block + at], lanes[at % 16]);
        for (const step of [8, 4, 2, 1]) for (let l = 0; l < step; l++) lanes[l] = Math.fround(lanes[l] + lanes[l + step]);
        out.push(lanes[0]);
        continue;
      }
      let total = 0;
      for (let start = 0; start < k; start += depthBlock) {
        let sum = 0;
        for (let p = start; p < Math.min(k, start + depthBlock); p++)
          sum = fma32(x[i * k + p], transposed ? weights[p * n + j] : weights[j * k + p], sum);
        total = start === 0 ? sum : Math.fround(total + sum);
      }
      out.push(total);
    }
  return out;
}

function check(problem: Case): void {
  const { format, transposed, m, rows, columns } = problem;
  const w = randomBlocks(format, (rows * columns) / blockFormats[format].weights, m + 7 * rows + columns);
  const weights = decodeBlocksForTest(format, w);
  const x = Float32Array.from({ length: m * (transposed ? rows : columns) }, (_, i) => Math.sin(i * 1.7 + m) * 2);
  const expected = model(problem, x, weights);
  for (const isa of isas)
    for (const piece of [Infinity, 1]) expect(compute(problem, isa, x, w, piece), `${isa} ${JSON.stringify(problem)}`).toEqual(expected);
}

describe.each(formats)('products with blocks of %s', (format) => {
  const unit = blockFormats[format].weights;
  test('few rows: every number of them, and every tail of the rows of the weight, in lanes', () => {
    for (let m = 0; m <= fewRows; m++) check({ format, transposed: false, m, rows: 11, columns: 2 * unit });
    for (const rows of [1, 2, 3, 4, 5, 7, 8, 9, 33]) check({ format, transposed: false, m: 1, rows, columns: unit });
  });
  test('many rows: panels decoded into scratch memory, depth blocks that begin in the midst of a block', () => {
    for (const m of [17, 21, 30]) check({ format, transposed: false, m, rows: 21, columns: 3 * unit });
    for (const rows of [1, 16, 17, 32, 70]) check({ format, transposed: false, m: 17, rows, columns: unit });
    check({ format, transposed: false, m: 18, rows: 5, columns: 1280 });
  });
  test('the transposed product, whose depth runs over rows of the weight', () => {
    for (const m of [1, 4, 14]) check({ format, transposed: true, m, rows: 9, columns: 2 * unit });
    check({ format, transposed: true, m: 3, rows: 400, columns: unit });
  });
});

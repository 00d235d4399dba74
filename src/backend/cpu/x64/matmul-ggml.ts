/**
 * Products whose right operand is weights in ggml's blocks: C = A x W^T, and C = A x W (`transposed`) for the gradient of A. A and C are float32.
 *
 * Few rows go through `matmul-ggml-rows.ts`. More go through the ordinary product, whose panels of B are decoded into the thread's scratch
 * memory one by one: each tile has all rows of C, so a panel is decoded once. W as numbers is never anywhere but there.
 */
import { type BlockFormatName, type BlockOperand, blockFormats } from '../../../graph/ggml.ts';
import { type Assembler, type Isa, type Label, mem, r8, r9, r10, r11, r12, r13, r14, rax, rbx, rcx, rdi, rsi } from './assembler.ts';
import { emitCompute } from './matmul-compute.ts';
import { type DecodeContext, emitDecodeConstants, emitUnit } from './matmul-ggml-decode.ts';
import { blockCount, emitBlockRows, fewRows, halvesWord, unitRows } from './matmul-ggml-rows.ts';
import { depthBlock, dtypeBytes, type MatmulShape, scratch, word } from './matmul-layout.ts';
import { local } from './matmul-micro.ts';
import { type MatmulPhase, planMatmul } from './matmul-plan.ts';

export type BlockKernels = { readonly rows: Uint8Array; readonly compute: Uint8Array };

export const blockKernelKey = (isa: Isa, kernel: 'rows' | 'compute', { format, transposed }: BlockOperand): string =>
  `${isa} product ${kernel} ${format}${transposed ? ' transposed' : ''}`;

export function blockKernel(isa: Isa, kernel: 'rows' | 'compute', { format, transposed }: BlockOperand): Uint8Array {
  if (kernel === 'rows') return emitBlockRows(isa, format);
  const f32 = { a: 'float32', b: 'float32', c: 'float32' } as const;
  return emitCompute(isa, f32, (a, shape, packPanel, start) => {
    a.align(16);
    a.bind(start);
    if (transposed) emitAcross(a, shape, format);
    else emitAlong(a, shape, format, packPanel);
  });
}

export interface BlockRequest {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** In elements. */
  readonly aRow: number;
  readonly cRow: number;
  readonly rowBytes: number;
  readonly blocks: BlockOperand;
  readonly isa: Isa;
  readonly threads: number;
  /** Address of all half-precision numbers as float32: `halfTable()`. */
  readonly halves: number;
}

/** Phases and argument words; there is no workspace, the panels are in scratch memory. */
export function planBlocks(request: BlockRequest): { phases: readonly MatmulPhase[]; words: readonly number[] } {
  const { m, n, k, aRow, cRow, rowBytes, blocks, isa, threads, halves } = request;
  if (m <= fewRows && !blocks.transposed) {
    const words = new Array<number>(word.count).fill(0);
    words[word.m] = m;
    words[word.n] = n;
    words[word.bN] = rowBytes;
    words[word.aRow] = aRow * dtypeBytes.float32;
    words[word.cRow] = cRow * dtypeBytes.float32;
    words[blockCount] = k / blockFormats[blocks.format].weights;
    words[halvesWord] = halves;
    const count = m === 0 ? 0 : Math.ceil(n / unitRows);
    // Several pieces a thread, none below some microseconds.
    const least = Math.ceil(100_000 / Math.max(1, unitRows * k * m));
    const grain = Math.max(1, Math.min(Math.ceil(count / threads), Math.max(least, Math.ceil(count / (threads * 8)))));
    return { phases: count === 0 ? [] : [{ kernel: 'rows', count, grain }], words };
  }
  const types = { a: 'float32', b: 'float32', c: 'float32' } as const;
  const strides = { aStrides: [aRow, 1], bStrides: [1, k], cStrides: [cRow, 1] };
  const plan = planMatmul({ batch: [], m, n, k, ...strides, types, isa, threads, decoded: true });
  const words = [...plan.words];
  words[word.bK] = 0;
  words[word.bN] = rowBytes;
  words[word.bPanel] = 0;
  words[halvesWord] = halves;
  return { phases: plan.phases, words };
}

const contextOf = (a: Assembler, shape: MatmulShape, format: BlockFormatName): DecodeContext => ({
  a,
  width: shape.width,
  lanes: shape.lanes as 8 | 16,
  format,
  scales: rbx,
  halves: r11,
  temporary: rax,
  registers: [8, 9, 10, 11, 12, 13, 14, 15],
  ladder: 16,
});

/** Bytes between decoded rows: a cache line more than the numbers, so that they do not share their cache sets. */
const decodedRow = depthBlock * 4 + 64;

/**
 * Columns of the panel are rows of W, r9 bytes apart: each is decoded along k into a row of scratch memory, then all are transposed by `packPanel`.
 * Depth blocks may begin in the middle of a block of 256.
 */
function emitAlong(a: Assembler, shape: MatmulShape, format: BlockFormatName, packPanel: Label): void {
  const context = contextOf(a, shape, format);
  const { weights, bytes } = blockFormats[format];
  const store = (offset: number, register: number): void => a.vmovups(shape.width, mem(rdi, offset * 4), register);
  const part = (from: number, to: number): void => emitUnit(context, r8, (offset, register) => store(offset - from, register), from, to);
  emitDecodeConstants(context);
  a.mov(r11, mem(rbx, halvesWord * 8));
  a.mov(rbx, local('scratch'));
  a.mov(r14, rbx);
  a.add(rbx, scratch.tail);
  a.add(r14, scratch.epilogue);
  a.imul(r12, local('cachePanel'), shape.tileColumns);
  a.imul(r12, r9);
  a.add(r12, local('bBase'));
  a.mov(rax, local('firstK'));
  a.shr(rax, Math.log2(weights));
  a.imul(rax, rax, bytes);
  a.add(r12, rax);
  a.mov(r13, local('columns'));
  const column = a.newLabel();
  const loop = a.newLabel();
  const rest = a.newLabel();
  const ready = a.newLabel();
  a.align(16);
  a.bind(column);
  a.mov(r8, r12);
  a.mov(rdi, r14);
  a.mov(rcx, local('depth'));
  const half = weights / 2;
  if (weights > 128) {
    a.mov(rax, local('firstK'));
    a.and(rax, half);
    a.jcc('e', loop);
    part(half, weights);
    a.add(r8, bytes);
    a.add(rdi, half * 4);
    a.sub(rcx, half);
  }
  a.bind(loop);
  a.cmp(rcx, weights);
  a.jcc('l', rest);
  part(0, weights);
  a.add(r8, bytes);
  a.add(rdi, weights * 4);
  a.sub(rcx, weights);
  a.jmp(loop);
  a.bind(rest);
  if (weights > 128) {
    a.test(rcx, rcx);
    a.jcc('le', ready);
    part(0, half);
  }
  a.bind(ready);
  a.add(r12, r9);
  a.add(r14, decodedRow);
  a.dec(r13);
  a.jcc('ne', column);
  a.mov(r11, local('scratch'));
  a.mov(rsi, r11);
  a.mov(rdi, r11);
  a.add(rsi, scratch.epilogue);
  a.add(rdi, scratch.b);
  a.add(r11, scratch.pointers);
  a.mov(r8, 4);
  a.mov(r9, decodedRow);
  a.mov(r10, local('columns'));
  a.mov(rcx, local('depth'));
  a.jmp(packPanel);
}

/** Columns of the panel lie along a row of W, which is a k: the panel's rows are parts of blocks, decoded to where they belong. */
function emitAcross(a: Assembler, shape: MatmulShape, format: BlockFormatName): void {
  const context = contextOf(a, shape, format);
  const { weights, bytes } = blockFormats[format];
  const { tileColumns } = shape;
  const versions = weights / tileColumns;
  emitDecodeConstants(context);
  a.mov(r11, mem(rbx, halvesWord * 8));
  a.mov(rbx, local('scratch'));
  a.mov(rdi, rbx);
  a.add(rbx, scratch.tail);
  a.add(rdi, scratch.b);
  a.mov(r8, local('firstK'));
  a.imul(r8, r9);
  a.add(r8, local('bBase'));
  a.mov(rax, local('cachePanel'));
  a.shr(rax, Math.log2(versions));
  a.imul(rax, rax, bytes);
  a.add(r8, rax);
  const nothing = a.newLabel();
  a.test(rcx, rcx);
  a.jcc('e', nothing);
  a.mov(r10, local('cachePanel'));
  a.and(r10, versions - 1);
  for (let version = 0; version < versions; version++) {
    const other = a.newLabel();
    const loop = a.newLabel();
    const from = version * tileColumns;
    a.cmp(r10, version);
    a.jcc('ne', other);
    a.align(16);
    a.bind(loop);
    emitUnit(context, r8, (offset, register) => a.vmovups(shape.width, mem(rdi, (offset - from) * 4), register), from, from + tileColumns);
    a.add(r8, r9);
    a.add(rdi, tileColumns * 4);
    a.dec(rcx);
    a.jcc('ne', loop);
    a.ret();
    a.bind(other);
  }
  a.bind(nothing);
  a.ret();
}

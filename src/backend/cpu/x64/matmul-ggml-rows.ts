/**
 * Few rows times weights in blocks: every block of W is decoded in registers and multiplied with up to eight rows of A at once, and nothing is stored
 * but the results. The kernel's grid is groups of `unitRows` rows of W.
 *
 * Numbers: element k of a row goes to lane k % 16, each lane a chain of fused multiply-adds in the order in which the decoder hands blocks out, then
 * lanes l and l + 8, l + 4, l + 2, l + 1 are added. Two AVX2 vectors are sixteen such lanes, so both instruction sets give the same bits, and how
 * many rows are done together does not show.
 */
import { type BlockFormatName, blockFormats } from '../../../graph/ggml.ts';
import {
  Assembler,
  type Gpr,
  type Isa,
  type Mem,
  mem,
  r8,
  r9,
  r10,
  r11,
  r12,
  r13,
  r14,
  r15,
  rax,
  rbp,
  rbx,
  rcx,
  rdi,
  rdx,
  rsi,
  rsp,
} from './assembler.ts';
import { type DecodeContext, emitDecodeConstants, emitUnit } from './matmul-ggml-decode.ts';
import { word } from './matmul-layout.ts';
import { emitEpilogue, emitPrologue } from './matmul-pack.ts';

/** Rows of W in a unit of the grid. */
export const unitRows = 8;
/** Most rows of A for which this kernel is used: above, decoding once for all of them is faster. */
export const fewRows = 16;

/** Bytes between what is read and what is asked for: rows of W follow each other, but a page's end stops what the processor does by itself. */
const ahead = 8192;

const argument = (index: number): Mem => mem(rbp, index * 8);
/** The frame, at rbx. */
const [begin, end, rowOfA, rowOfW] = [0, 8, 16, 24].map((offset) => mem(rbx, offset)) as [Mem, Mem, Mem, Mem];
const weightRows = [r8, r9, r10, r11] as const;

/** Rows of A that are done together, and rows of W: as many sums as there are registers for. */
const groupings = {
  avx512: [
    [8, 1],
    [4, 2],
    [2, 4],
    [1, 4],
  ],
  avx2: [
    [4, 1],
    [2, 2],
    [1, 4],
  ],
} as const satisfies Record<Isa, readonly (readonly [number, number])[]>;

export function emitBlockRows(isa: Isa, format: BlockFormatName): Uint8Array {
  const a = new Assembler(isa);
  const context: DecodeContext = {
    a,
    width: isa === 'avx512' ? 'zmm' : 'ymm',
    lanes: isa === 'avx512' ? 16 : 8,
    format,
    scales: rdi,
    halves: r15,
    temporary: rax,
    registers: [8, 9, 10, 11, 12, 13, 14, 15],
    ladder: 16,
  };
  emitPrologue(a);
  a.sub(rsp, 40);
  a.mov(rbx, rsp);
  a.mov(rbp, rdi);
  a.mov(rdi, rcx);
  a.shl(rsi, Math.log2(unitRows));
  a.shl(rdx, Math.log2(unitRows));
  a.cmp(rdx, argument(word.n));
  a.cmov('g', rdx, argument(word.n));
  a.mov(begin, rsi);
  a.mov(end, rdx);
  a.mov(rowOfA, 0);
  a.mov(rdx, argument(word.aRow));
  a.lea(r12, mem(rdx, 0, rdx, 2));
  a.lea(r13, mem(rdx, 0, rdx, 4));
  a.lea(r14, mem(r12, 0, rdx, 4));
  a.mov(r15, argument(halvesWord));
  emitDecodeConstants(context);
  const next = a.newLabel();
  const done = a.newLabel();
  a.bind(next);
  a.mov(rax, argument(word.m));
  a.sub(rax, rowOfA);
  a.jcc('le', done);
  const bodies = groupings[isa].map(([rows, together]) => ({ rows, together, label: a.newLabel() }));
  for (const { rows, label } of bodies) {
    const fewer = a.newLabel();
    a.cmp(rax, rows);
    a.jcc('l', fewer);
    a.call(label);
    a.add(rowOfA, rows);
    a.jmp(next);
    a.bind(fewer);
  }
  a.bind(done);
  a.add(rsp, 40);
  emitEpilogue(a);
  for (const { rows, together, label } of bodies) {
    a.align(16);
    a.bind(label);
    emitGroups(context, rows, together);
  }
  return a.finish();
}

/** A subroutine: `rows` rows of A from `rowOfA` with all rows of W of the tile, `together` at a time, then one by one. */
function emitGroups(context: DecodeContext, rows: number, together: number): void {
  const { a } = context;
  a.mov(rax, begin);
  a.mov(rowOfW, rax);
  for (const count of together === 1 ? [1] : [together, 1]) {
    const loop = a.newLabel();
    const fewer = a.newLabel();
    a.bind(loop);
    a.mov(rax, end);
    a.sub(rax, rowOfW);
    a.cmp(rax, count);
    a.jcc('l', fewer);
    emitGroup(context, rows, count);
    a.add(rowOfW, count);
    a.jmp(loop);
    a.bind(fewer);
  }
  a.ret();
}

function emitGroup(context: DecodeContext, rows: number, count: number): void {
  const { a, width, lanes, format } = context;
  const { weights, bytes } = blockFormats[format];
  const parts = 16 / lanes;
  const sum = (weightRow: number, row: number, part: number): number => (weightRow * rows + row) * parts + part;
  const element = (row: number, offset: number): Mem => {
    switch (row) {
      case 0:
        return mem(rsi, offset);
      case 3:
        return mem(rsi, offset, r12);
      case 5:
        return mem(rsi, offset, r13);
      case 6:
        return mem(rsi, offset, r12, 2);
      case 7:
        return mem(rsi, offset, r14);
      default:
        return mem(rsi, offset, rdx, row as 1 | 2 | 4);
    }
  };
  a.mov(r8, argument(word.bN));
  a.imul(r8, rowOfW);
  a.add(r8, argument(word.b));
  for (let i = 1; i < count; i++) {
    a.mov(weightRows[i], weightRows[i - 1]);
    a.add(weightRows[i], argument(word.bN));
  }
  a.mov(rsi, rowOfA);
  a.imul(rsi, rdx);
  a.add(rsi, argument(word.a));
  for (let i = 0; i < count * rows * parts; i++) a.vxorps('ymm', i, i, i);
  const loop = a.newLabel();
  const summed = a.newLabel();
  a.mov(rcx, argument(blockCount));
  a.test(rcx, rcx);
  a.jcc('le', summed);
  a.align(32);
  a.bind(loop);
  // What several rows of W are multiplied with is loaded once, where there are registers for it.
  const kept = lanes === 16 && count > 1 && weights === 32;
  const keptIn = (row: number, offset: number): number => 17 + row * 2 + offset / 16;
  if (kept)
    for (let row = 0; row < rows; row++) for (const offset of [0, 16]) a.vmovups(width, keptIn(row, offset), element(row, offset * 4));
  for (let i = 0; i < count; i++) {
    emitUnit(context, weightRows[i] as Gpr, (offset, register) => {
      const part = (offset / lanes) % parts;
      for (let row = 0; row < rows; row++)
        a.vfmadd231ps(width, sum(i, row, part), register, kept ? keptIn(row, offset) : element(row, offset * 4));
    });
    a.prefetcht0(mem(weightRows[i], ahead));
    if (bytes > 64) for (let at = 64; at < bytes; at += 64) a.prefetcht0(mem(weightRows[i], ahead + at));
    a.add(weightRows[i], bytes);
  }
  a.add(rsi, weights * 4);
  a.dec(rcx);
  a.jcc('ne', loop);
  a.bind(summed);
  a.mov(rax, rowOfA);
  a.imul(rax, argument(word.cRow));
  a.add(rax, argument(word.c));
  a.mov(rcx, rowOfW);
  a.lea(rax, mem(rax, 0, rcx, 4));
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < count; i++) {
      const register = sum(i, row, 0);
      if (parts === 2) a.vaddps('ymm', register, register, sum(i, row, 1));
      else {
        a.vextractf64x4('zmm', 8, register, 1);
        a.vaddps('ymm', register, register, 8);
      }
      a.vextractf128('ymm', 8, register, 1);
      a.vaddps('xmm', register, register, 8);
      a.vmovhlps(8, register, register);
      a.vaddps('xmm', register, register, 8);
      a.vmovshdup('xmm', 8, register);
      a.vaddss(register, register, 8);
      a.vmovss(mem(rax, i * 4), register);
    }
    if (row < rows - 1) a.add(rax, argument(word.cRow));
  }
}

/** Words of the argument block: blocks in a row of W, and the address of all half-precision numbers as float32. */
export const blockCount = word.packDepthBlocks;
export const halvesWord = word.packSource;

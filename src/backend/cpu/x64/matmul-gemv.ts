/**
 * The micro-kernel for few rows when k is contiguous in B (x @ W.T with the weights of a Linear): columns of C are rows of W, so one vector
 * of sums per row of A, and W is transposed in registers on its way from memory.
 *
 * Sixteen bytes of each row of W are put together to vectors by inserting loads, so that only the 4x4 transposes inside of 128-bit lanes cost
 * shuffles. Pairs of bfloat16 travel as one 32-bit word and are split at the end. The rows of the next group are prefetched: so many
 * short streams are more than the hardware follows.
 * Columns are a multiple of the vector and k of 16 bytes (the driver and the planner see to it); A is a packed strip.
 */

import {
  type Assembler,
  type Gpr,
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
  rbx,
  rcx,
  rdi,
  rdx,
  rsi,
} from './assembler.ts';
import { dtypeBytes, type MatmulShape, type MatmulTypes, stripRowBytes } from './matmul-layout.ts';
import { local } from './matmul-micro.ts';
import { addVector, broadcastElement, fuse, storeNarrow, storeVector } from './matmul-vector.ts';

/** Whether this kernel can read B of that type and depth; float16 has no cheap split. */
export function canTranspose(types: MatmulTypes, k: number): boolean {
  return types.b !== 'float16' && k > 0 && (k * dtypeBytes[types.b]) % 16 === 0;
}

/** A subroutine over all column groups of the strip; keeps rbp. */
export function emitGemv(a: Assembler, shape: MatmulShape, types: MatmulTypes, rows: number): void {
  if (types.b === 'float16') {
    a.ud2();
    return;
  }
  const { width, lanes, bytes } = shape;
  const pairs = types.b === 'bfloat16';
  const units = 16 / bytes;
  const chunkDepth = pairs ? 2 * units : units;
  const quarters = (lanes * bytes) / 16;
  const [sums, parts, mixed, low, high, highMask] = [0, 4, 8, 12, 13, 15];
  /** Row i of the group, from the bases of rows 0, 6 and 12. */
  const rowOf = (bases: readonly [Gpr, Gpr, Gpr], i: number, offset: number): Mem => {
    const base = bases[Math.floor(i / 6)];
    const at = i % 6;
    if (at === 0) return mem(base, offset);
    if (at === 3) return mem(base, offset, r12);
    if (at === 5) return mem(base, offset, r13);
    return mem(base, offset, r11, at as 1 | 2 | 4);
  };
  const weights: [Gpr, Gpr, Gpr] = [r8, r9, r10];
  const ahead: [Gpr, Gpr, Gpr] = [rsi, rdx, rax];

  const multiply = (vector: number, k: number): void => {
    for (let row = 0; row < rows; row++) {
      const element = mem(r14, row * stripRowBytes(shape) + k * bytes);
      if (shape.isa === 'avx512') {
        if (bytes === 4) a.vfmadd231ps(width, sums + row, vector, element, { broadcast: true });
        else a.vfmadd231pd(width, sums + row, vector, element, { broadcast: true });
      } else {
        broadcastElement(a, shape, 14, element);
        fuse(a, shape, sums + row, vector, 14);
      }
    }
  };
  const chunk = (index: number): void => {
    for (let i = 0; i < units; i++) {
      a.vmovups('xmm', parts + i, rowOf(weights, i, index * 16));
      for (let q = 1; q < quarters; q++) {
        a.vinsertf32x4(q === 1 ? 'ymm' : 'zmm', parts + i, parts + i, rowOf(weights, i + units * q, index * 16), q);
      }
    }
    let ready = mixed;
    if (units === 2) {
      a.vunpcklpd(width, mixed, parts, parts + 1);
      a.vunpckhpd(width, mixed + 1, parts, parts + 1);
    } else {
      for (const half of [0, 2]) {
        a.vunpcklps(width, mixed + half, parts + half, parts + half + 1);
        a.vunpckhps(width, mixed + half + 1, parts + half, parts + half + 1);
      }
      for (const half of [0, 1]) {
        a.vunpcklpd(width, parts + 2 * half, mixed + half, mixed + half + 2);
        a.vunpckhpd(width, parts + 2 * half + 1, mixed + half, mixed + half + 2);
      }
      ready = parts;
    }
    for (let unit = 0; unit < units; unit++) {
      const k = index * chunkDepth;
      if (pairs) {
        a.vpslld(width, low, ready + unit, 16);
        a.vpandd(width, high, ready + unit, highMask);
        multiply(low, k + 2 * unit);
        multiply(high, k + 2 * unit + 1);
      } else multiply(ready + unit, k + unit);
    }
  };
  const advance = (bases: readonly Gpr[], chunks: number): void => {
    for (const base of bases.slice(0, Math.ceil(lanes / 6))) a.add(base, chunks * 16);
  };

  const group = a.newLabel();
  const four = a.newLabel();
  const rest = a.newLabel();
  const one = a.newLabel();
  const summed = a.newLabel();
  a.mov(rdi, local('stripB'));
  a.mov(rbx, local('columns'));
  a.mov(r11, local('stripBN'));
  a.lea(r12, mem(r11, 0, r11, 2));
  a.lea(r13, mem(r11, 0, r11, 4));
  if (pairs) {
    const words = new Uint32Array(1).fill(0xffff0000);
    a.vbroadcastss(width, highMask, mem(a.data(new Uint8Array(words.buffer), 4)));
  }
  a.bind(group);
  a.mov(r8, rdi);
  a.lea(r9, mem(r8, 0, r12, 2));
  if (lanes > 12) a.lea(r10, mem(r9, 0, r12, 2));
  a.mov(rsi, r11);
  a.shl(rsi, Math.log2(lanes));
  a.add(rsi, rdi);
  a.lea(rdx, mem(rsi, 0, r12, 2));
  a.lea(rax, mem(rdx, 0, r12, 2));
  a.mov(r14, local('stripA'));
  for (let row = 0; row < rows; row++) a.vxorps('ymm', sums + row, sums + row, sums + row);
  a.mov(rcx, local('depth'));
  a.sub(rcx, 4 * chunkDepth);
  a.jcc('l', rest);
  a.align(32);
  a.bind(four);
  for (let index = 0; index < 4; index++) {
    for (let i = index; i < lanes; i += 4) a.prefetcht0(rowOf(ahead, i, 0));
    chunk(index);
  }
  advance(weights, 4);
  advance(ahead, 4);
  a.add(r14, 4 * chunkDepth * bytes);
  a.sub(rcx, 4 * chunkDepth);
  a.jcc('ge', four);
  a.bind(rest);
  a.add(rcx, 4 * chunkDepth);
  a.jcc('le', summed);
  a.bind(one);
  chunk(0);
  advance(weights, 1);
  a.add(r14, chunkDepth * bytes);
  a.sub(rcx, chunkDepth);
  a.jcc('g', one);
  a.bind(summed);

  const eachRow = (base: 'partial' | 'c', stride: 'partialRow' | 'cRow', visit: (row: number) => void): void => {
    a.mov(rax, local(base));
    a.mov(r15, local(stride));
    for (let row = 0; row < rows; row++) {
      visit(row);
      if (row < rows - 1) a.add(rax, r15);
    }
  };
  const firstBlock = a.newLabel();
  const stored = a.newLabel();
  a.cmp(local('firstK'), 0);
  a.jcc('e', firstBlock);
  eachRow('partial', 'partialRow', (row) => addVector(a, shape, sums + row, mem(rax)));
  a.bind(firstBlock);
  const { c } = types;
  if (c === 'bfloat16' || c === 'float16') {
    const whole = a.newLabel();
    a.cmp(local('last'), 0);
    a.jcc('e', whole);
    eachRow('c', 'cRow', (row) => storeNarrow(a, shape, c, mem(rax), sums + row, [parts, mixed]));
    a.jmp(stored);
    a.bind(whole);
  }
  eachRow('partial', 'partialRow', (row) => storeVector(a, shape, mem(rax), sums + row));
  a.bind(stored);
  a.add(local('partial'), lanes * bytes);
  a.add(local('c'), lanes * dtypeBytes[c]);
  a.mov(rax, r11);
  a.shl(rax, Math.log2(lanes));
  a.add(rdi, rax);
  a.sub(rbx, lanes);
  a.jcc('g', group);
  a.ret();
}

/**
 * Packing of the matrix product: subroutines that copy a panel of B or a strip of A into the layout of the micro-kernel, widening on
 * the way, and the `packB` kernel around the first.
 *
 * A panel has `tileColumns` columns, each k a row of whole vectors. Columns beyond n hold anything: their sums are never stored.
 * Whatever the vector paths leave over (a tail of k, 16-bit tails on AVX2, odd strides) goes element by element through `emitCopy`.
 */

import {
  Assembler,
  type Gpr,
  type Isa,
  type Label,
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
import {
  depthBlock,
  dtypeBytes,
  type MatmulDtype,
  type MatmulShape,
  type MatmulTypes,
  matmulShape,
  scratch,
  stripRowBytes,
  word,
} from './matmul-layout.ts';
import { loadVector, maskedLoad, maskPointer, setMasks, storeVector, transpose } from './matmul-vector.ts';

const isNarrow = (dtype: MatmulDtype): boolean => dtypeBytes[dtype] === 2;

/**
 * `copy`: rdi target, rsi source, rcx outer count, r10 inner count, r8/r9 outer/inner source strides, r12 outer target stride; the target's
 * inner stride is one element. Clobbers rax, rdx, r13, r14, xmm0.
 */
export function emitCopy(a: Assembler, shape: MatmulShape, dtype: MatmulDtype, start: Label): void {
  const outer = a.newLabel();
  const inner = a.newLabel();
  const done = a.newLabel();
  a.align(16);
  a.bind(start);
  a.test(rcx, rcx);
  a.jcc('le', done);
  a.test(r10, r10);
  a.jcc('le', done);
  a.bind(outer);
  a.mov(rax, rsi);
  a.mov(rdx, rdi);
  a.mov(r13, r10);
  a.bind(inner);
  switch (dtype) {
    case 'float32':
      a.mov32(r14, mem(rax));
      a.mov32(mem(rdx), r14);
      break;
    case 'float64':
      a.mov(r14, mem(rax));
      a.mov(mem(rdx), r14);
      break;
    case 'bfloat16':
      a.movzx16(r14, mem(rax));
      a.shl32(r14, 16);
      a.mov32(mem(rdx), r14);
      break;
    case 'float16':
      a.movzx16(r14, mem(rax));
      a.vmovd(0, r14);
      a.vcvtph2ps('xmm', 0, 0);
      a.vmovss(mem(rdx), 0);
      break;
    default:
      dtype satisfies never;
  }
  a.add(rax, r9);
  a.add(rdx, shape.bytes);
  a.dec(r13);
  a.jcc('ne', inner);
  a.add(rsi, r8);
  a.add(rdi, r12);
  a.dec(rcx);
  a.jcc('ne', outer);
  a.bind(done);
  a.ret();
}

/**
 * `packPanel`: rdi target, rsi source, rcx depth, r8/r9 source strides of k and n, r10 columns (at most `tileColumns`), r11 room for a
 * pointer per column. Clobbers everything but rbp.
 */
export function emitPackPanel(a: Assembler, shape: MatmulShape, dtype: MatmulDtype, copy: Label, start: Label): void {
  const { lanes, bytes, tileColumns } = shape;
  const elementBytes = dtypeBytes[dtype];
  const vectorBytes = lanes * bytes;
  const rows = a.newLabel();
  const columns = a.newLabel();
  const elements = a.newLabel();
  const nothing = a.newLabel();
  a.align(16);
  a.bind(start);
  a.test(rcx, rcx);
  a.jcc('e', nothing);
  a.cmp(r9, elementBytes);
  a.jcc('e', rows);
  a.cmp(r8, elementBytes);
  a.jcc('e', columns);
  a.bind(elements);
  a.mov(r12, tileColumns * bytes);
  a.jmp(copy);
  a.bind(nothing);
  a.ret();

  // n is contiguous: rows of vectors.
  a.bind(rows);
  const rowLoop = (load: (vector: number) => void): void => {
    const loop = a.newLabel();
    a.align(16);
    a.bind(loop);
    a.prefetcht0(mem(rsi, 0, r8, 8));
    for (let v = 0; v < 2; v++) load(v);
    for (let v = 0; v < 2; v++) storeVector(a, shape, mem(rdi, v * vectorBytes), v);
    a.add(rsi, r8);
    a.add(rdi, 2 * vectorBytes);
    a.dec(rcx);
    a.jcc('ne', loop);
    a.ret();
  };
  const partial = a.newLabel();
  a.cmp(r10, tileColumns);
  a.jcc('l', partial);
  rowLoop((v) => loadVector(a, shape, dtype, v, mem(rsi, v * lanes * elementBytes)));
  a.bind(partial);
  if (shape.isa === 'avx512') {
    a.mov(rdx, rcx);
    setMasks(a, shape, r10, rax, rcx);
    a.mov(rcx, rdx);
    rowLoop((v) => loadVector(a, shape, dtype, v, mem(rsi, v * lanes * elementBytes), v + 1));
  } else if (isNarrow(dtype)) a.jmp(elements);
  else {
    maskPointer(a, shape, rdx, r10, rax);
    for (let v = 0; v < 2; v++) loadWhole(a, shape, 2 + v, rdx, v * vectorBytes);
    rowLoop((v) => maskedLoad(a, shape, v, 2 + v, mem(rsi, v * vectorBytes)));
  }

  // k is contiguous: transposes in registers. A column beyond the last one repeats it.
  a.bind(columns);
  const point = a.newLabel();
  const same = a.newLabel();
  const loop = a.newLabel();
  const tail = a.newLabel();
  a.mov(rax, rsi);
  a.xor32(rdx, rdx);
  a.bind(point);
  a.mov(mem(r11, 0, rdx, 8), rax);
  a.inc(rdx);
  a.cmp(rdx, r10);
  a.jcc('ge', same);
  a.add(rax, r9);
  a.bind(same);
  a.cmp(rdx, tileColumns);
  a.jcc('l', point);
  a.xor32(r12, r12);
  a.imul(r15, r9, tileColumns);
  a.mov(r13, rcx);
  a.bind(loop);
  a.cmp(r13, lanes);
  a.jcc('l', tail);
  const next = a.newLabel();
  const first = Array.from({ length: lanes }, (_, i) => i);
  for (let half = 0; half < 2; half++) {
    if (half === 1) {
      a.cmp(r10, lanes);
      a.jcc('le', next);
    }
    for (const i of first) {
      a.mov(rax, mem(r11, (half * lanes + i) * 8));
      a.add(rax, r12);
      loadVector(a, shape, dtype, i, mem(rax));
      // The panel after this one: many short streams are more than the hardware follows.
      a.prefetcht1(mem(rax, 0, r15));
    }
    const result = transpose(
      a,
      shape,
      first,
      first.map((i) => i + lanes),
    );
    result.forEach((register, k) => {
      storeVector(a, shape, mem(rdi, (k * 2 + half) * vectorBytes), register);
    });
  }
  a.bind(next);
  a.add(rdi, lanes * tileColumns * bytes);
  a.add(r12, lanes * elementBytes);
  a.sub(r13, lanes);
  a.jmp(loop);
  a.bind(tail);
  a.add(rsi, r12);
  a.mov(rcx, r13);
  a.jmp(elements);
}

function loadWhole(a: Assembler, shape: MatmulShape, target: number, base: Gpr, offset: number): void {
  a.vmovups(shape.width, target, mem(base, offset));
}

/** `packStrip`: rdi target, rsi source, rcx rows, r10 depth, r8/r9 source strides of m and k; leaves the strip with rows of `stripRowBytes`. */
export function emitStripAlongK(a: Assembler, shape: MatmulShape, dtype: MatmulDtype, copy: Label, start: Label): void {
  const { lanes, bytes } = shape;
  const elementBytes = dtypeBytes[dtype];
  const row = a.newLabel();
  const loop = a.newLabel();
  const rest = a.newLabel();
  a.align(16);
  a.bind(start);
  a.mov(r12, stripRowBytes(shape));
  a.mov(r15, r10);
  a.and(r15, -lanes);
  a.mov(r11, rcx);
  a.bind(row);
  a.lea(r13, mem(rsi, 0, r8, 4));
  a.xor32(rax, rax);
  a.bind(loop);
  a.cmp(rax, r15);
  a.jcc('ge', rest);
  loadVector(a, shape, dtype, 0, mem(rsi, 0, rax, elementBytes));
  storeVector(a, shape, mem(rdi, 0, rax, bytes), 0);
  a.prefetcht0(mem(r13, 0, rax, elementBytes as 2 | 4 | 8));
  a.add(rax, lanes);
  a.jmp(loop);
  a.bind(rest);
  a.add(rsi, r8);
  a.add(rdi, r12);
  a.dec(r11);
  a.jcc('ne', row);
  // Back to the first row, behind the whole vectors.
  a.mov(rax, rcx);
  a.imul(rax, r8);
  a.sub(rsi, rax);
  a.imul(rax, rcx, stripRowBytes(shape));
  a.sub(rdi, rax);
  a.lea(rsi, mem(rsi, 0, r15, elementBytes));
  a.lea(rdi, mem(rdi, 0, r15, bytes));
  a.sub(r10, r15);
  a.jmp(copy);
}

/** The same arguments; m is contiguous and the strip becomes `tileRows` elements per k. Not for 16-bit types on AVX2. */
export function emitStripAlongM(a: Assembler, shape: MatmulShape, dtype: MatmulDtype, start: Label): void {
  const { lanes, bytes, tileRows } = shape;
  const elementBytes = dtypeBytes[dtype];
  const vectors = Math.ceil(tileRows / lanes);
  a.align(16);
  a.bind(start);
  if (shape.isa === 'avx2' && isNarrow(dtype)) {
    a.ud2();
    return;
  }
  const loop = a.newLabel();
  const done = a.newLabel();
  a.test(r10, r10);
  a.jcc('e', done);
  if (shape.isa === 'avx512') {
    a.mov(rdx, rcx);
    setMasks(a, shape, rdx, rax, rcx);
  } else {
    maskPointer(a, shape, rdx, rcx, rax);
    for (let v = 0; v < vectors; v++) loadWhole(a, shape, 2 + v, rdx, v * lanes * bytes);
  }
  a.align(16);
  a.bind(loop);
  a.prefetcht0(mem(rsi, 0, r9, 8));
  for (let v = 0; v < vectors; v++) {
    const source = mem(rsi, v * lanes * elementBytes);
    if (shape.isa === 'avx512') loadVector(a, shape, dtype, v, source, v + 1);
    else maskedLoad(a, shape, v, 2 + v, source);
  }
  // Whole vectors: what they write over belongs to the next k, which comes later.
  for (let v = 0; v < vectors; v++) storeVector(a, shape, mem(rdi, v * lanes * bytes), v);
  a.add(rsi, r9);
  a.add(rdi, tileRows * bytes);
  a.dec(r10);
  a.jcc('ne', loop);
  a.bind(done);
  a.ret();
}

const saved = [rbx, rbp, r12, r13, r14, r15] as const;

export function emitPrologue(a: Assembler): void {
  for (const register of saved) a.push(register);
}

export function emitEpilogue(a: Assembler): void {
  a.vzeroupper();
  for (const register of [...saved].reverse()) a.pop(register);
  a.ret();
}

/** The kernel `packB`: its grid is batch by panels by depth blocks. */
export function emitPackB(isa: Isa, types: MatmulTypes): Uint8Array {
  const a = new Assembler(isa);
  const shape = matmulShape(isa, types);
  const { tileColumns, bytes } = shape;
  const copyStart = a.newLabel();
  const packStart = a.newLabel();
  const loop = a.newLabel();
  const done = a.newLabel();
  const argument = (index: number) => mem(rbp, index * 8);
  emitPrologue(a);
  // On the stack: tile, end, scratch.
  a.push(rcx);
  a.push(rdx);
  a.push(rsi);
  a.mov(rbp, rdi);
  a.mov(rbx, rsi);
  a.bind(loop);
  const [tile, end, room] = [0, 8, 16].map((offset) => mem(rsp, offset));
  a.mov(rax, tile);
  a.cmp(rax, end);
  a.jcc('ge', done);
  a.xor32(rdx, rdx);
  a.div(argument(word.packDepthBlocks));
  a.imul(r13, rdx, depthBlock); // first k
  a.xor32(rdx, rdx);
  a.div(argument(word.panels));
  a.mov(r14, rdx); // panel
  a.mov(r12, rax); // batch
  a.mov(rsi, argument(word.packSource));
  for (const [at, size] of [
    [2, word.packBatch2],
    [1, word.packBatch1],
  ] as const) {
    a.xor32(rdx, rdx);
    a.div(argument(size));
    a.imul(rdx, argument(word.packBatch + at));
    a.add(rsi, rdx);
  }
  a.imul(rax, argument(word.packBatch));
  a.add(rsi, rax);
  a.mov(r8, argument(word.packK));
  a.mov(r9, argument(word.packN));
  a.mov(rax, r13);
  a.imul(rax, r8);
  a.add(rsi, rax);
  a.imul(rdx, r14, tileColumns);
  a.mov(r10, argument(word.n));
  a.sub(r10, rdx);
  a.imul(rdx, r9);
  a.add(rsi, rdx);
  a.mov(rax, tileColumns);
  a.cmp(r10, rax);
  a.cmov('g', r10, rax);
  // target = base + batch * bytes + (panel * k + first k) * row
  a.mov(rdi, argument(word.packTarget));
  a.imul(r12, argument(word.packBatchBytes));
  a.add(rdi, r12);
  a.mov(rcx, argument(word.k));
  a.imul(r14, rcx);
  a.add(r14, r13);
  a.imul(r14, r14, tileColumns * bytes);
  a.add(rdi, r14);
  a.sub(rcx, r13);
  a.mov(rax, depthBlock);
  a.cmp(rcx, rax);
  a.cmov('g', rcx, rax);
  a.mov(r11, room);
  a.add(r11, scratch.pointers);
  a.call(packStart);
  a.inc(tile);
  a.jmp(loop);
  a.bind(done);
  a.add(rsp, 24);
  emitEpilogue(a);
  emitCopy(a, shape, types.b, copyStart);
  emitPackPanel(a, shape, types.b, copyStart, packStart);
  return a.finish();
}

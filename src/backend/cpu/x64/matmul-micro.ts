/**
 * The micro-kernels: a register tile of C, up to 12 (AVX2: 6) rows by some vectors, summed over one depth block and then stored or added.
 *
 * A is read in place by general strides (six rows hang on one pointer: 0 to 5 times the row stride), so packing it is an option, not a
 * need. Tiles go over all panels (`emitStrip`) or row segments (`emitWide`) of a strip before they return. Every number of rows has
 * its own code, and for k contiguous in A one that takes four k at a time.
 * Tails of n: AVX-512 masks each load of B and each access to C; AVX2 has a second version of the tile.
 */

import {
  type Assembler,
  type Gpr,
  type Label,
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
} from './assembler.ts';
import { dtypeBytes, type MatmulShape, type MatmulTypes, scratch, wideVectors } from './matmul-layout.ts';
import {
  addVector,
  broadcastElement,
  fuse,
  loadVector,
  maskedLoad,
  maskedStore,
  maskPointer,
  setMasks,
  storeNarrow,
  storeVector,
} from './matmul-vector.ts';

const names = [
  'args',
  'tile',
  'end',
  'scratch',
  'aBase',
  'bBase',
  'cBase',
  'partialBase',
  'batch',
  'rowBegin',
  'rowEnd',
  'panelBegin',
  'panelEnd',
  'firstK',
  'depth',
  'last',
  'cachePanel',
  'cacheEnd',
  'row',
  'rows',
  'strips',
  // What a micro-kernel reads: a strip of A, the first panel of B, where the sums go, how many columns.
  'stripA',
  'stripARow',
  'stripAK',
  'stripB',
  'stripBK',
  'stripBPanel',
  'stripBN',
  'bMode',
  'prefetchEnd',
  'partial',
  'partialRow',
  'c',
  'cRow',
  'columns',
] as const;
export type Local = (typeof names)[number];

export const frameBytes = names.length * 8 + 8;

/** A local variable of the compute kernel, on its stack frame at rbp. */
export function local(name: Local): Mem {
  return mem(rbp, names.indexOf(name) * 8);
}

type Mask = 'none' | 'registers' | 'memory';

/** One tile of `rows` by `vectors`; rdi B, rsi partial, rdx C, rbx columns left stay for the caller; everything else is clobbered. */
function emitTile(a: Assembler, shape: MatmulShape, types: MatmulTypes, rows: number, vectors: number, mask: Mask, wide: boolean): void {
  const { lanes, bytes } = shape;
  const sourceType = wide ? types.b : bytes === 8 ? 'float64' : 'float32';
  const sourceBytes = dtypeBytes[sourceType];
  const sum = (row: number, vector: number): number => row * vectors + vector;
  const sums = rows * vectors;
  const free = (shape.isa === 'avx512' ? 32 : 16) - sums;
  const register = (v: number): number => (mask === 'registers' ? v + 1 : 0);
  /** Address of element `row`, from a0 = r8 and a6 = r9. */
  const element = (row: number, displacement = 0): Mem => {
    const base = row < 6 ? r8 : r9;
    const at = row % 6;
    if (at === 0) return mem(base, displacement);
    if (at === 3) return mem(base, displacement, r11);
    if (at === 5) return mem(base, displacement, r12);
    return mem(base, displacement, r10, at as 1 | 2 | 4);
  };
  /** Walks the rows of C or of the sums: rax is the row, r10 the stride. */
  const eachRow = (base: Gpr, stride: Mem, visit: (row: number) => void): void => {
    a.mov(rax, base);
    a.mov(r10, stride);
    for (let row = 0; row < rows; row++) {
      visit(row);
      if (row < rows - 1) a.add(rax, r10);
    }
  };

  if (mask === 'registers') setMasks(a, shape, rbx, rax, rcx);
  if (mask === 'memory') maskPointer(a, shape, r9, rbx, rax);
  a.mov(r8, local('stripA'));
  a.mov(r10, local('stripARow'));
  a.lea(r11, mem(r10, 0, r10, 2));
  a.lea(r12, mem(r10, 0, r10, 4));
  if (rows > 6) a.lea(r9, mem(r8, 0, r11, 2));
  a.mov(r13, local('stripAK'));
  a.mov(r14, rdi);
  a.mov(r15, local('stripBK'));
  for (let i = 0; i < sums; i++) a.vxorps(i < 16 ? 'ymm' : shape.width, i, i, i);
  a.mov(rcx, local('depth'));
  const loop = a.newLabel();
  const summed = a.newLabel();
  a.test(rcx, rcx);
  a.jcc('e', summed);
  type Loads = (target: number, v: number) => void;
  const source = (v: number): Mem => mem(r14, v * lanes * sourceBytes);
  const plainLoad: Loads = (target, v) => loadVector(a, shape, sourceType, target, source(v));
  const maskedLoadOfB: Loads = (target, v) => {
    if (mask === 'memory') {
      a.vmovups(shape.width, target, mem(r9, v * lanes * bytes));
      maskedLoad(a, shape, target, target, source(v));
    } else loadVector(a, shape, sourceType, target, source(v), v + 1);
  };
  /** One k: every row's element times every vector of B. */
  const step = (loadB: Loads, elementAt: (row: number) => Mem = element): void => {
    if (wide) {
      for (let v = 0; v < vectors; v++) {
        if ((v * lanes * sourceBytes) % 64 === 0) a.prefetcht0(mem(r14, v * lanes * sourceBytes, r15, 8));
      }
      for (let row = 0; row < rows; row++) broadcastElement(a, shape, sums + row, elementAt(row));
      for (let v = 0; v < vectors; v++) {
        const target = sums + rows + (v % Math.min(4, free - rows));
        loadB(target, v);
        for (let row = 0; row < rows; row++) fuse(a, shape, sum(row, v), target, sums + row);
      }
      return;
    }
    for (let v = 0; v < vectors; v++) loadB(sums + v, v);
    const temporaries = Math.min(4, free - vectors);
    for (let row = 0; row < rows; row++) {
      const target = sums + vectors + (row % temporaries);
      broadcastElement(a, shape, target, elementAt(row));
      for (let v = 0; v < vectors; v++) fuse(a, shape, sum(row, v), sums + v, target);
    }
  };
  const emitLoop = (label: Label, loadB: Loads): void => {
    a.align(32);
    a.bind(label);
    step(loadB);
    a.add(r8, r13);
    if (rows > 6) a.add(r9, r13);
    a.add(r14, r15);
    a.dec(rcx);
    a.jcc('ne', label);
  };
  if (wide || mask === 'memory') emitLoop(loop, mask === 'none' ? plainLoad : maskedLoadOfB);
  else {
    const masked = a.newLabel();
    const four = a.newLabel();
    const rest = a.newLabel();
    const packed = a.newLabel();
    // A masked load takes a port from the multiply-adds, and so does each addition to an address.
    if (mask === 'registers') {
      a.cmp(rbx, shape.tileColumns);
      a.jcc('l', masked);
    }
    const quad = (label: Label, elementAt: (row: number, k: number) => Mem, advanceA: () => void): void => {
      const again = a.newLabel();
      a.bind(label);
      a.lea(r13, mem(r15, 0, r15, 2));
      a.sub(rcx, 4);
      a.jcc('l', rest);
      // The sums' memory is needed at the end: a row per turn, since all at once would hold up the loads of B.
      const prefetched = a.newLabel();
      a.mov(rax, local('partialRow'));
      a.imul(rax, rax, rows);
      a.add(rax, rsi);
      a.mov(local('prefetchEnd'), rax);
      a.mov(rax, rsi);
      a.align(64);
      a.bind(again);
      a.cmp(rax, local('prefetchEnd'));
      a.jcc('ae', prefetched);
      for (let offset = 0; offset < vectors * lanes * bytes; offset += 64) a.prefetcht0(mem(rax, offset));
      a.add(rax, local('partialRow'));
      a.bind(prefetched);
      for (let k = 0; k < 4; k++) {
        const at = (v: number): Mem => {
          const offset = v * lanes * sourceBytes;
          return k === 0 ? mem(r14, offset) : k === 3 ? mem(r14, offset, r13) : mem(r14, offset, r15, k as 1 | 2);
        };
        const load: Loads = (target, v) => loadVector(a, shape, sourceType, target, at(v));
        step(load, (row) => elementAt(row, k));
      }
      advanceA();
      a.lea(r14, mem(r14, 0, r15, 4));
      a.sub(rcx, 4);
      a.jcc('ge', again);
    };
    const stripAdvance = 4 * shape.tileRows * bytes;
    a.cmp(r13, bytes);
    a.jcc('e', four);
    a.cmp(r13, shape.tileRows * bytes);
    a.jcc('ne', loop);
    a.cmp(r10, bytes);
    a.jcc('ne', loop);
    // A strip that was copied along m: every address is a constant.
    quad(
      packed,
      (row, k) => mem(r8, (k * shape.tileRows + row) * bytes),
      () => {
        a.add(r8, stripAdvance);
        if (rows > 6) a.add(r9, stripAdvance);
      },
    );
    a.jmp(rest);
    quad(
      four,
      (row, k) => element(row, k * bytes),
      () => {
        a.add(r8, 4 * bytes);
        if (rows > 6) a.add(r9, 4 * bytes);
      },
    );
    a.bind(rest);
    a.mov(r13, local('stripAK'));
    a.add(rcx, 4);
    a.jcc('e', summed);
    emitLoop(loop, plainLoad);
    if (mask === 'registers') {
      a.jmp(summed);
      emitLoop(masked, maskedLoadOfB);
    }
  }
  a.bind(summed);

  const [maskA, maskB, temporary] = shape.isa === 'avx2' ? [12, 13, 14] : [0, 0, 0];
  const maskVector = (v: number): number => (v === 0 ? maskA : maskB);
  if (mask === 'memory') for (let v = 0; v < vectors; v++) a.vmovups(shape.width, maskVector(v), mem(r9, v * lanes * bytes));
  const firstBlock = a.newLabel();
  a.cmp(local('firstK'), 0);
  a.jcc('e', firstBlock);
  eachRow(rsi, local('partialRow'), (row) => {
    for (let v = 0; v < vectors; v++) {
      const earlier = mem(rax, v * lanes * bytes);
      if (mask === 'memory') {
        maskedLoad(a, shape, temporary, maskVector(v), earlier);
        addVector(a, shape, sum(row, v), temporary);
      } else addVector(a, shape, sum(row, v), earlier, register(v));
    }
  });
  a.bind(firstBlock);
  const stored = a.newLabel();
  const { c } = types;
  if (c === 'bfloat16' || c === 'float16') {
    const whole = a.newLabel();
    a.cmp(local('last'), 0);
    a.jcc('e', whole);
    const temporaries: [number, number] = shape.isa === 'avx512' ? [sums, sums] : [14, 15];
    if (mask === 'memory') {
      a.mov(r8, local('scratch'));
      a.add(r8, scratch.tail);
      for (let row = 0; row < rows; row++) {
        for (let v = 0; v < vectors; v++) storeNarrow(a, shape, c, mem(r8, row * 32 + v * 16), sum(row, v), temporaries);
      }
      emitCopyTail(a, rows);
    } else {
      eachRow(rdx, local('cRow'), (row) => {
        for (let v = 0; v < vectors; v++) storeNarrow(a, shape, c, mem(rax, v * lanes * 2), sum(row, v), temporaries, register(v));
      });
    }
    a.jmp(stored);
    a.bind(whole);
  }
  eachRow(rsi, local('partialRow'), (row) => {
    for (let v = 0; v < vectors; v++) {
      const target = mem(rax, v * lanes * bytes);
      if (mask === 'memory') maskedStore(a, shape, target, maskVector(v), sum(row, v));
      else storeVector(a, shape, target, sum(row, v), register(v));
    }
  });
  a.bind(stored);
}

/** AVX2 cannot mask 16-bit stores: rbx columns of each row from the scratch at r8 (32 bytes a row) to C at rdx. */
function emitCopyTail(a: Assembler, rows: number): void {
  const row = a.newLabel();
  const column = a.newLabel();
  a.mov(r10, local('cRow'));
  a.mov(r11, rows);
  a.mov(r12, rdx);
  a.bind(row);
  a.xor32(rcx, rcx);
  a.bind(column);
  a.movzx16(rax, mem(r8, 0, rcx, 2));
  a.mov16(mem(r12, 0, rcx, 2), rax);
  a.inc(rcx);
  a.cmp(rcx, rbx);
  a.jcc('l', column);
  a.add(r8, 32);
  a.add(r12, r10);
  a.dec(r11);
  a.jcc('ne', row);
}

function emitStart(a: Assembler): void {
  a.mov(rdi, local('stripB'));
  a.mov(rsi, local('partial'));
  a.mov(rdx, local('c'));
  a.mov(rbx, local('columns'));
}

function emitAdvance(a: Assembler, shape: MatmulShape, types: MatmulTypes, columns: number): void {
  a.add(rsi, columns * shape.bytes);
  a.add(rdx, columns * dtypeBytes[types.c]);
  a.sub(rbx, columns);
}

/** All panels of a strip of `rows` rows. A subroutine; keeps rbp. */
export function emitStrip(a: Assembler, shape: MatmulShape, types: MatmulTypes, rows: number): void {
  const panel = a.newLabel();
  const advance = a.newLabel();
  const tail = a.newLabel();
  emitStart(a);
  a.bind(panel);
  if (shape.isa === 'avx512') emitTile(a, shape, types, rows, 2, 'registers', false);
  else {
    a.cmp(rbx, shape.tileColumns);
    a.jcc('l', tail);
    emitTile(a, shape, types, rows, 2, 'none', false);
  }
  a.bind(advance);
  a.add(rdi, local('stripBPanel'));
  emitAdvance(a, shape, types, shape.tileColumns);
  a.jcc('g', panel);
  a.ret();
  if (shape.isa === 'avx512') return;
  a.bind(tail);
  emitTile(a, shape, types, rows, 2, 'memory', false);
  a.ret();
}

/** Few rows, B in place: segments as long as the registers allow, so that memory is read in long runs. */
export function emitWide(a: Assembler, shape: MatmulShape, types: MatmulTypes, rows: number): void {
  const tail = a.newLabel();
  const done = a.newLabel();
  emitStart(a);
  const narrowTail = shape.isa === 'avx512' || types.b === 'float32' || types.b === 'float64';
  for (const vectors of [...wideVectors(shape.isa, rows), 1]) {
    const columns = vectors * shape.lanes;
    const segment = a.newLabel();
    const next = a.newLabel();
    a.bind(segment);
    a.cmp(rbx, columns);
    a.jcc('l', next);
    emitTile(a, shape, types, rows, vectors, 'none', true);
    a.add(rdi, columns * dtypeBytes[types.b]);
    emitAdvance(a, shape, types, columns);
    a.jmp(segment);
    a.bind(next);
  }
  a.bind(tail);
  a.test(rbx, rbx);
  a.jcc('le', done);
  // NOTE: the planner sends 16-bit B with a tail elsewhere on AVX2, which cannot mask such a load.
  if (narrowTail) emitTile(a, shape, types, rows, 1, shape.isa === 'avx512' ? 'registers' : 'memory', true);
  else a.ud2();
  a.bind(done);
  a.ret();
}

/**
 * The kernel `compute`: its grid is batch by row blocks by column blocks of C. One code serves all shapes; how A and B are
 * read and how far a tile reaches are words of the argument block.
 *
 *   for each depth block                             sums of one block are complete before the next is added
 *     for each run of panels that fits the L2 cache
 *       (pack the panel, when B is neither packed nor readable in place)
 *       for each strip of up to 12 rows              its part of A stays in the L1 cache, copied there when strides are bad
 *         for each panel: the micro-kernel           B streams from the L2 cache
 *   then the row epilogue, when there is one
 *
 * The rows of a tile are split into strips of nearly equal height: 14 rows are 7 + 7, since a strip of 2 waits for its own sums.
 */

import {
  Assembler,
  type Gpr,
  type Isa,
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
  rax,
  rbp,
  rbx,
  rcx,
  rdi,
  rdx,
  rsi,
  rsp,
} from './assembler.ts';
import { emitGemv } from './matmul-gemv.ts';
import {
  aModes,
  bModes,
  depthBlock,
  dtypeBytes,
  type MatmulShape,
  type MatmulTypes,
  matmulShape,
  scratch,
  stripRowBytes,
  word,
} from './matmul-layout.ts';
import { emitStrip, emitWide, frameBytes, local } from './matmul-micro.ts';
import { emitCopy, emitEpilogue, emitPackPanel, emitPrologue, emitStripAlongK, emitStripAlongM } from './matmul-pack.ts';

type Subroutines = {
  readonly copyA: Label;
  readonly packPanel: Label;
  readonly alongK: Label;
  readonly alongM: Label;
  readonly strips: readonly Label[];
  readonly wides: readonly Label[];
  readonly gemvs: readonly Label[];
};

/** A word of the argument block at rbx. */
const argument = (index: number): Mem => mem(rbx, index * 8);

/** `decode`: panels of B are made by other code than `emitPackPanel`, which it may use; it is emitted at `start`, with the same arguments. */
export type EmitDecode = (a: Assembler, shape: MatmulShape, packPanel: Label, start: Label) => void;

export function emitCompute(isa: Isa, types: MatmulTypes, decode: EmitDecode | null = null): Uint8Array {
  const a = new Assembler(isa);
  const shape = matmulShape(isa, types);
  const labels = (count: number): Label[] => Array.from({ length: count }, () => a.newLabel());
  const [copyA, copyB, packPanel, alongK, alongM] = labels(5);
  const subroutines = {
    copyA,
    packPanel,
    alongK,
    alongM,
    strips: labels(shape.tileRows),
    wides: labels(shape.wideRows),
    gemvs: labels(shape.wideRows),
  };
  // The frame keeps the stack at a multiple of 16 for the epilogue's call.
  const frame = Math.ceil((frameBytes - 8) / 16) * 16 + 8;
  emitPrologue(a);
  a.sub(rsp, frame);
  a.mov(rbp, rsp);
  a.mov(local('args'), rdi);
  a.mov(local('tile'), rsi);
  a.mov(local('end'), rdx);
  a.mov(local('scratch'), rcx);
  const tile = a.newLabel();
  const done = a.newLabel();
  a.bind(tile);
  a.mov(rax, local('tile'));
  a.cmp(rax, local('end'));
  a.jcc('ge', done);
  emitTileOrigin(a);
  const decodePanel = a.newLabel();
  emitTileLoops(a, shape, types, decode === null ? subroutines : { ...subroutines, packPanel: decodePanel });
  emitRowEpilogue(a);
  a.inc(local('tile'));
  a.jmp(tile);
  a.bind(done);
  a.add(rsp, frame);
  emitEpilogue(a);

  emitCopy(a, shape, types.a, copyA);
  emitCopy(a, shape, types.b, copyB);
  emitPackPanel(a, shape, types.b, copyB, packPanel);
  decode?.(a, shape, packPanel, decodePanel);
  emitStripAlongK(a, shape, types.a, copyA, alongK);
  emitStripAlongM(a, shape, types.a, alongM);
  subroutines.strips.forEach((label, i) => {
    a.align(16);
    a.bind(label);
    emitStrip(a, shape, types, i + 1);
  });
  subroutines.wides.forEach((label, i) => {
    a.align(16);
    a.bind(label);
    if (decode === null) emitWide(a, shape, types, i + 1);
  });
  subroutines.gemvs.forEach((label, i) => {
    a.align(16);
    a.bind(label);
    if (decode === null) emitGemv(a, shape, types, i + 1);
  });
  return a.finish();
}

/** From the tile's number in rax to its range of rows and panels and the addresses of its batch. */
function emitTileOrigin(a: Assembler): void {
  a.mov(rbx, local('args'));
  const range = (blocks: number, size: number, whole: number, begin: Mem, end: Mem): void => {
    a.xor32(rdx, rdx);
    a.div(argument(blocks));
    a.mov(rcx, argument(size));
    a.imul(rdx, rcx);
    a.mov(begin, rdx);
    a.add(rdx, rcx);
    minimum(a, rdx, argument(whole));
    a.mov(end, rdx);
  };
  range(word.columnBlocks, word.columnPanels, word.panels, local('panelBegin'), local('panelEnd'));
  range(word.rowBlocks, word.rowBlock, word.m, local('rowBegin'), local('rowEnd'));
  a.mov(local('batch'), rax);
  a.xor32(rdx, rdx);
  a.div(argument(word.batch2));
  a.mov(r10, rdx);
  a.xor32(rdx, rdx);
  a.div(argument(word.batch1));
  a.mov(r9, rdx);
  for (const [base, strides, target] of [
    [word.a, word.aBatch, 'aBase'],
    [word.b, word.bBatch, 'bBase'],
    [word.c, word.cBatch, 'cBase'],
    [word.partial, word.partialBatch, 'partialBase'],
  ] as const) {
    a.mov(r11, argument(base));
    [rax, r9, r10].forEach((index, at) => {
      a.mov(r12, argument(strides + at));
      a.imul(r12, index);
      a.add(r11, r12);
    });
    a.mov(local(target), r11);
  }
}

function minimum(a: Assembler, target: Gpr, other: Mem): void {
  a.cmp(target, other);
  a.cmov('g', target, other);
}

/** target = base + index * stride, through r12. */
function offset(a: Assembler, target: Gpr, index: Mem, stride: Mem): void {
  a.mov(r12, index);
  a.imul(r12, stride);
  a.add(target, r12);
}

function emitTileLoops(a: Assembler, shape: MatmulShape, types: MatmulTypes, subroutines: Subroutines): void {
  const { tileColumns, bytes, tileRows } = shape;
  const depthLoop = a.newLabel();
  const cacheLoop = a.newLabel();
  const rowLoop = a.newLabel();
  a.mov(local('firstK'), 0);
  a.bind(depthLoop);
  a.mov(rbx, local('args'));
  a.mov(rax, argument(word.k));
  a.sub(rax, local('firstK'));
  a.xor32(rcx, rcx);
  a.cmp(rax, depthBlock);
  const longer = a.newLabel();
  a.jcc('g', longer);
  a.mov(rcx, 1);
  a.bind(longer);
  a.mov(local('last'), rcx);
  a.mov(rdx, depthBlock);
  a.cmp(rax, rdx);
  a.cmov('g', rax, rdx);
  a.mov(local('depth'), rax);
  a.mov(rax, local('panelBegin'));
  a.mov(local('cachePanel'), rax);
  a.bind(cacheLoop);
  emitCacheRange(a, shape);
  a.mov(rsi, local('bBase'));
  offset(a, rsi, local('firstK'), argument(word.bK));
  offset(a, rsi, local('cachePanel'), argument(word.bPanel));
  a.mov(r8, argument(word.bK));
  const inPlace = a.newLabel();
  const haveB = a.newLabel();
  a.cmp(local('bMode'), bModes.packEach);
  a.jcc('ne', inPlace);
  a.mov(rdi, local('scratch'));
  a.mov(r11, rdi);
  a.add(rdi, scratch.b);
  a.add(r11, scratch.pointers);
  a.mov(local('stripB'), rdi);
  a.mov(local('stripBK'), tileColumns * bytes);
  a.mov(local('stripBPanel'), 0);
  a.mov(r9, argument(word.bN));
  a.mov(r10, local('columns'));
  a.mov(rcx, local('depth'));
  a.call(subroutines.packPanel);
  a.jmp(haveB);
  a.bind(inPlace);
  a.mov(local('stripB'), rsi);
  a.mov(local('stripBK'), r8);
  a.mov(rax, argument(word.bPanel));
  a.mov(local('stripBPanel'), rax);
  a.mov(rax, argument(word.bN));
  a.mov(local('stripBN'), rax);
  a.bind(haveB);

  a.mov(rax, local('rowBegin'));
  a.mov(local('row'), rax);
  a.neg(rax);
  a.add(rax, local('rowEnd'));
  a.add(rax, tileRows - 1);
  a.xor32(rdx, rdx);
  a.mov(rcx, tileRows);
  a.div(rcx);
  a.mov(local('strips'), rax);

  a.bind(rowLoop);
  a.mov(rbx, local('args'));
  // Rows of this strip: what is left over strips that are left, rounded up.
  a.mov(rcx, local('strips'));
  a.mov(rax, local('rowEnd'));
  a.sub(rax, local('row'));
  a.add(rax, rcx);
  a.dec(rax);
  a.xor32(rdx, rdx);
  a.div(rcx);
  a.mov(local('rows'), rax);
  for (const [base, target, stride, rowTarget, elementBytes, strideWord] of [
    ['partialBase', 'partial', r13, 'partialRow', bytes, word.partialRow],
    ['cBase', 'c', r14, 'cRow', dtypeBytes[types.c], word.cRow],
  ] as const) {
    a.mov(stride, argument(strideWord));
    a.mov(local(rowTarget), stride);
    a.mov(rsi, local(base));
    a.imul(stride, local('row'));
    a.add(rsi, stride);
    a.imul(r12, local('cachePanel'), tileColumns * elementBytes);
    a.add(rsi, r12);
    a.mov(local(target), rsi);
  }
  emitStripOfA(a, shape, subroutines);
  emitDispatch(a, subroutines);
  a.mov(rax, local('rows'));
  a.add(local('row'), rax);
  a.dec(local('strips'));
  a.jcc('ne', rowLoop);

  a.mov(rax, local('cacheEnd'));
  a.mov(local('cachePanel'), rax);
  a.cmp(rax, local('panelEnd'));
  a.jcc('l', cacheLoop);
  a.add(local('firstK'), depthBlock);
  a.cmp(local('last'), 0);
  a.jcc('e', depthLoop);
}

/** The panels from `cachePanel` that are done together, and their number of columns. A partial panel cannot be transposed: it goes alone. */
function emitCacheRange(a: Assembler, shape: MatmulShape): void {
  const { tileColumns } = shape;
  const again = a.newLabel();
  const known = a.newLabel();
  const alone = a.newLabel();
  a.mov(rbx, local('args'));
  a.mov(rax, argument(word.bMode));
  a.mov(local('bMode'), rax);
  a.mov(rax, local('cachePanel'));
  a.add(rax, argument(word.cachePanels));
  minimum(a, rax, local('panelEnd'));
  a.bind(again);
  a.mov(local('cacheEnd'), rax);
  a.imul(rcx, rax, tileColumns);
  a.imul(rdx, local('cachePanel'), tileColumns);
  a.cmp(rcx, argument(word.n));
  a.jcc('le', known);
  a.mov(rcx, argument(word.n));
  a.cmp(local('bMode'), bModes.transposed);
  a.jcc('ne', known);
  a.dec(rax);
  a.cmp(rax, local('cachePanel'));
  a.jcc('e', alone);
  a.jmp(again);
  a.bind(alone);
  a.mov(local('bMode'), bModes.packEach);
  a.bind(known);
  a.sub(rcx, rdx);
  a.mov(local('columns'), rcx);
}

/** Names the strip of A for the micro-kernel, after copying it into scratch where the plan says so. */
function emitStripOfA(a: Assembler, shape: MatmulShape, subroutines: Subroutines): void {
  const done = a.newLabel();
  const copied = a.newLabel();
  const elements = a.newLabel();
  const alongM = a.newLabel();
  a.mov(rsi, local('aBase'));
  a.mov(r8, argument(word.aRow));
  a.mov(r9, argument(word.aK));
  offset(a, rsi, local('row'), argument(word.aRow));
  offset(a, rsi, local('firstK'), argument(word.aK));
  a.mov(rax, argument(word.aMode));
  a.test(rax, rax);
  a.jcc('ne', copied);
  a.mov(local('stripA'), rsi);
  a.mov(local('stripARow'), r8);
  a.mov(local('stripAK'), r9);
  a.jmp(done);
  a.bind(copied);
  a.mov(rdi, local('scratch'));
  if (scratch.a !== 0) a.add(rdi, scratch.a);
  a.mov(local('stripA'), rdi);
  a.mov(rcx, local('rows'));
  a.mov(r10, local('depth'));
  a.cmp(rax, aModes.alongM);
  a.jcc('e', alongM);
  a.mov(local('stripARow'), stripRowBytes(shape));
  a.mov(local('stripAK'), shape.bytes);
  a.cmp(rax, aModes.elements);
  a.jcc('e', elements);
  a.call(subroutines.alongK);
  a.jmp(done);
  a.bind(elements);
  a.mov(r12, stripRowBytes(shape));
  a.call(subroutines.copyA);
  a.jmp(done);
  a.bind(alongM);
  a.mov(local('stripARow'), shape.bytes);
  a.mov(local('stripAK'), shape.tileRows * shape.bytes);
  a.call(subroutines.alongM);
  a.bind(done);
}

/** Calls the micro-kernel for the strip's height. */
function emitDispatch(a: Assembler, subroutines: Subroutines): void {
  const done = a.newLabel();
  const wide = a.newLabel();
  const transposed = a.newLabel();
  const choose = (targets: readonly Label[], first: number): void => {
    if (targets.length === 1) {
      a.call(targets[0]);
      a.jmp(done);
      return;
    }
    const half = targets.length >> 1;
    const upper = a.newLabel();
    a.cmp(rax, first + half);
    a.jcc('ge', upper);
    choose(targets.slice(0, half), first);
    a.bind(upper);
    choose(targets.slice(half), first + half);
  };
  a.mov(rax, local('rows'));
  a.cmp(local('bMode'), bModes.wide);
  a.jcc('e', wide);
  a.cmp(local('bMode'), bModes.transposed);
  a.jcc('e', transposed);
  choose(subroutines.strips, 1);
  a.bind(transposed);
  choose(subroutines.gemvs, 1);
  a.bind(wide);
  choose(subroutines.wides, 1);
  a.bind(done);
}

/** `epilogueFn(epilogueArgs, rowBegin, rowEnd, scratch2)`, rows counted through the batch. */
function emitRowEpilogue(a: Assembler): void {
  const none = a.newLabel();
  a.mov(rbx, local('args'));
  a.mov(rax, argument(word.epilogueFn));
  a.test(rax, rax);
  a.jcc('e', none);
  a.vzeroupper();
  a.mov(rdi, argument(word.epilogueArgs));
  a.mov(rsi, local('batch'));
  a.imul(rsi, argument(word.m));
  a.mov(rdx, rsi);
  a.add(rsi, local('rowBegin'));
  a.add(rdx, local('rowEnd'));
  a.mov(rcx, local('scratch'));
  a.add(rcx, scratch.epilogue);
  a.call(rax);
  a.bind(none);
}

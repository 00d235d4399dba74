/**
 * What the planner and the emitted code of the matrix product agree on: tile sizes per instruction set, the argument block, the scratch.
 *
 * The numbers are fixed here too: `depthBlock` is the length of one run of fused multiply-adds, the same everywhere, so that neither the
 * instruction set nor the tiling shows in a result.
 * All strides in the block are bytes; all counts are elements.
 */

import type { Isa, Width } from './assembler.ts';

export type MatmulDtype = 'float32' | 'float64' | 'bfloat16' | 'float16';
/** How the operands are stored. float64 goes with float64 only; every other mixture is computed in float32. */
export type MatmulTypes = { readonly a: MatmulDtype; readonly b: MatmulDtype; readonly c: MatmulDtype };

/** Each element is a sum over blocks of so many k: fused multiply-adds from 0 within a block, blocks added in order. */
export const depthBlock = 384;

export const dtypeBytes = { float32: 4, float64: 8, bfloat16: 2, float16: 2 } as const satisfies Record<MatmulDtype, number>;

export type MatmulShape = {
  readonly isa: Isa;
  readonly width: Width;
  /** Elements of the compute type in a vector, and bytes of one. */
  readonly lanes: number;
  readonly bytes: 4 | 8;
  /** The register tile: rows by two vectors. */
  readonly tileRows: number;
  readonly tileColumns: number;
  /** Most rows for which B is read in place by long row segments. */
  readonly wideRows: number;
};

export function matmulShape(isa: Isa, types: MatmulTypes): MatmulShape {
  const doubles = [types.a, types.b, types.c].filter((type) => type === 'float64').length;
  if (doubles !== 0 && doubles !== 3) throw new Error(`internal: a matrix product of ${types.a} and ${types.b} into ${types.c}`);
  const bytes = doubles ? 8 : 4;
  const lanes = (isa === 'avx512' ? 64 : 32) / bytes;
  const tileRows = isa === 'avx512' ? 12 : 6;
  return { isa, width: isa === 'avx512' ? 'zmm' : 'ymm', lanes, bytes, tileRows, tileColumns: 2 * lanes, wideRows: 4 };
}

/** Vectors of the long and the middle row segment of the wide kernel, by number of rows. */
export function wideVectors(isa: Isa, rows: number): readonly number[] {
  const most = isa === 'avx512' ? [24, 12, 8, 6] : [10, 5, 3, 2];
  const middle = isa === 'avx512' ? [8, 4, 3, 2] : [4, 2, 0, 0];
  return [most[rows - 1], middle[rows - 1]].filter((vectors) => vectors > 0);
}

/** Words of the argument block, 8 bytes each. `b` is B as the compute kernel reads it: packed panels, or the operand itself. */
export const word = {
  a: 0,
  b: 1,
  c: 2,
  /** Float32 sums between depth blocks when C is narrower; otherwise C itself. */
  partial: 3,
  epilogueFn: 4,
  epilogueArgs: 5,
  packSource: 6,
  packTarget: 7,
  m: 8,
  n: 9,
  k: 10,
  aRow: 11,
  aK: 12,
  aBatch: 13,
  bK: 16,
  bN: 17,
  bPanel: 18,
  bBatch: 19,
  cRow: 22,
  cBatch: 23,
  partialRow: 26,
  partialBatch: 27,
  batch1: 30,
  batch2: 31,
  rowBlock: 32,
  rowBlocks: 33,
  columnPanels: 34,
  columnBlocks: 35,
  cachePanels: 36,
  panels: 37,
  aMode: 38,
  bMode: 39,
  packK: 40,
  packN: 41,
  packBatch: 42,
  packBatch1: 45,
  packBatch2: 46,
  packBatchBytes: 47,
  packDepthBlocks: 48,
  count: 49,
} as const;

/** How a strip of A reaches the micro-kernel: read in place; rows copied along k; columns copied along m; element by element. */
export const aModes = { inPlace: 0, alongK: 1, alongM: 2, elements: 3 } as const;
/** How B does: panels of `tileColumns` (packed before, or in place); packed panel by panel into scratch; long row segments in place; rows of W transposed in registers. */
export const bModes = { panels: 0, packEach: 1, wide: 2, transposed: 3 } as const;

/** Byte offsets in a thread's scratch. The second half belongs to the row epilogue. */
export const scratch = { a: 0, b: 40960, pointers: 90112, tail: 90624, epilogue: 128 << 10 } as const;

/** Row stride of a strip of A that was copied along k: one cache line more, so that rows do not fall on the same cache sets. */
export function stripRowBytes(shape: MatmulShape): number {
  return depthBlock * shape.bytes + 64;
}

/**
 * Packed matrix multiplication for WebAssembly SIMD: C[b, m, n] = A[b, m, k] x B[b, k, n], float32 or float64, any element strides
 * (C's rows are contiguous along n), any sizes.
 *
 * The order of additions is part of the result: k runs in blocks of `matmulBlock`; inside a block products are added one by one to 0;
 * the block sums are added in order. Neither tiling, tails nor threads change it. (A product and its addition round separately, or
 * together where relaxed_madd is chosen.)
 *
 * Grid: an index is a tile of `tileRows` x `tileColumns` of one batch, so that tiles can go to threads. A tile packs its part of B (in
 * pieces of `columnsPerPack` columns) and of A (`rowsPerPack` rows) into panels in its scratch, and a register kernel multiplies panels.
 * Panels are padded with zeros; what a register tile has beyond the edge is computed into scratch and not copied out.
 * For few rows packing B would cost more than it gains: `matmul-small.ts` reads B in place.
 */
import type { FunctionBuilder, ModuleBuilder } from './encoder.ts';
import { IntegerCode } from './integer-code.ts';
import type { MatmulType } from './matmul-parts.ts';
import { defineCopyTile, defineMultiply, definePack, elementSize } from './matmul-parts.ts';
import { defineSmall, smallRows, smallScratchBytes } from './matmul-small.ts';
import type { KernelSource } from './runtime.ts';

export type { MatmulType } from './matmul-parts.ts';
export const matmulBlock = 384;
// Packed A and B of f32 take 295 and 774 KB: for a second-level cache. Multiples of the register tile (4 rows, 12 or 6 columns).
const rowsPerPack = 192;
const columnsPerPack = 504;
/** More than rowsPerPack, so that a packed piece of B serves twice. */
const rowsPerTile = 384;

export interface MatmulShape {
  readonly batch: number;
  readonly m: number;
  readonly n: number;
  readonly k: number;
}
/** In elements. C's last stride is 1. */
export interface MatmulStrides {
  /** [batch, m, k] */
  readonly a: readonly [number, number, number];
  /** [batch, k, n] */
  readonly b: readonly [number, number, number];
  /** [batch, m] */
  readonly c: readonly [number, number];
}
export interface MatmulPlan {
  readonly tileRows: number;
  readonly tileColumns: number;
  /** Grid indices, and how many make a piece of work worth handing out. */
  readonly count: number;
  readonly grain: number;
  readonly scratchBytes: number;
}
export interface MatmulOptions {
  /** Use relaxed_madd: only where `hasFusedMultiplyAdd()`. */
  readonly fused: boolean;
}

// Of the tiles tried on V8 (2x4, 3x3, 4x2, 4x3, 5x2, 6x2, ...; 15 vector registers) this one does best for its memory traffic.
const tileRowsInRegisters = 4;
const tileVectors = 3;

/** Words of the argument block, 8 bytes each; strides in elements. */
const words = [
  'a',
  'b',
  'c',
  'm',
  'n',
  'k',
  'aBatch',
  'aRow',
  'aK',
  'bBatch',
  'bK',
  'bColumn',
  'cBatch',
  'cRow',
  'tileRows',
  'tileColumns',
] as const;
export const matmulWordCount: number = words.length;

/** The argument block's words, for `WasmRuntime.writeArguments`; a, b, c are addresses. */
export function matmulArguments(
  addresses: { readonly a: number; readonly b: number; readonly c: number },
  shape: MatmulShape,
  strides: MatmulStrides,
  plan: MatmulPlan,
): number[] {
  const { a, b, c } = addresses;
  return [a, b, c, shape.m, shape.n, shape.k, ...strides.a, ...strides.b, ...strides.c, plan.tileRows, plan.tileColumns];
}

/**
 * Tiles for a number of threads. On one thread a tile is still not the whole of a large matrix: the engine swaps in optimized code between
 * two calls only, so the first pieces, which run in its baseline tier, should be small.
 */
export function planMatmul(shape: MatmulShape, type: MatmulType, threads = 1): MatmulPlan {
  const { batch, m, n } = shape;
  let tileRows = Math.max(1, Math.min(m, rowsPerTile));
  let tileColumns = Math.max(1, Math.min(n, columnsPerPack));
  const tiles = (): number => batch * Math.ceil(m / tileRows) * Math.ceil(n / tileColumns);
  const halve = (value: number, unit: number): number => Math.ceil(value / 2 / unit) * unit;
  while (threads > 1 && tiles() < threads * 2) {
    if (tileColumns > 128 && tileColumns >= tileRows) tileColumns = halve(tileColumns, 48);
    else if (tileRows > 48) tileRows = halve(tileRows, tileRowsInRegisters);
    else break;
  }
  const products = tileRows * tileColumns * Math.max(1, shape.k);
  return {
    tileRows,
    tileColumns,
    count: tiles(),
    grain: Math.max(1, Math.floor(2 ** 20 / products)),
    scratchBytes: scratchLayout(type).end,
  };
}

function scratchLayout(type: MatmulType): { readonly rows: number; readonly columns: number; readonly tile: number; readonly end: number } {
  const column = matmulBlock * elementSize[type];
  const columns = rowsPerPack * column;
  const tile = columns + columnsPerPack * column;
  return { rows: 0, columns, tile, end: Math.max(tile + 1024, smallScratchBytes) };
}

/** A kernel for `WasmRuntime.compile`: grid indices are the plan's tiles. */
export function matmulSource(type: MatmulType, options: MatmulOptions): KernelSource {
  return {
    name: `matmul_${type}`,
    define(module: ModuleBuilder, name: string): void {
      const tile = { rows: tileRowsInRegisters, vectors: tileVectors };
      const copyTile = defineCopyTile(module, type);
      const parts: Parts = {
        packRows: definePack(module, type, tile.rows),
        packColumns: definePack(module, type, (tile.vectors * 16) / elementSize[type]),
        multiply: defineMultiply(module, type, tile, options.fused),
        copyTile,
        small: defineSmall(module, type, options.fused, matmulBlock, copyTile),
      };
      module.function(name, ['i32', 'i32', 'i32', 'i32'], [], (f) => emitDriver(f, type, parts));
    },
  };
}

interface Parts {
  readonly packRows: number;
  readonly packColumns: number;
  readonly multiply: number;
  readonly copyTile: number;
  readonly small: number;
}

function emitDriver(f: FunctionBuilder, type: MatmulType, parts: Parts): void {
  const code = new IntegerCode(f);
  const size = elementSize[type];
  const [args, begin, end, scratch] = code.parameters(4);
  const word = (name: (typeof words)[number]): (() => void) =>
    code.keep(() => {
      args();
      f.memory('i32.load', words.indexOf(name) * 8);
    });
  const stride = (name: (typeof words)[number]): (() => void) => code.keep(code.scale(word(name), size));
  const [a, b, c, m, n, k, tileRows, tileColumns] = (['a', 'b', 'c', 'm', 'n', 'k', 'tileRows', 'tileColumns'] as const).map(word);
  const [aBatch, aRow, aK, bBatch, bK, bColumn, cBatch, cRow] = (
    ['aBatch', 'aRow', 'aK', 'bBatch', 'bK', 'bColumn', 'cBatch', 'cRow'] as const
  ).map(stride);
  const layout = scratchLayout(type);
  const [rowPanels, columnPanels, edgeTile] = [layout.rows, layout.columns, layout.tile].map((at) =>
    code.keep(code.add(scratch, code.literal(at))),
  );
  const panelColumns = (tileVectors * 16) / size;
  const zero = code.literal(0);

  code.range(begin, end, 1, (tile) => {
    const columnTiles = code.keep(code.divideUp(n, tileColumns));
    const rowTiles = code.keep(code.divideUp(m, tileRows));
    const column0 = code.keep(code.multiply(code.remainder(tile, columnTiles), tileColumns));
    const rest = code.keep(code.divide(tile, columnTiles));
    const row0 = code.keep(code.multiply(code.remainder(rest, rowTiles), tileRows));
    const batch = code.keep(code.divide(rest, rowTiles));
    const rows = code.keep(code.minimum(tileRows, code.subtract(m, row0)));
    const columns = code.keep(code.minimum(tileColumns, code.subtract(n, column0)));
    const aTile = code.keep(code.add(a, code.multiply(batch, aBatch), code.multiply(row0, aRow)));
    const bTile = code.keep(code.add(b, code.multiply(batch, bBatch), code.multiply(column0, bColumn)));
    const cTile = code.keep(code.add(c, code.multiply(batch, cBatch), code.multiply(row0, cRow), code.scale(column0, size)));

    const unit = code.literal(size);
    const oneIsContiguous: () => void = () => {
      code.equal(bK, unit)();
      code.equal(bColumn, unit)();
      f.op('i32.or');
    };
    code.if(
      code.both(code.less(rows, code.literal(smallRows + 1)), oneIsContiguous),
      () => code.call(parts.small, aTile, bTile, cTile, rows, columns, k, aRow, aK, bK, bColumn, cRow, scratch),
      () => packed(rows, columns, aTile, bTile, cTile),
    );
  });

  function packed(rows: () => void, columns: () => void, aTile: () => void, bTile: () => void, cTile: () => void): void {
    code.range(zero, columns, columnsPerPack, (column) => {
      const width = code.keep(code.minimum(code.literal(columnsPerPack), code.subtract(columns, column)));
      const start = f.local('i32');
      code.set(start, zero);
      // The first block runs even for k = 0: it stores zeros.
      f.loop((again) => {
        const from = code.of(start);
        const depth = code.keep(code.minimum(code.literal(matmulBlock), code.subtract(k, from)));
        const first = code.keep(code.equal(from, zero));
        const bBlock = code.add(bTile, code.multiply(from, bK), code.multiply(column, bColumn));
        code.call(parts.packColumns, columnPanels, bBlock, width, depth, bColumn, bK);
        code.range(zero, rows, rowsPerPack, (row) => {
          const height = code.keep(code.minimum(code.literal(rowsPerPack), code.subtract(rows, row)));
          const aBlock = code.add(aTile, code.multiply(row, aRow), code.multiply(from, aK));
          code.call(parts.packRows, rowPanels, aBlock, height, depth, aRow, aK);
          const depthBytes = code.keep(code.scale(depth, size));
          code.range(zero, width, panelColumns, (j) => {
            const bPanel = code.keep(code.add(columnPanels, code.multiply(j, depthBytes)));
            const columnsLeft = code.keep(code.subtract(width, j));
            code.range(zero, height, tileRowsInRegisters, (i) => {
              const aPanel = code.add(rowPanels, code.multiply(i, depthBytes));
              const target = code.keep(code.add(cTile, code.multiply(code.add(row, i), cRow), code.scale(code.add(column, j), size)));
              const rowsLeft = code.keep(code.subtract(height, i));
              code.if(
                code.both(code.atLeast(columnsLeft, code.literal(panelColumns)), code.atLeast(rowsLeft, code.literal(tileRowsInRegisters))),
                () => code.call(parts.multiply, aPanel, bPanel, target, depth, cRow, first),
                () => {
                  const edgeRow = code.literal(tileVectors * 16);
                  code.call(parts.multiply, aPanel, bPanel, edgeTile, depth, edgeRow, code.literal(1));
                  const high = code.minimum(rowsLeft, code.literal(tileRowsInRegisters));
                  const wide = code.minimum(columnsLeft, code.literal(panelColumns));
                  code.call(parts.copyTile, edgeTile, edgeRow, target, high, wide, cRow, first);
                },
              );
            });
          });
        });
        code.increment(start, code.literal(matmulBlock));
        code.less(from, k)();
        f.brIf(again);
      });
    });
  }
}

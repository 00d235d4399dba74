/**
 * The planner of the matrix product: from sizes and strides to phases, workspace and argument block. Pure numbers, no addresses.
 *
 * What it decides never changes a result, only how fast it comes: which operands are read in place, which are copied, how C is cut into
 * tiles. Rows that follow each other through the batch are first merged (x @ W with a batched x is one tall product), and a product
 * with a single column is turned into one with a single row.
 */

import type { Isa } from './assembler.ts';
import { canTranspose } from './matmul-gemv.ts';
import {
  aModes,
  bModes,
  depthBlock,
  dtypeBytes,
  type MatmulDtype,
  type MatmulShape,
  type MatmulTypes,
  matmulShape,
  wideVectors,
  word,
} from './matmul-layout.ts';

/** Strides in elements: the batch dims, then the operand's own two (m k, k n, m n). */
export type MatmulRequest = {
  readonly batch: readonly number[];
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly aStrides: readonly number[];
  readonly bStrides: readonly number[];
  /** n must be contiguous. */
  readonly cStrides: readonly number[];
  readonly types: MatmulTypes;
  readonly isa: Isa;
  readonly threads: number;
  /** B was packed by an earlier run of a plan with the same B; its address is given as `packedB`. */
  readonly packedB?: 'cached';
  /** B is decoded panel by panel (matmul-ggml.ts): never packed before, never read in place. */
  readonly decoded?: boolean;
  /** Keep all columns of a row in one tile, if that leaves work for all threads. */
  readonly preferFullRows?: boolean;
};

export type MatmulPhase = { readonly kernel: 'packB' | 'rows' | 'compute'; readonly count: number; readonly grain: number };

export type MatmulPlan = {
  readonly phases: readonly MatmulPhase[];
  /** 64-byte aligned; 0 when none is needed. Packed B lies at its beginning. */
  readonly workspaceBytes: number;
  /** Bytes of packed B that the compute phase reads, in the workspace or where the caller cached it; 0 when B is not packed. */
  readonly packedBytes: number;
  /** Tiles hold whole rows: a row epilogue may be given. */
  readonly fullRows: boolean;
  /** A and B change places (their addresses too): C has a single column. */
  readonly swapped: boolean;
  /** The argument block without addresses; see `word` in matmul-layout.ts. */
  readonly words: readonly number[];
  readonly partialOffset: number | undefined;
  readonly readsPacked: boolean;
};

export type MatmulAddresses = {
  readonly a: number;
  readonly b: number;
  readonly c: number;
  readonly workspace?: number;
  /** Where B is packed, or was: instead of the beginning of the workspace. */
  readonly packedB?: number;
  readonly epilogueFn?: number;
  readonly epilogueArgs?: number;
};

type Dim = { size: number; a: number; b: number; c: number };

type Problem = {
  dims: Dim[];
  m: number;
  n: number;
  k: number;
  aRow: number;
  aK: number;
  bK: number;
  bN: number;
  cRow: number;
  types: MatmulTypes;
};

const align64 = (bytes: number): number => Math.ceil(bytes / 64) * 64;

/** Bytes of B in panels: what a caller that keeps a constant B packed must provide. `distinctBatch`: batch dims that B does not repeat. */
export function packedBytes(request: { isa: Isa; types: MatmulTypes; k: number; n: number; distinctBatch?: number }): number {
  const { tileColumns, bytes } = matmulShape(request.isa, request.types);
  return align64((request.distinctBatch ?? 1) * Math.ceil(request.n / tileColumns) * tileColumns * request.k * bytes);
}

export function planMatmul(request: MatmulRequest): MatmulPlan {
  const { problem, swapped } = normalize(request);
  const { isa, threads } = request;
  const { dims, m, n, k, types } = problem;
  const shape = matmulShape(isa, types);
  const panels = Math.ceil(n / shape.tileColumns);
  const batch = dims.reduce((product, dim) => product * dim.size, 1);
  const cached = request.packedB === 'cached' && !swapped;
  const { bMode, packed, aMode } = chooseOperands(shape, problem, {
    panels,
    batch,
    threads,
    cached,
    fullRows: request.preferFullRows === true,
    decoded: request.decoded === true,
  });
  const tiles = chooseTiles(shape, problem, { panels, batch, threads, bMode, fullRows: request.preferFullRows === true });

  const words = new Array<number>(word.count).fill(0);
  const elementBytes = dtypeBytes[types.b];
  const panelBytes = shape.tileColumns * shape.bytes;
  const distinct = dims.map((dim) => (dim.b === 0 ? 1 : dim.size));
  const distinctBatch = distinct.reduce((product, size) => product * size, 1);
  const packedSize = packed ? packedBytes({ isa, types, k, n, distinctBatch }) : 0;
  const rounded = dtypeBytes[types.c] === 2;
  const partialSize = rounded && k > depthBlock ? batch * m * n * 4 : 0;
  const packHere = packed && !cached;
  const partialOffset = partialSize > 0 ? (packHere ? packedSize : 0) : undefined;
  const set = (index: number, ...values: readonly number[]): void => {
    values.forEach((value, i) => {
      words[index + i] = value;
    });
  };

  set(word.m, m, n, k);
  set(word.aRow, problem.aRow * dtypeBytes[types.a], problem.aK * dtypeBytes[types.a]);
  set(word.aBatch, ...dims.map((dim) => dim.a * dtypeBytes[types.a]));
  if (packed) {
    const batchBytes = panels * k * panelBytes;
    set(word.bK, panelBytes, 0, k * panelBytes);
    let stride = batchBytes;
    for (let i = 2; i >= 0; i--) {
      words[word.bBatch + i] = dims[i].b === 0 ? 0 : stride;
      stride *= distinct[i];
    }
    set(word.packK, problem.bK * elementBytes, problem.bN * elementBytes, ...dims.map((dim) => dim.b * elementBytes));
    set(word.packBatch1, distinct[1], distinct[2], batchBytes, Math.max(1, Math.ceil(k / depthBlock)));
  } else {
    set(word.bK, problem.bK * elementBytes, problem.bN * elementBytes, shape.tileColumns * problem.bN * elementBytes);
    set(word.bBatch, ...dims.map((dim) => dim.b * elementBytes));
  }
  set(word.cRow, problem.cRow * dtypeBytes[types.c], ...dims.map((dim) => dim.c * dtypeBytes[types.c]));
  if (partialSize > 0) {
    const rowBytes = n * 4;
    set(word.partialRow, rowBytes, dims[1].size * dims[2].size * m * rowBytes, dims[2].size * m * rowBytes, m * rowBytes);
  } else set(word.partialRow, ...words.slice(word.cRow, word.cRow + 4));
  set(word.batch1, dims[1].size, dims[2].size);
  const blockDepth = Math.max(1, Math.min(k, depthBlock));
  // Panels that stay in half of a small L2 cache while the strips go by.
  const cacheBytes = isa === 'avx512' ? 768 << 10 : 320 << 10;
  const cachePanels =
    bMode === bModes.packEach
      ? 1
      : bMode === bModes.transposed
        ? 4
        : bMode === bModes.wide
          ? tiles.columnPanels
          : Math.max(4, Math.floor(cacheBytes / (blockDepth * panelBytes)));
  set(word.rowBlock, tiles.rowBlock, tiles.rowBlocks, tiles.columnPanels, tiles.columnBlocks, cachePanels, panels, aMode, bMode);

  const phases: MatmulPhase[] = [];
  if (packHere && k > 0 && m > 0 && batch > 0) {
    const count = distinctBatch * panels * words[word.packDepthBlocks];
    phases.push({ kernel: 'packB', count, grain: Math.max(1, Math.floor(65536 / (blockDepth * panelBytes))) });
  }
  const count = batch * tiles.rowBlocks * tiles.columnBlocks;
  if (count > 0) {
    // Tiny products are handed out together.
    const macs = (batch * m * n * Math.max(1, k)) / count;
    phases.push({ kernel: 'compute', count, grain: Math.max(1, Math.min(Math.floor(count / (threads * 4)), Math.floor(500_000 / macs))) });
  }
  return {
    phases,
    workspaceBytes: (packHere ? packedSize : 0) + partialSize,
    packedBytes: packedSize,
    fullRows: tiles.columnBlocks <= 1 && !swapped,
    swapped,
    words,
    partialOffset,
    readsPacked: packed,
  };
}

/** Writes the argument block of a plan, `word.count` words. */
export function writeMatmulArgs(plan: MatmulPlan, block: BigInt64Array, addresses: MatmulAddresses): void {
  plan.words.forEach((value, i) => {
    block[i] = BigInt(value);
  });
  const [a, b] = plan.swapped ? [addresses.b, addresses.a] : [addresses.a, addresses.b];
  const workspace = addresses.workspace ?? 0;
  const packed = addresses.packedB ?? workspace;
  block[word.a] = BigInt(a);
  block[word.b] = BigInt(plan.readsPacked ? packed : b);
  block[word.c] = BigInt(addresses.c);
  block[word.partial] = BigInt(plan.partialOffset === undefined ? addresses.c : workspace + plan.partialOffset);
  block[word.packSource] = BigInt(b);
  block[word.packTarget] = BigInt(packed);
  if (addresses.epilogueFn && !plan.fullRows) throw new Error('internal: a row epilogue on a plan without full rows');
  block[word.epilogueFn] = BigInt(addresses.epilogueFn ?? 0);
  block[word.epilogueArgs] = BigInt(addresses.epilogueArgs ?? 0);
}

/** Merges batch dims with each other and with m; always three dims, the innermost last. */
function normalize(request: MatmulRequest): { problem: Problem; swapped: boolean } {
  const { batch, m, n, k, aStrides, bStrides, cStrides } = request;
  const rank = batch.length;
  for (const strides of [aStrides, bStrides, cStrides]) {
    if (strides.length !== rank + 2) throw new Error(`internal: a matrix product with ${rank} batch dims and ${strides.length} strides`);
  }
  if (n > 1 && cStrides[rank + 1] !== 1) throw new Error('internal: rows of a matrix product must be contiguous');
  // The stride of a dim of one element says nothing: take the one that helps.
  const stride = (size: number, value: number): number => (size === 1 ? 0 : value);
  const problem: Problem = {
    dims: [],
    m,
    n,
    k,
    aRow: stride(m, aStrides[rank]),
    aK: k === 1 ? 1 : aStrides[rank + 1],
    bK: stride(k, bStrides[rank]),
    bN: n === 1 ? 1 : bStrides[rank + 1],
    cRow: stride(m, cStrides[rank]),
    types: request.types,
  };
  for (let i = rank - 1; i >= 0; i--) {
    const dim: Dim = { size: batch[i], a: aStrides[i], b: bStrides[i], c: cStrides[i] };
    if (dim.size === 1) continue;
    const inner = problem.dims[0];
    if (inner === undefined && dim.b === 0 && problem.m === 1) {
      Object.assign(problem, { m: dim.size, aRow: dim.a, cRow: dim.c });
    } else if (inner === undefined && dim.b === 0 && dim.a === problem.m * problem.aRow && dim.c === problem.m * problem.cRow) {
      problem.m *= dim.size;
    } else if (inner && dim.a === inner.a * inner.size && dim.b === inner.b * inner.size && dim.c === inner.c * inner.size) {
      inner.size *= dim.size;
    } else problem.dims.unshift(dim);
  }
  if (problem.dims.length > 3) throw new Error(`internal: a matrix product over ${problem.dims.length} batch dims`);
  while (problem.dims.length < 3) problem.dims.unshift({ size: 1, a: 0, b: 0, c: 0 });
  // C[m, 1] = A v is C[1, m] = v' A': each element is the same sum of the same products.
  const { types } = problem;
  if (
    problem.n === 1 &&
    problem.m > 1 &&
    problem.cRow === 1 &&
    types.a === types.b &&
    request.packedB === undefined &&
    !request.decoded &&
    !request.preferFullRows
  ) {
    return {
      problem: {
        ...problem,
        dims: problem.dims.map((dim) => ({ ...dim, a: dim.b, b: dim.a })),
        m: 1,
        n: problem.m,
        aRow: 0,
        aK: k === 1 ? 1 : problem.bK,
        bK: problem.aK,
        bN: problem.aRow,
        cRow: 0,
      },
      swapped: true,
    };
  }
  return { problem, swapped: false };
}

type Choice = { readonly panels: number; readonly batch: number; readonly threads: number };

function chooseOperands(
  shape: MatmulShape,
  problem: Problem,
  { panels, batch, threads, cached, fullRows, decoded }: Choice & { cached: boolean; fullRows: boolean; decoded: boolean },
): { bMode: number; packed: boolean; aMode: number } {
  const { m, n, k, types, aRow, aK, bK, bN } = problem;
  const narrow = (dtype: MatmulDtype): boolean => dtypeBytes[dtype] === 2;
  const maskless = shape.isa === 'avx2';
  let aMode: number = aModes.inPlace;
  if (narrow(types.a)) {
    aMode = aK === 1 ? aModes.alongK : aRow === 1 && !maskless ? aModes.alongM : aModes.elements;
  } else if (m > shape.wideRows && panels > 1) {
    // Rows 2 KiB apart (or a multiple) share their sets of the L1 cache; columns of a strip would take a cache line each.
    if (aK === 1) aMode = panels > 2 && (aRow * shape.bytes) % 2048 === 0 ? aModes.alongK : aModes.inPlace;
    else if (aRow === 1) aMode = aModes.alongM;
    else if (panels > 4) aMode = aModes.elements;
  }
  if (decoded) return { bMode: bModes.packEach, packed: false, aMode };
  if (m <= shape.wideRows && bN === 1 && !(maskless && narrow(types.b) && n % shape.lanes !== 0)) {
    return { bMode: bModes.wide, packed: false, aMode: aMode === aModes.alongM ? aModes.elements : aMode };
  }
  if (m <= shape.wideRows && bK === 1 && canTranspose(types, k)) {
    return { bMode: bModes.transposed, packed: false, aMode: aK === 1 ? aModes.alongK : aModes.elements };
  }
  if (cached) return { bMode: bModes.panels, packed: true, aMode };
  const rowBytes = bK * shape.bytes;
  if (!narrow(types.b) && bN === 1 && (rowBytes <= 2048 || m <= 4 * shape.tileRows)) return { bMode: bModes.panels, packed: false, aMode };
  const packEach = (m <= 24 || (m <= 128 && aMode === aModes.inPlace)) && batch * panels >= Math.min(threads * 2, 8);
  // Packed panel by panel, all rows of a batch are in one tile.
  const wholeRows = fullRows && m > 24 && batch < threads * 2;
  if (packEach && !wholeRows) return { bMode: bModes.packEach, packed: false, aMode };
  return { bMode: bModes.panels, packed: true, aMode };
}

/** Cuts C into tiles: enough for all threads to end together, large enough to be worth handing out, and rows before columns. */
function chooseTiles(
  shape: MatmulShape,
  { m, n, k }: Problem,
  { panels, batch, threads, bMode, fullRows }: Choice & { bMode: number; fullRows: boolean },
): { rowBlock: number; rowBlocks: number; columnPanels: number; columnBlocks: number } {
  const { tileRows } = shape;
  if (m === 0 || n === 0) return { rowBlock: 1, rowBlocks: 0, columnPanels: 1, columnBlocks: 0 };
  const depth = Math.max(1, k);
  const macs = batch * m * n * depth;
  const smallest = 250_000;
  const wanted = Math.max(1, Math.min(threads === 1 ? 1 : threads * 8, Math.floor(macs / smallest)));
  const strips = Math.ceil(m / tileRows);
  let rowBlocks = Math.ceil(m / 480);
  if (fullRows) rowBlocks = Math.max(rowBlocks, Math.ceil((m * n * shape.bytes) / (512 << 10)));
  let columnBlocks = 1;
  if (bMode !== bModes.panels) {
    // B is read once, by the tile that has all rows.
    rowBlocks = 1;
    const unit = bMode === bModes.wide ? wideVectors(shape.isa, m)[0] / 2 : 1;
    columnBlocks = Math.min(Math.ceil(panels / unit), Math.ceil(wanted / Math.max(1, batch)));
    if (fullRows && (macs < 4 * smallest || batch >= threads)) columnBlocks = 1;
    const columnPanels = Math.ceil(Math.ceil(panels / columnBlocks) / unit) * unit;
    return blocks(m, 1, panels, Math.max(1, Math.ceil(columnPanels)));
  }
  if (batch * rowBlocks < wanted) {
    // Below four strips a tile reads more of B than its sums are worth: then cut columns, unless the rows have to stay whole.
    rowBlocks = Math.max(rowBlocks, Math.min(fullRows ? strips : Math.ceil(strips / 4), Math.ceil(wanted / batch)));
    const enough = batch * rowBlocks >= Math.min(wanted, threads * 2);
    if (!enough && !(fullRows && batch * rowBlocks >= threads)) {
      columnBlocks = Math.min(Math.ceil(panels / 2), Math.ceil(Math.min(wanted, threads * 4) / (batch * rowBlocks)));
    }
  }
  return blocks(m, Math.ceil(Math.ceil(m / rowBlocks) / tileRows) * tileRows, panels, Math.ceil(panels / columnBlocks));

  function blocks(rows: number, rowBlock: number, allPanels: number, columnPanels: number) {
    const block = bMode === bModes.panels ? rowBlock : rows;
    return { rowBlock: block, rowBlocks: Math.ceil(rows / block), columnPanels, columnBlocks: Math.ceil(allPanels / columnPanels) };
  }
}

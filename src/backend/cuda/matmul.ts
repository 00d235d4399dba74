/**
 * Products: a plan for cuBLAS where it can take one, and kernels of our own for everything else, and for products of few rows (`small-products.ts`).
 *
 * The general kernel is a plain one: tiles of 64 x 64 through shared memory, 16 of the depth at a time, a thread computes 4 x 4; any strides, any
 * float types, up to three batch dims. An element's products are added in the order of the depth with one rounding each (fma). No tensor cores.
 */
import type { DTypeName } from '../../dtype/dtype.ts';
import type { MatmulStep, MatrixOperand } from '../../schedule/plan.ts';
import * as dims from '../../shape/dim.ts';
import type { MatmulBlock } from '../arguments.ts';
import { type Gemm, layoutOf, supportsTypes } from './cublas.ts';
import { cuda, mostThreads } from './dialect.ts';
import { blockColumns, type SmallProduct, smallName, smallSource, smallThreads } from './small-products.ts';

export const matmulWords = 24;
/** Batch dims that our kernel walks; cuBLAS walks one. */
export const mostBatchDims = 3;
const tile = 64;
const largestGrid = 65535;
/** Rows of the left operand up to which a product is a matter of reading the right one. */
const mostSmallRows = 8;

export interface CudaMatmul extends MatmulBlock {
  /** What cuBLAS is asked for, or null. */
  readonly gemm: Gemm | null;
  /** The kernel of our own that computes it where cuBLAS does not. */
  readonly own: OwnProduct;
}

export interface OwnProduct {
  readonly name: string;
  readonly source: () => string;
  /** Blocks; with a zero there is nothing to do. */
  readonly grid: readonly [number, number, number];
  readonly threads: number;
}

export type MatmulTypes = readonly [a: DTypeName, b: DTypeName, c: DTypeName];
export const typesOf = (step: MatmulStep): MatmulTypes => [step.a.dtype.name, step.b.dtype.name, step.c.dtype.name];
export const matmulName = (types: MatmulTypes): string => `product_${types.join('_')}`;

interface Batched {
  readonly sizes: number[];
  readonly strides: { readonly a: number[]; readonly b: number[]; readonly c: number[] };
}

/** Batch dims without those of size 1, neighbours that all operands walk as one merged. */
function mergeBatch(sizes: readonly number[], a: readonly number[], b: readonly number[], c: readonly number[]): Batched {
  const out: Batched = { sizes: [], strides: { a: [], b: [], c: [] } };
  const all = [
    [a, out.strides.a],
    [b, out.strides.b],
    [c, out.strides.c],
  ] as const;
  sizes.forEach((size, i) => {
    if (size === 1) return;
    const last = out.sizes.length - 1;
    if (last >= 0 && all.every(([from, to]) => to[last] === from[i] * size)) {
      out.sizes[last] *= size;
      for (const [from, to] of all) to[last] = from[i];
      return;
    }
    out.sizes.push(size);
    for (const [from, to] of all) to.push(from[i]);
  });
  return out;
}

export function planProduct(step: MatmulStep, symbols: ArrayLike<number>): CudaMatmul {
  const at = (d: dims.Dim): number => dims.evaluate(d, symbols);
  const { a, b, c } = step;
  let m = at(step.m);
  const [n, k] = [at(step.n), at(step.k)];
  const each = (o: MatrixOperand): number[] => o.batch.map(at);
  let { sizes, strides } = mergeBatch(step.batch.map(at), each(a), each(b), each(c));
  const row = { a: at(a.row), b: at(b.row), c: at(c.row) };
  const column = { a: at(a.column), b: at(b.column), c: at(c.column) };
  // A batch that shares B is more rows, where they follow each other.
  const last = sizes.length - 1;
  if (last >= 0 && strides.b[last] === 0 && strides.a[last] === m * row.a && strides.c[last] === m * row.c) {
    m *= sizes[last];
    sizes = sizes.slice(0, last);
    strides = { a: strides.a.slice(0, last), b: strides.b.slice(0, last), c: strides.c.slice(0, last) };
  }
  if (sizes.length > mostBatchDims) throw new Error('internal: a product with too many batch dims reached the cuda device');
  const batch = sizes.reduce((p, d) => p * d, 1);
  const padded = (values: readonly number[], fill: number): number[] => [
    ...new Array<number>(mostBatchDims - values.length).fill(fill),
    ...values,
  ];
  const [, d1, d2] = padded(sizes, 1);
  const words = [0, 0, 0, m, n, k, d1, d2];
  for (const o of ['a', 'b', 'c'] as const) words.push(...padded(strides[o], 0), row[o], column[o]);
  words.push(batch);
  const addresses = [a, b, c].map((o, word) => ({ word, buffer: o.buffer, offset: at(o.offset) * o.dtype.itemsize }));
  const tiles = (size: number): number => Math.ceil(size / tile);
  const grid = [tiles(n), Math.min(largestGrid, tiles(m)), Math.min(largestGrid, batch)] as const;
  const small = planSmall();
  if (small !== null) return { words, addresses, workspaceBytes: 0, own: small, gemm: null };
  const types = typesOf(step);
  const own: OwnProduct = { name: matmulName(types), source: () => matmulSource(types), grid, threads: mostThreads };
  return { words, addresses, workspaceBytes: 0, own, gemm: planGemm() };

  /** A product of few rows, where its operands can be read 16 bytes at a time. */
  function planSmall(): OwnProduct | null {
    const { name: operands } = a.dtype;
    if (sizes.length > 0 || m > mostSmallRows || m === 0 || n === 0 || k === 0 || b.dtype !== a.dtype) return null;
    if (operands !== 'float32' && operands !== 'bfloat16' && operands !== 'float16') return null;
    if (operands !== c.dtype.name && c.dtype.name !== 'float32') return null;
    const vector = operands === 'float32' ? 4 : 8;
    const whole = (...values: number[]): boolean => values.every((v) => v % vector === 0 && v >= 0);
    if (!whole(at(a.offset), at(b.offset)) || (column.a !== 1 && k > 1) || [m, n, k].some((x) => x >= 2 ** 30)) return null;
    const rows = ([1, 2, 4, 8] as const).find((r) => r >= m)!;
    const result = c.dtype.name;
    let kind: SmallProduct;
    let blocks: number;
    if (row.b === 1 && whole(k, column.b) && (m === 1 || whole(row.a))) {
      const each = n >= 8192 ? 2 : 1;
      kind = { layout: 'depth', rows, each, operands, result };
      blocks = Math.ceil(n / each / (smallThreads.depth / 32));
    } else if (column.b === 1 && whole(n, row.b)) {
      kind = { layout: 'columns', rows, each: 1, operands, result };
      blocks = Math.ceil(n / blockColumns);
    } else return null;
    return { name: smallName(kind), source: () => smallSource(kind), grid: [blocks, 1, 1], threads: smallThreads[kind.layout] };
  }

  function planGemm(): Gemm | null {
    if (sizes.length > 1 || m === 0 || n === 0 || k === 0 || batch === 0) return null;
    if (!supportsTypes(a.dtype.name, b.dtype.name, c.dtype.name)) return null;
    const [left, right] = [layoutOf(m, k, row.a, column.a), layoutOf(k, n, row.b, column.b)];
    // Column-major C: one column of it is a row of ours.
    const result = layoutOf(m, n, row.c, column.c);
    if (left === null || right === null || result === null || result.transposed) return null;
    const stride = (o: 'a' | 'b' | 'c'): number => strides[o][0] ?? 0;
    if (batch > 1 && (stride('a') < 0 || stride('b') < 0 || stride('c') <= 0)) return null;
    if ([m, n, k, left.ld, right.ld, result.ld, batch].some((x) => x >= 2 ** 31)) return null;
    return {
      m,
      n,
      k,
      batch,
      a: { ...left, stride: stride('a'), dtype: a.dtype.name },
      b: { ...right, stride: stride('b'), dtype: b.dtype.name },
      c: { ld: result.ld, stride: stride('c'), dtype: c.dtype.name },
    };
  }
}

export function matmulSource(types: MatmulTypes): string {
  const [a, b, c] = types;
  const memory = cuda.memoryTypes as Readonly<Record<string, string>>;
  const double = c === 'float64';
  const acc = double ? 'double' : 'float';
  const fma = double ? '__fma_rn' : '__fmaf_rn';
  return `${cuda.prelude}
extern "C" __global__ void __launch_bounds__(${mostThreads}) ${matmulName(types)}(const i64* __restrict__ A, i64 count, i64 grain, i64 scratch) {
  const i64 M = A[3], N = A[4], K = A[5], D1 = A[6], D2 = A[7], batch = A[23];
  const i64 ar = A[11], ac = A[12], br = A[16], bc = A[17], cr = A[21], cc = A[22];
  __shared__ ${acc} ta[16][68];
  __shared__ ${acc} tb[16][68];
  const int t = threadIdx.x;
  const int tx = t & 15, ty = t >> 4;
  for (i64 z = blockIdx.z; z < batch; z += gridDim.z) {
    const i64 z2 = z % D2, z1 = z / D2 % D1, z0 = z / D2 / D1;
    const ${memory[a]}* pa = (const ${memory[a]}*)A[0] + z0 * A[8] + z1 * A[9] + z2 * A[10];
    const ${memory[b]}* pb = (const ${memory[b]}*)A[1] + z0 * A[13] + z1 * A[14] + z2 * A[15];
    ${memory[c]}* pc = (${memory[c]}*)A[2] + z0 * A[18] + z1 * A[19] + z2 * A[20];
    const i64 n0 = (i64)blockIdx.x * 64;
    for (i64 m0 = (i64)blockIdx.y * 64; m0 < M; m0 += (i64)gridDim.y * 64) {
      ${acc} sum[4][4];
#pragma unroll
      for (int i = 0; i < 4; i++)
#pragma unroll
        for (int j = 0; j < 4; j++) sum[i][j] = 0;
      for (i64 k0 = 0; k0 < K; k0 += 16) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
          // Neighbouring threads read neighbouring elements, whichever stride is 1.
          const int am = ac == 1 ? ty + 16 * i : t & 63, ak = ac == 1 ? tx : (t >> 6) + 4 * i;
          ta[ak][am] = m0 + am < M && k0 + ak < K ? from_${a}(__ldg(pa + (m0 + am) * ar + (k0 + ak) * ac)) : (${acc})0;
          const int bn = bc == 1 ? t & 63 : ty + 16 * i, bk = bc == 1 ? (t >> 6) + 4 * i : tx;
          tb[bk][bn] = n0 + bn < N && k0 + bk < K ? from_${b}(__ldg(pb + (k0 + bk) * br + (n0 + bn) * bc)) : (${acc})0;
        }
        __syncthreads();
        const int most = K - k0 < 16 ? (int)(K - k0) : 16;
        for (int kk = 0; kk < most; kk++) {
          ${acc} x[4], y[4];
#pragma unroll
          for (int i = 0; i < 4; i++) { x[i] = ta[kk][ty * 4 + i]; y[i] = tb[kk][tx * 4 + i]; }
#pragma unroll
          for (int i = 0; i < 4; i++)
#pragma unroll
            for (int j = 0; j < 4; j++) sum[i][j] = ${fma}(x[i], y[j], sum[i][j]);
        }
        __syncthreads();
      }
#pragma unroll
      for (int i = 0; i < 4; i++)
#pragma unroll
        for (int j = 0; j < 4; j++) {
          const i64 row = m0 + ty * 4 + i, column = n0 + tx * 4 + j;
          if (row < M && column < N) pc[row * cr + column * cc] = to_${c}(sum[i][j]);
        }
    }
  }
}
`;
}

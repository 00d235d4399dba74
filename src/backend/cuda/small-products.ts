/**
 * Products of few rows, as decoding has: bandwidth is all that matters, so a weight is read once, 16 bytes at a time, by as many threads as there are.
 *
 * Two layouts of the right operand: rows of the depth (a linear layer's weight; a warp for each column of the result, or two) and rows of columns
 * (Conv1D; 16 columns a block, its threads share the depth). Sums are in float32 in an order that depends on the sizes only, rounded once.
 * Addresses come from the argument words, so recorded graphs do not mind where operands lie.
 */
import type { DTypeName } from '../../dtype/dtype.ts';
import { cuda } from './dialect.ts';

export interface SmallProduct {
  /** `depth`: right operand's rows run along the depth; `columns`: along the columns. */
  readonly layout: 'depth' | 'columns';
  /** Rows of the left operand that the kernel is written for. */
  readonly rows: 1 | 2 | 4 | 8;
  /** Columns of the result that a warp takes, in layout `depth`. */
  readonly each: 1 | 2;
  readonly operands: 'float32' | 'bfloat16' | 'float16';
  readonly result: DTypeName;
}

export const smallThreads = { depth: 256, columns: 512 } as const;
/** Columns of a block in layout `columns`. */
export const blockColumns = 16;

export const smallName = ({ layout, rows, each, operands, result }: SmallProduct): string =>
  `small_product_${layout}_${rows}x${each}_${operands}_${result}`;

export function smallSource(p: SmallProduct): string {
  const { operands, result, rows, each } = p;
  const memory = cuda.memoryTypes as Readonly<Record<string, string>>;
  const vector = operands === 'float32' ? 4 : 8;
  const unpack =
    operands === 'float32'
      ? 'x[0] = bits_i32(w.x); x[1] = bits_i32(w.y); x[2] = bits_i32(w.z); x[3] = bits_i32(w.w);'
      : ['x', 'y', 'z', 'w'].map((c, i) => pair(operands, `w.${c}`, 2 * i)).join(' ');
  const head = `${cuda.prelude}
F void unpack(uint4 w, float* x) { ${unpack} }
F uint4 stream(const void* p) { uint4 r; asm("ld.global.nc.L1::no_allocate.v4.u32 {%0,%1,%2,%3}, [%4];" : "=r"(r.x), "=r"(r.y), "=r"(r.z), "=r"(r.w) : "l"(p)); return r; }
extern "C" __global__ void __launch_bounds__(${smallThreads[p.layout]}) ${smallName(p)}(const i64* __restrict__ A, i64 count, i64 grain, i64 scratch) {
  const int M = (int)A[3], N = (int)A[4], K = (int)A[5];
  const ${memory[operands]}* a = (const ${memory[operands]}*)A[0];
  const ${memory[operands]}* b = (const ${memory[operands]}*)A[1];
  ${memory[result]}* c = (${memory[result]}*)A[2];
  const i64 ar = A[11], cr = A[21], cc = A[22];
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
`;
  if (p.layout === 'depth')
    return `${head}  const i64 bc = A[17];
  const int first = (blockIdx.x * ${smallThreads.depth / 32} + warp) * ${each};
  if (first >= N) return;
  float sum[${each}][${rows}];
#pragma unroll
  for (int j = 0; j < ${each}; j++)
#pragma unroll
    for (int m = 0; m < ${rows}; m++) sum[j][m] = 0;
  const ${memory[operands]}* w[${each}];
#pragma unroll
  for (int j = 0; j < ${each}; j++) w[j] = b + (first + j < N ? first + j : N - 1) * bc;
#pragma unroll 4
  for (int k = lane * ${vector}; k < K; k += ${32 * vector}) {
    uint4 packed[${each}];
#pragma unroll
    for (int j = 0; j < ${each}; j++) packed[j] = stream(w[j] + k);
    float x[${rows}][${vector}];
#pragma unroll
    for (int m = 0; m < ${rows}; m++) unpack(__ldg((const uint4*)(a + (m < M ? m : M - 1) * ar + k)), x[m]);
#pragma unroll
    for (int j = 0; j < ${each}; j++) {
      float y[${vector}];
      unpack(packed[j], y);
#pragma unroll
      for (int m = 0; m < ${rows}; m++)
#pragma unroll
        for (int i = 0; i < ${vector}; i++) sum[j][m] = __fmaf_rn(x[m][i], y[i], sum[j][m]);
    }
  }
#pragma unroll
  for (int j = 0; j < ${each}; j++)
#pragma unroll
    for (int m = 0; m < ${rows}; m++) {
#pragma unroll
      for (int o = 16; o; o >>= 1) sum[j][m] += __shfl_xor_sync(~0u, sum[j][m], o);
      if (lane == 0 && m < M && first + j < N) c[m * cr + (first + j) * cc] = to_${result}(sum[j][m]);
    }
}
`;
  const threads = blockColumns / vector;
  return `${head}  const i64 br = A[16];
  __shared__ float parts[${smallThreads.columns / 32}][${rows}][${blockColumns}];
  const int part = threadIdx.x & ${threads - 1};
  const int column = blockIdx.x * ${blockColumns} + part * ${vector};
  float sum[${rows}][${vector}];
#pragma unroll
  for (int m = 0; m < ${rows}; m++)
#pragma unroll
    for (int i = 0; i < ${vector}; i++) sum[m][i] = 0;
  if (column < N) {
#pragma unroll 8
    for (int k = threadIdx.x / ${threads}; k < K; k += ${smallThreads.columns / threads}) {
      const uint4 packed = stream(b + k * br + column);
      float y[${vector}];
      unpack(packed, y);
#pragma unroll
      for (int m = 0; m < ${rows}; m++) {
        const float x = from_${operands}(__ldg(a + (m < M ? m : M - 1) * ar + k));
#pragma unroll
        for (int i = 0; i < ${vector}; i++) sum[m][i] = __fmaf_rn(x, y[i], sum[m][i]);
      }
    }
  }
#pragma unroll
  for (int m = 0; m < ${rows}; m++)
#pragma unroll
    for (int i = 0; i < ${vector}; i++) {
#pragma unroll
      for (int o = 16; o >= ${threads}; o >>= 1) sum[m][i] += __shfl_xor_sync(~0u, sum[m][i], o);
      if (lane < ${threads}) parts[warp][m][part * ${vector} + i] = sum[m][i];
    }
  __syncthreads();
  for (int at = threadIdx.x; at < ${rows * blockColumns}; at += ${smallThreads.columns}) {
    const int m = at / ${blockColumns}, i = at % ${blockColumns};
    const i64 n = (i64)blockIdx.x * ${blockColumns} + i;
    float total = 0;
#pragma unroll
    for (int w = 0; w < ${smallThreads.columns / 32}; w++) total += parts[w][m][i];
    if (m < M && n < N) c[m * cr + n * cc] = to_${result}(total);
  }
}
`;
}

/** Two 16-bit floats of a word as x[at], x[at + 1]. */
function pair(type: 'bfloat16' | 'float16', word: string, at: number): string {
  return type === 'bfloat16'
    ? `x[${at}] = bits_i32((int)(${word} << 16)); x[${at + 1}] = bits_i32((int)(${word} & 0xffff0000u));`
    : `x[${at}] = from_float16((unsigned short)${word}); x[${at + 1}] = from_float16((unsigned short)(${word} >> 16));`;
}

/**
 * Attention of many queries on tensor cores (mma.sync m16n8k16, sums in float32): a block keeps its queries in registers and walks the keys in tiles,
 * with running peaks and totals of its rows, so memory does not grow with the number of keys. Two tiles are in shared memory: while one is
 * multiplied, the next is on its way. With `causal` tiles beyond the diagonal are left out, and blocks with many tiles go first.
 *
 * Weights are rounded to the operands' type before they meet the values, as in PyTorch's own kernel; the order of sums is fixed.
 */
import type { AttentionKind } from './attention.ts';
import { cuda } from './dialect.ts';

interface Tiles {
  /** Queries of a block, keys of a tile. */
  readonly rows: number;
  readonly keys: number;
  readonly warps: number;
  /** Sixteen-row tiles of a warp. */
  readonly each: number;
  /** The head size filled up to sixteens. */
  readonly depth: number;
}

export function tilesOf({ width }: AttentionKind): Tiles {
  const depth = Math.ceil(width / 16) * 16;
  if (depth <= 64) return { rows: 128, keys: 64, warps: 4, each: 2, depth };
  if (depth <= 128) return { rows: 128, keys: 64, warps: 8, each: 1, depth };
  return { rows: 128, keys: 32, warps: 8, each: 1, depth };
}

export const tilesName = (k: AttentionKind): string =>
  `attention_tiles_${k.width}_${k.type}_${k.mask}${k.causal ? '_causal' : ''}${k.aligned ? '' : '_loose'}`;

/** Two tiles of keys and two of values, rows eight elements longer than they are so that no two lie on the same banks. */
export function tilesShared(kind: AttentionKind): number {
  const { keys, depth } = tilesOf(kind);
  return 4 * keys * (depth + 8) * 2;
}

export function tilesSource(kind: AttentionKind): string {
  const { type, mask, causal, width, aligned } = kind;
  const { rows, keys, warps, each, depth } = tilesOf(kind);
  const memory = cuda.memoryTypes as Readonly<Record<string, string>>;
  const short = type === 'bfloat16' ? 'bf16' : 'f16';
  const threads = warps * 32;
  const pitch = depth + 8;
  const maskItem = mask === 'bool' ? 'unsigned char' : memory[mask === 'none' ? 'float32' : mask];
  const masked =
    mask === 'none'
      ? ''
      : mask === 'bool'
        ? 'if (row < M && j < N && !maskHead[row * A[20] + j * A[21]]) x = -inf_f32();'
        : `if (row < M && j < N) x += from_${mask}(maskHead[row * A[20] + j * A[21]]) * 1.4426950408889634f;`;
  const fill = aligned
    ? `    const bool there = row < N && c * 8 < ${width};
    const H* from = p + (row < N ? row : 0) * rowStride + (c * 8 < ${width} ? c * 8 : 0);
    const u32 to = base + (r * ${pitch} + c * 8) * 2;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" :: "r"(to), "l"(from), "r"(there ? 16 : 0));`
    : `#pragma unroll
    for (int i = 0; i < 8; i++) {
      const int d = c * 8 + i;
      tile[r * ${pitch} + d] = row < N && d < ${width} ? p[row * rowStride + d * columnStride] : (H)0;
    }`;
  const query = aligned
    ? `*(const u32*)(q + (i64)(row < M ? row : M - 1) * A[11] + d)`
    : `(u32)q[(i64)(row < M ? row : M - 1) * A[11] + d * A[28]] | (u32)q[(i64)(row < M ? row : M - 1) * A[11] + (d + 1) * A[28]] << 16`;
  return `${cuda.prelude}
typedef unsigned short H;
F float power(float x) { float y; asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x)); return y; }
F u32 pack(float low, float high) { u32 r; asm("cvt.rn.${short}x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low)); return r; }
F void multiply(float* c, const u32* a, u32 b0, u32 b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.${short}.${short}.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
F void matrices(u32* r, u32 at) { asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(at) : "memory"); }
F void turned(u32* r, u32 at) { asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(at) : "memory"); }
F void fill(H* tile, const H* p, i64 rowStride, i64 columnStride, int first, int N) {
  const u32 base = (u32)__cvta_generic_to_shared(tile);
#pragma unroll
  for (int at = threadIdx.x; at < ${(keys * depth) / 8}; at += ${threads}) {
    const int r = at / ${depth / 8}, c = at % ${depth / 8}, row = first + r;
${fill}
  }
}
extern "C" __global__ void __launch_bounds__(${threads}) ${tilesName(kind)}(const i64* __restrict__ A, i64 count, i64 grain, i64 scratch) {
  extern __shared__ __align__(16) H shared[];
  const int t = threadIdx.x, lane = t & 31, warp = t >> 5, g = lane >> 2, u = lane & 3;
  const int h = blockIdx.y, b = blockIdx.z, M = (int)A[7], N = (int)A[8];
  const int block = ${causal ? '(int)(gridDim.x - 1 - blockIdx.x)' : '(int)blockIdx.x'};
  const int other = h / (int)A[6];
  const H* q = (const H*)A[0] + b * A[9] + h * A[10];
  const H* k = (const H*)A[1] + b * A[12] + other * A[13];
  const H* v = (const H*)A[2] + b * A[15] + other * A[16];
  ${mask === 'none' ? '' : `const ${maskItem}* maskHead = (const ${maskItem}*)A[3] + b * A[18] + h * A[19];`}
  const float scale = bits_i32((int)A[25]) * 1.4426950408889634f;
  const int first = block * ${rows} + warp * ${16 * each};
  u32 Q[${each}][${depth / 16}][4];
#pragma unroll
  for (int m = 0; m < ${each}; m++)
#pragma unroll
    for (int s = 0; s < ${depth / 16}; s++)
#pragma unroll
      for (int i = 0; i < 4; i++) {
        const int row = first + m * 16 + g + (i & 1) * 8, d = s * 16 + u * 2 + (i >> 1) * 8;
        Q[m][s][i] = d < ${width} ? ${query} : 0u;
      }
  float O[${each}][${depth / 8}][4];
  float peak[${each}][2], total[${each}][2];
#pragma unroll
  for (int m = 0; m < ${each}; m++) {
    peak[m][0] = peak[m][1] = -inf_f32();
    total[m][0] = total[m][1] = 0;
#pragma unroll
    for (int n = 0; n < ${depth / 8}; n++) O[m][n][0] = O[m][n][1] = O[m][n][2] = O[m][n][3] = 0;
  }
  const int lastRow = block * ${rows} + ${rows - 1};
  const int reach = ${causal ? `N < lastRow + 1 ? N : lastRow + 1` : 'N'};
  const int tiles = (reach + ${keys - 1}) / ${keys};
  const u32 size = ${keys * pitch};
  // Where this lane's row of a matrix lies, in elements: of keys as they are, of values turned around.
  const u32 keyAt = ((lane & 7) + ((lane >> 4) & 1) * 8) * ${pitch} + ((lane >> 3) & 1) * 8;
  const u32 valueAt = ((lane & 7) + ((lane >> 3) & 1) * 8) * ${pitch} + (lane >> 4) * 8;
  fill(shared, k, A[14], A[29], 0, N);
  fill(shared + 2 * size, v, A[17], A[30], 0, N);
  asm volatile("cp.async.commit_group;");
  for (int at = 0; at < tiles; at++) {
    const int now = at & 1;
    asm volatile("cp.async.wait_group 0;" ::: "memory");
    __syncthreads();
    if (at + 1 < tiles) {
      fill(shared + (now ^ 1) * size, k, A[14], A[29], (at + 1) * ${keys}, N);
      fill(shared + (2 + (now ^ 1)) * size, v, A[17], A[30], (at + 1) * ${keys}, N);
      asm volatile("cp.async.commit_group;");
    }
    const u32 K = (u32)__cvta_generic_to_shared(shared + now * size), V = (u32)__cvta_generic_to_shared(shared + (2 + now) * size);
    float S[${each}][${keys / 8}][4];
#pragma unroll
    for (int m = 0; m < ${each}; m++)
#pragma unroll
      for (int n = 0; n < ${keys / 8}; n++) S[m][n][0] = S[m][n][1] = S[m][n][2] = S[m][n][3] = 0;
#pragma unroll
    for (int s = 0; s < ${depth / 16}; s++)
#pragma unroll
      for (int n = 0; n < ${keys / 16}; n++) {
        u32 B[4];
        matrices(B, K + (keyAt + n * ${16 * pitch} + s * 16) * 2);
#pragma unroll
        for (int m = 0; m < ${each}; m++) {
          multiply(S[m][2 * n], Q[m][s], B[0], B[1]);
          multiply(S[m][2 * n + 1], Q[m][s], B[2], B[3]);
        }
      }
    const int key0 = at * ${keys};
#pragma unroll
    for (int m = 0; m < ${each}; m++) {
      const int row0 = first + m * 16 + g;
      if (${mask === 'none' ? `key0 + ${keys} > N${causal ? ` || key0 + ${keys - 1} > first + m * 16` : ''}` : 'true'}) {
#pragma unroll
        for (int n = 0; n < ${keys / 8}; n++)
#pragma unroll
          for (int i = 0; i < 4; i++) {
            const int j = key0 + n * 8 + u * 2 + (i & 1), row = row0 + (i >> 1) * 8;
            float x = ${mask === 'none' ? 'S[m][n][i]' : 'S[m][n][i] * scale'};
            ${masked}
            S[m][n][i] = j >= N${causal ? ' || j > row' : ''} ? -inf_f32() : x;
          }
      }
#pragma unroll
      for (int half = 0; half < 2; half++) {
        float top = -inf_f32();
#pragma unroll
        for (int n = 0; n < ${keys / 8}; n++) top = fmaxf(top, fmaxf(S[m][n][2 * half], S[m][n][2 * half + 1]));
        top = fmaxf(top, __shfl_xor_sync(~0u, top, 1));
        top = fmaxf(top, __shfl_xor_sync(~0u, top, 2));
        ${mask === 'none' ? 'top *= scale;' : ''}
        const float before = peak[m][half], next = fmaxf(before, top), base = next == -inf_f32() ? 0.0f : next;
        const float f = power(before - base);
        peak[m][half] = next;
        float sum = 0;
#pragma unroll
        for (int n = 0; n < ${keys / 8}; n++)
#pragma unroll
          for (int i = 2 * half; i < 2 * half + 2; i++) {
            const float e = power(${mask === 'none' ? '__fmaf_rn(S[m][n][i], scale, -base)' : 'S[m][n][i] - base'});
            S[m][n][i] = e;
            sum += e;
          }
        total[m][half] = __fmaf_rn(total[m][half], f, sum);
#pragma unroll
        for (int n = 0; n < ${depth / 8}; n++) { O[m][n][2 * half] *= f; O[m][n][2 * half + 1] *= f; }
      }
    }
#pragma unroll
    for (int s = 0; s < ${keys / 16}; s++) {
      u32 P[${each}][4];
#pragma unroll
      for (int m = 0; m < ${each}; m++) {
        P[m][0] = pack(S[m][2 * s][0], S[m][2 * s][1]);
        P[m][1] = pack(S[m][2 * s][2], S[m][2 * s][3]);
        P[m][2] = pack(S[m][2 * s + 1][0], S[m][2 * s + 1][1]);
        P[m][3] = pack(S[m][2 * s + 1][2], S[m][2 * s + 1][3]);
      }
#pragma unroll
      for (int n = 0; n < ${depth / 16}; n++) {
        u32 B[4];
        turned(B, V + (valueAt + s * ${16 * pitch} + n * 16) * 2);
#pragma unroll
        for (int m = 0; m < ${each}; m++) {
          multiply(O[m][2 * n], P[m], B[0], B[1]);
          multiply(O[m][2 * n + 1], P[m], B[2], B[3]);
        }
      }
    }
  }
  H* out = (H*)A[4] + b * A[22] + h * A[23];
#pragma unroll
  for (int m = 0; m < ${each}; m++)
#pragma unroll
    for (int half = 0; half < 2; half++) {
      float l = total[m][half];
      l += __shfl_xor_sync(~0u, l, 1);
      l += __shfl_xor_sync(~0u, l, 2);
      const float inverse = l == 0 ? 0.0f : 1.0f / l;
      const int row = first + m * 16 + g + half * 8;
      if (row >= M) continue;
#pragma unroll
      for (int n = 0; n < ${depth / 8}; n++) {
        const u32 two = pack(O[m][n][2 * half] * inverse, O[m][n][2 * half + 1] * inverse);
        const int d = n * 8 + u * 2;
        if (d >= ${width}) continue;
        H* p = out + (i64)row * A[24] + d * A[31];
        p[0] = (H)two;
        p[A[31]] = (H)(two >> 16);
      }
    }
}
`;
}

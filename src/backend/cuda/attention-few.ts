/**
 * Attention of up to sixteen queries a head, as decoding has. A block takes a head, or with many keys a chunk of a head's keys: scores of up to 512
 * keys into shared memory, their exponentials, then the values; keys beyond those in further rounds, rescaled as the peak grows. What several
 * blocks of a head find is merged by the last of them, in order, so results repeat.
 */
import type { AttentionKind } from './attention.ts';
import { cuda } from './dialect.ts';

export const mostFewRows = 16;
export const fewThreads = 256;
/** Keys of a round. */
export const fewKeysAtOnce = 512;

/** Threads that share a key's row, eight numbers each. */
const slicesOf = (width: number): number => 2 ** Math.ceil(Math.log2(width / 8));

export const fewName = (k: AttentionKind, rows: number): string =>
  `attention_few_${rows}x${k.width}_${k.type}_${k.mask}${k.causal ? '_causal' : ''}${k.aligned ? '' : '_loose'}`;

/** Queries, scores, two numbers a row and a factor, sums of the warps. */
export const fewShared = ({ width }: AttentionKind, rows: number): number =>
  4 * (rows * width + rows * fewKeysAtOnce + 4 * rows + (fewThreads / 32) * width);

export function fewSource(kind: AttentionKind, rows: number): string {
  const { type, mask, causal, width, aligned } = kind;
  const memory = cuda.memoryTypes as Readonly<Record<string, string>>;
  const slices = slicesOf(width);
  const groups = fewThreads / slices;
  const wide = type === 'float32';
  const load = aligned
    ? wide
      ? `const float4 u = __ldg((const float4*)p), w = __ldg((const float4*)p + 1); x[0] = u.x; x[1] = u.y; x[2] = u.z; x[3] = u.w; x[4] = w.x; x[5] = w.y; x[6] = w.z; x[7] = w.w;`
      : `const uint4 u = __ldg((const uint4*)p); const u32 w[4] = { u.x, u.y, u.z, u.w };
#pragma unroll
  for (int i = 0; i < 4; i++) { x[2 * i] = from_${type}((unsigned short)w[i]); x[2 * i + 1] = from_${type}((unsigned short)(w[i] >> 16)); }`
    : `#pragma unroll
  for (int i = 0; i < 8; i++) x[i] = from_${type}(p[i * step]);`;
  const masked =
    mask === 'none'
      ? ''
      : mask === 'bool'
        ? 'if (!*((const unsigned char*)maskRow + r * A[20] + j * A[21])) s = -inf_f32();'
        : `s += from_${mask}(((const ${memory[mask]}*)maskRow)[r * A[20] + j * A[21]]) * 1.4426950408889634f;`;
  const maskItem = mask === 'bool' ? 'unsigned char' : memory[mask === 'none' ? 'float32' : mask];
  return `${cuda.prelude}
F float power(float x) { float y; asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x)); return y; }
F void load8(const ${memory[type]}* p, i64 step, float* x) {
  ${load}
}
extern "C" __global__ void __launch_bounds__(${fewThreads}) ${fewName(kind, rows)}(i64* A, i64 count, i64 grain, i64 scratch) {
  extern __shared__ __align__(16) float shared[];
  float* const Q = shared;
  float* const scores = Q + ${rows * width};
  float* const peak = scores + ${rows * fewKeysAtOnce};
  float* const total = peak + ${rows};
  float* const factor = total + ${rows};
  float* const sums = factor + ${2 * rows};
  const int t = threadIdx.x, lane = t & 31, warp = t >> 5;
  const int h = blockIdx.y, b = blockIdx.z, split = blockIdx.x, H = (int)A[5];
  const int M = (int)A[7], N = (int)A[8], chunk = (int)A[26];
  const int active = N <= chunk ? 1 : (N + chunk - 1) / chunk;
  if (split >= active) return;
  const int begin = split * chunk, end = N < begin + chunk ? N : begin + chunk;
  const int other = h / (int)A[6];
  const ${memory[type]}* q = (const ${memory[type]}*)A[0] + b * A[9] + h * A[10];
  const ${memory[type]}* k = (const ${memory[type]}*)A[1] + b * A[12] + other * A[13];
  const ${memory[type]}* v = (const ${memory[type]}*)A[2] + b * A[15] + other * A[16];
  const i64 ks = A[14], vs = A[17], qd = A[28], kd = A[29], vd = A[30];
  ${mask === 'none' ? '' : `const ${maskItem}* maskRow = (const ${maskItem}*)A[3] + b * A[18] + h * A[19];`}
  const float scale = bits_i32((int)A[25]) * 1.4426950408889634f;
  for (int i = t; i < ${rows * width}; i += ${fewThreads}) {
    const int r = i / ${width}, d = i % ${width};
    Q[i] = r < M ? from_${type}(q[r * A[11] + d * qd]) * scale : 0.0f;
  }
  if (t < ${rows}) { peak[t] = -inf_f32(); total[t] = 0; }
  __syncthreads();
  const int slice = t & ${slices - 1}, group = t / ${slices};
  const bool used = slice * 8 < ${width};
  float sum[${rows}][8];
#pragma unroll
  for (int r = 0; r < ${rows}; r++)
#pragma unroll
    for (int i = 0; i < 8; i++) sum[r][i] = 0;
  for (int from = begin; from < end; from += ${fewKeysAtOnce}) {
    const int n = end - from < ${fewKeysAtOnce} ? end - from : ${fewKeysAtOnce};
#pragma unroll 2
    for (int jj = group; jj < ${fewKeysAtOnce}; jj += ${groups}) {
      if (jj - group >= n) break;
      const int j = from + (jj < n ? jj : n - 1);
      float x[8];
      if (used) load8(k + j * ks + slice * 8 * kd, kd, x);
      float dot[${rows}];
#pragma unroll
      for (int r = 0; r < ${rows}; r++) {
        float s = 0;
        if (used)
#pragma unroll
          for (int i = 0; i < 8; i++) s = __fmaf_rn(Q[r * ${width} + slice * 8 + i], x[i], s);
        dot[r] = s;
      }
#pragma unroll
      for (int r = 0; r < ${rows}; r++)
#pragma unroll
        for (int o = ${slices >> 1}; o; o >>= 1) dot[r] += __shfl_xor_sync(~0u, dot[r], o);
      if (slice == 0 && jj < n)
#pragma unroll
        for (int r = 0; r < ${rows}; r++) {
          float s = dot[r];
          if (r < M) { ${causal ? 'if (j > r) s = -inf_f32();' : ''} ${masked} }
          scores[r * ${fewKeysAtOnce} + jj] = s;
        }
    }
    __syncthreads();
    for (int r = warp; r < ${rows}; r += ${fewThreads / 32}) {
      float m = -inf_f32();
      for (int j = lane; j < n; j += 32) m = fmaxf(m, scores[r * ${fewKeysAtOnce} + j]);
      for (int o = 16; o; o >>= 1) m = fmaxf(m, __shfl_xor_sync(~0u, m, o));
      const float before = peak[r], now = fmaxf(before, m), base = now == -inf_f32() ? 0.0f : now;
      float l = 0;
      for (int j = lane; j < n; j += 32) { const float e = power(scores[r * ${fewKeysAtOnce} + j] - base); scores[r * ${fewKeysAtOnce} + j] = e; l += e; }
      for (int o = 16; o; o >>= 1) l += __shfl_xor_sync(~0u, l, o);
      __syncwarp();
      if (lane == 0) { const float f = power(before - base); factor[r] = f; total[r] = total[r] * f + l; peak[r] = now; }
    }
    __syncthreads();
    if (from > begin)
#pragma unroll
      for (int r = 0; r < ${rows}; r++)
#pragma unroll
        for (int i = 0; i < 8; i++) sum[r][i] *= factor[r];
    if (used)
#pragma unroll 4
      for (int j = group; j < n; j += ${groups}) {
        float x[8];
        load8(v + (from + j) * vs + slice * 8 * vd, vd, x);
#pragma unroll
        for (int r = 0; r < ${rows}; r++) {
          const float e = scores[r * ${fewKeysAtOnce} + j];
#pragma unroll
          for (int i = 0; i < 8; i++) sum[r][i] = __fmaf_rn(e, x[i], sum[r][i]);
        }
      }
    __syncthreads();
  }
  ${memory[type]}* out = (${memory[type]}*)A[4] + b * A[22] + h * A[23];
  const i64 pair = (i64)b * H + h;
  float* part = (float*)scratch + (pair * gridDim.x + split) * ${rows * (width + 2)};
#pragma unroll
  for (int r = 0; r < ${rows}; r++) {
#pragma unroll
    for (int i = 0; i < 8; i++) {
#pragma unroll
      for (int o = 16; o >= ${slices}; o >>= 1) sum[r][i] += __shfl_xor_sync(~0u, sum[r][i], o);
      if (lane < ${slices} && used) sums[warp * ${width} + slice * 8 + i] = sum[r][i];
    }
    __syncthreads();
    for (int d = t; d < ${width}; d += ${fewThreads}) {
      float s = 0;
#pragma unroll
      for (int w = 0; w < ${fewThreads / 32}; w++) s += sums[w * ${width} + d];
      if (active > 1) part[r * ${width + 2} + d] = s;
      else if (r < M) out[r * A[24] + d * A[31]] = to_${type}(total[r] == 0 ? 0.0f : s / total[r]);
    }
    if (active > 1 && t == 0) { part[r * ${width + 2} + ${width}] = peak[r]; part[r * ${width + 2} + ${width + 1}] = total[r]; }
    __syncthreads();
  }
  if (active == 1) return;
  // The last block of the head to come here merges.
  __shared__ int last;
  __threadfence();
  __syncthreads();
  if (t == 0) {
    u32* counter = (u32*)(A + 32 + pair);
    last = atomicAdd(counter, 1u) == active - 1;
    if (last) *counter = 0;
  }
  __syncthreads();
  if (!last) return;
  __threadfence();
  const volatile float* all = (const volatile float*)scratch + pair * gridDim.x * ${rows * (width + 2)};
  for (int i = t; i < M * ${width}; i += ${fewThreads}) {
    const int r = i / ${width}, d = i % ${width};
    float m = -inf_f32();
    for (int s = 0; s < active; s++) m = fmaxf(m, all[s * ${rows * (width + 2)} + r * ${width + 2} + ${width}]);
    const float base = m == -inf_f32() ? 0.0f : m;
    float x = 0, l = 0;
    for (int s = 0; s < active; s++) {
      const volatile float* p = all + s * ${rows * (width + 2)} + r * ${width + 2};
      const float f = power(p[${width}] - base);
      x = __fmaf_rn(p[d], f, x);
      l = __fmaf_rn(p[${width + 1}], f, l);
    }
    out[r * A[24] + d * A[31]] = to_${type}(l == 0 ? 0.0f : x / l);
  }
}
`;
}

/**
 * CUDA C as a dialect of `clike/`: a team is half a warp, lanes talk by shuffles under the half's own mask, so that the two halves may go
 * different ways. Compiled with `-fmad=false` by NVRTC without any header. Formats narrower than float32 are converted as `dtype/codec.ts` says.
 */
import type { Dialect } from '../clike/dialect.ts';
import { windowSize } from '../clike/render.ts';

/** Threads of the largest block that kernels are compiled for. */
export const mostThreads = 256;
export const teamThreads = 16;
/** Scratch memory of a team up to this lies in shared memory: a block of two teams must fit in the 227 KiB of an SM of Hopper, and in 99 KiB of others. */
export const mostSharedLocals: number = 48 * 1024;

/** Threads of the largest block that shares an item, and the most shared memory for what an item keeps. */
export const mostBlockThreads = 512;
export const mostBlockLocals: number = 64 * 1024;
/** Bytes of scratch memory for locals that do not fit shared memory, for a block. */
export const farLocals = (locals: number): number => (locals <= mostBlockLocals ? 0 : locals);

const prelude = `typedef long long i64;
typedef unsigned long long u64;
typedef unsigned int u32;
#define F static __device__ __forceinline__
F float inf_f32() { return __int_as_float(0x7f800000); }
F float nan_f32() { return __int_as_float(0x7fc00000); }
F double inf_f64() { return __longlong_as_double(0x7ff0000000000000LL); }
F double nan_f64() { return __longlong_as_double(0x7ff8000000000000LL); }
F float bits_i32(int x) { return __int_as_float(x); }
F int bits_f32(float x) { return __float_as_int(x); }
F double bits_i64(i64 x) { return __longlong_as_double(x); }
F i64 bits_f64(double x) { return __double_as_longlong(x); }
F i64 idiv_index(i64 a, i64 b) { return b == 0 ? 0 : a / b; }
F i64 irem_index(i64 a, i64 b) { return b == 0 ? 0 : a % b; }
F int idiv_i32(int a, int b) { return b == 0 ? 0 : b == -1 ? (int)(0u - (u32)a) : a / b; }
F int irem_i32(int a, int b) { return b == 0 || b == -1 ? 0 : a % b; }
F i64 idiv_i64(i64 a, i64 b) { return b == 0 ? 0 : b == -1 ? (i64)(0ull - (u64)a) : a / b; }
F i64 irem_i64(i64 a, i64 b) { return b == 0 || b == -1 ? 0 : a % b; }
F float min_f32(float a, float b) { return a != a ? a : b != b ? b : a < b ? a : b; }
F float max_f32(float a, float b) { return a != a ? a : b != b ? b : a > b ? a : b; }
F double min_f64(double a, double b) { return a != a ? a : b != b ? b : a < b ? a : b; }
F double max_f64(double a, double b) { return a != a ? a : b != b ? b : a > b ? a : b; }
F int min_i32(int a, int b) { return a < b ? a : b; }
F int max_i32(int a, int b) { return a > b ? a : b; }
F i64 min_i64(i64 a, i64 b) { return a < b ? a : b; }
F i64 max_i64(i64 a, i64 b) { return a > b ? a : b; }
F int neg_i32(int a) { return (int)(0u - (u32)a); }
F i64 neg_i64(i64 a) { return (i64)(0ull - (u64)a); }
F float abs_f32(float a) { return fabsf(a); }
F double abs_f64(double a) { return fabs(a); }
F int abs_i32(int a) { return a < 0 ? neg_i32(a) : a; }
F i64 abs_i64(i64 a) { return a < 0 ? neg_i64(a) : a; }
F float sqrt_f32(float a) { return __fsqrt_rn(a); }
F double sqrt_f64(double a) { return __dsqrt_rn(a); }
F float floor_f32(float a) { return floorf(a); }
F double floor_f64(double a) { return floor(a); }
F float ceil_f32(float a) { return ceilf(a); }
F double ceil_f64(double a) { return ceil(a); }
F float trunc_f32(float a) { return truncf(a); }
F double trunc_f64(double a) { return trunc(a); }
F float rint_f32(float a) { return rintf(a); }
F double rint_f64(double a) { return rint(a); }
F float fma_f32(float a, float b, float c) { return __fmaf_rn(a, b, c); }
F double fma_f64(double a, double b, double c) { return __fma_rn(a, b, c); }
F int shl_i32(int a, int b) { return (u32)b >= 32u ? 0 : (int)((u32)a << b); }
F int shr_i32(int a, int b) { return a >> ((u32)b >= 32u ? 31 : b); }
F int ushr_i32(int a, int b) { return (u32)b >= 32u ? 0 : (int)((u32)a >> b); }
F i64 shl_i64(i64 a, i64 b) { return (u64)b >= 64ull ? 0 : (i64)((u64)a << b); }
F i64 shr_i64(i64 a, i64 b) { return a >> ((u64)b >= 64ull ? 63 : b); }
F i64 ushr_i64(i64 a, i64 b) { return (u64)b >= 64ull ? 0 : (i64)((u64)a >> b); }
F int f32_to_i32(float a) { return a >= -2147483648.0f && a < 2147483648.0f ? (int)a : (-2147483647 - 1); }
F int f64_to_i32(double a) { return a > -2147483649.0 && a < 2147483648.0 ? (int)a : (-2147483647 - 1); }
F i64 f32_to_i64(float a) { return a >= -9223372036854775808.0f && a < 9223372036854775808.0f ? (i64)a : (-9223372036854775807LL - 1); }
F i64 f64_to_i64(double a) { return a >= -9223372036854775808.0 && a < 9223372036854775808.0 ? (i64)a : (-9223372036854775807LL - 1); }
F double from_float64(double x) { return x; }
F double to_float64(double x) { return x; }
F float from_float32(float x) { return x; }
F float to_float32(float x) { return x; }
F i64 from_int64(i64 x) { return x; }
F i64 to_int64(i64 x) { return x; }
F int from_int32(int x) { return x; }
F int to_int32(int x) { return x; }
F int from_int16(short x) { return x; }
F short to_int16(int x) { return (short)x; }
F int from_int8(signed char x) { return x; }
F signed char to_int8(int x) { return (signed char)x; }
F int from_uint8(unsigned char x) { return x; }
F unsigned char to_uint8(int x) { return (unsigned char)x; }
F bool from_bool(unsigned char x) { return x != 0; }
F unsigned char to_bool(bool x) { return x ? 1 : 0; }
F float from_bfloat16(unsigned short x) { return __int_as_float((int)((u32)x << 16)); }
F unsigned short to_bfloat16(float x) {
  u32 bits = (u32)__float_as_int(x);
  return x != x ? (unsigned short)0x7fc0 : (unsigned short)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}
F float from_float16(unsigned short x) { float y; asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x)); return y; }
F unsigned short to_float16(float x) {
  unsigned short y;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(y) : "f"(x));
  return x != x ? (unsigned short)0x7e00 : y;
}
F u32 narrow_magnitude(float m, int mantissa, int smallest) {
  int e = (int)((u32)__float_as_int(m) >> 23) - 127;
  if (e < smallest) e = smallest;
  float units = rintf(m * __int_as_float((mantissa - e + 127) << 23));
  return (u32)units + ((u32)(e - smallest) << mantissa);
}
F float from_float8_e4m3fn(unsigned char x) {
  int e = (x >> 3) & 15, m = x & 7;
  float v = e == 0 ? (float)m * 0.001953125f : __int_as_float(((e + 120) << 23) | (m << 20));
  if ((x & 127) == 127) v = nan_f32();
  return x & 128 ? -v : v;
}
F unsigned char to_float8_e4m3fn(float x) {
  float m = fabsf(x);
  u32 sign = (u32)__float_as_int(x) >> 31 << 7;
  return x != x ? 0x7f : (unsigned char)(sign | (m >= 480.0f ? 0x7fu : narrow_magnitude(m, 3, -6)));
}
F float from_float8_e5m2(unsigned char x) { return from_float16((unsigned short)(x << 8)); }
F unsigned char to_float8_e5m2(float x) {
  float m = fabsf(x);
  u32 sign = (u32)__float_as_int(x) >> 31 << 7;
  return x != x ? 0x7f : (unsigned char)(sign | (m >= 61440.0f ? 0x7cu : narrow_magnitude(m, 2, -14)));
}
F bool last_of_equal(u32 team, bool active, int index) {
  u32 those = __ballot_sync(team, active) & team;
  return active && 31 - __clz(__match_any_sync(those, index)) == (int)(threadIdx.x & 31);
}
F bool last_of_equal(u32 team, bool active, i64 index) {
  u32 those = __ballot_sync(team, active) & team;
  return active && 31 - __clz(__match_any_sync(those, index)) == (int)(threadIdx.x & 31);
}
`;

export const cuda: Dialect = {
  name: 'cuda',
  types: { f32: 'float', f64: 'double', i32: 'int', i64: 'i64', mask: 'bool', index: 'i64' },
  memoryTypes: {
    float64: 'double',
    float32: 'float',
    float16: 'unsigned short',
    bfloat16: 'unsigned short',
    float8_e4m3fn: 'unsigned char',
    float8_e5m2: 'unsigned char',
    int64: 'i64',
    int32: 'int',
    int16: 'short',
    int8: 'signed char',
    uint8: 'unsigned char',
    bool: 'unsigned char',
  },
  prelude,
  // count: indices of the grid, of which a team takes `grain` at a time.
  head: (
    name,
    begin,
    end,
    locals,
  ) => `extern "C" __global__ void __launch_bounds__(${mostThreads}) ${name}(const i64* __restrict__ A, i64 count, i64 grain, i64 scratch) {
  const int L = threadIdx.x & 15;
  const u32 team = 0xffffu << (threadIdx.x & 16);
  const i64 teams = (i64)gridDim.x * (blockDim.x >> 4);
  const i64 member = (i64)blockIdx.x * (blockDim.x >> 4) + (threadIdx.x >> 4);
${
  locals === 0
    ? ''
    : locals <= mostSharedLocals
      ? `  extern __shared__ __align__(16) char shared[];\n  const i64 S = (i64)shared + (i64)(threadIdx.x >> 4) * ${locals};\n`
      : `  const i64 S = scratch + member * ${locals};\n`
}  for (i64 ${begin} = member * grain; ${begin} < count; ${begin} += teams * grain) {
    const i64 ${end} = ${begin} + grain < count ? ${begin} + grain : count;
`,
  tail: '    __syncwarp(team);\n  }\n}\n',
  // Shared memory: the window for cells (W), then locals where they fit. Scratch memory of a block: cells that are far (P), then locals.
  blockHead: (
    name,
    begin,
    end,
    locals,
    slots,
  ) => `extern "C" __global__ void __launch_bounds__(${mostBlockThreads}) ${name}(const i64* __restrict__ A, i64 count, i64 grain, i64 scratch) {
  const int L = threadIdx.x & 15;
  const u32 team = 0xffffu << (threadIdx.x & 16);
  const int G = threadIdx.x >> 4, GS = blockDim.x >> 4;
  extern __shared__ __align__(16) char shared[];
  const i64 W = (i64)shared;
  const i64 P = scratch + (i64)blockIdx.x * ${slots + farLocals(locals)};
  const i64 S = ${farLocals(locals) === 0 ? `W + ${windowSize}` : `P + ${slots}`};
  for (i64 ${begin} = blockIdx.x * grain; ${begin} < count; ${begin} += gridDim.x * grain) {
    const i64 ${end} = ${begin} + grain < count ? ${begin} + grain : count;
`,
  blockTail: '    __syncthreads();\n  }\n}\n',
  aheadHead: (
    name,
    begin,
    end,
    locals,
    slots,
  ) => `extern "C" __global__ void __launch_bounds__(${mostThreads}) ${name}(const i64* __restrict__ A, i64 count, i64 grain, i64 scratch) {
  const int L = threadIdx.x & 15;
  const i64 G = (i64)blockIdx.x * (blockDim.x >> 4) + (threadIdx.x >> 4), GS = (i64)gridDim.x * (blockDim.x >> 4);
  const u32 team = 0xffffu << (threadIdx.x & 16);
  const i64 P = scratch + (i64)blockIdx.y * ${slots + farLocals(locals)};
  const i64 S = 0;
  {
    const i64 ${begin} = blockIdx.y * grain;
    const i64 ${end} = ${begin} + grain < count ? ${begin} + grain : count;
`,
  aheadTail: '  }\n}\n',
  barrier: '__syncthreads();',
  constantLoad: (type, address) => `__ldg((const ${type}*)(${address}))`,
  swap: (value, distance) => `__shfl_xor_sync(team, ${value}, ${distance}, 16)`,
  first: (value) => `__shfl_sync(team, ${value}, 0, 16)`,
  test: (kind, mask) => (kind === 'any' ? `(__ballot_sync(team, ${mask}) & team) != 0` : `(__ballot_sync(team, ${mask}) & team) == team`),
  order: '__syncwarp(team);',
  lastOfEqual: (active, indices) => `last_of_equal(team, ${active}, ${indices})`,
  unroll: (times) => `#pragma unroll ${times}`,
};

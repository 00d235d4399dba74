/**
 * The block form of PyTorch's CPU normals: blocks of 16 uniforms become 8 + 8 normals.
 *
 * float32 runs through the classic single-precision polynomials of the Cephes library (S. Moshier), because PyTorch's AVX2 kernel does:
 * `log`, `sin` and `cos` there are not correctly rounded, so their every rounding is repeated here with `Math.fround`, and `fmaf` stands where
 * the compiler has contracted a product and a sum. The other dtypes use the C library's functions, with one rounding to the dtype
 * after each operation.
 */
import { cos, fma, fmaf, log, sin } from './accurate-math.ts';

const f = Math.fround;
const f32 = new Float32Array(1);
const bits = new Int32Array(f32.buffer);

const SQRT_HALF = f(Math.SQRT1_2);
const logCoefficients = [
  7.0376836292e-2, -1.151461031e-1, 1.167699874e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1,
  3.3333331174e-1,
].map(f);
const LN2_LOW = f(-2.1219444e-4);
const LN2_HIGH = f(0.693359375);

/** Cephes `logf` for a normal positive float32. */
function logf(value: number): number {
  f32[0] = value;
  let e = (bits[0]! >> 23) - 126;
  bits[0] = (bits[0]! & 0x807fffff) | 0x3f000000;
  let x = f32[0]!; // in [1/2, 1)
  if (x < SQRT_HALF) {
    e -= 1;
    x = f(f(x - 1) + x);
  } else x = f(x - 1);
  const z = f(x * x);
  let y = logCoefficients[0]!;
  for (let i = 1; i < 9; i++) y = fmaf(y, x, logCoefficients[i]!);
  y = fmaf(f(y * x), z, f(e * LN2_LOW));
  y = f(y - f(z * 0.5));
  return f(f(x + y) + f(e * LN2_HIGH));
}

const FOUR_OVER_PI = f(4 / Math.PI);
const DP1 = f(-0.78515625);
const DP2 = f(-2.4187564849853516e-4);
const DP3 = f(-3.774894977445941e-8);
const S0 = f(-1.9515295891e-4);
const S1 = f(8.3321608736e-3);
const S2 = f(-1.6666654611e-1);
const C0 = f(2.443315711809948e-5);
const C1 = f(-1.388731625493765e-3);
const C2 = f(4.166664568298827e-2);

let sine = 0;
let cosine = 0;
/** Cephes `sincosf` for a non-negative angle, into `sine` and `cosine`. */
function sincosf(angle: number): void {
  const j = (Math.trunc(f(angle * FOUR_OVER_PI)) + 1) & ~1;
  let x = fmaf(j, DP1, angle);
  x = fmaf(j, DP2, x);
  x = fmaf(j, DP3, x);
  const z = f(x * x);
  let c = fmaf(C0, z, C1);
  c = fmaf(c, z, C2);
  c = fmaf(f(c * z), z, -0.5 * z);
  c = f(c + 1);
  let s = fmaf(S0, z, S1);
  s = fmaf(s, z, S2);
  s = fmaf(f(s * z), x, x);
  const swap = (j & 2) !== 0;
  sine = swap ? c : s;
  cosine = swap ? s : c;
  if (j & 4) sine = -sine;
  if (!((j - 2) & 4)) cosine = -cosine;
}

const TWO_PI_F32 = f(2 * Math.PI);

/** Turns 16 uniforms at `at` into 16 normals, as the float32 kernel does. */
export function normalBlockFloat32(data: Float32Array, at: number, mean: number, std: number): void {
  for (let i = at; i < at + 8; i++) {
    const radius = f(Math.sqrt(f(-2 * logf(f(1 - data[i]!)))));
    sincosf(f(TWO_PI_F32 * data[i + 8]!));
    data[i] = fmaf(f(radius * cosine), std, mean);
    data[i + 8] = fmaf(f(radius * sine), std, mean);
  }
}

/** The same for float64, with a fused last step. */
export function normalBlockFloat64(data: Float64Array, at: number, mean: number, std: number): void {
  for (let i = at; i < at + 8; i++) {
    const radius = Math.sqrt(-2 * log(1 - data[i]!));
    const theta = 2 * Math.PI * data[i + 8]!;
    data[i] = fma(radius * cos(theta), std, mean);
    data[i + 8] = fma(radius * sin(theta), std, mean);
  }
}

/** The same for the 16-bit floats: `round` rounds to the dtype, after every operation. */
export function normalBlockRounded(data: Float64Array, at: number, mean: number, std: number, round: (x: number) => number): void {
  for (let i = at; i < at + 8; i++) {
    const radius = round(Math.sqrt(round(-2 * round(log(round(1 - data[i]!))))));
    const theta = round(2 * Math.PI * data[i + 8]!);
    data[i] = round(round(round(radius * round(cos(theta))) * std) + mean);
    data[i + 8] = round(round(round(radius * round(sin(theta))) * std) + mean);
  }
}

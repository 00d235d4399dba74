/**
 * Weights into ggml's K blocks (Q4_K, Q5_K, Q6_K), as ggml's own reference quantizer does it, byte for byte.
 *
 * Each group of 16 or 32 weights searches for a scale (and a minimum): some twenty candidates are tried, each the least squares fit to its own rounding,
 * with heavier weights for larger numbers. The groups' scales are then quantized themselves, and the weights once more with what came out. Every operation
 * is in float32 in C's order, hence `fround` at each; without importance matrices.
 *
 * https://github.com/ggml-org/ggml/blob/master/src/ggml-quants.c (make_qx_quants, make_qkx2_quants, quantize_row_q*_K_ref)
 */
import { decodeFloat16, encodeFloat16 } from '../dtype/codec.ts';

const f = Math.fround;
/** A group whose numbers are all smaller is zero. */
const tiny = f(1e-15);

/** To the nearest whole number, halves to even: C's trick of adding 1.5 times 2^23. */
const nearest = (x: number): number => f(x + 12_582_912) - 12_582_912;
const clamp = (x: number, low: number, high: number): number => Math.max(low, Math.min(high, x));

function putHalf(b: Uint8Array, at: number, value: number): number {
  const bits = encodeFloat16(value);
  b[at] = bits & 255;
  b[at + 1] = bits >> 8;
  return decodeFloat16(bits);
}

/** The scale of 16 weights between -32 and 31 steps, squares of the weights being how much they count; `inverse` is what the best candidate divided by. */
function symmetricFit(x: Float32Array, from: number): { readonly scale: number; readonly inverse: number } {
  let largest = 0;
  for (let i = 0; i < 16; i++) if (Math.abs(x[from + i]) > Math.abs(largest)) largest = x[from + i];
  if (Math.abs(largest) < tiny) return { scale: 0, inverse: 0 };
  let [scale, best, bestInverse] = [0, 0, 0];
  for (const step of [0, -9, -8, -7, -6, -5, -4, -3, -2, -1, 1, 2, 3, 4, 5, 6, 7, 8, 9]) {
    const inverse = f(-f(32 + f(f(0.1) * step)) / largest);
    let [sumX, sum2] = [0, 0];
    for (let i = 0; i < 16; i++) {
      const value = x[from + i];
      const l = clamp(nearest(f(inverse * value)), -32, 31);
      const w = f(value * value);
      sumX = f(sumX + f(f(w * value) * l));
      sum2 = f(sum2 + f(f(w * l) * l));
    }
    if (step !== 0 && !(sum2 > 0 && f(sumX * sumX) > f(best * sum2))) continue;
    scale = sum2 === 0 ? 0 : f(sumX / sum2);
    best = f(scale * sumX);
    bestInverse = inverse;
  }
  return { scale, inverse: bestInverse };
}

export function encodeQ6K(x: Float32Array, from: number, b: Uint8Array, at: number): void {
  const fits = Array.from({ length: 16 }, (_, i) => symmetricFit(x, from + 16 * i));
  let largest = 0;
  for (const { scale } of fits) if (Math.abs(scale) > Math.abs(largest)) largest = scale;
  if (Math.abs(largest) < tiny) return;
  const inverse = f(-128 / largest);
  const d = putHalf(b, at + 208, f(1 / inverse));
  const codes = new Uint8Array(256);
  fits.forEach(({ scale, inverse: found }, i) => {
    const quantized = Math.min(127, nearest(f(inverse * scale)));
    b[at + 192 + i] = quantized & 255;
    const step = f(d * quantized);
    for (let l = 0; l < 16; l++) {
      const value = x[from + 16 * i + l];
      // Where a group's scale has vanished, the codes of its search stay: they do not matter, but they are bytes.
      if (step !== 0) codes[16 * i + l] = clamp(nearest(f(value / step)), -32, 31) + 32;
      else if (found !== 0) codes[16 * i + l] = clamp(nearest(f(found * value)), -32, 31) + 32;
    }
  });
  for (let l = 0; l < 128; l++) {
    const base = 128 * (l >> 6) + (l & 63);
    b[at + l] = (codes[base] & 15) | ((codes[base + 64] & 15) << 4);
  }
  for (let l = 0; l < 64; l++) {
    const base = 128 * (l >> 5) + (l & 31);
    b[at + 128 + l] = (codes[base] >> 4) | ((codes[base + 32] >> 4) << 2) | ((codes[base + 64] >> 4) << 4) | ((codes[base + 96] >> 4) << 6);
  }
}

/** Of 32 weights: scale and minimum (negated), and their codes from 0 to `steps`. */
interface Fit {
  readonly scale: number;
  readonly minimum: number;
  readonly codes: Uint8Array;
}

function affineFit(x: Float32Array, from: number, steps: number, first: number, tries: number): Fit {
  let squares = 0;
  for (let l = 0; l < 32; l++) squares = f(squares + f(x[from + l] * x[from + l]));
  const average = f(Math.sqrt(f(squares / 32)));
  const weights = Float32Array.from({ length: 32 }, (_, l) => average + Math.abs(x[from + l]));
  let [low, high] = [x[from], x[from]];
  let [sumW, sumX] = [weights[0], f(weights[0] * x[from])];
  for (let l = 1; l < 32; l++) {
    const value = x[from + l];
    if (value < low) low = value;
    if (value > high) high = value;
    sumW = f(sumW + weights[l]);
    sumX = f(sumX + f(weights[l] * value));
  }
  if (low > 0) low = 0;
  if (high === low) return { scale: 0, minimum: -low, codes: new Uint8Array(32) };
  const round = (inverse: number, minimum: number): Uint8Array =>
    Uint8Array.from({ length: 32 }, (_, l) => clamp(nearest(f(inverse * f(x[from + l] - minimum))), 0, steps));
  const error = (scale: number, minimum: number, of: Uint8Array): number => {
    let sum = 0;
    for (let l = 0; l < 32; l++) {
      const difference = f(f(f(scale * of[l]) + minimum) - x[from + l]);
      sum = f(sum + f(weights[l] * f(difference * difference)));
    }
    return sum;
  };
  const plain = f(steps / f(high - low));
  let [scale, minimum, codes] = [f(1 / plain), low, round(plain, low)];
  let best = error(scale, minimum, codes);
  for (let i = 0; i <= tries; i++) {
    // From the best minimum so far, not from the first one.
    const candidate = round(f(f(f(first + f(f(0.1) * i)) + steps) / f(high - minimum)), minimum);
    let [sumL, sumL2, sumXL] = [0, 0, 0];
    for (let l = 0; l < 32; l++) {
      const [w, code] = [weights[l], candidate[l]];
      sumL = f(sumL + f(w * code));
      sumL2 = f(sumL2 + f(f(w * code) * code));
      sumXL = f(sumXL + f(f(w * code) * x[from + l]));
    }
    const determinant = f(f(sumW * sumL2) - f(sumL * sumL));
    if (!(determinant > 0)) continue;
    let thisScale = f(f(f(sumW * sumXL) - f(sumX * sumL)) / determinant);
    let thisMinimum = f(f(f(sumL2 * sumX) - f(sumL * sumXL)) / determinant);
    if (thisMinimum > 0) {
      thisMinimum = 0;
      thisScale = f(sumXL / sumL2);
    }
    const now = error(thisScale, thisMinimum, candidate);
    if (now < best) [codes, best, scale, minimum] = [candidate, now, thisScale, thisMinimum];
  }
  return { scale, minimum: -minimum, codes };
}

/** Q4_K and Q5_K: `quants` and `fifth` are where low and high bits begin. */
export const encodeAffineK =
  ({
    quants,
    fifth,
    first,
    tries,
  }: {
    readonly quants: number;
    readonly fifth: number | null;
    readonly first: number;
    readonly tries: number;
  }) =>
  (x: Float32Array, from: number, b: Uint8Array, at: number): void => {
    const steps = fifth === null ? 15 : 31;
    const fits = Array.from({ length: 8 }, (_, j) => affineFit(x, from + 32 * j, steps, first, tries));
    const [maxScale, maxMinimum] = [Math.max(0, ...fits.map((fit) => fit.scale)), Math.max(0, ...fits.map((fit) => fit.minimum))];
    const [inverseScale, inverseMinimum] = [maxScale > 0 ? f(63 / maxScale) : 0, maxMinimum > 0 ? f(63 / maxMinimum) : 0];
    const d = putHalf(b, at, f(maxScale / 63));
    const dmin = putHalf(b, at + 2, f(maxMinimum / 63));
    fits.forEach(({ scale, minimum, codes }, j) => {
      const [s, m] = [Math.min(63, nearest(f(inverseScale * scale))), Math.min(63, nearest(f(inverseMinimum * minimum)))];
      if (j < 4) {
        b[at + 4 + j] = s;
        b[at + 8 + j] = m;
      } else {
        b[at + 8 + j] = (s & 15) | ((m & 15) << 4);
        b[at + j] |= (s >> 4) << 6;
        b[at + 4 + j] |= (m >> 4) << 6;
      }
      const [step, below] = [f(d * s), f(dmin * m)];
      for (let l = 0; l < 32; l++) {
        const code = step === 0 ? codes[l] : clamp(nearest(f(f(x[from + 32 * j + l] + below) / step)), 0, steps);
        b[at + quants + 32 * (j >> 1) + l] |= (code & 15) << (4 * (j & 1));
        if (fifth !== null) b[at + fifth + l] |= (code >> 4) << j;
      }
    });
  };

/**
 * Rejection samplers: poisson, gamma, Dirichlet, binomial. How many draws they take depends on the data, so an operator flushes before them.
 *
 * The methods: Poisson by products of uniforms below rate 10 and by Hörmann's transformed rejection (PTRS, 1993) above; gamma by Marsaglia and
 * Tsang (2000); binomial by geometric gaps below a mean of 10 and by Hörmann's BTRS above. Which intermediate is float32 and which
 * float64 follows PyTorch, since it decides what is accepted.
 */
import { decode, encodeInto, type StorageArray } from '../dtype/codec.ts';
import { type DType, finfo, float64 } from '../dtype/dtype.ts';
import { exp, log } from './accurate-math.ts';
import { countOf, standardNormal, uniform53 } from './cpu-streams.ts';
import type { Generator } from './generator.ts';

const f = Math.fround;

/** `torch.poisson(rates)`; `rates` and `out` have one dtype. */
export function poisson(gen: Generator, dtype: DType, out: StorageArray, rates: StorageArray): void {
  const count = countOf(dtype, out);
  for (let i = 0; i < count; i++) encodeInto(dtype, out, i, samplePoisson(gen, decode(dtype, rates, i) as number));
}

function samplePoisson(gen: Generator, rate: number): number {
  if (!(rate >= 0)) throw new Error('invalid Poisson rate, expected rate to be non-negative');
  if (rate === 0) return 0;
  if (rate < 10) {
    const limit = exp(-rate);
    let product = 1;
    for (let k = 0; ; k++) {
      product *= uniform53(gen);
      if (!(product > limit)) return k;
    }
  }
  const logRate = log(rate);
  const b = 0.931 + 2.53 * Math.sqrt(rate);
  const a = -0.059 + 0.02483 * b;
  const inverseAlpha = 1.1239 + 1.1328 / (b - 3.4);
  const vr = 0.9277 - 3.6224 / (b - 2);
  for (;;) {
    const u = uniform53(gen) - 0.5;
    const v = uniform53(gen);
    const us = 0.5 - Math.abs(u);
    const k = Math.floor(((2 * a) / us + b) * u + rate + 0.43);
    if (us >= 0.07 && v <= vr) return k;
    if (k < 0 || (us < 0.013 && v > us)) continue;
    if (log(v) + log(inverseAlpha) - log(a / (us * us) + b) <= -rate + k * logRate - logFactorial(k)) return k;
  }
}

const smallLogFactorials: number[] = [0];
for (let k = 1; k < 32; k++) smallLogFactorials.push(log(Array.from({ length: k }, (_, i) => i + 1).reduce((x, y) => x * y, 1)));

/** log k!, by Stirling's series from 32 on. */
function logFactorial(k: number): number {
  if (k < 32) return smallLogFactorials[k]!;
  const x = k + 1;
  const z = 1 / (x * x);
  const series = (1 / 12 - z * (1 / 360 - z * (1 / 1260 - z / 1680))) / x;
  return (x - 0.5) * log(x) - x + 0.5 * log(2 * Math.PI) + series;
}

/** `torch._standard_gamma(alphas)`. */
export function standardGamma(gen: Generator, dtype: DType, out: StorageArray, alphas: StorageArray): void {
  const count = countOf(dtype, out);
  const { tiny } = finfo(dtype);
  for (let i = 0; i < count; i++) {
    const sample = sampleGamma(gen, decode(dtype, alphas, i) as number, dtype === float64);
    encodeInto(dtype, out, i, sample);
    if ((decode(dtype, out, i) as number) < tiny) encodeInto(dtype, out, i, tiny);
  }
}

/** NOTE: 1/3 and 0.0331 are float32 constants in PyTorch, for float64 too. */
function sampleGamma(gen: Generator, shape: number, double: boolean): number {
  const round = double ? (x: number): number => x : f;
  let alpha = shape;
  let scale = 1;
  if (alpha < 1) {
    if (alpha === 0) return 0;
    scale *= (1 - uniform53(gen)) ** round(1 / alpha);
    alpha = round(alpha + 1);
  }
  const d = round(alpha - f(1 / 3));
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    let x: number;
    let y: number;
    do {
      x = standardNormal(gen);
      y = 1 + c * x;
    } while (y <= 0);
    const v = y * y * y;
    const u = 1 - uniform53(gen);
    const xx = x * x;
    if (u < 1 - f(0.0331) * xx * xx) return scale * d * v;
    if (log(u) < 0.5 * xx + d * (1 - v + log(v))) return scale * d * v;
  }
}

/** `torch._sample_dirichlet(alphas)`: gammas in float64, normalized over the last dim of size `width`. */
export function dirichlet(gen: Generator, dtype: DType, out: StorageArray, alphas: StorageArray, width: number): void {
  const count = countOf(dtype, out);
  const [tiny, top] = dtype === float64 ? [2 ** -1022, 1 - 2 ** -53] : [2 ** -126, 1 - 2 ** -24];
  const gammas = new Float64Array(count);
  for (let i = 0; i < count; i++) gammas[i] = Math.max(2 ** -1022, sampleGamma(gen, decode(dtype, alphas, i) as number, true));
  for (let row = 0; row < count; row += width) {
    let sum = 0;
    for (let i = row; i < row + width; i++) sum += gammas[i]!;
    for (let i = row; i < row + width; i++) {
      const ratio = gammas[i]! / sum;
      encodeInto(dtype, out, i, Math.min(top, Math.max(tiny, dtype === float64 ? ratio : f(ratio))));
    }
  }
}

/** `torch.binomial(counts, probs)`, all of one dtype. */
export function binomial(gen: Generator, dtype: DType, out: StorageArray, counts: StorageArray, probs: StorageArray): void {
  const count = countOf(dtype, out);
  const round = dtype === float64 ? (x: number): number => x : f;
  for (let i = 0; i < count; i++) {
    encodeInto(dtype, out, i, sampleBinomial(gen, decode(dtype, counts, i) as number, decode(dtype, probs, i) as number, round));
  }
}

function sampleBinomial(gen: Generator, n: number, p: number, round: (x: number) => number): number {
  if (n <= 0 || p <= 0) return 0;
  if (p >= 1) return n;
  if (Number.isNaN(p)) return Number.NaN;
  const q = p <= 0.5 ? p : round(1 - p);
  const sample = round(n * q) >= 10 ? binomialRejection(gen, n, q, round) : binomialGaps(gen, n, q, round);
  return p <= 0.5 ? sample : n - sample;
}

function binomialGaps(gen: Generator, n: number, p: number, round: (x: number) => number): number {
  const logFailure = round(Math.log1p(-p));
  let position = 0;
  for (let hits = 0; ; hits++) {
    position += Math.ceil(log(uniform53(gen)) / logFailure);
    if (position > n) return hits;
  }
}

function binomialRejection(gen: Generator, n: number, p: number, round: (x: number) => number): number {
  const deviation = round(Math.sqrt(round(round(n * p) * round(1 - p))));
  const b = 1.15 + 2.53 * deviation;
  const a = -0.0873 + 0.0248 * b + 0.01 * p;
  const c = round(n * p) + 0.5;
  const vr = 0.92 - 4.2 / b;
  const r = round(p / round(1 - p));
  const alpha = (2.83 + 5.1 / b) * deviation;
  const m = Math.floor(round(round(n + 1) * p));
  for (;;) {
    const u = uniform53(gen) - 0.5;
    const v = uniform53(gen);
    const us = 0.5 - Math.abs(u);
    const k = round(Math.floor(((2 * a) / us + b) * u + c));
    if (k < 0 || k > n) continue;
    if (us >= 0.07 && v <= vr) return k;
    const bound =
      (m + 0.5) * log((m + 1) / (r * (n - m + 1))) +
      (n + 1) * log((n - m + 1) / (n - k + 1)) +
      (k + 0.5) * log((r * (n - k + 1)) / (k + 1)) +
      stirlingTail(m) +
      stirlingTail(n - m) -
      stirlingTail(k) -
      stirlingTail(n - k);
    if (log((v * alpha) / (a / (us * us) + b)) <= bound) return k;
  }
}

/** log k! minus the leading part of Stirling's formula. */
function stirlingTail(k: number): number {
  if (k < 10) {
    return logFactorial(k) - (0.5 * Math.log(2 * Math.PI) + (k + 0.5) * Math.log(k + 1) - (k + 1));
  }
  const square = (k + 1) * (k + 1);
  return (1 / 12 - (1 / 360 - 1 / 1260 / square) / square) / (k + 1);
}

/**
 * PyTorch's CPU random streams, bit for bit: which bits of the engine become which number.
 *
 * Every function fills a storage array (see `dtype/codec.ts`) in row-major order and advances the generator by what PyTorch's kernel draws:
 * 32 bits for a uniform of float32 or narrower, 64 bits for float64. Distributions that PyTorch computes in float64 and rounds once
 * (exponential, cauchy, ...) do so here. `fma` stands where PyTorch's compiler contracts a product and a sum. Argument checks and error texts belong to the operators. Distributions whose number of draws
 * depends on the data are in `data-dependent.ts`, multinomial in `multinomial.ts`.
 */
import { decode, encodeInto, type StorageArray } from '../dtype/codec.ts';
import { type DType, float64, iinfo, int64 } from '../dtype/dtype.ts';
import { cos, exp, fma, fmaf, log, sin, tan } from './accurate-math.ts';
import { normalBlockFloat32, normalBlockFloat64, normalBlockRounded } from './box-muller.ts';
import type { Generator } from './generator.ts';

/** Significant bits, hidden one included: how many random bits a uniform of the dtype takes. */
function digitsOf(dtype: DType): number {
  switch (dtype.name) {
    case 'float64':
      return 53;
    case 'float32':
      return 24;
    case 'float16':
      return 11;
    case 'bfloat16':
      return 8;
    default:
      throw new Error(`internal: no random stream for ${dtype}`);
  }
}

/** Elements of a storage array. */
export function countOf(dtype: DType, out: StorageArray): number {
  return out.byteLength / dtype.itemsize;
}

/** A uniform of 53 bits in [0, 1), from two 32-bit draws. */
export function uniform53(gen: Generator): number {
  return gen.engine.next53() * 2 ** -53;
}

function rounder(dtype: DType): (x: number) => number {
  if (dtype === float64) return (x) => x;
  if (dtype.name === 'float32') return Math.fround;
  const cell = new Uint16Array(1);
  return (x) => {
    encodeInto(dtype, cell, 0, x);
    return decode(dtype, cell, 0) as number;
  };
}

/** Fills with draws of `next`, rounded to the dtype. */
function fill(dtype: DType, out: StorageArray, next: () => number): void {
  const count = countOf(dtype, out);
  if (dtype.name === 'float32' || dtype === float64) for (let i = 0; i < count; i++) out[i] = next();
  else for (let i = 0; i < count; i++) encodeInto(dtype, out, i, next());
}

/** `uniform_(from, to)`, and `rand` with the defaults. */
export function uniform(gen: Generator, dtype: DType, out: StorageArray, from = 0, to = 1): void {
  const round = rounder(dtype);
  const low = round(from);
  const span = round(round(to) - low);
  const { engine } = gen;
  const unit = span === 1 && low === 0;
  if (dtype === float64) {
    fill(dtype, out, unit ? () => uniform53(gen) : () => fma(uniform53(gen), span, low));
    return;
  }
  const digits = digitsOf(dtype);
  const mask = 2 ** digits - 1;
  const scale = 2 ** -digits;
  // The arithmetic is float32's for the 16-bit floats too.
  fill(dtype, out, unit ? () => (engine.next32() & mask) * scale : () => fmaf((engine.next32() & mask) * scale, span, low));
}

/** One standard normal in float64; pairs are made together, and the second waits in the generator. */
export function standardNormal(gen: Generator): number {
  const waiting = gen.nextNormal;
  if (waiting !== undefined) {
    gen.nextNormal = undefined;
    return waiting;
  }
  const u1 = uniform53(gen);
  const u2 = uniform53(gen);
  const radius = Math.sqrt(-2 * Math.log1p(-u2));
  const theta = 2 * Math.PI * u1;
  gen.nextNormal = radius * sin(theta);
  return radius * cos(theta);
}

/**
 * `normal_(mean, std)`, and `randn` with the defaults. From 16 elements on, uniforms are drawn for all and turned into normals in blocks
 * of 16; a ragged tail redraws and recomputes the last 16. Shorter tensors (and non-contiguous ones: `blocked = false`) take single draws.
 */
export function normal(gen: Generator, dtype: DType, out: StorageArray, mean = 0, std = 1, blocked = true): void {
  const count = countOf(dtype, out);
  if (count < 16 || !blocked) {
    fill(dtype, out, () => fma(standardNormal(gen), std, mean));
    return;
  }
  const round = rounder(dtype);
  const single = dtype.name === 'float32';
  const work = single ? (out as Float32Array) : new Float64Array(count);
  const { engine } = gen;
  const digits = digitsOf(dtype);
  const mask = 2 ** digits - 1;
  const scale = 2 ** -digits;
  const draw = (from: number, to: number): void => {
    for (let i = from; i < to; i++) work[i] = dtype === float64 ? engine.next53() * scale : (engine.next32() & mask) * scale;
  };
  const block = (at: number): void => {
    if (work instanceof Float32Array) normalBlockFloat32(work, at, round(mean), round(std));
    else if (dtype === float64) normalBlockFloat64(work, at, mean, std);
    else normalBlockRounded(work, at, round(mean), round(std), round);
  };
  draw(0, count);
  for (let i = 0; i + 16 <= count; i += 16) block(i);
  if (count % 16 !== 0) {
    draw(count - 16, count);
    block(count - 16);
  }
  if (!single) for (let i = 0; i < count; i++) encodeInto(dtype, out, i, work[i]!);
}

/** `random_(from, to)` and `randint`: one 32-bit draw for ranges below 2^28, else one 64-bit draw, reduced by a remainder. */
export function randint(gen: Generator, dtype: DType, out: StorageArray, from: number | bigint, to: number | bigint): void {
  const base = BigInt(from);
  const range = BigInt(to) - base;
  const count = countOf(dtype, out);
  const { engine } = gen;
  if (range >= 1n << 28n) {
    for (let i = 0; i < count; i++) encodeInto(dtype, out, i, BigInt.asIntN(64, (engine.next64() % range) + base));
    return;
  }
  const small = Number(range);
  const start = Number(base);
  // Beyond the safe integers a base is added as a bigint.
  const safe = Number.isSafeInteger(start);
  for (let i = 0; i < count; i++) {
    const pick = engine.next32() % small;
    encodeInto(dtype, out, i, safe ? pick + start : BigInt(pick) + base);
  }
}

/** `random_()`: non-negative integers up to the dtype's maximum, or up to 2^digits for floats. */
export function random(gen: Generator, dtype: DType, out: StorageArray): void {
  const count = countOf(dtype, out);
  const { engine } = gen;
  if (dtype === int64 || dtype === float64) {
    const modulus = dtype === int64 ? 1n << 63n : (1n << 53n) + 1n;
    for (let i = 0; i < count; i++) encodeInto(dtype, out, i, engine.next64() % modulus);
    return;
  }
  const modulus = dtype.kind === 'bool' ? 2 : dtype.kind === 'int' ? Number(iinfo(dtype).max) + 1 : 2 ** digitsOf(dtype) + 1;
  for (let i = 0; i < count; i++) encodeInto(dtype, out, i, engine.next32() % modulus);
}

/** `random_(-2^63, None)`: all 64 bits. */
export function randomFull64(gen: Generator, dtype: DType, out: StorageArray): void {
  const count = countOf(dtype, out);
  for (let i = 0; i < count; i++) encodeInto(dtype, out, i, BigInt.asIntN(64, gen.engine.next64()));
}

/** `randperm(out.length)`: Fisher and Yates forwards; for very long ones the inside-out form with 64-bit draws. */
export function randperm(gen: Generator, dtype: DType, out: StorageArray): void {
  const count = countOf(dtype, out);
  const order = new Float64Array(count);
  const { engine } = gen;
  if (count < Math.floor(0xffffffff / 20)) {
    for (let i = 0; i < count; i++) order[i] = i;
    for (let i = 0; i < count - 1; i++) {
      const j = i + (engine.next32() % (count - i));
      const saved = order[i]!;
      order[i] = order[j]!;
      order[j] = saved;
    }
  } else {
    for (let i = 0; i < count; i++) {
      const j = Number(engine.next64() % BigInt(i + 1));
      order[i] = order[j]!;
      order[j] = i;
    }
  }
  if (dtype === int64) for (let i = 0; i < count; i++) out[i] = BigInt(order[i]!);
  else for (let i = 0; i < count; i++) encodeInto(dtype, out, i, order[i]!);
}

/** `bernoulli_(p)` with one p, always by 53 bits. The mask of dropout is this with `1 - p`. */
export function bernoulli(gen: Generator, dtype: DType, out: StorageArray, p: number): void {
  const count = countOf(dtype, out);
  for (let i = 0; i < count; i++) encodeInto(dtype, out, i, uniform53(gen) < p ? 1 : 0);
}

/** `bernoulli(p)` with a tensor of probabilities: 53 bits when they are float64, else 24. `p` has one entry an element. */
export function bernoulliTensor(gen: Generator, dtype: DType, out: StorageArray, pDtype: DType, p: StorageArray): void {
  const count = countOf(dtype, out);
  for (let i = 0; i < count; i++) {
    const u = pDtype === float64 ? uniform53(gen) : (gen.engine.next32() & 0xffffff) * 2 ** -24;
    encodeInto(dtype, out, i, u < (decode(pDtype, p, i) as number) ? 1 : 0);
  }
}

/** `exponential_(lambda)`. */
export function exponential(gen: Generator, dtype: DType, out: StorageArray, lambda = 1): void {
  const factor = -1 / lambda;
  fill(dtype, out, () => factor * Math.log1p(-uniform53(gen)));
}

/** `cauchy_(median, sigma)`. */
export function cauchy(gen: Generator, dtype: DType, out: StorageArray, median = 0, sigma = 1): void {
  fill(dtype, out, () => fma(sigma, tan(Math.PI * (uniform53(gen) - 0.5)), median));
}

/** `log_normal_(mean, std)`. */
export function logNormal(gen: Generator, dtype: DType, out: StorageArray, mean = 1, std = 2): void {
  fill(dtype, out, () => exp(fma(standardNormal(gen), std, mean)));
}

/** `geometric_(p)`; integer dtypes too. */
export function geometric(gen: Generator, dtype: DType, out: StorageArray, p: number): void {
  const count = countOf(dtype, out);
  const denominator = Math.log1p(-p);
  for (let i = 0; i < count; i++) encodeInto(dtype, out, i, Math.ceil(log(uniform53(gen)) / denominator));
}

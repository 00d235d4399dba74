/**
 * `torch.multinomial`: with replacement by inverting the cumulative distribution, otherwise (or for one sample) by racing exponential clocks:
 * category i rings at q_i / p_i with q_i ~ Exp(1), and the first ones to ring are a draw without replacement.
 * Argument checks on shapes belong to the operator; those on probabilities are here, because they look at the data.
 */
import { castValue, decode, makeArray, type StorageArray } from '../dtype/codec.ts';
import { type DType, float64 } from '../dtype/dtype.ts';
import { exponential, uniform53 } from './cpu-streams.ts';
import type { Generator } from './generator.ts';

/** Draws `samples` indices for each row of `probs` (rows x categories, of `dtype`) into an int64 array. */
export function multinomial(
  gen: Generator,
  dtype: DType,
  probs: StorageArray,
  categories: number,
  samples: number,
  replacement: boolean,
): BigInt64Array {
  const rows = categories === 0 ? 0 : probs.byteLength / dtype.itemsize / categories;
  const out = new BigInt64Array(rows * samples);
  const at = (i: number): number => decode(dtype, probs, i) as number;
  if (replacement && samples !== 1) {
    for (let row = 0; row < rows; row++) inverted(gen, dtype, at, row, categories, samples, out);
    return out;
  }
  const total = rows * categories;
  for (let i = 0; i < total; i++) {
    if (!(at(i) >= 0 && at(i) < Infinity)) throw new Error('probability tensor contains either `inf`, `nan` or element < 0');
  }
  for (let row = 0; row < rows; row++) {
    let sum = 0;
    for (let i = 0; i < categories; i++) sum += at(row * categories + i);
    if (sum === 0) throw new Error('invalid multinomial distribution (sum of probabilities <= 0)');
  }
  const clocks = makeArray(dtype, total);
  exponential(gen, dtype, clocks);
  const score = Array.from({ length: total }, (_, i) => castValue(dtype, at(i) / (decode(dtype, clocks, i) as number)) as number);
  for (let row = 0; row < rows; row++) {
    const base = row * categories;
    const order = Array.from({ length: categories }, (_, i) => i).sort((a, b) => score[base + b]! - score[base + a]!);
    for (let i = 0; i < samples; i++) out[row * samples + i] = BigInt(order[i]!);
  }
  return out;
}

function inverted(
  gen: Generator,
  dtype: DType,
  at: (index: number) => number,
  row: number,
  categories: number,
  samples: number,
  out: BigInt64Array,
): void {
  const cumulative = dtype === float64 ? new Float64Array(categories) : new Float32Array(categories);
  const round = dtype === float64 ? (x: number): number => x : Math.fround;
  let sum = 0;
  for (let i = 0; i < categories; i++) {
    const p = at(row * categories + i);
    if (!(p >= 0)) throw new Error('invalid multinomial distribution (encountering probability entry < 0)');
    if (p === Infinity) throw new Error('invalid multinomial distribution (encountering probability entry = infinity or NaN)');
    sum = round(sum + p);
    cumulative[i] = sum;
  }
  if (!(sum > 0)) throw new Error('invalid multinomial distribution (sum of probabilities <= 0)');
  for (let i = 0; i < categories; i++) cumulative[i] = cumulative[i]! / sum;
  cumulative[categories - 1] = 1;
  for (let s = 0; s < samples; s++) {
    const u = uniform53(gen);
    let left = 0;
    let right = categories;
    while (left < right) {
      const middle = left + ((right - left) >> 1);
      if (cumulative[middle]! < u) left = middle + 1;
      else right = middle;
    }
    out[row * samples + s] = BigInt(left);
  }
}

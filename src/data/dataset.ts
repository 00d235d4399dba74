/** Datasets: https://docs.pytorch.org/docs/stable/data.html */
import { int64 } from '../dtype/dtype.ts';
import type { Tensor } from '../ops/methods.ts';
import { randperm } from '../random/cpu-streams.ts';
import { defaultGenerator, type Generator } from '../random/generator.ts';

/** Samples by index: `get(i)` for 0 <= i < length. A plain array is a dataset too. */
export abstract class Dataset<T = unknown> {
  abstract get length(): number;
  abstract get(index: number): T;
}

/** Samples in an order of their own: anything that can be iterated over, synchronously or not. */
export abstract class IterableDataset<T = unknown> {
  abstract [Symbol.iterator](): Iterator<T>;
}

export type AnyDataset<T> = Dataset<T> | readonly T[];
export const sampleOf = <T>(dataset: AnyDataset<T>, index: number): T =>
  Array.isArray(dataset) ? (dataset as readonly T[])[index] : (dataset as Dataset<T>).get(index);

/** Tensors that share their first dim: sample i is row i of each. */
export class TensorDataset extends Dataset<Tensor[]> {
  readonly tensors: readonly Tensor[];
  constructor(...tensors: readonly Tensor[]) {
    super();
    if (tensors.some((t) => t.size(0) !== tensors[0].size(0))) throw new Error('Size mismatch between tensors');
    this.tensors = tensors;
  }
  override get length(): number {
    return this.tensors[0].size(0);
  }
  override get(index: number): Tensor[] {
    return this.tensors.map((t) => t.select(0, index) as Tensor);
  }
}

/** The samples of another dataset at some indices. */
export class Subset<T> extends Dataset<T> {
  readonly dataset: AnyDataset<T>;
  readonly indices: readonly number[];
  constructor(dataset: AnyDataset<T>, indices: readonly number[]) {
    super();
    this.dataset = dataset;
    this.indices = indices;
  }
  override get length(): number {
    return this.indices.length;
  }
  override get(index: number): T {
    return sampleOf(this.dataset, this.indices[index]);
  }
}

/** Several datasets one after the other. */
export class ConcatDataset<T> extends Dataset<T> {
  readonly datasets: readonly AnyDataset<T>[];
  readonly cumulative_sizes: readonly number[];
  constructor(datasets: readonly AnyDataset<T>[]) {
    super();
    if (datasets.length === 0) throw new Error('datasets should not be an empty iterable');
    this.datasets = datasets;
    let sum = 0;
    this.cumulative_sizes = datasets.map((d) => {
      sum += d.length;
      return sum;
    });
  }
  override get length(): number {
    return this.cumulative_sizes.at(-1)!;
  }
  override get(index: number): T {
    const at = index < 0 ? index + this.length : index;
    if (at < 0 || at >= this.length) throw new RangeError('absolute value of index should not exceed dataset length');
    const which = this.cumulative_sizes.findIndex((end) => at < end);
    return sampleOf(this.datasets[which], at - (which === 0 ? 0 : this.cumulative_sizes[which - 1]));
  }
}

/** Parts without overlap, drawn at random. Lengths are counts, or fractions that sum to 1. */
export function random_split<T>(
  dataset: AnyDataset<T>,
  lengths: readonly number[],
  options: { readonly generator?: Generator } = {},
): Subset<T>[] {
  const total = lengths.reduce((a, b) => a + b, 0);
  let counts = [...lengths];
  if (Math.abs(total - 1) < 1e-9 && lengths.every((f) => f <= 1)) {
    lengths.forEach((f, i) => {
      if (f < 0 || f > 1) throw new Error(`Fraction at index ${i} is not between 0 and 1`);
    });
    counts = lengths.map((f) => Math.floor(dataset.length * f));
    const rest = dataset.length - counts.reduce((a, b) => a + b, 0);
    for (let i = 0; i < rest; i++) counts[i % counts.length]++;
  }
  if (counts.reduce((a, b) => a + b, 0) !== dataset.length)
    throw new Error('Sum of input lengths does not equal the length of the input dataset!');
  const order = permutation(dataset.length, options.generator ?? defaultGenerator);
  let at = 0;
  return counts.map((n) => {
    at += n;
    return new Subset(dataset, order.slice(at - n, at));
  });
}

/** `torch.randperm(n, generator)` as numbers. */
export function permutation(n: number, generator: Generator): number[] {
  const out = new BigInt64Array(n);
  randperm(generator, int64, out);
  return Array.from(out, Number);
}

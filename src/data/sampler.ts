/** Samplers: the order of indices, drawn exactly as PyTorch draws it. https://docs.pytorch.org/docs/stable/data.html#data-loading-order-and-sampler */
import { float64, int64 } from '../dtype/dtype.ts';
import { randint, random } from '../random/cpu-streams.ts';
import { defaultGenerator, Generator } from '../random/generator.ts';
import { multinomial } from '../random/multinomial.ts';
import { permutation } from './dataset.ts';

export abstract class Sampler<T = number> {
  abstract get length(): number;
  abstract [Symbol.iterator](): Iterator<T>;
}

interface Sized {
  readonly length: number;
}
interface GeneratorOption {
  readonly generator?: Generator | undefined;
}

/** `int(torch.empty((), dtype=torch.int64).random_())`: the seed that a loader or sampler takes from a generator. */
export function drawSeed(generator: Generator = defaultGenerator): bigint {
  const out = new BigInt64Array(1);
  random(generator, int64, out);
  return out[0];
}

export class SequentialSampler extends Sampler {
  readonly data_source: Sized;
  constructor(data_source: Sized) {
    super();
    this.data_source = data_source;
  }
  override get length(): number {
    return this.data_source.length;
  }
  override *[Symbol.iterator](): Iterator<number> {
    for (let i = 0; i < this.length; i++) yield i;
  }
}

export class RandomSampler extends Sampler {
  readonly data_source: Sized;
  readonly replacement: boolean;
  readonly generator: Generator | undefined;
  readonly #count: number | undefined;
  constructor(
    data_source: Sized,
    options: GeneratorOption & { readonly replacement?: boolean; readonly num_samples?: number | undefined } = {},
  ) {
    super();
    this.data_source = data_source;
    this.replacement = options.replacement ?? false;
    this.generator = options.generator;
    this.#count = options.num_samples;
    if (!(Number.isInteger(this.num_samples) && this.num_samples > 0))
      throw new Error(`num_samples should be a positive integer value, but got num_samples=${this.num_samples}`);
  }
  get num_samples(): number {
    return this.#count ?? this.data_source.length;
  }
  override get length(): number {
    return this.num_samples;
  }
  override *[Symbol.iterator](): Iterator<number> {
    const n = this.data_source.length;
    const generator = this.generator ?? new Generator().manual_seed(drawSeed());
    if (this.replacement) {
      for (let left = this.num_samples; left > 0; left -= 32) {
        const out = new BigInt64Array(left >= 32 ? 32 : left);
        randint(generator, int64, out, 0, n);
        for (const i of out) yield Number(i);
      }
      return;
    }
    for (let left = this.num_samples; left > 0; left -= n) yield* permutation(n, generator).slice(0, left);
  }
}

export class SubsetRandomSampler extends Sampler {
  readonly indices: readonly number[];
  readonly generator: Generator | undefined;
  constructor(indices: readonly number[], options: GeneratorOption = {}) {
    super();
    this.indices = indices;
    this.generator = options.generator;
  }
  override get length(): number {
    return this.indices.length;
  }
  override *[Symbol.iterator](): Iterator<number> {
    for (const i of permutation(this.indices.length, this.generator ?? defaultGenerator)) yield this.indices[i];
  }
}

export class WeightedRandomSampler extends Sampler {
  readonly weights: Float64Array;
  readonly num_samples: number;
  readonly replacement: boolean;
  readonly generator: Generator | undefined;
  constructor(weights: readonly number[], num_samples: number, options: GeneratorOption & { readonly replacement?: boolean } = {}) {
    super();
    if (!Number.isInteger(num_samples) || num_samples <= 0)
      throw new Error(`num_samples should be a positive integer value, but got num_samples=${num_samples}`);
    this.weights = Float64Array.from(weights);
    this.num_samples = num_samples;
    this.replacement = options.replacement ?? true;
    this.generator = options.generator;
  }
  override get length(): number {
    return this.num_samples;
  }
  override *[Symbol.iterator](): Iterator<number> {
    const drawn = multinomial(
      this.generator ?? defaultGenerator,
      float64,
      this.weights,
      this.weights.length,
      this.num_samples,
      this.replacement,
    );
    for (const i of drawn) yield Number(i);
  }
}

/** Lists of `batch_size` indices of another sampler. */
export class BatchSampler extends Sampler<number[]> {
  readonly sampler: Iterable<number> & Sized;
  readonly batch_size: number;
  readonly drop_last: boolean;
  constructor(sampler: Iterable<number> & Sized, batch_size: number, drop_last: boolean) {
    super();
    if (!Number.isInteger(batch_size) || batch_size <= 0)
      throw new Error(`batch_size should be a positive integer value, but got batch_size=${batch_size}`);
    this.sampler = sampler;
    this.batch_size = batch_size;
    this.drop_last = drop_last;
  }
  override get length(): number {
    const n = this.sampler.length / this.batch_size;
    return this.drop_last ? Math.floor(n) : Math.ceil(n);
  }
  override *[Symbol.iterator](): Iterator<number[]> {
    let batch: number[] = [];
    for (const i of this.sampler) {
      batch.push(i);
      if (batch.length === this.batch_size) {
        yield batch;
        batch = [];
      }
    }
    if (batch.length > 0 && !this.drop_last) yield batch;
  }
}

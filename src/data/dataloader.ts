/**
 * DataLoader: batches of a dataset. Iterated with `for (const batch of loader)`, or with `for await`, which lets the event loop turn between
 * batches (so timers, Ctrl-C and a page stay alive). There are no worker processes: batches are made where they are asked for.
 * https://docs.pytorch.org/docs/stable/data.html#torch.utils.data.DataLoader
 */
import type { Generator } from '../random/generator.ts';
import { type Collated, default_collate } from './collate.ts';
import { type AnyDataset, IterableDataset, sampleOf } from './dataset.ts';
import { BatchSampler, drawSeed, RandomSampler, SequentialSampler } from './sampler.ts';

export interface DataLoaderOptions<T, B> {
  /** Samples a batch; null: no batches, each sample by itself. */
  readonly batch_size?: number | null;
  readonly shuffle?: boolean;
  readonly sampler?: Iterable<number> & { readonly length: number };
  readonly batch_sampler?: Iterable<readonly number[]> & { readonly length: number };
  readonly collate_fn?: (samples: readonly T[]) => B;
  readonly drop_last?: boolean;
  readonly generator?: Generator;
  /** Only 0: accepted so that PyTorch's programs run. */
  readonly num_workers?: number;
}

const nextTurn = (): Promise<void> =>
  new Promise((resolve) => {
    if (typeof setImmediate === 'function') setImmediate(resolve);
    else setTimeout(resolve, 0);
  });

export class DataLoader<T, B = Collated<T>> {
  readonly dataset: AnyDataset<T> | IterableDataset<T>;
  readonly batch_size: number | null;
  readonly drop_last: boolean;
  readonly generator: Generator | undefined;
  readonly collate_fn: (samples: readonly T[]) => B;
  /** Lists of indices; null for an iterable dataset. */
  readonly batch_sampler: (Iterable<readonly number[]> & { readonly length: number }) | null;
  readonly sampler: (Iterable<number> & { readonly length: number }) | null;

  constructor(dataset: AnyDataset<T> | IterableDataset<T>, options: DataLoaderOptions<T, B> = {}) {
    const { shuffle = false, sampler, batch_sampler, drop_last = false, generator, num_workers = 0 } = options;
    const batch_size = options.batch_size === undefined ? 1 : options.batch_size;
    if (num_workers !== 0) throw new Error('num_workers option should be 0: this DataLoader has no worker processes');
    if (dataset instanceof IterableDataset) {
      if (shuffle) throw new Error('DataLoader with IterableDataset: expected unspecified shuffle option, but got shuffle=True');
      if (sampler !== undefined) throw new Error('DataLoader with IterableDataset: expected unspecified sampler option');
      if (batch_sampler !== undefined) throw new Error('DataLoader with IterableDataset: expected unspecified batch_sampler option');
    }
    if (sampler !== undefined && shuffle) throw new Error('sampler option is mutually exclusive with shuffle');
    if (batch_sampler !== undefined && (batch_size !== 1 || shuffle || sampler !== undefined || drop_last))
      throw new Error('batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last');
    if (batch_size === null && drop_last)
      throw new Error('batch_size=None option disables auto-batching and is mutually exclusive with drop_last');
    this.dataset = dataset;
    this.batch_size = batch_sampler === undefined ? batch_size : null;
    this.drop_last = drop_last;
    this.generator = generator;
    this.collate_fn = options.collate_fn ?? (default_collate as unknown as (samples: readonly T[]) => B);
    if (dataset instanceof IterableDataset) {
      this.sampler = null;
      this.batch_sampler = null;
    } else {
      this.sampler = sampler ?? (shuffle ? new RandomSampler(dataset, { generator }) : new SequentialSampler(dataset));
      this.batch_sampler = batch_sampler ?? (batch_size === null ? null : new BatchSampler(this.sampler, batch_size, drop_last));
    }
  }

  /** Batches (samples without batching) in one pass. */
  get length(): number {
    if (this.dataset instanceof IterableDataset) throw new TypeError(`object of type '${this.dataset.constructor.name}' has no len()`);
    return this.batch_sampler?.length ?? this.sampler!.length;
  }

  *[Symbol.iterator](): Generator_<B> {
    // PyTorch draws a seed for its workers at the start of each pass, also where there are none.
    drawSeed(this.generator);
    const { dataset } = this;
    if (dataset instanceof IterableDataset) {
      yield* this.#batches(dataset);
      return;
    }
    if (this.batch_sampler === null) {
      for (const i of this.sampler!) yield sampleOf(dataset, i) as unknown as B;
      return;
    }
    for (const indices of this.batch_sampler) yield this.collate_fn(indices.map((i) => sampleOf(dataset, i)));
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<B, void, undefined> {
    for (const batch of this) {
      yield batch;
      await nextTurn();
    }
  }

  *#batches(samples: Iterable<T>): Generator_<B> {
    if (this.batch_size === null) {
      for (const sample of samples) yield sample as unknown as B;
      return;
    }
    let batch: T[] = [];
    for (const sample of samples) {
      batch.push(sample);
      if (batch.length === this.batch_size) {
        yield this.collate_fn(batch);
        batch = [];
      }
    }
    if (batch.length > 0 && !this.drop_last) yield this.collate_fn(batch);
  }
}
type Generator_<B> = globalThis.Generator<B, void, undefined>;

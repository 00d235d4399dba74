/**
 * KVCache: keys and values of the tokens so far, one pair of tensors a layer, made once for all tokens to come and written in place.
 *
 * A step writes at a position and reads the slice up to it. Offsets and lengths of slices are parameters of a program, not part of it, so a
 * decode step compiles nothing once two of them have been seen. A cache remembers no position: the caller says it, and may go back.
 */
import { no_grad } from '../autograd/modes.ts';
import type { DType } from '../dtype/dtype.ts';
import type { Tensor } from '../ops/methods.ts';
import { torchFunctions } from '../ops/methods.ts';
import { decides } from '../tensor/tracing.ts';

export interface KVCacheOptions {
  readonly layers: number;
  readonly batch: number;
  /** Heads of keys and values (fewer than query heads in a model with grouped queries). */
  readonly heads: number;
  /** Tokens for which there is room. */
  readonly length: number;
  readonly head_dim: number;
  readonly dtype: DType;
  readonly device: string;
}

export class KVCache {
  /** `[batch, heads, length, head_dim]`, one a layer. */
  readonly keys: readonly Tensor[];
  readonly values: readonly Tensor[];
  readonly batch: number;
  readonly length: number;

  constructor({ layers, batch, heads, length, head_dim, dtype, device }: KVCacheOptions) {
    // Zeros, not empty memory: a masked slot still meets a weight of zero, and 0 * NaN is NaN.
    const make = (): Tensor => torchFunctions.zeros([batch, heads, length, head_dim], { dtype, device });
    this.keys = Array.from({ length: layers }, make);
    this.values = Array.from({ length: layers }, make);
    this.batch = batch;
    this.length = length;
  }

  /**
   * Writes keys and values `[batch, heads, n, head_dim]` of the tokens from `position` on, and gives those of all tokens up to the last of them,
   * or of the last `window` slots that their first token may see.
   */
  update(layer: number, key: Tensor, value: Tensor, position: number, window: number | null = null): readonly [Tensor, Tensor] {
    const count = key.size(2);
    const end = position + count;
    if (end > this.length) throw new RangeError(`KVCache has room for ${this.length} tokens, got tokens ${position} to ${end - 1}`);
    if (key.size(0) !== this.batch) throw new RangeError(`KVCache was made for a batch of ${this.batch}, got ${key.size(0)}`);
    const [keys, values] = [this.keys[layer], this.values[layer]];
    no_grad(() => {
      keys.narrow(2, position, count).copy_(key);
      values.narrow(2, position, count).copy_(value);
    });
    const start = firstVisible(position, window);
    return [keys.narrow(2, start, end - start), values.narrow(2, start, end - start)];
  }
}

/** The first slot that a token at `position` sees. */
export function firstVisible(position: number, window: number | null): number {
  if (window === null) return 0;
  const first = position + 1 - window;
  if (first > 0) decides(first, 1, Number.POSITIVE_INFINITY);
  else decides(first, Number.NEGATIVE_INFINITY, 1);
  return Math.max(0, first);
}

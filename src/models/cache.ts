/**
 * KVCache: keys and values of the tokens so far, one pair of tensors a layer, made once for all tokens to come and written in place.
 *
 * A step writes at a position and reads the slice up to it. Offsets and lengths of slices are parameters of a program, not part of it, so a
 * decode step compiles nothing once two of them have been seen. A cache remembers no position: the caller says it, and may go back.
 */
import { no_grad } from '../autograd/modes.ts';
import type { DType } from '../dtype/dtype.ts';
import type { Operator } from '../graph/operator.ts';
import type { Tensor } from '../ops/methods.ts';
import { torchFunctions } from '../ops/methods.ts';
import { makeView, type View } from '../shape/view.ts';
import { decides } from '../tensor/tracing.ts';
import { viewAs } from '../tensor/view-tensor.ts';
import { writeCall } from '../tensor/write.ts';

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

/** Both writes of a layer in one call of the graph: memory of keys and of values as rows, then what is new. dims: strides and offset of the window. */
const writeOperator: Operator = {
  name: 'kv_cache_write',
  body: ([keys, values, key, value], { dims }) => {
    const [strides, offset] = [dims.slice(0, -1), dims[dims.length - 1]];
    return [keys.store(key.cast(keys.dtype), strides, offset), values.store(value.cast(values.dtype), strides, offset)];
  },
};

/** Where the tokens of a call lie: the same in every layer. */
interface Window {
  readonly position: number;
  readonly count: number;
  readonly first: number;
  /** Strides and offset of what is written. */
  readonly dims: readonly number[];
  /** What is read, and where it begins. */
  readonly read: View;
  readonly offset: number;
}

export class KVCache {
  /** `[batch, heads, length, head_dim]`, one a layer. */
  readonly keys: readonly Tensor[];
  readonly values: readonly Tensor[];
  readonly batch: number;
  readonly length: number;
  /** The same memory as rows. */
  readonly #rows: readonly { readonly keys: Tensor; readonly values: Tensor }[];
  #window: Window | null = null;

  constructor({ layers, batch, heads, length, head_dim, dtype, device }: KVCacheOptions) {
    // Zeros, not empty memory: a masked slot still meets a weight of zero, and 0 * NaN is NaN.
    const make = (): Tensor => torchFunctions.zeros([batch, heads, length, head_dim], { dtype, device });
    this.keys = Array.from({ length: layers }, make);
    this.values = Array.from({ length: layers }, make);
    this.#rows = this.keys.map((keys, layer) => ({ keys: keys.view(-1) as Tensor, values: this.values[layer].view(-1) as Tensor }));
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
    decides(end, 0, this.length + 1);
    if (key.size(0) !== this.batch) throw new RangeError(`KVCache was made for a batch of ${this.batch}, got ${key.size(0)}`);
    const [keys, values] = [this.keys[layer], this.values[layer]];
    for (const given of [key, value]) {
      const [, heads, , width] = given.view_.shape;
      if (given.ndim !== 4 || heads !== keys.view_.shape[1] || width !== keys.view_.shape[3])
        throw new RangeError(
          `KVCache holds ${keys.view_.shape[1]} heads of ${keys.view_.shape[3]}, got a shape of [${given.view_.shape.join(', ')}]`,
        );
    }
    const rows = this.#rows[layer];
    const { dims, read, offset } = this.#windowOf(position, count, firstVisible(position, window));
    no_grad(() => writeCall(writeOperator as never, [rows.keys, rows.values, key, value], { dims, donors: [rows.keys, rows.values] }));
    return [viewAs(keys, read, offset) as Tensor, viewAs(values, read, offset) as Tensor];
  }

  #windowOf(position: number, count: number, first: number): Window {
    const known = this.#window;
    if (known !== null && known.position === position && known.count === count && known.first === first) return known;
    const { shape, strides, dtype, device } = this.keys[0].view_;
    const read = makeView(dtype, device, [shape[0], shape[1], position + count - first, shape[3]], strides);
    this.#window = { position, count, first, dims: [...strides, position * strides[2]], read, offset: first * strides[2] };
    return this.#window;
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

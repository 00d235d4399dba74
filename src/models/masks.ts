/**
 * Which tokens a token may look at, in the form that `scaled_dot_product_attention` takes, and the positions of tokens.
 *
 * The common cases need no mask at all: a prompt alone is `is_causal`, and one new token sees everything. Only padding, a sliding window that
 * matters, and several tokens behind a cache make a boolean mask, true where a key is seen.
 */
import { tensor } from '../ops/creation.ts';
import type { Tensor } from '../ops/methods.ts';
import { firstVisible } from './cache.ts';

export interface Visibility {
  readonly is_causal: boolean;
  /** Boolean, `[batch or 1, 1, queries, keys]`. */
  readonly mask: Tensor | null;
}

export interface VisibilityOptions {
  /** Tokens in this call. */
  readonly count: number;
  /** Tokens before them, in the cache. */
  readonly position: number;
  /** `[batch, at least position + count]`, 0 where there is padding. */
  readonly attention_mask: Tensor | null;
  readonly window: number | null;
  readonly device: string;
}

/** For keys as `KVCache.update` returns them: from the first that the first query sees to the last query. */
export function causalVisibility({ count, position, attention_mask, window, device }: VisibilityOptions): Visibility {
  const end = position + count;
  const start = firstVisible(position, window);
  const windowMatters = window !== null && end > window && count > 1;
  const padding = attention_mask === null ? null : paddingMask(attention_mask, start, end);
  if (count === 1) return { is_causal: false, mask: padding };
  if (padding === null && position === 0 && !windowMatters) return { is_causal: true, mask: null };
  const queries = positionsFrom(position, count, device).view(1, 1, count, 1);
  const keys = positionsFrom(start, end - start, device).view(1, 1, 1, end - start);
  let mask = keys.le(queries);
  if (windowMatters) mask = mask.logical_and(keys.gt(queries.sub(window)));
  return { is_causal: false, mask: padding === null ? mask : mask.logical_and(padding) };
}

/** `[batch, 1, 1, keys]` of a mask of ones and zeros. */
export function paddingMask(attention_mask: Tensor, start: number, end: number): Tensor {
  if (attention_mask.dim() !== 2 || attention_mask.size(1) < end)
    throw new Error(`attention_mask should be [batch, ${end}], got [${attention_mask.shape.join(', ')}]`);
  return attention_mask
    .narrow(1, start, end - start)
    .ne(0)
    .unsqueeze(1)
    .unsqueeze(1);
}

/** `[1, count]`, int64: data, not a computation, so that a program does not depend on the position. */
export function positionsFrom(position: number, count: number, device: string): Tensor {
  const positions = tensor(
    BigInt64Array.from({ length: count }, (_, i) => BigInt(position + i)),
    { device },
  ) as Tensor;
  return positions.view(1, count);
}

/**
 * Sentence embeddings: token vectors to one vector a sentence, as sentence-transformers does.
 * https://sbert.net/docs/package_reference/sentence_transformer/models.html
 */
import { functional } from '../nn/functional.ts';
import type { Tensor } from '../ops/methods.ts';

export interface PoolOptions {
  /** `mean` over the tokens that are no padding, or the first token (`cls`). */
  readonly pooling?: 'mean' | 'cls';
  /** Makes every vector one of length 1, so that a dot product is the cosine. */
  readonly normalize?: boolean;
}

/** Hidden states `[batch, length, width]` and their mask `[batch, length]` to `[batch, width]`. */
export function pool(
  hidden: Tensor,
  attention_mask: Tensor | null = null,
  { pooling = 'mean', normalize = true }: PoolOptions = {},
): Tensor {
  const vectors = pooling === 'cls' ? hidden.select(1, 0) : meanOf(hidden, attention_mask);
  return normalize ? functional.normalize(vectors, 2, 1) : vectors;
}

function meanOf(hidden: Tensor, attention_mask: Tensor | null): Tensor {
  if (attention_mask === null) return hidden.mean(1);
  const weights = attention_mask.unsqueeze(-1).to(hidden.dtype);
  return hidden.mul(weights).sum(1).div(weights.sum(1).clamp_min(1e-9));
}

/**
 * From logits to the next token: repetition penalty, temperature, top-k, top-p, min-p, then a draw; or the largest.
 *
 * The order and the definitions are transformers', so that a seed gives the tokens that it gives there (on `cpu`, whose random streams are
 * PyTorch's). One difference: padding is no text, so it is not penalized. All of it is done by operators on the logits' device: only tokens come to JavaScript.
 * https://huggingface.co/docs/transformers/internal/generation_utils
 */
import { functional } from '../nn/functional.ts';
import type { Tensor } from '../ops/methods.ts';
import { torchFunctions } from '../ops/methods.ts';
import { Generator } from '../random/generator.ts';

export interface SamplingOptions {
  /** Draws; false takes the most likely token. Without it: true if any of temperature, top_k, top_p, min_p is given. */
  readonly do_sample?: boolean;
  /** Above 1 flattens, below 1 sharpens; 0 is the most likely token. */
  readonly temperature?: number;
  /** Only the k most likely; 0: all. */
  readonly top_k?: number;
  /** Only the smallest set of likely tokens whose probabilities add up to this. */
  readonly top_p?: number;
  /** Only tokens at least this fraction as likely as the likeliest. */
  readonly min_p?: number;
  /** Above 1 makes tokens that have been there less likely. */
  readonly repetition_penalty?: number;
  readonly seed?: number | bigint;
  readonly generator?: Generator;
}

export const samplingNames = {
  ...{ do_sample: true, temperature: true, top_k: true, top_p: true, min_p: true, repetition_penalty: true, seed: true, generator: true },
} as const satisfies Record<keyof SamplingOptions, true>;

export interface Sampler {
  /** Logits `[batch, vocabulary]`, float32, as they are drawn from: penalized, scaled, those left out at -inf. */
  scores(logits: Tensor): Tensor;
  /** Logits `[batch, vocabulary]` to tokens `[batch, 1]`, int64. */
  next(logits: Tensor): Tensor;
}

const none = Number.NEGATIVE_INFINITY;

/** `seen`: tokens `[batch, n]` of the prompt, `mask` their padding; both only for the repetition penalty. */
export function makeSampler(options: SamplingOptions, prompt: { readonly tokens: Tensor; readonly mask: Tensor | null }): Sampler {
  const { temperature, top_k, top_p, min_p, repetition_penalty: penalty = 1 } = options;
  check('temperature', temperature, (x) => x >= 0, 'at least 0');
  check('top_k', top_k, (x) => Number.isInteger(x) && x >= 0, 'a whole number from 0');
  check('top_p', top_p, (x) => x > 0 && x <= 1, 'above 0 and at most 1');
  check('min_p', min_p, (x) => x >= 0 && x <= 1, 'from 0 to 1');
  check('repetition_penalty', penalty, (x) => x > 0, 'above 0');
  const asked = [temperature, top_k, top_p, min_p].some((x) => x !== undefined);
  const draws = (options.do_sample ?? asked) && temperature !== 0;
  const generator = options.generator ?? (options.seed === undefined ? undefined : new Generator().manual_seed(options.seed));
  let seen: Tensor | null = null;

  return {
    scores: (logits) => (draws ? filter(penalize(logits.float())) : penalize(logits.float())),
    next(logits) {
      const penalized = penalize(logits.float());
      const token = draws
        ? torchFunctions.multinomial(functional.softmax(filter(penalized), -1), 1, generator === undefined ? {} : { generator })
        : penalized.argmax(-1, { keepdim: true });
      seen?.scatter_(1, token, true);
      return token;
    },
  };

  function penalize(scores: Tensor): Tensor {
    if (penalty === 1) return scores;
    seen ??= tokensSeen(prompt, scores);
    return torchFunctions.where(seen, torchFunctions.where(scores.lt(0), scores.mul(penalty), scores.div(penalty)), scores);
  }

  function filter(logits: Tensor): Tensor {
    let scores = temperature === undefined || temperature === 1 ? logits : logits.div(temperature);
    if (top_k !== undefined && top_k > 0 && top_k < scores.size(-1)) {
      const least = scores.topk(top_k)[0].narrow(-1, top_k - 1, 1);
      scores = scores.masked_fill(scores.lt(least), none);
    }
    if (top_p !== undefined && top_p < 1) scores = keepNucleus(scores, top_p);
    if (min_p !== undefined && min_p > 0) {
      const probabilities = functional.softmax(scores, -1);
      scores = scores.masked_fill(probabilities.lt(probabilities.amax(-1, true).mul(min_p)), none);
    }
    return scores;
  }
}

/** From the least likely up, tokens are dropped while their sum stays within 1 - top_p; the likeliest stays. */
function keepNucleus(scores: Tensor, top_p: number): Tensor {
  const [sorted, order] = scores.sort(-1, false);
  const dropped = functional
    .softmax(sorted, -1)
    .cumsum(-1)
    .le(1 - top_p);
  const last = torchFunctions.arange(scores.size(-1), { device: scores.device }).eq(scores.size(-1) - 1);
  const sortedMask = dropped.logical_and(last.logical_not());
  return scores.masked_fill(sortedMask.scatter(1, order, sortedMask), none);
}

/** Boolean, `[batch, vocabulary]`. Padding is not text. */
function tokensSeen({ tokens, mask }: { readonly tokens: Tensor; readonly mask: Tensor | null }, scores: Tensor): Tensor {
  const counts = torchFunctions.zeros([...scores.shape], { device: scores.device });
  const ones = mask === null ? torchFunctions.ones([...tokens.shape], { device: scores.device }) : mask.float();
  return counts.scatter_add(1, tokens, ones).gt(0);
}

function check(name: string, value: number | undefined, good: (x: number) => boolean, expected: string): void {
  if (value !== undefined && !good(value)) throw new RangeError(`${name} should be ${expected}, got ${value}`);
}

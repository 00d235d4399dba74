/**
 * `generate()`: tokens one after the other, as an async iterator.
 *
 * Works with the models of this folder and with any module that keeps a small protocol ({@link GenerationModel}). The prompt is computed at once,
 * then one token a step; keys and values are kept in a cache made for the whole length, so that a step compiles nothing once it has been seen.
 * Each step runs without gradients; between steps the event loop gets a turn now and then, so timers, Ctrl-C and a page stay alive. When the
 * iteration ends, however it ends, the cache is let go.
 */
import { no_grad } from '../autograd/modes.ts';
import { withoutCompiling } from '../compile/compile.ts';
import { isCompiled } from '../compile/index.ts';
import { tensor } from '../ops/creation.ts';
import { Tensor } from '../ops/methods.ts';
import { unknownOptions } from '../util/options.ts';
import { Detokenizer } from './detokenize.ts';
import type { GenerationConfig } from './generation-config.ts';
import { makeSampler, type Sampler, type SamplingOptions, samplingNames } from './sampling.ts';
import { StopStrings } from './stopping.ts';
import type { PreTrainedTokenizer } from './tokenizer.ts';

/** What `generate` tells a model at each call. */
export interface GenerationStep<Cache> {
  /** What `make_cache` returned; null for a model without it, which gets all tokens so far at every call. */
  readonly cache: Cache | null;
  /** How many tokens the cache holds already: those of the call are the next ones. */
  readonly position: number;
  /** `[batch, position + tokens]` (or wider, to a compiled model), int64, 0 where a shorter prompt was padded on the left; null without padding. */
  readonly attention_mask: Tensor | null;
  /** `[batch, tokens]`, int64: positions that do not count padding; null without padding (`position`, `position + 1`, ...). */
  readonly position_ids: Tensor | null;
  /** 1: only the logits of the last token are read, others need not be computed. */
  readonly logits_to_keep: number;
}

/**
 * What a module needs so that `generate` can use it: to be called with tokens `[batch, n]` and a step, and to return logits `[batch, n or 1, vocabulary]`
 * or an object that has them. `make_cache` is optional: without it every step computes all tokens again.
 */
export interface GenerationModel<Cache = unknown> {
  (input_ids: Tensor, step: GenerationStep<Cache>): Tensor | { readonly logits: Tensor };
  /** Room for `length` tokens of `batch` sequences, which the model reads and writes at `position`. Disposed of at the end, if it can be. */
  make_cache?(batch: number, length: number): Cache;
  readonly generation_config?: GenerationConfig | null;
  /** How many positions the model was made for, where it knows. */
  readonly positions?: Positions;
  parameters?(): Tensor[];
}

export interface Positions {
  readonly count: number;
  /** There is a learned vector for each: beyond them nothing can be computed. */
  readonly learned: boolean;
}

/**
 * How many tokens are made after a prompt: generation ends where the model's positions do. A prompt that is beyond them already is an error where
 * they are learned, else only a remark, as in transformers.
 */
export function roomAfter(prompt: number, asked: number, positions: Positions | undefined): number {
  if (positions === undefined) return asked;
  const { count, learned } = positions;
  if (prompt > count) {
    if (learned) throw new RangeError(`the prompt has ${prompt} tokens, the model has positions for ${count}`);
    console.warn(`the prompt has ${prompt} tokens, the model was made for ${count}: what it says may make no sense`);
    return asked;
  }
  // The last token that is made is not read again.
  return Math.min(asked, count - prompt + 1);
}

export interface GenerateOptions extends SamplingOptions {
  /** How many tokens to make at most. Default 128; a model's own limit of positions ends it too. */
  readonly max_new_tokens?: number;
  /** A sequence ends with the first of these, which is still given. Default: those of `generation_config`; []: none. */
  readonly stop_tokens?: readonly number[];
  /** A sequence ends with the token that completes one of these in what was made; it needs the tokenizer. */
  readonly stop_strings?: string | readonly string[];
  readonly tokenizer?: PreTrainedTokenizer;
  /** `[batch, length]` of ones and zeros for a prompt that is a tensor: zeros, on the left, are padding. */
  readonly attention_mask?: Tensor | null;
  /** What stands in rows that have ended. Default: `generation_config`'s, else the first stop token, else 0. */
  readonly pad_token_id?: number;
  /** An abort throws its reason, before another token is given. */
  readonly signal?: AbortSignal;
}

const optionNames = {
  ...samplingNames,
  ...{
    max_new_tokens: true,
    stop_tokens: true,
    stop_strings: true,
    tokenizer: true,
    attention_mask: true,
    pad_token_id: true,
    signal: true,
  },
} as const satisfies Record<keyof GenerateOptions, true>;

/** One prompt, as tokens. */
export function generate<C>(
  model: GenerationModel<C>,
  input_ids: readonly number[],
  options?: GenerateOptions,
): AsyncGenerator<number, void, void>;
/** A batch: prompts of any lengths, or a tensor `[batch, length]`, int64. Gives one token a row at each step. */
export function generate<C>(
  model: GenerationModel<C>,
  input_ids: Tensor | readonly (readonly number[])[],
  options?: GenerateOptions,
): AsyncGenerator<number[], void, void>;
export async function* generate<C>(
  model: GenerationModel<C>,
  input_ids: Tensor | readonly number[] | readonly (readonly number[])[],
  options: GenerateOptions = {},
): AsyncGenerator<number | number[], void, void> {
  const unused = unknownOptions(options, optionNames);
  if (unused.length > 0)
    throw new TypeError(
      `The following \`model_kwargs\` are not used by the model: [${unused.map((name) => `'${name}'`).join(', ')}] (note: typos in the generate arguments will also show up in this list)`,
    );
  const single = Array.isArray(input_ids) && !Array.isArray(input_ids[0]);
  const { max_new_tokens: asked = 128, signal, ...given } = options;
  if (!Number.isInteger(asked) || asked < 0) throw new RangeError(`max_new_tokens should be a whole number from 0, got ${asked}`);
  signal?.throwIfAborted();
  const prompt = await readPrompt(input_ids, options.attention_mask ?? null);
  const max_new_tokens = roomAfter(prompt.length, asked, model.positions);
  if (max_new_tokens === 0) return;
  const { eos_token_id, pad_token_id, json: _, ...sampling } = model.generation_config ?? { json: {} };
  const stop = new Set(given.stop_tokens ?? eos_token_id ?? []);
  const stopped = stopsAtStrings(prompt, options);
  const pad = given.pad_token_id ?? pad_token_id ?? [...stop][0] ?? 0;
  const device = model.parameters?.()[0]?.device ?? (input_ids instanceof Tensor ? input_ids.device : 'cpu');
  const decoder = no_grad(() => new Decoder(model, prompt, { ...sampling, ...given }, { device, total: prompt.length + max_new_tokens }));
  const ended = prompt.rows.map(() => false);
  const turns = new Turns();
  try {
    for (let made = 0; made < max_new_tokens; made++) {
      const drawn = no_grad(() => decoder.step());
      const tokens = ((await drawn.tolist_async()) as number[][]).map(([token], row) => (ended[row] ? pad : token));
      signal?.throwIfAborted();
      tokens.forEach((token, row) => {
        ended[row] ||= stop.has(token) || stopped(token, row);
      });
      yield single ? tokens[0] : tokens;
      if (ended.every(Boolean)) return;
      decoder.accept(tokens);
      await turns.next();
      signal?.throwIfAborted();
    }
  } finally {
    decoder.release();
  }
}

/** Whether a token completes a stop string in the text of its row. */
function stopsAtStrings(prompt: Prompt, { stop_strings = [], tokenizer }: GenerateOptions): (token: number, row: number) => boolean {
  const strings = typeof stop_strings === 'string' ? [stop_strings] : stop_strings;
  if (strings.length === 0) return () => false;
  if (tokenizer === undefined)
    throw new Error(
      "There are one or more stop strings, either in the arguments to `generate` or in the model's generation config, but we could not locate a tokenizer. When generating with stop strings, you must pass the model's tokenizer to the `tokenizer` argument of `generate`.",
    );
  const rows = prompt.rows.map((row, i) => ({
    text: new Detokenizer(tokenizer, { context: row.slice(prompt.padding[i]), clean_up_tokenization_spaces: false }),
    stops: new StopStrings(strings),
  }));
  return (token, row) => {
    rows[row].stops.push(rows[row].text.push(token));
    return rows[row].stops.found;
  };
}

/** Prompts of one length, padded on the left. */
interface Prompt {
  readonly rows: readonly (readonly number[])[];
  /** Padding of each row. */
  readonly padding: readonly number[];
  readonly length: number;
}

async function readPrompt(
  input_ids: Tensor | readonly number[] | readonly (readonly number[])[],
  attention_mask: Tensor | null,
): Promise<Prompt> {
  if (input_ids instanceof Tensor) {
    if (input_ids.dim() !== 2) throw new Error(`input_ids should be [batch, length], got [${input_ids.shape.join(', ')}]`);
    const rows = (await input_ids.tolist_async()) as number[][];
    const mask = attention_mask === null ? null : ((await attention_mask.to(input_ids.dtype).tolist_async()) as number[][]);
    return checked(rows, mask === null ? rows.map(() => 0) : mask.map((row, i) => leftPadding(row, rows[i]?.length ?? 0)));
  }
  if (attention_mask !== null) throw new TypeError('attention_mask goes with input_ids that are a tensor; lists are padded here');
  const lists = (Array.isArray(input_ids[0]) ? input_ids : [input_ids]) as readonly (readonly number[])[];
  const length = Math.max(...lists.map((list) => list.length));
  const padding = lists.map((list) => length - list.length);
  return checked(
    lists.map((list, i) => [...new Array<number>(padding[i]).fill(list[0] ?? 0), ...list]),
    padding,
  );
}

function leftPadding(mask: readonly number[], length: number): number {
  const zeros = mask.findIndex((x) => x !== 0);
  if (mask.length !== length || zeros < 0 || mask.slice(zeros).some((x) => x === 0))
    throw new Error('attention_mask should be zeros, then ones, one for each token: generation pads on the left');
  return zeros;
}

function checked(rows: readonly (readonly number[])[], padding: readonly number[]): Prompt {
  const length = rows[0]?.length ?? 0;
  if (padding.length !== rows.length) throw new Error('attention_mask should have as many rows as input_ids');
  if (rows.length === 0 || rows.some((row, i) => row.length - padding[i] < 1))
    throw new Error('input_ids should have at least one token in each row');
  if (rows.flat().some((x) => !Number.isInteger(x))) throw new TypeError('input_ids should be whole numbers');
  return { rows, padding, length };
}

/** Caches come in few sizes, so that prompts of other lengths find programs that are there. */
const cacheLength = (total: number): number => Math.max(256, 2 ** Math.ceil(Math.log2(total)));

/** The state between steps: what has been said, and where. */
class Decoder<C> {
  readonly #model: GenerationModel<C>;
  #cache: C | null;
  readonly #rows: number[][];
  readonly #padding: readonly number[] | null;
  readonly #mask: Tensor | null;
  readonly #sampler: Sampler;
  readonly #device: string;
  /** Tokens that the cache holds. */
  #position = 0;

  constructor(
    model: GenerationModel<C>,
    prompt: Prompt,
    sampling: SamplingOptions,
    { device, total }: { readonly device: string; readonly total: number },
  ) {
    this.#model = model;
    this.#device = device;
    this.#rows = prompt.rows.map((row) => [...row]);
    this.#padding = prompt.padding.some((n) => n > 0) ? prompt.padding : null;
    const length = cacheLength(total);
    this.#cache = model.make_cache?.(prompt.rows.length, length) ?? null;
    this.#mask = this.#padding === null ? null : this.#table(length, (row, at) => (at < prompt.padding[row] ? 0 : 1));
    const tokens = this.#table(prompt.length, (row, at) => prompt.rows[row][at]);
    this.#sampler = makeSampler(sampling, { tokens, mask: this.#mask === null ? null : this.#mask.narrow(1, 0, prompt.length) });
  }

  /** The next tokens, `[batch, 1]`. */
  step(): Tensor {
    const end = this.#rows[0].length;
    const from = this.#position;
    const input_ids = this.#table(end - from, (row, at) => this.#rows[row][from + at]);
    const padding = this.#padding;
    const step: GenerationStep<C> = {
      cache: this.#cache,
      position: from,
      attention_mask: this.#mask === null ? null : this.#maskUpTo(end),
      position_ids: padding === null ? null : this.#table(end - from, (row, at) => Math.max(0, from + at - padding[row])),
      logits_to_keep: 1,
    };
    // Prompts come in many lengths, and each would be prepared for itself: what is worth preparing is a step of one token.
    const out = from === 0 ? withoutCompiling(() => this.#model(input_ids, step)) : this.#model(input_ids, step);
    if (this.#cache !== null) this.#position = end;
    const logits = out instanceof Tensor ? out : (out as { readonly logits: Tensor }).logits;
    return this.#sampler.next(logits.select(1, -1));
  }

  /** A prepared step is the same step at each position, so it gets the whole mask, of which it looks at its part. */
  #maskUpTo(end: number): Tensor {
    const model = this.#model as { readonly forward?: object };
    const whole = isCompiled(model) || (model.forward !== undefined && isCompiled(model.forward));
    return whole ? this.#mask! : this.#mask!.narrow(1, 0, end);
  }

  accept(tokens: readonly number[]): void {
    tokens.forEach((token, row) => {
      this.#rows[row].push(token);
    });
  }

  /** A suspended generator may be kept for long: its cache should not be. */
  release(): void {
    const cache = this.#cache as Partial<Disposable> | null;
    this.#cache = null;
    cache?.[Symbol.dispose]?.();
  }

  #table(length: number, value: (row: number, at: number) => number): Tensor {
    const batch = this.#rows.length;
    const data = BigInt64Array.from({ length: batch * length }, (_, i) => BigInt(value(Math.floor(i / length), i % length)));
    return (tensor(data, { device: this.#device }) as Tensor).view(batch, length);
  }
}

/** A macrotask when the last one was some time ago. */
class Turns {
  #last = performance.now();
  async next(): Promise<void> {
    if (performance.now() - this.#last < 20) return;
    await new Promise<void>((resolve) => {
      if (typeof setImmediate === 'function') setImmediate(resolve);
      else setTimeout(resolve, 0);
    });
    this.#last = performance.now();
  }
}

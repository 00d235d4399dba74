/**
 * PreTrainedTokenizer, with the names that it has in transformers: a call that gives `input_ids` and `attention_mask`, `encode`, `decode`,
 * `apply_chat_template`, special tokens and their numbers. `AutoTokenizer.from_pretrained` (`auto-tokenizer.ts`) makes one from files.
 *
 * The algorithms (normalization, splitting, BPE, WordPiece, Unigram) are those of `@huggingface/tokenizers`, driven by a `tokenizer.json`; one that
 * is not in a file (GGUF, llama2.c) is made by `tokenizer-gguf.ts`. Here is what lies around them: batches, padding, truncation, tensors, checks.
 * Training of tokenizers and slow (Python) tokenizers are not here.
 */
import { Tokenizer } from '@huggingface/tokenizers';
import { int64 } from '../dtype/dtype.ts';
import { tensor } from '../ops/creation.ts';
import { Tensor } from '../ops/methods.ts';
import { type ChatMessage, type ChatTemplateOptions, renderChat } from './chat-template.ts';
import { withTimeLimit } from './time-limit.ts';
import { type SpecialTokenName, specialTokenNames, type TokenizerParts } from './tokenizer-parts.ts';

export interface TokenizeOptions {
  /** `[CLS]`, BOS and the like, as the tokenizer's template says. Default true. */
  readonly add_special_tokens?: boolean;
  /** true or `longest`: to the longest of the batch; `max_length`: to max_length. */
  readonly padding?: boolean | 'longest' | 'max_length' | 'do_not_pad';
  /** Cuts what is longer than max_length; special tokens stay. */
  readonly truncation?: boolean | 'longest_first' | 'do_not_truncate';
  /** Default: the tokenizer's `model_max_length`. */
  readonly max_length?: number;
  readonly padding_side?: Side;
  /** The second text of each pair. */
  readonly text_pair?: string | readonly string[] | null;
}
type AsTensors = { readonly return_tensors: 'pt' };
type Side = 'left' | 'right';

/** `T`: numbers of one text, of several, or a tensor `[batch, length]`. */
export interface BatchEncoding<T> {
  readonly input_ids: T;
  /** 0 where there is padding. */
  readonly attention_mask: T;
  /** 0 in the first, 1 in the second text of a pair; only for models that want it. */
  readonly token_type_ids?: T;
}

export interface DecodeOptions {
  readonly skip_special_tokens?: boolean;
  /** Removes spaces before punctuation. Default: as the tokenizer's files say; never for BPE, which knows where spaces are. */
  readonly clean_up_tokenization_spaces?: boolean;
}

export interface PreTrainedTokenizer {
  (text: string | readonly string[], options: TokenizeOptions & AsTensors): BatchEncoding<Tensor>;
  (text: string, options?: TokenizeOptions): BatchEncoding<number[]>;
  (text: readonly string[], options?: TokenizeOptions): BatchEncoding<number[][]>;
}

interface Row {
  readonly ids: number[];
  readonly types: number[];
}

/** An object that can be called; what it does then is `method`. */
class Callable {
  constructor() {
    const self = (...parameters: unknown[]): unknown => (self as unknown as { run(...all: unknown[]): unknown }).run(...parameters);
    Object.setPrototypeOf(self, new.target.prototype);
    // biome-ignore lint/correctness/noConstructorReturn: a tokenizer is this function.
    return self;
  }
}

/** https://huggingface.co/docs/transformers/main_classes/tokenizer */
export class PreTrainedTokenizer extends Callable {
  readonly #core: Tokenizer;
  readonly #parts: TokenizerParts;
  readonly #special: Map<SpecialTokenName, string>;
  readonly #specialIds: ReadonlySet<number>;
  /** Whether the file's own regular expressions are used: they may be made to take for ever. */
  readonly #patterns: { readonly reading: boolean; readonly writing: boolean };
  /** The longest text that the model can read; Infinity where nobody says. */
  model_max_length: number;
  padding_side: Side;
  truncation_side: Side;
  /** Jinja; null: the model has none. */
  chat_template: string | null;
  /** The file that it is in, for errors. */
  chat_template_source: string;

  constructor(parts: TokenizerParts) {
    super();
    this.#parts = parts;
    try {
      this.#core = new Tokenizer(parts.json, parts.config);
      keepByteOrderMarks(this.#core);
    } catch (error) {
      throw new Error(`${parts.source}: not a tokenizer that can be used: ${(error as Error).message}`);
    }
    this.#special = new Map(parts.specialTokens);
    const added = [...this.#core.get_added_tokens_decoder()];
    this.#specialIds = new Set(added.filter(([, token]) => token.special).map(([id]) => id));
    for (const [name, token] of this.#special) if (this.#core.token_to_id(token) === undefined) this.#special.delete(name);
    this.model_max_length = parts.maxLength;
    this.padding_side = parts.paddingSide;
    this.truncation_side = parts.truncationSide;
    this.chat_template = parts.chatTemplate;
    this.chat_template_source = parts.chatTemplateSource;
    this.#patterns = {
      reading: hasPattern(parts.json['normalizer']) || hasPattern(parts.json['pre_tokenizer']),
      writing: hasPattern(parts.json['decoder']),
    };
  }

  /** What a call does: see the signatures of the interface. */
  run(text: string | readonly string[], options: TokenizeOptions & Partial<AsTensors> = {}): BatchEncoding<unknown> {
    const single = typeof text === 'string';
    const texts = single ? [text] : text;
    const pairs = options.text_pair === undefined || options.text_pair === null ? null : [options.text_pair].flat();
    if (pairs !== null && pairs.length !== texts.length)
      throw new Error(`batch length of \`text\`: ${texts.length} does not match batch length of \`text_pair\`: ${pairs.length}.`);
    const rows = texts.map((one, i) => this.#row(one, pairs === null ? null : pairs[i], options));
    const { length, side } = this.#padTo(rows, options);
    const pad = (values: readonly number[], value: number): number[] => {
      const filler = new Array<number>(Math.max(0, length - values.length)).fill(value);
      return side === 'left' ? [...filler, ...values] : [...values, ...filler];
    };
    const padToken = this.pad_token_id ?? 0;
    const lists = {
      input_ids: rows.map(({ ids }) => pad(ids, padToken)),
      attention_mask: rows.map(({ ids }) => pad(new Array<number>(ids.length).fill(1), 0)),
      ...(this.#parts.typeIds ? { token_type_ids: rows.map(({ types }) => pad(types, 0)) } : {}),
    };
    const shaped = (list: number[][]): unknown => (options.return_tensors === 'pt' ? asTensor(list) : single ? list[0] : list);
    return Object.fromEntries(Object.entries(lists).map(([name, list]) => [name, shaped(list)])) as unknown as BatchEncoding<unknown>;
  }

  /** The tokens of one text. */
  encode(text: string, options: TokenizeOptions = {}): number[] {
    return this(text, options).input_ids;
  }

  /** The text of tokens. Numbers beyond the vocabulary, which some models have room for, say nothing. */
  decode(
    ids: readonly number[] | number | Tensor,
    { skip_special_tokens = false, clean_up_tokenization_spaces }: DecodeOptions = {},
  ): string {
    const list = ids instanceof Tensor ? ([ids.tolist()].flat(2) as number[]) : typeof ids === 'number' ? [ids] : ids;
    const known = list.filter((id) => this.#core.id_to_token(id) !== undefined && !(skip_special_tokens && this.#specialIds.has(id)));
    if (known.length === 0) return '';
    const text = this.#named(
      () => this.#core.decode(known, { clean_up_tokenization_spaces: false }),
      this.#patterns.writing ? 16 * known.length : null,
    );
    return (clean_up_tokenization_spaces ?? this.cleansUp) ? cleanUpTokenization(text) : text;
  }

  batch_decode(rows: readonly (readonly number[])[] | Tensor, options: DecodeOptions = {}): string[] {
    const lists = rows instanceof Tensor ? (rows.tolist() as number[][]) : rows;
    return lists.map((row) => this.decode(row, options));
  }

  tokenize(text: string, options: Pick<TokenizeOptions, 'add_special_tokens'> = {}): string[] {
    const { add_special_tokens = false } = options;
    const { reading } = this.#patterns;
    return this.#named(() => this.#core.tokenize(wellFormed(text), { add_special_tokens }), reading ? text.length : null);
  }
  /** null: not in the vocabulary, and no token stands for that. */
  convert_tokens_to_ids(token: string): number | null {
    return this.#core.token_to_id(token) ?? this.#core.model?.unk_token_id ?? this.unk_token_id;
  }
  convert_ids_to_tokens(id: number): string | null {
    return this.#core.id_to_token(id) ?? null;
  }
  get_vocab(): Map<string, number> {
    return this.#core.get_vocab();
  }

  /** A conversation as the model was taught to read it: text, or with `tokenize` (the default) its tokens. */
  apply_chat_template(messages: readonly ChatMessage[], options: ChatTemplateOptions & { readonly tokenize: false }): string;
  apply_chat_template(messages: readonly ChatMessage[], options?: ChatTemplateOptions & { readonly tokenize?: true }): number[];
  apply_chat_template(
    messages: readonly ChatMessage[],
    options: ChatTemplateOptions & { readonly tokenize?: boolean } = {},
  ): string | number[] {
    const template = options.chat_template ?? this.chat_template;
    if (template === null)
      throw new Error(
        'Cannot use chat template functions because tokenizer.chat_template is not set and no template argument was passed! For information about writing templates and setting the tokenizer.chat_template attribute, please see the documentation at https://huggingface.co/docs/transformers/main/en/chat_templating',
      );
    const { tokenize = true, ...given } = options;
    const text = renderChat(
      template,
      messages,
      given,
      Object.fromEntries(this.#special),
      options.chat_template === undefined ? this.chat_template_source : 'the chat_template that was given',
    );
    return tokenize ? this.encode(text, { add_special_tokens: false }) : text;
  }

  get vocab_size(): number {
    return this.#core.get_vocab(false).size;
  }
  get all_special_ids(): number[] {
    return [...this.#specialIds];
  }
  /** Whether `decode` removes spaces before punctuation when nobody asks. */
  get cleansUp(): boolean {
    return this.#parts.cleansUp;
  }
  /** Whether the text of tokens is the sum of their texts, up to bytes of a character that lie in several. False for rare decoders. */
  get decodesInPieces(): boolean {
    return this.#parts.decodesInPieces;
  }
  isSpecial(id: number): boolean {
    return this.#specialIds.has(id);
  }

  get bos_token(): string | null {
    return this.#special.get('bos_token') ?? null;
  }
  get eos_token(): string | null {
    return this.#special.get('eos_token') ?? null;
  }
  get unk_token(): string | null {
    return this.#special.get('unk_token') ?? null;
  }
  get sep_token(): string | null {
    return this.#special.get('sep_token') ?? null;
  }
  get pad_token(): string | null {
    return this.#special.get('pad_token') ?? null;
  }
  set pad_token(token: string | null) {
    if (token === null) this.#special.delete('pad_token');
    else if (this.#core.token_to_id(token) === undefined) throw new Error(`${JSON.stringify(token)} is not in the vocabulary`);
    else this.#special.set('pad_token', token);
  }
  get cls_token(): string | null {
    return this.#special.get('cls_token') ?? null;
  }
  get mask_token(): string | null {
    return this.#special.get('mask_token') ?? null;
  }
  get bos_token_id(): number | null {
    return this.#idOf('bos_token');
  }
  get eos_token_id(): number | null {
    return this.#idOf('eos_token');
  }
  get unk_token_id(): number | null {
    return this.#idOf('unk_token');
  }
  get sep_token_id(): number | null {
    return this.#idOf('sep_token');
  }
  get pad_token_id(): number | null {
    return this.#idOf('pad_token');
  }
  get cls_token_id(): number | null {
    return this.#idOf('cls_token');
  }
  get mask_token_id(): number | null {
    return this.#idOf('mask_token');
  }
  get special_tokens_map(): Record<string, string> {
    return Object.fromEntries(specialTokenNames.flatMap((name) => (this.#special.has(name) ? [[name, this.#special.get(name)!]] : [])));
  }

  #idOf(name: SpecialTokenName): number | null {
    const token = this.#special.get(name);
    return token === undefined ? null : (this.#core.token_to_id(token) ?? null);
  }

  #row(text: string, pair: string | null, options: TokenizeOptions): Row {
    const { add_special_tokens = true, truncation = false } = options;
    if (typeof text !== 'string')
      throw new TypeError('text input must be of type `str` (single example) or `list[str]` (batch of examples)');
    // The library's processor for byte-level tokenizers, which only moves offsets, drops the second text.
    const moves = (this.#parts.json['post_processor'] as { readonly type?: unknown } | null)?.type === 'ByteLevel';
    const finish = moves ? null : (this.#core.post_processor as unknown as Finish | null);
    const parts = (pair === null ? [text] : [text, pair]).map((one) => this.tokenize(one));
    const join = (lists: readonly string[][]): { tokens: string[]; token_type_ids?: number[] } =>
      finish === null ? { tokens: lists.flat() } : this.#named(() => finish(lists[0], lists[1] ?? null, add_special_tokens));
    let joined = join(parts);
    const limit = truncation === false || truncation === 'do_not_truncate' ? Number.POSITIVE_INFINITY : this.#limit(options);
    if (joined.tokens.length > limit) {
      this.#cut(parts, joined.tokens.length - limit);
      joined = join(parts);
    }
    const ids = joined.tokens.map((token) => this.convert_tokens_to_ids(token));
    if (ids.some((id) => id === null)) {
      const at = ids.indexOf(null);
      throw new Error(
        `${this.#parts.source}: token ${JSON.stringify(joined.tokens[at])} is not in the vocabulary, and no token stands for that`,
      );
    }
    return { ids: ids as number[], types: joined.token_type_ids ?? ids.map(() => 0) };
  }

  /** A tokenizer.json may be broken in ways that show only in use: the library's error does not say which file it was. */
  #named<T>(work: () => T, patternsOver: number | null = null): T {
    const { source } = this.#parts;
    const late = (): Error =>
      new TimeLimitError(
        `${source}: a text of some ${patternsOver} characters took more than ${limit / 1000} s: the file's regular expressions backtrack too much`,
      );
    const limit = patternsOver === null ? 0 : leastLimit + limitPerCharacter * patternsOver;
    try {
      return patternsOver === null ? work() : withTimeLimit(work, limit, late);
    } catch (error) {
      if (error instanceof TimeLimitError) throw error;
      throw new Error(`${this.#parts.source}: not a tokenizer that can be used: ${(error as Error).message}`);
    }
  }

  #limit({ max_length }: TokenizeOptions): number {
    if (max_length !== undefined && !(Number.isInteger(max_length) && max_length >= 0))
      throw new RangeError(`max_length should be a whole number from 0, got ${max_length}`);
    return max_length ?? this.model_max_length;
  }

  /** One token at a time from the longer of two. */
  #cut(parts: string[][], count: number): void {
    for (let i = 0; i < count; i++) {
      const longest = parts.reduce((a, b) => (b.length > a.length ? b : a));
      if (longest.length === 0) return;
      if (this.truncation_side === 'left') longest.shift();
      else longest.pop();
    }
  }

  #padTo(rows: readonly Row[], options: TokenizeOptions): { length: number; side: Side } {
    const { padding = false, padding_side: side = this.padding_side } = options;
    const longest = Math.max(0, ...rows.map(({ ids }) => ids.length));
    const limit = this.#limit(options);
    const length = padding === false || padding === 'do_not_pad' ? 0 : padding === 'max_length' && Number.isFinite(limit) ? limit : longest;
    if (length > 0 && this.pad_token_id === null)
      throw new Error(
        "Asking to pad but the tokenizer does not have a padding token. Please select a token to use as `pad_token` `(tokenizer.pad_token = tokenizer.eos_token e.g.)` or add a new pad token via `tokenizer.add_special_tokens({'pad_token': '[PAD]'})`.",
      );
    return { length, side };
  }
}

/** The library's decoder of byte tokens drops a U+FEFF at the beginning of a run of them, which is text as any other. */
function keepByteOrderMarks(core: Tokenizer): void {
  type Part = { text_decoder?: InstanceType<typeof TextDecoder>; readonly decoders?: readonly (Part | null)[] };
  const visit = (part: Part | null): void => {
    if (part === null) return;
    if (part.text_decoder !== undefined) part.text_decoder = new TextDecoder('utf-8', { ignoreBOM: true });
    part.decoders?.forEach(visit);
  };
  visit(core.decoder as unknown as Part | null);
}

/** Milliseconds; a hundred times what slow machines take. */
const leastLimit = 2000;
const limitPerCharacter = 0.05;
class TimeLimitError extends Error {}

/** Whether a part of a tokenizer.json has a regular expression. */
const hasPattern = (part: unknown): boolean => part !== null && part !== undefined && JSON.stringify(part).includes('"Regex":');

type Finish = (
  first: readonly string[],
  second: readonly string[] | null,
  special: boolean,
) => { tokens: string[]; token_type_ids?: number[] };

/** A lone half of a surrogate pair is not text; as in UTF-8 it becomes U+FFFD. */
const wellFormed = (text: string): string => (text as string & { toWellFormed(): string }).toWellFormed();

function asTensor(rows: readonly number[][]): Tensor {
  if (rows.some((row) => row.length !== rows[0].length))
    throw new Error(
      "Unable to create tensor, you should probably activate truncation and/or padding with 'padding=True' 'truncation=True' to have batched tensors with the same length. Perhaps your features (`input_ids` in this case) have excessive nesting (inputs type `list` where type `int` is expected).",
    );
  return (tensor(BigInt64Array.from(rows.flat(), BigInt), { dtype: int64 }) as Tensor).view(rows.length, rows[0]?.length ?? 0);
}

/** What transformers calls `clean_up_tokenization`, in its order. */
export const cleanUpTokenization = (text: string): string => spacesToRemove.reduce((all, [from, to]) => all.replaceAll(from, to), text);
const spacesToRemove = [
  ...[' .', ' ?', ' !', ' ,'].map((from): [string, string] => [from, from.slice(1)]),
  [" ' ", "'"] as [string, string],
  ...[" n't", " 'm", " 's", " 've", " 're"].map((from): [string, string] => [from, from.slice(1)]),
];

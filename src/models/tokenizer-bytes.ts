/**
 * Byte-level BPE (GPT-2's family) as a `tokenizer.json`, and the ways in which its members cut text into words first.
 *
 * A GGUF file says that way by a name, not by an expression; the expressions are those of the models' own tokenizers.
 */
import type { Json } from './config-fields.ts';

export interface AddedTokenJson {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
}

export interface ByteLevelParts {
  /** Tokens in GPT-2's letters for bytes. */
  readonly vocab: Json;
  /** Two pieces each, the strongest first. */
  readonly merges: readonly string[];
  readonly added: readonly AddedTokenJson[];
  readonly pre: PreTokenizerName;
  /** Special tokens around every text. */
  readonly before: readonly string[];
  readonly after: readonly string[];
}

export interface PreTokenizerRules {
  /** Each cuts what the one before has left; the pieces between matches stay too. */
  readonly patterns: readonly string[];
  /** A word that is a token as a whole is not put together by merges. */
  readonly ignoreMerges?: boolean;
  readonly normalizer?: 'NFC';
  /** Every text begins with BOS unless the file says otherwise. */
  readonly bos?: boolean;
}

const contractions = "'s|'t|'re|'ve|'m|'ll|'d";
const anyCaseContractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const gpt2 = `${contractions}| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+`;
/** Words with one sign before them, numbers of so many digits, signs with the line ends after them. */
const words = (digits: string): string =>
  `${anyCaseContractions}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`;
const llama3 = { patterns: [words('{1,3}')], ignoreMerges: true, bos: true } as const;
const digitsThenGpt2 = { patterns: ['\\p{N}', gpt2] } as const;

/** By the names that `tokenizer.ggml.pre` has. */
export const preTokenizers = {
  default: { patterns: ['[\\p{P}\\$\\+<=>\\^~\\|]+', gpt2, '\\p{N}+', '[0-9][0-9][0-9]'] },
  'gpt-2': { patterns: [gpt2] },
  'phi-2': { patterns: [gpt2] },
  mpt: { patterns: [gpt2] },
  olmo: { patterns: [gpt2] },
  smollm: digitsThenGpt2,
  starcoder: digitsThenGpt2,
  refact: digitsThenGpt2,
  codeshell: digitsThenGpt2,
  'command-r': digitsThenGpt2,
  'llama-bpe': llama3,
  'llama-v3': llama3,
  llama3,
  falcon3: llama3,
  dbrx: { patterns: [words('{1,3}')] },
  'smaug-bpe': { patterns: [words('{1,3}')] },
  qwen2: { patterns: [words('')], normalizer: 'NFC' },
  stablelm2: { patterns: [words('')] },
} as const satisfies Record<string, PreTokenizerRules>;
export type PreTokenizerName = keyof typeof preTokenizers;

export function byteLevelTokenizer({ vocab, merges, added, pre, before, after }: ByteLevelParts): Json {
  const { patterns, ignoreMerges = false, normalizer }: PreTokenizerRules = preTokenizers[pre];
  return {
    added_tokens: added,
    normalizer: normalizer === undefined ? null : { type: normalizer },
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        ...patterns.map((Regex) => ({ type: 'Split', pattern: { Regex }, behavior: 'Isolated', invert: false })),
        { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false },
      ],
    },
    post_processor: around(before, after),
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: { type: 'BPE', vocab, merges: merges.map(twoPieces), ignore_merges: ignoreMerges, fuse_unk: false, byte_fallback: false },
  };
}

/** Cut at the first space after the first letter; one without is left for the check of the whole to name. */
function twoPieces(merge: string): string | [string, string] {
  const at = merge.indexOf(' ', 1);
  return at < 0 ? merge : [merge.slice(0, at), merge.slice(at + 1)];
}

/** Special tokens around every text; null: none. */
export function around(before: readonly string[], after: readonly string[]): Json | null {
  if (before.length + after.length === 0) return null;
  const special = (tokens: readonly string[]): Json[] => tokens.map((id) => ({ SpecialToken: { id, type_id: 0 } }));
  const sequence = (id: string): Json => ({ Sequence: { id, type_id: 0 } });
  return {
    type: 'TemplateProcessing',
    single: [...special(before), sequence('A'), ...special(after)],
    pair: [...special(before), sequence('A'), ...special(after), ...special(before), sequence('B'), ...special(after)],
  };
}

/** For tests of this folder: recorded tokenizers (`tokenizer.fixture.json`) as files and metadata, and where real models are, if they are. */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { PreTrainedTokenizer } from './tokenizer.ts';
import type { PreTokenizerName } from './tokenizer-bytes.ts';
import { llama2cTokenizer, tokenizerFromGguf } from './tokenizer-gguf.ts';
import { tokenizerParts } from './tokenizer-parts.ts';

interface Recorded {
  readonly ids: number[][];
  readonly decoded: string[];
}
interface Fixture {
  readonly texts: string[];
  readonly bytes: {
    readonly tokens: string[];
    readonly types: number[];
    readonly merges: string[];
    readonly ways: Readonly<Record<'gpt-2' | 'smollm' | 'llama-bpe' | 'qwen2', Recorded>>;
  };
  readonly sentencePiece: Recorded & {
    readonly tokens: string[];
    readonly scores: number[];
    readonly types: number[];
    readonly texts: string[];
  };
  readonly smollm2: Recorded & { readonly texts: string[] };
  readonly minilm: Recorded & { readonly texts: string[]; readonly pairs: [string, string][]; readonly cut: Record<string, number[][]> };
}
export const fixture = JSON.parse(readFileSync(new URL('./tokenizer.fixture.json', import.meta.url), 'utf8')) as Fixture;

const metadata = (fields: Readonly<Record<string, unknown>>): Map<string, unknown> =>
  new Map(Object.entries(fields).flatMap(([key, value]) => (value === undefined ? [] : [[`tokenizer.ggml.${key}`, value]])));

/** The recorded vocabularies as GGUF files have them; undefined leaves a field out. */
export const gguf = {
  bytes: (pre: PreTokenizerName | string, change: Readonly<Record<string, unknown>> = {}): Map<string, unknown> => {
    const { tokens, types, merges } = fixture.bytes;
    return metadata({ model: 'gpt2', pre, tokens, token_type: types, merges, bos_token_id: 0, eos_token_id: 1, ...change });
  },
  pieces: (change: Readonly<Record<string, unknown>> = {}): Map<string, unknown> => {
    const { tokens, scores, types } = fixture.sentencePiece;
    const ids = { unknown_token_id: 0, bos_token_id: 1, eos_token_id: 2 };
    return metadata({ model: 'llama', tokens, scores, token_type: types, ...ids, ...change });
  },
};

/** A small Llama 3's tokenizer files, by name. */
export function tokenizerFolder(): {
  readonly 'tokenizer.json': Readonly<Record<string, unknown>>;
  readonly 'tokenizer_config.json': Readonly<Record<string, unknown>>;
} {
  const { tokens, merges } = fixture.bytes;
  const added = ['<|begin|>', '<|end|>'].map((content, id) => ({ id, content, special: true, normalized: false }));
  return {
    'tokenizer.json': {
      version: '1.0',
      added_tokens: added,
      normalizer: null,
      pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
      post_processor: {
        type: 'TemplateProcessing',
        single: [{ SpecialToken: { id: '<|begin|>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
        pair: [{ Sequence: { id: 'A', type_id: 0 } }, { Sequence: { id: 'B', type_id: 1 } }],
        special_tokens: { '<|begin|>': { id: '<|begin|>', ids: [0], tokens: ['<|begin|>'] } },
      },
      decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
      model: { type: 'BPE', vocab: Object.fromEntries(tokens.map((token, id) => [token, id])), merges },
    },
    'tokenizer_config.json': { bos_token: '<|begin|>', eos_token: '<|end|>', pad_token: '<|end|>', model_max_length: 64 },
  };
}

/** A model that `scripts/fetch-models.mjs` has fetched; null where it has not. */
export function localModel(path: string): string | null {
  const place = fileURLToPath(new URL(`../../out/models/${path}`, import.meta.url));
  return existsSync(place) ? place : null;
}
export const missingNote = (name: string): string =>
  `${name} is not there: its tests are skipped (node scripts/fetch-models.mjs fetches models into out/models)`;

/** Three kinds of small tokenizer.json, with most parts that such a file may have. */
const seeds: readonly object[] = [
  {
    added_tokens: [{ id: 3, content: '<|end|>', special: true, lstrip: true, rstrip: false, normalized: false }],
    normalizer: { type: 'Sequence', normalizers: [{ type: 'NFC' }, { type: 'Replace', pattern: { String: 'x' }, content: 'a' }] },
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        { type: 'Split', pattern: { Regex: '\\p{N}{1,3}| ?\\p{L}+' }, behavior: 'Isolated', invert: false },
        { type: 'ByteLevel', add_prefix_space: false, use_regex: false },
      ],
    },
    post_processor: {
      type: 'TemplateProcessing',
      single: [{ SpecialToken: { id: '<|end|>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
    },
    decoder: { type: 'ByteLevel' },
    model: { type: 'BPE', vocab: { a: 0, b: 1, ab: 2, '<|end|>': 3 }, merges: ['a b'], unk_token: 'a' },
  },
  {
    added_tokens: [{ id: 0, content: '[UNK]', special: true }],
    normalizer: { type: 'BertNormalizer', clean_text: true, handle_chinese_chars: true, lowercase: true },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: { type: 'BertProcessing', sep: ['[UNK]', 0], cls: ['[UNK]', 0] },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: { type: 'WordPiece', unk_token: '[UNK]', continuing_subword_prefix: '##', vocab: { '[UNK]': 0, a: 1, '##b': 2 } },
  },
  {
    pre_tokenizer: { type: 'Metaspace', replacement: '\u2581', prepend_scheme: 'first' },
    decoder: {
      type: 'Sequence',
      decoders: [{ type: 'Metaspace' }, { type: 'ByteFallback' }, { type: 'Fuse' }, { type: 'Strip', content: ' ', start: 1, stop: 0 }],
    },
    model: {
      type: 'Unigram',
      unk_id: 0,
      vocab: [
        ['<unk>', 0],
        ['\u2581a', -1],
        ['b', -2],
      ],
    },
  },
];
const odd: readonly unknown[] = [
  null,
  true,
  -1,
  0.5,
  2 ** 31,
  1e308,
  '',
  'a',
  '\u0000',
  '(',
  '__proto__',
  '[^',
  [],
  {},
  [[]],
  { type: 'Sequence' },
  [null],
  '\ud800',
];

/**
 * Broken tokenizers, `count` of each kind: a tokenizer.json with a letter or a value exchanged, GGUF metadata with a field exchanged, a tokenizer.bin
 * with bytes exchanged. Each either works or is refused by an error that names its source; how many worked.
 */
export function fuzzTokenizers(count: number, seed: number): number {
  let state = seed >>> 0;
  const random = (below: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  const pick = <T>(list: readonly T[]): T => list[random(list.length)];
  const values = [...gguf.bytes('gpt-2')];
  const small = values.map(([key, value]): [string, unknown] => [
    key,
    Array.isArray(value) ? value.slice(0, key.endsWith('merges') ? 9 : 300) : value,
  ]);
  const pieces: [string, unknown][] = [...gguf.pieces()].map(([key, value]) => [key, Array.isArray(value) ? value.slice(0, 300) : value]);
  const bin = new Uint8Array(4 + 300 * 9).fill(0);
  for (let i = 0; i < 300; i++) bin.set([0, 0, 0, 0, 1, 0, 0, 0, 97 + (i % 26)], 4 + 9 * i);
  const kinds: readonly (() => PreTrainedTokenizer)[] = [
    () => {
      const text = JSON.stringify(pick(seeds));
      const at = random(text.length);
      const changed = text.slice(0, at) + pick([...'{}[]":,0-9abnul\\+*?']) + text.slice(at + random(3));
      let json: unknown;
      try {
        json = JSON.parse(changed);
      } catch {
        // Files that are no JSON are refused by the one who reads them.
        json = null;
      }
      return new PreTrainedTokenizer(tokenizerParts(json, {}, 'FUZZ'));
    },
    () => {
      const json = structuredClone(pick(seeds)) as Record<string, unknown>;
      const config: Record<string, unknown> = { eos_token: '<|end|>', clean_up_tokenization_spaces: true };
      const exchange = (node: unknown): void => {
        if (typeof node !== 'object' || node === null || Object.keys(node).length === 0) return;
        const key = pick(Object.keys(node));
        const fields = node as Record<string, unknown>;
        if (typeof fields[key] === 'object' && fields[key] !== null && random(4) > 0) exchange(fields[key]);
        else fields[key] = structuredClone(pick(odd));
      };
      for (let i = random(3); i >= 0; i--) exchange(random(6) === 0 ? config : json);
      return new PreTrainedTokenizer(tokenizerParts(json, config, 'FUZZ'));
    },
    () => {
      const fields = new Map(pick([small, pieces]));
      const key = pick([...fields.keys()]);
      const value = fields.get(key);
      if (Array.isArray(value) && random(2) === 0) fields.set(key, [...value.slice(0, 299), structuredClone(pick(odd))]);
      else fields.set(key, structuredClone(pick(odd)));
      return tokenizerFromGguf(fields, 'FUZZ');
    },
    () => {
      const bytes = Uint8Array.from(bin);
      for (let i = random(3); i >= 0; i--) bytes[random(bytes.length)] = random(256);
      return llama2cTokenizer(random(2) === 0 ? bytes : bytes.subarray(0, random(bytes.length)), 'FUZZ');
    },
  ];
  let works = 0;
  const { warn } = console;
  // The library remarks on patterns that it does not know.
  console.warn = () => undefined;
  for (let i = 0; i < count; i++)
    for (const make of kinds)
      try {
        const tokenizer = make();
        const ids = tokenizer.encode('ab a<|end|> 12 x\u0301\ud83d\ude00');
        tokenizer.decode(ids, { skip_special_tokens: i % 2 === 0 });
        works++;
      } catch (error) {
        if (!(error instanceof Error) || !error.message.includes('FUZZ')) throw error;
      }
  console.warn = warn;
  return works;
}

/**
 * Tokenizers that come without a `tokenizer.json`: the one inside a GGUF file, and llama2.c's `tokenizer.bin`. Both become one, for the same library.
 *
 * GGUF knows several kinds; here are `llama` (SentencePiece's BPE by scores) and `gpt2` (byte-level BPE by merges, with the ways of cutting text
 * into words that `tokenizer-bytes.ts` lists). Another kind is named in the error. Metadata is somebody else's: every list is checked.
 * https://github.com/ggml-org/ggml/blob/master/docs/gguf.md#tokenizer
 */
import { readFileSync } from 'node:fs';
import { GgufArray } from '../serialize/gguf/array.ts';
import type { Json } from './config-fields.ts';
import { PreTrainedTokenizer } from './tokenizer.ts';
import {
  type AddedTokenJson,
  byteLevelTokenizer,
  type PreTokenizerName,
  type PreTokenizerRules,
  preTokenizers,
} from './tokenizer-bytes.ts';
import { tokenizerParts } from './tokenizer-parts.ts';
import { sentencePieceTokenizer } from './tokenizer-sentencepiece.ts';

/** Of a list: eight times the largest vocabulary. */
const mostEntries = 1 << 21;

/** `tokenizer.ggml.token_type`. */
const tokenTypes = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

const specialKeys = {
  bos_token: 'bos_token_id',
  eos_token: 'eos_token_id',
  unk_token: 'unknown_token_id',
  sep_token: 'seperator_token_id',
  pad_token: 'padding_token_id',
  cls_token: 'cls_token_id',
  mask_token: 'mask_token_id',
} as const;

/** The tokenizer of a GGUF file, from its metadata. `source`, the file's name, is for errors. */
export function tokenizerFromGguf(metadata: ReadonlyMap<string, unknown>, source = 'GGUF'): PreTrainedTokenizer {
  const read = new Metadata(metadata, source);
  const kind = read.text('model', null);
  const tokens = read.list('tokens', 'string', null);
  const types = read.list('token_type', 'number', tokens.length) ?? tokens.map(() => tokenTypes.normal);
  const special = new Map(
    Object.entries(specialKeys).flatMap(([name, key]): [string, string][] => {
      const id = read.id(key, tokens.length);
      return id === null ? [] : [[name, tokens[id]]];
    }),
  );
  const added = tokens.flatMap((content, id): AddedTokenJson[] => {
    const type = types[id];
    const special = type === tokenTypes.control || type === tokenTypes.unknown;
    return content !== '' && (special || type === tokenTypes.userDefined) ? [{ id, content, special }] : [];
  });
  const ends = (bosByDefault: boolean): { before: string[]; after: string[] } => {
    const [bos, eos] = [special.get('bos_token'), special.get('eos_token')];
    return {
      before: read.flag('add_bos_token', bosByDefault) && bos !== undefined ? [bos] : [],
      after: read.flag('add_eos_token', false) && eos !== undefined ? [eos] : [],
    };
  };
  const make = (): Json => {
    switch (kind) {
      case 'llama': {
        const scores = read.list('scores', 'number', tokens.length) ?? tokens.map((_, id) => -id);
        const isText = (id: number): boolean => types[id] === tokenTypes.normal || types[id] === tokenTypes.userDefined;
        const spacePrefix = read.flag('add_space_prefix', true);
        const unknown = special.get('unk_token') ?? null;
        return sentencePieceTokenizer({ pieces: tokens, scores, isText, added, unknown, spacePrefix, ...ends(true) });
      }
      case 'gpt2': {
        const pre = read.text('pre', 'default');
        if (!Object.hasOwn(preTokenizers, pre))
          throw new Error(
            `${source}: tokenizer.ggml.pre ${JSON.stringify(pre)} is not supported, only ${Object.keys(preTokenizers).join(', ')}`,
          );
        const name = pre as PreTokenizerName;
        const merges = read.list('merges', 'string', undefined);
        if (merges === null) throw read.missing('merges');
        const rules: PreTokenizerRules = preTokenizers[name];
        const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]));
        return byteLevelTokenizer({ vocab, merges, added, pre: name, ...ends(rules.bos ?? false) });
      }
      default:
        throw new Error(`${source}: tokenizer.ggml.model ${JSON.stringify(kind)} is not supported, only "llama" and "gpt2"`);
    }
  };
  const template = metadata.get('tokenizer.chat_template');
  const architecture = metadata.get('general.architecture');
  const length = typeof architecture === 'string' ? metadata.get(`${architecture}.context_length`) : undefined;
  const config = {
    ...Object.fromEntries(special),
    ...(typeof template === 'string' ? { chat_template: template } : {}),
    ...(typeof length === 'number' ? { model_max_length: length } : {}),
  };
  return new PreTrainedTokenizer(tokenizerParts(make(), config, source));
}

/** The fields under `tokenizer.ggml.`, by type. */
class Metadata {
  readonly #metadata: ReadonlyMap<string, unknown>;
  readonly #source: string;
  constructor(metadata: ReadonlyMap<string, unknown>, source: string) {
    this.#metadata = metadata;
    this.#source = source;
  }

  missing(key: string): Error {
    return new Error(`${this.#source}: no tokenizer.ggml.${key} in the metadata`);
  }
  text(key: string, fallback: string | null): string {
    const value = this.#get(key) ?? fallback;
    if (value === null) throw this.missing(key);
    if (typeof value !== 'string') throw this.#wrong(key, 'a string', value);
    return value;
  }
  flag(key: string, fallback: boolean): boolean {
    const value = this.#get(key) ?? fallback;
    if (typeof value !== 'boolean') throw this.#wrong(key, 'a boolean', value);
    return value;
  }
  id(key: string, count: number): number | null {
    const value = this.#get(key);
    if (value === undefined) return null;
    // -1, and the same in 32 bits without a sign, say that there is none.
    if (value === -1 || value === 0xffffffff) return null;
    if (!Number.isInteger(value) || (value as number) < 0 || (value as number) >= count)
      throw this.#wrong(key, `one of the ${count} tokens`, value);
    return value as number;
  }
  /** `length` null: the list must be there; a number: it has so many entries, where it is there. */
  list(key: string, type: 'string', length: null): readonly string[];
  list(key: string, type: 'string', length: number | undefined): readonly string[] | null;
  list(key: string, type: 'number', length: number): readonly number[] | null;
  list(key: string, type: 'string' | 'number', length: number | null | undefined): readonly unknown[] | null {
    const value = this.#get(key);
    if (value === undefined) {
      if (length === null) throw this.missing(key);
      return null;
    }
    const count = Array.isArray(value) || value instanceof GgufArray ? value.length : 0;
    if (count > mostEntries)
      throw new TypeError(`${this.#source}: tokenizer.ggml.${key} has ${count} entries, at most ${mostEntries} are read`);
    const list =
      value instanceof GgufArray
        ? value.toArray()
        : Array.isArray(value)
          ? (value as unknown[])
          : ArrayBuffer.isView(value)
            ? [...(value as Float32Array)]
            : null;
    if (list === null) throw this.#wrong(key, `a list of ${type}s`, value);
    const bad = list.findIndex((x) => typeof x !== type);
    if (bad >= 0) throw this.#wrong(`${key}[${bad}]`, `a ${type}`, list[bad]);
    if (typeof length === 'number' && list.length !== length)
      throw this.#wrong(key, `a list of ${length}, one for each token`, `${list.length} entries`);
    return list;
  }

  #get(key: string): unknown {
    return this.#metadata.get(`tokenizer.ggml.${key}`);
  }
  #wrong(key: string, expected: string, got: unknown): TypeError {
    const shown = JSON.stringify(got, (_, x: unknown) => (typeof x === 'bigint' ? `${x}` : x)) ?? String(got);
    return new TypeError(
      `${this.#source}: tokenizer.ggml.${key} should be ${expected}, got ${shown.length > 80 ? `${shown.slice(0, 77)}...` : shown}`,
    );
  }
}

/**
 * llama2.c's `tokenizer.bin` (`tok512.bin`): the length of the longest token, then score, length and bytes of each. Tokens 0, 1 and 2 are unknown,
 * BOS and EOS; the next 256 are bytes.
 * https://github.com/karpathy/llama2.c (tokenizer.py)
 */
export const tokenizerFromLlama2c = (file: string): PreTrainedTokenizer => llama2cTokenizer(readFileSync(file), file);

/** The tokens of such a file, spaces as U+2581, and their scores. */
export function readLlama2cVocabulary(bytes: Uint8Array, file: string): { readonly pieces: string[]; readonly scores: number[] } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const broken = (at: number, what: string): Error => new Error(`${file}: not a tokenizer of llama2.c: ${what} (byte ${at})`);
  const pieces: string[] = [];
  const scores: number[] = [];
  const utf8 = new TextDecoder('utf-8', { ignoreBOM: true });
  if (bytes.length < 4) throw broken(0, 'it is too small');
  for (let at = 4; at < bytes.length; ) {
    if (at + 8 > bytes.length) throw broken(at, `token ${pieces.length} is cut off`);
    const length = view.getInt32(at + 4, true);
    if (length < 0 || at + 8 + length > bytes.length) throw broken(at + 4, `token ${pieces.length} has ${length} bytes`);
    scores.push(view.getFloat32(at, true));
    pieces.push(utf8.decode(bytes.subarray(at + 8, at + 8 + length)).replaceAll(' ', '\u2581'));
    at += 8 + length;
  }
  if (pieces.length < firstText) throw broken(bytes.length, `${pieces.length} tokens, fewer than 3 and one for each byte`);
  return { pieces, scores };
}

/** Where the text begins: after three special tokens and one for each byte. */
const firstText = 3 + 256;

/** The same of bytes in memory. */
export function llama2cTokenizer(bytes: Uint8Array, file: string): PreTrainedTokenizer {
  const { pieces, scores } = readLlama2cVocabulary(bytes, file);
  pieces.splice(0, 3, '<unk>', '<s>', '</s>');
  const control = ['<unk>', '<s>', '</s>'];
  const json = sentencePieceTokenizer({
    ...{ pieces, scores, isText: (id) => id >= firstText, unknown: '<unk>', spacePrefix: true, before: ['<s>'], after: [] },
    added: control.map((content, id) => ({ id, content, special: true })),
  });
  return new PreTrainedTokenizer(tokenizerParts(json, { bos_token: '<s>', eos_token: '</s>', unk_token: '<unk>' }, file));
}

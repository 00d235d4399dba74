/**
 * The tokenizer files of a Hugging Face folder: `tokenizer.json`, or the older pair `vocab.json` and `merges.txt` of byte-level BPE, or the oldest,
 * BERT's `vocab.txt`; then `tokenizer_config.json`, `special_tokens_map.json`, and a chat template in a file of its own. A SentencePiece
 * `tokenizer.model` alone is not read: the error says so.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readJson } from './config.ts';
import { isJson, type Json } from './config-fields.ts';
import { byteLevelTokenizer } from './tokenizer-bytes.ts';
import { type TokenizerParts, tokenizerParts } from './tokenizer-parts.ts';

export function readTokenizerFolder(folder: string): TokenizerParts {
  const file = (name: string): string => join(folder, name);
  const optional = (name: string): Json => {
    if (!existsSync(file(name))) return {};
    const json = readJson(file(name));
    if (!isJson(json)) throw new TypeError(`${file(name)}: expected a JSON object`);
    return json;
  };
  const config = { ...optional('special_tokens_map.json'), ...withoutNulls(optional('tokenizer_config.json')) };
  const [json, source, defaults] = readModel(folder, config);
  const [jinja, templateJson] = [file('chat_template.jinja'), file('chat_template.json')];
  const inJson = optional('chat_template.json')['chat_template'];
  const template = existsSync(jinja)
    ? { text: readFileSync(jinja, 'utf8'), source: jinja }
    : typeof inJson === 'string'
      ? { text: inJson, source: templateJson }
      : null;
  return tokenizerParts(withConfiguredTokens(json, config), { ...defaults, ...config }, source, template, file('tokenizer_config.json'));
}

const withoutNulls = (json: Json): Json => Object.fromEntries(Object.entries(json).filter(([, value]) => value !== null));

/** The tokenizer, its file, and what transformers takes for granted where the older files do not say it. */
function readModel(folder: string, config: Json): [unknown, string, Json] {
  const [whole, vocab, merges, words] = ['tokenizer.json', 'vocab.json', 'merges.txt', 'vocab.txt'].map((name) => join(folder, name));
  if (existsSync(whole)) return [readJson(whole), whole, {}];
  if (existsSync(vocab) && existsSync(merges)) {
    const json = readJson(vocab);
    if (!isJson(json)) throw new TypeError(`${vocab}: expected an object of tokens`);
    const lines = readFileSync(merges, 'utf8')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#version'));
    const end = '<|endoftext|>';
    const defaults: Json = Object.hasOwn(json, end) ? { bos_token: end, eos_token: end, unk_token: end } : {};
    const special = Object.values({ ...defaults, ...config })
      .map((value) => (isJson(value) ? value['content'] : value))
      .filter((token): token is string => typeof token === 'string' && typeof json[token] === 'number');
    const added = [...new Set(special)].map((content) => ({ id: json[content] as number, content, special: true }));
    return [byteLevelTokenizer({ vocab: json, merges: lines, added, pre: 'gpt-2', before: [], after: [] }), vocab, defaults];
  }
  if (existsSync(words)) return [wordPieces(readFileSync(words, 'utf8'), config), words, bertDefaults];
  const sentencePiece = existsSync(join(folder, 'tokenizer.model')) ? '; tokenizer.model alone is not read, transformers converts it' : '';
  throw new Error(`no file named tokenizer.json (or vocab.json and merges.txt, or vocab.txt) found in directory ${folder}${sentencePiece}`);
}

const bertDefaults: Json = {
  ...{ tokenizer_class: 'BertTokenizer', pad_token: '[PAD]', unk_token: '[UNK]' },
  ...{ cls_token: '[CLS]', sep_token: '[SEP]', mask_token: '[MASK]' },
};

/** BERT's: a token a line. */
function wordPieces(text: string, config: Json): Json {
  const tokens = text.replace(/\r?\n$/, '').split(/\r?\n/);
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]));
  const special = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'].filter((token) => Object.hasOwn(vocab, token));
  const piece = (name: string, type_id: number): Json => ({ SpecialToken: { id: name, type_id } });
  const sequence = (id: string, type_id: number): Json => ({ Sequence: { id, type_id } });
  const lowercase = config['do_lower_case'] !== false;
  return {
    added_tokens: special.map((content) => ({ id: vocab[content], content, special: true })),
    normalizer: { type: 'BertNormalizer', clean_text: true, handle_chinese_chars: true, strip_accents: null, lowercase },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: {
      type: 'TemplateProcessing',
      single: [piece('[CLS]', 0), sequence('A', 0), piece('[SEP]', 0)],
      pair: [piece('[CLS]', 0), sequence('A', 0), piece('[SEP]', 0), sequence('B', 1), piece('[SEP]', 1)],
    },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: { type: 'WordPiece', unk_token: '[UNK]', continuing_subword_prefix: '##', max_input_chars_per_word: 100, vocab },
  };
}

/** Added tokens that only `tokenizer_config.json` has. */
function withConfiguredTokens(json: unknown, config: Json): unknown {
  const extra = config['added_tokens_decoder'];
  if (!isJson(json) || !isJson(extra)) return json;
  const added = Array.isArray(json['added_tokens']) ? (json['added_tokens'] as unknown[]) : [];
  const known = new Set(added.map((token) => (isJson(token) ? token['content'] : null)));
  const missing = Object.entries(extra)
    .filter(([, token]) => isJson(token) && !known.has(token['content']))
    .map(([id, token]) => ({ ...(token as Json), id: Number(id) }));
  return { ...json, added_tokens: [...added, ...missing] };
}

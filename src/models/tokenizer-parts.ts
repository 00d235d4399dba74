/**
 * What a tokenizer is made of, wherever it comes from: a `tokenizer.json`, options, names of special tokens. All of it is somebody else's, so it is
 * checked here, before the library that runs it sees it: a vocabulary of whole numbers that lie close together, merges of two pieces, added tokens
 * with content. An error names the file and the field.
 */
import { isJson, type Json } from './config-fields.ts';

export const specialTokenNames = ['bos_token', 'eos_token', 'unk_token', 'sep_token', 'pad_token', 'cls_token', 'mask_token'] as const;
export type SpecialTokenName = (typeof specialTokenNames)[number];

export interface TokenizerParts {
  /** `tokenizer.json`. */
  readonly json: Json;
  /** What `tokenizer_config.json` says. */
  readonly config: Json;
  readonly specialTokens: ReadonlyMap<SpecialTokenName, string>;
  readonly chatTemplate: string | null;
  /** The file that it is in, for errors. */
  readonly chatTemplateSource: string;
  readonly maxLength: number;
  readonly paddingSide: 'left' | 'right';
  readonly truncationSide: 'left' | 'right';
  /** The model wants `token_type_ids`. */
  readonly typeIds: boolean;
  readonly cleansUp: boolean;
  readonly decodesInPieces: boolean;
  /** For errors. */
  readonly source: string;
}

/** Models have at most a few hundred thousand tokens. */
const largestId = 2 ** 24;

/** `chatTemplate` is that of a file of its own; else it is the config's, which is in `configSource`. */
export function tokenizerParts(
  json: unknown,
  config: Json,
  source: string,
  chatTemplate: { readonly text: string; readonly source: string } | null = null,
  configSource = source,
): TokenizerParts {
  const checked = checkTokenizer(json, source);
  const model = checked['model'] as Json;
  const maxLength = config['model_max_length'];
  const name = typeof config['tokenizer_class'] === 'string' ? config['tokenizer_class'] : '';
  const inputs = config['model_input_names'];
  const side = (field: string): 'left' | 'right' => (config[field] === 'left' ? 'left' : 'right');
  return {
    json: checked,
    // Only what the library reads, and only what it can: a hostile config should not reach it.
    config: {
      clean_up_tokenization_spaces: false,
      ...(typeof config['eos_token'] === 'string' ? { eos_token: config['eos_token'] } : {}),
      ...(config['remove_space'] === true ? { remove_space: true } : {}),
      ...(config['do_lowercase_and_remove_accent'] === true ? { do_lowercase_and_remove_accent: true } : {}),
    },
    specialTokens: specialTokensOf(config),
    chatTemplate: chatTemplate?.text ?? chatTemplateOf(config['chat_template']),
    chatTemplateSource: chatTemplate?.source ?? configSource,
    maxLength: typeof maxLength === 'number' && maxLength > 0 && maxLength < 2 ** 40 ? maxLength : Number.POSITIVE_INFINITY,
    paddingSide: side('padding_side'),
    truncationSide: side('truncation_side'),
    typeIds: Array.isArray(inputs)
      ? inputs.includes('token_type_ids')
      : /^(Bert|DistilBert$|Electra|ConvBert|MobileBert|Funnel)/.test(name),
    cleansUp: config['clean_up_tokenization_spaces'] === true && model['type'] !== 'BPE',
    decodesInPieces: inPieces(checked['decoder']),
    source,
  };
}

function specialTokensOf(config: Json): Map<SpecialTokenName, string> {
  const tokens = new Map<SpecialTokenName, string>();
  for (const name of specialTokenNames) {
    const value = config[name];
    const text = isJson(value) ? value['content'] : value;
    if (typeof text === 'string' && text !== '') tokens.set(name, text);
  }
  return tokens;
}

/** A text, or a list of named ones, of which `default` is taken. */
function chatTemplateOf(value: unknown): string | null {
  if (typeof value === 'string') return value;
  const named = Array.isArray(value) ? (value as unknown[]).filter(isJson) : [];
  const template = (named.find((one) => one['name'] === 'default') ?? named[0])?.['template'];
  return typeof template === 'string' ? template : null;
}

/** Decoders whose text is the sum of its tokens' texts, but for the first token and for bytes. */
const decodersInPieces = ['ByteLevel', 'WordPiece', 'Metaspace', 'Replace', 'ByteFallback', 'Fuse', 'Strip'];
function inPieces(decoder: unknown): boolean {
  if (decoder === null) return false;
  const { type, decoders } = decoder as Json;
  if (type === 'Sequence') return Array.isArray(decoders) && decoders.every(inPieces);
  // Spaces at the end of the whole text are not known before it ends.
  if (type === 'Strip') return ((decoder as Json)['stop'] ?? 0) === 0;
  return decodersInPieces.includes(type as string);
}

/** The fields that the library reads, each of the type that it takes for granted. */
function checkTokenizer(json: unknown, source: string): Json {
  const wrong = (field: string, expected: string): TypeError => new TypeError(`${source}: "${field}" should be ${expected}`);
  if (!isJson(json)) throw new TypeError(`${source}: expected a JSON object`);
  const model = json['model'];
  if (!isJson(model)) throw wrong('model', 'an object');
  const vocab = model['vocab'];
  const ids = new Set<number>();
  const addId = (id: unknown, token: string): void => {
    if (!Number.isInteger(id) || (id as number) < 0 || (id as number) > largestId)
      throw wrong(
        'model.vocab',
        `tokens with whole numbers from 0 to ${largestId}, but ${JSON.stringify(token)} has ${JSON.stringify(id)}`,
      );
    ids.add(id as number);
  };
  if (Array.isArray(vocab)) {
    const bad = vocab.findIndex((x) => !Array.isArray(x) || typeof x[0] !== 'string' || typeof x[1] !== 'number');
    if (bad >= 0) throw wrong(`model.vocab[${bad}]`, 'a token and its score');
  } else if (isJson(vocab)) {
    for (const token of Object.keys(vocab)) addId(vocab[token], token);
  } else throw wrong('model.vocab', 'an object of tokens, or a list of tokens and scores');
  const type = model['type'];
  const merges = model['merges'];
  if (type === 'BPE' || merges !== undefined) {
    if (!Array.isArray(merges)) throw wrong('model.merges', 'a list');
    const lists = Array.isArray(merges[0]);
    const good = (x: unknown): boolean =>
      lists
        ? Array.isArray(x) && x.length === 2 && typeof x[0] === 'string' && typeof x[1] === 'string'
        : typeof x === 'string' && x.includes(' ');
    const bad = merges.findIndex((x) => !good(x));
    if (bad >= 0) throw wrong(`model.merges[${bad}]`, 'two pieces');
  }
  for (const field of ['normalizer', 'pre_tokenizer', 'post_processor', 'decoder'] as const) {
    const part = json[field] ?? null;
    if (part !== null && !isJson(part)) throw wrong(field, 'an object or null');
  }
  const added = json['added_tokens'] ?? [];
  if (!Array.isArray(added)) throw wrong('added_tokens', 'a list');
  added.forEach((token: unknown, i) => {
    if (!isJson(token) || typeof token['content'] !== 'string' || token['content'] === '')
      throw wrong(`added_tokens[${i}]`, 'a token with "id" and "content"');
    addId(token['id'], token['content']);
  });
  return {
    ...json,
    added_tokens: added,
    normalizer: json['normalizer'] ?? null,
    pre_tokenizer: json['pre_tokenizer'] ?? null,
    post_processor: json['post_processor'] ?? null,
    decoder: json['decoder'] ?? null,
  };
}

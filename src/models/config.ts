/**
 * Model configurations: transformers' `config.json` in its old and its new form, with transformers' field names and defaults.
 *
 * `gpt2Config({ n_layer: 2 })` makes one from a few fields; `readConfig(DIR)` takes the one of a folder. What this library does not
 * use stays in `json`, so that `save_pretrained` writes back what it was given.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DType, dtypeByName } from '../dtype/dtype.ts';
import { ConfigFields, isJson, type Json } from './config-fields.ts';
import { type RopeParameters, ropeParameters } from './rope.ts';

interface CommonConfig {
  readonly vocab_size: number;
  readonly tie_word_embeddings: boolean;
  readonly initializer_range: number;
  readonly bos_token_id: number | null;
  /** A model may have several. */
  readonly eos_token_id: readonly number[];
  readonly pad_token_id: number | null;
  /** The dtype of the weights in the file, where the config says it. */
  readonly dtype: DType | null;
  /** All fields as they were read. */
  readonly json: Json;
}

export interface GPT2Config extends CommonConfig {
  readonly model_type: 'gpt2';
  readonly n_positions: number;
  readonly n_embd: number;
  readonly n_layer: number;
  readonly n_head: number;
  readonly n_inner: number;
  readonly activation_function: Activation;
  readonly resid_pdrop: number;
  readonly embd_pdrop: number;
  readonly attn_pdrop: number;
  readonly layer_norm_epsilon: number;
  readonly scale_attn_weights: boolean;
  readonly scale_attn_by_inverse_layer_idx: boolean;
}

export interface BertConfig extends CommonConfig {
  readonly model_type: 'bert';
  readonly hidden_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly intermediate_size: number;
  readonly hidden_act: Activation;
  readonly hidden_dropout_prob: number;
  readonly attention_probs_dropout_prob: number;
  readonly max_position_embeddings: number;
  readonly type_vocab_size: number;
  readonly layer_norm_eps: number;
  readonly num_labels: number;
}

export type LlamaModelType = 'llama' | 'mistral' | 'qwen2' | 'qwen3';

/** Llama and its relatives; what distinguishes them is spelled out. */
export interface LlamaConfig extends CommonConfig {
  readonly model_type: LlamaModelType;
  readonly hidden_size: number;
  readonly intermediate_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly num_key_value_heads: number;
  readonly head_dim: number;
  readonly hidden_act: Activation;
  readonly max_position_embeddings: number;
  readonly rms_norm_eps: number;
  readonly rope: RopeParameters;
  /** Biases of the query, key and value projections. */
  readonly qkv_bias: boolean;
  /** The bias of the output projection. */
  readonly output_bias: boolean;
  readonly mlp_bias: boolean;
  /** Queries and keys are normalized head by head (Qwen3). */
  readonly qk_norm: boolean;
  readonly attention_dropout: number;
  /** How many tokens a layer looks back, itself included; null: all. One a layer. */
  readonly windows: readonly (number | null)[];
}

export type ModelConfig = GPT2Config | BertConfig | LlamaConfig;

const activations = ['gelu', 'gelu_new', 'gelu_pytorch_tanh', 'relu', 'silu', 'swish', 'tanh'] as const;
export type Activation = (typeof activations)[number];

/** Sizes only: a file with more layers than this is no file. */
const mostLayers = 10_000;

function common(fields: ConfigFields, tied: boolean): CommonConfig {
  const dtypeName = fields.get('dtype', 'torch_dtype');
  const dtype = typeof dtypeName === 'string' ? (dtypeByName(dtypeName.replace(/^torch\./, '')) ?? null) : null;
  return {
    vocab_size: fields.size('vocab_size'),
    tie_word_embeddings: fields.boolean('tie_word_embeddings', tied),
    initializer_range: fields.positive('initializer_range', 0.02),
    bos_token_id: fields.token('bos_token_id'),
    eos_token_id: fields.tokens('eos_token_id'),
    pad_token_id: fields.token('pad_token_id'),
    dtype,
    json: fields.json,
  };
}

function layerCount(fields: ConfigFields, name: string, fallback: number): number {
  const count = fields.size(name, fallback);
  if (count > mostLayers) throw fields.error(name, `at most ${mostLayers}`, count);
  return count;
}

function checkHeads(fields: ConfigFields, width: string, heads: string, of: { readonly width: number; readonly heads: number }): void {
  if (of.width % of.heads !== 0)
    throw new TypeError(`${fields.file}: "${width}" should be divisible by "${heads}", got ${of.width} and ${of.heads}`);
}

const fieldsFrom = (json: Json, file: string, defaults: Json): ConfigFields => new ConfigFields({ ...defaults, ...json }, file);

/** https://huggingface.co/docs/transformers/model_doc/gpt2#transformers.GPT2Config */
export function gpt2Config(json: Json = {}, file = 'GPT2Config'): GPT2Config {
  const fields = fieldsFrom(json, file, { model_type: 'gpt2', vocab_size: 50257, bos_token_id: 50256, eos_token_id: 50256 });
  const n_embd = fields.size(['n_embd', 'hidden_size'], 768);
  const n_head = fields.size(['n_head', 'num_attention_heads'], 12);
  checkHeads(fields, 'n_embd', 'n_head', { width: n_embd, heads: n_head });
  if (fields.boolean('add_cross_attention', false)) throw fields.error('add_cross_attention', 'false', true);
  return {
    ...common(fields, true),
    model_type: 'gpt2',
    n_positions: fields.size(['n_positions', 'max_position_embeddings'], 1024),
    n_embd,
    n_layer: layerCount(fields, 'n_layer', 12),
    n_head,
    n_inner: fields.optionalSize('n_inner') ?? 4 * n_embd,
    activation_function: fields.oneOf('activation_function', activations, 'gelu_new'),
    resid_pdrop: fields.probability('resid_pdrop', 0.1),
    embd_pdrop: fields.probability('embd_pdrop', 0.1),
    attn_pdrop: fields.probability('attn_pdrop', 0.1),
    layer_norm_epsilon: fields.positive('layer_norm_epsilon', 1e-5),
    scale_attn_weights: fields.boolean('scale_attn_weights', true),
    scale_attn_by_inverse_layer_idx: fields.boolean('scale_attn_by_inverse_layer_idx', false),
  };
}

/** https://huggingface.co/docs/transformers/model_doc/bert#transformers.BertConfig */
export function bertConfig(json: Json = {}, file = 'BertConfig'): BertConfig {
  const fields = fieldsFrom(json, file, { model_type: 'bert', vocab_size: 30522 });
  const hidden_size = fields.size('hidden_size', 768);
  const num_attention_heads = fields.size('num_attention_heads', 12);
  checkHeads(fields, 'hidden_size', 'num_attention_heads', { width: hidden_size, heads: num_attention_heads });
  const positions = fields.text('position_embedding_type', 'absolute');
  if (positions !== 'absolute') throw fields.error('position_embedding_type', '"absolute"', positions);
  if (fields.boolean('is_decoder', false)) throw fields.error('is_decoder', 'false', true);
  const labels = fields.get('id2label');
  return {
    ...common(fields, true),
    model_type: 'bert',
    // transformers' default; a config that says null means none.
    pad_token_id: Object.hasOwn(json, 'pad_token_id') ? fields.token('pad_token_id') : 0,
    hidden_size,
    num_hidden_layers: layerCount(fields, 'num_hidden_layers', 12),
    num_attention_heads,
    intermediate_size: fields.size('intermediate_size', 3072),
    hidden_act: fields.oneOf('hidden_act', activations, 'gelu'),
    hidden_dropout_prob: fields.probability('hidden_dropout_prob', 0.1),
    attention_probs_dropout_prob: fields.probability('attention_probs_dropout_prob', 0.1),
    max_position_embeddings: fields.size('max_position_embeddings', 512),
    type_vocab_size: fields.size('type_vocab_size', 2),
    layer_norm_eps: fields.positive('layer_norm_eps', 1e-12),
    num_labels: isJson(labels) ? Object.keys(labels).length : fields.size('num_labels', 2),
  };
}

/** What transformers' classes assume where the config is silent. */
const llamaDefaults: Readonly<Record<LlamaModelType, Json>> = {
  llama: { vocab_size: 32000, hidden_size: 4096, intermediate_size: 11008, num_attention_heads: 32, max_position_embeddings: 2048 },
  mistral: {
    ...{ vocab_size: 32000, hidden_size: 4096, intermediate_size: 14336, num_attention_heads: 32, num_key_value_heads: 8 },
    ...{ max_position_embeddings: 131072, sliding_window: 4096 },
  },
  qwen2: { vocab_size: 151936, hidden_size: 4096, intermediate_size: 22016, num_attention_heads: 32, max_position_embeddings: 32768 },
  qwen3: {
    ...{ vocab_size: 151936, hidden_size: 4096, intermediate_size: 22016, num_attention_heads: 32, head_dim: 128 },
    ...{ max_position_embeddings: 32768 },
  },
};

/** https://huggingface.co/docs/transformers/model_doc/llama#transformers.LlamaConfig and those of Mistral, Qwen2 and Qwen3. */
export function llamaConfig(json: Json = {}, file = 'LlamaConfig'): LlamaConfig {
  const model_type = new ConfigFields(json, file).oneOf('model_type', ['llama', 'mistral', 'qwen2', 'qwen3'], 'llama');
  const fields = fieldsFrom(json, file, llamaDefaults[model_type]);
  const hidden_size = fields.size('hidden_size');
  const num_attention_heads = fields.size('num_attention_heads');
  const num_key_value_heads = fields.size('num_key_value_heads', num_attention_heads);
  if (fields.get('head_dim') === undefined)
    checkHeads(fields, 'hidden_size', 'num_attention_heads', { width: hidden_size, heads: num_attention_heads });
  checkHeads(fields, 'num_attention_heads', 'num_key_value_heads', { width: num_attention_heads, heads: num_key_value_heads });
  const head_dim = fields.size('head_dim', Math.floor(hidden_size / num_attention_heads));
  if (head_dim % 2 !== 0) throw fields.error('head_dim', 'even', head_dim);
  const bias = fields.boolean('attention_bias', false);
  const max_position_embeddings = fields.size('max_position_embeddings');
  const num_hidden_layers = layerCount(fields, 'num_hidden_layers', 32);
  return {
    ...common(fields, false),
    model_type,
    hidden_size,
    intermediate_size: fields.size('intermediate_size'),
    num_hidden_layers,
    num_attention_heads,
    num_key_value_heads,
    head_dim,
    hidden_act: fields.oneOf('hidden_act', activations, 'silu'),
    max_position_embeddings,
    rms_norm_eps: fields.positive('rms_norm_eps', 1e-6),
    rope: ropeParameters(fields, { rope_theta: 10000, head_dim, max_position_embeddings }),
    qkv_bias: model_type === 'qwen2' || (model_type !== 'mistral' && bias),
    output_bias: (model_type === 'llama' || model_type === 'qwen3') && bias,
    mlp_bias: model_type === 'llama' && fields.boolean('mlp_bias', false),
    qk_norm: model_type === 'qwen3',
    attention_dropout: fields.probability('attention_dropout', 0),
    windows: windowsOf(fields, model_type, num_hidden_layers),
  };
}

/** Mistral: every layer has the window. Qwen: `use_sliding_window`, and the layers that `layer_types` or `max_window_layers` says. */
function windowsOf(fields: ConfigFields, model: LlamaModelType, layers: number): readonly (number | null)[] {
  const size = fields.optionalSize('sliding_window');
  const all = Array.from({ length: layers }, (_, i) => i);
  if (model === 'llama' || size === null) return all.map(() => null);
  if (model === 'mistral') return all.map(() => size);
  if (!fields.boolean('use_sliding_window', false)) return all.map(() => null);
  const types = fields.get('layer_types');
  if (types === undefined) {
    const from = fields.number('max_window_layers', 28);
    return all.map((i) => (i >= from ? size : null));
  }
  if (!Array.isArray(types) || types.length !== layers) throw fields.error('layer_types', `a list of ${layers}`, types);
  return types.map((type: unknown) => {
    if (type !== 'full_attention' && type !== 'sliding_attention')
      throw fields.error('layer_types', 'full_attention or sliding_attention', type);
    return type === 'sliding_attention' ? size : null;
  });
}

/** From the fields of a `config.json`: by `model_type`, or by the architecture's name where that is missing. */
export function configFrom(json: unknown, file: string): ModelConfig {
  const fields = new ConfigFields(json, file);
  const type = fields.text(
    'model_type',
    architectureOf(fields.json)
      ?.match(/^(GPT2|Bert|Llama|Mistral|Qwen2|Qwen3)/)?.[1]
      ?.toLowerCase(),
  );
  switch (type) {
    case 'gpt2':
      return gpt2Config(fields.json, file);
    case 'bert':
      return bertConfig(fields.json, file);
    case 'llama':
    case 'mistral':
    case 'qwen2':
    case 'qwen3':
      return llamaConfig({ ...fields.json, model_type: type }, file);
    default:
      throw new TypeError(`${file}: model type ${JSON.stringify(type)} is not among gpt2, bert, llama, mistral, qwen2, qwen3`);
  }
}

/** The first name of `architectures`. */
export function architectureOf(json: Json): string | undefined {
  const list = json['architectures'];
  const first: unknown = Array.isArray(list) ? list[0] : undefined;
  return typeof first === 'string' ? first : undefined;
}

/** The `config.json` of a folder. */
export function readConfig(folder: string): ModelConfig {
  const file = join(folder, 'config.json');
  return configFrom(readJson(file), file);
}

/** A JSON file; what is wrong with its text is said with its name. */
export function readJson(file: string): unknown {
  const text = readFileSync(file, 'utf8');
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new SyntaxError(`${file}: ${(error as Error).message}`);
  }
}

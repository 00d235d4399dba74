/**
 * What a GGUF file's metadata say about a model: its config in transformers' terms, and which tensor belongs in which module, in which shape.
 *
 * GGUF has names of its own for everything; here is the translation, as data, for the architectures `llama` (Llama, Mistral, SmolLM), `qwen2`, `qwen3`
 * and `gpt2`. Everything follows from the metadata and is compared with the file's table of tensors before a module is made, so a file that
 * lies about its sizes costs an error and no memory. What would be computed otherwise (experts, partial rotary positions) is refused.
 *
 * Names: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 */
import { GgufArray } from '../serialize/gguf/array.ts';
import type { GgufFile } from '../serialize/gguf/index.ts';
import { GgufError, type GgufValue } from '../serialize/gguf/values.ts';
import { type GPT2Config, gpt2Config, type LlamaConfig, llamaConfig } from './config.ts';
import type { Json } from './config-fields.ts';

/** Where a tensor goes. */
export interface GgufPlace {
  /** The module, by its path, and its field. */
  readonly module: string;
  readonly field: 'weight' | 'bias';
  readonly shape: readonly number[];
  /** Heads whose rows are pairs (2 i, 2 i + 1) in the file and (i, i + half) in transformers. */
  readonly rotary?: number;
}

export interface GgufModelPlan {
  readonly config: LlamaConfig | GPT2Config;
  /** By the tensor's name. */
  readonly places: ReadonlyMap<string, GgufPlace>;
  /** `bos_token_id`, `eos_token_id`, `pad_token_id`. */
  readonly generation: Json;
}

export const ggufArchitectures = ['llama', 'qwen2', 'qwen3', 'gpt2'] as const;
type Architecture = (typeof ggufArchitectures)[number];

/** Throws {@link GgufError} for a model that is not understood, one that lacks tensors, or has others than it should. */
export function planGguf(gguf: GgufFile): GgufModelPlan {
  const keys = new Keys(gguf);
  const plan = keys.architecture === 'gpt2' ? planGpt2(keys) : planLlama(keys, keys.architecture);
  checkTensors(plan, gguf);
  return { ...plan, generation: keys.tokens() };
}

/** The metadata of one architecture, key by key. */
class Keys {
  readonly gguf: GgufFile;
  readonly architecture: Architecture;

  constructor(gguf: GgufFile) {
    this.gguf = gguf;
    const found = gguf.metadata.get('general.architecture');
    const architecture = ggufArchitectures.find((name) => name === found);
    if (architecture === undefined)
      throw this.error('general.architecture', `architecture ${shown(found)} is not among ${ggufArchitectures.join(', ')}`);
    this.architecture = architecture;
    const parts = gguf.metadata.get('split.count');
    if (typeof parts === 'number' && parts > 1)
      throw this.error('split.count', `a model in ${parts} files: join them first (llama-gguf-split --merge)`);
  }

  error(key: string, problem: string): GgufError {
    return new GgufError(problem, this.gguf.file, { key });
  }
  /** The value of the architecture's own key. */
  get(key: string): GgufValue | undefined {
    const value = this.gguf.metadata.get(`${this.architecture}.${key}`);
    // Some sizes may be given layer by layer: equal ones are one size.
    if (!(value instanceof GgufArray)) return value;
    const first = value.at(0);
    for (const x of value) if (x !== first) return value;
    return first ?? value;
  }
  number(key: string): number | undefined;
  number(key: string, fallback: number): number;
  number(key: string, fallback?: number): number | undefined {
    const value = this.get(key) ?? fallback;
    if (value !== undefined && (typeof value !== 'number' || !Number.isFinite(value)))
      throw this.error(`${this.architecture}.${key}`, `a number is expected, got ${shown(value)}`);
    return value;
  }
  size(key: string, fallback?: number): number {
    const value = this.number(key) ?? fallback;
    if (value === undefined || !Number.isSafeInteger(value) || value < 1)
      throw this.error(`${this.architecture}.${key}`, `a positive integer is expected, got ${value === undefined ? 'nothing' : value}`);
    return value;
  }
  /** What this library would compute in another way. */
  refuse(key: string, unless: (value: GgufValue) => boolean, why: string): void {
    const value = this.get(key);
    if (value !== undefined && !unless(value))
      throw this.error(`${this.architecture}.${key}`, `${why} are not supported, got ${shown(value)}`);
  }
  shape(tensor: string): readonly number[] | undefined {
    return this.gguf.tensors.get(tensor)?.shape;
  }
  /** Rows of the embedding: not every file says the size of its vocabulary. */
  vocabulary(): number {
    const shape = this.shape('token_embd.weight');
    if (shape === undefined || shape.length !== 2)
      throw new GgufError(
        shape === undefined ? 'there is no such tensor' : `2 dims are expected, got [${shape.join(', ')}]`,
        this.gguf.file,
        {
          tensor: 'token_embd.weight',
        },
      );
    return shape[0];
  }
  /** A model of so many layers has more tensors than that. */
  layers(): number {
    const count = this.size('block_count');
    if (count > this.gguf.tensors.size)
      throw this.error(`${this.architecture}.block_count`, `${count} layers, but the file has ${this.gguf.tensors.size} tensors`);
    return count;
  }
  /** The special tokens that generation stops at, and others. */
  tokens(): Json {
    const id = (name: string): number[] => {
      const value = this.gguf.metadata.get(`tokenizer.ggml.${name}`);
      return typeof value === 'number' && Number.isInteger(value) && value >= 0 ? [value] : [];
    };
    const [bos, pad] = [id('bos_token_id'), id('padding_token_id')];
    const ends = [...new Set([...id('eos_token_id'), ...id('eot_token_id'), ...id('eom_token_id')])];
    return {
      ...(bos.length > 0 ? { bos_token_id: bos[0] } : {}),
      ...(ends.length > 0 ? { eos_token_id: ends } : {}),
      ...(pad.length > 0 ? { pad_token_id: pad[0] } : {}),
    };
  }
  /** Runs transformers' own checks of a config; what they say is said of this file. */
  config<T>(make: () => T): T {
    try {
      return make();
    } catch (error) {
      throw new GgufError((error as Error).message, this.gguf.file);
    }
  }
}

const shown = (value: GgufValue | undefined): string =>
  value === undefined
    ? 'nothing'
    : value instanceof GgufArray
      ? `an array of ${value.length}`
      : JSON.stringify(typeof value === 'bigint' ? String(value) : value).slice(0, 80);

type Plan = Omit<GgufModelPlan, 'generation'>;

function planLlama(keys: Keys, architecture: Exclude<Architecture, 'gpt2'>): Plan {
  const { gguf } = keys;
  const [hidden, heads] = [keys.size('embedding_length'), keys.size('attention.head_count')];
  const head_dim = keys.size('attention.key_length', Math.max(1, Math.floor(hidden / heads)));
  const same = (value: GgufValue): boolean => value === head_dim;
  keys.refuse('expert_count', (value) => value === 0, 'mixtures of experts');
  keys.refuse('attention.value_length', same, `values of another width than the keys' ${head_dim}`);
  keys.refuse('rope.dimension_count', same, `rotary positions of a part of a head's ${head_dim} channels`);
  const has = (name: string): boolean => gguf.tensors.has(name);
  const json = {
    ...{ model_type: architecture, vocab_size: keys.vocabulary(), hidden_size: hidden, num_attention_heads: heads, head_dim },
    intermediate_size: keys.size('feed_forward_length'),
    num_hidden_layers: keys.layers(),
    num_key_value_heads: keys.size('attention.head_count_kv', heads),
    max_position_embeddings: keys.size('context_length'),
    rms_norm_eps: keys.number('attention.layer_norm_rms_epsilon', 1e-5),
    rope_theta: keys.number('rope.freq_base', 10000),
    ...ropeScaling(keys),
    tie_word_embeddings: !has('output.weight'),
    attention_bias: has('blk.0.attn_q.bias') && has('blk.0.attn_output.bias'),
    mlp_bias: has('blk.0.ffn_up.bias'),
    ...keys.tokens(),
    dtype: 'float32',
  };
  const config: LlamaConfig = {
    ...keys.config(() => llamaConfig(json, gguf.file)),
    qkv_bias: has('blk.0.attn_q.bias'),
    output_bias: has('blk.0.attn_output.bias'),
    mlp_bias: has('blk.0.ffn_up.bias'),
    qk_norm: has('blk.0.attn_q_norm.weight'),
  };
  const [wide, narrow] = [heads * head_dim, config.num_key_value_heads * head_dim];
  const { vocab_size: vocabulary, intermediate_size: inner } = config;
  const paired = architecture === 'llama';
  const places = new Map<string, GgufPlace>();
  const add = (name: string, module: string, shape: readonly number[], bias: boolean, rotary?: number): void => {
    const turned = rotary === undefined || !paired ? {} : { rotary };
    places.set(`${name}.weight`, { module, field: 'weight', shape, ...turned });
    if (bias) places.set(`${name}.bias`, { module, field: 'bias', shape: [shape[0]], ...turned });
  };
  add('token_embd', 'model.embed_tokens', [vocabulary, hidden], false);
  for (let i = 0; i < config.num_hidden_layers; i++) {
    const [from, to] = [`blk.${i}`, `model.layers.${i}`];
    add(`${from}.attn_norm`, `${to}.input_layernorm`, [hidden], false);
    add(`${from}.attn_q`, `${to}.self_attn.q_proj`, [wide, hidden], config.qkv_bias, heads);
    add(`${from}.attn_k`, `${to}.self_attn.k_proj`, [narrow, hidden], config.qkv_bias, config.num_key_value_heads);
    add(`${from}.attn_v`, `${to}.self_attn.v_proj`, [narrow, hidden], config.qkv_bias);
    add(`${from}.attn_output`, `${to}.self_attn.o_proj`, [hidden, wide], config.output_bias);
    if (config.qk_norm) {
      add(`${from}.attn_q_norm`, `${to}.self_attn.q_norm`, [head_dim], false);
      add(`${from}.attn_k_norm`, `${to}.self_attn.k_norm`, [head_dim], false);
    }
    add(`${from}.ffn_norm`, `${to}.post_attention_layernorm`, [hidden], false);
    add(`${from}.ffn_gate`, `${to}.mlp.gate_proj`, [inner, hidden], config.mlp_bias);
    add(`${from}.ffn_up`, `${to}.mlp.up_proj`, [inner, hidden], config.mlp_bias);
    add(`${from}.ffn_down`, `${to}.mlp.down_proj`, [hidden, inner], config.mlp_bias);
  }
  add('output_norm', 'model.norm', [hidden], false);
  if (!config.tie_word_embeddings) add('output', 'lm_head', [vocabulary, hidden], false);
  return { config, places };
}

function ropeScaling(keys: Keys): Json {
  const found = keys.get('rope.scaling.type');
  const factor = keys.number('rope.scaling.factor') ?? keys.number('rope.scale_linear') ?? 1;
  const type = found ?? 'linear';
  if (type !== 'none' && type !== 'linear' && type !== 'yarn')
    throw keys.error(
      `${keys.architecture}.rope.scaling.type`,
      `rotary scaling ${shown(type)} is not supported, only none, linear and yarn`,
    );
  if (type === 'none' || factor === 1) return {};
  if (factor <= 0) throw keys.error(`${keys.architecture}.rope.scaling.factor`, `a positive number is expected, got ${factor}`);
  if (type === 'linear') return { rope_scaling: { rope_type: type, factor } };
  // GGUF's factor multiplies what the method prescribes, transformers' replaces it.
  const attention_factor = keys.number('rope.scaling.attn_factor', 1) * (factor <= 1 ? 1 : 0.1 * Math.log(factor) + 1);
  return {
    rope_scaling: {
      ...{ rope_type: type, factor, attention_factor },
      beta_fast: keys.number('rope.scaling.yarn_beta_fast', 32),
      beta_slow: keys.number('rope.scaling.yarn_beta_slow', 1),
      original_max_position_embeddings: keys.size('rope.scaling.original_context_length', keys.size('context_length')),
    },
  };
}

function planGpt2(keys: Keys): Plan {
  const width = keys.size('embedding_length');
  const inner = keys.size('feed_forward_length', 4 * width);
  const json = {
    ...{ model_type: 'gpt2', vocab_size: keys.vocabulary(), n_embd: width, n_inner: inner },
    n_layer: keys.layers(),
    n_head: keys.size('attention.head_count'),
    n_positions: keys.size('context_length'),
    layer_norm_epsilon: keys.number('attention.layer_norm_epsilon', 1e-5),
    tie_word_embeddings: !keys.gguf.tensors.has('output.weight'),
    ...keys.tokens(),
    dtype: 'float32',
  };
  const config = keys.config(() => gpt2Config(json, keys.gguf.file));
  const places = new Map<string, GgufPlace>();
  const add = (name: string, module: string, shape: readonly number[], bias = true): void => {
    places.set(`${name}.weight`, { module, field: 'weight', shape });
    if (bias) places.set(`${name}.bias`, { module, field: 'bias', shape: [shape[0]] });
  };
  add('token_embd', 'transformer.wte', [config.vocab_size, width], false);
  add('position_embd', 'transformer.wpe', [config.n_positions, width], false);
  for (let i = 0; i < config.n_layer; i++) {
    const [from, to] = [`blk.${i}`, `transformer.h.${i}`];
    add(`${from}.attn_norm`, `${to}.ln_1`, [width]);
    add(`${from}.attn_qkv`, `${to}.attn.c_attn`, [3 * width, width]);
    add(`${from}.attn_output`, `${to}.attn.c_proj`, [width, width]);
    add(`${from}.ffn_norm`, `${to}.ln_2`, [width]);
    add(`${from}.ffn_up`, `${to}.mlp.c_fc`, [inner, width]);
    add(`${from}.ffn_down`, `${to}.mlp.c_proj`, [width, inner]);
  }
  add('output_norm', 'transformer.ln_f', [width]);
  if (!config.tie_word_embeddings) add('output', 'lm_head', [config.vocab_size, width], false);
  return { config, places };
}

/** Factors of the rotary frequencies, and what old files hold besides. */
const ignored = /^rope_freqs\.weight$|^blk\.\d+\.attn_rot_embd$|^blk\.\d+\.attn\.(masked_)?bias$/;

function checkTensors({ config, places }: Plan, gguf: GgufFile): void {
  const quoted = (names: readonly string[]): string =>
    names
      .slice(0, 20)
      .map((name) => JSON.stringify(name))
      .join(', ') + (names.length > 20 ? `, and ${names.length - 20} more` : '');
  const errors: string[] = [];
  const missing = [...places.keys()].filter((name) => !gguf.tensors.has(name));
  const unexpected = [...gguf.tensors.keys()].filter((name) => !places.has(name) && !ignored.test(name));
  if (missing.length > 0) errors.push(`Missing tensor(s): ${quoted(missing)}.`);
  if (unexpected.length > 0) errors.push(`Unexpected tensor(s): ${quoted(unexpected)}.`);
  const wrong = [...places].filter(([name, { shape }]) => gguf.tensors.has(name) && gguf.tensors.get(name)!.shape.join() !== shape.join());
  for (const [name, { shape }] of wrong.slice(0, 20))
    errors.push(
      `size mismatch for ${name}: shape [${gguf.tensors.get(name)!.shape.join(', ')}] in the file, [${shape.join(', ')}] in the model.`,
    );
  if (errors.length > 0)
    throw new GgufError(`Error(s) in loading a model of type ${config.model_type}:\n\t${errors.join('\n\t')}`, gguf.file);
}

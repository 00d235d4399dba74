/**
 * Llama and its relatives Mistral, Qwen2, Qwen3 and SmolLM2: RMSNorm, rotary positions, grouped queries, a gated network.
 *
 * One class for all; the config says which projections have biases, whether queries and keys are normalized, and which layers look back only
 * so far. Modules and weights are named as in transformers' `LlamaForCausalLM`, `MistralForCausalLM`, `Qwen2ForCausalLM`, `Qwen3ForCausalLM`.
 * https://huggingface.co/docs/transformers/model_doc/llama
 */
import { ModuleList } from '../nn/container.ts';
import { functional } from '../nn/functional.ts';
import { Module } from '../nn/module.ts';
import { RMSNorm } from '../nn/normalization.ts';
import type { Tensor } from '../ops/methods.ts';
import { KVCache } from './cache.ts';
import type { LlamaConfig, LlamaModelType } from './config.ts';
import type { Positions } from './generate.ts';
import { Embedding, Linear } from './layers.ts';
import { causalVisibility, positionsFrom, type Visibility } from './masks.ts';
import { activate, type CausalLMOptions, keepLast, type LMOutput, languageModelLoss, PreTrainedModel } from './model.ts';
import { RotaryEmbedding, type Rotation, rotate } from './rope.ts';

interface Place {
  readonly cache: KVCache | null;
  readonly position: number;
  readonly rotation: Rotation;
  /** By window. */
  readonly visible: ReadonlyMap<number | null, Visibility>;
}

class LlamaAttention extends Module {
  readonly config: LlamaConfig;
  readonly layer: number;
  q_proj: Linear;
  k_proj: Linear;
  v_proj: Linear;
  o_proj: Linear;
  q_norm: RMSNorm | null;
  k_norm: RMSNorm | null;

  constructor(config: LlamaConfig, layer: number) {
    super();
    this.config = config;
    this.layer = layer;
    const { hidden_size, head_dim, rms_norm_eps: eps, initializer_range: deviation } = config;
    const wide = config.num_attention_heads * head_dim;
    const narrow = config.num_key_value_heads * head_dim;
    const options = { bias: config.qkv_bias, deviation };
    this.q_proj = new Linear(hidden_size, wide, options);
    this.k_proj = new Linear(hidden_size, narrow, options);
    this.v_proj = new Linear(hidden_size, narrow, options);
    this.o_proj = new Linear(wide, hidden_size, { bias: config.output_bias, deviation });
    this.q_norm = config.qk_norm ? new RMSNorm(head_dim, { eps }) : null;
    this.k_norm = config.qk_norm ? new RMSNorm(head_dim, { eps }) : null;
  }

  override forward(x: Tensor, { cache, position, rotation, visible }: Place): Tensor {
    const { num_attention_heads, num_key_value_heads, head_dim, windows, attention_dropout } = this.config;
    const [batch, length] = x.view_.shape;
    const window = windows[this.layer];
    const groups = num_attention_heads / num_key_value_heads;
    // The queries of one token that share a head of keys are so many rows for that head: keys and values need not be repeated, nothing transposed.
    const one = length === 1;
    const split = (t: Tensor, heads: number, rows: number): Tensor =>
      one ? t.view(batch, heads / rows, rows, head_dim) : t.view(batch, length, heads, head_dim).transpose(1, 2);
    const q0 = split(this.q_proj(x), num_attention_heads, groups);
    const k0 = split(this.k_proj(x), num_key_value_heads, 1);
    const v = split(this.v_proj(x), num_key_value_heads, 1);
    const q = rotate(this.q_norm === null ? q0 : this.q_norm(q0), rotation);
    const k = rotate(this.k_norm === null ? k0 : this.k_norm(k0), rotation);
    const [keys, values] = cache === null ? [k, v] : cache.update(this.layer, k, v, position, window);
    const { mask, is_causal } = visible.get(window)!;
    const dropout = this.training ? attention_dropout : 0;
    const attended =
      one || groups === 1
        ? functional.scaled_dot_product_attention(q, keys, values, mask, dropout, is_causal)
        : functional.scaled_dot_product_attention(q, keys, values, mask, dropout, is_causal, { enable_gqa: true });
    return this.o_proj((one ? attended : attended.transpose(1, 2)).reshape(batch, length, num_attention_heads * head_dim));
  }
}

class LlamaMLP extends Module {
  readonly activation: LlamaConfig['hidden_act'];
  gate_proj: Linear;
  up_proj: Linear;
  down_proj: Linear;

  constructor({ hidden_size, intermediate_size, mlp_bias: bias, hidden_act, initializer_range: deviation }: LlamaConfig) {
    super();
    this.activation = hidden_act;
    this.gate_proj = new Linear(hidden_size, intermediate_size, { bias, deviation });
    this.up_proj = new Linear(hidden_size, intermediate_size, { bias, deviation });
    this.down_proj = new Linear(intermediate_size, hidden_size, { bias, deviation });
  }

  override forward(x: Tensor): Tensor {
    return this.down_proj(activate(this.gate_proj(x), this.activation).mul(this.up_proj(x)));
  }
}

class LlamaDecoderLayer extends Module {
  self_attn: LlamaAttention;
  mlp: LlamaMLP;
  input_layernorm: RMSNorm;
  post_attention_layernorm: RMSNorm;

  constructor(config: LlamaConfig, layer: number) {
    super();
    const norm = { eps: config.rms_norm_eps };
    this.self_attn = new LlamaAttention(config, layer);
    this.mlp = new LlamaMLP(config);
    this.input_layernorm = new RMSNorm(config.hidden_size, norm);
    this.post_attention_layernorm = new RMSNorm(config.hidden_size, norm);
  }

  override forward(x: Tensor, place: Place): Tensor {
    const attended = x.add(this.self_attn(this.input_layernorm(x), place));
    return attended.add(this.mlp(this.post_attention_layernorm(attended)));
  }
}

const familyNames: Readonly<Record<LlamaModelType, string>> = { llama: 'Llama', mistral: 'Mistral', qwen2: 'Qwen2', qwen3: 'Qwen3' };

export class LlamaModel extends PreTrainedModel {
  declare readonly config: LlamaConfig;
  embed_tokens: Embedding;
  layers: ModuleList<LlamaDecoderLayer>;
  norm: RMSNorm;
  readonly rotary: RotaryEmbedding;

  constructor(config: LlamaConfig) {
    super(config);
    const { vocab_size, hidden_size, num_hidden_layers, pad_token_id, initializer_range: deviation } = config;
    this.embed_tokens = new Embedding(vocab_size, hidden_size, { padding_idx: pad_token_id, deviation });
    this.layers = new ModuleList(Array.from({ length: num_hidden_layers }, (_, layer) => new LlamaDecoderLayer(config, layer)));
    this.norm = new RMSNorm(hidden_size, { eps: config.rms_norm_eps });
    this.rotary = new RotaryEmbedding(config.rope, config.head_dim);
  }

  override architecture(): string {
    return `${familyNames[this.config.model_type]}Model`;
  }
  override basePrefix(): string {
    return '';
  }

  /** Tokens `[batch, length]`, int64, to hidden states `[batch, length, hidden_size]`. */
  override forward(input_ids: Tensor, options: CausalLMOptions = {}): Tensor {
    const { attention_mask = null, position_ids = null, cache = null, position = 0 } = options;
    const { device } = input_ids;
    const count = input_ids.size(1);
    let x = this.embed_tokens(input_ids);
    const visible = new Map(
      [...new Set(this.config.windows)].map((window) => [window, causalVisibility({ count, position, attention_mask, window, device })]),
    );
    const rotation =
      position_ids === null ? this.rotary.at(positionsFrom(position, count, device), position + count - 1) : this.rotary.at(position_ids);
    const place: Place = { cache, position, rotation, visible };
    for (const layer of this.layers) x = layer(x, place);
    return this.norm(x);
  }
}

export class LlamaForCausalLM extends PreTrainedModel {
  declare readonly config: LlamaConfig;
  model: LlamaModel;
  lm_head: Linear;

  constructor(config: LlamaConfig) {
    super(config);
    this.model = new LlamaModel(config);
    this.lm_head = new Linear(config.hidden_size, config.vocab_size, { bias: false, deviation: config.initializer_range });
    if (config.tie_word_embeddings) this.lm_head.weight = this.model.embed_tokens.weight;
  }

  /** How many positions it was trained with; it computes beyond them too. */
  get positions(): Positions {
    return { count: this.config.max_position_embeddings, learned: false };
  }

  override architecture(): string {
    return `${familyNames[this.config.model_type]}ForCausalLM`;
  }
  override basePrefix(): string {
    return 'model';
  }

  /** Room for `length` tokens of `batch` sequences. */
  make_cache(batch: number, length: number): KVCache {
    const { num_hidden_layers: layers, num_key_value_heads: heads, head_dim } = this.config;
    // Not the embedding's: that may be quantized.
    const { dtype, device } = this.model.norm.weight!;
    return new KVCache({ layers, batch, heads, length, head_dim, dtype, device });
  }

  /** Tokens `[batch, length]`, int64, to logits. */
  override forward(input_ids: Tensor, options: CausalLMOptions = {}): LMOutput {
    const { labels = null, logits_to_keep = 0 } = options;
    const logits = this.lm_head(keepLast(this.model(input_ids, options), logits_to_keep));
    return { logits, loss: labels === null ? null : languageModelLoss(logits, labels, true) };
  }
}

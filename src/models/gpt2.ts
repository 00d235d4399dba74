/**
 * GPT-2: learned positions, pre-norm blocks, a GELU network four times wider, the output layer tied to the embedding.
 *
 * Modules and weights are named and laid out as in transformers' `GPT2LMHeadModel` (linear layers are Conv1D).
 * https://huggingface.co/docs/transformers/model_doc/gpt2
 */
import { ModuleList } from '../nn/container.ts';
import { functional } from '../nn/functional.ts';
import { Module } from '../nn/module.ts';
import { LayerNorm } from '../nn/normalization.ts';
import type { Tensor } from '../ops/methods.ts';
import { KVCache } from './cache.ts';
import type { GPT2Config } from './config.ts';
import type { Positions } from './generate.ts';
import { Conv1D, Embedding, Linear } from './layers.ts';
import { causalVisibility, positionsFrom, type Visibility } from './masks.ts';
import { activate, type CausalLMOptions, keepLast, type LMOutput, languageModelLoss, PreTrainedModel } from './model.ts';

interface Place extends Visibility {
  readonly cache: KVCache | null;
  readonly position: number;
}

class GPT2Attention extends Module {
  readonly heads: number;
  readonly layer: number;
  readonly scale: number;
  readonly dropout: number;
  readonly residualDropout: number;
  c_attn: Conv1D;
  c_proj: Conv1D;

  constructor(config: GPT2Config, layer: number) {
    super();
    const { n_embd, n_head, initializer_range: deviation, n_layer } = config;
    this.heads = n_head;
    this.layer = layer;
    this.scale =
      (config.scale_attn_weights ? 1 / Math.sqrt(n_embd / n_head) : 1) / (config.scale_attn_by_inverse_layer_idx ? layer + 1 : 1);
    this.dropout = config.attn_pdrop;
    this.residualDropout = config.resid_pdrop;
    this.c_attn = new Conv1D(3 * n_embd, n_embd, deviation);
    this.c_proj = new Conv1D(n_embd, n_embd, deviation / Math.sqrt(2 * n_layer));
  }

  override forward(x: Tensor, { cache, position, mask, is_causal }: Place): Tensor {
    const [batch, length, width] = x.shape as [number, number, number];
    const [q, k, v] = this.c_attn(x)
      .view(batch, length, 3, this.heads, width / this.heads)
      .permute(2, 0, 3, 1, 4)
      .unbind(0) as [Tensor, Tensor, Tensor];
    const [keys, values] = cache === null ? [k, v] : cache.update(this.layer, k, v, position);
    const dropout_p = this.training ? this.dropout : 0;
    const attended = functional.scaled_dot_product_attention(q, keys, values, mask, dropout_p, is_causal, { scale: this.scale });
    const out = this.c_proj(attended.transpose(1, 2).reshape(batch, length, width));
    return dropped(out, this.residualDropout, this.training);
  }
}

class GPT2MLP extends Module {
  readonly activation: GPT2Config['activation_function'];
  readonly dropout: number;
  c_fc: Conv1D;
  c_proj: Conv1D;

  constructor({ n_embd, n_inner, n_layer, activation_function, resid_pdrop, initializer_range: deviation }: GPT2Config) {
    super();
    this.activation = activation_function;
    this.dropout = resid_pdrop;
    this.c_fc = new Conv1D(n_inner, n_embd, deviation);
    this.c_proj = new Conv1D(n_embd, n_inner, deviation / Math.sqrt(2 * n_layer));
  }

  override forward(x: Tensor): Tensor {
    return dropped(this.c_proj(activate(this.c_fc(x), this.activation)), this.dropout, this.training);
  }
}

class GPT2Block extends Module {
  ln_1: LayerNorm;
  attn: GPT2Attention;
  ln_2: LayerNorm;
  mlp: GPT2MLP;

  constructor(config: GPT2Config, layer: number) {
    super();
    const norm = { eps: config.layer_norm_epsilon };
    this.ln_1 = new LayerNorm(config.n_embd, norm);
    this.attn = new GPT2Attention(config, layer);
    this.ln_2 = new LayerNorm(config.n_embd, norm);
    this.mlp = new GPT2MLP(config);
  }

  override forward(x: Tensor, place: Place): Tensor {
    const attended = x.add(this.attn(this.ln_1(x), place));
    return attended.add(this.mlp(this.ln_2(attended)));
  }
}

const dropped = (x: Tensor, p: number, training: boolean): Tensor => (p > 0 && training ? functional.dropout(x, p, training) : x);

export class GPT2Model extends PreTrainedModel {
  declare readonly config: GPT2Config;
  wte: Embedding;
  wpe: Embedding;
  h: ModuleList<GPT2Block>;
  ln_f: LayerNorm;

  constructor(config: GPT2Config) {
    super(config);
    const { vocab_size, n_positions, n_embd, n_layer, initializer_range: deviation } = config;
    this.wte = new Embedding(vocab_size, n_embd, { deviation });
    this.wpe = new Embedding(n_positions, n_embd, { deviation });
    this.h = new ModuleList(Array.from({ length: n_layer }, (_, layer) => new GPT2Block(config, layer)));
    this.ln_f = new LayerNorm(n_embd, { eps: config.layer_norm_epsilon });
  }

  override architecture(): string {
    return 'GPT2Model';
  }
  override basePrefix(): string {
    return '';
  }

  /** Tokens `[batch, length]`, int64, to hidden states `[batch, length, n_embd]`. */
  override forward(input_ids: Tensor, options: CausalLMOptions = {}): Tensor {
    const { attention_mask = null, position_ids = null, cache = null, position = 0 } = options;
    const { device } = input_ids;
    const count = input_ids.size(1);
    const positions = position_ids ?? positionsFrom(position, count, device);
    const place: Place = { cache, position, ...causalVisibility({ count, position, attention_mask, window: null, device }) };
    let x = dropped(this.wte(input_ids).add(this.wpe(positions)), this.config.embd_pdrop, this.training);
    for (const block of this.h) x = block(x, place);
    return this.ln_f(x);
  }
}

export class GPT2LMHeadModel extends PreTrainedModel {
  declare readonly config: GPT2Config;
  transformer: GPT2Model;
  lm_head: Linear;

  constructor(config: GPT2Config) {
    super(config);
    this.transformer = new GPT2Model(config);
    this.lm_head = new Linear(config.n_embd, config.vocab_size, { bias: false, deviation: config.initializer_range });
    if (config.tie_word_embeddings) this.lm_head.weight = this.transformer.wte.weight;
  }

  get positions(): Positions {
    return { count: this.config.n_positions, learned: true };
  }

  override architecture(): string {
    return 'GPT2LMHeadModel';
  }
  override basePrefix(): string {
    return 'transformer';
  }

  /** Room for `length` tokens of `batch` sequences. */
  make_cache(batch: number, length: number): KVCache {
    const { n_layer, n_head, n_embd } = this.config;
    // Not the embedding's: that may be quantized.
    const { dtype, device } = this.transformer.ln_f.weight!;
    return new KVCache({ layers: n_layer, batch, heads: n_head, length, head_dim: n_embd / n_head, dtype, device });
  }

  /** Tokens `[batch, length]`, int64, to logits. */
  override forward(input_ids: Tensor, options: CausalLMOptions = {}): LMOutput {
    const { labels = null, logits_to_keep = 0 } = options;
    const logits = this.lm_head(keepLast(this.transformer(input_ids, options), logits_to_keep));
    return { logits, loss: labels === null ? null : languageModelLoss(logits, labels, true) };
  }
}

/**
 * BERT: an encoder that sees both ways, with the pooler, the masked-language head, or a classifier on top.
 *
 * Modules and weights are named as in transformers' `BertModel`, `BertForMaskedLM` and `BertForSequenceClassification`. Sentence embeddings
 * are in `pooling.ts`. https://huggingface.co/docs/transformers/model_doc/bert
 */
import { ModuleList } from '../nn/container.ts';
import { functional } from '../nn/functional.ts';
import { Module } from '../nn/module.ts';
import { LayerNorm } from '../nn/normalization.ts';
import type { Parameter } from '../nn/parameter.ts';
import type { Tensor } from '../ops/methods.ts';
import type { BertConfig } from './config.ts';
import { Embedding, Linear, weightOf } from './layers.ts';
import { paddingMask, positionsFrom } from './masks.ts';
import { activate, type LMOutput, languageModelLoss, PreTrainedModel } from './model.ts';

export interface BertOptions {
  /** `[batch, length]`: 0 where there is padding. */
  readonly attention_mask?: Tensor | null;
  /** `[batch, length]`: which of two sentences; zeros without it. */
  readonly token_type_ids?: Tensor | null;
  readonly position_ids?: Tensor | null;
}
export interface BertLabelOptions extends BertOptions {
  readonly labels?: Tensor | null;
}
export interface BertOutput {
  /** `[batch, length, hidden_size]`. */
  readonly last_hidden_state: Tensor;
  /** The first token through the pooler, `[batch, hidden_size]`; null without one. */
  readonly pooler_output: Tensor | null;
}

const linear = (inputs: number, outputs: number, { initializer_range: deviation }: BertConfig): Linear =>
  new Linear(inputs, outputs, { deviation });
const norm = (config: BertConfig): LayerNorm => new LayerNorm(config.hidden_size, { eps: config.layer_norm_eps });
const dropped = (x: Tensor, p: number, training: boolean): Tensor => (p > 0 && training ? functional.dropout(x, p, training) : x);

class BertEmbeddings extends Module {
  readonly dropout: number;
  word_embeddings: Embedding;
  position_embeddings: Embedding;
  token_type_embeddings: Embedding;
  LayerNorm: LayerNorm;

  constructor(config: BertConfig) {
    super();
    const { hidden_size, initializer_range: deviation } = config;
    this.dropout = config.hidden_dropout_prob;
    this.word_embeddings = new Embedding(config.vocab_size, hidden_size, { padding_idx: config.pad_token_id, deviation });
    this.position_embeddings = new Embedding(config.max_position_embeddings, hidden_size, { deviation });
    this.token_type_embeddings = new Embedding(config.type_vocab_size, hidden_size, { deviation });
    this.LayerNorm = norm(config);
  }

  override forward(input_ids: Tensor, token_type_ids: Tensor | null, position_ids: Tensor | null): Tensor {
    const positions = position_ids ?? positionsFrom(0, input_ids.size(1), input_ids.device);
    const types = token_type_ids ?? input_ids.mul(0);
    const sum = this.word_embeddings(input_ids).add(this.token_type_embeddings(types)).add(this.position_embeddings(positions));
    return dropped(this.LayerNorm(sum), this.dropout, this.training);
  }
}

class BertSelfAttention extends Module {
  readonly heads: number;
  readonly dropout: number;
  query: Linear;
  key: Linear;
  value: Linear;

  constructor(config: BertConfig) {
    super();
    const { hidden_size } = config;
    this.heads = config.num_attention_heads;
    this.dropout = config.attention_probs_dropout_prob;
    this.query = linear(hidden_size, hidden_size, config);
    this.key = linear(hidden_size, hidden_size, config);
    this.value = linear(hidden_size, hidden_size, config);
  }

  override forward(x: Tensor, mask: Tensor | null): Tensor {
    const [batch, length, width] = x.shape as [number, number, number];
    const split = (t: Tensor): Tensor => t.view(batch, length, this.heads, width / this.heads).transpose(1, 2);
    const [q, k, v] = [split(this.query(x)), split(this.key(x)), split(this.value(x))];
    const attended = functional.scaled_dot_product_attention(q, k, v, mask, this.training ? this.dropout : 0);
    return attended.transpose(1, 2).reshape(batch, length, width);
  }
}

/** A projection, added to what came before and normalized. */
class BertAddNorm extends Module {
  readonly dropout: number;
  dense: Linear;
  LayerNorm: LayerNorm;

  constructor(config: BertConfig, inputs: number) {
    super();
    this.dropout = config.hidden_dropout_prob;
    this.dense = linear(inputs, config.hidden_size, config);
    this.LayerNorm = norm(config);
  }

  override forward(x: Tensor, residual: Tensor): Tensor {
    return this.LayerNorm(dropped(this.dense(x), this.dropout, this.training).add(residual));
  }
}

class BertAttention extends Module {
  self: BertSelfAttention;
  output: BertAddNorm;

  constructor(config: BertConfig) {
    super();
    this.self = new BertSelfAttention(config);
    this.output = new BertAddNorm(config, config.hidden_size);
  }

  override forward(x: Tensor, mask: Tensor | null): Tensor {
    return this.output(this.self(x, mask), x);
  }
}

class BertIntermediate extends Module {
  readonly activation: BertConfig['hidden_act'];
  dense: Linear;

  constructor(config: BertConfig) {
    super();
    this.activation = config.hidden_act;
    this.dense = linear(config.hidden_size, config.intermediate_size, config);
  }

  override forward(x: Tensor): Tensor {
    return activate(this.dense(x), this.activation);
  }
}

class BertLayer extends Module {
  attention: BertAttention;
  intermediate: BertIntermediate;
  output: BertAddNorm;

  constructor(config: BertConfig) {
    super();
    this.attention = new BertAttention(config);
    this.intermediate = new BertIntermediate(config);
    this.output = new BertAddNorm(config, config.intermediate_size);
  }

  override forward(x: Tensor, mask: Tensor | null): Tensor {
    const attended = this.attention(x, mask);
    return this.output(this.intermediate(attended), attended);
  }
}

class BertEncoder extends Module {
  layer: ModuleList<BertLayer>;

  constructor(config: BertConfig) {
    super();
    this.layer = new ModuleList(Array.from({ length: config.num_hidden_layers }, () => new BertLayer(config)));
  }

  override forward(x: Tensor, mask: Tensor | null): Tensor {
    let out = x;
    for (const layer of this.layer) out = layer(out, mask);
    return out;
  }
}

class BertPooler extends Module {
  dense: Linear;

  constructor(config: BertConfig) {
    super();
    this.dense = linear(config.hidden_size, config.hidden_size, config);
  }

  override forward(hidden: Tensor): Tensor {
    return this.dense(hidden.select(1, 0)).tanh();
  }
}

export class BertModel extends PreTrainedModel {
  declare readonly config: BertConfig;
  embeddings: BertEmbeddings;
  encoder: BertEncoder;
  pooler: BertPooler | null;

  constructor(config: BertConfig, { add_pooling_layer = true }: { readonly add_pooling_layer?: boolean } = {}) {
    super(config);
    this.embeddings = new BertEmbeddings(config);
    this.encoder = new BertEncoder(config);
    this.pooler = add_pooling_layer ? new BertPooler(config) : null;
  }

  override architecture(): string {
    return 'BertModel';
  }
  override basePrefix(): string {
    return '';
  }

  override forward(input_ids: Tensor, options: BertOptions = {}): BertOutput {
    const { attention_mask = null, token_type_ids = null, position_ids = null } = options;
    const mask = attention_mask === null ? null : paddingMask(attention_mask, 0, input_ids.size(1));
    const last_hidden_state = this.encoder(this.embeddings(input_ids, token_type_ids, position_ids), mask);
    return { last_hidden_state, pooler_output: this.pooler === null ? null : this.pooler(last_hidden_state) };
  }
}

class BertPredictionHeadTransform extends Module {
  readonly activation: BertConfig['hidden_act'];
  dense: Linear;
  LayerNorm: LayerNorm;

  constructor(config: BertConfig) {
    super();
    this.activation = config.hidden_act;
    this.dense = linear(config.hidden_size, config.hidden_size, config);
    this.LayerNorm = norm(config);
  }

  override forward(x: Tensor): Tensor {
    return this.LayerNorm(activate(this.dense(x), this.activation));
  }
}

class BertLMPredictionHead extends Module {
  /** The decoder's bias too: files have it under this name. */
  bias: Parameter;
  transform: BertPredictionHeadTransform;
  decoder: Linear;

  constructor(config: BertConfig, embedding: Parameter) {
    super();
    this.bias = weightOf([config.vocab_size], 0);
    this.transform = new BertPredictionHeadTransform(config);
    this.decoder = linear(config.hidden_size, config.vocab_size, config);
    this.decoder.bias = this.bias;
    if (config.tie_word_embeddings) this.decoder.weight = embedding;
  }

  override forward(hidden: Tensor): Tensor {
    return this.decoder(this.transform(hidden));
  }
}

class BertOnlyMLMHead extends Module {
  predictions: BertLMPredictionHead;

  constructor(config: BertConfig, embedding: Parameter) {
    super();
    this.predictions = new BertLMPredictionHead(config, embedding);
  }

  override forward(hidden: Tensor): Tensor {
    return this.predictions(hidden);
  }
}

export class BertForMaskedLM extends PreTrainedModel {
  declare readonly config: BertConfig;
  bert: BertModel;
  cls: BertOnlyMLMHead;

  constructor(config: BertConfig) {
    super(config);
    this.bert = new BertModel(config, { add_pooling_layer: false });
    this.cls = new BertOnlyMLMHead(config, this.bert.embeddings.word_embeddings.weight);
  }

  override architecture(): string {
    return 'BertForMaskedLM';
  }
  override basePrefix(): string {
    return 'bert';
  }

  override forward(input_ids: Tensor, options: BertLabelOptions = {}): LMOutput {
    const { labels = null } = options;
    const logits = this.cls(this.bert(input_ids, options).last_hidden_state);
    return { logits, loss: labels === null ? null : languageModelLoss(logits, labels, false) };
  }
}

export class BertForSequenceClassification extends PreTrainedModel {
  declare readonly config: BertConfig;
  bert: BertModel;
  classifier: Linear;

  constructor(config: BertConfig) {
    super(config);
    this.bert = new BertModel(config);
    this.classifier = linear(config.hidden_size, config.num_labels, config);
  }

  override architecture(): string {
    return 'BertForSequenceClassification';
  }
  override basePrefix(): string {
    return 'bert';
  }

  /** Logits `[batch, num_labels]`; labels are classes `[batch]`, int64. */
  override forward(input_ids: Tensor, options: BertLabelOptions = {}): LMOutput {
    const { labels = null } = options;
    const pooled = this.bert(input_ids, options).pooler_output!;
    const logits = this.classifier(dropped(pooled, this.config.hidden_dropout_prob, this.training));
    return { logits, loss: labels === null ? null : functional.cross_entropy(logits, labels) };
  }
}

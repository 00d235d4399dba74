/**
 * PreTrainedModel: a module with a configuration that can be saved as a folder that transformers loads; and what models give back.
 *
 * Field names of modules are transformers', so that the keys of a state dict are those of the files.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type DType, uint8 } from '../dtype/dtype.ts';
import { functional } from '../nn/functional.ts';
import { Linear } from '../nn/linear.ts';
import { Module } from '../nn/module.ts';
import { Tensor } from '../ops/methods.ts';
import { refuseUnknownOptions } from '../util/options.ts';
import type { KVCache } from './cache.ts';
import type { Activation, ModelConfig } from './config.ts';
import type { GenerationConfig } from './generation-config.ts';
import { writeJson, writeWeights } from './shards.ts';

export interface CausalLMOptions {
  /** `[batch, tokens so far]`: 0 where there is padding. Without it nothing is padding. */
  readonly attention_mask?: Tensor | null;
  /** `[batch or 1, tokens]`. Without it: `position`, `position + 1`, ... */
  readonly position_ids?: Tensor | null;
  /** Keys and values of the tokens before; those of these tokens are written into it. */
  readonly cache?: KVCache | null;
  /** How many tokens are in the cache before these. */
  readonly position?: number;
  /** Tokens to be predicted, `[batch, tokens]`, int64, not shifted; -100 is ignored. */
  readonly labels?: Tensor | null;
  /** Logits of the last so many tokens only; 0: of all. */
  readonly logits_to_keep?: number;
}

export interface LMOutput {
  /** The mean cross entropy, where there are labels. */
  readonly loss: Tensor | null;
  /** `[batch, tokens, vocabulary]`. */
  readonly logits: Tensor;
}

export abstract class PreTrainedModel extends Module {
  readonly config: ModelConfig;
  generation_config: GenerationConfig | null = null;
  /** Where it was loaded from; '' for a new one. */
  name_or_path = '';

  constructor(config: ModelConfig) {
    super();
    this.config = config;
  }

  /** What transformers calls the class: `architectures` of `config.json`. */
  abstract architecture(): string;
  /** The field that holds the model without its head; '' where there is no head. */
  abstract basePrefix(): string;

  /** Of the first weight, as in transformers. */
  get device(): string {
    return firstOf(this).device;
  }
  /** Of the first floating-point weight. */
  get dtype(): DType {
    return firstOf(this).dtype;
  }
  /** A quantized weight counts as the numbers that it stands for. */
  num_parameters({ only_trainable = false }: { readonly only_trainable?: boolean } = {}): number {
    const plain = this.parameters().reduce((sum, p) => sum + (only_trainable && !p.requires_grad ? 0 : p.numel()), 0);
    return only_trainable ? plain : plain + quantizedNumbers(this);
  }

  /**
   * Writes `config.json`, the weights and, where there is one, `generation_config.json`. A tensor that is shared, as the output layer's weight often is,
   * is written once, under its first name. Weights larger than `max_shard_size` (a number of bytes, or '5GB') become several files with an index.
   * Quantized weights have no place in such a folder.
   */
  save_pretrained(folder: string, options: { readonly max_shard_size?: number | string } = {}): void {
    refuseUnknownOptions('save_pretrained', options, { max_shard_size: true });
    const { max_shard_size = '50GB' } = options;
    const tensors = tensorsToSave(this);
    mkdirSync(folder, { recursive: true });
    const [first] = tensors.values();
    const { torch_dtype: _, ...json } = this.config.json;
    const rope = 'rope' in this.config && this.config.rope.rope_type === 'factors' ? { rope_parameters: asLongrope(this.config) } : {};
    const config = { ...json, ...rope, model_type: this.config.model_type, architectures: [this.architecture()], dtype: first.dtype.name };
    writeWeights(folder, tensors, max_shard_size);
    writeJson(join(folder, 'config.json'), config);
    if (this.generation_config !== null) writeJson(join(folder, 'generation_config.json'), this.generation_config.json);
  }
}

/** A model whose matrices are all quantized still has norms. */
function firstOf(model: Module): Tensor {
  const [first] = [...model.parameters(), ...model.buffers()];
  if (first === undefined) throw new Error('the model has no weights');
  return first;
}

/** How many numbers are in weights that are bytes; a weight of two layers counts once. */
export function quantizedNumbers(model: Module): number {
  const counts = new Map<unknown, number>();
  for (const module of model.modules()) {
    const { weight, in_features, out_features, num_embeddings, embedding_dim } = module as unknown as Record<string, unknown>;
    const [rows, columns] = [out_features ?? num_embeddings, in_features ?? embedding_dim];
    if (weight instanceof Tensor && weight.dtype === uint8 && typeof rows === 'number' && typeof columns === 'number')
      counts.set(weight, rows * columns);
  }
  return [...counts.values()].reduce((sum, n) => sum + n, 0);
}

/** By name, in the layout that the files have. */
function tensorsToSave(model: PreTrainedModel): Map<string, Tensor> {
  const out = new Map<string, Tensor>();
  for (const [tensor, [name]] of namesByParameter(model)) {
    if (!tensor.is_floating_point())
      throw new TypeError(
        `${name} is quantized: a Hugging Face folder has no such weights. Load the file with { dtype } or { dequantize: true } to save it`,
      );
    if (/\.(base_layer|original_module)\./.test(name))
      throw new Error(
        'the model has adapters: save_pretrained of its PeftModel saves them, merge_and_unload() makes them part of the weights',
      );
    // GPT-2's linear layers are Conv1D in these files, and plain ones where they came out of a GGUF file.
    const parts = name.split('.');
    const isTurned =
      model.config.model_type === 'gpt2' &&
      /^c_(attn|proj|fc)$/.test(parts.at(-2) ?? '') &&
      parts.at(-1) === 'weight' &&
      model.get_submodule(parts.slice(0, -1).join('.')) instanceof Linear;
    out.set(name, isTurned ? (tensor.detach().t().contiguous() as Tensor) : (tensor.detach() as Tensor));
  }
  return out;
}

/** Divisors of frequencies, as transformers has them. */
function asLongrope({ rope, max_position_embeddings }: Extract<ModelConfig, { rope: unknown }>): object {
  const factors = rope.rope_type === 'factors' ? [...rope.factors] : [];
  const { rope_theta } = rope;
  const scale = { factor: 1, attention_factor: 1, original_max_position_embeddings: max_position_embeddings };
  return { rope_type: 'longrope', rope_theta, ...scale, short_factor: factors, long_factor: factors };
}

/** Every name of each parameter and persistent buffer, in the order of the state dict. */
export function namesByParameter(model: Module): Map<Tensor, string[]> {
  const names = new Map<Tensor, string[]>();
  for (const [name, tensor] of model.state_dict({ keep_vars: true })) {
    const known = names.get(tensor);
    if (known === undefined) names.set(tensor, [name]);
    else known.push(name);
  }
  return names;
}

/** Mean cross entropy in float32; a causal model's logits are compared with the next token. */
export function languageModelLoss(logits: Tensor, labels: Tensor, shift: boolean): Tensor {
  const wide = logits.dtype.itemsize < 4 ? logits.float() : logits;
  const count = logits.size(1) - 1;
  const [scores, targets] = shift ? [wide.narrow(1, 0, count), labels.narrow(1, 1, count)] : [wide, labels];
  return functional.cross_entropy(scores.flatten(0, 1), targets.flatten());
}

export function activate(x: Tensor, activation: Activation): Tensor {
  switch (activation) {
    case 'gelu':
      return functional.gelu(x);
    case 'gelu_new':
    case 'gelu_pytorch_tanh':
      return functional.gelu(x, { approximate: 'tanh' });
    case 'relu':
      return functional.relu(x);
    case 'silu':
    case 'swish':
      return functional.silu(x);
    case 'tanh':
      return x.tanh();
    default:
      return activation satisfies never;
  }
}

/** The last so many tokens; 0: all. */
export const keepLast = (hidden: Tensor, count: number): Tensor =>
  count === 0 || count >= hidden.size(1) ? hidden : hidden.narrow(1, hidden.size(1) - count, count);

/**
 * PreTrainedModel: a module with a configuration that can be saved as a folder that transformers loads; and what models give back.
 *
 * Field names of modules are transformers', so that the keys of a state dict are those of the files.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { functional } from '../nn/functional.ts';
import { Module } from '../nn/module.ts';
import type { Tensor } from '../ops/methods.ts';
import { save_file } from '../serialize/safetensors.ts';
import type { KVCache } from './cache.ts';
import type { Activation, ModelConfig } from './config.ts';
import type { GenerationConfig } from './generation-config.ts';

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

  constructor(config: ModelConfig) {
    super();
    this.config = config;
  }

  /** What transformers calls the class: `architectures` of `config.json`. */
  abstract architecture(): string;
  /** The field that holds the model without its head; '' where there is no head. */
  abstract basePrefix(): string;

  /**
   * Writes `config.json`, `model.safetensors` and, where there is one, `generation_config.json`. A tensor that is shared, as the output layer's
   * weight often is, is written once, under its first name.
   */
  save_pretrained(folder: string): void {
    if (!existsSync(folder)) mkdirSync(folder, { recursive: true });
    const tensors = new Map([...namesByParameter(this)].map(([parameter, names]) => [names[0], parameter.detach() as Tensor]));
    const [first] = tensors.values();
    const { torch_dtype: _, ...json } = this.config.json;
    const config = { ...json, model_type: this.config.model_type, architectures: [this.architecture()], dtype: first.dtype.name };
    save_file(tensors, join(folder, 'model.safetensors'), { format: 'pt' });
    writeJson(join(folder, 'config.json'), config);
    if (this.generation_config !== null) writeJson(join(folder, 'generation_config.json'), this.generation_config.json);
  }
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

function writeJson(file: string, json: Readonly<Record<string, unknown>>): void {
  const sorted = Object.fromEntries(Object.entries(json).sort(([a], [b]) => (a < b ? -1 : 1)));
  writeFileSync(file, `${JSON.stringify(sorted, null, 2)}\n`);
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

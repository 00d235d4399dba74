/**
 * `from_pretrained(DIR)`: a model from a Hugging Face folder. The class follows from `architectures` or `model_type`; weights are read one tensor at
 * a time and stay in the dtype that they have in the file.
 *
 * Names in files differ from those of the model in a few known ways: old ones call LayerNorm's weights gamma and beta, a file of the bare model lacks
 * the prefix that a model with a head has (and the other way round), and some hold buffers that are constants. Everything else must fit, and one
 * error names all that does not.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { DType } from '../dtype/dtype.ts';
import { moveInPlace } from '../nn/parameter.ts';
import type { Tensor } from '../ops/methods.ts';
import { BertForMaskedLM, BertForSequenceClassification, BertModel } from './bert.ts';
import { openCheckpoint } from './checkpoint.ts';
import { architectureOf, type BertConfig, type GPT2Config, type LlamaConfig, type ModelConfig, readConfig, readJson } from './config.ts';
import { generationConfig } from './generation-config.ts';
import { GPT2LMHeadModel, GPT2Model } from './gpt2.ts';
import { withoutWeights } from './layers.ts';
import { LlamaForCausalLM, LlamaModel } from './llama.ts';
import { namesByParameter, type PreTrainedModel } from './model.ts';

export type AnyModel =
  | GPT2LMHeadModel
  | GPT2Model
  | LlamaForCausalLM
  | LlamaModel
  | BertModel
  | BertForMaskedLM
  | BertForSequenceClassification;
export type ModelClass<M extends PreTrainedModel> = new (config: never) => M;

export interface FromPretrainedOptions<M extends PreTrainedModel = AnyModel> {
  /** The class to make, whatever the config says: `LlamaForCausalLM` for a type, `BertModel` for the encoder of a masked-language model. */
  readonly as?: ModelClass<M>;
  /** Converts floating-point weights; without it they stay as they are in the file. */
  readonly dtype?: DType;
  readonly device?: string;
  /** Called after each tensor. */
  readonly progress?: (done: number, total: number, name: string) => void;
}

const gpt2Classes = { GPT2LMHeadModel, GPT2Model } as const;
const bertClasses = { BertModel, BertForMaskedLM, BertForSequenceClassification } as const;
const llamaClasses = { ForCausalLM: LlamaForCausalLM, Model: LlamaModel } as const;

/**
 * The model of a folder, ready for use (`eval()`).
 *
 * Throws where the config is not understood, where a tensor is missing, unexpected or of another shape (one error for all), and what the
 * safetensors reader says of a broken file.
 */
export function from_pretrained<M extends PreTrainedModel = AnyModel>(folder: string, options: FromPretrainedOptions<M> = {}): M {
  const config = readConfig(folder);
  using checkpoint = openCheckpoint(folder);
  const layers = config.model_type === 'gpt2' ? config.n_layer : config.num_hidden_layers;
  if (layers > checkpoint.names.length)
    throw new Error(`${join(folder, 'config.json')}: ${layers} layers, but the file has ${checkpoint.names.length} tensors`);
  const model = withoutWeights(() => makeModel(config, options.as, checkpoint.names)) as M;
  const plan = planLoading(model, checkpoint.names);
  const errors = [...plan.errors];
  let done = 0;
  for (const [name, parameter] of plan.places) {
    const read = checkpoint.read(name);
    if (read.shape.join() === parameter.shape.join()) moveInPlace(parameter, convert(read, options));
    else
      errors.push(
        `size mismatch for ${plan.ownName(parameter)}: copying a param with shape torch.Size([${read.shape.join(', ')}]) from checkpoint, the shape in current model is torch.Size([${parameter.shape.join(', ')}]).`,
      );
    options.progress?.(++done, plan.places.size, name);
  }
  if (errors.length > 0)
    throw new Error(`Error(s) in loading state_dict for ${model.architecture()}:\n\t${errors.join('\n\t')}\n  from ${folder}`);
  const generation = join(folder, 'generation_config.json');
  if (existsSync(generation)) model.generation_config = generationConfig(readJson(generation), generation);
  return model.eval();
}

function makeModel(config: ModelConfig, as: ModelClass<PreTrainedModel> | undefined, names: readonly string[]): PreTrainedModel {
  // The encoder of a model without a pooler is made without one.
  const pooler = { add_pooling_layer: names.some((name) => /(^|\.)pooler\./.test(name)) };
  if (as !== undefined) {
    if (!familyOf(config).includes(as)) throw new TypeError(`a model of type ${config.model_type} cannot be loaded as ${as.name}`);
    return new (as as unknown as new (config: ModelConfig, options: typeof pooler) => PreTrainedModel)(config, pooler);
  }
  const architecture = architectureOf(config.json);
  switch (config.model_type) {
    case 'gpt2':
      return new (pick(gpt2Classes, architecture, 'GPT2LMHeadModel') as new (c: GPT2Config) => PreTrainedModel)(config);
    case 'bert':
      return new (pick(bertClasses, architecture, 'BertModel') as new (c: BertConfig, o: typeof pooler) => PreTrainedModel)(config, pooler);
    case 'llama':
    case 'mistral':
    case 'qwen2':
    case 'qwen3': {
      const kind = architecture?.replace(/^(Llama|Mistral|Qwen2|Qwen3)/, '');
      return new (pick(llamaClasses, kind, 'ForCausalLM', architecture) as new (c: LlamaConfig) => PreTrainedModel)(config);
    }
    default:
      return config satisfies never;
  }
}

function pick<T extends Readonly<Record<string, unknown>>>(
  classes: T,
  name: string | undefined,
  fallback: keyof T & string,
  shown = name,
): T[keyof T] {
  const key = name ?? fallback;
  if (Object.hasOwn(classes, key)) return classes[key as keyof T];
  // BertForPreTraining is the masked-language model with one more head, which is left out.
  if (key === 'BertForPreTraining') return classes['BertForMaskedLM'] as T[keyof T];
  throw new TypeError(
    `architecture ${JSON.stringify(shown)} is not among ${Object.keys(classes).join(', ')}; a class may be given as { as }`,
  );
}

function familyOf(config: ModelConfig): readonly unknown[] {
  switch (config.model_type) {
    case 'gpt2':
      return Object.values(gpt2Classes);
    case 'bert':
      return Object.values(bertClasses);
    default:
      return Object.values(llamaClasses);
  }
}

function convert(tensor: Tensor, { dtype, device }: Pick<FromPretrainedOptions, 'dtype' | 'device'>): Tensor {
  const cast = dtype !== undefined && tensor.is_floating_point() ? tensor.to(dtype) : tensor;
  return device === undefined ? cast : cast.to(device);
}

interface LoadingPlan {
  /** By the name in the file. */
  readonly places: ReadonlyMap<string, Tensor>;
  readonly errors: readonly string[];
  ownName(parameter: Tensor): string;
}

/** Constants that old files hold as tensors, and parts that a class is made without. */
const ignored =
  /(^|\.)attn\.(masked_)?bias$|(^|\.)rotary_emb\.inv_freq$|(^|\.)embeddings\.position_ids$|^cls\.seq_relationship\.|(^|\.)pooler\./;

function planLoading(model: PreTrainedModel, fileNames: readonly string[]): LoadingPlan {
  const own = namesByParameter(model);
  const known = new Map([...own].flatMap(([parameter, names]) => names.map((name): [string, Tensor] => [name, parameter])));
  const rename = renaming(model, fileNames);
  const places = new Map<string, Tensor>();
  const filled = new Set<Tensor>();
  const unexpected: string[] = [];
  // The first of several names of one tensor is the one that is read.
  const order = new Map([...known.keys()].map((name, i) => [name, i]));
  const renamed = fileNames.map((name): [string, string | null] => [name, rename(name)]);
  renamed.sort(([, a], [, b]) => (order.get(a ?? '') ?? 0) - (order.get(b ?? '') ?? 0));
  for (const [name, mine] of renamed) {
    if (mine === null) continue;
    const parameter = known.get(mine);
    if (parameter === undefined) {
      if (!ignored.test(name)) unexpected.push(name);
    } else if (!filled.has(parameter)) {
      filled.add(parameter);
      places.set(name, parameter);
    }
  }
  const missing = [...own].filter(([parameter]) => !filled.has(parameter)).map(([, names]) => names[0]);
  const quoted = (names: readonly string[]): string => names.map((name) => JSON.stringify(name)).join(', ');
  const errors: string[] = [];
  if (missing.length > 0) errors.push(`Missing key(s) in state_dict: ${quoted(missing)}. `);
  if (unexpected.length > 0) errors.push(`Unexpected key(s) in state_dict: ${quoted(unexpected.sort())}. `);
  return { places, errors, ownName: (parameter) => own.get(parameter)![0] };
}

/** From a file's names to the model's; null: belongs to a head that this model does not have. */
function renaming(model: PreTrainedModel, fileNames: readonly string[]): (name: string) => string | null {
  const modern = (name: string): string =>
    name.replace(/LayerNorm\.gamma$/, 'LayerNorm.weight').replace(/LayerNorm\.beta$/, 'LayerNorm.bias');
  const prefix = model.basePrefix();
  if (prefix !== '') {
    if (fileNames.some((name) => name.startsWith(`${prefix}.`))) return modern;
    const heads = new Set(model.named_children().map(([name]) => name));
    return (name) => (heads.has(name.split('.')[0]) ? modern(name) : `${prefix}.${modern(name)}`);
  }
  const inFile = ['transformer.', 'bert.', 'model.'].find((candidate) => fileNames.some((name) => name.startsWith(candidate)));
  if (inFile === undefined) return modern;
  return (name) => (name.startsWith(inFile) ? modern(name.slice(inFile.length)) : null);
}

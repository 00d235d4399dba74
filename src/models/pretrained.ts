/**
 * `from_pretrained(PATH)`: a model from a Hugging Face folder, a GGUF file or a llama2.c file. The class follows from `architectures` or `model_type`;
 * weights are read one tensor at a time and stay in the dtype that they have in the file. Nothing is downloaded.
 *
 * Names in files differ from those of the model in a few known ways: old ones call LayerNorm's weights gamma and beta, a file of the bare model lacks
 * the prefix that a model with a head has (and the other way round), and some hold buffers that are constants. Everything else must fit, and one
 * error names all that does not.
 */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { DType } from '../dtype/dtype.ts';
import { moveInPlace } from '../nn/parameter.ts';
import type { Tensor } from '../ops/methods.ts';
import { engineOf } from '../tensor/devices.ts';
import { refuseUnknownOptions } from '../util/options.ts';
import { BertForMaskedLM, BertForSequenceClassification, BertModel } from './bert.ts';
import { openCheckpoint } from './checkpoint.ts';
import { architectureOf, type BertConfig, type GPT2Config, type LlamaConfig, type ModelConfig, readConfig, readJson } from './config.ts';
import { generationConfig } from './generation-config.ts';
import { from_gguf } from './gguf.ts';
import { GPT2LMHeadModel, GPT2Model } from './gpt2.ts';
import { withoutWeights } from './layers.ts';
import { LlamaForCausalLM, LlamaModel } from './llama.ts';
import { from_llama2c } from './llama2c.ts';
import { type LoadingBar, type LoadingOption, loadingBar } from './loading-bar.ts';
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
  /** Converts floating-point weights (and a GGUF file's blocks); without it they stay as they are in the file. */
  readonly dtype?: DType;
  readonly device?: string;
  /** true (the default): one bar on a terminal where it takes longer than a moment; a function is called after each tensor. */
  readonly progress?: LoadingOption;
}

const optionNames = { as: true, dtype: true, device: true, progress: true } as const satisfies Record<keyof FromPretrainedOptions, true>;

const gpt2Classes = { GPT2LMHeadModel, GPT2Model } as const;
const bertClasses = { BertModel, BertForMaskedLM, BertForSequenceClassification } as const;
const llamaClasses = { ForCausalLM: LlamaForCausalLM, Model: LlamaModel } as const;

/**
 * The model of a folder or file, ready for use (`eval()`).
 *
 * Throws where the config is not understood, where a tensor is missing, unexpected or of another shape (one error for all), and what the
 * safetensors reader says of a broken file.
 */
export function from_pretrained<M extends PreTrainedModel = AnyModel>(path: string, options: FromPretrainedOptions<M> = {}): M {
  refuseUnknownOptions('from_pretrained', options, optionNames);
  using bar = loadingBar(options.progress ?? true);
  const kind = kindOf(path);
  const given = options as FromPretrainedOptions<PreTrainedModel>;
  const model = kind.folder === null ? fromFile(kind.file, given, bar) : fromFolder(kind.folder, given, bar);
  model.name_or_path = path;
  return model.eval() as M;
}

/** A folder, or a file of another format; a folder with a single GGUF file and no config stands for that. */
function kindOf(path: string): { readonly folder: string } | { readonly folder: null; readonly file: string } {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined)
    throw new Error(
      `${path} is not a local folder or file. Models are not downloaded here: give the folder that holds config.json and model.safetensors, a .gguf file, or a .bin file of llama2.c`,
    );
  if (!stat.isDirectory()) return { folder: null, file: path };
  if (existsSync(join(path, 'config.json'))) return { folder: path };
  const gguf = readdirSync(path).filter((name) => name.endsWith('.gguf'));
  if (gguf.length === 1) return { folder: null, file: join(path, gguf[0]) };
  throw new Error(
    `no file named config.json found in directory ${path}${gguf.length > 1 ? `; it has several models: ${gguf.join(', ')}` : ''}`,
  );
}

function fromFile(file: string, options: FromPretrainedOptions<PreTrainedModel>, bar: LoadingBar): PreTrainedModel {
  const { dtype, device } = options;
  const place = device === undefined ? {} : { device };
  let model: PreTrainedModel;
  if (/\.gguf$/i.test(file)) model = from_gguf(file, { ...place, dequantize: dtype !== undefined, progress: bar.update });
  else if (/\.bin$/i.test(file)) model = from_llama2c(file, place);
  else if (/\.safetensors$/i.test(file))
    throw new Error(`${file}: weights alone are no model, give the folder that holds config.json beside them`);
  else throw new Error(`${file}: expected a folder, a .gguf file, or a .bin file of llama2.c`);
  if (options.as !== undefined && !(model instanceof (options.as as new (config: never) => object)))
    throw new TypeError(
      `a model of type ${model.config.model_type} from ${file} cannot be loaded as ${(options.as as { name: string }).name}`,
    );
  return dtype === undefined ? model : model.to(dtype);
}

function fromFolder(folder: string, options: FromPretrainedOptions<PreTrainedModel>, bar: LoadingBar): PreTrainedModel {
  const config = readConfig(folder);
  using checkpoint = openCheckpoint(folder);
  const layers = config.model_type === 'gpt2' ? config.n_layer : config.num_hidden_layers;
  if (layers > checkpoint.names.length)
    throw new Error(`${join(folder, 'config.json')}: ${layers} layers, but the file has ${checkpoint.names.length} tensors`);
  const model = withoutWeights(() => makeModel(config, options.as, checkpoint.names));
  const plan = planLoading(model, checkpoint.names);
  const errors = [...plan.errors];
  for (const [name, parameter] of plan.places) {
    const shape = checkpoint.shapeOf(name);
    if (shape.join() !== parameter.shape.join())
      errors.push(
        `size mismatch for ${plan.ownName(parameter)}: copying a param with shape torch.Size([${shape.join(', ')}]) from checkpoint, the shape in current model is torch.Size([${parameter.shape.join(', ')}]).`,
      );
  }
  if (errors.length > 0)
    throw new Error(`Error(s) in loading state_dict for ${model.architecture()}:\n\t${errors.join('\n\t')}\n  from ${folder}`);
  let done = 0;
  for (const [name, parameter] of plan.places) {
    const read = checkpoint.read(name);
    if (!read.is_floating_point())
      throw new TypeError(
        `${checkpoint.fileOf(name)}: tensor ${JSON.stringify(name)} should hold floating-point numbers, got torch.${read.dtype.name}`,
      );
    moveInPlace(parameter, converted(read, options));
    bar.update(++done, plan.places.size, name);
  }
  const generation = join(folder, 'generation_config.json');
  if (existsSync(generation)) model.generation_config = generationConfig(readJson(generation), generation);
  return model;
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

/** Computed at once: what waits would keep the file's tensors alive, all of them. */
function converted(tensor: Tensor, { dtype, device }: Pick<FromPretrainedOptions, 'dtype' | 'device'>): Tensor {
  const cast = dtype !== undefined && tensor.is_floating_point() ? tensor.to(dtype) : tensor;
  const out = device === undefined ? cast : cast.to(device);
  if (out !== tensor) engineOf(out.device).flush();
  return out;
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

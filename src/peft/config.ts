/**
 * LoraConfig: peft's fields, defaults and `adapter_config.json`.
 *
 * A file may say more than is done here (DoRA, other initializations that change the base's weights, ...). What would change the result is refused
 * by name; what only says how an adapter was made is left out. https://huggingface.co/docs/peft/package_reference/lora#peft.LoraConfig
 */

import { ConfigFields, isJson, type Json } from '../models/config-fields.ts';
import { refuseUnknownOptions } from '../util/options.ts';

export const taskTypes = ['CAUSAL_LM', 'SEQ_CLS', 'TOKEN_CLS', 'SEQ_2_SEQ_LM', 'QUESTION_ANS', 'FEATURE_EXTRACTION'] as const;
export type TaskType = (typeof taskTypes)[number];
const biases = ['none', 'all', 'lora_only'] as const;
export type LoraBias = (typeof biases)[number];
/** true: A drawn, B zero; gaussian: A normal with deviation 1 / r; false: both drawn, so that the adapter does something from the start. */
export type LoraInitialization = boolean | 'gaussian';

export interface LoraOptions {
  /** The rank: inner width of the adapters. */
  readonly r?: number;
  /** Adapters are scaled by `lora_alpha / r`, with `use_rslora` by `lora_alpha / sqrt(r)`. */
  readonly lora_alpha?: number;
  /** Ends of modules' names, or a regular expression for whole names, or `all-linear`. Default: by the model's type, as in peft. */
  readonly target_modules?: readonly string[] | string | null;
  readonly exclude_modules?: readonly string[] | string | null;
  readonly lora_dropout?: number;
  /** Which biases are trained, and saved, too. */
  readonly bias?: LoraBias;
  readonly use_rslora?: boolean;
  /** Modules that are trained whole, as a copy, and saved with the adapter: a new classifier. */
  readonly modules_to_save?: readonly string[] | null;
  readonly task_type?: TaskType | null;
  readonly init_lora_weights?: LoraInitialization;
  /** Layers by number; null: all. */
  readonly layers_to_transform?: readonly number[] | number | null;
  readonly layers_pattern?: readonly string[] | string | null;
  /** Other ranks and alphas, by name or regular expression. */
  readonly rank_pattern?: Readonly<Record<string, number>>;
  readonly alpha_pattern?: Readonly<Record<string, number>>;
  readonly base_model_name_or_path?: string | null;
  readonly revision?: string | null;
}

const optionNames = {
  ...{ r: true, lora_alpha: true, target_modules: true, exclude_modules: true, lora_dropout: true, bias: true, use_rslora: true },
  ...{ modules_to_save: true, task_type: true, init_lora_weights: true, layers_to_transform: true, layers_pattern: true },
  ...{ rank_pattern: true, alpha_pattern: true, base_model_name_or_path: true, revision: true },
} as const satisfies Record<keyof LoraOptions, true>;

export class LoraConfig {
  readonly peft_type = 'LORA';
  readonly r: number;
  readonly lora_alpha: number;
  target_modules: readonly string[] | string | null;
  readonly exclude_modules: readonly string[] | string | null;
  readonly lora_dropout: number;
  readonly bias: LoraBias;
  readonly use_rslora: boolean;
  modules_to_save: readonly string[] | null;
  readonly task_type: TaskType | null;
  readonly init_lora_weights: LoraInitialization;
  readonly layers_to_transform: readonly number[] | number | null;
  readonly layers_pattern: readonly string[] | string | null;
  readonly rank_pattern: Readonly<Record<string, number>>;
  readonly alpha_pattern: Readonly<Record<string, number>>;
  /** Follows from the layers that are found: true for Conv1D, whose weight is `[inputs, outputs]`. */
  fan_in_fan_out = false;
  base_model_name_or_path: string | null;
  readonly revision: string | null;
  /** The file that it was read from, for errors. */
  file: string | null = null;

  constructor(options: LoraOptions = {}) {
    const unsupported = Object.keys(options).find((name) => (otherKinds as readonly string[]).includes(name));
    if (unsupported !== undefined) throw new TypeError(`LoraConfig: ${unsupported} is not supported here`);
    refuseUnknownOptions('LoraConfig.__init__', options, optionNames);
    this.r = options.r ?? 8;
    this.lora_alpha = options.lora_alpha ?? 8;
    this.target_modules = options.target_modules ?? null;
    this.exclude_modules = options.exclude_modules ?? null;
    this.lora_dropout = options.lora_dropout ?? 0;
    this.bias = options.bias ?? 'none';
    this.use_rslora = options.use_rslora ?? false;
    this.modules_to_save = options.modules_to_save ?? null;
    this.task_type = options.task_type ?? null;
    this.init_lora_weights = options.init_lora_weights ?? true;
    this.layers_to_transform = options.layers_to_transform ?? null;
    this.layers_pattern = options.layers_pattern ?? null;
    this.rank_pattern = options.rank_pattern ?? {};
    this.alpha_pattern = options.alpha_pattern ?? {};
    this.base_model_name_or_path = options.base_model_name_or_path ?? null;
    this.revision = options.revision ?? null;
    for (const r of [this.r, ...Object.values(this.rank_pattern)])
      if (!Number.isInteger(r) || r <= 0) throw new RangeError(`\`r\` should be a positive integer value but the value passed is ${r}`);
    if (!(biases as readonly string[]).includes(this.bias)) throw new Error(`Requested bias: ${this.bias}, is not implemented.`);
    if (!(this.lora_dropout >= 0 && this.lora_dropout < 1))
      throw new RangeError(`lora_dropout should be from 0 to below 1, got ${this.lora_dropout}`);
    if (this.task_type !== null && !taskTypes.includes(this.task_type))
      throw new RangeError(
        `Invalid task type: '${String(this.task_type)}'. Must be one of the following task types: ${taskTypes.join(', ')}.`,
      );
    if (!(this.init_lora_weights === true || this.init_lora_weights === false || this.init_lora_weights === 'gaussian'))
      throw new RangeError(`Unknown initialization init_lora_weights=${JSON.stringify(this.init_lora_weights)}`);
    if (typeof this.target_modules === 'string' && this.layers_to_transform !== null)
      throw new Error('`layers_to_transform` cannot be used when `target_modules` is a str.');
    if (this.layers_pattern !== null && this.layers_to_transform === null)
      throw new Error('When `layers_pattern` is specified, `layers_to_transform` must also be specified. ');
  }

  /** What `adapter_config.json` holds. */
  to_dict(): Json {
    return {
      ...{ alpha_pattern: this.alpha_pattern, auto_mapping: null, base_model_name_or_path: this.base_model_name_or_path, bias: this.bias },
      ...{ exclude_modules: this.exclude_modules, fan_in_fan_out: this.fan_in_fan_out, inference_mode: true },
      ...{ init_lora_weights: this.init_lora_weights, layers_pattern: this.layers_pattern, layers_to_transform: this.layers_to_transform },
      ...{ lora_alpha: this.lora_alpha, lora_dropout: this.lora_dropout, modules_to_save: this.modules_to_save },
      ...{ peft_type: this.peft_type, r: this.r, rank_pattern: this.rank_pattern, revision: this.revision },
      ...{ target_modules: this.target_modules, task_type: this.task_type, use_dora: false, use_rslora: this.use_rslora },
    };
  }
}

/** Fields that make an adapter something else than what is computed here. */
const otherKinds = [
  ...[
    'use_dora',
    'use_qalora',
    'lora_bias',
    'layer_replication',
    'trainable_token_indices',
    'target_parameters',
    'alora_invocation_tokens',
  ],
  ...['use_bdlora', 'arrow_config', 'kasa_config', 'velora_config', 'monteclora_config'],
] as const;
/** These change the base's weights; an adapter made with them stands for a difference from those. */
const otherInitializations = /^(pissa|olora|corda|lora_ga|loftq)/;

/** From the fields of an `adapter_config.json`. Throws a TypeError that names the file and the field. */
export function loraConfigFrom(json: unknown, file: string): LoraConfig {
  const fields = new ConfigFields(json, file);
  fields.oneOf('peft_type', ['LORA']);
  for (const name of otherKinds) {
    const value = fields.get(name);
    if (value !== undefined && value !== false) throw fields.error(name, 'null or false (not supported here)', value);
  }
  const initialization = fields.get('init_lora_weights') ?? true;
  if (typeof initialization === 'string' && otherInitializations.test(initialization))
    throw fields.error('init_lora_weights', 'one that leaves the weights of the base as they are', initialization);
  const target_modules = names(fields, 'target_modules', true);
  const layers = fields.get('layers_to_transform');
  const numbers = Array.isArray(layers) ? (layers as unknown[]) : layers === undefined ? [] : [layers];
  if (!numbers.every(Number.isInteger)) throw fields.error('layers_to_transform', 'a number, or a list of them', layers);
  const r = fields.size('r', 8);
  if (r > 65_536) throw fields.error('r', 'at most 65536', r);
  const text = (name: string): string | null => (fields.get(name) === undefined ? null : fields.text(name));
  const config = new LoraConfig({
    r,
    target_modules,
    lora_alpha: fields.number('lora_alpha', 8),
    exclude_modules: names(fields, 'exclude_modules', true),
    lora_dropout: fields.probability('lora_dropout', 0),
    bias: fields.oneOf('bias', biases, 'none'),
    use_rslora: fields.boolean('use_rslora', false),
    modules_to_save: names(fields, 'modules_to_save', false) as readonly string[] | null,
    task_type: fields.get('task_type') === undefined ? null : fields.oneOf('task_type', taskTypes),
    // How it was drawn does not matter any more.
    init_lora_weights: initialization === 'gaussian' ? 'gaussian' : initialization !== false,
    layers_to_transform: layers === undefined || typeof target_modules === 'string' ? null : (layers as readonly number[] | number),
    layers_pattern: layers === undefined ? null : names(fields, 'layers_pattern', true),
    rank_pattern: pattern(fields, 'rank_pattern', (x) => Number.isInteger(x) && x > 0 && x <= 65_536),
    alpha_pattern: pattern(fields, 'alpha_pattern', Number.isFinite),
    base_model_name_or_path: text('base_model_name_or_path'),
    revision: text('revision'),
  });
  config.file = file;
  config.fan_in_fan_out = fields.boolean('fan_in_fan_out', false);
  return config;
}

function names(fields: ConfigFields, name: string, textToo: boolean): readonly string[] | string | null {
  const value = fields.get(name);
  if (value === undefined) return null;
  if (textToo && typeof value === 'string') return value;
  if (!Array.isArray(value) || !value.every((x) => typeof x === 'string')) throw fields.error(name, 'a list of names', value);
  return value as string[];
}

function pattern(fields: ConfigFields, name: string, good: (x: number) => boolean): Record<string, number> {
  const value = fields.get(name) ?? {};
  if (!isJson(value) || !Object.values(value).every((x) => typeof x === 'number' && good(x)))
    throw fields.error(name, 'an object of numbers', value);
  return value as Record<string, number>;
}

/**
 * PeftModel: a model with adapters, called as the model itself is. https://huggingface.co/docs/peft/package_reference/peft_model
 *
 *     const model = get_peft_model(from_pretrained(DIR), { r: 8, target_modules: ['q_proj', 'v_proj'] });
 *
 * `generate()` takes it too. `disable_adapter(fn)` is Python's `with model.disable_adapter():`.
 */
import { join } from 'node:path';
import { PreTrainedModel, quantizedNumbers } from '../models/model.ts';
import { Module } from '../nn/module.ts';
import { refuseUnknownOptions } from '../util/options.ts';
import { adapterState, loadAdapter, readAdapterConfig, writeAdapter } from './adapter-file.ts';
import { LoraConfig, type LoraOptions } from './config.ts';
import { LoraModel, type MergeOptions } from './lora-model.ts';

type FieldOf<M, K extends string> = M extends Readonly<Record<K, infer T>> ? T : undefined;

export interface PeftFromPretrainedOptions {
  readonly adapter_name?: string;
  /** false (the default): for use only, in evaluation mode. */
  readonly is_trainable?: boolean;
  readonly config?: LoraConfig;
}

export class PeftModel<M extends Module = Module> extends Module {
  base_model: LoraModel<M>;
  /** By adapter. */
  readonly peft_config = new Map<string, LoraConfig>();
  active_adapter: string;
  /** Whether the active adapter is. */
  trainable = true;

  /** Gives `model` an adapter; the model is changed. */
  constructor(model: M, config: LoraConfig, adapter_name = 'default') {
    super();
    this.base_model = new LoraModel(model);
    this.active_adapter = adapter_name;
    this.add_adapter(adapter_name, config);
    this.set_adapter(adapter_name);
  }

  /** A model with the adapter of a folder. */
  static from_pretrained<M extends Module>(model: M, folder: string, options: PeftFromPretrainedOptions = {}): PeftModel<M> {
    refuseUnknownOptions('PeftModel.from_pretrained', options, { adapter_name: true, is_trainable: true, config: true });
    const { adapter_name = 'default', is_trainable = false, config = readAdapterConfig(folder) } = options;
    const made = new PeftModel(model, config, adapter_name);
    try {
      loadAdapter(folder, made, adapter_name, config);
    } catch (error) {
      made.unload();
      throw error;
    }
    made.set_adapter(adapter_name, is_trainable);
    return is_trainable ? made : made.eval();
  }

  override forward(...args: Parameters<M['forward']>): ReturnType<M['forward']> {
    return this.base_model.forward(...args);
  }
  get_base_model(): M {
    return this.base_model.model;
  }
  get config(): FieldOf<M, 'config'> {
    return fieldOf(this.get_base_model(), 'config');
  }
  get generation_config(): FieldOf<M, 'generation_config'> {
    return fieldOf(this.get_base_model(), 'generation_config');
  }
  /** The model's, so that `generate()` finds it. */
  get make_cache(): FieldOf<M, 'make_cache'> {
    const base = this.get_base_model();
    const make = fieldOf(base, 'make_cache') as ((...args: unknown[]) => unknown) | undefined;
    return make?.bind(base) as FieldOf<M, 'make_cache'>;
  }

  /** Another adapter, not yet in use. */
  add_adapter(adapter_name: string, config: LoraConfig | LoraOptions): void {
    if (this.peft_config.has(adapter_name))
      throw new Error(`Adapter with name ${adapter_name} already exists. Please use a different name.`);
    const own = config instanceof LoraConfig ? config : new LoraConfig(config);
    const base = this.get_base_model();
    if (own.base_model_name_or_path === null && base instanceof PreTrainedModel) own.base_model_name_or_path = base.name_or_path;
    this.base_model.inject_adapter(adapter_name, own);
    this.peft_config.set(adapter_name, own);
    if (this.peft_config.size > 1) this.set_adapter(this.active_adapter, this.trainable);
  }
  load_adapter(folder: string, adapter_name: string, options: { readonly is_trainable?: boolean } = {}): void {
    refuseUnknownOptions('load_adapter', options, { is_trainable: true });
    const { is_trainable = false } = options;
    const config = readAdapterConfig(folder);
    this.add_adapter(adapter_name, config);
    try {
      loadAdapter(folder, this, adapter_name, config);
    } catch (error) {
      this.delete_adapter(adapter_name);
      throw error;
    }
    if (!is_trainable) this.eval();
  }
  /** The adapter in use from now on; without `trainable` it is frozen. */
  set_adapter(adapter_name: string, trainable = true): void {
    const config = configOf(this as unknown as PeftModel, adapter_name);
    this.active_adapter = adapter_name;
    this.trainable = trainable;
    this.base_model.set_adapter([adapter_name], config, trainable);
  }
  delete_adapter(adapter_name: string): void {
    configOf(this as unknown as PeftModel, adapter_name);
    this.peft_config.delete(adapter_name);
    for (const [, layer] of this.base_model.lora_layers()) layer.delete_adapter(adapter_name);
    for (const [, wrapper] of this.base_model.saved_modules())
      if (wrapper.modules_to_save.has(adapter_name)) wrapper.modules_to_save.pop(adapter_name);
  }

  /** Runs `fn` with the adapters off: until it returns, or until its promise is settled. */
  disable_adapter<T>(fn: () => T): T {
    const { base_model } = this;
    base_model.enable(false);
    let waiting = false;
    try {
      const result = fn();
      if (result instanceof Promise) {
        waiting = true;
        return result.finally(() => base_model.enable(true)) as T;
      }
      return result;
    } finally {
      if (!waiting) base_model.enable(true);
    }
  }

  merge_adapter(options: MergeOptions = {}): void {
    this.base_model.merge_adapter(options);
  }
  unmerge_adapter(): void {
    this.base_model.unmerge_adapter();
  }
  merge_and_unload(options: MergeOptions = {}): M {
    return this.base_model.merge_and_unload(options);
  }
  unload(): M {
    return this.base_model.unload();
  }

  /** Writes the adapters, each as peft does: the default one into the folder itself, others into one of their names. */
  save_pretrained(folder: string, options: { readonly selected_adapters?: readonly string[] } = {}): void {
    refuseUnknownOptions('save_pretrained', options, { selected_adapters: true });
    const { selected_adapters = [...this.peft_config.keys()] } = options;
    for (const name of selected_adapters) {
      const config = configOf(this as unknown as PeftModel, name);
      writeAdapter(name === 'default' ? folder : join(folder, name), config, adapterState(this, name, config.bias));
    }
  }

  /** Trainable, and all; a quantized weight counts as the numbers that it stands for. */
  get_nb_trainable_parameters(): [number, number] {
    let [trainable, all] = [0, 0];
    for (const parameter of this.parameters()) {
      all += parameter.numel();
      if (parameter.requires_grad) trainable += parameter.numel();
    }
    return [trainable, all + quantizedNumbers(this)];
  }
  print_trainable_parameters(): void {
    const [trainable, all] = this.get_nb_trainable_parameters();
    const text = (x: number): string => x.toLocaleString('en-US');
    console.log(`trainable params: ${text(trainable)} || all params: ${text(all)} || trainable%: ${((100 * trainable) / all).toFixed(4)}`);
  }
}

function configOf(model: PeftModel, adapter_name: string): LoraConfig {
  const config = model.peft_config.get(adapter_name);
  if (config === undefined) throw new Error(`Adapter ${adapter_name} not found.`);
  return config;
}

const fieldOf = <T>(m: Module, name: string): T => (m as unknown as Record<string, unknown>)[name] as T;

/** `model` with a new adapter. The model itself is changed: `unload()` gives it back as it was. */
export function get_peft_model<M extends Module>(model: M, config: LoraConfig | LoraOptions, adapter_name = 'default'): PeftModel<M> {
  return new PeftModel(model, config instanceof LoraConfig ? config : new LoraConfig(config), adapter_name);
}

/**
 * LoraModel: puts adapters into a model, switches them, merges them, takes them out. The model is changed in place, as peft changes it.
 *
 * What gets an adapter is decided for all modules before the first is replaced: a config that does not fit leaves the model as it was.
 */

import { withTimeLimit } from '../models/time-limit.ts';
import { Module } from '../nn/module.ts';
import { refuseUnknownOptions } from '../util/options.ts';
import type { LoraConfig } from './config.ts';
import { LoraLinear } from './layer.ts';
import { ModulesToSaveWrapper } from './modules-to-save.ts';
import { canAdapt, classifierHeads, isModuleToSave, patternValue, resolveTargets, targetTest } from './targets.ts';

const supported =
  '`torch.nn.Linear`, `transformers.pytorch_utils.Conv1D`, and modules with in_features and out_features that give y for x (GGUFLinear)';

export interface MergeOptions {
  /** Which; default: the active ones. */
  readonly adapter_names?: readonly string[];
  /** Looks for NaN and infinity before a weight is changed. */
  readonly safe_merge?: boolean;
}

export class LoraModel<M extends Module = Module> extends Module {
  model: M;

  constructor(model: M) {
    super();
    if (model.modules().some((m) => m instanceof LoraLinear || m instanceof ModulesToSaveWrapper))
      throw new Error('this model has adapters already; add_adapter of its PeftModel gives it another');
    this.model = model;
  }

  override forward(...args: Parameters<M['forward']>): ReturnType<M['forward']> {
    return (this.model as unknown as (...a: unknown[]) => ReturnType<M['forward']>)(...args);
  }

  /** The adapted layers by name. */
  lora_layers(): [string, LoraLinear][] {
    return this.model.named_modules().filter((entry): entry is [string, LoraLinear] => entry[1] instanceof LoraLinear);
  }
  saved_modules(): [string, ModulesToSaveWrapper][] {
    return this.model.named_modules().filter((entry): entry is [string, ModulesToSaveWrapper] => entry[1] instanceof ModulesToSaveWrapper);
  }

  inject_adapter(name: string, config: LoraConfig): void {
    if (name === '' || name.includes('.')) throw new Error(`an adapter's name can't be empty or contain ".", got: ${JSON.stringify(name)}`);
    resolveTargets(this.model, config);
    if (config.task_type === 'SEQ_CLS' || config.task_type === 'TOKEN_CLS')
      config.modules_to_save = [...new Set([...(config.modules_to_save ?? []), ...classifierHeads])];
    // Names are short: patterns that take longer are made to.
    const { layers, whole, scales } = withTimeLimit(
      () => {
        const plan = this.planned(config);
        const scales = plan.layers.map(([path]) => ({
          r: patternValue(config.rank_pattern, path, config.r),
          lora_alpha: patternValue(config.alpha_pattern, path, config.lora_alpha),
        }));
        return { ...plan, scales };
      },
      5000,
      () =>
        new Error(
          `${config.file ?? 'the config'}: looking for modules took more than 5 s: its regular expressions (target_modules, exclude_modules, layers_pattern, rank_pattern or alpha_pattern) backtrack too much`,
        ),
    );
    if (layers.length === 0)
      throw new Error(`Target modules ${targetsText(config)} not found in the base model. Please check the target modules and try again.`);
    for (const [i, [path, module]] of layers.entries()) {
      const layer = module instanceof LoraLinear ? module : this.replace(path, new LoraLinear(module));
      layer.add_adapter(name, {
        ...scales[i],
        lora_dropout: config.lora_dropout,
        use_rslora: config.use_rslora,
        init_lora_weights: config.init_lora_weights,
      });
      config.fan_in_fan_out = layer.fan_in_fan_out;
    }
    for (const [path, module] of whole)
      (module instanceof ModulesToSaveWrapper ? module : this.replace(path, new ModulesToSaveWrapper(module))).add_adapter(name);
  }

  /** What a config means for this model; throws where it cannot be done. */
  planned(config: LoraConfig): { readonly layers: readonly [string, Module][]; readonly whole: readonly [string, Module][] } {
    const wanted = targetTest(config);
    const layers: [string, Module][] = [];
    const whole: [string, Module][] = [];
    const inside: string[] = [];
    for (const [path, module] of this.model.named_modules()) {
      if (path === '' || inside.some((outer) => path.startsWith(outer))) continue;
      if (isModuleToSave(config, path)) whole.push([path, module]);
      else if (wanted(path)) {
        if (!(module instanceof LoraLinear || canAdapt(module)))
          throw new Error(
            `Target module ${path} (${module.constructor.name}) is not supported. Currently, only the following modules are supported: ${supported}.`,
          );
        layers.push([path, module]);
      } else if (!(module instanceof LoraLinear || module instanceof ModulesToSaveWrapper)) continue;
      inside.push(`${path}.`);
    }
    return { layers, whole };
  }

  replace<T extends Module>(path: string, by: T): T {
    const dot = path.lastIndexOf('.');
    const parent = this.model.get_submodule(dot < 0 ? '' : path.slice(0, dot));
    (parent as unknown as Record<string, unknown>)[path.slice(dot + 1)] = by;
    return by;
  }

  /** The adapters in use; only they are trainable, with the biases that the config says. */
  set_adapter(names: readonly string[], config: LoraConfig, trainable: boolean): void {
    this.model.requires_grad_(false);
    for (const [, layer] of this.lora_layers()) {
      if (layer.merged && layer.merged_adapters.join() !== names.join()) layer.unmerge();
      layer.active_adapters = [...names];
    }
    for (const [, wrapper] of this.saved_modules()) wrapper.active_adapters = [...names];
    if (!trainable) return;
    for (const [path, parameter] of this.model.named_parameters()) {
      const parts = path.split('.');
      const at = Math.max(parts.indexOf('lora_A'), parts.indexOf('lora_B'), parts.indexOf('modules_to_save'));
      if (at >= 0) parameter.requires_grad_(names.includes(parts[at + 1]));
      else if (config.bias === 'all' && path.endsWith('bias') && !parts.includes('original_module')) parameter.requires_grad_(true);
      else if (config.bias === 'lora_only' && path.endsWith('.base_layer.bias')) parameter.requires_grad_(true);
    }
  }

  /** Adapters on or off. */
  enable(on: boolean): void {
    for (const [, m] of [...this.lora_layers(), ...this.saved_modules()]) m.disable_adapters = !on;
  }

  merge_adapter(options: MergeOptions = {}): void {
    refuseUnknownOptions('merge_adapter', options, { adapter_names: true, safe_merge: true });
    const { adapter_names, safe_merge = false } = options;
    const layers = this.lora_layers();
    // All are looked at before one is changed.
    const weights = layers.map(([path, layer]) => layer.weightToMerge(path));
    for (const [name, parameter] of this.model.state_dict({ keep_vars: true })) {
      const at = weights.indexOf(parameter);
      if (at >= 0 && name !== `${layers[at][0]}.base_layer.weight`)
        throw new Error(`cannot merge an adapter into ${layers[at][0]}: its weight is also ${name}, which would change with it`);
    }
    for (const [path, layer] of layers) layer.merge(adapter_names, { where: path, safe: safe_merge });
  }
  unmerge_adapter(): void {
    for (const [, layer] of this.lora_layers()) layer.unmerge();
  }

  /** The model without adapters, which are merged into it. */
  merge_and_unload(options: MergeOptions = {}): M {
    this.merge_adapter(options);
    return this.takeOut((wrapper) => wrapper.active());
  }
  /** The model as it was, without adapters. */
  unload(): M {
    this.unmerge_adapter();
    return this.takeOut((wrapper) => wrapper.original_module);
  }
  takeOut(saved: (wrapper: ModulesToSaveWrapper) => Module): M {
    for (const [path, layer] of this.lora_layers()) this.replace(path, layer.base_layer);
    for (const [path, wrapper] of this.saved_modules()) this.replace(path, saved(wrapper));
    return this.model;
  }
}

function targetsText({ target_modules }: LoraConfig): string {
  return typeof target_modules === 'string' ? target_modules : `{${(target_modules ?? []).map((name) => `'${name}'`).join(', ')}}`;
}

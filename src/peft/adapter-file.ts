/**
 * peft's folder: `adapter_config.json` and `adapter_model.safetensors`, whose names are those of the state dict without the adapter's.
 *
 * A file comes from outside: a tensor that is missing, belongs nowhere, or has another shape is named, and nothing is changed before all fit.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { no_grad } from '../autograd/modes.ts';
import { readJson } from '../models/config.ts';
import type { Module } from '../nn/module.ts';
import { Tensor } from '../ops/methods.ts';
import { load_file, save_file } from '../serialize/safetensors.ts';
import { load } from '../serialize/torch/load.ts';
import { type LoraConfig, loraConfigFrom } from './config.ts';

const configName = 'adapter_config.json';
const weightsName = 'adapter_model.safetensors';
const oldWeightsName = 'adapter_model.bin';

export function readAdapterConfig(folder: string): LoraConfig {
  const file = join(folder, configName);
  if (!existsSync(file)) throw new Error(`Can't find '${configName}' at '${folder}'`);
  return loraConfigFrom(readJson(file), file);
}

/** What of a model's state belongs to an adapter, by its name in a file. */
export function adapterState(model: Module, adapter: string, bias: LoraConfig['bias']): Map<string, Tensor> {
  const out = new Map<string, Tensor>();
  for (const [name, tensor] of model.state_dict({ keep_vars: true })) {
    const fileName = nameInFile(name, adapter, bias);
    if (fileName !== null) out.set(fileName, tensor);
  }
  return new Map([...out].sort(([a], [b]) => (a < b ? -1 : 1)));
}

function nameInFile(name: string, adapter: string, bias: LoraConfig['bias']): string | null {
  const parts = name.split('.');
  const at = parts.findIndex((part) => part === 'lora_A' || part === 'lora_B' || part === 'modules_to_save');
  if (at >= 0) {
    if (parts[at + 1] !== adapter) return null;
    const kept = parts[at] === 'modules_to_save' ? at : at + 1;
    return [...parts.slice(0, kept), ...parts.slice(at + 2)].join('.');
  }
  if (parts.includes('original_module') || bias === 'none') return null;
  return bias === 'all' ? (name.endsWith('bias') ? name : null) : name.endsWith('.base_layer.bias') ? name : null;
}

export function writeAdapter(folder: string, config: LoraConfig, state: ReadonlyMap<string, Tensor>): void {
  mkdirSync(folder, { recursive: true });
  save_file(new Map([...state].map(([name, tensor]) => [name, tensor.detach() as Tensor])), join(folder, weightsName), { format: 'pt' });
  writeFileSync(join(folder, configName), `${JSON.stringify(config.to_dict(), null, 2)}\n`);
}

/** Fills an adapter of a model from a folder. */
export function loadAdapter(folder: string, model: Module, adapter: string, config: LoraConfig): void {
  const { file, tensors } = readWeights(folder);
  const own = adapterState(model, adapter, config.bias);
  // peft saves embeddings of the base beside the adapter when they have been given more rows: they go where they came from.
  const base = model.state_dict({ keep_vars: true });
  const missing = [...own.keys()].filter((name) => !tensors.has(name));
  const places = new Map<string, Tensor>();
  const unexpected: string[] = [];
  for (const name of tensors.keys()) {
    if (/\.(original_module|modules_to_save)\./.test(name)) continue;
    const place = own.get(name) ?? base.get(name);
    if (place === undefined) unexpected.push(name);
    else places.set(name, place);
  }
  const quoted = (names: readonly string[]): string => names.map((name) => `"${name}"`).join(', ');
  const errors: string[] = [];
  if (missing.length > 0) errors.push(`Missing key(s) in state_dict: ${quoted(missing)}. `);
  if (unexpected.length > 0) errors.push(`Unexpected key(s) in state_dict: ${quoted(unexpected)}. `);
  for (const [name, place] of places) {
    const { shape } = tensors.get(name)!;
    if (shape.join() !== place.shape.join())
      errors.push(
        `size mismatch for ${name}: copying a param with shape torch.Size([${shape.join(', ')}]) from checkpoint, the shape in current model is torch.Size([${place.shape.join(', ')}]).`,
      );
  }
  if (errors.length > 0) throw new Error(`Error(s) in loading state_dict for PeftModel:\n\t${errors.join('\n\t')}\n  from ${file}`);
  no_grad(() => {
    for (const [name, place] of places) place.copy_(tensors.get(name)!);
  });
}

function readWeights(folder: string): { readonly file: string; readonly tensors: ReadonlyMap<string, Tensor> } {
  const file = join(folder, weightsName);
  if (existsSync(file)) return { file, tensors: load_file(file) };
  const old = join(folder, oldWeightsName);
  if (!existsSync(old)) throw new Error(`Can't find weights for ${folder}: neither ${weightsName} nor ${oldWeightsName} is there`);
  const tensors = load<unknown>(old);
  if (!(tensors instanceof Map) || ![...tensors.values()].every((x) => x instanceof Tensor))
    throw new TypeError(`${old}: expected a dict of tensors`);
  return { file: old, tensors: tensors as Map<string, Tensor> };
}

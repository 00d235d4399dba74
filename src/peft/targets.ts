/**
 * Which modules get an adapter: by the end of their names, by a regular expression, or all linear layers; peft's rules.
 */

import { Conv1D } from '../models/layers.ts';
import { PreTrainedModel } from '../models/model.ts';
import { Linear } from '../nn/linear.ts';
import type { Module } from '../nn/module.ts';
import type { LoraConfig } from './config.ts';

/** peft's choice where the config names no modules. */
const byModelType: Readonly<Record<string, readonly string[]>> = {
  gpt2: ['c_attn'],
  bert: ['query', 'value'],
  llama: ['q_proj', 'v_proj'],
  mistral: ['q_proj', 'v_proj'],
  qwen2: ['q_proj', 'v_proj'],
  qwen3: ['q_proj', 'v_proj'],
};
/** Names of heads: no part of `all-linear`, and trained whole for a classifier. */
export const classifierHeads = ['classifier', 'score'] as const;
const outputLayers = ['lm_head', 'cls.predictions.decoder'];

/** A layer from `in_features` to `out_features`: y of x, whatever its weights are. */
export interface LinearLike {
  readonly in_features: number;
  readonly out_features: number;
}
export const isLinearLike = (m: unknown): m is Module & LinearLike => {
  const { in_features, out_features } = m as Partial<LinearLike>;
  return typeof in_features === 'number' && typeof out_features === 'number';
};
export const canAdapt = (m: Module): boolean => m instanceof Linear || m instanceof Conv1D || isLinearLike(m);

/** Fills in `target_modules` where it is null or `all-linear`. */
export function resolveTargets(model: Module, config: LoraConfig): void {
  if (config.target_modules === null) {
    const type = model instanceof PreTrainedModel ? model.config.model_type : '';
    const known = Object.hasOwn(byModelType, type) ? byModelType[type] : undefined;
    if (known === undefined) throw new Error('Please specify `target_modules` in `peft_config`');
    config.target_modules = known;
  } else if (config.target_modules === 'all-linear') {
    const heads = new Set<string>([...outputLayers, ...(config.task_type === 'SEQ_CLS' ? classifierHeads : [])]);
    config.target_modules = model.named_modules().flatMap(([name, m]) => (name !== '' && canAdapt(m) && !heads.has(name) ? [name] : []));
  }
}

const compiled = (text: string, field: string): RegExp => {
  try {
    return new RegExp(text, 'u');
  } catch (error) {
    throw new SyntaxError(`${field}: ${(error as Error).message}`);
  }
};
const regular = (text: string, field = 'target_modules'): RegExp => compiled(`^(?:${text})$`, field);

const named = (name: string, list: readonly string[]): boolean => list.some((end) => name === end || name.endsWith(`.${end}`));

/** A test of names for this config. */
export function targetTest(config: LoraConfig): (name: string) => boolean {
  const matches = (which: readonly string[] | string): ((name: string) => boolean) => {
    if (typeof which !== 'string') return (name) => named(name, which);
    const expression = regular(which);
    return (name) => expression.test(name);
  };
  const wanted = matches(config.target_modules ?? []);
  const excluded = config.exclude_modules === null ? () => false : matches(config.exclude_modules);
  const { layers_to_transform: layers, layers_pattern } = config;
  const kept = layers === null ? null : new Set(typeof layers === 'number' ? [layers] : layers);
  const patterns = typeof layers_pattern === 'string' ? [layers_pattern] : (layers_pattern ?? []);
  const numbers =
    patterns.length === 0 ? [/.*\.[^.]*\.(\d+)\./u] : patterns.map((p) => compiled(`.*\\.${p}\\.(\\d+)\\.`, 'layers_pattern'));
  const whole = Array.isArray(config.target_modules) ? new Set(config.target_modules as readonly string[]) : new Set<string>();
  return (name) => {
    if (!wanted(name) || excluded(name)) return false;
    if (kept === null || whole.has(name)) return true;
    const found = numbers.map((expression) => expression.exec(name)).find((m) => m !== null);
    return found !== undefined && found !== null && kept.has(Number(found[1]));
  };
}

/** The value of the first pattern that is the name or its end. */
export function patternValue(patterns: Readonly<Record<string, number>>, name: string, fallback: number): number {
  for (const [key, value] of Object.entries(patterns))
    if (regular(`(.*\\.)?(${key})`, 'rank_pattern or alpha_pattern').test(name)) return value;
  return fallback;
}

export const isModuleToSave = (config: LoraConfig, name: string): boolean =>
  (config.modules_to_save ?? []).some((end) => name === end || name.endsWith(end));

/**
 * Rotary position embeddings: pairs of channels (i, i + half) turn by position times a frequency of their own.
 *
 * The frequencies come from the config in transformers' forms, with its scalings: linear, llama3, yarn, dynamic and longrope. The last two depend on
 * how many tokens there are, which is taken from the call at hand: nothing is remembered of longer calls before (transformers remembers under
 * dynamic). A table of angles that are negative in its first half makes the rotation x cos + swapped(x) sin.
 *
 * RoFormer (https://arxiv.org/abs/2104.09864); scalings: https://huggingface.co/docs/transformers/internal/rope_utils
 */

import type { Operator } from '../graph/operator.ts';
import type { Prim } from '../graph/prim.ts';
import { tensor } from '../ops/creation.ts';
import type { Tensor } from '../ops/methods.ts';
import * as dims from '../shape/dim.ts';
import { record } from '../tensor/record.ts';
import { decides } from '../tensor/tracing.ts';
import { type ConfigFields, ConfigFields as Fields, isJson } from './config-fields.ts';

export type RopeParameters =
  | { readonly rope_type: 'default'; readonly rope_theta: number }
  | { readonly rope_type: 'linear'; readonly rope_theta: number; readonly factor: number }
  | {
      readonly rope_type: 'llama3';
      readonly rope_theta: number;
      readonly factor: number;
      readonly low_freq_factor: number;
      readonly high_freq_factor: number;
      readonly original_max_position_embeddings: number;
    }
  | {
      readonly rope_type: 'dynamic';
      readonly rope_theta: number;
      readonly factor: number;
      readonly max_position_embeddings: number;
    }
  | {
      readonly rope_type: 'yarn';
      readonly rope_theta: number;
      readonly factor: number;
      readonly attention_factor: number;
      readonly beta_fast: number;
      readonly beta_slow: number;
      readonly truncate: boolean;
      readonly original_max_position_embeddings: number;
    }
  | {
      readonly rope_type: 'longrope';
      readonly rope_theta: number;
      readonly attention_factor: number;
      readonly short_factor: readonly number[];
      readonly long_factor: readonly number[];
      readonly original_max_position_embeddings: number;
    }
  /** Divisors, one for each pair, as GGUF files have them. */
  | { readonly rope_type: 'factors'; readonly rope_theta: number; readonly factors: Float32Array };

const ropeTypes = ['default', 'linear', 'llama3', 'dynamic', 'yarn', 'longrope'] as const;

export interface RopeDefaults {
  readonly rope_theta: number;
  readonly head_dim: number;
  readonly max_position_embeddings: number;
}

/** `rope_parameters` (transformers 5), or `rope_theta` and `rope_scaling` with `rope_type` or `type` (before). */
export function ropeParameters(config: ConfigFields, defaults: RopeDefaults): RopeParameters {
  const found = config.get('rope_parameters', 'rope_scaling');
  if (found !== undefined && !isJson(found)) throw config.error('rope_parameters', 'an object', found);
  const fields = new Fields(found ?? {}, config.file);
  for (const from of [fields, config])
    if (from.number('partial_rotary_factor', 1) !== 1) throw from.error('partial_rotary_factor', '1', from.get('partial_rotary_factor'));
  const rope_theta =
    fields.get('rope_theta') === undefined ? config.positive('rope_theta', defaults.rope_theta) : fields.positive('rope_theta');
  const type = fields.text(['rope_type', 'type'], 'default');
  // The name of longrope in the first Phi-3 files.
  const rope_type = type === 'su' ? 'longrope' : fields.oneOf(['rope_type', 'type'], ropeTypes, 'default');
  // Phi-3's files have it beside the scaling, and there it counts.
  const before = (): number => {
    const from = config.get('original_max_position_embeddings') === undefined ? fields : config;
    return from.size('original_max_position_embeddings', defaults.max_position_embeddings);
  };
  const common = { rope_theta };
  switch (rope_type) {
    case 'default':
      return { rope_type, ...common };
    case 'linear':
      return { rope_type, ...common, factor: fields.positive('factor') };
    case 'dynamic':
      return { rope_type, ...common, factor: fields.positive('factor'), max_position_embeddings: defaults.max_position_embeddings };
    case 'llama3':
      return {
        rope_type,
        ...common,
        factor: fields.positive('factor'),
        low_freq_factor: fields.positive('low_freq_factor'),
        high_freq_factor: fields.positive('high_freq_factor'),
        original_max_position_embeddings: before(),
      };
    case 'yarn': {
      const original_max_position_embeddings = before();
      const factor = fields.positive('factor', defaults.max_position_embeddings / original_max_position_embeddings);
      return {
        rope_type,
        ...common,
        factor,
        attention_factor: fields.positive('attention_factor', yarnAttention(fields, factor)),
        beta_fast: fields.number('beta_fast', 32) || 32,
        beta_slow: fields.number('beta_slow', 1) || 1,
        truncate: fields.boolean('truncate', true),
        original_max_position_embeddings,
      };
    }
    case 'longrope': {
      const original_max_position_embeddings = before();
      const factor = fields.positive('factor', defaults.max_position_embeddings / original_max_position_embeddings);
      const wide = Math.sqrt(1 + Math.log(factor) / Math.log(original_max_position_embeddings));
      return {
        rope_type,
        ...common,
        attention_factor: fields.positive('attention_factor', factor > 1 && Number.isFinite(wide) ? wide : 1),
        short_factor: factorsOf(fields, 'short_factor', defaults.head_dim / 2),
        long_factor: factorsOf(fields, 'long_factor', defaults.head_dim / 2),
        original_max_position_embeddings,
      };
    }
    default:
      return rope_type satisfies never;
  }
}

/** How much longer the rotated vectors are made, so that attention stays as sharp over more tokens: https://arxiv.org/abs/2309.00071, 3.4 */
function yarnAttention(fields: ConfigFields, factor: number): number {
  const of = (mscale: number): number => (factor <= 1 ? 1 : 0.1 * mscale * Math.log(factor) + 1);
  const [own, all] = [fields.number('mscale', 0), fields.number('mscale_all_dim', 0)];
  return own !== 0 && all !== 0 ? of(own) / of(all) : of(1);
}

function factorsOf(fields: ConfigFields, name: string, count: number): readonly number[] {
  const value = fields.get(name);
  const good = (x: unknown): boolean => typeof x === 'number' && Number.isFinite(x) && x > 0;
  if (!Array.isArray(value) || value.length !== count || !value.every(good))
    throw fields.error(name, `a list of ${count} positive numbers`, value);
  return value as number[];
}

/** Whether the frequencies depend on the number of tokens. */
export const dependsOnLength = (rope: RopeParameters): boolean => rope.rope_type === 'dynamic' || rope.rope_type === 'longrope';

/** Radians a position, one for each pair of channels, in float32 as transformers computes them; `length`: how many tokens there are. */
export function ropeFrequencies(rope: RopeParameters, headDim: number, length = 0): Float32Array {
  const powers = (base: number): Float32Array =>
    Float32Array.from({ length: headDim / 2 }, (_, i) => base ** Math.fround((2 * i) / headDim));
  const plain = powers(rope.rope_theta).map((x) => 1 / x);
  switch (rope.rope_type) {
    case 'default':
      return plain;
    case 'linear':
      return plain.map((f) => f / rope.factor);
    case 'factors':
      return plain.map((f, i) => f / rope.factors[i]);
    case 'dynamic': {
      // The base grows with the length so that the longest wave just fits: "NTK-aware" scaling.
      const { factor, rope_theta, max_position_embeddings: most } = rope;
      const stretched = (factor * Math.max(length, most)) / most - (factor - 1);
      return powers(headDim > 2 ? rope_theta * stretched ** (headDim / (headDim - 2)) : rope_theta).map((x) => 1 / x);
    }
    case 'longrope': {
      const factors = length > rope.original_max_position_embeddings ? rope.long_factor : rope.short_factor;
      return powers(rope.rope_theta).map((x, i) => 1 / Math.fround(Math.fround(factors[i]) * x));
    }
    case 'yarn': {
      const ramp = yarnRamp(rope, headDim);
      // Long waves are stretched by the factor, short ones stay, in between it is a blend.
      return powers(rope.rope_theta).map((x, i) => {
        const kept = Math.fround(1 - ramp[i]);
        return Math.fround(1 / Math.fround(rope.factor * x)) * Math.fround(1 - kept) + Math.fround(1 / x) * kept;
      });
    }
    case 'llama3': {
      const { factor, low_freq_factor: low, high_freq_factor: high, original_max_position_embeddings: before } = rope;
      // Waves longer than the old context are stretched, short ones stay, and in between it is a blend.
      return plain.map((f) => {
        const wave = (2 * Math.PI) / f;
        if (wave < before / high) return f;
        if (wave > before / low) return f / factor;
        const smooth = (before / wave - low) / (high - low);
        return (1 - smooth) * (f / factor) + smooth * f;
      });
    }
    default:
      return rope satisfies never;
  }
}

/** 0 for pairs that turn `beta_fast` times and more over the old context, 1 for those that turn `beta_slow` times and less. */
function yarnRamp(rope: Extract<RopeParameters, { rope_type: 'yarn' }>, headDim: number): Float32Array {
  const { original_max_position_embeddings: before, rope_theta, beta_fast, beta_slow, truncate } = rope;
  const pairOf = (turns: number): number => (headDim * Math.log(before / (turns * 2 * Math.PI))) / (2 * Math.log(rope_theta));
  const [first, last] = [pairOf(beta_fast), pairOf(beta_slow)];
  const low = Math.max(truncate ? Math.floor(first) : first, 0);
  let high = Math.min(truncate ? Math.ceil(last) : last, headDim - 1);
  if (low === high) high += 0.001;
  return Float32Array.from({ length: headDim / 2 }, (_, i) => Math.min(Math.max((i - low) / (high - low), 0), 1));
}

/** cos and signed sin of the positions at hand, `[batch, 1, length, headDim]`. */
export interface Rotation {
  readonly cos: Tensor;
  readonly sin: Tensor;
}

export class RotaryEmbedding {
  readonly headDim: number;
  readonly rope: RopeParameters;
  /** cos and sin are multiplied by it. */
  readonly attention_factor: number;
  #length = -1;
  /** By device. In float32 whatever the model's dtype: bfloat16 angles would be wrong by whole turns. */
  readonly #tables = new Map<string, Tensor>();

  constructor(rope: RopeParameters, headDim: number) {
    this.headDim = headDim;
    this.rope = rope;
    this.attention_factor = 'attention_factor' in rope ? rope.attention_factor : 1;
  }

  /** From positions `[batch or 1, length]`, of which the largest is `last`; null: to be read, where it matters. */
  at(positions: Tensor, last: number | null = null): Rotation {
    const table = this.#table(positions, last);
    const angles = positions.float().unsqueeze(1).unsqueeze(-1).mul(table);
    const { attention_factor: factor } = this;
    return factor === 1 ? { cos: angles.cos(), sin: angles.sin() } : { cos: angles.cos().mul(factor), sin: angles.sin().mul(factor) };
  }

  /** Up to which number of tokens the frequencies are what they are now. */
  #decide(length: number): void {
    const { rope } = this;
    const most =
      rope.rope_type === 'dynamic'
        ? rope.max_position_embeddings
        : rope.rope_type === 'longrope'
          ? rope.original_max_position_embeddings
          : 0;
    if (length > most) decides(length, most + 1, Number.POSITIVE_INFINITY);
    else decides(length, 0, most + 1);
  }
  #table(positions: Tensor, last: number | null): Tensor {
    const length = dependsOnLength(this.rope) ? 1 + (last ?? Number(positions.max().item())) : 0;
    if (length > 0) this.#decide(length);
    if (length !== this.#length) this.#tables.clear();
    this.#length = length;
    let table = this.#tables.get(positions.device);
    if (table === undefined) {
      const half = this.headDim / 2;
      const frequencies = ropeFrequencies(this.rope, this.headDim, length);
      const signed = Float32Array.from({ length: this.headDim }, (_, i) => (i < half ? -frequencies[i] : frequencies[i - half]));
      table = tensor(signed, { device: positions.device }) as Tensor;
      this.#tables.set(positions.device, table);
    }
    return table;
  }
}

/**
 * x cos + swapped(x) sin in one call of the graph, the sum rounded once. A model makes two of them a layer and token, so what a call costs counts.
 * The last dim is reversed in steps of a half: a view, that reads where it is used.
 */
const rotaryOperator: Operator = {
  name: 'rotary_embedding',
  body: ([x, cos, sin]) => {
    const last = x.ndim - 1;
    const half = dims.quotient(x.shape[last], 2);
    const pairs = x.reshape([...x.shape.slice(0, last), 2, half]);
    const swapped = pairs.slice(last, 1, 2, -1).reshape(x.shape);
    const wide = (p: Prim): Prim => p.cast(cos.dtype).expand(x.shape);
    return [
      wide(x)
        .mul(wide(cos))
        .add(wide(swapped).mul(wide(sin)))
        .cast(x.dtype),
    ];
  },
};

/** Turns `x` `[batch, heads, length, headDim]`. */
export const rotate = (x: Tensor, { cos, sin }: Rotation): Tensor => record(rotaryOperator as never, [x, cos, sin])[0] as Tensor;

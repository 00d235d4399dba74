/**
 * Rotary position embeddings: pairs of channels (i, i + half) turn by position times a frequency of their own.
 *
 * The frequencies come from the config in transformers' forms, with the scalings `linear` and `llama3`; others are refused by name. A table
 * of angles that are negative in its first half makes the rotation x cos + swapped(x) sin.
 *
 * RoFormer (https://arxiv.org/abs/2104.09864); llama3: https://huggingface.co/docs/transformers/internal/rope_utils
 */

import type { Operator } from '../graph/operator.ts';
import type { Prim } from '../graph/prim.ts';
import { tensor } from '../ops/creation.ts';
import type { Tensor } from '../ops/methods.ts';
import * as dims from '../shape/dim.ts';
import { record } from '../tensor/record.ts';
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
    };

/** `rope_parameters` (transformers 5), or `rope_theta` and `rope_scaling` with `rope_type` or `type` (before). */
export function ropeParameters(config: ConfigFields, defaultTheta: number): RopeParameters {
  const found = config.get('rope_parameters', 'rope_scaling');
  if (found !== undefined && !isJson(found)) throw config.error('rope_parameters', 'an object', found);
  const fields = new Fields(found ?? {}, config.file);
  const rope_theta = fields.get('rope_theta') === undefined ? config.positive('rope_theta', defaultTheta) : fields.positive('rope_theta');
  const rope_type = fields.oneOf(['rope_type', 'type'], ['default', 'linear', 'llama3'], 'default');
  switch (rope_type) {
    case 'default':
      return { rope_type, rope_theta };
    case 'linear':
      return { rope_type, rope_theta, factor: fields.positive('factor') };
    case 'llama3':
      return {
        rope_type,
        rope_theta,
        factor: fields.positive('factor'),
        low_freq_factor: fields.positive('low_freq_factor'),
        high_freq_factor: fields.positive('high_freq_factor'),
        original_max_position_embeddings: fields.size(
          'original_max_position_embeddings',
          config.get('original_max_position_embeddings') === undefined ? undefined : config.size('original_max_position_embeddings'),
        ),
      };
    default:
      return rope_type satisfies never;
  }
}

/** Radians a position, one for each pair of channels, in float32 as transformers computes them. */
export function ropeFrequencies(rope: RopeParameters, headDim: number): Float32Array {
  const plain = Float32Array.from({ length: headDim / 2 }, (_, i) => 1 / Math.fround(rope.rope_theta ** Math.fround((2 * i) / headDim)));
  switch (rope.rope_type) {
    case 'default':
      return plain;
    case 'linear':
      return plain.map((f) => f / rope.factor);
    case 'llama3': {
      const { factor, low_freq_factor: low, high_freq_factor: high, original_max_position_embeddings: before } = rope;
      // Waves longer than the old context are stretched, short ones stay, and in between it is a blend.
      return plain.map((f) => {
        const length = (2 * Math.PI) / f;
        if (length < before / high) return f;
        if (length > before / low) return f / factor;
        const smooth = (before / length - low) / (high - low);
        return (1 - smooth) * (f / factor) + smooth * f;
      });
    }
    default:
      return rope satisfies never;
  }
}

/** cos and signed sin of the positions at hand, `[batch, 1, length, headDim]`. */
export interface Rotation {
  readonly cos: Tensor;
  readonly sin: Tensor;
}

export class RotaryEmbedding {
  readonly headDim: number;
  readonly #signed: Float32Array;
  /** By device. In float32 whatever the model's dtype: bfloat16 angles would be wrong by whole turns. */
  readonly #tables = new Map<string, Tensor>();

  constructor(rope: RopeParameters, headDim: number) {
    this.headDim = headDim;
    const frequencies = ropeFrequencies(rope, headDim);
    this.#signed = Float32Array.from({ length: headDim }, (_, i) => (i < headDim / 2 ? -frequencies[i] : frequencies[i - headDim / 2]));
  }

  /** From positions `[batch or 1, length]`. */
  at(positions: Tensor): Rotation {
    let table = this.#tables.get(positions.device);
    if (table === undefined) {
      table = tensor(this.#signed, { device: positions.device }) as Tensor;
      this.#tables.set(positions.device, table);
    }
    const angles = positions.float().unsqueeze(1).unsqueeze(-1).mul(table);
    return { cos: angles.cos(), sin: angles.sin() };
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

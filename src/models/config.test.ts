/** Configs: the old form and the new one say the same, defaults are transformers', and nonsense is named. */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { configFrom, type LlamaConfig, llamaConfig } from './index.ts';
import { ropeFrequencies } from './rope.ts';

const small = {
  ...{ model_type: 'llama', vocab_size: 8, hidden_size: 8, intermediate_size: 8, num_hidden_layers: 2 },
  ...{ num_attention_heads: 2, num_key_value_heads: 1 },
};
const read = (json: object): LlamaConfig => configFrom(json, 'config.json') as LlamaConfig;
const bare = ({ json: _, ...config }: LlamaConfig): object => config;

describe('rotary positions', () => {
  const scaling = { factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 64 };
  const modern = { ...small, dtype: 'bfloat16', rope_parameters: { rope_type: 'llama3', rope_theta: 500000, ...scaling } };

  test('are read from the new form and from the old ones alike', () => {
    const old = { ...small, torch_dtype: 'bfloat16', rope_theta: 500000, rope_scaling: { rope_type: 'llama3', ...scaling } };
    const older = { ...small, torch_dtype: 'bfloat16', rope_theta: 500000, rope_scaling: { type: 'llama3', ...scaling } };
    expect(read(modern).rope).toEqual({ rope_type: 'llama3', rope_theta: 500000, ...scaling });
    expect(bare(read(old))).toEqual(bare(read(modern)));
    expect(bare(read(older))).toEqual(bare(read(modern)));
    expect(read(modern).dtype!.name).toBe('bfloat16');
    expect(read({ ...small, rope_scaling: null, rope_theta: 1e6 }).rope).toEqual({ rope_type: 'default', rope_theta: 1e6 });
    expect(read(small).rope).toEqual({ rope_type: 'default', rope_theta: 10000 });
  });

  test('turn slowly in long waves by the factor and in short ones not at all under llama3', () => {
    const plain = ropeFrequencies({ rope_type: 'default', rope_theta: 500000 }, 64);
    const scaled = ropeFrequencies(read(modern).rope, 64);
    expect(plain[0]).toBe(1);
    expect(scaled[0]).toBe(1);
    expect(scaled[31]).toBeCloseTo(plain[31] / 8, 12);
    expect([...scaled].every((f, i) => f <= plain[i] && f >= Math.fround(plain[i] / 8))).toBe(true);
  });

  test('of a kind that is not known, or without what it needs, are refused by name', () => {
    const refused = (rope_scaling: object): void => {
      read({ ...small, head_dim: 4, rope_scaling });
    };
    expect(() => refused({ type: 'mrope', factor: 4 })).toThrow(
      'config.json: "rope_type" should be one of default, linear, llama3, dynamic, yarn, longrope, got "mrope"',
    );
    expect(() => refused({ type: 'linear' })).toThrow('config.json: "factor" should be a positive number, but it is missing');
    expect(() => refused({ type: 'longrope', short_factor: [1, 1], long_factor: [1] })).toThrow(
      'config.json: "long_factor" should be a list of 2 positive numbers, got [1]',
    );
    expect(() => refused({ partial_rotary_factor: 0.5 })).toThrow('config.json: "partial_rotary_factor" should be 1, got 0.5');
  });

  test('have the frequencies that transformers computes, in every scaling and at every length', () => {
    const path = new URL('./rope.fixture.json', import.meta.url);
    const records = JSON.parse(readFileSync(path, 'utf8')) as {
      config: object;
      lengths: Record<string, { factor: number; frequencies: number[] }>;
    }[];
    expect(records.length).toBeGreaterThan(10);
    for (const { config, lengths } of records) {
      const { rope, head_dim } = read(config);
      for (const [length, { factor, frequencies }] of Object.entries(lengths)) {
        const got = ropeFrequencies(rope, head_dim, Number(length));
        const wrong = frequencies.flatMap((f, i) => (Math.abs(got[i] - f) <= 3e-7 * f ? [] : [[length, i, got[i], f]]));
        expect([rope, wrong]).toEqual([rope, []]);
        expect('attention_factor' in rope ? rope.attention_factor : 1).toBeCloseTo(factor, 12);
      }
    }
  });
});

describe('what distinguishes the relatives of Llama', () => {
  test('is biases, norms of queries and keys, and windows', () => {
    const of = (json: object): object => {
      const { qkv_bias, output_bias, qk_norm, windows } = read({ ...small, ...json });
      return { qkv_bias, output_bias, qk_norm, windows };
    };
    const nothing = { qkv_bias: false, output_bias: false, qk_norm: false, windows: [null, null] };
    expect(of({})).toEqual(nothing);
    expect(of({ sliding_window: 4, attention_bias: true })).toEqual({ ...nothing, qkv_bias: true, output_bias: true });
    expect(of({ model_type: 'mistral', sliding_window: 4 })).toEqual({ ...nothing, windows: [4, 4] });
    expect(of({ model_type: 'mistral', sliding_window: null })).toEqual(nothing);
    expect(of({ model_type: 'qwen2', sliding_window: 4 })).toEqual({ ...nothing, qkv_bias: true });
    const windowed = { model_type: 'qwen2', sliding_window: 4, use_sliding_window: true };
    expect(of({ ...windowed, max_window_layers: 1 })).toEqual({ ...nothing, qkv_bias: true, windows: [null, 4] });
    expect(of({ ...windowed, layer_types: ['sliding_attention', 'full_attention'] })).toMatchObject({ windows: [4, null] });
    expect(of({ model_type: 'qwen3' })).toEqual({ ...nothing, qk_norm: true });
  });
});

describe('nonsense in a config', () => {
  test.each([
    [{ vocab_size: 0 }, '"vocab_size" should be a positive integer, got 0'],
    [{ vocab_size: '8' }, '"vocab_size" should be a positive integer, got "8"'],
    [{ hidden_size: 1e300 }, '"hidden_size" should be a positive integer, got 1e+300'],
    [{ hidden_size: 9 }, '"hidden_size" should be divisible by "num_attention_heads", got 9 and 2'],
    [{ num_key_value_heads: 3 }, '"num_attention_heads" should be divisible by "num_key_value_heads", got 2 and 3'],
    [{ num_hidden_layers: 1e7 }, '"num_hidden_layers" should be at most 10000, got 10000000'],
    [{ head_dim: 3 }, '"head_dim" should be even, got 3'],
    [{ hidden_act: 'toString' }, '"hidden_act" should be one of gelu, '],
    [{ tie_word_embeddings: 1 }, '"tie_word_embeddings" should be true or false, got 1'],
    [{ eos_token_id: [1, 'x'] }, '"eos_token_id" should be a token, or a list of them'],
    [{ rms_norm_eps: -1 }, '"rms_norm_eps" should be a positive number, got -1'],
    [{ attention_dropout: 1.5 }, '"attention_dropout" should be a probability, got 1.5'],
    [{ model_type: 'gpt_oss' }, 'model type "gpt_oss" is not among gpt2, bert, llama'],
  ])('%j is named', (change, message) => {
    expect(() => configFrom({ ...small, ...change }, 'config.json')).toThrow(message);
    expect(() => configFrom({ ...small, ...change }, 'config.json')).toThrow('config.json');
  });

  test('anything in place of anything gives a config or a TypeError', () => {
    const type = fc.constantFrom('gpt2', 'bert', 'llama', 'mistral', 'qwen2', 'qwen3');
    const key = fc.constantFrom(
      ...['hidden_size', 'n_embd', 'n_head', 'num_attention_heads', 'num_key_value_heads', 'head_dim', 'sliding_window', 'layer_types'],
      ...[
        'rope_parameters',
        'rope_scaling',
        'rope_theta',
        'dtype',
        'eos_token_id',
        'architectures',
        'id2label',
        'max_window_layers',
        '__proto__',
      ],
    );
    fc.assert(
      fc.property(type, fc.array(fc.tuple(key, fc.jsonValue()), { maxLength: 4 }), (model_type, changes) => {
        const json = { ...small, model_type, use_sliding_window: true, ...Object.fromEntries(changes) };
        try {
          configFrom(json, 'config.json');
        } catch (error) {
          expect(error).toBeInstanceOf(TypeError);
          expect((error as Error).message).toMatch(/^config\.json: /);
        }
      }),
      { numRuns: 2000 },
    );
  });

  test('an architecture says the type where model_type is missing', () => {
    const { model_type: _, ...rest } = small;
    expect(read({ ...rest, architectures: ['Qwen3ForCausalLM'] })).toMatchObject({ model_type: 'qwen3', qk_norm: true });
    expect(llamaConfig().hidden_size).toBe(4096);
  });
});

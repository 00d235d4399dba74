/**
 * The relatives of the checkpoints: Mistral, Qwen2, Qwen3, biases, windows, scalings, untied heads, against transformers, on weights that both sides
 * make from a hash (`variants.fixture.py`); greedy, padded and seeded generation give its tokens.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import torch from '../index.ts';
import {
  BertForSequenceClassification,
  BertModel,
  configFrom,
  GPT2LMHeadModel,
  generate,
  LlamaForCausalLM,
  type ModelConfig,
} from './index.ts';

interface Variant {
  readonly config: { readonly architectures: readonly string[] };
  readonly input_ids: number[][];
  /** Logits or hidden states of the last token; a classifier's logits. */
  readonly values: number[];
  readonly greedy?: number[];
  readonly penalized?: number[];
  readonly padded?: number[][];
  readonly sampled?: Readonly<Record<string, { readonly options: object; readonly tokens: number[] }>>;
}
const variants = JSON.parse(readFileSync(new URL('./variants.fixture.json', import.meta.url), 'utf8')) as Record<string, Variant>;

function hash(i: number, seed: number): number {
  let h = (Math.imul(i, 0x9e3779b1) + Math.imul(seed, 0x85ebca77)) >>> 0;
  h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d) >>> 0;
  h = Math.imul(h ^ (h >>> 12), 0x297a2d39) >>> 0;
  return (h ^ (h >>> 15)) >>> 0;
}

type Model = GPT2LMHeadModel | LlamaForCausalLM | BertModel | BertForSequenceClassification;

function made(config: ModelConfig, architecture: string): Model {
  if (config.model_type === 'gpt2') return new GPT2LMHeadModel(config);
  if (config.model_type !== 'bert') return new LlamaForCausalLM(config);
  return architecture === 'BertModel' ? new BertModel(config) : new BertForSequenceClassification(config);
}

function filled(variant: Variant): Model {
  const model = made(configFrom(variant.config, 'config.json'), variant.config.architectures[0]);
  expect(model.architecture()).toBe(variant.config.architectures[0]);
  const parameters = model.named_parameters().sort(([a], [b]) => (a < b ? -1 : 1));
  parameters.forEach(([name, parameter], seed) => {
    const one = /norm|\.ln_/i.test(name) && name.endsWith('weight') ? 1 : 0;
    const values = Float32Array.from(
      { length: parameter.numel() },
      (_, i) => Math.fround(((hash(i, seed) >>> 8) / 2 ** 24) * 2 * 0.25 - 0.25) + one,
    );
    torch.no_grad(() => parameter.copy_(torch.tensor(values).view(...parameter.shape)));
  });
  return model.eval();
}

async function collect<T>(tokens: AsyncIterable<T>): Promise<T[]> {
  const out: T[] = [];
  for await (const token of tokens) out.push(token);
  return out;
}

describe.each(Object.entries(variants))('%s', (_, variant) => {
  const model = filled(variant);
  const input_ids = torch.tensor(variant.input_ids, { dtype: torch.int64 });

  test('gives what transformers gives', () => {
    const out = torch.no_grad(() => model(input_ids));
    const values = 'logits' in out ? out.logits : out.last_hidden_state;
    const last = values.dim() === 3 ? values.select(1, -1) : values;
    const got = [...(last.reshape(-1).numpy() as Float32Array)];
    const largest = Math.max(...variant.values.map(Math.abs));
    expect(got.length).toBe(variant.values.length);
    expect(Math.max(...got.map((x, i) => Math.abs(x - variant.values[i])))).toBeLessThan(1e-5 * Math.max(1, largest));
  });

  if (variant.greedy === undefined) return;
  const causal = model as GPT2LMHeadModel | LlamaForCausalLM;
  const prompt = variant.input_ids[0];
  const options = { max_new_tokens: 12, stop_tokens: [], pad_token_id: 0 };

  test('generates the tokens that transformers generates', async () => {
    expect(await collect(generate(causal, prompt, options))).toEqual(variant.greedy);
    expect(await collect(generate(causal, prompt, { ...options, repetition_penalty: 1.7 }))).toEqual(variant.penalized);
  });

  test('generates the same for a batch with padding on the left', async () => {
    const mask = variant.input_ids.map((row, i) => row.map((_, at) => (i === 0 && at < 9 ? 0 : 1)));
    const attention_mask = torch.tensor(mask, { dtype: torch.int64 });
    const steps = await collect(generate(causal, input_ids, { ...options, attention_mask }));
    expect([0, 1].map((row) => steps.map((step) => step[row]))).toEqual(variant.padded);
  });

  test('draws the same tokens from the same seed', async () => {
    for (const [kind, { options: sampling, tokens }] of Object.entries(variant.sampled!)) {
      const got = await collect(generate(causal, prompt, { ...options, ...sampling, seed: 11 }));
      expect([kind, got]).toEqual([kind, tokens]);
    }
  });
});

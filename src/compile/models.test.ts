/** Models under `torch.compile`: decoding with a cache, padding and windows; the GPT of the command line, trained. */
import { afterEach, describe, expect, test, vi } from 'vitest';
import { Gpt, languageLoss, makeOptimizer } from '../cli/gpt.ts';
import torch, { type Tensor } from '../index.ts';
import { GPT2LMHeadModel, generate, gpt2Config, LlamaForCausalLM, llamaConfig } from '../models/index.ts';
import { engineOf } from '../tensor/devices.ts';
import { flags } from '../util/flags.ts';
import { plansOf } from './index.ts';

const { statistics } = engineOf('cpu').programs;
afterEach(() => {
  flags.compileCheck = 0;
  flags.flush = 'lazy';
});

async function collect<T>(tokens: AsyncIterable<T>): Promise<T[]> {
  const out: T[] = [];
  for await (const token of tokens) out.push(token);
  return out;
}

const gpt2 = (): GPT2LMHeadModel =>
  new GPT2LMHeadModel(gpt2Config({ vocab_size: 60, n_positions: 256, n_embd: 32, n_layer: 2, n_head: 4, model_type: 'gpt2' })).eval();
const llama = (more: object): LlamaForCausalLM =>
  new LlamaForCausalLM(
    llamaConfig({
      model_type: 'mistral',
      vocab_size: 60,
      hidden_size: 32,
      intermediate_size: 48,
      num_hidden_layers: 2,
      num_attention_heads: 4,
      num_key_value_heads: 2,
      max_position_embeddings: 512,
      ...more,
    }),
  ).eval();

describe('generate', () => {
  test.each([
    ['gpt2', gpt2],
    ['llama', () => llama({})],
    ['a window of 40', () => llama({ sliding_window: 40 })],
  ])('%s: 200 tokens as in plain code, one prepared step, no program after the first ones', async (_, make) => {
    torch.manual_seed(3);
    const model = make();
    const options = { max_new_tokens: 200, do_sample: true, seed: 5 } as const;
    const plain = await collect(generate(model, [1, 2, 3], options));
    const compiled = torch.compile(model);
    expect(await collect(generate(compiled, [1, 2, 3], options))).toEqual(plain);
    const before = statistics.compiled;
    const rows = await collect(generate(compiled, [4, 5, 6, 7], options));
    expect(statistics.compiled - before).toBeLessThan(4);
    expect(plansOf(compiled)).toBeLessThan(9);
    expect(await collect(generate(model, [4, 5, 6, 7], options))).toEqual(rows);
    model.compile();
    expect(await collect(generate(model, [1, 2, 3], options))).toEqual(plain);
  });

  test('a prepared step ends where the cache does', () => {
    const model = llama({});
    const cache = model.make_cache(1, 40);
    const step = torch.compile((ids: Tensor, position: number) => model(ids, { cache, position }).logits);
    const ids = torch.tensor([[5]], { dtype: torch.int64 });
    torch.no_grad(() => {
      for (let position = 0; position < 40; position++) expect(step(ids, position).shape).toEqual([1, 1, 60]);
      expect(() => step(ids, 40)).toThrow('KVCache has room for 40 tokens, got tokens 40 to 40');
      expect(() => step(ids, 4000)).toThrow('KVCache has room for 40 tokens');
      expect(step(ids, 39).shape).toEqual([1, 1, 60]);
    });
  });

  test('a batch with padding', async () => {
    torch.manual_seed(3);
    const model = gpt2();
    const warn = vi.spyOn(console, 'warn');
    const prompts = [[1, 2, 3], [4]];
    const plain = await collect(generate(model, prompts, { max_new_tokens: 60 }));
    const compiled = torch.compile(model);
    expect(await collect(generate(compiled, prompts, { max_new_tokens: 60 }))).toEqual(plain);
    expect(plansOf(compiled)).toBeLessThan(6);
    expect(warn).not.toHaveBeenCalled();
    warn.mockRestore();
  });

  test('with the check at every fifth call', async () => {
    torch.manual_seed(3);
    const model = llama({ sliding_window: 20 });
    const plain = await collect(generate(model, [1, 2, 3], { max_new_tokens: 60 }));
    flags.compileCheck = 5;
    expect(await collect(generate(torch.compile(model), [1, 2, 3], { max_new_tokens: 60 }))).toEqual(plain);
  });
});

describe('training', () => {
  const config = { vocabulary: 40, layers: 2, heads: 2, width: 32, context: 16 };
  function train(how: 'plain' | 'step' | 'forward', steps: number): { losses: number[]; weights: unknown } {
    torch.manual_seed(7);
    const model = new Gpt(config);
    const optimizer = makeOptimizer(model, 1e-3);
    const loss = (x: Tensor, y: Tensor): Tensor => languageLoss(how === 'forward' ? compiled : model, x, y);
    const compiled = torch.compile(model);
    const step = (x: Tensor, y: Tensor): Tensor => {
      const l = loss(x, y);
      optimizer.zero_grad();
      l.backward();
      optimizer.step();
      return l;
    };
    const call = how === 'step' ? torch.compile(step) : step;
    const losses = Array.from({ length: steps }, () => {
      const data = torch.randint(0, 40, [4, 17]);
      return call(data.narrow(1, 0, 16), data.narrow(1, 1, 16)).item() as number;
    });
    return { losses, weights: model.parameters().map((p) => p.detach().tolist()) };
  }

  test("the command line's GPT trains 50 steps the same: whole steps, the forward only, with the check", () => {
    const plain = train('plain', 50);
    expect(train('step', 50)).toEqual(plain);
    expect(train('forward', 50)).toEqual(plain);
    flags.compileCheck = 7;
    expect(train('step', 50)).toEqual(plain);
  });

  test('a prepared step makes no calls and compiles nothing', () => {
    torch.manual_seed(7);
    const model = new Gpt(config);
    const optimizer = makeOptimizer(model, 1e-3);
    const step = torch.compile((x: Tensor, y: Tensor) => {
      const l = languageLoss(model, x, y);
      optimizer.zero_grad();
      l.backward();
      optimizer.step();
      return l;
    });
    const x = torch.randint(0, 40, [4, 16]);
    for (let i = 0; i < 4; i++) step(x, x);
    const { compiled, runs } = statistics;
    for (let i = 0; i < 10; i++) step(x, x);
    expect(statistics.compiled).toBe(compiled);
    expect(statistics.runs - runs).toBe(10);
    expect(engineOf('cpu').pendingNodes).toBe(0);
  });
});

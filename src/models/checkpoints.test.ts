/**
 * Checkpoints that transformers wrote, against what PyTorch made of them (`conformance/models`): logits, greedy tokens, eight steps of AdamW, and
 * how many programs decoding compiles.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import torch, { optim, type Tensor } from '../index.ts';
import { safe_open } from '../serialize/safetensors.ts';
import { engineOf } from '../tensor/devices.ts';
import { BertForMaskedLM, BertModel, from_pretrained, GPT2LMHeadModel, generate, LlamaForCausalLM } from './index.ts';

const shared = fileURLToPath(new URL('../../../shared/conformance/models/', import.meta.url));
const present = existsSync(join(shared, 'gpt2-tiny', 'golden.json'));
if (!present) console.warn(`checkpoints of ${shared} are not there: their tests are skipped`);

interface Golden {
  readonly input_ids: number[][];
  readonly attention_mask?: number[][];
  readonly logits_last?: number[][];
  readonly logits_mean: number[][];
  readonly hidden_last?: number[];
  readonly greedy24?: number[];
  readonly adamw_losses: number[];
}
const goldenOf = (name: string): Golden => JSON.parse(readFileSync(join(shared, name, 'golden.json'), 'utf8')) as Golden;
const int64 = (rows: readonly number[][], device = 'cpu'): Tensor => torch.tensor(rows, { dtype: torch.int64, device });

function largestDifference(got: Tensor, expected: readonly (readonly number[])[] | readonly number[]): number {
  const flat = expected.flat();
  const values = [...(got.detach().reshape(-1).numpy() as Float32Array)];
  expect(values.length).toBe(flat.length);
  return Math.max(...values.map((x, i) => (Number.isFinite(x) ? Math.abs(x - flat[i]) : Number.POSITIVE_INFINITY)));
}

function losses(model: GPT2LMHeadModel | LlamaForCausalLM | BertForMaskedLM, golden: Golden, device: string): number[] {
  const input_ids = int64(golden.input_ids, device);
  const attention_mask = golden.attention_mask === undefined ? null : int64(golden.attention_mask, device);
  const optimizer = new optim.AdamW(model.parameters(), { lr: 1e-3, weight_decay: 0.01 });
  model.train();
  return golden.adamw_losses.map(() => {
    const loss = model(input_ids, { attention_mask, labels: input_ids }).loss!;
    optimizer.zero_grad();
    loss.backward();
    optimizer.step();
    return loss.item();
  });
}

async function collect<T>(tokens: AsyncIterable<T>): Promise<T[]> {
  const out: T[] = [];
  for await (const token of tokens) out.push(token);
  return out;
}

const scratch: string[] = [];
const scratchFolder = (): string => {
  const folder = mkdtempSync(join(tmpdir(), 'magpie-models-'));
  scratch.push(folder);
  return folder;
};
afterAll(() => {
  for (const folder of scratch) rmSync(folder, { recursive: true });
});

describe.skipIf(!present)('checkpoints of ../shared/conformance/models (skipped where that folder is absent)', () => {
  describe.each(['cpu', 'wasm'])('on %s', (device) => {
    test.each([
      ['gpt2-tiny', GPT2LMHeadModel],
      ['llama-tiny', LlamaForCausalLM],
    ])('%s gives the logits that PyTorch gives', (name, as) => {
      const golden = goldenOf(name);
      const model = from_pretrained<GPT2LMHeadModel | LlamaForCausalLM>(join(shared, name), { device });
      expect(model).toBeInstanceOf(as);
      const { logits } = torch.no_grad(() => model(int64(golden.input_ids, device)));
      expect(largestDifference(logits.select(1, -1), golden.logits_last!)).toBeLessThan(1e-4);
      expect(largestDifference(logits.mean(-1), golden.logits_mean)).toBeLessThan(1e-4);
    });

    test('bert-tiny gives the logits and hidden states that PyTorch gives', () => {
      const golden = goldenOf('bert-tiny');
      const model = from_pretrained(join(shared, 'bert-tiny'), { device, as: BertForMaskedLM });
      const input_ids = int64(golden.input_ids, device);
      const attention_mask = int64(golden.attention_mask!, device);
      const [logits, hidden] = torch.no_grad(() => {
        const { last_hidden_state } = model.bert(input_ids, { attention_mask });
        return [model(input_ids, { attention_mask }).logits, last_hidden_state] as const;
      });
      expect(largestDifference(logits.mean(-1), golden.logits_mean)).toBeLessThan(1e-4);
      expect(largestDifference(hidden.reshape(-1).narrow(0, 0, 512), golden.hidden_last!)).toBeLessThan(1e-4);
    });

    test.each(['gpt2-tiny', 'llama-tiny', 'bert-tiny'])('%s has the losses of eight AdamW steps that PyTorch has', (name) => {
      const golden = goldenOf(name);
      const model = from_pretrained<GPT2LMHeadModel | LlamaForCausalLM | BertForMaskedLM>(join(shared, name), { device });
      const got = losses(model, golden, device);
      expect(Math.max(...got.map((x, i) => Math.abs(x - golden.adamw_losses[i])))).toBeLessThan(1e-4);
    });

    test.each(['gpt2-tiny', 'llama-tiny'])(
      '%s generates the tokens that PyTorch generates, and compiles nothing after the fourth',
      async (name) => {
        const golden = goldenOf(name);
        const model = from_pretrained<GPT2LMHeadModel | LlamaForCausalLM>(join(shared, name), { device });
        const tokens: number[] = [];
        const compiled: number[] = [];
        for await (const token of generate(model, golden.input_ids[0], { max_new_tokens: 24, stop_tokens: [] })) {
          tokens.push(token);
          compiled.push(engineOf(device).programs.statistics.compiled);
        }
        expect(tokens).toEqual(golden.greedy24!.slice(17));
        expect(compiled.at(-1)).toBe(compiled[3]);
      },
    );
  });

  test.each(['gpt2-tiny', 'llama-tiny'])('%s in a left-padded batch says what each prompt says alone', async (name) => {
    const golden = goldenOf(name);
    const model = from_pretrained<GPT2LMHeadModel | LlamaForCausalLM>(join(shared, name));
    const prompts = [golden.input_ids[0], golden.input_ids[1].slice(0, 5), golden.input_ids[1]];
    const options = { max_new_tokens: 6, stop_tokens: [] };
    const alone = await Promise.all(prompts.map((prompt) => collect(generate(model, prompt, options))));
    const together = await collect(generate(model, prompts, options));
    expect(prompts.map((_, row) => together.map((step) => step[row]))).toEqual(alone);
  });

  test.each(['gpt2-tiny', 'llama-tiny'])('%s computes the same logits in pieces through a cache as at once', (name) => {
    const golden = goldenOf(name);
    const model = from_pretrained<GPT2LMHeadModel | LlamaForCausalLM>(join(shared, name));
    const input_ids = int64(golden.input_ids);
    const [whole, pieces] = torch.no_grad(() => {
      const cache = model.make_cache(2, 32);
      const parts = [0, 4, 5, 12].map((from, i, starts) => {
        const part = input_ids.narrow(1, from, (starts[i + 1] ?? 17) - from);
        return model(part, { cache, position: from }).logits;
      });
      return [model(input_ids).logits, torch.cat(parts, 1)];
    });
    expect(whole.sub(pieces).abs().max().item()).toBeLessThan(1e-5);
  });

  test.each(['gpt2-tiny', 'llama-tiny', 'bert-tiny'])('%s is saved with the keys and values that transformers wrote', (name) => {
    const folder = scratchFolder();
    const model = from_pretrained(join(shared, name));
    model.save_pretrained(folder);
    using before = safe_open(join(shared, name, 'model.safetensors'));
    using after = safe_open(join(folder, 'model.safetensors'));
    expect(after.keys().sort()).toEqual(before.keys().sort());
    expect(after.metadata()).toEqual({ format: 'pt' });
    for (const key of before.keys()) expect(torch.equal(before.get_tensor(key), after.get_tensor(key))).toBe(true);
    const config = (of: string): unknown => JSON.parse(readFileSync(join(of, 'config.json'), 'utf8'));
    expect(config(folder)).toEqual(config(join(shared, name)));
    expect(from_pretrained(folder).state_dict().size).toBe(model.state_dict().size);
  });

  test.each(['gpt2-tiny', 'llama-tiny'])('%s in bfloat16 stays in it, cache too, and says nearly the same', async (name) => {
    const golden = goldenOf(name);
    const model = from_pretrained<GPT2LMHeadModel | LlamaForCausalLM>(join(shared, name), { dtype: torch.bfloat16 });
    const { logits } = torch.no_grad(() => model(int64(golden.input_ids)));
    expect(logits.dtype).toBe(torch.bfloat16);
    expect(model.make_cache(1, 8).keys[0].dtype).toBe(torch.bfloat16);
    expect(largestDifference(logits.select(1, -1).float(), golden.logits_last!)).toBeLessThan(0.01);
    const tokens = await collect(generate(model, golden.input_ids[0], { max_new_tokens: 4, stop_tokens: [] }));
    expect(tokens).toEqual(golden.greedy24!.slice(17, 21));
  });

  test('a masked-language checkpoint loads as the encoder without a pooler, and converts to bfloat16', () => {
    const model = from_pretrained(join(shared, 'bert-tiny'), { as: BertModel, dtype: torch.bfloat16 });
    expect(model.pooler).toBe(null);
    expect(new Set(model.parameters().map((p) => p.dtype.name))).toEqual(new Set(['bfloat16']));
  });
});

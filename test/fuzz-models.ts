/**
 * Mutated files of models through their readers: safetensors, config.json, tokenizer.json, files of torch.save, and whole folders. Readers of tensors
 * may take no more memory than the file has bytes.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import torch, { nn } from '../src/index.ts';
import { AutoTokenizer, configFrom, from_pretrained, LlamaForCausalLM, llamaConfig } from '../src/models/index.ts';
import { tokenizerFolder } from '../src/models/test-support.ts';
import { load, save } from '../src/serialize/safetensors.ts';
import { parseSafetensors, SafetensorsError } from '../src/serialize/safetensors-format.ts';
import { engineOf } from '../src/tensor/devices.ts';
import { type FuzzCounts, fuzz, seeded } from './mutations.ts';

/** Runs `body`, which may allocate at most so many bytes of tensors (each of which is rounded up a little). */
function within<T>(bytes: number, body: () => T): T {
  const { backend } = engineOf('cpu');
  const before = backend.stats().liveBytes;
  const result = body();
  const grown = backend.stats().liveBytes - before;
  if (grown > 2 * bytes + 65_536) throw new Error(`${grown} bytes allocated for a file of ${bytes}`);
  return result;
}

export function fuzzSafetensors(count: number, seed: number): FuzzCounts {
  const tensors = { a: torch.ones(3, 4), 'b.c': torch.ones(5).to(torch.bfloat16), empty: torch.zeros(0, 2), i: torch.arange(3) };
  const bytes = save(tensors, { format: 'pt', note: 'ünï' });
  const head = 8 + Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  return fuzz([{ bytes, head }], { count, seed, error: SafetensorsError }, (broken, file) => {
    const { tensors: found } = parseSafetensors(broken, file);
    for (const [name, { begin, end }] of found)
      if (begin < 8 || begin > end || end > broken.byteLength) throw new Error(`${name} lies at ${begin} to ${end}`);
    within(broken.byteLength, () => {
      try {
        load(broken);
      } catch (error) {
        // `load` has no file's name to say.
        if (error instanceof SafetensorsError) throw new SafetensorsError(error.message, file);
        throw error;
      }
    });
  });
}

const nasty = [
  null,
  true,
  -1,
  0,
  0.5,
  1e308,
  2 ** 53,
  '',
  '𝕏',
  [],
  {},
  [[]],
  { a: 1 },
  '__proto__',
  'x'.repeat(300),
  [1, 'x', null],
  2 ** 26,
];

/** A copy of JSON with a few values replaced, taken out or doubled somewhere in it. */
function brokenJson(json: unknown, random: (below: number) => number): unknown {
  const copy = structuredClone(json);
  for (let left = 1 + random(3); left > 0; left--) {
    let at = copy as Record<string, unknown>;
    for (;;) {
      const keys = Object.keys(at);
      if (keys.length === 0) break;
      const key = keys[random(keys.length)];
      const value = at[key];
      if (typeof value === 'object' && value !== null && random(4) > 0) {
        at = value as Record<string, unknown>;
        continue;
      }
      if (random(5) === 0) delete at[key];
      else at[random(6) === 0 ? 'added' : key] = structuredClone(nasty[random(nasty.length)]);
      break;
    }
  }
  return copy;
}

/** Half of the mutations are of the text, half of what it says. */
function fuzzJson(
  files: readonly object[],
  { count, seed }: { readonly count: number; readonly seed: number },
  read: (text: string, file: string) => void,
): FuzzCounts {
  const encoder = new TextEncoder();
  const texts = files.map((json) => encoder.encode(JSON.stringify(json))).map((bytes) => ({ bytes, head: bytes.byteLength }));
  const random = seeded(seed + 1);
  let i = 0;
  return fuzz(texts, { count, seed, error: Error }, (bytes, file) => {
    const text = i++ % 2 === 0 ? new TextDecoder().decode(bytes) : JSON.stringify(brokenJson(files[random(files.length)], random));
    read(text, file);
  });
}

const common = {
  vocab_size: 13,
  hidden_size: 8,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  intermediate_size: 6,
  max_position_embeddings: 8,
};
const llama = { model_type: 'llama', ...common, num_key_value_heads: 1, eos_token_id: [1, 2], dtype: 'float32', hidden_act: 'silu' };
const yarn = {
  rope_type: 'yarn',
  rope_theta: 10000,
  factor: 4,
  original_max_position_embeddings: 8,
  beta_fast: 32,
  beta_slow: 1,
  truncate: true,
};
const configs = [
  llama,
  { ...llama, model_type: 'qwen2', rope_parameters: yarn, use_sliding_window: true, sliding_window: 4, layer_types: ['sliding_attention'] },
  {
    ...llama,
    rope_scaling: { type: 'longrope', short_factor: [1, 2], long_factor: [1, 2], factor: 2, original_max_position_embeddings: 4 },
  },
  { model_type: 'gpt2', vocab_size: 13, n_positions: 8, n_embd: 8, n_layer: 1, n_head: 2, architectures: ['GPT2LMHeadModel'] },
  { model_type: 'bert', ...common, type_vocab_size: 2, id2label: { 0: 'a', 1: 'b' }, architectures: ['BertModel'], pad_token_id: 0 },
] as const;

export const fuzzConfig = (count: number, seed: number): FuzzCounts =>
  fuzzJson(configs, { count, seed }, (text, file) => {
    let json: unknown;
    try {
      json = JSON.parse(text);
    } catch (error) {
      throw new SyntaxError(`${file}: ${(error as Error).message}`);
    }
    configFrom(json, file);
  });

/** A folder for what is read from disk; removed afterwards. */
function withFolder<T>(body: (folder: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), 'magpie-fuzz-'));
  try {
    return body(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
/** Errors name the file in the folder; the fuzzer knows another name. */
function named<T>(folder: string, file: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    const { message } = error as Error;
    if (message.includes(folder) && !/^internal:|is not a function|of undefined|of null|Invalid typed array/.test(message))
      throw new Error(`${file}: ${message}`);
    throw error;
  }
}

export const fuzzTokenizer = (count: number, seed: number): FuzzCounts =>
  withFolder((folder) => {
    const files = tokenizerFolder();
    writeFileSync(join(folder, 'tokenizer_config.json'), JSON.stringify(files['tokenizer_config.json']));
    return fuzzJson([files['tokenizer.json']], { count, seed }, (text, file) => {
      writeFileSync(join(folder, 'tokenizer.json'), text);
      named(folder, file, () => AutoTokenizer.from_pretrained(folder));
    });
  });

/** config.json, its weights and generation_config.json together. */
export const fuzzFolder = (count: number, seed: number): FuzzCounts =>
  withFolder((folder) => {
    new LlamaForCausalLM(llamaConfig(llama)).save_pretrained(folder);
    const weights = join(folder, 'model.safetensors');
    const bytes = new Uint8Array(readFileSync(weights));
    const head = 8 + Number(new DataView(bytes.buffer).getBigUint64(0, true));
    const random = seeded(seed + 2);
    return fuzz([{ bytes, head }], { count, seed, error: Error }, (broken, file) => {
      const which = random(3);
      writeFileSync(weights, which === 0 ? broken : bytes);
      writeFileSync(join(folder, 'config.json'), JSON.stringify(which === 1 ? brokenJson(llama, random) : llama));
      const generation = { eos_token_id: [1, 2], temperature: 0.5, do_sample: true };
      writeFileSync(join(folder, 'generation_config.json'), JSON.stringify(which === 2 ? brokenJson(generation, random) : generation));
      within(broken.byteLength, () => named(folder, file, () => from_pretrained(folder)));
    });
  });

export function fuzzTorch(count: number, seed: number): FuzzCounts {
  const value = {
    model: new nn.Sequential(new nn.Linear(3, 2), new nn.BatchNorm1d(2)).state_dict(),
    list: [1, 2.5, 'text', null, 2n ** 70n, Object.freeze([1, 2]), new Set([1]), Uint8Array.of(1, 2)],
    half: torch.ones([3, 4]).to(torch.bfloat16).t(),
    param: new nn.Parameter(torch.ones([2])),
  };
  const files = [true, false].map((zip) => {
    const bytes = torch.save(value, null, { _use_new_zipfile_serialization: zip });
    return { bytes, head: bytes.byteLength };
  });
  const random = seeded(seed + 3);
  return fuzz(files, { count, seed, error: Error }, (broken, file) =>
    within(broken.byteLength, () => {
      try {
        torch.load(broken, { weights_only: random(2) === 0 });
      } catch (error) {
        // Bytes have no name; an error of these kinds says what is wrong with them.
        const { name, message } = error as Error;
        if (['Error', 'UnpicklingError'].includes(name) && !/^internal:|is not a function|of undefined|of null|out of range/.test(message))
          throw new Error(`${file}: ${message}`);
        throw error;
      }
    }),
  );
}

export const modelFuzzers = {
  safetensors: [fuzzSafetensors, 0.4],
  'config.json': [fuzzConfig, 0.2],
  'tokenizer.json': [fuzzTokenizer, 0.1],
  'files of torch.save': [fuzzTorch, 0.28],
  'whole folders': [fuzzFolder, 0.02],
} as const;

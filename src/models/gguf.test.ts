/**
 * Models from GGUF files: stories260K's recorded tokens; small models written as GGUF, which come back as they were, in every type of weight; files that
 * are not what they say. (SmolLM2 is in test/long.)
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { fuzz, seeded } from '../../test/mutations.ts';
import torch, { type Tensor } from '../index.ts';
import { moveInPlace } from '../nn/parameter.ts';
import { decodeBlocks } from '../quant/ggml-blocks.ts';
import { encodeBlocks } from '../quant/ggml-encode.ts';
import { GGUFEmbedding, GGUFLinear } from '../quant/ggml-modules.ts';
import { type GgmlTypeName, ggmlRowBytes, ggmlTypes } from '../quant/ggml-types.ts';
import { GgufError, type GgufInput, type GgufTensorData, readGguf, serializeGguf, writeGguf } from '../serialize/gguf/index.ts';
import { engineOf } from '../tensor/devices.ts';
import { type FromGgufOptions, from_gguf, type GgufModel } from './gguf.ts';
import { planGguf } from './gguf-config.ts';
import { HalfLinear } from './gguf-layers.ts';
import { GPT2LMHeadModel, generate, gpt2Config, LlamaForCausalLM, llamaConfig } from './index.ts';
import { ropeFrequencies } from './rope.ts';

const folder = fileURLToPath(new URL('../../../shared/models/stories260k/', import.meta.url));
const present = existsSync(join(folder, 'stories260K.gguf'));
if (!present) console.warn(`${folder} is not there: the test of stories260K.gguf is skipped`);

interface Golden {
  readonly runs: readonly { readonly prompt_ids: number[]; readonly greedy_ids: number[] }[];
}

describe.skipIf(!present)('stories260K.gguf (skipped where ../shared/models is absent)', () => {
  test.each(['cpu', 'wasm', 'reference'])('tells the recorded stories on %s', async (device) => {
    const golden = JSON.parse(readFileSync(join(folder, 'golden.json'), 'utf8')) as Golden;
    const model = from_gguf(join(folder, 'stories260K.gguf'), { device });
    expect(model.config).toMatchObject({
      num_key_value_heads: 4,
      rms_norm_eps: expect.closeTo(1e-5, 10),
      eos_token_id: [2],
      bos_token_id: 1,
    });
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

// ---- small models as files

type Metadata = Record<string, GgufInput>;
/** By the name in GGUF: the weight, and heads whose rows are pairs there. */
type Weights = Map<string, { readonly weight: Tensor; readonly heads?: number; readonly vector?: boolean }>;

const family = { llama: {}, qwen2: {}, qwen3: { head_dim: 16 } } as const;
type Family = keyof typeof family;

/** Norms and biases that are not trivial. */
function disturb(model: GgufModel): void {
  torch.no_grad(() => {
    for (const p of model.parameters()) if (p.ndim === 1) p.add_(torch.randn(...p.shape).mul(0.1));
  });
}

function tinyLlama(model_type: Family, extra: Readonly<Record<string, unknown>> = {}): LlamaForCausalLM {
  const model = new LlamaForCausalLM(
    llamaConfig({
      ...{
        model_type,
        vocab_size: 40,
        hidden_size: 32,
        intermediate_size: 64,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: 2,
      },
      ...{ initializer_range: 0.3, rms_norm_eps: 1e-5, max_position_embeddings: 64, rope_theta: 10000, ...family[model_type], ...extra },
    }),
  );
  disturb(model);
  return model.eval();
}

function llamaMetadata({ config }: LlamaForCausalLM, architecture: string = config.model_type): Metadata {
  const key = (name: string): string => `${architecture}.${name}`;
  return {
    'general.architecture': architecture,
    [key('block_count')]: config.num_hidden_layers,
    [key('context_length')]: config.max_position_embeddings,
    [key('embedding_length')]: config.hidden_size,
    [key('feed_forward_length')]: config.intermediate_size,
    [key('attention.head_count')]: config.num_attention_heads,
    [key('attention.head_count_kv')]: config.num_key_value_heads,
    [key('attention.key_length')]: config.head_dim,
    [key('attention.layer_norm_rms_epsilon')]: config.rms_norm_eps,
    [key('rope.freq_base')]: config.rope.rope_theta,
    'tokenizer.ggml.bos_token_id': 1,
    'tokenizer.ggml.eos_token_id': 2,
    'tokenizer.ggml.eot_token_id': 3,
    'tokenizer.ggml.padding_token_id': 2,
  };
}

function llamaWeights({ model, lm_head, config }: LlamaForCausalLM): Weights {
  const out: Weights = new Map();
  const paired = config.model_type === 'llama';
  const linear = (name: string, layer: { weight: Tensor; bias: Tensor | null }, heads?: number): void => {
    const turned = paired && heads !== undefined ? { heads } : {};
    out.set(`${name}.weight`, { weight: layer.weight, ...turned });
    if (layer.bias !== null) out.set(`${name}.bias`, { weight: layer.bias, vector: true, ...turned });
  };
  const vector = (name: string, weight: Tensor): unknown => out.set(`${name}.weight`, { weight, vector: true });
  out.set('token_embd.weight', { weight: model.embed_tokens.weight });
  [...model.layers].forEach(({ self_attn: a, mlp, input_layernorm, post_attention_layernorm }, i) => {
    const at = `blk.${i}`;
    vector(`${at}.attn_norm`, input_layernorm.weight!);
    linear(`${at}.attn_q`, a.q_proj, config.num_attention_heads);
    linear(`${at}.attn_k`, a.k_proj, config.num_key_value_heads);
    linear(`${at}.attn_v`, a.v_proj);
    linear(`${at}.attn_output`, a.o_proj);
    if (a.q_norm !== null) vector(`${at}.attn_q_norm`, a.q_norm.weight!);
    if (a.k_norm !== null) vector(`${at}.attn_k_norm`, a.k_norm.weight!);
    vector(`${at}.ffn_norm`, post_attention_layernorm.weight!);
    linear(`${at}.ffn_gate`, mlp.gate_proj);
    linear(`${at}.ffn_up`, mlp.up_proj);
    linear(`${at}.ffn_down`, mlp.down_proj);
  });
  vector('output_norm', model.norm.weight!);
  if (!config.tie_word_embeddings) out.set('output.weight', { weight: lm_head.weight });
  return out;
}

/** Rows (i, i + half) of each head become rows (2 i, 2 i + 1), as llama.cpp's converter does it. */
const together = (weight: Tensor, heads: number): Tensor => {
  const [rows, inputs] = [weight.shape[0], weight.shape[1] ?? 1];
  return weight
    .reshape(heads, 2, rows / heads / 2, inputs)
    .transpose(1, 2)
    .reshape(...weight.shape);
};

/** Matrices of a type, vectors of float32; `random` blocks where the type has no encoder. */
function fileTensors(weights: Weights, type: GgmlTypeName = 'F32'): GgufTensorData[] {
  const random = seeded(5);
  return [...weights].map(([name, { weight, heads, vector = false }]) => {
    const { shape } = weight;
    const ordered = heads === undefined ? weight.detach() : together(weight.detach(), heads);
    const numbers = ordered.reshape(-1).numpy() as Float32Array;
    const of = vector ? 'F32' : type;
    const data = Object.hasOwn(scalesOf, of) ? randomBlocks(of, numbers.length, random) : encodeBlocks(of, numbers);
    return { name, type: of, shape, data };
  });
}

/** Where a block's scales are: the types without an encoder get random bytes with scales that suit a weight. */
const scalesOf: Readonly<Partial<Record<GgmlTypeName, readonly number[]>>> = {
  Q4_K: [0, 2],
  Q5_K: [0, 2],
  Q6_K: [208],
  Q2_K: [80, 82],
  IQ4_NL: [0],
  IQ2_XXS: [0],
};
function randomBlocks(type: GgmlTypeName, count: number, random: (below: number) => number): Uint8Array {
  const { blockBytes } = ggmlTypes[type];
  const bytes = Uint8Array.from({ length: ggmlRowBytes(type, count) }, () => random(256));
  for (let at = 0; at < bytes.byteLength; at += blockBytes)
    for (const scale of scalesOf[type]!)
      bytes.set(encodeBlocks('F16', Float32Array.of((random(100) + 50) * (type === 'Q6_K' ? 2e-6 : 4e-6))), at + scale);
  return bytes;
}

const tokens = torch.tensor([
  [1n, 5n, 9n, 30n, 2n, 7n],
  [3n, 3n, 0n, 11n, 39n, 8n],
]);
const logitsOf = (model: GgufModel): Tensor => torch.no_grad(() => (model as LlamaForCausalLM)(tokens).logits);
const apart = (a: Tensor, b: Tensor): number => a.sub(b).abs().max().item() as number;
const read = (contents: Parameters<typeof serializeGguf>[0], options: FromGgufOptions = {}): LlamaForCausalLM =>
  from_gguf(readGguf(serializeGguf(contents), 'f.gguf'), options);

describe.each(Object.keys(family) as Family[])('a model of type %s', (type) => {
  test.each([false, true])('in float32 comes back as it was (tied: %s)', (tie_word_embeddings) => {
    torch.manual_seed(1);
    const model = tinyLlama(type, { tie_word_embeddings });
    const again = read({ metadata: llamaMetadata(model), tensors: fileTensors(llamaWeights(model)) });
    expect(again.config.model_type).toBe(type);
    expect([...again.state_dict().keys()]).toEqual([...model.state_dict().keys()]);
    for (const [name, tensor] of model.state_dict())
      expect([name, torch.equal(again.state_dict().get(name)!, tensor)]).toEqual([name, true]);
    expect(again.lm_head.weight === again.model.embed_tokens.weight).toBe(tie_word_embeddings);
    expect(apart(logitsOf(again), logitsOf(model))).toBe(0);
    expect(again.training).toBe(false);
  });
});

test('special tokens of the file are what generation stops at', () => {
  const model = tinyLlama('llama');
  const again = read({ metadata: llamaMetadata(model), tensors: fileTensors(llamaWeights(model)) });
  expect(again.generation_config).toMatchObject({ eos_token_id: [2, 3], pad_token_id: 2 });
  expect(again.config).toMatchObject({ eos_token_id: [2, 3], bos_token_id: 1 });
});

test('a llama with biases everywhere comes back as it was, its rotary biases in order', () => {
  const model = tinyLlama('llama', { attention_bias: true, mlp_bias: true });
  const again = read({ metadata: llamaMetadata(model), tensors: fileTensors(llamaWeights(model)) });
  for (const [name, tensor] of model.state_dict()) expect([name, torch.equal(again.state_dict().get(name)!, tensor)]).toEqual([name, true]);
});

const wide = { hidden_size: 256, intermediate_size: 256, num_hidden_layers: 1 };

describe('weights stay as they are in the file', () => {
  test.each(['Q4_0', 'Q4_1', 'Q5_0', 'Q5_1', 'Q8_0', 'Q4_K', 'Q5_K', 'Q6_K'] as const)('%s, in blocks', (type) => {
    torch.manual_seed(2);
    const model = tinyLlama('llama', { ...wide, tie_word_embeddings: true, initializer_range: 0.05 });
    const contents = { metadata: llamaMetadata(model), tensors: fileTensors(llamaWeights(model), type) };
    const blocks = read(contents);
    const { down_proj } = [...blocks.model.layers][0].mlp as unknown as { down_proj: GGUFLinear };
    expect(down_proj).toBeInstanceOf(GGUFLinear);
    expect([down_proj.in_features, down_proj.out_features, down_proj.ggml_type]).toEqual([256, 256, type]);
    const inFile = contents.tensors.find(({ name }) => name === 'blk.0.ffn_down.weight')!.data;
    expect(down_proj.weight.dtype).toBe(torch.uint8);
    expect(new Uint8Array(down_proj.weight.reshape(-1).numpy() as Uint8Array)).toEqual(inFile);
    expect(blocks.model.embed_tokens).toBeInstanceOf(GGUFEmbedding);
    // Tied: one storage.
    expect(blocks.lm_head.weight).toBe(blocks.model.embed_tokens.weight);
    const numbers = read(contents, { dequantize: true });
    expect([...numbers.model.layers][0].mlp.down_proj.weight.dtype).toBe(torch.float32);
    const out = new Float32Array(256 * 256);
    decodeBlocks(type, inFile, out);
    expect(new Float32Array([...numbers.model.layers][0].mlp.down_proj.weight.detach().reshape(-1).numpy() as Float32Array)).toEqual(out);
    const expected = logitsOf(numbers);
    expect(expected.abs().max().item()).toBeGreaterThan(0.01);
    expect(apart(logitsOf(blocks), expected)).toBeLessThan(1e-4 * Math.max(1, expected.abs().max().item() as number));
  });

  test.each(['F16', 'BF16'] as const)('%s, as parameters of that dtype, computed in float32', async (type) => {
    torch.manual_seed(3);
    const dtype = type === 'F16' ? torch.float16 : torch.bfloat16;
    const tie_word_embeddings = type === 'F16';
    const model = tinyLlama('qwen2', { tie_word_embeddings });
    torch.no_grad(() => {
      for (const p of model.parameters()) if (p.ndim === 2) p.copy_(p.to(dtype).float());
    });
    const half = read({ metadata: llamaMetadata(model), tensors: fileTensors(llamaWeights(model), type) });
    for (const [name, tensor] of half.state_dict()) expect([name, tensor.dtype]).toEqual([name, tensor.ndim === 2 ? dtype : torch.float32]);
    expect(half.lm_head.weight === half.model.embed_tokens.weight).toBe(tie_word_embeddings);
    const logits = logitsOf(half);
    expect(logits.dtype).toBe(torch.float32);
    expect(apart(logits, logitsOf(model))).toBeLessThan(1e-5);
    const [ours, theirs]: number[][] = [[], []];
    for await (const token of generate(half, [1, 5, 9], { max_new_tokens: 8, stop_tokens: [] })) ours.push(token);
    for await (const token of generate(model, [1, 5, 9], { max_new_tokens: 8, stop_tokens: [] })) theirs.push(token);
    expect(ours).toEqual(theirs);
  });

  test('a half-precision weight is read once for one token, and not widened in memory', () => {
    const layer = new HalfLinear(64, 96, { bias: true });
    moveInPlace(layer.weight, layer.weight.half());
    const x = torch.randn(1, 64);
    const run = (): Tensor => torch.no_grad(() => layer(x));
    const expected = run().tolist();
    const { statistics } = engineOf('cpu').programs;
    const before = statistics.kernels;
    expect(run().tolist()).toEqual(expected);
    expect(statistics.kernels - before).toBe(1);
    const wide = torch.no_grad(() => x.matmul(layer.weight.float().t()).add(layer.bias!));
    expect(
      apart(
        torch.no_grad(() => layer(x)),
        wide,
      ),
    ).toBeLessThan(1e-5);
  });

  test('each in its own type in one file', () => {
    torch.manual_seed(4);
    const model = tinyLlama('llama', { initializer_range: 0.1 });
    const types = ['F32', 'Q8_0', 'F16', 'Q5_1'] as const;
    const weights = llamaWeights(model);
    const byType = new Map(types.map((type) => [type, fileTensors(weights, type)]));
    const tensors = [...weights.keys()].map((_, i) => byType.get(types[i % types.length])![i]);
    const metadata = llamaMetadata(model);
    const mixed = logitsOf(read({ metadata, tensors }));
    expect(apart(mixed, logitsOf(read({ metadata, tensors }, { dequantize: true })))).toBeLessThan(1e-4);
    expect(apart(mixed, logitsOf(model))).toBeLessThan(0.5);
  });

  test('a type that no product reads is named, and can be made float32 where its blocks are known', () => {
    const model = tinyLlama('llama', wide);
    const contents = (type: GgmlTypeName) => ({ metadata: llamaMetadata(model), tensors: fileTensors(llamaWeights(model), type) });
    expect(() => read(contents('Q2_K'))).toThrow(
      /no product reads blocks of type Q2_K, only .*dequantize: true.*\n {2}in f\.gguf, tensor "token_embd.weight", byte/,
    );
    expect(read(contents('Q2_K'), { dequantize: true }).lm_head.weight.dtype).toBe(torch.float32);
    expect(() => read(contents('IQ2_XXS'), { dequantize: true })).toThrow(/weights of type IQ2_XXS cannot be read/);
  });

  test('progress is told for every tensor', () => {
    const model = tinyLlama('qwen3');
    const tensors = fileTensors(llamaWeights(model));
    const seen: string[] = [];
    read({ metadata: llamaMetadata(model), tensors }, { progress: (done, total, name) => seen.push(`${done}/${total} ${name}`) });
    expect(seen.length).toBe(tensors.length);
    expect(seen.at(-1)).toBe(`${tensors.length}/${tensors.length} output.weight`);
  });
});

describe('rotary positions', () => {
  const scaling = {
    rope_type: 'llama3',
    factor: 8,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 32,
  } as const;

  test('as a tensor of divisors are those of the config that was converted', () => {
    const model = tinyLlama('llama', { rope_scaling: scaling, hidden_size: 64 });
    const { head_dim, rope } = model.config;
    const plain = ropeFrequencies({ rope_type: 'default', rope_theta: 10000 }, head_dim);
    const factors = plain.map((f, i) => f / ropeFrequencies(rope, head_dim)[i]);
    expect(Math.max(...factors)).toBe(8);
    const extra: GgufTensorData = { name: 'rope_freqs.weight', type: 'F32', shape: [head_dim / 2], data: new Uint8Array(factors.buffer) };
    const weights = fileTensors(llamaWeights(model));
    const metadata = llamaMetadata(model);
    const expected = logitsOf(model);
    expect(apart(logitsOf(read({ metadata, tensors: [...weights, extra] })), expected)).toBeLessThan(1e-5);
    expect(apart(logitsOf(read({ metadata, tensors: weights })), expected)).toBeGreaterThan(1e-3);
    const wrong = (change: Partial<GgufTensorData>) => () => read({ metadata, tensors: [...weights, { ...extra, ...change }] });
    expect(wrong({ shape: [2], data: new Uint8Array(8) })).toThrow(
      /F32 of shape \[8\] is expected, got F32 of shape \[2\]\n.*"rope_freqs\.weight"/,
    );
    expect(wrong({ data: new Uint8Array(32) })).toThrow(/should be positive numbers/);
  });

  test('scaled linearly are those of the config that was converted', () => {
    const model = tinyLlama('llama', { rope_scaling: { rope_type: 'linear', factor: 4 } });
    const tensors = fileTensors(llamaWeights(model));
    const metadata = { ...llamaMetadata(model), 'llama.rope.scaling.type': 'linear', 'llama.rope.scaling.factor': 4 };
    expect(apart(logitsOf(read({ metadata, tensors })), logitsOf(model))).toBe(0);
    expect(() => read({ metadata: { ...metadata, 'llama.rope.scaling.type': 'longrope' }, tensors })).toThrow(
      /rotary scaling "longrope" is not supported, only none, linear and yarn\n.*key "llama\.rope\.scaling\.type"/,
    );
    expect(() => read({ metadata: { ...metadata, 'llama.rope.scaling.factor': -4 }, tensors })).toThrow(
      /a positive number is expected, got -4/,
    );
  });

  test('scaled by yarn are those of the config that was converted', () => {
    const model = tinyLlama('qwen2', {
      hidden_size: 128,
      rope_scaling: { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 32 },
    });
    const tensors = fileTensors(llamaWeights(model));
    const metadata = {
      ...llamaMetadata(model),
      ...{ 'qwen2.rope.scaling.type': 'yarn', 'qwen2.rope.scaling.factor': 4, 'qwen2.rope.scaling.original_context_length': 32 },
    };
    const again = read({ metadata, tensors });
    expect(again.config.rope).toEqual({ ...model.config.rope, attention_factor: expect.closeTo(0.1 * Math.log(4) + 1, 6) });
    expect(apart(logitsOf(again), logitsOf(model))).toBeLessThan(1e-5);
  });
});

test.each(['F32', 'F16', 'Q8_0'] as const)('GPT-2 in %s comes back as it was, its matrices transposed', (type) => {
  torch.manual_seed(6);
  const config = gpt2Config({ vocab_size: 40, n_embd: 32, n_layer: 2, n_head: 4, n_positions: 64, n_inner: 64, initializer_range: 0.2 });
  const model = new GPT2LMHeadModel(config).eval();
  disturb(model);
  const weights: Weights = new Map();
  const add = (name: string, { weight, bias }: { weight: Tensor; bias: Tensor | null }): void => {
    weights.set(`${name}.weight`, weight.ndim === 1 ? { weight, vector: true } : { weight: weight.detach().t().contiguous() });
    weights.set(`${name}.bias`, { weight: bias!, vector: true });
  };
  weights.set('token_embd.weight', { weight: model.transformer.wte.weight });
  weights.set('position_embd.weight', { weight: model.transformer.wpe.weight });
  [...model.transformer.h].forEach(({ ln_1, attn, ln_2, mlp }, i) => {
    const parts = {
      attn_norm: ln_1,
      attn_qkv: attn.c_attn,
      attn_output: attn.c_proj,
      ffn_norm: ln_2,
      ffn_up: mlp.c_fc,
      ffn_down: mlp.c_proj,
    };
    for (const [name, part] of Object.entries(parts)) add(`blk.${i}.${name}`, part as { weight: Tensor; bias: Tensor });
  });
  add('output_norm', model.transformer.ln_f as { weight: Tensor; bias: Tensor });
  const metadata = {
    ...{ 'general.architecture': 'gpt2', 'gpt2.block_count': 2, 'gpt2.context_length': 64, 'gpt2.embedding_length': 32 },
    ...{ 'gpt2.feed_forward_length': 64, 'gpt2.attention.head_count': 4, 'gpt2.attention.layer_norm_epsilon': 1e-5 },
  };
  const bytes = serializeGguf({
    metadata,
    types: new Map([['gpt2.attention.layer_norm_epsilon', 'float32']]),
    tensors: fileTensors(weights, type),
  });
  const again = from_gguf<GPT2LMHeadModel>(readGguf(bytes));
  expect(again).toBeInstanceOf(GPT2LMHeadModel);
  expect(again.lm_head.weight).toBe(again.transformer.wte.weight);
  expect(apart(logitsOf(again), logitsOf(model))).toBeLessThan({ F32: 1e-5, F16: 1e-2, Q8_0: 0.3 }[type]);
  expect(apart(logitsOf(again), logitsOf(from_gguf<GPT2LMHeadModel>(readGguf(bytes), { dequantize: true })))).toBeLessThan(1e-4);
});

// ---- files that are not what they say

const scratch = mkdtempSync(join(tmpdir(), 'magpie-gguf-model-'));
afterAll(() => rmSync(scratch, { recursive: true }));

describe('a model that does not fit its metadata is refused, by name', () => {
  const model = tinyLlama('llama');
  const metadata = llamaMetadata(model);
  const tensors = fileTensors(llamaWeights(model));
  const without = (key: string): Metadata => Object.fromEntries(Object.entries(metadata).filter(([name]) => name !== key));

  test.each<[string, Metadata, RegExp]>([
    [
      'an architecture that is not known',
      { ...metadata, 'general.architecture': 'mamba' },
      /architecture "mamba" is not among llama, qwen2, qwen3, gpt2\n {2}in f\.gguf, key "general\.architecture"/,
    ],
    ['no architecture', without('general.architecture'), /architecture nothing is not among/],
    ['no width', without('llama.embedding_length'), /a positive integer is expected, got nothing\n.*key "llama\.embedding_length"/],
    ['a width that is text', { ...metadata, 'llama.embedding_length': '32' }, /a number is expected, got "32"/],
    ['a width of zero', { ...metadata, 'llama.embedding_length': 0 }, /a positive integer is expected, got 0/],
    [
      'another width',
      { ...metadata, 'llama.embedding_length': 64 },
      /size mismatch for token_embd\.weight: shape \[40, 32\] in the file, \[40, 64\] in the model/,
    ],
    ['four billion layers', { ...metadata, 'llama.block_count': 2 ** 32 - 1 }, /4294967295 layers, but the file has \d+ tensors/],
    ['a layer more', { ...metadata, 'llama.block_count': 3 }, /Missing tensor\(s\): "blk\.2\.attn_norm\.weight"/],
    ['a layer less', { ...metadata, 'llama.block_count': 1 }, /Unexpected tensor\(s\): "blk\.1\.attn_norm\.weight"/],
    ['heads of a billion channels', { ...metadata, 'llama.attention.key_length': 2 ** 30 }, /in f\.gguf/],
    ['heads that do not divide', { ...metadata, 'llama.attention.head_count_kv': 3 }, /should be divisible by.*\n {2}in f\.gguf/],
    ['layers with heads of their own', { ...metadata, 'llama.attention.head_count': [4, 2] }, /a number is expected, got an array of 2/],
    ['one file of three', { ...metadata, 'split.count': 3 }, /a model in 3 files: join them first.*\n.*key "split\.count"/],
    ['experts', { ...metadata, 'llama.expert_count': 8 }, /mixtures of experts are not supported, got 8/],
    [
      'rotary positions of half a head',
      { ...metadata, 'llama.rope.dimension_count': 4 },
      /rotary positions of a part of a head's 8 channels are not supported/,
    ],
  ])('%s', (_, changed, message) => {
    expect(() => read({ metadata: changed, tensors })).toThrow(message);
    expect(() => read({ metadata: changed, tensors })).toThrow(GgufError);
  });

  test('equal sizes, layer by layer, are one size', () => {
    expect(read({ metadata: { ...metadata, 'llama.attention.head_count': [4, 4] }, tensors }).config.num_attention_heads).toBe(4);
  });

  test('blocks where numbers belong', () => {
    const norm = { name: 'output_norm.weight', type: 'Q8_0', shape: [32], data: new Uint8Array(34) } as const;
    expect(() => read({ metadata, tensors: [...tensors.filter(({ name }) => name !== norm.name), norm] })).toThrow(
      /numbers are expected here, got blocks of type Q8_0\n {2}in f\.gguf, tensor "output_norm\.weight"/,
    );
  });

  test('a file on disk is named', () => {
    const file = join(scratch, 'short.gguf');
    writeGguf(file, { metadata, tensors: tensors.slice(1) });
    expect(() => from_gguf(file)).toThrow(`there is no such tensor\n  in ${file}, tensor "token_embd.weight"`);
  });

  test('3,000 mutated models are understood or refused with an error of the reader, and nothing else', () => {
    const bytes = serializeGguf({ metadata, tensors });
    const { read: understood, refused } = fuzz(
      [{ bytes, head: readGguf(bytes).dataStart }],
      { count: 3000, seed: 3, error: GgufError },
      (broken, name) => {
        planGguf(readGguf(broken, name));
      },
    );
    expect(understood).toBeGreaterThan(100);
    expect(refused).toBeGreaterThan(1000);
    fuzz([{ bytes, head: readGguf(bytes).dataStart }], { count: 100, seed: 4, error: GgufError }, (broken, name) => {
      from_gguf(readGguf(broken, name));
    });
  });
});

/**
 * The `.bin` files of llama2.c: a Llama without names, all weights one after the other in float32.
 *
 * The old form begins with seven numbers, the newer one (version 1) with a magic; the quantized version 2 is refused. Rotary pairs lie side by side
 * there and half a head apart in transformers, so rows of the query and key projections are reordered on the way in. The file's size must be what
 * its header says, to the byte, before anything is allocated. What is wrong with a file is said by a {@link Llama2cError}.
 * https://github.com/karpathy/llama2.c (export.py)
 */
import { closeSync, fstatSync, openSync } from 'node:fs';
import { float32 } from '../dtype/dtype.ts';
import { moveInPlace, type Parameter } from '../nn/parameter.ts';
import { type ByteSource, bytesSource, fileSource, fill } from '../serialize/byte-source.ts';
import { streamedTensor } from '../serialize/streamed.ts';
import { refuseUnknownOptions } from '../util/options.ts';
import { llamaConfig } from './config.ts';
import { generationConfig } from './generation-config.ts';
import { withoutWeights } from './layers.ts';
import { LlamaForCausalLM } from './llama.ts';
import { pairsApart, type ReadInto } from './rotary-rows.ts';

export interface Llama2cHeader {
  readonly dim: number;
  readonly hidden: number;
  readonly layers: number;
  readonly heads: number;
  readonly keyHeads: number;
  readonly vocabulary: number;
  readonly length: number;
  /** The output layer is the embedding. */
  readonly shared: boolean;
  readonly version: 0 | 1;
}

const magic = 0x616b3432;
/** As for every model's config. */
const mostLayers = 10_000;
/** Version 1 pads its header. */
const headerBytes = { 0: 28, 1: 256 } as const;
const numberNames = ['dim', 'hidden_dim', 'n_layers', 'n_heads', 'n_kv_heads', 'vocab_size', 'max_seq_len'] as const;

/** A broken file, or one that is no llama2.c file: names the file, and the byte where that helps. */
export class Llama2cError extends Error {
  override readonly name = 'Llama2cError';
}

/** A model from a llama2.c file, or its bytes, in float32, ready for use. Generation stops at its BOS and EOS tokens (1 and 2), as llama2.c does. */
export function from_llama2c(file: string | Uint8Array, options: { readonly device?: string } = {}): LlamaForCausalLM {
  refuseUnknownOptions('from_llama2c', options, { device: true });
  const { device = 'cpu' } = options;
  if (typeof file !== 'string') return load(bytesSource(file), 'llama2.c data', device);
  const descriptor = openSync(file, 'r');
  try {
    const ended = (at: number): Llama2cError => new Llama2cError(`${file}: the file became shorter while it was read (byte ${at})`);
    return load(fileSource(descriptor, fstatSync(descriptor).size, ended), file, device);
  } finally {
    closeSync(descriptor);
  }
}

function load(source: ByteSource, file: string, device: string): LlamaForCausalLM {
  const header = readLlama2cHeader(source.read(0, Math.min(source.size, 256)), source.size, file);
  const model = withoutWeights(() => new LlamaForCausalLM(configOf(header, file)));
  let at: number = headerBytes[header.version];
  for (const part of partsOf(header, model)) {
    for (const parameter of part.parameters) {
      const begin = at;
      const [rows, columns = 1] = parameter.shape;
      const inFile: ReadInto = (target, offset) => fill(source, target, begin + offset);
      const { rotary } = part;
      const readInto = rotary === undefined ? inFile : pairsApart(inFile, { rows, rowBytes: 4 * columns, heads: rotary });
      moveInPlace(parameter, streamedTensor(parameter.shape, float32, device, readInto));
      at += 4 * rows * columns;
    }
    at += 4 * (part.skip ?? 0);
  }
  model.generation_config = generationConfig({ bos_token_id: 1, eos_token_id: [1, 2] }, file);
  return model.eval();
}

/** A file's header, and the model that it describes, without its weights. */
export function describeLlama2c(file: string): { readonly header: Llama2cHeader; readonly model: LlamaForCausalLM } {
  const descriptor = openSync(file, 'r');
  try {
    const { size } = fstatSync(descriptor);
    const head = fileSource(descriptor, size, () => new Llama2cError(`${file}: the file became shorter while it was read`));
    const header = readLlama2cHeader(head.read(0, Math.min(size, 256)), size, file);
    return { header, model: withoutWeights(() => new LlamaForCausalLM(configOf(header, file))) };
  } finally {
    closeSync(descriptor);
  }
}

/** From a file's first 256 bytes, or all if there are fewer. Whatever does not fit its `size` is a {@link Llama2cError}. */
export function readLlama2cHeader(bytes: Uint8Array, size: number, file: string): Llama2cHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (size < headerBytes[0]) throw new Llama2cError(`${file}: too small for a llama2.c file (${size} bytes)`);
  const newer = view.getUint32(0, true) === magic;
  if (newer && size < headerBytes[1])
    throw new Llama2cError(`${file}: too small for a llama2.c file with a header of 256 bytes (${size} bytes)`);
  if (newer && view.getInt32(4, true) !== 1)
    throw new Llama2cError(`${file}: version ${view.getInt32(4, true)} of llama2.c's format is not supported, only 0 and 1 (float32)`);
  const start = newer ? 8 : 0;
  const numbers = numberNames.map((_, i) => view.getInt32(start + 4 * i, true));
  const shared = newer ? view.getUint8(start + 28) === 1 : numbers[5] > 0;
  if (!newer) numbers[5] = Math.abs(numbers[5]);
  const bad = numberNames.findIndex((_, i) => numbers[i] < 1 || numbers[i] > 2 ** 24);
  if (bad >= 0)
    throw new Llama2cError(`${file}: ${numberNames[bad]} should be a positive number, got ${numbers[bad]} (byte ${start + 4 * bad})`);
  if (numbers[2] > mostLayers)
    throw new Llama2cError(`${file}: n_layers should be at most ${mostLayers}, got ${numbers[2]} (byte ${start + 8})`);
  const [dim, hidden, layers, heads, keyHeads, vocabulary, length] = numbers as [number, number, number, number, number, number, number];
  if (dim % heads !== 0 || heads % keyHeads !== 0 || (dim / heads) % 2 !== 0)
    throw new Llama2cError(`${file}: ${heads} heads and ${keyHeads} heads of keys do not divide ${dim} channels into pairs`);
  const header: Llama2cHeader = { dim, hidden, layers, heads, keyHeads, vocabulary, length, shared, version: newer ? 1 : 0 };
  const expected = BigInt(headerBytes[header.version]) + 4n * countOf(header);
  if (expected !== BigInt(size)) throw new Llama2cError(`${file}: the header (byte ${start}) says ${expected} bytes, the file has ${size}`);
  return header;
}

/** Numbers in the file; a BigInt, because a hostile header's product overflows. */
function countOf({ dim, hidden, layers, heads, keyHeads, vocabulary, length, shared, version }: Llama2cHeader): bigint {
  const [d, h, keys] = [BigInt(dim), BigInt(hidden), BigInt((dim / heads) * keyHeads)];
  const layer = 2n * d + 2n * d * d + 2n * d * keys + 3n * d * h;
  const tables = version === 0 ? BigInt(length * (dim / heads)) : 0n;
  return BigInt(vocabulary) * d * (shared ? 1n : 2n) + BigInt(layers) * layer + d + tables;
}

const configOf = (h: Llama2cHeader, file: string): ReturnType<typeof llamaConfig> =>
  llamaConfig(
    {
      ...{ architectures: ['LlamaForCausalLM'], model_type: 'llama', bos_token_id: 1, eos_token_id: 2, dtype: 'float32' },
      ...{ hidden_size: h.dim, intermediate_size: h.hidden, num_hidden_layers: h.layers, vocab_size: h.vocabulary },
      ...{ num_attention_heads: h.heads, num_key_value_heads: h.keyHeads, max_position_embeddings: h.length },
      ...{ rms_norm_eps: 1e-5, rope_theta: 10000, tie_word_embeddings: h.shared },
    },
    file,
  );

interface Part {
  readonly parameters: readonly Parameter[];
  /** Heads whose rows are to be reordered. */
  readonly rotary?: number;
  /** Numbers after it that are not read. */
  readonly skip?: number;
}

function partsOf({ dim, heads, keyHeads, length, shared, version }: Llama2cHeader, { model, lm_head }: LlamaForCausalLM): Part[] {
  const layers = [...model.layers];
  const embedding: Part = { parameters: [model.embed_tokens.weight] };
  const attentionNorms: Part = { parameters: layers.map((l) => l.input_layernorm.weight!) };
  const attention: Part[] = [
    { parameters: layers.map((l) => l.self_attn.q_proj.weight), rotary: heads },
    { parameters: layers.map((l) => l.self_attn.k_proj.weight), rotary: keyHeads },
    { parameters: layers.map((l) => l.self_attn.v_proj.weight) },
    { parameters: layers.map((l) => l.self_attn.o_proj.weight) },
  ];
  const mlpNorms: Part = { parameters: layers.map((l) => l.post_attention_layernorm.weight!) };
  const mlp: Part[] = [
    { parameters: layers.map((l) => l.mlp.gate_proj.weight) },
    { parameters: layers.map((l) => l.mlp.down_proj.weight) },
    { parameters: layers.map((l) => l.mlp.up_proj.weight) },
  ];
  const norm: Part = { parameters: [model.norm.weight!], skip: version === 0 ? length * (dim / heads) : 0 };
  const output: Part[] = shared ? [] : [{ parameters: [lm_head.weight] }];
  return version === 0
    ? [embedding, attentionNorms, ...attention, mlpNorms, ...mlp, norm, ...output]
    : [attentionNorms, mlpNorms, norm, embedding, ...attention, ...mlp, ...output];
}

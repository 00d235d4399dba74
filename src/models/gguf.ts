/**
 * `from_gguf(FILE)`: a model from a GGUF file, whose weights stay as they are in it.
 *
 * Quantized matrices become `GGUFLinear` and `GGUFEmbedding`, which hold the file's blocks and decode them within the product; F32 ones become
 * parameters, F16 and BF16 ones parameters of that dtype, whose products are computed in float32, as activations are. Vectors (norms, biases) are
 * float32, as they are in files. Llama's rows of queries and keys are reordered as whole rows of bytes. Blocks that no product reads (Q2_K, IQ4_NL, ...)
 * are refused, unless `dequantize` is given.
 */
import { bfloat16, type DType, float16, float32, uint8 } from '../dtype/dtype.ts';
import type { Module } from '../nn/module.ts';
import { moveInPlace } from '../nn/parameter.ts';
import type { Tensor } from '../ops/methods.ts';
import { decodableTypes, decodeBlocks, isDecodable } from '../quant/ggml-blocks.ts';
import { GGUFEmbedding } from '../quant/ggml-modules.ts';
import { type GgmlTypeName, ggmlTypes } from '../quant/ggml-types.ts';
import { type GgufFile, openGguf } from '../serialize/gguf/index.ts';
import { GgufError, type GgufTensorInfo } from '../serialize/gguf/values.ts';
import { streamedTensor } from '../serialize/streamed.ts';
import { refuseUnknownOptions } from '../util/options.ts';
import { generationConfig } from './generation-config.ts';
import { type GgufPlace, planGguf } from './gguf-config.ts';
import { blockEmbedding, blockLinear, HalfEmbedding, HalfLinear } from './gguf-layers.ts';
import { GPT2LMHeadModel } from './gpt2.ts';
import { Conv1D, Embedding, Linear, withoutWeights } from './layers.ts';
import { LlamaForCausalLM } from './llama.ts';
import type { RopeParameters } from './rope.ts';
import { pairsApart, type ReadInto } from './rotary-rows.ts';

export type GgufModel = LlamaForCausalLM | GPT2LMHeadModel;

export interface FromGgufOptions {
  readonly device?: string;
  /** Quantized weights become float32 parameters: four to eight times the memory, but they can be trained, and every type can be read. */
  readonly dequantize?: boolean;
  /** Called after each tensor. */
  readonly progress?: (done: number, total: number, name: string) => void;
}

const optionNames = { device: true, dequantize: true, progress: true } as const satisfies Record<keyof FromGgufOptions, true>;

/**
 * The model of a file (or of an open one, which stays open), ready for use (`eval()`), and its special tokens as `generation_config`.
 *
 * Throws {@link GgufError}, which names file and tensor or key, for a broken file and for a model that is not understood.
 */
export function from_gguf<M extends GgufModel = LlamaForCausalLM>(source: string | GgufFile, options: FromGgufOptions = {}): M {
  refuseUnknownOptions('from_gguf', options, optionNames);
  if (typeof source !== 'string') return load(source, options) as M;
  using gguf = openGguf(source);
  return load(gguf, options) as M;
}

function load(gguf: GgufFile, options: FromGgufOptions): GgufModel {
  const { config: plain, places, generation } = planGguf(gguf);
  const config = plain.model_type === 'gpt2' ? plain : { ...plain, rope: ropeWithFactors(plain.rope, plain.head_dim, gguf) };
  const model = withoutWeights(() => (config.model_type === 'gpt2' ? new GPT2LMHeadModel(config) : new LlamaForCausalLM(config)));
  const infoOf = (name: string): GgufTensorInfo => gguf.tensors.get(name)!;
  // Layers first: a layer that is exchanged brings its bias along.
  for (const [name, place] of places) {
    if (place.field === 'weight') exchange(model, place, infoOf(name), gguf, options.dequantize ?? false);
    else checkType(infoOf(name), gguf, false, false);
  }
  let done = 0;
  for (const [name, place] of places) {
    const target = moduleAt(model, place.module) as unknown as Record<GgufPlace['field'], Tensor>;
    moveInPlace(target[place.field], read(gguf, infoOf(name), place, options));
    options.progress?.(++done, places.size, name);
  }
  model.generation_config = generationConfig(generation, gguf.file);
  return model.eval();
}

const plainTypes: Readonly<Partial<Record<GgmlTypeName, DType>>> = { F32: float32, F16: float16, BF16: bfloat16 };
/** Types that a product reads as blocks. */
const productTypes: ReadonlySet<GgmlTypeName> = new Set(['Q4_0', 'Q4_1', 'Q5_0', 'Q5_1', 'Q8_0', 'Q4_K', 'Q5_K', 'Q6_K']);

function moduleAt(model: Module, path: string): Module {
  return path === '' ? model : path.split('.').reduce((module, name) => (module as unknown as Record<string, Module>)[name], model);
}

/** Puts a layer in place that can hold the tensor as it is. */
function exchange(model: GgufModel, { module: path }: GgufPlace, info: GgufTensorInfo, gguf: GgufFile, dequantize: boolean): void {
  const { type, shape } = info;
  const before = moduleAt(model, path);
  const isLinear = before instanceof Linear || before instanceof Conv1D;
  const isPlain = plainTypes[type] !== undefined;
  checkType(info, gguf, isLinear || before instanceof Embedding, dequantize);
  const [rows, columns] = shape as [number, number];
  const blocks = !isPlain && !dequantize;
  const half = isPlain && type !== 'F32';
  if (before instanceof Embedding) {
    if (blocks) put(model, path, blockEmbedding(rows, columns, type));
    else if (half)
      put(
        model,
        path,
        withoutWeights(() => new HalfEmbedding(rows, columns)),
      );
    tie(model, path);
  } else if (isLinear) {
    const bias = before.bias !== null;
    if (blocks) put(model, path, blockLinear(columns, rows, type, bias));
    else if (half)
      put(
        model,
        path,
        withoutWeights(() => new HalfLinear(columns, rows, { bias })),
      );
    // GPT-2's matrices are transposed in a GGUF file, as linear layers have them.
    else if (before instanceof Conv1D)
      put(
        model,
        path,
        withoutWeights(() => new Linear(columns, rows, { bias })),
      );
  }
}

function checkType({ type, name, offset }: GgufTensorInfo, gguf: GgufFile, isMatrix: boolean, dequantize: boolean): void {
  if (plainTypes[type] !== undefined) return;
  const fail = (problem: string): never => {
    throw new GgufError(problem, gguf.file, { tensor: name, offset });
  };
  if (!isDecodable(type)) fail(`weights of type ${type} cannot be read, only ${decodableTypes.join(', ')}`);
  if (!isMatrix && ggmlTypes[type].blockSize > 1) fail(`numbers are expected here, got blocks of type ${type}`);
  if (!dequantize && !productTypes.has(type))
    fail(`no product reads blocks of type ${type}, only ${[...productTypes].join(', ')}; { dequantize: true } makes them float32`);
}

function put(model: Module, path: string, module: Module): void {
  const at = path.lastIndexOf('.');
  (moduleAt(model, path.slice(0, Math.max(at, 0))) as unknown as Record<string, Module>)[path.slice(at + 1)] = module;
}

/** The output layer of a model without one of its own: the embedding, in the layer that its type needs. */
function tie(model: GgufModel, path: string): void {
  if (path === 'transformer.wpe' || !model.config.tie_word_embeddings) return;
  const embedding = moduleAt(model, path) as Embedding | GGUFEmbedding;
  const { num_embeddings: rows, embedding_dim: columns } = embedding;
  if (embedding instanceof GGUFEmbedding) {
    const head = blockLinear(columns, rows, embedding.ggml_type, false);
    head.register_buffer('weight', embedding.weight);
    put(model, 'lm_head', head);
  } else {
    if (embedding instanceof HalfEmbedding)
      put(
        model,
        'lm_head',
        withoutWeights(() => new HalfLinear(columns, rows, { bias: false })),
      );
    model.lm_head.weight = embedding.weight;
  }
}

/** A tensor of the file, as what its place holds: numbers, or a row of bytes for each row. It is read into its memory piece by piece. */
function read(
  gguf: GgufFile,
  info: GgufTensorInfo,
  { shape, rotary, field }: GgufPlace,
  { dequantize = false, device = 'cpu' }: FromGgufOptions,
): Tensor {
  const { type, bytes } = info;
  const rows = shape[0];
  const inFile: ReadInto = (target, offset) => gguf.readInto(info.name, target, offset);
  const readInto = rotary === undefined ? inFile : pairsApart(inFile, { rows, rowBytes: bytes / rows, heads: rotary });
  const isVector = field === 'bias' || shape.length === 1;
  const dtype = plainTypes[type];
  if (dtype !== undefined && (!isVector || type === 'F32')) return streamedTensor(shape, dtype, device, readInto);
  if (dtype === undefined && !dequantize) return streamedTensor([rows, bytes / rows], uint8, device, readInto);
  return streamedTensor(shape, float32, device, decoding(type, readInto));
}

/** The numbers of a file's blocks, for pieces that are whole blocks: those of `streamedTensor` are. */
function decoding(type: GgmlTypeName, readInto: ReadInto): ReadInto {
  const { blockSize, blockBytes } = ggmlTypes[type];
  return (target, offset) => {
    const packed = new Uint8Array((target.byteLength / 4 / blockSize) * blockBytes);
    readInto(packed, (offset / 4 / blockSize) * blockBytes);
    decodeBlocks(type, packed, new Float32Array(target.buffer, target.byteOffset, target.byteLength / 4));
  };
}

/** Llama 3's files have its scaling of rotary frequencies as a tensor of divisors, one for each pair of channels. */
function ropeWithFactors(rope: RopeParameters, headDim: number, gguf: GgufFile): RopeParameters {
  const info = gguf.tensors.get('rope_freqs.weight');
  if (info === undefined) return rope;
  const fail = (problem: string): never => {
    throw new GgufError(problem, gguf.file, { tensor: info.name, offset: info.offset });
  };
  if (info.type !== 'F32' || info.shape.join() !== String(headDim / 2))
    return fail(`F32 of shape [${headDim / 2}] is expected, got ${info.type} of shape [${info.shape.join(', ')}]`);
  const factors = new Float32Array(headDim / 2);
  decodeBlocks('F32', gguf.read(info.name), factors);
  if (!factors.every((factor) => Number.isFinite(factor) && factor > 0))
    fail('the factors of rotary frequencies should be positive numbers');
  const { rope_theta } = rope;
  if (rope.rope_type === 'linear') return { rope_type: 'factors', rope_theta, factors: factors.map((x) => x * rope.factor) };
  return rope.rope_type === 'default'
    ? { rope_type: 'factors', rope_theta, factors }
    : fail(`divisors of frequencies besides the scaling ${rope.rope_type}`);
}

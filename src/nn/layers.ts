/** Layers, with PyTorch's defaults and initial values. https://docs.pytorch.org/docs/stable/nn.html */

import { no_grad } from '../autograd/modes.ts';
import { makeArray, viewBytes } from '../dtype/codec.ts';
import { float32, float64 } from '../dtype/dtype.ts';
import { fromBytes } from '../ops/creation.ts';
import type { Tensor } from '../ops/methods.ts';
import { bernoulli } from '../random/cpu-streams.ts';
import { defaultGenerator } from '../random/generator.ts';
import { functional } from './functional.ts';
import { kaiming_uniform_, normal_, ones_, uniform_, zeros_ } from './init.ts';
import { Module } from './module.ts';
import { emptyParameter, type FactoryOptions, type Parameter } from './parameter.ts';

export class Linear extends Module {
  readonly in_features: number;
  readonly out_features: number;
  weight: Parameter;
  bias: Parameter | null;
  constructor(in_features: number, out_features: number, options: FactoryOptions & { readonly bias?: boolean } = {}) {
    super();
    this.in_features = in_features;
    this.out_features = out_features;
    this.weight = emptyParameter([out_features, in_features], options);
    this.bias = options.bias === false ? null : emptyParameter([out_features], options);
    this.reset_parameters();
  }
  reset_parameters(): void {
    kaiming_uniform_(this.weight, { a: Math.sqrt(5) });
    const bound = this.in_features > 0 ? 1 / Math.sqrt(this.in_features) : 0;
    if (this.bias !== null) uniform_(this.bias, -bound, bound);
  }
  override forward(x: Tensor): Tensor {
    return functional.linear(x, this.weight, this.bias) as Tensor;
  }
}

export class Embedding extends Module {
  readonly num_embeddings: number;
  readonly embedding_dim: number;
  readonly padding_idx: number | null;
  weight: Parameter;
  constructor(num_embeddings: number, embedding_dim: number, options: FactoryOptions & { readonly padding_idx?: number | null } = {}) {
    super();
    const padding = options.padding_idx ?? null;
    if (padding !== null && (padding >= num_embeddings || padding < -num_embeddings))
      throw new Error('Padding_idx must be within num_embeddings');
    this.num_embeddings = num_embeddings;
    this.embedding_dim = embedding_dim;
    this.padding_idx = padding !== null && padding < 0 ? padding + num_embeddings : padding;
    this.weight = emptyParameter([num_embeddings, embedding_dim], options);
    this.reset_parameters();
  }
  reset_parameters(): void {
    normal_(this.weight);
    const padding = this.padding_idx;
    if (padding !== null) no_grad(() => (this.weight.select(0, padding) as Tensor).zero_());
  }
  override forward(indices: Tensor): Tensor {
    return functional.embedding(indices, this.weight, this.padding_idx) as Tensor;
  }
}

export class LayerNorm extends Module {
  readonly normalized_shape: readonly number[];
  readonly eps: number;
  weight: Parameter | null;
  bias: Parameter | null;
  constructor(
    normalized_shape: number | readonly number[],
    options: FactoryOptions & { readonly eps?: number; readonly elementwise_affine?: boolean; readonly bias?: boolean } = {},
  ) {
    super();
    this.normalized_shape = typeof normalized_shape === 'number' ? [normalized_shape] : [...normalized_shape];
    this.eps = options.eps ?? 1e-5;
    const affine = options.elementwise_affine ?? true;
    this.weight = affine ? emptyParameter(this.normalized_shape, options) : null;
    this.bias = affine && options.bias !== false ? emptyParameter(this.normalized_shape, options) : null;
    this.reset_parameters();
  }
  reset_parameters(): void {
    if (this.weight !== null) ones_(this.weight);
    if (this.bias !== null) zeros_(this.bias);
  }
  override forward(x: Tensor): Tensor {
    return functional.layer_norm(x, [...this.normalized_shape], this.weight, this.bias, this.eps) as Tensor;
  }
}

export class GELU extends Module {
  readonly approximate: 'none' | 'tanh';
  constructor(options: { readonly approximate?: 'none' | 'tanh' } = {}) {
    super();
    this.approximate = options.approximate ?? 'none';
  }
  override forward(x: Tensor): Tensor {
    return functional.gelu(x, { approximate: this.approximate }) as Tensor;
  }
}

export class ReLU extends Module {
  override forward(x: Tensor): Tensor {
    return functional.relu(x) as Tensor;
  }
}

export class Dropout extends Module {
  readonly p: number;
  constructor(p = 0.5) {
    super();
    if (p < 0 || p > 1) throw new Error(`dropout probability has to be between 0 and 1, but got ${p}`);
    this.p = p;
  }
  override forward(x: Tensor): Tensor {
    if (this.p === 0 || !this.training) return x;
    // Drawn on the host; the scale 1 / (1 - p) is in the mask, as in PyTorch's CPU kernel.
    const dtype = x.dtype === float64 ? float64 : float32;
    const mask = makeArray(dtype, x.numel());
    bernoulli(defaultGenerator, dtype, mask, 1 - this.p);
    const scale = 1 / (1 - this.p);
    for (let i = 0; i < mask.length; i++) if (mask[i] !== 0) mask[i] = scale;
    const noise = fromBytes(viewBytes(mask), x.shape, dtype, x.device) as Tensor;
    return x.mul(noise.type(x.dtype)) as Tensor;
  }
}

type Step = Module & ((x: Tensor) => Tensor);
const at = (m: Module, i: number): unknown => (m as unknown as Record<number, unknown>)[i];

export class Sequential extends Module {
  readonly #length: number;
  constructor(...modules: Step[]) {
    super();
    Object.assign(this, modules);
    this.#length = modules.length;
  }
  override get length(): number {
    return this.#length;
  }
  override forward(x: Tensor): Tensor {
    let out = x;
    for (const m of this) out = m(out);
    return out;
  }
  *[Symbol.iterator](): Generator<Step> {
    for (let i = 0; i < this.#length; i++) yield at(this, i) as Step;
  }
}

export class ModuleList<M extends Module = Module> extends Module {
  #length = 0;
  constructor(modules: Iterable<M> = []) {
    super();
    for (const m of modules) this.append(m);
  }
  override get length(): number {
    return this.#length;
  }
  append(module: M): this {
    (this as unknown as Record<number, M>)[this.#length++] = module;
    return this;
  }
  at(index: number): M {
    const i = index < 0 ? index + this.#length : index;
    if (i < 0 || i >= this.#length) throw new Error(`index ${index} is out of range`);
    return at(this, i) as M;
  }
  *[Symbol.iterator](): Generator<M> {
    for (let i = 0; i < this.#length; i++) yield at(this, i) as M;
  }
}

export class CrossEntropyLoss extends Module {
  readonly ignore_index: number;
  readonly reduction: 'none' | 'mean' | 'sum';
  readonly label_smoothing: number;
  constructor(
    options: {
      readonly weight?: Tensor | null;
      readonly ignore_index?: number;
      readonly reduction?: 'none' | 'mean' | 'sum';
      readonly label_smoothing?: number;
    } = {},
  ) {
    super();
    this.ignore_index = options.ignore_index ?? -100;
    this.reduction = options.reduction ?? 'mean';
    this.label_smoothing = options.label_smoothing ?? 0;
    this.register_buffer('weight', options.weight ?? null);
  }
  override forward(input: Tensor, target: Tensor): Tensor {
    const { ignore_index, reduction, label_smoothing } = this;
    const weight = (this as unknown as { weight: Tensor | null }).weight;
    return functional.cross_entropy(input, target, { weight, ignore_index, reduction, label_smoothing }) as Tensor;
  }
}

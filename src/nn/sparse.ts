/** Embeddings: https://docs.pytorch.org/docs/stable/nn.html#sparse-layers */
import { no_grad } from '../autograd/modes.ts';
import type { Tensor } from '../ops/methods.ts';
import { bindConstructor, type ConstructorArguments } from './arguments.ts';
import { bindForward } from './forward.ts';
import { functional } from './functional.ts';
import { normal_ } from './init.ts';
import { Module } from './module.ts';
import { emptyParameter, type FactoryOptions, Parameter } from './parameter.ts';

interface CommonArguments extends FactoryOptions {
  readonly num_embeddings: number;
  readonly embedding_dim: number;
  readonly padding_idx?: number | null;
  readonly max_norm?: number | null;
  readonly norm_type?: number;
  readonly scale_grad_by_freq?: boolean;
  readonly sparse?: boolean;
  readonly _weight?: Tensor | null;
}
interface EmbeddingArguments extends CommonArguments {
  readonly _freeze?: boolean;
}
interface EmbeddingBagArguments extends CommonArguments {
  readonly mode?: 'sum' | 'mean' | 'max';
  readonly include_last_offset?: boolean;
}
const defaults = {
  padding_idx: null,
  max_norm: null,
  norm_type: 2,
  scale_grad_by_freq: false,
  sparse: false,
  _weight: null,
  device: null,
  dtype: null,
} as const;

/** A table of rows. */
class Table extends Module {
  readonly num_embeddings: number;
  readonly embedding_dim: number;
  padding_idx: number | null;
  max_norm: number | null;
  norm_type: number;
  scale_grad_by_freq: boolean;
  sparse: boolean;
  weight: Parameter;
  constructor(a: Required<CommonArguments>, frozen = false) {
    super();
    const { num_embeddings, padding_idx } = a;
    if (padding_idx !== null && (padding_idx >= num_embeddings || padding_idx < -num_embeddings))
      throw new Error(padding_idx > 0 ? 'Padding_idx must be within num_embeddings' : 'Padding_idx must be within num_embeddings');
    this.num_embeddings = num_embeddings;
    this.embedding_dim = a.embedding_dim;
    this.padding_idx = padding_idx !== null && padding_idx < 0 ? padding_idx + num_embeddings : padding_idx;
    this.max_norm = a.max_norm;
    this.norm_type = a.norm_type;
    this.scale_grad_by_freq = a.scale_grad_by_freq;
    this.sparse = a.sparse;
    if (a._weight !== null) {
      if (a._weight.shape.join() !== `${num_embeddings},${a.embedding_dim}`)
        throw new Error('Shape of weight does not match num_embeddings and embedding_dim');
      this.weight = new Parameter(a._weight, !frozen);
    } else {
      this.weight = emptyParameter([num_embeddings, a.embedding_dim], a);
      this.weight.requires_grad_(!frozen);
      this.reset_parameters();
    }
  }
  reset_parameters(): void {
    normal_(this.weight);
    const { padding_idx } = this;
    if (padding_idx !== null) no_grad(() => (this.weight.select(0, padding_idx) as Tensor).zero_());
  }
  override extra_repr(): string {
    const parts = [`${this.num_embeddings}, ${this.embedding_dim}`];
    if (this.padding_idx !== null) parts.push(`padding_idx=${this.padding_idx}`);
    if (this.max_norm !== null) parts.push(`max_norm=${this.max_norm}`);
    if (this.norm_type !== 2) parts.push(`norm_type=${this.norm_type}`);
    if (this.scale_grad_by_freq) parts.push('scale_grad_by_freq=True');
    if (this.sparse) parts.push('sparse=True');
    return parts.join(', ');
  }
}

const embeddingOrder = [
  'num_embeddings',
  'embedding_dim',
  'padding_idx',
  'max_norm',
  'norm_type',
  'scale_grad_by_freq',
  'sparse',
  '_weight',
  '_freeze',
  'device',
  'dtype',
] as const;
type FromPretrained = Omit<CommonArguments, 'num_embeddings' | 'embedding_dim' | '_weight'> & { readonly freeze?: boolean };

/** https://docs.pytorch.org/docs/stable/generated/torch.nn.Embedding.html */
export class Embedding extends Table {
  constructor(...args: ConstructorArguments<EmbeddingArguments, typeof embeddingOrder>) {
    const a = bindConstructor<EmbeddingArguments>('Embedding', embeddingOrder, { ...defaults, _freeze: false }, args);
    super(a, a._freeze);
  }
  static from_pretrained(embeddings: Tensor, options: FromPretrained = {}): Embedding {
    const { freeze = true, ...rest } = options;
    return new Embedding({
      num_embeddings: embeddings.size(0),
      embedding_dim: embeddings.size(1),
      _weight: embeddings,
      _freeze: freeze,
      ...rest,
    });
  }
  override forward(input: Tensor): Tensor {
    const { weight, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse } = this;
    return functional.embedding(input, weight, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse);
  }
}

const bagOrder = [
  'num_embeddings',
  'embedding_dim',
  'max_norm',
  'norm_type',
  'scale_grad_by_freq',
  'mode',
  'sparse',
  '_weight',
  'include_last_offset',
  'padding_idx',
  'device',
  'dtype',
] as const;
interface BagForward {
  readonly input: Tensor;
  readonly offsets?: Tensor | null;
  readonly per_sample_weights?: Tensor | null;
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.EmbeddingBag.html */
export class EmbeddingBag extends Table {
  mode: 'sum' | 'mean' | 'max';
  include_last_offset: boolean;
  constructor(...args: ConstructorArguments<EmbeddingBagArguments, typeof bagOrder>) {
    const a = bindConstructor<EmbeddingBagArguments>(
      'EmbeddingBag',
      bagOrder,
      { ...defaults, mode: 'mean', include_last_offset: false },
      args,
    );
    super(a);
    this.mode = a.mode;
    this.include_last_offset = a.include_last_offset;
  }
  override forward(...args: ConstructorArguments<BagForward, ['input', 'offsets', 'per_sample_weights']>): Tensor {
    const { input, offsets, per_sample_weights } = bindForward<BagForward>(
      ['input', 'offsets', 'per_sample_weights'],
      { offsets: null, per_sample_weights: null },
      args,
    );
    const { max_norm, norm_type, scale_grad_by_freq, mode, sparse, include_last_offset, padding_idx } = this;
    const options = { max_norm, norm_type, scale_grad_by_freq, mode, sparse, include_last_offset, padding_idx };
    return functional.embedding_bag(input, this.weight, { ...options, offsets, per_sample_weights });
  }
  override extra_repr(): string {
    return `${super.extra_repr()}, mode='${this.mode}'`;
  }
}

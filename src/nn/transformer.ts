/**
 * Transformer layers: https://docs.pytorch.org/docs/stable/nn.html#transformer-layers
 *
 * PyTorch's fast path for inference gives the same numbers, except that it leaves zeros at padded positions: that is done here too.
 */
import { modes } from '../autograd/modes.ts';
import { additiveMask } from '../ops/attention-heads.ts';
import type { Tensor } from '../ops/methods.ts';
import { use } from '../ops/use.ts';
import { bindConstructor, type ConstructorArguments } from './arguments.ts';
import { MultiheadAttention } from './attention.ts';
import { ModuleList } from './container.ts';
import { Dropout } from './dropout.ts';
import { bindForward } from './forward.ts';
import { functional } from './functional.ts';
import { xavier_uniform_ } from './init.ts';
import { Linear } from './linear.ts';
import { Module } from './module.ts';
import { LayerNorm } from './normalization.ts';
import type { FactoryOptions } from './parameter.ts';

type Activation = 'relu' | 'gelu' | ((x: Tensor) => Tensor);
function activationOf(a: Activation): (x: Tensor) => Tensor {
  if (a === 'relu') return (x) => functional.relu(x);
  if (a === 'gelu') return (x) => functional.gelu(x);
  if (typeof a === 'function') return a;
  throw new Error(`activation should be relu/gelu, not ${String(a)}`);
}

interface LayerArguments extends FactoryOptions {
  readonly d_model: number;
  readonly nhead: number;
  readonly dim_feedforward?: number;
  readonly dropout?: number;
  readonly activation?: Activation;
  readonly layer_norm_eps?: number;
  readonly batch_first?: boolean;
  readonly norm_first?: boolean;
  readonly bias?: boolean;
}
const layerOrder = [
  'd_model',
  'nhead',
  'dim_feedforward',
  'dropout',
  'activation',
  'layer_norm_eps',
  'batch_first',
  'norm_first',
  'bias',
  'device',
  'dtype',
] as const;
const common = {
  dim_feedforward: 2048,
  dropout: 0.1,
  activation: 'relu' as Activation,
  layer_norm_eps: 1e-5,
  batch_first: false,
  norm_first: false,
  bias: true,
  device: null,
  dtype: null,
};
type BoundLayer = Required<LayerArguments>;
const attentionFor = (a: BoundLayer): MultiheadAttention =>
  new MultiheadAttention({
    ...{ embed_dim: a.d_model, num_heads: a.nhead, dropout: a.dropout, bias: a.bias, batch_first: a.batch_first },
    ...{ device: a.device, dtype: a.dtype },
  });
const normFor = (a: BoundLayer): LayerNorm => new LayerNorm(a.d_model, a.layer_norm_eps, true, a.bias, a.device, a.dtype);
const linearFor = (a: BoundLayer, from: number, to: number): Linear => new Linear(from, to, a.bias, a.device, a.dtype);

/** A float mask with -inf above the diagonal: position i sees positions up to i. */
function causalMask(size: number, like?: Tensor): Tensor {
  const full = use('full', [size, size], Number.NEGATIVE_INFINITY, like === undefined ? {} : { dtype: like.dtype, device: like.device });
  return use('triu', full, 1) as Tensor;
}

interface EncoderLayerForward {
  readonly src: Tensor;
  readonly src_mask?: Tensor | null;
  readonly src_key_padding_mask?: Tensor | null;
  readonly is_causal?: boolean;
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.TransformerEncoderLayer.html */
export class TransformerEncoderLayer extends Module {
  self_attn: MultiheadAttention;
  linear1: Linear;
  dropout: Dropout;
  linear2: Linear;
  norm_first: boolean;
  norm1: LayerNorm;
  norm2: LayerNorm;
  dropout1: Dropout;
  dropout2: Dropout;
  activation: (x: Tensor) => Tensor;
  /** Whether PyTorch could take its fast path for this layer. */
  plain: boolean;
  constructor(...args: ConstructorArguments<LayerArguments, typeof layerOrder>) {
    super();
    const a = bindConstructor<LayerArguments>('TransformerEncoderLayer', layerOrder, common, args);
    this.self_attn = attentionFor(a);
    this.linear1 = linearFor(a, a.d_model, a.dim_feedforward);
    this.dropout = new Dropout(a.dropout);
    this.linear2 = linearFor(a, a.dim_feedforward, a.d_model);
    this.norm_first = a.norm_first;
    this.norm1 = normFor(a);
    this.norm2 = normFor(a);
    this.dropout1 = new Dropout(a.dropout);
    this.dropout2 = new Dropout(a.dropout);
    this.activation = activationOf(a.activation);
    this.plain = !a.norm_first && a.batch_first && a.bias && typeof a.activation === 'string' && a.nhead % 2 === 0;
  }
  override forward(...args: ConstructorArguments<EncoderLayerForward, ['src', 'src_mask', 'src_key_padding_mask', 'is_causal']>): Tensor {
    const a = bindForward<EncoderLayerForward>(
      ['src', 'src_mask', 'src_key_padding_mask', 'is_causal'],
      { src_mask: null, src_key_padding_mask: null, is_causal: false },
      args,
    );
    const attend = (x: Tensor): Tensor => {
      const { src_mask: attn_mask, src_key_padding_mask: key_padding_mask, is_causal } = a;
      return this.dropout1(this.self_attn(x, x, x, { attn_mask, key_padding_mask, need_weights: false, is_causal })[0]);
    };
    const feed = (x: Tensor): Tensor => this.dropout2(this.linear2(this.dropout(this.activation(this.linear1(x)))));
    const x = a.src;
    if (this.norm_first) {
      const y = x.add(attend(this.norm1(x)));
      return y.add(feed(this.norm2(y)));
    }
    const y = this.norm1(x.add(attend(x)));
    return this.norm2(y.add(feed(y)));
  }
}

interface DecoderLayerForward {
  readonly tgt: Tensor;
  readonly memory: Tensor;
  readonly tgt_mask?: Tensor | null;
  readonly memory_mask?: Tensor | null;
  readonly tgt_key_padding_mask?: Tensor | null;
  readonly memory_key_padding_mask?: Tensor | null;
  readonly tgt_is_causal?: boolean | null;
  readonly memory_is_causal?: boolean;
}
const decoderOrder = [
  'tgt',
  'memory',
  'tgt_mask',
  'memory_mask',
  'tgt_key_padding_mask',
  'memory_key_padding_mask',
  'tgt_is_causal',
  'memory_is_causal',
] as const;
const noMasks = {
  tgt_mask: null,
  memory_mask: null,
  tgt_key_padding_mask: null,
  memory_key_padding_mask: null,
  tgt_is_causal: false,
  memory_is_causal: false,
} as const;

/** https://docs.pytorch.org/docs/stable/generated/torch.nn.TransformerDecoderLayer.html */
export class TransformerDecoderLayer extends Module {
  self_attn: MultiheadAttention;
  multihead_attn: MultiheadAttention;
  linear1: Linear;
  dropout: Dropout;
  linear2: Linear;
  norm_first: boolean;
  norm1: LayerNorm;
  norm2: LayerNorm;
  norm3: LayerNorm;
  dropout1: Dropout;
  dropout2: Dropout;
  dropout3: Dropout;
  activation: (x: Tensor) => Tensor;
  constructor(...args: ConstructorArguments<LayerArguments, typeof layerOrder>) {
    super();
    const a = bindConstructor<LayerArguments>('TransformerDecoderLayer', layerOrder, common, args);
    this.self_attn = attentionFor(a);
    this.multihead_attn = attentionFor(a);
    this.linear1 = linearFor(a, a.d_model, a.dim_feedforward);
    this.dropout = new Dropout(a.dropout);
    this.linear2 = linearFor(a, a.dim_feedforward, a.d_model);
    this.norm_first = a.norm_first;
    this.norm1 = normFor(a);
    this.norm2 = normFor(a);
    this.norm3 = normFor(a);
    this.dropout1 = new Dropout(a.dropout);
    this.dropout2 = new Dropout(a.dropout);
    this.dropout3 = new Dropout(a.dropout);
    this.activation = activationOf(a.activation);
  }
  override forward(...args: ConstructorArguments<DecoderLayerForward, typeof decoderOrder>): Tensor {
    const a = bindForward<DecoderLayerForward>(decoderOrder, noMasks, args);
    const own = (x: Tensor): Tensor => {
      const options = { attn_mask: a.tgt_mask, key_padding_mask: a.tgt_key_padding_mask, is_causal: a.tgt_is_causal ?? false };
      return this.dropout1(this.self_attn(x, x, x, { ...options, need_weights: false })[0]);
    };
    const cross = (x: Tensor): Tensor => {
      const options = { attn_mask: a.memory_mask, key_padding_mask: a.memory_key_padding_mask, is_causal: a.memory_is_causal };
      return this.dropout2(this.multihead_attn(x, a.memory, a.memory, { ...options, need_weights: false })[0]);
    };
    const feed = (x: Tensor): Tensor => this.dropout3(this.linear2(this.dropout(this.activation(this.linear1(x)))));
    let x = a.tgt;
    if (this.norm_first) {
      x = x.add(own(this.norm1(x)));
      x = x.add(cross(this.norm2(x)));
      return x.add(feed(this.norm3(x)));
    }
    x = this.norm1(x.add(own(x)));
    x = this.norm2(x.add(cross(x)));
    return this.norm3(x.add(feed(x)));
  }
}

const clones = <M extends Module>(m: M, count: number): ModuleList<M> =>
  new ModuleList<M>(Array.from({ length: count }, () => m.deepcopy() as M));
type Norm = Module & ((x: Tensor) => Tensor);

interface EncoderArguments {
  readonly encoder_layer: TransformerEncoderLayer;
  readonly num_layers: number;
  readonly norm?: Norm | null;
  readonly enable_nested_tensor?: boolean;
  readonly mask_check?: boolean;
}
interface EncoderForward {
  readonly src: Tensor;
  readonly mask?: Tensor | null;
  readonly src_key_padding_mask?: Tensor | null;
  readonly is_causal?: boolean | null;
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.TransformerEncoder.html */
export class TransformerEncoder extends Module {
  layers: ModuleList<TransformerEncoderLayer>;
  num_layers: number;
  norm: Norm | null;
  enable_nested_tensor: boolean;
  constructor(
    ...args: ConstructorArguments<EncoderArguments, ['encoder_layer', 'num_layers', 'norm', 'enable_nested_tensor', 'mask_check']>
  ) {
    super();
    const a = bindConstructor<EncoderArguments>(
      'TransformerEncoder',
      ['encoder_layer', 'num_layers', 'norm', 'enable_nested_tensor', 'mask_check'],
      { norm: null, enable_nested_tensor: true, mask_check: true },
      args,
    );
    this.layers = clones(a.encoder_layer, a.num_layers);
    this.num_layers = a.num_layers;
    this.norm = a.norm;
    this.enable_nested_tensor = a.enable_nested_tensor;
  }
  override forward(...args: ConstructorArguments<EncoderForward, ['src', 'mask', 'src_key_padding_mask', 'is_causal']>): Tensor {
    const a = bindForward<EncoderForward>(
      ['src', 'mask', 'src_key_padding_mask', 'is_causal'],
      { mask: null, src_key_padding_mask: null, is_causal: null },
      args,
    );
    const { src } = a;
    const src_key_padding_mask = additiveMask(a.src_key_padding_mask, 'src_key_padding_mask', src.dtype) as Tensor | null;
    const src_mask = additiveMask(a.mask, 'mask', src.dtype) as Tensor | null;
    let out = src;
    for (const layer of this.layers) out = layer(out, { src_mask, src_key_padding_mask, is_causal: a.is_causal ?? false });
    if (src_key_padding_mask !== null && leavesZeros(this, src, a.mask)) {
      const kept = use('eq', src_key_padding_mask, 0);
      out = use('mul', out, use('unsqueeze', kept, -1)) as Tensor;
    }
    return this.norm === null ? out : this.norm(out);
  }
}
/** Where PyTorch packs the positions that are not padded, and puts zeros elsewhere afterwards. */
function leavesZeros(m: TransformerEncoder, src: Tensor, mask: Tensor | null): boolean {
  const [layer] = m.layers;
  const graded = modes.grad && (src.requires_grad || layer.parameters().some((p) => p.requires_grad));
  return m.enable_nested_tensor && layer.plain && !layer.training && src.ndim === 3 && mask === null && !graded;
}

interface DecoderArguments {
  readonly decoder_layer: TransformerDecoderLayer;
  readonly num_layers: number;
  readonly norm?: Norm | null;
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.TransformerDecoder.html */
export class TransformerDecoder extends Module {
  layers: ModuleList<TransformerDecoderLayer>;
  num_layers: number;
  norm: Norm | null;
  constructor(...args: ConstructorArguments<DecoderArguments, ['decoder_layer', 'num_layers', 'norm']>) {
    super();
    const a = bindConstructor<DecoderArguments>('TransformerDecoder', ['decoder_layer', 'num_layers', 'norm'], { norm: null }, args);
    this.layers = clones(a.decoder_layer, a.num_layers);
    this.num_layers = a.num_layers;
    this.norm = a.norm;
  }
  override forward(...args: ConstructorArguments<DecoderLayerForward, typeof decoderOrder>): Tensor {
    const { tgt, memory, ...options } = bindForward<DecoderLayerForward>(decoderOrder, noMasks, args);
    let out = tgt;
    for (const layer of this.layers) out = layer(out, memory, options);
    return this.norm === null ? out : this.norm(out);
  }
}

interface TransformerArguments extends FactoryOptions {
  readonly d_model?: number;
  readonly nhead?: number;
  readonly num_encoder_layers?: number;
  readonly num_decoder_layers?: number;
  readonly dim_feedforward?: number;
  readonly dropout?: number;
  readonly activation?: Activation;
  readonly custom_encoder?: Module | null;
  readonly custom_decoder?: Module | null;
  readonly layer_norm_eps?: number;
  readonly batch_first?: boolean;
  readonly norm_first?: boolean;
  readonly bias?: boolean;
}
const transformerOrder = [
  'd_model',
  'nhead',
  'num_encoder_layers',
  'num_decoder_layers',
  'dim_feedforward',
  'dropout',
  'activation',
  'custom_encoder',
  'custom_decoder',
  'layer_norm_eps',
  'batch_first',
  'norm_first',
  'bias',
  'device',
  'dtype',
] as const;
interface TransformerForward {
  readonly src: Tensor;
  readonly tgt: Tensor;
  readonly src_mask?: Tensor | null;
  readonly tgt_mask?: Tensor | null;
  readonly memory_mask?: Tensor | null;
  readonly src_key_padding_mask?: Tensor | null;
  readonly tgt_key_padding_mask?: Tensor | null;
  readonly memory_key_padding_mask?: Tensor | null;
  readonly src_is_causal?: boolean | null;
  readonly tgt_is_causal?: boolean | null;
  readonly memory_is_causal?: boolean;
}
const transformerForwardOrder = [
  'src',
  'tgt',
  'src_mask',
  'tgt_mask',
  'memory_mask',
  'src_key_padding_mask',
  'tgt_key_padding_mask',
  'memory_key_padding_mask',
  'src_is_causal',
  'tgt_is_causal',
  'memory_is_causal',
] as const;

/** https://docs.pytorch.org/docs/stable/generated/torch.nn.Transformer.html */
export class Transformer extends Module {
  encoder: Module;
  decoder: Module;
  d_model: number;
  nhead: number;
  batch_first: boolean;
  constructor(...args: ConstructorArguments<TransformerArguments, typeof transformerOrder>) {
    super();
    const a = bindConstructor<TransformerArguments>(
      'Transformer',
      transformerOrder,
      { d_model: 512, nhead: 8, num_encoder_layers: 6, num_decoder_layers: 6, custom_encoder: null, custom_decoder: null, ...common },
      args,
    );
    const layer: BoundLayer = a;
    this.encoder =
      a.custom_encoder ?? new TransformerEncoder(new TransformerEncoderLayer(layerOnly(layer)), a.num_encoder_layers, normFor(layer));
    this.decoder =
      a.custom_decoder ?? new TransformerDecoder(new TransformerDecoderLayer(layerOnly(layer)), a.num_decoder_layers, normFor(layer));
    this.reset_parameters();
    this.d_model = a.d_model;
    this.nhead = a.nhead;
    this.batch_first = a.batch_first;
  }
  reset_parameters(): void {
    for (const p of this.parameters()) if (p.ndim > 1) xavier_uniform_(p);
  }
  static generate_square_subsequent_mask(size: number): Tensor {
    return causalMask(size);
  }
  override forward(...args: ConstructorArguments<TransformerForward, typeof transformerForwardOrder>): Tensor {
    const a = bindForward<TransformerForward>(
      transformerForwardOrder,
      { ...noMasks, src_mask: null, src_key_padding_mask: null, src_is_causal: null, tgt_is_causal: null },
      args,
    );
    const { src, tgt } = a;
    const batched = src.ndim === 3;
    if (batched && src.size(this.batch_first ? 0 : 1) !== tgt.size(this.batch_first ? 0 : 1))
      throw new Error('the batch number of src and tgt must be equal');
    if (src.size(-1) !== this.d_model || tgt.size(-1) !== this.d_model)
      throw new Error('the feature number of src and tgt must be equal to d_model');
    const encoder = this.encoder as TransformerEncoder;
    const decoder = this.decoder as TransformerDecoder;
    const memory = encoder(src, { mask: a.src_mask, src_key_padding_mask: a.src_key_padding_mask, is_causal: a.src_is_causal });
    const { tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask, tgt_is_causal, memory_is_causal } = a;
    return decoder(tgt, memory, { tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask, tgt_is_causal, memory_is_causal });
  }
}
function layerOnly(a: BoundLayer): BoundLayer {
  const { d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias, device, dtype } = a;
  return { d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias, device, dtype };
}

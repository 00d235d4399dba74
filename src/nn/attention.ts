/** MultiheadAttention: https://docs.pytorch.org/docs/stable/generated/torch.nn.MultiheadAttention.html. The arithmetic is in `ops/attention-heads.ts`. */
import type { Tensor } from '../ops/methods.ts';
import { bindConstructor, type ConstructorArguments } from './arguments.ts';
import { bindForward } from './forward.ts';
import { functional } from './functional.ts';
import { constant_, xavier_normal_, xavier_uniform_ } from './init.ts';
import { type Linear, NonDynamicallyQuantizableLinear } from './linear.ts';
import { Module } from './module.ts';
import { emptyParameter, type FactoryOptions, type Parameter } from './parameter.ts';

interface AttentionArguments extends FactoryOptions {
  readonly embed_dim: number;
  readonly num_heads: number;
  readonly dropout?: number;
  readonly bias?: boolean;
  readonly add_bias_kv?: boolean;
  readonly add_zero_attn?: boolean;
  readonly kdim?: number | null;
  readonly vdim?: number | null;
  readonly batch_first?: boolean;
}
const order = [
  'embed_dim',
  'num_heads',
  'dropout',
  'bias',
  'add_bias_kv',
  'add_zero_attn',
  'kdim',
  'vdim',
  'batch_first',
  'device',
  'dtype',
] as const;
interface AttentionForward {
  readonly query: Tensor;
  readonly key: Tensor;
  readonly value: Tensor;
  readonly key_padding_mask?: Tensor | null;
  readonly need_weights?: boolean;
  readonly attn_mask?: Tensor | null;
  readonly average_attn_weights?: boolean;
  readonly is_causal?: boolean;
}
const forwardOrder = [
  'query',
  'key',
  'value',
  'key_padding_mask',
  'need_weights',
  'attn_mask',
  'average_attn_weights',
  'is_causal',
] as const;

export class MultiheadAttention extends Module {
  embed_dim: number;
  kdim: number;
  vdim: number;
  num_heads: number;
  dropout: number;
  batch_first: boolean;
  head_dim: number;
  add_zero_attn: boolean;
  in_proj_weight: Parameter | null;
  q_proj_weight: Parameter | null;
  k_proj_weight: Parameter | null;
  v_proj_weight: Parameter | null;
  in_proj_bias: Parameter | null;
  out_proj: Linear;
  bias_k: Parameter | null;
  bias_v: Parameter | null;
  constructor(...args: ConstructorArguments<AttentionArguments, typeof order>) {
    super();
    const a = bindConstructor<AttentionArguments>(
      'MultiheadAttention',
      order,
      {
        ...{ dropout: 0, bias: true, add_bias_kv: false, add_zero_attn: false },
        ...{ kdim: null, vdim: null, batch_first: false, device: null, dtype: null },
      },
      args,
    );
    const { embed_dim, num_heads } = a;
    if (embed_dim <= 0 || num_heads <= 0)
      throw new Error(`embed_dim and num_heads must be greater than 0, got embed_dim=${embed_dim} and num_heads=${num_heads} instead`);
    this.embed_dim = embed_dim;
    this.kdim = a.kdim ?? embed_dim;
    this.vdim = a.vdim ?? embed_dim;
    this.num_heads = num_heads;
    this.dropout = a.dropout;
    this.batch_first = a.batch_first;
    this.head_dim = Math.floor(embed_dim / num_heads);
    if (this.head_dim * num_heads !== embed_dim) throw new Error('embed_dim must be divisible by num_heads');
    this.add_zero_attn = a.add_zero_attn;
    const same = this.kdim === embed_dim && this.vdim === embed_dim;
    const weight = (rows: number, columns: number): Parameter => emptyParameter([rows, columns], a);
    this.in_proj_weight = same ? weight(3 * embed_dim, embed_dim) : null;
    this.q_proj_weight = same ? null : weight(embed_dim, embed_dim);
    this.k_proj_weight = same ? null : weight(embed_dim, this.kdim);
    this.v_proj_weight = same ? null : weight(embed_dim, this.vdim);
    this.in_proj_bias = a.bias ? emptyParameter([3 * embed_dim], a) : null;
    this.out_proj = new NonDynamicallyQuantizableLinear(embed_dim, embed_dim, a.bias, a.device, a.dtype);
    this.bias_k = a.add_bias_kv ? emptyParameter([1, 1, embed_dim], a) : null;
    this.bias_v = a.add_bias_kv ? emptyParameter([1, 1, embed_dim], a) : null;
    this.reset_parameters();
  }
  reset_parameters(): void {
    for (const w of [this.in_proj_weight, this.q_proj_weight, this.k_proj_weight, this.v_proj_weight]) if (w !== null) xavier_uniform_(w);
    if (this.in_proj_bias !== null) constant_(this.in_proj_bias, 0);
    if (this.out_proj.bias !== null) constant_(this.out_proj.bias, 0);
    if (this.bias_k !== null) xavier_normal_(this.bias_k);
    if (this.bias_v !== null) xavier_normal_(this.bias_v);
  }
  /** [output, weights or null]. Inputs are [L, N, E], with `batch_first` [N, L, E], without a batch [L, E]. */
  override forward(...args: ConstructorArguments<AttentionForward, typeof forwardOrder>): [Tensor, Tensor | null] {
    const a = bindForward<AttentionForward>(
      forwardOrder,
      { key_padding_mask: null, need_weights: true, attn_mask: null, average_attn_weights: true, is_causal: false },
      args,
    );
    const swap = this.batch_first && a.query.ndim === 3;
    // The same tensor stays the same tensor: one projection serves all three then.
    const swapped = new Map<Tensor, Tensor>();
    const arrange = (t: Tensor): Tensor => {
      if (!swap) return t;
      const made = swapped.get(t) ?? t.transpose(0, 1);
      swapped.set(t, made);
      return made;
    };
    const { q_proj_weight, k_proj_weight, v_proj_weight, training } = this;
    const { key_padding_mask, need_weights, attn_mask, average_attn_weights, is_causal } = a;
    const [out, weights] = functional.multi_head_attention_forward(
      arrange(a.query),
      arrange(a.key),
      arrange(a.value),
      this.embed_dim,
      this.num_heads,
      this.in_proj_weight,
      this.in_proj_bias,
      this.bias_k,
      this.bias_v,
      this.add_zero_attn,
      this.dropout,
      this.out_proj.weight,
      this.out_proj.bias,
      {
        ...{ training, key_padding_mask, need_weights, attn_mask, average_attn_weights, is_causal },
        ...{ use_separate_proj_weight: this.in_proj_weight === null, q_proj_weight, k_proj_weight, v_proj_weight },
      },
    ) as [Tensor, Tensor | null];
    return [swap ? out.transpose(0, 1) : out, weights];
  }
}

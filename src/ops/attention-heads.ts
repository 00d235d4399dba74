/**
 * Multi-head attention as PyTorch's `multi_head_attention_forward` does it, of other operators: projections, heads, masks, attention, projection.
 * With the weights wanted the scores are made explicitly; without them `scaled_dot_product_attention` does the work.
 */

import type { DType } from '../dtype/dtype.ts';
import { bool } from '../dtype/dtype.ts';
import type { Operator } from '../graph/operator.ts';
import { constant } from '../graph/prim.ts';
import { constantsOf, record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { matching } from './autocast.ts';
import { fullOf } from './creation.ts';
import { shapeList } from './dims.ts';
import { dropoutOf } from './dropout.ts';
import { contiguousOf, reshapeTo } from './shape.ts';
import { use } from './use.ts';

export interface HeadsArguments {
  readonly query: Tensor;
  readonly key: Tensor;
  readonly value: Tensor;
  readonly embedDim: number;
  readonly heads: number;
  readonly inWeight: Tensor | null;
  readonly inBias: Tensor | null;
  readonly biasK: Tensor | null;
  readonly biasV: Tensor | null;
  readonly zeroAttention: boolean;
  /** 0 outside of training. */
  readonly dropout: number;
  readonly outWeight: Tensor;
  readonly outBias: Tensor | null;
  readonly paddingMask: Tensor | null;
  readonly needWeights: boolean;
  readonly mask: Tensor | null;
  readonly separate: boolean;
  readonly qWeight: Tensor | null;
  readonly kWeight: Tensor | null;
  readonly vWeight: Tensor | null;
  readonly staticK: Tensor | null;
  readonly staticV: Tensor | null;
  readonly average: boolean;
  readonly causal: boolean;
}

const linear = (x: Tensor, weight: Tensor, bias: Tensor | null): Tensor => use('nn.functional.linear', x, weight, bias);
const swapped = (x: Tensor): Tensor => use('transpose', x, 0, 1);
const size = (t: Tensor): string => `torch.Size(${shapeList(t.view_.shape)})`;
const tuple = (shape: readonly number[]): string => `(${shape.join(', ')})`;

/** Whether there is a batch; errors where the shapes do not belong together. */
function checkShapes(a: HeadsArguments): boolean {
  const { query, key, value, paddingMask, mask } = a;
  if (query.ndim !== 3 && query.ndim !== 2)
    throw new Error(`query should be unbatched 2D or batched 3D tensor but received ${query.ndim}-D query tensor`);
  const batched = query.ndim === 3;
  const what = batched ? 'batched (3-D)' : 'unbatched (2-D)';
  if (key.ndim !== query.ndim || value.ndim !== query.ndim)
    throw new Error(
      `For ${what} \`query\`, expected \`key\` and \`value\` to be ${query.ndim}-D but found ${key.ndim}-D and ${value.ndim}-D tensors respectively`,
    );
  if (paddingMask !== null && paddingMask.ndim !== query.ndim - 1)
    throw new Error(
      `For ${what} \`query\`, expected \`key_padding_mask\` to be \`None\` or ${query.ndim - 1}-D but found ${paddingMask.ndim}-D tensor instead`,
    );
  if (mask !== null && mask.ndim !== 2 && mask.ndim !== 3)
    throw new Error(`For ${what} \`query\`, expected \`attn_mask\` to be \`None\`, 2-D or 3-D but found ${mask.ndim}-D tensor instead`);
  if (mask !== null && !batched && mask.ndim === 3) {
    const expected = [a.heads, query.view_.shape[0], key.view_.shape[0]];
    if (mask.view_.shape.join() !== expected.join())
      throw new Error(`Expected \`attn_mask\` shape to be ${tuple(expected)} but got ${size(mask)}`);
  }
  return batched;
}

const maskOperator: Operator<{ dtype: DType }> = {
  name: 'masked_fill',
  body: ([mask], { constants: { dtype } }) => [mask.where(constant(Number.NEGATIVE_INFINITY, dtype), constant(0, dtype))],
};
/** A mask as what is added to the scores: -inf where a bool mask is true. */
export function additiveMask(mask: Tensor | null, name: string, dtype: DType): Tensor | null {
  if (mask === null || mask.dtype.is_floating_point) return mask;
  if (mask.dtype !== bool) throw new Error(`only bool and floating types of ${name} are supported`);
  return record(maskOperator as never, [mask], { constants: constantsOf(`additive:${dtype.name}`, () => ({ dtype })) })[0];
}

function project(a: HeadsArguments, query: Tensor, key: Tensor, value: Tensor): readonly [Tensor, Tensor, Tensor] {
  const { inWeight, inBias, embedDim } = a;
  const third = (t: Tensor | null, i: number): Tensor | null => (t === null ? null : use('narrow', t, 0, i * embedDim, embedDim));
  if (a.separate) {
    for (const [name, w] of [
      ['q', a.qWeight],
      ['k', a.kWeight],
      ['v', a.vWeight],
    ] as const)
      if (w === null) throw new Error(`use_separate_proj_weight is True but ${name}_proj_weight is None`);
    return [
      linear(query, a.qWeight!, third(inBias, 0)),
      linear(key, a.kWeight!, third(inBias, 1)),
      linear(value, a.vWeight!, third(inBias, 2)),
    ];
  }
  if (inWeight === null) throw new Error('use_separate_proj_weight is False but in_proj_weight is None');
  if (a.query === a.key && a.key === a.value) {
    const all = linear(query, inWeight, inBias);
    const part = (i: number): Tensor => use('narrow', all, -1, i * embedDim, embedDim);
    return [part(0), part(1), part(2)];
  }
  return [
    linear(query, third(inWeight, 0)!, third(inBias, 0)),
    linear(key, third(inWeight, 1)!, third(inBias, 1)),
    linear(value, third(inWeight, 2)!, third(inBias, 2)),
  ];
}

/** One more key that a mask lets through. */
const widened = (mask: Tensor | null): Tensor | null =>
  mask === null ? null : use('cat', [mask, fullOf([...mask.view_.shape.slice(0, -1), 1], 0, mask.dtype, mask.device)], mask.ndim - 1);

function checkMask(mask: Tensor, expected2: readonly number[], expected3: readonly number[]): Tensor {
  if (mask.ndim === 2) {
    if (mask.view_.shape.join() !== expected2.join())
      throw new Error(`The shape of the 2D attn_mask is ${size(mask)}, but should be ${tuple(expected2)}.`);
    return use('unsqueeze', mask, 0);
  }
  if (mask.ndim !== 3) throw new Error(`attn_mask's dimension ${mask.ndim} is not supported`);
  if (mask.view_.shape.join() !== expected3.join())
    throw new Error(`The shape of the 3D attn_mask is ${size(mask)}, but should be ${tuple(expected3)}.`);
  return mask;
}

/** [attention output, attention weights or null]. */
export function multiHeadAttention(a: HeadsArguments): [Tensor, Tensor | null] {
  const batched = checkShapes(a);
  const lift = (t: Tensor, dim: number): Tensor => (batched ? t : use('unsqueeze', t, dim));
  const [query, key, value] = [a.query, a.key, a.value].map((t) => lift(t, 1));
  const [target, batch, embed] = query.view_.shape;
  const { heads } = a;
  const { dtype, device } = query;
  let padding = additiveMask(a.paddingMask === null ? null : lift(a.paddingMask, 0), 'key_padding_mask', dtype);
  let causal = a.causal;
  if (causal && a.mask === null)
    throw new Error(
      'Need attn_mask if specifying the is_causal hint. You may use the Transformer module method `generate_square_subsequent_mask` to create this mask.',
    );
  let mask: Tensor | null = null;
  if (!(causal && padding === null && !a.needWeights)) {
    mask = additiveMask(a.mask, 'attn_mask', dtype);
    if (padding !== null) causal = false;
  }
  if (embed !== a.embedDim) throw new Error(`was expecting embedding dimension of ${a.embedDim}, but got ${embed}`);
  const width = Math.floor(embed / heads);
  if (width * heads !== embed) throw new Error(`embed_dim ${embed} not divisible by num_heads ${heads}`);
  if (a.separate) {
    const [ks, vs] = [key, value].map((t) => t.view_.shape.slice(0, 2));
    if (ks.join() !== vs.join())
      throw new Error(`key's sequence and batch dims torch.Size(${shapeList(ks)}) do not match value's torch.Size(${shapeList(vs)})`);
  } else if (key.view_.shape.join() !== value.view_.shape.join())
    throw new Error(`key shape ${size(key)} does not match value shape ${size(value)}`);
  let [q, k, v] = project(a, query, key, value);
  if (mask !== null) mask = checkMask(mask, [target, key.view_.shape[0]], [batch * heads, target, key.view_.shape[0]]);
  if (a.biasK !== null && a.biasV !== null) {
    if (a.staticK !== null) throw new Error('bias cannot be added to static key.');
    if (a.staticV !== null) throw new Error('bias cannot be added to static value.');
    const wide = (bias: Tensor): Tensor => use('expand', bias, [1, batch, embed]);
    k = use('cat', [k, wide(a.biasK)]);
    v = use('cat', [v, wide(a.biasV)]);
    mask = widened(mask);
    padding = widened(padding);
  } else if (a.biasK !== null) throw new Error('bias_k is set but bias_v is None');
  else if (a.biasV !== null) throw new Error('bias_v is set but bias_k is None');
  const split = (t: Tensor): Tensor => swapped(reshapeTo(t, [t.view_.shape[0], batch * heads, width]));
  const given = (name: string, t: Tensor): Tensor => {
    if (t.view_.shape[0] !== batch * heads) throw new Error(`expecting ${name}.size(0) of ${batch * heads}, but got ${t.view_.shape[0]}`);
    if (t.view_.shape[2] !== width) throw new Error(`expecting ${name}.size(2) of ${width}, but got ${t.view_.shape[2]}`);
    return t;
  };
  q = split(q);
  k = a.staticK === null ? split(k) : given('static_k', a.staticK);
  v = a.staticV === null ? split(v) : given('static_v', a.staticV);
  if (a.zeroAttention) {
    const zeros = fullOf([batch * heads, 1, width], 0, k.dtype, device);
    k = use('cat', [k, zeros], 1);
    v = use('cat', [v, zeros], 1);
    mask = widened(mask);
    padding = widened(padding);
  }
  const source = k.view_.shape[1];
  if (padding !== null) {
    padding.view_.shape.forEach((d, i) => {
      const expected = [batch, source][i];
      if (d !== expected) throw new Error(`Expected key_padded_mask.shape[${i}] to be ${expected}, but got ${d}`);
    });
    const spread = reshapeTo(use('expand', reshapeTo(padding, [batch, 1, 1, source]), [batch, heads, 1, source]), [
      batch * heads,
      1,
      source,
    ]);
    mask = mask === null ? spread : use('add', mask, spread);
  }
  const finish = (t: Tensor): Tensor => {
    const out = reshapeTo(linear(reshapeTo(contiguousOf(t), [target * batch, embed]), a.outWeight, a.outBias), [target, batch, -1]);
    return batched ? out : use('squeeze', out, 1);
  };
  if (!a.needWeights) {
    if (mask !== null) mask = mask.view_.shape[0] === 1 ? use('unsqueeze', mask, 0) : reshapeTo(mask, [batch, heads, -1, source]);
    const lifted = [q, k, v].map((t) => reshapeTo(t, [batch, heads, t.view_.shape[1], width]));
    const out = use('nn.functional.scaled_dot_product_attention', ...lifted, mask, a.dropout, causal);
    return [finish(use('permute', out, [2, 0, 1, 3])), null];
  }
  if (causal && mask === null) throw new Error('FIXME: is_causal not implemented for need_weights');
  let scores = use('bmm', use('mul', q, Math.sqrt(1 / width)), use('transpose', k, -2, -1));
  if (mask !== null) scores = use('add', scores, matching(mask, scores));
  let weights = use('softmax', scores, -1);
  weights = dropoutOf(weights, a.dropout, true);
  const out = finish(swapped(use('bmm', weights, v)));
  const grouped = reshapeTo(weights, [batch, heads, target, source]);
  const seen = a.average ? use('mean', grouped, [1]) : grouped;
  return [out, batched ? seen : use('squeeze', seen, 0)];
}

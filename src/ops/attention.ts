/** Attention: https://docs.pytorch.org/docs/stable/nn.functional.html#attention-mechanisms */
import { modes } from '../autograd/modes.ts';
import type { DType } from '../dtype/dtype.ts';
import { computationDtype } from '../dtype/promotion.ts';
import type { Operator } from '../graph/operator.ts';
import { constant, iota, type Prim } from '../graph/prim.ts';
import { topological, vjp } from '../graph/vjp.ts';
import * as dimsOf from '../shape/dim.ts';
import { broadcastShapes } from '../shape/view.ts';
import { engineOf } from '../tensor/devices.ts';
import { constantsBy, record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { flags } from '../util/flags.ts';
import { blockedAttention, blockedAttentionGradient, blockRows } from './attention-blocks.ts';
import { multiHeadAttention } from './attention-heads.ts';
import { attentionByKernel, attentionFunction, fitsKernel } from './attention-kernel.ts';
import { declare, overload } from './declare.ts';
import { checkProbability, drawMask } from './dropout.ts';
import { sizeMismatch } from './elementwise.ts';
import { matmulPrims } from './matmul.ts';

const page = (name: string): string => `https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.${name}.html`;

interface AttentionConstants {
  readonly causal: boolean;
  readonly mask: 'none' | 'bool' | 'float';
  readonly groups: boolean;
  readonly dropout: boolean;
  readonly compute: DType;
  /** Queries a block, where the scores would be large; else 0. */
  readonly rows: number;
  /** The scale, where the device's own kernel computes it; else null. */
  readonly kernel: number | null;
}
/** softmax(q k^T scale + mask) v. The definition; devices may have a kernel that never writes the scores. With dropout the last input says what is kept. */
const attentionOperator: Operator<AttentionConstants> = {
  name: 'scaled_dot_product_attention',
  paramTypes: ({ compute }) => [compute, compute],
  body: (inputs, { constants: c, params: [scale, keep] }) => {
    const [q, k0, v0] = inputs;
    const mask = c.mask === 'none' ? undefined : inputs[3];
    if (c.kernel !== null) return [attentionByKernel(q, k0, v0, mask, { causal: c.causal, mask: c.mask, scale: c.kernel })];
    const k = c.groups ? repeatHeads(k0, q) : k0;
    const v = c.groups ? repeatHeads(v0, q) : v0;
    if (c.rows > 0) return [blockedAttention(q, k, v, mask, scale, c)];
    if (!c.dropout) {
      const scores = matmulPrims(q, k.mT).cast(c.compute).mul(scale);
      return [matmulPrims(maskedSoftmax(scores, mask, c).cast(v.dtype), v)];
    }
    // PyTorch's math backend: all in the computation dtype, both factors scaled by the root.
    const root = scale.sqrt();
    const scores = matmulPrims(q.cast(c.compute).mul(root), k.cast(c.compute).mul(root).mT);
    const weights = maskedSoftmax(scores, mask, c).mul(inputs[inputs.length - 1].div(keep));
    return [matmulPrims(weights, v.cast(c.compute)).cast(v.dtype)];
  },
  gradient: ([g], inputs, [out], { constants: c, params: [scale] }) => {
    if (g === null) return inputs.map(() => null);
    return c.rows > 0 ? blockedGradient(g, inputs, out, scale, c) : attentionGradient(g, inputs, out);
  },
};
/** Heads that share keys and values add their gradients up. */
function blockedGradient(g: Prim, inputs: readonly Prim[], out: Prim, scale: Prim, c: AttentionConstants): readonly (Prim | null)[] {
  const [q, k0, v0] = inputs;
  const mask = c.mask === 'none' ? undefined : inputs[3];
  const k = c.groups ? repeatHeads(k0, q) : k0;
  const v = c.groups ? repeatHeads(v0, q) : v0;
  const grads = blockedAttentionGradient(g, [q, k, v], mask, scale, out, c);
  const shared = (grad: Prim, repeated: Prim, like: Prim): Prim => (c.groups ? vjp([[repeated, grad]], [like])[0]! : grad);
  return [grads.q, shared(grads.k, k, k0), shared(grads.v, v, v0), ...(mask === undefined ? [] : [grads.mask])];
}
function maskedSoftmax(scores: Prim, mask: Prim | undefined, c: AttentionConstants): Prim {
  const n = scores.ndim;
  let s = scores;
  const low = constant(Number.NEGATIVE_INFINITY, s.dtype);
  if (c.causal)
    s = iota(s.shape, n - 1)
      .le(iota(s.shape, n - 2))
      .where(s, low);
  if (mask !== undefined) s = c.mask === 'bool' ? mask.expand(s.shape).where(s, low) : s.add(mask.cast(s.dtype));
  const peak = s.amax([n - 1], true);
  // A row that is masked everywhere gives zeros, as PyTorch's math backend (safe softmax) does.
  const e = s.sub(peak.eq(Number.NEGATIVE_INFINITY).where(0, peak)).exp();
  const total = e.sum([n - 1], true);
  const weights = e.div(total.eq(0).where(1, total));
  softmaxOf.set(weights, s);
  return weights;
}
/** The masked scores that weights were made of. */
const softmaxOf = new WeakMap<Prim, Prim>();

/** Through the weights alone: no gradient by way of the row's peak, which cancels, and of all that the softmax computes only its result is read. */
function attentionGradient(g: Prim, inputs: readonly Prim[], out: Prim): readonly (Prim | null)[] {
  const weights = topological([out], (p) => inputs.includes(p)).find((p) => softmaxOf.has(p));
  if (weights === undefined) throw new Error('internal: attention without weights');
  const direct = vjp([[out, g]], [weights, ...inputs]);
  const toWeights = direct[0]!;
  const scaled = toWeights.mul(weights);
  const toScores = scaled.sub(weights.mul(scaled.sum([weights.ndim - 1], true)));
  const throughScores = vjp([[softmaxOf.get(weights)!, toScores]], inputs);
  return inputs.map((_, i) => {
    const a = direct[i + 1];
    const b = throughScores[i];
    return a === null ? b : b === null ? a : a.add(b);
  });
}
function repeatHeads(x: Prim, q: Prim): Prim {
  const n = x.ndim;
  const heads = dimsOf.toNumber(q.shape[n - 3], 'the number of heads');
  const groups = dimsOf.toNumber(x.shape[n - 3], 'the number of heads');
  const wide = x.unsqueeze(n - 2).expand([...x.shape.slice(0, n - 2), heads / groups, ...x.shape.slice(n - 2)]);
  return wide.reshape([...x.shape.slice(0, n - 3), heads, ...x.shape.slice(n - 2)]);
}

const cNames: Readonly<Record<string, string>> = {
  float32: 'float',
  float64: 'double',
  float16: 'c10::Half',
  bfloat16: 'c10::BFloat16',
  int64: 'long int',
  int32: 'int',
  bool: 'bool',
};
const cName = (t: Tensor): string => cNames[t.dtype.name] ?? t.dtype.name;

const attentionConstants = constantsBy(
  'sdpa',
  (
    causal: boolean,
    mask: AttentionConstants['mask'],
    groups: boolean,
    dropout: boolean,
    compute: DType,
    rows: number,
    kernel: number | null,
  ): AttentionConstants => ({ causal, mask, groups, dropout, compute, rows, kernel }),
);

function attentionOf(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  mask: Tensor | null,
  dropout: number,
  causal: boolean,
  scale: number | null,
  gqa: boolean,
): Tensor {
  if (q.dtype !== k.dtype || q.dtype !== v.dtype)
    throw new Error(
      `Expected query, key, and value to have the same dtype, but got query.dtype: ${cName(q)} key.dtype: ${cName(k)} and value.dtype: ${cName(v)} instead.`,
    );
  if (q.ndim < 2 || k.ndim < 2 || v.ndim < 2)
    throw new Error(
      `Expected query, key, and value to all be  at least 2 dimensional, but got query.dim: ${q.ndim} key.dim: ${k.ndim} and value.dim: ${v.ndim} instead.`,
    );
  if (mask !== null && mask.dtype.kind !== 'bool' && mask.dtype.name !== 'float32' && mask.dtype !== q.dtype)
    throw new Error(
      `Expected attn_mask dtype to be bool or float or to match query dtype, but got attn_mask.dtype: ${cName(mask)} and  query.dtype: ${cName(q)} instead.`,
    );
  if (mask !== null && causal) throw new Error('_scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True');
  checkProbability(dropout);
  const [a, b, c] = [q, k, v].map((t) => t.view_.shape);
  const groups = gqa && q.ndim > 2 && a[a.length - 3] !== b[b.length - 3];
  if (groups && (a[a.length - 3] % b[b.length - 3] !== 0 || b[b.length - 3] !== c[c.length - 3]))
    throw new Error('Number of heads in key and value must divide the number of heads in ');
  const heads = (shape: readonly number[]): readonly number[] => (groups ? [...shape.slice(0, -3), a[a.length - 3]] : shape.slice(0, -2));
  const batch = broadcastShapes(heads(a), heads(b));
  if (batch === null) throw sizeMismatch([...a.slice(0, -2), 1, 1], [...b.slice(0, -2), 1, 1]);
  if (a[a.length - 1] !== b[b.length - 1]) {
    const rows = batch.reduce((n, d) => n * d, 1);
    throw new Error(
      `Expected size for first two dimensions of batch2 tensor to be: [${rows}, ${a[a.length - 1]}] but got: [${rows}, ${b[b.length - 1]}].`,
    );
  }
  const factor = scale ?? 1 / Math.sqrt(a[a.length - 1]);
  const compute = computationDtype(q.dtype);
  const kind = mask === null ? 'none' : mask.dtype.kind === 'bool' ? 'bool' : 'float';
  const pairs = batch.reduce((n, d) => n * d, 1);
  const wantsGradient = modes.grad && [q, k, v, mask].some((t) => t?.requires_grad === true);
  const byKernel =
    dropout === 0 &&
    !wantsGradient &&
    factor > 0 &&
    engineOf(q.device).backend.limits.kernels?.has(attentionFunction.name) === true &&
    fitsKernel(a, b, c, q.dtype.name, groups);
  const rows = dropout > 0 || byKernel ? 0 : blockRows(pairs, a[a.length - 2], b[b.length - 2], compute.itemsize, flags.attentionBytes);
  const constants = attentionConstants(causal, kind, groups, dropout > 0, compute, rows, byKernel ? factor : null);
  const inputs = [q, k, v, ...(mask === null ? [] : [mask])];
  if (dropout > 0) inputs.push(drawMask([...batch, a[a.length - 2], b[b.length - 2]], compute, 1 - dropout, q.device));
  // With everything dropped nothing is kept, and nothing is divided.
  return record(attentionOperator as never, inputs, { constants, params: [factor, dropout < 1 ? 1 - dropout : 1] })[0];
}

export const attention = {
  scaled_dot_product_attention: declare(
    { doc: `softmax(q k^T / sqrt(d) + mask) v. ${page('scaled_dot_product_attention')}`, as: 'function' },
    overload(
      'scaled_dot_product_attention(Tensor query, Tensor key, Tensor value, Tensor? attn_mask=None, float dropout_p=0.0, bool is_causal=False, *, float? scale=None, bool enable_gqa=False) -> Tensor',
      (q, k, v, mask, dropout, causal, scale, gqa) => attentionOf(q, k, v, mask, dropout, causal, scale, gqa),
    ),
  ),
  multi_head_attention_forward: declare(
    {
      doc: 'What nn.MultiheadAttention computes. https://docs.pytorch.org/docs/stable/generated/torch.nn.MultiheadAttention.html',
      as: 'function',
    },
    overload(
      'multi_head_attention_forward(Tensor query, Tensor key, Tensor value, int embed_dim_to_check, int num_heads, Tensor? in_proj_weight, Tensor? in_proj_bias, Tensor? bias_k, Tensor? bias_v, bool add_zero_attn, float dropout_p, Tensor out_proj_weight, Tensor? out_proj_bias, bool training=True, Tensor? key_padding_mask=None, bool need_weights=True, Tensor? attn_mask=None, bool use_separate_proj_weight=False, Tensor? q_proj_weight=None, Tensor? k_proj_weight=None, Tensor? v_proj_weight=None, Tensor? static_k=None, Tensor? static_v=None, bool average_attn_weights=True, bool is_causal=False) -> (Tensor, Tensor?)',
      (
        query,
        key,
        value,
        embedDim,
        heads,
        inWeight,
        inBias,
        biasK,
        biasV,
        zeroAttention,
        dropout,
        outWeight,
        outBias,
        training,
        paddingMask,
        needWeights,
        mask,
        separate,
        qWeight,
        kWeight,
        vWeight,
        staticK,
        staticV,
        average,
        causal,
      ) =>
        multiHeadAttention({
          ...{ query, key, value, embedDim, heads, inWeight, inBias, biasK, biasV, zeroAttention, outWeight, outBias },
          ...{ paddingMask, needWeights, mask, separate, qWeight, kWeight, vWeight, staticK, staticV, average, causal },
          dropout: training ? dropout : 0,
        }),
    ),
  ),
};

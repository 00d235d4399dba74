/** Attention: https://docs.pytorch.org/docs/stable/nn.functional.html#attention-mechanisms */
import type { DType } from '../dtype/dtype.ts';
import { computationDtype } from '../dtype/promotion.ts';
import type { Operator } from '../graph/operator.ts';
import { constant, iota, type Prim } from '../graph/prim.ts';
import * as dimsOf from '../shape/dim.ts';
import { constantsOf, record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { declare, overload } from './declare.ts';
import { matmulPrims } from './matmul.ts';

interface AttentionConstants {
  readonly causal: boolean;
  readonly mask: 'none' | 'bool' | 'float';
  readonly groups: boolean;
  readonly compute: DType;
}
/** softmax(q k^T scale + mask) v. The definition; devices may have a kernel that never writes the scores. */
const attentionOperator: Operator<AttentionConstants> = {
  name: 'scaled_dot_product_attention',
  paramTypes: ({ compute }) => [compute],
  body: (inputs, { constants: c, params: [scale] }) => {
    const [q, k0, v0] = inputs;
    const k = c.groups ? repeatHeads(k0, q) : k0;
    const v = c.groups ? repeatHeads(v0, q) : v0;
    const scores = matmulPrims(q, k.mT).cast(c.compute).mul(scale);
    return [matmulPrims(maskedSoftmax(scores, inputs[3], c).cast(v.dtype), v)];
  },
};
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
  return e.div(total.eq(0).where(1, total));
}
function repeatHeads(x: Prim, q: Prim): Prim {
  const n = x.ndim;
  const heads = dimsOf.toNumber(q.shape[n - 3], 'the number of heads');
  const groups = dimsOf.toNumber(x.shape[n - 3], 'the number of heads');
  const wide = x.unsqueeze(n - 2).expand([...x.shape.slice(0, n - 2), heads / groups, ...x.shape.slice(n - 2)]);
  return wide.reshape([...x.shape.slice(0, n - 3), heads, ...x.shape.slice(n - 2)]);
}

function attentionOf(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | null, causal: boolean, scale: number | null, gqa: boolean): Tensor {
  if (q.dtype !== k.dtype || q.dtype !== v.dtype)
    throw new Error(
      `Expected query, key, and value to have the same dtype, but got query.dtype: ${q.dtype.name} key.dtype: ${k.dtype.name} and value.dtype: ${v.dtype.name} instead.`,
    );
  if (mask !== null && causal) throw new Error('_scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True');
  const factor = scale ?? 1 / Math.sqrt(q.view_.shape[q.ndim - 1]);
  const compute = computationDtype(q.dtype);
  const kind = mask === null ? 'none' : mask.dtype.kind === 'bool' ? 'bool' : 'float';
  const groups = gqa && q.view_.shape[q.ndim - 3] !== k.view_.shape[k.ndim - 3];
  const constants = constantsOf(
    `sdpa:${causal}:${kind}:${groups}:${compute.name}`,
    (): AttentionConstants => ({ causal, mask: kind, groups, compute }),
  );
  return record(attentionOperator as never, mask === null ? [q, k, v] : [q, k, v, mask], { constants, params: [factor] })[0];
}

export const attention = {
  scaled_dot_product_attention: declare(
    {
      doc: 'softmax(q k^T / sqrt(d) + mask) v. https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.scaled_dot_product_attention.html',
      as: 'function',
    },
    overload(
      'scaled_dot_product_attention(Tensor query, Tensor key, Tensor value, Tensor? attn_mask=None, float dropout_p=0.0, bool is_causal=False, *, float? scale=None, bool enable_gqa=False) -> Tensor',
      (q, k, v, mask, dropout, causal, scale, gqa) => {
        if (dropout !== 0) throw new Error('scaled_dot_product_attention: dropout_p other than 0 is not supported on this device');
        return attentionOf(q, k, v, mask, causal, scale, gqa);
      },
    ),
  ),
};

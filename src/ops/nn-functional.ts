/** torch.nn.functional: https://docs.pytorch.org/docs/stable/nn.functional.html */
import { type DType, int64 } from '../dtype/dtype.ts';
import { computationDtype } from '../dtype/promotion.ts';
import type { Operator } from '../graph/operator.ts';
import { constant, dimPrim, full, iota, type Prim } from '../graph/prim.ts';
import type { Dim } from '../shape/dim.ts';
import * as dimsOf from '../shape/dim.ts';
import { constantsOf, record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { declare, overload } from './declare.ts';
import { shapeList, wrapDim } from './dims.ts';
import { indexOutside } from './host-index.ts';
import { linearOf, matmulPrims } from './matmul.ts';
import { squeezeOf, unsqueezeOf } from './shape.ts';

interface SoftmaxConstants {
  readonly axis: number;
  readonly from: DType;
  readonly compute: DType;
  readonly result: DType;
}
const softmaxOperator: Operator<SoftmaxConstants> = {
  name: 'softmax',
  body: ([x], { constants: c }) => {
    const v = x.cast(c.from).cast(c.compute);
    const e = v.sub(v.amax([c.axis], true)).exp();
    return [e.div(e.sum([c.axis], true)).cast(c.result)];
  },
  gradient: ([g], [x], [y], { constants: c }) => {
    if (g === null) return [null];
    const [gc, yc] = [g.cast(c.compute), y.cast(c.compute)];
    const gy = gc.mul(yc);
    return [gy.sub(yc.mul(gy.sum([c.axis], true))).cast(x.dtype)];
  },
};
const logSoftmaxOperator: Operator<SoftmaxConstants> = {
  name: 'log_softmax',
  body: ([x], { constants: c }) => {
    const v = x.cast(c.from).cast(c.compute);
    const shifted = v.sub(v.amax([c.axis], true));
    return [shifted.sub(shifted.exp().sum([c.axis], true).log()).cast(c.result)];
  },
  gradient: ([g], [x], [y], { constants: c }) => {
    if (g === null) return [null];
    const [gc, yc] = [g.cast(c.compute), y.cast(c.compute)];
    return [gc.sub(yc.exp().mul(gc.sum([c.axis], true))).cast(x.dtype)];
  },
};

function softmaxCall(operator: Operator<SoftmaxConstants>, x: Tensor, dim: number, dtype: DType | null): Tensor {
  const from = dtype ?? x.dtype;
  if (!from.is_floating_point)
    throw new Error(`"${operator.name}_lastdim_kernel_impl" not implemented for '${from.kind === 'bool' ? 'Bool' : 'Long'}'`);
  const axis = wrapDim(dim, x.ndim);
  const constants = constantsOf(`${operator.name}:${axis}:${from.name}:${x.ndim === 0}`, () => ({
    axis,
    from,
    compute: computationDtype(from),
    result: from,
  }));
  if (x.ndim === 0) return squeezeOf(record(operator as never, [unsqueezeOf(x, 0)], { constants })[0], [0]);
  return record(operator as never, [x], { constants })[0];
}

// ---- embedding

const embeddingOperator: Operator<{ padding: number | null }> = {
  name: 'embedding',
  body: ([weight, indices]) => [lookupRows(weight, indices)],
  gradient: ([g], [weight, indices], _, { constants: { padding } }) => {
    if (g === null) return [null, null];
    const rows = dimsOf.productOf(indices.shape);
    const flat = g.reshape([rows, weight.shape[1]]);
    const at = indices.cast(int64).reshape([rows]);
    const value = padding === null ? flat : at.ne(padding).unsqueeze(1).where(flat, 0);
    const coords = [at.unsqueeze(1).expand([rows, weight.shape[1]]), iota([rows, weight.shape[1]], 1)];
    return [full(weight.shape, 0, g.dtype).scatter(value, coords, 'add'), null];
  },
};
/** weight[indices]: one row for each index. */
function lookupRows(weight: Prim, indices: Prim): Prim {
  const out: Dim[] = [...indices.shape, weight.shape[1]];
  const n = out.length;
  const row = indices
    .cast(int64)
    .unsqueeze(n - 1)
    .expand(out);
  return weight.lookup([row, iota(out, n - 1)]);
}

// ---- normalization

interface NormConstants {
  readonly rank: number;
  readonly weight: boolean;
  readonly bias: boolean;
  readonly compute: DType;
}
/** Normalized over the last `rank` dims: mean and reciprocal deviation are hidden outputs that the gradient reads. */
const layerNormOperator: Operator<NormConstants> = {
  name: 'native_layer_norm',
  paramTypes: ({ compute }) => [compute],
  body: (inputs, { constants: c, params: [eps] }) => {
    const x = inputs[0].cast(c.compute);
    const { normalized } = normalize(x, c.rank, eps);
    const scaled = c.weight ? normalized.mul(inputs[1].cast(c.compute)) : normalized;
    const shifted = c.bias ? scaled.add(inputs[c.weight ? 2 : 1].cast(c.compute)) : scaled;
    return [shifted.cast(inputs[0].dtype)];
  },
};
function normalize(x: Prim, rank: number, eps: Prim): { normalized: Prim } {
  const axes = [...x.shape.keys()].slice(x.ndim - rank);
  const count = dimPrim(
    axes.reduce<Dim>((n, a) => dimsOf.mul(n, x.shape[a]), 1),
    x.dtype,
  );
  const mean = x.sum(axes, true).div(count);
  const centered = x.sub(mean);
  const variance = centered.mul(centered).sum(axes, true).div(count);
  const rstd = constant(1, x.dtype).div(variance.add(eps).sqrt());
  return { normalized: centered.mul(rstd) };
}

function layerNormOf(x: Tensor, shape: readonly number[], weight: Tensor | null, bias: Tensor | null, eps: number): Tensor {
  const tail = x.view_.shape.slice(x.ndim - shape.length);
  if (shape.length === 0)
    throw new Error(
      'Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one element, but got normalized_shape = []',
    );
  if (x.ndim < shape.length || tail.join() !== shape.join())
    throw new Error(
      `Given normalized_shape=${shapeList(shape)}, expected input with shape [*, ${shape.join(', ')}], but got input of size${shapeList(x.view_.shape)}`,
    );
  for (const [name, t] of [
    ['weight', weight],
    ['bias', bias],
  ] as const)
    if (t !== null && t.view_.shape.join() !== shape.join())
      throw new Error(
        `Expected ${name} to be of same shape as normalized_shape, but got ${name} of shape ${shapeList(t.view_.shape)} and normalized_shape = ${shapeList(shape)}`,
      );
  const compute = computationDtype(x.dtype);
  const constants = constantsOf(
    `layer_norm:${shape.length}:${weight !== null}:${bias !== null}:${compute.name}`,
    (): NormConstants => ({
      rank: shape.length,
      weight: weight !== null,
      bias: bias !== null,
      compute,
    }),
  );
  const inputs = [x, ...(weight === null ? [] : [weight]), ...(bias === null ? [] : [bias])];
  return record(layerNormOperator as never, inputs, { constants, params: [eps] })[0];
}

// ---- losses

interface CrossEntropyConstants {
  readonly axis: number;
  readonly reduction: 'none' | 'mean' | 'sum';
  readonly weight: boolean;
  readonly compute: DType;
  readonly smoothing: boolean;
}
/**
 * Targets are class indices along `axis`. With z = logsumexp(x): loss = z - x[target], and label smoothing e adds the mean over classes:
 * (1 - e) (z - x[target]) + e/C sum_c w_c (z - x_c). Elements whose target is ignore_index count for nothing.
 */
const crossEntropyOperator: Operator<CrossEntropyConstants> = {
  name: 'cross_entropy_loss',
  paramTypes: ({ compute }) => [int64, compute],
  body: (inputs, { constants: c, params: [ignored, smoothing] }) => {
    const x = inputs[0].cast(c.compute);
    const target = inputs[1].cast(int64);
    const weight = c.weight ? inputs[2].cast(c.compute) : null;
    const classes = x.shape[c.axis];
    const peak = x.amax([c.axis], true);
    const z = x.sub(peak).exp().sum([c.axis], true).log().add(peak).squeeze(c.axis);
    const valid = target.ne(ignored);
    const safe = valid.where(target, 0);
    // The picked logit as a masked sum along the classes: it shares the row's pass with the sum of exponentials.
    const hit = iota(x.shape, c.axis).eq(safe.unsqueeze(c.axis));
    const picked = hit.where(x, 0).sum([c.axis]);
    const w = weight === null ? null : lookupClass(weight, safe);
    let nll = z.sub(picked);
    if (w !== null) nll = nll.mul(w);
    let loss = nll;
    if (c.smoothing) {
      const share = smoothing.div(dimPrim(classes, c.compute));
      const all =
        weight === null
          ? z.mul(dimPrim(classes, c.compute)).sub(x.sum([c.axis]))
          : z
              .unsqueeze(c.axis)
              .sub(x)
              .mul(alongAxis(weight, x, c.axis))
              .sum([c.axis]);
      loss = nll.mul(smoothing.neg().add(1)).add(all.mul(share));
    }
    const masked = valid.where(loss, 0);
    const out = inputs[0].dtype;
    if (c.reduction === 'none') return [masked.cast(out)];
    const total = masked.sum();
    if (c.reduction === 'sum') return [total.cast(out)];
    const count = valid.where(w ?? constant(1, c.compute).expand(masked.shape), 0).sum();
    return [total.div(count).cast(out)];
  },
};
const lookupClass = (weight: Prim, index: Prim): Prim => weight.lookup([index]);
const alongAxis = (weight: Prim, x: Prim, axis: number): Prim => weight.reshape(x.shape.map((d, i) => (i === axis ? d : 1)));

function crossEntropyOf(x: Tensor, target: Tensor, weight: Tensor | null, reduction: string, ignore: number, smoothing: number): Tensor {
  if (reduction !== 'none' && reduction !== 'mean' && reduction !== 'sum')
    throw new Error(`${reduction} is not a valid value for reduction`);
  if (x.ndim === 0) throw new Error('Expected input to be at least 1D');
  const axis = x.ndim === 1 ? 0 : 1;
  if (target.dtype.is_floating_point) {
    if (target.shape.join() === x.shape.join()) return crossEntropyOfProbabilities(x, target, weight, reduction, smoothing, axis);
    throw new Error(
      `expected scalar type Long but found ${target.dtype.name === 'float32' ? 'Float' : target.dtype.name}\nhint: class indices are integers: make them with { dtype: torch.int64 } or bigint literals`,
    );
  }
  const expected = x.view_.shape.filter((_, i) => i !== axis);
  if (expected.join() !== target.shape.join()) {
    if (x.ndim === 2 && target.ndim === 1)
      throw new Error(`Expected input batch_size (${x.view_.shape[0]}) to match target batch_size (${target.view_.shape[0]}).`);
    throw new Error(`Expected target size ${shapeList(expected)}, got ${shapeList(target.shape)}`);
  }
  if (weight !== null && (weight.ndim !== 1 || weight.view_.shape[0] !== x.view_.shape[axis]))
    throw new Error(`cross_entropy: weight tensor should be defined either for all or no classes`);
  const wrong = indexOutside(target, 0, x.view_.shape[axis], ignore);
  if (wrong !== null) throw new RangeError(`Target ${wrong} is out of bounds.`);
  const compute = computationDtype(x.dtype);
  const constants = constantsOf(
    `cross_entropy:${axis}:${reduction}:${weight !== null}:${compute.name}:${smoothing !== 0}`,
    (): CrossEntropyConstants => ({
      axis,
      reduction,
      weight: weight !== null,
      compute,
      smoothing: smoothing !== 0,
    }),
  );
  return record(crossEntropyOperator as never, weight === null ? [x, target] : [x, target, weight], {
    constants,
    params: [BigInt(ignore), smoothing],
  })[0];
}

interface ProbabilityConstants {
  readonly axis: number;
  readonly reduction: 'none' | 'mean' | 'sum';
  readonly weight: boolean;
  readonly compute: DType;
}
const crossEntropyProbabilities: Operator<ProbabilityConstants> = {
  name: 'cross_entropy_loss',
  paramTypes: ({ compute }) => [compute],
  body: (inputs, { constants: c, params: [smoothing] }) => {
    const x = inputs[0].cast(c.compute);
    const peak = x.amax([c.axis], true);
    const logp = x.sub(peak).sub(x.sub(peak).exp().sum([c.axis], true).log());
    const share = smoothing.div(dimPrim(x.shape[c.axis], c.compute));
    const target = inputs[1].cast(c.compute).mul(smoothing.neg().add(1)).add(share);
    const weighted = c.weight ? logp.mul(alongAxis(inputs[2].cast(c.compute), x, c.axis)) : logp;
    const loss = weighted.mul(target).sum([c.axis]).neg();
    const out = inputs[0].dtype;
    if (c.reduction === 'none') return [loss.cast(out)];
    const total = loss.sum();
    return [(c.reduction === 'sum' ? total : total.div(dimPrim(dimsOf.productOf(loss.shape), c.compute))).cast(out)];
  },
};
function crossEntropyOfProbabilities(
  x: Tensor,
  target: Tensor,
  weight: Tensor | null,
  reduction: 'none' | 'mean' | 'sum',
  smoothing: number,
  axis: number,
): Tensor {
  const compute = computationDtype(x.dtype);
  const constants = constantsOf(
    `cross_entropy_p:${axis}:${reduction}:${weight !== null}:${compute.name}`,
    (): ProbabilityConstants => ({ axis, reduction, weight: weight !== null, compute }),
  );
  return record(crossEntropyProbabilities as never, weight === null ? [x, target] : [x, target, weight], {
    constants,
    params: [smoothing],
  })[0];
}

// ---- attention

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

export const nnFunctional = {
  softmax: declare(
    { doc: 'exp(x) / sum exp(x) along a dim. https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.softmax.html' },
    overload('softmax.int(Tensor self, int dim, ScalarType? dtype=None) -> Tensor', (x, dim, dtype) =>
      softmaxCall(softmaxOperator, x, dim, dtype),
    ),
  ),
  log_softmax: declare(
    { doc: 'log of softmax. https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.log_softmax.html' },
    overload('log_softmax.int(Tensor self, int dim, ScalarType? dtype=None) -> Tensor', (x, dim, dtype) =>
      softmaxCall(logSoftmaxOperator, x, dim, dtype),
    ),
  ),
  linear: declare(
    { doc: 'x W^T + b. https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.linear.html', as: 'function' },
    overload('linear(Tensor input, Tensor weight, Tensor? bias=None) -> Tensor', (x, weight, bias) => linearOf(x, weight, bias)),
  ),
  embedding: declare(
    { doc: 'Rows of a table. https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.embedding.html', as: 'function' },
    overload('embedding(Tensor input, Tensor weight, int? padding_idx=None) -> Tensor', (input, weight, padding) => {
      if (weight.ndim !== 2) throw new Error("'weight' must be 2-D");
      if (input.dtype.name !== 'int64' && input.dtype.name !== 'int32')
        throw new Error(
          `Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, Int; but got torch.${input.dtype.name === 'float32' ? 'FloatTensor' : input.dtype.name} instead (while checking arguments for embedding)\nhint: indices are integers: make them with { dtype: torch.int64 } or bigint literals`,
        );
      const rows = weight.view_.shape[0];
      if (indexOutside(input, 0, rows) !== null) throw new RangeError('index out of range in self');
      const pad = padding === null ? null : padding < 0 ? padding + rows : padding;
      return record(embeddingOperator as never, [weight, input], {
        constants: constantsOf(`embedding:${pad}`, () => ({ padding: pad })),
      })[0];
    }),
  ),
  layer_norm: declare(
    {
      doc: 'Normalization over the last dims. https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.layer_norm.html',
      as: 'function',
    },
    overload(
      'layer_norm(Tensor input, SymInt[] normalized_shape, Tensor? weight=None, Tensor? bias=None, float eps=1e-05) -> Tensor',
      (x, shape, weight, bias, eps) => layerNormOf(x, shape, weight, bias, eps),
    ),
  ),
  cross_entropy: declare(
    {
      doc: 'Cross-entropy of logits against class indices or probabilities. https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.cross_entropy.html',
      as: 'function',
    },
    overload(
      'cross_entropy(Tensor input, Tensor target, Tensor? weight=None, bool? size_average=None, SymInt ignore_index=-100, bool? reduce=None, str reduction=mean, float label_smoothing=0.0) -> Tensor',
      (x, target, weight, _size, ignore, _reduce, reduction, smoothing) => crossEntropyOf(x, target, weight, reduction, ignore, smoothing),
    ),
  ),
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

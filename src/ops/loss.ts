/** Losses: https://docs.pytorch.org/docs/stable/nn.functional.html#loss-functions */
import { type DType, int64 } from '../dtype/dtype.ts';
import { computationDtype } from '../dtype/promotion.ts';
import type { Operator } from '../graph/operator.ts';
import { constant, dimPrim, iota, type Prim } from '../graph/prim.ts';
import * as dimsOf from '../shape/dim.ts';
import { constantsOf, record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { declare, overload } from './declare.ts';
import { shapeList } from './dims.ts';
import { indexOutside } from './host-index.ts';

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

export const losses = {
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
};

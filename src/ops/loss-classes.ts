/**
 * Losses over classes: negative log likelihood, cross-entropy of class indices and of probabilities, and CTC.
 *
 * The picked entry is a masked sum along the classes, so it shares the row's pass with the sum of exponentials.
 */
import { viewBytes } from '../dtype/codec.ts';
import { type DType, float32, int64 } from '../dtype/dtype.ts';
import { computationDtype, scalarTypeName } from '../dtype/promotion.ts';
import type { LibraryFunction } from '../graph/library.ts';
import type { Operator } from '../graph/operator.ts';
import { callLibrary, constant, dimPrim, iota, type Prim } from '../graph/prim.ts';
import { toTypedArray } from '../tensor/read.ts';
import { constantsOf, record } from '../tensor/record.ts';
import { Tensor } from '../tensor/tensor.ts';
import { detached } from '../tensor/view-tensor.ts';
import { requireFloating } from './activation-bodies.ts';
import { fromBytes } from './creation.ts';
import { shapeList } from './dims.ts';
import { type CtcProblem, ctcGradient, ctcLosses } from './host/ctc.ts';
import { requireInside } from './host-index.ts';
import { type Reduction, reducePrim } from './loss-call.ts';
import { reshapeTo } from './shape.ts';

interface ClassConstants {
  readonly axis: number;
  readonly reduction: Reduction;
  readonly weight: boolean;
  readonly compute: DType;
  readonly smoothing: boolean;
  /** The input is logits (cross-entropy) or log probabilities already. */
  readonly logits: boolean;
}
/**
 * With z = logsumexp(x) (0 for log probabilities): loss = z - x[target], and label smoothing e adds the mean over classes:
 * (1 - e) (z - x[target]) + e/C sum_c w_c (z - x_c). Elements whose target is ignore_index count for nothing.
 */
const classOperator = (name: string): Operator<ClassConstants> => ({
  name,
  paramTypes: ({ compute }) => [int64, compute],
  body: (inputs, { constants: c, params: [ignored, smoothing] }) => {
    const x = inputs[0].cast(c.compute);
    const target = inputs[1].cast(int64);
    const weight = c.weight ? inputs[2].cast(c.compute) : null;
    const classes = x.shape[c.axis];
    const valid = target.ne(ignored);
    const safe = valid.where(target, 0);
    const hit = iota(x.shape, c.axis).eq(safe.unsqueeze(c.axis));
    const picked = hit.where(x, 0).sum([c.axis]);
    const z = c.logits ? logSumExp(x, c.axis) : null;
    const w = weight === null ? null : weight.lookup([safe]);
    let nll = z === null ? picked.neg() : z.sub(picked);
    if (w !== null) nll = nll.mul(w);
    let loss = nll;
    if (c.smoothing && z !== null) {
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
    if (c.reduction !== 'mean') return [reducePrim(masked, c.reduction).cast(out)];
    const count = valid.where(w ?? constant(1, c.compute).expand(masked.shape), 0).sum();
    return [masked.sum().div(count).cast(out)];
  },
});
const crossEntropyOperator = classOperator('cross_entropy_loss');
const nllOperator = classOperator('nll_loss');

function logSumExp(x: Prim, axis: number): Prim {
  const peak = x.amax([axis], true);
  return x.sub(peak).exp().sum([axis], true).log().add(peak).squeeze(axis);
}
const alongAxis = (weight: Prim, x: Prim, axis: number): Prim => weight.reshape(x.shape.map((d, i) => (i === axis ? d : 1)));

function classLoss(
  logits: boolean,
  x: Tensor,
  target: Tensor,
  weight: Tensor | null,
  reduction: Reduction,
  ignore: number,
  smoothing: number,
): Tensor {
  const axis = x.ndim === 1 ? 0 : 1;
  const classes = x.view_.shape[axis];
  if (weight !== null && (weight.ndim !== 1 || weight.view_.shape[0] !== classes)) {
    if (logits && weight.ndim === 1) throw new Error('cross_entropy: weight tensor should be defined either for all or no classes');
    throw new Error(
      `weight tensor should be defined either for all ${classes} classes or no classes but got weight tensor of shape: ${shapeList(weight.view_.shape)}`,
    );
  }
  requireInside(target, 0, classes, (wrong) => new RangeError(`Target ${wrong} is out of bounds.`), ignore);
  const compute = computationDtype(x.dtype);
  const constants = constantsOf(
    `class_loss:${logits}:${axis}:${reduction}:${weight !== null}:${compute.name}:${smoothing !== 0}`,
    (): ClassConstants => ({ axis, reduction, weight: weight !== null, compute, smoothing: smoothing !== 0, logits }),
  );
  const inputs = weight === null ? [x, target] : [x, target, detached(weight)];
  return record((logits ? crossEntropyOperator : nllOperator) as never, inputs, { constants, params: [BigInt(ignore), smoothing] })[0];
}

const indexHint = '\nhint: class indices are integers: make them with { dtype: torch.int64 } or bigint literals';
function checkTargets(x: Tensor, target: Tensor): void {
  if (target.dtype.kind !== 'int') throw new Error(`expected scalar type Long but found ${scalarTypeName(target.dtype)}${indexHint}`);
  const axis = x.ndim === 1 ? 0 : 1;
  const expected = x.view_.shape.filter((_, i) => i !== axis);
  if (expected.join() === target.view_.shape.join()) return;
  if (x.ndim <= 2 && target.ndim <= 1)
    throw new Error(
      `Expected input batch_size (${x.ndim === 1 ? 1 : x.view_.shape[0]}) to match target batch_size (${target.ndim === 0 ? 1 : target.view_.shape[0]}).`,
    );
  throw new Error(`Expected target size ${shapeList(expected)}, got ${shapeList(target.view_.shape)}`);
}

export function nllLoss(x: Tensor, target: Tensor, weight: Tensor | null, reduction: Reduction, ignore: number): Tensor {
  if (x.ndim === 0) throw new Error('Expected input to be at least 1D');
  requireFloating('nll_loss_out_frame', x.dtype);
  checkTargets(x, target);
  return classLoss(false, x, target, weight, reduction, ignore, 0);
}

export function crossEntropy(
  x: Tensor,
  target: Tensor,
  weight: Tensor | null,
  reduction: Reduction,
  ignore: number,
  smoothing: number,
): Tensor {
  if (x.ndim === 0) throw new Error('Expected input to be at least 1D');
  if (smoothing < 0 || smoothing > 1) throw new Error(`label_smoothing must be between 0.0 and 1.0. Got: ${smoothing}`);
  if (x.view_.shape.join() === target.view_.shape.join()) {
    if (!target.dtype.is_floating_point)
      throw new Error(`Expected floating point type for target with class probabilities, got ${scalarTypeName(target.dtype)}`);
    if (ignore >= 0) throw new Error('ignore_index is not supported for floating point target');
    return probabilities(x, target, weight, reduction, smoothing);
  }
  checkTargets(x, target);
  requireFloating('log_softmax_lastdim_kernel_impl', x.dtype);
  return classLoss(true, x, target, weight, reduction, ignore, smoothing);
}

interface ProbabilityConstants {
  readonly axis: number;
  readonly reduction: Reduction;
  readonly weight: boolean;
  readonly compute: DType;
}
const crossEntropyProbabilities: Operator<ProbabilityConstants> = {
  name: 'cross_entropy_loss',
  paramTypes: ({ compute }) => [compute],
  body: (inputs, { constants: c, params: [smoothing] }) => {
    const x = inputs[0].cast(c.compute);
    const peak = x.amax([c.axis], true);
    const shifted = x.sub(peak);
    const logp = shifted.sub(shifted.exp().sum([c.axis], true).log());
    const share = smoothing.div(dimPrim(x.shape[c.axis], c.compute));
    const target = inputs[1].cast(c.compute).mul(smoothing.neg().add(1)).add(share);
    const weighted = c.weight ? logp.mul(alongAxis(inputs[2].cast(c.compute), x, c.axis)) : logp;
    const loss = weighted.mul(target).sum([c.axis]).neg();
    return [reducePrim(loss, c.reduction).cast(inputs[0].dtype)];
  },
};
function probabilities(x: Tensor, target: Tensor, weight: Tensor | null, reduction: Reduction, smoothing: number): Tensor {
  const axis = x.ndim === 1 ? 0 : 1;
  const compute = computationDtype(x.dtype);
  const constants = constantsOf(
    `cross_entropy_p:${axis}:${reduction}:${weight !== null}:${compute.name}`,
    (): ProbabilityConstants => ({ axis, reduction, weight: weight !== null, compute }),
  );
  return record(crossEntropyProbabilities as never, weight === null ? [x, target] : [x, target, detached(weight)], {
    constants,
    params: [smoothing],
  })[0];
}

// ---- CTC

interface CtcConstants {
  readonly blank: number;
  readonly zeroInfinity: boolean;
}
/** Sources of both functions: log_probs [T, N, C], targets ([N, S] or all in a row), input lengths, target lengths. */
function problemOf(inputs: Parameters<LibraryFunction['run']>[0], blank: number): CtcProblem {
  const [logProbs, targets, inputLengths, targetLengths] = inputs;
  const [, batch, classes] = logProbs.shape;
  const starts: number[] = [];
  let at = 0;
  for (let n = 0; n < batch; n++) {
    starts.push(targets.shape.length === 2 ? n * targets.shape[1] : at);
    at += Number(targetLengths.data[n]);
  }
  return {
    logProbs: logProbs.data as ArrayLike<number>,
    batch,
    classes,
    targets: targets.data,
    start: (n) => starts[n],
    inputLengths: inputLengths.data,
    targetLengths: targetLengths.data,
    blank,
    round: logProbs.dtype === float32 ? Math.fround : (x) => x,
  };
}
const ctcGradientFunction: LibraryFunction<CtcConstants> = {
  name: 'ctc_loss_gradient',
  run: (inputs, [out], { blank, zeroInfinity }) => {
    const data = out.data as Float64Array;
    data.fill(0);
    ctcGradient(problemOf(inputs, blank), zeroInfinity, data);
  },
};
const ctcFunction: LibraryFunction<CtcConstants> = {
  name: 'ctc_loss',
  run: (inputs, [out], { blank }) => ctcLosses(problemOf(inputs, blank), out.data as Float64Array),
  vjp: ([g], srcs, _, constants) => {
    if (g === null) return srcs.map(() => null);
    const [logProbs] = srcs;
    const [each] = callLibrary(ctcGradientFunction, srcs, [{ shape: logProbs.shape, dtype: logProbs.dtype }], constants);
    return [each.mul(g.unsqueeze(0).unsqueeze(2)), null, null, null];
  },
};
interface CtcCallConstants extends CtcConstants {
  readonly reduction: Reduction;
}
const ctcOperator: Operator<CtcCallConstants> = {
  name: 'ctc_loss',
  body: (inputs, { constants: c }) => {
    const [logProbs, , , targetLengths] = inputs;
    const [raw] = callLibrary(ctcFunction, inputs, [{ shape: [logProbs.shape[1]], dtype: logProbs.dtype }], c);
    const losses = c.zeroInfinity ? raw.eq(Number.POSITIVE_INFINITY).where(0, raw) : raw;
    if (c.reduction !== 'mean') return [reducePrim(losses, c.reduction)];
    return [reducePrim(losses.div(targetLengths.maximum(1).cast(logProbs.dtype)), 'mean')];
  },
};

const lengthsOf = (x: Tensor | readonly number[]): number[] =>
  x instanceof Tensor ? Array.from(toTypedArray(detached(x)) as ArrayLike<number | bigint>, Number) : [...x];
const lengthTensor = (lengths: readonly number[], device: string): Tensor =>
  fromBytes(viewBytes(BigInt64Array.from(lengths, BigInt)), [lengths.length], int64, device);

export function ctcLoss(
  logProbs: Tensor,
  targets: Tensor,
  inputLengths: Tensor | readonly number[],
  targetLengths: Tensor | readonly number[],
  blank: number,
  reduction: Reduction,
  zeroInfinity: boolean,
): Tensor {
  requireFloating('ctc_loss_cpu', logProbs.dtype);
  const batched = logProbs.ndim === 3;
  const x = batched ? logProbs : reshapeTo(logProbs, [logProbs.view_.shape[0], 1, logProbs.view_.shape[1]]);
  const [time, batch, classes] = x.view_.shape;
  const ins = lengthsOf(inputLengths);
  const outs = lengthsOf(targetLengths);
  if (blank < 0 || blank >= classes) throw new Error('blank must be in label range');
  if (ins.length !== batch) throw new Error(`input_lengths must be of size batch_size`);
  if (outs.length !== batch) throw new Error(`target_lengths must be of size batch_size`);
  for (let n = 0; n < batch; n++) {
    if (ins[n] < 0 || ins[n] > time)
      throw new Error(
        `Expected input_lengths to have value at most ${time}, but got value ${ins[n]} (while checking arguments for ctc_loss_cpu)`,
      );
    if (outs[n] < 0)
      throw new Error(
        `Expected target_lengths to have value at least 0, but got value ${outs[n]} (while checking arguments for ctc_loss_cpu)`,
      );
  }
  const constants = constantsOf(`ctc:${blank}:${zeroInfinity}:${reduction}`, (): CtcCallConstants => ({ blank, zeroInfinity, reduction }));
  const made = record(ctcOperator as never, [x, targets, lengthTensor(ins, x.device), lengthTensor(outs, x.device)], { constants })[0];
  return batched || reduction !== 'none' ? made : reshapeTo(made, []);
}

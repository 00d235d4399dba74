/** Normalization: https://docs.pytorch.org/docs/stable/nn.functional.html#normalization-functions */
import { no_grad } from '../autograd/modes.ts';
import { type DType, finfo, getDefaultDtype, uint8 } from '../dtype/dtype.ts';
import { computationDtype } from '../dtype/promotion.ts';
import { constantsBy, constantsOf, record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { detached } from '../tensor/view-tensor.ts';
import { writeInto } from '../tensor/write.ts';
import { notImplemented } from './activation-bodies.ts';
import { castTo } from './conversion.ts';
import { fullOf } from './creation.ts';
import { declare, overload } from './declare.ts';
import { shapeList } from './dims.ts';
import { elementwise } from './elementwise.ts';
import {
  evalNorm,
  localResponseNorm,
  type NormConstants,
  type NormKind,
  normOperator,
  type ResponseConstants,
  rmsNorm,
} from './normalization-bodies.ts';
import { cloneOf, reshapeTo } from './shape.ts';
import { use } from './use.ts';

const page = (name: string): string => `https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.${name}.html`;

const operators = {
  layer: normOperator('native_layer_norm'),
  batch: normOperator('native_batch_norm'),
  group: normOperator('native_group_norm'),
} as const satisfies Record<NormKind, unknown>;

const normConstants = constantsBy(
  'norm',
  (kind: NormKind, size: number, compute: DType, weight: boolean, bias: boolean, statistics: boolean): NormConstants => {
    return { kind, size, weight, bias, compute, statistics };
  },
);
const constantsFor = (kind: NormKind, size: number, x: Tensor, weight: Tensor | null, bias: Tensor | null, statistics: boolean) =>
  normConstants(kind, size, computationDtype(x.dtype), weight !== null, bias !== null, statistics);
const present = (...tensors: readonly (Tensor | null)[]): Tensor[] => tensors.filter((t): t is Tensor => t !== null);

/** PyTorch saves statistics in the parameters' dtype where that is wider than the input's, else in the input's. */
const savedDtype = (x: Tensor, weight: Tensor | null): Tensor['dtype'] =>
  weight !== null && weight.dtype.itemsize > x.dtype.itemsize ? weight.dtype : x.dtype;

// ---- layer

function endsWith(shape: readonly number[], tail: readonly number[]): boolean {
  const lead = shape.length - tail.length;
  if (lead < 0) return false;
  for (let i = 0; i < tail.length; i++) if (shape[lead + i] !== tail[i]) return false;
  return true;
}

function checkNormalizedShape(x: Tensor, shape: readonly number[], weight: Tensor | null, bias: Tensor | null, lead = ', '): void {
  if (shape.length === 0)
    throw new Error(
      'Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one element, but got normalized_shape = []',
    );
  const checkParameter = (name: string, t: Tensor): void => {
    if (t.ndim !== shape.length || !endsWith(t.view_.shape, shape))
      throw new Error(
        `Expected ${name} to be of same shape as normalized_shape, but got ${name} of shape ${shapeList(t.view_.shape)} and normalized_shape = ${shapeList(shape)}`,
      );
  };
  if (weight !== null) checkParameter('weight', weight);
  if (bias !== null) checkParameter('bias', bias);
  if (!endsWith(x.view_.shape, shape))
    throw new Error(
      `Given normalized_shape=${shapeList(shape)}, expected input with shape [*${lead}${shape.join(', ')}], but got input of size${shapeList(x.view_.shape)}`,
    );
}

function layerNorm(
  x: Tensor,
  shape: readonly number[],
  weight: Tensor | null,
  bias: Tensor | null,
  eps: number,
  statistics: boolean,
): Tensor[] {
  checkNormalizedShape(x, shape, weight, bias);
  if (!x.dtype.is_floating_point) throw notImplemented('LayerNormKernelImpl', x.dtype);
  const constants = constantsFor('layer', shape.length, x, weight, bias, statistics);
  return record(operators.layer as never, present(x, weight, bias), { constants, params: [eps] });
}
function nativeLayerNorm(
  x: Tensor,
  shape: readonly number[],
  weight: Tensor | null,
  bias: Tensor | null,
  eps: number,
): [Tensor, Tensor, Tensor] {
  const [out, mean, rstd] = layerNorm(x, shape, weight, bias, eps, true);
  const saved = savedDtype(x, weight);
  return [out, castTo(detached(mean), saved), castTo(detached(rstd), saved)];
}

function rmsNormOf(x: Tensor, shape: readonly number[], weight: Tensor | null, eps: number | null): Tensor {
  checkNormalizedShape(x, shape, weight, null, '');
  if (!x.dtype.is_floating_point && !x.dtype.is_complex) throw notImplemented('rms_norm', x.dtype);
  const small = eps ?? finfo(computationDtype(x.dtype)).eps;
  const constants = constantsFor('layer', shape.length, x, weight, null, false);
  return record(rmsNorm as never, present(x, weight), { constants, params: [small] })[0];
}

// ---- batch

const blend = elementwise({
  name: 'lerp',
  kind: 'DEFAULT',
  body: ([running, now, share]) => now.mul(share).add(running.mul(share.neg().add(1))),
});

interface Running {
  readonly mean: Tensor | null;
  readonly variance: Tensor | null;
}
/** [output, mean, reciprocal deviation]; with `training` the running statistics take their share of this batch's. */
function nativeBatchNorm(
  x: Tensor,
  weight: Tensor | null,
  bias: Tensor | null,
  running: Running,
  training: boolean,
  momentum: number,
  eps: number,
): [Tensor, Tensor, Tensor] {
  if (!training && running.mean === null) throw new Error('running_mean must be defined in evaluation mode');
  if (!training && running.variance === null) throw new Error('running_var must be defined in evaluation mode');
  const channels = x.view_.shape[1];
  for (const [name, t] of [
    ['running_mean', running.mean],
    ['running_var', running.variance],
    ['weight', weight],
    ['bias', bias],
  ] as const)
    if (t !== null && t.view_.numel !== channels) throw new Error(`${name} should contain ${channels} elements not ${t.view_.numel}`);
  if (!x.dtype.is_floating_point) throw notImplemented('batch_norm', x.dtype);
  const constants = constantsFor('batch', 0, x, weight, bias, training);
  if (!training) {
    const inputs = present(x, running.mean, running.variance, weight, bias);
    const [out] = record(evalNorm as never, inputs, { constants, params: [eps] });
    const none = (): Tensor => fullOf([0], 0, x.dtype, x.device);
    return [out, none(), none()];
  }
  const [out, mean, rstd, variance] = record(operators.batch as never, present(x, weight, bias), { constants, params: [eps] });
  const flat = (t: Tensor): Tensor => reshapeTo(detached(t), [channels]);
  const count = x.view_.numel / channels;
  const { mean: runningMean, variance: runningVariance } = running;
  no_grad(() => {
    if (runningMean !== null) writeInto(runningMean, () => blend([runningMean, flat(mean), momentum]));
    if (runningVariance !== null) {
      // The running variance is the unbiased one.
      const unbiased = (): Tensor => use('mul', flat(variance), count / (count - 1));
      writeInto(runningVariance, () => blend([runningVariance, unbiased(), momentum]));
    }
  });
  const saved = savedDtype(x, weight ?? running.mean);
  return [out, castTo(flat(mean), saved), castTo(flat(rstd), saved)];
}

function batchNorm(
  x: Tensor,
  weight: Tensor | null,
  bias: Tensor | null,
  running: Running,
  training: boolean,
  momentum: number,
  eps: number,
): Tensor {
  if (x.view_.numel === 0) {
    let out = cloneOf(x);
    if (weight !== null) out = use('mul', out, use('select', weight, 0, 0));
    if (bias !== null) out = use('add', out, use('select', bias, 0, 0));
    return out;
  }
  return nativeBatchNorm(x, weight, bias, running, training, momentum, eps)[0];
}

/** PyTorch's refusal to take statistics of a single value. */
export function verifyBatchSize(size: readonly number[], text: string): void {
  const values = size.reduce((n, d, i) => (i === 1 ? n : n * d), 1);
  if (values === 1) throw new Error(`Expected more than 1 value per channel when training, got input size ${text}`);
}

function instanceNorm(
  x: Tensor,
  weight: Tensor | null,
  bias: Tensor | null,
  running: Running,
  useInputStats: boolean,
  momentum: number,
  eps: number,
): Tensor {
  if (!useInputStats && (running.mean === null || running.variance === null))
    throw new Error('Expected running_mean and running_var to be defined when use_input_stats is false');
  const [samples, channels, ...rest] = x.view_.shape;
  const repeat = (t: Tensor | null): Tensor | null => (t === null ? null : use('repeat', t, [samples]));
  const wide: Running = { mean: repeat(running.mean), variance: repeat(running.variance) };
  const arranged = reshapeTo(x, [1, samples * channels, ...rest]);
  const out = batchNorm(arranged, repeat(weight), repeat(bias), wide, useInputStats, momentum, eps);
  const { mean: runningMean, variance: runningVariance } = running;
  const average = (t: Tensor): Tensor => use('mean', reshapeTo(t, [samples, channels]), [0]);
  if (useInputStats)
    no_grad(() => {
      if (runningMean !== null) writeInto(runningMean, () => average(wide.mean!));
      if (runningVariance !== null) writeInto(runningVariance, () => average(wide.variance!));
    });
  return reshapeTo(out, x.view_.shape);
}

// ---- group

function groupNorm(x: Tensor, groups: number, weight: Tensor | null, bias: Tensor | null, eps: number, statistics: boolean): Tensor[] {
  if (x.ndim < 2) throw new Error(`Expected at least 2 dimensions for input tensor but received ${x.ndim}`);
  const channels = x.view_.shape[1];
  if (groups <= 0) throw new Error(`Expected num groups to be greater than 0, got ${groups}`);
  if (channels % groups !== 0)
    throw new Error(
      `Expected number of channels in input to be divisible by num_groups, but got input of shape ${shapeList(x.view_.shape)} and num_groups=${groups}`,
    );
  for (const [name, t] of [
    ['weight', weight],
    ['bias', bias],
  ] as const)
    if (t !== null && (t.ndim !== 1 || t.view_.numel !== channels))
      throw new Error(
        `Expected ${name} to be a vector of size equal to the number of channels in input, but got ${name} of shape ${shapeList(t.view_.shape)} and input of shape ${shapeList(x.view_.shape)}`,
      );
  if (!x.dtype.is_floating_point) throw notImplemented('GroupNormKernelImpl', x.dtype);
  const constants = constantsFor('group', groups, x, weight, bias, statistics);
  return record(operators.group as never, present(x, weight, bias), { constants, params: [eps] });
}

function localResponse(x: Tensor, size: number, alpha: number, beta: number, k: number): Tensor {
  if (x.ndim < 3) throw new Error(`Expected 3D or higher dimensionality                          input (got ${x.ndim} dimensions)`);
  if (x.view_.numel === 0) return x;
  const result = x.dtype.is_floating_point ? x.dtype : getDefaultDtype();
  const compute = computationDtype(result);
  const constants = constantsOf(`lrn:${size}:${compute.name}:${result.name}`, (): ResponseConstants => ({ size, compute, result }));
  return record(localResponseNorm as never, [x], { constants, params: [alpha, beta, k] })[0];
}

/** Of `torch`. */
export const torchNormalizations = {
  layer_norm: declare(
    { doc: `Normalization over the last dims. ${page('layer_norm')}`, as: 'function' },
    overload(
      'layer_norm(Tensor input, SymInt[] normalized_shape, Tensor? weight=None, Tensor? bias=None, float eps=1e-05, bool cudnn_enable=True) -> Tensor',
      (x, shape, weight, bias, eps, _cudnn) => layerNorm(x, shape, weight, bias, eps, false)[0],
    ),
  ),
  native_layer_norm: declare(
    { doc: 'layer_norm with its mean and reciprocal deviation.', as: 'function' },
    overload(
      'native_layer_norm(Tensor input, SymInt[] normalized_shape, Tensor? weight, Tensor? bias, float eps) -> (Tensor, Tensor, Tensor)',
      (x, shape, weight, bias, eps) => nativeLayerNorm(x, shape, weight, bias, eps),
    ),
  ),
  rms_norm: declare(
    { doc: `x / sqrt(mean(x^2) + eps) over the last dims. ${page('rms_norm')}`, as: 'function', functional: true },
    overload('rms_norm(Tensor input, SymInt[] normalized_shape, Tensor? weight=None, float? eps=None) -> Tensor', (x, shape, weight, eps) =>
      rmsNormOf(x, shape, weight, eps),
    ),
  ),
  batch_norm: declare(
    { doc: `Normalization of channels over the batch. ${page('batch_norm')}`, as: 'function' },
    overload(
      'batch_norm(Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? running_var, bool training, float momentum, float eps, bool cudnn_enabled) -> Tensor',
      (x, weight, bias, mean, variance, training, momentum, eps, _cudnn) =>
        batchNorm(x, weight, bias, { mean, variance }, training, momentum, eps),
    ),
  ),
  native_batch_norm: declare(
    { doc: 'batch_norm with the mean and reciprocal deviation of the batch.', as: 'function' },
    overload(
      'native_batch_norm(Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? running_var, bool training, float momentum, float eps) -> (Tensor, Tensor, Tensor)',
      (x, weight, bias, mean, variance, training, momentum, eps) =>
        nativeBatchNorm(x, weight, bias, { mean, variance }, training, momentum, eps),
    ),
  ),
  _native_batch_norm_legit: declare(
    { doc: 'native_batch_norm, with running statistics or none.', as: 'function' },
    overload(
      '_native_batch_norm_legit(Tensor input, Tensor? weight, Tensor? bias, Tensor running_mean, Tensor running_var, bool training, float momentum, float eps) -> (Tensor, Tensor, Tensor)',
      (x, weight, bias, mean, variance, training, momentum, eps) =>
        nativeBatchNorm(x, weight, bias, { mean, variance }, training, momentum, eps),
    ),
    overload(
      '_native_batch_norm_legit.no_stats(Tensor input, Tensor? weight, Tensor? bias, bool training, float momentum, float eps) -> (Tensor, Tensor, Tensor)',
      (x, weight, bias, training, momentum, eps) =>
        nativeBatchNorm(x, weight, bias, { mean: null, variance: null }, training, momentum, eps),
    ),
  ),
  instance_norm: declare(
    { doc: `Normalization of each channel of each sample. ${page('instance_norm')}`, as: 'function' },
    overload(
      'instance_norm(Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? running_var, bool use_input_stats, float momentum, float eps, bool cudnn_enabled) -> Tensor',
      (x, weight, bias, mean, variance, stats, momentum, eps, _cudnn) =>
        instanceNorm(x, weight, bias, { mean, variance }, stats, momentum, eps),
    ),
  ),
  group_norm: declare(
    { doc: `Normalization of groups of channels. ${page('group_norm')}`, as: 'function' },
    overload(
      'group_norm(Tensor input, int num_groups, Tensor? weight=None, Tensor? bias=None, float eps=1e-05, bool cudnn_enabled=True) -> Tensor',
      (x, groups, weight, bias, eps, _cudnn) => groupNorm(x, groups, weight, bias, eps, false)[0],
    ),
  ),
  native_group_norm: declare(
    { doc: 'group_norm with the means and reciprocal deviations of the groups.', as: 'function' },
    overload(
      'native_group_norm(Tensor input, Tensor? weight, Tensor? bias, SymInt N, SymInt C, SymInt HxW, int group, float eps) -> (Tensor, Tensor, Tensor)',
      (x, weight, bias, samples, channels, positions, group, eps) => {
        const [out, mean, rstd] = groupNorm(reshapeTo(x, [samples, channels, positions]), group, weight, bias, eps, true);
        const saved = savedDtype(x, weight);
        const flat = (t: Tensor): Tensor => castTo(reshapeTo(detached(t), [samples, group]), saved);
        return [reshapeTo(out, x.view_.shape), flat(mean), flat(rstd)];
      },
    ),
  ),
};

/** Of `torch.ops.aten`. */
export const atenNormalizations = {
  _batch_norm_with_update: declare(
    { doc: 'native_batch_norm in training mode, and a reserve that is empty here.', as: 'function' },
    overload(
      '_batch_norm_with_update(Tensor input, Tensor? weight, Tensor? bias, Tensor running_mean, Tensor running_var, float momentum, float eps) -> (Tensor, Tensor, Tensor, Tensor)',
      (x, weight, bias, mean, variance, momentum, eps) => [
        ...nativeBatchNorm(x, weight, bias, { mean, variance }, true, momentum, eps),
        fullOf([0], 0, uint8, x.device),
      ],
    ),
  ),
};

/** Of `nn.functional`. */
export const normalizations = {
  layer_norm: declare(
    { doc: `Normalization over the last dims. ${page('layer_norm')}`, as: 'function' },
    overload(
      'layer_norm(Tensor input, SymInt[] normalized_shape, Tensor? weight=None, Tensor? bias=None, float eps=1e-05) -> Tensor',
      (x, shape, weight, bias, eps) => layerNorm(x, shape, weight, bias, eps, false)[0],
    ),
  ),
  batch_norm: declare(
    { doc: `Normalization of channels over the batch. ${page('batch_norm')}`, as: 'function' },
    overload(
      'batch_norm(Tensor input, Tensor? running_mean, Tensor? running_var, Tensor? weight=None, Tensor? bias=None, bool training=False, float momentum=0.1, float eps=1e-05) -> Tensor',
      (x, mean, variance, weight, bias, training, momentum, eps) => {
        if (training) verifyBatchSize(x.view_.shape, `torch.Size(${shapeList(x.view_.shape)})`);
        return batchNorm(x, weight, bias, { mean, variance }, training, momentum, eps);
      },
    ),
  ),
  instance_norm: declare(
    { doc: `Normalization of each channel of each sample. ${page('instance_norm')}`, as: 'function' },
    overload(
      'instance_norm(Tensor input, Tensor? running_mean=None, Tensor? running_var=None, Tensor? weight=None, Tensor? bias=None, bool use_input_stats=True, float momentum=0.1, float eps=1e-05) -> Tensor',
      (x, mean, variance, weight, bias, stats, momentum, eps) => {
        if (stats && x.view_.shape.slice(2).reduce((n, d) => n * d, 1) === 1)
          throw new Error(`Expected more than 1 spatial element when training, got input size torch.Size(${shapeList(x.view_.shape)})`);
        return instanceNorm(x, weight, bias, { mean, variance }, stats, momentum, eps);
      },
    ),
  ),
  group_norm: declare(
    { doc: `Normalization of groups of channels. ${page('group_norm')}`, as: 'function' },
    overload(
      'group_norm(Tensor input, int num_groups, Tensor? weight=None, Tensor? bias=None, float eps=1e-05) -> Tensor',
      (x, groups, weight, bias, eps) => {
        if (x.ndim < 2) throw new Error(`Expected at least 2 dimensions for input tensor but received ${x.ndim}`);
        const [samples, channels, ...rest] = x.view_.shape;
        const size = [Math.floor((samples * channels) / groups), groups, ...rest];
        verifyBatchSize(size, shapeList(size));
        return groupNorm(x, groups, weight, bias, eps, false)[0];
      },
    ),
  ),
  local_response_norm: declare(
    { doc: `Normalization over neighbouring channels. ${page('local_response_norm')}`, as: 'function' },
    overload(
      'local_response_norm(Tensor input, int size, float alpha=0.0001, float beta=0.75, float k=1.0) -> Tensor',
      (x, size, alpha, beta, k) => localResponse(x, size, alpha, beta, k),
    ),
  ),
};

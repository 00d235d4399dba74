/**
 * A draw: numbers from the CPU generator, in memory at the call, in the order in which the result's elements lie in memory (as PyTorch draws them).
 *
 * Every device gets the same numbers: they are drawn on the host and copied. Draws pass on zeros as gradients, as PyTorch's do.
 */
import { modes } from '../autograd/modes.ts';
import { makeArray, type StorageArray, viewBytes } from '../dtype/codec.ts';
import type { DType } from '../dtype/dtype.ts';
import type { Operator } from '../graph/operator.ts';
import { full } from '../graph/prim.ts';
import { numelOf } from '../shape/view.ts';
import { toTypedArray } from '../tensor/read.ts';
import { record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { drawn } from '../tensor/tracing.ts';
import { detached } from '../tensor/view-tensor.ts';
import { writeInto } from '../tensor/write.ts';
import { checkSize, fromBytes } from './creation.ts';
import { inOrder, orderLike } from './layout.ts';
import { permuteOf } from './shape-base.ts';

/** Fills an array; `contiguous` says that the tensor is row-major (normals are drawn in blocks then). */
export type Fill = (out: StorageArray, contiguous: boolean) => void;

export function draw(size: readonly number[], dtype: DType, device: string | null, fill: Fill): Tensor {
  checkSize(size);
  return drawn(() => {
    const out = makeArray(dtype, numelOf(size));
    fill(out, true);
    return fromBytes(viewBytes(out), size, dtype, device);
  });
}

/** A draw of x's shape, laid out like x. */
export function drawLike(x: Tensor, dtype: DType, device: string, fill: Fill, format: string | null = null): Tensor {
  const order = orderLike(x, format);
  return inOrder(x.view_.shape, order, (shape) => draw(shape, dtype, device, (out) => fill(out, order === null)));
}

/** x's elements in the order in which `drawLike` draws. */
export function elementsLike(x: Tensor, like: Tensor): StorageArray {
  const order = orderLike(like);
  return toTypedArray(detached(order === null ? x : permuteOf(x, order)));
}

const zeroGradient: Operator<{ sources: number }> = {
  name: 'random',
  body: (inputs) => [inputs[inputs.length - 1]],
  gradient: (_, inputs) => inputs.map((x, i) => (i === inputs.length - 1 ? null : full(x.shape, 0, x.dtype))),
};

/** The drawn numbers as a function of what they were drawn for, with zero gradients. */
export function drawnFrom(sources: readonly Tensor[], drawn: Tensor, name: keyof typeof named): Tensor {
  if (!modes.grad || !sources.some((s) => s.requires_grad)) return drawn;
  const out = record(named[name] as never, [...sources, drawn])[0];
  return out;
}
const operatorNamed = (name: string): Operator<{ sources: number }> => ({ ...zeroGradient, name });
const named = {
  bernoulli: operatorNamed('bernoulli'),
  binomial: operatorNamed('binomial'),
  cauchy: operatorNamed('cauchy'),
  exponential: operatorNamed('exponential'),
  geometric: operatorNamed('geometric'),
  log_normal: operatorNamed('log_normal'),
  normal: operatorNamed('normal'),
  poisson: operatorNamed('poisson'),
  random: operatorNamed('random'),
  uniform: operatorNamed('uniform'),
} as const;

/** Draws into x. */
export function drawInto(x: Tensor, name: keyof typeof named, fill: Fill): Tensor {
  return writeInto(x, () =>
    drawnFrom(
      [x],
      drawLike(x, x.dtype, x.device, (out) => fill(out, x.view_.contiguous)),
      name,
    ),
  );
}

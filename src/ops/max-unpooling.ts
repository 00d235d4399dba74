/** Max unpooling: values written back where a maximum came from, zeros elsewhere. https://docs.pytorch.org/docs/stable/nn.functional.html#pooling-functions */
import { int64 } from '../dtype/dtype.ts';
import { scalarTypeName } from '../dtype/promotion.ts';
import type { Operator } from '../graph/operator.ts';
import { full, iota } from '../graph/prim.ts';
import * as dimsOf from '../shape/dim.ts';
import { record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { declare, overload } from './declare.ts';
import { shapeList } from './dims.ts';
import { requireInside } from './host-index.ts';
import { squeezeOf, unsqueezeOf } from './shape.ts';
import { type Sizes, spread, times, tuple } from './window-arguments.ts';

/** The last of several values for one place wins; each of them gets that place's gradient, as in PyTorch. */
const unpoolOperator: Operator = {
  name: 'max_unpool',
  body: ([x, indices], { dims }) => {
    const lead = x.shape.slice(0, 2);
    const zeros = full([...lead, dimsOf.productOf(dims)], 0, x.dtype);
    return [zeros.scatter(x, [iota(x.shape, 0), iota(x.shape, 1), indices], null).reshape([...lead, ...dims])];
  },
  gradient: ([g], [x, indices]) => {
    if (g === null) return [null, null];
    const flat = g.reshape([...g.shape.slice(0, 2), dimsOf.productOf(g.shape.slice(2))]);
    return [flat.lookup([iota(x.shape, 0), iota(x.shape, 1), indices]), null];
  },
};

function unpoolOf(
  n: 1 | 2 | 3,
  x: Tensor,
  indices: Tensor,
  kernel: Sizes,
  stride: Sizes | null,
  padding: Sizes,
  size: Sizes | null,
): Tensor {
  const wrong = (): Error => new Error(`max_unpool${n}d: sizes must be a single int, or a tuple of ${n} ints`);
  const k = spread(kernel, n, wrong);
  const s = stride === null || (typeof stride !== 'number' && stride.length === 0) ? k : spread(stride, n, wrong);
  const p = spread(padding, n, wrong);
  if (indices.dtype !== int64) throw new Error(`elements in indices should be type int64 but got: ${scalarTypeName(indices.dtype)}`);
  if (x.ndim !== n + 1 && x.ndim !== n + 2)
    throw new Error(`Input to max_unpooling${n}d should be a ${n + 1}d or ${n + 2}d Tensor, but got a tensor with ${x.ndim} dims.`);
  if (x.view_.shape.join() !== indices.view_.shape.join())
    throw new Error(
      `Expected shape of indices to be same as that of the input tensor (${shapeList(x.view_.shape)}) but got indices tensor with shape: ${shapeList(indices.view_.shape)}`,
    );
  const spatial = x.view_.shape.slice(x.ndim - n);
  const usual = spatial.map((d, i) => (d - 1) * s[i] + k[i] - 2 * p[i]);
  const out = size === null ? usual : outputSize(n, typeof size === 'number' ? [size] : size, usual, s);
  requireInside(
    indices,
    0,
    out.reduce((a, b) => a * b, 1),
    (wrongIndex) =>
      new Error(`Found an invalid max index: ${wrongIndex} (output volumes are of size ${times(n === 1 ? [...out, 1] : out, 'x')})`),
  );
  if (x.ndim === n + 1) return squeezeOf(record(unpoolOperator, [unsqueezeOf(x, 0), unsqueezeOf(indices, 0)], { dims: out })[0], [0]);
  return record(unpoolOperator, [x, indices], { dims: out })[0];
}

function outputSize(n: number, given: readonly number[], usual: readonly number[], stride: readonly number[]): number[] {
  const size = given.length === n + 2 ? given.slice(2) : given;
  if (size.length !== n)
    throw new Error(`output_size should be a sequence containing ${n} or ${n + 2} elements, but it has a length of '${size.length}'`);
  size.forEach((d, i) => {
    const low = usual[i] - stride[i];
    const high = usual[i] + stride[i];
    if (d <= low || d >= high) throw new Error(`invalid output_size "${tuple(size)}" (dim ${i} must be between ${low} and ${high})`);
  });
  return [...size];
}

function unpool<const D extends 1 | 2 | 3>(n: D) {
  return declare(
    {
      doc: `The inverse of max_pool${n}d as far as there is one. https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.max_unpool${n}d.html`,
      as: 'function',
    },
    overload(
      `max_unpool${n}d(Tensor input, Tensor indices, int[${n}] kernel_size, int[${n}]? stride=None, int[${n}] padding=0, int[${n}]? output_size=None) -> Tensor`,
      ((x: Tensor, indices: Tensor, kernel: Sizes, stride: Sizes | null, padding: Sizes, size: Sizes | null) =>
        unpoolOf(n, x, indices, kernel, stride, padding, size)) as never,
    ),
  );
}

export const maxUnpooling = { max_unpool1d: unpool(1), max_unpool2d: unpool(2), max_unpool3d: unpool(3) };

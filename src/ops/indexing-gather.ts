/** Reading by one index tensor: `index_select`, `gather`, `take`. https://docs.pytorch.org/docs/stable/torch.html#indexing-slicing-joining-mutating-ops */
import { int64 } from '../dtype/dtype.ts';
import { scalarTypeName } from '../dtype/promotion.ts';
import type { Operator } from '../graph/operator.ts';
import { dimPrim, iota, type Prim } from '../graph/prim.ts';
import type { Dim } from '../shape/dim.ts';
import * as dimsOf from '../shape/dim.ts';
import { broadcastShapes } from '../shape/view.ts';
import { constantsOf, record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { declare, overload } from './declare.ts';
import { shapeList, wrapDim } from './dims.ts';
import { sizeMismatch } from './elementwise.ts';
import { requireInside } from './host-index.ts';
import { expandTo, reshapeTo } from './shape-base.ts';

/** Negative indices count from the end. */
export const wrapIndex = (index: Prim, size: Dim): Prim => index.lt(0).where(index.add(dimPrim(size, int64)), index);

/** A 0-d prim as one of one dim. */
export const atLeast1d = (p: Prim): Prim => (p.ndim === 0 ? p.reshape([1]) : p);

export const isIndexType = (t: Tensor): boolean => t.dtype.name === 'int64' || t.dtype.name === 'int32';

const indexSelectOperator: Operator<{ axis: number }> = {
  name: 'index_select',
  body: ([x, index], { constants: { axis } }) => {
    const source = atLeast1d(x);
    const list = atLeast1d(index);
    const shape = source.shape.map((d, i) => (i === axis ? list.shape[0] : d));
    const along = list
      .cast(int64)
      .reshape(shape.map((d, i) => (i === axis ? d : 1)))
      .expand(shape);
    const out = source.lookup(shape.map((_, i) => (i === axis ? along : iota(shape, i))));
    return [x.ndim === 0 ? out.reshape([]) : out];
  },
};

export function indexSelectOf(x: Tensor, dim: number, index: Tensor): Tensor {
  if (index.ndim > 1) throw new RangeError('index_select(): Index is supposed to be a vector');
  if (!isIndexType(index)) throw new Error('index_select(): Expected dtype int32 or int64 for index');
  const axis = wrapDim(dim, x.ndim);
  if (x.ndim === 0 && index.view_.numel !== 1)
    throw new RangeError(`index_select(): Index to scalar can have only 1 value, got ${index.view_.numel} value(s)`);
  requireInside(index, 0, x.view_.shape[axis] ?? 1, () => new RangeError('index out of range in self'));
  return record(indexSelectOperator as never, [x, index], { constants: constantsOf(`index_select:${axis}`, () => ({ axis })) })[0];
}

/** Coordinates of `index` along `axis`, over the index's shape: those of gather and scatter. */
export function alongAxis(index: Prim, axis: number): Prim[] {
  const { shape } = index;
  return shape.map((_, i) => (i === axis ? index.cast(int64) : iota(shape, i)));
}

/** With `wrap` indices are taken modulo the dim's size, as `take_along_dim` does. */
const gatherOperator: Operator<{ axis: number; wrap: boolean }> = {
  name: 'gather',
  body: ([x, given], { constants: { axis, wrap } }) => {
    const source = atLeast1d(x);
    const index = atLeast1d(given).cast(int64);
    const size = dimPrim(source.shape[axis], int64);
    const at = wrap ? wrapIndex(index.scalar('irem', size), source.shape[axis]) : index;
    return [source.lookup(alongAxis(at, axis)).reshape(given.shape)];
  },
};

export function gatherOf(x: Tensor, dim: number, index: Tensor, wrap = false): Tensor {
  const axis = wrapDim(dim, x.ndim);
  if (index.view_.numel > 0) {
    if (!isIndexType(index)) throw new Error('gather(): Expected dtype int32/int64 for index');
    if (Math.max(index.ndim, 1) !== Math.max(x.ndim, 1))
      throw new Error('Index tensor must have the same number of dimensions as input tensor');
    const sizes = x.ndim === 0 ? [1] : x.view_.shape;
    (index.ndim === 0 ? [1] : index.view_.shape).forEach((d, i) => {
      if (i !== axis && d > sizes[i])
        throw new Error(
          `Size does not match at dimension ${i} expected index ${shapeList(index.view_.shape)} to be no larger than self ${shapeList(x.view_.shape)} apart from dimension ${axis}`,
        );
    });
    if (!wrap) checkIndex(index, sizes[axis], axis);
  } else if (index.ndim !== x.ndim) return record(takeOperator as never, [x, index])[0];
  return record(gatherOperator as never, [x, index], { constants: constantsOf(`gather:${axis}:${wrap}`, () => ({ axis, wrap })) })[0];
}

/** PyTorch's error for indices outside of a dim. */
export function checkIndex(index: Tensor, size: number, axis: number, prefix = '', Type: typeof Error | typeof RangeError = Error): void {
  requireInside(index, 0, size, (bad) => new Type(`${prefix}index ${bad} is out of bounds for dimension ${axis} with size ${size}`));
}

// ---- flat positions

/** Negative positions count from the end; those out of range are an error. */
export function checkFlat(index: Tensor, numel: number): void {
  if (numel === 0 && index.view_.numel > 0) throw new RangeError('take(): tried to take from an empty tensor');
  requireInside(
    index,
    -numel,
    numel,
    (bad) => new RangeError(`out of range: tried to access index ${bad} on a tensor of ${numel} elements.`),
  );
}

const takeOperator: Operator<null> = {
  name: 'take',
  body: ([x, index]) => {
    const flat = x.reshape([dimsOf.productOf(x.shape)]);
    return [flat.lookup([wrapIndex(index.cast(int64), flat.shape[0])])];
  },
};

export function takeOf(x: Tensor, index: Tensor): Tensor {
  if (index.dtype.name !== 'int64') throw new Error(`take(): Expected a long tensor for index, but got ${scalarTypeName(index.dtype)}`);
  checkFlat(index, x.view_.numel);
  return record(takeOperator as never, [x, index])[0];
}

function takeAlongDim(x: Tensor, indices: Tensor, dim: number | null): Tensor {
  if (indices.dtype.name !== 'int64')
    throw new Error(`torch.take_along_dim(): dtype of indices should be Long but got ${scalarTypeName(indices.dtype)}`);
  if (dim === null) return gatherOf(reshapeTo(x, [-1]), 0, reshapeTo(indices, [-1]));
  if (x.ndim !== indices.ndim)
    throw new Error(
      `torch.take_along_dim(): input and indices should have the same number of dimensions, but got ${x.ndim} dimensions for input, and ${indices.ndim} dimensions for indices`,
    );
  const axis = wrapDim(dim, x.ndim);
  const except = (shape: readonly number[], size: number): number[] => shape.map((d, i) => (i === axis ? size : d));
  const a = except(x.view_.shape, 1);
  const b = except(indices.view_.shape, 1);
  const common = broadcastShapes(a, b);
  if (common === null) throw sizeMismatch(a, b);
  return gatherOf(
    expandTo(x, except(common, x.view_.shape[axis])),
    axis,
    expandTo(indices, except(common, indices.view_.shape[axis])),
    true,
  );
}

const page = (name: string): string => `https://docs.pytorch.org/docs/stable/generated/torch.${name}.html`;

export const gathering = {
  index_select: declare(
    { doc: `The slices of \`dim\` that \`index\` (int64 or int32, one-dimensional) names. ${page('index_select')}` },
    overload('index_select(Tensor self, int dim, Tensor index) -> Tensor', (x, dim, index) => indexSelectOf(x, dim, index)),
  ),
  gather: declare(
    { doc: `out[i][j] = x[index[i][j]][j] for dim 0, and so on. ${page('gather')}` },
    overload('gather(Tensor self, int dim, Tensor index, *, bool sparse_grad=False) -> Tensor', (x, dim, index) => gatherOf(x, dim, index)),
  ),
  take: declare(
    { doc: `Elements at flat positions. ${page('take')}` },
    overload('take(Tensor self, Tensor index) -> Tensor', (x, index) => takeOf(x, index)),
  ),
  take_along_dim: declare(
    { doc: `\`gather\` with broadcasting; without \`dim\` at flat positions. ${page('take_along_dim')}` },
    overload('take_along_dim(Tensor self, Tensor indices, int? dim=None) -> Tensor', (x, indices, dim) => takeAlongDim(x, indices, dim)),
  ),
};

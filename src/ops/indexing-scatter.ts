/**
 * Writing by one index tensor: `scatter`, `scatter_reduce`, `index_add`, `index_reduce`, ... https://docs.pytorch.org/docs/stable/torch.html#indexing-slicing-joining-mutating-ops
 *
 * All are one operator: where each element of the source goes (`place`: scatter's index has an entry for each, the `index_` family one for each
 * slice) and how it combines with what is there (`scatter-reduce.ts`).
 */
import { int64 } from '../dtype/dtype.ts';
import { computationDtype, scalarTypeName } from '../dtype/promotion.ts';
import type { Operator } from '../graph/operator.ts';
import { full, iota, type Prim, rowMajor } from '../graph/prim.ts';
import * as dimsOf from '../shape/dim.ts';
import { constantsOf, record } from '../tensor/record.ts';
import { Tensor } from '../tensor/tensor.ts';
import { fullOf } from './creation.ts';
import { declareInplace, overload } from './declare.ts';
import { shapeList, wrapDim } from './dims.ts';
import { requireInside } from './host-index.ts';
import { alongAxis, atLeast1d, checkFlat, checkIndex, isIndexType, wrapIndex } from './indexing-gather.ts';
import type { ScalarArgument } from './scalar-argument.ts';
import { type Reduce, reduceGradients, reduceInto } from './scatter-reduce.ts';
import { expandTo } from './shape-base.ts';
import { use } from './use.ts';

interface ScatterConstants {
  readonly place: 'scatter' | 'index';
  readonly axis: number;
  readonly reduce: Reduce;
  readonly includeSelf: boolean;
}

/** Coordinates in x of each element of the source, and the part of the source that they cover. */
function placed(x: Prim, index: Prim, source: Prim, { place, axis }: ScatterConstants): { coords: Prim[]; value: Prim } {
  if (place === 'scatter') {
    const at = atLeast1d(index);
    const value = source.ndim === 0 && index.ndim === 0 ? source.reshape([1]) : source;
    return { coords: alongAxis(at, axis), value: value.view(at.shape, rowMajor(value.shape), 0) };
  }
  const list = atLeast1d(index);
  const shape = x.shape.map((d, i) => (i === axis ? list.shape[0] : d));
  const along = list
    .cast(int64)
    .reshape(shape.map((d, i) => (i === axis ? d : 1)))
    .expand(shape);
  return { coords: shape.map((_, i) => (i === axis ? along : iota(shape, i))), value: source.reshape(shape) };
}

const scatterOperator: Operator<ScatterConstants> = {
  name: 'scatter',
  body: ([x, index, source], { constants }) => {
    const base = atLeast1d(x);
    const { coords, value } = placed(base, index, source, constants);
    return [reduceInto(base, value, coords, constants.reduce, constants.includeSelf).reshape(x.shape)];
  },
  gradient: ([g], [x, index, source], [result], { constants }) => {
    if (g === null) return [null, null, null];
    const { reduce, includeSelf } = constants;
    const base = atLeast1d(x);
    const { coords, value } = placed(base, index, source, constants);
    const compute = computationDtype(x.dtype);
    const as = (p: Prim): Prim => p.cast(compute);
    const [self, src] = reduceGradients(as(atLeast1d(g)), as(base), as(value), as(atLeast1d(result)), coords, reduce, includeSelf);
    // What of the source is not covered by the index gets zeros.
    const whole =
      constants.place === 'scatter' && source.ndim > 0
        ? src.pad(
            source.shape,
            source.shape.map(() => 0),
          )
        : src.reshape(source.shape);
    return [self.reshape(x.shape).cast(x.dtype), null, whole.cast(source.dtype)];
  },
};

function recordScatter(x: Tensor, index: Tensor, source: Tensor, constants: ScatterConstants): Tensor {
  const { place, axis, reduce, includeSelf } = constants;
  return record(scatterOperator as never, [x, index, source], {
    constants: constantsOf(`scatter:${place}:${axis}:${reduce}:${includeSelf}`, () => constants),
  })[0];
}

// ---- scatter

function checkScatter(x: Tensor, dim: number, index: Tensor, source: Tensor | null, name: string): number {
  const axis = wrapDim(dim, x.ndim);
  if (index.view_.numel === 0) return axis;
  if (!isIndexType(index)) throw new Error(`${name}(): Expected dtype int32/int64 for index`);
  if (source !== null && source.dtype !== x.dtype) throw new Error(`${name}(): Expected self.dtype to be equal to src.dtype`);
  const sizes = x.ndim === 0 ? [1] : x.view_.shape;
  const sizesOfIndex = index.ndim === 0 ? [1] : index.view_.shape;
  const sizesOfSource = source === null ? null : source.ndim === 0 ? [1] : source.view_.shape;
  if (sizesOfIndex.length !== sizes.length) throw new Error('Index tensor must have the same number of dimensions as self tensor');
  if (sizesOfSource !== null && sizesOfSource.length !== sizes.length)
    throw new Error('Index tensor must have the same number of dimensions as src tensor');
  const tooLarge = sizesOfIndex.some((d, i) => i !== axis && d > sizes[i]);
  const beyond = sizesOfSource !== null && sizesOfIndex.some((d, i) => d > sizesOfSource[i]);
  if (tooLarge || beyond)
    throw new Error(
      `Expected index ${shapeList(index.view_.shape)} to be no larger than self ${shapeList(x.view_.shape)} apart from dimension ${axis}${source === null ? '' : ` and to be no larger size than src ${shapeList(source.view_.shape)}`}`,
    );
  checkIndex(index, sizes[axis], axis);
  return axis;
}

function scatterOf(x: Tensor, dim: number, index: Tensor, source: Tensor | ScalarArgument, reduce: Reduce, includeSelf = true): Tensor {
  const given = source instanceof Tensor ? source : null;
  const axis = checkScatter(x, dim, index, given, 'scatter');
  const value = given ?? expandTo(fullOf([], source as ScalarArgument, x.dtype, x.device), index.view_.shape);
  if (index.view_.numel === 0)
    return recordScatter(x, index, expandTo(fullOf([], 0, x.dtype, x.device), index.view_.shape), {
      place: 'scatter',
      axis: 0,
      reduce: 'none',
      includeSelf,
    });
  return recordScatter(x, index, value, { place: 'scatter', axis, reduce, includeSelf });
}

/** The deprecated `reduce` of scatter. */
function oldReduce(reduce: string): Reduce {
  if (reduce === 'add') return 'sum';
  if (reduce === 'multiply') return 'prod';
  throw new Error('reduce argument must be either add or multiply.');
}
function scatterReduceName(reduce: string): Reduce {
  if (reduce === 'sum' || reduce === 'prod' || reduce === 'mean' || reduce === 'amax' || reduce === 'amin') return reduce;
  throw new Error(`reduce argument must be either sum, prod, mean, amax or amin, got ${reduce}`);
}

// ---- one index a slice

const sliceShape = (shape: readonly number[], axis: number): string => shape.filter((_, i) => i !== axis).join(' ');

function indexAddOf(x: Tensor, dim: number, index: Tensor, source: Tensor, alpha: ScalarArgument): Tensor {
  const axis = wrapDim(dim, x.ndim);
  if (index.ndim > 1)
    throw new RangeError(
      `index_add_(): Index is supposed to be a vector, but got dim: ${index.ndim} with type: ${scalarTypeName(index.dtype)} and size: ${shapeList(index.view_.shape)}`,
    );
  if (!isIndexType(index)) throw new Error('index_add_(): Expected dtype int32/int64 for index');
  if (x.dtype !== source.dtype)
    throw new Error(
      `index_add_(): self (${scalarTypeName(x.dtype)}) and source (${scalarTypeName(source.dtype)}) must have the same scalar type`,
    );
  const along = source.ndim === 0 ? 1 : source.view_.shape[axis];
  if (index.view_.numel !== along)
    throw new Error(
      `index_add_(): Number of indices (${index.view_.numel}) should be equal to source.size(dim): (${along}), for dim: ${axis}`,
    );
  if (x.ndim > 0 && sliceShape(x.view_.shape, axis) !== sliceShape(source.view_.shape, axis))
    throw new Error(
      `source tensor shape must match self tensor shape, excluding the specified dimension. Got self.shape = ${shapeList(x.view_.shape)} source.shape = ${shapeList(source.view_.shape)}`,
    );
  checkIndex(index, x.view_.shape[axis] ?? 1, axis);
  const scaled = alpha === 1 ? source : use('mul', source, alpha);
  return recordScatter(x, index, scaled, { place: 'index', axis, reduce: 'sum', includeSelf: true });
}

function indexCopyOf(x: Tensor, dim: number, index: Tensor, source: Tensor): Tensor {
  const axis = wrapDim(dim, x.ndim);
  if (index.ndim > 1) throw new RangeError(`index_copy_(): Index should have dimension 1 or 0 (got ${index.ndim})`);
  if (index.dtype.name !== 'int64')
    throw new Error(`index_copy_(): Expected a long tensor for index, but got ${scalarTypeName(index.dtype)}`);
  if (x.dtype !== source.dtype)
    throw new Error(
      `index_copy_(): self and source expected to have the same dtype, but got (self) ${scalarTypeName(x.dtype)} and (source) ${scalarTypeName(source.dtype)}`,
    );
  if (source.ndim === 0 && index.view_.numel !== 1)
    throw new RangeError(`index_copy_(): When source is scalar, index should have one element (got ${index.view_.numel})`);
  if (source.ndim !== x.ndim && source.ndim !== 0 && x.ndim !== 0)
    throw new RangeError(
      `index_copy_(): When source and destination are not scalars, their dimensionality must match. Source dimensionality (${source.ndim}), destination dimensionality (${x.ndim})`,
    );
  if (x.ndim > 0 && source.ndim > 0 && sliceShape(x.view_.shape, axis) !== sliceShape(source.view_.shape, axis))
    throw new Error(
      `index_copy_(): Source/destination tensor must have same slice shapes. Destination slice shape: ${sliceShape(x.view_.shape, axis)} at dimension ${axis} and source slice shape: ${sliceShape(source.view_.shape, axis)} at dimension ${axis}.`,
    );
  const along = source.ndim === 0 ? 1 : source.view_.shape[axis];
  if (index.view_.numel !== along)
    throw new RangeError(`index_copy_(): Number of indices (${index.view_.numel}) should be equal to source.size(dim) (${along})`);
  checkIndex(index, x.view_.shape[axis] ?? 1, axis, 'index_copy_(): ', RangeError);
  return recordScatter(x, index, source, { place: 'index', axis, reduce: 'none', includeSelf: true });
}

/** Coordinates of all elements of the slices that `index` names. */
function sliceCoordinates(base: Prim, index: Prim, axis: number): Prim[] {
  const list = atLeast1d(index);
  const shape = base.shape.map((d, i) => (i === axis ? list.shape[0] : d));
  const along = wrapIndex(list.cast(int64), base.shape[axis])
    .reshape(shape.map((d, i) => (i === axis ? d : 1)))
    .expand(shape);
  return shape.map((_, i) => (i === axis ? along : iota(shape, i)));
}

const indexFillOperator: Operator<{ axis: number }> = {
  name: 'index_fill',
  body: ([x, index, value], { constants: { axis } }) => {
    const base = atLeast1d(x);
    const coords = sliceCoordinates(base, index, axis);
    return [base.scatter(value.cast(x.dtype).expand(coords[0].shape), coords, null).reshape(x.shape)];
  },
  // The value gets the gradient of each filled element once, however often the index names it.
  gradient: ([g], [x, index, value], _, { constants: { axis } }) => {
    if (g === null) return [null, null, null];
    const base = atLeast1d(g);
    const coords = sliceCoordinates(base, index, axis);
    const rest = base.scatter(full(coords[0].shape, 0, g.dtype), coords, null);
    const hit = full(base.shape, 0, int64).scatter(full(coords[0].shape, 1, int64), coords, null);
    return [rest.reshape(x.shape), null, hit.eq(1).where(base, 0).sum().cast(value.dtype)];
  },
};

function indexFillOf(x: Tensor, dim: number, index: Tensor, value: Tensor | ScalarArgument): Tensor {
  const axis = wrapDim(dim, x.ndim);
  if (index.dtype.name !== 'int64') throw new RangeError('index_fill_(): Expected dtype int64 for index.');
  if (index.ndim > 1) throw new Error('Index has to be a vector/scalar');
  const fill = value instanceof Tensor ? value : fullOf([], value, x.dtype, x.device);
  if (fill.ndim > 0)
    throw new Error(`index_fill_ only supports a 0-dimensional value tensor, but got tensor with ${fill.ndim} dimension(s).`);
  if (fill.dtype.is_complex && !x.dtype.is_complex)
    throw new Error('index_fill_(): Converting complex Scalar to non-complex type is not supported');
  const size = x.view_.shape[axis] ?? 1;
  requireInside(index, -size, size, (bad) => new RangeError(`index ${bad} is out of bounds for dimension ${axis} with size ${size}`));
  return record(indexFillOperator as never, [x, index, fill], { constants: constantsOf(`index_fill:${axis}`, () => ({ axis })) })[0];
}

function indexReduceOf(x: Tensor, dim: number, index: Tensor, source: Tensor, reduce: string, includeSelf: boolean): Tensor {
  if (reduce !== 'prod' && reduce !== 'mean' && reduce !== 'amax' && reduce !== 'amin')
    throw new Error(`index_reduce(): Expected reduce to be one of prod, mean, amax or amin but got ${reduce}.`);
  const axis = wrapDim(dim, x.ndim);
  if (index.ndim > 1) throw new RangeError(`index_reduce_(): Index is supposed to be a vector, but got dim: ${index.ndim}`);
  if (!isIndexType(index)) throw new Error('index_reduce_(): Expected dtype int32/int64 for index');
  if (x.dtype !== source.dtype)
    throw new Error(
      `index_reduce_(): self (${scalarTypeName(x.dtype)}) and source (${scalarTypeName(source.dtype)}) must have the same scalar type`,
    );
  const along = source.ndim === 0 ? 1 : source.view_.shape[axis];
  if (index.view_.numel !== along)
    throw new Error(
      `index_reduce_(): Number of indices (${index.view_.numel}) should be equal to source.size(dim): (${along}), for dim: ${axis}`,
    );
  if (x.ndim > 0 && sliceShape(x.view_.shape, axis) !== sliceShape(source.view_.shape, axis))
    throw new Error(
      `source tensor shape must match self tensor shape, excluding the specified dimension. Got self.shape = ${shapeList(x.view_.shape)} source.shape = ${shapeList(source.view_.shape)}`,
    );
  requireInside(index, 0, x.view_.shape[axis] ?? 1, () => new RangeError('index out of range in self'));
  return recordScatter(x, index, source, { place: 'index', axis, reduce, includeSelf });
}

const putOperator: Operator<{ accumulate: boolean }> = {
  name: 'put',
  body: ([x, index, source], { constants: { accumulate } }) => {
    const flat = x.reshape([dimsOf.productOf(x.shape)]);
    const rows = [dimsOf.productOf(index.shape)];
    const at = wrapIndex(index.cast(int64).reshape(rows), flat.shape[0]);
    return [reduceInto(flat, source.reshape(rows), [at], accumulate ? 'sum' : 'none', true).reshape(x.shape)];
  },
};

function putOf(x: Tensor, index: Tensor, source: Tensor, accumulate: boolean): Tensor {
  if (x.dtype !== source.dtype)
    throw new Error(
      `put_(): self and source expected to have the same dtype, but got self.dtype = ${scalarTypeName(x.dtype)} and source.dtype = ${scalarTypeName(source.dtype)}`,
    );
  if (index.dtype.name !== 'int64') throw new Error(`put_(): Expected a long tensor for index, but got ${scalarTypeName(index.dtype)}`);
  if (source.view_.numel !== index.view_.numel)
    throw new RangeError(
      `put_(): Expected source and index to have the same number of elements, but got source.numel() = ${source.view_.numel}, index.numel() = ${index.view_.numel}`,
    );
  if (x.view_.numel === 0 && index.view_.numel > 0) throw new RangeError('put_(): tried to put elements into an empty tensor');
  checkFlat(index, x.view_.numel);
  return record(putOperator as never, [x, index, source], { constants: constantsOf(`put:${accumulate}`, () => ({ accumulate })) })[0];
}

const page = (name: string): string => `https://docs.pytorch.org/docs/stable/generated/torch.${name}.html`;

export const scattering = {
  scatter: declareInplace(
    { doc: `A copy with x[index[i][j]][j] = src[i][j] for dim 0, and so on. ${page('Tensor.scatter_')}` },
    overload('scatter.src(Tensor self, int dim, Tensor index, Tensor src) -> Tensor', (x, dim, index, src) =>
      scatterOf(x, dim, index, src, 'none'),
    ),
    overload('scatter.reduce(Tensor self, int dim, Tensor index, Tensor src, *, str reduce) -> Tensor', (x, dim, index, src, reduce) =>
      scatterOf(x, dim, index, src, oldReduce(reduce)),
    ),
    overload('scatter.value(Tensor self, int dim, Tensor index, Scalar value) -> Tensor', (x, dim, index, value) =>
      scatterOf(x, dim, index, value, 'none'),
    ),
    overload(
      'scatter.value_reduce(Tensor self, int dim, Tensor index, Scalar value, *, str reduce) -> Tensor',
      (x, dim, index, value, reduce) => scatterOf(x, dim, index, value, oldReduce(reduce)),
    ),
  ),
  scatter_add: declareInplace(
    { doc: `A copy with x[index[i][j]][j] += src[i][j] for dim 0, and so on, in order of the index. ${page('Tensor.scatter_add_')}` },
    overload('scatter_add(Tensor self, int dim, Tensor index, Tensor src) -> Tensor', (x, dim, index, src) =>
      scatterOf(x, dim, index, src, 'sum'),
    ),
  ),
  scatter_reduce: declareInplace(
    { doc: `A copy where elements of \`src\` are reduced into x: sum, prod, mean, amax or amin. ${page('Tensor.scatter_reduce_')}` },
    overload(
      'scatter_reduce.two(Tensor self, int dim, Tensor index, Tensor src, str reduce, *, bool include_self=True) -> Tensor',
      (x, dim, index, src, reduce, includeSelf) => scatterOf(x, dim, index, src, scatterReduceName(reduce), includeSelf),
    ),
  ),
  index_add: declareInplace(
    { doc: `A copy with alpha times the slices of \`source\` added to the slices that \`index\` names. ${page('Tensor.index_add_')}` },
    overload('index_add(Tensor self, int dim, Tensor index, Tensor source, *, Scalar alpha=1) -> Tensor', (x, dim, index, source, alpha) =>
      indexAddOf(x, dim, index, source, alpha),
    ),
  ),
  index_copy: declareInplace(
    { doc: `A copy with the slices that \`index\` names replaced. ${page('Tensor.index_copy_')}` },
    overload('index_copy(Tensor self, int dim, Tensor index, Tensor source) -> Tensor', (x, dim, index, source) =>
      indexCopyOf(x, dim, index, source),
    ),
  ),
  index_fill: declareInplace(
    { doc: `A copy with the slices that \`index\` names filled. ${page('Tensor.index_fill_')}` },
    overload('index_fill.int_Tensor(Tensor self, int dim, Tensor index, Tensor value) -> Tensor', (x, dim, index, value) =>
      indexFillOf(x, dim, index, value),
    ),
    overload('index_fill.int_Scalar(Tensor self, int dim, Tensor index, Scalar value) -> Tensor', (x, dim, index, value) =>
      indexFillOf(x, dim, index, value),
    ),
  ),
  index_reduce: declareInplace(
    {
      doc: `A copy where slices of \`source\` are reduced into those that \`index\` names: prod, mean, amax or amin. ${page('Tensor.index_reduce_')}`,
    },
    overload(
      'index_reduce(Tensor self, int dim, Tensor index, Tensor source, str reduce, *, bool include_self=True) -> Tensor',
      (x, dim, index, source, reduce, includeSelf) => indexReduceOf(x, dim, index, source, reduce, includeSelf),
    ),
  ),
  put: declareInplace(
    { doc: `A copy with elements at flat positions replaced, or added to. ${page('Tensor.put_')}` },
    overload('put(Tensor self, Tensor index, Tensor source, bool accumulate=False) -> Tensor', (x, index, source, accumulate) =>
      putOf(x, index, source, accumulate),
    ),
  ),
};

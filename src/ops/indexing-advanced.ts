/**
 * Indexing by tensors: `index`, `index_put` and what `x.at(...)`, `x.set(...)` need of them.
 *
 * Index tensors broadcast together; their dims replace the indexed dims where those are adjacent and come first where they are not. A mask is the
 * index tensors of its true elements, read at the call; writing through one mask needs no reading where the value does not depend on which
 * elements are true: that is a `where`.
 */
import { viewBytes } from '../dtype/codec.ts';
import { bool, int32, int64 } from '../dtype/dtype.ts';
import { scalarTypeName } from '../dtype/promotion.ts';
import type { Operator } from '../graph/operator.ts';
import { broadcast, dimPrim, iota, type Prim } from '../graph/prim.ts';
import type { Dim } from '../shape/dim.ts';
import { broadcastShapes } from '../shape/view.ts';
import { constantsOf, record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { fromBytes } from './creation.ts';
import { declare, declareInplace, overload } from './declare.ts';
import { shapeList } from './dims.ts';
import { requireInside } from './host-index.ts';
import { wrapIndex } from './indexing-gather.ts';
import { coordinatesOfTrue } from './nonzero.ts';
import { expandTo } from './shape-base.ts';
import { use } from './use.ts';

interface IndexConstants {
  /** The indexed dims, ascending: one index tensor each. */
  readonly dims: readonly number[];
  /** Where the index tensors' dims stand in the result. */
  readonly at: number;
  /** Indices outside of the dim become the nearest inside. */
  readonly clamp: boolean;
  readonly accumulate: boolean;
}

/** One coordinate for each dim of x, over the shape of `x[indices]`. */
function coordinates(x: Prim, indices: readonly Prim[], { dims, at, clamp }: IndexConstants): Prim[] {
  const common = broadcast(indices.map((i) => i.shape));
  const rest = [...x.shape.keys()].filter((d) => !dims.includes(d));
  const shape = [...rest.slice(0, at).map((d) => x.shape[d]), ...common, ...rest.slice(at).map((d) => x.shape[d])];
  return x.shape.map((size, d) => {
    const which = dims.indexOf(d);
    if (which < 0) {
      const position = rest.indexOf(d);
      return iota(shape, position < at ? position : position + common.length);
    }
    let index = indices[which].cast(int64);
    if (clamp) {
      const extent = dimPrim(size, int64);
      index = index.maximum(extent.neg()).minimum(extent.sub(1));
    }
    const ones = (n: number): Dim[] => new Array<Dim>(n).fill(1);
    const placed = [...ones(at + common.length - index.ndim), ...index.shape, ...ones(rest.length - at)];
    return wrapIndex(index, size).reshape(placed).expand(shape);
  });
}

const indexOperator: Operator<IndexConstants> = {
  name: 'index',
  body: ([x, ...indices], { constants }) => [x.lookup(coordinates(x, indices, constants))],
};

const indexPutOperator: Operator<IndexConstants> = {
  name: 'index_put',
  body: ([x, value, ...indices], { constants }) => {
    const coords = coordinates(x, indices, constants);
    const placed = value.expand(coords[0].shape);
    if (!constants.accumulate) return [x.scatter(placed, coords, null)];
    // A sum of bools is their disjunction.
    const counting = x.dtype.kind === 'bool' ? int32 : x.dtype;
    return [x.cast(counting).scatter(placed.cast(counting), coords, 'add').cast(x.dtype)];
  },
};

/** x where the mask (over x's dims from `at` on) is false, else the value. */
const maskedPutOperator: Operator<{ at: number; spread: number; accumulate: boolean }> = {
  name: 'index_put',
  body: ([x, mask, value], { constants: { at, spread, accumulate } }) => {
    const after = x.ndim - at - mask.ndim;
    const condition = mask.cast(bool).reshape([...mask.shape, ...new Array<Dim>(after).fill(1)]);
    // Of the result's dims [before, true elements, after] the value has the middle one as 1 or not at all.
    const shape =
      value.ndim > after
        ? [...value.shape.slice(0, value.ndim - after - 1), ...new Array<Dim>(spread).fill(1), ...value.shape.slice(value.ndim - after)]
        : value.shape;
    const fitted = value.reshape(shape);
    return [condition.where(accumulate ? (x.dtype === bool ? x.or(fitted) : x.add(fitted)) : fitted, x)];
  },
};
const isMask = (t: Tensor): boolean => t.dtype.kind === 'bool' || t.dtype.name === 'uint8';

function checkIndexType(t: Tensor): void {
  if (!isMask(t) && t.dtype.name !== 'int64' && t.dtype.name !== 'int32')
    throw new RangeError('tensors used as indices must be long, int, byte or bool tensors');
}

function checkMask(x: Tensor, mask: Tensor, at: number): void {
  mask.view_.shape.forEach((d, i) => {
    if (at + i >= x.ndim) throw tooMany(x);
    if (d !== x.view_.shape[at + i])
      throw new RangeError(
        `The shape of the mask ${shapeList(mask.view_.shape)} at index ${i} does not match the shape of the indexed tensor ${shapeList(x.view_.shape)} at index ${at + i}`,
      );
  });
}

export const tooMany = (x: Tensor): RangeError => new RangeError(`too many indices for tensor of dimension ${x.ndim}`);

interface Prepared {
  readonly dims: readonly number[];
  readonly at: number;
  readonly tensors: readonly Tensor[];
  /** The shape of `x[indices]`. */
  readonly shape: readonly number[];
}

/** Masks made index tensors, shapes and (where they are in memory) indices checked. Null entries are whole dims. */
function prepare(x: Tensor, indices: readonly (Tensor | null)[], clamp: boolean): Prepared {
  const dims: number[] = [];
  const tensors: Tensor[] = [];
  let d = 0;
  for (const t of indices) {
    if (t === null) {
      d++;
      continue;
    }
    checkIndexType(t);
    if (!isMask(t)) {
      dims.push(d++);
      tensors.push(t);
      continue;
    }
    checkMask(x, t, d);
    for (const coordinate of coordinatesOfTrue(t)) {
      if (t.ndim > 0) dims.push(d++);
      tensors.push(fromBytes(viewBytes(coordinate), [coordinate.length], int64, x.device));
    }
  }
  if (d > x.ndim) throw new RangeError(`too many indices for tensor of dimension ${x.ndim} (got ${d})`);
  let common: readonly number[] = [];
  for (const t of tensors) {
    const both = broadcastShapes(common, t.view_.shape);
    if (both === null)
      throw new RangeError(
        `shape mismatch: indexing tensors could not be broadcast together with shapes ${tensors.map((i) => shapeList(i.view_.shape)).join(', ')}`,
      );
    common = both;
  }
  const empty = common.some((n) => n === 0);
  if (!clamp)
    tensors.forEach((t, i) => {
      const size = x.view_.shape[dims[i]];
      if (size === 0 && !empty) throw new RangeError('index is out of bounds for dimension with size 0');
      if (!empty)
        requireInside(t, -size, size, (bad) => new RangeError(`index ${bad} is out of bounds for dimension ${dims[i]} with size ${size}`));
    });
  const adjacent = dims.every((n, i) => i === 0 || n === dims[i - 1] + 1);
  const at = adjacent ? (dims[0] ?? 0) : 0;
  const rest = x.view_.shape.filter((_, i) => !dims.includes(i));
  return { dims, at, tensors, shape: [...rest.slice(0, at), ...common, ...rest.slice(at)] };
}

const constantsFor = (p: Prepared, clamp: boolean, accumulate: boolean): ReturnType<typeof constantsOf> =>
  constantsOf(`index:${p.dims}:${p.at}:${clamp}:${accumulate}`, (): IndexConstants => ({ dims: p.dims, at: p.at, clamp, accumulate }));

export function indexOf(x: Tensor, indices: readonly (Tensor | null)[], clamp = false): Tensor {
  const p = prepare(x, indices, clamp);
  if (p.tensors.length === 0) return use('clone', x);
  return record(indexOperator as never, [x, ...p.tensors], { constants: constantsFor(p, clamp, false) })[0];
}

/** The mask if it is the only index, and what it needs to be a `where`; else null. */
function soleMask(indices: readonly (Tensor | null)[]): { mask: Tensor; at: number } | null {
  const given = indices.filter((t) => t !== null);
  if (given.length !== 1 || !isMask(given[0]) || given[0].ndim === 0) return null;
  return { mask: given[0], at: indices.indexOf(given[0]) };
}

export function indexPutOf(x: Tensor, indices: readonly (Tensor | null)[], values: Tensor, accumulate = false, clamp = false): Tensor {
  if (values.dtype !== x.dtype)
    throw new Error(
      `Index put requires the source and destination dtypes match, got ${scalarTypeName(x.dtype)} for the destination and ${scalarTypeName(values.dtype)} for the source.`,
    );
  const sole = soleMask(indices);
  if (sole !== null && values.device === x.device) {
    const { mask, at } = sole;
    checkMask(x, mask, at);
    const after = x.ndim - at - mask.ndim;
    const { shape } = values.view_;
    const full = [...x.view_.shape.slice(0, at), 1, ...x.view_.shape.slice(at + mask.ndim)];
    const middle = shape[shape.length - after - 1] ?? 1;
    if (middle === 1 && broadcastShapes(shape, full)?.join() === full.join())
      return record(maskedPutOperator as never, [x, mask, values], {
        constants: constantsOf(`index_put:${at}:${mask.ndim}:${accumulate}`, () => ({ at, spread: mask.ndim, accumulate })),
      })[0];
  }
  const p = prepare(x, indices, clamp);
  if (broadcastShapes(values.view_.shape, p.shape)?.join() !== p.shape.join())
    throw new Error(
      `shape mismatch: value tensor of shape ${shapeList(values.view_.shape)} cannot be broadcast to indexing result of shape ${shapeList(p.shape)}`,
    );
  if (p.tensors.length === 0)
    return accumulate ? use('add', x, expandTo(values, x.view_.shape)) : use('clone', expandTo(values, x.view_.shape));
  return record(indexPutOperator as never, [x, values, ...p.tensors], { constants: constantsFor(p, clamp, accumulate) })[0];
}

const page = (name: string): string => `https://docs.pytorch.org/docs/stable/generated/torch.${name}.html`;

export const advancedIndexing = {
  index: declare(
    {
      doc: 'x[indices]: a tensor or null (the whole dim) for each dim. https://docs.pytorch.org/docs/stable/tensor_view.html',
      as: 'method',
    },
    overload('index.Tensor(Tensor self, Tensor?[] indices) -> Tensor', (x, indices) => indexOf(x, indices)),
  ),
  index_put: declareInplace(
    { doc: `x[indices] = values, or += with \`accumulate\`. ${page('Tensor.index_put_')}` },
    overload(
      'index_put(Tensor self, Tensor?[] indices, Tensor values, bool accumulate=False) -> Tensor',
      (x, indices, values, accumulate) => indexPutOf(x, indices, values, accumulate),
    ),
  ),
  _unsafe_index: declare(
    { doc: 'As `index`, the indices unchecked.', as: 'function' },
    overload('_unsafe_index.Tensor(Tensor self, Tensor?[] indices) -> Tensor', (x, indices) => indexOf(x, indices)),
  ),
  _unsafe_index_put: declare(
    { doc: 'As `index_put`, the indices unchecked.', as: 'function' },
    overload(
      '_unsafe_index_put(Tensor self, Tensor?[] indices, Tensor values, bool accumulate=False) -> Tensor',
      (x, indices, values, accumulate) => indexPutOf(x, indices, values, accumulate),
    ),
  ),
  _unsafe_masked_index: declare(
    { doc: 'x[indices] where the mask is true, `fill` elsewhere; indices are clamped.', as: 'function' },
    overload('_unsafe_masked_index(Tensor self, Tensor mask, Tensor?[] indices, Scalar fill) -> Tensor', (x, mask, indices, fill) =>
      x.view_.numel === 0
        ? use('full', [...mask.view_.shape], fill, { dtype: x.dtype, device: x.device })
        : use('masked_fill', indexOf(x, indices, true), use('logical_not', mask), fill),
    ),
  ),
  _unsafe_masked_index_put_accumulate: declare(
    { doc: 'x[indices] += values where the mask is true; indices are clamped.', as: 'function' },
    overload(
      '_unsafe_masked_index_put_accumulate(Tensor self, Tensor mask, Tensor?[] indices, Tensor values) -> Tensor',
      (x, mask, indices, values) =>
        x.view_.numel === 0 ? use('clone', x) : indexPutOf(x, indices, use('masked_fill', values, use('logical_not', mask), 0), true, true),
    ),
  ),
};

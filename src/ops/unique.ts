/**
 * Unique elements and slices: https://docs.pytorch.org/docs/stable/generated/torch.unique.html
 *
 * How many there are depends on the data, so these read their operand at the call. Results are always sorted (as PyTorch's are on CPU); every
 * NaN is unique.
 */
import { convertArray, makeArray, type StorageArray, slotsPerElement, viewBytes } from '../dtype/codec.ts';
import { type DType, int64 } from '../dtype/dtype.ts';
import { scalarTypeName } from '../dtype/promotion.ts';
import { toTypedArray } from '../tensor/read.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { detached } from '../tensor/view-tensor.ts';
import { orderableDtype } from './along.ts';
import { fromBytes } from './creation.ts';
import { declare, overload } from './declare.ts';
import { wrapDim } from './dims.ts';
import { sortPositions } from './host/radix-sort.ts';
import { positionsOf, type Row } from './host/rows.ts';

/** Groups of equal items: `firsts` is an item of each; `group` and `counts` say who is in which. */
interface Groups {
  readonly firsts: Int32Array;
  readonly group: Int32Array;
  readonly counts: Int32Array;
}

/** Items visited in `order`; a new group starts where `same` says no of two neighbours. */
function groupsOf(order: Int32Array, same: (a: number, b: number) => boolean): Groups {
  const n = order.length;
  const firsts = new Int32Array(n);
  const counts = new Int32Array(n);
  const group = new Int32Array(n);
  let last = -1;
  for (let i = 0; i < n; i++) {
    if (i === 0 || !same(order[i - 1], order[i])) firsts[++last] = order[i];
    counts[last]++;
    group[order[i]] = last;
  }
  return { firsts: firsts.subarray(0, last + 1), group, counts: counts.subarray(0, last + 1) };
}

/** Non-negative numbers as an int64 tensor. */
function longs(values: Int32Array, shape: readonly number[], device: string): Tensor {
  const halves = new Int32Array(2 * values.length);
  for (let i = 0; i < values.length; i++) halves[2 * i] = values[i];
  return fromBytes(viewBytes(halves), shape, int64, device);
}

const comparable = (dtype: DType, data: StorageArray): Row => convertArray(dtype, data, orderableDtype(dtype)) as unknown as Row;

function refuse(x: Tensor, kernel: 'unique' | 'unique_dim'): void {
  if (x.dtype.is_complex) throw new Error(`"${kernel}" not implemented for '${scalarTypeName(x.dtype)}'`);
}

interface UniqueResult {
  readonly values: Tensor;
  readonly inverse: Tensor;
  readonly counts: Tensor;
}

/** Over the flattened elements. */
function uniqueElements(x: Tensor, consecutive: boolean): UniqueResult {
  refuse(x, 'unique');
  const data = toTypedArray(detached(x));
  const row = comparable(x.dtype, data);
  let order = positionsOf(row.length);
  if (!consecutive) {
    order = new Int32Array(row.length);
    sortPositions(row, order, false);
  }
  const { firsts, group, counts } = groupsOf(order, (a, b) => row[a] === row[b]);
  const values = makeArray(x.dtype, firsts.length);
  firsts.forEach((f, i) => {
    (values as unknown as Row)[i] = (data as unknown as Row)[f];
  });
  return {
    values: fromBytes(viewBytes(values), [firsts.length], x.dtype, x.device),
    inverse: longs(group, x.view_.shape, x.device),
    counts: longs(counts, [firsts.length], x.device),
  };
}

/** Over the slices along a dim. */
function uniqueSlices(x: Tensor, dim: number, consecutive: boolean): UniqueResult {
  if (x.ndim === 0) throw new Error(`Dimension specified as ${dim} but tensor has no dimensions`);
  const axis = wrapDim(dim, x.ndim);
  refuse(x, 'unique_dim');
  const shape = x.view_.shape;
  const zeros = shape.filter((d) => d === 0).length;
  const length = shape[axis];
  if (length === 0) {
    if (zeros !== 1) throw new Error('Number of zero sized dimensions is more than one, so unique cannot be applied ');
    return {
      values: fromBytes(new Uint8Array(0), shape, x.dtype, x.device),
      inverse: longs(new Int32Array(0), [0], x.device),
      counts: longs(new Int32Array(0), [0], x.device),
    };
  }
  if (zeros !== 0) throw new Error("There are 0 sized dimensions, and they aren't selected, so unique cannot be applied");
  const data = toTypedArray(detached(x));
  const numbers = comparable(x.dtype, data);
  const stride = shape.slice(axis + 1).reduce((a, b) => a * b, 1);
  const outer = shape.slice(0, axis).reduce((a, b) => a * b, 1);
  /** Compares two slices element by element: negative, 0, positive; with `exact`, NaN differs from everything. */
  const compare = (a: number, b: number, exact: boolean): number => {
    for (let o = 0; o < outer; o++)
      for (let i = 0; i < stride; i++) {
        const [u, v] = [numbers[(o * length + a) * stride + i], numbers[(o * length + b) * stride + i]];
        if (u < v) return -1;
        if (u > v) return 1;
        if (exact && u !== v) return 1;
      }
    return 0;
  };
  const order = positionsOf(length);
  if (!consecutive) order.sort((a, b) => compare(a, b, false) || a - b);
  const { firsts, group, counts } = groupsOf(order, (a, b) => compare(a, b, true) === 0);
  const made = firsts.length;
  const slots = slotsPerElement(x.dtype);
  const values = makeArray(x.dtype, outer * made * stride);
  const run = stride * slots;
  for (let o = 0; o < outer; o++)
    firsts.forEach((f, i) => {
      const from = (o * length + f) * run;
      (values as Uint8Array).set((data as Uint8Array).subarray(from, from + run), (o * made + i) * run);
    });
  return {
    values: fromBytes(
      viewBytes(values),
      shape.map((d, i) => (i === axis ? made : d)),
      x.dtype,
      x.device,
    ),
    inverse: longs(group, [length], x.device),
    counts: longs(counts, [made], x.device),
  };
}

/** One tensor, or as many as were asked for. */
function answer(r: UniqueResult, inverse: boolean, counts: boolean): never {
  const all = [r.values, ...(inverse ? [r.inverse] : []), ...(counts ? [r.counts] : [])];
  return (all.length === 1 ? all[0] : all) as never;
}

const unique = (x: Tensor, dim: number | null, consecutive: boolean): UniqueResult =>
  dim === null ? uniqueElements(x, consecutive) : uniqueSlices(x, dim, consecutive);

export const uniques = {
  unique: declare(
    {
      doc: 'The distinct elements (or slices of `dim`), sorted; with them where each element went, and how many there were. https://docs.pytorch.org/docs/stable/generated/torch.unique.html',
      dynamic: true,
    },
    overload(
      'unique(Tensor self, bool sorted=True, bool return_inverse=False, bool return_counts=False, int? dim=None) -> TensorOrTensors',
      (x, _sorted, inverse, counts, dim) => answer(unique(x, dim, false), inverse, counts),
    ),
  ),
  unique_consecutive: declare(
    {
      doc: 'The elements (or slices of `dim`) without repetitions of their neighbours. https://docs.pytorch.org/docs/stable/generated/torch.unique_consecutive.html',
      dynamic: true,
    },
    overload(
      'unique_consecutive(Tensor self, bool return_inverse=False, bool return_counts=False, int? dim=None) -> TensorOrTensors',
      (x, inverse, counts, dim) => answer(unique(x, dim, true), inverse, counts),
    ),
  ),
};

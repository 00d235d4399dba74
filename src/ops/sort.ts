/**
 * Sorting and selecting along a dim: https://docs.pytorch.org/docs/stable/torch.html#comparison-ops
 *
 * A library function gives positions; the values are looked up by them, so gradients go back to the positions. Sorts are stable whatever
 * `stable` says (as PyTorch's CPU sort is); NaN counts as largest. Unique elements are in `unique.ts`, searches in `search.ts`.
 */
import { bool, int64 } from '../dtype/dtype.ts';
import { scalarTypeName } from '../dtype/promotion.ts';
import type { LibraryFunction } from '../graph/library.ts';
import type { Operator } from '../graph/operator.ts';
import { callLibrary, iota } from '../graph/prim.ts';
import { constantsOf, record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { orderable, takeAlong, withDim } from './along.ts';
import { declare, overload } from './declare.ts';
import { wrapDim } from './dims.ts';
import { sortPositions } from './host/radix-sort.ts';
import { positionsOf, type RowConstants, rowFunction } from './host/rows.ts';
import { nthElement, partialSort, quickSelect, sort as sortRow } from './host/selection.ts';
import { searches } from './search.ts';
import { uniques } from './unique.ts';

interface SortConstants extends RowConstants {
  readonly descending: boolean;
}
interface TopkConstants extends RowConstants {
  readonly k: number;
  readonly largest: boolean;
  readonly sorted: boolean;
}
interface KthConstants extends RowConstants {
  readonly k: number;
  readonly keepdim: boolean;
}

export const sortFunction = rowFunction<SortConstants>('sort', (row, positions, { descending }) =>
  sortPositions(row, positions, descending),
);

const topkFunction = rowFunction<TopkConstants>('topk', (row, chosen, { k, largest, sorted }) => {
  if (k === 0) return;
  const n = row.length;
  const items = positionsOf(n);
  const before = largest
    ? (i: number, j: number): boolean => (row[i] !== row[i] && row[j] === row[j]) || row[i] > row[j]
    : (i: number, j: number): boolean => (row[i] === row[i] && row[j] !== row[j]) || row[i] < row[j];
  if (k * 64 <= n) partialSort(items, 0, k, n, before);
  else {
    nthElement(items, 0, k - 1, n, before);
    if (sorted) sortRow(items, 0, k - 1, before);
  }
  for (let i = 0; i < k; i++) chosen[i] = items[i];
});

const kthFunction = rowFunction<KthConstants>('kthvalue', (row, chosen, { k }) => {
  const items = positionsOf(row.length);
  quickSelect(items, k - 1, (i, j) => (row[i] !== row[i] && row[j] === row[j]) || row[i] > row[j]);
  chosen[0] = items[k - 1];
});

/** An operator of values and positions; `count` elements of each row are kept, one without a dim of its own where that is null. */
function choosing<C extends RowConstants>(fn: LibraryFunction<C>, count: (constants: C) => number | null): Operator<C> {
  return {
    name: fn.name,
    body: ([x], { constants }) => {
      if (x.ndim === 0) return [x, iota([1], 0).reshape([])];
      const { axis } = constants;
      const size = count(constants);
      const shape = size === null ? x.shape : withDim(x.shape, axis, size);
      const positions = callLibrary(fn, [orderable(x)], [{ shape, dtype: int64 }], constants)[0];
      return [takeAlong(x, positions, axis), positions];
    },
  };
}
const sortOperator = choosing(sortFunction, () => null);
const topkOperator = choosing(topkFunction, (c) => c.k);
const kthPositions = choosing(kthFunction, () => 1);
const kthOperator: Operator<KthConstants> = {
  name: 'kthvalue',
  body: (inputs, context) =>
    kthPositions.body(inputs, context).map((p) => (context.constants.keepdim || p.ndim === 0 ? p : p.squeeze(context.constants.axis))),
};

export function sorted(x: Tensor, dim: number, descending: boolean): [Tensor, Tensor] {
  const axis = wrapDim(dim, x.ndim);
  if (x.dtype.is_complex) throw new Error(' Sort does not support complex dtypes on CPU');
  return record(sortOperator as never, [x], {
    constants: constantsOf(`sort:${axis}:${descending}`, (): SortConstants => ({ axis, descending })),
  }) as [Tensor, Tensor];
}

function topk(x: Tensor, k: number, dim: number, largest: boolean, inOrder: boolean): [Tensor, Tensor] {
  const axis = wrapDim(dim, x.ndim);
  if (k < 0 || k > (x.ndim === 0 ? 1 : x.view_.shape[axis])) throw new Error('selected index k out of range');
  if (x.dtype.is_complex) throw new Error(' topk does not support complex dtypes on CPU');
  if (x.dtype === bool) throw new Error('topk does not support bool dtypes on CPU');
  return record(topkOperator as never, [x], {
    constants: constantsOf(`topk:${axis}:${k}:${largest}:${inOrder}`, (): TopkConstants => ({ axis, k, largest, sorted: inOrder })),
  }) as [Tensor, Tensor];
}

function kthvalue(x: Tensor, k: number, dim: number, keepdim: boolean): [Tensor, Tensor] {
  const axis = wrapDim(dim, x.ndim);
  const length = x.ndim === 0 ? 1 : x.view_.shape[axis];
  if (x.ndim > 0 && length === 0) throw new RangeError(`kthvalue(): Expected reduction dim ${axis} to have non-zero size.`);
  if (k < 1 || k > length) throw new Error(`kthvalue(): selected number k out of range for dimension ${axis}`);
  if (x.dtype.is_complex || x.dtype === bool) throw new Error(`"kthvalue_cpu" not implemented for '${scalarTypeName(x.dtype)}'`);
  return record(kthOperator as never, [x], {
    constants: constantsOf(`kthvalue:${axis}:${k}:${keepdim}`, (): KthConstants => ({ axis, k, keepdim })),
  }) as [Tensor, Tensor];
}

export const sorting = {
  sort: declare(
    { doc: 'Sorted along a dim, and where the elements were. https://docs.pytorch.org/docs/stable/generated/torch.sort.html' },
    overload('sort(Tensor self, int dim=-1, bool descending=False) -> (Tensor values, Tensor indices)', (x, dim, descending) =>
      sorted(x, dim, descending),
    ),
    overload(
      'sort.stable(Tensor self, *, bool? stable, int dim=-1, bool descending=False) -> (Tensor values, Tensor indices)',
      (x, _stable, dim, descending) => sorted(x, dim, descending),
    ),
  ),
  argsort: declare(
    { doc: 'The positions that sort. https://docs.pytorch.org/docs/stable/generated/torch.argsort.html' },
    overload(
      'argsort(Tensor self, int dim=-1, bool descending=False, bool stable=False) -> Tensor',
      (x, dim, descending, _stable) => sorted(x, dim, descending)[1],
    ),
  ),
  msort: declare(
    { doc: 'Sorted along the first dim. https://docs.pytorch.org/docs/stable/generated/torch.msort.html' },
    overload('msort(Tensor self) -> Tensor', (x) => sorted(x, 0, false)[0]),
  ),
  topk: declare(
    { doc: 'The k largest (or smallest) along a dim, and where they are. https://docs.pytorch.org/docs/stable/generated/torch.topk.html' },
    overload(
      'topk(Tensor self, SymInt k, int dim=-1, bool largest=True, bool sorted=True) -> (Tensor values, Tensor indices)',
      (x, k, dim, largest, inOrder) => topk(x, k, dim, largest, inOrder),
    ),
  ),
  kthvalue: declare(
    { doc: 'The k-th smallest along a dim, and where it is. https://docs.pytorch.org/docs/stable/generated/torch.kthvalue.html' },
    overload('kthvalue(Tensor self, SymInt k, int dim=-1, bool keepdim=False) -> (Tensor values, Tensor indices)', (x, k, dim, keepdim) =>
      kthvalue(x, k, dim, keepdim),
    ),
  ),
  ...uniques,
  ...searches,
};

/**
 * `segment_reduce`: runs of neighbours along an axis, each reduced to one element; a scatter whose places come from the segments' lengths or
 * offsets. Elements behind the last segment go to a place of their own, which is cut off.
 * https://docs.pytorch.org/docs/stable/generated/torch.segment_reduce.html
 */
import { int64 } from '../dtype/dtype.ts';
import { item } from '../tensor/read.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { detached } from '../tensor/view-tensor.ts';
import { castTo } from './conversion.ts';
import { declare, overload } from './declare.ts';
import { wrapDim } from './dims.ts';
import type { ScalarArgument } from './scalar-argument.ts';
import { expandTo, narrowOf, viewTo } from './shape-base.ts';
import { use } from './use.ts';

const identities: Readonly<Record<string, number>> = { sum: 0, mean: 0, max: -Infinity, min: Infinity, prod: 1 };

interface Segments {
  /** Where each element goes; one past the last segment for those of none. */
  readonly places: Tensor;
  readonly lengths: Tensor;
  readonly count: number;
}

function segmentsOf(x: Tensor, lengths: Tensor | null, offsets: Tensor | null, axis: number, unsafe: boolean): Segments {
  const given = (offsets ?? lengths) as Tensor;
  const what = offsets !== null ? 'offsets' : 'lengths';
  if (axis !== given.ndim - 1) throw new Error(`segment_reduce(): Expected axis to be the last dimension of ${what} but got ${axis}.`);
  const n = x.view_.shape[axis];
  const width = given.view_.shape[axis];
  if (offsets === null && !unsafe) {
    if (Number(item(detached(use('amin', use('cat', [use('flatten', given), use('new_zeros', given, [1])]))))) < 0)
      throw new Error('lengths contains negative value!');
    if (!item(detached(use('all', use('eq', use('sum', given, [-1]), n)))))
      throw new Error('segment_reduce(): Expected all rows of lengths along axis to sum to data.size(lengths.dim()-1) when !unsafe.');
  }
  const ends = offsets === null ? use('cumsum', given, -1) : narrowOf(given, axis, 1, width - 1);
  const starts = offsets === null ? null : narrowOf(given, axis, 0, width - 1);
  const count = offsets === null ? width : width - 1;
  const at = expandTo(use('arange', n, { dtype: given.dtype, device: x.device }), [...given.view_.shape.slice(0, -1), n]);
  const found = use('searchsorted', use('contiguous', ends), use('contiguous', at), { right: true });
  const places = starts === null ? found : use('where', use('lt', at, narrowOf(given, axis, 0, 1)), count, found);
  return { places, lengths: starts === null ? given : use('sub', ends, starts), count };
}

function segmentReduce(
  x: Tensor,
  reduce: string,
  lengths: Tensor | null,
  offsets: Tensor | null,
  dim: number,
  unsafe: boolean,
  initial: ScalarArgument | null,
): Tensor {
  const axis = wrapDim(dim, x.ndim);
  if (!Object.hasOwn(identities, reduce)) throw new Error(`reduce argument must be either sum, prod, mean, amax or amin, got ${reduce}`);
  if (lengths === null && offsets === null) throw new Error('segment_reduce(): Either lengths or offsets must be defined.');
  const { places, lengths: sizes, count } = segmentsOf(x, lengths, offsets, axis, unsafe);
  const { shape } = x.view_;
  const along = (t: Tensor): Tensor => viewTo(use('contiguous', t), [...t.view_.shape, ...shape.slice(axis + 1).map(() => 1)]);
  const size = shape.map((d, i) => (i === axis ? count + 1 : d));
  const start = initial ?? identities[reduce];
  const ordered = reduce === 'max' || reduce === 'min';
  const base = use('full', size, ordered ? identities[reduce] : start, { dtype: x.dtype, device: x.device });
  const index = expandTo(castTo(along(places), int64), shape);
  const kind = reduce === 'mean' ? 'sum' : ordered ? `a${reduce}` : reduce;
  const reduced = narrowOf(use('scatter_reduce', base, axis, index, x, kind, { include_self: true }), axis, 0, count);
  if (ordered && initial !== null) {
    // Equal to the initial value, an element still gets the whole gradient.
    const replaced = use(reduce === 'max' ? 'lt' : 'gt', reduced, initial);
    return use('where', replaced, use('full_like', reduced, initial), reduced);
  }
  if (reduce !== 'mean') return reduced;
  const n = along(sizes);
  const filled = use('div', reduced, use('clamp_min', n, 1));
  return use(
    'where',
    use('gt', n, 0),
    castTo(filled, x.dtype),
    use('full', [], initial ?? Number.NaN, { dtype: x.dtype, device: x.device }),
  );
}

const schema =
  'segment_reduce(Tensor data, str reduce, *, Tensor? lengths=None, Tensor? indices=None, Tensor? offsets=None, int axis=0, bool unsafe=False, Scalar? initial=None) -> Tensor';
const doc = 'Neighbours along an axis reduced by segments. https://docs.pytorch.org/docs/stable/generated/torch.segment_reduce.html';

export const segmentReductions = {
  segment_reduce: declare(
    { doc, as: 'function' },
    overload(schema, (x, reduce, lengths, _indices, offsets, axis, unsafe, initial) =>
      segmentReduce(x, reduce, lengths, offsets, axis, unsafe, initial),
    ),
  ),
};

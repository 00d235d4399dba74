/** Searching in sorted rows and in sets: `searchsorted`, `bucketize`, `isin`. https://docs.pytorch.org/docs/stable/torch.html#comparison-ops */
import { bool, type DType, int32, int64 } from '../dtype/dtype.ts';
import { promoteTypes, resultType, scalarTypeName } from '../dtype/promotion.ts';
import type { Operator } from '../graph/operator.ts';
import { callLibrary } from '../graph/prim.ts';
import { constantsOf, record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { orderable } from './along.ts';
import { fullOf } from './creation.ts';
import { declare, overload } from './declare.ts';
import { shapeList } from './dims.ts';
import { isinFunction, searchsortedFunction } from './host/search.ts';
import { scalarKind, scalarValue } from './scalar-argument.ts';
import type { Scalar } from './schema.ts';

interface SearchCall {
  readonly common: DType;
  readonly right: boolean;
  readonly result: DType;
}
const searchOperator: Operator<SearchCall> = {
  name: 'searchsorted',
  body: ([boundaries, values, ...sorter], { constants: { common, right, result } }) =>
    callLibrary(
      searchsortedFunction,
      [orderable(boundaries.cast(common)), orderable(values.cast(common)), ...sorter],
      [{ shape: values.shape, dtype: result }],
      { right },
    ),
};

/** A number as a 0-d tensor of the dtype that it gives together with `like`. */
function asTensor(value: Scalar, like: Tensor): Tensor {
  return fullOf([], scalarValue(value), resultType([{ dtype: like.dtype, ndim: like.ndim }, scalarKind(value)]), like.device);
}

interface SearchOptions {
  readonly int32: boolean;
  readonly right: boolean;
  readonly side: string | null;
  readonly sorter: Tensor | null;
}

function search(boundaries: Tensor, values: Tensor, options: SearchOptions): Tensor {
  const { right, side, sorter } = options;
  const where = 'torch.searchsorted(): ';
  if (side !== null && side !== 'left' && side !== 'right') throw new Error(`${where}side can only be 'left' or 'right' but got ${side}`);
  if (side === 'left' && right) throw new Error(`${where}side and right can't be set to opposites, got side of left while right was True`);
  if (boundaries.ndim === 0) throw new Error(`${where}boundaries tensor should have positive dimension, but got 0 dimension`);
  const [b, v] = [boundaries.view_.shape, values.view_.shape];
  if (b.length !== 1 && (b.length !== v.length || b.slice(0, -1).join() !== v.slice(0, -1).join()))
    throw new Error(
      `${where}boundaries tensor should be 1 dimension or the first N-1 dimensions of boundaries tensor and input value tensor must match, but we got boundaries tensor ${shapeList(b)} and input value tensor ${shapeList(v)}`,
    );
  if (sorter !== null) {
    if (sorter.view_.shape.join() !== b.join())
      throw new Error(
        `${where}boundary and sorter must have the same size, but got boundary tensor ${shapeList(b)}and got sorter tensor ${shapeList(sorter.view_.shape)}`,
      );
    if (sorter.dtype !== int64)
      throw new Error(`${where}sorter must be a tensor of long dtype but got dtype ${scalarTypeName(sorter.dtype)}`);
  }
  const common = promoteTypes(boundaries.dtype, values.dtype);
  if (common.is_complex) throw new Error(`"searchsorted_out_cpu" not implemented for '${scalarTypeName(common)}'`);
  const call: SearchCall = {
    common,
    right: right || side === 'right',
    result: options.int32 ? int32 : int64,
  };
  return record(searchOperator as never, [boundaries, values, ...(sorter === null ? [] : [sorter])], {
    constants: constantsOf(`searchsorted:${call.common.name}:${call.right}:${call.result.name}`, () => call),
  })[0];
}

function bucketize(values: Tensor, boundaries: Tensor, int32: boolean, right: boolean): Tensor {
  if (boundaries.ndim !== 1) throw new Error(`boundaries tensor must be 1 dimension, but got dim(${boundaries.ndim})`);
  return search(boundaries, values, { int32, right, side: null, sorter: null });
}

const isinOperator: Operator<{ common: DType; invert: boolean }> = {
  name: 'isin',
  body: ([elements, tests], { constants: { common, invert } }) =>
    callLibrary(isinFunction, [orderable(elements.cast(common)), orderable(tests.cast(common))], [{ shape: elements.shape, dtype: bool }], {
      invert,
    }),
};

function isin(elements: Tensor, tests: Tensor, invert: boolean): Tensor {
  for (const { dtype } of [elements, tests])
    if (dtype.is_complex || dtype === bool) throw new Error(`Unsupported input type encountered for isin(): ${scalarTypeName(dtype)}`);
  const common = resultType([elements, tests]);
  return record(isinOperator as never, [elements, tests], {
    constants: constantsOf(`isin:${common.name}:${invert}`, () => ({ common, invert })),
  })[0];
}

export const searches = {
  searchsorted: declare(
    {
      doc: 'Where values would be inserted into sorted rows. https://docs.pytorch.org/docs/stable/generated/torch.searchsorted.html',
      as: 'function',
    },
    overload(
      'searchsorted.Tensor(Tensor sorted_sequence, Tensor input, *, bool out_int32=False, bool right=False, str? side=None, Tensor? sorter=None) -> Tensor',
      (boundaries, values, out32, right, side, sorter) => search(boundaries, values, { int32: out32, right, side, sorter }),
    ),
    overload(
      'searchsorted.Scalar(Tensor sorted_sequence, Scalar input, *, bool out_int32=False, bool right=False, str? side=None, Tensor? sorter=None) -> Tensor',
      (boundaries, value, out32, right, side, sorter) =>
        search(boundaries, asTensor(value, boundaries), { int32: out32, right, side, sorter }),
    ),
  ),
  bucketize: declare(
    {
      doc: 'Which of the intervals between boundaries each value is in. https://docs.pytorch.org/docs/stable/generated/torch.bucketize.html',
      as: 'function',
    },
    overload(
      'bucketize.Tensor(Tensor input, Tensor boundaries, *, bool out_int32=False, bool right=False) -> Tensor',
      (values, boundaries, out32, right) => bucketize(values, boundaries, out32, right),
    ),
    overload(
      'bucketize.Scalar(Scalar input, Tensor boundaries, *, bool out_int32=False, bool right=False) -> Tensor',
      (value, boundaries, out32, right) => bucketize(asTensor(value, boundaries), boundaries, out32, right),
    ),
  ),
  isin: declare(
    { doc: 'Which elements are among others. https://docs.pytorch.org/docs/stable/generated/torch.isin.html', as: 'function' },
    overload(
      'isin.Tensor_Tensor(Tensor elements, Tensor test_elements, *, bool assume_unique=False, bool invert=False) -> Tensor',
      (elements, tests, _unique, invert) => isin(elements, tests, invert),
    ),
    overload(
      'isin.Tensor_Scalar(Tensor elements, Scalar test_element, *, bool assume_unique=False, bool invert=False) -> Tensor',
      (elements, test, _unique, invert) => isin(elements, asTensor(test, elements), invert),
    ),
    overload(
      'isin.Scalar_Tensor(Scalar element, Tensor test_elements, *, bool assume_unique=False, bool invert=False) -> Tensor',
      (element, tests, _unique, invert) => isin(asTensor(element, tests), tests, invert),
    ),
  ),
};

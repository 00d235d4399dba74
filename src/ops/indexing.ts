/** Look-ups by index tensors: https://docs.pytorch.org/docs/stable/torch.html#indexing-slicing-joining-mutating-ops */
import { int64 } from '../dtype/dtype.ts';
import type { Operator } from '../graph/operator.ts';
import { iota } from '../graph/prim.ts';
import { constantsOf, record } from '../tensor/record.ts';
import { declare, overload } from './declare.ts';
import { wrapDim } from './dims.ts';

const indexSelectOperator: Operator<{ axis: number }> = {
  name: 'index_select',
  body: ([x, index], { constants: { axis } }) => {
    const shape = x.shape.map((d, i) => (i === axis ? index.shape[0] : d));
    const along = index
      .cast(int64)
      .reshape(shape.map((d, i) => (i === axis ? d : 1)))
      .expand(shape);
    return [x.lookup(shape.map((_, i) => (i === axis ? along : iota(shape, i))))];
  },
};

export const indexing = {
  index_select: declare(
    {
      doc: 'The slices of `dim` that `index` (int64 or int32, one-dimensional) names. https://docs.pytorch.org/docs/stable/generated/torch.index_select.html',
    },
    overload('index_select(Tensor self, int dim, Tensor index) -> Tensor', (x, dim, index) => {
      if (index.ndim > 1) throw new Error('index_select(): Index is supposed to be a vector');
      if (index.dtype.name !== 'int64' && index.dtype.name !== 'int32')
        throw new Error('index_select(): Expected dtype int32 or int64 for index');
      const axis = wrapDim(dim, x.ndim);
      return record(indexSelectOperator as never, [x, index], { constants: constantsOf(`index_select:${axis}`, () => ({ axis })) })[0];
    }),
  ),
};

/** Embeddings and linear maps: https://docs.pytorch.org/docs/stable/nn.functional.html#sparse-functions */
import { int64 } from '../dtype/dtype.ts';
import type { Operator } from '../graph/operator.ts';
import { full, iota, type Prim } from '../graph/prim.ts';
import type { Dim } from '../shape/dim.ts';
import * as dimsOf from '../shape/dim.ts';
import { constantsOf, record } from '../tensor/record.ts';
import { declare, overload } from './declare.ts';
import { indexOutside } from './host-index.ts';
import { linearOf } from './matmul.ts';

const embeddingOperator: Operator<{ padding: number | null }> = {
  name: 'embedding',
  body: ([weight, indices]) => [lookupRows(weight, indices)],
  gradient: ([g], [weight, indices], _, { constants: { padding } }) => {
    if (g === null) return [null, null];
    const rows = dimsOf.productOf(indices.shape);
    const flat = g.reshape([rows, weight.shape[1]]);
    const at = indices.cast(int64).reshape([rows]);
    const value = padding === null ? flat : at.ne(padding).unsqueeze(1).where(flat, 0);
    const coords = [at.unsqueeze(1).expand([rows, weight.shape[1]]), iota([rows, weight.shape[1]], 1)];
    return [full(weight.shape, 0, g.dtype).scatter(value, coords, 'add'), null];
  },
};
/** weight[indices]: one row for each index. */
function lookupRows(weight: Prim, indices: Prim): Prim {
  const out: Dim[] = [...indices.shape, weight.shape[1]];
  const n = out.length;
  const row = indices
    .cast(int64)
    .unsqueeze(n - 1)
    .expand(out);
  return weight.lookup([row, iota(out, n - 1)]);
}

export const embeddings = {
  linear: declare(
    { doc: 'x W^T + b. https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.linear.html', as: 'function' },
    overload('linear(Tensor input, Tensor weight, Tensor? bias=None) -> Tensor', (x, weight, bias) => linearOf(x, weight, bias)),
  ),
  embedding: declare(
    { doc: 'Rows of a table. https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.embedding.html', as: 'function' },
    overload('embedding(Tensor input, Tensor weight, int? padding_idx=None) -> Tensor', (input, weight, padding) => {
      if (weight.ndim !== 2) throw new Error("'weight' must be 2-D");
      if (input.dtype.name !== 'int64' && input.dtype.name !== 'int32')
        throw new Error(
          `Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, Int; but got torch.${input.dtype.name === 'float32' ? 'FloatTensor' : input.dtype.name} instead (while checking arguments for embedding)\nhint: indices are integers: make them with { dtype: torch.int64 } or bigint literals`,
        );
      const rows = weight.view_.shape[0];
      if (indexOutside(input, 0, rows) !== null) throw new RangeError('index out of range in self');
      const pad = padding === null ? null : padding < 0 ? padding + rows : padding;
      return record(embeddingOperator as never, [weight, input], {
        constants: constantsOf(`embedding:${pad}`, () => ({ padding: pad })),
      })[0];
    }),
  ),
};

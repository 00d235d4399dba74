/** Masks: `masked_fill`, `masked_select`, `masked_scatter`. https://docs.pytorch.org/docs/stable/torch.html#indexing-slicing-joining-mutating-ops */
import { truthy, viewBytes } from '../dtype/codec.ts';
import { int64 } from '../dtype/dtype.ts';
import { scalarTypeName } from '../dtype/promotion.ts';
import type { LibraryFunction } from '../graph/library.ts';
import type { Operator } from '../graph/operator.ts';
import { callLibrary } from '../graph/prim.ts';
import * as dimsOf from '../shape/dim.ts';
import { constantsOf, record } from '../tensor/record.ts';
import { Tensor } from '../tensor/tensor.ts';
import { fromBytes, fullOf } from './creation.ts';
import { declare, declareInplace, overload } from './declare.ts';
import { checkBroadcast } from './elementwise.ts';
import { takeOf } from './indexing-gather.ts';
import { flatPositions } from './nonzero.ts';
import type { ScalarArgument } from './scalar-argument.ts';
import { broadcastAll } from './shape.ts';
import { cppTypeName } from './shape-base.ts';
import { use } from './use.ts';

const maskedFillOperator: Operator<null> = {
  name: 'masked_fill',
  layout: 'elementwise',
  body: ([x, mask, value]) => [mask.where(value.cast(x.dtype), x)],
};

function maskedFillOf(x: Tensor, mask: Tensor, value: Tensor | ScalarArgument): Tensor {
  if (mask.dtype.kind !== 'bool')
    throw new Error(`masked_fill_ only supports boolean masks, but got mask with dtype ${cppTypeName(mask.dtype)}`);
  const fill = value instanceof Tensor ? value : fullOf([], value, x.dtype, x.device);
  if (fill.ndim > 0)
    throw new Error(`masked_fill_ only supports a 0-dimensional value tensor, but got tensor with ${fill.ndim} dimension(s).`);
  checkBroadcast([mask, x]);
  return record(maskedFillOperator as never, [x, mask, fill])[0];
}
function maskedSelectOf(x: Tensor, mask: Tensor): Tensor {
  if (mask.dtype.kind !== 'bool') throw new Error('masked_select: expected BoolTensor for mask');
  checkBroadcast([mask, x]);
  const [wide, where] = broadcastAll([x, mask]);
  const positions = BigInt64Array.from(flatPositions(where), BigInt);
  return takeOf(wide, fromBytes(viewBytes(positions), [positions.length], int64, x.device));
}

/** How many true elements come before each, in row-major order. */
const rankOfTrue: LibraryFunction<{ readonly available: number }> = {
  name: 'mask_rank',
  run: ([mask], [rank], { available }) => {
    let n = 0n;
    for (let i = 0; i < mask.data.length; i++) {
      rank.data[i] = n;
      if (truthy(mask.data[i])) n++;
    }
    if (n > BigInt(available))
      throw new Error('masked_scatter: expected number of elements of source to be at least the number of ones in mask');
  },
};
const maskedScatterOperator: Operator<{ available: number }> = {
  name: 'masked_scatter',
  body: ([x, mask, source], { constants }) => {
    const [rank] = callLibrary(rankOfTrue as never, [mask], [{ shape: mask.shape, dtype: int64 }], constants);
    const flat = source.reshape([dimsOf.productOf(source.shape)]);
    return [mask.where(flat.lookup([mask.where(rank, 0)]), x)];
  },
};

function maskedScatterOf(x: Tensor, mask: Tensor, source: Tensor): Tensor {
  if (x.dtype !== source.dtype)
    throw new Error(
      `masked_scatter: expected self and source to have same dtypes but got${scalarTypeName(x.dtype)} and ${scalarTypeName(source.dtype)}`,
    );
  if (mask.dtype.kind !== 'bool')
    throw new Error(`masked_scatter_ only supports boolean masks, but got mask with dtype ${scalarTypeName(mask.dtype)}`);
  checkBroadcast([mask, x]);
  const [wide, where] = broadcastAll([x, mask]);
  const available = source.view_.numel;
  if (available === 0 || wide.view_.numel === 0) return use('clone', wide);
  return record(maskedScatterOperator as never, [wide, where, source], {
    constants: constantsOf(`masked_scatter:${available}`, () => ({ available })),
  })[0];
}

const page = (name: string): string => `https://docs.pytorch.org/docs/stable/generated/torch.${name}.html`;

export const masking = {
  masked_fill: declareInplace(
    { doc: `\`value\` (a number or 0-d tensor) where the mask is true. ${page('Tensor.masked_fill_')}` },
    overload('masked_fill.Tensor(Tensor self, Tensor mask, Tensor value) -> Tensor', (x, mask, value) => maskedFillOf(x, mask, value)),
    overload('masked_fill.Scalar(Tensor self, Tensor mask, Scalar value) -> Tensor', (x, mask, value) => maskedFillOf(x, mask, value)),
  ),
  masked_select: declare(
    { doc: `The elements where the mask is true, in one dim. ${page('masked_select')}`, dynamic: true },
    overload('masked_select(Tensor self, Tensor mask) -> Tensor', (x, mask) => maskedSelectOf(x, mask)),
  ),
  masked_scatter: declareInplace(
    { doc: `Elements of \`source\`, in order, where the mask is true. ${page('Tensor.masked_scatter_')}` },
    overload('masked_scatter(Tensor self, Tensor mask, Tensor source) -> Tensor', (x, mask, source) => maskedScatterOf(x, mask, source)),
  ),
};

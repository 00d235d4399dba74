/** Positions of nonzero elements: how many there are depends on the data, so the tensor is read at the call. */
import { decode, type StorageArray, truthy, viewBytes } from '../dtype/codec.ts';
import { int64 } from '../dtype/dtype.ts';
import { toTypedArray } from '../tensor/read.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { detached } from '../tensor/view-tensor.ts';
import { fromBytes } from './creation.ts';
import { declare, overload } from './declare.ts';

/** Flat positions, ascending. */
export function flatPositions(x: Tensor): number[] {
  const data: StorageArray = toTypedArray(detached(x));
  const out: number[] = [];
  for (let i = 0; i < x.view_.numel; i++) if (truthy(decode(x.dtype, data, i))) out.push(i);
  return out;
}

/** One coordinate array a dim; of a 0-d tensor one array of zeros, as if it had one dim. */
export function coordinatesOfTrue(x: Tensor): BigInt64Array[] {
  const flat = flatPositions(x);
  const shape = x.ndim === 0 ? [1] : x.view_.shape;
  const out = shape.map(() => new BigInt64Array(flat.length));
  flat.forEach((position, i) => {
    let rest = position;
    for (let d = shape.length - 1; d >= 0; d--) {
      out[d][i] = BigInt(rest % shape[d]);
      rest = Math.floor(rest / shape[d]);
    }
  });
  return out;
}

/** [count, ndim], rows interleaved from the coordinates; `rows` of them, missing ones filled. */
function matrixOf(x: Tensor, rows: number | null, fill: number): Tensor {
  const columns = x.ndim === 0 ? [] : coordinatesOfTrue(x);
  const found = x.ndim === 0 ? flatPositions(x).length : columns[0].length;
  const n = rows ?? found;
  const out = new BigInt64Array(n * columns.length).fill(BigInt(fill));
  columns.forEach((column, d) => {
    for (let i = 0; i < Math.min(n, found); i++) out[i * columns.length + d] = column[i];
  });
  return fromBytes(viewBytes(out), [n, columns.length], int64, x.device);
}

const page = (name: string): string => `https://docs.pytorch.org/docs/stable/generated/torch.${name}.html`;

export const nonzeros = {
  nonzero: declare(
    {
      doc: `Indices of nonzero elements, one row each; with \`as_tuple\` one tensor a dim. ${page('nonzero')}`,
      dynamic: true,
    },
    overload('nonzero(Tensor self) -> Tensor', (x) => matrixOf(x, null, 0)),
    overload('nonzero.as_tuple(Tensor self, *, bool as_tuple) -> Tensor[]', (x, as_tuple) =>
      as_tuple
        ? coordinatesOfTrue(x).map((c) => fromBytes(viewBytes(c), [c.length], int64, x.device))
        : (matrixOf(x, null, 0) as unknown as Tensor[]),
    ),
  ),
  nonzero_static: declare(
    { doc: 'Indices of the first `size` nonzero elements; rows that are missing hold `fill_value`.' },
    overload('nonzero_static(Tensor self, *, SymInt size, int fill_value=-1) -> Tensor', (x, size, fill) => matrixOf(x, size, fill)),
  ),
  argwhere: declare(
    { doc: `Indices of nonzero elements, one row each. ${page('argwhere')}`, dynamic: true },
    overload('argwhere(Tensor self) -> Tensor', (x) => matrixOf(x, null, 0)),
  ),
};

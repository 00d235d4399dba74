/** Least squares: https://docs.pytorch.org/docs/stable/generated/torch.linalg.lstsq.html */
import { int64 } from '../dtype/dtype.ts';
import { scalarTypeName } from '../dtype/promotion.ts';
import type { Operator } from '../graph/operator.ts';
import { toTypedArray } from '../tensor/read.ts';
import { record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { detached } from '../tensor/view-tensor.ts';
import { fullOf } from './creation.ts';
import { declare, overload } from './declare.ts';
import { batchShape, commonBatch, last, lastButOne, requireKernel, sized } from './linalg-checks.ts';
import { defaultTolerance, leastSquaresPrim } from './linalg-eigen-functions.ts';
import { withCommonBatch } from './linalg-prims.ts';
import { narrowOf, reshapeTo } from './shape-base.ts';

interface LstsqConstants {
  readonly vector: boolean;
  readonly cutoff: number;
}
const leastSquaresOperator: Operator<LstsqConstants> = {
  name: 'linalg_lstsq',
  body: ([a, b], { constants: { vector, cutoff } }) => {
    const [x, y] = withCommonBatch(a, vector ? b.unsqueeze(b.ndim) : b);
    const [solution, rank, s] = leastSquaresPrim(x, y, cutoff);
    const difference = x.dot(solution).sub(y);
    const squares = difference.real.mul(difference.real);
    const both = difference.dtype.is_complex ? squares.add(difference.imag.mul(difference.imag)) : squares;
    return [vector ? solution.squeeze(solution.ndim - 1) : solution, both.sum([both.ndim - 2]), rank.cast(int64), s];
  },
};
const drivers = ['gels', 'gelsy', 'gelsd', 'gelss'];
function lstsqOf(a: Tensor, b: Tensor, rcond: number | null, driver: string | null): [Tensor, Tensor, Tensor, Tensor] {
  const name = 'torch.linalg.lstsq';
  if (a.ndim < 2) throw new Error(`${name}: input must have at least 2 dimensions.`);
  if (b.ndim < 1) throw new Error(`${name}: other must have at least 1 dimension.`);
  if (a.dtype !== b.dtype)
    throw new Error(
      `${name}: Expected input and other to have the same dtype, but got input's dtype ${scalarTypeName(a.dtype)} and other's dtype ${scalarTypeName(b.dtype)}`,
    );
  const difference = a.ndim - b.ndim;
  if (difference < 0 || difference > 1)
    throw new Error(`${name}: input.dim() must be greater or equal to other.dim() and (input.dim() - other.dim()) <= 1`);
  const vector = difference === 1;
  const rows = vector ? last(b) : lastButOne(b);
  if (lastButOne(a) !== rows) throw new Error(`${name}: input.size(-2) should match other.size(${vector ? -1 : -2})`);
  requireKernel(a, 'linalg_lstsq_cpu');
  if (driver !== null && !drivers.includes(driver))
    throw new Error(`${name}: parameter \`driver\` should be one of (gels, gelsy, gelsd, gelss)`);
  const method = driver ?? 'gelsy';
  commonBatch(batchShape(a), vector ? b.view_.shape.slice(0, -1) : batchShape(b));
  const [m, n] = [lastButOne(a), last(a)];
  // gels takes full rank for granted.
  const cutoff = method === 'gels' ? 0 : (rcond ?? defaultTolerance(a.dtype, m, n));
  const [solution, residuals, rank, s] = record(leastSquaresOperator as never, [a, b], {
    constants: sized(`lstsq:${vector}:${cutoff}`, a, (): LstsqConstants => ({ vector, cutoff })),
  });
  const none = (like: Tensor): Tensor => fullOf([0], 0, like.dtype, like.device);
  // Empty, but with the gradient's graph, as PyTorch's is.
  const noResiduals = (): Tensor => narrowOf(reshapeTo(residuals, [residuals.view_.numel]), 0, 0, 0);
  const isFull =
    m > n && method !== 'gelsy' && (method === 'gels' || toTypedArray(detached(rank)).every((r: number | bigint) => Number(r) === n));
  return [
    solution,
    isFull ? residuals : noResiduals(),
    method === 'gels' ? none(rank) : rank,
    method === 'gelsd' || method === 'gelss' ? detached(s) : none(s),
  ];
}

const page = 'https://docs.pytorch.org/docs/stable/generated/torch.linalg.lstsq.html';

export const linalgLeastSquares = {
  lstsq: declare(
    {
      doc: `Least squares: solution, residuals, rank, singular values (which of them depends on the driver, residuals on the rank). ${page}`,
      dynamic: true,
    },
    overload(
      'linalg_lstsq(Tensor self, Tensor b, float? rcond=None, *, str? driver=None) -> (Tensor solution, Tensor residuals, Tensor rank, Tensor singular_values)',
      (a, b, rcond, driver) => lstsqOf(a, b, rcond, driver),
    ),
  ),
};

/** Least squares by singular values: the solution of smallest norm, and the rank at a relative cutoff. */
import { adjoint, type Matrix, multiply, scale } from './matrix.ts';
import { svd } from './svd.ts';

export function leastSquares(a: Matrix, b: Matrix, cutoff: number): { x: Matrix; rank: number; s: Float64Array } {
  const { u, s, vh } = svd(a, false);
  const y = multiply(adjoint(u), b);
  const least = s.length === 0 ? 0 : cutoff * s[0];
  let rank = 0;
  s.forEach((value, i) => {
    const kept = value > least;
    if (kept) rank++;
    scale(y, i * y.cols, y.cols, kept ? 1 / value : 0, 0);
  });
  return { x: multiply(adjoint(vh), y), rank, s };
}

/**
 * Linear systems and inverses; torch.linalg and the older names in torch.
 *
 * The forms without `_ex` read `info` at the call and throw for singular matrices.
 */
import { int32 } from '../dtype/dtype.ts';
import { scalarTypeName } from '../dtype/promotion.ts';
import type { Operator } from '../graph/operator.ts';
import type { Prim } from '../graph/prim.ts';
import { sumToShape } from '../graph/vjp.ts';
import { constantsOf, record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { declare, overload } from './declare.ts';
import { wrapDim } from './dims.ts';
import { requireInside } from './host-index.ts';
import {
  batchShape,
  commonBatch,
  last,
  lastButOne,
  requireCompatible,
  requireFloating,
  requireKernel,
  requireMatrix,
  requireSameDtype,
  requireSquare,
  requireSystem,
  throwFor,
} from './linalg-checks.ts';
import { permutationPrims } from './linalg-factor-functions.ts';
import { inversePrim, ldlSolvePrim, solvePrim, solveTriangularPrim, solveTriangularRight } from './linalg-functions.ts';
import { adjoint, batchOf, eye, rowsOf, takeRows, withCommonBatch } from './linalg-prims.ts';
import { permuteOf, reshapeTo } from './shape-base.ts';

// ---- inverse

const inverseOperator: Operator<null> = { name: 'linalg_inv_ex', body: ([a]) => inversePrim(a) };
function inverseEx(a: Tensor): [Tensor, Tensor] {
  requireSquare(a, 'linalg.inv');
  requireFloating(a, 'linalg.inv');
  return record(inverseOperator as never, [a]) as [Tensor, Tensor];
}
export function inverseOf(a: Tensor): Tensor {
  const [inverse, info] = inverseEx(a);
  throwFor(info, 'linalg.inv');
  return inverse;
}
export { inverseEx };

// ---- general systems

interface SolveConstants {
  readonly left: boolean;
  readonly vector: boolean;
}
const solveOperator: Operator<SolveConstants> = {
  name: 'linalg_solve_ex',
  body: ([a, b], { constants: { left, vector } }) => {
    const [x, y] = withCommonBatch(a, vector ? b.unsqueeze(b.ndim) : b);
    if (vector) {
      const [out, info] = solvePrim(x, y);
      return [out.squeeze(out.ndim - 1), info];
    }
    const [out, info] = left ? solvePrim(x, y) : solvePrim(x.mT, y.mT);
    return [left ? out : out.mT, info];
  },
};
function solveEx(a: Tensor, b: Tensor, left: boolean): [Tensor, Tensor] {
  const name = 'linalg.solve';
  requireFloating(a, name);
  requireSameDtype(a, b, name);
  requireSquare(a, name);
  const vector = b.ndim === 1 || (a.ndim - 1 === b.ndim && b.view_.shape.join() === a.view_.shape.slice(0, -1).join());
  if (vector && !left)
    throw new Error(
      'linalg.solve: Vector broadcasting of the left hand side is not supported for left=False. In this case linalg.solve is equivalent to B / A.squeeze(-1)',
    );
  if (!vector) requireMatrix(b, name, 'B');
  const shape = vector ? [...b.view_.shape, 1] : b.view_.shape;
  requireCompatible(a, shape, left, name);
  commonBatch(batchShape(a), shape.slice(0, -2));
  return record(solveOperator as never, [a, b], {
    constants: constantsOf(`solve:${left}:${vector}`, (): SolveConstants => ({ left, vector })),
  }) as [Tensor, Tensor];
}
export function solveOf(a: Tensor, b: Tensor, left: boolean): Tensor {
  const [x, info] = solveEx(a, b, left);
  throwFor(info, 'torch.linalg.solve');
  return x;
}

// ---- triangular systems

interface TriangularConstants {
  readonly upper: boolean;
  readonly left: boolean;
  readonly unit: boolean;
}
const triangularOperator: Operator<TriangularConstants> = {
  name: 'linalg_solve_triangular',
  body: ([a, b], { constants: { upper, left, unit } }) => {
    const [x, y] = withCommonBatch(a, b);
    return [left ? solveTriangularPrim(x, y, upper, unit) : solveTriangularRight(x, y, upper, unit)];
  },
};
function solveTriangularOf(a: Tensor, b: Tensor, upper: boolean, left: boolean, unit: boolean): Tensor {
  requireSystem(a, b, left, 'linalg.solve_triangular');
  commonBatch(batchShape(a), batchShape(b));
  requireKernel(a, 'triangular_solve_cpu');
  return record(triangularOperator as never, [a, b], {
    constants: constantsOf(`tri:${upper}:${left}:${unit}`, (): TriangularConstants => ({ upper, left, unit })),
  })[0];
}

interface OldTriangularConstants {
  readonly upper: boolean;
  readonly transpose: boolean;
  readonly unit: boolean;
}
const oldTriangularOperator: Operator<OldTriangularConstants> = {
  name: 'triangular_solve',
  body: ([b, a], { constants: { upper, transpose, unit } }) => {
    const [x, y] = withCommonBatch(a, b);
    return [transpose ? solveTriangularPrim(x.mT, y, !upper, unit) : solveTriangularPrim(x, y, upper, unit), x];
  },
};
function requireOldSystem(a: Tensor, b: Tensor, name: string): void {
  if (lastButOne(a) !== lastButOne(b))
    throw new Error(
      `Incompatible matrix sizes for ${name}: each A matrix is ${lastButOne(a)} by ${last(a)} but each b matrix is ${lastButOne(b)} by ${last(b)}`,
    );
  requireSquare(a, name);
  if (a.dtype !== b.dtype)
    throw new Error(
      `Expected b and A to have the same dtype, but found b of type ${scalarTypeName(b.dtype)} and A of type ${scalarTypeName(a.dtype)} instead.`,
    );
  commonBatch(batchShape(a), batchShape(b));
}
function triangularSolve(b: Tensor, a: Tensor, upper: boolean, transpose: boolean, unit: boolean): [Tensor, Tensor] {
  if (b.ndim < 2)
    throw new Error(`torch.triangular_solve: Expected b to have at least 2 dimensions, but it has ${b.ndim} dimensions instead`);
  if (a.ndim < 2)
    throw new Error(`torch.triangular_solve: Expected A to have at least 2 dimensions, but it has ${a.ndim} dimensions instead`);
  requireOldSystem(a, b, 'triangular_solve');
  requireKernel(a, 'triangular_solve_cpu');
  return record(oldTriangularOperator as never, [b, a], {
    constants: constantsOf(`oldtri:${upper}:${transpose}:${unit}`, (): OldTriangularConstants => ({ upper, transpose, unit })),
  }) as [Tensor, Tensor];
}

// ---- from factors

interface UpperConstants {
  readonly upper: boolean;
}
const upperConstants = (upper: boolean): ReturnType<typeof constantsOf> => constantsOf(`upper:${upper}`, (): UpperConstants => ({ upper }));

const bySolving = (b: Prim, l: Prim, upper: boolean): Prim =>
  upper
    ? solveTriangularPrim(l, solveTriangularPrim(adjoint(l), b, false), true)
    : solveTriangularPrim(adjoint(l), solveTriangularPrim(l, b, false), true);

const choleskySolveOperator: Operator<UpperConstants> = {
  name: 'cholesky_solve',
  body: ([b, l], { constants: { upper } }) => {
    const [factor, rhs] = withCommonBatch(l, b);
    return [bySolving(rhs, factor, upper)];
  },
  // PyTorch's: the gradient of the factor is not cut to its triangle.
  gradient: ([g], [b, l], [x], { constants: { upper } }) => {
    if (g === null) return [null, null];
    const [factor] = withCommonBatch(l, b);
    const gb = bySolving(g, factor, upper);
    const outer = gb.dot(adjoint(x));
    const both = outer.add(adjoint(outer)).neg();
    return [sumToShape(gb, b.shape), sumToShape(upper ? factor.dot(both) : both.dot(factor), l.shape)];
  },
};
function choleskySolve(b: Tensor, l: Tensor, upper: boolean): Tensor {
  if (b.ndim < 2) throw new Error(`b should have at least 2 dimensions, but has ${b.ndim} dimensions instead`);
  if (l.ndim < 2) throw new Error(`u should have at least 2 dimensions, but has ${l.ndim} dimensions instead`);
  requireOldSystem(l, b, 'cholesky_solve');
  requireKernel(l, 'cholesky_solve_cpu');
  return record(choleskySolveOperator as never, [b, l], { constants: upperConstants(upper) })[0];
}

const choleskyInverseOperator: Operator<UpperConstants> = {
  name: 'cholesky_inverse',
  body: ([l], { constants: { upper } }) => [bySolving(eye(l.shape, l.dtype), l, upper)],
  gradient: ([g], [l], [inverse], { constants: { upper } }) => {
    if (g === null) return [null];
    const both = inverse
      .dot(g.add(adjoint(g)))
      .dot(inverse)
      .neg();
    return [upper ? l.dot(both) : both.dot(l)];
  },
};
function choleskyInverse(l: Tensor, upper: boolean): Tensor {
  requireSquare(l, 'cholesky_inverse');
  requireKernel(l, 'cholesky_inverse_out_cpu');
  return record(choleskyInverseOperator as never, [l], { constants: upperConstants(upper) })[0];
}

interface LuSolveConstants {
  readonly left: boolean;
  readonly adjoint: boolean;
}
/** X of A X = B with A = P L U, or of A^H X = B. */
function solveFactored(lu: Prim, pivots: Prim, b: Prim, adjointed: boolean): Prim {
  const [perm, where] = permutationPrims(pivots, rowsOf(lu));
  if (!adjointed) return solveTriangularPrim(lu, solveTriangularPrim(lu, takeRows(b, perm), false, true), true);
  const h = adjoint(lu);
  return takeRows(solveTriangularPrim(h, solveTriangularPrim(h, b, false), true, true), where);
}
const luSolveOperator: Operator<LuSolveConstants> = {
  name: 'linalg_lu_solve',
  body: ([lu, pivots, b], { constants }) => {
    const [x, y] = withCommonBatch(lu, b);
    const p = pivots.expand([...batchOf(x), rowsOf(x)]);
    // X A = B is A^H X^H = B^H.
    if (constants.left) return [solveFactored(x, p, y, constants.adjoint)];
    return [adjoint(solveFactored(x, p, adjoint(y), !constants.adjoint))];
  },
};
function luSolve(lu: Tensor, pivots: Tensor, b: Tensor, left: boolean, adjointed: boolean): Tensor {
  const name = 'linalg.lu_solve';
  requireFloating(lu, name);
  requireSameDtype(lu, b, name, 'LU', 'B');
  if (pivots.dtype !== int32) throw new Error(`${name}: pivots should be a Tensor of scalar type torch.int32`);
  requireSquare(lu, name, 'LU');
  requireMatrix(b, name, 'B');
  requireCompatible(lu, b.view_.shape, left, name);
  if (pivots.ndim === 0 || last(pivots) !== last(lu))
    throw new Error(`${name}: Number of pivots per batch should be same as the dimension of the matrix`);
  if (batchShape(lu).join() !== pivots.view_.shape.slice(0, -1).join())
    throw new Error(
      `${name}: Expected LU.shape[:-1] and pivots.shape to be the same, but got pivots with shape [${pivots.view_.shape.join(', ')}] instead`,
    );
  commonBatch(batchShape(lu), batchShape(b));
  requireInside(
    pivots,
    1,
    lastButOne(lu) + 1,
    () => new Error('Pivots given to lu_solve must all be smaller or equal to LU.size(-2). Did you properly pass the result of lu_factor?'),
  );
  return record(luSolveOperator as never, [lu, pivots, b], {
    constants: constantsOf(`lusolve:${left}:${adjointed}`, (): LuSolveConstants => ({ left, adjoint: adjointed })),
  })[0];
}

const ldlSolveOperator: Operator<{ readonly hermitian: boolean }> = {
  name: 'linalg_ldl_solve',
  body: ([ld, pivots, b], { constants: { hermitian } }) => {
    const [x, y] = withCommonBatch(ld, b);
    return [ldlSolvePrim(x, pivots.expand([...batchOf(x), rowsOf(x)]), y, hermitian)];
  },
};
function ldlSolve(ld: Tensor, pivots: Tensor, b: Tensor, hermitian: boolean): Tensor {
  const name = 'torch.linalg.ldl_solve';
  requireSquare(ld, name, 'LD');
  if (b.ndim < 2) throw new Error(`${name}: Expected B to have at least 2 dimensions, but it has ${b.ndim} dimensions instead`);
  if (pivots.dtype.kind !== 'int') throw new Error(`${name}: Expected pivots to be integers. Got ${scalarTypeName(pivots.dtype)}`);
  if (ld.view_.shape.slice(0, -1).join() !== pivots.view_.shape.join())
    throw new Error(
      `${name}: Expected LD.shape[:-1] and pivots.shape to be the same, but got pivots with shape [${pivots.view_.shape.join(', ')}] instead`,
    );
  requireSameDtype(ld, b, name, 'LD', 'B');
  requireCompatible(ld, b.view_.shape, true, name);
  commonBatch(batchShape(ld), batchShape(b));
  requireKernel(ld, 'ldl_solve_kernel_cpu');
  return record(ldlSolveOperator as never, [ld, pivots, b], {
    constants: constantsOf(`ldlsolve:${hermitian}`, () => ({ hermitian })),
  })[0];
}

// ---- tensors as matrices

const product = (sizes: readonly number[]): number => sizes.reduce((a, b) => a * b, 1);
function tensorInverse(a: Tensor, ind: number): Tensor {
  if (ind <= 0) throw new Error(`Expected a strictly positive integer for 'ind', but got ${ind}`);
  const { shape } = a.view_;
  const rows = product(shape.slice(0, ind));
  const columns = product(shape.slice(ind));
  if (rows !== columns)
    throw new Error(
      `Expected self to satisfy the requirement prod(self.shape[ind:]) == prod(self.shape[:ind]), but got ${columns} != ${rows}`,
    );
  return reshapeTo(inverseOf(reshapeTo(a, [rows, columns])), [...shape.slice(ind), ...shape.slice(0, ind)]);
}
function tensorSolve(a: Tensor, b: Tensor, dims: readonly number[] | null): Tensor {
  const moved = (dims ?? []).map((d) => wrapDim(d, a.ndim));
  const x = permuteOf(a, [...[...Array(a.ndim).keys()].filter((d) => !moved.includes(d)), ...moved]);
  const result = x.view_.shape.slice(b.ndim);
  const columns = product(result);
  if (columns !== b.view_.numel)
    throw new Error(
      `Expected self to satisfy the requirement prod(self.shape[other.ndim:]) == prod(self.shape[:other.ndim]), but got ${columns} != ${b.view_.numel}`,
    );
  return reshapeTo(solveOf(reshapeTo(x, [columns, columns]), reshapeTo(b, [columns]), true), result);
}

const page = (name: string): string => `https://docs.pytorch.org/docs/stable/generated/torch.${name}.html`;

export const linalgSolving = {
  inv: declare(
    { doc: `The inverse. ${page('linalg.inv')}` },
    overload('linalg_inv(Tensor A) -> Tensor', (a) => inverseOf(a)),
  ),
  inv_ex: declare(
    { doc: `The inverse, with info instead of an error. ${page('linalg.inv_ex')}` },
    overload('linalg_inv_ex(Tensor A, *, bool check_errors=False) -> (Tensor inverse, Tensor info)', (a, check) => {
      const out = inverseEx(a);
      if (check) throwFor(out[1], 'linalg.inv_ex');
      return out;
    }),
  ),
  solve: declare(
    { doc: `X of A X = B, or of X A = B. ${page('linalg.solve')}` },
    overload('linalg_solve(Tensor A, Tensor B, *, bool left=True) -> Tensor', (a, b, left) => solveOf(a, b, left)),
  ),
  solve_ex: declare(
    { doc: `The same with info instead of an error. ${page('linalg.solve_ex')}` },
    overload(
      'linalg_solve_ex(Tensor A, Tensor B, *, bool left=True, bool check_errors=False) -> (Tensor result, Tensor info)',
      (a, b, left, check) => {
        const out = solveEx(a, b, left);
        if (check) throwFor(out[1], 'torch.linalg.solve_ex');
        return out;
      },
    ),
  ),
  solve_triangular: declare(
    { doc: `X of A X = B (or X A = B) with a triangular A. ${page('linalg.solve_triangular')}` },
    overload(
      'linalg_solve_triangular(Tensor self, Tensor B, *, bool upper, bool left=True, bool unitriangular=False) -> Tensor',
      (a, b, upper, left, unit) => solveTriangularOf(a, b, upper, left, unit),
    ),
  ),
  lu_solve: declare(
    { doc: `X of A X = B from what lu_factor gave. ${page('linalg.lu_solve')}` },
    overload(
      'linalg_lu_solve(Tensor LU, Tensor pivots, Tensor B, *, bool left=True, bool adjoint=False) -> Tensor',
      (lu, pivots, b, left, adjointed) => luSolve(lu, pivots, b, left, adjointed),
    ),
  ),
  ldl_solve: declare(
    { doc: `X of A X = B from what ldl_factor gave. ${page('linalg.ldl_solve')}` },
    overload('linalg_ldl_solve(Tensor LD, Tensor pivots, Tensor B, *, bool hermitian=False) -> Tensor', (ld, pivots, b, hermitian) =>
      ldlSolve(ld, pivots, b, hermitian),
    ),
  ),
  tensorinv: declare(
    { doc: `The inverse for tensordot. ${page('linalg.tensorinv')}` },
    overload('linalg_tensorinv(Tensor self, int ind=2) -> Tensor', (a, ind) => tensorInverse(a, ind)),
  ),
  tensorsolve: declare(
    { doc: `X of tensordot(A, X) = B. ${page('linalg.tensorsolve')}` },
    overload('linalg_tensorsolve(Tensor self, Tensor other, int[]? dims=None) -> Tensor', (a, b, dims) => tensorSolve(a, b, dims)),
  ),
};

/** The older names. */
export const torchSolving = {
  inverse: declare(
    { doc: `The inverse. ${page('inverse')}` },
    overload('inverse(Tensor self) -> Tensor', (a) => inverseOf(a)),
  ),
  triangular_solve: declare(
    { doc: `X of A X = B with a triangular A, and A. ${page('triangular_solve')}` },
    overload(
      'triangular_solve(Tensor self, Tensor A, bool upper=True, bool transpose=False, bool unitriangular=False) -> (Tensor solution, Tensor cloned_coefficient)',
      (b, a, upper, transpose, unit) => triangularSolve(b, a, upper, transpose, unit),
    ),
  ),
  cholesky_solve: declare(
    { doc: `X of L L^H X = B. ${page('cholesky_solve')}` },
    overload('cholesky_solve(Tensor self, Tensor input2, bool upper=False) -> Tensor', (b, l, upper) => choleskySolve(b, l, upper)),
  ),
  cholesky_inverse: declare(
    { doc: `The inverse of L L^H. ${page('cholesky_inverse')}` },
    overload('cholesky_inverse(Tensor self, bool upper=False) -> Tensor', (l, upper) => choleskyInverse(l, upper)),
  ),
  lu_solve: declare(
    { doc: `X of A X = B from what lu gave. ${page('lu_solve')}` },
    overload('lu_solve(Tensor self, Tensor LU_data, Tensor LU_pivots) -> Tensor', (b, lu, pivots) => luSolve(lu, pivots, b, true, false)),
  ),
};

/** Gradients and second gradients of torch.linalg against central differences, real and complex, single matrices and batches. */
import { describe, expect, test } from 'vitest';
import torch from '../index.ts';
import type { Tensor } from './methods.ts';
import { use } from './use.ts';

type Call = (...x: Tensor[]) => Tensor | Tensor[];
const L = torch.linalg;
const eye = (n: number, like: Tensor): Tensor => use<Tensor>('eye', n, { dtype: like.dtype });
/** A Hermitian, positive definite matrix of any. */
const positive = (a: Tensor): Tensor => torch.add(torch.matmul(a, a.mH), eye(a.shape[a.ndim - 2], a));

interface Case {
  readonly name: string;
  readonly shapes: readonly (readonly number[])[];
  readonly call: Call;
  readonly complex?: boolean;
  /** The second gradient is checked too. */
  readonly second?: boolean;
}
const both = (name: string, shapes: readonly (readonly number[])[], call: Call, second = true): Case[] => [
  { name, shapes, call, second },
  { name: `${name} of complex matrices`, shapes, call, complex: true, second },
];
const square = [[3, 3]];
const cases: Case[] = [
  ...both('inv', [[2, 3, 3]], (a) => L.inv(a)),
  ...both(
    'solve',
    [
      [2, 3, 3],
      [3, 2],
    ],
    (a, b) => L.solve(a, b),
  ),
  ...both(
    'solve from the right',
    [
      [3, 3],
      [2, 3],
    ],
    (a, b) => L.solve(a, b, { left: false }),
  ),
  ...both(
    'solve_triangular',
    [
      [3, 3],
      [3, 2],
    ],
    (a, b) => L.solve_triangular(a.add(eye(3, a).mul(2)), b, { upper: true }),
  ),
  ...both('cholesky', square, (a) => L.cholesky(positive(a))),
  ...both('cholesky, upper', square, (a) => L.cholesky(positive(a), { upper: true })),
  ...both('det', [[2, 3, 3]], (a) => L.det(a)),
  ...both('slogdet', square, (a) => L.slogdet(a)),
  ...both('logdet', square, (a) => torch.logdet(positive(a))),
  ...both('matrix_exp', square, (a) => torch.matrix_exp(a.mul(0.5))),
  ...both('lu of square matrices', square, (a) => L.lu(a).slice(1)),
  ...both('lu of wide matrices', [[2, 4]], (a) => L.lu(a).slice(1)),
  ...both('lu of tall matrices', [[4, 2]], (a) => L.lu(a).slice(1)),
  ...both(
    'lu_solve',
    [
      [3, 3],
      [3, 2],
    ],
    (a, b) => {
      const [lu, pivots] = L.lu_factor(a);
      return L.lu_solve(lu, pivots, b, { adjoint: true });
    },
  ),
  ...both('qr of square matrices', square, (a) => L.qr(a)),
  ...both('qr of wide matrices', [[2, 4]], (a) => L.qr(a)),
  ...both('qr of wide matrices, R alone', [[2, 4]], (a) => L.qr(a)[1]),
  ...both('qr of wide matrices, Q alone', [[2, 4]], (a) => L.qr(a)[0]),
  ...both('qr of tall matrices', [[4, 2]], (a) => L.qr(a)),
  ...both('householder_product', [[4, 3], [3]], (a, tau) => L.householder_product(a, tau)),
  ...both('ormqr', [[3, 2], [2], [3, 2]], (a, tau, c) => torch.ormqr(a, tau, c, { transpose: true })),
  ...both('pinv of tall matrices', [[4, 2]], (a) => L.pinv(a)),
  ...both('pinv of wide matrices', [[2, 4]], (a) => L.pinv(a)),
  ...both('svdvals', [[2, 3]], (a) => L.svdvals(a)),
  ...both('a product that svd gives back', [[3, 2]], (a) => {
    const [u, s, vh] = L.svd(a, { full_matrices: false });
    return torch.matmul(u.mul(s), vh.mul(2));
  }),
  ...both('eigvalsh', square, (a) => L.eigvalsh(positive(a))),
  ...both('projectors from eigh', square, (a) => {
    const v = L.eigh(positive(a))[1].narrow(1, 0, 1);
    return torch.matmul(v, v.mH);
  }),
  ...both('eigvals', square, (a) => L.eigvals(a)),
  ...both(
    'lstsq',
    [
      [4, 2],
      [4, 3],
    ],
    (a, b) => L.lstsq(a, b, { driver: 'gels' }).slice(0, 2),
  ),
  ...both('matrix_norm 2', [[2, 3]], (a) => L.matrix_norm(a, 2)),
  ...both('cond 1', square, (a) => L.cond(a, 1), false),
  ...both('cholesky_inverse', square, (a) => torch.cholesky_inverse(L.cholesky(positive(a)))),
  ...both(
    'cholesky_solve',
    [
      [3, 2],
      [3, 3],
    ],
    (b, a) => torch.cholesky_solve(b, L.cholesky(positive(a))),
  ),
  ...both(
    'einsum with a diagonal and an ellipsis',
    [
      [2, 3, 3],
      [3, 2],
    ],
    (a, b) => torch.einsum('...ii,ij->...j', a, b),
  ),
  ...both(
    'cross',
    [
      [2, 3],
      [2, 3],
    ],
    (a, b) => L.cross(a, b),
  ),
];

describe('gradients agree with central differences', () => {
  test.each(cases)('$name', ({ shapes, call, complex, second }) => {
    torch.manual_seed(7);
    const inputs = shapes.map((shape) =>
      torch.randn([...shape], { dtype: complex ? torch.complex128 : torch.float64, requires_grad: true }),
    ) as Tensor[];
    expect(torch.autograd.gradcheck(call as never, inputs)).toBe(true);
    if (second) expect(torch.autograd.gradgradcheck(call as never, inputs)).toBe(true);
  });
});

test('the gradient of a determinant exists where the matrix is singular', () => {
  const a = torch.tensor(
    [
      [1, 2],
      [2, 4],
    ],
    { dtype: torch.float64, requires_grad: true },
  );
  L.det(a).backward();
  expect((a.grad as Tensor).flatten().tolist()).toEqual([4, -2, -2, 1].map((x) => expect.closeTo(x, 12)));
});

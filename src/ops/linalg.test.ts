/** torch.linalg and its relatives in torch: numbers recorded from PyTorch, errors in the data at the call, odd shapes. */
import { afterEach, describe, expect, test } from 'vitest';
import torch from '../index.ts';
import type { Tensor } from './methods.ts';

const L = torch.linalg;
afterEach(() => torch.set_default_device('cpu'));
const list = (t: unknown): unknown => (t as Tensor).tolist();

describe.each(['cpu', 'wasm'])('on %s', (device) => {
  test('solves, inverts and factors strided operands', () => {
    torch.set_default_device(device);
    const a = torch
      .tensor([
        [4, 1],
        [2, 3],
      ])
      .t();
    expect(list(L.solve(a, torch.tensor([6, 4])))).toEqual([1, 1].map((x) => expect.closeTo(x, 5)));
    expect(list(torch.matmul(L.inv(a), a).sub(torch.eye(2)).abs().max().lt(1e-6))).toBe(true);
    const { P, L: l, U } = L.lu(a);
    expect(list(torch.matmul(torch.matmul(P, l), U).sub(a).abs().max().lt(1e-6))).toBe(true);
    expect(
      list(
        L.eigvalsh(
          torch.tensor([
            [2, 1],
            [1, 2],
          ]),
        ),
      ),
    ).toEqual([1, 3].map((x) => expect.closeTo(x, 5)));
  });
});

test('singular and indefinite matrices are errors at the call, and info of the _ex forms', () => {
  const singular = torch.tensor([
    [1, 2],
    [2, 4],
  ]);
  expect(() => L.inv(singular)).toThrow(
    'linalg.inv: The diagonal element 2 is zero, the inversion could not be completed because the input matrix is singular.',
  );
  expect(() => L.solve(torch.stack([torch.eye(2), singular]), torch.ones(2, 2))).toThrow(
    'torch.linalg.solve: (Batch element 1): The solver failed because the input matrix is singular.',
  );
  const indefinite = torch.tensor([
    [1, 2],
    [2, 1],
  ]);
  const text =
    'The factorization could not be completed because the input is not positive-definite (the leading minor of order 2 is not positive-definite).';
  expect(() => L.cholesky(indefinite)).toThrow(`linalg.cholesky: ${text}`);
  expect(() => torch.cholesky(indefinite.unsqueeze(0))).toThrow(`cholesky: (Batch element 0): ${text}`);
  expect(list(L.cholesky_ex(indefinite).info)).toBe(2);
  expect(list(L.inv_ex(singular).info)).toBe(2);
  expect(() => L.lu_factor(singular)).toThrow('torch.linalg.lu_factor: U[2,2] is zero and using it on lu_solve');
  expect(() => L.inv(torch.ones(2, 3))).toThrow('linalg.inv: A must be batches of square matrices, but they are 2 by 3 matrices');
  expect(() => L.svd(torch.ones(2, 2, { dtype: torch.int64 }))).toThrow(
    'linalg.svd: Expected a floating point or complex tensor as input. Got Long',
  );
});

test('an eigenvector has no gradient that depends on its phase', () => {
  const a = torch
    .tensor(
      [
        [2, 1, 0],
        [1, 3, 1],
        [0, 1, 5],
      ],
      { dtype: torch.complex64 },
    )
    .requires_grad_();
  const v = L.eigh(a).eigenvectors;
  v.imag.sum().backward();
  expect(() => list((a.grad as Tensor).real)).toThrow('linalg_eigh_backward: The eigenvectors in the complex case are specified up to');
});

test('the gradient of QR with R alone, and of a tall complete QR, is an error when it is computed', () => {
  const a = torch.randn(4, 2).requires_grad_();
  L.qr(a, { mode: 'r' }).R.sum().backward();
  expect(() => list(a.grad)).toThrow("The derivative of linalg.qr depends on Q, which is not computed when mode='r'.");
});

test('sums with products leave self alone where beta is 0, write in place and refuse what does not fit', () => {
  const nan = torch.full([2, 2], Number.NaN);
  const [a, b] = [torch.ones(2, 3), torch.ones(3, 2)];
  expect(list(torch.addmm(nan, a, b, { beta: 0, alpha: 2 }))).toEqual([
    [6, 6],
    [6, 6],
  ]);
  const self = torch.ones(2, 2);
  expect(self.addmm_(a, b, { beta: 0.5 })).toBe(self);
  expect(list(self)).toEqual([
    [3.5, 3.5],
    [3.5, 3.5],
  ]);
  expect(list(torch.baddbmm(torch.ones(1), a.unsqueeze(0), b.unsqueeze(0)))).toEqual([
    [
      [4, 4],
      [4, 4],
    ],
  ]);
  expect(() => torch.addmm(torch.ones(3, 3), a, b)).toThrow(
    'The expanded size of the tensor (2) must match the existing size (3) at non-singleton dimension 1.  Target sizes: [2, 2].  Tensor sizes: [3, 3]',
  );
});

describe('einsum', () => {
  const x = torch.arange(6).reshape([2, 3]).float();
  test('traces, transposes, outer products and batches', () => {
    const m = torch.arange(9).reshape([3, 3]).float();
    expect(list(torch.einsum('ii', m))).toBe(12);
    expect(list(torch.einsum('ii->i', m))).toEqual([0, 4, 8]);
    expect(list(torch.einsum('ij->ji', x))).toEqual(list(x.t()));
    expect(list(torch.einsum('ba', x))).toEqual(list(x.t()));
    expect(list(torch.einsum('ij,jk', x, m))).toEqual(list(x.matmul(m)));
    expect(list(torch.einsum('bij,bjk->bik', x.unsqueeze(0), m.unsqueeze(0)))).toEqual([list(x.matmul(m))]);
    expect(list(torch.einsum('ij,ij->i', x, x))).toEqual([5, 50]);
    expect(list(torch.einsum('i,j,k->kji', x.at(0), x.at(1), torch.tensor([1, 2])).sum())).toBe(3 * 12 * 3);
    expect(list(torch.einsum('...j,j->...', x, torch.ones(3)))).toEqual([3, 12]);
    expect(list(torch.einsum(x, [0, 1], m, [1, 2], [2, 0]))).toEqual(list(x.matmul(m).t()));
    expect(list(torch.einsum(x, ['...', 1]))).toEqual(list(x));
  });
  test.each([
    ['ij,jk', 'einsum(): fewer operands were provided than specified in the equation'],
    [
      'ijk',
      'einsum(): the number of subscripts in the equation (3) does not match the number of dimensions (2) for operand 0 and no ellipsis was given',
    ],
    ['ii', "einsum(): subscript i is repeated for operand 0 but the sizes don't match, 3 != 2"],
    ['ij->iz', 'einsum(): output subscript z does not appear in the equation for any input operand'],
    ['i1', 'einsum(): invalid subscript given at index 1 in the equation string, subscripts must be in [a-zA-Z]'],
  ])('refuses %s', (equation, text) => {
    expect(() => torch.einsum(equation, x)).toThrow(text);
  });
});

test('tensordot by count and by lists, kron, cross, multi_dot and powers', () => {
  const [a, b] = [torch.arange(6).reshape([2, 3]).float(), torch.arange(12).reshape([3, 4]).float()];
  expect(list(torch.tensordot(a, b, { dims: 1 }))).toEqual(list(a.matmul(b)));
  expect(
    list(
      torch.tensordot(a, a, {
        dims: [
          [0, 1],
          [0, 1],
        ],
      }),
    ),
  ).toBe(55);
  expect(() => torch.tensordot(a, a, { dims: 3 })).toThrow('tensordot expects dims < ndim_a or ndim_b, but got dims=3');
  expect(list(torch.kron(torch.eye(2), torch.tensor([[1, 2]])))).toEqual([
    [1, 2, 0, 0],
    [0, 0, 1, 2],
  ]);
  expect(list(torch.cross(torch.tensor([1, 0, 0]), torch.tensor([0, 1, 0])))).toEqual([0, 0, 1]);
  expect(list(L.multi_dot([torch.ones(3), b, torch.ones(4)]))).toBe(66);
  const m = torch.tensor([
    [1, 1],
    [0, 1],
  ]);
  expect(list(L.matrix_power(m, 5))).toEqual([
    [1, 5],
    [0, 1],
  ]);
  expect(list(L.matrix_power(m.float(), -2))).toEqual([
    [1, -2],
    [0, 1],
  ]);
  expect(list(L.vander(torch.tensor([2, 3]), { N: 4 }))).toEqual([
    [1, 2, 4, 8],
    [1, 3, 9, 27],
  ]);
});

test('lobpcg gives the largest eigenpairs of A x = B x e', () => {
  torch.manual_seed(1);
  const m = torch.randn(7, 7, { dtype: torch.float64 });
  const a = m.add(m.t());
  const b = torch.matmul(m, m.t()).add(torch.eye(7, { dtype: torch.float64 }));
  const [e, x] = torch.lobpcg(a, { k: 2, B: b });
  expect(e.shape).toEqual([2]);
  expect(list(torch.matmul(a, x).sub(torch.matmul(b, x).mul(e)).abs().max().lt(1e-10))).toBe(true);
  expect(list(e.at(0).ge(e.at(1)))).toBe(true);
  expect(() => torch.lobpcg(torch.eye(4), 2)).toThrow('LPBPCG algorithm is not applicable when the number of A rows (=4)');
});

test('rank, condition and pseudo-inverse with tolerances', () => {
  const d = torch.diag(torch.tensor([4, 2, 1e-9]));
  expect(list(L.matrix_rank(d))).toBe(2);
  expect(list(L.matrix_rank(d, { atol: 3 }))).toBe(1);
  expect(list(L.matrix_rank(d, { rtol: torch.tensor(0.6) }))).toBe(1);
  expect(list(L.pinv(d, { rtol: 0.6 }))).toEqual([
    [0.25, 0, 0],
    [0, 0, 0],
    [0, 0, 0],
  ]);
  expect(list(L.cond(torch.diag(torch.tensor([4, 2]))))).toBe(2);
  expect(
    list(
      L.norm(
        torch
          .tensor([
            [3, 4],
            [0, 0],
          ])
          .float(),
        Infinity,
      ),
    ),
  ).toBe(7);
});

/** Determinants, powers, exponentials and products of matrices in torch.linalg, and the names that torch has for them too. */
import { bool } from '../dtype/dtype.ts';
import { computationDtype, scalarTypeName } from '../dtype/promotion.ts';
import type { Operator } from '../graph/operator.ts';
import type { Prim } from '../graph/prim.ts';
import { constantsOf, record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { lowered } from './autocast.ts';
import { fullOf } from './creation.ts';
import { declare, overload } from './declare.ts';
import { requireFloating, requireSquare, sized } from './linalg-checks.ts';
import { determinantPrim, exponentialPrim, logDeterminantPrim } from './linalg-functions.ts';
import { eye } from './linalg-prims.ts';
import { matmulOf } from './matmul.ts';
import { crossOf, multiDotOf, vecdotOf } from './products.ts';
import { cloneOf, diagonalOf, expandTo, unsqueezeOf } from './shape-base.ts';
import { use } from './use.ts';

const determinantOperator: Operator<null> = { name: 'linalg_det', body: ([a]) => [determinantPrim(a)] };
function determinantOf(a: Tensor): Tensor {
  requireSquare(a, 'linalg.det');
  requireFloating(a, 'linalg.det', 'lu_cpu');
  return record(determinantOperator as never, [a])[0];
}

const logDeterminantOperator: Operator<null> = { name: 'linalg_slogdet', body: ([a]) => logDeterminantPrim(a) };
function signAndLog(a: Tensor, name: string): [Tensor, Tensor] {
  requireSquare(a, name);
  requireFloating(a, name);
  return record(logDeterminantOperator as never, [a]) as [Tensor, Tensor];
}
/** NaN where the determinant is negative. */
function logOf(a: Tensor): Tensor {
  const [sign, log] = signAndLog(a, 'logdet');
  if (a.dtype.is_complex) return use('add', use('log', sign), log);
  return use('masked_fill', log, use('eq', sign, -1), Number.NaN);
}

const exponentialOperator: Operator<null> = {
  name: 'linalg_matrix_exp',
  body: ([a]) => [exponentialPrim(a.cast(computationDtype(a.dtype))).cast(a.dtype)],
};
function exponentialOf(a: Tensor): Tensor {
  requireSquare(a, 'linalg.matrix_exp');
  if (!a.dtype.is_floating_point && !a.dtype.is_complex) requireFloating(a, 'linalg.matrix_exp');
  return record(exponentialOperator as never, [a], { constants: sized('exp', a, () => null) })[0];
}

/** The identity; the gradient is zeros, as PyTorch has it. */
const zerothOperator: Operator<null> = {
  name: 'linalg_matrix_power',
  body: ([a]) => [eye(a.shape, a.dtype)],
  gradient: ([g]) => [g === null ? null : g.mul(0)],
};
/** Powers by repeated squaring, in one node. */
const powerOperator: Operator<{ readonly n: number }> = {
  name: 'linalg_matrix_power',
  body: ([a], { constants: { n } }) => {
    let square: Prim = a;
    let out: Prim | null = null;
    for (let bits = n; ; ) {
      if (bits % 2 === 1) out = out === null ? square : out.dot(square);
      bits = Math.floor(bits / 2);
      if (bits === 0) return [out!];
      square = square.dot(square);
    }
  },
};
function powerOf(a: Tensor, n: number): Tensor {
  requireSquare(a, 'linalg.matrix_power');
  if (n === 0) return record(zerothOperator as never, [a])[0];
  if (n === 1) return cloneOf(a);
  if (n === -1) return use('linalg.inv', a);
  const base = n < 0 ? use('linalg.inv', a) : a;
  if (a.dtype === bool) return matmulOf(a, a);
  return record(powerOperator as never, [lowered(base)], { constants: constantsOf(`power:${Math.abs(n)}`, () => ({ n: Math.abs(n) })) })[0];
}

function vanderOf(x: Tensor, n: number | null): Tensor {
  if (!x.dtype.is_floating_point && !x.dtype.is_complex && x.dtype.kind !== 'int' && x.dtype !== bool)
    throw new Error(`linalg.vander supports floating point, complex, and integer tensors, but got ${scalarTypeName(x.dtype)}`);
  if (x.dtype.is_floating_point && x.dtype.itemsize < 4)
    throw new Error(`linalg.vander supports floating point, complex, and integer tensors, but got ${scalarTypeName(x.dtype)}`);
  const v = x.ndim === 0 ? unsqueezeOf(x, 0) : x;
  const { shape } = v.view_;
  const count = n ?? shape[shape.length - 1];
  if (count <= 1) throw new Error('N must be greater than 1.');
  const powers = use('cumprod', expandTo(unsqueezeOf(v, v.ndim), [...shape, count - 1]), -1);
  return use('cat', [fullOf([...shape, 1], 1, powers.dtype, x.device), powers], -1);
}

const page = (name: string): string => `https://docs.pytorch.org/docs/stable/generated/torch.${name}.html`;

export const linalgMatrices = {
  det: declare(
    { doc: `The determinant. ${page('linalg.det')}` },
    overload('linalg_det(Tensor A) -> Tensor', (a) => determinantOf(a)),
  ),
  slogdet: declare(
    { doc: `Sign and logarithm of the modulus of the determinant. ${page('linalg.slogdet')}` },
    overload('linalg_slogdet(Tensor A) -> (Tensor sign, Tensor logabsdet)', (a) => signAndLog(a, 'linalg.slogdet')),
  ),
  matrix_exp: declare(
    { doc: `The matrix exponential. ${page('linalg.matrix_exp')}` },
    overload('linalg_matrix_exp(Tensor self) -> Tensor', (a) => exponentialOf(a)),
  ),
  matrix_power: declare(
    { doc: `A to an integer power. ${page('linalg.matrix_power')}` },
    overload('linalg_matrix_power(Tensor self, int n) -> Tensor', (a, n) => powerOf(a, n)),
  ),
  multi_dot: declare(
    { doc: `Product of matrices in the cheapest order. ${page('linalg.multi_dot')}` },
    overload('linalg_multi_dot(Tensor[] tensors) -> Tensor', (list) => multiDotOf(list)),
  ),
  matmul: declare(
    { doc: `The same as torch.matmul. ${page('linalg.matmul')}` },
    overload('linalg_matmul(Tensor self, Tensor other) -> Tensor', (a, b) => matmulOf(a, b)),
  ),
  cross: declare(
    { doc: `Cross product along a dim of size 3. ${page('linalg.cross')}` },
    overload('linalg_cross(Tensor self, Tensor other, *, int dim=-1) -> Tensor', (a, b, dim) => crossOf(a, b, dim)),
  ),
  vecdot: declare(
    { doc: `Inner products along a dim, the first operand conjugated. ${page('linalg.vecdot')}` },
    overload('linalg_vecdot(Tensor x, Tensor y, *, int dim=-1) -> Tensor', (x, y, dim) => vecdotOf(x, y, dim)),
  ),
  diagonal: declare(
    { doc: `A diagonal of matrices, a view. ${page('linalg.diagonal')}` },
    overload('linalg_diagonal(Tensor A, *, int offset=0, int dim1=-2, int dim2=-1) -> Tensor', (a, offset, dim1, dim2) =>
      diagonalOf(a, offset, dim1, dim2),
    ),
  ),
  vander: declare(
    { doc: `Powers 0, 1, 2, ... of each element. ${page('linalg.vander')}` },
    overload('linalg_vander(Tensor x, *, SymInt? N=None) -> Tensor', (x, n) => vanderOf(x, n)),
  ),
};

export const torchMatrices = {
  det: declare(
    { doc: `The determinant. ${page('det')}` },
    overload('det(Tensor self) -> Tensor', (a) => determinantOf(a)),
  ),
  logdet: declare(
    { doc: `Logarithm of the determinant, NaN where it is negative. ${page('logdet')}` },
    overload('logdet(Tensor self) -> Tensor', (a) => logOf(a)),
  ),
  slogdet: declare(
    { doc: `Sign and logarithm of the modulus of the determinant. ${page('slogdet')}` },
    overload('slogdet(Tensor self) -> (Tensor sign, Tensor logabsdet)', (a) => signAndLog(a, 'linalg.slogdet')),
  ),
  matrix_exp: declare(
    { doc: `The matrix exponential. ${page('matrix_exp')}` },
    overload('matrix_exp(Tensor self) -> Tensor', (a) => exponentialOf(a)),
  ),
  matrix_power: declare(
    { doc: `A to an integer power. ${page('matrix_power')}` },
    overload('matrix_power(Tensor self, int n) -> Tensor', (a, n) => powerOf(a, n)),
  ),
};

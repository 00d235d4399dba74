/**
 * Sums with products (`addmm` and its relatives): https://docs.pytorch.org/docs/stable/torch.html#blas-and-lapack-operations
 *
 * Both terms are computed in the computation type and rounded once. Factors 0 and 1 are constants of the call, others may change freely.
 */
import { bool, type DType } from '../dtype/dtype.ts';
import { computationDtype, scalarTypeName } from '../dtype/promotion.ts';
import type { Operator } from '../graph/operator.ts';
import { complexOf, type Prim } from '../graph/prim.ts';
import { constantsOf, record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { declareInplace, overload } from './declare.ts';
import { shapeList } from './dims.ts';
import { toParam } from './elementwise.ts';
import { checkSameDtype, matmulPrims } from './matmul.ts';
import { complexValue, isComplexScalar, scalarKind, scalarValue } from './scalar-argument.ts';
import type { Scalar } from './schema.ts';

type Kind = 'addmm' | 'addmv' | 'addr' | 'addbmm' | 'baddbmm';
/** A factor of the call: a constant 0 or 1, a number, or a complex number. */
type Factor = 0 | 1 | 'real' | 'complex';
interface SumConstants {
  readonly kind: Kind;
  readonly beta: Factor;
  readonly alpha: Factor;
  readonly wide: DType;
}
const factorOf = (x: Scalar): Factor =>
  isComplexScalar(x) && x.im !== 0 ? 'complex' : Number(scalarValue(x)) === 0 ? 0 : Number(scalarValue(x)) === 1 ? 1 : 'real';
const paramCount = (f: Factor): number => (f === 'real' ? 1 : f === 'complex' ? 2 : 0);

function productOf(kind: Kind, a: Prim, b: Prim): Prim {
  switch (kind) {
    case 'addr':
      return a.unsqueeze(1).mul(b);
    case 'addbmm':
      return a.dot(b).sum([0]);
    case 'addmm':
    case 'addmv':
    case 'baddbmm':
      return matmulPrims(a, b);
    default:
      return kind satisfies never;
  }
}

const sumOperators = Object.fromEntries(
  (['addmm', 'addmv', 'addr', 'addbmm', 'baddbmm'] as const).map((kind): [Kind, Operator<SumConstants>] => [
    kind,
    {
      name: kind,
      paramTypes: ({ beta, alpha, wide }) => Array.from({ length: paramCount(beta) + paramCount(alpha) }, () => wide.real),
      body: ([self, a, b], { constants: { beta, alpha, wide }, params }) => {
        if (wide === bool) {
          const both = alpha === 0 ? a.unsqueeze(1).and(b).and(false) : a.unsqueeze(1).and(b);
          return [beta === 0 ? both : both.or(self)];
        }
        const times = (p: Prim, f: Factor, at: number): Prim => {
          if (f === 1) return p;
          if (f === 0) return p.mul(0);
          return p.mul(f === 'real' ? params[at].cast(wide) : complexOf(params[at], params[at + 1]));
        };
        const product = times(productOf(kind, a.cast(wide), b.cast(wide)), alpha, paramCount(beta));
        // With beta = 0 nothing of self arrives, not even NaN.
        if (beta === 0) return [product.cast(self.dtype)];
        return [times(self.cast(wide).expand(product.shape), beta, 0).add(product).cast(self.dtype)];
      },
    },
  ]),
) as Record<Kind, Operator<SumConstants>>;

function checkExpandable(self: Tensor, target: readonly number[]): void {
  const { shape } = self.view_;
  const lead = target.length - shape.length;
  if (lead < 0)
    throw new Error(
      `The expanded size of the tensor (${target.join(', ')}) must match the existing size at a dimension that is not there. Target sizes: ${shapeList(target)}.  Tensor sizes: ${shapeList(shape)}`,
    );
  for (let i = shape.length - 1; i >= 0; i--)
    if (shape[i] !== 1 && shape[i] !== target[lead + i])
      throw new Error(
        `The expanded size of the tensor (${target[lead + i]}) must match the existing size (${shape[i]}) at non-singleton dimension ${lead + i}.  Target sizes: ${shapeList(target)}.  Tensor sizes: ${shapeList(shape)}`,
      );
}

function sumWithProduct(kind: Kind, self: Tensor, a: Tensor, b: Tensor, beta: Scalar, alpha: Scalar, target: readonly number[]): Tensor {
  checkSameDtype(a, b);
  if (self.dtype !== a.dtype)
    throw new Error(`self and mat2 must have the same dtype, but got ${scalarTypeName(self.dtype)} and ${scalarTypeName(a.dtype)}`);
  if (self.dtype === bool && kind !== 'addr') throw new Error(`"addmm_impl_cpu_" not implemented for 'Bool'`);
  checkExpandable(self, target);
  const wide = computationDtype(self.dtype);
  const params: (number | bigint)[] = [];
  const add = (x: Scalar): Factor => {
    const f = factorOf(x);
    if (f === 'complex' && !wide.is_complex) throw new Error('value cannot be converted to type float without overflow');
    if (f === 'complex') params.push(complexValue(x).re, complexValue(x).im);
    if (f === 'real') params.push(toParam(scalarValue(x), wide.real));
    return f;
  };
  const factors = { beta: add(beta), alpha: add(alpha) };
  return record(sumOperators[kind] as never, [self, a, b], {
    constants: constantsOf(`${kind}:${factors.beta}:${factors.alpha}:${wide.name}`, (): SumConstants => ({ kind, ...factors, wide })),
    params,
  })[0];
}

const dimsOf = (x: Tensor): string => x.view_.shape.join('x');

function addmmOf(self: Tensor, a: Tensor, b: Tensor, beta: Scalar, alpha: Scalar): Tensor {
  if (a.ndim !== 2) throw new Error(`mat1 must be a matrix, got ${a.ndim}-D tensor`);
  if (b.ndim !== 2) throw new Error(`mat2 must be a matrix, got ${b.ndim}-D tensor`);
  const [[m, k], [k2, n]] = [a.view_.shape, b.view_.shape];
  if (k !== k2) throw new Error(`mat1 and mat2 shapes cannot be multiplied (${dimsOf(a)} and ${dimsOf(b)})`);
  return sumWithProduct('addmm', self, a, b, beta, alpha, [m, n]);
}
function addmvOf(self: Tensor, a: Tensor, v: Tensor, beta: Scalar, alpha: Scalar): Tensor {
  if (a.ndim !== 2 || v.ndim !== 1 || self.ndim > 1)
    throw new Error(`vector + matrix @ vector expected, got ${self.ndim}, ${a.ndim}, ${v.ndim}`);
  const [m, k] = a.view_.shape;
  const own = self.ndim === 0 ? 1 : self.view_.shape[0];
  if (k !== v.view_.shape[0] || (own !== m && own !== 1))
    throw new Error(`size mismatch, got input (${own}), mat (${m}x${k}), vec (${v.view_.shape[0]})`);
  return sumWithProduct('addmv', self, a, v, beta, alpha, [m]);
}
function addrOf(self: Tensor, a: Tensor, b: Tensor, beta: Scalar, alpha: Scalar): Tensor {
  if (a.ndim !== 1) throw new Error(`addr: Expected 1-D argument vec1, but got ${a.ndim}-D`);
  if (b.ndim !== 1) throw new Error(`addr: Expected 1-D argument vec2, but got ${b.ndim}-D`);
  for (const [name, x] of [
    ['beta', beta],
    ['alpha', alpha],
  ] as const) {
    if (scalarKind(x) === 'bool' && self.dtype !== bool) throw new Error(`Boolean ${name} only supported for Boolean results.`);
    if (scalarKind(x) === 'float' && (self.dtype.kind === 'int' || self.dtype === bool))
      throw new Error(`For integral input tensors, argument ${name} must not be a floating point number.`);
  }
  return sumWithProduct('addr', self, a, b, beta, alpha, [a.view_.shape[0], b.view_.shape[0]]);
}
function checkBatches(a: Tensor, b: Tensor): void {
  if (a.ndim !== 3) throw new Error('batch1 must be a 3D tensor');
  if (b.ndim !== 3) throw new Error('batch2 must be a 3D tensor');
}
function addbmmOf(self: Tensor, a: Tensor, b: Tensor, beta: Scalar, alpha: Scalar): Tensor {
  checkBatches(a, b);
  const [[n, rows, k], [n2, k2, columns]] = [a.view_.shape, b.view_.shape];
  if (n !== n2) throw new Error(`batch1 and batch2 must have same number of batches, got ${n} and ${n2}`);
  if (k !== k2) throw new Error(`Incompatible matrix sizes for bmm (${rows}x${k} and ${k2}x${columns})`);
  return sumWithProduct('addbmm', self, a, b, beta, alpha, [rows, columns]);
}
function baddbmmOf(self: Tensor, a: Tensor, b: Tensor, beta: Scalar, alpha: Scalar): Tensor {
  checkBatches(a, b);
  const [[n, rows, k], [n2, k2, columns]] = [a.view_.shape, b.view_.shape];
  if (n !== n2 || k !== k2)
    throw new Error(`Expected size for first two dimensions of batch2 tensor to be: [${n}, ${k}] but got: [${n2}, ${k2}].`);
  return sumWithProduct('baddbmm', self, a, b, beta, alpha, [n, rows, columns]);
}

const page = (name: string): string => `https://docs.pytorch.org/docs/stable/generated/torch.${name}.html`;

export const productSums = {
  addmm: declareInplace(
    { doc: `beta self + alpha mat1 mat2. ${page('addmm')}` },
    overload('addmm(Tensor self, Tensor mat1, Tensor mat2, *, Scalar beta=1, Scalar alpha=1) -> Tensor', (s, a, b, beta, alpha) =>
      addmmOf(s, a, b, beta, alpha),
    ),
  ),
  addmv: declareInplace(
    { doc: `beta self + alpha mat vec. ${page('addmv')}` },
    overload('addmv(Tensor self, Tensor mat, Tensor vec, *, Scalar beta=1, Scalar alpha=1) -> Tensor', (s, a, v, beta, alpha) =>
      addmvOf(s, a, v, beta, alpha),
    ),
  ),
  addr: declareInplace(
    { doc: `beta self + alpha outer(vec1, vec2). ${page('addr')}` },
    overload('addr(Tensor self, Tensor vec1, Tensor vec2, *, Scalar beta=1, Scalar alpha=1) -> Tensor', (s, a, b, beta, alpha) =>
      addrOf(s, a, b, beta, alpha),
    ),
  ),
  addbmm: declareInplace(
    { doc: `beta self + alpha sum of the products of two batches. ${page('addbmm')}` },
    overload('addbmm(Tensor self, Tensor batch1, Tensor batch2, *, Scalar beta=1, Scalar alpha=1) -> Tensor', (s, a, b, beta, alpha) =>
      addbmmOf(s, a, b, beta, alpha),
    ),
  ),
  baddbmm: declareInplace(
    { doc: `beta self + alpha times the products of two batches. ${page('baddbmm')}` },
    overload('baddbmm(Tensor self, Tensor batch1, Tensor batch2, *, Scalar beta=1, Scalar alpha=1) -> Tensor', (s, a, b, beta, alpha) =>
      baddbmmOf(s, a, b, beta, alpha),
    ),
  ),
};

/** Matrix products: https://docs.pytorch.org/docs/stable/torch.html#blas-and-lapack-operations */
import { bool } from '../dtype/dtype.ts';
import { computationDtype } from '../dtype/promotion.ts';
import type { Operator } from '../graph/operator.ts';
import type { Prim } from '../graph/prim.ts';
import type { Dim } from '../shape/dim.ts';
import * as dimsOf from '../shape/dim.ts';
import { broadcastShapes } from '../shape/view.ts';
import { record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { declare, overload } from './declare.ts';
import { sizeMismatch } from './elementwise.ts';

const typeName: Record<string, string> = {
  float32: 'float',
  float64: 'double',
  float16: 'c10::Half',
  bfloat16: 'c10::BFloat16',
  int64: 'long int',
  int32: 'int',
};

/** [..., m, k] x [..., k, n] with batch dims broadcast; a right operand without batch dims makes it one product of all rows. */
export function matmulPrims(a: Prim, b: Prim): Prim {
  const left = a.ndim === 1 ? a.reshape([1, a.shape[0]]) : a;
  const right = b.ndim === 1 ? b.reshape([b.shape[0], 1]) : b;
  const m = left.shape[left.ndim - 2];
  const k = left.shape[left.ndim - 1];
  const n = right.shape[right.ndim - 1];
  let out: Prim;
  if (right.ndim === 2 && left.ndim > 2) {
    const rows = dimsOf.productOf(left.shape.slice(0, -1));
    out = left
      .reshape([rows, k])
      .dot(right)
      .reshape([...left.shape.slice(0, -1), n]);
  } else {
    const batch = broadcastDims(left.shape.slice(0, -2), right.shape.slice(0, -2));
    out = left.expand([...batch, m, k]).dot(right.expand([...batch, k, n]));
  }
  if (b.ndim === 1) out = out.squeeze(out.ndim - 1);
  if (a.ndim === 1) out = out.squeeze(b.ndim === 1 ? 0 : out.ndim - 2);
  return out;
}

function broadcastDims(a: readonly Dim[], b: readonly Dim[]): Dim[] {
  const n = Math.max(a.length, b.length);
  return Array.from({ length: n }, (_, i) => {
    const x = a[i - (n - a.length)] ?? 1;
    const y = b[i - (n - b.length)] ?? 1;
    return x === 1 ? y : x;
  });
}

export const matmulOperator: Operator = { name: 'matmul', body: ([a, b]) => [matmulPrims(a, b)] };

export function checkSameDtype(a: Tensor, b: Tensor): void {
  if (a.dtype !== b.dtype)
    throw new Error(
      `expected m1 and m2 to have the same dtype, but got: ${typeName[a.dtype.name] ?? a.dtype.name} != ${typeName[b.dtype.name] ?? b.dtype.name}`,
    );
}

export function matmulOf(a: Tensor, b: Tensor): Tensor {
  if (a.ndim === 0 || b.ndim === 0)
    throw new Error(`both arguments to matmul need to be at least 1D, but they are ${a.ndim}D and ${b.ndim}D`);
  checkSameDtype(a, b);
  if (a.dtype === bool) throw new Error(`"${a.ndim > 2 || b.ndim > 2 ? 'bmm' : 'addmm_impl_cpu_'}" not implemented for 'Bool'`);
  const x = a.view_.shape;
  const y = b.view_.shape;
  const inner = y[y.length === 1 ? 0 : y.length - 2];
  if (x[x.length - 1] !== inner) {
    if (x.length === 1 && y.length === 1)
      throw new Error(
        `inconsistent tensor size, expected tensor [${x[0]}] and src [${y[0]}] to have the same number of elements, but got ${x[0]} and ${y[0]} elements respectively`,
      );
    const rows = x.length === 1 ? 1 : x.slice(0, -1).reduce((p, d) => p * d, 1);
    if (y.length <= 2 && (x.length !== 1 || y.length === 2)) {
      if (y.length === 1) throw new Error(`size mismatch, got input (${rows}), mat (${rows}x${x[x.length - 1]}), vec (${y[0]})`);
      throw new Error(`mat1 and mat2 shapes cannot be multiplied (${rows}x${x[x.length - 1]} and ${y[0]}x${y[1]})`);
    }
    throw new Error(
      `Expected size for first two dimensions of batch2 tensor to be: [${y.slice(0, -2).reduce((p, d) => p * d, 1)}, ${x[x.length - 1]}] but got: [${y.slice(0, -2).reduce((p, d) => p * d, 1)}, ${inner}].`,
    );
  }
  const batchA = x.slice(0, -2);
  const batchB = y.slice(0, -2);
  if (broadcastShapes(batchA, batchB) === null) throw sizeMismatch([...batchA, 1, 1], [...batchB, 1, 1]);
  return record(matmulOperator, [a, b])[0];
}

const linearOperator: Operator<null> = {
  name: 'linear',
  body: ([x, weight, bias]) => {
    if (bias === undefined) return [matmulPrims(x, weight.mT)];
    // Product and bias are rounded once, together.
    const wide = computationDtype(x.dtype);
    return [matmulPrims(x.cast(wide), weight.cast(wide).mT).add(bias.cast(wide)).cast(x.dtype)];
  },
};

export function linearOf(x: Tensor, weight: Tensor, bias: Tensor | null): Tensor {
  checkSameDtype(x, weight);
  const k = x.view_.shape[x.ndim - 1];
  const [n, inner] = weight.view_.shape;
  if (x.ndim === 0 || k !== inner) {
    const rows = x.view_.shape.slice(0, -1).reduce((p, d) => p * d, 1);
    throw new Error(`mat1 and mat2 shapes cannot be multiplied (${rows}x${k} and ${inner}x${n})`);
  }
  return record(linearOperator as never, bias === null ? [x, weight] : [x, weight, bias])[0];
}

export const matmul = {
  matmul: declare(
    { doc: 'Matrix product with broadcast batch dims. https://docs.pytorch.org/docs/stable/generated/torch.matmul.html' },
    overload('matmul(Tensor self, Tensor other) -> Tensor', (a, b) => matmulOf(a, b)),
  ),
  __matmul__: declare(
    { doc: 'The same as matmul.', as: 'method' },
    overload('__matmul__(Tensor self, Tensor other) -> Tensor', (a, b) => matmulOf(a, b)),
  ),
  __rmatmul__: declare(
    { doc: 'matmul with the operands exchanged.', as: 'method' },
    overload('__rmatmul__(Tensor self, Tensor other) -> Tensor', (a, b) => matmulOf(b, a)),
  ),
  mm: declare(
    { doc: 'Product of two matrices. https://docs.pytorch.org/docs/stable/generated/torch.mm.html' },
    overload('mm(Tensor self, Tensor mat2) -> Tensor', (a, b) => {
      if (a.ndim !== 2) throw new Error('self must be a matrix');
      if (b.ndim !== 2) throw new Error('mat2 must be a matrix');
      return matmulOf(a, b);
    }),
  ),
  bmm: declare(
    { doc: 'Products of two batches of matrices. https://docs.pytorch.org/docs/stable/generated/torch.bmm.html' },
    overload('bmm(Tensor self, Tensor mat2) -> Tensor', (a, b) => {
      if (a.ndim !== 3) throw new Error('batch1 must be a 3D tensor');
      if (b.ndim !== 3) throw new Error('batch2 must be a 3D tensor');
      if (a.view_.shape[0] !== b.view_.shape[0] || a.view_.shape[2] !== b.view_.shape[1])
        throw new Error(
          `Expected size for first two dimensions of batch2 tensor to be: [${a.view_.shape[0]}, ${a.view_.shape[2]}] but got: [${b.view_.shape[0]}, ${b.view_.shape[1]}].`,
        );
      return matmulOf(a, b);
    }),
  ),
};

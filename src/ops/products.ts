/**
 * Products of vectors and matrices: https://docs.pytorch.org/docs/stable/torch.html#blas-and-lapack-operations
 *
 * `matmul`, `mm` and `bmm` are in `matmul.ts`, sums with products in `product-sums.ts`, `einsum` in `einsum.ts`.
 */
import { bool } from '../dtype/dtype.ts';
import { computationDtype, scalarTypeName } from '../dtype/promotion.ts';
import type { Operator } from '../graph/operator.ts';
import type { Prim } from '../graph/prim.ts';
import { broadcastShapes } from '../shape/view.ts';
import { constantsOf, record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { lowered } from './autocast.ts';
import { declare, overload } from './declare.ts';
import { shapeList, wrapDim } from './dims.ts';
import { checkBroadcast } from './elementwise.ts';
import { checkSameDtype, matmulOf } from './matmul.ts';
import { permuteOf, reshapeTo, unsqueezeOf } from './shape-base.ts';
import { use } from './use.ts';

// ---- vectors

const dotOperator: Operator<{ readonly conjugate: boolean }> = {
  name: 'dot',
  body: ([a, b], { constants: { conjugate } }) => {
    const wide = computationDtype(a.dtype);
    const left = a.cast(wide);
    return [(conjugate ? left.conj() : left).mul(b.cast(wide)).sum([0]).cast(a.dtype)];
  },
};
function dotOf(a: Tensor, b: Tensor, conjugate: boolean): Tensor {
  if (a.ndim !== 1 || b.ndim !== 1) throw new Error(`1D tensors expected, but got ${a.ndim}D and ${b.ndim}D tensors`);
  if (a.dtype !== b.dtype)
    throw new Error(`dot : expected both vectors to have same dtype, but found ${scalarTypeName(a.dtype)} and ${scalarTypeName(b.dtype)}`);
  const [n, m] = [a.view_.shape[0], b.view_.shape[0]];
  if (n !== m)
    throw new Error(
      `inconsistent tensor size, expected tensor [${n}] and src [${m}] to have the same number of elements, but got ${n} and ${m} elements respectively`,
    );
  if (a.dtype === bool) throw new Error(`"dot" not implemented for 'Bool'`);
  return record(dotOperator as never, [a, b], { constants: constantsOf(`dot:${conjugate}`, () => ({ conjugate })) })[0];
}

const asColumn = (v: Tensor): Tensor => unsqueezeOf(v, 1);
function outerOf(a: Tensor, b: Tensor): Tensor {
  if (a.ndim !== 1) throw new Error(`outer: Expected 1-D argument self, but got ${a.ndim}-D`);
  if (b.ndim !== 1) throw new Error(`outer: Expected 1-D argument vec2, but got ${b.ndim}-D`);
  return use('mul', asColumn(a), b);
}

function mvOf(a: Tensor, v: Tensor): Tensor {
  if (a.ndim !== 2 || v.ndim !== 1) throw new Error(`vector + matrix @ vector expected, got ${v.ndim}, ${a.ndim}, ${v.ndim}`);
  return matmulOf(a, v);
}

function innerOf(a: Tensor, b: Tensor): Tensor {
  checkSameDtype(a, b);
  if (a.ndim === 0 || b.ndim === 0) return use('mul', a, b);
  if (a.view_.shape[a.ndim - 1] !== b.view_.shape[b.ndim - 1])
    throw new Error(
      `inner() the last dimension must match on both input tensors but got shapes ${shapeList(a.view_.shape)} and ${shapeList(b.view_.shape)}`,
    );
  return tensordotOf(a, b, [a.ndim - 1], [b.ndim - 1]);
}

const vecdotOperator: Operator<{ readonly axis: number }> = {
  name: 'linalg_vecdot',
  body: ([a, b], { constants: { axis } }) => {
    const wide = computationDtype(a.dtype);
    const product = a.cast(wide).conj().mul(b.cast(wide));
    return [product.sum([product.ndim + axis]).cast(a.dtype)];
  },
};
export function vecdotOf(x: Tensor, y: Tensor, dim: number): Tensor {
  if (x.dtype !== y.dtype)
    throw new Error(
      `linalg.vecdot: Expected x and y to have the same dtype, but found x of type ${scalarTypeName(x.dtype)} and y of type ${scalarTypeName(y.dtype)} instead`,
    );
  if (x.ndim === 1 && y.ndim === 1) return dotOf(x, y, true);
  checkBroadcast([x, y]);
  const ndim = Math.max(x.ndim, y.ndim);
  const axis = wrapDim(dim, ndim) - ndim;
  if (ndim === 0) return use('mul', use('conj', x), y);
  return record(vecdotOperator as never, [x, y], { constants: constantsOf(`vecdot:${axis}`, () => ({ axis })) })[0];
}

const crossOperator: Operator<{ readonly axis: number }> = {
  name: 'linalg_cross',
  body: ([x, y], { constants: { axis } }) => {
    const at = (p: Prim): number => p.ndim + axis;
    const turned = (p: Prim, by: number): Prim[] => [0, 1, 2].map((i) => p.slice(at(p), (i + by) % 3, 1));
    const [x1, x2, y1, y2] = [turned(x, 1), turned(x, 2), turned(y, 1), turned(y, 2)];
    const wide = computationDtype(x.dtype);
    const parts = [0, 1, 2].map((i) =>
      x1[i]
        .cast(wide)
        .mul(y2[i].cast(wide))
        .sub(x2[i].cast(wide).mul(y1[i].cast(wide)))
        .cast(x.dtype),
    );
    return [stack(parts, parts[0].ndim + axis)];
  },
};
/** Three slices of extent 1 side by side. */
function stack(parts: readonly Prim[], axis: number): Prim {
  const shape = parts[0].shape.map((d, i) => (i === axis ? 3 : d));
  const placed = parts.map((p, k) =>
    p.pad(
      shape,
      shape.map((_, i) => (i === axis ? k : 0)),
    ),
  );
  return placed[0].add(placed[1]).add(placed[2]);
}
export function crossOf(x: Tensor, y: Tensor, dim: number): Tensor {
  if (x.ndim !== y.ndim) throw new Error('linalg.cross: inputs must have the same number of dimensions.');
  const axis = wrapDim(dim, x.ndim);
  if (x.view_.shape[axis] !== 3 || y.view_.shape[axis] !== 3)
    throw new Error(`linalg.cross: inputs dimension ${dim} must have length 3. Got ${x.view_.shape[axis]} and ${y.view_.shape[axis]}`);
  checkBroadcast([x, y]);
  if (x.dtype !== y.dtype)
    throw new Error(
      `linalg.cross: Expected both inputs to have the same dtype, but got ${scalarTypeName(x.dtype)} and ${scalarTypeName(y.dtype)}`,
    );
  return record(crossOperator as never, [x, y], { constants: constantsOf(`cross:${axis - x.ndim}`, () => ({ axis: axis - x.ndim })) })[0];
}

/** The first dim of size 3, if none is given. */
function crossDefault(x: Tensor, y: Tensor, dim: number | null): Tensor {
  if (dim !== null) return crossOf(x, y, dim);
  const common = broadcastShapes(x.view_.shape, y.view_.shape);
  if (common === null) checkBroadcast([x, y]);
  const found = common!.indexOf(3);
  if (found < 0) throw new Error('no dimension of size 3 in input');
  return crossOf(x, y, found);
}

// ---- many dims

/** Sums over pairs of dims; a dim of size 1 beside another is summed out first. */
export function tensordotOf(a: Tensor, b: Tensor, dimsA: readonly number[], dimsB: readonly number[]): Tensor {
  if (dimsA.length !== dimsB.length) throw new Error('both dimension lists should have same length');
  if (a.dtype !== b.dtype) throw new Error(`both inputs should have same dtype`);
  let [x, y] = [a, b];
  const overA = dimsA.map((d) => wrapDim(d, a.ndim));
  const overB = dimsB.map((d) => wrapDim(d, b.ndim));
  overA.forEach((da, i) => {
    const db = overB[i];
    const [p, q] = [a.view_.shape[da], b.view_.shape[db]];
    if (q === 1 && p !== 1) x = use('sum', x, [da], true);
    else if (p === 1 && q !== 1) y = use('sum', y, [db], true);
    else if (p !== q)
      throw new Error(
        `contracted dimensions need to match, but first has size ${p} in dim ${dimsA[i]} and second has size ${q} in dim ${dimsB[i]}`,
      );
  });
  const freeA = [...Array(x.ndim).keys()].filter((d) => !overA.includes(d));
  const freeB = [...Array(y.ndim).keys()].filter((d) => !overB.includes(d));
  const size = (t: Tensor, dims: readonly number[]): number => dims.reduce((n, d) => n * t.view_.shape[d], 1);
  const left = reshapeTo(permuteOf(x, [...freeA, ...overA]), [size(x, freeA), size(x, overA)]);
  const right = reshapeTo(permuteOf(y, [...overB, ...freeB]), [size(y, overB), size(y, freeB)]);
  // A single number is not made by a product of matrices in PyTorch.
  const [p, q] = size(x, freeA) * size(y, freeB) === 1 ? [left, right] : [lowered(left), lowered(right)];
  return reshapeTo(matmulOf(p, q), [...freeA.map((d) => x.view_.shape[d]), ...freeB.map((d) => y.view_.shape[d])]);
}
function tensordotCount(a: Tensor, b: Tensor, count: number): Tensor {
  if (count < 0) throw new Error(`tensordot expects dims >= 0, but got dims=${count}`);
  if (count > Math.min(a.ndim, b.ndim)) throw new Error(`tensordot expects dims < ndim_a or ndim_b, but got dims=${count}`);
  const range = [...Array(count).keys()];
  return tensordotOf(
    a,
    b,
    range.map((i) => i - count),
    range,
  );
}

function kronOf(a: Tensor, b: Tensor): Tensor {
  const n = Math.max(a.ndim, b.ndim);
  const sizes = (t: Tensor): number[] => [...Array<number>(n - t.ndim).fill(1), ...t.view_.shape];
  const [x, y] = [sizes(a), sizes(b)];
  const product = use(
    'mul',
    reshapeTo(
      a,
      x.flatMap((d) => [d, 1]),
    ),
    reshapeTo(
      b,
      y.flatMap((d) => [1, d]),
    ),
  );
  return reshapeTo(
    product,
    x.map((d, i) => d * y[i]),
  );
}

/** Matrices in the order that needs fewest multiplications; the first and the last may be vectors. */
export function multiDotOf(tensors: readonly Tensor[]): Tensor {
  const n = tensors.length;
  if (n < 2) throw new Error(`multi_dot(): expected at least 2 tensors but got ${n}`);
  const [head, tail] = [tensors[0], tensors[n - 1]];
  if (head.ndim !== 1 && head.ndim !== 2) throw new Error(`multi_dot(): the first tensor must be 1D or 2D but got ${head.ndim}D`);
  if (tail.ndim !== 1 && tail.ndim !== 2) throw new Error(`multi_dot(): the last tensor must be 1D or 2D but got ${tail.ndim}D`);
  const list = tensors.map(lowered);
  if (head.ndim === 1) list[0] = unsqueezeOf(list[0], 0);
  if (tail.ndim === 1) list[n - 1] = unsqueezeOf(list[n - 1], 1);
  list.forEach((t, i) => {
    if (t.ndim !== 2) throw new Error(`multi_dot(): tensor ${i} must be 2D but got ${t.ndim}D`);
    if (t.dtype !== list[0].dtype)
      throw new Error(
        `multi_dot(): all tensors must have be the same dtype but tensor 0 is ${scalarTypeName(head.dtype)} and tensor ${i} ${scalarTypeName(t.dtype)}`,
      );
    if (i > 0 && list[i - 1].view_.shape[1] !== t.view_.shape[0])
      throw new Error(
        `multi_dot(): tensors ${i - 1} and ${i} with shapes ${shapeList(list[i - 1].view_.shape)} and ${shapeList(t.view_.shape)} cannot be multiplied`,
      );
  });
  const out = chain(list);
  const shape = [...(head.ndim === 1 ? [] : [out.view_.shape[0]]), ...(tail.ndim === 1 ? [] : [out.view_.shape[1]])];
  return reshapeTo(out, shape);
}

function chain(list: readonly Tensor[]): Tensor {
  const n = list.length;
  const p = [list[0].view_.shape[0], ...list.map((t) => t.view_.shape[1])];
  const cost = Array.from({ length: n }, () => new Float64Array(n));
  const split = Array.from({ length: n }, () => new Int32Array(n));
  for (let length = 1; length < n; length++)
    for (let i = 0; i + length < n; i++) {
      const j = i + length;
      cost[i][j] = Infinity;
      for (let k = i; k < j; k++) {
        const total = cost[i][k] + cost[k + 1][j] + p[i] * p[k + 1] * p[j + 1];
        if (total < cost[i][j]) [cost[i][j], split[i][j]] = [total, k];
      }
    }
  const multiply = (i: number, j: number): Tensor => (i === j ? list[i] : matmulOf(multiply(i, split[i][j]), multiply(split[i][j] + 1, j)));
  return multiply(0, n - 1);
}

const page = (name: string): string => `https://docs.pytorch.org/docs/stable/generated/torch.${name}.html`;

export const products = {
  dot: declare(
    { doc: `Inner product of two vectors. ${page('dot')}` },
    overload('dot(Tensor self, Tensor tensor) -> Tensor', (a, b) => dotOf(a, b, false)),
  ),
  vdot: declare(
    { doc: `Inner product, the first vector conjugated. ${page('vdot')}` },
    overload('vdot(Tensor self, Tensor other) -> Tensor', (a, b) => dotOf(a, b, true)),
  ),
  inner: declare(
    { doc: `Products over the last dims. ${page('inner')}` },
    overload('inner(Tensor self, Tensor other) -> Tensor', (a, b) => innerOf(a, b)),
  ),
  outer: declare(
    { doc: `All products of two vectors' elements. ${page('outer')}` },
    overload('outer(Tensor self, Tensor vec2) -> Tensor', (a, b) => outerOf(a, b)),
  ),
  ger: declare(
    { doc: `The same as outer. ${page('ger')}` },
    overload('ger(Tensor self, Tensor vec2) -> Tensor', (a, b) => outerOf(a, b)),
  ),
  mv: declare(
    { doc: `Matrix times vector. ${page('mv')}` },
    overload('mv(Tensor self, Tensor vec) -> Tensor', (a, v) => mvOf(a, v)),
  ),
  tensordot: declare(
    { doc: `Products over pairs of dims: a number of them, or two lists. ${page('tensordot')}`, as: 'function' },
    overload('tensordot.int(Tensor a, Tensor b, int dims=2) -> Tensor', (a, b, dims) => tensordotCount(a, b, dims)),
    overload('tensordot.lists(Tensor a, Tensor b, int[][] dims) -> Tensor', (a, b, dims) => {
      if (dims.length !== 2)
        throw new Error('tensordot expects dims to be int or tuple[list[int], list[int]] or list[list[int]] containing two lists');
      return tensordotOf(a, b, dims[0], dims[1]);
    }),
    overload('tensordot(Tensor self, Tensor other, int[] dims_self, int[] dims_other) -> Tensor', (a, b, x, y) => tensordotOf(a, b, x, y)),
  ),
  kron: declare(
    { doc: `Kronecker product. ${page('kron')}` },
    overload('kron(Tensor self, Tensor other) -> Tensor', (a, b) => kronOf(a, b)),
  ),
  cross: declare(
    { doc: `Cross product along a dim of size 3. ${page('cross')}` },
    overload('cross(Tensor self, Tensor other, int? dim=None) -> Tensor', (a, b, dim) => crossDefault(a, b, dim)),
  ),
  chain_matmul: declare(
    { doc: `Product of matrices in the cheapest order. ${page('chain_matmul')}`, as: 'function' },
    overload('chain_matmul(Tensor[] matrices) -> Tensor', (list) => (list.length === 1 ? list[0] : multiDotOf(list))),
  ),
};

/** Distances and similarities: https://docs.pytorch.org/docs/stable/nn.functional.html#distance-functions */
import { viewBytes } from '../dtype/codec.ts';
import { int64 } from '../dtype/dtype.ts';
import { computationDtype, resultType, scalarTypeName } from '../dtype/promotion.ts';
import { broadcastShapes } from '../shape/view.ts';
import { constantsOf, record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { castTo } from './conversion.ts';
import { fromBytes } from './creation.ts';
import { declare, overload } from './declare.ts';
import { wrapDim } from './dims.ts';
import { cdistOperator, cosineOperator, pairwiseDistance, pdistOperator, requireFloatingText, vectorNorm } from './distance-bodies.ts';
import { checkBroadcast, elementwise, sizeMismatch } from './elementwise.ts';
import { contiguousOf, expandTo } from './shape.ts';
import { use } from './use.ts';

const page = (name: string): string => `https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.${name}.html`;

function cosineSimilarity(a: Tensor, b: Tensor, dim: number, eps: number): Tensor {
  const common = resultType([
    { dtype: a.dtype, ndim: a.ndim },
    { dtype: b.dtype, ndim: b.ndim },
  ]);
  if (!common.is_floating_point)
    throw new Error(`expected common dtype to be floating point, yet common dtype is ${scalarTypeName(common)}`);
  checkBroadcast([a, b]);
  const shape = broadcastShapes(a.view_.shape, b.view_.shape)!;
  const [x, y] = [a, b].map((t) => castTo(expandTo(t, shape), common));
  if (shape.length === 0) return use('squeeze', cosineSimilarity(use('unsqueeze', x, 0), use('unsqueeze', y, 0), wrapDim(dim, 0), eps), 0);
  const axis = wrapDim(dim, shape.length);
  const compute = computationDtype(common);
  const constants = constantsOf(`cosine:${axis}:${eps}:${compute.name}`, () => ({ axis, eps, compute }));
  return record(cosineOperator as never, [x, y], { constants })[0];
}

function cdist(a: Tensor, b: Tensor, p: number): Tensor {
  requireFloatingText(a.dtype, (name) => `cdist only supports floating-point dtypes, X1 got: ${name}`);
  requireFloatingText(b.dtype, (name) => `cdist only supports floating-point dtypes, X2 got: ${name}`);
  if (a.ndim < 2) throw new Error(`cdist only supports at least 2D tensors, X1 got: ${a.ndim}D`);
  if (b.ndim < 2) throw new Error(`cdist only supports at least 2D tensors, X2 got: ${b.ndim}D`);
  const [x, y] = [a.view_.shape, b.view_.shape];
  if (x[x.length - 1] !== y[y.length - 1])
    throw new Error(`X1 and X2 must have the same number of columns. X1: ${x[x.length - 1]} X2: ${y[y.length - 1]}`);
  if (p < 0) throw new Error('cdist only supports non-negative p values');
  const batch = broadcastShapes(x.slice(0, -2), y.slice(0, -2));
  if (batch === null) throw sizeMismatch(x.slice(0, -2), y.slice(0, -2));
  // Rows of nothing are 0 apart, by any norm.
  const norm = x[x.length - 1] === 0 ? 1 : p;
  const constants = constantsOf(`pairs:${norm}`, () => ({ p: norm }));
  const inputs = [expandTo(a, [...batch, ...x.slice(-2)]), expandTo(b, [...batch, ...y.slice(-2)])];
  return record(cdistOperator as never, inputs, { constants })[0];
}

function pdist(x: Tensor, p: number): Tensor {
  if (x.ndim !== 2) throw new Error(`pdist only supports 2D tensors, got: ${x.ndim}D`);
  requireFloatingText(x.dtype, () => 'pdist only supports floating-point dtypes');
  if (p < 0) throw new Error('pdist only supports non-negative p values');
  const [n, columns] = x.view_.shape;
  const pairs = n < 2 ? 0 : (n * (n - 1)) / 2;
  const norm = columns === 0 ? 1 : p;
  const [first, second] = [new BigInt64Array(pairs), new BigInt64Array(pairs)];
  let at = 0;
  for (let i = 0; i < n; i++)
    for (let j = i + 1; j < n; j++) {
      first[at] = BigInt(i);
      second[at++] = BigInt(j);
    }
  const index = (data: BigInt64Array): Tensor => fromBytes(viewBytes(data), [pairs], int64, x.device);
  return record(pdistOperator as never, [contiguousOf(x), index(first), index(second)], {
    constants: constantsOf(`pairs:${norm}`, () => ({ p: norm })),
  })[0];
}

/** At least eps; where it was not, no gradient. */
const atLeast = elementwise({
  name: 'clamp_min',
  kind: 'DEFAULT',
  body: ([x, low]) => x.maximum(low),
  gradient: (g, [x, low]) => [x.ge(low).where(g, 0), null],
});

/** Of `torch`; all are in `nn.functional` too, under the same signature. */
export const torchDistances = {
  cosine_similarity: declare(
    { doc: `Cosine of the angle along a dim. ${page('cosine_similarity')}`, as: 'function', functional: true },
    overload('cosine_similarity(Tensor x1, Tensor x2, int dim=1, float eps=1e-08) -> Tensor', (a, b, dim, eps) =>
      cosineSimilarity(a, b, dim, eps),
    ),
  ),
  pairwise_distance: declare(
    { doc: `p-norms of the differences of rows. ${page('pairwise_distance')}`, as: 'function', functional: true },
    overload(
      'pairwise_distance(Tensor x1, Tensor x2, float p=2.0, float eps=1e-06, bool keepdim=False) -> Tensor',
      (a, b, p, eps, keepdim) => pairwiseDistance(a, b, p, eps, keepdim),
    ),
  ),
  pdist: declare(
    { doc: `Distances of all pairs of rows. ${page('pdist')}`, as: 'function', functional: true },
    overload('pdist(Tensor input, float p=2.0) -> Tensor', (x, p) => pdist(x, p)),
  ),
  cdist: declare(
    {
      doc: 'Distances of all rows of one to all rows of another. https://docs.pytorch.org/docs/stable/generated/torch.cdist.html',
      as: 'function',
    },
    overload(
      'cdist(Tensor x1, Tensor x2, float p=2.0, str? compute_mode=use_mm_for_euclid_dist_if_necessary) -> Tensor',
      (a, b, p, _mode) => cdist(a, b, p),
    ),
  ),
};

/** Of `nn.functional`. */
export const distances = {
  normalize: declare(
    { doc: `x divided by its p-norm along a dim. ${page('normalize')}`, as: 'function' },
    overload('normalize(Tensor input, float p=2.0, int[1] dim=1, float eps=1e-12) -> Tensor', (x, p, dim, eps) => {
      if (!x.dtype.is_floating_point && !x.dtype.is_complex)
        throw new Error(`linalg.vector_norm: Expected a floating point or complex tensor as input. Got ${scalarTypeName(x.dtype)}`);
      return use('div', x, atLeast([vectorNorm(x, p, typeof dim === 'number' ? [dim] : dim, true), eps]));
    }),
  ),
};

/**
 * Moments: https://docs.pytorch.org/docs/stable/torch.html#reduction-ops
 *
 * Two passes in opmath. Order statistics (median, quantiles, mode) are in `order-statistics.ts`, histograms in `histogram.ts`, differences and
 * integrals in `differences.ts`.
 */
import { bool, complex64, complex128, float32, float64 } from '../dtype/dtype.ts';
import { computationDtype, resultType, scalarTypeName } from '../dtype/promotion.ts';
import type { Operator } from '../graph/operator.ts';
import { constant, dimPrim, type Prim } from '../graph/prim.ts';
import * as dimsOf from '../shape/dim.ts';
import { constantsOf, record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { castTo } from './conversion.ts';
import { declare, overload } from './declare.ts';
import { differences } from './differences.ts';
import { wrapDims } from './dims.ts';
import { histograms } from './histogram.ts';
import { orderStatistics } from './order-statistics.ts';
import { scalarValue } from './scalar-argument.ts';
import type { Scalar } from './schema.ts';
import { use } from './use.ts';

interface MomentConstants {
  readonly axes: readonly number[];
  readonly keepdim: boolean;
  readonly correction: number;
  /** Standard deviation instead of variance. */
  readonly root: boolean;
  readonly mean: boolean;
}

const countOf = (x: Prim, axes: readonly number[]): dimsOf.Dim => axes.reduce<dimsOf.Dim>((n, a) => dimsOf.mul(n, x.shape[a]), 1);
const kept = (p: Prim, like: Prim, axes: readonly number[]): Prim => p.reshape(like.shape.map((d, i) => (axes.includes(i) ? 1 : d)));

/**
 * x minus its mean, and the mean (dims kept). Where the mean is a result it is summed in double precision: PyTorch updates a running mean,
 * which stays within a few units of the last place however much the numbers cancel. A variance does not notice the difference.
 */
function centered(x: Prim, axes: readonly number[], withMean = false): { deviation: Prim; mean: Prim } {
  const precise = !withMean ? x.dtype : x.dtype === float32 ? float64 : x.dtype === complex64 ? complex128 : x.dtype;
  const mean = x
    .cast(precise)
    .sum(axes, true)
    .div(dimPrim(countOf(x, axes), precise))
    .cast(x.dtype);
  return { deviation: x.sub(mean), mean };
}
const freedom = (x: Prim, axes: readonly number[], correction: number): Prim =>
  dimPrim(countOf(x, axes), x.dtype.real).sub(constant(correction, x.dtype.real));

function momentOperator(name: string): Operator<MomentConstants> {
  return {
    name,
    body: ([x], { constants: { axes, keepdim, correction, root, mean: withMean } }) => {
      const v = x.cast(computationDtype(x.dtype));
      const { deviation, mean } = centered(v, axes, withMean);
      const squares = v.dtype.is_complex
        ? deviation.real.mul(deviation.real).add(deviation.imag.mul(deviation.imag))
        : deviation.mul(deviation);
      const variance = squares.sum(axes, keepdim).div(freedom(v, axes, correction).maximum(0));
      const shape = x.shape.filter((_, i) => !axes.includes(i));
      const second = root ? variance.sqrt() : variance;
      return [second.cast(x.dtype.real), ...(withMean ? [(keepdim ? mean : mean.reshape(shape)).cast(x.dtype)] : [])];
    },
    gradient: ([g, gMean = null], [x], [y], { constants: { axes, correction, root } }) => {
      const compute = computationDtype(x.dtype);
      const v = x.cast(compute);
      let total: Prim | null = null;
      if (g !== null) {
        // A standard deviation of 0 has gradient 0.
        const result = kept(y, x, axes).cast(compute.real);
        const gv = kept(g, x, axes).cast(compute.real);
        const scaled = root ? result.eq(0).where(0, gv.div(result.mul(2))) : gv;
        const { deviation } = centered(v, axes);
        const count = countOf(x, axes);
        if (typeof count === 'number' && count <= correction) {
          // Without a degree of freedom left the slope is infinite, or undefined at the mean.
          total = deviation.eq(0).where(NaN, full(deviation, Infinity)).mul(scaled);
        } else total = scaled.mul(constant(2, compute.real).div(freedom(v, axes, correction))).mul(deviation);
      }
      if (gMean !== null) {
        const part = kept(gMean, x, axes)
          .cast(compute)
          .div(dimPrim(countOf(x, axes), compute))
          .expand(x.shape);
        total = total === null ? part : total.add(part);
      }
      return [total === null ? null : total.cast(x.dtype)];
    },
  };
}
const full = (like: Prim, value: number): Prim => constant(value, like.dtype).expand(like.shape);

const operators = {
  var: momentOperator('var'),
  std: momentOperator('std'),
  var_mean: momentOperator('var_mean'),
  std_mean: momentOperator('std_mean'),
} as const;
type Moment = keyof typeof operators;

function moment(name: Moment, x: Tensor, dims: readonly number[] | null, correction: number, keepdim: boolean): Tensor[] {
  if (!x.dtype.is_floating_point && !x.dtype.is_complex)
    throw new Error(`${name.endsWith('_mean') ? name : 'std and var'} only support floating point and complex dtypes`);
  const axes = wrapDims(dims, x.ndim);
  return record(operators[name] as never, [x], {
    constants: constantsOf(
      `${name}:${axes}:${keepdim}:${correction}`,
      (): MomentConstants => ({ axes, keepdim, correction, root: name.startsWith('std'), mean: name.endsWith('mean') }),
    ),
  });
}
const correctionOf = (c: Scalar | null): number => (c === null ? 1 : Number(scalarValue(c)));

/** Weighted covariance of rows; `at::cov`. */
function covariance(x: Tensor, correction: number, fweights: Tensor | null, aweights: Tensor | null): Tensor {
  if (x.ndim > 2) throw new Error(`cov(): expected input to have two or fewer dimensions but got an input with ${x.ndim} dimensions`);
  if (x.dtype === bool) throw new Error('cov(): bool dtype is not supported for input');
  const rows = x.ndim < 2 ? use('reshape', x, [1, -1]) : x;
  const observations = rows.view_.shape[1];
  const check = (name: string, w: Tensor, kind: string, right: boolean): void => {
    if (w.ndim > 1) throw new Error(`cov(): expected ${name} to have one or fewer dimensions but got ${name} with ${w.ndim} dimensions`);
    if (!right) throw new Error(`cov(): expected ${name} to have ${kind} dtype but got ${name} with ${scalarTypeName(w.dtype)} dtype`);
    if (w.view_.numel !== observations)
      throw new Error(
        `cov(): expected ${name} to have the same numel as there are observations in the input but got ${w.view_.numel} != ${observations}`,
      );
  };
  if (fweights !== null) check('fweights', fweights, 'integral', fweights.dtype.kind === 'int');
  if (aweights !== null) check('aweights', aweights, 'floating point', aweights.dtype.is_floating_point);
  const w = fweights !== null && aweights !== null ? use('mul', fweights, aweights) : (fweights ?? aweights);
  const weighted = (t: Tensor): Tensor => (w === null ? t : use('mul', t, w));
  const sum = w === null ? null : use('sum', w);
  const over = (t: Tensor, divisor: Tensor | null): Tensor => use('div', t, divisor ?? observations);
  const inner = (a: Tensor, b: Tensor): Tensor => {
    const common = resultType([a, b]);
    return use('matmul', castTo(a, common), castTo(b, common));
  };
  const mean = over(use('sum', weighted(rows), [1]), sum);
  let norm: Tensor | number;
  if (sum === null) norm = Math.max(observations - correction, 0);
  else {
    const lost = aweights === null || correction === 0 ? correction : use('div', use('mul', inner(w as Tensor, aweights), correction), sum);
    norm = use('clamp_min', use('sub', sum, lost), 0);
  }
  const deviation = use('sub', rows, use('unsqueeze', mean, 1));
  const product = use('mm', deviation, use('conj', use('t', weighted(deviation))));
  const c = use('div', product, norm);
  return use(
    'reshape',
    c,
    c.view_.shape.filter((d) => d !== 1),
  );
}

function correlation(x: Tensor): Tensor {
  if (x.ndim > 2) throw new Error(`corrcoef(): expected input to have two or fewer dimensions but got an input with ${x.ndim} dimensions`);
  const c = covariance(x, 1, null, null);
  if (c.ndim === 0) return use('div', c, c);
  const variances = use('diagonal', c);
  const deviation = use('sqrt', c.dtype.is_complex ? use('real', variances) : variances);
  const scaled = use('div', use('div', c, use('unsqueeze', deviation, 1)), use('unsqueeze', deviation, 0));
  if (!c.dtype.is_complex) return use('clamp', scaled, -1, 1);
  return use('complex', use('clamp', use('real', scaled), -1, 1), use('clamp', use('imag', scaled), -1, 1));
}

const one = (t: Tensor[]): Tensor => t[0];
const two = (t: Tensor[]): [Tensor, Tensor] => [t[0], t[1]];

export const statistics = {
  var: declare(
    { doc: 'Variance over dims. https://docs.pytorch.org/docs/stable/generated/torch.var.html' },
    overload('var.dim(Tensor self, int[1]? dim, bool unbiased=True, bool keepdim=False) -> Tensor', (x, dim, unbiased, keepdim) =>
      one(moment('var', x, dim, unbiased ? 1 : 0, keepdim)),
    ),
    overload(
      'var.correction(Tensor self, int[1]? dim=None, *, Scalar? correction=None, bool keepdim=False) -> Tensor',
      (x, dim, correction, keepdim) => one(moment('var', x, dim, correctionOf(correction), keepdim)),
    ),
    overload('var(Tensor self, bool unbiased=True) -> Tensor', (x, unbiased) => one(moment('var', x, null, unbiased ? 1 : 0, false))),
  ),
  std: declare(
    { doc: 'Standard deviation over dims. https://docs.pytorch.org/docs/stable/generated/torch.std.html' },
    overload('std.dim(Tensor self, int[1]? dim, bool unbiased=True, bool keepdim=False) -> Tensor', (x, dim, unbiased, keepdim) =>
      one(moment('std', x, dim, unbiased ? 1 : 0, keepdim)),
    ),
    overload(
      'std.correction(Tensor self, int[1]? dim=None, *, Scalar? correction=None, bool keepdim=False) -> Tensor',
      (x, dim, correction, keepdim) => one(moment('std', x, dim, correctionOf(correction), keepdim)),
    ),
    overload('std(Tensor self, bool unbiased=True) -> Tensor', (x, unbiased) => one(moment('std', x, null, unbiased ? 1 : 0, false))),
  ),
  var_mean: declare(
    { doc: 'Variance and mean over dims. https://docs.pytorch.org/docs/stable/generated/torch.var_mean.html', as: 'function' },
    overload(
      'var_mean.dim(Tensor self, int[1]? dim, bool unbiased=True, bool keepdim=False) -> (Tensor, Tensor)',
      (x, dim, unbiased, keepdim) => two(moment('var_mean', x, dim, unbiased ? 1 : 0, keepdim)),
    ),
    overload(
      'var_mean.correction(Tensor self, int[1]? dim=None, *, Scalar? correction=None, bool keepdim=False) -> (Tensor, Tensor)',
      (x, dim, correction, keepdim) => two(moment('var_mean', x, dim, correctionOf(correction), keepdim)),
    ),
    overload('var_mean(Tensor self, bool unbiased=True) -> (Tensor, Tensor)', (x, unbiased) =>
      two(moment('var_mean', x, null, unbiased ? 1 : 0, false)),
    ),
  ),
  std_mean: declare(
    { doc: 'Standard deviation and mean over dims. https://docs.pytorch.org/docs/stable/generated/torch.std_mean.html', as: 'function' },
    overload(
      'std_mean.dim(Tensor self, int[1]? dim, bool unbiased=True, bool keepdim=False) -> (Tensor, Tensor)',
      (x, dim, unbiased, keepdim) => two(moment('std_mean', x, dim, unbiased ? 1 : 0, keepdim)),
    ),
    overload(
      'std_mean.correction(Tensor self, int[1]? dim=None, *, Scalar? correction=None, bool keepdim=False) -> (Tensor, Tensor)',
      (x, dim, correction, keepdim) => two(moment('std_mean', x, dim, correctionOf(correction), keepdim)),
    ),
    overload('std_mean(Tensor self, bool unbiased=True) -> (Tensor, Tensor)', (x, unbiased) =>
      two(moment('std_mean', x, null, unbiased ? 1 : 0, false)),
    ),
  ),
  cov: declare(
    { doc: 'Covariance matrix of rows of observations. https://docs.pytorch.org/docs/stable/generated/torch.cov.html' },
    overload(
      'cov(Tensor self, *, int correction=1, Tensor? fweights=None, Tensor? aweights=None) -> Tensor',
      (x, correction, fweights, aweights) => covariance(x, correction, fweights, aweights),
    ),
  ),
  corrcoef: declare(
    { doc: 'Correlation coefficients of rows of observations. https://docs.pytorch.org/docs/stable/generated/torch.corrcoef.html' },
    overload('corrcoef(Tensor self) -> Tensor', (x) => correlation(x)),
  ),
  ...orderStatistics,
  ...histograms,
  ...differences,
};

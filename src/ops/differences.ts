/** Differences and integrals along a dim: `diff`, `gradient`, the trapezoidal rule. Made of other operators, as PyTorch's are. */
import { bool, uint8 } from '../dtype/dtype.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { declare, overload } from './declare.ts';
import { wrapDim } from './dims.ts';
import { scalarValue } from './scalar-argument.ts';
import type { Scalar } from './schema.ts';
import { use } from './use.ts';

const sizeOf = (x: Tensor, axis: number): number => x.view_.shape[axis];
/** Elements [start, end) along `axis`; negative ends count from the back. */
function piece(x: Tensor, axis: number, start: number, end: number = sizeOf(x, axis)): Tensor {
  const n = sizeOf(x, axis);
  const wrap = (i: number): number => Math.min(n, Math.max(0, i < 0 ? i + n : i));
  const from = wrap(start);
  return use('narrow', x, axis, from, Math.max(0, wrap(end) - from));
}

function diffOf(x: Tensor, n: number, dim: number, prepend: Tensor | null, append: Tensor | null): Tensor {
  if (x.ndim === 0) throw new Error('diff expects input to be at least one-dimensional');
  if (n < 0) throw new Error(`order must be non-negative but got ${n}`);
  const axis = wrapDim(dim, x.ndim);
  const ends = { prepend, append };
  for (const t of [prepend, append])
    if (t !== null && t.ndim !== x.ndim) throw new Error(`diff expects prepend or append to be the same dimension as input`);
  if (n === 0) return use('clone', x);
  const parts = [ends.prepend, x, ends.append].filter((t): t is Tensor => t !== null);
  let result = parts.length === 1 ? x : use('cat', parts, axis);
  const steps = Math.min(n, sizeOf(result, axis));
  for (let i = 0; i < steps; i++) {
    const [later, earlier] = [piece(result, axis, 1), piece(result, axis, 0, Math.max(0, sizeOf(result, axis) - 1))];
    result = x.dtype === bool ? use('logical_xor', later, earlier) : use('sub', later, earlier);
  }
  return result;
}

// ---- the trapezoidal rule

const zerosExcept = (y: Tensor, axis: number): Tensor =>
  use(
    'new_zeros',
    y,
    y.view_.shape.filter((_, i) => i !== axis),
  );

function checkNotBool(x: Tensor, y: Tensor | null, name: string): void {
  if (y !== null && (x.dtype === bool || y.dtype === bool))
    throw new Error(`${name}: received a bool input for \`x\` or \`y\`, but bool is not supported`);
  if (x.dtype === bool) throw new Error(`${name}: received a bool input for \`y\`, but bool is not supported`);
}

/** Distances of neighbouring sample points, in a shape that broadcasts with y. */
function spacings(y: Tensor, x: Tensor, axis: number, name: string): Tensor {
  let points = x;
  let along = axis;
  if (x.ndim === 1) {
    if (sizeOf(x, 0) !== sizeOf(y, axis)) throw new Error(`${name}: There must be one \`x\` value for each sample point`);
    points = use(
      'reshape',
      x,
      y.view_.shape.map((_, i) => (i === axis ? sizeOf(x, 0) : 1)),
    );
  } else if (x.ndim < y.ndim) points = use('reshape', x, [...Array(y.ndim - x.ndim).fill(1), ...x.view_.shape]);
  else along = axis;
  return use('sub', piece(points, along, 1), piece(points, along, 0, -1));
}

const neighbours = (y: Tensor, axis: number): Tensor => use('add', piece(y, axis, 0, -1), piece(y, axis, 1));

function trapezoid(y: Tensor, x: Tensor | null, dx: number, dim: number): Tensor {
  const axis = wrapDim(dim, y.ndim);
  if (y.ndim === 0) throw new Error(`Dimension specified as ${dim} but tensor has no dimensions`);
  if (sizeOf(y, axis) === 0) return zerosExcept(y, axis);
  checkNotBool(y, x, 'trapezoid');
  if (x === null) {
    const ends = use('add', use('select', y, axis, 0), use('select', y, axis, -1));
    return use('mul', use('sub', use('sum', y, [axis]), use('mul', ends, 0.5)), dx);
  }
  return use('div', use('sum', use('mul', neighbours(y, axis), spacings(y, x, axis, 'trapezoid')), [axis]), 2);
}

function cumulativeTrapezoid(y: Tensor, x: Tensor | null, dx: number, dim: number): Tensor {
  const axis = wrapDim(dim, y.ndim);
  if (y.ndim === 0) throw new Error('slice() cannot be applied to a 0-dim tensor.');
  checkNotBool(y, x, 'cumulative_trapezoid');
  if (x === null) return use('cumsum', use('mul', neighbours(y, axis), dx / 2), axis);
  return use('cumsum', use('mul', use('div', spacings(y, x, axis, 'cumulative_trapezoid'), 2), neighbours(y, axis)), axis);
}

// ---- gradient

const weighted = (parts: readonly (readonly [Tensor | number, Tensor])[]): Tensor =>
  parts.map(([w, t]) => use('mul', t, w)).reduce((a, b) => use('add', a, b));

/** Along one dim with equal spacing. */
function evenGradient(x: Tensor, axis: number, spacing: number, order: number): Tensor {
  const at = (start: number, end?: number): Tensor => piece(x, axis, start, end);
  const over = (t: Tensor): Tensor => use('div', t, spacing);
  const center = use('div', over(use('sub', at(2), at(0, -2))), 2);
  const [first, last] =
    order === 1
      ? [over(use('sub', at(1, 2), at(0, 1))), over(use('sub', at(-1), at(-2, -1)))]
      : [
          over(
            weighted([
              [-1.5, at(0, 1)],
              [2, at(1, 2)],
              [-0.5, at(2, 3)],
            ]),
          ),
          over(
            weighted([
              [0.5, at(-3, -2)],
              [-2, at(-2, -1)],
              [1.5, at(-1)],
            ]),
          ),
        ];
  return use('cat', [first, center, last], axis);
}

/** Along one dim at given points. */
function unevenGradient(x: Tensor, axis: number, points: Tensor, order: number): Tensor {
  const at = (start: number, end?: number): Tensor => piece(x, axis, start, end);
  const gaps = diffOf(points, 1, 0, null, null);
  const [d1, d2] = [piece(gaps, 0, 0, -1), piece(gaps, 0, 1)];
  const both = use('add', d1, d2);
  const shaped = (t: Tensor): Tensor =>
    use(
      'reshape',
      t,
      x.view_.shape.map((_, i) => (i === axis ? -1 : 1)),
    );
  const div = (a: Tensor, b: Tensor): Tensor => use('div', a, b);
  const mul = (a: Tensor, b: Tensor): Tensor => use('mul', a, b);
  const center = weighted([
    [shaped(div(use('neg', d2), mul(d1, both))), at(0, -2)],
    [shaped(div(use('sub', d2, d1), mul(d1, d2))), at(1, -1)],
    [shaped(div(d1, mul(d2, both))), at(2)],
  ]);
  const gap = (i: number): Tensor => use('select', gaps, 0, i);
  let first: Tensor;
  let last: Tensor;
  if (order === 1) {
    first = div(use('sub', at(1, 2), at(0, 1)), gap(0));
    last = div(use('sub', at(-1), at(-2, -1)), gap(-1));
  } else {
    // One-sided differences of second order from three points, near and far gap.
    const oneSided = (near: Tensor, far: Tensor): [Tensor, Tensor, Tensor] => {
      const sum = use('add', near, far);
      return [div(use('add', sum, near), mul(near, sum)), div(sum, mul(near, far)), div(near, mul(far, sum))];
    };
    const [a, b, c] = oneSided(gap(0), gap(1));
    first = weighted([
      [use('neg', a), at(0, 1)],
      [b, at(1, 2)],
      [use('neg', c), at(2, 3)],
    ]);
    const [p, q, r] = oneSided(gap(-1), gap(-2));
    last = weighted([
      [r, at(-3, -2)],
      [use('neg', q), at(-2, -1)],
      [p, at(-1)],
    ]);
  }
  return use('cat', [first, center, last], axis);
}

function gradientOf(
  x: Tensor,
  spacing: Scalar | readonly Scalar[] | readonly Tensor[] | null,
  dim: readonly number[] | number | null,
  order: number,
): Tensor[] {
  if (x.dtype === uint8) throw new Error('torch.gradient does not support uint8 input.');
  if (x.ndim === 0 && dim !== null)
    throw new Error(`Dimension specified as ${Array.isArray(dim) ? dim[0] : dim} but tensor has no dimensions`);
  if (order !== 1 && order !== 2) throw new Error('torch.gradient only supports edge_order=1 and edge_order=2.');
  const axes = (dim === null ? [...Array(x.ndim).keys()] : Array.isArray(dim) ? dim : [dim as number]).map((d: number) =>
    wrapDim(d, x.ndim),
  );
  const list = Array.isArray(spacing) ? (spacing as readonly (Scalar | Tensor)[]) : null;
  if (list !== null && list.length !== axes.length)
    throw new Error(
      dim === null
        ? `torch.gradient expected spacing to be unspecified, a scalar, or a list of length equal to 'self.dim() = ${x.ndim}', since dim argument was not given, but got a list of length ${list.length}`
        : `torch.gradient expected spacing to be unspecified, a scalar or it's spacing and dim arguments to have the same length, but got a spacing argument of length ${list.length} and a dim argument of length ${axes.length}.`,
    );
  for (const a of axes)
    if (sizeOf(x, a) < order + 1) throw new Error('torch.gradient expected each dimension size to be at least edge_order+1');
  return axes.map((axis: number, i: number) => {
    const s = list === null ? (spacing as Scalar | null) : list[i];
    if (s !== null && typeof s === 'object' && 'view_' in s) {
      if (s.ndim !== 1)
        throw new Error(
          `torch.gradient expected each element of spacing to have one dimension, but got an element with ${s.ndim} dimensions! `,
        );
      return unevenGradient(x, axis, s, order);
    }
    return evenGradient(x, axis, s === null ? 1 : Number(scalarValue(s)), order);
  });
}

const trapezoidDoc = 'Integral along a dim by the trapezoidal rule. https://docs.pytorch.org/docs/stable/generated/torch.trapezoid.html';

export const differences = {
  diff: declare(
    { doc: 'n-th forward difference along a dim. https://docs.pytorch.org/docs/stable/generated/torch.diff.html' },
    overload('diff(Tensor self, int n=1, int dim=-1, Tensor? prepend=None, Tensor? append=None) -> Tensor', (x, n, dim, prepend, append) =>
      diffOf(x, n, dim, prepend, append),
    ),
  ),
  trapezoid: declare(
    { doc: trapezoidDoc, as: 'function' },
    overload('trapezoid.x(Tensor y, Tensor x, *, int dim=-1) -> Tensor', (y, x, dim) => trapezoid(y, x, 1, dim)),
    overload('trapezoid.dx(Tensor y, *, Scalar dx=1, int dim=-1) -> Tensor', (y, dx, dim) =>
      trapezoid(y, null, Number(scalarValue(dx)), dim),
    ),
  ),
  trapz: declare(
    { doc: trapezoidDoc, as: 'function' },
    overload('trapz.x(Tensor y, Tensor x, *, int dim=-1) -> Tensor', (y, x, dim) => trapezoid(y, x, 1, dim)),
    overload('trapz.dx(Tensor y, *, float dx=1., int dim=-1) -> Tensor', (y, dx, dim) => trapezoid(y, null, dx, dim)),
  ),
  cumulative_trapezoid: declare(
    {
      doc: 'Running integral by the trapezoidal rule. https://docs.pytorch.org/docs/stable/generated/torch.cumulative_trapezoid.html',
      as: 'function',
    },
    overload('cumulative_trapezoid.x(Tensor y, Tensor x, *, int dim=-1) -> Tensor', (y, x, dim) => cumulativeTrapezoid(y, x, 1, dim)),
    overload('cumulative_trapezoid.dx(Tensor y, *, Scalar dx=1, int dim=-1) -> Tensor', (y, dx, dim) =>
      cumulativeTrapezoid(y, null, Number(scalarValue(dx)), dim),
    ),
  ),
  gradient: declare(
    { doc: 'Central differences along dims. https://docs.pytorch.org/docs/stable/generated/torch.gradient.html', as: 'function' },
    overload(
      'gradient.scalarint(Tensor self, *, Scalar? spacing=None, int? dim=None, int edge_order=1) -> Tensor[]',
      (x, spacing, dim, order) => gradientOf(x, spacing, dim, order),
    ),
    overload(
      'gradient.scalararray(Tensor self, *, Scalar? spacing=None, int[] dim, int edge_order=1) -> Tensor[]',
      (x, spacing, dim, order) => gradientOf(x, spacing, dim, order),
    ),
    overload(
      'gradient.scalarrayint(Tensor self, *, Scalar[] spacing, int? dim=None, int edge_order=1) -> Tensor[]',
      (x, spacing, dim, order) => gradientOf(x, spacing, dim, order),
    ),
    overload(
      'gradient.scalarrayarray(Tensor self, *, Scalar[] spacing, int[] dim, int edge_order=1) -> Tensor[]',
      (x, spacing, dim, order) => gradientOf(x, spacing, dim, order),
    ),
    overload(
      'gradient.tensorarrayint(Tensor self, *, Tensor[] spacing, int? dim=None, int edge_order=1) -> Tensor[]',
      (x, spacing, dim, order) => gradientOf(x, spacing, dim, order),
    ),
    overload('gradient.tensorarray(Tensor self, *, Tensor[] spacing, int[] dim, int edge_order=1) -> Tensor[]', (x, spacing, dim, order) =>
      gradientOf(x, spacing, dim, order),
    ),
  ),
};

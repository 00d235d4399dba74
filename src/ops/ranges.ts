/** Ranges, grids of numbers and of indices: https://docs.pytorch.org/docs/stable/torch.html#creation-ops */
import { type Complex, castValue, type ScalarValue, viewBytes } from '../dtype/codec.ts';
import { type DType, float64, getDefaultDtype, int64 } from '../dtype/dtype.ts';
import { computationDtype } from '../dtype/promotion.ts';
import type { Operator } from '../graph/operator.ts';
import { cat, complexOf, constant, full, iota, type Prim } from '../graph/prim.ts';
import { item } from '../tensor/read.ts';
import { constantsOf, record } from '../tensor/record.ts';
import { Tensor } from '../tensor/tensor.ts';
import { detached } from '../tensor/view-tensor.ts';
import { castTo } from './conversion.ts';
import { deviceOf, fromBytes, withGrad } from './creation.ts';
import { declare, overload } from './declare.ts';
import { checkLayout } from './layout.ts';
import { complexValue, type ScalarArgument, scalarKind, scalarValue } from './scalar-argument.ts';

// ---- arange

const arangeOperator: Operator<{ dtype: DType; compute: DType }> = {
  name: 'arange',
  paramTypes: ({ compute }) => [compute, compute],
  body: (_, { constants: { dtype, compute }, dims, params: [start, step] }) => [
    iota(dims, 0).cast(compute).mul(step).add(start).cast(dtype),
  ],
};

const isWhole = (x: ScalarArgument): boolean => scalarKind(x) === 'int' || scalarKind(x) === 'bool';

/** `inclusive` is `range`, which counts the end too. */
function arangeOf(
  bounds: readonly [ScalarArgument, ScalarArgument, ScalarArgument],
  type: DType,
  device: string | null,
  inclusive: boolean,
): Tensor {
  const given = bounds.map((x) => Number(scalarValue(x)));
  // Only for int64 does PyTorch make integers of the bounds before it counts.
  const [a, b, s] = type === int64 ? given.map(Math.trunc) : given;
  if (s === 0) throw new Error('step must be nonzero');
  if (!Number.isFinite(a) || !Number.isFinite(b)) throw new Error(`unsupported range: ${a} -> ${b}`);
  if ((s > 0 && b < a) || (s < 0 && b > a)) throw new Error('upper bound and lower bound inconsistent with step sign');
  const steps = (b - a) / s;
  const count = inclusive ? Math.floor(steps) + 1 : Math.ceil(steps);
  const compute = type.kind === 'int' ? int64 : float64;
  const number = (x: number): number | bigint => (compute === int64 ? BigInt(Math.trunc(x)) : x);
  const constants = constantsOf(`arange:${type.name}`, () => ({ dtype: type, compute }));
  return record(arangeOperator as never, [], { constants, dims: [count], params: [number(a), number(s)], device: deviceOf(device) })[0];
}

function arange(
  start: ScalarArgument,
  end: ScalarArgument,
  step: ScalarArgument,
  dtype: DType | null,
  layout: string | null,
  device: string | null,
  grad: boolean,
): Tensor {
  checkLayout(layout);
  const whole = [start, end, step].every(isWhole);
  return withGrad(arangeOf([start, end, step], dtype ?? (whole ? int64 : getDefaultDtype()), device, false), grad);
}

// ---- linspace and logspace

interface SpaceConstants {
  readonly dtype: DType;
  readonly real: DType;
  readonly power: boolean;
}

/** From `start` by `step` in the first half, back from `end` in the second, as PyTorch does. params: start, step, end, half, last. */
function evenly(n: Prim, [start, step, end, half, last]: readonly Prim[]): Prim {
  return n.lt(half).where(start.add(step.mul(n)), end.sub(step.mul(last.sub(n))));
}

const spaceOperator: Operator<SpaceConstants> = {
  name: 'linspace',
  paramTypes: ({ real, dtype }) => new Array<DType>(dtype.is_complex ? 9 : 6).fill(real),
  body: (_, { constants: { dtype, real, power }, dims, params }) => {
    const [half, last, base, ...ends] = params;
    const n = iota(dims, 0).cast(real);
    const re = evenly(n, [ends[0], ends[1], ends[2], half, last]);
    if (!dtype.is_complex) return [(power ? base.scalar('pow', re) : re).cast(dtype)];
    const im = evenly(n, [ends[3], ends[4], ends[5], half, last]);
    if (!power) return [complexOf(re, im).cast(dtype)];
    const size = base.scalar('pow', re);
    const angle = im.mul(base.log());
    return [complexOf(size.mul(angle.scalar('cos')), size.mul(angle.scalar('sin'))).cast(dtype)];
  },
};

type Bound = Tensor | ScalarArgument;

function boundValue(x: Bound): ScalarArgument {
  return x instanceof Tensor ? (item(detached(x)) as ScalarArgument) : x;
}

function spaceOf(
  name: 'linspace' | 'logspace',
  start: Bound,
  end: Bound,
  steps: number,
  base: number,
  dtype: DType | null,
  layout: string | null,
  device: string | null,
  grad: boolean,
): Tensor {
  checkLayout(layout);
  for (const [which, x] of [
    ['start', start],
    ['end', end],
  ] as const)
    if (x instanceof Tensor && x.ndim > 0)
      throw new Error(`${name} only supports 0-dimensional start and end tensors, but got ${which} with ${x.ndim} dimension(s).`);
  if (steps < 0) throw new Error('number of steps must be non-negative');
  const [a, b] = [boundValue(start), boundValue(end)];
  const complex = [a, b].some((x) => scalarKind(x) === 'complex');
  const type = dtype ?? (complex ? getDefaultDtype().complex : getDefaultDtype());
  if (complex && !type.is_complex)
    throw new Error(`torch.${name}(): inferred dtype ${getDefaultDtype().complex} can't be safely cast to passed dtype ${type}`);
  const real = type.kind === 'int' ? float64 : computationDtype(type.is_complex ? type.real : type);
  // The ends are rounded to the result's dtype first.
  const held = (x: ScalarArgument): Complex => {
    const value = castValue(type, scalarKind(x) === 'complex' ? complexValue(x) : scalarValue(x));
    return typeof value === 'object' ? value : { re: Number(value as Exclude<ScalarValue, Complex>), im: 0 };
  };
  // One step is the start as it was given.
  const [from, to] = steps === 1 && type.kind !== 'int' ? [complexValue(a), complexValue(b)] : [held(a), held(b)];
  const stride = (x: number, y: number): number => (steps > 1 ? (y - x) / (steps - 1) : 0);
  const params = [Math.floor(steps / 2), steps - 1, base, from.re, stride(from.re, to.re), to.re];
  if (type.is_complex) params.push(from.im, stride(from.im, to.im), to.im);
  if (steps === 1) params[0] = 1;
  const made = record(spaceOperator as never, [], {
    constants: constantsOf(`${name}:${type.name}`, () => ({ dtype: type, real, power: name === 'logspace' })),
    dims: [steps],
    params,
    device: deviceOf(device),
  })[0];
  return withGrad(made, grad);
}

// ---- identity, triangles of indices, powers

const eyeOperator: Operator<{ dtype: DType }> = {
  name: 'eye',
  body: (_, { constants: { dtype }, dims }) => [iota(dims, 0).eq(iota(dims, 1)).where(constant(1, dtype), constant(0, dtype))],
};

function eyeOf(n: number, m: number, dtype: DType, device: string | null): Tensor {
  if (n < 0) throw new Error(`n must be greater or equal to 0, got ${n}`);
  if (m < 0) throw new Error(`m must be greater or equal to 0, got ${m}`);
  return record(eyeOperator as never, [], {
    constants: constantsOf(`eye:${dtype.name}`, () => ({ dtype })),
    dims: [n, m],
    device: deviceOf(device),
  })[0];
}

/** Row and column indices of a triangle, row by row. */
function triangleIndices(
  rows: number,
  columns: number,
  offset: number,
  upper: boolean,
  dtype: DType | null,
  device: string | null,
): Tensor {
  if (rows < 0) throw new Error(`row must be non-negative, got${rows}`);
  if (columns < 0) throw new Error(`col must be non-negative, got${columns}`);
  const r: bigint[] = [];
  const c: bigint[] = [];
  for (let i = 0; i < rows; i++) {
    const from = upper ? Math.max(0, i + offset) : 0;
    const to = upper ? columns : Math.min(columns, i + offset + 1);
    for (let j = from; j < to; j++) {
      r.push(BigInt(i));
      c.push(BigInt(j));
    }
  }
  const both = fromBytes(viewBytes(BigInt64Array.from([...r, ...c])), [2, r.length], int64, device);
  return castTo(both, dtype ?? int64);
}

/** 1, x, x^2, ... as columns, by repeated products. */
const vanderOperator: Operator<{ columns: number; increasing: boolean; dtype: DType }> = {
  name: 'vander',
  body: ([x], { constants: { columns, increasing, dtype } }) => {
    const base = x.cast(computationDtype(dtype));
    const powers: Prim[] = [];
    for (let k = 0; k < columns; k++) powers.push(k === 0 ? full(x.shape, 1, base.dtype) : k === 1 ? base : powers[k - 1].mul(base));
    const ordered = increasing ? powers : powers.reverse();
    return [
      cat(
        ordered.map((p) => p.unsqueeze(1)),
        1,
      ).cast(dtype),
    ];
  },
};

function vanderOf(x: Tensor, n: number | null, increasing: boolean): Tensor {
  if (x.ndim !== 1) throw new Error('x must be a one-dimensional tensor.');
  const columns = n ?? x.view_.numel;
  if (columns < 0) throw new Error('N must be non-negative.');
  const dtype = x.dtype.kind === 'int' || x.dtype.kind === 'bool' ? int64 : x.dtype;
  if (columns === 0) return fromBytes(new Uint8Array(0), [x.view_.numel, 0], dtype, x.device);
  return record(vanderOperator as never, [x], {
    constants: constantsOf(`vander:${columns}:${increasing}:${dtype.name}`, () => ({ columns, increasing, dtype })),
  })[0];
}

const unravelOperator: Operator<{ size: bigint; below: bigint }> = {
  name: 'unravel_index',
  body: ([x], { constants: { size, below } }) => [
    x.cast(int64).scalar('idiv', constant(below, int64)).scalar('irem', constant(size, int64)).cast(x.dtype),
  ],
};
const greatest = 2n ** 63n - 1n;

/** Coordinates of flat positions in a tensor of this shape. */
export function unravelIndex(indices: Tensor, shape: readonly ScalarArgument[]): Tensor[] {
  if (indices.dtype.kind !== 'int') throw new TypeError(`expected 'indices' to be integer dtype, but got ${indices.dtype}`);
  const given = shape.map((d) => scalarValue(d));
  if (given.some((d) => d < 0))
    throw new RangeError(`'shape' cannot have negative values, but got (${shape.join(', ')}${shape.length === 1 ? ',' : ''})`);
  // A size that a double holds only rounded is the largest integer.
  const sizes = given.map((d) => (BigInt(d) > greatest ? greatest : BigInt(d)));
  return sizes.map((size, i) => {
    const product = sizes.slice(i + 1).reduce((a, b) => a * b, 1n);
    const below = product > greatest ? greatest : product === 0n ? 1n : product;
    const constants = constantsOf(`unravel:${size}:${below}`, () => ({ size: size === 0n ? 1n : size, below }));
    return record(unravelOperator as never, [indices], { constants })[0];
  });
}

const page = (name: string): string => `https://docs.pytorch.org/docs/stable/generated/torch.${name}.html`;

export const ranges = {
  arange: declare(
    { doc: `Evenly spaced numbers of a half-open range. ${page('arange')}`, as: 'function' },
    overload(
      'arange(Scalar end, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor',
      (end, dtype, layout, device, _pin, grad) => arange(0, end, 1, dtype, layout, device, grad),
    ),
    overload(
      'arange.start_step(Scalar start, Scalar end, Scalar step=1, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor',
      (start, end, step, dtype, layout, device, _pin, grad) => arange(start, end, step, dtype, layout, device, grad),
    ),
  ),
  range: declare(
    { doc: `Evenly spaced numbers, the end included; of the default dtype. ${page('range')}`, as: 'function' },
    overload(
      'range.step(Scalar start, Scalar end, Scalar step=1, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor',
      (start, end, step, dtype, layout, device, _pin, grad) => {
        checkLayout(layout);
        return withGrad(arangeOf([start, end, step], dtype ?? getDefaultDtype(), device, true), grad);
      },
    ),
  ),
  linspace: declare(
    { doc: `\`steps\` evenly spaced numbers, both ends included. ${page('linspace')}`, as: 'function' },
    overload(
      'linspace(Scalar start, Scalar end, int steps, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor',
      (start, end, steps, dtype, layout, device, _pin, grad) => spaceOf('linspace', start, end, steps, 1, dtype, layout, device, grad),
    ),
    overload(
      'linspace.Tensor_Tensor(Tensor start, Tensor end, int steps, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor',
      (start, end, steps, dtype, layout, device, _pin, grad) => spaceOf('linspace', start, end, steps, 1, dtype, layout, device, grad),
    ),
    overload(
      'linspace.Tensor_Scalar(Tensor start, Scalar end, int steps, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor',
      (start, end, steps, dtype, layout, device, _pin, grad) => spaceOf('linspace', start, end, steps, 1, dtype, layout, device, grad),
    ),
    overload(
      'linspace.Scalar_Tensor(Scalar start, Tensor end, int steps, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor',
      (start, end, steps, dtype, layout, device, _pin, grad) => spaceOf('linspace', start, end, steps, 1, dtype, layout, device, grad),
    ),
  ),
  logspace: declare(
    { doc: `Powers of \`base\` with evenly spaced exponents. ${page('logspace')}`, as: 'function' },
    overload(
      'logspace(Scalar start, Scalar end, int steps, float base=10., *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor',
      (start, end, steps, base, dtype, layout, device, _pin, grad) =>
        spaceOf('logspace', start, end, steps, base, dtype, layout, device, grad),
    ),
    overload(
      'logspace.Tensor_Tensor(Tensor start, Tensor end, int steps, float base=10., *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor',
      (start, end, steps, base, dtype, layout, device, _pin, grad) =>
        spaceOf('logspace', start, end, steps, base, dtype, layout, device, grad),
    ),
    overload(
      'logspace.Tensor_Scalar(Tensor start, Scalar end, int steps, float base=10., *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor',
      (start, end, steps, base, dtype, layout, device, _pin, grad) =>
        spaceOf('logspace', start, end, steps, base, dtype, layout, device, grad),
    ),
    overload(
      'logspace.Scalar_Tensor(Scalar start, Tensor end, int steps, float base=10., *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor',
      (start, end, steps, base, dtype, layout, device, _pin, grad) =>
        spaceOf('logspace', start, end, steps, base, dtype, layout, device, grad),
    ),
  ),
  eye: declare(
    { doc: `Ones on the diagonal, zeros elsewhere. ${page('eye')}`, as: 'function' },
    overload(
      'eye(SymInt n, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor',
      (n, dtype, layout, device, _pin, grad) => {
        checkLayout(layout);
        return withGrad(eyeOf(n, n, dtype ?? getDefaultDtype(), device), grad);
      },
    ),
    overload(
      'eye.m(SymInt n, SymInt m, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor',
      (n, m, dtype, layout, device, _pin, grad) => {
        checkLayout(layout);
        return withGrad(eyeOf(n, m, dtype ?? getDefaultDtype(), device), grad);
      },
    ),
  ),
  tril_indices: declare(
    { doc: `Row and column indices of the lower triangle. ${page('tril_indices')}`, as: 'function' },
    overload(
      'tril_indices(int row, int col, int offset=0, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor',
      (row, col, offset, dtype, _layout, device) => triangleIndices(row, col, offset, false, dtype, device),
    ),
  ),
  triu_indices: declare(
    { doc: `Row and column indices of the upper triangle. ${page('triu_indices')}`, as: 'function' },
    overload(
      'triu_indices(int row, int col, int offset=0, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor',
      (row, col, offset, dtype, _layout, device) => triangleIndices(row, col, offset, true, dtype, device),
    ),
  ),
  vander: declare(
    { doc: `A Vandermonde matrix: powers of the elements as columns. ${page('vander')}`, as: 'function' },
    overload('vander(Tensor x, int? N=None, bool increasing=False) -> Tensor', (x, n, increasing) => vanderOf(x, n, increasing)),
  ),
  unravel_index: declare(
    { doc: `Coordinates of flat positions: one tensor a dim of the shape. ${page('unravel_index')}`, as: 'function' },
    overload('unravel_index.int(Tensor indices, SymInt shape) -> Tensor[]', (indices, size) => unravelIndex(indices, [size])),
    overload('unravel_index(Tensor indices, Scalar[] shape) -> Tensor[]', (indices, shape) => unravelIndex(indices, shape)),
  ),
};

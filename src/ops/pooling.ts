/**
 * Pooling: https://docs.pytorch.org/docs/stable/nn.functional.html#pooling-functions
 *
 * A pool is one reduction over windows (`windows.ts`). Gradients add back what windows got, as a look-up along the window positions: the
 * maximum's where the position is that of the largest element (the first of equals, row-major), the average's everywhere. Large windows of a
 * maximum scatter instead, which costs one write a window.
 */
import { type DType, int32, int64 } from '../dtype/dtype.ts';
import { computationDtype, scalarTypeName } from '../dtype/promotion.ts';
import type { Operator } from '../graph/operator.ts';
import { constant, dimPrim, full, iota, type Prim, rowMajor } from '../graph/prim.ts';
import { type Dim, productOf } from '../shape/dim.ts';
import { constantsOf, record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { adaptivePooling, torchAdaptivePooling } from './adaptive-pooling.ts';
import { declare, overload } from './declare.ts';
import { shapeList } from './dims.ts';
import { fractionalPooling } from './fractional-pooling.ts';
import { maxUnpooling } from './max-unpooling.ts';
import { squeezeOf, unsqueezeOf } from './shape.ts';
import { use } from './use.ts';
import { type Sizes, spread, unbatched } from './window-arguments.ts';
import {
  addAtFlat,
  addWindows,
  axesFrom,
  flatPositions32,
  lowest,
  positionsOf,
  takeWindows,
  type Windows,
  windowCounts,
  windowKey,
  windowsAnElement,
  windowsOfElements,
} from './windows.ts';

interface PoolConstants {
  readonly windows: Windows;
  /** The number of windows is not what fits but what the call counted (its dims). */
  readonly counted: boolean;
  readonly average: AverageRule | null;
  readonly compute: DType;
}
interface AverageRule {
  /** Padding asked for at each end, which counts as elements if `includePad`. */
  readonly padding: readonly number[];
  readonly includePad: boolean;
  readonly divisor: number | null;
}

const countsOf = (x: Prim, c: PoolConstants, dims: readonly Dim[]): readonly Dim[] =>
  c.counted ? dims : windowCounts(x.shape.slice(2), c.windows);
const kernelSize = (w: Windows): number => w.kernel.reduce((n, k) => n * k, 1);

// ---- maximum

/** Above this many windows an element, gradients are scattered. */
const mostPositions = 64;

const windowsForMax = (x: Prim, c: PoolConstants, counts: readonly Dim[]): Prim =>
  takeWindows(x, c.windows, counts, constant(lowest(x.dtype), x.dtype));

/** The flat index of each window's largest element, in 32 bits: the first one (of NaNs too) that is not padding. */
function largestAt(x: Prim, c: PoolConstants, counts: readonly Dim[]): Prim {
  const { windows } = c;
  const spatial = x.shape.slice(2);
  const n = spatial.length;
  const axes = axesFrom(2, n);
  const values = windowsForMax(x, c, counts);
  const { shape } = values;
  let hit = values.eq(values.reduce('max', axes, true));
  if (x.dtype.is_floating_point) hit = hit.or(values.ne(values));
  positionsOf(shape, windows).forEach((at, i) => {
    if (windows.left[i] > 0) hit = hit.and(at.ge(0));
    if (windows.right[i] > 0) hit = hit.and(at.lt(dimPrim(spatial[i], int64)));
  });
  return hit.where(flatPositions32(shape, windows, spatial), constant(2 ** 31 - 1, int32)).reduce('min', axes);
}

/** Gradient of the maximum, given the flat index of each window's largest element. */
function scatterToLargest(g: Prim, flat: Prim, x: Prim, c: PoolConstants): Prim {
  const { windows } = c;
  const spatial = x.shape.slice(2);
  const n = spatial.length;
  if (windowsAnElement(windows) > mostPositions) return addAtFlat(g, flat, x.shape);
  const [at, each] = [flat, g].map((p) => windowsOfElements(p, windows, spatial));
  const strides = rowMajor(spatial);
  const own = spatial
    .map((_, i) =>
      iota(at.shape, at.ndim - n + i)
        .cast(flat.dtype)
        .mul(dimPrim(strides[i], flat.dtype)),
    )
    .reduce((a, b) => a.add(b));
  return at.eq(own).where(each, constant(0, g.dtype)).sum(axesFrom(2, n));
}

const maxPoolOperator = (withIndices: boolean): Operator<PoolConstants> => ({
  name: withIndices ? 'max_pool_with_indices' : 'max_pool',
  body: ([x], { constants: c, dims }) => {
    const counts = countsOf(x, c, dims);
    const values = windowsForMax(x, c, counts).reduce('max', axesFrom(2, c.windows.kernel.length));
    return withIndices ? [values, largestAt(x, c, counts).cast(int64)] : [values];
  },
  gradient: ([g], [x], outputs, { constants: c, dims }) => {
    if (g === null) return [null];
    const flat = withIndices ? outputs[1] : largestAt(x, c, countsOf(x, c, dims));
    return [scatterToLargest(g.cast(c.compute), flat, x, c).cast(x.dtype)];
  },
});
const maxPool = maxPoolOperator(false);
const maxPoolWithIndices = maxPoolOperator(true);

/** Inputs are the gradient, the indices and the forward call's input, whose own gradient is zero. */
const maxPoolBackward: Operator<{ readonly compute: DType }> = {
  name: 'max_pool_with_indices_backward',
  body: ([g, indices, x], { constants: c }) => [addAtFlat(g.cast(c.compute), indices, x.shape).cast(g.dtype)],
  gradient: ([d], [g, indices, x]) => {
    if (d === null) return [null, null, null];
    const flat = d.reshape([...d.shape.slice(0, 2), productOf(d.shape.slice(2))]);
    return [flat.lookup([iota(g.shape, 0), iota(g.shape, 1), indices]), null, full(x.shape, 0, x.dtype)];
  },
};

// ---- average

/** Elements that each window's average divides by. */
function averageCounts(x: Prim, c: PoolConstants, counts: readonly Dim[]): Prim | null {
  const { divisor, padding, includePad } = c.average!;
  const { kernel, stride, left } = c.windows;
  if (divisor !== null) return constant(divisor, c.compute);
  const plain = padding.every((p) => p === 0);
  if (!c.counted && (includePad || plain)) return constant(kernelSize(c.windows), c.compute);
  const shape = [...x.shape.slice(0, 2), ...counts];
  return counts
    .map((_, i) => {
      const start = iota(shape, 2 + i)
        .mul(stride[i])
        .sub(left[i]);
      const size = dimPrim(x.shape[2 + i], int64);
      const end = start.add(kernel[i]).minimum(size.add(padding[i]));
      return includePad ? end.sub(start) : end.minimum(size).sub(start.maximum(0));
    })
    .reduce((a, b) => a.mul(b))
    .cast(c.compute);
}

const divideBy = (x: Prim, by: Prim): Prim => (x.dtype.kind === 'int' ? x.scalar('idiv', by) : x.div(by));

const averagePool: Operator<PoolConstants> = {
  name: 'avg_pool',
  body: ([x], { constants: c, dims }) => {
    const counts = countsOf(x, c, dims);
    const sum = takeWindows(x.cast(c.compute), c.windows, counts).sum(axesFrom(2, c.windows.kernel.length));
    return [divideBy(sum, averageCounts(x, c, counts)!).cast(x.dtype)];
  },
  gradient: ([g], [x], _, { constants: c, dims }) => {
    if (g === null) return [null];
    const counts = countsOf(x, c, dims);
    let each = g.cast(c.compute).div(averageCounts(x, c, counts)!);
    const { windows } = c;
    const n = windows.kernel.length;
    const spatial = x.shape.slice(2);
    if (windowsAnElement(windows) <= 16) return [addWindows(spreadOver(each, windows.kernel), windows, spatial).cast(x.dtype)];
    // Large windows one dim at a time: the sum over a box is a sum of sums.
    for (let i = 0; i < n; i++) {
      const sizes = each.shape.slice(2).map((d, k) => (k === i ? x.shape[2 + i] : d));
      each = addWindows(spreadOver(each, oneDim(windows, i).kernel), oneDim(windows, i), sizes);
    }
    return [each.cast(x.dtype)];
  },
};

/** [N, C, *counts] -> [N, C, *kernel, *counts], the same at every position. */
const spreadOver = (g: Prim, kernel: readonly number[]): Prim =>
  g
    .reshape([...g.shape.slice(0, 2), ...kernel.map(() => 1), ...g.shape.slice(2)])
    .expand([...g.shape.slice(0, 2), ...kernel, ...g.shape.slice(2)]);

/** The windows along one dim, single elements along the others. */
function oneDim(w: Windows, dim: number): Windows {
  const only = (values: readonly number[], other: number): number[] => values.map((v, i) => (i === dim ? v : other));
  return {
    kernel: only(w.kernel, 1),
    stride: only(w.stride, 1),
    dilation: only(w.dilation, 1),
    left: only(w.left, 0),
    right: only(w.right, 0),
  };
}

// ---- calls

interface PoolArguments {
  readonly kernel: Sizes;
  readonly stride: Sizes | null;
  readonly padding: Sizes;
  readonly dilation: Sizes;
  readonly ceil: boolean;
}

const words = ['', 'int', 'two ints', 'three ints'];
const letters = [[''], ['W'], ['H', 'W'], ['T', 'H', 'W']];

/** Windows of a pool as PyTorch counts them; checks in PyTorch's order. */
function poolWindows(name: string, n: number, x: Tensor, a: PoolArguments): { windows: Windows; padding: number[]; counts: number[] } {
  const wrong =
    (what: string, optional = '') =>
    (): Error =>
      new Error(`${name}: ${what} must either be ${optional}a single int, or a tuple of ${words[n]}`);
  const kernel = spread(a.kernel, n, wrong('kernel_size'));
  const given = a.stride === null || (typeof a.stride !== 'number' && a.stride.length === 0) ? kernel : a.stride;
  const stride = spread(given, n, wrong('stride', 'omitted, '));
  const padding = spread(a.padding, n, wrong('padding'));
  const dilation = spread(a.dilation, n, wrong('dilation'));
  const list = (what: string, v: readonly number[]): string => v.map((d, i) => `${what}${letters[n][i]}: ${d}`).join(' ');
  if (kernel.some((k) => k <= 0)) throw new Error(`kernel size should be greater than zero, but got ${list('k', kernel)}`);
  if (stride.some((s) => s === 0)) throw new Error('stride should not be zero');
  if (stride.some((s) => s < 0)) throw new Error(`stride should be greater than zero, but got ${list('d', stride)}`);
  if (dilation.some((d) => d <= 0)) throw new Error(`dilation should be greater than zero, but got ${list('dilation', dilation)}`);
  if (padding.some((p) => p < 0)) {
    const at = padding.findIndex((p) => p < 0);
    throw new Error(`pad must be non-negative, but got pad: ${padding[at]}`);
  }
  const effective = kernel.map((k, i) => (k - 1) * dilation[i] + 1);
  padding.forEach((p, i) => {
    if (p <= Math.floor(effective[i] / 2)) return;
    throw new Error(
      n === 1
        ? `${name}() padding should be at most half of kernel size, but got padding=${p} and kernel_size=${kernel[i]}`
        : `pad should be at most half of effective kernel size, but got pad=${p}, kernel_size=${kernel[i]} and dilation=${dilation[i]}`,
    );
  });
  const spatial = x.view_.shape.slice(2);
  const counts = spatial.map((size, i) => {
    const room = size + 2 * padding[i] - effective[i] + (a.ceil ? stride[i] - 1 : 0);
    const count = Math.floor(room / stride[i]) + 1;
    // The last window must begin inside the input or its left padding.
    return a.ceil && (count - 1) * stride[i] >= size + padding[i] ? count - 1 : count;
  });
  if (counts.some((c) => c < 1)) {
    if (n === 1) throw new Error(`${name}() Invalid computed output size: ${counts[0]}`);
    const channels = x.view_.shape[1];
    throw new Error(
      `Given input size: (${[channels, ...spatial].join('x')}). Calculated output size: (${[channels, ...counts].join('x')}). Output size is too small`,
    );
  }
  const right = padding.map((p, i) => p + (a.ceil ? stride[i] - 1 : 0));
  return { windows: { kernel, stride, dilation, left: padding, right }, padding, counts };
}

function checkRank(name: string, n: number, x: Tensor): void {
  if (x.ndim === n + 1 || x.ndim === n + 2) return;
  if (n > 1) throw new Error(`non-empty ${n + 1}D or ${n + 2}D (batch mode) tensor expected for input`);
  if (name.startsWith('max'))
    throw new Error(
      `${name}: Expected 2D or 3D (batch mode) tensor with optional 0 dim batch size for input, but got:${shapeList(x.view_.shape)}`,
    );
  throw new Error(
    `Expected 2 to 3 dimensions, but got ${x.ndim}-dimensional tensor for argument #1 'self' (while checking arguments for ${name})`,
  );
}

function maxPoolOf(name: string, n: number, x: Tensor, args: PoolArguments, indices: boolean): Tensor[] {
  checkRank(name, n, x);
  if (x.ndim === n + 1) return unbatched(x, (batched) => maxPoolOf(name, n, batched, args, indices));
  if (x.dtype.is_complex || x.dtype.kind === 'bool') throw new Error(`"${name}" not implemented for '${scalarTypeName(x.dtype)}'`);
  const { windows, counts } = poolWindows(name, n, x, args);
  const compute = computationDtype(x.dtype);
  const constants = constantsOf(
    `max_pool:${windowKey(windows)}:${args.ceil}:${compute.name}`,
    (): PoolConstants => ({ windows, counted: args.ceil, average: null, compute }),
  );
  return record((indices ? maxPoolWithIndices : maxPool) as never, [x], { constants, dims: args.ceil ? counts : [] });
}

function averagePoolOf(name: string, n: number, x: Tensor, args: PoolArguments, includePad: boolean, divisor: number | null): Tensor {
  checkRank(name, n, x);
  if (divisor === 0) throw new Error('divisor must be not zero');
  if (x.ndim === n + 1) return unbatched(x, (batched) => averagePoolOf(name, n, batched, args, includePad, divisor));
  if (x.dtype.is_complex || x.dtype.kind === 'bool')
    throw new Error(`"${name}_out_frame" not implemented for '${scalarTypeName(x.dtype)}'`);
  const { windows, padding, counts } = poolWindows(name, n, x, args);
  const compute = computationDtype(x.dtype);
  const constants = constantsOf(
    `avg_pool:${windowKey(windows)}:${args.ceil}:${includePad}:${divisor}:${compute.name}`,
    (): PoolConstants => ({ windows, counted: args.ceil, average: { padding, includePad, divisor }, compute }),
  );
  return record(averagePool as never, [x], { constants, dims: args.ceil ? counts : [] })[0];
}

function maxPoolBackwardOf(g: Tensor, x: Tensor, indices: Tensor): Tensor {
  if (x.ndim === 3) return squeezeOf(maxPoolBackwardOf(unsqueezeOf(g, 0), unsqueezeOf(x, 0), unsqueezeOf(indices, 0)), [0]);
  const compute = computationDtype(g.dtype);
  const constants = constantsOf(`max_pool_backward:${compute.name}`, () => ({ compute }));
  return record(maxPoolBackward as never, [g, indices, x], { constants })[0];
}

/** p-norm of windows, as PyTorch composes it: (sum x^p)^(1/p), with the sign and relu of the sum. */
function lpPoolOf(name: string, n: number, x: Tensor, p: number, kernel: Sizes, stride: Sizes | null, ceil: boolean): Tensor {
  const size = spread(kernel, n, () => new Error(`${name}: kernel_size must either be a single int, or a tuple of ${words[n]}`));
  const args: PoolArguments = { kernel: size, stride, padding: 0, dilation: 1, ceil };
  const mean = averagePoolOf(`avg_pool${n}d`, n, use('pow', x, p), args, true, null);
  const sum = use(
    'mul',
    use('mul', use('sign', mean), use('relu', use('abs', mean))),
    size.reduce((a, b) => a * b, 1),
  );
  return use('pow', sum, 1 / p);
}

// ---- tables

const page = (name: string): string => `https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.${name}.html`;

function maxPools<const D extends 1 | 2 | 3>(n: D) {
  const name = `max_pool${n}d` as const;
  const both = (
    x: Tensor,
    kernel: Sizes,
    stride: Sizes | null,
    padding: Sizes,
    dilation: Sizes,
    ceil: boolean,
    indices: boolean,
  ): unknown => {
    const out = maxPoolOf(name, n, x, { kernel, stride, padding, dilation, ceil }, indices);
    return indices ? out : out[0];
  };
  return declare(
    { doc: `Largest element of ${n}-dimensional windows. ${page(name)}`, as: 'function', functional: true },
    overload(
      `max_pool${n}d(Tensor self, int[${n}] kernel_size, int[${n}]? stride=None, int[${n}] padding=0, int[${n}] dilation=1, bool ceil_mode=False) -> Tensor`,
      ((x: Tensor, k: Sizes, s: Sizes | null, p: Sizes, d: Sizes, ceil: boolean) => both(x, k, s, p, d, ceil, false)) as never,
    ),
    overload(
      `max_pool${n}d.return_indices(Tensor input, int[${n}] kernel_size, int[${n}]? stride=None, int[${n}] padding=0, int[${n}] dilation=1, bool ceil_mode=False, bool return_indices=False) -> (Tensor, Tensor)`,
      both as never,
    ),
  );
}

function maxPoolsWithIndices<const D extends 1 | 2 | 3>(n: D) {
  const name = `max_pool${n}d_with_indices` as const;
  return declare(
    { doc: `max_pool${n}d and the flat spatial index of each result. ${page(`max_pool${n}d`)}`, as: 'function', functional: true },
    overload(
      `max_pool${n}d_with_indices(Tensor self, int[${n}] kernel_size, int[${n}]? stride=None, int[${n}] padding=0, int[${n}] dilation=1, bool ceil_mode=False) -> (Tensor, Tensor)`,
      ((x: Tensor, kernel: Sizes, stride: Sizes | null, padding: Sizes, dilation: Sizes, ceil: boolean) =>
        maxPoolOf(name, n, x, { kernel, stride, padding, dilation, ceil }, true)) as never,
    ),
  );
}

function lpPool<const D extends 1 | 2 | 3>(n: D) {
  const name = `lp_pool${n}d` as const;
  return declare(
    { doc: `p-norm of ${n}-dimensional windows. ${page(name)}`, as: 'function' },
    overload(
      `lp_pool${n}d(Tensor input, float norm_type, int[${n}] kernel_size, int[${n}]? stride=None, bool ceil_mode=False) -> Tensor`,
      ((x: Tensor, p: number, kernel: Sizes, stride: Sizes | null, ceil: boolean) =>
        lpPoolOf(name, n, x, p, kernel, stride, ceil)) as never,
    ),
  );
}

function averagePools<const D extends 2 | 3>(n: D) {
  const name = `avg_pool${n}d` as const;
  return declare(
    { doc: `Average of ${n}-dimensional windows. ${page(name)}`, as: 'function' },
    overload(
      `avg_pool${n}d(Tensor self, int[${n}] kernel_size, int[${n}]? stride=None, int[${n}] padding=0, bool ceil_mode=False, bool count_include_pad=True, int? divisor_override=None) -> Tensor`,
      ((x: Tensor, kernel: Sizes, stride: Sizes | null, padding: Sizes, ceil: boolean, include: boolean, divisor: number | null) =>
        averagePoolOf(name, n, x, { kernel, stride, padding, dilation: 1, ceil }, include, divisor)) as never,
    ),
  );
}

/** In `torch` and in `nn.functional`. */
export const torchPooling = {
  max_pool1d: maxPools(1),
  max_pool2d: maxPools(2),
  max_pool3d: maxPools(3),
  max_pool1d_with_indices: maxPoolsWithIndices(1),
  avg_pool1d: declare(
    { doc: `Average of windows. ${page('avg_pool1d')}`, as: 'function', functional: true },
    overload(
      'avg_pool1d(Tensor self, int[1] kernel_size, int[1]? stride=None, int[1] padding=0, bool ceil_mode=False, bool count_include_pad=True) -> Tensor',
      (x, kernel, stride, padding, ceil, include) =>
        averagePoolOf('avg_pool1d', 1, x, { kernel, stride, padding, dilation: 1, ceil }, include, null),
    ),
  ),
  ...torchAdaptivePooling,
};

export const pooling = {
  max_pool2d_with_indices: maxPoolsWithIndices(2),
  max_pool3d_with_indices: maxPoolsWithIndices(3),
  avg_pool2d: averagePools(2),
  avg_pool3d: averagePools(3),
  lp_pool1d: lpPool(1),
  lp_pool2d: lpPool(2),
  lp_pool3d: lpPool(3),
  ...adaptivePooling,
  ...maxUnpooling,
  ...fractionalPooling,
};

/** In `torch.ops.aten` only. */
export const atenPooling = {
  max_pool2d_with_indices_backward: declare(
    {
      doc: 'Gradient of max_pool2d, given its indices. https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.max_pool2d.html',
    },
    overload(
      'max_pool2d_with_indices_backward(Tensor grad_output, Tensor self, int[2] kernel_size, int[2] stride, int[2] padding, int[2] dilation, bool ceil_mode, Tensor indices) -> Tensor',
      (g, x, _kernel, _stride, _padding, _dilation, _ceil, indices) => maxPoolBackwardOf(g, x, indices),
    ),
  ),
};

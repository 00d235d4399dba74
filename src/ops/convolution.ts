/**
 * Convolutions: https://docs.pytorch.org/docs/stable/nn.functional.html#convolution-functions
 *
 * Three products are all there is, with x [N, C, *spatial], g [N, O, *out] and the weight [O, C / groups, *kernel]:
 *   correlate(x, w)  -> g   weight times windows of x            (convolution; input gradient of a transposed one)
 *   spread(g, w)     -> x   weight transposed times g, added up  (transposed convolution; input gradient of a convolution)
 *   collect(x, g)    -> w   g times windows of x                 (weight gradient of both)
 * Windows that are not a reshape of x are written out once as the operand of the product (im2col). A filter for each channel (depthwise) has no
 * product worth the name: it is a reduction over the windows. Half types are computed in float32 and rounded once.
 */
import type { DType } from '../dtype/dtype.ts';
import { computationDtype, scalarTypeName } from '../dtype/promotion.ts';
import type { Operator } from '../graph/operator.ts';
import type { Prim } from '../graph/prim.ts';
import type { Dim } from '../shape/dim.ts';
import * as dimsOf from '../shape/dim.ts';
import { constantsOf, record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { declare, overload } from './declare.ts';
import { shapeList } from './dims.ts';
import { use } from './use.ts';
import { type Sizes, spread as spreadSizes, times, unbatched } from './window-arguments.ts';
import { addWindows, takeWindows, type Windows, windowCounts, windowKey } from './windows.ts';

interface ConvolutionConstants {
  readonly windows: Windows;
  readonly groups: number;
  readonly bias: boolean;
  readonly transposed: boolean;
  readonly outputPadding: readonly number[];
  readonly compute: DType;
}

// ---- the three products

const over = (d: Dim, n: number): Dim => dimsOf.exactQuotient(d, n) ?? dimsOf.quotient(d, n);
const isDepthwise = (weight: Prim, groups: number): boolean => groups > 1 && weight.shape[1] === 1;
const ones = (n: number): number[] => Array<number>(n).fill(1);
const range = (from: number, count: number): number[] => Array.from({ length: count }, (_, i) => from + i);

function correlate(x: Prim, weight: Prim, c: ConvolutionConstants, counts: readonly Dim[]): Prim {
  const { windows, groups } = c;
  const n = windows.kernel.length;
  const [batch, channels] = x.shape;
  const filters = weight.shape[0];
  const cols = takeWindows(x, windows, counts);
  if (isDepthwise(weight, groups)) {
    const each = over(filters, groups);
    const shape = [batch, groups, each, ...windows.kernel, ...counts];
    const product = cols
      .reshape([batch, groups, 1, ...windows.kernel, ...counts])
      .expand(shape)
      .mul(weight.reshape([1, groups, each, ...windows.kernel, ...ones(n)]).expand(shape));
    return product.sum(range(3, n)).reshape([batch, filters, ...counts]);
  }
  const inner = dimsOf.mul(over(channels, groups), size(windows));
  const length = dimsOf.productOf(counts);
  const lead = groups === 1 ? [batch] : [batch, groups];
  const rows = over(filters, groups);
  const left = weight.reshape([...(groups === 1 ? [1] : [1, groups]), rows, inner]).expand([...lead, rows, inner]);
  return left.dot(cols.reshape([...lead, inner, length])).reshape([batch, filters, ...counts]);
}

function spread(g: Prim, weight: Prim, c: ConvolutionConstants, spatial: readonly Dim[]): Prim {
  const { windows, groups } = c;
  const n = windows.kernel.length;
  const [batch, filters] = g.shape;
  const counts = g.shape.slice(2);
  const each = weight.shape[1];
  const channels = dimsOf.mul(each, groups);
  let cols: Prim;
  if (isDepthwise(weight, groups)) {
    const per = over(filters, groups);
    const shape = [batch, groups, per, ...windows.kernel, ...counts];
    cols = g
      .reshape([batch, groups, per, ...ones(n), ...counts])
      .expand(shape)
      .mul(weight.reshape([1, groups, per, ...windows.kernel, ...ones(n)]).expand(shape))
      .sum([2]);
  } else {
    const rows = over(filters, groups);
    const inner = dimsOf.mul(each, size(windows));
    const lead = groups === 1 ? [batch] : [batch, groups];
    const left = weight.reshape([...(groups === 1 ? [1] : [1, groups]), rows, inner]).mT.expand([...lead, inner, rows]);
    cols = left.dot(g.reshape([...lead, rows, dimsOf.productOf(counts)]));
  }
  return addWindows(cols.reshape([batch, channels, ...windows.kernel, ...counts]), windows, spatial);
}

function collect(x: Prim, g: Prim, weightShape: readonly Dim[], c: ConvolutionConstants): Prim {
  const { windows, groups } = c;
  const n = windows.kernel.length;
  const [batch, channels] = x.shape;
  const filters = g.shape[1];
  const counts = g.shape.slice(2);
  const rows = over(filters, groups);
  const length = dimsOf.productOf(counts);
  const cols = takeWindows(x, windows, counts);
  if (rows === 1 || (groups > 1 && channels === groups)) {
    // One filter or one channel a group: no product worth the name. [groups, filters, channels, *kernel, N, *out], reduced over its end.
    const each = over(channels, groups);
    const order = [1, 2, 3, ...range(4, n), 0, ...range(4 + n, n)];
    const shape = [groups, rows, each, ...windows.kernel, batch, ...counts];
    const g2 = g.reshape([batch, groups, rows, 1, ...ones(n), ...counts]).permute(order);
    const x2 = cols.reshape([batch, groups, 1, each, ...windows.kernel, ...counts]).permute(order);
    return g2
      .expand(shape)
      .mul(x2.expand(shape))
      .sum(range(3 + n, 1 + n))
      .reshape(weightShape);
  }
  const inner = dimsOf.mul(over(channels, groups), size(windows));
  if (dimsOf.provablyAtMost(filters, length)) {
    // A product for each image, then their sum: the products are no larger than the windows.
    const lead = groups === 1 ? [batch] : [batch, groups];
    const products = g.reshape([...lead, rows, length]).dot(cols.reshape([...lead, inner, length]).mT);
    return products.sum([0]).reshape(weightShape);
  }
  const lead = groups === 1 ? [] : [groups];
  const all = dimsOf.mul(batch, length);
  const g2 = g
    .reshape([batch, groups, rows, length])
    .permute([1, 2, 0, 3])
    .reshape([...lead, rows, all]);
  const x2 = cols
    .reshape([batch, groups, inner, length])
    .permute([1, 2, 0, 3])
    .reshape([...lead, inner, all]);
  return g2.dot(x2.mT).reshape(weightShape);
}

const size = (w: Windows): number => w.kernel.reduce((n, k) => n * k, 1);

/** Spatial sizes of a transposed convolution's result. */
const transposedSizes = (spatial: readonly Dim[], { windows: w, outputPadding }: ConvolutionConstants): Dim[] =>
  spatial.map((d, i) =>
    dimsOf.add(
      dimsOf.mul(dimsOf.sub(d, 1), w.stride[i]),
      w.dilation[i] * (w.kernel[i] - 1) + 1 + outputPadding[i] - w.left[i] - w.right[i],
    ),
  );

const convolutionOperator: Operator<ConvolutionConstants> = {
  name: 'convolution',
  body: ([x, weight, bias], { constants: c }) => {
    const direct = bias === undefined && !c.transposed && !isDepthwise(weight, c.groups);
    const type = direct ? x.dtype : c.compute;
    const [a, w] = [x.cast(type), weight.cast(type)];
    const spatial = x.shape.slice(2);
    const out = c.transposed ? spread(a, w, c, transposedSizes(spatial, c)) : correlate(a, w, c, windowCounts(spatial, c.windows));
    if (bias === undefined) return [out.cast(x.dtype)];
    return [out.add(bias.cast(type).reshape([1, bias.shape[0], ...spatial.map(() => 1)])).cast(x.dtype)];
  },
  gradient: ([g], [x, weight, bias], _, { constants: c }) => {
    if (g === null) return [null, null, null];
    const [a, w, d] = [x.cast(c.compute).conj(), weight.cast(c.compute).conj(), g.cast(c.compute)];
    const spatial = x.shape.slice(2);
    const forInput = c.transposed ? correlate(d, w, c, spatial) : spread(d, w, c, spatial);
    // Of a transposed convolution the windows are those of its result: sum over windows of g times conj(x).
    const forWeight = c.transposed ? collect(d, a, weight.shape, c) : collect(a, d, weight.shape, c);
    return [
      forInput.cast(x.dtype),
      forWeight.cast(weight.dtype),
      bias === undefined ? null : d.sum([0, ...range(2, spatial.length)]).cast(bias.dtype),
    ];
  },
};

// ---- calls

interface ConvolutionArguments {
  readonly stride: Sizes;
  readonly padding: Sizes | string;
  readonly dilation: Sizes;
  readonly groups: number;
  readonly transposed: boolean;
  readonly outputPadding: Sizes;
}

const wrongLength =
  (what: string, n: number) =>
  (value: readonly number[]): Error =>
    new Error(
      `expected ${what} to be a single integer value or a list of ${n} values to match the convolution dimensions, but got ${what}=${shapeList(value)}`,
    );

/** Padding at both ends: the same numbers, or what keeps the size ('same': the odd one goes to the right). */
function paddingOf(padding: Sizes | string, n: number, effective: readonly number[], stride: readonly number[]): [number[], number[]] {
  if (typeof padding !== 'string') {
    const both = spreadSizes(padding, n, wrongLength('padding', n));
    return [both, both];
  }
  if (padding === 'valid') return [Array<number>(n).fill(0), Array<number>(n).fill(0)];
  if (padding !== 'same') throw new Error(`Invalid padding string: '${padding}'`);
  if (stride.some((s) => s !== 1)) throw new Error("padding='same' is not supported for strided convolutions");
  const left = effective.map((e) => Math.floor((e - 1) / 2));
  return [left, effective.map((e, i) => e - 1 - left[i])];
}

function convolutionOf(name: string, n: number, x: Tensor, weight: Tensor, bias: Tensor | null, args: ConvolutionArguments): Tensor {
  if (x.ndim === n + 1) return unbatched(x, (batched) => convolutionOf(name, n, batched, weight, bias, args));
  if (x.ndim !== n + 2)
    throw new Error(
      `Expected ${n + 1}D (unbatched) or ${n + 2}D (batched) input to ${name}, but got input of size: ${shapeList(x.view_.shape)}`,
    );
  const { groups, transposed } = args;
  const kernel = weight.view_.shape.slice(2);
  const stride = spreadSizes(args.stride, n, wrongLength('stride', n));
  const dilation = spreadSizes(args.dilation, n, wrongLength('dilation', n));
  const outputPadding = spreadSizes(args.outputPadding, n, wrongLength('output_padding', n));
  const effective = kernel.map((k, i) => dilation[i] * (k - 1) + 1);
  const [left, right] = paddingOf(args.padding, n, effective, stride);
  if (groups <= 0) throw new Error('non-positive groups is not supported');
  if (outputPadding.some((p) => p < 0)) throw new Error('negative output_padding is not supported');
  if (left.some((p) => p < 0)) throw new Error('negative padding is not supported');
  if (stride.some((s) => s <= 0)) throw new Error('non-positive stride is not supported');
  if (dilation.some((d) => d <= 0)) throw new Error(`dilation should be greater than zero, but got ${shapeList(dilation)}`);
  const shown = shapeList(weight.view_.shape);
  if (weight.ndim !== n + 2)
    throw new Error(
      `Expected ${weight.ndim}-dimensional input for ${weight.ndim}-dimensional weight ${shown}, but got ${x.ndim}-dimensional input of size ${shapeList(x.view_.shape)} instead`,
    );
  if (weight.view_.shape[0] < groups)
    throw new Error(
      `Given groups=${groups}, expected weight to be at least ${groups} at dimension 0, but got weight of size ${shown} instead`,
    );
  if (weight.view_.shape[0] % groups !== 0)
    throw new Error(
      `Given groups=${groups}, expected weight to be divisible by ${groups} at dimension 0, but got weight of size ${shown} instead`,
    );
  const channels = transposed ? weight.view_.shape[0] : weight.view_.shape[1] * groups;
  const filters = transposed ? weight.view_.shape[1] * groups : weight.view_.shape[0];
  const given = transposed ? `Given transposed=${groups}` : `Given groups=${groups}`;
  if (x.view_.shape[1] !== channels)
    throw new Error(
      `${given}, weight of size ${shown}, expected input${shapeList(x.view_.shape)} to have ${channels} channels, but got ${x.view_.shape[1]} channels instead`,
    );
  if (bias !== null && (bias.ndim !== 1 || bias.view_.shape[0] !== filters))
    throw new Error(
      `${transposed ? 'Given transposed=1, weight' : 'Given weight'} of size ${shown}, expected bias to be 1-dimensional with ${filters} elements, but got bias of size ${shapeList(bias.view_.shape)} instead`,
    );
  const spatial = x.view_.shape.slice(2);
  if (!transposed) {
    const padded = spatial.map((d, i) => d + left[i] + right[i]);
    if (padded.some((d, i) => d < effective[i]))
      throw new Error(
        `Calculated padded input size per channel: (${times(padded)}). Kernel size: (${times(effective)}). Kernel size can't be greater than actual input size`,
      );
  }
  checkTypes(n, x, weight, bias);
  const compute = computationDtype(x.dtype);
  const windows: Windows = { kernel, stride, dilation, left, right };
  const make = (): ConvolutionConstants => ({ windows, groups, bias: bias !== null, transposed, outputPadding, compute });
  if (transposed) {
    outputPadding.forEach((p, i) => {
      if (p >= stride[i] && p >= dilation[i]) throw new Error(outputPaddingText(n, outputPadding, stride, dilation));
    });
    const out = transposedSizes(spatial, make()) as number[];
    if (out.some((d) => d < 1))
      throw new Error(
        `Given input size per channel: (${times(spatial)}). Calculated output size per channel: (${times(out)}). Output size is too small`,
      );
  }
  const constants = constantsOf(
    `convolution:${windowKey(windows)}:${groups}:${bias !== null}:${transposed}:${outputPadding}:${compute.name}`,
    make,
  );
  return record(convolutionOperator as never, bias === null ? [x, weight] : [x, weight, bias], { constants })[0];
}

function checkTypes(n: number, x: Tensor, weight: Tensor, bias: Tensor | null): void {
  const short = (d: DType): string =>
    (({ float32: 'float', float64: 'double', int64: 'long int' }) as Record<string, string>)[d.name] ?? d.name;
  if (bias !== null && bias.dtype !== x.dtype)
    throw new Error(`Input type (${short(x.dtype)}) and bias type (${short(bias.dtype)}) should be the same`);
  if (weight.dtype !== x.dtype)
    throw new Error(`expected scalar type ${scalarTypeName(x.dtype)} but found ${scalarTypeName(weight.dtype)}`);
  if (x.dtype.kind === 'bool') throw new Error(`"slow_conv${n === 3 ? 3 : 2}d_cpu" not implemented for 'Bool'`);
}

function outputPaddingText(n: number, padding: readonly number[], stride: readonly number[], dilation: readonly number[]): string {
  // One-dimensional convolutions are two-dimensional ones of height one, and say so.
  const full = (v: readonly number[], fill: number): readonly number[] => (n === 1 ? [fill, ...v] : v);
  const names = n === 3 ? ['depth', 'height', 'width'] : ['height', 'width'];
  const list = (what: string, v: readonly number[], fill: number): string =>
    full(v, fill)
      .map((d, i) => `${what}_${names[i]}: ${d}`)
      .join(' ');
  return `output padding must be smaller than either stride or dilation, but got ${list('output_padding', padding, 0)} ${list('stride', stride, 1)} ${list('dilation', dilation, 1)}`;
}

const page = (name: string): string => `https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.${name}.html`;

/** The two overloads of conv1d, conv2d, conv3d: padding by name, or by numbers. */
function conv<const D extends 1 | 2 | 3>(n: D) {
  const name = `conv${n}d` as const;
  const call = (
    x: Tensor,
    weight: Tensor,
    bias: Tensor | null,
    stride: Sizes,
    padding: Sizes | string,
    dilation: Sizes,
    groups: number,
  ): Tensor => convolutionOf(name, n, x, weight, bias, { stride, padding, dilation, groups, transposed: false, outputPadding: 0 });
  return declare(
    { doc: `${n}-dimensional convolution (cross-correlation). ${page(name)}`, as: 'function', functional: true },
    overload(
      `conv${n}d.padding(Tensor input, Tensor weight, Tensor? bias=None, SymInt[${n}] stride=1, str padding="valid", SymInt[${n}] dilation=1, SymInt groups=1) -> Tensor`,
      call as never,
    ),
    overload(
      `conv${n}d(Tensor input, Tensor weight, Tensor? bias=None, SymInt[${n}] stride=1, SymInt[${n}] padding=0, SymInt[${n}] dilation=1, SymInt groups=1) -> Tensor`,
      call as never,
    ),
  );
}

function convTranspose<const D extends 1 | 2 | 3>(n: D) {
  const name = `conv_transpose${n}d` as const;
  const call = (
    x: Tensor,
    weight: Tensor,
    bias: Tensor | null,
    stride: Sizes,
    padding: Sizes,
    outputPadding: Sizes,
    groups: number,
    dilation: Sizes,
  ): Tensor => convolutionOf(name, n, x, weight, bias, { stride, padding, dilation, groups, transposed: true, outputPadding });
  return declare(
    { doc: `${n}-dimensional transposed convolution: the gradient of a convolution. ${page(name)}`, as: 'function', functional: true },
    overload(
      `conv_transpose${n}d.input(Tensor input, Tensor weight, Tensor? bias=None, SymInt[${n}] stride=1, SymInt[${n}] padding=0, SymInt[${n}] output_padding=0, SymInt groups=1, SymInt[${n}] dilation=1) -> Tensor`,
      call as never,
    ),
  );
}

/** In `torch` and in `nn.functional`. */
export const torchConvolutions = {
  conv1d: conv(1),
  conv2d: conv(2),
  conv3d: conv(3),
  conv_transpose1d: convTranspose(1),
  conv_transpose2d: convTranspose(2),
  conv_transpose3d: convTranspose(3),
  conv_tbc: declare(
    { doc: `1-dimensional convolution of [time, batch, channels]. ${page('conv_tbc')}`, as: 'function', functional: true },
    overload('conv_tbc(Tensor self, Tensor weight, Tensor bias, int pad=0) -> Tensor', (x, weight, bias, pad) => {
      if (x.ndim !== 3) throw new Error('Input must have 3 dims: time, batch, in_channel');
      if (weight.ndim !== 3) throw new Error('Weight tensor must have 3 dims: kernel_width, in_channels, out_channels.');
      const out = use('conv1d', use('permute', x, [1, 2, 0]), use('permute', weight, [2, 1, 0]), bias, 1, pad);
      return use('permute', out, [2, 0, 1]);
    }),
  ),
};

/** In `torch` only. */
export const torchConvolution = {
  convolution: declare(
    { doc: `Any convolution, by its number of kernel dims. ${page('conv2d')}`, as: 'function' },
    overload(
      'convolution(Tensor input, Tensor weight, Tensor? bias, SymInt[] stride, SymInt[] padding, SymInt[] dilation, bool transposed, SymInt[] output_padding, SymInt groups) -> Tensor',
      (x, weight, bias, stride, padding, dilation, transposed, outputPadding, groups) =>
        convolutionOf('convolution', weight.ndim - 2, x, weight, bias, { stride, padding, dilation, groups, transposed, outputPadding }),
    ),
  ),
};

export const convolutions = {};

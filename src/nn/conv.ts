/** Convolution layers: https://docs.pytorch.org/docs/stable/nn.html#convolution-layers */
import type { Tensor } from '../ops/methods.ts';
import { bindConstructor, type ConstructorArguments } from './arguments.ts';
import { functional } from './functional.ts';
import { kaiming_uniform_, uniform_ } from './init.ts';
import { Module } from './module.ts';
import { emptyParameter, type FactoryOptions, type Parameter } from './parameter.ts';
import { ntuple, type OutputSizeArgument, outputSizeOf, repr, type Size } from './sizes.ts';

export type PaddingMode = 'zeros' | 'reflect' | 'replicate' | 'circular';

export interface ConvArguments extends FactoryOptions {
  readonly in_channels: number;
  readonly out_channels: number;
  readonly kernel_size: Size;
  readonly stride?: Size;
  readonly padding?: Size | 'same' | 'valid';
  readonly dilation?: Size;
  readonly groups?: number;
  readonly bias?: boolean;
  readonly padding_mode?: PaddingMode;
}
export interface ConvTransposeArguments extends FactoryOptions {
  readonly in_channels: number;
  readonly out_channels: number;
  readonly kernel_size: Size;
  readonly stride?: Size;
  readonly padding?: Size;
  readonly output_padding?: Size;
  readonly groups?: number;
  readonly bias?: boolean;
  readonly dilation?: Size;
  readonly padding_mode?: PaddingMode;
}
const convOrder = [
  ...(['in_channels', 'out_channels', 'kernel_size', 'stride', 'padding', 'dilation', 'groups', 'bias', 'padding_mode'] as const),
  ...(['device', 'dtype'] as const),
] as const;
const convTransposeOrder = [
  ...(['in_channels', 'out_channels', 'kernel_size', 'stride', 'padding', 'output_padding', 'groups', 'bias', 'dilation'] as const),
  ...(['padding_mode', 'device', 'dtype'] as const),
] as const;
type ConvCall = ConstructorArguments<ConvArguments, typeof convOrder>;
type ConvTransposeCall = ConstructorArguments<ConvTransposeArguments, typeof convTransposeOrder>;

const defaults = { stride: 1, padding: 0, dilation: 1, groups: 1, bias: true, padding_mode: 'zeros', device: null, dtype: null } as const;

interface Shape extends FactoryOptions {
  readonly in_channels: number;
  readonly out_channels: number;
  readonly kernel_size: Size;
  readonly stride: Size;
  readonly padding: Size | string;
  readonly output_padding: Size;
  readonly dilation: Size;
  readonly groups: number;
  readonly bias: boolean;
  readonly padding_mode: PaddingMode;
}

/** What all six have in common. */
export abstract class ConvNd extends Module {
  in_channels: number;
  readonly out_channels: number;
  readonly kernel_size: readonly number[];
  readonly stride: readonly number[];
  readonly padding: readonly number[] | string;
  readonly dilation: readonly number[];
  readonly transposed: boolean;
  readonly output_padding: readonly number[];
  readonly groups: number;
  readonly padding_mode: PaddingMode;
  weight: Parameter;
  bias: Parameter | null;

  constructor(n: number, transposed: boolean, a: Shape) {
    super();
    const { in_channels, out_channels, groups, padding, padding_mode } = a;
    if (groups <= 0) throw new Error('groups must be a positive integer');
    if (in_channels % groups !== 0) throw new Error('in_channels must be divisible by groups');
    if (out_channels % groups !== 0) throw new Error('out_channels must be divisible by groups');
    const stride = ntuple(a.stride, n);
    if (typeof padding === 'string') {
      if (padding !== 'same' && padding !== 'valid')
        throw new Error(`Invalid padding string '${padding}', should be one of {'same', 'valid'}`);
      if (padding === 'same' && stride.some((s) => s !== 1)) throw new Error("padding='same' is not supported for strided convolutions");
    }
    if (!['zeros', 'reflect', 'replicate', 'circular'].includes(padding_mode))
      throw new Error(`padding_mode must be one of {'zeros', 'reflect', 'replicate', 'circular'}, but got padding_mode='${padding_mode}'`);
    if (transposed && padding_mode !== 'zeros') throw new Error(`Only "zeros" padding mode is supported for ${new.target.name}`);
    this.in_channels = in_channels;
    this.out_channels = out_channels;
    this.kernel_size = ntuple(a.kernel_size, n);
    this.stride = stride;
    this.padding = typeof padding === 'string' ? padding : ntuple(padding, n);
    this.dilation = ntuple(a.dilation, n);
    this.transposed = transposed;
    this.output_padding = ntuple(a.output_padding, n);
    this.groups = groups;
    this.padding_mode = padding_mode;
    const factory: FactoryOptions = { dtype: a.dtype ?? null, device: a.device ?? null };
    this.weight = emptyParameter(this.weightShape(), factory);
    this.bias = a.bias ? emptyParameter([out_channels], factory) : null;
    this.reset_parameters();
  }
  weightShape(): number[] {
    const { in_channels: from, out_channels: to, groups, kernel_size } = this;
    return this.transposed ? [from, to / groups, ...kernel_size] : [to, from / groups, ...kernel_size];
  }
  reset_parameters(): void {
    if (this.in_channels === 0) return;
    kaiming_uniform_(this.weight, { a: Math.sqrt(5) });
    const [, second, ...kernel] = this.weight.shape;
    const fan = kernel.reduce((a, b) => a * b, second);
    if (this.bias !== null && fan !== 0) uniform_(this.bias, -1 / Math.sqrt(fan), 1 / Math.sqrt(fan));
  }
  override extra_repr(): string {
    const zero = (v: readonly number[] | string): boolean => typeof v !== 'string' && v.every((d) => d === 0);
    let s = `${this.in_channels}, ${this.out_channels}, kernel_size=${repr(this.kernel_size)}, stride=${repr(this.stride)}`;
    // A name of a padding stands without quotes here.
    if (!zero(this.padding)) s += `, padding=${typeof this.padding === 'string' ? this.padding : repr(this.padding)}`;
    if (this.dilation.some((d) => d !== 1)) s += `, dilation=${repr(this.dilation)}`;
    if (!zero(this.output_padding)) s += `, output_padding=${repr(this.output_padding)}`;
    if (this.groups !== 1) s += `, groups=${this.groups}`;
    if (this.bias === null) s += ', bias=False';
    if (this.padding_mode !== 'zeros') s += `, padding_mode=${this.padding_mode}`;
    return s;
  }
}

type ConvFunction = (...args: unknown[]) => Tensor;

function convForward(m: ConvNd, f: unknown, x: Tensor): Tensor {
  const call = f as ConvFunction;
  if (m.padding_mode === 'zeros') return call(x, m.weight, m.bias, m.stride, m.padding, m.dilation, m.groups);
  const padded = functional.pad(x, sidesOf(m), m.padding_mode) as Tensor;
  return call(padded, m.weight, m.bias, m.stride, 0, m.dilation, m.groups);
}

/** Padding at both ends of each dim, the last dim first, as `pad` takes it. */
function sidesOf(m: ConvNd): number[] {
  return m.kernel_size
    .map((k, i): [number, number] => {
      if (typeof m.padding !== 'string') return [m.padding[i], m.padding[i]];
      const total = m.padding === 'same' ? m.dilation[i] * (k - 1) : 0;
      return [Math.floor(total / 2), total - Math.floor(total / 2)];
    })
    .reverse()
    .flat();
}

function convTransposeForward(m: ConvNd, f: unknown, x: Tensor, output_size: OutputSizeArgument): Tensor {
  const padding = outputPadding(m, x, outputSizeOf(output_size));
  return (f as ConvFunction)(x, m.weight, m.bias, m.stride, m.padding, padding, m.groups, m.dilation);
}

/** The output padding that gives `output_size`. */
function outputPadding(m: ConvNd, x: Tensor, output_size: readonly number[] | null): readonly number[] {
  if (output_size === null) return m.output_padding;
  const n = m.kernel_size.length;
  const lead = x.ndim === n + 2 ? 2 : 1;
  const wanted = output_size.length === lead + n ? output_size.slice(lead) : output_size;
  if (wanted.length !== n)
    throw new Error(`ConvTranspose${n}D: for ${x.ndim}D input, output_size must have ${n} or ${lead + n} elements (got ${wanted.length})`);
  const padding = m.padding as readonly number[];
  const least = m.kernel_size.map((k, i) => (x.shape[lead + i] - 1) * m.stride[i] - 2 * padding[i] + m.dilation[i] * (k - 1) + 1);
  const most = least.map((d, i) => d + m.stride[i] - 1);
  if (wanted.some((d, i) => d < least[i] || d > most[i]))
    throw new Error(
      `requested an output size of [${wanted.join(', ')}], but valid sizes range from [${least.join(', ')}] to [${most.join(', ')}] (for an input of torch.Size([${x.shape.slice(2).join(', ')}]))`,
    );
  return wanted.map((d, i) => d - least[i]);
}

const convShape = (name: string, args: readonly unknown[]): Shape => ({
  ...(bindConstructor<ConvArguments>(name, convOrder, defaults, args) as Omit<Shape, 'output_padding'>),
  output_padding: 0,
});
const convTransposeShape = (name: string, args: readonly unknown[]): Shape =>
  bindConstructor<ConvTransposeArguments>(name, convTransposeOrder, { ...defaults, output_padding: 0 }, args) as Shape;

/** https://docs.pytorch.org/docs/stable/generated/torch.nn.Conv1d.html */
export class Conv1d extends ConvNd {
  constructor(...args: ConvCall) {
    super(1, false, convShape('Conv1d', args));
  }
  override forward(input: Tensor): Tensor {
    return convForward(this, functional.conv1d, input);
  }
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.Conv2d.html */
export class Conv2d extends ConvNd {
  constructor(...args: ConvCall) {
    super(2, false, convShape('Conv2d', args));
  }
  override forward(input: Tensor): Tensor {
    return convForward(this, functional.conv2d, input);
  }
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.Conv3d.html */
export class Conv3d extends ConvNd {
  constructor(...args: ConvCall) {
    super(3, false, convShape('Conv3d', args));
  }
  override forward(input: Tensor): Tensor {
    return convForward(this, functional.conv3d, input);
  }
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.ConvTranspose1d.html */
export class ConvTranspose1d extends ConvNd {
  constructor(...args: ConvTransposeCall) {
    super(1, true, convTransposeShape('ConvTranspose1d', args));
  }
  override forward(input: Tensor, output_size: OutputSizeArgument = null): Tensor {
    return convTransposeForward(this, functional.conv_transpose1d, input, output_size);
  }
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.ConvTranspose2d.html */
export class ConvTranspose2d extends ConvNd {
  constructor(...args: ConvTransposeCall) {
    super(2, true, convTransposeShape('ConvTranspose2d', args));
  }
  override forward(input: Tensor, output_size: OutputSizeArgument = null): Tensor {
    return convTransposeForward(this, functional.conv_transpose2d, input, output_size);
  }
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.ConvTranspose3d.html */
export class ConvTranspose3d extends ConvNd {
  constructor(...args: ConvTransposeCall) {
    super(3, true, convTransposeShape('ConvTranspose3d', args));
  }
  override forward(input: Tensor, output_size: OutputSizeArgument = null): Tensor {
    return convTransposeForward(this, functional.conv_transpose3d, input, output_size);
  }
}

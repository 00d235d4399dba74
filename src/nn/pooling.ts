/** Pooling layers: https://docs.pytorch.org/docs/stable/nn.html#pooling-layers */
import type { Tensor } from '../ops/methods.ts';
import { bindConstructor, type ConstructorArguments } from './arguments.ts';
import { functional } from './functional.ts';
import { Module } from './module.ts';
import { ntuple, type OutputSizeArgument, outputSizeOf, repr, reprFields, type Size } from './sizes.ts';

/** With `return_indices` a pool gives its indices too. */
export type Pooled = Tensor & [Tensor, Tensor];

interface MaxPoolArguments {
  readonly kernel_size: Size;
  readonly stride?: Size | null;
  readonly padding?: Size;
  readonly dilation?: Size;
  readonly return_indices?: boolean;
  readonly ceil_mode?: boolean;
}
const maxPoolOrder = ['kernel_size', 'stride', 'padding', 'dilation', 'return_indices', 'ceil_mode'] as const;
type MaxPoolCall = ConstructorArguments<MaxPoolArguments, typeof maxPoolOrder>;

abstract class MaxPoolNd extends Module {
  readonly kernel_size: Size;
  readonly stride: Size;
  readonly padding: Size;
  readonly dilation: Size;
  readonly return_indices: boolean;
  readonly ceil_mode: boolean;
  constructor(module: string, args: MaxPoolCall) {
    super();
    const defaults = { stride: null, padding: 0, dilation: 1, return_indices: false, ceil_mode: false };
    const a = bindConstructor<MaxPoolArguments>(module, maxPoolOrder, defaults, args);
    this.kernel_size = a.kernel_size;
    this.stride = a.stride ?? a.kernel_size;
    this.padding = a.padding;
    this.dilation = a.dilation;
    this.return_indices = a.return_indices;
    this.ceil_mode = a.ceil_mode;
  }
  override extra_repr(): string {
    const { kernel_size, stride, padding, dilation, ceil_mode } = this;
    return reprFields({ kernel_size, stride, padding, dilation, ceil_mode });
  }
}
type PoolFunction = (...args: unknown[]) => Pooled;
const maxPool = (m: MaxPoolNd, f: unknown, x: Tensor): Pooled =>
  (f as PoolFunction)(x, m.kernel_size, m.stride, m.padding, m.dilation, m.ceil_mode, m.return_indices);

/** https://docs.pytorch.org/docs/stable/generated/torch.nn.MaxPool1d.html */
export class MaxPool1d extends MaxPoolNd {
  constructor(...args: MaxPoolCall) {
    super('MaxPool1d', args);
  }
  override forward(input: Tensor): Pooled {
    return maxPool(this, functional.max_pool1d, input);
  }
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.MaxPool2d.html */
export class MaxPool2d extends MaxPoolNd {
  constructor(...args: MaxPoolCall) {
    super('MaxPool2d', args);
  }
  override forward(input: Tensor): Pooled {
    return maxPool(this, functional.max_pool2d, input);
  }
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.MaxPool3d.html */
export class MaxPool3d extends MaxPoolNd {
  constructor(...args: MaxPoolCall) {
    super('MaxPool3d', args);
  }
  override forward(input: Tensor): Pooled {
    return maxPool(this, functional.max_pool3d, input);
  }
}

interface MaxUnpoolArguments {
  readonly kernel_size: Size;
  readonly stride?: Size | null;
  readonly padding?: Size;
}
const maxUnpoolOrder = ['kernel_size', 'stride', 'padding'] as const;
type MaxUnpoolCall = ConstructorArguments<MaxUnpoolArguments, typeof maxUnpoolOrder>;

abstract class MaxUnpoolNd extends Module {
  readonly kernel_size: readonly number[];
  readonly stride: readonly number[];
  readonly padding: readonly number[];
  constructor(module: string, n: number, args: MaxUnpoolCall) {
    super();
    const a = bindConstructor<MaxUnpoolArguments>(module, maxUnpoolOrder, { stride: null, padding: 0 }, args);
    this.kernel_size = ntuple(a.kernel_size, n);
    this.stride = ntuple(a.stride ?? a.kernel_size, n);
    this.padding = ntuple(a.padding, n);
  }
  override extra_repr(): string {
    const { kernel_size, stride, padding } = this;
    return reprFields({ kernel_size, stride, padding });
  }
}

/** https://docs.pytorch.org/docs/stable/generated/torch.nn.MaxUnpool1d.html */
export class MaxUnpool1d extends MaxUnpoolNd {
  constructor(...args: MaxUnpoolCall) {
    super('MaxUnpool1d', 1, args);
  }
  override forward(input: Tensor, indices: Tensor, output_size: OutputSizeArgument = null): Tensor {
    return functional.max_unpool1d(input, indices, this.kernel_size, this.stride, this.padding, outputSizeOf(output_size)) as Tensor;
  }
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.MaxUnpool2d.html */
export class MaxUnpool2d extends MaxUnpoolNd {
  constructor(...args: MaxUnpoolCall) {
    super('MaxUnpool2d', 2, args);
  }
  override forward(input: Tensor, indices: Tensor, output_size: OutputSizeArgument = null): Tensor {
    return functional.max_unpool2d(input, indices, this.kernel_size, this.stride, this.padding, outputSizeOf(output_size)) as Tensor;
  }
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.MaxUnpool3d.html */
export class MaxUnpool3d extends MaxUnpoolNd {
  constructor(...args: MaxUnpoolCall) {
    super('MaxUnpool3d', 3, args);
  }
  override forward(input: Tensor, indices: Tensor, output_size: OutputSizeArgument = null): Tensor {
    return functional.max_unpool3d(input, indices, this.kernel_size, this.stride, this.padding, outputSizeOf(output_size)) as Tensor;
  }
}

interface AvgPool1dArguments {
  readonly kernel_size: Size;
  readonly stride?: Size | null;
  readonly padding?: Size;
  readonly ceil_mode?: boolean;
  readonly count_include_pad?: boolean;
}
interface AvgPoolArguments extends AvgPool1dArguments {
  readonly divisor_override?: number | null;
}
const avgPool1dOrder = ['kernel_size', 'stride', 'padding', 'ceil_mode', 'count_include_pad'] as const;
const avgPoolOrder = [...avgPool1dOrder, 'divisor_override'] as const;
type AvgPool1dCall = ConstructorArguments<AvgPool1dArguments, typeof avgPool1dOrder>;
type AvgPoolCall = ConstructorArguments<AvgPoolArguments, typeof avgPoolOrder>;
const avgPoolDefaults = { stride: null, padding: 0, ceil_mode: false, count_include_pad: true };

/** https://docs.pytorch.org/docs/stable/generated/torch.nn.AvgPool1d.html */
export class AvgPool1d extends Module {
  readonly kernel_size: readonly number[];
  readonly stride: readonly number[];
  readonly padding: readonly number[];
  readonly ceil_mode: boolean;
  readonly count_include_pad: boolean;
  constructor(...args: AvgPool1dCall) {
    super();
    const a = bindConstructor<AvgPool1dArguments>('AvgPool1d', avgPool1dOrder, avgPoolDefaults, args);
    this.kernel_size = ntuple(a.kernel_size, 1);
    this.stride = ntuple(a.stride ?? a.kernel_size, 1);
    this.padding = ntuple(a.padding, 1);
    this.ceil_mode = a.ceil_mode;
    this.count_include_pad = a.count_include_pad;
  }
  override forward(input: Tensor): Tensor {
    return functional.avg_pool1d(input, this.kernel_size, this.stride, this.padding, this.ceil_mode, this.count_include_pad) as Tensor;
  }
  override extra_repr(): string {
    const { kernel_size, stride, padding } = this;
    return reprFields({ kernel_size, stride, padding });
  }
}

abstract class AvgPoolNd extends Module {
  readonly kernel_size: Size;
  readonly stride: Size;
  readonly padding: Size;
  readonly ceil_mode: boolean;
  readonly count_include_pad: boolean;
  readonly divisor_override: number | null;
  constructor(module: string, args: AvgPoolCall) {
    super();
    const a = bindConstructor<AvgPoolArguments>(module, avgPoolOrder, { ...avgPoolDefaults, divisor_override: null }, args);
    this.kernel_size = a.kernel_size;
    this.stride = a.stride ?? a.kernel_size;
    this.padding = a.padding;
    this.ceil_mode = a.ceil_mode;
    this.count_include_pad = a.count_include_pad;
    this.divisor_override = a.divisor_override;
  }
  override extra_repr(): string {
    const { kernel_size, stride, padding } = this;
    return reprFields({ kernel_size, stride, padding });
  }
}
const avgPool = (m: AvgPoolNd, f: unknown, x: Tensor): Tensor =>
  (f as PoolFunction)(x, m.kernel_size, m.stride, m.padding, m.ceil_mode, m.count_include_pad, m.divisor_override);

/** https://docs.pytorch.org/docs/stable/generated/torch.nn.AvgPool2d.html */
export class AvgPool2d extends AvgPoolNd {
  constructor(...args: AvgPoolCall) {
    super('AvgPool2d', args);
  }
  override forward(input: Tensor): Tensor {
    return avgPool(this, functional.avg_pool2d, input);
  }
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.AvgPool3d.html */
export class AvgPool3d extends AvgPoolNd {
  constructor(...args: AvgPoolCall) {
    super('AvgPool3d', args);
  }
  override forward(input: Tensor): Tensor {
    return avgPool(this, functional.avg_pool3d, input);
  }
}

interface FractionalArguments {
  readonly kernel_size: Size;
  readonly output_size?: Size | null;
  readonly output_ratio?: Size | null;
  readonly return_indices?: boolean;
  readonly _random_samples?: Tensor | null;
}
const fractionalOrder = ['kernel_size', 'output_size', 'output_ratio', 'return_indices', '_random_samples'] as const;
type FractionalCall = ConstructorArguments<FractionalArguments, typeof fractionalOrder>;

abstract class FractionalMaxPoolNd extends Module {
  readonly kernel_size: readonly number[];
  readonly output_size: readonly number[] | null;
  readonly output_ratio: readonly number[] | null;
  readonly return_indices: boolean;
  declare _random_samples: Tensor | null;
  constructor(module: string, n: number, args: FractionalCall) {
    super();
    const defaults = { output_size: null, output_ratio: null, return_indices: false, _random_samples: null };
    const a = bindConstructor<FractionalArguments>(module, fractionalOrder, defaults, args);
    this.kernel_size = ntuple(a.kernel_size, n);
    if (n === 3 && this.kernel_size.some((k) => k <= 0)) throw new Error(`kernel_size must greater than 0, but got ${repr(a.kernel_size)}`);
    this.return_indices = a.return_indices;
    this.register_buffer('_random_samples', a._random_samples);
    this.output_size = a.output_size === null ? null : ntuple(a.output_size, n);
    this.output_ratio = a.output_ratio === null ? null : ntuple(a.output_ratio, n);
    if (this.output_size === null && this.output_ratio === null)
      throw new Error(`${module} requires specifying either an output size, or a pooling ratio`);
    if (this.output_size !== null && this.output_ratio !== null)
      throw new Error('only one of output_size and output_ratio may be specified');
    if (this.output_ratio?.some((r) => r <= 0 || r >= 1))
      throw new Error(`output_ratio must be between 0 and 1 (got ${repr(a.output_ratio)})`);
  }
}
const fractional = (m: FractionalMaxPoolNd, f: unknown, x: Tensor): Pooled =>
  (f as PoolFunction)(x, m.kernel_size, m.output_size, m.output_ratio, m.return_indices, m._random_samples);

/** https://docs.pytorch.org/docs/stable/generated/torch.nn.FractionalMaxPool2d.html */
export class FractionalMaxPool2d extends FractionalMaxPoolNd {
  constructor(...args: FractionalCall) {
    super('FractionalMaxPool2d', 2, args);
  }
  override forward(input: Tensor): Pooled {
    return fractional(this, functional.fractional_max_pool2d, input);
  }
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.FractionalMaxPool3d.html */
export class FractionalMaxPool3d extends FractionalMaxPoolNd {
  constructor(...args: FractionalCall) {
    super('FractionalMaxPool3d', 3, args);
  }
  override forward(input: Tensor): Pooled {
    return fractional(this, functional.fractional_max_pool3d, input);
  }
}

interface LPPoolArguments {
  readonly norm_type: number;
  readonly kernel_size: Size;
  readonly stride?: Size | null;
  readonly ceil_mode?: boolean;
}
const lpPoolOrder = ['norm_type', 'kernel_size', 'stride', 'ceil_mode'] as const;
type LPPoolCall = ConstructorArguments<LPPoolArguments, typeof lpPoolOrder>;

abstract class LPPoolNd extends Module {
  readonly norm_type: number;
  readonly kernel_size: Size;
  readonly stride: Size | null;
  readonly ceil_mode: boolean;
  constructor(module: string, args: LPPoolCall) {
    super();
    const a = bindConstructor<LPPoolArguments>(module, lpPoolOrder, { stride: null, ceil_mode: false }, args);
    this.norm_type = a.norm_type;
    this.kernel_size = a.kernel_size;
    this.stride = a.stride;
    this.ceil_mode = a.ceil_mode;
  }
  override extra_repr(): string {
    const { norm_type, kernel_size, stride, ceil_mode } = this;
    return reprFields({ norm_type, kernel_size, stride, ceil_mode });
  }
}

/** https://docs.pytorch.org/docs/stable/generated/torch.nn.LPPool1d.html */
export class LPPool1d extends LPPoolNd {
  constructor(...args: LPPoolCall) {
    super('LPPool1d', args);
  }
  override forward(input: Tensor): Tensor {
    return functional.lp_pool1d(input, this.norm_type, this.kernel_size, this.stride, this.ceil_mode) as Tensor;
  }
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.LPPool2d.html */
export class LPPool2d extends LPPoolNd {
  constructor(...args: LPPoolCall) {
    super('LPPool2d', args);
  }
  override forward(input: Tensor): Tensor {
    return functional.lp_pool2d(input, this.norm_type, this.kernel_size, this.stride, this.ceil_mode) as Tensor;
  }
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.LPPool3d.html */
export class LPPool3d extends LPPoolNd {
  constructor(...args: LPPoolCall) {
    super('LPPool3d', args);
  }
  override forward(input: Tensor): Tensor {
    return functional.lp_pool3d(input, this.norm_type, this.kernel_size, this.stride, this.ceil_mode) as Tensor;
  }
}

/** Sizes to reach; null keeps the input's. */
type OutputSize = number | null | readonly (number | null)[];
interface AdaptiveAvgPoolArguments {
  readonly output_size: OutputSize;
}
interface AdaptiveMaxPoolArguments extends AdaptiveAvgPoolArguments {
  readonly return_indices?: boolean;
}
const adaptiveAvgOrder = ['output_size'] as const;
const adaptiveMaxOrder = ['output_size', 'return_indices'] as const;
type AdaptiveAvgCall = ConstructorArguments<AdaptiveAvgPoolArguments, typeof adaptiveAvgOrder>;
type AdaptiveMaxCall = ConstructorArguments<AdaptiveMaxPoolArguments, typeof adaptiveMaxOrder>;

abstract class AdaptivePoolNd extends Module {
  readonly output_size: OutputSize;
  constructor(output_size: OutputSize) {
    super();
    this.output_size = output_size;
  }
  override extra_repr(): string {
    return reprFields({ output_size: this.output_size });
  }
}
const adaptive = (f: unknown, x: Tensor, size: OutputSize, ...rest: unknown[]): Pooled => (f as PoolFunction)(x, size ?? [null], ...rest);

/** https://docs.pytorch.org/docs/stable/generated/torch.nn.AdaptiveAvgPool1d.html */
export class AdaptiveAvgPool1d extends AdaptivePoolNd {
  constructor(...args: AdaptiveAvgCall) {
    super(bindConstructor<AdaptiveAvgPoolArguments>('AdaptiveAvgPool1d', adaptiveAvgOrder, {}, args).output_size);
  }
  override forward(input: Tensor): Tensor {
    return adaptive(functional.adaptive_avg_pool1d, input, this.output_size);
  }
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.AdaptiveAvgPool2d.html */
export class AdaptiveAvgPool2d extends AdaptivePoolNd {
  constructor(...args: AdaptiveAvgCall) {
    super(bindConstructor<AdaptiveAvgPoolArguments>('AdaptiveAvgPool2d', adaptiveAvgOrder, {}, args).output_size);
  }
  override forward(input: Tensor): Tensor {
    return adaptive(functional.adaptive_avg_pool2d, input, this.output_size);
  }
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.AdaptiveAvgPool3d.html */
export class AdaptiveAvgPool3d extends AdaptivePoolNd {
  constructor(...args: AdaptiveAvgCall) {
    super(bindConstructor<AdaptiveAvgPoolArguments>('AdaptiveAvgPool3d', adaptiveAvgOrder, {}, args).output_size);
  }
  override forward(input: Tensor): Tensor {
    return adaptive(functional.adaptive_avg_pool3d, input, this.output_size);
  }
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.AdaptiveMaxPool1d.html */
export class AdaptiveMaxPool1d extends AdaptivePoolNd {
  readonly return_indices: boolean;
  constructor(...args: AdaptiveMaxCall) {
    const a = bindConstructor<AdaptiveMaxPoolArguments>('AdaptiveMaxPool1d', adaptiveMaxOrder, { return_indices: false }, args);
    super(a.output_size);
    this.return_indices = a.return_indices;
  }
  override forward(input: Tensor): Pooled {
    return adaptive(functional.adaptive_max_pool1d, input, this.output_size, this.return_indices);
  }
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.AdaptiveMaxPool2d.html */
export class AdaptiveMaxPool2d extends AdaptivePoolNd {
  readonly return_indices: boolean;
  constructor(...args: AdaptiveMaxCall) {
    const a = bindConstructor<AdaptiveMaxPoolArguments>('AdaptiveMaxPool2d', adaptiveMaxOrder, { return_indices: false }, args);
    super(a.output_size);
    this.return_indices = a.return_indices;
  }
  override forward(input: Tensor): Pooled {
    return adaptive(functional.adaptive_max_pool2d, input, this.output_size, this.return_indices);
  }
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.AdaptiveMaxPool3d.html */
export class AdaptiveMaxPool3d extends AdaptivePoolNd {
  readonly return_indices: boolean;
  constructor(...args: AdaptiveMaxCall) {
    const a = bindConstructor<AdaptiveMaxPoolArguments>('AdaptiveMaxPool3d', adaptiveMaxOrder, { return_indices: false }, args);
    super(a.output_size);
    this.return_indices = a.return_indices;
  }
  override forward(input: Tensor): Pooled {
    return adaptive(functional.adaptive_max_pool3d, input, this.output_size, this.return_indices);
  }
}

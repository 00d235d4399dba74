/** Padding layers: https://docs.pytorch.org/docs/stable/nn.html#padding-layers */
import type { Tensor } from '../ops/methods.ts';
import { bindConstructor, type ConstructorArguments } from './arguments.ts';
import { functional } from './functional.ts';
import { Module } from './module.ts';
import { ntuple, repr, reprFloat, type Size } from './sizes.ts';

interface PadArguments {
  readonly padding: Size;
}
interface ConstantPadArguments {
  readonly padding: Size;
  readonly value: number;
}
const padOrder = ['padding'] as const;
const constantPadOrder = ['padding', 'value'] as const;
type PadCall = ConstructorArguments<PadArguments, typeof padOrder>;
type ConstantPadCall = ConstructorArguments<ConstantPadArguments, typeof constantPadOrder>;
const paddingOf = (module: string, args: PadCall): Size => bindConstructor<PadArguments>(module, padOrder, {}, args).padding;

type Mode = 'constant' | 'reflect' | 'replicate' | 'circular';

/** A layer that pads its input's last `n` dims: (left, right, top, bottom, front, back). */
abstract class PadNd extends Module {
  readonly padding: readonly number[];
  constructor(n: number, padding: Size) {
    super();
    this.padding = ntuple(padding, 2 * n);
  }
  override extra_repr(): string {
    return repr(this.padding);
  }
}
const padded = (m: PadNd, x: Tensor, mode: Mode): Tensor => functional.pad(x, m.padding, mode) as Tensor;

/** A constant at the sides; the zero paddings say only the padding in their text. */
abstract class ConstantPadNd extends PadNd {
  readonly value: number;
  constructor(n: number, padding: Size, value: number) {
    super(n, padding);
    this.value = value;
  }
  override forward(input: Tensor): Tensor {
    return functional.pad(input, this.padding, 'constant', this.value) as Tensor;
  }
}

function checkRank(x: Tensor, n: number): void {
  if (x.ndim !== n + 1 && x.ndim !== n + 2) throw new Error(`expected ${n + 1}D or ${n + 2}D input (got ${x.ndim}D input)`);
}

/** https://docs.pytorch.org/docs/stable/generated/torch.nn.ReflectionPad1d.html */
export class ReflectionPad1d extends PadNd {
  constructor(...args: PadCall) {
    super(1, paddingOf('ReflectionPad1d', args));
  }
  override forward(input: Tensor): Tensor {
    return padded(this, input, 'reflect');
  }
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.ReflectionPad2d.html */
export class ReflectionPad2d extends PadNd {
  constructor(...args: PadCall) {
    super(2, paddingOf('ReflectionPad2d', args));
  }
  override forward(input: Tensor): Tensor {
    return padded(this, input, 'reflect');
  }
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.ReflectionPad3d.html */
export class ReflectionPad3d extends PadNd {
  constructor(...args: PadCall) {
    super(3, paddingOf('ReflectionPad3d', args));
  }
  override forward(input: Tensor): Tensor {
    return padded(this, input, 'reflect');
  }
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.ReplicationPad1d.html */
export class ReplicationPad1d extends PadNd {
  constructor(...args: PadCall) {
    super(1, paddingOf('ReplicationPad1d', args));
  }
  override forward(input: Tensor): Tensor {
    return padded(this, input, 'replicate');
  }
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.ReplicationPad2d.html */
export class ReplicationPad2d extends PadNd {
  constructor(...args: PadCall) {
    super(2, paddingOf('ReplicationPad2d', args));
  }
  override forward(input: Tensor): Tensor {
    return padded(this, input, 'replicate');
  }
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.ReplicationPad3d.html */
export class ReplicationPad3d extends PadNd {
  constructor(...args: PadCall) {
    super(3, paddingOf('ReplicationPad3d', args));
  }
  override forward(input: Tensor): Tensor {
    return padded(this, input, 'replicate');
  }
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.CircularPad1d.html */
export class CircularPad1d extends PadNd {
  constructor(...args: PadCall) {
    super(1, paddingOf('CircularPad1d', args));
  }
  override forward(input: Tensor): Tensor {
    checkRank(input, 1);
    return padded(this, input, 'circular');
  }
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.CircularPad2d.html */
export class CircularPad2d extends PadNd {
  constructor(...args: PadCall) {
    super(2, paddingOf('CircularPad2d', args));
  }
  override forward(input: Tensor): Tensor {
    checkRank(input, 2);
    return padded(this, input, 'circular');
  }
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.CircularPad3d.html */
export class CircularPad3d extends PadNd {
  constructor(...args: PadCall) {
    super(3, paddingOf('CircularPad3d', args));
  }
  override forward(input: Tensor): Tensor {
    checkRank(input, 3);
    return padded(this, input, 'circular');
  }
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.ConstantPad1d.html */
export class ConstantPad1d extends ConstantPadNd {
  constructor(...args: ConstantPadCall) {
    const { padding, value } = bindConstructor<ConstantPadArguments>('ConstantPad1d', constantPadOrder, {}, args);
    super(1, padding, value);
  }
  override extra_repr(): string {
    return `padding=${repr(this.padding)}, value=${reprFloat(this.value)}`;
  }
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.ConstantPad2d.html */
export class ConstantPad2d extends ConstantPadNd {
  constructor(...args: ConstantPadCall) {
    const { padding, value } = bindConstructor<ConstantPadArguments>('ConstantPad2d', constantPadOrder, {}, args);
    super(2, padding, value);
  }
  override extra_repr(): string {
    return `padding=${repr(this.padding)}, value=${reprFloat(this.value)}`;
  }
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.ConstantPad3d.html */
export class ConstantPad3d extends ConstantPadNd {
  constructor(...args: ConstantPadCall) {
    const { padding, value } = bindConstructor<ConstantPadArguments>('ConstantPad3d', constantPadOrder, {}, args);
    super(3, padding, value);
  }
  override extra_repr(): string {
    return `padding=${repr(this.padding)}, value=${reprFloat(this.value)}`;
  }
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.ZeroPad1d.html */
export class ZeroPad1d extends ConstantPadNd {
  constructor(...args: PadCall) {
    super(1, paddingOf('ZeroPad1d', args), 0);
  }
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.ZeroPad2d.html */
export class ZeroPad2d extends ConstantPadNd {
  constructor(...args: PadCall) {
    super(2, paddingOf('ZeroPad2d', args), 0);
  }
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.ZeroPad3d.html */
export class ZeroPad3d extends ConstantPadNd {
  constructor(...args: PadCall) {
    super(3, paddingOf('ZeroPad3d', args), 0);
  }
}

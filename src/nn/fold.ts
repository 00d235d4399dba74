/** Sliding blocks as layers: https://docs.pytorch.org/docs/stable/generated/torch.nn.Unfold.html */
import type { Tensor } from '../ops/methods.ts';
import { bindConstructor, type ConstructorArguments } from './arguments.ts';
import { functional } from './functional.ts';
import { Module } from './module.ts';
import { reprFields, type Size } from './sizes.ts';

interface UnfoldArguments {
  readonly kernel_size: Size;
  readonly dilation?: Size;
  readonly padding?: Size;
  readonly stride?: Size;
}
interface FoldArguments extends UnfoldArguments {
  readonly output_size: Size;
}
const unfoldOrder = ['kernel_size', 'dilation', 'padding', 'stride'] as const;
const foldOrder = ['output_size', ...unfoldOrder] as const;
const defaults = { dilation: 1, padding: 0, stride: 1 };

/** https://docs.pytorch.org/docs/stable/generated/torch.nn.Fold.html */
export class Fold extends Module {
  readonly output_size: Size;
  readonly kernel_size: Size;
  readonly dilation: Size;
  readonly padding: Size;
  readonly stride: Size;
  constructor(...args: ConstructorArguments<FoldArguments, typeof foldOrder>) {
    super();
    const a = bindConstructor<FoldArguments>('Fold', foldOrder, defaults, args);
    this.output_size = a.output_size;
    this.kernel_size = a.kernel_size;
    this.dilation = a.dilation;
    this.padding = a.padding;
    this.stride = a.stride;
  }
  override forward(input: Tensor): Tensor {
    return functional.fold(input, this.output_size, this.kernel_size, this.dilation, this.padding, this.stride) as Tensor;
  }
  override extra_repr(): string {
    const { output_size, kernel_size, dilation, padding, stride } = this;
    return reprFields({ output_size, kernel_size, dilation, padding, stride });
  }
}

/** https://docs.pytorch.org/docs/stable/generated/torch.nn.Unfold.html */
export class Unfold extends Module {
  readonly kernel_size: Size;
  readonly dilation: Size;
  readonly padding: Size;
  readonly stride: Size;
  constructor(...args: ConstructorArguments<UnfoldArguments, typeof unfoldOrder>) {
    super();
    const a = bindConstructor<UnfoldArguments>('Unfold', unfoldOrder, defaults, args);
    this.kernel_size = a.kernel_size;
    this.dilation = a.dilation;
    this.padding = a.padding;
    this.stride = a.stride;
  }
  override forward(input: Tensor): Tensor {
    return functional.unfold(input, this.kernel_size, this.dilation, this.padding, this.stride) as Tensor;
  }
  override extra_repr(): string {
    const { kernel_size, dilation, padding, stride } = this;
    return reprFields({ kernel_size, dilation, padding, stride });
  }
}

/** Pixels and channels exchanged: https://docs.pytorch.org/docs/stable/generated/torch.nn.PixelShuffle.html */
import type { Tensor } from '../ops/methods.ts';
import { bindConstructor, type ConstructorArguments } from './arguments.ts';
import { functional } from './functional.ts';
import { Module } from './module.ts';

interface ShuffleArguments {
  readonly upscale_factor: number;
}
interface UnshuffleArguments {
  readonly downscale_factor: number;
}
const shuffleOrder = ['upscale_factor'] as const;
const unshuffleOrder = ['downscale_factor'] as const;

/** https://docs.pytorch.org/docs/stable/generated/torch.nn.PixelShuffle.html */
export class PixelShuffle extends Module {
  readonly upscale_factor: number;
  constructor(...args: ConstructorArguments<ShuffleArguments, typeof shuffleOrder>) {
    super();
    this.upscale_factor = bindConstructor<ShuffleArguments>('PixelShuffle', shuffleOrder, {}, args).upscale_factor;
  }
  override forward(input: Tensor): Tensor {
    return functional.pixel_shuffle(input, this.upscale_factor) as Tensor;
  }
  override extra_repr(): string {
    return `upscale_factor=${this.upscale_factor}`;
  }
}

/** https://docs.pytorch.org/docs/stable/generated/torch.nn.PixelUnshuffle.html */
export class PixelUnshuffle extends Module {
  readonly downscale_factor: number;
  constructor(...args: ConstructorArguments<UnshuffleArguments, typeof unshuffleOrder>) {
    super();
    this.downscale_factor = bindConstructor<UnshuffleArguments>('PixelUnshuffle', unshuffleOrder, {}, args).downscale_factor;
  }
  override forward(input: Tensor): Tensor {
    return functional.pixel_unshuffle(input, this.downscale_factor) as Tensor;
  }
  override extra_repr(): string {
    return `downscale_factor=${this.downscale_factor}`;
  }
}

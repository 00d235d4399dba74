/** Channels of groups interleaved: https://docs.pytorch.org/docs/stable/generated/torch.nn.ChannelShuffle.html */
import type { Tensor } from '../ops/methods.ts';
import { bindConstructor, type ConstructorArguments } from './arguments.ts';
import { functional } from './functional.ts';
import { Module } from './module.ts';

interface ChannelShuffleArguments {
  readonly groups: number;
}
const order = ['groups'] as const;

/** https://docs.pytorch.org/docs/stable/generated/torch.nn.ChannelShuffle.html */
export class ChannelShuffle extends Module {
  readonly groups: number;
  constructor(...args: ConstructorArguments<ChannelShuffleArguments, typeof order>) {
    super();
    this.groups = bindConstructor<ChannelShuffleArguments>('ChannelShuffle', order, {}, args).groups;
  }
  override forward(input: Tensor): Tensor {
    return functional.channel_shuffle(input, this.groups) as Tensor;
  }
  override extra_repr(): string {
    return `groups=${this.groups}`;
  }
}

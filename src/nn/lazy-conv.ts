/**
 * Convolutions that take their number of input channels from the first input, and are ordinary ones from then on.
 * https://docs.pytorch.org/docs/stable/nn.html#convolution-layers. Their state can be loaded after that first call, not before.
 */
import type { Tensor } from '../ops/methods.ts';
import { bindConstructor, type ConstructorArguments } from './arguments.ts';
import {
  Conv1d,
  Conv2d,
  Conv3d,
  type ConvArguments,
  type ConvNd,
  ConvTranspose1d,
  ConvTranspose2d,
  ConvTranspose3d,
  type ConvTransposeArguments,
} from './conv.ts';
import { emptyParameter, moveInPlace } from './parameter.ts';
import type { OutputSizeArgument } from './sizes.ts';

type LazyConvArguments = Omit<ConvArguments, 'in_channels'>;
type LazyConvTransposeArguments = Omit<ConvTransposeArguments, 'in_channels'>;
const lazyOrder = [
  ...(['out_channels', 'kernel_size', 'stride', 'padding', 'dilation', 'groups', 'bias', 'padding_mode', 'device', 'dtype'] as const),
] as const;
const lazyTransposeOrder = [
  ...(['out_channels', 'kernel_size', 'stride', 'padding', 'output_padding', 'groups', 'bias', 'dilation', 'padding_mode'] as const),
  ...(['device', 'dtype'] as const),
] as const;
type LazyCall = ConstructorArguments<LazyConvArguments, typeof lazyOrder>;
type LazyTransposeCall = ConstructorArguments<LazyConvTransposeArguments, typeof lazyTransposeOrder>;

const defaults = { stride: 1, padding: 0, dilation: 1, groups: 1, bias: true, padding_mode: 'zeros', device: null, dtype: null } as const;
const withoutChannels = (module: string, args: LazyCall): ConvArguments => ({
  in_channels: 0,
  ...bindConstructor<LazyConvArguments>(module, lazyOrder, defaults, args),
});
const withoutChannelsTransposed = (module: string, args: LazyTransposeCall): ConvTransposeArguments => ({
  in_channels: 0,
  ...bindConstructor<LazyConvTransposeArguments>(module, lazyTransposeOrder, { ...defaults, output_padding: 0 }, args),
});

/** Gives the module its weight; from here on it is of the class that `ordinary` is the prototype of. */
function materialize<M extends ConvNd>(m: ConvNd, x: Tensor, ordinary: M): M {
  const n = m.kernel_size.length;
  if (x.ndim !== n + 1 && x.ndim !== n + 2)
    throw new Error(
      `Expected ${n + 1}D (unbatched) or ${n + 2}D (batched) input to ${m.constructor.name}, but got input of size: torch.Size([${x.shape.join(', ')}])`,
    );
  const channels = x.shape[x.ndim - n - 1];
  if (channels % m.groups !== 0) throw new Error('in_channels must be divisible by groups');
  m.in_channels = channels;
  const { dtype, device } = m.weight;
  moveInPlace(m.weight, emptyParameter(m.weightShape(), { dtype, device }));
  m.reset_parameters();
  return Object.setPrototypeOf(m, ordinary) as M;
}

/** https://docs.pytorch.org/docs/stable/generated/torch.nn.LazyConv1d.html */
export class LazyConv1d extends Conv1d {
  constructor(...args: LazyCall) {
    super(withoutChannels('LazyConv1d', args));
  }
  override forward(input: Tensor): Tensor {
    return materialize(this, input, Conv1d.prototype).forward(input);
  }
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.LazyConv2d.html */
export class LazyConv2d extends Conv2d {
  constructor(...args: LazyCall) {
    super(withoutChannels('LazyConv2d', args));
  }
  override forward(input: Tensor): Tensor {
    return materialize(this, input, Conv2d.prototype).forward(input);
  }
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.LazyConv3d.html */
export class LazyConv3d extends Conv3d {
  constructor(...args: LazyCall) {
    super(withoutChannels('LazyConv3d', args));
  }
  override forward(input: Tensor): Tensor {
    return materialize(this, input, Conv3d.prototype).forward(input);
  }
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.LazyConvTranspose1d.html */
export class LazyConvTranspose1d extends ConvTranspose1d {
  constructor(...args: LazyTransposeCall) {
    super(withoutChannelsTransposed('LazyConvTranspose1d', args));
  }
  override forward(input: Tensor, output_size: OutputSizeArgument = null): Tensor {
    return materialize(this, input, ConvTranspose1d.prototype).forward(input, output_size);
  }
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.LazyConvTranspose2d.html */
export class LazyConvTranspose2d extends ConvTranspose2d {
  constructor(...args: LazyTransposeCall) {
    super(withoutChannelsTransposed('LazyConvTranspose2d', args));
  }
  override forward(input: Tensor, output_size: OutputSizeArgument = null): Tensor {
    return materialize(this, input, ConvTranspose2d.prototype).forward(input, output_size);
  }
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.LazyConvTranspose3d.html */
export class LazyConvTranspose3d extends ConvTranspose3d {
  constructor(...args: LazyTransposeCall) {
    super(withoutChannelsTransposed('LazyConvTranspose3d', args));
  }
  override forward(input: Tensor, output_size: OutputSizeArgument = null): Tensor {
    return materialize(this, input, ConvTranspose3d.prototype).forward(input, output_size);
  }
}

/** The `nn` namespace. */

export * from './activation.ts';
export { AdaptiveLogSoftmaxWithLoss } from './adaptive.ts';
export { MultiheadAttention } from './attention.ts';
export { BatchNorm1d, BatchNorm2d, BatchNorm3d, LazyBatchNorm1d, LazyBatchNorm2d, LazyBatchNorm3d } from './batchnorm.ts';
export { ChannelShuffle } from './channelshuffle.ts';
export { ModuleDict, ModuleList, ParameterDict, ParameterList, Sequential } from './container.ts';
export { Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d } from './conv.ts';
export * from './distance.ts';
export * from './dropout.ts';
export { Flatten, Unflatten } from './flatten.ts';
export { Fold, Unfold } from './fold.ts';
export { functional } from './functional.ts';
export * as init from './init.ts';
export {
  InstanceNorm1d,
  InstanceNorm2d,
  InstanceNorm3d,
  LazyInstanceNorm1d,
  LazyInstanceNorm2d,
  LazyInstanceNorm3d,
} from './instancenorm.ts';
export { LazyConv1d, LazyConv2d, LazyConv3d, LazyConvTranspose1d, LazyConvTranspose2d, LazyConvTranspose3d } from './lazy-conv.ts';
export { Bilinear, Identity, LazyLinear, Linear } from './linear.ts';
export * from './loss.ts';
export { type Loadable, Module, type StateDict } from './module.ts';
export { GroupNorm, LayerNorm, LocalResponseNorm, RMSNorm } from './normalization.ts';
export {
  CircularPad1d,
  CircularPad2d,
  CircularPad3d,
  ConstantPad1d,
  ConstantPad2d,
  ConstantPad3d,
  ReflectionPad1d,
  ReflectionPad2d,
  ReflectionPad3d,
  ReplicationPad1d,
  ReplicationPad2d,
  ReplicationPad3d,
  ZeroPad1d,
  ZeroPad2d,
  ZeroPad3d,
} from './padding.ts';
export { Parameter } from './parameter.ts';
export { PixelShuffle, PixelUnshuffle } from './pixelshuffle.ts';
export {
  AdaptiveAvgPool1d,
  AdaptiveAvgPool2d,
  AdaptiveAvgPool3d,
  AdaptiveMaxPool1d,
  AdaptiveMaxPool2d,
  AdaptiveMaxPool3d,
  AvgPool1d,
  AvgPool2d,
  AvgPool3d,
  FractionalMaxPool2d,
  FractionalMaxPool3d,
  LPPool1d,
  LPPool2d,
  LPPool3d,
  MaxPool1d,
  MaxPool2d,
  MaxPool3d,
  MaxUnpool1d,
  MaxUnpool2d,
  MaxUnpool3d,
} from './pooling.ts';
export { GRU, GRUCell, LSTM, LSTMCell, RNN, RNNBase, RNNCell, RNNCellBase } from './rnn.ts';
export { Embedding, EmbeddingBag } from './sparse.ts';
export { Transformer, TransformerDecoder, TransformerDecoderLayer, TransformerEncoder, TransformerEncoderLayer } from './transformer.ts';
export { Upsample, UpsamplingBilinear2d, UpsamplingNearest2d } from './upsampling.ts';
export * as utils from './utils.ts';

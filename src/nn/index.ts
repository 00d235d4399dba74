/** The `nn` namespace. */
export { ChannelShuffle } from './channelshuffle.ts';
export { Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d } from './conv.ts';
export { Fold, Unfold } from './fold.ts';
export { functional } from './functional.ts';
export * as init from './init.ts';
export { CrossEntropyLoss, Dropout, Embedding, GELU, LayerNorm, Linear, ModuleList, ReLU, Sequential } from './layers.ts';
export { type Loadable, Module, type StateDict } from './module.ts';
export { CircularPad1d, CircularPad2d, CircularPad3d, ConstantPad1d, ConstantPad2d, ConstantPad3d, ReflectionPad1d, ReflectionPad2d, ReflectionPad3d, ReplicationPad1d, ReplicationPad2d, ReplicationPad3d, ZeroPad1d, ZeroPad2d, ZeroPad3d } from './padding.ts';
export { Parameter } from './parameter.ts';
export { PixelShuffle, PixelUnshuffle } from './pixelshuffle.ts';
export { AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveAvgPool3d, AdaptiveMaxPool1d, AdaptiveMaxPool2d, AdaptiveMaxPool3d, AvgPool1d, AvgPool2d, AvgPool3d, FractionalMaxPool2d, FractionalMaxPool3d, LPPool1d, LPPool2d, LPPool3d, MaxPool1d, MaxPool2d, MaxPool3d, MaxUnpool1d, MaxUnpool2d, MaxUnpool3d } from './pooling.ts';
export { Upsample, UpsamplingBilinear2d, UpsamplingNearest2d } from './upsampling.ts';
export * as utils from './utils.ts';

/** The `nn` namespace. */
export { functional } from './functional.ts';
export * as init from './init.ts';
export { CrossEntropyLoss, Dropout, Embedding, GELU, LayerNorm, Linear, ModuleList, ReLU, Sequential } from './layers.ts';
export { type Loadable, Module, type StateDict } from './module.ts';
export { Parameter } from './parameter.ts';
export * as utils from './utils.ts';

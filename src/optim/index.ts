/** The `optim` namespace. */
export { AdamW, type AdamWOptions } from './adamw.ts';
export * as lr_scheduler from './lr_scheduler/index.ts';
export { Optimizer, type OptimizerState, type ParamGroup } from './optimizer.ts';
export { SGD, type SGDOptions } from './sgd.ts';

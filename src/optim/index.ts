/** The `optim` namespace. */
export { Adam, type AdamOptions } from './adam.ts';
export { AdamW, type AdamWOptions } from './adamw.ts';
export {
  Adadelta,
  type AdadeltaOptions,
  Adagrad,
  type AdagradOptions,
  Adamax,
  type AdamaxOptions,
  NAdam,
  type NAdamOptions,
  RAdam,
  type RAdamOptions,
  RMSprop,
  type RMSpropOptions,
  Rprop,
  type RpropOptions,
} from './adaptive.ts';
export { ASGD, type ASGDOptions } from './asgd.ts';
export { LBFGS, type LBFGSOptions } from './lbfgs.ts';
export * as lr_scheduler from './lr_scheduler/index.ts';
export { Adafactor, type AdafactorOptions, Muon, type MuonOptions } from './matrix.ts';
export { Optimizer, type OptimizerState, type ParamGroup } from './optimizer.ts';
export { SGD, type SGDOptions } from './sgd.ts';
export * as swa_utils from './swa.ts';

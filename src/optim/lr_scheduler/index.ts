/** The `optim.lr_scheduler` namespace. */
export { LRScheduler, type Schedulable, type SchedulerState } from './base.ts';
export { ChainedScheduler, SequentialLR } from './combined.ts';
export { CosineAnnealingWarmRestarts, CyclicLR, OneCycleLR } from './cyclic.ts';
export {
  ConstantLR,
  CosineAnnealingLR,
  ExponentialLR,
  LambdaLR,
  LinearLR,
  MultiplicativeLR,
  MultiStepLR,
  PolynomialLR,
  StepLR,
} from './decay.ts';
export { ReduceLROnPlateau } from './plateau.ts';

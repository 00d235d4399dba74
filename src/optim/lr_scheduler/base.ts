/**
 * LRScheduler: sets each parameter group's `lr` as epochs go by. https://docs.pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate
 *
 * A scheduler says what the rates are after `last_epoch` has advanced (`get_lr`), most of them from the rates that are set now, as PyTorch
 * does, so that schedulers can be chained.
 */
import { libraryState } from '../../tensor/tracing.ts';

/** What a scheduler needs of an optimizer. */
export interface SchedulableGroup {
  lr: number;
  initial_lr?: number;
  momentum?: number;
  betas?: readonly number[];
  [key: string]: unknown;
}
export interface Schedulable {
  readonly param_groups: readonly object[];
  readonly defaults: object;
}
export type SchedulerState = Record<string, unknown>;

export abstract class LRScheduler {
  readonly optimizer: Schedulable;
  last_epoch: number;
  base_lrs: number[];
  protected stepCount = 0;
  /** True during the step that the constructor makes. */
  protected initial = false;
  protected lastLr: number[] = [];

  constructor(optimizer: Schedulable, last_epoch = -1) {
    this.optimizer = optimizer;
    this.groups.forEach((group, i) => {
      if (last_epoch === -1) group.initial_lr ??= group.lr;
      else if (group.initial_lr === undefined)
        throw new Error(
          `param 'initial_lr' is not specified in param_groups[${i}] when resuming scheduler with last_epoch >= 0.\nThis typically happens when:\n1. You're trying to resume training from a checkpoint but haven't properly loaded the optimizer state\n2. You're using last_epoch >= 0 for a fresh training run (not recommended)`,
        );
    });
    this.base_lrs = this.groups.map((g) => g.initial_lr!);
    this.last_epoch = last_epoch;
  }

  get groups(): readonly SchedulableGroup[] {
    return this.optimizer.param_groups as readonly SchedulableGroup[];
  }
  /** Rates for `last_epoch`, one a group. */
  abstract get_lr(): number[];
  /** Rates for `last_epoch` from the base rates alone, where there is such a formula. */
  closedForm(): number[] | null {
    return null;
  }
  /** The rates last set. */
  get_last_lr(): number[] {
    return this.lastLr;
  }

  /** The first step, made at construction (subclasses call it when their fields are set). */
  start(): void {
    this.stepCount = 0;
    this.initial = true;
    try {
      this.step();
    } finally {
      this.initial = false;
    }
  }
  /** The next epoch; `epoch` jumps to one. */
  step(epoch?: number): void {
    libraryState(() => {
      this.stepCount++;
      this.update(epoch);
    });
  }
  update(epoch?: number): void {
    let rates: number[];
    if (epoch === undefined) {
      this.last_epoch++;
      rates = this.get_lr();
    } else {
      this.last_epoch = epoch;
      rates = this.closedForm() ?? this.get_lr();
    }
    this.groups.forEach((group, i) => {
      group.lr = rates[i];
    });
    this.lastLr = this.groups.map((g) => g.lr);
  }
  /** Takes back the count of a step (see SequentialLR). */
  undo(): void {
    this.last_epoch--;
  }

  /** Every field but the optimizer and functions. */
  state_dict(): SchedulerState {
    return Object.fromEntries(
      Object.entries(this).filter(([name, v]) => name !== 'optimizer' && name !== 'initial' && typeof v !== 'function'),
    );
  }
  load_state_dict(state: SchedulerState): void {
    Object.assign(this, structuredClone(state));
  }
}

/** A value for all groups, or one for each. */
export function perGroup(name: string, optimizer: Schedulable, value: number | readonly number[]): number[] {
  if (typeof value === 'number') return optimizer.param_groups.map(() => value);
  if (value.length !== optimizer.param_groups.length)
    throw new Error(
      `${name} must have the same length as optimizer.param_groups. ${name} has ${value.length} values, param_groups has ${optimizer.param_groups.length}.`,
    );
  return [...value];
}

/** Momentum, or the first beta where the optimizer has betas. */
export function setMomentum(group: SchedulableGroup, value: number): void {
  if (group.betas !== undefined) group.betas = [value, ...group.betas.slice(1)];
  else group.momentum = value;
}
export function checkHasMomentum(optimizer: Schedulable): void {
  if (!('momentum' in optimizer.defaults) && !('betas' in optimizer.defaults))
    throw new Error('optimizer must support momentum or beta1 with `cycle_momentum` option enabled');
}

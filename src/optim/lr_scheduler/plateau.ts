/** Reduces the rate when a metric has stopped improving. https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.ReduceLROnPlateau.html */
import { bindConstructor, type ConstructorArguments } from '../../nn/arguments.ts';
import type { Tensor } from '../../ops/methods.ts';
import { perGroup, type Schedulable, type SchedulableGroup, type SchedulerState } from './base.ts';

interface PlateauArguments {
  mode?: 'min' | 'max';
  factor?: number;
  patience?: number;
  threshold?: number;
  threshold_mode?: 'rel' | 'abs';
  cooldown?: number;
  min_lr?: number | readonly number[];
  eps?: number;
}
const order = ['mode', 'factor', 'patience', 'threshold', 'threshold_mode', 'cooldown', 'min_lr', 'eps'] as const;
const defaults = {
  mode: 'min',
  factor: 0.1,
  patience: 10,
  threshold: 1e-4,
  threshold_mode: 'rel',
  cooldown: 0,
  min_lr: 0,
  eps: 1e-8,
} as const;

export class ReduceLROnPlateau {
  readonly optimizer: Schedulable;
  mode: 'min' | 'max';
  factor: number;
  patience: number;
  threshold: number;
  threshold_mode: 'rel' | 'abs';
  cooldown: number;
  min_lrs: number[];
  eps: number;
  last_epoch = 0;
  best: number;
  num_bad_epochs = 0;
  cooldown_counter = 0;

  constructor(optimizer: Schedulable, ...args: ConstructorArguments<PlateauArguments, typeof order>) {
    const a = bindConstructor<PlateauArguments>('ReduceLROnPlateau', order, defaults, args);
    if (a.factor >= 1) throw new Error('Factor should be < 1.0.');
    if (a.mode !== 'min' && a.mode !== 'max') throw new Error(`mode ${String(a.mode)} is unknown!`);
    if (a.threshold_mode !== 'rel' && a.threshold_mode !== 'abs') throw new Error(`threshold mode ${String(a.threshold_mode)} is unknown!`);
    this.optimizer = optimizer;
    this.mode = a.mode;
    this.factor = a.factor;
    this.patience = a.patience;
    this.threshold = a.threshold;
    this.threshold_mode = a.threshold_mode;
    this.cooldown = a.cooldown;
    this.min_lrs = perGroup('min_lr', optimizer, a.min_lr);
    this.eps = a.eps;
    this.best = a.mode === 'min' ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY;
  }

  get #groups(): readonly SchedulableGroup[] {
    return this.optimizer.param_groups as readonly SchedulableGroup[];
  }
  get_last_lr(): number[] {
    return this.#groups.map((g) => g.lr);
  }
  /** After an epoch, with the metric that is watched. */
  step(metrics: number | Tensor): void {
    const current = typeof metrics === 'number' ? metrics : Number(metrics.item());
    this.last_epoch++;
    if (this.#better(current)) {
      this.best = current;
      this.num_bad_epochs = 0;
    } else this.num_bad_epochs++;
    if (this.cooldown_counter > 0) {
      this.cooldown_counter--;
      this.num_bad_epochs = 0;
    }
    if (this.num_bad_epochs > this.patience) {
      this.#groups.forEach((g, i) => {
        const reduced = Math.max(g.lr * this.factor, this.min_lrs[i]);
        if (g.lr - reduced > this.eps) g.lr = reduced;
      });
      this.cooldown_counter = this.cooldown;
      this.num_bad_epochs = 0;
    }
  }
  #better(x: number): boolean {
    const relative = this.threshold_mode === 'rel';
    if (this.mode === 'min') return x < (relative ? this.best * (1 - this.threshold) : this.best - this.threshold);
    return x > (relative ? this.best * (this.threshold + 1) : this.best + this.threshold);
  }

  state_dict(): SchedulerState {
    return Object.fromEntries(Object.entries(this).filter(([name]) => name !== 'optimizer'));
  }
  load_state_dict(state: SchedulerState): void {
    Object.assign(this, structuredClone(state));
  }
}

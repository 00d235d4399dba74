/** Schedules that are a function of the epoch: lambdas, steps, lines, powers, cosines. */
import { bindConstructor, type ConstructorArguments } from '../../nn/arguments.ts';
import { LRScheduler, type Schedulable, type SchedulableGroup } from './base.ts';

type Lambda = (epoch: number) => number;

function lambdasFor(optimizer: Schedulable, lr_lambda: Lambda | readonly Lambda[]): Lambda[] {
  if (typeof lr_lambda === 'function') return optimizer.param_groups.map(() => lr_lambda);
  if (lr_lambda.length !== optimizer.param_groups.length)
    throw new Error(`Expected ${optimizer.param_groups.length} lr_lambdas, but got ${lr_lambda.length}`);
  return [...lr_lambda];
}

interface LambdaArguments {
  lr_lambda: Lambda | readonly Lambda[];
  last_epoch?: number;
}
const lambdaOrder = ['lr_lambda', 'last_epoch'] as const;

/** initial_lr * lambda(epoch). https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.LambdaLR.html */
export class LambdaLR extends LRScheduler {
  readonly #lambdas: Lambda[];
  constructor(optimizer: Schedulable, ...args: ConstructorArguments<LambdaArguments, typeof lambdaOrder>) {
    const a = bindConstructor<LambdaArguments>('LambdaLR', lambdaOrder, { last_epoch: -1 }, args);
    super(optimizer, a.last_epoch);
    this.#lambdas = lambdasFor(optimizer, a.lr_lambda);
    this.start();
  }
  override get_lr(): number[] {
    return this.base_lrs.map((base, i) => base * this.#lambdas[i](this.last_epoch));
  }
}

/** lr * lambda(epoch) at each epoch. https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.MultiplicativeLR.html */
export class MultiplicativeLR extends LRScheduler {
  readonly #lambdas: Lambda[];
  constructor(optimizer: Schedulable, ...args: ConstructorArguments<LambdaArguments, typeof lambdaOrder>) {
    const a = bindConstructor<LambdaArguments>('MultiplicativeLR', lambdaOrder, { last_epoch: -1 }, args);
    super(optimizer, a.last_epoch);
    this.#lambdas = lambdasFor(optimizer, a.lr_lambda);
    this.start();
  }
  override get_lr(): number[] {
    return this.groups.map((g, i) => (this.initial ? g.lr : g.lr * this.#lambdas[i](this.last_epoch)));
  }
}

interface StepArguments {
  step_size: number;
  gamma?: number;
  last_epoch?: number;
}
const stepOrder = ['step_size', 'gamma', 'last_epoch'] as const;

/** Times gamma every `step_size` epochs. https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.StepLR.html */
export class StepLR extends LRScheduler {
  step_size: number;
  gamma: number;
  constructor(optimizer: Schedulable, ...args: ConstructorArguments<StepArguments, typeof stepOrder>) {
    const a = bindConstructor<StepArguments>('StepLR', stepOrder, { gamma: 0.1, last_epoch: -1 }, args);
    super(optimizer, a.last_epoch);
    this.step_size = a.step_size;
    this.gamma = a.gamma;
    this.start();
  }
  override get_lr(): number[] {
    const stays = this.last_epoch === 0 || this.last_epoch % this.step_size !== 0;
    return this.groups.map((g) => (stays ? g.lr : g.lr * this.gamma));
  }
  override closedForm(): number[] {
    return this.base_lrs.map((base) => base * this.gamma ** Math.floor(this.last_epoch / this.step_size));
  }
}

interface MultiStepArguments {
  milestones: readonly number[];
  gamma?: number;
  last_epoch?: number;
}
const multiStepOrder = ['milestones', 'gamma', 'last_epoch'] as const;

/** Times gamma at each milestone. https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.MultiStepLR.html */
export class MultiStepLR extends LRScheduler {
  milestones: readonly number[];
  gamma: number;
  constructor(optimizer: Schedulable, ...args: ConstructorArguments<MultiStepArguments, typeof multiStepOrder>) {
    const a = bindConstructor<MultiStepArguments>('MultiStepLR', multiStepOrder, { gamma: 0.1, last_epoch: -1 }, args);
    super(optimizer, a.last_epoch);
    this.milestones = a.milestones;
    this.gamma = a.gamma;
    this.start();
  }
  override get_lr(): number[] {
    const times = this.milestones.filter((m) => m === this.last_epoch).length;
    return this.groups.map((g) => (times === 0 ? g.lr : g.lr * this.gamma ** times));
  }
  override closedForm(): number[] {
    const passed = this.milestones.filter((m) => m <= this.last_epoch).length;
    return this.base_lrs.map((base) => base * this.gamma ** passed);
  }
}

interface ConstantArguments {
  factor?: number;
  total_iters?: number;
  last_epoch?: number;
}
const constantOrder = ['factor', 'total_iters', 'last_epoch'] as const;

/** Times factor until `total_iters`. https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.ConstantLR.html */
export class ConstantLR extends LRScheduler {
  factor: number;
  total_iters: number;
  constructor(optimizer: Schedulable, ...args: ConstructorArguments<ConstantArguments, typeof constantOrder>) {
    const a = bindConstructor<ConstantArguments>('ConstantLR', constantOrder, { factor: 1 / 3, total_iters: 5, last_epoch: -1 }, args);
    if (a.factor > 1 || a.factor < 0) throw new Error('Constant multiplicative factor expected to be between 0 and 1.');
    super(optimizer, a.last_epoch);
    this.factor = a.factor;
    this.total_iters = a.total_iters;
    this.start();
  }
  override get_lr(): number[] {
    if (this.last_epoch === 0) return this.groups.map((g) => g.lr * this.factor);
    return this.groups.map((g) => (this.last_epoch === this.total_iters ? g.lr * (1 / this.factor) : g.lr));
  }
  override closedForm(): number[] {
    return this.base_lrs.map((base) => base * (this.last_epoch >= this.total_iters ? 1 : this.factor));
  }
}

interface LinearArguments {
  start_factor?: number;
  end_factor?: number;
  total_iters?: number;
  last_epoch?: number;
}
const linearOrder = ['start_factor', 'end_factor', 'total_iters', 'last_epoch'] as const;

/** A line between two factors. https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.LinearLR.html */
export class LinearLR extends LRScheduler {
  start_factor: number;
  end_factor: number;
  total_iters: number;
  constructor(optimizer: Schedulable, ...args: ConstructorArguments<LinearArguments, typeof linearOrder>) {
    const defaults = { start_factor: 1 / 3, end_factor: 1, total_iters: 5, last_epoch: -1 };
    const a = bindConstructor<LinearArguments>('LinearLR', linearOrder, defaults, args);
    if (a.start_factor > 1 || a.start_factor <= 0)
      throw new Error('Starting multiplicative factor expected to be greater than 0 and less or equal to 1.');
    if (a.end_factor > 1 || a.end_factor < 0) throw new Error('Ending multiplicative factor expected to be between 0 and 1.');
    super(optimizer, a.last_epoch);
    this.start_factor = a.start_factor;
    this.end_factor = a.end_factor;
    this.total_iters = a.total_iters;
    this.start();
  }
  override get_lr(): number[] {
    if (this.last_epoch === 0) return this.groups.map((g) => g.lr * this.start_factor);
    if (this.last_epoch > this.total_iters) return this.groups.map((g) => g.lr);
    const rise = this.end_factor - this.start_factor;
    return this.groups.map((g) => g.lr * (1 + rise / (this.total_iters * this.start_factor + (this.last_epoch - 1) * rise)));
  }
  override closedForm(): number[] {
    const at = Math.min(this.total_iters, this.last_epoch) / this.total_iters;
    return this.base_lrs.map((base) => base * (this.start_factor + (this.end_factor - this.start_factor) * at));
  }
}

interface ExponentialArguments {
  gamma: number;
  last_epoch?: number;
}
const exponentialOrder = ['gamma', 'last_epoch'] as const;

/** Times gamma every epoch. https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.ExponentialLR.html */
export class ExponentialLR extends LRScheduler {
  gamma: number;
  constructor(optimizer: Schedulable, ...args: ConstructorArguments<ExponentialArguments, typeof exponentialOrder>) {
    const a = bindConstructor<ExponentialArguments>('ExponentialLR', exponentialOrder, { last_epoch: -1 }, args);
    super(optimizer, a.last_epoch);
    this.gamma = a.gamma;
    this.start();
  }
  override get_lr(): number[] {
    return this.groups.map((g) => (this.initial ? g.lr : g.lr * this.gamma));
  }
  override closedForm(): number[] {
    return this.base_lrs.map((base) => base * this.gamma ** this.last_epoch);
  }
}

interface PolynomialArguments {
  total_iters?: number;
  power?: number;
  last_epoch?: number;
}
const polynomialOrder = ['total_iters', 'power', 'last_epoch'] as const;

/** (1 - epoch / total_iters) ^ power. https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.PolynomialLR.html */
export class PolynomialLR extends LRScheduler {
  total_iters: number;
  power: number;
  constructor(optimizer: Schedulable, ...args: ConstructorArguments<PolynomialArguments, typeof polynomialOrder>) {
    const a = bindConstructor<PolynomialArguments>('PolynomialLR', polynomialOrder, { total_iters: 5, power: 1, last_epoch: -1 }, args);
    super(optimizer, a.last_epoch);
    this.total_iters = a.total_iters;
    this.power = a.power;
    this.start();
  }
  override get_lr(): number[] {
    if (this.initial || this.last_epoch > this.total_iters) return this.groups.map((g) => g.lr);
    const factor = ((1 - this.last_epoch / this.total_iters) / (1 - (this.last_epoch - 1) / this.total_iters)) ** this.power;
    return this.groups.map((g) => g.lr * factor);
  }
  override closedForm(): number[] {
    const at = Math.min(this.total_iters, this.last_epoch) / this.total_iters;
    return this.base_lrs.map((base) => base * (1 - at) ** this.power);
  }
}

interface CosineArguments {
  T_max: number;
  eta_min?: number;
  last_epoch?: number;
}
const cosineOrder = ['T_max', 'eta_min', 'last_epoch'] as const;

/** Half a cosine from the initial rate to `eta_min` in `T_max` epochs, and back. https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.CosineAnnealingLR.html */
export class CosineAnnealingLR extends LRScheduler {
  T_max: number;
  eta_min: number;
  constructor(optimizer: Schedulable, ...args: ConstructorArguments<CosineArguments, typeof cosineOrder>) {
    const a = bindConstructor<CosineArguments>('CosineAnnealingLR', cosineOrder, { eta_min: 0, last_epoch: -1 }, args);
    super(optimizer, a.last_epoch);
    this.T_max = a.T_max;
    this.eta_min = a.eta_min;
    this.start();
  }
  override get_lr(): number[] {
    const { last_epoch: epoch, T_max, eta_min } = this;
    if (this.initial) return this.groups.map((g) => g.lr);
    if (this.stepCount === 1 && epoch > 0)
      return this.groups.map((_, i) => eta_min + ((this.base_lrs[i] - eta_min) * (1 + Math.cos((epoch * Math.PI) / T_max))) / 2);
    if ((epoch - 1 - T_max) % (2 * T_max) === 0)
      return this.groups.map((g, i) => g.lr + ((this.base_lrs[i] - eta_min) * (1 - Math.cos(Math.PI / T_max))) / 2);
    const ratio = (1 + Math.cos((Math.PI * epoch) / T_max)) / (1 + Math.cos((Math.PI * (epoch - 1)) / T_max));
    return this.groups.map((g: SchedulableGroup) => ratio * (g.lr - eta_min) + eta_min);
  }
  override closedForm(): number[] {
    const shape = 1 + Math.cos((Math.PI * this.last_epoch) / this.T_max);
    return this.base_lrs.map((base) => this.eta_min + ((base - this.eta_min) * shape) / 2);
  }
}

/**
 * `torch.optim.swa_utils`: averages of a model's weights over training. https://docs.pytorch.org/docs/stable/optim.html#weight-averaging-swa-and-ema
 *
 * An update is recorded like any other work. The count of updates is a buffer; it is read once after a state has been loaded, not at every update.
 */
import { no_grad } from '../autograd/modes.ts';
import { int64 } from '../dtype/dtype.ts';
import { bindConstructor, type ConstructorArguments } from '../nn/arguments.ts';
import { BatchNorm } from '../nn/batchnorm.ts';
import { Module } from '../nn/module.ts';
import { fullOf } from '../ops/creation.ts';
import { Tensor } from '../ops/methods.ts';
import { LRScheduler, perGroup, type Schedulable } from './lr_scheduler/base.ts';

export type AverageFunction = (averaged: Tensor, current: Tensor, num_averaged: Tensor) => Tensor;
export type MultiAverageFunction = (averaged: readonly Tensor[], current: readonly Tensor[], num_averaged: Tensor) => void;

const checkDecay = (decay: number): void => {
  if (decay < 0 || decay > 1) throw new Error(`Invalid decay value ${decay} provided. Please provide a value in [0,1] range.`);
};
/** Each new model counts `1 - decay`. */
export function get_ema_avg_fn(decay = 0.999): AverageFunction {
  checkDecay(decay);
  return (averaged, current) => averaged.mul(decay).add(current.mul(1 - decay));
}
export function get_ema_multi_avg_fn(decay = 0.999): MultiAverageFunction {
  checkDecay(decay);
  return (averaged, current) => {
    averaged.forEach((a, i) => {
      if (a.is_floating_point() || a.is_complex()) a.lerp_(current[i], 1 - decay);
      else a.copy_(a.mul(decay).add(current[i].mul(1 - decay)));
    });
  };
}
/** All models count the same. */
export const get_swa_avg_fn = (): AverageFunction => (averaged, current, n) => averaged.add(current.sub(averaged).div(n.add(1)));
export function get_swa_multi_avg_fn(): MultiAverageFunction {
  const average = get_swa_avg_fn();
  return (averaged, current, n) => {
    averaged.forEach((a, i) => {
      a.copy_(average(a, current[i], n));
    });
  };
}

interface AveragedArguments {
  readonly device?: string | null;
  readonly avg_fn?: AverageFunction | null;
  readonly multi_avg_fn?: MultiAverageFunction | null;
  readonly use_buffers?: boolean;
}
const averagedOrder = ['device', 'avg_fn', 'multi_avg_fn', 'use_buffers'] as const;

/** Updates so far, where they are known without asking the device. */
const counts = new WeakMap<Module, number>();

/** A copy of a model that holds averages. */
export class AveragedModel<M extends Module = Module> extends Module {
  readonly module: M;
  declare n_averaged: Tensor;
  readonly use_buffers: boolean;
  readonly avg_fn: AverageFunction | null;
  readonly multi_avg_fn: MultiAverageFunction | null;
  constructor(model: M, ...args: ConstructorArguments<AveragedArguments, typeof averagedOrder>) {
    super();
    const a = bindConstructor<AveragedArguments>(
      'AveragedModel',
      averagedOrder,
      { device: null, avg_fn: null, multi_avg_fn: null, use_buffers: false },
      args,
    );
    if (a.avg_fn !== null && a.multi_avg_fn !== null) throw new Error('Only one of avg_fn and multi_avg_fn should be provided');
    this.module = model.deepcopy();
    if (a.device !== null) this.module.to(a.device);
    this.register_buffer('n_averaged', fullOf([], 0, int64, a.device) as Tensor);
    this.avg_fn = a.avg_fn;
    this.multi_avg_fn = a.multi_avg_fn;
    this.use_buffers = a.use_buffers;
    counts.set(this, 0);
    this.register_load_state_dict_post_hook((m) => {
      counts.delete(m);
    });
  }
  override forward(...args: never[]): unknown {
    return (this.module as unknown as (...given: never[]) => unknown)(...args);
  }
  /** Takes the model's present weights into the average. */
  update_parameters(model: Module): void {
    no_grad(() => {
      const known = counts.get(this) ?? Number(this.n_averaged.item());
      const of = (m: Module): Tensor[] => (this.use_buffers ? [...m.parameters(), ...m.buffers()] : m.parameters());
      const averaged = of(this.module).map((t) => t.detach() as Tensor);
      const current = of(model).map((t, i) => t.detach().to(averaged[i].device) as Tensor);
      if (known === 0) for (const [i, a] of averaged.entries()) a.copy_(current[i]);
      else if (this.multi_avg_fn !== null || this.avg_fn === null)
        (this.multi_avg_fn ?? get_swa_multi_avg_fn())(averaged, current, this.n_averaged);
      else for (const [i, a] of averaged.entries()) a.copy_(this.avg_fn(a, current[i], this.n_averaged));
      if (!this.use_buffers) {
        const theirs = model.buffers();
        for (const [i, b] of this.module.buffers().entries()) b.copy_(theirs[i]);
      }
      this.n_averaged.add_(1);
      counts.set(this, known + 1);
    });
  }
}

/** Runs a model over data so that its batch normalizations have the statistics of its present weights. */
export function update_bn(loader: Iterable<Tensor | readonly unknown[]>, model: Module, device: string | null = null): void {
  const norms = model.modules().filter((m): m is BatchNorm => m instanceof BatchNorm);
  if (norms.length === 0) return;
  const momenta = norms.map((m) => m.momentum);
  const { training } = model;
  for (const m of norms) {
    m.reset_running_stats();
    m.momentum = null;
  }
  model.train();
  no_grad(() => {
    for (const batch of loader) {
      const input = (Array.isArray(batch) ? batch[0] : batch) as Tensor;
      (model as unknown as (x: Tensor) => unknown)(device !== null && input instanceof Tensor ? input.to(device) : input);
    }
  });
  norms.forEach((m, i) => {
    m.momentum = momenta[i];
  });
  model.train(training);
}

interface SWALRArguments {
  readonly swa_lr: number | readonly number[];
  readonly anneal_epochs?: number;
  readonly anneal_strategy?: string;
  readonly last_epoch?: number;
}
const order = ['swa_lr', 'anneal_epochs', 'anneal_strategy', 'last_epoch'] as const;

/** From the rate that is set to `swa_lr` in `anneal_epochs` steps, then constant. */
export class SWALR extends LRScheduler {
  readonly anneal_epochs: number;
  readonly anneal_strategy: string;
  constructor(optimizer: Schedulable, ...args: ConstructorArguments<SWALRArguments, typeof order>) {
    const a = bindConstructor<SWALRArguments>('SWALR', order, { anneal_epochs: 10, anneal_strategy: 'cos', last_epoch: -1 }, args);
    super(optimizer, a.last_epoch);
    if (a.anneal_strategy !== 'cos' && a.anneal_strategy !== 'linear')
      throw new Error(`anneal_strategy must by one of 'cos' or 'linear', instead got ${a.anneal_strategy}`);
    if (!Number.isInteger(a.anneal_epochs) || a.anneal_epochs < 0)
      throw new Error(`anneal_epochs must be equal or greater than 0, got ${a.anneal_epochs}`);
    this.anneal_epochs = a.anneal_epochs;
    this.anneal_strategy = a.anneal_strategy;
    const rates = perGroup('swa_lr', optimizer, a.swa_lr);
    this.groups.forEach((group, i) => {
      group['swa_lr'] = rates[i];
    });
    this.start();
  }
  #share(step: number): number {
    const t = Math.max(0, Math.min(1, step / Math.max(1, this.anneal_epochs)));
    return this.anneal_strategy === 'cos' ? (1 - Math.cos(Math.PI * t)) / 2 : t;
  }
  override get_lr(): number[] {
    const step = this.anneal_epochs === 0 ? Math.max(1, this.stepCount - 1) : this.stepCount - 1;
    const [before, now] = [this.#share(step - 1), this.#share(step)];
    return this.groups.map((group) => {
      const target = group['swa_lr'] as number;
      // The rate that annealing began with, from the one that is set.
      const start = before === 1 ? target : (group.lr - before * target) / (1 - before);
      return target * now + start * (1 - now);
    });
  }
}

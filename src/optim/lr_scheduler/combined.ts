/** Schedules made of others: one after the other, or all at once. */
import { bindConstructor, type ConstructorArguments } from '../../nn/arguments.ts';
import { libraryState } from '../../tensor/tracing.ts';
import { LRScheduler, type Schedulable, type SchedulerState } from './base.ts';

interface SequentialArguments {
  schedulers: readonly LRScheduler[];
  milestones: readonly number[];
  last_epoch?: number;
}
const sequentialOrder = ['schedulers', 'milestones', 'last_epoch'] as const;

function checkSame(name: string, optimizer: Schedulable, schedulers: readonly LRScheduler[]): void {
  if (schedulers.length < 1) throw new Error(`${name} expects at least one scheduler, but got no scheduler.`);
  schedulers.forEach((s, i) => {
    if (s.optimizer !== optimizer)
      throw new Error(
        `${name} expects all schedulers to belong to the same optimizer, but got scheduler ${s.constructor.name} at index ${i} has another, which is different from ${optimizer.constructor.name}.`,
      );
  });
}

abstract class Combined extends LRScheduler {
  readonly #schedulers: readonly LRScheduler[];
  constructor(optimizer: Schedulable, schedulers: readonly LRScheduler[], last_epoch: number) {
    super(optimizer, -1);
    this.#schedulers = schedulers;
    this.last_epoch = last_epoch;
  }
  get schedulers(): readonly LRScheduler[] {
    return this.#schedulers;
  }
  override get_lr(): number[] {
    return this.groups.map((g) => g.lr);
  }
  override undo(): void {
    for (const s of this.#schedulers) s.undo();
  }
  override state_dict(): SchedulerState {
    return { ...super.state_dict(), _schedulers: this.#schedulers.map((s) => s.state_dict()) };
  }
  override load_state_dict(state: SchedulerState): void {
    const { _schedulers, ...own } = state;
    super.load_state_dict(own);
    (_schedulers as SchedulerState[]).forEach((s, i) => {
      this.#schedulers[i].load_state_dict(s);
    });
  }
}

/** One scheduler after the other, changing at milestones. https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.SequentialLR.html */
export class SequentialLR extends Combined {
  readonly milestones: readonly number[];
  constructor(optimizer: Schedulable, ...args: ConstructorArguments<SequentialArguments, typeof sequentialOrder>) {
    const a = bindConstructor<SequentialArguments>('SequentialLR', sequentialOrder, { last_epoch: -1 }, args);
    checkSame('SequentialLR', optimizer, a.schedulers);
    if (a.milestones.length !== a.schedulers.length - 1)
      throw new Error(
        `Sequential Schedulers expects number of schedulers provided to be one more than the number of milestone points, but got number of schedulers ${a.schedulers.length} and the number of milestones to be equal to ${a.milestones.length}`,
      );
    super(optimizer, a.schedulers, a.last_epoch + 1);
    this.milestones = a.milestones;
    // The others have made their first steps already: back to the initial rates, then only the first one's.
    for (const g of this.groups) g.lr = g.initial_lr!;
    this.undo();
    a.schedulers[0].start();
    this.lastLr = a.schedulers[0].get_last_lr();
  }
  override step(): void {
    libraryState(() => {
      this.last_epoch++;
      const at = this.milestones.filter((m) => m <= this.last_epoch).length;
      const scheduler = this.schedulers[at];
      if (at > 0 && this.milestones[at - 1] === this.last_epoch) scheduler.update(0);
      else scheduler.step();
      this.lastLr = scheduler.get_last_lr();
    });
  }
}

/** All schedulers at each step. https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.ChainedScheduler.html */
export class ChainedScheduler extends Combined {
  constructor(schedulers: readonly LRScheduler[], optimizer?: Schedulable) {
    const on = optimizer ?? schedulers[0]?.optimizer;
    checkSame('ChainedScheduler', on, schedulers);
    super(on, schedulers, -1);
    this.lastLr = this.groups.map((g) => g.lr);
  }
  override step(): void {
    libraryState(() => {
      for (const s of this.schedulers) s.step();
      this.lastLr = this.groups.map((g) => g.lr);
    });
  }
}

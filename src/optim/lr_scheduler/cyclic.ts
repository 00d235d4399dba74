/** Schedules that go up and down: cycles, one cycle, warm restarts. */
import { bindConstructor, type ConstructorArguments } from '../../nn/arguments.ts';
import { libraryState } from '../../tensor/tracing.ts';
import { checkHasMomentum, LRScheduler, perGroup, type Schedulable, type SchedulableGroup, setMomentum } from './base.ts';

type PerGroup = number | readonly number[];

interface CyclicArguments {
  base_lr: PerGroup;
  max_lr: PerGroup;
  step_size_up?: number;
  step_size_down?: number | null;
  mode?: 'triangular' | 'triangular2' | 'exp_range';
  gamma?: number;
  scale_fn?: ((x: number) => number) | null;
  scale_mode?: 'cycle' | 'iterations';
  cycle_momentum?: boolean;
  base_momentum?: PerGroup;
  max_momentum?: PerGroup;
  last_epoch?: number;
}
const cyclicOrder = [
  'base_lr',
  'max_lr',
  'step_size_up',
  'step_size_down',
  'mode',
  'gamma',
  'scale_fn',
  'scale_mode',
  'cycle_momentum',
  'base_momentum',
  'max_momentum',
  'last_epoch',
] as const;
const cyclicDefaults = {
  step_size_up: 2000,
  step_size_down: null,
  mode: 'triangular',
  gamma: 1,
  scale_fn: null,
  scale_mode: 'cycle',
  cycle_momentum: true,
  base_momentum: 0.8,
  max_momentum: 0.9,
  last_epoch: -1,
} as const;

/** Between two rates, linearly, cycle after cycle. https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.CyclicLR.html */
export class CyclicLR extends LRScheduler {
  readonly max_lrs: number[];
  readonly total_size: number;
  readonly step_ratio: number;
  readonly mode: string;
  readonly gamma: number;
  readonly scale_mode: 'cycle' | 'iterations';
  readonly cycle_momentum: boolean;
  readonly base_momentums: number[] = [];
  readonly max_momentums: number[] = [];
  readonly scale_fn: (x: number) => number;

  constructor(optimizer: Schedulable, ...args: ConstructorArguments<CyclicArguments, typeof cyclicOrder>) {
    const a = bindConstructor<CyclicArguments>('CyclicLR', cyclicOrder, cyclicDefaults, args);
    const baseLrs = perGroup('base_lr', optimizer, a.base_lr);
    const maxLrs = perGroup('max_lr', optimizer, a.max_lr);
    const { mode, gamma } = a;
    const scales: Record<string, { fn: (x: number) => number; by: 'cycle' | 'iterations' }> = {
      triangular: { fn: () => 1, by: 'cycle' },
      triangular2: { fn: (x) => 1 / 2 ** (x - 1), by: 'cycle' },
      exp_range: { fn: (x) => gamma ** x, by: 'iterations' },
    };
    if (scales[mode] === undefined && a.scale_fn === null) throw new Error('mode is invalid and scale_fn is None');
    if (a.cycle_momentum) checkHasMomentum(optimizer);
    if (a.last_epoch === -1)
      (optimizer.param_groups as SchedulableGroup[]).forEach((g, i) => {
        g.lr = baseLrs[i];
      });
    super(optimizer, a.last_epoch);
    this.max_lrs = maxLrs;
    const down = a.step_size_down ?? a.step_size_up;
    this.total_size = a.step_size_up + down;
    this.step_ratio = a.step_size_up / this.total_size;
    this.mode = mode;
    this.gamma = gamma;
    this.scale_fn = a.scale_fn ?? scales[mode].fn;
    this.scale_mode = a.scale_fn === null ? scales[mode].by : a.scale_mode;
    this.cycle_momentum = a.cycle_momentum;
    if (a.cycle_momentum) {
      this.base_momentums = perGroup('base_momentum', optimizer, a.base_momentum);
      this.max_momentums = perGroup('max_momentum', optimizer, a.max_momentum);
      if (a.last_epoch === -1)
        this.groups.forEach((g, i) => {
          setMomentum(g, this.max_momentums[i]);
          g['max_momentum'] = this.max_momentums[i];
          g['base_momentum'] = this.base_momentums[i];
        });
    }
    this.start();
    this.base_lrs = baseLrs;
  }

  override get_lr(): number[] {
    const cycle = Math.floor(1 + this.last_epoch / this.total_size);
    const x = 1 + this.last_epoch / this.total_size - cycle;
    const height = x <= this.step_ratio ? x / this.step_ratio : (x - 1) / (this.step_ratio - 1);
    const scale = this.scale_fn(this.scale_mode === 'cycle' ? cycle : this.last_epoch);
    this.groups.forEach((g, i) => {
      if (this.cycle_momentum) setMomentum(g, this.max_momentums[i] - (this.max_momentums[i] - this.base_momentums[i]) * height * scale);
    });
    return this.base_lrs.map((base, i) => base + (this.max_lrs[i] - base) * height * scale);
  }
}

interface OneCycleArguments {
  max_lr: PerGroup;
  total_steps?: number | null;
  epochs?: number | null;
  steps_per_epoch?: number | null;
  pct_start?: number;
  anneal_strategy?: 'cos' | 'linear';
  cycle_momentum?: boolean;
  base_momentum?: PerGroup;
  max_momentum?: PerGroup;
  div_factor?: number;
  final_div_factor?: number;
  three_phase?: boolean;
  last_epoch?: number;
}
const oneCycleOrder = [
  'max_lr',
  'total_steps',
  'epochs',
  'steps_per_epoch',
  'pct_start',
  'anneal_strategy',
  'cycle_momentum',
  'base_momentum',
  'max_momentum',
  'div_factor',
  'final_div_factor',
  'three_phase',
  'last_epoch',
] as const;
const oneCycleDefaults = {
  total_steps: null,
  epochs: null,
  steps_per_epoch: null,
  pct_start: 0.3,
  anneal_strategy: 'cos',
  cycle_momentum: true,
  base_momentum: 0.85,
  max_momentum: 0.95,
  div_factor: 25,
  final_div_factor: 1e4,
  three_phase: false,
  last_epoch: -1,
} as const;

type Quantity = 'initial' | 'max' | 'min' | 'base';
interface Phase {
  readonly end: number;
  readonly lr: readonly [Quantity, Quantity];
  readonly momentum: readonly [Quantity, Quantity];
}

const positiveInteger = (name: string, x: number): number => {
  if (!Number.isInteger(x) || x <= 0) throw new Error(`Expected positive integer ${name}, but got ${x}`);
  return x;
};

/** Up to `max_lr` and far down again, once. https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.OneCycleLR.html */
export class OneCycleLR extends LRScheduler {
  readonly total_steps: number;
  readonly cycle_momentum: boolean;
  readonly anneal_strategy: 'cos' | 'linear';
  readonly phases: readonly Phase[];

  constructor(optimizer: Schedulable, ...args: ConstructorArguments<OneCycleArguments, typeof oneCycleOrder>) {
    const a = bindConstructor<OneCycleArguments>('OneCycleLR', oneCycleOrder, oneCycleDefaults, args);
    let total: number;
    if (a.total_steps !== null) total = positiveInteger('total_steps', a.total_steps);
    else if (a.epochs !== null && a.steps_per_epoch !== null)
      total = positiveInteger('epochs', a.epochs) * positiveInteger('steps_per_epoch', a.steps_per_epoch);
    else throw new Error('You must define either total_steps OR (epochs AND steps_per_epoch)');
    if (a.pct_start < 0 || a.pct_start > 1) throw new Error(`Expected float between 0 and 1 pct_start, but got ${a.pct_start}`);
    if (a.anneal_strategy !== 'cos' && a.anneal_strategy !== 'linear')
      throw new Error(`anneal_strategy must be one of 'cos' or 'linear', instead got ${String(a.anneal_strategy)}`);
    const maxLrs = perGroup('max_lr', optimizer, a.max_lr);
    if (a.cycle_momentum) checkHasMomentum(optimizer);
    if (a.last_epoch === -1)
      (optimizer.param_groups as SchedulableGroup[]).forEach((g, i) => {
        g.initial_lr = maxLrs[i] / a.div_factor;
        g['max_lr'] = maxLrs[i];
        g['min_lr'] = g.initial_lr / a.final_div_factor;
      });
    super(optimizer, a.last_epoch);
    this.total_steps = total;
    this.cycle_momentum = a.cycle_momentum;
    this.anneal_strategy = a.anneal_strategy;
    const up: Phase = { end: a.pct_start * total - 1, lr: ['initial', 'max'], momentum: ['max', 'base'] };
    this.phases = a.three_phase
      ? [
          up,
          { end: 2 * a.pct_start * total - 2, lr: ['max', 'initial'], momentum: ['base', 'max'] },
          { end: total - 1, lr: ['initial', 'min'], momentum: ['max', 'max'] },
        ]
      : [up, { end: total - 1, lr: ['max', 'min'], momentum: ['base', 'max'] }];
    if (a.cycle_momentum && a.last_epoch === -1) {
      const high = perGroup('max_momentum', optimizer, a.max_momentum);
      const low = perGroup('base_momentum', optimizer, a.base_momentum);
      this.groups.forEach((g, i) => {
        setMomentum(g, high[i]);
        g['max_momentum'] = high[i];
        g['base_momentum'] = low[i];
      });
    }
    this.start();
  }

  override get_lr(): number[] {
    const step = this.last_epoch;
    if (step > this.total_steps) throw new Error(`Tried to step ${step} times. The specified number of total steps is ${this.total_steps}`);
    let begin = 0;
    let phase = this.phases[0];
    for (const p of this.phases) {
      phase = p;
      if (step <= p.end || p === this.phases.at(-1)) break;
      begin = p.end;
    }
    const share = (step - begin) / (phase.end - begin);
    const between = (start: number, end: number): number =>
      this.anneal_strategy === 'cos' ? end + ((start - end) / 2) * (Math.cos(Math.PI * share) + 1) : (end - start) * share + start;
    const of = (g: SchedulableGroup, q: Quantity, what: 'lr' | 'momentum'): number => g[`${q}_${what}`] as number;
    return this.groups.map((g) => {
      if (this.cycle_momentum) setMomentum(g, between(of(g, phase.momentum[0], 'momentum'), of(g, phase.momentum[1], 'momentum')));
      return between(of(g, phase.lr[0], 'lr'), of(g, phase.lr[1], 'lr'));
    });
  }
}

interface RestartArguments {
  T_0: number;
  T_mult?: number;
  eta_min?: number;
  last_epoch?: number;
}
const restartOrder = ['T_0', 'T_mult', 'eta_min', 'last_epoch'] as const;

/** Cosine annealing that starts again, each time `T_mult` as long. https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.CosineAnnealingWarmRestarts.html */
export class CosineAnnealingWarmRestarts extends LRScheduler {
  readonly T_0: number;
  readonly T_mult: number;
  readonly eta_min: number;
  T_i: number;
  T_cur: number;
  constructor(optimizer: Schedulable, ...args: ConstructorArguments<RestartArguments, typeof restartOrder>) {
    const a = bindConstructor<RestartArguments>(
      'CosineAnnealingWarmRestarts',
      restartOrder,
      { T_mult: 1, eta_min: 0, last_epoch: -1 },
      args,
    );
    if (a.T_0 <= 0 || !Number.isInteger(a.T_0)) throw new Error(`Expected positive integer T_0, but got ${a.T_0}`);
    if (a.T_mult < 1 || !Number.isInteger(a.T_mult)) throw new Error(`Expected integer T_mult >= 1, but got ${a.T_mult}`);
    super(optimizer, a.last_epoch);
    this.T_0 = a.T_0;
    this.T_i = a.T_0;
    this.T_mult = a.T_mult;
    this.eta_min = a.eta_min;
    this.T_cur = a.last_epoch;
    this.start();
  }
  override get_lr(): number[] {
    return this.base_lrs.map((base) => this.eta_min + ((base - this.eta_min) * (1 + Math.cos((Math.PI * this.T_cur) / this.T_i))) / 2);
  }
  /** The next epoch, or any, also a fraction: `scheduler.step(epoch + i / iterations)`. */
  override step(epoch?: number): void {
    libraryState(() => this.advance(epoch));
  }
  private advance(epoch: number | undefined): void {
    let to = epoch;
    if (to === undefined && this.last_epoch < 0) to = 0;
    if (to === undefined) {
      to = this.last_epoch + 1;
      this.T_cur++;
      if (this.T_cur >= this.T_i) {
        this.T_cur %= this.T_i;
        this.T_i *= this.T_mult;
      }
    } else {
      if (to < 0) throw new Error(`Expected non-negative epoch, but got ${to}`);
      if (to < this.T_0) {
        this.T_i = this.T_0;
        this.T_cur = to;
      } else if (this.T_mult === 1) this.T_cur = to % this.T_0;
      else {
        const n = Math.floor(Math.log((to / this.T_0) * (this.T_mult - 1) + 1) / Math.log(this.T_mult));
        this.T_cur = to - (this.T_0 * (this.T_mult ** n - 1)) / (this.T_mult - 1);
        this.T_i = this.T_0 * this.T_mult ** n;
      }
    }
    this.last_epoch = Math.floor(to);
    const rates = this.get_lr();
    this.groups.forEach((g, i) => {
      g.lr = rates[i];
    });
    this.lastLr = rates;
  }
}

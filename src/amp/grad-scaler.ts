/**
 * GradScaler: a loss is multiplied by a scale so that float16 gradients do not vanish; before the step they are divided by it, and a step with
 * infinities or NaNs among them is left out. https://docs.pytorch.org/docs/stable/amp.html#gradient-scaling
 *
 * PyTorch's state machine and error texts. `step` reads one number a device, whether there was an infinity; scale and counter stay on the device.
 */

import { kindOf } from '../autograd/autocast-mode.ts';
import { no_grad } from '../autograd/modes.ts';
import { float16, float32, int32 } from '../dtype/dtype.ts';
import { bindConstructor, type ConstructorArguments } from '../nn/arguments.ts';
import { Tensor, torchFunctions } from '../ops/methods.ts';
import { amp_definitely_not_available, deprecated } from './autocast.ts';
import { inverseScale, unscale, updateScale } from './unscale.ts';

export interface GradScalerOptions {
  readonly device?: string;
  readonly init_scale?: number;
  readonly growth_factor?: number;
  readonly backoff_factor?: number;
  readonly growth_interval?: number;
  readonly enabled?: boolean;
}
const numbers = ['init_scale', 'growth_factor', 'backoff_factor', 'growth_interval', 'enabled'] as const;
const order = ['device', ...numbers] as const;
const defaults = { init_scale: 65536, growth_factor: 2, backoff_factor: 0.5, growth_interval: 2000, enabled: true };

export interface GradScalerState {
  readonly scale: number;
  readonly growth_factor: number;
  readonly backoff_factor: number;
  readonly growth_interval: number;
  readonly _growth_tracker: number;
}

/** What is asked of an optimizer. */
export interface ScalableOptimizer {
  readonly param_groups: readonly { readonly params: readonly Tensor[] }[];
  step(...args: never[]): unknown;
}
/** An optimizer that unscales and skips by itself: it finds `grad_scale` and `found_inf` on itself during `step`. */
interface SelfScaling {
  readonly _step_supports_amp_scaling?: boolean;
  grad_scale?: Tensor | null;
  found_inf?: Tensor | null;
}
type Stage = 'ready' | 'unscaled' | 'stepped';
interface OptimizerStage {
  stage: Stage;
  found: ReadonlyMap<string, Tensor>;
}
export type Scalable = Tensor | readonly Scalable[];

/** Copies of a number on the devices that ask for it. */
class Copies {
  readonly #master: Tensor;
  readonly made = new Map<string, Tensor>();
  constructor(master: Tensor) {
    this.#master = master;
  }
  on(device: string): Tensor {
    let copy = this.made.get(device);
    if (copy === undefined) {
      copy = this.#master.to({ device, copy: true }) as Tensor;
      this.made.set(device, copy);
    }
    return copy;
  }
}
const numberOn = (value: number, device: string, dtype = float32): Tensor => torchFunctions.full([], value, { dtype, device }) as Tensor;

export class GradScaler {
  readonly #device: string;
  readonly #enabled: boolean;
  #initScale: number;
  #initTracker = 0;
  #growthFactor: number;
  #backoffFactor: number;
  #growthInterval: number;
  #scale: Tensor | null = null;
  #tracker: Tensor | null = null;
  #optimizers = new Map<object, OptimizerStage>();

  constructor(...args: ConstructorArguments<GradScalerOptions, typeof order>) {
    const a = bindConstructor<GradScalerOptions>('GradScaler', order, { device: 'cuda', ...defaults }, args) as Required<GradScalerOptions>;
    this.#device = a.device;
    let { enabled } = a;
    if (enabled && a.device === 'cuda' && amp_definitely_not_available()) {
      console.warn('torch.cuda.amp.GradScaler is enabled, but CUDA is not available.  Disabling.');
      enabled = false;
    }
    this.#enabled = enabled;
    if (enabled && a.growth_factor <= 1) throw new Error('The growth factor must be > 1.0.');
    if (enabled && a.backoff_factor >= 1) throw new Error('The backoff factor must be < 1.0.');
    this.#initScale = a.init_scale;
    this.#growthFactor = a.growth_factor;
    this.#backoffFactor = a.backoff_factor;
    this.#growthInterval = a.growth_interval;
  }

  #check(name: string): { readonly scale: Tensor; readonly tracker: Tensor } {
    const fix = 'This may indicate your script did not use scaler.scale(loss or outputs) earlier in the iteration.';
    if (this.#scale === null) throw new Error(`Attempted ${name} but _scale is None.  ${fix}`);
    if (this.#tracker === null) throw new Error(`Attempted ${name} but _growth_tracker is None.  ${fix}`);
    return { scale: this.#scale, tracker: this.#tracker };
  }
  #stageOf(optimizer: object): OptimizerStage {
    let found = this.#optimizers.get(optimizer);
    if (found === undefined) {
      found = { stage: 'ready', found: new Map() };
      this.#optimizers.set(optimizer, found);
    }
    return found;
  }

  /** A loss, or losses in arrays, times the scale. */
  scale<T extends Scalable>(outputs: T): T {
    if (!this.#enabled) return outputs;
    let copies: Copies | null = null;
    const apply = (x: unknown): unknown => {
      if (x instanceof Tensor) {
        if (this.#scale === null) {
          this.#scale = numberOn(this.#initScale, x.device);
          this.#tracker = numberOn(this.#initTracker, x.device, int32);
        }
        if (x.device === this.#scale.device) return x.mul(this.#scale);
        copies ??= new Copies(this.#scale);
        return x.mul(copies.on(x.device));
      }
      if (typeof x === 'object' && x !== null && Symbol.iterator in x) return [...(x as Iterable<unknown>)].map(apply);
      throw new Error('outputs must be a Tensor or an iterable of Tensors');
    };
    return apply(outputs) as T;
  }

  #unscaleAll(optimizer: ScalableOptimizer, inverse: Tensor, allowHalf: boolean): ReadonlyMap<string, Tensor> {
    const byDevice = new Map<string, Tensor[]>();
    for (const { params } of optimizer.param_groups)
      for (const p of params) {
        const grad = p.grad_ as Tensor | null;
        if (grad === null) continue;
        if (!allowHalf && grad.dtype === float16) throw new Error('Attempting to unscale FP16 gradients.');
        const list = byDevice.get(grad.device);
        if (list === undefined) byDevice.set(grad.device, [grad]);
        else list.push(grad);
      }
    const inverses = new Copies(inverse);
    const found = new Copies(numberOn(0, inverse.device));
    for (const [device, grads] of byDevice) unscale(grads, found.on(device), inverses.on(device));
    return found.made;
  }

  /** Divides the gradients of the optimizer's parameters by the scale: to clip or look at them before `step`. Once a step. */
  unscale_(optimizer: ScalableOptimizer): void {
    if (!this.#enabled) return;
    const { scale } = this.#check('unscale_');
    const state = this.#stageOf(optimizer);
    if (state.stage === 'unscaled') throw new Error('unscale_() has already been called on this optimizer since the last update().');
    if (state.stage === 'stepped') throw new Error('unscale_() is being called after step().');
    state.found = this.#unscaleAll(optimizer, inverseScale(scale) as Tensor, false);
    state.stage = 'unscaled';
  }

  /** Unscales the gradients, if that has not been done, and steps unless one of them is infinite or NaN. Returns what `optimizer.step` returns. */
  step<R>(optimizer: ScalableOptimizer & { step(...args: never[]): R }, ...args: readonly unknown[]): R | undefined {
    const run = (): R => (optimizer.step as (...args: readonly unknown[]) => R).call(optimizer, ...args);
    if (!this.#enabled) return run();
    if (args.some((x) => typeof x === 'function' || (typeof x === 'object' && x !== null && 'closure' in x)))
      throw new Error('Closure use is not currently supported if GradScaler is enabled.');
    const { scale } = this.#check('step');
    const state = this.#stageOf(optimizer);
    if (state.stage === 'stepped') throw new Error('step() has already been called since the last update().');
    if ((optimizer as SelfScaling)._step_supports_amp_scaling === true)
      return this.#stepItself(optimizer as SelfScaling, state, scale, run);
    if (state.stage === 'ready') this.unscale_(optimizer);
    if (state.found.size === 0) throw new Error('No inf checks were recorded for this optimizer.');
    let infinities = 0;
    for (const found of state.found.values()) infinities += Number(found.item());
    const result = infinities === 0 ? run() : undefined;
    state.stage = 'stepped';
    return result;
  }
  /** The optimizer gets the scale and whether there was an infinity as tensors: nothing is read here. */
  #stepItself<R>(optimizer: SelfScaling, state: OptimizerStage, scale: Tensor, run: () => R): R {
    if (state.stage === 'ready') state.found = this.#unscaleAll(optimizer as unknown as ScalableOptimizer, numberOn(1, scale.device), true);
    let found = numberOn(0, scale.device);
    for (const one of state.found.values()) found = found.add(one.to({ device: scale.device })) as Tensor;
    const given = optimizer.grad_scale ?? null;
    optimizer.grad_scale = state.stage === 'unscaled' ? given : given === null ? scale : (scale.mul(given) as Tensor);
    optimizer.found_inf = found;
    try {
      return run();
    } finally {
      state.stage = 'stepped';
      delete optimizer.grad_scale;
      delete optimizer.found_inf;
    }
  }

  /** After the steps of all optimizers: a smaller scale if one was left out, a larger one after `growth_interval` good ones; or the scale given. */
  update(new_scale: number | Tensor | null = null): void {
    if (!this.#enabled) return;
    const { scale, tracker } = this.#check('update');
    if (typeof new_scale === 'number') no_grad(() => scale.fill_(new_scale));
    else if (new_scale !== null) {
      if (kindOf(new_scale.device) !== this.#device || new_scale.numel() !== 1 || new_scale.requires_grad)
        throw new Error('new_scale should be a float or a 1-element torch.cuda.FloatTensor or torch.FloatTensor with requires_grad=False.');
      no_grad(() => scale.copy_(new_scale.reshape([])));
    } else {
      const found = [...this.#optimizers.values()]
        .flatMap((o) => [...o.found.values()])
        .map((f) => f.to({ device: scale.device }) as Tensor);
      if (found.length === 0) throw new Error('No inf checks were recorded prior to update.');
      const all = found.reduce((sum, f) => sum.add(f) as Tensor);
      updateScale(scale, tracker, all, this.#growthFactor, this.#backoffFactor, this.#growthInterval);
    }
    this.#optimizers = new Map();
  }

  /** Reads the scale. */
  get_scale(): number {
    if (!this.#enabled) return 1;
    return this.#scale === null ? this.#initScale : Number(this.#scale.item());
  }
  get_growth_factor(): number {
    return this.#growthFactor;
  }
  set_growth_factor(new_factor: number): void {
    this.#growthFactor = new_factor;
  }
  get_backoff_factor(): number {
    return this.#backoffFactor;
  }
  set_backoff_factor(new_factor: number): void {
    this.#backoffFactor = new_factor;
  }
  get_growth_interval(): number {
    return this.#growthInterval;
  }
  set_growth_interval(new_interval: number): void {
    this.#growthInterval = new_interval;
  }
  /** Steps without an infinity since the scale changed. Reads. */
  _get_growth_tracker(): number {
    if (!this.#enabled) return 0;
    return this.#tracker === null ? this.#initTracker : Number(this.#tracker.item());
  }
  is_enabled(): boolean {
    return this.#enabled;
  }
  /** Of a disabled scaler: empty. */
  state_dict(): GradScalerState | Record<string, never> {
    if (!this.#enabled) return {};
    return {
      scale: this.get_scale(),
      growth_factor: this.#growthFactor,
      backoff_factor: this.#backoffFactor,
      growth_interval: this.#growthInterval,
      _growth_tracker: this._get_growth_tracker(),
    };
  }
  load_state_dict(state_dict: GradScalerState | Record<string, never>): void {
    if (!this.#enabled) return;
    if (Object.keys(state_dict).length === 0)
      throw new Error('The source state dict is empty, possibly because it was saved from a disabled instance of GradScaler.');
    const s = state_dict as GradScalerState;
    this.#initScale = s.scale;
    this.#growthFactor = s.growth_factor;
    this.#backoffFactor = s.backoff_factor;
    this.#growthInterval = s.growth_interval;
    this.#initTracker = s._growth_tracker;
    no_grad(() => {
      this.#scale?.fill_(s.scale);
      this.#tracker?.fill_(s._growth_tracker);
    });
  }
}

type OldOptions = Omit<GradScalerOptions, 'device'>;
const old = (device: string): string =>
  `\`torch.${device}.amp.GradScaler(args...)\` is deprecated. Please use \`torch.amp.GradScaler('${device}', args...)\` instead.`;
/** `torch.cuda.amp.GradScaler`, the old name. */
export class CudaGradScaler extends GradScaler {
  constructor(...args: ConstructorArguments<OldOptions, typeof numbers>) {
    deprecated(old('cuda'));
    super({ device: 'cuda', ...bindConstructor<OldOptions>('GradScaler', numbers, defaults, args) });
  }
}
/** `torch.cpu.amp.GradScaler`, the old name. */
export class CpuGradScaler extends GradScaler {
  constructor(...args: ConstructorArguments<OldOptions, typeof numbers>) {
    deprecated(old('cpu'));
    super({ device: 'cpu', ...bindConstructor<OldOptions>('GradScaler', numbers, defaults, args) });
  }
}

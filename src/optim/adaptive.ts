/** Optimizers that scale each element's step by its own history: Adagrad, Adadelta, Adamax, NAdam, RAdam, RMSprop, Rprop. */
import { bindConstructor, type ConstructorArguments } from '../nn/arguments.ts';
import type { Tensor } from '../ops/methods.ts';
import { fullLike, type GroupInput, Optimizer, type Slot, zerosLike } from './optimizer.ts';
import { addcdiv, addcmul, byStep, checkAtLeastZero, checkBetas, checkRate, lerp, makeRule } from './rule.ts';

type Params<O extends object> = Iterable<Tensor | GroupInput<O>>;

// ---- Adagrad

export interface AdagradOptions {
  lr: number;
  lr_decay: number;
  weight_decay: number;
  initial_accumulator_value: number;
  eps: number;
  maximize: boolean;
}
const adagradOrder = ['lr', 'lr_decay', 'weight_decay', 'initial_accumulator_value', 'eps'] as const;
/** numbers: weight decay, -rate, eps. */
const adagradRule = makeRule<{ readonly decay: boolean }>({
  name: 'adagrad_step',
  states: () => ['sum'],
  numbers: 3,
  update: (p, raw, [sum], [decay, size, eps], c) => {
    const g = c.decay ? raw.add(p.mul(decay)) : raw;
    const total = addcmul(sum, g, g, null);
    return [addcdiv(p, g, total.sqrt().add(eps), size), total];
  },
});

/** https://docs.pytorch.org/docs/stable/generated/torch.optim.Adagrad.html */
export class Adagrad extends Optimizer<AdagradOptions> {
  constructor(params: Params<AdagradOptions>, ...args: ConstructorArguments<Partial<AdagradOptions>, typeof adagradOrder>) {
    const defaults = { lr: 1e-2, lr_decay: 0, weight_decay: 0, initial_accumulator_value: 0, eps: 1e-10, maximize: false };
    const o = bindConstructor<AdagradOptions>('Adagrad', adagradOrder, defaults, args);
    checkRate(o.lr);
    checkAtLeastZero('lr_decay value', o.lr_decay);
    checkAtLeastZero('weight_decay value', o.weight_decay);
    checkAtLeastZero('initial_accumulator_value value', o.initial_accumulator_value);
    checkAtLeastZero('epsilon value', o.eps);
    super(params, o as AdagradOptions);
    for (const group of this.param_groups)
      for (const p of group.params) this.state.set(p, { step: 0, sum: fullLike(p, group.initial_accumulator_value) });
  }
  protected override update(slots: readonly Slot[], group: AdagradOptions): void {
    for (const { p, state } of slots) state['sum'] ??= fullLike(p, group.initial_accumulator_value);
    for (const { step, slots: part } of byStep(slots)) {
      const rate = group.lr / (1 + (step - 1) * group.lr_decay);
      adagradRule(part, { decay: group.weight_decay !== 0, maximize: group.maximize }, [group.weight_decay, -rate, group.eps]);
    }
  }
}

// ---- Adadelta

export interface AdadeltaOptions {
  lr: number;
  rho: number;
  eps: number;
  weight_decay: number;
  maximize: boolean;
}
const adadeltaOrder = ['lr', 'rho', 'eps', 'weight_decay'] as const;
/** numbers: weight decay, rho, 1 - rho, eps, -lr. */
const adadeltaRule = makeRule<{ readonly decay: boolean }>({
  name: 'adadelta_step',
  states: () => ['square_avg', 'acc_delta'],
  numbers: 5,
  update: (p, raw, [square, delta], [decay, rho, rest, eps, size], c) => {
    const g = c.decay ? raw.add(p.mul(decay)) : raw;
    const average = addcmul(square.mul(rho), g, g, rest);
    const change = delta.add(eps).sqrt().div(average.add(eps).sqrt()).mul(g);
    return [p.add(change.mul(size)), average, addcmul(delta.mul(rho), change, change, rest)];
  },
});

/** https://docs.pytorch.org/docs/stable/generated/torch.optim.Adadelta.html */
export class Adadelta extends Optimizer<AdadeltaOptions> {
  constructor(params: Params<AdadeltaOptions>, ...args: ConstructorArguments<Partial<AdadeltaOptions>, typeof adadeltaOrder>) {
    const defaults = { lr: 1, rho: 0.9, eps: 1e-6, weight_decay: 0, maximize: false };
    const o = bindConstructor<AdadeltaOptions>('Adadelta', adadeltaOrder, defaults, args);
    checkRate(o.lr);
    if (!(o.rho >= 0 && o.rho <= 1)) throw new Error(`Invalid rho value: ${o.rho}`);
    checkAtLeastZero('epsilon value', o.eps);
    checkAtLeastZero('weight_decay value', o.weight_decay);
    super(params, o as AdadeltaOptions);
  }
  protected override update(slots: readonly Slot[], { lr, rho, eps, weight_decay, maximize }: AdadeltaOptions): void {
    for (const { p, state } of slots) {
      state['square_avg'] ??= zerosLike(p);
      state['acc_delta'] ??= zerosLike(p);
    }
    for (const { slots: part } of byStep(slots))
      adadeltaRule(part, { decay: weight_decay !== 0, maximize }, [weight_decay, rho, 1 - rho, eps, -lr]);
  }
}

// ---- Adamax

export interface AdamaxOptions {
  lr: number;
  betas: readonly [number, number];
  eps: number;
  weight_decay: number;
  maximize: boolean;
}
const adamaxOrder = ['lr', 'betas', 'eps', 'weight_decay'] as const;
/** numbers: weight decay, 1 - beta1, beta2, eps, -rate. */
const adamaxRule = makeRule<{ readonly decay: boolean; readonly high: boolean }>({
  name: 'adamax_step',
  states: () => ['exp_avg', 'exp_inf'],
  numbers: 5,
  update: (p, raw, [m, largest], [decay, rest1, beta2, eps, size], c) => {
    const g = c.decay ? raw.add(p.mul(decay)) : raw;
    const first = lerp(m, g, rest1, c.high);
    const norm = largest.mul(beta2).maximum(g.scalar('abs').add(eps));
    return [addcdiv(p, first, norm, size), first, norm];
  },
});

/** https://docs.pytorch.org/docs/stable/generated/torch.optim.Adamax.html */
export class Adamax extends Optimizer<AdamaxOptions> {
  constructor(params: Params<AdamaxOptions>, ...args: ConstructorArguments<Partial<AdamaxOptions>, typeof adamaxOrder>) {
    const defaults = { lr: 2e-3, betas: [0.9, 0.999] as const, eps: 1e-8, weight_decay: 0, maximize: false };
    const o = bindConstructor<AdamaxOptions>('Adamax', adamaxOrder, defaults, args);
    checkRate(o.lr);
    checkAtLeastZero('epsilon value', o.eps);
    checkBetas(o.betas);
    checkAtLeastZero('weight_decay value', o.weight_decay);
    super(params, o as AdamaxOptions);
  }
  protected override update(slots: readonly Slot[], { lr, betas, eps, weight_decay, maximize }: AdamaxOptions): void {
    const [beta1, beta2] = betas;
    for (const { p, state } of slots) {
      state['exp_avg'] ??= zerosLike(p);
      state['exp_inf'] ??= zerosLike(p);
    }
    for (const { step, slots: part } of byStep(slots)) {
      const numbers = [weight_decay, 1 - beta1, beta2, eps, -(lr / (1 - beta1 ** step))];
      adamaxRule(part, { decay: weight_decay !== 0, maximize, high: 1 - beta1 >= 0.5 }, numbers);
    }
  }
}

// ---- NAdam, RAdam

type Decay = 'none' | 'gradient' | 'parameter';
const decayOf = (weight_decay: number, decoupled: boolean): Decay => (weight_decay === 0 ? 'none' : decoupled ? 'parameter' : 'gradient');
const decayNumber = (lr: number, weight_decay: number, decoupled: boolean): number => (decoupled ? 1 - lr * weight_decay : weight_decay);

export interface NAdamOptions extends AdamaxOptions {
  momentum_decay: number;
  decoupled_weight_decay: boolean;
}
const nadamOrder = ['lr', 'betas', 'eps', 'weight_decay', 'momentum_decay', 'decoupled_weight_decay'] as const;
/** numbers: decay, 1 - beta1, beta2, 1 - beta2, second bias correction, eps, -rate of the gradient, -rate of the average. */
const nadamRule = makeRule<{ readonly decay: Decay; readonly high: boolean }>({
  name: 'nadam_step',
  states: () => ['exp_avg', 'exp_avg_sq'],
  numbers: 8,
  update: (p, raw, [m, v], [decay, rest1, beta2, rest2, correction, eps, ofGradient, ofAverage], c) => {
    const g = c.decay === 'gradient' ? raw.add(p.mul(decay)) : raw;
    const first = lerp(m, g, rest1, c.high);
    const second = addcmul(v.mul(beta2), g, g, rest2);
    const denominator = second.div(correction).sqrt().add(eps);
    const moved = addcdiv(c.decay === 'parameter' ? p.mul(decay) : p, g, denominator, ofGradient);
    return [addcdiv(moved, first, denominator, ofAverage), first, second];
  },
});

/** https://docs.pytorch.org/docs/stable/generated/torch.optim.NAdam.html */
export class NAdam extends Optimizer<NAdamOptions> {
  constructor(params: Params<NAdamOptions>, ...args: ConstructorArguments<Partial<NAdamOptions>, typeof nadamOrder>) {
    const defaults = {
      lr: 2e-3,
      betas: [0.9, 0.999] as const,
      eps: 1e-8,
      weight_decay: 0,
      momentum_decay: 4e-3,
      decoupled_weight_decay: false,
      maximize: false,
    };
    const o = bindConstructor<NAdamOptions>('NAdam', nadamOrder, defaults, args);
    checkRate(o.lr);
    checkAtLeastZero('epsilon value', o.eps);
    checkBetas(o.betas);
    checkAtLeastZero('weight_decay value', o.weight_decay);
    checkAtLeastZero('momentum_decay value', o.momentum_decay);
    super(params, o as NAdamOptions);
  }
  protected override update(slots: readonly Slot[], group: NAdamOptions): void {
    const { lr, betas, eps, weight_decay, momentum_decay, decoupled_weight_decay, maximize } = group;
    const [beta1, beta2] = betas;
    for (const { p, state } of slots) {
      state['exp_avg'] ??= zerosLike(p);
      state['exp_avg_sq'] ??= zerosLike(p);
      state['mu_product'] ??= 1;
    }
    for (const { step, slots: part } of byStep(slots)) {
      const mu = beta1 * (1 - 0.5 * 0.96 ** (step * momentum_decay));
      const next = beta1 * (1 - 0.5 * 0.96 ** ((step + 1) * momentum_decay));
      // PyTorch keeps the product in a float32 tensor.
      const product = Math.fround((part[0].state['mu_product'] as number) * Math.fround(mu));
      for (const { state } of part) state['mu_product'] = product;
      const numbers = [
        decayNumber(lr, weight_decay, decoupled_weight_decay),
        1 - beta1,
        beta2,
        1 - beta2,
        1 - beta2 ** step,
        eps,
        (-lr * (1 - mu)) / (1 - product),
        (-lr * next) / (1 - product * next),
      ];
      nadamRule(part, { decay: decayOf(weight_decay, decoupled_weight_decay), maximize, high: 1 - beta1 >= 0.5 }, numbers);
    }
  }
}

export interface RAdamOptions extends AdamaxOptions {
  decoupled_weight_decay: boolean;
}
const radamOrder = ['lr', 'betas', 'eps', 'weight_decay', 'decoupled_weight_decay'] as const;
/** numbers: decay, 1 - beta1, beta2, 1 - beta2, first bias correction, lr, sqrt of the second bias correction, eps, rectification. */
const radamRule = makeRule<{ readonly decay: Decay; readonly rectified: boolean; readonly high: boolean }>({
  name: 'radam_step',
  states: () => ['exp_avg', 'exp_avg_sq'],
  numbers: 9,
  update: (p, raw, [m, v], [decay, rest1, beta2, rest2, correction, lr, root, eps, rectification], c) => {
    const g = c.decay === 'gradient' ? raw.add(p.mul(decay)) : raw;
    const first = lerp(m, g, rest1, c.high);
    const second = addcmul(v.mul(beta2), g, g, rest2);
    const plain = first.div(correction).mul(lr);
    const step = c.rectified ? plain.mul(root.expand(p.shape).div(second.sqrt().add(eps))).mul(rectification) : plain;
    return [(c.decay === 'parameter' ? p.mul(decay) : p).sub(step), first, second];
  },
});

/** https://docs.pytorch.org/docs/stable/generated/torch.optim.RAdam.html */
export class RAdam extends Optimizer<RAdamOptions> {
  constructor(params: Params<RAdamOptions>, ...args: ConstructorArguments<Partial<RAdamOptions>, typeof radamOrder>) {
    const defaults = {
      lr: 1e-3,
      betas: [0.9, 0.999] as const,
      eps: 1e-8,
      weight_decay: 0,
      decoupled_weight_decay: false,
      maximize: false,
    };
    const o = bindConstructor<RAdamOptions>('RAdam', radamOrder, defaults, args);
    checkRate(o.lr);
    checkAtLeastZero('epsilon value', o.eps);
    checkBetas(o.betas);
    checkAtLeastZero('weight_decay value', o.weight_decay);
    super(params, o as RAdamOptions);
  }
  protected override update(slots: readonly Slot[], group: RAdamOptions): void {
    const { lr, betas, eps, weight_decay, decoupled_weight_decay, maximize } = group;
    const [beta1, beta2] = betas;
    for (const { p, state } of slots) {
      state['exp_avg'] ??= zerosLike(p);
      state['exp_avg_sq'] ??= zerosLike(p);
    }
    for (const { step, slots: part } of byStep(slots)) {
      const most = 2 / (1 - beta2) - 1;
      const length = most - (2 * step * beta2 ** step) / (1 - beta2 ** step);
      const rectified = length > 5;
      const rectification = rectified ? Math.sqrt(((length - 4) * (length - 2) * most) / ((most - 4) * (most - 2) * length)) : 1;
      const numbers = [
        decayNumber(lr, weight_decay, decoupled_weight_decay),
        1 - beta1,
        beta2,
        1 - beta2,
        1 - beta1 ** step,
        lr,
        Math.sqrt(1 - beta2 ** step),
        eps,
        rectification,
      ];
      radamRule(part, { decay: decayOf(weight_decay, decoupled_weight_decay), rectified, maximize, high: 1 - beta1 >= 0.5 }, numbers);
    }
  }
}

// ---- RMSprop

export interface RMSpropOptions {
  lr: number;
  alpha: number;
  eps: number;
  weight_decay: number;
  momentum: number;
  centered: boolean;
  maximize: boolean;
}
const rmspropOrder = ['lr', 'alpha', 'eps', 'weight_decay', 'momentum', 'centered'] as const;
interface RMSpropConstants {
  readonly decay: boolean;
  readonly centered: boolean;
  readonly momentum: boolean;
  readonly high: boolean;
}
/** numbers: weight decay, alpha, 1 - alpha, eps, momentum, -lr. */
const rmspropRule = makeRule<RMSpropConstants>({
  name: 'rmsprop_step',
  states: (c) => ['square_avg', ...(c.centered ? ['grad_avg'] : []), ...(c.momentum ? ['momentum_buffer'] : [])],
  numbers: 6,
  update: (p, raw, [square, ...others], [decay, alpha, rest, eps, momentum, size], c) => {
    const g = c.decay ? raw.add(p.mul(decay)) : raw;
    const average = addcmul(square.mul(alpha), g, g, rest);
    const mean = c.centered ? lerp(others[0], g, rest, c.high) : null;
    const spread = (mean === null ? average : average.sub(mean.mul(mean))).sqrt().add(eps);
    const kept = mean === null ? [average] : [average, mean];
    if (!c.momentum) return [addcdiv(p, g, spread, size), ...kept];
    const buffer = addcdiv(others[others.length - 1].mul(momentum), g, spread, null);
    return [p.add(buffer.mul(size)), ...kept, buffer];
  },
});

/** https://docs.pytorch.org/docs/stable/generated/torch.optim.RMSprop.html */
export class RMSprop extends Optimizer<RMSpropOptions> {
  constructor(params: Params<RMSpropOptions>, ...args: ConstructorArguments<Partial<RMSpropOptions>, typeof rmspropOrder>) {
    const defaults = { lr: 1e-2, alpha: 0.99, eps: 1e-8, weight_decay: 0, momentum: 0, centered: false, maximize: false };
    const o = bindConstructor<RMSpropOptions>('RMSprop', rmspropOrder, defaults, args);
    checkRate(o.lr);
    checkAtLeastZero('epsilon value', o.eps);
    checkAtLeastZero('momentum value', o.momentum);
    checkAtLeastZero('weight_decay value', o.weight_decay);
    checkAtLeastZero('alpha value', o.alpha);
    super(params, o as RMSpropOptions);
  }
  protected override update(slots: readonly Slot[], group: RMSpropOptions): void {
    const { lr, alpha, eps, weight_decay, momentum, centered, maximize } = group;
    for (const { p, state } of slots) {
      state['square_avg'] ??= zerosLike(p);
      if (centered) state['grad_avg'] ??= zerosLike(p);
      if (momentum > 0) state['momentum_buffer'] ??= zerosLike(p);
    }
    const constants = { decay: weight_decay !== 0, centered, momentum: momentum > 0, maximize, high: 1 - alpha >= 0.5 };
    for (const { slots: part } of byStep(slots)) rmspropRule(part, constants, [weight_decay, alpha, 1 - alpha, eps, momentum, -lr]);
  }
}

// ---- Rprop

export interface RpropOptions {
  lr: number;
  etas: readonly [number, number];
  step_sizes: readonly [number, number];
  maximize: boolean;
}
const rpropOrder = ['lr', 'etas', 'step_sizes'] as const;
/** numbers: eta minus, eta plus, smallest and largest step. */
const rpropRule = makeRule<object>({
  name: 'rprop_step',
  states: () => ['prev', 'step_size'],
  numbers: 4,
  update: (p, g, [previous, size], [minus, plus, least, most]) => {
    const product = g.mul(previous);
    const turned = product.lt(0);
    const factor = product.gt(0).where(plus, turned.where(minus, product.mul(0).add(1)));
    const step = size.mul(factor).maximum(least).minimum(most);
    const used = turned.where(0, g);
    const sign = used.gt(0).cast(g.dtype).sub(used.lt(0).cast(g.dtype));
    return [p.sub(sign.mul(step)), used, step];
  },
});

/** https://docs.pytorch.org/docs/stable/generated/torch.optim.Rprop.html */
export class Rprop extends Optimizer<RpropOptions> {
  constructor(params: Params<RpropOptions>, ...args: ConstructorArguments<Partial<RpropOptions>, typeof rpropOrder>) {
    const defaults = { lr: 1e-2, etas: [0.5, 1.2] as const, step_sizes: [1e-6, 50] as const, maximize: false };
    const o = bindConstructor<RpropOptions>('Rprop', rpropOrder, defaults, args);
    checkRate(o.lr);
    if (!(o.etas[0] > 0 && o.etas[0] < 1 && o.etas[1] > 1)) throw new Error(`Invalid eta values: ${o.etas[0]}, ${o.etas[1]}`);
    super(params, o as RpropOptions);
  }
  protected override update(slots: readonly Slot[], { lr, etas, step_sizes, maximize }: RpropOptions): void {
    for (const { p, state } of slots) {
      state['prev'] ??= zerosLike(p);
      state['step_size'] ??= fullLike(p, lr);
    }
    for (const { slots: part } of byStep(slots)) rpropRule(part, { maximize }, [...etas, ...step_sizes]);
  }
}

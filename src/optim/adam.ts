/** Adam: https://docs.pytorch.org/docs/stable/generated/torch.optim.Adam.html, and the rule that AdamW shares with it. */
import { bindConstructor, type ConstructorArguments } from '../nn/arguments.ts';
import type { Tensor } from '../ops/methods.ts';
import { type GroupInput, Optimizer, type Slot, zerosLike } from './optimizer.ts';
import { addcdiv, addcmul, byStep, checkAtLeastZero, checkBetas, checkRate, lerp, makeRule } from './rule.ts';

export interface AdamOptions {
  lr: number;
  betas: readonly [number, number];
  eps: number;
  weight_decay: number;
  amsgrad: boolean;
  maximize: boolean;
}

/** numbers: 1 - beta1, beta2, 1 - beta2, decay (added to the gradient, or 1 - lr * decay for the parameter), -step size, sqrt of the second bias correction, eps. */
export const adamRule = makeRule<{ readonly amsgrad: boolean; readonly decay: 'none' | 'gradient' | 'parameter'; readonly high: boolean }>({
  name: 'adam_step',
  states: ({ amsgrad }) => (amsgrad ? ['exp_avg', 'exp_avg_sq', 'max_exp_avg_sq'] : ['exp_avg', 'exp_avg_sq']),
  numbers: 7,
  update: (p, raw, [m, v, most], [rest1, beta2, rest2, decay, size, root, eps], { amsgrad, decay: how, high }) => {
    const g = how === 'gradient' ? raw.add(p.mul(decay)) : raw;
    const first = lerp(m, g, rest1, high);
    const second = addcmul(v.mul(beta2), g, g, rest2);
    const largest = amsgrad ? most.maximum(second) : second;
    const denominator = largest.sqrt().div(root).add(eps);
    const next = addcdiv(how === 'parameter' ? p.mul(decay) : p, first, denominator, size);
    return amsgrad ? [next, first, second, largest] : [next, first, second];
  },
});

/** One step of Adam (decay added to the gradient) or AdamW (decay of the parameter itself). */
export function adamStep(slots: readonly Slot[], group: AdamOptions, decoupled: boolean): void {
  const [beta1, beta2] = group.betas;
  for (const { p, state } of slots) {
    state['exp_avg'] ??= zerosLike(p);
    state['exp_avg_sq'] ??= zerosLike(p);
    if (group.amsgrad) state['max_exp_avg_sq'] ??= zerosLike(p);
  }
  for (const { step, slots: part } of byStep(slots)) {
    const { lr, weight_decay, eps, amsgrad, maximize } = group;
    const decay = decoupled ? 'parameter' : weight_decay === 0 ? 'none' : 'gradient';
    const size = lr / (1 - beta1 ** step);
    const root = Math.sqrt(1 - beta2 ** step);
    const numbers = [1 - beta1, beta2, 1 - beta2, decoupled ? 1 - lr * weight_decay : weight_decay, -size, root, eps];
    adamRule(part, { amsgrad, decay, maximize, high: 1 - beta1 >= 0.5 }, numbers);
  }
}

export function checkAdam(o: AdamOptions): AdamOptions {
  checkRate(o.lr);
  checkAtLeastZero('epsilon value', o.eps);
  checkBetas(o.betas);
  checkAtLeastZero('weight_decay value', o.weight_decay);
  return o;
}

export const adamOrder = ['lr', 'betas', 'eps', 'weight_decay', 'amsgrad'] as const;
export const adamDefaults = {
  lr: 1e-3,
  betas: [0.9, 0.999] as const,
  eps: 1e-8,
  weight_decay: 0,
  amsgrad: false,
  maximize: false,
};

export class Adam extends Optimizer<AdamOptions> {
  constructor(params: Iterable<Tensor | GroupInput<AdamOptions>>, ...args: ConstructorArguments<Partial<AdamOptions>, typeof adamOrder>) {
    super(params, checkAdam(bindConstructor<AdamOptions>('Adam', adamOrder, adamDefaults, args) as AdamOptions));
  }
  protected override update(slots: readonly Slot[], group: AdamOptions): void {
    adamStep(slots, group, false);
  }
}

/** Averaged stochastic gradient descent: https://docs.pytorch.org/docs/stable/generated/torch.optim.ASGD.html */
import { bindConstructor, type ConstructorArguments } from '../nn/arguments.ts';
import type { Tensor } from '../ops/methods.ts';
import { type GroupInput, Optimizer, type Slot, zerosLike } from './optimizer.ts';
import { byStep, checkAtLeastZero, checkRate, makeRule } from './rule.ts';

export interface ASGDOptions {
  lr: number;
  lambd: number;
  alpha: number;
  t0: number;
  weight_decay: number;
  maximize: boolean;
}
const order = ['lr', 'lambd', 'alpha', 't0', 'weight_decay'] as const;
/** numbers: weight decay, 1 - lambd * eta, -eta, mu. */
const rule = makeRule<{ readonly decay: boolean; readonly averaging: boolean }>({
  name: 'asgd_step',
  states: () => ['ax'],
  numbers: 4,
  update: (p, raw, [ax], [decay, shrink, size, mu], c) => {
    const g = c.decay ? raw.add(p.mul(decay)) : raw;
    const next = p.mul(shrink).add(g.mul(size));
    return [next, c.averaging ? ax.add(next.sub(ax).mul(mu)) : next.mul(1)];
  },
});

export class ASGD extends Optimizer<ASGDOptions> {
  constructor(params: Iterable<Tensor | GroupInput<ASGDOptions>>, ...args: ConstructorArguments<Partial<ASGDOptions>, typeof order>) {
    const defaults = { lr: 1e-2, lambd: 1e-4, alpha: 0.75, t0: 1e6, weight_decay: 0, maximize: false };
    const o = bindConstructor<ASGDOptions>('ASGD', order, defaults, args);
    checkRate(o.lr);
    checkAtLeastZero('weight_decay value', o.weight_decay);
    super(params, o as ASGDOptions);
  }
  protected override update(slots: readonly Slot[], { lr, lambd, alpha, t0, weight_decay, maximize }: ASGDOptions): void {
    for (const { p, state } of slots) {
      state['ax'] ??= zerosLike(p);
      state['eta'] ??= lr;
      state['mu'] ??= 1;
    }
    for (const { step, slots: part } of byStep(slots)) {
      // PyTorch keeps eta and mu in float32 tensors.
      const eta = Math.fround(part[0].state['eta'] as number);
      const mu = Math.fround(part[0].state['mu'] as number);
      rule(part, { decay: weight_decay !== 0, averaging: mu !== 1, maximize }, [weight_decay, 1 - lambd * eta, -eta, mu]);
      for (const { state } of part) {
        state['eta'] = lr / (1 + lambd * lr * step) ** alpha;
        state['mu'] = 1 / Math.max(1, step - t0);
      }
    }
  }
}

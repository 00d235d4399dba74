/** SGD with momentum, dampening, Nesterov and weight decay. https://docs.pytorch.org/docs/stable/generated/torch.optim.SGD.html */
import { bindConstructor, type ConstructorArguments } from '../nn/arguments.ts';
import type { Tensor } from '../ops/methods.ts';
import { alike, type GroupInput, Optimizer, type Slot, zerosLike } from './optimizer.ts';
import { checkAtLeastZero, checkRate, makeRule } from './rule.ts';

export interface SGDOptions {
  lr: number;
  momentum: number;
  dampening: number;
  weight_decay: number;
  nesterov: boolean;
  maximize: boolean;
}
const order = ['lr', 'momentum', 'dampening', 'weight_decay', 'nesterov'] as const;

interface SGDConstants {
  readonly decay: boolean;
  readonly momentum: boolean;
  readonly nesterov: boolean;
}
/** numbers: weight decay, momentum, 1 - dampening, -lr. */
const rule = makeRule<SGDConstants>({
  name: 'sgd_step',
  states: ({ momentum }) => (momentum ? ['momentum_buffer'] : []),
  numbers: 4,
  update: (p, raw, [buffer], [decay, momentum, rest, size], c) => {
    const g = c.decay ? raw.add(p.mul(decay)) : raw;
    if (!c.momentum) return [p.add(g.mul(size))];
    const next = buffer.mul(momentum).add(g.mul(rest));
    return [p.add((c.nesterov ? g.add(next.mul(momentum)) : next).mul(size)), next];
  },
});

export class SGD extends Optimizer<SGDOptions> {
  constructor(params: Iterable<Tensor | GroupInput<SGDOptions>>, ...args: ConstructorArguments<Partial<SGDOptions>, typeof order>) {
    const defaults = { lr: 1e-3, momentum: 0, dampening: 0, weight_decay: 0, nesterov: false, maximize: false };
    const o = bindConstructor<SGDOptions>('SGD', order, defaults, args);
    checkRate(o.lr);
    checkAtLeastZero('momentum value', o.momentum);
    checkAtLeastZero('weight_decay value', o.weight_decay);
    if (o.nesterov && (o.momentum <= 0 || o.dampening !== 0)) throw new Error('Nesterov momentum requires a momentum and zero dampening');
    super(params, o as SGDOptions);
  }
  protected override update(slots: readonly Slot[], group: SGDOptions): void {
    const { lr, momentum, dampening, weight_decay, nesterov, maximize } = group;
    const constants = { decay: weight_decay !== 0, momentum: momentum !== 0, nesterov, maximize };
    if (momentum === 0) {
      rule(slots, constants, [weight_decay, 0, 0, -lr]);
      return;
    }
    // The first buffer is the gradient itself: no dampening yet.
    const fresh = new Set(slots.filter(({ state }) => state['momentum_buffer'] === undefined));
    for (const { p, state } of fresh) state['momentum_buffer'] = zerosLike(p);
    for (const part of alike(slots, (slot) => (fresh.has(slot) ? 1 : 0)))
      rule(part, constants, [weight_decay, momentum, fresh.has(part[0]) ? 1 : 1 - dampening, -lr]);
  }
}

/** SGD with momentum, dampening, Nesterov and weight decay. https://docs.pytorch.org/docs/stable/generated/torch.optim.SGD.html */
import { float64 } from '../dtype/dtype.ts';
import type { Operator } from '../graph/operator.ts';
import type { Tensor } from '../ops/methods.ts';
import { record } from '../tensor/record.ts';
import { writeAll } from '../tensor/write.ts';
import { alike, type GroupInput, Optimizer, type Slot, zerosLike } from './optimizer.ts';

export interface SGDOptions {
  lr: number;
  momentum: number;
  dampening: number;
  weight_decay: number;
  nesterov: boolean;
}

/** inputs: parameter, gradient, of each in turn. params: -lr, weight decay. */
const plainStep: Operator<null> = {
  name: 'sgd_step',
  paramTypes: () => [float64, float64],
  body: (inputs, { params }) => {
    const out = [];
    for (let i = 0; i < inputs.length; i += 2) {
      const [p, g] = inputs.slice(i, i + 2);
      const [size, decay] = params.map((x) => x.cast(p.dtype));
      out.push(p.add(g.add(p.mul(decay)).mul(size)));
    }
    return out;
  },
};
/**
 * inputs: parameter, gradient, momentum buffer, of each in turn; outputs: parameter, buffer.
 * params: momentum, 1 - dampening, share of the gradient, share of the buffer, -lr, weight decay.
 */
const momentumStep: Operator<null> = {
  name: 'sgd_step',
  paramTypes: () => [float64, float64, float64, float64, float64, float64],
  body: (inputs, { params }) => {
    const out = [];
    for (let i = 0; i < inputs.length; i += 3) {
      const [p, g, b] = inputs.slice(i, i + 3);
      const [momentum, rest, ofGradient, ofBuffer, size, decay] = params.map((x) => x.cast(p.dtype));
      const decayed = g.add(p.mul(decay));
      const buffer = b.mul(momentum).add(decayed.mul(rest));
      out.push(p.add(decayed.mul(ofGradient).add(buffer.mul(ofBuffer)).mul(size)), buffer);
    }
    return out;
  },
};

export class SGD extends Optimizer<SGDOptions> {
  constructor(params: Iterable<Tensor | GroupInput<SGDOptions>>, options: Partial<SGDOptions> = {}) {
    const o: SGDOptions = { lr: 1e-3, momentum: 0, dampening: 0, weight_decay: 0, nesterov: false, ...options };
    if (!(o.lr >= 0)) throw new Error(`Invalid learning rate: ${o.lr}`);
    if (!(o.momentum >= 0)) throw new Error(`Invalid momentum value: ${o.momentum}`);
    if (!(o.weight_decay >= 0)) throw new Error(`Invalid weight_decay value: ${o.weight_decay}`);
    if (o.nesterov && (o.momentum <= 0 || o.dampening !== 0)) throw new Error('Nesterov momentum requires a momentum and zero dampening');
    super(params, o);
  }
  protected override update(slots: readonly Slot[], group: SGDOptions): void {
    const { lr, momentum, dampening, weight_decay, nesterov } = group;
    if (momentum === 0) {
      for (const part of alike(slots, () => 0)) {
        const inputs = part.flatMap(({ p, grad }) => [p, grad]);
        const written = part.map(({ p }) => p);
        writeAll(written, () => record(plainStep as never, inputs, { params: [-lr, weight_decay], donors: written }));
      }
      return;
    }
    // The first buffer is the gradient itself: no dampening yet.
    const fresh = new Set(slots.filter(({ state }) => state['momentum_buffer'] === undefined));
    for (const { p, state } of fresh) state['momentum_buffer'] = zerosLike(p);
    const shares = nesterov ? [1, momentum] : [0, 1];
    for (const part of alike(slots, (slot) => (fresh.has(slot) ? 1 : 0))) {
      const inputs = part.flatMap(({ p, grad, state }) => [p, grad, state['momentum_buffer'] as Tensor]);
      const written = part.flatMap(({ p, state }) => [p, state['momentum_buffer'] as Tensor]);
      const params = [momentum, fresh.has(part[0]) ? 1 : 1 - dampening, ...shares, -lr, weight_decay];
      writeAll(written, () => record(momentumStep as never, inputs, { params, donors: written }));
    }
  }
}

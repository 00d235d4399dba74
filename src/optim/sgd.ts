/** SGD with momentum, dampening, Nesterov and weight decay. https://docs.pytorch.org/docs/stable/generated/torch.optim.SGD.html */
import { float64 } from '../dtype/dtype.ts';
import type { Operator } from '../graph/operator.ts';
import type { Tensor } from '../ops/methods.ts';
import { record } from '../tensor/record.ts';
import { writeInto } from '../tensor/write.ts';
import { type GroupInput, Optimizer, type ParameterState, zerosLike } from './optimizer.ts';

export interface SGDOptions {
  lr: number;
  momentum: number;
  dampening: number;
  weight_decay: number;
  nesterov: boolean;
}

/** inputs: momentum buffer, gradient, parameter. params: momentum, 1 - dampening, weight decay. */
const momentumBuffer: Operator<null> = {
  name: 'sgd_momentum',
  layout: 'elementwise',
  paramTypes: () => [float64, float64, float64],
  body: ([b, g, p], { params: [momentum, rest, decay] }) => [
    b.mul(momentum.cast(p.dtype)).add(g.add(p.mul(decay.cast(p.dtype))).mul(rest.cast(p.dtype))),
  ],
};
/** inputs: parameter, gradient, direction. params: share of the gradient, share of the direction, -lr, weight decay. */
const applyStep: Operator<null> = {
  name: 'sgd_step',
  layout: 'elementwise',
  paramTypes: () => [float64, float64, float64, float64],
  body: ([p, g, b], { params: [ofGradient, ofBuffer, size, decay] }) => {
    const decayed = g.add(p.mul(decay.cast(p.dtype))).mul(ofGradient.cast(p.dtype));
    return [p.add(decayed.add(b.mul(ofBuffer.cast(p.dtype))).mul(size.cast(p.dtype)))];
  },
};
const plainStep: Operator<null> = {
  name: 'sgd_step',
  layout: 'elementwise',
  paramTypes: () => [float64, float64],
  body: ([p, g], { params: [size, decay] }) => [p.add(g.add(p.mul(decay.cast(p.dtype))).mul(size.cast(p.dtype)))],
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
  protected override update(p: Tensor, grad: Tensor, state: ParameterState, group: SGDOptions): void {
    const { lr, momentum, dampening, weight_decay, nesterov } = group;
    if (momentum === 0) {
      writeInto(p, () => record(plainStep as never, [p, grad], { params: [-lr, weight_decay] })[0]);
      return;
    }
    // The first buffer is the gradient itself: no dampening yet.
    const first = state['momentum_buffer'] === undefined;
    state['momentum_buffer'] ??= zerosLike(p);
    const b = state['momentum_buffer'] as Tensor;
    writeInto(b, () => record(momentumBuffer as never, [b, grad, p], { params: [momentum, first ? 1 : 1 - dampening, weight_decay] })[0]);
    const shares = nesterov ? [1, momentum] : [0, 1];
    writeInto(p, () => record(applyStep as never, [p, grad, b], { params: [...shares, -lr, weight_decay] })[0]);
  }
}

/** AdamW, with the arithmetic of PyTorch's single-tensor CPU path. Three calls a parameter, each in place; they fuse. https://docs.pytorch.org/docs/stable/generated/torch.optim.AdamW.html */
import { float64 } from '../dtype/dtype.ts';
import type { Operator } from '../graph/operator.ts';
import type { Tensor } from '../ops/methods.ts';
import { record } from '../tensor/record.ts';
import { writeInto } from '../tensor/write.ts';
import { type GroupInput, Optimizer, type ParameterState, zerosLike } from './optimizer.ts';

export interface AdamWOptions {
  lr: number;
  betas: readonly [number, number];
  eps: number;
  weight_decay: number;
}

/** params: 1 - beta1. */
const firstMoment: Operator<null> = {
  name: 'adamw_exp_avg',
  layout: 'elementwise',
  paramTypes: () => [float64],
  body: ([m, g], { params: [rest] }) => [m.add(g.sub(m).mul(rest.cast(m.dtype)))],
};
/** params: beta2, 1 - beta2. */
const secondMoment: Operator<null> = {
  name: 'adamw_exp_avg_sq',
  layout: 'elementwise',
  paramTypes: () => [float64, float64],
  body: ([v, g], { params: [beta, rest] }) => [v.mul(beta.cast(v.dtype)).add(g.mul(rest.cast(v.dtype)).mul(g))],
};
/** params: 1 - lr * weight_decay, -step size, sqrt of the second bias correction, eps. */
const applyStep: Operator<null> = {
  name: 'adamw_step',
  layout: 'elementwise',
  paramTypes: () => [float64, float64, float64, float64],
  body: ([p, m, v], { params: [decay, size, root, eps] }) => {
    const denominator = v.sqrt().div(root.cast(p.dtype)).add(eps.cast(p.dtype));
    return [p.mul(decay.cast(p.dtype)).add(m.mul(size.cast(p.dtype)).div(denominator))];
  },
};

export class AdamW extends Optimizer<AdamWOptions> {
  constructor(params: Iterable<Tensor | GroupInput<AdamWOptions>>, options: Partial<AdamWOptions> = {}) {
    const o: AdamWOptions = { lr: 1e-3, betas: [0.9, 0.999], eps: 1e-8, weight_decay: 1e-2, ...options };
    if (!(o.lr >= 0)) throw new Error(`Invalid learning rate: ${o.lr}`);
    if (!(o.eps >= 0)) throw new Error(`Invalid epsilon value: ${o.eps}`);
    o.betas.forEach((beta, i) => {
      if (!(beta >= 0 && beta < 1)) throw new Error(`Invalid beta parameter at index ${i}: ${beta}`);
    });
    if (!(o.weight_decay >= 0)) throw new Error(`Invalid weight_decay value: ${o.weight_decay}`);
    super(params, o);
  }
  protected override update(p: Tensor, grad: Tensor, state: ParameterState, group: AdamWOptions): void {
    const [beta1, beta2] = group.betas;
    state['exp_avg'] ??= zerosLike(p);
    state['exp_avg_sq'] ??= zerosLike(p);
    const step = Number(state['step'] ?? 0) + 1;
    state['step'] = step;
    const m = state['exp_avg'] as Tensor;
    const v = state['exp_avg_sq'] as Tensor;
    writeInto(m, () => record(firstMoment as never, [m, grad], { params: [1 - beta1] })[0]);
    writeInto(v, () => record(secondMoment as never, [v, grad], { params: [beta2, 1 - beta2] })[0]);
    const size = group.lr / (1 - beta1 ** step);
    const root = Math.sqrt(1 - beta2 ** step);
    writeInto(p, () => record(applyStep as never, [p, m, v], { params: [1 - group.lr * group.weight_decay, -size, root, group.eps] })[0]);
  }
}

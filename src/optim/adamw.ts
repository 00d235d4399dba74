/** AdamW, with the arithmetic of PyTorch's single-tensor CPU path: one call for all parameters of a group, in place. https://docs.pytorch.org/docs/stable/generated/torch.optim.AdamW.html */
import { float64 } from '../dtype/dtype.ts';
import type { Operator } from '../graph/operator.ts';
import type { Tensor } from '../ops/methods.ts';
import { record } from '../tensor/record.ts';
import { writeAll } from '../tensor/write.ts';
import { alike, type GroupInput, Optimizer, type Slot, zerosLike } from './optimizer.ts';

export interface AdamWOptions {
  lr: number;
  betas: readonly [number, number];
  eps: number;
  weight_decay: number;
}

/**
 * inputs: parameter, gradient, first and second moment, of each parameter in turn; outputs: parameter, moments.
 * params: 1 - beta1, beta2, 1 - beta2, 1 - lr * weight_decay, -step size, sqrt of the second bias correction, eps.
 */
const stepOperator: Operator<null> = {
  name: 'adamw_step',
  paramTypes: () => [float64, float64, float64, float64, float64, float64, float64],
  body: (inputs, { params }) => {
    const out = [];
    for (let i = 0; i < inputs.length; i += 4) {
      const [p, g, m, v] = inputs.slice(i, i + 4);
      const [rest1, beta2, rest2, decay, size, root, eps] = params.map((x) => x.cast(p.dtype));
      const first = m.add(g.sub(m).mul(rest1));
      const second = v.mul(beta2).add(g.mul(rest2).mul(g));
      const denominator = second.sqrt().div(root).add(eps);
      out.push(p.mul(decay).add(first.mul(size).div(denominator)), first, second);
    }
    return out;
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
  protected override update(slots: readonly Slot[], group: AdamWOptions): void {
    const [beta1, beta2] = group.betas;
    for (const { p, state } of slots) {
      state['exp_avg'] ??= zerosLike(p);
      state['exp_avg_sq'] ??= zerosLike(p);
      state['step'] = Number(state['step'] ?? 0) + 1;
    }
    for (const part of alike(slots, ({ state }) => state['step'] as number)) {
      const step = part[0].state['step'] as number;
      const written: Tensor[] = [];
      const inputs: Tensor[] = [];
      for (const { p, grad, state } of part) {
        const [m, v] = [state['exp_avg'] as Tensor, state['exp_avg_sq'] as Tensor];
        written.push(p, m, v);
        inputs.push(p, grad, m, v);
      }
      const size = group.lr / (1 - beta1 ** step);
      const root = Math.sqrt(1 - beta2 ** step);
      const params = [1 - beta1, beta2, 1 - beta2, 1 - group.lr * group.weight_decay, -size, root, group.eps];
      writeAll(written, () => record(stepOperator as never, inputs, { params, donors: written }));
    }
  }
}

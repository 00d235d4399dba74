/** Optimizers that look at a whole matrix: Adafactor (factored second moments) and Muon (orthogonalized momentum). */
import { bfloat16, finfo, float32 } from '../dtype/dtype.ts';
import { constant, dimPrim, type Prim } from '../graph/prim.ts';
import { bindConstructor, type ConstructorArguments } from '../nn/arguments.ts';
import type { Tensor } from '../ops/methods.ts';
import * as dims from '../shape/dim.ts';
import { alike, type GroupInput, Optimizer, type Slot, zerosLike } from './optimizer.ts';
import { byStep, lerp, makeRule } from './rule.ts';

// ---- Adafactor

export interface AdafactorOptions {
  lr: number;
  beta2_decay: number;
  eps: readonly [number | null, number];
  d: number;
  weight_decay: number;
  maximize: boolean;
}
const adafactorOrder = ['lr', 'beta2_decay', 'eps', 'd', 'weight_decay'] as const;
const rootMeanSquare = (x: Prim): Prim =>
  x
    .mul(x)
    .sum()
    .sqrt()
    .div(dimPrim(dims.productOf(x.shape), x.dtype).sqrt());
const meanSquare = (g: Prim, axis: number): Prim => {
  const norm = g.mul(g).sum([axis], true).sqrt();
  return norm.mul(norm).div(dimPrim(g.shape[axis], g.dtype));
};
/** numbers: 1 - lr * weight decay, share of the new, eps1, eps2, relative rate, d. */
const adafactorRule = makeRule<{ readonly factored: boolean; readonly decay: boolean; readonly high: boolean }>({
  name: 'adafactor_step',
  states: ({ factored }) => (factored ? ['row_var', 'col_var'] : ['variance']),
  numbers: 6,
  update: (p, g, states, [decay, share, eps1, eps2, rate, d], c) => {
    const alpha = rootMeanSquare(p).maximum(eps2).mul(rate);
    const kept = c.decay ? p.mul(decay) : p;
    const n = g.ndim;
    let estimate: Prim;
    let next: Prim[];
    if (c.factored) {
      const row = lerp(states[0], meanSquare(g, n - 1), share, c.high);
      const col = lerp(states[1], meanSquare(g, n - 2), share, c.high);
      const mean = row
        .sum([n - 2], true)
        .div(dimPrim(row.shape[n - 2], row.dtype))
        .maximum(eps1);
      estimate = row.mul(col).div(mean);
      next = [row, col];
    } else {
      estimate = lerp(states[0], g.mul(g), share, c.high);
      next = [estimate];
    }
    const update = constant(1, g.dtype)
      .expand(g.shape)
      .div(estimate.maximum(eps1.mul(eps1)).sqrt())
      .mul(g);
    const clip = rootMeanSquare(update).div(d).maximum(1);
    return [kept.sub(update.mul(alpha.div(clip))), ...next];
  },
});

/** https://docs.pytorch.org/docs/stable/generated/torch.optim.Adafactor.html */
export class Adafactor extends Optimizer<AdafactorOptions> {
  constructor(
    params: Iterable<Tensor | GroupInput<AdafactorOptions>>,
    ...args: ConstructorArguments<Partial<AdafactorOptions>, typeof adafactorOrder>
  ) {
    const defaults = { lr: 1e-2, beta2_decay: -0.8, eps: [null, 1e-3] as const, d: 1, weight_decay: 0, maximize: false };
    const o = bindConstructor<AdafactorOptions>('Adafactor', adafactorOrder, defaults, args);
    if (!(o.lr >= 0)) throw new Error(`Learning rate should be >= 0 but is: ${o.lr}`);
    if (!(o.beta2_decay <= 0)) throw new Error(`beta2_decay should be <= 0 but is: ${o.beta2_decay}`);
    if (o.eps[0] !== null && !(o.eps[0] >= 0)) throw new Error(`epsilon1 should be >= 0 but is: ${o.eps[0]}`);
    if (!(o.eps[1] >= 0)) throw new Error(`epsilon2 should be >= 0 but is: ${o.eps[1]}`);
    if (!(o.d >= 1)) throw new Error(`Clipping threshold d should be >= 1 but is: ${o.d}`);
    if (!(o.weight_decay >= 0)) throw new Error(`weight_decay should be >= 0 but is: ${o.weight_decay}`);
    super(params, o as AdafactorOptions);
  }
  protected override update(slots: readonly Slot[], { lr, beta2_decay, eps, d, weight_decay, maximize }: AdafactorOptions): void {
    for (const { p, grad, state } of slots) {
      if (grad.dim() > 1) {
        state['row_var'] ??= zerosLike(p.narrow(-1, 0, 1) as Tensor);
        state['col_var'] ??= zerosLike(p.narrow(-2, 0, 1) as Tensor);
      } else state['variance'] ??= zerosLike(p);
    }
    for (const { step, slots: part } of byStep(slots)) {
      const share = step ** beta2_decay;
      const rate = Math.min(lr, 1 / Math.sqrt(step));
      for (const same of alike(part, ({ p }) => `${p.dim() > 1}:${p.dtype.name}`)) {
        const eps1 = eps[0] ?? finfo(same[0].p.dtype).eps;
        const numbers = [1 - lr * weight_decay, share, eps1, eps[1], rate, d];
        adafactorRule(same, { factored: same[0].p.dim() > 1, decay: weight_decay !== 0, maximize, high: share >= 0.5 }, numbers);
      }
    }
  }
}

// ---- Muon

export interface MuonOptions {
  lr: number;
  weight_decay: number;
  momentum: number;
  nesterov: boolean;
  ns_coefficients: readonly [number, number, number];
  eps: number;
  ns_steps: number;
  adjust_lr_fn: 'original' | 'match_rms_adamw' | null;
}
const muonOrder = ['lr', 'weight_decay', 'momentum', 'nesterov', 'ns_coefficients', 'eps', 'ns_steps', 'adjust_lr_fn'] as const;

/** A bfloat16 product added to a bfloat16 matrix, computed in float32 and rounded once: beta a + alpha b c. */
const addmm = (a: Prim, b: Prim, c: Prim, beta: number, alpha: number): Prim =>
  b.cast(float32).dot(c.cast(float32)).mul(alpha).add(a.cast(float32).mul(beta)).cast(bfloat16);

/** The nearest matrix with singular values around one, by Newton-Schulz iterations in bfloat16. */
function orthogonalize(g: Prim, { coefficients: [a, b, c], steps, eps, tall }: MuonConstants): Prim {
  // Summed as it lies in memory, before it is transposed: one rounding of the norm to bfloat16 decides about all elements.
  const wide = g.cast(bfloat16).cast(float32);
  const norm = wide.mul(wide).sum().sqrt().cast(bfloat16).cast(float32).maximum(eps);
  const scaled = wide.div(norm).cast(bfloat16);
  let x = tall ? scaled.mT : scaled;
  for (let i = 0; i < steps; i++) {
    const gram = x.cast(float32).dot(x.mT.cast(float32)).cast(bfloat16);
    x = addmm(x, addmm(gram, gram, gram, b, c), x, a, 1);
  }
  return tall ? x.mT : x;
}

interface MuonConstants {
  readonly nesterov: boolean;
  readonly coefficients: readonly [number, number, number];
  readonly eps: number;
  readonly steps: number;
  /** More rows than columns. A constant: where sizes are symbols the body could not tell. */
  readonly tall: boolean;
  readonly high: boolean;
  readonly highMomentum: boolean;
}
/** numbers: momentum, 1 - momentum, 1 - lr * weight decay, -rate. */
const muonRule = makeRule<MuonConstants>({
  name: 'muon_step',
  states: () => ['momentum_buffer'],
  numbers: 4,
  update: (p, g, [buffer], [momentum, rest, decay, size], c) => {
    const next = lerp(buffer, g, rest, c.high);
    const update = c.nesterov ? lerp(g, next, momentum, c.highMomentum) : next;
    return [p.mul(decay).add(orthogonalize(update, c).cast(p.dtype).mul(size)), next];
  },
});

/** For matrices of hidden layers. https://docs.pytorch.org/docs/stable/generated/torch.optim.Muon.html */
export class Muon extends Optimizer<MuonOptions> {
  constructor(params: Iterable<Tensor | GroupInput<MuonOptions>>, ...args: ConstructorArguments<Partial<MuonOptions>, typeof muonOrder>) {
    const defaults = {
      lr: 1e-3,
      weight_decay: 0.1,
      momentum: 0.95,
      nesterov: true,
      ns_coefficients: [3.4445, -4.775, 2.0315] as const,
      eps: 1e-7,
      ns_steps: 5,
      adjust_lr_fn: null,
    };
    const o = bindConstructor<MuonOptions>('Muon', muonOrder, defaults, args);
    if (!(o.lr >= 0)) throw new Error(`Learning rate should be >= 0 but is: ${o.lr}`);
    if (!(o.momentum >= 0)) throw new Error(`momentum should be >= 0 but is: ${o.momentum}`);
    if (!(o.weight_decay >= 0)) throw new Error(`weight decay should be >= 0 but is: ${o.weight_decay}`);
    if (o.adjust_lr_fn !== null && o.adjust_lr_fn !== 'original' && o.adjust_lr_fn !== 'match_rms_adamw')
      throw new Error(`Adjust learning rate function ${String(o.adjust_lr_fn)} is not supported`);
    if (o.ns_steps >= 100) throw new Error('Number of steps must be less than 100 for computational efficiency');
    super(params, o as MuonOptions);
    for (const group of this.param_groups)
      for (const p of group.params)
        if (p.dim() !== 2)
          throw new Error(`Muon only supports 2D parameters whereas we found a parameter with size: torch.Size([${p.shape.join(', ')}])`);
  }
  protected override update(slots: readonly Slot[], group: MuonOptions): void {
    const { lr, weight_decay, momentum, nesterov, ns_coefficients, eps, ns_steps, adjust_lr_fn } = group;
    for (const { p, state } of slots) state['momentum_buffer'] ??= zerosLike(p);
    const constants = {
      nesterov,
      coefficients: ns_coefficients,
      eps,
      steps: ns_steps,
      high: 1 - momentum >= 0.5,
      highMomentum: momentum >= 0.5,
      maximize: false,
    };
    // The rate depends on the shape.
    for (const same of alike(slots, ({ p }) => p.shape.join())) {
      const [rows, columns] = same[0].p.shape;
      const ratio = adjust_lr_fn === 'match_rms_adamw' ? 0.2 * Math.sqrt(Math.max(rows, columns)) : Math.sqrt(Math.max(1, rows / columns));
      muonRule(same, { ...constants, tall: rows > columns }, [momentum, 1 - momentum, 1 - lr * weight_decay, -lr * ratio]);
    }
  }
}

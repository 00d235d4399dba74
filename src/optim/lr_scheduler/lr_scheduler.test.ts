/** Learning rates and momenta, epoch by epoch, as PyTorch 2.11 set them (scripts/record-lr-schedules.py), and saving in between. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import torch, { nn, optim } from '../../index.ts';

const {
  ChainedScheduler,
  ConstantLR,
  CosineAnnealingLR,
  CosineAnnealingWarmRestarts,
  CyclicLR,
  ExponentialLR,
  LambdaLR,
  LinearLR,
  MultiplicativeLR,
  OneCycleLR,
  PolynomialLR,
  ReduceLROnPlateau,
  SequentialLR,
  StepLR,
} = optim.lr_scheduler;
type Optimizer = optim.SGD | optim.AdamW;
interface Steps {
  step(metric?: number): void;
}

const recorded = JSON.parse(readFileSync(new URL('./traces.fixture.json', import.meta.url), 'utf8')) as Record<string, number[][][]>;
const parameter = (): nn.Parameter => new nn.Parameter(torch.tensor([0]));
const sgd = (): Optimizer => new optim.SGD([{ params: [parameter()] }, { params: [parameter()], lr: 0.3 }], { lr: 0.1, momentum: 0.9 });
const adam = (): Optimizer => new optim.AdamW([parameter(), parameter()], { lr: 0.05 });

const schedules: Record<string, { make: (o: Optimizer) => Steps; on?: () => Optimizer; metrics?: number[] }> = {
  lambda: { make: (o) => new LambdaLR(o, [(e) => 0.9 ** e, (e) => 1 / (e + 1)]) },
  multiplicative: { make: (o) => new MultiplicativeLR(o, () => 0.95) },
  constant: { make: (o) => new ConstantLR(o, { factor: 0.5, total_iters: 4 }) },
  polynomial: { make: (o) => new PolynomialLR(o, { total_iters: 6, power: 2 }) },
  cosine: { make: (o) => new CosineAnnealingLR(o, 5, 0.01) },
  sequential: {
    make: (o) => new SequentialLR(o, [new LinearLR(o, 0.1, { total_iters: 3 }), new ExponentialLR(o, 0.9), new StepLR(o, 2)], [3, 7]),
  },
  chained: { make: (o) => new ChainedScheduler([new ConstantLR(o, 0.1, 3), new ExponentialLR(o, 0.9)], o) },
  plateau: {
    make: (o) => new ReduceLROnPlateau(o, { factor: 0.5, patience: 1, cooldown: 1, min_lr: [0.03, 0.05] }) as unknown as Steps,
    metrics: [1, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.8, 0.8, 0.8, 0.8, 0.8],
  },
  cyclic: { make: (o) => new CyclicLR(o, [0.01, 0.02], 0.2, { step_size_up: 3, mode: 'triangular2' }) },
  onecycle: {
    make: (o) => new OneCycleLR(o, 0.5, { epochs: 4, steps_per_epoch: 4, three_phase: true, anneal_strategy: 'linear' }),
    on: adam,
  },
  restarts: { make: (o) => new CosineAnnealingWarmRestarts(o, 3, 1, 0.01) },
};

describe.each(Object.keys(schedules))('%s', (name) => {
  const { make, on = sgd, metrics } = schedules[name];
  test("has PyTorch's rates", () => {
    const optimizer = on();
    const scheduler = make(optimizer);
    recorded[name].forEach((groups, epoch) => {
      optimizer.param_groups.forEach((g, i) => {
        const momentum = 'betas' in g ? g.betas[0] : g.momentum;
        expect(g.lr).toBeCloseTo(groups[i][0], 15);
        expect(momentum).toBeCloseTo(groups[i][1], 15);
      });
      if (metrics) scheduler.step(metrics[epoch]);
      else scheduler.step();
    });
  });
});

test('a scheduler continues from its saved state', () => {
  const [first, second] = [sgd(), sgd()];
  const running = new CosineAnnealingLR(first, 5, 0.01);
  for (let i = 0; i < 4; i++) running.step();
  const other = new CosineAnnealingLR(second, 5, 0.01);
  other.load_state_dict(running.state_dict());
  second.param_groups.forEach((g, i) => {
    g.lr = first.param_groups[i].lr;
  });
  for (let i = 0; i < 3; i++) {
    running.step();
    other.step();
  }
  expect(second.param_groups.map((g) => g.lr)).toEqual(first.param_groups.map((g) => g.lr));
  expect(other.get_last_lr()).toEqual(running.get_last_lr());
});

test("errors have PyTorch's text", () => {
  expect(() => new OneCycleLR(sgd(), 0.1)).toThrow('You must define either total_steps OR (epochs AND steps_per_epoch)');
  expect(() => new StepLR(sgd(), { step_size: 2, wrong: 1 } as never)).toThrow(
    "StepLR.__init__() got an unexpected keyword argument 'wrong'",
  );
  expect(() => new LambdaLR(sgd(), [() => 1])).toThrow('Expected 2 lr_lambdas, but got 1');
});

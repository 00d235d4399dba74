/** torch.optim.swa_utils, against PyTorch 2.11's numbers. */
import { expect, test } from 'vitest';
import torch, { nn, optim } from '../index.ts';

const { swa_utils } = optim;

function averages(options: object): number[] {
  const m = new nn.Linear(1, 1, { bias: false });
  const averaged = new swa_utils.AveragedModel(m, options);
  const out = [2, 4, 9].map((value) => {
    torch.no_grad(() => m.weight.fill_(value));
    averaged.update_parameters(m);
    return averaged.module.weight.item();
  });
  expect(averaged.n_averaged.item()).toBe(3);
  expect([...averaged.state_dict().keys()]).toEqual(['n_averaged', 'module.weight']);
  return out;
}

test('AveragedModel averages: all alike, or exponentially', () => {
  expect(averages({})).toEqual([2, 3, 5]);
  expect(averages({ avg_fn: swa_utils.get_ema_avg_fn(0.75) })).toEqual([2, 2.5, 4.125]);
  expect(averages({ multi_avg_fn: swa_utils.get_ema_multi_avg_fn(0.75) })).toEqual([2, 2.5, 4.125]);
});

test('an averaged model goes on counting after its state was loaded', () => {
  const m = new nn.Linear(1, 1, { bias: false });
  const a = new swa_utils.AveragedModel(m);
  torch.no_grad(() => m.weight.fill_(2));
  a.update_parameters(m);
  const b = new swa_utils.AveragedModel(m);
  b.load_state_dict(a.state_dict());
  torch.no_grad(() => m.weight.fill_(4));
  b.update_parameters(m);
  expect(b.module.weight.item()).toBe(3);
});

test('SWALR anneals to its rate', () => {
  const rates = (anneal_strategy: string): number[] => {
    const opt = new optim.SGD([torch.zeros([1], { requires_grad: true })], { lr: 1 });
    const schedule = new swa_utils.SWALR(opt, { swa_lr: 0.1, anneal_epochs: 4, anneal_strategy });
    const out = [opt.param_groups[0].lr];
    for (let i = 0; i < 5; i++) {
      schedule.step();
      out.push(opt.param_groups[0].lr);
    }
    return out;
  };
  const cosine = [1, 0.8681980515339464, 0.55, 0.23180194846605365, 0.1, 0.1];
  for (const [i, r] of rates('cos').entries()) expect(r).toBeCloseTo(cosine[i], 12);
  for (const [i, r] of rates('linear').entries()) expect(r).toBeCloseTo([1, 0.775, 0.55, 0.325, 0.1, 0.1][i], 12);
});

test('update_bn gives the statistics of the data under the present weights', () => {
  const net = new nn.Sequential(new nn.BatchNorm1d(1));
  const batches = [torch.tensor([[1], [3]], { dtype: torch.float32 }), torch.tensor([[5], [7]], { dtype: torch.float32 })];
  swa_utils.update_bn(batches, net.eval());
  const [bn] = net.children() as [nn.BatchNorm1d];
  expect(bn.running_mean!.tolist()).toEqual([4]);
  expect(bn.momentum).toBe(0.1);
  expect(net.training).toBe(false);
});

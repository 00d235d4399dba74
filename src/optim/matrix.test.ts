/** Optimizers that look at a whole matrix; their trajectories are PyTorch's records (conformance). */
import { afterEach, expect, test } from 'vitest';
import { ReferenceBackend } from '../backend/reference/device.ts';
import torch, { optim, type Tensor } from '../index.ts';
import { registerDevice } from '../tensor/devices.ts';
import { flags } from '../util/flags.ts';

// One device for each, since a device's programs are kept.
for (const name of ['symbols', 'sizes']) registerDevice(name, () => new ReferenceBackend());

afterEach(() => {
  flags.flush = 'lazy';
  flags.noSymbols = false;
  torch.set_default_device('cpu');
});

test('Muon takes a wide matrix as it is after a tall one, whose program has symbols for sizes', () => {
  const steps = (): number[][] => {
    torch.manual_seed(5);
    return [
      [5, 4],
      [3, 5],
      [4, 7],
    ].map((shape) => {
      const p = torch.randn(shape).requires_grad_() as Tensor;
      const optimizer = new optim.Muon([p], { lr: 0.02 });
      p.grad = p.detach().mul(0.1) as Tensor;
      optimizer.step();
      return p.detach().flatten().tolist() as number[];
    });
  };
  flags.flush = 'eager';
  torch.set_default_device('symbols');
  const symbolic = steps();
  torch.set_default_device('sizes');
  flags.noSymbols = true;
  expect(symbolic).toEqual(steps());
});

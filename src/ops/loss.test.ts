/** Losses against numbers of PyTorch 2.11. */
import { expect, test } from 'vitest';
import torch, { nn } from '../index.ts';
import type { Tensor } from './methods.ts';

/** sin(k), sin(2k), ... in a shape: what PyTorch's numbers below were made of. */
const sines = (shape: readonly number[], k = 1): Tensor => {
  const count = shape.reduce((n, d) => n * d, 1);
  return torch.tensor(Array.from({ length: count }, (_, i) => Math.sin((i + 1) * k))).reshape([...shape]);
};
const near = (t: Tensor, expected: readonly number[], digits = 4): void => {
  const found = Array.from(t.detach().double().numpy() as Float64Array);
  expect(found.length).toBe(expected.length);
  for (const [i, x] of found.entries()) expect(x, `element ${i}`).toBeCloseTo(expected[i], digits);
};

const functional = nn.functional;

test('ctc_loss sums over alignments, and its gradient comes from forward and backward variables', () => {
  const logs = functional
    .log_softmax(sines([5, 2, 4]), -1)
    .detach()
    .requires_grad_();
  const targets = torch.tensor([
    [1n, 2n],
    [3n, 3n],
  ]);
  const loss = functional.ctc_loss(logs, targets, [5, 4], [2, 2], { reduction: 'none' });
  near(loss, [3.068681, 2.90972]);
  loss.sum().backward();
  near(
    logs.grad!.narrow(0, 0, 2),
    [
      0.045826, -0.298155, 0.179285, 0.073043, 0.027347, 0.131335, 0.335007, -0.493687, -0.032026, -0.199025, 0.038892, 0.192158, -0.464348,
      0.391348, 0.278461, -0.205461,
    ],
  );
  const impossible = torch.tensor([
    [1n, 1n],
    [3n, 3n],
  ]);
  const zero = functional.ctc_loss(logs.detach(), impossible, torch.tensor([2n, 2n]), torch.tensor([2n, 2n]), {
    reduction: 'none',
    zero_infinity: true,
  });
  near(zero, [0.0, 0.0]);
});

test('a weighted mse_loss is a mean by weight', () => {
  near(functional.mse_loss(sines([4]), sines([4], 2), { weight: torch.tensor([1, 2, 3, 4]) }), [1.828324]);
});

test('triplet_margin_with_distance_loss takes a function', () => {
  const distance = (a: Tensor, b: Tensor): Tensor => a.sub(b).abs().sum([-1]);
  const loss = functional.triplet_margin_with_distance_loss(sines([2, 3]), sines([2, 3], 2), sines([2, 3], 3), {
    distance_function: distance,
    swap: true,
  });
  near(loss, [1.167286]);
});

test('the older arguments choose the reduction', () => {
  const [x, t] = [sines([4]), sines([4], 2)];
  const total = functional.l1_loss(x, t, { reduction: 'sum' }).item();
  expect(functional.l1_loss(x, t, { size_average: false }).item()).toBe(total);
  expect(functional.l1_loss(x, t, { reduce: false }).shape).toEqual([4]);
});

test('errors are those of PyTorch', () => {
  const x = torch.ones([2, 3]);
  expect(() => functional.nll_loss(x, torch.tensor([0n, 3n]))).toThrow('Target 3 is out of bounds.');
  expect(() => functional.cross_entropy(x, torch.tensor([0n]))).toThrow('Expected input batch_size (2) to match target batch_size (1).');
  expect(() => functional.binary_cross_entropy(torch.tensor([1.5]), torch.tensor([1]))).toThrow(
    'all elements of input should be between 0 and 1',
  );
  expect(() => functional.mse_loss(x, x, { reduction: 'median' })).toThrow('median is not a valid value for reduction');
  expect(() => functional.gaussian_nll_loss(x.narrow(0, 0, 1), x.narrow(0, 0, 1), torch.tensor([[-1, 1, 1]]))).toThrow(
    'var has negative entry/entries',
  );
});

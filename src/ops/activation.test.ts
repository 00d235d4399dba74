/** Activations against numbers of PyTorch 2.11. */
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
test.each([
  [
    'hardswish',
    [3.365884, 3.63719, 0.335346, -0.0, -0.0, -0.350636, 2.46499, 3.957433],
    [1.0, 1.0, 0.68816, 0.0, 0.0, 0.127446, 1.375982, 1.0],
  ],
  [
    'softshrink',
    [2.865884, 3.13719, 0.06448, -2.52721, -3.335697, -0.617662, 2.127946, 3.457433],
    [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0],
  ],
  [
    'logsigmoid',
    [-0.033949, -0.025986, -0.450219, -3.074523, -3.857054, -1.400615, -0.069737, -0.018932],
    [0.033379, 0.025651, 0.362512, 0.953788, 0.97887, 0.753555, 0.067361, 0.018754],
  ],
  [
    'mish',
    [3.358392, 3.632406, 0.433351, -0.143121, -0.081905, -0.308068, 2.604205, 3.95465],
    [1.012242, 1.008, 0.915467, -0.092301, -0.059659, 0.021121, 1.03505, 1.004756],
  ],
  ['glu', [2.145712, 0.168081, -3.577319, -1.096702], [0.637488, 0.046212, 0.777845, 0.160313, 0.932639, 0.981246, -0.240973, -0.020567]],
  ['hardsigmoid', [1.0, 1.0, 0.59408, 0.0, 0.0, 0.313723, 0.937991, 1.0], [0.0, 0.0, 0.166667, 0.0, 0.0, 0.166667, 0.166667, 0.0]],
] as const)('%s and its gradient are those of PyTorch', (name, value, gradient) => {
  const x = sines([2, 4]).mul(4).detach().requires_grad_();
  const y = functional[name](x);
  near(y, value);
  y.sum().backward();
  near(x.grad!, gradient);
});

test('rrelu draws one slope for each element that is not positive', () => {
  torch.manual_seed(3);
  near(functional.rrelu(sines([6]).mul(2), 0.1, 0.9, true), [1.682942, 1.818595, 0.28224, -0.192662, -0.631724, -0.401426]);
  near(torch.rand([1]), [0.771866]);
});

test('gumbel_softmax has the samples of the CPU stream, and hard ones are one-hot', () => {
  torch.manual_seed(3);
  near(functional.gumbel_softmax(sines([2, 3]), 0.5), [0.987933, 0.011934, 0.000133, 0.891403, 0.011097, 0.097501]);
  torch.manual_seed(3);
  near(functional.gumbel_softmax(sines([2, 3]), 0.5, true), [1.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
});

test('inplace writes into the input', () => {
  const x = torch.tensor([-1, 2]);
  expect(functional.elu(x, { inplace: true })).toBe(x);
  near(x, [Math.expm1(-1), 2]);
  functional.hardtanh_(x, -0.5, 0.5);
  near(x, [-0.5, 0.5]);
});

test('NaN stays, and integers stay integers where PyTorch keeps them', () => {
  const x = torch.tensor([Number.NaN, 8]);
  expect(functional.softshrink(x).tolist()).toEqual([Number.NaN, 7.5]);
  expect(functional.relu6(x).tolist()).toEqual([Number.NaN, 6]);
  const n = torch.tensor([-3n, 9n]);
  expect(functional.relu6(n).dtype).toBe(torch.int64);
  expect(functional.threshold(n, 0, 5).tolist()).toEqual([5, 9]);
});

test('errors are those of PyTorch', () => {
  const n = torch.tensor([1n]);
  expect(() => functional.elu(n)).toThrow(`"elu_cpu" not implemented for 'Long'`);
  expect(() => functional.glu(torch.ones([3]))).toThrow('Halving dimension must be even, but dimension 0 is size 3');
  expect(() => functional.celu(torch.ones([3]), 0)).toThrow('ZeroDivisionError: alpha cannot be 0 for CELU');
  expect(() => functional.prelu(torch.ones([1, 4]), torch.ones([3]))).toThrow(
    'Mismatch of parameter numbers and input channel size. Found parameter numbers = 3 and channel size = 4.',
  );
});

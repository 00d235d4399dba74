/** Distances against numbers of PyTorch 2.11. */
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

test.each([
  [0.5, [2.406253, 1.800077, 0.768177, 3.880549, 4.23438, 3.805315], [-4.688967, -3.539949, 2.037703, -1.490749, -3.871952, 1.246418]],
  [1.0, [1.733926, 1.200947, 0.768177, 2.166696, 2.345609, 1.948283], [0.0, 0.0, 0.0, -1.0, -2.0, 0.0]],
  [3.0, [1.666137, 1.121023, 0.768177, 1.754254, 1.878555, 1.330672], [0.9981, 0.994855, -0.942533, -0.990795, -1.249793, -0.844551]],
  [Number.POSITIVE_INFINITY, [1.6661, 1.120886, 0.768177, 1.746161, 1.868222, 1.268774], [1.0, 1.0, -1.0, -1.0, -1.0, -1.0]],
] as const)('cdist with p = %f and its gradient are those of PyTorch', (p, value, gradient) => {
  const a = sines([3, 2]).requires_grad_();
  const d = torch.cdist(a, sines([2, 2], 2), p);
  near(d, value);
  d.sum().backward();
  near(a.grad!, gradient, 3);
});

test('pdist is the upper triangle of cdist', () => {
  const x = sines([4, 3]);
  const all = torch.cdist(x, x).tolist() as number[][];
  near(
    nn.functional.pdist(x),
    [0, 1, 2].flatMap((i) => all[i].slice(i + 1)),
  );
});

test('a vector of zeros is like nothing, and has a gradient', () => {
  const zeros = torch.zeros([2, 3]).requires_grad_();
  const y = nn.functional.cosine_similarity(sines([2, 3]), zeros);
  near(y, [0, 0]);
  y.sum().backward();
  expect((zeros.grad!.numpy() as Float32Array).every((g) => Number.isFinite(g))).toBe(true);
});

test('errors are those of PyTorch', () => {
  expect(() => torch.cdist(torch.ones([2, 4]), torch.ones([2, 3]))).toThrow('X1 and X2 must have the same number of columns. X1: 4 X2: 3');
  expect(() => nn.functional.pdist(torch.ones([3]))).toThrow('pdist only supports 2D tensors, got: 1D');
  const n = torch.tensor([[1n]]);
  expect(() => nn.functional.cosine_similarity(n, n)).toThrow('expected common dtype to be floating point, yet common dtype is Long');
});

/** Embeddings against numbers of PyTorch 2.11. */
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

test('max_norm scales the rows that are looked up, in the table', () => {
  const table = sines([4, 3]).mul(3);
  near(
    functional.embedding(torch.tensor([1n, 1n, 3n]), table, { max_norm: 1 }),
    [-0.603925, -0.765217, -0.222972, -0.603925, -0.765217, -0.222972, -0.432274, -0.794582, -0.426355],
  );
  near(table, [2.524413, 2.727892, 0.42336, -0.603925, -0.765217, -0.222972, 1.97096, 2.968075, 1.236356, -0.432274, -0.794582, -0.426355]);
});

test('padding gets no gradient, and frequency divides it', () => {
  const table = sines([4, 3]).mul(3).detach().requires_grad_();
  functional
    .embedding(torch.tensor([1n, 1n, 3n, 0n]), table, { padding_idx: 0, scale_grad_by_freq: true })
    .sum()
    .backward();
  near(table.grad!, [0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
});

test('embedding_bag: weighted sums with an empty bag, and maxima', () => {
  const table = sines([4, 3]).mul(3).detach().requires_grad_();
  const indices = torch.tensor([1n, 0n, 2n, 2n, 3n]);
  const offsets = torch.tensor([0n, 2n, 2n]);
  const weights = sines([5]).requires_grad_();
  const sums = functional.embedding_bag(indices, table, offsets, { mode: 'sum', per_sample_weights: weights });
  near(sums, [0.38496, 0.059744, -0.3204, 0.0, 0.0, 0.0, 0.35154, 1.049353, 0.782396]);
  sums.mul(sums).sum().backward();
  near(
    table.grad!,
    [0.700087, 0.108651, -0.582678, 0.647866, 0.100546, -0.539214, -0.432874, -1.292137, -0.963415, -0.6742, -2.0125, -1.500517],
  );
  near(weights.grad!, [-1.554627, 1.998261, 9.549497, 9.549497, -9.962402]);
  table.grad = null;
  const maxima = functional.embedding_bag(indices, table, offsets, { mode: 'max' });
  near(maxima, [2.524413, 2.727892, 0.42336, 0.0, 0.0, 0.0, 1.97096, 2.968075, 1.236356]);
  maxima.mul(maxima).sum().backward();
  near(table.grad!, [5.048826, 5.455784, 0.84672, 0.0, 0.0, 0.0, 3.94192, 5.93615, 2.472711, 0.0, 0.0, 0.0]);
});

test('one_hot finds the number of classes in the data and checks it', () => {
  expect(functional.one_hot(torch.tensor([0n, 2n])).tolist()).toEqual([
    [1, 0, 0],
    [0, 0, 1],
  ]);
  expect(() => functional.one_hot(torch.tensor([1n, 5n]), 3)).toThrow('Class values must be smaller than num_classes.');
  expect(() => functional.one_hot(torch.tensor([-1n]))).toThrow('Class values must be non-negative.');
});

test('an index out of range is refused at the call', () => {
  expect(() => functional.embedding(torch.tensor([4n]), torch.ones([4, 2]))).toThrow('index out of range in self');
});

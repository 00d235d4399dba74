/** Normalization against numbers of PyTorch 2.11. */
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

test('batch_norm normalizes, updates its running statistics and has the gradient of both', () => {
  const mean = torch.zeros([2]);
  const variance = torch.ones([2]);
  const x = sines([3, 2, 2]).requires_grad_();
  const weight = torch.tensor([2, 0.5]).requires_grad_();
  const y = functional.batch_norm(x, mean, variance, weight, null, true, 0.2);
  near(y, [2.21017, 2.402842, 0.153191, -0.456975, -2.904129, -0.97388, 0.503739, 0.729596, 0.990529, -1.725533, -0.622229, -0.307322]);
  near(mean, [0.012684, -0.016863]);
  near(variance, [0.918967, 0.929934]);
  y.mul(y).mul(y).sum().backward();
  near(
    x.grad!,
    [11.397291, 19.307716, -0.49395, 0.011983, 32.720116, -27.70363, -0.098065, 0.422397, -23.997751, -11.72375, 0.410234, -0.252599],
    3,
  );
  near(weight.grad!, [-7.369974, 0.926579], 3);
});

test('local_response_norm looks at neighbouring channels', () => {
  near(
    functional.local_response_norm(sines([1, 4, 2]).mul(3), 3, 0.5),
    [1.451249, 1.167813, 0.166472, -0.9453, -1.24444, -0.331535, 0.858905, 1.455743],
  );
});

test('a layer norm of a transposed tensor is that of its copy', () => {
  const x = sines([4, 3]).t();
  near(functional.layer_norm(x, [4]), Array.from(functional.layer_norm(x.contiguous(), [4]).numpy() as Float32Array), 6);
});

test('errors are those of PyTorch', () => {
  const x = torch.ones([2, 3]);
  expect(() => functional.batch_norm(x, null, null)).toThrow('running_mean must be defined in evaluation mode');
  expect(() => functional.batch_norm(x, torch.zeros([2]), torch.zeros([3]))).toThrow('running_mean should contain 3 elements not 2');
  expect(() => functional.batch_norm(torch.ones([1, 3]), null, null, { training: true })).toThrow(
    'Expected more than 1 value per channel when training, got input size torch.Size([1, 3])',
  );
  expect(() => functional.group_norm(torch.ones([2, 5]), 2)).toThrow(
    'Expected number of channels in input to be divisible by num_groups, but got input of shape [2, 5] and num_groups=2',
  );
  expect(() => functional.layer_norm(x, [4])).toThrow(
    'Given normalized_shape=[4], expected input with shape [*, 4], but got input of size[2, 3]',
  );
});

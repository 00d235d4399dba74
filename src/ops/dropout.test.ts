/** Dropout against the streams of PyTorch 2.11. */
import { expect, test } from 'vitest';
import torch, { nn } from '../index.ts';
import type { Tensor } from './methods.ts';

const near = (t: Tensor, expected: readonly number[], digits = 4): void => {
  const found = Array.from(t.detach().double().numpy() as Float64Array);
  expect(found.length).toBe(expected.length);
  for (const [i, x] of found.entries()) expect(x, `element ${i}`).toBeCloseTo(expected[i], digits);
};

const functional = nn.functional;

test('masks come from the CPU stream', () => {
  torch.manual_seed(3);
  near(functional.dropout1d(torch.ones([2, 3, 2]), 0.5), [2.0, 2.0, 2.0, 2.0, 0.0, 0.0, 2.0, 2.0, 0.0, 0.0, 0.0, 0.0]);
  torch.manual_seed(3);
  near(functional.alpha_dropout(torch.ones([6]), 0.4, true), [1.470377, 1.470377, -0.910642, 1.470377, -0.910642, -0.910642]);
  torch.manual_seed(3);
  near(
    functional.feature_alpha_dropout(torch.ones([2, 2, 2]), 0.4, true),
    [1.470377, 1.470377, 1.470377, 1.470377, -0.910642, -0.910642, 1.470377, 1.470377],
  );
});

test('outside of training the input itself comes back and nothing is drawn', () => {
  torch.manual_seed(3);
  const x = torch.ones([4]);
  expect(functional.dropout(x, 0.5, false)).toBe(x);
  expect(torch.dropout(x, 0.5, false)).toBe(x);
  const after = torch.rand([1]).item();
  torch.manual_seed(3);
  expect(torch.rand([1]).item()).toBe(after);
});

test('everything is dropped at 1, and the gradient is zero', () => {
  const x = torch.ones([4]).requires_grad_();
  const y = functional.dropout(x, 1);
  near(y, [0, 0, 0, 0]);
  y.sum().backward();
  near(x.grad!, [0, 0, 0, 0]);
});

test('a probability outside of [0, 1] is refused', () => {
  expect(() => functional.dropout(torch.ones([2]), 1.5)).toThrow('dropout probability has to be between 0 and 1, but got 1.5');
  expect(() => new nn.Dropout(-1)).toThrow('dropout probability has to be between 0 and 1, but got -1');
});

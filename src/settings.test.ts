/** What the namespace has beside operators: in-place functions, `torch.random`, settings. */
import { expect, test } from 'vitest';
import torch from './index.ts';

test('in-place twins are functions of the namespace too', () => {
  const x = torch.zeros([2]);
  expect(torch.exp_(x)).toBe(x);
  expect(x.tolist()).toEqual([1, 1]);
  torch.index_put_(x, [torch.tensor([1n])], torch.tensor([5], { dtype: torch.float32 }));
  expect(x.tolist()).toEqual([1, 5]);
  torch.zero_(x);
  expect(x.tolist()).toEqual([0, 0]);
});

test('a fork of the generator leaves it where it was', () => {
  torch.random.manual_seed(5);
  const expected = torch.rand([2]).tolist();
  torch.random.manual_seed(5);
  torch.random.fork_rng(() => torch.rand([7]));
  expect(torch.rand([2]).tolist()).toEqual(expected);
  expect(() => torch.random.fork_rng(async () => 1)).toThrow('returned a Promise');
});

test('settings are remembered', () => {
  torch.use_deterministic_algorithms(true, { warn_only: true });
  expect(torch.get_deterministic_debug_mode()).toBe(1);
  torch.set_deterministic_debug_mode('default');
  expect(torch.are_deterministic_algorithms_enabled()).toBe(false);
  expect(torch.set_flush_denormal(true)).toBe(false);
});

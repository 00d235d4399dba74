/** segment_reduce: segments by lengths and offsets, its gradient at ties. */
import { expect, test } from 'vitest';
import torch from '../index.ts';

test('segments of lengths and of offsets; empty ones give the identity or NaN', () => {
  const x = torch.tensor([1, 2, 3, 4], { dtype: torch.float32 });
  const lengths = torch.tensor([3n, 0n, 1n]);
  expect(torch.segment_reduce(x, 'sum', { lengths }).tolist()).toEqual([6, 0, 4]);
  expect(torch.segment_reduce(x, 'max', { lengths, initial: 2 }).tolist()).toEqual([3, 2, 4]);
  expect(torch.segment_reduce(x, 'prod', { lengths }).tolist()).toEqual([6, 1, 4]);
  expect(torch.segment_reduce(x, 'mean', { lengths }).tolist()).toEqual([2, NaN, 4]);
  expect(torch.segment_reduce(x, 'min', { offsets: torch.tensor([1n, 2n, 4n]) }).tolist()).toEqual([2, 3]);
  expect(() => torch.segment_reduce(x, 'sum', { lengths: torch.tensor([1n, 2n]) })).toThrow('Expected all rows of lengths');
  expect(() => torch.segment_reduce(x, 'sum', { lengths: torch.tensor([5n, -1n]) })).toThrow('lengths contains negative value!');
});

test('a maximum equal to the initial value has the whole gradient', () => {
  const x = torch.tensor([1, 2, 2], { dtype: torch.float32, requires_grad: true });
  torch
    .segment_reduce(x, 'max', { lengths: torch.tensor([3n]), initial: 2 })
    .sum()
    .backward();
  expect(x.grad!.tolist()).toEqual([0, 0.5, 0.5]);
});

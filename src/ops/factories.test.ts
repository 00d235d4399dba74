import { describe, expect, test } from 'vitest';
import { torch } from '../torch.ts';

describe('creation', () => {
  test('ranges', () => {
    expect(torch.arange(5, 0, -2).tolist()).toEqual([5, 3, 1]);
    expect(torch.arange(2.5, { dtype: torch.int64 }).tolist()).toEqual([0, 1]);
    expect(torch.range(1, 2, 0.5).tolist()).toEqual([1, 1.5, 2]);
    expect(torch.linspace(3, -3, 4, { dtype: torch.int64 }).tolist()).toEqual([3, 1, -1, -3]);
    expect(torch.linspace(torch.tensor(0), 1, 5).tolist()).toEqual([0, 0.25, 0.5, 0.75, 1]);
    expect(torch.logspace(0, 5, 6, 1.5, { dtype: torch.int64 }).tolist()).toEqual([1, 1, 2, 3, 5, 7]);
    expect(() => torch.arange(0, 5, -1)).toThrow('upper bound and lower bound inconsistent with step sign');
  });
  test('complex ends make complex numbers', () => {
    const z = torch.linspace(1, { re: 0, im: 1 }, 3);
    expect(z.dtype).toBe(torch.complex64);
    expect(torch.view_as_real(z).tolist()).toEqual([
      [1, 0],
      [0.5, 0.5],
      [0, 1],
    ]);
  });
  test('layouts', () => {
    expect(torch.empty_permuted([2, 3, 4], [2, 0, 1]).stride()).toEqual([3, 1, 6]);
    expect(torch.empty_strided([2, 3], [1, 2]).stride()).toEqual([1, 2]);
    expect(torch.ones(2, 3).new_empty_strided([2], [5]).stride()).toEqual([5]);
    expect(() => torch.empty_permuted([2, 3], [0, 0])).toThrow('Duplicate dim not allowed');
  });
  test('matrices and indices', () => {
    expect(torch.eye(2, 3, { dtype: torch.bool }).tolist()).toEqual([
      [true, false, false],
      [false, true, false],
    ]);
    expect(torch.tril_indices(3, 3, -1).tolist()).toEqual([
      [1, 2, 2],
      [0, 0, 1],
    ]);
    expect(torch.vander(torch.tensor([1n, 2n, 3n]), { increasing: true }).tolist()).toEqual([
      [1, 1, 1],
      [1, 2, 4],
      [1, 3, 9],
    ]);
    expect(torch.unravel_index(torch.tensor([5n, 7n]), [3, 4]).map((t) => t.tolist())).toEqual([
      [1, 1],
      [1, 3],
    ]);
  });
  test('from data', () => {
    const t = torch.ones(2);
    expect(torch.as_tensor(t)).toBe(t);
    expect(torch.from_numpy(Int32Array.of(1, 2)).dtype).toBe(torch.int32);
    expect(torch.ones(2, { dtype: torch.int64 }).new_tensor([1, 2]).dtype).toBe(torch.int64);
    expect(torch.asarray([1, 2], { requires_grad: true }).requires_grad).toBe(true);
  });
  test('a size that is negative is refused', () => {
    expect(() => torch.zeros(-1)).toThrow('zeros: Dimension size must be non-negative.');
    expect(() => torch.ones(-1)).toThrow('Trying to create tensor with negative dimension -1: [-1]');
  });
});

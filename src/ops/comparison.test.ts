/** Comparisons and bitwise operators: bools, mixed dtypes, 16-bit steps of isclose, answers that are JavaScript booleans. */
import { describe, expect, test } from 'vitest';
import torch from '../index.ts';

describe('comparisons', () => {
  test('bools are ordered, and numbers wrap to the dtype of an integer tensor', () => {
    const b = torch.tensor([false, true]);
    expect(torch.lt(b, true).tolist()).toEqual([true, false]);
    expect(torch.ge(b, torch.tensor([true, true])).tolist()).toEqual([false, true]);
    // -1 is 255 among bytes, 300 is 44 among chars: PyTorch compares after the conversion.
    expect(torch.lt(torch.tensor([1, 250], { dtype: torch.uint8 }), -1).tolist()).toEqual([true, true]);
    expect(torch.lt(torch.tensor([1, 100], { dtype: torch.int8 }), 300).tolist()).toEqual([true, false]);
    expect(torch.eq(torch.tensor([1, 2], { dtype: torch.int64 }), 1.5).tolist()).toEqual([false, false]);
  });

  test('equal and allclose answer true or false', () => {
    const x = torch.tensor([1.5, Number.NaN]);
    expect(torch.equal(x, x.clone())).toBe(false);
    expect(torch.equal(torch.ones([2, 2]), torch.ones([2, 2]).t())).toBe(true);
    expect(torch.equal(torch.ones([2]), torch.ones([1, 2]))).toBe(false);
    expect(torch.equal(torch.empty([0]), torch.empty([0]))).toBe(true);
    expect(x.allclose(x, { equal_nan: true })).toBe(true);
    expect(() => torch.isclose(x, x.double())).toThrow('Float did not match Double');
  });

  test('infinities are close only to themselves', () => {
    const x = torch.tensor([Infinity, -Infinity, 1e30]);
    expect(torch.isclose(x, torch.tensor([Infinity, Infinity, Infinity]), { rtol: 10 }).tolist()).toEqual([true, false, false]);
  });

  test('the sign bit is seen on zeros, NaN and subnormals', () => {
    expect(torch.signbit(torch.tensor([-0, 0, -1e-45, Number.NaN])).tolist()).toEqual([true, false, true, false]);
    expect(torch.signbit(torch.tensor([255], { dtype: torch.uint8 })).tolist()).toEqual([false]);
  });
});

describe('bitwise operators', () => {
  test('int64 keeps all its bits', () => {
    const x = torch.tensor([0x7fffffffffffffffn, -1n] as never, { dtype: torch.int64 });
    expect(torch.bitwise_and(x, 255).tolist()).toEqual([255, 255]);
    expect(torch.bitwise_right_shift(x, 62).tolist()).toEqual([1, -1]);
    expect(torch.bitwise_not(x).tolist()).toEqual([-9223372036854775808n, 0]);
  });

  test('a float is refused by name of the kernel, and __iand__ writes into self', () => {
    expect(() => torch.ones([1]).__and__(1)).toThrow('"bitwise_and_cpu" not implemented for \'Float\'');
    const x = torch.tensor([6, 5], { dtype: torch.int64 });
    x.__iand__(3);
    expect(x.tolist()).toEqual([2, 1]);
  });

  test('logical operators take any dtypes and give bools', () => {
    expect(torch.logical_and(torch.tensor([0.5, 0]), torch.tensor([1, 1])).tolist()).toEqual([true, false]);
    expect(torch.logical_xor(torch.tensor([Number.NaN, 0]), torch.tensor([true, true])).tolist()).toEqual([false, true]);
  });
});

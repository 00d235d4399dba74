/** Sorting, selecting, searching, unique elements and running scans. */
import { describe, expect, test } from 'vitest';
import torch from '../index.ts';
import type { Tensor } from './methods.ts';

const { NaN: nan } = Number;

function gradientOf(x: Tensor, f: (x: Tensor) => Tensor): unknown {
  const y = f(x);
  y.mul(torch.arange(1, y.numel() + 1).reshape(y.shape))
    .sum()
    .backward();
  return x.grad!.tolist();
}
const leaf = (): Tensor =>
  torch.tensor(
    [
      [1, 5, 5],
      [2, -3, 0],
    ],
    { dtype: torch.float32, requires_grad: true },
  );

describe('sort', () => {
  test.each([torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.int32, torch.uint8])(
    'agrees with a comparison sort, is stable and puts equal elements in order (%s)',
    (dtype) => {
      const n = 5000;
      const numbers = Array.from({ length: n }, (_, i) => ((i * 7919) % 251) - (dtype === torch.uint8 ? 0 : 125));
      const x = torch.tensor(numbers, { dtype });
      for (const descending of [false, true]) {
        const expected = [...numbers.keys()].sort((a, b) => (descending ? numbers[b] - numbers[a] : numbers[a] - numbers[b]) || a - b);
        const { values, indices } = x.sort(0, descending);
        expect(indices.tolist()).toEqual(expected);
        expect(values.tolist()).toEqual(expected.map((i) => numbers[i]));
      }
    },
  );

  test('NaN is largest, -0 equals 0, infinities and 64-bit integers are in order', () => {
    const x = torch.tensor([nan, 0, -Infinity, -0, Infinity, -1, nan], { dtype: torch.float64 });
    expect(x.argsort().tolist()).toEqual([2, 5, 1, 3, 4, 0, 6]);
    expect(x.float().argsort(0, true).tolist()).toEqual([0, 6, 4, 1, 3, 5, 2]);
    const big = torch.tensor([2n ** 60n, -(2n ** 61n), 2n ** 60n - 1n, 5n], { dtype: torch.int64 });
    expect(big.argsort().tolist()).toEqual([1, 3, 2, 0]);
  });

  test('works along any dim, on a strided operand and on a 0-d one', () => {
    const x = torch
      .tensor([
        [3, 1, 2],
        [0, 5, 4],
      ])
      .t();
    expect(x.sort(0).values.tolist()).toEqual([
      [1, 0],
      [2, 4],
      [3, 5],
    ]);
    expect(torch.msort(x).tolist()).toEqual(x.sort(0).values.tolist());
    expect(torch.tensor(5).sort().indices.item()).toBe(0);
  });

  test('gradients go back to where the elements were', () => {
    expect(gradientOf(leaf(), (x) => x.sort(1, true).values)).toEqual([
      [3, 1, 2],
      [4, 6, 5],
    ]);
    expect(gradientOf(leaf(), (x) => x.topk(2, 1, false).values)).toEqual([
      [1, 2, 0],
      [0, 3, 4],
    ]);
    expect(gradientOf(leaf(), (x) => x.mode(1).values)).toEqual([
      [0, 0, 1],
      [0, 2, 0],
    ]);
    expect(gradientOf(leaf(), (x) => x.cummax(1).values)).toEqual([
      [1, 2, 3],
      [15, 0, 0],
    ]);
  });

  test("errors are PyTorch's", () => {
    expect(() => torch.ones([2, 3]).topk(4)).toThrow('selected index k out of range');
    expect(() => torch.ones([2, 3]).kthvalue(4)).toThrow('kthvalue(): selected number k out of range for dimension 1');
    expect(() => torch.tensor([true]).topk(1)).toThrow('topk does not support bool dtypes on CPU');
  });
});

test('selection names the elements that PyTorch names', () => {
  const x = torch.tensor([5, 5, 7, 6, 5, 7, 7, 5, 6, 5]);
  expect(x.topk(4).indices.tolist()).toEqual([2, 5, 6, 3]);
  expect(x.kthvalue(3).indices.item()).toBe(7);
  expect(x.median(0).indices.item()).toBe(9);
  expect(torch.tensor([nan, 2, 1, nan]).median().item()).toBeNaN();
  expect(torch.tensor([nan, 2, 1, nan]).nanmedian().item()).toBe(1);
});

test('quantiles interpolate as asked', () => {
  const x = leaf();
  const q = torch.tensor([0.25, 0.6]);
  const y = x.quantile(q, 1);
  expect(y.shape).toEqual([2, 2]);
  expect(y.tolist()).toEqual([
    [3, -1.5],
    [5, Math.fround(0.40000009536743164)],
  ]);
  expect(x.detach().quantile(0.4, 1, false, { interpolation: 'higher' }).tolist()).toEqual([5, 0]);
  expect(torch.tensor([1, nan, 3]).nanquantile(0.5).item()).toBe(2);
  expect(torch.tensor([1, nan, 3]).quantile(0.5).item()).toBeNaN();
  expect(() => x.quantile(1.5)).toThrow('quantile() q must be in the range [0, 1] but got 1.5');
});

test('unique elements and slices, with where they went and how many there were', () => {
  const [values, inverse, counts] = torch.unique(torch.tensor([3, 1, 1, nan, nan]), { return_inverse: true, return_counts: true });
  expect(values.tolist()).toEqual([1, 3, nan, nan]);
  expect(inverse.tolist()).toEqual([1, 0, 0, 2, 3]);
  expect(counts.tolist()).toEqual([2, 1, 1, 1]);
  const rows = torch.tensor([
    [2, 1],
    [0, 3],
    [2, 1],
  ]);
  expect(rows.unique({ dim: 0 }).tolist()).toEqual([
    [0, 3],
    [2, 1],
  ]);
  const [runs, lengths] = torch.unique_consecutive(torch.tensor([1, 1, 2, 1]), { return_counts: true });
  expect(runs.tolist()).toEqual([1, 2, 1]);
  expect(lengths.tolist()).toEqual([2, 1, 1]);
  expect(() => torch.ones([2, 0, 3]).unique({ dim: 0 })).toThrow("There are 0 sized dimensions, and they aren't selected");
});

test('searching', () => {
  const edges = torch.tensor([1, 3, 5, 7]);
  expect(torch.searchsorted(edges, torch.tensor([3, 0, 8, 5])).tolist()).toEqual([1, 0, 4, 2]);
  expect(torch.searchsorted(edges, torch.tensor([3, 0, 8, 5]), { side: 'right' }).tolist()).toEqual([2, 0, 4, 3]);
  expect(torch.bucketize(torch.tensor([2.5, nan]), edges, { out_int32: true }).tolist()).toEqual([1, 4]);
  expect(torch.searchsorted(torch.tensor([5, 1, 3]), 2, { sorter: torch.tensor([1, 2, 0], { dtype: torch.int64 }) }).item()).toBe(1);
  expect(torch.isin(torch.tensor([1, 2, 3]), torch.tensor([2, 9]), { invert: true }).tolist()).toEqual([true, false, true]);
  expect(() => torch.searchsorted(edges, 2, { right: true, side: 'left' })).toThrow("side and right can't be set to opposites");
});

describe.each(['cpu', 'wasm'])('scans on %s', (device) => {
  test('values, gradients and in-place twins', () => {
    torch.set_default_device(device);
    try {
      expect(gradientOf(leaf(), (x) => x.cumsum(1))).toEqual([
        [6, 5, 3],
        [15, 11, 6],
      ]);
      expect(gradientOf(leaf(), (x) => x.cumprod(1))).toEqual([
        [86, 17, 15],
        [-11, 10, -36],
      ]);
      const got = gradientOf(leaf(), (x) => x.logcumsumexp(1)) as number[][];
      [1.0631965, 3.4504154, 1.4863878].forEach((v, i) => {
        expect(got[0][i]).toBeCloseTo(v, 4);
      });
      const x = torch.tensor([1, 2, 3], { dtype: torch.int32 });
      expect(x.cumsum(0).dtype).toBe(torch.int64);
      x.cumsum_(0);
      expect(x.dtype).toBe(torch.int32);
      expect(x.tolist()).toEqual([1, 3, 6]);
      expect(torch.tensor([2, nan, 1, 3]).cummin(0).indices.tolist()).toEqual([0, 1, 1, 1]);
    } finally {
      torch.set_default_device('cpu');
    }
  });
});

test('a float32 sum of many small numbers does not drift', () => {
  const n = 100_000;
  const sums = torch.full([n], 0.1).cumsum(0);
  expect(sums.select(0, -1).item()).toBeCloseTo(n * Math.fround(0.1), 2);
});

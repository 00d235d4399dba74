/** Covariance, histograms, counts, differences and integrals; torch.masked. */
import { expect, test } from 'vitest';
import torch from '../index.ts';
import type { Tensor } from './methods.ts';

const rounded = (t: Tensor): number[] => (t.flatten().tolist() as number[]).map((v) => Math.round(v * 1e5) / 1e5);

test('moments with corrections; all of them NaN without a degree of freedom', () => {
  const x = torch.tensor(
    [
      [1, 2, 4],
      [0, 0, 3],
    ],
    { dtype: torch.float64 },
  );
  expect(rounded(x.var(1, { correction: 0 }))).toEqual([1.55556, 2]);
  expect(rounded(x.std({ unbiased: false }))).toEqual([1.49071]);
  const [variance, mean] = torch.var_mean(x, 1, { correction: 1, keepdim: true });
  expect(variance.shape).toEqual([2, 1]);
  expect(rounded(mean)).toEqual([2.33333, 1]);
  expect(torch.ones([1]).var().item()).toBeNaN();
});

test('the mean of var_mean is that of float64, rounded, where the numbers cancel', () => {
  torch.manual_seed(3);
  const x = torch.randn([5, 4099]);
  const exact = x.to(torch.float64).mean(1).to(torch.float32);
  expect(torch.var_mean(x, 1)[1].tolist()).toEqual(exact.tolist());
});

test('covariance with weights, correlation', () => {
  const x = torch
    .tensor(
      [
        [0, 2],
        [1, 1],
        [2, 0],
      ],
      { dtype: torch.float64 },
    )
    .t();
  expect(x.cov().tolist()).toEqual([
    [1, -1],
    [-1, 1],
  ]);
  expect(x.corrcoef().tolist()).toEqual([
    [1, -1],
    [-1, 1],
  ]);
  expect(x.cov({ fweights: torch.tensor([1, 2, 1], { dtype: torch.int64 }), correction: 0 }).tolist()).toEqual([
    [0.5, -0.5],
    [-0.5, 0.5],
  ]);
  expect(() => x.cov({ fweights: torch.ones([3]) })).toThrow(
    'cov(): expected fweights to have integral dtype but got fweights with Float dtype',
  );
});

test('histograms', () => {
  expect(torch.histc(torch.tensor([1, 2, 1]), 4, 0, 3).tolist()).toEqual([0, 2, 1, 0]);
  const { hist, bin_edges } = torch.histogram(torch.tensor([1, 2, 3]), torch.tensor([0, 1, 2, 3], { dtype: torch.float32 }), {
    density: true,
  });
  expect(rounded(hist)).toEqual([0, 0.33333, 0.66667]);
  expect(bin_edges.tolist()).toEqual([0, 1, 2, 3]);
  const grid = torch.histogramdd(torch.ones([3, 2]), 2);
  expect(grid.hist.tolist()).toEqual([
    [0, 0],
    [0, 3],
  ]);
  expect(grid.bin_edges.map((e) => e.tolist())).toEqual([
    [0.5, 1, 1.5],
    [0.5, 1, 1.5],
  ]);
  expect(() => torch.histogram(torch.ones([2]), 0)).toThrow('torch.histogram(): bins must be > 0, but got 0 for dimension 0');
  expect(torch.bincount(torch.tensor([0, 2, 2], { dtype: torch.int64 }), { minlength: 4 }).tolist()).toEqual([1, 0, 2, 0]);
  expect(torch.bincount(torch.tensor([0, 2, 2], { dtype: torch.int64 }), torch.tensor([0.5, 1, 2])).tolist()).toEqual([0.5, 0, 3]);
  expect(() => torch.bincount(torch.tensor([-1], { dtype: torch.int64 }))).toThrow(
    'bincount only supports 1-d non-negative integral inputs.',
  );
});

test('differences and integrals', () => {
  const x = torch.tensor([1, 4, 9, 16], { dtype: torch.float32 });
  expect(x.diff().tolist()).toEqual([3, 5, 7]);
  expect(x.diff(2, { prepend: torch.tensor([0], { dtype: torch.float32 }) }).tolist()).toEqual([2, 2, 2]);
  expect(torch.trapezoid(x, { dx: 2 }).item()).toBe(43);
  expect(torch.trapezoid(x, torch.tensor([0, 1, 3, 4], { dtype: torch.float32 })).item()).toBe(28);
  expect(torch.cumulative_trapezoid(x).tolist()).toEqual([2.5, 9, 21.5]);
  expect(torch.gradient(x)[0].tolist()).toEqual([3, 4, 6, 7]);
  expect(torch.gradient(x, { edge_order: 2 })[0].tolist()).toEqual([2, 4, 6, 8]);
  expect(rounded(torch.gradient(x, { spacing: [torch.tensor([0, 1, 3, 4], { dtype: torch.float32 })] })[0])).toEqual([3, 2.83333, 5.5, 7]);
  expect(() => torch.gradient(x, { edge_order: 3 })).toThrow('torch.gradient only supports edge_order=1 and edge_order=2.');
});

test('masked operators leave out what the mask does', () => {
  const x = torch.tensor(
    [
      [1, 2, 3],
      [4, 5, 6],
    ],
    { dtype: torch.float32, requires_grad: true },
  );
  const mask = torch.tensor([
    [true, false, true],
    [false, false, false],
  ]);
  expect(torch.masked.sum(x, 1, { mask }).tolist()).toEqual([4, 0]);
  expect(torch.masked.amax(x, 1, { mask }).tolist()).toEqual([3, -Infinity]);
  expect(torch.masked.mean(x, 1, { mask }).tolist()).toEqual([2, Number.NaN]);
  expect(torch.masked.median(x, 1, { mask }).tolist()).toEqual([1, Number.NaN]);
  expect(rounded(torch.masked.softmax(x, 1, { mask }))).toEqual([0.1192, 0, 0.8808, Number.NaN, Number.NaN, Number.NaN]);
  torch.masked.var(x, { mask }).backward();
  expect(x.grad!.tolist()).toEqual([
    [-2, 0, 2],
    [0, 0, 0],
  ]);
  expect(() => torch.masked.sum(x, { mask: torch.ones([1, 2, 3]) })).toThrow('_input_mask expected broadcastable mask');
});

test('softmax of rows that are masked out', () => {
  const x = torch.tensor(
    [
      [-Infinity, -Infinity],
      [0, 0],
    ],
    { requires_grad: true },
  );
  const y = torch.ops.aten._safe_softmax(x, -1);
  expect(y.tolist()).toEqual([
    [0, 0],
    [0.5, 0.5],
  ]);
  y.select(1, 0).sum().backward();
  expect(x.grad!.tolist()).toEqual([
    [0, 0],
    [0.25, -0.25],
  ]);
});

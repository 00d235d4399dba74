/** Reductions, extremes and norms: PyTorch's numbers at ties, zeros and NaN; its dtypes and its errors. */
import { describe, expect, test } from 'vitest';
import torch from '../index.ts';
import type { Tensor } from './methods.ts';

const leaf = (): Tensor =>
  torch.tensor(
    [
      [1, 5, 5],
      [2, -3, 0],
    ],
    { dtype: torch.float32, requires_grad: true },
  );
/** Value and gradient for the result's elements weighted 1, 2, 3, ... */
function valueAndGradient(f: (x: Tensor) => Tensor): { value: number[]; gradient: number[] } {
  const x = leaf();
  const y = f(x);
  const weights = torch.arange(1, y.numel() + 1).reshape(y.shape);
  y.mul(weights).sum().backward();
  return { value: y.detach().flatten().tolist() as number[], gradient: x.grad!.flatten().tolist() as number[] };
}
const close = (actual: number[], expected: number[]): void => {
  expect(actual).toHaveLength(expected.length);
  actual.forEach((v, i) => {
    expect(v).toBeCloseTo(expected[i], 4);
  });
};

describe.each(['cpu', 'wasm'])('on %s', (device) => {
  test.each([
    ['max() shares the gradient among equal elements', (x: Tensor) => x.max(), [5], [0, 0.5, 0.5, 0, 0, 0]],
    ['max(dim) gives it to the first', (x: Tensor) => x.max(1).values, [5, 2], [0, 1, 0, 2, 0, 0]],
    ['amax shares it', (x: Tensor) => x.amax(1), [5, 2], [0, 0.5, 0.5, 2, 0, 0]],
    ['prod with a zero', (x: Tensor) => x.prod(1), [25, 0], [25, 5, 5, 0, 0, -12]],
    ['logsumexp', (x: Tensor) => x.logsumexp(1), [5.70226, 2.13285], [0.009075, 0.495463, 0.495463, 1.751201, 0.0118, 0.237]],
    ['norm at zero', (x: Tensor) => x.mul(0).norm(), [0], [0, 0, 0, 0, 0, 0]],
    ['norm of order 3', (x: Tensor) => x.norm(3, 1), [6.30799, 3.27107], [0.025131, 0.628286, 0.628286, 0.747672, -1.682262, 0]],
    ['norm of order inf', (x: Tensor) => x.norm(Infinity, 1), [5, 3], [0, 0.5, 0.5, 0, -2, 0]],
    ['variance', (x: Tensor) => x.var(1), [5.33333, 6.33333], [-2.666667, 1.333333, 1.333333, 4.666667, -5.333333, 0.666667]],
    ['deviation where there is none', (x: Tensor) => x.mul(0).add(1).std(1), [0, 0], [0, 0, 0, 0, 0, 0]],
    [
      'renorm',
      (x: Tensor) => x.renorm(2, 0, 2.5),
      [0.35007, 1.75035, 1.75035, 1.38675, -2.080126, 0],
      [0.171603, -0.192195, 0.157875, 3.520213, 2.346808, 4.160251],
    ],
  ] as const)('%s', (_, f, value, gradient) => {
    torch.set_default_device(device);
    try {
      const got = valueAndGradient(f);
      close(got.value, [...value]);
      close(got.gradient, [...gradient]);
    } finally {
      torch.set_default_device('cpu');
    }
  });
});

test('sums and products of integers and bools are int64; any and all of uint8 are uint8', () => {
  expect(torch.tensor([true, true]).sum().dtype).toBe(torch.int64);
  expect(torch.tensor([3, 4], { dtype: torch.int8 }).prod().dtype).toBe(torch.int64);
  const bytes = torch.tensor([2, 0], { dtype: torch.uint8 });
  expect(bytes.any().dtype).toBe(torch.uint8);
  expect(bytes.any().item()).toBe(1);
  expect(torch.tensor([1, 0]).all().dtype).toBe(torch.bool);
});

test('a NaN is the largest and the smallest, and the first one is named', () => {
  const x = torch.tensor([1, Number.NaN, 3, Number.NaN]);
  expect(x.max(0).values.item()).toBeNaN();
  expect(x.max(0).indices.item()).toBe(1);
  expect(x.min(0).indices.item()).toBe(1);
  expect(x.argmin().item()).toBe(1);
  expect(x.nansum().item()).toBe(4);
  expect(x.nanmean().item()).toBe(2);
});

test('reads strided operands', () => {
  const x = torch.arange(6).reshape([2, 3]).t();
  expect(x.max(1).values.tolist()).toEqual([3, 4, 5]);
  expect(x.sum_to_size([1, 2]).tolist()).toEqual([[3, 12]]);
  expect(x.count_nonzero(0).tolist()).toEqual([2, 3]);
  expect(torch.arange(9).reshape([3, 3]).trace().item()).toBe(12);
});

test('empty operands have the identity, or an error where there is none', () => {
  const none = torch.ones([2, 0]);
  expect(none.sum(1).tolist()).toEqual([0, 0]);
  expect(none.prod(1).tolist()).toEqual([1, 1]);
  expect(none.logsumexp(1).tolist()).toEqual([-Infinity, -Infinity]);
  expect(none.all(1).tolist()).toEqual([true, true]);
  expect(none.max(0).values.tolist()).toEqual([]);
  expect(() => none.max(1)).toThrow('max(): Expected reduction dim 1 to have non-zero size.');
  expect(() => none.amax()).toThrow('amax(): Expected reduction dim to be specified for input.numel() == 0.');
  expect(() => none.norm(Infinity)).toThrow('cannot compute the inf norm on an empty tensor');
});

test("refuses dtypes with PyTorch's texts", () => {
  expect(() => torch.tensor([1], { dtype: torch.int64 }).mean()).toThrow(
    'Input dtype must be either a floating point or complex dtype. Got: Long',
  );
  expect(() => torch.tensor([true]).argmax()).toThrow('argmax(): does not support bool input');
  expect(() => torch.tensor([1], { dtype: torch.int64 }).norm()).toThrow(
    'linalg.vector_norm: Expected a floating point or complex tensor as input. Got Long',
  );
  expect(() => torch.tensor([1], { dtype: torch.int64 }).var()).toThrow('std and var only support floating point and complex dtypes');
  expect(() => torch.ones([3]).renorm(2, 0, 1)).toThrow('renorm: input needs at least 2 dimensions, got 1 dimensions');
});

test('results go into out', () => {
  const [values, indices] = [torch.zeros([2]), torch.zeros([2], { dtype: torch.int64 })];
  torch.max(leaf().detach(), 1, { out: [values, indices] });
  expect(values.tolist()).toEqual([5, 2]);
  expect(indices.tolist()).toEqual([1, 0]);
});

test('the second derivative of a norm', () => {
  const x = torch.tensor([3, 4], { dtype: torch.float64, requires_grad: true });
  const [first] = torch.autograd.grad(x.norm(), x, null, { create_graph: true });
  const [second] = torch.autograd.grad((first as Tensor).sum(), x);
  // (I - x x^T / n^2) / n times ones.
  close((second as Tensor).tolist() as number[], [(1 - (3 / 25) * 7) / 5, (1 - (4 / 25) * 7) / 5]);
});

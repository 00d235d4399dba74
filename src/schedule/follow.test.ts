import { expect, test } from 'vitest';
import torch, { type Tensor } from '../index.ts';
import { engineOf } from '../tensor/devices.ts';

const { programs } = engineOf('cpu');
const compiledBy = (work: () => void): number => {
  const before = programs.statistics.compiled;
  work();
  return programs.statistics.compiled - before;
};

test('offsets and sizes that change are followed with their numbers', () => {
  const memory = torch.arange(400).float();
  torch.synchronize();
  const sum = (from: number, count: number): number => memory.narrow(0, from, count).mul(2).sum().item();
  const expected = (from: number, count: number): number => count * (2 * from + count - 1);
  const pairs = [
    ...[
      [3, 10],
      [4, 10],
      [9, 11],
      [30, 200],
      [0, 50],
      [7, 90],
      [1, 2],
      [0, 1],
      [5, 60],
    ],
  ];
  for (const [from, count] of pairs) expect(sum(from, count)).toBe(expected(from, count));
  expect(
    compiledBy(() => {
      for (let n = 20; n < 60; n++) expect(sum(n, n)).toBe(expected(n, n));
    }),
  ).toBe(0);
});

test('steps of two structures in turn, and one that breaks off in the middle, are told apart', () => {
  const x = torch.arange(6).float();
  torch.synchronize();
  const long = (n: number): number => x.mul(n).add(1).mul(2).sum().item();
  const other = (n: number): number => x.mul(n).sub(1).mul(2).sum().item();
  for (let n = 1; n < 5; n++) {
    expect(long(n)).toBe(2 * (15 * n + 6));
    expect(other(n)).toBe(2 * (15 * n - 6));
  }
});

test('what is held decides what is stored, also when the calls are the same', () => {
  const x = torch.arange(4).float();
  torch.synchronize();
  const held: Tensor[] = [];
  for (let n = 0; n < 6; n++) {
    const w = torch.ones(4).mul(n);
    if (n % 2 === 0) held.push(w);
    const y = x.add(w);
    w.add_(1);
    expect(y.sum().item()).toBe(6 + 4 * n);
    expect(w.sum().item()).toBe(4 * (n + 1));
  }
  expect(held.map((w) => w.sum().item())).toEqual([4, 12, 20]);
});

test('numbers that are shared by two calls one time and not the next are each call’s own', () => {
  const x = torch.ones(3).requires_grad_();
  torch.synchronize();
  const run = (scale: number): unknown => {
    x.grad = null;
    x.mul(scale).sum().backward();
    return (x.grad as Tensor | null)!.tolist();
  };
  expect([1, 2, 3, 4, 5].map(run)).toEqual([1, 2, 3, 4, 5].map((s) => [s, s, s]));
});

test('a backward that is one call is followed with the offsets of this time', () => {
  const memory = torch.arange(60).float();
  torch.synchronize();
  const grads = [0, 5, 10, 20, 7].map((from) => {
    const w = torch.ones(5).requires_grad_();
    w.mul(memory.narrow(0, from, 5))
      .sum()
      .backward();
    return (w.grad as Tensor | null)!.tolist();
  });
  expect(grads).toEqual([0, 5, 10, 20, 7].map((from) => [0, 1, 2, 3, 4].map((i) => from + i)));
});

/** What assembly spares: steps and memory of small programs, counted. */
import { expect, test } from 'vitest';
import torch, { nn, type Tensor } from '../index.ts';
import { engineOf } from '../tensor/devices.ts';

const kinds = (work: () => Tensor): string[] => {
  torch.synchronize();
  work().tolist();
  return engineOf('cpu').programs.last!.plan.steps.map((s) => s.kind);
};

test('a product of all rows of a batch is stored in the memory of its result, not copied there', () => {
  const x = torch.ones(2, 3, 8);
  const weight = torch.ones(5, 8);
  torch.synchronize();
  expect(kinds(() => nn.functional.linear(x, weight))).toEqual(['matmul']);
  expect(kinds(() => x.matmul(weight.t()))).toEqual(['matmul']);
  expect(nn.functional.linear(x, weight).tolist()).toEqual(torch.full([2, 3, 5], 8).tolist());
});

test('one product wanted in two shapes, and read by others, is right in each', () => {
  const x = torch.arange(24).to(torch.float32).reshape([2, 3, 4]);
  const weight = torch.arange(20).to(torch.float32).reshape([5, 4]);
  torch.synchronize();
  const a = x.matmul(weight.t());
  const b = x.reshape([6, 4]).matmul(weight.t());
  const c = a.add(1).reshape([6, 5]).sub(b);
  torch.synchronize();
  expect(a.reshape([6, 5]).tolist()).toEqual(b.tolist());
  expect(c.tolist()).toEqual(torch.ones(6, 5).tolist());
  expect(b.tolist<number[][]>()[5]).toEqual([0, 1, 2, 3, 4].map((r) => [20, 21, 22, 23].reduce((s, v, i) => s + v * (4 * r + i), 0)));
});

test('a product reads a result that lies in another order than row by row through its own strides, or a copy', () => {
  const x = torch
    .arange(2 * 16 * 48)
    .float()
    .view(2, 16, 48);
  const w = torch
    .arange(48 * 8)
    .float()
    .view(48, 8)
    .div(100);
  for (const dtype of [torch.float32, torch.bfloat16]) {
    torch.synchronize();
    const y = x.transpose(0, 1).div(7).to(dtype);
    const z = y.matmul(w.to(dtype));
    torch.synchronize();
    expect(y.stride()).toEqual([48, 768, 1]);
    expect(z.tolist()).toEqual(y.contiguous().matmul(w.to(dtype)).tolist());
  }
});

/** The tables of views and signatures forget: what a long decode meets once must not stay for ever. */
import { expect, test } from 'vitest';
import torch, { type Tensor } from '../index.ts';
import { makeView } from '../shape/view.ts';

const forgetViews = (): void => {
  for (let n = 2; n < 33_000; n++) makeView(torch.float32, 'cpu', [n, 3]);
};

test('views are forgotten when they are very many; tensors of before and after go together', () => {
  const x = torch.arange(6).float().view(2, 3).requires_grad_();
  const memory = torch.zeros(2, 3);
  const step = (): unknown => {
    x.grad = null;
    const y = x.mul(2).add(torch.ones(2, 3));
    y.t().matmul(y).sum().backward();
    memory.add_(y.detach());
    return [y.tolist(), (x.grad as Tensor | null)!.tolist()];
  };
  const before = [step(), step()];
  const old = makeView(torch.float32, 'cpu', [2, 3]);
  expect(makeView(torch.float32, 'cpu', [2, 3])).toBe(old);
  forgetViews();
  expect(makeView(torch.float32, 'cpu', [2, 3])).not.toBe(old);
  expect([step(), step()]).toEqual(before);
  expect(memory.tolist()).toEqual([
    [4, 12, 20],
    [28, 36, 44],
  ]);
  // In place with an operand that is the same window, seen through another object.
  const same = memory.as_strided([2, 3], [3, 1], 0);
  expect(memory.add_(same).sum().item()).toBe(288);
});

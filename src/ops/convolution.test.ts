import { expect, test } from 'vitest';
import torch, { nn } from '../index.ts';

test('x', () => {
  const x = torch.arange(2 * 3 * 5 * 5).reshape([2, 3, 5, 5]).to(torch.float32).sin().requires_grad_();
  const w = torch.arange(4 * 3 * 3 * 3).reshape([4, 3, 3, 3]).to(torch.float32).cos().requires_grad_();
  const y = torch.conv2d(x, w, { stride: 2, padding: 1 });
  console.log(y.shape, y.sum().item());
  y.mul(y).sum().backward();
  console.log(x.grad!.abs().sum().item(), w.grad!.abs().sum().item());
  const z = nn.functional.conv_transpose2d(x, torch.arange(3*2*9).reshape([3,2,3,3]).to(torch.float32).cos(), null, 2, 1, 1);
  console.log(z.shape, z.abs().sum().item());
  expect(1).toBe(1);
});

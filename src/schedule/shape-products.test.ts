import { describe, expect, test } from 'vitest';
import torch, { type Tensor } from '../index.ts';
import { engineOf } from '../tensor/devices.ts';
import { flags } from '../util/flags.ts';

const steps = (): readonly string[] => engineOf('cpu').programs.last!.plan.steps.map((s) => s.kind);

/** The gradient of a weight used as `linear` does. */
function weightGradient(): Tensor {
  torch.manual_seed(3);
  const x = torch.randn(40, 24);
  const w = torch.randn(48, 24).requires_grad_();
  const g = torch.randn(40, 48);
  torch.synchronize();
  x.matmul(w.t()).backward(g);
  torch.synchronize();
  return w.grad!;
}

describe('shapeProducts', () => {
  test("a weight's gradient is one product, written where it belongs", () => {
    const grad = weightGradient();
    expect(grad.shape).toEqual([48, 24]);
    expect(steps().filter((kind) => kind === 'kernel')).toEqual([]);
  });

  test('bits are those of the product and a copy', () => {
    const lazy = weightGradient().tolist();
    flags.flush = 'eager';
    try {
      expect(weightGradient().tolist()).toEqual(lazy);
    } finally {
      flags.flush = 'lazy';
    }
    torch.manual_seed(3);
    const [x, , g] = [torch.randn(40, 24), torch.randn(48, 24), torch.randn(40, 48)];
    const straight = x.t().matmul(g);
    torch.synchronize();
    expect(straight.t().contiguous().tolist()).toEqual(lazy);
  });

  test('a product that is read as it is too stays as it is', () => {
    const a = torch.randn(2, 20, 24);
    const b = torch.randn(2, 24, 28);
    const product = a.matmul(b);
    const both = [product, product.transpose(1, 2).add(1)] as const;
    expect(both[1].sub(1).transpose(1, 2).sub(product).abs().max().item()).toBeLessThan(1e-5);
    expect(both[0].shape).toEqual([2, 20, 28]);
  });

  test('batches and both operands turned', () => {
    const a = torch.randn(3, 20, 24);
    const b = torch.randn(3, 24, 28);
    torch.synchronize();
    const turned = torch.no_grad(() => a.matmul(b).transpose(1, 2).mul(2));
    const plain = a.matmul(b);
    torch.synchronize();
    expect(turned.transpose(1, 2).contiguous().tolist()).toEqual(plain.mul(2).tolist());
  });
});

import { describe, expect, test } from 'vitest';
import torch from '../index.ts';
import { engineOf } from '../tensor/devices.ts';

describe('products of widened numbers', () => {
  test('read the narrow ones: no copy of a weight is made, and the bits are those of the copies', () => {
    for (const dtype of [torch.bfloat16, torch.float16]) {
      const x = torch.randn(5, 64).to(dtype);
      const w = torch.randn(40, 64).to(dtype);
      const b = torch.randn(40).to(dtype);
      torch.synchronize();
      const y = torch.nn.functional.linear(x, w, b);
      torch.synchronize();
      const { plan } = engineOf('cpu').programs.last!;
      expect(plan.steps.map((s) => s.kind)).toEqual(['matmul', 'kernel']);
      const [wide, tall, bias] = [x.float(), w.float(), b.float()];
      torch.synchronize();
      expect(wide.matmul(tall.t()).add(bias).to(dtype).tolist()).toEqual(y.tolist());
    }
  });
});

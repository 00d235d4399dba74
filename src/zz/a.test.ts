import { test } from 'vitest';
import { torch } from '../torch.ts';
test('a', () => {
  const go = (sh: number[], ...p: any[]) => { const a = torch.randn(...sh, { dtype: torch.float64 }).requires_grad_(); const y = a.at(...p); y.mul(torch.ones(y.shape, { dtype: torch.float64 })).sum().backward(); console.log(JSON.stringify(a.grad!.tolist())); };
  go([4, 3], 1, -1);
  go([4, 4], 0, -1);
  go([3, 3], 1, -1);
  go([4, 4], 1, 1);
  go([5, 3], 3, -1);
  go([4, 3], 0, -1);
  go([4, 3], 1, 0);
});

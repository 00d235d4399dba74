import { test } from 'vitest';
import torch from '../src/index.ts';
import { flags } from '../src/util/flags.ts';
test('x', () => {
  const device = 'reference';
  flags.trace='kernels,fusion,programs,code';
  const a = torch.tensor([-1.125], {device}).reshape([]);
  const b = a.unsqueeze(0).sum(0, true);
  const c = a.neg();
  console.log(b.tolist(), c.tolist());
});

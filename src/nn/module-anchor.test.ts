/** A flush at the return of the outermost module must not find alive what the module's own bookkeeping holds. */
import { expect, test } from 'vitest';
import torch, { nn, type Tensor } from '../index.ts';
import { engineOf } from '../tensor/devices.ts';
import { flags } from '../util/flags.ts';

class Block extends nn.Module {
  override forward(input: Tensor): Tensor {
    return input.mul(2).add(1).softmax(1).square();
  }
}

test('values inside a forward get no memory either when so much is pending that its return flushes', () => {
  const before = flags.pendingBytes;
  flags.pendingBytes = 3 * 100 * 100 * 4;
  try {
    const block = new Block();
    const large = torch.ones(100, 100);
    torch.synchronize();
    const runs = engineOf('cpu').programs.statistics.runs;
    for (let call = 1; call <= 4; call++) {
      const result = block(large);
      expect(engineOf('cpu').programs.statistics.runs).toBe(runs + call);
      expect(engineOf('cpu').programs.last!.plan.buffers.filter((b) => b.kind === 'output').length).toBe(1);
      expect(result.shape).toEqual([100, 100]);
    }
  } finally {
    flags.pendingBytes = before;
  }
});

/** Modules and optimizers against a run of PyTorch 2.11 with the same seed. */
import { describe, expect, test } from 'vitest';
import type { Tensor } from '../src/index.ts';
import torch, { nn, optim } from '../src/index.ts';
import { flags } from '../src/util/flags.ts';

class Net extends nn.Module {
  fc1 = new nn.Linear(4, 8);
  norm = new nn.LayerNorm([8]);
  fc2 = new nn.Linear(8, 3);
  override forward(x: Tensor): Tensor {
    return this.fc2(nn.functional.gelu(this.norm(this.fc1(x))));
  }
}

function train(steps: number): number[] {
  torch.manual_seed(0);
  const net = new Net();
  const opt = new optim.AdamW(net.parameters(), { lr: 0.01 });
  const x = torch.arange(20).view(5, 4).div(10).sub(1);
  const y = torch.tensor([0n, 1n, 2n, 1n, 0n]);
  const losses: number[] = [];
  for (let i = 0; i < steps; i++) {
    const loss = nn.functional.cross_entropy(net(x), y);
    losses.push(loss.item());
    opt.zero_grad();
    loss.backward();
    nn.utils.clip_grad_norm_(net.parameters(), 1);
    opt.step();
  }
  return losses;
}

describe('a small network', () => {
  test('has the losses of PyTorch from the same seed', () => {
    const expected = [1.1855977773666382, 1.1545490026474, 1.1279760599136353, 1.1051409244537354, 1.0855085849761963, 1.0685925483703613];
    train(expected.length).forEach((loss, i) => {
      expect(Math.abs(loss - expected[i])).toBeLessThan(2e-5);
    });
  });

  test('gives the same bits lazily and flushed after every operator', () => {
    const lazy = train(4);
    flags.flush = 'eager';
    try {
      expect(train(4)).toEqual(lazy);
    } finally {
      flags.flush = 'lazy';
    }
  });

  test('loads its own state dict and refuses another', () => {
    const a = new Net();
    const b = new Net();
    b.load_state_dict(a.state_dict());
    expect(b.fc1.weight.tolist()).toEqual(a.fc1.weight.tolist());
    const other = new Map([...a.state_dict()].slice(1));
    expect(() => b.load_state_dict(other)).toThrow(/Missing key\(s\) in state_dict: "fc1.weight"/);
  });
});

/** Program counts: what is compiled, and when nothing is any more. */
import { describe, expect, test } from 'vitest';
import type { Tensor } from '../src/index.ts';
import torch, { nn, optim } from '../src/index.ts';
import { engineOf } from '../src/tensor/devices.ts';

const statistics = () => ({ ...engineOf('cpu').programs.statistics });

describe('programs', () => {
  test('a training loop compiles nothing from the third step on and runs at most two programs a step', () => {
    class Net extends nn.Module {
      fc1 = new nn.Linear(6, 16);
      fc2 = new nn.Linear(16, 3);
      override forward(x: Tensor): Tensor {
        return this.fc2(nn.functional.gelu(this.fc1(x)));
      }
    }
    const net = new Net();
    const opt = new optim.AdamW(net.parameters(), { lr: 1e-2 });
    const x = torch.arange(24).view(4, 6).div(10);
    const y = torch.tensor([0n, 1n, 2n, 1n]);
    const losses: Tensor[] = [];
    const step = (): void => {
      const loss = nn.functional.cross_entropy(net(x), y);
      opt.zero_grad();
      loss.backward();
      opt.step();
      losses.push(loss);
    };
    step();
    step();
    const before = statistics();
    for (let i = 0; i < 20; i++) step();
    const after = statistics();
    expect(after.compiled - before.compiled).toBe(0);
    expect(after.runs - before.runs).toBeLessThanOrEqual(40);
    const numbers = losses.map((l) => l.item());
    expect(new Set(numbers).size).toBe(22);
    expect(numbers[21]).toBeLessThan(numbers[0]);
  });

  test('fifty random lengths compile at most three programs', () => {
    const w = torch.arange(32).view(8, 4).div(32);
    const run = (n: number): number =>
      torch
        .arange(n * 8)
        .view(n, 8)
        .div(100)
        .matmul(w)
        .softmax(-1)
        .sum()
        .item();
    let state = 7;
    const lengths = Array.from({ length: 50 }, () => {
      state = (state * 1103515245 + 12345) % 2147483648;
      return 2 + (state % 60);
    });
    const before = statistics().compiled;
    for (const n of lengths) expect(Math.abs(run(n) - n)).toBeLessThan(1e-3);
    expect(statistics().compiled - before).toBeLessThanOrEqual(3);
  });

  test('a cache grown by cat compiles nothing after the fourth token', () => {
    let cache: Tensor = torch.zeros(1, 4);
    const grow = (i: number): number => {
      cache = torch.cat([cache, torch.full([1, 4], i)], 0);
      return cache.sum().item();
    };
    let total = 0;
    let settled = 0;
    for (let i = 1; i <= 60; i++) {
      total += 4 * i;
      expect(grow(i)).toBe(total);
      if (i === 4) settled = statistics().compiled;
    }
    expect(statistics().compiled - settled).toBe(0);
  });
});

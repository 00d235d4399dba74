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

  /** One decoded token: keys and values of a head appended, attention over all so far. Returns the programs compiled by then. */
  function decode(
    tokens: number,
    append: (k: Tensor, v: Tensor, at: number) => [Tensor, Tensor],
  ): { compiled: number[]; outs: number[][] } {
    const [heads, width] = [2, 4];
    const weights = (seed: number): Tensor => torch.arange(64).view(8, 8).mul(seed).sin();
    const [wq, wk] = [weights(0.37), weights(0.73)];
    const compiled: number[] = [];
    const outs: number[][] = [];
    let x: Tensor = torch.ones(1, heads * width);
    torch.no_grad(() => {
      for (let at = 0; at < tokens; at++) {
        const split = (w: Tensor): Tensor => x.matmul(w).view(1, 1, heads, width).transpose(1, 2);
        const [k, v] = append(split(wk), split(wq), at);
        const attention = split(wq).matmul(k.transpose(2, 3)).softmax(-1);
        x = attention
          .matmul(v)
          .transpose(1, 2)
          .reshape(1, heads * width)
          .tanh();
        outs.push(x.flatten().tolist() as number[]);
        compiled.push(statistics().compiled);
      }
    });
    return { compiled, outs };
  }
  const byCat = () => {
    let keys: Tensor | null = null;
    let values: Tensor | null = null;
    return decode(200, (k, v) => {
      keys = keys === null ? k : torch.cat([keys, k], 2);
      values = values === null ? v : torch.cat([values, v], 2);
      return [keys, values];
    });
  };
  const bySlice = () => {
    const keys = torch.zeros(1, 2, 256, 4);
    const values = torch.zeros(1, 2, 256, 4);
    return decode(200, (k, v, at) => {
      keys.narrow(2, at, 1).copy_(k);
      values.narrow(2, at, 1).copy_(v);
      return [keys.narrow(2, 0, at + 1), values.narrow(2, 0, at + 1)];
    });
  };

  test.each([
    ['grown by cat', byCat],
    ['that is a slice of a preallocated one, written in place,', bySlice],
  ])('200 tokens decoded with a cache %s compile nothing after the fourth', (_, run) => {
    const { compiled } = run();
    expect(compiled[199] - compiled[3]).toBe(0);
  });
  test('both caches give the same tokens', () => {
    const [a, b] = [byCat().outs, bySlice().outs];
    a.forEach((row, i) => {
      row.forEach((x, j) => {
        expect(Math.abs(x - b[i][j])).toBeLessThan(1e-5);
      });
    });
  });
  test('a preallocated cache stays in its memory', () => {
    const cache = torch.zeros(4, 64);
    cache.sum().item();
    const { buffer } = cache.storage.value;
    for (let at = 0; at < 8; at++) {
      cache.narrow(1, at, 1).copy_(torch.full([4, 1], at + 1));
      expect(
        cache
          .narrow(1, 0, at + 1)
          .sum()
          .item(),
      ).toBe(2 * (at + 1) * (at + 2));
    }
    expect(cache.storage.value.buffer).toBe(buffer);
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

/** A backward that is recorded as one call gives what a walk gives, whatever differs from the time before. */
import { describe, expect, test } from 'vitest';
import type { Tensor } from '../index.ts';
import torch from '../index.ts';
import { engineOf } from '../tensor/devices.ts';

const row = (...data: number[]): Tensor => torch.tensor(data).requires_grad_();

/** Gradients of what `build` returns with respect to the leaves it is given: walked (anomaly mode), then replayed. */
function bothWays(build: (...leaves: Tensor[]) => Tensor, ...data: number[][]): { walked: unknown; replayed: unknown } {
  const gradients = (): unknown => {
    const leaves = data.map((d) => row(...d));
    build(...leaves).backward();
    return leaves.map((l) => l.grad?.tolist() ?? null);
  };
  return { walked: torch.autograd.detect_anomaly(gradients), replayed: gradients() };
}
const same = (build: (...leaves: Tensor[]) => Tensor, ...data: number[][]): void => {
  const { walked, replayed } = bothWays(build, ...data);
  expect(replayed).toEqual(walked);
};

describe('replayed backward', () => {
  test('one call is recorded for it from the first time on', () => {
    for (let i = 0; i < 2; i++) {
      torch.synchronize();
      const x = row(1, 2, 3);
      const loss = x.mul(2).exp().sum();
      const before = engineOf('cpu').pendingNodes;
      loss.backward();
      // The ones that it begins with, and the backward.
      expect(engineOf('cpu').pendingNodes - before).toBe(2);
      expect(x.grad!.tolist()).toEqual(x.detach().mul(2).exp().mul(2).tolist());
    }
  });

  test('what is one value at one time may be two at the next', () => {
    const product = (a: Tensor, b: Tensor): Tensor => a.mul(1).mul(b.mul(1)).sum();
    same(product, [1, 2], [3, 4]);
    const alias = (a: Tensor): Tensor => product(a, a);
    same(alias, [1, 2]);
    same(product, [5, 6], [7, 8]);
  });

  test('the same calls connected in another way are another backward', () => {
    const chain = (swap: boolean) => (a: Tensor, b: Tensor) => {
      const [p, q] = [a.exp(), b.exp()];
      return (swap ? q.sub(p) : p.sub(q)).square().sum();
    };
    for (const swap of [false, true, false]) same(chain(swap), [0.5, 0.25], [0.125, 1]);
  });

  test('sums are added up newest first, also when the order in time changes', () => {
    const tiny = 2 ** -24;
    const build = (order: readonly number[]) => (a: Tensor) => {
      const factors = [1, tiny, tiny];
      const parts: Tensor[] = [];
      for (const i of order) parts[i] = a.mul(factors[i]!);
      return parts[0]!.add(parts[1]!).add(parts[2]!).sum();
    };
    for (const order of [
      [0, 1, 2],
      [2, 1, 0],
      [1, 0, 2],
      [0, 1, 2],
    ])
      same(build(order), [1, 1]);
  });

  test('numbers, offsets of views and roots that are views may change', () => {
    for (const [scale, at] of [
      [2, 0],
      [3, 0],
      [3, 2],
      [0.5, 1],
    ] as const) {
      same((a) => a.mul(scale).narrow(0, at, 2).exp().sum(), [0.1, 0.2, 0.3, 0.4]);
      same((a) => a.exp().mul(scale).at(at), [0.1, 0.2, 0.3, 0.4]);
    }
  });

  test('gradients add up over calls, and a graph that is kept can be walked again', () => {
    const x = row(1, 2);
    const y = x.square().sum();
    y.backward(null, { retain_graph: true });
    y.backward();
    expect(x.grad!.tolist()).toEqual([4, 8]);
    expect(() => y.backward()).toThrow('Trying to backward through the graph a second time');
    x.square().sum().backward();
    expect(x.grad!.tolist()).toEqual([6, 12]);
  });

  test('what was saved and written over since is an error, and no gradient is left', () => {
    const run = (write: boolean): Tensor => {
      const x = row(1, 2);
      const y = x.mul(1);
      const loss = y.square().sum();
      if (write) y.add_(1);
      loss.backward();
      return x;
    };
    expect(run(false).grad!.tolist()).toEqual([2, 4]);
    expect(() => run(true)).toThrow('has been modified by an inplace operation');
    expect(run(false).grad!.tolist()).toEqual([2, 4]);
  });

  test('hooks and retained gradients are seen although the backward is known', () => {
    const run = (hook: boolean): { grad: unknown; seen: unknown[]; inner: unknown } => {
      const x = row(1, 2);
      const y = x.mul(3);
      const seen: unknown[] = [];
      if (hook) {
        y.retain_grad();
        x.register_hook((g) => {
          seen.push((g as Tensor).tolist());
          return (g as Tensor).mul(10);
        });
      }
      y.square().sum().backward();
      return { grad: x.grad!.tolist(), seen, inner: hook ? y.grad!.tolist() : null };
    };
    expect(run(false).grad).toEqual([18, 36]);
    expect(run(true)).toEqual({ grad: [180, 360], seen: [[18, 36]], inner: [6, 12] });
    expect(run(false).grad).toEqual([18, 36]);
  });

  test('a gradient that two leaves share is two memories', () => {
    const [x, y] = [row(1, 2), row(3, 4)];
    x.add(y).sum().backward();
    x.grad!.mul_(5);
    expect([x.grad!.tolist(), y.grad!.tolist()]).toEqual([
      [5, 5],
      [1, 1],
    ]);
  });

  test('leaves of other sizes are another backward, in a program with symbols after the second', () => {
    for (let n = 2; n < 40; n++)
      same(
        (a) => a.sigmoid().mul(a).sum(),
        Array.from({ length: n }, (_, i) => i / n),
      );
    const { compiled } = engineOf('cpu').programs.statistics;
    for (let n = 40; n < 50; n++)
      row(...Array.from({ length: n }, (_, i) => i / n))
        .sigmoid()
        .sum()
        .backward();
    torch.synchronize();
    expect(engineOf('cpu').programs.statistics.compiled - compiled).toBeLessThanOrEqual(3);
  });
});

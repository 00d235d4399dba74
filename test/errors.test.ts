/** Errors in the middle: found before anything is lost, named after the call that made them, and the engine goes on as if that call had not been. */
import { afterEach, describe, expect, test } from 'vitest';
import { CpuBackend } from '../src/backend/cpu/device.ts';
import { openOs } from '../src/backend/cpu/os.ts';
import type { Tensor } from '../src/index.ts';
import torch, { nn, optim } from '../src/index.ts';
import { engineOf, registerDevice } from '../src/tensor/devices.ts';

const F = nn.functional;
const devices = ['reference', 'cpu', 'wasm'] as const;

afterEach(() => torch.set_default_device('cpu'));

/** int64 numbers that are still to be computed: the first few even numbers, times `factor`. */
const pending = (count: number, factor: number): Tensor => torch.arange(count).mul(factor);

class Net extends nn.Module {
  table = new nn.Embedding(6, 4);
  head = new nn.Linear(4, 3);
  override forward(indices: Tensor): Tensor {
    return this.head(this.table(indices).tanh());
  }
}

describe.each(devices)('on %s', (device) => {
  const within = (name: string, body: () => void): void =>
    test(name, () => {
      torch.set_default_device(device);
      body();
    });

  within('a shape error records nothing', () => {
    const a = torch.ones(2, 3).mul(2);
    const engine = engineOf(device);
    const before = engine.pendingNodes;
    const calls: [() => unknown, string][] = [
      [() => a.matmul(torch.ones(2, 3)), 'mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)'],
      [() => a.view(4, 2), "shape '[4, 2]' is invalid for input of size 6"],
      [() => a.sum(2), 'Dimension out of range (expected to be in range of [-2, 1], but got 2)'],
      [() => a.add_(torch.ones(4, 2, 3)), "output with shape [2, 3] doesn't match the broadcast shape [4, 2, 3]"],
    ];
    const ones = engine.pendingNodes - before;
    for (const [call, text] of calls) expect(call).toThrow(text);
    // The operands that the failing calls were given are all that was recorded (and the sum that did not fit).
    expect(engine.pendingNodes - before - ones).toBeLessThanOrEqual(3);
    expect(a.sum().item()).toBe(12);
  });

  within('a failing call alone leaves the number of pending calls as it was', () => {
    const [a, b] = [torch.ones(2, 3).mul(2), torch.ones(4).mul(1)];
    const before = engineOf(device).pendingNodes;
    expect(() => a.add(b)).toThrow('The size of tensor a (3) must match the size of tensor b (4) at non-singleton dimension 1');
    expect(() => a.matmul(b)).toThrow();
    expect(() => F.layer_norm(a, [2])).toThrow();
    expect(engineOf(device).pendingNodes).toBe(before);
    expect(b.sum().item()).toBe(4);
  });

  within('an index out of range that is still to be computed throws at the flush, with the name of the call', () => {
    const table = torch.arange(12).view(6, 2).to(torch.float32);
    const cases: [(index: Tensor) => Tensor, string, string][] = [
      [(i) => F.embedding(i, table), 'index out of range in self', 'embedding'],
      [(i) => table.index_select(0, i), 'index out of range in self', 'index_select'],
      [(i) => F.cross_entropy(table.mul(1), i, { reduction: 'sum' }), 'Target 3 is out of bounds.', 'cross_entropy_loss'],
    ];
    for (const [call, text, name] of cases) {
      const early = table.mul(2);
      const good = call(pending(6, 0));
      const bad = call(pending(6, 3));
      const late = early.add(1);
      expect(() => bad.sum().item()).toThrow(new RegExp(`^${text.replace('.', '\\.')}\n\\(raised by ${name}\\)$`));
      // What came before stands; what came after has not been.
      expect(early.select(0, 1).tolist()).toEqual([4, 6]);
      expect(Number.isFinite(good.sum().item())).toBe(true);
      expect(() => late.tolist()).toThrow(/^The result of add was never computed, because of an error before: /);
      expect(early.add(1).select(0, 0).tolist()).toEqual([1, 3]);
    }
  });

  within('indices that are in range when they are computed are as good as any', () => {
    const table = torch.arange(12).view(6, 2).to(torch.float32);
    expect(F.embedding(pending(3, 2), table).tolist()).toEqual([
      [0, 1],
      [4, 5],
      [8, 9],
    ]);
    expect(F.cross_entropy(torch.ones(2, 3), pending(2, -100)).item()).toBeCloseTo(Math.log(3), 5);
  });

  within('an index out of range in a training step leaves every parameter and the optimizer as they were', () => {
    for (const Optimizer of [optim.SGD, optim.AdamW]) {
      const make = () => {
        torch.manual_seed(5);
        const net = new Net();
        return { net, opt: new Optimizer(net.parameters(), { lr: 0.1 }) };
      };
      const step = ({ net, opt }: ReturnType<typeof make>, factor: number): void => {
        const loss = F.cross_entropy(net(pending(3, factor)), torch.tensor([0n, 1n, 2n]));
        opt.zero_grad();
        loss.backward();
        opt.step();
      };
      const numbers = (net: Net): unknown => net.parameters().map((p) => p.tolist());
      const [spared, hurt] = [make(), make()];
      for (const at of [0, 1, 2]) {
        const before = numbers(hurt.net);
        // Also in the very first step, when the optimizer has no state yet.
        expect(() => step(hurt, 5)).toThrow(/^index out of range in self\n\(raised by embedding in Net\.table\)$/);
        expect(numbers(hurt.net)).toEqual(before);
        step(hurt, 1 + (at % 2));
        step(spared, 1 + (at % 2));
        expect(numbers(hurt.net)).toEqual(numbers(spared.net));
        expect(numbers(hurt.net)).not.toEqual(before);
      }
    }
  });

  within('an in-place write before the error stands, one after it has not been', () => {
    const x = torch.zeros(3);
    x.add_(1);
    const bad = F.embedding(pending(3, 9), torch.ones(6, 2));
    x.add_(10);
    const view = x.narrow(0, 0, 1);
    view.mul_(5);
    expect(() => bad.tolist()).toThrow('index out of range in self');
    expect(x.tolist()).toEqual([1, 1, 1]);
    view.mul_(5);
    expect(x.tolist()).toEqual([5, 1, 1]);
  });
});

describe.skipIf(openOs().status === 'unavailable')('out of memory on cpu', () => {
  const MiB = 2 ** 20;
  registerDevice('small', () => new CpuBackend({ limit: 96 * MiB }));

  test('is found before the first kernel, says what was asked for and what holds the most, and leaves everything as it was', () => {
    torch.set_default_device('small');
    const held = torch.full([8, MiB / 4], 2); // 8 MiB
    const parameter = torch.ones(4);
    held.sum().item();
    parameter.sum().item();
    const { backend, programs } = engineOf('small');
    const live = backend.stats().liveBytes;
    const early = held.select(0, 0).narrow(0, 0, 2).add(1);
    const { runs } = programs.statistics;
    // 256 MiB.
    const huge = held
      .unsqueeze(0)
      .expand(32, 8, MiB / 4)
      .contiguous();
    parameter.mul_(3);
    let message = '';
    try {
      huge.select(0, 0).select(0, 0).narrow(0, 0, 1).item();
    } catch (error) {
      message = (error as Error).message;
    }
    expect(message).toMatch(/asked for 256\.0 MiB for a tensor/);
    expect(message).toMatch(/live buffers, the largest: 8\.0 MiB/);
    expect(message).toMatch(/raised by clone/);
    // The joint program did not run; what came before the failing call did, by itself.
    expect(programs.statistics.runs - runs).toBeLessThanOrEqual(2);
    expect(early.tolist()).toEqual([3, 3]);
    expect(parameter.tolist()).toEqual([1, 1, 1, 1]);
    parameter.mul_(2);
    expect(parameter.tolist()).toEqual([2, 2, 2, 2]);
    expect(held.sum().item()).toBe(2 * 8 * (MiB / 4));
    expect(backend.stats().liveBytes - live).toBeLessThan(MiB);
    expect(() => huge.tolist()).toThrow(/was never computed/);
  });
});

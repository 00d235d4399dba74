/** Who may still see a value: the design's table, in a loop that trains. Every case lazily and flushed after every operator. */
import { afterEach, describe, expect, test } from 'vitest';
import type { NullBackend } from '../src/backend/null/device.ts';
import { collectGarbage } from '../src/backend/tracked-memory.ts';
import type { Tensor } from '../src/index.ts';
import torch, { nn, optim } from '../src/index.ts';
import { engineOf } from '../src/tensor/devices.ts';
import { flags } from '../src/util/flags.ts';

afterEach(() => {
  flags.flush = 'lazy';
});

/** A network that hands an intermediate result out by the back door. */
class Leaky extends nn.Module {
  fc1 = new nn.Linear(4, 8);
  fc2 = new nn.Linear(8, 3);
  readonly stash: (hidden: Tensor) => void;
  constructor(stash: (hidden: Tensor) => void) {
    super();
    this.stash = stash;
  }
  override forward(x: Tensor): Tensor {
    const hidden = this.fc1(x).relu();
    this.stash(hidden);
    return this.fc2(hidden);
  }
}

const inputs = (): Tensor => torch.arange(20).view(5, 4).div(10).sub(1);
const targets = (): Tensor => torch.tensor([0n, 1n, 2n, 1n, 0n]);

let classes = 0;

interface Step {
  readonly logits: Tensor;
  readonly loss: Tensor;
}
/** A model of a class of its own, so that no position has been seen before, and its step, from a fixed seed. */
function training(stash: (hidden: Tensor) => void = () => {}): () => Step {
  torch.manual_seed(7);
  const net = new { [`Leaky${++classes}`]: class extends Leaky {} }[`Leaky${classes}`]!(stash);
  const opt = new optim.SGD(net.parameters(), { lr: 0.5 });
  const [x, y] = [inputs(), targets()];
  return () => {
    const logits = net(x);
    const loss = nn.functional.cross_entropy(logits, y);
    opt.zero_grad();
    loss.backward();
    opt.step();
    return { logits, loss };
  };
}
/** What an engine that computes at once would say of the n-th step. */
function eagerly<T>(work: () => T): T {
  flags.flush = 'eager';
  try {
    return work();
  } finally {
    flags.flush = 'lazy';
  }
}

describe('results of the outermost call', () => {
  test('logits.argmax() after opt.step() is that of the logits before it', () => {
    const expected = eagerly(() => {
      const step = training();
      return Array.from({ length: 6 }, () => step().logits.argmax(1).tolist());
    });
    const step = training();
    const got = Array.from({ length: 6 }, () => step().logits.argmax(1).tolist());
    expect(got).toEqual(expected);
    // The parameters do change what argmax says, so reading the new ones would show.
    expect(new Set(expected.map(String)).size).toBeGreaterThan(1);
  });

  test('a hundred losses kept in an array are a hundred numbers', () => {
    const read = (): number[] => {
      const step = training();
      const losses = Array.from({ length: 100 }, () => step().loss);
      return losses.map((l) => l.item());
    };
    const got = read();
    expect(new Set(got).size).toBe(100);
    expect(got).toEqual(eagerly(read));
  });
});

describe('a value stashed in an outer variable by forward, read after its sources were overwritten', () => {
  /** The hidden values as read after the step, with a stash that begins at step `from`. */
  const readings = (from: number, steps: number): (number[][] | Error)[] => {
    let stashed: Tensor | null = null;
    let at = 0;
    const step = training((hidden) => {
      stashed = at >= from ? hidden : null;
    });
    const out: (number[][] | Error)[] = [];
    for (at = 0; at < steps; at++) {
      step();
      if (stashed === null) continue;
      try {
        out.push((stashed as Tensor).tolist() as number[][]);
      } catch (error) {
        out.push(error as Error);
      }
    }
    return out;
  };

  test('is right when the first step already did so', () => {
    expect(readings(0, 5)).toEqual(eagerly(() => readings(0, 5)));
  });

  // A second model of another class, so that the positions are new.
  test('otherwise throws the clear error once, and is right from then on', () => {
    class Other extends Leaky {}
    let stashed: Tensor | null = null;
    let at = 0;
    const run = (steps: number, from: number): (number[][] | string)[] => {
      torch.manual_seed(3);
      const net = new Other((hidden) => {
        stashed = at >= from ? hidden : null;
      });
      const opt = new optim.SGD(net.parameters(), { lr: 0.5 });
      const [x, y] = [inputs(), targets()];
      const out: (number[][] | string)[] = [];
      for (at = 0; at < steps; at++) {
        opt.zero_grad();
        nn.functional.cross_entropy(net(x), y).backward();
        opt.step();
        if (stashed === null) continue;
        try {
          out.push((stashed as Tensor).tolist() as number[][]);
        } catch (error) {
          out.push((error as Error).message);
        }
      }
      return out;
    };
    const expected = eagerly(() => run(10, 7));
    for (const reading of expected) expect(typeof reading).not.toBe('string');
    const [first, ...rest] = run(10, 7);
    expect(first).toMatch(
      /^The result of relu \(shape \[5, 8\], made in Other#\d+\) was presumed unused after the module's call returned, and what it was computed from has since been overwritten\.\n.*torch\.keep\(x\)/,
    );
    expect(rest).toEqual(expected.slice(1));
  });

  test('is recomputed while its sources are unchanged', () => {
    let stashed: Tensor | null = null;
    class Plain extends Leaky {}
    const net = new Plain((hidden) => {
      stashed = hidden;
    });
    for (let i = 0; i < 8; i++) {
      stashed = null;
      net(inputs()).sum().item();
    }
    expect(stashed!.shape).toEqual([5, 8]);
    expect(stashed!.tolist()).toEqual(inputs().matmul(net.fc1.weight.t()).add(net.fc1.bias!).relu().tolist());
  });

  test('torch.keep stores it from the first step', () => {
    class Kept extends Leaky {}
    let stashed: Tensor | null = null;
    let on = false;
    torch.manual_seed(3);
    const net = new Kept((hidden) => {
      stashed = on ? torch.keep(hidden) : null;
    });
    const opt = new optim.SGD(net.parameters(), { lr: 0.5 });
    for (let i = 0; i < 8; i++) {
      on = i === 7;
      const weight = net.fc1.weight.detach().clone();
      const bias = net.fc1.bias!.detach().clone();
      opt.zero_grad();
      nn.functional.cross_entropy(net(inputs()), targets()).backward();
      opt.step();
      if (on) expect(stashed!.tolist()).toEqual(inputs().matmul(weight.t()).add(bias).relu().tolist());
    }
    expect(on).toBe(true);
  });
});

test('a step leaves nothing behind: the heap of a thousand steps is that of two hundred', () => {
  // On the device without memory, whose buffers wait for no sweep: what is left is the graph's.
  torch.set_default_device('null');
  try {
    const step = training();
    const { runs } = engineOf('null').backend as NullBackend;
    const heap = (steps: number): number => {
      for (let i = 0; i < steps; i++) step();
      runs.length = 0;
      collectGarbage();
      return process.memoryUsage().heapUsed;
    };
    heap(200);
    const before = heap(200);
    expect(heap(1000) - before).toBeLessThan(1e6);
  } finally {
    torch.set_default_device('cpu');
  }
});

test('what forward makes and nobody keeps is never stored', () => {
  const step = training();
  for (let i = 0; i < 5; i++) step();
  const { last } = engineOf('cpu').programs;
  // Outputs of a step: parameters, gradients, logits, loss; no activation [5, 8].
  const held = last!.outputs.filter((o) => o.size === 40).length;
  expect(held).toBe(0);
});

test('gradients that grad() returns outlive a flush at the end of backward', () => {
  const { pendingNodes } = flags;
  flags.pendingNodes = 6;
  try {
    const x = torch.ones([3], { requires_grad: true });
    let y = x.mul(2);
    for (let i = 0; i < 3; i++) y = y.sin().add(1);
    const [g] = torch.autograd.grad(y, x, torch.ones([3])) as [Tensor];
    expect(torch.isfinite(g).all().item()).toBe(true);
  } finally {
    flags.pendingNodes = pendingNodes;
  }
});

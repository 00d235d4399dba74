/**
 * Data and autograd edges apart: what a write changes is the memory; where a gradient flows is the tape's. Numbers and texts are those of
 * PyTorch 2.11, on every device and however often is flushed.
 */
import { afterEach, describe, expect, test } from 'vitest';
import type { Tensor } from '../src/index.ts';
import torch from '../src/index.ts';
import { functional as F } from '../src/ops/methods.ts';
import { flags } from '../src/util/flags.ts';

afterEach(() => {
  flags.flush = 'lazy';
  torch.set_default_device('cpu');
});

const leaf = (...values: number[]): Tensor => torch.tensor(values, { requires_grad: true });
const start = (): Tensor => leaf(1, 2, 3, 4);
const gradOf = (t: Tensor): unknown => t.grad?.tolist() ?? null;
const evens = (x: Tensor): Tensor => x.view(2, 2).select(1, 0);
const versionError = (shape: string, made: string, at: number, expected: number): string =>
  `one of the variables needed for gradient computation has been modified by an inplace operation: [torch.FloatTensor [${shape}]]${made} is at version ${at}; expected version ${expected} instead. ` +
  'Hint: enable anomaly detection to find the operation that failed to compute its gradient, with torch.autograd.set_detect_anomaly(True, check_nan=False).';

const settings = ['reference', 'cpu', 'wasm'].flatMap((device) => ['lazy', 'eager', 'random:3'].map((flush) => [device, flush] as const));

describe.each(settings)('on %s, flushed %s', (device, flush) => {
  const within = (name: string, body: () => void): void =>
    test(name, () => {
      torch.set_default_device(device);
      flags.flush = flush;
      body();
    });

  within('a write through detach changes the numbers and not the gradient', () => {
    const x = start();
    const y = x.mul(2);
    y.detach().zero_();
    y.sum().backward();
    expect(gradOf(x)).toEqual([2, 2, 2, 2]);
    expect(y.tolist()).toEqual([0, 0, 0, 0]);
  });

  within('a write under no_grad changes the numbers and not the gradient', () => {
    const x = start();
    const y = x.mul(2);
    torch.no_grad(() => y.mul_(5));
    y.sum().backward();
    expect(gradOf(x)).toEqual([2, 2, 2, 2]);
    expect(y.tolist()).toEqual([10, 20, 30, 40]);
  });

  within('a tracked write to a detached alias gives the alias a gradient of its own', () => {
    const x = start();
    const w = leaf(5, 6, 7, 8);
    const y = x.mul(2);
    const z = y.detach();
    z.mul_(w);
    expect([y.requires_grad, z.requires_grad, z.grad_fn?.name]).toEqual([true, true, 'MulBackward0']);
    y.sum().backward();
    expect(gradOf(x)).toEqual([2, 2, 2, 2]);
    expect(gradOf(w)).toBe(null);
    z.sum().backward();
    expect(gradOf(w)).toEqual([2, 4, 6, 8]);
    expect(gradOf(x)).toEqual([2, 2, 2, 2]);
    expect(y.tolist()).toEqual([10, 24, 42, 64]);
  });

  within('what is computed after such a write sees its numbers and the old edges', () => {
    const x = start();
    const y = x.mul(2);
    y.detach().mul_(leaf(5, 6, 7, 8));
    y.mul(y).sum().backward();
    expect(gradOf(x)).toEqual([40, 96, 168, 256]);
  });

  within('a view of z.requires_grad_() leads to z and no further', () => {
    const x = start();
    const y = x.mul(2);
    const z = y.detach().requires_grad_();
    const v = z.view(2, 2);
    v.mul(v).sum().backward();
    expect(gradOf(z)).toEqual([4, 8, 12, 16]);
    expect(gradOf(x)).toBe(null);
    y.sum().backward();
    expect(gradOf(x)).toEqual([2, 2, 2, 2]);
    expect(gradOf(z)).toEqual([4, 8, 12, 16]);
  });

  within('an in-place multiply on a slice has the gradients of both sides', () => {
    const x = start();
    const w = leaf(10, 20);
    const y = x.mul(1);
    y.narrow(0, 1, 2).mul_(w);
    y.sum().backward();
    expect(y.tolist()).toEqual([1, 20, 60, 4]);
    expect(gradOf(x)).toEqual([1, 10, 20, 1]);
    expect(gradOf(w)).toEqual([2, 3]);
  });

  within('writes through two different views add up', () => {
    const x = start();
    const y = x.mul(1);
    evens(y).mul_(3);
    y.view(2, 2).select(0, 1).add_(1);
    y.mul(y).sum().backward();
    expect(y.tolist()).toEqual([3, 2, 10, 5]);
    expect(gradOf(x)).toEqual([18, 4, 60, 10]);
  });

  within('a view made before a write sees it, and its gradient', () => {
    const x = start();
    const y = x.mul(1);
    const z = y.narrow(0, 0, 2);
    y.mul_(2);
    z.sum().backward();
    expect(z.tolist()).toEqual([2, 4]);
    expect(gradOf(x)).toEqual([2, 2, 0, 0]);
  });

  within('a tracked write into an untracked tensor puts it on the tape', () => {
    const x = start();
    const c = torch.zeros(4);
    c.narrow(0, 1, 2).copy_(x.narrow(0, 0, 2).mul(2));
    expect(c.requires_grad).toBe(true);
    c.sum().backward();
    expect(gradOf(x)).toEqual([2, 2, 0, 0]);
  });

  within('overwriting a tracked tensor with untracked numbers ends its gradient in zeros', () => {
    for (const write of [(y: Tensor) => y.zero_(), (y: Tensor) => y.copy_(torch.ones(4))]) {
      const x = start();
      const y = x.mul(3);
      write(y);
      expect(y.requires_grad).toBe(true);
      y.sum().backward();
      expect(gradOf(x)).toEqual([0, 0, 0, 0]);
    }
  });

  within('in-place forms have the gradient of the operator', () => {
    const x = start();
    const y = x.mul(1);
    y.narrow(0, 1, 2).exp_();
    y.sum().backward();
    const z = y.detach().requires_grad_();
    z.mul(1).relu_().sum().backward();
    expect(gradOf(z)).toEqual([1, 1, 1, 1]);
    const [a, b, c, d] = gradOf(x) as number[];
    expect([a, d]).toEqual([1, 1]);
    expect(b).toBeCloseTo(Math.exp(2), 4);
    expect(c).toBeCloseTo(Math.exp(3), 3);
  });

  within("saved and then mutated raises PyTorch's version error", () => {
    const raises = (work: () => Tensor, message: string): void => {
      const out = work();
      expect(() => out.sum().backward()).toThrow(message);
    };
    const y = (): Tensor => start().mul(1);
    raises(
      () => {
        const a = y();
        const z = a.mul(a);
        a.add_(1);
        return z;
      },
      versionError('4', ', which is output 0 of AddBackward0,', 1, 0),
    );
    raises(
      () => {
        const a = y();
        const z = a.mul(a);
        a.select(0, 0).zero_();
        return z;
      },
      versionError('4', ', which is output 0 of torch::autograd::CopySlices,', 1, 0),
    );
    raises(
      () => {
        const a = y();
        const z = a.mul(a);
        a.detach().zero_();
        return z;
      },
      versionError('4', ', which is output 0 of MulBackward0,', 1, 0),
    );
    raises(() => y().relu().add_(1), versionError('4', ', which is output 0 of ReluBackward0,', 1, 0));
    raises(() => y().exp().mul_(2), versionError('4', ', which is output 0 of ExpBackward0,', 1, 0));
    raises(() => y().softmax(0).add_(1), versionError('4', ', which is output 0 of SoftmaxBackward0,', 1, 0));
    raises(() => y().relu_().mul_(2), versionError('4', ', which is output 0 of ReluBackward0,', 2, 1));
    raises(
      () => {
        const a = y();
        a.narrow(0, 1, 2).exp_();
        a.select(0, 0).zero_();
        return a;
      },
      versionError('2', ', which is output 0 of ExpBackward0,', 2, 1),
    );
  });

  within('what PyTorch does not save may be overwritten', () => {
    const x = start();
    F.gelu(x).add_(1).sum().backward();
    expect((gradOf(x) as number[])[0]).toBeCloseTo(1.0833154, 5);
    const a = start();
    a.div(leaf(2, 2, 2, 2))
      .add_(1)
      .sum()
      .backward();
    expect(gradOf(a)).toEqual([0.5, 0.5, 0.5, 0.5]);
    // A write through .data is not counted: PyTorch would read the new numbers, the engine still has the saved ones.
    const b = start();
    const y = b.mul(1);
    const z = y.mul(y);
    y.data.zero_();
    z.sum().backward();
    expect(gradOf(b)).toEqual([2, 4, 6, 8]);
  });

  within('leaves that require grad refuse writes unless under no_grad', () => {
    const x = start();
    expect(() => x.add_(1)).toThrow('a leaf Variable that requires grad is being used in an in-place operation.');
    expect(() => x.select(0, 0).add_(1)).toThrow('a view of a leaf Variable that requires grad is being used in an in-place operation.');
    torch.no_grad(() => x.add_(1));
    expect([x.tolist(), x._version]).toEqual([[2, 3, 4, 5], 1]);
    expect(() => torch.ones(3).expand(2, 3).add_(1)).toThrow(
      'unsupported operation: more than one element of the written-to tensor refers to a single memory location. Please clone() the tensor before performing the operation.',
    );
  });

  within('a graph is walked once unless it is retained', () => {
    const x = start();
    const s = x.mul(x).sum();
    s.backward(null, { retain_graph: true });
    s.backward();
    expect(gradOf(x)).toEqual([4, 8, 12, 16]);
    expect(() => s.backward()).toThrow('Trying to backward through the graph a second time');
  });
});

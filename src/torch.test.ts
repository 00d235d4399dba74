import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import torch, { type FunctionContext, nn, optim, type Tensor } from './index.ts';

describe('what a PyTorch user expects to find', () => {
  test('a parameter says that it is one, and tuples of results show their names', () => {
    expect(inspect(new nn.Parameter(torch.ones(2)))).toBe('Parameter containing:\ntensor([1., 1.], requires_grad=True)');
    expect(
      inspect(
        torch
          .tensor([
            [1, 3],
            [4, 2],
          ])
          .max(1),
      ),
    ).toBe('torch.return_types.max(\nvalues=tensor([3., 4.]),\nindices=tensor([1, 0]))');
  });

  test('one number in a text is the number; a complex one prints as a tensor', () => {
    expect(`${torch.tensor([2.5])}`).toBe('2.5');
    expect(`${torch.complex(torch.tensor(1), torch.tensor(2))}`).toBe('tensor(1.+2.j)');
  });

  test('a tensor in JSON is its numbers', () => {
    expect(
      JSON.stringify({
        x: torch.tensor([
          [1, 2.5],
          [3, 4],
        ]),
      }),
    ).toBe('{"x":[[1,2.5],[3,4]]}');
  });

  test('what does not fit is refused with a text that says why', () => {
    const nnOf = nn as unknown as Record<string, new (...args: unknown[]) => unknown>;
    expect(() => (torch.ones(2) as unknown as { sum(x: string): Tensor }).sum('0')).toThrow(
      'sum() received an invalid combination of arguments - got (Tensor, str), but expected one of:\n * sum.dim_IntList(',
    );
    expect(() => new nnOf['Linear'](-3, 2)).toThrow('Trying to create tensor with negative dimension -3: [2, -3]');
    expect(() => new nnOf['Linear']('3', 2)).toThrow(
      "argument 'size' (position 1) must be tuple of ints, but found element of type string at pos 1",
    );
    expect(() => new optim.SGD(torch.ones(1) as unknown as Tensor[], { lr: 1 })).toThrow(
      'params argument given to the optimizer should be an iterable of Tensors or dicts, but got torch.FloatTensor',
    );
  });

  test('a custom Function has typed tensors', () => {
    class Square extends torch.autograd.Function {
      static override forward(ctx: FunctionContext, x: Tensor): Tensor {
        ctx.save_for_backward(x);
        return x.mul(x);
      }
      static override backward(ctx: FunctionContext, g: Tensor): Tensor {
        return g.mul(ctx.saved_tensors[0]).mul(2);
      }
    }
    const x = torch.tensor([2, 3], { requires_grad: true });
    Square.apply(x).sum().backward();
    expect(x.grad!.tolist()).toEqual([4, 6]);
  });

  test('what is in a container or a list can be given its type', () => {
    const model = new nn.Sequential(new nn.Linear(2, 3), new nn.ReLU());
    expect(model.at<nn.Linear>(0).weight.shape).toEqual([3, 2]);
    expect(torch.tensor([1, 2]).tolist<number[]>().join()).toBe('1,2');
  });

  test('an optimizer prints its groups', () => {
    expect(inspect(new optim.AdamW([torch.ones(1, { requires_grad: true })], { lr: 0.5 }))).toBe(
      'AdamW (\nParameter Group 0\n    amsgrad: False\n    betas: (0.9, 0.999)\n    eps: 1e-08\n    lr: 0.5\n    maximize: False\n    weight_decay: 0.01\n)',
    );
  });
});

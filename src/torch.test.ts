import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import torch, { type FunctionContext, nn, type Tensor } from './index.ts';

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

  test('torch.device gives a name, or PyTorch’s error', () => {
    expect([torch.device('cpu'), torch.device('cpu:0'), torch.device('wasm', 0)]).toEqual(['cpu', 'cpu', 'wasm']);
    expect(() => torch.device('gpu')).toThrow('device type at start of device string: gpu');
    expect(() => torch.device('cuda:1')).toThrow('invalid device ordinal');
    expect(torch.zeros(1, { device: torch.device('wasm') }).device).toBe('wasm');
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
});

/** What a Module offers beside its call: hooks, copies, text, look-up, state. */
import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import torch, { nn, type Tensor } from '../index.ts';

class Block extends nn.Module {
  fc = new nn.Linear(2, 3);
  norm = new nn.LayerNorm(3);
  override forward(x: Tensor): Tensor {
    return this.norm(this.fc(x)) as Tensor;
  }
}
class Net extends nn.Module {
  blocks = new nn.ModuleList([new Block(), new Block()]);
  head = new nn.Linear(2, 1);
  constructor() {
    super();
    this.register_buffer('scale', torch.ones(1));
  }
  override forward(x: Tensor): Tensor {
    return this.head(x).mul(this.get_buffer('scale')) as Tensor;
  }
}

describe('hooks', () => {
  test('forward hooks change arguments and results, in order, and can be removed', () => {
    const layer = new nn.ReLU();
    const pre = layer.register_forward_pre_hook((_, [x]) => (x as Tensor).mul(2));
    const post = layer.register_forward_hook((_, __, y) => (y as Tensor).add(1));
    expect(layer(torch.tensor([-1, 3])).tolist()).toEqual([1, 7]);
    pre.remove();
    post.remove();
    expect(layer(torch.tensor([-1, 3])).tolist()).toEqual([0, 3]);
  });
  test('backward hooks see gradients of inputs and outputs and may replace those of the inputs', () => {
    const layer = new nn.Linear(2, 1, { bias: false });
    torch.no_grad(() => layer.weight.copy_(torch.tensor([[2, 3]])));
    const seen: unknown[] = [];
    layer.register_full_backward_hook((_, gradInput, gradOutput) => {
      seen.push(gradInput[0]!.tolist(), gradOutput[0]!.tolist());
      return [gradInput[0]!.mul(10) as Tensor];
    });
    const x = torch.tensor([[1, 1]], { requires_grad: true });
    layer(x).sum().backward();
    expect(seen).toEqual([[[2, 3]], [[1]]]);
    expect(x.grad!.tolist()).toEqual([[20, 30]]);
    expect(layer.weight.grad!.tolist()).toEqual([[1, 1]]);
  });
  test('a value that a hook kept may be read after the call', () => {
    const block = new Block();
    let kept: Tensor | null = null;
    block.fc.register_forward_hook((_, __, y) => {
      kept = y as Tensor;
      return undefined;
    });
    const x = torch.ones(1, 2);
    block(x).sum().backward();
    torch.no_grad(() => block.fc.weight.zero_());
    expect((kept as unknown as Tensor).shape).toEqual([1, 3]);
    expect((kept as unknown as Tensor).tolist()).not.toEqual([[0, 0, 0]]);
  });
});

describe('copies', () => {
  test('a deep copy computes the same and shares nothing', () => {
    const net = new Net();
    const copy = net.deepcopy();
    const x = torch.tensor([[1, 2]]);
    expect(copy(x).tolist()).toEqual(net(x).tolist());
    torch.no_grad(() => copy.head.weight.zero_());
    expect(net.head.weight.tolist()).not.toEqual(copy.head.weight.tolist());
    expect(copy.named_parameters().map(([n]) => n)).toEqual(net.named_parameters().map(([n]) => n));
    expect([...copy.state_dict().keys()]).toEqual([...net.state_dict().keys()]);
    expect(copy).toBeInstanceOf(Net);
  });
  test('shared parameters stay shared', () => {
    class Tied extends nn.Module {
      a = new nn.Linear(2, 2);
      b = new nn.Linear(2, 2);
      constructor() {
        super();
        this.b.weight = this.a.weight;
      }
    }
    const copy = new Tied().deepcopy();
    expect(copy.a.weight).toBe(copy.b.weight);
    expect(copy.parameters()).toHaveLength(3);
  });
});

describe('look-up and state', () => {
  test('dotted paths, with errors for what is not there', () => {
    const net = new Net();
    expect(net.get_submodule('blocks.1.fc')).toBe(net.blocks.children()[1].get_submodule('fc'));
    expect(net.get_parameter('head.bias')).toBe(net.head.bias);
    expect(() => net.get_submodule('nothing')).toThrow('Net has no attribute `nothing`');
    expect(() => net.get_parameter('head')).toThrow('`head` is not an nn.Parameter');
  });
  test('load_state_dict names what is missing, unexpected and of another size, and calls its hooks', () => {
    const net = new Net();
    const state = net.state_dict();
    state.delete('head.bias');
    state.set('extra', torch.ones(1));
    state.set('head.weight', torch.ones(3, 3));
    expect(() => net.load_state_dict(state)).toThrow(
      /Error\(s\) in loading state_dict for Net:[\s\S]*Missing key\(s\) in state_dict: "head\.bias"[\s\S]*Unexpected key\(s\) in state_dict: "extra"[\s\S]*size mismatch for head\.weight/,
    );
    const called: string[][] = [];
    net.register_load_state_dict_post_hook((_, keys) => called.push(keys.missing_keys));
    state.delete('extra');
    state.delete('head.weight');
    net.load_state_dict(state, { strict: false });
    expect(called).toEqual([['head.weight', 'head.bias']]);
  });
});

test('printing a module gives the tree', () => {
  const text = inspect(new Net());
  expect(text.split('\n')[0]).toBe('Net(');
  expect(text).toContain('\n  (blocks): ModuleList(\n    (0-1): 2 x Block(\n      (fc): Linear(');
});

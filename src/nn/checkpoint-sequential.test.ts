import { expect, test } from 'vitest';
import torch, { nn, type Tensor } from '../index.ts';

test('a checkpointed chain has the results and gradients of the chain', () => {
  torch.manual_seed(3);
  const net = new nn.Sequential(new nn.Linear(3, 4), new nn.Tanh(), new nn.Linear(4, 4), new nn.Tanh(), new nn.Linear(4, 1));
  const x = torch.randn([2, 3], { requires_grad: true });
  const gradients = (run: () => Tensor): unknown[] => {
    net.zero_grad();
    x.grad = null;
    const y = run();
    y.sum().backward();
    return [y.tolist(), x.grad!.tolist(), ...net.parameters().map((p) => p.grad!.tolist())];
  };
  const plain = gradients(() => net(x));
  for (const segments of [1, 2, 5])
    expect(gradients(() => torch.utils.checkpoint.checkpoint_sequential(net, segments, x, { use_reentrant: false }))).toEqual(plain);
});

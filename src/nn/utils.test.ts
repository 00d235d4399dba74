/** torch.nn.utils: clipping, reparametrizations, fusions, vectors. Numbers are PyTorch 2.11's. */
import { expect, test } from 'vitest';
import torch, { nn, type Tensor } from '../index.ts';

const { utils } = nn;
const near = (actual: Tensor, expected: readonly number[]): void => {
  const values = actual.flatten().tolist() as number[];
  expect(values).toHaveLength(expected.length);
  for (const [i, v] of values.entries()) expect(v).toBeCloseTo(expected[i], 5);
};
function layer(): nn.Linear {
  const l = new nn.Linear(3, 2);
  torch.no_grad(() => {
    l.weight.copy_(
      torch.tensor([
        [1, 2, 3],
        [4, 5, 7],
      ]),
    );
    l.bias!.copy_(torch.tensor([0.5, -1]));
  });
  return l;
}
const field = (m: nn.Module, name: string): Tensor => (m as unknown as Record<string, Tensor>)[name];
const x = (): Tensor => torch.tensor([[1, 0, -1]], { dtype: torch.float32 });

test('weight_norm computes the weight from a length and a direction, and its removal gives the parameter back', () => {
  const l = utils.weight_norm(layer());
  expect([...l.state_dict().keys()]).toEqual(['bias', 'weight_g', 'weight_v']);
  const y = l(x()).sum();
  y.backward();
  expect(y.item()).toBeCloseTo(-5.5, 5);
  near(field(l, 'weight_g').grad!, [-0.534522, -0.316228]);
  near(field(l, 'weight_v').grad!, [1.142857, 0.285714, -0.571429, 1.133333, 0.166667, -0.766667]);
  utils.remove_weight_norm(l);
  expect([...l.state_dict().keys()]).toEqual(['bias', 'weight']);
  near(l.weight, [1, 2, 3, 4, 5, 7]);
  expect(() => utils.remove_weight_norm(l)).toThrow("weight_norm of 'weight' not found in");
});

test('spectral_norm follows the largest singular value in training only', () => {
  const l = utils.spectral_norm(layer());
  expect([...l.state_dict().keys()]).toEqual(['bias', 'weight_orig', 'weight_u', 'weight_v']);
  field(l, 'weight_u').copy_(torch.tensor([0.6, 0.8]));
  field(l, 'weight_v').copy_(torch.tensor([1, 0, 0]));
  const y = l(x()).sum();
  y.backward();
  expect(y.item()).toBeCloseTo(-0.99115, 5);
  near(field(l, 'weight_orig').grad!, [0.105041, 0.009321, -0.084966, 0.115633, 0.023814, -0.064341]);
  near(field(l, 'weight_u'), [0.364475, 0.931213]);
  l.eval();
  near(l(x()), [0.30354, -1.29469]);
  near(field(l, 'weight_u'), [0.364475, 0.931213]);
});

test('gradients are clipped by any norm', () => {
  const p = [torch.tensor([3, 4], { dtype: torch.float32 }), torch.tensor([12], { dtype: torch.float32 })];
  for (const q of p) {
    q.grad = q.clone();
    q.requires_grad_();
  }
  const grads = p.map((q) => q.grad!);
  expect(utils.get_total_norm(grads).item()).toBe(13);
  expect(utils.get_total_norm(grads, Infinity).item()).toBe(12);
  expect(utils.clip_grad_norm_(p, 6.5, 1).item()).toBe(19);
  near(p[0].grad!, [1.026316, 1.368421]);
  near(p[1].grad!, [4.105263]);
  p[0].grad!.fill_(Infinity);
  expect(() => utils.clip_grad_norm_(p, 1, 2, { error_if_nonfinite: true })).toThrow('The total norm of order 2');
});

test('a batch normalization in eval mode is folded into the layer before it', () => {
  torch.manual_seed(0);
  const conv = new nn.Conv2d(3, 4, 2);
  const bn = new nn.BatchNorm2d(4);
  bn(torch.randn([2, 4, 3, 3]));
  conv.eval();
  bn.eval();
  const input = torch.randn([1, 3, 5, 5]);
  const fused = utils.fuse_conv_bn_eval(conv, bn);
  expect(torch.allclose(fused(input), bn(conv(input)), { atol: 1e-5 })).toBe(true);
  const linear = new nn.Linear(3, 4).eval();
  const bn1 = new nn.BatchNorm1d(4);
  bn1(torch.randn([6, 4]));
  bn1.eval();
  const rows = torch.randn([2, 3]);
  expect(torch.allclose(utils.fuse_linear_bn_eval(linear, bn1)(rows), bn1(linear(rows)), { atol: 1e-5 })).toBe(true);
  expect(() => utils.fuse_conv_bn_eval(conv.train(), bn)).toThrow('Fusion only for eval!');
});

test('parameters as a vector and back; a module without initialization leaves the generator alone', () => {
  const l = layer();
  const vector = utils.parameters_to_vector(l.parameters());
  expect(vector.tolist()).toEqual([1, 2, 3, 4, 5, 7, 0.5, -1]);
  utils.vector_to_parameters(torch.arange(8, { dtype: torch.float32 }), l.parameters());
  expect(l.bias!.tolist()).toEqual([6, 7]);
  expect(l.bias!.requires_grad).toBe(true);
  torch.manual_seed(1);
  const first = torch.rand([1]).item();
  torch.manual_seed(1);
  expect(utils.skip_init(nn.Linear, 2, 5).weight.shape).toEqual([5, 2]);
  expect(torch.rand([1]).item()).toBe(first);
});

test('orders are inverted; norms leave one dim; what retains its gradient says so', () => {
  expect(utils.rnn.invert_permutation(torch.tensor([2n, 0n, 1n]))!.tolist()).toEqual([1, 2, 0]);
  const v = torch.tensor(
    [
      [3, 4],
      [0, 2],
    ],
    { dtype: torch.float32, requires_grad: true },
  );
  expect(torch.norm_except_dim(v, 2, 0).tolist()).toEqual([[5], [2]]);
  const y = v.mul(2);
  expect(y.retains_grad).toBe(false);
  y.retain_grad();
  expect(y.retains_grad).toBe(true);
});

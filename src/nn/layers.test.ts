/** Modules against numbers and texts of PyTorch 2.11. */
import { expect, test } from 'vitest';
import torch, { nn } from '../index.ts';
import type { Tensor } from '../ops/methods.ts';

/** sin(k), sin(2k), ... in a shape: what PyTorch's numbers below were made of. */
const sines = (shape: readonly number[], k = 1): Tensor => {
  const count = shape.reduce((n, d) => n * d, 1);
  return torch.tensor(Array.from({ length: count }, (_, i) => Math.sin((i + 1) * k))).reshape([...shape]);
};
const near = (t: Tensor, expected: readonly number[], digits = 4): void => {
  const found = Array.from(t.detach().double().numpy() as Float64Array);
  expect(found.length).toBe(expected.length);
  for (const [i, x] of found.entries()) expect(x, `element ${i}`).toBeCloseTo(expected[i], digits);
};

test('an encoder leaves zeros where the mask says padding, as the fast path of PyTorch does', () => {
  torch.manual_seed(0);
  const layer = new nn.TransformerEncoderLayer(4, 2, 8, { dropout: 0, batch_first: true });
  const encoder = new nn.TransformerEncoder(layer, 2).eval();
  const src_key_padding_mask = torch.tensor([
    [false, false, true],
    [false, false, false],
  ]);
  torch.no_grad(() =>
    near(
      encoder(sines([2, 3, 4]), { src_key_padding_mask }),
      [
        1.099852, 0.823807, -0.600299, -1.32336, -1.040179, -0.923164, 0.718638, 1.244706, 0.0, 0.0, 0.0, 0.0, 0.7113, 1.058361, -0.249202,
        -1.520459, -0.557235, -1.202644, 0.290666, 1.469214, 1.477241, 0.358625, -0.873676, -0.96219,
      ],
    ),
  );
});

test('adaptive softmax: the loss of rare and of frequent classes', () => {
  torch.manual_seed(0);
  const m = new nn.AdaptiveLogSoftmaxWithLoss(4, 8, [3, 5], { div_value: 2 });
  const { output, loss } = m(sines([4, 4]), torch.tensor([0n, 4n, 7n, 3n]));
  near(output, [-1.272321, -1.919259, -2.464336, -3.162884]);
  near(loss, [2.2047]);
  expect(m.predict(sines([4, 4])).tolist()).toEqual([0, 1, 0, 0]);
  near(m.log_prob(sines([4, 4])).select(0, 0), [-1.272321, -2.07503, -1.597447, -3.363976, -3.012332, -2.136016, -2.391345, -2.318218]);
});

test('momentum null is a cumulative average', () => {
  const m = new nn.BatchNorm1d(2, { momentum: null });
  m(sines([3, 2]));
  m(sines([3, 2]).mul(2));
  near(m.running_mean!, [0.011833, -0.06346]);
  near(m.running_var!, [2.059172, 1.840344]);
  expect(m.num_batches_tracked!.item()).toBe(2);
});

test('lazy modules take their sizes from the first input', () => {
  const linear = new nn.LazyLinear(3);
  expect(linear(torch.ones([2, 5])).shape).toEqual([2, 3]);
  expect(linear.weight.shape).toEqual([3, 5]);
  expect(linear.toString()).toBe('Linear(in_features=5, out_features=3, bias=True)');
  const norm = new nn.LazyBatchNorm1d();
  norm(sines([3, 4]));
  expect(norm.running_mean!.shape).toEqual([4]);
  expect([...norm.state_dict().keys()]).toEqual(['weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked']);
});

test('containers: names, order, and what is in a copy', () => {
  const m = new nn.Sequential({ first: new nn.Linear(2, 3), act: new nn.ReLU() });
  expect(m.toString()).toBe('Sequential(\n  (first): Linear(in_features=2, out_features=3, bias=True)\n  (act): ReLU()\n)');
  expect(m(torch.ones([1, 2])).shape).toEqual([1, 3]);
  const list = new nn.ModuleList([new nn.Linear(1, 1), new nn.Linear(1, 2)]);
  list.insert(1, new nn.Linear(1, 3));
  expect([...list].map((l) => l.out_features)).toEqual([1, 3, 2]);
  expect(list.pop(0).out_features).toBe(1);
  expect(list.deepcopy().length).toBe(2);
  const parameters = new nn.ParameterList([torch.ones([2])]);
  parameters.append(torch.zeros([3]));
  expect(parameters.named_parameters().map(([name, p]) => [name, p.requires_grad])).toEqual([
    ['0', true],
    ['1', true],
  ]);
  const dictionary = new nn.ModuleDict({ a: new nn.Identity() });
  expect(dictionary.has('a')).toBe(true);
  expect(() => dictionary.get('b')).toThrow("KeyError: 'b'");
});

test('arguments of a forward by name', () => {
  const m = new nn.MultiheadAttention(4, 2, { batch_first: true });
  const x = sines([2, 3, 4]);
  const [out, weights] = m(x, x, x, { need_weights: false });
  expect(out.shape).toEqual([2, 3, 4]);
  expect(weights).toBe(null);
  expect(m(x, x, x, { average_attn_weights: false })[1]!.shape).toEqual([2, 2, 3, 3]);
});

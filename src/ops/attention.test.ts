/** Attention against numbers of PyTorch 2.11. */
import { expect, test } from 'vitest';
import torch, { nn } from '../index.ts';
import type { Tensor } from './methods.ts';

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

const attend = nn.functional.scaled_dot_product_attention;

test('grouped heads share keys and values, and a causal mask hides later ones', () => {
  const out = attend(sines([1, 2, 3, 4]), sines([1, 1, 3, 4], 2), sines([1, 1, 3, 4], 3), { is_causal: true, enable_gqa: true });
  near(
    out,
    [
      0.14112, -0.279415, 0.412118, -0.536573, 0.452208, -0.567533, 0.671499, -0.762025, 0.50843, -0.605626, 0.690701, -0.761951, 0.14112,
      -0.279415, 0.412118, -0.536573, 0.411982, -0.530277, 0.637959, -0.732872, 0.577437, -0.664959, 0.739173, -0.798592,
    ],
  );
});

test('dropout drops weights by the CPU stream', () => {
  torch.manual_seed(5);
  const q = sines([1, 2, 3, 4]);
  near(
    attend(q, q, q, { dropout_p: 0.5 }),
    [
      0.013957, -0.317357, -0.356894, -0.068305, -1.337644, -0.257208, 1.059704, 1.402328, 0.0, 0.0, 0.0, 0.0, 0.690057, 0.977009, 0.365704,
      -0.581828, -1.323539, -1.166414, 0.063107, 1.234608, 1.150606, 0.30088, -0.825474, -1.192891,
    ],
  );
});

test('errors are those of PyTorch', () => {
  const q = torch.ones([2, 3, 4]);
  expect(() => attend(q, q.double(), q)).toThrow(
    'Expected query, key, and value to have the same dtype, but got query.dtype: float key.dtype: double and value.dtype: float instead.',
  );
  expect(() => attend(q, q, q, { attn_mask: torch.zeros([3, 3]), is_causal: true })).toThrow(
    'Explicit attn_mask should not be set when is_causal=True',
  );
  expect(() => attend(q, torch.ones([3, 3, 4]), torch.ones([3, 3, 4]))).toThrow(
    'The size of tensor a (2) must match the size of tensor b (3) at non-singleton dimension 0',
  );
});

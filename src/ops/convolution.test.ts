/** Convolutions against numbers of PyTorch 2.11 and against finite differences. */
import { describe, expect, test } from 'vitest';
import torch, { nn, type Tensor } from '../index.ts';

const F = nn.functional;
const count = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);
const sine = (...shape: number[]): Tensor =>
  torch.tensor(Array.from({ length: count(shape) }, (_, i) => Math.sin(i))).reshape(shape) as Tensor;
const cosine = (...shape: number[]): Tensor =>
  torch.tensor(Array.from({ length: count(shape) }, (_, i) => Math.cos(i))).reshape(shape) as Tensor;
const noise = (...shape: number[]): Tensor =>
  torch
    .tensor(
      Array.from({ length: count(shape) }, (_, i) => Math.sin(i * 12.9898) * 2),
      { dtype: torch.float64 },
    )
    .reshape(shape)
    .requires_grad_() as Tensor;

function expectNear(x: Tensor, shape: readonly number[], first: readonly number[], total: number): void {
  expect(x.shape).toEqual(shape);
  const values = Array.from(x.detach().numpy() as Float32Array);
  first.forEach((v, i) => {
    expect(values[i]).toBeCloseTo(v, 4);
  });
  expect(values.reduce((sum, v) => sum + Math.abs(v), 0)).toBeCloseTo(total, 2);
}

describe.each(['cpu', 'wasm'])('convolutions on %s', (device) => {
  test('a strided, padded convolution and its three gradients are those of PyTorch', () => {
    const x = sine(1, 2, 4, 4).to(device).requires_grad_() as Tensor;
    const w = cosine(2, 2, 3, 3).to(device).requires_grad_() as Tensor;
    const b = torch.tensor([0.5, -0.5]).to(device).requires_grad_() as Tensor;
    const y = F.conv2d(x, w, b, { stride: 2, padding: 1 }) as Tensor;
    expectNear(y, [1, 2, 2, 2], [-1.18956, -3.98089, -2.1843, 1.35026, -4.91501, -2.15315, -5.18214, 4.37499], 25.3303);
    (y.mul(y) as Tensor).sum().backward();
    expectNear(x.grad as Tensor, [1, 2, 4, 4], [11.38473, 14.80368, 9.51029, 0.03608, -24.14475, -9.41759], 294.6612);
    expectNear(w.grad as Tensor, [2, 2, 3, 3], [-2.58959, 2.55161, 5.96337, -5.58667, -13.03088], 332.1519);
    expectNear(b.grad as Tensor, [2], [-12.00899, -15.75063], 27.7596);
  });
  test('the odd element of same padding goes to the right', () => {
    const y = F.conv1d(sine(2, 1, 5).to(device), cosine(3, 1, 4).to(device), { padding: 'same' }) as Tensor;
    expectNear(y, [2, 3, 5], [-1.25037, -0.06346, 2.02327, 1.30049, -0.26778, 1.49348], 29.5581);
  });
  test('a depthwise convolution with two filters a channel', () => {
    const y = F.conv2d(sine(1, 2, 3, 3).to(device), cosine(4, 1, 2, 2).to(device), { groups: 2 }) as Tensor;
    expectNear(y, [1, 4, 2, 2], [1.14515, 2.59704, -0.80192, -2.52777, -0.19636, -1.74168], 18.5778);
  });
  test('a transposed convolution with output padding', () => {
    const y = F.conv_transpose2d(sine(1, 2, 2, 2).to(device), cosine(2, 1, 3, 3).to(device), null, 2, 1, 1) as Tensor;
    expectNear(y, [1, 1, 4, 4], [-0.68676, -1.74573, -1.42019, 0.10757, 1.4505, 0.90756], 11.694);
  });
  test('three dims', () => {
    expectNear(
      F.conv3d(sine(1, 1, 2, 3, 3).to(device), cosine(1, 1, 2, 2, 2).to(device)) as Tensor,
      [1, 1, 1, 2, 2],
      [0.52302, 3.81922, 0.07533, -3.52265],
      7.9402,
    );
  });
});

describe('gradients of convolutions', () => {
  test.each([
    ['stride and padding', (x: Tensor, w: Tensor) => F.conv2d(x, w, null, 2, 1), [2, 3, 5, 6], [4, 3, 3, 2]],
    ['stride and dilation', (x: Tensor, w: Tensor) => F.conv2d(x, w, null, 2, 1, 2), [1, 2, 7, 6], [2, 2, 3, 2]],
    ['a stride beyond the kernel', (x: Tensor, w: Tensor) => F.conv2d(x, w, null, 3, 1), [1, 2, 7, 6], [2, 2, 2, 2]],
    ['groups', (x: Tensor, w: Tensor) => F.conv2d(x, w, null, 1, 1, 2, 2), [2, 4, 7, 6], [4, 2, 3, 2]],
    ['depthwise', (x: Tensor, w: Tensor) => F.conv2d(x, w, null, 2, 1, 1, 3), [2, 3, 5, 6], [6, 1, 3, 2]],
    ['one by one', (x: Tensor, w: Tensor) => F.conv2d(x, w), [2, 3, 3, 2], [4, 3, 1, 1]],
    ['transposed', (x: Tensor, w: Tensor) => F.conv_transpose2d(x, w, null, 2, 1, 1), [2, 3, 3, 4], [3, 2, 3, 2]],
    [
      'transposed, output padding beyond the padding',
      (x: Tensor, w: Tensor) => F.conv_transpose2d(x, w, null, 3, 0, 2),
      [1, 2, 3, 2],
      [2, 2, 2, 2],
    ],
  ] as const)('%s: first and second derivatives agree with finite differences', (_, f, xs, ws) => {
    const inputs = [noise(...xs), noise(...ws)];
    expect(torch.autograd.gradcheck(f as never, inputs as never)).toBe(true);
    expect(torch.autograd.gradgradcheck(f as never, inputs as never)).toBe(true);
  });
  test('inputs that are transposed views give what their copies give', () => {
    const x = sine(2, 6, 5, 3);
    const view = x.permute([0, 3, 1, 2]) as Tensor;
    const w = cosine(4, 3, 3, 3).transpose(2, 3) as Tensor;
    const copy = F.conv2d(view.contiguous(), w.contiguous(), null, 1, 1) as Tensor;
    expect((F.conv2d(view, w, null, 1, 1) as Tensor).tolist()).toEqual(copy.tolist());
  });
  test('one call after another with other sizes', () => {
    const w = cosine(2, 1, 3, 3);
    for (let n = 1; n < 7; n++) {
      const x = sine(n, 1, 4 + n, 5);
      const y = F.conv2d(x, w, null, 2, 1) as Tensor;
      const last = F.conv2d(x.narrow(0, n - 1, 1).contiguous(), w, null, 2, 1) as Tensor;
      expect((y.narrow(0, n - 1, 1) as Tensor).tolist()).toEqual(last.tolist());
    }
  });
  test('no images give no results', () => {
    expect((F.conv2d(torch.zeros([0, 3, 5, 5]), torch.zeros([4, 3, 3, 3])) as Tensor).shape).toEqual([0, 4, 3, 3]);
  });
});

describe('errors of convolutions', () => {
  const x = sine(1, 3, 5, 5);
  const w = cosine(4, 3, 3, 3);
  test.each([
    [
      () => F.conv2d(x.select(0, 0).select(0, 0), w),
      'Expected 3D (unbatched) or 4D (batched) input to conv2d, but got input of size: [5, 5]',
    ],
    [
      () => F.conv2d(x, w, torch.zeros([3])),
      'Given weight of size [4, 3, 3, 3], expected bias to be 1-dimensional with 4 elements, but got bias of size [3] instead',
    ],
    [() => F.conv2d(x, w, null, 0), 'non-positive stride is not supported'],
    [() => F.conv2d(x, w, null, 1, -1), 'negative padding is not supported'],
    [
      () => F.conv2d(x, w, { dilation: 5 }),
      "Calculated padded input size per channel: (5 x 5). Kernel size: (11 x 11). Kernel size can't be greater than actual input size",
    ],
    [
      () => F.conv2d(x, w, { groups: 2 }),
      'Given groups=2, weight of size [4, 3, 3, 3], expected input[1, 3, 5, 5] to have 6 channels, but got 3 channels instead',
    ],
    [
      () => F.conv2d(x, w, { groups: 8 }),
      'Given groups=8, expected weight to be at least 8 at dimension 0, but got weight of size [4, 3, 3, 3] instead',
    ],
    [
      () => F.conv2d(x, w, { stride: [1, 2, 3] }),
      'expected stride to be a single integer value or a list of 2 values to match the convolution dimensions, but got stride=[1, 2, 3]',
    ],
    [() => F.conv2d(x, w, { padding: 'same', stride: 2 }), "padding='same' is not supported for strided convolutions"],
    [() => F.conv2d(x, w, { padding: 'foo' }), "Invalid padding string: 'foo'"],
    [
      () => F.conv_transpose2d(x, cosine(3, 4, 3, 3), { output_padding: 1 }),
      'output padding must be smaller than either stride or dilation, but got output_padding_height: 1 output_padding_width: 1 stride_height: 1 stride_width: 1 dilation_height: 1 dilation_width: 1',
    ],
  ])('%#: PyTorch says why', (call, text) => {
    expect(call).toThrow(text);
  });
});

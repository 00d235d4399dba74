/** Pooling and unpooling against numbers of PyTorch 2.11 and against finite differences. */
import { describe, expect, test } from 'vitest';
import torch, { nn, type Tensor } from '../index.ts';

const F = nn.functional;
const count = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);
const sine = (...shape: number[]): Tensor =>
  torch.tensor(Array.from({ length: count(shape) }, (_, i) => Math.sin(i))).reshape(shape) as Tensor;
const noise = (...shape: number[]): Tensor =>
  torch
    .tensor(
      Array.from({ length: count(shape) }, (_, i) => Math.sin(i * 12.9898) * 2),
      { dtype: torch.float64 },
    )
    .reshape(shape)
    .requires_grad_() as Tensor;
const numbers = (x: Tensor): number[] => Array.from(x.detach().numpy() as ArrayLike<number | bigint>, Number);
function expectClose(x: Tensor, expected: readonly number[]): void {
  const found = numbers(x);
  expect(found.length).toBe(expected.length);
  expected.forEach((v, i) => {
    if (Number.isNaN(v)) expect(found[i]).toBeNaN();
    else expect(found[i]).toBeCloseTo(v, 4);
  });
}

describe.each(['cpu', 'wasm'])('pooling on %s', (device) => {
  test('largest elements and where they are', () => {
    const [values, indices] = F.max_pool2d(sine(1, 1, 5, 5).to(device), 3, 2, 1, { return_indices: true }) as unknown as [Tensor, Tensor];
    expectClose(values, [0.84147, 0.98936, 0.98936, 0.65029, 0.98936, 0.99061, 0.91295, 0.83666, 0.14988]);
    expect(numbers(indices)).toEqual([1, 8, 8, 15, 8, 14, 20, 21, 19]);
  });
  test('averages that leave out padding and the rest of the last window', () => {
    const y = F.avg_pool2d(sine(1, 1, 5, 5).to(device), 2, 2, 1, true, false) as Tensor;
    expectClose(y, [0, 0.87538, -0.30784, -0.75147, -0.28975, 0.70306, 0.78162, -0.10537, -0.58823]);
  });
  test('averages over windows of unequal sizes', () => {
    expectClose(
      F.adaptive_avg_pool2d(sine(1, 1, 5, 7).to(device), [2, 3]) as Tensor,
      [0.57358, -0.3154, -0.31108, -0.00513, -0.52501, 0.44209],
    );
  });
  test('norms of windows, where a negative sum has none', () => {
    expectClose(F.lp_pool2d(sine(1, 1, 4, 4).to(device), 3, 2) as Tensor, [Number.NaN, 1.00544, 0.98583, 0.44157]);
  });
});

describe('which element is the largest', () => {
  test('the first of equals gets the gradient', () => {
    const x = torch.ones([1, 1, 4]).requires_grad_() as Tensor;
    (F.max_pool1d(x, 2) as Tensor).sum().backward();
    expect(numbers(x.grad as Tensor)).toEqual([1, 0, 1, 0]);
  });
  test('NaN is larger than anything', () => {
    const x = torch.tensor([[[1, Number.NaN, 2, 5]]]).requires_grad_() as Tensor;
    const y = F.max_pool1d(x, 2) as Tensor;
    expectClose(y, [Number.NaN, 5]);
    y.sum().backward();
    expect(numbers(x.grad as Tensor)).toEqual([0, 1, 0, 1]);
  });
  test('padding is never chosen, not even among negative infinities', () => {
    const x = torch.full([1, 1, 3, 3], Number.NEGATIVE_INFINITY);
    const [values, indices] = F.max_pool2d(x, 3, 2, 1, { return_indices: true }) as unknown as [Tensor, Tensor];
    expect(numbers(values)).toEqual([1, 1, 1, 1].map(() => Number.NEGATIVE_INFINITY));
    expect(numbers(indices)).toEqual([0, 1, 3, 4]);
  });
  test('integers', () => {
    expect(numbers(F.max_pool2d(torch.arange(0, 16).reshape([1, 4, 4]), 2) as Tensor)).toEqual([5, 7, 13, 15]);
    expect(numbers(F.avg_pool2d(torch.arange(0, 16).reshape([1, 4, 4]), 2) as Tensor)).toEqual([2, 4, 10, 12]);
  });
});

describe('gradients of pooling', () => {
  test.each([
    ['max, overlapping', (x: Tensor) => F.max_pool2d(x, 3, 2, 1), [1, 2, 6, 7]],
    ['max, ceil_mode', (x: Tensor) => F.max_pool2d(x, 3, 2, 0, 1, true), [1, 2, 6, 8]],
    ['max, large windows', (x: Tensor) => F.max_pool2d(x, 9, 1), [1, 1, 10, 10]],
    ['max, dilated', (x: Tensor) => F.max_pool2d(x, 2, 2, 1, 2), [1, 2, 7, 7]],
    ['average, padding left out', (x: Tensor) => F.avg_pool2d(x, 3, 2, 1, true, false), [1, 2, 6, 7]],
    ['average, padding counted', (x: Tensor) => F.avg_pool2d(x, 3, 2, 1, true, true), [1, 2, 6, 8]],
    ['average, large windows', (x: Tensor) => F.avg_pool2d(x, [7, 6], 1, 3), [1, 1, 8, 8]],
    ['adaptive average', (x: Tensor) => F.adaptive_avg_pool2d(x, [3, 4]), [1, 2, 5, 7]],
    ['adaptive max', (x: Tensor) => F.adaptive_max_pool2d(x, [3, 4]), [1, 2, 5, 7]],
    [
      'max and back',
      (x: Tensor) => F.max_unpool2d(...(F.max_pool2d(x, 2, { return_indices: true }) as unknown as [Tensor, Tensor]), 2),
      [1, 2, 4, 6],
    ],
  ] as const)('%s: first and second derivatives agree with finite differences', (_, f, shape) => {
    expect(torch.autograd.gradcheck(f as never, [noise(...shape)] as never)).toBe(true);
    expect(torch.autograd.gradgradcheck(f as never, [noise(...shape)] as never)).toBe(true);
  });
});

test('random windows are those of the CPU generator', () => {
  torch.manual_seed(3);
  const y = F.fractional_max_pool2d(sine(1, 1, 7, 7), 2, { output_size: [3, 4] }) as Tensor;
  expectClose(y, [0.98936, 0.98936, 0.14112, 0.42017, 0.99061, 0.65029, -0.13235, 0.95638, -0.42818, 0.0177, 0.9638, 0.74511]);
});

test('torch.adaptive_max_pool1d gives indices, its namesake in nn.functional only when asked', () => {
  const x = sine(1, 2, 6);
  expect((torch.adaptive_max_pool1d(x, 2) as unknown as Tensor[]).length).toBe(2);
  expect((F.adaptive_max_pool1d(x, 2) as Tensor).shape).toEqual([1, 2, 2]);
});

describe('errors of pooling', () => {
  const x = sine(1, 3, 5, 5);
  test.each([
    [
      () => F.max_pool2d(x, 3, { padding: 2 }),
      'pad should be at most half of effective kernel size, but got pad=2, kernel_size=3 and dilation=1',
    ],
    [() => F.max_pool2d(x, 8), 'Given input size: (3x5x5). Calculated output size: (3x0x0). Output size is too small'],
    [() => F.max_pool2d(x, [3, 3, 3]), 'max_pool2d: kernel_size must either be a single int, or a tuple of two ints'],
    [() => F.max_pool2d(x, 3, { stride: 0 }), 'stride should not be zero'],
    [
      () => F.max_pool1d(x, 3),
      'max_pool1d: Expected 2D or 3D (batch mode) tensor with optional 0 dim batch size for input, but got:[1, 3, 5, 5]',
    ],
    [() => F.avg_pool2d(x, 3, { divisor_override: 0 }), 'divisor must be not zero'],
    [() => F.adaptive_avg_pool2d(x, [1, 2, 3]), 'adaptive_avg_pool2d: output_size must be 2'],
    [
      () => F.max_unpool2d(x, torch.tensor(Array.from({ length: 75 }, () => 1000n)).reshape([1, 3, 5, 5]), 2),
      'Found an invalid max index: 1000 (output volumes are of size 10x10)',
    ],
    [
      () => F.fractional_max_pool2d(x, 2, { output_size: 9 }),
      'fractional_max_pool2d(): pool height 2 too large relative to input height 5',
    ],
  ])('%#: PyTorch says why', (call, text) => {
    expect(call).toThrow(text);
  });
});

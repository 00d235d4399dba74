/** Padding against PyTorch 2.11. */
import { describe, expect, test } from 'vitest';
import { ReferenceBackend } from '../backend/reference/device.ts';
import torch, { nn, type Tensor } from '../index.ts';
import { registerDevice } from '../tensor/devices.ts';
import { flags } from '../util/flags.ts';

// One device for each, since a device's programs are kept.
for (const name of ['symbols', 'sizes']) registerDevice(name, () => new ReferenceBackend());

const F = nn.functional;
const rows = torch.arange(0, 12).reshape([1, 3, 4]) as Tensor;

describe.each(['cpu', 'wasm'])('padding on %s', (device) => {
  const x = rows.to(device) as Tensor;
  test('by reflection', () => {
    expect((F.pad(x, [2, 1], 'reflect') as Tensor).select(1, 0).tolist()).toEqual([[2n, 1n, 0n, 1n, 2n, 3n, 2n]].map((r) => r.map(Number)));
  });
  test('by repetition, cropped at the other end', () => {
    expect((F.pad(x, [2, -1], 'replicate') as Tensor).select(1, 0).tolist()).toEqual([[0, 0, 0, 1, 2]]);
  });
  test('around the circle of what cropping leaves', () => {
    expect((F.pad(x, [2, -1], 'circular') as Tensor).select(1, 0).tolist()).toEqual([[1, 2, 0, 1, 2]]);
  });
  test('with a constant, cropped elsewhere', () => {
    expect((F.pad(x, [1, -2, -1, 1], 'constant', 7) as Tensor).tolist()).toEqual([
      [
        [7, 4, 5],
        [7, 8, 9],
        [7, 7, 7],
      ],
    ]);
  });
});

test('constants are converted to the dtype', () => {
  expect((torch.constant_pad_nd(torch.tensor([true]), [1, 0], 2) as Tensor).tolist()).toEqual([true, true]);
  expect((torch.constant_pad_nd(torch.tensor([1n]), [0, 1], 2.7) as Tensor).tolist()).toEqual([1, 2]);
});

describe('gradients of padding', () => {
  const x = torch
    .tensor(
      Array.from({ length: 40 }, (_, i) => Math.sin(i)),
      { dtype: torch.float64 },
    )
    .reshape([1, 2, 4, 5])
    .requires_grad_() as Tensor;
  test.each([
    ['reflect', [1, 2, 2, 1]],
    ['replicate', [1, 2, -1, 3]],
    ['circular', [1, 2, -1, 1]],
    ['constant', [1, -2, 2, 1]],
  ] as const)('%s: first and second derivatives agree with finite differences', (mode, sides) => {
    const f = (t: Tensor): Tensor => F.pad(t, sides, mode) as Tensor;
    expect(torch.autograd.gradcheck(f as never, [x] as never)).toBe(true);
    expect(torch.autograd.gradgradcheck(f as never, [x] as never)).toBe(true);
  });
  test('strips that run backwards along an outer dim go back to where they came from', () => {
    const t = torch.zeros([1, 2, 4, 1]).requires_grad_() as Tensor;
    const y = F.pad(t, [0, 0, 2, 0], 'reflect') as Tensor;
    y.backward(torch.arange(0, 12).to(torch.float32).reshape(y.shape) as Tensor);
    expect((t.grad as Tensor).reshape([2, 4]).tolist()).toEqual([
      [2, 4, 4, 5],
      [8, 16, 16, 11],
    ]);
  });
});

describe('errors of padding', () => {
  const image = torch.zeros([1, 3, 5, 5]);
  test.each([
    [() => F.pad(image, [1, 1, 1]), 'Padding length must be divisible by 2'],
    [() => F.pad(image, [1, 1], 'reflect'), 'Padding size 2 is not supported for 4D input tensor.'],
    [
      () => F.pad(image, [5, 5, 1, 1], 'reflect'),
      'Argument #4: Padding size should be less than the corresponding input dimension, but got: padding (5, 5) at dimension 3 of input [1, 3, 5, 5]',
    ],
    [() => F.pad(image, [6, 5, 1, 1], 'circular'), 'Padding value causes wrapping around more than once.'],
    [() => F.pad(image, [1, 1, 1, 1], 'foo'), 'Unrecognised padding mode foo'],
    [() => F.pad(image, [-6, 0]), 'narrow(): length must be non-negative.'],
    [() => F.pad(image, [1, 1], 'reflect', 3), `Padding mode "reflect" doesn't take in value argument`],
  ])('%#: PyTorch says why', (call, text) => {
    expect(call).toThrow(text);
  });
  test('sizes that change from call to call: a program with symbols gives what one for the sizes gives', () => {
    const gradients = (): number[][] =>
      [
        [3, 3, 5, 5],
        [3, 4, 5, 6],
        [2, 5, 5, 7],
      ].map((shape) => {
        const n = shape.reduce((a, b) => a * b, 1);
        const t = torch.zeros(shape).requires_grad_() as Tensor;
        const y = F.pad(t, [1, 1, 1, 1, 1, 1], 'replicate') as Tensor;
        y.backward(torch.arange(0, y.numel()).remainder(17).to(torch.float32).reshape(y.shape) as Tensor);
        expect((t.grad as Tensor).numel()).toBe(n);
        return (t.grad as Tensor).flatten().tolist() as number[];
      });
    flags.flush = 'eager';
    try {
      torch.set_default_device('symbols');
      const symbolic = gradients();
      torch.set_default_device('sizes');
      flags.noSymbols = true;
      expect(symbolic).toEqual(gradients());
    } finally {
      torch.set_default_device('cpu');
      flags.noSymbols = false;
      flags.flush = 'lazy';
    }
  });
});

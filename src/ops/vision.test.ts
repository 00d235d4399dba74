/** Resampling, sampling, folding and shuffling against numbers of PyTorch 2.11 and against finite differences. */
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
      Array.from({ length: count(shape) }, (_, i) => Math.sin(i * 12.9898)),
      { dtype: torch.float64 },
    )
    .reshape(shape)
    .requires_grad_() as Tensor;
function expectClose(x: Tensor, expected: readonly number[]): void {
  const found = Array.from(x.detach().numpy() as Float32Array);
  expected.forEach((v, i) => {
    expect(found[i]).toBeCloseTo(v, 4);
  });
}

describe.each(['cpu', 'wasm'])('images on %s', (device) => {
  const image = sine(1, 1, 3, 3).to(device) as Tensor;
  const larger = sine(1, 1, 6, 6).to(device) as Tensor;
  test.each([
    [
      'bilinear',
      [0.03528, 0.19793, 0.4419, 0.44211, 0.44224, -0.17428, 0.01685, 0.30354, 0.42279, 0.50229],
      [0.24332, 0.54568, -0.54635, -0.27576, 0.64498, -0.08241],
    ],
    [
      'bicubic',
      [0.01, 0.1962, 0.42966, 0.44981, 0.41637, -0.2233, -0.01536, 0.28049, 0.43707, 0.50164],
      [0.24675, 0.65319, -0.67458, -0.38793, 0.78381, -0.12546],
    ],
  ] as const)('%s, plain and antialiased', (mode, plain, smooth) => {
    expectClose(F.interpolate(image, { size: [2, 5], mode }) as Tensor, plain);
    expectClose(F.interpolate(larger, { size: [2, 3], mode, antialias: true }) as Tensor, smooth);
  });
  test('trilinear with aligned corners', () => {
    const y = F.interpolate(sine(1, 1, 2, 2, 2).to(device), { scale_factor: 1.5, mode: 'trilinear', align_corners: true }) as Tensor;
    expect(y.shape).toEqual([1, 1, 3, 3, 3]);
    expectClose(y, [0, 0.42074, 0.84147, 0.45465, 0.47297, 0.4913, 0.9093, 0.52521, 0.14112]);
  });
  test('the two kinds of nearest neighbours', () => {
    const line = sine(1, 1, 5).to(device) as Tensor;
    expectClose(F.interpolate(line, 3) as Tensor, [0, 0.84147, 0.14112]);
    expectClose(F.interpolate(line, 3, { mode: 'nearest-exact' }) as Tensor, [0, 0.9093, -0.7568]);
  });
  test('sampling on a grid reflected at the borders', () => {
    expectClose(
      F.grid_sample(image, cosine(1, 2, 2, 2).to(device), { padding_mode: 'reflection' }) as Tensor,
      [0.62007, 0.31621, -0.04011, 0.98936],
    );
  });
  test('an affine grid', () => {
    const y = F.affine_grid(sine(1, 2, 3).to(device), [1, 1, 2, 2]) as Tensor;
    expectClose(y, [0.48856, -0.65108, 0.48856, -0.50996, 1.33003, -1.40789, 1.33003, -1.26677]);
  });
  test('columns of blocks and back: every element as often as blocks have it', () => {
    const blocks = F.unfold(torch.ones([1, 1, 3, 3]).to(device), 2) as Tensor;
    expect(blocks.shape).toEqual([1, 4, 4]);
    expect((F.fold(blocks, 3, 2) as Tensor).tolist()).toEqual([
      [
        [
          [1, 2, 1],
          [2, 4, 2],
          [1, 2, 1],
        ],
      ],
    ]);
  });
  test('pixels and channels exchanged, and back', () => {
    const x = torch.arange(0, 16).reshape([1, 4, 2, 2]).to(device) as Tensor;
    const y = F.pixel_shuffle(x, 2) as Tensor;
    expect(y.tolist()).toEqual([
      [
        [
          [0, 4, 1, 5],
          [8, 12, 9, 13],
          [2, 6, 3, 7],
          [10, 14, 11, 15],
        ],
      ],
    ]);
    expect((F.pixel_unshuffle(y, 2) as Tensor).tolist()).toEqual(x.tolist());
    expect((F.channel_shuffle(x, 2) as Tensor).select(2, 0).select(2, 0).tolist()).toEqual([[0, 8, 4, 12]]);
  });
});

describe('gradients of resampling', () => {
  test.each([
    ['bilinear', (x: Tensor) => F.interpolate(x, { size: [5, 7], mode: 'bilinear' }), [[1, 2, 3, 4]]],
    ['antialiased', (x: Tensor) => F.interpolate(x, { size: [2, 3], mode: 'bicubic', antialias: true }), [[1, 1, 5, 6]]],
    ['nearest, doubled', (x: Tensor) => F.interpolate(x, { scale_factor: 2 }), [[1, 2, 3, 4]]],
    [
      'grid, bilinear',
      (x: Tensor, g: Tensor) => F.grid_sample(x, g.mul(0.6).add(0.017)),
      [
        [1, 2, 4, 5],
        [1, 3, 2, 2],
      ],
    ],
    [
      'grid, bicubic',
      (x: Tensor, g: Tensor) => F.grid_sample(x, g.mul(0.6).add(0.017), 'bicubic', 'border'),
      [
        [1, 1, 4, 5],
        [1, 2, 2, 2],
      ],
    ],
    ['affine grid', (t: Tensor) => F.affine_grid(t, [2, 1, 3, 4]), [[2, 2, 3]]],
    ['fold', (x: Tensor) => F.fold(x, [4, 5], [2, 3], 1, 1, 2), [[2, 6, 9]]],
    ['unfold', (x: Tensor) => F.unfold(x, [2, 3], 1, 1, 2), [[2, 2, 4, 5]]],
  ] as const)('%s: first and second derivatives agree with finite differences', (_, f, shapes) => {
    const inputs = shapes.map((s) => noise(...s));
    expect(torch.autograd.gradcheck(f as never, inputs as never)).toBe(true);
    expect(torch.autograd.gradgradcheck(f as never, inputs as never)).toBe(true);
  });
  test('the grid of nearest neighbours gets zeros', () => {
    const grid = cosine(1, 2, 2, 2).requires_grad_() as Tensor;
    (F.grid_sample(sine(1, 1, 3, 3), grid, 'nearest') as Tensor).sum().backward();
    expect((grid.grad as Tensor).abs().sum().item()).toBe(0);
  });
});

describe('errors', () => {
  const x = sine(1, 3, 5, 5);
  test.each([
    [() => F.interpolate(x), 'either size or scale_factor should be defined'],
    [() => F.interpolate(x, { size: 3, mode: 'linear' }), 'Got 4D input, but linear mode needs 3D input'],
    [
      () => F.interpolate(x, { size: 3, antialias: true }),
      'Anti-alias option is restricted to bilinear and bicubic modes and requires a 4-D tensor as input',
    ],
    [
      () => F.interpolate(x, { size: 0 }),
      'Input and output sizes should be greater than 0, but got input (H: 5, W: 5) output (H: 0, W: 0)',
    ],
    [
      () => F.grid_sample(x, sine(2, 5, 5, 2)),
      'grid_sampler(): expected grid and input to have same batch size, but got input with sizes [1, 3, 5, 5] and grid with sizes [2, 5, 5, 2]',
    ],
    [
      () => F.unfold(x, 9),
      'Given input with spatial size (5, 5), kernel_size=(9, 9), dilation=(1, 1), padding=(0, 0), calculated shape of the array of sliding blocks as (-3, -3), but its components must be at least one.',
    ],
    [
      () => F.pixel_shuffle(x, 2),
      "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square of upscale_factor, but input.size(-3)=3 is not divisible by 4",
    ],
    [() => F.channel_shuffle(x, 2), 'Number of channels must be divisible by groups. Got 3 channels and 2 groups.'],
  ])('%#: PyTorch says why', (call, text) => {
    expect(call).toThrow(text);
  });
});

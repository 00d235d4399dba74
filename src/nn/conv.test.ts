/** Layers of windows: initial values, texts, ways to construct, padding modes; numbers of PyTorch 2.11. */
import { describe, expect, test } from 'vitest';
import torch, { nn, type Tensor } from '../index.ts';

const first = (t: Tensor, n: number): number[] => Array.from(t.detach().numpy() as Float32Array).slice(0, n);
function expectClose(found: readonly number[], expected: readonly number[]): void {
  expected.forEach((v, i) => {
    expect(found[i]).toBeCloseTo(v, 5);
  });
}

describe('initial values', () => {
  test('of a convolution are those of the CPU generator', () => {
    torch.manual_seed(0);
    const m = new nn.Conv2d(2, 3, [2, 3], { padding: 1 });
    expectClose(first(m.weight, 6), [-0.00216, 0.15486, -0.23759, -0.21245, -0.11118, 0.07741]);
    expectClose(first(m.bias!, 3), [-0.16851, 0.24814, 0.12881]);
  });
  test('of a transposed convolution with groups', () => {
    torch.manual_seed(0);
    const m = new nn.ConvTranspose1d(2, 4, 3, { groups: 2 });
    expectClose(first(m.weight, 4), [-0.00306, 0.219, -0.33601, -0.30045]);
    expectClose(first(m.bias!, 4), [-0.39002, -0.27038, -0.16829, 0.01512]);
  });
  test('of a lazy convolution are drawn at its first input, when it becomes an ordinary one', () => {
    torch.manual_seed(0);
    const m = new nn.LazyConv2d(3, 2);
    expect(String(m)).toBe('LazyConv2d(0, 3, kernel_size=(2, 2), stride=(1, 1))');
    const weight = m.weight;
    expect(m(torch.zeros([1, 2, 4, 4]) as Tensor).shape).toEqual([1, 3, 3, 3]);
    expect(String(m)).toBe('Conv2d(2, 3, kernel_size=(2, 2), stride=(1, 1))');
    expect(m.weight).toBe(weight);
    expectClose(first(m.weight, 4), [-0.00265, 0.18966, -0.29099, -0.26019]);
    expectClose(first(m.bias!, 3), [-0.05699, 0.03741, 0.32013]);
  });
});

test('arguments by position and by name are the same', () => {
  const a = new nn.Conv2d(3, 8, 3, 2, 1);
  const b = new nn.Conv2d({ in_channels: 3, out_channels: 8, kernel_size: 3, stride: 2, padding: 1 });
  expect(String(a)).toBe(String(b));
  expect(() => new nn.Conv2d(3, 8, { stride: 2 } as never)).toThrow(
    "Conv2d.__init__() missing 1 required positional argument: 'kernel_size'",
  );
  expect(() => new nn.MaxPool2d(2, { strides: 2 } as never)).toThrow("MaxPool2d.__init__() got an unexpected keyword argument 'strides'");
});

test.each([
  [
    () => new nn.Conv2d(2, 4, 3, { padding: 'same', dilation: 2, groups: 2, bias: false, padding_mode: 'circular' }),
    'Conv2d(2, 4, kernel_size=(3, 3), stride=(1, 1), padding=same, dilation=(2, 2), groups=2, bias=False, padding_mode=circular)',
  ],
  [
    () => new nn.ConvTranspose2d(2, 4, 3, { stride: 2, output_padding: 1 }),
    'ConvTranspose2d(2, 4, kernel_size=(3, 3), stride=(2, 2), output_padding=(1, 1))',
  ],
  [() => new nn.Conv1d(1, 2, 3), 'Conv1d(1, 2, kernel_size=(3,), stride=(1,))'],
  [() => new nn.MaxPool2d([3, 2], 1, 1), 'MaxPool2d(kernel_size=(3, 2), stride=1, padding=1, dilation=1, ceil_mode=False)'],
  [() => new nn.AvgPool1d(2), 'AvgPool1d(kernel_size=(2,), stride=(2,), padding=(0,))'],
  [() => new nn.AdaptiveAvgPool2d([null, 3]), 'AdaptiveAvgPool2d(output_size=(None, 3))'],
  [() => new nn.LPPool2d(2, 3), 'LPPool2d(norm_type=2, kernel_size=3, stride=None, ceil_mode=False)'],
  [() => new nn.ZeroPad2d(1), 'ZeroPad2d((1, 1, 1, 1))'],
  [() => new nn.ConstantPad1d(1, 2.5), 'ConstantPad1d(padding=(1, 1), value=2.5)'],
  [() => new nn.Upsample({ scale_factor: 2, mode: 'bilinear' }), "Upsample(scale_factor=2.0, mode='bilinear')"],
  [() => new nn.UpsamplingNearest2d({ size: 4 }), "UpsamplingNearest2d(size=4, mode='nearest')"],
  [() => new nn.Fold([4, 5], 2), 'Fold(output_size=(4, 5), kernel_size=2, dilation=1, padding=0, stride=1)'],
  [() => new nn.MaxUnpool2d(2), 'MaxUnpool2d(kernel_size=(2, 2), stride=(2, 2), padding=(0, 0))'],
  [() => new nn.FractionalMaxPool2d(2, { output_size: 3 }), 'FractionalMaxPool2d()'],
  [() => new nn.ChannelShuffle(2), 'ChannelShuffle(groups=2)'],
])('%#: the text of a layer is that of PyTorch', (make, text) => {
  expect(String(make())).toBe(text);
});

test.each(['reflect', 'replicate', 'circular'] as const)('padding_mode %s pads before the convolution', (padding_mode) => {
  const m = new nn.Conv2d(1, 2, 3, { padding: [1, 2], padding_mode });
  const x = torch.arange(0, 20).to(torch.float32).sin().reshape([1, 1, 4, 5]) as Tensor;
  const padded = nn.functional.pad(x, [2, 2, 1, 1], padding_mode) as Tensor;
  expect(m(x).tolist()).toEqual((nn.functional.conv2d(padded, m.weight, m.bias) as Tensor).tolist());
});

test('a transposed convolution reaches the size asked for', () => {
  const m = new nn.ConvTranspose2d(1, 1, 3, { stride: 2, padding: 1 });
  const x = torch.zeros([1, 1, 4, 4]) as Tensor;
  expect(m(x, [8, 7]).shape).toEqual([1, 1, 8, 7]);
  expect(m(x, { output_size: [7, 8] }).shape).toEqual([1, 1, 7, 8]);
  expect(() => m(x, [9, 7])).toThrow('requested an output size of [9, 7], but valid sizes range from [7, 7] to [8, 8]');
});

test('a state dict has weight and bias', () => {
  expect([...new nn.Conv3d(1, 2, 1).state_dict().keys()]).toEqual(['weight', 'bias']);
  expect([...new nn.Conv3d(1, 2, 1, { bias: false }).state_dict().keys()]).toEqual(['weight']);
});

/** Modules with weights in ggml's blocks: PyTorch's bookkeeping, and adapters trained beside them. */
import { expect, test } from 'vitest';
import type { BlockFormatName } from '../graph/ggml.ts';
import torch, { nn, optim, type Tensor } from '../index.ts';
import { GGUFEmbedding, GGUFLinear } from './ggml-modules.ts';
import { decodeBlocksForTest, randomBlocks } from './test-support.ts';

function filled(type: BlockFormatName, out: number, columns: number, bias = false): { layer: GGUFLinear; plain: Tensor } {
  const layer = new GGUFLinear(columns, out, { type, bias });
  const [rows, rowBytes] = layer.weight.shape;
  const bytes = randomBlocks(type, rows, 3);
  const whole = new Uint8Array(rows * rowBytes);
  for (let i = 0; i < whole.length; i++) whole[i] = bytes[i % bytes.length];
  layer.weight.copy_(torch.tensor(whole, { dtype: torch.uint8 }).reshape([rows, rowBytes]));
  return { layer, plain: torch.tensor(decodeBlocksForTest(type, whole)).reshape([out, columns]) };
}

test('the bytes are a buffer: in the state, no parameter, of no gradient, and no dtype changes them', () => {
  const layer = new GGUFLinear(64, 5, { type: 'Q4_1', bias: true });
  expect([...layer.state_dict().keys()].sort()).toEqual(['bias', 'weight']);
  expect(layer.named_parameters().map(([name]) => name)).toEqual(['bias']);
  expect(layer.weight.shape).toEqual([5, 40]);
  expect(String(layer)).toBe('GGUFLinear(in_features=64, out_features=5, bias=True, type=Q4_1)');
  expect(String(new GGUFEmbedding(7, 32, { type: 'Q8_0' }))).toBe('GGUFEmbedding(7, 32, type=Q8_0)');
  layer.half();
  expect([layer.weight.dtype, layer.bias!.dtype]).toEqual([torch.uint8, torch.float16]);
  layer.to('wasm');
  expect(layer.weight.device.toString()).toContain('wasm');
  expect(layer(torch.ones(2, 64, { dtype: torch.float16, device: 'wasm' })).dtype).toBe(torch.float16);
});

test('state goes from one module to another', () => {
  const { layer, plain } = filled('Q6_K', 3, 512);
  const other = new GGUFLinear(512, 3, { type: 'Q6_K' });
  other.load_state_dict(layer.state_dict());
  expect(other.dequantize().sub(plain).abs().max().item()).toBe(0);
});

test('one storage may be the table of an embedding and the weight of the head', () => {
  const { layer, plain } = filled('Q4_0', 6, 64);
  const table = new GGUFEmbedding(6, 64, { type: 'Q4_0' });
  table.weight = layer.weight;
  const hidden = table(torch.tensor([5n, 1n]));
  expect(
    hidden
      .sub(plain.index_select(0, torch.tensor([5n, 1n])))
      .abs()
      .max()
      .item(),
  ).toBe(0);
  expect(layer(hidden).sub(hidden.matmul(plain.t())).abs().max().item()).toBeLessThan(1e-4);
});

test('a width that is no whole number of blocks is refused', () => {
  expect(() => new GGUFLinear(40, 3, { type: 'Q4_0' })).toThrow(/40/);
});

test('an adapter learns beside a frozen quantized layer as beside a plain one', () => {
  const { layer, plain } = filled('Q4_K', 16, 256);
  const losses = (base: (x: Tensor) => Tensor): number[] => {
    const down = torch
      .tensor(Float32Array.from({ length: 4 * 256 }, (_, i) => Math.sin(i) * 0.05))
      .reshape([4, 256])
      .requires_grad_();
    const up = torch.zeros(16, 4).requires_grad_();
    const first = torch.tensor(Float32Array.from({ length: 256 }, (_, i) => Math.cos(i) * 0.1)).requires_grad_();
    const optimizer = new optim.AdamW([down, up, first], { lr: 0.02 });
    const x = torch.tensor(Float32Array.from({ length: 12 * 256 }, (_, i) => Math.sin(i * 0.7))).reshape([12, 256]);
    return Array.from({ length: 6 }, () => {
      optimizer.zero_grad();
      const input = x.add(first);
      const y = base(input)
        .mul(0.05)
        .add(nn.functional.linear(nn.functional.linear(input, down), up));
      const loss = y.sub(1).square().mean();
      loss.backward();
      optimizer.step();
      return loss.item();
    });
  };
  const quantized = losses((x) => layer(x));
  const dense = losses((x) => nn.functional.linear(x, plain));
  quantized.forEach((loss, i) => {
    expect(Math.abs(loss - dense[i]) / dense[i]).toBeLessThan(1e-4);
  });
  expect(quantized[5]).toBeLessThan(quantized[0]);
});

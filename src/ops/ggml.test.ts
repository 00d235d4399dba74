/** Products and look-ups with weights in ggml's blocks: every format, on every device, against weights decoded one by one; and that no float copy of a weight is made. */
import { afterEach, describe, expect, test } from 'vitest';
import { Arena } from '../backend/arena.ts';
import { legalizeBlocks } from '../backend/legalize-blocks.ts';
import { legalizeMatmuls } from '../backend/legalize-matmul.ts';
import { encodeFloat16 } from '../dtype/codec.ts';
import { float32 } from '../dtype/dtype.ts';
import { type BlockFormatName, blockFormats } from '../graph/ggml.ts';
import torch, { nn, type Tensor } from '../index.ts';
import { ggmlTypes } from '../quant/ggml-types.ts';
import { decodeBlocksForTest, randomBlocks } from '../quant/test-support.ts';
import * as dims from '../shape/dim.ts';
import { engineOf } from '../tensor/devices.ts';
import { flags } from '../util/flags.ts';

const { ggml_linear, ggml_embedding, ggml_dequantize } = torch.ops.magpie;
const formats = Object.keys(blockFormats) as BlockFormatName[];
const devices = ['cpu', 'wasm', 'reference'] as const;
afterEach(() => {
  flags.flush = 'lazy';
});

interface Weight {
  readonly bytes: Tensor;
  readonly plain: Tensor;
}
function makeWeight(format: BlockFormatName, rows: number, columns: number, device: string, seed = 1): Weight {
  const { weights } = blockFormats[format];
  const bytes = randomBlocks(format, (rows * columns) / weights, seed);
  return {
    bytes: torch
      .tensor(bytes, { dtype: torch.uint8 })
      .reshape([rows, bytes.length / rows])
      .to(device) as Tensor,
    plain: torch.tensor(decodeBlocksForTest(format, bytes)).reshape([rows, columns]).to(device) as Tensor,
  };
}
const wave = (device: string, ...shape: number[]): Tensor => {
  const n = shape.reduce((a, b) => a * b, 1);
  return torch
    .tensor(Float32Array.from({ length: n }, (_, i) => Math.sin(i * 1.3) * 2))
    .reshape(shape)
    .to(device) as Tensor;
};
const numbers = (t: Tensor): number[] => [...(t.detach().to('cpu').to(torch.float32).contiguous().reshape(-1).numpy() as Float32Array)];

/** Both sums of the same products, in another order each. */
function expectClose(got: Tensor, want: Tensor, tolerance = 1e-5): void {
  expect(got.shape).toEqual(want.shape);
  const [a, b] = [numbers(got), numbers(want)];
  const scale = Math.max(1e-30, ...b.map(Math.abs));
  expect(Math.max(0, ...a.map((x, i) => Math.abs(x - b[i])))).toBeLessThanOrEqual(tolerance * scale);
}

test('the table of formats is that of the types of files', () => {
  for (const format of formats) {
    const { weights, bytes } = blockFormats[format];
    expect([weights, bytes]).toEqual([ggmlTypes[format].blockSize, ggmlTypes[format].blockBytes]);
    expect(blockFormats[format].axes.reduce((p, d) => p * d, 1)).toBe(weights);
  }
});

describe.each(devices)('on %s', (device) => {
  describe.each(formats)('%s', (format) => {
    const unit = blockFormats[format].weights;

    test('weights are those of ggml, bit for bit', () => {
      const { bytes, plain } = makeWeight(format, 5, 2 * unit, device);
      expect(numbers(ggml_dequantize(bytes, format))).toEqual(numbers(plain));
      expect(ggml_dequantize(bytes, format, { dtype: torch.float16 }).dtype).toBe(torch.float16);
    });

    test('products with few and many rows, batches, a bias and odd sizes', () => {
      for (const [shape, rows, blocks] of [
        [[1], 3, 1],
        [[], 5, 2],
        [[2, 3], 7, 2],
        [[19], 9, 3],
        [[0], 4, 1],
      ] as const) {
        const { bytes, plain } = makeWeight(format, rows, blocks * unit, device, rows);
        const x = wave(device, ...shape, blocks * unit);
        expectClose(ggml_linear(x, bytes, null, format), nn.functional.linear(x, plain));
        const bias = wave(device, rows);
        expectClose(ggml_linear(x, bytes, bias, format), nn.functional.linear(x, plain, bias));
      }
    });

    test('an input that is not contiguous, and one of half precision, which is rounded once', () => {
      const { bytes, plain } = makeWeight(format, 6, unit, device);
      expectClose(ggml_linear(wave(device, unit, 3).t(), bytes, null, format), wave(device, unit, 3).t().matmul(plain.t()));
      for (const dtype of [torch.float16, torch.bfloat16, torch.float64]) {
        const x = wave(device, 4, unit).to(dtype);
        const y = ggml_linear(x, bytes, wave(device, 6).to(dtype), format);
        expect(y.dtype).toBe(dtype);
        const want = nn.functional.linear(x.to(torch.float32), plain, wave(device, 6).to(dtype).to(torch.float32)).to(dtype);
        expectClose(y, want, dtype === torch.float64 ? 2e-6 : 2 ** -7);
      }
    });

    test('the input gets its gradient, and the bytes none', () => {
      const { bytes, plain } = makeWeight(format, 7, unit, device);
      const [x, y] = [wave(device, 3, unit).requires_grad_(), wave(device, 3, unit).requires_grad_()];
      const bias = wave(device, 7).requires_grad_();
      ggml_linear(x, bytes, bias, format).square().sum().backward();
      nn.functional.linear(y, plain, wave(device, 7)).square().sum().backward();
      expectClose(x.grad!, y.grad!, 1e-5);
      expect(bias.grad!.shape).toEqual([7]);
      expect(bytes.grad).toBeNull();
    });

    test('rows of a table, of which only those are decoded that are asked for', () => {
      const { bytes, plain } = makeWeight(format, 9, unit, device);
      const at = torch
        .tensor([
          [8n, 0n],
          [3n, 3n],
        ])
        .to(device);
      expect(numbers(ggml_embedding(at, bytes, format))).toEqual(numbers(nn.functional.embedding(at, plain)));
      expect(ggml_embedding(at, bytes, format, { dtype: torch.bfloat16 }).dtype).toBe(torch.bfloat16);
    });

    test('all modes of flushing give the same bits', () => {
      const { bytes } = makeWeight(format, 9, unit, device);
      const results = ['lazy', 'eager', 'random:7'].map((mode) => {
        flags.flush = mode;
        const x = wave(device, 2, unit).mul(0.5).requires_grad_();
        const y = ggml_linear(x.mul(2), bytes, null, format).relu();
        y.mul(y).sum().backward();
        const rows = ggml_embedding(torch.tensor([1n, 2n]).to(device), bytes, format).mul(x);
        return [numbers(y), numbers(x.grad!), numbers(rows)];
      });
      expect(results[1]).toEqual(results[0]);
      expect(results[2]).toEqual(results[0]);
    });
  });

  test('scales that are subnormal, infinite or no numbers', () => {
    const block = new Uint8Array(20 * 4).fill(0x21);
    const halves = [1, 0x8001, 0x3ff, 0x7c00, 0xfc00, 0x7e00, 0x7bff, 0x8000];
    halves.forEach((bits, i) => {
      block[20 * (i >> 1) + 2 * (i & 1)] = bits & 255;
      block[20 * (i >> 1) + 2 * (i & 1) + 1] = bits >> 8;
    });
    const bytes = torch.tensor(block, { dtype: torch.uint8 }).reshape([4, 20]).to(device);
    expect(numbers(ggml_dequantize(bytes, 'Q4_1'))).toEqual([...decodeBlocksForTest('Q4_1', block)]);
    expect(encodeFloat16(2 ** -24)).toBe(1);
  });

  test('nothing of the size of the weight is in memory but its bytes', () => {
    const half = 32 * 512;
    const { bytes } = makeWeight('Q4_1', 64, 512, device);
    const x = wave(device, 8, 512).requires_grad_();
    x.tolist();
    const y = ggml_linear(x.mul(2), bytes, null, 'Q4_1');
    y.sum().backward();
    x.grad!.tolist();
    const { plan } = engineOf(device).programs.last!;
    expect(plan.steps.filter((s) => s.kind === 'matmul' && s.blocks !== undefined).length).toBe(2);
    const kernels = legalizeBlocks(plan).steps.filter((s) => s.kind === 'kernel' && s.kernel.name === 'block_product');
    expect(kernels.length).toBe(2);
    const panels = legalizeMatmuls(plan, { float32: new Set([float32]), batchDims: 1 });
    for (const p of [plan, legalizeBlocks(plan), panels])
      for (const b of p.buffers) if (b.kind !== 'external') expect(dims.toNumber(b.size, 'a buffer')).toBeLessThanOrEqual(half);
    // A panel is half of the weight at most and gone when the next is made; forward and backward are side by side here.
    expect(panels.steps.filter((s) => s.kind === 'kernel' && s.kernel.name === 'block_panel').length).toBe(4);
    expect(new Arena(panels).layout([]).bytes - new Arena(plan).layout([]).bytes).toBeLessThanOrEqual(2 * half * 4);
  });

  test('a single row is one kernel that stores nothing but the result', () => {
    const { bytes } = makeWeight('Q5_K', 33, 512, device);
    ggml_linear(wave(device, 1, 512), bytes, null, 'Q5_K').tolist();
    const { plan } = engineOf(device).programs.last!;
    const legal = legalizeMatmuls(plan, { float32: new Set([float32]), batchDims: 1 });
    expect(legal.steps.map((s) => (s.kind === 'kernel' ? s.kernel.buffers.map((b) => b.dtype.name) : s.kind))).toEqual([
      ['float32', 'uint8', 'float32'],
    ]);
  });

  test('another length of the prompt compiles nothing, once the length is a symbol', () => {
    const { bytes } = makeWeight('Q4_0', 10, 64, device);
    const plain = decodeBlocksForTest('Q4_0', bytes.to('cpu').numpy() as Uint8Array);
    const weight = torch.tensor(plain).reshape([10, 64]).to(device);
    const { statistics } = engineOf(device).programs;
    const run = (m: number): void =>
      expectClose(ggml_linear(wave(device, m, 64), bytes, null, 'Q4_0'), wave(device, m, 64).matmul(weight.t()));
    for (const m of [5, 9, 20]) run(m);
    const before = statistics.compiled;
    for (const m of [2, 7, 8, 30, 11]) run(m);
    expect(statistics.compiled).toBe(before);
  });
});

test('calls that cannot be answered name what is wrong', () => {
  const { bytes } = makeWeight('Q8_0', 4, 64, 'cpu');
  expect(() => ggml_linear(wave('cpu', 2, 32), bytes, null, 'Q8_0')).toThrow('mat1 and mat2 shapes cannot be multiplied (2x32 and 64x4)');
  expect(() => ggml_linear(wave('cpu', 2, 64), bytes, null, 'Q4_0')).toThrow('a row of 68 bytes is no whole number of Q4_0 blocks');
  expect(() => ggml_linear(wave('cpu', 2, 64), bytes, null, 'IQ2_S')).toThrow("'IQ2_S' is no format of blocks");
  expect(() => ggml_linear(wave('cpu', 2, 64), wave('cpu', 4, 68), null, 'Q8_0')).toThrow('the weight must be a uint8 tensor');
  expect(() => ggml_linear(torch.tensor([[1n]]), bytes, null, 'Q8_0')).toThrow('the input must be of a floating point dtype');
  expect(() => ggml_embedding(torch.tensor([4n]), bytes, 'Q8_0')).toThrow('index out of range in self');
});

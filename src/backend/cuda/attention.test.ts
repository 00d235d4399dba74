/** Kernels of attention and of small products: texts, launches, and that NVRTC takes them, without a card. */
import { afterEach, describe, expect, test } from 'vitest';
import torch from '../../index.ts';
import { engineOf, registerDevice } from '../../tensor/devices.ts';
import type { AttentionKind } from './attention.ts';
import { fewShared, fewSource } from './attention-few.ts';
import { tilesShared, tilesSource } from './attention-tiles.ts';
import { KernelTexts } from './collect.ts';
import { CudaBackend } from './device.ts';
import { CudaKernels } from './kernel-cache.ts';
import { openLibrary } from './libraries.ts';
import { requireCompiler } from './nvrtc.ts';
import { silentDriver } from './silent-driver.ts';
import { smallSource } from './small-products.ts';

const nvrtc = !('reason' in openLibrary('libnvrtc', ['libnvrtc.so.13', 'libnvrtc.so.12', 'libnvrtc.so']));
const nameIn = (text: string): string => /__launch_bounds__\(\d+\) (\w+)\(/.exec(text)![1];
const compiles = (text: string): void => void requireCompiler().compile(text, nameIn(text), 'sm_90');

describe('texts', () => {
  const kinds = (types: readonly AttentionKind['type'][]): AttentionKind[] =>
    types.flatMap((type) =>
      [8, 64, 80, 128, 256].flatMap((width, i) =>
        ([true, false] as const).map((aligned) => ({
          ...{ type, width, aligned, causal: i % 2 === 0 },
          mask: (['none', 'bool', 'float32', 'none', type] as const)[i],
        })),
      ),
    );

  test('a kernel of tiles multiplies on tensor cores and fits shared memory, for any head size', () => {
    for (const kind of kinds(['bfloat16', 'float16'])) {
      const text = tilesSource(kind);
      expect(text).toContain('mma.sync.aligned.m16n8k16');
      expect(tilesShared(kind)).toBeLessThan(99 * 1024);
    }
  });
  test('a kernel of few queries fits shared memory', () => {
    for (const kind of kinds(['float32', 'bfloat16', 'float16'])) expect(fewShared(kind, 16)).toBeLessThan(99 * 1024);
  });
  test.skipIf(!nvrtc)('NVRTC (where it is found) compiles them all', { timeout: 300_000 }, () => {
    for (const kind of kinds(['bfloat16', 'float16'])) compiles(tilesSource(kind));
    for (const kind of kinds(['float32', 'bfloat16'])) compiles(fewSource(kind, 4));
    for (const layout of ['depth', 'columns'] as const)
      for (const operands of ['float32', 'bfloat16', 'float16'] as const)
        compiles(smallSource({ layout, rows: 2, each: layout === 'depth' ? 2 : 1, operands, result: 'float32' }));
  });
});

describe('launches', () => {
  let calls: string[] = [];
  let texts = new KernelTexts();
  let number = 0;
  function open(): string {
    calls = [];
    texts = new KernelTexts();
    const driver = silentDriver({ log: (call) => calls.push(call) });
    const device = `silent-attention${number++}`;
    registerDevice(device, () => new CudaBackend(0, { driver, kernels: new CudaKernels(driver, texts), cublas: null }));
    return device;
  }
  const { scaled_dot_product_attention: attention } = torch.nn.functional;
  const names = (): string[] => [...texts.texts.values()].map(({ name }) => name);
  afterEach(() => {
    calls = [];
  });

  test('heads inside one projection are read where they lie: one launch', () => {
    const device = open();
    const [q, k, v] = torch.ones([2, 40, 3, 4, 16], { device, dtype: torch.bfloat16 }).permute(2, 0, 3, 1, 4).unbind(0);
    engineOf(device).flush();
    calls = [];
    attention(q, k, v, null, 0, true);
    engineOf(device).flush();
    expect(calls.filter((c) => c.startsWith('launch'))).toHaveLength(1);
    expect(names()).toContain('attention_tiles_16_bfloat16_none_causal');
  });

  test('a gradient, dropout, an odd head size and long float32 queries go the engine’s way', () => {
    const device = open();
    const x = (dtype: typeof torch.float32, n = 40, d = 16) => torch.ones([1, 2, n, d], { device, dtype });
    const wide = x(torch.bfloat16).requires_grad_();
    attention(wide, wide, wide);
    attention(x(torch.bfloat16), x(torch.bfloat16), x(torch.bfloat16), null, 0.5);
    attention(x(torch.bfloat16, 40, 12), x(torch.bfloat16, 40, 12), x(torch.bfloat16, 40, 12));
    attention(x(torch.float32), x(torch.float32), x(torch.float32));
    engineOf(device).flush();
    expect(names().filter((n) => n.startsWith('attention'))).toEqual([]);
    attention(x(torch.float32, 1), x(torch.float32), x(torch.float32));
    engineOf(device).flush();
    expect(names().filter((n) => n.startsWith('attention'))).toEqual(['attention_few_1x16_float32_none']);
  });

  test('a growing number of keys changes words only: the graph of the first steps is replayed', () => {
    const device = open();
    const keys = torch.ones([1, 2, 64, 16], { device });
    const values = torch.ones([1, 2, 64, 16], { device });
    engineOf(device).flush();
    const step = (n: number): string[] => {
      calls = [];
      const q = torch.ones([1, 2, 1, 16], { device }).softmax(3);
      attention(q, keys.narrow(2, 0, n), values.narrow(2, 0, n))
        .softmax(3)
        .matmul(torch.ones([16, 16], { device }))
        .softmax(3);
      engineOf(device).flush();
      return calls.filter((c) => /^(launch|capture|graph|replay)/i.test(c)).map((c) => c.split(' ')[0]);
    };
    for (const n of [10, 11, 12, 13]) step(n);
    const after = [14, 15, 16].map(step);
    expect(new Set(after.map((c) => c.join()))).toEqual(new Set([after[0].join()]));
    expect(after[0]).toHaveLength(1);
  });
});

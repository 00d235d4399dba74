/** What can be tested of the `cuda` device without a card: texts under NVRTC where it is installed, plans of products, the allocator, errors. */
import { describe, expect, test } from 'vitest';
import { bfloat16, float32 } from '../../dtype/dtype.ts';
import { lowerKernel } from '../../kernel/lower.ts';
import type { KernelStep, MatmulStep } from '../../schedule/plan.ts';
import { engineOf } from '../../tensor/devices.ts';
import { findSharedItem } from '../clike/folds.ts';
import { renderKernel } from '../clike/render.ts';
import { dense, PlanBuilder } from '../test-support.ts';
import { layoutOf, supportsTypes } from './cublas.ts';
import { cuda } from './dialect.ts';
import { CudaError, outOfMemoryCode, probeDevices } from './driver.ts';
import { matmulName, matmulSource, planProduct } from './matmul.ts';
import { CudaHeap, CudaOutOfMemoryError, roundSize } from './memory.ts';
import { requireCompiler } from './nvrtc.ts';

function hasCompiler(): boolean {
  try {
    requireCompiler();
    return true;
  } catch {
    return false;
  }
}

describe.skipIf(!hasCompiler())('under NVRTC (pip install nvidia-cuda-nvrtc; MAGPIE_CUDA_LIBRARIES)', () => {
  const isCubin = (bytes: Uint8Array): boolean => String.fromCharCode(...bytes.subarray(1, 4)) === 'ELF';

  test('a row kernel compiles in each of its forms', () => {
    const p = new PlanBuilder();
    const x = p.buffer('external', bfloat16, 4 * 70_000);
    p.kernel({
      name: 'most',
      shape: [4],
      reduce: [70_000],
      sources: [{ buffer: x, strides: [70_000, 1] }],
      target: { buffer: p.buffer('output', bfloat16, 4), strides: [1] },
      value: (_, [v], { reduce }) => reduce('max', v),
    });
    const vector = lowerKernel((p.plan().steps[0] as KernelStep).kernel, { lanes: 16 });
    const item = findSharedItem(vector)!;
    const forms = [
      null,
      { mode: 'block', item, ahead: false },
      { mode: 'block', item, ahead: true },
      { mode: 'ahead', item, ahead: true },
    ] as const;
    for (const form of forms)
      expect(isCubin(requireCompiler().compile(`${cuda.prelude}${renderKernel(vector, cuda, 'k', form)}`, 'k', 'sm_90'))).toBe(true);
  });

  test('our product kernel compiles for narrow and wide types, and for older cards', () => {
    for (const types of [
      ['float32', 'float32', 'float32'],
      ['bfloat16', 'float8_e4m3fn', 'float16'],
      ['float64', 'float64', 'float64'],
    ] as const)
      expect(isCubin(requireCompiler().compile(matmulSource(types), matmulName(types), 'sm_80'))).toBe(true);
  });

  test("an error names the kernel and gives the compiler's words", () => {
    expect(() => requireCompiler().compile('extern "C" __global__ void broken() { nothing; }', 'broken', 'sm_90')).toThrow(
      /kernel broken[\s\S]*nothing/,
    );
  });
});

describe('without a card', () => {
  test.skipIf('count' in probeDevices())('the device says what is missing', () => {
    expect(() => engineOf('cuda')).toThrow(/^The cuda device cannot be used: /);
  });
});

describe('products', () => {
  function product(
    batch: readonly number[],
    m: number,
    n: number,
    k: number,
    strides?: Partial<Record<'a' | 'b' | 'c', number[]>>,
  ): MatmulStep {
    const p = new PlanBuilder();
    const shapes = { a: [...batch, m, k], b: [...batch, k, n], c: [...batch, m, n] };
    const operand = (o: 'a' | 'b' | 'c') => {
      const s = strides?.[o] ?? (dense(shapes[o]) as number[]);
      return p.operand(p.buffer(o === 'c' ? 'output' : 'external', float32, 1), s.slice(0, -2), s.at(-2)!, s.at(-1)!);
    };
    p.matmul({ batch, m, n, k, a: operand('a'), b: operand('b'), c: operand('c') });
    return p.plan().steps[0] as MatmulStep;
  }

  test('dense and transposed operands go to cuBLAS as they lie', () => {
    expect(planProduct(product([], 50, 7, 3), []).gemm).toMatchObject({
      m: 50,
      n: 7,
      k: 3,
      batch: 1,
      a: { transposed: false, ld: 3 },
      b: { transposed: false, ld: 7 },
      c: { ld: 7 },
    });
    expect(planProduct(product([], 5, 7, 3, { b: [1, 3] }), []).gemm).toMatchObject({ b: { transposed: true, ld: 3 } });
  });

  test('a batch that shares B is more rows', () => {
    expect(planProduct(product([4], 5, 7, 3, { b: [0, 7, 1] }), []).gemm).toMatchObject({ m: 20, batch: 1 });
  });

  test('heads of attention inside one projection are for our kernel: their batch has two strides', () => {
    const planned = planProduct(product([2, 3], 10, 10, 16, { a: [1440, 16, 144, 1], b: [1440, 16, 1, 144] }), []);
    expect(planned.gemm).toBeNull();
    expect(planned.own.grid).toEqual([1, 1, 6]);
  });

  test('a matrix with no stride of 1, or whose rows overlap, has no layout', () => {
    expect(layoutOf(4, 4, 8, 2)).toBeNull();
    expect(layoutOf(4, 4, 0, 1)).toBeNull();
    expect(layoutOf(1, 4, 0, 1)).toEqual({ transposed: false, ld: 4 });
    expect(supportsTypes('bfloat16', 'bfloat16', 'float32')).toBe(true);
    expect(supportsTypes('bfloat16', 'float32', 'float32')).toBe(false);
  });
});

describe('the allocator', () => {
  function fake(limit: number) {
    let next = 2 ** 20;
    const live = new Map<number, number>();
    const used = (): number => [...live.values()].reduce((s, b) => s + b, 0);
    return {
      live,
      name: 'a card',
      totalBytes: limit,
      memoryInfo: () => ({ free: limit - used(), total: limit }),
      alloc(bytes: number): number {
        if (used() + bytes > limit) throw new CudaError(outOfMemoryCode, 'out of memory');
        next += 2 ** 30;
        live.set(next, bytes);
        return next;
      },
      free: (address: number): void => void live.delete(address),
    };
  }

  test('sizes are rounded to eight classes an octave', () => {
    expect([1, 512, 513, 5000, 2 ** 20, 2 ** 20 + 1].map(roundSize)).toEqual([512, 512, 1024, 5120, 2 ** 20, 2 ** 20 + 2 ** 17]);
  });

  test('a freed block is handed out again, small ones share a slab', () => {
    const driver = fake(2 ** 30);
    const heap = new CudaHeap(driver);
    const [a, b] = [heap.alloc(1000), heap.alloc(1000)];
    expect(b.address - a.address).toBe(1024);
    expect(driver.live.size).toBe(1);
    const { address } = a;
    heap.free(a);
    expect(heap.alloc(900).address).toBe(address);
    expect(() => heap.free(a)).toThrow('freed twice');
  });

  test('cached blocks go back before memory runs out; then the error has PyTorch’s words', () => {
    const heap = new CudaHeap(fake(100 * 2 ** 20));
    heap.free(heap.alloc(80 * 2 ** 20));
    const big = heap.alloc(96 * 2 ** 20);
    expect(big.address).toBeGreaterThan(0);
    expect(() => heap.alloc(50 * 2 ** 20)).toThrow(CudaOutOfMemoryError);
    expect(() => heap.alloc(50 * 2 ** 20)).toThrow(
      /^CUDA out of memory. Tried to allocate 50.0 MiB. a card has a total capacity of 100.0 MiB/,
    );
  });
});

/**
 * What the memory gives, for the share that the flag `trace=profile` prints: a copy between two large arrays, on all threads.
 *
 * Measured once, at the first profile, with a kernel of the device's own whose stores bypass the caches; the best of a few runs. It is a yardstick of this
 * machine at that moment, not its specification; a kernel that only reads may be faster.
 */
import { float32 } from '../../dtype/dtype.ts';
import { KernelBuilder } from '../../kernel/ir.ts';
import { lowerKernel } from '../../kernel/lower.ts';
import type { VectorKernel } from '../../kernel/vector-ir.ts';
import { cpuFeatures } from './features.ts';
import type { KernelCache } from './kernel-cache.ts';
import { type NativeBlock, type NativeHeap, OutOfMemoryError } from './memory.ts';
import { NativeProgram } from './pool.ts';
import { compileKernel } from './x64/emit.ts';

type NativeIsa = 'avx2' | 'avx512';

const runs = 3;
const grain = 1 << 16;
let measured: number | null | undefined;

/** GB/s, reading and writing counted; null where there was no memory to measure with. */
export function copyBandwidth(isa: NativeIsa, heap: NativeHeap, kernels: KernelCache): number | null {
  measured ??= measure(isa, heap, kernels);
  return measured;
}

function measure(isa: NativeIsa, heap: NativeHeap, kernels: KernelCache): number | null {
  const elements = Math.min(128 << 20, Math.max(64 << 20, cpuFeatures().l3Bytes)) >> 2;
  const blocks: NativeBlock[] = [];
  try {
    for (const bytes of [elements * 4, elements * 4, 64]) blocks.push(heap.alloc(bytes));
    const [target, source, args] = blocks;
    for (const { address, bytes } of [target, source]) heap.bytesAt(address, bytes).fill(0);
    const words = heap.bytesAt(args.address, 64);
    new BigUint64Array(words.buffer, words.byteOffset, 2).set([BigInt(target.address), BigInt(source.address)]);
    const request = {
      key: `${isa} copy of ${elements}`,
      make: () => compileKernel(copyKernel(elements, isa), isa, { streaming: new Set([0]) }),
    };
    const [fn] = kernels.acquire([request]);
    const program = new NativeProgram([{ tasks: [{ fn, args: args.address, count: elements, grain }] }]);
    let best = Number.POSITIVE_INFINITY;
    for (let i = 0; i < runs; i++) {
      const begin = performance.now();
      program.run();
      best = Math.min(best, performance.now() - begin);
    }
    program.dispose();
    kernels.release([request.key]);
    return (2 * elements * 4) / best / 1e6;
  } catch (error) {
    if (error instanceof OutOfMemoryError) return null;
    throw error;
  } finally {
    for (const block of blocks) heap.free(block);
    heap.trim();
  }
}

function copyKernel(elements: number, isa: NativeIsa): VectorKernel {
  const k = new KernelBuilder();
  const axis = k.axis('i', elements, 'vector');
  const index = k.use(axis);
  return lowerKernel(
    {
      name: 'copy',
      buffers: [
        { dtype: float32, access: 'write' },
        { dtype: float32, access: 'read' },
      ],
      params: [],
      grid: [axis],
      body: [{ kind: 'store', buffer: 0, index, value: k.load(1, 'f32', index), mask: null, combine: null }],
    },
    { lanes: isa === 'avx512' ? 16 : 8 },
  );
}

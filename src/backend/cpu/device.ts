/**
 * The `cpu` device: machine code for x86-64 on memory of its own, one native call a program.
 *
 * Memory is a native heap behind tracked buffers, and one arena for the temporaries of all programs. Work is done when `run` returns, so
 * reading never waits. Where there is no way to run machine code (browsers, other processors, no koffi), or when the flag `isa` is wasm,
 * `openCpuBackend` opens the WebAssembly device under this name.
 */
import type { Buffer } from '../../graph/node.ts';
import type { ProgramPlan } from '../../schedule/plan.ts';
import { ArenaMemory } from '../arena-memory.ts';
import type { Backend, DeviceLimits, Executable, MemoryStats } from '../interface.ts';
import { type TrackedBuffer, TrackedMemory, type TrackedStatistics } from '../tracked-memory.ts';
import { WasmBackend } from '../wasm/device.ts';
import { cpuFeatures, selectIsa } from './features.ts';
import { KernelCache } from './kernel-cache.ts';
import { type NativeBlock, NativeHeap, nativeHeap } from './memory.ts';
import { getNumThreads } from './pool.ts';
import { NativeExecutable, type NativeIsa } from './program.ts';

export interface CpuOptions {
  /** Default: the best one, or MAGPIE_ISA. */
  readonly isa?: NativeIsa;
  /** Bytes, for a heap of its own; default: the heap of the thread, limited by MAGPIE_MEMORY. */
  readonly limit?: number;
}

/** Node's array buffers end at 4 GiB: more is copied piece by piece. */
const longestCopy = 2 ** 30;

let sharedKernels: KernelCache | undefined;

export class CpuBackend implements Backend {
  readonly name = 'cpu';
  readonly isa: NativeIsa;
  readonly limits: DeviceLimits;
  readonly #heap: NativeHeap;
  readonly #memory: TrackedMemory<NativeBlock>;
  readonly #arena: ArenaMemory<NativeBlock>;
  readonly #kernels: KernelCache;
  readonly #streamingBytes: number;

  constructor(options: CpuOptions = {}) {
    const isa = options.isa ?? selectIsa();
    if (isa === 'none') throw new Error('internal: no instruction set for the native cpu device');
    this.isa = isa;
    this.limits = { buffersPerKernel: 64, parallelism: getNumThreads(), canBlock: true };
    const heap = options.limit === undefined ? nativeHeap() : new NativeHeap({ limit: options.limit });
    this.#heap = heap;
    this.#memory = new TrackedMemory({
      release: (block) => heap.free(block),
      available: () => heap.available(),
      giveBack: () => {
        this.#arena.release();
        heap.trim();
      },
    });
    this.#arena = new ArenaMemory(
      this.#memory,
      (bytes) => heap.alloc(bytes),
      (block) => heap.free(block),
    );
    sharedKernels ??= new KernelCache();
    this.#kernels = sharedKernels;
    this.#streamingBytes = Math.min(32 << 20, Math.max(8 << 20, cpuFeatures().l3Bytes));
  }

  allocate(bytes: number): TrackedBuffer<NativeBlock> {
    return this.#memory.allocate(bytes, this.name, () => this.#heap.alloc(bytes));
  }
  free(buffer: Buffer): void {
    this.#memory.free(buffer);
  }
  available(): number {
    return this.#heap.available();
  }
  stats(): MemoryStats {
    const { liveBytes, peakBytes } = this.#memory.statistics;
    return { liveBytes, peakBytes, reservedBytes: this.#heap.statistics().reservedBytes };
  }
  /** Live buffers and sweeps, for the debug flags and tests. */
  get tracked(): TrackedStatistics {
    return this.#memory.statistics;
  }

  compile(plan: ProgramPlan): Executable {
    return new NativeExecutable(plan, {
      isa: this.isa,
      heap: this.#heap,
      kernels: this.#kernels,
      streamingBytes: this.#streamingBytes,
      reserveArena: (bytes) => this.#arena.reserve(bytes),
      obtain: (bytes, take) => this.#memory.obtain(bytes, 'a program', take),
    });
  }

  write(buffer: Buffer, bytes: Uint8Array, offset = 0): void {
    const address = this.#addressOf(buffer, offset, bytes.length);
    for (let at = 0; at < bytes.length; at += longestCopy) {
      const piece = bytes.subarray(at, at + longestCopy);
      this.#heap.bytesAt(address + at, piece.length).set(piece);
    }
  }
  read(buffer: Buffer, offset: number, bytes: number): Uint8Array {
    const address = this.#addressOf(buffer, offset, bytes);
    const out = new Uint8Array(bytes);
    for (let at = 0; at < bytes; at += longestCopy) out.set(this.#heap.bytesAt(address + at, Math.min(longestCopy, bytes - at)), at);
    return out;
  }
  async readAsync(buffer: Buffer, offset: number, bytes: number): Promise<Uint8Array> {
    return this.read(buffer, offset, bytes);
  }
  synchronize(): void {}

  #addressOf(buffer: Buffer, offset: number, bytes: number): number {
    const { address } = buffer as TrackedBuffer<NativeBlock>;
    if (!(address > 0)) throw new Error('internal: memory that is freed or of another device');
    if (offset < 0 || offset + bytes > buffer.bytes)
      throw new Error(`internal: bytes ${offset} to ${offset + bytes} of a buffer of ${buffer.bytes}`);
    return address + offset;
  }
}

/** The native device, or WebAssembly where it cannot be had. */
export function openCpuBackend(): Backend {
  const isa = selectIsa();
  return isa === 'none' ? new WasmBackend({ name: 'cpu' }) : new CpuBackend({ isa });
}

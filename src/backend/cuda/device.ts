/**
 * The `cuda` device (`cuda:1` the second card, and so on): kernels in CUDA C compiled at run time, on one NVIDIA card, through the driver alone.
 *
 * Everything runs in order on one stream of its own; `run` returns when work is launched, reading waits. Memory is a caching allocator behind
 * tracked buffers, and one arena for the temporaries of all programs, as on the CPU.
 */
import type { Buffer } from '../../graph/node.ts';
import type { ProgramPlan } from '../../schedule/plan.ts';
import { ArenaMemory } from '../arena-memory.ts';
import { OutOfMemoryError } from '../cpu/memory.ts';
import type { Backend, DeviceLimits, MemoryStats } from '../interface.ts';
import { sizeText, type TrackedBuffer, TrackedMemory, type TrackedStatistics } from '../tracked-memory.ts';
import { type Cublas, openCublas } from './cublas.ts';
import { type Driver, openDriver } from './driver.ts';
import { CudaKernels } from './kernel-cache.ts';
import { libraryKernelNames } from './library-kernels.ts';
import { type CudaBlock, CudaHeap, CudaOutOfMemoryError, Staging } from './memory.ts';
import { CudaExecutable } from './program.ts';

/** A driver and a store of kernels in the place of the machine's: for tests, and for collecting kernels without a card. */
export interface CudaParts {
  readonly driver: Driver;
  readonly kernels: CudaKernels;
  readonly cublas: Cublas | null;
}

export class CudaBackend implements Backend {
  readonly name: string;
  readonly limits: DeviceLimits;
  readonly driver: Driver;
  readonly heap: CudaHeap;
  readonly kernels: CudaKernels;
  readonly #memory: TrackedMemory<CudaBlock>;
  readonly #arena: ArenaMemory<CudaBlock>;
  readonly #staging: Staging;
  #cublas: Cublas | null | undefined;
  #scratch: CudaBlock | null = null;

  constructor(index = 0, parts: CudaParts | null = null) {
    const driver = parts?.driver ?? openDriver(index);
    this.name = index === 0 ? 'cuda' : `cuda:${index}`;
    this.driver = driver;
    this.#cublas = parts?.cublas;
    // Tensor cores of bfloat16 came with 8.0.
    const kernels = driver.capability[0] >= 8 ? libraryKernelNames : new Set<string>();
    this.limits = { buffersPerKernel: 64, parallelism: driver.multiprocessors, canBlock: true, kernels };
    const heap = new CudaHeap(driver);
    this.heap = heap;
    this.kernels = parts?.kernels ?? new CudaKernels(driver);
    this.#staging = new Staging(driver);
    this.#memory = new TrackedMemory<CudaBlock>({
      release: (block) => heap.free(block),
      available: () => heap.available(),
      roomyBytes: driver.totalBytes / 10,
      giveBack: () => {
        this.#arena.release();
        heap.trim();
      },
    });
    this.#arena = new ArenaMemory<CudaBlock>(
      this.#memory,
      (bytes) => heap.alloc(bytes),
      (block) => heap.free(block),
    );
  }

  allocate(bytes: number): TrackedBuffer<CudaBlock> {
    return this.#inOwnWords(() => this.#memory.allocate(bytes, this.name, () => this.heap.alloc(bytes)));
  }
  free(buffer: Buffer): void {
    this.#memory.free(buffer);
  }
  available(): number {
    return this.heap.available();
  }
  stats(): MemoryStats {
    const { liveBytes, peakBytes } = this.#memory.statistics;
    return { liveBytes, peakBytes, reservedBytes: this.heap.reservedBytes };
  }
  get tracked(): TrackedStatistics {
    return this.#memory.statistics;
  }
  /** Frees what nobody holds and gives it back to the driver. */
  emptyCache(): void {
    this.#memory.sweep();
    this.synchronize();
    this.#arena.release();
    this.heap.trim();
  }
  /** Where cuBLAS was found, or null. */
  get cublasPath(): string | null {
    return this.#openCublas()?.path ?? null;
  }

  /** Peaks count from now on. */
  resetPeaks(): void {
    this.#memory.resetPeak();
    this.heap.resetPeak();
  }

  compile(plan: ProgramPlan): CudaExecutable {
    const obtain = (bytes: number): CudaBlock =>
      this.#inOwnWords(() => this.#memory.obtain(bytes, 'a program', () => this.heap.alloc(bytes)));
    return new CudaExecutable(plan, {
      driver: this.driver,
      kernels: this.kernels,
      cublas: () => this.#openCublas(),
      reserveArena: (bytes) => this.#inOwnWords(() => this.#arena.reserve(bytes)),
      reserveScratch: (bytes) => {
        if (this.#scratch === null || this.#scratch.size < bytes) {
          if (this.#scratch !== null) this.heap.free(this.#scratch);
          this.#scratch = null;
          this.#scratch = obtain(bytes);
        }
        return this.#scratch.address;
      },
      take: obtain,
      release: (block) => this.heap.free(block),
      upload: (address, bytes) => this.#upload(address, bytes),
      download: (bytes, address) => this.#download(bytes, address),
    });
  }

  write(buffer: Buffer, bytes: Uint8Array, offset = 0): void {
    this.#upload(this.#addressOf(buffer, offset, bytes.length), bytes);
  }
  read(buffer: Buffer, offset: number, bytes: number): Uint8Array {
    const out = new Uint8Array(bytes);
    this.#download(out, this.#addressOf(buffer, offset, bytes));
    return out;
  }
  async readAsync(buffer: Buffer, offset: number, bytes: number): Promise<Uint8Array> {
    return this.read(buffer, offset, bytes);
  }
  synchronize(): void {
    this.driver.synchronize();
  }

  /** Runs `take`; an out-of-memory error says what PyTorch's says. */
  #inOwnWords<T>(take: () => T): T {
    try {
      return take();
    } catch (error) {
      if (!(error instanceof OutOfMemoryError)) throw error;
      const { index, totalBytes } = this.driver;
      const { free } = this.driver.memoryInfo();
      const { liveBytes, liveBuffers } = this.#memory.statistics;
      throw new CudaOutOfMemoryError(
        error.bytes,
        `GPU ${index} has a total capacity of ${sizeText(totalBytes)} of which ${sizeText(free)} is free. ` +
          `${sizeText(this.heap.reservedBytes)} are reserved by this process, ${sizeText(liveBytes)} of them in ${liveBuffers} live buffers.`,
      );
    }
  }

  #openCublas(): Cublas | null {
    if (this.#cublas === undefined) this.#cublas = openCublas(this.driver, (bytes) => this.heap.alloc(bytes).address);
    return this.#cublas;
  }

  #upload(address: number, bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    if (bytes.length <= this.#staging.largest) this.#staging.upload(address, bytes);
    else {
      this.driver.upload(address, bytes, bytes.length);
      // The bytes are the caller's again when this returns.
      this.driver.synchronize();
    }
  }
  #download(bytes: Uint8Array, address: number): void {
    if (bytes.length === 0) return;
    if (bytes.length <= this.#staging.largest) this.#staging.download(bytes, address);
    else {
      this.driver.download(bytes, address, bytes.length);
      this.driver.synchronize();
    }
  }

  #addressOf(buffer: Buffer, offset: number, bytes: number): number {
    const { address } = buffer as TrackedBuffer<CudaBlock>;
    if (!(address > 0)) throw new Error('internal: memory that is freed or of another device');
    if (offset < 0 || offset + bytes > buffer.bytes)
      throw new Error(`internal: bytes ${offset} to ${offset + bytes} of a buffer of ${buffer.bytes}`);
    return address + offset;
  }
}

/**
 * The `cuda` device: kernels in CUDA C compiled at run time, on one NVIDIA card, through the driver alone.
 *
 * Everything runs in order on one stream of its own; `run` returns when work is launched, reading waits. Memory is a caching allocator behind
 * tracked buffers, and one arena for the temporaries of all programs, as on the CPU.
 */
import type { Buffer } from '../../graph/node.ts';
import type { ProgramPlan } from '../../schedule/plan.ts';
import { ArenaMemory } from '../arena-memory.ts';
import { OutOfMemoryError } from '../cpu/memory.ts';
import type { Backend, DeviceLimits, Executable, MemoryStats } from '../interface.ts';
import { type TrackedBuffer, TrackedMemory, type TrackedStatistics } from '../tracked-memory.ts';
import { type Cublas, openCublas } from './cublas.ts';
import { type Driver, openDriver } from './driver.ts';
import { CudaKernels } from './kernel-cache.ts';
import { type CudaBlock, CudaHeap, CudaOutOfMemoryError, Staging } from './memory.ts';
import { CudaExecutable } from './program.ts';

export class CudaBackend implements Backend {
  readonly name = 'cuda';
  readonly limits: DeviceLimits;
  readonly driver: Driver;
  readonly heap: CudaHeap;
  readonly kernels: CudaKernels;
  readonly #memory: TrackedMemory<CudaBlock>;
  readonly #arena: ArenaMemory<CudaBlock>;
  readonly #staging: Staging;
  #cublas: Cublas | null | undefined;
  #scratch: CudaBlock | null = null;

  constructor(index = 0) {
    const driver = openDriver(index);
    this.driver = driver;
    this.limits = { buffersPerKernel: 64, parallelism: driver.multiprocessors, canBlock: true };
    const heap = new CudaHeap(driver);
    this.heap = heap;
    this.kernels = new CudaKernels(driver);
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
    return withCudaText(() => this.#memory.allocate(bytes, this.name, () => this.heap.alloc(bytes)));
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

  compile(plan: ProgramPlan): Executable {
    const obtain = (bytes: number): CudaBlock => withCudaText(() => this.#memory.obtain(bytes, 'a program', () => this.heap.alloc(bytes)));
    return new CudaExecutable(plan, {
      driver: this.driver,
      kernels: this.kernels,
      cublas: () => this.#openCublas(),
      reserveArena: (bytes) => withCudaText(() => this.#arena.reserve(bytes)),
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

/** An out-of-memory error in this device's words. */
function withCudaText<T>(take: () => T): T {
  try {
    return take();
  } catch (error) {
    if (error instanceof OutOfMemoryError && !(error instanceof CudaOutOfMemoryError)) {
      const [, ...detail] = error.message.split('\n');
      throw new CudaOutOfMemoryError(error.bytes, detail.join('\n'));
    }
    throw error;
  }
}

/**
 * What a device is: the whole contract between the engine and a back end.
 *
 * A back end owns memory, turns a `ProgramPlan` into an executable, runs it, and copies bytes in and out. It decides nothing about fusion,
 * numbers or lifetimes. `limits` is data that the scheduler obeys. Reads are asynchronous in general; a device that can block says so.
 */
import type { Buffer } from '../graph/node.ts';
import type { ProgramPlan } from '../schedule/plan.ts';

export interface DeviceLimits {
  readonly buffersPerKernel: number;
  /** Threads or compute units, for choosing how finely work is cut. */
  readonly parallelism: number;
  readonly canBlock: boolean;
  /** Library functions (graph/library.ts) for which it has kernels of its own, by name. Operators choose by it which form of a body to record. */
  readonly kernels?: ReadonlySet<string>;
}

/** What a run needs beside its plan: addresses, sizes and numbers of this time. */
export interface Bindings {
  /** Memory of the external and output buffers, by slot. */
  readonly externals: readonly Buffer[];
  readonly outputs: readonly Buffer[];
  /** Values of the program's symbols. */
  readonly symbols: ArrayLike<number>;
  readonly scalars: readonly (number | bigint)[];
}

export interface Executable {
  run(bindings: Bindings): void;
  dispose(): void;
  /** Text of the generated code, for the debug flags. */
  listing(): string;
}

export interface MemoryStats {
  readonly liveBytes: number;
  readonly reservedBytes: number;
  readonly peakBytes: number;
}

export interface Backend {
  readonly name: string;
  readonly limits: DeviceLimits;
  allocate(bytes: number): Buffer;
  free(buffer: Buffer): void;
  /** Bytes that could still be allocated. */
  available(): number;
  stats(): MemoryStats;
  compile(plan: ProgramPlan): Executable;
  write(buffer: Buffer, bytes: Uint8Array, offset?: number): void;
  /** Waits for all work, then copies. Throws where the device cannot block. */
  read(buffer: Buffer, offset: number, bytes: number): Uint8Array;
  readAsync(buffer: Buffer, offset: number, bytes: number): Promise<Uint8Array>;
  synchronize(): void;
}

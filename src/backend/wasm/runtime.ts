/**
 * The wasm device's machine: one WebAssembly.Memory, an allocator over it, compiled kernels and the loop that runs a program.
 *
 * The memory grows on demand up to 4 GiB less a page (or `MAGPIE_MEMORY`: bytes, or with a suffix K, M, G); growing detaches the old buffer,
 * so views are taken from `views` at each use and never kept. Many kernels compile into one module, synchronously.
 *
 * A program is stages of tasks: tasks of one stage are independent, stages run in order. Here one thread runs everything. Work is handed
 * out in pieces of `grain` all the same: V8 runs new code in its baseline tier and can swap the optimized code in only between two calls.
 */
import { flags } from '../../util/flags.ts';
import { Allocator, type AllocatorStatistics } from './allocator.ts';
import { ModuleBuilder } from './encoder.ts';
import type { WasmMemory } from './engine.ts';
import { wasmEngine } from './engine.ts';

const pageSize = 65536;
const addressLimit = 65535 * pageSize;
/** Below this address nothing is allocated: 0 is no address, and a small offset added to one below it cannot wrap (see emit.ts). */
export const reservedBytes = 4096;

/** Runs grid indices [begin, end) with the argument block at `args` and private memory at `scratch`. */
export type KernelFunction = (args: number, begin: number, end: number, scratch: number) => void;

/** Adds its functions to a module; the one exported as `exportName` has the signature of `KernelFunction`. */
export interface KernelSource {
  readonly name: string;
  readonly define: (module: ModuleBuilder, exportName: string) => void;
}

export interface Task {
  readonly fn: KernelFunction;
  /** Address of the argument block. */
  readonly args: number;
  /** Grid indices, and how many a piece takes at most. */
  readonly count: number;
  readonly grain: number;
}
export type Stage = readonly Task[];
export interface Program {
  readonly stages: readonly Stage[];
  /** Private bytes that a thread needs while it runs any of the tasks. */
  readonly scratchBytes: number;
}

export interface MemoryViews {
  readonly u8: Uint8Array;
  readonly i32: Int32Array;
  readonly f32: Float32Array;
  readonly f64: Float64Array;
  readonly i64: BigInt64Array;
  readonly data: DataView;
}

export interface RuntimeOptions {
  /** Bytes; default `MAGPIE_MEMORY`, else 4 GiB less a page. */
  readonly limit?: number;
  /** A memory that workers can share. */
  readonly shared?: boolean;
}

export class WasmRuntime {
  readonly memory: WasmMemory;
  readonly shared: boolean;
  readonly #maximumPages: number;
  readonly #allocator: Allocator;
  #views: MemoryViews;
  #scratch = 0;
  #scratchBytes = 0;

  constructor(options: RuntimeOptions = {}) {
    const limit = Math.min(options.limit ?? flags.memory, addressLimit);
    this.shared = options.shared ?? false;
    this.#maximumPages = Math.max(1, Math.floor(limit / pageSize));
    const initial = Math.min(16, this.#maximumPages);
    this.memory = new (wasmEngine().Memory)({ initial, maximum: this.#maximumPages, shared: this.shared });
    this.#views = this.#refresh();
    this.#allocator = new Allocator(reservedBytes, initial * pageSize, (bytes) => this.#grow(bytes));
  }

  /** Typed arrays over the whole memory, valid until the next `alloc`. */
  get views(): MemoryViews {
    return this.#views;
  }
  get statistics(): AllocatorStatistics & { readonly limit: number } {
    return { ...this.#allocator.statistics, limit: this.#maximumPages * pageSize };
  }

  /** 64-byte aligned; contents are arbitrary. */
  alloc(bytes: number): number {
    const address = this.#allocator.alloc(bytes);
    if (address === 0) {
      const { used, limit } = this.statistics;
      throw new RangeError(
        `wasm: out of memory: tried to allocate ${bytes} bytes (${used} of ${limit} bytes in use; MAGPIE_MEMORY sets the limit, at most 4 GiB)`,
      );
    }
    return address;
  }
  free(address: number): void {
    this.#allocator.free(address);
  }

  /** Writes an argument block of 8-byte words: numbers and bigints as int64. */
  writeArguments(address: number, words: readonly (number | bigint)[]): void {
    const { i32, i64 } = this.#views;
    words.forEach((word, position) => {
      if (typeof word === 'bigint') {
        i64[address / 8 + position] = BigInt.asIntN(64, word);
      } else {
        i32[address / 4 + position * 2] = word;
        i32[address / 4 + position * 2 + 1] = Math.floor(word / 2 ** 32);
      }
    });
  }

  /** Compiles all sources into one module and returns their functions in the same order. */
  compile(sources: readonly KernelSource[]): KernelFunction[] {
    if (sources.length === 0) return [];
    const builder = new ModuleBuilder();
    builder.importMemory('env', 'memory', { initial: 1, maximum: this.#maximumPages, shared: this.shared });
    sources.forEach((source, position) => {
      source.define(builder, `k${position}`);
    });
    const module = new (wasmEngine().Module)(builder.finish());
    const { exports } = new (wasmEngine().Instance)(module, { env: { memory: this.memory } });
    return sources.map((_, position) => exports[`k${position}`] as KernelFunction);
  }

  run(program: Program): void {
    if (program.scratchBytes > this.#scratchBytes) {
      if (this.#scratchBytes > 0) this.free(this.#scratch);
      this.#scratchBytes = 0;
      this.#scratch = this.alloc(program.scratchBytes);
      this.#scratchBytes = program.scratchBytes;
    }
    for (const stage of program.stages) {
      for (const { fn, args, count, grain } of stage) {
        for (let begin = 0; begin < count; begin += grain) fn(args, begin, Math.min(count, begin + grain), this.#scratch);
      }
    }
  }

  // At least what is asked, and at least a quarter of what there is, so that growing is rare; near the limit, what is left.
  #grow(bytes: number): number {
    const pages = this.memory.buffer.byteLength / pageSize;
    const room = this.#maximumPages - pages;
    const needed = Math.ceil(bytes / pageSize);
    if (needed > room) return 0;
    for (const wanted of [Math.min(room, Math.max(needed, pages >> 2, 256)), needed]) {
      try {
        this.memory.grow(wanted);
      } catch {
        continue;
      }
      this.#views = this.#refresh();
      return wanted * pageSize;
    }
    return 0;
  }
  #refresh(): MemoryViews {
    const { buffer } = this.memory;
    return {
      u8: new Uint8Array(buffer),
      i32: new Int32Array(buffer),
      f32: new Float32Array(buffer),
      f64: new Float64Array(buffer),
      i64: new BigInt64Array(buffer),
      data: new DataView(buffer),
    };
  }
}

/**
 * The `wasm` device: plans as WebAssembly SIMD in one linear memory, on one thread.
 *
 * Memory, arena and argument words work as on the native device; the new kernels of a program make one module. Products run in the order of
 * `matmul.ts`: the native device's numbers where the engine has a fused multiply-add, otherwise each product is rounded before it is added.
 */
import { type DType, float32 } from '../../dtype/dtype.ts';
import type { Buffer } from '../../graph/node.ts';
import { decomposeKernel } from '../../kernel/decompose.ts';
import { type Kernel, localOffset } from '../../kernel/ir.ts';
import { lowerKernel, touchesWide } from '../../kernel/lower.ts';
import { printKernel } from '../../kernel/print.ts';
import { printVectorKernel } from '../../kernel/print-vector.ts';
import type { VectorKernel } from '../../kernel/vector-ir.ts';
import {
  gridCount,
  type HostStep,
  type KernelStep,
  type MatmulStep,
  type ProgramPlan,
  type Step,
  workPerItem,
} from '../../schedule/plan.ts';
import * as dims from '../../shape/dim.ts';
import { ArenaMemory } from '../arena-memory.ts';
import { type MatmulBlock, ProgramArguments } from '../arguments.ts';
import { runHostStep } from '../host-step.ts';
import type { Backend, Bindings, Executable, MemoryStats } from '../interface.ts';
import { PreparedKernels } from '../kernel-key.ts';
import { legalizeMatmuls } from '../legalize-matmul.ts';
import { leastWork, roundGrain, whole } from '../tiles.ts';
import { type TrackedBuffer, TrackedMemory, type TrackedStatistics } from '../tracked-memory.ts';
import { kernelSource, wasmLanes, wasmNativeRound } from './emit.ts';
import { hasFusedMultiplyAdd } from './engine.ts';
import {
  type MatmulShape,
  type MatmulStrides,
  type MatmulType,
  matmulArguments,
  matmulSource,
  matmulWordCount,
  planMatmul,
} from './matmul.ts';
import { type KernelFunction, type KernelSource, type Program, WasmRuntime } from './runtime.ts';

export interface WasmOptions {
  readonly name?: string;
  /** Bytes; default MAGPIE_MEMORY, else 4 GiB. */
  readonly limit?: number;
}

type WasmBlock = { address: number };

export class WasmBackend implements Backend {
  readonly name: string;
  readonly limits = { buffersPerKernel: 64, parallelism: 1, canBlock: true };
  readonly #runtime: WasmRuntime;
  readonly #memory: TrackedMemory<WasmBlock>;
  readonly #arena: ArenaMemory<WasmBlock>;
  readonly #kernels = new Map<string, KernelFunction>();

  constructor(options: WasmOptions = {}) {
    this.name = options.name ?? 'wasm';
    const runtime = new WasmRuntime(options.limit === undefined ? {} : { limit: options.limit });
    this.#runtime = runtime;
    const release = (block: WasmBlock): void => {
      runtime.free(block.address);
      block.address = 0;
    };
    this.#memory = new TrackedMemory({ release, available: () => this.available(), giveBack: () => this.#arena.release() });
    this.#arena = new ArenaMemory(this.#memory, (bytes) => ({ address: runtime.alloc(bytes) }), release);
  }

  allocate(bytes: number): TrackedBuffer<WasmBlock> {
    return this.#memory.allocate(bytes, this.name, () => ({ address: this.#runtime.alloc(bytes) }));
  }
  free(buffer: Buffer): void {
    this.#memory.free(buffer);
  }
  available(): number {
    const { limit, used } = this.#runtime.statistics;
    return Math.max(0, limit - used);
  }
  stats(): MemoryStats {
    const { liveBytes, peakBytes } = this.#memory.statistics;
    return { liveBytes, peakBytes, reservedBytes: this.#runtime.statistics.total };
  }
  /** Live buffers and sweeps, for the debug flags and tests. */
  get tracked(): TrackedStatistics {
    return this.#memory.statistics;
  }

  compile(plan: ProgramPlan): Executable {
    return new WasmExecutable(plan, {
      runtime: this.#runtime,
      kernels: this.#kernels,
      reserveArena: (bytes) => this.#arena.reserve(bytes),
      take: (bytes) => this.#memory.obtain(bytes, 'the arguments of a program', () => this.#runtime.alloc(bytes)),
      // A program without tasks makes the runtime take its scratch memory.
      reserveScratch: (scratchBytes) =>
        this.#memory.obtain(scratchBytes, 'the scratch memory of a program', () => this.#runtime.run({ stages: [], scratchBytes })),
    });
  }

  write(buffer: Buffer, bytes: Uint8Array, offset = 0): void {
    this.#runtime.views.u8.set(bytes, this.#addressOf(buffer, offset, bytes.length));
  }
  read(buffer: Buffer, offset: number, bytes: number): Uint8Array {
    const address = this.#addressOf(buffer, offset, bytes);
    return this.#runtime.views.u8.slice(address, address + bytes);
  }
  async readAsync(buffer: Buffer, offset: number, bytes: number): Promise<Uint8Array> {
    return this.read(buffer, offset, bytes);
  }
  synchronize(): void {}

  #addressOf(buffer: Buffer, offset: number, bytes: number): number {
    const { address } = buffer as TrackedBuffer<WasmBlock>;
    if (!(address > 0)) throw new Error('internal: memory that is freed or of another device');
    if (offset < 0 || offset + bytes > buffer.bytes)
      throw new Error(`internal: bytes ${offset} to ${offset + bytes} of a buffer of ${buffer.bytes}`);
    return address + offset;
  }
}

interface WasmContext {
  readonly runtime: WasmRuntime;
  /** Functions by the text of what they do, for all programs. */
  readonly kernels: Map<string, KernelFunction>;
  reserveArena(bytes: number): number;
  take(bytes: number): number;
  reserveScratch(bytes: number): void;
}

interface WasmMatmul extends MatmulBlock {
  readonly count: number;
  readonly grain: number;
  readonly scratchBytes: number;
}

type Task = Program['stages'][number][number];
interface WasmSegment {
  readonly program: Program | null;
  readonly hosts: readonly HostStep[];
}

const matmulDtypes: ReadonlySet<DType> = new Set([float32]);
/** V8 swaps optimized code in between two calls only, so a first run of a large grid is worth some pieces. */
const mostPieces = 64;

class WasmExecutable implements Executable {
  readonly #context: WasmContext;
  readonly #plan: ProgramPlan;
  readonly #steps: readonly Step[];
  readonly #arguments: ProgramArguments;
  readonly #functions: readonly KernelFunction[];
  #address: number;
  #segments: WasmSegment[] | null = null;

  constructor(plan: ProgramPlan, context: WasmContext) {
    this.#context = context;
    this.#plan = legalizeMatmuls(plan, { float32: matmulDtypes, batchDims: 1 });
    const prepared = new PreparedKernels((kernel) => decomposeKernel(kernel, undefined, { nativeRound: wasmNativeRound }));
    const keys: string[] = [];
    this.#steps = this.#plan.steps.map((step, i) => {
      const known = step.kind === 'kernel' ? prepared.of(step.kernel) : null;
      keys[i] = known !== null ? known.key : step.kind === 'matmul' ? `product ${typeOf(step)}` : '';
      return known === null ? step : ({ ...step, kernel: known.kernel } as KernelStep);
    });
    this.#arguments = new ProgramArguments(this.#plan, matmulWordCount, planProduct);
    this.#functions = this.#compile(keys);
    this.#address = context.take(this.#arguments.bytes);
    this.#attach();
  }

  run({ externals, outputs, symbols, scalars }: Bindings): void {
    const args = this.#arguments;
    this.#attach();
    if (this.#segments === null || !args.isSpecializedFor(symbols)) this.#specialize(symbols);
    const arena = this.#context.reserveArena(args.arenaBytes);
    // Reserving may have moved the memory.
    this.#attach();
    args.bindArena(arena);
    args.bindBuffers(externals, outputs);
    args.bindScalars(scalars);
    const memory = (id: number): Uint8Array => {
      const { kind, slot, size, dtype } = this.#plan.buffers[id];
      const { u8 } = this.#context.runtime.views;
      if (kind === 'temporary') {
        const at = arena + args.temporaryOffset(id);
        return u8.subarray(at, at + dims.evaluate(size, symbols) * dtype.itemsize);
      }
      const buffer = (kind === 'external' ? externals : outputs)[slot] as TrackedBuffer<WasmBlock>;
      return u8.subarray(buffer.address, buffer.address + buffer.bytes);
    };
    for (const { program, hosts } of this.#segments!) {
      if (program !== null) this.#context.runtime.run(program);
      for (const step of hosts) runHostStep(step, symbols, memory);
    }
  }

  dispose(): void {
    if (this.#address !== 0) this.#context.runtime.free(this.#address);
    this.#address = 0;
  }

  listing(): string {
    return this.#plan.steps
      .map((step, i) => {
        const head = `step ${i}, stage ${this.#plan.stages[i]}: ${step.place}\n`;
        if (step.kind === 'host') return `${head}host function ${step.fn.name}\n`;
        if (step.kind === 'matmul') return `${head}product [${[...step.batch, step.m, step.n, step.k].map(dims.keyOf).join(' x ')}]\n`;
        return `${head}${printKernel(step.kernel)}${printVectorKernel(lower((this.#steps[i] as KernelStep).kernel))}`;
      })
      .join('\n');
  }

  #attach(): void {
    const { u8 } = this.#context.runtime.views;
    if (!this.#arguments.isAttachedTo(u8.buffer)) this.#arguments.attach(u8.subarray(this.#address, this.#address + this.#arguments.bytes));
  }

  #compile(keys: readonly string[]): KernelFunction[] {
    const { kernels, runtime } = this.#context;
    const fused = hasFusedMultiplyAdd();
    const fresh = new Map<string, KernelSource>();
    this.#steps.forEach((step, i) => {
      const key = keys[i];
      if (step.kind === 'host' || kernels.has(key) || fresh.has(key)) return;
      fresh.set(key, step.kind === 'matmul' ? matmulSource(typeOf(step), { fused }) : kernelSource(lower(step.kernel), { fused }));
    });
    const functions = runtime.compile([...fresh.values()]);
    [...fresh.keys()].forEach((key, i) => {
      kernels.set(key, functions[i]);
    });
    return keys.map((key) => kernels.get(key)!);
  }

  #specialize(symbols: ArrayLike<number>): void {
    this.#segments = null;
    this.#arguments.specialize(symbols);
    let scratchBytes = 0;
    const order = [...this.#steps.keys()].sort((i, j) => this.#plan.stages[i] - this.#plan.stages[j] || i - j);
    const segments: { tasks: Task[]; hosts: HostStep[] }[] = [{ tasks: [], hosts: [] }];
    let stage = -1;
    const taskOf = (i: number, step: KernelStep | MatmulStep): Task => {
      const args = this.#address + this.#arguments.firstWord[i] * 8;
      const fn = this.#functions[i];
      if (step.kind === 'matmul') {
        const block = this.#arguments.matmuls[i] as WasmMatmul;
        scratchBytes = Math.max(scratchBytes, block.scratchBytes);
        return { fn, args, count: block.count, grain: block.grain };
      }
      scratchBytes = Math.max(scratchBytes, localOffset(step.kernel.buffers));
      const count = gridCount(step, symbols);
      const pieces = Math.min(mostPieces, Math.floor((count * workPerItem(step, symbols)) / leastWork));
      const vector = step.kernel.grid.at(-1)?.kind === 'vector';
      return { fn, args, count, grain: pieces < 2 ? whole : roundGrain(Math.ceil(count / pieces), vector, false) };
    };
    for (const i of order) {
      const step = this.#steps[i];
      // Host steps run after the kernels before them in the order of stages, and before those of later stages.
      if (segments.at(-1)!.hosts.length > 0 && (step.kind !== 'host' || this.#plan.stages[i] !== stage))
        segments.push({ tasks: [], hosts: [] });
      stage = this.#plan.stages[i];
      if (step.kind === 'host') segments.at(-1)!.hosts.push(step);
      else segments.at(-1)!.tasks.push(taskOf(i, step));
    }
    this.#context.reserveScratch(scratchBytes);
    this.#segments = segments.map(({ tasks, hosts }) => ({
      program: tasks.length === 0 ? null : { stages: [tasks], scratchBytes },
      hosts,
    }));
  }
}

const typeOf = (step: MatmulStep): MatmulType => (step.c.dtype === float32 ? 'f32' : 'f64');
const lower = (kernel: Kernel): VectorKernel => lowerKernel(kernel, { lanes: wasmLanes(touchesWide(kernel)) });

/** At most one batch dim is left after merging (see `legalizeMatmuls`); rows of a batch that shares B join the rows. */
function planProduct(step: MatmulStep, symbols: ArrayLike<number>): WasmMatmul {
  const at = (d: dims.Dim): number => dims.evaluate(d, symbols);
  const type = typeOf(step);
  const sizes = step.batch.map(at);
  let batch = sizes.reduce((p, d) => p * d, 1);
  let m = at(step.m);
  const [n, k] = [at(step.n), at(step.k)];
  // The innermost real dim's stride is that of all of them together.
  const inner = sizes.findLastIndex((d) => d !== 1);
  const batchStride = (o: MatmulStep['a']): number => (inner < 0 ? 0 : at(o.batch[inner]));
  const [a, b, c] = [step.a, step.b, step.c];
  const rows = { a: at(a.row), c: at(c.row) };
  let strides: MatmulStrides = {
    a: [batchStride(a), rows.a, at(a.column)],
    b: [batchStride(b), at(b.row), at(b.column)],
    c: [batchStride(c), rows.c],
  };
  if (batch > 1 && strides.b[0] === 0 && strides.a[0] === m * rows.a && strides.c[0] === m * rows.c) {
    m *= batch;
    batch = 1;
    strides = { ...strides, a: [0, rows.a, strides.a[2]], c: [0, rows.c] };
  }
  const shape: MatmulShape = { batch, m, n, k };
  const plan = planMatmul(shape, type);
  const words = matmulArguments({ a: 0, b: 0, c: 0 }, shape, strides, plan);
  const addresses = [a, b, c].map((o, word) => ({ word, buffer: o.buffer, offset: at(o.offset) * o.dtype.itemsize }));
  return { words, addresses, workspaceBytes: 0, count: plan.count, grain: plan.grain, scratchBytes: plan.scratchBytes };
}

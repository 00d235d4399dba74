/**
 * A plan on the card: its kernels in order on one stream, from the second run on as one CUDA graph.
 *
 * Everything that changes from run to run lies in the argument words, one buffer on the device that is brought up to date by one copy before
 * the launch; so a graph is replayed without touching its nodes (`graphs.ts`). What is launched is laid out in `launches.ts`, products that
 * go to cuBLAS are the business of `library-nodes.ts`. Host steps run between two segments, their operands copied down and their results up.
 */
import { bfloat16, type DType, type DTypeName, float8_e4m3fn, float8_e5m2, float16, float32 } from '../../dtype/dtype.ts';
import { decomposeKernel } from '../../kernel/decompose.ts';
import { printKernel } from '../../kernel/print.ts';
import { elementSizes } from '../../kernel/vector-ir.ts';
import { accessOf, type HostStep, type ProgramPlan, type Step } from '../../schedule/plan.ts';
import * as dims from '../../shape/dim.ts';
import { trace, tracing } from '../../util/trace.ts';
import { ProgramArguments } from '../arguments.ts';
import { runHostStep } from '../host-step.ts';
import type { Bindings, Executable } from '../interface.ts';
import { PreparedKernels } from '../kernel-key.ts';
import { legalizeMatmuls } from '../legalize-matmul.ts';
import type { TrackedBuffer } from '../tracked-memory.ts';
import type { Cublas } from './cublas.ts';
import type { Driver } from './driver.ts';
import { ProgramGraphs } from './graphs.ts';
import type { CudaKernels } from './kernel-cache.ts';
import { CudaLaunches, type Segment, type Work } from './launches.ts';
import { libraryBlocks } from './library-kernels.ts';
import { LibraryNodes } from './library-nodes.ts';
import { matmulWords, mostBatchDims, planProduct } from './matmul.ts';
import type { CudaBlock } from './memory.ts';

/** What a program needs of its device. */
export interface CudaContext {
  readonly driver: Driver;
  readonly kernels: CudaKernels;
  readonly cublas: () => Cublas | null;
  reserveArena(bytes: number): number;
  /** Scratch memory that all programs share. */
  reserveScratch(bytes: number): number;
  take(bytes: number): CudaBlock;
  release(block: CudaBlock): void;
  upload(address: number, bytes: Uint8Array): void;
  download(bytes: Uint8Array, address: number): void;
}

const nativeRound: ReadonlySet<DTypeName> = new Set((Object.keys(elementSizes) as DTypeName[]).filter((name) => name !== 'bool'));
const matmulDtypes: ReadonlySet<DType> = new Set([float32, bfloat16, float16, float8_e4m3fn, float8_e5m2]);

export class CudaExecutable implements Executable {
  readonly #context: CudaContext;
  readonly #plan: ProgramPlan;
  readonly #steps: readonly Step[];
  readonly #arguments: ProgramArguments;
  readonly #launches: CudaLaunches;
  readonly #nodes: LibraryNodes;
  readonly #graphs: ProgramGraphs;
  /** The words: here, as they are on the device, and there. */
  readonly #words: Uint8Array;
  readonly #halves: Uint32Array;
  readonly #sent: Uint8Array;
  readonly #device: CudaBlock;
  #fresh = true;
  #wide = false;
  #segments: readonly Segment[] | null = null;

  constructor(plan: ProgramPlan, context: CudaContext) {
    this.#context = context;
    this.#plan = legalizeMatmuls(plan, { float32: matmulDtypes, batchDims: mostBatchDims });
    const prepared = new PreparedKernels((kernel) => decomposeKernel(kernel, undefined, { nativeRound }));
    const keys: string[] = [];
    this.#steps = this.#plan.steps.map((step, i) => {
      if (step.kind !== 'kernel') return step;
      const { key, kernel } = prepared.of(step.kernel);
      keys[i] = key;
      return { ...step, kernel: { ...kernel, name: step.kernel.name } };
    });
    const args = new ProgramArguments(this.#plan, matmulWords, planProduct, libraryBlocks(context.driver.multiprocessors));
    this.#arguments = args;
    this.#words = new Uint8Array(args.bytes);
    this.#halves = new Uint32Array(this.#words.buffer);
    this.#sent = new Uint8Array(args.bytes);
    args.attach(this.#words);
    this.#device = context.take(args.bytes);
    this.#launches = new CudaLaunches(this.#plan, { steps: this.#steps, keys }, args, this.#device.address, context);
    this.#nodes = new LibraryNodes(context.cublas, (index, at) => this.#word(index, at));
    this.#graphs = new ProgramGraphs(context.driver, this.#nodes, (work, side) => this.#launch(work, side));
  }

  run(bindings: Bindings): void {
    const { externals, outputs, symbols, scalars } = bindings;
    const args = this.#arguments;
    if (this.#segments === null || !args.isSpecializedFor(symbols)) this.prepare(symbols);
    this.#bind(externals, outputs);
    args.bindScalars(scalars);
    if (args.isWide && !this.#wide) {
      this.#wide = true;
      this.#graphs.drop();
      this.#launches.lower(true);
      this.prepare(symbols);
      this.#bind(externals, outputs);
    }
    this.#send();
    const segments = this.#segments!;
    const [only] = segments;
    if (tracing('profile')) this.#profile(bindings);
    else if (segments.length === 1 && only.hosts.length === 0) this.#graphs.run(only.works, symbols);
    else
      for (const { works, hosts } of segments) {
        for (const work of works) this.#launch(work, 0);
        for (const step of hosts) this.#runHost(step, bindings);
      }
  }

  /** Everything that these symbols need, kernels included, without running anything. */
  prepare(symbols: ArrayLike<number>): void {
    this.#segments = null;
    this.#arguments.specialize(symbols);
    this.#segments = this.#launches.layOut(symbols);
  }

  dispose(): void {
    this.#graphs.drop();
    if (this.#device.address === 0) return;
    this.#launches.dispose();
    this.#context.release(this.#device);
  }

  listing(): string {
    return this.#steps
      .map((step, i) => {
        const head = `step ${i}, stage ${this.#plan.stages[i]}: ${step.place}\n`;
        if (step.kind === 'host') return `${head}host function ${step.fn.name}\n`;
        if (step.kind === 'matmul') {
          const size = [...step.batch, step.m, step.n, step.k].map(dims.keyOf).join(' x ');
          return `${head}product [${size}] of ${step.a.dtype} and ${step.b.dtype} into ${step.c.dtype}\n`;
        }
        return `${head}${printKernel(step.kernel)}${this.#launches.text(i)}`;
      })
      .join('\n');
  }

  #bind(externals: Bindings['externals'], outputs: Bindings['outputs']): void {
    const args = this.#arguments;
    const { scratchBytes } = this.#launches;
    // All memory is there before the first kernel runs.
    if (scratchBytes > 0 && this.#launches.bindScratch(this.#context.reserveScratch(scratchBytes))) this.#graphs.drop();
    args.bindArena(this.#context.reserveArena(args.arenaBytes));
    args.bindBuffers(externals, outputs);
  }

  /** Brings the words on the device up to date. */
  #send(): void {
    if (!this.#fresh && Buffer.compare(this.#words, this.#sent) === 0) return;
    this.#context.upload(this.#device.address, this.#words);
    this.#sent.set(this.#words);
    this.#fresh = false;
  }

  #launch(work: Work, side: number): void {
    const { driver } = this.#context;
    if (this.#nodes.run(work)) {
      driver.noteLaunch(work.label);
      return;
    }
    const kernel = work.launch.kernel !== 0 ? work.launch.kernel : this.#launches.productKernel(work.product!).handle;
    driver.launch({ ...work.launch, kernel }, work.label, side);
  }

  /** Word `at` of a step's block. */
  #word(index: number, at: number): number {
    const half = (this.#arguments.firstWord[index] + at) * 2;
    return this.#halves[half] + this.#halves[half + 1] * 2 ** 32;
  }

  // ---- host steps, profile

  #addressAndBytes(id: number, { externals, outputs, symbols }: Bindings): { readonly address: number; readonly bytes: number } {
    const { kind, slot, size, dtype } = this.#plan.buffers[id];
    if (kind === 'temporary') {
      const address = this.#context.reserveArena(this.#arguments.arenaBytes) + this.#arguments.temporaryOffset(id);
      return { address, bytes: dims.evaluate(size, symbols) * dtype.itemsize };
    }
    return (kind === 'external' ? externals : outputs)[slot] as TrackedBuffer<CudaBlock>;
  }

  #runHost(step: HostStep, bindings: Bindings): void {
    const held = new Map<number, Uint8Array>();
    runHostStep(step, bindings.symbols, (buffer) => {
      let bytes = held.get(buffer);
      if (bytes === undefined) {
        const place = this.#addressAndBytes(buffer, bindings);
        bytes = new Uint8Array(place.bytes);
        this.#context.download(bytes, place.address);
        held.set(buffer, bytes);
      }
      return bytes;
    });
    for (const buffer of new Set(step.outputs.map((o) => o.buffer))) {
      const bytes = held.get(buffer);
      if (bytes !== undefined) this.#context.upload(this.#addressAndBytes(buffer, bindings).address, bytes);
    }
  }

  /** Kernel by kernel, each timed by two events. */
  #profile(bindings: Bindings): void {
    const { driver } = this.#context;
    for (const { works, hosts } of this.#segments!) {
      const events = works.map(() => driver.event());
      const first = driver.event();
      driver.record(first);
      works.forEach((work, i) => {
        this.#launch(work, 0);
        driver.record(events[i]);
      });
      driver.synchronize();
      trace('profile', () => {
        const lines = works.map((work, i) => {
          const microseconds = driver.elapsed(i === 0 ? first : events[i - 1], events[i]) * 1000;
          const bytes = this.#bytesOf(this.#steps[work.index], bindings);
          return `${microseconds.toFixed(1).padStart(10)} us ${(bytes / 1e6).toFixed(3).padStart(12)} MB ${(bytes / microseconds / 1000).toFixed(1).padStart(8)} GB/s  ${work.label}`;
        });
        return lines.join('\n');
      });
      for (const event of [first, ...events]) driver.releaseEvent(event);
      for (const step of hosts) this.#runHost(step, bindings);
    }
  }

  /** Bytes that a step reads and writes, each buffer once and whole. */
  #bytesOf(step: Step, bindings: Bindings): number {
    const { reads, writes } = accessOf(step);
    return [...new Set(reads), ...new Set(writes)].reduce((sum, id) => sum + this.#addressAndBytes(id, bindings).bytes, 0);
  }
}

/**
 * A plan on the card: its kernels in order on one stream, from the second run on as one CUDA graph.
 *
 * Everything that changes from run to run lies in the argument words, one buffer on the device that is brought up to date by one copy before
 * the launch; so a graph is replayed without touching its nodes. Only cuBLAS takes addresses by value: a graph belongs to the addresses of
 * its operands (and to the symbols, which settle the grids), and a few graphs are kept. Host steps run between two segments, their operands
 * copied down and their results up. In a graph the steps of a stage run side by side; cuBLAS, which has one workspace, does one thing after the other.
 */
import { bfloat16, type DType, type DTypeName, float8_e4m3fn, float8_e5m2, float16, float32 } from '../../dtype/dtype.ts';
import { decomposeKernel } from '../../kernel/decompose.ts';
import { type Kernel, localOffset } from '../../kernel/ir.ts';
import { lowerKernel } from '../../kernel/lower.ts';
import { printKernel } from '../../kernel/print.ts';
import { elementSizes, type VectorKernel } from '../../kernel/vector-ir.ts';
import { accessOf, gridCount, type HostStep, type KernelStep, type MatmulStep, type ProgramPlan, type Step } from '../../schedule/plan.ts';
import * as dims from '../../shape/dim.ts';
import { trace, tracing } from '../../util/trace.ts';
import { ProgramArguments } from '../arguments.ts';
import { findSharedItem, type SharedItem } from '../clike/folds.ts';
import { renderKernel, type Sharing, slotBytes, windowSize } from '../clike/render.ts';
import { runHostStep } from '../host-step.ts';
import type { Bindings, Executable } from '../interface.ts';
import { PreparedKernels } from '../kernel-key.ts';
import { legalizeMatmuls } from '../legalize-matmul.ts';
import type { TrackedBuffer } from '../tracked-memory.ts';
import type { Cublas } from './cublas.ts';
import { cuda, farLocals, mostBlockThreads, mostSharedLocals, mostThreads, teamThreads } from './dialect.ts';
import type { Driver, Launch } from './driver.ts';
import type { CudaKernel, CudaKernels, KernelRequest } from './kernel-cache.ts';
import { type CudaMatmul, matmulName, matmulSource, matmulWords, mostBatchDims, planProduct, typesOf } from './matmul.ts';
import type { CudaBlock } from './memory.ts';
import { matmulSettings } from './settings.ts';

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

/** One launch: of a kernel, or of a product that cuBLAS may take. */
interface Work {
  readonly index: number;
  readonly stage: number;
  readonly label: string;
  readonly launch: Launch;
  readonly product: CudaMatmul | null;
}
interface Segment {
  readonly works: readonly Work[];
  readonly hosts: readonly HostStep[];
}
interface RecordedGraph {
  readonly key: readonly number[];
  /** Graphs, and works that are launched by themselves. */
  readonly parts: readonly (number | readonly Work[])[];
}

const nativeRound: ReadonlySet<DTypeName> = new Set((Object.keys(elementSizes) as DTypeName[]).filter((name) => name !== 'bool'));
const matmulDtypes: ReadonlySet<DType> = new Set([float32, bfloat16, float16, float8_e4m3fn, float8_e5m2]);
const parameterBytes = 64;
const keptGraphs = 8;
const leastRecorded = 3;
/** Kernels of a graph that run beside the first of their stage. */
const mostSides = 15;
/** Captures that were of no use, after which a program is launched kernel by kernel for good. */
const mostWasted = 64;
/** Elements of a flat grid that a team takes when there are plenty, and when there are few. */
const [roomyGrain, smallGrain] = [64, 16];

/** Steps of sixteen elements from which an item is worth a block, and when there are few items; blocks of a reduction worth a kernel of their own. */
const [longItem, fewItemsLong, leastAhead] = [128, 32, 32];
/** Bytes that an item keeps of which too few would fit an SM, one for each team. */
const largeLocals = 4096;

const labelOf = (step: Step): string =>
  step.kind === 'kernel' ? `${step.kernel.name} [${step.place}]` : `${step.kind === 'matmul' ? 'product' : step.fn.name} [${step.place}]`;

export class CudaExecutable implements Executable {
  readonly #context: CudaContext;
  readonly #plan: ProgramPlan;
  readonly #steps: readonly Step[];
  readonly #keys: readonly string[];
  readonly #arguments: ProgramArguments;
  /** The words: here, as they are on the device, and there. */
  readonly #words: Uint8Array;
  readonly #sent: Uint8Array;
  readonly #device: CudaBlock;
  readonly #parameters: ReturnType<Driver['hostMemory']>;
  /** Products that cuBLAS has refused. */
  readonly #refused = new Set<number>();
  /** What can be shared of the items of a kernel step; null: nothing. */
  #items: (SharedItem | null)[] = [];
  #wanted: KernelRequest[] | null = null;
  #fresh = true;
  #wide = false;
  #segments: Segment[] | null = null;
  #scratchBytes = 0;
  readonly #scratchUsed = new Map<number, number>();
  readonly #scratchOffsets: number[] = [];
  #scratch = 0;
  #graphs: RecordedGraph[] = [];
  /** Products of cuBLAS whose addresses change from run to run. */
  readonly #unstable = new Set<number>();
  #lastAddresses: ReadonlyMap<number, readonly number[]> = new Map();
  #seen: number[] | null = null;
  #wasted = 0;

  constructor(plan: ProgramPlan, context: CudaContext) {
    this.#context = context;
    this.#plan = legalizeMatmuls(plan, { float32: matmulDtypes, batchDims: mostBatchDims });
    const prepared = new PreparedKernels((kernel) => decomposeKernel(kernel, undefined, { nativeRound }));
    const keys: string[] = [];
    this.#steps = this.#plan.steps.map((step, i) => {
      if (step.kind !== 'kernel') return step;
      const { key, kernel } = prepared.of(step.kernel);
      keys[i] = key;
      return { ...step, kernel };
    });
    this.#keys = keys;
    this.#arguments = new ProgramArguments(this.#plan, matmulWords, planProduct);
    this.#compile();
    const { bytes } = this.#arguments;
    this.#words = new Uint8Array(bytes);
    this.#sent = new Uint8Array(bytes);
    this.#arguments.attach(this.#words);
    this.#device = context.take(bytes);
    this.#parameters = context.driver.hostMemory(Math.max(1, this.#steps.length) * parameterBytes);
  }

  run(bindings: Bindings): void {
    const { externals, outputs, symbols, scalars } = bindings;
    const args = this.#arguments;
    if (this.#segments === null || !args.isSpecializedFor(symbols)) this.#specialize(symbols);
    this.#bind(externals, outputs);
    args.bindScalars(scalars);
    if (args.isWide && !this.#wide) {
      this.#wide = true;
      this.#compile();
      this.#specialize(symbols);
      this.#bind(externals, outputs);
    }
    this.#send();
    const segments = this.#segments!;
    const [only] = segments;
    if (tracing('profile')) this.#profile(bindings);
    else if (segments.length === 1 && only.hosts.length === 0) this.#runWhole(only.works, symbols);
    else
      for (const { works, hosts } of segments) {
        this.#launchAll(works);
        for (const step of hosts) this.#runHost(step, bindings);
      }
  }

  dispose(): void {
    this.#dropGraphs();
    if (this.#device.address === 0) return;
    // Parameters are copied at the launch; nothing that was launched reads them.
    this.#parameters.free();
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
        return `${head}${printKernel(step.kernel)}${renderKernel(this.#lower(step.kernel), cuda, nameOf(step.kernel))}`;
      })
      .join('\n');
  }

  // ---- code

  #lower(kernel: Kernel): VectorKernel {
    return lowerKernel(kernel, { lanes: 16, laneIndexType: this.#wide ? 'i64' : 'i32' });
  }

  #kernelFor(index: number, variant: string, make: (vector: VectorKernel) => Sharing | null): CudaKernel {
    const { kernel } = this.#steps[index] as KernelStep;
    const name = `${nameOf(kernel)}${variant}`;
    const key = `${this.#wide ? 'wide' : ''}${variant}\n${this.#keys[index]}`;
    const source = (): string => {
      const vector = this.#lower(kernel);
      return `${cuda.prelude}${renderKernel(vector, cuda, name, make(vector))}`;
    };
    return this.#take({ key, name, source });
  }

  /** A kernel; while kernels are only being counted up, a stand-in. */
  #take(request: KernelRequest): CudaKernel {
    if (this.#wanted === null) return this.#context.kernels.get(request);
    this.#wanted.push(request);
    return { handle: 0, name: request.name };
  }

  #compile(): void {
    this.#dropGraphs();
    this.#items = this.#steps.map((step) => {
      return step.kind === 'kernel' ? findSharedItem(this.#lower(step.kernel)) : null;
    });
  }

  #productKernel(step: MatmulStep): CudaKernel {
    const types = typesOf(step);
    const name = matmulName(types);
    return this.#take({ key: name, name, source: () => matmulSource(types) });
  }

  // ---- launches

  #specialize(symbols: ArrayLike<number>): void {
    const args = this.#arguments;
    args.specialize(symbols);
    this.#segments = null;
    // Once to see which kernels it takes, so that they are compiled together.
    this.#wanted = [];
    this.#layOut(symbols);
    const wanted = this.#wanted;
    this.#wanted = null;
    this.#context.kernels.prepare(wanted);
    this.#segments = this.#layOut(symbols);
  }

  #layOut(symbols: ArrayLike<number>): Segment[] {
    this.#scratchBytes = 0;
    this.#scratchUsed.clear();
    const { stages } = this.#plan;
    const order = [...this.#steps.keys()].sort((i, j) => stages[i] - stages[j] || i - j);
    const segments: { works: Work[]; hosts: HostStep[] }[] = [{ works: [], hosts: [] }];
    let stage = -1;
    for (const i of order) {
      const step = this.#steps[i];
      // Host steps run after the kernels before them in the order of stages, and before those of later stages.
      if (segments.at(-1)!.hosts.length > 0 && (step.kind !== 'host' || stages[i] !== stage)) segments.push({ works: [], hosts: [] });
      stage = stages[i];
      const segment = segments.at(-1)!;
      if (step.kind === 'host') segment.hosts.push(step);
      else {
        if (step.kind === 'matmul') segment.works.push(...this.#productWork(i, step));
        else segment.works.push(...this.#kernelWorks(i, step, symbols));
      }
    }
    return segments;
  }

  #productWork(index: number, step: MatmulStep): Work[] {
    const product = this.#arguments.matmuls[index] as CudaMatmul;
    if (product.grid.some((size) => size === 0)) return [];
    // Our kernel is compiled only where it is needed.
    const usesOwn = product.gemm === null || this.#context.cublas() === null;
    const kernel = usesOwn ? this.#productKernel(step).handle : 0;
    const parameters = this.#writeParameters(index, 0, 0, 0);
    const stage = this.#plan.stages[index];
    return [
      {
        index,
        stage,
        label: labelOf(step),
        launch: { kernel, grid: product.grid, threads: mostThreads, sharedBytes: 0, parameters },
        product,
      },
    ];
  }

  /** An item shared by a block, when it is long; with few such items, long reductions are computed ahead by the whole card. */
  #sharedWorks(index: number, step: KernelStep, gridIndices: number, item: SharedItem): Work[] {
    const { driver } = this.#context;
    const { multiprocessors } = driver;
    const locals = localOffset(step.kernel.buffers);
    const grain = item.flat ? 16 : 1;
    const count = Math.ceil(gridIndices / grain);
    const free = [...item.folds.values()].filter((f) => f.free).reduce((most, f) => Math.max(most, f.iterations), 0);
    const ahead = count * 4 <= multiprocessors && free >= leastAhead;
    const slots = slotBytes(item, ahead);
    const far = slots + farLocals(locals);
    const blocks = far === 0 || ahead ? Math.min(count, 2 ** 31 - 1) : Math.min(count, multiprocessors * 4);
    const teams = Math.min(mostBlockThreads / teamThreads, Math.max(4, 2 ** Math.floor(Math.log2(item.longest / 8))));
    const sharedBytes = windowSize + (farLocals(locals) === 0 ? locals : 0);
    const parameters = this.#writeParameters(index, gridIndices, grain, blocks * far);
    const main = this.#kernelFor(index, ahead ? '_rest' : '_block', (vector) => ({ mode: 'block', item: findSharedItem(vector)!, ahead }));
    if (sharedBytes > 48 * 1024 && main.handle !== 0) driver.setSharedBytes(main.handle, sharedBytes);
    const works: Work[] = [];
    const stage = this.#plan.stages[index];
    const label = `${labelOf(step)} ${count} x ${item.longest} shared by ${teams} teams`;
    if (ahead) {
      const kernel = this.#kernelFor(index, '_ahead', (vector) => ({ mode: 'ahead', item: findSharedItem(vector)!, ahead }));
      const perBlock = mostThreads / teamThreads;
      const wanted = Math.ceil(Math.min(free, (multiprocessors * 8 * perBlock) / count) / perBlock);
      works.push({
        index,
        stage,
        label: `cells of ${label}`,
        launch: { kernel: kernel.handle, grid: [Math.max(1, wanted), count, 1], threads: mostThreads, sharedBytes: 0, parameters },
        product: null,
      });
    }
    works.push({
      index,
      stage,
      label,
      launch: { kernel: main.handle, grid: [blocks, 1, 1], threads: teams * teamThreads, sharedBytes, parameters },
      product: null,
    });
    return works;
  }

  #kernelWorks(index: number, step: KernelStep, symbols: ArrayLike<number>): Work[] {
    const count = gridCount(step, symbols);
    if (count === 0) return [];
    const { driver } = this.#context;
    const item = this.#items[index];
    const { multiprocessors } = driver;
    const locals = localOffset(step.kernel.buffers);
    const items = item?.flat === true ? count / 16 : count;
    const long = item !== null && item.longest >= longItem && (items < multiprocessors * 16 || locals >= largeLocals);
    if (item !== null && (long || (item.longest >= fewItemsLong && items <= multiprocessors * 4)))
      return this.#sharedWorks(index, step, count, item);
    const vector = step.kernel.grid.at(-1)?.kind === 'vector';
    const plenty = count / roomyGrain >= multiprocessors * 64;
    const grain = vector ? (plenty ? roomyGrain : smallGrain) : 1;
    const teams = Math.ceil(count / grain);
    const shared = locals > 0 && locals <= mostSharedLocals;
    // Blocks enough for all processors first, then larger ones.
    let perBlock = Math.min(mostThreads / teamThreads, Math.max(2, 2 ** Math.floor(Math.log2(Math.max(1, teams / (multiprocessors * 2))))));
    if (shared) perBlock = Math.max(1, Math.min(perBlock, Math.floor(mostSharedLocals / locals)));
    let blocks = Math.ceil(teams / perBlock);
    let far = 0;
    if (locals > mostSharedLocals) {
      blocks = Math.min(blocks, multiprocessors * 8);
      far = blocks * perBlock * locals;
    }
    const parameters = this.#writeParameters(index, count, grain, far);
    const launch: Launch = {
      kernel: this.#kernelFor(index, '', () => null).handle,
      grid: [blocks, 1, 1],
      threads: perBlock * teamThreads,
      sharedBytes: shared ? perBlock * locals : 0,
      parameters,
    };
    return [{ index, stage: this.#plan.stages[index], label: `${labelOf(step)} ${count}`, launch, product: null }];
  }

  /** The kernel's parameters (argument words, count, grain, scratch memory) and pointers to them. */
  #writeParameters(index: number, count: number, grain: number, scratchBytes: number): number {
    const { address, bytes } = this.#parameters;
    const at = index * parameterBytes;
    const view = new DataView(bytes.buffer, bytes.byteOffset + at, parameterBytes);
    const values = [
      this.#device.address + this.#arguments.firstWord[index] * 8,
      count,
      grain,
      this.#scratch + this.#takeScratch(index, scratchBytes),
    ];
    values.forEach((value, i) => {
      view.setBigUint64(i * 8, BigInt(value), true);
      view.setBigUint64((values.length + i) * 8, BigInt(address + at + i * 8), true);
    });
    return address + at + values.length * 8;
  }

  /** Steps of one stage have scratch memory side by side, those of different stages share it. */
  #takeScratch(index: number, bytes: number): number {
    const stage = this.#plan.stages[index];
    const offset = this.#scratchUsed.get(stage) ?? 0;
    this.#scratchUsed.set(stage, offset + Math.ceil(bytes / 256) * 256);
    this.#scratchOffsets[index] = offset;
    this.#scratchBytes = Math.max(this.#scratchBytes, offset + bytes);
    return offset;
  }

  #bind(externals: Bindings['externals'], outputs: Bindings['outputs']): void {
    const args = this.#arguments;
    // All memory is there before the first kernel runs.
    if (this.#scratchBytes > 0) this.#bindScratch(this.#context.reserveScratch(this.#scratchBytes));
    args.bindArena(this.#context.reserveArena(args.arenaBytes));
    args.bindBuffers(externals, outputs);
  }

  #bindScratch(address: number): void {
    if (address === this.#scratch) return;
    this.#scratch = address;
    this.#dropGraphs();
    const { bytes } = this.#parameters;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    for (let i = 0; i < this.#steps.length; i++)
      view.setBigUint64(i * parameterBytes + 24, BigInt(address + (this.#scratchOffsets[i] ?? 0)), true);
  }

  /** Brings the words on the device up to date. */
  #send(): void {
    if (!this.#fresh && Buffer.compare(this.#words, this.#sent) === 0) return;
    this.#context.upload(this.#device.address, this.#words);
    this.#sent.set(this.#words);
    this.#fresh = false;
  }

  #launchAll(works: readonly Work[]): void {
    for (const work of works) this.#launch(work);
  }

  #takesCublas({ index, product }: Work): boolean {
    return product !== null && product.gemm !== null && !this.#refused.has(index) && this.#context.cublas() !== null;
  }

  #launch(work: Work, side = 0): void {
    const { driver } = this.#context;
    const { index, product } = work;
    if (this.#takesCublas(work)) {
      const status = this.#context.cublas()!.run(product!.gemm!, this.#word(index, 0), this.#word(index, 1), this.#word(index, 2));
      driver.statistics.launches++;
      if (status === 0) return;
      this.#refused.add(index);
      trace('kernels', () => `cuBLAS refused ${work.label} with status ${status}`);
    }
    const kernel = work.launch.kernel !== 0 ? work.launch.kernel : this.#productKernel(this.#steps[index] as MatmulStep).handle;
    driver.launch({ ...work.launch, kernel }, work.label, side);
  }

  /** Word `at` of a step's block. */
  #word(index: number, at: number): number {
    const { buffer, byteOffset } = this.#words;
    const halves = new Uint32Array(buffer, byteOffset + (this.#arguments.firstWord[index] + at) * 8, 2);
    return halves[0] + halves[1] * 2 ** 32;
  }

  // ---- graphs

  #runWhole(works: readonly Work[], symbols: ArrayLike<number>): void {
    // A graph of one or two kernels saves nothing.
    if (works.length < leastRecorded || this.#wasted > mostWasted) {
      this.#launchAll(works);
      return;
    }
    let key = this.#graphKey(works, symbols);
    const known = this.#graphs.findIndex((g) => sameNumbers(g.key, key));
    if (known >= 0) {
      const [found] = this.#graphs.splice(known, 1);
      this.#graphs.unshift(found);
      this.#wasted = Math.max(0, this.#wasted - 1);
      this.#replay(found);
      return;
    }
    if (this.#seen === null || !sameNumbers(this.#seen, key)) {
      this.#wasted++;
      if (this.#noteUnstable(works, symbols)) key = this.#graphKey(works, symbols);
      this.#seen = key;
      this.#launchAll(works);
      return;
    }
    const recorded = this.#record(works, key);
    this.#graphs.unshift(recorded);
    if (this.#graphs.length > keptGraphs) this.#destroy(this.#graphs.pop()!);
    this.#replay(recorded);
  }

  /** Products whose addresses are others than last time are left out of graphs; true if there are new ones. */
  #noteUnstable(works: readonly Work[], symbols: ArrayLike<number>): boolean {
    const last = this.#lastAddresses;
    const now = new Map<number, readonly number[]>();
    let found = false;
    for (const work of works) {
      const { index } = work;
      if (!this.#takesCublas(work)) continue;
      const addresses = [this.#word(index, 0), this.#word(index, 1), this.#word(index, 2)];
      now.set(index, addresses);
      const before = last.get(index);
      // A size that changed moves everything once: that says nothing.
      if (before === undefined || symbols.length > 0 || sameNumbers(before, addresses)) continue;
      found ||= !this.#unstable.has(index);
      this.#unstable.add(index);
    }
    this.#lastAddresses = now;
    return found;
  }

  /** Graphs of the works between unstable products. */
  #record(works: readonly Work[], key: readonly number[]): RecordedGraph {
    const { driver } = this.#context;
    const parts: (number | readonly Work[])[] = [];
    let run: Work[] = [];
    const close = (): void => {
      const some = run;
      run = [];
      if (some.length === 0) return;
      if (some.length < leastRecorded) {
        parts.push(some);
        return;
      }
      const launched = driver.statistics.launches;
      parts.push(driver.capture(() => this.#launchStages(some)));
      driver.statistics.launches = launched;
    };
    for (const work of works) {
      if (!this.#unstable.has(work.index)) run.push(work);
      else {
        close();
        parts.push([work]);
      }
    }
    close();
    return { key, parts };
  }

  #replay({ parts }: RecordedGraph): void {
    for (const part of parts) {
      if (typeof part === 'number') this.#context.driver.launchGraph(part);
      else this.#launchAll(part);
    }
  }

  #destroy({ parts }: RecordedGraph): void {
    for (const part of parts) if (typeof part === 'number') this.#context.driver.destroyGraph(part);
  }

  /** Launches for a graph: what a stage's kernels do at once is the card's business. */
  #launchStages(works: readonly Work[]): void {
    const { driver } = this.#context;
    for (let first = 0; first < works.length; ) {
      const { stage } = works[first];
      let end = first;
      while (end < works.length && works[end].stage === stage) end++;
      const steps = [...new Set(works.slice(first, end).map((w) => w.index))];
      const sides = Math.min(mostSides, steps.length - 1);
      if (sides > 0) driver.fork(sides);
      for (const work of works.slice(first, end)) {
        const onMain = work.product !== null && this.#takesCublas(work);
        this.#launch(work, onMain ? 0 : steps.indexOf(work.index) % (sides + 1));
      }
      if (sides > 0) driver.join(sides);
      first = end;
    }
  }

  /** What a graph has in it besides the words: addresses that cuBLAS was given, grids, the precision of products. */
  #graphKey(works: readonly Work[], symbols: ArrayLike<number>): number[] {
    const key: number[] = [matmulSettings.allowTf32 ? 1 : 0, ...Array.from(symbols)];
    for (const work of works)
      if (this.#takesCublas(work) && !this.#unstable.has(work.index)) for (let at = 0; at < 3; at++) key.push(this.#word(work.index, at));
    return key;
  }

  #dropGraphs(): void {
    for (const graph of this.#graphs) this.#destroy(graph);
    this.#graphs = [];
    this.#seen = null;
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
        this.#launch(work);
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

/** A name that CUDA accepts. */
function nameOf(kernel: Kernel): string {
  return `k_${kernel.name.replace(/[^A-Za-z0-9_]/g, '_').slice(0, 60)}`;
}

function sameNumbers(a: readonly number[], b: readonly number[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

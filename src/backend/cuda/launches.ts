/**
 * From a plan's steps to launches: which kernels, in which form, on which grid, for the symbols at hand.
 *
 * A kernel step becomes one launch (two where a long reduction is computed ahead by the whole card), a product one that cuBLAS may take. A
 * launch's parameters are four words in host memory: where its argument words lie on the device, the size of its grid, how much of that a
 * team takes at a time, and its scratch memory. Which kernels are wanted is found out first, so that new ones are compiled together.
 * Launches nothing and knows no graphs.
 */
import { type Kernel, localOffset } from '../../kernel/ir.ts';
import { lowerKernel } from '../../kernel/lower.ts';
import type { VectorKernel } from '../../kernel/vector-ir.ts';
import { gridCount, type HostStep, type KernelStep, type MatmulStep, type ProgramPlan, type Step } from '../../schedule/plan.ts';
import * as dims from '../../shape/dim.ts';
import type { ProgramArguments } from '../arguments.ts';
import { findSharedItem, type SharedItem } from '../clike/folds.ts';
import { renderKernel, type Sharing, slotBytes, windowSize } from '../clike/render.ts';
import type { Cublas } from './cublas.ts';
import { cuda, farLocals, mostBlockThreads, mostSharedLocals, mostThreads, teamThreads } from './dialect.ts';
import type { Driver, Launch } from './driver.ts';
import type { CudaKernel, KernelRequest } from './kernel-cache.ts';
import type { LibraryBlock } from './library-kernels.ts';
import type { CudaMatmul } from './matmul.ts';

/** What laying out needs of its device. */
export interface LaunchContext {
  readonly driver: Pick<Driver, 'multiprocessors' | 'setSharedBytes' | 'hostMemory'>;
  readonly kernels: { get(request: KernelRequest): CudaKernel; prepare(requests: readonly KernelRequest[]): void };
  readonly cublas: () => Cublas | null;
}

/** One launch: of a kernel, or of a product that cuBLAS may take. */
export interface Work {
  readonly index: number;
  readonly stage: number;
  readonly label: string;
  readonly launch: Launch;
  readonly product: CudaMatmul | null;
}
/** Launches, and the host steps after them. */
export interface Segment {
  readonly works: readonly Work[];
  readonly hosts: readonly HostStep[];
}

const parameterBytes = 64;
const keptLayouts = 8;
/** Elements of a flat grid that a team takes when there are plenty, and when there are few. */
const [roomyGrain, smallGrain] = [64, 16];
/** Steps of sixteen elements from which an item is worth a block, and when there are few items; blocks of a reduction worth a kernel of their own. */
const [longItem, fewItemsLong, leastAhead] = [128, 32, 32];
/** Bytes that an item keeps of which too few would fit an SM, one for each team. */
const largeLocals = 4096;

const labelOf = (step: Step): string =>
  step.kind === 'kernel' ? `${step.kernel.name} [${step.place}]` : `${step.kind === 'matmul' ? 'product' : step.fn.name} [${step.place}]`;

const sizeText = ({ batch, m, n, k }: MatmulStep): string => [...batch, m, n, k].map(dims.keyOf).join('x');

/** A name that CUDA accepts, the same for the same kernel in any process: what it is called, without its number in the program, and a hash. */
export function nameOf(kernel: Kernel, key: string): string {
  const readable = kernel.name.replace(/_\d+$/, '').replace(/[^A-Za-z0-9_]/g, '_');
  const hash = process.getBuiltinModule('node:crypto').createHash('sha256');
  return `k_${readable.slice(0, 40)}_${hash.update(key).digest('hex').slice(0, 12)}`;
}

function sameItems(a: readonly unknown[], b: readonly unknown[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

export class CudaLaunches {
  readonly #plan: ProgramPlan;
  readonly #steps: readonly Step[];
  readonly #names: readonly string[];
  readonly #keys: readonly string[];
  readonly #arguments: ProgramArguments;
  readonly #words: number;
  readonly #context: LaunchContext;
  readonly #parameters: ReturnType<Driver['hostMemory']>;
  /** What can be shared of the items of a kernel step; null: nothing. */
  #items: (SharedItem | null)[] = [];
  #wide = false;
  /** What was laid out last, newest first. */
  #laidOut: { readonly shape: readonly unknown[]; readonly segments: readonly Segment[] }[] = [];
  #wanted: KernelRequest[] | null = null;
  #scratchBytes = 0;
  readonly #scratchUsed = new Map<number, number>();
  readonly #scratchOffsets: number[] = [];
  #scratch = 0;

  /** `steps` and `keys` are the plan's, with kernels made ready for the device; `words`: where the argument words lie on the device. */
  constructor(
    plan: ProgramPlan,
    prepared: { readonly steps: readonly Step[]; readonly keys: readonly string[] },
    args: ProgramArguments,
    words: number,
    context: LaunchContext,
  ) {
    this.#plan = plan;
    this.#steps = prepared.steps;
    this.#keys = prepared.keys;
    this.#names = prepared.steps.map((step, i) => (step.kind === 'kernel' ? nameOf(step.kernel, prepared.keys[i]) : ''));
    this.#arguments = args;
    this.#words = words;
    this.#context = context;
    this.#parameters = context.driver.hostMemory(Math.max(1, prepared.steps.length) * parameterBytes);
    this.lower(false);
  }

  /** Bytes of scratch memory that the launches need beside the arena. */
  get scratchBytes(): number {
    return this.#scratchBytes;
  }

  /** Kernels with 32-bit or 64-bit element indices from now on. */
  lower(wide: boolean): void {
    this.#wide = wide;
    this.#laidOut = [];
    this.#items = this.#steps.map((step) => (step.kind === 'kernel' ? findSharedItem(this.#lowered(step.kernel)) : null));
  }

  /**
   * Launches for these symbols (`args` is specialized for them); new kernels are compiled. The same ones as the last time where nothing but
   * argument words has changed: then recorded graphs hold too.
   */
  layOut(symbols: ArrayLike<number>): readonly Segment[] {
    const shape = this.#shapeOf(symbols);
    const known = this.#laidOut.findIndex((l) => sameItems(l.shape, shape));
    if (known === 0) return this.#laidOut[0].segments;
    // Parameters are written again in any case; the launches are those of before.
    const fresh = this.#layOutAnew(symbols);
    const segments = known < 0 ? fresh : this.#laidOut.splice(known, 1)[0].segments;
    this.#laidOut.unshift({ shape, segments });
    if (this.#laidOut.length > keptLayouts) this.#laidOut.pop();
    return segments;
  }

  /** Everything that the launches depend on besides the plan: grids of kernels, products and library calls as they are launched. */
  #shapeOf(symbols: ArrayLike<number>): unknown[] {
    const out: unknown[] = [];
    for (const i of this.#steps.keys()) {
      const step = this.#steps[i];
      if (step.kind === 'kernel') out.push(gridCount(step, symbols));
      else if (step.kind === 'matmul') {
        const { own, gemm } = this.#arguments.matmuls[i] as CudaMatmul;
        out.push(own.name, ...own.grid, ...(gemm === null ? [] : [JSON.stringify(gemm)]));
      } else if (this.#arguments.matmuls[i] !== undefined) {
        const { name, grid, sharedBytes, scratchBytes } = this.#arguments.matmuls[i] as LibraryBlock;
        out.push(name, ...grid, sharedBytes, scratchBytes);
      }
    }
    return out;
  }

  #layOutAnew(symbols: ArrayLike<number>): Segment[] {
    // Once to see which kernels it takes, so that they are compiled together.
    this.#wanted = [];
    this.#segmentsOf(symbols);
    const wanted = this.#wanted;
    this.#wanted = null;
    this.#context.kernels.prepare(wanted);
    return this.#segmentsOf(symbols);
  }

  /** Scratch memory is at this address from now on; true if it was elsewhere. */
  bindScratch(address: number): boolean {
    if (address === this.#scratch) return false;
    this.#scratch = address;
    const { bytes } = this.#parameters;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    for (let i = 0; i < this.#steps.length; i++)
      view.setBigUint64(i * parameterBytes + 24, BigInt(address + (this.#scratchOffsets[i] ?? 0)), true);
    return true;
  }

  /** The kernel of a product that cuBLAS does not take. */
  productKernel({ own: { name, source } }: CudaMatmul): CudaKernel {
    return this.#take({ key: name, name, source });
  }

  /** CUDA C of a kernel step. */
  text(index: number): string {
    return renderKernel(this.#lowered((this.#steps[index] as KernelStep).kernel), cuda, this.#names[index]);
  }

  dispose(): void {
    // Parameters are copied at the launch; nothing that was launched reads them.
    this.#parameters.free();
  }

  // ---- kernels

  #lowered(kernel: Kernel): VectorKernel {
    return lowerKernel(kernel, { lanes: 16, laneIndexType: this.#wide ? 'i64' : 'i32' });
  }

  #kernelFor(index: number, variant: string, make: (vector: VectorKernel) => Sharing | null): CudaKernel {
    const { kernel } = this.#steps[index] as KernelStep;
    const name = `${this.#names[index]}${this.#wide ? '_wide' : ''}${variant}`;
    const key = `${this.#wide ? 'wide' : ''}${variant}\n${this.#keys[index]}`;
    const source = (): string => {
      const vector = this.#lowered(kernel);
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

  // ---- launches

  #segmentsOf(symbols: ArrayLike<number>): Segment[] {
    this.#scratchBytes = 0;
    this.#scratchUsed.clear();
    const { stages } = this.#plan;
    const order = [...this.#steps.keys()].sort((i, j) => stages[i] - stages[j] || i - j);
    const segments: { works: Work[]; hosts: HostStep[] }[] = [{ works: [], hosts: [] }];
    let stage = -1;
    for (const i of order) {
      const step = this.#steps[i];
      // Host steps run after the kernels before them in the order of stages, and before those of later stages.
      const onHost = step.kind === 'host' && this.#arguments.matmuls[i] === undefined;
      if (segments.at(-1)!.hosts.length > 0 && (!onHost || stages[i] !== stage)) segments.push({ works: [], hosts: [] });
      stage = stages[i];
      const segment = segments.at(-1)!;
      if (step.kind === 'host') {
        if (onHost) segment.hosts.push(step);
        else segment.works.push(...this.#libraryWork(i, step));
      } else if (step.kind === 'matmul') segment.works.push(...this.#productWork(i, step));
      else segment.works.push(...this.#kernelWorks(i, step, symbols));
    }
    return segments;
  }

  #productWork(index: number, step: MatmulStep): Work[] {
    const product = this.#arguments.matmuls[index] as CudaMatmul;
    const { grid, threads } = product.own;
    if (grid.some((size) => size === 0)) return [];
    // Our kernel is compiled only where it is needed.
    const usesOwn = product.gemm === null || this.#context.cublas() === null;
    const kernel = usesOwn ? this.productKernel(product).handle : 0;
    const parameters = this.#writeParameters(index, 0, 0, 0);
    const launch: Launch = { kernel, grid, threads, sharedBytes: 0, parameters };
    return [{ index, stage: this.#plan.stages[index], label: `${labelOf(step)} ${sizeText(step)}`, launch, product }];
  }

  #libraryWork(index: number, step: HostStep): Work[] {
    const { name, source, grid, threads, sharedBytes, scratchBytes } = this.#arguments.matmuls[index] as LibraryBlock;
    if (grid.some((size) => size === 0)) return [];
    const kernel = this.#take({ key: name, name, source }).handle;
    if (sharedBytes > 48 * 1024 && kernel !== 0) this.#context.driver.setSharedBytes(kernel, sharedBytes);
    const parameters = this.#writeParameters(index, 0, 0, scratchBytes);
    const launch: Launch = { kernel, grid, threads, sharedBytes, parameters };
    return [{ index, stage: this.#plan.stages[index], label: labelOf(step), launch, product: null }];
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
      const grid = [Math.max(1, wanted), count, 1] as const;
      const launch: Launch = { kernel: kernel.handle, grid, threads: mostThreads, sharedBytes: 0, parameters };
      works.push({ index, stage, label: `cells of ${label}`, launch, product: null });
    }
    const launch: Launch = { kernel: main.handle, grid: [blocks, 1, 1], threads: teams * teamThreads, sharedBytes, parameters };
    works.push({ index, stage, label, launch, product: null });
    return works;
  }

  #kernelWorks(index: number, step: KernelStep, symbols: ArrayLike<number>): Work[] {
    const count = gridCount(step, symbols);
    if (count === 0) return [];
    const { multiprocessors } = this.#context.driver;
    const item = this.#items[index];
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

  // ---- parameters

  /** The kernel's parameters (argument words, count, grain, scratch memory) and pointers to them; the address of those. */
  #writeParameters(index: number, count: number, grain: number, scratchBytes: number): number {
    const { address, bytes } = this.#parameters;
    const at = index * parameterBytes;
    const view = new DataView(bytes.buffer, bytes.byteOffset + at, parameterBytes);
    const words = this.#words + this.#arguments.firstWord[index] * 8;
    const values = [words, count, grain, this.#scratch + this.#takeScratch(index, scratchBytes)];
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
}

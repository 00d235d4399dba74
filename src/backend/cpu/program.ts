/**
 * A plan as one native program: machine code for its kernels, argument words in native memory, stages of tiles.
 *
 * Compiling fixes the code; the stages are laid at the first run and again when a symbol or the number of threads changes. Work that one
 * thread does in a few microseconds is not spread: a small stage's steps follow each other as stages of one tile, and a program of
 * such stages wakes nobody. With the flag `trace=profile` each step is a stage of its own, timed by the processor's time stamp counter.
 */
import { bfloat16, type DType, type DTypeName, float16, float32 } from '../../dtype/dtype.ts';
import { decomposeKernel } from '../../kernel/decompose.ts';
import type { Kernel, Statement } from '../../kernel/ir.ts';
import { lowerKernel, touchesWide } from '../../kernel/lower.ts';
import { printKernel } from '../../kernel/print.ts';
import { printVectorKernel } from '../../kernel/print-vector.ts';
import { elementSizes, type Lanes, type VectorKernel } from '../../kernel/vector-ir.ts';
import {
  accessOf,
  gridCount,
  type HostStep,
  type KernelStep,
  type MatmulStep,
  type ProgramPlan,
  type Step,
  workPerItem,
} from '../../schedule/plan.ts';
import * as dims from '../../shape/dim.ts';
import { tracing } from '../../util/trace.ts';
import { type AddressWord, type MatmulBlock, ProgramArguments, workspace } from '../arguments.ts';
import { runHostStep } from '../host-step.ts';
import type { Bindings, Executable } from '../interface.ts';
import { PreparedKernels } from '../kernel-key.ts';
import { legalizeMatmuls } from '../legalize-matmul.ts';
import { chooseGrain, leastWork, roundGrain, whole } from '../tiles.ts';
import type { TrackedBuffer } from '../tracked-memory.ts';
import { copyBandwidth } from './bandwidth.ts';
import { halfTable } from './half-table.ts';
import type { CodeRequest, KernelCache } from './kernel-cache.ts';
import type { NativeBlock, NativeHeap } from './memory.ts';
import { getNumThreads, NativeProgram, type NativeStage, type NativeTask } from './pool.ts';
import { printProfile } from './profile.ts';
import { type CompileOptions, compileKernel, listKernel } from './x64/emit.ts';
import {
  type MatmulDtype,
  type MatmulPhase,
  type MatmulPlan,
  type MatmulRequest,
  matmulKernels,
  matmulWord,
  planMatmul,
} from './x64/matmul.ts';
import { blockKernel, blockKernelKey, planBlocks } from './x64/matmul-ggml.ts';

export type NativeIsa = 'avx2' | 'avx512';

/** What a program needs of its device. */
export interface NativeContext {
  readonly isa: NativeIsa;
  readonly heap: NativeHeap;
  readonly kernels: KernelCache;
  /** Results at least this large bypass the caches. */
  readonly streamingBytes: number;
  /** Address of an arena of so many bytes. */
  reserveArena(bytes: number): number;
  /** Runs something that takes native memory, again after a sweep if there is none. */
  obtain<T>(bytes: number, take: () => T): T;
}

interface NativeMatmul extends MatmulBlock {
  readonly phases: readonly MatmulPhase[];
}

/** Stages of native code, and the host steps after them. */
interface LaidSegment {
  readonly stages: readonly NativeStage[];
  /** Step of each native stage, when each has its own. */
  readonly stageSteps: readonly number[];
  readonly hosts: readonly HostStep[];
}
interface Segment extends LaidSegment {
  readonly program: NativeProgram | null;
}

const labelOf = (step: Step): string =>
  step.kind === 'kernel' ? `${step.kernel.name} [${step.place}]` : `${step.kind === 'matmul' ? 'product' : step.fn.name} [${step.place}]`;

/** A task of the pool, what it is worth, and how often it runs with other symbols. */
interface Work {
  readonly step: number;
  readonly task: NativeTask;
  readonly operations: number;
  /** Null where the count does not change. */
  readonly count: ((symbols: ArrayLike<number>) => number) | null;
}

/** A task whose count follows the symbols. */
interface Counted {
  readonly segment: number;
  readonly stage: number;
  readonly task: number;
  readonly count: (symbols: ArrayLike<number>) => number;
}

const nativeRound: ReadonlySet<DTypeName> = new Set((Object.keys(elementSizes) as DTypeName[]).filter((name) => name !== 'bool'));
const matmulDtypes: ReadonlySet<DType> = new Set([float32, bfloat16, float16]);

export class NativeExecutable implements Executable {
  readonly #context: NativeContext;
  readonly #plan: ProgramPlan;
  readonly #steps: readonly Step[];
  readonly #arguments: ProgramArguments;
  readonly #block: NativeBlock;
  /** What each kernel step computes. */
  readonly #kernelKeys: readonly string[];
  #keys: string[] = [];
  /** Code of each step: one address for a kernel, packing and computing for a product. */
  #code: number[][] = [];
  #wide = false;
  /** Native code up to a host step, then host steps, and so on; most programs are one segment without host steps. */
  #segments: Segment[] | null = null;
  #threads = 0;
  #profiling = false;
  #counted: readonly Counted[] = [];
  /** Of steps without symbols: operations a grid index. */
  readonly #work: (number | undefined)[] = [];
  /** Bounds of the symbols for which the stages were laid: with others below them only counts change. */
  #bounds = '';

  constructor(plan: ProgramPlan, context: NativeContext) {
    this.#context = context;
    this.#plan = legalizeMatmuls(plan, { float32: matmulDtypes, batchDims: 3, blocks: true });
    const prepared = new PreparedKernels((kernel) => decomposeKernel(kernel, undefined, { nativeRound }));
    const keys: string[] = [];
    this.#steps = this.#plan.steps.map((step, i) => {
      if (step.kind !== 'kernel') return step;
      const { key, kernel } = prepared.of(step.kernel);
      keys[i] = key;
      return { ...step, kernel };
    });
    this.#kernelKeys = keys;
    this.#arguments = new ProgramArguments(this.#plan, matmulWord.count, (step, symbols) => this.#planProduct(step, symbols));
    this.#compile();
    const { bytes } = this.#arguments;
    this.#block = context.obtain(bytes, () => context.heap.alloc(bytes));
    this.#arguments.attach(context.heap.bytesAt(this.#block.address, bytes).fill(0));
  }

  run({ externals, outputs, symbols, scalars }: Bindings): void {
    const args = this.#arguments;
    const threads = getNumThreads();
    const profiling = tracing('profile');
    if (this.#segments === null || this.#threads !== threads || this.#profiling !== profiling || !args.isSpecializedFor(symbols))
      this.#specialize(symbols, threads, profiling);
    // All memory is there before the first kernel runs.
    args.bindArena(this.#context.reserveArena(args.arenaBytes));
    args.bindBuffers(externals, outputs);
    args.bindScalars(scalars);
    if (args.isWide && !this.#wide) {
      this.#wide = true;
      this.#releaseCode();
      this.#compile();
      this.#specialize(symbols, threads, profiling);
      args.bindArena(this.#context.reserveArena(args.arenaBytes));
      args.bindBuffers(externals, outputs);
    }
    for (const { program, stageSteps, hosts } of this.#segments!) {
      if (profiling && program !== null)
        printProfile(
          program,
          stageSteps.map((i) => ({
            label: labelOf(this.#steps[i]),
            bytes: this.#bytesOf(this.#steps[i], { externals, outputs, symbols, scalars }),
          })),
          copyBandwidth(this.#context.isa, this.#context.heap, this.#context.kernels),
        );
      else program?.run();
      for (const step of hosts) runHostStep(step, symbols, (buffer) => this.#bytesAt(buffer, { externals, outputs, symbols, scalars }));
    }
  }

  /** Memory of a program buffer, for host steps. */
  #bytesAt(id: number, { externals, outputs, symbols }: Bindings): Uint8Array {
    const { kind, slot, size, dtype } = this.#plan.buffers[id];
    const { heap } = this.#context;
    if (kind === 'temporary') {
      const address = this.#context.reserveArena(this.#arguments.arenaBytes) + this.#arguments.temporaryOffset(id);
      return heap.bytesAt(address, dims.evaluate(size, symbols) * dtype.itemsize);
    }
    const buffer = (kind === 'external' ? externals : outputs)[slot] as TrackedBuffer<NativeBlock>;
    return heap.bytesAt(buffer.address, buffer.bytes);
  }

  dispose(): void {
    this.#disposeSegments();
    this.#threads = 0;
    this.#releaseCode();
    if (this.#block.address !== 0) this.#context.heap.free(this.#block);
  }

  listing(): string {
    return this.#plan.steps
      .map((step, i) => {
        const head = `step ${i}, stage ${this.#plan.stages[i]}: ${step.place}\n`;
        if (step.kind === 'host') return `${head}host function ${step.fn.name}\n`;
        if (step.kind === 'matmul') {
          const size = [...step.batch, step.m, step.n, step.k].map(dims.keyOf).join(' x ');
          return `${head}product [${size}] of ${step.a.dtype} and ${step.b.dtype} into ${step.c.dtype}\n`;
        }
        const { kernel } = this.#steps[i] as KernelStep;
        const vector = this.#lower(kernel);
        const code = listKernel(vector, this.#context.isa, this.#optionsOf(step, kernel));
        return `${head}${printKernel(step.kernel)}${printVectorKernel(vector)}${code}`;
      })
      .join('\n');
  }

  // ---- code

  #lower(kernel: Kernel): VectorKernel {
    const most = this.#context.isa === 'avx512' ? 16 : 8;
    // 64-bit element indices of lanes need room like 64-bit elements.
    const lanes = (this.#wide || touchesWide(kernel) ? most / 2 : most) as Lanes;
    return lowerKernel(kernel, { lanes, laneIndexType: this.#wide ? 'i64' : 'i32' });
  }

  #compile(): void {
    const { isa, kernels } = this.#context;
    const requests: CodeRequest[] = [];
    const ranges = this.#steps.map((step, i): [number, number] => {
      const first = requests.length;
      if (step.kind === 'host') return [first, first];
      if (step.kind === 'matmul' && step.blocks !== undefined) {
        const { blocks } = step;
        for (const part of ['rows', 'compute'] as const)
          requests.push({ key: blockKernelKey(isa, part, blocks), make: () => blockKernel(isa, part, blocks) });
      } else if (step.kind === 'matmul') {
        const types = typesOf(step);
        for (const part of ['packB', 'compute'] as const)
          requests.push({ key: `${isa} product ${part} ${types.a} ${types.b} ${types.c}`, make: () => matmulKernels(isa, types)[part] });
      } else {
        const options = this.#optionsOf(step, step.kernel);
        requests.push({
          key: `${isa}${this.#wide ? ' wide' : ''} streaming ${[...(options.streaming ?? [])].join(' ')}\n${this.#kernelKeys[i]}`,
          make: () => compileKernel(this.#lower(step.kernel), isa, options),
        });
      }
      return [first, requests.length];
    });
    const addresses = kernels.acquire(requests);
    this.#keys = requests.map((r) => r.key);
    this.#code = ranges.map(([first, end]) => addresses.slice(first, end));
    this.#disposeSegments();
  }

  #disposeSegments(): void {
    for (const { program } of this.#segments ?? []) program?.dispose();
    this.#segments = null;
  }

  #releaseCode(): void {
    this.#context.kernels.release(this.#keys);
    this.#keys = [];
  }

  /** Large results of flat kernels, stored once at their own index, bypass the caches: they would only push out what is needed. */
  #optionsOf(step: KernelStep, kernel: Kernel): CompileOptions {
    const [axis, ...others] = kernel.grid;
    if (others.length > 0 || axis?.kind !== 'vector') return {};
    const atOwnIndex = (s: Statement): boolean =>
      s.kind === 'store' && s.mask === null && s.combine === null && s.index.op === 'axis' && s.index.axis === axis;
    const streaming = new Set<number>();
    kernel.buffers.forEach((b, slot) => {
      const { size, dtype } = this.#plan.buffers[step.buffers[slot]];
      const large = typeof size === 'number' && size * dtype.itemsize >= this.#context.streamingBytes;
      if (b.access === 'write' && large && kernel.body.every((s) => s.kind === 'store' && (s.buffer !== slot || atOwnIndex(s))))
        streaming.add(slot);
    });
    return streaming.size === 0 ? {} : { streaming };
  }

  // ---- stages

  #specialize(symbols: ArrayLike<number>, threads: number, profiling: boolean): void {
    const anew = this.#threads !== threads;
    this.#threads = threads;
    this.#plans = [];
    this.#arguments.specialize(symbols, anew);
    const bounds = Array.from(symbols, dims.boundOf).join();
    if (!anew && this.#segments !== null && profiling === this.#profiling && bounds === this.#bounds) {
      for (const { segment, stage, task, count } of this.#counted) this.#segments[segment].program!.setCount(stage, task, count(symbols));
      return;
    }
    this.#bounds = bounds;
    const laid = this.#layStages(symbols, threads, profiling);
    const known = this.#segments;
    const same =
      known !== null &&
      profiling === this.#profiling &&
      known.length === laid.length &&
      laid.every(({ stages }, i) => sameStructure(stages, known[i].stages));
    if (!same) this.#disposeSegments();
    this.#segments = laid.map((segment, i): Segment => {
      const program = same ? known[i].program : null;
      if (program === null)
        return {
          ...segment,
          program:
            segment.stages.length === 0
              ? null
              : this.#context.obtain(4096, () => new NativeProgram(segment.stages, { profile: profiling })),
        };
      segment.stages.forEach((stage, s) => {
        stage.tasks.forEach((task, t) => {
          program.setCount(s, t, task.count);
        });
      });
      return { ...segment, program };
    });
    this.#profiling = profiling;
  }

  #layStages(symbols: ArrayLike<number>, threads: number, profiling: boolean): LaidSegment[] {
    const symbolic = symbols.length > 0;
    const counted: Counted[] = [];
    let stages: NativeStage[] = [];
    let stageSteps: number[] = [];
    const segments: LaidSegment[] = [];
    const put = (...works: Work[]): void => {
      if (works.length === 0) return;
      works.forEach(({ count }, task) => {
        if (count !== null) counted.push({ segment: segments.length, stage: stages.length, task, count });
      });
      stages.push({ tasks: works.map((w) => w.task) });
      stageSteps.push(works[0].step);
    };
    const byStage = new Map<number, number[]>();
    this.#plan.stages.forEach((stage, step) => {
      const known = byStage.get(stage);
      if (known === undefined) byStage.set(stage, [step]);
      else known.push(step);
    });
    for (const [, steps] of [...byStage].sort(([a], [b]) => a - b)) {
      const first: Work[] = [];
      const second: Work[] = [];
      const hosts: HostStep[] = [];
      for (const index of steps) {
        const step = this.#steps[index];
        if (step.kind === 'host') hosts.push(step);
        else this.#worksOf(index, step, symbols, threads, symbolic, first, second);
      }
      const operations = [...first, ...second].reduce((sum, w) => sum + w.operations, 0);
      if (profiling || operations < 2 * leastWork) for (const work of [...first, ...second]) put(work);
      else {
        put(...first);
        put(...second);
      }
      if (hosts.length > 0) {
        segments.push({ stages, stageSteps, hosts });
        stages = [];
        stageSteps = [];
      }
    }
    if (stages.length > 0 || segments.length === 0) segments.push({ stages, stageSteps, hosts: [] });
    this.#counted = counted;
    return segments;
  }

  /** Tasks of a step: those that come first (packing), and those after. */
  #worksOf(
    index: number,
    step: KernelStep | MatmulStep,
    symbols: ArrayLike<number>,
    threads: number,
    symbolic: boolean,
    first: Work[],
    second: Work[],
  ): void {
    const args = this.#block.address + this.#arguments.firstWord[index] * 8;
    const [fn, computeFn] = this.#code[index];
    if (step.kind === 'kernel') {
      const count = gridCount(step, symbols);
      if (count === 0 && !symbolic) return;
      const work = this.#work[index] ?? workPerItem(step, symbols);
      if (!step.params.some((p) => p.kind === 'symbol')) this.#work[index] = work;
      const grain = chooseGrain(count, work, threads, step.kernel.grid.at(-1)?.kind === 'vector', symbolic);
      const counting = countsSymbols(step) ? (values: ArrayLike<number>) => gridCount(step, values) : null;
      second.push({ step: index, task: { fn, args, count, grain }, operations: count * work, count: counting });
      return;
    }
    const at = (d: dims.Dim): number => dims.evaluate(d, symbols);
    const operations = [...step.batch, step.m, step.n, step.k].reduce<number>((p, d) => p * at(d), 1);
    // Small products would be cut for no gain.
    const serial = operations < 2 * leastWork;
    for (const kernel of [step.blocks === undefined ? 'packB' : 'rows', 'compute'] as const) {
      const phase = this.#phaseOf(index, kernel);
      if (phase === undefined && !symbolic) continue;
      const grain = serial || phase === undefined ? whole : symbolic ? roundGrain(phase.grain, false, true) : phase.grain;
      const task = { fn: kernel === 'compute' ? computeFn : fn, args, count: phase?.count ?? 0, grain };
      (kernel === 'packB' ? first : second).push({
        step: index,
        task,
        operations: phase === undefined || kernel === 'packB' ? 0 : operations,
        count: symbolic ? () => this.#phaseOf(index, kernel)?.count ?? 0 : null,
      });
    }
  }

  #phaseOf(step: number, kernel: MatmulPhase['kernel']): MatmulPhase | undefined {
    return (this.#arguments.matmuls[step] as NativeMatmul).phases.find((p) => p.kernel === kernel);
  }

  #planProduct(step: MatmulStep, symbols: ArrayLike<number>): NativeMatmul {
    const at = (d: dims.Dim): number => dims.evaluate(d, symbols);
    const source = (o: MatmulStep['a']) => ({ buffer: o.buffer, offset: at(o.offset) * o.dtype.itemsize });
    if (step.blocks !== undefined) {
      const [m, n, k, aRow, cRow, rowBytes] = [step.m, step.n, step.k, step.a.row, step.c.row, step.b.row].map(at);
      const { phases, words } = planBlocks({
        m,
        n,
        k,
        aRow,
        cRow,
        rowBytes,
        blocks: step.blocks,
        isa: this.#context.isa,
        threads: this.#threads,
        halves: halfTable(),
      });
      const addresses: AddressWord[] = [
        { word: matmulWord.a, ...source(step.a) },
        { word: matmulWord.b, ...source(step.b) },
        { word: matmulWord.c, ...source(step.c) },
        { word: matmulWord.partial, ...source(step.c) },
      ];
      return { words, addresses, workspaceBytes: 0, phases };
    }
    const strides = (o: MatmulStep['a']): number[] => [...o.batch, o.row, o.column].map(at);
    const plan = this.#planAs({
      batch: step.batch.map(at),
      m: at(step.m),
      n: at(step.n),
      k: at(step.k),
      aStrides: strides(step.a),
      bStrides: strides(step.b),
      cStrides: strides(step.c),
      types: typesOf(step),
      isa: this.#context.isa,
      threads: this.#threads,
    });
    const [a, b] = plan.swapped ? [source(step.b), source(step.a)] : [source(step.a), source(step.b)];
    const c = source(step.c);
    const spare = (offset: number) => ({ buffer: workspace, offset });
    // As `writeMatmulArgs` does, with sources in place of addresses.
    const addresses: AddressWord[] = [
      { word: matmulWord.a, ...a },
      { word: matmulWord.b, ...(plan.readsPacked ? spare(0) : b) },
      { word: matmulWord.c, ...c },
      { word: matmulWord.partial, ...(plan.partialOffset === undefined ? c : spare(plan.partialOffset)) },
      { word: matmulWord.packSource, ...b },
      { word: matmulWord.packTarget, ...spare(0) },
    ];
    return { words: plan.words, addresses, workspaceBytes: plan.workspaceBytes, phases: plan.phases };
  }

  /** Plans of this specialization: the layers of a model have the same products. */
  #plans: { readonly request: MatmulRequest; readonly plan: MatmulPlan }[] = [];
  #planAs(request: MatmulRequest): MatmulPlan {
    for (const known of this.#plans) if (sameRequest(known.request, request)) return known.plan;
    const plan = planMatmul(request);
    if (this.#plans.length < 8) this.#plans.push({ request, plan });
    return plan;
  }

  /** Bytes that a step reads and writes, each buffer once and whole. */
  #bytesOf(step: Step, { externals, outputs, symbols }: Bindings): number {
    const { reads, writes } = accessOf(step);
    return [...new Set(reads), ...new Set(writes)].reduce((sum, id) => {
      const { kind, slot, size, dtype } = this.#plan.buffers[id];
      if (kind === 'temporary') return sum + dims.evaluate(size, symbols) * dtype.itemsize;
      return sum + (kind === 'external' ? externals : outputs)[slot].bytes;
    }, 0);
  }
}

const typesOf = (step: MatmulStep): { a: MatmulDtype; b: MatmulDtype; c: MatmulDtype } => ({
  a: step.a.dtype.name as MatmulDtype,
  b: step.b.dtype.name as MatmulDtype,
  c: step.c.dtype.name as MatmulDtype,
});

/** Nothing but counts differs. */
function sameStructure(a: readonly NativeStage[], b: readonly NativeStage[]): boolean {
  return (
    a.length === b.length &&
    a.every(
      ({ tasks }, s) =>
        tasks.length === b[s].tasks.length &&
        tasks.every(({ fn, args, grain }, t) => {
          const other = b[s].tasks[t];
          return fn === other.fn && args === other.args && grain === other.grain;
        }),
    )
  );
}

/** Whether a grid's size follows a symbol. */
const countsSymbols = (step: KernelStep): boolean =>
  step.kernel.grid.some((axis) => axis.extent.op !== 'const') && step.params.some((p) => p.kind === 'symbol');

const sameNumbers = (a: readonly number[], b: readonly number[]): boolean => a.length === b.length && a.every((n, i) => n === b[i]);
/** Of one program and number of threads. */
const sameRequest = (a: MatmulRequest, b: MatmulRequest): boolean =>
  a.m === b.m &&
  a.n === b.n &&
  a.k === b.k &&
  a.types.a === b.types.a &&
  a.types.b === b.types.b &&
  a.types.c === b.types.c &&
  sameNumbers(a.batch, b.batch) &&
  sameNumbers(a.aStrides, b.aStrides) &&
  sameNumbers(a.bStrides, b.bStrides) &&
  sameNumbers(a.cStrides, b.cStrides);

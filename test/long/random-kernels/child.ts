/**
 * Runs random kernels on the reference and on every instruction set and WebAssembly of this machine, between guard pages, and tells what differs.
 *
 *   node child.js FIRST-SEED COUNT BATCH [shorten]     plans of BATCH kernels; a BATCH of 1 prints each kernel before it runs it
 *
 * One line of JSON for each finding, and `{"done": n}` at the end. Before each plan its first seed goes into a line of its own: a process that dies
 * (a fault at a guard page) has said where.
 */
import { writeSync } from 'node:fs';
import { ArenaMemory } from '../../../src/backend/arena-memory.ts';
import { KernelCache } from '../../../src/backend/cpu/kernel-cache.ts';
import type { NativeBlock } from '../../../src/backend/cpu/memory.ts';
import { setNumThreads } from '../../../src/backend/cpu/pool.ts';
import { NativeExecutable, type NativeIsa } from '../../../src/backend/cpu/program.ts';
import { runnableIsas } from '../../../src/backend/cpu/x64/test-support.ts';
import { ReferenceBackend } from '../../../src/backend/reference/device.ts';
import { PlanBuilder, runPlan, type TestRun } from '../../../src/backend/test-support.ts';
import { TrackedBuffer, TrackedMemory } from '../../../src/backend/tracked-memory.ts';
import { WasmBackend } from '../../../src/backend/wasm/device.ts';
import { hasFusedMultiplyAdd } from '../../../src/backend/wasm/engine.ts';
import { decode, viewArray } from '../../../src/dtype/codec.ts';
import { type DType, float64 } from '../../../src/dtype/dtype.ts';
import { decomposeKernel } from '../../../src/kernel/decompose.ts';
import { printKernel } from '../../../src/kernel/print.ts';
import type { ProgramPlan } from '../../../src/schedule/plan.ts';
import { addKernel, type Generated, generator } from './generate.ts';
import { GuardedHeap } from './guarded-memory.ts';
import { withoutFma } from './without-fma.ts';

export interface Finding {
  readonly seed: number;
  readonly device: string;
  readonly what: string;
  readonly kernel: string;
}

interface Batch {
  readonly plan: ProgramPlan;
  readonly run: TestRun;
  readonly kernels: readonly Generated[];
  readonly seeds: readonly number[];
  /** First external of each kernel. */
  readonly firsts: readonly number[];
  /** The plan's other decisions. */
  readonly random: () => number;
}

const say = (line: object): void => void writeSync(1, `${JSON.stringify(line)}\n`);

function batchOf(first: number, count: number): Batch {
  const p = new PlanBuilder();
  const seeds = Array.from({ length: count }, (_, i) => first + i);
  // The symbol's value belongs to the seed, so that a kernel alone is the kernel of the batch: batches of one symbol only.
  const symbols = [symbolOf(first)];
  const kernels: Generated[] = [];
  const firsts: number[] = [];
  let externals = 0;
  for (const seed of seeds) {
    const kernel = addKernel(p, seed, symbols);
    firsts.push(externals);
    externals += kernel.externals.length;
    kernels.push(kernel);
  }
  const run: TestRun = { externals: kernels.flatMap((k) => k.externals), outputs: kernels.map((k) => k.outputBytes), symbols };
  return { plan: p.plan(1), run, kernels, seeds, firsts, random: generator(first ^ 0x5bd1e995) };
}

/** Kernels of one block of seeds share it. */
const symbolBlock = 25;
const symbolOf = (seed: number): number => Math.floor(generator(Math.floor(seed / symbolBlock) * 31 + 7)() * 40);

/** Composite operations become the formulas that every device computes. */
function decomposed(plan: ProgramPlan): ProgramPlan {
  return { ...plan, steps: plan.steps.map((step) => (step.kind === 'kernel' ? { ...step, kernel: decomposeKernel(step.kernel) } : step)) };
}

/** Multiply-adds as a product that is rounded, and a sum. */
function roundedTwice(plan: ProgramPlan): ProgramPlan {
  return { ...plan, steps: plan.steps.map((step) => (step.kind === 'kernel' ? { ...step, kernel: withoutFma(step.kernel) } : step)) };
}

const heaps = new Map<NativeIsa, { heap: GuardedHeap; kernels: KernelCache }>();

/** The outputs of a plan on guarded memory, and what was written where nothing may be written. */
function runGuarded(
  isa: NativeIsa,
  { plan, run, random }: Batch,
): { outputs: Uint8Array[]; trespass: (string | null)[]; changed: (number | null)[] } {
  if (!heaps.has(isa)) heaps.set(isa, { heap: new GuardedHeap(), kernels: new KernelCache() });
  const { heap, kernels } = heaps.get(isa)!;
  const streaming = random() < 0.1;
  const memory = new TrackedMemory<NativeBlock>({
    release: (block) => heap.free(block),
    available: () => heap.available(),
    giveBack: () => {},
  });
  const arena = new ArenaMemory(
    memory,
    (bytes) => heap.alloc(bytes),
    (block) => heap.free(block),
  );
  heap.placement = 'end';
  heap.alignment = 64;
  const executable = new NativeExecutable(plan, {
    isa,
    heap,
    kernels,
    streamingBytes: streaming ? 256 : 2 ** 40,
    reserveArena: (bytes) => arena.reserve(bytes),
    obtain: (_bytes, take) => take(),
  });
  heap.placement = random() < 0.75 ? 'end' : 'start';
  const blocks: NativeBlock[] = [];
  const take = (bytes: number, dtype: DType): TrackedBuffer<NativeBlock> => {
    heap.alignment = streaming ? 64 : dtype.itemsize;
    const block = heap.alloc(bytes);
    blocks.push(block);
    return new TrackedBuffer(block, bytes, 'cpu');
  };
  const typeOf = (kind: 'external' | 'output', slot: number): DType => plan.buffers.find((b) => b.kind === kind && b.slot === slot)!.dtype;
  const externals = run.externals.map((whole, slot) => {
    const bytes = shorten ? whole.subarray(0, whole.length - 8) : whole;
    const buffer = take(bytes.length, typeOf('external', slot));
    heap.bytesAt(buffer.address, bytes.length).set(bytes);
    return buffer;
  });
  const outputs = run.outputs.map((bytes, slot) => take(bytes as number, typeOf('output', slot)));
  heap.placement = 'end';
  heap.alignment = 64;
  for (const { address, bytes } of outputs) heap.bytesAt(address, bytes).fill(0);
  executable.run({ externals, outputs, symbols: run.symbols!, scalars: [] });
  const result = {
    outputs: outputs.map(({ address, bytes }) => heap.bytesAt(address, bytes).slice()),
    trespass: [...externals, ...outputs].map(({ address }) => heap.check(address)),
    changed: externals.map(({ address, bytes }, i) => (Buffer.compare(heap.bytesAt(address, bytes), run.externals[i]!) === 0 ? null : i)),
  };
  executable.dispose();
  arena.release();
  for (const block of blocks) heap.free(block);
  return result;
}

/** The first element that differs; NaNs are equal to each other. `nearly`: by more than rounding twice explains. */
function difference(dtype: DType, got: Uint8Array, wanted: Uint8Array, nearly: boolean): string | null {
  if (Buffer.compare(got, wanted) === 0) return null;
  const [x, y] = [viewArray(dtype, got), viewArray(dtype, wanted)];
  for (let i = 0; i < x.length; i++) {
    const [p, q] = [decode(dtype, x, i), decode(dtype, y, i)];
    if (Object.is(p, q)) continue;
    if (nearly && close(dtype, Number(p), Number(q))) continue;
    return `element ${i} of ${x.length} is ${p}, wanted ${q}`;
  }
  return null;
}

function close(dtype: DType, p: number, q: number): boolean {
  if (dtype.kind !== 'float') return false;
  const tolerance = dtype === float64 ? 1e-9 : dtype.itemsize === 4 ? 1e-4 : dtype.itemsize === 2 ? 0.02 : 0.3;
  return Math.abs(p - q) <= tolerance * (1 + Math.abs(q)) || p === q;
}

const reference = new ReferenceBackend();
const wasm = new WasmBackend({ limit: 256 * 2 ** 20 });

function check(batch: Batch): void {
  const { kernels, seeds, plan } = batch;
  const textOf = (i: number): string => {
    const step = plan.steps.find((s) => (s.kind === 'kernel' ? s.kernel.name === `random_${seeds[i]}` : false));
    return step?.kind === 'kernel' ? printKernel(step.kernel) : 'a product';
  };
  const report = (i: number, device: string, what: string): void =>
    say({ seed: seeds[i]!, device, what, kernel: textOf(i) } satisfies Finding);
  const [wanted] = runPlan(reference, decomposed(plan), [batch.run]) as [Uint8Array[]];
  let native: Uint8Array[] | undefined;
  for (const isa of runnableIsas) {
    const { outputs, trespass, changed } = runGuarded(isa, batch);
    kernels.forEach((kernel, i) => {
      const found = difference(kernel.dtype, outputs[i]!, wanted[i]!, kernel.agreement === 'nearly');
      if (found !== null) report(i, isa, found);
      const apart = native === undefined ? null : difference(kernel.dtype, outputs[i]!, native[i]!, false);
      if (apart !== null) report(i, `${isa} against ${runnableIsas[0]}`, apart);
      const from = batch.firsts[i]!;
      for (let e = from; e < from + kernel.externals.length; e++) {
        if (trespass[e] !== null) report(i, isa, `beside source ${e - from}: ${trespass[e]}`);
        if (changed[e] !== null) report(i, isa, `source ${e - from} was changed`);
      }
      const beside = trespass[batch.run.externals.length + i];
      if (beside !== null) report(i, isa, `beside the output: ${beside}`);
    });
    native ??= outputs;
  }
  const [portable] = runPlan(wasm, plan, [batch.run]) as [Uint8Array[]];
  // Where the engine has no fused multiply-add.
  const expected =
    !hasFusedMultiplyAdd() && kernels.some((k) => k.hasFma) ? runPlan(reference, roundedTwice(decomposed(plan)), [batch.run])[0]! : wanted;
  kernels.forEach((kernel, i) => {
    counts[kernel.agreement]++;
    const found = difference(kernel.dtype, portable[i]!, expected[i]!, kernel.agreement === 'nearly');
    if (found !== null) report(i, 'wasm', found);
  });
}

const counts = { bits: 0, nearly: 0 };
const [first, count, size] = process.argv.slice(2, 5).map(Number) as [number, number, number];
/** Native sources are 8 bytes too short: what the guard pages are for. */
const shorten = process.argv[5] === 'shorten';
setNumThreads(1);
for (let seed = first; seed < first + count; seed += size) {
  const batch = batchOf(seed, Math.min(size, first + count - seed));
  say({
    running: seed,
    ...(size === 1 ? { kernel: batch.plan.steps.map((s) => (s.kind === 'kernel' ? printKernel(s.kernel) : s.kind)).join('\n') } : {}),
  });
  try {
    check(batch);
  } catch (error) {
    say({ seed, device: 'a plan of these kernels', what: (error as Error).stack ?? String(error), kernel: '' } satisfies Finding);
  }
}
say({ done: count, ...counts });

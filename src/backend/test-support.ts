/**
 * Test helper: makes program plans by hand, and runs a plan on a device from given bytes to bytes.
 *
 * Steps are put into stages as the scheduler does: one past the last step whose memory they touch.
 */
import { encodeInto, viewArray } from '../dtype/codec.ts';
import type { DType } from '../dtype/dtype.ts';
import type { Buffer } from '../graph/node.ts';
import type { BufferDeclaration, Expr, KernelBuilder, ReduceKind, Statement } from '../kernel/ir.ts';
import type { ComputeType } from '../kernel/scalar.ts';
import { scheduleKernel } from '../kernel/schedule.ts';
import { Emitter, type ParamSource } from '../schedule/emit.ts';
import { axisIndex, type LoopAxis, linear } from '../schedule/index-map.ts';
import { accessOf, type BufferPlan, type MatrixOperand, type ProgramPlan, type Step } from '../schedule/plan.ts';
import type { Dim } from '../shape/dim.ts';
import * as dims from '../shape/dim.ts';
import type { Backend } from './interface.ts';

export class PlanBuilder {
  readonly buffers: BufferPlan[] = [];
  readonly steps: Step[] = [];
  readonly #stages: number[] = [];
  readonly #lastWrite = new Map<number, number>();
  readonly #lastRead = new Map<number, number>();
  #slots = { external: 0, output: 0, temporary: 0 };

  buffer(kind: BufferPlan['kind'], dtype: DType, size: Dim): number {
    const slot = kind === 'temporary' ? -1 : this.#slots[kind]++;
    return this.buffers.push({ kind, slot, dtype, size }) - 1;
  }
  dtype(buffer: number): DType {
    return this.buffers[buffer].dtype;
  }
  plan(symbols = 0): ProgramPlan {
    // Memory is planned by stages, so they are the order in which steps may run one by one.
    const order = [...this.steps.keys()].sort((i, j) => this.#stages[i] - this.#stages[j] || i - j);
    return { buffers: this.buffers, steps: order.map((i) => this.steps[i]), stages: order.map((i) => this.#stages[i]), symbols };
  }

  /** `stage`: of the step that may run beside this one though they write one buffer. */
  add(step: Step, beside: number | null = null): number {
    const { reads, writes } = accessOf(step);
    let stage = 0;
    for (const m of reads) stage = Math.max(stage, (this.#lastWrite.get(m) ?? -1) + 1);
    for (const m of writes) stage = Math.max(stage, (this.#lastWrite.get(m) ?? -1) + 1, (this.#lastRead.get(m) ?? -1) + 1);
    if (beside !== null) stage = this.#stages[beside];
    for (const m of reads) this.#lastRead.set(m, Math.max(this.#lastRead.get(m) ?? -1, stage));
    for (const m of writes) this.#lastWrite.set(m, stage);
    this.#stages.push(stage);
    return this.steps.push(step) - 1;
  }

  /**
   * A kernel over the axes `shape`: each source is a load at its strides, the value goes to the target's strides and offset. Axes in
   * `reduce` belong to the reductions that `value` makes.
   */
  kernel(options: {
    readonly name: string;
    readonly shape: readonly Dim[];
    readonly reduce?: readonly Dim[];
    readonly sources: readonly { readonly buffer: number; readonly strides: readonly Dim[]; readonly offset?: Dim }[];
    readonly target: { readonly buffer: number; readonly strides: readonly Dim[]; readonly offset?: Dim };
    readonly value: (b: KernelBuilder, loads: readonly Expr[], extra: Extra) => Expr;
    readonly params?: readonly ParamSource[];
    readonly beside?: number;
  }): number {
    const emitter = new Emitter({ placed: () => null, reduceAxes: () => [] });
    const { builder } = emitter;
    const axes = options.shape.map((d, i) => emitter.axis(`i${i}`, d, 'grid'));
    const reduces = (options.reduce ?? []).map((d, i) => emitter.axis(`r${i}`, d, 'reduce'));
    const everything = [...axes, ...reduces].map(axisIndex);
    const loads = options.sources.map(({ buffer, strides, offset }) => {
      const dtype = this.dtype(buffer);
      return builder.load(
        emitter.buffer(buffer, dtype),
        dtype.compute,
        emitter.index(linear(everything.slice(0, strides.length), strides, offset ?? 0)),
      );
    });
    const params = (options.params ?? []).map((p) => {
      const at = emitter.params.push(p) - 1;
      return builder.param(p.type, at);
    });
    const extra: Extra = {
      params,
      reduce: (kind, value) =>
        builder.reduce(
          kind,
          reduces.map((a) => a.axis),
          value,
        ),
    };
    const { target } = options;
    const dtype = this.dtype(target.buffer);
    const value = rounded(builder, dtype, builder.cast(dtype.compute, options.value(builder, loads, extra)));
    const slot = emitter.buffer(target.buffer, dtype);
    const store: Statement = {
      kind: 'store',
      buffer: slot,
      index: emitter.index(linear(axes.map(axisIndex), target.strides, target.offset ?? 0)),
      value,
      mask: null,
      combine: null,
    };
    return this.#finish(emitter, axes, [store], new Set([slot]), options.name, options.beside ?? null);
  }

  /** target[index[i]] += value[i], in order. */
  scatterAdd(index: number, value: number, target: number, count: Dim): number {
    const emitter = new Emitter({ placed: () => null, reduceAxes: () => [] });
    const { builder } = emitter;
    const axis = emitter.axis('i', count, 'serial');
    const use = builder.use(axis.axis);
    const load = (buffer: number): Expr => builder.load(emitter.buffer(buffer, this.dtype(buffer)), this.dtype(buffer).compute, use);
    const slot = emitter.buffer(target, this.dtype(target));
    const store: Statement = {
      kind: 'store',
      buffer: slot,
      index: builder.cast('index' as ComputeType, load(index)),
      value: load(value),
      mask: null,
      combine: 'add',
    };
    return this.#finish(emitter, [], [{ kind: 'loop', axis: axis.axis, body: [store] }], new Set([slot]), 'scatter', null, 'readwrite');
  }

  /** target[i] = source[index[i]] */
  gather(source: number, index: number, target: number, count: Dim): number {
    const emitter = new Emitter({ placed: () => null, reduceAxes: () => [] });
    const { builder } = emitter;
    const axis = emitter.axis('i', count, 'grid');
    const use = builder.use(axis.axis);
    const place = builder.cast(
      'index' as ComputeType,
      builder.load(emitter.buffer(index, this.dtype(index)), this.dtype(index).compute, use),
    );
    const dtype = this.dtype(source);
    const value = builder.load(emitter.buffer(source, dtype), dtype.compute, place);
    const slot = emitter.buffer(target, dtype);
    return this.#finish(
      emitter,
      [axis],
      [{ kind: 'store', buffer: slot, index: use, value, mask: null, combine: null }],
      new Set([slot]),
      'gather',
      null,
    );
  }

  matmul(options: {
    readonly batch?: readonly Dim[];
    readonly m: Dim;
    readonly n: Dim;
    readonly k: Dim;
    readonly a: MatrixOperand;
    readonly b: MatrixOperand;
    readonly c: MatrixOperand;
  }): number {
    return this.add({ kind: 'matmul', batch: [], place: 'test', ...options });
  }
  operand(buffer: number, batch: readonly Dim[], row: Dim, column: Dim, offset: Dim = 0): MatrixOperand {
    return { buffer, dtype: this.dtype(buffer), batch, row, column, offset };
  }

  #finish(
    emitter: Emitter,
    axes: readonly LoopAxis[],
    body: readonly Statement[],
    written: ReadonlySet<number>,
    name: string,
    beside: number | null,
    access: BufferDeclaration['access'] = 'write',
  ): number {
    const read = new Set<number>();
    const note = (e: unknown): void => {
      if (typeof e !== 'object' || e === null) return;
      const x = e as { op?: string; buffer?: number; args?: unknown[]; arg?: unknown; index?: unknown; value?: unknown };
      if (x.op === 'load') read.add(x.buffer!);
      for (const c of [...(x.args ?? []), x.arg, x.index, x.value]) note(c);
    };
    for (const s of body) note(s.kind === 'store' ? s.value : null);
    const real = axes.filter((a) => a.extent !== 1);
    const lanes = real.at(-1);
    if (lanes !== undefined) lanes.axis.kind = 'vector';
    const kernel = scheduleKernel({
      name,
      buffers: emitter.buffers.map((_, i) => ({
        dtype: emitter.bufferTypes[i],
        access: written.has(i) ? (read.has(i) ? 'readwrite' : access) : 'read',
      })),
      params: emitter.params.map((p) => p.type),
      grid: real.slice(0, -1).map((a) => a.axis),
      body: lanes === undefined ? body : [{ kind: 'loop', axis: lanes.axis, body }],
    });
    return this.add({ kind: 'kernel', kernel, buffers: emitter.buffers, params: emitter.params, place: name }, beside);
  }
}

interface Extra {
  readonly params: readonly Expr[];
  readonly reduce: (kind: ReduceKind, value: Expr) => Expr;
}

const narrow = new Set(['float16', 'bfloat16', 'int16', 'int8', 'uint8']);
const rounded = (b: KernelBuilder, dtype: DType, value: Expr): Expr => (narrow.has(dtype.name) ? b.round(dtype, value) : value);

export interface TestRun {
  readonly externals: readonly Uint8Array[];
  /** Bytes of each output, or the external whose memory it takes over. */
  readonly outputs: readonly (number | { readonly donor: number })[];
  readonly symbols?: readonly number[];
  readonly scalars?: readonly (number | bigint)[];
}

/** Runs a plan several times with the same executable; the bytes of all outputs of each run. */
export function runPlan(backend: Backend, plan: ProgramPlan, runs: readonly TestRun[]): Uint8Array[][] {
  const executable = backend.compile(plan);
  const results = runs.map((run) => {
    const externals = run.externals.map((bytes) => {
      const buffer = backend.allocate(bytes.length);
      backend.write(buffer, bytes);
      return buffer;
    });
    const fresh: Buffer[] = [];
    const outputs = run.outputs.map((o) => {
      if (typeof o !== 'number') return externals[o.donor];
      const buffer = backend.allocate(o);
      backend.write(buffer, new Uint8Array(o));
      fresh.push(buffer);
      return buffer;
    });
    executable.run({ externals, outputs, symbols: run.symbols ?? [], scalars: run.scalars ?? [] });
    const bytes = outputs.map((b) => backend.read(b, 0, b.bytes));
    for (const b of [...externals, ...fresh]) backend.free(b);
    return bytes;
  });
  executable.dispose();
  return results;
}

export function randomGenerator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Elements of a dtype, in (-2, 2) or small integers. */
export function randomBytes(dtype: DType, count: number, random: () => number): Uint8Array {
  const bytes = new Uint8Array(count * dtype.itemsize);
  const array = viewArray(dtype, bytes);
  for (let i = 0; i < count; i++) {
    const x = random() * 4 - 2;
    const integer = Math.floor(random() * 9);
    encodeInto(
      dtype,
      array,
      i,
      dtype.kind === 'float' ? x : dtype.compute === 'i64' ? BigInt(integer) : dtype.kind === 'bool' ? integer > 4 : integer,
    );
  }
  return bytes;
}

export const dense = (shape: readonly Dim[]): Dim[] => {
  const strides: Dim[] = new Array<Dim>(shape.length).fill(1);
  for (let i = shape.length - 2; i >= 0; i--) strides[i] = dims.mul(strides[i + 1], shape[i + 1]);
  return strides;
};

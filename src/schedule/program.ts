/**
 * Programs: a captured graph compiled once, then found by its key and run again.
 *
 * `compile` traces each node's body over the graph's dims, fuses (`fuse.ts`), makes kernels (`kernels.ts`), orders them into stages, and hands
 * the plan to the device. `runCaptured` is what a flush calls: look up, bind the sizes of this time, reserve memory, run.
 */
import type { Backend, Executable } from '../backend/interface.ts';
import type { DType } from '../dtype/dtype.ts';
import type { Buffer, Value } from '../graph/node.ts';
import { type Operator, traceCall } from '../graph/operator.ts';
import { input, Prim, param } from '../graph/prim.ts';
import { singleCalls } from '../graph/sequence.ts';
import type { Dim } from '../shape/dim.ts';
import * as dims from '../shape/dim.ts';
import { flags } from '../util/flags.ts';
import { trace } from '../util/trace.ts';
import { assemble } from './assemble.ts';
import { type Captured, numberLayout } from './capture.ts';
import { lowerComplex } from './complex.ts';
import { describeChange, describeGraph, describeKernels } from './describe.ts';
import { Frames } from './follow.ts';
import type { ProgramPlan } from './plan.ts';
import { shapeProducts } from './shape-products.ts';
import { shareEqual } from './share.ts';
import { bind, constantPattern, generalize, type Pattern } from './symbols.ts';

export interface Program {
  readonly id: number;
  readonly pattern: Pattern;
  readonly plan: ProgramPlan;
  readonly executable: Executable;
  /** Elements of each output, and whether it takes over its donor's memory. */
  readonly outputs: readonly { readonly size: Dim; readonly itemsize: number; readonly donated: boolean }[];
}

interface Entry {
  readonly key: Int32Array;
  readonly programs: Program[];
  readonly sightings: Int32Array[];
}

export interface ProgramStatistics {
  compiled: number;
  runs: number;
  kernels: number;
}

const maxSightings = 16;
let nextProgram = 1;

/** The programs of one device, found by structure. */
export class ProgramCache {
  readonly #entries = new Map<number, Entry[]>();
  readonly backend: Backend;
  readonly statistics: ProgramStatistics = { compiled: 0, runs: 0, kernels: 0 };
  last: Program | null = null;
  constructor(backend: Backend) {
    this.backend = backend;
  }

  readonly frames: Frames = new Frames();

  find(captured: Captured): { program: Program; symbols: Int32Array } {
    if (captured.followed !== null) return captured.followed;
    const found = this.#look(captured);
    this.frames.keep(captured, found.program, found.symbols);
    return found;
  }
  #look(captured: Captured): { program: Program; symbols: Int32Array } {
    const entry = this.#entry(captured);
    for (const program of entry.programs) {
      const symbols = bind(program.pattern, captured.numbers);
      if (symbols !== null) return { program, symbols };
    }
    const program = this.#compile(captured, entry);
    entry.sightings.push(captured.numbers.slice());
    if (entry.sightings.length > maxSightings) entry.sightings.shift();
    // Newest first, and symbolic before constant: what ran last is likeliest to run next.
    entry.programs.unshift(program);
    return { program, symbols: bind(program.pattern, captured.numbers)! };
  }

  #entry(captured: Captured): Entry {
    let bucket = this.#entries.get(captured.hash);
    if (bucket === undefined) {
      bucket = [];
      this.#entries.set(captured.hash, bucket);
    }
    let entry = bucket.find((e) => sameKey(e.key, captured.key));
    if (entry === undefined) {
      entry = { key: captured.key.slice(), programs: [], sightings: [] };
      bucket.push(entry);
    }
    return entry;
  }

  #compile(captured: Captured, entry: Entry): Program {
    const layout = numberLayout(singleCalls(captured.nodes));
    if (!flags.noSymbols) {
      // The third time, guesses that relate numbers have failed once: then each number that varies stands for itself.
      const attempts: boolean[] = entry.programs.some((p) => p.pattern.symbols > 0) ? [false] : [true, false];
      for (let i = entry.sightings.length - 1; i >= 0; i--) {
        for (const affine of attempts) {
          const pattern = generalize(entry.sightings[i], captured.numbers, layout, affine);
          if (pattern === null || pattern.symbols === 0 || bind(pattern, captured.numbers) === null) continue;
          try {
            return this.#build(captured, pattern, `${describeChange(entry.sightings, captured.numbers)}; now ${pattern.symbols} symbols`);
          } catch (error) {
            trace('programs', () => `no symbolic program: ${(error as Error).message}`);
          }
        }
        if (entry.sightings.length - i >= 3) break;
      }
    }
    return this.#build(captured, constantPattern(captured.numbers), newProgramReason(captured, entry));
  }

  #build(captured: Captured, pattern: Pattern, reason: string): Program {
    const begin = performance.now();
    const real = lowerComplex(traceProgram(captured, pattern.dims), captured.outputs);
    const { plan, donated, sizes } = assemble(shapeProducts(shareEqual(real, captured.outputs), captured.outputs), captured);
    const executable = this.backend.compile(plan);
    const program: Program = {
      id: nextProgram++,
      pattern,
      plan,
      executable,
      outputs: captured.outputs.map((v, i) => ({ size: sizes[i], itemsize: v.dtype.real.itemsize, donated: donated[i] })),
    };
    this.statistics.compiled++;
    trace('kernels', () => describeKernels(plan));
    trace('code', () => executable.listing());
    trace(
      'programs',
      () =>
        `program ${program.id} on ${this.backend.name}: ${singleCalls(captured.nodes).length} calls, ${plan.steps.length} kernels, ` +
        `${new Set(plan.stages).size} stages, compiled in ${(performance.now() - begin).toFixed(1)} ms (${reason})`,
    );
    return program;
  }

  /** Computes the captured outputs: each gets its buffer. Nothing has changed if this throws before the first kernel. */
  run(captured: Captured): void {
    trace('graph', () => describeGraph(captured));
    const { program, symbols } = this.find(captured);
    const { donors, externals: read, outputs: made, scalars } = captured;
    const externals = new Array<Buffer>(read.length);
    for (let i = 0; i < read.length; i++) externals[i] = bufferOf(read[i]);
    const outputs = this.launch(program, { externals, donors, symbols, scalars });
    for (let i = 0; i < made.length; i++) {
      made[i].buffer = outputs[i];
      // The donor's memory now holds the new value.
      if (program.outputs[i].donated) read[donors[i]].buffer = null;
    }
  }

  /** Reserves memory for a program's outputs and runs it; gives that memory. Nothing has changed if this throws before the first kernel. */
  launch(
    program: Program,
    {
      externals,
      donors,
      symbols,
      scalars,
    }: {
      readonly externals: readonly Buffer[];
      readonly donors: readonly number[];
      readonly symbols: ArrayLike<number>;
      readonly scalars: readonly (number | bigint)[];
    },
  ): Buffer[] {
    const planned = program.outputs;
    const outputs = new Array<Buffer>(planned.length);
    let reserved = 0;
    try {
      for (; reserved < planned.length; reserved++) {
        const { donated, size, itemsize } = planned[reserved];
        outputs[reserved] = donated ? externals[donors[reserved]] : this.backend.allocate(dims.evaluate(size, symbols) * itemsize);
      }
    } catch (error) {
      for (let i = 0; i < reserved; i++) if (!planned[i].donated) this.backend.free(outputs[i]);
      throw error;
    }
    program.executable.run({ externals, outputs, symbols, scalars });
    this.last = program;
    this.statistics.runs++;
    this.statistics.kernels += program.plan.steps.length;
    return outputs;
  }
}

/** Why no program of the cache would do. */
function newProgramReason(captured: Captured, entry: Entry): string {
  if (entry.programs.length > 0) {
    const why = flags.noSymbols ? 'symbols are off' : 'no symbols fit';
    return `${describeChange(entry.sightings, captured.numbers)}; ${why}`;
  }
  const names = singleCalls(captured.nodes).map((n) => n.signature.operator.name);
  return `new structure: ${names.slice(0, 6).join(' ')}${names.length > 6 ? ` ... ${names.at(-1)}` : ''}`;
}

function bufferOf(v: Value): Buffer {
  if (v.buffer === null) throw new Error('internal: a program reads a value that is not in memory');
  return v.buffer;
}

function sameKey(a: Int32Array, b: Int32Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** A node result as the program computes it, and the layout in which it is stored if it is. */
export interface TracedValue {
  readonly value: Value;
  readonly prim: Prim;
  readonly shape: readonly Dim[];
  readonly strides: readonly Dim[];
  readonly place: string;
}

export interface TracedProgram {
  readonly values: ReadonlyMap<Value, TracedValue>;
  readonly externals: ReadonlyMap<Value, Prim>;
  /** Every prim's place: operator and module path of the call it came from. */
  readonly places: ReadonlyMap<Prim, string>;
}

const unbounded = 2 ** 31;

/** All nodes' bodies as one graph of primitives. */
function traceProgram(captured: Captured, numbers: readonly Dim[]): TracedProgram {
  const values = new Map<Value, TracedValue>();
  const externals = new Map<Value, Prim>();
  const places = new Map<Prim, string>();
  captured.externals.forEach((v, slot) => {
    externals.set(v, input(slot, [unbounded], v.dtype));
  });
  const memoryOrder = new Map<Value, Prim>();
  let at = 0;
  const take = (n: number): readonly Dim[] => {
    at += n;
    return numbers.slice(at - n, at);
  };
  singleCalls(captured.nodes).forEach((node, nodeIndex) => {
    const { signature } = node;
    const offsets = take(signature.inputs.length);
    const inputs = signature.inputs.map((view, i) => {
      const shape = take(view.ndim);
      const strides = take(view.ndim);
      const src = node.srcs![i];
      const made = values.get(src);
      if (made === undefined) {
        const flat = externals.get(src)!;
        return memoryAs(flat, view.dtype).view(shape, strides, offsets[i]);
      }
      const out = src.node!.signature.outs[src.index];
      if (out === view && node.offsets[i] === 0) return made.prim;
      let flat = memoryOrder.get(src);
      if (flat === undefined) {
        flat = inMemoryOrder(made, out.strides);
        memoryOrder.set(src, flat);
      }
      return memoryAs(flat, view.dtype).view(shape, strides, offsets[i]);
    });
    const callDims = take(signature.dims.length);
    const outShapes = signature.outs.map((v) => ({ shape: take(v.ndim), strides: take(v.ndim) }));
    const operator: Operator = signature.operator;
    const params = (operator.paramTypes?.(signature.constants) ?? []).map((t, i) => param(captured.firstScalar[nodeIndex] + i, t));
    const traced = traceCall(operator, inputs, { constants: signature.constants, dims: callDims, params }, signature.needs);
    [...traced.outputs, ...traced.hidden].forEach((prim, i) => {
      const value = node.outs[i];
      values.set(value, { value, prim, ...outShapes[i], place: node.place });
      if (!places.has(prim)) places.set(prim, node.place);
    });
  });
  return { values, externals, places };
}

/** Flat memory read as another dtype. A complex number is two reals there, so the two count differently. */
function memoryAs(flat: Prim, dtype: DType): Prim {
  if (dtype === flat.dtype) return flat;
  const [size] = flat.shape;
  const pairs = flat.dtype.is_complex === dtype.is_complex ? size : dtype.is_complex ? dims.quotient(size, 2) : dims.mul(size, 2);
  return new Prim({ op: 'bitcast', srcs: [flat] }, [pairs], dtype);
}

/** A value's elements in the order in which they lie in memory: the prim with its dims sorted by stride. */
function inMemoryOrder(made: TracedValue, strides: readonly number[]): Prim {
  const order = [...strides.keys()].sort((i, j) => strides[j] - strides[i] || i - j);
  const sorted = made.prim.permute(order);
  return sorted.reshape([dims.productOf(sorted.shape)]);
}

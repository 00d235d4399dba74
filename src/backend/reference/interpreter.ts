/**
 * Executes kernel IR directly: the oracle of every renderer, for tests (never a user's default).
 *
 * Each expression becomes a closure. A value is remembered until one of its free axes moves, which is what "evaluated in the shallowest
 * loop that binds its free axes" means: without it softmax would sum its row once per element. Reductions follow the order stated in
 * ir.ts, lane by lane. A kernel must not rely on seeing its own stores through a load, except at the very element a store combines with.
 */

import type { StorageArray } from '../../dtype/codec.ts';
import { decode, encodeInto, makeArray, viewArray } from '../../dtype/codec.ts';
import { freeAxes } from '../../kernel/expression.ts';
import type { Axis, Expr, Kernel, ReduceExpr, Statement, StoreStatement } from '../../kernel/ir.ts';
import { noIndex, reduceIdentity } from '../../kernel/reduce-identity.ts';
import type { Value } from '../../kernel/scalar-reference.ts';
import { bitcastReference, castReference, roundReference, scalarReference } from '../../kernel/scalar-reference.ts';

const lanes = 16;
const blockLength = 1024;

interface AxisState {
  value: number;
  stamp: number;
}
interface Compiled {
  readonly run: () => Value;
  /** Axes the value depends on, those bound inside its own reductions excluded. */
  readonly free: ReadonlySet<Axis>;
}

export interface ReferenceKernel {
  run(buffers: readonly Uint8Array[], params: readonly Value[], begin: number, end: number): void;
}

const combineOps = { sum: 'add', prod: 'mul', max: 'max', min: 'min', any: 'or', all: 'and' } as const;

/** Compiles a kernel to closures; the result may be run many times. */
export function compileReference(kernel: Kernel): ReferenceKernel {
  let arrays: StorageArray[] = [];
  let params: readonly Value[] = [];
  let clock = 0;
  let epoch = 0;
  const axes = new Map<Axis, AxisState>();
  const compiled = new Map<Expr, Compiled>();

  function axisState(axis: Axis): AxisState {
    let state = axes.get(axis);
    if (state === undefined) {
      state = { value: 0, stamp: 0 };
      axes.set(axis, state);
    }
    return state;
  }
  function move(state: AxisState, value: number): void {
    state.value = value;
    state.stamp = ++clock;
  }

  function remember(free: ReadonlySet<Axis>, run: () => Value): () => Value {
    const states = [...free].map(axisState);
    let stamp = -1;
    let value: Value = 0;
    return () => {
      let valid = stamp >= epoch;
      for (let i = 0; valid && i < states.length; i++) valid = states[i].stamp <= stamp;
      if (!valid) {
        value = run();
        stamp = clock;
      }
      return value;
    };
  }

  function compile(e: Expr): Compiled {
    let found = compiled.get(e);
    if (found === undefined) {
      found = compileNew(e);
      compiled.set(e, found);
    }
    return found;
  }
  function compileNew(e: Expr): Compiled {
    switch (e.op) {
      case 'const':
        return { run: () => e.value, free: new Set() };
      case 'param':
        return {
          run: () =>
            e.type === 'index' ? Number(params[e.slot]) : e.type === 'f32' ? Math.fround(params[e.slot] as number) : params[e.slot],
          free: new Set(),
        };
      case 'axis': {
        const state = axisState(e.axis);
        return { run: () => state.value, free: new Set([e.axis]) };
      }
      case 'load': {
        const index = compile(e.index);
        const mask = e.mask === null ? null : compile(e.mask);
        const free = new Set([...index.free, ...(mask?.free ?? []), ...freeAxes(e)]);
        const dtype = kernel.buffers[e.buffer].dtype;
        const cast = castReference(dtype.compute, e.type);
        const zero = castReference('i32', e.type === 'index' ? 'i32' : e.type)(0);
        return {
          run: remember(free, () => {
            if (mask !== null && !mask.run()) return zero;
            const i = index.run() as number;
            if (!(i >= 0 && i < arrays[e.buffer].length))
              throw new Error(`internal: ${kernel.name} reads element ${i} of buffer ${e.buffer}`);
            return cast(decode(dtype, arrays[e.buffer], i) as Value);
          }),
          free,
        };
      }
      case 'scalar': {
        const args = e.args.map(compile);
        const free = new Set(args.flatMap((a) => [...a.free]));
        const call = scalarReference(e.fn, e.args[e.args.length - 1].type);
        const [a, b, c] = args.map((x) => x.run);
        if (e.fn === 'select') return { run: remember(free, () => (a() ? b() : c())), free };
        if (args.length === 1) return { run: remember(free, () => call(a(), 0, 0)), free };
        if (args.length === 2) return { run: remember(free, () => call(a(), b(), 0)), free };
        return { run: remember(free, () => call(a(), b(), c())), free };
      }
      case 'cast': {
        const arg = compile(e.arg);
        const cast = castReference(e.arg.type, e.type);
        return { run: remember(arg.free, () => cast(arg.run())), free: arg.free };
      }
      case 'bitcast': {
        const arg = compile(e.arg);
        return { run: remember(arg.free, () => bitcastReference(e.arg.type, arg.run())), free: arg.free };
      }
      case 'round': {
        const arg = compile(e.arg);
        return { run: remember(arg.free, () => roundReference(e.dtype, arg.run())), free: arg.free };
      }
      case 'reduce':
        return compileReduce(e);
      default:
        return e satisfies never;
    }
  }

  function compileReduce(e: ReduceExpr): Compiled {
    const value = compile(e.value);
    const extents = e.axes.map((a) => compile(a.extent));
    const free = new Set([...value.free, ...extents.flatMap((x) => [...x.free])]);
    for (const a of e.axes) free.delete(a);
    const states = e.axes.map(axisState);
    const last = e.axes.length - 1;
    const best = e.kind === 'argmax' || e.kind === 'argmin';
    const identity = reduceIdentity(e.kind, e.value.type);
    const combine = best ? null : scalarReference(combineOps[e.kind as keyof typeof combineOps], e.value.type);
    const isNaNValue = (v: Value): boolean => v !== v;

    /** Is (v, i) better than (w, j)? A total order, so lanes may be combined in any order. */
    function better(v: Value, i: number, w: Value, j: number): boolean {
      if (isNaNValue(v) || isNaNValue(w)) return isNaNValue(v) && (!isNaNValue(w) || i < j);
      return v === w ? i < j : e.kind === 'argmax' ? v > w : v < w;
    }
    const run = (): Value => {
      // an axis may be shared with a loop or reduction that is under way: give it back afterwards
      const before = states.map((state) => state.value);
      const totals: Value[] = new Array(lanes).fill(identity);
      const totalIndices: number[] = new Array(lanes).fill(noIndex);
      const counts = extents.map((x) => x.run() as number);
      const merge = (values: Value[], indices: number[], l: number, v: Value, i: number): void => {
        if (combine !== null) values[l] = combine(values[l], v, 0);
        else if (better(v, i, values[l], indices[l])) {
          values[l] = v;
          indices[l] = i;
        }
      };
      const rows = (axis: number, row: number): void => {
        if (axis < last) {
          for (let i = 0; i < counts[axis]; i++) {
            move(states[axis], i);
            rows(axis + 1, (row + i) * counts[axis + 1]);
          }
          return;
        }
        for (let start = 0; start < counts[last]; start += blockLength) {
          const values: Value[] = new Array(lanes).fill(identity);
          const indices: number[] = new Array(lanes).fill(noIndex);
          for (let i = start; i < Math.min(start + blockLength, counts[last]); i++) {
            move(states[last], i);
            merge(values, indices, i % lanes, value.run(), row + i);
          }
          for (let l = 0; l < lanes; l++) merge(totals, totalIndices, l, values[l], indices[l]);
        }
      };
      rows(0, 0);
      for (let half = lanes / 2; half >= 1; half /= 2)
        for (let l = 0; l < half; l++) merge(totals, totalIndices, l, totals[l + half], totalIndices[l + half]);
      states.forEach((state, i) => {
        move(state, before[i]);
      });
      return best ? (totalIndices[0] === noIndex ? 0 : totalIndices[0]) : totals[0];
    };
    return { run: remember(free, run), free };
  }

  function compileStore(s: StoreStatement): () => void {
    const index = compile(s.index);
    const value = compile(s.value);
    const mask = s.mask === null ? null : compile(s.mask);
    const dtype = kernel.buffers[s.buffer].dtype;
    const cast = castReference(s.value.type, dtype.compute);
    const combine = s.combine === null ? null : scalarReference(s.combine, dtype.compute);
    return () => {
      const v = cast(value.run());
      if (mask !== null && !mask.run()) return;
      const i = index.run() as number;
      if (!(i >= 0 && i < arrays[s.buffer].length)) throw new Error(`internal: ${kernel.name} writes element ${i} of buffer ${s.buffer}`);
      encodeInto(dtype, arrays[s.buffer], i, combine === null ? v : combine(decode(dtype, arrays[s.buffer], i) as Value, v, 0));
    };
  }
  function compileBody(body: readonly Statement[]): () => void {
    const steps = body.map((s): (() => void) => {
      if (s.kind === 'store') return compileStore(s);
      const state = axisState(s.axis);
      const extent = compile(s.axis.extent);
      const inner = compileBody(s.body);
      return () => {
        const count = extent.run() as number;
        for (let i = 0; i < count; i++) {
          move(state, i);
          inner();
        }
      };
    });
    return () => {
      for (const step of steps) step();
    };
  }

  const extents = kernel.grid.map((a) => compile(a.extent));
  const states = kernel.grid.map(axisState);
  const body = compileBody(kernel.body);
  return {
    run(buffers, values, begin, end) {
      arrays = kernel.buffers.map((b, i) => (b.access === 'local' ? makeArray(b.dtype, b.elements!) : viewArray(b.dtype, buffers[i])));
      params = values;
      epoch = ++clock;
      const counts = extents.map((x) => x.run() as number);
      for (let g = begin; g < end; g++) {
        let rest = g;
        for (let a = counts.length - 1; a >= 0; a--) {
          const digit = a === 0 ? rest : rest % counts[a];
          if (states[a].value !== digit || states[a].stamp < epoch) move(states[a], digit);
          rest = (rest - digit) / counts[a];
        }
        body();
      }
      kernel.buffers.forEach((b, i) => {
        // viewArray copies bytes that are not aligned
        if (b.access !== 'read' && b.access !== 'local' && arrays[i].buffer !== buffers[i].buffer)
          buffers[i].set(new Uint8Array(arrays[i].buffer, arrays[i].byteOffset, buffers[i].length));
      });
    },
  };
}

/** Runs grid indices [begin, end) once. */
export function run(kernel: Kernel, buffers: readonly Uint8Array[], params: readonly Value[], begin: number, end: number): void {
  compileReference(kernel).run(buffers, params, begin, end);
}

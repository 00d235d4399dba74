/**
 * Random kernels: a kernel a seed, of any dtypes and shapes (0 to 4 dimensions, sizes that may be symbols, also of zero), with sources that are broadcast, transposed,
 * strided, shifted, masked or gathered, any scalar operations, reductions of every kind; gathers and scatters by indices in memory; products of matrices.
 *
 * A source is exactly as long as the farthest element that is read, so that one element too many is one beyond the buffer. Kernels are written in the kernel IR,
 * as the scheduler writes it; what the IR leaves open (the sign of min(-0, 0), the bits of a NaN) is kept out, or out of the comparison.
 */

import type { PlanBuilder } from '../../../src/backend/test-support.ts';
import { encodeInto, viewArray } from '../../../src/dtype/codec.ts';
import {
  bfloat16,
  bool,
  type DType,
  float8_e4m3fn,
  float8_e5m2,
  float16,
  float32,
  float64,
  int8,
  int16,
  int32,
  int64,
  uint8,
} from '../../../src/dtype/dtype.ts';
import type { Expr, KernelBuilder, ReduceKind } from '../../../src/kernel/ir.ts';
import { type ComputeType, type ScalarOp, scalarOps } from '../../../src/kernel/scalar.ts';
import type { Dim } from '../../../src/shape/dim.ts';
import * as dims from '../../../src/shape/dim.ts';

export const dtypes: readonly DType[] = [
  ...[float32, float64, float16, bfloat16, float8_e4m3fn, float8_e5m2],
  ...[int64, int32, int16, int8, uint8, bool],
];

/** What a generated kernel needs at a run, and how closely its output has to agree with the reference. */
export interface Generated {
  readonly externals: readonly Uint8Array[];
  readonly outputBytes: number;
  readonly dtype: DType;
  /** `nearly`: a product, whose sums the reference rounds more often. */
  readonly agreement: 'bits' | 'nearly';
  readonly hasFma: boolean;
}

export function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

type Random = () => number;
const below = (random: Random, n: number): number => Math.floor(random() * n);
const pick = <T>(random: Random, list: readonly T[]): T => list[below(random, list.length)]!;

const extents = [1, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 127, 129, 255, 257, 1023, 1024, 1025];
const mostElements = 1200;
const mostReduced = 1100;

function randomShape(random: Random, rank: number, most: number): number[] {
  const shape: number[] = [];
  let size = 1;
  for (let i = 0; i < rank; i++) {
    const fitting = extents.filter((n) => n * size <= most);
    const n = random() < 0.01 ? 0 : pick(random, fitting);
    shape.push(n);
    size *= Math.max(1, n);
  }
  for (let i = shape.length - 1; i > 0; i--) {
    const j = below(random, i + 1);
    [shape[i], shape[j]] = [shape[j]!, shape[i]!];
  }
  return shape;
}

const awkwardFloats = [
  0,
  -0,
  1,
  -1,
  0.5,
  1.5,
  2.5,
  -2.5,
  1e-3,
  3e38,
  1e-40,
  -1e-44,
  Infinity,
  -Infinity,
  Number.NaN,
  2 ** 31,
  -(2 ** 31),
  448,
  65520,
  2 ** -9,
  2 ** -16,
];
const awkwardIntegers = [
  0n,
  1n,
  -1n,
  31n,
  32n,
  63n,
  64n,
  127n,
  -128n,
  255n,
  32767n,
  2n ** 31n - 1n,
  -(2n ** 31n),
  2n ** 53n,
  2n ** 63n - 1n,
  -(2n ** 63n),
];

/** `tame`: numbers of ordinary size only, for products. */
export function randomElements(dtype: DType, count: number, random: Random, tame = false): Uint8Array {
  const bytes = new Uint8Array(count * dtype.itemsize);
  const array = viewArray(dtype, bytes);
  for (let i = 0; i < count; i++) {
    const awkward = !tame && random() < 0.15;
    if (dtype.kind === 'bool') bytes[i] = random() < 0.5 ? 1 : 0;
    else if (dtype.kind === 'float') encodeInto(dtype, array, i, awkward ? pick(random, awkwardFloats) : (random() - 0.5) * 8);
    else {
      const big = awkward ? pick(random, awkwardIntegers) : BigInt(below(random, 17) - (dtype === uint8 ? 0 : 8));
      encodeInto(dtype, array, i, dtype.compute === 'i64' ? BigInt.asIntN(64, big) : Number(BigInt.asIntN(32, big)));
    }
  }
  return bytes;
}

const allOps = Object.keys(scalarOps) as ScalarOp[];

function accepts(op: ScalarOp, type: ComputeType): boolean {
  const isFloat = type === 'f32' || type === 'f64';
  if (op === 'idiv' || op === 'irem') return type === 'i32' || type === 'i64';
  switch (scalarOps[op].operands) {
    case 'float':
      return isFloat;
    case 'int':
      return type === 'i32' || type === 'i64';
    case 'number':
      return type !== 'bool';
    case 'bits':
      return !isFloat;
    case 'any':
      return true;
    case 'bool':
      return type === 'bool';
    default:
      return scalarOps[op].operands satisfies never;
  }
}

const computeTypes = ['f32', 'f64', 'i32', 'i64', 'bool'] as const;
const reduceKinds: readonly ReduceKind[] = ['sum', 'prod', 'max', 'min', 'any', 'all', 'argmax', 'argmin'];

/** The value pools of a kernel, and what was used on the way. */
class Values {
  readonly #b: KernelBuilder;
  readonly #random: Random;
  readonly #pool: Expr[] = [];
  /** Whether there are multiply-adds. */
  fma = false;

  constructor(b: KernelBuilder, random: Random, loads: readonly Expr[]) {
    this.#b = b;
    this.#random = random;
    this.#pool.push(...loads);
    if (loads.length === 0 || random() < 0.5) this.#pool.push(this.#constant(pick(random, computeTypes)));
  }

  #constant(type: ComputeType): Expr {
    const random = this.#random;
    const small = below(random, 9) - 4;
    return this.#b.const(type, type === 'bool' ? random() < 0.5 : type === 'i64' ? BigInt(small) : type === 'i32' ? small : small / 4);
  }

  get any(): Expr {
    return this.#pool[below(this.#random, this.#pool.length)]!;
  }

  /** Of a type: one that is there, or another one's cast. */
  of(type: ComputeType): Expr {
    const there = this.#pool.filter((e) => e.type === type);
    if (there.length > 0 && this.#random() < 0.9) return pick(this.#random, there);
    return this.cast(type, this.any);
  }

  cast(type: ComputeType, e: Expr): Expr {
    // The reference rounds an int64 to float64 on its way to float32.
    if (e.type === 'i64' && type === 'f32') return this.#b.cast('f32', this.#b.cast('f64', e));
    return this.#b.cast(type, e);
  }

  push(e: Expr): void {
    this.#pool.push(e);
  }

  step(): void {
    const random = this.#random;
    if (random() < 0.1) {
      this.push(this.cast(pick(random, computeTypes), this.any));
      return;
    }
    if (random() < 0.03) {
      const from = pick(random, ['i32', 'i64'] as const);
      this.push(this.#b.bitcast(from === 'i32' ? 'f32' : 'f64', this.of(from)));
      return;
    }
    if (random() < 0.05) {
      const dtype = pick(
        random,
        dtypes.filter((d) => d.itemsize < 4 && d.kind !== 'bool'),
      );
      this.push(this.#b.round(dtype, this.of(dtype.compute)));
      return;
    }
    const type = this.any.type;
    const fitting = allOps.filter((op) => accepts(op, type) && (scalarOps[op].level === 'basic' || random() < 0.12));
    const op = pick(random, fitting);
    const { arity, level } = scalarOps[op];
    // min and max of two zeros may give either: there are no negative ones.
    const settled = (e: Expr): Expr =>
      (op === 'min' || op === 'max') && type[0] === 'f' ? this.#b.scalar('add', e, this.#b.const(type, 0)) : e;
    const args = Array.from({ length: arity }, () => settled(this.of(type)));
    if (op === 'select') args[0] = this.of('bool');
    // Composites are made of multiply-adds.
    if (op === 'fma' || level === 'composite') this.fma = true;
    this.push(this.#b.scalar(op, ...args));
  }
}

interface Layout {
  readonly strides: readonly Dim[];
  readonly offset: number;
}

/** Strides of axes in memory: dense in some order, some axes broadcast or spread out, shifted. */
function randomLayout(random: Random, shape: readonly Dim[], dense: boolean): Layout {
  const order = shape.map((_, i) => i);
  if (random() < 0.35)
    for (let i = order.length - 1; i > 0; i--) {
      const j = below(random, i + 1);
      [order[i], order[j]] = [order[j]!, order[i]!];
    }
  const strides = new Array<Dim>(shape.length).fill(0);
  let step: Dim = dense || random() < 0.8 ? 1 : 2 + below(random, 3);
  for (const axis of order.reverse()) {
    if (!dense && random() < 0.15) continue;
    strides[axis] = step;
    // A stride of zero would be a broadcast.
    if (shape[axis] !== 0) step = dims.mul(step, shape[axis]!);
  }
  return { strides, offset: dense || random() < 0.7 ? 0 : below(random, 5) };
}

/** The number of elements up to the farthest one that a layout reaches. */
function reach(shape: readonly Dim[], { strides, offset }: Layout, symbols: readonly number[]): number {
  const sizes = shape.map((d) => dims.evaluate(d, symbols));
  // An axis that the layout does not move along says nothing: a vector that is broadcast into an empty matrix is there, and may be read.
  if (sizes.some((n, i) => n === 0 && strides[i] !== 0)) return 0;
  return 1 + offset + strides.reduce<number>((sum, stride, i) => sum + dims.evaluate(stride, symbols) * Math.max(0, sizes[i]! - 1), 0);
}

/** Adds the kernel of a seed to a plan; `symbols` are the values that the plan will run with. */
export function addKernel(p: PlanBuilder, seed: number, symbols: readonly number[]): Generated {
  const random = generator(seed);
  const kind = random();
  if (kind < 0.04) return addProduct(p, random);
  if (kind < 0.06) return addGather(p, random);
  if (kind < 0.08) return addScatter(p, random);
  return addPointKernel(p, random, seed, symbols);
}

/** Indices below `n`, the last one among them, so that one more would be too far. */
function randomIndices(random: Random, count: number, n: number): Uint8Array {
  const indices = BigInt64Array.from({ length: count }, () => BigInt(below(random, n)));
  if (count > 0) indices[below(random, count)] = BigInt(n - 1);
  return new Uint8Array(indices.buffer);
}

/** out[i] = source[index[i]] */
function addGather(p: PlanBuilder, random: Random): Generated {
  const dtype = pick(random, dtypes);
  const [count, n] = [pick(random, extents), pick(random, extents)];
  const [source, index] = [p.buffer('external', dtype, 0), p.buffer('external', int64, 0)];
  p.gather(source, index, p.buffer('output', dtype, count), count);
  const externals = [randomElements(dtype, n, random), randomIndices(random, count, n)];
  return { externals, outputBytes: count * dtype.itemsize, dtype, agreement: 'bits', hasFma: false };
}

/** out[index[i]] += value[i], in order, from zeros. */
function addScatter(p: PlanBuilder, random: Random): Generated {
  const dtype = pick(random, [float32, float64, int32, int64]);
  const [count, n] = [pick(random, extents), pick(random, extents)];
  const [index, value] = [p.buffer('external', int64, 0), p.buffer('external', dtype, 0)];
  p.scatterAdd(index, value, p.buffer('output', dtype, n), count);
  const externals = [randomIndices(random, count, n), randomElements(dtype, count, random)];
  return { externals, outputBytes: n * dtype.itemsize, dtype, agreement: 'bits', hasFma: false };
}

function addPointKernel(p: PlanBuilder, random: Random, seed: number, symbols: readonly number[]): Generated {
  const reducing = random() < 0.4;
  const shape: Dim[] = randomShape(random, below(random, 5), reducing ? 60 : mostElements);
  const reduce: Dim[] = reducing ? randomShape(random, 1 + below(random, 2), mostReduced) : [];
  // A size that is known at the run only.
  if (random() < 0.2) {
    const where = random() < 0.5 && reduce.length > 0 ? reduce : shape;
    if (where.length > 0) where[below(random, where.length)] = dims.symbol(0);
  }
  const everything = [...shape, ...reduce];
  const elementsOf = (list: readonly Dim[]): number => list.reduce<number>((n, d) => n * dims.evaluate(d, symbols), 1);
  // A symbol may have made it too large.
  if (elementsOf(everything) > 70_000) return addPointKernel(p, random, seed, symbols);

  const externals: Uint8Array[] = [];
  const sources = Array.from({ length: below(random, 4) + (reducing ? 1 : 0) }, () => {
    const dtype = pick(random, dtypes);
    const own = reducing && random() < 0.3 ? shape : everything;
    const layout = randomLayout(random, own, false);
    const length = reach(own, layout, symbols);
    // A guard cuts off what lies beyond the end of a shorter buffer.
    const guarded = random() < 0.2 && length > 1;
    const there = guarded ? 1 + below(random, length - 1) : length;
    externals.push(randomElements(dtype, there, random));
    return { buffer: p.buffer('external', dtype, 0), strides: layout.strides, offset: layout.offset, guard: guarded ? there : null, there };
  });
  const dtype = pick(random, dtypes);
  const target = randomLayout(random, shape, true);
  const size = reach(shape, target, symbols);
  const output = p.buffer('output', dtype, size);
  let fma = false;
  p.kernel({
    name: `random_${seed}`,
    shape,
    reduce,
    sources,
    target: { buffer: output, strides: target.strides, offset: target.offset },
    value: (b, loads, extra) => {
      const read = loads.map((load, i) => {
        const { guard, there } = sources[i]!;
        if (load.op !== 'load') throw new Error('internal: a source is a load');
        if (guard !== null) return b.load(load.buffer, load.type, load.index, b.scalar('lt', load.index, b.index(guard)));
        // Gathered: another element of the same buffer.
        if (random() < 0.12 && there > 0)
          return b.load(
            load.buffer,
            load.type,
            b.scalar('irem', b.scalar('add', b.scalar('mul', load.index, b.index(7)), b.index(3)), b.index(there)),
          );
        return load;
      });
      const inner = new Values(b, random, read);
      for (let n = below(random, 8); n > 0; n--) inner.step();
      let result = inner.any;
      fma = inner.fma;
      if (reduce.length > 0) {
        const outer = new Values(b, random, []);
        for (let n = 1 + below(random, 2); n > 0; n--) outer.push(reduction(b, inner, random, extra.reduce));
        for (let n = below(random, 4); n > 0; n--) outer.step();
        result = outer.any;
        fma ||= inner.fma || outer.fma;
      }
      const values = new Values(b, random, [result]);
      const cast = values.cast(dtype.compute, result);
      return dtype.name.startsWith('float8') ? b.round(dtype, cast) : cast;
    },
  });
  return { externals, outputBytes: size * dtype.itemsize, dtype, agreement: 'bits', hasFma: fma };
}

function reduction(b: KernelBuilder, inner: Values, random: Random, reduce: (kind: ReduceKind, value: Expr) => Expr): Expr {
  const kind = pick(random, reduceKinds);
  const type = kind === 'any' || kind === 'all' ? 'bool' : pick(random, ['f32', 'f64', 'i32', 'i64'] as const);
  let value = inner.of(type);
  if ((kind === 'max' || kind === 'min') && type[0] === 'f') value = b.scalar('add', value, b.const(type, 0));
  const reduced = reduce(kind, value);
  return reduced.type === 'index' ? b.cast('i64', reduced) : reduced;
}

function addProduct(p: PlanBuilder, random: Random): Generated {
  const dtype = pick(random, [float32, float32, float64, bfloat16, float16, int32, int64]);
  const side = (): number => pick(random, [1, 1, 2, 3, 5, 8, 15, 16, 17, 33, 48, 70]);
  const [batch, m, n, k] = [pick(random, [1, 1, 2, 3]), side(), side(), random() < 0.03 ? 0 : side() * pick(random, [1, 1, 1, 8])];
  const [a, b] = [p.buffer('external', dtype, 0), p.buffer('external', dtype, 0)];
  const c = p.buffer('output', dtype, batch * m * n);
  const [turnedA, turnedB, shared] = [random() < 0.3, random() < 0.5, random() < 0.3];
  p.matmul({
    batch: [batch],
    ...{ m, n, k },
    a: p.operand(a, [m * k], turnedA ? 1 : k, turnedA ? m : 1),
    b: p.operand(b, [shared ? 0 : n * k], turnedB ? 1 : n, turnedB ? k : 1),
    c: p.operand(c, [m * n], n, 1),
  });
  const externals = [randomElements(dtype, batch * m * k, random, true), randomElements(dtype, (shared ? 1 : batch) * k * n, random, true)];
  return {
    externals,
    outputBytes: batch * m * n * dtype.itemsize,
    dtype,
    agreement: dtype.kind === 'float' ? 'nearly' : 'bits',
    hasFma: true,
  };
}

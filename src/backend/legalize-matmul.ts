/**
 * Products that a device's template does not take, said with what it has.
 *
 * An operand of a dtype it cannot read, or with batch strides it cannot walk, is first copied into a dense temporary of the type it computes
 * in; a result likewise computed densely and then copied out, rounded once. Products of integers become an ordinary kernel with a reduction,
 * as they are rare and their order of addition does not show. The sums of float products keep the template's order in every case.
 * A plan with nothing to change is returned as it is.
 */
import { type DType, float32, float64 } from '../dtype/dtype.ts';
import type { Statement } from '../kernel/ir.ts';
import { Emitter } from '../schedule/emit.ts';
import { axisIndex, type LoopAxis, linear } from '../schedule/index-map.ts';
import type { BufferPlan, KernelStep, MatmulStep, MatrixOperand, ProgramPlan, Step } from '../schedule/plan.ts';
import type { Dim } from '../shape/dim.ts';
import * as dims from '../shape/dim.ts';
import { blockSteps, hasBlocks } from './legalize-blocks.ts';
import { storeKernel } from './store-kernel.ts';

export interface MatmulSupport {
  /** Dtypes that operands and results may have when the product is computed in float32; in float64 it is float64 only. */
  readonly float32: ReadonlySet<DType>;
  /** Batch dims, after merging those that all operands walk as one. */
  readonly batchDims: number;
  /** Right operands of ggml blocks are taken, from float32 rows into float32 rows; else they become kernels (`legalize-blocks.ts`). */
  readonly blocks?: boolean;
}

export function legalizeMatmuls(plan: ProgramPlan, support: MatmulSupport): ProgramPlan {
  const buffers: BufferPlan[] = [...plan.buffers];
  const steps: Step[] = [];
  const stages: number[] = [];
  plan.steps.forEach((step, i) => {
    // Copies in before the stage, copies out after it.
    const stage = plan.stages[i] * 3 + 1;
    const put = (s: Step, at: number): void => {
      steps.push(s);
      stages.push(at);
    };
    if (hasBlocks(step) && support.blocks !== true) {
      const parts = blockSteps(step, buffers);
      parts.forEach((part, at) => {
        // One after the other, between the copies in and the copies out.
        const when = at / parts.length / 2;
        if (part.kind === 'kernel') put(part, stage + when);
        else legalize(part, support, buffers, (s, side) => put(s, side === 0 ? stage + when : stage + side));
      });
    } else if (step.kind !== 'matmul') put(step, stage);
    else legalize(step, support, buffers, (s, when) => put(s, stage + when));
  });
  if (steps.length === plan.steps.length && steps.every((s, i) => s === plan.steps[i])) return plan;
  const order = [...steps.keys()].sort((i, j) => stages[i] - stages[j] || i - j);
  const dense = new Map([...new Set(stages)].sort((a, b) => a - b).map((stage, i) => [stage, i]));
  return { ...plan, buffers, steps: order.map((i) => steps[i]), stages: order.map((i) => dense.get(stages[i])!) };
}

function legalize(step: MatmulStep, support: MatmulSupport, buffers: BufferPlan[], put: (s: Step, when: -1 | 0 | 1) => void): void {
  const { compute } = step.c.dtype;
  if (step.c.dtype.is_complex) throw new Error('internal: a complex product reached a device');
  if (compute !== 'f32' && compute !== 'f64') {
    put(integerProduct(step), 0);
    return;
  }
  const type = compute === 'f32' ? float32 : float64;
  const takes = (dtype: DType): boolean => (type === float64 ? dtype === float64 : support.float32.has(dtype));
  const crowded = mergedBatchDims(step) > support.batchDims;
  const { batch, m, n, k } = step;
  const temporary = (rows: Dim, columns: Dim): MatrixOperand => {
    const shape = [...batch, rows, columns];
    const buffer = buffers.push({ kind: 'temporary', slot: -1, dtype: type, size: dims.productOf(shape) }) - 1;
    const strides = rowMajor(shape);
    return { buffer, dtype: type, batch: strides.slice(0, -2), row: strides.at(-2)!, column: 1, offset: 0 };
  };
  const operand = (o: MatrixOperand, rows: Dim, columns: Dim): MatrixOperand => {
    if (takes(o.dtype) && !(crowded && !walksAsOne(o.batch, batch))) return o;
    const copy = temporary(rows, columns);
    put(copyMatrix(o, copy, [...batch, rows, columns], step.place), -1);
    return copy;
  };
  const b = step.blocks === undefined ? operand(step.b, k, n) : step.b;
  let a = operand(step.a, m, k);
  if (step.blocks !== undefined && a.column !== 1 && k !== 1) {
    a = temporary(m, k);
    put(copyMatrix(step.a, a, [m, k], step.place), -1);
  }
  const direct = takes(step.c.dtype) && (step.c.column === 1 || n === 1) && !(crowded && !walksAsOne(step.c.batch, batch));
  if (direct) {
    put(a === step.a && b === step.b ? step : { ...step, a, b }, 0);
    return;
  }
  const c = temporary(m, n);
  put({ ...step, a, b, c }, 0);
  put(copyMatrix(c, step.c, [...batch, m, n], step.place), 1);
}

function rowMajor(shape: readonly Dim[]): Dim[] {
  const strides: Dim[] = new Array<Dim>(shape.length).fill(1);
  for (let i = shape.length - 2; i >= 0; i--) strides[i] = dims.mul(strides[i + 1], shape[i + 1]);
  return strides;
}

const joins = (strides: readonly Dim[], sizes: readonly Dim[], outer: number, inner: number): boolean =>
  dims.equal(strides[outer], dims.mul(strides[inner], sizes[inner]));

/** One stride reaches all batches (0 included). */
function walksAsOne(strides: readonly Dim[], sizes: readonly Dim[]): boolean {
  const real = sizes.map((_, i) => i).filter((i) => sizes[i] !== 1);
  return real.every((at, i) => i === 0 || joins(strides, sizes, real[i - 1], at));
}

function mergedBatchDims({ batch, a, b, c }: MatmulStep): number {
  const real = batch.map((_, i) => i).filter((i) => batch[i] !== 1);
  return real.filter((at, i) => i === 0 || ![a, b, c].every((o) => joins(o.batch, batch, real[i - 1], at))).length;
}

const newEmitter = (): Emitter => new Emitter({ placed: () => null, reduceAxes: () => [] });
const narrow = new Set(['float16', 'bfloat16', 'float8_e4m3fn', 'float8_e5m2', 'int16', 'int8', 'uint8']);

/** Copies one matrix to another, converted. */
function copyMatrix(from: MatrixOperand, to: MatrixOperand, shape: readonly Dim[], place: string): KernelStep {
  const emitter = newEmitter();
  const { builder } = emitter;
  const axes = shape.map((d, i) => emitter.axis(`i${i}`, d, 'grid'));
  const position = (o: MatrixOperand) => emitter.index(linear(axes.map(axisIndex), [...o.batch, o.row, o.column], o.offset));
  const source = emitter.buffer(from.buffer, from.dtype);
  const target = emitter.buffer(to.buffer, to.dtype);
  let value = builder.cast(to.dtype.compute, builder.load(source, from.dtype.compute, position(from)));
  if (narrow.has(to.dtype.name)) value = builder.round(to.dtype, value);
  const store: Statement = { kind: 'store', buffer: target, index: position(to), value, mask: null, combine: null };
  return storeKernel(emitter, axes, store, target, { name: 'copy_matrix', place });
}

/** Each element a reduction over k. */
function integerProduct(step: MatmulStep): KernelStep {
  const emitter = newEmitter();
  const { builder } = emitter;
  const { a, b, c } = step;
  const type = c.dtype.compute === 'bool' ? 'i32' : c.dtype.compute;
  const batch = step.batch.map((d, i) => emitter.axis(`b${i}`, d, 'grid'));
  const [row, column] = [emitter.axis('m', step.m, 'grid'), emitter.axis('n', step.n, 'grid')];
  const depth = emitter.axis('k', step.k, 'reduce');
  const at = (o: MatrixOperand, last: readonly LoopAxis[]) =>
    emitter.index(linear([...batch, ...last].map(axisIndex), [...o.batch, o.row, o.column], o.offset));
  const load = (o: MatrixOperand, last: readonly LoopAxis[]) =>
    builder.cast(type, builder.load(emitter.buffer(o.buffer, o.dtype), o.dtype.compute, at(o, last)));
  const products = builder.scalar('mul', load(a, [row, depth]), load(b, [depth, column]));
  let value = builder.cast(c.dtype.compute, builder.reduce('sum', [depth.axis], products));
  if (narrow.has(c.dtype.name)) value = builder.round(c.dtype, value);
  const target = emitter.buffer(c.buffer, c.dtype);
  const store: Statement = { kind: 'store', buffer: target, index: at(c, [row, column]), value, mask: null, combine: null };
  return storeKernel(emitter, [...batch, row, column], store, target, { name: 'integer_product', place: step.place });
}

/**
 * Products with weights in ggml's blocks, for devices without a template for them.
 *
 * A single row: one kernel that decodes each weight where it is multiplied, emitted from the expression over bytes that defines the formats
 * (`graph/ggml.ts`) under a sum along a row of blocks; nothing is stored but the result. More rows would decode every weight once for each: then W goes
 * through temporary memory panel by panel, never more than half of it and some megabytes, and the device's own product takes each panel.
 * Which of the two it is depends on shapes alone (a number of rows that is a symbol is never 1), so the order of a sum does too.
 * The native device does both in registers and in scratch memory: `cpu/x64/matmul-ggml.ts`.
 */
import { float32, uint8 } from '../dtype/dtype.ts';
import { type BlockOperand, blockFormats, decodeElements } from '../graph/ggml.ts';
import { input, type Prim, rowMajor } from '../graph/prim.ts';
import type { Statement } from '../kernel/ir.ts';
import { Emitter, type Placement } from '../schedule/emit.ts';
import { axisIndex, type Index, type LoopAxis, linear } from '../schedule/index-map.ts';
import type { BufferPlan, KernelStep, MatmulStep, MatrixOperand, ProgramPlan, Step } from '../schedule/plan.ts';
import type { Dim } from '../shape/dim.ts';
import * as dims from '../shape/dim.ts';
import { storeKernel } from './store-kernel.ts';

type BlockStep = MatmulStep & { readonly blocks: BlockOperand };
export const hasBlocks = (step: Step): step is BlockStep => step.kind === 'matmul' && step.blocks !== undefined;

/** The plan with its products of blocks as one kernel each, whatever their rows: for the reference. Itself where it has none. */
export function legalizeBlocks(plan: ProgramPlan): ProgramPlan {
  return plan.steps.some(hasBlocks) ? { ...plan, steps: plan.steps.map((s) => (hasBlocks(s) ? blockProduct(s) : s)) } : plan;
}

/** The steps, in order, that a product of blocks becomes; they follow each other. */
export function blockSteps(step: BlockStep, buffers: BufferPlan[]): (KernelStep | MatmulStep)[] {
  const { m, n, k } = step;
  if (m === 1 || m === 0 || typeof n !== 'number' || typeof k !== 'number' || n < fewColumns) return [blockProduct(step)];
  const unit = step.blocks.transposed ? blockFormats[step.blocks.format].weights : 1;
  const panel = Math.max(1, Math.floor(Math.min(n / 2, panelBytes / (4 * Math.max(1, k))) / unit)) * unit;
  const steps: (KernelStep | MatmulStep)[] = [];
  for (let first = 0; first < n; first += panel) {
    const columns = Math.min(panel, n - first);
    const buffer = buffers.push({ kind: 'temporary', slot: -1, dtype: float32, size: columns * k }) - 1;
    const [row, column] = step.blocks.transposed ? [columns, 1] : [1, k];
    const { blocks: _, ...product } = step;
    steps.push(decodePanel(step, first, columns, buffer), {
      ...product,
      n: columns,
      b: { buffer, dtype: float32, batch: [], row, column, offset: 0 },
      c: { ...step.c, offset: dims.add(step.c.offset, dims.mul(step.c.column, first)) },
    });
  }
  return steps;
}

/** Fewer columns than this are not worth panels. */
const fewColumns = 16;
const panelBytes = 2 << 20;

const placed = ({ buffer, row, column, offset }: MatrixOperand): Placement => {
  const strides = [row, column];
  return { buffer, strides, position: (indices) => linear(indices, strides, offset) };
};

/** The bytes of a step's weight. */
function bytesOf({ blocks: { format, transposed }, n, k }: BlockStep): Prim {
  const [rows, columns] = transposed ? [k, n] : [n, k];
  const { weights, bytes } = blockFormats[format];
  return input(1, [rows, dims.mul(dims.exactQuotient(columns, weights)!, bytes)], uint8);
}

/** Columns `first` to `first + columns` of the right operand, decoded: rows of W, or blocks of each. */
function decodePanel(step: BlockStep, first: number, columns: number, buffer: number): KernelStep {
  const { format, transposed } = step.blocks;
  const { weights, bytes: perBlock } = blockFormats[format];
  const bytes = bytesOf(step);
  const part = transposed ? bytes.slice(1, (first / weights) * perBlock, (columns / weights) * perBlock) : bytes.slice(0, first, columns);
  const decoded = decodeElements(format, part);
  const emitter = new Emitter({ placed: (p) => (p === bytes ? placed(step.b) : null), reduceAxes: () => [] });
  const axes = decoded.shape.map((d, i) => emitter.axis(`i${i}`, d, 'grid'));
  const value = emitter.at(decoded, axes.map(axisIndex));
  const to = { buffer, dtype: float32, index: linear(axes.map(axisIndex), rowMajor(decoded.shape)) };
  return finish(emitter, axes, value, to, { name: 'block_panel', place: step.place, lanes: true });
}

function blockProduct(step: BlockStep): KernelStep {
  const { m, n, k, a, b, c, place } = step;
  const { format, transposed } = step.blocks;
  const x = input(0, [m, k], float32);
  const bytes = bytesOf(step);
  const weights = decodeElements(format, bytes);
  const inner = weights.shape.slice(1);
  let sum: Prim;
  if (transposed) {
    // [m, ...columns, rows], summed over the rows.
    const shape = [m, ...inner, k];
    const turned = weights.permute([...inner.map((_, i) => i + 1), 0]);
    const left = x.reshape([m, ...inner.map(() => 1), k]).expand(shape);
    sum = left.mul(turned.unsqueeze(0).expand(shape)).sum([shape.length - 1]);
  } else {
    const shape = [m, n, ...inner];
    const left = x.reshape([m, 1, ...inner]).expand(shape);
    sum = left.mul(weights.unsqueeze(0).expand(shape)).sum(inner.map((_, i) => i + 2));
  }
  const reduced: LoopAxis[] = [];
  const emitter: Emitter = new Emitter({
    placed: (p) => (p === x ? placed(a) : p === bytes ? placed(b) : null),
    reduceAxes: () => reduced,
  });
  const axes = sum.shape.map((d, i) => emitter.axis(`i${i}`, d, 'grid'));
  const extents: readonly Dim[] = transposed ? [k] : inner;
  reduced.push(...extents.map((d, i) => emitter.axis(`k${i}`, d, 'reduce')));
  const value = emitter.at(sum, axes.map(axisIndex));
  const column = linear(axes.slice(1).map(axisIndex), rowMajor(sum.shape.slice(1)));
  const to = { buffer: c.buffer, dtype: c.dtype, index: linear([axisIndex(axes[0]), column], [c.row, c.column], c.offset) };
  // Lanes run along a row's weights where these are summed, else along the columns of the result.
  return finish(emitter, axes, value, to, { name: 'block_product', place, lanes: transposed });
}

function finish(
  emitter: Emitter,
  axes: readonly LoopAxis[],
  value: ReturnType<Emitter['at']>,
  to: { buffer: number; dtype: MatrixOperand['dtype']; index: Index },
  how: { name: string; place: string; lanes: boolean },
): KernelStep {
  const target = emitter.buffer(to.buffer, to.dtype);
  const store: Statement = { kind: 'store', buffer: target, index: emitter.index(to.index), value, mask: null, combine: null };
  return storeKernel(emitter, axes, store, target, how);
}

/**
 * A program's plan: kernels in order, the memory they use, and which may run side by side. Data only; back ends turn it into something that runs.
 */
import type { DType } from '../dtype/dtype.ts';
import type { BlockOperand } from '../graph/ggml.ts';
import type { LibraryFunction } from '../graph/library.ts';
import type { Expr, Kernel } from '../kernel/ir.ts';
import type { Dim } from '../shape/dim.ts';
import type { ParamSource } from './emit.ts';

/** `external`: memory handed in (slot of the program's inputs); `output`: fresh or donated memory that outlives the program; `temporary`: the arena. */
export interface BufferPlan {
  readonly kind: 'external' | 'output' | 'temporary';
  readonly slot: number;
  readonly dtype: DType;
  /** Elements. */
  readonly size: Dim;
}

/** A strided operand of a product: element strides over (batch dims, row, column), from `offset`. */
export interface MatrixOperand {
  readonly buffer: number;
  readonly dtype: DType;
  readonly batch: readonly Dim[];
  readonly row: Dim;
  readonly column: Dim;
  readonly offset: Dim;
}

export interface KernelStep {
  readonly kind: 'kernel';
  readonly kernel: Kernel;
  /** Program buffer of each of the kernel's buffers, locals (which come last) left out. */
  readonly buffers: readonly number[];
  readonly params: readonly ParamSource[];
  readonly place: string;
}

export interface MatmulStep {
  readonly kind: 'matmul';
  readonly batch: readonly Dim[];
  readonly m: Dim;
  readonly n: Dim;
  readonly k: Dim;
  readonly a: MatrixOperand;
  readonly b: MatrixOperand;
  readonly c: MatrixOperand;
  /** b is bytes of ggml blocks: rows of weights `row` bytes apart, whatever the orientation. */
  readonly blocks?: BlockOperand;
  readonly place: string;
}

/** A dense or strided array as a host function sees it: element strides over its shape, from `offset`. */
export interface HostOperand {
  /** Program buffer; -1 for a result that nobody wants. */
  readonly buffer: number;
  readonly dtype: DType;
  readonly shape: readonly Dim[];
  readonly strides: readonly Dim[];
  readonly offset: Dim;
}

/** A library function run on the host, between kernels. */
export interface HostStep {
  readonly kind: 'host';
  readonly fn: LibraryFunction;
  readonly constants: unknown;
  readonly inputs: readonly HostOperand[];
  readonly outputs: readonly HostOperand[];
  readonly place: string;
}

export type Step = KernelStep | MatmulStep | HostStep;

export interface ProgramPlan {
  readonly buffers: readonly BufferPlan[];
  /** Steps in order; steps of equal stage do not depend on each other. */
  readonly steps: readonly Step[];
  readonly stages: readonly number[];
  readonly symbols: number;
}

export interface StepAccess {
  readonly reads: readonly number[];
  readonly writes: readonly number[];
}

export function accessOf(step: Step): StepAccess {
  if (step.kind === 'matmul') return { reads: [step.a.buffer, step.b.buffer], writes: [step.c.buffer] };
  if (step.kind === 'host')
    return { reads: step.inputs.map((o) => o.buffer), writes: step.outputs.map((o) => o.buffer).filter((b) => b >= 0) };
  const reads: number[] = [];
  const writes: number[] = [];
  step.kernel.buffers.forEach((b, i) => {
    if (b.access === 'local') return;
    if (b.access !== 'write') reads.push(step.buffers[i]);
    if (b.access !== 'read') writes.push(step.buffers[i]);
  });
  return { reads, writes };
}

/** An index expression over constants and parameters (an axis extent), as a number. */
function evaluateExtent(e: Expr, params: readonly number[]): number {
  switch (e.op) {
    case 'const':
      return Number(e.value);
    case 'param':
      return params[e.slot];
    case 'scalar': {
      const [a, b] = e.args.map((x) => evaluateExtent(x, params));
      switch (e.fn) {
        case 'add':
          return a + b;
        case 'sub':
          return a - b;
        case 'mul':
          return a * b;
        case 'idiv':
          return Math.trunc(a / b);
        case 'irem':
          return a % b;
        case 'min':
          return Math.min(a, b);
        case 'max':
          return Math.max(a, b);
        default:
          throw new Error(`internal: ${e.fn} in an extent`);
      }
    }
    default:
      throw new Error(`internal: ${e.op} in an extent`);
  }
}

/** Number of grid indices of a kernel step, under the given symbol values. */
export function gridCount(step: KernelStep, symbols: ArrayLike<number>): number {
  const params = step.params.map((p) => (p.kind === 'symbol' ? symbols[p.slot] : 0));
  return step.kernel.grid.reduce((n, axis) => n * evaluateExtent(axis.extent, params), 1);
}

/** Scalar operations at one grid index, roughly: what is inside its loops and reductions. */
export function workPerItem(step: KernelStep, symbols: ArrayLike<number>): number {
  const params = step.params.map((p) => (p.kind === 'symbol' ? symbols[p.slot] : 0));
  const seen = new Map<Expr, number>();
  const cost = (e: Expr): number => {
    const known = seen.get(e);
    if (known !== undefined) return 0;
    seen.set(e, 1);
    switch (e.op) {
      case 'reduce':
        return e.axes.reduce((n, a) => n * evaluateExtent(a.extent, params), 1) * Math.max(1, cost(e.value));
      case 'scalar':
        return (e.type === 'index' ? 0 : 1) + e.args.reduce((n, a) => n + cost(a), 0);
      case 'cast':
      case 'bitcast':
      case 'round':
        return 1 + cost(e.arg);
      case 'load':
        return 1 + cost(e.index);
      default:
        return 0;
    }
  };
  const walk = (body: Kernel['body']): number =>
    body.reduce((n, s) => n + (s.kind === 'loop' ? evaluateExtent(s.axis.extent, params) * walk(s.body) : 1 + cost(s.value)), 0);
  return walk(step.kernel.body);
}

/**
 * The text of what a kernel computes, equal for kernels that may share their code: names and the numbering of expressions and axes do not
 * show, everything else does. Taken before decomposition and lowering, which are most of the work of compiling.
 */
import type { Axis, Expr, Kernel, Statement } from '../kernel/ir.ts';

export function kernelKey(kernel: Kernel): string {
  const lines: string[] = [];
  const expressions = new Map<Expr, string>();
  const axes = new Map<Axis, string>();
  const axis = (a: Axis): string => {
    let id = axes.get(a);
    if (id === undefined) {
      const extent = expression(a.extent);
      id = `a${axes.size}`;
      axes.set(a, id);
      lines.push(`${id}=${a.kind} ${extent}`);
    }
    return id;
  };
  const optional = (e: Expr | null): string => (e === null ? '' : ` where ${expression(e)}`);
  const text = (e: Expr): string => {
    switch (e.op) {
      case 'const':
        return Object.is(e.value, -0) ? '-0' : String(e.value);
      case 'param':
        return String(e.slot);
      case 'axis':
        return axis(e.axis);
      case 'load':
        return `${e.buffer} ${expression(e.index)}${optional(e.mask)}${e.anchor === null ? '' : ` @${expression(e.anchor)}`}`;
      case 'scalar':
        return `${e.fn} ${e.args.map(expression).join(' ')}`;
      case 'cast':
      case 'bitcast':
        return expression(e.arg);
      case 'round':
        return `${e.dtype.name} ${expression(e.arg)}`;
      case 'reduce':
        return `${e.kind} ${e.axes.map(axis).join(' ')} of ${expression(e.value)}`;
      default:
        return e satisfies never;
    }
  };
  function expression(e: Expr): string {
    let id = expressions.get(e);
    if (id === undefined) {
      const line = `${e.op} ${e.type} ${text(e)}`;
      id = `e${expressions.size}`;
      expressions.set(e, id);
      lines.push(`${id}=${line}`);
    }
    return id;
  }
  const block = (body: readonly Statement[]): void => {
    for (const s of body) {
      if (s.kind === 'loop') {
        lines.push(`loop ${axis(s.axis)}{`);
        block(s.body);
        lines.push('}');
      } else {
        const [index, value, mask] = [expression(s.index), expression(s.value), optional(s.mask)];
        lines.push(`store ${s.buffer} ${index} ${s.combine ?? '='} ${value}${mask}`);
      }
    }
  };
  lines.push(kernel.buffers.map((b) => `${b.access} ${b.dtype.name}${b.elements ?? ''}`).join(','), kernel.params.join(','));
  lines.push(`grid ${kernel.grid.map(axis).join(' ')}`);
  block(kernel.body);
  return lines.join('\n');
}

/** Kernels prepared for a device, one for all that are equal. */
export class PreparedKernels {
  readonly #prepare: (kernel: Kernel) => Kernel;
  readonly #known = new Map<string, Kernel>();
  constructor(prepare: (kernel: Kernel) => Kernel) {
    this.#prepare = prepare;
  }
  of(kernel: Kernel): { readonly key: string; readonly kernel: Kernel } {
    const key = kernelKey(kernel);
    let prepared = this.#known.get(key);
    if (prepared === undefined) {
      prepared = this.#prepare(kernel);
      this.#known.set(key, prepared);
    }
    return { key, kernel: prepared };
  }
}

/**
 * Readable text of a kernel, for debug flags and error messages: one line per shared expression, so a graph does not print as a tree.
 */
import { childrenOf, freeAxes, reachable, rootsOf } from './expression.ts';
import type { Axis, Expr, Kernel, Statement } from './ir.ts';

const axisName = (a: Axis): string => `${a.name}${a.id}`;

/** An expression as text; `named` gives names to shared parts. */
export function printExpr(e: Expr, named: ReadonlyMap<Expr, string> = new Map()): string {
  const name = named.get(e);
  return name ?? printNode(e, (c) => printExpr(c, named));
}

function printNode(e: Expr, text: (e: Expr) => string): string {
  switch (e.op) {
    case 'const':
      return e.type === 'index' || e.type === 'bool' ? String(e.value) : `${Object.is(e.value, -0) ? '-0' : String(e.value)}:${e.type}`;
    case 'param':
      return `param${e.slot}:${e.type}`;
    case 'axis':
      return axisName(e.axis);
    case 'load':
      return `buffer${e.buffer}[${text(e.index)}]${e.mask === null ? '' : ` where ${text(e.mask)}`}`;
    case 'scalar': {
      const infix: Partial<Record<string, string>> = { add: '+', sub: '-', mul: '*', lt: '<', le: '<=' };
      const sign = infix[e.fn];
      return sign !== undefined ? `(${text(e.args[0])} ${sign} ${text(e.args[1])})` : `${e.fn}(${e.args.map(text).join(', ')})`;
    }
    case 'cast':
      return `${e.type}(${text(e.arg)})`;
    case 'bitcast':
      return `bits_${e.type}(${text(e.arg)})`;
    case 'round':
      return `round_${e.dtype.name}(${text(e.arg)})`;
    case 'reduce':
      return `${e.kind}[${e.axes.map((a) => `${axisName(a)} < ${text(a.extent)}`).join(', ')}](${text(e.value)})`;
    default:
      return e satisfies never;
  }
}

/** The whole kernel. */
export function printKernel(kernel: Kernel): string {
  const uses = new Map<Expr, number>();
  const all = reachable(rootsOf(kernel.body));
  for (const e of all) for (const c of childrenOf(e)) uses.set(c, (uses.get(c) ?? 0) + 1);
  const named = new Map<Expr, string>();
  const lines: string[] = [];
  for (const e of all) {
    const leaf = childrenOf(e).length === 0;
    if (leaf || ((uses.get(e) ?? 0) < 2 && e.op !== 'reduce') || e.type === 'index') continue;
    const axes = [...freeAxes(e)].map(axisName).join(', ');
    lines.push(`  v${e.id}${axes === '' ? '' : `(${axes})`} = ${printNode(e, (c) => printExpr(c, named))}`);
    named.set(e, `v${e.id}`);
  }
  const block = (body: readonly Statement[], indent: string): void => {
    for (const s of body) {
      if (s.kind === 'loop') {
        lines.push(`${indent}for ${axisName(s.axis)} < ${printExpr(s.axis.extent, named)} (${s.axis.kind})`);
        block(s.body, `${indent}  `);
      } else {
        const sign = s.combine === null ? '=' : `${s.combine}=`;
        const mask = s.mask === null ? '' : ` where ${printExpr(s.mask, named)}`;
        lines.push(`${indent}buffer${s.buffer}[${printExpr(s.index, named)}] ${sign} ${printExpr(s.value, named)}${mask}`);
      }
    }
  };
  block(kernel.body, '  ');
  const grid = kernel.grid.map((a) => `${axisName(a)} < ${printExpr(a.extent)} (${a.kind})`).join(', ');
  const buffers = kernel.buffers
    .map((b, i) => `buffer${i}: ${b.access} ${b.dtype.name}${b.elements === undefined ? '' : ` x ${b.elements}`}`)
    .join(', ');
  return `kernel ${kernel.name} grid [${grid}]\n  ${buffers}\n${lines.join('\n')}\n`;
}

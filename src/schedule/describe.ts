/** Text of what is captured and planned, for the debug flags `graph`, `kernels` and `programs`. */
import type { Value } from '../graph/node.ts';
import { singleCalls } from '../graph/sequence.ts';
import { printKernel } from '../kernel/print.ts';
import * as dims from '../shape/dim.ts';
import type { View } from '../shape/view.ts';
import type { Captured } from './capture.ts';
import type { MatrixOperand, ProgramPlan } from './plan.ts';

const typeText = (v: View): string => `${v.dtype.name}[${v.shape.join(', ')}]`;

/** One line a call: results, operator, sources with the view that the call has of each, numbers; `*` before a result that is stored. */
export function describeGraph(captured: Captured): string {
  const names = new Map<Value, string>();
  captured.externals.forEach((v, i) => {
    names.set(v, `in${i}`);
  });
  const stored = new Map(captured.outputs.map((v, i) => [v, captured.donors[i]]));
  let results = 0;
  const calls = singleCalls(captured.nodes);
  const lines = calls.map((node) => {
    const { signature, srcs, params, place } = node;
    const inputs = signature.inputs.map((view, i) => `${names.get(srcs![i]) ?? '?'}: ${typeText(view)}`);
    const outs = node.outs.map((v, i) => {
      const name = `v${results++}`;
      names.set(v, name);
      const donor = stored.get(v);
      const target = donor === undefined ? '' : `*${donor >= 0 ? ` over in${donor}` : ''} `;
      return `${target}${name}: ${typeText(signature.outs[i])}${i >= signature.visible ? ' (hidden)' : ''}`;
    });
    const numbers = [...signature.dims.map((d) => `dim ${d}`), ...params.map(String)];
    return `${outs.join(', ')} = ${signature.operator.name}(${[...inputs, ...numbers].join(', ')})${place === '' ? '' : ` in ${place}`}`;
  });
  return [`${calls.length} calls, ${captured.externals.length} values from memory, ${captured.outputs.length} stored`, ...lines].join('\n');
}

const productText = ({ buffer, dtype, batch, row, column, offset }: MatrixOperand): string =>
  `buffer${buffer} ${dtype.name} strides [${[...batch, row, column].map(dims.keyOf).join(', ')}] offset ${dims.keyOf(offset)}`;

/** The kernel IR of every step, as the scheduler left it. */
export function describeKernels(plan: ProgramPlan): string {
  return plan.steps
    .map((step, i) => {
      const head = `step ${i}, stage ${plan.stages[i]}${step.place === '' ? '' : `, ${step.place}`}: `;
      switch (step.kind) {
        case 'host':
          return `${head}host function ${step.fn.name}`;
        case 'matmul':
          return `${head}product [${[...step.batch, step.m, step.n, step.k].map(dims.keyOf).join(' x ')}]: ${productText(step.c)} = ${productText(step.a)} @ ${step.blocks ? `${step.blocks.format} blocks${step.blocks.transposed ? '' : '^T'} in ` : ''}${productText(step.b)}`;
        case 'kernel':
          return head + printKernel(step.kernel).trimEnd();
        default:
          return step satisfies never;
      }
    })
    .join('\n');
}

/** How many numbers differ from the nearest earlier run of the same structure, and the first of them. */
export function describeChange(sightings: readonly Int32Array[], numbers: Int32Array): string {
  const last = sightings.at(-1);
  if (last === undefined) return '';
  const changed = [...numbers.keys()].filter((i) => numbers[i] !== last[i]);
  const shown = changed.slice(0, 4).map((i) => `${last[i]} -> ${numbers[i]}`);
  return `${changed.length} of ${numbers.length} numbers differ from the last run: ${shown.join(', ')}${changed.length > 4 ? ', ...' : ''}`;
}

/** A kernel of one store over loop axes: what legalizing makes of a step that a device has no template for. */
import type { BufferDeclaration, Statement } from '../kernel/ir.ts';
import { scheduleKernel } from '../kernel/schedule.ts';
import type { Emitter } from '../schedule/emit.ts';
import type { LoopAxis } from '../schedule/index-map.ts';
import type { KernelStep } from '../schedule/plan.ts';

/** `target` is the emitter's number of the buffer that `store` writes. The last axis goes across lanes unless `lanes` is false; the others are the grid. */
export function storeKernel(
  emitter: Emitter,
  axes: readonly LoopAxis[],
  store: Statement,
  target: number,
  { name, place, lanes = true }: { readonly name: string; readonly place: string; readonly lanes?: boolean },
): KernelStep {
  const real = axes.filter((axis) => axis.extent !== 1);
  const last = lanes ? real.at(-1) : undefined;
  if (last !== undefined) last.axis.kind = 'vector';
  const buffers: BufferDeclaration[] = emitter.buffers.map((_, i) => ({
    dtype: emitter.bufferTypes[i],
    access: i === target ? 'write' : 'read',
  }));
  const kernel = scheduleKernel({
    name,
    buffers,
    params: emitter.params.map((p) => p.type),
    grid: (last === undefined ? real : real.slice(0, -1)).map((axis) => axis.axis),
    body: last === undefined ? [store] : [{ kind: 'loop', axis: last.axis, body: [store] }],
  });
  return { kind: 'kernel', kernel, buffers: emitter.buffers, params: emitter.params, place };
}

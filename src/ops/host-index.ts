/** Indices whose numbers are already in memory of a device that can be read are checked at the call; others are clamped by the kernel that reads them. */
import { engineOf } from '../tensor/devices.ts';
import { readWindow } from '../tensor/read.ts';
import type { Tensor } from '../tensor/tensor.ts';

const mostChecked = 1 << 16;

/** The first index outside of [low, high) that is not `except`, or null. */
export function indexOutside(index: Tensor, low: number, high: number, except?: number): number | null {
  if (index.storage.value.buffer === null || index.view_.numel > mostChecked || !index.view_.contiguous) return null;
  if (index.dtype.kind !== 'int' || index.storage.value.dtype !== index.dtype) return null;
  const { backend } = engineOf(index.device);
  if (!backend.limits.canBlock || backend.name === 'null') return null;
  const { array, base } = readWindow(index);
  for (let i = base; i < base + index.view_.numel; i++) {
    const at = Number(array[i]);
    if ((at < low || at >= high) && at !== except) return at;
  }
  return null;
}

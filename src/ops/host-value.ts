/** Floating-point values that are in memory already are checked at the call; others are not waited for. */
import { decode } from '../dtype/codec.ts';
import { engineOf } from '../tensor/devices.ts';
import { readWindow } from '../tensor/read.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { hostCheck } from '../tensor/tracing.ts';
import { spoilLesson } from '../util/lesson.ts';

const mostChecked = 1 << 16;

/** Throws the error if a value is known to lie outside of [low, high]. */
export function requireValuesInside(t: Tensor, low: number, high: number, error: string): void {
  spoilLesson();
  if (t.storage.value.buffer === null) return;
  hostCheck(t, (u) => {
    if (valueOutside(u, low, high)) throw new Error(error);
  });
}

function valueOutside(t: Tensor, low: number, high: number): boolean {
  const { value } = t.storage;
  if (value.buffer === null || value.dtype !== t.dtype || t.view_.numel > mostChecked || !t.view_.contiguous) return false;
  const { backend } = engineOf(t.device);
  if (!backend.limits.canBlock || backend.name === 'null' || !t.dtype.is_floating_point) return false;
  const { array, base } = readWindow(t);
  for (let i = base; i < base + t.view_.numel; i++) {
    const x = decode(t.dtype, array, i) as number;
    if (x < low || x > high) return true;
  }
  return false;
}

/** One layout serves all symbols below the same bound, and is never too small for any of them. */
import { describe, expect, test } from 'vitest';
import { float32 } from '../dtype/dtype.ts';
import type { BufferPlan, ProgramPlan } from '../schedule/plan.ts';
import type { Dim } from '../shape/dim.ts';
import * as dims from '../shape/dim.ts';
import { Arena } from './arena.ts';

/** Temporaries of these sizes, each alive from the step that makes it to the step after. */
function planOf(sizes: readonly Dim[]): ProgramPlan {
  const buffers = sizes.map((size): BufferPlan => ({ kind: 'temporary', slot: -1, dtype: float32, size }));
  const operand = (buffer: number) => ({ buffer, dtype: float32, shape: [], strides: [], offset: 0 });
  const steps = sizes.map((_, i) => ({ kind: 'host', inputs: i === 0 ? [] : [operand(i - 1)], outputs: [operand(i)] }));
  return { buffers, steps, stages: steps.map((_, i) => i), symbols: 1 } as unknown as ProgramPlan;
}

describe('layouts', () => {
  const n = dims.symbol(0);
  test('are shared where all sizes grow with the symbol', () => {
    const sizes = [dims.mul(n, 3), 100, dims.add(n, 7)];
    const arena = new Arena(planOf(sizes));
    const seen = new Set<object>();
    for (let value = 256; value < 512; value++) {
      const layout = arena.layout([value]);
      seen.add(layout);
      for (const [i, j] of [
        [0, 1],
        [1, 2],
      ]) {
        const [low, high] = layout.offsets[i] < layout.offsets[j] ? [i, j] : [j, i];
        expect(layout.offsets[low] + 4 * dims.evaluate(sizes[low], [value])).toBeLessThanOrEqual(layout.offsets[high]);
        expect(layout.offsets[high] + 4 * dims.evaluate(sizes[high], [value])).toBeLessThanOrEqual(layout.bytes);
      }
    }
    expect(seen.size).toBe(9);
  });
  test('are exact where one shrinks', () => {
    const arena = new Arena(planOf([n, dims.sub(1000, n)]));
    expect(new Set([300, 301, 302].map((value) => arena.layout([value]))).size).toBe(3);
  });
});

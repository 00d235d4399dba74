/**
 * Where a plan's temporaries lie, for the symbol values at hand: planned once per combination of values and kept, newest first.
 *
 * A size that grows by ones (a cache's length) would be a new plan each time. So where all sizes grow with the symbols, the plan is made for bounds
 * of these, at most an eighth above them, and serves all values that have the same bounds.
 */

import { planMemory } from '../schedule/memory-plan.ts';
import { accessOf, type ProgramPlan } from '../schedule/plan.ts';
import * as dims from '../shape/dim.ts';

export interface ArenaLayout {
  /** Byte offset of each temporary by buffer id; -1 for others. */
  readonly offsets: readonly number[];
  readonly bytes: number;
  /** Most bytes of temporaries alive in one stage: what no layout can go below. */
  readonly leastBytes: number;
}

const kept = 32;

export class Arena {
  readonly #plan: ProgramPlan;
  readonly #lives: { buffer: number; from: number; to: number }[] = [];
  readonly #layouts = new Map<string, ArenaLayout>();
  readonly #monotone: boolean;

  constructor(plan: ProgramPlan) {
    this.#plan = plan;
    const lives = new Map<number, { from: number; to: number }>();
    plan.steps.forEach((step, i) => {
      const { reads, writes } = accessOf(step);
      for (const b of [...reads, ...writes]) {
        if (plan.buffers[b].kind !== 'temporary') continue;
        const life = lives.get(b);
        const stage = plan.stages[i];
        if (life === undefined) lives.set(b, { from: stage, to: stage });
        else {
          life.from = Math.min(life.from, stage);
          life.to = Math.max(life.to, stage);
        }
      }
    });
    for (const [buffer, life] of lives) this.#lives.push({ buffer, ...life });
    this.#monotone = this.#lives.every((l) => dims.isMonotone(plan.buffers[l.buffer].size));
  }

  layout(values: ArrayLike<number>): ArenaLayout {
    const symbols = this.#monotone ? Array.from(values, dims.boundOf) : values;
    const key = Array.prototype.join.call(symbols, ',');
    let layout = this.#layouts.get(key);
    if (layout === undefined) {
      const lives = this.#lives.map((l) => {
        const { size, dtype } = this.#plan.buffers[l.buffer];
        return { bytes: dims.evaluate(size, symbols) * dtype.itemsize, from: l.from, to: l.to };
      });
      const planned = planMemory(lives);
      const offsets = this.#plan.buffers.map(() => -1);
      this.#lives.forEach((l, i) => {
        offsets[l.buffer] = planned.offsets[i];
      });
      let leastBytes = 0;
      for (const stage of new Set(this.#plan.stages))
        leastBytes = Math.max(
          leastBytes,
          lives.reduce((sum, l) => sum + (l.from <= stage && stage <= l.to ? l.bytes : 0), 0),
        );
      layout = { offsets, bytes: planned.bytes, leastBytes };
      if (this.#layouts.size >= kept) this.#layouts.delete(this.#layouts.keys().next().value!);
      this.#layouts.set(key, layout);
    }
    return layout;
  }
}

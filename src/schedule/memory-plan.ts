/**
 * planMemory: offsets of temporaries in the arena, from their lifetimes; one pure function.
 *
 * Largest first, each at the lowest offset that is free for its whole life (best fit by address). Steps of one stage run side by side, so a
 * life is an interval of stages.
 */
export interface Lifetime {
  readonly bytes: number;
  /** First and last stage that touches it. */
  readonly from: number;
  readonly to: number;
}

const alignment = 64;

export function planMemory(lives: readonly Lifetime[]): { offsets: number[]; bytes: number } {
  const order = [...lives.keys()].sort((a, b) => lives[b].bytes - lives[a].bytes || lives[a].from - lives[b].from);
  const placed: { from: number; to: number; begin: number; end: number }[] = [];
  const offsets = new Array<number>(lives.length).fill(0);
  let total = 0;
  for (const i of order) {
    const life = lives[i];
    const size = Math.ceil(life.bytes / alignment) * alignment;
    const busy = placed.filter((p) => p.from <= life.to && life.from <= p.to).sort((a, b) => a.begin - b.begin);
    let begin = 0;
    for (const p of busy) {
      if (begin + size <= p.begin) break;
      begin = Math.max(begin, p.end);
    }
    offsets[i] = begin;
    placed.push({ from: life.from, to: life.to, begin, end: begin + size });
    total = Math.max(total, begin + size);
  }
  return { offsets, bytes: total };
}

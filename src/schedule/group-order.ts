/**
 * An order of groups in which each comes after all that it reads, kept while groups are merged.
 *
 * It answers "is there a way from here to there?" by looking only at groups between the two, and a merge renumbers only what lies between: without
 * it, grouping a program of thousands of calls would walk the whole graph for every pair.
 */
import type { Prim } from '../graph/prim.ts';
import type { Group } from './fuse.ts';

export class GroupOrder {
  readonly #groupOf: ReadonlyMap<Prim, Group>;
  readonly #sources: ReadonlyMap<Prim, ReadonlySet<Prim>>;
  readonly #slots: (Group | null)[] = [];
  readonly #at = new Map<Group, number>();

  /** `order`: the roots, sources first. The maps are the caller's, and change as it merges. */
  constructor(order: readonly Prim[], groupOf: ReadonlyMap<Prim, Group>, sources: ReadonlyMap<Prim, ReadonlySet<Prim>>) {
    this.#groupOf = groupOf;
    this.#sources = sources;
    for (const p of order) {
      const g = groupOf.get(p)!;
      if (this.#at.has(g)) continue;
      this.#at.set(g, this.#slots.push(g) - 1);
    }
  }

  /** Calls `visit` with each group that `g` reads. */
  #predecessors(g: Group, visit: (before: Group) => void): void {
    for (const p of g.roots)
      for (const s of this.#sources.get(p)!) {
        const other = this.#groupOf.get(s);
        if (other !== undefined && other !== g) visit(other);
      }
  }

  /** True if `to` needs `from`, through some other group if `around`. */
  reaches(from: Group, to: Group, around: boolean): boolean {
    const first = this.#at.get(from)!;
    if (first >= this.#at.get(to)!) return false;
    const seen = new Set<Group>([to]);
    const stack: Group[] = [];
    let found = false;
    const push = (g: Group): void => {
      if (g === from) found = true;
      else if (!seen.has(g) && this.#at.get(g)! > first) {
        seen.add(g);
        stack.push(g);
      }
    };
    this.#predecessors(to, (g) => {
      if (!around || g !== from) push(g);
    });
    while (!found && stack.length > 0) this.#predecessors(stack.pop()!, push);
    return found;
  }

  /** `merged` takes the place of `a` and `b` (the caller's map says so already). */
  merge(a: Group, b: Group, merged: Group): void {
    const [low, high] = [this.#at.get(a)!, this.#at.get(b)!].sort((x, y) => x - y);
    // What either needs, of those in between, goes before the new group; the others behind it.
    const needed = new Set<Group>();
    const stack: Group[] = [merged];
    while (stack.length > 0)
      this.#predecessors(stack.pop()!, (g) => {
        if (needed.has(g) || g === merged || this.#at.get(g)! < low) return;
        needed.add(g);
        stack.push(g);
      });
    this.#at.delete(a);
    this.#at.delete(b);
    const between = this.#slots.slice(low, high + 1).filter((g): g is Group => g !== null && g !== a && g !== b);
    const arranged = [...between.filter((g) => needed.has(g)), merged, ...between.filter((g) => !needed.has(g))];
    for (let i = low; i <= high; i++) {
      const g = arranged[i - low] ?? null;
      this.#slots[i] = g;
      if (g !== null) this.#at.set(g, i);
    }
  }
}

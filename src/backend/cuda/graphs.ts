/**
 * A program's launches as CUDA graphs: recorded when the same ones come a second time, replayed from then on.
 *
 * A graph is found again by what it has in it besides the argument words: the launches as they were laid out (a size that changes nothing
 * but words keeps them), the precision of products, and the addresses that cuBLAS was given. A few are kept. The kernels of a stage run side by side in a graph, on streams that fork and join
 * again; cuBLAS, which has one workspace, does one thing after the other. Where captures are of no use again and again, there are none.
 */
import type { Driver } from './driver.ts';
import type { Work } from './launches.ts';
import { type LibraryNodes, sameNumbers } from './library-nodes.ts';
import { matmulSettings } from './settings.ts';

interface RecordedGraph {
  readonly key: readonly number[];
  /** Graphs, and works that are launched by themselves. */
  readonly parts: readonly (RecordedPart | readonly Work[])[];
}
interface RecordedPart {
  readonly graph: number;
  /** What to call it when the device reports an error. */
  readonly label: string;
}

const keptGraphs = 8;
/** A graph of one or two kernels saves nothing. */
const leastRecorded = 3;
/** Kernels of a graph that run beside the first of their stage. */
const mostSides = 15;
/** Captures that were of no use, after which a program is launched kernel by kernel for good. */
const mostWasted = 64;

export class ProgramGraphs {
  readonly #driver: Driver;
  readonly #nodes: LibraryNodes;
  readonly #launch: (work: Work, side: number) => void;
  #graphs: RecordedGraph[] = [];
  #seen: number[] | null = null;
  #wasted = 0;
  readonly #numbers = new WeakMap<readonly Work[], number>();
  #nextNumber = 1;

  /** `launch` puts one work on the stream, or on a side stream while a graph is recorded. */
  constructor(driver: Driver, nodes: LibraryNodes, launch: (work: Work, side: number) => void) {
    this.#driver = driver;
    this.#nodes = nodes;
    this.#launch = launch;
  }

  /** Launches the whole of a program that has no host steps: by a graph where there is one, or is worth one. */
  run(works: readonly Work[], symbols: ArrayLike<number>): void {
    if (works.length < leastRecorded || this.#wasted > mostWasted) {
      this.#launchAll(works);
      return;
    }
    let key = this.#keyOf(works);
    const known = this.#graphs.findIndex((g) => sameNumbers(g.key, key));
    if (known >= 0) {
      const [found] = this.#graphs.splice(known, 1);
      this.#graphs.unshift(found);
      this.#wasted = Math.max(0, this.#wasted - 1);
      this.#replay(found);
      return;
    }
    if (this.#seen === null || !sameNumbers(this.#seen, key)) {
      this.#wasted++;
      if (this.#nodes.noteAddresses(works, symbols)) key = this.#keyOf(works);
      this.#seen = key;
      this.#launchAll(works);
      return;
    }
    const recorded = this.#record(works, key);
    this.#graphs.unshift(recorded);
    if (this.#graphs.length > keptGraphs) this.#destroy(this.#graphs.pop()!);
    this.#replay(recorded);
  }

  /** Forgets all graphs: kernels or scratch memory are others now. */
  drop(): void {
    for (const graph of this.#graphs) this.#destroy(graph);
    this.#graphs = [];
    this.#seen = null;
  }

  #launchAll(works: readonly Work[]): void {
    for (const work of works) this.#launch(work, 0);
  }

  /** Graphs of the works between unstable products. */
  #record(works: readonly Work[], key: readonly number[]): RecordedGraph {
    const driver = this.#driver;
    const parts: (RecordedPart | readonly Work[])[] = [];
    let run: Work[] = [];
    const close = (): void => {
      const some = run;
      run = [];
      if (some.length === 0) return;
      if (some.length < leastRecorded) {
        parts.push(some);
        return;
      }
      const launched = driver.statistics.launches;
      const graph = driver.capture(() => this.#launchStages(some));
      driver.statistics.launches = launched;
      parts.push({ graph, label: `a graph of ${some.length} kernels, ${some[0].label} to ${some.at(-1)!.label}` });
    };
    for (const work of works) {
      if (!this.#nodes.isUnstable(work)) run.push(work);
      else {
        close();
        parts.push([work]);
      }
    }
    close();
    return { key, parts };
  }

  #replay({ parts }: RecordedGraph): void {
    for (const part of parts) {
      if ('graph' in part) this.#driver.launchGraph(part.graph, part.label);
      else this.#launchAll(part);
    }
  }

  #destroy({ parts }: RecordedGraph): void {
    for (const part of parts) if ('graph' in part) this.#driver.destroyGraph(part.graph);
  }

  /** Launches for a graph: what a stage's kernels do at once is the card's business. */
  #launchStages(works: readonly Work[]): void {
    const driver = this.#driver;
    for (let first = 0; first < works.length; ) {
      const { stage } = works[first];
      let end = first;
      while (end < works.length && works[end].stage === stage) end++;
      const steps = [...new Set(works.slice(first, end).map((w) => w.index))];
      const sides = Math.min(mostSides, steps.length - 1);
      if (sides > 0) driver.fork(sides);
      for (const work of works.slice(first, end)) this.#launch(work, this.#nodes.takes(work) ? 0 : steps.indexOf(work.index) % (sides + 1));
      if (sides > 0) driver.join(sides);
      first = end;
    }
  }

  /** Launches by their number: the same array is the same launches. */
  #numberOf(works: readonly Work[]): number {
    let found = this.#numbers.get(works);
    if (found === undefined) {
      found = this.#nextNumber++;
      this.#numbers.set(works, found);
    }
    return found;
  }

  #keyOf(works: readonly Work[]): number[] {
    const key: number[] = [matmulSettings.allowTf32 ? 1 : 0, this.#numberOf(works)];
    for (const work of works) if (this.#nodes.takes(work) && !this.#nodes.isUnstable(work)) key.push(...this.#nodes.addresses(work));
    return key;
  }
}

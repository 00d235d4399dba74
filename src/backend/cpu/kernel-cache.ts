/**
 * Machine code by what it does: kernels of equal text share one piece of code, in all programs of a JS thread.
 *
 * Layers of a model differ in their weights and not in their kernels, so most kernels of a program are known already. Code in use is counted;
 * code of programs that are gone is kept until there is too much of it.
 */
import { type CodeHeap, codeHeap } from './memory.ts';

export interface CodeRequest {
  /** Everything that the code depends on. */
  readonly key: string;
  readonly make: () => Uint8Array;
}

interface Entry {
  readonly address: number;
  users: number;
}

const mostUnused = 2048;

export class KernelCache {
  readonly #heap: CodeHeap;
  readonly #entries = new Map<string, Entry>();
  #unused = 0;

  constructor(heap: CodeHeap = codeHeap()) {
    this.#heap = heap;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Addresses of the requested kernels. What is new is installed together. Each request is to be released once. */
  acquire(requests: readonly CodeRequest[]): number[] {
    const fresh = new Map<string, Uint8Array>();
    for (const { key, make } of requests) if (!this.#entries.has(key) && !fresh.has(key)) fresh.set(key, make());
    const addresses = this.#heap.install([...fresh.values()]);
    [...fresh.keys()].forEach((key, i) => {
      this.#entries.set(key, { address: addresses[i], users: 0 });
      this.#unused++;
    });
    return requests.map(({ key }) => {
      const entry = this.#entries.get(key)!;
      if (entry.users++ === 0) this.#unused--;
      return entry.address;
    });
  }

  release(keys: Iterable<string>): void {
    for (const key of keys) {
      const entry = this.#entries.get(key);
      if (entry === undefined || entry.users === 0) throw new Error('internal: a kernel was released twice');
      if (--entry.users === 0) this.#unused++;
    }
    if (this.#unused <= mostUnused) return;
    for (const [key, { address, users }] of this.#entries) {
      if (users > 0) continue;
      this.#entries.delete(key);
      this.#heap.free(address);
      if (--this.#unused <= mostUnused / 2) return;
    }
  }
}

/**
 * Products on their way to cuBLAS: which ones it takes, where their operands lie, and which of them no graph may contain.
 *
 * cuBLAS takes addresses by value, so a recorded graph belongs to the addresses of its products. A product whose operands are elsewhere at each
 * run (an input batch, say) would make every graph useless; it is called unstable and launched between two graphs. One that cuBLAS has
 * refused once goes to our own kernel for good.
 */
import { trace } from '../../util/trace.ts';
import type { Cublas } from './cublas.ts';
import type { Work } from './launches.ts';

export class LibraryNodes {
  readonly #cublas: () => Cublas | null;
  readonly #word: (index: number, at: number) => number;
  readonly #refused = new Set<number>();
  readonly #unstable = new Set<number>();
  #lastAddresses: ReadonlyMap<number, readonly number[]> = new Map();

  /** `word` reads word `at` of a step's argument block: the first three are the addresses of A, B and C. */
  constructor(cublas: () => Cublas | null, word: (index: number, at: number) => number) {
    this.#cublas = cublas;
    this.#word = word;
  }

  takes({ index, product }: Work): boolean {
    return product !== null && product.gemm !== null && !this.#refused.has(index) && this.#cublas() !== null;
  }

  /** True if cuBLAS computes it; a refusal is remembered. */
  run(work: Work): boolean {
    const { index, product, label } = work;
    if (!this.takes(work)) return false;
    const [a, b, c] = this.addresses(work);
    const status = this.#cublas()!.run(product!.gemm!, a, b, c);
    if (status === 0) return true;
    this.#refused.add(index);
    trace('kernels', () => `cuBLAS refused ${label} with status ${status}`);
    return false;
  }

  addresses({ index }: Work): [number, number, number] {
    return [this.#word(index, 0), this.#word(index, 1), this.#word(index, 2)];
  }

  isUnstable({ index }: Work): boolean {
    return this.#unstable.has(index);
  }

  /** Compares the addresses with the last run's; true if that makes a product unstable that was not. */
  noteAddresses(works: readonly Work[], symbols: ArrayLike<number>): boolean {
    const last = this.#lastAddresses;
    const now = new Map<number, readonly number[]>();
    let found = false;
    for (const work of works) {
      if (!this.takes(work)) continue;
      const { index } = work;
      const addresses = this.addresses(work);
      now.set(index, addresses);
      const before = last.get(index);
      // A size that changed moves everything once: that says nothing.
      if (before === undefined || symbols.length > 0 || sameNumbers(before, addresses)) continue;
      found ||= !this.#unstable.has(index);
      this.#unstable.add(index);
    }
    this.#lastAddresses = now;
    return found;
  }
}

export function sameNumbers(a: readonly number[], b: readonly number[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/**
 * The arena of a device: one block that the temporaries of all its programs share, one program at a time.
 *
 * It grows with the largest program and is given up only when memory runs out. Between two programs it holds nothing, so growing frees the
 * old block first. Where the temporaries lie inside is `Arena`'s business.
 */
import { type MemoryBlock, sizeText, type TrackedMemory } from './tracked-memory.ts';

export class ArenaMemory<Block extends MemoryBlock> {
  readonly #memory: TrackedMemory<Block>;
  readonly #take: (bytes: number) => Block;
  readonly #release: (block: Block) => void;
  #block: Block | null = null;
  #bytes = 0;

  constructor(memory: TrackedMemory<Block>, take: (bytes: number) => Block, release: (block: Block) => void) {
    this.#memory = memory;
    this.#take = take;
    this.#release = release;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Address of at least so many bytes at a multiple of 64; 0 for none. Throws when there is no memory. */
  reserve(bytes: number): number {
    if (bytes <= this.#bytes) return this.#block === null ? 0 : this.#block.address;
    // A program whose sizes grow step by step should not move the arena each time.
    const roomy = this.#bytes === 0 ? bytes : Math.max(bytes, Math.ceil((this.#bytes * 1.25) / 64) * 64);
    this.release();
    this.#memory.noteAllocation(roomy);
    let size = roomy;
    this.#block = this.#memory.obtain(bytes, `the temporaries of a program (${sizeText(bytes)})`, () => {
      try {
        size = roomy;
        return this.#take(roomy);
      } catch (error) {
        if (roomy === bytes) throw error;
        size = bytes;
        return this.#take(bytes);
      }
    });
    this.#bytes = size;
    return this.#block.address;
  }

  release(): void {
    if (this.#block !== null) this.#release(this.#block);
    this.#block = null;
    this.#bytes = 0;
  }
}

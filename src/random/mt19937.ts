/**
 * The 32-bit Mersenne Twister (Matsumoto and Nishimura, 1997), with the bookkeeping of PyTorch's CPU engine.
 *
 * `left` and `next` are kept as PyTorch keeps them, because they are part of `get_rng_state()`: a state is twisted when `left`
 * falls to zero, and a freshly seeded engine twists at the first draw. A 64-bit draw is two 32-bit draws, high word first.
 */
import { spoilLesson } from '../util/lesson.ts';

const N = 624;
const M = 397;
const MATRIX_A = 0x9908b0df;

export interface EngineState {
  readonly seed: bigint;
  readonly left: number;
  readonly next: number;
  readonly words: Uint32Array;
}

export class Mt19937 {
  #seed: bigint;
  #left = 1;
  #next = 0;
  readonly #words = new Uint32Array(N);

  constructor(seed: bigint | number = 5489) {
    this.#seed = 0n;
    this.seed(seed);
  }

  /** Only the low 32 bits of the seed reach the stream; all 64 are remembered as the initial seed. */
  seed(seed: bigint | number): void {
    this.#seed = BigInt.asUintN(64, BigInt(seed));
    const words = this.#words;
    words[0] = Number(this.#seed & 0xffffffffn);
    for (let j = 1; j < N; j++) {
      const previous = words[j - 1]!;
      words[j] = Math.imul(1812433253, previous ^ (previous >>> 30)) + j;
    }
    this.#left = 1;
    this.#next = 0;
  }

  get initialSeed(): bigint {
    return this.#seed;
  }

  getState(): EngineState {
    return { seed: this.#seed, left: this.#left, next: this.#next, words: this.#words.slice() };
  }

  setState(state: EngineState): void {
    this.#seed = state.seed;
    this.#left = state.left;
    this.#next = state.next;
    this.#words.set(state.words);
  }

  /** The next 32 bits, as an unsigned number. */
  next32(): number {
    // Whoever draws has to draw each time: a number may become a parameter of a call.
    spoilLesson();
    if (--this.#left === 0) this.#twist();
    let y = this.#words[this.#next++]!;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    y ^= y >>> 18;
    return y >>> 0;
  }

  /** The next 64 bits: the first draw is the high word. */
  next64(): bigint {
    const high = this.next32();
    return (BigInt(high) << 32n) | BigInt(this.next32());
  }

  /** The low 53 bits of the next 64, exactly, as a number (no bigint on the hot path). */
  next53(): number {
    const high = this.next32();
    return (high & 0x1fffff) * 4294967296 + this.next32();
  }

  /** Throws away `count` 32-bit draws. */
  skip(count: number): void {
    spoilLesson();
    let rest = count;
    while (rest >= this.#left) {
      rest -= this.#left;
      this.#twist();
      this.#next = 1;
    }
    this.#left -= rest;
    this.#next += rest;
  }

  #twist(): void {
    const w = this.#words;
    const mix = (u: number, v: number): number => (((u & 0x80000000) | (v & 0x7fffffff)) >>> 1) ^ (v & 1 ? MATRIX_A : 0);
    let i = 0;
    for (; i < N - M; i++) w[i] = w[i + M]! ^ mix(w[i]!, w[i + 1]!);
    for (; i < N - 1; i++) w[i] = w[i + M - N]! ^ mix(w[i]!, w[i + 1]!);
    w[N - 1] = w[M - 1]! ^ mix(w[N - 1]!, w[0]!);
    this.#left = N;
    this.#next = 0;
  }
}

/**
 * Which windows of the text make a batch: uniformly drawn starts, from a generator of its own with a state of four numbers, so
 * that a resumed run draws the windows that the stopped one would have drawn.
 *
 * The generator is xoshiro128** (Blackman and Vigna), seeded by splitmix32. It is apart from torch's generator on purpose:
 * drawing batches then never changes what dropout or generated text draw.
 */
export interface SamplerState {
  readonly words: readonly [number, number, number, number];
}

export class WindowSampler {
  #words: Uint32Array;

  constructor(seed: number) {
    this.#words = new Uint32Array(4);
    let state = seed >>> 0;
    for (let index = 0; index < 4; index++) {
      state = (state + 0x9e3779b9) >>> 0;
      let mixed = Math.imul(state ^ (state >>> 16), 0x85ebca6b);
      mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
      this.#words[index] = mixed ^ (mixed >>> 16);
    }
  }

  state(): SamplerState {
    const [a, b, c, d] = this.#words as unknown as [number, number, number, number];
    return { words: [a, b, c, d] };
  }

  load(state: SamplerState): void {
    this.#words = Uint32Array.from(state.words);
  }

  /** An integer in [0, bound), without bias: draws beyond the last full multiple of `bound` are repeated. */
  below(bound: number): number {
    const limit = Math.floor(2 ** 32 / bound) * bound;
    let drawn: number;
    do drawn = this.#next();
    while (drawn >= limit);
    return drawn % bound;
  }

  /** `count` windows of `length + 1` tokens, each as its inputs and, one further, its targets; both row by row. */
  batch(tokens: Int32Array, count: number, length: number): { inputs: BigInt64Array; targets: BigInt64Array } {
    const inputs = new BigInt64Array(count * length);
    const targets = new BigInt64Array(count * length);
    for (let row = 0; row < count; row++) copyWindow(tokens, this.below(tokens.length - length), length, row, inputs, targets);
    return { inputs, targets };
  }

  #next(): number {
    const s = this.#words;
    const result = Math.imul(rotate(Math.imul(s[1]!, 5), 7), 9) >>> 0;
    const shifted = s[1]! << 9;
    s[2]! ^= s[0]!;
    s[3]! ^= s[1]!;
    s[1]! ^= s[2]!;
    s[0]! ^= s[3]!;
    s[2]! ^= shifted;
    s[3] = rotate(s[3]!, 11);
    return result;
  }
}

function rotate(word: number, by: number): number {
  return (word << by) | (word >>> (32 - by));
}

function copyWindow(tokens: Int32Array, start: number, length: number, row: number, inputs: BigInt64Array, targets: BigInt64Array): void {
  for (let at = 0; at < length; at++) {
    inputs[row * length + at] = BigInt(tokens[start + at]!);
    targets[row * length + at] = BigInt(tokens[start + at + 1]!);
  }
}

/**
 * The held-out text cut into windows side by side, in batches of exactly `count` (one shape, one program). What does not fill a
 * last batch is left out. With `limit`, that many batches spread evenly over the text.
 */
export function* heldOutBatches(
  tokens: Int32Array,
  count: number,
  length: number,
  limit = Number.POSITIVE_INFINITY,
): Generator<{ inputs: BigInt64Array; targets: BigInt64Array; rows: number }> {
  const windows = Math.floor((tokens.length - 1) / length);
  const rows = Math.min(count, windows);
  const batches = Math.floor(windows / rows);
  const wanted = Math.min(batches, limit);
  for (let index = 0; index < wanted; index++) {
    const batch = Math.floor((index * batches) / wanted);
    const inputs = new BigInt64Array(rows * length);
    const targets = new BigInt64Array(rows * length);
    for (let row = 0; row < rows; row++) copyWindow(tokens, (batch * rows + row) * length, length, row, inputs, targets);
    yield { inputs, targets, rows };
  }
}

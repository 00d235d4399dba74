/** Mutated files of llama2.c through the reader of their headers, which decide everything. */
import { Llama2cError, readLlama2cHeader } from '../src/models/llama2c.ts';
import { type FuzzCounts, fuzz } from './mutations.ts';

/** Two files of zeros, of version 0 with tied weights and of version 1 with an output layer of its own. */
export function fuzzLlama2cHeader(count: number, seed: number): FuzzCounts {
  const [dim, hidden, layers, heads, keyHeads, vocabulary, length] = [8, 12, 2, 4, 2, 11, 16];
  const layer = 2 * dim + 2 * dim * dim + (2 * dim * dim * keyHeads) / heads + 3 * dim * hidden;
  const make = (version: 0 | 1): { bytes: Uint8Array; head: number } => {
    const head = version === 0 ? 28 : 256;
    const count = vocabulary * dim * (version + 1) + layers * layer + dim + (version === 0 ? (length * dim) / heads : 0);
    const bytes = new Uint8Array(head + 4 * count);
    const numbers = [dim, hidden, layers, heads, keyHeads, vocabulary, length];
    bytes.set(new Uint8Array(Int32Array.from(version === 0 ? numbers : [0x616b3432, 1, ...numbers]).buffer));
    return { bytes, head: 40 };
  };
  return fuzz([make(0), make(1)], { count, seed, error: Llama2cError }, (bytes, file) => {
    readLlama2cHeader(bytes.subarray(0, 256), bytes.byteLength, file);
  });
}

/** For tests: ggml's blocks decoded weight by weight, as its own C loops do it, and random blocks. */
import { decodeFloat16, encodeFloat16 } from '../dtype/codec.ts';
import { type BlockFormatName, blockFormats } from '../graph/ggml.ts';

/** The weights of whole blocks, one after the other. */
export function decodeBlocksForTest(format: BlockFormatName, bytes: Uint8Array): Float32Array {
  const { weights, bytes: size } = blockFormats[format];
  const out = new Float32Array((bytes.length / size) * weights);
  for (let b = 0; b * size < bytes.length; b++) decodeBlock(format, bytes.subarray(b * size, (b + 1) * size), out.subarray(b * weights));
  return out;
}

const f = Math.fround;

function decodeBlock(format: BlockFormatName, block: Uint8Array, out: Float32Array): void {
  const half = (at: number): number => decodeFloat16(block[at] | (block[at + 1] << 8));
  const signed = (at: number): number => (block[at] << 24) >> 24;
  switch (format) {
    case 'Q8_0':
      for (let i = 0; i < 32; i++) out[i] = f(signed(2 + i) * half(0));
      return;
    case 'Q4_0':
    case 'Q4_1':
    case 'Q5_0':
    case 'Q5_1': {
      const five = format[1] === '5';
      const minimum = format.endsWith('1');
      const bitsAt = minimum ? 4 : 2;
      const start = bitsAt + (five ? 4 : 0);
      const bit = (i: number): number => (five ? ((block[bitsAt + (i >> 3)] >> (i & 7)) & 1) << 4 : 0);
      for (let i = 0; i < 32; i++) {
        const q = ((i < 16 ? block[start + i] : block[start + i - 16] >> 4) & 15) | bit(i);
        out[i] = minimum ? f(f(q * half(0)) + half(2)) : f((q - (five ? 16 : 8)) * half(0));
      }
      return;
    }
    case 'Q4_K':
    case 'Q5_K': {
      const five = format === 'Q5_K';
      const q = block.subarray(4, 16);
      for (let group = 0; group < 8; group++) {
        const scale = group < 4 ? q[group] & 63 : (q[group + 4] & 15) | ((q[group - 4] >> 6) << 4);
        const low = group < 4 ? q[group + 4] & 63 : (q[group + 4] >> 4) | ((q[group] >> 6) << 4);
        const [d, m] = [f(half(0) * scale), f(half(2) * low)];
        for (let i = 0; i < 32; i++) {
          const byte = block[(five ? 48 : 16) + (group >> 1) * 32 + i];
          const bit = five ? ((block[16 + i] >> group) & 1) << 4 : 0;
          out[group * 32 + i] = f(f(d * (((group & 1) === 0 ? byte & 15 : byte >> 4) | bit)) - m);
        }
      }
      return;
    }
    case 'Q6_K':
      for (let i = 0; i < 256; i++) {
        const [n, rest] = [i >> 7, i & 127];
        const [quarter, l] = [rest >> 5, rest & 31];
        const low = block[64 * n + (quarter & 1) * 32 + l];
        const high = (block[128 + 32 * n + l] >> (2 * quarter)) & 3;
        const q = ((quarter < 2 ? low & 15 : low >> 4) | (high << 4)) - 32;
        out[i] = f(f(half(208) * signed(192 + 8 * n + 2 * quarter + (l >> 4))) * q);
      }
      return;
    default:
      format satisfies never;
  }
}

/** Where the half-precision numbers of a block lie. */
const halves: Readonly<Record<BlockFormatName, readonly number[]>> = {
  Q4_0: [0],
  Q4_1: [0, 2],
  Q5_0: [0],
  Q5_1: [0, 2],
  Q8_0: [0],
  Q4_K: [0, 2],
  Q5_K: [0, 2],
  Q6_K: [208],
};

/** Random bytes, with scales of either sign between 2^-26 (a subnormal half) and 1. */
export function randomBlocks(format: BlockFormatName, count: number, seed: number): Uint8Array {
  const { bytes } = blockFormats[format];
  const out = new Uint8Array(count * bytes);
  let state = (seed * 2654435761 + 12345) >>> 0;
  const next = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  for (let i = 0; i < out.length; i++) out[i] = next() * 256;
  for (let b = 0; b < count; b++)
    for (const at of halves[format]) {
      const bits = encodeFloat16((next() * 2 - 1) * (next() < 0.2 ? 2 ** -16 : 0.1));
      out[b * bytes + at] = bits & 255;
      out[b * bytes + at + 1] = bits >> 8;
    }
  return out;
}

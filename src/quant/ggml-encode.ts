/**
 * Weights into ggml's blocks, and into the plain types, as ggml's own reference quantizer does it, byte for byte.
 *
 * The scale is chosen so that the weight of largest magnitude (Q4_0, Q5_0, Q8_0), or the two ends (Q4_1, Q5_1), are met, and the others are rounded.
 * All of it is in float32 as in C, hence `fround`. The K types search for their scales (`ggml-encode-k.ts`); blocks of other types can be copied.
 *
 * https://github.com/ggml-org/ggml/blob/master/src/ggml-quants.c (quantize_row_*_ref)
 */
import { encodeBfloat16, encodeFloat16 } from '../dtype/codec.ts';
import { encodeAffineK, encodeQ6K } from './ggml-encode-k.ts';
import { type GgmlTypeName, ggmlTypes } from './ggml-types.ts';

/** Writes the block of the weights `x[from]` and after to `b[at]` and after. */
type Encode = (x: Float32Array, from: number, b: Uint8Array, at: number) => void;

const { fround } = Math;

function putHalf(b: Uint8Array, at: number, value: number): void {
  putBits(b, at, encodeFloat16(value));
}
function putBits(b: Uint8Array, at: number, bits: number): void {
  b[at] = bits & 255;
  b[at + 1] = (bits >> 8) & 255;
}

/** C's roundf: halves go away from zero. */
const rounded = (x: number): number => (x < 0 ? -Math.floor(0.5 - x) : Math.floor(x + 0.5));
const inverse = (d: number): number => (d === 0 ? 0 : fround(1 / d));

/** Centred: quotients by the scale that puts the weight of largest magnitude at -centre. */
const encodeCentred =
  (quants: number, fifth: number | null, centre: number): Encode =>
  (x, from, b, at) => {
    let largest = 0;
    for (let j = 0; j < 32; j++) if (Math.abs(x[from + j]) > Math.abs(largest)) largest = x[from + j];
    const d = fround(largest / -centre);
    const id = inverse(d);
    putHalf(b, at, d);
    const code = (j: number): number => Math.min(2 * centre - 1, Math.trunc(fround(fround(x[from + j] * id) + (centre + 0.5))));
    pack(code, b, at + quants, fifth === null ? null : at + fifth);
  };

/** With a minimum: quotients of what is above it. */
const encodeAbove =
  (quants: number, fifth: number | null, steps: number): Encode =>
  (x, from, b, at) => {
    let [low, high] = [x[from], x[from]];
    for (let j = 1; j < 32; j++) {
      low = Math.min(low, x[from + j]);
      high = Math.max(high, x[from + j]);
    }
    const d = fround(fround(high - low) / steps);
    const id = inverse(d);
    putHalf(b, at, d);
    putHalf(b, at + 2, low);
    const code = (j: number): number => Math.min(steps, Math.trunc(fround(fround(fround(x[from + j] - low) * id) + 0.5)));
    pack(code, b, at + quants, fifth === null ? null : at + fifth);
  };

function pack(code: (j: number) => number, b: Uint8Array, quants: number, fifth: number | null): void {
  let high = 0;
  for (let j = 0; j < 16; j++) {
    const [low, upper] = [code(j), code(j + 16)];
    b[quants + j] = (low & 15) | ((upper & 15) << 4);
    high |= ((low >> 4) & 1) << j;
    high |= ((upper >> 4) & 1) << (j + 16);
  }
  if (fifth === null) return;
  putBits(b, fifth, high);
  putBits(b, fifth + 2, high >>> 16);
}

const encodeQ80: Encode = (x, from, b, at) => {
  let largest = 0;
  for (let j = 0; j < 32; j++) largest = Math.max(largest, Math.abs(x[from + j]));
  const d = fround(largest / 127);
  const id = inverse(d);
  putHalf(b, at, d);
  for (let j = 0; j < 32; j++) b[at + 2 + j] = rounded(fround(x[from + j] * id)) & 255;
};

const bits = new DataView(new ArrayBuffer(4));
const encoders = {
  F32: (x, from, b, at) => {
    bits.setFloat32(0, x[from], true);
    for (let i = 0; i < 4; i++) b[at + i] = bits.getUint8(i);
  },
  F16: (x, from, b, at) => putHalf(b, at, x[from]),
  BF16: (x, from, b, at) => putBits(b, at, encodeBfloat16(x[from])),
  Q4_0: encodeCentred(2, null, 8),
  Q4_1: encodeAbove(4, null, 15),
  Q5_0: encodeCentred(6, 2, 16),
  Q5_1: encodeAbove(8, 4, 31),
  Q8_0: encodeQ80,
  Q4_K: encodeAffineK({ quants: 16, fifth: null, first: -1, tries: 20 }),
  Q5_K: encodeAffineK({ quants: 48, fifth: 16, first: -0.5, tries: 15 }),
  Q6_K: encodeQ6K,
} as const satisfies Partial<Record<GgmlTypeName, Encode>>;

export type EncodableType = keyof typeof encoders;
export const encodableTypes = Object.keys(encoders) as readonly EncodableType[];

/** The blocks of so many weights, finite ones, whose number is a multiple of the block's. */
export function encodeBlocks(type: GgmlTypeName, weights: Float32Array): Uint8Array {
  if (!Object.hasOwn(encoders, type)) throw new Error(`blocks of type ${type} cannot be encoded, only ${encodableTypes.join(', ')}`);
  const { blockSize, blockBytes } = ggmlTypes[type];
  const blocks = weights.length / blockSize;
  if (!Number.isInteger(blocks)) throw new Error(`${weights.length} weights are no whole number of ${type} blocks of ${blockSize}`);
  const bytes = new Uint8Array(blocks * blockBytes);
  const encode: Encode = encoders[type as EncodableType];
  for (let i = 0; i < blocks; i++) encode(weights, i * blockSize, bytes, i * blockBytes);
  return bytes;
}

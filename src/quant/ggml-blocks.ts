/**
 * What is inside ggml's blocks: each type's weights as float32, bit for bit as ggml computes them.
 *
 * A block is one or two half-precision scales and so many bits a weight, in an order that suits vector registers: the low halves of bytes are the
 * first half of the weights, the high halves the second. The K types have a scale of a few bits for each 16 or 32 weights, itself scaled. This is
 * the meaning that kernels are tested against, plain loops over bytes, and what a model on the reference path uses; fast paths are elsewhere.
 * Products of a half and small integers are exact in float32, so the one rounding of each line below is the one that C makes.
 *
 * Layouts: https://github.com/ggml-org/ggml/blob/master/src/ggml-common.h, meaning: src/ggml-quants.c. The codebooks of IQ1 to IQ3 are not here.
 */
import { decodeFloat16 } from '../dtype/codec.ts';
import { type GgmlTypeName, ggmlTypes } from './ggml-types.ts';

/** Writes the weights of the block whose first byte is `b[at]` to `y[to]` and after. */
type Decode = (b: Uint8Array, at: number, y: Float32Array, to: number) => void;

let halves: Float32Array | undefined;
/** All 65,536 of them: a lookup costs less than the arithmetic. */
const halfTable = (): Float32Array => {
  halves ??= Float32Array.from({ length: 65_536 }, (_, bits) => decodeFloat16(bits));
  return halves;
};
const uint16 = (b: Uint8Array, at: number): number => b[at] | (b[at + 1] << 8);
const half = (b: Uint8Array, at: number): number => halfTable()[uint16(b, at)];
const signed = (byte: number): number => (byte << 24) >> 24;

const words = new DataView(new ArrayBuffer(4));
const fromBits = (bits: number): number => {
  words.setUint32(0, bits >>> 0);
  return words.getFloat32(0);
};
const word = (b: Uint8Array, at: number): number => uint16(b, at) | (uint16(b, at + 2) << 16);

/** IQ4's sixteen values; MXFP4's, doubled (its scale is halved). */
const iq4Values = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113] as const;
const fp4Values = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12] as const;

/** Q4_0 and Q4_1, Q5_0 and Q5_1: 16 bytes of low bits, the fifth bits of all 32 weights in one word before them. */
const decode32 =
  (quants: number, fifth: number | null, centre: number, minimum: number | null): Decode =>
  (b, at, y, to) => {
    const d = half(b, at);
    const m = minimum === null ? 0 : half(b, at + minimum);
    const high = fifth === null ? 0 : word(b, at + fifth);
    for (let j = 0; j < 16; j++) {
      const byte = b[at + quants + j];
      const low = ((byte & 15) | (((high >>> j) & 1) << 4)) - centre;
      const upper = ((byte >> 4) | (((high >>> (j + 16)) & 1) << 4)) - centre;
      y[to + j] = minimum === null ? low * d : low * d + m;
      y[to + j + 16] = minimum === null ? upper * d : upper * d + m;
    }
  };

const decodeQ80: Decode = (b, at, y, to) => {
  const d = half(b, at);
  for (let j = 0; j < 32; j++) y[to + j] = signed(b[at + 2 + j]) * d;
};

const decodeQ2K: Decode = (b, at, y, to) => {
  const [d, dmin] = [half(b, at + 80), half(b, at + 82)];
  for (let i = 0; i < 16; i++) {
    const scale = b[at + i];
    const [dl, ml] = [d * (scale & 15), dmin * (scale >> 4)];
    const from = at + 16 + 32 * (i >> 3) + 16 * (i & 1);
    const shift = 2 * ((i >> 1) & 3);
    for (let l = 0; l < 16; l++) y[to + 16 * i + l] = dl * ((b[from + l] >> shift) & 3) - ml;
  }
};

const decodeQ3K: Decode = (b, at, y, to) => {
  const d = half(b, at + 108);
  for (let i = 0; i < 16; i++) {
    const low = i < 8 ? b[at + 96 + i] & 15 : b[at + 88 + i] >> 4;
    const scale = low | (((b[at + 104 + (i & 3)] >> (2 * (i >> 2))) & 3) << 4);
    const dl = d * (scale - 32);
    const from = at + 32 + 32 * (i >> 3) + 16 * (i & 1);
    const shift = 2 * ((i >> 1) & 3);
    const bit = i >> 1;
    for (let l = 0; l < 16; l++) {
      const high = (b[at + 16 * (i & 1) + l] >> bit) & 1;
      y[to + 16 * i + l] = dl * (((b[from + l] >> shift) & 3) - (high === 1 ? 0 : 4));
    }
  }
};

/** Six bits of scale and six of minimum for each of eight groups, in twelve bytes: the last four groups' high bits are in the first eight bytes. */
const scaleOf = (b: Uint8Array, s: number, j: number): number => (j < 4 ? b[s + j] & 63 : (b[s + j + 4] & 15) | ((b[s + j - 4] >> 6) << 4));
const minimumOf = (b: Uint8Array, s: number, j: number): number =>
  j < 4 ? b[s + j + 4] & 63 : (b[s + j + 4] >> 4) | ((b[s + j] >> 6) << 4);

const decodeK = (quants: number, fifth: number | null): Decode => {
  return (b, at, y, to) => {
    const [d, dmin] = [half(b, at), half(b, at + 2)];
    for (let j = 0; j < 8; j++) {
      const [dl, ml] = [d * scaleOf(b, at + 4, j), dmin * minimumOf(b, at + 4, j)];
      const from = at + quants + 32 * (j >> 1);
      const shift = 4 * (j & 1);
      for (let l = 0; l < 32; l++) {
        const high = fifth === null ? 0 : ((b[at + fifth + l] >> j) & 1) << 4;
        y[to + 32 * j + l] = dl * (((b[from + l] >> shift) & 15) | high) - ml;
      }
    }
  };
};

const decodeQ6K: Decode = (b, at, y, to) => {
  const d = half(b, at + 208);
  for (let i = 0; i < 16; i++) {
    const dl = d * signed(b[at + 192 + i]);
    // Of 128 weights, four runs of 32: low halves of two runs of bytes, then their high halves.
    const run = (i >> 1) & 3;
    const from = at + 64 * (i >> 3) + 32 * (run & 1) + 16 * (i & 1);
    const high = at + 128 + 32 * (i >> 3) + 16 * (i & 1);
    for (let l = 0; l < 16; l++) {
      const low = (b[from + l] >> (4 * (run >> 1))) & 15;
      y[to + 16 * i + l] = dl * ((low | (((b[high + l] >> (2 * run)) & 3) << 4)) - 32);
    }
  }
};

const decodeQ8K: Decode = (b, at, y, to) => {
  const d = fromBits(word(b, at));
  for (let j = 0; j < 256; j++) y[to + j] = d * signed(b[at + 4 + j]);
};

const decodeIQ4NL: Decode = (b, at, y, to) => {
  const d = half(b, at);
  for (let j = 0; j < 16; j++) {
    const byte = b[at + 2 + j];
    y[to + j] = d * iq4Values[byte & 15];
    y[to + j + 16] = d * iq4Values[byte >> 4];
  }
};

const decodeIQ4XS: Decode = (b, at, y, to) => {
  const d = half(b, at);
  const high = uint16(b, at + 2);
  for (let i = 0; i < 8; i++) {
    const scale = ((b[at + 4 + (i >> 1)] >> (4 * (i & 1))) & 15) | (((high >> (2 * i)) & 3) << 4);
    const dl = d * (scale - 32);
    for (let j = 0; j < 16; j++) {
      const byte = b[at + 8 + 16 * i + j];
      y[to + 32 * i + j] = dl * iq4Values[byte & 15];
      y[to + 32 * i + j + 16] = dl * iq4Values[byte >> 4];
    }
  }
};

const decodeMXFP4: Decode = (b, at, y, to) => {
  const exponent = b[at];
  // Half of 2 to the (exponent - 127), which for the smallest two is below the normal numbers.
  const d = fromBits(exponent < 2 ? 0x0020_0000 << exponent : (exponent - 1) << 23);
  for (let j = 0; j < 16; j++) {
    const byte = b[at + 1 + j];
    y[to + j] = fp4Values[byte & 15] * d;
    y[to + j + 16] = fp4Values[byte >> 4] * d;
  }
};

/** Five weights of -1, 0, 1 a byte, as a fraction of 3 to the fifth: times a power of three, the next digit is on top. */
const decodeTQ10: Decode = (b, at, y, to) => {
  const d = half(b, at + 52);
  let next = to;
  const digits = (from: number, bytes: number, count: number): void => {
    for (let n = 0; n < count; n++) for (let m = 0; m < bytes; m++) y[next++] = (((((b[from + m] * 3 ** n) & 255) * 3) >> 8) - 1) * d;
  };
  digits(at, 32, 5);
  digits(at + 32, 16, 5);
  digits(at + 48, 4, 4);
};

const decodeTQ20: Decode = (b, at, y, to) => {
  const d = half(b, at + 64);
  for (let i = 0; i < 256; i++) y[to + i] = (((b[at + 32 * (i >> 7) + (i & 31)] >> (2 * ((i >> 5) & 3))) & 3) - 1) * d;
};

const decoders = {
  F32: (b, at, y, to) => {
    y[to] = fromBits(word(b, at));
  },
  F16: (b, at, y, to) => {
    y[to] = half(b, at);
  },
  BF16: (b, at, y, to) => {
    y[to] = fromBits(uint16(b, at) << 16);
  },
  Q4_0: decode32(2, null, 8, null),
  Q4_1: decode32(4, null, 0, 2),
  Q5_0: decode32(6, 2, 16, null),
  Q5_1: decode32(8, 4, 0, 2),
  Q8_0: decodeQ80,
  Q2_K: decodeQ2K,
  Q3_K: decodeQ3K,
  Q4_K: decodeK(16, null),
  Q5_K: decodeK(48, 16),
  Q6_K: decodeQ6K,
  Q8_K: decodeQ8K,
  IQ4_NL: decodeIQ4NL,
  IQ4_XS: decodeIQ4XS,
  MXFP4: decodeMXFP4,
  TQ1_0: decodeTQ10,
  TQ2_0: decodeTQ20,
} as const satisfies Partial<Record<GgmlTypeName, Decode>>;

/** The types whose blocks this file knows. */
export type DecodableType = keyof typeof decoders;

export const decodableTypes = Object.keys(decoders) as readonly DecodableType[];
export const isDecodable = (type: GgmlTypeName): type is DecodableType => Object.hasOwn(decoders, type);

/** Decodes a whole number of blocks into as many weights of `out`, from its beginning. */
export function decodeBlocks(type: GgmlTypeName, bytes: Uint8Array, out: Float32Array): void {
  if (!isDecodable(type)) throw new Error(`blocks of type ${type} cannot be decoded, only ${decodableTypes.join(', ')}`);
  const { blockSize, blockBytes } = ggmlTypes[type];
  const blocks = bytes.byteLength / blockBytes;
  if (!Number.isInteger(blocks)) throw new Error(`${bytes.byteLength} bytes are no whole number of ${type} blocks of ${blockBytes}`);
  if (out.length < blocks * blockSize)
    throw new Error(`${blocks} blocks of ${type} are ${blocks * blockSize} weights, there is room for ${out.length}`);
  const decode: Decode = decoders[type];
  for (let i = 0; i < blocks; i++) decode(bytes, i * blockBytes, out, i * blockSize);
}

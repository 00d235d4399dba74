/**
 * ggml's block formats as expressions over bytes: what a quantized weight is, said once for every device.
 *
 * A row of weights is a row of blocks (llama.cpp's GGUF files), each with its scales in front of or behind its small integers. `decodeElements` gives every
 * weight as arithmetic on the bytes at its place, so whatever reads it (a product, a look-up) can compute it where it stands; nothing has to be written out.
 * Every product in it is exact in float32 (at most 11 + 6 + 6 significant bits) and a weight is rounded once, at most: so fused or not,
 * and in which order, does not show, and the numbers are ggml's own bit for bit.
 *
 * The axes of an element are the format's own (halves of bytes, groups that share a scale); in row-major order they are the order of the weights.
 */
import { float32, int32 } from '../dtype/dtype.ts';
import type { Dim } from '../shape/dim.ts';
import * as dims from '../shape/dim.ts';
import { iota, Prim } from './prim.ts';

interface BlockFormat {
  /** Weights in a block, and its bytes. */
  readonly weights: number;
  readonly bytes: number;
  /** Axes of the weights of a block. */
  readonly axes: readonly number[];
  readonly decode: (block: Block) => Prim;
}

export type BlockFormatName = 'Q4_0' | 'Q4_1' | 'Q5_0' | 'Q5_1' | 'Q8_0' | 'Q4_K' | 'Q5_K' | 'Q6_K';

/** The right operand of a product as its blocks: x @ W^T, or x @ W when `transposed`. */
export interface BlockOperand {
  readonly format: BlockFormatName;
  readonly transposed: boolean;
}

/** Bytes of all blocks of a weight, and the shapes to broadcast over. */
class Block {
  readonly #bytes: Prim;
  readonly #axes: readonly number[];
  constructor(bytes: Prim, axes: readonly number[]) {
    this.#bytes = bytes;
    this.#axes = axes;
  }
  /** Bytes from `start`, `sizes` many along each axis of the element (1: the same for all). */
  at(start: number, sizes: readonly number[]): Prim {
    const count = sizes.reduce((p, d) => p * d, 1);
    const last = this.#bytes.ndim - 1;
    return this.#bytes
      .slice(last, start, count)
      .cast(int32)
      .reshape([...this.#bytes.shape.slice(0, -1), ...sizes]);
  }
  /** A half-precision number as float32, exactly, subnormal and infinite ones too. */
  half(start: number): Prim {
    const ones = this.#axes.map(() => 1);
    const bits = this.at(start, ones).scalar('or', this.at(start + 1, ones).scalar('shl', 8));
    const magnitude = bits.scalar('and', 0x7fff).scalar('shl', 13);
    // The exponent's bias differs by 112: a product with a power of two settles subnormals too.
    const finite = magnitude
      .bitcast(float32)
      .mul(2 ** 112)
      .bitcast(int32);
    const special = bits.scalar('and', 0x7c00).eq(0x7c00);
    const sign = bits.scalar('and', 0x8000).scalar('shl', 16);
    return special.where(magnitude.scalar('or', 0x7f800000), finite).scalar('or', sign).bitcast(float32);
  }
  /** `bytes` shifted right by `shift` where the position along `axis` is 1. */
  shiftedAlong(axis: number, bytes: Prim, shift: number): Prim {
    const lead = this.#bytes.ndim - 1;
    const shape: Dim[] = [...bytes.shape];
    shape[lead + axis] = 2;
    const wide = bytes.expand(shape);
    return iota(shape, lead + axis)
      .eq(1)
      .where(wide.scalar('ushr', shift), wide);
  }
  /** yes where the position along `axis` is 0, else no. */
  firstAlong(axis: number, yes: Prim, no: Prim): Prim {
    const lead = this.#bytes.ndim - 1;
    const shape: Dim[] = [...yes.shape];
    shape[lead + axis] = 2;
    return iota(shape, lead + axis)
      .eq(0)
      .where(yes.expand(shape), no.expand(shape));
  }
  /** Bit i of the 32 from `start`, for weight i of the block. */
  bits32(start: number): Prim {
    const ones = this.#axes.map(() => 1);
    const word = [1, 2, 3].reduce((sum, i) => sum.scalar('or', this.at(start + i, ones).scalar('shl', 8 * i)), this.at(start, ones));
    const shape = [...this.#bytes.shape.slice(0, -1), ...this.#axes];
    const low = shape.length - 1;
    const place = iota(shape, low).cast(int32);
    return this.shiftedAlong(0, word, 16).expand(shape).scalar('ushr', place).scalar('and', 1);
  }
}

const low4 = (p: Prim): Prim => p.scalar('and', 15);
const number = (p: Prim): Prim => p.cast(float32);

/** Sixteen bytes, low halves first. */
const nibbles = (block: Block, start: number): Prim => low4(block.shiftedAlong(0, block.at(start, [1, 16]), 4));
const fifth = (block: Block, start: number): Prim => block.bits32(start).scalar('shl', 4);

/** Six-bit scales and minima of the eight groups of a block, packed into twelve bytes from 4; the axes are [half, pair, nibble, 1]. */
function packedScales(block: Block): { scale: Prim; minimum: Prim } {
  const [first, second, third] = [4, 8, 12].map((start) => block.at(start, [1, 2, 2, 1]));
  const upper = (p: Prim): Prim => p.scalar('ushr', 6).scalar('shl', 4);
  return {
    scale: number(block.firstAlong(0, first.scalar('and', 63), low4(third).scalar('or', upper(first)))),
    minimum: number(block.firstAlong(0, second.scalar('and', 63), third.scalar('ushr', 4).scalar('or', upper(second)))),
  };
}
const affine = (block: Block, q: Prim): Prim => {
  const { scale, minimum } = packedScales(block);
  return block.half(0).mul(scale).mul(number(q)).sub(block.half(2).mul(minimum));
};
/** 128 bytes in four groups of 32, low halves before high ones. */
const groupNibbles = (block: Block, start: number): Prim => low4(block.shiftedAlong(2, block.at(start, [2, 2, 1, 32]), 4));

export const blockFormats: Readonly<Record<BlockFormatName, BlockFormat>> = {
  Q4_0: { weights: 32, bytes: 18, axes: [2, 16], decode: (b) => number(nibbles(b, 2).sub(8)).mul(b.half(0)) },
  Q4_1: { weights: 32, bytes: 20, axes: [2, 16], decode: (b) => number(nibbles(b, 4)).mul(b.half(0)).add(b.half(2)) },
  Q5_0: {
    weights: 32,
    bytes: 22,
    axes: [2, 16],
    decode: (b) => number(nibbles(b, 6).scalar('or', fifth(b, 2)).sub(16)).mul(b.half(0)),
  },
  Q5_1: {
    weights: 32,
    bytes: 24,
    axes: [2, 16],
    decode: (b) =>
      number(nibbles(b, 8).scalar('or', fifth(b, 4)))
        .mul(b.half(0))
        .add(b.half(2)),
  },
  Q8_0: { weights: 32, bytes: 34, axes: [32], decode: (b) => number(signed(b.at(2, [32]))).mul(b.half(0)) },
  Q4_K: { weights: 256, bytes: 144, axes: [2, 2, 2, 32], decode: (b) => affine(b, groupNibbles(b, 16)) },
  Q5_K: {
    weights: 256,
    bytes: 176,
    axes: [2, 2, 2, 32],
    decode: (b) => {
      const plane = b.shiftedAlong(2, b.shiftedAlong(1, b.shiftedAlong(0, b.at(16, [1, 1, 1, 32]), 4), 2), 1);
      return affine(b, groupNibbles(b, 48).scalar('or', plane.scalar('and', 1).scalar('shl', 4)));
    },
  },
  // Axes: half of the block, half of the byte, group of 32, and the two sixteens of it, each with a scale.
  Q6_K: {
    weights: 256,
    bytes: 210,
    axes: [2, 2, 2, 2, 16],
    decode: (b) => {
      const low = low4(b.shiftedAlong(1, b.at(0, [2, 1, 2, 2, 16]), 4));
      const high = b.shiftedAlong(2, b.shiftedAlong(1, b.at(128, [2, 1, 1, 2, 16]), 4), 2).scalar('and', 3);
      const q = low.scalar('or', high.scalar('shl', 4)).sub(32);
      return b
        .half(208)
        .mul(number(signed(b.at(192, [2, 2, 2, 2, 1]))))
        .mul(number(q));
    },
  },
};

function signed(byte: Prim): Prim {
  return byte.scalar('xor', 128).sub(128);
}

export const isBlockFormat = (name: string): name is BlockFormatName => Object.hasOwn(blockFormats, name);

/** Weights in a row of so many bytes. */
export const weightsIn = (format: BlockFormatName, rowBytes: Dim): Dim => {
  const { weights, bytes } = blockFormats[format];
  const blocks = dims.exactQuotient(rowBytes, bytes);
  if (blocks === null) throw new Error(`internal: rows of ${dims.keyOf(rowBytes)} bytes of ${format}`);
  return dims.mul(blocks, weights);
};

/** bytes [..., row bytes] as float32 [..., blocks, ...axes of the format]. */
export function decodeElements(format: BlockFormatName, bytes: Prim): Prim {
  const { bytes: size, axes, decode } = blockFormats[format];
  const lead = bytes.shape.slice(0, -1);
  const blocks = dims.exactQuotient(bytes.shape[bytes.ndim - 1], size)!;
  return decode(new Block(bytes.reshape([...lead, blocks, size]), axes)).expand([...lead, blocks, ...axes]);
}

/** bytes [..., row bytes] as float32 [..., weights]. */
export const decodeRows = (format: BlockFormatName, bytes: Prim): Prim =>
  decodeElements(format, bytes).reshape([...bytes.shape.slice(0, -1), weightsIn(format, bytes.shape[bytes.ndim - 1])]);

/** float32 [m, k] x the weights in `bytes` [rows, row bytes]. */
export function blockDot(x: Prim, bytes: Prim, blocks: BlockOperand): Prim {
  const [rows, rowBytes] = bytes.shape;
  const columns = blocks.transposed ? weightsIn(blocks.format, rowBytes) : rows;
  return new Prim({ op: 'dot', srcs: [x, bytes], blocks }, [x.shape[0], columns], float32);
}

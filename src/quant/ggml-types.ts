/**
 * The types of ggml's tensors: how many weights a block holds, and in how many bytes.
 *
 * A row of a tensor is a whole number of blocks, one after the other, so a row's length must be a multiple of the block's. Types of one weight a
 * block are ordinary numbers. Numbers missing between the ids are types that ggml took back. What is inside a block is said in `ggml-blocks.ts`,
 * for the types that it decodes; the others can be listed, copied and written as they are.
 *
 * https://github.com/ggml-org/ggml/blob/master/include/ggml.h (enum ggml_type), src/ggml-common.h (the blocks)
 */

/** id, weights in a block, bytes of a block. */
const rows = {
  F32: [0, 1, 4],
  F16: [1, 1, 2],
  Q4_0: [2, 32, 18],
  Q4_1: [3, 32, 20],
  Q5_0: [6, 32, 22],
  Q5_1: [7, 32, 24],
  Q8_0: [8, 32, 34],
  Q8_1: [9, 32, 36],
  Q2_K: [10, 256, 84],
  Q3_K: [11, 256, 110],
  Q4_K: [12, 256, 144],
  Q5_K: [13, 256, 176],
  Q6_K: [14, 256, 210],
  Q8_K: [15, 256, 292],
  IQ2_XXS: [16, 256, 66],
  IQ2_XS: [17, 256, 74],
  IQ3_XXS: [18, 256, 98],
  IQ1_S: [19, 256, 50],
  IQ4_NL: [20, 32, 18],
  IQ3_S: [21, 256, 110],
  IQ2_S: [22, 256, 82],
  IQ4_XS: [23, 256, 136],
  I8: [24, 1, 1],
  I16: [25, 1, 2],
  I32: [26, 1, 4],
  I64: [27, 1, 8],
  F64: [28, 1, 8],
  IQ1_M: [29, 256, 56],
  BF16: [30, 1, 2],
  TQ1_0: [34, 256, 54],
  TQ2_0: [35, 256, 66],
  MXFP4: [39, 32, 17],
  NVFP4: [40, 64, 36],
  Q1_0: [41, 128, 18],
  Q2_0: [42, 64, 18],
} as const;

export type GgmlTypeName = keyof typeof rows;

export interface GgmlType {
  readonly name: GgmlTypeName;
  /** The number that stands for it in files. */
  readonly id: number;
  /** Weights in a block. */
  readonly blockSize: number;
  /** Bytes of a block. */
  readonly blockBytes: number;
}

export const ggmlTypes: Readonly<Record<GgmlTypeName, GgmlType>> = Object.fromEntries(
  Object.entries(rows).map(([name, [id, blockSize, blockBytes]]) => [name, { name, id, blockSize, blockBytes }]),
) as unknown as Record<GgmlTypeName, GgmlType>;

const byId = new Map(Object.values(ggmlTypes).map((type) => [type.id, type]));

/** `undefined` for a number that names no type, or one that is newer than this table. */
export const ggmlTypeById = (id: number): GgmlType | undefined => byId.get(id);

/** Bytes of a row of so many weights. Throws where they are no whole number of blocks. */
export function ggmlRowBytes(type: GgmlTypeName, weights: number): number {
  const { blockSize, blockBytes } = ggmlTypes[type];
  if (weights % blockSize !== 0) throw new Error(`a row of ${weights} weights is no whole number of ${type} blocks of ${blockSize}`);
  return (weights / blockSize) * blockBytes;
}

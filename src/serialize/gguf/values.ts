/**
 * What the parts of GGUF share: the types of metadata, the limits, and the one error that reader and writer throw.
 *
 * https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 */
import type { GgmlTypeName } from '../../quant/ggml-types.ts';
import type { GgufArray } from './array.ts';

/** Whole numbers of 64 bits are numbers while these hold them exactly, bigint beyond. */
export type GgufScalar = number | bigint | string | boolean;
/** What a file is read as. */
export type GgufValue = GgufScalar | GgufArray;
/** What a file can be written of. */
export type GgufInput = GgufScalar | GgufArray | readonly GgufInput[];

/** In the order of their numbers in the file; bytes of one, 0 where that differs. */
export const scalarBytes = {
  uint8: 1,
  int8: 1,
  uint16: 2,
  int16: 2,
  uint32: 4,
  int32: 4,
  float32: 4,
  bool: 1,
  string: 0,
  array: 0,
  uint64: 8,
  int64: 8,
  float64: 8,
} as const;

export type GgufScalarType = Exclude<keyof typeof scalarBytes, 'array'>;
/** `float32`, `string[]`. An array within an array is `array[]`, whose elements' types are found when it is written. */
export type GgufValueType = GgufScalarType | `${GgufScalarType | 'array'}[]`;

export const valueTypeNames = Object.keys(scalarBytes) as readonly (keyof typeof scalarBytes)[];

export interface GgufTensorInfo {
  readonly name: string;
  readonly type: GgmlTypeName;
  /** PyTorch's order: the outermost dim first. */
  readonly shape: readonly number[];
  /** Where its bytes begin, counted from the beginning of the file. */
  readonly offset: number;
  readonly bytes: number;
}

export interface GgufHeader {
  readonly version: 2 | 3;
  readonly alignment: number;
  readonly metadata: ReadonlyMap<string, GgufValue>;
  /** How each value of the metadata is written in the file. */
  readonly types: ReadonlyMap<string, GgufValueType>;
  /** In the order of the file's table. */
  readonly tensors: ReadonlyMap<string, GgufTensorInfo>;
  /** Where the data begin. */
  readonly dataStart: number;
}

/** `GGUF`, as a little-endian number. */
export const ggufMagic = 0x46554747;
export const defaultAlignment = 32;
/**
 * ggml's own limits are 4 dims and keys of 65,535 bytes; names have 63 bytes there, others write longer ones. The counts are generous for any model. What is
 * made of a header is its own bytes (arrays) and objects for texts, entries and tensors, of which there are few enough for some ten megabytes.
 */
export const limits = {
  dims: 4,
  keyBytes: 65_535,
  nameBytes: 1_024,
  alignment: 1 << 24,
  /** Arrays in arrays: no key of the format has them. */
  depth: 4,
  /** Of one text within an array; of all others, names and keys included, together. */
  textBytes: 1 << 23,
  entries: 1 << 13,
  tensors: 1 << 16,
  /** Of all metadata and the table of tensors. */
  headerBytes: 100_000_000,
} as const;

export class GgufError extends Error {
  override readonly name = 'GgufError';
  /** The file's name as given to the reader. */
  readonly file: string;
  /** The tensor, or the key of the metadata, at fault, where there is one. */
  readonly subject: string | undefined;
  /** The byte of the file at which the trouble is. */
  readonly offset: number | undefined;

  constructor(
    problem: string,
    file: string,
    { tensor, key, offset }: { readonly tensor?: string; readonly key?: string; readonly offset?: number } = {},
  ) {
    const where = [
      file,
      tensor === undefined ? '' : `tensor ${JSON.stringify(shorten(tensor))}`,
      key === undefined ? '' : `key ${JSON.stringify(shorten(key))}`,
      offset === undefined ? '' : `byte ${offset}`,
    ];
    super(`${problem}\n  in ${where.filter((part) => part !== '').join(', ')}`);
    this.file = file;
    this.subject = tensor ?? key;
    this.offset = offset;
  }
}

export const shorten = (text: string): string => (text.length > 80 ? `${text.slice(0, 77)}...` : text);

export const alignUp = (offset: number, alignment: number): number => Math.ceil(offset / alignment) * alignment;

/** The bytes of a tensor, or what is wrong with the shape (outermost first). Numbers of any size come in. */
export function tensorBytes(shape: readonly (number | bigint)[], blockSize: number, blockBytes: number): number | string {
  const row = shape.length === 0 ? 1n : BigInt(shape[shape.length - 1]);
  if (row % BigInt(blockSize) !== 0n) return `rows of ${row} weights are no whole number of blocks of ${blockSize}`;
  let count = 1n;
  // Zero anywhere makes zero, but not of an absurd product.
  for (const size of shape) if (BigInt(size) > 0n) count *= BigInt(size);
  const bytes = (count * BigInt(blockBytes)) / BigInt(blockSize);
  if (count > BigInt(Number.MAX_SAFE_INTEGER) || bytes > BigInt(Number.MAX_SAFE_INTEGER))
    return `overflow: shape [${shape.join(', ')}] is too large`;
  return shape.some((size) => BigInt(size) === 0n) ? 0 : Number(bytes);
}

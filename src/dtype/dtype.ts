/**
 * The dtypes: fourteen interned objects, compared with `===`.
 *
 * A dtype says how an element is stored (`itemsize`, the codec in `codec.ts`) and in which register type it is computed
 * (`compute`): half precision and fp8 compute in float32, small integers in int32. `complex64` computes on pairs of `f32`,
 * `complex128` on pairs of `f64`. There is no complex32 here: the complex twin of a 16-bit float is complex64.
 * Promotion is in `promotion.ts`.
 */
import { callStateChanged } from '../util/lesson.ts';

export type DTypeName =
  | 'float64'
  | 'float32'
  | 'float16'
  | 'bfloat16'
  | 'float8_e4m3fn'
  | 'float8_e5m2'
  | 'int64'
  | 'int32'
  | 'int16'
  | 'int8'
  | 'uint8'
  | 'bool'
  | 'complex64'
  | 'complex128';
export type DTypeKind = 'float' | 'int' | 'bool' | 'complex';
export type ComputeType = 'f32' | 'f64' | 'i32' | 'i64' | 'bool';

export class DType {
  readonly name: DTypeName;
  /** Dense small integer, 0..13, in the order of `dtypes`. */
  readonly id: number;
  /** Bytes of one element. */
  readonly itemsize: number;
  readonly kind: DTypeKind;
  readonly compute: ComputeType;
  readonly is_floating_point: boolean;
  readonly is_complex: boolean;
  readonly is_signed: boolean;
  #real: DType | undefined;
  #complex: DType | undefined;

  constructor(name: DTypeName, id: number, itemsize: number, kind: DTypeKind, compute: ComputeType) {
    this.name = name;
    this.id = id;
    this.itemsize = itemsize;
    this.kind = kind;
    this.compute = compute;
    this.is_floating_point = kind === 'float';
    this.is_complex = kind === 'complex';
    this.is_signed = kind !== 'bool' && name !== 'uint8';
  }

  /** The dtype of the real part: float32 for complex64, float64 for complex128, itself for every other dtype. */
  get real(): DType {
    return this.#real ?? this;
  }

  /** The complex dtype of this precision: complex128 for float64, itself for a complex dtype, complex64 for the rest. */
  get complex(): DType {
    return this.#complex ?? (this.is_complex ? this : complex64);
  }

  /** PyTorch's method names for the same two. */
  to_real(): DType {
    return this.real;
  }
  to_complex(): DType {
    return this.complex;
  }

  toString(): string {
    return `torch.${this.name}`;
  }
  toJSON(): string {
    return this.name;
  }
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString();
  }

  /** Ties a real dtype and its complex twin together; called once per pair, below. */
  static pair(real: DType, complex: DType): void {
    complex.#real = real;
    real.#complex = complex;
  }
}

export const float64: DType = new DType('float64', 0, 8, 'float', 'f64');
export const float32: DType = new DType('float32', 1, 4, 'float', 'f32');
export const float16: DType = new DType('float16', 2, 2, 'float', 'f32');
export const bfloat16: DType = new DType('bfloat16', 3, 2, 'float', 'f32');
export const float8_e4m3fn: DType = new DType('float8_e4m3fn', 4, 1, 'float', 'f32');
export const float8_e5m2: DType = new DType('float8_e5m2', 5, 1, 'float', 'f32');
export const int64: DType = new DType('int64', 6, 8, 'int', 'i64');
export const int32: DType = new DType('int32', 7, 4, 'int', 'i32');
export const int16: DType = new DType('int16', 8, 2, 'int', 'i32');
export const int8: DType = new DType('int8', 9, 1, 'int', 'i32');
export const uint8: DType = new DType('uint8', 10, 1, 'int', 'i32');
export const bool: DType = new DType('bool', 11, 1, 'bool', 'bool');
export const complex64: DType = new DType('complex64', 12, 8, 'complex', 'f32');
export const complex128: DType = new DType('complex128', 13, 16, 'complex', 'f64');
DType.pair(float32, complex64);
DType.pair(float64, complex128);

export const double: DType = float64;
export const float: DType = float32;
export const half: DType = float16;
export const long: DType = int64;
export const int: DType = int32;
export const short: DType = int16;
export const cfloat: DType = complex64;
export const cdouble: DType = complex128;

/** All dtypes; `dtypes[d.id] === d`. */
export const dtypes: readonly DType[] = [
  float64,
  float32,
  float16,
  bfloat16,
  float8_e4m3fn,
  float8_e5m2,
  int64,
  int32,
  int16,
  int8,
  uint8,
  bool,
  complex64,
  complex128,
];

const byName: ReadonlyMap<string, DType> = new Map<string, DType>([
  ...dtypes.map((d): [string, DType] => [d.name, d]),
  ['double', double],
  ['float', float],
  ['half', half],
  ['long', long],
  ['int', int],
  ['short', short],
  ['cfloat', cfloat],
  ['cdouble', cdouble],
]);

/** The dtype of a name (`float32`, `half`, `torch.int64`), or undefined. */
export function dtypeByName(name: string): DType | undefined {
  return byName.get(name.startsWith('torch.') ? name.slice(6) : name);
}

let defaultDtype: DType = float32;

/** `torch.get_default_dtype`: float32 until changed. */
export function getDefaultDtype(): DType {
  return defaultDtype;
}

/** `torch.set_default_dtype`: only floating point dtypes, with PyTorch's error texts. */
export function setDefaultDtype(dtype: DType): void {
  if (!dtype.is_floating_point) throw new TypeError(`only floating-point types are supported as the default type`);
  if (dtype.itemsize === 1)
    throw new TypeError(`default type ${dtype.toString()} is not supported: use float64, float32, float16 or bfloat16`);
  defaultDtype = dtype;
  callStateChanged('default dtype', dtype.name);
}

export interface FInfo {
  readonly dtype: string;
  readonly bits: number;
  readonly eps: number;
  readonly max: number;
  readonly min: number;
  readonly tiny: number;
  readonly smallest_normal: number;
  readonly resolution: number;
}
export interface IInfo {
  readonly dtype: string;
  readonly bits: number;
  readonly max: number | bigint;
  readonly min: number | bigint;
}

// Mantissa bits, largest value, smallest normal, decimal resolution (10^-digits10, as PyTorch computes it).
const floatFacts: Partial<Record<DTypeName, readonly [bits: number, max: number, tiny: number, resolution: number]>> = {
  float64: [52, Number.MAX_VALUE, 2 ** -1022, 1e-15],
  float32: [23, (2 - 2 ** -23) * 2 ** 127, 2 ** -126, 1e-6],
  float16: [10, 65504, 2 ** -14, 1e-3],
  bfloat16: [7, (2 - 2 ** -7) * 2 ** 127, 2 ** -126, 1e-2],
  float8_e4m3fn: [3, 448, 2 ** -6, 1],
  float8_e5m2: [2, 57344, 2 ** -14, 1],
};

/** `torch.finfo(dtype)`; a complex dtype answers for its real part, as in PyTorch. */
export function finfo(dtype: DType = defaultDtype): FInfo {
  const real = dtype.real;
  const facts = floatFacts[real.name];
  if (facts === undefined) {
    throw new TypeError(`torch.finfo() requires a floating point input type. Use torch.iinfo to handle 'torch.finfo'`);
  }
  const [mantissa, max, tiny, resolution] = facts;
  return { dtype: real.name, bits: real.itemsize * 8, eps: 2 ** -mantissa, max, min: -max, tiny, smallest_normal: tiny, resolution };
}

/** `torch.iinfo(dtype)`; the bounds of int64 are bigints, all others numbers. */
export function iinfo(dtype: DType): IInfo {
  if (dtype.kind === 'bool') throw new TypeError(`torch.bool is not supported by torch.iinfo`);
  if (dtype.kind !== 'int') {
    throw new TypeError(`torch.iinfo() requires an integer input type. Use torch.finfo to handle 'torch.iinfo'`);
  }
  const bits = dtype.itemsize * 8;
  if (dtype === int64) return { dtype: dtype.name, bits, max: 2n ** 63n - 1n, min: -(2n ** 63n) };
  if (dtype === uint8) return { dtype: dtype.name, bits, max: 255, min: 0 };
  return { dtype: dtype.name, bits, max: 2 ** (bits - 1) - 1, min: -(2 ** (bits - 1)) };
}

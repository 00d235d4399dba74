/**
 * How elements are stored, and what a value becomes when it is stored.
 *
 * Storage is one typed array per dtype: the 16- and 8-bit floats as raw bits, bool as bytes, int64 as BigInt64Array, complex numbers as
 * interleaved pairs. `encodeInto` converts as PyTorch's `.to(dtype)` does: floats go through float32 to the narrow formats (so a
 * float64 is rounded twice, as there), each rounding to nearest even; floats truncate to integers, integers wrap, bool is `!= 0`,
 * complex to real drops the imaginary part. Float values outside an integer's range give what x86 gives (PyTorch leaves it undefined).
 * This file favours being obviously right; kernels have their own fast conversions and are tested against it.
 */
import type { DType } from './dtype.ts';

export interface Complex {
  readonly re: number;
  readonly im: number;
}
export type ScalarValue = number | bigint | boolean | Complex;
export type StorageArray = Float64Array | Float32Array | Uint16Array | Uint8Array | BigInt64Array | Int32Array | Int16Array | Int8Array;

const f32 = new Float32Array(1);
const u32 = new Uint32Array(f32.buffer);

function bitsOf(value: number): number {
  f32[0] = value;
  return u32[0]!;
}
function fromBits(bits: number): number {
  u32[0] = bits;
  return f32[0]!;
}

/** The format of a narrow float: sign, `exponent` bits with `bias`, `mantissa` bits. */
interface NarrowFormat {
  readonly exponent: number;
  readonly mantissa: number;
  readonly bias: number;
}
const halfFormat: NarrowFormat = { exponent: 5, mantissa: 10, bias: 15 };
const e5m2Format: NarrowFormat = { exponent: 5, mantissa: 2, bias: 15 };
const e4m3Format: NarrowFormat = { exponent: 4, mantissa: 3, bias: 7 };

/**
 * The magnitude of a finite float32 as an integer in units of the format's bit pattern, rounded to nearest even. Because patterns of one
 * sign are ordered as their values are, a carry out of the mantissa moves into the exponent by itself; overflow is the caller's affair.
 */
function roundMagnitude(magnitude: number, { mantissa, bias }: NarrowFormat): number {
  const exponent = Math.max(((bitsOf(magnitude) >>> 23) & 0xff) - 127, 1 - bias);
  const units = magnitude * 2 ** (mantissa - exponent); // exact: a power of two, and 24 bits at most
  const floor = Math.floor(units);
  const rest = units - floor;
  const rounded = rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
  return rounded + (exponent + bias - 1) * 2 ** mantissa;
}

function decodeNarrow(bits: number, { exponent, mantissa, bias }: NarrowFormat): number {
  const e = (bits >>> mantissa) & ((1 << exponent) - 1);
  const m = bits & ((1 << mantissa) - 1);
  const magnitude = e === 0 ? m * 2 ** (1 - bias - mantissa) : (m + 2 ** mantissa) * 2 ** (e - bias - mantissa);
  return bits >>> (mantissa + exponent) ? -magnitude : magnitude;
}

function isNegative(value: number): boolean {
  return value < 0 || Object.is(value, -0);
}

export function encodeFloat16(value: number): number {
  const x = Math.fround(value);
  if (Number.isNaN(x)) return 0x7e00;
  const sign = isNegative(x) ? 0x8000 : 0;
  const magnitude = Math.abs(x);
  if (magnitude >= 65520) return sign | 0x7c00;
  return sign | roundMagnitude(magnitude, halfFormat);
}

export function decodeFloat16(bits: number): number {
  if ((bits & 0x7c00) === 0x7c00) return bits & 0x3ff ? Number.NaN : bits & 0x8000 ? -Infinity : Infinity;
  return decodeNarrow(bits, halfFormat);
}

export function encodeBfloat16(value: number): number {
  if (Number.isNaN(value)) return 0x7fc0;
  const bits = bitsOf(value);
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

export function decodeBfloat16(bits: number): number {
  return fromBits((bits << 16) >>> 0);
}

/** No infinities: what rounds above 448 is NaN (0x7f), with its sign. */
export function encodeFloat8E4m3fn(value: number): number {
  const x = Math.fround(value);
  if (Number.isNaN(x)) return 0x7f;
  const sign = isNegative(x) ? 0x80 : 0;
  const magnitude = Math.abs(x);
  return sign | (magnitude >= 480 ? 0x7f : roundMagnitude(magnitude, e4m3Format));
}

export function decodeFloat8E4m3fn(bits: number): number {
  return (bits & 0x7f) === 0x7f ? Number.NaN : decodeNarrow(bits, e4m3Format);
}

export function encodeFloat8E5m2(value: number): number {
  const x = Math.fround(value);
  if (Number.isNaN(x)) return 0x7f;
  const sign = isNegative(x) ? 0x80 : 0;
  const magnitude = Math.abs(x);
  return sign | (magnitude >= 61440 ? 0x7c : roundMagnitude(magnitude, e5m2Format));
}

export function decodeFloat8E5m2(bits: number): number {
  if ((bits & 0x7c) === 0x7c) return bits & 3 ? Number.NaN : bits & 0x80 ? -Infinity : Infinity;
  return decodeNarrow(bits, e5m2Format);
}

/** A zeroed storage array for `length` elements; complex dtypes take two slots an element. */
export function makeArray(dtype: DType, length: number): StorageArray {
  return arrayOver(dtype, new ArrayBuffer(length * dtype.itemsize), 0, length);
}

/** A storage array over bytes that exist already; `byteOffset` must be a multiple of the slot size. */
export function arrayOver(dtype: DType, buffer: ArrayBufferLike, byteOffset: number, length: number): StorageArray {
  switch (dtype.name) {
    case 'float64':
      return new Float64Array(buffer, byteOffset, length);
    case 'float32':
      return new Float32Array(buffer, byteOffset, length);
    case 'float16':
    case 'bfloat16':
      return new Uint16Array(buffer, byteOffset, length);
    case 'float8_e4m3fn':
    case 'float8_e5m2':
    case 'uint8':
    case 'bool':
      return new Uint8Array(buffer, byteOffset, length);
    case 'int64':
      return new BigInt64Array(buffer, byteOffset, length);
    case 'int32':
      return new Int32Array(buffer, byteOffset, length);
    case 'int16':
      return new Int16Array(buffer, byteOffset, length);
    case 'int8':
      return new Int8Array(buffer, byteOffset, length);
    case 'complex64':
      return new Float32Array(buffer, byteOffset, 2 * length);
    case 'complex128':
      return new Float64Array(buffer, byteOffset, 2 * length);
    default:
      return dtype.name satisfies never;
  }
}

/** The bytes of a storage array, not copied. */
export function viewBytes(array: StorageArray): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

/** A storage array for bytes at any alignment: a view where they are aligned, a copy where they are not. */
export function viewArray(dtype: DType, bytes: Uint8Array): StorageArray {
  const slot = dtype.is_complex ? dtype.real.itemsize : dtype.itemsize;
  const source = bytes.byteOffset % slot === 0 ? bytes : bytes.slice();
  return arrayOver(dtype, source.buffer, source.byteOffset, source.byteLength / dtype.itemsize);
}

/** Element `index`: bigint for int64, boolean for bool, `{ re, im }` for complex, number for the rest. */
export function decode(dtype: DType, array: StorageArray, index: number): ScalarValue {
  switch (dtype.name) {
    case 'float16':
      return decodeFloat16(array[index] as number);
    case 'bfloat16':
      return decodeBfloat16(array[index] as number);
    case 'float8_e4m3fn':
      return decodeFloat8E4m3fn(array[index] as number);
    case 'float8_e5m2':
      return decodeFloat8E5m2(array[index] as number);
    case 'bool':
      return array[index] !== 0;
    case 'complex64':
    case 'complex128':
      return { re: array[2 * index] as number, im: array[2 * index + 1] as number };
    case 'float64':
    case 'float32':
    case 'int64':
    case 'int32':
    case 'int16':
    case 'int8':
    case 'uint8':
      return array[index]!;
    default:
      return dtype.name satisfies never;
  }
}

function realPart(value: ScalarValue): number | bigint {
  return typeof value === 'boolean' ? (value ? 1 : 0) : typeof value === 'object' ? value.re : value;
}

const INT64_MIN = -(2n ** 63n);

function toInt64(value: number | bigint): bigint {
  if (typeof value === 'bigint') return BigInt.asIntN(64, value);
  if (!(value >= -(2 ** 63) && value < 2 ** 63)) return INT64_MIN; // NaN too
  return BigInt(Math.trunc(value));
}

/** The low 32 bits of a value truncated to an integer. A float outside int32 converts as x86 does: to -2^31. */
function toInt32(value: number | bigint): number {
  if (typeof value === 'bigint') return Number(BigInt.asIntN(32, value));
  const t = Math.trunc(value);
  return t >= -2147483648 && t <= 2147483647 ? t | 0 : -2147483648;
}

/** uint8 goes through int64, so 3e9 wraps instead of saturating. */
function toLowBits(value: number | bigint): number {
  return Number(BigInt.asIntN(32, toInt64(value)));
}

/** Stores a value with PyTorch's conversion to `dtype`. */
export function encodeInto(dtype: DType, array: StorageArray, index: number, value: ScalarValue): void {
  switch (dtype.name) {
    case 'float64':
    case 'float32':
      array[index] = Number(realPart(value));
      return;
    case 'float16':
      array[index] = encodeFloat16(Number(realPart(value)));
      return;
    case 'bfloat16':
      array[index] = encodeBfloat16(Number(realPart(value)));
      return;
    case 'float8_e4m3fn':
      array[index] = encodeFloat8E4m3fn(Number(realPart(value)));
      return;
    case 'float8_e5m2':
      array[index] = encodeFloat8E5m2(Number(realPart(value)));
      return;
    case 'int64':
      array[index] = toInt64(realPart(value));
      return;
    case 'int32':
    case 'int16':
    case 'int8':
      array[index] = toInt32(realPart(value));
      return;
    case 'uint8':
      array[index] = toLowBits(realPart(value));
      return;
    case 'bool':
      array[index] = truthy(value) ? 1 : 0;
      return;
    case 'complex64':
    case 'complex128':
      array[2 * index] = Number(realPart(value));
      array[2 * index + 1] = typeof value === 'object' ? value.im : 0;
      return;
    default:
      dtype.name satisfies never;
  }
}

/** `bool(value)` as PyTorch converts: anything but zero, so NaN is true. */
export function truthy(value: ScalarValue): boolean {
  if (typeof value === 'object') return value.re !== 0 || value.im !== 0;
  return typeof value === 'bigint' ? value !== 0n : typeof value === 'boolean' ? value : value !== 0;
}

/** The value that `dtype` would hold: `castValue(float16, 0.1)` is 0.0999755859375. */
export function castValue(dtype: DType, value: ScalarValue): ScalarValue {
  const cell = makeArray(dtype, 1);
  encodeInto(dtype, cell, 0, value);
  return decode(dtype, cell, 0);
}

/** All elements of `source` converted into a new array of dtype `to`. */
export function convertArray(from: DType, source: StorageArray, to: DType): StorageArray {
  if (from === to) return source.slice();
  const length = source.byteLength / from.itemsize;
  const target = makeArray(to, length);
  for (let i = 0; i < length; i++) encodeInto(to, target, i, decode(from, source, i));
  return target;
}

/** An array of values (row-major) encoded as `dtype`. */
export function encodeArray(dtype: DType, values: ArrayLike<ScalarValue>): StorageArray {
  const target = makeArray(dtype, values.length);
  for (let i = 0; i < values.length; i++) encodeInto(dtype, target, i, values[i]!);
  return target;
}

/** Slots of the storage array per element: 2 for complex dtypes, else 1. */
export function slotsPerElement(dtype: DType): 1 | 2 {
  return dtype.is_complex ? 2 : 1;
}

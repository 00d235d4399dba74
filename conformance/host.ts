/**
 * Tensors on the host: what a record holds and what a device gave back, in one form.
 *
 * The harness reads results through the public API and decodes their bytes itself, so that a slip in the library's codec cannot
 * hide from it. `numbers` gives float64 values (complex numbers as pairs), `bigints` exact integers.
 */

export interface HostTensor {
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Little endian, row-major. */
  readonly bytes: Uint8Array;
}

interface Format {
  readonly itemsize: number;
  readonly kind: 'float' | 'int' | 'bool' | 'complex';
}

export const formats: Readonly<Record<string, Format>> = {
  float64: { itemsize: 8, kind: 'float' },
  float32: { itemsize: 4, kind: 'float' },
  float16: { itemsize: 2, kind: 'float' },
  bfloat16: { itemsize: 2, kind: 'float' },
  float8_e4m3fn: { itemsize: 1, kind: 'float' },
  float8_e5m2: { itemsize: 1, kind: 'float' },
  int64: { itemsize: 8, kind: 'int' },
  int32: { itemsize: 4, kind: 'int' },
  int16: { itemsize: 2, kind: 'int' },
  int8: { itemsize: 1, kind: 'int' },
  uint8: { itemsize: 1, kind: 'int' },
  uint16: { itemsize: 2, kind: 'int' },
  uint32: { itemsize: 4, kind: 'int' },
  uint64: { itemsize: 8, kind: 'int' },
  bool: { itemsize: 1, kind: 'bool' },
  complex32: { itemsize: 4, kind: 'complex' },
  complex64: { itemsize: 8, kind: 'complex' },
  complex128: { itemsize: 16, kind: 'complex' },
};

export function formatOf(dtype: string): Format {
  const format = formats[dtype];
  if (format === undefined) throw new Error(`internal: no format for dtype ${dtype}`);
  return format;
}

export const numelOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

const cell = new DataView(new ArrayBuffer(8));

/** A 16-bit float's value: `exponent` bits of 5 (float16) or 8 (bfloat16). */
function decodeHalf(bits: number): number {
  const exponent = (bits >>> 10) & 31;
  const mantissa = bits & 1023;
  const magnitude =
    exponent === 31
      ? mantissa === 0
        ? Number.POSITIVE_INFINITY
        : Number.NaN
      : exponent === 0
        ? mantissa * 2 ** -24
        : (1024 + mantissa) * 2 ** (exponent - 25);
  return bits & 0x8000 ? -magnitude : magnitude;
}
function decodeBfloat(bits: number): number {
  cell.setUint32(0, (bits << 16) >>> 0);
  return cell.getFloat32(0);
}

/** Rounds to the nearest value of a floating point dtype, ties to even (once: from float64 directly). */
export function roundTo(dtype: string, value: number): number {
  if (!Number.isFinite(value) || value === 0) return value;
  const limits: Record<string, readonly [mantissa: number, smallest: number, overflow: number]> = {
    float16: [10, -14, 65520],
    bfloat16: [7, -126, (2 - 2 ** -8) * 2 ** 127],
  };
  const limit = limits[dtype];
  if (limit === undefined) return dtype === 'float32' ? Math.fround(value) : value;
  const [mantissa, smallest, overflow] = limit;
  const magnitude = Math.abs(value);
  if (magnitude >= overflow) return Math.sign(value) * Number.POSITIVE_INFINITY;
  const unit = 2 ** (Math.max(exponentOf(magnitude), smallest) - mantissa);
  const scaled = magnitude / unit;
  const floor = Math.floor(scaled);
  const rest = scaled - floor;
  const rounded = rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
  return Math.sign(value) * rounded * unit;
}

/** floor(log2 |x|) of a finite, nonzero number. */
export function exponentOf(x: number): number {
  cell.setFloat64(0, x);
  const biased = (cell.getUint16(0) >>> 4) & 2047;
  return biased === 0 ? Math.floor(Math.log2(Math.abs(x))) : biased - 1023;
}

/** One unit in the last place at `value`. */
export function ulpOf(dtype: string, value: number): number {
  const facts: Record<string, readonly [number, number]> = { float16: [10, -14], bfloat16: [7, -126], float32: [23, -126] };
  const [mantissa, smallest] = facts[dtype] ?? [52, -1022];
  return 2 ** ((value === 0 ? smallest : Math.max(exponentOf(value), smallest)) - mantissa);
}

/** Values as float64; complex numbers as interleaved pairs. */
export function numbers(t: HostTensor): Float64Array {
  const { bytes, dtype } = t;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const real = dtype === 'complex64' ? 'float32' : dtype === 'complex128' ? 'float64' : dtype === 'complex32' ? 'float16' : dtype;
  const size = formatOf(real).itemsize;
  const n = bytes.byteLength / size;
  const out = new Float64Array(n);
  const read = readers[real];
  if (read === undefined) throw new Error(`internal: no reader for ${dtype}`);
  for (let i = 0; i < n; i++) out[i] = read(view, i * size);
  return out;
}

const readers: Readonly<Record<string, (view: DataView, at: number) => number>> = {
  float64: (v, at) => v.getFloat64(at, true),
  float32: (v, at) => v.getFloat32(at, true),
  float16: (v, at) => decodeHalf(v.getUint16(at, true)),
  bfloat16: (v, at) => decodeBfloat(v.getUint16(at, true)),
  int64: (v, at) => Number(v.getBigInt64(at, true)),
  uint64: (v, at) => Number(v.getBigUint64(at, true)),
  int32: (v, at) => v.getInt32(at, true),
  uint32: (v, at) => v.getUint32(at, true),
  int16: (v, at) => v.getInt16(at, true),
  uint16: (v, at) => v.getUint16(at, true),
  int8: (v, at) => v.getInt8(at),
  uint8: (v, at) => v.getUint8(at),
  bool: (v, at) => (v.getUint8(at) === 0 ? 0 : 1),
};

/** A host tensor of float64 values, for what the harness computes itself. */
export function hostOf(shape: readonly number[], values: ArrayLike<number>): HostTensor {
  const data = Float64Array.from(values);
  return { dtype: 'float64', shape, bytes: new Uint8Array(data.buffer) };
}

/** Encodes float64 values as a dtype of at most 64 bits (floats rounded once, integers wrapped). */
export function encode(dtype: string, shape: readonly number[], values: ArrayLike<number>): HostTensor {
  const { itemsize } = formatOf(dtype);
  const bytes = new Uint8Array(values.length * itemsize);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < values.length; i++) {
    const x = values[i];
    const at = i * itemsize;
    switch (dtype) {
      case 'float64':
        view.setFloat64(at, x, true);
        break;
      case 'float32':
        view.setFloat32(at, x, true);
        break;
      case 'bfloat16':
        cell.setFloat32(0, roundTo('bfloat16', x));
        view.setUint16(at, cell.getUint16(0), true);
        break;
      case 'float16':
        view.setUint16(at, halfBits(roundTo('float16', x)), true);
        break;
      case 'int64':
        view.setBigInt64(at, BigInt(x), true);
        break;
      case 'int32':
        view.setInt32(at, x, true);
        break;
      case 'bool':
        view.setUint8(at, x === 0 ? 0 : 1);
        break;
      default:
        throw new Error(`internal: the harness does not make ${dtype}`);
    }
  }
  return { dtype, shape, bytes };
}

/** The bits of a number that float16 holds exactly. */
function halfBits(x: number): number {
  if (Number.isNaN(x)) return 0x7e00;
  const sign = x < 0 || Object.is(x, -0) ? 0x8000 : 0;
  const magnitude = Math.abs(x);
  if (magnitude === Number.POSITIVE_INFINITY) return sign | 0x7c00;
  if (magnitude < 2 ** -14) return sign | (magnitude * 2 ** 24);
  const exponent = exponentOf(magnitude);
  return sign | (((exponent + 15) << 10) + (magnitude / 2 ** (exponent - 10) - 1024));
}

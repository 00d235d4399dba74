/**
 * An array of a GGUF file's metadata, as the bytes that it has in the file: a vocabulary of 150,000 tokens is a view, not as many strings.
 *
 * Elements are made when they are asked for. Those without a fixed length (strings, arrays) are found through the place of every 64th, which is looked
 * up when the first is asked for by its index; walking through them in order needs no index. The reader has checked the bytes.
 */
import type { GgufScalar, GgufScalarType, GgufValue } from './values.ts';
import { scalarBytes, valueTypeNames } from './values.ts';

const stride = 64;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export class GgufArray implements Iterable<GgufValue> {
  readonly type: GgufScalarType | 'array';
  readonly length: number;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #places: Uint32Array | null = null;

  /** `bytes` are those of the elements, and no others. */
  constructor(type: GgufScalarType | 'array', length: number, bytes: Uint8Array) {
    this.type = type;
    this.length = length;
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** As an array's: negative counts from the end, undefined beyond. */
  at(index: number): GgufValue | undefined {
    const i = Math.trunc(index) + (index < 0 ? this.length : 0);
    if (!(i >= 0 && i < this.length)) return undefined;
    const size = scalarBytes[this.type];
    if (size > 0) return this.#element(i * size);
    this.#places ??= this.#findPlaces();
    let at = this.#places[Math.floor(i / stride)];
    for (let n = i % stride; n > 0; n--) at += this.#extent(at);
    return this.#element(at);
  }

  *[Symbol.iterator](): Generator<GgufValue, void, undefined> {
    let at = 0;
    for (let i = 0; i < this.length; i++) {
      yield this.#element(at);
      at += this.#extent(at);
    }
  }

  /** An ordinary array of all elements. */
  toArray(): GgufValue[] {
    return [...this];
  }
  toJSON(): GgufValue[] {
    return this.toArray();
  }

  #findPlaces(): Uint32Array {
    const places = new Uint32Array(Math.ceil(this.length / stride));
    let at = 0;
    for (let i = 0; i < this.length; i++) {
      if (i % stride === 0) places[i / stride] = at;
      at += this.#extent(at);
    }
    return places;
  }

  /** Bytes of the element that begins there. */
  #extent(at: number): number {
    const { type } = this;
    if (type === 'string') return 8 + this.#length(at);
    if (type !== 'array') return scalarBytes[type];
    const inner = valueTypeNames[this.#view.getUint32(at, true)];
    const count = this.#length(at + 4);
    if (inner !== 'string' && inner !== 'array') return 12 + count * scalarBytes[inner];
    return 12 + new GgufArray(inner, count, this.#bytes.subarray(at + 12)).#total();
  }
  #total(): number {
    let at = 0;
    for (let i = 0; i < this.length; i++) at += this.#extent(at);
    return at;
  }
  #length(at: number): number {
    return this.#view.getUint32(at, true) + this.#view.getUint32(at + 4, true) * 2 ** 32;
  }

  #element(at: number): GgufValue {
    const { type } = this;
    if (type === 'string') return utf8.decode(this.#bytes.subarray(at + 8, at + 8 + this.#length(at)));
    if (type !== 'array') return readScalar(this.#view, at, type);
    const inner = valueTypeNames[this.#view.getUint32(at, true)];
    return new GgufArray(inner, this.#length(at + 4), this.#bytes.subarray(at + 12, at + this.#extent(at)));
  }
}

/** A number or a truth value. */
export function readScalar(view: DataView, at: number, type: Exclude<GgufScalarType, 'string'>): Exclude<GgufScalar, string> {
  switch (type) {
    case 'uint8':
      return view.getUint8(at);
    case 'int8':
      return view.getInt8(at);
    case 'uint16':
      return view.getUint16(at, true);
    case 'int16':
      return view.getInt16(at, true);
    case 'uint32':
      return view.getUint32(at, true);
    case 'int32':
      return view.getInt32(at, true);
    case 'float32':
      return view.getFloat32(at, true);
    case 'float64':
      return view.getFloat64(at, true);
    case 'uint64':
      return smaller(view.getBigUint64(at, true));
    case 'int64':
      return smaller(view.getBigInt64(at, true));
    case 'bool':
      return view.getUint8(at) === 1;
    default:
      return type satisfies never;
  }
}

const smaller = (value: bigint): number | bigint => (Number.isSafeInteger(Number(value)) ? Number(value) : value);

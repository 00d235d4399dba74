/**
 * Writes GGUF, versions 2 and 3, as pieces of bytes: the header first, then each tensor's data as they are.
 *
 * JavaScript has one kind of number and the format has ten, and readers insist on the right one (llama.cpp refuses a `rope.freq_base` that is
 * an integer). So a value's type is what `types` says, as the reader reports it; else what the format's own keys are known to be; else the narrowest
 * of uint32, int32, int64, uint64 and float32 that holds the value.
 */
import { type GgmlTypeName, ggmlTypes } from '../../quant/ggml-types.ts';
import { GgufArray } from './array.ts';
import {
  alignUp,
  defaultAlignment,
  GgufError,
  type GgufInput,
  type GgufScalar,
  type GgufScalarType,
  type GgufValueType,
  ggufMagic,
  limits,
  scalarBytes,
  shorten,
  tensorBytes,
  valueTypeNames,
} from './values.ts';

export interface GgufTensorData {
  readonly name: string;
  readonly type: GgmlTypeName;
  /** PyTorch's order: the outermost dim first. */
  readonly shape: readonly number[];
  /** Numbers or blocks as they are in memory, little-endian. */
  readonly data: Uint8Array;
}

export interface GgufContents {
  readonly metadata?: ReadonlyMap<string, GgufInput> | Readonly<Record<string, GgufInput>>;
  /** How values are to be written, where the default is not right. */
  readonly types?: ReadonlyMap<string, GgufValueType>;
  readonly tensors?: Iterable<GgufTensorData>;
  /** 3, unless said otherwise. The two differ in what big-endian machines may write. */
  readonly version?: 2 | 3;
}

const where = 'the GGUF file to write';
/** Keys of the format that are float32 even where the number is whole. */
const floats =
  /\.(rope\.(freq_base(_swa)?|scale_linear|scaling\.(factor|attn_factor|yarn_\w+))|attention\.(layer_norm(_rms)?_epsilon|clamp_kqv|max_alibi_bias|scale)|(logit|residual|embedding)_scale)$|^tokenizer\.ggml\.scores$/;

/** The file in pieces: a large model is never in memory twice. */
export function ggufChunks({ metadata = {}, types = new Map(), tensors = [], version = 3 }: GgufContents): Uint8Array[] {
  const entries = metadata instanceof Map ? (metadata as ReadonlyMap<string, GgufInput>) : new Map(Object.entries(metadata));
  const alignment = alignmentOf(entries.get('general.alignment'));
  const list = [...tensors];
  const out = new Bytes();
  out.number('uint32', ggufMagic);
  out.number('uint32', version);
  out.number('uint64', list.length);
  out.number('uint64', entries.size);
  for (const [key, value] of entries) {
    if (Buffer.byteLength(key) > limits.keyBytes) throw new GgufError(`a key of more than ${limits.keyBytes} bytes`, where, { key });
    out.text(key);
    writeValue(out, value, types.get(key) ?? defaultType(key, value), key);
  }
  const names = new Set<string>();
  let offset = 0;
  for (const { name, type, shape, data } of list) {
    if (names.has(name)) throw new GgufError('a second tensor of this name', where, { tensor: name });
    names.add(name);
    checkTensor({ name, type, shape, data });
    out.text(name);
    out.number('uint32', shape.length);
    for (const size of shape.toReversed()) out.number('uint64', size);
    out.number('uint32', ggmlTypes[type].id);
    out.number('uint64', offset);
    offset = alignUp(offset + data.byteLength, alignment);
  }
  const header = out.take();
  const padding = (length: number): Uint8Array[] => {
    const missing = alignUp(length, alignment) - length;
    return missing === 0 ? [] : [new Uint8Array(missing)];
  };
  return [header, ...padding(header.byteLength), ...list.flatMap(({ data }) => [data, ...padding(data.byteLength)])];
}

function alignmentOf(value: GgufInput | undefined): number {
  if (value === undefined) return defaultAlignment;
  if (typeof value !== 'number' || value <= 0 || value > limits.alignment || (value & (value - 1)) !== 0)
    throw new GgufError(`the alignment should be a power of two of at most ${limits.alignment}, got ${String(value)}`, where, {
      key: 'general.alignment',
    });
  return value;
}

function checkTensor({ name, type, shape, data }: GgufTensorData): void {
  const fail = (problem: string): void => {
    throw new GgufError(problem, where, { tensor: name });
  };
  if (Buffer.byteLength(name) > limits.nameBytes) fail(`a name of more than ${limits.nameBytes} bytes`);
  if (shape.length > limits.dims) fail(`${shape.length} dims, at most ${limits.dims} are possible`);
  if (!shape.every((size) => Number.isSafeInteger(size) && size >= 0)) fail(`shape [${shape.join(', ')}] is not of sizes`);
  const { blockSize, blockBytes } = ggmlTypes[type];
  const bytes = tensorBytes(shape, blockSize, blockBytes);
  if (typeof bytes === 'string') fail(`${type}: ${bytes}`);
  else if (bytes !== data.byteLength) fail(`${type} of shape [${shape.join(', ')}] has ${bytes} bytes, not ${data.byteLength}`);
}

function defaultType(key: string, value: GgufInput): GgufValueType {
  if (value instanceof GgufArray) return `${value.type}[]`;
  if (!Array.isArray(value)) return floats.test(key) && typeof value === 'number' ? 'float32' : scalarType([value as GgufScalar]);
  const list = value as readonly GgufInput[];
  if (list.some(isList)) return 'array[]';
  return floats.test(key) ? 'float32[]' : `${scalarType(list as readonly GgufScalar[])}[]`;
}

const isList = (value: GgufInput): value is GgufArray | readonly GgufInput[] => value instanceof GgufArray || Array.isArray(value);

/** One type for all elements of an array; an empty one is of int32. */
function scalarType(values: readonly GgufScalar[]): GgufScalarType {
  const [first] = values;
  if (typeof first === 'boolean') return 'bool';
  if (typeof first === 'string') return 'string';
  const whole = values.every((x) => typeof x === 'bigint' || Number.isSafeInteger(x));
  if (!whole) return values.every((x) => Math.fround(x as number) === x || Number.isNaN(x)) ? 'float32' : roundable(values);
  const all = (low: bigint, high: bigint): boolean => values.every((x) => BigInt(x as number) >= low && BigInt(x as number) <= high);
  if (values.length > 0 && all(0n, 2n ** 32n - 1n)) return 'uint32';
  if (all(-(2n ** 31n), 2n ** 31n - 1n)) return 'int32';
  return all(-(2n ** 63n), 2n ** 63n - 1n) ? 'int64' : 'uint64';
}

/** 0.1 is written in 32 bits as every GGUF has it; what overflows there needs 64. */
const roundable = (values: readonly GgufScalar[]): GgufScalarType =>
  values.every((x) => Number.isFinite(Math.fround(Number(x))) || !Number.isFinite(Number(x))) ? 'float32' : 'float64';

function writeValue(out: Bytes, value: GgufInput, type: GgufValueType, key: string, depth = 0): void {
  const isArray = type.endsWith('[]');
  if (depth === 0) out.number('uint32', valueTypeNames.indexOf(isArray ? 'array' : (type as GgufScalarType)));
  if (!isArray) {
    if (!writeScalar(out, value, type as GgufScalarType)) throw new GgufError(`${type} is expected, got ${shown(value)}`, where, { key });
    return;
  }
  if (!isList(value)) throw new GgufError(`an array is expected, got ${shown(value)}`, where, { key });
  if (depth >= limits.depth) throw new GgufError(`arrays nested deeper than ${limits.depth}`, where, { key });
  const element = type.slice(0, -2) as GgufScalarType | 'array';
  out.number('uint32', valueTypeNames.indexOf(element));
  out.number('uint64', value.length);
  for (const x of value) {
    if (element === 'array') writeValue(out, x, isList(x) ? defaultType(key, x) : 'array[]', key, depth + 1);
    else if (!writeScalar(out, x, element)) throw new GgufError(`an array of ${element} has an element ${shown(x)}`, where, { key });
  }
}

const shown = (value: GgufInput): string => (isList(value) ? 'an array' : `${typeof value} ${shorten(String(value))}`);

/** False where the value is not of this type. */
function writeScalar(out: Bytes, value: GgufInput, type: GgufScalarType): boolean {
  if (type === 'string') {
    if (typeof value !== 'string') return false;
    out.text(value);
  } else if (type === 'bool') {
    if (typeof value !== 'boolean') return false;
    out.number('uint8', value ? 1 : 0);
  } else if (type === 'float32' || type === 'float64') {
    if (typeof value !== 'number') return false;
    out.number(type, value);
  } else {
    if (typeof value !== 'bigint' && !Number.isSafeInteger(value)) return false;
    const bits = 8 * scalarBytes[type];
    const big = BigInt(value as number | bigint);
    const fits = type.startsWith('u') ? BigInt.asUintN(bits, big) === big : BigInt.asIntN(bits, big) === big;
    if (!fits) return false;
    out.number(type, big);
  }
  return true;
}

/** A buffer that grows. */
class Bytes {
  #bytes = new Uint8Array(1 << 12);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  number(type: Exclude<GgufScalarType, 'string' | 'bool'>, value: number | bigint): void {
    const at = this.#reserve(scalarBytes[type]);
    const view = this.#view;
    switch (type) {
      case 'uint8':
      case 'int8':
        view.setUint8(at, Number(value));
        break;
      case 'uint16':
      case 'int16':
        view.setUint16(at, Number(value), true);
        break;
      case 'uint32':
      case 'int32':
        view.setUint32(at, Number(value), true);
        break;
      case 'uint64':
      case 'int64':
        view.setBigUint64(at, BigInt(value), true);
        break;
      case 'float32':
        view.setFloat32(at, Number(value), true);
        break;
      case 'float64':
        view.setFloat64(at, Number(value), true);
        break;
      default:
        throw new Error(`internal: no number of type ${type satisfies never}`);
    }
  }
  text(value: string): void {
    const length = Buffer.byteLength(value);
    this.number('uint64', length);
    const at = this.#reserve(length);
    Buffer.from(this.#bytes.buffer).write(value, at);
  }
  take(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }
  #reserve(count: number): number {
    const at = this.#length;
    this.#length += count;
    if (this.#length > this.#bytes.byteLength) {
      const larger = new Uint8Array(Math.max(this.#length, 2 * this.#bytes.byteLength));
      larger.set(this.#bytes.subarray(0, at));
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return at;
  }
}

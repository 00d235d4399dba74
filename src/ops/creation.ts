/** Tensors from data and from a value; the declarations are in `factories.ts` and `ranges.ts`. https://docs.pytorch.org/docs/stable/torch.html#creation-ops */
import { type Complex, convertArray, encodeInto, makeArray, type StorageArray, viewBytes } from '../dtype/codec.ts';
import { bool, type DType, float32, float64, getDefaultDtype, int8, int16, int32, int64, uint8 } from '../dtype/dtype.ts';
import type { Operator } from '../graph/operator.ts';
import { complexOf, full as fullPrim } from '../graph/prim.ts';
import { makeView, numelOf } from '../shape/view.ts';
import { canonicalDevice, engineOf } from '../tensor/devices.ts';
import { item } from '../tensor/read.ts';
import { constantsOf, record } from '../tensor/record.ts';
import { leafValue, Tensor, tensorOf } from '../tensor/tensor.ts';
import { sink } from '../tensor/tracing.ts';
import { detached } from '../tensor/view-tensor.ts';
import { toTensor } from './conversion.ts';
import { shapeList } from './dims.ts';
import { complexValue, isComplexScalar, type ScalarArgument, ScalarBox, scalarKind, scalarValue } from './scalar-argument.ts';

export interface CreationOptions {
  readonly dtype?: DType | null | undefined;
  readonly device?: string | null | undefined;
  readonly requires_grad?: boolean | undefined;
}

let defaultDevice = 'cpu';
export const getDefaultDevice = (): string => defaultDevice;
export function setDefaultDevice(device: string): void {
  const known = canonicalDevice(device);
  engineOf(known);
  defaultDevice = known;
}
export const deviceOf = (device: string | null | undefined): string => canonicalDevice(device ?? defaultDevice);

/** A tensor that takes these bytes (row-major elements of `dtype`): one copy to the device. */
export function fromBytes(bytes: Uint8Array, shape: readonly number[], dtype: DType, device?: string | null): Tensor {
  const on = deviceOf(device);
  const { backend } = engineOf(on);
  const value = leafValue(dtype, numelOf(shape), on);
  const buffer = backend.allocate(numelOf(shape) * dtype.itemsize);
  backend.write(buffer, bytes);
  value.buffer = buffer;
  if (sink !== null) sink.data(value, bytes);
  return tensorOf(value, makeView(dtype, on, shape));
}

const typedArrayTypes: readonly (readonly [abstract new (...args: never[]) => object, DType])[] = [
  [Float32Array, float32],
  [Float64Array, float64],
  [Int32Array, int32],
  [Int16Array, int16],
  [Int8Array, int8],
  [Uint8Array, uint8],
  [Uint8ClampedArray, uint8],
  [BigInt64Array, int64],
];
const typedArrayDtype = (x: object): DType | undefined => typedArrayTypes.find(([type]) => x instanceof type)?.[1];

export type TensorData = number | bigint | boolean | Complex | ArrayBufferView | Tensor | readonly TensorData[];

/** Shape and elements of nested arrays; PyTorch's error where they are ragged. */
function flattenData(data: TensorData): { shape: number[]; flat: (number | bigint | boolean | Complex)[] } {
  const shape: number[] = [];
  for (let level: TensorData = data; Array.isArray(level); level = level[0]) {
    shape.push(level.length);
    if (level.length === 0) break;
  }
  const flat: (number | bigint | boolean | Complex)[] = [];
  const visit = (x: TensorData, depth: number): void => {
    if (Array.isArray(x)) {
      if (depth >= shape.length || x.length !== shape[depth])
        throw new Error(`expected sequence of length ${shape[depth] ?? 0} at dim ${depth} (got ${x.length})`);
      for (const y of x) visit(y, depth + 1);
      return;
    }
    if (depth !== shape.length) throw new TypeError(`expected sequence of length ${shape[depth]} at dim ${depth} (got 1)`);
    if (x instanceof Tensor) flat.push(item(x));
    else if (typeof x === 'number' || typeof x === 'bigint' || typeof x === 'boolean' || isComplexScalar(x)) flat.push(x);
    else throw new TypeError(`new(): invalid data type '${x === null ? 'NoneType' : typeof x}'`);
  };
  visit(data, 0);
  return { shape, flat };
}

/** The dtype that data of numbers, bigints, booleans and complex numbers has by itself. A number makes the default dtype, whatever its value. */
function dtypeOfData(flat: readonly (number | bigint | boolean | Complex)[]): DType {
  if (flat.some((x) => typeof x === 'object')) return getDefaultDtype().complex;
  if (flat.some((x) => typeof x === 'number') || flat.length === 0) return getDefaultDtype();
  return flat.some((x) => typeof x === 'bigint') ? int64 : bool;
}

/**
 * A new tensor with a copy of `data`: a number, bigint, boolean, nested arrays of them, or a typed array (which keeps its dtype).
 * https://docs.pytorch.org/docs/stable/generated/torch.tensor.html
 */
export function tensor(data: TensorData, options: CreationOptions = {}): Tensor {
  let out: Tensor;
  if (data instanceof Tensor) out = toTensor(detached(data), { dtype: options.dtype ?? null, device: options.device ?? null, copy: true });
  else if (ArrayBuffer.isView(data)) {
    const from = typedArrayDtype(data);
    if (from === undefined) throw new TypeError(`can't convert a ${data.constructor.name} to a tensor`);
    const source = data as unknown as StorageArray;
    const dtype = options.dtype ?? from;
    const array = dtype === from ? source : convertArray(from, source, dtype);
    out = fromBytes(viewBytes(array), [source.length], dtype, options.device);
  } else {
    const { shape, flat } = flattenData(data);
    const dtype = options.dtype ?? dtypeOfData(flat);
    const array = makeArray(dtype, flat.length);
    for (let i = 0; i < flat.length; i++) encodeInto(dtype, array, i, flat[i]);
    out = fromBytes(viewBytes(array), shape, dtype, options.device);
  }
  return options.requires_grad ? out.requires_grad_() : out;
}

/** One-dimensional tensor over a copy of bytes. https://docs.pytorch.org/docs/stable/generated/torch.frombuffer.html */
export function frombuffer(bytes: ArrayBufferView, options: { dtype: DType; device?: string; count?: number; offset?: number }): Tensor {
  const { dtype, count = -1, offset = 0 } = options;
  const available = bytes.byteLength - offset;
  const n = count < 0 ? Math.floor(available / dtype.itemsize) : count;
  if (count < 0 && available % dtype.itemsize !== 0)
    throw new Error(
      `buffer length (${bytes.byteLength} bytes) after offset (${offset} bytes) must be a multiple of element size (${dtype.itemsize})`,
    );
  return fromBytes(new Uint8Array(bytes.buffer, bytes.byteOffset + offset, n * dtype.itemsize), [n], dtype, options.device);
}

// ---- filled by the device

const fillOperator: Operator<{ dtype: DType; rank: number }> = {
  name: 'full',
  paramTypes: ({ dtype }) => (dtype.is_complex ? [dtype.real, dtype.real] : [dtype]),
  body: (_, { constants: { dtype }, dims, params }) => [(dtype.is_complex ? complexOf(params[0], params[1]) : params[0]).expand(dims)],
};
const zeroOperator: Operator<{ dtype: DType }> = { name: 'zeros', body: (_, { constants: { dtype }, dims }) => [fullPrim(dims, 0, dtype)] };

/** C++ names of types in PyTorch's conversion errors. */
const cppNames: Readonly<Record<string, string>> = { float32: 'float', float64: 'double', int64: 'int64_t', float16: 'at::Half' };

export function checkSize(size: readonly number[]): void {
  for (const d of size) if (d < 0) throw new Error(`Trying to create tensor with negative dimension ${d}: ${shapeList(size)}`);
}

export function fullOf(size: readonly number[], value: ScalarArgument, dtype: DType, device?: string | null): Tensor {
  checkSize(size);
  const on = deviceOf(device);
  if (dtype.is_complex && scalarKind(value) === 'complex') {
    const { re, im } = complexValue(value);
    const constants = constantsOf(`full:${dtype.name}`, () => ({ dtype, rank: 0 }));
    return record(fillOperator as never, [], { constants, dims: [...size], params: [re, im], device: on })[0];
  }
  const raw = scalarValue(value, cppNames[dtype.name] ?? dtype.name);
  if (raw === 0 && !Object.is(raw, -0))
    return record(zeroOperator as never, [], {
      constants: constantsOf(`zeros:${dtype.name}`, () => ({ dtype })),
      dims: [...size],
      device: on,
    })[0];
  const number = dtype.compute === 'i64' ? BigInt(typeof raw === 'number' ? Math.trunc(raw) : raw) : Number(raw);
  const constants = constantsOf(`full:${dtype.name}`, () => ({ dtype, rank: 0 }));
  return record(fillOperator as never, [], {
    constants,
    dims: [...size],
    params: dtype.is_complex ? [number, 0] : [number],
    device: on,
  })[0];
}

/** Memory of which nothing is promised; here zeros, so that no old data leaks. */
export const empty = (size: readonly number[], options: CreationOptions = {}): Tensor =>
  withGrad(fullOf(size, 0, options.dtype ?? getDefaultDtype(), options.device), options.requires_grad ?? false);

export const withGrad = (t: Tensor, requires_grad: boolean): Tensor => (requires_grad ? t.requires_grad_() : t);
/** The dtype of `full` for a value without one. */
export const scalarDefault = (value: ScalarArgument): DType => {
  if (value instanceof ScalarBox) return value.dtype;
  if (typeof value === 'object') return getDefaultDtype().complex;
  // As data a number makes the default dtype, a bigint int64, a boolean bool.
  return typeof value === 'bigint' ? int64 : typeof value === 'boolean' ? bool : getDefaultDtype();
};

/** A tensor over the data if it is one of this dtype and device already, else a copy. https://docs.pytorch.org/docs/stable/generated/torch.as_tensor.html */
export function as_tensor(data: TensorData, options: CreationOptions = {}): Tensor {
  if (!(data instanceof Tensor)) return tensor(data, options);
  return toTensor(data, { dtype: options.dtype ?? null, device: options.device ?? null });
}

/** As `as_tensor`, with a choice of copying. https://docs.pytorch.org/docs/stable/generated/torch.asarray.html */
export function asarray(data: TensorData, options: CreationOptions & { readonly copy?: boolean | null } = {}): Tensor {
  const shares = data instanceof Tensor && options.copy !== true;
  const made = shares
    ? as_tensor(options.requires_grad ? data : detachedUnlessTracked(data), options)
    : tensor(data, { dtype: options.dtype, device: options.device });
  if (options.copy === false && !(data instanceof Tensor)) throw new Error('asarray: can only share the memory of a tensor');
  return options.requires_grad && !made.requires_grad ? made.requires_grad_() : made;
}
const detachedUnlessTracked = (t: Tensor): Tensor => (t.requires_grad ? detached(t) : t);

/** A tensor with a copy of a typed array's elements, of its dtype. https://docs.pytorch.org/docs/stable/generated/torch.from_numpy.html */
export const from_numpy = (array: ArrayBufferView): Tensor => tensor(array);

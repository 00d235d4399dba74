/**
 * The allow-list: every name that a file may use, and what it is here. PyTorch's list of `weights_only=True`
 * (`_get_allowed_globals` in torch/_weights_only_unpickler.py); names for which there is nothing here are errors that say so.
 */

import { Tape } from '../../autograd/tape.ts';
import { DType, dtypeByName, uint8 } from '../../dtype/dtype.ts';
import { Parameter } from '../../nn/parameter.ts';
import { Tensor } from '../../ops/methods.ts';
import { makeView } from '../../shape/view.ts';
import { Tensor as CoreTensor } from '../../tensor/tensor.ts';
import { UnpicklingError, unsupportedGlobal } from './errors.ts';
import { Callable, type MadeList, typeName } from './unpickle.ts';
import { asSize, Dict, PythonName, PythonObject, SparseTensor } from './values.ts';

/** A storage class of a file: its dtype, or null for `UntypedStorage`. */
export class StorageType {
  readonly name: string;
  readonly dtype: DType | null;
  constructor(name: string, dtype: DType | null) {
    this.name = name;
    this.dtype = dtype;
  }
}

/** Memory that a file names: read when the first tensor wants it, then shared. */
export interface StoredMemory {
  /** Element type of the storage; null where tensors say it. */
  readonly dtype: DType | null;
  readonly nbytes: number;
  /** Where this memory begins in the whole (old files have storages that are parts of others). */
  readonly byteOffset: number;
  /** A tensor over the whole; `dtype` is a hint. */
  readonly whole: (dtype: DType) => Tensor;
}
const stored = new WeakSet<object>();
export function markStored<T extends StoredMemory>(memory: T): T {
  stored.add(memory);
  return memory;
}
export const isStored = (x: unknown): x is StoredMemory => typeof x === 'object' && x !== null && stored.has(x);

export const storageNames = {
  float64: 'DoubleStorage',
  float32: 'FloatStorage',
  float16: 'HalfStorage',
  bfloat16: 'BFloat16Storage',
  int64: 'LongStorage',
  int32: 'IntStorage',
  int16: 'ShortStorage',
  int8: 'CharStorage',
  uint8: 'ByteStorage',
  bool: 'BoolStorage',
  complex64: 'ComplexFloatStorage',
  complex128: 'ComplexDoubleStorage',
} as const;

// ---- arguments of the functions below

function need(ok: boolean, what: string): asserts ok {
  if (!ok) throw new UnpicklingError(what);
}
function sizesOf(x: unknown, what: string): number[] {
  need(Array.isArray(x), `${what} must be a tuple of ints, but got ${typeName(x)}`);
  for (const d of x) need(Number.isSafeInteger(d) && d >= 0, `${what} must be non-negative ints that fit, got ${String(d)}`);
  return x as number[];
}

/** A tensor over a stored memory, as `torch._utils._rebuild_tensor` makes it. */
function tensorOver(memory: unknown, dtype: DType | null, offset: unknown, size: unknown, stride: unknown): Tensor {
  need(isStored(memory), `_rebuild_tensor needs a storage, but got ${typeName(memory)}`);
  const of = dtype ?? memory.dtype ?? uint8;
  const shape = sizesOf(size, 'size');
  const strides = sizesOf(stride, 'stride');
  need(shape.length === strides.length, 'mismatch in length of strides and shape');
  need(Number.isSafeInteger(offset) && (offset as number) >= 0, `Tensor: invalid storage offset ${String(offset)}`);
  let numel = 1;
  let reach = 1 + (offset as number);
  shape.forEach((d, i) => {
    numel *= d;
    reach += (d - 1) * strides[i];
  });
  if (numel === 0) reach = 0;
  need(
    Number.isSafeInteger(numel) && Number.isSafeInteger(reach * of.itemsize),
    `Storage size calculation overflowed with sizes=[${shape.join(', ')}] and strides=[${strides.join(', ')}]`,
  );
  need(
    reach * of.itemsize <= memory.nbytes,
    `setStorage: sizes [${shape.join(', ')}], strides [${strides.join(', ')}], storage offset ${String(offset)}, and itemsize ${of.itemsize} requiring a storage size of ${reach * of.itemsize} are out of bounds for storage of size ${memory.nbytes}`,
  );
  need(memory.byteOffset % of.itemsize === 0, `Tensor: invalid storage offset ${String(offset)}`);
  const base = memory.whole(of);
  const at = memory.byteOffset / of.itemsize + (offset as number);
  // Not a view in autograd's sense: PyTorch's tensors of one storage do not share a history either.
  return new CoreTensor(base.storage, makeView(of, base.device, shape, strides), at, new Tape(null, 0, null)) as Tensor;
}

/** A storage that a file holds by itself is a tensor of one dim over it. */
export const storageAsTensor = (x: unknown): unknown =>
  isStored(x) ? tensorOver(x, x.dtype, 0, [x.nbytes / (x.dtype ?? uint8).itemsize], [1]) : x;

/** The flags that a tensor was saved with: this library has no lazy conjugate, so the values are made what they stand for. */
function withBits(t: Tensor, metadata: unknown): Tensor {
  let out = t;
  if (metadata instanceof Dict && metadata.map.get('conj') === true) out = out.conj() as Tensor;
  if (metadata instanceof Dict && metadata.map.get('neg') === true) out = out.neg() as Tensor;
  return out;
}
function requiring(t: Tensor, requires_grad: unknown): Tensor {
  return requires_grad === true ? t.requires_grad_() : t;
}

function rebuildTensor([memory, offset, size, stride]: readonly unknown[]): Tensor {
  return tensorOver(memory, null, offset, size, stride);
}
function rebuildTensorV2([memory, offset, size, stride, requires_grad, , metadata]: readonly unknown[]): Tensor {
  return requiring(withBits(tensorOver(memory, null, offset, size, stride), metadata), requires_grad);
}
function rebuildTensorV3([memory, offset, size, stride, requires_grad, , dtype, metadata]: readonly unknown[]): Tensor {
  if (!isDType(dtype))
    throw new UnpicklingError(
      `a tensor of ${dtype instanceof PythonName ? dtype.path : typeName(dtype)}, which torch-magpie does not have`,
    );
  return requiring(withBits(tensorOver(memory, dtype, offset, size, stride), metadata), requires_grad);
}
function rebuildParameter([data, requires_grad]: readonly unknown[]): Tensor {
  need(data instanceof Tensor, `_rebuild_parameter needs a Tensor, but got ${typeName(data)}`);
  const real = data.dtype.is_floating_point || data.dtype.is_complex;
  need(real || requires_grad !== true, 'Only Tensors of floating point and complex dtype can require gradients');
  return new Parameter(data, requires_grad === true);
}
function rebuildFromType([func, , args]: readonly unknown[], made: MadeList): unknown {
  need(func instanceof Callable && Array.isArray(args), '_rebuild_from_type_v2 needs a function and a tuple');
  need(func.path.startsWith('torch._utils._rebuild_'), `Trying to call reduce for unrecognized function ${func.path}`);
  return func.call(args, made);
}
function rebuildSparse([layout, data]: readonly unknown[]): SparseTensor {
  need(layout === 'sparse_coo', `rebuilding sparse tensor for layout torch.${String(layout)}`);
  need(Array.isArray(data) && data.length >= 3, '_rebuild_sparse_tensor needs indices, values and size');
  const [indices, values, size, coalesced] = data as unknown[];
  need(indices instanceof Tensor && values instanceof Tensor, '_rebuild_sparse_tensor needs tensors of indices and values');
  const shape = sizesOf(size, 'size');
  need(indices.ndim === 2 && indices.dtype.name === 'int64', 'indices must be sparse_dim x nnz');
  const [sparse, nnz] = indices.shape;
  need(values.ndim === shape.length - sparse + 1 && values.shape[0] === nnz, 'number of dimensions must be sparse_dim + dense_dim');
  const at = indices.detach().numpy() as BigInt64Array;
  at.forEach((index, i) => {
    const dim = Math.floor(i / nnz);
    need(
      index >= 0n && index < BigInt(shape[dim]),
      `size is inconsistent with indices: for dim ${dim}, size is ${shape[dim]} but found index ${index}`,
    );
  });
  return new SparseTensor(indices, values, shape, coalesced === true);
}

function device([type, index]: readonly unknown[]): string {
  need(typeof type === 'string', 'torch.device needs a string');
  return Number.isInteger(index) ? `${type}:${String(index)}` : type;
}
/** `bytes` in protocol 2: a string whose characters are the bytes. */
function encode([text, encoding]: readonly unknown[]): Uint8Array {
  need(typeof text === 'string' && (encoding === undefined || typeof encoding === 'string'), '_codecs.encode needs strings');
  const latin = encoding === 'latin1' || encoding === 'latin-1';
  need(latin || encoding === undefined || encoding === 'utf-8', `unknown encoding: ${String(encoding)}`);
  if (!latin) return new Uint8Array(Buffer.from(text, 'utf8'));
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    need(code < 256, "'latin-1' codec can't encode character: ordinal not in range(256)");
    bytes[i] = code;
  }
  return bytes;
}
function bytesOf([data, encoding]: readonly unknown[]): Uint8Array {
  if (data === undefined) return new Uint8Array(0);
  if (data instanceof Uint8Array) return data;
  return encode([data, encoding]);
}
function mapping(kind: 'OrderedDict' | 'Counter'): Callable['call'] {
  return ([from], made) => {
    const out = new Dict(kind);
    made.containers.push(out);
    if (from instanceof Dict) for (const [key, value] of from.map) out.map.set(key, value);
    else if (Array.isArray(from))
      for (const pair of from) {
        need(Array.isArray(pair) && pair.length === 2, 'dictionary update sequence element has the wrong length');
        out.map.set(pair[0], pair[1]);
      }
    else need(from === undefined, `${typeName(from)} object is not iterable`);
    return out;
  };
}
function setOf([items]: readonly unknown[], made: MadeList): Set<unknown> {
  need(items === undefined || Array.isArray(items), `${typeName(items)} object is not iterable`);
  const out = new Set<unknown>(items as unknown[] | undefined);
  made.containers.push(out);
  return out;
}
function complexOf([re, im]: readonly unknown[]): { re: number; im: number } {
  need(typeof re === 'number' && typeof im === 'number', 'complex() needs two numbers');
  return { re, im };
}
function sizeOf([items]: readonly unknown[], made: MadeList): readonly unknown[] {
  const out = asSize(items === undefined ? [] : sizesOf(items, 'torch.Size'));
  made.containers.push(out as unknown[]);
  return out;
}
function layoutOf([name]: readonly unknown[]): string {
  need(typeof name === 'string' && name.startsWith('torch.'), '_get_layout needs a name');
  return name.slice('torch.'.length);
}
const isDType = (x: unknown): x is DType => x instanceof DType;

const lacking =
  (what: string): Callable['call'] =>
  () => {
    throw new UnpicklingError(`${what}, which torch-magpie does not have`);
  };

const functions: Readonly<Record<string, Callable['call']>> = {
  'collections.OrderedDict': mapping('OrderedDict'),
  'collections.Counter': mapping('Counter'),
  'builtins.set': setOf,
  'builtins.frozenset': setOf,
  'builtins.complex': complexOf,
  'builtins.bytearray': bytesOf,
  'builtins.bytes': bytesOf,
  '_codecs.encode': encode,
  'torch.Size': sizeOf,
  'torch.device': device,
  'torch.serialization._get_layout': layoutOf,
  'torch._utils._rebuild_tensor': rebuildTensor,
  'torch._utils._rebuild_tensor_v2': rebuildTensorV2,
  'torch._utils._rebuild_tensor_v3': rebuildTensorV3,
  'torch._utils._rebuild_parameter': rebuildParameter,
  'torch._utils._rebuild_parameter_with_state': rebuildParameter,
  'torch.nn.parameter.Parameter': rebuildParameter,
  'torch._utils._rebuild_sparse_tensor': rebuildSparse,
  'torch._tensor._rebuild_from_type_v2': rebuildFromType,
  'torch._utils._rebuild_qtensor': lacking('a quantized tensor'),
  'torch._utils._rebuild_nested_tensor': lacking('a nested tensor'),
  'torch._utils._rebuild_wrapper_subclass': lacking('a wrapper subclass of Tensor'),
  'torch._utils._rebuild_meta_tensor_no_storage': lacking('a tensor without memory'),
  'torch._utils._rebuild_device_tensor_from_numpy': lacking('a tensor made from a numpy array'),
};

/** Dtypes of PyTorch that are only a name here, and tensor classes that appear as arguments. */
const names: ReadonlySet<string> = new Set(
  [
    'uint16 uint32 uint64 complex32 float8_e4m3fnuz float8_e5m2fnuz float8_e8m0fnu float4_e2m1fn_x2 qint8 quint8 qint32 quint4x2 quint2x4',
    'bits8 bits16 bits1x8 bits2x4 bits4x2 uint1 uint2 uint3 uint4 uint5 uint6 uint7 int1 int2 int3 int4 int5 int6 int7 Tensor',
    'per_tensor_affine per_tensor_symmetric per_channel_affine per_channel_symmetric per_channel_affine_float_qparams',
  ].flatMap((line) => line.split(' ').map((name) => `torch.${name}`)),
);

const table: ReadonlyMap<string, unknown> = new Map<string, unknown>([
  ...Object.entries(functions).map(([path, call]): [string, unknown] => [path, new Callable(path, call)]),
  ...[...names].map((path): [string, unknown] => [path, new PythonName(path)]),
  ...Object.entries(storageNames).flatMap(([dtype, name]): [string, unknown][] => {
    const type = new StorageType(name, dtypeByName(dtype)!);
    return [
      [`torch.${name}`, type],
      [`torch.cuda.${name}`, type],
    ];
  }),
  ['torch.storage.UntypedStorage', new StorageType('UntypedStorage', null)],
]);

const blocked: ReadonlySet<string> = new Set(['sys', 'os', 'posix', 'nt']);

function known(path: string): unknown {
  if (table.has(path)) return table.get(path);
  return path.startsWith('torch.') ? dtypeByName(path.slice('torch.'.length)) : undefined;
}

/** What a name is with `weights_only=True`. */
export function findAllowed(module: string, name: string): unknown {
  if (blocked.has(module))
    throw new UnpicklingError(`Trying to load unsupported GLOBAL ${module}.${name} whose module ${module} is blocked.`);
  const found = known(`${module}.${name}`);
  if (found === undefined) throw unsupportedGlobal(`${module}.${name}`);
  return found;
}

/** What a name is with `weights_only=False`: on the list, or something that makes inert objects. */
export function findInert(module: string, name: string): unknown {
  return known(`${module}.${name}`) ?? inert(`${module}.${name}`);
}

/** For a reading that only looks for storages: tensors are not made. */
export const withoutTensors =
  (find: (module: string, name: string) => unknown) =>
  (module: string, name: string): unknown => {
    const found = find(module, name);
    const makesTensors = found instanceof Callable && (/^torch\._(utils|tensor)\./.test(found.path) || found.path.endsWith('.Parameter'));
    return makesTensors ? inert(found.path) : found;
  };

function inert(path: string): Callable {
  return new Callable(path, (args, made) => {
    const own = [...args];
    const out = new PythonObject(path, own);
    made.containers.push(own, out);
    return out;
  });
}

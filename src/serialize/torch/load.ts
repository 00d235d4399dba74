/**
 * `torch.load`: files of `torch.save`, in the zip format (PyTorch 1.6 and later) and the one before it.
 *
 * Nothing of a file is executed, whatever the options. Memory is read storage by storage; tensors that shared a storage share it here. A file of
 * the zip format is never in memory as a whole, with or without `mmap`, which only says (as in PyTorch) that the source must be such a file.
 *
 * https://docs.pytorch.org/docs/stable/generated/torch.load.html
 */
import { closeSync, fstatSync, openSync } from 'node:fs';
import { probeDevices } from '../../backend/cuda/driver.ts';
import { type DType, uint8 } from '../../dtype/dtype.ts';
import { empty } from '../../ops/creation.ts';
import type { Tensor } from '../../ops/methods.ts';
import { canonicalDevice, engineOf, knownDevices } from '../../tensor/devices.ts';
import { refuseUnknownOptions } from '../../util/options.ts';
import { type ByteSource, bytesSource, fileSource, fill } from '../byte-source.ts';
import { otherKind } from '../file-kind.ts';
import { streamedTensor } from '../streamed.ts';
import { Cursor } from './cursor.ts';
import { UnpicklingError, unsafeMessage, weightsOnlyMessage } from './errors.ts';
import { findAllowed, findInert, markStored, StorageType, type StoredMemory, storageAsTensor, withoutTensors } from './globals.ts';
import { typeName, unpickle } from './unpickle.ts';
import { isZip, ZipReader } from './zip.ts';

/** A storage that is about to be read, for a function that says where it goes. */
export interface StorageInfo {
  readonly nbytes: number;
  readonly device: 'cpu';
}
/** Where memory goes: one device for all, by saved location, or a function of it (null: where it was; the storage itself: cpu). */
export type MapLocation =
  | string
  | ReadonlyMap<string, string>
  | Readonly<Record<string, string>>
  | ((storage: StorageInfo, location: string) => string | StorageInfo | null | undefined);

export interface LoadOptions {
  readonly map_location?: MapLocation | null;
  /** Names that are not on PyTorch's list are errors (the default), or become inert `PythonObject`s. */
  readonly weights_only?: boolean;
  readonly mmap?: boolean | null;
}

/** Reads what `torch.save` wrote; `values.ts` says what Python's values become. */
export function load<T = unknown>(f: string | URL | Uint8Array | ArrayBuffer, options: LoadOptions = {}): T {
  refuseUnknownOptions('load', options, { map_location: true, weights_only: true, mmap: true });
  const isPath = typeof f === 'string' || f instanceof URL;
  if (isPath) {
    const descriptor = openFile(f);
    try {
      return read(
        fileSource(descriptor, fstatSync(descriptor).size, (_, missing) => endError(missing)),
        options,
        String(f),
      ) as T;
    } finally {
      closeSync(descriptor);
    }
  }
  // A plain Uint8Array: a Buffer's slice would not be a copy.
  const bytes = f instanceof Uint8Array ? new Uint8Array(f.buffer, f.byteOffset, f.byteLength) : new Uint8Array(f);
  return read(bytesSource(bytes), options, null) as T;
}

function read(source: ByteSource, options: LoadOptions, path: string | null): unknown {
  const { weights_only = true, mmap = false } = options;
  const find = weights_only ? findAllowed : findInert;
  try {
    refuseOthers(source);
    if (isZip(source)) {
      const zip = new ZipReader(source);
      if (zip.has('constants.pkl'))
        throw new Error(
          weights_only
            ? `Cannot use \`\`weights_only=True\`\` with TorchScript archives passed to \`\`torch.load\`\`. ${unsafeMessage}`
            : 'torch-magpie has no TorchScript: the archive cannot be loaded',
        );
      if (mmap && path === null) throw new Error('f must be a file path in order to use the mmap argument');
      return readZip(zip, find, options);
    }
    if (mmap)
      throw new Error(
        `mmap can only be used with files saved with \`torch.save(${path === null ? '' : `${path}, `}_use_new_zipfile_serialization=True), please torch.save your checkpoint with this option in order to use mmap.`,
      );
    return readLegacy(source, find, options);
  } catch (error) {
    const where = path === null ? '' : `\n  in ${path}`;
    if (weights_only && error instanceof UnpicklingError)
      throw new UnpicklingError(weightsOnlyMessage(error.message) + where, { cause: error });
    if (error instanceof Error && where !== '' && !error.message.includes(path!)) error.message += where;
    throw error;
  }
}

/** A file of another kind is named: what the unpickler would say of its first byte helps nobody. */
function refuseOthers(source: ByteSource): void {
  const found = otherKind(source);
  if (found !== null) throw new UnpicklingError(`this is no file of torch.save: ${found}`);
}

type Find = (module: string, name: string) => unknown;

// ---- the zip format

function readZip(zip: ZipReader, find: Find, options: LoadOptions): unknown {
  const order = zip.text('byteorder') ?? 'little';
  if (order !== 'little' && order !== 'big') throw new Error(`Unknown endianness type: ${order}`);
  const memories = new Map<string, StoredMemory>();
  const persistent = (id: unknown): StoredMemory => {
    const { type, key, location, numel } = storageId(id);
    let memory = memories.get(key);
    if (memory !== undefined) return memory;
    const nbytes = numel * (type.dtype ?? uint8).itemsize;
    const name = `data/${key}`;
    const size = zip.sizeOf(name);
    if (size < nbytes) throw new Error(`PytorchStreamReader failed reading file ${name}: ${nbytes} bytes wanted, the record has ${size}`);
    const device = placeOf(location, nbytes, options);
    memory = memoryOf(type.dtype, nbytes, 0, (dtype) => {
      const readInto = zip.reader(name);
      return upload(order === 'big' ? swapping(readInto, type.dtype ?? dtype) : readInto, nbytes, dtype, device);
    });
    memories.set(key, memory);
    return memory;
  };
  const bytes = zip.read('data.pkl');
  return unpickle(new Cursor(bytesSource(bytes)), { find, persistent, leaf: storageAsTensor });
}

// ---- the format before it: pickles one after the other, then the memory

const magic = 0x1950a86a20f9469cfc6cn;

/** Reads twice: memory comes last in such a file, and tensors are made of memory that is there. */
function readLegacy(source: ByteSource, find: Find, options: LoadOptions): unknown {
  if (isTar(source)) throw new Error(`Cannot use \`\`weights_only=True\`\` with files saved in the legacy .tar format. ${unsafeMessage}`);
  const cursor = new Cursor(source);
  const plain = { find, persistent: refuse };
  if (unpickle(cursor, plain) !== magic) throw new Error('Invalid magic number; corrupt file?');
  const version = unpickle(cursor, plain);
  if (version !== 1001) throw new Error(`Invalid protocol version: ${String(version)}`);
  unpickle(cursor, plain);

  const start = cursor.position;
  const wanted = new Map<string, { readonly type: StorageType; readonly numel: number }>();
  // First time: only to know which storages there are, and where the memory begins.
  const classes = find === findInert;
  unpickle(cursor, {
    find: withoutTensors(find),
    classes,
    persistent: (id) => {
      const { type, key, numel } = storageId(id);
      if (!wanted.has(key)) wanted.set(key, { type, numel });
      return null;
    },
  });
  const places = new Map<string, number>();
  const keys = unpickle(cursor, plain);
  if (!Array.isArray(keys)) throw new Error('Invalid list of storages; corrupt file?');
  for (const key of keys.map(String)) {
    const want = wanted.get(key);
    if (want === undefined) throw new Error(`storage key '${key}' not found in deserialized_objects`);
    const numel = cursor.left < 8 ? eof(8 - cursor.left) : cursor.uint64();
    if (numel !== want.numel) throw new Error(`storage has wrong byte size: expected ${want.numel} got ${numel}`);
    const nbytes = numel * (want.type.dtype ?? uint8).itemsize;
    if (nbytes > cursor.left) eof(nbytes - cursor.left);
    places.set(key, cursor.position);
    cursor.position += nbytes;
  }

  const wholes = new Map<string, (dtype: DType) => Tensor>();
  const persistent = (id: unknown): StoredMemory => {
    const { type, key, location, numel, part } = storageId(id);
    const dtype = type.dtype ?? uint8;
    const nbytes = numel * dtype.itemsize;
    const place = places.get(key);
    if (place === undefined) throw new Error(`storage key '${key}' not found in deserialized_objects`);
    let whole = wholes.get(key);
    if (whole === undefined) {
      const readInto: ReadInto = (target, offset) => fill(source, target, place + offset);
      whole = memoryOf(type.dtype, nbytes, 0, (of) => upload(readInto, nbytes, of, placeOf(location, nbytes, options))).whole;
      wholes.set(key, whole);
    }
    if (part === null) return memoryOf(type.dtype, nbytes, 0, whole);
    if (part.offset + part.size > numel) throw new Error(`storage view of ${part.size} elements from ${part.offset} on in one of ${numel}`);
    return memoryOf(type.dtype, part.size * dtype.itemsize, part.offset * dtype.itemsize, whole);
  };
  return unpickle(new Cursor(source, start), { find, persistent, classes, leaf: storageAsTensor });
}

const endError = (missing: number): Error => new Error(`unexpected EOF, expected ${missing} more bytes. The file might be corrupted.`);
function eof(missing: number): never {
  throw endError(missing);
}
function refuse(): never {
  throw new UnpicklingError('unsupported persistent id encountered');
}
function isTar(source: ByteSource): boolean {
  return source.size >= 512 && Buffer.from(source.read(257, 5)).toString('latin1') === 'ustar';
}

// ---- storages

interface StorageId {
  readonly type: StorageType;
  readonly key: string;
  readonly location: string;
  readonly numel: number;
  /** In old files: this storage is a part of that of `key`. */
  readonly part: { readonly offset: number; readonly size: number } | null;
}

const isCount = (x: unknown): x is number => Number.isSafeInteger(x) && (x as number) >= 0 && (x as number) < 2 ** 48;

function storageId(id: unknown): StorageId {
  if (!Array.isArray(id)) throw new UnpicklingError(`saved_id must be a tuple, got ${typeName(id).slice(8, -2)}`);
  const [, type, key, location, numel, part] = id as unknown[];
  if (!(type instanceof StorageType)) throw new UnpicklingError(`a storage of type ${typeName(type)}`);
  if (typeof location !== 'string' || !isCount(numel)) throw new UnpicklingError('a storage without a location or a size');
  if (typeof key !== 'string' && !isCount(key)) throw new UnpicklingError(`a storage whose key is ${typeName(key)}`);
  const piece = Array.isArray(part) ? (part as unknown[]) : null;
  if (piece !== null && !(isCount(piece[1]) && isCount(piece[2]))) throw new UnpicklingError('a storage view without an offset or a size');
  return {
    type,
    key: String(key),
    location,
    numel,
    part: piece === null ? null : { offset: piece[1] as number, size: piece[2] as number },
  };
}

function memoryOf(dtype: DType | null, nbytes: number, byteOffset: number, make: (dtype: DType) => Tensor): StoredMemory {
  let made: Tensor | null = null;
  const whole = (of: DType): Tensor => {
    made ??= make(dtype ?? (nbytes % of.itemsize === 0 ? of : uint8));
    return made;
  };
  return markStored({ dtype, nbytes, byteOffset, whole });
}

type ReadInto = (target: Uint8Array, offset: number) => void;

function upload(readInto: ReadInto, nbytes: number, dtype: DType, device: string): Tensor {
  const shape = [nbytes / dtype.itemsize];
  return nbytes === 0 ? (empty(shape, { dtype, device }) as Tensor) : streamedTensor(shape, dtype, device, readInto);
}

/** The bytes of every number (of both parts of a complex one) in the other order. Pieces are of whole numbers. */
function swapping(readInto: ReadInto, dtype: DType): ReadInto {
  const width = dtype.is_complex ? dtype.itemsize / 2 : dtype.itemsize;
  return (target, offset) => {
    readInto(target, offset);
    const bytes = Buffer.from(target.buffer, target.byteOffset, target.byteLength);
    if (width === 2) bytes.swap16();
    else if (width === 4) bytes.swap32();
    else if (width === 8) bytes.swap64();
  };
}

// ---- devices

function placeOf(location: string, nbytes: number, { map_location = null }: LoadOptions): string {
  if (map_location === null) return deviceAt(location);
  if (typeof map_location === 'string') return deviceAt(map_location);
  if (typeof map_location === 'function') {
    const storage: StorageInfo = { nbytes, device: 'cpu' };
    const to = map_location(storage, location);
    return to === storage ? 'cpu' : deviceAt(typeof to === 'string' ? to : location);
  }
  const to = map_location instanceof Map ? map_location.get(location) : (map_location as Readonly<Record<string, string>>)[location];
  return deviceAt(typeof to === 'string' ? to : location);
}

/** The device of this library for a place in PyTorch's words. */
function deviceAt(location: string): string {
  const [type, index] = location.split(':');
  if (!knownDevices().includes(type))
    throw new Error(`don't know how to restore data location of torch.storage.UntypedStorage (tagged with ${location})`);
  if (type !== 'cuda') return type;
  const device = canonicalDevice(location);
  const probed = probeDevices();
  if (index !== undefined && 'count' in probed && Number(index) >= probed.count)
    throw new Error(
      `Attempting to deserialize object on CUDA device ${index} but torch.cuda.device_count() is ${probed.count}. Please use torch.load with map_location to map your storages to an existing device.`,
    );
  try {
    engineOf(device);
  } catch (error) {
    throw new Error(
      "Attempting to deserialize object on a CUDA device but torch.cuda.is_available() is False. If you are running on a CPU-only machine, please use torch.load with map_location=torch.device('cpu') to map your storages to the CPU.",
      { cause: error },
    );
  }
  return device;
}

// ---- files

function openFile(f: string | URL): number {
  try {
    return openSync(f, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    throw new Error(`[Errno 2] No such file or directory: '${String(f)}'`, { cause: error });
  }
}

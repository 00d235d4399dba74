/**
 * Tensors to and from safetensors files, with the names of Python's `safetensors.torch`: `save_file`, `load_file`, `save`, `load`,
 * and `safe_open` for reading one tensor at a time.
 *
 * The format itself (checks, layout, errors) is in `safetensors-format.ts`; here are files and dtypes. A file appears whole or not
 * at all: it is written beside its place and renamed. Files are in the machine's byte order, which is little-endian everywhere
 * that this library runs.
 *
 * Source: https://huggingface.co/docs/safetensors/api/torch
 */
import { closeSync, fstatSync, openSync } from 'node:fs';
import { type DType, type DTypeName, dtypeByName, uint8 } from '../dtype/dtype.ts';
import { empty } from '../ops/creation.ts';
import type { Tensor } from '../ops/methods.ts';
import { type ByteSource, bytesSource, fileSource, fill } from './byte-source.ts';
import {
  parseSafetensors,
  type SafetensorsData,
  type SafetensorsDType,
  type SafetensorsEntry,
  SafetensorsError,
  type SafetensorsFile,
  safetensorsChunks,
  serializeSafetensors,
} from './safetensors-format.ts';
import { streamedTensor } from './streamed.ts';
import { writeWholeFile } from './whole-file.ts';

/** complex128 has no name in the format. */
const formatNames: Readonly<Partial<Record<DTypeName, SafetensorsDType>>> = {
  float64: 'F64',
  float32: 'F32',
  float16: 'F16',
  bfloat16: 'BF16',
  float8_e4m3fn: 'F8_E4M3',
  float8_e5m2: 'F8_E5M2',
  int64: 'I64',
  int32: 'I32',
  int16: 'I16',
  int8: 'I8',
  uint8: 'U8',
  bool: 'BOOL',
  complex64: 'C64',
};

const dtypeOfFormat = new Map<SafetensorsDType, DType>(Object.entries(formatNames).map(([name, format]) => [format, dtypeByName(name)!]));

export type TensorDict = ReadonlyMap<string, Tensor> | Readonly<Record<string, Tensor>>;

/**
 * Writes tensors and optional metadata (strings) to a file; a file of that name is replaced only when all is written.
 *
 * Throws for a dtype that the format lacks (complex128), and what the file system throws.
 */
export function save_file(tensors: TensorDict, filename: string, metadata: Readonly<Record<string, string>> = {}): void {
  const chunks = safetensorsChunks(entriesOf(tensors), new Map(Object.entries(metadata)));
  writeWholeFile(filename, (put) => {
    for (const chunk of chunks) put(chunk);
  });
}

/** The bytes that `save_file` would write. */
export function save(tensors: TensorDict, metadata: Readonly<Record<string, string>> = {}): Uint8Array {
  return serializeSafetensors(entriesOf(tensors), new Map(Object.entries(metadata)));
}

/** All tensors of a file, by name, in the order of their data. */
export function load_file(filename: string, device = 'cpu'): Map<string, Tensor> {
  using file = safe_open(filename, device);
  return new Map(file.keys().map((name) => [name, file.get_tensor(name)]));
}

/** All tensors of a file that is in memory. The bytes are copied. */
export function load(data: Uint8Array, device = 'cpu'): Map<string, Tensor> {
  const source = bytesSource(data);
  const file = parseSafetensors(source);
  return new Map([...file.tensors.keys()].map((name) => [name, readTensor({ file, source }, name, device, 'safetensors data')]));
}

/** An open file: its header is read and checked, tensors are read when asked for. Close it, or declare it with `using`. */
export interface SafeOpen extends Disposable {
  keys(): string[];
  metadata(): Record<string, string>;
  get_tensor(name: string): Tensor;
  /** The tensor's shape, without reading it (Python: `get_slice(name).get_shape()`). */
  get_shape(name: string): readonly number[];
  close(): void;
}

export function safe_open(filename: string, device = 'cpu'): SafeOpen {
  const descriptor = openSync(filename, 'r');
  let open = true;
  const close = (): void => {
    if (open) closeSync(descriptor);
    open = false;
  };
  const ended = (offset: number): SafetensorsError =>
    new SafetensorsError('the file became shorter while it was read', filename, undefined, offset);
  const source = fileSource(descriptor, fstatSync(descriptor).size, ended);
  let file: SafetensorsFile;
  try {
    file = parseSafetensors(source, filename);
  } catch (error) {
    close();
    throw error;
  }
  return {
    keys: () => [...file.tensors.keys()],
    metadata: () => Object.fromEntries(file.metadata),
    get_tensor: (name) => readTensor({ file, source }, name, device, filename),
    get_shape: (name) => entryOf(file, name, filename).shape,
    close,
    [Symbol.dispose]: close,
  };
}

function entryOf(file: SafetensorsFile, name: string, filename: string): SafetensorsEntry {
  const entry = file.tensors.get(name);
  if (entry === undefined) throw new SafetensorsError('File does not contain tensor', filename, name);
  return entry;
}

interface Opened {
  readonly file: SafetensorsFile;
  readonly source: ByteSource;
}

function readTensor({ file, source }: Opened, name: string, device: string, filename: string): Tensor {
  const entry = entryOf(file, name, filename);
  const dtype = dtypeOfFormat.get(entry.dtype);
  if (dtype === undefined) throw new SafetensorsError(`no dtype here for ${entry.dtype}`, filename, name, entry.begin);
  if (entry.begin === entry.end) return empty(entry.shape, { dtype, device }) as Tensor;
  return streamedTensor(entry.shape, dtype, device, (target, offset) => fill(source, target, entry.begin + offset));
}

function entriesOf(tensors: TensorDict): SafetensorsData[] {
  const pairs: [string, Tensor][] =
    tensors instanceof Map ? [...(tensors as Map<string, Tensor>)] : Object.entries(tensors as Record<string, Tensor>);
  return pairs.map(([name, tensor]): SafetensorsData => {
    const dtype = formatNames[tensor.dtype.name];
    if (dtype === undefined)
      throw new SafetensorsError(`safetensors has no dtype for torch.${tensor.dtype.name}`, 'the tensors to save', name);
    // Flat first: a tensor of no dimensions cannot be viewed as bytes.
    const bytes = tensor.detach().cpu().contiguous().reshape(-1).view(uint8).numpy() as Uint8Array;
    return { name, dtype, shape: [...tensor.shape], data: bytes };
  });
}

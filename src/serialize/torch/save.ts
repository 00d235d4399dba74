/**
 * `torch.save`: the file that PyTorch writes. What each value becomes in Python is said in `values.ts`.
 *
 * A storage is written once however many tensors share it, so views and tied weights stay what they are (and a small view of a large tensor
 * brings all of it, as in PyTorch: `clone()` it first). Objects of classes, modules among them, are not written: save a `state_dict()`. Objects that
 * `torch.load` has read as data are written back as they were.
 * The file appears whole or not at all: it is written beside its place and renamed.
 *
 * https://docs.pytorch.org/docs/stable/generated/torch.save.html
 */

import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DType } from '../../dtype/dtype.ts';
import { isParameter } from '../../nn/parameter.ts';
import { Tensor } from '../../ops/methods.ts';
import { isComplexScalar, ScalarBox } from '../../ops/scalar-argument.ts';
import { engineOf } from '../../tensor/devices.ts';
import type { Storage } from '../../tensor/tensor.ts';
import { writeWholeFile } from '../whole-file.ts';
import { PicklingError } from './errors.ts';
import { storageNames } from './globals.ts';
import { Form, Pickler } from './pickle.ts';
import { attributesOf, isDictMap, isIndex, isSize, PythonName, PythonObject, SparseTensor } from './values.ts';
import { alignment, ZipWriter } from './zip-write.ts';

export interface SaveOptions {
  /** False: the format before PyTorch 1.6. */
  readonly _use_new_zipfile_serialization?: boolean;
}

/** Writes a value to a file; without a file, returns the bytes. */
export function save(obj: unknown, f: string | URL, options?: SaveOptions): void;
export function save(obj: unknown, f?: null, options?: SaveOptions): Uint8Array;
export function save(obj: unknown, f: string | URL | null = null, options: SaveOptions = {}): Uint8Array | undefined {
  const write = options._use_new_zipfile_serialization === false ? writeLegacy : writeZip;
  if (f === null) {
    const chunks: Uint8Array[] = [];
    write(obj, 'archive', (bytes) => chunks.push(bytes));
    return new Uint8Array(Buffer.concat(chunks));
  }
  const path = f instanceof URL ? fileURLToPath(f) : f;
  writeWholeFile(path, (put) => write(obj, folderOf(path), put));
  return undefined;
}

/** PyTorch names the archive's folder after the file. */
const folderOf = (path: string): string => basename(path).replace(/\.[^.]*$/, '') || 'archive';

type Write = (bytes: Uint8Array) => void;

function writeZip(obj: unknown, folder: string, write: Write): void {
  const storages = new Storages('zip');
  const pickle = new Pickler((x) => formOf(x, storages)).dump(obj);
  const zip = new ZipWriter(write);
  const checksums: number[] = [];
  const add = (name: string, data: Uint8Array | string): void => {
    checksums.push(zip.add(`${folder}/${name}`, typeof data === 'string' ? Buffer.from(data, 'latin1') : data));
  };
  add('data.pkl', pickle);
  add('.format_version', '1');
  add('.storage_alignment', String(alignment));
  add('byteorder', 'little');
  for (const { key, storage } of storages.all()) add(`data/${key}`, bytesOf(storage));
  add('version', '3\n');
  // Forty digits that tell contents apart; PyTorch hashes names and checksums here and only logs the result.
  add(
    '.data/serialization_id',
    checksums
      .reduce((h, c) => (h * 1000003n + BigInt(c)) % 10n ** 40n, 1n)
      .toString()
      .padStart(40, '0'),
  );
  zip.finish();
}

function writeLegacy(obj: unknown, _folder: string, write: Write): void {
  const storages = new Storages('legacy');
  const dump = (x: unknown): void => write(new Pickler((y) => formOf(y, storages)).dump(x));
  dump(0x1950a86a20f9469cfc6cn);
  dump(1001);
  dump({ protocol_version: 1001, little_endian: true, type_sizes: { short: 2, int: 4, long: 4 } });
  dump(obj);
  const all = [...storages.all()].sort((a, b) => (a.key < b.key ? -1 : 1));
  dump(all.map(({ key }) => key));
  for (const { storage, dtype } of all) {
    const count = Buffer.alloc(8);
    count.writeBigUInt64LE(BigInt(storage.nbytes() / untypedSize(dtype)));
    write(count);
    write(bytesOf(storage));
  }
}

// ---- storages

interface Saved {
  readonly key: string;
  readonly storage: Storage;
  readonly dtype: DType;
}

class Storages {
  readonly format: 'zip' | 'legacy';
  readonly #saved: Map<Storage, Saved> = new Map();
  constructor(format: 'zip' | 'legacy') {
    this.format = format;
  }
  all(): Iterable<Saved> {
    return this.#saved.values();
  }

  /** The reference to a tensor's storage. */
  idOf(t: Tensor): Form {
    const { storage, dtype } = t;
    let saved = this.#saved.get(storage);
    if (saved === undefined) {
      saved = { key: String(this.#saved.size), storage, dtype };
      this.#saved.set(storage, saved);
    } else if (saved.dtype !== dtype && (typeOf(saved.dtype) !== null || typeOf(dtype) !== null))
      throw new Error('Cannot save multiple tensors or storages that view the same data as different types');
    const name = typeOf(dtype);
    if (name === null && this.format === 'legacy')
      throw new PicklingError(
        `cannot write a tensor of ${dtype} with _use_new_zipfile_serialization=False: the legacy format has no storage for it`,
      );
    const type = name === null ? Form.name('torch.storage', 'UntypedStorage') : Form.name('torch', name);
    const location = t.device === 'cuda' ? 'cuda:0' : t.device.startsWith('cuda:') ? t.device : 'cpu';
    const id = ['storage', type, saved.key, location, storage.nbytes() / untypedSize(dtype)];
    return Form.persistent(this.format === 'zip' ? id : [...id, null]);
  }
}

/** The storage class of a dtype; newer dtypes have none, their tensors say what they are. */
const typeOf = (dtype: DType): string | null => (storageNames as Readonly<Record<string, string>>)[dtype.name] ?? null;
const untypedSize = (dtype: DType): number => (typeOf(dtype) === null ? 1 : dtype.itemsize);

function bytesOf(storage: Storage): Uint8Array {
  if (storage.nbytes() === 0) return new Uint8Array(0);
  const engine = engineOf(storage.device);
  return engine.backend.read(engine.materialize(storage.value), 0, storage.nbytes());
}

// ---- forms

const emptyOrdered = (): Form => Form.call('collections', 'OrderedDict', []);

function formOf(x: object, storages: Storages): Form {
  if (isParameter(x)) return parameterForm(x, storages);
  if (x instanceof Tensor) return tensorForm(x, storages, x.requires_grad);
  if (x instanceof DType) return Form.name('torch', x.name);
  if (x instanceof ScalarBox) return x.dtype.kind === 'float' ? Form.float(x.value) : Form.int(x.value);
  if (x instanceof SparseTensor) return sparseForm(x);
  if (x instanceof PythonName) return dottedName(x.path);
  if (x instanceof PythonObject) return pythonForm(x);
  if (x instanceof Map) return mapForm(x);
  if (x instanceof Set) return Form.call('__builtin__', 'set', [[...x]]);
  if (x instanceof Uint8Array) return Form.call('_codecs', 'encode', [Buffer.from(x).toString('latin1'), 'latin1']);
  if (Array.isArray(x)) return isSize(x) ? Form.call('torch', 'Size', [new Form((p) => p.tuple(x))]) : Form.tuple(x);
  if (isComplexScalar(x)) return Form.call('__builtin__', 'complex', [Form.float(x.re), Form.float(x.im)]);
  const prototype: unknown = Object.getPrototypeOf(x);
  if (typeof x !== 'function' && (prototype === Object.prototype || prototype === null)) return objectForm(x);
  throw cannot(x);
}

function cannot(x: object): PicklingError {
  const named = x as { readonly name?: unknown; readonly constructor?: { readonly name?: unknown } };
  if (typeof x === 'function' && !('state_dict' in x)) return new PicklingError(`cannot pickle function ${String(named.name)}`);
  const hint = 'state_dict' in x ? ': save what its state_dict() returns' : '';
  return new PicklingError(`cannot pickle '${String(named.constructor?.name)}' object${hint}`);
}

function tensorForm(t: Tensor, storages: Storages, requires_grad: boolean): Form {
  const place = [storages.idOf(t), t.offset, new Form((p) => p.tuple(t.view_.shape)), new Form((p) => p.tuple(t.view_.strides))];
  if (typeOf(t.dtype) !== null) return Form.call('torch._utils', '_rebuild_tensor_v2', [...place, requires_grad, emptyOrdered()]);
  return Form.call('torch._utils', '_rebuild_tensor_v3', [...place, requires_grad, emptyOrdered(), Form.name('torch', t.dtype.name)]);
}
function parameterForm(t: Tensor, storages: Storages): Form {
  return Form.call('torch._utils', '_rebuild_parameter', [tensorForm(t, storages, false), t.requires_grad, emptyOrdered()]);
}
function sparseForm(x: SparseTensor): Form {
  const layout = Form.call('torch.serialization', '_get_layout', ['torch.sparse_coo']);
  const size = Form.call('torch', 'Size', [Form.tuple(x.shape)]);
  const data = Form.tuple([x.indices, x.values, size, x.is_coalesced]);
  return Form.call('torch._utils', '_rebuild_sparse_tensor', [layout, data]);
}
/** What `torch.load` with `weights_only: false` made of an object of a class, as it was read. */
function pythonForm({ type, args, isNew, items, state }: PythonObject): Form {
  const made = Array.isArray(args) ? (args as unknown[]) : [];
  const entries =
    items instanceof Map ? [...items] : typeof items === 'object' && items !== null && !Array.isArray(items) ? dictEntries(items) : null;
  return new Form((p, key) => {
    dottedName(type).write(p, key);
    p.tuple(made);
    p.op(isNew ? 0x81 : 0x52);
    p.remember(key);
    if (Array.isArray(items)) p.appendItems(items as unknown[]);
    else if (entries !== null) p.setItems(entries);
    if (state !== null) {
      p.save(state);
      p.op(0x62);
    }
  });
}
function dottedName(path: string): Form {
  const dot = path.lastIndexOf('.');
  return Form.name(path.slice(0, dot), path.slice(dot + 1));
}

/** A state dict is an OrderedDict in PyTorch, and so is any Map that was not a dict in the file that it came from. */
function mapForm(x: ReadonlyMap<unknown, unknown>): Form {
  const items = [...x];
  return isDictMap(x) ? Form.dict(items) : Form.call('collections', 'OrderedDict', [], { items, state: attributesOf(x) });
}
/** Keys of an object that JavaScript itself takes for indices are ints: an optimizer's state is by number. */
function objectForm(x: object): Form {
  return Form.dict(dictEntries(x));
}
const dictEntries = (x: object): [unknown, unknown][] => Object.entries(x).map(([key, value]) => [isIndex(key) ? Number(key) : key, value]);

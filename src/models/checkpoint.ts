/**
 * The weights of a Hugging Face folder: `model.safetensors`, or shards with an index; headers are read when it is opened, tensors one at a time. Where
 * there is neither, `pytorch_model.bin`, which `torch.load` reads whole.
 *
 * An index comes from outside: it names files of its own folder, every tensor is where it says, or an error says which is not.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Tensor } from '../ops/methods.ts';
import { type SafeOpen, safe_open } from '../serialize/safetensors.ts';
import { load } from '../serialize/torch/load.ts';
import { readJson } from './config.ts';
import { isJson } from './config-fields.ts';

export interface Checkpoint extends Disposable {
  readonly names: readonly string[];
  /** The tensor, on the CPU, in the file's dtype. */
  read(name: string): Tensor;
  /** Its shape, without reading it. */
  shapeOf(name: string): readonly number[];
  /** The file that holds it, for errors. */
  fileOf(name: string): string;
}

export function openCheckpoint(folder: string): Checkpoint {
  const single = join(folder, 'model.safetensors');
  if (existsSync(single)) return opened(new Map([[single, safe_open(single)]]), null);
  const index = join(folder, 'model.safetensors.index.json');
  const pickled = join(folder, 'pytorch_model.bin');
  if (!existsSync(index) && existsSync(pickled)) return unpickled(pickled);
  if (!existsSync(index))
    throw new Error(`no file named model.safetensors, model.safetensors.index.json or pytorch_model.bin found in directory ${folder}`);
  const places = readIndex(index);
  const files = new Map<string, SafeOpen>();
  try {
    for (const shard of new Set(places.values())) {
      const file = join(folder, shard);
      if (!existsSync(file)) throw new Error(`${index}: the file ${shard} is not there`);
      files.set(file, safe_open(file));
    }
    return opened(files, new Map([...places].map(([name, shard]) => [name, join(folder, shard)])), index);
  } catch (error) {
    for (const file of files.values()) file.close();
    throw error;
  }
}

function readIndex(index: string): Map<string, string> {
  const json = readJson(index);
  const map = isJson(json) ? json['weight_map'] : undefined;
  if (!isJson(map)) throw new TypeError(`${index}: "weight_map" should be an object of file names`);
  return new Map(
    Object.entries(map).map(([name, shard]) => {
      if (typeof shard !== 'string' || !/^[\w.-]+\.safetensors$/.test(shard))
        throw new TypeError(
          `${index}: tensor ${JSON.stringify(name)} should be in a .safetensors file of the same folder, got ${JSON.stringify(shard)}`,
        );
      return [name, shard];
    }),
  );
}

function opened(files: ReadonlyMap<string, SafeOpen>, places: ReadonlyMap<string, string> | null, index = ''): Checkpoint {
  const fileOfName = new Map<string, string>();
  for (const [path, file] of files) {
    for (const name of file.keys()) {
      const place = places === null ? path : places.get(name);
      if (place === path) fileOfName.set(name, path);
    }
  }
  const lost = places === null ? [] : [...places].filter(([name]) => !fileOfName.has(name));
  if (lost.length > 0)
    throw new Error(
      `${index}: ${lost
        .slice(0, 5)
        .map(([name, file]) => `${JSON.stringify(name)} is not in ${file}`)
        .join(', ')}`,
    );
  const fileOf = (name: string): string => {
    const path = fileOfName.get(name);
    if (path === undefined) throw new Error(`internal: no tensor ${name} in the checkpoint`);
    return path;
  };
  return {
    names: [...fileOfName.keys()],
    fileOf,
    read: (name) => files.get(fileOf(name))!.get_tensor(name),
    shapeOf: (name) => files.get(fileOf(name))!.get_shape(name),
    [Symbol.dispose]: () => {
      for (const file of files.values()) file.close();
    },
  };
}

function unpickled(file: string): Checkpoint {
  const tensors = load<unknown>(file);
  if (!(tensors instanceof Map) || ![...tensors].every(([name, tensor]) => typeof name === 'string' && tensor instanceof Tensor))
    throw new TypeError(`${file}: expected a dict of tensors`);
  const known = tensors as Map<string, Tensor>;
  return {
    names: [...known.keys()],
    fileOf: () => file,
    read: (name) => known.get(name)!,
    shapeOf: (name) => known.get(name)!.shape,
    [Symbol.dispose]: () => known.clear(),
  };
}

/**
 * Weights as the files of a Hugging Face folder: `model.safetensors`, or `model-00001-of-00003.safetensors` and so on with an index, when they are more
 * than a file should have. https://huggingface.co/docs/transformers/big_models#sharded-checkpoints
 */
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Tensor } from '../ops/methods.ts';
import { save_file } from '../serialize/safetensors.ts';

const units: Readonly<Record<string, number>> = {
  ...{ B: 1, KB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12 },
  ...{ KIB: 2 ** 10, MIB: 2 ** 20, GIB: 2 ** 30, TIB: 2 ** 40 },
};

/** '5GB' is 5e9 bytes, '5GiB' 5 * 2^30. */
export function parseShardSize(size: number | string): number {
  const [, digits, unit] = /^([\d.]+)\s*([KMGT]?I?B)$/i.exec(String(size)) ?? [null, String(size), 'B'];
  const bytes = Number(digits) * (units[unit.toUpperCase()] ?? Number.NaN);
  if (!(bytes > 0))
    throw new Error(`\`max_shard_size\` should be a number of bytes, or a text such as "5GB" or "200MiB", got ${JSON.stringify(size)}`);
  return bytes;
}

const bytesOf = (tensor: Tensor): number => tensor.numel() * tensor.dtype.itemsize;

/** Writes all, then takes away weights that an earlier save left there. */
export function writeWeights(folder: string, tensors: ReadonlyMap<string, Tensor>, max_shard_size: number | string): void {
  const limit = parseShardSize(max_shard_size);
  const shards: Map<string, Tensor>[] = [new Map()];
  let size = 0;
  for (const [name, tensor] of tensors) {
    const bytes = bytesOf(tensor);
    // A tensor larger than the limit has a file of its own.
    if (size > 0 && size + bytes > limit) {
      shards.push(new Map());
      size = 0;
    }
    shards.at(-1)!.set(name, tensor);
    size += bytes;
  }
  const digits = (n: number): string => String(n).padStart(5, '0');
  const names = shards.map((_, i) =>
    shards.length === 1 ? 'model.safetensors' : `model-${digits(i + 1)}-of-${digits(shards.length)}.safetensors`,
  );
  const index = 'model.safetensors.index.json';
  const kept = new Set(shards.length === 1 ? names : [...names, index]);
  for (const [i, shard] of shards.entries()) save_file(shard, join(folder, names[i]), { format: 'pt' });
  if (shards.length > 1) {
    const weight_map = Object.fromEntries(shards.flatMap((shard, i) => [...shard.keys()].map((name) => [name, names[i]])));
    const all = [...tensors.values()];
    const total = (of: (tensor: Tensor) => number): number => all.reduce((sum, tensor) => sum + of(tensor), 0);
    const metadata = { total_parameters: total((tensor) => tensor.numel()), total_size: total(bytesOf) };
    writeJson(join(folder, index), { metadata, weight_map });
  }
  for (const name of readdirSync(folder))
    if (!kept.has(name) && /^model(-\d{5}-of-\d{5})?\.safetensors$|^model\.safetensors\.index\.json$/.test(name))
      rmSync(join(folder, name));
}

/** With sorted fields, as transformers writes its files. */
export function writeJson(file: string, json: Readonly<Record<string, unknown>>): void {
  const sorted = Object.fromEntries(Object.entries(json).sort(([a], [b]) => (a < b ? -1 : 1)));
  writeFileSync(file, `${JSON.stringify(sorted, null, 2)}\n`);
}

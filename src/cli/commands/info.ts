/**
 * `torch-magpie info`: what is in a file or folder: kind, metadata, and every tensor with its name, dtype, shape and size. Only headers are read.
 *
 * Lists of tensors are never cut; long lists of metadata (a vocabulary) are, on a screen, unless `--full` is given. With `--json` nothing is.
 */
import { closeSync, fstatSync, openSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { readConfig } from '../../models/index.ts';
import { describeLlama2c } from '../../models/llama2c.ts';
import { readLlama2cVocabulary } from '../../models/tokenizer-gguf.ts';
import { fileSource } from '../../serialize/byte-source.ts';
import { otherKind } from '../../serialize/file-kind.ts';
import { GgufArray, openGguf } from '../../serialize/gguf/index.ts';
import { parseSafetensors } from '../../serialize/safetensors-format.ts';
import { formatBytes, formatCount } from '../format.ts';
import type { InfoFlags } from './definitions.ts';
import { jsonLine, write } from './terminal.ts';

interface TensorLine {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: number;
}
interface FileInfo {
  readonly path: string;
  readonly format: string;
  readonly bytes: number;
  readonly metadata: Iterable<readonly [string, unknown]>;
  readonly tensors: readonly TensorLine[];
}
export async function runInfo(path: string, flags: InfoFlags): Promise<void> {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) throw new Error(`${path}: no such file or folder`);
  const files = stat.isDirectory() ? folderFiles(path) : [fileInfo(path)];
  const tensors = files.flatMap((file) => file.tensors);
  const total = {
    tensors: tensors.length,
    parameters: tensors.reduce((sum, { shape }) => sum + shape.reduce((n, d) => n * d, 1), 0),
    bytes: tensors.reduce((sum, { bytes }) => sum + bytes, 0),
  };
  const out = flags.json ? jsonLines(files, total) : textLines(files, total, flags.full);
  for (const line of out) await write(line);
}

function fileInfo(path: string): FileInfo {
  const descriptor = openSync(path, 'r');
  let found: string | null = null;
  try {
    const { size } = fstatSync(descriptor);
    const source = fileSource(descriptor, size, () => new Error(`${path}: the file became shorter while it was read`));
    const head = Buffer.from(source.read(0, Math.min(16, size)));
    if (head.toString('latin1', 0, 4) === 'GGUF' || path.endsWith('.gguf')) return ggufInfo(path, size);
    // Eight bytes of length, then JSON.
    if (head[8] === 0x7b || path.endsWith('.safetensors')) {
      const file = parseSafetensors(source, path);
      const tensors = [...file.tensors].map(([name, { dtype, shape, begin, end }]) => ({ name, dtype, shape, bytes: end - begin }));
      return { path, format: 'safetensors', bytes: size, metadata: file.metadata, tensors };
    }
    found = otherKind(source);
    if (path.endsWith('.bin') && found === null) return llama2cInfo(path, size);
  } finally {
    closeSync(descriptor);
  }
  throw new Error(
    `${path}: not a safetensors file, a GGUF file, a llama2.c .bin or a folder of a model${found === null ? '' : `; ${found}`}`,
  );
}

function ggufInfo(path: string, bytes: number): FileInfo {
  using file = openGguf(path);
  const tensors = [...file.tensors.values()].map(({ name, type, shape, bytes: size }) => ({ name, dtype: type, shape, bytes: size }));
  return { path, format: `GGUF ${file.version}`, bytes, metadata: file.metadata, tensors };
}

/** It has no names: those are transformers'. */
function llama2cInfo(path: string, bytes: number): FileInfo {
  const tokens = vocabularyOf(path, bytes);
  if (tokens !== null) {
    const longest = tokens.reduce((most, token) => Math.max(most, Buffer.byteLength(token)), 0);
    const metadata: [string, unknown][] = [
      ['tokens', tokens.length],
      ['bytes of the longest', longest],
      ['vocabulary', tokens],
    ];
    return { path, format: 'tokenizer of llama2.c (no weights)', bytes, metadata, tensors: [] };
  }
  const { model } = describeLlama2c(path);
  const tensors = model
    .named_parameters()
    .map(([name, tensor]) => ({ name, dtype: 'F32', shape: [...tensor.shape], bytes: tensor.numel() * tensor.dtype.itemsize }));
  return { path, format: 'llama2.c', bytes, metadata: Object.entries(model.config.json), tensors };
}

/** The tokens of a file that is llama2.c's tokenizer, which is named like its models; null: it is none. */
function vocabularyOf(path: string, bytes: number): readonly string[] | null {
  if (bytes > largestTokenizer) return null;
  try {
    return readLlama2cVocabulary(readFileSync(path), path).pieces;
  } catch {
    return null;
  }
}
/** Bytes; that of Llama 2 has 400 KB. */
const largestTokenizer = 1 << 24;

/** Every file of weights; the config stands first, as a file without tensors. */
function folderFiles(folder: string): FileInfo[] {
  const names = readdirSync(folder).sort();
  const weights = names.filter((name) => /\.(safetensors|gguf)$/.test(name)).map((name) => fileInfo(join(folder, name)));
  const others = names.filter((name) => /\.(json|txt|jinja|model)$/.test(name) && !name.endsWith('.index.json'));
  const config = names.includes('config.json')
    ? [
        {
          path: join(folder, 'config.json'),
          format: 'config',
          bytes: statSync(join(folder, 'config.json')).size,
          metadata: configOf(folder),
          tensors: [],
        },
      ]
    : [];
  if (weights.length + config.length === 0)
    throw new Error(
      `${folder}: no config.json, no .safetensors and no .gguf file in this folder${others.length > 0 ? ` (there are ${others.join(', ')})` : ''}`,
    );
  return [...config, ...weights];
}

function configOf(folder: string): [string, unknown][] {
  // What cannot be used here can still be looked at.
  try {
    return Object.entries(readConfig(folder).json);
  } catch (error) {
    return [['not understood', (error as Error).message]];
  }
}

type Total = Readonly<Record<'tensors' | 'parameters' | 'bytes', number>>;

function* jsonLines(files: readonly FileInfo[], total: Total): Generator<string> {
  for (const { path, format, bytes, metadata, tensors } of files) {
    yield jsonLine({ kind: 'file', path, format, bytes });
    for (const [key, value] of metadata) yield jsonLine({ kind: 'metadata', key, value });
    for (const tensor of tensors) yield jsonLine({ kind: 'tensor', ...tensor });
  }
  yield jsonLine({ kind: 'total', ...total });
}

function* textLines(files: readonly FileInfo[], total: Total, full: boolean): Generator<string> {
  for (const { path, format, bytes, metadata, tensors } of files) {
    yield `${basename(path)}: ${format}, ${formatBytes(bytes)}\n`;
    for (const [key, value] of metadata) yield `  ${key} = ${shown(value, full)}\n`;
    if (tensors.length === 0) continue;
    const rows = tensors.map(({ name, dtype, shape, bytes: size }) => [name, dtype, `[${shape.join(', ')}]`, formatBytes(size)]);
    const widths = [0, 1, 2, 3].map((column) => rows.reduce((width, row) => Math.max(width, row[column].length), 0));
    for (const [name, dtype, shape, size] of rows)
      yield `  ${name.padEnd(widths[0])}  ${dtype.padEnd(widths[1])}  ${shape.padEnd(widths[2])}  ${size.padStart(widths[3])}\n`;
  }
  yield `${formatCount(total.tensors)} tensors, ${formatCount(total.parameters)} parameters, ${formatBytes(total.bytes)}\n`;
}

/** On a line of its own, whatever is in it. */
function shown(value: unknown, full: boolean): string {
  if ((Array.isArray(value) || value instanceof GgufArray) && !full && value.length > 8)
    return `${oneLine([0, 1, 2, 3].map((i) => value.at(i) as unknown)).slice(0, -1)}, ... (${formatCount(value.length)} entries)]`;
  const text = oneLine(value);
  return full || text.length <= 200 ? text : `${text.slice(0, 160)}... (${formatCount(text.length)} characters)`;
}
const oneLine = (value: unknown): string => jsonLine(value).trimEnd();

/**
 * A file costs at most its own size of memory, beside a constant: weights are read straight into the memory that they stay in, a GGUF file's arrays stay
 * the bytes that they are, and what a hostile file would have made of it is refused first. A pickle's values are JavaScript's, larger than the bytes that ask
 * for them: there the number is limited. Measured as the growth of a process's peak resident memory,
 * so each case is a process of its own (of the built package, as Node 20 runs no TypeScript).
 */
import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildCommand, main } from '../src/cli/commands/test-support.ts';
import torch from '../src/index.ts';
import { type GgufTensorData, writeGguf } from '../src/serialize/gguf/index.ts';
import { save_file } from '../src/serialize/safetensors.ts';

const scratch = mkdtempSync(join(tmpdir(), 'magpie-memory-'));
beforeAll(() => buildCommand(), 120_000);
afterAll(() => rmSync(scratch, { recursive: true }));

interface Measured {
  readonly size: number;
  readonly peak: number;
  readonly error: string;
}
function measure(what: string, file: string, small: string): Measured {
  const child = fileURLToPath(new URL('./loading-memory.child.mjs', import.meta.url));
  const built = dirname(dirname(main));
  const ran = spawnSync(process.execPath, ['--expose-gc', '--max-semi-space-size=1', child, built, what, file, small], {
    encoding: 'utf8',
  });
  if (ran.status !== 0) throw new Error(ran.stderr);
  const measured = JSON.parse(ran.stdout) as Measured;
  console.log(
    `${what}: a file of ${(measured.size / 1e6).toFixed(1)} MB, ${(measured.peak / 1e6).toFixed(1)} MB at the peak ${measured.error}`,
  );
  return measured;
}

/** What the loader's own work takes: code, garbage not yet collected, a megabyte of a tensor on its way. */
const constant = 20e6;

/** A Llama of one layer in a GGUF file, matrices of zeros of this type. */
function ggufModel(file: string, width: number, vocabulary: number, type: 'F32' | 'F16' | 'Q8_0'): string {
  const bytes = { F32: 4, F16: 2, Q8_0: 34 / 32 } as const;
  const data = (kind: keyof typeof bytes, shape: readonly number[]): Uint8Array =>
    new Uint8Array(shape.reduce((n, d) => n * d, 1) * bytes[kind]);
  const matrix = (name: string, shape: readonly number[]): GgufTensorData => ({
    name: `${name}.weight`,
    type,
    shape,
    data: data(type, shape),
  });
  const norm = (name: string): GgufTensorData => ({ name: `${name}.weight`, type: 'F32', shape: [width], data: data('F32', [width]) });
  const square = [width, width];
  const parts = ['attn_q', 'attn_k', 'attn_v', 'attn_output', 'ffn_gate', 'ffn_up', 'ffn_down'];
  writeGguf(file, {
    metadata: {
      ...{ 'general.architecture': 'llama', 'llama.block_count': 1, 'llama.context_length': 64, 'llama.embedding_length': width },
      ...{ 'llama.feed_forward_length': width, 'llama.attention.head_count': 2, 'llama.attention.layer_norm_rms_epsilon': 1e-5 },
    },
    tensors: [
      matrix('token_embd', [vocabulary, width]),
      norm('output_norm'),
      norm('blk.0.attn_norm'),
      norm('blk.0.ffn_norm'),
      ...parts.map((name) => matrix(`blk.0.${name}`, square)),
    ],
  });
  return file;
}

function llama2cModel(file: string, dim: number): string {
  const [hidden, layers, heads, vocabulary, length] = [dim, 1, 2, 32, 64];
  const numbers = vocabulary * dim + layers * (2 * dim + 4 * dim * dim + 3 * dim * hidden) + dim + length * (dim / heads);
  const descriptor = openSync(file, 'w');
  writeSync(descriptor, new Uint8Array(Int32Array.of(dim, hidden, layers, heads, heads, vocabulary, length).buffer));
  const zeros = new Uint8Array(1 << 20);
  for (let left = 4 * numbers; left > 0; left -= zeros.length) writeSync(descriptor, zeros, 0, Math.min(left, zeros.length));
  closeSync(descriptor);
  return file;
}

const file = (name: string): string => join(scratch, name);

const measurable = existsSync('/proc/self/clear_refs');
if (!measurable) console.warn('loading-memory.test.ts is not run: it reads the peak of memory in /proc, which only Linux has');

describe.skipIf(!measurable)('a file of weights costs its own size', () => {
  test.each(['F32', 'F16', 'Q8_0'] as const)('GGUF of %s', (type) => {
    const [large, small] = [ggufModel(file('large.gguf'), 1536, 8192, type), ggufModel(file('small.gguf'), 64, 32, type)];
    const { size, peak, error } = measure('gguf', large, small);
    expect(error).toBe('');
    expect(peak).toBeGreaterThan(0.9 * size);
    expect(peak).toBeLessThan(size + constant);
  });
  test('llama2.c', () => {
    const { size, peak, error } = measure('llama2c', llama2cModel(file('large.bin'), 1536), llama2cModel(file('small.bin'), 32));
    expect(error).toBe('');
    expect(peak).toBeGreaterThan(0.9 * size);
    expect(peak).toBeLessThan(size + constant);
  });
  test('safetensors', () => {
    const written = (name: string, rows: number): string => {
      save_file({ w: torch.zeros([rows, 1024]), v: torch.zeros([rows, 1024]) }, file(name));
      return file(name);
    };
    const { size, peak } = measure('safetensors', written('large.safetensors', 8192), written('small.safetensors', 4));
    expect(peak).toBeGreaterThan(0.9 * size);
    expect(peak).toBeLessThan(size + constant);
  });
  test.each([true, false])('.pt, of the zip format: %s', (zip) => {
    const written = (name: string, rows: number): string => {
      torch.save({ w: torch.zeros([rows, 1024]), v: torch.zeros([rows, 1024]) }, file(name), { _use_new_zipfile_serialization: zip });
      return file(name);
    };
    const { size, peak } = measure('pt', written('large.pt', 8192), written('small.pt', 4));
    expect(peak).toBeGreaterThan(0.9 * size);
    expect(peak).toBeLessThan(size + constant);
  });
});

describe.skipIf(!measurable)('a hostile file costs no more, read or refused', () => {
  const little = (type: 'u32' | 'u64', x: number): Buffer => {
    const bytes = Buffer.alloc(type === 'u32' ? 4 : 8);
    bytes.writeUInt32LE(x % 2 ** 32);
    if (type === 'u64') bytes.writeUInt32LE(Math.floor(x / 2 ** 32), 4);
    return bytes;
  };
  /** A GGUF header with one array. */
  const withArray = (name: string, type: number, count: number, bytes: Uint8Array): string => {
    const head = [Buffer.from('GGUF'), little('u32', 3), little('u64', 0), little('u64', 1), little('u64', 1), Buffer.from('k')];
    writeFileSync(file(name), Buffer.concat([...head, little('u32', 9), little('u32', type), little('u64', count), bytes]));
    return file(name);
  };
  const small = (): string => withArray('few.gguf', 8, 1, Buffer.alloc(8));

  test.each([
    ['five million empty texts', 8, 5e6, 40e6],
    ['forty million bytes', 0, 40e6, 40e6],
    ['ten million numbers', 6, 10e6, 40e6],
  ])('GGUF metadata of %s', (_, type, count, bytes) => {
    const { size, peak, error } = measure('gguf header', withArray('many.gguf', type, count, Buffer.alloc(bytes)), small());
    expect(error).toBe('');
    expect(peak).toBeGreaterThan(0.9 * size);
    expect(peak).toBeLessThan(size + constant);
  });
  test('GGUF metadata of three million arrays', () => {
    // Each: of bytes, none of them.
    const { size, peak, error } = measure('gguf header', withArray('arrays.gguf', 9, 3e6, Buffer.alloc(36e6)), small());
    expect(error).toBe('');
    expect(peak).toBeLessThan(size + constant);
  });
  test.each([
    ['tensors', '{', (i: number) => `"${i}":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},`, 800_000],
    ['lists', '{"a":[', () => '[],', 13_000_000],
  ])('a safetensors header of many %s', (_, begin, part, count) => {
    const parts: string[] = [];
    for (let i = 0; i < count; i++) parts.push(part(i));
    const header = Buffer.from(begin + parts.join('') + (begin === '{' ? '"z":{}}' : '1]}'));
    writeFileSync(file('many.safetensors'), Buffer.concat([little('u64', header.length), header]));
    save_file({ w: torch.zeros([4]) }, file('small.safetensors'));
    const { size, peak, error } = measure('sliced safetensors', file('many.safetensors'), file('small.safetensors'));
    expect(error).toContain('more than 1048576 values in header');
    expect(peak).toBeLessThan(size + constant);
  });
});

describe.skipIf(!measurable)('a hostile pickle costs more than itself, but not without end', () => {
  test.each([
    ['lists', ']', 20e6],
    ['memo entries', '\x94', 20e6],
  ])('a pickle of twenty million %s', (what, op, count) => {
    torch.save(0, file('small.pt'), { _use_new_zipfile_serialization: false });
    const legacy = Buffer.from(torch.save(0, null, { _use_new_zipfile_serialization: false }));
    const at = legacy.indexOf(Buffer.of(0x80, 2, 0x4b, 0, 0x2e));
    writeFileSync(
      file('many.pt'),
      Buffer.concat([legacy.subarray(0, at), Buffer.from('\x80\x04N', 'latin1'), Buffer.alloc(count, op, 'latin1'), Buffer.from('.')]),
    );
    const { peak, error } = measure('pt', file('many.pt'), file('small.pt'));
    expect(error).toMatch(what === 'lists' ? /more than \d+ lists/ : /more than \d+ memo entries/);
    // What is made before the limit is a constant.
    expect(peak).toBeLessThan(250e6);
  });
});

/** Tensors through safetensors files: every dtype, odd shapes, and failures that leave what was there. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import torch, { type Tensor } from '../index.ts';
import { load, load_file, safe_open, save, save_file } from './safetensors.ts';
import { serializeSafetensors } from './safetensors-format.ts';

const folder = mkdtempSync(join(tmpdir(), 'magpie-safetensors-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const values = [0, 1, 2, 3, 0, 1];
const savedDtypes = [
  torch.float64,
  torch.float32,
  torch.float16,
  torch.bfloat16,
  torch.float8_e4m3fn,
  torch.float8_e5m2,
  torch.int64,
  torch.int32,
  torch.int16,
  torch.int8,
  torch.uint8,
  torch.bool,
  torch.complex64,
];

describe('saving and loading', () => {
  test.each(savedDtypes.map((dtype) => [dtype.name, dtype] as const))('%s keeps dtype, shape and values', (name, dtype) => {
    const file = join(folder, `${name}.safetensors`);
    const tensor = torch.tensor(values).view(2, 3).to(dtype);
    save_file({ tensor }, file);
    const back = load_file(file).get('tensor')!;
    expect(back.dtype).toBe(dtype);
    expect(back.shape).toEqual([2, 3]);
    expect(bits(back)).toEqual(bits(tensor));
  });

  test('keeps scalars, empty tensors, transposed views and metadata, and reads one tensor at a time', () => {
    const file = join(folder, 'shapes.safetensors');
    const matrix = torch.tensor([1, 2, 3, 4, 5, 6]).view(2, 3);
    save_file(
      new Map([
        ['scalar', torch.tensor(7)],
        ['empty', torch.zeros(0, 3)],
        ['view', matrix.t()],
      ]),
      file,
      { format: 'pt', note: 'é' },
    );
    using opened = safe_open(file);
    expect(opened.metadata()).toEqual({ format: 'pt', note: 'é' });
    expect(opened.keys().sort()).toEqual(['empty', 'scalar', 'view']);
    expect(opened.get_tensor('scalar').shape).toEqual([]);
    expect(opened.get_tensor('scalar').item()).toBe(7);
    expect(opened.get_tensor('empty').shape).toEqual([0, 3]);
    expect(opened.get_tensor('view').tolist()).toEqual(matrix.t().tolist());
    expect(() => opened.get_tensor('other')).toThrow(/does not contain tensor\n {2}in .*shapes\.safetensors, tensor "other"/);
  });

  test('in memory does the same, and what was loaded does not share the bytes', () => {
    const bytes = save({ a: torch.tensor([1, 2]) });
    const back = load(bytes).get('a')!;
    bytes.fill(0);
    expect(back.tolist()).toEqual([1, 2]);
  });
});

describe('failing', () => {
  test('to save leaves the old file and nothing beside it', () => {
    const file = join(folder, 'kept.safetensors');
    save_file({ a: torch.tensor([1]) }, file);
    const before = readFileSync(file);
    expect(() => save_file({ a: torch.zeros(2, { dtype: torch.complex128 }) }, file)).toThrow(/no dtype for torch\.complex128/);
    expect(readFileSync(file)).toEqual(before);
    expect(() => save_file({ a: torch.tensor([1]) }, join(folder, 'absent', 'x.safetensors'))).toThrow(/ENOENT/);
    expect(readdirSync(folder).filter((name) => name.endsWith('.part'))).toEqual([]);
  });

  test('to load names file and tensor: a dtype that we lack, a file cut off, a file that is none', () => {
    const unsigned = join(folder, 'u16.safetensors');
    writeFileSync(unsigned, serializeSafetensors([{ name: 'a', dtype: 'U16', shape: [1], data: new Uint8Array(2) }]));
    expect(() => load_file(unsigned)).toThrow(/no dtype here for U16\n {2}in .*u16\.safetensors, tensor "a"/);
    const cut = join(folder, 'cut.safetensors');
    writeFileSync(cut, save({ a: torch.tensor([1, 2]) }).slice(0, -1));
    expect(() => load_file(cut)).toThrow(/invalid offsets.*\n {2}in .*cut\.safetensors, tensor "a"/);
    expect(existsSync(join(folder, 'none.safetensors'))).toBe(false);
    expect(() => load_file(join(folder, 'none.safetensors'))).toThrow(/ENOENT/);
  });
});

function bits(tensor: Tensor): unknown[] {
  return [...(tensor.contiguous().reshape(-1).view(torch.uint8).numpy() as Uint8Array)];
}

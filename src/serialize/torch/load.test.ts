/** The recorded files of torch.save read as PyTorch says, and wrong files are refused in PyTorch's words. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import torch, { nn, type Tensor } from '../../index.ts';
import { save } from '../safetensors.ts';
import { PythonObject, SparseTensor } from './values.ts';
import { ZipReader } from './zip.ts';
import { ZipWriter } from './zip-write.ts';

const folder = mkdtempSync(join(tmpdir(), 'magpie-load-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const records = fileURLToPath(new URL('../../../../shared/conformance/models/pt/', import.meta.url));

/** A test that needs the recorded files and says so when they are not there. */
function recorded(name: string, body: () => void): void {
  test(name, (context) => {
    if (!existsSync(records)) {
      console.warn(`not run, ../shared/conformance/models/pt is absent: ${name}`);
      context.skip('shared/conformance is absent');
    }
    body();
  });
}
/** Through float32, as the record was made. */
const numbers = (t: unknown): unknown => (t as Tensor).detach().to(torch.float32).tolist();

/** Tensors as their dtype, shape and values; everything else as it is. */
function plain(x: unknown, seen = new Map<unknown, unknown>()): unknown {
  if (typeof x !== 'object' || x === null) return x;
  if (seen.has(x)) return seen.get(x);
  if (x instanceof torch.Tensor)
    return [x.dtype.name, x.shape, x.requires_grad, x.is_complex() ? torch.view_as_real(x).tolist() : x.tolist()];
  const out: unknown[] = [x.constructor?.name];
  seen.set(x, out);
  const entries: unknown[] =
    x instanceof Map || x instanceof Set ? [...(x as Iterable<unknown>)] : ArrayBuffer.isView(x) ? [String(x)] : Object.entries(x);
  out.push(...entries.map((entry) => (Array.isArray(entry) ? entry.map((y) => plain(y, seen)) : plain(entry, seen))));
  return out;
}

describe('recorded files', () => {
  /** Compares with mixed.expected.json: numbers as PyTorch's tolist, or the text that Python printed. */
  function checkMixed(got: Record<string, unknown>, expected: Record<string, unknown>): void {
    for (const name of 'f32 f64 f16 bf16 i64 i32 i16 i8 u8 bool empty view_t view_slice base param'.split(' '))
      expect(numbers(got[name]), name).toEqual(expected[name]);
    const dtypes = {
      f32: 'float32',
      f64: 'float64',
      f16: 'float16',
      bf16: 'bfloat16',
      i64: 'int64',
      i32: 'int32',
      i16: 'int16',
      i8: 'int8',
    };
    for (const [name, dtype] of Object.entries({ ...dtypes, u8: 'uint8', bool: 'bool', c64: 'complex64', scalar: 'float32' }))
      expect((got[name] as Tensor).dtype.name, name).toBe(dtype);
    expect(String(got['c64'])).toBe(expected['c64']);
    expect((got['scalar'] as Tensor).shape).toEqual([]);
    expect((got['scalar'] as Tensor).item()).toBe(expected['scalar']);
    expect((got['param'] as Tensor).requires_grad).toBe(true);
    expect(got['param']).toBeInstanceOf(nn.Parameter);
  }

  recorded('mixed.pt reads as mixed.expected.json says', () => {
    const expected = JSON.parse(readFileSync(`${records}mixed.expected.json`, 'utf8')) as Record<string, unknown>;
    const got = torch.load<Record<string, unknown>>(`${records}mixed.pt`);
    expect(Object.keys(got).sort()).toEqual(Object.keys(expected).sort());
    checkMixed(got, expected);
    expect(numbers(got['f8'])).toEqual(expected['f8']);
    expect((got['f8'] as Tensor).dtype).toBe(torch.float8_e4m3fn);
    const nested = got['nested'] as { a: unknown[]; od: Map<string, Tensor> };
    expect(nested.a).toEqual([1, 2.5, 'x', null, true, [1, 2]]);
    expect(Object.isFrozen(nested.a[5])).toBe(true);
    expect([...nested.od.keys()]).toEqual(['b']);
    expect(nested.od.get('b')!.tolist()).toEqual([0, 0]);
    const sparse = got['sparse'] as SparseTensor;
    expect(sparse).toBeInstanceOf(SparseTensor);
    expect(sparse.indices.tolist()).toEqual([
      [0, 1, 2],
      [0, 1, 2],
    ]);
    expect(sparse.to_dense().tolist()).toEqual([
      [1, 0, 0],
      [0, 1, 0],
      [0, 0, 1],
    ]);
    expect(got['dtype']).toBe(torch.float32);
    expect(got['size']).toEqual([2, 3]);
    expect(got['int_big']).toBe(BigInt(expected['int_big'] as string));
    expect(Buffer.from(got['bytes'] as Uint8Array).toString()).toBe('abc');
    expect(got['set']).toEqual(new Set([1, 2]));
  });

  recorded('views of mixed.pt share the memory of their base', () => {
    const got = torch.load<Record<string, Tensor>>(`${records}mixed.pt`);
    expect(got['view_t'].is_contiguous()).toBe(false);
    got['base'].fill_(7);
    expect(got['view_slice'].tolist()).toEqual([
      [7, 7, 7],
      [7, 7, 7],
    ]);
    expect(got['view_t'].sum().item()).toBe(7 * 24);
  });

  recorded('legacy.pt holds the tensors of mixed.pt', () => {
    const legacy = torch.load<Record<string, unknown>>(`${records}legacy.pt`);
    const expected = JSON.parse(readFileSync(`${records}mixed.expected.json`, 'utf8')) as Record<string, unknown>;
    checkMixed(legacy, expected);
    (legacy['base'] as Tensor).zero_();
    expect((legacy['view_slice'] as Tensor).sum().item()).toBe(0);
  });

  recorded('state_dict.pt loads into the module that it was saved from', () => {
    const state = torch.load<Map<string, Tensor>>(`${records}state_dict.pt`);
    expect([...state.keys()]).toEqual([
      '0.weight',
      '0.bias',
      '1.weight',
      '1.bias',
      '1.running_mean',
      '1.running_var',
      '1.num_batches_tracked',
    ]);
    const model = new nn.Sequential(new nn.Linear(4, 3), new nn.BatchNorm1d(3));
    model.load_state_dict(state);
    expect((model.get_parameter('0.weight') as Tensor).tolist()).toEqual(state.get('0.weight')!.tolist());
  });

  recorded('checkpoint.pt resumes model and optimizer', () => {
    const saved = torch.load<Record<string, unknown>>(`${records}checkpoint.pt`);
    const model = new nn.Sequential(new nn.Linear(4, 3), new nn.BatchNorm1d(3));
    const found = Object.values(saved);
    const state = found.find((x) => x instanceof Map) as Map<string, Tensor>;
    model.load_state_dict(state);
    const optimizer = found.find((x) => typeof x === 'object' && x !== null && 'param_groups' in x) as {
      state: Record<string, { step: Tensor; exp_avg: Tensor }>;
      param_groups: { params: number[]; lr: number }[];
    };
    expect(optimizer.param_groups[0].params).toEqual([0, 1, 2, 3]);
    expect(optimizer.state['0'].exp_avg.shape).toEqual([3, 4]);
    expect(optimizer.state['0'].step.item()).toBeGreaterThan(0);
  });

  recorded('whole_module.pt is refused by name, and is inert data when asked for', () => {
    expect(() => torch.load(`${records}whole_module.pt`)).toThrow(
      'Unsupported global: GLOBAL torch.nn.modules.container.Sequential was not an allowed global by default. Please use `torch.serialization.add_safe_globals([torch.nn.modules.container.Sequential])`',
    );
    expect(() => torch.load(`${records}whole_module.pt`)).toThrow(/^Weights only load failed\. This file can still be loaded/);
    const whole = torch.load<PythonObject>(`${records}whole_module.pt`, { weights_only: false });
    expect(whole).toBeInstanceOf(PythonObject);
    expect(whole.type).toBe('torch.nn.modules.container.Sequential');
    const state = torch.load<Map<string, Tensor>>(`${records}state_dict.pt`);
    const own = whole.state_dict();
    expect([...own.keys()].sort()).toEqual([...state.keys()].sort());
    for (const [name, t] of own) expect(t.tolist()).toEqual(state.get(name)!.tolist());
  });

  for (const name of ['state_dict', 'checkpoint', 'legacy', 'mixed', 'whole_module'])
    recorded(`${name}.pt is written again and says the same`, () => {
      const options = { weights_only: name !== 'whole_module' };
      const read = torch.load(`${records}${name}.pt`, options);
      // mixed.pt holds a dtype that the format before PyTorch 1.6 has not.
      for (const zip of name === 'mixed' ? [true] : [true, false]) {
        const again = torch.load(torch.save(read, null, { _use_new_zipfile_serialization: zip }), options);
        expect(plain(again)).toEqual(plain(read));
      }
    });

  recorded('cnn.onnx is not a file of torch.save', () => {
    expect(() => torch.load(`${records}cnn.onnx`)).toThrow(/Weights only load failed.*Unsupported operand \d+/s);
  });
});

describe('wrong files', () => {
  const written = (name: string, bytes: Uint8Array | string): string => {
    const file = join(folder, name);
    writeFileSync(file, bytes);
    return file;
  };

  test('a file that is not there is named', () => {
    expect(() => torch.load('/nowhere/x.pt')).toThrow("[Errno 2] No such file or directory: '/nowhere/x.pt'");
  });
  test('an empty file ran out of input', () => {
    expect(() => torch.load(written('empty.pt', ''))).toThrow('Ran out of input');
  });
  test('text is no pickle', () => {
    expect(() => torch.load(written('text.pt', 'Once upon a time'))).toThrow('it is text that begins with "Once upon a time"');
  });
  test('another pickle has the wrong magic number', () => {
    expect(() => torch.load(Uint8Array.of(0x80, 2, 0x4b, 1, 0x2e))).toThrow('Invalid magic number; corrupt file?');
  });
  test('the head of an archive lacks its directory', () => {
    const whole = torch.save({ a: torch.ones([100]) });
    expect(() => torch.load(whole.subarray(0, 200))).toThrow(
      'PytorchStreamReader failed reading zip archive: failed finding central directory',
    );
  });
  test('a call of os.system is refused, and is data with weights_only false', () => {
    const evil = Buffer.from('\x80\x02cos\nsystem\nX\x04\x00\x00\x00echo\x85R.', 'latin1');
    expect(() => torch.load(legacy(evil))).toThrow('Trying to load unsupported GLOBAL os.system whose module os is blocked.');
    const read = torch.load<PythonObject>(legacy(evil), { weights_only: false });
    expect(read.type).toBe('os.system');
    expect(read.args).toEqual(['echo']);
  });
  test('eval is refused by its name without the module', () => {
    const evil = Buffer.from('\x80\x02c__builtin__\neval\nX\x01\x00\x00\x001\x85R.', 'latin1');
    expect(() => torch.load(legacy(evil))).toThrow('GLOBAL eval was not an allowed global by default');
  });
  test('a tensor beyond its storage is refused', () => {
    const bytes = torch.save({ a: torch.arange(100).to(torch.float32) });
    // The size (100,) is BININT1 100, TUPLE1: make it 101.
    const at = Buffer.from(bytes).lastIndexOf(Buffer.from([0x4b, 100, 0x85]));
    bytes[at + 1] = 101;
    expect(() => torch.load(bytes)).toThrow(
      'setStorage: sizes [101], strides [1], storage offset 0, and itemsize 4 requiring a storage size of 404 are out of bounds for storage of size 400',
    );
  });
  test('bytes of a Buffer are copied', () => {
    const file = Buffer.from(torch.save({ bytes: Uint8Array.of(1, 2) }));
    const { bytes } = torch.load<{ bytes: Uint8Array }>(file);
    file.fill(0);
    expect(bytes).toEqual(Uint8Array.of(1, 2));
    expect(Buffer.isBuffer(bytes)).toBe(false);
  });
  test('mmap wants a path and the zip format', () => {
    const file = join(folder, 'mapped.pt');
    torch.save([torch.ones([3])], file);
    expect(torch.load<Tensor[]>(file, { mmap: true })[0].tolist()).toEqual([1, 1, 1]);
    expect(() => torch.load(torch.save([1]), { mmap: true })).toThrow('f must be a file path in order to use the mmap argument');
    expect(() => torch.load(torch.save([1], null, { _use_new_zipfile_serialization: false }), { mmap: true })).toThrow(
      'mmap can only be used with files saved with',
    );
  });
  test('lists nested too deep to walk are read all the same', () => {
    const depth = 100_000;
    const deep = Buffer.concat([Buffer.of(0x80, 2), Buffer.alloc(depth, 0x5d), Buffer.alloc(depth - 1, 0x61), Buffer.of(0x2e)]);
    let list = torch.load<unknown[]>(legacy(deep));
    let count = 1;
    for (; list.length > 0; count++) list = list[0] as unknown[];
    expect(count).toBe(depth);
  });

  /** A legacy file around a pickle. */
  function legacy(pickle: Uint8Array): Uint8Array {
    const file = Buffer.from(torch.save(0, null, { _use_new_zipfile_serialization: false }));
    const zero = Buffer.of(0x80, 2, 0x4b, 0, 0x2e);
    const at = file.indexOf(zero);
    return new Uint8Array(Buffer.concat([file.subarray(0, at), pickle, file.subarray(at + zero.length)]));
  }
});

test('numbers of a big-endian machine are turned round', () => {
  const bytes = torch.save([torch.tensor([1.5, -2]), torch.tensor([1n, 256n]), torch.ones([1]).to(torch.complex128)]);
  const zip = new ZipReader({ size: bytes.length, read: (at, n) => bytes.slice(at, at + n) });
  const chunks: Uint8Array[] = [];
  const other = new ZipWriter((part) => chunks.push(part));
  const widths: Readonly<Record<string, number>> = { 'data/0': 4, 'data/1': 8, 'data/2': 8 };
  for (const name of zip.names()) {
    const data = Buffer.from(zip.read(name));
    if (widths[name] === 4) data.swap32();
    else if (widths[name] === 8) data.swap64();
    other.add(`x/${name}`, name === 'byteorder' ? Buffer.from('big') : data);
  }
  other.finish();
  const [real, whole, complex] = torch.load<Tensor[]>(Buffer.concat(chunks));
  expect(real.tolist()).toEqual([1.5, -2]);
  expect(whole.tolist()).toEqual([1, 256]);
  expect(complex.tolist()).toEqual([{ re: 1, im: 0 }]);
});

describe('map_location', () => {
  const cuda = (): Uint8Array => {
    const bytes = Buffer.from(torch.save([torch.ones([2])]));
    // Another location of the same length in the pickle.
    const at = bytes.indexOf(Buffer.from('X\x03\x00\x00\x00cpu', 'latin1'));
    bytes.write('xpu', at + 5, 'latin1');
    return new Uint8Array(bytes);
  };
  test('a location that is not here is an error', () => {
    expect(() => torch.load(cuda())).toThrow("don't know how to restore data location of torch.storage.UntypedStorage (tagged with xpu)");
  });
  test.each([
    ['a device', 'cpu'],
    ['a table', { xpu: 'cpu' }],
    ['a Map', new Map([['xpu', 'cpu']])],
    ['a function of the location', (_: unknown, location: string) => (location === 'xpu' ? 'cpu' : null)],
    ['a function that returns the storage', (storage: never) => storage],
  ] as const)('%s moves it', (_, map_location) => {
    const [t] = torch.load<Tensor[]>(cuda(), { map_location: map_location as never });
    expect(t.device).toBe('cpu');
    expect(t.tolist()).toEqual([1, 1]);
  });
  test('another device of this library', () => {
    const [t] = torch.load<Tensor[]>(torch.save([torch.ones([2])]), { map_location: 'reference' });
    expect(t.device).toBe('reference');
  });
});

describe('a file that is not of torch.save', () => {
  test.each([
    ['safetensors', Buffer.from(save({ w: torch.ones([2]) })), 'it is a safetensors file (load_file of torch-magpie/safetensors reads it)'],
    ['GGUF', Buffer.from('GGUF\x03\0\0\0'), 'it is a GGUF file'],
    ['text', Buffer.from('epoch,loss\n1,2.5\n'), 'it is text that begins with "epoch,loss\\n1,2.5\\n"'],
    ['a pointer of Git LFS', Buffer.from('version https://git-lfs.github.com/spec/v1\noid sha256:1'), 'git lfs pull'],
    ['an array of NumPy', Buffer.from('\x93NUMPY\x01\0', 'latin1'), 'NumPy'],
    ['an empty one', Buffer.alloc(0), 'Ran out of input'],
  ])('%s is named, and the file', (_, bytes, message) => {
    const folder = mkdtempSync(join(tmpdir(), 'magpie-load-'));
    const file = join(folder, 'model.pt');
    writeFileSync(file, bytes);
    try {
      expect(() => torch.load(file)).toThrow(message);
      expect(() => torch.load(file)).toThrow(`in ${file}`);
      expect(() => torch.load(bytes)).toThrow(message);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
  test('an option that load does not have is refused', () => {
    expect(() => torch.load('nowhere', { weights_onyl: true } as object)).toThrow(
      "load() got an unexpected keyword argument 'weights_onyl'",
    );
  });
});

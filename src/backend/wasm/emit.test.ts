import { describe, expect, test } from 'vitest';
import { encodeInto, makeArray } from '../../dtype/codec.ts';
import type { DType } from '../../dtype/dtype.ts';
import * as D from '../../dtype/dtype.ts';
import type { ComputeType, ScalarOp } from '../../kernel/scalar.ts';
import { scalarOps } from '../../kernel/scalar.ts';
import type {
  Address,
  ElementName,
  IndexOp,
  IndexOperand,
  Register,
  RegisterType,
  VectorKernel,
  VectorStatement,
  VectorType,
} from '../../kernel/vector-ir.ts';
import { elementTypes } from '../../kernel/vector-ir.ts';
import { kernelSource } from './emit.ts';
import { WasmRuntime } from './runtime.ts';
import { differences } from './test-support.ts';

/** A hand-built kernel: statements are appended, registers numbered. */
class Build {
  readonly body: VectorStatement[] = [];
  count = 2;
  readonly begin: Register = { id: 0, type: 'index' };
  readonly end: Register = { id: 1, type: 'index' };
  register(type: RegisterType): Register {
    return { id: this.count++, type };
  }
  buffer(slot: number): Register {
    const dst = this.register('index');
    this.body.push({ kind: 'buffer', dst, slot });
    return dst;
  }
  push(s: VectorStatement): void {
    this.body.push(s);
  }
  kernel(lanes: 2 | 4, dtypes: readonly DType[], params: VectorKernel['params'] = []): VectorKernel {
    const buffers = dtypes.map((dtype) => ({ dtype, access: 'readwrite' as const }));
    return { name: 'hand', lanes, buffers, params, begin: this.begin, end: this.end, body: this.body, registerCount: this.count };
  }
}
const at = (base: Register, index: Register | null, scale: 1 | 2 | 4 | 8, displacement = 0): Address => ({
  base,
  index,
  scale,
  displacement,
});
const nameOf = (dtype: DType): ElementName => dtype.name as ElementName;
const scaleOf = (dtype: DType): 1 | 2 | 4 | 8 => dtype.itemsize as 1 | 2 | 4 | 8;
const dtypeOf = { f32: D.float32, f64: D.float64, i32: D.int32, i64: D.int64, mask: D.bool } as const satisfies Record<VectorType, DType>;

const floats = [
  0,
  -0,
  1,
  -1,
  0.5,
  -0.5,
  1.5,
  2.5,
  -2.5,
  3.7,
  -3.7,
  1e-40,
  -1e-45,
  2 ** 31,
  -(2 ** 31),
  2147483520,
  2 ** 33,
  -(2 ** 40),
  2 ** 63,
  -(2 ** 63),
  2 ** 70,
  3.4e38,
  Infinity,
  -Infinity,
  NaN,
  65504,
  65519,
  65520,
  448,
  464,
  465,
  480,
  57344,
  61439,
  61440,
  2 ** -14,
  2 ** -15,
  2 ** -24,
  2 ** -25,
  3 * 2 ** -25,
  2 ** -6,
  2 ** -9,
  2 ** -10,
  3 * 2 ** -10,
  2 ** -16,
  1 + 2 ** -8,
  1 + 3 * 2 ** -8,
  1.0009765625,
];
const ints = [
  0,
  1,
  -1,
  2,
  3,
  -7,
  7,
  31,
  32,
  33,
  -32,
  100,
  127,
  128,
  255,
  256,
  -128,
  -129,
  32767,
  32768,
  65535,
  2 ** 31 - 1,
  -(2 ** 31),
  -(2 ** 31) + 1,
  12345678,
  -87654321,
];
const bigs = [...ints.map(BigInt), 63n, 64n, 65n, 2n ** 40n, -(2n ** 40n), 2n ** 53n, 2n ** 63n - 1n, -(2n ** 63n), 123456789012345n];

/** `length` elements, the specials first in a stride that pairs them differently per `phase`. */
function data(dtype: DType, length: number, phase: number): Uint8Array {
  const array = makeArray(dtype, length);
  const table: readonly (number | bigint | boolean)[] =
    dtype.kind === 'float' ? floats : dtype.kind === 'bool' ? [false, true, true, false, true] : dtype === D.int64 ? bigs : ints;
  for (let i = 0; i < length; i++) {
    const turn = Math.floor(i / table.length);
    encodeInto(dtype, array, i, table[(i * (phase + 1) + turn * phase) % table.length]);
  }
  return new Uint8Array(array.buffer);
}

/** A flat kernel over [begin, end): loads the inputs, computes, stores; the last vector partial. */
function flat(lanes: 2 | 4, inputs: readonly DType[], output: DType, compute: (b: Build, args: Register[]) => Register): VectorKernel {
  const b = new Build();
  const bases = [...inputs, output].map((_, i) => b.buffer(i));
  const counter = b.register('index');
  const body: VectorStatement[] = [];
  const left = b.register('index');
  body.push({ kind: 'index', op: 'sub', dst: left, args: [b.end, counter] });
  const args = inputs.map((dtype, i) => {
    const dst = b.register(elementTypes[nameOf(dtype)]);
    body.push({ kind: 'load', dst, dtype: nameOf(dtype), address: at(bases[i], counter, scaleOf(dtype)), count: left, mask: null });
    return dst;
  });
  const outer = b.body.length;
  const src = compute(b, args);
  body.push(...b.body.splice(outer));
  body.push({
    kind: 'store',
    src,
    dtype: nameOf(output),
    address: at(bases[inputs.length], counter, scaleOf(output)),
    count: left,
    mask: null,
  });
  b.push({ kind: 'loop', counter, from: b.begin, to: b.end, step: lanes, body });
  return b.kernel(lanes, [...inputs, output]);
}
function check(kernel: VectorKernel, length = 2351): string[] {
  const dtypes = kernel.buffers.map((b) => b.dtype);
  return differences(
    kernel,
    dtypes,
    dtypes.map((d, i) => data(d, length, i)),
    [],
    0,
    length,
  );
}

const typesFor = (op: ScalarOp): VectorType[] => {
  switch (scalarOps[op].operands) {
    case 'float':
      return ['f32', 'f64'];
    case 'int':
      return ['i32', 'i64'];
    case 'number':
      return op === 'idiv' || op === 'irem' ? ['i32', 'i64'] : ['f32', 'f64', 'i32', 'i64'];
    case 'bits':
      return ['i32', 'i64', 'mask'];
    default:
      return ['f32', 'f64', 'i32', 'i64', 'mask'];
  }
};
const lanesFor = (...types: VectorType[]): (2 | 4)[] => (types.includes('f64') || types.includes('i64') ? [2] : [2, 4]);
const basicOps = (Object.keys(scalarOps) as ScalarOp[]).filter((op) => scalarOps[op].level === 'basic');

describe('wasm kernels compute as the interpreter does', () => {
  test.each(basicOps)('%s, on every type and lane count, special values included', (op) => {
    for (const type of typesFor(op)) {
      for (const lanes of lanesFor(type)) {
        const arity = scalarOps[op].arity;
        const inputs = Array.from({ length: arity }, (_, i) => (op === 'select' && i === 0 ? D.bool : dtypeOf[type]));
        const resultType: VectorType = scalarOps[op].result === 'bool' ? 'mask' : type;
        const kernel = flat(lanes, inputs, dtypeOf[resultType], (b, args) => {
          const dst = b.register(resultType);
          b.push({ kind: 'vector', op, dst, args });
          return dst;
        });
        expect(check(kernel), `${op} ${type} ${lanes}`).toEqual([]);
      }
    }
  });

  test.each(['shl', 'shr', 'ushr'] as const)('%s by a constant, in range and out', (op) => {
    for (const type of ['i32', 'i64'] as const) {
      for (const amount of [0, 1, 5, 31, 32, 63, 64, -1]) {
        const kernel = flat(type === 'i64' ? 2 : 4, [dtypeOf[type]], dtypeOf[type], (b, [a]) => {
          const by = b.register(type);
          const dst = b.register(type);
          b.push({ kind: 'splat-const', dst: by, value: type === 'i64' ? BigInt(amount) : amount });
          b.push({ kind: 'vector', op, dst, args: [a, by] });
          return dst;
        });
        expect(check(kernel, 101), `${op} ${type} ${amount}`).toEqual([]);
      }
    }
  });

  test('casts between all pairs of types', () => {
    const types = Object.keys(dtypeOf) as VectorType[];
    for (const from of types) {
      for (const to of types) {
        if (from === to) continue;
        for (const lanes of lanesFor(from, to)) {
          const kernel = flat(lanes, [dtypeOf[from]], dtypeOf[to], (b, [a]) => {
            const dst = b.register(to);
            b.push({ kind: 'cast', dst, src: a });
            return dst;
          });
          expect(check(kernel, 301), `${from} to ${to}, ${lanes} lanes`).toEqual([]);
        }
      }
    }
  });

  test('bitcasts and rounds', () => {
    for (const [from, to] of [
      ['f32', 'i32'],
      ['i32', 'f32'],
      ['f64', 'i64'],
      ['i64', 'f64'],
    ] as const) {
      for (const lanes of lanesFor(from)) {
        const kernel = flat(lanes, [dtypeOf[from]], dtypeOf[to], (b, [a]) => {
          const dst = b.register(to);
          b.push({ kind: 'bitcast', dst, src: a });
          return dst;
        });
        expect(check(kernel, 301), `${from} to ${to}`).toEqual([]);
      }
    }
    for (const dtype of [D.float16, D.bfloat16, D.float8_e4m3fn, D.float8_e5m2, D.float32, D.int8, D.int16, D.uint8, D.int32, D.bool]) {
      const type = elementTypes[nameOf(dtype)];
      for (const lanes of [2, 4] as const) {
        const kernel = flat(lanes, [dtypeOf[type]], dtypeOf[type], (b, [a]) => {
          const dst = b.register(type);
          b.push({ kind: 'round', dst, src: a, dtype: nameOf(dtype) });
          return dst;
        });
        expect(check(kernel, 301), dtype.name).toEqual([]);
      }
    }
  });

  test('every dtype loads, stores, broadcasts, gathers and scatters, masked and partial', () => {
    for (const dtype of D.dtypes) {
      if (dtype.is_complex) continue;
      const type = elementTypes[nameOf(dtype)];
      for (const lanes of lanesFor(type)) {
        for (let length = 0; length <= 9; length++) {
          const copy = flat(lanes, [dtype], dtype, (_, [a]) => a);
          expect(check(copy, length), `${dtype.name} copy of ${length}`).toEqual([]);
        }
        const name = nameOf(dtype);
        const scale = scaleOf(dtype);
        for (const displacement of [0, 3 * dtype.itemsize, 5000 * dtype.itemsize]) {
          for (const wideIndex of lanes === 2 ? [false, true] : [false]) {
            const b = new Build();
            const [source, picks, mask, out] = [0, 1, 2, 3].map((slot) => b.buffer(slot));
            const counter = b.register('index');
            const body: VectorStatement[] = [];
            const indices = b.register(wideIndex ? 'i64' : 'i32');
            const on = b.register('mask');
            const [got, loaded, both, value] = [0, 1, 2, 3].map(() => b.register(type));
            const one = b.register(type);
            const outBase = b.register('index');
            body.push(
              { kind: 'load', dst: indices, dtype: 'int64', address: at(picks, counter, 8), count: null, mask: null },
              { kind: 'load', dst: on, dtype: 'bool', address: at(mask, counter, 1), count: null, mask: null },
              { kind: 'gather', dst: got, dtype: name, base: source, displacement, indices, mask: on },
              { kind: 'gather', dst: value, dtype: name, base: source, displacement, indices, mask: null },
              { kind: 'load', dst: loaded, dtype: name, address: at(source, counter, scale, displacement), count: null, mask: on },
              { kind: 'broadcast', dst: one, dtype: name, address: at(source, counter, scale, displacement) },
              { kind: 'vector', op: 'select', dst: both, args: [on, loaded, one] },
              { kind: 'address', dst: outBase, address: at(out, null, 1, displacement) },
              { kind: 'store', src: got, dtype: name, address: at(outBase, counter, scale), count: null, mask: null },
              {
                kind: 'store',
                src: value,
                dtype: name,
                address: at(outBase, counter, scale, 64 * dtype.itemsize),
                count: null,
                mask: null,
              },
              {
                kind: 'store',
                src: loaded,
                dtype: name,
                address: at(outBase, counter, scale, 128 * dtype.itemsize),
                count: null,
                mask: on,
              },
              { kind: 'store', src: both, dtype: name, address: at(outBase, counter, scale, 192 * dtype.itemsize), count: 1, mask: null },
              { kind: 'scatter', src: one, dtype: name, base: outBase, displacement: 256 * dtype.itemsize, indices, mask: on },
              { kind: 'scatter', src: loaded, dtype: name, base: outBase, displacement: 320 * dtype.itemsize, indices, mask: null },
            );
            b.push({ kind: 'loop', counter, from: b.begin, to: b.end, step: lanes, body });
            const dtypes = [dtype, D.int64, D.bool, dtype];
            const kernel = b.kernel(lanes, dtypes);
            const indexBytes = new Uint8Array(BigInt64Array.from({ length: 40 }, (_, i) => BigInt((i * 7) % 40)).buffer);
            const size = displacement / dtype.itemsize + 420;
            const found = differences(
              kernel,
              dtypes,
              [data(dtype, size, 1), indexBytes, data(D.bool, 40, 2), data(dtype, size, 3)],
              [],
              0,
              40,
            );
            expect(found, `${dtype.name}, ${lanes} lanes, displacement ${displacement}`).toEqual([]);
          }
        }
      }
    }
  });

  test('bytes of all patterns decode, and float bits around every rounding edge encode', () => {
    for (const dtype of [D.float16, D.bfloat16, D.float8_e4m3fn, D.float8_e5m2]) {
      const count = 2 ** (8 * dtype.itemsize);
      const bytes = new Uint8Array(
        dtype.itemsize === 1 ? Uint8Array.from({ length: count }, (_, i) => i) : Uint16Array.from({ length: count }, (_, i) => i).buffer,
      );
      const widen = flat(4, [dtype], D.float32, (_, [a]) => a);
      expect(differences(widen, [dtype, D.float32], [bytes, new Uint8Array(4 * count)], [], 0, count), dtype.name).toEqual([]);
      // midpoints between neighbours, and one float32 step to either side
      const patterns = new Uint32Array(count * 3);
      const shift = dtype === D.float16 ? 12 : dtype === D.bfloat16 ? 15 : dtype === D.float8_e4m3fn ? 19 : 20;
      for (let i = 0; i < patterns.length; i++) patterns[i] = (((i * 2654435761) >>> shift) << shift) + (i % 3) - 1;
      const narrow = flat(4, [D.float32], dtype, (_, [a]) => a);
      expect(
        differences(
          narrow,
          [D.float32, dtype],
          [new Uint8Array(patterns.buffer), new Uint8Array(patterns.length * dtype.itemsize)],
          [],
          0,
          patterns.length,
        ),
        dtype.name,
      ).toEqual([]);
    }
  });

  test('index arithmetic, ifs, assigned accumulators and nested loops', () => {
    const operations: IndexOp[] = ['add', 'sub', 'mul', 'idiv', 'irem', 'min', 'max', 'and', 'or', 'xor', 'lt', 'le', 'eq', 'ne'];
    const b = new Build();
    const out = b.buffer(0);
    const store = (index: Register, position: IndexOperand): VectorStatement[] => {
      const v = b.register('i32');
      const address = b.register('index');
      return [
        { kind: 'splat', dst: v, src: index },
        { kind: 'index', op: 'mul', dst: address, args: [position, 4] },
        { kind: 'store', src: v, dtype: 'int32', address: at(out, address, 1), count: 1, mask: null },
      ];
    };
    const p = b.register('index');
    const q = b.register('index');
    b.push({ kind: 'param', dst: p, slot: 0 });
    b.push({ kind: 'param', dst: q, slot: 1 });
    let position = 0;
    for (const op of operations) {
      for (const args of [
        [p, q],
        [q, p],
        [p, 5],
        [3, q],
      ] as IndexOperand[][]) {
        const dst = b.register('index');
        b.push({ kind: 'index', op, dst, args });
        for (const s of store(dst, position++)) b.push(s);
      }
    }
    const chosen = b.register('index');
    b.push({ kind: 'index', op: 'select', dst: chosen, args: [p, q, 9] });
    for (const s of store(chosen, position++)) b.push(s);
    // The loop's bound changes inside the loop and must not matter.
    const bound = b.register('index');
    const bound2 = b.register('index');
    const sum = b.register('index');
    const i = b.register('index');
    const j = b.register('index');
    const product = b.register('index');
    const added = b.register('index');
    b.push({ kind: 'index-const', dst: bound, value: 7 });
    b.push({ kind: 'index-const', dst: bound2, value: 100 });
    b.push({ kind: 'index-const', dst: sum, value: 0 });
    b.push({
      kind: 'loop',
      counter: i,
      from: 1,
      to: bound,
      step: 2,
      body: [
        { kind: 'assign', dst: bound, src: bound2 },
        {
          kind: 'loop',
          counter: j,
          from: i,
          to: 9,
          step: 3,
          body: [
            { kind: 'index', op: 'mul', dst: product, args: [i, j] },
            {
              kind: 'if',
              op: 'lt',
              a: j,
              b: 6,
              then: [
                { kind: 'index', op: 'add', dst: added, args: [sum, product] },
                { kind: 'assign', dst: sum, src: added },
              ],
              else: [{ kind: 'if', op: 'ne', a: i, b: 3, then: [{ kind: 'assign', dst: sum, src: j }], else: [] }],
            },
          ],
        },
      ],
    });
    for (const s of store(sum, position++)) b.push(s);
    const kernel = b.kernel(4, [D.int32], ['index', 'index']);
    for (const [x, y] of [
      [7, 3],
      [-7, 3],
      [12, 0],
      [0, 5],
      [1000, -13],
    ] as const) {
      // the oracle's and the device's bitwise operations agree on 32 bits only for what fits them, as all indices do
      expect(differences(kernel, [D.int32], [new Uint8Array(4 * position)], [x, y], 0, 0), `${x} ${y}`).toEqual([]);
    }
  });

  test('parameters, iota, lane masks, swaps, splats, extracts and mask tests', () => {
    for (const lanes of [2, 4] as const) {
      const types: VectorType[] = lanes === 2 ? ['f32', 'f64', 'i32', 'i64'] : ['f32', 'i32'];
      for (const type of types) {
        const b = new Build();
        const input = b.buffer(0);
        const out = b.buffer(1);
        const size = scaleOf(dtypeOf[type]);
        const name = nameOf(dtypeOf[type]);
        let at_ = 0;
        const save = (src: Register): void => {
          b.push({ kind: 'store', src, dtype: name, address: at(out, null, 1, at_), count: null, mask: null });
          at_ += size * lanes;
        };
        const saveMask = (mask: Register): void => {
          const v = b.register(type);
          b.push({ kind: 'cast', dst: v, src: mask });
          save(v);
        };
        const saveIndex = (index: Register): void => {
          const m = b.register(lanes === 2 ? 'i64' : 'i32');
          const v = b.register(type);
          b.push({ kind: 'splat', dst: m, src: index });
          b.push(m.type === type ? { kind: 'assign', dst: m, src: m } : { kind: 'cast', dst: v, src: m });
          save(m.type === type ? m : v);
        };
        const param = b.register(type);
        const flag = b.register('mask');
        b.push({ kind: 'param', dst: param, slot: 0 });
        b.push({ kind: 'param', dst: flag, slot: 1 });
        save(param);
        saveMask(flag);
        const value = b.register(type);
        b.push({ kind: 'load', dst: value, dtype: name, address: at(input, null, 1, size), count: null, mask: null });
        for (const distance of lanes === 2 ? [1] : [1, 2]) {
          const dst = b.register(type);
          b.push({ kind: 'swap', dst, src: value, distance });
          save(dst);
        }
        const first = b.register(type);
        b.push({ kind: 'splat-lane', dst: first, src: value });
        save(first);
        for (let count = -1; count <= lanes + 1; count++) {
          const n = b.register('index');
          const mask = b.register('mask');
          b.push({ kind: 'index-const', dst: n, value: count });
          b.push({ kind: 'lane-mask', dst: mask, count: n });
          saveMask(mask);
          for (const check of ['any', 'all'] as const) {
            const dst = b.register('index');
            b.push({ kind: 'mask-test', test: check, dst, src: mask });
            saveIndex(dst);
          }
          const bit = b.register('index');
          b.push({ kind: 'extract', dst: bit, src: mask });
          saveIndex(bit);
          const again = b.register('mask');
          b.push({ kind: 'splat', dst: again, src: bit });
          saveMask(again);
        }
        if (type === 'i32' || type === 'i64') {
          const steps = b.register(type);
          const lane = b.register('index');
          b.push({ kind: 'iota', dst: steps, src: -5 });
          save(steps);
          b.push({ kind: 'extract', dst: lane, src: steps });
          saveIndex(lane);
        }
        const constant = b.register(type);
        b.push({ kind: 'splat-const', dst: constant, value: type === 'i64' ? -(2n ** 62n) : type === 'i32' ? -9 : -0 });
        save(constant);
        const kernel = b.kernel(lanes, [dtypeOf[type], dtypeOf[type]], [type as ComputeType, 'bool']);
        const parameter = type === 'i64' ? 2n ** 60n : type === 'i32' ? -77 : 0.1;
        for (const on of [true, false]) {
          const found = differences(
            kernel,
            [dtypeOf[type], dtypeOf[type]],
            [data(dtypeOf[type], 8, 2), new Uint8Array(at_)],
            [parameter, on],
            0,
            0,
          );
          expect(found, `${type} ${lanes}`).toEqual([]);
        }
      }
    }
  });

  test('load-index reads every integer dtype, signed and unsigned', () => {
    for (const dtype of [D.int64, D.int32, D.int16, D.int8, D.uint8, D.bool]) {
      const b = new Build();
      const input = b.buffer(0);
      const out = b.buffer(1);
      const counter = b.register('index');
      const value = b.register('index');
      const v = b.register('i32');
      b.push({
        kind: 'loop',
        counter,
        from: b.begin,
        to: b.end,
        step: 1,
        body: [
          { kind: 'load-index', dst: value, dtype: nameOf(dtype), address: at(input, counter, scaleOf(dtype)) },
          { kind: 'splat', dst: v, src: value },
          { kind: 'store', src: v, dtype: 'int32', address: at(out, counter, 4), count: 1, mask: null },
        ],
      });
      const small = makeArray(dtype, 6);
      [0, 1, -1, 100, -100, 255].forEach((x, i) => {
        encodeInto(dtype, small, i, x);
      });
      expect(
        differences(b.kernel(4, [dtype, D.int32]), [dtype, D.int32], [new Uint8Array(small.buffer), new Uint8Array(24)], [], 0, 6),
        dtype.name,
      ).toEqual([]);
    }
  });

  test('buffers above 2 GiB, and sums that are negative before a large displacement is added', () => {
    const runtime = new WasmRuntime();
    const low = runtime.alloc(4096);
    runtime.alloc(2200 * 2 ** 20);
    const high = runtime.alloc(65536);
    expect(high).toBeGreaterThan(2 ** 31);
    for (const [source, target] of [
      [low, high],
      [high, low],
    ]) {
      const b = new Build();
      const [from, to] = [b.buffer(0), b.buffer(1)];
      const far = b.register('index');
      const x = b.register('f32');
      // index * 4 + displacement is 16, with an index that alone would point below address 0
      const back = -(2 ** 20);
      b.push({ kind: 'index-const', dst: far, value: back });
      b.push({ kind: 'load', dst: x, dtype: 'float32', address: at(from, far, 4, 16 - back * 4), count: null, mask: null });
      b.push({ kind: 'store', src: x, dtype: 'float32', address: at(to, far, 4, 32 - back * 4), count: 3, mask: null });
      const [fn] = runtime.compile([kernelSource(b.kernel(4, [D.float32, D.float32]), { fused: false })]);
      const args = runtime.alloc(16);
      runtime.writeArguments(args, [source, target]);
      runtime.views.f32.set([1, 2, 3, 4], source / 4 + 4);
      runtime.views.f32.fill(0, target / 4 + 8, target / 4 + 12);
      fn(args, 0, 0, 0);
      expect([...runtime.views.f32.subarray(target / 4 + 8, target / 4 + 12)]).toEqual([1, 2, 3, 0]);
    }
  });

  test('a kernel of many lanes or of composite operations is refused', () => {
    const runtime = new WasmRuntime({ limit: 65536 * 2 });
    const b = new Build();
    expect(() => runtime.compile([kernelSource({ ...b.kernel(4, []), lanes: 8 }, { fused: false })])).toThrow(
      'internal: a wasm kernel of 8 lanes',
    );
    const kernel = flat(4, [D.float32], D.float32, (k, [a]) => {
      const dst = k.register('f32');
      k.push({ kind: 'vector', op: 'exp', dst, args: [a] });
      return dst;
    });
    expect(() => runtime.compile([kernelSource(kernel, { fused: false })])).toThrow('internal: the wasm device has no exp on f32');
  });
});

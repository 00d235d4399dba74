/** Every vector statement as machine code, on each instruction set of this machine, against the interpreter. */
import { describe, expect, test } from 'vitest';
import { type ScalarOp, scalarOps } from '../../../kernel/scalar.ts';
import { type ElementName, elementTypes, type IndexOp, type Lanes, type Register, type VectorType } from '../../../kernel/vector-ir.ts';
import { CodeHeap } from '../memory.ts';
import { requireOs } from '../os.ts';
import { Assembler, type Isa, r12, r13, r14, r15, rax, rbp, rbx, rcx, rsp } from './assembler.ts';
import { compileKernel, dumpCode, listKernel } from './emit.ts';
import { at, compare, elements, generator, KernelWriter, runNative, runnableIsas } from './test-support.ts';

const elementOf: Readonly<Record<VectorType, ElementName>> = { f32: 'float32', f64: 'float64', i32: 'int32', i64: 'int64', mask: 'bool' };
const isWide = (name: ElementName): boolean => elementTypes[name] === 'f64' || elementTypes[name] === 'i64';
const lanesFor = (isa: Isa, wide: boolean): Lanes[] => (isa === 'avx512' ? (wide ? [8] : [8, 16]) : wide ? [4] : [4, 8]);

/** out[i] = build(inputs[i]) over `count` elements, the tail by a lane count. */
function elementwise(
  lanes: Lanes,
  name: string,
  inputs: readonly ElementName[],
  output: ElementName,
  count: number,
  build: (k: KernelWriter, values: Register[]) => Register,
): ReturnType<KernelWriter['kernel']> {
  const k = new KernelWriter();
  const bases = inputs.map((dtype) => k.buffer(dtype, 'read'));
  const out = k.buffer(output);
  const whole = count - (count % lanes);
  k.loop(0, whole, lanes, (i) => {
    const values = inputs.map((dtype, n) => k.load(dtype, at(bases[n]!, i, dtype)));
    k.store(build(k, values), output, at(out, i, output));
  });
  const start = k.register('index');
  k.add({ kind: 'index-const', dst: start, value: whole });
  const rest = k.index('sub', count, start);
  const values = inputs.map((dtype, n) => k.load(dtype, at(bases[n]!, start, dtype), rest));
  k.store(build(k, values), output, at(out, start, output), rest);
  return k.kernel(lanes, name);
}

function check(
  name: string,
  inputs: readonly ElementName[],
  output: ElementName,
  build: (k: KernelWriter, values: Register[]) => Register,
  wide = false,
): void {
  const random = generator(name.length * 7919 + inputs.length);
  const count = 219;
  const buffers = [...inputs, output].map((dtype) => elements(dtype, count, random));
  for (const isa of runnableIsas)
    for (const lanes of lanesFor(isa, wide || [...inputs, output].some(isWide))) {
      const kernel = elementwise(lanes, name, inputs, output, count, build);
      expect(compare(kernel, isa, buffers)).toBeNull();
    }
}

const typesOf = (op: ScalarOp): VectorType[] => {
  if (op === 'idiv' || op === 'irem') return ['i32', 'i64'];
  const { operands } = scalarOps[op];
  switch (operands) {
    case 'float':
      return ['f32', 'f64'];
    case 'int':
      return ['i32', 'i64'];
    case 'number':
      return ['f32', 'f64', 'i32', 'i64'];
    case 'bits':
      return ['i32', 'i64', 'mask'];
    case 'any':
      return ['f32', 'f64', 'i32', 'i64', 'mask'];
    case 'bool':
      return ['mask'];
    default:
      return operands satisfies never;
  }
};

describe('basic operations equal the interpreter', () => {
  for (const op of Object.keys(scalarOps) as ScalarOp[]) {
    const { arity, level, result } = scalarOps[op];
    if (level === 'composite') continue;
    for (const type of typesOf(op))
      test(`${op} on ${type}`, () => {
        const inputs: ElementName[] = new Array<ElementName>(arity).fill(elementOf[type]);
        if (op === 'select') inputs[0] = 'bool';
        check(`${op} ${type}`, inputs, result === 'bool' ? 'bool' : elementOf[type], (k, values) => {
          // -0 against 0 is free in min and max: add 0 so that only +0 is seen.
          const settle = (r: Register): Register =>
            (op === 'min' || op === 'max') && type[0] === 'f' ? k.vector('add', type, r, k.constant(type, 0)) : r;
          return k.vector(op, result === 'bool' ? 'mask' : type, ...values.map(settle));
        });
      });
  }
});

describe('conversions equal the interpreter', () => {
  const types: VectorType[] = ['f32', 'f64', 'i32', 'i64', 'mask'];
  for (const from of types)
    for (const to of types)
      test(`cast ${from} to ${to}`, () => {
        check(`cast ${from} ${to}`, [elementOf[from]], elementOf[to], (k, [x]) => {
          // The interpreter rounds int64 to float32 through float64: keep to values where that is exact.
          const src = from === 'i64' && to === 'f32' ? k.vector('shr', 'i64', x!, k.constant('i64', 11n)) : x!;
          const dst = k.register(to);
          k.add({ kind: 'cast', dst, src });
          return dst;
        });
      });
  for (const [from, to] of [
    ['f32', 'i32'],
    ['i32', 'f32'],
    ['f64', 'i64'],
    ['i64', 'f64'],
  ] as const)
    test(`bitcast ${from} to ${to}`, () => {
      check('bitcast', [elementOf[from]], elementOf[to], (k, [x]) => {
        // NaN payloads do not survive JavaScript.
        const src = from[0] === 'f' ? k.vector('max', from, x!, k.constant(from, -1e30)) : x!;
        const clean = from[0] === 'f' ? k.vector('select', from, k.vector('eq', 'mask', src, src), src, k.constant(from, 1)) : src;
        const dst = k.register(to);
        k.add({ kind: 'bitcast', dst, src: clean });
        return dst;
      });
    });
  for (const dtype of ['float16', 'bfloat16', 'float8_e4m3fn', 'float8_e5m2', 'int16', 'int8', 'uint8'] as const) {
    const type = elementTypes[dtype] as 'f32' | 'i32';
    test(`round to ${dtype}`, () => {
      check(`round ${dtype}`, [elementOf[type]], elementOf[type], (k, [x]) => {
        const dst = k.register(type);
        k.add({ kind: 'round', dst, src: x!, dtype });
        return dst;
      });
    });
    test(`load ${dtype}`, () => {
      check(`load ${dtype}`, [dtype], elementOf[type], (_, [x]) => x!);
    });
    test(`store ${dtype}`, () => {
      check(`store ${dtype}`, [elementOf[type]], dtype, (_, [x]) => x!);
    });
  }
});

test('int64 becomes float32 with one rounding, on every instruction set', () => {
  // The interpreter rounds twice, so the wanted numbers are written down: just above a tie, on a tie, below it, and the extremes.
  const cases: [bigint, number][] = [
    [2n ** 60n + 2n ** 36n + 1n, 2 ** 60 + 2 ** 37],
    [2n ** 60n + 2n ** 36n, 2 ** 60],
    [-(2n ** 60n) - 2n ** 36n - 1n, -(2 ** 60) - 2 ** 37],
    [2n ** 60n + 2n ** 36n - 1n, 2 ** 60],
    [2n ** 63n - 1n, 2 ** 63],
    [-(2n ** 63n), -(2 ** 63)],
    [-1n, -1],
    [16777217n, 16777216],
  ];
  for (const isa of runnableIsas) {
    const lanes: Lanes = isa === 'avx512' ? 8 : 4;
    const k = new KernelWriter();
    const source = k.buffer('int64', 'read');
    const out = k.buffer('float32');
    k.loop(0, 8, lanes, (i) => {
      const dst = k.register('f32');
      k.add({ kind: 'cast', dst, src: k.load('int64', at(source, i, 'int64')) });
      k.store(dst, 'float32', at(out, i, 'float32'));
    });
    const result = new Float32Array(8);
    const input = BigInt64Array.from(cases, ([value]) => value);
    runNative(k.kernel(lanes), isa, [new Uint8Array(input.buffer), new Uint8Array(result.buffer)], [], 0, 0);
    expect([...result]).toEqual(cases.map(([, wanted]) => wanted));
  }
});

test('float64 rounds to float32 and back', () => {
  check('round float32', ['float64'], 'float64', (k, [x]) => {
    const dst = k.register('f64');
    k.add({ kind: 'round', dst, src: x!, dtype: 'float32' });
    return dst;
  });
});

const allDtypes = Object.keys(elementTypes) as ElementName[];
describe('memory', () => {
  for (const dtype of allDtypes) {
    test(`load and store of ${dtype} under a mask touch only its lanes`, () => {
      const random = generator(5);
      for (const isa of runnableIsas)
        for (const lanes of lanesFor(isa, isWide(dtype))) {
          const k = new KernelWriter();
          const source = k.buffer(dtype, 'read');
          const bools = k.buffer('bool', 'read');
          const out = k.buffer(dtype);
          const n = 24 * lanes;
          k.loop(0, n, lanes, (i) => {
            const mask = k.load('bool', at(bools, i, 'bool'));
            const x = k.load(dtype, at(source, i, dtype), null, mask);
            k.store(x, dtype, at(out, i, dtype));
            const y = k.load(dtype, at(source, i, dtype));
            k.store(y, dtype, at(out, i, dtype, n * elementsBytes(dtype)), null, mask);
          });
          const buffers = [elements(dtype, n, random), elements('bool', n, random), elements(dtype, 2 * n, random)];
          expect(compare(k.kernel(lanes, dtype), isa, buffers)).toBeNull();
        }
    });
    test(`every lane count of ${dtype}, at the end of memory`, () => {
      const random = generator(6);
      for (const isa of runnableIsas)
        for (const lanes of lanesFor(isa, isWide(dtype)))
          for (let count = 0; count <= lanes; count++) {
            const k = new KernelWriter();
            const source = k.buffer(dtype, 'read');
            const out = k.buffer(dtype);
            k.store(k.load(dtype, at(source, null, dtype), k.param('index')), dtype, at(out, null, dtype), k.param('index'));
            k.store(k.load(dtype, at(source, null, dtype), count), dtype, at(out, null, dtype), count);
            const buffers = [elements(dtype, count, random), elements(dtype, count, random)];
            expect(compare(k.kernel(lanes, dtype), isa, buffers, [count, count])).toBeNull();
          }
    });
    test(`broadcast, gather and scatter of ${dtype}`, () => {
      const random = generator(7);
      for (const isa of runnableIsas)
        for (const indexType of ['i32', 'i64'] as const)
          for (const lanes of lanesFor(isa, isWide(dtype) || indexType === 'i64')) {
            const k = new KernelWriter();
            const table = k.buffer(dtype, 'read');
            const places = k.buffer(elementOf[indexType], 'read');
            const bools = k.buffer('bool', 'read');
            const out = k.buffer(dtype);
            const n = 12 * lanes;
            const size = 50;
            const type = elementTypes[dtype];
            k.loop(0, n, lanes, (i) => {
              const indices = k.load(elementOf[indexType], at(places, i, elementOf[indexType]));
              const mask = k.load('bool', at(bools, i, 'bool'));
              const all = k.register(type);
              k.add({ kind: 'gather', dst: all, dtype, base: table, displacement: 0, indices, mask: null });
              k.store(all, dtype, at(out, i, dtype));
              const some = k.register(type);
              k.add({ kind: 'gather', dst: some, dtype, base: table, displacement: 0, indices, mask });
              k.store(some, dtype, at(out, i, dtype, n * elementsBytes(dtype)));
              const one = k.register(type);
              k.add({ kind: 'broadcast', dst: one, dtype, address: at(table, k.index('irem', i, size), dtype) });
              k.store(one, dtype, at(out, i, dtype, 2 * n * elementsBytes(dtype)));
              k.add({ kind: 'scatter', src: all, dtype, base: out, displacement: 3 * n * elementsBytes(dtype), indices, mask });
              k.add({
                kind: 'scatter',
                src: one,
                dtype,
                base: out,
                displacement: (3 * n + size) * elementsBytes(dtype),
                indices,
                mask: null,
              });
            });
            const width = indexType === 'i32' ? 4 : 8;
            const indexBytes = new Uint8Array(n * width);
            for (let i = 0; i < n; i++) indexBytes[i * width] = Math.floor(random() * size);
            const buffers = [
              elements(dtype, size, random),
              indexBytes,
              elements('bool', n, random),
              elements(dtype, 3 * n + 2 * size, random),
            ];
            expect(compare(k.kernel(lanes, `${dtype} ${indexType}`), isa, buffers)).toBeNull();
          }
    });
  }
  test('int64 elements load into int32 registers as their low halves', () => {
    const random = generator(8);
    for (const isa of runnableIsas)
      for (const lanes of lanesFor(isa, false)) {
        const k = new KernelWriter();
        const source = k.buffer('int64', 'read');
        const out = k.buffer('int32');
        const n = 4 * lanes;
        const low = (count: number | null, place: number): void => {
          const dst = k.register('i32');
          k.add({ kind: 'load', dst, dtype: 'int64', address: at(source, null, 'int64', place * 8), count, mask: null });
          k.store(dst, 'int32', at(out, null, 'int32', place * 4));
        };
        low(null, 0);
        low(3, lanes);
        const iota = k.register('i32');
        k.add({ kind: 'iota', dst: iota, src: 1 });
        const gathered = k.register('i32');
        k.add({ kind: 'gather', dst: gathered, dtype: 'int64', base: source, displacement: 0, indices: iota, mask: null });
        k.store(gathered, 'int32', at(out, null, 'int32', 2 * lanes * 4));
        const one = k.register('i32');
        k.add({ kind: 'broadcast', dst: one, dtype: 'int64', address: at(source, null, 'int64', 8) });
        k.store(one, 'int32', at(out, null, 'int32', 3 * lanes * 4));
        expect(compare(k.kernel(lanes, 'low halves'), isa, [elements('int64', n, random), elements('int32', n, random)])).toBeNull();
      }
  });
});

function elementsBytes(dtype: ElementName): number {
  return elements(dtype, 1, () => 0).length;
}

describe('lanes and index arithmetic', () => {
  test('splat, iota, swap, splat-lane, extract, mask-test, lane-mask', () => {
    const random = generator(9);
    for (const isa of runnableIsas)
      for (const type of ['f32', 'f64', 'i32', 'i64'] as const)
        for (const lanes of lanesFor(isa, type === 'f64' || type === 'i64')) {
          const dtype = elementOf[type];
          const k = new KernelWriter();
          const source = k.buffer(dtype, 'read');
          const out = k.buffer(dtype);
          const words = k.buffer('int64');
          let place = 0;
          const put = (r: Register): void => k.store(r, dtype, at(out, null, dtype, place++ * lanes * elementsBytes(dtype)));
          let slot = 0;
          const putIndex = (r: Register): void => {
            // Through an address: the interpreter's index registers have no store of their own.
            const t = k.register(lanes === (isa === 'avx512' ? 8 : 4) ? 'i64' : 'i32');
            k.add({ kind: 'splat', dst: t, src: r });
            k.store(t, t.type === 'i64' ? 'int64' : 'int32', at(words, null, 'int8', slot++ * 8), 1);
          };
          const x = k.load(dtype, at(source, null, dtype));
          for (let distance = 1; distance < lanes; distance *= 2) {
            const dst = k.register(type);
            k.add({ kind: 'swap', dst, src: x, distance });
            put(dst);
          }
          const first = k.register(type);
          k.add({ kind: 'splat-lane', dst: first, src: x });
          put(first);
          const mask = k.vector('lt', 'mask', x, first);
          const n = k.param('index');
          const counted = k.register('mask');
          k.add({ kind: 'lane-mask', dst: counted, count: n });
          put(k.vector('select', type, k.vector('and', 'mask', mask, counted), x, first));
          put(k.vector('select', type, k.vector('not', 'mask', counted), x, first));
          for (const m of [
            mask,
            counted,
            k.vector('not', 'mask', mask),
            k.vector('or', 'mask', counted, k.vector('not', 'mask', counted)),
          ]) {
            for (const kind of ['any', 'all'] as const) {
              const dst = k.register('index');
              k.add({ kind: 'mask-test', test: kind, dst, src: m });
              putIndex(dst);
            }
            const lane0 = k.register('index');
            k.add({ kind: 'extract', dst: lane0, src: m });
            putIndex(lane0);
          }
          if (type === 'i32' || type === 'i64') {
            const dst = k.register('index');
            k.add({ kind: 'extract', dst, src: x });
            putIndex(dst);
            const iota = k.register(type);
            k.add({ kind: 'iota', dst: iota, src: n });
            put(iota);
            const splat = k.register(type);
            k.add({ kind: 'splat', dst: splat, src: n });
            put(splat);
          }
          const flags = k.register('mask');
          k.add({ kind: 'splat', dst: flags, src: n });
          put(k.vector('select', type, flags, x, first));
          const flag = k.param('bool');
          put(k.vector('select', type, flag, x, first));
          for (const count of [-5, 0, 1, 3, lanes, 2 ** 40])
            expect(
              compare(
                k.kernel(lanes, type),
                isa,
                [elements(dtype, lanes, random), elements(dtype, 16 * lanes, random), elements('int64', 32, random)],
                [count, count > 1],
              ),
            ).toBeNull();
        }
  });

  test('index operations, with constants on either side and divisors of every kind', () => {
    const ops: IndexOp[] = ['add', 'sub', 'mul', 'idiv', 'irem', 'min', 'max', 'and', 'or', 'xor', 'lt', 'le', 'eq', 'ne'];
    for (const isa of runnableIsas) {
      const lanes: Lanes = isa === 'avx512' ? 8 : 4;
      for (const [a, b] of [
        [7, 3],
        [-7, 3],
        [1000003, 0],
        [12345678, 64],
        [-12345678, 1000],
        [5, 5],
        [2 ** 40, 77],
      ] as const) {
        const k = new KernelWriter();
        const out = k.buffer('int64');
        const x = k.param('index');
        const y = k.param('index');
        let slot = 0;
        const put = (r: Register): void => {
          const t = k.register('i64');
          k.add({ kind: 'splat', dst: t, src: r });
          k.store(t, 'int64', at(out, null, 'int64', 8 * slot++), 1);
        };
        for (const op of ops) {
          put(k.index(op, x, y));
          if (a >= -(2 ** 31) && a < 2 ** 31) put(k.index(op, a, y));
          put(k.index(op, x, b));
        }
        put(k.index('select', k.index('lt', x, y), x, y));
        put(k.index('select', x, 5, y));
        const sum = k.register('index');
        k.add({ kind: 'address', dst: sum, address: { base: x, index: y, scale: 4, displacement: -100 } });
        put(sum);
        const buffers = [elements('int64', 64, generator(1))];
        expect(compare(k.kernel(lanes, `index ${a} ${b}`), isa, buffers, [a, b])).toBeNull();
      }
    }
  });

  test('load-index of every integer type', () => {
    for (const isa of runnableIsas)
      for (const dtype of ['int64', 'int32', 'int16', 'int8', 'uint8', 'bool'] as const) {
        const k = new KernelWriter();
        const source = k.buffer(dtype, 'read');
        const out = k.buffer('int64');
        k.loop(0, 20, 1, (i) => {
          const r = k.register('index');
          k.add({ kind: 'load-index', dst: r, dtype, address: at(source, i, dtype) });
          const t = k.register('i64');
          k.add({ kind: 'splat', dst: t, src: r });
          k.store(t, 'int64', at(out, i, 'int64'), 1);
        });
        const source64 = elements(dtype, 20, generator(3));
        // Beyond 2^53 the interpreter's numbers lose bits.
        if (dtype === 'int64') for (let i = 0; i < 20; i++) source64.fill(source64[8 * i]! & 128 ? 255 : 0, 8 * i + 6, 8 * i + 8);
        expect(compare(k.kernel(isa === 'avx512' ? 8 : 4, dtype), isa, [source64, elements('int64', 20, generator(4))])).toBeNull();
      }
  });
});

describe('control flow and registers', () => {
  test('nested loops carry accumulators, and branches assign', () => {
    for (const isa of runnableIsas)
      for (const lanes of lanesFor(isa, false)) {
        const k = new KernelWriter();
        const source = k.buffer('float32', 'read');
        const out = k.buffer('float32');
        const columns = k.param('index');
        k.loop(k.begin, k.end, 1, (row) => {
          const sum = k.constant('f32', 0);
          const best = k.constant('f32', -1e30);
          const total = k.register('index');
          k.add({ kind: 'index-const', dst: total, value: 0 });
          const start = k.index('mul', row, columns);
          k.loop(0, columns, lanes, (j) => {
            const x = k.load('float32', at(source, k.index('add', start, j), 'float32'));
            k.assign(sum, k.vector('fma', 'f32', x, x, sum));
            k.assign(best, k.vector('max', 'f32', best, x));
            k.assign(total, k.index('add', total, j));
          });
          const dst = k.index('mul', row, lanes);
          const t = k.vector('add', 'f32', sum, best);
          const then = k.nested(() => k.assign(t, k.vector('mul', 'f32', t, t)));
          const other = k.nested(() => k.assign(t, k.vector('sub', 'f32', t, k.constant('f32', 1))));
          k.add({ kind: 'if', op: 'lt', a: k.index('irem', row, 3), b: 1, then, else: other });
          k.add({ kind: 'if', op: 'eq', a: row, b: total, then: k.nested(() => k.assign(t, sum)), else: [] });
          k.store(t, 'float32', at(out, dst, 'float32'));
        });
        const random = generator(10);
        const values = new Float32Array(7 * 4 * lanes).map(() => random() - 0.5);
        const buffers = [new Uint8Array(values.buffer), elements('float32', 7 * lanes, random)];
        expect(compare(k.kernel(lanes, 'nested'), isa, buffers, [4 * lanes], 1, 7)).toBeNull();
      }
  });

  test('more live values than registers of every class spill and stay right', () => {
    for (const isa of runnableIsas)
      for (const lanes of lanesFor(isa, false)) {
        const k = new KernelWriter();
        const random = generator(11);
        const source = k.buffer('float32', 'read');
        const out = k.buffer('float32');
        const many = 45;
        const sums = Array.from({ length: many }, (_, n) => k.constant('f32', n));
        const indices = Array.from({ length: 20 }, (_, n) => k.index('add', k.begin, n));
        const masks = Array.from({ length: 12 }, (_, n) => {
          const m = k.register('mask');
          k.add({ kind: 'lane-mask', dst: m, count: indices[n]! });
          return m;
        });
        k.loop(0, 3 * lanes, lanes, (i) => {
          const x = k.load('float32', at(source, i, 'float32'));
          sums.forEach((s, n) => {
            const scaled = k.vector('fma', 'f32', x, k.constant('f32', 1 + n / 8), s);
            k.assign(s, k.vector('select', 'f32', masks[n % masks.length]!, scaled, s));
          });
        });
        sums.forEach((s, n) => {
          const place = k.index('mul', indices[n % 20]!, 0);
          k.store(s, 'float32', at(out, place, 'float32', n * lanes * 4));
        });
        let last = indices[0]!;
        for (const r of indices) last = k.index('xor', last, r);
        const t = k.register('i32');
        k.add({ kind: 'splat', dst: t, src: last });
        const f = k.register('f32');
        k.add({ kind: 'cast', dst: f, src: t });
        k.store(f, 'float32', at(out, null, 'float32', many * lanes * 4));
        const buffers = [elements('float32', 3 * lanes, random), elements('float32', (many + 1) * lanes, random)];
        expect(compare(k.kernel(lanes, 'pressure'), isa, buffers, [], 2, 9)).toBeNull();
      }
  });

  test('the registers that the caller owns survive', () => {
    const os = requireOs();
    for (const isa of runnableIsas) {
      const k = new KernelWriter();
      const out = k.buffer('int64');
      const indices = Array.from({ length: 20 }, (_, n) => k.index('mul', k.begin, n + 3));
      let last = k.begin;
      for (const r of indices) last = k.index('xor', last, r);
      const mask = k.load('bool', at(out, null, 'bool'), 3);
      const t = k.register('i64');
      k.add({ kind: 'cast', dst: t, src: mask });
      const s = k.register('i64');
      k.add({ kind: 'splat', dst: s, src: last });
      k.store(k.vector('idiv', 'i64', s, t), 'int64', at(out, null, 'int64'), 2);
      const code = compileKernel(k.kernel(isa === 'avx512' ? 8 : 4), isa);
      // A caller that puts marks into rbx, rbp, r12-r15 and answers with the bits that came back changed.
      const a = new Assembler(isa);
      const owned = [rbx, rbp, r12, r13, r14, r15];
      const target = a.newLabel();
      for (const r of owned) a.push(r);
      a.sub(rsp, 8);
      owned.forEach((r, i) => {
        a.mov(r, 0x1234567800 + i);
      });
      a.call(target);
      a.mov(rax, 0);
      owned.forEach((r, i) => {
        a.mov(rcx, 0x1234567800 + i);
        a.xor(r, rcx);
        a.or(rax, r);
      });
      a.add(rsp, 8);
      for (const r of owned.reverse()) a.pop(r);
      a.ret();
      a.align(64);
      a.bind(target);
      a.code.bytes(...code);
      const heap = new CodeHeap(os);
      const address = heap.install([a.finish()])[0]!;
      const page = os.map(os.pageBytes);
      new BigUint64Array(os.view(page, 8))[0] = BigInt(page + 64);
      expect(os.callable(address)(page, 5, 9, 0)).toBe(0);
      heap.free(address);
      os.unmap(page, os.pageBytes);
    }
  });

  test('a chain of fused multiply-adds needs no moves, and an accumulator is updated in place', () => {
    const k = new KernelWriter();
    const source = k.buffer('float32', 'read');
    const out = k.buffer('float32');
    const sum = k.constant('f32', 0);
    k.loop(k.begin, k.end, 8, (i) => {
      const x = k.load('float32', at(source, i, 'float32'));
      let y = k.vector('add', 'f32', x, k.constant('f32', 0.5));
      for (const c of [2, 3, 4]) y = k.vector('fma', 'f32', y, x, k.constant('f32', c));
      k.assign(sum, k.vector('fma', 'f32', y, x, sum));
    });
    k.store(sum, 'float32', at(out, null, 'float32'));
    const text = listKernel(k.kernel(8), 'avx2');
    expect(text.slice(text.indexOf('L1:'))).toBe(`L1:
  vmovups ymm5, [r8 + rsi*4]
  vaddps ymm6, ymm5, ymm1
  fmaps ymm6, ymm6, ymm5, ymm2
  fmaps ymm6, ymm6, ymm5, ymm3
  fmaps ymm6, ymm6, ymm5, ymm4
  fmaps ymm0, ymm6, ymm5, ymm0
  add rsi, 8
  cmp rsi, rcx
  jcc l, L1
L0:
  vmovups [rdi], ymm0
`);
  });

  test('streaming stores bypass the caches for whole registers of the chosen buffers only', () => {
    for (const isa of runnableIsas) {
      const lanes: Lanes = isa === 'avx512' ? 16 : 8;
      const build = (): KernelWriter => {
        const k = new KernelWriter();
        const source = k.buffer('float32', 'read');
        const big = k.buffer('float32');
        const small = k.buffer('float32');
        const row = k.index('add', big, k.index('mul', k.begin, 64));
        k.loop(0, 4 * lanes, lanes, (i) => {
          const x = k.load('float32', at(source, i, 'float32'));
          k.store(x, 'float32', at(row, i, 'float32'));
          k.store(x, 'float32', at(small, i, 'float32'));
          k.store(x, 'float32', at(row, i, 'float32'), 3);
        });
        return k;
      };
      const text = listKernel(build().kernel(lanes), isa, { streaming: new Set([1]) });
      expect(text.match(/vmovntps/g)).toHaveLength(1);
      expect(text).toContain('sfence');
      const bytes = 4 * lanes * 4;
      const buffers = [elements('float32', 4 * lanes, generator(1)), new Uint8Array(bytes + 64), new Uint8Array(bytes)];
      expect(compare(build().kernel(lanes), isa, buffers, [], 1, 2, { streaming: new Set([1]) })).toBeNull();
    }
  });

  test('the dump has one line for 16 bytes', () => {
    const code = compileKernel(new KernelWriter().kernel(8), 'avx2');
    expect(dumpCode(code).split('\n')).toHaveLength(Math.ceil(code.length / 16) + 1);
    expect(code.at(-1)).toBe(0xc3);
  });
});

/**
 * Accuracy and special values of the formulas, run on exactly emulated f32 and f64 (`math/emulate.ts`), and the rewriting of kernels.
 *
 * f64 is held against values from 60-digit arithmetic and, densely, against Math.*; f32 densely against f64.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  decodeBfloat16,
  decodeFloat8E4m3fn,
  decodeFloat8E5m2,
  decodeFloat16,
  encodeBfloat16,
  encodeFloat8E4m3fn,
  encodeFloat8E5m2,
  encodeFloat16,
} from '../dtype/codec.ts';
import { bfloat16, type DType, float8_e4m3fn, float8_e5m2, float16, float32, int8, int16, uint8 } from '../dtype/dtype.ts';
import { binaryFormulas, decomposeKernel, unaryFormulas } from './decompose.ts';
import { type Expr, type Kernel, KernelBuilder, type Statement } from './ir.ts';
import { FloatMath, type FloatType } from './math/algebra.ts';
import { type Column, Emulation } from './math/emulate.ts';
import { powInteger } from './math/power.ts';
import { round } from './math/rounding.ts';
import { type ComputeType, type ScalarOp, scalarOps } from './scalar.ts';

type Unary = keyof typeof unaryFormulas;
type SpecialTable = Record<string, (string | null)[]>;
interface Fixture {
  accuracy: Record<Unary, [number, number][]>;
  pow: [number, number, number][];
  special: Record<FloatType, SpecialTable>;
  integer: { base: number[]; exponent: number[]; i32: string[]; i64: string[] };
}
const fixture: Fixture = JSON.parse(readFileSync(new URL('./math/reference.fixture.json', import.meta.url), 'utf8'));
const names = Object.keys(unaryFormulas) as Unary[];

const unary = (name: Unary, type: FloatType, x: readonly number[]): Float64Array => {
  const emulation = new Emulation(x.length);
  return unaryFormulas[name](new FloatMath<Column>(emulation, type), emulation.column(type, x)).data as Float64Array;
};
const binary = (name: keyof typeof binaryFormulas, type: FloatType, x: readonly number[], y: readonly number[]): Float64Array => {
  const emulation = new Emulation(x.length);
  return binaryFormulas[name](new FloatMath<Column>(emulation, type), emulation.column(type, x), emulation.column(type, y))
    .data as Float64Array;
};

/** The step between neighbours at x. */
function ulp(x: number, type: FloatType): number {
  const [mantissa, smallest] = type === 'f32' ? [23, -126] : [52, -1022];
  const exponent = Math.max(x === 0 ? smallest : Math.floor(Math.log2(Math.abs(x))), smallest);
  return 2 ** Math.max(exponent - mantissa, -1074);
}
/** Largest error in ulp; the same infinity or NaN on both sides is no error. */
function worst(
  type: FloatType,
  actual: ArrayLike<number>,
  wanted: ArrayLike<number>,
  from: readonly number[],
  floor = 0,
): { ulps: number; at: number } {
  let found = { ulps: 0, at: Number.NaN };
  for (let i = 0; i < wanted.length; i++) {
    const target = type === 'f32' && !Number.isFinite(Math.fround(wanted[i])) ? Math.fround(wanted[i]) : wanted[i];
    if (Object.is(actual[i], target) || (Number.isNaN(actual[i]) && Number.isNaN(target)) || actual[i] === target) continue;
    const ulps = Math.abs(actual[i] - target) / Math.max(ulp(target, type), floor);
    if (!(ulps <= found.ulps)) found = { ulps, at: from[i] };
  }
  return found;
}

/** Samples: the interval evenly, then magnitudes down to 1e-9 of either sign. */
function samples(low: number, high: number, type: FloatType, count = 6000): number[] {
  const x: number[] = [];
  for (let i = 0; i < count; i++) {
    const even = low + ((high - low) * (i + 0.37)) / count;
    const scale = 10 ** (-9 + (10 * i) / count) * (i % 4 === 1 ? -1 : 1);
    const value = i % 2 === 0 || scale < low || scale > high ? even : scale;
    x.push(type === 'f32' ? Math.fround(value) : value);
  }
  return x;
}

interface Case {
  readonly f32: readonly [low: number, high: number, ulps: number];
  readonly f64: readonly [low: number, high: number, ulps: number];
  readonly reference: ((x: number) => number) | null;
}
// Bounds in ulp. The f64 column bounds the error against 60 digits; Math.* may add one ulp of its own.
const cases: Record<Unary, Case> = {
  exp: { f32: [-104, 89, 1.1], f64: [-745, 710, 1.1], reference: Math.exp },
  exp2: { f32: [-150, 129, 1.1], f64: [-1075, 1025, 1.1], reference: (x) => 2 ** x },
  expm1: { f32: [-20, 89, 1.6], f64: [-40, 710, 1.6], reference: Math.expm1 },
  log: { f32: [1e-9, 100, 1.1], f64: [1e-9, 100, 1.1], reference: Math.log },
  log2: { f32: [1e-9, 100, 1.6], f64: [1e-9, 100, 1.6], reference: Math.log2 },
  log10: { f32: [1e-9, 100, 1.6], f64: [1e-9, 100, 1.6], reference: Math.log10 },
  log1p: { f32: [-0.999, 100, 1.6], f64: [-0.999, 100, 1.6], reference: Math.log1p },
  sin: { f32: [-1e5, 1e5, 1.6], f64: [-1e5, 1e5, 1.6], reference: Math.sin },
  cos: { f32: [-1e5, 1e5, 1.6], f64: [-1e5, 1e5, 1.6], reference: Math.cos },
  tan: { f32: [-1e5, 1e5, 1], f64: [-1e5, 1e5, 3], reference: Math.tan },
  asin: { f32: [-1, 1, 2.4], f64: [-1, 1, 2.4], reference: Math.asin },
  acos: { f32: [-1, 1, 2], f64: [-1, 1, 2], reference: Math.acos },
  atan: { f32: [-20, 20, 2.2], f64: [-20, 20, 2.4], reference: Math.atan },
  sinh: { f32: [-89, 89, 1], f64: [-710, 710, 2.5], reference: Math.sinh },
  cosh: { f32: [-89, 89, 1], f64: [-710, 710, 2], reference: Math.cosh },
  tanh: { f32: [-10, 10, 1.5], f64: [-20, 20, 1.6], reference: Math.tanh },
  asinh: { f32: [-50, 50, 1], f64: [-50, 50, 2.5], reference: null },
  acosh: { f32: [1, 50, 1], f64: [1, 50, 2.5], reference: null },
  atanh: { f32: [-0.9999, 0.9999, 1], f64: [-0.9999, 0.9999, 2.5], reference: null },
  erf: { f32: [-4.5, 4.5, 1.5], f64: [-6.5, 6.5, 2], reference: null },
  erfc: { f32: [-4, 10, 1], f64: [-6, 26, 4], reference: null },
  erfinv: { f32: [-0.9999, 0.9999, 1], f64: [-0.9999, 0.9999, 4], reference: null },
  lgamma: { f32: [1e-9, 50, 1], f64: [1e-9, 50, 8], reference: null },
  digamma: { f32: [1e-9, 50, 1], f64: [1e-9, 50, 8], reference: null },
};
// Near zeros that are no representable number the error is absolute, as in PyTorch.
const absolute = (name: Unary): number => (name === 'digamma' || name === 'lgamma' ? 2 ** -52 : 0);

describe('accuracy', () => {
  for (const name of names) {
    const { f32, f64, reference } = cases[name];
    test(`${name} in f64 is within ${f64[2]} ulp of 60-digit values`, () => {
      const x = fixture.accuracy[name].map((row) => row[0]);
      const error = worst(
        'f64',
        unary(name, 'f64', x),
        fixture.accuracy[name].map((row) => row[1]),
        x,
        absolute(name),
      );
      expect(error.ulps, `at ${error.at}`).toBeLessThanOrEqual(f64[2] + 0.5);
    });
    if (reference !== null)
      test(`${name} in f64 agrees with Math to an ulp more`, () => {
        const x = samples(f64[0], f64[1], 'f64', 2000);
        const error = worst('f64', unary(name, 'f64', x), x.map(reference), x);
        expect(error.ulps, `at ${error.at}`).toBeLessThanOrEqual(f64[2] + 1.5);
      });
    test(`${name} in f32 is within ${f32[2]} ulp of f64`, () => {
      const x = samples(f32[0], f32[1], 'f32');
      const error = worst('f32', unary(name, 'f32', x), unary(name, 'f64', x), x);
      expect(error.ulps, `at ${error.at}`).toBeLessThanOrEqual(f32[2]);
    });
  }

  test('pow is within 1.5 ulp where small errors of the logarithm are multiplied by half a million', () => {
    const [x, y, wanted] = [0, 1, 2].map((k) => fixture.pow.map((row) => row[k]));
    expect(worst('f64', binary('pow', 'f64', x, y), wanted, x).ulps).toBeLessThanOrEqual(1.5);
    const [x32, y32] = [x.map(Math.fround), y.map(Math.fround)];
    expect(worst('f32', binary('pow', 'f32', x32, y32), binary('pow', 'f64', x32, y32), x).ulps).toBeLessThanOrEqual(0.6);
  });
  test('atan2 and fmod agree with JavaScript', () => {
    const a = samples(-30, 30, 'f32', 3000);
    const b = samples(-3, 3, 'f32', 3000).reverse();
    const angle = a.map((x, i) => Math.atan2(x, b[i]));
    expect(worst('f64', binary('atan2', 'f64', a, b), angle, a).ulps).toBeLessThanOrEqual(3);
    expect(worst('f32', binary('atan2', 'f32', a, b), angle, a).ulps).toBeLessThanOrEqual(0.6);
    const rest = a.map((x, i) => x % b[i]);
    expect(Array.from(binary('fmod', 'f32', a, b))).toEqual(rest);
    expect(Array.from(binary('fmod', 'f64', a, b))).toEqual(rest);
    const wide = [1e30, -1e40, 5, -6, 7, 1, -3];
    const narrow = [3, 7.1, Infinity, 3, -0.1, 1e-300, 1e-300];
    const wanted = [1e30 % 3, -1e40 % 7.1, 5, -0, 7 % 0.1, Number.NaN, Number.NaN];
    expect(Array.from(binary('fmod', 'f64', wide, narrow))).toEqual(wanted);
    expect(Array.from(binary('fmod', 'f64', [1, Infinity, Number.NaN, 1], [0, 1, 1, Number.NaN]))).toEqual([
      Number.NaN,
      Number.NaN,
      Number.NaN,
      Number.NaN,
    ]);
  });
  test('sin and cos stay between -1 and 1 beyond the range of the reduction', () => {
    const x = [3e38, -2e30, 1.2e22];
    for (const type of ['f32', 'f64'] as const)
      for (const name of ['sin', 'cos'] as const) for (const y of unary(name, type, x)) expect(Math.abs(y)).toBeLessThanOrEqual(1);
  });
});

describe('special values', () => {
  const close = (type: FloatType, actual: number, wanted: number, ulps = 6): boolean => {
    if (Object.is(actual, wanted) || (Number.isNaN(actual) && Number.isNaN(wanted))) return true;
    if (!Number.isFinite(wanted) || wanted === 0) return false;
    return Math.abs(actual - wanted) <= ulps * ulp(wanted, type) + (type === 'f64' ? 1e-15 : 0) && Math.sign(actual) === Math.sign(wanted);
  };
  for (const type of ['f32', 'f64'] as const) {
    const table = fixture.special[type];
    test(`every unary function gives what PyTorch gives at zeros, infinities, NaN and subnormals (${type})`, () => {
      const x = table['x'].map(Number);
      for (const name of names) {
        const actual = unary(name, type, x);
        // PyTorch's own recurrence in f32 is several ulp off: digamma(0.5) is -1.96351003.
        const ulps = name === 'digamma' ? 16 : 6;
        table[name].forEach((wanted, i) => {
          if (wanted !== null)
            expect(close(type, actual[i], Number(wanted), ulps), `${name}(${table['x'][i]}) = ${actual[i]}, not ${wanted}`).toBe(true);
        });
      }
    });
    test(`pow and atan2 give what PyTorch gives on pairs of them (${type})`, () => {
      const grid = table['grid'].map(Number);
      const x = grid.flatMap((a) => grid.map(() => a));
      const y = grid.flatMap(() => grid);
      for (const name of ['pow', 'atan2'] as const) {
        const actual = binary(name, type, x, y);
        table[name].forEach((wanted, i) => {
          expect(close(type, actual[i], Number(wanted)), `${name}(${x[i]}, ${y[i]}) = ${actual[i]}, not ${wanted}`).toBe(true);
        });
      }
    });
  }
  test('subnormal results are rounded once', () => {
    expect(Array.from(unary('exp', 'f32', [-103.2789306640625, -100, -103.98]))).toEqual([1.401298464324817e-45, 3.783505853677006e-44, 0]);
    expect(Array.from(unary('exp2', 'f32', [-149, -150, -148.9]))).toEqual([2 ** -149, 0, 2 ** -149]);
    expect(Array.from(unary('exp2', 'f64', [-1074, -1075, 1023]))).toEqual([2 ** -1074, 0, 2 ** 1023]);
    expect(unary('log', 'f32', [2 ** -149])[0]).toBeCloseTo(-103.27893, 5);
  });
});

describe('integer pow', () => {
  const { base, exponent } = fixture.integer;
  for (const [type, float] of [
    ['i32', 'f32'],
    ['i64', 'f64'],
  ] as const)
    test(`wraps, and treats negative exponents as PyTorch does (${type})`, () => {
      const pairs = base.flatMap((a) => exponent.map((b) => [a, b]));
      const emulation = new Emulation(pairs.length);
      const m = new FloatMath<Column>(emulation, float);
      const column = (k: number): Column => {
        const values = pairs.map((pair) => pair[k]);
        return type === 'i32' ? emulation.column('i32', values) : { type: 'i64', data: BigInt64Array.from(values.map(BigInt)) };
      };
      expect(Array.from<number | bigint, string>(powInteger(m, column(0), column(1)).data, (x) => String(x))).toEqual(
        fixture.integer[type],
      );
    });
  test('a known exponent gives the same with a chain of products', () => {
    const emulation = new Emulation(base.length);
    const m = new FloatMath<Column>(emulation, 'f32');
    const x = emulation.column('i32', base);
    for (const n of [0, 1, 2, 3, 5, 31, 40])
      expect(powInteger(m, x, x, BigInt(n)).data).toEqual(powInteger(m, x, emulation.const('i32', n)).data);
  });
});

describe('round', () => {
  const rounded = (dtype: DType, values: readonly number[]): Float64Array => {
    const emulation = new Emulation(values.length);
    const type = dtype.kind === 'int' ? 'i32' : 'f32';
    return round(new FloatMath<Column>(emulation, 'f32'), dtype, emulation.column(type, values)).data as Float64Array;
  };
  const floats = [
    [float16, 16, encodeFloat16, decodeFloat16],
    [bfloat16, 16, encodeBfloat16, decodeBfloat16],
    [float8_e4m3fn, 8, encodeFloat8E4m3fn, decodeFloat8E4m3fn],
    [float8_e5m2, 8, encodeFloat8E5m2, decodeFloat8E5m2],
  ] as const;
  for (const [dtype, bits, encode, decode] of floats)
    test(`${dtype.name}: every pattern, every midpoint and its neighbours as the codec stores them`, () => {
      const values = [0, -0, Infinity, -Infinity, Number.NaN, 3e38, -3e38, 1e-45, 65519, 65520, 464, 480, 61439, 61440].map(Math.fround);
      for (let pattern = 0; pattern < 2 ** bits; pattern++) {
        const x = decode(pattern);
        const next = decode((pattern + 1) % 2 ** bits);
        values.push(x);
        if (!Number.isFinite(x) || !Number.isFinite(next)) continue;
        const middle = Math.fround((x + next) / 2);
        values.push(middle, Math.fround(middle * (1 + 2 ** -23)), Math.fround(middle * (1 - 2 ** -23)));
      }
      const actual = rounded(dtype, values);
      let wrong = '';
      for (let i = 0; i < values.length; i++) {
        const wanted = decode(encode(values[i]));
        if (!Object.is(actual[i], wanted) && !(Number.isNaN(actual[i]) && Number.isNaN(wanted)))
          wrong = `${values[i]} gave ${actual[i]}, not ${wanted}`;
      }
      expect(wrong).toBe('');
    });
  test('small integers wrap', () => {
    const x = [0, 127, 128, 255, 256, -1, -129, 32767, 32768, 2147483647, -2147483648];
    expect(Array.from(rounded(int8, x))).toEqual(Array.from(Int8Array.from(x)));
    expect(Array.from(rounded(uint8, x))).toEqual(Array.from(Uint8Array.from(x)));
    expect(Array.from(rounded(int16, x))).toEqual(Array.from(Int16Array.from(x)));
  });
});

describe('decomposeKernel', () => {
  /** All expressions of a kernel, once each. */
  function expressions(kernel: Kernel): Set<Expr> {
    const seen = new Set<Expr>();
    const visit = (e: Expr | null): void => {
      if (e === null || seen.has(e)) return;
      seen.add(e);
      if (e.op === 'axis') visit(e.axis.extent);
      if (e.op === 'load') [e.index, e.mask].forEach(visit);
      if (e.op === 'scalar') e.args.forEach(visit);
      if (e.op === 'cast' || e.op === 'bitcast' || e.op === 'round') visit(e.arg);
      if (e.op === 'reduce') {
        visit(e.value);
        for (const axis of e.axes) visit(axis.extent);
      }
    };
    const walk = (s: Statement): void => (s.kind === 'loop' ? s.body.forEach(walk) : [s.index, s.value, s.mask].forEach(visit));
    kernel.body.forEach(walk);
    return seen;
  }
  function kernelOf(type: ComputeType, value: (b: KernelBuilder, x: Expr, y: Expr) => Expr): Kernel {
    const b = new KernelBuilder();
    const axis = b.axis('i', b.param('index', 0), 'vector');
    const at = b.use(axis);
    const store: Statement = {
      kind: 'store',
      buffer: 2,
      index: at,
      value: value(b, b.load(0, type, at), b.load(1, type, at)),
      mask: null,
      combine: null,
    };
    const buffer = (access: 'read' | 'write') => ({ dtype: float32, access });
    return { name: 'k', buffers: [buffer('read'), buffer('read'), buffer('write')], params: ['index'], grid: [axis], body: [store] };
  }
  const composites = (Object.keys(scalarOps) as ScalarOp[]).filter((fn) => scalarOps[fn].level === 'composite');
  const scalars = (kernel: Kernel): ScalarOp[] => [...expressions(kernel)].flatMap((e) => (e.op === 'scalar' ? [e.fn] : []));

  test('has a formula for exactly the composite operations of the table', () => {
    expect([...names, ...Object.keys(binaryFormulas)].sort()).toEqual([...composites].sort());
  });
  test('leaves no composite operation and no round, in f32 and f64', () => {
    for (const type of ['f32', 'f64'] as const)
      for (const fn of composites) {
        const kernel = decomposeKernel(kernelOf(type, (b, x, y) => (scalarOps[fn].arity === 2 ? b.scalar(fn, x, y) : b.scalar(fn, x))));
        expect(
          scalars(kernel).filter((name) => scalarOps[name].level === 'composite'),
          fn,
        ).toEqual([]);
      }
    for (const dtype of [float16, bfloat16, float8_e4m3fn, float8_e5m2, int8, int16, uint8]) {
      const type = dtype.kind === 'int' ? 'i32' : 'f32';
      const kernel = decomposeKernel(kernelOf(type, (b, x) => b.round(dtype, x)));
      expect([...expressions(kernel)].some((e) => e.op === 'round')).toBe(false);
    }
  });
  test('the functions of hot kernels stay short and in f32', () => {
    const limits = { exp: 24, tanh: 36, erf: 40, log: 32, expm1: 26 };
    for (const [fn, limit] of Object.entries(limits)) {
      const kernel = decomposeKernel(kernelOf('f32', (b, x) => b.scalar(fn as ScalarOp, x)));
      const list = [...expressions(kernel)];
      expect(
        list.every((e) => e.type !== 'f64' && e.type !== 'i64'),
        fn,
      ).toBe(true);
      expect(scalars(kernel).length, fn).toBeLessThanOrEqual(limit);
    }
  });
  test('shared subexpressions stay shared, across stores and reductions', () => {
    const once = decomposeKernel(kernelOf('f32', (b, x) => b.scalar('exp', x)));
    const twice = decomposeKernel(
      kernelOf('f32', (b, x) => {
        const e = b.scalar('exp', x);
        return b.scalar('add', e, b.reduce('sum', [b.axis('r', 8, 'reduce')], b.scalar('exp', x)));
      }),
    );
    expect(scalars(twice).length).toBe(scalars(once).length + 1);
  });
  test('native operations and roundings are left alone', () => {
    const kernel = decomposeKernel(
      kernelOf('f32', (b, x) => b.round(float16, b.scalar('exp', x))),
      new Set<ScalarOp>(['exp']),
      { nativeRound: new Set(['float16'] as const) },
    );
    const kinds = [...expressions(kernel)].map((e) => (e.op === 'scalar' ? e.fn : e.op));
    expect(kinds).toEqual(expect.arrayContaining(['round', 'exp']));
    expect(scalars(kernel)).toEqual(['exp']);
  });
  test('axes are rebuilt with their extents, and a known exponent becomes products', () => {
    const source = kernelOf('f32', (b, x) => b.scalar('pow', x, b.const('f32', 3)));
    const kernel = decomposeKernel(source);
    expect(scalars(kernel)).toEqual(['mul', 'mul']);
    expect(kernel.grid[0]).toMatchObject({ name: 'i', kind: 'vector', extent: { op: 'param', slot: 0 } });
    expect(kernel.grid[0]).not.toBe(source.grid[0]);
  });
});

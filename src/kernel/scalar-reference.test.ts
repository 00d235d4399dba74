import { describe, expect, test } from 'vitest';
import type { ScalarOp } from './scalar.ts';
import { scalarOps } from './scalar.ts';
import { bitcastReference, castReference, scalarReference } from './scalar-reference.ts';
import { digamma, erf, erfc, erfinv, fma32, fma64, lgamma } from './special-reference.ts';

const relative = (a: number, b: number): number => Math.abs(a - b) / Math.abs(b);

describe('special functions agree with published values', () => {
  test.each([
    [erf, 0.5, 0.5204998778130465],
    [erf, -1.5, -0.9661051464753108],
    [erf, 3, 0.9999779095030014],
    [erf, 1e-10, 1.1283791670955126e-10],
    [erfc, 0.5, 0.4795001221869535],
    [erfc, 2, 0.004677734981047266],
    [erfc, 10, 2.088487583762545e-45],
    [erfc, -2, 1.9953222650189528],
    [erfinv, 0.5, 0.4769362762044699],
    [erfinv, -0.999, -2.326753765513525],
    [lgamma, 0.5, 0.5723649429247001],
    [lgamma, 10, 12.801827480081469],
    [lgamma, -1.5, 0.860047015376481],
    [lgamma, 1e5, 1051287.7089736569],
    [digamma, 1, -0.5772156649015329],
    [digamma, 10, 2.251752589066721],
    [digamma, -0.5, 0.03648997397857652],
  ] as const)('%o', (f, x, y) => {
    expect(relative(f(x), y)).toBeLessThan(1e-13);
  });
});

describe('fma rounds once', () => {
  test('in double', () => {
    const e = 2 ** -52;
    expect(fma64(1 + e, 1 - e, -1)).toBe(-(2 ** -104));
    expect(fma64(0.1, 10, -1)).toBe(5.551115123125783e-17);
    expect(fma64(1e308, 10, -Infinity)).toBe(-Infinity);
    expect(fma64(1e308, 10, -1e308)).toBe(Infinity);
    expect(Object.is(fma64(-1, 0, 0), 0)).toBe(true);
    expect(Object.is(fma64(1, 1, -1), 0)).toBe(true);
    expect(fma64(2 ** -537, 2 ** -537, 2 ** -1074)).toBe(2 ** -1073);
    expect(fma64(2 ** -600, 2 ** -600, 1)).toBe(1);
  });
  test('in float, against exact arithmetic', () => {
    expect(fma32(1 + 2 ** -23, 1 + 2 ** -23, -1)).toBe(2 ** -22); // 2^-46 is half a unit: a tie, to even
    expect(fma32(1 + 2 ** -23, 1 + 2 ** -23, -(1 + 2 ** -22))).toBe(2 ** -46);
    // a tie in float that the third operand breaks far below double precision
    expect(fma32(1 + 2 ** -12, 1 + 2 ** -12, 2 ** -80)).toBe(Math.fround(1 + 2 ** -11 + 2 ** -23));
    expect(fma32(1 + 2 ** -12, 1 + 2 ** -12, -(2 ** -80))).toBe(1 + 2 ** -11);
    const large = Math.fround(3e38);
    expect(fma32(large, 2, -large)).toBe(large);
    expect(fma32(large, 2, large)).toBe(Infinity);
  });
});

test('integers wrap, and division by zero gives zero', () => {
  const i32 = (op: ScalarOp, a: number, b: number): unknown => scalarReference(op, 'i32')(a, b, 0);
  const i64 = (op: ScalarOp, a: bigint, b: bigint): unknown => scalarReference(op, 'i64')(a, b, 0n);
  expect(i32('add', 2 ** 31 - 1, 1)).toBe(-(2 ** 31));
  expect(i32('mul', 65537, 65537)).toBe(131073);
  expect(i32('idiv', -(2 ** 31), -1)).toBe(-(2 ** 31));
  expect(i32('idiv', 5, 0)).toBe(0);
  expect(i32('irem', -5, 3)).toBe(-2);
  expect(i32('irem', 5, 0)).toBe(0);
  expect(i32('shl', 1, 32)).toBe(0);
  expect(i32('shr', -8, 40)).toBe(-1);
  expect(i32('ushr', -1, 28)).toBe(15);
  expect(i64('mul', 2n ** 62n, 4n)).toBe(0n);
  expect(i64('idiv', -(2n ** 63n), -1n)).toBe(-(2n ** 63n));
  expect(i64('ushr', -1n, 60n)).toBe(15n);
  expect(i64('shr', -1n, 100n)).toBe(-1n);
  expect(i64('pow', 3n, 5n)).toBe(243n);
  expect(i64('pow', 2n, -1n)).toBe(0n);
});

test('floats: min and max carry NaN, rint ties to even, pow(1, NaN) is 1', () => {
  const f32 = (op: ScalarOp, a: number, b = 0): unknown => scalarReference(op, 'f32')(a, b, 0);
  expect(f32('min', 3, 4)).toBe(3);
  expect(f32('max', -3, -4)).toBe(-3);
  expect(f32('max', 1, Number.NaN)).toBeNaN();
  expect(f32('min', Number.NaN, 1)).toBeNaN();
  expect([0.5, 1.5, 2.5, -0.5, -1.5].map((x) => f32('rint', x))).toEqual([0, 2, 2, -0, -2]);
  expect(f32('pow', 1, Number.NaN)).toBe(1);
  expect(f32('add', 2 ** 24, 1)).toBe(2 ** 24);
  expect(scalarReference('ne', 'f32')(Number.NaN, Number.NaN, 0)).toBe(true);
});

test('casts truncate, saturate to INT_MIN, and compare with zero', () => {
  expect(castReference('f32', 'i32')(-1.9)).toBe(-1);
  expect(castReference('f32', 'i32')(3e9)).toBe(-(2 ** 31));
  expect(castReference('f64', 'i64')(Number.NaN)).toBe(-(2n ** 63n));
  expect(castReference('i64', 'i32')(2n ** 32n + 5n)).toBe(5);
  expect(castReference('f32', 'bool')(Number.NaN)).toBe(true);
  expect(castReference('i64', 'f32')(2n ** 24n + 1n)).toBe(2 ** 24);
  expect(bitcastReference('f32', 1)).toBe(0x3f800000);
  expect(bitcastReference('i64', 0x3ff0000000000000n)).toBe(1);
});

test('every operation has a reference on a type that it allows', () => {
  for (const op of Object.keys(scalarOps) as ScalarOp[]) {
    const { operands } = scalarOps[op];
    const type = operands === 'int' || operands === 'bits' ? 'i32' : operands === 'bool' ? 'bool' : 'f64';
    expect(['number', 'boolean']).toContain(typeof scalarReference(op, type)(op === 'select' ? true : 1, 1, 1));
  }
});

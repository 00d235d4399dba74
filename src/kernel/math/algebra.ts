/**
 * The algebra in which the formulas of this folder are written, and short names for it.
 *
 * A formula sees only basic scalar operations on an opaque value type T. On a `KernelBuilder` T is an expression, and the formula
 * becomes kernel IR; on `emulate.ts` T is a column of numbers, and the formula is run with exactly the roundings that a kernel has.
 * There is no control flow on values: branches are `select`s, both sides of which are computed, so each side must be harmless
 * (no traps exist) wherever the other one is chosen.
 */
import type { ComputeType, ScalarOp } from '../scalar.ts';

/** What `decompose.ts` rewrites; every other operation is basic. A test holds this list against the levels in `scalar.ts`. */
export type CompositeOp =
  | 'exp'
  | 'exp2'
  | 'expm1'
  | 'log'
  | 'log2'
  | 'log10'
  | 'log1p'
  | 'sin'
  | 'cos'
  | 'tan'
  | 'asin'
  | 'acos'
  | 'atan'
  | 'atan2'
  | 'sinh'
  | 'cosh'
  | 'tanh'
  | 'asinh'
  | 'acosh'
  | 'atanh'
  | 'erf'
  | 'erfc'
  | 'erfinv'
  | 'lgamma'
  | 'digamma'
  | 'pow'
  | 'fmod';
export type BasicOp = Exclude<ScalarOp, CompositeOp>;

export interface Algebra<T> {
  const(type: ComputeType, value: number | bigint | boolean): T;
  scalar(fn: BasicOp, ...args: T[]): T;
  cast(type: ComputeType, arg: T): T;
  bitcast(type: ComputeType, arg: T): T;
}

export type FloatType = 'f32' | 'f64';
export interface CoefficientTable {
  readonly f32?: readonly number[];
  readonly f64: readonly number[];
}

/** Operations on floats of one type and on the integers of the same width. */
export class FloatMath<T> {
  readonly algebra: Algebra<T>;
  readonly type: FloatType;
  readonly bitsType: 'i32' | 'i64';
  readonly single: boolean;
  /** Stored bits of the significand: 23 or 52. */
  readonly mantissa: number;
  /** 1.5 * 2^mantissa: adding it leaves the rounded integer in the low bits. */
  readonly magic: number;

  constructor(algebra: Algebra<T>, type: FloatType) {
    this.algebra = algebra;
    this.type = type;
    this.single = type === 'f32';
    this.bitsType = this.single ? 'i32' : 'i64';
    this.mantissa = this.single ? 23 : 52;
    this.magic = 1.5 * 2 ** this.mantissa;
  }

  c(value: number): T {
    return this.algebra.const(this.type, this.single ? Math.fround(value) : value);
  }
  /** The constant of this type: `pick(single, double)`. */
  pick(single: number, double: number): T {
    return this.c(this.single ? single : double);
  }
  /** An integer of the float's width; the bits above it are dropped. */
  i(value: number | bigint): T {
    const big = BigInt.asIntN(this.single ? 32 : 64, BigInt(value));
    return this.algebra.const(this.bitsType, this.single ? Number(big) : big);
  }
  /** The bit pattern of 2^exponent, as a bigint. */
  powerBits(exponent: number): bigint {
    return BigInt(exponent + (this.single ? 127 : 1023)) << BigInt(this.mantissa);
  }
  add(a: T, b: T): T {
    return this.algebra.scalar('add', a, b);
  }
  sub(a: T, b: T): T {
    return this.algebra.scalar('sub', a, b);
  }
  mul(a: T, b: T): T {
    return this.algebra.scalar('mul', a, b);
  }
  div(a: T, b: T): T {
    return this.algebra.scalar('div', a, b);
  }
  fma(a: T, b: T, c: T): T {
    return this.algebra.scalar('fma', a, b, c);
  }
  // The constant comes first: minps(constant, x) gives x where x is NaN, so a renderer needs one instruction.
  min(constant: T, x: T): T {
    return this.algebra.scalar('min', constant, x);
  }
  max(constant: T, x: T): T {
    return this.algebra.scalar('max', constant, x);
  }
  neg(a: T): T {
    return this.algebra.scalar('neg', a);
  }
  abs(a: T): T {
    return this.algebra.scalar('abs', a);
  }
  sqrt(a: T): T {
    return this.algebra.scalar('sqrt', a);
  }
  rint(a: T): T {
    return this.algebra.scalar('rint', a);
  }
  trunc(a: T): T {
    return this.algebra.scalar('trunc', a);
  }
  lt(a: T, b: T): T {
    return this.algebra.scalar('lt', a, b);
  }
  le(a: T, b: T): T {
    return this.algebra.scalar('le', a, b);
  }
  eq(a: T, b: T): T {
    return this.algebra.scalar('eq', a, b);
  }
  ne(a: T, b: T): T {
    return this.algebra.scalar('ne', a, b);
  }
  and(a: T, b: T): T {
    return this.algebra.scalar('and', a, b);
  }
  or(a: T, b: T): T {
    return this.algebra.scalar('or', a, b);
  }
  xor(a: T, b: T): T {
    return this.algebra.scalar('xor', a, b);
  }
  not(a: T): T {
    return this.algebra.scalar('not', a);
  }
  shl(a: T, count: number): T {
    return this.algebra.scalar('shl', a, this.i(count));
  }
  shr(a: T, count: number): T {
    return this.algebra.scalar('shr', a, this.i(count));
  }
  ushr(a: T, count: number): T {
    return this.algebra.scalar('ushr', a, this.i(count));
  }
  select(condition: T, then: T, otherwise: T): T {
    return this.algebra.scalar('select', condition, then, otherwise);
  }
  bits(a: T): T {
    return this.algebra.bitcast(this.bitsType, a);
  }
  float(a: T): T {
    return this.algebra.bitcast(this.type, a);
  }
  /** `magnitude` (not negative) with the sign bit of `sign`. */
  withSign(magnitude: T, sign: T): T {
    const signBit = this.i(this.single ? 0x80000000 : 1n << 63n);
    return this.float(this.or(this.bits(magnitude), this.and(this.bits(sign), signBit)));
  }
  /** True where the sign bit is set. */
  signed(a: T): T {
    return this.lt(this.bits(a), this.i(0));
  }
  coefficients(table: CoefficientTable): readonly number[] {
    const found = this.single ? table.f32 : table.f64;
    if (found === undefined) throw new Error('internal: no coefficients for this float type');
    return found;
  }
  /** Horner's rule. */
  poly(x: T, table: CoefficientTable): T {
    return this.horner(x, this.coefficients(table));
  }
  horner(x: T, coefficients: readonly number[]): T {
    let sum = this.c(coefficients[coefficients.length - 1]);
    for (let k = coefficients.length - 2; k >= 0; k--) sum = this.fma(sum, x, this.c(coefficients[k]));
    return sum;
  }
}

/** Evaluates a formula for f64 on an f32 argument: for functions that are never hot, one formula is enough. */
export const throughDouble =
  <T>(formula: (m: FloatMath<T>, ...args: T[]) => T) =>
  (m: FloatMath<T>, ...args: T[]): T => {
    if (!m.single) return formula(m, ...args);
    const wide = new FloatMath(m.algebra, 'f64');
    return m.algebra.cast('f32', formula(wide, ...args.map((arg) => m.algebra.cast('f64', arg))));
  };

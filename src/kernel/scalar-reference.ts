/**
 * What every scalar operation means, as JavaScript: the oracle of all renderers.
 *
 * Values: f32, f64, i32 and index are numbers, i64 bigints, bool booleans. float32 results are double results rounded once, which is
 * exact for + - * / and sqrt; for composite functions it is the correctly rounded value in all but rare cases.
 */

import { castValue } from '../dtype/codec.ts';
import type { DType } from '../dtype/dtype.ts';
import type { ComputeType, ScalarOp } from './scalar.ts';
import { digamma, erf, erfc, erfinv, fma32, fma64, lgamma } from './special-reference.ts';

export type Value = number | bigint | boolean;
export type ReferenceFunction = (a: Value, b: Value, c: Value) => Value;

type Floats = (a: number, b: number, c: number) => number;
type Compare = (a: Value, b: Value) => boolean;
type Bigs = (a: bigint, b: bigint) => bigint;

/** One row per operation; which columns exist follows `operands` in scalar.ts. int64 results are wrapped, int32 results go through `| 0`. */
interface Row {
  readonly float?: Floats;
  readonly int?: Floats;
  readonly big?: Bigs;
  readonly index?: Floats;
  readonly bool?: (a: boolean, b: boolean) => boolean;
  readonly compare?: Compare;
}

function rint(x: number): number {
  if (!(Math.abs(x) < 2 ** 52)) return x;
  const floor = Math.floor(x);
  const rest = x - floor;
  const rounded = rest < 0.5 || (rest === 0.5 && floor % 2 === 0) ? floor : floor + 1;
  return rounded === 0 && (x < 0 || Object.is(x, -0)) ? -0 : rounded;
}

/** IEEE pow: as JavaScript's, but 1^NaN and (-1)^inf are 1. */
function pow(a: number, b: number): number {
  if (a === 1 || (a === -1 && (b === Infinity || b === -Infinity))) return 1;
  return a ** b;
}

function integerPow(a: bigint, b: bigint): bigint {
  if (b < 0n) return a === 1n ? 1n : a === -1n ? (b & 1n ? -1n : 1n) : 0n;
  let result = 1n;
  let base = a;
  for (let e = b; e > 0n; e >>= 1n) {
    if (e & 1n) result = BigInt.asIntN(64, result * base);
    base = BigInt.asIntN(64, base * base);
  }
  return result;
}

// not Math.min itself: callers pass a third operand
const min: Floats = (a, b) => Math.min(a, b);
const max: Floats = (a, b) => Math.max(a, b);
const quotient: Floats = (a, b) => (b === 0 ? 0 : Math.trunc(a / b));
const remainder: Floats = (a, b) => (b === 0 ? 0 : a % b);
const f = (float: Floats): Row => ({ float });

const rows = {
  add: { float: (a, b) => a + b, int: (a, b) => a + b, big: (a, b) => a + b, index: (a, b) => a + b },
  sub: { float: (a, b) => a - b, int: (a, b) => a - b, big: (a, b) => a - b, index: (a, b) => a - b },
  mul: { float: (a, b) => a * b, int: Math.imul, big: (a, b) => a * b, index: (a, b) => a * b },
  div: f((a, b) => a / b),
  // idiv on floats does not exist in PyTorch's kernels; scalar.ts allows `number`, so give it the truncated quotient
  idiv: { float: (a, b) => Math.trunc(a / b), int: quotient, big: (a, b) => (b === 0n ? 0n : a / b), index: quotient },
  irem: { float: (a, b) => a % b, int: remainder, big: (a, b) => (b === 0n ? 0n : a % b), index: remainder },
  min: { float: min, int: min, big: (a, b) => (a < b ? a : b), index: min },
  max: { float: max, int: max, big: (a, b) => (a > b ? a : b), index: max },
  neg: { float: (a) => -a, int: (a) => -a, big: (a) => -a, index: (a) => 0 - a },
  abs: { float: Math.abs, int: Math.abs, big: (a) => (a < 0n ? -a : a), index: Math.abs },
  sqrt: f(Math.sqrt),
  floor: f(Math.floor),
  ceil: f(Math.ceil),
  trunc: f(Math.trunc),
  rint: f(rint),
  fma: f(fma64),
  lt: { compare: (a, b) => a < b },
  le: { compare: (a, b) => a <= b },
  eq: { compare: (a, b) => a === b },
  ne: { compare: (a, b) => a !== b },
  and: { int: (a, b) => a & b, big: (a, b) => a & b, bool: (a, b) => a && b },
  or: { int: (a, b) => a | b, big: (a, b) => a | b, bool: (a, b) => a || b },
  xor: { int: (a, b) => a ^ b, big: (a, b) => a ^ b, bool: (a, b) => a !== b },
  not: { int: (a) => ~a, big: (a) => ~a, bool: (a) => !a },
  shl: { int: (a, b) => (b >>> 0 >= 32 ? 0 : a << b), big: (a, b) => (b < 0n || b >= 64n ? 0n : a << b) },
  shr: { int: (a, b) => a >> (b >>> 0 >= 32 ? 31 : b), big: (a, b) => a >> (b < 0n || b >= 64n ? 63n : b) },
  ushr: { int: (a, b) => (b >>> 0 >= 32 ? 0 : a >>> b), big: (a, b) => (b < 0n || b >= 64n ? 0n : BigInt.asUintN(64, a) >> b) },
  select: {},
  exp: f(Math.exp),
  exp2: f((a) => 2 ** a),
  expm1: f(Math.expm1),
  log: f(Math.log),
  log2: f(Math.log2),
  log10: f(Math.log10),
  log1p: f(Math.log1p),
  sin: f(Math.sin),
  cos: f(Math.cos),
  tan: f(Math.tan),
  asin: f(Math.asin),
  acos: f(Math.acos),
  atan: f(Math.atan),
  atan2: f(Math.atan2),
  sinh: f(Math.sinh),
  cosh: f(Math.cosh),
  tanh: f(Math.tanh),
  asinh: f(Math.asinh),
  acosh: f(Math.acosh),
  atanh: f(Math.atanh),
  erf: f(erf),
  erfc: f(erfc),
  erfinv: f(erfinv),
  lgamma: f(lgamma),
  digamma: f(digamma),
  pow: { float: pow, int: (a, b) => Number(BigInt.asIntN(32, integerPow(BigInt(a), BigInt(b)))), big: integerPow, index: pow },
  fmod: f((a, b) => a % b),
} as const satisfies Record<ScalarOp, Row>;

/** The function of an operation on operands of `type` (for select: the type of its second operand). */
export function scalarReference(op: ScalarOp, type: ComputeType): ReferenceFunction {
  if (op === 'select') return (a, b, c) => (a ? b : c);
  const row: Row = rows[op];
  if (row.compare !== undefined) return row.compare as ReferenceFunction;
  if (op === 'fma' && type === 'f32') return fma32 as ReferenceFunction;
  const missing = (): never => {
    throw new Error(`internal: ${op} is not defined on ${type}`);
  };
  switch (type) {
    case 'f32': {
      const float = row.float ?? missing();
      return (a, b, c) => Math.fround(float(a as number, b as number, c as number));
    }
    case 'f64':
      return (row.float ?? missing()) as ReferenceFunction;
    case 'i32': {
      const int = row.int ?? missing();
      return (a, b, c) => int(a as number, b as number, c as number) | 0;
    }
    case 'i64': {
      const big = row.big ?? missing();
      return (a, b) => BigInt.asIntN(64, big(a as bigint, b as bigint));
    }
    case 'bool':
      return (row.bool ?? missing()) as ReferenceFunction;
    case 'index':
      return (row.index ?? missing()) as ReferenceFunction;
    default:
      return type satisfies never;
  }
}

/** Value conversion as CastExpr states it. */
export function castReference(from: ComputeType, to: ComputeType): (a: Value) => Value {
  if (from === to) return (a) => a;
  switch (to) {
    case 'f32':
      return (a) => Math.fround(Number(a));
    case 'f64':
      return (a) => Number(a);
    case 'bool':
      return (a) => (typeof a === 'bigint' ? a !== 0n : a !== 0 && a !== false);
    case 'index':
      if (from === 'f32' || from === 'f64') throw new Error('internal: index from a float');
      return (a) => Number(a);
    case 'i32':
      if (from === 'i64') return (a) => Number(BigInt.asIntN(32, a as bigint));
      if (from === 'index') return (a) => (a as number) | 0;
      return (a) => {
        const t = Math.trunc(Number(a));
        return t >= -(2 ** 31) && t < 2 ** 31 ? t | 0 : -(2 ** 31);
      };
    case 'i64':
      return (a) => {
        const t = Math.trunc(Number(a));
        return t >= -(2 ** 63) && t < 2 ** 63 ? BigInt(t) : -(2n ** 63n);
      };
    default:
      return to satisfies never;
  }
}

const scratch = new DataView(new ArrayBuffer(8));

/** Same bits: f32 <-> i32, f64 <-> i64. */
export function bitcastReference(from: ComputeType, a: Value): Value {
  switch (from) {
    case 'f32':
      scratch.setFloat32(0, a as number);
      return scratch.getInt32(0);
    case 'i32':
      scratch.setInt32(0, a as number);
      return scratch.getFloat32(0);
    case 'f64':
      scratch.setFloat64(0, a as number);
      return scratch.getBigInt64(0);
    case 'i64':
      scratch.setBigInt64(0, a as bigint);
      return scratch.getFloat64(0);
    default:
      throw new Error(`internal: bitcast from ${from}`);
  }
}

/** The value after storing as dtype and loading again. */
export function roundReference(dtype: DType, a: Value): Value {
  return castValue(dtype, a) as Value;
}

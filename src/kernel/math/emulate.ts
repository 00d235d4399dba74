/**
 * The algebra of `algebra.ts` on columns of JavaScript numbers, with the exact roundings of f32 and f64 (fma rounds once).
 *
 * For tests and for the reference back end's constants: it says what a formula gives on every target, without the kernel machinery.
 */
import type { ComputeType } from '../scalar.ts';
import type { Algebra, BasicOp } from './algebra.ts';

export type Column =
  | { readonly type: 'f32' | 'f64' | 'i32'; readonly data: Float64Array }
  | { readonly type: 'i64'; readonly data: BigInt64Array }
  | { readonly type: 'bool'; readonly data: Uint8Array };

const words = new DataView(new ArrayBuffer(8));
const bitsOf = (x: number): bigint => {
  words.setFloat64(0, x);
  return words.getBigInt64(0);
};
const fromBits = (bits: bigint): number => {
  words.setBigInt64(0, bits);
  return words.getFloat64(0);
};
const f32Bits = (x: number): number => {
  words.setFloat32(0, x);
  return words.getInt32(0);
};
const f32FromBits = (bits: number): number => {
  words.setInt32(0, bits);
  return words.getFloat32(0);
};

/** a + b, rounded to odd: the value that a later rounding to fewer bits rounds as it would the exact sum. */
function addToOdd(a: number, b: number): number {
  const sum = a + b;
  const part = sum - a;
  const error = a - (sum - part) + (b - part);
  if (error === 0 || !Number.isFinite(sum)) return sum;
  const bits = bitsOf(sum);
  if ((bits & 1n) === 1n) return sum;
  return fromBits(error > 0 === sum > 0 ? bits + 1n : bits - 1n);
}

function fma32(a: number, b: number, c: number): number {
  return Math.fround(addToOdd(a * b, c));
}

/** x = mantissa * 2^exponent. */
function split(x: number): [bigint, number] {
  const bits = bitsOf(x);
  const field = Number((bits >> 52n) & 0x7ffn);
  const fraction = bits & 0xfffffffffffffn;
  const magnitude = field === 0 ? fraction : fraction | (1n << 52n);
  return [bits < 0n ? -magnitude : magnitude, Math.max(field, 1) - 1075];
}

/** The float nearest to value * 2^exponent, ties to even. */
function roundScaled(value: bigint, exponent: number): number {
  const negative = value < 0n;
  let magnitude = negative ? -value : value;
  const length = magnitude.toString(2).length;
  let scale = exponent;
  const drop = Math.max(length - 53, -1074 - scale);
  if (drop > 0) {
    const shift = BigInt(drop);
    const rest = magnitude & ((1n << shift) - 1n);
    const half = 1n << (shift - 1n);
    magnitude >>= shift;
    scale += drop;
    if (rest > half || (rest === half && (magnitude & 1n) === 1n)) magnitude += 1n;
  }
  const high = Math.max(-1000, Math.min(scale, 900));
  const result = Number(magnitude) * 2 ** high * 2 ** (scale - high);
  return negative ? -result : result;
}

const splitter = 134217729;
function fma64(a: number, b: number, c: number): number {
  const product = a * b;
  const result = product + c;
  if (!Number.isFinite(result) || a === 0 || b === 0)
    return Number.isFinite(a) && Number.isFinite(b) && Number.isFinite(c) && a !== 0 && b !== 0 ? exactFma(a, b, c) : result;
  const size = Math.abs(product);
  const addend = Math.abs(c);
  const moderate =
    size > 1e-200 && size < 1e200 && Math.abs(a) < 1e200 && Math.abs(b) < 1e200 && (addend === 0 || (addend > 1e-200 && addend < 1e200));
  if (!moderate) return exactFma(a, b, c);
  // Dekker's product, then Boldo and Melquiond's fma: the low parts are added with rounding to odd.
  const ta = splitter * a;
  const ah = ta - (ta - a);
  const al = a - ah;
  const tb = splitter * b;
  const bh = tb - (tb - b);
  const bl = b - bh;
  const low = al * bl - (product - ah * bh - al * bh - ah * bl);
  const s = c + low;
  const sp = s - c;
  const sl = c - (s - sp) + (low - sp);
  const v = product + s;
  const vp = v - product;
  const vl = product - (v - vp) + (s - vp);
  return v + addToOdd(sl, vl);
}
function exactFma(a: number, b: number, c: number): number {
  const [ma, ea] = split(a);
  const [mb, eb] = split(b);
  const [mc, ec] = split(c);
  const product = ma * mb;
  const exponent = ea + eb;
  const low = Math.min(exponent, ec);
  const sum = (product << BigInt(exponent - low)) + (mc << BigInt(ec - low));
  return sum === 0n ? a * b + c : roundScaled(sum, low);
}

function rint(x: number): number {
  if (!(Math.abs(x) < 2 ** 52)) return x;
  const floor = Math.floor(x);
  const rest = x - floor;
  const up = rest > 0.5 || (rest === 0.5 && floor % 2 !== 0);
  const result = up ? floor + 1 : floor;
  return result === 0 && (x < 0 || Object.is(x, -0)) ? -0 : result;
}

const floatOps: { readonly [K in BasicOp]?: (a: number, b: number, c: number) => number } = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  min: (a, b) => Math.min(a, b),
  max: (a, b) => Math.max(a, b),
  neg: (a) => -a,
  abs: (a) => Math.abs(a),
  sqrt: (a) => Math.sqrt(a),
  floor: (a) => Math.floor(a),
  ceil: (a) => Math.ceil(a),
  trunc: (a) => Math.trunc(a),
  rint,
};
const i32Ops: { readonly [K in BasicOp]?: (a: number, b: number) => number } = {
  add: (a, b) => (a + b) | 0,
  sub: (a, b) => (a - b) | 0,
  mul: (a, b) => Math.imul(a, b),
  neg: (a) => -a | 0,
  abs: (a) => Math.abs(a) | 0,
  and: (a, b) => a & b,
  or: (a, b) => a | b,
  xor: (a, b) => a ^ b,
  not: (a) => ~a,
  shl: (a, b) => (b >= 32 ? 0 : a << b),
  shr: (a, b) => a >> Math.min(b, 31),
  ushr: (a, b) => (b >= 32 ? 0 : (a >>> b) | 0),
  min: (a, b) => Math.min(a, b),
  max: (a, b) => Math.max(a, b),
};
const i64Ops: { readonly [K in BasicOp]?: (a: bigint, b: bigint) => bigint } = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  neg: (a) => -a,
  and: (a, b) => a & b,
  or: (a, b) => a | b,
  xor: (a, b) => a ^ b,
  not: (a) => ~a,
  shl: (a, b) => (b >= 64n ? 0n : a << b),
  shr: (a, b) => a >> b,
  ushr: (a, b) => BigInt.asUintN(64, a) >> b,
};
const boolOps: { readonly [K in BasicOp]?: (a: number, b: number) => number } = {
  and: (a, b) => a & b,
  or: (a, b) => a | b,
  xor: (a, b) => a ^ b,
  not: (a) => 1 - a,
};
const compares: { readonly [K in BasicOp]?: (a: number | bigint, b: number | bigint) => boolean } = {
  lt: (a, b) => a < b,
  le: (a, b) => a <= b,
  eq: (a, b) => a === b,
  ne: (a, b) => a !== b,
};

const missing = (fn: string, type: string): Error => new Error(`internal: emulation lacks ${fn} on ${type}`);

/** Columns of `length` values. */
export class Emulation implements Algebra<Column> {
  readonly length: number;
  constructor(length: number) {
    this.length = length;
  }

  column(type: 'f32' | 'f64' | 'i32', values: ArrayLike<number>): Column {
    const data = Float64Array.from(values);
    return { type, data: type === 'f32' ? data.map(Math.fround) : data };
  }
  const(type: ComputeType, value: number | bigint | boolean): Column {
    if (type === 'i64') return { type, data: new BigInt64Array(this.length).fill(BigInt(value)) };
    if (type === 'bool') return { type, data: new Uint8Array(this.length).fill(value ? 1 : 0) };
    if (type === 'index') throw missing('const', type);
    return { type, data: new Float64Array(this.length).fill(Number(value)) };
  }

  scalar(fn: BasicOp, ...args: Column[]): Column {
    const n = this.length;
    if (fn === 'select') return this.#select(args[0], args[1], args[2]);
    const [a, b = a, c = a] = args;
    if (b.type !== a.type || c.type !== a.type) throw new Error(`internal: ${fn} of ${a.type} and ${b.type}`);
    const compare = compares[fn];
    if (compare !== undefined) {
      const data = new Uint8Array(n);
      for (let i = 0; i < n; i++) data[i] = compare(a.data[i], b.data[i]) ? 1 : 0;
      return { type: 'bool', data };
    }
    switch (a.type) {
      case 'i64': {
        const op = i64Ops[fn];
        if (op === undefined || b.type !== 'i64') throw missing(fn, a.type);
        const data = new BigInt64Array(n);
        for (let i = 0; i < n; i++) data[i] = op(a.data[i], b.data[i]);
        return { type: 'i64', data };
      }
      case 'bool': {
        const op = boolOps[fn];
        if (op === undefined) throw missing(fn, a.type);
        const data = new Uint8Array(n);
        for (let i = 0; i < n; i++) data[i] = op(a.data[i], Number(b.data[i]));
        return { type: 'bool', data };
      }
      default: {
        const data = new Float64Array(n);
        if (b.type === 'i64' || c.type === 'i64') throw missing(fn, b.type);
        if (fn === 'fma') {
          const op = a.type === 'f32' ? fma32 : fma64;
          for (let i = 0; i < n; i++) data[i] = op(a.data[i], b.data[i], c.data[i]);
          return { type: a.type, data };
        }
        const op = a.type === 'i32' ? i32Ops[fn] : floatOps[fn];
        if (op === undefined) throw missing(fn, a.type);
        if (a.type === 'f32') for (let i = 0; i < n; i++) data[i] = Math.fround(op(a.data[i], b.data[i], 0));
        else for (let i = 0; i < n; i++) data[i] = op(a.data[i], b.data[i], 0);
        return { type: a.type, data };
      }
    }
  }
  #select(condition: Column, a: Column, b: Column): Column {
    if (condition.type !== 'bool' || a.type !== b.type) throw new Error(`internal: select of ${condition.type}, ${a.type}, ${b.type}`);
    if (a.type === 'i64') return { type: 'i64', data: a.data.map((x, i) => (condition.data[i] ? x : (b.data[i] as bigint))) };
    if (a.type === 'bool') return { type: 'bool', data: a.data.map((x, i) => (condition.data[i] ? x : (b.data[i] as number))) };
    return { type: a.type, data: a.data.map((x, i) => (condition.data[i] ? x : (b.data[i] as number))) };
  }

  cast(type: ComputeType, arg: Column): Column {
    const values = arg.data;
    if (type === 'f32' || type === 'f64') return this.column(type, Array.from<number | bigint, number>(values, Number));
    if (type === 'i32')
      return this.column(
        'i32',
        Array.from<number | bigint, number>(values, (x) => {
          if (typeof x === 'bigint') return Number(BigInt.asIntN(32, x));
          return Math.abs(x) < 2 ** 31 ? Math.trunc(x) : -(2 ** 31);
        }),
      );
    if (type === 'i64')
      return { type, data: BigInt64Array.from(Array.from<number | bigint, bigint>(values, (x) => BigInt(Math.trunc(Number(x))))) };
    if (type === 'bool')
      return { type, data: Uint8Array.from(Array.from<number | bigint, number>(values, (x) => (Number(x) !== 0 ? 1 : 0))) };
    throw missing('cast', type);
  }
  bitcast(type: ComputeType, arg: Column): Column {
    if (arg.type === 'f32' && type === 'i32') return { type, data: arg.data.map(f32Bits) };
    if (arg.type === 'i32' && type === 'f32') return { type, data: arg.data.map(f32FromBits) };
    const data = arg.data;
    if (arg.type === 'f64' && type === 'i64') return { type, data: BigInt64Array.from(Array.from(data as Float64Array, bitsOf)) };
    if (arg.type === 'i64' && type === 'f64') return { type, data: Float64Array.from(Array.from(data as BigInt64Array, fromBits)) };
    throw missing('bitcast', `${arg.type} to ${type}`);
  }
}

/**
 * The basic scalar operations and the casts on lanes, as WebAssembly SIMD.
 *
 * Most are one instruction (`direct`). What the instruction set lacks is either a short vector sequence (int32 division goes through
 * float64, where the truncated quotient is exact) or a loop over the lanes in scalar registers (int64 division, shifts by vectors,
 * conversions to and from int64). Comparisons of 32-bit lanes give 32-bit masks, widened where a mask register is wider.
 */
import type { ScalarOp } from '../../kernel/scalar.ts';
import type { Register, StatementOf, VectorType } from '../../kernel/vector-ir.ts';
import type { EmitContext } from './emit-context.ts';
import type { PlainOp } from './opcodes.ts';

const shapes = { f32: 'f32x4', f64: 'f64x2', i32: 'i32x4', i64: 'i64x2' } as const;
type NumberType = keyof typeof shapes;
const isNumber = (type: string): type is NumberType => type in shapes;

const floatOps = {
  add: 'add',
  sub: 'sub',
  mul: 'mul',
  div: 'div',
  min: 'min',
  max: 'max',
  neg: 'neg',
  abs: 'abs',
  sqrt: 'sqrt',
  floor: 'floor',
  ceil: 'ceil',
  trunc: 'trunc',
  rint: 'nearest',
  lt: 'lt',
  le: 'le',
  eq: 'eq',
  ne: 'ne',
} as const satisfies Partial<Record<ScalarOp, string>>;
const intOps = { add: 'add', sub: 'sub', mul: 'mul', neg: 'neg', abs: 'abs', lt: 'lt_s', le: 'le_s', eq: 'eq', ne: 'ne' } as const;
const bitOps = { and: 'v128.and', or: 'v128.or', xor: 'v128.xor', not: 'v128.not', eq: 'v128.xor', ne: 'v128.xor' } as const;

function direct(op: ScalarOp, type: VectorType): PlainOp | null {
  if (op === 'and' || op === 'or' || op === 'xor' || op === 'not') return bitOps[op];
  if (type === 'f32' || type === 'f64') return op in floatOps ? `${shapes[type]}.${floatOps[op as keyof typeof floatOps]}` : null;
  if (type === 'i32' && (op === 'min' || op === 'max')) return `i32x4.${op}_s`;
  if (type === 'i32' || type === 'i64') return op in intOps ? `${shapes[type]}.${intOps[op as keyof typeof intOps]}` : null;
  return null;
}

/** Pushes a vector whose lane l is what `lane(l)` pushes. */
function perLane(e: EmitContext, type: NumberType, lane: (l: number) => void): void {
  const shape = shapes[type];
  for (let l = 0; l < e.lanes; l++) {
    if (l === 0) {
      lane(0);
      e.f.op(`${shape}.splat`);
    } else {
      lane(l);
      e.f.lane(`${shape}.replace_lane`, l);
    }
  }
}
function extract(e: EmitContext, r: Register, lane: number): void {
  if (!isNumber(r.type)) throw new Error('internal: lanes of a mask');
  e.get(r);
  e.f.lane(`${shapes[r.type]}.extract_lane`, lane);
}

/** Pushes a zero of the type's shape. */
function zero(e: EmitContext): void {
  e.i32x4(0);
}

// By zero gives 0. A divisor of -1 is a negation, because MIN / -1 overflows.
function divideInt32(e: EmitContext, a: Register, b: Register): void {
  const { f } = e;
  const half = (high: boolean): void => {
    for (const r of [a, b]) {
      e.get(r);
      if (high) e.permute([8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15]);
      f.op('f64x2.convert_low_i32x4_s');
    }
    e.ops('f64x2.div', 'i32x4.trunc_sat_f64x2_s_zero');
  };
  e.get(a);
  f.op('i32x4.neg');
  half(false);
  if (!e.wide) {
    half(true);
    f.shuffle([0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23]);
  }
  e.get(b);
  e.i32x4(-1);
  e.ops('i32x4.eq', 'v128.bitselect');
  e.get(b);
  zero(e);
  e.ops('i32x4.ne', 'v128.and');
}
function divideInt64(e: EmitContext, a: Register, b: Register): void {
  const { f } = e;
  e.get(a);
  f.op('i64x2.neg');
  const divisor = e.take('i64');
  perLane(e, 'i64', (l) => {
    extract(e, a, l);
    f.i64(1n);
    extract(e, b, l);
    f.tee(divisor);
    // select(1, b, b + 1 is 0 or 1): neither division can trap
    f.get(divisor);
    f.i64(1n);
    f.op('i64.add');
    f.i64(2n);
    e.ops('i64.lt_u', 'select', 'i64.div_s');
  });
  e.get(b);
  e.i64x2(-1n);
  e.ops('i64x2.eq', 'v128.bitselect');
  e.get(b);
  zero(e);
  e.ops('i64x2.ne', 'v128.and');
}
function divide(e: EmitContext, a: Register, b: Register): void {
  if (a.type === 'i32') divideInt32(e, a, b);
  else if (a.type === 'i64') divideInt64(e, a, b);
  else throw new Error(`internal: integer division of ${a.type}`);
}
function remainder(e: EmitContext, a: Register, b: Register): void {
  const shape = a.type === 'i64' ? 'i64x2' : 'i32x4';
  e.get(a);
  divide(e, a, b);
  e.get(b);
  e.ops(`${shape}.mul`, `${shape}.sub`);
  e.get(b);
  zero(e);
  e.ops(`${shape}.ne`, 'v128.and');
}

const shiftOps = { shl: 'shl', shr: 'shr_s', ushr: 'shr_u' } as const;
function shift(e: EmitContext, op: keyof typeof shiftOps, a: Register, b: Register, known: bigint | null): void {
  const { f } = e;
  const type = a.type === 'i64' ? 'i64' : 'i32';
  const width = type === 'i64' ? 64n : 32n;
  if (known !== null) {
    const inside = known >= 0n && known < width;
    if (!inside && op !== 'shr') {
      zero(e);
      return;
    }
    e.get(a);
    f.i32(Number(inside ? known : width - 1n));
    f.op(`${shapes[type]}.${shiftOps[op]}`);
    return;
  }
  const literal = (value: bigint): void => (type === 'i64' ? f.i64(value) : f.i32(Number(value)));
  const count = e.take(type);
  perLane(e, type, (l) => {
    extract(e, b, l);
    f.set(count);
    extract(e, a, l);
    if (op === 'shr') {
      f.get(count);
      literal(width - 1n);
      f.get(count);
      literal(width);
      e.ops(`${type}.lt_u`, 'select', `${type}.shr_s`);
    } else {
      f.get(count);
      f.op(`${type}.${shiftOps[op]}`);
      literal(0n);
      f.get(count);
      literal(width);
      e.ops(`${type}.lt_u`, 'select');
    }
  });
}

/** Pushes the result of a basic operation. `known` is the value of an integer constant register, or null. */
export function emitVectorOp(e: EmitContext, s: StatementOf<'vector'>, known: (r: Register) => bigint | null): void {
  const { op, args } = s;
  const { f } = e;
  const operand = args[args.length - 1];
  if (operand.type === 'index') throw new Error('internal: a vector operation on index registers');
  const type = operand.type;
  const single = direct(op, type);
  if (single !== null) {
    for (const arg of args) e.get(arg);
    f.op(single);
    if (s.dst.type === 'mask' && (type === 'f32' || type === 'i32')) e.widenMask();
    return;
  }
  const [a, b, c] = args;
  switch (op) {
    case 'eq':
    case 'ne': // of masks: the others are direct
      e.get(a);
      e.get(b);
      f.op('v128.xor');
      if (op === 'eq') f.op('v128.not');
      return;
    case 'select':
      e.get(b);
      e.get(c);
      e.getMaskFor(a, type);
      f.op('v128.bitselect');
      return;
    case 'fma': {
      const shape = type === 'f64' ? 'f64x2' : 'f32x4';
      e.get(a);
      e.get(b);
      if (!e.fused) f.op(`${shape}.mul`);
      e.get(c);
      f.op(e.fused ? `${shape}.relaxed_madd` : `${shape}.add`);
      return;
    }
    case 'min':
    case 'max': // of int64
      e.get(a);
      e.get(b);
      e.get(a);
      e.get(b);
      f.op(op === 'min' ? 'i64x2.lt_s' : 'i64x2.gt_s');
      f.op('v128.bitselect');
      return;
    case 'idiv':
      divide(e, a, b);
      return;
    case 'irem':
      remainder(e, a, b);
      return;
    case 'shl':
    case 'shr':
    case 'ushr':
      shift(e, op, a, b, known(b));
      return;
    default:
      throw new Error(`internal: the wasm device has no ${op} on ${type}`);
  }
}

/** Stack: v128.and with a number's bits turns a mask of its width into 0 or the number. */
function maskTo(e: EmitContext, src: Register, type: NumberType): void {
  e.getMaskFor(src, type);
  if (type === 'f32') e.f32x4(1);
  else if (type === 'f64') e.f64x2(1);
  else if (type === 'i32') e.i32x4(1);
  else e.i64x2(1n);
  e.f.op('v128.and');
}

/** Pushes the converted value. */
export function emitCast(e: EmitContext, dst: Register, src: Register): void {
  const { f } = e;
  const from = src.type;
  const to = dst.type;
  if (from === to) {
    e.get(src);
    return;
  }
  if (from === 'mask') {
    if (!isNumber(to)) throw new Error('internal: cast of a mask to index');
    maskTo(e, src, to);
    return;
  }
  if (to === 'mask') {
    if (!isNumber(from)) throw new Error('internal: cast of index to a mask');
    e.get(src);
    zero(e);
    f.op(`${shapes[from]}.ne`);
    if (from === 'f32' || from === 'i32') e.widenMask();
    return;
  }
  switch (`${from}>${to}`) {
    case 'f32>f64':
      e.get(src);
      f.op('f64x2.promote_low_f32x4');
      return;
    case 'f64>f32':
      e.get(src);
      f.op('f32x4.demote_f64x2_zero');
      return;
    case 'i32>f32':
      e.get(src);
      f.op('f32x4.convert_i32x4_s');
      return;
    case 'i32>f64':
      e.get(src);
      f.op('f64x2.convert_low_i32x4_s');
      return;
    case 'i32>i64':
      e.get(src);
      f.op('i64x2.extend_low_i32x4_s');
      return;
    case 'i64>i32':
      e.get(src);
      e.narrow64();
      return;
    case 'i64>f32':
    case 'i64>f64':
      perLane(e, to === 'f32' ? 'f32' : 'f64', (l) => {
        extract(e, src, l);
        f.op(to === 'f32' ? 'f32.convert_i64_s' : 'f64.convert_i64_s');
      });
      return;
    // Saturation differs from cvttss2si only at the upper end and for NaN, where the comparison is false.
    case 'f32>i32':
      e.get(src);
      f.op('i32x4.trunc_sat_f32x4_s');
      e.i32x4(-(2 ** 31));
      e.get(src);
      e.f32x4(2 ** 31);
      e.ops('f32x4.lt', 'v128.bitselect');
      return;
    case 'f64>i32':
      e.get(src);
      f.op('i32x4.trunc_sat_f64x2_s_zero');
      e.i32x4(-(2 ** 31));
      e.get(src);
      e.f64x2(2 ** 31);
      f.op('f64x2.lt');
      e.narrow64();
      f.op('v128.bitselect');
      return;
    case 'f32>i64':
    case 'f64>i64': {
      const shape = from === 'f32' ? 'f32x4' : 'f64x2';
      perLane(e, 'i64', (l) => {
        extract(e, src, l);
        f.op(from === 'f32' ? 'i64.trunc_sat_f32_s' : 'i64.trunc_sat_f64_s');
      });
      e.i64x2(-(2n ** 63n));
      e.get(src);
      if (shape === 'f32x4') e.f32x4(2 ** 63);
      else e.f64x2(2 ** 63);
      f.op(`${shape}.lt`);
      if (shape === 'f32x4') e.widenMask();
      f.op('v128.bitselect');
      return;
    }
    default:
      throw new Error(`internal: cast of ${from} to ${to}`);
  }
}

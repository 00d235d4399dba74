/**
 * Selection of the basic scalar operations on lanes: one function per operand type.
 *
 * AVX2 lacks 64-bit multiplication, minimum, absolute value and arithmetic shift: each has an exact emulation here. int32 division goes
 * through float64 (53 bits hold every quotient that matters), int64 division through the scalar unit, lane by lane.
 * A sequence writes `dst` with its last instruction only, because dst may be one of the sources (an accumulator).
 */
import type { ScalarOp } from '../../../kernel/scalar.ts';
import type { VectorType } from '../../../kernel/vector-ir.ts';
import { rax, rdx, type VectorMnemonic, type Width } from './assembler.ts';
import { type Builder, comparisonCodes, type Float, type Integer } from './builder.ts';
import type { VirtualRegister } from './machine.ts';

const unsupported = (op: ScalarOp, type: VectorType): never => {
  throw new Error(`internal: ${op} on ${type} has no machine code; composite operations are decomposed before lowering`);
};

/** dst = op(args); `type` is that of the operands (of the second one for select). */
export function selectVectorOp(b: Builder, op: ScalarOp, type: VectorType, dst: VirtualRegister, args: readonly VirtualRegister[]): void {
  if (op === 'select') {
    const [m, yes, no] = args as [VirtualRegister, VirtualRegister, VirtualRegister];
    if (type === 'mask') selectMask(b, dst, m, yes, no);
    else b.blend(type, dst, m, yes, no);
  } else if (type === 'f32' || type === 'f64') floatOp(b, op, type, dst, args);
  else if (type === 'mask') maskOp(b, op, dst, args);
  else if (type === 'i32') int32Op(b, op, dst, args);
  else int64Op(b, op, dst, args);
}

function floatOp(b: Builder, op: ScalarOp, type: Float, dst: VirtualRegister, args: readonly VirtualRegister[]): void {
  const [x, y, z] = args as [VirtualRegister, VirtualRegister, VirtualRegister];
  const w = b.width(type);
  const s = type === 'f32' ? 'ps' : 'pd';
  const single = type === 'f32';
  switch (op) {
    case 'add':
    case 'sub':
    case 'mul':
    case 'div':
      b.op(`v${op}${s}`, w, dst, x, y);
      return;
    case 'min':
    case 'max': {
      // The hardware answers its second source when either is NaN: right unless only the first is.
      if (b.isFiniteConstant(type, x) || b.isFiniteConstant(type, y)) {
        const [constant, other] = b.isFiniteConstant(type, x) ? [x, y] : [y, x];
        b.op(`v${op}${s}`, w, dst, constant, other);
        return;
      }
      const t = b.make(`v${op}${s}`, w, x, y);
      const unordered = b.mask();
      if (b.avx512) {
        b.op(`vcmp${s}K`, w, unordered, x, x, 3);
        b.opWith({ mask: unordered }, single ? 'vpblendmd' : 'vpblendmq', w, dst, t, x);
      } else b.op(`vblendv${s}`, w, dst, t, x, b.op(`vcmp${s}`, w, unordered, x, x, 3));
      return;
    }
    case 'neg':
      b.op(single ? 'vpxord' : 'vpxorq', w, dst, x, single ? b.bits32(0x80000000) : b.bits64(1n << 63n));
      return;
    case 'abs':
      b.op(single ? 'vpandd' : 'vpandq', w, dst, x, single ? b.bits32(0x7fffffff) : b.bits64((1n << 63n) - 1n));
      return;
    case 'sqrt':
      b.op(`vsqrt${s}`, w, dst, x);
      return;
    case 'floor':
    case 'ceil':
    case 'trunc':
    case 'rint':
      roundFloat(b, type, dst, x, op);
      return;
    case 'fma':
      dst.hints.push(z, x, y);
      b.code.add(`.fma${s}`, w, 'duuu', [dst, x, y, z]);
      return;
    case 'idiv':
      roundFloat(b, type, dst, b.make(`vdiv${s}`, w, x, y), 'trunc');
      return;
    case 'lt':
    case 'le':
    case 'eq':
    case 'ne':
      b.compareFloat(type, dst, x, y, comparisonCodes[op]);
      return;
    default:
      unsupported(op, type);
  }
}

const roundingModes = { rint: 8, floor: 9, ceil: 10, trunc: 11 } as const;
function roundFloat(b: Builder, type: Float, dst: VirtualRegister, x: VirtualRegister, mode: keyof typeof roundingModes): void {
  const s = type === 'f32' ? 'ps' : 'pd';
  b.op(b.avx512 ? `vrndscale${s}` : `vround${s}`, b.width(type), dst, x, roundingModes[mode]);
}

function maskOp(b: Builder, op: ScalarOp, dst: VirtualRegister, args: readonly VirtualRegister[]): void {
  const [x, y] = args as [VirtualRegister, VirtualRegister];
  switch (op) {
    case 'and':
    case 'or':
    case 'xor':
      if (b.avx512) b.op(b.kName(`k${op}`), null, dst, x, y);
      else b.op(`vp${op}`, 'ymm', dst, x, y);
      return;
    case 'ne':
      maskOp(b, 'xor', dst, args);
      return;
    case 'eq':
      if (b.avx512) b.op(b.kName('kxnor'), null, dst, x, y);
      else b.op('vpcmpeqd', 'ymm', dst, x, y);
      return;
    case 'not':
      if (b.avx512) b.op(b.kName('knot'), null, dst, x);
      else b.op('vpxor', 'ymm', dst, x, b.ones());
      return;
    default:
      unsupported(op, 'mask');
  }
}

function selectMask(b: Builder, dst: VirtualRegister, m: VirtualRegister, yes: VirtualRegister, no: VirtualRegister): void {
  if (!b.avx512) {
    b.op('vpblendvb', 'ymm', dst, no, yes, m);
    return;
  }
  const left = b.op(b.kName('kand'), null, b.mask(), m, yes);
  const right = b.op(b.kName('kandn'), null, b.mask(), m, no);
  b.op(b.kName('kor'), null, dst, left, right);
}

function int32Op(b: Builder, op: ScalarOp, dst: VirtualRegister, args: readonly VirtualRegister[]): void {
  const [x, y] = args as [VirtualRegister, VirtualRegister];
  const w = b.w32;
  switch (op) {
    case 'add':
      b.op('vpaddd', w, dst, x, y);
      return;
    case 'sub':
      b.op('vpsubd', w, dst, x, y);
      return;
    case 'mul':
      b.op('vpmulld', w, dst, x, y);
      return;
    case 'min':
      b.op('vpminsd', w, dst, x, y);
      return;
    case 'max':
      b.op('vpmaxsd', w, dst, x, y);
      return;
    case 'neg':
      b.op('vpsubd', w, dst, b.zero(), x);
      return;
    case 'abs':
      b.op('vpabsd', w, dst, x);
      return;
    case 'idiv':
      divide32(b, dst, x, y);
      return;
    case 'irem': {
      const q = b.vec();
      const nonZero = divide32(b, q, x, y);
      const rest = b.make('vpsubd', w, x, b.make('vpmulld', w, q, y));
      zeroUnless(b, 'i32', dst, rest, nonZero);
      return;
    }
    case 'shl':
      shift(b, 'vpslld', 'vpsllvd', w, dst, x, y);
      return;
    case 'shr':
      shift(b, 'vpsrad', 'vpsravd', w, dst, x, y);
      return;
    case 'ushr':
      shift(b, 'vpsrld', 'vpsrlvd', w, dst, x, y);
      return;
    default:
      commonInteger(b, op, 'i32', dst, args);
  }
}

/** By an immediate where the count is a constant within the width. */
function shift(
  b: Builder,
  fixed: VectorMnemonic,
  variable: VectorMnemonic,
  w: Width,
  dst: VirtualRegister,
  x: VirtualRegister,
  y: VirtualRegister,
): void {
  const count = Number(b.constantBits(y) ?? -1);
  if (count >= 0 && count < (fixed.endsWith('q') ? 64 : 32)) b.op(fixed, w, dst, x, count);
  else b.op(variable, w, dst, x, y);
}

/** Comparisons and bitwise operations: the same on both widths. */
function commonInteger(b: Builder, op: ScalarOp, type: Integer, dst: VirtualRegister, args: readonly VirtualRegister[]): void {
  const [x, y] = args as [VirtualRegister, VirtualRegister];
  const w = b.width(type);
  const size = type === 'i32' ? 'd' : 'q';
  switch (op) {
    case 'and':
    case 'or':
    case 'xor':
      b.op(`vp${op}${size}`, w, dst, x, y);
      return;
    case 'not':
      b.op(`vpxor${size}`, w, dst, x, type === 'i32' ? b.ones() : b.bits64(-1n));
      return;
    case 'lt':
    case 'le':
    case 'eq':
    case 'ne':
      b.compareInteger(type, dst, op, x, y);
      return;
    default:
      unsupported(op, type);
  }
}

/** dst = x where the mask is true, else 0. */
function zeroUnless(b: Builder, type: Integer, dst: VirtualRegister, x: VirtualRegister, m: VirtualRegister): void {
  const w = b.width(type);
  if (b.avx512) b.opWith({ mask: m, zero: true }, type === 'i32' ? 'vmovdqa32' : 'vmovdqa64', w, dst, x);
  else b.op('vpand', w, dst, x, b.maskFor(type, m));
}

/** Truncated quotient through float64, 0 where y is 0; answers with the mask y != 0. MIN / -1 overflows the conversion into MIN. */
function divide32(b: Builder, dst: VirtualRegister, x: VirtualRegister, y: VirtualRegister): VirtualRegister {
  const wide = b.avx512 ? 'zmm' : 'ymm';
  const quotient = (n: VirtualRegister, d: VirtualRegister): VirtualRegister => {
    const ratio = b.make('vdivpd', wide, b.make('vcvtdq2pd', wide, n), b.make('vcvtdq2pd', wide, d));
    return b.make('vcvttpd2dq', wide, ratio);
  };
  let q: VirtualRegister;
  if (b.has64) q = quotient(x, y);
  else {
    const high = b.avx512 ? 'vextracti64x4' : 'vextracti128';
    const low = quotient(x, y);
    const top = quotient(b.make(high, wide, x, 1), b.make(high, wide, y, 1));
    q = b.make(b.avx512 ? 'vinserti64x4' : 'vinserti128', wide, low, top, 1);
  }
  const nonZero = b.mask();
  b.compareInteger('i32', nonZero, 'ne', y, b.zero());
  zeroUnless(b, 'i32', dst, q, nonZero);
  return nonZero;
}

function int64Op(b: Builder, op: ScalarOp, dst: VirtualRegister, args: readonly VirtualRegister[]): void {
  const [x, y] = args as [VirtualRegister, VirtualRegister];
  const w = b.w64;
  const native = b.avx512;
  // AVX2: all ones where x is negative.
  const sign = (): VirtualRegister => b.make('vpcmpgtq', w, b.zero(), x);
  switch (op) {
    case 'add':
      b.op('vpaddq', w, dst, x, y);
      return;
    case 'sub':
      b.op('vpsubq', w, dst, x, y);
      return;
    case 'mul': {
      if (native) {
        b.op('vpmullq', w, dst, x, y);
        return;
      }
      // low * low + ((low * high + high * low) << 32)
      const cross = b.make('vpmulld', w, x, b.make('vpshufd', w, y, 0xb1));
      const sum = b.make('vpaddd', w, cross, b.make('vpsrlq', w, cross, 32));
      b.op('vpaddq', w, dst, b.make('vpmuludq', w, x, y), b.make('vpsllq', w, sum, 32));
      return;
    }
    case 'min':
    case 'max':
      if (native) b.op(op === 'min' ? 'vpminsq' : 'vpmaxsq', w, dst, x, y);
      else {
        const greater = b.make('vpcmpgtq', w, x, y);
        if (op === 'min') b.op('vblendvpd', w, dst, x, y, greater);
        else b.op('vblendvpd', w, dst, y, x, greater);
      }
      return;
    case 'neg':
      b.op('vpsubq', w, dst, b.zero(), x);
      return;
    case 'abs':
      if (native) b.op('vpabsq', w, dst, x);
      else {
        const s = sign();
        b.op('vpsubq', w, dst, b.make('vpxor', w, x, s), s);
      }
      return;
    case 'shl':
      shift(b, 'vpsllq', 'vpsllvq', w, dst, x, y);
      return;
    case 'ushr':
      shift(b, 'vpsrlq', 'vpsrlvq', w, dst, x, y);
      return;
    case 'shr':
      if (native) b.op('vpsravq', w, dst, x, y);
      else {
        const s = sign();
        b.op('vpxor', w, dst, b.make('vpsrlvq', w, b.make('vpxor', w, x, s), y), s);
      }
      return;
    case 'idiv':
    case 'irem':
      divide64(b, op, dst, x, y);
      return;
    default:
      commonInteger(b, op, 'i64', dst, args);
  }
}

/** Lane by lane in the scalar unit: x / 0 = 0, x % 0 = 0, and no trap for MIN / -1. */
function divide64(b: Builder, op: 'idiv' | 'irem', dst: VirtualRegister, x: VirtualRegister, y: VirtualRegister): void {
  const w = b.w64;
  b.store('vmovups', w, b.first(), x);
  b.store('vmovups', w, b.second(), y);
  const divisor = b.gpr();
  const a = b.assembler;
  for (let l = 0; l < b.lanes; l++) {
    const byMinusOne = a.newLabel();
    const zero = a.newLabel();
    const done = a.newLabel();
    b.int('mov', 'du', divisor, b.second(8 * l));
    b.int('mov', 'uu', rax, b.first(8 * l));
    b.int('test', 'uu', divisor, divisor);
    b.int('jcc', 'uu', 'e', zero);
    b.int('cmp', 'uu', divisor, -1);
    b.int('jcc', 'uu', 'e', byMinusOne);
    b.int('cqo', '');
    b.int('idiv', 'u', divisor);
    if (op === 'irem') b.int('mov', 'uu', rax, rdx);
    b.int('jmp', 'u', done);
    b.int('.label', 'u', byMinusOne);
    if (op === 'idiv') {
      b.int('neg', 'u', rax);
      b.int('jmp', 'u', done);
    }
    b.int('.label', 'u', zero);
    b.int('xor32', 'uu', rax, rax);
    b.int('.label', 'u', done);
    b.int('mov', 'uu', b.first(8 * l), rax);
  }
  b.op('vmovups', w, dst, b.first());
}

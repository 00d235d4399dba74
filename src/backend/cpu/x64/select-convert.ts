/**
 * Selection of conversions: casts between vector types, and between registers and the packed bytes of elements (`decode`, `encode`).
 *
 * Packed means P elements of `itemsize` bytes in the low part of a vector register, as they lie in memory; a 64-bit source and a
 * 32-bit register differ in width, which the `w32` and `w64` of the builder express. Both instruction sets give the same bits; only
 * the payload of a NaN follows the hardware. bfloat16 rounds in integers, fp8 after PyTorch's c10/util/Float8_*.h, without branches.
 */
import type { ElementName, VectorType } from '../../../kernel/vector-ir.ts';
import { elementSizes, elementTypes } from '../../../kernel/vector-ir.ts';
import type { Builder } from './builder.ts';
import type { MachineMemory, VirtualRegister } from './machine.ts';

export function selectCast(b: Builder, dst: VirtualRegister, to: VectorType, src: VirtualRegister, from: VectorType): void {
  if (from === to) b.code.move(dst, src);
  else if (to === 'mask') toMask(b, dst, src, from as NumberType);
  else if (from === 'mask') fromMask(b, dst, to, src);
  else numberCast(b, dst, to as NumberType, src, from as NumberType);
}

type NumberType = Exclude<VectorType, 'mask'>;

function numberCast(b: Builder, dst: VirtualRegister, to: NumberType, src: VirtualRegister, from: NumberType): void {
  switch (`${from}-${to}` as const) {
    case 'f32-f64':
      b.op('vcvtps2pd', b.w64, dst, src);
      return;
    case 'f64-f32':
      b.op('vcvtpd2ps', b.w64, dst, src);
      return;
    case 'i32-f32':
      b.op('vcvtdq2ps', b.w32, dst, src);
      return;
    case 'i32-f64':
      b.op('vcvtdq2pd', b.w64, dst, src);
      return;
    case 'f32-i32':
      b.op('vcvttps2dq', b.w32, dst, src);
      return;
    case 'f64-i32':
      b.op('vcvttpd2dq', b.w64, dst, src);
      return;
    case 'i32-i64':
      b.op('vpmovsxdq', b.w64, dst, src);
      return;
    case 'i64-i32':
      narrow64(b, dst, src);
      return;
    case 'f32-i64':
      if (b.avx512) b.op('vcvttps2qq', b.w64, dst, src);
      else truncateToInt64(b, dst, b.make('vcvtps2pd', 'ymm', src));
      return;
    case 'f64-i64':
      if (b.avx512) b.op('vcvttpd2qq', b.w64, dst, src);
      else truncateToInt64(b, dst, src);
      return;
    case 'i64-f64':
      if (b.avx512) b.op('vcvtqq2pd', b.w64, dst, src);
      else int64ToDouble(b, dst, src);
      return;
    case 'i64-f32':
      if (b.avx512) b.op('vcvtqq2ps', b.w64, dst, src);
      else int64ToFloat(b, dst, src);
      return;
    default:
      throw new Error(`internal: cast from ${from} to ${to}`);
  }
}

/** The low halves of 64-bit lanes. */
function narrow64(b: Builder, dst: VirtualRegister, src: VirtualRegister): void {
  if (b.avx512) b.op('vpmovqd', b.w64, dst, src);
  else b.op('vshufps', 'xmm', dst, src, b.make('vextracti128', 'ymm', src, 1), 0x88);
}

/** AVX2 has no such conversion: the scalar unit does the four lanes. */
function truncateToInt64(b: Builder, dst: VirtualRegister, src: VirtualRegister): void {
  const high = b.make('vextracti128', 'ymm', src, 1);
  const pair = (x: VirtualRegister): VirtualRegister => {
    const lane = (y: VirtualRegister): VirtualRegister => {
      const t = b.gpr();
      b.op('vcvttsd2si64', null, t, y);
      return b.make('vmovq', null, t);
    };
    const low = lane(x);
    return b.make('vpunpcklqdq', 'xmm', low, lane(b.make('vpshufd', 'xmm', x, 0x4e)));
  };
  const low = pair(src);
  b.op('vinserti128', 'ymm', dst, low, pair(high), 1);
}

/** Exact up to the one rounding of the last addition: halves are placed into the mantissas of 2^52 and 2^84. */
function int64ToDouble(b: Builder, dst: VirtualRegister, src: VirtualRegister): void {
  const low = b.make('vpblendd', 'ymm', b.bits64(0x4330000000000000n), src, 0x55);
  const high = b.make('vpxor', 'ymm', b.make('vpsrlq', 'ymm', src, 32), b.bits64(0x4530000080000000n));
  b.op('vaddpd', 'ymm', dst, b.make('vsubpd', 'ymm', high, b.bits64(0x4530000080100000n)), low);
}

function int64ToFloat(b: Builder, dst: VirtualRegister, src: VirtualRegister): void {
  const pair = (x: VirtualRegister): VirtualRegister => {
    const lane = (y: VirtualRegister): VirtualRegister => {
      const t = b.gpr();
      b.op('vmovq', null, t, y);
      return b.make('vcvtsi2ss64', null, y, t);
    };
    const low = lane(x);
    return b.make('vunpcklps', 'xmm', low, lane(b.make('vpshufd', 'xmm', x, 0x4e)));
  };
  const low = pair(src);
  b.op('vmovlhps', null, dst, low, pair(b.make('vextracti128', 'ymm', src, 1)));
}

function toMask(b: Builder, dst: VirtualRegister, src: VirtualRegister, from: NumberType): void {
  if (from === 'f32' || from === 'f64') b.compareFloat(from, dst, src, b.zero(), 4);
  else b.compareInteger(from, dst, 'ne', src, b.zero());
}

function fromMask(b: Builder, dst: VirtualRegister, to: NumberType, m: VirtualRegister): void {
  const one = to === 'f32' ? b.float32(1) : to === 'f64' ? b.float64(1) : b.integer(to, 1);
  if (b.avx512) b.opWith({ mask: m, zero: true }, to === 'f32' || to === 'i32' ? 'vmovdqa32' : 'vmovdqa64', b.width(to), dst, one);
  else b.op('vpand', b.width(to), dst, b.maskFor(to, m), one);
}

/** The value after storing as `dtype` and loading again, in the same register type. */
export function selectRound(b: Builder, dst: VirtualRegister, src: VirtualRegister, dtype: ElementName, type: VectorType): void {
  switch (dtype) {
    case 'float16':
      b.op('vcvtph2ps', b.w32, dst, b.make('vcvtps2ph', b.w32, src, 0));
      return;
    case 'bfloat16':
      b.op('vpslld', b.w32, dst, bfloat16Bits(b, src), 16);
      return;
    case 'float8_e4m3fn':
    case 'float8_e5m2':
      decodeFloat8(b, dst, encodeFloat8(b, src, dtype), dtype);
      return;
    case 'int16':
      b.op('vpsrad', b.w32, dst, b.make('vpslld', b.w32, src, 16), 16);
      return;
    case 'int8':
      b.op('vpsrad', b.w32, dst, b.make('vpslld', b.w32, src, 24), 24);
      return;
    case 'uint8':
      b.op('vpandd', b.w32, dst, src, b.bits32(255));
      return;
    case 'float32':
      if (type === 'f64') b.op('vcvtps2pd', b.w64, dst, b.make('vcvtpd2ps', b.w64, src));
      else b.code.move(dst, src);
      return;
    case 'int32':
      if (type === 'i64') {
        const t = b.vec();
        narrow64(b, t, src);
        b.op('vpmovsxdq', b.w64, dst, t);
      } else b.code.move(dst, src);
      return;
    case 'float64':
    case 'int64':
    case 'bool':
      b.code.move(dst, src);
      return;
    default:
      dtype satisfies never;
  }
}

/** The upper 16 bits, rounded to nearest even, in 32-bit lanes. NaN becomes 0x7fc0, as in c10/util/BFloat16.h. */
function bfloat16Bits(b: Builder, src: VirtualRegister): VirtualRegister {
  const w = b.w32;
  const odd = b.make('vpandd', w, b.make('vpsrld', w, src, 16), b.bits32(1));
  const sum = b.make('vpaddd', w, b.make('vpaddd', w, src, b.bits32(0x7fff)), odd);
  const nan = b.mask();
  b.compareFloat('f32', nan, src, src, 3);
  const bits = b.make('vpsrld', w, sum, 16);
  const result = b.vec();
  b.blend('f32', result, nan, b.bits32(0x7fc0), bits);
  return result;
}

interface Float8Format {
  /** From this magnitude on (as float32 bits) the result is `overflow`. */
  readonly limit: number;
  readonly overflow: number;
  /** Magnitudes below it are denormal in the format. */
  readonly smallestNormal: number;
  /** Added as a float, it aligns a denormal's bits with the end of the mantissa. */
  readonly align: number;
  readonly bias: number;
  readonly dropped: number;
  /** Patterns from here on are infinite or NaN; for e4m3fn only 0x7f, NaN. */
  readonly special: number;
}
const float8Formats = {
  float8_e4m3fn: { limit: 0x43f00000, overflow: 0x7f, smallestNormal: 121 << 23, align: 141 << 23, bias: 7, dropped: 20, special: 0x7f },
  float8_e5m2: { limit: 143 << 23, overflow: 0x7c, smallestNormal: 113 << 23, align: 134 << 23, bias: 15, dropped: 21, special: 0x7c },
} as const satisfies Record<string, Float8Format>;

/** The byte, in 32-bit lanes. */
function encodeFloat8(b: Builder, src: VirtualRegister, dtype: keyof typeof float8Formats): VirtualRegister {
  const w = b.w32;
  const f = float8Formats[dtype];
  const magnitude = b.make('vpandd', w, src, b.bits32(0x7fffffff));
  const denormal = b.make('vpsubd', w, b.make('vaddps', w, magnitude, b.bits32(f.align)), b.bits32(f.align));
  const odd = b.make('vpandd', w, b.make('vpsrld', w, magnitude, f.dropped), b.bits32(1));
  const rebias = ((f.bias - 127) << 23) + (1 << (f.dropped - 1)) - 1;
  const normal = b.make('vpsrld', w, b.make('vpaddd', w, b.make('vpaddd', w, magnitude, b.bits32(rebias)), odd), f.dropped);
  const small = b.mask();
  b.compareInteger('i32', small, 'lt', magnitude, b.bits32(f.smallestNormal));
  const finite = b.vec();
  b.blend('i32', finite, small, denormal, normal);
  const large = b.mask();
  b.compareInteger('i32', large, 'lt', b.bits32(f.limit - 1), magnitude);
  const bounded = b.vec();
  b.blend('i32', bounded, large, b.bits32(f.overflow), finite);
  const sign = b.make('vpandd', w, b.make('vpsrld', w, src, 24), b.bits32(0x80));
  const signed = b.make('vpord', w, bounded, sign);
  const nan = b.mask();
  b.compareFloat('f32', nan, src, src, 3);
  const result = b.vec();
  b.blend('i32', result, nan, b.bits32(0x7f), signed);
  return result;
}

/** From bytes in 32-bit lanes. Denormals go through an integer conversion: a multiplication of denormal floats would trap to microcode. */
function decodeFloat8(b: Builder, dst: VirtualRegister, bytes: VirtualRegister, dtype: keyof typeof float8Formats): void {
  const w = b.w32;
  const f = float8Formats[dtype];
  const mantissaBits = 23 - f.dropped;
  const magnitude = b.make('vpandd', w, bytes, b.bits32(0x7f));
  const normal = b.make('vpaddd', w, b.make('vpslld', w, magnitude, f.dropped), b.bits32((127 - f.bias) << 23));
  const denormal = b.make('vmulps', w, b.make('vcvtdq2ps', w, magnitude), b.float32(2 ** (1 - f.bias - mantissaBits)));
  const small = b.mask();
  b.compareInteger('i32', small, 'lt', magnitude, b.bits32(1 << mantissaBits));
  const finite = b.vec();
  b.blend('i32', finite, small, denormal, normal);
  const special = b.mask();
  b.compareInteger('i32', special, 'lt', b.bits32(f.special - 1), magnitude);
  // All exponent bits; for e5m2 the mantissa stays and tells infinity from NaN, made quiet by its own top bit or not at all.
  const full = dtype === 'float8_e4m3fn' ? b.bits32(0x7fc00000) : b.make('vpord', w, normal, b.bits32(0x7f800000));
  const value = b.vec();
  b.blend('i32', value, special, full, finite);
  const sign = b.make('vpslld', w, b.make('vpandd', w, bytes, b.bits32(0x80)), 24);
  b.op('vpord', w, dst, value, sign);
}

/** Packed elements, in a register or in memory, to a register of the element's type (or of i32 for int64). */
export function decode(
  b: Builder,
  dst: VirtualRegister,
  type: VectorType,
  packed: VirtualRegister | MachineMemory,
  dtype: ElementName,
): void {
  const w = b.w32;
  switch (dtype) {
    case 'float32':
    case 'int32':
    case 'float64':
    case 'int64':
      if (dtype === 'int64' && type === 'i32') decodeLow(b, dst, packed);
      else if (packed.kind === 'virtual') b.code.move(dst, packed);
      else b.op(dtype === 'float32' || dtype === 'float64' ? 'vmovups' : 'vmovdqu32', b.width(elementTypes[dtype]), dst, packed);
      return;
    case 'float16':
      b.op('vcvtph2ps', w, dst, packed);
      return;
    case 'bfloat16':
      b.op('vpslld', w, dst, b.make('vpmovzxwd', w, packed), 16);
      return;
    case 'int16':
      b.op('vpmovsxwd', w, dst, packed);
      return;
    case 'int8':
      b.op('vpmovsxbd', w, dst, packed);
      return;
    case 'uint8':
      b.op('vpmovzxbd', w, dst, packed);
      return;
    case 'float8_e4m3fn':
    case 'float8_e5m2':
      decodeFloat8(b, dst, b.make('vpmovzxbd', w, packed), dtype);
      return;
    case 'bool':
      if (b.avx512) {
        const wide = b.make('vpmovzxbd', w, packed);
        b.op('vptestmd', w, dst, wide, wide);
      } else {
        const wide = b.make(b.lanes === 8 ? 'vpmovzxbd' : 'vpmovzxbq', 'ymm', packed);
        b.op('vpcmpgtd', 'ymm', b.lanes === 8 ? dst : wide, wide, b.zero());
        if (b.lanes === 4) b.op('vpshufd', 'ymm', dst, wide, 0xa0);
      }
      return;
    default:
      dtype satisfies never;
  }
}

/** The low 32 bits of P int64 elements, which may be twice as wide as a register. */
function decodeLow(b: Builder, dst: VirtualRegister, packed: VirtualRegister | MachineMemory): void {
  if (b.has64) {
    const whole = packed.kind === 'virtual' ? packed : b.make('vmovdqu32', b.w64, packed);
    narrow64(b, dst, whole);
    return;
  }
  if (packed.kind === 'virtual') throw new Error('internal: packed int64 does not fit one register');
  const wide = b.avx512 ? 'zmm' : 'ymm';
  const low = b.make('vmovdqu32', wide, packed);
  const high = b.make('vmovdqu32', wide, { ...packed, disp: packed.disp + (b.avx512 ? 64 : 32) });
  if (b.avx512) b.op('vinserti64x4', 'zmm', dst, b.make('vpmovqd', 'zmm', low), b.make('vpmovqd', 'zmm', high), 1);
  else b.op('vpermq', 'ymm', dst, b.make('vshufps', 'ymm', low, high, 0x88), 0xd8);
}

/** A register to packed elements. */
export function encode(b: Builder, src: VirtualRegister, dtype: ElementName): VirtualRegister {
  switch (dtype) {
    case 'float32':
    case 'int32':
    case 'float64':
    case 'int64':
      return src;
    case 'float16':
      return b.make('vcvtps2ph', b.w32, src, 0);
    case 'bfloat16':
      return packBits(b, bfloat16Bits(b, src), 2);
    case 'float8_e4m3fn':
    case 'float8_e5m2':
      return packBits(b, encodeFloat8(b, src, dtype), 1);
    case 'int16':
      return packBits(b, b.avx512 ? src : b.make('vpand', b.w32, src, b.bits32(0xffff)), 2);
    case 'int8':
    case 'uint8':
      return packBits(b, b.avx512 ? src : b.make('vpand', b.w32, src, b.bits32(0xff)), 1);
    case 'bool': {
      if (b.avx512) {
        const ones = b.pattern(new Uint8Array(16).fill(1), 'xmm');
        return b.opWith({ mask: src, zero: true }, 'vmovdqu8', 'xmm', b.vec(), ones);
      }
      return packBits(b, b.make('vpand', b.w32, b.narrowMask(src), b.bits32(1)), 1);
    }
    default:
      return dtype satisfies never;
  }
}

/** 32-bit lanes to 16- or 8-bit ones. AVX2 saturates, so its lanes are below 2^16 or 2^8 already. */
function packBits(b: Builder, src: VirtualRegister, size: 1 | 2): VirtualRegister {
  if (b.avx512) return b.make(size === 2 ? 'vpmovdw' : 'vpmovdb', b.w32, src);
  const words = b.make('vpackusdw', 'xmm', src, b.lanes === 8 ? b.make('vextracti128', 'ymm', src, 1) : src);
  return size === 2 ? words : b.make('vpackuswb', 'xmm', words, words);
}

export const packedBytes = (b: Builder, dtype: ElementName): number => elementSizes[dtype] * b.lanes;

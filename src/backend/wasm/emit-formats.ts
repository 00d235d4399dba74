/**
 * Elements in memory as vector lanes: loads, stores and the codecs of the narrow formats.
 *
 * Every dtype has a raw form in a v128: 64-bit elements fill their lanes, all others are i32 lanes (int8 and int16 sign-extended, the
 * rest zero-extended). `decode` turns raw lanes into the register's value, `encode` does the reverse; raw lanes move to and from memory
 * whole or one by one. The float codecs work on bit patterns as codec.ts defines them: any NaN becomes the one canonical NaN.
 */
import type { ElementName, RegisterType } from '../../kernel/vector-ir.ts';
import { elementSizes } from '../../kernel/vector-ir.ts';
import type { EmitContext } from './emit-context.ts';

/** int64 into an i32 register keeps the low half, so its raw form is 32 bits a lane, 8 bytes apart. */
export const isNarrowed = (dtype: ElementName, type: RegisterType): boolean => dtype === 'int64' && type === 'i32';
const isSigned = (dtype: ElementName): boolean => dtype === 'int8' || dtype === 'int16';

/**
 * Narrow floats. `shift` aligns the magnitude bits with float32's; `scale` corrects the exponent bias, exactly, subnormals included.
 * Encoding: at or above `overflow` (a float32 pattern) the result is `special`; below `normal` adding `magic` as a float rounds the
 * subnormal; in between, adding `rebias` rounds and moves the exponent.
 */
interface NarrowFloat {
  readonly signBit: number;
  readonly shift: number;
  readonly scale: number;
  /** Raw magnitudes at or above this are infinite or NaN. */
  readonly infinity: number;
  readonly nan: number;
  readonly overflow: number;
  readonly special: number;
  readonly normal: number;
  readonly magic: number;
  readonly bias: number;
}
const narrowFloats: Partial<Record<ElementName, NarrowFloat>> = {
  float16: {
    signBit: 15,
    shift: 13,
    scale: 2 ** 112,
    infinity: 0x7c00,
    nan: 0x7e00,
    overflow: 0x477ff000,
    special: 0x7c00,
    normal: 113,
    magic: 126,
    bias: 112,
  },
  float8_e4m3fn: {
    signBit: 7,
    shift: 20,
    scale: 2 ** 120,
    infinity: 0x7f,
    nan: 0x7f,
    overflow: 0x43f00000,
    special: 0x7f,
    normal: 121,
    magic: 141,
    bias: 120,
  },
  float8_e5m2: {
    signBit: 7,
    shift: 21,
    scale: 2 ** 112,
    infinity: 0x7c,
    nan: 0x7f,
    overflow: 0x47700000,
    special: 0x7c,
    normal: 113,
    magic: 134,
    bias: 112,
  },
};

function decodeNarrow(e: EmitContext, format: NarrowFloat): void {
  const { f } = e;
  const raw = e.keep('v128');
  const magnitude = e.take('v128');
  f.get(raw);
  e.i32x4((1 << format.signBit) - 1);
  f.op('v128.and');
  f.tee(magnitude);
  f.i32(format.shift);
  f.op('i32x4.shl');
  e.f32x4(format.scale);
  f.op('f32x4.mul');
  // Infinities have been scaled to 2^16 times their mantissa; OR restores the exponent, and makes a quiet NaN of e4m3's lone NaN.
  f.get(magnitude);
  e.i32x4(format.infinity);
  f.op('i32x4.ge_s');
  e.i32x4(format.infinity === format.nan ? 0x7fc00000 : 0x7f800000);
  e.ops('v128.and', 'v128.or');
  if (format.infinity !== format.nan) {
    f.get(magnitude);
    e.i32x4(format.infinity);
    f.op('i32x4.gt_s');
    e.i32x4(0x00400000);
    e.ops('v128.and', 'v128.or');
  }
  f.get(raw);
  e.i32x4(1 << format.signBit);
  f.op('v128.and');
  f.i32(31 - format.signBit);
  e.ops('i32x4.shl', 'v128.or');
}

function encodeNarrow(e: EmitContext, format: NarrowFloat): void {
  const { f } = e;
  const bits = e.keep('v128');
  const magnitude = e.take('v128');
  f.get(bits);
  e.i32x4(0x7fffffff);
  f.op('v128.and');
  f.tee(magnitude);
  // Subnormal: the sum's last place is the format's.
  e.i32x4(format.magic << 23);
  f.op('f32x4.add');
  e.i32x4(format.magic << 23);
  f.op('i32x4.sub');
  // Normal: half a unit less one, plus the last kept bit, rounds to nearest even.
  f.get(magnitude);
  f.i32(format.shift);
  f.op('i32x4.shr_u');
  e.i32x4(1);
  f.op('v128.and');
  f.get(magnitude);
  f.op('i32x4.add');
  e.i32x4(-(format.bias << 23) + (1 << (format.shift - 1)) - 1);
  f.op('i32x4.add');
  f.i32(format.shift);
  f.op('i32x4.shr_s');
  f.get(magnitude);
  e.i32x4(format.normal << 23);
  e.ops('i32x4.lt_s', 'v128.bitselect');
  const finite = e.keep('v128');
  e.i32x4(format.special);
  f.get(finite);
  f.get(magnitude);
  e.i32x4(format.overflow);
  e.ops('i32x4.ge_s', 'v128.bitselect');
  f.get(bits);
  f.i32(31 - format.signBit);
  f.op('i32x4.shr_u');
  e.i32x4(1 << format.signBit);
  e.ops('v128.and', 'v128.or');
  const signed = e.keep('v128');
  e.i32x4(format.nan);
  f.get(signed);
  f.get(magnitude);
  e.i32x4(0x7f800000);
  e.ops('i32x4.gt_s', 'v128.bitselect');
}

/** Stack: raw lanes to a register's value. */
export function decode(e: EmitContext, dtype: ElementName): void {
  const narrow = narrowFloats[dtype];
  if (narrow !== undefined) {
    decodeNarrow(e, narrow);
  } else if (dtype === 'bfloat16') {
    e.f.i32(16);
    e.f.op('i32x4.shl');
  } else if (dtype === 'bool') {
    e.i32x4(0);
    e.f.op('i32x4.ne');
    e.widenMask();
  }
}

/** Stack: a register's value to raw lanes; bits above the element's are arbitrary for integers. */
export function encode(e: EmitContext, dtype: ElementName): void {
  const { f } = e;
  const narrow = narrowFloats[dtype];
  if (narrow !== undefined) {
    encodeNarrow(e, narrow);
  } else if (dtype === 'bfloat16') {
    const bits = e.keep('v128');
    f.get(bits);
    f.i32(16);
    f.op('i32x4.shr_u');
    e.i32x4(1);
    f.op('v128.and');
    e.i32x4(0x7fff);
    f.op('i32x4.add');
    f.get(bits);
    f.op('i32x4.add');
    f.i32(16);
    f.op('i32x4.shr_u');
    e.i32x4(0x7fc0);
    f.get(bits);
    f.get(bits);
    e.ops('f32x4.eq', 'v128.bitselect');
  } else if (dtype === 'bool') {
    e.narrowMask();
    e.i32x4(1);
    f.op('v128.and');
  }
}

/** Stack: the value after storing as dtype and loading again. */
export function round(e: EmitContext, dtype: ElementName): void {
  const { f } = e;
  switch (dtype) {
    case 'int8':
    case 'int16': {
      const shift = dtype === 'int8' ? 24 : 16;
      f.i32(shift);
      f.op('i32x4.shl');
      f.i32(shift);
      f.op('i32x4.shr_s');
      return;
    }
    case 'uint8':
      e.i32x4(255);
      f.op('v128.and');
      return;
    case 'float16':
    case 'bfloat16':
    case 'float8_e4m3fn':
    case 'float8_e5m2':
      encode(e, dtype);
      decode(e, dtype);
      return;
    case 'float64':
    case 'float32':
    case 'int64':
    case 'int32':
    case 'bool':
      return;
    default:
      dtype satisfies never;
  }
}

/** Pushes the raw lanes of P elements at a local's address. */
export function loadRaw(e: EmitContext, dtype: ElementName, type: RegisterType, address: number, offset: number): void {
  const { f } = e;
  const sign = isSigned(dtype) ? 's' : 'u';
  f.get(address);
  switch (elementSizes[dtype]) {
    case 8:
      f.memory('v128.load', offset);
      if (!isNarrowed(dtype, type)) return;
      if (e.wide) {
        e.narrow64();
      } else {
        f.get(address);
        f.memory('v128.load', offset + 16);
        f.shuffle([0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27]);
      }
      return;
    case 4:
      f.memory(e.wide ? 'v128.load64_zero' : 'v128.load', offset);
      return;
    case 2:
      if (e.wide) {
        f.memory('v128.load32_zero', offset);
        f.op(`i32x4.extend_low_i16x8_${sign}`);
      } else {
        f.memory(`v128.load16x4_${sign}`, offset);
      }
      return;
    case 1:
      if (e.wide) {
        f.memory('i32.load16_u', offset);
        f.op('i16x8.splat');
      } else {
        f.memory('v128.load32_zero', offset);
      }
      e.ops(`i16x8.extend_low_i8x16_${sign}`, `i32x4.extend_low_i16x8_${sign}`);
      return;
    default:
      elementSizes[dtype] satisfies never;
  }
}

/** Replaces lane `lane` of the raw local by the element at the address that `pushAddress` pushes. */
export function loadRawLane(
  e: EmitContext,
  dtype: ElementName,
  type: RegisterType,
  raw: number,
  lane: number,
  pushAddress: () => void,
  offset: number,
): void {
  const { f } = e;
  const size = isNarrowed(dtype, type) ? 4 : elementSizes[dtype];
  if (size >= 4) {
    pushAddress();
    f.get(raw);
    f.memoryLane(size === 8 ? 'v128.load64_lane' : 'v128.load32_lane', lane, offset);
  } else {
    f.get(raw);
    pushAddress();
    f.memory(`i32.load${size === 2 ? 16 : 8}_${isSigned(dtype) ? 's' : 'u'}`, offset);
    f.lane('i32x4.replace_lane', lane);
  }
  f.set(raw);
}

/** Stack: an address becomes the raw lanes of its one element, repeated. */
export function broadcastRaw(e: EmitContext, dtype: ElementName, type: RegisterType, offset: number): void {
  const size = isNarrowed(dtype, type) ? 4 : elementSizes[dtype];
  if (size >= 4) {
    e.f.memory(size === 8 ? 'v128.load64_splat' : 'v128.load32_splat', offset);
  } else {
    e.f.memory(`i32.load${size === 2 ? 16 : 8}_${isSigned(dtype) ? 's' : 'u'}`, offset);
    e.f.op('i32x4.splat');
  }
}

/** Writes P raw lanes. */
export function storeRaw(e: EmitContext, dtype: ElementName, raw: number, address: number, offset: number): void {
  const { f } = e;
  const size = elementSizes[dtype];
  f.get(address);
  f.get(raw);
  if (size === 2) e.permute([0, 1, 4, 5, 8, 9, 12, 13, 0, 1, 4, 5, 8, 9, 12, 13]);
  if (size === 1) e.permute([0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12]);
  const bytes = size * e.lanes;
  if (bytes === 16) f.memory('v128.store', offset);
  else f.memoryLane(bytes === 8 ? 'v128.store64_lane' : bytes === 4 ? 'v128.store32_lane' : 'v128.store16_lane', 0, offset);
}

/** Writes one raw lane. */
export function storeRawLane(e: EmitContext, dtype: ElementName, raw: number, lane: number, pushAddress: () => void, offset: number): void {
  pushAddress();
  e.f.get(raw);
  switch (elementSizes[dtype]) {
    case 8:
      e.f.memoryLane('v128.store64_lane', lane, offset);
      return;
    case 4:
      e.f.memoryLane('v128.store32_lane', lane, offset);
      return;
    case 2:
      e.f.memoryLane('v128.store16_lane', lane * 2, offset);
      return;
    case 1:
      e.f.memoryLane('v128.store8_lane', lane * 4, offset);
      return;
    default:
      elementSizes[dtype] satisfies never;
  }
}

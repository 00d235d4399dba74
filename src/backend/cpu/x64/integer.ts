/**
 * General-purpose instructions: moves, arithmetic, shifts, control flow, atomics, and the few system instructions a kernel runtime needs.
 *
 * Unsuffixed methods work on 64 bits, the suffix `32` on 32 bits (which clears the upper half of a destination register), `8` and
 * `16` exist for stores. Destination first, as in Intel's syntax; a plain number is an immediate.
 * Only the forms that generated kernels use are here; there is no flags tracking and no peephole.
 */

import { CodeBuffer } from './code-buffer.ts';
import { extensionBits, type Gpr, isGpr, isMem, type Label, type Mem } from './registers.ts';

type Size = 8 | 16 | 32 | 64;
type RegOrMem = Gpr | Mem;

/** Condition codes, named as in `jcc`; unsigned: a ae b be, signed: g ge l le. */
export const conditions = {
  o: 0,
  no: 1,
  b: 2,
  c: 2,
  ae: 3,
  nc: 3,
  e: 4,
  z: 4,
  ne: 5,
  nz: 5,
  be: 6,
  a: 7,
  s: 8,
  ns: 9,
  p: 10,
  np: 11,
  l: 12,
  ge: 13,
  le: 14,
  g: 15,
} as const;
export type Condition = keyof typeof conditions;

/** Recommended multi-byte nops, by length. */
const nops: readonly (readonly number[])[] = [
  [],
  [0x90],
  [0x66, 0x90],
  [0x0f, 0x1f, 0x00],
  [0x0f, 0x1f, 0x40, 0x00],
  [0x0f, 0x1f, 0x44, 0x00, 0x00],
  [0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00],
  [0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00],
  [0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
  [0x66, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
];

export class IntegerAssembler {
  /** The raw bytes; the vector encoders write here too. */
  readonly code = new CodeBuffer();

  // -- labels, data, layout ------------------------------------------------------------------------------------------------------

  get length(): number {
    return this.code.length;
  }
  newLabel(): Label {
    return this.code.newLabel();
  }
  bind(label: Label): void {
    this.code.bind(label);
  }
  /** Puts bytes in the constant pool behind the code; address them with `mem(label)` or `leaRip`. */
  data(bytes: Uint8Array, align = 64): Label {
    return this.code.data(bytes, align);
  }
  leaRip(dst: Gpr, label: Label): void {
    this.lea(dst, { kind: 'mem', base: label, index: null, scale: 1, disp: 0 });
  }
  align(boundary: number): void {
    let rest = (boundary - (this.code.length % boundary)) % boundary;
    while (rest > 0) {
      const size = Math.min(rest, 9);
      this.code.bytes(...nops[size]!);
      rest -= size;
    }
  }
  /** Resolves every label and returns the position-independent code with its pool. */
  finish(): Uint8Array {
    return this.code.finish();
  }

  // -- moves ---------------------------------------------------------------------------------------------------------------------

  mov(dst: RegOrMem, src: RegOrMem | number | bigint): void {
    if (typeof src === 'bigint') this.#movWide(dst, src);
    else if (typeof src !== 'number') this.#transfer(64, dst, src);
    else if (!Number.isSafeInteger(src)) throw new Error(`internal: immediate ${src}`);
    else if (isGpr(dst)) this.#movWide(dst, BigInt(src));
    else this.#movImmediate(64, dst, src);
  }
  mov32(dst: RegOrMem, src: RegOrMem | number): void {
    if (typeof src !== 'number') this.#transfer(32, dst, src);
    else if (isGpr(dst)) this.#movImmediate32(dst, src);
    else this.#movImmediate(32, dst, src);
  }
  /** 16-bit store; loads are `movzx16` and `movsx16`. */
  mov16(dst: Mem, src: Gpr | number): void {
    if (typeof src === 'number') this.#movImmediate(16, dst, src);
    else this.#op(16, [0x89], src.code, dst, 0);
  }
  /** 8-bit store; loads are `movzx8` and `movsx8`. */
  mov8(dst: Mem, src: Gpr | number): void {
    if (typeof src === 'number') this.#movImmediate(8, dst, src);
    else this.#op(8, [0x88], src.code, dst, 0, src.code);
  }
  movzx8(dst: Gpr, src: RegOrMem): void {
    this.#op(32, [0x0f, 0xb6], dst.code, src, 0, isGpr(src) ? src.code : 0);
  }
  movzx16(dst: Gpr, src: RegOrMem): void {
    this.#op(32, [0x0f, 0xb7], dst.code, src, 0);
  }
  movsx8(dst: Gpr, src: RegOrMem): void {
    this.#op(64, [0x0f, 0xbe], dst.code, src, 0);
  }
  movsx16(dst: Gpr, src: RegOrMem): void {
    this.#op(64, [0x0f, 0xbf], dst.code, src, 0);
  }
  /** Sign-extends 32 bits to 64. */
  movsxd(dst: Gpr, src: RegOrMem): void {
    this.#op(64, [0x63], dst.code, src, 0);
  }
  lea(dst: Gpr, src: Mem): void {
    this.#op(64, [0x8d], dst.code, src, 0);
  }
  cmov(condition: Condition, dst: Gpr, src: RegOrMem): void {
    this.#op(64, [0x0f, 0x40 | conditions[condition]], dst.code, src, 0);
  }
  cmov32(condition: Condition, dst: Gpr, src: RegOrMem): void {
    this.#op(32, [0x0f, 0x40 | conditions[condition]], dst.code, src, 0);
  }
  /** Writes the low byte only; follow with `movzx8` where the rest matters. */
  setcc(condition: Condition, dst: RegOrMem): void {
    this.#op(8, [0x0f, 0x90 | conditions[condition]], 0, dst, 0, isGpr(dst) ? dst.code : 0);
  }
  push(src: Gpr): void {
    if (src.code > 7) this.code.byte(0x41);
    this.code.byte(0x50 | (src.code & 7));
  }
  pop(dst: Gpr): void {
    if (dst.code > 7) this.code.byte(0x41);
    this.code.byte(0x58 | (dst.code & 7));
  }

  // -- arithmetic ----------------------------------------------------------------------------------------------------------------

  add(dst: RegOrMem, src: RegOrMem | number): void {
    this.#alu(0, 64, dst, src);
  }
  add32(dst: RegOrMem, src: RegOrMem | number): void {
    this.#alu(0, 32, dst, src);
  }
  or(dst: RegOrMem, src: RegOrMem | number): void {
    this.#alu(1, 64, dst, src);
  }
  or32(dst: RegOrMem, src: RegOrMem | number): void {
    this.#alu(1, 32, dst, src);
  }
  and(dst: RegOrMem, src: RegOrMem | number): void {
    this.#alu(4, 64, dst, src);
  }
  and32(dst: RegOrMem, src: RegOrMem | number): void {
    this.#alu(4, 32, dst, src);
  }
  sub(dst: RegOrMem, src: RegOrMem | number): void {
    this.#alu(5, 64, dst, src);
  }
  sub32(dst: RegOrMem, src: RegOrMem | number): void {
    this.#alu(5, 32, dst, src);
  }
  xor(dst: RegOrMem, src: RegOrMem | number): void {
    this.#alu(6, 64, dst, src);
  }
  xor32(dst: RegOrMem, src: RegOrMem | number): void {
    this.#alu(6, 32, dst, src);
  }
  cmp(dst: RegOrMem, src: RegOrMem | number): void {
    this.#alu(7, 64, dst, src);
  }
  cmp32(dst: RegOrMem, src: RegOrMem | number): void {
    this.#alu(7, 32, dst, src);
  }
  test(dst: RegOrMem, src: Gpr | number): void {
    this.#test(64, dst, src);
  }
  test32(dst: RegOrMem, src: Gpr | number): void {
    this.#test(32, dst, src);
  }
  /** `dst *= src`, or `dst = src * immediate`. */
  imul(dst: Gpr, src: RegOrMem, immediate?: number): void {
    this.#imul(64, dst, src, immediate);
  }
  imul32(dst: Gpr, src: RegOrMem, immediate?: number): void {
    this.#imul(32, dst, src, immediate);
  }
  neg(dst: RegOrMem): void {
    this.#op(64, [0xf7], 3, dst, 0);
  }
  neg32(dst: RegOrMem): void {
    this.#op(32, [0xf7], 3, dst, 0);
  }
  not(dst: RegOrMem): void {
    this.#op(64, [0xf7], 2, dst, 0);
  }
  not32(dst: RegOrMem): void {
    this.#op(32, [0xf7], 2, dst, 0);
  }
  inc(dst: RegOrMem): void {
    this.#op(64, [0xff], 0, dst, 0);
  }
  inc32(dst: RegOrMem): void {
    this.#op(32, [0xff], 0, dst, 0);
  }
  dec(dst: RegOrMem): void {
    this.#op(64, [0xff], 1, dst, 0);
  }
  dec32(dst: RegOrMem): void {
    this.#op(32, [0xff], 1, dst, 0);
  }
  /** rdx:rax divided by the operand, signed; quotient in rax, remainder in rdx. Set rdx with `cqo`. */
  idiv(src: RegOrMem): void {
    this.#op(64, [0xf7], 7, src, 0);
  }
  idiv32(src: RegOrMem): void {
    this.#op(32, [0xf7], 7, src, 0);
  }
  div(src: RegOrMem): void {
    this.#op(64, [0xf7], 6, src, 0);
  }
  div32(src: RegOrMem): void {
    this.#op(32, [0xf7], 6, src, 0);
  }
  /** rdx:rax = rax * operand, unsigned. */
  mul(src: RegOrMem): void {
    this.#op(64, [0xf7], 4, src, 0);
  }
  mul32(src: RegOrMem): void {
    this.#op(32, [0xf7], 4, src, 0);
  }
  cqo(): void {
    this.code.bytes(0x48, 0x99);
  }
  cdq(): void {
    this.code.byte(0x99);
  }
  shl(dst: RegOrMem, count: number | 'cl'): void {
    this.#shift(4, 64, dst, count);
  }
  shl32(dst: RegOrMem, count: number | 'cl'): void {
    this.#shift(4, 32, dst, count);
  }
  shr(dst: RegOrMem, count: number | 'cl'): void {
    this.#shift(5, 64, dst, count);
  }
  shr32(dst: RegOrMem, count: number | 'cl'): void {
    this.#shift(5, 32, dst, count);
  }
  sar(dst: RegOrMem, count: number | 'cl'): void {
    this.#shift(7, 64, dst, count);
  }
  sar32(dst: RegOrMem, count: number | 'cl'): void {
    this.#shift(7, 32, dst, count);
  }
  popcnt(dst: Gpr, src: RegOrMem): void {
    this.code.byte(0xf3);
    this.#op(64, [0x0f, 0xb8], dst.code, src, 0);
  }
  tzcnt(dst: Gpr, src: RegOrMem): void {
    this.code.byte(0xf3);
    this.#op(64, [0x0f, 0xbc], dst.code, src, 0);
  }

  // -- control flow --------------------------------------------------------------------------------------------------------------

  jmp(target: Label | RegOrMem): void {
    if (target.kind !== 'label') this.#op(32, [0xff], 4, target, 0);
    else {
      this.code.byte(0xe9);
      this.code.relative(target);
    }
  }
  jcc(condition: Condition, target: Label): void {
    this.code.bytes(0x0f, 0x80 | conditions[condition]);
    this.code.relative(target);
  }
  call(target: Label | RegOrMem): void {
    if (target.kind !== 'label') this.#op(32, [0xff], 2, target, 0);
    else {
      this.code.byte(0xe8);
      this.code.relative(target);
    }
  }
  ret(): void {
    this.code.byte(0xc3);
  }
  ud2(): void {
    this.code.bytes(0x0f, 0x0b);
  }
  int3(): void {
    this.code.byte(0xcc);
  }

  // -- atomics, fences, system -----------------------------------------------------------------------------------------------------

  lockXadd(dst: Mem, src: Gpr): void {
    this.code.byte(0xf0);
    this.#op(64, [0x0f, 0xc1], src.code, dst, 0);
  }
  lockXadd32(dst: Mem, src: Gpr): void {
    this.code.byte(0xf0);
    this.#op(32, [0x0f, 0xc1], src.code, dst, 0);
  }
  /** Compares rax with memory; equal: memory = src, else rax = memory. Sets `e`. */
  lockCmpxchg(dst: Mem, src: Gpr): void {
    this.code.byte(0xf0);
    this.#op(64, [0x0f, 0xb1], src.code, dst, 0);
  }
  lockCmpxchg32(dst: Mem, src: Gpr): void {
    this.code.byte(0xf0);
    this.#op(32, [0x0f, 0xb1], src.code, dst, 0);
  }
  xchg(dst: RegOrMem, src: Gpr): void {
    this.#op(64, [0x87], src.code, dst, 0);
  }
  xchg32(dst: RegOrMem, src: Gpr): void {
    this.#op(32, [0x87], src.code, dst, 0);
  }
  pause(): void {
    this.code.bytes(0xf3, 0x90);
  }
  mfence(): void {
    this.code.bytes(0x0f, 0xae, 0xf0);
  }
  sfence(): void {
    this.code.bytes(0x0f, 0xae, 0xf8);
  }
  prefetchnta(src: Mem): void {
    this.#op(32, [0x0f, 0x18], 0, src, 0);
  }
  prefetcht0(src: Mem): void {
    this.#op(32, [0x0f, 0x18], 1, src, 0);
  }
  prefetcht1(src: Mem): void {
    this.#op(32, [0x0f, 0x18], 2, src, 0);
  }
  syscall(): void {
    this.code.bytes(0x0f, 0x05);
  }
  cpuid(): void {
    this.code.bytes(0x0f, 0xa2);
  }
  xgetbv(): void {
    this.code.bytes(0x0f, 0x01, 0xd0);
  }
  rdtsc(): void {
    this.code.bytes(0x0f, 0x31);
  }
  vzeroupper(): void {
    this.code.bytes(0xc5, 0xf8, 0x77);
  }

  // -- encoding ------------------------------------------------------------------------------------------------------------------

  /**
   * [66] [REX] opcode ModRM... `byteRegister` names a register used as a byte: codes 4-7 need an empty REX, or they would mean ah-bh.
   */
  #op(size: Size, opcode: readonly number[], reg: number, rm: RegOrMem, trailing: number, byteRegister = 0): void {
    if (size === 16) this.code.byte(0x66);
    let rex = (size === 64 ? 8 : 0) | ((reg >> 3) << 2);
    if (isMem(rm)) {
      if (typeof rm.index === 'number') throw new Error('internal: a vector index outside a gather');
      const { b, x } = extensionBits(rm);
      rex |= (x << 1) | b;
    } else rex |= rm.code >> 3;
    if (rex !== 0 || byteRegister > 3) this.code.byte(0x40 | rex);
    this.code.bytes(...opcode);
    this.code.modRm(reg, isMem(rm) ? rm : rm.code, 1, trailing);
  }

  #transfer(size: 32 | 64, dst: RegOrMem, src: RegOrMem): void {
    if (isGpr(src)) this.#op(size, [0x89], src.code, dst, 0);
    else if (isGpr(dst)) this.#op(size, [0x8b], dst.code, src, 0);
    else throw new Error('internal: mov between two memory operands');
  }

  /** Shortest of: 32-bit zero-extending, 32-bit sign-extending, full 64 bits. */
  #movWide(dst: RegOrMem, value: bigint): void {
    if (!isGpr(dst)) throw new Error('internal: a 64-bit immediate needs a register');
    if (value < -(1n << 63n) || value >= 1n << 64n) throw new Error(`internal: immediate ${value} does not fit 64 bits`);
    const signed = BigInt.asIntN(64, value);
    if (signed >= 0n && signed < 1n << 32n) this.#movImmediate32(dst, Number(signed));
    else if (signed === BigInt.asIntN(32, signed)) this.#movImmediate(64, dst, Number(signed));
    else {
      this.code.bytes(0x48 | (dst.code >> 3), 0xb8 | (dst.code & 7));
      this.code.int64(signed);
    }
  }

  #movImmediate32(dst: Gpr, value: number): void {
    if (!Number.isInteger(value) || value < -0x80000000 || value > 0xffffffff) throw new Error(`internal: immediate ${value}`);
    if (dst.code > 7) this.code.byte(0x41);
    this.code.byte(0xb8 | (dst.code & 7));
    this.code.int32(value);
  }

  #movImmediate(size: Size, dst: RegOrMem, value: number): void {
    const bytes = size === 8 ? 1 : size === 16 ? 2 : 4;
    this.#op(size, [size === 8 ? 0xc6 : 0xc7], 0, dst, bytes);
    this.#immediate(size, value);
  }

  #immediate(size: Size, value: number): void {
    const bits = Math.min(size, 32);
    // 64-bit operations sign-extend, so an unsigned 32-bit value would silently change there.
    const top = size === 64 ? 2 ** 31 : 2 ** bits;
    if (!Number.isInteger(value) || value < -(2 ** (bits - 1)) || value >= top) throw new Error(`internal: immediate ${value}`);
    if (bits === 8) this.code.byte(value & 255);
    else if (bits === 16) this.code.int16(value);
    else this.code.int32(value);
  }

  #alu(operation: number, size: 32 | 64, dst: RegOrMem, src: RegOrMem | number): void {
    if (typeof src === 'number') {
      const value = size === 32 && src > 0x7fffffff ? src - 2 ** 32 : src;
      const short = value >= -128 && value <= 127;
      this.#op(size, [short ? 0x83 : 0x81], operation, dst, short ? 1 : 4);
      this.#immediate(short ? 8 : size, value);
    } else if (isGpr(src)) this.#op(size, [(operation << 3) | 1], src.code, dst, 0);
    else if (isGpr(dst)) this.#op(size, [(operation << 3) | 3], dst.code, src, 0);
    else throw new Error('internal: arithmetic between two memory operands');
  }

  #test(size: 32 | 64, dst: RegOrMem, src: Gpr | number): void {
    if (typeof src !== 'number') this.#op(size, [0x85], src.code, dst, 0);
    else {
      this.#op(size, [0xf7], 0, dst, 4);
      this.#immediate(size, src);
    }
  }

  #imul(size: 32 | 64, dst: Gpr, src: RegOrMem, immediate: number | undefined): void {
    if (immediate === undefined) this.#op(size, [0x0f, 0xaf], dst.code, src, 0);
    else {
      const short = immediate >= -128 && immediate <= 127;
      this.#op(size, [short ? 0x6b : 0x69], dst.code, src, short ? 1 : 4);
      this.#immediate(short ? 8 : size, immediate);
    }
  }

  #shift(operation: number, size: 32 | 64, dst: RegOrMem, count: number | 'cl'): void {
    if (count === 'cl') this.#op(size, [0xd3], operation, dst, 0);
    else {
      if (!Number.isInteger(count) || count < 0 || count >= size) throw new Error(`internal: shift count ${count}`);
      this.#op(size, [0xc1], operation, dst, 1);
      this.code.byte(count);
    }
  }
}

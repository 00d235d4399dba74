/**
 * What selection writes with: machine code plus the target (instruction set, lanes, which vector width each type has), constants, and the
 * few idioms that every part of selection needs: comparing, blending, changing the width of masks.
 *
 * P lanes of 32 bits take the width `w32`, of 64 bits `w64`. On AVX-512 a mask is a k register of exactly P bits (the rest are zero). On
 * AVX2 a mask is always a whole ymm: eight lanes of 32 bits, or four of 64; with four lanes it is narrowed to meet 32-bit data.
 * Constants are loaded once, at the entry of the kernel; the allocator moves them into memory operands where registers are scarce.
 */
import type { RegisterType, VectorType } from '../../../kernel/vector-ir.ts';
import { type Assembler, type Isa, rsp, type VectorMnemonic, type Width, widthBytes } from './assembler.ts';
import {
  gprClass,
  type InstructionOptions,
  MachineCode,
  type MachineInstruction,
  type MachineMemory,
  type MachineOperand,
  maskClass,
  memory,
  type VirtualRegister,
  vectorClass,
} from './machine.ts';

export type Integer = 'i32' | 'i64';
export type Float = 'f32' | 'f64';
export const comparisonCodes = { eq: 0, lt: 17, le: 18, ne: 4 } as const;
const integerComparisonCodes = { eq: 0, lt: 1, le: 2, ne: 4 } as const;
export type ComparisonName = keyof typeof comparisonCodes;

const widths: Readonly<Record<number, Width>> = { 16: 'xmm', 32: 'ymm', 64: 'zmm' };

const scratch = new DataView(new ArrayBuffer(8));

/** Frame layout: two areas in which lanes are taken apart, the caller's stack pointer, the address of the thread's scratch memory, spills. */
export const frameAreas = { first: 0, second: 128, savedStack: 256, scratch: 264, spills: 320 } as const;

export class Builder {
  readonly code = new MachineCode();
  readonly assembler: Assembler;
  readonly isa: Isa;
  readonly lanes: number;
  readonly avx512: boolean;
  readonly w32: Width;
  /** Width of P lanes of 64 bits, or null where they do not fit one register. */
  readonly #w64: Width | null;
  readonly #constants = new Map<string, VirtualRegister>();
  readonly #definitions: MachineInstruction[] = [];
  /** What the lanes of a constant hold: shift counts become immediates, and a number needs no check for NaN. */
  readonly #values = new Map<VirtualRegister, number | bigint>();
  usesFrame = false;
  usesScratch = false;

  constructor(assembler: Assembler, lanes: number) {
    this.assembler = assembler;
    this.isa = assembler.isa;
    this.lanes = lanes;
    this.avx512 = assembler.isa === 'avx512';
    const least = this.avx512 ? 8 : 4;
    if (lanes < least || lanes > 2 * least) throw new Error(`internal: ${lanes} lanes on ${assembler.isa}`);
    this.w32 = widths[lanes * 4]!;
    this.#w64 = lanes === least ? widths[lanes * 8]! : null;
  }

  // -- registers and instructions --------------------------------------------------------------------------------------------------

  vec(): VirtualRegister {
    return this.code.register(vectorClass);
  }
  gpr(): VirtualRegister {
    return this.code.register(gprClass);
  }
  mask(): VirtualRegister {
    return this.code.register(this.avx512 ? maskClass : vectorClass);
  }
  register(type: RegisterType): VirtualRegister {
    return type === 'index' ? this.gpr() : type === 'mask' ? this.mask() : this.vec();
  }
  /** dst = name(sources): the usual three-operand vector instruction. */
  op(name: VectorMnemonic, width: Width | null, dst: VirtualRegister, ...sources: MachineOperand[]): VirtualRegister {
    this.code.add(name, width, 'duuuu'.slice(0, sources.length + 1), [dst, ...sources]);
    return dst;
  }
  /** The same into a fresh vector register. */
  make(name: VectorMnemonic, width: Width | null, ...sources: MachineOperand[]): VirtualRegister {
    return this.op(name, width, this.vec(), ...sources);
  }
  opWith(
    options: InstructionOptions,
    name: VectorMnemonic,
    width: Width | null,
    dst: VirtualRegister,
    ...sources: MachineOperand[]
  ): VirtualRegister {
    this.code.add(
      name,
      width,
      `${options.mask && !options.zero && !name.startsWith('vpblendm') ? 'b' : 'd'}uuuu`.slice(0, sources.length + 1),
      [dst, ...sources],
      options,
    );
    return dst;
  }
  store(name: VectorMnemonic, width: Width | null, place: MachineMemory, ...sources: MachineOperand[]): void {
    this.code.add(name, width, 'uuuu', [place, ...sources]);
  }
  /** A general-purpose instruction by the assembler's name; access per operand. */
  int(name: string, access: string, ...operands: MachineOperand[]): void {
    this.code.add(name, null, access, operands);
  }

  width(type: VectorType): Width {
    if (type === 'f32' || type === 'i32') return this.w32;
    if (type === 'mask') return 'ymm';
    return this.w64;
  }
  get w64(): Width {
    if (this.#w64 === null) throw new Error(`internal: ${this.lanes} lanes of 64 bits do not fit a register of ${this.isa}`);
    return this.#w64;
  }
  get has64(): boolean {
    return this.#w64 !== null;
  }

  first(bytes = 0): MachineMemory {
    this.usesFrame = true;
    return memory(rsp, frameAreas.first + bytes);
  }
  /** Where the address of the scratch memory is kept (and is kept only where this is called). */
  scratch(): MachineMemory {
    this.usesFrame = true;
    this.usesScratch = true;
    return memory(rsp, frameAreas.scratch);
  }
  second(bytes = 0): MachineMemory {
    this.usesFrame = true;
    return memory(rsp, frameAreas.second + bytes);
  }

  // -- constants -------------------------------------------------------------------------------------------------------------------

  #constant(key: string, element: Uint8Array, width: Width): VirtualRegister {
    const known = this.#constants.get(key);
    if (known !== undefined) return known;
    const size = element.length;
    const broadcast = this.avx512 && size <= 8;
    let bytes = element;
    if (!broadcast && size <= 8) {
      bytes = new Uint8Array(widthBytes[width]);
      for (let at = 0; at < bytes.length; at += size) bytes.set(element, at);
    }
    const label = this.assembler.data(bytes, bytes.length);
    const elementBytes = broadcast ? (size as 4 | 8) : 0;
    const register = this.code.register(vectorClass, { kind: 'pool', label, elementBytes, width });
    const name = elementBytes === 4 ? 'vbroadcastss' : elementBytes === 8 ? 'vbroadcastsd' : 'vmovups';
    this.#constants.set(key, register);
    this.#definitions.push({
      name,
      width,
      access: 'du',
      operands: [register, memory(label)],
      mask: null,
      maskAccess: 'u',
      zero: false,
      broadcast: false,
    });
    return register;
  }
  /** All 32-bit lanes equal to these bits. */
  bits32(bits: number): VirtualRegister {
    const known = this.#constants.get(`4:${bits >>> 0}`);
    if (known !== undefined) return known;
    const element = new Uint8Array(4);
    new DataView(element.buffer).setUint32(0, bits >>> 0, true);
    const register = this.#constant(`4:${bits >>> 0}`, element, this.avx512 ? this.w32 : 'ymm');
    this.#values.set(register, bits >>> 0);
    return register;
  }
  float32(value: number): VirtualRegister {
    scratch.setFloat32(0, value);
    return this.bits32(scratch.getUint32(0));
  }
  bits64(bits: bigint): VirtualRegister {
    const element = new Uint8Array(8);
    new DataView(element.buffer).setBigUint64(0, BigInt.asUintN(64, bits), true);
    const register = this.#constant(`8:${BigInt.asUintN(64, bits)}`, element, this.avx512 ? this.w64 : 'ymm');
    this.#values.set(register, BigInt.asUintN(64, bits));
    return register;
  }
  float64(value: number): VirtualRegister {
    scratch.setFloat64(0, value);
    return this.bits64(scratch.getBigUint64(0));
  }
  /** The bits of a constant's lanes; a zero register may stand for either width. */
  constantBits(r: VirtualRegister): number | bigint | undefined {
    return this.#values.get(r);
  }
  isFiniteConstant(type: Float, r: VirtualRegister): boolean {
    const bits = this.#values.get(r);
    if (bits === undefined) return false;
    if (type === 'f32') return (Number(bits) & 0x7f800000) !== 0x7f800000;
    return typeof bits === 'bigint' && ((bits >> 52n) & 0x7ffn) !== 0x7ffn;
  }
  /** A whole register of different lanes. */
  pattern(bytes: Uint8Array, width: Width): VirtualRegister {
    return this.#constant(`${width}:${bytes.join()}`, bytes, width);
  }
  /** All lanes of a type equal to a small integer. */
  integer(type: Integer, value: number): VirtualRegister {
    return type === 'i32' ? this.bits32(value) : this.bits64(BigInt(value));
  }
  /** 0, 1, 2, ... */
  iota(type: Integer): VirtualRegister {
    const bytes = type === 'i32' ? new Int32Array(this.lanes) : new BigInt64Array(this.lanes);
    for (let l = 0; l < this.lanes; l++) bytes[l] = type === 'i32' ? l : BigInt(l);
    return this.pattern(new Uint8Array(bytes.buffer), this.width(type));
  }
  zero(): VirtualRegister {
    return this.bits32(0);
  }
  ones(): VirtualRegister {
    return this.bits32(-1);
  }
  /** Constants are loaded in front of everything but the entry; those that became immediates are not loaded at all. */
  hoistConstants(): void {
    const used = new Set<MachineOperand>();
    for (const { operands } of this.code.instructions) for (const o of operands) if (typeof o === 'object') used.add(o);
    const needed = this.#definitions.filter(({ operands }) => used.has(operands[0]!));
    this.code.instructions.splice(1, 0, ...needed);
  }

  // -- masks -----------------------------------------------------------------------------------------------------------------------

  /** AVX2: a mask as 32-bit lanes. */
  narrowMask(m: VirtualRegister): VirtualRegister {
    if (this.lanes === 8) return m;
    const high = this.make('vextracti128', 'ymm', m, 1);
    return this.make('vshufps', 'xmm', m, high, 0x88);
  }
  /** AVX2: the mask made of a comparison of 32-bit lanes. */
  widenMask(dst: VirtualRegister, narrow: (to: VirtualRegister) => void): void {
    if (this.lanes === 8) narrow(dst);
    else {
      const t = this.vec();
      narrow(t);
      this.op('vpmovsxdq', 'ymm', dst, t);
    }
  }
  /** AVX2: the mask in lanes as wide as the type's. */
  maskFor(type: VectorType, m: VirtualRegister): VirtualRegister {
    return type === 'f32' || type === 'i32' ? this.narrowMask(m) : m;
  }
  kName(name: 'kand' | 'kor' | 'kxor' | 'kxnor' | 'knot' | 'kandn'): VectorMnemonic {
    return `${name}${this.lanes === 8 ? 'b' : 'w'}`;
  }
  /** dst = m ? yes : no. */
  blend(type: VectorType, dst: VirtualRegister, m: VirtualRegister, yes: VirtualRegister, no: VirtualRegister): void {
    const wide = type === 'f64' || type === 'i64';
    if (this.avx512) this.opWith({ mask: m }, wide ? 'vpblendmq' : 'vpblendmd', this.width(type), dst, no, yes);
    else this.op(wide ? 'vblendvpd' : 'vblendvps', this.width(type), dst, no, yes, this.maskFor(type, m));
  }
  compareFloat(type: Float, dst: VirtualRegister, a: VirtualRegister, b: VirtualRegister, predicate: number): void {
    const single = type === 'f32';
    if (this.avx512) this.op(single ? 'vcmppsK' : 'vcmppdK', this.width(type), dst, a, b, predicate);
    else if (single) this.widenMask(dst, (t) => this.op('vcmpps', this.w32, t, a, b, predicate));
    else this.op('vcmppd', this.w64, dst, a, b, predicate);
  }
  compareInteger(type: Integer, dst: VirtualRegister, op: ComparisonName, a: VirtualRegister, b: VirtualRegister): void {
    const w = this.width(type);
    const narrow = type === 'i32';
    if (this.avx512) {
      this.op(narrow ? 'vpcmpd' : 'vpcmpq', w, dst, a, b, integerComparisonCodes[op]);
      return;
    }
    const eq = narrow ? 'vpcmpeqd' : 'vpcmpeqq';
    const gt = narrow ? 'vpcmpgtd' : 'vpcmpgtq';
    const compare = (to: VirtualRegister): void => {
      if (op === 'eq') this.op(eq, w, to, a, b);
      else if (op === 'lt') this.op(gt, w, to, b, a);
      else this.op('vpxor', w, to, op === 'ne' ? this.make(eq, w, a, b) : this.make(gt, w, a, b), this.ones());
    };
    if (narrow) this.widenMask(dst, compare);
    else compare(dst);
  }
  /** One bit per lane in a general register. */
  maskBits(m: VirtualRegister): VirtualRegister {
    const bits = this.gpr();
    if (this.avx512) this.op('kmovw', null, bits, m);
    else this.op(this.lanes === 8 ? 'vmovmskps' : 'vmovmskpd', 'ymm', bits, m);
    return bits;
  }
  /** dst (mask) = all lanes true where the general register is not zero. */
  splatMask(dst: VirtualRegister, src: VirtualRegister): void {
    const t = this.gpr();
    this.int('cmp', 'uu', src, 0);
    const flag = this.gpr();
    this.int('setcc', 'ud', 'ne', flag);
    this.int('movzx8', 'du', t, flag);
    this.int('neg32', 'b', t);
    if (!this.avx512) this.op('vpbroadcastd', 'ymm', dst, this.make('vmovd', null, t));
    else if (this.lanes === 16) this.op('kmovw', null, dst, t);
    else this.op('kmovb', null, dst, t);
  }
  /** dst (mask): lane l is true where l < count. */
  laneMask(dst: VirtualRegister, count: VirtualRegister | number): void {
    if (typeof count === 'number') {
      const n = Math.max(0, Math.min(this.lanes, count));
      if (this.avx512) {
        const t = this.gpr();
        this.int('mov32', 'du', t, 2 ** n - 1);
        this.op('kmovw', null, dst, t);
      } else {
        const bytes = new Uint8Array(32).fill(255, 0, (n * 32) / this.lanes);
        this.code.move(dst, this.pattern(bytes, 'ymm'));
      }
      return;
    }
    // Clamped to [0, P], so that 32 bits hold it.
    const t = this.gpr();
    const limit = this.gpr();
    this.code.move(t, count);
    this.int('mov32', 'du', limit, this.lanes);
    this.int('cmp', 'uu', t, limit);
    this.int('cmov', 'ubu', 'g', t, limit);
    this.int('mov32', 'du', limit, 0);
    this.int('test', 'uu', t, t);
    this.int('cmov', 'ubu', 's', t, limit);
    if (this.avx512) {
      const counts = this.make('vpbroadcastd', this.w32, t);
      this.op('vpcmpd', this.w32, dst, this.iota('i32'), counts, integerComparisonCodes.lt);
    } else if (this.lanes === 8)
      this.op('vpcmpgtd', 'ymm', dst, this.make('vpbroadcastd', 'ymm', this.make('vmovd', null, t)), this.iota('i32'));
    else this.op('vpcmpgtq', 'ymm', dst, this.make('vpbroadcastq', 'ymm', this.make('vmovq', null, t)), this.iota('i64'));
  }
}

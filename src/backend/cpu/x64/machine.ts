/**
 * Machine IR: x86-64 instructions over virtual registers, the list that selection writes, the allocator colors and the emitter encodes.
 *
 * An instruction names an assembler method and its operands in the assembler's order; `access` says per operand whether it is defined
 * ('d'), used ('u') or both ('b'); registers inside a memory operand are uses. Three classes: general, vector, and AVX-512 masks.
 * Names that begin with a dot are pseudo-instructions: `.mov` (elided when both sides got one register), `.fma` (dst = a * b + c, the
 * form follows from the allocation), `.label`, `.jump`, `.loop` and `.end` (the span over which outer values must live), `.align`.
 * rax, rdx and rsp are never allocated: division and short scratch sequences name them. No temporaries are shared here: every emulation
 * sequence takes fresh virtual registers, so the allocator is the only place that knows pressure.
 */
import type { Condition } from './integer.ts';
import type { Gpr, Label, Width } from './registers.ts';

export const gprClass = 0;
export const vectorClass = 1;
export const maskClass = 2;
export type RegisterClass = typeof gprClass | typeof vectorClass | typeof maskClass;

/** How a value can be made again instead of being spilled: an immediate, or constant-pool bytes (one element to broadcast, or all). */
export type Rematerialized =
  | { readonly kind: 'immediate'; readonly value: number }
  | { readonly kind: 'pool'; readonly label: Label; readonly elementBytes: 0 | 4 | 8; readonly width: Width };

export interface VirtualRegister {
  readonly kind: 'virtual';
  readonly id: number;
  readonly cls: RegisterClass;
  readonly remat: Rematerialized | null;
  /** A register that the calling convention chose, or -1. */
  readonly fixed: number;
  /** Reload of a spilled value: lives for one instruction. */
  readonly short: boolean;
  hints: VirtualRegister[];
  start: number;
  end: number;
  weight: number;
  assigned: number;
  slot: number;
}

export interface MachineMemory {
  readonly kind: 'machine-memory';
  readonly base: VirtualRegister | Gpr | Label;
  readonly index: VirtualRegister | Gpr | null;
  readonly scale: 1 | 2 | 4 | 8;
  readonly disp: number;
}

export type MachineOperand = VirtualRegister | Gpr | MachineMemory | Label | number | Condition;

export interface MachineInstruction {
  readonly name: string;
  readonly width: Width | null;
  readonly access: string;
  readonly operands: readonly MachineOperand[];
  readonly mask: VirtualRegister | null;
  readonly maskAccess: 'u' | 'b';
  readonly zero: boolean;
  readonly broadcast: boolean;
}

export interface InstructionOptions {
  readonly mask?: VirtualRegister | null;
  readonly maskAccess?: 'u' | 'b';
  readonly zero?: boolean;
  readonly broadcast?: boolean;
}

export function isVirtual(x: MachineOperand): x is VirtualRegister {
  return typeof x === 'object' && x.kind === 'virtual';
}
export function isMachineMemory(x: MachineOperand): x is MachineMemory {
  return typeof x === 'object' && x.kind === 'machine-memory';
}

export function memory(
  base: VirtualRegister | Gpr | Label,
  disp = 0,
  index: VirtualRegister | Gpr | null = null,
  scale: 1 | 2 | 4 | 8 = 1,
): MachineMemory {
  return { kind: 'machine-memory', base, index, scale, disp };
}
export function offset(m: MachineMemory, bytes: number): MachineMemory {
  return bytes === 0 ? m : { ...m, disp: m.disp + bytes };
}

/** The instruction list under construction. */
export class MachineCode {
  instructions: MachineInstruction[] = [];
  #registers = 0;

  register(cls: RegisterClass, remat: Rematerialized | null = null, fixed = -1, short = false): VirtualRegister {
    return {
      kind: 'virtual',
      id: this.#registers++,
      cls,
      remat,
      fixed,
      short,
      hints: [],
      start: -1,
      end: -1,
      weight: 0,
      assigned: -1,
      slot: -1,
    };
  }
  get registerCount(): number {
    return this.#registers;
  }
  add(name: string, width: Width | null, access: string, operands: readonly MachineOperand[], options: InstructionOptions = {}): void {
    this.instructions.push({
      name,
      width,
      access,
      operands,
      mask: options.mask ?? null,
      maskAccess: options.maskAccess ?? 'u',
      zero: options.zero ?? false,
      broadcast: options.broadcast ?? false,
    });
  }
  move(dst: VirtualRegister, src: VirtualRegister): void {
    if (dst === src) return;
    dst.hints.push(src);
    this.add('.mov', null, 'du', [dst, src]);
  }
}

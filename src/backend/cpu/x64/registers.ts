/**
 * Operands of the x86-64 assembler.
 *
 * General registers are objects (`rax`, `r12`), so that a plain number is always an immediate and a vector register can never be
 * passed where an address is meant. Vector registers (0-31), mask registers (0-7) and tiles (0-7) are plain numbers: their width is an
 * argument of the instruction, which lets one code generator serve AVX2 and AVX-512.
 * No symbolic names and no allocation live here.
 */

/** Vector length of an instruction: 128, 256 or 512 bits. */
export type Width = 'xmm' | 'ymm' | 'zmm';

export const widthBytes = { xmm: 16, ymm: 32, zmm: 64 } as const satisfies Record<Width, number>;

/** A general-purpose register; the operation chooses how many of its bits are used. */
export interface Gpr {
  readonly kind: 'gpr';
  readonly code: number;
}

/** A position in the code or in the constant pool. */
export interface Label {
  readonly kind: 'label';
  readonly id: number;
}

/** `[base + index * scale + disp]`, or `[rip + label + disp]`. In gathers and scatters `index` is a vector register number. */
export interface Mem {
  readonly kind: 'mem';
  readonly base: Gpr | Label | null;
  readonly index: Gpr | number | null;
  readonly scale: 1 | 2 | 4 | 8;
  readonly disp: number;
}

/** The sixteen general registers in encoding order. */
export const gprs: readonly Gpr[] = Array.from({ length: 16 }, (_, code) => Object.freeze({ kind: 'gpr', code } as const));

export const [rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15] = gprs as [
  Gpr,
  Gpr,
  Gpr,
  Gpr,
  Gpr,
  Gpr,
  Gpr,
  Gpr,
  Gpr,
  Gpr,
  Gpr,
  Gpr,
  Gpr,
  Gpr,
  Gpr,
  Gpr,
];

/** A memory operand; `mem(label)` addresses code or pool data relative to rip. */
export function mem(base: Gpr | Label | null, disp = 0, index: Gpr | number | null = null, scale: 1 | 2 | 4 | 8 = 1): Mem {
  if (!Number.isInteger(disp) || disp !== (disp | 0)) throw new Error(`internal: displacement ${disp} does not fit 32 bits`);
  if (index !== null && typeof index !== 'number' && index.code === 4) throw new Error('internal: rsp cannot be an index register');
  if (base?.kind === 'label' && index !== null) throw new Error('internal: a rip-relative operand has no index');
  return { kind: 'mem', base, index, scale, disp };
}

export function isMem(x: unknown): x is Mem {
  return typeof x === 'object' && x !== null && (x as { kind?: unknown }).kind === 'mem';
}

export function isGpr(x: unknown): x is Gpr {
  return typeof x === 'object' && x !== null && (x as { kind?: unknown }).kind === 'gpr';
}

/** Bits 3 of base and index: what REX, VEX and EVEX carry outside the ModRM byte. */
export function extensionBits(rm: Mem): { readonly b: number; readonly x: number; readonly high: number } {
  const b = rm.base?.kind === 'gpr' ? rm.base.code >> 3 : 0;
  const index = rm.index === null ? 0 : typeof rm.index === 'number' ? rm.index : rm.index.code;
  return { b, x: (index >> 3) & 1, high: index >> 4 };
}

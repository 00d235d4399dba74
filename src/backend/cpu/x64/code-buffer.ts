/**
 * The bytes under construction: a growable buffer, labels with forward patching, the constant pool, and the ModRM/SIB/displacement
 * tail that every instruction with a memory operand shares.
 *
 * Every label reference is a rel32 (also inside `[rip + disp32]`), so one pass suffices: `finish` lays the pool behind the code and
 * patches what was still open. Short jumps are not attempted; in a hot loop the backward jump costs four bytes more, once.
 * The result is position independent and must be placed at an address aligned to the largest pool alignment (at most 64).
 */

import type { Label, Mem } from './registers.ts';

interface Fixup {
  readonly at: number;
  /** Address that the displacement is relative to: the end of the instruction. */
  readonly from: number;
  readonly label: number;
  readonly addend: number;
}

interface PoolEntry {
  readonly bytes: Uint8Array;
  readonly align: number;
  readonly label: Label;
}

export class CodeBuffer {
  #bytes = new Uint8Array(1024);
  #length = 0;
  #finished = false;
  /** Offset per label; -1 while unbound. */
  readonly #labels: number[] = [];
  readonly #fixups: Fixup[] = [];
  readonly #pool = new Map<string, PoolEntry>();

  get length(): number {
    return this.#length;
  }

  byte(value: number): void {
    if (this.#finished) throw new Error('internal: code was already finished');
    if (this.#length === this.#bytes.length) {
      const grown = new Uint8Array(this.#bytes.length * 2);
      grown.set(this.#bytes);
      this.#bytes = grown;
    }
    this.#bytes[this.#length++] = value;
  }

  bytes(...values: readonly number[]): void {
    for (const value of values) this.byte(value);
  }

  int16(value: number): void {
    this.bytes(value & 255, (value >> 8) & 255);
  }

  int32(value: number): void {
    this.bytes(value & 255, (value >> 8) & 255, (value >> 16) & 255, (value >>> 24) & 255);
  }

  int64(value: bigint): void {
    this.int32(Number(BigInt.asIntN(32, value)));
    this.int32(Number(BigInt.asIntN(32, value >> 32n)));
  }

  newLabel(): Label {
    this.#labels.push(-1);
    return { kind: 'label', id: this.#labels.length - 1 };
  }

  bind(label: Label): void {
    const offset = this.#labels[label.id];
    if (offset === undefined) throw new Error('internal: label of another assembler');
    if (offset !== -1) throw new Error(`internal: label ${label.id} is bound twice`);
    this.#labels[label.id] = this.#length;
  }

  /** A rel32 field; `trailing` counts the instruction's bytes behind it (an immediate). */
  relative(label: Label, addend = 0, trailing = 0): void {
    const at = this.#length;
    this.#fixups.push({ at, from: at + 4 + trailing, label: label.id, addend });
    this.int32(0);
  }

  /** Pool constant; equal bytes share one place. */
  data(bytes: Uint8Array, align: number): Label {
    if (align < 1 || align > 64 || (align & (align - 1)) !== 0) throw new Error(`internal: pool alignment ${align}`);
    const key = `${align}:${bytes.join()}`;
    const known = this.#pool.get(key);
    if (known) return known.label;
    const label = this.newLabel();
    this.#pool.set(key, { bytes: bytes.slice(), align, label });
    return label;
  }

  /**
   * ModRM, SIB and displacement. `disp8Unit` is EVEX's compression factor N (1 for legacy and VEX): a displacement that is a multiple
   * of N and whose quotient fits a byte is stored as that quotient.
   */
  modRm(reg: number, rm: number | Mem, disp8Unit: number, trailing: number): void {
    const field = (reg & 7) << 3;
    if (typeof rm === 'number') {
      this.byte(0xc0 | field | (rm & 7));
      return;
    }
    const { base, index, disp } = rm;
    if (base?.kind === 'label') {
      this.byte(field | 5);
      this.relative(base, disp, trailing);
      return;
    }
    const scale = { 1: 0x00, 2: 0x40, 4: 0x80, 8: 0xc0 }[rm.scale];
    const indexCode = index === null ? 4 : (typeof index === 'number' ? index : index.code) & 7;
    if (base === null) {
      // mod 00 with SIB base 101: a bare 32-bit displacement (plain ModRM 101 would mean rip).
      this.bytes(field | 4, scale | (indexCode << 3) | 5);
      this.int32(disp);
      return;
    }
    const baseCode = base.code & 7;
    const quotient = disp / disp8Unit;
    // rbp and r13 have no form without displacement.
    const mod = disp === 0 && baseCode !== 5 ? 0 : Number.isInteger(quotient) && quotient >= -128 && quotient <= 127 ? 1 : 2;
    // rsp and r12 as base are the escape to a SIB byte.
    if (index !== null || baseCode === 4) this.bytes((mod << 6) | field | 4, scale | (indexCode << 3) | baseCode);
    else this.byte((mod << 6) | field | baseCode);
    if (mod === 1) this.byte(quotient & 255);
    else if (mod === 2) this.int32(disp);
  }

  finish(): Uint8Array {
    // Largest alignment first: no padding between entries of one alignment class.
    const entries = [...this.#pool.values()].sort((left, right) => right.align - left.align);
    for (const entry of entries) {
      while (this.#length % entry.align !== 0) this.byte(0xcc);
      this.bind(entry.label);
      for (const value of entry.bytes) this.byte(value);
    }
    this.#finished = true;
    const result = this.#bytes.slice(0, this.#length);
    const view = new DataView(result.buffer);
    for (const { at, from, label, addend } of this.#fixups) {
      const target = this.#labels[label];
      if (target === undefined || target === -1) throw new Error(`internal: label ${label} is used but never bound`);
      view.setInt32(at, target + addend - from, true);
    }
    return result;
  }
}

/**
 * VEX and EVEX encoders, driven by a parsed table row.
 *
 * `selectRow` picks the operand form and the encoding: VEX whenever registers are below 16, the width at most 256 bits and no
 * mask or broadcast is wanted (it is shorter and exists on AVX2), EVEX otherwise.
 * Embedded rounding and suppress-all-exceptions are deliberately absent: kernels use the default rounding mode.
 */

import type { CodeBuffer } from './code-buffer.ts';
import type { Row, VectorOptions } from './instruction-row.ts';
import { extensionBits, type Gpr, isGpr, isMem, type Mem, type Width, widthBytes } from './registers.ts';

export type Isa = 'avx2' | 'avx512';
export type VectorOperand = number | Gpr | Mem;
export type Encoding = 'vex' | 'evex';

/** Whether the operands have the kinds that the row asks for. */
function fits(row: Row, operands: readonly VectorOperand[]): boolean {
  return (
    row.operands.length === operands.length &&
    row.operands.every(({ role, type }, at) => {
      const operand = operands[at]!;
      if (isMem(operand)) return role === 'm' || role === 'M' || role === 'S';
      if (role === 'M' || role === 'S') return false;
      return isGpr(operand) === (type === 'd' || type === 'q');
    })
  );
}

function vexFits(row: Row, width: Width, operands: readonly VectorOperand[], options: VectorOptions): boolean {
  if (row.vexW === null || width === 'zmm' || options.mask || options.zero || options.broadcast) return false;
  return row.operands.every(({ role }, at) => {
    const operand = operands[at]!;
    // Shifts by an immediate have a memory form under EVEX only.
    if (isMem(operand)) return (row.digit === null || row.evexW === null) && (typeof operand.index !== 'number' || operand.index < 16);
    return role === 'i' || isGpr(operand) || operand < 16;
  });
}

/** The row and encoding for a call; `internal:` errors name the method. */
export function selectRow(
  rows: readonly Row[],
  isa: Isa,
  width: Width,
  operands: readonly VectorOperand[],
  options: VectorOptions,
): { readonly row: Row; readonly encoding: Encoding } {
  const name = rows[0]!.method;
  let evex: Row | undefined;
  for (const row of rows) {
    if (!fits(row, operands)) continue;
    if (row.takesWidth && !row.widths.includes(width)) throw new Error(`internal: ${name} has no ${width} form`);
    if (vexFits(row, width, operands, options)) {
      if (row.needsAvx512 && isa === 'avx2') throw new Error(`internal: ${name} needs AVX-512, the target is AVX2`);
      return { row, encoding: 'vex' };
    }
    if (row.evexW !== null) evex ??= row;
  }
  if (!evex) throw new Error(`internal: ${name} has no form for these operands`);
  if (isa === 'avx2') throw new Error(`internal: ${name} needs AVX-512 here (${width}, or a mask, broadcast or register above 15)`);
  return { row: evex, encoding: 'evex' };
}

/** Bytes that the memory operand covers: EVEX's displacement unit, and the size that a listing shows. */
export function memorySize(row: Row, width: Width, broadcast: boolean): number {
  if (broadcast) return row.evexW === 1 ? 8 : 4;
  const whole = widthBytes[width];
  const { tuple } = row;
  switch (tuple) {
    case 'full':
    case 'mem':
      return whole;
    case 'half':
    case 'hmem':
      return whole / 2;
    case 'qmem':
      return whole / 4;
    case 'emem':
      return whole / 8;
    default:
      return tuple satisfies number;
  }
}

/** Operands sorted by the field that encodes them. */
interface Fields {
  reg: number;
  vvvv: number;
  rm: number | Mem | null;
  /** The trailing byte: an immediate or a fourth register. */
  immediate: number | null;
}

function place(row: Row, operands: readonly VectorOperand[]): Fields {
  const fields: Fields = { reg: row.digit ?? 0, vvvv: 0, rm: null, immediate: null };
  row.operands.forEach(({ role, type }, at) => {
    const operand = operands[at]!;
    if (isMem(operand)) {
      if ((role === 'S') !== (typeof operand.index === 'number')) throw new Error(`internal: ${row.method} and its index register`);
      if (type === '1' && operand.index === null) throw new Error(`internal: ${row.method} needs a stride register`);
      fields.rm = operand;
      return;
    }
    const code = isGpr(operand) ? operand.code : operand;
    const limit = role === 'i' ? 256 : type === 'k' || type === 't' ? 8 : 32;
    if (!Number.isInteger(code) || code < 0 || code >= limit) throw new Error(`internal: ${row.method} operand ${at} is ${code}`);
    if (role === 'r') fields.reg = code;
    else if (role === 'v') fields.vvvv = code;
    else if (role === 'i') fields.immediate = code;
    else if (role === '4') fields.immediate = code << 4;
    else fields.rm = code;
  });
  const { rm } = fields;
  if (row.operands[0]?.role === 'r' && isMem(rm) && typeof rm.index === 'number') {
    const maskVector = row.operands.length === 3 ? fields.vvvv : -1;
    if (fields.reg === rm.index || fields.reg === maskVector || rm.index === maskVector) {
      throw new Error(`internal: ${row.method} needs distinct registers`);
    }
  }
  return fields;
}

function finishInstruction(code: CodeBuffer, row: Row, fields: Fields, unit: number): void {
  code.byte(row.opcode);
  code.modRm(fields.reg, fields.rm ?? 0, unit, fields.immediate === null ? 0 : 1);
  if (fields.immediate !== null) code.byte(fields.immediate);
}

function encodeVex(code: CodeBuffer, row: Row, width: Width, fields: Fields): void {
  const { b, x } = isMem(fields.rm) ? extensionBits(fields.rm) : { b: (fields.rm ?? 0) >> 3, x: 0 };
  const r = fields.reg >> 3;
  const w = row.vexW!;
  const tail = ((~fields.vvvv & 15) << 3) | (row.longVex || (row.takesWidth && width === 'ymm') ? 4 : 0) | row.prefix;
  if (row.map === 1 && w === 0 && b === 0 && x === 0) code.bytes(0xc5, ((r ^ 1) << 7) | tail);
  else code.bytes(0xc4, ((r ^ 1) << 7) | ((x ^ 1) << 6) | ((b ^ 1) << 5) | row.map, (w << 7) | tail);
  finishInstruction(code, row, fields, 1);
}

function encodeEvex(code: CodeBuffer, row: Row, width: Width, fields: Fields, options: VectorOptions): void {
  const { mask = 0, zero = false, broadcast = false } = options;
  const { rm, reg } = fields;
  const scattered = row.operands.some(({ role }) => role === 'S');
  const writesMemory = isMem(rm) && row.operands[0]!.role !== 'r' && row.operands[0]!.role !== 'v';
  if (mask < 0 || mask > 7 || (mask !== 0 && !row.maskable)) throw new Error(`internal: ${row.method} with mask k${mask}`);
  if (zero && (mask === 0 || writesMemory || scattered || row.operands[0]!.type === 'k')) {
    throw new Error(`internal: ${row.method} cannot zero masked lanes here`);
  }
  if (scattered && mask === 0) throw new Error(`internal: ${row.method} needs a mask`);
  if (broadcast && !(isMem(rm) && (row.tuple === 'full' || row.tuple === 'half'))) {
    throw new Error(`internal: ${row.method} has no broadcast here`);
  }
  const bits = isMem(rm) ? extensionBits(rm) : { b: (rm ?? 0) >> 3, x: (rm ?? 0) >> 4, high: 0 };
  const vvvv = scattered && isMem(rm) ? (bits.high << 4) | fields.vvvv : fields.vvvv;
  const length = row.takesWidth ? { xmm: 0x00, ymm: 0x20, zmm: 0x40 }[width] : 0;
  const inverted = (value: number, bit: number, at: number): number => (((value >> bit) & 1) ^ 1) << at;
  code.bytes(
    0x62,
    inverted(reg, 3, 7) | inverted(bits.x, 0, 6) | inverted(bits.b, 0, 5) | inverted(reg, 4, 4) | row.map,
    (row.evexW! << 7) | ((~vvvv & 15) << 3) | 4 | row.prefix,
    (zero ? 0x80 : 0) | length | (broadcast ? 0x10 : 0) | inverted(vvvv, 4, 3) | mask,
  );
  finishInstruction(code, row, fields, memorySize(row, width, broadcast));
}

/** Encodes one row; the caller has checked that operands and encoding fit. */
export function encodeRow(
  code: CodeBuffer,
  row: Row,
  encoding: Encoding,
  width: Width,
  operands: readonly VectorOperand[],
  options: VectorOptions,
): void {
  const fields = place(row, operands);
  if (encoding === 'vex') encodeVex(code, row, width, fields);
  else encodeEvex(code, row, width, fields, options);
}

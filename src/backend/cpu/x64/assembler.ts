/**
 * The x86-64 assembler: general-purpose instructions plus one method per vector mnemonic of the tables.
 *
 *   const a = new Assembler('avx512');
 *   a.vmovups('zmm', 0, mem(rdi, 64));
 *   a.vaddps('zmm', 0, 0, mem(rsi, 0, rcx, 4), { mask: 1, zero: true });
 *   a.jcc('ne', loop);
 *   const bytes = a.finish();
 *
 * Destination first; vector, mask and tile registers are numbers, general registers are objects, memory is `mem(base, disp, index,
 * scale)`. Methods whose operands scale with the vector length take the width first; for widening and narrowing it is the wider side.
 * The same call is encoded as VEX or EVEX as needed; a target of 'avx2' refuses what would need EVEX.
 */

import { type InstructionTable, type MethodsOf, parseRow, type Row, type VectorOptions } from './instruction-row.ts';
import { floatInstructions } from './instructions-float.ts';
import { integerInstructions } from './instructions-integer.ts';
import { specialInstructions } from './instructions-special.ts';
import { IntegerAssembler } from './integer.ts';
import { isGpr, isMem, type Width } from './registers.ts';
import { encodeRow, type Isa, selectRow, type VectorOperand } from './vector.ts';

export type { VectorOptions } from './instruction-row.ts';
export { type Condition, conditions } from './integer.ts';
export * from './registers.ts';
export type { Isa } from './vector.ts';

type Methods = MethodsOf<typeof floatInstructions> & MethodsOf<typeof integerInstructions> & MethodsOf<typeof specialInstructions>;

/** Names of the table-driven methods. */
export type VectorMnemonic = keyof Methods;

const tables: InstructionTable = { ...floatInstructions, ...integerInstructions, ...specialInstructions };

/** Every row by method name. */
export const instructionRows: ReadonlyMap<string, readonly Row[]> = new Map(
  Object.entries(tables).map(([name, rows]) => [name, rows.map((row) => parseRow(name, row))]),
);

type Argument = Width | VectorOperand | VectorOptions | undefined;

class VectorAssembler extends IntegerAssembler {
  readonly isa: Isa;

  constructor(isa: Isa) {
    super();
    this.isa = isa;
  }

  /** The generic form of every vector method; arguments as in the method of that name. */
  emit(name: VectorMnemonic, args: readonly Argument[]): void {
    const rows = instructionRows.get(name)!;
    const rest = [...args];
    const width = typeof rest[0] === 'string' ? (rest.shift() as Width) : 'xmm';
    const last = rest.at(-1);
    const hasOptions = rest.length > 0 && typeof last !== 'number' && !isMem(last) && !isGpr(last);
    const options = hasOptions ? ((rest.pop() as VectorOptions | undefined) ?? {}) : {};
    const operands = rest as VectorOperand[];
    const { row, encoding } = selectRow(rows, this.isa, width, operands, options);
    if (row.takesWidth !== (typeof args[0] === 'string')) throw new Error(`internal: ${name} and its width argument`);
    encodeRow(this.code, row, encoding, width, operands, options);
  }
}

for (const name of instructionRows.keys()) {
  Object.defineProperty(VectorAssembler.prototype, name, {
    value(this: VectorAssembler, ...args: Argument[]): void {
      this.emit(name as VectorMnemonic, args);
    },
  });
}

export type Assembler = VectorAssembler & Methods;
export const Assembler = VectorAssembler as unknown as new (isa: Isa) => Assembler;

/**
 * Notation of the vector instruction tables. A row is `[operands, opcode, properties]`; a mnemonic has one row per operand form.
 *
 * operands: in Intel's order, each a role and a type.
 *   roles  r ModRM.reg   v VEX.vvvv   m ModRM.rm, register or memory   M memory only   R register only   S memory with a vector index
 *          4 register in the immediate's high half   i 8-bit immediate (no type)
 *   types  V H Q E: the instruction's width, its half, quarter, eighth (a register is at least xmm)   X xmm   Y ymm
 *          d q: 32- and 64-bit general register   k mask register   t tile   0: memory without a size   1: memory that needs an index
 * opcode: prefix.map.opcode, with `/n` where ModRM.reg extends the opcode (then VEX has no memory form).
 * properties: two characters first: W under VEX, W under EVEX (`i`: ignored, encoded 0; `-`: no such encoding), then
 *   full, half   EVEX tuple with broadcast: memory is the whole (half) vector or one element of 4 (W0) or 8 (W1) bytes
 *   mem, hmem, qmem, emem   whole, half, quarter, eighth vector without broadcast      n1...n32   fixed size in bytes
 *   y, z, yz   the widths that exist, if not all   nomask   EVEX without masking   L1   VEX.L is 1   k   VEX form that needs AVX-512
 *   as=   mnemonic where the method's name differs   vex=   mnemonic of the VEX form where it differs
 * The sources are the opcode pages of Intel's manual, volume 2; `listing.txt` proves the rows against a disassembler.
 */

import type { Gpr, Mem, Width } from './registers.ts';

export type RowNotation = readonly [operands: string, opcode: string, properties: string];
export type InstructionTable = Readonly<Record<string, readonly RowNotation[]>>;

export interface VectorOptions {
  /** Mask register k1-k7 (0: none); lanes with a clear bit keep dst, or are zeroed with `zero`. */
  readonly mask?: number | undefined;
  readonly zero?: boolean | undefined;
  /** The memory operand is one element, repeated. */
  readonly broadcast?: boolean | undefined;
}

type OperandOf<Token extends string> = Token extends 'i'
  ? number
  : Token extends `m${'d' | 'q'}`
    ? Gpr | Mem
    : Token extends `${string}${'d' | 'q'}`
      ? Gpr
      : Token extends `${'M' | 'S'}${string}`
        ? Mem
        : Token extends `m${string}`
          ? number | Mem
          : number;
type OperandsOf<Form extends string> = Form extends ''
  ? []
  : Form extends `${infer First} ${infer Rest}`
    ? [OperandOf<First>, ...OperandsOf<Rest>]
    : [OperandOf<Form>];
type ArgumentsOf<Form extends string> = Form extends `${string}${'V' | 'H' | 'Q' | 'E'}${string}`
  ? [width: Width, ...operands: OperandsOf<Form>, options?: VectorOptions]
  : [...operands: OperandsOf<Form>, options?: VectorOptions];
type FormsOf<Rows> = Rows extends readonly (readonly [infer Form extends string, string, string])[] ? Form : never;
type DistributedArguments<Form> = Form extends string ? ArgumentsOf<Form> : never;

/** One method per mnemonic; its arguments are the union over its rows. Rows without a width-typed operand take no width. */
export type MethodsOf<Table extends InstructionTable> = {
  readonly [Name in keyof Table]: (...args: DistributedArguments<FormsOf<Table[Name]>>) => void;
};

export type OperandRole = 'r' | 'v' | 'm' | 'M' | 'R' | 'S' | '4' | 'i';
export type OperandType = 'V' | 'H' | 'Q' | 'E' | 'X' | 'Y' | 'd' | 'q' | 'k' | 't' | '0' | '1' | '';
export type Tuple = 'full' | 'half' | 'mem' | 'hmem' | 'qmem' | 'emem' | number;

/** A parsed row. */
export interface Row {
  readonly method: string;
  readonly operands: readonly { readonly role: OperandRole; readonly type: OperandType }[];
  readonly takesWidth: boolean;
  readonly prefix: number;
  readonly map: number;
  readonly opcode: number;
  readonly digit: number | null;
  readonly vexW: number | null;
  readonly evexW: number | null;
  readonly tuple: Tuple;
  readonly widths: readonly Width[];
  readonly maskable: boolean;
  readonly longVex: boolean;
  readonly needsAvx512: boolean;
  readonly vexName: string;
  readonly evexName: string;
}

const prefixes: Readonly<Record<string, number>> = { np: 0, '66': 1, f3: 2, f2: 3 };
const maps: Readonly<Record<string, number>> = { '0f': 1, '0f38': 2, '0f3a': 3 };
const widthLetters = { x: 'xmm', y: 'ymm', z: 'zmm' } as const;

export function parseRow(method: string, [form, code, properties]: RowNotation): Row {
  const [prefix, map, opcodeText] = code.split('.') as [string, string, string];
  const [opcode, digit] = opcodeText.split('/') as [string, string?];
  const [w, ...rest] = properties.split(' ') as [string, ...string[]];
  const wBit = (letter: string | undefined): number | null => (letter === '-' ? null : letter === '1' ? 1 : 0);
  const named = (key: string): string | undefined => rest.find((property) => property.startsWith(key))?.slice(key.length);
  const size = rest.find((property) => /^(full|half|[hqe]?mem|n\d+)$/.test(property));
  const widths = rest.find((property) => /^[xyz]+$/.test(property)) ?? 'xyz';
  const evexName = named('as=') ?? method;
  return {
    method,
    operands: form === '' ? [] : form.split(' ').map((token) => ({ role: token[0] as OperandRole, type: token.slice(1) as OperandType })),
    takesWidth: /[VHQE]/.test(form),
    prefix: prefixes[prefix]!,
    map: maps[map]!,
    opcode: Number.parseInt(opcode, 16),
    digit: digit === undefined ? null : Number(digit),
    vexW: wBit(w[0]),
    evexW: wBit(w[1]),
    tuple: size === undefined ? 'mem' : size.startsWith('n') ? Number(size.slice(1)) : (size as Tuple),
    widths: [...widths].map((letter) => widthLetters[letter as 'x' | 'y' | 'z']),
    maskable: !rest.includes('nomask'),
    longVex: rest.includes('L1'),
    needsAvx512: rest.includes('k'),
    vexName: named('vex=') ?? evexName,
    evexName,
  };
}

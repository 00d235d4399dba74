/**
 * The forms that `src/backend/cpu/x64/listing.txt` records: every table row and every general instruction with telling operands, each as the text that we
 * intend (Intel syntax, as objdump prints it) and the bytes that the assembler gives.
 *
 * `record-x64-listing.mjs` compares the texts with objdump's reading of the bytes and writes the listing; the test compares
 * the bytes with the listing, without objdump. Branches are absent: objdump prints their absolute targets; the test checks them by hand.
 */

import {
  Assembler,
  conditions,
  type Gpr,
  gprs,
  instructionRows,
  type Mem,
  mem,
  type Width,
  widthBytes,
} from '../src/backend/cpu/x64/assembler.ts';
import type { OperandType, Row, VectorOptions } from '../src/backend/cpu/x64/instruction-row.ts';
import { memorySize, type VectorOperand } from '../src/backend/cpu/x64/vector.ts';

export interface ListingForm {
  readonly text: string;
  readonly bytes: Uint8Array;
}

const legacy = ['ax', 'cx', 'dx', 'bx', 'sp', 'bp', 'si', 'di'];

function gprText({ code }: Gpr, bits: 8 | 16 | 32 | 64): string {
  if (code > 7) return `r${code}${{ 8: 'b', 16: 'w', 32: 'd', 64: '' }[bits]}`;
  const name = legacy[code]!;
  if (bits === 8) return code < 4 ? `${name[0]}l` : `${name}l`;
  return `${{ 16: '', 32: 'e', 64: 'r' }[bits]}${name}`;
}

const sizeNames: Readonly<Record<number, string>> = {
  0: '',
  1: 'BYTE PTR ',
  2: 'WORD PTR ',
  4: 'DWORD PTR ',
  8: 'QWORD PTR ',
  16: 'XMMWORD PTR ',
  32: 'YMMWORD PTR ',
  64: 'ZMMWORD PTR ',
};

function signed(value: number): string {
  return value < 0 ? `-0x${(-value).toString(16)}` : `+0x${value.toString(16)}`;
}

function memText({ base, index, scale, disp }: Mem, prefix: string, indexWidth: Width): string {
  const baseText = base === null ? '' : base.kind === 'label' ? 'rip' : gprText(base, 64);
  const indexText = index === null ? '' : `${typeof index === 'number' ? `${indexWidth}${index}` : gprText(index, 64)}*${scale}`;
  // objdump shows a displacement exactly when one is encoded.
  const encoded = disp !== 0 || base === null || base.kind === 'label' || (base.code & 7) === 5;
  const sum = [baseText, indexText].filter((part) => part !== '').join('+');
  return `${prefix}[${sum}${encoded ? signed(disp) : ''}]`;
}

// -- vector rows -------------------------------------------------------------------------------------------------------------------

function registerText(type: OperandType, width: Width, code: number): string {
  const sized = (divisor: number): string => {
    const bytes = Math.max(16, widthBytes[width] / divisor);
    return `${bytes === 64 ? 'zmm' : bytes === 32 ? 'ymm' : 'xmm'}${code}`;
  };
  switch (type) {
    case 'V':
      return sized(1);
    case 'H':
      return sized(2);
    case 'Q':
      return sized(4);
    case 'E':
      return sized(8);
    case 'X':
      return `xmm${code}`;
    case 'Y':
      return `ymm${code}`;
    case 'd':
      return gprText(gprs[code]!, 32);
    case 'q':
      return gprText(gprs[code]!, 64);
    case 'k':
      return `k${code}`;
    case 't':
      return `tmm${code}`;
    case '0':
    case '1':
    case '':
      throw new Error(`internal: ${type} is no register`);
    default:
      return type satisfies never;
  }
}

/** Addresses that differ in how ModRM, SIB and displacement are encoded; `unit` is the size of the operand. */
function addresses(unit: number): Mem[] {
  const [rax, rcx, , rbx, rsp, rbp, , rdi, r8, r9, , , r12, r13, r14, r15] = gprs as Gpr[];
  return [
    mem(rax!),
    mem(rsp!, unit),
    mem(rbp!),
    mem(r12!, -3 * unit),
    mem(r13!, 2 * unit, rcx!, 4),
    mem(rdi!, unit + 1),
    mem(r8!, 127 * unit, r15!, 8),
    mem(rbx!, 128 * unit),
    mem(r13!),
    mem(r14!, -128 * unit, r12!, 2),
    mem(rsp!, 1000, rbp!, 1),
    mem(r9!, -129 * unit),
  ];
}

/** Which registers, which memory operand and which options one form uses. */
interface Choice {
  readonly registers: readonly number[];
  readonly memory: Mem | 'rip' | null;
  readonly options: VectorOptions;
}

const immediateValue = 1;

function vectorForm(row: Row, width: Width, evex: boolean, choice: Choice): ListingForm {
  const a = new Assembler('avx512');
  const { mask = 0, zero = false, broadcast = false } = choice.options;
  const size = memorySize(row, width, broadcast);
  const label = a.newLabel();
  const operands: VectorOperand[] = [];
  const texts: string[] = [];
  row.operands.forEach(({ role, type }, at) => {
    if (role === 'i') {
      operands.push(immediateValue);
      texts.push(`0x${immediateValue.toString(16)}`);
      return;
    }
    const code = choice.registers[at]!;
    if (role === 'M' || role === 'S' || (role === 'm' && choice.memory !== null)) {
      const chosen = choice.memory === 'rip' ? mem(label, 16) : choice.memory!;
      const address = role === 'S' ? mem(chosen.base, chosen.disp, code, chosen.scale) : chosen;
      const halves = type === 'H' && width !== 'xmm' ? (width === 'zmm' ? 'ymm' : 'xmm') : width;
      // objdump names the whole vector where compress and expand touch as many elements as the mask selects.
      const shown = /compress|expand/.test(row.method) ? widthBytes[width] : size;
      const prefix = broadcast ? `${size === 8 ? 'QWORD' : 'DWORD'} BCST ` : type === '0' || type === '1' ? '' : sizeNames[shown]!;
      operands.push(address);
      texts.push(memText(address, prefix, halves) + (broadcast ? broadcastCount(row, width) : ''));
    } else {
      const limited = type === 'k' || type === 't' ? code & 7 : type === 'd' || type === 'q' ? code & 15 : code;
      operands.push(type === 'd' || type === 'q' ? gprs[limited]! : limited);
      texts.push(registerText(type, width, limited));
    }
    if (at === 0 && mask !== 0) texts[0] += `{k${mask}}${zero ? '{z}' : ''}`;
  });
  const args = [...(row.takesWidth ? [width] : []), ...operands];
  a.emit(row.method as Parameters<typeof a.emit>[0], mask !== 0 || broadcast ? [...args, choice.options] : args);
  a.bind(label);
  return { text: mnemonicText(evex ? row.evexName : row.vexName, texts), bytes: a.finish() };
}

/** Where the destination does not tell the width (both 128 and 256 bits narrow to xmm), objdump adds the count. */
function broadcastCount(row: Row, width: Width): string {
  if (row.operands[0]!.type !== 'H' || width === 'zmm') return '';
  return `{1to${widthBytes[width] / memorySize(row, width, true)}}`;
}

/** Comparisons are printed with the predicate (1: less than) in the name. */
function mnemonicText(name: string, operands: readonly string[]): string {
  const comparison = /^vp?cmp(?!eq|gt)/.exec(name);
  if (comparison) return `${comparison[0]}lt${name.slice(comparison[0].length)} ${operands.slice(0, -1).join(',')}`;
  return operands.length === 0 ? name : `${name} ${operands.join(',')}`;
}

function* rowForms(row: Row, width: Width, turn: number, vexSibling: boolean): Generator<ListingForm> {
  const roles = row.operands.map(({ role }) => role);
  const gather = roles.includes('S');
  const onlyMemory = gather || roles.includes('M');
  const hasMemory = onlyMemory || roles.includes('m');
  const shortVex = row.vexW !== null && width !== 'zmm';
  const vexMemory = shortVex && (row.digit === null || row.evexW === null);
  const pick = (unit: number, at: number): Mem => {
    const choices = addresses(unit).filter((address) => !row.operands.some(({ type }) => type === '1') || address.index !== null);
    return choices[(turn + at) % choices.length]!;
  };
  const scaled = memorySize(row, width, false);
  const low = [1, 2, 3, 4];
  const high = [9, 14, 11, 15];
  const far = [17, 30, 25, 23];
  const none = {};
  // An immediate shifts what rip-relative displacements count from, so those rows always get such a form; of the others some do.
  const rip = (roles.includes('i') || turn % 4 === 0) && !row.operands.some(({ type }) => type === '1');

  if (shortVex) {
    if (!onlyMemory) {
      yield vectorForm(row, width, false, { registers: low, memory: null, options: none });
      yield vectorForm(row, width, false, { registers: high, memory: null, options: none });
    }
    if (vexMemory && hasMemory) {
      yield vectorForm(row, width, false, { registers: low, memory: pick(1, 0), options: none });
      yield vectorForm(row, width, false, { registers: high, memory: pick(scaled, 5), options: none });
      if (!gather && rip) {
        yield vectorForm(row, width, false, { registers: low, memory: 'rip', options: none });
      }
    }
  }
  if (row.evexW === null) return;
  const masked = gather ? { mask: (turn % 7) + 1 } : none;
  const allVector = row.operands.some(({ type }) => 'VHQEXY'.includes(type) && type !== '');
  const memoryFar = row.operands.some(({ role, type }) => role !== 'm' && role !== 'M' && role !== 'i' && 'VHQEXY'.includes(type));
  if (!onlyMemory && allVector) {
    if (!vexSibling) yield vectorForm(row, width, true, { registers: low, memory: null, options: none });
    yield vectorForm(row, width, true, { registers: far, memory: null, options: none });
  }
  if (hasMemory && memoryFar) {
    yield vectorForm(row, width, true, { registers: far, memory: pick(scaled, 1), options: masked });
    yield vectorForm(row, width, true, { registers: far, memory: pick(scaled, 6), options: masked });
    if (!gather && rip) yield vectorForm(row, width, true, { registers: far, memory: 'rip', options: none });
  } else if (hasMemory && !vexSibling) {
    yield vectorForm(row, width, true, { registers: low, memory: pick(scaled, 1), options: none });
  }
  if (row.maskable && !gather) {
    const zeroable = row.operands[0]!.type !== 'k';
    const mask = (turn % 7) + 1;
    if (!onlyMemory) {
      yield vectorForm(row, width, true, {
        registers: turn % 2 ? low : high,
        memory: null,
        options: { mask, zero: zeroable && turn % 3 < 2 },
      });
    } else yield vectorForm(row, width, true, { registers: low, memory: pick(scaled, 2), options: { mask } });
  }
  if (row.tuple === 'full' || row.tuple === 'half') {
    const element = memorySize(row, width, true);
    yield vectorForm(row, width, true, { registers: low, memory: pick(element, 3), options: { broadcast: true } });
    if (turn % 2)
      yield vectorForm(row, width, true, {
        registers: far,
        memory: pick(element, 4),
        options: { broadcast: true, mask: row.maskable ? 5 : 0 },
      });
  }
}

function* vectorForms(): Generator<ListingForm> {
  let turn = 0;
  for (const rows of instructionRows.values()) {
    for (const row of rows)
      for (const width of row.takesWidth ? row.widths : (['xmm'] as const)) {
        yield* rowForms(row, width, turn++, width !== 'zmm' && rows.some(({ vexW }) => vexW !== null));
      }
  }
  // All addresses for one instruction of each displacement unit.
  for (const name of ['vaddps', 'vaddsd', 'vpinsrb', 'vpmovsxbd', 'vcvtps2pd', 'vpbroadcastw', 'vinsertf64x4']) {
    const row = instructionRows.get(name)![0]!;
    for (const width of row.takesWidth ? row.widths : (['xmm'] as const)) {
      for (const memory of addresses(memorySize(row, width, false))) {
        if (row.vexW !== null && width !== 'zmm') yield vectorForm(row, width, false, { registers: [7, 8, 9, 10], memory, options: {} });
        yield vectorForm(row, width, true, { registers: [16, 24, 31, 19], memory, options: {} });
      }
    }
  }
}

// -- general instructions ------------------------------------------------------------------------------------------------------------

type Bits = 8 | 16 | 32 | 64;

function form(text: string, write: (a: Assembler) => void): ListingForm {
  const a = new Assembler('avx2');
  write(a);
  return { text, bytes: a.finish() };
}

const pairs: readonly (readonly [Gpr, Gpr])[] = [
  [0, 1],
  [3, 12],
  [13, 4],
  [6, 7],
  [8, 15],
].map(([l, r]) => [gprs[l!]!, gprs[r!]!] as const);

function sized(address: Mem, bits: Bits): string {
  return memText(address, sizeNames[bits / 8]!, 'xmm');
}

function immediateText(value: number, bits: Bits): string {
  return `0x${(value < 0 ? BigInt.asUintN(bits, BigInt(value)) : BigInt(value)).toString(16)}`;
}

const arithmetic = ['add', 'or', 'and', 'sub', 'xor', 'cmp'] as const;
const unary = ['neg', 'not', 'inc', 'dec', 'idiv', 'div', 'mul'] as const;
const shifts = ['shl', 'shr', 'sar'] as const;

function* sizedForms(bits: 32 | 64): Generator<ListingForm> {
  const suffix = bits === 32 ? '32' : '';
  const text = (register: Gpr): string => gprText(register, bits);
  const somewhere = addresses(1);
  for (const name of arithmetic) {
    const method = `${name}${suffix}` as 'add';
    for (const [dst, src] of pairs) yield form(`${name} ${text(dst)},${text(src)}`, (a) => a[method](dst, src));
    for (const [at, value] of [5, -128, 128, -70000].entries()) {
      const register = gprs[[0, 12, 5, 9][at]!]!;
      // The accumulator has a shorter form that this assembler does not use; objdump prints both alike.
      yield form(`${name} ${text(register)},${immediateText(value, bits)}`, (a) => a[method](register, value));
      const address = somewhere[at + 2]!;
      yield form(`${name} ${sized(address, bits)},${immediateText(value, bits)}`, (a) => a[method](address, value));
    }
    for (const [at, address] of somewhere.slice(0, 6).entries()) {
      const register = gprs[at * 3]!;
      yield form(`${name} ${text(register)},${sized(address, bits)}`, (a) => a[method](register, address));
      yield form(`${name} ${sized(address, bits)},${text(register)}`, (a) => a[method](address, register));
    }
  }
  for (const name of unary) {
    const method = `${name}${suffix}` as 'neg';
    for (const register of [gprs[0]!, gprs[12]!]) yield form(`${name} ${text(register)}`, (a) => a[method](register));
    yield form(`${name} ${sized(somewhere[4]!, bits)}`, (a) => a[method](somewhere[4]!));
  }
  for (const name of shifts) {
    const method = `${name}${suffix}` as 'shl';
    for (const register of [gprs[1]!, gprs[13]!]) {
      yield form(`${name} ${text(register)},0x7`, (a) => a[method](register, 7));
      yield form(`${name} ${text(register)},cl`, (a) => a[method](register, 'cl'));
    }
    yield form(`${name} ${sized(somewhere[3]!, bits)},0x1f`, (a) => a[method](somewhere[3]!, 31));
  }
  const [mov, test, imul, cmov, xchg] = ['mov', 'test', 'imul', 'cmov', 'xchg'].map((name) => `${name}${suffix}`) as [
    'mov',
    'test',
    'imul',
    'cmov',
    'xchg',
  ];
  for (const [dst, src] of pairs) {
    yield form(`mov ${text(dst)},${text(src)}`, (a) => a[mov](dst, src));
    yield form(`test ${text(dst)},${text(src)}`, (a) => a[test](dst, src));
    yield form(`imul ${text(dst)},${text(src)}`, (a) => a[imul](dst, src));
    yield form(`imul ${text(dst)},${text(src)},0x11`, (a) => a[imul](dst, src, 17));
    yield form(`imul ${text(dst)},${text(src)},0x3e8`, (a) => a[imul](dst, src, 1000));
  }
  for (const [at, address] of somewhere.entries()) {
    const register = gprs[(at * 5) % 16]!;
    yield form(`mov ${text(register)},${sized(address, bits)}`, (a) => a[mov](register, address));
    yield form(`mov ${sized(address, bits)},${text(register)}`, (a) => a[mov](address, register));
    yield form(`mov ${sized(address, bits)},0x1234`, (a) => a[mov](address, 0x1234));
  }
  yield form(`test ${text(gprs[9]!)},0xff`, (a) => a[test](gprs[9]!, 255));
  yield form(`test ${sized(somewhere[1]!, bits)},${text(gprs[2]!)}`, (a) => a[test](somewhere[1]!, gprs[2]!));
  yield form(`imul ${text(gprs[10]!)},${sized(somewhere[6]!, bits)}`, (a) => a[imul](gprs[10]!, somewhere[6]!));
  for (const [name, spelling] of spelledConditions()) {
    yield form(`cmov${spelling} ${text(gprs[9]!)},${text(gprs[2]!)}`, (a) => a[cmov](name, gprs[9]!, gprs[2]!));
  }
  yield form(`cmovne ${text(gprs[3]!)},${sized(somewhere[4]!, bits)}`, (a) => a[cmov]('ne', gprs[3]!, somewhere[4]!));
  yield form(`xchg ${sized(somewhere[4]!, bits)},${text(gprs[9]!)}`, (a) => a[xchg](somewhere[4]!, gprs[9]!));
  yield form(`xchg ${text(gprs[3]!)},${text(gprs[9]!)}`, (a) => a[xchg](gprs[3]!, gprs[9]!));
  const [xadd, cmpxchg] = [`lockXadd${suffix}`, `lockCmpxchg${suffix}`] as ['lockXadd', 'lockCmpxchg'];
  for (const address of [somewhere[0]!, somewhere[4]!]) {
    yield form(`lock xadd ${sized(address, bits)},${text(gprs[9]!)}`, (a) => a[xadd](address, gprs[9]!));
    yield form(`lock cmpxchg ${sized(address, bits)},${text(gprs[2]!)}`, (a) => a[cmpxchg](address, gprs[2]!));
  }
}

/** objdump's spelling of each condition code; synonyms of one code are printed alike. */
function spelledConditions(): [keyof typeof conditions, string][] {
  const spelling = ['o', 'no', 'b', 'ae', 'e', 'ne', 'be', 'a', 's', 'ns', 'p', 'np', 'l', 'ge', 'le', 'g'];
  return (Object.keys(conditions) as (keyof typeof conditions)[]).map((name) => [name, spelling[conditions[name]]!]);
}

function* generalForms(): Generator<ListingForm> {
  yield* sizedForms(64);
  yield* sizedForms(32);
  const somewhere = addresses(1);
  const [rax, rcx, , , , , rsi] = gprs as [Gpr, Gpr, Gpr, Gpr, Gpr, Gpr, Gpr];
  const r10 = gprs[10]!;
  const narrow = ['8', '16'] as const;
  for (const bits of narrow) {
    const width = Number(bits) as 8 | 16;
    for (const extend of ['movzx', 'movsx'] as const) {
      const to = extend === 'movzx' ? 32 : 64;
      for (const src of [rax, rsi, r10]) {
        yield form(`${extend} ${gprText(rcx, to)},${gprText(src, width)}`, (a) => a[`${extend}${bits}`](rcx, src));
      }
      yield form(`${extend} ${gprText(r10, to)},${sized(somewhere[4]!, width)}`, (a) => a[`${extend}${bits}`](r10, somewhere[4]!));
    }
    for (const src of [rax, rsi, r10]) {
      yield form(`mov ${sized(somewhere[3]!, width)},${gprText(src, width)}`, (a) => a[`mov${bits}`](somewhere[3]!, src));
    }
    yield form(`mov ${sized(somewhere[1]!, width)},0x12`, (a) => a[`mov${bits}`](somewhere[1]!, 0x12));
  }
  yield form('movsxd rcx,r10d', (a) => a.movsxd(rcx, r10));
  yield form(`movsxd r10,${sized(somewhere[6]!, 32)}`, (a) => a.movsxd(r10, somewhere[6]!));
  for (const address of somewhere) yield form(`lea r10,${memText(address, '', 'xmm')}`, (a) => a.lea(r10, address));
  yield form('lea rcx,[rax*8+0x40]', (a) => a.lea(rcx, mem(null, 0x40, rax, 8)));
  yield form('mov eax,0x7', (a) => a.mov(rax, 7));
  yield form('mov r10d,0xffffffff', (a) => a.mov(r10, 0xffffffff));
  yield form('mov rax,0xffffffffffffffff', (a) => a.mov(rax, -1));
  yield form('movabs r10,0x123456789abcdef0', (a) => a.mov(r10, 0x123456789abcdef0n));
  yield form('movabs rsi,0x7fff00000000', (a) => a.mov(rsi, 0x7fff00000000));
  yield form('mov esi,0x80000000', (a) => a.mov32(rsi, 0x80000000));
  for (const [name, spelling] of spelledConditions()) yield form(`set${spelling} sil`, (a) => a.setcc(name, rsi));
  yield form('sete al', (a) => a.setcc('e', rax));
  yield form('setg r10b', (a) => a.setcc('g', r10));
  yield form(`setb ${sized(somewhere[4]!, 8)}`, (a) => a.setcc('b', somewhere[4]!));
  for (const register of [rax, gprs[5]!, gprs[12]!, gprs[15]!]) {
    yield form(`push ${gprText(register, 64)}`, (a) => a.push(register));
    yield form(`pop ${gprText(register, 64)}`, (a) => a.pop(register));
    yield form(`call ${gprText(register, 64)}`, (a) => a.call(register));
    yield form(`jmp ${gprText(register, 64)}`, (a) => a.jmp(register));
  }
  yield form(`call ${sized(somewhere[4]!, 64)}`, (a) => a.call(somewhere[4]!));
  yield form(`jmp ${sized(somewhere[3]!, 64)}`, (a) => a.jmp(somewhere[3]!));
  for (const hint of ['prefetchnta', 'prefetcht0', 'prefetcht1'] as const) {
    for (const at of [1, 6]) yield form(`${hint} ${sized(somewhere[at]!, 8)}`, (a) => a[hint](somewhere[at]!));
  }
  yield form('popcnt rcx,r10', (a) => a.popcnt(rcx, r10));
  yield form(`tzcnt r10,${sized(somewhere[4]!, 64)}`, (a) => a.tzcnt(r10, somewhere[4]!));
  for (const plain of [
    'cqo',
    'cdq',
    'ret',
    'ud2',
    'int3',
    'pause',
    'mfence',
    'sfence',
    'syscall',
    'cpuid',
    'xgetbv',
    'rdtsc',
    'vzeroupper',
  ] as const) {
    yield form(plain, (a) => a[plain]());
  }
  const ripRelative = (text: string, write: (a: Assembler, address: Mem) => void): ListingForm =>
    form(text, (a) => {
      const label = a.newLabel();
      write(a, mem(label, 16));
      a.bind(label);
    });
  yield ripRelative('mov r10,QWORD PTR [rip+0x10]', (a, address) => a.mov(r10, address));
  yield ripRelative('cmp QWORD PTR [rip+0x10],0x5', (a, address) => a.cmp(address, 5));
  yield ripRelative('cmp DWORD PTR [rip+0x10],0x500', (a, address) => a.cmp32(address, 0x500));
  yield ripRelative('mov WORD PTR [rip+0x10],0x12', (a, address) => a.mov16(address, 0x12));
  yield ripRelative('shl QWORD PTR [rip+0x10],0x3', (a, address) => a.shl(address, 3));
}

/** Every form, in the order of the listing. */
export function listingForms(): ListingForm[] {
  return [...generalForms(), ...vectorForms()];
}

/** `62 f1 74 48 58 c2  vaddps ...` */
export function listingLine({ text, bytes }: ListingForm): string {
  return `${[...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' ')}  ${text}`;
}

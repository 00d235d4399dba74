/**
 * `compileKernel`: a vector kernel to position-independent x86-64 machine code.
 *
 * `void kernel(u64* args, i64 begin, i64 end, u64 scratch)`, System V: rbx, rbp, r12-r15 and rsp are preserved, the upper halves of the
 * vector registers are cleared before returning. Spills and the areas in which lanes are taken apart live in a 64-byte aligned stack
 * frame, made only when needed; the scratch argument is kept there where a kernel has local buffers. The code wants an address aligned to 64 (its pool is read aligned).
 * Selection, allocation and encoding are three passes over one list; a typical kernel takes about 0.2 ms.
 */
import type { VectorKernel } from '../../../kernel/vector-ir.ts';
import { type Allocation, allocate } from './allocate.ts';
import {
  Assembler,
  type Condition,
  gprs,
  type Isa,
  instructionRows,
  type Label,
  type Mem,
  rax,
  rcx,
  rdx,
  rsp,
  type VectorMnemonic,
  type Width,
} from './assembler.ts';
import { frameAreas } from './builder.ts';
import { listInstructions } from './listing.ts';
import {
  gprClass,
  isMachineMemory,
  isVirtual,
  type MachineInstruction,
  type MachineMemory,
  type MachineOperand,
  type VirtualRegister,
} from './machine.ts';
import { selectKernel } from './select.ts';

const calleeSaved = [3, 5, 12, 13, 14, 15];

export interface CompileOptions {
  /**
   * Slots of large outputs that nobody reads soon: whole-register stores into them bypass the caches. The caller promises that each
   * such store lands at a multiple of its size (a flat kernel over a buffer at a multiple of 64, rows of a multiple of 64 bytes).
   */
  readonly streaming?: ReadonlySet<number>;
}

/** Machine code of a kernel for an instruction set; `kernel.lanes` is 8 or 16 for AVX-512, 4 or 8 for AVX2. */
export function compileKernel(kernel: VectorKernel, isa: Isa, options: CompileOptions = {}): Uint8Array {
  const assembler = new Assembler(isa);
  const selected = selectKernel(kernel, assembler, options.streaming);
  const allocation = allocate(selected.code, isa, frameAreas.spills);
  const needsFrame = selected.usesFrame || allocation.frameBytes > frameAreas.spills;
  new Encoder(assembler, allocation, needsFrame, selected.usesScratch).encode(selected.code.instructions);
  return assembler.finish();
}

/** The instructions of a kernel as text. */
export function listKernel(kernel: VectorKernel, isa: Isa, options: CompileOptions = {}): string {
  const { code } = selectKernel(kernel, new Assembler(isa), options.streaming);
  allocate(code, isa, frameAreas.spills);
  return listInstructions(code.instructions);
}

class Encoder {
  readonly #a: Assembler;
  readonly #pushed: readonly number[];
  readonly #frameBytes: number;
  readonly #keepsScratch: boolean;

  constructor(assembler: Assembler, allocation: Allocation, needsFrame: boolean, keepsScratch: boolean) {
    this.#a = assembler;
    this.#keepsScratch = keepsScratch;
    this.#pushed = calleeSaved.filter((code) => allocation.usedGprs.has(code));
    this.#frameBytes = needsFrame ? Math.ceil(allocation.frameBytes / 64) * 64 : 0;
  }

  encode(instructions: readonly MachineInstruction[]): void {
    const a = this.#a;
    for (const code of this.#pushed) a.push(gprs[code]!);
    if (this.#frameBytes > 0) {
      a.mov(rax, rsp);
      a.sub(rsp, this.#frameBytes);
      a.and(rsp, -64);
      a.mov({ kind: 'mem', base: rsp, index: null, scale: 1, disp: frameAreas.savedStack }, rax);
    }
    for (const i of instructions) this.#instruction(i);
    if (this.#frameBytes > 0) a.mov(rsp, { kind: 'mem', base: rsp, index: null, scale: 1, disp: frameAreas.savedStack });
    for (const code of [...this.#pushed].reverse()) a.pop(gprs[code]!);
    a.vzeroupper();
    a.ret();
  }

  #memory(m: MachineMemory): Mem {
    const base = isVirtual(m.base) ? gprs[m.base.assigned]! : m.base;
    const index =
      m.index === null ? null : !isVirtual(m.index) ? m.index : m.index.cls === gprClass ? gprs[m.index.assigned]! : m.index.assigned;
    return { kind: 'mem', base, index, scale: m.scale, disp: m.disp };
  }
  #resolve(o: MachineOperand): MachineOperand | Mem {
    if (isVirtual(o)) return o.cls === gprClass ? gprs[o.assigned]! : o.assigned;
    if (isMachineMemory(o)) return this.#memory(o);
    return o;
  }

  #instruction(i: MachineInstruction): void {
    const a = this.#a;
    const { name, operands } = i;
    switch (name) {
      case '.entry':
        if (this.#keepsScratch) a.mov({ kind: 'mem', base: rsp, index: null, scale: 1, disp: frameAreas.scratch }, rcx);
        // The third argument arrives in rdx, which is scratch here.
        a.mov(rcx, rdx);
        return;
      case '.label':
        a.bind(operands[0] as Label);
        return;
      case '.loop':
        a.align(operands[1] as number);
        a.bind(operands[0] as Label);
        return;
      case '.end':
        return;
      case '.mov':
        this.#move(operands[0] as VirtualRegister, operands[1] as VirtualRegister);
        return;
      case '.fmaps':
      case '.fmapd':
        this.#fma(i, name === '.fmaps' ? 'ps' : 'pd');
        return;
      case 'jcc':
        a.jcc(operands[0] as Condition, operands[1] as Label);
        return;
      default:
        break;
    }
    const resolved = operands.map((o) => this.#resolve(o));
    if (instructionRows.has(name)) this.#vector(name as VectorMnemonic, i.width, resolved, i);
    else (a as unknown as Record<string, (...args: readonly unknown[]) => void>)[name]!(...resolved);
  }

  #vector(name: VectorMnemonic, width: Width | null, resolved: readonly unknown[], i: MachineInstruction): void {
    const args = width === null ? [...resolved] : [width, ...resolved];
    if (i.mask !== null || i.broadcast) args.push({ mask: i.mask?.assigned ?? 0, zero: i.zero, broadcast: i.broadcast });
    this.#a.emit(name, args as Parameters<Assembler['emit']>[1]);
  }

  #move(dst: VirtualRegister, src: VirtualRegister): void {
    if (dst.assigned === src.assigned) return;
    const a = this.#a;
    if (dst.cls === gprClass) a.mov(gprs[dst.assigned]!, gprs[src.assigned]!);
    else if (dst.cls === 1) a.vmovaps(a.isa === 'avx512' ? 'zmm' : 'ymm', dst.assigned, src.assigned);
    else a.kmovw(dst.assigned, src.assigned);
  }

  /** dst = x * y + z in the form that leaves dst where it is; at most one source is memory. */
  #fma(i: MachineInstruction, suffix: 'ps' | 'pd'): void {
    const w = i.width!;
    const [dst, x, y, z] = i.operands.map((o) => this.#resolve(o)) as [number, number | Mem, number | Mem, number | Mem];
    const put = (form: '132' | '213' | '231', second: number | Mem, third: number | Mem): void =>
      this.#vector(`vfmadd${form}${suffix}`, w, [dst, second, third], i);
    const copy = (from: number): void => this.#a.vmovaps(w, dst, from);
    if (typeof z !== 'number') {
      if (dst === y) put('213', x, z);
      else {
        if (dst !== x) copy(x as number);
        put('213', y, z);
      }
      return;
    }
    // The factor in memory, if any, last.
    const [p, q] = typeof x === 'number' ? [x, y] : [y as number, x];
    if (dst === z) put('231', p, q);
    else if (dst === p) {
      if (typeof q === 'number') put('213', q, z);
      else put('132', z, q);
    } else if (dst === q) put('213', p, z);
    else {
      copy(z);
      put('231', p, q);
    }
  }
}

/** Hexadecimal dump, 16 bytes a line: for the debug flag that shows generated code (`objdump -D -b binary -m i386:x86-64`). */
export function dumpCode(code: Uint8Array): string {
  const lines: string[] = [];
  for (let at = 0; at < code.length; at += 16) {
    const row = [...code.subarray(at, at + 16)].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
    lines.push(`${at.toString(16).padStart(6, '0')}  ${row}`);
  }
  return `${lines.join('\n')}\n`;
}

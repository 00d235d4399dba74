/**
 * Linear-scan register allocation over machine IR.
 *
 * Code is structured, so the live range of a register is one interval: from its definition to its last use, and to the end of every
 * loop that it enters from outside. Intervals are colored in order of their start; when a class runs out, the cheapest interval (uses
 * weighted by loop depth, per length) is spilled whole: it is rewritten to loads before and stores after its single instructions, or
 * folded into their memory operands, and coloring starts again. Constants are never stored: they are read from the pool, with a
 * broadcast where AVX-512 has one. Two or three rounds settle even kernels with a hundred live values.
 * No interval splitting and no holes: an inner loop keeps its registers because outer values are the cheap ones.
 */
import { instructionRows } from './assembler.ts';
import {
  gprClass,
  isMachineMemory,
  isVirtual,
  type MachineCode,
  type MachineInstruction,
  type MachineMemory,
  type MachineOperand,
  maskClass,
  memory,
  type RegisterClass,
  type VirtualRegister,
  vectorClass,
} from './machine.ts';
import { rsp, type Width } from './registers.ts';
import type { Isa } from './vector.ts';

// Registers that the caller saves come first. rax and rdx are scratch, rsp is the frame.
const gprOrder: readonly number[] = [1, 6, 7, 8, 9, 10, 11, 3, 5, 12, 13, 14, 15];
const counting = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);
const vectorOrders: Readonly<Record<Isa, readonly number[]>> = { avx2: counting(0, 16), avx512: counting(0, 32) };
const maskOrder = counting(1, 8);

export interface Allocation {
  /** Bytes below the frame's bounce areas that spills take. */
  readonly frameBytes: number;
  readonly usedGprs: ReadonlySet<number>;
  readonly spills: number;
}

interface OpenLoop {
  readonly start: number;
  readonly entered: VirtualRegister[];
}

/** Calls `visit` for each virtual register of an instruction with its access; memory operands read their registers. */
function visitRegisters(i: MachineInstruction, visit: (r: VirtualRegister, access: string) => void): void {
  const { operands } = i;
  for (let at = 0; at < operands.length; at++) {
    const operand = operands[at]!;
    if (typeof operand !== 'object') continue;
    if (operand.kind === 'virtual') visit(operand, i.access[at]!);
    else if (operand.kind === 'machine-memory') {
      if (isVirtual(operand.base)) visit(operand.base, 'u');
      if (operand.index !== null && isVirtual(operand.index)) visit(operand.index, 'u');
    }
  }
  if (i.mask !== null) visit(i.mask, i.maskAccess);
}

function buildIntervals(code: MachineCode): VirtualRegister[] {
  const found: VirtualRegister[] = [];
  const loops: OpenLoop[] = [];
  const { instructions } = code;
  for (const i of instructions)
    visitRegisters(i, (r) => {
      r.start = -1;
    });
  let weight = 1;
  let position = 0;
  const touch = (r: VirtualRegister, access: string): void => {
    const first = access === 'd' ? position + 1 : position;
    const last = access === 'u' ? position : position + 1;
    if (r.start < 0) {
      r.start = first;
      r.end = last;
      r.weight = 0;
      r.assigned = -1;
      found.push(r);
    }
    r.weight += access === 'b' ? 2 * weight : weight;
    if (last > r.end) r.end = last;
    for (const loop of loops) {
      if (loop.start <= r.start) continue;
      loop.entered.push(r);
      break;
    }
  };
  for (const i of instructions) {
    if (i.name === '.loop') {
      loops.push({ start: position, entered: [] });
      weight *= 8;
    } else if (i.name === '.end') {
      for (const r of loops.pop()!.entered) r.end = Math.max(r.end, position + 1);
      weight /= 8;
    } else visitRegisters(i, touch);
    position += 2;
  }
  // Fixed registers first among equals: at the entry they are where the caller put them.
  return found.sort((a, b) => a.start - b.start || b.fixed - a.fixed);
}

/** Colors every interval, or answers with those to spill. */
function color(intervals: readonly VirtualRegister[], orders: readonly (readonly number[])[]): VirtualRegister[] {
  const spilled: VirtualRegister[] = [];
  const holders: (VirtualRegister | null)[][] = orders.map(() => new Array<VirtualRegister | null>(32).fill(null));
  const cost = (r: VirtualRegister): number => (r.short ? Infinity : ((r.remat === null ? 1 : 0.4) * r.weight) / (r.end - r.start + 1));
  for (const r of intervals) {
    const order = orders[r.cls]!;
    const holder = holders[r.cls]!;
    const isFree = (reg: number): boolean => {
      const h = holder[reg];
      return h === null || h!.end < r.start;
    };
    let chosen = -1;
    if (r.fixed >= 0) chosen = r.fixed;
    else {
      for (const hint of r.hints) {
        if (hint.assigned >= 0 && hint.cls === r.cls && isFree(hint.assigned)) {
          chosen = hint.assigned;
          break;
        }
      }
      if (chosen < 0) {
        for (const reg of order) {
          if (isFree(reg)) {
            chosen = reg;
            break;
          }
        }
      }
    }
    if (chosen < 0) {
      let cheapest: VirtualRegister = r;
      for (const reg of order) if (cost(holder[reg]!) < cost(cheapest)) cheapest = holder[reg]!;
      if (cheapest.short) throw new Error('internal: out of registers for one instruction');
      spilled.push(cheapest);
      if (cheapest === r) continue;
      chosen = cheapest.assigned;
      cheapest.assigned = -1;
    }
    r.assigned = chosen;
    holder[chosen] = r;
  }
  return spilled;
}

/** Whether operand `at` of a method may be memory as wide as the instruction; `elementBytes` also asks for that broadcast. */
const foldable = new Map<string, boolean>();
function canFold(name: string, at: number, count: number, elementBytes: number): boolean {
  const key = `${name}:${at}:${count}:${elementBytes}`;
  let answer = foldable.get(key);
  if (answer === undefined) {
    answer = (instructionRows.get(name) ?? []).some((row) => {
      const operand = row.operands[at];
      if (row.operands.length !== count || operand?.role !== 'm' || operand.type !== 'V' || row.digit !== null) return false;
      if (elementBytes === 0) return row.tuple === 'full' || row.tuple === 'mem';
      return row.tuple === 'full' && row.evexW === (elementBytes === 8 ? 1 : 0);
    });
    foldable.set(key, answer);
  }
  return answer;
}

class Rewriter {
  readonly #code: MachineCode;
  readonly #isa: Isa;
  readonly #slotWidth: Width;
  readonly #output: MachineInstruction[] = [];

  constructor(code: MachineCode, isa: Isa) {
    this.#code = code;
    this.#isa = isa;
    this.#slotWidth = isa === 'avx512' ? 'zmm' : 'ymm';
  }

  rewrite(spilled: ReadonlySet<VirtualRegister>): void {
    for (const i of this.#code.instructions) {
      let touched = false;
      visitRegisters(i, (r) => {
        touched ||= spilled.has(r);
      });
      if (touched) this.#instruction(i, spilled);
      else this.#output.push(i);
    }
    this.#code.instructions = this.#output;
  }

  #put(name: string, width: Width | null, access: string, operands: readonly MachineOperand[]): void {
    this.#output.push({ name, width, access, operands, mask: null, maskAccess: 'u', zero: false, broadcast: false });
  }

  #load(dst: VirtualRegister, from: VirtualRegister): void {
    const { remat } = from;
    if (remat?.kind === 'immediate') this.#put('mov', null, 'du', [dst, remat.value]);
    else if (remat?.kind === 'pool') {
      const place = memory(remat.label);
      if (remat.elementBytes === 0) this.#put('vmovups', remat.width, 'du', [dst, place]);
      else this.#put(remat.elementBytes === 4 ? 'vbroadcastss' : 'vbroadcastsd', remat.width, 'du', [dst, place]);
    } else if (from.cls === gprClass) this.#put('mov', null, 'du', [dst, memory(rsp, from.slot)]);
    else if (from.cls === maskClass) this.#put('kmovw', null, 'du', [dst, memory(rsp, from.slot)]);
    else this.#put('vmovups', this.#slotWidth, 'du', [dst, memory(rsp, from.slot)]);
  }

  #store(from: VirtualRegister, to: VirtualRegister): void {
    const place = memory(rsp, to.slot);
    if (to.cls === gprClass) this.#put('mov', null, 'uu', [place, from]);
    else if (to.cls === maskClass) this.#put('kmovw', null, 'uu', [place, from]);
    else this.#put('vmovups', this.#slotWidth, 'uu', [place, from]);
  }

  #instruction(i: MachineInstruction, spilled: ReadonlySet<VirtualRegister>): void {
    const first = i.operands[0];
    // The definition of a constant: its uses make it again.
    if (i.access[0] === 'd' && isVirtual(first!) && spilled.has(first) && first.remat !== null) return;
    const fold = this.#fold(i, spilled);
    const replaced = new Map<VirtualRegister, VirtualRegister>();
    const stored: VirtualRegister[] = [];
    let operands = fold?.operands ?? i.operands;
    visitRegisters({ ...i, operands }, (r, access) => {
      if (!spilled.has(r)) return;
      let short = replaced.get(r);
      if (short === undefined) {
        short = this.#code.register(r.cls, null, i.name === '.entry' ? r.fixed : -1, true);
        replaced.set(r, short);
      }
      // A definition under a merge mask or an earlier use of the same register needs the old value: 'b' says so.
      if (access !== 'd' && short.slot !== -2) {
        this.#load(short, r);
        short.slot = -2;
      }
      if (access !== 'u' && !stored.includes(r)) stored.push(r);
    });
    const swap = (r: VirtualRegister): VirtualRegister => replaced.get(r) ?? r;
    operands = operands.map((operand) => {
      if (isVirtual(operand)) return swap(operand);
      if (!isMachineMemory(operand)) return operand;
      return {
        ...operand,
        base: isVirtual(operand.base) ? swap(operand.base) : operand.base,
        index: operand.index !== null && isVirtual(operand.index) ? swap(operand.index) : operand.index,
      };
    });
    const mask = i.mask && swap(i.mask);
    if (i.name === '.mov' && isVirtual(operands[0]!) && isVirtual(operands[1]!)) operands[0].hints.push(operands[1]);
    this.#output.push({ ...i, operands, mask, broadcast: i.broadcast || (fold?.broadcast ?? false) });
    for (const r of stored) this.#store(replaced.get(r)!, r);
  }

  /** Turns one spilled vector source into a memory operand. */
  #fold(i: MachineInstruction, spilled: ReadonlySet<VirtualRegister>): { operands: MachineOperand[]; broadcast: boolean } | null {
    if (i.operands.some(isMachineMemory)) return null;
    const count = i.operands.length;
    for (let at = count - 1; at > 0; at--) {
      const r = i.operands[at]!;
      if (!isVirtual(r) || r.cls !== vectorClass || !spilled.has(r) || i.access[at] !== 'u') continue;
      // .fma takes memory for its multiplier `b` or its addend `c`.
      const name = i.name === '.fmaps' ? 'vfmadd213ps' : i.name === '.fmapd' ? 'vfmadd213pd' : i.name;
      const isFma = name !== i.name;
      if (i.operands.some((other, k) => k !== at && other === r)) continue;
      const elementBytes = r.remat?.kind === 'pool' ? r.remat.elementBytes : 0;
      // Only full-width memory: a narrower instruction may read less of a wide slot, never the reverse.
      if (!canFold(name, isFma ? 2 : at, isFma ? 3 : count, elementBytes)) continue;
      if (elementBytes !== 0 && this.#isa === 'avx2') continue;
      const place: MachineMemory = r.remat?.kind === 'pool' ? memory(r.remat.label) : memory(rsp, r.slot);
      return { operands: i.operands.map((o, k) => (k === at ? place : o)), broadcast: elementBytes !== 0 };
    }
    return null;
  }
}

/** Assigns a physical register to every virtual one; `frameStart` is the first free byte of the frame, 64-byte aligned. */
export function allocate(code: MachineCode, isa: Isa, frameStart: number): Allocation {
  const orders: readonly (readonly number[])[] = [gprOrder, vectorOrders[isa], maskOrder];
  let frame = frameStart;
  let spills = 0;
  const slotBytes: Readonly<Record<RegisterClass, number>> = { [gprClass]: 8, [vectorClass]: isa === 'avx512' ? 64 : 32, [maskClass]: 8 };
  for (let round = 0; round < 30; round++) {
    const intervals = buildIntervals(code);
    const spilled = color(intervals, orders);
    if (spilled.length === 0) {
      const usedGprs = new Set<number>();
      for (const r of intervals) if (r.cls === gprClass) usedGprs.add(r.assigned);
      return { frameBytes: frame, usedGprs, spills };
    }
    spills += spilled.length;
    for (const cls of [vectorClass, gprClass, maskClass] as const)
      for (const r of spilled) {
        if (r.cls !== cls || r.remat !== null) continue;
        const bytes = slotBytes[cls];
        frame = Math.ceil(frame / bytes) * bytes;
        r.slot = frame;
        frame += bytes;
      }
    new Rewriter(code, isa).rewrite(new Set(spilled));
  }
  throw new Error('internal: register allocation does not settle');
}

/**
 * Instruction selection: vector IR to machine IR, statement by statement.
 *
 * Control flow and index arithmetic are here; lanes are in `select-vector.ts`, memory in `select-memory.ts`. One rewrite looks ahead:
 * where a value is computed only to be assigned to an accumulator that nobody reads in between, it is computed in the accumulator.
 * Addresses stay whole (base + index * scale + displacement is one operand). Innermost loops are aligned to 32 bytes and close with
 * one compare and branch. Nothing is reordered.
 */

import { argumentCount, localOffset } from '../../../kernel/ir.ts';
import {
  type Address,
  type Comparison,
  definedRegister,
  type IndexOperand,
  nestedBodies,
  type Register,
  type StatementOf,
  usedRegisters,
  type VectorKernel,
  type VectorStatement,
  type VectorType,
} from '../../../kernel/vector-ir.ts';
import { type Assembler, type Condition, rax, rdx } from './assembler.ts';
import { Builder } from './builder.ts';
import { gprClass, type MachineMemory, memory, offset, type VirtualRegister } from './machine.ts';
import { selectCast, selectRound } from './select-convert.ts';
import { selectBroadcast, selectGather, selectLoad, selectScatter, selectStore } from './select-memory.ts';
import { selectVectorOp } from './select-vector.ts';

const conditionOf = { lt: 'l', le: 'le', eq: 'e', ne: 'ne' } as const satisfies Record<Comparison, Condition>;
const inverseOf = { lt: 'ge', le: 'g', eq: 'ne', ne: 'e' } as const satisfies Record<Comparison, Condition>;
const fitsImmediate = (x: number): boolean => x === (x | 0);

/**
 * How far ahead a streaming kernel prefetches what it loads. Measured, not derived: gelu over 16M floats with streaming stores took 29 ms
 * without and 9 ms with it on one virtual Xeon (512 bytes: 11.6 ms, 4096: 9.7 ms). A prefetch beyond a buffer's end never faults.
 */
const prefetchBytes = 2048;

const nothing: ReadonlySet<number> = new Set();

/** `streaming`: slots of buffers whose whole-register stores bypass the caches; whole loads are then prefetched. */
export function selectKernel(kernel: VectorKernel, assembler: Assembler, streaming: ReadonlySet<number> = nothing): Builder {
  const b = new Builder(assembler, kernel.lanes);
  new Selector(b, kernel, streaming).run();
  return b;
}

class Selector {
  readonly #b: Builder;
  readonly #kernel: VectorKernel;
  readonly #registers: (VirtualRegister | undefined)[];
  /** How often each register is read, and which are ever assigned. */
  readonly #uses: Int32Array;
  readonly #assigned: Uint8Array;
  readonly #args: VirtualRegister;
  readonly #streaming: ReadonlySet<number>;
  /** Registers that hold an address within a streaming buffer. */
  readonly #streamed = new Set<Register>();

  constructor(b: Builder, kernel: VectorKernel, streaming: ReadonlySet<number>) {
    this.#b = b;
    this.#streaming = streaming;
    this.#kernel = kernel;
    this.#registers = new Array<VirtualRegister | undefined>(kernel.registerCount).fill(undefined);
    this.#uses = new Int32Array(kernel.registerCount);
    this.#assigned = new Uint8Array(kernel.registerCount);
    this.#args = b.code.register(gprClass, null, 7);
  }

  run(): void {
    const b = this.#b;
    const begin = b.code.register(gprClass, null, 6);
    const end = b.code.register(gprClass, null, 1);
    this.#registers[this.#kernel.begin.id] = begin;
    this.#registers[this.#kernel.end.id] = end;
    this.#count(this.#kernel.body);
    b.code.add('.entry', null, 'ddd', [this.#args, begin, end]);
    this.#block(this.#kernel.body);
    // Streaming stores are weakly ordered: the thread that is told that this kernel is done must see them.
    if (this.#streaming.size > 0) b.int('sfence', '');
    b.hoistConstants();
  }

  #count(body: readonly VectorStatement[]): void {
    for (const s of body) {
      for (const r of usedRegisters(s)) this.#uses[r.id]!++;
      if (s.kind === 'assign') this.#assigned[s.dst.id] = 1;
      for (const nested of nestedBodies(s)) this.#count(nested);
    }
  }

  #register(r: Register): VirtualRegister {
    let found = this.#registers[r.id];
    if (found === undefined) {
      found = this.#b.register(r.type);
      this.#registers[r.id] = found;
    }
    return found;
  }

  /** An index operand as an immediate where it fits, else in a register. */
  #operand(o: IndexOperand): VirtualRegister | number {
    if (typeof o !== 'number') return this.#register(o);
    return fitsImmediate(o) ? o : this.#constant(o);
  }
  #inRegister(o: IndexOperand): VirtualRegister {
    return typeof o === 'number' ? this.#constant(o) : this.#register(o);
  }
  #constant(value: number): VirtualRegister {
    const r = this.#b.code.register(gprClass, { kind: 'immediate', value });
    this.#b.int('mov', 'du', r, value);
    return r;
  }
  #address(a: Address): MachineMemory {
    return memory(this.#register(a.base), a.displacement, a.index && this.#register(a.index), a.scale);
  }

  // -- blocks ----------------------------------------------------------------------------------------------------------------------

  #block(body: readonly VectorStatement[]): void {
    this.#shareAccumulators(body);
    for (const s of body) this.#statement(s);
  }

  /** Finds `x = op(...)` ... `assign acc, x` with nothing between that touches acc, and no other use of x: then x is acc. */
  #shareAccumulators(body: readonly VectorStatement[]): void {
    body.forEach((s, at) => {
      if (s.kind !== 'assign' || this.#uses[s.src.id] !== 1 || this.#assigned[s.src.id] || s.src.type !== s.dst.type) return;
      for (let k = at - 1; k >= 0; k--) {
        const before = body[k]!;
        if (definedRegister(before) === s.src) {
          if (before.kind !== 'loop' && this.#registers[s.src.id] === undefined) this.#registers[s.src.id] = this.#register(s.dst);
          return;
        }
        // The scan is short in practice: reductions assign right behind their operation.
        if (before.kind === 'loop' || before.kind === 'if' || at - k > 64) return;
        if (definedRegister(before) === s.dst || usedRegisters(before).includes(s.dst)) return;
      }
    });
  }

  #statement(s: VectorStatement): void {
    const b = this.#b;
    switch (s.kind) {
      case 'buffer':
        if (this.#kernel.buffers[s.slot]!.access === 'local') {
          b.int('mov', 'du', this.#register(s.dst), b.scratch());
          const offset = localOffset(this.#kernel.buffers, s.slot);
          if (offset > 0) b.int('add', 'bu', this.#register(s.dst), offset);
          return;
        }
        if (this.#streaming.has(s.slot)) this.#streamed.add(s.dst);
        b.int('mov', 'du', this.#register(s.dst), memory(this.#args, 8 * s.slot));
        return;
      case 'param':
        this.#param(s);
        return;
      case 'index-const':
        if (this.#assigned[s.dst.id] || this.#registers[s.dst.id] !== undefined) b.int('mov', 'du', this.#register(s.dst), s.value);
        else this.#registers[s.dst.id] = this.#constant(s.value);
        return;
      case 'index':
        if (s.op === 'add' && s.args.some((a) => typeof a !== 'number' && this.#streamed.has(a))) this.#streamed.add(s.dst);
        this.#index(s);
        return;
      case 'address':
        if (this.#streamed.has(s.address.base)) this.#streamed.add(s.dst);
        b.int('lea', 'du', this.#register(s.dst), this.#address(s.address));
        return;
      case 'load-index': {
        const place = this.#address(s.address);
        const name = { 1: 'movsx8', 2: 'movsx16', 4: 'movsxd', 8: 'mov' } as const;
        const size = s.dtype === 'int64' ? 8 : s.dtype === 'int32' ? 4 : s.dtype === 'int16' ? 2 : 1;
        b.int(s.dtype === 'uint8' || s.dtype === 'bool' ? 'movzx8' : name[size], 'du', this.#register(s.dst), place);
        return;
      }
      case 'splat-const':
        this.#splatConst(s);
        return;
      case 'splat': {
        const src = this.#register(s.src);
        const dst = this.#register(s.dst);
        if (s.dst.type === 'mask') b.splatMask(dst, src);
        else this.#splatGeneral(s.dst.type as 'i32' | 'i64', dst, src);
        return;
      }
      case 'iota': {
        const type = s.dst.type as 'i32' | 'i64';
        const lanes = b.vec();
        this.#splatGeneral(type, lanes, this.#inRegister(s.src));
        b.op(type === 'i32' ? 'vpaddd' : 'vpaddq', b.width(type), this.#register(s.dst), lanes, b.iota(type));
        return;
      }
      case 'lane-mask':
        b.laneMask(this.#register(s.dst), typeof s.count === 'number' ? s.count : this.#register(s.count));
        return;
      case 'vector': {
        const args = s.args.map((a) => this.#register(a));
        selectVectorOp(b, s.op, s.args[s.args.length - 1]!.type as VectorType, this.#register(s.dst), args);
        return;
      }
      case 'cast':
        selectCast(b, this.#register(s.dst), s.dst.type as VectorType, this.#register(s.src), s.src.type as VectorType);
        return;
      case 'bitcast':
      case 'assign':
        b.code.move(this.#register(s.dst), this.#register(s.src));
        return;
      case 'round':
        selectRound(b, this.#register(s.dst), this.#register(s.src), s.dtype, s.dst.type as VectorType);
        return;
      case 'load':
        if (this.#streaming.size > 0 && s.count === null && s.mask === null) {
          const place = this.#address(s.address);
          b.int('prefetcht0', 'u', offset(place, prefetchBytes));
        }
        selectLoad(b, this.#register(s.dst), s.dst.type as VectorType, s.dtype, this.#address(s.address), this.#active(s));
        return;
      case 'broadcast':
        selectBroadcast(b, this.#register(s.dst), s.dst.type as VectorType, s.dtype, this.#address(s.address));
        return;
      case 'store':
        selectStore(b, this.#register(s.src), s.dtype, this.#address(s.address), this.#active(s), this.#streamed.has(s.address.base));
        return;
      case 'gather':
        selectGather(b, s, this.#register(s.dst), this.#register(s.base), this.#register(s.indices), s.mask && this.#register(s.mask));
        return;
      case 'scatter':
        selectScatter(b, s, this.#register(s.src), this.#register(s.base), this.#register(s.indices), s.mask && this.#register(s.mask));
        return;
      case 'swap':
        this.#swap(s);
        return;
      case 'splat-lane': {
        const wide = s.src.type === 'f64' || s.src.type === 'i64';
        b.op(wide ? 'vbroadcastsd' : 'vbroadcastss', b.width(s.src.type as VectorType), this.#register(s.dst), this.#register(s.src));
        return;
      }
      case 'extract':
        this.#extract(s);
        return;
      case 'mask-test': {
        const bits = b.maskBits(this.#register(s.src));
        b.int('cmp32', 'uu', bits, s.test === 'any' ? 0 : 2 ** b.lanes - 1);
        this.#flag(s.test === 'any' ? 'ne' : 'e', this.#register(s.dst));
        return;
      }
      case 'loop':
        this.#loop(s);
        return;
      case 'if':
        this.#if(s);
        return;
      default:
        s satisfies never;
    }
  }

  #active(s: { readonly count: IndexOperand | null; readonly mask: Register | null }): {
    count: VirtualRegister | number | null;
    mask: VirtualRegister | null;
  } {
    const count = s.count === null || typeof s.count === 'number' ? s.count : this.#register(s.count);
    return { count, mask: s.mask && this.#register(s.mask) };
  }

  // -- sources ---------------------------------------------------------------------------------------------------------------------

  #param(s: StatementOf<'param'>): void {
    const b = this.#b;
    const dst = this.#register(s.dst);
    const place = memory(this.#args, 8 * (argumentCount(this.#kernel.buffers) + s.slot));
    switch (s.dst.type) {
      case 'index':
        b.int('mov', 'du', dst, place);
        return;
      case 'f32':
      case 'i32':
        b.op('vbroadcastss', b.w32, dst, place);
        return;
      case 'f64':
      case 'i64':
        b.op('vbroadcastsd', b.w64, dst, place);
        return;
      case 'mask': {
        const t = b.gpr();
        b.int('mov', 'du', t, place);
        b.splatMask(dst, t);
        return;
      }
      default:
        s.dst.type satisfies never;
    }
  }

  #splatConst(s: StatementOf<'splat-const'>): void {
    const b = this.#b;
    const { value } = s;
    if (s.dst.type === 'mask') {
      b.laneMask(this.#register(s.dst), value ? b.lanes : 0);
      return;
    }
    const constant =
      s.dst.type === 'f32'
        ? b.float32(value as number)
        : s.dst.type === 'f64'
          ? b.float64(value as number)
          : s.dst.type === 'i32'
            ? b.bits32(value as number)
            : b.bits64(BigInt(value as bigint));
    // An accumulator needs a register of its own; every other use shares the one that is loaded at the entry.
    if (this.#assigned[s.dst.id] || this.#registers[s.dst.id] !== undefined) b.code.move(this.#register(s.dst), constant);
    else this.#registers[s.dst.id] = constant;
  }

  #splatGeneral(type: 'i32' | 'i64', dst: VirtualRegister, src: VirtualRegister): void {
    const b = this.#b;
    const name = type === 'i32' ? 'vpbroadcastd' : 'vpbroadcastq';
    if (b.avx512) b.op(name, b.width(type), dst, src);
    else b.op(name, b.width(type), dst, b.make(type === 'i32' ? 'vmovd' : 'vmovq', null, src));
  }

  // -- lanes -----------------------------------------------------------------------------------------------------------------------

  #swap(s: StatementOf<'swap'>): void {
    const b = this.#b;
    const type = s.src.type as VectorType;
    const dst = this.#register(s.dst);
    const src = this.#register(s.src);
    const w = b.width(type);
    const bytes = s.distance * (type === 'f64' || type === 'i64' ? 8 : 4);
    if (bytes === 4) b.op('vpshufd', w, dst, src, 0xb1);
    else if (bytes === 8) b.op('vpshufd', w, dst, src, 0x4e);
    else if (w === 'ymm' && bytes === 16) {
      if (b.avx512) b.op('vshufi32x4', w, dst, src, src, 1);
      else b.op('vperm2i128', w, dst, src, src, 1);
    } else if (w === 'zmm' && (bytes === 16 || bytes === 32)) b.op('vshufi32x4', w, dst, src, src, bytes === 16 ? 0xb1 : 0x4e);
    else throw new Error(`internal: swap by ${s.distance} lanes of ${type} in ${w}`);
  }

  #extract(s: StatementOf<'extract'>): void {
    const b = this.#b;
    const dst = this.#register(s.dst);
    const src = this.#register(s.src);
    if (s.src.type === 'i64') b.op('vmovq', null, dst, src);
    else {
      const t = s.src.type === 'mask' ? b.maskBits(src) : b.gpr();
      if (s.src.type !== 'mask') {
        b.op('vmovd', null, t, src);
        b.int('movsxd', 'du', dst, t);
      } else {
        b.int('and32', 'bu', t, 1);
        b.code.move(dst, t);
      }
    }
  }

  // -- index arithmetic ------------------------------------------------------------------------------------------------------------

  /** dst = condition ? 1 : 0 */
  #flag(condition: Condition, dst: VirtualRegister): void {
    const t = this.#b.gpr();
    this.#b.int('setcc', 'ud', condition, t);
    this.#b.int('movzx8', 'du', dst, t);
  }

  #index(s: StatementOf<'index'>): void {
    const b = this.#b;
    const dst = this.#register(s.dst);
    const [left, right, third] = s.args as [IndexOperand, IndexOperand, IndexOperand];
    // Two-operand instructions work in a register of their own, since dst may be one of the sources.
    const start = (o: IndexOperand): VirtualRegister => {
      const t = b.gpr();
      if (typeof o === 'number') b.int('mov', 'du', t, o);
      else b.code.move(t, this.#register(o));
      return t;
    };
    switch (s.op) {
      case 'add':
      case 'sub': {
        if (typeof left !== 'number' && typeof right === 'number' && fitsImmediate(right) && right !== -0x80000000) {
          b.int('lea', 'du', dst, memory(this.#register(left), s.op === 'add' ? right : -right));
        } else if (typeof left !== 'number' && typeof right !== 'number' && s.op === 'add') {
          b.int('lea', 'du', dst, memory(this.#register(left), 0, this.#register(right)));
        } else {
          const t = start(left);
          b.int(s.op, 'bu', t, this.#operand(right));
          b.code.move(dst, t);
        }
        return;
      }
      case 'mul': {
        const [x, y] = typeof left === 'number' ? [right, left] : [left, right];
        const power = typeof y === 'number' && y > 0 ? Math.log2(y) : Number.NaN;
        if (typeof x !== 'number' && Number.isInteger(power)) {
          const t = start(x);
          if (power > 0) b.int('shl', 'bu', t, power);
          b.code.move(dst, t);
        } else if (typeof x !== 'number' && typeof y === 'number' && fitsImmediate(y)) b.int('imul', 'duu', dst, this.#register(x), y);
        else {
          const t = start(x);
          b.int('imul', 'bu', t, this.#inRegister(y));
          b.code.move(dst, t);
        }
        return;
      }
      case 'and':
      case 'or':
      case 'xor': {
        const t = start(left);
        b.int(s.op, 'bu', t, this.#operand(right));
        b.code.move(dst, t);
        return;
      }
      case 'min':
      case 'max': {
        const t = start(left);
        const other = this.#inRegister(right);
        b.int('cmp', 'uu', t, other);
        b.int('cmov', 'ubu', s.op === 'min' ? 'g' : 'l', t, other);
        b.code.move(dst, t);
        return;
      }
      case 'lt':
      case 'le':
      case 'eq':
      case 'ne':
        b.int('cmp', 'uu', this.#inRegister(left), this.#operand(right));
        this.#flag(conditionOf[s.op], dst);
        return;
      case 'select': {
        const t = start(third);
        const yes = this.#inRegister(right);
        b.int('cmp', 'uu', this.#inRegister(left), 0);
        b.int('cmov', 'ubu', 'ne', t, yes);
        b.code.move(dst, t);
        return;
      }
      case 'idiv':
      case 'irem':
        this.#divide(s.op, dst, left, right);
        return;
      default:
        s.op satisfies never;
    }
  }

  #divide(op: 'idiv' | 'irem', dst: VirtualRegister, left: IndexOperand, right: IndexOperand): void {
    const b = this.#b;
    const power = typeof right === 'number' && right > 0 ? Math.log2(right) : Number.NaN;
    if (Number.isInteger(power) && power <= 30) {
      // Truncation: a negative dividend is moved up by divisor - 1 before the shift.
      const x = this.#inRegister(left);
      const q = b.gpr();
      b.int('lea', 'du', q, memory(x, 2 ** power - 1));
      b.int('test', 'uu', x, x);
      b.int('cmov', 'ubu', 'ns', q, x);
      if (power > 0) b.int('sar', 'bu', q, power);
      if (op === 'irem') {
        if (power > 0) b.int('shl', 'bu', q, power);
        const rest = b.gpr();
        b.code.move(rest, x);
        b.int('sub', 'bu', rest, q);
        b.code.move(dst, rest);
      } else b.code.move(dst, q);
      return;
    }
    const divisor = this.#inRegister(right);
    const dividend = this.#inRegister(left);
    const skip = b.assembler.newLabel();
    b.int('xor32', 'uu', rax, rax);
    b.int('xor32', 'uu', rdx, rdx);
    if (typeof right !== 'number' || right === 0) {
      b.int('test', 'uu', divisor, divisor);
      b.int('jcc', 'uu', 'e', skip);
    }
    b.int('mov', 'uu', rax, dividend);
    b.int('cqo', '');
    b.int('idiv', 'u', divisor);
    b.int('.label', 'u', skip);
    b.int('mov', 'du', dst, op === 'idiv' ? rax : rdx);
  }

  // -- control flow ----------------------------------------------------------------------------------------------------------------

  #loop(s: StatementOf<'loop'>): void {
    const b = this.#b;
    const head = b.assembler.newLabel();
    const done = b.assembler.newLabel();
    let to: VirtualRegister | number = this.#operand(s.to);
    if (typeof s.to !== 'number' && this.#assigned[s.to.id]) {
      const copy = b.gpr();
      b.code.move(copy, to as VirtualRegister);
      to = copy;
    }
    const counter = this.#register(s.counter);
    if (typeof s.from === 'number') b.int('mov', 'du', counter, s.from);
    else b.code.move(counter, this.#register(s.from));
    if (typeof s.from !== 'number' || typeof s.to !== 'number' || s.from >= s.to) {
      b.int('cmp', 'uu', counter, to);
      b.int('jcc', 'uu', 'ge', done);
    }
    const innermost = !s.body.some((inner) => inner.kind === 'loop');
    b.code.add('.loop', null, 'uu', [head, innermost ? 32 : 1]);
    this.#block(s.body);
    b.int('add', 'bu', counter, s.step);
    b.int('cmp', 'uu', counter, to);
    b.int('jcc', 'uu', 'l', head);
    b.code.add('.end', null, '', []);
    b.int('.label', 'u', done);
  }

  #if(s: StatementOf<'if'>): void {
    const b = this.#b;
    const otherwise = b.assembler.newLabel();
    const done = b.assembler.newLabel();
    b.int('cmp', 'uu', this.#inRegister(s.a), this.#operand(s.b));
    b.int('jcc', 'uu', inverseOf[s.op], otherwise);
    this.#block(s.then);
    if (s.else.length > 0) b.int('jmp', 'u', done);
    b.int('.label', 'u', otherwise);
    if (s.else.length > 0) {
      this.#block(s.else);
      b.int('.label', 'u', done);
    }
  }
}

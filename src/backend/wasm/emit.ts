/**
 * Vector IR to a WebAssembly function `kernel(args: i32, begin: i32, end: i32, scratch: i32)`.
 *
 * Every register becomes a local and every statement a short sequence between locals; the engine's compiler does the allocation. Index
 * arithmetic is 32 bits wide (what it computes fits), addresses wrap like addresses. A partial access takes the whole-vector path when
 * all lanes are on, else one conditional access per lane, so that memory of the other lanes is never touched.
 * Not here: scheduling, composite operations, memory management.
 */

import type { DTypeName } from '../../dtype/dtype.ts';
import { argumentCount, localOffset } from '../../kernel/ir.ts';
import type { Address, ElementName, IndexOperand, Register, StatementOf, VectorKernel, VectorStatement } from '../../kernel/vector-ir.ts';
import { elementSizes } from '../../kernel/vector-ir.ts';
import { EmitContext } from './emit-context.ts';
import { broadcastRaw, decode, encode, isNarrowed, loadRaw, loadRawLane, round, storeRaw, storeRawLane } from './emit-formats.ts';
import { emitCast, emitVectorOp } from './emit-lanes.ts';
import type { FunctionBuilder, ModuleBuilder } from './encoder.ts';
import type { PlainOp, ValueType } from './opcodes.ts';
import type { KernelSource } from './runtime.ts';
import { reservedBytes } from './runtime.ts';

export interface EmitOptions {
  /** Use relaxed_madd for fma: only where `hasFusedMultiplyAdd()`. */
  readonly fused: boolean;
}

export const kernelParameters: readonly ValueType[] = ['i32', 'i32', 'i32', 'i32'];

/** The vector lanes a wasm kernel has: 2 where 64-bit types occur, else 4. */
export function wasmLanes(has64BitTypes: boolean): 2 | 4 {
  return has64BitTypes ? 2 : 4;
}

/** The dtypes whose `round` is an instruction sequence here and needs no decomposition: `nativeRound` of `decomposeKernel`. */
export const wasmNativeRound: ReadonlySet<DTypeName> = new Set<DTypeName>(
  (Object.keys(elementSizes) as ElementName[]).filter((name) => name !== 'bool'),
);

/** A source for `WasmRuntime.compile`. */
export function kernelSource(kernel: VectorKernel, options: EmitOptions): KernelSource {
  return {
    name: kernel.name,
    define(module: ModuleBuilder, exportName: string): void {
      module.function(exportName, kernelParameters, [], (f) => emitKernel(f, kernel, options));
    },
  };
}

/** Fills the body of a function that has `kernelParameters`. */
export function emitKernel(f: FunctionBuilder, kernel: VectorKernel, options: EmitOptions): void {
  if (kernel.lanes !== 2 && kernel.lanes !== 4) throw new Error(`internal: a wasm kernel of ${kernel.lanes} lanes`);
  new Emitter(new EmitContext(f, kernel.lanes, options.fused), kernel).run();
}

const indexOps = {
  add: 'i32.add',
  sub: 'i32.sub',
  mul: 'i32.mul',
  and: 'i32.and',
  or: 'i32.or',
  xor: 'i32.xor',
  lt: 'i32.lt_s',
  le: 'i32.le_s',
  eq: 'i32.eq',
  ne: 'i32.ne',
} as const satisfies Record<string, PlainOp>;

/** Which lanes an access touches. `lane` pushes a condition. */
type Active =
  | { readonly kind: 'static'; readonly bits: number }
  | { readonly kind: 'dynamic'; readonly all: () => void; readonly lane: (l: number) => void };

class Emitter {
  readonly #e: EmitContext;
  readonly #f: FunctionBuilder;
  readonly #kernel: VectorKernel;
  readonly #lanes: 2 | 4;
  readonly #assigned = new Set<number>();
  readonly #known = new Map<number, bigint>();

  constructor(context: EmitContext, kernel: VectorKernel) {
    this.#e = context;
    this.#f = context.f;
    this.#kernel = kernel;
    this.#lanes = context.lanes;
  }

  run(): void {
    this.#e.bind(this.#kernel.begin, 1);
    this.#e.bind(this.#kernel.end, 2);
    this.#findAssigned(this.#kernel.body);
    this.#block(this.#kernel.body);
  }

  #findAssigned(body: readonly VectorStatement[]): void {
    for (const s of body) {
      if (s.kind === 'assign') this.#assigned.add(s.dst.id);
      else if (s.kind === 'loop') this.#findAssigned(s.body);
      else if (s.kind === 'if') {
        this.#findAssigned(s.then);
        this.#findAssigned(s.else);
      }
    }
  }
  #block(body: readonly VectorStatement[]): void {
    for (const s of body) {
      this.#statement(s);
      this.#e.release();
    }
  }

  #operand(o: IndexOperand): void {
    if (typeof o === 'number') this.#f.i32(o);
    else this.#e.get(o);
  }
  /**
   * Pushes base + index * scale and returns the displacement as the instruction's offset. The instruction adds its offset without wrapping, so
   * the sum before it must not be below zero: sure only for small displacements, as no data lies below `reservedBytes`. Others are added here.
   */
  #address(a: Address, span: number): number {
    const e = this.#e;
    e.get(a.base);
    if (a.index !== null) {
      e.get(a.index);
      if (a.scale !== 1) {
        this.#f.i32(Math.log2(a.scale));
        this.#f.op('i32.shl');
      }
      this.#f.op('i32.add');
    }
    if (a.displacement >= 0 && a.displacement + span <= reservedBytes) return a.displacement;
    this.#f.i32(a.displacement);
    this.#f.op('i32.add');
    return 0;
  }
  #word(slot: number): number {
    return (argumentCount(this.#kernel.buffers) + slot) * 8;
  }

  #active(count: IndexOperand | null, mask: Register | null): Active {
    const e = this.#e;
    const f = this.#f;
    const full = (1 << this.#lanes) - 1;
    if (mask !== null) {
      const bits = e.take('i32');
      e.get(mask);
      f.op(e.wide ? 'i64x2.bitmask' : 'i32x4.bitmask');
      f.set(bits);
      return {
        kind: 'dynamic',
        all: () => {
          f.get(bits);
          f.i32(full);
          f.op('i32.eq');
        },
        lane: (l) => {
          f.get(bits);
          f.i32(1 << l);
          f.op('i32.and');
        },
      };
    }
    if (count === null) return { kind: 'static', bits: full };
    if (typeof count === 'number') return { kind: 'static', bits: count >= this.#lanes ? full : (1 << Math.max(0, count)) - 1 };
    return {
      kind: 'dynamic',
      all: () => {
        e.get(count);
        f.i32(this.#lanes);
        f.op('i32.ge_s');
      },
      lane: (l) => {
        e.get(count);
        f.i32(l);
        f.op('i32.gt_s');
      },
    };
  }
  /** Runs `lane(l)` for the active lanes, or `all()` where every lane is on. */
  #forLanes(active: Active, all: (() => void) | null, lane: (l: number) => void): void {
    const f = this.#f;
    const each = (): void => {
      for (let l = 0; l < this.#lanes; l++) {
        if (active.kind === 'static') {
          if (active.bits & (1 << l)) lane(l);
        } else {
          active.lane(l);
          f.if(() => lane(l));
        }
      }
    };
    if (active.kind === 'static') {
      if (all !== null && active.bits === (1 << this.#lanes) - 1) all();
      else each();
    } else if (all === null) {
      each();
    } else {
      active.all();
      f.if(all, each);
    }
  }

  #load(s: StatementOf<'load'>): void {
    const e = this.#e;
    const f = this.#f;
    const size = elementSizes[s.dtype];
    const active = this.#active(s.count, s.mask);
    const offset = this.#address(s.address, size * this.#lanes);
    const address = e.keep('i32');
    const raw = e.take('v128');
    if (active.kind === 'dynamic' || active.bits !== (1 << this.#lanes) - 1) {
      e.i32x4(0);
      f.set(raw);
    }
    this.#forLanes(
      active,
      () => {
        loadRaw(e, s.dtype, s.dst.type, address, offset);
        f.set(raw);
      },
      (l) => loadRawLane(e, s.dtype, s.dst.type, raw, l, () => f.get(address), offset + l * size),
    );
    f.get(raw);
    this.#decoded(s);
  }
  #decoded(s: StatementOf<'load' | 'gather' | 'broadcast'>): void {
    if (!isNarrowed(s.dtype, s.dst.type)) decode(this.#e, s.dtype);
    this.#e.set(s.dst);
  }
  #store(s: StatementOf<'store'>): void {
    const e = this.#e;
    const size = elementSizes[s.dtype];
    const active = this.#active(s.count, s.mask);
    const offset = this.#address(s.address, size * this.#lanes);
    const address = e.keep('i32');
    e.get(s.src);
    encode(e, s.dtype);
    const raw = e.keep('v128');
    this.#forLanes(
      active,
      () => storeRaw(e, s.dtype, raw, address, offset),
      (l) => storeRawLane(e, s.dtype, raw, l, () => this.#f.get(address), offset + l * size),
    );
  }
  /** Prepares base + displacement and returns what pushes the address of lane l, and the offset that goes with it. */
  #indexed(s: StatementOf<'gather' | 'scatter'>): { push: (l: number) => void; offset: number } {
    const e = this.#e;
    const f = this.#f;
    const size = elementSizes[s.dtype];
    const offset = this.#address({ base: s.base, index: null, scale: 1, displacement: s.displacement }, size);
    const base = e.keep('i32');
    const push = (l: number): void => {
      e.get(s.indices);
      if (s.indices.type === 'i64') {
        f.lane('i64x2.extract_lane', l);
        f.op('i32.wrap_i64');
      } else {
        f.lane('i32x4.extract_lane', l);
      }
      if (size > 1) {
        f.i32(Math.log2(size));
        f.op('i32.shl');
      }
      f.get(base);
      f.op('i32.add');
    };
    return { push, offset };
  }
  #gather(s: StatementOf<'gather'>): void {
    const e = this.#e;
    const active = this.#active(null, s.mask);
    const { push, offset } = this.#indexed(s);
    const raw = e.take('v128');
    e.i32x4(0);
    this.#f.set(raw);
    this.#forLanes(active, null, (l) => loadRawLane(e, s.dtype, s.dst.type, raw, l, () => push(l), offset));
    this.#f.get(raw);
    this.#decoded(s);
  }
  #scatter(s: StatementOf<'scatter'>): void {
    const e = this.#e;
    const active = this.#active(null, s.mask);
    const { push, offset } = this.#indexed(s);
    e.get(s.src);
    encode(e, s.dtype);
    const raw = e.keep('v128');
    this.#forLanes(active, null, (l) => storeRawLane(e, s.dtype, raw, l, () => push(l), offset));
  }

  #param(s: StatementOf<'param'>): void {
    const f = this.#f;
    const offset = this.#word(s.slot);
    f.get(0);
    switch (s.dst.type) {
      case 'index':
        f.memory('i32.load', offset);
        break;
      case 'f32':
      case 'i32':
        f.memory('v128.load32_splat', offset);
        break;
      case 'f64':
      case 'i64':
        f.memory('v128.load64_splat', offset);
        break;
      case 'mask':
        f.memory('i64.load', offset);
        f.i64(0n);
        f.op('i64.ne');
        this.#splatBit();
        break;
      default:
        s.dst.type satisfies never;
    }
    this.#e.set(s.dst);
  }
  /** Stack: 0 or 1 to a mask. */
  #splatBit(): void {
    const bit = this.#e.keep('i32');
    this.#f.i32(0);
    this.#f.get(bit);
    this.#e.ops('i32.sub', 'i32x4.splat');
  }
  #splatConst(s: StatementOf<'splat-const'>): void {
    const e = this.#e;
    const { dst, value } = s;
    if ((dst.type === 'i32' || dst.type === 'i64') && !this.#assigned.has(dst.id)) this.#known.set(dst.id, BigInt(value));
    switch (dst.type) {
      case 'f32':
        e.f32x4(value as number);
        break;
      case 'f64':
        e.f64x2(value as number);
        break;
      case 'i32':
        e.i32x4(value as number);
        break;
      case 'i64':
        e.i64x2(BigInt(value));
        break;
      case 'mask':
        e.i32x4(value ? -1 : 0);
        break;
      default:
        throw new Error('internal: splat-const to index');
    }
    e.set(dst);
  }
  #index(s: StatementOf<'index'>): void {
    const e = this.#e;
    const f = this.#f;
    const [a, b, c] = s.args;
    switch (s.op) {
      case 'idiv':
      case 'irem':
        this.#indexDivision(s.op, a, b);
        break;
      case 'min':
      case 'max':
        this.#operand(a);
        this.#operand(b);
        this.#operand(a);
        this.#operand(b);
        e.ops(s.op === 'min' ? 'i32.lt_s' : 'i32.gt_s', 'select');
        break;
      case 'select':
        this.#operand(b);
        this.#operand(c);
        this.#operand(a);
        f.op('select');
        break;
      default:
        this.#operand(a);
        this.#operand(b);
        f.op(indexOps[s.op]);
    }
    e.set(s.dst);
  }
  // A zero divisor is replaced by 1 and the result by 0. MIN / -1 can't occur: indices are far from MIN.
  #indexDivision(op: 'idiv' | 'irem', a: IndexOperand, b: IndexOperand): void {
    const f = this.#f;
    const name = op === 'idiv' ? 'i32.div_s' : 'i32.rem_s';
    this.#operand(a);
    if (typeof b === 'number') {
      this.#operand(b);
      f.op(name);
      return;
    }
    this.#operand(b);
    f.i32(1);
    this.#operand(b);
    this.#e.ops('select', name);
    f.i32(0);
    this.#operand(b);
    f.op('select');
  }
  #iota(s: StatementOf<'iota'>): void {
    const e = this.#e;
    this.#operand(s.src);
    if (s.dst.type === 'i64') {
      e.ops('i64.extend_i32_s', 'i64x2.splat');
      e.steps();
      e.ops('i64x2.extend_low_i32x4_s', 'i64x2.add');
    } else {
      this.#f.op('i32x4.splat');
      e.steps();
      this.#f.op('i32x4.add');
    }
    e.set(s.dst);
  }
  #splat(s: StatementOf<'splat'>): void {
    const e = this.#e;
    e.get(s.src);
    if (s.dst.type === 'i64') e.ops('i64.extend_i32_s', 'i64x2.splat');
    else if (s.dst.type === 'i32') this.#f.op('i32x4.splat');
    else {
      this.#f.i32(0);
      this.#f.op('i32.ne');
      this.#splatBit();
    }
    e.set(s.dst);
  }
  #permute(s: StatementOf<'swap' | 'splat-lane'>): void {
    const size = s.src.type === 'f64' || s.src.type === 'i64' ? 8 : 4;
    const distance = s.kind === 'swap' ? s.distance : null;
    const bytes: number[] = [];
    for (let i = 0; i < 16; i++) {
      const lane = Math.floor(i / size);
      bytes.push((distance === null ? 0 : lane ^ distance) * size + (i % size));
    }
    this.#e.get(s.src);
    this.#e.permute(bytes);
    this.#e.set(s.dst);
  }
  #extract(s: StatementOf<'extract'>): void {
    const f = this.#f;
    this.#e.get(s.src);
    f.lane('i32x4.extract_lane', 0);
    if (s.src.type === 'mask') {
      f.i32(1);
      f.op('i32.and');
    }
    this.#e.set(s.dst);
  }

  #loop(s: StatementOf<'loop'>): void {
    const e = this.#e;
    const f = this.#f;
    let to: IndexOperand | null = s.to;
    let end = -1;
    // Read once: a register that the body might assign is copied. Not a temporary, because the body's statements have their own.
    if (typeof to !== 'number' && this.#assigned.has(to.id)) {
      end = f.local('i32');
      e.get(to);
      f.set(end);
      to = null;
    }
    const below = (): void => {
      e.get(s.counter);
      if (to === null) f.get(end);
      else this.#operand(to);
      f.op('i32.lt_s');
    };
    this.#operand(s.from);
    e.set(s.counter);
    below();
    f.if(() => {
      f.loop((head) => {
        this.#block(s.body);
        e.get(s.counter);
        f.i32(s.step);
        f.op('i32.add');
        e.set(s.counter);
        below();
        f.brIf(head);
      });
    });
  }
  #if(s: StatementOf<'if'>): void {
    this.#operand(s.a);
    this.#operand(s.b);
    this.#f.op(indexOps[s.op]);
    this.#f.if(() => this.#block(s.then), s.else.length === 0 ? null : () => this.#block(s.else));
  }

  #statement(s: VectorStatement): void {
    const e = this.#e;
    const f = this.#f;
    switch (s.kind) {
      case 'buffer':
        if (this.#kernel.buffers[s.slot].access === 'local') {
          f.get(3);
          f.i32(localOffset(this.#kernel.buffers, s.slot));
          f.op('i32.add');
          e.set(s.dst);
          return;
        }
        f.get(0);
        f.memory('i32.load', s.slot * 8);
        e.set(s.dst);
        return;
      case 'param':
        this.#param(s);
        return;
      case 'index-const':
        f.i32(s.value);
        e.set(s.dst);
        return;
      case 'index':
        this.#index(s);
        return;
      case 'address': {
        const offset = this.#address(s.address, 0);
        f.i32(offset);
        f.op('i32.add');
        e.set(s.dst);
        return;
      }
      case 'load-index': {
        const offset = this.#address(s.address, elementSizes[s.dtype]);
        const size = elementSizes[s.dtype];
        const signed = s.dtype === 'int8' || s.dtype === 'int16';
        f.memory(size >= 4 ? 'i32.load' : `i32.load${size === 2 ? 16 : 8}_${signed ? 's' : 'u'}`, offset);
        if (s.dtype === 'bool') {
          f.i32(0);
          f.op('i32.ne');
        }
        e.set(s.dst);
        return;
      }
      case 'splat-const':
        this.#splatConst(s);
        return;
      case 'splat':
        this.#splat(s);
        return;
      case 'iota':
        this.#iota(s);
        return;
      case 'lane-mask':
        this.#operand(s.count);
        f.op('i32x4.splat');
        e.steps();
        f.op('i32x4.gt_s');
        e.widenMask();
        e.set(s.dst);
        return;
      case 'vector':
        emitVectorOp(e, s, (r) => this.#known.get(r.id) ?? null);
        e.set(s.dst);
        return;
      case 'cast':
        emitCast(e, s.dst, s.src);
        e.set(s.dst);
        return;
      case 'bitcast':
      case 'assign':
        e.get(s.src);
        e.set(s.dst);
        return;
      case 'round':
        e.get(s.src);
        round(e, s.dtype);
        e.set(s.dst);
        return;
      case 'load':
        this.#load(s);
        return;
      case 'broadcast': {
        const offset = this.#address(s.address, elementSizes[s.dtype]);
        broadcastRaw(e, s.dtype, s.dst.type, offset);
        this.#decoded(s);
        return;
      }
      case 'gather':
        this.#gather(s);
        return;
      case 'store':
        this.#store(s);
        return;
      case 'scatter':
        this.#scatter(s);
        return;
      case 'swap':
      case 'splat-lane':
        this.#permute(s);
        return;
      case 'extract':
        this.#extract(s);
        return;
      case 'mask-test':
        e.get(s.src);
        f.op(s.test === 'any' ? 'v128.any_true' : e.wide ? 'i64x2.all_true' : 'i32x4.all_true');
        e.set(s.dst);
        return;
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
}

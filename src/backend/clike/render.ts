/**
 * Vector IR of 16 lanes as C text for a machine of threads: lane l of a register is a variable of thread l of a team of sixteen.
 *
 * The lowering, and with it the order of every reduction and each formula, is the CPU's, so the numbers are too. Index registers are 64-bit
 * integers that all threads of a team compute alike; blocks of the IR are blocks of C, whose scopes are the same. A load from a buffer that
 * the kernel only reads may be moved ahead of stores (an output that took over an input's memory is written where and after it is read).
 * Nothing is scheduled here and no register is saved: the device's own compiler does that.
 */
import { argumentCount, localOffset } from '../../kernel/ir.ts';
import type { ScalarOp } from '../../kernel/scalar.ts';
import {
  type Address,
  type ElementName,
  elementSizes,
  type IndexOperand,
  nestedBodies,
  type Register,
  type StatementOf,
  type VectorKernel,
  type VectorStatement,
  type VectorType,
} from '../../kernel/vector-ir.ts';
import type { Dialect } from './dialect.ts';
import { type Fold, hasStore, mostCells, type SharedItem } from './folds.ts';

const prefixes = { f32: 's', f64: 'd', i32: 'w', i64: 'q', mask: 'k', index: 'r' } as const;
const nameOf = (r: Register): string => `${prefixes[r.type]}${r.id}`;
const integer = (value: number | bigint): string => {
  const text = String(value);
  return Math.abs(Number(value)) < 2 ** 31
    ? text
    : value < 0 && BigInt(value) === -(2n ** 63n)
      ? '(-9223372036854775807LL - 1)'
      : `${text}LL`;
};
const operand = (o: IndexOperand): string => (typeof o === 'number' ? integer(o) : nameOf(o));

/** Loops that store nothing are unrolled as often as keeps them small: their loads then wait together. */
const unrolledStatements = 160;
const mostUnrolled = 8;

/** `block`: each item is shared by the teams of a block; `ahead`: the kernel that computes the cells of free folds before that one runs. */
export interface Sharing {
  readonly mode: 'block' | 'ahead';
  readonly item: SharedItem;
  /** In mode `block`: free folds have been computed ahead. */
  readonly ahead: boolean;
}

export function renderKernel(kernel: VectorKernel, dialect: Dialect, name: string = 'kernel', sharing: Sharing | null = null): string {
  return new Renderer(kernel, dialect, sharing).render(name);
}

/** Cells lie in slots, a word for each lane; so many bytes of them are held close while they are merged. */
const cellBytes = 16 * 8;
const windowBytes = 2 * mostCells * cellBytes;
const slotBytesOf = (fold: Fold): number => fold.cells.length * cellBytes;
/** Bytes of slots an item: of the folds that do not fit the window, one after the other. */
export const slotBytes = (item: SharedItem, ahead: boolean): number =>
  [...item.folds.values()].reduce((sum, f) => sum + (isFar(f, ahead) ? f.iterations * slotBytesOf(f) : 0), 0);
const isFar = (fold: Fold, ahead: boolean): boolean => (ahead && fold.free) || fold.iterations * slotBytesOf(fold) > windowBytes;
/** Shared memory that merging takes, besides locals. */
export const windowSize: number = windowBytes;

class Renderer {
  readonly #kernel: VectorKernel;
  readonly #dialect: Dialect;
  readonly #lines: string[] = [];
  readonly #words: number;
  /** The grid is one axis across lanes: no lane reads what another one writes, except through readwrite buffers. */
  readonly #flat: boolean;
  /** Buffer that an address register points into. */
  readonly #slots = new Map<number, number>();
  /** Registers whose lanes are all different, and all equal. */
  readonly #distinct = new Set<number>();
  readonly #uniform = new Set<number>();
  readonly #sharing: Sharing | null;
  /** Inside something that keeps to its lanes: stores need no order. */
  #quiet = false;
  #indent = '    ';

  constructor(kernel: VectorKernel, dialect: Dialect, sharing: Sharing | null) {
    this.#sharing = sharing;
    if (kernel.lanes !== 16) throw new Error('internal: a team has sixteen threads');
    this.#kernel = kernel;
    this.#dialect = dialect;
    this.#words = argumentCount(kernel.buffers);
    const talks = (body: readonly VectorStatement[]): boolean =>
      body.some(
        (s) =>
          ['broadcast', 'swap', 'splat-lane', 'extract', 'mask-test', 'load-index'].includes(s.kind) ||
          (s.kind === 'store' && s.count === 1) ||
          nestedBodies(s).some(talks),
      );
    this.#flat = !talks(kernel.body);
    this.#findSlots(kernel.body);
    this.#quiet = this.#flat && this.#keepsToLanes(kernel.body);
  }

  /** Buffers of address registers. An address that changes (none does today) is not followed. */
  #findSlots(body: readonly VectorStatement[]): void {
    const slotOf = (r: IndexOperand): number | undefined => (typeof r === 'number' ? undefined : this.#slots.get(r.id));
    const known = (slot: number | undefined, r: Register): void => {
      if (slot !== undefined) this.#slots.set(r.id, slot);
    };
    for (const s of body) {
      if (s.kind === 'buffer') this.#slots.set(s.dst.id, s.slot);
      else if (s.kind === 'address') known(slotOf(s.address.base), s.dst);
      else if (s.kind === 'index' && s.op === 'add') known(slotOf(s.args[0]) ?? slotOf(s.args[1]), s.dst);
      else if (s.kind === 'assign') this.#slots.delete(s.dst.id);
      for (const inner of nestedBodies(s)) this.#findSlots(inner);
    }
  }

  /** No lane reads what another one may write inside. */
  #keepsToLanes(body: readonly VectorStatement[]): boolean {
    return body.every((s) => {
      if (s.kind === 'broadcast' || s.kind === 'load-index') return this.#accessOf(s.address.base) === 'read';
      if (s.kind === 'gather') return this.#accessOf(s.base) === 'read';
      return s.kind !== 'scatter' && nestedBodies(s).every((inner) => this.#keepsToLanes(inner));
    });
  }

  render(name: string): string {
    const { begin, end, body, buffers } = this.#kernel;
    const dialect = this.#dialect;
    const sharing = this.#sharing;
    if (sharing === null) this.#block(body);
    else this.#shared(body, sharing);
    const locals = localOffset(buffers);
    if (sharing === null) return `${dialect.head(name, nameOf(begin), nameOf(end), locals)}${this.#lines.join('\n')}\n${dialect.tail}`;
    const slots = slotBytes(sharing.item, sharing.ahead);
    const [head, tail] =
      sharing.mode === 'block' ? [dialect.blockHead, dialect.blockTail] : ([dialect.aheadHead, dialect.aheadTail] as const);
    return `${head(name, nameOf(begin), nameOf(end), locals, slots)}${this.#lines.join('\n')}\n${tail}`;
  }

  // ---- items that teams share

  /** Bytes of far folds so far. */
  #slot = 0;
  #shared(body: readonly VectorStatement[], sharing: Sharing): void {
    const { mode, item, ahead } = sharing;
    const { barrier } = this.#dialect;
    for (const s of body) {
      if (item.containers.has(s) && (s.kind === 'loop' || s.kind === 'if')) {
        // All threads of the block go the same way.
        if (s.kind === 'loop')
          this.#put(`if (${operand(s.from)} < ${operand(s.to)}) { const i64 ${nameOf(s.counter)} = ${operand(s.from)};`);
        else this.#put(`if (${operand(s.a)} ${comparisons[s.op]} ${operand(s.b)}) {`);
        this.#shared(s.kind === 'loop' ? s.body : s.then, sharing);
        this.#put('}');
        continue;
      }
      const fold = item.folds.get(s);
      if (fold !== undefined) {
        const far = isFar(fold, ahead);
        const computed = ahead && fold.free;
        if (mode === 'ahead' ? fold.free : !computed) this.#cells(fold, far ? `P + ${this.#slot}` : 'W');
        if (mode === 'block') this.#merge(fold, far ? `P + ${this.#slot}` : null);
        if (far) this.#slot += fold.iterations * slotBytesOf(fold);
      } else if (mode === 'ahead') {
        if (!item.tainted.has(s)) this.#statement(s);
      } else if (hasStore(s)) {
        // Nobody may still be reading what is overwritten, and everybody sees what was stored.
        this.#put(barrier);
        if (item.distributed.has(s)) this.#distribute(s as StatementOf<'loop'>);
        else this.#nested('if (G == 0)', [s]);
        this.#put(barrier);
      } else this.#statement(s);
    }
  }

  #distribute({ counter, from, to, step, body }: StatementOf<'loop'>): void {
    const name = nameOf(counter);
    const before = this.#quiet;
    this.#quiet = this.#keepsToLanes(body);
    this.#nested(`for (i64 ${name} = ${operand(from)} + (i64)G * ${step}; ${name} < ${operand(to)}; ${name} += (i64)GS * ${step})`, body);
    this.#quiet = before;
  }

  /** Each team computes the cells of its iterations. */
  #cells(fold: Fold, slots: string): void {
    const outer = this.#indent;
    this.#put(`for (i64 it = G; it < ${fold.iterations}; it += GS) {`);
    this.#indent += '  ';
    let after = fold.iterations;
    for (const { loop, trips, from, before } of fold.levels) {
      after /= trips;
      this.#define(loop.counter, `${from} + (it / ${after} % ${trips}) * ${loop.step}`);
      this.#block(before);
    }
    fold.cells.forEach((cell, c) => {
      this.#put(
        `*(${this.#dialect.types[cell.type]}*)(${slots} + (it * ${fold.cells.length} + ${c}) * ${cellBytes} + L * 8) = ${nameOf(cell)};`,
      );
    });
    this.#indent = outer;
    this.#put('}');
    if (this.#sharing!.mode === 'block') this.#put(this.#dialect.barrier);
  }

  /** All teams merge all cells in order; what lies far away is brought near piece by piece. */
  #merge(fold: Fold, far: string | null): void {
    const { barrier, unroll, types } = this.#dialect;
    const size = slotBytesOf(fold);
    const outer = this.#indent;
    const piece = Math.floor(windowBytes / size);
    if (far !== null) {
      this.#put(`for (i64 first = 0; first < ${fold.iterations}; first += ${piece}) {`);
      this.#indent += '  ';
      this.#put(`const int n = ${fold.iterations} - first < ${piece} ? (int)(${fold.iterations} - first) : ${piece};`);
      this.#put(`for (int w = threadIdx.x; w < n * ${size / 8}; w += blockDim.x) ((i64*)W)[w] = ((i64*)(${far} + first * ${size}))[w];`);
      this.#put(barrier);
    }
    this.#put(unroll(mostUnrolled));
    this.#put(`for (int it = 0; it < ${far === null ? fold.iterations : 'n'}; it++) {`);
    const inner = this.#indent;
    this.#indent += '  ';
    fold.cells.forEach((cell, c) => {
      this.#define(cell, `*(${types[cell.type]}*)(W + (it * ${fold.cells.length} + ${c}) * ${cellBytes} + L * 8)`);
    });
    this.#block(fold.merge);
    this.#indent = inner;
    this.#put('}');
    this.#put(barrier);
    if (far !== null) {
      this.#indent = outer;
      this.#put('}');
    }
  }

  // ---- text

  #put(text: string): void {
    this.#lines.push(this.#indent + text);
  }
  #define(r: Register, text: string): void {
    this.#put(`${this.#dialect.types[r.type]} ${nameOf(r)} = ${text};`);
  }
  #nested(head: string, body: readonly VectorStatement[]): void {
    this.#put(`${head} {`);
    const outer = this.#indent;
    this.#indent += '  ';
    this.#block(body);
    this.#indent = outer;
    this.#put('}');
  }
  #block(body: readonly VectorStatement[]): void {
    for (const s of body) this.#statement(s);
  }

  #statement(s: VectorStatement): void {
    const { first, swap, test, types } = this.#dialect;
    this.#follow(s);
    switch (s.kind) {
      case 'buffer':
        this.#define(s.dst, s.slot < this.#words ? `A[${s.slot}]` : `S + ${localOffset(this.#kernel.buffers, s.slot)}`);
        return;
      case 'param':
        this.#define(s.dst, parameter(s.dst.type, `A[${this.#words + s.slot}]`));
        return;
      case 'index-const':
        this.#define(s.dst, integer(s.value));
        return;
      case 'index':
        this.#define(s.dst, indexText(s));
        return;
      case 'address':
        this.#define(s.dst, addressText(s.address));
        return;
      case 'load-index':
        this.#define(s.dst, `(${types.index})${this.#loaded(s.dtype, addressText(s.address), s.address.base)}`);
        return;
      case 'splat-const':
        this.#define(s.dst, constantText(s.dst.type as VectorType, s.value));
        return;
      case 'splat':
        this.#define(s.dst, s.dst.type === 'mask' ? `${nameOf(s.src)} != 0` : `(${types[s.dst.type]})${nameOf(s.src)}`);
        return;
      case 'iota':
        this.#define(s.dst, `(${types[s.dst.type]})(${operand(s.src)} + L)`);
        return;
      case 'lane-mask':
        this.#define(s.dst, `L < ${operand(s.count)}`);
        return;
      case 'vector':
        this.#define(s.dst, scalarText(s.op, s.args[s.args.length - 1].type as VectorType, s.args.map(nameOf)));
        return;
      case 'cast':
        this.#define(s.dst, castText(s.src.type as VectorType, s.dst.type as VectorType, nameOf(s.src)));
        return;
      case 'bitcast':
        this.#define(s.dst, `bits_${s.src.type}(${nameOf(s.src)})`);
        return;
      case 'round':
        this.#define(s.dst, `from_${s.dtype}(to_${s.dtype}(${nameOf(s.src)}))`);
        return;
      case 'load':
        this.#load(s.dst, s.dtype, addressText(s.address, elementSizes[s.dtype]), s.address.base, this.#condition(s.count, s.mask));
        return;
      case 'broadcast':
        this.#load(s.dst, s.dtype, addressText(s.address), s.address.base, null);
        return;
      case 'gather':
        this.#load(s.dst, s.dtype, lanesText(s), s.base, this.#condition(null, s.mask));
        return;
      case 'store':
        this.#store(s.src, s.dtype, addressText(s.address, elementSizes[s.dtype]), s.address.base, this.#condition(s.count, s.mask));
        return;
      case 'scatter': {
        const active = s.mask === null ? 'true' : nameOf(s.mask);
        const condition = this.#distinct.has(s.indices.id)
          ? this.#condition(null, s.mask)
          : this.#dialect.lastOfEqual(active, nameOf(s.indices));
        this.#store(s.src, s.dtype, lanesText(s), s.base, condition);
        return;
      }
      case 'swap':
        this.#define(s.dst, swap(nameOf(s.src), s.distance));
        return;
      case 'splat-lane':
        this.#define(s.dst, first(nameOf(s.src)));
        return;
      case 'extract':
        this.#define(s.dst, `(${types.index})${first(s.src.type === 'mask' ? `(int)${nameOf(s.src)}` : nameOf(s.src))}`);
        return;
      case 'mask-test':
        this.#define(s.dst, `${test(s.test, nameOf(s.src))} ? 1 : 0`);
        return;
      case 'assign':
        this.#put(`${nameOf(s.dst)} = ${nameOf(s.src)};`);
        return;
      case 'loop': {
        const { from, to, step, counter } = s;
        const quietens = !this.#quiet && hasStore(s) && this.#keepsToLanes(s.body);
        if (quietens) this.#put(this.#dialect.order);
        this.#quiet ||= quietens;
        const times = unrollOf(s.body);
        if (times > 1) this.#put(this.#dialect.unroll(times));
        const bound = typeof to === 'number' ? operand(to) : `${nameOf(counter)}_end`;
        const limit = typeof to === 'number' ? '' : `, ${bound} = ${operand(to)}`;
        const name = nameOf(counter);
        this.#nested(`for (${types.index} ${name} = ${operand(from)}${limit}; ${name} < ${bound}; ${name} += ${step})`, s.body);
        if (quietens) {
          this.#quiet = false;
          this.#put(this.#dialect.order);
        }
        return;
      }
      case 'if':
        this.#nested(`if (${operand(s.a)} ${comparisons[s.op]} ${operand(s.b)})`, s.then);
        if (s.else.length > 0) this.#nested('else', s.else);
        return;
      default:
        s satisfies never;
    }
  }

  /** Notes what is known of the register that a statement defines. */
  #follow(s: VectorStatement): void {
    const distinct = (r: Register): boolean => this.#distinct.has(r.id);
    const uniform = (r: Register): boolean => this.#uniform.has(r.id);
    switch (s.kind) {
      case 'splat-const':
      case 'splat':
        this.#uniform.add(s.dst.id);
        return;
      case 'iota':
        this.#distinct.add(s.dst.id);
        return;
      case 'cast':
        if (s.src.type === 'i32' && s.dst.type === 'i64' && distinct(s.src)) this.#distinct.add(s.dst.id);
        return;
      case 'vector': {
        const [a, b] = s.args;
        if (s.op === 'add' && ((distinct(a) && uniform(b)) || (distinct(b) && uniform(a)))) this.#distinct.add(s.dst.id);
        // A product with what may be zero would not do.
        if (s.op === 'mul' && ((distinct(a) && this.#constant(b)) || (distinct(b) && this.#constant(a)))) this.#distinct.add(s.dst.id);
        return;
      }
      case 'assign':
        this.#distinct.delete(s.dst.id);
        this.#uniform.delete(s.dst.id);
        return;
      default:
    }
  }
  readonly #constants = new Set<number>();
  #constant(r: Register): boolean {
    if (this.#constants.size === 0) {
      const visit = (body: readonly VectorStatement[]): void => {
        for (const s of body) {
          if (s.kind === 'splat-const' && s.value) this.#constants.add(s.dst.id);
          for (const inner of nestedBodies(s)) visit(inner);
        }
      };
      visit(this.#kernel.body);
    }
    return this.#constants.has(r.id);
  }

  #condition(count: IndexOperand | null, mask: Register | null): string | null {
    if (mask !== null) return nameOf(mask);
    return count === null ? null : count === 1 ? 'L == 0' : `L < ${operand(count)}`;
  }

  #accessOf(base: Register): 'read' | 'write' | 'readwrite' | 'local' | 'unknown' {
    const slot = this.#slots.get(base.id);
    return slot === undefined ? 'unknown' : this.#kernel.buffers[slot].access;
  }

  /** An element as it lies in memory, made a value of its compute type. */
  #loaded(dtype: ElementName, address: string, base: Register): string {
    const type = this.#dialect.memoryTypes[dtype];
    const cell = this.#accessOf(base) === 'read' ? this.#dialect.constantLoad(type, address) : `*(${type}*)(${address})`;
    return `from_${dtype}(${cell})`;
  }

  #load(dst: Register, dtype: ElementName, address: string, base: Register, condition: string | null): void {
    let value = this.#loaded(dtype, address, base);
    if (dtype === 'int64' && dst.type === 'i32') value = `(int)${value}`;
    const zero = constantText(dst.type as VectorType, dst.type === 'i64' ? 0n : dst.type === 'mask' ? false : 0);
    this.#define(dst, condition === null ? value : `${condition} ? ${value} : ${zero}`);
  }

  #store(src: Register, dtype: ElementName, address: string, base: Register, condition: string | null): void {
    const { order, memoryTypes } = this.#dialect;
    const access = this.#accessOf(base);
    const shared = access !== 'write' && !this.#quiet;
    if (shared || (!this.#flat && !this.#quiet)) this.#put(order);
    const store = `*(${memoryTypes[dtype]}*)(${address}) = to_${dtype}(${nameOf(src)});`;
    this.#put(condition === null ? store : `if (${condition}) ${store}`);
    if (shared) this.#put(order);
  }
}

function unrollOf(body: readonly VectorStatement[]): number {
  if (body.some((s) => s.kind === 'loop' || s.kind === 'if' || s.kind === 'store' || s.kind === 'scatter')) return 1;
  let times = mostUnrolled;
  while (times > 1 && body.length * times > unrolledStatements) times /= 2;
  return times;
}

const comparisons = { lt: '<', le: '<=', eq: '==', ne: '!=' } as const;

/** `laneBytes`: the size of an element where each lane has its own. */
function addressText({ base, index, scale, displacement }: Address, laneBytes = 0): string {
  let text = nameOf(base);
  if (index !== null) text += scale === 1 ? ` + ${nameOf(index)}` : ` + ${nameOf(index)} * ${scale}`;
  if (displacement !== 0) text += ` + ${integer(displacement)}`;
  return laneBytes === 0 ? text : `${text} + L * ${laneBytes}`;
}
function lanesText(s: StatementOf<'gather'> | StatementOf<'scatter'>): string {
  const displacement = s.displacement === 0 ? '' : ` + ${integer(s.displacement)}`;
  return `${nameOf(s.base)}${displacement} + (long long)${nameOf(s.indices)} * ${elementSizes[s.dtype]}`;
}

function parameter(type: Register['type'], word: string): string {
  switch (type) {
    case 'index':
    case 'i64':
      return word;
    case 'i32':
      return `(int)${word}`;
    case 'f32':
      return `bits_i32((int)${word})`;
    case 'f64':
      return `bits_i64(${word})`;
    case 'mask':
      return `${word} != 0`;
    default:
      return type satisfies never;
  }
}

function constantText(type: VectorType, value: number | bigint | boolean): string {
  switch (type) {
    case 'mask':
      return value ? 'true' : 'false';
    case 'i32':
      return Number(value) === -(2 ** 31) ? '(-2147483647 - 1)' : integer(Number(value));
    case 'i64':
      return value === -(2n ** 63n) ? '(-9223372036854775807LL - 1)' : `${value}LL`;
    case 'f32':
    case 'f64': {
      const float = type === 'f32' ? Math.fround(Number(value)) : Number(value);
      const suffix = type === 'f32' ? 'f' : '';
      if (!Number.isFinite(float)) return `${Number.isNaN(float) ? 'nan' : float > 0 ? 'inf' : '-inf'}_${type}()`;
      const text = Object.is(float, -0) ? '-0.0' : String(float);
      return `${/[.e]/.test(text) ? text : `${text}.0`}${suffix}`;
    }
    default:
      return type satisfies never;
  }
}

function indexText({ op, args }: StatementOf<'index'>): string {
  const [a, b, c] = args.map(operand);
  const constant = typeof args[1] === 'number' && args[1] !== 0;
  switch (op) {
    case 'add':
      return `${a} + ${b}`;
    case 'sub':
      return `${a} - ${b}`;
    case 'mul':
      return `(i64)${a} * ${b}`;
    case 'idiv':
      return constant ? `${a} / ${b}` : `idiv_index(${a}, ${b})`;
    case 'irem':
      return constant ? `${a} % ${b}` : `irem_index(${a}, ${b})`;
    case 'min':
      return `${a} < ${b} ? ${a} : ${b}`;
    case 'max':
      return `${a} > ${b} ? ${a} : ${b}`;
    case 'and':
      return `${a} & ${b}`;
    case 'or':
      return `${a} | ${b}`;
    case 'xor':
      return `${a} ^ ${b}`;
    case 'lt':
    case 'le':
    case 'eq':
    case 'ne':
      return `${a} ${comparisons[op]} ${b} ? 1 : 0`;
    case 'select':
      return `${a} != 0 ? ${b} : ${c}`;
    default:
      return op satisfies never;
  }
}

const infix: Partial<Record<ScalarOp, string>> = {
  add: '+',
  sub: '-',
  mul: '*',
  lt: '<',
  le: '<=',
  eq: '==',
  ne: '!=',
  and: '&',
  or: '|',
  xor: '^',
};

/** A scalar operation on operands of `type`. What needs more than an operator is a function of the prelude, named after both. */
function scalarText(op: ScalarOp, type: VectorType, args: readonly string[]): string {
  const [a, b, c] = args;
  if (op === 'select') return `${a} ? ${b} : ${c}`;
  const float = type === 'f32' || type === 'f64';
  const sign = infix[op];
  if (sign !== undefined) {
    const arithmetic = op === 'add' || op === 'sub' || op === 'mul';
    // Signed overflow is not defined in C; unsigned arithmetic wraps.
    if (arithmetic && type === 'i32') return `(int)((unsigned)${a} ${sign} (unsigned)${b})`;
    if (arithmetic && type === 'i64') return `(i64)((u64)${a} ${sign} (u64)${b})`;
    return `${a} ${sign} ${b}`;
  }
  if (op === 'not') return type === 'mask' ? `!${a}` : `~${a}`;
  if (op === 'neg' && float) return `-${a}`;
  if (op === 'div') return `${a} / ${b}`;
  return `${op}_${type}(${args.join(', ')})`;
}

function castText(from: VectorType, to: VectorType, src: string): string {
  if (from === to) return src;
  if (to === 'mask') return `${src} != 0`;
  const fromFloat = from === 'f32' || from === 'f64';
  if (fromFloat && (to === 'i32' || to === 'i64')) return `${from}_to_${to}(${src})`;
  switch (to) {
    case 'f32':
      return `(float)${src}`;
    case 'f64':
      return `(double)${src}`;
    case 'i32':
      return `(int)${src}`;
    case 'i64':
      return `(i64)${src}`;
    default:
      return to satisfies never;
  }
}

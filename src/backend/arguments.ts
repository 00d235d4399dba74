/**
 * The argument words of a program: every number that its kernels read from memory, and where each comes from.
 *
 * All steps' blocks lie one after the other in one piece of device memory, 8-byte words: a kernel's buffer addresses, then its parameters; a
 * product's block as its device lays it out. Where a word comes from is worked out once. A run then compares addresses, scalars and symbols
 * with those of the last run and writes the words of what changed: with fixed weights and a fixed arena that is a handful.
 * Only when a symbol changes are sizes evaluated again (`specialize`). What words mean is for the device to say; nothing runs here.
 */
import { DType } from '../dtype/dtype.ts';
import type { Buffer } from '../graph/node.ts';
import type { ComputeType } from '../kernel/scalar.ts';
import type { HostStep, MatmulStep, ProgramPlan, Step } from '../schedule/plan.ts';
import * as dims from '../shape/dim.ts';
import { Arena, type ArenaLayout } from './arena.ts';
import type { TrackedBuffer } from './tracked-memory.ts';

/** `buffer`: a program buffer, or `workspace`. The word is its address plus `offset` bytes. */
export interface AddressWord {
  readonly word: number;
  readonly buffer: number;
  readonly offset: number;
}
export const workspace = -1;

/** A product for the sizes at hand: words without addresses, then the addresses. */
export interface MatmulBlock {
  readonly words: readonly number[];
  readonly addresses: readonly AddressWord[];
  readonly workspaceBytes: number;
}

/** Library functions for which a device has kernels of its own: how many words one takes (0: it has none) and its block, as a product's. */
export interface LibraryBlocks {
  words(step: HostStep): number;
  plan(step: HostStep, symbols: ArrayLike<number>): MatmulBlock;
}
const noLibrary: LibraryBlocks = {
  words: () => 0,
  plan: () => {
    throw new Error('internal: no kernel for a library function');
  },
};

interface ParamWord {
  readonly word: number;
  readonly slot: number;
  readonly type: ComputeType;
}

/** The words that hold addresses inside one piece of memory. */
interface Uses {
  readonly words: number[];
  readonly offsets: number[];
}

const align = (bytes: number): number => Math.ceil(bytes / 64) * 64;
const widest = 2 ** 31;

/** One slot of the externals or outputs. */
class SlotWords {
  readonly kernels: Uses = { words: [], offsets: [] };
  matmuls: Uses = { words: [], offsets: [] };
  address = 0;
}

export class ProgramArguments {
  readonly #plan: ProgramPlan;
  readonly #arena: Arena;
  readonly #planBlock: (step: Step, symbols: ArrayLike<number>) => MatmulBlock;
  readonly #externals: SlotWords[] = [];
  readonly #outputs: SlotWords[] = [];
  /** Word and program buffer of kernels' temporaries. */
  readonly #temporaries: { readonly word: number; readonly buffer: number }[] = [];
  readonly #symbolWords: ParamWord[] = [];
  readonly #scalarWords: ParamWord[] = [];
  /** Word and offset in the arena: temporaries and workspaces, for the symbols at hand. */
  #arenaUses: Uses = { words: [], offsets: [] };
  #layout: ArenaLayout | null = null;
  /** Steps that have a block. */
  readonly #blocks: readonly number[];
  /** Those whose plan depends on symbols, together if their plans are always equal: the layers of a model have the same products. */
  readonly #symbolicBlocks: readonly (readonly number[])[];
  #arenaAddress = -1;
  #arenaBytes = 0;
  #symbols: number[] | null = null;
  #scalars: (number | bigint | undefined)[] = [];
  #wide = false;
  #u32: Uint32Array = new Uint32Array(0);
  #f32: Float32Array = new Float32Array(0);
  #f64: Float64Array = new Float64Array(0);

  /** First word of each step's block. */
  readonly firstWord: readonly number[];
  readonly bytes: number;
  /** The blocks of products and library functions for the symbols at hand, by step. */
  readonly matmuls: (MatmulBlock | undefined)[] = [];

  constructor(
    plan: ProgramPlan,
    matmulWords: number,
    planMatmul: (step: MatmulStep, symbols: ArrayLike<number>) => MatmulBlock,
    library: LibraryBlocks = noLibrary,
  ) {
    this.#plan = plan;
    this.#arena = new Arena(plan);
    this.#planBlock = (step, symbols) => (step.kind === 'host' ? library.plan(step, symbols) : planMatmul(step as MatmulStep, symbols));
    for (const b of plan.buffers) {
      if (b.kind === 'external') this.#externals[b.slot] ??= new SlotWords();
      if (b.kind === 'output') this.#outputs[b.slot] ??= new SlotWords();
    }
    const firstWord: number[] = [];
    let word = 0;
    for (const step of plan.steps) {
      // A cache line of its own for each block.
      word = Math.ceil(word / 8) * 8;
      firstWord.push(word);
      if (step.kind === 'host') {
        word += library.words(step);
        continue;
      }
      if (step.kind === 'matmul') {
        word += matmulWords;
        continue;
      }
      for (const buffer of step.buffers) {
        const slot = this.#slotOf(buffer);
        if (slot === null) this.#temporaries.push({ word, buffer });
        else push(slot.kernels, word, 0);
        word++;
      }
      for (const { kind, slot, type } of step.params)
        (kind === 'symbol' ? this.#symbolWords : this.#scalarWords).push({ word: word++, slot, type });
    }
    this.firstWord = firstWord;
    this.bytes = Math.max(1, word) * 8;
    this.#scalars = new Array<undefined>(this.#scalarWords.length).fill(undefined);
    const hasBlock = (step: Step): boolean => step.kind === 'matmul' || (step.kind === 'host' && library.words(step) > 0);
    this.#blocks = [...plan.steps.keys()].filter((i) => hasBlock(plan.steps[i]));
    this.#symbolicBlocks = alikeBlocks(
      plan,
      this.#blocks.filter((i) => isSymbolic(plan.steps[i])),
    );
  }

  /** Where a temporary lies in the arena, for the symbols at hand. */
  temporaryOffset(buffer: number): number {
    return this.#layout!.offsets[buffer];
  }
  /** Bytes of arena that a run needs with the symbols at hand. */
  get arenaBytes(): number {
    return this.#arenaBytes;
  }
  /** A buffer is so large that 32-bit element indices do not reach its end. */
  get isWide(): boolean {
    return this.#wide;
  }

  /** The memory of the words; again when it has been moved, with its contents. */
  attach(bytes: Uint8Array): void {
    this.#u32 = new Uint32Array(bytes.buffer, bytes.byteOffset, this.bytes / 4);
    this.#f32 = new Float32Array(bytes.buffer, bytes.byteOffset, this.bytes / 4);
    this.#f64 = new Float64Array(bytes.buffer, bytes.byteOffset, this.bytes / 8);
  }
  isAttachedTo(memory: ArrayBufferLike): boolean {
    return this.#u32.buffer === memory;
  }

  isSpecializedFor(symbols: ArrayLike<number>): boolean {
    const known = this.#symbols;
    if (known === null || known.length !== symbols.length) return false;
    for (let i = 0; i < known.length; i++) if (known[i] !== symbols[i]) return false;
    return true;
  }

  /**
   * Everything that depends on symbols: where temporaries lie, the products' plans, the symbols' own words. Done again in full with `anew` (the
   * number of threads has changed); else only what other symbols change.
   */
  specialize(symbols: ArrayLike<number>, anew = false): void {
    const { steps } = this.#plan;
    const first = anew || this.#layout === null;
    this.#symbols = null;
    const layout = this.#arena.layout(symbols);
    let moved = first || layout !== this.#layout;
    this.#layout = layout;
    /** Plans anew; true if the addresses stay. */
    const replan = (i: number): boolean => {
      const block = this.#planBlock(steps[i], symbols);
      const before = this.matmuls[i];
      this.matmuls[i] = block;
      // Between two plans that have the same addresses only numbers differ.
      const same = !first && before !== undefined && sameAddresses(before, block);
      if (!same) moved = true;
      this.#writeWords(i, block.words, same ? before.words : null);
      return same;
    };
    if (first) for (const i of this.#blocks) replan(i);
    else
      for (const [one, ...others] of this.#symbolicBlocks) {
        const before = this.matmuls[one]!;
        const same = replan(one);
        const block = this.matmuls[one]!;
        for (const i of others) {
          const own = this.matmuls[i]!;
          if (same && own.words === before.words) {
            this.#writeWords(i, block.words, before.words);
            this.matmuls[i] = { ...block, addresses: own.addresses };
          } else if (replan(i)) this.matmuls[i] = { ...this.matmuls[i]!, words: block.words };
        }
      }
    if (moved) this.#placeAll(layout);
    for (const { word, slot, type } of this.#symbolWords) this.#write(word, type, symbols[slot]);
    this.#symbols = Array.from(symbols);
  }

  /** The numbers of a product's block, as far as they differ from those that stand there. */
  #writeWords(step: number, words: readonly number[], known: readonly number[] | null): void {
    if (words === known) return;
    const at = this.firstWord[step];
    for (let k = 0; k < words.length; k++) if (known === null || words[k] !== known[k]) this.#writeInteger(at + k, words[k]);
  }

  /** Lists the words that hold addresses; all are written at the next binding. */
  #placeAll(layout: ArenaLayout): void {
    const { stages } = this.#plan;
    const uses: Uses = { words: [], offsets: [] };
    for (const { word, buffer } of this.#temporaries) push(uses, word, layout.offsets[buffer]);
    for (const slot of [...this.#externals, ...this.#outputs]) {
      if (slot === undefined) continue;
      slot.matmuls = { words: [], offsets: [] };
      slot.address = 0;
    }
    // Products of one stage have workspaces side by side, behind the temporaries; those of different stages share.
    const workspaceStart = align(layout.bytes);
    const used = new Map<number, number>();
    this.matmuls.forEach((block, i) => {
      if (block === undefined) return;
      const first = this.firstWord[i];
      const inStage = used.get(stages[i]) ?? 0;
      used.set(stages[i], inStage + align(block.workspaceBytes));
      for (const { word, buffer, offset } of block.addresses) {
        const slot = buffer === workspace ? null : this.#slotOf(buffer);
        if (slot !== null) push(slot.matmuls, first + word, offset);
        else push(uses, first + word, offset + (buffer === workspace ? workspaceStart + inStage : layout.offsets[buffer]));
      }
    });
    this.#arenaUses = uses;
    this.#arenaBytes = workspaceStart + Math.max(0, ...used.values());
    this.#arenaAddress = -1;
    if (this.#arenaBytes >= widest) this.#wide = true;
  }

  bindArena(address: number): void {
    if (address === this.#arenaAddress) return;
    const { words, offsets } = this.#arenaUses;
    for (let i = 0; i < words.length; i++) this.#writeInteger(words[i], address + offsets[i]);
    this.#arenaAddress = address;
  }

  bindBuffers(externals: readonly Buffer[], outputs: readonly Buffer[]): void {
    this.#bind(this.#externals, externals);
    this.#bind(this.#outputs, outputs);
  }

  bindScalars(scalars: readonly (number | bigint)[]): void {
    const known = this.#scalars;
    for (let i = 0; i < known.length; i++) {
      const { word, slot, type } = this.#scalarWords[i];
      const value = scalars[slot];
      if (Object.is(known[i], value)) continue;
      this.#write(word, type, value);
      known[i] = value;
    }
  }

  #bind(slots: readonly SlotWords[], buffers: readonly Buffer[]): void {
    for (let s = 0; s < slots.length; s++) {
      const slot = slots[s];
      if (slot === undefined) continue;
      const buffer = buffers[s] as TrackedBuffer;
      const { address } = buffer;
      if (address === slot.address) continue;
      if (!(address > 0)) throw new Error('internal: a program was given memory that is freed or of another device');
      if (buffer.bytes >= widest) this.#wide = true;
      this.#point(slot.kernels, address);
      this.#point(slot.matmuls, address);
      slot.address = address;
    }
  }
  #point({ words, offsets }: Uses, address: number): void {
    for (let i = 0; i < words.length; i++) this.#writeInteger(words[i], address + offsets[i]);
  }

  #slotOf(buffer: number): SlotWords | null {
    const { kind, slot } = this.#plan.buffers[buffer];
    return kind === 'external' ? this.#externals[slot] : kind === 'output' ? this.#outputs[slot] : null;
  }

  #write(word: number, compute: ComputeType, value: number | bigint): void {
    switch (compute) {
      case 'f64':
        this.#f64[word] = Number(value);
        return;
      case 'f32':
        this.#f32[2 * word] = Number(value);
        this.#u32[2 * word + 1] = 0;
        return;
      case 'bool':
        this.#writeInteger(word, value ? 1 : 0);
        return;
      case 'i32':
      case 'i64':
      case 'index':
        if (typeof value === 'bigint') {
          this.#u32[2 * word] = Number(BigInt.asUintN(32, value));
          this.#u32[2 * word + 1] = Number(BigInt.asUintN(32, value >> 32n));
        } else this.#writeInteger(word, value);
        return;
      default:
        compute satisfies never;
    }
  }
  /** Any safe integer in two's complement; halves, because a BigInt a word would cost more than the rest of a run. */
  #writeInteger(word: number, value: number): void {
    this.#u32[2 * word] = value;
    this.#u32[2 * word + 1] = Math.floor(value / 2 ** 32);
  }
}

function push(uses: Uses, word: number, offset: number): void {
  uses.words.push(word);
  uses.offsets.push(offset);
}

/** Steps with symbols, grouped by all that their plans depend on; one that is no product, or whose operands lie at symbolic offsets, stands alone. */
function alikeBlocks({ steps }: ProgramPlan, symbolic: readonly number[]): number[][] {
  const groups = new Map<string, number[]>();
  for (const i of symbolic) {
    const step = steps[i];
    const plain = step.kind === 'matmul' && [step.a, step.b, step.c].every((o) => dims.isNumber(o.offset));
    const key = plain ? JSON.stringify(step, planPart) : `alone ${i}`;
    const known = groups.get(key);
    if (known === undefined) groups.set(key, [i]);
    else known.push(i);
  }
  return [...groups.values()];
}
/** What a product's plan does not depend on is left out. */
function planPart(name: string, value: unknown): unknown {
  if (name === 'buffer' || name === 'place' || name === 'offset') return undefined;
  if (value instanceof dims.SymbolicDim) return value.key;
  return value instanceof DType ? value.name : value;
}

function isSymbolic(step: Step): boolean {
  if (step.kind === 'kernel') return false;
  if (step.kind === 'host')
    return ![...step.inputs, ...step.outputs].flatMap((o) => [...o.shape, ...o.strides, o.offset]).every(dims.isNumber);
  const operands = [step.a, step.b, step.c].flatMap((o) => [...o.batch, o.row, o.column, o.offset]);
  return ![...step.batch, step.m, step.n, step.k, ...operands].every(dims.isNumber);
}

function sameAddresses(a: MatmulBlock, b: MatmulBlock): boolean {
  if (a === b) return true;
  if (a.workspaceBytes !== b.workspaceBytes || a.addresses.length !== b.addresses.length || a.words.length !== b.words.length) return false;
  for (let i = 0; i < a.addresses.length; i++) {
    const [x, y] = [a.addresses[i], b.addresses[i]];
    if (x.word !== y.word || x.buffer !== y.buffer || x.offset !== y.offset) return false;
  }
  return true;
}

/**
 * A two-level segregated-fit allocator over one growing address range: block records live in JS, the memory holds data only.
 *
 * Free blocks hang in lists by size class (four classes per power of two), a bit mask says which lists are not empty, neighbours merge
 * when freed; so both operations are constant time and a long run doesn't fragment the 4 GiB that WebAssembly has. Sizes are rounded to
 * 64 bytes, and so every address is 64-byte aligned. Growth is asked of the owner (`grow`), which may refuse.
 */
const granule = 64;

interface Block {
  readonly address: number;
  size: number;
  free: boolean;
  /** Physical neighbours. */
  before: Block | null;
  after: Block | null;
  /** Links of the class list, while free. */
  previous: Block | null;
  next: Block | null;
}

export interface AllocatorStatistics {
  /** Bytes in live blocks, their number, the highest value `used` had, and the bytes managed. */
  readonly used: number;
  readonly live: number;
  readonly peak: number;
  readonly total: number;
}

/** The class that holds a block of this size: sizes in [2^e * (1 + s/4), 2^e * (1 + (s+1)/4)) granules share one. */
function classOf(size: number): number {
  const units = size / granule;
  if (units < 4) return units;
  const exponent = 31 - Math.clz32(units);
  return exponent * 4 - 4 + ((units >>> (exponent - 2)) & 3);
}

/** The first class whose every block is at least this large. */
function classAbove(size: number): number {
  const units = size / granule;
  if (units < 4) return units;
  const exponent = 31 - Math.clz32(units);
  return classOf((units + (1 << (exponent - 2)) - 1) * granule);
}

export class Allocator {
  readonly #lists: (Block | null)[] = new Array(160).fill(null);
  readonly #mask = new Uint32Array(5);
  readonly #blocks = new Map<number, Block>();
  readonly #grow: (bytes: number) => number;
  #last: Block | null = null;
  #end: number;
  #used = 0;
  #peak = 0;
  readonly #start: number;

  /** Manages [start, end); `grow(bytes)` makes at least `bytes` more available after the end and returns how many (0: refused). */
  constructor(start: number, end: number, grow: (bytes: number) => number) {
    this.#start = Math.ceil(start / granule) * granule;
    this.#end = this.#start;
    this.#grow = grow;
    this.#extend(Math.floor((end - this.#start) / granule) * granule);
  }

  get statistics(): AllocatorStatistics {
    return { used: this.#used, live: this.#blocks.size, peak: this.#peak, total: this.#end - this.#start };
  }

  /** The address of a block of at least `bytes` (zero bytes get a block too), or 0 when memory is exhausted. Contents are arbitrary. */
  alloc(bytes: number): number {
    const size = Math.max(granule, Math.ceil(bytes / granule) * granule);
    // Of the class that straddles the size only some blocks fit: a short look is worth it before growing, a long one before giving up.
    let block = this.#find(size) ?? this.#fit(size, 16);
    if (block === null) {
      const tail = this.#last?.free ? this.#last.size : 0;
      if (tail < size) this.#extend(this.#grow(size - tail));
      block = this.#find(size) ?? this.#fit(size, Infinity);
      if (block === null) return 0;
    }
    this.#unlink(block);
    if (block.size - size >= granule) {
      const rest: Block = {
        address: block.address + size,
        size: block.size - size,
        free: false,
        before: block,
        after: block.after,
        previous: null,
        next: null,
      };
      if (block.after === null) this.#last = rest;
      else block.after.before = rest;
      block.after = rest;
      block.size = size;
      this.#link(rest);
    }
    this.#blocks.set(block.address, block);
    this.#used += block.size;
    if (this.#used > this.#peak) this.#peak = this.#used;
    return block.address;
  }

  free(address: number): void {
    let block = this.#blocks.get(address);
    if (block === undefined) throw new Error(`internal: ${address} is not an allocated address`);
    this.#blocks.delete(address);
    this.#used -= block.size;
    const { before, after } = block;
    if (after?.free) {
      this.#unlink(after);
      this.#swallow(block, after);
    }
    if (before?.free) {
      this.#unlink(before);
      this.#swallow(before, block);
      block = before;
    }
    this.#link(block);
  }

  #swallow(block: Block, after: Block): void {
    block.size += after.size;
    block.after = after.after;
    if (after.after === null) this.#last = block;
    else after.after.before = block;
  }
  #extend(bytes: number): void {
    if (bytes < granule) return;
    const size = Math.floor(bytes / granule) * granule;
    const last = this.#last;
    if (last?.free) {
      this.#unlink(last);
      last.size += size;
      this.#link(last);
    } else {
      const block: Block = { address: this.#end, size, free: false, before: last, after: null, previous: null, next: null };
      if (last !== null) last.after = block;
      this.#last = block;
      this.#link(block);
    }
    this.#end += size;
  }
  #find(size: number): Block | null {
    const first = classAbove(size);
    for (let word = first >>> 5; word < this.#mask.length; word++) {
      let bits = this.#mask[word];
      if (word === first >>> 5) bits = (bits >>> (first & 31)) << (first & 31);
      if (bits !== 0) return this.#lists[word * 32 + 31 - Math.clz32(bits & -bits)];
    }
    return null;
  }
  #fit(size: number, attempts: number): Block | null {
    let left = attempts;
    for (let block = this.#lists[classOf(size)]; block !== null && left > 0; block = block.next, left--)
      if (block.size >= size) return block;
    return null;
  }
  #link(block: Block): void {
    const index = classOf(block.size);
    block.free = true;
    block.previous = null;
    block.next = this.#lists[index];
    if (block.next !== null) block.next.previous = block;
    this.#lists[index] = block;
    this.#mask[index >>> 5] |= 1 << (index & 31);
  }
  #unlink(block: Block): void {
    const index = classOf(block.size);
    block.free = false;
    if (block.previous === null) this.#lists[index] = block.next;
    else block.previous.next = block.next;
    if (block.next !== null) block.next.previous = block.previous;
    if (this.#lists[index] === null) this.#mask[index >>> 5] &= ~(1 << (index & 31));
    block.previous = null;
    block.next = null;
  }
}

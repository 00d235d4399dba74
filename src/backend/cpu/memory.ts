/**
 * Native memory of the `cpu` device: a heap for data (`NativeHeap`) and one for machine code (`CodeHeap`).
 *
 * The first touch of fresh pages costs more than most kernels do (25 ms for 64 MiB in 4 KiB pages), so the heap works in 2 MiB-aligned slabs
 * with huge pages and gives nothing back between operators: a freed block waits in the list of its size class for the next one of that size.
 * Eight classes per doubling waste at most 12.5 %. When a class is empty the block is cut from a run of free bytes; only when
 * no run is long enough are all free blocks merged into runs again, and only when that fails is a new slab mapped. Blocks over 32 MiB have a
 * mapping of their own, kept after `free` while all kept ones together stay below the peak of what was ever live.
 *
 * Contents are not cleared. Each JS thread has its own heap (`nativeHeap()`), so nothing here locks; MAGPIE_MEMORY limits each of them.
 * Addresses are Numbers. Nothing here knows dtypes or tensors.
 */
import { flags } from '../../util/flags.ts';
import { type NativeOs, requireOs, roundUp } from './os.ts';

/** Memory with an owner. `bytes` is what was asked for; `free` sets the address to 0, so that a second one is noticed. */
export type NativeBlock = { address: number; readonly bytes: number };

export type HeapStatistics = {
  /** In blocks now, rounded up to their size classes. */
  readonly liveBytes: number;
  /** Mapped now: address space, of which only what was once touched is memory. */
  readonly reservedBytes: number;
  readonly peakBytes: number;
};

/** Thrown with PyTorch's text when the limit or the machine has no more. */
export class OutOfMemoryError extends Error {
  readonly bytes: number;
  constructor(bytes: number, detail: string) {
    super(
      `DefaultCPUAllocator: can't allocate memory: you tried to allocate ${bytes} bytes. Error code 12 (Cannot allocate memory)\n${detail}`,
    );
    this.name = 'OutOfMemoryError';
    this.bytes = bytes;
  }
}

const ALIGNMENT = 64;
const HUGE_PAGE = 2 << 20;
const SLAB = 64 << 20;
const LARGEST_CLASS = 32 << 20;
/** Kept big blocks may always come to this much, however small the peak. */
const SMALLEST_CACHE = 256 << 20;
/** Freed runs below this go back to the class lists, so that the list of runs stays short. */
const SMALLEST_RUN = 64 << 10;
/** Node 20 has no array buffer above 4 GiB: longer mappings are seen through windows that begin at every GiB. */
const WINDOW_STRIDE = 1 << 30;
const WINDOW = 3 * WINDOW_STRIDE;
const LONGEST_VIEW = 2 ** 32 - 65536;

type Slab = { readonly address: number; readonly bytes: number; readonly windows: (ArrayBuffer | undefined)[] };
type Run = { start: number; end: number };

/** The class of a size up to 32 MiB: multiples of 64 to 512, then eight per doubling. */
function sizeClass(bytes: number): number {
  const units = Math.max(0, Math.ceil(bytes / ALIGNMENT) - 1);
  if (units < 8) return units;
  const shift = 28 - Math.clz32(units); // units >> shift is in 8..15
  return shift * 8 + (units >> shift);
}

function classBytes(index: number): number {
  if (index < 8) return (index + 1) * ALIGNMENT;
  const shift = (index >> 3) - 1;
  return ((index & 7) + 8 + 1) * 2 ** shift * ALIGNMENT;
}

const CLASSES = sizeClass(LARGEST_CLASS) + 1;

/** What a block of so many bytes takes. */
export function blockCapacity(bytes: number): number {
  return bytes <= LARGEST_CLASS ? classBytes(sizeClass(bytes)) : roundUp(bytes, HUGE_PAGE);
}

export class NativeHeap {
  readonly #os: NativeOs;
  readonly #limit: number;
  readonly #free: number[][] = Array.from({ length: CLASSES }, () => []);
  #runs: Run[] = [];
  /** By 2 MiB page number, for `bytesAt`. */
  readonly #slabs = new Map<number, Slab>();
  /** Freed big blocks, the oldest first. */
  #cached: Slab[] = [];
  #cachedBytes = 0;
  #freeBytes = 0;
  #liveBytes = 0;
  #reservedBytes = 0;
  #peakBytes = 0;
  /** Free bytes at the last merge that gained no room: until half as much again is free, another one would not either. */
  #uselessMerge = 0;

  constructor(options: { readonly limit?: number; readonly os?: NativeOs } = {}) {
    this.#os = options.os ?? requireOs();
    this.#limit = options.limit ?? flags.memory;
  }

  /** A block of at least so many bytes at a multiple of 64. Not cleared. */
  alloc(bytes: number): NativeBlock {
    if (!(bytes >= 0 && bytes < 2 ** 47)) throw new Error(`internal: an allocation of ${bytes} bytes`);
    const size = blockCapacity(bytes);
    if (this.#liveBytes + size > this.#limit) throw this.#outOfMemory(bytes);
    const address = size > LARGEST_CLASS ? this.#takeBig(size, bytes) : this.#takeSmall(sizeClass(bytes), size, bytes);
    this.#liveBytes += size;
    if (this.#liveBytes > this.#peakBytes) this.#peakBytes = this.#liveBytes;
    return { address, bytes };
  }

  free(block: NativeBlock): void {
    const { address, bytes } = block;
    if (address === 0) throw new Error('internal: a native block was freed twice');
    block.address = 0;
    const size = blockCapacity(bytes);
    this.#liveBytes -= size;
    if (size <= LARGEST_CLASS) {
      this.#free[sizeClass(bytes)].push(address);
      this.#freeBytes += size;
      return;
    }
    const slab = this.#slabs.get(address / HUGE_PAGE);
    if (slab?.address !== address) throw new Error('internal: a big native block of another heap was freed');
    this.#cached.push(slab);
    this.#cachedBytes += slab.bytes;
    this.#shrinkCache(Math.max(SMALLEST_CACHE, this.#peakBytes));
  }

  /** Bytes over native memory of this heap. The array buffer below is shared and cached, so this costs a typed array and no native call. */
  bytesAt(address: number, length: number): Uint8Array<ArrayBuffer> {
    const slab = this.#slabs.get(Math.floor(address / HUGE_PAGE));
    if (slab === undefined) throw new Error(`internal: no native memory at 0x${address.toString(16)}`);
    const offset = address - slab.address;
    if (offset + length > slab.bytes) throw new Error(`internal: a view of ${length} bytes reaches over the end of its memory`);
    const index = slab.bytes <= WINDOW ? 0 : Math.floor(offset / WINDOW_STRIDE);
    const within = offset - index * WINDOW_STRIDE;
    if (within + length > WINDOW) {
      if (length > LONGEST_VIEW) throw new Error(`internal: a view of ${length} bytes is longer than Node's array buffers`);
      return new Uint8Array(this.#os.view(address, length));
    }
    slab.windows[index] ??= this.#os.view(slab.address + index * WINDOW_STRIDE, Math.min(WINDOW, slab.bytes - index * WINDOW_STRIDE));
    return new Uint8Array(slab.windows[index], within, length);
  }

  /** What a new block may take before something fails: the machine, the control group and MAGPIE_MEMORY, whichever is least. */
  available(): number {
    const reusable = this.#freeBytes + this.#cachedBytes;
    return Math.max(0, Math.min(this.#os.availableMemory() + reusable, this.#limit - this.#liveBytes));
  }

  statistics(): HeapStatistics {
    return { liveBytes: this.#liveBytes, reservedBytes: this.#reservedBytes, peakBytes: this.#peakBytes };
  }

  /** For tests of over-reads: a block whose last byte lies before a page that nobody may touch. Aligned only as its length is. */
  guarded(bytes: number): NativeBlock & { release(): void } {
    const mapped = roundUp(bytes + this.#os.pageBytes, HUGE_PAGE);
    const start = this.#os.map(mapped, HUGE_PAGE);
    const end = start + mapped - this.#os.pageBytes;
    this.#os.protect(end, this.#os.pageBytes, 'none');
    const slab: Slab = { address: start, bytes: mapped - this.#os.pageBytes, windows: [] };
    this.#register(slab);
    return {
      address: end - bytes,
      bytes,
      release: () => {
        this.#unregister(slab);
        this.#os.unmap(start, mapped);
      },
    };
  }

  /** Gives freed big blocks back to the system. */
  trim(): void {
    this.#shrinkCache(0);
  }

  /** The end of the thread: the memory goes back, the addresses stay mapped for views that outlive this. The heap is of no use afterwards. */
  discardAll(): void {
    for (const slab of new Set(this.#slabs.values())) this.#os.discard(slab.address, slab.bytes);
  }

  #takeSmall(index: number, size: number, bytes: number): number {
    const reused = this.#free[index].pop();
    if (reused !== undefined) {
      this.#freeBytes -= size;
      return reused;
    }
    const cut = this.#cutFromRun(size);
    if (cut !== undefined) return cut;
    if (this.#freeBytes >= SLAB / 2 && this.#freeBytes > this.#uselessMerge * 1.5) {
      this.#mergeFreeBlocks();
      const merged = this.#cutFromRun(size);
      if (merged !== undefined) return merged;
      this.#uselessMerge = this.#freeBytes;
    }
    const start = this.#reserve(SLAB, size, bytes).address;
    this.#runs.push({ start: start + size, end: start + SLAB });
    return start;
  }

  #cutFromRun(size: number): number | undefined {
    for (let i = this.#runs.length - 1; i >= 0; i--) {
      const run = this.#runs[i];
      if (run.end - run.start < size) continue;
      const address = run.start;
      run.start += size;
      if (run.start === run.end) this.#runs.splice(i, 1);
      return address;
    }
    return undefined;
  }

  /** All free blocks and runs become the longest possible runs; crumbs go back to the class lists. */
  #mergeFreeBlocks(): void {
    const pieces = this.#runs;
    this.#free.forEach((addresses, index) => {
      for (const start of addresses) pieces.push({ start, end: start + classBytes(index) });
      addresses.length = 0;
    });
    pieces.sort((a, b) => a.start - b.start);
    this.#freeBytes = 0;
    const merged: Run[] = [];
    for (const piece of pieces) {
      const last = merged.at(-1);
      // Two slabs may lie side by side: a run over both would break the rule that a block has one view.
      if (last?.end === piece.start && this.#slabs.get(Math.floor(piece.start / HUGE_PAGE))?.address !== piece.start) last.end = piece.end;
      else merged.push(piece);
    }
    this.#runs = merged.filter((run) => run.end - run.start >= SMALLEST_RUN);
    for (const run of merged) {
      if (run.end - run.start >= SMALLEST_RUN) continue;
      while (run.start < run.end) {
        let index = sizeClass(run.end - run.start);
        if (classBytes(index) > run.end - run.start) index--;
        this.#free[index].push(run.start);
        this.#freeBytes += classBytes(index);
        run.start += classBytes(index);
      }
    }
  }

  #takeBig(size: number, bytes: number): number {
    let best = -1;
    this.#cached.forEach((slab, i) => {
      // The very size only: a block is freed by its own size, and accounting must agree with the mapping.
      if (slab.bytes === size) best = i;
    });
    if (best >= 0) {
      const [slab] = this.#cached.splice(best, 1);
      this.#cachedBytes -= slab.bytes;
      return slab.address;
    }
    return this.#reserve(size, size, bytes).address;
  }

  /** Maps `mapped` bytes of which `needed` are about to be used; asks the system first, since it would grant and later kill. */
  #reserve(mapped: number, needed: number, bytes: number): Slab {
    if (this.#liveBytes + this.#cachedBytes + needed > this.#limit) this.#shrinkCache(Math.max(0, this.#limit - this.#liveBytes - needed));
    if (this.#os.availableMemory() < needed) {
      this.trim();
      if (this.#os.availableMemory() < needed) throw this.#outOfMemory(bytes);
    }
    let address: number;
    try {
      address = this.#os.map(mapped, HUGE_PAGE);
    } catch {
      throw this.#outOfMemory(bytes);
    }
    this.#os.adviseHuge(address, mapped);
    const slab: Slab = { address, bytes: mapped, windows: [] };
    this.#register(slab);
    this.#reservedBytes += mapped;
    return slab;
  }

  #shrinkCache(allowed: number): void {
    while (this.#cachedBytes > allowed) {
      const slab = this.#cached.shift()!;
      this.#cachedBytes -= slab.bytes;
      this.#reservedBytes -= slab.bytes;
      this.#unregister(slab);
      this.#os.unmap(slab.address, slab.bytes);
    }
  }

  #register(slab: Slab): void {
    for (let page = slab.address / HUGE_PAGE; page * HUGE_PAGE < slab.address + slab.bytes; page++) this.#slabs.set(page, slab);
  }

  #unregister(slab: Slab): void {
    for (let page = slab.address / HUGE_PAGE; page * HUGE_PAGE < slab.address + slab.bytes; page++) this.#slabs.delete(page);
  }

  #outOfMemory(bytes: number): OutOfMemoryError {
    const limit = this.#limit === Infinity ? '' : `, MAGPIE_MEMORY is ${this.#limit}`;
    return new OutOfMemoryError(bytes, `(${this.#liveBytes} bytes are in use, ${this.available()} are available${limit})`);
  }
}

/**
 * Machine code under W^X: bytes are written into read-write pages which then become read-execute, and are never both. Kernels
 * that are installed together share pages; the pages come back when the last of them is freed.
 */
export class CodeHeap {
  readonly #os: NativeOs;
  readonly #arenas: { readonly address: number; readonly view: Uint8Array; free: Run[] }[] = [];
  readonly #groups = new Map<number, { readonly start: number; readonly bytes: number; kernels: number }>();

  constructor(os: NativeOs = requireOs()) {
    this.#os = os;
  }

  /** Installs code that lives and is written together; one address each, at multiples of 64. */
  install(codes: readonly Uint8Array[]): number[] {
    if (codes.length === 0) return [];
    const offsets: number[] = [];
    let length = 0;
    for (const code of codes) {
      offsets.push(length);
      // At least one line each, so that addresses differ.
      length += roundUp(Math.max(1, code.length), ALIGNMENT);
    }
    const bytes = roundUp(length, this.#os.pageBytes);
    const { start, view } = this.#takePages(bytes);
    this.#os.protect(start, bytes, 'read-write');
    view.fill(0xcc); // int3: a jump that misses stops at once
    codes.forEach((code, i) => {
      view.set(code, offsets[i]);
    });
    this.#os.protect(start, bytes, 'read-execute');
    const group = { start, bytes, kernels: codes.length };
    return offsets.map((offset) => {
      this.#groups.set(start + offset, group);
      return start + offset;
    });
  }

  /** The address must not be running. */
  free(address: number): void {
    const group = this.#groups.get(address);
    if (group === undefined) throw new Error(`internal: no code was installed at 0x${address.toString(16)}`);
    this.#groups.delete(address);
    if (--group.kernels > 0) return;
    const arena = this.#arenas.find(
      (candidate) => group.start >= candidate.address && group.start < candidate.address + candidate.view.length,
    )!;
    arena.free.push({ start: group.start, end: group.start + group.bytes });
    arena.free.sort((a, b) => a.start - b.start);
    arena.free = arena.free.reduce<Run[]>((merged, run) => {
      const last = merged.at(-1);
      if (last?.end === run.start) last.end = run.end;
      else merged.push(run);
      return merged;
    }, []);
  }

  #takePages(bytes: number): { start: number; view: Uint8Array } {
    for (const arena of this.#arenas) {
      const run = arena.free.find((candidate) => candidate.end - candidate.start >= bytes);
      if (run === undefined) continue;
      const start = run.start;
      run.start += bytes;
      if (run.start === run.end) arena.free.splice(arena.free.indexOf(run), 1);
      return { start, view: arena.view.subarray(start - arena.address, start - arena.address + bytes) };
    }
    const size = Math.max(4 << 20, bytes);
    const address = this.#os.map(size);
    this.#arenas.push({ address, view: new Uint8Array(this.#os.view(address, size)), free: [{ start: address, end: address + size }] });
    return this.#takePages(bytes);
  }
}

type ThreadHeaps = { data?: NativeHeap; code?: CodeHeap };

/** One pair of heaps per JS thread, whatever loads the package twice. */
function threadHeaps(): ThreadHeaps {
  const holder = globalThis as { [key: symbol]: ThreadHeaps | undefined };
  const key = Symbol.for('torch-magpie.cpu-heaps');
  holder[key] ??= {};
  return holder[key];
}

export function nativeHeap(): NativeHeap {
  const heaps = threadHeaps();
  if (heaps.data === undefined) {
    const os = requireOs();
    const heap = new NativeHeap({ os });
    // A worker_thread ends while the process goes on: its memory would stay with the process.
    if (!os.isMainThread) os.onExit(() => heap.discardAll());
    heaps.data = heap;
  }
  return heaps.data;
}

export function codeHeap(): CodeHeap {
  const heaps = threadHeaps();
  heaps.code ??= new CodeHeap();
  return heaps.code;
}

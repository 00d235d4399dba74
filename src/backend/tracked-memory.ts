/**
 * Lifetimes of device memory that JavaScript's collector does not own.
 *
 * Each long-lived block has a key object, a `TrackedBuffer`, which values hold; the block is free when the key is garbage. Finalizers tell so,
 * but only when the event loop turns, and a plain training loop never lets it. So memory pressure makes a *sweep*: a microtask checkpoint
 * (a WeakRef keeps its target alive to the end of the current job; running a script in a vm context with a microtask queue of its own ends
 * that), a collection, and a look through all weak references, in the midst of the job. It costs milliseconds and is therefore rare: when more
 * was allocated since the last one than is alive, and before an out-of-memory error. Where the engine has no such thing (browsers) a sweep
 * does nothing and finalizers do the work when the loop awaits.
 *
 * Frees memory and never changes what is computed. Knows nothing about addresses: the device says how a block is taken and released.
 */
import type { Buffer } from '../graph/node.ts';
import { flags } from '../util/flags.ts';
import { trace } from '../util/trace.ts';
import { OutOfMemoryError } from './cpu/memory.ts';

export interface MemoryBlock {
  readonly address: number;
}

interface Tracking<Block> {
  readonly reference: WeakRef<object>;
  readonly block: Block;
  readonly bytes: number;
}

/** The key object of a block. `address` becomes 0 when it is freed. */
export class TrackedBuffer<Block extends MemoryBlock = MemoryBlock> implements Buffer {
  readonly bytes: number;
  readonly device: string;
  address: number;
  /** Set by `TrackedMemory`; null once freed. */
  tracking: Tracking<Block> | null = null;
  constructor(block: Block, bytes: number, device: string) {
    this.bytes = bytes;
    this.device = device;
    this.address = block.address;
  }
}

export interface TrackedStatistics {
  readonly liveBytes: number;
  readonly liveBuffers: number;
  readonly peakBytes: number;
  readonly sweeps: number;
  /** Bytes that sweeps have found dead. */
  readonly sweptBytes: number;
}

export interface BlockOwner<Block> {
  release(block: Block): void;
  available(): number;
  /** Bytes between two sweeps that are nothing to a device with much memory; default 0, so that the flag alone decides. */
  readonly roomyBytes?: number;
  /** Lets go of memory that is kept only for speed (the arena between two programs). */
  giveBack(): void;
}

/** A small buffer's key and weak reference cost memory too: each allocation counts at least this much towards the next sweep. */
const leastWeight = 4096;
const listed = 5;

export class TrackedMemory<Block extends MemoryBlock> {
  readonly #owner: BlockOwner<Block>;
  readonly #live = new Set<Tracking<Block>>();
  readonly #finalizers: FinalizationRegistry<Tracking<Block>>;
  #liveBytes = 0;
  #peakBytes = 0;
  #sinceSweep = 0;
  #sweptLive = 0;
  #sweeps = 0;
  #sweptBytes = 0;

  constructor(owner: BlockOwner<Block>) {
    this.#owner = owner;
    this.#finalizers = new FinalizationRegistry((tracking) => this.#release(tracking));
  }

  get statistics(): TrackedStatistics {
    return {
      liveBytes: this.#liveBytes,
      liveBuffers: this.#live.size,
      peakBytes: this.#peakBytes,
      sweeps: this.#sweeps,
      sweptBytes: this.#sweptBytes,
    };
  }

  /** The peak counts from now on. */
  resetPeak(): void {
    this.#peakBytes = this.#liveBytes;
  }

  /** A new buffer: its block comes from `take`, which throws when there is no memory. */
  allocate(bytes: number, device: string, take: () => Block): TrackedBuffer<Block> {
    this.noteAllocation(bytes);
    return this.adopt(this.obtain(bytes, 'a tensor', take), bytes, device);
  }

  /** From now on the block lives as long as the returned key. */
  adopt(block: Block, bytes: number, device: string): TrackedBuffer<Block> {
    const buffer = new TrackedBuffer(block, bytes, device);
    const tracking: Tracking<Block> = { reference: new WeakRef(buffer), block, bytes };
    buffer.tracking = tracking;
    this.#live.add(tracking);
    this.#finalizers.register(buffer, tracking, tracking);
    this.#liveBytes += bytes;
    if (this.#liveBytes > this.#peakBytes) this.#peakBytes = this.#liveBytes;
    return buffer;
  }

  /** Frees at once; a second time does nothing. */
  free(buffer: Buffer): void {
    const tracked = buffer as TrackedBuffer<Block>;
    const { tracking } = tracked;
    if (tracking === null) return;
    tracked.tracking = null;
    tracked.address = 0;
    this.#finalizers.unregister(tracking);
    // What is freed by hand will not be found as garbage.
    this.#sinceSweep = Math.max(0, this.#sinceSweep - Math.max(tracking.bytes, leastWeight));
    this.#release(tracking);
  }

  /** Counts towards the next sweep, and makes it when it is due. */
  noteAllocation(bytes: number): void {
    this.#sinceSweep += Math.max(bytes, leastWeight);
    // What was alive after the last sweep: what came since may be garbage itself.
    if (this.#sinceSweep > Math.max(flags.sweepBytes, this.#owner.roomyBytes ?? 0, this.#sweptLive)) this.sweep();
  }

  /** Frees every block whose key nobody holds; the number of bytes found. */
  sweep(): number {
    this.#sinceSweep = 0;
    const collector = findCollector();
    if (collector === null) {
      this.#sweptLive = this.#liveBytes;
      return 0;
    }
    const begin = performance.now();
    collectGarbage();
    let found = 0;
    for (const tracking of this.#live) {
      if (tracking.reference.deref() !== undefined) continue;
      found += tracking.bytes;
      this.#finalizers.unregister(tracking);
      this.#release(tracking);
    }
    this.#sweeps++;
    this.#sweptLive = this.#liveBytes;
    this.#sweptBytes += found;
    trace(
      'memory',
      () =>
        `sweep: ${sizeText(found)} were garbage, ${sizeText(this.#liveBytes)} in ${this.#live.size} buffers are alive ` +
        `(${(performance.now() - begin).toFixed(1)} ms)`,
    );
    return found;
  }

  /** Memory from `take`, if need be after a sweep, then without what is kept for speed; else PyTorch's error and what takes the room. */
  obtain<T>(bytes: number, purpose: string, take: () => T): T {
    const remedies = [(): unknown => this.sweep(), (): unknown => this.#owner.giveBack()];
    for (;;) {
      try {
        return take();
      } catch (error) {
        if (!(error instanceof OutOfMemoryError || error instanceof RangeError)) throw error;
        const remedy = remedies.shift();
        if (remedy === undefined) throw this.#outOfMemory(bytes, purpose);
        remedy();
      }
    }
  }

  #release(tracking: Tracking<Block>): void {
    if (!this.#live.delete(tracking)) return;
    this.#liveBytes -= tracking.bytes;
    this.#owner.release(tracking.block);
  }

  #outOfMemory(bytes: number, purpose: string): OutOfMemoryError {
    const sizes = [...this.#live].map((t) => t.bytes).sort((a, b) => b - a);
    const largest = sizes.slice(0, listed).map(sizeText).join(', ') + (sizes.length > listed ? ', ...' : '');
    return new OutOfMemoryError(
      bytes,
      `(asked for ${sizeText(bytes)} for ${purpose}; ${sizeText(this.#owner.available())} are available)\n` +
        `${sizeText(this.#liveBytes)} are in ${sizes.length} live buffers${sizes.length === 0 ? '' : `, the largest: ${largest}`}. ` +
        'MAGPIE_MEMORY sets the limit.',
    );
  }
}

export function sizeText(bytes: number): string {
  const [unit, name] =
    bytes >= 2 ** 30 ? [2 ** 30, 'GiB'] : bytes >= 2 ** 20 ? [2 ** 20, 'MiB'] : bytes >= 2 ** 10 ? [2 ** 10, 'KiB'] : [1, 'bytes'];
  return `${unit === 1 ? bytes : (bytes / unit).toFixed(1)} ${name}`;
}

interface Collector {
  checkpoint(): void;
  collect(): void;
}

/** Collects all that is garbage now, in the midst of the job; false where the engine cannot be asked to. */
export function collectGarbage(): boolean {
  const collector = findCollector();
  if (collector === null) return false;
  collector.checkpoint();
  collector.collect();
  return true;
}

let collectorFound: Collector | null | undefined;

/** The engine's collector, which needs no command line flag in Node. Null where it cannot be reached. */
function findCollector(): Collector | null {
  if (collectorFound === undefined) collectorFound = makeCollector();
  return collectorFound;
}

function makeCollector(): Collector | null {
  try {
    const vm = globalThis.process.getBuiltinModule('node:vm');
    const context = vm.createContext({}, { microtaskMode: 'afterEvaluate' });
    const nothing = new vm.Script('0');
    globalThis.process.getBuiltinModule('node:v8').setFlagsFromString('--expose-gc');
    const collect = vm.runInNewContext('gc') as unknown;
    if (typeof collect !== 'function') return null;
    return { checkpoint: () => void nothing.runInContext(context), collect: () => void collect() };
  } catch {
    return null;
  }
}

/**
 * Device memory: a caching allocator over cuMemAlloc, and pinned memory on the way to the device.
 *
 * Everything runs on one stream, so a block that is freed may be handed out again at once: what still uses it was launched before what comes
 * next. Sizes are rounded to eight classes an octave; small ones are cut from slabs. Blocks go back to the driver only when memory runs out
 * or `trim` is called.
 */
import { OutOfMemoryError } from '../cpu/memory.ts';
import { type MemoryBlock, sizeText } from '../tracked-memory.ts';
import { CudaError, type Driver, outOfMemoryCode } from './driver.ts';

export interface CudaBlock extends MemoryBlock {
  address: number;
  readonly size: number;
}

const leastSize = 512;
const largestSmall = 256 * 1024;
const slabBytes = 4 * 2 ** 20;

/** The size class that holds so many bytes. */
export function roundSize(bytes: number): number {
  if (bytes <= leastSize) return leastSize;
  const step = 2 ** Math.max(9, Math.floor(Math.log2(bytes)) - 3);
  return Math.ceil(bytes / step) * step;
}

/** PyTorch's text for a card that is full. */
export class CudaOutOfMemoryError extends OutOfMemoryError {
  /** What stands behind the first sentence. */
  readonly detail: string;
  constructor(bytes: number, detail: string) {
    super(bytes, detail);
    this.detail = detail;
    this.message = `CUDA out of memory. Tried to allocate ${sizeText(bytes)}. ${detail}`;
  }
}

export class CudaHeap {
  readonly #driver: Pick<Driver, 'alloc' | 'free' | 'memoryInfo' | 'name' | 'totalBytes'>;
  readonly #free = new Map<number, number[]>();
  #cachedLarge = 0;
  #reserved = 0;
  #peakReserved = 0;
  #slabAt = 0;
  #slabEnd = 0;

  constructor(driver: Pick<Driver, 'alloc' | 'free' | 'memoryInfo' | 'name' | 'totalBytes'>) {
    this.#driver = driver;
  }

  get reservedBytes(): number {
    return this.#reserved;
  }
  get peakReservedBytes(): number {
    return this.#peakReserved;
  }
  resetPeak(): void {
    this.#peakReserved = this.#reserved;
  }
  available(): number {
    return this.#driver.memoryInfo().free + this.#cachedLarge;
  }

  alloc(bytes: number): CudaBlock {
    const size = roundSize(bytes);
    const known = this.#free.get(size)?.pop();
    if (known !== undefined) {
      if (size > largestSmall) this.#cachedLarge -= size;
      return { address: known, size };
    }
    if (size > largestSmall) return { address: this.#take(size, bytes), size };
    if (this.#slabAt + size > this.#slabEnd) {
      // What is left of the slab is lost to it; less than a block in sixteen.
      this.#slabAt = this.#take(slabBytes, bytes);
      this.#slabEnd = this.#slabAt + slabBytes;
    }
    const address = this.#slabAt;
    this.#slabAt += size;
    return { address, size };
  }

  free(block: CudaBlock): void {
    const { address, size } = block;
    if (address === 0) throw new Error('internal: device memory was freed twice');
    block.address = 0;
    const list = this.#free.get(size);
    if (list === undefined) this.#free.set(size, [address]);
    else list.push(address);
    if (size > largestSmall) this.#cachedLarge += size;
  }

  /** Gives unused large blocks back to the driver. */
  trim(): void {
    for (const [size, list] of this.#free) {
      if (size <= largestSmall) continue;
      for (const address of list) {
        this.#driver.free(address);
        this.#reserved -= size;
      }
      this.#free.delete(size);
    }
    this.#cachedLarge = 0;
  }

  #take(size: number, asked: number): number {
    for (let attempt = 0; ; attempt++) {
      try {
        const address = this.#driver.alloc(size);
        this.#reserved += size;
        this.#peakReserved = Math.max(this.#peakReserved, this.#reserved);
        return address;
      } catch (error) {
        if (!(error instanceof CudaError) || error.code !== outOfMemoryCode) throw error;
        if (attempt === 0 && this.#cachedLarge > 0) {
          this.trim();
          continue;
        }
        const { name, totalBytes } = this.#driver;
        throw new CudaOutOfMemoryError(
          asked,
          `${name} has a total capacity of ${sizeText(totalBytes)} of which ${sizeText(this.#driver.memoryInfo().free)} is free. ` +
            `${sizeText(this.#reserved)} are reserved by this process.`,
        );
      }
    }
  }
}

const halves = 2;

/** Pinned memory that small uploads pass through: a ring of two halves, each waited for before it is written again. */
export class Staging {
  readonly #driver: Driver;
  readonly #address: number;
  readonly #bytes: Uint8Array;
  readonly #half: number;
  readonly #events: number[];
  readonly #used = [false, false];
  #at = 0;
  #current = 0;

  constructor(driver: Driver, bytes = 8 * 2 ** 20) {
    this.#driver = driver;
    const memory = driver.pinned(bytes);
    this.#address = memory.address;
    this.#bytes = memory.bytes;
    this.#half = bytes / halves;
    this.#events = [driver.event(), driver.event()];
  }

  /** The most that one upload may be. */
  get largest(): number {
    return this.#half;
  }

  upload(target: number, source: Uint8Array): void {
    const { length } = source;
    if (this.#at + length > this.#half) {
      this.#driver.record(this.#events[this.#current]);
      this.#used[this.#current] = true;
      this.#current = (this.#current + 1) % halves;
      if (this.#used[this.#current]) this.#driver.waitFor(this.#events[this.#current]);
      this.#at = 0;
    }
    const offset = this.#current * this.#half + this.#at;
    this.#bytes.set(source, offset);
    this.#driver.upload(target, this.#address + offset, length);
    this.#at += Math.ceil(length / 64) * 64;
  }

  /** Waits, and copies through pinned memory: what was on its way up has arrived by then. */
  download(target: Uint8Array, source: number): void {
    this.#driver.synchronize();
    this.#at = 0;
    const offset = this.#current * this.#half;
    this.#driver.download(this.#address + offset, source, target.length);
    this.#driver.synchronize();
    target.set(this.#bytes.subarray(offset, offset + target.length));
  }
}

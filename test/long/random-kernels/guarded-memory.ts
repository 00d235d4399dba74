/**
 * Native memory whose blocks lie between pages that nobody may touch: a block ends right before one (or begins right behind one), so one byte too far is a fault.
 * What lies between a block and the guard on its other side is filled with a pattern, which `check` looks at.
 *
 * Stands in for the device's heap. Mappings are kept by size: most of the cost is the system's.
 */
import { type NativeBlock, NativeHeap } from '../../../src/backend/cpu/memory.ts';
import { type NativeOs, requireOs } from '../../../src/backend/cpu/os.ts';

const pattern = 0xa5;

interface Mapping {
  readonly start: number;
  /** Bytes between the guards. */
  readonly inner: number;
  readonly view: Uint8Array<ArrayBuffer>;
}
interface Live extends Mapping {
  /** Of the block, within the view. */
  readonly from: number;
  readonly bytes: number;
}

export class GuardedHeap extends NativeHeap {
  readonly #os: NativeOs;
  readonly #free = new Map<number, Mapping[]>();
  readonly #live = new Map<number, Live>();
  /** Where blocks are put: 'end' is before a guard, at the alignment of the next allocation. */
  placement: 'start' | 'end' = 'end';
  /** What the next block's address must be a multiple of. */
  alignment = 64;

  constructor(os: NativeOs = requireOs()) {
    super({ os });
    this.#os = os;
  }

  override alloc(bytes: number): NativeBlock {
    const page = this.#os.pageBytes;
    const inner = Math.max(1, Math.ceil((bytes + this.alignment) / page)) * page;
    const { start, view } = this.#free.get(inner)?.pop() ?? this.#map(inner);
    const from = this.placement === 'start' ? 0 : Math.floor((inner - bytes) / this.alignment) * this.alignment;
    view.fill(pattern);
    const address = start + page + from;
    this.#live.set(address, { start, inner, view, from, bytes });
    return { address, bytes };
  }

  override free(block: NativeBlock): void {
    const live = this.#live.get(block.address);
    if (live === undefined) throw new Error('a guarded block was freed twice');
    this.#live.delete(block.address);
    block.address = 0;
    const list = this.#free.get(live.inner);
    if (list === undefined) this.#free.set(live.inner, [live]);
    else list.push(live);
  }

  override bytesAt(address: number, length: number): Uint8Array<ArrayBuffer> {
    const live = this.#live.get(address) ?? [...this.#live.values()].find((l) => this.#covers(l, address));
    if (live === undefined) throw new Error(`no guarded memory at 0x${address.toString(16)}`);
    const offset = address - live.start - this.#os.pageBytes;
    if (offset + length > live.inner) throw new Error('a view reaches over the end of its memory');
    return live.view.subarray(offset, offset + length);
  }

  override available(): number {
    return 2 ** 32;
  }
  override trim(): void {}

  /** Null, or what was written beside the block at an address. */
  check(address: number): string | null {
    const { view, from, bytes } = this.#live.get(address)!;
    const before = view.subarray(0, from).findIndex((byte) => byte !== pattern);
    if (before >= 0) return `wrote ${from - before} bytes before its begin`;
    const behind = view.subarray(from + bytes).findIndex((byte) => byte !== pattern);
    return behind >= 0 ? `wrote ${behind} bytes behind its end` : null;
  }

  #covers({ start, inner }: Mapping, address: number): boolean {
    const begin = start + this.#os.pageBytes;
    return address >= begin && address < begin + inner;
  }

  #map(inner: number): Mapping {
    const page = this.#os.pageBytes;
    const start = this.#os.map(inner + 2 * page);
    this.#os.protect(start, page, 'none');
    this.#os.protect(start + page + inner, page, 'none');
    return { start, inner, view: new Uint8Array(this.#os.view(start + page, inner)) };
  }
}

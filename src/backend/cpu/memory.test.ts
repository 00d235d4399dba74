import { describe, expect, test } from 'vitest';
import { blockCapacity, CodeHeap, type NativeBlock, NativeHeap, OutOfMemoryError } from './memory.ts';
import { requireOs } from './os.ts';

const MiB = 1 << 20;

describe('NativeHeap', () => {
  test('a size class wastes at most an eighth beyond the alignment, and never gives less than was asked', () => {
    for (let bytes = 0; bytes < 40 * MiB; bytes = Math.floor(bytes * 1.013) + 1) {
      const capacity = blockCapacity(bytes);
      expect(capacity).toBeGreaterThanOrEqual(Math.max(bytes, 64));
      expect(capacity % 64).toBe(0);
      expect(capacity).toBeLessThanOrEqual(Math.max(bytes * 1.125, bytes + 63, 64));
    }
  });

  test('a freed block is the next one of its class', () => {
    const heap = new NativeHeap();
    const first = heap.alloc(5000);
    const { address } = first;
    heap.free(first);
    expect(first.address).toBe(0);
    expect(heap.alloc(4900).address).toBe(address);
    expect(heap.alloc(4900).address).not.toBe(address);
    expect(() => heap.free(first)).toThrow('internal: a native block was freed twice');
  });

  test('live blocks never overlap, are aligned, and keep their bytes through random traffic', () => {
    const heap = new NativeHeap();
    let seed = 1;
    const random = (n: number): number => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return seed % n;
    };
    const live: { block: NativeBlock; mark: number }[] = [];
    for (let step = 0; step < 20_000; step++) {
      if (live.length > 0 && random(100) < 48) {
        const [{ block, mark }] = live.splice(random(live.length), 1);
        const bytes = heap.bytesAt(block.address, block.bytes);
        expect([bytes[0], bytes[bytes.length - 1]]).toEqual([mark, mark]);
        heap.free(block);
      } else {
        const block = heap.alloc(1 + random(1 << (4 + random(15))));
        expect(block.address % 64).toBe(0);
        const bytes = heap.bytesAt(block.address, block.bytes);
        const mark = random(256);
        bytes[0] = mark;
        bytes[bytes.length - 1] = mark;
        live.push({ block, mark });
      }
    }
    const spans = live.map(({ block }) => block).sort((a, b) => a.address - b.address);
    for (let i = 1; i < spans.length; i++) expect(spans[i].address).toBeGreaterThanOrEqual(spans[i - 1].address + spans[i - 1].bytes);
    for (const { block } of live) heap.free(block);
    expect(heap.statistics().liveBytes).toBe(0);
  });

  test('free blocks of many small sizes are merged before another slab is mapped', () => {
    const heap = new NativeHeap();
    const small = Array.from({ length: 60 }, () => heap.alloc(MiB));
    for (const block of small) heap.free(block);
    heap.alloc(20 * MiB);
    expect(heap.statistics().reservedBytes).toBe(64 * MiB);
    expect(heap.alloc(30 * MiB).address).toBeGreaterThan(0);
    expect(heap.statistics().reservedBytes).toBe(64 * MiB);
  });

  test('a big block has its own mapping, kept for the next one of its size and given back by trim', () => {
    const heap = new NativeHeap();
    const big = heap.alloc(40 * MiB + 1);
    const { address } = big;
    expect(address % (2 * MiB)).toBe(0);
    expect(heap.statistics()).toEqual({ liveBytes: 42 * MiB, reservedBytes: 42 * MiB, peakBytes: 42 * MiB });
    heap.free(big);
    const again = heap.alloc(41 * MiB);
    expect(again.address).toBe(address);
    heap.free(again);
    heap.trim();
    expect(heap.statistics()).toEqual({ liveBytes: 0, reservedBytes: 0, peakBytes: 42 * MiB });
    expect(() => heap.bytesAt(address, 1)).toThrow('internal: no native memory at');
  });

  test('kept big blocks of sizes that never come back do not pile up', () => {
    const heap = new NativeHeap();
    for (let size = 34; size < 120; size += 2) heap.free(heap.alloc(size * MiB));
    expect(heap.statistics().reservedBytes).toBeLessThanOrEqual(256 * MiB);
  });

  test("the limit holds, counts kept blocks last, and the message is PyTorch's", () => {
    const heap = new NativeHeap({ limit: 100 * MiB });
    const first = heap.alloc(60 * MiB);
    expect(heap.available()).toBe(40 * MiB);
    expect(() => heap.alloc(50 * MiB)).toThrow(OutOfMemoryError);
    expect(() => heap.alloc(50 * MiB)).toThrow("DefaultCPUAllocator: can't allocate memory: you tried to allocate 52428800 bytes.");
    heap.free(first);
    heap.alloc(50 * MiB);
    expect(heap.statistics().reservedBytes).toBe(50 * MiB);
  });

  test('asking for more than the machine has fails instead of waiting to be killed', () => {
    expect(() => new NativeHeap().alloc(2 ** 43)).toThrow(OutOfMemoryError);
    expect(new NativeHeap().available()).toBeLessThanOrEqual(requireOs().availableMemory() * 1.01);
  });

  test('a view past 4 GiB of one block reads what was written through another window', () => {
    const heap = new NativeHeap({ os: { ...requireOs(), availableMemory: () => 2 ** 40 } });
    const block = heap.alloc(5 * 2 ** 30);
    heap.bytesAt(block.address + 2 ** 32 + 10, 4).set([1, 2, 3, 4]);
    heap.bytesAt(block.address + 2 ** 32 - 2, 14)[13] = 9;
    expect([...heap.bytesAt(block.address + 1.5 * 2 ** 30, 3.4 * 2 ** 30).subarray(2.5 * 2 ** 30 + 10, 2.5 * 2 ** 30 + 14)]).toEqual([
      1, 9, 3, 4,
    ]);
    expect(() => heap.bytesAt(block.address, 5 * 2 ** 30)).toThrow('longer than');
    expect(() => heap.bytesAt(block.address, 6 * 2 ** 30)).toThrow('over the end');
    heap.free(block);
    heap.trim();
  });

  test('a typed array over a block costs no native call', () => {
    const heap = new NativeHeap();
    const block = heap.alloc(4096);
    const a = heap.bytesAt(block.address, 4096);
    const b = heap.bytesAt(block.address + 64, 64);
    expect(b.buffer).toBe(a.buffer);
  });

  test('a guarded block can be written up to its last byte', () => {
    const heap = new NativeHeap();
    for (const length of [1, 63, 4096, 10_000, 3 * MiB]) {
      const block = heap.guarded(length);
      expect((block.address + length) % requireOs().pageBytes).toBe(0);
      heap.bytesAt(block.address, length).fill(5);
      expect(() => heap.bytesAt(block.address, length + 1)).toThrow('over the end');
      const { address } = block;
      block.release();
      expect(() => heap.bytesAt(address, 1)).toThrow('no native memory');
    }
  });
});

describe('CodeHeap', () => {
  /** mov eax, value; ret */
  const answer = (value: number): Uint8Array => Uint8Array.of(0xb8, value, 0, 0, 0, 0xc3);

  test('installs kernels together at multiples of 64, executable and not writable, and calls them', () => {
    const heap = new CodeHeap();
    const addresses = heap.install([answer(7), answer(9), answer(11)]);
    expect(addresses[1] - addresses[0]).toBe(64);
    expect(addresses.map((address) => requireOs().callable(address)())).toEqual([7, 9, 11]);
    const maps = process.getBuiltinModule('node:fs').readFileSync('/proc/self/maps', 'utf8');
    const line = maps.split('\n').find((text) => {
      const [from, to] = text
        .split(' ')[0]
        .split('-')
        .map((part) => Number.parseInt(part, 16));
      return addresses[0] >= from && addresses[0] < to;
    });
    expect(line).toMatch(/ r-xp /);
  });

  test('pages come back when the last kernel on them is freed', () => {
    const heap = new CodeHeap();
    const [a, b] = heap.install([answer(1), answer(2)]);
    const [c] = heap.install([answer(3)]);
    heap.free(a);
    const [d] = heap.install([answer(4)]);
    expect(d).not.toBe(a);
    heap.free(b);
    const [e] = heap.install([answer(5)]);
    expect(e).toBe(a);
    expect([c, d, e].map((address) => requireOs().callable(address)())).toEqual([3, 4, 5]);
    expect(() => heap.free(b)).toThrow('internal: no code was installed');
    for (const address of [c, d, e]) heap.free(address);
    const [large] = heap.install([new Uint8Array(5 << 20).fill(0xc3)]);
    expect(requireOs().callable(large)()).toBeTypeOf('number');
  });

  test('no page of code is writable and executable at once, whatever is freed and installed again', () => {
    const heap = new CodeHeap();
    const rights = (from: number, bytes: number): Set<string> => {
      const maps = process.getBuiltinModule('node:fs').readFileSync('/proc/self/maps', 'utf8').trim().split('\n');
      const found = new Set<string>();
      for (const line of maps) {
        const [range, access] = line.split(' ');
        const [begin, end] = range.split('-').map((part) => Number.parseInt(part, 16));
        if (begin < from + bytes && end > from) found.add(access);
      }
      return found;
    };
    const page = requireOs().pageBytes;
    const [first] = heap.install([answer(1)]);
    // The whole mapping, of which only the first page holds code.
    expect([...rights(first, 8 * page)].sort()).toEqual(['r-xp', 'rw-p']);
    const live = Array.from({ length: 6 }, (_, i) => heap.install([answer(i)])[0]);
    heap.free(live[1]);
    heap.free(live[4]);
    live[1] = heap.install([answer(7)])[0];
    expect([...rights(first, 16 * page)].filter((access) => access.includes('w') && access.includes('x'))).toEqual([]);
    for (const i of [0, 1, 2, 3, 5]) expect([...rights(live[i], 1)]).toEqual(['r-xp']);
  });
});

import { describe, expect, test } from 'vitest';
import { Allocator } from './allocator.ts';
import type { KernelSource } from './runtime.ts';
import { reservedBytes, WasmRuntime } from './runtime.ts';

/** A small deterministic generator. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

describe('the allocator', () => {
  test('live blocks are aligned, disjoint and inside, through thousands of random steps; all merges back in the end', () => {
    const limit = 2 ** 26;
    let end = 2 ** 16;
    const allocator = new Allocator(1000, end, (bytes) => {
      const grown = Math.min(limit - end, Math.max(bytes, 2 ** 18));
      if (grown < bytes) return 0;
      end += grown;
      return grown;
    });
    const next = random(1);
    const live = new Map<number, number>();
    let used = 0;
    for (let step = 0; step < 20000; step++) {
      if (live.size > 0 && next(100) < 48) {
        const address = [...live.keys()][next(live.size)];
        allocator.free(address);
        live.delete(address);
      } else {
        const bytes = next(2 ** next(18));
        const address = allocator.alloc(bytes);
        expect(address % 64).toBe(0);
        expect(address).toBeGreaterThanOrEqual(1000);
        expect(address + bytes).toBeLessThanOrEqual(end);
        live.set(address, bytes);
      }
      if (step % 1000 === 0) {
        const sorted = [...live].sort((a, b) => a[0] - b[0]);
        for (let i = 1; i < sorted.length; i++) expect(sorted[i - 1][0] + sorted[i - 1][1]).toBeLessThanOrEqual(sorted[i][0]);
        used = [...live.values()].reduce((sum, bytes) => sum + Math.max(64, Math.ceil(bytes / 64) * 64), 0);
        expect(allocator.statistics.used).toBe(used);
      }
    }
    for (const address of live.keys()) allocator.free(address);
    const { total, live: count } = allocator.statistics;
    expect(count).toBe(0);
    const before = end;
    expect(allocator.alloc(total)).toBe(1024);
    expect(end).toBe(before);
  });

  test('a freed block is found again, an unknown address is an error, exhaustion gives 0', () => {
    const allocator = new Allocator(0, 64 * 10, () => 0);
    const a = allocator.alloc(64 * 4);
    const b = allocator.alloc(64 * 6);
    expect(allocator.alloc(1)).toBe(0);
    allocator.free(a);
    expect(allocator.alloc(64 * 5)).toBe(0);
    expect(allocator.alloc(64 * 4)).toBe(a);
    allocator.free(b);
    expect(() => allocator.free(b)).toThrow('internal:');
  });

  test('a block of a class that straddles the request is used before memory counts as exhausted', () => {
    // 16 to 19 granules share a class, so the class of 19 promises less than 19.
    const allocator = new Allocator(0, 64 * 19, () => 0);
    const a = allocator.alloc(64 * 19);
    expect(a).toBe(0);
    expect(new Allocator(64, 64 * 20, () => 0).alloc(64 * 19)).toBe(64);
  });
});

/** out[i] += begin..end counted, and records the call: out = args word 0. */
const counting: KernelSource = {
  name: 'counting',
  define(module, name) {
    module.function(name, ['i32', 'i32', 'i32', 'i32'], [], (f) => {
      const i = f.local('i32');
      f.get(1);
      f.set(i);
      f.loop((head) => {
        const place = (): void => {
          f.get(0);
          f.memory('i32.load');
          f.get(i);
          f.i32(2);
          f.op('i32.shl');
          f.op('i32.add');
        };
        place();
        place();
        f.memory('i32.load');
        f.get(3);
        f.op('i32.eqz');
        f.i32(1000);
        f.op('i32.mul');
        f.op('i32.add');
        f.i32(1);
        f.op('i32.add');
        f.memory('i32.store');
        f.get(i);
        f.i32(1);
        f.op('i32.add');
        f.tee(i);
        f.get(2);
        f.op('i32.lt_s');
        f.brIf(head);
      });
    });
  },
};

describe('the runtime', () => {
  test('memory grows on demand, contents survive, views are fresh, and the limit is an error that names the flag', () => {
    const runtime = new WasmRuntime({ limit: 32 * 2 ** 20 });
    const small = runtime.alloc(1000);
    expect(small).toBeGreaterThanOrEqual(reservedBytes);
    runtime.views.f32[small / 4] = 1.25;
    const stale = runtime.views.f32;
    const large = runtime.alloc(20 * 2 ** 20);
    expect(stale.length).toBe(0);
    expect(runtime.views.f32[small / 4]).toBe(1.25);
    runtime.views.u8[large + 20 * 2 ** 20 - 1] = 9;
    expect(() => runtime.alloc(20 * 2 ** 20)).toThrow(/wasm: out of memory: tried to allocate 20971520 bytes.*MAGPIE_MEMORY/);
    runtime.free(large);
    runtime.free(runtime.alloc(25 * 2 ** 20));
    expect(runtime.statistics.live).toBe(1);
    expect(runtime.statistics.peak).toBeGreaterThanOrEqual(25 * 2 ** 20);
    expect(runtime.statistics.limit).toBe(32 * 2 ** 20);
  });

  test('addresses above 2 GiB work', () => {
    const runtime = new WasmRuntime();
    const [fn] = runtime.compile([counting]);
    runtime.alloc(2200 * 2 ** 20);
    const out = runtime.alloc(4096);
    const args = runtime.alloc(8);
    expect(out).toBeGreaterThan(2 ** 31);
    runtime.views.i32.fill(0, out / 4, out / 4 + 8);
    runtime.writeArguments(args, [out]);
    fn(args, 0, 4, 64);
    expect([...runtime.views.i32.subarray(out / 4, out / 4 + 5)]).toEqual([1, 1, 1, 1, 0]);
  });

  test('argument words are int64, from numbers and bigints', () => {
    const runtime = new WasmRuntime({ limit: 2 ** 20 });
    const args = runtime.alloc(64);
    runtime.writeArguments(args, [3_000_000_000, -1, -(2 ** 40), 2n ** 63n - 1n, 2 ** 52]);
    expect([...runtime.views.i64.subarray(args / 8, args / 8 + 5)]).toEqual([3_000_000_000n, -1n, -(2n ** 40n), 2n ** 63n - 1n, 2n ** 52n]);
  });

  test.each([false, true])('a program runs every index of every task once, in pieces, with scratch (shared memory: %s)', (shared) => {
    const runtime = new WasmRuntime({ limit: 4 * 2 ** 20, shared });
    const [fn, other] = runtime.compile([counting, counting]);
    const out = runtime.alloc(400);
    const args = runtime.alloc(8);
    runtime.views.i32.fill(0, out / 4, out / 4 + 100);
    runtime.writeArguments(args, [out]);
    const program = {
      stages: [
        [{ fn, args, count: 50, grain: 16 }],
        [
          { fn: other, args, count: 10, grain: 100 },
          { fn, args, count: 0, grain: 1 },
        ],
      ],
      scratchBytes: 100,
    };
    runtime.run(program);
    runtime.run({ ...program, scratchBytes: 5000 });
    expect([...runtime.views.i32.subarray(out / 4, out / 4 + 52)]).toEqual([...new Array(10).fill(4), ...new Array(40).fill(2), 0, 0]);
  });
});

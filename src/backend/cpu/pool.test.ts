import { afterAll, describe, expect, test } from 'vitest';
import { codeHeap, nativeHeap } from './memory.ts';
import { getNumThreads, NativeProgram, type NativeTask, SCRATCH_BYTES, setNumThreads, stopPool } from './pool.ts';
import { IntegerAssembler } from './x64/integer.ts';
import { mem, r8, r9, r10, rax, rcx, rdi, rdx, rsi } from './x64/registers.ts';

type Emit = (a: IntegerAssembler, args: typeof rdi) => void;

/** A kernel that does `body` for each grid index in rsi. */
function loopKernel(body: Emit): number {
  const a = new IntegerAssembler();
  const [again, done] = [a.newLabel(), a.newLabel()];
  a.bind(again);
  a.cmp(rsi, rdx);
  a.jcc('ge', done);
  body(a, rdi);
  a.inc(rsi);
  a.jmp(again);
  a.bind(done);
  a.ret();
  return codeHeap().install([a.finish()])[0];
}

/** args[0][index] += 1 */
const count = loopKernel((a, args) => {
  a.mov(r8, mem(args, 0));
  a.mov32(rax, 1);
  a.lockXadd32(mem(r8, 0, rsi, 4), rax);
});
/** args[1][index] = args[0][args[2] - index] + 1 */
const reverse = loopKernel((a, args) => {
  a.mov(r8, mem(args, 0));
  a.mov(r9, mem(args, 8));
  a.mov(r10, mem(args, 16));
  a.sub(r10, rsi);
  a.mov32(rax, mem(r8, 0, r10, 4));
  a.inc32(rax);
  a.mov32(mem(r9, 0, rsi, 4), rax);
});
/** args[0][index] = scratch, after the first and last word of the scratch memory were written. */
const scratch = loopKernel((a, args) => {
  a.mov(mem(rcx, 0), rsi);
  a.mov(mem(rcx, SCRATCH_BYTES - 8), rsi);
  a.mov(r8, mem(args, 0));
  a.mov(mem(r8, 0, rsi, 8), rcx);
});

function array(length: number): { address: number; values: Uint32Array } {
  const { address } = nativeHeap().alloc(length * 4);
  const bytes = nativeHeap()
    .bytesAt(address, length * 4)
    .fill(0);
  return { address, values: new Uint32Array(bytes.buffer, bytes.byteOffset, length) };
}

function argsBlock(...values: number[]): number {
  const { address } = nativeHeap().alloc(values.length * 8);
  const bytes = nativeHeap().bytesAt(address, values.length * 8);
  new BigUint64Array(bytes.buffer, bytes.byteOffset, values.length).set(values.map(BigInt));
  return address;
}

let seed = 7;
const random = (n: number): number => {
  seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
  return seed % n;
};
const sleep = (ms: number): void => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);

afterAll(stopPool);

describe('native programs', () => {
  test.each([1, 2, 4])('every index runs exactly once per program in 1,000 random programs on %i threads', (threads) => {
    setNumThreads(threads);
    expect(getNumThreads()).toBe(threads);
    const counters = array(4096);
    for (let trial = 0; trial < 1000; trial++) {
      let used = 0;
      const expected = new Uint32Array(4096);
      const newTask = (): NativeTask => {
        const base = random(3) === 0 ? random(2048) : used % 2048;
        const length = random(4) === 0 ? random(3) : random(500);
        used = base + length;
        for (let i = 0; i < length; i++) expected[base + i]++;
        return { fn: count, args: argsBlock(counters.address + base * 4), count: length, grain: 1 + random(random(2) ? 100 : 3) };
      };
      const stages = Array.from({ length: random(6) }, () => ({ tasks: Array.from({ length: random(5) }, newTask) }));
      counters.values.fill(0);
      const program = new NativeProgram(stages);
      program.run();
      if (trial % 10 === 0) {
        program.run();
        for (let i = 0; i < 4096; i++) expected[i] *= 2;
      }
      if (counters.values.some((value, i) => value !== expected[i])) expect(counters.values).toEqual(expected);
      program.dispose();
    }
  });

  test.each([1, 2, 4])('a stage sees everything that the stage before wrote, on %i threads', (threads) => {
    setNumThreads(threads);
    const length = 3000;
    const [a, b] = [array(length), array(length)];
    const forth = argsBlock(a.address, b.address, length - 1);
    const back = argsBlock(b.address, a.address, length - 1);
    // One-tile stages in between run on the calling thread alone: the order must hold across them as well.
    const stages = Array.from({ length: 40 }, (_, i) => ({
      tasks: [{ fn: reverse, args: i % 2 ? back : forth, count: length, grain: i % 5 === 4 ? length : 1 + ((i * 37) % 200) }],
    }));
    const program = new NativeProgram(stages);
    for (let run = 1; run <= 200; run++) {
      program.run();
      if (a.values.some((value) => value !== run * 40)) expect([...new Set(a.values)]).toEqual([run * 40]);
    }
    program.dispose();
  });

  test('counts may change before each run, also to nothing', () => {
    setNumThreads(2);
    const counters = array(1000);
    const program = new NativeProgram([
      {
        tasks: [
          { fn: count, args: argsBlock(counters.address), count: 10, grain: 4 },
          { fn: count, args: argsBlock(counters.address + 2000), count: 5, grain: 1 },
        ],
      },
    ]);
    for (const [first, second] of [
      [10, 5],
      [0, 0],
      [400, 0],
      [0, 500],
      [1, 1],
    ]) {
      program.setCount(0, 0, first);
      program.setCount(0, 1, second);
      counters.values.fill(0);
      program.run();
      expect(counters.values.findLastIndex((value, i) => i < 500 && value === 1) + 1).toBe(first);
      expect(counters.values.filter((value) => value === 1).length).toBe(first + second);
      expect(counters.values.filter((value) => value > 1).length).toBe(0);
    }
    program.dispose();
    expect(() => program.run()).toThrow('internal: a native program was run after dispose');
  });

  test('each thread has its own aligned scratch memory', () => {
    setNumThreads(4);
    const out = nativeHeap().alloc(4000 * 8);
    const program = new NativeProgram([{ tasks: [{ fn: scratch, args: argsBlock(out.address), count: 4000, grain: 1 }] }]);
    const seen = new Set<bigint>();
    for (let run = 0; run < 50; run++) {
      program.run();
      const bytes = nativeHeap().bytesAt(out.address, 4000 * 8);
      for (const address of new BigUint64Array(bytes.buffer, bytes.byteOffset, 4000)) seen.add(address);
    }
    const addresses = [...seen].map(Number).sort((x, y) => x - y);
    expect(addresses.length).toBeGreaterThan(1);
    expect(addresses.length).toBeLessThanOrEqual(4);
    addresses.forEach((address, i) => {
      expect(address % 64).toBe(0);
      if (i > 0) expect(address - addresses[i - 1]).toBeGreaterThanOrEqual(SCRATCH_BYTES);
    });
  });

  test('workers that went to sleep are woken, and restarted after a stop', () => {
    setNumThreads(3);
    const counters = array(100);
    const program = new NativeProgram([{ tasks: [{ fn: count, args: argsBlock(counters.address), count: 100, grain: 1 }] }]);
    for (let run = 1; run <= 60; run++) {
      program.run();
      sleep(run % 3);
      if (run % 10 === 0) stopPool();
      expect(counters.values.every((value) => value === run)).toBe(true);
    }
    program.dispose();
  });

  test('when run returns no worker looks at the program any more', () => {
    setNumThreads(4);
    const [counters, trespasses] = [array(16), array(16)];
    const inside = { fn: count, args: argsBlock(counters.address), count: 16, grain: 1 };
    const outside = { fn: count, args: argsBlock(trespasses.address), count: 16, grain: 1 };
    for (let trial = 0; trial < 20_000; trial++) {
      const program = new NativeProgram([{ tasks: [inside] }]);
      program.run();
      program.dispose();
      // Takes the same memory and offers tiles that nobody may take.
      const bait = new NativeProgram([{ tasks: [outside] }]);
      bait.layTiles();
      bait.dispose();
    }
    expect(trespasses.values.every((value) => value === 0)).toBe(true);
    expect(counters.values.every((value) => value === 20_000)).toBe(true);
  });

  test('stages are timed when asked', () => {
    const counters = array(100_000);
    const args = argsBlock(counters.address);
    const program = new NativeProgram(
      [{ tasks: [{ fn: count, args, count: 100_000, grain: 1000 }] }, { tasks: [{ fn: count, args, count: 1, grain: 1 }] }],
      { profile: true },
    );
    program.run();
    const [long, short] = program.stageTicks();
    expect(long.end - long.begin).toBeGreaterThan(short.end - short.begin);
    expect(short.begin).toBeGreaterThanOrEqual(long.end);
    program.dispose();
  });
});

describe('one pool per process', () => {
  const fs = process.getBuiltinModule('node:fs');
  const path = process.getBuiltinModule('node:path');
  const folder = path.resolve(`node_modules/.cache/magpie-pool-test-${process.pid}`);
  afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));

  /** A second copy of the package in plain JS, for Node itself. */
  async function compileCopy(): Promise<string> {
    const { default: ts } = await import('typescript');
    const names = ['os', 'memory', 'pool', 'pool-code', 'x64/integer', 'x64/registers', 'x64/code-buffer'];
    const files = ['util/flags.ts', ...names.map((name) => `backend/cpu/${name}.ts`)];
    fs.mkdirSync(path.join(folder, 'backend/cpu/x64'), { recursive: true });
    fs.mkdirSync(path.join(folder, 'util'), { recursive: true });
    fs.writeFileSync(path.join(folder, 'package.json'), '{"type":"module"}');
    for (const file of files) {
      const source = fs.readFileSync(path.join(import.meta.dirname, '../..', file), 'utf8');
      const { outputText } = ts.transpileModule(source, {
        compilerOptions: { target: ts.ScriptTarget.ES2023, module: ts.ModuleKind.ESNext, rewriteRelativeImportExtensions: true },
      });
      fs.writeFileSync(path.join(folder, file.replace('.ts', '.js')), outputText);
    }
    fs.writeFileSync(
      path.join(folder, 'job.js'),
      `import { isMainThread, parentPort } from 'node:worker_threads';
       import { codeHeap, nativeHeap } from './backend/cpu/memory.js';
       import { getNumThreads, NativeProgram } from './backend/cpu/pool.js';
       // for (; rsi < rdx; rsi++) ((u32*)args[0])[rsi]++
       const [fn] = codeHeap().install([Uint8Array.of(0x48,0x8b,0x07, 0x48,0x39,0xd6, 0x7d,0x08, 0xff,0x04,0xb0, 0x48,0xff,0xc6, 0xeb,0xf3, 0xc3)]);
       const heap = nativeHeap(), n = 500, data = heap.alloc(n * 4), args = heap.alloc(8);
       const bytes = heap.bytesAt(data.address, n * 4).fill(0), counters = new Uint32Array(bytes.buffer, bytes.byteOffset, n);
       const word = heap.bytesAt(args.address, 8);
       new BigUint64Array(word.buffer, word.byteOffset, 1)[0] = BigInt(data.address);
       const stage = { tasks: [{ fn, args: args.address, count: n, grain: 7 }] };
       const program = new NativeProgram([stage, stage, { tasks: [{ ...stage.tasks[0], grain: n }] }, stage]);
       for (let i = 0; i < 2000; i++) program.run();
       const result = { wrong: counters.filter((value) => value !== 8000).length, threads: getNumThreads() };
       if (isMainThread) console.log(JSON.stringify(result)); else parentPort.postMessage(result);`,
    );
    return path.join(folder, 'job.js');
  }

  test('two worker_threads and this thread run programs at once without a deadlock or a lost tile', async () => {
    const { Worker } = process.getBuiltinModule('node:worker_threads');
    const job = await compileCopy();
    setNumThreads(3);
    const results = Promise.all(
      [0, 1].map(
        () =>
          new Promise<unknown>((resolve, reject) => {
            const worker = new Worker(job);
            let message: unknown;
            worker.on('message', (value) => {
              message = value;
            });
            worker.on('error', reject);
            worker.on('exit', () => resolve(message));
          }),
      ),
    );
    const counters = array(400);
    const program = new NativeProgram([{ tasks: [{ fn: count, args: argsBlock(counters.address), count: 400, grain: 3 }] }]);
    let finished = false;
    const watched = results.finally(() => {
      finished = true;
    });
    let runs = 0;
    while (!finished) {
      for (let i = 0; i < 100; i++, runs++) program.run();
      await new Promise((resolve) => setImmediate(resolve));
    }
    // Three threads, also where nobody said so: the number belongs to the process.
    expect(await watched).toEqual([
      { wrong: 0, threads: 3 },
      { wrong: 0, threads: 3 },
    ]);
    expect(counters.values.every((value) => value === runs)).toBe(true);
  }, 60_000);

  test('Node exits by itself, with workers asleep or spinning, and obeys MAGPIE_THREADS', async () => {
    const job = await compileCopy();
    const { spawnSync } = process.getBuiltinModule('node:child_process');
    for (const threads of ['1', '2', '4']) {
      const { stdout, status, signal } = spawnSync(process.execPath, [job], {
        env: { ...process.env, MAGPIE_THREADS: threads },
        encoding: 'utf8',
        timeout: 20_000,
      });
      expect({ stdout: JSON.parse(stdout), status, signal }).toEqual({
        stdout: { wrong: 0, threads: Number(threads) },
        status: 0,
        signal: null,
      });
    }
    const refused = spawnSync(process.execPath, [job], { env: { ...process.env, MAGPIE_THREADS: 'many' }, encoding: 'utf8' });
    expect(refused.stderr).toContain("MAGPIE_THREADS must be a number, got 'many'");
  }, 60_000);
});

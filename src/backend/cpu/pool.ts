/**
 * The thread pool of the native `cpu` device and the programs it runs; the loops themselves are in `pool-code.ts`.
 *
 * There is one pool in a process, whatever loads the package twice and however many worker_threads use it: its control block lies at an
 * agreed address which the first comer claims, and with it come the emitted code, the worker threads and a lock that lets one program
 * run at a time. (Should something else lie there, the JS thread gets a pool of its own.) That block and the code are never unmapped, so
 * no order of unloading can pull them from under a running worker. Workers start at the first program that can use them, spin for
 * some 75 us after each, then sleep; asleep they neither keep the process alive nor cost anything.
 *
 * A program is split into the same tiles whatever the number of threads, so results do not depend on it.
 */
import { flags } from '../../util/flags.ts';
import { type NativeBlock, nativeHeap } from './memory.ts';
import { type NativeFunction, type NativeOs, requireOs, roundUp } from './os.ts';
import {
  control,
  emitPoolCode,
  PROFILE,
  program as programLayout,
  stage as stageLayout,
  startBlock,
  task as taskLayout,
} from './pool-code.ts';

/** Private memory of each thread, handed to kernels as their fourth argument; 64-byte aligned. */
export const SCRATCH_BYTES = 256 << 10;

export type NativeTask = {
  /** `void kernel(u64* args, i64 begin, i64 end, u64 scratch)` */
  readonly fn: number;
  readonly args: number;
  /** Number of grid indices; 0 leaves the task out. */
  readonly count: number;
  /** Grid indices per call. */
  readonly grain: number;
};
/** Tasks of one stage may run at the same time; a stage begins when the one before has ended. */
export type NativeStage = { readonly tasks: readonly NativeTask[] };

/** The version of the layout is part of the address: different releases in one process do not share. */
const RENDEZVOUS = 0x6d61_6770_0000;
const MAGIC = 0x6d61_6770_6965_01n;
/** 50 to 100 us at the 2 to 4 GHz of usual time stamp counters. */
const SPIN_TICKS = 200_000n;
const MOST_THREADS = 512;

class Pool {
  readonly #os: NativeOs;
  readonly address: number;
  readonly #words: BigUint64Array;
  readonly #acquire: NativeFunction;
  readonly #release: NativeFunction;
  readonly #rouse: NativeFunction;
  readonly runProgram: NativeFunction;

  constructor(os: NativeOs) {
    this.#os = os;
    const opened = openControl(os);
    this.address = opened.address;
    this.#words = opened.words;
    const code = (offset: number): NativeFunction => os.callable(this.#read(offset));
    this.runProgram = code(control.runCode);
    this.#acquire = code(control.acquireCode);
    this.#release = code(control.releaseCode);
    this.#rouse = code(control.rouseCode);
    // Only the main thread's end is the process's end.
    if (os.isMainThread) os.onExit(() => this.#end());
  }

  get threads(): number {
    return this.#read(control.threads);
  }

  get workers(): number {
    return this.#read(control.workers);
  }

  setThreads(count: number): void {
    this.#exclusively(() => {
      if (count - 1 < this.workers) this.#stopWorkers();
      this.#write(control.threads, Math.min(count, MOST_THREADS));
    });
  }

  /** Starts the workers that are missing. When the system refuses one, the pool goes on with those it has. */
  start(): void {
    this.#exclusively(() => {
      for (let index = this.workers; index < this.threads - 1; index++) {
        const handle = control.handles + index * 16;
        if (this.#read(handle + 8) === 0) this.#write(handle + 8, newStartBlock(this.#os, this.address));
        try {
          this.#write(handle, this.#os.startThread(this.#read(control.workerCode), this.#read(handle + 8)));
        } catch {
          this.#write(control.threads, index + 1);
          return;
        }
        this.#write(control.workers, index + 1);
      }
    });
  }

  /** Joins the workers. Programs still run afterwards, and start new workers unless the process is ending. */
  stop(): void {
    this.#exclusively(() => this.#stopWorkers());
  }

  #end(): void {
    this.#exclusively(() => {
      this.#stopWorkers();
      this.#write(control.threads, 1);
    });
  }

  #stopWorkers(): void {
    const count = this.workers;
    if (count === 0) return;
    this.#write(control.stop, 1);
    this.#rouse(this.address);
    for (let index = 0; index < count; index++) this.#os.joinThread(this.#read(control.handles + index * 16));
    this.#write(control.workers, 0);
    this.#write(control.stop, 0);
  }

  #exclusively(work: () => void): void {
    this.#acquire(this.address);
    try {
      work();
    } finally {
      this.#release(this.address);
    }
  }

  #read(offset: number): number {
    return Number(this.#words[offset / 8]);
  }

  #write(offset: number, value: number): void {
    this.#words[offset / 8] = BigInt(value);
  }
}

/** Claims the process's control block or finds it. */
function openControl(os: NativeOs): { address: number; words: BigUint64Array } {
  const wordsAt = (address: number): BigUint64Array => new BigUint64Array(os.view(address, control.bytes));
  if (os.claim(RENDEZVOUS, control.bytes) === 'created') {
    const words = wordsAt(RENDEZVOUS);
    fillControl(os, words);
    return { address: RENDEZVOUS, words };
  }
  const words = wordsAt(RENDEZVOUS);
  // The magic number is written last: another JS thread may be emitting the code at this moment.
  const pause = new Int32Array(new SharedArrayBuffer(4));
  for (let attempt = 0; attempt < 1000; attempt++) {
    if (words[control.magic / 8] === MAGIC) return { address: RENDEZVOUS, words };
    Atomics.wait(pause, 0, 0, 1);
  }
  const address = os.map(control.bytes);
  const own = wordsAt(address);
  fillControl(os, own);
  return { address, words: own };
}

function fillControl(os: NativeOs, words: BigUint64Array): void {
  const { code, run, worker, acquire, release, rouse } = emitPoolCode();
  const bytes = roundUp(code.length, os.pageBytes);
  const address = os.map(bytes);
  new Uint8Array(os.view(address, bytes)).set(code);
  os.protect(address, bytes, 'read-execute');
  const set = (offset: number, value: number): void => {
    words[offset / 8] = BigInt(value);
  };
  set(control.runCode, address + run);
  set(control.workerCode, address + worker);
  set(control.acquireCode, address + acquire);
  set(control.releaseCode, address + release);
  set(control.rouseCode, address + rouse);
  set(control.scratch, os.map(SCRATCH_BYTES));
  set(control.threads, Math.min(defaultThreads(os), MOST_THREADS));
  words[control.spinTicks / 8] = SPIN_TICKS;
  words[control.magic / 8] = MAGIC;
}

/** What a worker is told at its start, and its scratch memory behind; the next worker in its place gets the same. */
function newStartBlock(os: NativeOs, controlAddress: number): number {
  const address = os.map(os.pageBytes + SCRATCH_BYTES);
  const words = new BigUint64Array(os.view(address, startBlock.bytes));
  words[startBlock.control / 8] = BigInt(controlAddress);
  words[startBlock.scratch / 8] = BigInt(address + os.pageBytes);
  return address;
}

function defaultThreads(os: NativeOs): number {
  return flags.threads === 0 ? os.availableCores() : checkThreads(flags.threads, 'MAGPIE_THREADS');
}

function checkThreads(count: number, what: string): number {
  if (!Number.isInteger(count) || count < 1) throw new Error(`${what}: expected a positive number of threads`);
  return count;
}

/** One per JS thread; all of a process's meet in the same control block. */
function threadPool(): Pool {
  const holder = globalThis as { [key: symbol]: Pool | undefined };
  const key = Symbol.for('torch-magpie.cpu-pool');
  holder[key] ??= new Pool(requireOs());
  return holder[key];
}

/** How many threads take part in a program, the calling one included; for the whole process. */
export function getNumThreads(): number {
  return threadPool().threads;
}

export function setNumThreads(count: number): void {
  threadPool().setThreads(checkThreads(count, 'set_num_threads'));
}

/** Joins all workers of the process; the next program that can use them starts them again. */
export function stopPool(): void {
  threadPool().stop();
}

export class NativeProgram {
  readonly #pool = threadPool();
  readonly #block: NativeBlock;
  readonly #stages: { readonly offset: number; readonly tasks: { readonly offset: number; count: number; readonly grain: number }[] }[] =
    [];
  readonly #words: Uint32Array;
  readonly #address: number;
  #parallel = false;
  #changed = true;

  constructor(stages: readonly NativeStage[], options: { readonly profile?: boolean } = {}) {
    const tasks = stages.reduce((total, { tasks }) => total + tasks.length, 0);
    const bytes = programLayout.bytes + stages.length * stageLayout.bytes + tasks * taskLayout.bytes;
    const heap = nativeHeap();
    this.#block = heap.alloc(bytes);
    this.#address = this.#block.address;
    const view = heap.bytesAt(this.#address, bytes).fill(0);
    this.#words = new Uint32Array(view.buffer, view.byteOffset, bytes / 4);
    const firstTask = programLayout.bytes + stages.length * stageLayout.bytes;
    this.#write(programLayout.firstStage, this.#address + programLayout.bytes);
    this.#write(programLayout.endStage, this.#address + firstTask);
    this.#write(programLayout.flags, options.profile ? PROFILE : 0);
    let taskOffset = firstTask;
    stages.forEach((stage, index) => {
      const offset = programLayout.bytes + index * stageLayout.bytes;
      this.#write(offset + stageLayout.firstTask, this.#address + taskOffset);
      const records = stage.tasks.map(({ fn, args, count, grain }) => {
        if (!(Number.isSafeInteger(grain) && grain > 0)) throw new Error(`internal: a task's grain is ${grain}`);
        const record = { offset: taskOffset, count: checkCount(count), grain };
        this.#write(taskOffset + taskLayout.fn, fn);
        this.#write(taskOffset + taskLayout.args, args);
        this.#write(taskOffset + taskLayout.grain, grain);
        taskOffset += taskLayout.bytes;
        return record;
      });
      this.#write(offset + stageLayout.endTask, this.#address + taskOffset);
      this.#stages.push({ offset, tasks: records });
    });
  }

  /** Changes the number of grid indices of one task, for symbolic sizes. Not while it runs. */
  setCount(stage: number, task: number, count: number): void {
    const record = this.#stages[stage].tasks[task];
    if (record.count === count) return;
    record.count = checkCount(count);
    this.#changed = true;
  }

  /** Runs all stages and returns when the last has ended. */
  run(): void {
    if (this.#changed) this.layTiles();
    const pool = this.#pool;
    if (this.#parallel && pool.workers + 1 < pool.threads) pool.start();
    pool.runProgram(this.#address, pool.address);
  }

  /** Time stamp counter at the beginning and the end of each stage of the last run; needs `profile`. */
  stageTicks(): { readonly begin: number; readonly end: number }[] {
    return this.#stages.map(({ offset }) => ({
      begin: this.#read(offset + stageLayout.beginTicks),
      end: this.#read(offset + stageLayout.endTicks),
    }));
  }

  dispose(): void {
    this.#changed = true;
    nativeHeap().free(this.#block);
  }

  /** Numbers the tiles of each stage over its tasks, and notes where the parallel part ends. `run` does it when a count has changed. */
  layTiles(): void {
    if (this.#block.address === 0) throw new Error('internal: a native program was run after dispose');
    let lastParallel = 0;
    let widest = 0;
    for (const { offset, tasks } of this.#stages) {
      let tiles = 0;
      for (const record of tasks) {
        this.#write(record.offset + taskLayout.count, record.count);
        this.#write(record.offset + taskLayout.firstTile, tiles);
        tiles += Math.ceil(record.count / record.grain);
        this.#write(record.offset + taskLayout.endTile, tiles);
      }
      this.#write(offset + stageLayout.total, tiles);
      if (tiles > 1) lastParallel = this.#address + offset;
      widest = Math.max(widest, tiles);
    }
    this.#write(programLayout.lastParallelStage, lastParallel);
    this.#write(programLayout.helpers, Math.min(Math.max(0, widest - 1), MOST_THREADS));
    this.#parallel = lastParallel !== 0;
    this.#changed = false;
  }

  #write(offset: number, value: number): void {
    this.#words[offset / 4] = value;
    this.#words[offset / 4 + 1] = value / 2 ** 32;
  }

  #read(offset: number): number {
    return this.#words[offset / 4] + this.#words[offset / 4 + 1] * 2 ** 32;
  }
}

function checkCount(count: number): number {
  if (!(Number.isSafeInteger(count) && count >= 0)) throw new Error(`internal: a task's count is ${count}`);
  return count;
}

/**
 * The emitted code of the thread pool, and the layout of everything it shares with JS.
 *
 * A program is a list of stages, a stage a list of tasks, a task one kernel over a grid cut into tiles. `run` works on the calling thread
 * and opens the program to the workers at the first stage with more than one tile. Whoever takes part walks the stages alone: take tiles from
 * the stage's `next` counter until none is left, add the number finished to `done`, wait until `done` is the total, go on. Nobody waits
 * for a worker that has no tile, so one that is still waking up (50 us) delays nothing; it joins at the leader's stage.
 *
 * Why it is safe. A worker raises `active` with a locked instruction before it reads `program`; the leader clears `program` with a locked
 * instruction before it reads `active`, and waits for 0. So either the worker sees no program or the leader waits for it: after `run`
 * nobody looks at the program's memory. Counters are reset only by whoever opens, when nobody is inside. Sleep is the same pattern
 * with `sleepers` and `sequence`. `lock` (a futex mutex: 0 free, 1 taken, 2 waited for) lets one program run at a time in the process.
 *
 * Kernel ABI (System V): `void kernel(u64* args, i64 begin, i64 end, u64 scratch)`, callee-saved registers preserved.
 */
import { linuxCalls } from './os.ts';
import { IntegerAssembler } from './x64/integer.ts';
import { type Gpr, mem, r8, r10, r12, r13, r14, r15, rax, rbp, rbx, rcx, rdi, rdx, rsi, rsp } from './x64/registers.ts';

/** Byte offsets. What one side writes while the other spins has a cache line of its own. */
export const control = {
  magic: 0,
  lock: 64,
  sequence: 128,
  program: 136,
  stop: 144,
  stage: 192,
  active: 256,
  sleepers: 320,
  workers: 384,
  threads: 392,
  scratch: 400,
  spinTicks: 408,
  runCode: 416,
  workerCode: 424,
  acquireCode: 432,
  releaseCode: 440,
  rouseCode: 448,
  /** Per worker its thread handle and the address of its start block. */
  handles: 4096,
  bytes: 16384,
} as const;

export const startBlock = { control: 0, scratch: 8, bytes: 64 } as const;
/** `helpers`: how many sleepers are worth waking, the tiles of the widest stage less one. */
export const program = { firstStage: 0, endStage: 8, lastParallelStage: 16, flags: 24, helpers: 32, bytes: 64 } as const;
export const stage = { firstTask: 0, endTask: 8, total: 16, beginTicks: 24, endTicks: 32, next: 64, done: 128, bytes: 192 } as const;
export const task = { fn: 0, args: 8, count: 16, grain: 24, firstTile: 32, endTile: 40, bytes: 64 } as const;

/** In `program.flags`: the leader notes the time stamp counter before and after every stage. */
export const PROFILE = 1;

/** Pauses before a waiting thread offers its core to others: more threads than cores must not wait out time slices. */
const PATIENCE = 1000;

export type PoolCode = {
  readonly code: Uint8Array;
  /** `void run(program, control)` */
  readonly run: number;
  /** `void* worker(startBlock)`, a thread's entry. */
  readonly worker: number;
  /** `void acquire(control)`, `void release(control)`: the lock, for JS that starts or stops workers. */
  readonly acquire: number;
  readonly release: number;
  /** `void rouse(control)`: changes the sequence and wakes all sleepers, so that each looks at `stop`. */
  readonly rouse: number;
};

/** Registers throughout: rbp control, r15 scratch, rbx stage, r13 end of stages. */
export function emitPoolCode(): PoolCode {
  const a = new IntegerAssembler();
  const workStage = a.newLabel();
  const serialStage = a.newLabel();
  const close = a.newLabel();
  const lock = a.newLabel();
  const unlock = a.newLabel();
  const saved = [rbx, rbp, r12, r13, r14, r15];
  // Six registers, the return address and one more word keep the stack at a multiple of 16.
  const enter = (): void => {
    for (const register of saved) a.push(register);
    a.sub(rsp, 8);
  };
  const leave = (): void => {
    a.add(rsp, 8);
    for (const register of saved.toReversed()) a.pop(register);
    a.ret();
  };
  const entry = (): number => {
    a.align(64);
    return a.length;
  };
  const lockAdd = (offset: number, value: number): void => {
    a.mov(rax, value);
    a.lockXadd(mem(rbp, offset), rax);
  };
  const readTicks = (destination: Gpr): void => {
    a.rdtsc();
    a.shl(rdx, 32);
    a.or(rax, rdx);
    if (destination !== rax) a.mov(destination, rax);
  };
  const futex = (offset: number, operation: number): void => {
    a.lea(rdi, mem(rbp, offset));
    a.mov(rsi, operation);
    a.mov32(r10, 0);
    a.mov32(rax, linuxCalls.futex);
    a.syscall();
  };
  /** Repeats `check` (which jumps away when satisfied) with pauses, and with yields when it takes long. Clobbers rcx, rax, r11. */
  const waitPatiently = (check: () => void): void => {
    const again = a.newLabel();
    a.mov32(rcx, PATIENCE);
    a.bind(again);
    check();
    a.pause();
    a.dec32(rcx);
    a.jcc('ne', again);
    a.mov32(rax, linuxCalls.schedYield);
    a.syscall();
    a.mov32(rcx, PATIENCE / 10);
    a.jmp(again);
  };
  /** One call of the kernel of task r14; rsi begins, rdx is cut to the count. */
  const callKernel = (): void => {
    a.mov(rax, mem(r14, task.count));
    a.cmp(rdx, rax);
    a.cmov('a', rdx, rax);
    a.mov(rdi, mem(r14, task.args));
    a.mov(rcx, r15);
    a.call(mem(r14, task.fn));
  };

  const run = entry();
  {
    const [stages, parallel, alone, opened, after, finished, unprofiled, unprofiledEnd] = Array.from({ length: 8 }, () => a.newLabel());
    enter();
    a.mov(r12, rdi);
    a.mov(rbp, rsi);
    a.call(lock);
    a.mov(r15, mem(rbp, control.scratch));
    a.mov(rbx, mem(r12, program.firstStage));
    a.mov(r13, mem(r12, program.endStage));
    a.bind(stages);
    a.cmp(rbx, r13);
    a.jcc('ae', finished);
    a.test(mem(r12, program.flags), PROFILE);
    a.jcc('e', unprofiled);
    readTicks(rax);
    a.mov(mem(rbx, stage.beginTicks), rax);
    a.bind(unprofiled);
    a.cmp(mem(rbx, stage.total), 1);
    a.jcc('a', parallel);
    a.bind(alone);
    a.call(serialStage);
    // Workers that are inside wait for this, everybody else ignores it.
    a.mov(rax, mem(rbx, stage.total));
    a.mov(mem(rbx, stage.done), rax);
    a.jmp(after);

    a.bind(parallel);
    a.cmp(mem(rbp, control.workers), 0);
    a.jcc('e', alone);
    a.mov(mem(rbp, control.stage), rbx);
    a.cmp(mem(rbp, control.program), 0);
    a.jcc('ne', opened);
    // Open: reset the counters of all stages to come, publish, wake. Stages of one tile are never handed out.
    const reset = a.newLabel();
    a.mov(rcx, rbx);
    a.bind(reset);
    a.mov32(rdx, 0);
    a.mov(rax, mem(rcx, stage.total));
    a.cmp(rax, 1);
    a.cmov('a', rax, rdx);
    a.mov(mem(rcx, stage.next), rax);
    a.mov(mem(rcx, stage.done), rdx);
    a.add(rcx, stage.bytes);
    a.cmp(rcx, r13);
    a.jcc('b', reset);
    a.mov(mem(rbp, control.program), r12);
    lockAdd(control.sequence, 1);
    a.cmp(mem(rbp, control.sleepers), 0);
    a.jcc('e', opened);
    a.mov(rdx, mem(r12, program.helpers));
    futex(control.sequence, linuxCalls.futexWake);
    a.bind(opened);
    a.call(workStage);
    a.cmp(rbx, mem(r12, program.lastParallelStage));
    a.jcc('ne', after);
    a.call(close);

    a.bind(after);
    a.test(mem(r12, program.flags), PROFILE);
    a.jcc('e', unprofiledEnd);
    readTicks(rax);
    a.mov(mem(rbx, stage.endTicks), rax);
    a.bind(unprofiledEnd);
    a.add(rbx, stage.bytes);
    a.jmp(stages);
    a.bind(finished);
    a.call(unlock);
    leave();
  }

  const worker = entry();
  {
    const [idle, spin, changed, awake, stages, out, exit] = Array.from({ length: 7 }, () => a.newLabel());
    enter();
    a.mov(rbp, mem(rdi, startBlock.control));
    a.mov(r15, mem(rdi, startBlock.scratch));
    a.mov32(r12, mem(rbp, control.sequence));
    // A stop that came before this thread read the sequence would not change it again.
    a.cmp(mem(rbp, control.stop), 0);
    a.jcc('ne', exit);
    a.bind(idle);
    readTicks(r14);
    a.bind(spin);
    a.mov32(rax, mem(rbp, control.sequence));
    a.cmp32(rax, r12);
    a.jcc('ne', changed);
    a.pause();
    readTicks(rax);
    a.sub(rax, r14);
    a.cmp(rax, mem(rbp, control.spinTicks));
    a.jcc('b', spin);
    lockAdd(control.sleepers, 1);
    a.cmp32(r12, mem(rbp, control.sequence));
    a.jcc('ne', awake);
    a.mov32(rdx, r12);
    futex(control.sequence, linuxCalls.futexWait);
    a.bind(awake);
    lockAdd(control.sleepers, -1);
    a.jmp(idle);

    a.bind(changed);
    a.mov32(r12, rax);
    a.cmp(mem(rbp, control.stop), 0);
    a.jcc('ne', exit);
    lockAdd(control.active, 1);
    a.mov(rax, mem(rbp, control.program));
    a.test(rax, rax);
    a.jcc('e', out);
    a.mov(r13, mem(rax, program.lastParallelStage));
    a.mov(rbx, mem(rbp, control.stage));
    a.bind(stages);
    a.call(workStage);
    a.cmp(rbx, r13);
    a.jcc('ae', out);
    a.add(rbx, stage.bytes);
    a.jmp(stages);
    a.bind(out);
    lockAdd(control.active, -1);
    a.jmp(idle);
    a.bind(exit);
    a.mov32(rax, 0);
    leave();
  }

  // Takes tiles of stage rbx until none is left, then waits for the others' tiles.
  entry();
  a.bind(workStage);
  {
    const [next, find, found, out, wait, finished] = Array.from({ length: 6 }, () => a.newLabel());
    a.push(r12);
    a.mov32(r12, 0);
    a.mov(r14, mem(rbx, stage.firstTask));
    a.bind(next);
    // Read before the locked add: late comers must not take the line from those who work.
    a.mov(rax, mem(rbx, stage.next));
    a.cmp(rax, mem(rbx, stage.total));
    a.jcc('ae', out);
    a.mov32(rax, 1);
    a.lockXadd(mem(rbx, stage.next), rax);
    a.cmp(rax, mem(rbx, stage.total));
    a.jcc('ae', out);
    // One thread's tiles only rise, so the task only moves forward.
    a.bind(find);
    a.cmp(rax, mem(r14, task.endTile));
    a.jcc('b', found);
    a.add(r14, task.bytes);
    a.jmp(find);
    a.bind(found);
    a.sub(rax, mem(r14, task.firstTile));
    a.mov(rdx, mem(r14, task.grain));
    a.imul(rax, rdx);
    a.mov(rsi, rax);
    a.add(rdx, rax);
    callKernel();
    a.inc(r12);
    a.jmp(next);
    a.bind(out);
    a.test(r12, r12);
    a.jcc('e', wait);
    // Non-temporal stores of kernels become visible before the count does.
    a.sfence();
    a.lockXadd(mem(rbx, stage.done), r12);
    a.bind(wait);
    waitPatiently(() => {
      a.mov(rax, mem(rbx, stage.done));
      a.cmp(rax, mem(rbx, stage.total));
      a.jcc('ae', finished);
    });
    a.bind(finished);
    a.pop(r12);
    a.ret();
  }

  // All tiles of stage rbx in order on this thread: the same calls that many threads would make.
  entry();
  a.bind(serialStage);
  {
    const [tasks, tiles, nextTask, out] = Array.from({ length: 4 }, () => a.newLabel());
    a.push(r12);
    a.mov(r14, mem(rbx, stage.firstTask));
    a.bind(tasks);
    a.cmp(r14, mem(rbx, stage.endTask));
    a.jcc('ae', out);
    a.mov32(r12, 0);
    a.bind(tiles);
    a.cmp(r12, mem(r14, task.count));
    a.jcc('ae', nextTask);
    a.mov(rsi, r12);
    a.add(r12, mem(r14, task.grain));
    a.mov(rdx, r12);
    callKernel();
    a.jmp(tiles);
    a.bind(nextTask);
    a.add(r14, task.bytes);
    a.jmp(tasks);
    a.bind(out);
    a.sfence();
    a.pop(r12);
    a.ret();
  }

  // Ends the parallel part: nobody enters any more, and whoever is inside has left.
  entry();
  a.bind(close);
  {
    const closed = a.newLabel();
    a.mov32(rax, 0);
    a.xchg(mem(rbp, control.program), rax);
    waitPatiently(() => {
      a.cmp(mem(rbp, control.active), 0);
      a.jcc('e', closed);
    });
    a.bind(closed);
    a.ret();
  }

  entry();
  a.bind(lock);
  {
    const [taken, sleep, spin, got] = Array.from({ length: 4 }, () => a.newLabel());
    a.mov32(r8, PATIENCE);
    a.bind(spin);
    a.mov32(rax, 0);
    a.mov32(rcx, 1);
    a.lockCmpxchg32(mem(rbp, control.lock), rcx);
    a.jcc('ne', taken);
    a.bind(got);
    a.ret();
    a.bind(taken);
    a.pause();
    a.dec32(r8);
    a.jcc('ne', spin);
    a.bind(sleep);
    a.mov32(rax, 2);
    a.xchg32(mem(rbp, control.lock), rax);
    a.test32(rax, rax);
    a.jcc('e', got);
    a.mov32(rdx, 2);
    futex(control.lock, linuxCalls.futexWait);
    a.jmp(sleep);
  }

  entry();
  a.bind(unlock);
  {
    const quiet = a.newLabel();
    a.mov32(rax, 0);
    a.xchg32(mem(rbp, control.lock), rax);
    a.cmp32(rax, 2);
    a.jcc('ne', quiet);
    a.mov32(rdx, 1);
    futex(control.lock, linuxCalls.futexWake);
    a.bind(quiet);
    a.ret();
  }

  const [acquire, release] = [lock, unlock].map((target) => {
    const at = entry();
    a.push(rbp);
    a.mov(rbp, rdi);
    a.call(target);
    a.pop(rbp);
    a.ret();
    return at;
  });

  const rouse = entry();
  a.push(rbp);
  a.mov(rbp, rdi);
  lockAdd(control.sequence, 1);
  a.mov32(rdx, 0x7fffffff);
  futex(control.sequence, linuxCalls.futexWake);
  a.pop(rbp);
  a.ret();

  return { code: a.finish(), run, worker, acquire, release, rouse };
}

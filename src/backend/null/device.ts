/**
 * The `null` device: schedules and plans like any other, runs nothing, and remembers what it was asked to run. For tests of the scheduler:
 * launches, stages, bytes and the arena are counted without hardware. Memory reads as zeros.
 */
import type { Buffer } from '../../graph/node.ts';
import { accessOf, type ProgramPlan } from '../../schedule/plan.ts';
import * as dims from '../../shape/dim.ts';
import { Arena } from '../arena.ts';
import type { Backend, Bindings, Executable, MemoryStats } from '../interface.ts';

export interface NullRun {
  readonly plan: ProgramPlan;
  readonly launches: number;
  readonly stages: number;
  /** Bytes that kernels read and write, each buffer once a kernel. */
  readonly bytesMoved: number;
  readonly arenaBytes: number;
  readonly leastArenaBytes: number;
}

export class NullBackend implements Backend {
  readonly name = 'null';
  readonly limits = { buffersPerKernel: 64, parallelism: 2, canBlock: true };
  readonly runs: NullRun[] = [];
  #live = 0;
  #peak = 0;

  allocate(bytes: number): Buffer {
    this.#live += bytes;
    this.#peak = Math.max(this.#peak, this.#live);
    return { bytes, device: this.name };
  }
  free(buffer: Buffer): void {
    this.#live -= buffer.bytes;
  }
  available(): number {
    return 2 ** 40;
  }
  stats(): MemoryStats {
    return { liveBytes: this.#live, reservedBytes: this.#live, peakBytes: this.#peak };
  }
  compile(plan: ProgramPlan): Executable {
    const arena = new Arena(plan);
    const touched = plan.steps.flatMap((step) => {
      const { reads, writes } = accessOf(step);
      return [...new Set(reads), ...new Set(writes)];
    });
    const stages = new Set(plan.stages).size;
    const run = ({ externals, outputs, symbols }: Bindings): void => {
      const layout = arena.layout(symbols);
      const bytes = (id: number): number => {
        const b = plan.buffers[id];
        if (b.kind === 'temporary') return dims.evaluate(b.size, symbols) * b.dtype.itemsize;
        return (b.kind === 'external' ? externals : outputs)[b.slot].bytes;
      };
      let bytesMoved = 0;
      for (const id of touched) bytesMoved += bytes(id);
      this.runs.push({
        plan,
        launches: plan.steps.length,
        stages,
        bytesMoved,
        arenaBytes: layout.bytes,
        leastArenaBytes: layout.leastBytes,
      });
    };
    return { run, dispose: () => {}, listing: () => '' };
  }
  write(): void {}
  read(_buffer: Buffer, _offset: number, bytes: number): Uint8Array {
    return new Uint8Array(bytes);
  }
  async readAsync(_buffer: Buffer, _offset: number, bytes: number): Promise<Uint8Array> {
    return new Uint8Array(bytes);
  }
  synchronize(): void {}
}

/**
 * The flag `trace=profile`: runs a native program whose stages are single steps and prints what each took.
 *
 * The share is that of what a copy between large arrays reaches (`bandwidth.ts`): near 100 % the memory is what limits; above it, data came from caches.
 * Stages are timed by the time stamp counter, whose rate is measured against the clock between runs that lie some time apart.
 */
import { trace } from '../../util/trace.ts';
import type { NativeProgram } from './pool.ts';

export interface ProfiledStage {
  readonly label: string;
  readonly bytes: number;
}

let firstTick = 0;
let firstTime = 0;

/** Ticks a microsecond. The first runs see only themselves, later ones a longer and longer time. */
function ticksPerMicrosecond(begin: number, end: number, beginTime: number, endTime: number): number {
  if (firstTick === 0) {
    firstTick = begin;
    firstTime = beginTime;
  }
  return Math.max(1, (end - firstTick) / ((endTime - firstTime) * 1000));
}

export function printProfile(program: NativeProgram, stages: readonly ProfiledStage[], bandwidth: number | null): void {
  const beginTime = performance.now();
  program.run();
  const endTime = performance.now();
  const ticks = program.stageTicks();
  if (ticks.length === 0) return;
  const ticksPerUs = ticksPerMicrosecond(ticks[0].begin, ticks[ticks.length - 1].end, beginTime, endTime);
  trace('profile', () => {
    const lines = stages.map(({ label, bytes }, i) => {
      const microseconds = (ticks[i].end - ticks[i].begin) / ticksPerUs;
      const rate = microseconds > 0 ? bytes / microseconds / 1000 : null;
      const speed = rate?.toFixed(1) ?? '-';
      const share = rate === null || bandwidth === null ? '-' : ((rate / bandwidth) * 100).toFixed(0);
      return `${microseconds.toFixed(1).padStart(10)} us ${(bytes / 1e6).toFixed(3).padStart(12)} MB ${speed.padStart(8)} GB/s ${share.padStart(4)} %  ${label}`;
    });
    const yardstick = bandwidth === null ? '' : ` (100 % is ${bandwidth.toFixed(1)} GB/s)`;
    return [...lines, `${((endTime - beginTime) * 1000).toFixed(1).padStart(10)} us in all${yardstick}`].join('\n');
  });
}

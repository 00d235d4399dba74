/**
 * The memory of a card under PyTorch's names: what tensors hold, what the allocator keeps, peaks, and the summary.
 *
 * Allocated is what live tensors hold: temporaries of programs lie in one arena, which counts as reserved. JavaScript frees when its collector
 * runs, so `memory_allocated` includes garbage that no sweep has found yet; `empty_cache` makes one.
 */
import { sizeText } from '../backend/tracked-memory.ts';
import { backendOf, type CardArgument, cardIndex, openBackendOf } from './card.ts';

interface Bytes {
  readonly allocated: number;
  readonly peakAllocated: number;
  readonly reserved: number;
  readonly peakReserved: number;
}

/** Zeros for a card that nobody has used. */
function bytesOf(card: CardArgument): Bytes {
  const backend = openBackendOf(card);
  if (backend === null) return { allocated: 0, peakAllocated: 0, reserved: 0, peakReserved: 0 };
  const { liveBytes, peakBytes, reservedBytes } = backend.stats();
  return { allocated: liveBytes, peakAllocated: peakBytes, reserved: reservedBytes, peakReserved: backend.heap.peakReservedBytes };
}

/** Bytes in live tensors. https://docs.pytorch.org/docs/stable/generated/torch.cuda.memory.memory_allocated.html */
export const memory_allocated = (device?: CardArgument): number => bytesOf(device).allocated;
export const max_memory_allocated = (device?: CardArgument): number => bytesOf(device).peakAllocated;
/** Bytes taken from the driver. */
export const memory_reserved = (device?: CardArgument): number => bytesOf(device).reserved;
export const max_memory_reserved = (device?: CardArgument): number => bytesOf(device).peakReserved;

/** Peaks count from now on. */
export function reset_peak_memory_stats(device?: CardArgument): void {
  openBackendOf(device)?.resetPeaks();
}

/** Free and total bytes of the card, all processes counted. */
export function mem_get_info(device?: CardArgument): [free: number, total: number] {
  const { free, total } = backendOf(device).driver.memoryInfo();
  return [free, total];
}

/** Frees what nobody holds and gives unused memory back to the driver. */
export function empty_cache(device?: CardArgument): void {
  openBackendOf(device)?.emptyCache();
}

/** PyTorch's keys, as far as they mean something here. */
export function memory_stats(device?: CardArgument): Record<string, number> {
  const { allocated, peakAllocated, reserved, peakReserved } = bytesOf(device);
  const tracked = openBackendOf(device)?.tracked;
  return {
    'allocated_bytes.all.current': allocated,
    'allocated_bytes.all.peak': peakAllocated,
    'reserved_bytes.all.current': reserved,
    'reserved_bytes.all.peak': peakReserved,
    'active.all.current': tracked?.liveBuffers ?? 0,
    sweeps: tracked?.sweeps ?? 0,
    swept_bytes: tracked?.sweptBytes ?? 0,
  };
}

export function memory_summary(device?: CardArgument): string {
  const { allocated, peakAllocated, reserved, peakReserved } = bytesOf(device);
  const backend = openBackendOf(device);
  const rows: (readonly [string, string])[] = [
    ['Allocated memory', `${sizeText(allocated)} in ${backend?.tracked.liveBuffers ?? 0} buffers`],
    ['Allocated, peak', sizeText(peakAllocated)],
    ['Reserved memory', sizeText(reserved)],
    ['Reserved, peak', sizeText(peakReserved)],
  ];
  if (backend !== null) {
    const { sweeps, sweptBytes } = backend.tracked;
    const [free, total] = mem_get_info(device);
    rows.push(['Sweeps for garbage', `${sweeps}, which found ${sizeText(sweptBytes)}`]);
    rows.push(['Free on the card', `${sizeText(free)} of ${sizeText(total)}`]);
  }
  const line = '-'.repeat(67);
  const title = `CUDA memory summary, device ID ${cardIndex(device)}`;
  return [line, `| ${title.padEnd(63)} |`, line, ...rows.map(([name, text]) => `| ${name.padEnd(20)} | ${text.padEnd(40)} |`), line].join(
    '\n',
  );
}

/**
 * A driver without a card: calls succeed, nothing is computed, addresses are handed out and counted, memory reads as zeros.
 *
 * For two things: tests of all that stands above the driver (graphs, memory, events, errors), and finding out without a card which kernels a
 * program takes. It looks like the H100 that the kernels are laid out for.
 */
import { CudaError, type Driver, outOfMemoryCode } from './driver.ts';

export interface SilentDriverOptions {
  readonly totalBytes?: number;
  readonly index?: number;
  /** Told of every call that a card would see, in order. */
  readonly log?: (call: string) => void;
}

const h100 = { multiprocessors: 132, sharedBytesPerBlock: 227 * 1024 } as const;

export function silentDriver({ totalBytes = 80 * 2 ** 30, index = 0, log = () => {} }: SilentDriverOptions = {}): Driver {
  let next = 2 ** 40;
  let handles = 1;
  const live = new Map<number, number>();
  const used = (): number => [...live.values()].reduce((sum, bytes) => sum + bytes, 0);
  const statistics = { launches: 0, graphLaunches: 0, captures: 0 };
  const address = (bytes: number): number => {
    const at = next;
    next += Math.ceil(bytes / 2 ** 21) * 2 ** 21;
    return at;
  };
  return {
    name: 'a card that is not there',
    index,
    architecture: 'sm_90',
    capability: [9, 0],
    multiprocessors: h100.multiprocessors,
    totalBytes,
    sharedBytesPerBlock: h100.sharedBytesPerBlock,
    properties: {
      warpSize: 32,
      l2Bytes: 50 * 2 ** 20,
      threadsPerMultiprocessor: 2048,
      sharedBytesPerMultiprocessor: 228 * 1024,
      registersPerMultiprocessor: 65536,
      clockKilohertz: 1_980_000,
      memoryClockKilohertz: 2_619_000,
      memoryBusBits: 5120,
      integrated: false,
      multiGpuBoard: false,
    },
    stream: 1,
    statistics,
    memoryInfo: () => ({ free: totalBytes - used(), total: totalBytes }),
    alloc(bytes) {
      if (used() + bytes > totalBytes) throw new CudaError(outOfMemoryCode, 'CUDA error: out of memory');
      const at = address(bytes);
      live.set(at, bytes);
      return at;
    },
    free: (at) => void live.delete(at),
    pinned: (bytes) => ({ address: address(bytes), bytes: new Uint8Array(bytes) }),
    hostMemory: (bytes) => ({ address: address(bytes), bytes: new Uint8Array(bytes), free: () => {} }),
    upload: (_, __, bytes) => log(`upload ${bytes}`),
    download(target, _, bytes) {
      log(`download ${bytes}`);
      if (typeof target !== 'number') target.fill(0);
    },
    copy: (_, __, bytes) => log(`copy ${bytes}`),
    loadKernel: () => ({ module: handles, kernel: handles++ }),
    unloadModule: () => {},
    setSharedBytes: () => {},
    launch(_, label, side = 0) {
      statistics.launches++;
      log(`launch ${label}${side === 0 ? '' : ` on side ${side}`}`);
    },
    fork: () => {},
    join: () => {},
    synchronize: () => log('synchronize'),
    event: () => handles++,
    releaseEvent: () => {},
    record: () => log('record'),
    waitFor: () => log('wait for an event'),
    reached: () => true,
    elapsed: () => 0,
    capture(work) {
      work();
      statistics.captures++;
      return handles++;
    },
    launchGraph(_, label) {
      statistics.graphLaunches++;
      log(`launch ${label}`);
    },
    destroyGraph: () => log('destroy a graph'),
    enter: () => {},
    noteLaunch(label) {
      statistics.launches++;
      log(`launch ${label} by cuBLAS`);
    },
  };
}

/**
 * CUDA's driver API through koffi: the calls that the device makes, each checked. Nothing is loaded before the first use.
 *
 * Handles and device addresses are JS Numbers: user space ends at 2^47. Work is asynchronous, so an error may come from an earlier kernel:
 * the message names those launched since the device was last waited for. CUDA_LAUNCH_BLOCKING=1 waits after each launch and names the one.
 * Several cards can be open: a thread has one current context, which each driver makes its own before it calls.
 */
import { openLibrary, requireKoffi } from './libraries.ts';

export const outOfMemoryCode = 2;

export class CudaError extends Error {
  readonly code: number;
  constructor(code: number, text: string) {
    super(text);
    this.name = 'CudaError';
    this.code = code;
  }
}

/** A kernel launch whose parameters lie in native memory. */
export interface Launch {
  readonly kernel: number;
  readonly grid: readonly [number, number, number];
  readonly threads: number;
  readonly sharedBytes: number;
  /** Address of the array of parameter pointers. */
  readonly parameters: number;
}

export interface NativeMemory {
  readonly address: number;
  readonly bytes: Uint8Array;
}

/** Facts that `torch.cuda.get_device_properties` tells besides. */
export interface DriverProperties {
  readonly warpSize: number;
  readonly l2Bytes: number;
  readonly threadsPerMultiprocessor: number;
  readonly sharedBytesPerMultiprocessor: number;
  readonly registersPerMultiprocessor: number;
  readonly clockKilohertz: number;
  readonly memoryClockKilohertz: number;
  readonly memoryBusBits: number;
  readonly integrated: boolean;
  readonly multiGpuBoard: boolean;
}

export interface Driver {
  readonly name: string;
  readonly index: number;
  /** As in `sm_90`. */
  readonly architecture: string;
  readonly capability: readonly [number, number];
  readonly multiprocessors: number;
  readonly totalBytes: number;
  readonly sharedBytesPerBlock: number;
  readonly properties: DriverProperties;
  /** The stream that everything runs on. */
  readonly stream: number;
  memoryInfo(): { readonly free: number; readonly total: number };
  /** Throws a CudaError with `outOfMemoryCode` when there is none. */
  alloc(bytes: number): number;
  free(address: number): void;
  /** Pinned host memory, to the end of the process. */
  pinned(bytes: number): NativeMemory;
  /** Host memory for launch parameters. */
  hostMemory(bytes: number): NativeMemory & { free(): void };
  upload(address: number, source: Uint8Array | number, bytes: number): void;
  download(target: Uint8Array | number, address: number, bytes: number): void;
  copy(target: number, source: number, bytes: number): void;
  loadKernel(cubin: Uint8Array, name: string): { readonly module: number; readonly kernel: number };
  unloadModule(module: number): void;
  setSharedBytes(kernel: number, bytes: number): void;
  /** On the stream, or on side stream `side` (from 1) while a graph is recorded. */
  launch(launch: Launch, label: string, side?: number): void;
  /** While a graph is recorded: side streams 1 to `sides` go on from here, and come together here again. */
  fork(sides: number): void;
  join(sides: number): void;
  synchronize(): void;
  event(timed?: boolean): number;
  releaseEvent(event: number): void;
  record(event: number): void;
  /** The host waits. */
  waitFor(event: number): void;
  /** Has everything before it been done? */
  reached(event: number): boolean;
  /** Milliseconds. */
  elapsed(from: number, to: number): number;
  /** Records what `work` launches as a graph. */
  capture(work: () => void): number;
  launchGraph(graph: number, label: string): void;
  /** Makes this card's context the current one: before a library is called. */
  enter(): void;
  /** Counts a launch that a library made on the stream. */
  noteLaunch(label: string): void;
  destroyGraph(graph: number): void;
  readonly statistics: { launches: number; graphLaunches: number; captures: number };
}

let devices: { readonly count: number } | { readonly reason: string } | undefined;
let bindings: Bindings | undefined;
type Bindings = ReturnType<typeof bind>;

function bind() {
  const found = openLibrary('libcuda', ['libcuda.so.1', 'libcuda.so']);
  if ('reason' in found) throw new Error(`Found no NVIDIA driver on your system. (${found.reason})`);
  const koffi = requireKoffi();
  const handle = 'uintptr_t';
  const out = (type: string): unknown => koffi.out(koffi.pointer(type));
  const func = (name: string, ...args: unknown[]) => found.library.func(name, 'int', args as never[]);
  return {
    koffi,
    init: func('cuInit', 'uint32_t'),
    errorText: func('cuGetErrorString', 'int', out('const char *')),
    errorName: func('cuGetErrorName', 'int', out('const char *')),
    deviceCount: func('cuDeviceGetCount', out('int')),
    deviceGet: func('cuDeviceGet', out('int'), 'int'),
    deviceName: func('cuDeviceGetName', 'void *', 'int', 'int'),
    deviceAttribute: func('cuDeviceGetAttribute', out('int'), 'int', 'int'),
    deviceBytes: func('cuDeviceTotalMem_v2', out('size_t'), 'int'),
    contextRetain: func('cuDevicePrimaryCtxRetain', out(handle), 'int'),
    contextSet: func('cuCtxSetCurrent', handle),
    memoryInfo: func('cuMemGetInfo_v2', out('size_t'), out('size_t')),
    alloc: func('cuMemAlloc_v2', out('uint64_t'), 'size_t'),
    free: func('cuMemFree_v2', 'uint64_t'),
    allocHost: func('cuMemAllocHost_v2', out(handle), 'size_t'),
    uploadFrom: func('cuMemcpyHtoDAsync_v2', 'uint64_t', handle, 'size_t', handle),
    uploadBytes: func('cuMemcpyHtoDAsync_v2', 'uint64_t', 'void *', 'size_t', handle),
    downloadTo: func('cuMemcpyDtoHAsync_v2', handle, 'uint64_t', 'size_t', handle),
    downloadBytes: func('cuMemcpyDtoHAsync_v2', 'void *', 'uint64_t', 'size_t', handle),
    copy: func('cuMemcpyDtoDAsync_v2', 'uint64_t', 'uint64_t', 'size_t', handle),
    moduleLoad: func('cuModuleLoadData', out(handle), 'void *'),
    moduleUnload: func('cuModuleUnload', handle),
    moduleFunction: func('cuModuleGetFunction', out(handle), handle, 'str'),
    functionAttribute: func('cuFuncSetAttribute', handle, 'int', 'int'),
    launch: func(
      'cuLaunchKernel',
      handle,
      ...new Array<string>(7).fill('uint32_t'), // grid, block, shared bytes
      handle,
      handle,
      handle,
    ),
    streamCreate: func('cuStreamCreate', out(handle), 'uint32_t'),
    streamSynchronize: func('cuStreamSynchronize', handle),
    eventCreate: func('cuEventCreate', out(handle), 'uint32_t'),
    eventDestroy: func('cuEventDestroy_v2', handle),
    eventRecord: func('cuEventRecord', handle, handle),
    streamWait: func('cuStreamWaitEvent', handle, handle, 'uint32_t'),
    eventSynchronize: func('cuEventSynchronize', handle),
    eventQuery: func('cuEventQuery', handle),
    eventElapsed: func('cuEventElapsedTime', out('float'), handle, handle),
    beginCapture: func('cuStreamBeginCapture_v2', handle, 'int'),
    endCapture: func('cuStreamEndCapture', handle, out(handle)),
    instantiate: func('cuGraphInstantiateWithFlags', out(handle), handle, 'uint64_t'),
    graphLaunch: func('cuGraphLaunch', handle, handle),
    graphDestroy: func('cuGraphDestroy', handle),
    graphExecDestroy: func('cuGraphExecDestroy', handle),
  };
}

function requireBindings(): Bindings {
  bindings ??= bind();
  return bindings;
}

/** Number of cards, or why there is none. Never throws. */
export function probeDevices(): { readonly count: number } | { readonly reason: string } {
  if (devices !== undefined) return devices;
  try {
    const b = requireBindings();
    const code: number = b.init(0);
    const count = [0];
    if (code !== 0) devices = { reason: describe(b, code) };
    else devices = b.deviceCount(count) === 0 && count[0] > 0 ? { count: count[0] } : { reason: 'No CUDA GPUs are available' };
  } catch (error) {
    devices = { reason: (error as Error).message };
  }
  return devices;
}

function describe(b: Bindings, code: number): string {
  const text: (string | null)[] = [null];
  const name: (string | null)[] = [null];
  b.errorText(code, text);
  b.errorName(code, name);
  return text[0] === null ? `code ${code}` : `${text[0]} (${name[0]})`;
}

const attribute = {
  warpSize: 10,
  clockKilohertz: 13,
  multiprocessors: 16,
  integrated: 18,
  memoryClockKilohertz: 36,
  memoryBusBits: 37,
  l2Bytes: 38,
  threadsPerMultiprocessor: 39,
  major: 75,
  minor: 76,
  sharedBytesPerMultiprocessor: 81,
  registersPerMultiprocessor: 82,
  multiGpuBoard: 84,
  sharedBytesOptin: 97,
} as const;
const sharedBytesAttribute = 8; // CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
const nonBlocking = 1;
const relaxedCapture = 2;
const untimed = 2;
const notReadyCode = 600;
/** An illegal address to a launch that failed. */
const [firstKernelError, lastKernelError] = [700, 719];
/** Labels kept for the message of an error that shows late. */
const rememberedLaunches = 6;

/** The context that this thread's calls go to. */
let currentContext = 0;

/** What was launched since the device was last waited for, for messages. */
export class RecentLaunches {
  #labels: string[] = [];
  #count = 0;
  note(label: string): void {
    this.#count++;
    if (this.#labels.length === rememberedLaunches) this.#labels.shift();
    this.#labels.push(label);
  }
  clear(): void {
    if (this.#count === 0) return;
    this.#labels = [];
    this.#count = 0;
  }
  /** To be put behind the name of an error. */
  get text(): string {
    if (this.#count === 0) return '';
    const list = this.#labels.join('; ');
    if (this.#count === 1) return ` in the kernel ${list}`;
    const some = this.#count > this.#labels.length ? `, the last of them ${list}` : `: ${list}`;
    return ` in one of ${this.#count} launches since the device was last waited for${some}. CUDA_LAUNCH_BLOCKING=1 waits after each and names the one`;
  }
}

export function openDriver(index = 0): Driver {
  const probed = probeDevices();
  if ('reason' in probed) throw new Error(`The cuda device cannot be used: ${probed.reason}`);
  if (index >= probed.count) throw new Error(`CUDA error: invalid device ordinal (cuda:${index} of ${probed.count})`);
  const b = requireBindings();
  const { koffi } = b;
  const recent = new RecentLaunches();
  const check = (code: number, what: string): void => {
    if (code === 0) return;
    // Those are errors of a kernel, whichever call reports them.
    const late = code >= firstKernelError && code <= lastKernelError ? recent.text : '';
    throw new CudaError(code, `CUDA error: ${describe(b, code)}${late} (${what})`);
  };
  /** Of a call that waits: an error is that of a kernel before it. */
  const checkWait = (code: number): void => {
    if (code !== 0) throw new CudaError(code, `CUDA error: ${describe(b, code)}${recent.text} (while waiting for the device)`);
    recent.clear();
  };
  const answer = (call: (out: number[]) => number, what: string): number => {
    const out = [0];
    check(call(out), what);
    return Number(out[0]);
  };
  const device = answer((o) => b.deviceGet(o, index), 'cuDeviceGet');
  const read = (id: number): number => answer((o) => b.deviceAttribute(o, id, device), 'cuDeviceGetAttribute');
  const nameBytes = new Uint8Array(256);
  check(b.deviceName(nameBytes, 256, device), 'cuDeviceGetName');
  const context = answer((o) => b.contextRetain(o, device), 'cuDevicePrimaryCtxRetain');
  const enter = (): void => {
    if (currentContext === context) return;
    check(b.contextSet(context), 'cuCtxSetCurrent');
    currentContext = context;
  };
  enter();
  const stream = answer((o) => b.streamCreate(o, nonBlocking), 'cuStreamCreate');
  const capability = [read(attribute.major), read(attribute.minor)] as const;
  const blocking = (process.env['CUDA_LAUNCH_BLOCKING'] ?? '0') !== '0';
  const statistics = { launches: 0, graphLaunches: 0, captures: 0 };
  let capturing = false;
  const sideStreams: { readonly stream: number; readonly event: number }[] = [];
  const side = (i: number): { readonly stream: number; readonly event: number } => {
    while (sideStreams.length < i)
      sideStreams.push({
        stream: answer((o) => b.streamCreate(o, nonBlocking), 'cuStreamCreate'),
        event: answer((o) => b.eventCreate(o, untimed), 'cuEventCreate'),
      });
    return sideStreams[i - 1];
  };
  const driver: Driver = {
    name: new TextDecoder().decode(nameBytes.subarray(0, nameBytes.indexOf(0))),
    index,
    architecture: `sm_${capability[0]}${capability[1]}`,
    capability,
    multiprocessors: read(attribute.multiprocessors),
    totalBytes: answer((o) => b.deviceBytes(o, device), 'cuDeviceTotalMem'),
    sharedBytesPerBlock: read(attribute.sharedBytesOptin),
    properties: {
      warpSize: read(attribute.warpSize),
      l2Bytes: read(attribute.l2Bytes),
      threadsPerMultiprocessor: read(attribute.threadsPerMultiprocessor),
      sharedBytesPerMultiprocessor: read(attribute.sharedBytesPerMultiprocessor),
      registersPerMultiprocessor: read(attribute.registersPerMultiprocessor),
      clockKilohertz: read(attribute.clockKilohertz),
      memoryClockKilohertz: read(attribute.memoryClockKilohertz),
      memoryBusBits: read(attribute.memoryBusBits),
      integrated: read(attribute.integrated) !== 0,
      multiGpuBoard: read(attribute.multiGpuBoard) !== 0,
    },
    stream,
    statistics,
    memoryInfo() {
      const [free, total] = [[0], [0]];
      check(b.memoryInfo(free, total), 'cuMemGetInfo');
      return { free: Number(free[0]), total: Number(total[0]) };
    },
    alloc: (bytes) => answer((o) => b.alloc(o, bytes), `cuMemAlloc of ${bytes} bytes`),
    free: (address) => check(b.free(address), 'cuMemFree'),
    pinned(bytes) {
      const address = answer((o) => b.allocHost(o, bytes), `cuMemAllocHost of ${bytes} bytes`);
      return { address, bytes: new Uint8Array(koffi.view(BigInt(address), bytes)) };
    },
    hostMemory(bytes) {
      const pointer: unknown = koffi.alloc('uint8_t', bytes);
      return {
        address: Number(koffi.address(pointer as never)),
        bytes: new Uint8Array(koffi.view(pointer as never, bytes)),
        free: () => koffi.free(pointer as never),
      };
    },
    upload(address, source, bytes) {
      const code: number =
        typeof source === 'number' ? b.uploadFrom(address, source, bytes, stream) : b.uploadBytes(address, source, bytes, stream);
      check(code, 'copying to the device');
    },
    download(target, address, bytes) {
      const code: number =
        typeof target === 'number' ? b.downloadTo(target, address, bytes, stream) : b.downloadBytes(target, address, bytes, stream);
      check(code, 'copying from the device');
    },
    copy: (target, source, bytes) => check(b.copy(target, source, bytes, stream), 'copying on the device'),
    loadKernel(cubin, name) {
      const module = answer((o) => b.moduleLoad(o, cubin), `loading the kernel ${name}`);
      return { module, kernel: answer((o) => b.moduleFunction(o, module, name), `the kernel ${name}`) };
    },
    unloadModule: (module) => check(b.moduleUnload(module), 'cuModuleUnload'),
    setSharedBytes: (kernel, bytes) => check(b.functionAttribute(kernel, sharedBytesAttribute, bytes), `${bytes} bytes of shared memory`),
    fork(sides) {
      const { event } = side(sides + 1);
      check(b.eventRecord(event, stream), 'cuEventRecord');
      for (let i = 1; i <= sides; i++) check(b.streamWait(side(i).stream, event, 0), 'cuStreamWaitEvent');
    },
    join(sides) {
      for (let i = 1; i <= sides; i++) {
        check(b.eventRecord(side(i).event, side(i).stream), 'cuEventRecord');
        check(b.streamWait(stream, side(i).event, 0), 'cuStreamWaitEvent');
      }
    },
    launch({ kernel, grid: [x, y, z], threads, sharedBytes, parameters }, label, onSide = 0) {
      statistics.launches++;
      if (!capturing) recent.note(label);
      const on = onSide === 0 ? stream : side(onSide).stream;
      check(b.launch(kernel, x, y, z, threads, 1, 1, sharedBytes, on, parameters, 0), `launching ${label}`);
      if (blocking && !capturing) driver.synchronize();
    },
    synchronize: () => checkWait(b.streamSynchronize(stream)),
    event: (timed = true) => answer((o) => b.eventCreate(o, timed ? 0 : untimed), 'cuEventCreate'),
    releaseEvent: (event) => check(b.eventDestroy(event), 'cuEventDestroy'),
    record: (event) => check(b.eventRecord(event, stream), 'cuEventRecord'),
    waitFor(event) {
      const code: number = b.eventSynchronize(event);
      // Launches after the event may still be under way: they stay on the list.
      if (code !== 0) checkWait(code);
    },
    reached(event) {
      const code: number = b.eventQuery(event);
      if (code !== 0 && code !== notReadyCode) checkWait(code);
      return code === 0;
    },
    elapsed: (from, to) => answer((o) => b.eventElapsed(o, from, to), 'cuEventElapsedTime'),
    capture(work) {
      check(b.beginCapture(stream, relaxedCapture), 'cuStreamBeginCapture');
      capturing = true;
      const graph = [0];
      try {
        work();
      } finally {
        capturing = false;
        // Ends the capture in any case: the stream would stay unusable.
        const code: number = b.endCapture(stream, graph);
        if (code === 0) statistics.captures++;
      }
      if (Number(graph[0]) === 0) throw new CudaError(901, 'CUDA error: the capture of a program failed');
      try {
        return answer((o) => b.instantiate(o, Number(graph[0]), 0), 'cuGraphInstantiate');
      } finally {
        b.graphDestroy(Number(graph[0]));
      }
    },
    launchGraph(graph, label) {
      statistics.graphLaunches++;
      recent.note(label);
      check(b.graphLaunch(graph, stream), `launching ${label}`);
      if (blocking) driver.synchronize();
    },
    enter,
    noteLaunch(label) {
      statistics.launches++;
      if (!capturing) recent.note(label);
      if (blocking && !capturing) driver.synchronize();
    },
    destroyGraph: (graph) => check(b.graphExecDestroy(graph), 'cuGraphExecDestroy'),
  };
  return probed.count === 1 ? driver : entering(driver, enter);
}

/** The driver of one of several cards: each call makes its context current first. */
function entering(driver: Driver, enter: () => void): Driver {
  const wrapped = Object.entries(driver).map(([name, value]) => {
    if (typeof value !== 'function') return [name, value];
    const call = value as (...args: unknown[]) => unknown;
    return [
      name,
      (...args: unknown[]): unknown => {
        enter();
        return call(...args);
      },
    ];
  });
  return Object.fromEntries(wrapped) as Driver;
}

/**
 * The operating system below the native `cpu` device: pages, threads, the futex, and how much memory and how many cores this process may use.
 *
 * This is the only file that knows mmap, pthread or a system call number. Everything goes through npm `koffi`, found with
 * `createRequire` when first asked, so that importing the file never throws (browsers, a missing prebuilt binary, another
 * processor): `openOs()` answers with a reason and the registry falls back to WebAssembly.
 *
 * Addresses are JS Numbers: user space ends at 2^47, far below 2^53. Only Linux on x86-64 for now: Windows needs its own emitted
 * thunks (saved registers, shadow space) as well as these calls, so it gets the clear reason instead of half a port.
 */
import type koffiModule from 'koffi';

export type PageAccess = 'none' | 'read-write' | 'read-execute';

/** A function at an address, called with integers below 2^53; the result is what it left in rax. */
export type NativeFunction = (...args: number[]) => number;

export type NativeOs = {
  readonly pageBytes: number;
  /** Fresh zeroed read-write pages at a multiple of `alignment`; address space only until touched. Throws when refused. */
  map(bytes: number, alignment?: number): number;
  unmap(address: number, bytes: number): void;
  protect(address: number, bytes: number, access: PageAccess): void;
  /** Asks for 2 MiB pages. A hint: refusals are ignored. */
  adviseHuge(address: number, bytes: number): void;
  /** Gives the pages back but keeps the addresses: they read as zero afterwards. */
  discard(address: number, bytes: number): void;
  /** Maps pages exactly there: 'created' once in a process, 'taken' ever after. The rendezvous of packages that are loaded twice. */
  claim(address: number, bytes: number): 'created' | 'taken';
  /** Runs `entry(argument)` on a new thread. Emitted code only: JS must never be reached from it. */
  startThread(entry: number, argument: number): number;
  joinThread(thread: number): void;
  /** Uncached and about 1 us: go through `NativeHeap.bytesAt`. At most 4 GiB (Node 20 aborts above). */
  view(address: number, bytes: number): ArrayBuffer;
  callable(address: number): NativeFunction;
  /** Bytes that may still be touched before the kernel starts to kill: free memory and control group, whichever is less. */
  availableMemory(): number;
  /** Cores this process may use: affinity and control-group quota, whichever is less. */
  availableCores(): number;
  /** False in a worker_thread. */
  readonly isMainThread: boolean;
  onExit(callback: () => void): void;
};

export type OpenedOs =
  | { readonly status: 'available'; readonly os: NativeOs }
  | { readonly status: 'unavailable'; readonly reason: string };

/** What emitted code needs to make system calls itself. */
export const linuxCalls = {
  futex: 202,
  schedYield: 24,
  /** FUTEX_WAIT | FUTEX_PRIVATE_FLAG */
  futexWait: 128,
  /** FUTEX_WAKE | FUTEX_PRIVATE_FLAG */
  futexWake: 129,
} as const;

const PROTECTION = { none: 0, 'read-write': 3, 'read-execute': 5 } as const satisfies Record<PageAccess, number>;
const MAP_PRIVATE_ANONYMOUS = 0x22;
const MAP_NORESERVE = 0x4000;
const MAP_FIXED_NOREPLACE = 0x100000;
const MADV_DONTNEED = 4;
const MADV_HUGEPAGE = 14;

let opened: OpenedOs | undefined;

/** Opens the operating system once per JS thread. */
export function openOs(): OpenedOs {
  opened ??= tryOpen();
  return opened;
}

/** The operating system, or an error that says why there is none. For code that runs only after the registry chose the device. */
export function requireOs(): NativeOs {
  const answer = openOs();
  if (answer.status === 'unavailable') throw new Error(`internal: the native cpu device is unavailable: ${answer.reason}`);
  return answer.os;
}

function tryOpen(): OpenedOs {
  const unavailable = (reason: string): OpenedOs => ({ status: 'unavailable', reason });
  const node = globalThis.process;
  if (typeof node?.getBuiltinModule !== 'function') return unavailable('native memory needs Node 20.16, 22.3 or later');
  if (node.platform !== 'linux' || node.arch !== 'x64') {
    return unavailable(`machine code is emitted for Linux on x86-64 only, and this is ${node.platform} on ${node.arch}`);
  }
  try {
    const koffi = node.getBuiltinModule('node:module').createRequire(import.meta.url)('koffi') as typeof koffiModule;
    const os = openLinux(koffi);
    probeExecution(os);
    return { status: 'available', os };
  } catch (error) {
    return unavailable(error instanceof Error ? error.message : String(error));
  }
}

/** Some hardened kernels refuse executable pages: better to hear it here than at the first kernel. */
function probeExecution(os: NativeOs): void {
  const address = os.map(os.pageBytes);
  try {
    new Uint8Array(os.view(address, 4)).set([0x48, 0x89, 0xf8, 0xc3]); // mov rax, rdi; ret
    os.protect(address, os.pageBytes, 'read-execute');
    if (os.callable(address)(42) !== 42) throw new Error('a call to emitted code returned a wrong value');
  } finally {
    os.unmap(address, os.pageBytes);
  }
}

function openLinux(koffi: typeof koffiModule): NativeOs {
  const { isMainThread } = process.getBuiltinModule('node:worker_threads');
  // The process itself: libc is in it whichever libc it is (glibc, musl) and wherever that keeps its threads.
  const libc = koffi.load(null);
  const word = 'uintptr_t';
  const mmap = libc.func('mmap', word, [word, 'size_t', 'int', 'int', 'int', 'int64_t']);
  const munmap = libc.func('munmap', 'int', [word, 'size_t']);
  const mprotect = libc.func('mprotect', 'int', [word, 'size_t', 'int']);
  const madvise = libc.func('madvise', 'int', [word, 'size_t', 'int']);
  const pthreadCreate = libc.func('pthread_create', 'int', [koffi.out(koffi.pointer(word)), word, word, word]);
  const pthreadJoin = libc.func('pthread_join', 'int', [word, word]);
  const sysconf = libc.func('sysconf', 'int64_t', ['int']);
  const signature = koffi.proto(word, [word, word, word, word]);
  const pageBytes = Number(sysconf(30)); // _SC_PAGESIZE, the same number in glibc and musl

  const failed = (what: string): Error => new Error(`internal: ${what} failed (errno ${koffi.errno()})`);
  // koffi answers a Number below 2^53 and a BigInt above: MAP_FAILED is the only BigInt that mmap can give.
  const mapAt = (hint: number, bytes: number, flags: number): number | undefined => {
    const address: number | bigint = mmap(hint, bytes, PROTECTION['read-write'], flags, -1, 0);
    return typeof address === 'number' ? address : undefined;
  };
  const unmap = (address: number, bytes: number): void => {
    if (munmap(address, bytes) !== 0) throw failed('munmap');
  };

  return {
    pageBytes,
    isMainThread,
    map(bytes, alignment = pageBytes) {
      const length = roundUp(bytes, pageBytes);
      const slack = alignment > pageBytes ? alignment : 0;
      const start = mapAt(0, length + slack, MAP_PRIVATE_ANONYMOUS | MAP_NORESERVE);
      if (start === undefined) throw failed(`mmap of ${length + slack} bytes`);
      const address = roundUp(start, alignment);
      if (address > start) unmap(start, address - start);
      const tail = start + length + slack - (address + length);
      if (tail > 0) unmap(address + length, tail);
      return address;
    },
    unmap,
    protect(address, bytes, access) {
      if (mprotect(address, bytes, PROTECTION[access]) !== 0) throw failed(`mprotect to ${access}`);
    },
    adviseHuge(address, bytes) {
      madvise(address, bytes, MADV_HUGEPAGE);
    },
    discard(address, bytes) {
      madvise(address, bytes, MADV_DONTNEED);
    },
    claim(address, bytes) {
      const got = mapAt(address, bytes, MAP_PRIVATE_ANONYMOUS | MAP_FIXED_NOREPLACE);
      if (got === address) return 'created';
      // Kernels before 4.17 take the address for a hint and answer another one.
      if (got !== undefined) unmap(got, bytes);
      return 'taken';
    },
    startThread(entry, argument) {
      const thread: [number] = [0];
      const code: number = pthreadCreate(thread, 0, entry, argument);
      if (code !== 0) throw new Error(`internal: pthread_create failed (error ${code})`);
      return Number(thread[0]);
    },
    joinThread(thread) {
      const code: number = pthreadJoin(thread, 0);
      if (code !== 0) throw new Error(`internal: pthread_join failed (error ${code})`);
    },
    view: (address, bytes) => koffi.view(BigInt(address), bytes),
    callable(address) {
      const call = koffi.decode(BigInt(address), signature) as (a: number, b: number, c: number, d: number) => number;
      return (a = 0, b = 0, c = 0, d = 0) => call(a, b, c, d);
    },
    availableMemory: () => Math.max(0, Math.min(machineMemory(), controlGroupMemory())),
    availableCores: () => Math.max(1, Math.min(process.getBuiltinModule('node:os').availableParallelism(), controlGroupCores())),
    onExit(callback) {
      process.on('exit', callback);
    },
  };
}

export function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}

function readText(path: string): string | undefined {
  try {
    return process.getBuiltinModule('node:fs').readFileSync(path, 'utf8').trim();
  } catch {
    return undefined;
  }
}

function machineMemory(): number {
  const line = /^MemAvailable:\s+(\d+) kB/m.exec(readText('/proc/meminfo') ?? '');
  return line ? Number(line[1]) * 1024 : process.getBuiltinModule('node:os').freemem();
}

/**
 * The folders of one control-group controller ('' is the unified hierarchy of v2), this process's own first, then its ancestors: each
 * of them may limit. Inside a container the path is the host's and only the mount itself exists, which the walk reaches last.
 */
function controlGroupFolders(controller: string): readonly string[] {
  const known = groupFolders.get(controller);
  if (known !== undefined) return known;
  const folders = findControlGroupFolders(controller);
  groupFolders.set(controller, folders);
  return folders;
}

const groupFolders = new Map<string, readonly string[]>();

function findControlGroupFolders(controller: string): readonly string[] {
  const groups = (readText('/proc/self/cgroup') ?? '').split('\n').map((line) => line.split(':'));
  const group = groups.find(([, controllers]) => (controller === '' ? controllers === '' : controllers?.split(',').includes(controller)));
  const mount = (readText('/proc/self/mountinfo') ?? '')
    .split('\n')
    .map((line) => line.split(' - '))
    .find(([, after]) => {
      const [kind, , options] = after?.split(' ') ?? [];
      return controller === '' ? kind === 'cgroup2' : kind === 'cgroup' && options?.split(',').includes(controller);
    });
  const root = mount?.[0]?.split(' ')[4];
  if (root === undefined) return [];
  const folders: string[] = [];
  for (let path = group?.slice(2).join(':') ?? '/'; path !== '' && path !== '/'; path = path.slice(0, path.lastIndexOf('/')))
    folders.push(root + path);
  return [...folders, root];
}

function controlGroupMemory(): number {
  const remaining = (folder: string, limitFile: string, usageFile: string, cacheLine: RegExp): number => {
    const limit = Number(readText(`${folder}/${limitFile}`) ?? 'max');
    const usage = Number(readText(`${folder}/${usageFile}`) ?? 'none');
    if (!Number.isFinite(limit) || !Number.isFinite(usage)) return Infinity;
    // File pages that nobody used lately are dropped before anything is killed.
    const cache = cacheLine.exec(readText(`${folder}/memory.stat`) ?? '');
    return limit - usage + Math.min(usage, cache ? Number(cache[1]) : 0);
  };
  return Math.min(
    ...controlGroupFolders('').map((folder) => remaining(folder, 'memory.max', 'memory.current', /^inactive_file (\d+)/m)),
    ...controlGroupFolders('memory').map((folder) =>
      remaining(folder, 'memory.limit_in_bytes', 'memory.usage_in_bytes', /^total_inactive_file (\d+)/m),
    ),
  );
}

function controlGroupCores(): number {
  const cores = (quota: number, period: number): number => (quota > 0 && period > 0 ? Math.ceil(quota / period) : Infinity);
  return Math.min(
    ...controlGroupFolders('').map((folder) => {
      const [quota, period] = (readText(`${folder}/cpu.max`) ?? 'max 0').split(' ');
      return cores(Number(quota), Number(period));
    }),
    ...controlGroupFolders('cpu').map((folder) =>
      cores(Number(readText(`${folder}/cpu.cfs_quota_us`) ?? '-1'), Number(readText(`${folder}/cpu.cfs_period_us`) ?? '0')),
    ),
  );
}

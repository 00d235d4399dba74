/**
 * Kernels by what they do, loaded once a process; their cubins on disk by text, architecture and compiler, so that a second process
 * compiles nothing. Many new kernels at once are compiled by several threads. The folder is MAGPIE_CACHE, else `~/.cache/torch-magpie`; one that cannot be written is done without.
 */
import { flags } from '../../util/flags.ts';
import type { CompileJob, CompileOrder } from './compile-worker.ts';
import type { Driver } from './driver.ts';
import { type Compiler, compilerOptions, requireCompiler } from './nvrtc.ts';

export interface KernelRequest {
  /** Everything that the text depends on. */
  readonly key: string;
  /** The function's name in the text. */
  readonly name: string;
  readonly source: () => string;
}

export interface CudaKernel {
  readonly handle: number;
  readonly name: string;
}

function cacheFolder(): string {
  const { join } = process.getBuiltinModule('node:path');
  if (flags.cache !== '') return join(flags.cache, 'cuda');
  return join(process.env['XDG_CACHE_HOME'] ?? join(process.getBuiltinModule('node:os').homedir(), '.cache'), 'torch-magpie', 'cuda');
}

/** A cubin from disk, or from the compiler. */
export class CubinStore {
  readonly #architecture: string;
  readonly folder: string;
  readonly #compiler: () => Compiler;
  readonly statistics = { compiled: 0, read: 0, compileMs: 0 };

  constructor(architecture: string, folder: string = cacheFolder(), compiler: () => Compiler = requireCompiler) {
    this.#architecture = architecture;
    this.folder = folder;
    this.#compiler = compiler;
  }

  get(source: string, name: string): Uint8Array {
    const path = this.pathOf(source);
    const known = readBytes(path);
    if (known !== null) {
      this.statistics.read++;
      return known;
    }
    const begin = performance.now();
    const cubin = this.#compiler().compile(source, name, this.#architecture);
    this.statistics.compiled++;
    this.statistics.compileMs += performance.now() - begin;
    const fs = process.getBuiltinModule('node:fs');
    try {
      fs.mkdirSync(this.folder, { recursive: true });
      const partial = `${path}.${process.pid}`;
      fs.writeFileSync(partial, cubin);
      fs.renameSync(partial, path);
    } catch {
      // A cache that cannot be written is no cache.
    }
    return cubin;
  }

  /** Is the cubin of this text on disk? */
  has(source: string): boolean {
    return process.getBuiltinModule('node:fs').existsSync(this.pathOf(source));
  }

  /** Compiles what is not on disk yet, several at a time. What fails here is met again by `get`. */
  prepare(kernels: readonly { readonly source: string; readonly name: string }[]): void {
    const fs = process.getBuiltinModule('node:fs');
    const byPath = new Map<string, CompileJob>();
    for (const k of kernels) {
      const path = this.pathOf(k.source);
      if (!fs.existsSync(path)) byPath.set(path, { ...k, path });
    }
    const jobs = [...byPath.values()];
    const script = new URL('./compile-worker.js', import.meta.url);
    const threads = Math.min(jobs.length, mostCompilers, process.getBuiltinModule('node:os').availableParallelism());
    // From TypeScript sources there is no script to start.
    if (jobs.length < fewKernels || threads < 2 || !fs.existsSync(script)) return;
    try {
      fs.mkdirSync(this.folder, { recursive: true });
    } catch {
      return;
    }
    const begin = performance.now();
    const state = new Int32Array(new SharedArrayBuffer(8));
    const { Worker } = process.getBuiltinModule('node:worker_threads');
    const order: CompileOrder = { architecture: this.#architecture, libraries: flags.cudaLibraries, jobs, state };
    for (let i = 0; i < threads; i++) new Worker(script, { workerData: order }).unref();
    for (let ended = 0; ended < threads; ended = Atomics.load(state, 1)) {
      if (Atomics.wait(state, 1, ended, patienceMs) === 'timed-out') return;
    }
    this.statistics.compiled += jobs.length;
    this.statistics.compileMs += performance.now() - begin;
  }

  /** Where the cubin of a text lies. */
  pathOf(source: string): string {
    const { join } = process.getBuiltinModule('node:path');
    const hash = process.getBuiltinModule('node:crypto').createHash('sha256');
    // Not the compiler's version: a process that finds all its kernels does not load the compiler.
    const id = hash.update(`${this.#architecture}\n${compilerOptions}\n${source}`).digest('hex').slice(0, 40);
    return join(this.folder, `${this.#architecture}-${id}.cubin`);
  }
}

const fewKernels = 3;
const mostCompilers = 16;
const patienceMs = 60_000;

function readBytes(path: string): Uint8Array | null {
  try {
    const bytes = process.getBuiltinModule('node:fs').readFileSync(path);
    return bytes.length > 0 ? bytes : null;
  } catch {
    return null;
  }
}

/** What makes cubins of texts: `CubinStore`, or something that only looks at them. */
export type KernelStore = Pick<CubinStore, 'get' | 'prepare' | 'statistics'>;

export class CudaKernels {
  readonly #driver: Pick<Driver, 'loadKernel'>;
  readonly #store: KernelStore;
  readonly #known = new Map<string, CudaKernel>();

  constructor(driver: Pick<Driver, 'loadKernel' | 'architecture'>, store: KernelStore = new CubinStore(driver.architecture)) {
    this.#driver = driver;
    this.#store = store;
  }
  get statistics(): CubinStore['statistics'] & { readonly loaded: number } {
    return { ...this.#store.statistics, loaded: this.#known.size };
  }

  /** Makes the cubins of those that are new. */
  prepare(requests: readonly KernelRequest[]): void {
    const fresh = new Map(requests.filter((r) => !this.#known.has(r.key)).map((r) => [r.key, r]));
    if (fresh.size > 1) this.#store.prepare([...fresh.values()].map((r) => ({ source: r.source(), name: r.name })));
  }

  get({ key, name, source }: KernelRequest): CudaKernel {
    let kernel = this.#known.get(key);
    if (kernel === undefined) {
      const { kernel: handle } = this.#driver.loadKernel(this.#store.get(source(), name), name);
      kernel = { handle, name };
      this.#known.set(key, kernel);
    }
    return kernel;
  }
}

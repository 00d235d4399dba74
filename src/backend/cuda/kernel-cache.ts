/**
 * Kernels by what they do, loaded once a process; their cubins on disk by text, architecture and compiler, so that a second process
 * compiles nothing. The folder is MAGPIE_CACHE, else `~/.cache/torch-magpie`; one that cannot be written is done without.
 */
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
  const env = process.env;
  if (env['MAGPIE_CACHE'] !== undefined && env['MAGPIE_CACHE'] !== '') return join(env['MAGPIE_CACHE'], 'cuda');
  return join(env['XDG_CACHE_HOME'] ?? join(process.getBuiltinModule('node:os').homedir(), '.cache'), 'torch-magpie', 'cuda');
}

/** A cubin from disk, or from the compiler. */
export class CubinStore {
  readonly #architecture: string;
  readonly #folder: string;
  readonly #compiler: () => Compiler;
  readonly statistics = { compiled: 0, read: 0, compileMs: 0 };

  constructor(architecture: string, folder: string = cacheFolder(), compiler: () => Compiler = requireCompiler) {
    this.#architecture = architecture;
    this.#folder = folder;
    this.#compiler = compiler;
  }

  get(source: string, name: string): Uint8Array {
    const fs = process.getBuiltinModule('node:fs');
    const { join } = process.getBuiltinModule('node:path');
    const hash = process.getBuiltinModule('node:crypto').createHash('sha256');
    // Not the compiler's version: a process that finds all its kernels does not load the compiler.
    const id = hash.update(`${this.#architecture}\n${compilerOptions}\n${source}`).digest('hex').slice(0, 40);
    const path = join(this.#folder, `${this.#architecture}-${id}.cubin`);
    try {
      const bytes = fs.readFileSync(path);
      if (bytes.length > 0) {
        this.statistics.read++;
        return bytes;
      }
    } catch {
      // Not there.
    }
    const begin = performance.now();
    const cubin = this.#compiler().compile(source, name, this.#architecture);
    this.statistics.compiled++;
    this.statistics.compileMs += performance.now() - begin;
    try {
      fs.mkdirSync(this.#folder, { recursive: true });
      const partial = `${path}.${process.pid}`;
      fs.writeFileSync(partial, cubin);
      fs.renameSync(partial, path);
    } catch {
      // A cache that cannot be written is no cache.
    }
    return cubin;
  }
}

export class CudaKernels {
  readonly #driver: Driver;
  readonly #store: CubinStore;
  readonly #known = new Map<string, CudaKernel>();

  constructor(driver: Driver, store: CubinStore = new CubinStore(driver.architecture)) {
    this.#driver = driver;
    this.#store = store;
  }
  get statistics(): CubinStore['statistics'] & { readonly loaded: number } {
    return { ...this.#store.statistics, loaded: this.#known.size };
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

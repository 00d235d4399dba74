/**
 * Kernels compiled ahead without a card: a device that computes on another one and keeps the CUDA C of every kernel that it would have launched.
 *
 * Programs are planned with the limits of a card, so they are the ones that a card would be given; numbers come from a device that is there,
 * so code that branches on them takes its usual way. `compileAhead` makes cubins of the texts, in threads, in the folder that the `cuda`
 * device reads. Products that cuBLAS would take are taken to be taken.
 */
import type { Buffer } from '../../graph/node.ts';
import type { ProgramPlan } from '../../schedule/plan.ts';
import { flags } from '../../util/flags.ts';
import type { Backend, DeviceLimits, Executable, MemoryStats } from '../interface.ts';
import type { CompileOrder } from './compile-worker.ts';
import { CudaBackend } from './device.ts';
import { CubinStore, CudaKernels } from './kernel-cache.ts';
import { silentDriver } from './silent-driver.ts';

export interface KernelText {
  readonly name: string;
  readonly source: string;
}

/** Texts by themselves: what comes twice is one. */
export class KernelTexts {
  readonly texts = new Map<string, KernelText>();
  readonly statistics = { compiled: 0, read: 0, compileMs: 0 };
  get(source: string, name: string): Uint8Array {
    this.texts.set(source, { name, source });
    return new Uint8Array(0);
  }
  prepare(kernels: readonly KernelText[]): void {
    for (const { name, source } of kernels) this.get(source, name);
  }
}

/** A device by the name `cuda` that computes on `real`. */
export class CollectingBackend implements Backend {
  readonly name = 'cuda';
  readonly limits: DeviceLimits;
  readonly kernels = new KernelTexts();
  readonly #real: Backend;
  readonly #silent: CudaBackend;

  constructor(real: Backend) {
    const driver = silentDriver();
    this.#real = real;
    this.#silent = new CudaBackend(0, {
      driver,
      kernels: new CudaKernels(driver, this.kernels),
      cublas: { path: 'a cuBLAS that is not there', run: () => 0 },
    });
    this.limits = this.#silent.limits;
  }

  allocate(bytes: number): Buffer {
    return this.#real.allocate(bytes);
  }
  free(buffer: Buffer): void {
    this.#real.free(buffer);
  }
  available(): number {
    return this.#real.available();
  }
  stats(): MemoryStats {
    return this.#real.stats();
  }
  compile(plan: ProgramPlan): Executable {
    const executable = this.#real.compile(plan);
    const silent = this.#silent.compile(plan);
    let last = '';
    return {
      run(bindings) {
        const symbols = Array.from(bindings.symbols).join(' ');
        if (symbols !== last || last === '') silent.prepare(bindings.symbols);
        last = symbols;
        executable.run(bindings);
      },
      dispose() {
        executable.dispose();
        silent.dispose();
      },
      listing: () => silent.listing(),
    };
  }
  write(buffer: Buffer, bytes: Uint8Array, offset?: number): void {
    this.#real.write(buffer, bytes, offset);
  }
  read(buffer: Buffer, offset: number, bytes: number): Uint8Array {
    return this.#real.read(buffer, offset, bytes);
  }
  readAsync(buffer: Buffer, offset: number, bytes: number): Promise<Uint8Array> {
    return this.#real.readAsync(buffer, offset, bytes);
  }
  synchronize(): void {
    this.#real.synchronize();
  }
}

export interface AheadOptions {
  readonly architecture: string;
  /** Where cubins go; default: where the device looks. */
  readonly folder?: string;
  readonly threads?: number;
  readonly progress?: (done: number, all: number) => void;
}

/** Compiles what has no cubin yet. The numbers of texts, and of those that were compiled; throws with the compiler's words for the first it refuses. */
export async function compileAhead(
  texts: Iterable<KernelText>,
  options: AheadOptions,
): Promise<{ readonly kernels: number; readonly compiled: number }> {
  const { architecture, threads = process.getBuiltinModule('node:os').availableParallelism(), progress } = options;
  const store = new CubinStore(architecture, options.folder);
  const all = [...texts];
  const jobs = all.filter(({ source }) => !store.has(source)).map((k) => ({ ...k, path: store.pathOf(k.source) }));
  const script = new URL('./compile-worker.js', import.meta.url);
  if (jobs.length === 0) return { kernels: all.length, compiled: 0 };
  process.getBuiltinModule('node:fs').mkdirSync(store.folder, { recursive: true });
  const state = new Int32Array(new SharedArrayBuffer(8));
  const order: CompileOrder = { architecture, libraries: flags.cudaLibraries, jobs, state };
  const { Worker } = process.getBuiltinModule('node:worker_threads');
  const timer = setInterval(() => progress?.(Math.min(jobs.length, Atomics.load(state, 0)), jobs.length), 5000);
  try {
    await Promise.all(
      Array.from({ length: Math.min(threads, jobs.length) }, () => {
        const worker = new Worker(script, { workerData: order });
        return new Promise<void>((resolve, reject) => worker.on('error', reject).on('exit', () => resolve()));
      }),
    );
  } finally {
    clearInterval(timer);
  }
  for (const { source, name } of jobs) if (!store.has(source)) store.get(source, name);
  return { kernels: all.length, compiled: jobs.length };
}

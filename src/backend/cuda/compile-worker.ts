/** A thread that compiles kernels for `kernel-cache.ts`: takes the next one until there are none, and writes cubins to files. */
import { flags } from '../../util/flags.ts';
import { requireCompiler } from './nvrtc.ts';

export interface CompileJob {
  readonly source: string;
  readonly name: string;
  readonly path: string;
}
export interface CompileOrder {
  readonly architecture: string;
  /** The flag `cudaLibraries`: a thread reads flags anew from the environment. */
  readonly libraries: string;
  readonly jobs: readonly CompileJob[];
  /** Next job, and workers that have ended. */
  readonly state: Int32Array;
}

const { workerData, isMainThread } = process.getBuiltinModule('node:worker_threads');
if (!isMainThread && workerData !== null && 'architecture' in workerData) {
  const { architecture, libraries, jobs, state } = workerData as CompileOrder;
  const { writeFileSync, renameSync } = process.getBuiltinModule('node:fs');
  flags.cudaLibraries = libraries;
  try {
    const compiler = requireCompiler();
    for (let i = Atomics.add(state, 0, 1); i < jobs.length; i = Atomics.add(state, 0, 1)) {
      const { source, name, path } = jobs[i];
      const partial = `${path}.${process.pid}.part`;
      let cubin: Uint8Array;
      try {
        cubin = compiler.compile(source, name, architecture);
      } catch {
        // The main thread compiles what is missing itself, and meets the error.
        continue;
      }
      writeFileSync(partial, cubin);
      renameSync(partial, path);
    }
  } catch {
    // No compiler, or a folder that cannot be written: likewise.
  }
  Atomics.add(state, 1, 1);
  Atomics.notify(state, 1);
}

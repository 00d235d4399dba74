/**
 * The suite `cpu`: every row of the CPU table against PyTorch, onnxruntime-node and llama.cpp, in alternating rounds, on one and two threads.
 *
 * Each rival is a process of its own for each number of threads, with the row's tensors ready; a round asks one after the other for a piece of time.
 * Outputs come with the preparation and are compared at once; a row whose outputs differ too much is reported as such and fails the run. The limits
 * are measured before the rows. A rival that is not there, or dies, is named with its reason and left out.
 */
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { compareOutputs, type SampledOutput } from './cpu/check.ts';
import { describeProcessor, type MachineLimits, measureLimits } from './cpu/limits.ts';
import type { Sample } from './cpu/our-rows.ts';
import type { CpuReport, RowResult } from './cpu/report.ts';
import { exportOnnx, findRivals, isMissing, notAskedFor } from './cpu/rivals.ts';
import { processRows, type RivalName, type Row, rows } from './cpu/rows.ts';
import { Worker } from './cpu/worker.ts';
import { type Comparison, compare, type Rival } from './harness.ts';
import { findPython, startSuite } from './start-suite.ts';

const run = promisify(execFile);

export interface CpuSuiteOptions {
  readonly rounds: number;
  readonly threads: readonly number[];
  /** Only these rows. */
  readonly only: readonly string[];
  /** Seconds of a measurement. */
  readonly budget: number;
  /** Seconds that each rival of the main job trains in a round. */
  readonly jobSeconds: number;
  readonly root: string;
  readonly log: (line: string) => void;
  readonly onResult: (result: RowResult) => void;
}

const defaultEnvironment = (threads: number): Record<string, string> => ({
  MAGPIE_THREADS: String(threads),
  OMP_NUM_THREADS: String(threads),
  MKL_NUM_THREADS: String(threads),
});

export const rowNames: readonly string[] = [...rows.map(({ id }) => id), ...processRows.map(({ id }) => id)];

export async function cpuSuite(options: CpuSuiteOptions): Promise<CpuReport> {
  const { root, log, only } = options;
  const unknown = only.filter((id) => !rowNames.includes(id));
  if (unknown.length > 0) throw new Error(`no row is called ${unknown.join(', ')}; there are ${rowNames.join(', ')}`);
  const asked = (id: string): boolean => only.length === 0 || only.includes(id);
  const chosen = rows.filter(({ id }) => asked(id));
  const rivals = await findRivals(root, new Set(chosen.flatMap((row) => row.rivals)));
  const absent: Record<string, string> = {};
  for (const [name, found] of [
    ['PyTorch', rivals.python],
    ['onnxruntime-node', rivals.onnxruntime],
    ['llama.cpp', rivals.llama],
  ] as const) {
    if (!isMissing(found) || found.missing === notAskedFor) continue;
    absent[name] = found.missing;
    log(`${name} is left out: ${found.missing}`);
  }
  const load = loadavg()[0]!;
  if (load > 0.5) log(`warning: this machine is busy (load ${load.toFixed(1)}); ratios will flatter whoever suffers less`);

  const processor = describeProcessor();
  log(`${processor.model}: ${processor.features.join(', ')}; kernels are emitted for ${processor.isa}`);
  const limits = new Map<number, MachineLimits>();
  if (chosen.length > 0)
    for (const threads of options.threads) {
      const measured = measureLimits(threads);
      limits.set(threads, measured);
      log(
        `limits, ${threads} thread${threads > 1 ? 's' : ''}: ${(measured.peak / 1e9).toFixed(0)} GFLOP/s fp32, ${(measured.peakBf16 / 1e9).toFixed(0)} bf16 (${measured.bf16By}), read ${(measured.read / 1e9).toFixed(1)} GB/s, copy ${(measured.copy / 1e9).toFixed(1)} GB/s`,
      );
    }

  const scratch = mkdtempSync(join(tmpdir(), 'magpie-cpu-'));
  const results: RowResult[] = [];
  const add = (result: RowResult): void => {
    results.push(result);
    options.onResult(result);
  };
  const suite = new Workers(root, scratch, rivals, log, absent);
  try {
    for (const threads of options.threads) {
      for (const row of chosen) add(await measureRow(row, limits.get(threads)!, suite, options));
      suite.stop();
    }
    const attempt = async (id: string, threads: number | null, measure: () => Promise<Comparison>): Promise<void> => {
      if (!asked(id)) return;
      try {
        add({ id, threads, comparison: await measure() });
      } catch (error) {
        add({ id, threads, failure: (error as Error).message.split('\n')[0]! });
      }
    };
    await attempt('import', null, () => importRow(options));
    const most = Math.max(...options.threads);
    await attempt('main-job', most, async () => {
      const settings = { seconds: options.jobSeconds, rounds: Math.min(options.rounds, 3), threads: most, isa: undefined, root, log };
      return (await startSuite(settings)).comparison;
    });
  } finally {
    suite.stop();
    rmSync(scratch, { recursive: true, force: true });
  }
  return {
    date: new Date().toISOString(),
    node: process.version,
    processor: { ...processor, cores: cpus().length, loadBefore: load },
    rivals: suite.versions,
    absent,
    rounds: options.rounds,
    limits: [...limits.values()],
    results,
  };
}

type RivalsFound = Awaited<ReturnType<typeof findRivals>>;

/** The worker processes of one number of threads, started when a row first needs them. */
class Workers {
  readonly versions: Record<string, string> = {};
  readonly #root: string;
  readonly #scratch: string;
  readonly #rivals: RivalsFound;
  readonly #log: (line: string) => void;
  readonly #absent: Record<string, string>;
  readonly #running = new Map<string, Worker>();

  constructor(root: string, scratch: string, rivals: RivalsFound, log: (line: string) => void, absent: Record<string, string>) {
    this.#root = root;
    this.#scratch = scratch;
    this.#rivals = rivals;
    this.#log = log;
    this.#absent = absent;
    if (!isMissing(rivals.onnxruntime)) this.versions['onnxruntime-node'] = rivals.onnxruntime.version;
    if (!isMissing(rivals.llama)) this.versions['llama.cpp'] = `node-llama-cpp ${rivals.llama.version}`;
  }

  file(row: Row): string {
    return join(this.#scratch, `${row.weights ?? row.id}.safetensors`);
  }

  ours(threads: number): Worker {
    return this.#get('torch-magpie', threads, process.execPath, [new URL('./cpu/our-worker.js', import.meta.url).pathname]);
  }

  /** `undefined` where the rival is not there. */
  async rival(name: RivalName, threads: number): Promise<Worker | undefined> {
    const { python, onnxruntime, llama } = this.#rivals;
    const nodeRival = new URL('./cpu/node-rival-worker.js', import.meta.url).pathname;
    switch (name) {
      case 'PyTorch': {
        if (isMissing(python)) return undefined;
        const worker = this.#get(name, threads, python.command, ['-B', join(this.#root, 'bench/cpu/torch_worker.py'), String(threads)]);
        if (this.versions[name] === undefined) {
          const { version, capability } = await worker.ask<{ version: string; capability: string }>({ do: 'describe' });
          this.versions[name] = `${version}, ${capability}`;
        }
        return worker;
      }
      case 'onnxruntime-node':
        return isMissing(onnxruntime)
          ? undefined
          : this.#get(name, threads, process.execPath, [nodeRival, name, onnxruntime.file, String(threads)]);
      case 'llama.cpp':
        return isMissing(llama) ? undefined : this.#get(name, threads, process.execPath, [nodeRival, name, llama.file, String(threads)]);
      default:
        return name satisfies never;
    }
  }

  /** What a rival needs to be told of a row. */
  async request(row: Row, name: RivalName | 'torch-magpie'): Promise<object> {
    const { python, onnxruntime, gguf } = this.#rivals;
    const file = this.file(row);
    const base = { do: 'prepare', row: row.id, file, ...(isMissing(gguf) ? {} : { gguf: gguf.file }) };
    if (name !== 'onnxruntime-node' || isMissing(onnxruntime) || isMissing(python)) return base;
    const onnx = file.replace(/\.safetensors$/, '');
    await exportOnnx(this.#root, python.command, onnxruntime.onnxFolder, row.id, file, onnx);
    return { ...base, onnx };
  }

  /** From now on the rival counts as absent in this row; its process is started anew for the next. */
  drop(name: string, row: Row, error: unknown): void {
    const reason = (error as Error).message;
    this.#absent[`${name}, ${row.id}`] = reason.split('\n').slice(-3).join(' ').slice(0, 400);
    this.#log(`${row.id}: ${name} is left out: ${reason}`);
    this.#running.get(name)?.stop();
    this.#running.delete(name);
  }

  stop(): void {
    for (const worker of this.#running.values()) worker.stop();
    this.#running.clear();
  }

  #get(name: string, threads: number, command: string, parameters: readonly string[]): Worker {
    let worker = this.#running.get(name);
    if (worker === undefined) {
      worker = new Worker(name, command, parameters, defaultEnvironment(threads));
      this.#running.set(name, worker);
    }
    return worker;
  }
}

interface Preparation {
  readonly outputs: readonly SampledOutput[];
}

async function measureRow(row: Row, machine: MachineLimits, suite: Workers, options: CpuSuiteOptions): Promise<RowResult> {
  const { threads } = machine;
  const { log } = options;
  const title = `${row.title}, ${threads} thread${threads > 1 ? 's' : ''}`;
  const result: RowResult = { id: row.id, threads, checks: {} };
  const workers: [string, Worker][] = [];
  try {
    const ours = suite.ours(threads);
    const { outputs } = await ours.ask<Preparation>(await suite.request(row, 'torch-magpie'));
    workers.push(['torch-magpie', ours]);
    for (const name of row.rivals) {
      try {
        const worker = await suite.rival(name, threads);
        if (worker === undefined) continue;
        const theirs = await worker.ask<Preparation>(await suite.request(row, name));
        workers.push([name, worker]);
        result.checks![name] = compareOutputs(outputs, theirs.outputs, row.tolerance);
      } catch (error) {
        suite.drop(name, row, error);
      }
    }
  } catch (error) {
    suite.drop('torch-magpie', row, error);
    return { ...result, failure: (error as Error).message.split('\n').slice(0, 3).join(' ') };
  }
  const contenders = workers.map(
    ([name, worker]): Rival => ({
      name,
      async measure() {
        const { calls, seconds } = await worker.ask<Sample>({ do: 'sample', budget: options.budget });
        return (calls * row.work) / seconds;
      },
    }),
  );
  const limit = row.limitSeconds === undefined ? {} : { limit: { name: row.limit!, rate: row.work / row.limitSeconds(machine) } };
  let comparison: Comparison;
  try {
    comparison = await compare(contenders, { title, unit: row.unit, rounds: options.rounds, warmup: options.rounds > 1 ? 1 : 0, ...limit });
  } catch (error) {
    suite.stop();
    log(`${title}: ${(error as Error).message}`);
    return { ...result, failure: (error as Error).message.split('\n')[0]! };
  }
  for (const [, worker] of workers) await worker.ask({ do: 'release' });
  return { ...result, comparison };
}

/** New processes that end after their first result. */
async function importRow({ rounds, log }: CpuSuiteOptions): Promise<Comparison> {
  const index = new URL('../src/index.js', import.meta.url).href;
  const ours = `import torch from ${JSON.stringify(index)}; console.log(torch.ones(2, 2).matmul(torch.ones(2, 2)).sum().item());`;
  const theirs = 'import torch; print((torch.ones(2, 2) @ torch.ones(2, 2)).sum().item())';
  const started = (name: string, command: string, parameters: readonly string[]): Rival => ({
    name,
    async measure() {
      const begin = performance.now();
      const { stdout } = await run(command, parameters);
      if (Number(stdout) !== 8) throw new Error(`${name}: the first result is ${stdout}`);
      return 1000 / (performance.now() - begin);
    },
  });
  const contenders = [started('torch-magpie', process.execPath, ['--input-type=module', '-e', ours])];
  const python = await findPython();
  if (python !== undefined) contenders.push(started('PyTorch', python, ['-c', theirs]));
  else log('import: PyTorch is left out: no Python has it');
  const bare = started('an empty Node process', process.execPath, ['-e', 'console.log(8)']);
  return compare([...contenders, bare], {
    title: 'import to first result, a process each',
    unit: 'starts/s',
    rounds,
    warmup: 1,
    limit: { name: 'the goal of 0.3 s', rate: 1 / 0.3 },
  });
}

/** Where `npm run bench` runs: the repository, which has the Python files. */
export function checkRoot(root: string): void {
  if (!existsSync(join(root, 'bench/cpu/torch_worker.py'))) throw new Error(`${root} is not the repository: run \`npm run bench\` in it`);
}

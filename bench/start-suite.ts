/**
 * The suite `start`: the GPT of `npm start` against the same GPT in PyTorch (eager), each in a process of its own, one after
 * the other in alternating rounds. Both report tokens/s over their training steps after the first four (ours compile there; PyTorch's warm caches).
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { loadText } from '../src/cli/text.ts';
import { type Comparison, compare, type Rival } from './harness.ts';

const run = promisify(execFile);

export interface StartSuiteOptions {
  readonly seconds: number;
  readonly rounds: number;
  readonly threads: number | undefined;
  /** Forces both rivals to one instruction set; `undefined` lets each take the best of this machine. */
  readonly isa: 'avx2' | 'avx512' | undefined;
  /** The repository, where `bench/start_torch.py` is. */
  readonly root: string;
  readonly log: (line: string) => void;
}

export interface StartSuiteResult {
  readonly comparison: Comparison;
  /** What each rival said about itself: ISA, threads, losses. The last round's. */
  readonly details: Readonly<Record<string, RivalDetails>>;
}

export interface RivalDetails {
  readonly isa: string;
  readonly threads: number;
  readonly steps: number;
  readonly tokensPerSecond: number;
  readonly trainingLoss: number;
  readonly heldOutLoss: number;
}

/** A Python that can import torch: MAGPIE_ORACLE, PYTHON, else python3; `undefined` when neither can. */
export async function findPython(): Promise<string | undefined> {
  for (const python of [process.env['MAGPIE_ORACLE'], process.env['PYTHON'], 'python3']) {
    if (!python) continue;
    try {
      await run(python, ['-c', 'import torch'], { timeout: 120_000 });
      return python;
    } catch {
      // Not this one.
    }
  }
  return undefined;
}

/** PyTorch's own kernels, oneDNN and MKL each have their own switch. */
const isaSettings = {
  avx2: { MAGPIE_ISA: 'avx2', ATEN_CPU_CAPABILITY: 'avx2', ONEDNN_MAX_CPU_ISA: 'AVX2', MKL_ENABLE_INSTRUCTIONS: 'AVX2' },
  avx512: { MAGPIE_ISA: 'avx512', ATEN_CPU_CAPABILITY: 'avx512' },
} as const;

export async function startSuite(options: StartSuiteOptions): Promise<StartSuiteResult> {
  const { seconds, rounds, root, log, isa } = options;
  const threads = options.threads ?? availableParallelism();
  const scratch = mkdtempSync(join(tmpdir(), 'magpie-bench-'));
  const text = join(scratch, 'text.txt');
  writeFileSync(text, loadText(undefined).content);
  const details: Record<string, RivalDetails> = {};
  const rival = (name: string, program: string, parameters: readonly string[]): Rival => ({
    name,
    async measure(round) {
      const settings = isa === undefined ? {} : isaSettings[isa];
      const environment = { ...process.env, MAGPIE_THREADS: String(threads), OMP_NUM_THREADS: String(threads), ...settings };
      const given = [...parameters, '--seconds', String(seconds), '--text', text, '--seed', String(1337 + Math.max(0, round))];
      const { stdout } = await run(program, given, { env: environment, maxBuffer: 1 << 26 });
      const result = JSON.parse(stdout.trim().split('\n').at(-1)!) as RivalDetails;
      details[name] = result;
      return result.tokensPerSecond;
    },
  });
  const ours = new URL('../src/cli/start.js', import.meta.url).pathname;
  const rivals = [rival('torch-magpie', process.execPath, [ours, '--json', '--tokens', '0', '--out', join(scratch, 'out')])];
  const python = await findPython();
  if (python) rivals.push(rival('PyTorch eager', python, [join(root, 'bench/start_torch.py'), '--threads', String(threads)]));
  else log('PyTorch was not found (python3, or MAGPIE_ORACLE): torch-magpie alone');
  // OpenMP's waiting threads collapse by a factor of ten and more when they must share their cores.
  const load = loadavg()[0]!;
  if (load > threads / 2) log(`warning: this machine is busy (load ${load.toFixed(1)}); the ratio will flatter whoever suffers less`);
  try {
    const comparison = await compare(rivals, {
      title: `start: a GPT on Moby Dick, ${seconds} s a round, ${threads} threads`,
      unit: 'tokens/s',
      rounds,
      onSample: (round, name, value) => log(`round ${round + 1}: ${name} ${Math.round(value)} tokens/s`),
    });
    return { comparison, details };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/**
 * `npm run bench -- --suite cuda`: the six workloads of the project's goals on one card, ours in plain code and under `torch.compile` beside
 * PyTorch eager, PyTorch's best and the limit, in one run.
 *
 * `cuda_rival.py` goes first: it makes the weights and inputs, and the outputs that ours are compared with. The limit is the larger of the bytes
 * over the bandwidth and the operations over the matrix rate that the rival measured on this card at the start.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import torch from '../src/index.ts';
import { load_file } from '../src/serialize/safetensors.ts';
import { bert, decoder, longPrefill, type Timing, type WorkContext } from './cuda-works.ts';

export interface CudaSuiteOptions {
  readonly root: string;
  /** Where weights go (5 GB at full size); made new unless `reuse`. */
  readonly folder: string;
  readonly python: string;
  readonly works: readonly string[];
  readonly device: string;
  readonly size: 'full' | 'tiny';
  /** PyTorch's: 0 eager only, 1 `reduce-overhead`, 2 `max-autotune` too. */
  readonly effort: number;
  readonly reuse: boolean;
  readonly profile: boolean;
  readonly log: (line: string) => void;
}

interface Row {
  eager?: number;
  best?: number;
  ours?: Timing;
  compiled?: Timing;
  limit?: number;
  failures: string[];
}
export interface CudaSuiteResult {
  readonly card: string;
  readonly torch: string;
  readonly rates: Readonly<Record<string, number>>;
  readonly rows: Readonly<Record<string, Row>>;
}

interface Rival {
  readonly torch: string;
  readonly device: string;
  readonly rows: Readonly<Record<string, Readonly<Record<string, number | string>>>>;
  readonly works: WorkContext['works'];
  readonly 'read bytes/s'?: number;
  readonly 'bf16 flop/s'?: number;
  readonly 'fp32 flop/s'?: number;
}

export function cudaSuite(options: CudaSuiteOptions): CudaSuiteResult {
  const { folder, device, size, works, log } = options;
  mkdirSync(folder, { recursive: true });
  const result = join(folder, 'rival.json');
  if (!options.reuse || !existsSync(result)) {
    const args = [
      join(options.root, 'bench/cuda_rival.py'),
      folder,
      result,
      '--works',
      works.join(','),
      '--device',
      device,
      '--size',
      size,
    ];
    const run = spawnSync(options.python, [...args, '--effort', String(options.effort)], { stdio: ['ignore', 2, 2] });
    if (run.status !== 0) throw new Error(`${options.python} bench/cuda_rival.py failed (${run.error?.message ?? `status ${run.status}`})`);
  }
  const rival = JSON.parse(readFileSync(result, 'utf8')) as Rival;
  const rows: Record<string, Row> = {};
  for (const [name, times] of Object.entries(rival.rows)) {
    const row: Row = { failures: [] };
    if (typeof times.eager === 'number') row.eager = times.eager;
    if (typeof times.best === 'number') row.best = times.best;
    const limit = limitOf(name, rival);
    if (limit !== null) row.limit = limit;
    for (const [key, value] of Object.entries(times)) if (/failed$/.test(key)) row.failures.push(`PyTorch ${key}: ${value}`);
    rows[name] = row;
  }
  const context: WorkContext = {
    folder,
    device,
    references: load_file(join(folder, 'reference.safetensors')),
    works: rival.works,
    profile: options.profile,
    put(name, column, timing) {
      rows[name] ??= { failures: [] };
      rows[name][column] = timing;
      log(`${name} ${column}: ${(timing.seconds * 1000).toFixed(3)} ms, error ${timing.error.toExponential(1)} ${timing.note ?? ''}`);
      for (const line of timing.kernels ?? []) log(line);
    },
    failed(name, column, error) {
      rows[name] ??= { failures: [] };
      rows[name].failures.push(`${column}: ${String((error as Error)?.stack ?? error).slice(0, 600)}`);
      log(`${name} ${column} FAILED: ${rows[name].failures.at(-1)}`);
    },
  };
  const tiny = { vocab: 97, width: 48, layers: 2, heads: 3 };
  const full = { vocab: 30522, width: 768, layers: 6, heads: 12 };
  for (const work of works) {
    const run: Readonly<Record<string, () => void>> = {
      bert: () => bert(context, size === 'tiny' ? tiny : full),
      gpt2: () => {
        decoder('gpt2-fp32', context);
        decoder('gpt2-bf16', context);
      },
      llama: () => decoder('llama', context),
      'llama-long': () => longPrefill('llama-long', context),
    };
    if (run[work] === undefined) throw new Error(`no workload named ${work}: there are ${Object.keys(run).join(', ')}`);
    try {
      run[work]();
    } catch (error) {
      context.failed(work, 'ours', error);
    }
    if (device === 'cuda') {
      (globalThis as { gc?: () => void }).gc?.();
      torch.cuda.empty_cache();
    }
  }
  const rates = Object.fromEntries(Object.entries(rival).filter(([key]) => /\/s$/.test(key))) as Record<string, number>;
  return { card: rival.device, torch: rival.torch, rates, rows };
}

/** Operations of a token: two for each weight of a product; attention's come on top. */
function limitOf(row: string, rival: Rival): number | null {
  const read = rival['read bytes/s'];
  const bf16 = rival['bf16 flop/s'];
  const fp32 = rival['fp32 flop/s'];
  if (read === undefined || bf16 === undefined || fp32 === undefined) return null;
  const [name, kind, precision] = row.split(' ') as [string, string, string | undefined];
  const work = rival.works[name];
  if (work === undefined) return null;
  if (name === 'bert') {
    const tokens = work.batch * work.length;
    // Weights, gradients and both moments: read; weights and moments: written. Embeddings take no product.
    const memory = (work.parameters * 4 * 7) / read;
    const operations = 6 * (work.parameters - (work.vocab + 512) * 768) * tokens;
    return Math.max(memory, operations / (precision === 'fp32' ? fp32 : precision === 'tf32' ? bf16 / 2 : bf16));
  }
  const rate = name === 'gpt2-fp32' ? fp32 : bf16;
  // A tied head's matrix is read for the logits; the rows of embeddings are nothing. Of a prompt only the last token goes through the head.
  if (kind === 'decode') return work.weights / read;
  const bytes = work.weights ?? 2.47e9;
  const item = name === 'gpt2-fp32' ? 4 : 2;
  const width = name.startsWith('gpt2') ? 768 : 2048;
  const head = (work.vocab ?? 128256) * width;
  const products = 2 * (bytes / item - head) * work.prompt;
  const attention = name === 'llama-long' ? 2 * 16 * 2048 * work.prompt ** 2 : 0;
  return Math.max(bytes / read, (products + attention) / rate);
}

/** The table that people read. */
export function formatCudaSuite({ card, torch: version, rates, rows }: CudaSuiteResult): string {
  const lines = [
    `${card}, PyTorch ${version}; ${Object.entries(rates)
      .map(([name, rate]) => `${name} ${(rate / 1e12).toFixed(2)}e12`)
      .join(', ')}`,
    '| work | PyTorch eager | PyTorch best | ours | ours, torch.compile | limit | outputs |',
    '| --- | --- | --- | --- | --- | --- | --- |',
  ];
  for (const [name, row] of Object.entries(rows)) {
    const decode = / decode$/.test(name);
    const show = (seconds: number | undefined): string =>
      seconds === undefined ? '' : decode ? `${Math.round(1 / seconds)} tok/s` : `${(seconds * 1000).toPrecision(3)} ms`;
    const best = row.ours ?? row.compiled;
    const outputs = [row.ours, row.compiled].map((t) =>
      t === undefined ? '' : `${t.error.toExponential(1)} ${t.error <= t.bound ? 'within' : 'BEYOND'} ${t.bound.toExponential(1)}`,
    );
    const note = best?.note ? ` (${best.note})` : '';
    lines.push(
      `| ${name} | ${show(row.eager)} | ${show(row.best)} | ${show(row.ours?.seconds)} | ${show(row.compiled?.seconds)} | ${show(row.limit)} | ${outputs.filter(Boolean).join('; ')}${note} |`,
    );
    for (const failure of row.failures) lines.push(`  ${name}: ${failure.split('\n')[0]}`);
  }
  return lines.join('\n');
}

/**
 * At least 100,000 random kernels, of every dtype and shape, on AVX2, AVX-512 (where the processor has it) and WebAssembly against the reference, with pages
 * around every buffer that fault when they are touched.
 *
 * The kernels run in processes of their own (`random-kernels/child.ts`, built first), two at a time: one that dies is run again kernel by kernel, and the last
 * one that it named is the failure. MAGPIE_TEST_SEED is the first seed (printed), MAGPIE_TEST_KERNELS how many.
 */
import { spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { runnableIsas } from '../../src/backend/cpu/x64/test-support.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const child = join(root, 'out/test-build/test/long/random-kernels/child.js');
const firstSeed = Number(process.env['MAGPIE_TEST_SEED'] ?? 20_261_124) * 1_000_000;
const total = Number(process.env['MAGPIE_TEST_KERNELS'] ?? 102_000);
/** Kernels of a program, and of a process. */
const [batch, share] = [25, 3000];

interface Line {
  readonly running?: number;
  readonly kernel?: string;
  readonly done?: number;
  readonly bits?: number;
  readonly nearly?: number;
  readonly seed?: number;
  readonly device?: string;
  readonly what?: string;
}

interface Outcome {
  readonly lines: readonly Line[];
  /** How it died, or null. */
  readonly death: string | null;
}

function run(first: number, count: number, size: number, ...more: string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    const started = spawn(process.execPath, [child, `${first}`, `${count}`, `${size}`, ...more], { stdio: ['ignore', 'pipe', 'pipe'] });
    let [output, errors] = ['', ''];
    started.stdout.on('data', (text: Buffer) => {
      output += text.toString();
    });
    started.stderr.on('data', (text: Buffer) => {
      errors = (errors + text.toString()).slice(-2000);
    });
    started.on('close', (code, signal) => {
      const lines = output
        .split('\n')
        .filter((line) => line.endsWith('}'))
        .map((line) => JSON.parse(line) as Line);
      const death = signal ?? (code === 0 ? null : `exit code ${code}: ${errors}`);
      resolve({ lines, death });
    });
  });
}

/** What went wrong among the kernels of some seeds, as text; empty: nothing. */
async function faults(first: number, count: number, ...more: string[]): Promise<{ readonly found: string[]; readonly end: Line }> {
  const { lines, death } = await run(first, count, batch, ...more);
  const found = lines
    .filter((l) => l.what !== undefined)
    .map(({ seed, device, what, kernel }) => `seed ${seed}, ${device}: ${what}\n${kernel}`);
  if (death === null) return { found, end: lines.at(-1)! };
  const at = lines.at(-1)?.running ?? first;
  const again = await run(at, batch, 1, ...more);
  const last = again.lines.at(-1);
  const where = again.death === null ? `none of the kernels ${at} to ${at + batch - 1} alone` : `seed ${last?.running}\n${last?.kernel}`;
  return { found: [...found, `the process died (${death}): ${where}`], end: {} };
}

describe('random kernels between guard pages', () => {
  beforeAll(() => {
    const { stdout, stderr, status } = spawnSync(process.execPath, [join(root, 'scripts/build.mjs'), 'test'], { encoding: 'utf8' });
    expect([status, stdout + stderr]).toEqual([0, '']);
  });

  test('a kernel that reads beyond a buffer kills its process, and is named', async (context) => {
    if (runnableIsas.length === 0) return context.skip('there is no machine code on this machine, and WebAssembly has no pages to guard');
    const { found } = await faults(firstSeed, batch, 'shorten');
    expect(found.join('\n')).toMatch(/the process died \(SIG(SEGV|BUS)\): seed \d+\n(kernel random_\d+ |matmul)/);
  });

  // Four or five minutes on two cores of its own; a busy machine may take longer.
  const patience = { timeout: 3_600_000 };
  test(`${total} kernels from seed ${firstSeed} on ${[...runnableIsas, 'wasm'].join(', ')}`, patience, async () => {
    const pieces = Array.from(
      { length: Math.ceil(total / share) },
      (_, i) => [firstSeed + i * share, Math.min(share, total - i * share)] as const,
    );
    const found: string[] = [];
    const sum = { done: 0, bits: 0, nearly: 0 };
    const worker = async (): Promise<void> => {
      for (let piece = pieces.shift(); piece !== undefined; piece = pieces.shift()) {
        const { found: here, end } = await faults(...piece);
        found.push(...here);
        for (const key of ['done', 'bits', 'nearly'] as const) sum[key] += end[key] ?? 0;
      }
    };
    await Promise.all([worker(), worker()]);
    console.log(
      `random kernels from seed ${firstSeed} on ${[...runnableIsas, 'wasm'].join(', ')}: ${sum.done} kernels, ${sum.bits} bit for bit as the reference, ${sum.nearly} products to a tolerance`,
    );
    expect(found.slice(0, 20)).toEqual([]);
    expect(sum.done).toBe(total);
  });
});

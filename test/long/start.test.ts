/**
 * `npm start` as a user runs it: a process of its own, from the built package. Stopped by Ctrl-C and resumed it ends with the bits of a
 * run that was not stopped; 1,500 steps (what PyTorch does in a minute on two AVX2 cores) get below 1.8 nats a character.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseSafetensors } from '../../src/serialize/safetensors-format.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const program = join(root, 'dist/cli/start.js');
const folder = mkdtempSync(join(tmpdir(), 'magpie-start-'));
const small = ['--layers', '2', '--heads', '2', '--width', '32', '--context', '32', '--batch', '4'];

beforeAll(() => {
  const built = spawnSync(process.execPath, [join(root, 'scripts/build.mjs')], { encoding: 'utf8' });
  expect(built.stdout + built.stderr).toBe('');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly error: string;
}

function start(parameters: readonly string[], onOutput?: (child: ChildProcess, out: string) => void): Promise<Ended> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [program, ...parameters], { cwd: root });
    let [out, error] = ['', ''];
    child.stdout.on('data', (chunk) => {
      out += String(chunk);
      onOutput?.(child, out);
    });
    child.stderr.on('data', (chunk) => {
      error += String(chunk);
    });
    child.on('close', (code) => resolve({ code, out, error }));
  });
}

/** Everything in a checkpoint except wall times: name, bytes, and the JSON of the rest. */
function contents(file: string): { state: unknown; tensors: Record<string, string> } {
  const bytes = readFileSync(file);
  const { metadata, tensors } = parseSafetensors(bytes, file);
  const state = JSON.parse(metadata.get('magpie.checkpoint')!);
  delete state.elapsed;
  const data = [...tensors].map(([name, { begin, end }]) => [name, bytes.subarray(begin, end).toString('hex')]);
  return { state, tensors: Object.fromEntries(data) };
}

describe('npm start', () => {
  test('stopped by Ctrl-C and resumed ends bit for bit where an uninterrupted run ends', async () => {
    const [whole, parts] = [join(folder, 'whole'), join(folder, 'parts')];
    const budget = ['--steps', '400', '--tokens', '20', ...small];
    const uninterrupted = await start([...budget, '--out', whole]);
    expect(uninterrupted.error).toBe('');
    expect(uninterrupted.code).toBe(0);

    let asked = false;
    const stopped = await start([...budget, '--out', parts], (child, out) => {
      if (!asked && out.includes('step ')) child.kill('SIGINT');
      asked ||= out.includes('step ');
    });
    expect(stopped.code).toBe(0);
    expect(stopped.out).toContain('interrupted');
    const file = join(parts, 'checkpoint.safetensors');
    const { state } = contents(file) as { state: { step: number } };
    expect(state.step).toBeGreaterThan(0);
    expect(state.step).toBeLessThan(400);

    const resumed = await start(['--resume', file, '--out', parts, '--tokens', '20']);
    expect(resumed.error).toBe('');
    expect(resumed.code).toBe(0);
    expect(contents(file)).toEqual(contents(join(whole, 'checkpoint.safetensors')));
    // The generated text too: torch's generator went on from where it was.
    expect(sampleOf(resumed.out)).toBe(sampleOf(uninterrupted.out));
  });

  test('1,500 steps reach less than 1.8 nats a character on text that training never sees', async () => {
    const out = join(folder, 'full');
    const { code, out: text, error } = await start(['--steps', '1500', '--json', '--out', out]);
    expect(error).toBe('');
    expect(code).toBe(0);
    const report = JSON.parse(text);
    console.log(
      `${report.isa}, ${report.threads} threads: ${Math.round(report.tokensPerSecond)} tokens/s, held-out loss ${report.heldOutLoss}`,
    );
    expect(report.heldOutLoss).toBeLessThan(1.8);
    expect(report.sample.match(/\b(the|and|of|to|a|in|that|his|it|with|was)\b/g)?.length).toBeGreaterThan(10);
    for (const { path, bytes } of report.files) expect(statSync(path).size).toBe(bytes);
    expect(existsSync(join(out, 'loss.svg'))).toBe(true);
  });

  test('ends with exit code 2 for a wrong command line and 1 for a file that is no checkpoint', async () => {
    expect((await start(['--steps', 'many'])).code).toBe(2);
    const wrong = await start(['--resume', join(root, 'package.json')]);
    expect(wrong.code).toBe(1);
    expect(wrong.error).toMatch(/^error: .*\n {2}in .*package\.json/);
  });
});

function sampleOf(out: string): string {
  const end = out.indexOf('\n\ndevice ');
  return out.slice(out.lastIndexOf('nats a character\n', end), end);
}

/**
 * PyTorch's records as `npm run conformance` runs them: on `cpu` with the other forms of each call, in the other two flush modes, on `wasm`,
 * and gradients against differences. What `conformance/reports/cpu.json` says passes, has to pass in each of them.
 *
 * @needs ../shared
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { CompactReport } from '../../conformance/report.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'magpie-conformance-'));
const recorded = JSON.parse(readFileSync(join(root, 'conformance/reports/cpu.json'), 'utf8')) as CompactReport;
const minutes = 60_000;

beforeAll(() => {
  const built = spawnSync(process.execPath, [join(root, 'scripts/build.mjs'), 'conformance'], { encoding: 'utf8' });
  expect(built.stderr).toBe('');
}, 5 * minutes);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function run(...parameters: string[]): { out: string; report: CompactReport } {
  const file = join(folder, 'report.json');
  const program = join(root, 'out/conformance-build/conformance/main.js');
  const data = join(root, '../shared/conformance');
  const ended = spawnSync(process.execPath, [program, '--data', data, '--compact', file, ...parameters], {
    encoding: 'utf8',
    maxBuffer: 2 ** 27,
  });
  expect(ended.status, ended.stderr).toBe(0);
  const lines = ended.stdout.trimEnd().split('\n');
  console.log([parameters.join(' '), ...lines.slice(-6)].join('\n'));
  return { out: ended.stdout, report: JSON.parse(readFileSync(file, 'utf8')) as CompactReport };
}

/** Names of which fewer records pass than the checked-in report says. */
function lost(report: CompactReport): string[] {
  const passed = (count: string | undefined): number => Number((count ?? '0/0').split('/')[0]);
  return (['operators', 'modules', 'programs'] as const).flatMap((section) =>
    Object.entries(recorded[section]).flatMap(([name, count]) =>
      passed(report[section][name]) < passed(count) ? [`${name}: ${report[section][name]}, before ${count}`] : [],
    ),
  );
}

describe('records of PyTorch', () => {
  test.each([
    ['cpu', ['--forms', 'sample']],
    ['cpu', ['--forms', 'none', '--flush', 'eager']],
    ['cpu', ['--forms', 'none', '--flush', 'random:7']],
    ['wasm', ['--forms', 'none']],
  ] as const)(
    'on %s with %j',
    (device, options) => {
      expect(lost(run('--device', device, ...options).report)).toEqual([]);
    },
    20 * minutes,
  );

  test('gradients and gradients of gradients agree with differences', { timeout: 20 * minutes }, () => {
    const { out } = run('--device', 'cpu', '--gradients');
    const [, first, firstTotal, second, secondTotal] = /gradcheck cpu: (\d+) of (\d+) records, gradgradcheck: (\d+) of (\d+)/.exec(out)!;
    expect(Number(firstTotal)).toBeGreaterThan(1500);
    expect([first, second]).toEqual([firstTotal, secondTotal]);
  });
});

/**
 * What `test.mjs` and `long.mjs` share: run vitest, collect the counts, print skips by name with their reasons, and end in
 * the line that scripts read: `N passed, N failed`, with `, N skipped` when something was skipped.
 *
 * A test file that cannot do anything without the folder `../shared` says so with `@needs ../shared` in its header comment;
 * where that folder is absent the file is left out and counted as one skip, by name. A single test skips by itself with
 * vitest's `context.skip('the reason')`.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));

/** Runs a tool of node_modules (a script for Node) and returns how it ended; its output goes straight to ours. */
export function runTool(script, parameters, environment = {}) {
  const result = spawnSync(process.execPath, [join(root, 'node_modules', script), ...parameters], {
    stdio: 'inherit',
    cwd: root,
    env: { ...process.env, ...environment },
  });
  return { ok: result.status === 0, ending: result.error?.message ?? result.signal ?? `exit code ${result.status}` };
}

/** Runs vitest over the ordinary or the long suites and returns `{ passed, failed: name[], skipped: { name, note }[] }`. */
export function runVitest({ long, parameters = [] }) {
  const scratch = mkdtempSync(join(tmpdir(), 'magpie-tests-'));
  const target = join(scratch, 'summary.json');
  const unavailable = existsSync(join(root, '../shared'))
    ? []
    : filesThatNeedShared(long ? ['test/long'] : ['src', 'test', 'bench', 'scripts']);
  const reporter = join(root, 'scripts/vitest-reporter.mjs');
  const run = runTool(
    'vitest/vitest.mjs',
    ['run', '--reporter=default', `--reporter=${reporter}`, ...unavailable.flatMap((file) => ['--exclude', file]), ...parameters],
    { MAGPIE_TEST_SUMMARY: target, MAGPIE_LONG: long ? '1' : '0' },
  );
  const summary = existsSync(target) ? JSON.parse(readFileSync(target, 'utf8')) : { passed: 0, failed: [], skipped: [] };
  rmSync(scratch, { recursive: true, force: true });
  for (const name of unavailable) summary.skipped.push({ name, note: 'needs ../shared, which is not there' });
  // Vitest may fail without a failed case: it was killed, or its configuration is wrong.
  if (!run.ok && summary.failed.length === 0) summary.failed.push(`vitest itself (${run.ending})`);
  return summary;
}

function filesThatNeedShared(folders) {
  const found = [];
  for (const folder of folders.filter((name) => existsSync(join(root, name)))) {
    for (const entry of readdirSync(join(root, folder), { recursive: true, withFileTypes: true })) {
      if (!entry.isFile() || !entry.name.endsWith('.test.ts')) continue;
      const path = join(entry.parentPath ?? entry.path, entry.name);
      if (/@needs \.\.\/shared/.test(readFileSync(path, 'utf8').slice(0, 2000))) found.push(relative(root, path));
    }
  }
  return found.filter((path) => folders.includes('test/long') || !path.startsWith('test/long'));
}

/** Prints skips and failures by name, then the one line, and sets the exit code. Nothing may be printed after it. */
export function finish({ passed, failed, skipped }) {
  if (skipped.length > 0) {
    console.log('\nSkipped:');
    for (const { name, note } of skipped) console.log(`  ${name}${note ? `: ${note}` : ''}`);
  }
  if (failed.length > 0) {
    console.log('\nFailed:');
    for (const name of failed) console.log(`  ${name}`);
  }
  console.log(`\n${passed} passed, ${failed.length} failed${skipped.length > 0 ? `, ${skipped.length} skipped` : ''}`);
  process.exitCode = failed.length > 0 ? 1 : 0;
}

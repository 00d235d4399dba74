/**
 * `npm test`: types, lint, and every test except the long suites. Types and lint count as one test each; so the last line
 * speaks for everything. Parameters go to vitest (`npm test -- src/shape`), then types and lint are left out.
 */
import { finish, runTool, runVitest } from './run-tests.mjs';

const parameters = process.argv.slice(2);
const summary = { passed: 0, failed: [], skipped: [] };

if (parameters.length === 0) {
  for (const [name, script, options] of [
    ['types (tsc --noEmit)', 'typescript/bin/tsc', ['--noEmit']],
    ['lint and format (biome check)', '@biomejs/biome/bin/biome', ['check', '--error-on-warnings', '.']],
  ]) {
    console.log(`\n${name}`);
    const result = runTool(script, options);
    if (result.ok) summary.passed++;
    else summary.failed.push(`${name}: ${result.ending}`);
  }
}

const tests = runVitest({ long: false, parameters });
summary.passed += tests.passed;
summary.failed.push(...tests.failed);
summary.skipped.push(...tests.skipped);
finish(summary);

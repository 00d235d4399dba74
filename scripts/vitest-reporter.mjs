/**
 * A vitest reporter that counts test cases and writes them, with the names and reasons of skips and failures, to the JSON
 * file named by MAGPIE_TEST_SUMMARY. `run-tests.mjs` reads it; the details of failures are printed by vitest's own reporter.
 *
 * Counted as failed besides failed cases: a file that could not be collected, a hook of a suite that threw, an error that no
 * test caught, a case that never ended. A case that would be silently dropped is the one thing a summary must not have.
 */
import { writeFileSync } from 'node:fs';
import { relative } from 'node:path';

export default class SummaryReporter {
  onTestRunEnd(modules, unhandledErrors, reason) {
    const summary = { passed: 0, failed: [], skipped: [], reason, files: modules.length };
    for (const module of modules) {
      const file = relative(process.cwd(), module.moduleId);
      for (const error of module.errors()) summary.failed.push(`${file}: ${error.message}`);
      for (const suite of module.children.allSuites()) {
        for (const error of suite.errors()) summary.failed.push(`${file}: ${suite.fullName}: ${error.message}`);
      }
      for (const test of module.children.allTests()) {
        const result = test.result();
        const name = `${file}: ${test.fullName}`;
        if (result.state === 'passed') summary.passed++;
        else if (result.state === 'skipped') summary.skipped.push({ name, note: result.note ?? '' });
        else summary.failed.push(result.state === 'failed' ? name : `${name} (${result.state}: it never ended)`);
      }
    }
    for (const error of unhandledErrors) summary.failed.push(`not caught by any test: ${error.message}`);
    const target = process.env.MAGPIE_TEST_SUMMARY;
    if (target) writeFileSync(target, JSON.stringify(summary));
  }
}

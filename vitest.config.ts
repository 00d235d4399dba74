import { defineConfig } from 'vitest/config';

// Two forked workers: the machines that run the tests have two cores, and native code that dies takes a process with it,
// not the whole run. The long suites (test/long) have their own script and their own time limits.
const long = process.env['MAGPIE_LONG'] === '1';

export default defineConfig({
  test: {
    include: long
      ? ['test/long/**/*.test.ts']
      : [
          'src/**/*.test.ts',
          'test/**/*.test.ts',
          'bench/**/*.test.ts',
          'conformance/**/*.test.ts',
          'scripts/**/*.test.ts',
          'docs/**/*.test.ts',
        ],
    exclude: long ? [] : ['test/long/**'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: long ? 600_000 : 60_000,
    hookTimeout: long ? 600_000 : 60_000,
    teardownTimeout: 10_000,
    // The sweep of dead buffers forces a collection through `v8.setFlagsFromString('--expose-gc')`; nothing to pass here.
    passWithNoTests: true,
  },
});

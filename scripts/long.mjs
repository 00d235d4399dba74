/**
 * The long suites: every test under `test/long/`, with generous time limits. `.ci/run` calls this after `npm test`;
 * by hand: `node scripts/long.mjs`, or with a file name.
 */
import { finish, runVitest } from './run-tests.mjs';

finish(runVitest({ long: true, parameters: process.argv.slice(2) }));

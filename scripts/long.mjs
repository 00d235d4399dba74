/**
 * The long suites: every test under `test/long/`, with generous time limits. `.ci/run` calls this after `npm test`;
 * by hand: `node scripts/long.mjs`, or with a file name.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { finish, root, runVitest } from './run-tests.mjs';

// Several suites run the built package. Built here once, none of them builds while another runs it: a build begins by removing the old one.
for (const part of [[], ['conformance']]) spawnSync(process.execPath, [join(root, 'scripts/build.mjs'), ...part], { stdio: 'inherit' });

finish(runVitest({ long: true, parameters: process.argv.slice(2) }));

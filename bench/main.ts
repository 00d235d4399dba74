/**
 * `npm run bench`: runs a suite, prints a table, and writes JSON next to it with `--json FILE`.
 */
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { Command, Option } from 'commander';
import { formatComparison } from './harness.ts';
import { formatHostTimes, hostSuite } from './host-suite.ts';
import { startSuite } from './start-suite.ts';

const command = new Command('npm run bench --')
  .description('Measures this library against rivals, in alternating rounds.')
  .addOption(new Option('--suite <name>', 'what to measure').choices(['start', 'host']).default('start'))
  .option('--seconds <n>', 'how long each rival trains in a round', Number, 20)
  .option('--rounds <n>', 'alternating rounds (host: rounds of 20 steps)', Number)
  .option('--threads <n>', 'threads of every rival (default: the cores of this machine)', Number)
  .addOption(new Option('--isa <name>', 'force every rival to one instruction set').choices(['avx2', 'avx512']))
  .option('--json <file>', 'write the result there')
  .parse();
const options = command.opts<{
  suite: 'start' | 'host';
  seconds: number;
  rounds?: number;
  threads?: number;
  isa?: 'avx2' | 'avx512';
  json?: string;
}>();
if (![options.seconds, options.rounds ?? 1, options.threads ?? 1].every((value) => value > 0))
  command.error('error: numbers greater than 0 are needed');

const save = (result: object): void => {
  if (options.json) writeFileSync(resolve(options.json), `${JSON.stringify({ suite: options.suite, ...result }, undefined, 2)}\n`);
};

if (options.suite === 'host') {
  const times = hostSuite(options.rounds ?? 60);
  console.log(formatHostTimes(times));
  save(times);
} else {
  const { comparison, details } = await startSuite({
    seconds: options.seconds,
    rounds: options.rounds ?? 3,
    threads: options.threads,
    isa: options.isa,
    root: process.cwd(),
    log: (line) => console.log(line),
  });
  console.log(`\n${formatComparison(comparison)}`);
  for (const [name, { isa, threads, steps, trainingLoss, heldOutLoss }] of Object.entries(details)) {
    console.log(
      `  ${name}: ${isa}, ${threads} threads, ${steps} steps, training loss ${trainingLoss.toFixed(3)}, held-out loss ${heldOutLoss.toFixed(3)}`,
    );
  }
  save({ ...comparison, details });
}

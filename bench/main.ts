/**
 * `npm run bench`: runs a suite, prints a table, and writes JSON next to it with `--json FILE`. The suite `cpu` also writes its document.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { Command, Option } from 'commander';
import { ratioChart } from './cpu/chart.ts';
import { failuresOf, formatDocument, formatResult, formatTable } from './cpu/report.ts';
import { checkRoot, cpuSuite, rowNames } from './cpu-suite.ts';
import { cudaSuite, formatCudaSuite } from './cuda-suite.ts';
import { formatComparison } from './harness.ts';
import { formatHostTimes, hostSuite } from './host-suite.ts';
import { startSuite } from './start-suite.ts';

const command = new Command('npm run bench --')
  .description('Measures this library against rivals, in alternating rounds.')
  .addOption(new Option('--suite <name>', 'what to measure').choices(['start', 'host', 'cpu', 'cuda']).default('start'))
  .option('--seconds <n>', 'how long each rival trains in a round', Number, 20)
  .option('--rounds <n>', 'alternating rounds (host: rounds of 20 steps; cpu: 8)', Number)
  .option('--threads <n>', 'threads of every rival (default: the cores of this machine; cpu: 1 and 2)', Number)
  .addOption(new Option('--isa <name>', 'start: force every rival to one instruction set').choices(['avx2', 'avx512']))
  .option('--only <rows>', `cpu: these rows, separated by commas: ${rowNames.join(', ')}`, (text: string) => text.split(','), [])
  .option('--budget <seconds>', 'cpu: how long a measurement takes at least', Number, 0.4)
  .option('--write', 'cpu: writes docs/performance.md and docs/performance.svg')
  .option('--json <file>', 'write the result there')
  .option('--works <names>', 'cuda: which workloads, separated by commas', 'bert,gpt2,llama,llama-long')
  .option('--folder <path>', 'cuda: where weights go, 5 GB', '/tmp/magpie-cuda-suite')
  .option('--python <path>', 'cuda: the Python that has PyTorch', 'python3')
  .option('--device <name>', 'cuda: compute on another device (with --size tiny: a test of the suite)', 'cuda')
  .addOption(new Option('--size <name>', 'cuda: tiny shapes for a test').choices(['full', 'tiny']).default('full'))
  .option('--effort <n>', "cuda: PyTorch's best is found among 0 nothing, 1 reduce-overhead, 2 max-autotune too", Number, 1)
  .option('--reuse', "cuda: take the rival's weights and times of the last run", false)
  .option('--profile', 'cuda: the longest kernels of each workload', false)
  .parse();
const options = command.opts<{
  suite: 'start' | 'host' | 'cpu' | 'cuda';
  seconds: number;
  rounds?: number;
  threads?: number;
  isa?: 'avx2' | 'avx512';
  only: string[];
  budget: number;
  write?: true;
  json?: string;
  works: string;
  folder: string;
  python: string;
  device: string;
  size: 'full' | 'tiny';
  effort: number;
  reuse: boolean;
  profile: boolean;
}>();
if (![options.seconds, options.rounds ?? 1, options.threads ?? 1].every((value) => value > 0) || !(options.budget >= 0))
  command.error('error: numbers greater than 0 are needed');

const save = (result: object): void => {
  if (options.json === undefined) return;
  mkdirSync(dirname(resolve(options.json)), { recursive: true });
  writeFileSync(resolve(options.json), `${JSON.stringify({ suite: options.suite, ...result }, undefined, 2)}\n`);
};

switch (options.suite) {
  case 'host': {
    const times = hostSuite(options.rounds ?? 60);
    console.log(formatHostTimes(times));
    save(times);
    break;
  }
  case 'cpu': {
    const root = process.cwd();
    checkRoot(root);
    const report = await cpuSuite({
      rounds: options.rounds ?? 8,
      threads: options.threads === undefined ? [1, 2].filter((n) => n <= availableParallelism()) : [options.threads],
      only: options.only,
      budget: options.budget,
      jobSeconds: options.seconds,
      root,
      log: (line) => console.log(line),
      onResult: (result) => console.log(`\n${formatResult(result)}`),
    });
    console.log(`\n${formatTable(report)}`);
    save(report);
    if (options.write === true) {
      const document = join(root, 'docs/performance.md');
      writeFileSync(document, formatDocument(report, existsSync(document) ? readFileSync(document, 'utf8') : undefined));
      writeFileSync(join(root, 'docs/performance.svg'), ratioChart(report));
    }
    const failures = failuresOf(report);
    for (const line of failures) console.log(`FAILED: ${line}`);
    if (failures.length > 0) process.exitCode = 1;
    break;
  }
  case 'cuda': {
    const { folder, python, device, size, effort, reuse, profile } = options;
    const works = options.works.split(',');
    const root = process.cwd();
    const result = cudaSuite({ root, folder, python, works, device, size, effort, reuse, profile, log: (line) => console.log(line) });
    console.log(`\n${formatCudaSuite(result)}`);
    save(result);
    break;
  }
  case 'start': {
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
    break;
  }
  default:
    options.suite satisfies never;
}

/**
 * `npm run conformance -- --data DIR --device DEVICE`: runs PyTorch's records on a device. The last three lines are the result; the exit code
 * says only whether the run itself worked.
 */
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { collectCudaKernels } from './ahead.ts';
import { hasRecords, loadRecords } from './data.ts';
import type { FormsMode } from './forms.ts';
import { gradientSample } from './gradients.ts';
import { noDerivative } from './no-derivative.ts';
import { notRun } from './not-run.ts';
import { compactReport } from './report.ts';
import { runConformance, summarize } from './run.ts';

const command = new Command('npm run conformance --')
  .description("Runs PyTorch's recorded answers (operators, modules, programs) on a device and compares.")
  .requiredOption('--data <folder>', 'folder with ops.json.gz, nn.json.gz, scale.json.gz')
  .option('--device <name>', 'device under test', 'cpu')
  .option('--only <regex>', 'only operators, modules and programs whose name matches')
  .addOption(
    new Option('--forms <mode>', 'method, in-place, out= and non-contiguous forms').choices(['none', 'sample', 'all']).default('sample'),
  )
  .option('--report <file>', 'write every record with its reason as JSON')
  .option('--compact <file>', 'write the counts by operator as JSON (what FEATURES.md is made of)')
  .addOption(
    new Option('--flush <mode>', 'when the engine computes')
      .argParser((mode: string) => {
        if (!/^(lazy|eager|random:\d+)$/.test(mode)) throw new InvalidArgumentError('lazy, eager or random:SEED');
        return mode;
      })
      .default('lazy'),
  )
  .option('--gradients', "gradcheck and gradgradcheck from the operators' records instead of the recorded numbers")
  .option('--compile-only', 'no card: collect the kernels of the device cuda while cpu computes, and compile them into MAGPIE_CACHE')
  .option('--architecture <name>', 'what --compile-only compiles for', 'sm_90')
  .addOption(
    new Option('--shard <i/n>', 'only every nth record, from the ith on (from 1)').argParser((text: string) => {
      const [, i, n] = (/^(\d+)\/(\d+)$/.exec(text) ?? ['', '0', '0']).map(Number);
      if (!(i >= 1 && i <= n)) throw new InvalidArgumentError('as in 1/4');
      return { index: i - 1, count: n };
    }),
  )
  .option('--verbose', 'print every failed record')
  .parse();
const options = command.opts<{
  data: string;
  device: string;
  only?: string;
  forms: FormsMode;
  report?: string;
  compact?: string;
  verbose?: boolean;
  flush: string;
  gradients?: boolean;
  compileOnly?: boolean;
  architecture: string;
  shard?: { readonly index: number; readonly count: number };
}>();
if (!hasRecords(options.data)) command.error(`error: no records in ${options.data}`);

const records = loadRecords(options.data);
console.log(
  `${records.operators.samples.length} operator records, ${records.network.samples.length} module records, ${records.programs.length} programs in ${options.data}`,
);
if (options.compileOnly && options.device !== 'cuda') command.error('error: --compile-only is for --device cuda');
const ahead = options.compileOnly ? collectCudaKernels() : null;
const report = await runConformance(records, {
  device: options.device,
  only: options.only === undefined ? undefined : new RegExp(options.only),
  forms: options.forms,
  flush: options.flush,
  shard: options.shard,
  gradients: options.gradients,
  progress: ({ name, index, dtype, reason }) => {
    if (options.verbose && reason !== null) console.log(`  #${index} ${name} ${dtype}: ${reason}`);
  },
});

for (const { name, index, order, reason } of report.gradients?.failures ?? []) console.log(`${name} #${index}, ${order} order: ${reason}`);
if (report.gradients)
  console.log(
    `left out: ${report.gradients.leftOut} records beyond ${gradientSample.records} an operator or with inputs beyond ${gradientSample.elements} elements; ${noDerivative.length} entries in conformance/no-derivative.ts`,
  );
const cut = (text: string): string => (text.length > 160 ? `${text.slice(0, 157)}...` : text);
for (const outcomes of [report.operators, report.modules, report.programs])
  for (const [name, { passed, total, first }] of summarize(outcomes))
    if (first !== null) console.log(`${name}: ${passed} of ${total}, first failure: ${cut(first)}`);

const { checked, failed, missing } = report.forms;
console.log(
  `forms: ${checked} checked, ${failed} failed; ${Object.entries(missing)
    .map(([form, names]) => `${names.length} operators without ${form}`)
    .join(', ')}`,
);
console.log(`not run: ${notRun.length} entries in conformance/not-run.ts`);
console.log(`time: ${report.seconds.toFixed(1)} s`);
if (options.report)
  writeFileSync(
    resolve(options.report),
    `${JSON.stringify({ ...report, operatorsByName: Object.fromEntries(summarize(report.operators)) }, undefined, 1)}\n`,
  );
if (options.compact) writeFileSync(resolve(options.compact), `${JSON.stringify(compactReport(report), undefined, 1)}\n`);
if (ahead !== null) console.log(await ahead.compile(options.architecture));
for (const line of report.lines) console.log(line);

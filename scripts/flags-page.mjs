/**
 * Writes docs/flags.md from src/util/flags.ts, where every flag is declared. `--check` writes nothing and fails if the page is stale.
 *
 *   node scripts/flags-page.mjs [--check]
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const root = fileURLToPath(new URL('..', import.meta.url));
const { outputText } = ts.transpileModule(readFileSync(`${root}src/util/flags.ts`, 'utf8'), {
  compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext },
});
const { flagDefaults, flagTable, traceTopics } = await import(`data:text/javascript,${encodeURIComponent(outputText)}`);

const valueText = (value, type) => {
  if (value === '') return 'empty';
  if (value === Infinity) return 'no limit';
  return type === 'bytes' && value % 2 ** 20 === 0 ? `\`${value / 2 ** 20}M\`` : `\`${value}\``;
};
const page = `# Flags

Generated from \`src/util/flags.ts\` by \`node scripts/flags-page.mjs\`; a test fails when this page is older than the code.

A flag is an environment variable, read when the package loads. In code: \`import { flags } from 'torch-magpie'\`, then \`flags.trace = 'fusion'\`.
Bytes may have a suffix K, M, G or T (powers of 1024). A boolean is off when it is \`0\` or \`false\`.

| variable | in code | type | default | meaning |
| --- | --- | --- | --- | --- |
${Object.entries(flagTable)
  .map(([name, { type, env, doc }]) => `| \`${env}\` | \`flags.${name}\` | ${type} | ${valueText(flagDefaults[name], type)} | ${doc} |`)
  .join('\n')}

\`isa\`, \`threads\`, \`memory\` and those of CUDA are looked at when the device is opened, which is at its first use.

## What \`MAGPIE_TRACE\` prints

| topic | what |
| --- | --- |
${Object.entries(traceTopics)
  .map(([name, doc]) => `| \`${name}\` | ${doc} |`)
  .join('\n')}

Everything goes to standard error, each line with its topic in brackets. \`docs/inside.md\` shows and explains it for one small program. \`profile\` is
of the device \`cpu\` with machine code, and of \`cuda\`; it runs each kernel as a stage of its own, so the whole takes a little longer than without. Bytes are
those of the buffers that a kernel touches, each once and whole: a kernel that reads a part of a buffer gets too many. A share above 100 % means that the data came
from the processor's caches. Times are those of the calling thread: on a machine that is busy with other work, a kernel that the pool's workers did while that thread
was waiting for a processor seems to take no time, and its neighbour takes more.

## Variables of tests and benchmarks

\`MAGPIE_ORACLE\` or \`PYTHON\` (a Python with PyTorch, for \`npm run bench\`), \`MAGPIE_TEST_RUNS\` and \`MAGPIE_TEST_SEED\` (random programs), \`MAGPIE_TEST_SHRINK=1\` (shrink a
failing one), \`MAGPIE_RANDOM_KERNELS\` (random kernels), \`MAGPIE_TEST_KERNELS\` (those of the long suite). \`MAGPIE_LONG\` and \`MAGPIE_TEST_SUMMARY\` are set by the scripts.
`;

const path = `${root}docs/flags.md`;
if (process.argv[2] === '--check') {
  if (readFileSync(path, 'utf8') !== page) {
    console.error('docs/flags.md is stale: run node scripts/flags-page.mjs');
    process.exit(1);
  }
} else writeFileSync(path, page);

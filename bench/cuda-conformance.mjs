/**
 * The conformance run in several processes, one report: `node bench/cuda-conformance.mjs BUILD DATA OUT PROCESSES [options of npm run conformance]`.
 *
 * BUILD is a folder of compiled JavaScript (`out/conformance-build`, or `.carry/build` of cuda-build.mjs). Writes OUT.json, what `--compact` writes, and
 * OUT.failed.txt, a line for each record that did not pass. With several cards process i takes card i modulo their number.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const [build, data, out, processes, ...options] = process.argv.slice(2);
const count = Number(processes);
const { compactReport } = await import(`${resolve(build)}/conformance/report.js`);
const { summaryLines } = await import(`${resolve(build)}/conformance/run.js`);
const folder = mkdtempSync(join(tmpdir(), 'conformance-'));
const cards = Number(process.env.CARDS ?? 1);
const begin = performance.now();
const codes = await Promise.all(
  Array.from({ length: count }, (_, i) => {
    const report = join(folder, `${i}.json`);
    const parameters = ['--data', data, '--shard', `${i + 1}/${count}`, '--report', report, ...options];
    const env = cards > 1 ? { ...process.env, CUDA_VISIBLE_DEVICES: String(i % cards) } : process.env;
    const child = spawn(process.execPath, [join(build, 'conformance/main.js'), ...parameters], { stdio: ['ignore', 'pipe', 'pipe'], env });
    let text = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (piece) => (text += piece));
    return new Promise((done) => child.on('exit', (code) => done({ code, text, report })));
  }),
);
const reports = [];
codes.forEach(({ code, text, report }, i) => {
  if (code !== 0) console.log(`process ${i + 1} ended with ${code}: ${text.slice(-1500)}`);
  else reports.push(JSON.parse(readFileSync(report, 'utf8')));
});
if (reports.length === 0) process.exit(1);
const merged = { device: reports[0].device };
for (const part of ['operators', 'modules', 'programs']) merged[part] = reports.flatMap((r) => r[part]).sort((a, b) => a.index - b.index);
merged.lines = summaryLines(merged.device, merged.operators, merged.modules, merged.programs);
writeFileSync(`${out}.json`, `${JSON.stringify(compactReport(merged), undefined, 1)}\n`);
const failed = ['operators', 'modules', 'programs'].flatMap((part) =>
  merged[part].filter((o) => o.reason !== null).map((o) => `${part}\t${o.name}\t#${o.index}\t${o.dtype}\t${o.reason}`),
);
writeFileSync(`${out}.failed.txt`, `${failed.join('\n')}\n`);
const forms = reports.reduce((sum, r) => [sum[0] + r.forms.checked, sum[1] + r.forms.failed], [0, 0]);
console.log(
  `${options.join(' ')}: ${((performance.now() - begin) / 1000).toFixed(1)} s in ${count} processes, forms ${forms[0]} checked, ${forms[1]} failed`,
);
for (const line of merged.lines) console.log(line);

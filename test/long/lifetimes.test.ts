/**
 * Nothing leaks in a plain synchronous loop: 5,000 steps that each hold an unread result of 8 MB and drop the one before keep the memory of
 * the process flat, in this Node and in the newest one. Each runs in a process of its own, from the built package.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'magpie-lifetimes-'));

/** Prints resident megabytes every 250 steps; no await, no dispose. */
const loop = `
import torch, { nn, optim } from ${JSON.stringify(new URL('../../dist/index.js', import.meta.url).href)};
const large = torch.ones(2, 1024, 1024);
const net = new nn.Linear(8, 8);
const opt = new optim.SGD(net.parameters(), { lr: 1e-3 });
const x = torch.ones(4, 8);
const seen = [];
let held;
for (let step = 0; step < 5000; step++) {
  held = large.add(step);
  const loss = net(x).pow(2).sum();
  opt.zero_grad();
  loss.backward();
  opt.step();
  if (step % 250 === 249) seen.push(Math.round(process.memoryUsage.rss() / 2 ** 20));
}
if (held.select(0, 1).select(0, 5).select(0, 7).item() !== 5000) throw new Error('a wrong number: ' + held.select(0, 1).select(0, 5).select(0, 7).item());
console.log(JSON.stringify(seen));
`;

beforeAll(() => {
  const built = spawnSync(process.execPath, [join(root, 'scripts/build.mjs')], { encoding: 'utf8' });
  expect(built.stdout + built.stderr).toBe('');
  writeFileSync(join(folder, 'loop.mjs'), loop);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Megabytes that may come and go: what is allocated between two sweeps is not all of it garbage at once. */
const allowed = 150;

function expectFlat(node: string): void {
  const { status, stdout, stderr } = spawnSync(node, [join(folder, 'loop.mjs')], { encoding: 'utf8' });
  expect(stderr).toBe('');
  expect(status).toBe(0);
  const seen = JSON.parse(stdout) as number[];
  console.log(`${node}: resident megabytes every 250 steps: ${seen.join(' ')}`);
  expect(seen).toHaveLength(20);
  const [warm, ...rest] = seen;
  expect(Math.max(...rest) - warm!).toBeLessThan(allowed);
}

test('5,000 steps stay flat in this Node', () => expectFlat(process.execPath));

/** The newest Node as an npm package, or why it cannot be had. */
function newestNode(): string | { readonly reason: string } {
  const prefix = join(folder, 'newest');
  const npm = spawnSync('npm', ['install', '--prefix', prefix, '--no-audit', '--no-fund', 'node@latest'], {
    encoding: 'utf8',
    shell: true,
  });
  const path = join(prefix, 'node_modules/node/bin/node');
  const version = npm.status === 0 ? spawnSync(path, ['--version'], { encoding: 'utf8' }) : null;
  if (version?.status === 0) return path;
  return {
    reason:
      npm.status === 0
        ? 'the npm package `node` brought no program'
        : `npm install failed: ${(npm.stderr || String(npm.error)).trim().split('\n')[0]}`,
  };
}

test('5,000 steps stay flat in the newest Node', (context) => {
  const node = newestNode();
  if (typeof node !== 'string') {
    console.log(`skipped: the newest Node cannot be had here (${node.reason})`);
    context.skip(node.reason);
    return;
  }
  expectFlat(node);
});

/**
 * `npm run build` and the first half of `npm start` and `npm run bench`: TypeScript to JavaScript, nothing else.
 *
 * A stamp file in the output folder holds the newest time of everything that went in, so that a second `npm start` does not
 * wait for the compiler. A build begins by removing the old output: no module outlives its source.
 *
 *   node scripts/build.mjs          src/          -> dist/              (what the package ships)
 *   node scripts/build.mjs bench    src/, bench/  -> out/bench-build/   (what `npm run bench` runs)
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const bench = process.argv[2] === 'bench';
const config = bench ? 'tsconfig.bench.json' : 'tsconfig.build.json';
const output = join(root, bench ? 'out/bench-build' : 'dist');
const inputs = bench ? ['src', 'bench'] : ['src'];

/** Name, size and time of every input, as one string: a file that was added, changed or removed changes it. */
function fingerprint() {
  const lines = [];
  for (const file of ['package-lock.json', 'tsconfig.json', config]) lines.push(describe(join(root, file)));
  for (const folder of inputs) {
    for (const entry of readdirSync(join(root, folder), { recursive: true, withFileTypes: true })) {
      if (entry.isFile() && /\.(ts|json)$/.test(entry.name)) lines.push(describe(join(entry.parentPath ?? entry.path, entry.name)));
    }
  }
  return lines.sort().join('\n');
}

function describe(path) {
  const status = statSync(path);
  return `${path} ${status.size} ${status.mtimeMs}`;
}

const stamp = join(output, '.stamp');
const wanted = fingerprint();
if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) process.exit(0);

rmSync(output, { recursive: true, force: true });
const compiler = join(root, 'node_modules/typescript/bin/tsc');
const result = spawnSync(process.execPath, [compiler, '-p', join(root, config)], { stdio: 'inherit', cwd: root });
if (result.status === 0) {
  mkdirSync(output, { recursive: true });
  writeFileSync(stamp, wanted);
} else {
  console.error(`build failed: ${result.error?.message ?? `tsc ended with ${result.signal ?? result.status}`}`);
}
process.exit(result.status ?? 1);

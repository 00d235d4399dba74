/**
 * `npm run build` and the first half of `npm start`, `npm run bench` and `npm run conformance`: TypeScript to JavaScript, nothing else.
 *
 * A stamp file in the output folder holds the newest time of everything that went in, so that a second `npm start` does not
 * wait for the compiler. A build begins by removing the old output: no module outlives its source.
 *
 *   node scripts/build.mjs          src/          -> dist/              (what the package ships)
 *   node scripts/build.mjs bench    src/, bench/  -> out/bench-build/   (what `npm run bench` runs)
 *   node scripts/build.mjs conformance  src/, conformance/ -> out/conformance-build/   (what `npm run conformance` runs)
 *   node scripts/build.mjs test     src/, test/   -> out/test-build/    (what a test runs in a process of its own)
 *
 * The builds of conformance and tests only strip types, file by file and only files that changed: records are run many times while operators are being
 * written, and `npm test` is what checks types.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const part = process.argv[2];
const config = part === undefined ? 'tsconfig.build.json' : `tsconfig.${part}.json`;
const output = join(root, part === undefined ? 'dist' : `out/${part}-build`);
const inputs = part === undefined ? ['src'] : ['src', part];

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

/** Transpiles what is newer than its output; outputs without a source are removed. */
async function stripTypes() {
  const { default: ts } = await import('typescript');
  const { options } = ts.parseJsonConfigFileContent(ts.readConfigFile(join(root, config), ts.sys.readFile).config, ts.sys, root);
  // With `nodenext` the format would come from package.json, which a single file does not see.
  const compilerOptions = { ...options, module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler };
  const wanted = new Set();
  for (const folder of inputs) {
    for (const entry of readdirSync(join(root, folder), { recursive: true, withFileTypes: true })) {
      if (!entry.isFile() || !/\.ts$/.test(entry.name) || /\.(test|d)\.ts$/.test(entry.name)) continue;
      const source = join(entry.parentPath ?? entry.path, entry.name);
      const target = join(output, relative(root, source)).replace(/\.ts$/, '.js');
      wanted.add(target).add(`${target}.map`);
      if (existsSync(target) && statSync(target).mtimeMs > statSync(source).mtimeMs) continue;
      const { outputText, sourceMapText } = ts.transpileModule(readFileSync(source, 'utf8'), { compilerOptions, fileName: source });
      mkdirSync(dirname(target), { recursive: true });
      writeFileSync(target, outputText);
      if (sourceMapText !== undefined) writeFileSync(`${target}.map`, sourceMapText);
    }
  }
  if (!existsSync(output)) return 0;
  for (const entry of readdirSync(output, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath ?? entry.path, entry.name);
    if (entry.isFile() && !wanted.has(path)) rmSync(path);
  }
  return 0;
}

function describe(path) {
  const status = statSync(path);
  return `${path} ${status.size} ${status.mtimeMs}`;
}

if (part === 'conformance' || part === 'test') process.exit(await stripTypes());

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

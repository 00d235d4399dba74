/**
 * Strips types of src/, conformance/, test/ and bench/ into `.carry/build` and packs what the device machine needs beside it: `node bench/cuda-build.mjs`.
 *
 * `.carry` (ignored by git) is what travels: the build, koffi, this Node (`node.xz`), the records (`conformance`), model checkpoints (`models`).
 */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const root = fileURLToPath(new URL('..', import.meta.url));
const output = join(root, '.carry');
rmSync(join(output, 'build'), { recursive: true, force: true });
rmSync(join(output, 'dist'), { recursive: true, force: true });
const { options } = ts.parseJsonConfigFileContent(
  ts.readConfigFile(join(root, 'tsconfig.build.json'), ts.sys.readFile).config,
  ts.sys,
  root,
);
const compilerOptions = { ...options, module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler, sourceMap: false };
for (const folder of ['src', 'conformance', 'test', 'bench'])
  for (const entry of readdirSync(join(root, folder), { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !/\.ts$/.test(entry.name) || /\.(test|d)\.ts$/.test(entry.name)) continue;
    const source = join(entry.parentPath ?? entry.path, entry.name);
    const target = join(output, 'build', relative(root, source)).replace(/\.ts$/, '.js');
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, ts.transpileModule(readFileSync(source, 'utf8'), { compilerOptions, fileName: source }).outputText);
  }
writeFileSync(join(output, 'package.json'), '{"type":"module"}\n');

// Packages: those of the library, and what they need. Only this platform's binary of koffi.
const copied = new Set();
const take = (name) => {
  const from = join(root, 'node_modules', name);
  if (copied.has(name) || !existsSync(from)) return;
  copied.add(name);
  cpSync(from, join(output, 'node_modules', name), { recursive: true, filter: (path) => !/koffi[\\/](doc|vendor)$/.test(path) });
  const { dependencies = {}, optionalDependencies = {} } = JSON.parse(readFileSync(join(from, 'package.json'), 'utf8'));
  for (const needed of [...Object.keys(dependencies), ...Object.keys(optionalDependencies)]) take(needed);
};
rmSync(join(output, 'node_modules'), { recursive: true, force: true });
for (const name of Object.keys(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).dependencies)) take(name);
// For random programs.
take('fast-check');

const shared = join(root, '../shared');
const records = join(shared, 'conformance');
if (existsSync(records)) {
  rmSync(join(output, 'conformance'), { recursive: true, force: true });
  cpSync(records, join(output, 'conformance'), { recursive: true });
}
const models = join(shared, 'models/stories260k');
if (existsSync(models)) cpSync(models, join(output, 'models/stories260k'), { recursive: true });
if (!existsSync(join(output, 'node.xz')))
  writeFileSync(join(output, 'node.xz'), execFileSync('xz', ['-c', process.execPath], { maxBuffer: 2 ** 30 }));

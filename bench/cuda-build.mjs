/** Strips types of src/ into `.carry/dist` and packs what the device machine needs beside it: `node bench/cuda-build.mjs`. */
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const root = fileURLToPath(new URL('..', import.meta.url));
const output = join(root, '.carry');
rmSync(join(output, 'dist'), { recursive: true, force: true });
const { options } = ts.parseJsonConfigFileContent(
  ts.readConfigFile(join(root, 'tsconfig.build.json'), ts.sys.readFile).config,
  ts.sys,
  root,
);
const compilerOptions = { ...options, module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler, sourceMap: false };
for (const entry of readdirSync(join(root, 'src'), { recursive: true, withFileTypes: true })) {
  if (!entry.isFile() || !/\.ts$/.test(entry.name) || /\.(test|d)\.ts$/.test(entry.name)) continue;
  const source = join(entry.parentPath ?? entry.path, entry.name);
  const target = join(output, 'dist', relative(join(root, 'src'), source)).replace(/\.ts$/, '.js');
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, ts.transpileModule(readFileSync(source, 'utf8'), { compilerOptions, fileName: source }).outputText);
}
writeFileSync(join(output, 'package.json'), '{"type":"module"}\n');
for (const name of ['koffi', '@koromix'])
  cpSync(join(root, 'node_modules', name), join(output, 'node_modules', name), {
    recursive: true,
    filter: (path) => !/koffi[\\/](doc|vendor)$/.test(path),
  });

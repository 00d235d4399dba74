/**
 * For tests of the command line: the program as it is shipped, in a process of its own. `src` is translated file by file into `out/cli-build` (types are
 * stripped, not checked: `npm test` checks them elsewhere), only files that changed.
 */
import { spawn } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const build = join(root, 'out', 'cli-build');
export const main = join(build, 'dist', 'cli', 'main.js');

export function buildCommand(): void {
  const { options } = ts.parseJsonConfigFileContent(
    ts.readConfigFile(join(root, 'tsconfig.build.json'), ts.sys.readFile).config as object,
    ts.sys,
    root,
  );
  // With `nodenext` the format would come from package.json, which a single file does not see.
  const compilerOptions = { ...options, module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler, sourceMap: false };
  const source = join(root, 'src');
  for (const entry of readdirSync(source, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !/\.ts$/.test(entry.name) || /\.(test|d)\.ts$/.test(entry.name)) continue;
    const file = join(entry.parentPath ?? entry.path, entry.name);
    const target = join(build, 'dist', relative(source, file)).replace(/\.ts$/, '.js');
    if (existsSync(target) && statSync(target).mtimeMs > statSync(file).mtimeMs) continue;
    const { outputText } = ts.transpileModule(readFileSync(file, 'utf8'), { compilerOptions, fileName: file });
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(`${target}.${process.pid}`, outputText);
    renameSync(`${target}.${process.pid}`, target);
  }
  copyFileSync(join(root, 'package.json'), join(build, 'package.json'));
}

export interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}
export interface RunOptions {
  /** Standard input, then its end. Default: nothing. */
  readonly input?: string;
  /** Standard input does not end. */
  readonly keepOpen?: boolean;
  /** Called at each piece of output, with the process and all that it has written so far. */
  readonly onOutput?: (child: ReturnType<typeof spawn>, out: string, err: string) => void;
}

export function run(parameters: readonly string[], { input = '', keepOpen = false, onOutput }: RunOptions = {}): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [main, ...parameters], { stdio: 'pipe' });
    let [out, err] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      out += text;
      onOutput?.(child, out, err);
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      err += text;
      onOutput?.(child, out, err);
    });
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, out, err }));
    child.stdin.on('error', () => undefined);
    if (keepOpen) child.stdin.write(input);
    else child.stdin.end(input);
  });
}

export const jsonLines = (out: string): Record<string, unknown>[] =>
  out
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

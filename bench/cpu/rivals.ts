/**
 * Finds the rivals of the suite `cpu`, each with its version, or the reason why it is not there.
 *
 * PyTorch is whatever Python has it. onnxruntime-node and node-llama-cpp are installed apart, into `out/rivals`, without scripts; the ONNX files come from
 * PyTorch's exporter, whose package `onnx` goes into a folder of its own there. Nothing of it is a dependency, and what is there is not fetched again.
 */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { findPython } from '../start-suite.ts';

const run = promisify(execFile);
const patience = { timeout: 600_000, maxBuffer: 1 << 26 };

/** What is there: a Python, a module's file and version; or why it is not. */
export type Found<T> = T | { readonly missing: string };
export interface NodeModule {
  readonly file: string;
  readonly version: string;
}

export interface Rivals {
  readonly python: Found<{ readonly command: string }>;
  readonly onnxruntime: Found<NodeModule & { readonly onnxFolder: string }>;
  readonly llama: Found<NodeModule & { readonly gguf: string }>;
}

export const isMissing = <T extends object>(found: Found<T>): found is { readonly missing: string } => 'missing' in found;

const firstLine = (error: unknown): string => {
  const { stderr, message } = error as { stderr?: string; message: string };
  return (stderr?.trim() || message).split('\n').slice(-2).join(' ').slice(0, 300);
};

const versions = { 'onnxruntime-node': '1.30.0', 'node-llama-cpp': '3.22.1' } as const;

/** Installs a package in a folder of its own, unless it is there. */
async function nodeModule(name: keyof typeof versions, root: string): Promise<Found<NodeModule>> {
  const folder = join(root, 'out/rivals', name);
  const manifest = join(folder, 'node_modules', name, 'package.json');
  try {
    if (!existsSync(manifest)) {
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, 'package.json'), '{ "private": true }\n');
      await run('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', `${name}@${versions[name]}`], {
        ...patience,
        cwd: folder,
      });
    }
    const { version, type, exports, main } = JSON.parse(readFileSync(manifest, 'utf8')) as {
      version: string;
      type?: string;
      main?: string;
      exports?: unknown;
    };
    const entry =
      type === 'module' || exports !== undefined
        ? join(folder, 'node_modules', name, (main ?? 'dist/index.js').replace(/^\.\//, ''))
        : createRequire(join(folder, 'package.json')).resolve(name);
    return { file: entry, version };
  } catch (error) {
    return { missing: `npm could not install ${name}: ${firstLine(error)}` };
  }
}

async function onnxFolder(python: string, root: string): Promise<string> {
  const folder = join(root, 'out/rivals/python');
  if (!existsSync(join(folder, 'onnx'))) await run(python, ['-m', 'pip', 'install', '--quiet', '--target', folder, 'onnx'], patience);
  return folder;
}

async function findGguf(root: string): Promise<string> {
  const { stdout } = await run(process.execPath, [join(root, 'scripts/fetch-models.mjs'), 'smollm2'], patience);
  return stdout.trim().replace(/^smollm2: /, '');
}

export const notAskedFor = 'no row of it was asked for';

/** `wanted`: of which rivals any row is asked for, so that nothing else is fetched. */
export async function findRivals(
  root: string,
  wanted: ReadonlySet<string>,
): Promise<Rivals & { readonly gguf: Found<{ readonly file: string }> }> {
  const notAsked = { missing: notAskedFor };
  const command = wanted.has('PyTorch') || wanted.has('onnxruntime-node') ? await findPython() : undefined;
  const python = command === undefined ? { missing: 'no Python with torch: PYTHON or MAGPIE_ORACLE names one' } : { command };
  let gguf: Found<{ readonly file: string }> = notAsked;
  if (wanted.has('llama.cpp')) {
    try {
      gguf = { file: await findGguf(root) };
    } catch (error) {
      gguf = { missing: `scripts/fetch-models.mjs: ${firstLine(error)}` };
    }
  }
  let onnxruntime: Rivals['onnxruntime'] = notAsked;
  if (wanted.has('onnxruntime-node')) {
    const installed = await nodeModule('onnxruntime-node', root);
    if (isMissing(installed)) onnxruntime = installed;
    else if (command === undefined) onnxruntime = { missing: 'PyTorch, which writes its ONNX files, is not there' };
    else {
      try {
        onnxruntime = { ...installed, onnxFolder: await onnxFolder(command, root) };
      } catch (error) {
        onnxruntime = { missing: `pip could not install onnx, which PyTorch's exporter needs: ${firstLine(error)}` };
      }
    }
  }
  let llama: Rivals['llama'] = notAsked;
  if (wanted.has('llama.cpp')) {
    const installed = await nodeModule('node-llama-cpp', root);
    llama = isMissing(installed) ? installed : isMissing(gguf) ? gguf : { ...installed, gguf: gguf.file };
  }
  return { python, onnxruntime, llama, gguf };
}

/** Writes the ONNX files of a row beside its weights, with PyTorch's exporter. */
export async function exportOnnx(
  root: string,
  python: string,
  folder: string,
  row: string,
  weights: string,
  prefix: string,
): Promise<void> {
  await run(python, ['-B', join(root, 'bench/cpu/export_onnx.py'), folder, row, weights, prefix], patience);
}

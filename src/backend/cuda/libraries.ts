/**
 * Where NVIDIA's libraries are found, without a CUDA toolkit being required: what the loader knows by name (the driver brings libcuda), then
 * `CUDA_PATH` and `CUDA_HOME`, `/usr/local/cuda*`, and the `nvidia` folders that pip fills beside any Python on the PATH or in `VIRTUAL_ENV`
 * (`pip install nvidia-cuda-nvrtc nvidia-cublas`). MAGPIE_CUDA_LIBRARIES, a list of folders, goes before all.
 */

import type koffiModule from 'koffi';
import { flags } from '../../util/flags.ts';

export type Library = ReturnType<typeof koffiModule.load>;

/** koffi, or an error that says what is missing. */
export function requireKoffi(): typeof koffiModule {
  try {
    return process.getBuiltinModule('node:module').createRequire(import.meta.url)('koffi') as typeof koffiModule;
  } catch (error) {
    throw new Error(`The cuda device needs the npm package koffi, which could not be loaded: ${(error as Error).message}`);
  }
}

/** Folders that may hold the libraries, the likeliest first. */
export function libraryFolders(): readonly string[] {
  const fs = process.getBuiltinModule('node:fs');
  const { join, resolve } = process.getBuiltinModule('node:path');
  const env = process.env;
  const list = (folder: string): string[] => {
    try {
      return fs.readdirSync(folder);
    } catch {
      return [];
    }
  };
  const folders: string[] = flags.cudaLibraries.split(':');
  for (const root of [env['CUDA_PATH'], env['CUDA_HOME']]) if (root !== undefined) folders.push(join(root, 'lib64'), join(root, 'lib'));
  const toolkits = list('/usr/local').filter((name) => /^cuda(-\d|$)/.test(name));
  for (const name of toolkits.sort().reverse())
    folders.push(join('/usr/local', name, 'lib64'), join('/usr/local', name, 'targets/x86_64-linux/lib'));
  const roots = [
    env['VIRTUAL_ENV'] ?? '',
    ...(env['PATH'] ?? '').split(':').map((p) => resolve(p, '..')),
    join(env['HOME'] ?? '/', '.local'),
  ];
  for (const root of roots.filter((r) => r !== '' && r !== '/')) {
    for (const python of list(join(root, 'lib')).filter((name) => name.startsWith('python3'))) {
      for (const packages of ['site-packages', 'dist-packages']) {
        const nvidia = join(root, 'lib', python, packages, 'nvidia');
        for (const part of list(nvidia)) folders.push(join(nvidia, part, 'lib'));
      }
    }
  }
  folders.push('/usr/lib/x86_64-linux-gnu', '/usr/lib64');
  return [...new Set(folders)].filter((f) => f !== '' && fs.existsSync(f));
}

/** Paths of a library (`libnvrtc`), all versions found, the newest first within a folder. */
export function findLibrary(name: string): readonly string[] {
  const fs = process.getBuiltinModule('node:fs');
  const { join } = process.getBuiltinModule('node:path');
  const pattern = new RegExp(`^${name}\\.so(\\.\\d+)*$`);
  const version = (file: string): number => Number(/\.so\.(\d+)/.exec(file)?.[1] ?? 0);
  return libraryFolders().flatMap((folder) =>
    fs
      .readdirSync(folder)
      .filter((file) => pattern.test(file))
      .sort((a, b) => version(b) - version(a) || a.length - b.length)
      .map((file) => join(folder, file)),
  );
}

/** Opens the first that loads: wherever it is found, then by these names; the driver, which is the system's own, by name first. */
export function openLibrary(
  name: string,
  sonames: readonly string[] = [],
): { readonly library: Library; readonly path: string } | { readonly reason: string } {
  const koffi = requireKoffi();
  const reasons: string[] = [];
  for (const path of name === 'libcuda' ? [...sonames, ...findLibrary(name)] : [...findLibrary(name), ...sonames]) {
    try {
      return { library: koffi.load(path), path };
    } catch (error) {
      reasons.push(`${path}: ${(error as Error).message}`);
    }
  }
  return { reason: reasons.length === 0 ? `no ${name}.so was found` : reasons.join('; ') };
}

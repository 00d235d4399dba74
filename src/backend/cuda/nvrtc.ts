/** NVRTC: CUDA C text to a cubin for one architecture. Works without a card and without a CUDA toolkit. */
import { findLibrary, openLibrary, requireKoffi } from './libraries.ts';

export interface Compiler {
  readonly path: string;
  readonly version: string;
  /** Throws with the compiler's messages. */
  compile(source: string, name: string, architecture: string): Uint8Array;
}

const options = ['-fmad=false', '-default-device', '--std=c++17', '-w'] as const;
/** Everything besides text and architecture that a cubin depends on. */
export const compilerOptions: string = options.join(' ');

let opened: Compiler | undefined;

/** The compiler, or an error that says how to get it. */
export function requireCompiler(): Compiler {
  opened ??= open();
  return opened;
}

/** NVRTC opens its built-in functions by name: loaded before from its own folder, they are found whatever the search path is. */
function loadBuiltins(path: string): void {
  const { dirname } = process.getBuiltinModule('node:path');
  const koffi = requireKoffi();
  for (const file of findLibrary('libnvrtc-builtins').filter((f) => dirname(f) === dirname(path))) {
    try {
      koffi.load(file);
    } catch {
      // The compiler says what it misses.
    }
  }
}

function open(): Compiler {
  const found = openLibrary('libnvrtc', ['libnvrtc.so.13', 'libnvrtc.so.12', 'libnvrtc.so']);
  if ('reason' in found)
    throw new Error(
      `The cuda device needs NVIDIA's run-time compiler NVRTC: ${found.reason}.\n` +
        'Install it with `pip install nvidia-cuda-nvrtc`, or set CUDA_PATH to a CUDA toolkit, or MAGPIE_CUDA_LIBRARIES to the folder of libnvrtc.so.',
    );
  const koffi = requireKoffi();
  const { library, path } = found;
  loadBuiltins(path);
  const handle = 'uintptr_t';
  const out = (type: string): unknown => koffi.out(koffi.pointer(type));
  const func = (name: string, ...args: unknown[]) => library.func(name, 'int', args as never[]);
  const create = func('nvrtcCreateProgram', out(handle), 'str', 'str', 'int', handle, handle);
  const compile = func('nvrtcCompileProgram', handle, 'int', 'void *');
  const destroy = func('nvrtcDestroyProgram', koffi.inout(koffi.pointer(handle)));
  const cubinSize = func('nvrtcGetCUBINSize', handle, out('size_t'));
  const cubin = func('nvrtcGetCUBIN', handle, 'void *');
  const logSize = func('nvrtcGetProgramLogSize', handle, out('size_t'));
  const log = func('nvrtcGetProgramLog', handle, 'void *');
  const version = func('nvrtcVersion', out('int'), out('int'));
  const check = (code: number, what: string): void => {
    if (code !== 0) throw new Error(`internal: NVRTC: ${what} failed with code ${code}`);
  };
  const [major, minor] = [[0], [0]];
  check(version(major, minor), 'nvrtcVersion');
  const sized = (
    query: (program: number, size: number[]) => number,
    get: (program: number, bytes: Uint8Array) => number,
    program: number,
  ): Uint8Array => {
    const size = [0];
    check(query(program, size), 'a size');
    const bytes = new Uint8Array(Number(size[0]));
    check(get(program, bytes), 'a result');
    return bytes;
  };
  return {
    path,
    version: `${major[0]}.${minor[0]}`,
    compile(source, name, architecture) {
      const program = [0];
      check(create(program, source, `${name}.cu`, 0, 0, 0), 'nvrtcCreateProgram');
      try {
        const texts = [...options, `--gpu-architecture=${architecture}`];
        const code: number = compile(program[0], texts.length, koffi.as(texts, 'const char **'));
        if (code !== 0) {
          const message = new TextDecoder().decode(sized(logSize, log, program[0]));
          throw new Error(`internal: NVRTC refused the kernel ${name} (code ${code}):\n${message}\n${source}`);
        }
        return sized(cubinSize, cubin, program[0]);
      } finally {
        destroy(program);
      }
    },
  };
}

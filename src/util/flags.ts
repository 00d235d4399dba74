/**
 * Every flag of the package, declared once: name, type, default, one line of documentation. `docs/flags.md` is generated from this file by
 * `scripts/flags-page.mjs`, which loads it alone: it imports nothing.
 *
 * A flag is read from its environment variable when the package loads and may be set in code afterwards. A value that is none throws then,
 * rather than being taken for the default.
 */
type FlagType = 'boolean' | 'number' | 'bytes' | 'string';
interface FlagInfo {
  readonly type: FlagType;
  readonly env: string;
  readonly doc: string;
}

/** What the flag `trace` can print. */
export const traceTopics = {
  graph: 'at each flush, the calls that are computed: operator, sources, shapes, what is stored',
  programs: 'each program that is compiled: its size, the time it took, and why no earlier one would do',
  fusion: 'at each compilation, the kernels and which primitives went into each',
  kernels: 'at each compilation, the kernel IR',
  code: 'at each compilation, the kernel IR, the vector IR and the listing of the machine code (or the text of the device)',
  memory: 'sweeps for garbage: what they found, what is alive, how long they took',
  profile:
    'at each run, the time of each kernel, the bytes of its buffers, GB/s, and the share of what a copy between large arrays reaches',
} as const;

export const flagTable = {
  trace: {
    type: 'string',
    env: 'MAGPIE_TRACE',
    doc: 'what to print on standard error, separated by commas; `all` prints everything',
  },
  flush: {
    type: 'string',
    env: 'MAGPIE_FLUSH',
    doc: 'when to compute: `lazy`, `eager` (after every operator), `random:SEED` (at random calls)',
  },
  recall: {
    type: 'string',
    env: 'MAGPIE_RECALL',
    doc: 'calls like an earlier one: `on` records what that one recorded, `off` asks anew each time, `check` does both and compares',
  },
  noSymbols: {
    type: 'boolean',
    env: 'MAGPIE_NO_SYMBOLS',
    doc: 'never make a size a symbol: every new shape compiles a program of its own',
  },
  pendingBytes: {
    type: 'bytes',
    env: 'MAGPIE_PENDING_BYTES',
    doc: 'bytes of pending results that arm a flush at the next anchor; at four times as many the call itself flushes',
  },
  pendingNodes: {
    type: 'number',
    env: 'MAGPIE_PENDING_NODES',
    doc: 'pending operator calls that arm a flush at the next anchor; at four times as many the call itself flushes',
  },
  sweepBytes: {
    type: 'bytes',
    env: 'MAGPIE_SWEEP_BYTES',
    doc: 'bytes of long-lived results allocated since the last sweep for garbage that make the next one due',
  },
  attentionBytes: {
    type: 'bytes',
    env: 'MAGPIE_ATTENTION_BYTES',
    doc: 'bytes of attention scores in memory at a time: from four times as many on, queries are taken block by block',
  },
  compileCheck: {
    type: 'number',
    env: 'MAGPIE_COMPILE_CHECK',
    doc: 'every so many calls of a prepared function of `torch.compile` are traced again and compared; 0: none',
  },
  isa: {
    type: 'string',
    env: 'MAGPIE_ISA',
    doc: 'instruction set of the device `cpu`: `avx512`, `avx2`, or `wasm` for WebAssembly under that name; empty is the best there is',
  },
  threads: {
    type: 'number',
    env: 'MAGPIE_THREADS',
    doc: 'threads of the device `cpu`, the calling one included; 0 is one for each processor that the process may use',
  },
  memory: {
    type: 'bytes',
    env: 'MAGPIE_MEMORY',
    doc: 'the most that the devices `cpu` and `wasm` may take, each; the machine, its control group, and 4 GiB for `wasm`, limit them too',
  },
  cache: {
    type: 'string',
    env: 'MAGPIE_CACHE',
    doc: 'folder of compiled CUDA kernels; empty is `~/.cache/torch-magpie`',
  },
  cublas: {
    type: 'boolean',
    env: 'MAGPIE_CUBLAS',
    doc: 'take matrix products from cuBLAS where it is found',
  },
  cudaLibraries: {
    type: 'string',
    env: 'MAGPIE_CUDA_LIBRARIES',
    doc: 'folders, separated by `:`, in which NVRTC and cuBLAS are looked for first',
  },
} as const satisfies Record<string, FlagInfo>;

type Flags = {
  -readonly [K in keyof typeof flagTable]: (typeof flagTable)[K]['type'] extends 'boolean'
    ? boolean
    : (typeof flagTable)[K]['type'] extends 'number' | 'bytes'
      ? number
      : string;
};

export const flagDefaults: Readonly<Flags> = {
  trace: '',
  flush: 'lazy',
  recall: 'on',
  noSymbols: false,
  pendingBytes: 256 * 2 ** 20,
  pendingNodes: 4096,
  sweepBytes: 256 * 2 ** 20,
  attentionBytes: 16 * 2 ** 20,
  compileCheck: 0,
  isa: '',
  threads: 0,
  memory: Infinity,
  cache: '',
  cublas: true,
  cudaLibraries: '',
};

/** Bytes of `512M`, `1.5G`, `4GiB` or a plain number; undefined when it is no size. */
export function parseBytes(text: string): number | undefined {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?\s*$/i.exec(text);
  return match === null ? undefined : Math.floor(Number(match[1]) * 1024 ** ' KMGT'.indexOf(match[2].toUpperCase() || ' '));
}

function parseFlag(text: string, { type, env }: FlagInfo): string | number | boolean {
  switch (type) {
    case 'string':
      return text;
    case 'boolean':
      return text !== '0' && text !== 'false';
    case 'number': {
      const value = Number(text);
      if (!(value >= 0)) throw new Error(`${env} must be a number, got '${text}'`);
      return value;
    }
    case 'bytes': {
      const value = parseBytes(text);
      if (value === undefined) throw new Error(`${env} must be a number of bytes with an optional suffix K, M, G or T, got '${text}'`);
      return value;
    }
    default:
      return type satisfies never;
  }
}

/** The flags that an environment asks for. A variable that is empty counts as not set. */
export function readFlags(environment: Readonly<Record<string, string | undefined>>): Flags {
  const out: Record<string, string | number | boolean> = { ...flagDefaults };
  for (const [name, info] of Object.entries(flagTable)) {
    const text = environment[info.env];
    if (text !== undefined && text !== '') out[name] = parseFlag(text, info);
  }
  return out as Flags;
}

/** The flags in force. */
export const flags: Flags = readFlags(typeof process === 'undefined' ? {} : process.env);

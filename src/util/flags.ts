/**
 * Every debug flag, declared once. Each is read from the environment as MAGPIE_<NAME> when the package loads, and may be set in code.
 * MAGPIE_ISA, MAGPIE_THREADS and MAGPIE_MEMORY are still read where they are used (backend/cpu, backend/wasm), not here.
 */
type FlagType = 'boolean' | 'number' | 'string';
interface FlagInfo {
  readonly type: FlagType;
  readonly env: string;
  readonly doc: string;
}

export const flagTable = {
  trace: {
    type: 'string',
    env: 'MAGPIE_TRACE',
    doc: 'what to print, separated by commas: graph, programs, fusion, kernels, code, memory, profile',
  },
  flush: {
    type: 'string',
    env: 'MAGPIE_FLUSH',
    doc: 'when to compute: `lazy` (default), `eager` (after every operator), `random:SEED` (at random calls)',
  },
  noSymbols: {
    type: 'boolean',
    env: 'MAGPIE_NO_SYMBOLS',
    doc: 'never make a size a symbol: every new shape compiles a program of its own',
  },
  pendingBytes: {
    type: 'number',
    env: 'MAGPIE_PENDING_BYTES',
    doc: 'bytes of pending results that arm a flush at the next anchor; at four times as many the call itself flushes',
  },
  pendingNodes: {
    type: 'number',
    env: 'MAGPIE_PENDING_NODES',
    doc: 'pending operator calls that arm a flush at the next anchor; at four times as many the call itself flushes',
  },
  sweepBytes: {
    type: 'number',
    env: 'MAGPIE_SWEEP_BYTES',
    doc: 'bytes of long-lived results allocated since the last sweep for garbage that make the next one due',
  },
} as const satisfies Record<string, FlagInfo>;

type Flags = {
  -readonly [K in keyof typeof flagTable]: (typeof flagTable)[K]['type'] extends 'boolean'
    ? boolean
    : (typeof flagTable)[K]['type'] extends 'number'
      ? number
      : string;
};

const environment: Record<string, string | undefined> = typeof process === 'undefined' ? {} : process.env;
const defaults: Flags = {
  trace: '',
  flush: 'lazy',
  noSymbols: false,
  pendingBytes: 256 * 2 ** 20,
  pendingNodes: 4096,
  sweepBytes: 256 * 2 ** 20,
};

function read(): Flags {
  const out: Record<string, string | number | boolean> = { ...defaults };
  for (const [name, info] of Object.entries(flagTable)) {
    const text = environment[info.env];
    if (text === undefined || text === '') continue;
    out[name] = info.type === 'boolean' ? text !== '0' && text !== 'false' : info.type === 'number' ? Number(text) : text;
  }
  return out as Flags;
}

/** The flags in force. */
export const flags: Flags = read();

/**
 * For loading-memory.test.ts: writes or loads a file in a process of its own and says how much memory that took at its peak.
 * Arguments: the folder of the built package, what to do, the file, and a small file of the same kind that is loaded first.
 */
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [, , dist, what, file, small] = process.argv;
const from = (path) => import(pathToFileURL(join(dist, path)).href);

const loaders = {
  safetensors: async () => (await from('serialize/safetensors.js')).load_file,
  'sliced safetensors': async () => {
    const { safe_open } = await from('serialize/safetensors.js');
    return (path) => safe_open(path).keys().length;
  },
  gguf: async () => (await from('models/gguf.js')).from_gguf,
  'gguf header': async () => {
    const { openGguf } = await from('serialize/gguf/index.js');
    return (path) => {
      const opened = openGguf(path);
      return [opened, [...opened.metadata.values()].map((value) => value.at?.(-1))];
    };
  },
  llama2c: async () => (await from('models/llama2c.js')).from_llama2c,
  pt: async () => (await from('serialize/torch/load.js')).load,
};

// That of getrusage would begin with the parent's.
const peakBytes = () => 1024 * Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'latin1'))[1]);

await from('index.js');
const load = await loaders[what]();
const attempt = (path) => {
  try {
    return { kept: load(path), error: '' };
  } catch (error) {
    return { kept: null, error: error.message };
  }
};
const warm = attempt(small);
if (warm.error !== '') throw new Error(warm.error);
globalThis.gc();
// The peak begins anew.
writeFileSync('/proc/self/clear_refs', '5');
const before = peakBytes();
const { kept, error } = attempt(file);
const peak = peakBytes() - before;
console.log(JSON.stringify({ size: statSync(file).size, peak, error, kept: kept !== null }));

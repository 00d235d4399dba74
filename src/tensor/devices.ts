/** The registry of devices: one line each. A device is opened when it is first used; one that cannot be had says why. */
import { openCpuBackend } from '../backend/cpu/device.ts';
import { CudaBackend } from '../backend/cuda/device.ts';
import type { Backend } from '../backend/interface.ts';
import { NullBackend } from '../backend/null/device.ts';
import { ReferenceBackend } from '../backend/reference/device.ts';
import { WasmBackend } from '../backend/wasm/device.ts';
import { ProgramCache } from '../schedule/program.ts';
import { Engine } from './engine.ts';
import { keepGraphsYoung } from './young.ts';

const openers: Record<string, () => Backend> = {
  cpu: openCpuBackend,
  cuda: () => new CudaBackend(),
  wasm: () => new WasmBackend(),
  reference: () => new ReferenceBackend(),
  null: () => new NullBackend(),
};

const engines = new Map<string, Engine>();

/** Makes a device known under a name. */
export function registerDevice(name: string, open: () => Backend): void {
  openers[name] = open;
  engines.delete(name);
  last = null;
}

export const knownDevices = (): string[] => Object.keys(openers);

/** What was asked for last: a loop asks for one device again and again. */
let last: { readonly device: string; readonly engine: Engine } | null = null;

/** The engine of a device: its pending calls, programs and memory. */
export function engineOf(device: string): Engine {
  if (last !== null && last.device === device) return last.engine;
  let engine = engines.get(device);
  if (engine === undefined) {
    const open = openers[device];
    if (open === undefined)
      throw new Error(`Expected one of ${Object.keys(openers).sort().join(', ')} device type at start of device string: ${device}`);
    if (engines.size === 0) keepGraphsYoung();
    engine = new Engine(new ProgramCache(open()));
    engines.set(device, engine);
  }
  last = { device, engine };
  return engine;
}

/** Devices that are open. */
export const openEngines = (): Iterable<Engine> => engines.values();

/**
 * The registry of devices: one line each. A device is opened when it is first used; one that cannot be had says why.
 *
 * Names are canonical inside: `cpu` and `cuda` are the first of their kind, `cuda:1` is the second card. `canonicalDevice` makes them of what users
 * write (`cuda:0`, or `cuda` while another card is the current one); it is called where a device comes in.
 */
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

let currentCard = 0;
/** What `cuda` without an index means: `torch.cuda.set_device`. */
export function setCurrentCard(index: number): void {
  currentCard = index;
}
export const getCurrentCard = (): number => currentCard;

/** The name of a device by which it is known here. Checks that there is such a kind of device, not that it can be opened. */
export function canonicalDevice(device: string): string {
  if (openers[device] !== undefined && (device !== 'cuda' || currentCard === 0)) return device;
  const [, kind, digits] = /^(.*?)(?::(\d+))?$/s.exec(device)!;
  if (openers[kind] === undefined) throw unknownDevice(device);
  const index = digits === undefined ? (kind === 'cuda' ? currentCard : 0) : Number(digits);
  if (index === 0) return kind;
  if (kind !== 'cuda') throw new RangeError(`invalid device ordinal: there is one ${kind} device, with index 0 (${device})`);
  return `cuda:${index}`;
}

const unknownDevice = (device: string): Error =>
  new Error(`Expected one of ${Object.keys(openers).sort().join(', ')} device type at start of device string: ${device}`);

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
    const card = /^cuda:([1-9]\d*)$/.exec(device);
    const open = openers[device] ?? (card === null ? undefined : () => new CudaBackend(Number(card[1])));
    if (open === undefined) {
      const known = canonicalDevice(device);
      if (known === device) throw unknownDevice(device);
      return engineOf(known);
    }
    if (engines.size === 0) keepGraphsYoung();
    engine = new Engine(new ProgramCache(open()));
    engines.set(device, engine);
  }
  last = { device, engine };
  return engine;
}

/** Has the device been used? */
export const isOpen = (device: string): boolean => engines.has(device);

/** Devices that are open. */
export const openEngines = (): Iterable<Engine> => engines.values();

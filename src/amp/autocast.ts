/**
 * `torch.autocast` and the functions that look at its state or set it. https://docs.pytorch.org/docs/stable/amp.html
 *
 * A region is a function, as with `torch.no_grad`: `torch.autocast('cpu', () => model(x))`, or with options before the function.
 */
import { autocastMode, autocastOf, type DeviceAutocast, kindOf, setAutocast } from '../autograd/autocast-mode.ts';
import { refuseDeferred } from '../autograd/modes.ts';
import { probeDevices } from '../backend/cuda/driver.ts';
import { bfloat16, DType, float16 } from '../dtype/dtype.ts';
import { canonicalDevice, isOpen } from '../tensor/devices.ts';

export interface AutocastOptions {
  /** The lower precision; else that of the device type (bfloat16, on `cuda` float16). */
  readonly dtype?: DType | null;
  readonly enabled?: boolean;
  /** Whether casts of parameters are kept to the end of the outermost region. */
  readonly cache_enabled?: boolean | null;
}

function stateOf(device_type: string): DeviceAutocast {
  const state = autocastOf(canonicalDevice(device_type));
  if (state === undefined) throw new Error('unknown device type for autocast in get_autocast_dispatch_key_from_device_type');
  return state;
}
/** https://docs.pytorch.org/docs/stable/amp.html#torch.amp.autocast_mode.is_autocast_available */
export const is_autocast_available = (device_type: string): boolean => autocastOf(canonicalDevice(device_type)) !== undefined;

/** Is autocast on? Without a device type: on `cuda`, as in PyTorch. */
export const is_autocast_enabled = (device_type = 'cuda'): boolean => stateOf(device_type).enabled;
export function set_autocast_enabled(enabled: boolean): void;
export function set_autocast_enabled(device_type: string, enabled: boolean): void;
export function set_autocast_enabled(...args: [boolean] | [string, boolean]): void {
  const [device_type, enabled] = args.length === 1 ? ['cuda', args[0]] : args;
  if (typeof enabled !== 'boolean')
    throw new TypeError(`set_autocast_enabled(): argument 'enabled' (position ${args.length}) must be bool, not ${pythonType(enabled)}`);
  setAutocast(stateOf(device_type), enabled);
}
export const get_autocast_dtype = (device_type: string): DType => stateOf(device_type).dtype;
export function set_autocast_dtype(device_type: string, dtype: DType): void {
  stateOf(device_type).dtype = dtype;
}
export const is_autocast_cache_enabled = (): boolean => autocastMode.cacheEnabled;
export function set_autocast_cache_enabled(enabled: boolean): void {
  autocastMode.cacheEnabled = enabled;
}
/** Forgets the casts of parameters that are kept. */
export const clear_autocast_cache = (): void => autocastMode.casts.clear();

const pythonType = (x: unknown): string =>
  ({ string: 'str', number: Number.isInteger(x) ? 'int' : 'float', boolean: 'bool', undefined: 'NoneType' })[typeof x as 'string'] ??
  'object';

/** No card and no driver: what is asked of a card is not done. */
export const amp_definitely_not_available = (): boolean => !('count' in probeDevices()) && !isOpen('cuda');

/** Runs `fn` in a region of mixed precision. */
export function autocast<T>(device_type: string, fn: () => T): T;
export function autocast<T>(options: { readonly device_type: string } & AutocastOptions, fn: () => T): T;
export function autocast<T>(device_type: string, options: AutocastOptions, fn: () => T): T;
export function autocast<T>(device_type: string, dtype: DType, fn: () => T): T;
export function autocast<T>(...args: readonly unknown[]): T {
  const fn = args.at(-1);
  if (typeof fn !== 'function') throw new TypeError('autocast(device_type, fn): the last argument must be the function to run');
  return runAutocast(optionsOf(args.slice(0, -1)), fn as () => T);
}

type Region = { readonly device_type: string } & AutocastOptions;
function optionsOf(args: readonly unknown[]): Region {
  let out: Partial<Region> = {};
  const order = ['device_type', 'dtype', 'enabled', 'cache_enabled'] as const;
  args.forEach((x, i) => {
    const isOptions = typeof x === 'object' && x !== null && !(x instanceof DType);
    out = { ...out, ...(isOptions ? x : { [order[i]]: x }) };
  });
  return out as Region;
}

function runAutocast<T>(options: Region, fn: () => T): T {
  const { device_type } = options;
  if (typeof device_type !== 'string')
    throw new TypeError(`Expected \`device_type\` of type \`str\`, got: \`<class '${pythonType(device_type)}'>\``);
  const state = autocastOf(canonicalDevice(device_type));
  if (state === undefined) throw new Error(`User specified an unsupported autocast device_type '${device_type}'`);
  const dtype = options.dtype ?? state.dtype;
  const enabled = (options.enabled ?? true) && canCastTo(kindOf(device_type), dtype);
  const before = { enabled: state.enabled, dtype: state.dtype, cacheEnabled: autocastMode.cacheEnabled };
  state.dtype = dtype;
  setAutocast(state, enabled);
  autocastMode.cacheEnabled = options.cache_enabled ?? autocastMode.cacheEnabled;
  autocastMode.depth++;
  try {
    return refuseDeferred('autocast', fn());
  } finally {
    if (--autocastMode.depth === 0) clear_autocast_cache();
    state.dtype = before.dtype;
    setAutocast(state, before.enabled);
    autocastMode.cacheEnabled = before.cacheEnabled;
  }
}

/** As PyTorch does, a region that cannot be is not an error: it warns and computes without casts. */
function canCastTo(kind: string, dtype: DType): boolean {
  if (kind === 'cuda') {
    if (!amp_definitely_not_available()) return true;
    console.warn('CUDA is not available or torch_xla is imported. Disabling autocast.');
    return false;
  }
  if (dtype === bfloat16 || dtype === float16) return true;
  const name = kind.toUpperCase();
  console.warn(
    `In ${name} autocast, but the target dtype is not supported. Disabling autocast.\n` +
      `${name} Autocast only supports dtypes of torch.bfloat16, torch.float16 currently.`,
  );
  return false;
}

/** The old names, of one device type: `torch.cuda.amp.autocast({ enabled }, fn)`. */
export interface DeviceAutocastFunction {
  <T>(fn: () => T): T;
  <T>(options: AutocastOptions, fn: () => T): T;
}
export function deviceAutocast(device_type: 'cpu' | 'cuda', dtype: DType): DeviceAutocastFunction {
  return <T>(...args: [() => T] | [AutocastOptions, () => T]): T => {
    deprecated(
      `\`torch.${device_type}.amp.autocast(args...)\` is deprecated. Please use \`torch.amp.autocast('${device_type}', args...)\` instead.`,
    );
    const [options, fn] = args.length === 1 ? [{}, args[0]] : args;
    return runAutocast({ device_type, dtype, cache_enabled: true, ...options }, fn);
  };
}

const told = new Set<string>();
/** Said once. */
export function deprecated(text: string): void {
  if (told.has(text)) return;
  told.add(text);
  console.warn(text);
}

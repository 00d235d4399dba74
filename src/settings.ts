/**
 * Process-wide settings of PyTorch that code sets without looking further: determinism, warnings, threads between operators.
 *
 * Results here never depend on timing (the order of a reduction is part of its meaning), so asking for determinism changes nothing; the answers
 * are kept for code that asks. Denormal numbers are never flushed.
 */
import { anomaly, set_detect_anomaly } from './autograd/modes.ts';

type DebugMode = 'default' | 'warn' | 'error';
const debugModes: readonly DebugMode[] = ['default', 'warn', 'error'];

let deterministic: DebugMode = 'default';
let warnAlways = false;

export function use_deterministic_algorithms(mode: boolean, { warn_only = false }: { readonly warn_only?: boolean } = {}): void {
  deterministic = !mode ? 'default' : warn_only ? 'warn' : 'error';
}
export const are_deterministic_algorithms_enabled = (): boolean => deterministic !== 'default';
export const is_deterministic_algorithms_warn_only_enabled = (): boolean => deterministic === 'warn';
/** 0 or 'default', 1 or 'warn', 2 or 'error'. */
export function set_deterministic_debug_mode(mode: number | string): void {
  const found = typeof mode === 'number' ? debugModes[mode] : debugModes.find((m) => m === mode);
  if (found === undefined)
    throw new Error(
      typeof mode === 'number'
        ? `invalid value of debug_mode, expected 0, 1, or 2, but got ${mode}`
        : `invalid value of debug_mode, expected one of \`default\`, \`warn\`, \`error\`, but got ${mode}`,
    );
  deterministic = found;
}
export const get_deterministic_debug_mode = (): number => debugModes.indexOf(deterministic);

export function set_warn_always(on: boolean): void {
  warnAlways = on;
}
export const is_warn_always_enabled = (): boolean => warnAlways;

/** False: not supported, as PyTorch says on processors that cannot. */
export const set_flush_denormal = (_mode: boolean): boolean => false;

/** Programs run one after another, each on all threads. */
export const get_num_interop_threads = (): number => 1;
export function set_num_interop_threads(count: number): void {
  if (!Number.isInteger(count) || count < 1) throw new Error('Expected a positive number of threads');
}

export const set_anomaly_enabled = (mode: boolean, check_nan = true): void => set_detect_anomaly(mode, check_nan);
export const is_anomaly_check_nan_enabled = (): boolean => anomaly.checkNan;

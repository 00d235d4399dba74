/** Grad modes: whether calls are recorded on the tape. Modes are for synchronous code: a function that returns a Promise or generator throws. */

export const modes = { grad: true, inference: false };
/** Anomaly mode: edges remember where they were made; gradients are checked for NaN. */
export const anomaly = { enabled: false, checkNan: true };

function isDeferred(result: unknown): boolean {
  if (typeof result !== 'object' || result === null) return false;
  return typeof (result as { then?: unknown }).then === 'function' || typeof (result as { next?: unknown }).next === 'function';
}

/** Returns what a mode's function has returned, unless its body has yet to run. */
export function refuseDeferred<T>(name: string, result: T): T {
  if (isDeferred(result))
    throw new TypeError(
      `${name}(fn): fn returned a Promise or an iterator, whose body would run outside of the mode; use torch.with_modes, or set the mode inside`,
    );
  return result;
}

function withModes<T>(name: string, set: Partial<typeof modes>, fn: () => T): T {
  const { grad, inference } = modes;
  modes.grad = set.grad ?? grad;
  modes.inference = set.inference ?? inference;
  try {
    return refuseDeferred(name, fn());
  } finally {
    modes.grad = grad;
    modes.inference = inference;
  }
}

/** Runs `fn` without recording gradients. https://docs.pytorch.org/docs/stable/generated/torch.no_grad.html */
export const no_grad = <T>(fn: () => T): T => withModes('no_grad', { grad: false }, fn);
/** Runs `fn` with recording on (inside `no_grad`). */
export const enable_grad = <T>(fn: () => T): T => withModes('enable_grad', { grad: true }, fn);
/** Runs `fn` without recording; its results can never be recorded. */
export const inference_mode = <T>(fn: () => T): T => withModes('inference_mode', { grad: false, inference: true }, fn);
export const is_grad_enabled = (): boolean => modes.grad;
export const is_inference_mode_enabled = (): boolean => modes.inference;

/** Sets the mode for all that follows, or, with a function, while it runs. */
export function set_grad_enabled(mode: boolean): void;
export function set_grad_enabled<T>(mode: boolean, fn: () => T): T;
export function set_grad_enabled<T>(mode: boolean, fn?: () => T): T | undefined {
  if (fn !== undefined) return withModes('set_grad_enabled', { grad: mode }, fn);
  modes.grad = mode;
  return undefined;
}

/** Turns anomaly mode on or off: errors and NaNs in backward name the forward call. Slow. https://docs.pytorch.org/docs/stable/autograd.html#anomaly-detection */
export function set_detect_anomaly(mode: boolean, check_nan = true): void {
  anomaly.enabled = mode;
  anomaly.checkNan = check_nan;
}
/** Runs `fn` in anomaly mode. */
export function detect_anomaly<T>(fn: () => T, options: { readonly check_nan?: boolean } = {}): T {
  const before = { ...anomaly };
  set_detect_anomaly(true, options.check_nan ?? true);
  try {
    return fn();
  } finally {
    Object.assign(anomaly, before);
  }
}
export const is_anomaly_enabled = (): boolean => anomaly.enabled;

/** `torch.random`: the state of the CPU's default generator. https://docs.pytorch.org/docs/stable/random.html */
import { tensor } from './ops/creation.ts';
import type { Tensor } from './ops/methods.ts';
import { defaultGenerator, type Generator } from './random/generator.ts';

/** Seeds the CPU generator. */
export const manual_seed = (seed: number | bigint): Generator => defaultGenerator.manual_seed(seed);
/** Seeds it from the system's entropy; returns the seed. */
export const seed = (): number => defaultGenerator.seed();
export const initial_seed = (): number | bigint => defaultGenerator.initial_seed();
/** The CPU generator's state as a uint8 tensor. */
export const get_rng_state = (): Tensor => tensor(defaultGenerator.get_state(), { device: 'cpu' }) as Tensor;
export function set_rng_state(state: Tensor): void {
  defaultGenerator.set_state(state.numpy() as Uint8Array);
}

/** Runs `fn`; afterwards the generator is where it was before. `fn` must be synchronous: other code would draw from the fork. */
export function fork_rng<T>(fn: () => T, { enabled = true }: { readonly enabled?: boolean } = {}): T {
  if (!enabled) return fn();
  const state = defaultGenerator.get_state();
  try {
    const result = fn();
    if (typeof (result as { then?: unknown } | null | undefined)?.then === 'function')
      throw new TypeError('fork_rng(fn): fn returned a Promise, whose body would draw outside of the fork');
    return result;
  } finally {
    defaultGenerator.set_state(state);
  }
}

/**
 * How finely the grid of a kernel is cut: a tile is worth handing to a thread, and there are few of them for each thread.
 *
 * Results do not depend on it.
 */

/** Scalar operations (loads and stores count too) below which a tile is not worth a thread: some 5 to 10 us. */
export const leastWork = 40_000;
const tilesPerThread = 4;
/** A grain that takes every grid in one piece, whatever its count becomes. */
export const whole: number = 2 ** 40;

/** Grid indices a tile, for `count` of `work` operations each. */
export function chooseGrain(count: number, work: number, threads: number, vector: boolean, stable: boolean): number {
  const tiles = Math.min(threads * tilesPerThread, Math.floor((count * Math.max(1, work)) / leastWork));
  if (threads <= 1 || tiles <= 1) return whole;
  return roundGrain(Math.ceil(count / tiles), vector, stable);
}

/** A vector grid's tiles begin at multiples of 16. `stable`: powers of two, so that a size that grows by ones seldom changes the grain. */
export function roundGrain(grain: number, vector: boolean, stable: boolean): number {
  const rounded = vector ? Math.ceil(grain / 16) * 16 : grain;
  return stable ? 2 ** Math.ceil(Math.log2(Math.max(vector ? 16 : 1, rounded))) : rounded;
}

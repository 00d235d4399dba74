/** Dim arguments: wrapping of negative dims and PyTorch's errors for those out of range. */

export function wrapDim(dim: number, ndim: number): number {
  const n = Math.max(ndim, 1);
  if (dim < -n || dim >= n) throw new RangeError(`Dimension out of range (expected to be in range of [${-n}, ${n - 1}], but got ${dim})`);
  return dim < 0 ? dim + n : dim;
}

/** Distinct dims, ascending; an empty or missing list means all. */
export function wrapDims(dims: readonly number[] | null | undefined, ndim: number): number[] {
  if (dims === null || dims === undefined || dims.length === 0) return [...Array(ndim).keys()];
  const out = dims.map((d) => wrapDim(d, ndim));
  const seen = new Set<number>();
  for (const d of out) {
    if (seen.has(d)) throw new Error(`dim ${d} appears multiple times in the list of dims`);
    seen.add(d);
  }
  return out.filter((d) => d < ndim).sort((a, b) => a - b);
}

/** PyTorch's way of writing a shape in errors: [2, 3]. */
export const shapeList = (shape: readonly number[]): string => `[${shape.join(', ')}]`;
